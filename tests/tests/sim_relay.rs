//! Simulated clusters in which not all can reach each other: what two of them say to each other passes through a third
//! (design.md 5, wire.md 14.7).

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use onehop::config::{ClusterConfig, RelayMode};
use onehop::sim::{
    ClientId, Drawing, Fault, FaultLevel, Healing, Lines, NetworkConfig, NodeId, NodeSpec, Scenario, Seed,
    Topology, Variety, World,
};
use onehop_tests::simulation::{all_hear_all, must_hold};

const SECOND: Duration = Duration::from_secs(1);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// So long it takes at most until all pairs are joined that can be: `relay.after` twice, and the circuits themselves.
const JOINED_WITHIN: Duration = Duration::from_secs(30);

/// A node that lets circuits pass.
fn node(routes: Vec<Seed>, adjust: impl Fn(&mut ClusterConfig)) -> NodeSpec {
    let mut spec = NodeSpec::new(Some(3)).joining(routes);
    let cluster = spec.config.cluster.as_mut().expect("simulated nodes are in a cluster");
    adjust(cluster);
    spec
}

/// Nodes that let circuits pass. They are not started.
fn world(seed: u64, nodes: usize, topology: Topology) -> World {
    let mut world = World::new(seed, NetworkConfig::default(), Lines::Kept);
    for routes in topology.routes(nodes, &mut Rng::with_seed(seed)) {
        world.add_node(node(routes, |_| {}));
    }
    world
}

fn all(world: &World) -> Vec<NodeId> {
    (0..world.node_count()).map(NodeId).collect()
}

fn start(world: &mut World) {
    all(world).into_iter().for_each(|node| world.start(node));
}

fn connect_all(world: &mut World) -> Vec<ClientId> {
    all(world).into_iter().map(|node| world.connect(node, true).expect("it runs")).collect()
}

/// None of them can dial the other.
fn part(world: &mut World, a: NodeId, b: NodeId) {
    world.forbid(a, b);
    world.forbid(b, a);
}

/// Nobody can dial this node, which can dial all.
fn hide(world: &mut World, hidden: NodeId) {
    all(world).into_iter().filter(|node| *node != hidden).for_each(|node| world.forbid(node, hidden));
}

/// All are joined in time, with no rule broken; and messages of all sizes come from all to all, once.
#[track_caller]
fn must_be_joined(world: &mut World) {
    let whole = world.run_until_whole(JOINED_WITHIN).unwrap();
    assert!(whole.is_some(), "missing: {:?}", world.missing_pairs());
    let clients = connect_all(world);
    all_hear_all(world, &clients, &[0, 100, 100_000]);
}

#[test]
fn two_that_are_cut_from_each_other_from_the_start_hear_each_other_through_a_third() {
    let mut world = world(1, 3, Topology::Chain);
    world.fault(Fault::Cut(NodeId(0), NodeId(2), FOR_EVER));
    start(&mut world);
    must_be_joined(&mut world);
}

/// Which behave like nats-server, and know nothing of circuits: the one that does speaks to each for the other.
#[test]
fn two_that_heal_nothing_are_joined_by_one_that_does() {
    for (seed, pool_sizes) in
        [(1, [Some(3); 3]), (2, [Some(1), Some(3), Some(5)]), (3, [None, Some(3), Some(3)])]
    {
        let mut world = World::new(seed, NetworkConfig::default(), Lines::Kept);
        let routes = Topology::Chain.routes(3, &mut Rng::with_seed(seed));
        for (place, (routes, pool_size)) in routes.into_iter().zip(pool_sizes).enumerate() {
            world.add_node(NodeSpec::new(pool_size).joining(routes).healing(place == 1));
        }
        part(&mut world, NodeId(0), NodeId(2));
        start(&mut world);
        must_be_joined(&mut world);
        // It stays so, and comes back when one of the two does.
        world.fault(Fault::Crash(NodeId(2), SECOND));
        world.run_for(60 * SECOND).unwrap();
        must_be_joined_again(&mut world);
    }
}

#[track_caller]
fn must_be_joined_again(world: &mut World) {
    assert!(world.run_until_whole(2 * JOINED_WITHIN).unwrap().is_some(), "{:?}", world.missing_pairs());
    world.check_settled().unwrap();
}

