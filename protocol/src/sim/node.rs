//! A simulated server: an engine, its sockets, and the routes it has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::encryption;
use super::ids::NodeId;
use super::label::Labels;
use super::net::End;
use crate::accounts::SYSTEM_ACCOUNT;
use crate::config::{ClusterConfig, Config, Healing, HostPort, Port, RouteUrl, SecretSeed};
use crate::engine::Engine;
use crate::id::ConnectionId;
use crate::node::Listening;
use crate::routes::DialId;
use crate::time::Instant;
use crate::transport::HandshakeFirst;

/// What a node is configured with to join the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// The address that a node has when this one starts.
    Node(NodeId),
    /// A name, which the world resolves ([`World::add_name`](super::World::add_name)).
    Name(String),
}

/// A node as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its configuration. The world fills in the server's name and seed, where it listens, and
    /// [`ClusterConfig::routes`].
    pub config: Config,
    /// Its configured routes.
    pub routes: Vec<Seed>,
    /// Others see another address than the one that it can be reached at, which it advertises.
    pub is_behind_nat: bool,
}

impl NodeSpec {
    /// A node with a pool of so many connections per peer, or without a pool, which pings often enough for a dead
    /// connection to be found within seconds.
    pub fn new(pool_size: Option<u16>) -> Self {
        let cluster = ClusterConfig {
            name: Some("sim".to_owned()),
            pool_size: pool_size.and_then(NonZeroU16::new),
            ping_interval: Some(Duration::from_secs(3)),
            ping_max: Some(2),
            write_deadline: Some(Duration::from_secs(2)),
            ..ClusterConfig::default()
        };
        let config = Config {
            cluster: Some(cluster),
            ping_interval: Duration::from_secs(60),
            max_closed_clients: 2,
            ..Config::default()
        };
        Self { config, routes: Vec::new(), is_behind_nat: false }
    }

    /// The same with these configured routes.
    #[must_use]
    pub fn joining(self, routes: impl IntoIterator<Item = Seed>) -> Self {
        Self { routes: routes.into_iter().collect(), ..self }
    }

    /// The same with the healing rules on, or off: then it behaves like the Go server (design.md 5).
    #[must_use]
    pub fn healing(mut self, on: bool) -> Self {
        if let Some(cluster) = &mut self.config.cluster {
            cluster.healing = if on { Healing::default() } else { Healing::none() };
        }
        self
    }

    /// The same with TLS on its routes and for clients that want it, who may begin as said. All nodes of such a world have one
    /// certificate, and all must speak TLS to be members.
    #[must_use]
    pub fn encrypted(mut self, handshake_first: HandshakeFirst) -> Self {
        encryption::encrypt(&mut self.config, handshake_first);
        self
    }

    /// How many connections it wants in a pool.
    pub fn pool_size(&self) -> Option<usize> {
        let cluster = self.config.cluster.as_ref()?;
        cluster.pool_size.map(|size| usize::from(size.get()))
    }

    /// The accounts that it wants a connection of their own for.
    pub fn pinned(&self) -> impl Iterator<Item = &str> {
        let system_account = self.config.system_account_name();
        self.config.cluster.iter().flat_map(move |cluster| cluster.pinned(system_account))
    }

    /// The kinds of connection that it wants to each peer: those of its pool, and one for each account that has its own.
    pub(super) fn kinds(&self) -> usize {
        1 + self.pinned().count()
    }
}

/// A node of a world.
#[derive(Debug)]
pub(super) struct SimNode {
    pub(super) id: NodeId,
    pub(super) spec: NodeSpec,
    /// Its accounts beside the global one and those of tenants.
    pub(super) accounts: BTreeSet<String>,
    /// The tenants whom clients here asked for something with a reply since it started, and whether anybody heard it: then it listens
    /// for the answers in their accounts.
    pub(super) asked: BTreeMap<Arc<str>, bool>,
    /// None while it is down.
    pub(super) engine: Option<Engine>,
    /// Counts starts; what concerns an earlier one is void.
    pub(super) incarnation: u32,
    /// How often its address changed.
    pub(super) moves: u8,
    /// It is not started any more.
    pub(super) is_gone_for_good: bool,
    /// Takes no new connections though it runs.
    pub(super) refuses: bool,
    pub(super) server_id: String,
    pub(super) connect_urls: Vec<String>,
    /// The same for those by WebSocket.
    pub(super) ws_connect_urls: Vec<String>,
    /// When it is to be woken; earlier wishes are void.
    pub(super) timer: Option<Instant>,
    /// Something is due then; otherwise it is to be asked then.
    pub(super) timer_is_due: bool,
    /// When its engine was last asked for the next.
    pub(super) timer_asked_at: Instant,
    /// The routes that it registered, by the peer's server id.
    pub(super) routes: BTreeMap<String, PeerRoutes>,
    /// One that is ending is still here when another has its index.
    pub(super) sockets: BTreeMap<ConnectionId, Socket>,
    /// What its dials are called.
    pub(super) labels: Labels,
    /// Where it dials now.
    pub(super) dialing: BTreeMap<DialId, (String, u16)>,
    /// The same for circuits.
    pub(super) dialing_circuits: BTreeSet<DialId>,
    /// How often it could not connect to each host.
    pub(super) failed_dials: BTreeMap<String, u64>,
    /// How often it dialed addresses that nobody had had for longer than it remembers.
    pub(super) late_dials: BTreeMap<IpAddr, u64>,
    /// Connections that it opened since it was started.
    pub(super) opened: u32,
    pub(super) pace: Pace,
    pub(super) former: FormerLimits,
    /// When it did last what was due.
    pub(super) served_at: Option<Instant>,
}

