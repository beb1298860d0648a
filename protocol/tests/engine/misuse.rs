//! Calls that make no sense are answered with an error and change nothing.

use std::io::IoSlice;

use onehop::config::{ClusterConfig, Config};
use onehop::{ApiMisuse, CloseReason, ConnectionId, DialError, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;

#[test]
fn a_connection_that_was_never_there_is_unknown_to_every_call() {
    let mut engine = Engine::new(Config::default(), &Listening::default(), NOW);
    let id = ConnectionId::new(7, 0);
    let unknown = ApiMisuse::UnknownConnection(id);
    assert_eq!(engine.handle_input(NOW, id, b"PING\r\n"), Err(unknown));
    assert_eq!(engine.handle_closed(NOW, id, CloseReason::ClientClosed), Err(unknown));
    assert_eq!(engine.handle_blocked(NOW, id), Err(unknown));
    assert_eq!(engine.advance(id, 0), Err(unknown));
    assert_eq!(engine.transmit(id), Err(unknown));
    assert_eq!(engine.poll_transmit(id, &mut [IoSlice::new(&[])]), Err(unknown));
}

#[test]
fn a_connection_that_is_gone_is_unknown_even_if_its_index_is_used_again() {
    let mut engine = Engine::new(Config::default(), &Listening::default(), NOW);
    let remote = "127.0.0.1:1".parse().expect("an address");
    let old = engine.handle_accept_client(NOW, remote);
    engine.handle_closed(NOW, old, CloseReason::ClientClosed).expect("an open connection");
    let new = engine.handle_accept_client(NOW, remote);
    assert_eq!(new.index(), old.index());
    assert_eq!(engine.handle_input(NOW, old, b"PING\r\n"), Err(ApiMisuse::UnknownConnection(old)));
    assert_eq!(engine.transmit(old), Err(ApiMisuse::UnknownConnection(old)));
    assert!(!engine.transmit(new).expect("an open connection").is_empty());
}

#[test]
fn no_more_can_be_written_than_waits() {
    let mut engine = Engine::new(Config::default(), &Listening::default(), NOW);
    let id = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    engine.transmit(id).expect("an open connection");
    engine.handle_input(NOW, id, b"PING\r\n").expect("an open connection");
    assert_eq!(engine.advance(id, 7), Err(ApiMisuse::AdvancedTooFar { pending_bytes: 6 }));
    assert_eq!(engine.transmit(id).as_deref(), Ok(b"PONG\r\n".as_slice()));
}

#[test]
fn a_node_without_a_cluster_has_no_routes() {
    let mut engine = Engine::new(Config::default(), &Listening::default(), NOW);
    let remote = "127.0.0.1:1".parse().expect("an address");
    assert_eq!(engine.handle_accept_route(NOW, remote), Err(ApiMisuse::NoCluster));
    assert_eq!(engine.poll_dial(NOW), None);
}

#[test]
fn a_dial_is_answered_once() {
    let routes = vec!["nats://127.0.0.1:6222".parse().expect("a URL")];
    let cluster = Some(ClusterConfig { routes, ..ClusterConfig::default() });
    let mut engine = Engine::new(Config { cluster, ..Config::default() }, &Listening::default(), NOW);
    let request = engine.poll_dial(NOW).expect("a dial of the configured route");
    let failed = DialError::Failed("refused".to_owned());
    assert_eq!(engine.handle_dial_failed(NOW, request.id, &failed), Ok(()));
    let unknown = ApiMisuse::UnknownDial(request.id);
    assert_eq!(engine.handle_dial_failed(NOW, request.id, &failed), Err(unknown));
    let remote = "127.0.0.1:6222".parse().expect("an address");
    assert_eq!(engine.handle_dialed(NOW, request.id, remote), Err(unknown));
}
