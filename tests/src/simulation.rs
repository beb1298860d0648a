//! What the tests of simulated clusters do alike.

use onehop::sim::{Lines, Scenario};

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
