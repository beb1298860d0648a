//! Servers of the local network, here of this machine.
#![cfg(feature = "mdns")]

mod common;

use std::io::{self, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;
use std::{env, process};

use common::{Note, is_true_in_time, own, settings, start, wait_until};
use onehop::config::{Discovery, Source};
use onehop_discovery::Own;

/// A server that others of the same test find, and no others.
fn member(id: &str, cluster: &str, route_port: u16) -> Own {
    let unique = process::id();
    Own { route_port, ..own(&format!("{id}{unique}"), &format!("{cluster}{unique}")) }
}

#[test]
fn servers_of_a_cluster_find_each_other_and_those_of_another_do_not() {
    let mdns = Discovery { mdns: true, ..settings() };
    let (a, b, stranger) = (member("NA", "C", 1001), member("NB", "C", 1002), member("NC", "D", 1003));
    let (at_a, told_a) = start(&mdns, &a);
    let (_at_stranger, told_stranger) = start(&mdns, &stranger);
    let (_at_b, told_b) = start(&mdns, &b);
    if !is_true_in_time(|| told_a.count() > 0 && told_b.count() > 0) {
        let why = multicast_fault().expect("multicast works here, and they do not find each other");
        assert!(env::var_os("CI").is_none(), "{why}");
        let _ = writeln!(io::stderr(), "NOT RUN: multicast does not work here: {why}");
        return;
    }
    for (told, other) in [(&told_a, &b), (&told_b, &a)] {
        for Note { source, teller, found } in told.all() {
            assert_eq!((source, &teller), (Source::Mdns, &other.server_id));
            assert!(found.iter().all(|found| found.server_id.as_ref() == Some(&other.server_id)));
            assert!(found.iter().all(|found| found.address.port == Some(other.route_port)));
        }
    }
    let before = told_a.count();
    wait_until("it is told of again", || told_a.count() > before);
    assert_eq!(told_stranger.tellers(), [""; 0]);

    drop(at_a);
    let (_at_newcomer, told_newcomer) = start(&mdns, &member("ND", "C", 1004));
    wait_until("a newcomer finds who is there", || told_newcomer.tellers().contains(&b.server_id));
    wait_until("and is found", || told_b.tellers().iter().any(|id| id.starts_with("ND")));
    assert!(!told_newcomer.tellers().contains(&a.server_id), "who has gone has withdrawn his announcement");
}

/// Why this machine does not hear its own multicast; none if it does.
fn multicast_fault() -> Option<io::Error> {
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    let hear = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send_to(b"onehop", (GROUP, socket.local_addr()?.port()))?;
        socket.recv(&mut [0; 16])
    };
    hear().err()
}
