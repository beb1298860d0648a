//! Connections that are switched from plain bytes to frames (design.md 3).

use onehop::config::{ClusterConfig, Config};
use onehop::transport::{DecodeError, Decoder, Encoder, Inbound};
use onehop::{CloseReason, ConnectionId, Engine, Instant, Listening};
use proptest::prelude::*;

use crate::scene::{SECOND, Scene};

const NOW: Instant = Instant::ZERO;
const KEY: u64 = 5;

/// A node that goes on in frames, after CONNECT with its clients, after the first line with its routes.
fn framed(seed: u64, routes: &[&str]) -> Engine {
    let routes = routes.iter().map(|url| url.parse().expect("a URL")).collect();
    let cluster = Some(ClusterConfig { name: Some("C".to_owned()), routes, ..ClusterConfig::default() });
    let config = Config { seed, cluster, rehearsed_transport: Some(KEY), ..Config::default() };
    let listening = Listening { client_port: 4222, route_port: 6222, ..Listening::default() };
    Engine::new(config, &listening, NOW)
}

fn accept(engine: &mut Engine) -> ConnectionId {
    engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"))
}

fn publish(engine: &mut Engine, from: ConnectionId, body: &str) {
    let line = format!("PUB a {}\r\n{body}\r\n", body.len());
    engine.handle_input(NOW, from, line.as_bytes()).expect("an open connection");
}

/// The end of a client that reads frames behind the first line that it waits for.
struct Listener {
    inbound: Inbound,
    last_plain_line: &'static [u8],
    heard: Vec<u8>,
}

impl Listener {
    fn new(last_plain_line: &'static [u8]) -> Self {
        Self { inbound: Inbound::default(), last_plain_line, heard: Vec::new() }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut rest = bytes;
        while self.inbound.is_plain() {
            let Some(byte) = rest.split_off_first() else {
                return Ok(());
            };
            self.heard.push(*byte);
            if self.heard.ends_with(self.last_plain_line) {
                self.inbound.switch(Decoder::framed(KEY));
            }
        }
        self.inbound.decode_into(rest, &mut self.heard)
    }
}

/// What a client writes: CONNECT as it is, the rest in frames.
fn connect_and(framed: &[u8]) -> Vec<u8> {
    let mut bytes = b"CONNECT {\"verbose\":true}\r\n".to_vec();
    Encoder::framed(KEY).encode(framed, &mut bytes);
    bytes
}

#[test]
fn a_client_is_switched_at_one_byte_whoever_publishes_to_it() {
    let input = connect_and(b"PING\r\nPUB a 3\r\nown\r\n");
    for split in 0..=input.len() {
        let mut engine = framed(1, &[]);
        let [client, one, two] = std::array::from_fn(|_| accept(&mut engine));
        engine.handle_input(NOW, client, b"SUB a 1\r\n").expect("an open connection");
        engine.transmit(client).expect("an open connection");
        let mut listener = Listener::new(b"+OK\r\n");
        let mut hear = |engine: &mut Engine| {
            let bytes = engine.transmit(client).expect("an open connection");
            listener.hear(&bytes).expect("good frames");
        };
        publish(&mut engine, one, "1");
        publish(&mut engine, two, "2");
        if split % 2 == 0 {
            hear(&mut engine);
        }
        let (first, second) = input.split_at(split);
        engine.handle_input(NOW, client, first).expect("an open connection");
        publish(&mut engine, one, "3");
        if split % 3 == 0 {
            hear(&mut engine);
        }
        engine.handle_input(NOW, client, second).expect("an open connection");
        publish(&mut engine, two, "4");
        hear(&mut engine);

        let heard = String::from_utf8(listener.heard).expect("text");
        let message = |body: &str| heard.find(&format!("MSG a 1 {}\r\n{body}\r\n", body.len()));
        let places = ["1", "2", "3", "4"].map(|body| message(body).expect("every message"));
        assert!(places.is_sorted(), "{heard}");
        assert!(message("own") < message("4"), "{heard}");
        assert_eq!((heard.matches("MSG").count(), heard.matches("PONG").count()), (5, 1), "{heard}");
    }
}

