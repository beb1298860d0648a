//! A node that lets circuits pass, and one that is asked to take part in them (wire.md 14.7).

use std::time::Duration;

use onehop::config::{ClusterConfig, Config, Relay, RelayMode};
use onehop::wire::{CircuitWord, Connect, Info};
use onehop::{CloseReason, ConnectionId, DialError, Engine, Instant, Listening};

const SECOND: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 64 * 1024;
/// What may wait for one end.
const CIRCUIT_BYTES: usize = 256 * 1024;

/// A node and peers by hand.
pub(super) struct Scene {
    pub(super) engine: Engine,
    pub(super) now: Instant,
}

impl Scene {
    fn new(relay: Relay) -> Self {
        let cluster =
            ClusterConfig { name: Some("C".into()), relay, pool_size: None, ..ClusterConfig::default() };
        let config = Config { server_name: Some("R".into()), cluster: Some(cluster), ..Config::default() };
        let engine = Engine::new(config, &Listening::default(), Instant::ZERO);
        Self { engine, now: Instant::ZERO }
    }

    pub(super) fn relay() -> Self {
        Self::new(Relay::default())
    }

    pub(super) fn accept(&mut self) -> ConnectionId {
        let remote = "10.0.0.9:40000".parse().expect("an address");
        self.engine.handle_accept_route(self.now, remote).expect("a node with a cluster")
    }

    pub(super) fn send(&mut self, from: ConnectionId, bytes: &[u8]) {
        self.engine.handle_input(self.now, from, bytes).expect("an open connection");
    }

    /// All that is said to a connection.
    pub(super) fn take(&mut self, of: ConnectionId) -> Vec<u8> {
        self.engine.transmit(of).unwrap_or_default()
    }

    /// A member that has dialed this node, and says `more` of itself.
    pub(super) fn member(&mut self, name: &str, more: &str) -> ConnectionId {
        let id = self.accept();
        let text = format!(
            "CONNECT {{\"verbose\":false,\"name\":\"N{name}\",\"cluster\":\"C\"}}\r\n\
             INFO {{\"server_id\":\"N{name}\",\"server_name\":\"{name}\",\"port\":6222,\"cluster\":\"C\"{more}}}\r\n"
        );
        self.send(id, text.as_bytes());
        self.take(id);
        id
    }

    /// A and B, which know of circuits.
    fn members(&mut self) -> [ConnectionId; 2] {
        ["A", "B"].map(|name| self.member(name, ",\"onehop\":2"))
    }

    pub(super) fn say(&mut self, from: ConnectionId, name: &str, word: CircuitWord) {
        let info = Info {
            server_id: format!("N{name}"),
            server_name: name.to_owned(),
            onehop: 2,
            onehop_circuit: Some(word),
            ..Info::default()
        };
        self.send(from, &info.to_gossip_line());
    }

    /// What is said of circuits to a connection.
    pub(super) fn words(&mut self, of: ConnectionId) -> Vec<CircuitWord> {
        let said = String::from_utf8(self.take(of)).expect("text");
        let infos = said.lines().filter_map(|line| line.strip_prefix("INFO "));
        infos.filter_map(|json| Info::from_json(json.as_bytes()).expect("an INFO").onehop_circuit).collect()
    }

    fn open(&mut self, from: ConnectionId, name: &str, to: &str) {
        self.say(from, name, CircuitWord::Open { server: to.to_owned() });
    }

    /// The tokens of both ends of a circuit that A asks for.
    fn tokens(&mut self, [a, b]: [ConnectionId; 2]) -> [String; 2] {
        self.open(a, "A", "NB");
        [a, b].map(|member| match &self.words(member)[..] {
            [CircuitWord::Join { token, dials: true, .. }] => token.clone(),
            other => panic!("one word to join, not {other:?}"),
        })
    }

    /// A new connection that shows a token, behind its greeting.
    pub(super) fn leg(&mut self, token: &str) -> ConnectionId {
        let leg = self.accept();
        self.take(leg);
        let connect = Connect { verbose: false, onehop_circuit: token.to_owned(), ..Connect::default() };
        self.send(leg, &connect.to_line());
        leg
    }

    /// A circuit between A and B.
    fn circuit(&mut self) -> [ConnectionId; 2] {
        let members = self.members();
        let legs = self.tokens(members).map(|token| self.leg(&token));
        assert_eq!(legs.map(|leg| self.take(leg)), [b"+OK\r\n", b"+OK\r\n"]);
        legs
    }

