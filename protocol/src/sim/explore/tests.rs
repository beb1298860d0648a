//! The same orders, followed one by one in the world itself, which knows nothing of states that are the same.

use std::collections::BTreeSet;

use super::*;
use crate::sim::scenario::{Member, Scenario};
use crate::sim::topology::Topology;
use crate::sim::trace::Lines;

/// What can arrive next in a world.
fn arrivals(world: &World) -> Vec<Arrival> {
    let can_come = |due: &Due| match due {
        Due::Arrive(from) => world.network.is_open(from.other()),
        _ => true,
    };
    let due: BTreeSet<Due> = world.network.due().filter(can_come).collect();
    due.into_iter().filter_map(|due| world.arrival(due)).collect()
}

/// Follows all orders that begin with this one, which led to this world, and notes what the nodes are at their ends;
/// returns how many there are.
fn follow_one_by_one(
    world: World,
    order: &mut Vec<Arrival>,
    build: &impl Fn() -> World,
    ends: &mut BTreeSet<Vec<u128>>,
) -> u128 {
    let next = arrivals(&world);
    if next.is_empty() {
        ends.insert(nodes_of(&world));
        return 1;
    }
    let mut world = Some(world);
    let mut orders = 0;
    for arrival in next {
        let mut world = world.take().unwrap_or_else(|| {
            let mut again = build();
            again.follow(order).expect("no rule is broken");
            again
        });
        world.follow(&[arrival]).expect("no rule is broken");
        order.push(arrival);
        orders += follow_one_by_one(world, order, build, ends);
        order.pop();
    }
    orders
}

fn nodes_of(world: &World) -> Vec<u128> {
    (0..world.nodes.len()).map(|node| world.cluster_digest(NodeId(node))).collect()
}

/// Of two nodes only: with three these are millions.
#[test]
fn as_many_orders_are_followed_as_there_are_and_to_the_same_ends() {
    let member = |pool_size, heals| Member { pool_size, heals, is_behind_nat: false };
    for (nodes, topology, member) in
        [(2, Topology::Full, member(None, false)), (2, Topology::Chain, member(Some(1), true))]
    {
        let scenario = Scenario::new(7, nodes, topology, member);
        let build = || scenario.start_at_once(Lines::Dropped);
        let mut found = BTreeSet::new();
        let check = |world: &mut World| {
            found.insert(nodes_of(world));
            Ok(Verdict::Good)
        };
        let explored = explore(build, usize::MAX, check, |_| {}).expect("no rule is broken");
        let mut ends = BTreeSet::new();
        let orders = follow_one_by_one(build(), &mut Vec::new(), &build, &mut ends);
        assert_eq!((explored.orders, &found), (Some(orders), &ends), "{nodes} {topology} {member:?}");
    }
}
