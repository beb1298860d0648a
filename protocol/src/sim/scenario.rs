//! A run as plain data: who is there, what goes wrong, what clients do. Drawn from one seed, or written by hand.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

use super::change::Change;
use super::ids::{ClientId, NodeId};
use super::net::NetworkConfig;
use super::node::{DEATH_IS_NOTICED, NodeSpec, Seed};
use super::topology::Topology;
use super::variety::{Variety, vary};
use super::world::Fault;

/// Everything that a run consists of. The same scenario gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Decides what is left to chance within the run.
    pub seed: u64,
    /// The nodes.
    pub nodes: Vec<Member>,
    /// How they are configured to find each other.
    pub topology: Topology,
    /// Whether nodes are configured by names, which follow them to other addresses, or by addresses.
    pub uses_names: bool,
    /// How long after the one before it each node starts; zero starts all at once.
    pub start_gap: Duration,
    /// They start in the order of their numbers, or the last first: then some dial others that are not there yet.
    pub starts_backwards: bool,
    /// How long nodes that heal remember servers that are gone; then the run takes long enough to see that they forget.
    /// None is the default of [`Healing::forget_after`](crate::config::Healing::forget_after), and is not waited for.
    pub forget_after: Option<Duration>,
    /// How many servers that are not configured a node may dial per second; none is the default of
    /// [`Healing::dials_per_second`](crate::config::Healing::dials_per_second).
    pub dials_per_second: Option<u32>,
    /// How many bytes may wait for a client; none is the default of
    /// [`Config::max_pending`](crate::config::Config::max_pending).
    pub max_pending_bytes: Option<usize>,
    /// The network while faults are on; without its losses afterwards.
    pub network: NetworkConfig,
    /// What goes wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// What clients do, and when; in the order of time.
    pub operations: Vec<(Duration, Operation)>,
    /// What is changed while nodes run, and when.
    pub changes: Vec<(Duration, Change)>,
    /// When the faults end.
    pub faulty_for: Duration,
    /// Whether the mesh must become whole. Without the healing rules it need not.
    pub must_converge: bool,
}

/// What kind of node one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Connections per peer; `None` does not pool.
    pub pool_size: Option<u16>,
    /// Whether it follows the healing rules (design.md 5), or behaves like the Go server.
    pub heals: bool,
    /// Whether others see another address than the one that it advertises.
    pub is_behind_nat: bool,
}

/// Something that a client does. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A client connects to a node.
    Connect {
        /// Which node.
        node: usize,
        /// Whether it wants its own messages too.
        echo: bool,
    },
    /// A client connects to a node, into an account, if the node has that.
    ConnectIn {
        /// Which node.
        node: usize,
        /// Which of [`ACCOUNTS`](super::ACCOUNTS).
        account: usize,
        /// Whether it wants its own messages too.
        echo: bool,
    },
    /// A client leaves.
    Disconnect {
        /// Which client.
        client: usize,
    },
    /// A client subscribes.
    Subscribe {
        /// Which client.
        client: usize,
        /// Which of [`FILTERS`].
        filter: usize,
        /// Which queue group, if any.
        queue: Option<usize>,
    },
    /// A client ends a subscription.
    Unsubscribe {
        /// Which client.
        client: usize,
        /// Which of its subscriptions.
        subscription: usize,
    },
    /// A client publishes.
    Publish {
        /// Which client.
        client: usize,
        /// Which of [`SUBJECTS`].
        subject: usize,
        /// How large.
        padding_bytes: usize,
    },
    /// A client asks a question.
    Request {
        /// Which client.
        client: usize,
        /// Which of [`SUBJECTS`].
        subject: usize,
    },
}

/// What clients publish on.
pub const SUBJECTS: [&str; 4] = ["a", "a.b", "b.a", "c"];
/// What clients subscribe to.
pub const FILTERS: [&str; 7] = ["a", "a.b", "a.*", "a.>", "*.a", ">", "c"];
/// The groups that clients are members of.
pub const QUEUES: [&str; 2] = ["q", "r"];

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultLevel {
    /// Nothing.
    None,
    /// A little of a few kinds.
    Light,
    /// A lot of everything.
    Heavy,
}

/// Which nodes follow the healing rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healing {
    /// All.
    On,
    /// None: all behave like the Go server.
    Off,
    /// Some, at least one.
    Mixed,
}

/// What [`Scenario::draw`] may draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// How many nodes.
    pub nodes: RangeInclusive<usize>,
    /// How much goes wrong.
    pub faults: FaultLevel,
    /// Which nodes heal.
    pub healing: Healing,
    /// What there is besides. What is drawn without it stays the same.
    pub variety: Variety,
}

