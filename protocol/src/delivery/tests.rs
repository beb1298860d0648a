//! The rules of the room, with links that are plain memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Backlog, KEPT_BUFFERS, LAST_WORDS, Link, Links, MAX_STAGED_BYTES, Staging, Written};
use crate::close::CloseReason;
use crate::config::{ClusterConfig, Config};
use crate::connection::Connection;
use crate::driver::{self, SocketKind};
use crate::hub::{Entry, Kind};
use crate::id::ConnectionId;
use crate::node::{Listening, Node};
use crate::outbox::{Body, Delivery, Outbound, Outbox, Pressure, SLOW_AT_BYTES, WritePolicy};
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::Encoder;

const NOW: Instant = Instant::ZERO;

/// A node whose links are memory.
pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) staging: Staging<Memory>,
}

/// Links that nobody writes, and what happened to them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    links: BTreeMap<ConnectionId, InMemory>,
    /// Who was flushed, in that order.
    pub(crate) flushed: Vec<ConnectionId>,
    have_heirs: bool,
}

#[derive(Debug)]
pub(crate) struct InMemory {
    entry: Arc<Entry>,
    pub(crate) backlog: Backlog,
    /// Its peer takes everything at once.
    reads: bool,
    pub(crate) read: Vec<u8>,
    most_pending_bytes: usize,
    /// What is handed to it in the middle of a batch panics, as a fault of the machine would.
    pub(crate) faulty: bool,
}

#[derive(Debug)]
pub(crate) struct InHand<'a> {
    link: &'a mut InMemory,
    flushed: &'a mut Vec<ConnectionId>,
}

impl Links for Memory {
    type Link<'a> = InHand<'a>;

    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(InHand<'_>) -> R) -> Option<R> {
        let link = self.links.get_mut(&id)?;
        Some(f(InHand { link, flushed: &mut self.flushed }))
    }

    fn note_heir(&mut self) {
        self.have_heirs = true;
    }

    fn have_heirs(&self) -> bool {
        self.have_heirs
    }
}

impl Link for InHand<'_> {
    fn entry(&self) -> &Entry {
        &self.link.entry
    }

    fn pressure(&self) -> Pressure {
        self.link.backlog.pressure()
    }

    fn set_policy(&mut self, policy: WritePolicy) {
        self.link.backlog.set_policy(policy);
    }

    fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId) {
        self.link.backlog.bequeath(staged, heir);
    }

    fn heir(&self) -> Option<ConnectionId> {
        self.link.backlog.heir()
    }

    fn push(&mut self, staged: &mut Outbox) -> Pressure {
        assert!(!self.link.faulty, "this is provoked");
        let pressure = self.link.backlog.push(staged);
        self.link.most_pending_bytes = self.link.most_pending_bytes.max(self.link.backlog.pending_bytes());
        pressure
    }

    fn flush(&mut self, now: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
        self.flushed.push(self.link.entry.id());
        self.link.faulty = false;
        self.push(staged);
        if self.link.reads {
            let read = &mut self.link.read;
            self.link.backlog.write(now, |slices| {
                slices.iter().for_each(|slice| read.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            });
            self.link.backlog.release_into(staged);
        }
        close.into_iter().for_each(|reason| self.link.backlog.request_close(reason));
        self.link.backlog.pressure()
    }
}

impl World {
    pub(crate) fn new(max_pending: usize) -> Self {
        Self::of(Config { max_pending, ..Config::default() })
    }

    /// One to which other servers connect.
    pub(crate) fn in_cluster(max_pending: usize) -> Self {
        let cluster = ClusterConfig { name: Some("c".to_owned()), ..ClusterConfig::default() };
        Self::of(Config { max_pending, cluster: Some(cluster), ..Config::default() })
    }

    pub(crate) fn of(config: Config) -> Self {
        let staging = Staging::new(Memory::default(), config.max_pending, KEPT_BUFFERS);
        Self { node: Node::new(config, &Listening::default(), NOW), staging }
    }

