//! What is going to happen, in order.

use std::collections::BTreeMap;

use crate::time::Instant;

/// Events by time, and by the order in which they were added where the time is the same.
#[derive(Debug)]
pub(super) struct Queue<E> {
    events: BTreeMap<(Instant, u64), E>,
    next: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { events: BTreeMap::new(), next: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, event: E) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    /// When the next event happens.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Instant, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// All events, for those who choose another order ([`super::explore`]).
    pub(super) fn iter(&self) -> impl Iterator<Item = (&(Instant, u64), &E)> {
        self.events.iter()
    }

    pub(super) fn take(&mut self, key: (Instant, u64)) -> Option<E> {
        self.events.remove(&key)
    }
}