impl Default for Drawing {
    fn default() -> Self {
        Self { nodes: 2..=6, faults: FaultLevel::Light, healing: Healing::On, variety: Variety::Some }
    }
}

impl Scenario {
    /// A quiet scenario: nodes of one kind that all start at once, no clients, no faults.
    pub fn new(seed: u64, nodes: usize, topology: Topology, member: Member) -> Self {
        Self {
            seed,
            nodes: vec![member; nodes],
            topology,
            uses_names: false,
            start_gap: Duration::ZERO,
            starts_backwards: false,
            forget_after: None,
            dials_per_second: None,
            max_pending_bytes: None,
            network: NetworkConfig::default(),
            faults: Vec::new(),
            operations: Vec::new(),
            changes: Vec::new(),
            faulty_for: Duration::from_secs(2),
            must_converge: member.heals,
        }
    }

    /// Draws one. The seed and what may be drawn decide it.
    pub fn draw(seed: u64, drawing: &Drawing) -> Self {
        let rng = &mut Rng::with_seed(seed ^ 0x6F6E_6568_6F70);
        let count = rng.usize(drawing.nodes.clone());
        let faulty_for = Duration::from_millis(rng.u64(1_000..20_000));
        let nodes = draw_members(rng, count, drawing.healing);
        let uses_names = rng.bool();
        let operation_count = rng.usize(..60);
        let operations = draw_operations(rng, operation_count, faulty_for);
        let topology = Topology::ALL[rng.usize(..Topology::ALL.len())];
        let start_gap = Duration::from_millis(if rng.bool() { 0 } else { rng.u64(..500) });
        let network = draw_network(rng, drawing.faults);
        let mut faults = draw_faults(rng, drawing.faults, &nodes, uses_names, faulty_for);
        let more = &mut Rng::with_seed(seed ^ 0x7261_7265_6C79);
        let network = draw_distance(more, network);
        draw_rare_faults(more, drawing.faults, &mut faults, &nodes, uses_names, topology, faulty_for);
        let mut scenario = Self {
            seed,
            must_converge: false,
            nodes,
            topology,
            uses_names,
            start_gap,
            starts_backwards: more.bool(),
            forget_after: (more.u8(..4) == 0).then_some(faulty_for + DEATH_IS_NOTICED),
            max_pending_bytes: (more.u8(..4) == 0).then_some(20 * 1024),
            dials_per_second: (more.u8(..4) == 0).then_some(8),
            network,
            faults,
            operations,
            changes: Vec::new(),
            faulty_for,
        };
        vary(&mut scenario, drawing.variety);
        scenario.must_converge = scenario.is_promised_whole();
        scenario
    }

    /// Whether the healing rules promise that the mesh becomes whole (design.md 5): what [`Scenario::draw`] takes for
    /// [`Scenario::must_converge`].
    pub fn is_promised_whole(&self) -> bool {
        let Self { nodes, topology, faults, .. } = self;
        is_promised_whole(nodes, *topology, faults) && self.is_configured_whole()
    }

    /// Whether the last configurations lead from each node to each other; and then all must heal, so that they are dialed as
    /// long as it takes. Where routes stay as the topology has them they do.
    fn is_configured_whole(&self) -> bool {
        if self.changes.iter().all(|(_, change)| change.routes().is_none()) {
            return true;
        }
        let count = self.nodes.len();
        let mut routes = self.topology.routes(count, &mut Rng::with_seed(self.seed));
        for (node, last) in self.changes.iter().filter_map(|(_, change)| change.routes()) {
            routes[node.0] = last.to_vec();
        }
        let stays = |node: usize| stays(&self.faults, node);
        let leads_to = |seed: &Seed, node: usize| match seed {
            Seed::Node(other) => other.0 == node,
            Seed::Name(_) => node < 2,
        };
        let are_joined = |a: usize, b: usize| {
            routes[a].iter().any(|seed| leads_to(seed, b)) || routes[b].iter().any(|seed| leads_to(seed, a))
        };
        let mut apart: Vec<usize> = (0..count).filter(|node| stays(*node)).collect();
        let mut reached: Vec<usize> = apart.pop().into_iter().collect();
        while let Some(node) = reached.pop() {
            reached.extend(apart.extract_if(.., |other| are_joined(node, *other)));
        }
        apart.is_empty() && self.nodes.iter().all(|member| member.heals)
    }

    /// Without what is about nodes which are not there.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        let count = self.nodes.len();
        self.faults.retain(|(_, fault)| fault.nodes().iter().all(|node| node.0 < count));
        self.changes.retain(|(_, change)| change.node().is_none_or(|node| node.0 < count));
        self
    }
}

