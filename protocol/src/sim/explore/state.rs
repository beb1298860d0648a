//! A state of the whole world, as far as the order of events goes: the state of each node, and what is between them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::sim::label::Label;
use crate::sim::stream::{ACCEPTOR, DIALER, Side};
use super::automaton::{Input, LocalId, Output, SegmentId};

/// The nodes by their number, and all dials and connections that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) locals: Vec<LocalId>,
    wires: BTreeMap<Label, Wire>,
}

/// A dial on its way, and the connection that it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Wire {
    stage: Stage,
    /// What is on its way from each end.
    pipes: [VecDeque<Segment>; 2],
    is_closed: [bool; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Stage {
    /// The host has not heard of it yet.
    #[default]
    Dialed,
    /// The host has, the dialer has not heard so.
    Accepted,
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Bytes(SegmentId),
    End,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) struct Step {
    pub(in crate::sim) label: Label,
    pub(in crate::sim) what: What,
}

/// What happens to a dial or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sim) enum What {
    /// It reaches the host.
    Reach,
    /// The dialer hears that it is connected.
    Establish,
    /// What this side wrote first arrives at the other.
    Arrive(Side),
}

impl State {
    /// All nodes just started, with what they dialed.
    pub(super) fn new(nodes: usize, dialed: impl IntoIterator<Item = Label>) -> Self {
        let wires = dialed.into_iter().map(|label| (label, Wire::default())).collect();
        Self { locals: vec![0; nodes], wires }
    }

    /// What can happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (&label, wire) in &self.wires {
            match wire.stage {
                Stage::Dialed => steps.push(Step { label, what: What::Reach }),
                Stage::Accepted => steps.push(Step { label, what: What::Establish }),
                Stage::Open => {}
            }
            // A dialer that does not know that it is connected reads nothing.
            let readers = if wire.stage == Stage::Open { 0..2 } else { 0..0 };
            let full = readers.filter(|side| !wire.pipes[*side].is_empty());
            steps.extend(full.map(|side| Step { label, what: What::Arrive(side) }));
        }
        steps
    }

    /// Takes what happens next out of the network: who hears it, and what.
    pub(super) fn take(&mut self, step: Step) -> Option<(Side, Input)> {
        let wire = self.wires.get_mut(&step.label)?;
        match step.what {
            What::Reach => {
                wire.stage = Stage::Accepted;
                Some((ACCEPTOR, Input::Accepted))
            }
            What::Establish => {
                wire.stage = Stage::Open;
                Some((DIALER, Input::Connected))
            }
            What::Arrive(from) => match wire.pipes[from].pop_front()? {
                Segment::Bytes(segment) => Some((1 - from, Input::Bytes(segment))),
                Segment::End => {
                    self.wires.remove(&step.label);
                    Some((1 - from, Input::End))
                }
            },
        }
    }

    /// Does what a node did to the network.
    pub(super) fn apply(&mut self, output: Output) {
        match output {
            Output::Dial(label) => drop(self.wires.insert(label, Wire::default())),
            Output::Write((label, side), segment) => self.write(label, side, Segment::Bytes(segment)),
            Output::Close((label, side)) => {
                self.write(label, side, Segment::End);
                let Some(wire) = self.wires.get_mut(&label) else {
                    return;
                };
                wire.is_closed[side] = true;
                // Nobody reads that any more.
                wire.pipes[1 - side].clear();
                if wire.is_closed == [true; 2] {
                    self.wires.remove(&label);
                }
            }
        }
    }

    fn write(&mut self, label: Label, from: Side, segment: Segment) {
        if let Some(wire) = self.wires.get_mut(&label)
            && !wire.is_closed[1 - from]
        {
            wire.pipes[from].push_back(segment);
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Reach => "is accepted",
            What::Establish => "is established",
            What::Arrive(DIALER) => "what the dialer wrote arrives",
            What::Arrive(_) => "what the acceptor wrote arrives",
        };
        write!(f, "{}: {what}", self.label)
    }
}
