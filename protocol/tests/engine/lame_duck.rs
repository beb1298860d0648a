//! Lame duck mode: clients are told to go elsewhere and sent away one after another (wire.md 3.10).

use std::time::Duration;

use onehop::CloseReason;
use onehop::config::Config;
use onehop::wire::Info;

use crate::scene::{Peer, SECOND, Scene};

/// Ten seconds of grace, and twenty for the clients.
fn configure(config: &mut Config) {
    (config.lame_duck_grace_period, config.lame_duck_duration) = (SECOND * 10, SECOND * 30);
}

/// A client that hears of changes.
fn client(scene: &mut Scene, node: &str) -> Peer {
    let client = scene.client(node);
    scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.take(client);
    client
}

fn infos(scene: &mut Scene, peer: Peer) -> Vec<Info> {
    let read = |line: &str| Info::from_json(line.strip_prefix("INFO ")?.trim().as_bytes()).ok();
    scene.take(peer).lines().filter_map(read).collect()
}

fn begin(scene: &mut Scene, node: &str) {
    scene.leave_as_lame_duck(node);
    scene.run_for(Duration::from_millis(1));
}

fn open(scene: &Scene, clients: &[Peer]) -> usize {
    clients.iter().filter(|client| scene.closed(**client).is_none()).count()
}

#[test]
fn clients_hear_where_else_to_go_and_peers_that_the_server_leaves() {
    let mut scene = Scene::new();
    scene.start("A", &[], configure);
    scene.start("B", &["A"], configure);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let (here, there) = (client(&mut scene, "A"), client(&mut scene, "B"));
    let peer = scene.raw_peer("A", "P", ",\"gossip_mode\":1");
    scene.take(peer);
    begin(&mut scene, "A");
    let told: Vec<_> =
        infos(&mut scene, here).into_iter().map(|info| (info.ldm, info.connect_urls)).collect();
    assert_eq!(told, [(true, vec!["10.0.0.2:4222".to_owned()])]);
    let heard: Vec<_> =
        infos(&mut scene, there).into_iter().map(|info| (info.ldm, info.connect_urls)).collect();
    assert_eq!(heard, [(false, vec!["10.0.0.2:4222".to_owned()])]);
    let to_peer = infos(&mut scene, peer);
    assert!(to_peer.iter().any(|info| info.ldm && info.nonce.is_empty()), "{to_peer:?}");
    scene.run_for(SECOND * 5);
    assert_eq!((scene.closed(peer), scene.node("A").node().peer_count()), (None, 2), "routes stay");
}

#[test]
fn clients_are_sent_away_evenly_after_the_grace_period_and_at_least_one_a_second() {
    for (count, each) in [(4, SECOND), (40, SECOND / 2), (400, SECOND / 20)] {
        let mut scene = Scene::alone(configure);
        let clients: Vec<_> = (0..count).map(|_| client(&mut scene, "A")).collect();
        begin(&mut scene, "A");
        scene.run_for(SECOND * 9);
        assert_eq!(open(&scene, &clients), count);
        scene.run_for(SECOND + each * (count as u32 / 2));
        let left = open(&scene, &clients);
        assert!(left.abs_diff(count / 2) <= 2, "{left} of {count}");
        assert!(!scene.node("A").node().has_sent_all_away());
        scene.run_for(each * (count as u32 / 2) + SECOND);
        assert_eq!(open(&scene, &clients), 0);
        assert_eq!(scene.closed(clients[0]), Some(CloseReason::ServerShutdown));
        assert!(scene.node("A").node().has_sent_all_away());
    }
}

#[test]
fn a_lame_duck_without_clients_need_not_wait_and_is_none_before() {
    let mut scene = Scene::alone(configure);
    let node = |scene: &Scene| {
        let node = scene.node("A").node();
        (node.is_lame_duck(), node.has_sent_all_away())
    };
    assert_eq!(node(&scene), (false, false));
    begin(&mut scene, "A");
    assert_eq!(node(&scene), (true, true));
    scene.run_for(SECOND * 60);
}

#[test]
fn whoever_connects_to_a_lame_duck_all_the_same_is_told_and_sent_away() {
    let mut scene = Scene::alone(configure);
    begin(&mut scene, "A");
    begin(&mut scene, "A");
    let late = scene.client("A");
    scene.run_for(SECOND * 12);
    assert_eq!(scene.closed(late), Some(CloseReason::ServerShutdown));
}
