//! A state of the whole world, as far as the order of events goes: the state of each node, and what is between them.

use super::automaton::{Input, LabelId, LocalId, Output, SegmentId};
use super::replica::digest;
use crate::sim::net::{Both, Side};

/// The nodes by their number, and all dials and connections that are not over, sorted.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) locals: Vec<LocalId>,
    wires: Vec<(LabelId, Wire)>,
}

/// A dial on its way, and the connection that it becomes.
#[derive(Clone, Debug, Default)]
struct Wire {
    stage: Stage,
    /// What is on its way from each end, the first first.
    pipes: Both<Vec<Segment>>,
    is_closed: Both<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The host has not heard of it yet.
    #[default]
    Dialed,
    /// The host has, the dialer has not heard so.
    Accepted,
    Open,
}

/// What was written at once, or the end; none if the connection was closed.
type Segment = Option<SegmentId>;

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) label: LabelId,
    pub(super) what: What,
}

/// What happens to a dial or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// It reaches the host.
    Reach,
    /// The dialer hears that it is connected.
    Establish,
    /// What this side wrote first arrives at the other.
    Arrive(Side),
}

impl State {
    /// All nodes just started, with what they dialed.
    pub(super) fn new(nodes: usize, dialed: impl IntoIterator<Item = LabelId>) -> Self {
        let mut state = Self { locals: vec![0; nodes], wires: Vec::new() };
        dialed.into_iter().for_each(|label| state.apply(Output::Dial(label)));
        state
    }

    /// The same for equal states only.
    pub(super) fn digest(&self) -> u128 {
        let mut words = self.locals.clone();
        for (label, wire) in &self.wires {
            let [dialer, acceptor] = wire.is_closed.0.map(u32::from);
            words.extend([*label, wire.stage as u32, dialer, acceptor]);
            for pipe in &wire.pipes.0 {
                words.push(pipe.len() as u32);
                words.extend(pipe.iter().map(|segment| segment.unwrap_or(u32::MAX)));
            }
        }
        digest(&words)
    }

    /// What can happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.wires.len());
        for &(label, ref wire) in &self.wires {
            match wire.stage {
                Stage::Dialed => steps.push(Step { label, what: What::Reach }),
                // A dialer that does not know that it is connected reads nothing.
                Stage::Accepted => steps.push(Step { label, what: What::Establish }),
                Stage::Open => {
                    let full = Side::ALL.into_iter().filter(|side| !wire.pipes[*side].is_empty());
                    steps.extend(full.map(|side| Step { label, what: What::Arrive(side) }));
                }
            }
        }
        steps
    }

    /// Takes what happens next out of the network: who hears it, and what.
    pub(super) fn take(&mut self, step: Step) -> Option<(Side, Input)> {
        let place = self.find(step.label).ok()?;
        let wire = &mut self.wires[place].1;
        match step.what {
            What::Reach => {
                wire.stage = Stage::Accepted;
                Some((Side::Acceptor, Input::Accepted))
            }
            What::Establish => {
                wire.stage = Stage::Open;
                Some((Side::Dialer, Input::Connected))
            }
            What::Arrive(from) if wire.pipes[from].is_empty() => None,
            What::Arrive(from) => match wire.pipes[from].remove(0) {
                Some(segment) => Some((from.other(), Input::Bytes(segment))),
                None => {
                    self.wires.remove(place);
                    Some((from.other(), Input::End))
                }
            },
        }
    }

    /// Does what a node did to the network.
    pub(super) fn apply(&mut self, output: Output) {
        match output {
            Output::Dial(label) => {
                if let Err(place) = self.find(label) {
                    self.wires.insert(place, (label, Wire::default()));
                }
            }
            Output::Write((label, side), segment) => self.write(label, side, Some(segment)),
            Output::Close((label, side)) => {
                self.write(label, side, None);
                let Ok(place) = self.find(label) else {
                    return;
                };
                let wire = &mut self.wires[place].1;
                wire.is_closed[side] = true;
                // Nobody reads that any more.
                wire.pipes[side.other()].clear();
                if wire.is_closed.0 == [true; 2] {
                    self.wires.remove(place);
                }
            }
        }
    }

    fn write(&mut self, label: LabelId, from: Side, segment: Segment) {
        if let Ok(place) = self.find(label) {
            let wire = &mut self.wires[place].1;
            if !wire.is_closed[from.other()] {
                wire.pipes[from].push(segment);
            }
        }
    }

    /// Where a connection is, or would be.
    fn find(&self, label: LabelId) -> Result<usize, usize> {
        self.wires.binary_search_by_key(&label, |(label, _)| *label)
    }
}
