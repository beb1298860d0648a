//! What the tests of simulated clusters do alike.

use std::time::Duration;

use onehop::sim::{ClientId, Lines, Scenario, World};

/// Fails with what a reader needs to see the fault, if a scenario breaks a rule.
///
/// # Panics
///
/// It breaks one.
pub fn must_hold(scenario: &Scenario) {
    let Some(violation) = scenario.run(Lines::Dropped).violation else {
        return;
    };
    let small = scenario.shrunk(violation.rule, 100);
    let trace = small.run(Lines::Kept).trace.join("\n");
    panic!("{violation}\nthe smallest that was found: {small:#?}\n{trace}\nseed {}", scenario.seed);
}

/// Has every client subscribe to "a.>" and publish a message of each size, and lets all hear all of them.
///
/// # Panics
///
/// One of them misses a message or is told of an error, the world does not settle, or its trace, which is to be kept, lacks
/// messages.
pub fn all_hear_all(world: &mut World, clients: &[ClientId], sizes: &[usize]) {
    for client in clients {
        world.subscribe(*client, "a.>", None, false);
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    for client in clients {
        for size in sizes {
            world.publish(*client, "a.b", *size).unwrap();
        }
    }
    world.run_for(Duration::from_secs(5)).unwrap();
    for client in clients {
        assert_eq!(world.received(*client).len(), clients.len() * sizes.len(), "{client}");
        assert_eq!(world.client(*client).errors(), [""; 0]);
    }
    world.check_settled().unwrap();
    let asks = |verb: &str| world.trace().lines().iter().filter(|line| line.contains(verb)).count();
    assert!(asks("PUB a.b") >= clients.len() * sizes.len(), "what clients say is in the trace in plain text");
}
