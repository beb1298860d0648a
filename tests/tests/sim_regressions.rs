//! Random clusters that broke a rule once, in the program or in what was promised of it.

use onehop::sim::{Drawing, FaultLevel, Healing, Lines, Scenario, Variety};
use onehop_tests::simulation::must_hold;

/// Seeds of [`Scenario::draw`] for up to six nodes, what may go wrong, who heals, and what was found. There was no more than
/// [`Drawing::plain`] in a world when these were found.
const ONCE_BROKEN: [(u64, FaultLevel, Healing, &str); 9] = [
    (
        1571,
        FaultLevel::Heavy,
        Healing::Mixed,
        "a configured name was given up for an address that was heard of",
    ),
    (2376, FaultLevel::Light, Healing::On, "several servers behind one name are dialed at once"),
    (336, FaultLevel::None, Healing::Mixed, "distant nodes that dial each other were whole for a moment"),
    (668, FaultLevel::None, Healing::Mixed, "the same"),
    (743, FaultLevel::Heavy, Healing::Mixed, "the same"),
    (1085, FaultLevel::Heavy, Healing::Mixed, "the same"),
    (1218, FaultLevel::Heavy, Healing::Mixed, "the only node that heals left"),
    (1514, FaultLevel::None, Healing::Off, "distant nodes that do not heal dial each other again and again"),
    (52, FaultLevel::None, Healing::On, "nodes that all are configured to dial all others"),
];

#[test]
fn what_was_broken_once_is_not_again() {
    for (seed, faults, healing, what) in ONCE_BROKEN {
        let scenario = Scenario::draw(seed, &Drawing { nodes: 1..=6, faults, healing, ..Drawing::plain() });
        println!("{seed}: {what}");
        must_hold(&scenario);
    }
}

/// What is kept to be dialed counted servers, and a server that an answer names is looked for at several ports.
#[test]
fn who_knows_servers_only_by_an_answer_may_look_for_each_at_several_ports() {
    must_hold(&Scenario::draw(60_002_596, &mixed()));
}

/// A server that moved while a connection from its former place was not known to be dead was looked for there.
#[test]
fn nobody_is_looked_for_where_it_was_before_it_moved() {
    must_hold(&Scenario::draw(70_047_061, &mixed()));
}

/// As [`what_was_broken_once_is_not_again`], of larger clusters with all that there may be in a world.
#[test]
fn what_was_broken_once_of_larger_clusters_is_not_again() {
    for seed in [7_001_776, 8_011_628, 9_002_697, 54_635, 60_002_377, 60_007_107] {
        must_hold(&Scenario::draw(seed, &mixed()));
    }
}

fn mixed() -> Drawing {
    let (faults, healing) = (FaultLevel::Heavy, Healing::Mixed);
    Drawing { nodes: 2..=8, faults, healing, variety: Variety::Some, ..Drawing::plain() }
}

#[test]
fn a_route_that_is_configured_no_more_in_the_middle_of_its_handshake_is_no_configured_one() {
    let drawing = Drawing { faults: FaultLevel::Heavy, variety: Variety::All, ..Drawing::plain() };
    assert_eq!(Scenario::draw(476, &drawing).run(Lines::Dropped).violation, None);
}

/// Larger ones, of which each takes a while.
#[test]
fn random_large_clusters_become_whole_after_faults() {
    for faults in [FaultLevel::None, FaultLevel::Light, FaultLevel::Heavy] {
        let drawing = Drawing { nodes: 12..=16, faults, ..Drawing::plain() };
        let violation = Scenario::draw(0, &drawing).run(Lines::Dropped).violation;
        assert_eq!(violation, None, "{faults:?}");
    }
}
