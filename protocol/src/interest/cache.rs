//! A connection's memory of where its subjects go.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Matches, Stamp, Targets};
use crate::account::Account;
use crate::hash::KeyedState;
use crate::hub::{Entry, Hub};

/// More subjects than this are not remembered by one connection.
const MAX_SUBJECTS: usize = 8 * 1024;

/// Nor is more memory than this taken, except by the single subject in use.
const MAX_COST_BYTES: usize = 2 * 1024 * 1024;

/// Subject → targets, for the publishes of one connection in one account.
///
/// An entry is valid as long as the part of the index that it came from has not changed. That nobody wants a
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
    stamp: Stamp,
    targets: Targets,
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

    /// Who gets what `publisher` publishes to `subject`.
    pub(crate) fn targets(
        &mut self,
        hub: &Hub,
        account: &Account,
        publisher: &Entry,
        subject: &[u8],
    ) -> &Targets {
        let place = self.place(hub, account, publisher, subject);
        self.last = place;
        let cached = &mut self.entries[place];
        if !account.index().is_current(cached.stamp) {
            let before = cached.targets.cost_bytes();
            (cached.stamp, cached.targets) = compile(&mut self.matches, hub, account, publisher, subject);
            self.cost_bytes = self.cost_bytes + cached.targets.cost_bytes() - before;
        }
        &self.entries[place].targets
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

    fn place(&mut self, hub: &Hub, account: &Account, publisher: &Entry, subject: &[u8]) -> usize {
        if self.entries.get(self.last).is_some_and(|cached| *cached.subject == *subject) {
            return self.last;
        }
        if let Some(place) = self.places.get(subject) {
            return *place as usize;
        }
        if self.entries.len() >= MAX_SUBJECTS || self.cost_bytes >= MAX_COST_BYTES {
            self.clear();
        }
        let (stamp, targets) = compile(&mut self.matches, hub, account, publisher, subject);
        let subject: Arc<[u8]> = subject.into();
        self.cost_bytes += targets.cost_bytes() + 2 * subject.len();
        self.places.insert(subject.clone(), self.entries.len() as u32);
        self.entries.push(Cached { subject, stamp, targets });
        self.entries.len() - 1
    }
}

fn compile(
    matches: &mut Matches,
    hub: &Hub,
    account: &Account,
    publisher: &Entry,
    subject: &[u8],
) -> (Stamp, Targets) {
    // The stamp first: what changes between the two makes the result outdated at once, never wrong for long.
    let stamp = account.index().stamp(subject);
    matches.clear();
    account.index().collect(subject, matches);
    let targets = Targets::new(account, hub.directory(), publisher, subject, matches);
    matches.clear();
    (stamp, targets)
}
