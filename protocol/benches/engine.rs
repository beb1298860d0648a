//! A message's whole way through a node: parsed, matched, delivered into outboxes, drained.
//!
//! Run with `cargo bench -p onehop --bench engine`. The throughput shown is in delivered messages: its inverse is the time
//! for one.

use std::hint::black_box;
use std::io::IoSlice;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use onehop::config::{ClusterConfig, Config};
use onehop::{ConnectionId, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;

/// About as much as a socket gives at once.
const BATCH_BYTES: usize = 64 * 1024;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

fn engine(seed: u64, routes: &[&str]) -> Engine {
    let routes = routes.iter().map(|url| url.parse().expect("a URL")).collect();
    let cluster = Some(ClusterConfig { name: Some("C".to_owned()), routes, ..ClusterConfig::default() });
    let listening =
        Listening { client_port: 4222, route_port: 6222, interfaces: Vec::new(), unix_nanos_at_zero: 0 };
    Engine::new(Config { seed, cluster, ..Config::default() }, &listening, NOW)
}

fn client(engine: &mut Engine, first: &str) -> ConnectionId {
    let id = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    engine.handle_input(NOW, id, format!("{CONNECT}{first}").as_bytes()).expect("an open connection");
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

/// A batch of messages and how many there are.
fn batch(body_bytes: usize, subject: impl Fn(usize) -> String) -> (Vec<u8>, usize) {
    let body = "x".repeat(body_bytes);
    let mut bytes = Vec::new();
    let mut messages = 0;
    while bytes.len() + body_bytes + 30 < BATCH_BYTES {
        bytes.extend_from_slice(format!("PUB {} {body_bytes}\r\n{body}\r\n", subject(messages)).as_bytes());
        messages += 1;
    }
    (bytes, messages)
}

/// Measures one batch through one node to these subscribers, each of which gets all of it.
fn measure(c: &mut Criterion, name: &str, subscribers: usize, filter: &str, batch: &(Vec<u8>, usize)) {
    let mut engine = engine(1, &[]);
    let subscribe = format!("SUB {filter} 1\r\n");
    let subscribers: Vec<_> = (0..subscribers).map(|_| client(&mut engine, &subscribe)).collect();
    let publisher = client(&mut engine, "");
    let (bytes, messages) = batch;
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements((messages * subscribers.len()) as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            engine.handle_input(NOW, publisher, bytes).expect("an open connection");
            let drained: usize = subscribers.iter().map(|id| drain(&mut engine, *id)).sum();
            assert!(drained > messages * subscribers.len());
        });
    });
    group.finish();
}

fn one_node(c: &mut Criterion) {
    for bytes in [16, 128, 1024] {
        measure(c, &format!("one to one, {bytes} B"), 1, "foo.bar", &batch(bytes, |_| "foo.bar".to_owned()));
    }
    measure(c, "fan-out to 10, 128 B", 10, "foo.bar", &batch(128, |_| "foo.bar".to_owned()));
    let subjects = |message: usize| format!("orders.{}.new", message * 7 % 1000);
    measure(c, "1000 subjects, 128 B", 1, "orders.*.new", &batch(128, subjects));
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

fn across_one_route(c: &mut Criterion) {
    for body_bytes in [16, 128, 1024] {
        let (mut a, mut b, routes) = pair();
        let subscriber = client(&mut b, "SUB foo.bar 1\r\n");
        let announced = routes.iter().filter(|route| exchange(&mut a, &mut b, **route)).count();
        assert_eq!(announced, 1, "the interest goes over one of the routes");
        let publisher = client(&mut a, "");
        let (bytes, messages) = batch(body_bytes, |_| "foo.bar".to_owned());
        let mut wire = Vec::with_capacity(2 * BATCH_BYTES);
        let mut group = c.benchmark_group("engine");
        group.throughput(Throughput::Elements(messages as u64));
        group.bench_function(format!("across one route, {body_bytes} B"), |bench| {
            bench.iter(|| {
                a.handle_input(NOW, publisher, &bytes).expect("an open connection");
                for (at_a, at_b) in &routes {
                    wire.clear();
                    carry(&mut a, *at_a, &mut wire);
                    b.handle_input(NOW, *at_b, &wire).expect("an open route");
                }
                assert!(drain(&mut b, subscriber) > messages);
            });
        });
        group.finish();
    }
}

/// Copies what waits for a route to where the other node reads it, as sockets would.
fn carry(engine: &mut Engine, id: ConnectionId, wire: &mut Vec<u8>) {
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

criterion_group!(benches, one_node, across_one_route);
criterion_main!(benches);
