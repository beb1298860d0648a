//! All orders in which things can arrive, for worlds that are small enough.
//!
//! A [`World`] cannot be copied, and to run it anew for each order is slow. So each node is taken for what it is by
//! definition, an automaton, which is found out as it is needed by driving its engine alone ([`automaton`], [`replica`]). Then
//! a state of the world is a state of each node and what is on its way between them ([`state`]), states are walked
//! through without running anything, and the world itself is run once for each state in which nothing is on its way any more.

mod automaton;
mod replica;
mod scenario;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::sim::ids::NodeId;
use crate::sim::label::Label;
use crate::sim::net::{Due, NetworkConfig, Side, StreamId};
use crate::sim::node::{NodeSpec, ROUTE_PORT};
use crate::sim::rule::Violation;
use crate::sim::world::World;
use automaton::{Automaton, Hashing, Names, Output, Outside};
use replica::{Plug, Replica, describe_cluster, digest};
use state::{State, Step, What};

/// What was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// Different states of the world that were seen.
    pub states: usize,
    /// Different states of single nodes that these are made of.
    pub node_states: usize,
    /// States in which nothing is on its way any more, each of which was checked.
    pub ends: usize,
    /// Those that were found wanting.
    pub wanting_ends: usize,
    /// Orders of arrivals that lead to an end, as far as they were followed. None if there are more than 2¹²⁸.
    pub orders: Option<u128>,
    /// Those that lead to one that was found wanting. None if there are more than 2¹²⁸.
    pub wanting_orders: Option<u128>,
    /// Whether these are all there are.
    pub is_complete: bool,
}

/// An order of arrivals that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOrder {
    /// The rule.
    pub violation: Violation,
    /// The order, for [`World::follow`].
    pub order: Vec<Arrival>,
}

/// Something that arrives at a node: a dial, the news that it came through, or what was written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    label: Label,
    what: What,
}

/// What is found of the world where nothing is on its way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not so, which is counted.
    Wanting,
}

/// Follows every order of arrivals in the world that `build` makes, and calls `check` where nothing is on its way any more.
/// Gives up after `limit` states. Now and then `progress` is told how much was explored.
///
/// All nodes of the world must run, must have been started without letting time pass, and must be configured by addresses;
/// there must be no clients yet, no faults, and a network that neither splits, merges nor loses what is written. Each call of
/// `build` must make the same world.
///
/// What comes in every order, relative to everything else, is
/// - when a dial reaches the host,
/// - when the dialer hears that it is connected,
/// - when what a node wrote at once arrives, or the end of a connection, after what was written before it on the same
///   connection.
///
/// Orders that lead to the same state are followed on together. States are the same if the same is on its way and every
/// node will do the same from then on, apart from when it does it: times are no part of a state.
///
/// Nor are they explored. No time passes before an end is reached, so timers (retries, pings, the healing rules, a dial that
/// waits for the other side's) come after all arrivals; `check` lets time pass, and from there on one order is followed. What
/// is written at once arrives at once: where TCP would cut it or join it to the next is not explored.
///
/// Rules about the routes of a node are checked in each of its states, the rest where `check` does.
///
/// # Panics
///
/// If the world is none of those, or `build` does not make the same each time; and if the world, run to an end, is not
/// what its nodes became when each was driven alone.
pub fn explore(
    build: impl Fn() -> World,
    limit: usize,
    check: impl FnMut(&mut World) -> Result<Verdict, Violation>,
    progress: impl FnMut(&Explored),
) -> Result<Explored, BadOrder> {
    Explorer::new(build, check, progress).run(limit)
}

struct Explorer<B, C, P> {
    build: B,
    check: C,
    progress: P,
    setting: Setting,
    automata: Vec<Automaton>,
    names: Names,
    /// What follows from each state from which everything was followed.
    seen: HashMap<u128, Orders, Hashing>,
    explored: Explored,
}

/// What stays the same.
struct Setting {
    hosts: BTreeMap<IpAddr, NodeId>,
    seen_ips: Vec<IpAddr>,
    /// All nodes and how they are configured, by server id.
    peers: BTreeMap<String, (NodeId, NodeSpec)>,
}

/// How many orders lead on to an end, or none if they cannot be counted.
#[derive(Clone, Copy)]
struct Orders {
    all: Option<u128>,
    wanting: Option<u128>,
}

/// A state on the way, and how much of what follows from it was followed.
struct Visit {
    state: State,
    digest: u128,
    steps: Vec<Step>,
    taken: usize,
    orders: Orders,
}

