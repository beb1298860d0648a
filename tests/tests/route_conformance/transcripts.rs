//! Handshakes as readable files in `transcripts/`, which every kind of server must reproduce line by line.
//!
//! With `ONEHOP_RECORD_TRANSCRIPTS` set, the files are written anew from nats-server 2.15.1.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use onehop_tests::frame::Frame;
use onehop_tests::peer::{Acceptor, Identity, is_system_interest};
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Options, Server};

use super::{client, one_slot, three_slots};

#[test]
fn a_pooling_member_dials() {
    check("acceptor-pooled", |kind| {
        let server = Server::start(kind, three_slots())?;
        let mut text = String::new();
        let peer = Identity::new("P");
        let mut slots = [0, 1, 2].map(|index| dial(&server, &peer.clone().slot(index, 3)));
        let mut dedicated =
            dial(&server, &peer.clone().info("route_pool_size", 3).info("route_account", "$SYS"));
        let mut subscriber = RawConn::connect(server.ports().client);
        subscriber.send(client("SUB orders.* 1\r\nSUB orders.new workers 2\r\n"));
        subscriber.ping();
        for (index, slot) in slots.iter_mut().enumerate() {
            slot.ping();
            record(&mut text, &index.to_string(), slot);
        }
        dedicated.ping();
        record(&mut text, "$SYS", &dedicated);
        Some(text)
    });
}

#[test]
fn a_member_without_pooling_dials() {
    check("acceptor-without-pool", |kind| {
        let server = Server::start(kind, three_slots())?;
        let mut text = String::new();
        let mut route = dial(&server, &Identity::without_pool("P"));
        let mut subscriber = RawConn::connect(server.ports().client);
        subscriber.send(client("SUB orders.* 1\r\n"));
        subscriber.ping();
        route.ping();
        record(&mut text, "1", &route);
        Some(text)
    });
}

#[test]
fn a_third_member_is_gossiped() {
    check("gossip", |kind| {
        let server = Server::start(kind, one_slot())?;
        let mut text = String::new();
        let mut first = dial(&server, &Identity::new("P"));
        let mut second = dial(&server, &Identity::new("Q"));
        first.ping();
        second.ping();
        record(&mut text, "P", &first);
        record(&mut text, "Q", &second);
        Some(text)
    });
}

#[test]
fn the_server_dials_a_pooling_member() {
    check("dialer-pooled", |kind| dialed(kind, Identity::new("P").info("route_pool_size", 3)));
}

#[test]
fn a_client_connects() {
    check("client", |kind| {
        let server = Server::start(kind, Options::default().named("alpha"))?;
        let mut text = String::new();
        let mut conn = RawConn::connect(server.ports().client);
        conn.expect(0, "INFO");
        for lines in
            ["CONNECT {\"verbose\":true,\"protocol\":1}\r\n", "SUB greet.* 1\r\nPUB greet.me 2\r\nhi\r\n"]
        {
            let before = conn.frames().len();
            for line in lines.lines() {
                let _ = writeln!(text, "C: {line}");
            }
            conn.send(lines);
            conn.ping();
            conn.read_until_quiet(Duration::from_millis(50));
            let _ = writeln!(text, "C: PING");
            for frame in &conn.frames()[before..] {
                let _ = writeln!(text, "S: {frame}");
            }
        }
        Some(format!("S: {}\n{text}", conn.frames()[0]))
    });
}

fn dialed(kind: Kind, identity: Identity) -> Option<String> {
    let acceptor = Acceptor::bind(identity);
    let server = Server::start(kind, Options::member("C", "alpha", &[acceptor.port()]))?;
    let mut text = String::new();
    for talk in acceptor.converse(Duration::from_millis(400)) {
        for line in &talk.lines {
            let _ = writeln!(text, "#{} {line}", talk.label);
        }
    }
    drop(server);
    Some(text)
}

fn dial(server: &Server, identity: &Identity) -> RawConn {
    let mut conn = RawConn::connect(server.ports().route);
    conn.send(identity.join(""));
    conn.ping();
    conn
}

/// What the acceptor said: its interest may come in any order, so it is sorted.
fn record(text: &mut String, label: &str, conn: &RawConn) {
    let (interest, mut lines): (Vec<&Frame>, Vec<&Frame>) = conn
        .frames()
        .iter()
        .filter(|frame| !is_system_interest(frame) && !matches!(frame.op(), "PING" | "PONG"))
        .partition(|frame| frame.op() == "RS+");
    let mut interest: Vec<String> = interest.iter().map(|frame| frame.to_string()).collect();
    interest.sort();
    let _ = writeln!(text, "#{label} D>A CONNECT, INFO");
    for frame in lines.drain(..) {
        let _ = writeln!(text, "#{label} A>D {frame}");
    }
    for line in interest {
        let _ = writeln!(text, "#{label} A>D {line}");
    }
}

/// Compares what each kind of server says with the file, or writes the file.
fn check(name: &str, run: impl Fn(Kind) -> Option<String>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(format!("{name}.txt"));
    if std::env::var_os("ONEHOP_RECORD_TRANSCRIPTS").is_some() {
        let text = run(Kind::REFERENCE).expect("recording needs the Go server");
        std::fs::create_dir_all(path.parent().expect("the path has a directory")).expect("it can be created");
        std::fs::write(&path, text).expect("the transcript can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).expect("the transcript was recorded");
    for kind in Kind::COMPARED {
        let Some(found) = run(kind) else { continue };
        let (found, expected): (Vec<_>, Vec<_>) = (found.lines().collect(), expected.lines().collect());
        assert_eq!(found, expected, "{kind} differs (left) from {name}.txt (right)");
    }
}