#[test]
fn a_socket_that_takes_little_gets_the_same_bytes() {
    let mut engine = framed(1, &[]);
    let [client, publisher] = std::array::from_fn(|_| accept(&mut engine));
    engine.handle_input(NOW, client, &connect_and(b"SUB a 1\r\n")).expect("an open connection");
    publish(&mut engine, publisher, &"x".repeat(100_000));
    let mut listener = Listener::new(b"+OK\r\n");
    while engine.pending_bytes(client) > 0 {
        let mut slices = [std::io::IoSlice::new(&[]); 4];
        let filled = engine.poll_transmit(client, &mut slices).expect("an open connection");
        let bytes: Vec<u8> =
            slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(999).collect();
        engine.advance(client, bytes.len()).expect("as much waits");
        listener.hear(&bytes).expect("good frames");
    }
    assert!(listener.heard.ends_with(b"xxx\r\n") && listener.heard.len() > 100_000);
    assert_eq!(engine.pending().count(), 1, "what was answered to the publisher waits");
    assert!(engine.advance(client, 1).is_err(), "nothing waits");
}

#[test]
fn what_is_no_frame_ends_the_connection_and_no_other() {
    for (bytes, reason) in [(b"\xff".as_slice(), CloseReason::ReadError), (b"\0", CloseReason::ClientClosed)]
    {
        let mut engine = framed(1, &[]);
        let [client, other] = std::array::from_fn(|_| accept(&mut engine));
        engine.handle_input(NOW, other, b"SUB a 1\r\n").expect("an open connection");
        let mut input = connect_and(b"PUB a 2\r\nhi\r\n");
        input.extend_from_slice(bytes);
        engine.handle_input(NOW, client, &input).expect("an open connection");
        // Whoever said that nothing follows is still answered what it asked before.
        let last_words = engine.transmit(client).expect("a connection that is ending");
        assert_eq!(last_words.is_empty(), reason == CloseReason::ReadError);
        assert_eq!(engine.poll_closed(), Some((client, reason)));
        assert!(engine.transmit(other).expect("an open connection").ends_with(b"hi\r\n"));
    }
}

