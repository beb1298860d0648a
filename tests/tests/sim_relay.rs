//! Simulated clusters in which not all can reach each other: what two of them say to each other passes through a third
//! (design.md 5, wire.md 14.7).

use std::time::Duration;

use onehop::config::ClusterConfig;
use onehop::sim::{ClientId, Fault, Lines, NetworkConfig, NodeId, NodeSpec, Topology, World};
use onehop_tests::simulation::all_hear_all;

const SECOND: Duration = Duration::from_secs(1);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Nodes of a chain that let circuits pass, each with a client. They are not started.
fn world(seed: u64, nodes: usize, adjust: impl Fn(&mut ClusterConfig)) -> (World, Vec<ClientId>) {
    let mut world = World::new(seed, NetworkConfig::default(), Lines::Kept);
    let routes = Topology::Chain.routes(nodes, &mut fastrand::Rng::with_seed(seed));
    for routes in routes {
        let mut spec = NodeSpec::new(Some(3)).joining(routes);
        let cluster = spec.config.cluster.as_mut().expect("simulated nodes are in a cluster");
        cluster.relay.is_on = true;
        adjust(cluster);
        world.add_node(spec);
    }
    (world, Vec::new())
}

#[test]
fn two_that_cannot_reach_each_other_hear_each_other_through_a_third() {
    let (mut world, _) = world(1, 3, |_| {});
    world.fault(Fault::Cut(NodeId(0), NodeId(2), FOR_EVER));
    for node in 0..3 {
        world.start(NodeId(node));
    }
    let whole = world.run_until_whole(30 * SECOND).unwrap_or(None);
    if whole.is_none() {
        for line in world.trace().lines().iter().rev().take(120).rev() {
            println!("{line}");
        }
        panic!();
    }
    let clients: Vec<_> = (0..3).map(|node| world.connect(NodeId(node), true).unwrap()).collect();
    all_hear_all(&mut world, &clients, &[0, 100, 100_000]);
}
