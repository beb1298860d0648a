//! Clients by WebSocket: both runtimes answer as nats-server 2.15.1 does, and what is wrong ends one connection and no other
//! (wire.md 6.5).

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use onehop_tests::mesh::wait_until;
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::websocket::{
    ASKS, CLOSE, COMPRESSED_MESSAGE, Frame, MESSAGE, OFFERS_COMPRESSION, PING, PONG, WebSocket, answer_to,
    frame,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":0}\r\n";

/// A server with a port for WebSockets, with these fields besides.
fn start(kind: Kind, fields: &str) -> Option<Server> {
    let config = format!("debug: true\nwebsocket {{ listen: '127.0.0.1:-1', no_tls: true, {fields} }}");
    Server::start(kind, Options::configured(&config))
}

/// What is compared of an answer: of one that grants all, of others the status.
fn judged(answer: &str) -> &str {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    if head.starts_with("HTTP/1.1 101") { head } else { head.get(..12).unwrap_or(head) }
}

/// Each of these requests is granted or refused alike.
fn assert_answered_alike(fields: &str, requests: &[String]) {
    let Some(reference) = start(Kind::REFERENCE, fields) else { return };
    for kind in Kind::RUNTIMES {
        let Some(tested) = start(kind, fields) else { return };
        for request in requests {
            let [tested, reference] =
                [&tested, &reference].map(|server| answer_to(server.ports().websocket, request.as_bytes()));
            let shown = &request[..request.len().min(300)];
            assert_eq!(judged(&tested), judged(&reference), "{kind} (left): {shown}");
        }
    }
}

fn request(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{ASKS}{headers}\r\n")
}

#[test]
fn requests_are_granted_and_refused_alike() {
    let good = request("");
    let mut requests = vec![good.clone(), request("Cookie: jwt=abc\r\nX-Forwarded-For: 192.0.2.1\r\n")];
    requests.extend([request(OFFERS_COMPRESSION), request("Sec-WebSocket-Protocol: nats\r\n")]);
    for (from, to) in [
        ("GET / HTTP/1.1", "GET /some/where?x=y HTTP/1.1"),
        ("GET / HTTP/1.1", "GET / HTTP/1.0"),
        ("GET / HTTP/1.1", "GET /mqtt HTTP/1.1"),
        ("GET / HTTP/1.1", "POST / HTTP/1.1"),
        ("GET / HTTP/1.1\r\n", "CONNECT {}\r\nPING\r\n"),
        ("GET / HTTP/1.1", "hello"),
        ("Host: 127.0.0.1\r\n", ""),
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket\r\n", "uPGRADE: h2c, WebSocket\r\n"),
        ("Connection: Upgrade\r\n", ""),
        ("Connection: Upgrade\r\n", "connection: keep-alive, upgrade\r\n"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 8\r\n"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Key: YWJj\r\n"),
        ("\r\n\r\n", "\r\n\r\nPING\r\n"),
        ("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(2_000_000))),
    ] {
        assert!(good.contains(from), "{from}");
        requests.push(good.replacen(from, to, 1));
    }
    assert_answered_alike("compression: true, headers { X-A: b }", &requests);
    assert_answered_alike("", &[request(OFFERS_COMPRESSION)]);
}

#[test]
fn pages_come_in_from_where_they_may_be_from_alike() {
    let origins = [
        "http://127.0.0.1",
        "https://127.0.0.1",
        "http://127.0.0.1:8080",
        "http://a.example",
        "HTTP://A.EXAMPLE:80",
        "https://b.example:8443",
        "https://b.example",
        "null",
    ];
    let mut requests: Vec<_> =
        origins.iter().map(|origin| request(&format!("Origin: {origin}\r\n"))).collect();
    requests.push(request(""));
    for fields in [
        "",
        "same_origin: true",
        "allowed_origins: ['http://a.example', 'https://b.example:8443']",
        "same_origin: true, allowed_origins: ['http://a.example', 'http://127.0.0.1']",
    ] {
        assert_answered_alike(fields, &requests);
    }
}

/// Bytes behind a good start with something wrong with them, and what is logged of it.
fn faults() -> Vec<(Vec<u8>, &'static str)> {
    let deflated = deflated(&b"PING\r\n".repeat(2_000_000));
    vec![
        (vec![MESSAGE, 0], "mask bit missing"),
        (frame(0x80, b"x"), "invalid continuation frame"),
        ([frame(0x02, b""), frame(MESSAGE, b"")].concat(), "new message started before final frame"),
        (frame(0xa2, b""), "RSV2 and RSV3 must be clear"),
        (frame(0x83, b""), "unknown opcode 3"),
        (frame(0x09, b""), "control frame does not have final bit set"),
        (frame(PING, &[0; 126]), "control frame length bigger than maximum allowed of 125 bytes"),
        (frame(0xc9, b""), "control frame must not be compressed"),
        (frame(CLOSE, b"x"), "close frame payload cannot be 1 byte"),
        (frame(CLOSE, &[3, 231]), "invalid close status code 999"),
        ([&[MESSAGE, 0xff][..], &[0xff; 12]].concat(), "invalid 64-bit payload length"),
        (frame(COMPRESSED_MESSAGE, &[0xff; 7]), "corrupt"),
        (frame(COMPRESSED_MESSAGE, &deflated), "maximum payload exceeded"),
    ]
}

#[test]
fn what_is_wrong_with_frames_ends_one_connection_and_is_logged_and_shown_alike() {
    for kind in Kind::COMPARED {
        let Some(server) = start(kind, "compression: true") else { return };
        let port = server.ports().websocket;
        let (mut bystander, _) = WebSocket::open(port);
        bystander.send(format!("{CONNECT}SUB a 1\r\nPING\r\n"));
        bystander.read_until("PONG\r\n");
        for (number, (bytes, text)) in faults().into_iter().enumerate() {
            let (mut client, _) = WebSocket::ask(port, OFFERS_COMPRESSION);
            client.send_raw(&bytes);
            let frames = client.read_to_end();
            // Each is another.
            server.wait_for_log(text, PATIENCE);
            if kind != Kind::REFERENCE {
                let last = frames.last().expect("a last frame");
                assert_eq!(last.first, CLOSE, "{kind}: {text}");
            }
            assert_eq!(closed_reasons(&server, number + 1), vec!["Read Error"; number + 1], "{kind}: {text}");
        }
        bystander.send("PUB a 2\r\nok\r\n");
        bystander.read_until("MSG a 1 2\r\nok\r\n");
        let log = server.log();
        assert!(!log.contains("internal error"), "{log}");
    }
}

/// Why connections were closed, once there are so many.
fn closed_reasons(server: &Server, count: usize) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    wait_until("connections are closed", PATIENCE, || {
        let page = server.page("/connz?state=closed");
        let closed = page["connections"].as_array().expect("a list").iter();
        reasons = closed.map(|each| each["reason"].as_str().unwrap_or_default().to_owned()).collect();
        reasons.len() >= count
    });
    reasons
}

/// The frames that a client reads when it says this; data as one text, with what differs between servers left out.
fn heard(server: &Server, said: &[Vec<u8>]) -> Vec<(u8, String)> {
    let (mut client, _) = WebSocket::open(server.ports().websocket);
    said.iter().for_each(|bytes| client.send_raw(bytes));
    let mut heard: Vec<(u8, String)> = Vec::new();
    for Frame { first, payload } in client.read_to_end() {
        let text = String::from_utf8_lossy(&payload).into_owned();
        match heard.last_mut() {
            Some((MESSAGE, before)) if first == MESSAGE => *before += &text,
            _ => heard.push((first, text)),
        }
    }
    heard
}

#[test]
fn what_is_said_is_answered_alike_up_to_the_last_frame() {
    let message = |text: &str| frame(MESSAGE, text.as_bytes());
    let close = |payload: &[u8]| frame(CLOSE, payload);
    let scripts: Vec<Vec<Vec<u8>>> = vec![
        vec![message(CONNECT), message("PING\r\n"), close(b"\x03\xe8bye")],
        // In frames, with a ping between two of them.
        vec![
            frame(0x02, CONNECT.as_bytes()),
            frame(0x00, b"SUB a 1\r\nPU"),
            frame(PING, b"hello"),
            frame(0x80, b"B a 3\r\nabc\r\n"),
            close(b""),
        ],
        // As text.
        vec![
            frame(0x81, format!("{CONNECT}SUB a 1\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n").as_bytes()),
            close(&[3, 233]),
        ],
        vec![frame(PONG, b"unasked"), message("PING\r\n"), close(b"\x03\xe8\xff\xff")],
        vec![message(CONNECT), message("PUB a 2000000\r\n")],
        vec![message(CONNECT), message(&format!("PUB {}", "a".repeat(5000)))],
        vec![message("CONNECT {\"verbose\":false,\"protocol\":7}\r\n")],
        vec![message(CONNECT), message("-ERR 'told'\r\n")],
        vec![close(b"\x03\xe8"), message("PING\r\n")],
    ];
    let Some(reference) = start(Kind::REFERENCE, "") else { return };
    for kind in Kind::RUNTIMES {
        let Some(tested) = start(kind, "") else { return };
        for script in &scripts {
            assert_eq!(heard(&tested, script), heard(&reference, script), "{kind} (left)");
        }
    }
}

/// Signals are the business of the command alone.
#[test]
fn who_may_not_come_in_and_who_is_there_when_a_server_stops_is_told_so_by_the_last_frame() {
    for kind in [Kind::REFERENCE, Kind::Onehop] {
        let config =
            "websocket { listen: '127.0.0.1:-1', no_tls: true }\nauthorization { user: u, password: p }";
        let Some(mut server) = Server::start(kind, Options::configured(config)) else { return };
        let wrong = frame(MESSAGE, b"CONNECT {\"user\":\"u\",\"pass\":\"x\"}\r\n");
        let expected = [
            (MESSAGE, "-ERR 'Authorization Violation'\r\n".to_owned()),
            (CLOSE, String::from_utf8_lossy(b"\x03\xf0Authentication Failure").into_owned()),
        ];
        assert_eq!(heard(&server, &[wrong]), expected, "{kind}");
        let (mut client, _) = WebSocket::open(server.ports().websocket);
        client.send("CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\nPING\r\n");
        client.read_until("PONG\r\n");
        server.signal("TERM");
        let last = client.read_to_end().pop().expect("a last frame");
        assert_eq!(last, Frame { first: CLOSE, payload: b"\x03\xe9Server Shutdown".to_vec() }, "{kind}");
        server.wait_exit(PATIENCE).expect("it ends");
    }
}

#[test]
fn messages_of_all_sizes_go_between_clients_of_both_kinds_compressed_or_not() {
    for kind in Kind::COMPARED {
        let Some(server) = start(kind, "compression: true") else { return };
        for headers in ["", OFFERS_COMPRESSION] {
            let mut plain =
                BufReader::new(TcpStream::connect(("127.0.0.1", server.ports().client)).expect("a port"));
            plain.get_mut().set_read_timeout(Some(PATIENCE)).expect("a socket");
            plain.get_mut().write_all(format!("{CONNECT}SUB up 1\r\nPING\r\n").as_bytes()).expect("written");
            let (mut web, _) = WebSocket::ask(server.ports().websocket, headers);
            let mut unread = Vec::new();
            send(&mut web, headers, format!("{CONNECT}SUB down 1\r\nPING\r\n").as_bytes());
            read_until(&mut web, &mut unread, b"PONG\r\n");
            for bytes in [0, 1, 50, 64, 1000, 70_000, 1_000_000] {
                let payload: Vec<u8> = (0..bytes).map(|place: u64| (place * place % 251) as u8).collect();
                let message = |subject: &str| {
                    [format!("PUB {subject} {bytes}\r\n").as_bytes(), &payload, b"\r\n"].concat()
                };
                plain.get_mut().write_all(&message("down")).expect("written");
                let expected = [format!("MSG down 1 {bytes}\r\n").as_bytes(), &payload, b"\r\n"].concat();
                read_until(&mut web, &mut unread, &expected);
                send(&mut web, headers, &message("up"));
                let expected = [format!("MSG up 1 {bytes}\r\n").as_bytes(), &payload, b"\r\n"].concat();
                read_plain(&mut plain, &expected);
            }
        }
    }
}

fn send(web: &mut WebSocket, headers: &str, bytes: &[u8]) {
    match headers {
        "" => web.send(bytes),
        _ => web.send_raw(&frame(COMPRESSED_MESSAGE, &deflated(bytes))),
    }
}

/// Reads until these bytes came, and keeps what came behind them.
fn read_until(web: &mut WebSocket, unread: &mut Vec<u8>, expected: &[u8]) {
    loop {
        if let Some(at) = unread.windows(expected.len()).position(|bytes| bytes == expected) {
            unread.drain(..at + expected.len());
            return;
        }
        let Frame { first, payload } = web.next_frame().expect("the connection stays");
        unread.extend(if first == COMPRESSED_MESSAGE { inflated(&payload) } else { payload });
    }
}

fn read_plain(plain: &mut BufReader<TcpStream>, expected: &[u8]) {
    let mut read = Vec::new();
    while !read.ends_with(expected) {
        let some = plain.fill_buf().expect("the connection stays").to_vec();
        assert!(!some.is_empty(), "the connection ended");
        plain.consume(some.len());
        read.extend(some);
    }
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::with_capacity(payload.len() + 1000);
    let mut stream = Compress::new(Compression::default(), false);
    stream.compress_vec(payload, &mut compressed, FlushCompress::Sync).expect("compressed");
    compressed.truncate(compressed.len() - 4);
    compressed
}

fn inflated(compressed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(2_000_000);
    let input = [compressed, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&input, &mut plain, FlushDecompress::Sync).expect("good");
    plain
}

#[test]
fn monitoring_and_logs_show_clients_by_websocket_alike() {
    let fields = "compression: true, same_origin: true, allowed_origins: ['http://a.example'], handshake_timeout: '3s'";
    let shown = |kind| {
        let server = start(kind, fields)?;
        let (mut client, greeting) = WebSocket::open(server.ports().websocket);
        client.send(format!("{CONNECT}SUB a 1\r\nPING\r\n"));
        client.read_until("PONG\r\n");
        let info: Value = serde_json::from_str(greeting.trim_start_matches("INFO ")).expect("JSON");
        assert_eq!(info["port"], server.ports().websocket, "{kind}");
        let connection = server.page("/connz")["connections"][0].clone();
        let log = server.log();
        assert!(log.contains(" - wid:") && log.contains("DO NOT USE IN PRODUCTION"), "{kind}: {log}");
        let mut port = server.page("/varz")["websocket"].clone();
        port["port"] = json!("as it was chosen");
        Some((port, connection["type"].clone(), connection["kind"].clone(), info["host"].clone()))
    };
    let Some(reference) = shown(Kind::REFERENCE) else { return };
    for kind in Kind::RUNTIMES {
        assert_eq!(shown(kind).expect("it is here"), reference, "{kind}");
    }
}

#[test]
fn a_service_of_another_account_hears_that_it_is_asked_by_websocket() {
    let config = "accounts {
        A { users: [{user: a, password: p}], exports: [{service: s}] }
        B { users: [{user: b, password: p}], imports: [{service: {account: A, subject: s}, share: true}] }
    }
    websocket { listen: '127.0.0.1:-1', no_tls: true }";
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::configured(config)) else { return };
        let [mut exporter, mut importer] = ["a", "b"].map(|user| {
            let (mut client, _) = WebSocket::open(server.ports().websocket);
            let connect =
                format!("CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"{user}\",\"pass\":\"p\"}}");
            client.send(format!("{connect}\r\nSUB s 1\r\nPING\r\n"));
            client.read_until("PONG\r\n");
            client
        });
        importer.send("PUB s reply 3\r\nask\r\n");
        let asked = exporter.read_until("\r\n\r\nask\r\n");
        let asked = String::from_utf8_lossy(&asked);
        assert!(asked.contains(r#""kind":"Client","client_type":"websocket"}"#), "{kind}: {asked}");
    }
}

