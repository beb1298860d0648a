//! Monitoring over HTTP: what is asked for gets the same status, the same kind of content and the same doors opened for browsers
//! from nats-server 2.15.1 and from both runtimes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use onehop_tests::mesh::wait_until;
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
        let mut page = serde_json::Value::Null;
        wait_until("all is written", TIMEOUT, || {
            page = server.page("/connz?subs=1");
            page["connections"][0]["pending_bytes"] == 0
        });
        let connection = &page["connections"][0];
        assert_eq!(connection["name"], "me", "{kind}");
        assert_eq!(connection["subscriptions_list"], serde_json::json!(["a"]), "{kind}");
        let varz = server.page("/varz");
        assert_eq!((&varz["connections"], &varz["http_host"]), (&1.into(), &"127.0.0.1".into()), "{kind}");
        assert!(varz["mem"].as_u64() > Some(100_000) && varz["cores"].as_u64() > Some(0), "{kind}: {varz}");
    }
}

/// Chunked or not, a page that is too long to be held is the same, and the connection goes on behind it.
#[test]
fn a_long_page_is_read_as_a_whole() {
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let _client = subscribed(&server);
        let target = "/subsz?subs=1&limit=1000000";
        let listed = |page: &str| {
            let page: serde_json::Value = serde_json::from_str(page).expect("JSON");
            let list = page["subscriptions_list"].as_array().expect("a list");
            let mut subjects: Vec<_> = list.iter().map(|each| each["subject"].to_string()).collect();
            // nats-server lists its own too.
            subjects.retain(|subject| subject.starts_with("\"s."));
            subjects.sort_unstable();
            subjects.dedup();
            subjects.len()
        };
        let text = exchange(&server, &format!("GET {target} HTTP/1.0\r\n\r\n"));
        assert_eq!(listed(text.split_once("\r\n\r\n").expect("a head").1), SUBSCRIPTIONS, "{kind}");
        let requests = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let text = exchange(&server, &requests);
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
        assert_eq!(field(head, "transfer-encoding"), "chunked", "{kind}: {head}");
        let (page, rest) = dechunked(rest);
        assert_eq!(listed(&page), SUBSCRIPTIONS, "{kind}");
        assert!(
            rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with("{\"status\":\"ok\"}"),
            "{kind}: {rest}"
        );
    }
}

#[test]
fn whether_a_server_is_well_is_answered_though_hundreds_never_finish_their_requests() {
    let mut all = Vec::new();
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let half = || {
            let mut stream = connect(&server);
            stream.write_all(b"GET /va").expect("the half of it is sent");
            stream
        };
        let streams: Vec<_> = (0..300).map(|_| half()).collect();
        assert_eq!(ask(&server, HEALTHZ).status, "200", "{kind}");
        all.push((server, streams));
    }
    // Until then they may have been closed for the sake of others, from then on for their own.
    std::thread::sleep(Duration::from_secs(6));
    for (server, streams) in all {
        for mut stream in streams {
            stream.set_nonblocking(true).expect("a mode");
            let end = stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
            assert_ne!(end, Err(std::io::ErrorKind::WouldBlock), "{}", server.kind());
        }
    }
}

/// nats-server makes all of them at once.
#[test]
fn pages_that_nobody_reads_hold_up_nobody_and_take_no_memory() {
    for kind in Kind::RUNTIMES {
        let Some(server) = Server::start(kind, Options::default()) else { return };
        let mut client = subscribed(&server);
        let memory_bytes = || server.page("/varz")["mem"].as_u64().expect("a number");
        let before = memory_bytes();
        let request = format!("GET /subsz?subs=1&limit={SUBSCRIPTIONS} HTTP/1.1\r\nHost: x\r\n\r\n");
        let unread: Vec<_> = (0..300)
            .map(|_| {
                let mut stream = connect(&server);
                stream.write_all(request.as_bytes()).expect("the request is sent");
                stream
            })
            .collect();
        assert_eq!(ask(&server, HEALTHZ).status, "200", "{kind}");
        client.ping();
        onehop_tests::raw::RawConn::connect(server.ports().client).ping();
        // Some begin, and the others wait for their turn.
        let begun = |mut stream: &TcpStream| {
            stream.set_read_timeout(Some(Duration::from_millis(1))).is_ok()
                && matches!(stream.read(&mut [0]), Ok(1))
        };
        while !unread.iter().any(begun) {}
        let grown_bytes = memory_bytes().saturating_sub(before);
        // What may wait, and some for the connections and threads themselves.
        assert!(grown_bytes < 96 << 20, "{kind}: {grown_bytes} bytes more");
    }
}

/// A client with so many subscriptions that they make a long page.
fn subscribed(server: &Server) -> onehop_tests::raw::RawConn {
    let mut client = onehop_tests::raw::RawConn::connect(server.ports().client);
    client.send("CONNECT {\"verbose\":false}\r\n");
    let lines: String = (0..SUBSCRIPTIONS).map(|sid| format!("SUB s.{sid} {sid}\r\n")).collect();
    client.send(lines);
    client.ping();
    client
}

const SUBSCRIPTIONS: usize = 10_000;

/// The body that is sent in chunks, and what follows it.
fn dechunked(mut rest: &str) -> (String, &str) {
    let mut whole = String::new();
    loop {
        let (size, chunk) = rest.split_once("\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.push_str(&chunk[..size]);
        rest = chunk[size..].strip_prefix("\r\n").expect("the end of a chunk");
        if size == 0 {
            return (whole, rest);
        }
    }
}

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /connz?subs=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /routez HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /subsz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /subscriptionsz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /gatewayz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /leafz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /accountz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /accountz?acc=$G HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /accountz?acc=NOPE HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /accstatz?unused=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /accstatz?unused=x HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /jsz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /ipqueuesz HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /raftz HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS /varz HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nAccess-Control-Request-Method: GET\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "DELETE /connz HTTP/1.1\r\nHost: x\r\n\r\n",
    "FOO /varz HTTP/1.1\r\nHost: x\r\n\r\n",
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
