//! A direct connection takes the place of a circuit, which the peer says by hand (wire.md 14.7).

use std::time::Duration;

use onehop::wire::{CircuitWord, Info};
use onehop::{CloseReason, ConnectionId};

use super::circuits::{Scene, join};

const SECOND: Duration = Duration::from_secs(1);

/// A node with a client, and a circuit with B, which has a subscription to `foo`.
struct Pair {
    scene: Scene,
    client: ConnectionId,
    circuit: ConnectionId,
    /// What the node wants to be shown.
    token: String,
}

impl Pair {
    fn new() -> Self {
        let mut scene = Scene::relay();
        let relay = scene.member("A", ",\"onehop\":2");
        scene.say(relay, "A", join("t", "nats-route://10.0.0.2:6222/", false, false));
        let circuit = scene.leg("t");
        assert_eq!(scene.take(circuit), b"+OK\r\n");
        scene.send(circuit, b"+OK\r\n");
        assert!(scene.take(circuit).starts_with(b"INFO {"));
        introduce(&mut scene, circuit, "");
        let said = scene.words(circuit);
        let [CircuitWord::Heir { token }] = &said[..] else { panic!("{said:?}") };
        let token = token.clone();
        scene.say(circuit, "B", CircuitWord::Heir { token: "of B".to_owned() });
        scene.send(circuit, b"RS+ $G foo\r\n");
        let remote = "10.0.0.8:50000".parse().expect("an address");
        let client = scene.engine.handle_accept_client(scene.now, remote);
        scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB bar 1\r\nPING\r\n");
        [client, circuit].iter().for_each(|id| drop(scene.take(*id)));
        Self { scene, client, circuit, token }
    }

    /// A direct connection on which B shows a token.
    fn connect(&mut self, token: &str) -> ConnectionId {
        let direct = self.scene.accept();
        self.scene.take(direct);
        let word = format!(",\"onehop_circuit\":{{\"op\":\"replace\",\"token\":\"{token}\"}}");
        introduce(&mut self.scene, direct, &word);
        direct
    }

    fn heard(&mut self) -> Vec<String> {
        let said = String::from_utf8(self.scene.take(self.client)).expect("text");
        said.lines()
            .map(str::to_owned)
            .filter(|line| !["INFO", "MSG", "PING"].iter().any(|verb| line.starts_with(verb)))
            .collect()
    }

    fn says(&mut self, over: ConnectionId, text: &str) {
        self.scene.send(over, format!("RMSG $G bar {}\r\n{text}\r\n", text.len()).as_bytes());
    }

    fn says_last(&mut self) {
        self.scene.say(self.circuit, "B", CircuitWord::Last);
    }

    fn wait(&mut self, time: Duration) {
        self.scene.wait(time);
    }
}

fn introduce(scene: &mut Scene, over: ConnectionId, more: &str) {
    let text = format!(
        "CONNECT {{\"verbose\":false,\"name\":\"NB\",\"cluster\":\"C\"}}\r\n\
         INFO {{\"server_id\":\"NB\",\"server_name\":\"B\",\"port\":6222,\"cluster\":\"C\",\"onehop\":2{more}}}\r\n"
    );
    scene.send(over, text.as_bytes());
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[test]
fn what_is_said_directly_is_heard_behind_the_last_line_of_the_circuit_and_what_is_for_the_peer_goes_there() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    let said = text(pair.scene.take(direct));
    let (first, rest) = said.split_once("\r\n").expect("a line");
    let info = Info::from_json(first.strip_prefix("INFO ").expect("an INFO").as_bytes()).expect("an INFO");
    assert_eq!(info.onehop_circuit, Some(CircuitWord::Replaced { token: "of B".to_owned() }));
    assert!(rest.contains("RS+ $G bar\r\n"), "all interest once more: {rest}");
    let circuit = pair.circuit;
    assert_eq!(pair.scene.words(circuit), [CircuitWord::Last]);
    // B's interest, and B's messages, by both.
    pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\nPING\r\n");
    assert!(text(pair.scene.take(direct)).contains("RMSG $G foo 1\r\nx\r\n"));
    pair.scene.send(direct, b"RS+ $G foo\r\n");
    pair.says(direct, "three");
    pair.says(circuit, "one");
    pair.scene.send(circuit, b"PING\r\n");
    pair.says(circuit, "two");
    pair.wait(SECOND);
    assert_eq!(pair.heard(), ["PONG", "one", "two"]);
    pair.says_last();
    pair.wait(SECOND / 10);
    assert_eq!(pair.heard(), ["three"]);
    assert_eq!(pair.scene.take(circuit), b"", "nothing is said there any more, not even a PONG");
    assert_eq!(pair.scene.words(direct), [CircuitWord::Heard]);
    // Once, and no more when the interest ends.
    pair.scene.send(pair.client, b"PUB foo 1\r\ny\r\n");
    assert_eq!(text(pair.scene.take(direct)).matches("RMSG $G foo 1\r\ny\r\n").count(), 1);
    pair.scene.send(direct, b"RS- $G foo\r\n");
    pair.scene.send(pair.client, b"PUB foo 1\r\nz\r\n");
    assert!(!text(pair.scene.take(direct)).contains("RMSG"));
    // B may still have to hear something there, until it says that it has not.
    pair.wait(5 * SECOND);
    assert_eq!(pair.scene.closed(), []);
    pair.scene.say(direct, "B", CircuitWord::Heard);
    pair.wait(2 * SECOND);
    assert_eq!(pair.scene.closed(), [(circuit, CloseReason::RouteRemoved)]);
    pair.scene.send(direct, b"RS+ $G foo\r\n");
    pair.scene.send(pair.client, b"PUB foo 1\r\nw\r\n");
    assert!(text(pair.scene.take(direct)).contains("RMSG $G foo 1\r\nw\r\n"));
}

