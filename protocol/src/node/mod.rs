//! The wiring of one node: the hub that all connections share, the cluster behind its lock, and what passes between
//! them. Written once; the engine and every runtime use it as it is.
//!
//! What it may touch: the hub and the cluster, and a [`Sink`] for what follows from either. It knows no connection but by
//! its id and its entry. Who calls it: connections and services; monitoring, which only reads; and the driver of the node,
//! with the time.
//!
//! Inside, top down:
//! - here: the cluster's inputs and outputs.
//! - `news`: what clients are told of the cluster, and when.
//! - `lame_duck`: how clients are sent away before a stop.
//! - `interest`: what clients and services want, accounts that come and go, and how routes hear of both.
//! - `announcements`: which routes hear of which accounts.

mod announcements;
mod interest;
mod lame_duck;
mod news;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cluster::{Circuits, Cluster, DialError, DialRequest, Output};
use crate::config::{Config, ConfigRefused, HostPort, Source};
use crate::discovery::{DamagedFile, Found, Reach, ReachedAt};
use crate::hub::{Entry, Hub, Kind};
use crate::id::ConnectionId;
use crate::interest::{Matches, Subscription};
use crate::lock::{Mutex, MutexGuard, Place};
use crate::routes::{DialCounts, DialId};
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::encode::err_line;
use crate::wire::{ClientUrls, ProtocolError};

use announcements::Announcements;
pub(crate) use announcements::Untold;
use news::News;

/// One node, shared by all its connections.
///
/// A runtime creates it once it listens, makes a [`Connection`](crate::Connection) for each socket, drives
/// [`Services`](crate::Services), and carries out what [`Node::poll_dial`] asks for.
#[derive(Debug)]
pub struct Node {
    hub: Hub,
    cluster: Option<Mutex<Cluster>>,
    news: News,
    announcements: Announcements,
    is_stopping: AtomicBool,
    websocket_port: u16,
    start: Instant,
    unix_nanos_at_zero: u64,
}

/// What only a node's runtime knows: where it listens, and the calendar.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// The port that clients connect to.
    pub client_port: u16,
    /// The port that clients connect to by WebSocket; zero if there is none.
    pub websocket_port: u16,
    /// The port that other servers connect to; zero if the node is in no cluster.
    pub route_port: u16,
    /// The addresses of this host's interfaces, for a node that listens on all of them; what clients of other nodes are
    /// told to connect to.
    pub interfaces: Vec<IpAddr>,
    /// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970 (UTC), for what other servers are told of past times.
    pub unix_nanos_at_zero: u64,
}

impl Node {
    /// A node that does what `config` says.
    pub fn new(config: Config, listening: &Listening, now: Instant) -> Arc<Self> {
        let own_urls = client_urls(&config, listening);
        let cluster_config = config.cluster.clone();
        let hub = Hub::new(config, listening.client_port);
        let config = hub.config();
        let cluster = cluster_config.map(|cluster| {
            Cluster::new(cluster, &config, hub.base_info(), listening.route_port, own_urls, now)
        });
        let announcements = Announcements::new(&config);
        let lone_name = config.lone_cluster_name.clone().unwrap_or_default();
        let cluster_name = cluster.as_ref().map_or(lone_name, |cluster| cluster.name().to_owned());
        Arc::new(Self {
            hub,
            cluster: cluster.map(|cluster| Mutex::new(Place::Cluster, cluster)),
            news: News::new(cluster_name),
            announcements,
            is_stopping: AtomicBool::new(false),
            websocket_port: listening.websocket_port,
            start: now,
            unix_nanos_at_zero: listening.unix_nanos_at_zero,
        })
    }

    /// What all connections share.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What is to be dialed now. Poll until `None` when [`Node::take_attention`] says so, and when
    /// [`Node::poll_timeout`] is due. Answer each with [`Connection::dialed`](crate::Connection::dialed) or
    /// [`Node::handle_dial_failed`].
    #[must_use]
    pub fn poll_dial(&self, now: Instant) -> Option<DialRequest> {
        if self.is_stopping() { None } else { self.cluster()?.poll_dial(now) }
    }

