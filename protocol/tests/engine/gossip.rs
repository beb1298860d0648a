//! Hearing of other servers and telling of them (wire.md 3.3).

use onehop::config::Healing;
use onehop::wire::Info;

use crate::world::{Peer, ROUTE_PORT, SECOND, World};

/// A node A with a route to a raw peer, and a node X that A does not know.
fn listener_and_stranger() -> (World, Peer) {
    let mut world = World::cluster(&[("A", &[]), ("X", &[])]);
    let teller = world.raw_peer("A", "T", ",\"route_pool_size\":3");
    (world, teller)
}

/// The gossip that tells of X.
fn about(world: &mut World, name: &str, more: &str) -> Vec<u8> {
    let ip = world.ip(name);
    let id = world.node(name).node().hub().server_id().to_owned();
    format!(
        "INFO {{\"server_id\":\"{id}\",\"server_name\":\"{name}\",\"version\":\"2.15.1\",\"proto\":2,\"host\":\"{ip}\",\
         \"port\":{ROUTE_PORT},\"headers\":true,\"cluster\":\"C\",\"route_pool_size\":3,\
         \"ip\":\"nats-route://{ip}:{ROUTE_PORT}/\"{more}}}\r\n"
    )
    .into_bytes()
}

fn gossip_in(received: &str) -> Vec<Info> {
    let infos = received.split("\r\n").filter_map(|line| line.strip_prefix("INFO "));
    let infos = infos.map(|json| Info::from_json(json.as_bytes()).expect("an INFO"));
    infos.filter(|info| info.ip.starts_with("nats-route://")).collect()
}

#[test]
fn a_server_that_is_heard_of_is_dialed_with_all_connections_of_the_pool() {
    let (mut world, teller) = listener_and_stranger();
    let gossip = about(&mut world, "X", "");
    world.send(teller, &gossip);
    world.run_for(SECOND);
    assert_eq!(world.route_count("A", "X"), 3, "{}", world.describe());
    let gossip = about(&mut world, "X", ",\"route_account\":\"$SYS\"");
    world.send(teller, &gossip);
    world.run_for(SECOND);
    assert_eq!(world.route_count("A", "X"), 4, "{}", world.describe());
}

#[test]
fn a_server_that_is_known_by_its_system_connection_only_is_dialed_when_it_is_heard_of() {
    let (mut world, teller) = listener_and_stranger();
    let gossip = about(&mut world, "X", ",\"route_account\":\"$SYS\"");
    world.send(teller, &gossip);
    world.run_for(SECOND);
    assert_eq!(world.route_count("A", "X"), 1);
    let gossip = about(&mut world, "X", "");
    world.send(teller, &gossip);
    world.run_for(SECOND);
    assert_eq!(world.route_count("A", "X"), 4, "{}", world.describe());
}

#[test]
fn a_teller_without_pool_cannot_tell_of_system_connections_so_they_are_dialed_along() {
    let mut world = World::cluster(&[("A", &[]), ("X", &[])]);
    let teller = world.raw_peer("A", "T", "");
    let gossip = about(&mut world, "X", "");
    world.send(teller, &gossip);
    world.run_for(SECOND);
    assert_eq!(world.route_count("A", "X"), 4, "{}", world.describe());
}

#[test]
fn hearing_of_a_known_server_or_of_oneself_changes_nothing() {
    let (mut world, teller) = listener_and_stranger();
    let gossip = [about(&mut world, "X", ""), about(&mut world, "X", ",\"route_account\":\"$SYS\"")].concat();
    world.send(teller, &gossip);
    world.run_for(SECOND);
    let dials = world.dials();
    let of_oneself = about(&mut world, "A", "");
    world.send(teller, &[gossip, of_oneself].concat().repeat(40));
    world.run_for(SECOND);
    assert_eq!(world.dials(), dials);
}

#[test]
fn without_healing_a_server_that_was_only_heard_of_and_does_not_answer_is_given_up() {
    let mut world = World::new();
    world.start("A", &[], |config| {
        config.cluster.as_mut().expect("a clustered node").healing = Healing::none();
    });
    world.start("X", &[], |_| {});
    let teller = world.raw_peer("A", "T", ",\"route_pool_size\":3");
    let gossip = about(&mut world, "X", "");
    world.kill("X");
    world.send(teller, &gossip);
    world.run_for(SECOND * 30);
    assert_eq!(world.dials(), 1);
}

#[test]
fn a_server_that_was_only_heard_of_is_tried_until_it_is_there() {
    let mut world = World::cluster(&[("A", &[]), ("X", &[])]);
    let teller = world.raw_peer("A", "T", "");
    let gossip = about(&mut world, "X", "");
    world.kill("X");
    world.send(teller, &gossip);
    world.run_for(SECOND * 30);
    let attempts = world.dials();
    // For the pool and for the system account.
    assert!((8..=12).contains(&attempts), "{attempts} attempts, at pauses that double");
}

#[test]
fn an_address_that_is_none_is_not_dialed() {
    let (mut world, teller) = listener_and_stranger();
    for address in ["", "nats-route://", "nats-route://:0/", "bogus", "nats-route://10.0.0.9:99999/"] {
        let line = format!("INFO {{\"server_id\":\"NOTHER\",\"ip\":\"{address}\",\"port\":1}}\r\n");
        world.send(teller, line.as_bytes());
    }
    world.run_for(SECOND * 3);
    assert_eq!(world.dials(), 0);
    assert_eq!(world.closed(teller), None);
}

