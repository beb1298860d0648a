//! A message's whole way through a node: parsed, matched, delivered into outboxes, drained.
//!
//! Run with `cargo bench -p onehop --bench engine`. The throughput shown is in delivered messages: its inverse is the time
//! for one.

mod paths;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paths::{Batch, OneNode, OneRoute};

fn one_node(c: &mut Criterion) {
    for bytes in [16, 128, 1024] {
        measure(c, &format!("one to one, {bytes} B"), OneNode::new(1, "foo.bar", Batch::of(bytes)));
    }
    measure(c, "1,000 denied, 16 B", OneNode::with_denied_subjects(Batch::of(16)));
    measure(c, "stream import, 16 B", OneNode::with_stream_import(Batch::of(16)));
    measure(c, "service import, 16 B", OneNode::with_service_import(Batch::of(16)));
    measure(c, "fan-out to 10, 128 B", OneNode::new(10, "foo.bar", Batch::of(128)));
    let subjects = |message: usize| format!("orders.{}.new", message * 7 % 1000);
    measure(c, "1000 subjects, 128 B", OneNode::new(1, "orders.*.new", Batch::to(128, subjects)));
}

fn measure(c: &mut Criterion, name: &str, mut node: OneNode) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(node.deliveries() as u64));
    group.bench_function(name, |bench| bench.iter(|| node.carry()));
    group.finish();
}

fn across_one_route(c: &mut Criterion) {
    for bytes in [16, 128, 1024] {
        let mut route = OneRoute::new(Batch::of(bytes));
        let mut group = c.benchmark_group("engine");
        group.throughput(Throughput::Elements(route.deliveries() as u64));
        group.bench_function(format!("across one route, {bytes} B"), |bench| bench.iter(|| route.carry()));
        group.finish();
    }
}

criterion_group!(benches, one_node, across_one_route);
criterion_main!(benches);
