//! What other servers may make a node hold (design.md 10).

use onehop::config::{Config, RouteLimits};
use onehop::{CloseReason, Engine, Instant, Listening};

use crate::scene::Scene;

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"headers\":true,\"name\":\"NX\",\"cluster\":\"C\"}\r\n";

fn limited(change: impl FnOnce(&mut RouteLimits)) -> Scene {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| change(&mut config.cluster.as_mut().expect("a clustered node").limits));
    scene
}

#[test]
fn a_server_that_has_not_presented_itself_cannot_make_a_node_hold_a_message() {
    for (bytes, reason) in [(1000, None), (1001, Some(CloseReason::MaximumPayloadExceeded))] {
        let mut scene = limited(|limits| limits.max_unregistered_in_bytes = 1000);
        let stranger = scene.raw_route("A");
        scene.send(stranger, CONNECT);
        scene.take(stranger);
        scene.send(stranger, format!("RMSG $G foo {bytes}\r\nxxx").as_bytes());
        assert_eq!(scene.closed(stranger), reason, "{bytes}");
    }
}

#[test]
fn a_server_that_has_not_presented_itself_is_not_answered_without_end() {
    let mut scene = limited(|limits| limits.max_unregistered_out_bytes = 60);
    let stranger = scene.raw_route("A");
    scene.send(stranger, CONNECT);
    scene.take(stranger);
    scene.send(stranger, &b"PING\r\n".repeat(10));
    assert_eq!(scene.closed(stranger), None);
    scene.send(stranger, b"PING\r\n");
    assert_eq!(scene.closed(stranger), Some(CloseReason::SlowConsumerPendingBytes));
}

#[test]
fn a_message_of_a_server_that_is_too_large_ends_the_route_before_it_is_read() {
    let mut scene = limited(|limits| limits.max_payload = 100_000);
    let peer = scene.raw_peer("A", "R", "");
    scene.take(peer);
    scene.send(peer, format!("RMSG $G foo 100000\r\n{}\r\nPING\r\n", "x".repeat(100_000)).as_bytes());
    assert_eq!(scene.take(peer), "PONG\r\n");
    scene.send(peer, b"RMSG $G foo 100001\r\nxxx");
    assert_eq!(scene.take(peer), "-ERR 'Maximum Payload Violation'\r\n");
    assert_eq!(scene.closed(peer), Some(CloseReason::MaximumPayloadExceeded));
}

#[test]
fn a_server_beyond_the_limit_is_turned_away_and_leaves_room_for_others_when_it_goes() {
    let mut scene = limited(|limits| limits.max_peers = 2);
    let first = scene.raw_peer("A", "R1", "");
    scene.raw_peer("A", "R2", "");
    let third = scene.raw_route("A");
    let presents = |name: &str| {
        let info =
            format!("INFO {{\"server_id\":\"N{name}\",\"server_name\":\"{name}\",\"cluster\":\"C\"}}\r\n");
        [CONNECT, info.as_bytes()].concat()
    };
    scene.take(third);
    scene.send(third, &presents("R3"));
    assert_eq!(scene.take(third), "-ERR 'maximum connections exceeded'\r\n");
    assert_eq!(scene.closed(third), Some(CloseReason::MaximumConnectionsExceeded));
    scene.disconnect(first);
    let third = scene.raw_route("A");
    scene.send(third, &presents("R3"));
    assert_eq!(scene.closed(third), None);
}

#[test]
fn connections_of_servers_that_never_present_themselves_are_limited_and_peers_do_not_count() {
    let mut scene = limited(|limits| limits.max_unregistered = 2);
    let peer = scene.raw_peer("A", "R1", "");
    let strangers = [(); 3].map(|()| scene.raw_route("A"));
    let closed = strangers.map(|stranger| scene.closed(stranger));
    assert_eq!(closed, [Some(CloseReason::MaximumConnectionsExceeded), None, None]);
    assert!(scene.take(strangers[0]).ends_with("-ERR 'maximum connections exceeded'\r\n"));
    scene.disconnect(strangers[1]);
    let next = scene.raw_route("A");
    assert_eq!([peer, strangers[2], next].map(|open| scene.closed(open)), [None; 3]);
}

