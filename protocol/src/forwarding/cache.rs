//! A connection's memory of where its subjects go.

use std::collections::HashMap;
use std::sync::Arc;

use super::requests::Finding;
use super::targets::{Lookup, Targets};
use crate::accounts::Account;
use crate::hash::KeyedState;
use crate::hub::{Entry, Hub, Kind};
use crate::interest::{Matches, Stamp};

/// More subjects than this are not remembered by one connection.
const MAX_SUBJECTS: usize = 8 * 1024;

/// Nor is more memory than this taken, except by the single subject in use.
const MAX_COST_BYTES: usize = 2 * 1024 * 1024;

/// Subject → targets, for the publishes of one connection in one account.
///
/// An entry is valid as long as the parts of the indexes that it came from have not changed. That nobody wants a
/// subject is remembered too.
#[derive(Debug)]
pub(crate) struct Cache {
    places: HashMap<Arc<[u8]>, u32, KeyedState>,
    entries: Vec<Cached>,
    /// The subject of the last message is usually the subject of the next.
    last: usize,
    cost_bytes: usize,
    matches: Matches,
}

#[derive(Debug)]
struct Cached {
    subject: Arc<[u8]>,
    stamps: Stamps,
    targets: Targets,
    /// Whether the publisher may publish to it, which is asked once.
    is_allowed: bool,
}

/// How the indexes were that targets came from. Nearly always that is one, the publisher's own, which costs two loads to
/// check.
#[derive(Debug)]
struct Stamps {
    own: Stamp,
    /// Those of exporters. They are held here, so that checking them takes no lock.
    others: Box<[(Arc<Account>, Stamp)]>,
}

impl Stamps {
    #[inline]
    fn are_current(&self, own: &Account) -> bool {
        own.index().is_current(self.own)
            && self.others.iter().all(|(account, stamp)| account.index().is_current(*stamp))
    }
}

impl Cache {
    pub(crate) fn new(hasher: KeyedState) -> Self {
        Self {
            places: HashMap::with_hasher(hasher),
            entries: Vec::new(),
            last: 0,
            cost_bytes: 0,
            matches: Matches::default(),
        }
    }

    /// How much was looked at in the indexes since this was asked last: subscriptions, and nodes on the way to them.
    #[inline]
    pub(crate) fn take_looked_at(&mut self) -> usize {
        std::mem::take(&mut self.matches.looked_at)
    }

    /// Who gets what `publisher` publishes to `subject`, and whether it may do that.
    pub(crate) fn targets(
        &mut self,
        hub: &Hub,
        account: &Arc<Account>,
        publisher: &Entry,
        subject: &[u8],
    ) -> (&Targets, bool) {
        let place = self.place(hub, account, publisher, subject);
        self.last = place;
        let cached = &mut self.entries[place];
        if !cached.stamps.are_current(account) {
            let before = cached.targets.cost_bytes();
            let lookup = Lookup::published(account, subject);
            (cached.stamps, cached.targets) = compile(&mut self.matches, hub, publisher, &lookup);
            self.cost_bytes = self.cost_bytes + cached.targets.cost_bytes() - before;
        }
        let cached = &self.entries[place];
        (&cached.targets, cached.is_allowed)
    }

    /// Forgets everything and frees the memory, when a connection publishes no more for now.
    pub(crate) fn clear(&mut self) {
        let hasher = self.places.hasher().clone();
        self.places = HashMap::with_hasher(hasher);
        self.entries = Vec::new();
        self.last = 0;
        self.cost_bytes = 0;
        self.matches = Matches::default();
    }

