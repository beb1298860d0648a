//! The same seed and the same inputs give the same bytes; how the input is split gives no other ones.

use proptest::prelude::*;

use crate::scene::{SECOND, Scene};
use crate::script::shown;

/// A busy little history: joining, interest, messages, a lost route, a restart.
fn history() -> Scene {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"]), ("C", &["A", "B"]), ("D", &["C"])]);
    scene.run_for(SECOND * 3);
    let clients: Vec<_> = ["A", "B", "C", "D"].iter().map(|name| scene.client(name)).collect();
    for (number, client) in clients.iter().enumerate() {
        scene.send(*client, format!("SUB s.{number} 1\r\nSUB s.* q 2\r\nSUB > 3\r\n").as_bytes());
    }
    for round in 0..50 {
        let client = clients[round % clients.len()];
        scene.send(client, format!("PUB s.{} r 2\r\n{round:02}\r\n", round % 5).as_bytes());
    }
    scene.lose_route(3);
    scene.kill("B");
    scene.run_for(SECOND * 4);
    scene.start("B", &["A"], |_| {});
    scene.run_for(SECOND * 40);
    scene
}

#[test]
fn the_same_history_gives_the_same_bytes_on_every_connection() {
    let (one, other) = (history(), history());
    assert!(one.trace.len() > 10_000, "much was said");
    assert!(one.trace == other.trace);
}

#[test]
fn another_seed_gives_another_history() {
    let history = |seed| {
        let mut scene = Scene::new();
        scene.start("A", &["B"], |config| config.seed = seed);
        scene.start("B", &["A"], |_| {});
        scene.run_for(SECOND * 5);
        scene.trace
    };
    assert!(history(100) == history(100));
    assert!(history(100) != history(101));
}

/// What clients and peers may send, right and wrong.
const CLIENT_LINES: [&str; 16] = [
    "PING\r\n",
    "PONG\r\n",
    "SUB foo 1\r\n",
    "SUB foo.* q 2\r\n",
    "SUB > 3\r\n",
    "UNSUB 1 2\r\n",
    "UNSUB 3\r\n",
    "PUB foo 5\r\nhello\r\n",
    "PUB foo.bar reply 0\r\n\r\n",
    "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n",
    "CONNECT {\"headers\":true}\r\n",
    "PUB foo \t 3  \r\na\r\n\r\n",
    "SUB foo..bar 9\r\n",
    "pub _R_ _R_.x 1\r\nx\r\n",
    "NONSENSE\r\n",
];

const ROUTE_LINES: [&str; 8] = [
    "PING\r\n",
    "RS+ $G foo\r\n",
    "RS+ $G foo q 3\r\n",
    "RS- $G foo q\r\n",
    "LS+ L $G foo.bar\r\n",
    "RMSG $G foo | q p 2\r\nhi\r\n",
    "HMSG $G foo.bar r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "RMSG $G foo ? q 2\r\nhi\r\n",
];

/// What a listener, the sender and a peer are sent if `input` comes in these pieces.
fn outcome(input: &[u8], from_route: bool, cuts: &[usize]) -> [String; 4] {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    let client = scene.client("A");
    let listener = scene.client("A");
    scene.send(
        listener,
        b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB foo.> 7\r\nSUB foo q 8\r\nSUB r 9\r\n",
    );
    let sender = if from_route { peer } else { client };
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    for piece in cuts.windows(2) {
        scene.send_unsettled(sender, &input[piece[0]..piece[1]]);
    }
    scene.settle();
    let closed = format!("{:?}", scene.closed(sender));
    [shown(&scene.take(peer)), shown(&scene.take(client)), shown(&scene.take(listener)), closed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_splitting_of_a_clients_bytes_has_the_same_outcome(
        lines in prop::collection::vec(prop::sample::select(&CLIENT_LINES[..]), 1..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let input = lines.concat();
        prop_assert_eq!(outcome(input.as_bytes(), false, &cuts), outcome(input.as_bytes(), false, &[]));
    }

    #[test]
    fn any_splitting_of_a_peers_bytes_has_the_same_outcome(
        lines in prop::collection::vec(prop::sample::select(&ROUTE_LINES[..]), 1..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let input = lines.concat();
        prop_assert_eq!(outcome(input.as_bytes(), true, &cuts), outcome(input.as_bytes(), true, &[]));
    }
}

#[test]
fn byte_by_byte_is_a_splitting_too() {
    for (lines, from_route) in [(CLIENT_LINES.concat(), false), (ROUTE_LINES.concat(), true)] {
        let cuts: Vec<usize> = (0..lines.len()).collect();
        assert_eq!(outcome(lines.as_bytes(), from_route, &cuts), outcome(lines.as_bytes(), from_route, &[]));
    }
}