    /// Looks after the mesh, tells clients of it and sends them away before a stop, if it is time: to be called when [`Node::take_attention`] says so, and
    /// when [`Node::poll_timeout`] is due. Harmless otherwise.
    pub fn handle_timeout<S: Sink>(&self, now: Instant, sink: &mut S) {
        if self.poll_cluster_timeout().is_some_and(|at| at <= now) {
            self.with_cluster(now, sink, |cluster, _| cluster.handle_timeout(now));
        }
        self.tell_clients(now, sink);
        self.send_away(now, sink);
        self.tell_late(now, sink);
    }

    /// Hears of servers from a source (design.md 6), which has it from `teller`: a name that it was asked for, or the id of a server
    /// that tells of itself; empty where there is only one. Some of them are dialed then, a few at a time; a node without a
    /// cluster dials none.
    pub fn handle_found(&self, now: Instant, source: Source, teller: &str, found: &[Found]) {
        if let Some(mut cluster) = self.cluster() {
            cluster.handle_found(now, source, teller, found);
        }
        self.hub.want_attention();
    }

    /// Hears from a source where others reach this node, which its configuration need not know (design.md 6): until it says something
    /// else, peers and clients are told so, unless the configuration names an address itself (`advertise`, `client_advertise`). A node
    /// without a cluster tells nobody.
    pub fn handle_reached_at<S: Sink>(&self, now: Instant, source: Source, reached: ReachedAt, sink: &mut S) {
        self.with_cluster(now, sink, |cluster, _| {
            let client = cluster.handle_reached_at(now, source, reached);
            self.hub.set_client_reached_at(client);
        });
    }

    /// Reads the text of a peers file, which was written for an earlier run of this node ([`Node::take_known_servers`]).
    ///
    /// # Errors
    /// It is none; then nothing of it is known.
    pub fn load_known_servers(&self, now: Instant, text: &str) -> Result<(), DamagedFile> {
        let loaded = self.cluster().map(|mut cluster| cluster.load_known_servers(now, text));
        self.hub.want_attention();
        loaded.unwrap_or(Ok(()))
    }

    /// The text that is to replace that of the peers file; none if members are where they were when this was last asked. To be
    /// asked when [`Node::take_attention`] says so, though not more often than once in a while.
    #[must_use]
    pub fn take_known_servers(&self) -> Option<String> {
        self.cluster()?.take_known_servers()
    }

    /// What is known of the cluster that those may be told who look for it. To be asked when [`Node::take_attention`] says so.
    pub fn reach(&self) -> Reach {
        let alone = || Reach { members: Vec::new(), is_alone: true };
        self.cluster().map_or_else(alone, |cluster| cluster.reach())
    }

    /// How many attempts to reach other servers were begun since the start, by their causes.
    pub fn dial_counts(&self) -> DialCounts {
        self.cluster().map_or_else(DialCounts::default, |cluster| cluster.dial_counts())
    }

    /// What there is of circuits.
    pub(crate) fn circuits(&self) -> Circuits {
        self.cluster().map_or_else(Circuits::default, |cluster| cluster.circuits())
    }

