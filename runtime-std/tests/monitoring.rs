//! Monitoring over HTTP.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, alone, wait_until};
use onehop::config::{Config, Listen, Port};
use onehop::monitor::http::MAX_CONNECTIONS;
use onehop_std::Server;

fn start() -> Server {
    let monitoring = Some(Listen { host: String::new(), port: Port::Any });
    Server::start(Config { monitoring, ..alone() }).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server.monitor_addr().unwrap());
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer and then the end");
    answer
}

#[test]
fn it_is_served_only_where_the_configuration_says_so() {
    assert_eq!(Server::start(alone()).unwrap().monitor_addr(), None);
    assert!(start().monitor_addr().unwrap().ip().is_loopback(), "on the host of clients");
}

#[test]
fn pages_are_served_over_one_connection() {
    let server = start();
    let _client = Client::connect(&server);
    let request = b"GET /varz HTTP/1.1\r\nHost: a\r\n\r\nGET /nope HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(&server, request);
    let statuses: Vec<_> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answer}");
    let port = server.monitor_addr().unwrap().port();
    assert!(answer.contains(&format!("\"http_port\": {port},")), "{answer}");
    assert!(answer.contains("\"connections\": 1,"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{answer}");
}

#[test]
fn a_request_that_is_too_long_gets_its_answer_before_the_end() {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    assert!(exchange(&start(), request.as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn what_waits_for_a_client_that_does_not_read_is_shown() {
    let server = start();
    let mut deaf = Client::connect(&server);
    deaf.send("SUB a 1\r\n");
    deaf.flush();
    let mut publisher = Client::connect(&server);
    // More than a socket holds.
    let body = "x".repeat(1 << 20);
    for _ in 0..16 {
        publisher.send(format!("PUB a {}\r\n{body}\r\n", body.len()));
    }
    wait_until("bytes wait", || {
        let page = exchange(&server, b"GET /connz HTTP/1.0\r\n\r\n");
        page.lines().any(|line| line.contains("\"pending_bytes\": ") && !line.contains(": 0,"))
    });
}

#[test]
fn more_connections_than_the_limit_wait_until_another_ends() {
    let server = start();
    let address = server.monitor_addr().unwrap();
    let mut idle: Vec<_> = (0..MAX_CONNECTIONS).map(|_| connect(address)).collect();
    // The last of them is served, so all are.
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut last = idle.last().unwrap();
    last.write_all(request).unwrap();
    let mut status = [0; 12];
    last.read_exact(&mut status).unwrap();
    let mut late = connect(address);
    late.write_all(request).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(late.read_exact(&mut status).is_err(), "there is no seat");
    idle.truncate(MAX_CONNECTIONS - 1);
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    late.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn a_server_shuts_down_at_once_though_connections_are_idle() {
    let server = start();
    let address = server.monitor_addr().unwrap();
    let mut idle: Vec<_> = (0..MAX_CONNECTIONS + 1).map(|_| connect(address)).collect();
    idle[0].write_all(b"GET /va").unwrap();
    let started = Instant::now();
    server.shutdown();
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
    assert_eq!(idle[0].read(&mut [0]).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
}
