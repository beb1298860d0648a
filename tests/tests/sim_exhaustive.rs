//! Small clusters in every order in which things can arrive.
//!
//! What is too large for here is followed to its end by
//! `cargo run --release -p onehop-tests --bin orders -- --nodes 3 --topology ring --pool 1 --healing on`.

use std::collections::BTreeSet;
use std::time::Duration;

use onehop::sim::{Explored, Lines, Member, NodeId, Scenario, Topology, dials_first};

/// Kinds of nodes: with and without pools, with the healing rules and like the Go server.
fn members(pool_sizes: &[Option<u16>]) -> impl Iterator<Item = Member> {
    let members = |&pool_size| [true, false].map(|heals| Member { pool_size, heals, is_behind_nat: false });
    pool_sizes.iter().flat_map(members)
}

/// One seed for each way in which the ids of so many nodes, up to three, can say who dials where either may: in the pair of
/// each node and the next. A ring that is turned is the same. Where nodes do not heal, ids decide nothing.
fn seeds(nodes: usize, topology: Topology, member: Member) -> Vec<u64> {
    let turns = if topology == Topology::Ring { nodes } else { 1 };
    let mut seen = BTreeSet::new();
    let is_new = |seed: &u64| {
        let mut world = Scenario::new(*seed, nodes, topology, Member::HEALING).build(Lines::Dropped);
        world.run_for(Duration::ZERO).expect("they start");
        let id = |node| {
            let engine = world.engine(NodeId(node)).expect("it runs");
            engine.node().hub().server_id().to_owned()
        };
        let dials_next = |node| dials_first(&id(node), &id((node + 1) % nodes));
        let dials: Vec<bool> = (0..nodes).map(dials_next).collect();
        seen.insert((0..turns).map(|turn| [&dials[turn..], &dials[..turn]].concat()).min())
    };
    let ways = (0..200).filter(is_new).collect::<Vec<_>>();
    if member.heals { ways } else { vec![0] }
}

/// Follows every order in which such nodes can connect.
fn follow(seed: u64, nodes: usize, topology: Topology, member: Member, limit: usize) -> Explored {
    let explored = match Scenario::new(seed, nodes, topology, member).explore(limit, |_| {}) {
        Ok(explored) => explored,
        Err(bad) => {
            let order: Vec<_> = bad.order.iter().map(ToString::to_string).collect();
            panic!("seed {seed}, {member:?}: {} in the order\n{}", bad.violation, order.join("\n"));
        }
    };
    println!("seed {seed}, {nodes} nodes, {topology}, {member:?}: {explored:?}");
    assert_eq!(explored.wanting_orders, Some(0), "in these the mesh stays partial: {member:?} {explored:?}");
    explored
}

/// The same where all orders are followed; returns how many there are.
fn follow_all(seed: u64, nodes: usize, topology: Topology, member: Member) -> u128 {
    let explored = follow(seed, nodes, topology, member, usize::MAX);
    assert!(explored.is_complete, "{explored:?}");
    explored.orders.expect("so few can be counted")
}

#[test]
fn two_nodes_of_which_one_dials_connect_in_every_order_of_arrivals() {
    // The dialer's INFO waits for the acceptor's, which says what both make of compression; what they listen to may arrive in either
    // order, and that is all.
    assert_eq!(follow_all(0, 2, Topology::Chain, Member { pool_size: None, ..Member::GO_LIKE }), 2);
    for member in members(&[None, Some(1), Some(2), Some(3)]) {
        assert!(follow_all(0, 2, Topology::Chain, member) > 1);
    }
}

#[test]
fn two_nodes_that_dial_each_other_connect_in_every_order_of_arrivals() {
    for member in members(&[None, Some(1)]) {
        for seed in seeds(2, Topology::Full, member) {
            assert!(follow_all(seed, 2, Topology::Full, member) > 100);
        }
    }
}

#[test]
fn three_nodes_without_pools_of_which_two_or_one_dial_connect_in_every_order_of_arrivals() {
    let numbers = [Topology::Seed, Topology::Ring].map(|it| seeds(3, it, Member::HEALING).len());
    assert_eq!(numbers, [8, 4]);
    for topology in [Topology::Seed, Topology::Chain, Topology::Star] {
        for member in members(&[None]) {
            for seed in seeds(3, topology, member) {
                assert!(follow_all(seed, 3, topology, member) > 100);
            }
        }
    }
}

#[test]
fn three_nodes_without_pools_in_a_ring_connect_in_every_order_of_arrivals() {
    for member in members(&[None]) {
        for seed in seeds(3, Topology::Ring, member) {
            let explored = follow(seed, 3, Topology::Ring, member, 50_000);
            assert!(explored.ends > 0 && explored.is_complete, "{explored:?}");
        }
    }
}

#[test]
fn three_nodes_with_pools_of_which_two_or_one_dial_connect_in_every_order_of_arrivals() {
    for topology in [Topology::Seed, Topology::Chain, Topology::Star] {
        for member in members(&[Some(1)]) {
            assert!(follow_all(0, 3, topology, member) > 1_000_000_000);
        }
    }
}

/// The command above follows all orders of the ring, and of three that all dial each other without pools and healing rules,
/// in a minute or two. With healing rules these have more than forty million states; with pools nobody has counted them.
#[test]
fn three_nodes_that_all_dial_connect_in_many_orders_of_arrivals() {
    let cases = [(Topology::Ring, Some(1)), (Topology::Full, None), (Topology::Full, Some(1))];
    for (topology, pool_size) in cases {
        for member in members(&[pool_size]) {
            let explored = follow(0, 3, topology, member, 5_000);
            assert!(explored.ends > 0, "{explored:?}");
        }
    }
}
