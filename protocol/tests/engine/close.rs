//! The ends of connections, and what stays behind: nothing.

use onehop::CloseReason;
use onehop::hub::Kind;

use crate::world::{SECOND, World};

#[test]
fn an_index_is_used_again_under_another_generation() {
    let mut world = World::alone(|_| {});
    let first = world.client("A");
    world.send(first, b"SUB foo 1\r\n");
    world.disconnect(first);
    let second = world.client("A");
    world.send(second, b"PUB foo 0\r\n\r\n");
    assert!(world.take(second).ends_with("} \r\n+OK\r\n"), "the former owner's subscription is gone");
    assert_eq!(world.node("A").node().hub().directory().count(Kind::Client), 1);
}

#[test]
fn a_lost_route_takes_its_interest_along() {
    let mut world = World::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(world.drive_until(SECOND, |world| world.is_mesh(4)));
    let client = world.client("B");
    world.send(client, b"SUB foo 1\r\nSUB bar q 2\r\n");
    assert_eq!(world.node("A").node().hub().global_account().index().len(), 2);
    world.kill("B");
    assert!(world.node("A").node().hub().global_account().index().is_empty());
    assert_eq!(world.node("A").node().peer_count(), 0);
    assert_eq!(world.node("A").node().hub().directory().count(Kind::Route), 0);
}

#[test]
fn the_node_that_was_told_of_a_closed_socket_does_not_tell_it_back() {
    let mut world = World::alone(|_| {});
    let client = world.client("A");
    world.disconnect(client);
    world.run_for(SECOND);
    assert_eq!(world.closed(client), Some(CloseReason::ClientClosed));
}
