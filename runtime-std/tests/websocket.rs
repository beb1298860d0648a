//! Clients by WebSocket: what a transform says of itself goes out although nobody published anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use onehop::config::{Config, Port, WebSocketConfig};
use onehop_std::Server;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn start() -> Server {
    let host = "127.0.0.1".to_owned();
    let own =
        WebSocketConfig { host: host.clone(), port: Port::Any, no_tls: true, ..WebSocketConfig::default() };
    let config = Config { host, port: Port::Any, websocket: Some(own), ..Config::default() };
    Server::start(config).expect("a server")
}

fn connect(server: &Server) -> TcpStream {
    let address = server.websocket_addr().expect("a port for WebSockets");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    stream
}

/// Reads until what came ends so.
fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more");
        read.extend(byte);
    }
}

#[test]
fn pings_are_answered_and_the_last_frame_says_that_the_server_goes() {
    let server = start();
    let mut client = connect(&server);
    client.write_all(REQUEST).expect("written");
    read_until(&mut client, b"} \r\n");
    for number in 0..100 {
        client.write_all(&[0x89, 0x81, 0, 0, 0, 0, number]).expect("written");
        read_until(&mut client, &[0x8a, 1, number]);
    }
    server.shutdown();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, b"\x88\x02\x03\xe9");
}

#[test]
fn who_asks_for_something_else_is_answered_and_closed() {
    let server = start();
    let mut other = connect(&server);
    other.write_all(b"PING\r\n\r\n").expect("written");
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.ends_with("\r\n\r\nBad Request\n"),
        "{answer}"
    );
}
