//! Hearing of other servers and telling of them (wire.md 3.3).

use onehop::config::Healing;
use onehop::wire::Info;

use crate::scene::{Peer, ROUTE_PORT, SECOND, Scene};

/// A node A with a route to a raw peer, and a node X that A does not know.
fn listener_and_stranger() -> (Scene, Peer) {
    let mut scene = Scene::cluster(&[("A", &[]), ("X", &[])]);
    let teller = scene.raw_peer("A", "T", ",\"route_pool_size\":3");
    (scene, teller)
}

/// The gossip that tells of X.
fn about(scene: &mut Scene, name: &str, more: &str) -> Vec<u8> {
    let ip = scene.ip(name);
    let id = scene.node(name).node().hub().server_id().to_owned();
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
    let (mut scene, teller) = listener_and_stranger();
    let gossip = about(&mut scene, "X", "");
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    assert_eq!(scene.route_count("A", "X"), 3, "{}", scene.describe());
    let gossip = about(&mut scene, "X", ",\"route_account\":\"$SYS\"");
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    assert_eq!(scene.route_count("A", "X"), 4, "{}", scene.describe());
}

#[test]
fn a_server_that_is_known_by_its_system_connection_only_is_dialed_when_it_is_heard_of() {
    let (mut scene, teller) = listener_and_stranger();
    let gossip = about(&mut scene, "X", ",\"route_account\":\"$SYS\"");
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    assert_eq!(scene.route_count("A", "X"), 1);
    let gossip = about(&mut scene, "X", "");
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    assert_eq!(scene.route_count("A", "X"), 4, "{}", scene.describe());
}

#[test]
fn a_teller_without_pool_cannot_tell_of_system_connections_so_they_are_dialed_along() {
    let mut scene = Scene::cluster(&[("A", &[]), ("X", &[])]);
    let teller = scene.raw_peer("A", "T", "");
    let gossip = about(&mut scene, "X", "");
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    assert_eq!(scene.route_count("A", "X"), 4, "{}", scene.describe());
}

#[test]
fn hearing_of_a_known_server_or_of_oneself_changes_nothing() {
    let (mut scene, teller) = listener_and_stranger();
    let gossip = [about(&mut scene, "X", ""), about(&mut scene, "X", ",\"route_account\":\"$SYS\"")].concat();
    scene.send(teller, &gossip);
    scene.run_for(SECOND);
    // The stranger hears of the teller, and goes on dialing it.
    let dials = scene.node("A").node().dial_counts();
    let of_oneself = about(&mut scene, "A", "");
    scene.send(teller, &[gossip, of_oneself].concat().repeat(40));
    scene.run_for(SECOND);
    assert_eq!(scene.node("A").node().dial_counts(), dials);
}

#[test]
fn without_healing_a_server_that_was_only_heard_of_and_does_not_answer_is_given_up() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| {
        config.cluster.as_mut().expect("a clustered node").healing = Healing::none();
    });
    scene.start("X", &[], |_| {});
    let teller = scene.raw_peer("A", "T", ",\"route_pool_size\":3");
    let gossip = about(&mut scene, "X", "");
    scene.kill("X");
    scene.send(teller, &gossip);
    scene.run_for(SECOND * 30);
    assert_eq!(scene.dials(), 1);
}

#[test]
fn a_server_that_was_only_heard_of_is_tried_until_it_is_there() {
    let mut scene = Scene::cluster(&[("A", &[]), ("X", &[])]);
    let teller = scene.raw_peer("A", "T", "");
    let gossip = about(&mut scene, "X", "");
    scene.kill("X");
    scene.send(teller, &gossip);
    scene.run_for(SECOND * 30);
    let attempts = scene.dials();
    // For the pool and for the system account.
    assert!((8..=12).contains(&attempts), "{attempts} attempts, at pauses that double");
}

/// Tells of so many servers that are nowhere, and of each in a place of its own.
fn lies(count: usize) -> Vec<u8> {
    let lie = |n: usize| {
        let ip = format!("10.9.{}.{}", n / 250, n % 250);
        format!("INFO {{\"server_id\":\"NDEAD-{n}\",\"ip\":\"nats-route://{ip}:6222/\",\"port\":6222}}\r\n")
    };
    (0..count).map(lie).collect::<String>().into_bytes()
}

#[test]
fn a_member_that_restarts_is_found_at_once_whatever_a_liar_tells() {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    let liar = scene.raw_peer("A", "L", "");
    scene.run_for(SECOND * 5);
    scene.send(liar, &lies(5000));
    scene.run_for(SECOND);
    // Nobody but A knows where it was, and it does not know of A.
    scene.kill("B");
    scene.send(liar, &lies(5000));
    scene.run_for(SECOND / 2);
    scene.start("B", &[], |_| {});
    scene.run_for(SECOND * 2);
    assert_eq!(scene.route_count("A", "B"), 4, "{}", scene.describe());
    assert_eq!(scene.closed(liar), None);
}

