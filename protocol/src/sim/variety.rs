//! What a drawn world has besides nodes, faults and clients: connections that go on in frames, accounts that come and go,
//! configurations that are swapped, tenants, what is wanted of compression, TLS, and clients that come by ways of their own.

use std::time::Duration;

use fastrand::Rng;

use super::change::{ACCOUNTS, Change, FIXED, Setting};
use super::ids::NodeId;
use super::node::Seed;
use super::passage::{ProxyVersion, TlsStart, Way};
use super::scenario::{Operation, Scenario, draw_time};
use super::tenants;
use super::topology::Topology;
use crate::config::{Compression, RouteLimits, RttThresholds};
use crate::transport::{DEFAULT_HANDSHAKE_FIRST_WAIT, HandshakeFirst, S2Level};

/// How much a world has that most worlds do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variety {
    /// Nothing: all connections stay plain, all clients are in the global account, and nodes keep the configuration that they
    /// start with.
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
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0076_6172_6965_7479);
    if variety.has(&mut rng.fork()) {
        draw_transport(&mut rng.fork(), scenario);
    }
    if variety.has(&mut rng.fork()) {
        draw_accounts(&mut rng.fork(), scenario);
    }
    if variety.has(&mut rng.fork()) {
        draw_configurations(&mut rng.fork(), scenario);
    }
    scenario.changes.sort_by_key(|(at, _)| *at);
    scenario.operations.sort_by_key(|(at, _)| *at);
}

/// Adds tenants and what clients do in their names, from a random stream of its own, too. Then there are no accounts that come and go:
/// who may come in is asked for its name.
pub(super) fn settle_tenants(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0074_656E_616E_7473);
    if !variety.has(&mut rng.fork()) {
        return;
    }
    scenario.tenants = tenants::draw(&mut rng.fork());
    scenario
        .changes
        .retain(|(_, change)| !matches!(change, Change::AddAccount(..) | Change::RemoveAccount(..)));
    for _ in 0..rng.usize(20..80) {
        let operation = match Operation::draw(rng) {
            Operation::Connect { node, echo } => {
                Operation::ConnectAs { node, login: rng.usize(..1 << 16), echo }
            }
            Operation::Subscribe { client, filter, .. } if rng.u8(..4) == 0 => {
                Operation::Serve { client, filter }
            }
            other => other,
        };
        scenario.operations.push((draw_time(rng, scenario.faulty_for), operation));
    }
    scenario.operations.sort_by_key(|(at, _)| *at);
}

/// Lets nodes want this and that of compression, some of them something else in the middle, from a random stream of its own, too. Then
/// no connections go on in frames.
pub(super) fn settle_compression(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0063_6F6D_7072_6573);
    if !variety.has(&mut rng.fork()) {
        return;
    }
    scenario.changes.retain(|(_, change)| !matches!(change, Change::Transport(_)));
    scenario.compression = scenario.nodes.iter().map(|_| draw_compression(rng)).collect();
    for _ in 0..rng.usize(..5) {
        let (node, at) = (rng.usize(..scenario.nodes.len()), draw_time(rng, scenario.faulty_for));
        let setting = Setting::Compression(draw_compression(rng));
        scenario.changes.push((at, Change::Configure(NodeId(node), vec![setting])));
    }
    scenario.changes.sort_by_key(|(at, _)| *at);
}

/// Lets clients come by WebSocket instead, from a random stream of its own, too.
pub(super) fn settle_websockets(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x7765_6273_6F63_6B65);
    if !variety.has(&mut rng.fork()) {
        return;
    }
    scenario.takes_websockets = true;
    reroute(scenario, |way| {
        if rng.bool() {
            way.websocket = Some(rng.bool());
        }
    });
}

/// Lets servers speak TLS, and clients that come by WebSocket, and some of the others, from a random stream of its own, too.
pub(super) fn settle_tls(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0074_6C73_746C_7374);
    if !variety.has(&mut rng.fork()) {
        return;
    }
    let may_begin = rng.bool();
    scenario.tls = Some(match may_begin {
        true => HandshakeFirst::Within(DEFAULT_HANDSHAKE_FIRST_WAIT),
        false => HandshakeFirst::Never,
    });
    reroute(scenario, |way| {
        let (wants, begins) = (rng.bool(), may_begin && rng.bool());
        way.tls = match way.websocket {
            Some(_) => Some(TlsStart::AtOnce),
            None => wants.then_some(if begins { TlsStart::AtOnce } else { TlsStart::AfterInfo }),
        };
    });
}

