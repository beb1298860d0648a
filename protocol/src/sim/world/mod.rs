//! The world: virtual time, nodes, clients and the network between them.
//!
//! Its parts are what happens in it (`operations`, `faults`, `changes`, `impostor`), what a runtime does for each node
//! (`drive`, `dial`, `transport`), what tells nodes of each other (`sources`), and what is checked at every step and in the end (`expectations`, `replies`, `invariants`,
//! `limits`, `forgetting`).

mod changes;
mod dial;
mod drive;
mod expectations;
mod faults;
mod forgetting;
mod impostor;
mod invariants;
mod limits;
mod operations;
mod replies;
mod sources;
mod transport;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

use crate::config::RouteUrl;
use crate::sim::change::Change;
use crate::sim::client::{Received, SimClient};
use crate::sim::ids::{ClientId, NodeId};
use crate::sim::ledger::Ledger;
use crate::sim::net::{AttemptId, Network, NetworkConfig};
use crate::sim::node::{NodeSpec, Seed, SimNode};
use crate::sim::queue::Queue;
use crate::sim::rule::Violation;
use crate::sim::stream::Joints;
use crate::sim::tenants::Tenants;
use crate::sim::trace::{Lines, Trace};
use crate::time::Instant;
use dial::Dial;
pub(in crate::sim) use dial::is_dedicated;
pub use faults::Fault;
pub use forgetting::FORGETTING_SLACK;
use forgetting::Gone;
pub use impostor::Impostor;
pub(in crate::sim) use limits::Watch;

/// Servers, clients and a network in one value, driven by virtual time.
///
/// The same seed and the same calls give the same world, byte for byte. Every method that lets time pass ends early with the
/// [`Violation`] if a rule that holds at every step is broken.
#[derive(Debug)]
pub struct World {
    pub(in crate::sim) now: Instant,
    pub(in crate::sim) seed: u64,
    pub(in crate::sim) agenda: Queue<Event>,
    pub(in crate::sim) network: Network<Rng>,
    pub(in crate::sim) joints: Joints,
    /// What is being dialed.
    pub(in crate::sim) dials: BTreeMap<AttemptId, Dial>,
    pub(in crate::sim) nodes: Vec<SimNode>,
    pub(in crate::sim) clients: Vec<SimClient>,
    /// The nodes that run, by their server id.
    pub(in crate::sim) ids: BTreeMap<String, NodeId>,
    /// Those that all nodes are configured with.
    pub(in crate::sim) tenants: Tenants,
    pub(in crate::sim) ledger: Ledger,
    pub(in crate::sim) mesh: Mesh,
    pub(in crate::sim) trace: Trace,
    pub(in crate::sim) statistics: Statistics,
    pub(in crate::sim) violation: Option<Violation>,
    /// What must be over at some time.
    pub(in crate::sim) watches: Queue<Watch>,
    /// How many servers there were so far; each start makes another, and each move gives one another address.
    pub(in crate::sim) servers: usize,
    /// Those that are no more.
    pub(in crate::sim) gone: BTreeMap<String, Gone>,
    /// Of the nodes that sources tell where to find others, whom they are to find.
    pub(in crate::sim) sources: BTreeMap<NodeId, Vec<Seed>>,
    /// How many servers were told of that there are not.
    pub(in crate::sim) false_ones: usize,
    /// Addresses that nobody has any more, since when.
    pub(in crate::sim) vacated: BTreeMap<IpAddr, Instant>,
}

/// How whole the mesh is.
#[derive(Debug, Default)]
pub(in crate::sim) struct Mesh {
    /// Ordered pairs of running nodes of which the first has exactly the routes to the second that it should.
    pub(in crate::sim) exact: usize,
    /// Peers that nodes have routes to, summed over all nodes.
    pub(in crate::sim) peers: usize,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Events that were handled.
    pub events: u64,
    /// Dials that nodes asked for.
    pub dials: u64,
    /// Routes that were closed because there was one already.
    pub duplicates: u64,
    /// Bytes of INFO lines about other servers, over all routes.
    pub gossip_bytes: u64,
    /// Lines of INFO about other servers, over all routes.
    pub gossip_lines: u64,
    /// Bytes that nodes wrote to each other.
    pub route_bytes: u64,
}

/// What happens at some time, on no network.
#[derive(Debug)]
pub(in crate::sim) enum Event {
    /// A node wanted to be woken.
    Wake(NodeId),
    Start(NodeId),
    /// The sources of a node that was started so often tell it what they know.
    Tell(NodeId, u32),
    Fault(Box<Fault>),
    /// The end of a fault that lasts.
    Heal(Box<Fault>),
    Change(Box<Change>),
}

impl World {
    /// An empty world. `seed` decides everything that is left to chance. Its [`trace`](Self::trace) can be
    /// read if `lines` are kept.
    pub fn new(seed: u64, network: NetworkConfig, lines: Lines) -> Self {
        let mut rng = Rng::with_seed(seed);
        let network_rng = rng.fork();
        Self {
            now: Instant::ZERO,
            seed: rng.u64(..),
            agenda: Queue::new(),
            network: Network::new(network, network_rng),
            joints: Joints::default(),
            dials: BTreeMap::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            ids: BTreeMap::new(),
            tenants: Tenants::default(),
            ledger: Ledger::default(),
            mesh: Mesh::default(),
            trace: Trace::new(lines),
            statistics: Statistics::default(),
            violation: None,
            watches: Queue::new(),
            servers: 0,
            gone: BTreeMap::new(),
            sources: BTreeMap::new(),
            false_ones: 0,
            vacated: BTreeMap::new(),
        }
    }

