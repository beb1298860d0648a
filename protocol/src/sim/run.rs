//! Runs a scenario in its two phases: while faults are on, safety must hold; once they are off, all must become whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::change::{ACCOUNTS, Change};
use super::ids::{ClientId, NodeId};
use super::net::NetworkConfig;
use super::node::{DEATH_IS_NOTICED, NodeSpec, Seed, wanted_routes};
use super::passage::{ProxyVersion, TlsStart, Way};
use super::rule::{Rule, Violation};
use super::scenario::{FILTERS, Operation, QUEUES, RESPONDERS, SUBJECTS, Scenario};
use super::tenants::MAPPED;
use super::topology::CLUSTER_NAME;
use super::trace::Lines;
use super::world::{Statistics, World};
use crate::accounts::GLOBAL_ACCOUNT;
use crate::config::{RelayMode, WebSocketConfig};
use crate::time::Instant;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The rule that was broken, if any.
    pub violation: Option<Violation>,
    /// How long after the end of the faults the mesh was whole; none if it was not.
    pub whole_after: Option<Duration>,
    /// What it cost.
    pub statistics: Statistics,
    /// Messages that were published.
    pub messages: usize,
    /// Virtual time.
    pub elapsed: Duration,
    /// Tells two runs apart ([`Trace::hash`](super::Trace::hash)).
    pub trace_hash: u64,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

