//! A configuration that is swapped while the node runs.

use std::time::Duration;

use onehop::config::{ClusterConfig, Config};
use onehop::{CloseReason, ConnectionId, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;

fn accept(engine: &mut Engine) -> ConnectionId {
    let client = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    say(engine, client, "CONNECT {\"verbose\":false}\r\n");
    engine.transmit(client).expect("an open connection");
    client
}

fn say(engine: &mut Engine, id: ConnectionId, text: &str) {
    engine.handle_input(NOW, id, text.as_bytes()).expect("an open connection");
}

fn heard(engine: &mut Engine, id: ConnectionId) -> String {
    String::from_utf8(engine.transmit(id).expect("an open connection")).expect("text")
}

fn clustered(routes: &[&str]) -> Config {
    let routes = routes.iter().map(|url| url.parse().expect("an address")).collect();
    let cluster = ClusterConfig { name: Some("C".to_owned()), routes, ..ClusterConfig::default() };
    Config { cluster: Some(cluster), ..Config::default() }
}

fn engine(config: &Config) -> Engine {
    Engine::new(config.clone(), &Listening { route_port: 6222, ..Listening::default() }, NOW)
}

#[test]
fn limits_hold_for_clients_that_are_connected() {
    let old = Config::default();
    let mut engine = engine(&old);
    let [payload, line] = [(); 2].map(|()| accept(&mut engine));
    let new = Config { max_payload: 10, max_control_line: 64, max_subscriptions: 1, ..old };
    let changes = engine.handle_config(NOW, new).expect("all of it can change");
    assert_eq!(changes, ["max_subscriptions", "max_payload", "max_control_line"]);
    say(&mut engine, payload, "SUB a 1\r\nSUB b 2\r\n");
    assert_eq!(heard(&mut engine, payload), "-ERR 'maximum subscriptions exceeded'\r\n");
    say(&mut engine, payload, "PUB a 11\r\n");
    assert_eq!(heard(&mut engine, payload), "-ERR 'Maximum Payload Violation'\r\n");
    say(&mut engine, line, &format!("SUB {}", "x".repeat(65)));
    assert_eq!(heard(&mut engine, line), "-ERR 'maximum control line exceeded'\r\n");
}

#[test]
fn what_waits_is_judged_by_the_new_limit_once_its_connection_was_called() {
    let old = Config::default();
    let mut engine = engine(&old);
    let [slow, publisher] = [(); 2].map(|()| accept(&mut engine));
    say(&mut engine, slow, "SUB a 1\r\n");
    engine.handle_config(NOW, Config { max_pending: 2_000_000, ..old }).expect("it can change");
    say(&mut engine, slow, "UNSUB 9\r\n");
    let message = format!("PUB a 900000\r\n{}\r\n", "x".repeat(900_000));
    say(&mut engine, publisher, &message);
    say(&mut engine, publisher, &message);
    assert_eq!(engine.poll_closed(), None);
    say(&mut engine, publisher, &message);
    assert_eq!(engine.poll_closed(), Some((slow, CloseReason::SlowConsumerPendingBytes)));
}

#[test]
fn another_ping_interval_begins_with_the_next_ping() {
    let old = Config { ping_interval: Duration::from_secs(100), ..Config::default() };
    let mut engine = engine(&old);
    let client = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    engine.transmit(client).expect("an open connection");
    engine
        .handle_config(NOW, Config { ping_interval: Duration::from_secs(7), ..old })
        .expect("it can change");
    let at = |seconds| NOW + Duration::from_secs(seconds);
    for (seconds, expected) in [(99, ""), (100, "PING\r\n"), (106, ""), (107, "PING\r\n")] {
        engine.handle_timeout(at(seconds));
        assert_eq!(heard(&mut engine, client), expected, "{seconds}");
    }
}

#[test]
fn clients_beyond_a_lower_limit_are_told_and_closed_the_youngest_first() {
    let old = Config::default();
    let mut engine = engine(&old);
    let clients = [(); 3].map(|()| accept(&mut engine));
    engine.handle_config(NOW, Config { max_connections: 1, ..old }).expect("it can change");
    for client in &clients[1..] {
        assert_eq!(heard(&mut engine, *client), "-ERR 'maximum connections exceeded'\r\n");
        assert_eq!(engine.poll_closed(), Some((*client, CloseReason::MaximumConnectionsExceeded)));
    }
    say(&mut engine, clients[0], "PING\r\n");
    assert_eq!(heard(&mut engine, clients[0]), "PONG\r\n");
}

#[test]
fn a_route_that_is_new_is_dialed_and_one_that_is_gone_is_closed_and_forgotten() {
    let mut engine = engine(&clustered(&["nats://10.0.0.1:6222"]));
    let first = engine.poll_dial(NOW).expect("it is configured");
    let route = engine.handle_dialed(NOW, first.id, "10.0.0.1:6222".parse().expect("an address"));
    let route = route.expect("a dial");
    let info = r#"INFO {"server_id":"NX","server_name":"X","cluster":"C","host":"10.0.0.1","port":6222}"#;
    say(&mut engine, route, &format!("{info}\r\n"));
    while engine.poll_dial(NOW).is_some() {}
    assert_eq!(engine.node().peer_count(), 1);

    let changes = engine.handle_config(NOW, clustered(&["nats://10.0.0.2:6222"])).expect("it can change");
    assert_eq!(changes, ["cluster.routes"]);
    engine.transmit(route).expect("a connection that is ending");
    assert_eq!(engine.poll_closed(), Some((route, CloseReason::RouteRemoved)));
    let mut dialed = Vec::new();
    for second in 0..60 {
        let now = NOW + Duration::from_secs(second);
        engine.handle_timeout(now);
        dialed.extend(std::iter::from_fn(|| engine.poll_dial(now)).map(|request| request.host));
    }
    dialed.dedup();
    assert_eq!(dialed, ["10.0.0.2"]);
}

/// It is no configured one when it presents itself after all.
#[test]
fn a_route_that_is_gone_is_closed_in_the_middle_of_its_handshake() {
    let mut engine = engine(&clustered(&["nats://10.0.0.1:6222"]));
    let first = engine.poll_dial(NOW).expect("it is configured");
    let route = engine.handle_dialed(NOW, first.id, "10.0.0.1:6222".parse().expect("an address"));
    let route = route.expect("a dial");
    engine.handle_config(NOW, clustered(&[])).expect("it can change");
    engine.transmit(route).expect("a connection that is ending");
    assert_eq!(engine.poll_closed(), Some((route, CloseReason::RouteRemoved)));
    for second in 0..60 {
        let now = NOW + Duration::from_secs(second);
        engine.handle_timeout(now);
        assert_eq!(engine.poll_dial(now), None);
    }
}

#[test]
fn what_cannot_change_is_refused_by_name_and_then_nothing_changes() {
    let old = clustered(&[]);
    let mut engine = engine(&old);
    let client = accept(&mut engine);
    let new = Config { host: "::1".to_owned(), max_payload: 1, ..old };
    let refused = engine.handle_config(NOW, new).expect_err("a host cannot change");
    assert_eq!(refused.keys(), ["host"]);
    say(&mut engine, client, "PUB a 2\r\nhi\r\nPING\r\n");
    assert_eq!(heard(&mut engine, client), "PONG\r\n");
}
