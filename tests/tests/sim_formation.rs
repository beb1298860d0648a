//! How soon simulated nodes are a full mesh, pools included, where nothing fails.

use std::time::Duration;

use onehop::sim::{Lines, NetworkConfig, NodeSpec, Topology, World};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Nodes with pools of three that start at these times and are configured to find each other like this.
fn world(seed: u64, topology: Topology, latency: Duration, starts: &[Duration]) -> World {
    let network = NetworkConfig { latency, jitter: latency, ..NetworkConfig::default() };
    let mut world = World::new(seed, network, Lines::Dropped);
    let routes = topology.routes(starts.len(), &mut fastrand::Rng::with_seed(seed));
    for (start, routes) in starts.iter().zip(routes) {
        let id = world.add_node(NodeSpec::new(Some(3)).joining(routes));
        world.start_after(id, *start);
    }
    world
}

/// How long the mesh takes to become whole from the moment when the last node starts.
fn whole_after(world: &mut World, last_start: Duration) -> Duration {
    world.run_for(last_start).expect("no rule is broken");
    let whole = world.run_until_whole(Duration::from_secs(30)).expect("no rule is broken");
    whole.expect("it becomes a mesh")
}

/// No step of it waits for one of the looks that are taken every second: design.md 5.
#[test]
fn fifty_nodes_that_start_at_once_are_a_mesh_within_a_second_or_five_over_a_slow_network() {
    let limits = [(MILLISECOND, Duration::from_secs(1)), (50 * MILLISECOND, Duration::from_secs(5))];
    for topology in [Topology::Chain, Topology::Seed] {
        for (latency, limit) in limits {
            let mut world = world(1, topology, latency, &[Duration::ZERO; 50]);
            let whole = whole_after(&mut world, Duration::ZERO);
            let statistics = world.statistics();
            assert!(whole <= limit, "{topology}, {latency:?}: {whole:?}");
            assert!(statistics.duplicates <= 20, "{topology}, {latency:?}: {statistics:?}");
            let pairs = 50 * 49 / 2;
            assert!(statistics.dials <= 4 * pairs + pairs / 20, "{topology}, {latency:?}: {statistics:?}");
        }
    }
}

/// Client libraries test with three servers, and allow half a second for the third. Whichever of the other two ids say that it
/// dials, or that it is dialed by, it need not wait.
#[test]
fn a_third_node_has_its_routes_at_once_whoever_dials() {
    let start = Duration::from_secs(10);
    for topology in [Topology::Chain, Topology::Seed] {
        for seed in 0..16 {
            let mut world = world(seed, topology, MILLISECOND, &[Duration::ZERO, Duration::ZERO, start]);
            let whole = whole_after(&mut world, start);
            assert!(whole <= 100 * MILLISECOND, "{topology}, seed {seed}: {whole:?}");
        }
    }
}

/// The pauses double, so that each is about as long as all before it together.
#[test]
fn a_configured_node_that_starts_late_is_found_after_as_long_as_it_was_late_at_most() {
    for late in [20, 50, 100, 300, 700].map(Duration::from_millis) {
        for seed in 0..8 {
            let mut world =
                world(seed, Topology::Chain, MILLISECOND, &[late, Duration::ZERO, Duration::ZERO]);
            let whole = whole_after(&mut world, late);
            assert!(whole <= late + 150 * MILLISECOND, "{late:?}, seed {seed}: {whole:?}");
        }
    }
}
