//! Simulated clusters with clients by WebSocket (wire.md 6.5), which read and write compressed messages or not.

use std::time::Duration;

use onehop::config::WebSocketConfig;
use onehop::sim::{
    Drawing, FaultLevel, Healing, Lines, NetworkConfig, NodeSpec, Operation, Scenario, Seed, Variety, Way,
    World,
};
use onehop_tests::simulation::{all_hear_all, must_hold};

const SECOND: Duration = Duration::from_secs(1);

fn by_websocket(compresses: bool) -> Way {
    Way { websocket: Some(compresses), ..Way::default() }
}

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let drawing = Drawing { faults, healing, websockets: Variety::All, ..Drawing::default() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_clusters_with_clients_by_websocket_keep_the_rules() {
    draw_and_run(0..30, FaultLevel::None, Healing::Off);
    draw_and_run(30..60, FaultLevel::Light, Healing::On);
    draw_and_run(60..90, FaultLevel::Heavy, Healing::Mixed);
}

#[test]
fn a_world_with_clients_by_websocket_is_another_only_in_that() {
    let draw = |seed, websockets| {
        Scenario::draw(
            seed,
            &Drawing { websockets, tls: Variety::None, proxies: Variety::None, ..Drawing::default() },
        )
    };
    let mut by_websocket = 0;
    for seed in 0..100 {
        let (mut with, without) = (draw(seed, Variety::All), draw(seed, Variety::None));
        assert!(with.takes_websockets && !without.takes_websockets);
        with.takes_websockets = false;
        for (_, operation) in &mut with.operations {
            if let Operation::ConnectBy { node, login, echo, way } = *operation
                && way.websocket.is_some()
            {
                by_websocket += 1;
                *operation = match login {
                    Some(login) => Operation::ConnectAs { node, login, echo },
                    None => Operation::Connect { node, echo },
                };
            }
        }
        assert_eq!(with, without);
    }
    assert!(by_websocket > 100, "there are {by_websocket} in 100 worlds");
    let some = (0..300).filter(|seed| draw(*seed, Variety::Some).takes_websockets).count();
    assert!((30..80).contains(&some), "{some} of 300");
}

#[test]
fn messages_of_all_sizes_cross_between_clients_of_all_kinds_wherever_their_frames_are_cut() {
    let network = NetworkConfig { splits_per_million: 900_000, ..NetworkConfig::default() };
    let mut world = World::new(7, network, Lines::Kept);
    let taking = |mut spec: NodeSpec| {
        spec.config.websocket =
            Some(WebSocketConfig { no_tls: true, compression: true, ..WebSocketConfig::default() });
        spec
    };
    let a = world.add_node(taking(NodeSpec::new(Some(3))));
    let b = world.add_node(taking(NodeSpec::new(Some(3))).joining([Seed::Node(a)]));
    [a, b].into_iter().for_each(|node| world.start(node));
    world.run_for(5 * SECOND).unwrap();
    let mut clients: Vec<_> = [a, b].map(|node| world.connect(node, true).unwrap()).into();
    for (node, compresses) in [(a, false), (a, true), (b, false), (b, true)] {
        clients.push(world.connect_by(node, None, true, by_websocket(compresses)).unwrap());
    }
    all_hear_all(&mut world, &clients, &[0, 1, 40, 110, 130, 1_000, 60_000, 66_000]);
}

#[test]
fn a_node_that_takes_no_websockets_has_no_clients_by_them() {
    let mut world = World::new(1, NetworkConfig::default(), Lines::Dropped);
    let node = world.add_node(NodeSpec::new(Some(3)));
    world.start(node);
    assert_eq!(world.connect_by(node, None, true, by_websocket(false)), None);
}
