//! Simulated clusters whose servers speak TLS with each other (wire.md 6), with clients that do so or not, and with clients that come
//! through a proxy (wire.md 1.14).

use std::time::Duration;

use onehop::config::WebSocketConfig;
use onehop::hub::Kind;
use onehop::sim::{
    Drawing, FaultLevel, Healing, Lines, NetworkConfig, NodeSpec, Operation, ProxyVersion, Scenario, Seed,
    TlsStart, Variety, Way, World,
};
use onehop::transport::HandshakeFirst;
use onehop_tests::simulation::{all_hear_all, must_hold};

const SECOND: Duration = Duration::from_secs(1);

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let all = Variety::All;
    let drawing = Drawing { faults, healing, tls: all, proxies: Variety::Some, ..Drawing::default() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_encrypted_clusters_keep_the_rules() {
    draw_and_run(0..10, FaultLevel::None, Healing::Off);
    draw_and_run(10..20, FaultLevel::Light, Healing::On);
    draw_and_run(20..30, FaultLevel::Heavy, Healing::Mixed);
}

#[test]
fn random_clusters_with_clients_behind_proxies_keep_the_rules() {
    let drawing = Drawing { proxies: Variety::All, ..Drawing::default() };
    (0..15).for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn an_encrypted_world_is_another_only_in_that() {
    let draw = |seed, tls, proxies| Scenario::draw(seed, &Drawing { tls, proxies, ..Drawing::default() });
    let (mut encrypted, mut by_proxy) = (0, 0);
    for seed in 0..100 {
        let (mut with, without) =
            (draw(seed, Variety::All, Variety::All), draw(seed, Variety::None, Variety::None));
        assert!(with.tls.is_some() && with.takes_proxies && without.tls.is_none() && !without.takes_proxies);
        (with.tls, with.takes_proxies) = (None, false);
        for (_, operation) in &mut with.operations {
            let Operation::ConnectBy { node, login, echo, way } = *operation else { continue };
            encrypted += usize::from(way.tls.is_some());
            by_proxy += usize::from(way.proxy.is_some());
            let way = Way { tls: None, proxy: None, ..way };
            *operation = match login {
                _ if way.websocket.is_some() => Operation::ConnectBy { node, login, echo, way },
                Some(login) => Operation::ConnectAs { node, login, echo },
                None => Operation::Connect { node, echo },
            };
        }
        assert_eq!(with, without);
    }
    assert!(encrypted > 100 && by_proxy > 100, "{encrypted} and {by_proxy} in 100 worlds");
    let some = (0..300).filter(|seed| draw(*seed, Variety::Some, Variety::None).tls.is_some()).count();
    assert!((30..80).contains(&some), "{some} of 300");
}

#[test]
fn what_is_encrypted_otherwise_makes_no_other_world() {
    let drawing = Drawing { tls: Variety::All, proxies: Variety::All, ..Drawing::default() };
    for seed in 0..5 {
        let scenario = Scenario::draw(seed, &drawing);
        let [first, second] = [Lines::Kept, Lines::Dropped].map(|lines| scenario.run(lines));
        assert_eq!(first.trace_hash, second.trace_hash, "{seed}");
        assert_eq!((first.statistics, first.elapsed), (second.statistics, second.elapsed), "{seed}");
    }
}

#[test]
fn messages_of_all_sizes_cross_between_clients_that_come_by_all_ways_wherever_their_bytes_are_cut() {
    for handshake_first in [HandshakeFirst::Never, HandshakeFirst::Within(Duration::from_millis(50))] {
        let network = NetworkConfig { splits_per_million: 900_000, ..NetworkConfig::default() };
        let mut world = World::new(7, network, Lines::Kept);
        let node = |mut spec: NodeSpec| {
            spec.config.websocket =
                Some(WebSocketConfig { no_tls: true, compression: true, ..WebSocketConfig::default() });
            spec.config.proxy_protocol = true;
            spec.encrypted(handshake_first)
        };
        let a = world.add_node(node(NodeSpec::new(Some(3))));
        let b = world.add_node(node(NodeSpec::new(Some(3)).joining([Seed::Node(a)])));
        [a, b].into_iter().for_each(|node| world.start(node));
        world.run_for(5 * SECOND).unwrap();
        assert!(world.is_mesh_whole());
        let mut clients: Vec<_> = [a, b].map(|node| world.connect(node, true).unwrap()).into();
        for way in ways(handshake_first) {
            clients.extend([a, b].map(|node| world.connect_by(node, None, true, way).unwrap()));
        }
        all_hear_all(&mut world, &clients, &[0, 1, 40, 110, 1_000, 16_384, 66_000]);
        for node in [a, b] {
            let hub = world.engine(node).unwrap().node().hub();
            assert!(hub.directory().list(Kind::Route).iter().all(|route| route.tls().is_some()));
            let clients = hub.directory().list(Kind::Client);
            let encrypted = clients.iter().filter(|client| client.tls().is_some()).count();
            assert_eq!(clients.len() - encrypted, 3, "one that came plainly, and two through proxies");
        }
    }
}

/// All but a plain connection of one's own.
fn ways(handshake_first: HandshakeFirst) -> Vec<Way> {
    let mut starts = vec![None, Some(TlsStart::AfterInfo)];
    if handshake_first != HandshakeFirst::Never {
        starts.push(Some(TlsStart::AtOnce));
    }
    let proxies = [None, Some(ProxyVersion::V1), Some(ProxyVersion::V2)];
    let by_socket =
        starts.into_iter().flat_map(|tls| proxies.map(|proxy| Way { tls, proxy, websocket: None }));
    let by_websocket = [false, true].map(|compresses| Way {
        tls: Some(TlsStart::AtOnce),
        websocket: Some(compresses),
        proxy: None,
    });
    by_socket.filter(|way| *way != Way::default()).chain(by_websocket).collect()
}

#[test]
fn nobody_comes_by_a_way_that_a_node_does_not_take() {
    let mut world = World::new(1, NetworkConfig::default(), Lines::Dropped);
    let (plain, encrypted) =
        (NodeSpec::new(Some(3)), NodeSpec::new(Some(3)).encrypted(HandshakeFirst::Never));
    let [plain, encrypted] = [plain, encrypted].map(|spec| world.add_node(spec));
    [plain, encrypted].into_iter().for_each(|node| world.start(node));
    let (tls, proxy) = (Some(TlsStart::AfterInfo), Some(ProxyVersion::V1));
    for way in [Way { tls, ..Way::default() }, Way { proxy, ..Way::default() }] {
        assert_eq!(world.connect_by(plain, None, true, way), None);
    }
    let at_once = Way { tls: Some(TlsStart::AtOnce), ..Way::default() };
    assert_eq!(world.connect_by(encrypted, None, true, at_once), None);
    assert!(world.connect_by(encrypted, None, true, Way::default()).is_some());
}
