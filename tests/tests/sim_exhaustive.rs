//! Small clusters in every order in which things can arrive.

use std::time::Duration;

use onehop::sim::{
    Explored, Member, NetworkConfig, NodeId, Rule, Scenario, Topology, Violation, World, explore,
};

/// Nodes that start at once, in a network that neither splits nor merges writes.
fn world(topology: Topology, nodes: usize, pool_size: Option<u16>) -> World {
    let member = Member { pool_size, ..Member::GO_LIKE };
    let mut scenario = Scenario::new(7, nodes, topology, member);
    scenario.network =
        NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
    let mut world = scenario.build(false);
    for node in 0..nodes {
        world.start(NodeId(node));
    }
    world
}

/// However the first moments went, the mesh is whole soon after, and messages go through it.
fn becomes_whole(world: &mut World) -> Result<(), Violation> {
    let whole = world.run_until_whole(Duration::from_secs(30))?;
    if whole.is_none() {
        let text = format!("{:?} are not connected", world.missing_pairs());
        return Err(Violation { rule: Rule::Convergence, text, at: world.now() });
    }
    let clients: Vec<_> =
        (0..world.node_count()).filter_map(|node| world.connect(NodeId(node), true)).collect();
    for client in &clients {
        world.subscribe(*client, "a", None, false);
    }
    world.run_for(Duration::from_secs(1))?;
    let messages: Vec<_> = clients.iter().filter_map(|client| world.publish(*client, "a", 0)).collect();
    world.run_for(Duration::from_secs(1))?;
    messages.into_iter().try_for_each(|message| world.check_delivery(message))?;
    world.check_settled()
}

fn follow(topology: Topology, nodes: usize, pool_size: Option<u16>, limit: usize) -> Explored {
    match explore(|| world(topology, nodes, pool_size), limit, becomes_whole) {
        Ok(explored) => explored,
        Err(bad) => panic!("{} after the choices {:?}", bad.violation, bad.choices),
    }
}

#[test]
fn two_nodes_that_dial_each_other_without_pools_connect_in_every_order_of_arrivals() {
    let explored = follow(Topology::Ring, 2, None, 100_000);
    assert!(explored.is_complete, "{explored:?}");
    assert!(explored.ends > 1, "{explored:?}");
    println!("{explored:?}");
}

#[test]
fn two_nodes_of_which_one_dials_connect_in_every_order_of_arrivals() {
    for pool_size in [None, Some(1), Some(2)] {
        let explored = follow(Topology::Chain, 2, pool_size, 20_000);
        assert!(explored.is_complete, "{explored:?} {pool_size:?}");
        println!("{explored:?} {pool_size:?}");
    }
}

#[test]
fn two_nodes_that_dial_each_other_with_pools_connect_in_many_orders_of_arrivals() {
    let explored = follow(Topology::Ring, 2, Some(1), 20_000);
    assert!(explored.ends > 0, "{explored:?}");
    println!("{explored:?}");
}
