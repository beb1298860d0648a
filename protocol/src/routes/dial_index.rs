//! Where to find dials: by place, by server, and by the time at which they are due.

use std::collections::{BTreeMap, BTreeSet};

use super::dial::{Attempt, Class, Dial, DialId};
use super::tellers::{NoRoom, Tellers};
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
    hearsay: Tellers,
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
    /// How many there are, with those that are under way.
    count: usize,
    later: BTreeSet<(Instant, DialId)>,
    /// Those whose time has come. Among them the oldest wish is first, whenever it was due.
    due: BTreeMap<DialId, Instant>,
}

impl DialIndex {
    pub(super) fn add(&mut self, id: DialId, dial: &Dial) {
        let at = key_of(dial);
        match dial.attempt {
            Attempt::UnderWay => drop(self.under_way.insert(at.clone())),
            Attempt::Waiting(_) => self.unchecked.extend(dial.server().map(str::to_owned)),
        }
        match (dial.class(), &dial.teller) {
            (Class::Hearsay, Some(teller)) => self.hearsay.add(teller, id, dial.attempt),
            (Class::Configured, _) => self.configured.add(id, dial.attempt),
            _ => self.remembered.add(id, dial.attempt),
        }
        self.by_place.entry(at).or_default().insert(id);
        if let Some(server) = dial.server() {
            let key = (server.to_owned(), dial.purpose.account.clone());
            self.by_server.entry(key).or_default().insert(id);
        }
    }

    pub(super) fn remove(&mut self, id: DialId, dial: &Dial) {
        let at = key_of(dial);
        remove_from(&mut self.by_place, &at, id);
        if dial.is_under_way() {
            self.under_way.remove(&at);
        }
        match (dial.class(), &dial.teller) {
            (Class::Hearsay, Some(teller)) => self.hearsay.remove(teller, id, dial.attempt),
            (Class::Configured, _) => self.configured.remove(id, dial.attempt),
            _ => self.remembered.remove(id, dial.attempt),
        }
        if let Some(server) = dial.server() {
            remove_from(&mut self.by_server, &(server.to_owned(), dial.purpose.account.clone()), id);
            if !self.is_for(server) {
                self.unchecked.remove(server);
            }
        }
    }

    /// Dials of the same kind of connection to where this one goes, the oldest first.
    pub(super) fn at_place_of(&self, dial: &Dial) -> impl Iterator<Item = DialId> + use<'_> {
        self.by_place.get(&key_of(dial)).into_iter().flatten().copied()
    }

    /// Dials of a kind of connection to an address, the oldest first.
    pub(super) fn at_place(
        &self,
        url: &RouteUrl,
        account: Account,
    ) -> impl Iterator<Item = DialId> + use<'_> {
        self.by_place.get(&(Place::new(url), account)).into_iter().flatten().copied()
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

    /// The next dial that is due, of a class that the pace allows: the oldest wish; after all others those that were only
    /// heard of.
    pub(super) fn next_due(&mut self, now: Instant, allows: impl Fn(Class) -> bool) -> Option<DialId> {
        let configured = self.configured.next_due(now);
        let remembered = allows(Class::Remembered).then(|| self.remembered.next_due(now)).flatten();
        configured.into_iter().chain(remembered).min().or_else(|| {
            let may_begin = allows(Class::Hearsay) && self.hearsay.may_begin();
            may_begin.then(|| self.hearsay.next_due(now)).flatten()
        })
    }

    /// When the next dial is due, of those that wait for the pace: in the past if one is already.
    pub(super) fn next_at(&self, allows_at: impl Fn(Class) -> Instant) -> Option<Instant> {
        let firsts = [
            (Class::Configured, self.configured.first_at()),
            (Class::Remembered, self.remembered.first_at()),
            (Class::Hearsay, self.hearsay.next_at()),
        ];
        firsts.into_iter().filter_map(|(class, at)| Some(at?.max(allows_at(class)))).min()
    }

    /// How many dials there are to where there was a route once.
    pub(super) fn remembered_count(&self) -> usize {
        self.remembered.count
    }

    #[cfg(test)]
    pub(super) fn hearsay_count(&self) -> usize {
        self.hearsay.count()
    }

    /// Whether there is room for a dial on the word of a teller, and which one gives way to it.
    pub(super) fn room_for(&self, teller: &str) -> Result<Option<DialId>, NoRoom> {
        self.hearsay.room_for(teller)
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
}

impl Queue {
    fn add(&mut self, id: DialId, attempt: Attempt) {
        self.count += 1;
        if let Attempt::Waiting(at) = attempt {
            self.later.insert((at, id));
        }
    }

    fn remove(&mut self, id: DialId, attempt: Attempt) {
        self.count -= 1;
        if let Attempt::Waiting(at) = attempt
            && self.due.remove(&id).is_none()
        {
            self.later.remove(&(at, id));
        }
    }

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
}

impl Place {
    pub(super) fn new(url: &RouteUrl) -> Self {
        Self { host: url.host.to_ascii_lowercase(), port: url.port }
    }

    pub(super) fn url(&self) -> RouteUrl {
        RouteUrl { user: None, password: None, host: self.host.clone(), port: self.port }
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
