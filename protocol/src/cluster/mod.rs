//! Gossip and routes put together as one machine: handshakes, registration, dialing, healing.
//!
//! A [`Cluster`] hears what happens on routes and says what is to be done, through [`Cluster::poll_output`] and
//! [`Cluster::poll_dial`]. It is never on the path of a message. The wiring in [`crate::node`] guards it with one
//! lock, so that a decision and its consequences (a seat taken, gossip queued) are one step.

#[cfg(feature = "sim")]
mod audit;
#[cfg(feature = "sim")]
mod describe;
mod handshake;
mod healing;
mod membership;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;

use fastrand::Rng;
use log::{debug, error, info};

use crate::accounts::{SYSTEM_ACCOUNT, pinned};
use crate::close::CloseReason;
use crate::config::{ClusterConfig, Compression, RouteUrl};
use crate::gossip::GossipMode;
use crate::hash::KeyedState;
use crate::id::ConnectionId;
use crate::identity::{self, Stream};
use crate::routes::{Dial, DialId, DialState, Dials, Peer, RETRY_PAUSE, Seat, jitter};
use crate::time::Instant;
use crate::wire::Info;

#[cfg(feature = "sim")]
pub(crate) use audit::Kept;
#[cfg(feature = "sim")]
pub(crate) use handshake::MAX_OWN_ADDRESSES;
pub(crate) use handshake::Refusal;
use healing::HealingState;

/// Everything that a node knows and wants of its cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    config: ClusterConfig,
    port: u16,
    /// How often a failed attempt is reported as an error.
    error_reports: (u32, u32),
    server_id: String,
    server_name: String,
    cluster_name: String,
    /// The name was generated, or taken over from a peer.
    dynamic: bool,
    /// A generated name gives way to a peer's; one that was taken over from a named peer does not.
    yields_name: bool,
    /// What INFO says on every route; the rest is the connection's.
    own_info: Info,
    own_urls: Vec<String>,
    peers: BTreeMap<String, Peer>,
    links: BTreeMap<ConnectionId, Link>,
    dials: Dials,
    /// When the next dial is due, if nothing changed since there was none to begin; none if something did.
    next_dial: Option<NextDial>,
    /// Addresses that turned out to be this node's own.
    own_addresses: Vec<SocketAddr>,
    healing: HealingState,
    outputs: VecDeque<Output>,
    rng: Rng,
}

/// What the cluster wants done to connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send these protocol lines over a registered route.
    Send(ConnectionId, Vec<u8>),
    /// Send this message over a registered route, if the peer wants what is on its subject.
    Publish { over: ConnectionId, subject: String, line: Vec<u8> },
    /// End a route.
    Close(ConnectionId, CloseReason),
    /// Clients are to be told of another set of servers.
    ConnectUrlsChanged,
}

/// A server to be dialed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRequest {
    /// What the answer refers to.
    pub id: DialId,
    /// A name or address. A name is to be resolved anew for each attempt.
    pub host: String,
    /// The route port.
    pub port: u16,
    /// Addresses that are this node's own and not worth an attempt.
    pub own_addresses: Vec<SocketAddr>,
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// No address took the connection; the text says why, for the log.
    Failed(String),
    /// Every address of the name is this node's own.
    OnlySelf,
}

/// When the next dial is due; none if there is none.
#[derive(Clone, Copy, Debug)]
struct NextDial(Option<Instant>);

/// One route connection, from its first byte to its last.
#[derive(Debug)]
struct Link {
    remote: SocketAddr,
    /// The dial that made it; none if it was accepted.
    dial: Option<DialId>,
    /// What the dial was for, which outlives it.
    origin: Option<Origin>,
    progress: Progress,
    /// The next PONG lets the next slot of the pool be dialed.
    armed: bool,
    /// Until then it must give a sign of life.
    probed_until: Option<Instant>,
}

/// What is known of a connection that this node dialed.
#[derive(Clone, Debug)]
struct Origin {
    url: RouteUrl,
    explicit: bool,
    account: Option<String>,
    gossip_mode: GossipMode,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Handshake,
    Registered { peer: String, seat: Seat, since: Instant },
}

impl Cluster {
    /// The cluster's half of a node whose INFO on routes is `own_info`, apart from what concerns the cluster.
    pub(crate) fn new(
        config: ClusterConfig,
        error_reports: (u32, u32),
        seed: u64,
        own_info: Info,
        route_port: u16,
        client_urls: Vec<String>,
        now: Instant,
    ) -> Self {
        let generated = || identity::cluster_name(&mut identity::stream(seed, Stream::ClusterName));
        let cluster_name = config.name.clone().unwrap_or_else(generated);
        let dynamic = config.name.is_none();
        let own_info = route_info(&config, own_info, route_port, client_urls.clone());
        let mut cluster = Self {
            server_id: own_info.server_id.clone(),
            server_name: own_info.server_name.clone(),
            port: route_port,
            error_reports,
            cluster_name,
            dynamic,
            yields_name: dynamic,
            own_info,
            own_urls: client_urls,
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            dials: Dials::default(),
            next_dial: None,
            own_addresses: Vec::new(),
            healing: HealingState::new(now),
            outputs: VecDeque::new(),
            rng: identity::stream(seed, Stream::Dials),
            config,
        };
        for url in cluster.config.routes.clone() {
            cluster.dial_configured(&url, now);
        }
        cluster
    }

    /// The cluster's name, given, generated or taken over.
    pub(crate) fn name(&self) -> &str {
        &self.cluster_name
    }

    /// What this node is configured to do.
    pub(crate) fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// How many servers there are routes to.
    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// The port that this node listens on for peers.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What a peer says of itself.
    pub(crate) fn peer_info(&self, peer: &str) -> Option<&Info> {
        self.peers.get(peer).map(|peer| &peer.info)
    }

