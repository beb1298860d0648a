//! Clients that come by way of a proxy (wire.md 1.14).

use std::time::Duration;

use onehop::config::{Authorization, Config};
use onehop::hub::Kind;
use onehop::{CloseReason, ConnectionId, Engine, Instant, Listening};

const NOW: Instant = Instant::ZERO;
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n";
const SECOND: Duration = Duration::from_secs(1);

fn engine(authorization: Authorization) -> Engine {
    let config = Config { proxy_protocol: true, authorization, ..Config::default() };
    Engine::new(config, &Listening::default(), NOW)
}

fn accept(engine: &mut Engine) -> ConnectionId {
    let client = engine.handle_accept_client(NOW, "127.0.0.1:1".parse().expect("an address"));
    let info = heard(engine, client);
    assert!(info.starts_with("INFO {") && !info.contains("client_ip"), "{info}");
    client
}

fn heard(engine: &mut Engine, id: ConnectionId) -> String {
    String::from_utf8(engine.transmit(id).expect("an open connection")).expect("text")
}

/// Where the clients are, as monitoring shows it.
fn origins(engine: &Engine) -> Vec<String> {
    let clients = engine.node().hub().directory().list(Kind::Client);
    clients.iter().map(|client| client.origin().to_string()).collect()
}

#[test]
fn a_client_is_where_its_proxy_says_wherever_the_header_and_what_follows_it_are_divided() {
    let all = [HEADER, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n"].concat();
    for at in 1..all.len() {
        let mut engine = engine(Authorization::None);
        let client = accept(&mut engine);
        assert_eq!(origins(&engine), ["127.0.0.1:1"]);
        for part in [&all[..at], &all[at..]] {
            engine.handle_input(NOW, client, part).expect("an open connection");
        }
        let answer = heard(&mut engine, client);
        assert!(answer.contains("PONG\r\n") && answer.contains("\"client_ip\":\"192.0.2.7\""), "{answer}");
        assert_eq!(origins(&engine), ["192.0.2.7:1234"]);
    }
}

#[test]
fn a_client_that_comes_without_a_proxy_is_served_as_ever() {
    for said in [&b"CONNECT {\"verbose\":false}\r\nPING\r\n"[..], b"PING\r\n", b"PUB a 1\r\nx\r\nPING\r\n"] {
        for at in 1..said.len() {
            let mut engine = engine(Authorization::None);
            let client = accept(&mut engine);
            engine.handle_input(NOW, client, &said[..at]).expect("an open connection");
            engine.handle_input(NOW, client, &said[at..]).expect("an open connection");
            assert!(heard(&mut engine, client).ends_with("PONG\r\n"));
            assert_eq!(origins(&engine), ["127.0.0.1:1"]);
        }
    }
}

#[test]
fn a_wrong_header_ends_the_connection_without_a_word() {
    let mut engine = engine(Authorization::None);
    for header in [&b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\0"] {
        let client = accept(&mut engine);
        engine.handle_input(NOW, client, &[header, b"CONNECT {}\r\n"].concat()).expect("an open connection");
        assert_eq!(heard(&mut engine, client), "");
        assert_eq!(engine.poll_closed(), Some((client, CloseReason::ProtocolViolation)));
    }
}

#[test]
fn a_proxy_has_five_seconds_for_its_header_and_the_client_its_own_time_after_that() {
    let mut engine = engine(Authorization::Token("secret".into()));
    for part in [&b""[..], b"PROXY TCP4", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\xff\xff and so on"] {
        let client = accept(&mut engine);
        engine.handle_input(NOW, client, part).expect("an open connection");
        engine.handle_timeout(NOW + Duration::from_millis(4_999));
        assert_eq!(engine.poll_closed(), None);
        engine.handle_timeout(NOW + 5 * SECOND);
        assert_eq!(heard(&mut engine, client), "");
        assert_eq!(engine.poll_closed(), Some((client, CloseReason::ProtocolViolation)));
    }
    let client = accept(&mut engine);
    let late = NOW + 4 * SECOND;
    engine.handle_input(late, client, HEADER).expect("an open connection");
    engine.handle_timeout(NOW + 5 * SECOND);
    assert_eq!(engine.poll_closed(), None);
    engine.handle_timeout(late + 2 * SECOND);
    assert_eq!(heard(&mut engine, client), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(engine.poll_closed(), Some((client, CloseReason::AuthenticationTimeout)));
}