    /// When [`Node::handle_timeout`] and [`Node::poll_dial`] are to be called next, whatever else happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_stopping() {
            return None;
        }
        let of_news = self.news.poll_timeout().into_iter().chain(self.announcements.poll_timeout());
        self.poll_cluster_timeout().into_iter().chain(of_news).min()
    }

    fn poll_cluster_timeout(&self) -> Option<Instant> {
        self.cluster()?.poll_timeout()
    }

    /// Whether [`Node::poll_dial`] and [`Node::poll_timeout`] must be polled again, and [`Node::handle_timeout`] and
    /// [`Services::handle_requests`](crate::Services::handle_requests) be called. To be asked after each call of a
    /// connection.
    #[must_use]
    pub fn take_attention(&self) -> bool {
        self.hub.take_attention()
    }

    /// Swaps the configuration, and returns the keys of the configuration file that have another value now. Limits and
    /// write deadlines hold for each connection from its next call on, and another `ping_interval` from its next PING on;
    /// clients beyond `max_connections` are closed, the youngest first; routes that are configured no more are closed, and not
    /// looked for any more; they come back where others do that (design.md 5). An account that is pinned from now on moves from
    /// the pools to connections of its own, and back if it is so no more (wire.md 4.5). The peers' configurations are to be
    /// changed likewise: until then messages of an account that is pinned no more go one way only.
    ///
    /// # Errors
    /// Something differs that cannot change while a node runs; then nothing changes.
    pub fn handle_config<S: Sink>(
        &self,
        now: Instant,
        new: Config,
        sink: &mut S,
    ) -> Result<Vec<&'static str>, ConfigRefused> {
        let changes = self.hub.config().changes_to(&new)?;
        let new = Arc::new(new);
        self.hub.swap_config(new.clone());
        self.spread_anew(now, &new, sink);
        if let Some(config) = &new.cluster {
            let max_payload = new.max_payload as i64;
            self.with_cluster(now, sink, |cluster, _| {
                cluster.handle_config(now, config.clone(), max_payload)
            });
        }
        self.close_excess_clients(new.max_connections, sink);
        Ok(changes)
    }

    /// Lets members of the system account ask for the configuration to be read again (wire.md 10.3), which the program around the
    /// node says hereby that it can do. To be called before [`Services`](crate::services::Services) are made. It has to look at
    /// [`Node::wants_reload`] whenever the node had attention.
    pub fn offer_reload(&self) {
        self.hub.reload().offer();
    }

    /// Whether somebody asks for the configuration to be read again, which is to begin by [`Node::take_reload`].
    pub fn wants_reload(&self) -> bool {
        self.hub.reload().is_asked()
    }

    /// Whether somebody asked for the configuration to be read again since this was asked last. If so, what comes of that is to be
    /// told to [`Node::handle_reloaded`].
    #[must_use]
    pub fn take_reload(&self) -> bool {
        self.hub.reload().begin()
    }

    /// Hears whether the configuration was read again and is followed, or why not; whoever asked is told.
    pub fn handle_reloaded(&self, outcome: Result<(), String>) {
        self.hub.reload().end(outcome);
        self.hub.want_attention();
    }

    fn close_excess_clients<S: Sink>(&self, max_connections: usize, sink: &mut S) {
        let clients = self.hub.directory().list(Kind::Client);
        let excess = clients.get(max_connections..).unwrap_or_default();
        turn_away(excess, &ProtocolError::MaximumConnections, sink);
    }

    /// Hears that the node stops: peers are told that it leaves (wire.md 14.2), no connection wants input any more, and nothing
    /// is dialed. Clients hear no more of the cluster: that the node's routes end says nothing of the servers at their other
    /// end, where its clients may go.
    ///
    /// Once no driver handles input that it read before, nobody can be answered any more that a message was taken; then all
    /// connections are to be ended for [`CloseReason::ServerShutdown`](crate::CloseReason::ServerShutdown).
    pub fn handle_shutdown<S: Sink>(&self, now: Instant, sink: &mut S) {
        self.is_stopping.store(true, Ordering::Release);
        self.with_cluster(now, sink, |cluster, _| cluster.handle_shutdown());
    }

    /// Whether the node stops.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Hears that a dial failed.
    pub fn handle_dial_failed(&self, now: Instant, id: DialId, why: &DialError) {
        if let Some(mut cluster) = self.cluster() {
            cluster.handle_dial_failed(now, id, why);
        }
        self.hub.want_attention();
    }

    /// The name of the cluster that the node is in, or says that it is in.
    pub fn cluster_name(&self) -> Option<String> {
        // One that was chosen is known without holding the cluster, which messages on their way do not wait for.
        let config = self.hub.config();
        let chosen = config.configured_cluster_name().map(str::to_owned);
        chosen.or_else(|| self.cluster().map(|cluster| cluster.name().to_owned()))
    }

    /// How many other servers there are routes to.
    pub fn peer_count(&self) -> usize {
        self.cluster().map_or(0, |cluster| cluster.peer_count())
    }

    /// The port that clients connect to by WebSocket.
    pub(crate) fn websocket_port(&self) -> u16 {
        self.websocket_port
    }

    /// When it started.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// How long after 1970 an instant is.
    pub(crate) fn calendar(&self, at: Instant) -> Duration {
        Duration::from_nanos(self.unix_nanos_at_zero.saturating_add(at.as_nanos()))
    }

    /// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970 (UTC).
    pub(crate) fn unix_nanos_at_zero(&self) -> u64 {
        self.unix_nanos_at_zero
    }

    pub(crate) fn cluster(&self) -> Option<MutexGuard<'_, Cluster>> {
        // A panic while it was held may have left a peer half registered; to go on is still the lesser evil.
        self.cluster.as_ref().map(|cluster| cluster.lock())
    }

    /// Lets the cluster hear something and carries out what follows from it, as one step. Then clients are told, if it is
    /// time.
    pub(crate) fn with_cluster<S: Sink, R>(
        &self,
        now: Instant,
        sink: &mut S,
        f: impl FnOnce(&mut Cluster, &mut S) -> R,
    ) -> Option<R> {
        let mut cluster = self.cluster()?;
        let result = f(&mut cluster, sink);
        while let Some(output) = cluster.poll_output() {
            match output {
                Output::Send(to, lines) => sink.send(to, &lines),
                Output::Publish { over, subject, line } => {
                    if self.is_wanted(over, subject.as_bytes()) {
                        sink.send(over, &line);
                    }
                }
                Output::Close(connection, reason) => sink.close(connection, reason),
                Output::Apart { peer, account, is_apart } => {
                    self.set_apart(now, &peer, &account, is_apart, sink);
                }
                Output::ConnectUrlsChanged => self.news.handle_changed(),
            }
        }
        drop(cluster);
        self.tell_clients(now, sink);
        self.hub.want_attention();
        Some(result)
    }

    /// Whether a peer listens to a subject in the system account.
    fn is_wanted(&self, route: ConnectionId, subject: &[u8]) -> bool {
        let mut matches = Matches::default();
        let Some(account) = self.hub.system_account() else { return false };
        account.index().collect(subject, &mut matches);
        // Who is not looked for among too many is told what it may not want.
        let directory = self.hub.directory();
        let is_its = |of: &Arc<Subscription>| directory.link_of(of.connection()) == route;
        matches.is_cut || matches.plain.iter().any(is_its)
    }
}

