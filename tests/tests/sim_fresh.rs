//! Random clusters that nobody has seen yet: each run draws other seeds and prints the first of them. `ONEHOP_FIRST_SEED`
//! repeats a run, and `sim --faults heavy --nodes 2..8 --healing <on or mixed> --seed <seed>` shows one of its worlds.

use std::io::Write as _;

use onehop::sim::{Drawing, FaultLevel, Healing, Scenario};
use onehop_tests::simulation::must_hold;

/// So many worlds of each kind, which take some seconds. Very many more are for `sim`.
const WORLDS: u64 = 20;

fn fresh_worlds_hold(healing: Healing) {
    let first = std::env::var("ONEHOP_FIRST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    // Few digits, to be typed.
    let first = first.unwrap_or_else(|| fastrand::u64(1_000_000_000..1_000_000_000_000));
    let last = first + (WORLDS - 1);
    // Not by a macro, whose lines are shown of a test that fails only.
    let _ = writeln!(std::io::stderr(), "fresh worlds, healing {healing:?}: seeds {first} to {last}");
    let drawing = Drawing { nodes: 2..=8, faults: FaultLevel::Heavy, healing, ..Drawing::default() };
    (first..=last).for_each(|seed| must_hold(&Scenario::draw(seed, &drawing)));
}

#[test]
fn fresh_clusters_of_nodes_that_heal_keep_the_rules_and_become_whole() {
    fresh_worlds_hold(Healing::On);
}

#[test]
fn fresh_clusters_of_which_some_heal_keep_the_rules_and_become_whole_where_that_is_promised() {
    fresh_worlds_hold(Healing::Mixed);
}
