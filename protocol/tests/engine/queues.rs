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

/// A full mesh of nodes that are each in a zone, or say nothing of one.
fn zones(members: &[(&str, Option<&str>)]) -> Scene {
    let mut scene = Scene::new();
    for (name, zone) in members {
        let seed = if *name == "A" { &[][..] } else { &["A"] };
        scene.start(name, seed, |config| {
            config.server_tags = zone.iter().map(|zone| format!("az:{zone}")).collect();
            config.queue_affinity = zone.map(|_| "az".to_owned());
        });
    }
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    scene
}

#[test]
fn near_members_get_all_until_they_are_gone_and_again_when_they_are_back() {
    let mut scene = zones(&[("A", Some("1")), ("B", Some("1")), ("C", Some("2"))]);
    let members = ["A", "B", "C"].map(|node| member(&mut scene, node));
    let [here, near, far] = members;
    let from = publisher(&mut scene, "A");
    let got = counts(&mut scene, from, &members);
    assert_even(&got[..2]);
    assert_eq!(got[2], 0);
    scene.send(here, b"UNSUB 1\r\n");
    assert_eq!(counts(&mut scene, from, &members), [0, MESSAGES, 0]);
    scene.disconnect(near);
    assert_eq!(counts(&mut scene, from, &[far]), [MESSAGES]);
    scene.send(here, b"SUB work q 1\r\n");
    assert_eq!(counts(&mut scene, from, &[here, far]), [MESSAGES, 0]);
    scene.kill("B");
    assert_eq!(counts(&mut scene, from, &[here, far]), [MESSAGES, 0]);
    let from_elsewhere = publisher(&mut scene, "C");
    assert_eq!(counts(&mut scene, from_elsewhere, &[here, far]), [0, MESSAGES]);
}

#[test]
fn near_members_share_evenly_wherever_they_are() {
    let mut scene = zones(&[("A", Some("1")), ("B", Some("1")), ("C", Some("2"))]);
    let near: Vec<_> = ["A", "B", "B", "B"].iter().map(|node| member(&mut scene, node)).collect();
    let far = member(&mut scene, "C");
    for node in ["A", "B"] {
        let publisher = publisher(&mut scene, node);
        let got = counts(&mut scene, publisher, &[near[0], near[1], near[2], near[3], far]);
        assert_even(&got[..4]);
        assert_eq!(got[4], 0);
    }
}

#[test]
fn very_many_members_here_get_all_but_what_none_of_them_may_have() {
    let mut scene = zones(&[("A", Some("1"))]);
    let far = scene.raw_peer("A", "F", "");
    scene.send(far, b"RS+ $G work q 5000\r\n");
    let crowd = scene.client("A");
    let members: String = (0..5000).map(|sid| format!("SUB work q {sid}\r\n")).collect();
    let quiet = "CONNECT {\"verbose\":false,\"echo\":false}\r\n";
    scene.send(crowd, [quiet, &members].concat().as_bytes());
    let publisher = publisher(&mut scene, "A");
    [far, crowd].iter().for_each(|peer| drop(scene.take(*peer)));
    scene.send(publisher, "PUB work 1\r\nx\r\n".repeat(100).as_bytes());
    assert_eq!(scene.take(crowd).matches("MSG work").count(), 100);
    assert_eq!(scene.take(far), "");
    // It wants no echo.
    scene.send(crowd, "PUB work 1\r\nx\r\n".repeat(100).as_bytes());
    assert_eq!(scene.take(far).matches("RMSG $G work | q 1").count(), 100);
    assert_eq!(scene.take(crowd), "");
}

#[test]
fn far_members_share_evenly_where_nobody_is_near() {
    let mut scene = zones(&[("A", Some("1")), ("B", Some("2")), ("C", Some("3"))]);
    let members: Vec<_> = ["B", "C", "C"].iter().map(|node| member(&mut scene, node)).collect();
    let publisher = publisher(&mut scene, "A");
    assert_even(&counts(&mut scene, publisher, &members));
}

