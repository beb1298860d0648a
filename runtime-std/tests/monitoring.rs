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
fn with_more_connections_than_the_limit_the_longest_idle_ends() {
    let server = start();
    let address = server.monitor_addr().unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let ask = |mut stream: &TcpStream| {
        let mut status = [0; 12];
        stream
            .write_all(request)
            .and_then(|()| stream.read_exact(&mut status))
            .map(|()| status == *b"HTTP/1.1 200")
    };
    let seated: Vec<_> = (0..MAX_CONNECTIONS).map(|_| connect(address)).collect();
    // The last of them is served, so all are.
    assert!(ask(seated.last().unwrap()).unwrap());
    assert!(ask(&seated[0]).unwrap(), "there are seats for all of them");
    assert!(ask(&connect(address)).unwrap(), "there is one for the next too");
    assert_eq!((&seated[1]).read(&mut [0]).unwrap_or(0), 0, "which this one has lost");
    assert!(ask(&seated[2]).unwrap());
}

#[test]
fn a_server_shuts_down_at_once_though_connections_are_idle() {
    let server = start();
    let address = server.monitor_addr().unwrap();
    let idle: Vec<_> = (0..MAX_CONNECTIONS + 1).map(|_| connect(address)).collect();
    let mut last = idle.last().unwrap();
    last.write_all(b"GET /va").unwrap();
    shuts_down_at_once(server, address);
    assert_eq!(last.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn a_server_shuts_down_at_once_though_pages_wait_to_be_rendered_and_to_be_read() {
    let server = start();
    let address = server.monitor_addr().unwrap();
    let mut client = Client::connect(&server);
    (0..50_000).for_each(|sid| client.send(format!("SUB foo.{sid} {sid}\r\n")));
    client.send("PING\r\n");
    client.expect(&["PONG"]);
    let unread: Vec<_> = (0..MAX_CONNECTIONS).map(|_| connect(address)).collect();
    for mut stream in &unread {
        stream.write_all(b"GET /subsz?subs=1&limit=50000 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    (&unread[0]).read_exact(&mut [0; 12]).expect("it begins");
    shuts_down_at_once(server, address);
}

fn shuts_down_at_once(server: Server, address: SocketAddr) {
    let started = Instant::now();
    server.shutdown();
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
    assert!(TcpStream::connect(address).is_err());
}
