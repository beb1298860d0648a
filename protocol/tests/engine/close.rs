//! The ends of connections, and what stays behind: nothing.

use onehop::CloseReason;
use onehop::hub::Kind;

use crate::scene::{SECOND, Scene};

#[test]
fn an_index_is_used_again_under_another_generation() {
    let mut scene = Scene::alone(|_| {});
    let first = scene.client("A");
    scene.send(first, b"SUB foo 1\r\n");
    scene.disconnect(first);
    let second = scene.client("A");
    scene.send(second, b"PUB foo 0\r\n\r\n");
    assert!(scene.take(second).ends_with("} \r\n+OK\r\n"), "the former owner's subscription is gone");
    assert_eq!(scene.node("A").node().hub().directory().count(Kind::Client), 1);
}

#[test]
fn a_lost_route_takes_its_interest_along() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(scene.drive_until(SECOND, |scene| scene.is_mesh(4)));
    let client = scene.client("B");
    scene.send(client, b"SUB foo 1\r\nSUB bar q 2\r\n");
    assert_eq!(scene.node("A").node().hub().global_account().index().len(), 2);
    scene.kill("B");
    assert!(scene.node("A").node().hub().global_account().index().is_empty());
    assert_eq!(scene.node("A").node().peer_count(), 0);
    assert_eq!(scene.node("A").node().hub().directory().count(Kind::Route), 0);
}

#[test]
fn the_node_that_was_told_of_a_closed_socket_does_not_tell_it_back() {
    let mut scene = Scene::alone(|_| {});
    let client = scene.client("A");
    scene.disconnect(client);
    scene.run_for(SECOND);
    assert_eq!(scene.closed(client), Some(CloseReason::ClientClosed));
}
