//! Monitoring over HTTP: what is asked for gets the same status, the same kind of content and the same doors opened for browsers
//! from nats-server 2.15.1 and from both runtimes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use onehop_tests::server::{Kind, Options, Server};

const TIMEOUT: Duration = Duration::from_secs(10);

/// What of an answer is compared.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: String,
    content_type: String,
    allowed_origin: String,
    has_body: bool,
    keep_alive: bool,
}

#[test]
fn requests_are_answered_alike() {
    let Some(reference) = Server::start(Kind::REFERENCE, Options::default()) else { return };
    for kind in Kind::RUNTIMES {
        let Some(tested) = Server::start(kind, Options::default()) else { return };
        for request in REQUESTS {
            let shown = request.escape_debug();
            assert_eq!(ask(&tested, request), ask(&reference, request), "{kind} (left): {shown}");
        }
    }
}

/// Of a connection that is kept, the second request is answered as if it were the first.
#[test]
fn several_requests_are_answered_over_one_connection() {
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let requests = "GET /varz HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\n\
                        GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let text = exchange(&server, requests);
        let statuses: Vec<_> =
            text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "404", "200"], "{kind}: {text}");
        assert!(text.ends_with("{\"status\":\"ok\"}"), "{kind}: {text}");
    }
}

#[test]
fn pages_show_the_connections_and_what_waits_for_them() {
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let mut client = onehop_tests::raw::RawConn::connect(server.ports().client);
        client.send("CONNECT {\"verbose\":false,\"name\":\"me\"}\r\nSUB a 1\r\n");
        client.ping();
        // The client may have its PONG before the server has counted that as written.
        let is_written = |page: &serde_json::Value| page["connections"][0]["pending_bytes"] == 0;
        let mut page = server.monitor("/connz?subs=1").expect("monitoring is on");
        for _ in 0..100 {
            if is_written(&page) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            page = server.monitor("/connz?subs=1").expect("monitoring is on");
        }
        assert!(is_written(&page), "{kind}: {page}");
        let connection = &page["connections"][0];
        assert_eq!(connection["name"], "me", "{kind}");
        assert_eq!(connection["subscriptions_list"], serde_json::json!(["a"]), "{kind}");
        let varz = server.monitor("/varz").expect("monitoring is on");
        assert_eq!((&varz["connections"], &varz["http_host"]), (&1.into(), &"127.0.0.1".into()), "{kind}");
        assert!(varz["mem"].as_u64() > Some(100_000) && varz["cores"].as_u64() > Some(0), "{kind}: {varz}");
    }
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /connz?subs=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /routez HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /subsz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /subscriptionsz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /v%61rz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /expvarz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /connz?sort=bogus HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /connz?cid=x HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /healthz?stream=x HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD /varz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /varz HTTP/1.0\r\n\r\n",
    "GET /varz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /varz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /varz HTTP/1.1\r\n\r\n",
    "GET /varz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "GET varz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /varz HTTP/2.0\r\nHost: x\r\n\r\n",
    "nonsense\r\n\r\n",
];

fn ask(server: &Server, request: &str) -> Answer {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut text = String::new();
    let mut buffer = [0; 65536];
    // Until the head is there, whatever follows it.
    while !text.contains("\r\n\r\n") {
        let read = stream.read(&mut buffer).expect("an answer");
        assert_ne!(read, 0, "only {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let mut keep_alive = true;
    while keep_alive {
        match stream.read(&mut buffer) {
            Ok(0) => keep_alive = false,
            Ok(read) => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
            Err(_) => break,
        }
    }
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Answer {
        status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        content_type: field(head, "content-type"),
        allowed_origin: field(head, "access-control-allow-origin"),
        has_body: !body.is_empty(),
        keep_alive,
    }
}

fn field(head: &str, name: &str) -> String {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|field| field.0.eq_ignore_ascii_case(name)).map_or(String::new(), |field| field.1.to_owned())
}

fn exchange(server: &Server, requests: &str) -> String {
    let mut stream = connect(server);
    stream.write_all(requests.as_bytes()).expect("the requests are sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the answers and then the end");
    text
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.ports().monitor)).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream
}
