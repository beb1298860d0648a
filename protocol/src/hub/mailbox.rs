//! What waits for the services of this node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::ConnectionId;
use crate::interest::Subscription;
use crate::lock::{Mutex, Place};

/// Messages to services, from whoever read them to whoever drives the node. What does not fit is dropped and counted:
/// a service answers as it can, and nobody's path waits for it. No connection takes the room of all others.
#[derive(Debug)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    bytes: usize,
}

/// A message to a service.
#[derive(Debug)]
pub(crate) struct Letter {
    /// The service's subscription that it is for.
    pub(crate) to: Arc<Subscription>,
    /// The connection that it was read from.
    pub(crate) from: ConnectionId,
    /// Where an answer goes.
    pub(crate) reply: Option<Box<[u8]>>,
    /// The message without its headers.
    pub(crate) payload: Box<[u8]>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { waiting: Mutex::new(Place::Services, Waiting::default()), dropped: AtomicU64::new(0) }
    }
}

impl Mailbox {
    /// How many messages were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Puts a message in; false if it was dropped.
    pub(crate) fn put(
        &self,
        to: &Arc<Subscription>,
        from: ConnectionId,
        reply: Option<&[u8]>,
        payload: &[u8],
    ) -> bool {
        let bytes = reply.map_or(0, <[u8]>::len) + payload.len();
        let mut waiting = self.waiting.lock();
        if !waiting.has_room(from, bytes) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        waiting.bytes += bytes;
        waiting.letters.push_back(Letter {
            to: to.clone(),
            from,
            reply: reply.map(Into::into),
            payload: payload.into(),
        });
        true
    }

    /// Takes out what has waited longest.
    pub(crate) fn take_first(&self) -> Option<Letter> {
        let mut waiting = self.waiting.lock();
        let first = waiting.letters.pop_front()?;
        waiting.bytes -= first.bytes();
        Some(first)
    }
}

impl Waiting {
    fn has_room(&self, from: ConnectionId, bytes: usize) -> bool {
        let of_one = || self.letters.iter().filter(|letter| letter.from == from);
        self.letters.len() < MAX_WAITING_MESSAGES
            && self.bytes + bytes <= MAX_WAITING_BYTES
            && of_one().count() < MAX_MESSAGES_OF_ONE
            && of_one().map(Letter::bytes).sum::<usize>() + bytes <= MAX_BYTES_OF_ONE
    }
}

impl Letter {
    fn bytes(&self) -> usize {
        self.reply.as_ref().map_or(0, |reply| reply.len()) + self.payload.len()
    }
}

/// No more messages wait for the services of a node.
const MAX_WAITING_MESSAGES: usize = 1024;

/// Nor do more bytes: four times the largest answer that is read, so that one fits beside questions.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Nor more of what came over one connection.
const MAX_MESSAGES_OF_ONE: usize = MAX_WAITING_MESSAGES / 4;

/// Twice the largest answer that is read.
const MAX_BYTES_OF_ONE: usize = MAX_WAITING_BYTES / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interest::{Source, SubscriptionId};

    fn service() -> Arc<Subscription> {
        let id = SubscriptionId(1);
        Arc::new(Subscription::new(id, ConnectionId::SERVICES, Source::Service, b"s", b"", b"x"))
    }

    fn take_all(mailbox: &Mailbox) -> usize {
        std::iter::from_fn(|| mailbox.take_first()).count()
    }

    #[test]
    fn what_exceeds_the_limits_is_dropped_and_counted() {
        let (mailbox, to) = (Mailbox::default(), service());
        let put = |from, payload: &[u8]| mailbox.put(&to, ConnectionId::new(from, 0), None, payload);
        for number in 0..MAX_WAITING_MESSAGES as u32 {
            assert!(put(number, b"question"));
        }
        assert!(!put(5, b""));
        assert_eq!(mailbox.dropped(), 1);
        assert_eq!(take_all(&mailbox), MAX_WAITING_MESSAGES);

        assert!(put(1, &vec![0; MAX_BYTES_OF_ONE]) && put(2, &vec![0; MAX_BYTES_OF_ONE]));
        assert!(!put(3, b"1"), "the bytes of what waits are limited too");
        assert_eq!(take_all(&mailbox), 2);
        assert!(put(3, b"1"), "there is room again");
        assert_eq!(mailbox.dropped(), 2);
    }

    #[test]
    fn one_connection_does_not_take_the_room_of_others() {
        let (mailbox, to) = (Mailbox::default(), service());
        let put = |from, payload: &[u8]| mailbox.put(&to, ConnectionId::new(from, 0), None, payload);
        assert_eq!((0..2000).filter(|_| put(1, b"question")).count(), MAX_MESSAGES_OF_ONE);
        assert!(put(2, b"question"));
        assert!(!put(3, &vec![0; MAX_BYTES_OF_ONE + 1]));
        assert!(put(3, &vec![0; MAX_BYTES_OF_ONE]) && !put(3, b"1"));
        assert!(put(2, b"question"));
    }
}
