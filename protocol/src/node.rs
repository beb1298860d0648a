//! The wiring of one node: the hub that all connections share, the cluster behind its lock, and what passes between
//! them. Written once; the engine and every runtime use it as it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use log::debug;

use crate::account::{Account, pool_slot};
use crate::cluster::{Cluster, DialError, DialRequest, Output};
use crate::config::Config;
use crate::connection::Connection;
use crate::hub::{Entry, Flag, Hub, Kind};
use crate::id::ConnectionId;
use crate::interest::{Change, Matches, Subscription};
use crate::routes::{DialId, Seat};
use crate::sink::Sink;
use crate::system::System;
use crate::time::Instant;
use crate::wire::Info;
use crate::wire::encode::{routed_sub, routed_unsub};

/// One node, shared by all its connections.
///
/// A runtime creates it once it listens, makes a [`Connection`] for each socket, and carries out what
/// [`Node::poll_dial`] asks for.
#[derive(Debug)]
pub struct Node {
    hub: Hub,
    cluster: Option<Mutex<Cluster>>,
    /// What clients are told of the cluster. Held while they are told, so that no older list follows a newer.
    shown: RwLock<Shown>,
    system: System,
    /// The cluster may have something to dial, or another time to be asked at.
    wants_attention: AtomicBool,
}

/// What only a node's runtime knows: where it listens, and the calendar.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// The port that clients connect to.
    pub client_port: u16,
    /// The port that other servers connect to; zero if the node is in no cluster.
    pub route_port: u16,
    /// The addresses of this host's interfaces, for a node that listens on all of them; what clients of other nodes are
    /// told to connect to.
    pub interfaces: Vec<IpAddr>,
    /// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970 (UTC), for what other servers are told of past times.
    pub unix_nanos_at_zero: u64,
}

#[derive(Debug, Default)]
struct Shown {
    cluster: String,
    /// Addresses of this node's and its peers' client ports; empty until a first peer was known.
    connect_urls: Vec<String>,
}

impl Node {
    /// A node that does what `config` says.
    pub fn new(config: Config, listening: &Listening, now: Instant) -> Arc<Self> {
        let own_urls = client_urls(&config, listening);
        let cluster_config = config.cluster.clone();
        let error_reports = (config.connect_error_reports, config.reconnect_error_reports);
        let seed = config.seed;
        let hub = Hub::new(config, listening.client_port);
        let cluster = cluster_config.map(|config| {
            Cluster::new(config, error_reports, seed, hub.base_info(), listening.route_port, own_urls, now)
        });
        let cluster_name = cluster.as_ref().map_or("", |cluster| cluster.name()).to_owned();
        let system = System::new(hub.server_id(), listening.unix_nanos_at_zero, now);
        Arc::new(Self {
            hub,
            system,
            cluster: cluster.map(Mutex::new),
            shown: RwLock::new(Shown { cluster: cluster_name, connect_urls: Vec::new() }),
            wants_attention: AtomicBool::new(true),
        })
    }

    /// What all connections share.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Takes in a client that connected from `remote`.
    pub fn accept_client<S: Sink>(
        self: &Arc<Self>,
        now: Instant,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Connection {
        Connection::client(self, now, remote, sink)
    }

    /// Takes in a server that connected from `remote` to the route port.
    pub fn accept_route<S: Sink>(
        self: &Arc<Self>,
        now: Instant,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Connection {
        Connection::route(self, now, remote, None, sink)
    }

    /// What is to be dialed now. Poll until `None` when [`Node::take_attention`] says so, and when
    /// [`Node::poll_timeout`] is due. Answer each with [`Node::handle_dialed`] or [`Node::handle_dial_failed`].
    #[must_use]
    pub fn poll_dial(&self, now: Instant) -> Option<DialRequest> {
        self.cluster()?.poll_dial(now)
    }

    /// Looks after the mesh, if it is time: to be called when [`Node::poll_timeout`] is due. Harmless otherwise.
    pub fn handle_timeout<S: Sink>(&self, now: Instant, sink: &mut S) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.with_cluster(sink, |cluster, _| cluster.handle_timeout(now));
        }
    }

    /// How many attempts to reach other servers were begun since the start.
    pub fn dials_started(&self) -> u64 {
        self.cluster().map_or(0, |cluster| cluster.dials_started())
    }