impl Scenario {
    /// Runs it. The outcome has the lines of what happened, if they are kept.
    pub fn run(&self, lines: Lines) -> Outcome {
        let mut world = self.build(lines);
        // A panic anywhere inside is a finding like any other. The world is only read afterwards.
        let ended = catch_unwind(AssertUnwindSafe(|| self.drive(&mut world)));
        let (violation, whole_after) = match ended {
            Ok(Ok(whole_after)) => (None, whole_after),
            Ok(Err(violation)) => (Some(violation), None),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                let violation =
                    Violation { at: world.now(), ..Violation::new(Rule::NoPanic, text.to_owned()) };
                (Some(violation), None)
            }
        };
        Outcome {
            violation,
            whole_after,
            statistics: world.statistics(),
            messages: world.message_count(),
            elapsed: world.now().since(Instant::ZERO),
            trace_hash: world.trace().hash(),
            trace: world.trace().lines().to_vec(),
        }
    }

    /// The world before anything happened in it.
    pub fn build(&self, lines: Lines) -> World {
        let world = World::new(self.seed, self.network.clone(), lines);
        let mut world = world.with_tenants(self.tenants.clone());
        let routes = self.topology.routes(self.nodes.len(), &mut fastrand::Rng::with_seed(self.seed));
        let named = |seed: Seed| match seed {
            Seed::Node(node) if self.uses_names => Seed::Name(format!("{node}.example")),
            seed => seed,
        };
        let specs = self.nodes.iter().zip(routes).enumerate();
        let specs = specs.map(|(at, (member, routes))| {
            self.compressing(at, self.listening(self.limited(member.spec())))
                .joining(routes.into_iter().map(named))
        });
        let ids: Vec<_> = specs.map(|spec| world.add_node(spec)).collect();
        for id in ids.iter().filter(|_| self.finds) {
            world.tell_instead(*id, world.nodes[id.0].spec.routes.clone());
        }
        world.add_name(CLUSTER_NAME, &ids[..ids.len().min(2)]);
        for (at, id) in ids.iter().enumerate() {
            world.add_name(&format!("{id}.example"), &[*id]);
            let place = if self.starts_backwards { ids.len() - 1 - at } else { at };
            world.start_after(*id, self.start_gap * place as u32);
        }
        for (dialer, dialed) in self.walls.iter().flatten() {
            world.forbid(*dialer, *dialed);
        }
        for (at, fault) in &self.faults {
            world.fault_after(*at, fault.clone());
        }
        for (at, change) in &self.changes {
            world.change_after(*at, change.naming(named));
        }
        world
    }

    fn limited(&self, mut spec: NodeSpec) -> NodeSpec {
        if let (Some(forget_after), Some(cluster)) = (self.forget_after, &mut spec.config.cluster) {
            cluster.healing.forget_after = forget_after;
            cluster.healing.max_retry_pause = Duration::from_secs(5);
        }
        if let (Some(dials), Some(cluster)) = (self.dials_per_second, &mut spec.config.cluster) {
            cluster.healing.dials_per_second = dials;
        }
        let goes_on_in_frames = self.changes.iter().any(|(_, change)| matches!(change, Change::Transport(_)));
        // A connection that may be for a circuit says when it becomes a route, and only then begins with frames.
        if let (true, Some(cluster)) = (goes_on_in_frames || !self.relays, &mut spec.config.cluster) {
            cluster.relay.mode = RelayMode::Off;
        }
        if let Some(bytes) = self.max_pending_bytes {
            spec.config.max_pending = bytes;
            spec.config.max_payload = spec.config.max_payload.min(bytes);
        }
        spec
    }

    fn listening(&self, mut spec: NodeSpec) -> NodeSpec {
        let websocket = || WebSocketConfig { no_tls: true, compression: true, ..WebSocketConfig::default() };
        spec.config.websocket = self.takes_websockets.then(websocket);
        spec.config.proxy_protocol = self.takes_proxies;
        if let Some(handshake_first) = self.tls {
            spec = spec.encrypted(handshake_first);
        }
        spec
    }

    fn compressing(&self, at: usize, mut spec: NodeSpec) -> NodeSpec {
        if let (Some(mode), Some(cluster)) = (self.compression.get(at), &mut spec.config.cluster) {
            cluster.compression = mode.clone();
        }
        spec
    }

    fn drive(&self, world: &mut World) -> Result<Option<Duration>, Violation> {
        for (at, operation) in &self.operations {
            world.run_for(at.saturating_sub(world.now().since(Instant::ZERO)))?;
            operation.apply(world);
        }
        world.run_for(self.faulty_for.saturating_sub(world.now().since(Instant::ZERO)))?;
        world.end_faults();
        let whole_after = self.converge(world)?;
        if whole_after.is_some() {
            self.check_traffic(world)?;
            let is_configured = self.changes.is_empty() && !self.finds && self.walls.is_none();
            if self.is_quiet() && is_configured && self.nodes.iter().all(|member| member.heals) {
                check_dials(world, self)?;
            }
        }
        if let Some(at) = world.forgotten_at().filter(|_| self.forget_after.is_some()) {
            world.run_for(at.since(world.now()) + SETTLING)?;
        }
        Ok(whole_after)
    }

    /// Lets the mesh become whole and checks it.
    fn converge(&self, world: &mut World) -> Result<Option<Duration>, Violation> {
        let quiet_from = world.now();
        // Dead connections look alive until pings have found them.
        let deaths_noticed_at = if self.is_quiet() { quiet_from } else { quiet_from + DEATH_IS_NOTICED };
        let give_up_at = deaths_noticed_at + CONVERGENCE_BOUND;
        let whole_at = loop {
            if world.run_until_whole(give_up_at.since(world.now()))?.is_none() {
                world.check_connected()?;
                return if self.must_converge { Err(not_whole(world)) } else { Ok(None) };
            }
            // Where two dial each other at once each has a connection for a moment, and neither keeps it.
            let whole_at = world.now();
            let certain_at = deaths_noticed_at.max(whole_at + SETTLING);
            while world.now() < certain_at && world.is_unchanged_since(whole_at) {
                world.run_for(SETTLING.min(certain_at.since(world.now())))?;
            }
            if world.is_mesh_whole() && world.is_unchanged_since(whole_at) {
                break whole_at;
            }
        };
        world.check_settled()?;
        Ok(Some(whole_at.since(quiet_from)))
    }

    /// In a whole mesh everybody publishes on everything, and everybody who listens in the same account hears it, or in one that
    /// imports it.
    fn check_traffic(&self, world: &mut World) -> Result<(), Violation> {
        let clients = self.connect_all(world);
        for (at, client) in clients.iter().enumerate() {
            world.subscribe(*client, FILTERS[at % FILTERS.len()], None, false);
            world.subscribe(*client, SUBJECTS[at % SUBJECTS.len()], Some(QUEUES[0]), false);
            let asked: &[_] = if self.tenants.is_empty() { &["ask"] } else { &["ask", "b.*"] };
            for subject in asked {
                world.subscribe(*client, subject, Some(RESPONDERS), true);
            }
        }
        world.run_for(SETTLING)?;
        let mut messages = Vec::new();
        let mut requests = Vec::new();
        for client in &clients {
            messages.extend(SUBJECTS.iter().filter_map(|subject| world.publish(*client, subject, 10)));
            // What is not for a service is a request all the same.
            let asked: &[_] = if self.tenants.is_empty() { &["ask"] } else { &["ask", "b.a", "c", MAPPED] };
            for subject in asked {
                requests.extend(world.request(*client, subject).map(|request| (*client, request)));
            }
        }
        world.run_for(SETTLING)?;
        messages.iter().try_for_each(|message| world.check_delivery(*message))?;
        if self.pools_agree() {
            requests.into_iter().try_for_each(|(client, request)| world.check_reply(client, request))?;
        }
        world.check_settled()
    }

    /// A client at each node in each account, of tenants one of each user.
    fn connect_all(&self, world: &mut World) -> Vec<ClientId> {
        let nodes = || (0..self.nodes.len()).map(NodeId);
        let accounts = [GLOBAL_ACCOUNT].into_iter().chain(ACCOUNTS);
        let places = accounts.flat_map(|account| nodes().map(move |node| (node, account)));
        let mut clients: Vec<_> =
            places.filter_map(|(node, account)| world.connect_in(node, account, true)).collect();
        for way in self.ways() {
            clients.extend(nodes().filter_map(|node| world.connect_by(node, None, true, way)));
        }
        let users = self.tenants.logins().flat_map(|login| nodes().map(move |node| (node, login)));
        clients.extend(users.filter_map(|(node, login)| world.connect_as(node, login, true)));
        clients
    }

    /// Those by which clients can come, but for a plain connection of their own.
    fn ways(&self) -> Vec<Way> {
        let after_info = self.tls.map(|_| TlsStart::AfterInfo);
        let at_once = self.tls.map(|_| TlsStart::AtOnce);
        let by_websocket = |compresses| Way { websocket: Some(compresses), tls: at_once, proxy: None };
        let by_proxy = |version| Way { proxy: Some(version), tls: after_info, websocket: None };
        let mut ways = Vec::new();
        if self.takes_websockets {
            ways.extend([false, true].map(by_websocket));
        }
        if self.takes_proxies {
            ways.extend([ProxyVersion::V1, ProxyVersion::V2].map(by_proxy));
        }
        if self.tls.is_some() {
            ways.extend([after_info, at_once].map(|tls| Way { tls, ..Way::default() }));
        }
        ways
    }

    /// Where pools differ in size, a question and the interest in its answer take different routes, so that the answer may
    /// come before anybody knows who wants it (wire.md 4.2).
    fn pools_agree(&self) -> bool {
        let mut sizes: Vec<_> = self.nodes.iter().filter_map(|node| node.pool_size).collect();
        sizes.dedup();
        sizes.len() <= 1
    }

    fn is_quiet(&self) -> bool {
        let NetworkConfig { resets_per_million, refusals_per_million, timeouts_per_million, .. } =
            self.network;
        self.faults.is_empty() && [resets_per_million, refusals_per_million, timeouts_per_million] == [0; 3]
    }
}

