//! How many clients accounts have, here and at other servers (wire.md 10.2).
//!
//! An account that may have only so many clients may have them in the whole cluster. So each server tells the others how many it
//! has, when that changes and now and then; who hears that there are too many closes some of its own.

use std::collections::btree_map::IntoIter;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

use super::own::Own;
use crate::accounts::Account;
use crate::hub::{Entry, Hub, Kind};
use crate::id::AccountId;
use crate::monitor::{Gathered, Gathering, Statistics};
use crate::node::Node;
use crate::time::Instant;
use crate::wire::system::{self, Server};

/// What is told, and what was heard.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// What accounts have, while it is looked for.
    gathering: Option<Gathering>,
    /// What was found, and nobody is told yet: there may be very many accounts, and to put all of it into words takes long.
    found: IntoIter<AccountId, Gathered>,
    /// The same in words.
    untold: VecDeque<Notice>,
    /// Accounts that others are to be asked of.
    unasked: VecDeque<AccountId>,
    /// Not before, the next is looked for.
    gather_at: Instant,
    /// When all that have clients are told of, whether or not these changed.
    tell_all_at: Option<Instant>,
    /// When newcomers are told, and asked.
    greet_at: Option<Instant>,
    /// How many clients other servers have, by their ids, in accounts that may have only so many.
    elsewhere: BTreeMap<AccountId, BTreeMap<String, usize>>,
}

/// What there is to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// It was looked at some connections, or at what was found of an account.
    Looked,
    Tell(Notice),
    /// How many clients others have in this account is to be asked.
    Ask(Arc<Account>),
}

/// What is to be said of an account on a subject.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) subject: String,
    statistics: Arc<Statistics>,
}

/// What is said, in nats-server's order.
#[derive(Debug, Serialize)]
struct AccountConnections<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    id: String,
    timestamp: String,
    server: Server<'a>,
    #[serde(flatten)]
    statistics: &'a Statistics,
}

impl Clients {
    /// When [`Clients::step`] is to be called, whatever else happens.
    pub(super) fn poll_timeout(&self, hub: &Hub) -> Option<Instant> {
        let gather_at = (!hub.census().is_empty()).then_some(self.gather_at);
        gather_at.into_iter().chain(self.tell_all_at).chain(self.greet_at).min()
    }

    /// Does a part of what is to be done now; none if that is nothing.
    pub(super) fn step(&mut self, hub: &Hub, now: Instant) -> Option<Step> {
        if hub.census().take_servers() {
            self.forget_who_left(hub);
            // By then a newcomer has said what it wants to hear.
            let has_news = with_clients(hub).chain(limited(hub)).next().is_some();
            self.greet_at = has_news.then_some(now + NEWCOMER_DELAY);
        }
        if let Some(notice) = self.untold.pop_front() {
            return Some(Step::Tell(notice));
        }
        if let Some((account, gathered)) = self.found.next() {
            self.word(hub, account, gathered);
            return Some(Step::Looked);
        }
        if let Some(account) = self.unasked.pop_front() {
            return Some(hub.accounts().get(account).map_or(Step::Looked, Step::Ask));
        }
        if let Some(gathering) = &mut self.gathering {
            if gathering.look_on(hub) {
                self.finish(hub, now);
            }
            return Some(Step::Looked);
        }
        self.begin(hub, now)
    }

    /// Begins to look for what there is to be told, if there is anything.
    fn begin(&mut self, hub: &Hub, now: Instant) -> Option<Step> {
        let mut due = BTreeSet::new();
        if self.greet_at.take_if(|at| *at <= now).is_some() {
            self.tell_all_at = Some(now);
            self.unasked = limited(hub).map(|account| account.id()).collect();
        }
        if self.tell_all_at.take_if(|at| *at <= now).is_some() {
            due.extend(with_clients(hub).map(|account| account.id()));
        }
        if self.gather_at <= now {
            due.append(&mut hub.census().take());
        }
        let accounts: Vec<_> = due.into_iter().filter_map(|id| hub.accounts().get(id)).collect();
        if accounts.is_empty() {
            return (!self.unasked.is_empty()).then_some(Step::Looked);
        }
        self.gather_at = now + GATHER_INTERVAL;
        self.gathering = Some(Gathering::new(&accounts));
        Some(Step::Looked)
    }

    fn finish(&mut self, hub: &Hub, now: Instant) {
        self.found = self.gathering.take().map(Gathering::into_found).unwrap_or_default().into_iter();
        if with_clients(hub).next().is_some() {
            self.tell_all_at.get_or_insert(now + TELL_ALL_INTERVAL);
        }
    }

    /// Makes of what was found of an account what is to be said.
    fn word(&mut self, hub: &Hub, account: AccountId, gathered: Gathered) {
        let Some(account) = hub.accounts().get(account) else { return };
        let statistics = Arc::new(gathered.into_statistics(&account));
        for subject in system::subjects_of_clients(account.name()) {
            self.untold.push_back(Notice { subject, statistics: statistics.clone() });
        }
    }

    /// Hears how many clients another server has in an account. Returns those here that are too many now: the newest.
    pub(super) fn hear(&mut self, hub: &Hub, server: &str, payload: &[u8]) -> Vec<Arc<Entry>> {
        // Each speaks for itself alone.
        let Some(told) = system::clients_told(payload).filter(|told| told.server == server) else {
            return Vec::new();
        };
        let account = hub.accounts().find(told.account.as_bytes());
        let limited = account.and_then(|account| Some((account.limits().max_connections?, account)));
        let Some((most, account)) = limited else { return Vec::new() };
        let others = self.elsewhere.entry(account.id()).or_default();
        others.insert(told.server, told.clients);
        account.set_elsewhere(sum(others));
        let excess = excess(most, account.taken_seats(), hub.server_id(), others);
        newest(hub, account.id(), excess)
    }

