//! Finding all that matches a subject, a slice at a time.

use std::sync::Arc;

use super::Subscription;
use super::crowd::{Crowd, MAX_LISTED};
use super::matches::Matches;

/// A search for everything that matches a subject, for where that is more than [`Index::collect`](super::Index::collect)
/// gathers at once: clients may have hundreds of thousands of different filters that all match.
///
/// [`Index::search`](super::Index::search) does a slice of it. What is there from the first slice to the last is found once;
/// of what comes or goes meanwhile some may be.
#[derive(Clone, Debug)]
pub struct Search {
    subject: Box<[u8]>,
    pub(super) stage: Stage,
}

/// Which part of the index comes next, and where in it.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// The subject's own part.
    Home(Path),
    /// The part of filters that begin with a wildcard.
    Wild(Path),
    Over,
}

/// The way to the next node of a trie: whether it is the star that was taken, for each token of the subject that is passed.
/// Without any, the part has not been looked at.
///
/// A node is looked for by this from the root on, since it may be gone, and others may have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(pub(super) Vec<bool>);

/// What is found, and when that is enough.
pub(super) struct Finding<'a> {
    found: &'a mut Matches,
    /// Members of queue groups, which are not sorted yet.
    pub(super) members: Vec<Arc<Subscription>>,
    looked_at: usize,
    limits: Limits,
}

/// When it is enough.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// So many subscriptions and nodes on the way to them are looked at, and the filter in hand to its end.
    looked_at: usize,
    /// A filter with more subscriptions of clients, plain or of one queue group, is not listed.
    listed: usize,
}

impl Search {
    /// One that has not begun, for a subject as it is published.
    pub fn new(subject: &[u8]) -> Self {
        Self { subject: subject.into(), stage: Stage::Home(Path::default()) }
    }

    /// What is looked for.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Whether everything was found.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

impl<'a> Finding<'a> {
    pub(super) fn new(found: &'a mut Matches, limits: Limits) -> Self {
        Self { found, members: Vec::new(), looked_at: 0, limits }
    }

    pub(super) fn is_enough(&self) -> bool {
        self.looked_at >= self.limits.looked_at
    }

    pub(super) fn pass(&mut self, nodes: usize) {
        self.looked_at += nodes;
    }

    pub(super) fn is_crowd(&self, subscriptions: usize) -> bool {
        subscriptions > self.limits.listed
    }

    pub(super) fn add(&mut self, subscription: &Arc<Subscription>) {
        self.looked_at += 1;
        let is_member = subscription.queue().is_some();
        let list = if is_member { &mut self.members } else { &mut self.found.plain };
        list.push(Arc::clone(subscription));
    }

    pub(super) fn add_crowd(&mut self, crowd: Crowd) {
        self.looked_at += 1;
        self.found.crowds.push(crowd);
    }

    /// Puts the members where they belong, and says how much was looked at.
    pub(super) fn finish(self) {
        self.found.looked_at += self.looked_at;
        self.found.add_queues(self.members);
    }
}

impl Limits {
    /// What is gathered at once, and remembered.
    pub(super) const OF_COLLECTION: Self = Self { looked_at: MAX_COLLECTED, listed: MAX_LISTED };

    /// What is found in a slice, to be delivered at once.
    pub(super) const OF_SLICE: Self = Self { looked_at: SEARCH_SLICE, listed: SEARCH_SLICE };

    #[cfg(test)]
    pub(super) fn of(looked_at: usize) -> Self {
        Self { looked_at, ..Self::OF_SLICE }
    }
}

/// Where more subscriptions, and nodes of the trie on the way to them, are looked at to find who matches, a message is
/// delivered by a search: with those of the filter in hand about a millisecond.
pub const MAX_COLLECTED: usize = 8 * 1024;

/// About so many are looked at in one slice of a search: each may get the message, and end with it.
const SEARCH_SLICE: usize = 384;