    /// When [`Node::handle_timeout`] and [`Node::poll_dial`] are to be called next, whatever else happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.cluster()?.poll_timeout()
    }

    /// Whether [`Node::poll_dial`] and [`Node::poll_timeout`] must be polled again. To be asked after each call of a
    /// connection.
    #[must_use]
    pub fn take_attention(&self) -> bool {
        self.wants_attention.load(Ordering::Relaxed) && self.wants_attention.swap(false, Ordering::AcqRel)
    }

    /// Takes in the connection that a dial made.
    pub fn handle_dialed<S: Sink>(
        self: &Arc<Self>,
        now: Instant,
        id: DialId,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Connection {
        Connection::route(self, now, remote, Some(id), sink)
    }

    /// Hears that a dial failed.
    pub fn handle_dial_failed(&self, now: Instant, id: DialId, why: &DialError) {
        if let Some(mut cluster) = self.cluster() {
            cluster.handle_dial_failed(now, id, why);
        }
        self.wants_attention.store(true, Ordering::Release);
    }

    /// The cluster's name, if the node is in one.
    pub fn cluster_name(&self) -> Option<String> {
        Some(self.cluster()?.name().to_owned())
    }

    /// How many other servers there are routes to.
    pub fn peer_count(&self) -> usize {
        self.cluster().map_or(0, |cluster| cluster.peer_count())
    }

    /// What is listened to and answered in the system account.
    pub(crate) fn system(&self) -> &System {
        &self.system
    }

    pub(crate) fn cluster(&self) -> Option<MutexGuard<'_, Cluster>> {
        // A panic while it was held may have left a peer half registered; to go on is still the lesser evil.
        self.cluster.as_ref().map(|cluster| cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the cluster hear something and carries out what follows from it, as one step.
    pub(crate) fn with_cluster<S: Sink, R>(
        &self,
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
                Output::ConnectUrlsChanged => self.tell_clients(&cluster, sink),
            }
        }
        self.wants_attention.store(true, Ordering::Release);
        Some(result)
    }

    /// Whether a peer listens to a subject in the system account.
    fn is_wanted(&self, route: ConnectionId, subject: &[u8]) -> bool {
        let mut matches = Matches::default();
        self.hub.system_account().index().collect(subject, &mut matches);
        matches.plain.iter().any(|subscription| subscription.connection() == route)
    }

    /// Tells clients where else they may connect to (wire.md 1.11).
    fn tell_clients<S: Sink>(&self, cluster: &Cluster, sink: &mut S) {
        if cluster.config().no_advertise {
            return;
        }
        let mut urls = cluster.own_urls().to_vec();
        urls.extend(
            cluster.peer_urls(&self.hub.hasher()).into_iter().filter(|url| !cluster.own_urls().contains(url)),
        );
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if shown.connect_urls == urls {
            return;
        }
        *shown = Shown { cluster: cluster.name().to_owned(), connect_urls: urls };
        for entry in self.hub.directory().list(Kind::Client) {
            if entry.has(Flag::AsyncInfo) {
                sink.announce(entry.id(), &self.info_for(&shown, &entry).to_line());
            }
        }
    }

    /// The INFO that a client is greeted with.
    pub(crate) fn client_info(&self, entry: &Entry) -> Info {
        self.info_for(&self.shown.read().unwrap_or_else(PoisonError::into_inner), entry)
    }

    /// From now on a client is told when the cluster changes; and now it is told what its CONNECT led to.
    pub(crate) fn begin_async_info<S: Sink>(&self, entry: &Entry, account: &Account, sink: &mut S) {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        entry.set(Flag::AsyncInfo, true);
        let info = Info {
            connect_info: true,
            remote_account: account.name().to_owned(),
            ..self.info_for(&shown, entry)
        };
        sink.announce(entry.id(), &info.to_line());
    }

    /// Where clients are told that they may connect to.
    pub(crate) fn shown_urls(&self) -> Vec<String> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).connect_urls.clone()
    }

    fn info_for(&self, shown: &Shown, entry: &Entry) -> Info {
        Info {
            client_id: entry.cid(),
            client_ip: entry.remote().ip().to_string(),
            cluster: shown.cluster.clone(),
            connect_urls: shown.connect_urls.clone(),
            ..self.hub.client_info()
        }
    }

    /// Takes a subscription into an account and tells the routes that carry it.
    pub(crate) fn subscribe<S: Sink>(
        &self,
        account: &Account,
        subscription: Arc<Subscription>,
        sink: &mut S,
    ) {
        account.index().insert(subscription, &mut |listeners, change| {
            self.announce(account, listeners, change, sink);
        });
    }

    /// Takes a subscription out again.
    pub(crate) fn unsubscribe<S: Sink>(&self, account: &Account, subscription: &Subscription, sink: &mut S) {
        if subscription.close() {
            account.index().remove(subscription, &mut |listeners, change| {
                self.announce(account, listeners, change, sink);
            });
        }
    }

    /// Takes out all subscriptions of a connection.
    pub(crate) fn unsubscribe_all<S: Sink>(
        &self,
        account: &Account,
        mut subscriptions: Vec<Arc<Subscription>>,
        sink: &mut S,
    ) {
        subscriptions.retain(|subscription| subscription.close());
        account.index().remove_all(subscriptions, &mut |listeners, change| {
            self.announce(account, listeners, change, sink);
        });
    }

    /// Ends a client's subscription that got its last message.
    pub(crate) fn expire<S: Sink>(&self, account: &Account, subscription: &Subscription, sink: &mut S) {
        if let Some(entry) = self.hub.directory().get(subscription.connection()) {
            // The client may have ended it meanwhile, and given its name to another.
            entry.subscriptions().remove_same(subscription);
        }
        self.unsubscribe(account, subscription, sink);
    }

    /// Sends all local interest that a newly registered route is to carry, and every change from now on.
    pub(crate) fn begin_interest<S: Sink>(&self, route: &Entry, seat: &Seat, sink: &mut S) {
        for account in self.accounts_of(seat) {
            let mut lines = Vec::new();
            let name = line_account(account, route);
            if Arc::ptr_eq(account, self.hub.system_account()) {
                sink.announce(route.id(), &self.system.announcement(name));
            }
            account.index().listen(route.id(), &mut |change| {
                push_change(&mut lines, name, change);
                // Inside the critical section: nothing about the same key may come before it.
                sink.announce(route.id(), &lines);
                lines.clear();
            });
        }
    }

    /// Announces nothing more to a route.
    pub(crate) fn end_interest(&self, route: ConnectionId) {
        self.hub.accounts().iter().for_each(|account| account.index().unlisten(route));
    }

    /// The accounts whose interest is announced over a route (wire.md 2.7).
    fn accounts_of(&self, seat: &Seat) -> Vec<&Arc<Account>> {
        let pool_size = self.hub.config().cluster.as_ref().and_then(|cluster| cluster.pool_size);
        let pool_size = pool_size.map_or(0, |size| usize::from(size.get()));
        let accounts = self.hub.accounts().into_iter();
        match seat {
            Seat::Sole => accounts.collect(),
            Seat::Dedicated(name) => accounts.filter(|account| account.name() == name).collect(),
            Seat::Slot(slot) => {
                let is_pinned = |account: &Account| account.name() == self.hub.system_account().name();
                accounts
                    .filter(|account| !is_pinned(account) && pool_slot(account.name(), pool_size) == *slot)
                    .collect()
            }
        }
    }

    fn announce<S: Sink>(
        &self,
        account: &Account,
        listeners: &[ConnectionId],
        change: Change<'_>,
        sink: &mut S,
    ) {
        if listeners.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        for listener in listeners {
            let Some(route) = self.hub.directory().get(*listener) else {
                debug!("no route {listener:?} to announce interest to");
                continue;
            };
            lines.clear();
            push_change(&mut lines, line_account(account, &route), change);
            sink.announce(*listener, &lines);
        }
    }
}

/// The account as it stands on the lines of a route.
pub(crate) fn line_account<'a>(account: &'a Account, route: &Entry) -> Option<&'a [u8]> {
    (!route.has(Flag::Dedicated)).then(|| account.name().as_bytes())
}

fn push_change(lines: &mut Vec<u8>, account: Option<&[u8]>, change: Change<'_>) {
    match change {
        Change::Added { subject, queue } => routed_sub(lines, account, subject, queue),
        Change::Removed { subject, queue } => routed_unsub(lines, account, subject, queue),
    }
}

/// The client addresses of this node, as other nodes tell them to their clients (wire.md 1.11).
fn client_urls(config: &Config, listening: &Listening) -> Vec<String> {
    let url = |host: &str, port: u16| match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    };
    if let Some(advertised) = &config.client_advertise {
        return vec![url(&advertised.host, advertised.port.unwrap_or(listening.client_port))];
    }
    let listens_everywhere = config.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if listens_everywhere && !listening.interfaces.is_empty() {
        let interfaces = listening.interfaces.iter();
        return interfaces.map(|ip| url(&ip.to_string(), listening.client_port)).collect();
    }
    vec![url(&config.host, listening.client_port)]
}
