//! One engine with a client that subscribes and publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use onehop::config::{ClusterConfig, Config};
use onehop::hub::Kind;
use onehop::interest::Origin;
use onehop::wire::subject::filter_matches;
use onehop::{ConnectionId, Engine, Instant, Listening};

use crate::stream::{ClientStream, Message};

/// A member of the cluster.
pub(super) struct Node {
    pub(super) engine: Engine,
    client: ConnectionId,
    stream: ClientStream,
    /// Every subscription that the client ever made, and its group. A name is never used twice.
    sids: Vec<&'static str>,
    received: BTreeSet<Message>,
}

/// How a node is started.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) number: usize,
    pub(super) pool_size: Option<NonZeroU16>,
    pub(super) is_named: bool,
}

/// What one node wants, by subject and group, with the number of members.
pub(super) type Wants = BTreeMap<(Vec<u8>, Vec<u8>), u32>;

pub(super) const ROUTE_PORT: u16 = 6222;

/// The address of the node with this number.
pub(super) fn host(number: usize) -> String {
    format!("10.0.0.{}", number + 1)
}

impl Node {
    /// A node that dials the nodes with the numbers `routes`.
    pub(super) fn new(start: Start, routes: &BTreeSet<usize>, now: Instant) -> Self {
        let urls = routes.iter().map(|peer| format!("nats://{}:{ROUTE_PORT}", host(*peer)));
        let cluster = ClusterConfig {
            name: start.is_named.then(|| "C".to_owned()),
            host: host(start.number),
            routes: urls.map(|url| url.parse().expect("a URL")).collect(),
            pool_size: start.pool_size,
            ..ClusterConfig::default()
        };
        let config = Config {
            server_name: Some(format!("n{}", start.number)),
            host: host(start.number),
            seed: start.number as u64,
            // Its client answers no PING; routes have an interval of their own.
            ping_interval: Duration::from_secs(1_000_000),
            cluster: Some(cluster),
            ..Config::default()
        };
        let listening = Listening {
            client_port: 4222,
            route_port: ROUTE_PORT,
            interfaces: Vec::new(),
            unix_nanos_at_zero: 0,
        };
        let mut engine = Engine::new(config, &listening, now);
        let client = engine.handle_accept_client(now, ([127, 0, 0, 1], 1).into());
        let mut node = Self {
            engine,
            client,
            stream: ClientStream::default(),
            sids: Vec::new(),
            received: BTreeSet::new(),
        };
        node.say(now, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
        node
    }

    pub(super) fn id(&self) -> String {
        self.engine.node().hub().server_id().to_owned()
    }

    /// The client subscribes, as a member of `queue` unless that is empty.
    pub(super) fn subscribe(&mut self, now: Instant, subject: &str, queue: &'static str) {
        self.say(now, &format!("SUB {subject} {queue} {}\r\n", self.sids.len()));
        self.sids.push(queue);
    }

    /// The client ends a subscription, if it still has it. Whether it was a member of a group.
    pub(super) fn unsubscribe(&mut self, now: Instant, choice: u8) -> bool {
        if self.sids.is_empty() {
            return false;
        }
        let sid = usize::from(choice) % self.sids.len();
        self.say(now, &format!("UNSUB {sid}\r\n"));
        !self.sids[sid].is_empty()
    }

    /// The client publishes a message that is told from all others by its number.
    pub(super) fn publish(&mut self, now: Instant, subject: &str, number: u32) {
        let body = number.to_string();
        self.say(now, &format!("PUB {subject} {}\r\n{body}\r\n", body.len()));
    }

    fn say(&mut self, now: Instant, line: &str) {
        self.engine.handle_input(now, self.client, line.as_bytes()).expect("the client stays");
    }

    /// What the client got since the last call: groups (empty for plain subscriptions) and bodies.
    ///
    /// No subscription gets a message twice, unless one `may_return` (see `World`).
    pub(super) fn receive(&mut self, may_return: bool) -> Vec<(&'static str, Vec<u8>)> {
        let bytes = self.engine.transmit(self.client).expect("the client stays");
        let mut got = Vec::new();
        for message in self.stream.read(&bytes) {
            let sid = String::from_utf8(message.sid.clone()).expect("digits");
            let queue = self.sids[sid.parse::<usize>().expect("one of its subscriptions")];
            got.push((queue, message.body.clone()));
            assert!(self.received.insert(message) || may_return, "a subscription got a message twice");
        }
        got
    }

    /// How many registered connections there are to each peer.
    pub(super) fn route_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.engine.node().hub().directory().list(Kind::Route) {
            let id = entry.about().remote_id;
            if !id.is_empty() {
                *counts.entry(id).or_default() += 1;
            }
        }
        counts
    }

    /// What the node's own client wants.
    pub(super) fn wants(&self) -> Wants {
        let mut wants = Wants::new();
        self.engine.node().hub().global_account().index().for_each(&mut |sub| {
            if sub.origin() == Origin::Client {
                let queue = sub.queue().unwrap_or_default().to_vec();
                let is_plain = queue.is_empty();
                let count = wants.entry((sub.subject().to_vec(), queue)).or_default();
                *count = if is_plain { 1 } else { *count + 1 };
            }
        });
        wants
    }

    /// How many subscriptions of the client, in this group or in none, a message to `subject` is for.
    pub(super) fn matching(&self, subject: &str, queue: &str) -> usize {
        let mut count = 0;
        self.engine.node().hub().global_account().index().for_each(&mut |sub| {
            let is_in_group =
                sub.origin() == Origin::Client && sub.queue().unwrap_or_default() == queue.as_bytes();
            count += usize::from(is_in_group && filter_matches(sub.subject(), subject.as_bytes()));
        });
        count
    }

    /// What the node believes that a peer wants.
    pub(super) fn believes(&self, peer: &str) -> Wants {
        let mut wants = Wants::new();
        let hub = self.engine.node().hub();
        hub.global_account().index().for_each(&mut |sub| {
            let about =
                hub.directory().get(sub.connection()).expect("interest of an open connection").about();
            if sub.origin() != Origin::Client && about.remote_id == peer {
                let key = (sub.subject().to_vec(), sub.queue().unwrap_or_default().to_vec());
                assert_eq!(wants.insert(key, sub.weight()), None, "held twice");
            }
        });
        wants
    }
}