    /// Forgets what servers have that are none of the cluster any more.
    fn forget_who_left(&mut self, hub: &Hub) {
        let routes = hub.directory().list(Kind::Route);
        let there: BTreeSet<_> = routes.iter().map(|route| route.about().remote_id).collect();
        for (account, others) in &mut self.elsewhere {
            others.retain(|server, _| there.contains(server));
            if let Some(account) = hub.accounts().get(*account) {
                account.set_elsewhere(sum(others));
            }
        }
        self.elsewhere.retain(|_, others| !others.is_empty());
    }
}

impl Notice {
    /// Its text, as the `number`th that this server says, with the end of a line.
    pub(super) fn body(&self, node: &Node, now: Instant, number: u64, rng: &mut Rng) -> Vec<u8> {
        let own = Own::new(node, now);
        let mut text = system::to_json(&AccountConnections {
            event_type: "io.nats.server.advisory.v1.account_connections",
            id: std::iter::repeat_with(|| rng.alphanumeric()).take(ID_BYTES).collect(),
            timestamp: own.time.clone(),
            server: own.server(number),
            statistics: &self.statistics,
        });
        text.extend_from_slice(b"\r\n");
        text
    }
}

/// The accounts that have clients and that others are told of.
fn with_clients(hub: &Hub) -> impl Iterator<Item = Arc<Account>> {
    let global = hub.global_account().id();
    let accounts = hub.accounts().list().into_iter();
    accounts.filter(move |account| account.id() != global && account.taken_seats() > 0)
}

/// The accounts that may have only so many clients.
fn limited(hub: &Hub) -> impl Iterator<Item = Arc<Account>> {
    let accounts = hub.accounts().list().into_iter();
    accounts.filter(|account| account.limits().max_connections.is_some())
}

fn sum(others: &BTreeMap<String, usize>) -> usize {
    others.values().fold(0, |sum, clients| sum.saturating_add(*clients))
}

/// How many of its own clients this server has to close: the servers whose ids come last close theirs first, so that all together
/// close no more than are too many.
fn excess(most: usize, own: usize, server_id: &str, others: &BTreeMap<String, usize>) -> usize {
    let all = own.saturating_add(sum(others));
    let behind = others.iter().filter(|(id, _)| id.as_str() > server_id);
    let closed_by_others = behind.fold(0, |sum: usize, (_, clients)| sum.saturating_add(*clients));
    all.saturating_sub(most).saturating_sub(closed_by_others).min(own)
}

/// So many of the newest clients of an account.
fn newest(hub: &Hub, account: AccountId, count: usize) -> Vec<Arc<Entry>> {
    if count == 0 {
        return Vec::new();
    }
    let clients = hub.directory().list(Kind::Client).into_iter();
    let mut clients: Vec<_> = clients.filter(|client| client.account() == Some(account)).collect();
    clients.split_off(clients.len().saturating_sub(count))
}

/// What changes meanwhile is told together.
const GATHER_INTERVAL: Duration = Duration::from_millis(250);

/// After so long a newcomer is told how many clients there are, and asked how many it has: nats-server says it only when that
/// changes, and each half minute.
const NEWCOMER_DELAY: Duration = Duration::from_millis(250);

/// So often all is told again that is not zero.
const TELL_ALL_INTERVAL: Duration = Duration::from_secs(30);

/// How long the id of a message is.
const ID_BYTES: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Seat;
    use crate::config::Config;
    use crate::node::Listening;

    #[test]
    fn of_very_many_accounts_one_after_the_other_is_put_into_words() {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        let (hub, names) = (node.hub(), (0..100).map(|number| format!("A{number}")));
        let accounts: Vec<_> = names.map(|name| hub.add_account(&name).expect("a free name")).collect();
        let _seats: Vec<_> = accounts.iter().map(|it| Seat::take(it).expect("a free seat")).collect();
        accounts.iter().for_each(|account| hub.note_clients(account.id()));
        let (mut clients, mut told) = (Clients::default(), 0);
        while let Some(step) = clients.step(hub, Instant::ZERO) {
            assert!(clients.untold.len() <= 2, "those of one account");
            told += usize::from(matches!(step, Step::Tell(_)));
        }
        assert_eq!(told, 2 * accounts.len());
    }

    #[test]
    fn the_servers_whose_ids_come_last_close_theirs_first_and_all_together_no_more_than_are_too_many() {
        let servers = [("A", 3), ("B", 2), ("C", 3)];
        let closed = |most| {
            servers.map(|(own, clients)| {
                let others = servers.iter().filter(|(id, _)| *id != own);
                let others = others.map(|(id, clients)| ((*id).to_owned(), *clients)).collect();
                excess(most, clients, own, &others)
            })
        };
        assert_eq!(closed(8), [0, 0, 0]);
        assert_eq!(closed(7), [0, 0, 1]);
        assert_eq!(closed(4), [0, 1, 3]);
        assert_eq!(closed(0), [3, 2, 3]);
        let liar = BTreeMap::from([("Z".to_owned(), usize::MAX), ("0".to_owned(), usize::MAX)]);
        assert_eq!(excess(1, 2, "B", &liar), 0, "it is for the others to close theirs");
    }
}
