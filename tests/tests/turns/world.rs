//! A node with its links in memory, driven as a worker drives it, that looks at each of its turns.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::sync::Arc;
use std::time::Duration;

use onehop::config::{ClusterConfig, Config};
use onehop::delivery::{Backlog, KEPT_BUFFERS, Link, Links, Staging, WRITES_AT_ONCE};
use onehop::driver::{self, Event, SocketKind};
use onehop::hub::{Entry, Kind};
use onehop::outbox::{Outbox, Pressure, WritePolicy};
use onehop::{CloseReason, Connection, ConnectionId, DialError, Instant, Listening, Node, Services};
use onehop_tests::load::process::thread_cpu_time;
use onehop_tests::peer::Identity;

/// A node, and the longest of its turns.
///
/// A turn is a call that a worker makes before it looks at its other sockets. Peers take at once whatever is sent to them.
pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    services: Services,
    staging: Staging<Memory>,
    now: Instant,
    longest: Turn,
}

/// What one turn led to, in prices, and what it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// What came of it, at [`prices`](Effects::price).
    pub(crate) counted: Duration,
    /// What it took of a CPU.
    pub(crate) cpu: Duration,
}

/// What everybody else can see of a node's work.
#[derive(Clone, Copy, Debug, Default)]
struct Effects {
    /// Messages that clients and routes were given.
    messages: u64,
    /// What they, and all else, come to.
    bytes: u64,
    /// How often a link was given something.
    pushes: u64,
    /// How often one was written to.
    writes: u64,
    /// Subscriptions that came or went, of whomever.
    changes: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let cluster = ClusterConfig { name: Some("C".to_owned()), ..ClusterConfig::default() };
        let config = Config { cluster: Some(cluster), ..Config::default() };
        let listening = Listening { client_port: 4222, route_port: 6222, ..Listening::default() };
        let mut staging =
            Staging::new(Memory::default(), config.max_pending, KEPT_BUFFERS).limit_writes(WRITES_AT_ONCE);
        let node = Node::new(config, &listening, Instant::ZERO);
        let services = Services::new(&node, &mut staging);
        Self { node, services, staging, now: Instant::ZERO, longest: Turn::default() }
    }

    /// The longest turn so far, by either measure.
    pub(crate) fn longest(&self) -> Turn {
        self.longest
    }

    /// A client that has presented itself by `connect`, which is JSON.
    pub(crate) fn client(&mut self, connect: &str) -> Connection {
        let mut client = self.accept(SocketKind::Client);
        self.input(&mut client, format!("CONNECT {connect}\r\n").as_bytes());
        client
    }

    /// A route to a made-up server.
    pub(crate) fn member(&mut self, identity: &Identity) -> Connection {
        let mut route = self.accept(SocketKind::Route);
        self.input(&mut route, identity.join("").as_bytes());
        assert_eq!(route.poll_close(), None, "the member is turned away");
        route
    }

    /// Reads what a peer sent, as much at a time as a worker does, and goes on until all of it is handled.
    pub(crate) fn input(&mut self, connection: &mut Connection, bytes: &[u8]) {
        for read in bytes.chunks(READ_BYTES) {
            self.event(connection, Event::Input(read));
            while connection.wants_turn() {
                self.event(connection, Event::Turn);
            }
            self.look_after_the_node();
        }
    }

    /// Ends a connection whose peer is gone, and goes on until all that it brought is.
    pub(crate) fn end(&mut self, mut connection: Connection) {
        self.event(&mut connection, Event::EndOfInput);
        let id = connection.id();
        let now = self.now;
        let (_, mut left) = self.turn(|node, staging| driver::end(node, connection, now, staging));
        while let Some(removal) = left {
            left = self.turn(|node, staging| driver::remove(node, removal, now, staging));
        }
        self.staging.links_mut().links.remove(&id);
        self.look_after_the_node();
    }

    /// Lets time pass, and does what is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += STEP;
            self.look_after_the_node();
        }
    }

    fn accept(&mut self, kind: SocketKind) -> Connection {
        let remote = "127.0.0.1:40000".parse().expect("an address");
        let now = self.now;
        let mut connection = self.turn(|node, staging| {
            let node = node.clone();
            driver::open(&node, now, remote, kind, staging)
        });
        let entry = connection.entry().clone();
        let backlog = Backlog::new(connection.write_policy());
        self.staging.links_mut().links.insert(connection.id(), InMemory { entry, backlog });
        self.event(&mut connection, Event::Nothing);
        connection
    }

    fn event(&mut self, connection: &mut Connection, event: Event<'_>) {
        let now = self.now;
        self.turn(|node, staging| driver::handle(node, connection, now, event, staging));
        self.write_more();
    }

    /// What the task does that belongs to no connection; every dial is in vain.
    fn look_after_the_node(&mut self) {
        let now = self.now;
        while self.node.take_attention()
            || driver::poll_timeout(&self.node, &self.services).is_some_and(|at| at <= now)
        {
            let Self { node, services, staging, longest, .. } = self;
            longest.look_at(node, staging, |node, staging| {
                driver::handle_timeout(node, services, now, staging);
            });
            self.write_more();
            while let Some(dial) = self.node.poll_dial(now) {
                let refused = DialError::Failed("nobody is there".to_owned());
                self.turn(|node, _| node.handle_dial_failed(now, dial.id, &refused));
            }
        }
    }

    fn write_more(&mut self) {
        let now = self.now;
        while self.staging.wants_write() {
            self.turn(|_, staging| staging.write_more(now));
        }
    }

    fn turn<R>(&mut self, call: impl FnOnce(&Arc<Node>, &mut Staging<Memory>) -> R) -> R {
        self.longest.look_at(&self.node, &mut self.staging, call)
    }
}

