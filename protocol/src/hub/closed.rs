//! The clients that are gone, of whom monitoring remembers the last.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Entry, Kind};
use crate::accounts::Account;
use crate::close::CloseReason;
use crate::interest::Subscription;
use crate::lock::{Mutex, Place};
use crate::time::Instant;

/// The clients that ended last, as many as [`max_closed_clients`](crate::config::Config::max_closed_clients) and
/// [`MAX_CLOSED_BYTES`] allow.
#[derive(Debug)]
pub struct ClosedConnections {
    max: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    remembered: VecDeque<Arc<Closed>>,
    bytes: usize,
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
    /// The oldest of them, or of some thousands of them, at most [`MAX_KEPT_SUBSCRIPTIONS`] and
    /// [`MAX_KEPT_SUBJECT_BYTES`].
    pub subscriptions: Box<[Arc<Subscription>]>,
    /// About the memory that all of this takes.
    bytes: usize,
}

impl ClosedConnections {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ring: Mutex::new(Place::Facts, Ring::default()) }
    }

    /// All that are remembered, from the first to the last that ended.
    pub fn to_vec(&self) -> Vec<Arc<Closed>> {
        self.ring.lock().remembered.iter().cloned().collect()
    }

    /// How many are remembered.
    #[cfg(feature = "sim")]
    pub(crate) fn len(&self) -> usize {
        self.ring.lock().remembered.len()
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
        let forgotten = self.ring.lock().push(closed, self.max);
        // What they held is freed outside of the lock.
        drop(forgotten);
    }
}

impl Ring {
    /// Adds one, and returns those that are forgotten for it.
    fn push(&mut self, closed: Arc<Closed>, max: usize) -> Vec<Arc<Closed>> {
        self.bytes += closed.bytes;
        self.remembered.push_back(closed);
        let mut forgotten = Vec::new();
        while self.remembered.len() > max || self.bytes > MAX_CLOSED_BYTES {
            let Some(oldest) = self.remembered.pop_front() else { break };
            self.bytes -= oldest.bytes;
            forgotten.push(oldest);
        }
        forgotten
    }
}

impl Closed {
    fn new(entry: &Arc<Entry>, stop: Instant, reason: CloseReason, account: Option<&Account>) -> Self {
        let held = entry.subscriptions();
        let subscription_count = held.len();
        let mut subscriptions = held.oldest(MAX_KEPT_SUBSCRIPTIONS);
        drop(held);
        let text_bytes = keep_short(&mut subscriptions);
        let each = size_of::<Arc<Subscription>>() + size_of::<Subscription>();
        let bytes = size_of::<Self>() + entry.bytes() + subscriptions.len() * each + text_bytes;
        Self {
            entry: entry.clone(),
            stop,
            reason,
            account: account.map_or_else(|| "".into(), Account::shared_name),
            subscription_count,
            subscriptions: subscriptions.into(),
            bytes,
        }
    }
}

/// Drops what is beyond [`MAX_KEPT_SUBJECT_BYTES`], and returns how many bytes the texts of the others have.
fn keep_short(subscriptions: &mut Vec<Arc<Subscription>>) -> usize {
    let mut bytes = 0;
    let mut kept = 0;
    for text in subscriptions.iter().map(|subscription| subscription.text()) {
        if bytes + text.len() > MAX_KEPT_SUBJECT_BYTES {
            break;
        }
        bytes += text.len();
        kept += 1;
    }
    subscriptions.truncate(kept);
    bytes
}

/// How many subscriptions of a closed connection are remembered, so that what clients left behind stays small.
pub const MAX_KEPT_SUBSCRIPTIONS: usize = 64;

/// So many bytes of their subjects, queue groups and names are remembered.
pub const MAX_KEPT_SUBJECT_BYTES: usize = 4 * 1024;

/// No more memory is spent on all that are remembered.
pub const MAX_CLOSED_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::KeyedState;
    use crate::hub::{About, Directory};
    use crate::interest::{Source, SubscriptionId};

    fn entry(directory: &Directory, cid: u64, name: &str) -> Arc<Entry> {
        let remote = "127.0.0.1:1".parse().unwrap();
        let entry = directory.insert(cid, Kind::Client, remote, Instant::ZERO, KeyedState::new(1));
        entry.set_about(About { name: name.to_owned(), ..About::default() });
        entry
    }

    fn subscribe(entry: &Entry, id: u64, subject_bytes: usize) {
        let (subject, sid) = (vec![b's'; subject_bytes], id.to_string());
        let new =
            Subscription::new(SubscriptionId(id), entry.id(), Source::Client, &subject, b"", sid.as_bytes());
        entry.subscriptions().insert(Arc::new(new));
    }

    #[test]
    fn of_long_subjects_only_the_first_of_a_closed_connection_are_remembered() {
        let directory = Directory::default();
        let entry = entry(&directory, 1, "");
        (1..=64).rev().for_each(|id| subscribe(&entry, id, 1000));
        let closed = Closed::new(&entry, Instant::ZERO, CloseReason::ClientClosed, None);
        let kept: Vec<_> = closed.subscriptions.iter().map(|each| each.id().0).collect();
        assert_eq!((closed.subscription_count, kept), (64, vec![1, 2, 3, 4]));
        assert!(
            closed.subscriptions.iter().map(|each| each.text().len()).sum::<usize>()
                <= MAX_KEPT_SUBJECT_BYTES
        );
    }

    #[test]
    fn closed_connections_take_only_so_much_memory_whatever_they_said_of_themselves() {
        let (directory, ring) = (Directory::default(), ClosedConnections::new(usize::MAX));
        let name = "n".repeat(3000);
        for cid in 1..=4000 {
            let entry = entry(&directory, cid, &name);
            subscribe(&entry, cid, 3000);
            ring.note(&entry, Instant::ZERO, CloseReason::ClientClosed, None);
        }
        let kept = ring.to_vec();
        let text_bytes = kept.len() * (3000 + 3000);
        assert!(text_bytes < MAX_CLOSED_BYTES && text_bytes > MAX_CLOSED_BYTES / 5 * 4, "{text_bytes}");
        assert_eq!(kept.last().map(|closed| closed.entry.cid()), Some(4000), "the last are remembered");
        let bytes: usize = kept.iter().map(|closed| closed.bytes).sum();
        assert_eq!(ring.ring.lock().bytes, bytes);
    }
}