impl Member {
    /// A node that heals, with the usual pool.
    pub const HEALING: Self = Self { pool_size: Some(3), heals: true, is_behind_nat: false };
    /// A node that behaves like the Go server, with the usual pool.
    pub const GO_LIKE: Self = Self { pool_size: Some(3), heals: false, is_behind_nat: false };

    /// The node.
    pub fn spec(self) -> NodeSpec {
        let spec = NodeSpec::new(self.pool_size);
        NodeSpec { is_behind_nat: self.is_behind_nat, ..spec }.healing(self.heals)
    }
}

/// Where nodes that do not heal are among the others, these tell them of each other. That does not help where such a node
/// knows another already, though by an address that is not its own alone, or not any more.
fn is_promised_whole(nodes: &[Member], topology: Topology, faults: &[(Duration, Fault)]) -> bool {
    let stays = |node: usize| stays(faults, node);
    let all_heal = nodes.iter().all(|member| member.heals);
    let one_heals = nodes.iter().enumerate().any(|(at, member)| member.heals && stays(at));
    let moves = faults.iter().any(|(_, fault)| matches!(fault, Fault::Move(_)));
    all_heal || one_heals && topology != Topology::Name && !moves
}

/// Whether a node is there in the end.
fn stays(faults: &[(Duration, Fault)], node: usize) -> bool {
    let is_last = |fault: &Fault| matches!(fault, Fault::Leave(NodeId(gone)) | Fault::Die(NodeId(gone)) if *gone == node);
    !faults.iter().any(|(_, fault)| is_last(fault))
}

fn draw_members(rng: &mut Rng, count: usize, healing: Healing) -> Vec<Member> {
    let pool_size = [Some(3), Some(1), Some(2), None][rng.usize(..4)];
    let differ = rng.u8(..4) == 0;
    let nats = rng.u8(..4) == 0;
    let healer = rng.usize(..count.max(1));
    let mut members: Vec<_> = (0..count)
        .map(|at| Member {
            pool_size: if differ && rng.bool() {
                [Some(5), None, Some(1)][rng.usize(..3)]
            } else {
                pool_size
            },
            heals: match healing {
                Healing::On => true,
                Healing::Off => false,
                Healing::Mixed => at == healer || rng.bool(),
            },
            is_behind_nat: nats && rng.bool(),
        })
        .collect();
    if healing == Healing::Mixed {
        // Two that do not heal can be told of each other, but nobody can make them fill a gap in their pool.
        for member in members.iter_mut().filter(|member| !member.heals) {
            member.pool_size = member.pool_size.and(Some(1));
        }
    }
    members
}

fn draw_network(rng: &mut Rng, level: FaultLevel) -> NetworkConfig {
    let latency = Duration::from_micros(100 << rng.u32(..8));
    let mut config = NetworkConfig {
        latency,
        jitter: latency * rng.u32(..3),
        buffer_bytes: 1 << rng.u32(12..17),
        splits_per_million: [0, 50_000, 500_000][rng.usize(..3)],
        merges_per_million: [0, 250_000, 900_000][rng.usize(..3)],
        ..NetworkConfig::default()
    };
    let weight = match level {
        FaultLevel::None => return config,
        FaultLevel::Light => 1,
        FaultLevel::Heavy => 10,
    };
    config.resets_per_million = [0, 500, 2_000][rng.usize(..3)] * weight;
    config.refusals_per_million = [0, 5_000, 20_000][rng.usize(..3)] * weight;
    config.timeouts_per_million = [0, 2_000, 10_000][rng.usize(..3)] * weight;
    config
}