impl Turn {
    fn look_at<R>(
        &mut self,
        node: &Arc<Node>,
        staging: &mut Staging<Memory>,
        call: impl FnOnce(&Arc<Node>, &mut Staging<Memory>) -> R,
    ) -> R {
        let before = Effects::of(node, staging);
        let began = thread_cpu_time();
        let result = call(node, staging);
        self.cpu = self.cpu.max(thread_cpu_time() - began);
        self.counted = self.counted.max((Effects::of(node, staging) - before).price());
        result
    }
}

impl Effects {
    fn of(node: &Node, staging: &Staging<Memory>) -> Self {
        let hub = node.hub();
        let index = hub.global_account().index().stats();
        let messages = hub.totals().traffic(Kind::Client).out_messages()
            + hub.totals().traffic(Kind::Route).out_messages();
        Self { messages, changes: index.inserts + index.removes, ..staging.links().effects }
    }

    /// What this takes on the machine that the budget was measured on (design.md 3, rule 11): the prices are those of
    /// `connection/turn.rs`, and that of a system call.
    fn price(&self) -> Duration {
        let units = self.messages
            + self.bytes / 1024
            + 4 * self.pushes
            + 60 * self.changes
            + UNITS_PER_WRITE * self.writes;
        UNIT * u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Sub for Effects {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            messages: self.messages - before.messages,
            bytes: self.bytes - before.bytes,
            pushes: self.pushes - before.pushes,
            writes: self.writes - before.writes,
            changes: self.changes - before.changes,
        }
    }
}

/// Links whose peers take everything at once, and what they were given.
#[derive(Debug, Default)]
struct Memory {
    links: BTreeMap<ConnectionId, InMemory>,
    effects: Effects,
}

#[derive(Debug)]
struct InMemory {
    entry: Arc<Entry>,
    backlog: Backlog,
}

struct InHand<'a> {
    link: &'a mut InMemory,
    effects: &'a mut Effects,
}

impl Links for Memory {
    type Link<'a> = InHand<'a>;

    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(InHand<'_>) -> R) -> Option<R> {
        let link = self.links.get_mut(&id)?;
        Some(f(InHand { link, effects: &mut self.effects }))
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
        let Self { link, effects } = self;
        if !staged.is_empty() {
            effects.pushes += 1;
            effects.bytes += staged.pending_bytes() as u64;
        }
        let pressure = link.backlog.push(staged);
        let taken = link.backlog.pending_bytes();
        link.backlog.write(Instant::ZERO, |slices| Ok(slices.iter().map(|slice| slice.len()).sum()));
        link.backlog.release_into(staged);
        assert!(taken == 0 || link.backlog.pending_bytes() == 0, "memory takes everything");
        pressure
    }

    fn flush(&mut self, _now: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
        let pressure = self.push(staged);
        self.effects.writes += 1;
        close.into_iter().for_each(|reason| self.link.backlog.request_close(reason));
        pressure
    }
}

/// What a worker reads at once.
const READ_BYTES: usize = 64 * 1024;

/// How much time passes between two looks at what is due.
const STEP: Duration = Duration::from_millis(10);

/// What one delivery takes.
const UNIT: Duration = Duration::from_nanos(80);

/// About eight microseconds: [`WRITES_AT_ONCE`] of them take two milliseconds.
const UNITS_PER_WRITE: u64 = 100;
