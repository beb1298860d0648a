//! All orders in which things can arrive, for worlds that are small enough.
//!
//! What a node does follows from what it has heard, in which order. Two orders that differ only in how the inputs of
//! different nodes are mixed lead to the same state, and are followed once.

use std::collections::BTreeSet;

use super::invariants::Violation;
use super::node::NodeId;
use super::stream::{Side, StreamId};
use super::world::{Event, World};
use crate::time::Instant;

/// What was explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    /// Different states that were seen.
    pub states: usize,
    /// Orders that were followed to where nothing is on its way any more.
    pub ends: usize,
    /// Whether these are all there are.
    pub is_complete: bool,
}

/// An order of arrivals that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrder {
    /// The rule.
    pub violation: Violation,
    /// At each step, which of the possible arrivals was chosen.
    pub choices: Vec<usize>,
}

/// Follows every order of arrivals in the world that `build` makes, as long as no timer is needed, and calls `check` where
/// nothing is on its way any more. Ends after `limit` states.
///
/// `build` must make the same world each time; it is made anew for each order. Splits, merges and losses of the network
/// would hide orders from each other, and should be off.
pub fn explore(
    build: impl Fn() -> World,
    limit: usize,
    mut check: impl FnMut(&mut World) -> Result<(), Violation>,
) -> Result<Explored, BadOrder> {
    let mut seen = BTreeSet::new();
    let mut explored = Explored { states: 0, ends: 0, is_complete: false };
    let mut path: Vec<Choice> = Vec::new();
    loop {
        let mut world = build();
        world.histories = Some(vec![0; world.nodes.len()]);
        let bad = |violation, path: &[Choice]| BadOrder {
            violation,
            choices: path.iter().map(|it| it.taken).collect(),
        };
        for choice in &path {
            let possible = world.arrivals();
            world.take(possible[choice.taken]).map_err(|violation| bad(violation, &path))?;
        }
        loop {
            if !seen.insert(world.state()) {
                break;
            }
            explored.states += 1;
            let possible = world.arrivals();
            if possible.is_empty() {
                explored.ends += 1;
                check(&mut world).map_err(|violation| bad(violation, &path))?;
                break;
            }
            path.push(Choice { taken: 0, of: possible.len() });
            world.take(possible[0]).map_err(|violation| bad(violation, &path))?;
        }
        while path.last().is_some_and(|last| last.taken + 1 == last.of) {
            path.pop();
        }
        let Some(last) = path.last_mut() else {
            explored.is_complete = true;
            return Ok(explored);
        };
        last.taken += 1;
        if explored.states >= limit {
            return Ok(explored);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    taken: usize,
    of: usize,
}

impl World {
    /// What can happen next: the next arrival in each pipe, the next step of each dial.
    fn arrivals(&self) -> Vec<(Instant, u64)> {
        let mut pipes: BTreeSet<(StreamId, Side)> = BTreeSet::new();
        let next = self.queue.iter().filter(|(_, event)| match event {
            Event::Arrive(stream, side) => {
                let pipe = self.streams.get(*stream).map(|stream| &stream.pipes[*side]);
                pipe.is_some_and(|pipe| !pipe.segments.is_empty()) && pipes.insert((*stream, *side))
            }
            _ => !event.is_timer(),
        });
        next.map(|(key, _)| *key).collect()
    }

    fn take(&mut self, key: (Instant, u64)) -> Result<(), Violation> {
        if let Some(event) = self.queue.take(key) {
            self.handle(event);
        }
        self.verdict()
    }

    /// Tells states apart by what each node heard.
    fn state(&self) -> Vec<u64> {
        self.histories.clone().unwrap_or_default()
    }

    /// Notes what a node hears, if anybody wants to know.
    pub(super) fn note_input(&mut self, id: NodeId, label: u64, bytes: &[u8]) {
        if let Some(histories) = &mut self.histories {
            let sum = bytes.iter().fold(label, |sum, byte| mix(sum, u64::from(*byte)));
            histories[id.0] = mix(histories[id.0], sum);
        }
    }
}

fn mix(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95)
}
