//! Simulated clusters whose nodes are not configured to find each other: sources tell them, true ones and false ones (design.md 6).

use std::time::Duration;

use onehop::config::{HostPort, Source};
use onehop::discovery::Found;
use onehop::sim::{
    Drawing, FaultLevel, Healing, Lines, NetworkConfig, NodeId, NodeSpec, Scenario, Variety, World,
};
use onehop_tests::simulation::must_hold;

const SECOND: Duration = Duration::from_secs(1);

fn world(nodes: usize) -> (World, Vec<NodeId>) {
    let mut world = World::new(5, NetworkConfig::default(), Lines::Dropped);
    let nodes: Vec<_> = (0..nodes).map(|_| world.add_node(NodeSpec::new(Some(3)))).collect();
    nodes.iter().for_each(|node| world.start(*node));
    world.run_for(SECOND).unwrap();
    (world, nodes)
}

fn false_ones(count: u32) -> Vec<Found> {
    let found = |number: u32| {
        let [_, high, mid, low] = number.to_be_bytes();
        let host = format!("172.{}.{mid}.{low}", 16 + high);
        Found { address: HostPort { host, port: None }, server_id: None }
    };
    (0..count).map(found).collect()
}

fn named(world: &World, node: NodeId) -> Found {
    let server_id = world.engine(node).unwrap().node().hub().server_id().to_owned();
    Found { server_id: Some(server_id), ..world.address_of(node) }
}

#[test]
fn one_that_is_told_of_any_member_joins_all_within_a_second() {
    let (mut world, nodes) = world(4);
    for pair in nodes.windows(2) {
        let found = world.address_of(pair[0]);
        world.tell(pair[1], Source::Dns, "", &[found]);
    }
    assert!(world.run_until_whole(2 * SECOND).unwrap().is_some_and(|took| took < SECOND));
    world.run_for(10 * SECOND).unwrap();
    let dials = world.statistics().dials;
    world.run_for(600 * SECOND).unwrap();
    assert_eq!(world.statistics().dials, dials, "who is a member is not dialed");
    world.check_settled().unwrap();
}

#[test]
fn all_that_hear_of_all_at_once_become_a_mesh_and_most_pairs_dial_once() {
    let (mut world, nodes) = world(8);
    for node in &nodes {
        for other in nodes.iter().filter(|other| *other != node) {
            let found = named(&world, *other);
            world.tell(*node, Source::Mdns, &found.server_id.clone().unwrap(), &[found]);
        }
    }
    let took = world.run_until_whole(30 * SECOND).unwrap();
    assert!(took.is_some_and(|took| took < 3 * SECOND), "{took:?}");
    world.run_for(30 * SECOND).unwrap();
    assert!(world.is_mesh_whole());
    assert!(world.statistics().duplicates <= 3, "{:?}", world.statistics());
    world.check_settled().unwrap();
}

#[test]
fn a_hundred_thousand_false_candidates_keep_nobody_from_joining() {
    for (liar, teller, honest) in [
        (Source::Mdns, "liar", Source::Dns),
        (Source::Mdns, "", Source::PeersFile),
        (Source::Dns, "liar.example", Source::Dns),
    ] {
        let (mut world, nodes) = world(2);
        world.tell(nodes[1], liar, teller, &false_ones(100_000));
        world.run_for(5 * SECOND).unwrap();
        world.tell(nodes[1], liar, teller, &false_ones(100_000));
        let found = world.address_of(nodes[0]);
        world.tell(nodes[1], honest, "", &[found]);
        let took = world.run_until_whole(10 * SECOND).unwrap();
        assert!(took.is_some_and(|took| took < 3 * SECOND), "{liar} {took:?}");
    }
}

#[test]
fn who_comes_back_where_a_source_tells_of_it_is_found_again() {
    let (mut world, nodes) = world(2);
    let found = world.address_of(nodes[0]);
    world.tell(nodes[1], Source::Dns, "", &[found]);
    assert!(world.run_until_whole(SECOND).unwrap().is_some());
    world.leave(nodes[0]);
    world.run_for(300 * SECOND).unwrap();
    world.start(nodes[0]);
    let took = world.run_until_whole(120 * SECOND).unwrap();
    assert!(took.is_some_and(|took| took <= 62 * SECOND), "the longest pause is a minute: {took:?}");
}

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let drawing = Drawing { faults, healing, discovery: Variety::All, ..Drawing::default() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_clusters_that_find_each_other_in_the_middle_of_lies_keep_the_rules() {
    draw_and_run(0..10, FaultLevel::None, Healing::On);
    draw_and_run(10..20, FaultLevel::Light, Healing::On);
    draw_and_run(20..30, FaultLevel::Heavy, Healing::On);
}

/// Where a server that was found joined two groups, nobody told the one of the other.
#[test]
fn what_was_broken_once_is_not_again() {
    let (faults, healing) = (FaultLevel::Heavy, Healing::Mixed);
    let drawing = Drawing { faults, healing, discovery: Variety::All, ..Drawing::default() };
    [21_989, 22_401].into_iter().for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}
