//! Threads and file descriptors of the whole process, so this file has one test only.
#![cfg(target_os = "linux")]

mod common;

use std::fs;

use common::{Client, member, wait_until};
use onehop::hub::Kind;
use onehop_std::Server;

#[test]
fn connections_that_come_and_go_leave_no_thread_and_no_descriptor() {
    let before = resources();
    let server = Server::start(member("A", &[])).unwrap();
    let listening = resources();
    for _ in 0..3 {
        let clients: Vec<_> = (0..100).map(|_| Client::connect(&server)).collect();
        let (threads, descriptors) = resources();
        assert_eq!(threads, listening.0 + 200, "two threads for each");
        assert_eq!(descriptors, listening.1 + 200, "two ends of each");
        drop(clients);
        wait_until("all connections are gone", || resources() == listening);
        assert_eq!(server.node().hub().directory().count(Kind::Client), 0);
    }
    let other = Server::start(member("B", &[server.route_addr().unwrap()])).unwrap();
    wait_until("the servers are connected", || other.node().peer_count() == 1);
    other.shutdown();
    wait_until("the route is gone", || resources() == listening);
    let client = Client::connect(&server);
    server.shutdown();
    drop(client);
    wait_until("the server is gone", || resources() == before);
}

/// How many threads and open file descriptors this process has.
fn resources() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    (threads.trim().parse().unwrap(), fs::read_dir("/proc/self/fd").unwrap().count())
}
