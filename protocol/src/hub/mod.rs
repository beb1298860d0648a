//! What all connections of a node share: accounts, the directory of connections, limits and counters.
//!
//! Everything here takes `&self`. On the publish path it is only read: atomics, and the interest index behind
//! each connection's cache.

mod closed;
mod directory;
mod entry;
mod held;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::account::{Account, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
use crate::close::CloseReason;
use crate::config::{Authorization, Config};
use crate::hash::KeyedState;
use crate::identity::{self, Stream};
use crate::interest::SubscriptionId;
use crate::monitor::Requests;
use crate::time::Instant;
use crate::wire::Info;

pub use closed::{Closed, ClosedConnections, MAX_KEPT_SUBSCRIPTIONS};
pub use directory::Directory;
pub use entry::{About, Entry, Flag, Kind, Traffic};
pub(crate) use held::{BySid, ByText, Held};

/// The shared half of a node: what a publish must look up.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    server_id: String,
    server_name: String,
    client_port: u16,
    global: Arc<Account>,
    system: Arc<Account>,
    directory: Directory,
    closed: ClosedConnections,
    hasher: KeyedState,
    next_cid: AtomicU64,
    next_subscription: AtomicU64,
    totals: Totals,
}

/// Counters of the whole node since its start.
#[derive(Debug, Default)]
pub struct Totals {
    /// Clients accepted.
    pub connections: AtomicU64,
    /// Messages and bytes of clients.
    pub clients: Traffic,
    /// Messages and bytes of routes.
    pub routes: Traffic,
    /// Clients closed because they read too slowly.
    pub slow_clients: AtomicU64,
    /// Routes closed because they read too slowly.
    pub slow_routes: AtomicU64,
    /// Clients closed because they did not answer.
    pub stale_clients: AtomicU64,
    /// Routes closed because they did not answer.
    pub stale_routes: AtomicU64,
    /// How often a producer was made to wait for a slow consumer.
    pub stalls: AtomicU64,
    /// How often each page of monitoring was asked for.
    pub(crate) requests: Requests,
}

impl Totals {
    /// What a counter says now.
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl Hub {
    /// The shared half of a node that listens for clients on `client_port`.
    pub(crate) fn new(config: Config, client_port: u16) -> Self {
        let server_id = identity::server_id(&mut identity::stream(config.seed, Stream::Identity));
        let hasher = KeyedState::keyed(config.secret_seed.halves());
        Self {
            server_name: config.server_name.clone().unwrap_or_else(|| server_id.clone()),
            server_id,
            client_port,
            global: Arc::new(Account::new(GLOBAL_ACCOUNT, &hasher)),
            system: Arc::new(Account::new(SYSTEM_ACCOUNT, &hasher)),
            directory: Directory::default(),
            closed: ClosedConnections::new(config.max_closed_clients),
            hasher,
            next_cid: AtomicU64::new(1),
            next_subscription: AtomicU64::new(1),
            totals: Totals::default(),
            config,
        }
    }

    /// What the operator chose.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// This node's id, unique for as long as it runs.
    pub fn server_id(&self) -> &str {
        &self.server_id
    }

    /// This node's name, its id if it was given none.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The port that clients connect to.
    pub fn client_port(&self) -> u16 {
        self.client_port
    }

    /// The account of clients that name none.
    pub fn global_account(&self) -> &Arc<Account> {
        &self.global
    }

    /// The account that servers talk to each other in.
    pub fn system_account(&self) -> &Arc<Account> {
        &self.system
    }

    /// All accounts, sorted by name.
    pub fn accounts(&self) -> [&Arc<Account>; 2] {
        [&self.global, &self.system]
    }

    /// The account of this name.
    pub fn account(&self, name: &[u8]) -> Option<&Arc<Account>> {
        self.accounts().into_iter().find(|account| account.name().as_bytes() == name)
    }

    /// All open connections.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The clients that ended last.
    pub fn closed(&self) -> &ClosedConnections {
        &self.closed
    }

    /// Counters of the whole node.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The hasher of the maps that connections keep.
    pub(crate) fn hasher(&self) -> KeyedState {
        self.hasher.clone()
    }

    pub(crate) fn next_cid(&self) -> u64 {
        self.next_cid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_subscription(&self) -> SubscriptionId {
        SubscriptionId(self.next_subscription.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts messages and payload bytes that were queued for a connection.
    pub fn record_delivered(&self, entry: &Entry, messages: u64, bytes: u64) {
        if messages > 0 {
            entry.traffic().record_out(messages, bytes);
            self.traffic(entry.kind()).record_out(messages, bytes);
        }
    }

    /// Counts messages and payload bytes that were read from a connection.
    pub(crate) fn record_received(&self, entry: &Entry, now: Instant, messages: u64, bytes: u64) {
        entry.touch(now);
        if messages > 0 {
            entry.traffic().record_in(messages, bytes);
            self.traffic(entry.kind()).record_in(messages, bytes);
        }
    }

    /// Counts a producer that was made to wait for a slow consumer.
    pub fn record_stall(&self) {
        self.totals.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the reasons that monitoring sums up.
    pub(crate) fn record_closed(&self, kind: Kind, reason: CloseReason) {
        let counter = match (reason, kind) {
            (
                CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline,
                Kind::Client,
            ) => &self.totals.slow_clients,
            (CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline, Kind::Route) => {
                &self.totals.slow_routes
            }
            (CloseReason::StaleConnection, Kind::Client) => &self.totals.stale_clients,
            (CloseReason::StaleConnection, Kind::Route) => &self.totals.stale_routes,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn traffic(&self, kind: Kind) -> &Traffic {
        match kind {
            Kind::Client => &self.totals.clients,
            Kind::Route => &self.totals.routes,
        }
    }

    /// What INFO says of this node in both protocols; the rest differs between clients and routes.
    pub(crate) fn base_info(&self) -> Info {
        Info {
            server_id: self.server_id.clone(),
            server_name: self.server_name.clone(),
            version: identity::NATS_VERSION.to_owned(),
            go: identity::IMPLEMENTATION.to_owned(),
            headers: !self.config.no_header_support,
            max_payload: self.config.max_payload as i64,
            ..Info::default()
        }
    }

    /// The start of what a client is told; the rest is its own.
    pub(crate) fn client_info(&self) -> Info {
        let advertised = self.config.client_advertise.as_ref();
        Info {
            proto: CLIENT_PROTOCOL,
            host: advertised.map_or(&self.config.host, |advertised| &advertised.host).clone(),
            port: advertised.and_then(|advertised| advertised.port).unwrap_or(self.client_port),
            auth_required: self.config.authorization != Authorization::None,
            ..self.base_info()
        }
    }
}

/// The client protocol level of INFO: asynchronous INFO is sent.
const CLIENT_PROTOCOL: i32 = 1;