#[test]
fn users_come_in_by_the_way_that_they_may_alike() {
    let config = "authorization { users: [
        {user: web, password: p, allowed_connection_types: [WEBSOCKET]}
        {user: tcp, password: p, allowed_connection_types: [STANDARD]}
        {user: any, password: p}
    ] }
    websocket { listen: '127.0.0.1:-1', no_tls: true }";
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::configured(config)) else { return };
        for (user, comes_in) in [("web", true), ("tcp", false), ("any", true)] {
            let connect =
                format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\nPING\r\n");
            let (mut client, _) = WebSocket::open(server.ports().websocket);
            client.send(connect);
            let answer = client.next_frame().expect("an answer");
            assert_eq!(answer.payload.starts_with(b"PONG"), comes_in, "{kind}: {user}: {answer:?}");
        }
    }
}

#[test]
fn clients_by_websocket_hear_where_else_they_may_connect_to_in_a_mixed_cluster() {
    let config = |advertise: &str| {
        let websocket =
            format!("websocket {{ listen: '127.0.0.1:-1', no_tls: true, advertise: '{advertise}' }}");
        format!("{websocket}\ncluster {{ name: C, listen: '127.0.0.1:-1' }}")
    };
    for kind in Kind::RUNTIMES {
        let Some(real) = Server::start(Kind::REFERENCE, Options::configured(&config("real.example:80")))
        else {
            return;
        };
        let options =
            Options { routes: vec![real.ports().route], ..Options::configured(&config("own.example:81")) };
        let Some(own) = Server::start(kind, options) else { return };
        let urls = |server: &Server| {
            let (_, greeting) = WebSocket::open(server.ports().websocket);
            let info: Value = serde_json::from_str(greeting.trim_start_matches("INFO ")).expect("JSON");
            info["connect_urls"].clone()
        };
        wait_until("both know both", PATIENCE, || {
            urls(&own) == json!(["own.example:81", "real.example:80"])
                && urls(&real) == json!(["real.example:80", "own.example:81"])
        });
        for server in [&own, &real] {
            let varz = server.page("/varz");
            assert_eq!(varz["ws_connect_urls"], urls(server), "{kind}");
            let plain = varz["connect_urls"].to_string();
            assert!(!plain.contains("example"), "{plain}");
        }
    }
}