    /// A client whose greeting is still staged, and that has no link yet.
    fn open(&mut self) -> Connection {
        self.open_as(SocketKind::Client)
    }

    fn open_as(&mut self, kind: SocketKind) -> Connection {
        let remote = "127.0.0.1:1".parse().expect("an address");
        driver::open(&self.node, NOW, remote, kind, &mut self.staging)
    }

    fn insert(&mut self, connection: &Connection, reads: bool) {
        let link = InMemory {
            entry: connection.entry().clone(),
            backlog: Backlog::new(connection.write_policy()),
            reads,
            read: Vec::new(),
            most_pending_bytes: 0,
            faulty: false,
        };
        self.staging.links_mut().links.insert(connection.id(), link);
    }

    /// A client that was greeted.
    pub(crate) fn client(&mut self, reads: bool) -> Connection {
        let connection = self.open();
        self.insert(&connection, true);
        self.flush();
        let link = self.link(connection.id());
        link.reads = reads;
        link.read.clear();
        self.staging.links_mut().flushed.clear();
        connection
    }

    /// A server that connected and reads everything.
    pub(crate) fn route(&mut self) -> Connection {
        let connection = self.open_as(SocketKind::Route);
        self.insert(&connection, true);
        self.flush();
        connection
    }

    fn flush(&mut self) -> Vec<ConnectionId> {
        self.staging.flush(NOW, self.node.hub())
    }

    pub(crate) fn link(&mut self, id: ConnectionId) -> &mut InMemory {
        self.staging.links_mut().links.get_mut(&id).expect("a link")
    }

    fn deliver(&mut self, to: ConnectionId, payload_bytes: usize) {
        let body = [vec![b'x'; payload_bytes], b"\r\n".to_vec()].concat();
        self.staging.deliver(to, &Delivery { prefix: b"MSG a 1 ", line: b"N\r\n", body: &Body::new(&body) });
    }
}

#[test]
fn the_connection_that_was_read_from_is_flushed_last_and_each_is_flushed_once() {
    let mut world = World::new(1000);
    let [a, b, c] = [(); 3].map(|()| world.client(true).id());
    for reader in [a, b, c] {
        world.staging.begin(reader);
        for to in [a, b, c, a, b, c] {
            world.staging.send(to, b"PONG\r\n");
        }
        world.flush();
        let mut flushed = std::mem::take(&mut world.staging.links_mut().flushed);
        assert_eq!(flushed.last(), Some(&reader));
        flushed.sort_unstable();
        assert_eq!(flushed, [a, b, c]);
    }
    world.staging.begin(a);
    world.staging.send(b, b"PONG\r\n");
    world.flush();
    assert_eq!(world.staging.links_mut().flushed, [b], "nothing was staged for the others");
}

#[test]
fn an_announcement_stands_in_the_link_at_once_behind_what_was_staged_for_it() {
    let mut world = World::new(1000);
    let (a, b) = (world.client(false).id(), world.client(true).id());
    world.staging.begin(b);
    world.staging.send(a, b"one ");
    world.staging.announce(a, b"two ");
    assert_eq!(world.link(a).backlog.pending_bytes(), 8);
    world.staging.send(a, b"three ");
    assert_eq!(world.link(a).backlog.pending_bytes(), 8, "no announcement");
    world.link(a).reads = true;
    world.flush();
    assert_eq!(world.link(a).read, b"one two three ");
}

#[test]
fn what_is_announced_to_the_connection_that_was_read_from_does_not_overtake_what_it_sent() {
    let mut world = World::new(1000);
    let (a, b) = (world.client(false).id(), world.client(false).id());
    world.staging.begin(a);
    world.staging.send(b, b"message");
    world.staging.send(a, b"PONG\r\n");
    world.staging.announce(a, b"INFO");
    assert_eq!(world.link(b).backlog.pending_bytes(), 7);
    assert!(world.staging.links_mut().flushed.is_empty(), "nobody is written to before the end of the batch");
}

