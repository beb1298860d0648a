//! Where a node is reached, told by a source while it runs (wire.md 14.5), and who hears of it.

use onehop::config::{Config, HostPort};
use onehop::discovery::ReachedAt;
use onehop::wire::Info;

use crate::scene::{ROUTE_PORT, SECOND, Scene};

const ONEHOP: &str = ",\"onehop\":1,\"connect_urls\":[\"10.0.0.77:4222\"]";

fn address(text: &str) -> Option<HostPort> {
    text.parse().ok()
}

fn route_at(text: &str) -> ReachedAt {
    ReachedAt { route: address(text), ..ReachedAt::default() }
}

fn client_at(text: &str) -> ReachedAt {
    ReachedAt { client: address(text), ..ReachedAt::default() }
}

fn infos(received: &str) -> Vec<Info> {
    let infos = received.split("\r\n").filter_map(|line| line.strip_prefix("INFO "));
    infos.map(|json| Info::from_json(json.as_bytes()).expect("an INFO")).collect()
}

/// Those in which a server says where it is.
fn addresses(received: &str) -> Vec<(String, u16, String)> {
    let infos = infos(received).into_iter().filter(|info| info.port > 0);
    infos.map(|info| (info.host, info.port, info.ip)).collect()
}

fn at(host: &str, port: u16, ip: &str) -> (String, u16, String) {
    (host.to_owned(), port, ip.to_owned())
}

#[test]
fn who_is_told_where_it_is_reached_tells_onehop_peers_and_whoever_connects() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let [peer, other] = ["P", "Q"].map(|name| scene.raw_peer("A", name, ONEHOP));
    let nats_server = scene.raw_peer("A", "N", "");
    for peer in [peer, other, nats_server] {
        scene.take(peer);
    }
    scene.hear_reached_at("A", route_at("tunnel.example:7001"));
    let told = at("tunnel.example", 7001, "nats-route://tunnel.example:7001/");
    let told = [told];
    assert_eq!(addresses(&scene.take(peer)), told);
    assert_eq!(addresses(&scene.take(other)), told);
    assert_eq!(addresses(&scene.take(nats_server)), [], "it would take no heed");
    let newcomer = scene.raw_route("A");
    assert_eq!(addresses(&scene.take(newcomer)), told);

    scene.hear_reached_at("A", route_at("tunnel.example:7001"));
    assert_eq!(addresses(&scene.take(peer)), [], "it is known");
    scene.hear_reached_at("A", route_at("[fd00::7]"));
    let moved = at("fd00::7", ROUTE_PORT, "nats-route://[fd00::7]:6222/");
    assert_eq!(addresses(&scene.take(peer)), [moved], "at its port");
    scene.hear_reached_at("A", ReachedAt::default());
    assert_eq!(addresses(&scene.take(peer)), [at("10.0.0.1", ROUTE_PORT, "")], "where it listens");
}

#[test]
fn a_configured_address_holds_whatever_a_source_says() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| {
        config.cluster.as_mut().expect("a clustered node").advertise = address("own.example:9");
        config.client_advertise = address("own.example:8");
    });
    let peer = scene.raw_peer("A", "P", ONEHOP);
    scene.take(peer);
    scene.hear_reached_at("A", route_at("tunnel.example:7001"));
    scene.hear_reached_at("A", client_at("tunnel.example:7002"));
    assert_eq!(infos(&scene.take(peer)), []);
    let newcomer = scene.raw_route("A");
    let greeting = scene.take(newcomer);
    assert_eq!(addresses(&greeting), [at("own.example", 9, "nats-route://own.example:9/")]);
    assert_eq!(infos(&greeting)[0].connect_urls, ["own.example:8"]);
    let reach = scene.node("A").node().reach();
    assert_eq!(
        reach.members.into_iter().map(|(_, at)| at.to_string()).collect::<Vec<_>>(),
        ["own.example:9"]
    );
}

#[test]
fn what_nobody_could_dial_is_nowhere() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "P", ONEHOP);
    scene.take(peer);
    for host in ["", "a b", "a\r\nPUB", "fe80::1%eth0"] {
        let nowhere = Some(HostPort { host: host.to_owned(), port: Some(5) });
        scene.hear_reached_at("A", ReachedAt { route: nowhere.clone(), client: nowhere, failure: None });
        assert_eq!(scene.take(peer), "", "{host:?}");
    }
    scene.hear_reached_at("A", client_at("tunnel.example"));
    assert_eq!(scene.take(peer), "", "nobody knows at which port");
}

#[test]
fn a_peer_that_says_where_it_is_now_is_named_so_to_others() {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    scene.run_for(SECOND);
    scene.hear_reached_at("A", route_at("tunnel.example:7001"));
    scene.run_for(SECOND);
    let newcomer = scene.raw_peer("B", "P", ONEHOP);
    scene.run_for(SECOND);
    let id = scene.node("A").node().hub().server_id().to_owned();
    let named: Vec<_> = infos(&scene.take(newcomer)).into_iter().flat_map(|info| info.onehop_peers).collect();
    let of_a: Vec<_> =
        named.iter().filter(|server| server.id == id).map(|server| server.url.as_str()).collect();
    assert!(
        !of_a.is_empty() && of_a.iter().all(|url| *url == "nats-route://tunnel.example:7001/"),
        "{named:?}"
    );
}