impl<B, C, P> Explorer<B, C, P>
where
    B: Fn() -> World,
    C: FnMut(&mut World) -> Result<Verdict, Violation>,
    P: FnMut(&Explored),
{
    fn new(build: B, check: C, progress: P) -> Self {
        let world = build();
        let setting = Setting::new(&world);
        let automata = (0..world.nodes.len()).map(|node| Automaton::new(replica(&build, NodeId(node))));
        Self {
            automata: automata.collect(),
            build,
            check,
            progress,
            setting,
            names: Names::default(),
            seen: HashMap::default(),
            explored: Explored::default(),
        }
    }

    fn run(mut self, limit: usize) -> Result<Explored, BadOrder> {
        let dialed = world_dials(&(self.build)()).into_keys().map(|label| self.names.labels.intern(label));
        let mut state = State::new(self.automata.len(), dialed);
        let mut path = Vec::new();
        let mut orders = self.visit(state, &mut path)?;
        while let Some(visit) = path.last_mut() {
            visit.orders.add(std::mem::take(&mut orders));
            if self.explored.states >= limit {
                path.iter().for_each(|visit| orders.add(visit.orders));
                return Ok(self.report(orders, false));
            }
            if let Some(&step) = visit.steps.get(visit.taken) {
                visit.taken += 1;
                state = visit.state.clone();
                self.take(&mut state, step).map_err(|violation| self.bad(violation, &path))?;
                orders = self.visit(state, &mut path)?;
            } else {
                orders = visit.orders;
                self.seen.insert(visit.digest, orders);
                path.pop();
            }
        }
        Ok(self.report(orders, true))
    }

    /// Begins to follow what comes after a state, unless that was done: then these are the orders that lead on from it.
    fn visit(&mut self, state: State, path: &mut Vec<Visit>) -> Result<Orders, BadOrder> {
        let digest = state.digest();
        if let Some(orders) = self.seen.get(&digest) {
            return Ok(*orders);
        }
        self.explored.states += 1;
        if self.explored.states.is_multiple_of(STATES_PER_REPORT) {
            let report = self.report(Orders::default(), false);
            (self.progress)(&report);
        }
        let steps = state.steps();
        let is_end = steps.is_empty();
        path.push(Visit { state, digest, steps, taken: 0, orders: Orders::default() });
        if !is_end {
            return Ok(Orders::default());
        }
        let verdict = self.end(path).map_err(|violation| self.bad(violation, path))?;
        let wanting = usize::from(verdict == Verdict::Wanting);
        self.explored.ends += 1;
        self.explored.wanting_ends += wanting;
        Ok(Orders { all: Some(1), wanting: Some(wanting as u128) })
    }

    /// Lets a step happen.
    fn take(&mut self, state: &mut State, step: Step) -> Result<(), Violation> {
        let Some((side, input)) = state.take(step) else {
            return Ok(());
        };
        let Some(node) = self.setting.node_at((*self.names.labels.get(step.label), side)) else {
            return Ok(());
        };
        let mut outside = Outside {
            start: &|| replica(&self.build, node),
            remote: &|label| SocketAddr::new(self.setting.seen_ips[label.from.0], ROUTE_PORT),
            broken_rule: &|replica| replica.broken_rule(&self.setting.peers),
            names: &mut self.names,
        };
        let local = &mut state.locals[node.0];
        let transition = self.automata[node.0].step(*local, (step.label, side), input, &mut outside)?;
        *local = transition.to;
        for output in &transition.outputs {
            match output {
                // Nobody is there to answer.
                Output::Dial(label) if self.setting.host(*self.names.labels.get(*label)).is_none() => {}
                output => state.apply(*output),
            }
        }
        Ok(())
    }

    /// Runs the world to the end of a path and judges it.
    fn end(&mut self, path: &[Visit]) -> Result<Verdict, Violation> {
        let order = self.order(path);
        let mut world = (self.build)();
        world.follow(&order)?;
        let locals = path.last().map(|visit| visit.state.locals.as_slice()).unwrap_or_default();
        for (node, (local, automaton)) in locals.iter().zip(&self.automata).enumerate() {
            let is_same = world.cluster_digest(NodeId(node)) == automaton.cluster_digest(*local);
            assert!(is_same, "n{node} is not in the world what it is alone, after {order:#?}");
        }
        (self.check)(&mut world)
    }

    /// An order that breaks a rule where a path ends, or at the step that was tried from there.
    fn bad(&self, violation: Violation, path: &[Visit]) -> BadOrder {
        BadOrder { violation, order: self.order(path) }
    }

    /// The steps that were taken.
    fn order(&self, path: &[Visit]) -> Vec<Arrival> {
        let taken = path.iter().filter_map(|visit| visit.steps.get(visit.taken.checked_sub(1)?));
        taken.map(|step| Arrival { label: *self.names.labels.get(step.label), what: step.what }).collect()
    }

    fn report(&self, orders: Orders, is_complete: bool) -> Explored {
        Explored {
            node_states: self.automata.iter().map(Automaton::len).sum(),
            orders: orders.all,
            wanting_orders: orders.wanting,
            is_complete,
            ..self.explored
        }
    }
}

