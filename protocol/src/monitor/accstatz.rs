//! `/accstatz`: what the connections of each account have sent and received.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::query::{BadQuery, Query};
use super::{Facts, Response};
use crate::accounts::{Account, Traffic};
use crate::hub::{Entry, Hub, Kind, Totals};
use crate::id::AccountId;
use crate::node::Node;

/// What `/accstatz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
struct Accstatz {
    server_id: String,
    now: String,
    account_statz: Vec<Statistics>,
}

/// What is said of an account.
#[derive(Debug, Serialize)]
pub(crate) struct Statistics {
    acc: String,
    name: String,
    conns: usize,
    leafnodes: usize,
    total_conns: usize,
    num_subscriptions: u64,
    sent: Sums,
    received: Sums,
    slow_consumers: u64,
}

/// All of one direction, and what of it was between servers.
#[derive(Debug, Default, Serialize)]
struct Sums {
    msgs: u64,
    bytes: u64,
    gateways: Sum,
    routes: Sum,
    leafs: Sum,
}

#[derive(Debug, Default, Serialize)]
struct Sum {
    msgs: u64,
    bytes: u64,
}

/// Shows the accounts that have connections, those that are asked for by name, or all.
pub(super) fn accstatz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    let shows_unused = query.flag("unused")?;
    let hub = node.hub();
    let accounts = hub.accounts().list();
    let mut gathered = Gathering::new(&accounts).finish(hub);
    let shown = accounts.iter().filter_map(|account| Some((account, gathered.remove(&account.id())?)));
    let shown = shown.filter(|(_, gathered)| shows_unused || gathered.connections > 0);
    Ok(Response::pretty(&Accstatz {
        server_id: hub.server_id().to_owned(),
        now: facts.time_now(),
        account_statz: shown.map(|(account, gathered)| gathered.into_statistics(account)).collect(),
    }))
}

/// What the connections of some accounts have done, while it is looked for: a part of the directory at a time. Who comes or goes
/// meanwhile may be missed.
#[derive(Debug)]
pub(crate) struct Gathering {
    found: BTreeMap<AccountId, Gathered>,
    /// Which connections come next.
    next: Option<(Kind, usize)>,
}

impl Gathering {
    pub(crate) fn new(accounts: &[Arc<Account>]) -> Self {
        let found = accounts.iter().map(|account| (account.id(), Gathered::of_departed(account)));
        Self { found: found.collect(), next: Some((Kind::Client, 0)) }
    }

    /// Looks through some; true once that was all.
    pub(crate) fn look_on(&mut self, hub: &Hub) -> bool {
        let Some((kind, from)) = self.next else { return true };
        let (entries, next) = hub.directory().slice(kind, from);
        for entry in entries {
            let account = hub.account_for(&entry);
            if let Some(found) = account.and_then(|account| self.found.get_mut(&account.id())) {
                found.add_open(&entry);
            }
        }
        self.next = match (kind, next) {
            (_, Some(next)) => Some((kind, next)),
            (Kind::Client, None) => Some((Kind::Route, 0)),
            (Kind::Route | Kind::Upgrading, None) => None,
        };
        self.next.is_none()
    }

    /// What was found.
    pub(crate) fn into_found(self) -> BTreeMap<AccountId, Gathered> {
        self.found
    }

    /// Looks through all.
    fn finish(mut self, hub: &Hub) -> BTreeMap<AccountId, Gathered> {
        while !self.look_on(hub) {}
        self.into_found()
    }
}

/// How many clients are in an account.
pub(super) fn connections_of(hub: &Hub, account: &Arc<Account>) -> usize {
    let mut found = Gathering::new(std::slice::from_ref(account)).finish(hub);
    found.remove(&account.id()).map_or(0, |gathered| gathered.connections)
}

/// What the connections of an account have done. What a route carries of several accounts counts for that of clients that name
/// none.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Clients that are connected.
    connections: usize,
    sent: Sums,
    received: Sums,
    slow_consumers: u64,
}

impl Gathered {
    fn of_departed(account: &Account) -> Self {
        let departed = account.departed();
        let slow_consumers = Totals::get(&departed.slow_clients);
        let mut gathered = Self { slow_consumers, ..Self::default() };
        gathered.add(Kind::Client, &departed.clients);
        gathered.add(Kind::Route, &departed.routes);
        gathered
    }

    fn add_open(&mut self, entry: &Entry) {
        self.connections += usize::from(entry.kind() == Kind::Client);
        self.add(entry.kind(), entry.traffic());
    }

    fn add(&mut self, kind: Kind, traffic: &Traffic) {
        let is_route = kind == Kind::Route;
        self.sent.add(traffic.out_messages(), traffic.out_bytes(), is_route);
        self.received.add(traffic.in_messages(), traffic.in_bytes(), is_route);
    }

    pub(crate) fn into_statistics(self, account: &Account) -> Statistics {
        Statistics {
            acc: account.name().to_owned(),
            name: account.name().to_owned(),
            conns: self.connections,
            leafnodes: 0,
            total_conns: self.connections,
            num_subscriptions: account.index().stats().subscriptions,
            sent: self.sent,
            received: self.received,
            slow_consumers: self.slow_consumers,
        }
    }
}

impl Sums {
    fn add(&mut self, msgs: u64, bytes: u64, is_route: bool) {
        self.msgs += msgs;
        self.bytes += bytes;
        if is_route {
            self.routes.msgs += msgs;
            self.routes.bytes += bytes;
        }
    }
}
