//! The end of a server.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, alone, member, wait_until};
use onehop::hub::Kind;
use onehop_std::Server;

#[test]
fn a_busy_server_shuts_down_although_some_of_its_clients_never_read() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let first = Server::start(member("A", &[refusing])).unwrap();
    let second = Server::start(member("B", &[first.route_addr().unwrap()])).unwrap();
    let mut subscribers: Vec<_> = [&first, &second, &first, &second].map(Client::connect).into();
    for subscriber in &mut subscribers {
        subscriber.send("SUB a 1\r\n");
        subscriber.flush();
    }
    // Two never read again, two do.
    let idle = subscribers.split_off(2);
    let message = format!("PUB a 100\r\n{}\r\n", "x".repeat(100));
    let publishers = [&first, &second].map(|server| publish_until_closed(server.client_addr(), &message));
    let readers = subscribers.into_iter().map(|mut subscriber| thread::spawn(move || subscriber.drain()));
    let readers: Vec<_> = readers.collect();
    wait_until("messages cross the route", || {
        first.node().hub().totals().traffic(Kind::Route).in_messages() > 10_000
            && second.node().hub().totals().traffic(Kind::Route).in_messages() > 10_000
    });
    // Whoever does not read may have been sent nearly all.
    let longest = alone().write_deadline + Duration::from_secs(2);
    for server in [first, second] {
        let started = Instant::now();
        server.shutdown();
        let took = started.elapsed();
        assert!(took < longest, "it took {took:?}");
    }
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    drop(idle);
}

#[test]
fn a_server_that_is_dropped_frees_its_ports_and_closes_its_connections() {
    let server = Server::start(member("A", &[])).unwrap();
    let (client_addr, route_addr) = (server.client_addr(), server.route_addr().unwrap());
    let mut client = Client::connect(&server);
    let mut silent_route = TcpStream::connect(route_addr).unwrap();
    drop(server);
    assert_eq!(client.drain(), 0);
    let mut rest = Vec::new();
    let _ = silent_route.read_to_end(&mut rest);
    for address in [client_addr, route_addr] {
        assert!(TcpStream::connect(address).is_err());
        TcpListener::bind(address).expect("the port is free again");
    }
}

#[test]
fn what_was_answered_before_the_shutdown_arrives() {
    let server = Server::start(alone()).unwrap();
    let mut client = Client::connect(&server);
    client.send("SUB a 1\r\n");
    client.flush();
    let payload = "x".repeat(1000);
    client.send(format!("PUB a 1000\r\n{payload}\r\n").repeat(100));
    wait_until("all is handled", || server.node().hub().totals().traffic(Kind::Client).in_messages() == 100);
    server.shutdown();
    for _ in 0..100 {
        client.expect(&["MSG a 1 1000", &payload]);
    }
    client.expect(&[""]);
}

#[test]
fn what_is_handled_during_the_shutdown_still_reaches_others() {
    const SUBSCRIPTIONS: usize = 20;
    for round in 0..20 {
        let server = Server::start(alone()).unwrap();
        let node = server.node().clone();
        let mut subscriber = Client::connect(&server);
        (0..SUBSCRIPTIONS).for_each(|number| subscriber.send(format!("SUB a {}\r\n", 10 + number)));
        subscriber.flush();
        let publisher = publish_until_closed(server.client_addr(), "PUB a 1\r\nx\r\n");
        let reading = thread::spawn(move || subscriber.drain());
        thread::sleep(Duration::from_millis(20 + round));
        server.shutdown();
        publisher.join().unwrap();
        let message = SUBSCRIPTIONS * "MSG a 10 1\r\nx\r\n".len();
        let arrived = reading.join().unwrap() / message as u64;
        assert_eq!(arrived, node.hub().totals().traffic(Kind::Client).in_messages());
    }
}

#[test]
fn a_server_that_shut_down_is_not_dialed_again_by_its_peer() {
    let stays = Server::start(member("A", &[])).unwrap();
    let leaves = Server::start(member("B", &[stays.route_addr().unwrap()])).unwrap();
    wait_until("both have the whole pool and a route for the system account", || {
        [&stays, &leaves].iter().all(|server| server.node().hub().directory().count(Kind::Route) == 4)
    });
    leaves.shutdown();
    wait_until("the routes are gone", || stays.node().peer_count() == 0);
    let before = stays.node().dial_counts().total();
    // A peer that was cut off, without a last word, is dialed about one second later, and again after one more.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(stays.node().dial_counts().total(), before);
}

#[test]
fn a_port_that_is_taken_is_an_error_and_so_is_a_wrong_configuration() {
    let server = Server::start(alone()).unwrap();
    let port = onehop::config::Port::Fixed(server.client_addr().port());
    let error = Server::start(onehop::config::Config { port, ..alone() }).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let wrong = onehop::config::Config { max_pending: 1, ..alone() };
    assert_eq!(Server::start(wrong).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

fn publish_until_closed(address: SocketAddr, message: &str) -> thread::JoinHandle<()> {
    let mut stream = TcpStream::connect(address).unwrap();
    let batch = message.repeat(100);
    thread::spawn(move || while stream.write_all(batch.as_bytes()).is_ok() {})
}