/// Lets some of the clients that come by no WebSocket come through a proxy, from a random stream of its own, too.
pub(super) fn settle_proxies(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0070_726F_7869_6573);
    if !variety.has(&mut rng.fork()) {
        return;
    }
    scenario.takes_proxies = true;
    reroute(scenario, |way| {
        let version = if rng.bool() { ProxyVersion::V1 } else { ProxyVersion::V2 };
        way.proxy = (way.websocket.is_none() && rng.bool()).then_some(version);
    });
}

/// Lets nodes find each other by sources, from a random stream of its own, too.
pub(super) fn settle_discovery(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x6469_7363_6F76_6572);
    if variety.has(&mut rng.fork()) {
        scenario.finds = true;
        scenario.changes.retain(|(_, change)| change.routes().is_none());
    }
}

/// Lets nobody dial some of the nodes but who is configured to, and some pairs not dial each other; from a random stream of its own, too.
/// The first, and the second where both have one name, can be dialed by all. Then no connections go on in frames.
pub(super) fn settle_walls(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0077_616C_6C73);
    let is_drawn = variety.has(&mut rng.fork());
    if !is_drawn || !scenario.nodes.iter().all(|member| member.heals) {
        return;
    }
    // What a circuit begins with is not for frames.
    scenario.changes.retain(|(_, change)| !matches!(change, Change::Transport(_)));
    // Who is configured with nobody whom it can dial is lost.
    scenario.changes.retain(|(_, change)| change.routes().is_none());
    let open = if scenario.topology == Topology::Name { 2 } else { 1 };
    let count = scenario.nodes.len();
    let hidden: Vec<_> = (0..count).map(|node| node >= open && rng.bool()).collect();
    let routes = scenario.topology.routes(count, &mut Rng::with_seed(scenario.seed));
    let is_configured = |from: usize, to: usize| routes[from].contains(&Seed::Node(NodeId(to)));
    let mut walls = Vec::new();
    for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
        let is_apart = from >= open && to >= open && rng.u8(..4) == 0;
        if from != to && !is_configured(from, to) && (hidden[to] || is_apart) {
            walls.push((NodeId(from), NodeId(to)));
        }
    }
    scenario.walls = Some(walls);
}

/// Lets clients come by other ways. Who has none of its own stays as it is.
fn reroute(scenario: &mut Scenario, mut change: impl FnMut(&mut Way)) {
    for (_, operation) in &mut scenario.operations {
        let (node, login, echo, mut way) = match *operation {
            Operation::Connect { node, echo } => (node, None, echo, Way::default()),
            Operation::ConnectAs { node, login, echo } => (node, Some(login), echo, Way::default()),
            Operation::ConnectBy { node, login, echo, way } => (node, login, echo, way),
            _ => continue,
        };
        let before = way;
        change(&mut way);
        if way != before {
            *operation = Operation::ConnectBy { node, login, echo, way };
        }
    }
}

/// Something that is likely to be compressed with others.
fn draw_compression(rng: &mut Rng) -> Compression {
    match rng.u8(..12) {
        0 => Compression::NotSupported,
        1 => Compression::Off,
        2..5 => Compression::Accept,
        5..7 => Compression::Auto(RttThresholds::default()),
        7 => Compression::S2(S2Level::Best),
        8..10 => Compression::S2(S2Level::Better),
        _ => Compression::S2(S2Level::Fast),
    }
}

/// Frames from the start or from some moment on; perhaps not for ever, or with another key in the end. And clients that go
/// over to them in the middle of what they do.
fn draw_transport(rng: &mut Rng, scenario: &mut Scenario) {
    let from = if rng.bool() { Duration::ZERO } else { draw_time(rng, scenario.faulty_for) };
    let changes = &mut scenario.changes;
    changes.push((from, Change::Transport(Some(rng.u64(..)))));
    if rng.u8(..3) == 0 {
        let until = draw_time(rng, scenario.faulty_for).max(from);
        changes.push((until, Change::Transport(rng.bool().then(|| rng.u64(..)))));
    }
    for _ in 0..rng.usize(..12) {
        let (node, client) = (rng.usize(..scenario.nodes.len()), rng.usize(..1 << 16));
        let at = [(); 3].map(|()| draw_time(rng, scenario.faulty_for));
        let late = [Operation::Arrive { node }, Operation::Present { client }, Operation::draw(rng)];
        scenario.operations.extend(at.into_iter().zip(late));
    }
}