#[test]
fn whoever_lacks_a_peer_hears_at_once_where_it_went() {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    scene.run_for(SECOND);
    // It has routes to nobody else, as if it had just lost A.
    let lacking = scene.raw_peer("B", "P", ONEHOP);
    scene.send(
        lacking,
        b"INFO {\"server_id\":\"NPEER-P\",\"onehop\":1,\"onehop_digest\":\"0123456789abcdef\"}\r\n",
    );
    scene.run_for(SECOND);
    let names = |scene: &mut Scene, url: &str| {
        let infos = infos(&scene.take(lacking));
        infos.iter().flat_map(|info| &info.onehop_peers).any(|server| server.url == url)
    };
    assert!(names(&mut scene, "nats-route://10.0.0.1:6222/"), "where it was");
    scene.run_for(SECOND);
    assert!(!names(&mut scene, "nats-route://10.0.0.1:6222/"), "not again so soon");
    scene.hear_reached_at("A", route_at("tunnel.example:7001"));
    scene.run_for(SECOND);
    assert!(names(&mut scene, "nats-route://tunnel.example:7001/"));
}

#[test]
fn a_peer_that_was_greeted_before_a_change_hears_of_it_once_it_is_a_member() {
    let joins = |more: &str, wait: u32| {
        let mut scene = Scene::cluster(&[("A", &[])]);
        let peer = scene.raw_route("A");
        assert_eq!(addresses(&scene.take(peer)), [at("10.0.0.1", ROUTE_PORT, "")]);
        scene.hear_reached_at("A", route_at("tunnel.example:7001"));
        // Whoever waits for so long was greeted afterwards.
        let peer = if wait > 0 {
            scene.run_for(SECOND * wait);
            scene.raw_route("A")
        } else {
            peer
        };
        scene.take(peer);
        scene.send(peer, format!("CONNECT {{\"name\":\"NP\",\"cluster\":\"C\"}}\r\nINFO {{\"server_id\":\"NP\",\"port\":6222{more}}}\r\n").as_bytes());
        assert_eq!(scene.closed(peer), None);
        addresses(&scene.take(peer)).len()
    };
    assert_eq!([joins(ONEHOP, 0), joins("", 0), joins(ONEHOP, 31)], [1, 0, 0]);
}

#[test]
fn clients_of_others_hear_where_a_tunnel_leads_to_the_clients_port() {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    scene.run_for(SECOND);
    let mut clients = ["A", "B"].map(|node| scene.client(node));
    for client in clients {
        scene.send(client, b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
        scene.take(client);
    }
    let told = |scene: &mut Scene, clients: &[_]| {
        scene.run_for(SECOND / 2);
        let urls = |client: &_| infos(&scene.take(*client)).pop().map(|info| info.connect_urls);
        clients.iter().map(urls).collect::<Vec<_>>()
    };
    scene.hear_reached_at("A", client_at("tunnel.example:7002"));
    let of_each = |a: &str| {
        let [own, other] = [a.to_owned(), "10.0.0.2:4222".to_owned()];
        [Some(vec![own.clone(), other.clone()]), Some(vec![other, own])]
    };
    assert_eq!(told(&mut scene, &clients), of_each("tunnel.example:7002"));
    clients[0] = scene.client("A");
    let greeting = infos(&scene.take(clients[0])).pop().expect("a greeting");
    assert_eq!((greeting.host.as_str(), greeting.port), ("tunnel.example", 7002), "as with client_advertise");
    scene.send(clients[0], b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
    scene.hear_reached_at("A", ReachedAt::default());
    assert_eq!(told(&mut scene, &clients), of_each("10.0.0.1:4222"));
}

#[test]
fn who_names_no_clients_port_names_none_that_a_tunnel_leads_to() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config: &mut Config| {
        config.cluster.as_mut().expect("a clustered node").no_advertise = true;
    });
    let peer = scene.raw_peer("A", "P", ONEHOP);
    scene.take(peer);
    scene.hear_reached_at("A", client_at("tunnel.example:7002"));
    assert_eq!(infos(&scene.take(peer)), []);
}

#[test]
fn the_same_words_of_a_source_give_the_same_bytes() {
    let history = |address: &str| {
        let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"]), ("C", &["B"])]);
        scene.run_for(SECOND);
        scene.hear_reached_at("A", route_at(address));
        scene.run_for(SECOND * 5);
        scene.trace
    };
    assert!(history("10.9.9.9:7001") == history("10.9.9.9:7001"));
    assert!(history("10.9.9.9:7001") != history("10.9.9.9:7002"));
}
