//! Clients of one server.

mod common;

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::{Client, alone, wait_until};
use onehop::config::Config;
use onehop_std::Server;

#[test]
fn a_message_reaches_every_subscriber_and_its_publisher() {
    let server = Server::start(alone()).unwrap();
    let mut alice = Client::connect(&server);
    let mut bob = Client::connect(&server);
    alice.send("SUB greet.* 1\r\n");
    alice.flush();
    bob.send("SUB greet.> 2\r\nPUB greet.all answers 5\r\nhello\r\n");
    bob.expect(&["MSG greet.all 2 answers 5", "hello"]);
    alice.expect(&["MSG greet.all 1 answers 5", "hello"]);
}

#[test]
fn a_megabyte_arrives_whole_and_in_order_among_small_messages() {
    let server = Server::start(alone()).unwrap();
    let mut subscriber = Client::connect(&server);
    subscriber.send("SUB a 1\r\n");
    subscriber.flush();
    let mut publisher = Client::connect(&server);
    for size in [0, 3, 1024 * 1024, 1, 100_000, 2] {
        let payload = "x".repeat(size);
        publisher.send(format!("PUB a {size}\r\n{payload}\r\n"));
    }
    for size in [0, 3, 1024 * 1024, 1, 100_000, 2] {
        subscriber.expect(&[&format!("MSG a 1 {size}"), &"x".repeat(size)]);
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answers() {
    let server = Server::start(alone()).unwrap();
    for _ in 0..20 {
        let mut client = TcpStream::connect(server.client_addr()).unwrap();
        std::io::Write::write_all(&mut client, b"SUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert!(answers.ends_with("MSG a 1 2\r\nhi\r\nPONG\r\n"), "{answers}");
    }
}

#[test]
fn an_offender_is_told_why_and_closed() {
    let server = Server::start(alone()).unwrap();
    let mut client = Client::connect(&server);
    client.send("NONSENSE\r\n");
    client.expect(&["-ERR 'Unknown Protocol Operation'", ""]);
}

#[test]
fn a_silent_client_is_pinged_and_then_closed_as_stale() {
    let config = Config { ping_interval: Duration::from_millis(100), ping_max: 2, ..alone() };
    let server = Server::start(config).unwrap();
    let mut client = Client::connect(&server);
    let lines: Vec<_> = std::iter::repeat_with(|| client.any_line()).take(4).collect();
    assert_eq!(lines, ["PING", "PING", "-ERR 'Stale Connection'", ""]);
}

#[test]
fn a_subscriber_that_stops_reading_is_cut_when_too_much_waits_for_it() {
    cut_slow_consumer(Config { max_pending: 4 * 1024 * 1024, ..alone() });
}

#[test]
fn a_subscriber_that_stops_reading_is_cut_at_the_write_deadline() {
    cut_slow_consumer(Config { write_deadline: Duration::from_millis(300), ..alone() });
}

/// One subscriber reads nothing, one reads all; the latter must miss nothing.
fn cut_slow_consumer(config: Config) {
    const MESSAGES: usize = 16_000;
    const PAYLOAD: usize = 1024;
    let server = Server::start(config).unwrap();
    let mut slow = Client::connect(&server);
    let mut fast = Client::connect(&server);
    for subscriber in [&mut slow, &mut fast] {
        subscriber.send("SUB a 1\r\n");
        subscriber.flush();
    }
    let reader = thread::spawn(move || {
        for message in 0..MESSAGES {
            fast.expect(&["MSG a 1 1024", &format!("{message:0PAYLOAD$}")]);
        }
        fast.flush();
    });
    let mut publisher = Client::connect(&server);
    for message in 0..MESSAGES {
        publisher.send(format!("PUB a {PAYLOAD}\r\n{message:0PAYLOAD$}\r\n"));
    }
    publisher.flush();
    reader.join().expect("the other subscriber gets everything");
    let totals = server.node().hub().totals();
    wait_until("the slow subscriber is cut", || totals.slow_clients.load(Ordering::Relaxed) == 1);
    assert!(totals.stalls.load(Ordering::Relaxed) > 0, "its publisher was slowed before");
    let received = slow.drain();
    assert!(received < (MESSAGES * PAYLOAD) as u64, "it was cut before the end, but got {received} bytes");
    publisher.flush();
}