    /// Whether the route to a peer was dialed from here, and whether the URL is configured.
    pub(crate) fn solicitation(&self, peer: &str) -> (bool, bool) {
        let solicited = self.peers.get(peer).and_then(|peer| peer.solicited.as_ref());
        solicited.map_or((false, false), |solicited| (true, solicited.explicit))
    }

    /// Client addresses of the peers, in the order of their ids. The hasher finds the duplicates.
    pub(crate) fn peer_urls(&self, hasher: &KeyedState) -> Vec<String> {
        let mut seen = HashSet::with_capacity_and_hasher(self.peers.len(), hasher.clone());
        let present = self.peers.values().filter(|peer| peer.first().is_some());
        present.flat_map(|peer| &peer.connect_urls).filter(|url| seen.insert(*url)).cloned().collect()
    }

    /// Client addresses of this node, whether or not the peers are told.
    pub(crate) fn own_urls(&self) -> &[String] {
        &self.own_urls
    }

    /// What is to be done to connections next. Poll until `None` after every other call.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What is to be dialed now. Poll until `None` after every other call and when [`Cluster::poll_timeout`] is due.
    #[must_use]
    pub(crate) fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        if self.next_dial.is_some_and(|next| next.0.is_none_or(|at| now < at)) {
            return None;
        }
        self.next_dial = None;
        let mut dials = std::mem::take(&mut self.dials);
        dials.drop_satisfied(|dial| self.is_satisfied(dial));
        self.dials = dials;
        let Some((id, dial)) = self.dials.begin_next(now, &self.config) else {
            self.next_dial = Some(NextDial(self.dials.poll_timeout(&self.config)));
            return None;
        };
        debug!("Trying to connect to route on {}:{}", dial.url.host, dial.url.port);
        Some(DialRequest {
            id,
            host: dial.url.host.clone(),
            port: dial.url.port,
            own_addresses: self.own_addresses.clone(),
        })
    }

    /// When [`Cluster::poll_dial`] and [`Cluster::handle_timeout`] are to be called next. Changes with every other call.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let dial = self.next_dial.map_or_else(|| self.dials.poll_timeout(&self.config), |next| next.0);
        dial.into_iter().chain(self.healing_timeout()).min()
    }

    /// How many attempts to reach servers were begun.
    pub(crate) fn dials_started(&self) -> u64 {
        self.dials.started()
    }

    /// Notes that a dial failed.
    pub(crate) fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        self.next_dial = None;
        let Some(dial) = self.dials.get(id) else {
            return;
        };
        match why {
            DialError::OnlySelf => {
                info!("Detected route to self, ignoring \"{}\"", dial.url);
                self.dials.remove(id);
            }
            DialError::Failed(why) => {
                self.report_failure(dial, why);
                self.dials.fail(id, now, &self.config, &mut self.rng);
            }
        }
    }

    /// Wants a configured server: a connection of the pool, and one for each account that has its own.
    fn dial_configured(&mut self, url: &RouteUrl, now: Instant) {
        for account in self.kinds_of_connection() {
            self.dials.add(Dial { explicit: true, ..Dial::new(url.clone(), account, now) });
        }
    }

    /// The kinds of connections that a peer may have: of the pool (none), and dedicated to an account.
    fn kinds_of_connection(&self) -> Vec<Option<String>> {
        let pinned = self.pinned_accounts().iter().map(|account| Some((*account).to_owned()));
        std::iter::once(None).chain(pinned).collect()
    }

    /// Accounts with connections of their own: a server that pools has one for the system account
    /// (wire.md 4.1).
    fn pinned_accounts(&self) -> &'static [&'static str] {
        pinned(self.config.pool_size.is_some())
    }

    fn pool_size(&self) -> usize {
        self.config.pool_size.map_or(0, |size| usize::from(size.get()))
    }

    fn report_failure(&self, dial: &Dial, why: &str) {
        let (connects, reconnects) = self.error_reports;
        let every = if dial.reconnect { reconnects } else { connects };
        let attempt = dial.failures.saturating_add(1);
        if dial.guess_of.is_none() && attempt == 1 || every > 0 && attempt.is_multiple_of(every) {
            error!("Error trying to connect to route (attempt {attempt}): {why}");
        } else {
            debug!("Error trying to connect to route (attempt {attempt}): {why}");
        }
    }
}

/// What INFO says on every route.
fn route_info(config: &ClusterConfig, base: Info, route_port: u16, client_urls: Vec<String>) -> Info {
    let mut info = Info {
        proto: ROUTE_PROTOCOL,
        host: config.host.clone(),
        port: route_port,
        auth_required: config.authorization.is_some(),
        connect_urls: if config.no_advertise { Vec::new() } else { client_urls },
        // This node does not compress, which a peer that would must know.
        compression: match config.compression {
            Compression::NotSupported => String::new(),
            Compression::Off | Compression::Accept => "off".to_owned(),
        },
        lnoc: true,
        lnocu: true,
        ln: true,
        onehop: i32::from(config.healing.compare),
        route_pool_size: config.pool_size.map_or(0, |size| i32::from(size.get())),
        ..base
    };
    if let Some(advertised) = &config.advertise {
        info.host.clone_from(&advertised.host);
        info.port = advertised.port.unwrap_or(route_port);
        info.ip = route_url_text(&info.host, info.port);
    }
    info
}

/// The form of an address that gossip carries: `nats-route://<host>:<port>/`.
fn route_url_text(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("nats-route://[{host}]:{port}/")
    } else {
        format!("nats-route://{host}:{port}/")
    }
}

/// The protocol level of INFO on routes: accounts are understood, message tracing is not.
const ROUTE_PROTOCOL: i32 = 2;
