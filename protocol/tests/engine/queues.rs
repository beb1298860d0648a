//! Queue groups: exactly one member of the whole cluster gets each message (wire.md 7).

use crate::world::{Peer, SECOND, World};

const MESSAGES: usize = 3000;

/// Counts what each of these clients gets of many messages that one publishes.
fn counts(world: &mut World, publisher: Peer, members: &[Peer]) -> Vec<usize> {
    members.iter().for_each(|member| drop(world.take(*member)));
    world.send(publisher, "PUB work 1\r\nx\r\n".repeat(MESSAGES).as_bytes());
    members.iter().map(|member| world.take(*member).matches("MSG work").count()).collect()
}

fn member(world: &mut World, node: &str) -> Peer {
    let client = world.client(node);
    world.send(client, b"CONNECT {\"verbose\":false}\r\nSUB work q 1\r\n");
    client
}

fn publisher(world: &mut World, node: &str) -> Peer {
    let client = world.client(node);
    world.send(client, b"CONNECT {\"verbose\":false}\r\n");
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
    let mut world = World::alone(|_| {});
    let members: Vec<_> = (0..4).map(|_| member(&mut world, "A")).collect();
    let publisher = publisher(&mut world, "A");
    assert_even(&counts(&mut world, publisher, &members));
}

#[test]
fn the_members_of_a_cluster_share_evenly_wherever_they_are_and_the_publisher_is() {
    let mut world = World::cluster(&[("A", &[]), ("B", &["A"]), ("C", &["A"])]);
    assert!(world.drive_until(SECOND * 5, |world| world.is_mesh(4)));
    let nodes = ["A", "B", "B", "C", "C", "C"];
    let members: Vec<_> = nodes.iter().map(|node| member(&mut world, node)).collect();
    for node in ["A", "B", "C"] {
        let publisher = publisher(&mut world, node);
        assert_even(&counts(&mut world, publisher, &members));
    }
}

#[test]
fn the_members_that_stay_share_what_those_who_left_would_get() {
    let mut world = World::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(world.drive_until(SECOND * 5, |world| world.is_mesh(4)));
    let members: Vec<_> = ["A", "A", "B", "B"].iter().map(|node| member(&mut world, node)).collect();
    let publisher = publisher(&mut world, "A");
    world.disconnect(members[0]);
    world.send(members[3], b"UNSUB 1\r\n");
    assert_even(&counts(&mut world, publisher, &[members[1], members[2]]));
}

#[test]
fn each_group_and_each_plain_subscriber_gets_its_own() {
    let mut world = World::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(world.drive_until(SECOND * 5, |world| world.is_mesh(4)));
    let publisher = publisher(&mut world, "A");
    let plain = world.client("B");
    world.send(plain, b"CONNECT {\"verbose\":false}\r\nSUB work 1\r\n");
    let groups: Vec<_> = ["p", "r"]
        .iter()
        .map(|group| {
            let client = world.client("B");
            world.send(client, format!("CONNECT {{\"verbose\":false}}\r\nSUB > {group} 1\r\n").as_bytes());
            client
        })
        .collect();
    assert_eq!(counts(&mut world, publisher, &[plain, groups[0], groups[1]]), [MESSAGES; 3]);
}

#[test]
fn a_queue_message_whose_members_left_meanwhile_is_handed_on() {
    let mut world = World::cluster(&[("A", &[])]);
    let sender = world.raw_peer("A", "S", "");
    let other = world.raw_peer("A", "O", ",\"gossip_mode\":1");
    world.send(other, b"RS+ $G work q 1\r\n");
    world.take(other);
    world.take(sender);
    // The sender still believes that A has a member.
    world.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(world.take(other), "RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(world.take(sender), "");
    let member = member(&mut world, "A");
    world.take(other);
    world.take(member);
    world.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(world.take(member), "MSG work 1 2\r\nhi\r\n");
    assert_eq!(world.take(other), "");
}

#[test]
fn a_queue_message_that_only_its_sender_can_serve_is_handed_back() {
    // As nats-server does it: the sender has a member, which its message may have crossed on the way.
    let mut world = World::cluster(&[("A", &[])]);
    let sender = world.raw_peer("A", "S", "");
    world.send(sender, b"RS+ $G work q 1\r\n");
    world.take(sender);
    world.send(sender, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(world.take(sender), "RMSG $G work | q 2\r\nhi\r\n");
}

#[test]
fn members_behind_a_leaf_node_get_what_nobody_else_can_take() {
    let mut world = World::cluster(&[("A", &[])]);
    let peer = world.raw_peer("A", "R", "");
    world.send(peer, b"LS+ L $G work q 1\r\n");
    let publisher = publisher(&mut world, "A");
    world.take(peer);
    world.send(publisher, b"PUB work 1\r\n1\r\n");
    assert_eq!(world.take(peer), "RMSG $G work | q 1\r\n1\r\n");
}
