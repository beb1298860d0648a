//! What a drawn world has besides nodes, faults and clients: connections that go on in frames.

use std::time::Duration;

use fastrand::Rng;

use super::change::Change;
use super::scenario::{Scenario, draw_time};

/// How much a world has that most worlds do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variety {
    /// Nothing: all connections stay plain.
    None,
    /// Each kind in some worlds, and most have none.
    Some,
    /// Each kind in each world.
    All,
}

impl Variety {
    /// Whether a world has one kind.
    fn has(self, rng: &mut Rng) -> bool {
        // Asked in any case, so that what follows is the same.
        let is_drawn = rng.u8(..6) == 0;
        match self {
            Self::None => false,
            Self::Some => is_drawn,
            Self::All => true,
        }
    }
}

/// Adds to what was drawn, from a random stream of its own: without it the world is the same as if there were no such things.
pub(super) fn vary(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x7661_7269_6574_79);
    if variety.has(&mut rng.fork()) {
        draw_transport(&mut rng.fork(), scenario);
    }
    scenario.changes.sort_by_key(|(at, _)| *at);
}

/// Frames from the start or from some moment on; perhaps not for ever, or with another key in the end.
fn draw_transport(rng: &mut Rng, scenario: &mut Scenario) {
    let from = if rng.bool() { Duration::ZERO } else { draw_time(rng, scenario.faulty_for) };
    let changes = &mut scenario.changes;
    changes.push((from, Change::Transport(Some(rng.u64(..)))));
    if rng.u8(..3) == 0 {
        let until = draw_time(rng, scenario.faulty_for).max(from);
        changes.push((until, Change::Transport(rng.bool().then(|| rng.u64(..)))));
    }
}