    pub(super) fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some((at, _)) = self.engine.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at.max(self.now);
            self.engine.handle_timeout(self.now);
            let _ = self.engine.poll_dial(self.now);
        }
        self.now = until;
    }

    /// Why a connection ended, if it did.
    pub(super) fn closed(&mut self) -> Vec<(ConnectionId, CloseReason)> {
        std::iter::from_fn(|| self.engine.poll_closed()).collect()
    }
}

/// That a circuit with B, which others reach there, is to be joined.
pub(super) fn join(token: &str, url: &str, begins: bool, dials: bool) -> CircuitWord {
    CircuitWord::Join { server: "NB".to_owned(), url: url.to_owned(), token: token.to_owned(), begins, dials }
}

#[test]
fn bytes_pass_both_ways_as_they_are_until_one_end_is_gone() {
    let mut scene = Scene::relay();
    let [one, other] = scene.circuit();
    for bytes in [b"INFO {}\r\n".as_slice(), b"\x16\x03\x01\0", b"P", b"ING\r\nCONNECT x\r\n", &[0; 100_000]]
    {
        scene.send(one, bytes);
        scene.send(other, b"x");
        assert!(scene.take(other) == bytes);
        assert_eq!(scene.take(one), b"x");
    }
    scene.send(one, b"last words");
    scene.engine.handle_closed(scene.now, one, CloseReason::ClientClosed).expect("an open connection");
    assert_eq!(scene.take(other), b"last words", "what was said before arrives");
    let closed = scene.closed();
    assert!(closed.contains(&(other, CloseReason::ClientClosed)), "{closed:?}");
}

#[test]
fn both_ends_are_told_who_the_other_is_and_who_begins() {
    let mut scene = Scene::relay();
    let [a, b] = scene.members();
    scene.open(a, "A", "NB");
    let told = [a, b].map(|member| scene.words(member));
    for (words, server, is_first) in [(&told[0], "NB", true), (&told[1], "NA", false)] {
        let [CircuitWord::Join { server: of, url, begins, dials: true, token }] = &words[..] else {
            panic!("one word to join, not {words:?}");
        };
        assert_eq!((of.as_str(), url.as_str(), *begins), (server, "nats-route://10.0.0.9:6222/", is_first));
        assert!(token.len() >= 22);
    }
}

#[test]
fn what_is_no_token_or_was_one_leads_nowhere() {
    let mut scene = Scene::relay();
    let members = scene.members();
    let [token, _] = scene.tokens(members);
    let first = scene.leg(&token);
    for token in [token.as_str(), "x", &"y".repeat(1000)] {
        let leg = scene.leg(token);
        assert_eq!(scene.take(leg), b"-ERR 'Unknown Circuit'\r\n");
        assert_eq!(scene.closed(), [(leg, CloseReason::ProtocolViolation)]);
    }
    assert_eq!(scene.take(first), b"", "it waits for the other");
    scene.wait(11 * SECOND);
    assert!(scene.closed().contains(&(first, CloseReason::ClientClosed)), "in vain");
}

#[test]
fn who_speaks_before_the_circuit_stands_ends_it() {
    let mut scene = Scene::relay();
    let members = scene.members();
    let [token, other] = scene.tokens(members);
    let leg = scene.leg(&token);
    scene.send(leg, b"INFO {}\r\n");
    assert_eq!(scene.take(leg), b"-ERR 'Unknown Circuit'\r\n");
    assert_eq!(scene.closed(), [(leg, CloseReason::ProtocolViolation)]);
    let other = scene.leg(&other);
    assert_eq!(scene.take(other), b"-ERR 'Unknown Circuit'\r\n", "there is no circuit any more");
}

#[test]
fn an_end_that_does_not_read_slows_the_other_and_makes_nobody_keep_more() {
    let mut scene = Scene::relay();
    let [one, other] = scene.circuit();
    let chunk = vec![b'x'; READ_BYTES];
    let mut sent = 0;
    while scene.engine.wants_input(one) && sent < 10 * CIRCUIT_BYTES {
        scene.send(one, &chunk);
        sent += chunk.len();
    }
    // So many may wait, one read that filled it, and one that shows so.
    assert!((CIRCUIT_BYTES..=CIRCUIT_BYTES + 2 * READ_BYTES).contains(&sent), "{sent}");
    assert!(scene.engine.wants_input(other), "nobody but the one");
    scene.wait(SECOND);
    assert!(!scene.engine.wants_input(one), "nothing was read");
    let read = scene.take(other).len();
    assert_eq!(read, sent);
    scene.wait(Duration::from_millis(5));
    assert!(scene.engine.wants_input(one));
    scene.send(one, b"y");
    assert_eq!(scene.take(other), b"y");
}