#[test]
fn who_cannot_show_what_was_said_on_the_circuit_does_not_take_its_place() {
    for token in ["", "of B", "guessed"] {
        let mut pair = Pair::new();
        let direct = pair.connect(token);
        assert_eq!(pair.scene.closed(), [(direct, CloseReason::DuplicateRoute)], "{token}");
        let circuit = pair.circuit;
        pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\n");
        assert!(text(pair.scene.take(circuit)).contains("RMSG $G foo 1\r\nx\r\n"));
    }
}

#[test]
fn a_circuit_without_a_last_line_is_not_waited_for_for_ever() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    pair.scene.send(direct, b"RS+ $G other\r\n");
    pair.says(direct, "two");
    pair.says(pair.circuit, "one");
    pair.wait(9 * SECOND);
    assert_eq!(pair.heard(), ["one"]);
    pair.wait(2 * SECOND);
    assert_eq!(pair.heard(), ["two"]);
    pair.scene.take(pair.circuit);
    assert_eq!(pair.scene.closed(), [(pair.circuit, CloseReason::StaleConnection)]);
    // What the circuit brought is gone with it, and what was said directly is there.
    pair.scene.take(direct);
    pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\nPUB other 1\r\ny\r\n");
    let said = text(pair.scene.take(direct));
    assert!(said.contains("RMSG $G other 1\r\ny\r\n") && !said.contains("RMSG $G foo"), "{said}");
}

#[test]
fn a_circuit_that_ends_without_a_last_line_lets_the_other_be_heard_at_once() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    pair.says(direct, "one");
    pair.scene
        .engine
        .handle_closed(pair.scene.now, pair.circuit, CloseReason::ClientClosed)
        .expect("it is open");
    pair.wait(SECOND / 10);
    assert_eq!(pair.heard(), ["one"]);
}

/// Else it would stay for ever, beside that of the circuit.
#[test]
fn interest_that_comes_before_it_is_known_what_the_connection_is_does_not_count() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.scene.accept();
    pair.scene.take(direct);
    let early =
        "CONNECT {\"verbose\":false,\"name\":\"NB\",\"cluster\":\"C\"}\r\nRS+ $G foo\r\nRS+ $G early\r\n";
    pair.scene.send(direct, early.as_bytes());
    let word = format!(",\"onehop_circuit\":{{\"op\":\"replace\",\"token\":\"{token}\"}}");
    introduce(&mut pair.scene, direct, &word);
    pair.says_last();
    pair.wait(SECOND / 10);
    pair.scene.take(direct);
    pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\n");
    assert_eq!(text(pair.scene.take(direct)).matches("RMSG $G foo 1").count(), 1);
    pair.scene.send(direct, b"RS- $G foo\r\n");
    pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\nPUB early 1\r\ny\r\n");
    assert_eq!(pair.scene.take(direct), b"");
}

#[test]
fn a_circuit_that_ends_right_behind_its_last_line_leaves_what_it_brought() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    pair.wait(SECOND / 10);
    pair.scene.take(direct);
    pair.says_last();
    pair.scene
        .engine
        .handle_closed(pair.scene.now, pair.circuit, CloseReason::ClientClosed)
        .expect("it is open");
    pair.scene.send(pair.client, b"PUB foo 1\r\nx\r\n");
    assert!(text(pair.scene.take(direct)).contains("RMSG $G foo 1\r\nx\r\n"));
}

#[test]
fn a_slow_circuit_is_waited_for_as_long_as_it_says_more() {
    let mut pair = Pair::new();
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    pair.says(direct, "last");
    for number in 0..6 {
        pair.wait(8 * SECOND);
        pair.says(pair.circuit, &number.to_string());
    }
    assert_eq!(pair.heard(), ["0", "1", "2", "3", "4", "5"]);
    pair.says_last();
    pair.wait(SECOND / 10);
    assert_eq!(pair.heard(), ["last"]);
}

#[test]
fn words_about_circuits_mean_nothing_on_a_direct_connection() {
    let mut pair = Pair::new();
    let direct = pair.scene.member("D", ",\"onehop\":2");
    for word in [
        CircuitWord::Heir { token: "x".to_owned() },
        CircuitWord::Replace { token: "x".to_owned() },
        CircuitWord::Replaced { token: "x".to_owned() },
        CircuitWord::Last,
    ] {
        pair.scene.say(direct, "D", word);
    }
    pair.says(direct, "one");
    assert_eq!(pair.heard(), ["one"]);
    let circuit = pair.circuit;
    pair.scene.say(circuit, "B", CircuitWord::Heir { token: "another".to_owned() });
    let token = pair.token.clone();
    let direct = pair.connect(&token);
    assert!(text(pair.scene.take(direct)).contains("of B"), "the first counts");
}
