//! Very many subscriptions to one filter, which are gone through a slice at a time.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::{Subscription, SubscriptionId};

/// Plain subscriptions of clients to one filter, so many that [`Index::collect`](super::Index::collect) only names them.
///
/// They are had in slices, by [`Index::next_of`](super::Index::next_of), from the first to the last that there was when they
/// were named. Each of them that is still there when its turn comes is had once; who came later is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    filter: Box<[u8]>,
    /// The last one that was had.
    after: Option<SubscriptionId>,
    last: SubscriptionId,
}

impl Crowd {
    pub(super) fn new(filter: &[u8], last: SubscriptionId) -> Self {
        Self { filter: filter.into(), after: None, last }
    }

    /// The filter that all of them share.
    pub fn filter(&self) -> &[u8] {
        &self.filter
    }

    /// Whether all of them were had.
    pub fn is_over(&self) -> bool {
        self.after == Some(self.last)
    }

    /// The ids of those that were not had yet.
    pub(super) fn rest(&self) -> impl RangeBounds<SubscriptionId> {
        (self.after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Included(self.last))
    }

    /// Notes that these were had, which is a slice, or the end.
    pub(super) fn pass(&mut self, slice: &[Arc<Subscription>]) {
        let is_whole = slice.len() == CROWD_SLICE;
        self.after = slice.last().filter(|_| is_whole).map_or(Some(self.last), |sub| Some(sub.id()));
    }
}

/// More subscriptions of clients to one filter than this are a crowd.
pub const MAX_LISTED: usize = 4096;

/// How many subscriptions of a crowd are had at a time.
pub(super) const CROWD_SLICE: usize = 1024;
