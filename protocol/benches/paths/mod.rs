//! The ways of messages through nodes that are measured: `engine` takes their time, `instructions` counts what they execute.

use std::hint::black_box;
use std::io::IoSlice;

use std::sync::Arc;

use onehop::config::{
    AccountConfig, Authorization, ClusterConfig, Config, Export, Import, Permissions, Response, Rules,
    SubjectRule, User,
};
use onehop::{ConnectionId, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;

/// About as much as a socket gives at once.
const BATCH_BYTES: usize = 64 * 1024;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

const LISTENING: Listening = Listening {
    client_port: 4222,
    websocket_port: 0,
    route_port: 6222,
    interfaces: Vec::new(),
    unix_nanos_at_zero: 0,
};

/// What a publisher sends at once.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    messages: usize,
}

impl Batch {
    /// As many messages as fit, all to `foo.bar`.
    pub(crate) fn of(body_bytes: usize) -> Self {
        Self::to(body_bytes, |_| "foo.bar".to_owned())
    }

    /// As many messages as fit, each to the subject for its number.
    pub(crate) fn to(body_bytes: usize, subject: impl Fn(usize) -> String) -> Self {
        let body = "x".repeat(body_bytes);
        let mut batch = Self { bytes: Vec::new(), messages: 0 };
        while batch.bytes.len() + body_bytes + 30 < BATCH_BYTES {
            let line = format!("PUB {} {body_bytes}\r\n{body}\r\n", subject(batch.messages));
            batch.bytes.extend_from_slice(line.as_bytes());
            batch.messages += 1;
        }
        batch
    }
}

/// A node with one publisher, and subscribers each of which gets all of its batch.
pub(crate) struct OneNode {
    engine: Engine,
    publisher: ConnectionId,
    subscribers: Vec<ConnectionId>,
    batch: Batch,
}

impl OneNode {
    /// A node with so many subscribers to `filter`.
    pub(crate) fn new(subscribers: usize, filter: &str, batch: Batch) -> Self {
        let mut engine = engine(1, &[]);
        let subscribe = format!("SUB {filter} 1\r\n");
        let subscribers: Vec<_> = (0..subscribers).map(|_| client(&mut engine, &subscribe)).collect();
        let publisher = client(&mut engine, "");
        Self { engine, publisher, subscribers, batch }
    }

    /// A node whose users may not publish to a thousand subjects.
    pub(crate) fn with_denied_subjects(batch: Batch) -> Self {
        let deny = (0..1000).map(|number| SubjectRule::new(format!("secret.{number}.>"))).collect();
        let publish = Rules { allow: None, deny };
        let permissions = Some(Arc::new(Permissions { publish, ..Permissions::default() }));
        let user = User { permissions, ..User::with_password("a", "p") };
        let config = Config { authorization: Authorization::Users(vec![user]), ..Config::default() };
        let mut engine = Engine::new(config, &LISTENING, NOW);
        let subscribers = vec![client_as(&mut engine, "a", "SUB foo.bar 1\r\n")];
        let publisher = client_as(&mut engine, "a", "");
        Self { engine, publisher, subscribers, batch }
    }

    /// A node with two accounts, where the subscriber hears what the other account publishes.
    pub(crate) fn with_stream_import(batch: Batch) -> Self {
        let (export, import) = (Export::stream("foo.bar"), Import::stream("A", "foo.bar", "far.foo.bar"));
        let mut engine = engine_of_tenants(export, import);
        let subscribers = vec![client_as(&mut engine, "b", "SUB far.foo.bar 1\r\n")];
        let publisher = client_as(&mut engine, "a", "");
        Self { engine, publisher, subscribers, batch }
    }

    /// A node with two accounts, where one asks the other, and wants no answer.
    pub(crate) fn with_service_import(batch: Batch) -> Self {
        let export = Export::service("foo.bar", Response::Single);
        let mut engine = engine_of_tenants(export, Import::service("A", "foo.bar", "foo.bar"));
        let subscribers = vec![client_as(&mut engine, "a", "SUB foo.bar 1\r\n")];
        let publisher = client_as(&mut engine, "b", "");
        Self { engine, publisher, subscribers, batch }
    }

    /// How many messages [`Self::carry`] delivers.
    pub(crate) fn deliveries(&self) -> usize {
        self.batch.messages * self.subscribers.len()
    }

    /// Takes the batch in and hands all of it out.
    pub(crate) fn carry(&mut self) {
        self.engine.handle_input(NOW, self.publisher, &self.batch.bytes).expect("an open connection");
        let drained: usize = self.subscribers.iter().map(|id| drain(&mut self.engine, *id)).sum();
        assert!(drained > self.deliveries());
    }
}

/// A publisher at one node and a subscriber at another, joined by routes.
pub(crate) struct OneRoute {
    a: Engine,
    b: Engine,
    /// The connections by which they are joined, as (of A, of B).
    routes: Vec<(ConnectionId, ConnectionId)>,
    publisher: ConnectionId,
    subscriber: ConnectionId,
    batch: Batch,
    /// What is on its way over a route.
    wire: Vec<u8>,
}

