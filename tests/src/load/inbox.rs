//! A subscriber on a thread of its own that checks every message it gets.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::batch::sequence_of;
use super::connection::Connection;
use super::dialect::Dialect;
use super::scan::Item;

/// The subject by which a publisher finds out that an inbox is reached.
pub const READY_SUBJECT: &str = "ready";

/// The subscription id for [`READY_SUBJECT`], above all others.
const READY_SID: u32 = 1_000_000;

/// What an inbox subscribes to and what it must get.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What its server speaks.
    pub dialect: Dialect,
    /// Filter and queue group of each subscription; the ids are 1, 2 and so on.
    pub subscriptions: Vec<(String, Option<String>)>,
    /// The head of every message ([`Item::Message`]), or the beginning of it.
    pub head: String,
    /// The size of every payload.
    pub payload_bytes: usize,
}

/// What an inbox has got so far; written by its thread after each read, read by the publisher.
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    sequence_sum: AtomicU64,
    misordered: AtomicU64,
    foreign: AtomicU64,
    pongs: AtomicU64,
    ready: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Tally {
    /// Messages received whose subject, subscription, size and stamps are right.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// The sum of their sequence numbers, wrapping: two members of a queue group can hide a message that one got twice
    /// and another lost from the count, but not from this sum.
    pub fn sequence_sum(&self) -> u64 {
        self.sequence_sum.load(Ordering::Acquire)
    }

    /// Messages whose sequence number did not grow: out of order, or a second time.
    pub fn misordered(&self) -> u64 {
        self.misordered.load(Ordering::Acquire)
    }

    /// Messages with a wrong subject, subscription, size or stamp, and notices that nobody asked for.
    pub fn foreign(&self) -> u64 {
        self.foreign.load(Ordering::Acquire)
    }

    /// Answers to [`Inbox::ping`].
    pub fn pongs(&self) -> u64 {
        self.pongs.load(Ordering::Acquire)
    }

    /// Whether a message to [`READY_SUBJECT`] came.
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Why the connection ended, if the server ended it.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A subscriber's connection and the thread that reads it; dropping it ends both.
pub struct Inbox {
    tally: Arc<Tally>,
    closing: Arc<AtomicBool>,
    stream: TcpStream,
    dialect: Dialect,
    thread: Option<JoinHandle<()>>,
}

impl Inbox {
    /// Subscribes, waits until the server has taken the subscriptions, and starts to read.
    pub fn open(mut connection: Connection, expectation: Expectation) -> io::Result<Self> {
        let dialect = expectation.dialect;
        let mut lines = Vec::new();
        for (sid, (filter, queue)) in (1..).zip(&expectation.subscriptions) {
            dialect.subscribe(filter, queue.as_deref(), sid, &mut lines);
        }
        // Last, so that on a route its interest follows the others' (one account, one connection, in order).
        dialect.subscribe(READY_SUBJECT, None, READY_SID, &mut lines);
        connection.send(&lines)?;
        connection.fence()?;
        connection.wait_for_ever()?;

        let tally = Arc::new(Tally::default());
        let closing = Arc::new(AtomicBool::new(false));
        let stream = connection.handle()?;
        let thread = thread::spawn({
            let (tally, closing) = (Arc::clone(&tally), Arc::clone(&closing));
            move || read(connection, &expectation, &tally, &closing)
        });
        Ok(Self { tally, closing, stream, dialect, thread: Some(thread) })
    }

    /// What came so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends a ping; once [`Tally::pongs`] has grown, all that the server had queued for this inbox before has come.
    pub fn ping(&self) -> io::Result<()> {
        (&self.stream).write_all(self.dialect.ping())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        Connection::close(&self.stream);
        if let Some(thread) = self.thread.take() {
            // A panic of the reader has been printed; its tally lacks messages, which the load reports.
            let _ = thread.join();
        }
    }
}

fn read(mut connection: Connection, expectation: &Expectation, tally: &Tally, closing: &AtomicBool) {
    let mut reader = Reader::default();
    let failure = loop {
        let result = connection.receive(|item| {
            reader.handle(item, expectation);
            Ok(())
        });
        reader.publish(tally);
        if let Err(error) = result {
            break error;
        }
    };
    if !closing.load(Ordering::Acquire) {
        *tally.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.to_string());
    }
}