impl Operation {
    /// Lets a client do it, if there is one.
    pub fn apply(self, world: &mut World) {
        let clients = world.clients.len();
        let pick = |client: usize| ClientId(client % clients.max(1));
        match self {
            Self::Connect { node, echo } => {
                world.connect(NodeId(node % world.node_count().max(1)), echo);
            }
            Self::ConnectIn { node, account, echo } => {
                let node = NodeId(node % world.node_count().max(1));
                world.connect_in(node, ACCOUNTS[account % ACCOUNTS.len()], echo);
            }
            Self::ConnectAs { node, login, echo } => {
                let logins: Vec<_> = world.tenants.logins().collect();
                if let Some(login) = logins.get(login % logins.len().max(1)) {
                    world.connect_as(NodeId(node % world.node_count().max(1)), *login, echo);
                }
            }
            Self::ConnectBy { node, login, echo, way } => {
                let logins: Vec<_> = world.tenants.logins().collect();
                let login = login.and_then(|login| logins.get(login % logins.len().max(1)).copied());
                let node = NodeId(node % world.node_count().max(1));
                world.connect_by(node, login, echo, way);
            }
            Self::Arrive { node } => {
                world.arrive(NodeId(node % world.node_count().max(1)));
            }
            _ if clients == 0 => {}
            Self::Present { client } => {
                let late: Vec<_> =
                    (0..clients).map(ClientId).filter(|id| !world.client(*id).is_presented).collect();
                late.get(client % late.len().max(1)).into_iter().for_each(|id| world.present(*id));
            }
            Self::Disconnect { client } => world.disconnect(pick(client)),
            Self::Subscribe { client, filter, queue } => {
                let queue = queue.map(|queue| QUEUES[queue % QUEUES.len()]);
                world.subscribe(pick(client), FILTERS[filter % FILTERS.len()], queue, false);
            }
            Self::Serve { client, filter } => {
                world.subscribe(pick(client), FILTERS[filter % FILTERS.len()], Some(RESPONDERS), true);
            }
            Self::Unsubscribe { client, subscription } => {
                let count = world.client(pick(client)).subscriptions().len();
                world.unsubscribe(pick(client), (subscription % count.max(1)) as u64 + 1);
            }
            Self::Publish { client, subject, padding_bytes } => {
                world.publish(pick(client), SUBJECTS[subject % SUBJECTS.len()], padding_bytes);
            }
            Self::Request { client, subject } => {
                world.request(pick(client), SUBJECTS[subject % SUBJECTS.len()]);
            }
        }
    }
}

