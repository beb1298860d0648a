//! Clients that do not read what they are sent (wire.md 1.10).

use std::io::IoSlice;
use std::time::Duration;

use onehop::config::Config;
use onehop::hub::{Hub, Kind};
use onehop::{CloseReason, ConnectionId, Engine, EngineTimeout, Instant, Listening};

const MAX_PENDING: usize = 10_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// A node with a subscriber that never reads, and a publisher.
struct Slow {
    engine: Engine,
    subscriber: ConnectionId,
    publisher: ConnectionId,
}

impl Slow {
    fn new() -> Self {
        let config = Config { max_pending: MAX_PENDING, write_deadline: DEADLINE, ..Config::default() };
        let mut engine = Engine::new(config, &Listening::default(), Instant::ZERO);
        let remote = "127.0.0.1:1".parse().expect("an address");
        let [subscriber, publisher] = [(), ()].map(|()| engine.handle_accept_client(Instant::ZERO, remote));
        let mut slow = Self { engine, subscriber, publisher };
        slow.input(subscriber, "CONNECT {\"verbose\":false}\r\nSUB foo 1\r\n");
        slow.input(publisher, "CONNECT {\"verbose\":false}\r\n");
        slow.engine.transmit(subscriber).expect("an open connection");
        slow
    }

    fn input(&mut self, from: ConnectionId, text: &str) {
        self.engine.handle_input(Instant::ZERO, from, text.as_bytes()).expect("an open connection");
    }

    fn publish(&mut self, bytes: usize) {
        let (publisher, payload) = (self.publisher, "x".repeat(bytes));
        self.input(publisher, &format!("PUB foo {bytes}\r\n{payload}\r\n"));
    }

    fn hub(&self) -> &Hub {
        self.engine.node().hub()
    }

    fn pending_bytes(&self) -> usize {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.engine.poll_transmit(self.subscriber, &mut slices).expect("an open connection");
        slices[..filled].iter().map(|slice| slice.len()).sum()
    }
}

#[test]
fn a_client_that_lets_more_than_max_pending_wait_is_closed_without_a_word() {
    let mut slow = Slow::new();
    slow.publish(9_000);
    assert_eq!(slow.engine.poll_closed(), None);
    slow.publish(1_000);
    assert_eq!(slow.engine.poll_closed(), Some((slow.subscriber, CloseReason::SlowConsumerPendingBytes)));
    assert_eq!(slow.hub().totals().slow_clients.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(slow.hub().global_account().index().is_empty(), "its subscription went with it");
    slow.publish(10);
    assert_eq!(slow.engine.poll_closed(), None, "the publisher goes on");
}

#[test]
fn one_batch_beyond_max_pending_keeps_no_more_than_one_message_too_much() {
    let mut slow = Slow::new();
    let messages = format!("PUB foo 100\r\n{}\r\n", "x".repeat(100)).repeat(1000);
    let publisher = slow.publisher;
    slow.input(publisher, &messages);
    assert_eq!(slow.engine.poll_closed(), Some((slow.subscriber, CloseReason::SlowConsumerPendingBytes)));
    let delivered = slow.hub().totals().traffic(Kind::Client).out_bytes() as usize;
    assert!(delivered <= MAX_PENDING, "{delivered}");
}

#[test]
fn a_client_that_takes_too_little_within_the_write_deadline_is_closed() {
    let mut slow = Slow::new();
    slow.publish(1_000);
    slow.engine.handle_blocked(Instant::ZERO, slow.subscriber).expect("an open connection");
    slow.engine.advance(slow.subscriber, 500).expect("as much waits");
    // The first PING of each is due before that.
    slow.engine.handle_timeout(Instant::ZERO + Duration::from_secs(3));
    let deadline = Instant::ZERO + DEADLINE;
    assert_eq!(slow.engine.poll_timeout(), Some((deadline, EngineTimeout::WriteDeadline(slow.subscriber))));
    slow.engine.handle_timeout(deadline);
    assert_eq!(slow.engine.poll_closed(), Some((slow.subscriber, CloseReason::SlowConsumerWriteDeadline)));
}

#[test]
fn a_client_that_takes_all_in_time_has_no_deadline_any_more() {
    let mut slow = Slow::new();
    slow.publish(1_000);
    slow.engine.handle_blocked(Instant::ZERO, slow.subscriber).expect("an open connection");
    let pending_bytes = slow.pending_bytes();
    slow.engine.advance(slow.subscriber, pending_bytes).expect("as much waits");
    slow.engine.handle_timeout(Instant::ZERO + DEADLINE);
    assert_eq!(slow.engine.poll_closed(), None);
}

#[test]
fn the_last_words_of_a_closed_connection_are_written_or_given_up_after_the_deadline() {
    for reads in [true, false] {
        let mut slow = Slow::new();
        let subscriber = slow.subscriber;
        slow.publish(100);
        slow.input(subscriber, "NONSENSE\r\n");
        assert_eq!(slow.engine.poll_closed(), None, "there is something to write yet");
        if reads {
            let last = slow.engine.transmit(subscriber).expect("it is not closed yet");
            assert!(last.ends_with(b"-ERR 'Unknown Protocol Operation'\r\n"));
        } else {
            slow.engine.handle_timeout(Instant::ZERO + DEADLINE);
        }
        assert_eq!(slow.engine.poll_closed(), Some((subscriber, CloseReason::ProtocolViolation)));
    }
}