impl OneRoute {
    /// Two nodes that know of each other's interest.
    pub(crate) fn new(batch: Batch) -> Self {
        let (mut a, mut b, routes) = pair();
        let subscriber = client(&mut b, "SUB foo.bar 1\r\n");
        let announced = routes.iter().filter(|route| exchange(&mut a, &mut b, **route)).count();
        assert_eq!(announced, 1, "the interest goes over one of the routes");
        let publisher = client(&mut a, "");
        Self { a, b, routes, publisher, subscriber, batch, wire: Vec::with_capacity(2 * BATCH_BYTES) }
    }

    /// How many messages [`Self::carry`] delivers.
    pub(crate) fn deliveries(&self) -> usize {
        self.batch.messages
    }

    /// Takes the batch in at one node and hands all of it out at the other.
    pub(crate) fn carry(&mut self) {
        self.a.handle_input(NOW, self.publisher, &self.batch.bytes).expect("an open connection");
        for (at_a, at_b) in &self.routes {
            self.wire.clear();
            copy(&mut self.a, *at_a, &mut self.wire);
            self.b.handle_input(NOW, *at_b, &self.wire).expect("an open route");
        }
        assert!(drain(&mut self.b, self.subscriber) > self.batch.messages);
    }
}

/// A node where account B has something of account A, and each has a user.
fn engine_of_tenants(export: Export, import: Import) -> Engine {
    let accounts = vec![
        AccountConfig { exports: vec![export], ..AccountConfig::new("A") },
        AccountConfig { imports: vec![import], ..AccountConfig::new("B") },
    ];
    let users = [("a", "A"), ("b", "B")];
    let users = users.map(|(name, account)| User::with_password(name, "p").in_account(account));
    let config = Config { accounts, authorization: Authorization::Users(users.into()), ..Config::default() };
    Engine::new(config, &LISTENING, NOW)
}

fn engine(seed: u64, routes: &[&str]) -> Engine {
    let routes = routes.iter().map(|url| url.parse().expect("a URL")).collect();
    let cluster = Some(ClusterConfig { name: Some("C".to_owned()), routes, ..ClusterConfig::default() });
    Engine::new(Config { seed, cluster, ..Config::default() }, &LISTENING, NOW)
}

fn client(engine: &mut Engine, first: &str) -> ConnectionId {
    connected(engine, CONNECT, first)
}

fn client_as(engine: &mut Engine, user: &str, first: &str) -> ConnectionId {
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n"
    );
    connected(engine, &connect, first)
}

fn connected(engine: &mut Engine, connect: &str, first: &str) -> ConnectionId {
    let id = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    engine.handle_input(NOW, id, format!("{connect}{first}").as_bytes()).expect("an open connection");
    engine.transmit(id).expect("an open connection");
    id
}

/// Drains a connection as a socket that takes everything would.
fn drain(engine: &mut Engine, id: ConnectionId) -> usize {
    let mut total = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = engine.poll_transmit(id, &mut slices).expect("an open connection");
        let bytes: usize = black_box(&slices[..filled]).iter().map(|slice| slice.len()).sum();
        if bytes == 0 {
            return total;
        }
        engine.advance(id, bytes).expect("as much waits");
        total += bytes;
    }
}

/// Copies what waits for a route to where the other node reads it, as sockets would.
fn copy(engine: &mut Engine, id: ConnectionId, wire: &mut Vec<u8>) {
    loop {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = engine.poll_transmit(id, &mut slices).expect("an open route");
        let before = wire.len();
        slices[..filled].iter().for_each(|slice| wire.extend_from_slice(slice));
        if wire.len() == before {
            return;
        }
        engine.advance(id, wire.len() - before).expect("as much waits");
    }
}

/// Two nodes joined by routes, and the connections by which they are, as (of A, of B).
fn pair() -> (Engine, Engine, Vec<(ConnectionId, ConnectionId)>) {
    let somewhere = "127.0.0.1:1".parse().expect("an address");
    let (mut a, mut b) = (engine(1, &["nats://b.example:6222"]), engine(2, &[]));
    let mut routes = Vec::new();
    loop {
        while let Some(dial) = a.poll_dial(NOW) {
            let at_a = a.handle_dialed(NOW, dial.id, somewhere).expect("a dial asked for");
            routes.push((at_a, b.handle_accept_route(NOW, somewhere).expect("a clustered node")));
        }
        if !routes.iter().fold(false, |moved, route| moved | exchange(&mut a, &mut b, *route)) {
            return (a, b, routes);
        }
    }
}

fn exchange(a: &mut Engine, b: &mut Engine, (at_a, at_b): (ConnectionId, ConnectionId)) -> bool {
    let (to_b, to_a) = (a.transmit(at_a).expect("an open route"), b.transmit(at_b).expect("an open route"));
    b.handle_input(NOW, at_b, &to_b).expect("an open route");
    a.handle_input(NOW, at_a, &to_a).expect("an open route");
    !to_a.is_empty() || !to_b.is_empty()
}