#[test]
fn one_that_heals_nothing_and_one_that_does_are_joined_by_a_third() {
    let mut world = World::new(4, NetworkConfig::default(), Lines::Kept);
    for (place, routes) in Topology::Chain.routes(3, &mut Rng::with_seed(4)).into_iter().enumerate() {
        world.add_node(NodeSpec::new(Some(3)).joining(routes).healing(place != 2));
    }
    part(&mut world, NodeId(0), NodeId(2));
    start(&mut world);
    must_be_joined(&mut world);
}

#[test]
fn without_the_setting_they_do_not() {
    let mut world = World::new(1, NetworkConfig::default(), Lines::Dropped);
    for (place, routes) in Topology::Chain.routes(3, &mut Rng::with_seed(1)).into_iter().enumerate() {
        world.add_node(node(routes, |cluster| {
            cluster.relay.mode = if place == 1 { RelayMode::Off } else { RelayMode::On }
        }));
    }
    part(&mut world, NodeId(0), NodeId(2));
    start(&mut world);
    assert_eq!(world.run_until_whole(60 * SECOND).unwrap(), None, "the one in the middle does not want to");
    assert!(!world.is_connected(NodeId(0), NodeId(2)));
}

#[test]
fn all_behind_routers_are_joined_by_the_one_that_all_can_dial() {
    let mut world = world(2, 5, Topology::Seed);
    for hidden in 1..5 {
        hide(&mut world, NodeId(hidden));
    }
    start(&mut world);
    must_be_joined(&mut world);
}

/// It has dialed the two, which dial nobody.
#[test]
fn one_behind_a_router_joins_two_that_cannot_dial_each_other() {
    let mut world = world(3, 3, Topology::Star);
    hide(&mut world, NodeId(0));
    part(&mut world, NodeId(1), NodeId(2));
    start(&mut world);
    must_be_joined(&mut world);
}

/// Who is joined to whom may be any that is not cut off from all.
#[test]
fn whoever_can_dial_whom_each_pair_with_a_common_neighbour_is_joined() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let nodes = rng.usize(3..7);
        let mut world = world(seed, nodes, Topology::Seed);
        let hidden: BTreeSet<_> = (1..nodes).filter(|_| rng.bool()).collect();
        hidden.iter().for_each(|node| hide(&mut world, NodeId(*node)));
        for (a, b) in (1..nodes).flat_map(|a| (1..a).map(move |b| (a, b))) {
            if rng.u8(..4) == 0 {
                part(&mut world, NodeId(a), NodeId(b));
            }
        }
        for node in all(&world) {
            world.start_after(node, rng.u32(..2000) * Duration::from_millis(1));
        }
        world.run_for(2 * SECOND).unwrap();
        must_be_joined(&mut world);
    }
}

/// The next of those that have routes to both takes its place.
#[test]
fn when_the_one_between_is_gone_another_takes_its_place() {
    for seed in 0..10 {
        let mut world = world(seed, 5, Topology::Seed);
        part(&mut world, NodeId(3), NodeId(4));
        start(&mut world);
        must_be_joined(&mut world);
        for gone in 0..2 {
            world.fault(Fault::Die(NodeId(gone)));
            world.run_for(60 * SECOND).unwrap();
            let whole = world.run_until_whole(JOINED_WITHIN).unwrap();
            assert!(whole.is_some(), "{seed}: without n{gone}: {:?}", world.missing_pairs());
        }
        world.check_settled().unwrap();
    }
}

/// Circuits end with their ends, and come back with them.
#[test]
fn an_end_that_is_started_again_is_joined_again() {
    for fault in [Fault::Crash(NodeId(2), SECOND), Fault::Stop(NodeId(2), SECOND), Fault::Move(NodeId(2))] {
        let mut world = world(5, 3, Topology::Seed);
        part(&mut world, NodeId(1), NodeId(2));
        start(&mut world);
        must_be_joined(&mut world);
        world.fault(fault);
        world.run_for(60 * SECOND).unwrap();
        assert!(world.run_until_whole(JOINED_WITHIN).unwrap().is_some(), "{:?}", world.missing_pairs());
    }
}

/// With TLS and compression, tenants, clients of all kinds and sources in some of them; whatever goes wrong the rules hold, and where
/// nobody is cut from the first all are joined.
#[test]
fn random_clusters_in_which_not_all_can_dial_all_keep_the_rules() {
    for (first, faults) in [(0, FaultLevel::None), (100, FaultLevel::Light), (200, FaultLevel::Heavy)] {
        let drawing = Drawing { walls: Variety::All, faults, ..Drawing::default() };
        (first..first + 20).for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
    }
}