    fn place(&mut self, hub: &Hub, account: &Arc<Account>, publisher: &Entry, subject: &[u8]) -> usize {
        if self.entries.get(self.last).is_some_and(|cached| *cached.subject == *subject) {
            return self.last;
        }
        if let Some(place) = self.places.get(subject) {
            return *place as usize;
        }
        if self.entries.len() >= MAX_SUBJECTS || self.cost_bytes >= MAX_COST_BYTES {
            self.clear();
        }
        let (stamps, targets) =
            compile(&mut self.matches, hub, publisher, &Lookup::published(account, subject));
        let is_allowed = publisher.may_publish(subject);
        let subject: Arc<[u8]> = subject.into();
        self.cost_bytes += targets.cost_bytes() + 2 * subject.len();
        self.places.insert(subject.clone(), self.entries.len() as u32);
        self.entries.push(Cached { subject, stamps, targets, is_allowed });
        self.entries.len() - 1
    }
}

/// Asks the indexes: the publisher's own, and those of the accounts that a client's message is a request for.
fn compile(matches: &mut Matches, hub: &Hub, publisher: &Entry, lookup: &Lookup<'_>) -> (Stamps, Targets) {
    // Stamps are taken before the indexes are asked: what changes between the two makes the result outdated at once, never wrong
    // for long.
    let own = lookup.account.index().stamp(lookup.subject);
    let mut targets = Targets::collect(matches, hub.directory(), Some(publisher), lookup);
    let mut others = Vec::new();
    if publisher.kind() == Kind::Client && lookup.account.imports().is_some() {
        Finding::new(matches, hub, publisher, &mut others).add_requests(&mut targets, lookup, 0);
    }
    (Stamps { own, others: others.into() }, targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::Kind;
    use crate::id::ConnectionId;
    use crate::interest::{Source, Subscription, SubscriptionId};
    use crate::time::Instant;

    #[test]
    fn a_cache_is_emptied_when_it_has_too_many_subjects_or_takes_too_much() {
        let hub = Hub::new(Config::default(), 4222);
        let account = hub.global_account().clone();
        let remote = "127.0.0.1:1".parse().expect("an address");
        let publisher = hub.directory().insert(1, Kind::Client, remote, Instant::ZERO, hub.hasher());
        for subject_bytes in [8, 4000] {
            let mut cache = Cache::new(hub.hasher());
            let (mut most, mut most_bytes) = (0, 0);
            for number in 0..2 * MAX_SUBJECTS {
                let subject = format!("{number:0subject_bytes$}");
                assert!(cache.targets(&hub, &account, &publisher, subject.as_bytes()).0.is_empty());
                most = most.max(cache.entries.len());
                most_bytes = most_bytes.max(cache.cost_bytes);
            }
            let one = 2 * subject_bytes + cache.entries[0].targets.cost_bytes();
            assert!(most_bytes < MAX_COST_BYTES + one, "{most_bytes}");
            assert_eq!(most, MAX_SUBJECTS.min(MAX_COST_BYTES.div_ceil(one)));
        }
    }

    #[test]
    fn a_long_subject_that_many_want_is_not_written_down_for_each_of_them() {
        let hub = Hub::new(Config::default(), 4222);
        let own = hub.add_account("A").expect("a free name");
        let remote = "127.0.0.1:1".parse().expect("an address");
        let publisher = hub.directory().insert(1, Kind::Client, remote, Instant::ZERO, hub.hasher());
        for id in 0..2000 {
            let (source, sid) = (Source::Client, id.to_string());
            let new =
                Subscription::new(SubscriptionId(id), publisher.id(), source, b">", b"", sid.as_bytes());
            own.index().insert(Arc::new(new), &mut |_: &[ConnectionId], _| {});
        }
        let subject = [b'x'; 4000];
        let lookup = Lookup::published(&own, &subject);
        let (_, targets) = compile(&mut Matches::default(), &hub, &publisher, &lookup);
        let (first, last) = (&targets.clients[0], &targets.clients[1999]);
        assert_eq!(targets.unprepared_subject(first), None);
        assert!(targets.client_prefix(first, false).ends_with(b"xxx 0 "));
        assert_eq!(targets.unprepared_subject(last), Some(subject.as_slice()));
        assert!(targets.cost_bytes() < 1_500_000, "{}", targets.cost_bytes());
    }
}
