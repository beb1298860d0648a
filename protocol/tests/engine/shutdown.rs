//! A node that stops.

use onehop::CloseReason;
use onehop::hub::Kind;

use crate::scene::{Peer, SECOND, Scene};

fn mesh_of_three() -> Scene {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[]), ("C", &["B"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene
}

/// A client that is told of the cluster, and has been.
fn client(scene: &mut Scene, node: &str) -> Peer {
    let client = scene.client(node);
    scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.take(client);
    client
}

#[test]
fn clients_of_a_node_that_stops_are_never_told_that_the_others_are_gone() {
    let mut scene = Scene::new();
    scene.start("A", &["B"], |_| {});
    let earlier = client(&mut scene, "A");
    scene.start("B", &[], |_| {});
    scene.start("C", &["B"], |_| {});
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene.take(earlier);
    let later = client(&mut scene, "A");
    scene.shut_down("A");
    scene.run_for(SECOND);
    for client in [earlier, later] {
        assert_eq!(scene.take(client), "", "no INFO that names fewer servers");
        assert_eq!(scene.closed(client), Some(CloseReason::ServerShutdown));
    }
}

#[test]
fn nor_when_the_others_end_its_routes_first() {
    let mut scene = mesh_of_three();
    let client = client(&mut scene, "A");
    let now = scene.now;
    scene.node("A").node().handle_shutdown(now, &mut ());
    scene.cut("A", "B");
    scene.cut("A", "C");
    scene.run_for(SECOND);
    assert_eq!(scene.node("A").node().peer_count(), 0);
    assert_eq!(scene.take(client), "");
}

#[test]
fn what_was_answered_before_a_node_stops_reaches_the_clients_of_others() {
    let mut scene = mesh_of_three();
    let subscribers = ["A", "B", "C"].map(|node| client(&mut scene, node));
    subscribers.iter().for_each(|subscriber| scene.send(*subscriber, b"SUB a 1\r\n"));
    let publisher = client(&mut scene, "A");
    scene.shut_down_after(publisher, b"PUB a 1\r\n1\r\nPING\r\n");
    assert_eq!(scene.take(publisher), "PONG\r\n");
    for subscriber in subscribers {
        let told = scene.take(subscriber);
        assert!(told.ends_with("MSG a 1 1\r\n1\r\n"), "{told}");
    }
}

#[test]
fn a_node_that_stops_takes_nothing_more_and_dials_nobody() {
    let mut scene = mesh_of_three();
    let (subscriber, publisher) = (client(&mut scene, "B"), client(&mut scene, "A"));
    scene.send(subscriber, b"SUB a 1\r\n");
    let now = scene.now;
    scene.node("A").node().handle_shutdown(now, &mut ());
    scene.send(publisher, b"PUB a 1\r\n1\r\nPING\r\n");
    assert_eq!((scene.take(publisher), scene.take(subscriber)), (String::new(), String::new()));
    let dials = scene.node("A").node().dial_counts().total();
    scene.lose_route(0);
    scene.run_for(SECOND * 10);
    assert_eq!(scene.node("A").node().dial_counts().total(), dials);
}

#[test]
fn the_others_know_that_a_node_stopped_and_do_not_wait_for_it() {
    let mut scene = mesh_of_three();
    let bystander = client(&mut scene, "B");
    scene.shut_down("A");
    let told = scene.take(bystander);
    assert!(told.starts_with("INFO ") && !told.contains("10.0.0.1:"), "{told}");
    assert_eq!(scene.node("B").node().hub().directory().count(Kind::Route), 4);
    let dials = scene.dials();
    scene.run_for(SECOND * 60);
    assert_eq!(scene.dials(), dials);
}