fn draw_faults(
    rng: &mut Rng,
    level: FaultLevel,
    members: &[Member],
    uses_names: bool,
    within: Duration,
) -> Vec<(Duration, Fault)> {
    let most = match level {
        FaultLevel::None => return Vec::new(),
        FaultLevel::Light => 3,
        FaultLevel::Heavy => 12,
    };
    let nodes = members.len();
    if nodes < 2 {
        return Vec::new();
    }
    // Each run has its own mixture of kinds, so that one kind does not always hide another.
    let mut weights: [u32; 11] = std::array::from_fn(|_| if rng.bool() { rng.u32(1..10) } else { 0 });
    if !uses_names {
        // Who moves without leaving word, and is known by its address only, cannot be found again.
        weights[MOVE] = 0;
    }
    let count = rng.usize(..=most);
    let mut faults: Vec<_> =
        (0..count).map(|_| (draw_time(rng, within), draw_fault(rng, &weights, nodes))).collect();
    // Nor can one that goes on advertising the address that it left.
    faults.retain(|(_, fault)| !matches!(fault, Fault::Move(node) if members[node.0].is_behind_nat));
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn draw_fault(rng: &mut Rng, weights: &[u32], nodes: usize) -> Fault {
    let sum: u32 = weights.iter().sum();
    let mut pick = rng.u32(..sum.max(1));
    let kind = weights.iter().position(|weight| {
        let found = pick < *weight;
        pick = pick.saturating_sub(*weight);
        found
    });
    let a = rng.usize(..nodes);
    let b = (a + rng.usize(1..nodes)) % nodes;
    let (a, b) = (NodeId(a), NodeId(b));
    let duration = Duration::from_millis(10 << rng.u32(..11));
    match kind.unwrap_or(0) {
        0 => Fault::Reset(a, b),
        1 => Fault::Cut(a, b, duration),
        2 => Fault::CutOneWay(a, b, duration),
        3 => Fault::Partition((0..nodes).filter(|_| rng.bool()).map(NodeId).collect(), duration),
        4 => Fault::HalfOpen(a, b),
        5 => Fault::Stop(a, duration),
        6 => Fault::Crash(a, duration),
        7 => Fault::PowerLoss(a, duration),
        MOVE => Fault::Move(a),
        9 => Fault::Refuse(a, duration),
        _ => Fault::SlowClient(ClientId(rng.usize(..8)), duration),
    }
}

const MOVE: usize = 8;

/// What changes the course of a whole run, and so is drawn in few: cuts that last until connections are given up, nodes that
/// are somewhere else when they come back, and nodes that never come back.
fn draw_rare_faults(
    rng: &mut Rng,
    level: FaultLevel,
    faults: &mut Vec<(Duration, Fault)>,
    members: &[Member],
    uses_names: bool,
    topology: Topology,
    within: Duration,
) {
    let nodes = members.len();
    if level == FaultLevel::None || nodes < 2 {
        return;
    }
    let a = rng.usize(..nodes);
    let b = NodeId((a + rng.usize(1..nodes)) % nodes);
    let (a, at) = (NodeId(a), draw_time(rng, within));
    match rng.u8(..16) {
        0 => faults.push((at, Fault::Cut(a, b, within))),
        1 => faults.push((at, Fault::CutOneWay(a, b, within))),
        2 if uses_names && !members[a.0].is_behind_nat => {
            let down_for = Duration::from_millis(10 << rng.u32(..11));
            faults.extend([(at, Fault::PowerLoss(a, down_for)), (at + down_for / 2, Fault::Move(a))]);
        }
        // Without the last of them the others are still configured to find each other, but for one of two of a name.
        kind @ 3..5 if nodes > 2 || topology != Topology::Name => {
            let last = NodeId(nodes - 1);
            faults.push((at, if kind == 3 { Fault::Leave(last) } else { Fault::Die(last) }));
        }
        _ => {}
    }
    faults.sort_by_key(|(at, _)| *at);
}

/// One network in eight spans continents.
fn draw_distance(rng: &mut Rng, network: NetworkConfig) -> NetworkConfig {
    let latency = Duration::from_millis(20 << rng.u32(..4));
    let jitter = latency / 2 * rng.u32(..3);
    if rng.u8(..8) == 0 { NetworkConfig { latency, jitter, ..network } } else { network }
}

fn draw_operations(rng: &mut Rng, count: usize, within: Duration) -> Vec<(Duration, Operation)> {
    let mut times: Vec<_> = (0..count).map(|_| draw_time(rng, within)).collect();
    times.sort_unstable();
    times.into_iter().map(|at| (at, draw_operation(rng))).collect()
}

pub(super) fn draw_operation(rng: &mut Rng) -> Operation {
    let client = rng.usize(..1 << 16);
    let subject = rng.usize(..SUBJECTS.len());
    match rng.u8(..20) {
        0..4 => Operation::Connect { node: client, echo: rng.bool() },
        4 => Operation::Disconnect { client },
        5..9 => Operation::Subscribe {
            client,
            filter: rng.usize(..FILTERS.len()),
            queue: rng.bool().then(|| rng.usize(..QUEUES.len())),
        },
        9..11 => Operation::Unsubscribe { client, subscription: rng.usize(..8) },
        11..18 => {
            let most = 1 << rng.u32(..14);
            Operation::Publish { client, subject, padding_bytes: rng.usize(..most) }
        }
        _ => Operation::Request { client, subject },
    }
}

pub(super) fn draw_time(rng: &mut Rng, within: Duration) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(within.as_micros()).unwrap_or(u64::MAX)))
}