/// Without faults no more than [`DIALS_PER_ROUTE`] dials are made for each route that a full mesh has.
pub(super) fn check_dials(world: &World, scenario: &Scenario) -> Result<(), Violation> {
    let nodes = scenario.nodes.len();
    let routes: usize = (0..nodes)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .map(|(a, b)| {
            let (pooled, dedicated) = wanted_routes(&world.nodes[a].spec, &world.nodes[b].spec);
            pooled + dedicated
        })
        .sum();
    // Names may resolve to oneself, and so may configured addresses.
    let to_oneself: usize = world.nodes.iter().map(|node| (2 * node.spec.kinds()).max(4)).sum();
    let limit = (routes + to_oneself) as u64 * DIALS_PER_ROUTE;
    let dials = world.statistics().dials;
    if dials <= limit {
        return Ok(());
    }
    Err(violation(world, Rule::Dials, format!("{dials} dials for {routes} routes")))
}

fn not_whole(world: &World) -> Violation {
    let missing = world.missing_pairs();
    let some: Vec<_> = missing.iter().take(6).map(|(a, b)| format!("{a}-{b}")).collect();
    let text = format!(
        "{} ordered pairs are not connected as they should: {}; routes to servers that are gone: {:?}",
        missing.len(),
        some.join(" "),
        world.stale_peers()
    );
    violation(world, Rule::Convergence, text)
}

fn violation(world: &World, rule: Rule, text: String) -> Violation {
    Violation { at: world.now(), ..Violation::new(rule, text) }
}

/// So long after all dead connections were found the mesh is whole.
pub const CONVERGENCE_BOUND: Duration = Duration::from_secs(120);
/// So long after that everything that was under way has arrived.
pub const SETTLING: Duration = Duration::from_secs(3);
/// How many dials each route of a mesh may cost where all nodes heal and nothing fails. Others may dial each other at the same
/// moment again and again, if they are far apart and configured with each other.
pub const DIALS_PER_ROUTE: u64 = 3;
