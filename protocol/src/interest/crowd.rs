//! Very many subscriptions to one filter, which are not listed.

use std::sync::Arc;

use super::{Source, Subscription, SubscriptionId};

/// Subscriptions of clients to one filter, plain ones or members of one queue group, so many that
/// [`Index::collect`](super::Index::collect) only names them.
///
/// All are had in slices, by [`Index::next_of`](super::Index::next_of), from the first to the last that there was when
/// they were named: each of them that is still there when its turn comes is had once, and who came later is not. Any one is
/// had by [`Index::one_of`](super::Index::one_of).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    filter: Box<[u8]>,
    queue: Option<Box<[u8]>>,
    count: usize,
    /// The last one that was had.
    passed: Option<SubscriptionId>,
    last: SubscriptionId,
}

impl Crowd {
    pub(super) fn new(last: &Subscription, count: usize) -> Self {
        Self {
            filter: last.subject().into(),
            queue: last.queue().map(Into::into),
            count,
            passed: None,
            last: last.id(),
        }
    }

    /// The filter that all of them share.
    pub fn filter(&self) -> &[u8] {
        &self.filter
    }

    /// The queue group that they are members of, if they are.
    pub fn queue(&self) -> Option<&[u8]> {
        self.queue.as_deref()
    }

    /// How many they were when they were named.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether all of them were had.
    pub fn is_over(&self) -> bool {
        self.passed == Some(self.last)
    }

    /// Whether a subscription to this filter is of this kind.
    pub(super) fn has(&self, sub: &Subscription) -> bool {
        sub.source() == Source::Client && sub.queue() == self.queue()
    }

    /// The last one that was had.
    pub(super) fn passed(&self) -> Option<SubscriptionId> {
        self.passed
    }

    /// Whether one with this id is still to be had.
    pub(super) fn awaits(&self, id: SubscriptionId) -> bool {
        self.passed < Some(id) && id <= self.last
    }

    /// Notes that these were had, which is a slice, or the end.
    pub(super) fn pass(&mut self, slice: &[Arc<Subscription>]) {
        let is_whole = slice.len() == CROWD_SLICE;
        self.passed = slice.last().filter(|_| is_whole).map_or(Some(self.last), |sub| Some(sub.id()));
    }
}

/// More subscriptions of clients to one filter than this, plain or of one queue group, are a crowd.
pub const MAX_LISTED: usize = 4096;

/// How many subscriptions of a crowd are had at a time: each may end with the message that it gets.
pub(super) const CROWD_SLICE: usize = 512;
