//! What the healing rules promise (design.md 5), in simulated clusters.

use std::ops::RangeInclusive;
use std::time::Duration;

use onehop::sim::{
    Change, Drawing, Fault, FaultLevel, Healing, Lines, Member, NodeId, Scenario, Seed, Setting, Topology,
    World,
};
use onehop_tests::simulation::must_hold;

const SECOND: Duration = Duration::from_secs(1);

fn healing(seed: u64, nodes: usize, topology: Topology) -> Scenario {
    Scenario { must_converge: true, ..Scenario::new(seed, nodes, topology, Member::HEALING) }
}

#[test]
fn every_topology_becomes_a_mesh_however_its_nodes_start() {
    for topology in Topology::ALL {
        for (nodes, start_gap) in [(2, 0), (3, 0), (5, 0), (5, 30), (8, 0), (8, 300)] {
            let start_gap = Duration::from_millis(start_gap);
            must_hold(&Scenario { start_gap, ..healing(nodes as u64, nodes, topology) });
        }
    }
}

#[test]
fn a_chain_of_twenty_that_starts_at_once_becomes_a_mesh() {
    let mut world = healing(1, 20, Topology::Chain).build(Lines::Dropped);
    let whole = world.run_until_whole(30 * SECOND).expect("no rule is broken");
    assert!(whole.is_some(), "missing {:?}", world.missing_pairs());
}

fn cut_pair_of(members: [Member; 3]) -> World {
    let mut scenario = healing(1, 3, Topology::Chain);
    scenario.nodes = members.to_vec();
    scenario.start_gap = SECOND;
    // A circuit would be there before the cut ends.
    scenario.relays = false;
    let mut world = scenario.build(Lines::Dropped);
    world.run_for(3 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    world.fault(Fault::Cut(NodeId(0), NodeId(2), 20 * SECOND));
    world.run_for(19 * SECOND).expect("no rule is broken");
    assert!(!world.is_connected(NodeId(0), NodeId(2)));
    world
}

#[test]
fn a_pair_that_was_cut_connects_again() {
    let mut world = cut_pair_of([Member::HEALING; 3]);
    assert!(world.run_until_whole(60 * SECOND).expect("no rule is broken").is_some());
}

#[test]
fn one_node_that_heals_is_enough_for_a_pair_of_others() {
    let mut world = cut_pair_of([Member::GO_LIKE, Member::HEALING, Member::GO_LIKE]);
    assert!(world.run_until_whole(60 * SECOND).expect("no rule is broken").is_some());
}

/// Each knows the other by an address that it has left; a third that is connected to both has to tell them.
#[test]
fn two_nodes_that_both_moved_find_each_other_through_a_third() {
    let mut scenario = healing(2940, 3, Topology::Seed);
    scenario.uses_names = true;
    scenario.faults = vec![(5 * SECOND, Fault::Move(NodeId(2))), (6 * SECOND, Fault::Move(NodeId(1)))];
    scenario.faulty_for = 7 * SECOND;
    must_hold(&scenario);
}

fn chain_of(members: [Member; 3]) -> Scenario {
    let mut scenario = healing(1, 3, Topology::Chain);
    scenario.nodes = members.to_vec();
    scenario
}

/// Whether a chain becomes a mesh of which the ends cannot reach each other in its first minute.
fn is_whole_after_cut(scenario: &Scenario) -> bool {
    let mut world = scenario.build(Lines::Dropped);
    world.fault(Fault::Cut(NodeId(0), NodeId(2), 60 * SECOND));
    world.run_for(60 * SECOND).expect("no rule is broken");
    assert!(!world.is_connected(NodeId(0), NodeId(2)));
    world.run_until_whole(180 * SECOND).expect("no rule is broken").is_some()
}

const HIDDEN: Member = Member { is_behind_nat: true, ..Member::HEALING };

/// It told one of them of the other, once, while they could not reach each other, and shows where it sees them, which is not
/// where they can be dialed. Found by the rule of [`Scenario::is_promised_whole`] for those that do not heal.
#[test]
fn two_nodes_behind_nat_that_only_a_nats_server_knows_find_each_other_where_it_said_once_that_they_are() {
    let scenario = chain_of([HIDDEN, Member::GO_LIKE, HIDDEN]);
    assert!(scenario.is_promised_whole());
    assert!(is_whole_after_cut(&scenario));
}

/// Seeds 60002377 and 60007107 of heavy faults: a nats-server that is there first dials once whom its neighbour tells it of, in
/// vain, and nobody else ever hears where it can be dialed.
#[test]
fn a_nats_server_behind_nat_is_found_if_it_is_configured_with_one_that_heals() {
    let go_like = Member { is_behind_nat: true, ..Member::GO_LIKE };
    for (middle, is_found) in [(Member::HEALING, true), (Member::GO_LIKE, false)] {
        let mut scenario = chain_of([Member::HEALING, middle, go_like]);
        (scenario.starts_backwards, scenario.start_gap) = (true, 3 * SECOND);
        assert_eq!(scenario.is_promised_whole(), is_found);
        assert_eq!(is_whole_after_cut(&scenario), is_found);
    }
}

/// Everybody else may be led to the same one of the two.
#[test]
fn a_name_of_two_servers_promises_a_whole_mesh_only_if_these_two_are_joined() {
    for (routes, is_promised) in [(vec![Seed::Node(NodeId(0))], true), (Vec::new(), false)] {
        let mut scenario = healing(1, 4, Topology::Name);
        let change = Change::Configure(NodeId(1), vec![Setting::Routes(routes)]);
        scenario.changes = vec![(SECOND, change)];
        assert_eq!(scenario.is_promised_whole(), is_promised);
    }
}

fn draw_and_run(seeds: std::ops::Range<u64>, drawing: &Drawing) {
    for seed in seeds {
        must_hold(&Scenario::draw(seed, drawing));
    }
}

/// Without what `sim_variety.rs` is about.
fn drawing(nodes: RangeInclusive<usize>, faults: FaultLevel, healing: Healing) -> Drawing {
    Drawing { nodes, faults, healing, ..Drawing::plain() }
}

#[test]
fn random_quiet_clusters_become_whole() {
    draw_and_run(0..60, &drawing(1..=6, FaultLevel::None, Healing::On));
}

#[test]
fn random_clusters_become_whole_after_faults() {
    draw_and_run(0..60, &drawing(1..=6, FaultLevel::Light, Healing::On));
}

#[test]
fn random_clusters_become_whole_after_heavy_faults() {
    draw_and_run(0..60, &drawing(1..=6, FaultLevel::Heavy, Healing::On));
}

#[test]
fn random_clusters_of_which_some_heal_become_whole_after_faults() {
    draw_and_run(0..60, &drawing(2..=6, FaultLevel::Light, Healing::Mixed));
}