#[test]
fn ends_that_begin_at_once_are_joined_nevertheless() {
    // Each had lost its own circuit to the other's again and again, at the same pace.
    let drawing = Drawing { walls: Variety::All, ..Drawing::default() };
    must_hold(&Scenario::draw(285, &drawing));
}

/// It had introduced a server that was gone, to one that still knew it, at the address that another one has since.
#[test]
fn nobody_is_spoken_to_for_a_server_that_is_not_there_any_more() {
    let drawing = Drawing { healing: Healing::Mixed, faults: FaultLevel::Heavy, ..Drawing::default() };
    must_hold(&Scenario::draw(20346, &drawing));
}

#[test]
fn when_what_a_connection_waited_for_has_come_whatever_else_is_due_is_done() {
    let drawing = Drawing { healing: Healing::Mixed, ..Drawing::default() };
    must_hold(&Scenario::draw(22614, &drawing));
}

#[test]
fn a_world_with_walls_is_another_only_in_that() {
    let draw = |seed, walls| Scenario::draw(seed, &Drawing { walls, ..Drawing::plain() });
    let mut walls = 0;
    for seed in 0..50 {
        let (with, without) = (draw(seed, Variety::All), draw(seed, Variety::None));
        walls += with.walls.iter().flatten().count();
        let must_converge = without.must_converge;
        assert_eq!(Scenario { walls: None, must_converge, ..with }, without);
    }
    assert!(walls > 100, "{walls}");
}

#[test]
fn what_a_relay_has_no_room_for_comes_once_there_is_room() {
    let mut world = World::new(7, NetworkConfig::default(), Lines::Dropped);
    for routes in Topology::Seed.routes(4, &mut Rng::with_seed(7)) {
        world.add_node(node(routes, |cluster| cluster.relay.max_circuits = 10));
    }
    (1..4).for_each(|hidden| hide(&mut world, NodeId(hidden)));
    start(&mut world);
    assert_eq!(world.run_until_whole(JOINED_WITHIN).unwrap(), None, "three pairs would take twelve");
    world.run_for(120 * SECOND).unwrap();
    world.fault(Fault::Die(NodeId(3)));
    // Until that is noticed, and asked for again, which takes longer and longer.
    assert!(world.run_until_whole(180 * SECOND).unwrap().is_some(), "{:?}", world.missing_pairs());
}

/// How two that a cut has parted say things to each other, one after the other on several subjects, until long after it.
fn talk_across_the_end_of_a_cut(seed: u64, adjust: impl Fn(&mut ClusterConfig)) {
    let mut world = World::new(seed, NetworkConfig::default(), Lines::Dropped);
    for routes in Topology::Chain.routes(3, &mut Rng::with_seed(seed)) {
        world.add_node(node(routes, &adjust));
    }
    let mut rng = Rng::with_seed(seed);
    world.fault(Fault::Cut(NodeId(0), NodeId(2), 20 * SECOND + rng.u32(..3000) * Duration::from_millis(1)));
    start(&mut world);
    let clients = connect_all(&mut world);
    for client in &clients {
        for filter in ["a.*", "a.b", ">"] {
            world.subscribe(*client, filter, None, false);
        }
    }
    world.run_for(18 * SECOND).unwrap();
    assert!(world.is_mesh_whole() && !world.is_direct(NodeId(0), NodeId(2)), "{seed}");
    let mut messages = Vec::new();
    for round in 0..12_000 {
        let from = clients[rng.usize(..clients.len())];
        let size = if rng.u8(..50) == 0 { 40_000 } else { rng.usize(..100) };
        messages.extend(world.publish(from, ["a.b", "a.c", "d"][rng.usize(..3)], size));
        if round % 50 == 0 {
            // Interest changes meanwhile.
            let sid = world.subscribe(clients[rng.usize(..clients.len())], "never", None, false);
            let _ = sid;
        }
        world.run_for(Duration::from_millis(1)).unwrap();
    }
    world.run_for(10 * SECOND).unwrap();
    for (a, b) in [(0, 2), (2, 0)] {
        assert!(world.is_direct(NodeId(a), NodeId(b)), "{seed}: the circuit is no more, from {a}");
    }
    messages.iter().for_each(|message| world.check_delivery(*message).unwrap());
    world.check_settled().unwrap();
}

#[test]
fn a_direct_connection_takes_the_place_of_a_circuit_and_no_message_is_lost_or_repeated_or_overtaken() {
    for seed in 0..4 {
        talk_across_the_end_of_a_cut(seed, |_| {});
    }
}
