//! Clients that come by way of a proxy, which says first whom it speaks for (wire.md 1.14): here and with nats-server.

use std::time::Duration;

use onehop_tests::mesh::wait_until;
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Options, Server};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a test on each runtime, and on the server that it is to be like.
fn on_each(test: impl Fn(&Server)) {
    for kind in Kind::COMPARED {
        println!("{kind}");
        let Some(server) = Server::start(kind, Options::configured("proxy_protocol: true\ndebug: true\n"))
        else {
            continue;
        };
        test(&server);
    }
}

/// A client that was greeted and has said this.
fn client(server: &Server, said: &[u8]) -> RawConn {
    let mut client = RawConn::connect(server.ports().client);
    let info = client.expect(0, "INFO").json().expect("an INFO");
    assert!(info.get("client_ip").is_none(), "{info}");
    client.send(said);
    client
}

/// Where the only client is.
fn shown(server: &Server) -> (String, u64) {
    let page = server.page("/connz");
    let [client] = &page["connections"].as_array().expect("a list")[..] else { panic!("{page}") };
    (client["ip"].as_str().expect("an address").to_owned(), client["port"].as_u64().expect("a port"))
}

/// A header of version 2 with these bytes behind its signature.
fn binary(rest: &[u8]) -> Vec<u8> {
    [b"\r\n\r\n\0\r\nQUIT\n", rest].concat()
}

fn v4(command: u8, family: u8) -> Vec<u8> {
    binary(&[command, family, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 4, 210, 16, 126])
}

#[test]
fn a_client_is_shown_where_its_proxy_says_that_it_is() {
    let more = binary(b"\x21\x11\0\x12\xc0\0\x02\x07\x0a\0\0\x01\x04\xd2\x10\x7e\x04\0\x03abc");
    let v6 =
        [&b"\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"[..], &[0; 16], b"\x04\xd2\x10\x7e"];
    on_each(|server| {
        for (header, ip) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 1234 4222\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1234 4222\r\n".to_vec(), Some("192.0.2.9")),
            (b"PROXY  TCP4\t192.0.2.7   10.0.0.1 1234 4222 \r\n".to_vec(), Some("192.0.2.7")),
            (b"PROXY UNKNOWN ffff::1 1\r\n".to_vec(), None),
            (v4(0x21, 0x11), Some("192.0.2.7")),
            (more.clone(), Some("192.0.2.7")),
            (binary(&v6.concat()), Some("2001:db8::7")),
            (v4(0x20, 0x11), None),
            (binary(b"\x21\x01\0\x03abc"), None),
            (Vec::new(), None),
        ] {
            let mut client = client(server, &[&header[..], b"CONNECT {\"verbose\":false}\r\n"].concat());
            client.ping();
            let (shown_ip, port) = shown(server);
            assert_eq!(shown_ip, ip.unwrap_or("127.0.0.1"), "{}", header.escape_ascii());
            assert_eq!(port == 1234, ip.is_some());
            drop(client);
            wait_until("it is gone", TIMEOUT, || server.page("/connz")["num_connections"] == 0);
        }
    });
}

#[test]
fn a_header_may_be_divided_anywhere() {
    on_each(|server| {
        for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n".to_vec(), v4(0x21, 0x11)] {
            let all = [&header[..], b"CONNECT {\"verbose\":false}\r\n"].concat();
            for at in 1..all.len() {
                let mut client = client(server, &all[..at]);
                std::thread::sleep(Duration::from_millis(2));
                client.send(&all[at..]);
                client.ping();
            }
        }
    });
}

#[test]
fn a_wrong_header_ends_the_connection_and_the_log_says_why() {
    on_each(|server| {
        for (header, why) in [
            (b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), "invalid PROXY protocol header: "),
            (
                b"PROXY TCP4 192.0.2.700 10.0.0.1 1 2\r\n".to_vec(),
                "invalid PROXY protocol header: invalid address",
            ),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n".to_vec(), "invalid source port"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 x\r\n".to_vec(), "invalid dest port"),
            (
                b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
                "invalid PROXY protocol header: invalid protocol",
            ),
            (b"PROXY TCP4\r\n".to_vec(), "invalid PROXY protocol header: invalid v1 format"),
            (
                [b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
                "invalid PROXY protocol header: v1 line too long",
            ),
            (v4(0x21, 0x31), "unsupported PROXY protocol feature: unsupported address family 0x30"),
            (v4(0x21, 0x12), "unsupported PROXY protocol feature: only STREAM protocol supported"),
            (v4(0x11, 0x11), "invalid PROXY protocol header: invalid version 0x10"),
            (v4(0x22, 0x11), "unknown PROXY protocol command: 0x02"),
            (binary(b"\x21\x11\0\x08\xc0\0\x02\x07\x0a\0\0\x01"), "address data too short: 8 bytes"),
            (
                b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0".to_vec(),
                "invalid PROXY protocol header: invalid signature",
            ),
        ] {
            let said = server.log_bytes();
            let mut client = client(server, &header);
            assert!(client.read_until_closed(TIMEOUT), "{}", header.escape_ascii());
            assert_eq!(client.frames().len(), 1, "nothing but the INFO");
            let log =
                server.wait_for_log_since(said, "Client connection closed: Protocol Violation", TIMEOUT);
            assert!(log.contains("[WRN]") && log.contains("Error reading PROXY protocol header"), "{log}");
            assert!(log.contains(why), "{why}: {log}");
        }
    });
}

#[test]
fn a_proxy_that_says_too_little_is_closed_after_five_seconds() {
    on_each(|server| {
        let mut clients = [&b""[..], b"PROXY TCP4", b"\r\n\r\n\0\r\nQUIT\n"].map(|said| client(server, said));
        std::thread::sleep(Duration::from_secs(4));
        for client in &mut clients {
            client.read_until_quiet(Duration::from_millis(10));
            assert!(!client.is_closed());
        }
        clients.iter_mut().for_each(|client| assert!(client.read_until_closed(TIMEOUT)));
    });
}