#[test]
fn a_server_that_an_honest_member_tells_of_is_found_at_once_whatever_a_liar_tells() {
    let mut scene = Scene::cluster(&[("A", &[]), ("X", &[])]);
    let (liar, honest) = (scene.raw_peer("A", "L", ""), scene.raw_peer("A", "H", ""));
    scene.send(liar, &lies(5000));
    scene.run_for(SECOND / 2);
    let gossip = about(&mut scene, "X", "");
    scene.send(honest, &gossip);
    scene.run_for(SECOND / 2);
    assert_eq!(scene.route_count("A", "X"), 4, "{}", scene.describe());
}

#[test]
fn a_liar_makes_a_node_dial_at_a_bounded_pace_and_not_without_end() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let liar = scene.raw_peer("A", "L", "");
    scene.send(liar, &lies(5000));
    scene.run_for(SECOND * 10);
    let dials = scene.dials();
    assert!((500..=1000).contains(&dials), "{dials} in ten seconds");
    scene.run_for(SECOND * 240);
    let dials = scene.dials();
    scene.run_for(SECOND * 240);
    // The liar itself, which was connected and is silent, is dialed every half minute.
    assert!(scene.dials() - dials < 30, "{} dials after {dials}", scene.dials());
}

#[test]
fn an_address_that_is_none_is_not_dialed() {
    let (mut scene, teller) = listener_and_stranger();
    for address in ["", "nats-route://", "nats-route://:0/", "bogus", "nats-route://10.0.0.9:99999/"] {
        let line = format!("INFO {{\"server_id\":\"NOTHER\",\"ip\":\"{address}\",\"port\":1}}\r\n");
        scene.send(teller, line.as_bytes());
    }
    scene.run_for(SECOND * 3);
    assert_eq!(scene.dials(), 0);
    assert_eq!(scene.closed(teller), None);
}

#[test]
fn a_newcomer_is_introduced_to_the_others_with_the_address_that_it_can_be_dialed_by() {
    let (mut scene, teller) = listener_and_stranger();
    scene.take(teller);
    scene.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.0.77:4222\"]");
    let received = scene.take(teller);
    let [told] = &gossip_in(&received)[..] else { panic!("one introduction: {received}") };
    assert_eq!((told.server_name.as_str(), told.gossip_mode), ("N", 1));
    assert_eq!(told.ip, format!("nats-route://127.0.0.1:{ROUTE_PORT}/"));
    assert!(told.nonce.is_empty());
    assert!(!received.contains("} \r\n"), "no blank at the end of gossip");
}

#[test]
fn a_newcomer_that_asks_for_silence_is_not_introduced() {
    let (mut scene, teller) = listener_and_stranger();
    scene.take(teller);
    scene.raw_peer("A", "N", ",\"gossip_mode\":1");
    assert_eq!(gossip_in(&scene.take(teller)).len(), 0);
}

#[test]
fn what_is_heard_with_mode_2_is_told_on_once_and_otherwise_not() {
    for (mode, told) in [("", 0), (",\"gossip_mode\":1", 0), (",\"gossip_mode\":2", 1)] {
        let (mut scene, teller) = listener_and_stranger();
        let other = scene.raw_peer("A", "O", ",\"gossip_mode\":1");
        let gossip = about(&mut scene, "X", mode);
        scene.send(teller, &gossip);
        scene.run_for(SECOND);
        assert_eq!(scene.route_count("A", "X"), 3);
        let onward = gossip_in(&scene.take(other));
        assert_eq!(onward.len(), told, "gossip with {mode:?}: {onward:?}");
        assert!(onward.iter().all(|info| info.gossip_mode == 0 && info.server_name == "X"));
    }
}

#[test]
fn clients_are_told_where_else_they_may_connect_and_when_that_ends() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let client = scene.client("A");
    scene.take(client);
    scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.take(client);
    let quiet = scene.client("A");
    scene.take(quiet);
    scene.send(quiet, b"CONNECT {\"verbose\":false,\"protocol\":0}\r\nPING\r\n");
    scene.take(quiet);
    let peer = scene.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.0.77:4222\"]");
    assert_eq!(connect_urls(&scene.take(client)), [vec!["10.0.0.1:4222", "10.0.0.77:4222"]]);
    let late = scene.client("A");
    assert_eq!(connect_urls(&scene.take(late)), [vec!["10.0.0.1:4222", "10.0.0.77:4222"]]);
    // Into lame duck mode: its clients should go elsewhere, and it stays a peer.
    scene.send(peer, b"INFO {\"server_id\":\"NPEER-N\",\"ldm\":true}\r\n");
    scene.run_for(SECOND / 4);
    assert_eq!(connect_urls(&scene.take(client)), [vec!["10.0.0.1:4222"]], "its own stays");
    scene.disconnect(peer);
    scene.raw_peer("A", "M", ",\"connect_urls\":[\"10.0.0.78:4222\"]");
    scene.run_for(SECOND / 4);
    assert_eq!(connect_urls(&scene.take(client)), [vec!["10.0.0.1:4222", "10.0.0.78:4222"]]);
    assert_eq!(scene.take(quiet), "");
}

