//! Where to find dials: by place, by server, and by the time at which they are due.

use std::collections::{BTreeMap, BTreeSet};

use super::dial::{Attempt, Class, Dial, DialId};
use crate::config::RouteUrl;
use crate::time::Instant;

/// Leads from what is asked about dials to the dials. All of it follows from them: each is taken out before it changes, and
/// put in again.
#[derive(Debug, Default)]
pub(super) struct DialIndex {
    by_place: BTreeMap<(Place, Account), BTreeSet<DialId>>,
    by_server: BTreeMap<(String, Account), BTreeSet<DialId>>,
    /// Where somebody is at it. No other begins there meanwhile, so there is one at most.
    under_way: BTreeSet<(Place, Account)>,
    configured: Queue,
    remembered: Queue,
    hearsay: Queue,
    /// How many there are on the word of each teller.
    by_teller: BTreeMap<String, usize>,
    hearsay_count: usize,
    /// Servers with dials that came to wait, or whose connections changed, since [`DialIndex::take_unchecked`].
    unchecked: BTreeSet<String>,
}

/// The account that a connection is dedicated to, if to one.
type Account = Option<String>;

/// A host and a port. Host names have no case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    host: String,
    port: u16,
}

/// Dials that wait, in the order in which they will be due.
#[derive(Debug, Default)]
struct Queue {
    later: BTreeSet<(Instant, DialId)>,
    /// Those whose time has come. Among them the oldest wish is first, whenever it was due.
    due: BTreeMap<DialId, Instant>,
}

impl DialIndex {
    pub(super) fn add(&mut self, id: DialId, dial: &Dial) {
        let at = key_of(dial);
        match dial.attempt {
            Attempt::UnderWay => {
                self.under_way.insert(at.clone());
            }
            Attempt::Waiting(at) => {
                self.queue(dial.class()).later.insert((at, id));
                self.unchecked.extend(dial.server().map(str::to_owned));
            }
        }
        self.by_place.entry(at).or_default().insert(id);
        if let Some(server) = dial.server() {
            let key = (server.to_owned(), dial.purpose.account.clone());
            self.by_server.entry(key).or_default().insert(id);
        }
        if let (Class::Hearsay, Some(teller)) = (dial.class(), &dial.teller) {
            *self.by_teller.entry(teller.clone()).or_default() += 1;
            self.hearsay_count += 1;
        }
    }

    pub(super) fn remove(&mut self, id: DialId, dial: &Dial) {
        let at = key_of(dial);
        remove_from(&mut self.by_place, &at, id);
        match dial.attempt {
            Attempt::UnderWay => {
                self.under_way.remove(&at);
            }
            Attempt::Waiting(at) => self.queue(dial.class()).remove(at, id),
        }
        if let Some(server) = dial.server() {
            remove_from(&mut self.by_server, &(server.to_owned(), dial.purpose.account.clone()), id);
            if !self.is_for(server) {
                self.unchecked.remove(server);
            }
        }
        if let (Class::Hearsay, Some(teller)) = (dial.class(), &dial.teller) {
            self.hearsay_count -= 1;
            if let Some(count) = self.by_teller.get_mut(teller) {
                *count -= 1;
                if *count == 0 {
                    self.by_teller.remove(teller);
                }
            }
        }
    }

    /// Dials of the same kind of connection to where this one goes, the oldest first.
    pub(super) fn at_place_of(&self, dial: &Dial) -> impl Iterator<Item = DialId> + use<'_> {
        self.by_place.get(&key_of(dial)).into_iter().flatten().copied()
    }

    /// Dials of this kind of connection that may lead to a server, the oldest first.
    pub(super) fn to_server(
        &self,
        server: &str,
        account: &Account,
    ) -> impl Iterator<Item = DialId> + use<'_> {
        self.by_server.get(&(server.to_owned(), account.clone())).into_iter().flatten().copied()
    }

    /// All dials that may lead to a server.
    pub(super) fn all_to_server(&self, server: &str) -> impl Iterator<Item = DialId> + use<'_> {
        let server = server.to_owned();
        let from_first = self.by_server.range((server.clone(), None)..);
        from_first.take_while(move |((known, _), _)| *known == server).flat_map(|(_, ids)| ids).copied()
    }

    /// Whether a server is being dialed, or is going to be.
    pub(super) fn is_for(&self, server: &str) -> bool {
        self.all_to_server(server).next().is_some()
    }

    /// Whether a dial is under way to the same place for the same kind of connection.
    pub(super) fn is_under_way_at(&self, dial: &Dial) -> bool {
        self.under_way.contains(&key_of(dial))
    }

    /// The oldest dial that is due. Those that are not configured have to wait for the pace.
    pub(super) fn next_due(&mut self, now: Instant, pace_allows: bool) -> Option<DialId> {
        let others = [&mut self.remembered, &mut self.hearsay];
        let queues = std::iter::once(&mut self.configured).chain(others.into_iter().filter(|_| pace_allows));
        queues.filter_map(|queue| queue.next_due(now)).min()
    }

    /// When the next dial is due: in the past if one is already. Those that are not configured wait for the pace.
    pub(super) fn next_at(&self, pace: Instant) -> Option<Instant> {
        let others = self.remembered.first_at().into_iter().chain(self.hearsay.first_at()).min();
        self.configured.first_at().into_iter().chain(others.map(|at| at.max(pace))).min()
    }

    /// How many dials there are on the word of one teller, and of all.
    pub(super) fn hearsay(&self, teller: &str) -> (usize, usize) {
        (self.by_teller.get(teller).copied().unwrap_or(0), self.hearsay_count)
    }

    /// The dial that was only heard of and will wait the longest.
    pub(super) fn last_hearsay(&self) -> Option<DialId> {
        let Queue { later, due } = &self.hearsay;
        later.last().map(|(_, id)| *id).or_else(|| due.last_key_value().map(|(id, _)| *id))
    }

    /// The connections to a server changed: its dials may be of no use any more.
    pub(super) fn uncheck(&mut self, server: &str) {
        if self.is_for(server) {
            self.unchecked.insert(server.to_owned());
        }
    }

    pub(super) fn take_unchecked(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.unchecked)
    }

    fn queue(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Configured => &mut self.configured,
            Class::Remembered => &mut self.remembered,
            Class::Hearsay => &mut self.hearsay,
        }
    }
}

impl Queue {
    fn next_due(&mut self, now: Instant) -> Option<DialId> {
        while let Some((at, id)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.pop_first();
            self.due.insert(id, at);
        }
        self.due.first_key_value().map(|(id, _)| *id)
    }

    fn first_at(&self) -> Option<Instant> {
        let due = self.due.first_key_value().map(|(_, at)| *at);
        due.or_else(|| self.later.first().map(|(at, _)| *at))
    }

    fn remove(&mut self, at: Instant, id: DialId) {
        if self.due.remove(&id).is_none() {
            self.later.remove(&(at, id));
        }
    }
}

impl Place {
    pub(super) fn new(url: &RouteUrl) -> Self {
        Self { host: url.host.to_ascii_lowercase(), port: url.port }
    }
}

fn key_of(dial: &Dial) -> (Place, Account) {
    (Place::new(&dial.purpose.url), dial.purpose.account.clone())
}

fn remove_from<K: Ord>(index: &mut BTreeMap<K, BTreeSet<DialId>>, key: &K, id: DialId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
