//! Clients by WebSocket: what a node and its other clients see of them (wire.md 6.5).

use std::time::Duration;

use onehop::config::{Config, Port, WebSocketConfig};
use onehop::hub::Kind;
use onehop::{CloseReason, ConnectionId, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn engine(change: impl FnOnce(&mut Config)) -> Engine {
    let websocket = WebSocketConfig {
        host: "127.0.0.1".into(),
        port: Port::Any,
        no_tls: true,
        ..WebSocketConfig::default()
    };
    let mut config = Config { websocket: Some(websocket), ..Config::default() };
    change(&mut config);
    let listening = Listening { client_port: 4222, websocket_port: 8080, ..Listening::default() };
    Engine::new(config, &listening, NOW)
}

fn accept(engine: &mut Engine) -> ConnectionId {
    engine.handle_accept_websocket(NOW, "127.0.0.1:5".parse().expect("an address"))
}

/// A client that has its WebSocket, and read its INFO.
fn client(engine: &mut Engine) -> ConnectionId {
    let client = accept(engine);
    engine.handle_input(NOW, client, REQUEST).expect("an open connection");
    engine.transmit(client).expect("an open connection");
    client
}

/// A message of a client, in one frame whose mask changes nothing.
fn message(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 126, "a short one");
    [&[0x82, 0x80 | bytes.len() as u8, 0, 0, 0, 0], bytes].concat()
}

/// The same of the server.
fn said(bytes: &[u8]) -> Vec<u8> {
    [&[0x82, bytes.len() as u8], bytes].concat()
}

