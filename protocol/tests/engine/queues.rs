//! Queue groups: exactly one member of the whole cluster gets each message (wire.md 7).

use crate::scene::{Peer, SECOND, Scene};

const MESSAGES: usize = 3000;

/// Counts what each of these clients gets of many messages that one publishes.
fn counts(scene: &mut Scene, publisher: Peer, members: &[Peer]) -> Vec<usize> {
    members.iter().for_each(|member| drop(scene.take(*member)));
    scene.send(publisher, "PUB work 1\r\nx\r\n".repeat(MESSAGES).as_bytes());
    members.iter().map(|member| scene.take(*member).matches("MSG work").count()).collect()
}

fn member(scene: &mut Scene, node: &str) -> Peer {
    let client = scene.client(node);
    scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB work q 1\r\n");
    client
}

fn publisher(scene: &mut Scene, node: &str) -> Peer {
    let client = scene.client(node);
    scene.send(client, b"CONNECT {\"verbose\":false}\r\n");
    client
}

/// Within a fifth of an even share: at 500 expected that is five standard deviations.
fn assert_even(counts: &[usize]) {
    assert_eq!(counts.iter().sum::<usize>(), MESSAGES, "every message once: {counts:?}");
    let share = MESSAGES / counts.len();
    assert!(counts.iter().all(|count| count.abs_diff(share) <= share / 5), "{counts:?}");
}

#[test]
fn the_members_at_one_node_share_evenly() {
    let mut scene = Scene::alone(|_| {});
    let members: Vec<_> = (0..4).map(|_| member(&mut scene, "A")).collect();
    let publisher = publisher(&mut scene, "A");
    assert_even(&counts(&mut scene, publisher, &members));
}

#[test]
fn the_members_of_a_cluster_share_evenly_wherever_they_are_and_the_publisher_is() {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"]), ("C", &["A"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let nodes = ["A", "B", "B", "C", "C", "C"];
    let members: Vec<_> = nodes.iter().map(|node| member(&mut scene, node)).collect();
    for node in ["A", "B", "C"] {
        let publisher = publisher(&mut scene, node);
        assert_even(&counts(&mut scene, publisher, &members));
    }
}

#[test]
fn the_members_that_stay_share_what_those_who_left_would_get() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let members: Vec<_> = ["A", "A", "B", "B"].iter().map(|node| member(&mut scene, node)).collect();
    let publisher = publisher(&mut scene, "A");
    scene.disconnect(members[0]);
    scene.send(members[3], b"UNSUB 1\r\n");
    assert_even(&counts(&mut scene, publisher, &[members[1], members[2]]));
}

#[test]
fn each_group_and_each_plain_subscriber_gets_its_own() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let publisher = publisher(&mut scene, "A");
    let plain = scene.client("B");
    scene.send(plain, b"CONNECT {\"verbose\":false}\r\nSUB work 1\r\n");
    let groups: Vec<_> = ["p", "r"]
        .iter()
        .map(|group| {
            let client = scene.client("B");
            scene.send(client, format!("CONNECT {{\"verbose\":false}}\r\nSUB > {group} 1\r\n").as_bytes());
            client
        })
        .collect();
    assert_eq!(counts(&mut scene, publisher, &[plain, groups[0], groups[1]]), [MESSAGES; 3]);
}

#[test]
fn a_queue_message_whose_members_left_meanwhile_is_handed_on() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let sender = scene.raw_peer("A", "S", "");
    let other = scene.raw_peer("A", "O", ",\"gossip_mode\":1");
    scene.send(other, b"RS+ $G work q 1\r\n");
    scene.take(other);
    scene.take(sender);
    // The sender still believes that A has a member.
    scene.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(scene.take(other), "RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(scene.take(sender), "");
    let member = member(&mut scene, "A");
    scene.take(other);
    scene.take(member);
    scene.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(scene.take(member), "MSG work 1 2\r\nhi\r\n");
    assert_eq!(scene.take(other), "");
}

#[test]
fn a_queue_message_that_only_its_sender_can_serve_is_handed_back() {
    // As nats-server does it: the sender has a member, which its message may have crossed on the way.
    let mut scene = Scene::cluster(&[("A", &[])]);
    let sender = scene.raw_peer("A", "S", "");
    scene.send(sender, b"RS+ $G work q 1\r\n");
    scene.take(sender);
    scene.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(scene.take(sender), "RMSG $G work | q 2\r\nhi\r\n");
}

#[test]
fn members_behind_a_leaf_node_get_what_nobody_else_can_take() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, b"LS+ L $G work q 1\r\n");
    let publisher = publisher(&mut scene, "A");
    scene.take(peer);
    scene.send(publisher, b"PUB work 1\r\n1\r\n");
    assert_eq!(scene.take(peer), "RMSG $G work | q 1\r\n1\r\n");
}