#[test]
fn a_batch_that_multiplies_never_exceeds_what_may_wait_and_ends_its_target_once() {
    for max_pending in [10_000, 4 * MAX_STAGED_BYTES] {
        let mut world = World::new(max_pending);
        let (target, reader) = (world.client(false).id(), world.client(true).id());
        world.staging.begin(reader);
        for _ in 0..8 * max_pending / 1000 {
            world.deliver(target, 1000);
            let staged = world.staging.staged_bytes(target);
            assert!(staged <= MAX_STAGED_BYTES.min(max_pending), "{staged}");
        }
        assert!(world.link(target).most_pending_bytes <= max_pending);
        assert_eq!(world.link(target).backlog.close_request(), Some(CloseReason::SlowConsumerPendingBytes));
        assert_eq!(world.flush(), [], "nobody waits for one that is to be closed");
        assert_eq!(world.link(target).backlog.pending_bytes(), 0);
        world.staging.send(target, b"PING\r\n");
        world.flush();
        assert_eq!(world.link(target).backlog.pending_bytes(), 0, "it takes nothing more");
    }
}

#[test]
fn producers_are_told_of_a_target_that_is_half_way_to_its_end() {
    let mut world = World::new(4 * MAX_STAGED_BYTES);
    let (target, reader) = (world.client(false).id(), world.client(true).id());
    world.staging.begin(reader);
    for _ in 0..3 * MAX_STAGED_BYTES / 1000 {
        world.deliver(target, 1000);
        world.deliver(reader, 1);
    }
    assert_eq!(world.flush(), [target]);
    assert_eq!(world.link(target).backlog.close_request(), None);
}

#[test]
fn a_message_is_counted_once_though_its_batch_is_handed_over_in_parts() {
    let mut world = World::new(64 * MAX_STAGED_BYTES);
    let target = world.client(true);
    for _ in 0..2 {
        for _ in 0..3 * MAX_STAGED_BYTES / 1000 {
            world.deliver(target.id(), 1000);
        }
        world.staging.announce(target.id(), b"INFO {}\r\n");
        world.flush();
    }
    let messages = 2 * (3 * MAX_STAGED_BYTES as u64 / 1000);
    assert_eq!(target.entry().traffic().out_messages(), messages);
    assert_eq!(world.node.hub().totals().traffic(Kind::Client).out_bytes(), messages * 1000);
}

#[test]
fn output_for_one_that_is_being_made_is_kept_and_for_one_that_is_gone_dropped() {
    let mut world = World::new(1000);
    let newcomer = world.open();
    world.staging.announce(newcomer.id(), b"PING\r\n");
    world.insert(&newcomer, true);
    world.flush();
    let read = std::mem::take(&mut world.link(newcomer.id()).read);
    assert!(read.starts_with(b"INFO {") && read.ends_with(b"PING\r\n"), "{}", read.escape_ascii());
    world.staging.links_mut().links.clear();
    world.staging.begin(newcomer.id());
    world.staging.send(newcomer.id(), b"one");
    world.staging.announce(newcomer.id(), b"two");
    for _ in 0..100 {
        world.deliver(newcomer.id(), 100);
        assert!(world.staging.staged_bytes(newcomer.id()) <= 1000);
    }
    assert_eq!(world.flush(), []);
    world.insert(&newcomer, true);
    world.staging.send(newcomer.id(), b"three");
    world.flush();
    assert_eq!(world.link(newcomer.id()).read, b"three");
}

#[test]
fn whoever_has_an_index_gets_nothing_that_was_staged_for_its_former_owner() {
    let mut world = World::new(1000);
    let former = world.client(true).id();
    world.staging.send(former, b"former");
    let latter = ConnectionId::new(former.index() as u32, former.generation() + 1);
    let link = world.staging.links_mut().links.remove(&former).expect("a link");
    world.staging.links_mut().links.insert(latter, link);
    world.staging.send(latter, b"latter");
    world.flush();
    assert_eq!(world.link(latter).read, b"latter");
}

