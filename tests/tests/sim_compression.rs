//! Simulated clusters whose nodes want this and that of compression (wire.md 5), and something else in the middle.

use std::time::Duration;

use onehop::config::Compression;
use onehop::hub::Kind;
use onehop::sim::{
    Change, Drawing, FaultLevel, Healing, Lines, Member, NodeId, Scenario, Setting, Topology, Variety, World,
};
use onehop::transport::S2Level;
use onehop_tests::simulation::must_hold;

const SECOND: Duration = Duration::from_secs(1);

fn draw_and_run(seeds: std::ops::Range<u64>, faults: FaultLevel, healing: Healing) {
    let drawing = Drawing { faults, healing, compression: Variety::All, ..Drawing::default() };
    seeds.for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn random_clusters_with_compressed_routes_keep_the_rules() {
    draw_and_run(0..30, FaultLevel::None, Healing::Off);
    draw_and_run(30..70, FaultLevel::Light, Healing::On);
}

#[test]
fn random_clusters_with_compressed_routes_and_heavy_faults_keep_the_rules() {
    draw_and_run(0..40, FaultLevel::Heavy, Healing::On);
    draw_and_run(40..80, FaultLevel::Heavy, Healing::Mixed);
}

#[test]
fn a_world_with_compression_is_another_only_in_that() {
    let draw = |seed, compression| Scenario::draw(seed, &Drawing { compression, ..Drawing::plain() });
    for seed in 0..100 {
        let (with, without) = (draw(seed, Variety::All), draw(seed, Variety::None));
        assert_eq!((with.compression.len(), without.compression.len()), (with.nodes.len(), 0));
        assert_eq!(Scenario { compression: Vec::new(), changes: Vec::new(), ..with }, without);
    }
    let some = (0..300).filter(|seed| !draw(*seed, Variety::Some).compression.is_empty()).count();
    assert!((30..80).contains(&some), "{some} of 300");
}

#[test]
fn nothing_goes_on_in_frames_where_nodes_want_something_of_compression() {
    let drawing = Drawing { variety: Variety::All, compression: Variety::All, ..Drawing::default() };
    for seed in 0..100 {
        let scenario = Scenario::draw(seed, &drawing);
        assert!(scenario.changes.iter().all(|(_, change)| !matches!(change, Change::Transport(_))));
    }
}

/// How the routes of a node are compressed, each way once.
fn written(world: &World, node: usize) -> Vec<&'static str> {
    let engine = world.engine(NodeId(node)).expect("the node runs");
    let routes = engine.node().hub().directory().list(Kind::Route);
    let mut written: Vec<_> = routes.iter().map(|route| route.about().compression.unwrap_or("-")).collect();
    written.sort_unstable();
    written.dedup();
    written
}

#[test]
fn messages_cross_compressed_routes_before_and_after_what_is_wanted_changes() {
    let mut scenario = Scenario::new(1, 2, Topology::Chain, Member::HEALING);
    scenario.network.splits_per_million = 500_000;
    scenario.compression = vec![Compression::S2(S2Level::Best), Compression::Accept];
    let change = |node, mode| Change::Configure(NodeId(node), vec![Setting::Compression(mode)]);
    scenario.changes = vec![
        (3 * SECOND, change(0, Compression::S2(S2Level::Fast))),
        (6 * SECOND, change(1, Compression::Off)),
        (9 * SECOND, change(1, Compression::S2(S2Level::Better))),
    ];
    let mut world = scenario.build(Lines::Dropped);
    for (second, modes) in [
        (2, ["s2_best", "s2_best"]),
        (5, ["s2_fast", "s2_best"]),
        (8, ["-", "-"]),
        (12, ["s2_fast", "s2_better"]),
    ] {
        world.run_for(SECOND * second - world.now().since(onehop::Instant::ZERO)).expect("no rule is broken");
        assert_eq!(
            [written(&world, 0), written(&world, 1)],
            modes.map(|mode| vec![mode]),
            "after {second} s"
        );
    }
    must_hold(&scenario);
}
