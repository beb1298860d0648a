//! The clients that are gone, of whom monitoring remembers the last.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Entry, Kind};
use crate::accounts::Account;
use crate::close::CloseReason;
use crate::interest::Subscription;
use crate::lock::{Mutex, MutexGuard, Place};
use crate::time::Instant;

/// The clients that ended last, as many as [`max_closed_clients`](crate::config::Config::max_closed_clients).
#[derive(Debug)]
pub struct ClosedConnections {
    max: usize,
    ring: Mutex<VecDeque<Arc<Closed>>>,
}

/// A client that is gone.
#[derive(Debug)]
pub struct Closed {
    /// What was known of it.
    pub entry: Arc<Entry>,
    /// When it ended.
    pub stop: Instant,
    /// Why it ended.
    pub reason: CloseReason,
    /// The account that it was in; empty if that is gone too.
    pub account: Arc<str>,
    /// How many subscriptions it had at its end.
    pub subscription_count: usize,
    /// The oldest of them, at most [`MAX_KEPT_SUBSCRIPTIONS`].
    pub subscriptions: Box<[Arc<Subscription>]>,
}

impl ClosedConnections {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ring: Mutex::new(Place::Facts, VecDeque::new()) }
    }

    /// All that are remembered, from the first to the last that ended.
    pub fn to_vec(&self) -> Vec<Arc<Closed>> {
        self.ring().iter().cloned().collect()
    }

    /// How many are remembered.
    #[cfg(feature = "sim")]
    pub(crate) fn len(&self) -> usize {
        self.ring().len()
    }

    /// Notes what is to be remembered of a connection that ends. To be called while it still has its subscriptions.
    pub(crate) fn note(
        &self,
        entry: &Arc<Entry>,
        stop: Instant,
        reason: CloseReason,
        account: Option<&Account>,
    ) {
        if self.max == 0 || entry.kind() != Kind::Client {
            return;
        }
        let closed = Arc::new(Closed::new(entry, stop, reason, account));
        let mut ring = self.ring();
        let forgotten = if ring.len() >= self.max { ring.pop_front() } else { None };
        ring.push_back(closed);
        drop(ring);
        // What it held is freed outside of the lock.
        drop(forgotten);
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Arc<Closed>>> {
        self.ring.lock()
    }
}

impl Closed {
    fn new(entry: &Arc<Entry>, stop: Instant, reason: CloseReason, account: Option<&Account>) -> Self {
        let mut subscriptions = entry.subscriptions().to_vec();
        let subscription_count = subscriptions.len();
        subscriptions.truncate(MAX_KEPT_SUBSCRIPTIONS);
        let account = account.map_or_else(|| "".into(), Account::shared_name);
        Self {
            entry: entry.clone(),
            stop,
            reason,
            account,
            subscription_count,
            subscriptions: subscriptions.into(),
        }
    }
}

/// How many subscriptions of a closed connection are remembered, so that what clients left behind stays small.
pub const MAX_KEPT_SUBSCRIPTIONS: usize = 64;