#[test]
fn a_newcomer_is_introduced_to_the_others_with_the_address_that_it_can_be_dialed_by() {
    let (mut world, teller) = listener_and_stranger();
    world.take(teller);
    world.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.0.77:4222\"]");
    let received = world.take(teller);
    let [told] = &gossip_in(&received)[..] else { panic!("one introduction: {received}") };
    assert_eq!((told.server_name.as_str(), told.gossip_mode), ("N", 1));
    assert_eq!(told.ip, format!("nats-route://127.0.0.1:{ROUTE_PORT}/"));
    assert!(told.nonce.is_empty());
    assert!(!received.contains("} \r\n"), "no blank at the end of gossip");
}

#[test]
fn a_newcomer_that_asks_for_silence_is_not_introduced() {
    let (mut world, teller) = listener_and_stranger();
    world.take(teller);
    world.raw_peer("A", "N", ",\"gossip_mode\":1");
    assert_eq!(gossip_in(&world.take(teller)).len(), 0);
}

#[test]
fn what_is_heard_with_mode_2_is_told_on_once_and_otherwise_not() {
    for (mode, told) in [("", 0), (",\"gossip_mode\":1", 0), (",\"gossip_mode\":2", 1)] {
        let (mut world, teller) = listener_and_stranger();
        let other = world.raw_peer("A", "O", ",\"gossip_mode\":1");
        let gossip = about(&mut world, "X", mode);
        world.send(teller, &gossip);
        world.run_for(SECOND);
        assert_eq!(world.route_count("A", "X"), 3);
        let onward = gossip_in(&world.take(other));
        assert_eq!(onward.len(), told, "gossip with {mode:?}: {onward:?}");
        assert!(onward.iter().all(|info| info.gossip_mode == 0 && info.server_name == "X"));
    }
}

#[test]
fn clients_are_told_where_else_they_may_connect_and_when_that_ends() {
    let mut world = World::cluster(&[("A", &[])]);
    let client = world.client("A");
    world.take(client);
    world.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    world.take(client);
    let quiet = world.client("A");
    world.take(quiet);
    world.send(quiet, b"CONNECT {\"verbose\":false,\"protocol\":0}\r\nPING\r\n");
    world.take(quiet);
    let peer = world.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.0.77:4222\"]");
    assert_eq!(connect_urls(&world.take(client)), [vec!["10.0.0.1:4222", "10.0.0.77:4222"]]);
    let late = world.client("A");
    assert_eq!(connect_urls(&world.take(late)), [vec!["10.0.0.1:4222", "10.0.0.77:4222"]]);
    // Into lame duck mode: its clients should go elsewhere, and it stays a peer.
    world.send(peer, b"INFO {\"server_id\":\"NPEER-N\",\"ldm\":true}\r\n");
    assert_eq!(connect_urls(&world.take(client)), [vec!["10.0.0.1:4222"]], "its own stays");
    world.disconnect(peer);
    world.raw_peer("A", "M", ",\"connect_urls\":[\"10.0.0.78:4222\"]");
    assert_eq!(connect_urls(&world.take(client)), [vec!["10.0.0.1:4222", "10.0.0.78:4222"]]);
    assert_eq!(world.take(quiet), "");
}

#[test]
fn clients_hear_that_a_peer_is_gone() {
    let mut world = World::cluster(&[("A", &["B"]), ("B", &[])]);
    world.run_for(SECOND);
    let client = world.client("A");
    world.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    world.take(client);
    world.kill("B");
    assert_eq!(connect_urls(&world.take(client)), [vec!["10.0.0.1:4222"]], "its own stays");
    world.start("B", &[], |_| {});
    world.run_for(SECOND * 3);
    assert_eq!(connect_urls(&world.take(client)), [vec!["10.0.0.1:4222", "10.0.0.2:4222"]]);
}

#[test]
fn a_node_that_does_not_advertise_names_no_client_addresses() {
    let mut world = World::new();
    world.start("A", &[], |_| {});
    world.start("B", &["A"], |config| {
        config.cluster.as_mut().expect("a clustered node").no_advertise = true;
    });
    world.run_for(SECOND);
    let client = world.client("A");
    assert_eq!(connect_urls(&world.take(client)), [Vec::<String>::new()]);
}

/// The `connect_urls` of each INFO.
#[test]
fn an_account_that_moves_is_acknowledged_once_and_an_acknowledgement_never() {
    let (mut world, peer) = listener_and_stranger();
    world.take(peer);
    world.send(peer, b"INFO {\"route_account\":\"ACC\",\"route_acc_add_reqid\":\"x\"}\r\n");
    let answer = world.take(peer);
    assert!(answer.contains("\"route_acc_add_reqid\":\"x\"") && !answer.contains("ACC"), "{answer}");
    // What two nodes would otherwise say to each other for ever.
    world.send(peer, answer.as_bytes());
    assert_eq!(world.take(peer), "");
}

#[test]
fn gossip_about_a_newcomer_that_moves_an_account_is_gossip_all_the_same() {
    let mut world = World::cluster(&[("A", &[])]);
    let told = world.raw_peer("A", "T", "");
    world.raw_peer("A", "N", ",\"route_acc_add_reqid\":\"x\"");
    let gossip = gossip_in(&world.take(told));
    assert!(gossip.iter().any(|info| info.server_id == "NPEER-N" && info.route_acc_add_reqid.is_empty()));
}

fn connect_urls(received: &str) -> Vec<Vec<String>> {
    let infos = received.split("\r\n").filter_map(|line| line.strip_prefix("INFO "));
    infos.map(|json| Info::from_json(json.as_bytes()).expect("an INFO").connect_urls).collect()
}
