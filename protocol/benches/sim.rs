//! Simulated clusters, from their start to a full mesh with pools of three.
//!
//! Run with `cargo bench -p onehop --features sim --bench sim`. For larger ones see the example `converge`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use onehop::sim::{Lines, NetworkConfig, NodeSpec, Topology, World};

/// Lets a cluster in which all know only the first become whole, and returns how long it took in virtual time.
fn converge(seed: u64, nodes: usize) -> Duration {
    let mut world = World::new(seed, NetworkConfig::default(), Lines::Dropped);
    let routes = Topology::Seed.routes(nodes, &mut Rng::with_seed(seed));
    let ids: Vec<_> =
        routes.into_iter().map(|routes| world.add_node(NodeSpec::new(Some(3)).joining(routes))).collect();
    ids.into_iter().for_each(|id| world.start(id));
    let whole = world.run_until_whole(Duration::from_secs(60)).expect("no rule is broken");
    whole.expect("it becomes whole within a minute")
}

fn clusters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clusters_to_full_mesh");
    group.throughput(Throughput::Elements(1));
    for nodes in [3, 20] {
        let mut seed = 0;
        group.bench_function(format!("{nodes}_nodes"), |bencher| {
            bencher.iter(|| {
                seed += 1;
                black_box(converge(seed, nodes))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, clusters);
criterion_main!(benches);
