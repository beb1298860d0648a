//! Simulated clusters whose operator configures tenants: accounts that share streams and services, users who may not do everything,
//! and connections of their own.

use std::time::Duration;

use onehop::sim::{
    Drawing, Fault, FaultLevel, Healing, Lines, Login, Member, NodeId, Outcome, RIGHTS, Scenario, Share,
    TENANTS, Tenants, Topology, Variety, World,
};
use onehop_tests::simulation::must_hold;

const SECOND: Duration = Duration::from_secs(1);

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let drawing = Drawing { nodes: 1..=5, faults, healing, tenants: Variety::All, ..Drawing::default() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_clusters_with_tenants_keep_the_rules() {
    draw_and_run(0..40, FaultLevel::None, Healing::Off);
    draw_and_run(40..80, FaultLevel::Light, Healing::On);
}

#[test]
fn random_clusters_with_tenants_and_heavy_faults_keep_the_rules() {
    draw_and_run(0..40, FaultLevel::Heavy, Healing::On);
    draw_and_run(40..80, FaultLevel::Heavy, Healing::Mixed);
}

#[test]
fn a_world_with_tenants_is_another_only_in_what_they_do() {
    let draw = |seed, tenants| Scenario::draw(seed, &Drawing { tenants, ..Drawing::plain() });
    for seed in 0..100 {
        let (with, without) = (draw(seed, Variety::All), draw(seed, Variety::None));
        assert!(!with.tenants.is_empty() && without.tenants.is_empty());
        let operations = with.operations.iter().filter(|it| without.operations.contains(it)).copied();
        let stripped =
            Scenario { tenants: Tenants::default(), operations: operations.collect(), ..with.clone() };
        assert_eq!(stripped, without);
    }
    let some = (0..300).filter(|seed| !draw(*seed, Variety::Some).tenants.is_empty()).count();
    assert!((30..80).contains(&some), "{some} of 300");
}

#[test]
fn drawn_tenants_share_and_pin_all_that_there_is() {
    let drawing = Drawing { tenants: Variety::All, ..Drawing::default() };
    let drawn: Vec<_> = (0..100).map(|seed| Scenario::draw(seed, &drawing).tenants).collect();
    for shape in 0..onehop::sim::SHAPES.len() {
        assert!(drawn.iter().any(|it| it.shares.iter().any(|share| share.shape == shape)), "{shape}");
    }
    for tenant in 0..TENANTS.len() {
        assert!(drawn.iter().any(|it| it.pinned.contains(&tenant) && it.mapped.contains(&tenant)));
    }
    for rights in 0..RIGHTS.len() {
        assert!(drawn.iter().any(|it| it.rights[..it.count].contains(&rights)), "{rights}");
    }
}

fn run(scenario: &Scenario) -> Outcome {
    scenario.run(Lines::Dropped)
}

/// Two tenants, of which the second has a stream and a service of the first, and both have connections of their own.
fn two_tenants() -> Tenants {
    let share = |shape| Share { importer: 1, exporter: 0, shape };
    Tenants { count: 2, shares: vec![share(0), share(3)], pinned: vec![0, 1], ..Tenants::default() }
}

#[test]
fn accounts_with_connections_of_their_own_form_a_mesh_in_every_topology_and_again_after_faults() {
    for (at, topology) in Topology::ALL.into_iter().enumerate() {
        for pool_size in [Some(1), Some(3), None] {
            let member = Member { pool_size, ..Member::HEALING };
            let mut scenario = Scenario::new(at as u64, 4, topology, member);
            scenario.tenants = two_tenants();
            scenario.faults = vec![
                (5 * SECOND, Fault::HalfOpen(NodeId(0), NodeId(1))),
                (6 * SECOND, Fault::Crash(NodeId(2), SECOND)),
            ];
            scenario.faulty_for = 8 * SECOND;
            assert_eq!(run(&scenario).violation, None, "{topology} {pool_size:?}");
        }
    }
}

fn world(tenants: Tenants) -> World {
    let mut scenario = Scenario::new(1, 2, Topology::Seed, Member::HEALING);
    scenario.tenants = tenants;
    let mut world = scenario.build(Lines::Dropped);
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    world
}

#[test]
fn a_stream_comes_and_a_request_goes_to_another_account_at_another_node() {
    let mut world = world(two_tenants());
    let mut enter = |node, tenant| {
        world.connect_as(NodeId(node), Login { tenant, is_limited: false }, true).expect("the node runs")
    };
    let (exporter, importer) = (enter(0, 0), enter(1, 1));
    world.subscribe(importer, "a.*", None, false);
    world.subscribe(exporter, "b.a", None, true);
    world.run_for(SECOND).expect("no rule is broken");
    world.publish(exporter, "a.b", 0);
    world.request(importer, "c");
    world.run_for(SECOND).expect("no rule is broken");
    let subjects: Vec<_> = world.received(importer).iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.contains(&"a.b") && subjects.iter().any(|subject| subject.starts_with("_INBOX.")));
    assert_eq!(world.received(exporter)[0].subject, "b.a");
    assert_eq!(world.check_settled(), Ok(()));
}

/// They handed it to each other for ever, as if their members had left.
#[test]
fn servers_whose_members_may_not_have_a_queue_message_do_not_hand_it_to_each_other() {
    // Of `a.b` the limited user hears nothing.
    let mut world = world(Tenants { rights: [1; 3], ..two_tenants() });
    for node in [0, 1] {
        let limited = Login { tenant: 0, is_limited: true };
        let member = world.connect_as(NodeId(node), limited, true).expect("the node runs");
        world.subscribe(member, "a.*", Some("q"), false);
    }
    let free = world.connect_as(NodeId(0), Login { tenant: 0, is_limited: false }, true).expect("it runs");
    world.run_for(SECOND).expect("no rule is broken");
    for _ in 0..20 {
        world.publish(free, "a.b", 0);
    }
    let events = world.statistics().events;
    world.run_for(SECOND).expect("no rule is broken");
    assert!(world.statistics().events - events < 200, "it comes to rest");
    assert_eq!(world.check_settled(), Ok(()));
}