/// The client addresses of this node, as other nodes tell them to their clients (wire.md 1.11).
fn client_urls(config: &Config, listening: &Listening) -> ClientUrls {
    let interfaces = &listening.interfaces;
    let plain = urls(&config.host, listening.client_port, config.client_advertise.as_ref(), interfaces);
    let websocket = config.websocket.as_ref();
    let by_websocket =
        websocket.map(|own| urls(&own.host, listening.websocket_port, own.advertise.as_ref(), interfaces));
    ClientUrls { plain, websocket: by_websocket.unwrap_or_default() }
}

/// Where a port can be reached that is bound to a host.
fn urls(host: &str, port: u16, advertised: Option<&HostPort>, interfaces: &[IpAddr]) -> Vec<String> {
    let url = |host: &str, port: u16| match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    };
    if let Some(advertised) = advertised {
        return vec![url(&advertised.host, advertised.port.unwrap_or(port))];
    }
    let listens_everywhere = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if listens_everywhere && !interfaces.is_empty() {
        return interfaces.iter().map(|ip| url(&ip.to_string(), port)).collect();
    }
    vec![url(host, port)]
}

/// Tells clients what they are closed for, and closes them.
pub(crate) fn turn_away<S: Sink>(clients: &[Arc<Entry>], error: &ProtocolError, sink: &mut S) {
    let line = err_line(&error.text().unwrap_or_default());
    for client in clients {
        sink.send(client.id(), &line);
        error.close_reason().into_iter().for_each(|reason| sink.close(client.id(), reason));
    }
}