#[test]
fn an_end_that_is_silent_for_too_long_is_gone() {
    let mut scene = Scene::relay();
    let [one, other] = scene.circuit();
    for _ in 0..3 {
        scene.wait(100 * SECOND);
        scene.send(one, b"x");
        scene.send(other, b"x");
        assert_eq!([one, other].map(|leg| scene.take(leg)), [b"x", b"x"]);
    }
    let is_closed = |scene: &mut Scene| scene.closed().iter().any(|(id, _)| [one, other].contains(id));
    assert!(!is_closed(&mut scene));
    scene.wait(121 * SECOND);
    assert!(is_closed(&mut scene));
}

#[test]
fn a_circuit_is_refused_where_it_makes_no_sense_or_is_not_wanted() {
    let refused = |relay: Relay, of_b: &str, to: &str| {
        let mut scene = Scene::new(relay);
        let a = scene.member("A", ",\"onehop\":2");
        let b = scene.member("B", of_b);
        scene.open(a, "A", to);
        assert_eq!(scene.words(b), [], "whoever cannot take part hears nothing");
        match &scene.words(a)[..] {
            [CircuitWord::Refuse { server, why }] if server == to => why.clone(),
            other => panic!("one word of refusal, not {other:?}"),
        }
    };
    let on = Relay::default();
    let none = "no such member with a direct route";
    let off = Relay { mode: RelayMode::Off, ..Relay::default() };
    assert_eq!(refused(off, ",\"onehop\":2", "NB"), "no circuits here");
    assert_eq!(refused(on.clone(), ",\"onehop\":2", "NC"), none, "nobody knows it");
    assert_eq!(refused(on.clone(), ",\"onehop\":2", "NA"), none, "with itself");
    let full = Relay { max_circuits: 0, ..on.clone() };
    assert_eq!(refused(full, ",\"onehop\":2", "NB"), "maximum circuits exceeded");
    let pair_full = Relay { max_circuits_per_pair: 0, ..on };
    assert_eq!(refused(pair_full, ",\"onehop\":2", "NB"), "maximum circuits of this pair exceeded");
}

/// It is a nats-server, or a onehop node with `relay` switched off.
#[test]
fn one_end_may_be_a_server_that_knows_nothing_of_circuits_and_is_dialed_like_any() {
    for (level, is_there_first) in [("", true), (",\"onehop\":1", false)] {
        let mut scene = Scene::relay();
        let (a, b) = (scene.member("A", ",\"onehop\":2"), scene.member("B", level));
        scene.open(a, "A", "NB");
        let said = scene.words(a);
        let [CircuitWord::Join { server, token, begins: true, dials: true, .. }] = &said[..] else {
            panic!("{said:?}")
        };
        assert_eq!((server.as_str(), scene.words(b).len()), ("NB", 0));
        let dial = scene.engine.poll_dial(scene.now).expect("one to B");
        assert_eq!((dial.host.as_str(), dial.port), ("10.0.0.9", 6222), "where B says that it is");
        let dialed = |scene: &mut Scene| {
            let remote = "10.0.0.9:6222".parse().expect("an address");
            scene.engine.handle_dialed(scene.now, dial.id, remote).expect("it was wanted")
        };
        let mut legs = None;
        if is_there_first {
            let plain = dialed(&mut scene);
            assert!(!scene.engine.wants_input(plain), "there is nobody to hear it yet");
            scene.send(plain, b"INFO {\"early\":1}\r\n");
            legs = Some((scene.leg(token), plain));
        }
        let (leg, plain) = legs.unwrap_or_else(|| (scene.leg(token), dialed(&mut scene)));
        assert_eq!(scene.take(leg), b"+OK\r\n");
        scene.wait(SECOND / 100);
        assert!(scene.engine.wants_input(plain));
        assert_eq!(scene.take(plain), b"");
        let early: &[u8] = if is_there_first { b"INFO {\"early\":1}\r\n" } else { b"" };
        assert_eq!(scene.take(leg), early, "it was kept");
        for (from, to) in [(plain, leg), (leg, plain)] {
            scene.send(from, b"INFO {}\r\n");
            assert_eq!(scene.take(to), b"INFO {}\r\n");
        }
        scene.engine.handle_closed(scene.now, plain, CloseReason::ClientClosed).expect("it is open");
        assert_eq!(scene.closed(), [(leg, CloseReason::ClientClosed)]);
    }
}