    /// The same with these tenants at all nodes that are added from now on. Their clients
    /// [come in as users](Self::connect_as), and so nobody is let into an account that
    /// [only some nodes have](super::Change::AddAccount).
    #[must_use]
    pub fn with_tenants(self, tenants: Tenants) -> Self {
        Self { tenants, ..self }
    }

    /// Adds a node, which is not running yet.
    pub fn add_node(&mut self, mut spec: NodeSpec) -> NodeId {
        self.tenants.configure(&mut spec);
        let id = NodeId(self.nodes.len());
        let node = SimNode::new(id, spec);
        self.network.settle_behind(id.host(), node.ip(), node.seen_ip());
        self.nodes.push(node);
        id
    }

    /// From now on a host name resolves to the addresses that these nodes have when it is asked for.
    pub fn add_name(&mut self, name: &str, nodes: &[NodeId]) {
        self.network.name(name, nodes.iter().map(|node| node.host()).collect());
    }

    /// Starts a node now, as a new server, unless it runs or [never comes back](Fault::Leave).
    pub fn start(&mut self, id: NodeId) {
        if self.nodes[id.0].engine.is_some() || self.nodes[id.0].is_gone_for_good {
            return;
        }
        let finds = self.sources.contains_key(&id);
        let seeds = self.nodes[id.0].spec.routes.iter().filter(|_| !finds);
        let routes = seeds.map(|seed| self.url(seed)).collect();
        let node = &mut self.nodes[id.0];
        // Each start is another server.
        let number = u64::from(node.incarnation) << 32 | id.0 as u64;
        let seed = Rng::with_seed(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..);
        node.start(seed, routes, self.now);
        self.vacated.remove(&node.ip());
        self.ids.insert(node.server_id.clone(), id);
        self.servers += 1;
        self.trace.note(self.now, [1 << 32 | id.0 as u64, 0, 0], || format!("{id} starts"));
        self.pump(id);
        self.tell_again(id, self.nodes[id.0].incarnation);
    }

    /// Starts a node after a while.
    pub fn start_after(&mut self, id: NodeId, delay: Duration) {
        self.agenda.push(self.now + delay, Event::Start(id));
    }

    /// Lets a fault happen after a while.
    pub fn fault_after(&mut self, delay: Duration, fault: Fault) {
        self.agenda.push(self.now + delay, Event::Fault(Box::new(fault)));
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many nodes there are, running or not.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a node runs.
    pub fn is_running(&self, id: NodeId) -> bool {
        self.nodes[id.0].engine.is_some()
    }

    /// A node's engine, for what can be asked of it; none while it is down.
    pub fn engine(&self, id: NodeId) -> Option<&crate::Engine> {
        self.nodes[id.0].engine.as_ref()
    }

    /// What it cost so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How many messages were published, each with the next [`MessageId`](super::MessageId).
    pub fn message_count(&self) -> usize {
        self.ledger.len()
    }

    /// Handles the next event; false if there will never be another.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let Some(at) = self.next_at() else {
            return Ok(false);
        };
        self.now = at;
        // What arrives at the moment when something else is due comes first.
        if let Some(event) = self.network.poll(at) {
            self.hear_network(event);
        } else if self.agenda.next_at() == Some(at)
            && let Some((_, event)) = self.agenda.pop()
        {
            self.handle(event);
        }
        self.check_watches();
        self.verdict().map(|()| true)
    }

    /// When something happens next.
    fn next_at(&self) -> Option<Instant> {
        let next = [self.network.next_at(), self.agenda.next_at()];
        next.into_iter().flatten().min()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.now + duration;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = end;
        Ok(())
    }

    /// Lets time pass until the mesh is whole, and returns how long it took; none if it was not within `limit`.
    pub fn run_until_whole(&mut self, limit: Duration) -> Result<Option<Duration>, Violation> {
        let (start, end) = (self.now, self.now + limit);
        // Who is to start now does.
        self.run_for(Duration::ZERO)?;
        while !self.is_mesh_whole() {
            if self.next_at().is_none_or(|at| at > end) {
                self.now = end;
                return Ok(None);
            }
            self.step()?;
        }
        Ok(Some(self.now.since(start)))
    }

    pub(in crate::sim) fn verdict(&mut self) -> Result<(), Violation> {
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    pub(in crate::sim) fn fail(&mut self, violation: Violation) {
        let violation = Violation { at: self.now, ..violation };
        self.trace.note(self.now, [u64::MAX; 3], || format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    pub(in crate::sim) fn handle(&mut self, event: Event) {
        self.statistics.events += 1;
        match event {
            Event::Wake(id) => self.wake(id),
            Event::Start(id) => self.start(id),
            Event::Tell(id, incarnation) => self.tell_again(id, incarnation),
            Event::Fault(fault) => self.begin_fault(*fault),
            Event::Heal(fault) => self.end_fault(&fault),
            Event::Change(change) => self.change(*change),
        }
    }

    /// The URL that a node is configured with.
    fn url(&self, seed: &Seed) -> RouteUrl {
        let host = match seed {
            Seed::Node(node) => self.nodes[node.0].ip().to_string(),
            Seed::Name(name) => name.clone(),
        };
        RouteUrl { user: None, password: None, host, port: crate::sim::node::ROUTE_PORT }
    }

    /// What a client got, in order.
    pub fn received(&self, id: ClientId) -> &[Received] {
        self.clients[id.0].received()
    }

    /// A client.
    pub fn client(&self, id: ClientId) -> &SimClient {
        &self.clients[id.0]
    }
}
