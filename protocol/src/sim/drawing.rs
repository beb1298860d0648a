//! Scenarios that are drawn: from the seed, and from what may be in them.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

use super::ids::{ClientId, NodeId};
use super::net::NetworkConfig;
use super::node::DEATH_IS_NOTICED;
use super::scenario::{Member, Operation, Scenario, draw_time};
use super::tenants::Tenants;
use super::topology::Topology;
use super::variety::{
    Variety, settle_compression, settle_discovery, settle_proxies, settle_tenants, settle_tls, settle_walls,
    settle_websockets, vary,
};
use super::world::Fault;

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
    /// Whether there are [`Tenants`]: in all worlds, in some, or in none. Where there are, no other accounts come and go, and the rest
    /// stays the same.
    pub tenants: Variety,
    /// Whether nodes want this and that of compression ([`Scenario::compression`]): in all worlds, in some, or in none. Where they
    /// do, no connections go on in frames, and the rest stays the same.
    pub compression: Variety,
    /// Whether some clients come by WebSocket instead: in all worlds, in some, or in none. The rest stays the same.
    pub websockets: Variety,
    /// Whether servers speak TLS with each other, and some clients with them: in all worlds, in some, or in none. The rest stays the
    /// same.
    pub tls: Variety,
    /// Whether some clients come by way of a proxy: in all worlds, in some, or in none. The rest stays the same.
    pub proxies: Variety,
    /// Whether nodes find each other by sources instead of configured routes: in all worlds, in some, or in none. The rest stays the
    /// same, but for changes of configured routes, which there are none.
    pub discovery: Variety,
    /// Whether not everybody can dial everybody, but all can dial the first ([`Scenario::walls`]), where all nodes heal: in all worlds,
    /// in some, or in none. Where that is so, no connections go on in frames, no configured routes
    /// change, and the rest stays the same.
    pub walls: Variety,
}

impl Default for Drawing {
    fn default() -> Self {
        Self {
            nodes: 2..=6,
            faults: FaultLevel::Light,
            healing: Healing::On,
            variety: Variety::Some,
            tenants: Variety::Some,
            compression: Variety::Some,
            websockets: Variety::Some,
            tls: Variety::Some,
            proxies: Variety::Some,
            discovery: Variety::Some,
            walls: Variety::Some,
        }
    }
}

impl Drawing {
    /// Without all that a [`Variety`] says of. The rest is as by default.
    pub fn plain() -> Self {
        let none = Variety::None;
        Self {
            variety: none,
            tenants: none,
            compression: none,
            websockets: none,
            tls: none,
            proxies: none,
            discovery: none,
            walls: none,
            ..Self::default()
        }
    }
}

impl Scenario {
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
            tenants: Tenants::default(),
            compression: Vec::new(),
            finds: false,
            walls: None,
            relays: true,
            takes_websockets: false,
            takes_proxies: false,
            tls: None,
            max_pending_bytes: (more.u8(..4) == 0).then_some(20 * 1024),
            dials_per_second: (more.u8(..4) == 0).then_some(8),
            network,
            faults,
            operations,
            changes: Vec::new(),
            faulty_for,
        };
        vary(&mut scenario, drawing.variety);
        settle_tenants(&mut scenario, drawing.tenants);
        settle_compression(&mut scenario, drawing.compression);
        settle_websockets(&mut scenario, drawing.websockets);
        settle_tls(&mut scenario, drawing.tls);
        settle_proxies(&mut scenario, drawing.proxies);
        settle_discovery(&mut scenario, drawing.discovery);
        settle_walls(&mut scenario, drawing.walls);
        scenario.must_converge = scenario.is_promised_whole();
        scenario
    }
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
    times.into_iter().map(|at| (at, Operation::draw(rng))).collect()
}

/// The place of this kind among the weights.
const MOVE: usize = 8;