impl Orders {
    fn add(&mut self, more: Self) {
        let sum = |own: Option<u128>, more: Option<u128>| own?.checked_add(more?);
        *self = Self { all: sum(self.all, more.all), wanting: sum(self.wanting, more.wanting) };
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self { all: Some(0), wanting: Some(0) }
    }
}

impl Setting {
    fn new(world: &World) -> Self {
        let nodes = || world.nodes.iter();
        assert!(nodes().all(|node| node.engine.is_some()), "all nodes run");
        assert!(
            world.clients.is_empty() && nodes().all(|node| node.sockets.is_empty()),
            "nothing happened yet"
        );
        let NetworkConfig { splits_per_million, merges_per_million, resets_per_million, .. } =
            *world.network.config();
        let is_plain = [splits_per_million, merges_per_million, resets_per_million] == [0; 3];
        assert!(is_plain, "the network neither splits, merges nor loses");
        Self {
            hosts: nodes().map(|node| (node.ip(), node.id)).collect(),
            seen_ips: nodes().map(|node| node.seen_ip()).collect(),
            peers: nodes().map(|node| (node.server_id.clone(), (node.id, node.spec.clone()))).collect(),
        }
    }

    /// Whose end of a connection this is.
    fn node_at(&self, (label, side): Plug) -> Option<NodeId> {
        if side == Side::Dialer { Some(label.from) } else { self.host(label) }
    }

    /// Who answers a dial.
    fn host(&self, label: Label) -> Option<NodeId> {
        self.hosts.get(&label.to).copied()
    }
}

/// A node as it was started.
fn replica(build: impl Fn() -> World, id: NodeId) -> Replica {
    let mut world = build();
    let dials = world_dials(&world).into_iter().filter(|(label, _)| label.from == id).collect();
    let now = world.now;
    let mut node = world.nodes.swap_remove(id.0);
    let engine = node.engine.take();
    Replica::new(node, engine.expect("it runs"), now, dials)
}

/// What is being dialed in a world in which nothing was accepted yet.
fn world_dials(world: &World) -> BTreeMap<Label, crate::DialId> {
    world.dials.values().map(|dial| (dial.label, dial.id)).collect()
}

impl World {
    /// Lets these happen next, whatever their time, in a world like the one that was explored.
    ///
    /// # Panics
    ///
    /// If one of them cannot happen.
    pub fn follow(&mut self, order: &[Arrival]) -> Result<(), Violation> {
        for arrival in order {
            let due = self.network.due().find(|due| self.arrival(*due) == Some(*arrival));
            let due = due.unwrap_or_else(|| panic!("cannot happen in this world: {arrival}"));
            if let Some(event) = self.network.take(due, usize::MAX, self.now) {
                self.hear_network(event);
            }
            self.verdict()?;
        }
        Ok(())
    }

    /// What something that is due on the network is in every order.
    fn arrival(&self, due: Due) -> Option<Arrival> {
        let (label, what) = match due {
            Due::Call(attempt) => (self.dials.get(&attempt)?.label, What::Reach),
            Due::Connect(attempt, _) => (self.dials.get(&attempt)?.label, What::Establish),
            Due::Arrive(from) => (self.label(from.stream)?, What::Arrive(from.side)),
            Due::Fail(..) => return None,
        };
        Some(Arrival { label, what })
    }

    fn label(&self, stream: StreamId) -> Option<Label> {
        self.joints.get(stream)?.label
    }

    /// What a node's cluster machine is, to be compared with what it is alone.
    fn cluster_digest(&self, id: NodeId) -> u128 {
        let plug = |connection| {
            let socket = self.nodes[id.0].socket(connection)?;
            Some((self.label(socket.end.stream)?, socket.end.side))
        };
        let engine = self.nodes[id.0].engine.as_ref();
        digest(&engine.map(|engine| describe_cluster(engine, self.now, plug)).unwrap_or_default())
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Reach => "is accepted",
            What::Establish => "is established",
            What::Arrive(Side::Dialer) => "what the dialer wrote arrives",
            What::Arrive(Side::Acceptor) => "what the acceptor wrote arrives",
        };
        write!(f, "{}: {what}", self.label)
    }
}

/// So often progress is reported.
const STATES_PER_REPORT: usize = 1 << 12;
