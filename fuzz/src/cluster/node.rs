//! One engine with a client that subscribes and publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use onehop::config::{ClusterConfig, Config};
use onehop::hub::Kind;
use onehop::interest::Source;
use onehop::wire::Info;
use onehop::{ConnectionId, Engine, Instant, Listening};

use crate::stream::ClientStream;
use crate::subject::matches;

/// A member of the cluster.
pub(super) struct Node {
    pub(super) engine: Engine,
    client: ConnectionId,
    stream: ClientStream,
    /// Every subscription that the client ever made, by its name.
    subs: Vec<Sub>,
}

/// A subscription of a client.
pub(super) struct Sub {
    pub(super) subject: &'static str,
    /// Empty unless it is a member of a group.
    pub(super) queue: &'static str,
    is_live: bool,
}

impl Sub {
    pub(super) fn wants(&self, subject: &str) -> bool {
        matches(self.subject.as_bytes(), subject.as_bytes())
    }
}

/// A message as a client got it.
pub(super) struct Delivery {
    /// Its place in [`Node::sub`].
    pub(super) sid: usize,
    pub(super) body: Vec<u8>,
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
        let listening = Listening { client_port: 4222, route_port: ROUTE_PORT, ..Listening::default() };
        let mut engine = Engine::new(config, &listening, now);
        let client = engine.handle_accept_client(now, ([127, 0, 0, 1], 1).into());
        let mut node = Self { engine, client, stream: ClientStream::default(), subs: Vec::new() };
        node.say(now, "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\nPING\r\n");
        node
    }

    pub(super) fn id(&self) -> String {
        self.engine.node().hub().server_id().to_owned()
    }

    /// How many subscriptions the client ever made.
    pub(super) fn sub_count(&self) -> usize {
        self.subs.len()
    }

    /// A subscription that the client made.
    pub(super) fn sub(&self, sid: usize) -> &Sub {
        &self.subs[sid]
    }

    /// What the client is subscribed to, by name.
    pub(super) fn live(&self) -> impl Iterator<Item = (usize, &Sub)> {
        self.subs.iter().enumerate().filter(|(_, sub)| sub.is_live)
    }

    /// The client subscribes, as a member of `queue` unless that is empty.
    pub(super) fn subscribe(&mut self, now: Instant, subject: &'static str, queue: &'static str) {
        self.say(now, &format!("SUB {subject} {queue} {}\r\n", self.subs.len()));
        self.subs.push(Sub { subject, queue, is_live: true });
    }

    /// The client ends a subscription, if it still has it.
    pub(super) fn unsubscribe(&mut self, now: Instant, sid: usize) -> Option<&Sub> {
        self.say(now, &format!("UNSUB {sid}\r\n"));
        std::mem::replace(&mut self.subs[sid].is_live, false).then(|| &self.subs[sid])
    }

    /// The client publishes a message that is told from all others by its number.
    pub(super) fn publish(&mut self, now: Instant, subject: &str, number: u32) {
        let body = number.to_string();
        let reply = if number.is_multiple_of(2) { "reply " } else { "" };
        self.say(now, &format!("PUB {subject} {reply}{}\r\n{body}\r\n", body.len()));
    }

    fn say(&mut self, now: Instant, line: &str) {
        self.engine.handle_input(now, self.client, line.as_bytes()).expect("the client stays");
    }

    /// What the client got since the last call.
    pub(super) fn receive(&mut self) -> Vec<Delivery> {
        let bytes = self.engine.transmit(self.client).expect("the client stays");
        let delivery = |message: crate::stream::Message| {
            let sid = String::from_utf8(message.sid).expect("digits");
            let sid = sid.parse::<usize>().expect("a number");
            assert!(sid < self.subs.len(), "a message for a subscription that was never made");
            Delivery { sid, body: message.body }
        };
        self.stream.messages(&bytes).into_iter().map(delivery).collect()
    }

    /// Where the client was last told that it may connect to.
    pub(super) fn connect_urls(&self) -> BTreeSet<String> {
        Info::from_json(self.stream.info()).expect("INFO").connect_urls.into_iter().collect()
    }

    /// The registered routes to each peer, each with the account that it is dedicated to, if any.
    pub(super) fn routes(&self) -> BTreeMap<String, Vec<Option<String>>> {
        let mut routes = BTreeMap::<_, Vec<_>>::new();
        for entry in self.engine.node().hub().directory().list(Kind::Route) {
            let about = entry.about();
            if !about.remote_id.is_empty() {
                routes.entry(about.remote_id).or_default().push(about.account);
            }
        }
        routes
    }

    /// All route connections, registered or not.
    pub(super) fn route_ids(&self) -> Vec<ConnectionId> {
        let routes = self.engine.node().hub().directory().list(Kind::Route);
        routes.iter().map(|entry| entry.id()).collect()
    }

    /// The peer and the account of a route.
    pub(super) fn route(&self, id: ConnectionId) -> (String, Option<String>) {
        let about = self.engine.node().hub().directory().get(id).expect("an open route").about();
        (about.remote_id, about.account)
    }

    /// What the node's own client wants.
    pub(super) fn wants(&self) -> Wants {
        let mut wants = Wants::new();
        for (_, sub) in self.live() {
            let key = (sub.subject.as_bytes().to_vec(), sub.queue.as_bytes().to_vec());
            let count = wants.entry(key).or_default();
            *count = if sub.queue.is_empty() { 1 } else { *count + 1 };
        }
        wants
    }

    /// What the node believes that others want, by the others' ids; and, under its own, what it knows that its client
    /// wants.
    pub(super) fn believes(&self) -> BTreeMap<String, Wants> {
        let mut believed = BTreeMap::<_, Wants>::new();
        let hub = self.engine.node().hub();
        hub.global_account().index().for_each(&mut |sub| {
            let entry = hub.directory().get(sub.connection()).expect("interest of an open connection");
            let is_own = sub.source() == Source::Client;
            let id = if is_own { self.id() } else { entry.about().remote_id };
            let key = (sub.subject().to_vec(), sub.queue().unwrap_or_default().to_vec());
            let is_plain = key.1.is_empty();
            let wants = believed.entry(id).or_default();
            if is_own {
                let count = wants.entry(key).or_default();
                *count = if is_plain { 1 } else { *count + 1 };
            } else {
                assert_eq!(wants.insert(key, sub.weight()), None, "held twice");
            }
        });
        believed
    }
}
