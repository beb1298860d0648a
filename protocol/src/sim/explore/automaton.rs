//! A node as what it is by definition: states, and for each of them and each input another state and outputs.
//!
//! Found out one by one, as they are needed, by letting an engine hear what leads there.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::rc::Rc;

use crate::sim::invariants::Violation;
use crate::sim::label::Label;
use super::replica::{Done, Heard, Plug, Replica, digest};

/// A state of a node: a place in its list.
pub(super) type LocalId = u32;
/// A place in the list of all byte strings that were ever written.
pub(super) type SegmentId = u32;

/// What is known of a node.
#[derive(Debug)]
pub(super) struct Automaton {
    locals: Vec<Local>,
    by_digest: HashMap<u128, LocalId, Hashing>,
    transitions: HashMap<(LocalId, Plug, Input), Rc<Transition>, Hashing>,
    /// The engine that was led to a state last, from which it can be led on.
    tip: (LocalId, Replica),
}

/// The hash maps here are only asked, never walked through.
pub(super) type Hashing = BuildHasherDefault<DefaultHasher>;

/// One of a node's states.
#[derive(Debug)]
struct Local {
    /// The state and the input that led here first; none for the one that the node was started in.
    parent: Option<(LocalId, Plug, Input)>,
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
    Dial(Label),
    Write(Plug, SegmentId),
    Close(Plug),
}

/// All byte strings that nodes wrote to each other.
#[derive(Debug, Default)]
pub(super) struct Segments {
    texts: Vec<Rc<[u8]>>,
    ids: BTreeMap<Rc<[u8]>, SegmentId>,
}

/// What an automaton needs of the world around it.
pub(super) struct Outside<'a> {
    /// Makes the node anew.
    pub(super) start: &'a dyn Fn() -> Replica,
    /// Where a connection seems to come from.
    pub(super) remote: &'a dyn Fn(&Label) -> SocketAddr,
    /// The rule that a node breaks, if any.
    pub(super) broken_rule: &'a dyn Fn(&Replica) -> Option<Violation>,
    pub(super) segments: &'a mut Segments,
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
        plug: Plug,
        input: Input,
        outside: &mut Outside<'_>,
    ) -> Result<Rc<Transition>, Violation> {
        if let Some(known) = self.transitions.get(&(from, plug, input)) {
            return Ok(known.clone());
        }
        self.lead_to(from, outside);
        let done = hear(&mut self.tip.1, plug, input, outside);
        let outputs = done.into_iter().map(|done| outside.segments.output(done)).collect();
        let known = self.locals.len();
        let to = self.intern(Some((from, plug, input)));
        self.tip.0 = to;
        if to as usize == known
            && let Some(violation) = (outside.broken_rule)(&self.tip.1)
        {
            return Err(violation);
        }
        let transition = Rc::new(Transition { to, outputs });
        self.transitions.insert((from, plug, input), transition.clone());
        Ok(transition)
    }

    /// Leads an engine to a state, if the last one is not in it.
    fn lead_to(&mut self, local: LocalId, outside: &mut Outside<'_>) {
        if self.tip.0 == local {
            return;
        }
        let mut path = Vec::new();
        let mut at = local;
        while let Some((parent, plug, input)) = self.locals[at as usize].parent {
            path.push((plug, input));
            at = parent;
        }
        self.tip = (local, (outside.start)());
        for (plug, input) in path.into_iter().rev() {
            hear(&mut self.tip.1, plug, input, outside);
        }
    }

    /// The number of the state that the engine is in.
    fn intern(&mut self, parent: Option<(LocalId, Plug, Input)>) -> LocalId {
        let next = self.locals.len() as LocalId;
        let id = *self.by_digest.entry(digest(&self.tip.1.describe())).or_insert(next);
        if id == next {
            let cluster = digest(&self.tip.1.describe_cluster());
            self.locals.push(Local { parent, cluster });
        }
        id
    }
}

fn hear(replica: &mut Replica, plug: Plug, input: Input, outside: &Outside<'_>) -> Vec<Done> {
    match input {
        Input::Accepted => replica.handle(plug, Heard::Accepted((outside.remote)(&plug.0))),
        Input::Connected => replica.handle(plug, Heard::Connected),
        Input::Bytes(segment) => replica.handle(plug, Heard::Bytes(outside.segments.text(segment))),
        Input::End => replica.handle(plug, Heard::End),
    }
}

impl Segments {
    pub(super) fn text(&self, id: SegmentId) -> &[u8] {
        &self.texts[id as usize]
    }

    fn output(&mut self, done: Done) -> Output {
        match done {
            Done::Dial(label) => Output::Dial(label),
            Done::Write(plug, bytes) => Output::Write(plug, self.intern(bytes)),
            Done::Close(plug) => Output::Close(plug),
        }
    }

    fn intern(&mut self, bytes: Vec<u8>) -> SegmentId {
        let text: Rc<[u8]> = bytes.into();
        let next = self.texts.len() as SegmentId;
        let id = *self.ids.entry(text.clone()).or_insert(next);
        if id == next {
            self.texts.push(text);
        }
        id
    }
}