/// The reading thread's own counters, published once per read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reader {
    received: u64,
    sequence_sum: u64,
    misordered: u64,
    foreign: u64,
    pongs: u64,
    ready: bool,
    next: u64,
}

impl Reader {
    fn handle(&mut self, item: Item<'_>, expectation: &Expectation) {
        match item {
            Item::Message { head, payload }
                if head.starts_with(expectation.head.as_bytes())
                    && payload.len() == expectation.payload_bytes =>
            {
                match sequence_of(payload) {
                    Some(sequence) => self.count(sequence),
                    None => self.foreign += 1,
                }
            }
            Item::Message { head, .. } if head.starts_with(READY_SUBJECT.as_bytes()) => self.ready = true,
            Item::Message { .. } | Item::Notice(_) => self.foreign += 1,
            Item::Pong => self.pongs += 1,
            Item::Ping | Item::Idle | Item::Refused(_) => {}
        }
    }

    /// Gaps are not counted here: a member of a queue group has many, and elsewhere the count tells what was lost.
    fn count(&mut self, sequence: u64) {
        self.received += 1;
        self.sequence_sum = self.sequence_sum.wrapping_add(sequence);
        if sequence < self.next {
            self.misordered += 1;
        } else {
            self.next = sequence + 1;
        }
    }

    fn publish(&self, tally: &Tally) {
        tally.sequence_sum.store(self.sequence_sum, Ordering::Release);
        tally.misordered.store(self.misordered, Ordering::Release);
        tally.foreign.store(self.foreign, Ordering::Release);
        tally.received.store(self.received, Ordering::Release);
        tally.pongs.store(self.pongs, Ordering::Release);
        tally.ready.store(self.ready, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::batch::stamp;

    fn expectation() -> Expectation {
        let dialect = Dialect::Nats;
        Expectation {
            dialect,
            subscriptions: Vec::new(),
            head: dialect.head("bench.0", 1),
            payload_bytes: 16,
        }
    }

    fn read_sequences(sequences: &[u64]) -> Reader {
        let expectation = expectation();
        let mut reader = Reader::default();
        for &sequence in sequences {
            let mut payload = [0; 16];
            stamp(&mut payload, sequence);
            reader.handle(Item::Message { head: b"bench.0 1 ", payload: &payload }, &expectation);
        }
        reader
    }

    #[test]
    fn messages_in_order_are_counted_with_their_sum() {
        let reader = read_sequences(&[0, 1, 2, 3]);
        assert_eq!((reader.received, reader.sequence_sum, reader.misordered, reader.foreign), (4, 6, 0, 0));
    }

    #[test]
    fn a_message_that_comes_twice_or_late_is_misordered() {
        assert_eq!(read_sequences(&[0, 1, 1, 2]).misordered, 1);
        assert_eq!(read_sequences(&[0, 2, 1, 3]).misordered, 1);
        assert_eq!(read_sequences(&[0, 2, 5]).misordered, 0);
    }

    #[test]
    fn what_was_not_expected_is_foreign() {
        let expectation = expectation();
        let mut reader = Reader::default();
        let mut payload = [0; 16];
        stamp(&mut payload, 0);
        reader.handle(Item::Message { head: b"bench.0 2 ", payload: &payload }, &expectation);
        reader.handle(Item::Message { head: b"bench.0 1 ", payload: &payload[..15] }, &expectation);
        reader.handle(Item::Message { head: b"bench.0 1 ", payload: &[b'x'; 16] }, &expectation);
        reader.handle(Item::Notice(b"NATS/1.0 503\r\n\r\n"), &expectation);
        assert_eq!((reader.received, reader.foreign), (0, 4));
    }
}
