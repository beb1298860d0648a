//! A node as what it is by definition: states, and for each of them and each input another state and outputs.
//!
//! Found out one by one, as they are needed, by letting an engine hear what leads there.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::rc::Rc;

use super::replica::{Done, Heard, Replica, digest};
use crate::sim::label::Label;
use crate::sim::net::Side;
use crate::sim::rule::Violation;

/// A state of a node: a place in its list.
pub(super) type LocalId = u32;
/// A place in the list of all byte strings that were ever written.
pub(super) type SegmentId = u32;
/// A place in the list of all dials that were ever made.
pub(super) type LabelId = u32;
/// One end of a connection.
pub(super) type Port = (LabelId, Side);

/// What is known of a node.
#[derive(Debug)]
pub(super) struct Automaton {
    locals: Vec<Local>,
    by_digest: HashMap<u128, LocalId, Hashing>,
    transitions: HashMap<(LocalId, Port, Input), Rc<Transition>, Hashing>,
    /// The engine that was led to a state last, from which it can be led on.
    tip: (LocalId, Replica),
}

/// The hash maps here are only asked, never walked through.
pub(super) type Hashing = BuildHasherDefault<DefaultHasher>;

/// One of a node's states.
#[derive(Debug)]
struct Local {
    /// The state and the input that led here first; none for the one that the node was started in.
    parent: Option<(LocalId, Port, Input)>,
    /// Digest of the state of the node's cluster machine, by which it is recognised in a world.
    cluster: u128,
}

/// What a node hears on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Accepted,
    Connected,
    Bytes(SegmentId),
    End,
}

/// What follows from an input in a state.
#[derive(Debug)]
pub(super) struct Transition {
    pub(super) to: LocalId,
    pub(super) outputs: Vec<Output>,
}

/// What a node does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Dial(LabelId),
    Write(Port, SegmentId),
    Close(Port),
}

/// All that nodes wrote to each other and dialed, by numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) segments: Interned<Rc<[u8]>>,
    pub(super) labels: Interned<Label>,
}

/// Things by the order in which they came up first.
#[derive(Debug)]
pub(super) struct Interned<T> {
    all: Vec<T>,
    ids: BTreeMap<T, u32>,
}

/// What an automaton needs of the world around it.
pub(super) struct Outside<'a> {
    /// Makes the node anew.
    pub(super) start: &'a dyn Fn() -> Replica,
    /// Where a connection seems to come from.
    pub(super) remote: &'a dyn Fn(Label) -> SocketAddr,
    /// The rule that a node breaks, if any.
    pub(super) broken_rule: &'a dyn Fn(&Replica) -> Option<Violation>,
    pub(super) names: &'a mut Names,
}

impl Automaton {
    /// A node in the state that it was started in, which is state 0.
    pub(super) fn new(start: Replica) -> Self {
        let mut automaton = Self {
            locals: Vec::new(),
            by_digest: HashMap::default(),
            transitions: HashMap::default(),
            tip: (0, start),
        };
        automaton.tip.0 = automaton.intern(None);
        automaton
    }

    /// How many states are known.
    pub(super) fn len(&self) -> usize {
        self.locals.len()
    }

    /// Digest of what the cluster machine is in a state.
    pub(super) fn cluster_digest(&self, local: LocalId) -> u128 {
        self.locals[local as usize].cluster
    }

    /// What follows from an input; the rule that is broken there if the state is a new one and breaks one.
    pub(super) fn step(
        &mut self,
        from: LocalId,
        port: Port,
        input: Input,
        outside: &mut Outside<'_>,
    ) -> Result<Rc<Transition>, Violation> {
        if let Some(known) = self.transitions.get(&(from, port, input)) {
            return Ok(known.clone());
        }
        self.lead_to(from, outside);
        let done = hear(&mut self.tip.1, port, input, outside);
        let outputs = done.into_iter().map(|done| outside.names.output(done)).collect();
        let known = self.locals.len();
        let to = self.intern(Some((from, port, input)));
        self.tip.0 = to;
        if to as usize == known
            && let Some(violation) = (outside.broken_rule)(&self.tip.1)
        {
            return Err(violation);
        }
        let transition = Rc::new(Transition { to, outputs });
        self.transitions.insert((from, port, input), transition.clone());
        Ok(transition)
    }

    /// Leads an engine to a state, if the last one is not in it.
    fn lead_to(&mut self, local: LocalId, outside: &mut Outside<'_>) {
        if self.tip.0 == local {
            return;
        }
        let mut path = Vec::new();
        let mut at = local;
        while let Some((parent, port, input)) = self.locals[at as usize].parent {
            path.push((port, input));
            at = parent;
        }
        self.tip = (local, (outside.start)());
        for (port, input) in path.into_iter().rev() {
            hear(&mut self.tip.1, port, input, outside);
        }
    }

    /// The number of the state that the engine is in.
    fn intern(&mut self, parent: Option<(LocalId, Port, Input)>) -> LocalId {
        let next = self.locals.len() as LocalId;
        let id = *self.by_digest.entry(digest(&self.tip.1.describe())).or_insert(next);
        if id == next {
            let cluster = digest(&self.tip.1.describe_cluster());
            self.locals.push(Local { parent, cluster });
        }
        id
    }
}

fn hear(replica: &mut Replica, (label, side): Port, input: Input, outside: &Outside<'_>) -> Vec<Done> {
    let label = *outside.names.labels.get(label);
    let heard = match input {
        Input::Accepted => Heard::Accepted((outside.remote)(label)),
        Input::Connected => Heard::Connected,
        Input::Bytes(segment) => Heard::Bytes(outside.names.segments.get(segment)),
        Input::End => Heard::End,
    };
    replica.handle((label, side), heard)
}

impl Names {
    fn output(&mut self, done: Done) -> Output {
        match done {
            Done::Dial(label) => Output::Dial(self.labels.intern(label)),
            Done::Write((label, side), bytes) => {
                Output::Write((self.labels.intern(label), side), self.segments.intern(bytes.into()))
            }
            Done::Close((label, side)) => Output::Close((self.labels.intern(label), side)),
        }
    }
}

impl<T: Clone + Ord> Interned<T> {
    pub(super) fn get(&self, id: u32) -> &T {
        &self.all[id as usize]
    }

    pub(super) fn intern(&mut self, value: T) -> u32 {
        let next = self.all.len() as u32;
        let id = *self.ids.entry(value.clone()).or_insert(next);
        if id == next {
            self.all.push(value);
        }
        id
    }
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { all: Vec::new(), ids: BTreeMap::new() }
    }
}