#[test]
fn a_node_without_an_affinity_prefers_nobody() {
    let mut scene = zones(&[("A", None), ("B", Some("1")), ("C", Some("1"))]);
    let members: Vec<_> = ["A", "B", "C"].iter().map(|node| member(&mut scene, node)).collect();
    let [anywhere, in_zone] = ["A", "B"].map(|node| publisher(&mut scene, node));
    assert_even(&counts(&mut scene, anywhere, &members));
    let got = counts(&mut scene, in_zone, &members);
    assert_eq!(got[0], 0, "A says nothing of itself, so it is far");
    assert_even(&got[1..]);
}

#[test]
fn a_key_without_a_tag_prefers_nobody() {
    let mut scene = Scene::new();
    for (name, seed) in [("A", &[][..]), ("B", &["A"])] {
        scene.start(name, seed, |config| config.queue_affinity = Some("az".to_owned()));
    }
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let members = ["A", "B"].map(|node| member(&mut scene, node));
    let publisher = publisher(&mut scene, "A");
    assert_even(&counts(&mut scene, publisher, &members));
}

#[test]
fn a_peer_that_says_nothing_of_its_place_or_something_else_is_far() {
    let mut scene = zones(&[("A", Some("1"))]);
    let says = ["", ",\"onehop_affinity\":\"zone:1\"", ",\"onehop_affinity\":\"az:1\""];
    let [go, other, near] = [0, 1, 2].map(|number| {
        let peer = scene.raw_peer("A", &format!("P{number}"), says[number]);
        scene.send(peer, b"RS+ $G work q 5\r\n");
        peer
    });
    let publisher = publisher(&mut scene, "A");
    let taken_by = |scene: &mut Scene, peers: &[Peer]| -> Vec<usize> {
        peers.iter().for_each(|peer| drop(scene.take(*peer)));
        scene.send(publisher, "PUB work 1\r\nx\r\n".repeat(200).as_bytes());
        peers.iter().map(|peer| scene.take(*peer).matches("RMSG $G work | q 1").count()).collect()
    };
    assert_eq!(taken_by(&mut scene, &[go, other, near]), [0, 0, 200]);
    scene.send(near, b"RS+ $G work q 0\r\n");
    let got = taken_by(&mut scene, &[go, other, near]);
    assert!(got[0] > 0 && got[1] > 0 && got[0] + got[1] == 200, "{got:?}");
}

#[test]
fn members_behind_near_leaf_nodes_come_after_far_servers() {
    let mut scene = zones(&[("A", Some("1"))]);
    let near = scene.raw_peer("A", "N", ",\"onehop_affinity\":\"az:1\"");
    let far = scene.raw_peer("A", "F", "");
    scene.send(near, b"LS+ L $G work q 1\r\n");
    scene.send(far, b"LS+ L $G work q 1\r\nRS+ $G work q 1\r\n");
    let publisher = publisher(&mut scene, "A");
    let goes_to = |scene: &mut Scene| {
        [near, far].iter().for_each(|peer| drop(scene.take(*peer)));
        scene.send(publisher, "PUB work 1\r\nx\r\n".repeat(50).as_bytes());
        [near, far].map(|peer| scene.take(peer).matches("RMSG $G work | q 1").count())
    };
    assert_eq!(goes_to(&mut scene), [0, 50]);
    scene.send(far, b"RS- $G work q\r\n");
    assert_eq!(goes_to(&mut scene), [50, 0]);
    scene.send(near, b"LS- L $G work q\r\n");
    assert_eq!(goes_to(&mut scene), [0, 50]);
}

#[test]
fn what_a_far_peer_sends_goes_to_the_members_here_as_ever() {
    let mut scene = zones(&[("A", Some("1"))]);
    let far = scene.raw_peer("A", "F", "");
    let near = scene.raw_peer("A", "N", ",\"onehop_affinity\":\"az:1\"");
    scene.send(near, b"RS+ $G work q 9\r\n");
    let member = member(&mut scene, "A");
    [far, near, member].iter().for_each(|peer| drop(scene.take(*peer)));
    scene.send(far, b"RMSG $G work | q 2\r\nhi\r\n");
    assert_eq!(scene.take(member), "MSG work 1 2\r\nhi\r\n");
    assert_eq!(scene.take(near), "");
}
