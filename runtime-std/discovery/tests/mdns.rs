//! Servers of the local network, here of this machine.
#![cfg(feature = "mdns")]

mod common;

use std::process;
use std::time::{Duration, Instant};

use common::{Note, is_own_network, own, settings, start, wait_until};
use onehop::config::{Discovery, Source};
use onehop_discovery::Own;

/// A server that others of the same test find, and no others.
fn member(id: &str, cluster: &str, route_port: u16) -> Own {
    let unique = process::id();
    Own { route_port, ..own(&format!("{id}{unique}"), &format!("{cluster}{unique}")) }
}

#[test]
fn servers_of_a_cluster_find_each_other_and_those_of_another_do_not() {
    if !is_own_network("servers_of_a_cluster_find_each_other_and_those_of_another_do_not") {
        return;
    }
    let mdns = Discovery { mdns: true, ..settings() };
    let (a, b, stranger) = (member("NA", "C", 1001), member("NB", "C", 1002), member("NC", "D", 1003));
    let (at_a, told_a) = start(&mdns, &a);
    let (at_stranger, told_stranger) = start(&mdns, &stranger);
    let (_at_b, told_b) = start(&mdns, &b);
    wait_until("they find each other", || told_a.count() > 0 && told_b.count() > 0);
    for (told, other) in [(&told_a, &b), (&told_b, &a)] {
        for Note { source, teller, found } in told.all() {
            assert_eq!((source, &teller), (Source::Mdns, &other.server_id));
            assert!(found.iter().all(|found| found.server_id.as_ref() == Some(&other.server_id)));
            assert!(found.iter().all(|found| found.address.port == Some(other.route_port)));
        }
    }
    assert_eq!(told_stranger.tellers(), [""; 0]);

    drop(at_a);
    let (_at_newcomer, told_newcomer) = start(&mdns, &member("ND", "C", 1004));
    wait_until("a newcomer finds who is there", || told_newcomer.tellers().contains(&b.server_id));
    wait_until("and is found", || told_b.tellers().iter().any(|id| id.starts_with("ND")));
    assert!(!told_newcomer.tellers().contains(&a.server_id), "who has gone has withdrawn his announcement");

    let began = Instant::now();
    drop(at_stranger);
    assert!(began.elapsed() < Duration::from_secs(5), "who found nobody waits for nobody");
}