/// Accounts that most nodes have from the start, and that come and go here and there; and what clients do in them.
fn draw_accounts(rng: &mut Rng, scenario: &mut Scenario) {
    let nodes = scenario.nodes.len();
    let within = scenario.faulty_for;
    for account in 0..rng.usize(1..=ACCOUNTS.len()) {
        let first: Vec<_> = (0..nodes).map(NodeId).filter(|_| rng.u8(..4) > 0).collect();
        for node in first {
            let at = if rng.bool() { Duration::ZERO } else { draw_time(rng, within) };
            scenario.changes.push((at, Change::AddAccount(node, account)));
        }
        for _ in 0..rng.usize(..8) {
            let (node, at) = (NodeId(rng.usize(..nodes)), draw_time(rng, within));
            let comes = rng.bool();
            let change = if comes { Change::AddAccount } else { Change::RemoveAccount };
            scenario.changes.push((at, change(node, account)));
        }
        if rng.u8(..4) == 0 {
            // It is given up, at all nodes within a moment.
            let at = draw_time(rng, within);
            let gone = (0..nodes)
                .map(|node| (at + draw_time(rng, MOMENT), Change::RemoveAccount(NodeId(node), account)));
            scenario.changes.extend(gone);
        }
    }
    for _ in 0..rng.usize(10..60) {
        let operation = match Operation::draw(rng) {
            Operation::Connect { node, echo } => {
                Operation::ConnectIn { node, account: rng.usize(..ACCOUNTS.len()), echo }
            }
            other => other,
        };
        scenario.operations.push((draw_time(rng, within), operation));
    }
}

/// Nodes get other configurations, of which some must be refused.
fn draw_configurations(rng: &mut Rng, scenario: &mut Scenario) {
    let nodes = scenario.nodes.len();
    for _ in 0..rng.usize(1..8) {
        let (node, at) = (rng.usize(..nodes), draw_time(rng, scenario.faulty_for));
        let mut settings: Vec<_> = (0..rng.usize(1..4)).map(|_| draw_setting(rng, node, nodes)).collect();
        if rng.u8(..5) == 0 {
            settings.push(Setting::Fixed(rng.usize(..FIXED.len())));
        }
        scenario.changes.push((at, Change::Configure(NodeId(node), settings)));
    }
}

fn draw_setting(rng: &mut Rng, node: usize, nodes: usize) -> Setting {
    match rng.u8(..18) {
        0 => Setting::MaxPayload([100, 1_000, 10_000, 1 << 20][rng.usize(..4)]),
        1 => Setting::MaxPending([20 << 10, 64 << 20][rng.usize(..2)]),
        2 => Setting::MaxConnections([2, 4, 1_000][rng.usize(..3)]),
        3 => Setting::PingInterval(Duration::from_millis(rng.u64(1_000..60_000))),
        // Not longer, so that the dead are found as soon.
        4 => Setting::RoutePingInterval(Duration::from_millis(rng.u64(1_000..3_000))),
        5 => Setting::WriteDeadline(Duration::from_millis(rng.u64(1_000..10_000))),
        6 => Setting::RouteWriteDeadline(Duration::from_millis(rng.u64(2_000..3_000))),
        7 => Setting::Retries(rng.u32(..3), rng.bool()),
        8 => Setting::Limits(draw_limits(rng)),
        9 => Setting::ClientLimits([0, 1_000][rng.usize(..2)], [0, 16][rng.usize(..2)], 1 << rng.u32(9..14)),
        10 => Setting::PingMax(rng.u32(1..4)),
        _ => Setting::Routes(draw_routes(rng, node, nodes)),
    }
}

/// What servers that mean well do not reach.
fn draw_limits(rng: &mut Rng) -> RouteLimits {
    RouteLimits {
        max_unregistered: 1 << rng.u32(8..11),
        max_unregistered_in_bytes: 1 << rng.u32(13..17),
        max_pending_control: 1 << rng.u32(20..25),
        max_interest: 1 << rng.u32(12..24),
        ..RouteLimits::default()
    }
}

/// Some of the others, and seldom none.
fn draw_routes(rng: &mut Rng, node: usize, nodes: usize) -> Vec<Seed> {
    let mut others: Vec<_> = (0..nodes).filter(|other| *other != node).collect();
    rng.shuffle(&mut others);
    let least = usize::from(rng.u8(..8) > 0).min(others.len());
    others.truncate(rng.usize(least..=others.len()));
    others.into_iter().map(|other| Seed::Node(NodeId(other))).collect()
}

/// So long a change takes to be made at all nodes.
const MOMENT: Duration = Duration::from_millis(50);