#[test]
fn a_server_that_knows_nothing_of_circuits_and_is_not_there_leaves_nobody_waiting() {
    let mut scene = Scene::relay();
    let (a, _) = (scene.member("A", ",\"onehop\":2"), scene.member("B", ""));
    scene.open(a, "A", "NB");
    let said = scene.words(a);
    let [CircuitWord::Join { token, .. }] = &said[..] else { panic!("{said:?}") };
    let leg = scene.leg(token);
    let dial = scene.engine.poll_dial(scene.now).expect("one to B");
    let why = DialError::Failed("refused".to_owned());
    scene.engine.handle_dial_failed(scene.now, dial.id, &why).expect("it was wanted");
    scene.wait(SECOND / 10);
    scene.take(leg);
    assert_eq!(scene.closed(), [(leg, CloseReason::ClientClosed)]);
}

#[test]
fn nobody_is_dialed_for_a_circuit_by_the_word_of_who_has_no_right_to_say_so() {
    let mut scene = Scene::relay();
    let a = scene.member("A", ",\"onehop\":2");
    let place = "nats-route://10.0.0.1:6222/";
    // It asked for nothing; it did not dial A, so that nobody knows where; and that is no place.
    for word in
        [join("t", place, true, false), join("t", place, false, true), join("t", "nonsense", false, false)]
    {
        scene.say(a, "A", word);
        assert_eq!(scene.engine.poll_dial(scene.now), None);
        let leg = scene.leg("t");
        assert_eq!(scene.take(leg), b"-ERR 'Unknown Circuit'\r\n");
    }
    scene.say(a, "A", join("t", place, false, false));
    let leg = scene.leg("t");
    assert_eq!(scene.take(leg), b"+OK\r\n", "the other end asked, and A dials");
    scene.send(leg, b"+OK\r\n");
    let greeting = String::from_utf8(scene.take(leg)).expect("text");
    assert!(greeting.starts_with("INFO {"), "it is greeted as whoever dials: {greeting}");
}

/// Else a PING would be the first that the other end hears.
#[test]
fn nothing_is_said_on_a_connection_that_waits_for_its_circuit() {
    let mut scene = Scene::relay();
    let members = scene.members();
    let [first, second] = scene.tokens(members);
    let one = scene.leg(&first);
    scene.say(members[0], "A", join("t", "nats-route://10.0.0.1:6222/", false, false));
    let own = scene.leg("t");
    assert_eq!(scene.take(own), b"+OK\r\n");
    scene.wait(9 * SECOND);
    assert_eq!([one, own].map(|leg| scene.take(leg)), [b"", b""]);
    let other = scene.leg(&second);
    assert_eq!([one, other].map(|leg| scene.take(leg)), [b"+OK\r\n", b"+OK\r\n"], "it stands, though late");
    scene.wait(2 * SECOND);
    assert_eq!(scene.take(own), b"-ERR 'Authentication Timeout'\r\n", "that one does not");
}

#[test]
fn one_member_makes_a_node_wait_for_only_so_many_connections_of_circuits() {
    let mut scene = Scene::relay();
    let a = scene.member("A", ",\"onehop\":2");
    for number in 0..1000 {
        let token = format!("t{}", number % 100);
        scene.say(a, "A", join(&token, "nats-route://10.0.0.1:6222/", false, false));
    }
    let is_known = |token: &String| {
        let leg = scene.leg(token);
        scene.take(leg) == b"+OK\r\n"
    };
    assert_eq!((0..100).map(|number| format!("t{number}")).filter(is_known).count(), 32);
}

#[test]
fn what_newer_nodes_say_of_circuits_is_ignored() {
    let mut scene = Scene::relay();
    let a = scene.member("A", ",\"onehop\":2");
    let line = "INFO {\"server_id\":\"NA\",\"server_name\":\"A\",\"onehop\":3,\"onehop_circuit\":{\"op\":\"move\",\"x\":[1]}}\r\nPING\r\n";
    scene.send(a, line.as_bytes());
    assert!(scene.take(a).ends_with(b"PONG\r\n"));
}