/// What a node has done so far that is limited per time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) started_at: Instant,
    /// Until when its dials would take at the allowed pace.
    pub(super) dials_until: Instant,
    /// Connections between nodes that it registered.
    pub(super) registrations: u64,
    /// Lines of INFO about others, and about itself.
    pub(super) gossip_lines: u64,
    pub(super) own_lines: u64,
    /// Lines about servers that there are not.
    pub(super) lies: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { started_at: now, dials_until: now, ..Self::default() }
    }
}

/// The loosest of the limits that a node had since it was started: a connection heeds others when it is called next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FormerLimits {
    pub(super) max_pending: usize,
    pub(super) write_deadline: Duration,
    pub(super) route_write_deadline: Duration,
}

/// What belongs to one connection of an engine.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) connection: ConnectionId,
    pub(super) end: End,
    /// Whose route it is, once it is registered.
    pub(super) peer: Option<String>,
    pub(super) is_client: bool,
}

/// The routes between a node and one peer.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerRoutes {
    pub(super) pooled: Vec<ConnectionId>,
    pub(super) dedicated: Vec<(String, ConnectionId)>,
    /// When one came or went last.
    pub(super) changed_at: Instant,
}

impl PeerRoutes {
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        self.pooled.retain(|it| *it != connection);
        self.dedicated.retain(|(_, it)| *it != connection);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pooled.is_empty() && self.dedicated.is_empty()
    }

    /// Those that may carry what clients of an account say, of any if it is none.
    pub(super) fn carrying<'a>(
        &'a self,
        account: Option<&'a str>,
    ) -> impl Iterator<Item = ConnectionId> + 'a {
        let is_it = move |name: &str| account.is_none_or(|account| account == name) && name != SYSTEM_ACCOUNT;
        let dedicated = self.dedicated.iter().filter(move |(name, _)| is_it(name)).map(|(_, route)| *route);
        self.pooled.iter().copied().chain(dedicated)
    }

    /// Whether there are exactly as many as two such nodes want.
    pub(super) fn is_exact(&self, own: &NodeSpec, theirs: &NodeSpec) -> bool {
        let (pooled, dedicated) = wanted_routes(own, theirs);
        self.pooled.len() == pooled && self.dedicated.len() == dedicated
    }
}

/// How many connections carry several accounts and how many a single one, between such nodes (wire.md 4.3, 4.4: those have one
/// that both say it of).
pub(super) fn wanted_routes(own: &NodeSpec, theirs: &NodeSpec) -> (usize, usize) {
    match (own.pool_size(), theirs.pool_size()) {
        (Some(size), Some(other)) => {
            let is_of_both = |account: &&str| theirs.pinned().any(|theirs| theirs == *account);
            (size.max(other), own.pinned().filter(is_of_both).count())
        }
        _ => (1, 0),
    }
}

impl SimNode {
    /// Whether a connection is part of a circuit that passes through this node.
    pub(super) fn passes(&self, connection: ConnectionId) -> bool {
        let cluster = self.engine.as_ref().and_then(|engine| engine.node().cluster());
        cluster.is_some_and(|cluster| cluster.passes(connection))
    }

    /// How many circuits pass.
    pub(super) fn circuits(&self) -> usize {
        let circuits = self.engine.as_ref().map(|engine| engine.node().circuits());
        circuits.map_or(0, |circuits| circuits.passing)
    }

    /// A dial was answered. Returns where it went, if not for a circuit.
    pub(super) fn end_dial(&mut self, dial: DialId) -> Option<(String, u16)> {
        self.dialing_circuits.remove(&dial);
        self.dialing.remove(&dial)
    }

    pub(super) fn new(id: NodeId, spec: NodeSpec) -> Self {
        Self {
            id,
            spec,
            accounts: BTreeSet::new(),
            asked: BTreeMap::new(),
            engine: None,
            incarnation: 0,
            moves: 0,
            is_gone_for_good: false,
            refuses: false,
            server_id: String::new(),
            connect_urls: Vec::new(),
            ws_connect_urls: Vec::new(),
            timer: None,
            timer_is_due: false,
            timer_asked_at: Instant::ZERO,
            routes: BTreeMap::new(),
            sockets: BTreeMap::new(),
            labels: Labels::default(),
            dialing: BTreeMap::new(),
            dialing_circuits: BTreeSet::new(),
            failed_dials: BTreeMap::new(),
            late_dials: BTreeMap::new(),
            opened: 0,
            pace: Pace::default(),
            former: FormerLimits::default(),
            served_at: None,
        }
    }