#[test]
fn last_words_are_said_in_frames_and_then_that_nothing_follows() {
    // Around what is encoded at once.
    for body_bytes in [0, 63_000, 63_400, 64_000, 300_000] {
        let mut engine = framed(1, &[]);
        let client = accept(&mut engine);
        let message = format!("SUB a 1\r\nPUB a {body_bytes}\r\n{}\r\n", "x".repeat(body_bytes));
        let input = connect_and(format!("{message}NONSENSE\r\n").as_bytes());
        engine.handle_input(NOW, client, &input).expect("an open connection");
        let mut listener = Listener::new(b"+OK\r\n");
        let bytes = engine.transmit(client).expect("a connection that is ending");
        assert_eq!(listener.hear(&bytes), Err(DecodeError::Ended));
        assert!(listener.heard.len() > body_bytes);
        assert!(listener.heard.ends_with(b"\r\n-ERR 'Unknown Protocol Operation'\r\n"));
        assert_eq!(engine.poll_closed(), Some((client, CloseReason::ProtocolViolation)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn servers_speak_frames_however_their_bytes_are_split(
        pieces in prop::collection::vec(1usize..400, 1..20),
        rounds in 10usize..40,
    ) {
        let mut a = framed(1, &["nats://b.example:6222"]);
        let mut b = framed(2, &[]);
        let listener = accept(&mut a);
        a.handle_input(NOW, listener, b"SUB a 1\r\n").expect("an open connection");
        let publishers: [ConnectionId; 3] = std::array::from_fn(|_| accept(&mut b));
        let remote = "127.0.0.1:2".parse().expect("an address");
        let (mut routes, mut heard) = (Vec::new(), Vec::new());
        let mut sizes = pieces.iter().cycle();
        // What is sent and not read yet, in both directions of each route.
        let mut pipes: Vec<[Vec<u8>; 2]> = Vec::new();
        // What was read, in the same order.
        let mut wires: Vec<[Vec<u8>; 2]> = Vec::new();
        for round in 0.. {
            let mut is_quiet = true;
            while let Some(dial) = a.poll_dial(NOW) {
                let dialed = a.handle_dialed(NOW, dial.id, remote).expect("a dial");
                routes.push((dialed, b.handle_accept_route(NOW, remote).expect("a cluster")));
                pipes.push([Vec::new(), Vec::new()]);
                wires.push([Vec::new(), Vec::new()]);
                is_quiet = false;
            }
            for (((at_a, at_b), [to_a, to_b]), wires) in routes.iter().zip(&mut pipes).zip(&mut wires) {
                to_a.extend(b.transmit(*at_b).expect("an open route"));
                to_b.extend(a.transmit(*at_a).expect("an open route"));
                for ((engine, id, pipe), wire) in [(&mut a, *at_a, to_a), (&mut b, *at_b, to_b)].into_iter().zip(wires) {
                    is_quiet &= pipe.is_empty();
                    let size = pipe.len().min(*sizes.next().expect("a cycle"));
                    let piece: Vec<u8> = pipe.drain(..size).collect();
                    wire.extend_from_slice(&piece);
                    engine.handle_input(NOW, id, &piece).expect("an open route");
                }
            }
            if round < rounds {
                // Before, while and after interest reaches them.
                for (place, publisher) in publishers.iter().enumerate() {
                    publish(&mut b, *publisher, &format!("{place}-{round}."));
                }
            } else if is_quiet {
                break;
            }
        }
        heard.extend(a.transmit(listener).expect("an open connection"));
        prop_assert_eq!(routes.len(), 4);
        for wire in wires.iter().flatten() {
            let contains = |text: &[u8]| memchr::memmem::find(wire, text).is_some();
            prop_assert!(wire.starts_with(b"INFO ") || wire.starts_with(b"CONNECT "));
            prop_assert!(!contains(b"RS+ ") && !contains(b"RMSG ") && !contains(b"PING"));
        }
        let heard = String::from_utf8(heard).expect("text");
        for place in 0..publishers.len() {
            let bodies = heard.lines().filter_map(|line| line.strip_prefix(&format!("{place}-")));
            let bodies: Vec<usize> =
                bodies.map(|line| line.trim_end_matches('.').parse().expect("a round")).collect();
            // From when interest was known on, every one of them.
            let first = bodies.first().copied().unwrap_or(rounds);
            prop_assert_eq!(bodies, (first..rounds).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_mesh_forms_carries_messages_and_heals_in_frames() {
    let mut world = Scene::new();
    let rehearse = |config: &mut Config| config.rehearsed_transport = Some(KEY);
    world.start("A", &[], rehearse);
    world.start("B", &["A"], rehearse);
    world.start("C", &["A"], rehearse);
    assert!(world.drive_until(5 * SECOND, |world| world.is_mesh(4)), "{}", world.describe());
    let (subscriber, publisher) = (world.client("B"), world.client("C"));
    world.send(subscriber, b"SUB a 1\r\n");
    world.send(publisher, b"PUB a 2\r\nhi\r\n");
    assert!(world.take(subscriber).ends_with("MSG a 1 2\r\nhi\r\n"));
    // Keep-alive and all that goes on while nothing happens.
    world.run_for(200 * SECOND);
    assert!(world.is_mesh(4), "{}", world.describe());
    world.kill("A");
    world.start("A", &[], rehearse);
    assert!(world.drive_until(30 * SECOND, |world| world.is_mesh(4)), "{}", world.describe());
    world.send(publisher, b"PUB a 2\r\nho\r\n");
    assert!(world.take(subscriber).contains("MSG a 1 2\r\nho\r\n"));
}