#[test]
fn clients_hear_that_a_peer_is_gone() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    scene.run_for(SECOND);
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.take(client);
    scene.kill("B");
    scene.run_for(SECOND / 4);
    assert_eq!(connect_urls(&scene.take(client)), [vec!["10.0.0.1:4222"]], "its own stays");
    scene.start("B", &[], |_| {});
    scene.run_for(SECOND * 3);
    assert_eq!(connect_urls(&scene.take(client)), [vec!["10.0.0.1:4222", "10.0.0.2:4222"]]);
}

#[test]
fn clients_are_told_of_the_first_changes_at_once_and_of_many_four_times_a_second() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.take(client);
    let own = "10.0.0.1:4222";
    for _ in 0..16 {
        let peer = scene.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.1.1:4222\"]");
        assert_eq!(connect_urls(&scene.take(client)), [[own, "10.0.1.1:4222"]]);
        scene.disconnect(peer);
        assert_eq!(connect_urls(&scene.take(client)), [[own]]);
    }
    for number in 0..1000 {
        scene.raw_peer("A", &format!("N{number}"), &format!(",\"connect_urls\":[\"a{number}:1\"]"));
        scene.run_for(SECOND / 990);
    }
    let told = connect_urls(&scene.take(client));
    assert_eq!(told.len(), 4);
    let late = scene.client("A");
    assert_eq!(connect_urls(&scene.take(late))[0].len(), 1001, "who comes later hears of all at once");
    scene.send(late, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    assert_eq!(connect_urls(&scene.take(late))[0].len(), 1001);
    scene.run_for(SECOND / 4);
    assert_eq!(connect_urls(&scene.take(client)).last().map(Vec::len), Some(1001), "and they hear it soon");
}

#[test]
fn many_clients_are_told_in_parts_and_each_of_them_hears_the_last_word() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let clients: Vec<_> = (0..1500).map(|_| scene.client("A")).collect();
    for client in &clients {
        scene.send(*client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
        scene.take(*client);
    }
    scene.raw_peer("A", "N", ",\"connect_urls\":[\"10.0.0.77:4222\"]");
    let told = clients.iter().filter(|client| !scene.take(**client).is_empty()).count();
    assert!((1..1000).contains(&told), "{told} at once");
    scene.raw_peer("A", "M", ",\"connect_urls\":[\"10.0.0.78:4222\"]");
    scene.run_for(SECOND / 2);
    for client in &clients {
        let told = connect_urls(&scene.take(*client));
        assert_eq!(told.last().map(Vec::len), Some(3), "{told:?}");
    }
}

#[test]
fn a_node_that_does_not_advertise_names_no_client_addresses() {
    let mut scene = Scene::new();
    scene.start("A", &[], |_| {});
    scene.start("B", &["A"], |config| {
        config.cluster.as_mut().expect("a clustered node").no_advertise = true;
    });
    scene.run_for(SECOND);
    let client = scene.client("A");
    assert_eq!(connect_urls(&scene.take(client)), [Vec::<String>::new()]);
}

#[test]
fn an_account_that_moves_is_acknowledged_once_and_an_acknowledgement_never() {
    let (mut scene, peer) = listener_and_stranger();
    scene.take(peer);
    scene.send(peer, b"INFO {\"route_account\":\"$G\",\"route_acc_add_reqid\":\"x\"}\r\n");
    let answer = scene.take(peer);
    assert!(answer.contains("\"route_acc_add_reqid\":\"x\"") && !answer.contains("$G"), "{answer}");
    // What two nodes would otherwise say to each other for ever.
    scene.send(peer, answer.as_bytes());
    assert_eq!(scene.take(peer), "");
}

#[test]
fn gossip_about_a_newcomer_that_moves_an_account_is_gossip_all_the_same() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let told = scene.raw_peer("A", "T", "");
    scene.raw_peer("A", "N", ",\"route_acc_add_reqid\":\"x\"");
    let gossip = gossip_in(&scene.take(told));
    assert!(gossip.iter().any(|info| info.server_id == "NPEER-N" && info.route_acc_add_reqid.is_empty()));
}

/// The `connect_urls` of each INFO.
fn connect_urls(received: &str) -> Vec<Vec<String>> {
    let infos = received.split("\r\n").filter_map(|line| line.strip_prefix("INFO "));
    infos.map(|json| Info::from_json(json.as_bytes()).expect("an INFO").connect_urls).collect()
}
