//! What most simulated clusters do without: connections that go on in frames, accounts that come and go, and configurations
//! that are swapped.

use std::time::Duration;

use onehop::sim::{
    Change, Drawing, Fault, FaultLevel, Healing, Lines, Member, NodeId, Operation, Scenario, Setting,
    Topology, Variety,
};
use onehop_tests::simulation::must_hold;

const SECOND: Duration = Duration::from_secs(1);

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let drawing = Drawing { nodes: 1..=6, faults, healing, variety: Variety::All, ..Drawing::plain() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_varied_clusters_without_faults_keep_the_rules() {
    draw_and_run(0..60, FaultLevel::None, Healing::On);
    draw_and_run(60..90, FaultLevel::None, Healing::Off);
}

#[test]
fn random_varied_clusters_keep_the_rules() {
    draw_and_run(0..60, FaultLevel::Light, Healing::On);
    draw_and_run(60..90, FaultLevel::Light, Healing::Mixed);
}

#[test]
fn random_varied_clusters_with_heavy_faults_keep_the_rules() {
    draw_and_run(0..60, FaultLevel::Heavy, Healing::On);
    draw_and_run(60..90, FaultLevel::Heavy, Healing::Off);
}

#[test]
fn most_worlds_are_drawn_as_if_there_were_no_variety() {
    let draw = |seed, variety| Scenario::draw(seed, &Drawing { variety, ..Drawing::plain() });
    let is_plain = |seed: &u64| draw(*seed, Variety::Some) == draw(*seed, Variety::None);
    let plain = (0..300).filter(is_plain).count();
    assert!((130..250).contains(&plain), "{plain} of 300");
    for seed in 0..300 {
        assert!(draw(seed, Variety::None).changes.is_empty());
        assert!(!draw(seed, Variety::All).changes.is_empty());
    }
}

#[test]
fn connections_that_begin_after_a_change_go_on_in_frames_and_the_others_stay_plain() {
    let mut scenario = Scenario::new(1, 3, Topology::Chain, Member::HEALING);
    scenario.changes = vec![(3 * SECOND, Change::Transport(Some(7)))];
    let mut world = scenario.build(Lines::Dropped);
    world.run_for(2 * SECOND).expect("no rule is broken");
    let plain = world.connect(NodeId(0), true).expect("the node runs");
    world.run_for(2 * SECOND).expect("no rule is broken");
    let framed = world.connect(NodeId(2), true).expect("the node runs");
    world.fault(Fault::Reset(NodeId(0), NodeId(1)));
    world.run_for(10 * SECOND).expect("no rule is broken");
    let are_encoded = |world: &onehop::sim::World, node| {
        let engine = world.engine(NodeId(node)).expect("it runs");
        let routes = engine.node().hub().directory().list(onehop::hub::Kind::Route);
        routes.iter().filter(|route| engine.is_encoded(route.id())).count()
    };
    assert_eq!([0, 1, 2].map(|node| are_encoded(&world, node)), [4, 4, 0], "those of one pair");
    for client in [plain, framed] {
        world.subscribe(client, "a", None, false).expect("it is connected");
    }
    world.run_for(SECOND).expect("no rule is broken");
    for (client, padding_bytes) in [(plain, 10), (framed, 5000)] {
        world.publish(client, "a", padding_bytes).expect("it is connected");
    }
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!([plain, framed].map(|client| world.received(client).len()), [2, 2]);
    assert_eq!(world.check_settled(), Ok(()));
}

#[test]
fn a_client_that_presents_itself_late_goes_on_in_frames_from_there_whoever_writes_to_it_meanwhile() {
    for seed in 0..30 {
        let mut scenario = Scenario::new(seed, 2, Topology::Chain, Member::HEALING);
        scenario.changes = vec![(Duration::ZERO, Change::Transport(Some(7)))];
        let mut world = scenario.build(Lines::Dropped);
        world.run_for(3 * SECOND).expect("no rule is broken");
        let late = world.arrive(NodeId(0)).expect("the node runs");
        let others = [0, 1].map(|node| world.connect(NodeId(node), true).expect("the node runs"));
        world.subscribe(late, "a", None, false).expect("it is connected");
        world.run_for(SECOND).expect("no rule is broken");
        for round in 0..20 {
            for client in [late, others[0], others[1]] {
                world.publish(client, "a", 10).expect("it is connected");
            }
            if round == 10 {
                world.present(late);
            }
            world.run_for(Duration::from_micros(5 * seed)).expect("no rule is broken");
        }
        world.run_for(SECOND).expect("no rule is broken");
        assert_eq!(world.received(late).len(), 60);
        let engine = world.engine(NodeId(0)).expect("it runs");
        let clients = engine.node().hub().directory().list(onehop::hub::Kind::Client);
        assert!(clients.iter().all(|client| engine.is_encoded(client.id())) && clients.len() == 2);
        assert_eq!(world.check_settled(), Ok(()));
    }
}

/// With those that do not heal it is as with nats-server: nobody brings it back, even where a third server has routes to both.
#[test]
fn a_server_that_is_configured_no_more_comes_back_as_any_other_member_if_the_mesh_heals() {
    for nodes in [2, 3] {
        for (member, is_whole) in [(Member::HEALING, true), (Member::GO_LIKE, false)] {
            let mut world = Scenario::new(1, nodes, Topology::Chain, member).build(Lines::Dropped);
            world.run_for(3 * SECOND).expect("no rule is broken");
            assert_eq!(peers(&world, nodes), vec![nodes - 1; nodes]);
            world.change(Change::Configure(NodeId(1), vec![Setting::Routes(Vec::new())]));
            world.run_for(SECOND / 10).expect("no rule is broken");
            assert_eq!(peers(&world, 2), [nodes - 2; 2], "it is closed");
            world.run_for(20 * SECOND).expect("none is taken for configured");
            let apart = [nodes - 2, nodes - 2, nodes - 1];
            let expected = if is_whole { vec![nodes - 1; nodes] } else { apart[..nodes].to_vec() };
            assert_eq!(peers(&world, nodes), expected, "{member:?}");
        }
    }
}

fn peers(world: &onehop::sim::World, nodes: usize) -> Vec<usize> {
    let engines = (0..nodes).map(|node| world.engine(NodeId(node)).expect("it runs"));
    engines.map(|engine| engine.node().peer_count()).collect()
}

/// Both ends of what is just beginning may be of another opinion.
#[test]
fn a_mesh_that_forms_while_frames_begin_and_end_becomes_whole() {
    for seed in 0..20 {
        let mut scenario = Scenario::new(seed, 4, Topology::Ring, Member::HEALING);
        let at = |millis| Duration::from_millis(millis);
        scenario.changes = vec![
            (at(seed / 2), Change::Transport(Some(7))),
            (at(10 + seed), Change::Transport(None)),
            (at(20 + seed * 3), Change::Transport(Some(8))),
        ];
        scenario.operations = vec![(at(2 + seed), Operation::Connect { node: 1, echo: true })];
        must_hold(&scenario);
    }
}
