//! The index of interest: collecting matches, changing it, and its memory.
//!
//! Run with `cargo bench -p onehop --bench interest`. Bytes per subscription are printed first.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use onehop::ConnectionId;
use onehop::interest::{Change, Index, Matches, Source, Subscription, SubscriptionId};

/// The system's allocator, counting the bytes that were asked for and not given back.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; `realloc` falls back to these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` got it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The filter of the n-th subscription.
type MakeSubject = fn(u64) -> String;

fn quiet(_: &[ConnectionId], _: Change<'_>) {}

fn subscription(id: u64, subject: &str, queue: &str) -> Arc<Subscription> {
    let connection = ConnectionId::new(1, 1);
    let (subject, queue) = (subject.as_bytes(), queue.as_bytes());
    Arc::new(Subscription::new(SubscriptionId(id), connection, Source::Client, subject, queue, b"1"))
}

fn subscriptions(count: u64, subject: impl Fn(u64) -> String) -> Vec<Arc<Subscription>> {
    (0..count).map(|id| subscription(id, &subject(id), "")).collect()
}

fn index_of(subs: &[Arc<Subscription>]) -> Index {
    let index = Index::new(1);
    subs.iter().for_each(|sub| index.insert(Arc::clone(sub), &mut quiet));
    index
}

fn orders(id: u64) -> String {
    format!("orders.{}.item.{id}", id % 100)
}

fn inbox(id: u64) -> String {
    format!("_INBOX.{:022}.*", id * 7919)
}

fn memory(_: &mut Criterion) {
    let count = 500_000;
    let shapes: [(&str, MakeSubject); 5] = [
        ("literal orders.N.item.M", orders),
        ("literal, one token", |id| format!("s{id}")),
        ("inbox _INBOX.N.*", inbox),
        ("wildcard device.N.*.status", |id| format!("device.{id}.*.status")),
        ("tail site.N.>", |id| format!("site.{id}.>")),
    ];
    for (name, subject) in shapes {
        let before = ALLOCATED.load(Ordering::Relaxed);
        let subs = subscriptions(count, subject);
        let without = ALLOCATED.load(Ordering::Relaxed);
        let index = index_of(&subs);
        let with = ALLOCATED.load(Ordering::Relaxed);
        let per_sub = |bytes: usize| bytes / count as usize;
        println!(
            "{name}: {} B in the index, {} B itself",
            per_sub(with - without),
            per_sub(without - before)
        );
        index.remove_all(subs, &mut quiet);
        let left = ALLOCATED.load(Ordering::Relaxed) - before;
        println!("    {left} B in all after everybody left");
    }
    let before = ALLOCATED.load(Ordering::Relaxed);
    let _empty = Index::new(1);
    println!("an empty index: {} B", ALLOCATED.load(Ordering::Relaxed) - before);
}

fn collect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("collect");
    let mut matches = Matches::default();
    for count in [1_000, 100_000] {
        let mut subs = subscriptions(count, orders);
        let subjects: Vec<_> = (0..count).map(|id| orders(id * 7919 % count)).collect();
        let mut bench = |name: &str, index: &Index| {
            let mut subject = subjects.iter().cycle();
            group.bench_function(format!("{name}/{count}"), |bencher| {
                bencher.iter(|| {
                    matches.clear();
                    index.collect(subject.next().expect("it cycles").as_bytes(), &mut matches);
                    matches.plain.len()
                });
            });
        };
        bench("literal", &index_of(&subs));
        for (id, filter) in (count..).zip([">", "orders.>", "orders.*.item.*", "*.1.item.*", "orders.1.*.*"])
        {
            subs.push(subscription(id, filter, ""));
        }
        bench("literal_and_5_wildcards", &index_of(&subs));
        let inboxes = index_of(&subscriptions(count, inbox));
        let mut subject = (0..count).cycle().map(|id| inbox(id * 7919 % count).replace('*', "17"));
        group.bench_function(format!("inbox_wildcard/{count}"), |bencher| {
            bencher.iter_batched(
                || subject.next().expect("it cycles"),
                |subject| {
                    let mut matches = Matches::default();
                    inboxes.collect(subject.as_bytes(), &mut matches);
                    matches.plain.len()
                },
                BatchSize::SmallInput,
            );
        });
    }
    let members: Vec<_> = (0..100).map(|id| subscription(id, "work", ["a", "b"][id as usize % 2])).collect();
    let index = index_of(&members);
    group.bench_function("2_groups_of_50", |bencher| {
        bencher.iter(|| {
            matches.clear();
            index.collect(b"work", &mut matches);
            matches.queues.len()
        });
    });
    group.finish();
}

fn validate(criterion: &mut Criterion) {
    let index = index_of(&subscriptions(1_000, orders));
    let stamp = index.stamp(b"orders.1.item.1");
    criterion.bench_function("is_current", |bencher| bencher.iter(|| index.is_current(black_box(stamp))));
    criterion.bench_function("stamp", |bencher| {
        bencher.iter(|| index.stamp(black_box(b"orders.1.item.1".as_slice())))
    });
}

fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert_and_remove");
    for count in [1_000, 100_000] {
        for (name, subject) in [("literal", orders as MakeSubject), ("wildcard", inbox)] {
            let index = index_of(&subscriptions(count, subject));
            let more = subscription(count, &subject(count), "");
            group.bench_function(format!("{name}/{count}"), |bencher| {
                bencher.iter(|| {
                    index.insert(Arc::clone(&more), &mut quiet);
                    index.remove(&more, &mut quiet)
                });
            });
        }
    }
    let subs = subscriptions(100_000, |_| "busy".to_owned());
    group.sample_size(10);
    group.bench_function("100000_of_one_subject", |bencher| {
        bencher.iter(|| {
            let index = index_of(&subs);
            subs.iter().filter(|sub| index.remove(sub, &mut quiet)).count()
        });
    });
    group.bench_function("100000_at_once", |bencher| {
        let subs = subscriptions(100_000, orders);
        bencher.iter(|| index_of(&subs).remove_all(subs.clone(), &mut quiet));
    });
    group.finish();
}

criterion_group!(benches, memory, collect, validate, change);
criterion_main!(benches);