    /// Where it can be reached.
    pub(super) fn ip(&self) -> IpAddr {
        address(self.id, self.moves)
    }

    /// Where others see its connections come from.
    pub(super) fn seen_ip(&self) -> IpAddr {
        if self.spec.is_behind_nat { address(self.id, u8::MAX - self.moves) } else { self.ip() }
    }

    /// Where clients of any kind can reach it.
    pub(super) fn urls(&self) -> impl Iterator<Item = &String> {
        self.connect_urls.iter().chain(&self.ws_connect_urls)
    }

    /// Starts it, with another identity than before.
    pub(super) fn start(&mut self, seed: u64, routes: Vec<RouteUrl>, now: Instant) {
        let ip = self.ip();
        let secret_seed = SecretSeed::guessable(seed);
        let mut config =
            Config { seed, secret_seed, server_name: Some(self.id.to_string()), ..self.spec.config.clone() };
        if let Some(cluster) = &mut config.cluster {
            cluster.routes = routes;
            cluster.port = Port::Fixed(ROUTE_PORT);
            if self.spec.is_behind_nat {
                cluster.advertise = Some(HostPort { host: ip.to_string(), port: None });
            }
        }
        let listening = Listening {
            websocket_port: if config.websocket.is_some() { WEBSOCKET_PORT } else { 0 },
            client_port: CLIENT_PORT,
            route_port: ROUTE_PORT,
            interfaces: vec![ip],
            unix_nanos_at_zero: 0,
        };
        let is_encrypted = config.tls.is_some();
        let mut engine = Engine::new(config, &listening, now);
        if is_encrypted {
            engine.keep_legible();
        }
        self.incarnation += 1;
        self.server_id = engine.node().hub().server_id().to_owned();
        self.connect_urls = vec![format!("{ip}:{CLIENT_PORT}")];
        let by_websocket = self.spec.config.websocket.iter();
        self.ws_connect_urls = by_websocket.map(|_| format!("{ip}:{WEBSOCKET_PORT}")).collect();
        self.engine = Some(engine);
        self.timer = None;
        self.refuses = false;
        self.sockets.clear();
        self.dialing.clear();
        self.dialing_circuits.clear();
        self.failed_dials.clear();
        self.late_dials.clear();
        self.opened = 0;
        self.pace = Pace::new(now);
        self.former = FormerLimits::default();
        self.served_at = None;
        self.asked.clear();
        self.accounts.clone().iter().for_each(|name| self.add_account(now, name));
    }

    /// Its limits are about to change.
    pub(super) fn note_former_limits(&mut self) {
        let config = &self.spec.config;
        let of_routes = config.cluster.as_ref().and_then(|cluster| cluster.write_deadline);
        let FormerLimits { max_pending, write_deadline, route_write_deadline } = self.former;
        self.former = FormerLimits {
            max_pending: max_pending.max(config.max_pending),
            write_deadline: write_deadline.max(config.write_deadline),
            route_write_deadline: route_write_deadline.max(of_routes.unwrap_or_default()),
        };
    }

    /// Adds an account to the engine, if it runs.
    pub(super) fn add_account(&mut self, now: Instant, name: &str) {
        if let Some(engine) = &mut self.engine {
            engine.add_account(now, name).expect("a valid name that is not taken");
        }
    }

    pub(super) fn open(&mut self, socket: Socket) {
        self.opened += u32::from(!socket.is_client);
        self.sockets.insert(socket.connection, socket);
    }

    pub(super) fn socket(&self, connection: ConnectionId) -> Option<&Socket> {
        self.sockets.get(&connection)
    }

    pub(super) fn socket_mut(&mut self, connection: ConnectionId) -> Option<&mut Socket> {
        self.sockets.get_mut(&connection)
    }

    pub(super) fn close(&mut self, connection: ConnectionId) -> Option<Socket> {
        self.sockets.remove(&connection)
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.values()
    }
}

/// The address of a node after it moved so many times.
fn address(node: NodeId, moves: u8) -> IpAddr {
    let [_, _, high, low] = (node.0 as u32 + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, moves, high, low))
}

/// Where every simulated node listens for peers.
pub(super) const ROUTE_PORT: u16 = 6222;
/// Where a simulated node that takes clients by WebSocket listens for them.
pub(super) const WEBSOCKET_PORT: u16 = 8080;
/// Where every simulated node listens for clients.
pub(super) const CLIENT_PORT: u16 = 4222;
/// So long after the last fault every dead connection was found by pings and write deadlines
/// ([`NodeSpec::new`]: three unanswered at most, three seconds apart, and their jitter).
pub const DEATH_IS_NOTICED: Duration = Duration::from_secs(14);