#[test]
fn a_server_gets_in_while_many_connect_that_never_present_themselves() {
    let mut scene = limited(|limits| limits.max_unregistered = 2);
    for _ in 0..5 {
        scene.raw_route("A");
    }
    // What it says first does not make it a peer, and its turn comes when it goes on to say too little.
    let talker = scene.raw_route("A");
    scene.send(talker, &[CONNECT, b"PING\r\n"].concat());
    scene.raw_route("A");
    assert_eq!(scene.closed(talker), None);
    let peer = scene.raw_peer("A", "R1", "");
    assert_eq!(scene.closed(talker), Some(CloseReason::MaximumConnectionsExceeded));
    for _ in 0..5 {
        scene.raw_route("A");
    }
    scene.send(peer, b"PING\r\n");
    assert!(scene.take(peer).ends_with("PONG\r\n"));
}

#[test]
fn a_server_with_an_endless_name_is_turned_away() {
    for (field, bytes, reason) in [
        ("server_id", 256, None),
        ("server_id", 257, Some(CloseReason::ProtocolViolation)),
        ("server_name", 257, Some(CloseReason::ProtocolViolation)),
        ("cluster", 257, Some(CloseReason::ProtocolViolation)),
    ] {
        let mut scene = limited(|_| {});
        let stranger = scene.raw_route("A");
        scene.send(stranger, CONNECT);
        let own = [("server_id", "NX"), ("server_name", "X"), ("cluster", "C")];
        let fields = own.map(|(name, text)| {
            let text = if name == field { "n".repeat(bytes) } else { text.to_owned() };
            format!("\"{name}\":\"{text}\"")
        });
        scene.send(stranger, format!("INFO {{{}}}\r\n", fields.join(",")).as_bytes());
        assert_eq!(scene.closed(stranger), reason, "{field} {bytes}");
    }
}

#[test]
fn a_route_that_lets_more_than_its_limit_wait_is_closed() {
    let limits = RouteLimits { max_pending: 10_000, ..RouteLimits::default() };
    let cluster = onehop::config::ClusterConfig { name: Some("C".into()), limits, ..Default::default() };
    let config = Config { cluster: Some(cluster), ..Config::default() };
    let mut engine = Engine::new(config, &Listening::default(), Instant::ZERO);
    let remote = "127.0.0.1:1".parse().expect("an address");
    let route = engine.handle_accept_route(Instant::ZERO, remote).expect("a clustered node");
    let publisher = engine.handle_accept_client(Instant::ZERO, remote);
    let info = b"INFO {\"server_id\":\"NX\",\"server_name\":\"X\",\"cluster\":\"C\"}\r\nRS+ $G foo\r\n";
    engine.handle_input(Instant::ZERO, route, &[CONNECT, info].concat()).expect("an open route");
    engine.transmit(route).expect("an open route");
    let message = format!("PUB foo 4900\r\n{}\r\n", "x".repeat(4900));
    for reason in [None, None, Some((route, CloseReason::SlowConsumerPendingBytes))] {
        assert_eq!(engine.poll_closed(), None);
        engine.handle_input(Instant::ZERO, publisher, message.as_bytes()).expect("an open connection");
        assert_eq!(engine.poll_closed(), reason);
    }
}

#[test]
fn a_peer_that_asks_without_reading_is_closed_and_one_that_reads_is_not() {
    for reads in [true, false] {
        let limits = RouteLimits { max_pending_control: 1000, ..RouteLimits::default() };
        let cluster = onehop::config::ClusterConfig { name: Some("C".into()), limits, ..Default::default() };
        let config = Config { cluster: Some(cluster), ..Config::default() };
        let mut engine = Engine::new(config, &Listening::default(), Instant::ZERO);
        let remote = "127.0.0.1:1".parse().expect("an address");
        let route = engine.handle_accept_route(Instant::ZERO, remote).expect("a clustered node");
        let info = b"INFO {\"server_id\":\"NX\",\"server_name\":\"X\",\"cluster\":\"C\"}\r\n";
        engine.handle_input(Instant::ZERO, route, &[CONNECT, info].concat()).expect("an open route");
        engine.transmit(route).expect("an open route");
        for _ in 0..20 {
            engine.handle_input(Instant::ZERO, route, &b"PING\r\n".repeat(10)).expect("an open route");
            if reads {
                // Not all, so that something always waits.
                let waits = engine.pending_bytes(route);
                engine.advance(route, waits - 6).expect("as much waits");
            }
        }
        let closed = (!reads).then_some((route, CloseReason::SlowConsumerPendingBytes));
        assert_eq!(engine.poll_closed(), closed);
    }
}