#[test]
fn a_close_request_comes_behind_what_was_staged_before_it_and_the_first_reason_stands() {
    let mut world = World::new(1000);
    let target = world.client(true).id();
    world.staging.send(target, b"-ERR 'why'\r\n");
    world.staging.close(target, CloseReason::DuplicateRoute);
    world.staging.close(target, CloseReason::WriteError);
    assert_eq!(world.link(target).backlog.close_request(), None);
    world.flush();
    assert_eq!(world.link(target).read, b"-ERR 'why'\r\n");
    assert_eq!(world.link(target).backlog.close_request(), Some(CloseReason::DuplicateRoute));
}

#[test]
fn no_more_is_staged_than_may_wait_once_that_is_less_by_another_configuration() {
    let mut world = World::new(1_000_000);
    let target = world.client(true).id();
    let config = Config { max_pending: 10_000, max_payload: 10_000, ..Config::default() };
    world.node.handle_config(NOW, config, &mut world.staging).expect("it can change");
    world.flush();
    for _ in 0..100 {
        world.deliver(target, 1000);
        let staged = world.staging.staged_bytes(target);
        assert!(staged <= 10_000, "{staged}");
    }
}

#[test]
fn a_wide_fan_out_keeps_no_more_memory_than_allowed() {
    for kept_buffers in [0, KEPT_BUFFERS] {
        let mut world = World::new(1000);
        world.staging = Staging::new(Memory::default(), 1000, kept_buffers);
        let targets: Vec<_> = (0..2 * KEPT_BUFFERS).map(|_| world.client(true).id()).collect();
        targets.iter().for_each(|target| world.staging.send(*target, b"PING\r\n"));
        world.flush();
        let (buffers, places) = world.staging.kept();
        assert_eq!((buffers, places > 0), (kept_buffers, kept_buffers > 0));
    }
}

const POLICY: WritePolicy = WritePolicy {
    max_pending_bytes: 1000,
    slow_at_bytes: SLOW_AT_BYTES,
    max_control_bytes: None,
    deadline: Duration::from_secs(10),
    retry: false,
};

fn staged(bytes: usize) -> Outbox {
    let mut staged = Outbox::new();
    staged.push_bytes(&vec![b'x'; bytes]);
    staged
}

