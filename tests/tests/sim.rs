//! Simulated clusters: named scenarios, and a bounded number of random ones.

use std::time::Duration;

use onehop::sim::{
    Drawing, Fault, FaultLevel, Healing, Lines, Member, NetworkConfig, NodeId, NodeSpec, Operation, Rule,
    Scenario, Seed, Topology, World,
};
use onehop_tests::simulation::must_hold;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn draw_and_run(seeds: std::ops::Range<u64>, drawing: &Drawing) {
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, drawing)));
}

/// Three nodes that were joined as a chain (3→2→1), one after the other.
fn chain_of_three(member: Member) -> World {
    let mut scenario = Scenario::new(1, 3, Topology::Chain, member);
    scenario.start_gap = SECOND;
    let mut world = scenario.build(Lines::Dropped);
    world.run_for(3 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    world
}

#[test]
fn nodes_that_start_at_the_same_time_are_there_when_the_dials_arrive() {
    // The first dials before the others listen, but not before they could hear of it.
    let world = &mut Scenario::new(1, 3, Topology::Star, Member::GO_LIKE).build(Lines::Dropped);
    assert!(world.run_until_whole(SECOND / 2).expect("no rule is broken").is_some());
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let drawing = Drawing { faults: FaultLevel::Heavy, healing: Healing::Mixed, ..Drawing::default() };
    for seed in 0..10 {
        let [first, second] =
            [Lines::Dropped, Lines::Kept].map(|lines| Scenario::draw(seed, &drawing).run(lines));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
    }
    let hash = |seed| Scenario::draw(seed, &drawing).run(Lines::Dropped).trace_hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn go_like_nodes_that_start_one_after_the_other_become_a_mesh() {
    // In the others a node dials one that is not there yet, and then several at the same moment.
    for topology in [Topology::Seed, Topology::Chain, Topology::Tree] {
        for nodes in 1..6 {
            let mut scenario = Scenario::new(nodes as u64, nodes, topology, Member::GO_LIKE);
            scenario.start_gap = 100 * MILLISECOND;
            scenario.must_converge = true;
            must_hold(&scenario);
        }
    }
}

#[test]
fn random_quiet_clusters_keep_the_rules() {
    let drawing =
        Drawing { faults: FaultLevel::None, healing: Healing::Off, nodes: 1..=6, ..Drawing::plain() };
    draw_and_run(0..60, &drawing);
}

#[test]
fn random_clusters_with_faults_keep_the_rules() {
    let drawing =
        Drawing { faults: FaultLevel::Light, healing: Healing::Off, nodes: 1..=6, ..Drawing::plain() };
    draw_and_run(1_000..1_060, &drawing);
}

#[test]
fn random_clusters_with_heavy_faults_keep_the_rules() {
    let drawing =
        Drawing { faults: FaultLevel::Heavy, healing: Healing::Off, nodes: 1..=6, ..Drawing::plain() };
    draw_and_run(2_000..2_060, &drawing);
}

/// What the Go server does, and why there are healing rules (design.md 5).
#[test]
fn a_chain_of_go_like_nodes_that_start_at_once_stays_a_partial_mesh() {
    let scenario = Scenario::new(1, 20, Topology::Chain, Member::GO_LIKE);
    let mut world = scenario.build(Lines::Dropped);
    assert_eq!(world.run_until_whole(60 * SECOND), Ok(None));
    assert!(!world.missing_pairs().is_empty());
}

/// What the Go server does, and why there are healing rules (design.md 5).
#[test]
fn a_pair_of_go_like_nodes_that_was_cut_for_ten_seconds_never_heals() {
    let mut world = chain_of_three(Member::GO_LIKE);
    let (first, third) = (NodeId(0), NodeId(2));
    world.fault(Fault::Cut(first, third, 20 * SECOND));
    world.run_for(600 * SECOND).expect("no rule is broken");
    assert!(!world.is_connected(first, third) && !world.is_connected(third, first));
    assert!(world.is_connected(first, NodeId(1)) && world.is_connected(NodeId(1), third));
}

#[test]
fn what_a_cut_held_up_arrives_when_it_heals_soon() {
    let mut world = chain_of_three(Member::GO_LIKE);
    let (listener, speaker) = (world.connect(NodeId(0), true), world.connect(NodeId(2), true));
    let (listener, speaker) = (listener.expect("the node runs"), speaker.expect("the node runs"));
    world.subscribe(listener, "a", None, false);
    world.run_for(SECOND).expect("no rule is broken");
    world.fault(Fault::CutOneWay(NodeId(2), NodeId(0), SECOND));
    for _ in 0..100 {
        world.publish(speaker, "a", 1000);
    }
    world.run_for(900 * MILLISECOND).expect("no rule is broken");
    assert_eq!(world.received(listener).len(), 0);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.received(listener).len(), 100);
    assert_eq!(world.check_settled(), Ok(()));
}

#[test]
fn both_sides_hear_of_a_reset() {
    let mut world = chain_of_three(Member::GO_LIKE);
    world.fault(Fault::Reset(NodeId(0), NodeId(1)));
    world.run_for(100 * MILLISECOND).expect("no rule is broken");
    assert!(!world.is_connected(NodeId(0), NodeId(1)) && !world.is_connected(NodeId(1), NodeId(0)));
}

#[test]
fn half_open_connections_are_found_by_pings_and_dialed_again() {
    let mut world = World::new(3, NetworkConfig::default(), Lines::Dropped);
    let a = world.add_node(NodeSpec::new(Some(3)));
    let b = world.add_node(NodeSpec::new(Some(3)).joining([Seed::Node(a)]));
    world.start(a);
    world.start(b);
    world.run_for(SECOND).expect("no rule is broken");
    world.fault(Fault::HalfOpen(a, b));
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole(), "nobody knows yet");
    let dials = world.statistics().dials;
    world.run_for(20 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    assert!(world.statistics().dials > dials);
}

#[test]
fn a_client_that_does_not_read_is_closed_and_nobody_else_suffers() {
    let mut world = chain_of_three(Member::GO_LIKE);
    let clients: Vec<_> = (0..3).filter_map(|node| world.connect(NodeId(node), true)).collect();
    for client in &clients {
        world.subscribe(*client, "a", None, false);
    }
    world.run_for(SECOND).expect("no rule is broken");
    world.fault(Fault::SlowClient(clients[0], 3600 * SECOND));
    for _ in 0..200 {
        world.publish(clients[2], "a", 10_000);
    }
    world.run_for(60 * SECOND).expect("no rule is broken");
    let clients_of_first = world
        .engine(NodeId(0))
        .map(|engine| engine.node().hub().directory().count(onehop::hub::Kind::Client));
    assert_eq!(clients_of_first, Some(0));
    assert_eq!(world.received(clients[1]).len(), 200);
}

/// Inherited from NATS: no line of the protocol is for a group alone (wire.md 7.5).
#[test]
fn a_queue_message_that_is_handed_on_is_heard_again_by_plain_subscriptions_there() {
    let mut world = chain_of_three(Member::GO_LIKE);
    let clients: Vec<_> = (0..3).filter_map(|node| world.connect(NodeId(node), true)).collect();
    let member = world.subscribe(clients[1], "a", Some("q"), false).expect("it is connected");
    world.run_for(SECOND).expect("no rule is broken");
    world.fault(Fault::CutOneWay(NodeId(0), NodeId(1), SECOND));
    world.publish(clients[0], "a", 0);
    world.run_for(100 * MILLISECOND).expect("no rule is broken");
    world.unsubscribe(clients[1], member);
    world.subscribe(clients[2], "a", Some("q"), false);
    world.subscribe(clients[2], "a", None, false);
    world.run_for(3 * SECOND).expect("no rule is broken");
    assert_eq!(world.received(clients[1]).len(), 0);
    assert_eq!(
        world.received(clients[2]).len(),
        2,
        "as the member that it was handed on to, and as a plain listener"
    );
}

/// Inherited from NATS: no line of the protocol names the publisher (wire.md 7.5).
#[test]
fn a_queue_message_that_is_handed_back_is_heard_by_its_publisher_even_without_echo() {
    let mut world = chain_of_three(Member::GO_LIKE);
    let publisher = world.connect(NodeId(0), false).expect("the node runs");
    let leaver = world.connect(NodeId(1), true).expect("the node runs");
    let membership = world.subscribe(leaver, "a", Some("q"), false).expect("it is connected");
    world.run_for(SECOND).expect("no rule is broken");
    world.fault(Fault::Cut(NodeId(0), NodeId(1), SECOND));
    world.unsubscribe(leaver, membership);
    world.subscribe(publisher, "a", Some("q"), false);
    world.publish(publisher, "a", 0);
    world.run_for(3 * SECOND).expect("no rule is broken");
    assert_eq!(world.received(leaver).len(), 0);
    assert_eq!(world.received(publisher).len(), 1);
}

/// Interest goes over the slot that the sender's own pool size gives, messages over the slot of the other side's
/// interest (wire.md 4.2): between pools of different sizes these are not the same.
#[test]
fn an_answer_can_overtake_the_interest_in_it_between_pools_of_different_sizes() {
    let lost = (0..40).filter(|seed| {
        let mut world = World::new(*seed, NetworkConfig::default(), Lines::Dropped);
        let a = world.add_node(NodeSpec::new(Some(3)));
        let b = world.add_node(NodeSpec::new(Some(5)).joining([Seed::Node(a)]));
        [a, b].into_iter().for_each(|node| world.start(node));
        world.run_for(SECOND).expect("no rule is broken");
        let (asker, responder) = (world.connect(a, true).unwrap(), world.connect(b, true).unwrap());
        world.subscribe(responder, "ask", None, true);
        world.run_for(SECOND).expect("no rule is broken");
        world.request(asker, "ask");
        world.run_for(SECOND).expect("no rule is broken");
        world.received(asker).is_empty()
    });
    assert!(lost.count() > 0);
}

#[test]
fn a_failing_scenario_is_shrunk_to_what_makes_it_fail() {
    // Go-like nodes do not become a mesh again after this cut; everything else has nothing to do with it.
    let mut scenario = Scenario::new(5, 4, Topology::Chain, Member::GO_LIKE);
    scenario.start_gap = SECOND;
    scenario.must_converge = true;
    scenario.faulty_for = 60 * SECOND;
    scenario.faults = vec![
        (5 * SECOND, Fault::Reset(NodeId(0), NodeId(1))),
        (10 * SECOND, Fault::Cut(NodeId(0), NodeId(2), 20 * SECOND)),
        (11 * SECOND, Fault::Reset(NodeId(2), NodeId(3))),
    ];
    scenario.operations = vec![(SECOND, Operation::Connect { node: 0, echo: true })];
    assert_eq!(
        scenario.run(Lines::Dropped).violation.map(|violation| violation.rule),
        Some(Rule::Convergence)
    );
    let small = scenario.shrunk(Rule::Convergence, 100);
    assert_eq!(small.run(Lines::Dropped).violation.map(|violation| violation.rule), Some(Rule::Convergence));
    assert!(small.operations.is_empty() && small.faults.len() <= 1, "{small:?}");
}