fn send(engine: &mut Engine, client: ConnectionId, bytes: &[u8]) {
    engine.handle_input(NOW, client, &message(bytes)).expect("an open connection");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ends a connection, and returns what was still said to it.
fn last_words(engine: &mut Engine, id: ConnectionId, reason: CloseReason) -> Vec<u8> {
    let said = engine.transmit(id).expect("it is closing");
    assert_eq!(engine.poll_closed(), Some((id, reason)));
    said
}

#[test]
fn a_client_by_websocket_is_greeted_when_it_has_asked_for_that_and_talks_with_all_others() {
    let mut engine = engine(|_| {});
    let web = accept(&mut engine);
    assert_eq!(engine.transmit(web).expect("an open connection"), b"");
    let plain = engine.handle_accept_client(NOW, "127.0.0.1:6".parse().expect("an address"));
    engine.transmit(plain).expect("an open connection");
    engine.handle_input(NOW, web, REQUEST).expect("an open connection");
    let greeting = text(&engine.transmit(web).expect("an open connection"));
    let (answer, info) = greeting.split_once("\r\n\r\n").expect("an answer and a frame");
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(info.contains(r#""host":"127.0.0.1","port":8080,"#), "{info}");
    send(&mut engine, web, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
    engine.handle_input(NOW, plain, b"SUB b 2\r\nPUB a 3\r\nabc\r\n").expect("an open connection");
    assert_eq!(engine.transmit(web).expect("an open connection"), said(b"MSG a 1 3\r\nabc\r\n"));
    send(&mut engine, web, b"PUB b 1\r\nx\r\nPING\r\n");
    assert!(text(&engine.transmit(plain).expect("an open connection")).ends_with("MSG b 2 1\r\nx\r\n"));
    assert_eq!(engine.transmit(web).expect("an open connection"), said(b"PONG\r\n"));
}

#[test]
fn who_has_not_asked_for_a_websocket_yet_is_no_client() {
    let mut engine = engine(|config| config.max_connections = 1);
    let asking = accept(&mut engine);
    let clients = |engine: &Engine| engine.node().hub().directory().count(Kind::Client);
    assert_eq!(clients(&engine), 0);
    let client = client(&mut engine);
    assert_eq!(clients(&engine), 1);
    // Nobody else may come in, which shows when it asks.
    engine.handle_input(NOW, asking, REQUEST).expect("an open connection");
    let last = last_words(&mut engine, asking, CloseReason::MaximumConnectionsExceeded);
    assert!(
        last.ends_with(
            b"-ERR 'maximum connections exceeded'\r\n\x88\x1e\x03\xf0Maximum Connections Exceeded"
        )
    );
    engine.handle_closed(NOW, client, CloseReason::ClientClosed).expect("an open connection");
    assert_eq!(clients(&engine), 0);
}

#[test]
fn who_asks_for_something_else_is_answered_and_leaves_nothing_behind() {
    let mut engine = engine(|_| {});
    let other = accept(&mut engine);
    engine.handle_input(NOW, other, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n").expect("an open connection");
    let last = text(&last_words(&mut engine, other, CloseReason::InvalidFrames));
    assert!(last.starts_with("HTTP/1.1 405 Method Not Allowed\r\n") && !last.contains("INFO"), "{last}");
    assert_eq!(engine.node().hub().closed().to_vec().len(), 0);
    assert_eq!(engine.node().hub().directory().count(Kind::Upgrading), 0);
}

#[test]
fn who_takes_too_long_to_ask_for_a_websocket_is_closed_without_a_word() {
    let mut engine = engine(|_| {});
    let silent = accept(&mut engine);
    engine.handle_input(NOW, silent, &REQUEST[..30]).expect("an open connection");
    let (at, _) = engine.poll_timeout().expect("a time");
    assert_eq!(at, NOW + WebSocketConfig::default().handshake_timeout);
    engine.handle_timeout(at);
    assert_eq!(last_words(&mut engine, silent, CloseReason::ClientClosed), b"");
}

#[test]
fn the_time_to_authenticate_begins_when_a_client_has_its_websocket() {
    let mut engine = engine(|config| {
        config.authorization = onehop::config::Authorization::Token("secret".into());
    });
    let late = accept(&mut engine);
    let asked = NOW + Duration::from_secs(9);
    engine.handle_input(asked, late, REQUEST).expect("an open connection");
    engine.transmit(late).expect("an open connection");
    let (at, _) = engine.poll_timeout().expect("a time");
    assert_eq!(at, asked + Duration::from_secs(2));
    engine.handle_timeout(at);
    let last = last_words(&mut engine, late, CloseReason::AuthenticationTimeout);
    let close = b"\x88\x18\x03\xf0Authentication Timeout";
    assert_eq!(last, [&said(b"-ERR 'Authentication Timeout'\r\n")[..], close].concat());
}

#[test]
fn what_is_no_frame_ends_one_client_and_no_other() {
    let mut engine = engine(|_| {});
    let (bad, good) = (client(&mut engine), client(&mut engine));
    send(&mut engine, good, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
    // What was good before is heard.
    let input = [message(b"CONNECT {\"verbose\":false}\r\nPUB a 1\r\nx\r\n"), vec![0x83, 0x80]].concat();
    engine.handle_input(NOW, bad, &input).expect("an open connection");
    let last = last_words(&mut engine, bad, CloseReason::InvalidFrames);
    assert_eq!(last, b"\x88\x12\x03\xeaunknown opcode 3");
    assert_eq!(engine.transmit(good).expect("an open connection"), said(b"MSG a 1 1\r\nx\r\n"));
    let closed = engine.node().hub().closed().to_vec();
    assert_eq!(closed.iter().map(|closed| closed.reason.as_str()).collect::<Vec<_>>(), ["Read Error"]);
}

#[test]
fn clients_are_pinged_as_often_as_the_port_for_websockets_says() {
    let own = Duration::from_secs(7);
    let mut engine = engine(|config| config.websocket.as_mut().expect("a port").ping_interval = Some(own));
    let client = client(&mut engine);
    send(&mut engine, client, b"CONNECT {\"verbose\":false}\r\n");
    let mut pings = Vec::new();
    while pings.len() < 3 {
        let (at, _) = engine.poll_timeout().expect("a time");
        engine.handle_timeout(at);
        if engine.transmit(client).expect("an open connection") == said(b"PING\r\n") {
            pings.push(at);
            engine.handle_input(at, client, &message(b"PONG\r\n")).expect("an open connection");
        }
    }
    assert_eq!(pings[2].since(pings[1]), own);
}
