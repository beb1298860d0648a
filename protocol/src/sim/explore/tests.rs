//! The same orders, followed one by one in the world itself, which knows nothing of states that are the same.

use std::collections::BTreeSet;

use super::*;
use crate::sim::scenario::{Member, Scenario};
use crate::sim::stream::{ACCEPTOR, End, Side};
use crate::sim::topology::Topology;

/// What can arrive next in a world.
fn arrivals(world: &World) -> Vec<Arrival> {
    let attempts = world.queue.iter().filter_map(|(_, event)| match event {
        Event::Reach(attempt) => Some(Arrival { label: attempt.label, what: What::Reach }),
        Event::Establish(attempt, _) => Some(Arrival { label: attempt.label, what: What::Establish }),
        _ => None,
    });
    let pipes = world.streams.iter().flat_map(|(_, stream)| {
        let can_arrive = |side: &Side| {
            let is_read = matches!(stream.ends[1 - side], End::Node(..));
            is_read && !stream.pipes[*side].segments.is_empty()
        };
        let sides = [DIALER, ACCEPTOR].into_iter().filter(can_arrive);
        sides.filter_map(|side| Some(Arrival { label: stream.label?, what: What::Arrive(side) }))
    });
    attempts.chain(pipes).collect()
}

/// Follows all orders that begin with this one, and notes what the nodes are at their ends; returns how many there are.
fn follow_one_by_one(
    build: &impl Fn() -> World,
    order: &mut Vec<Arrival>,
    ends: &mut BTreeSet<Vec<u128>>,
) -> u128 {
    let mut world = build();
    world.follow(order).expect("no rule is broken");
    let next = arrivals(&world);
    if next.is_empty() {
        ends.insert((0..world.nodes.len()).map(|node| world.cluster_digest(NodeId(node))).collect());
        return 1;
    }
    let mut orders = 0;
    for arrival in next {
        order.push(arrival);
        orders += follow_one_by_one(build, order, ends);
        order.pop();
    }
    orders
}

#[test]
fn as_many_orders_are_followed_as_there_are_and_to_the_same_ends() {
    let member = |pool_size, heals| Member { pool_size, heals, is_behind_nat: false };
    for (nodes, topology, member) in
        [(2, Topology::Full, member(None, false)), (3, Topology::Seed, member(None, true))]
    {
        let scenario = Scenario::new(7, nodes, topology, member);
        let build = || scenario.start_at_once(false);
        let mut found = BTreeSet::new();
        let check = |world: &mut World| {
            let locals = (0..nodes).map(|node| world.cluster_digest(NodeId(node)));
            found.insert(locals.collect::<Vec<_>>());
            Ok(Verdict::Good)
        };
        let explored = explore(build, usize::MAX, check, |_| {}).expect("no rule is broken");
        let mut ends = BTreeSet::new();
        let orders = follow_one_by_one(&build, &mut Vec::new(), &mut ends);
        assert_eq!((explored.orders, &found), (orders, &ends), "{nodes} {topology} {member:?}");
    }
}
