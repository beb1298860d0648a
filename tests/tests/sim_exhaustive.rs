//! Small clusters in every order in which things can arrive.
//!
//! What is too large for here is followed to its end by
//! `cargo run --release -p onehop-tests --bin orders -- --nodes 3 --topology ring --pool 1 --healing on`.

use onehop::sim::{Explored, Member, Scenario, Topology};

/// Kinds of nodes: with and without pools, with the healing rules and like the Go server.
fn members(pool_sizes: &[Option<u16>]) -> impl Iterator<Item = Member> {
    let members = |&pool_size| [true, false].map(|heals| Member { pool_size, heals, is_behind_nat: false });
    pool_sizes.iter().flat_map(members)
}

/// Follows every order in which such nodes can connect; in each the mesh becomes whole.
fn follow(nodes: usize, topology: Topology, member: Member, limit: usize) -> Explored {
    let scenario = Scenario::new(7, nodes, topology, member);
    let explored = match scenario.explore(limit, |_| {}) {
        Ok(explored) => explored,
        Err(bad) => {
            let order: Vec<_> = bad.order.iter().map(ToString::to_string).collect();
            panic!("{member:?}: {} in the order\n{}", bad.violation, order.join("\n"));
        }
    };
    println!("{nodes} nodes, {topology}, {member:?}: {explored:?}");
    explored
}

/// The same where all orders are followed; returns how many there are.
fn follow_all(nodes: usize, topology: Topology, member: Member) -> u128 {
    let explored = follow(nodes, topology, member, usize::MAX);
    assert!(explored.is_complete, "{explored:?}");
    assert_eq!(explored.wanting_orders, 0, "{member:?} {explored:?}");
    explored.orders
}

#[test]
fn two_nodes_of_which_one_dials_connect_in_every_order_of_arrivals() {
    // The dialer's INFO and the acceptor's may arrive in either order, and that is all.
    assert_eq!(follow_all(2, Topology::Chain, Member { pool_size: None, ..Member::GO_LIKE }), 2);
    for member in members(&[None, Some(1), Some(2)]) {
        assert!(follow_all(2, Topology::Chain, member) > 1);
    }
}

#[test]
fn two_nodes_that_dial_each_other_connect_in_every_order_of_arrivals() {
    for member in members(&[None, Some(1)]) {
        assert!(follow_all(2, Topology::Full, member) > 100);
    }
}

#[test]
fn three_nodes_connect_in_every_order_of_arrivals() {
    for topology in [Topology::Seed, Topology::Chain, Topology::Star] {
        for member in members(&[None, Some(1)]) {
            assert!(follow_all(3, topology, member) > 100);
        }
    }
}

#[test]
fn three_nodes_in_a_ring_without_pools_connect_in_every_order_of_arrivals() {
    for member in members(&[None]) {
        assert!(follow_all(3, Topology::Ring, member) > 100_000_000);
    }
}

#[test]
fn three_nodes_in_a_ring_with_pools_and_three_that_all_dial_each_other_connect_in_many_orders_of_arrivals() {
    let cases = [(Topology::Ring, Some(1)), (Topology::Full, None), (Topology::Full, Some(1))];
    for (topology, pool_size) in cases {
        for member in members(&[pool_size]) {
            let explored = follow(3, topology, member, 8_000);
            assert!(explored.ends > 0 && explored.wanting_ends == 0, "{explored:?}");
        }
    }
}