fn full(_: &[io::IoSlice<'_>]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[test]
fn last_words_are_given_up_when_nothing_of_them_is_taken_and_at_the_write_deadline() {
    for (deadline, longest) in [(10_000, LAST_WORDS.as_millis() as u64), (100, 100)] {
        let policy = WritePolicy { deadline: Duration::from_millis(deadline), ..POLICY };
        let mut backlog = Backlog::new(policy);
        backlog.push(&mut staged(10));
        assert_eq!(backlog.write(NOW, full), Written::Blocked);
        backlog.end(NOW, CloseReason::ServerShutdown);
        assert_eq!(backlog.push(&mut staged(2000)), Pressure::Low, "nothing more is taken");
        assert_eq!((backlog.pending_bytes(), backlog.is_over()), (10, false));
        let give_up_at = NOW + Duration::from_millis(longest);
        assert_eq!(backlog.poll_deadline(), Some(give_up_at));
        backlog.handle_deadline(give_up_at);
        assert_eq!((backlog.pending_bytes(), backlog.is_over(), backlog.poll_deadline()), (0, true, None));
    }
}

#[test]
fn last_words_are_written_up_to_the_write_deadline_while_the_peer_takes_something() {
    let mut backlog = Backlog::new(POLICY);
    backlog.push(&mut staged(10));
    assert_eq!(backlog.write(NOW, full), Written::Blocked);
    backlog.end(NOW, CloseReason::ServerShutdown);
    let mut looks = Vec::new();
    while let Some(look_at) = backlog.poll_deadline() {
        backlog.advance(1);
        backlog.handle_deadline(look_at);
        looks.push(look_at.since(NOW));
    }
    let step = |number| POLICY.deadline.min(LAST_WORDS * number);
    assert_eq!(looks, [1, 2, 3, 4, 5].map(step));
    assert_eq!((backlog.pending_bytes(), backlog.is_over()), (0, true), "the rest is dropped");
}

#[test]
fn a_socket_is_kept_for_a_peer_that_did_not_ask_for_the_end_but_not_beyond_the_write_deadline() {
    let ended = |bytes, request: Option<CloseReason>| {
        let mut backlog = Backlog::new(POLICY);
        backlog.push(&mut staged(bytes));
        request.into_iter().for_each(|reason| backlog.request_close(reason));
        backlog.end(NOW, request.unwrap_or(CloseReason::ClientClosed));
        assert_eq!(backlog.write(NOW, |_| Ok(bytes)), Written::All);
        backlog
    };
    let (stopped, millis) = (Some(CloseReason::ServerShutdown), Duration::from_millis);
    for waited in [0, 10] {
        let prompt = ended(waited, stopped).linger_until(NOW + millis(1)).expect("kept");
        assert!(prompt < NOW + LAST_WORDS, "it kept up, however long it sends");
    }
    let deadline = Some(NOW + POLICY.deadline);
    assert_eq!(ended(10, stopped).linger_until(NOW + millis(300)), deadline, "it took long");
    let late = NOW + (POLICY.deadline - millis(1));
    assert_eq!(ended(10, stopped).linger_until(late), deadline);
    assert_eq!(ended(10, None).linger_until(NOW), None);
    assert_eq!(ended(10, Some(CloseReason::WriteError)).linger_until(NOW), None);
}

#[test]
fn last_words_are_over_once_they_are_written_and_there_are_none_for_who_reads_too_slowly() {
    let mut backlog = Backlog::new(POLICY);
    backlog.push(&mut staged(10));
    backlog.end(NOW, CloseReason::StaleConnection);
    assert_eq!(backlog.write(NOW, |_| Ok(10)), Written::All);
    assert!(backlog.is_over());
    let mut backlog = Backlog::new(POLICY);
    backlog.push(&mut staged(10));
    backlog.end(NOW, CloseReason::SlowConsumerWriteDeadline);
    assert_eq!((backlog.pending_bytes(), backlog.is_over()), (0, true));
}

#[test]
fn an_encoded_connection_is_not_over_before_its_transforms_had_their_last_word() {
    let mut backlog = Backlog::new(POLICY);
    let mut staged = staged(10);
    staged.switch(Encoder::framed(7));
    backlog.push(&mut staged);
    let mut writing = Outbox::new();
    backlog.refill(&mut writing);
    let mut outbound = Outbound::new();
    outbound.encode_from(&mut writing);
    outbound.advance(10);
    outbound.encode_from(&mut writing);
    backlog.refill(&mut writing);
    assert_eq!((backlog.pending_bytes(), backlog.is_coded()), (0, true), "all is written");
    assert!(!backlog.begin_finish(), "more may come");
    backlog.end(NOW, CloseReason::StaleConnection);
    assert!(!backlog.is_over());
    assert_eq!(backlog.poll_deadline(), Some(NOW + LAST_WORDS));
    assert!(backlog.begin_finish() && !backlog.begin_finish(), "once");
    assert!(backlog.is_over(), "nothing was encoded");
    // Nobody hears a last word that is cut off for being slow.
    let mut backlog = Backlog::new(POLICY);
    staged_switch(&mut backlog);
    backlog.end(NOW, CloseReason::SlowConsumerWriteDeadline);
    assert!(backlog.is_over() && !backlog.begin_finish());
}

fn staged_switch(backlog: &mut Backlog) {
    let mut staged = Outbox::new();
    staged.switch(Encoder::framed(7));
    backlog.push(&mut staged);
}

#[test]
fn a_batch_for_very_many_is_given_to_all_at_once_and_written_in_turns_the_reader_last() {
    let ok = b"+OK\r\n".as_slice();
    let mut world = World::new(1_000_000);
    world.staging = world.staging.limit_writes(10);
    let (reader, others) = (world.client(true), [(); 25].map(|()| world.client(true)));
    let to_close = &others[12];
    world.staging.begin(reader.id());
    for connection in [&reader].into_iter().chain(&others) {
        world.staging.send(connection.id(), ok);
    }
    world.staging.close(to_close.id(), CloseReason::ServerShutdown);
    world.flush();
    assert!(world.staging.left_writes());
    let counts = |world: &mut World| {
        let links = world.staging.links_mut().links.values();
        let held = links.clone().filter(|link| link.backlog.pending_bytes() > 0).count();
        (held, links.filter(|link| link.read == b"+OK\r\n").count())
    };
    // Who is to be closed is not let wait.
    assert_eq!(counts(&mut world), (25, 1));
    assert_eq!(world.link(to_close.id()).backlog.close_request(), Some(CloseReason::ServerShutdown));
    // What comes meanwhile to one that waits stands behind, and is written with it.
    world.staging.send(reader.id(), b"PONG\r\n");
    world.flush();
    assert!(!world.staging.left_writes());
    assert_eq!(world.link(reader.id()).read, b"+OK\r\nPONG\r\n");
    for expected in [(14, 11), (4, 21), (0, 25)] {
        assert!(world.staging.wants_write());
        world.staging.write_more(NOW);
        assert_eq!(counts(&mut world), expected);
    }
    assert!(!world.staging.wants_write());
}

#[test]
fn a_peer_that_takes_too_little_in_time_is_asked_to_end() {
    let mut backlog = Backlog::new(POLICY);
    backlog.push(&mut staged(10));
    assert_eq!(backlog.write(NOW, |_| Ok(5)), Written::Blocked);
    let deadline = backlog.poll_deadline().expect("a deadline runs");
    assert_eq!(deadline, NOW + POLICY.deadline);
    backlog.handle_deadline(deadline);
    assert_eq!(backlog.close_request(), Some(CloseReason::SlowConsumerWriteDeadline));
    assert_eq!((backlog.pending_bytes(), backlog.poll_deadline()), (0, None));
}

#[test]
fn a_socket_that_fails_or_takes_nothing_ends_its_connection_and_drops_what_waits() {
    let broken = |_: &[io::IoSlice<'_>]| Err(io::ErrorKind::BrokenPipe.into());
    for write in [broken, |_: &[io::IoSlice<'_>]| Ok(0)] {
        let mut backlog = Backlog::new(POLICY);
        backlog.push(&mut staged(10));
        assert_eq!(backlog.write(NOW, write), Written::Failed);
        assert_eq!(backlog.close_request(), Some(CloseReason::WriteError));
        assert_eq!(backlog.pending_bytes(), 0);
    }
}

#[test]
fn what_is_in_flight_counts_as_waiting() {
    let mut backlog = Backlog::new(POLICY);
    let mut writing = Outbox::new();
    backlog.push(&mut staged(600));
    backlog.refill(&mut writing);
    assert_eq!((writing.pending_bytes(), backlog.pending_bytes()), (600, 600));
    backlog.push(&mut staged(300));
    backlog.refill(&mut writing);
    assert_eq!((writing.pending_bytes(), backlog.pending_bytes()), (600, 900));
    assert_eq!(backlog.push(&mut staged(200)), Pressure::Overflow);
    let mut backlog = Backlog::new(POLICY);
    backlog.push(&mut staged(600));
    let mut writing = Outbox::new();
    backlog.refill(&mut writing);
    backlog.end(NOW, CloseReason::ServerShutdown);
    assert!(!backlog.is_over(), "it is not written yet");
    writing.advance(600);
    backlog.refill(&mut writing);
    assert!(backlog.is_over());
}

#[test]
fn what_is_for_a_connection_that_has_an_heir_goes_there_in_order_and_is_flushed_once() {
    let mut world = World::new(10 * MAX_STAGED_BYTES);
    let [former, heir, reader] = [(); 3].map(|()| world.client(true).id());
    world.staging.begin(reader);
    world.staging.send(former, b"one ");
    world.staging.announce(heir, b"I ");
    world.staging.bequeath(former, heir, b"last");
    world.staging.send(former, b"two ");
    world.staging.announce(former, b"three ");
    world.staging.send(heir, b"four ");
    world.flush();
    assert_eq!(world.link(former).read, b"one last");
    assert_eq!(world.link(heir).read, b"I two three four ");
    let flushed = std::mem::take(&mut world.staging.links_mut().flushed);
    assert_eq!(flushed.iter().filter(|id| **id == heir).count(), 1);
    // Somebody who did not know yet.
    world.staging.begin(reader);
    world.deliver(former, 5);
    assert_eq!(world.flush(), []);
    assert!(world.link(heir).read.ends_with(b"MSG a 1 N\r\nxxxxx\r\n"));
    assert_eq!(world.link(former).read, b"one last");
    // What is too much to be staged.
    for _ in 0..3 {
        world.deliver(former, MAX_STAGED_BYTES / 2);
    }
    world.flush();
    assert_eq!(world.link(heir).backlog.close_request(), None);
    assert_eq!(
        world.link(heir).read.iter().filter(|byte| **byte == b'x').count(),
        5 + 3 * MAX_STAGED_BYTES / 2
    );
}

#[test]
fn what_is_for_an_heir_that_is_gone_is_dropped() {
    let mut world = World::new(1000);
    let [former, heir] = [(); 2].map(|()| world.client(true).id());
    world.staging.bequeath(former, heir, b"last");
    world.flush();
    world.staging.links_mut().links.remove(&heir);
    world.staging.announce(former, b"one");
    world.staging.send(former, b"two");
    world.flush();
    assert_eq!(world.staging.staged_bytes(former), 0);
    assert_eq!(world.link(former).read, b"last");
}

/// As another thread does it between two lines of this one.
fn bequeath_meanwhile(world: &mut World, former: ConnectionId, heir: ConnectionId) {
    let links = world.staging.links_mut();
    links.with(former, |mut link| link.bequeath(&mut Outbox::new(), heir));
    links.note_heir();
}

#[test]
fn what_was_staged_before_another_thread_made_somebody_an_heir_goes_there_first_whoever_is_flushed_when() {
    let mut world = World::new(10 * MAX_STAGED_BYTES);
    let [former, heir, reader] = [(); 3].map(|()| world.client(true).id());
    world.staging.begin(reader);
    world.staging.send(reader, b"PONG\r\n");
    world.staging.send(heir, b"zero ");
    world.staging.send(former, b"one ");
    bequeath_meanwhile(&mut world, former, heir);
    world.staging.send(heir, b"two ");
    world.flush();
    let read = std::mem::take(&mut world.link(heir).read);
    assert_eq!(read, b"one zero two ", "in the order of the messages; an announcement may be early");
}

#[test]
fn nor_is_it_overtaken_by_more_than_is_staged() {
    let mut world = World::new(10 * MAX_STAGED_BYTES);
    let [former, heir, reader] = [(); 3].map(|()| world.client(true).id());
    world.staging.begin(reader);
    world.staging.send(former, b"one ");
    bequeath_meanwhile(&mut world, former, heir);
    (0..2).for_each(|_| world.deliver(heir, MAX_STAGED_BYTES / 2 + 10));
    assert!(world.link(heir).backlog.pending_bytes() > 0, "it is given before the end of the batch");
    world.flush();
    assert!(world.link(heir).read.starts_with(b"one "));
}
