//! What all connections of a node share: accounts, the directory of connections, what peers want, the mailbox of the
//! services, limits and counters.
//!
//! Everything here takes `&self`. On the publish path it is only read: atomics, and the interest index behind
//! each connection's cache.
//!
//! What it may touch: accounts and their indexes, configuration. It writes to no connection. Who calls it: forwarding,
//! connections, services, monitoring, and the node, which tells routes what follows.

mod allowance;
mod census;
mod closed;
mod directory;
mod entry;
mod held;
mod learn;
mod limit_log;
mod mailbox;
mod reload;
mod remote;
mod requests;
mod totals;
mod traces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::accounts::{Account, AccountError, Accounts, Departed, GLOBAL_ACCOUNT, Imports, Terms};
use crate::auth::Guard;
use crate::close::CloseReason;
use crate::config::{AccountConfig, Config, HostPort};
use crate::hash::KeyedState;
use crate::id::AccountId;
use crate::identity::{self, Stream};
use crate::interest::SubscriptionId;
use crate::lock::{Mutex, Place, RwLock};
use crate::mapping::Mappings;
use crate::time::Instant;
use crate::transport::TlsSettings;
use crate::wire::Info;

pub(crate) use allowance::Allowance;
pub(crate) use census::Census;
pub use closed::{
    Closed, ClosedConnections, MAX_CLOSED_BYTES, MAX_KEPT_SUBJECT_BYTES, MAX_KEPT_SUBSCRIPTIONS,
};
pub use directory::Directory;
pub use entry::{About, Entry, Flag, Kind};
pub(crate) use held::{BySid, ByText, Held};
use limit_log::LimitLog;
pub(crate) use mailbox::Letter;
pub use mailbox::Mailbox;
pub(crate) use reload::Reload;
pub(crate) use remote::{RemoteInterest, Told, TooMuchInterest};
pub use totals::{LANES, Lane, Totals};
pub(crate) use traces::{Reached, Traced, Traces};

/// The shared half of a node: what a publish must look up.
#[derive(Debug)]
pub struct Hub {
    config: RwLock<Arc<Config>>,
    /// How often the configuration was swapped.
    config_version: AtomicU64,
    server_id: String,
    server_name: String,
    client_port: u16,
    /// Where clients reach this node, as a source learnt it.
    client_reached_at: RwLock<Option<HostPort>>,
    accounts: Accounts,
    global: Arc<Account>,
    system: Option<Arc<Account>>,
    mailbox: Mailbox,
    traces: Traces,
    census: Census,
    reload: Reload,
    limit_log: LimitLog,
    /// The node's driver has something to do, or another time to be called at.
    wants_attention: AtomicBool,
    directory: Directory,
    closed: ClosedConnections,
    hasher: KeyedState,
    next_cid: AtomicU64,
    next_subscription: AtomicU64,
    totals: Totals,
    guard: Guard,
    /// How many handshakes began in the current second.
    handshakes: Mutex<Allowance>,
}

impl Hub {
    /// The shared half of a node that listens for clients on `client_port`.
    pub(crate) fn new(config: Config, client_port: u16) -> Self {
        let server_id = identity::server_id(&mut identity::stream(config.seed, Stream::Identity));
        let hasher = KeyedState::keyed(config.secret_seed.halves());
        let accounts = Accounts::new(hasher.clone());
        let cluster = config.configured_cluster_name();
        let add = |AccountConfig { name, limits, mappings, .. }: &AccountConfig| {
            let mappings = Mappings::new(mappings, cluster).expect("a valid configuration");
            let terms = Terms { limits: limits.clone(), mappings };
            accounts.add(name, terms).expect("a name that is valid and free")
        };
        let global =
            AccountConfig { mappings: config.mappings.clone(), ..AccountConfig::new(GLOBAL_ACCOUNT) };
        let global = add(&global);
        let is_system = |account: &&AccountConfig| config.system_account_name() == Some(&account.name);
        let system = config.system_account_name().map(|name| {
            let named = config.accounts.iter().find(is_system);
            named.map_or_else(|| add(&AccountConfig::new(name)), &add)
        });
        config.accounts.iter().filter(|account| !is_system(account)).for_each(|account| drop(add(account)));
        set_imports(&accounts, &config.accounts);
        Self {
            server_name: config.server_name.clone().unwrap_or_else(|| server_id.clone()),
            server_id,
            client_port,
            client_reached_at: RwLock::new(Place::Facts, None),
            accounts,
            global,
            system,
            mailbox: Mailbox::default(),
            traces: Traces::default(),
            census: Census::new(),
            reload: Reload::new(),
            limit_log: LimitLog::new(),
            wants_attention: AtomicBool::new(true),
            directory: Directory::default(),
            closed: ClosedConnections::new(config.max_closed_clients),
            hasher,
            next_cid: AtomicU64::new(1),
            next_subscription: AtomicU64::new(1),
            totals: Totals::default(),
            guard: Guard::new(&config),
            handshakes: Mutex::new(Place::Facts, Allowance::default()),
            config: RwLock::new(Place::Facts, Arc::new(config)),
            config_version: AtomicU64::new(0),
        }
    }

    /// What the operator chose.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().clone()
    }

    /// How often the configuration was swapped, so that a connection knows when to look at it again.
    pub(crate) fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Acquire)
    }

    /// Puts another configuration in the place of the one before.
    pub(crate) fn swap_config(&self, config: Arc<Config>) {
        *self.config.write() = config;
        self.config_version.fetch_add(1, Ordering::Release);
    }

    /// Whether one more handshake may begin, of so many in a second.
    pub(crate) fn may_shake_hands(&self, now: Instant, most: u32) -> bool {
        self.handshakes.lock().take(now, most, Duration::from_secs(1)).is_some()
    }

    /// Where it is said what others cause.
    pub(crate) fn limit_log(&self) -> &LimitLog {
        &self.limit_log
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

    /// Hears where clients reach this node, if that is another place than its configuration says.
    pub(crate) fn set_client_reached_at(&self, address: Option<HostPort>) {
        *self.client_reached_at.write() = address;
    }

    /// The account of clients that name none.
    pub fn global_account(&self) -> &Arc<Account> {
        &self.global
    }

    /// The account that servers talk to each other in, if this node has it.
    pub fn system_account(&self) -> Option<&Arc<Account>> {
        self.system.as_ref()
    }

    /// All accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Who says which clients may come in.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What waits for the services.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Traced messages that publishers are still to be told of.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// In which accounts clients came or went.
    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    /// Who asks for the configuration to be read again.
    pub(crate) fn reload(&self) -> &Reload {
        &self.reload
    }

    /// Hears that clients came into an account, or left it. Of the account of those that name none nobody is told.
    pub(crate) fn note_clients(&self, account: AccountId) {
        if self.system.is_some() && account != self.global.id() {
            self.census.note(account);
            self.want_attention();
        }
    }

    /// Hears that another server came that hears of the system account, or went.
    pub(crate) fn note_servers(&self) {
        self.census.note_servers();
        self.want_attention();
    }

    /// Adds an account, and gives it what peers said that they want in it.
    pub(crate) fn add_account(&self, name: &str) -> Result<Arc<Account>, AccountError> {
        let account = self.accounts.add(name, Terms::default())?;
        for route in self.directory.list(Kind::Route) {
            self.claim(&route, &account);
        }
        Ok(account)
    }

    /// Takes an account out. What peers want in it is kept, should it come again.
    pub(crate) fn remove_account(&self, id: AccountId) -> Result<Arc<Account>, AccountError> {
        if self.system.iter().chain([&self.global]).any(|account| account.id() == id) {
            return Err(AccountError::BuiltIn);
        }
        let account = self.accounts.remove(id).ok_or(AccountError::Unknown)?;
        for route in self.directory.list(Kind::Route) {
            self.disclaim(&route, &account);
        }
        self.accounts.list().iter().for_each(|exporter| exporter.answers().forget_all_of(id));
        Ok(account)
    }

    /// The account that a client belongs to, if it is still there.
    pub(crate) fn account_of(&self, client: &Entry) -> Option<Arc<Account>> {
        self.accounts.get(client.account()?)
    }

    /// The largest payload that a client may publish where others may publish `most`.
    pub(crate) fn max_payload_of(&self, client: &Entry, most: usize) -> usize {
        self.account_of(client).map_or(most, |account| account.max_payload(most))
    }

    /// The account that the traffic of a connection counts for: of a route that carries several the one of clients that name
    /// none.
    pub(crate) fn account_for(&self, entry: &Entry) -> Option<Arc<Account>> {
        if entry.kind() == Kind::Client {
            return self.account_of(entry);
        }
        match entry.about().account {
            Some(dedicated) => self.accounts.find(dedicated.as_bytes()),
            None => Some(self.global.clone()),
        }
    }

    /// Lets the driver of the node be called.
    pub(crate) fn want_attention(&self) {
        self.wants_attention.store(true, Ordering::Release);
    }

    /// Whether the driver of the node is to be called.
    pub(crate) fn take_attention(&self) -> bool {
        self.wants_attention.load(Ordering::Relaxed) && self.wants_attention.swap(false, Ordering::AcqRel)
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

    /// The id of a client's subscription; those of what it reaches in other accounts follow.
    pub(crate) fn next_subscription_in(&self, account: &Account) -> SubscriptionId {
        let others = account.imports().map_or(0, Imports::streams) as u64;
        SubscriptionId(self.next_subscription.fetch_add(1 + others, Ordering::Relaxed))
    }

    /// The last that was made.
    pub(crate) fn newest_subscription(&self) -> SubscriptionId {
        SubscriptionId(self.next_subscription.load(Ordering::Relaxed) - 1)
    }

    /// Counts messages and payload bytes that were queued for a connection.
    pub(crate) fn record_delivered(
        &self,
        lane: Lane,
        entry: &Entry,
        now: Instant,
        messages: u64,
        bytes: u64,
    ) {
        if messages > 0 {
            entry.touch(now);
            entry.traffic().record_out(messages, bytes);
            self.totals.on(lane, entry.kind()).record_out(messages, bytes);
        }
    }

    /// Counts messages and payload bytes that were read from a connection. Nor is it idle that changes its interest; it is with
    /// all that keeps it alive.
    pub(crate) fn record_received(
        &self,
        lane: Lane,
        entry: &Entry,
        now: Instant,
        is_active: bool,
        messages: u64,
        bytes: u64,
    ) {
        if is_active || messages > 0 {
            entry.touch(now);
        }
        if messages > 0 {
            entry.traffic().record_in(messages, bytes);
            self.totals.on(lane, entry.kind()).record_in(messages, bytes);
        }
    }

    /// Counts a producer that was made to wait for a slow consumer.
    pub fn record_stall(&self) {
        self.totals.stalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the reasons that monitoring sums up, and keeps what the connection counted.
    pub(crate) fn record_closed(&self, entry: &Entry, reason: CloseReason) {
        if let Some(account) = self.account_for(entry) {
            let Departed { clients, routes, slow_clients } = account.departed();
            let is_slow = entry.kind() == Kind::Client && reason.is_slowness();
            slow_clients.fetch_add(u64::from(is_slow), Ordering::Relaxed);
            match entry.kind() {
                Kind::Client | Kind::Upgrading => clients.absorb(entry.traffic()),
                Kind::Route => routes.absorb(entry.traffic()),
            }
        }
        let counter = match (reason, entry.kind()) {
            (reason, Kind::Client) if reason.is_slowness() => &self.totals.slow_clients,
            (reason, Kind::Route) if reason.is_slowness() => &self.totals.slow_routes,
            (CloseReason::StaleConnection, Kind::Client) => &self.totals.stale_clients,
            (CloseReason::StaleConnection, Kind::Route) => &self.totals.stale_routes,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What INFO says of this node in both protocols; the rest differs between clients and routes.
    pub(crate) fn base_info(&self) -> Info {
        let config = self.config();
        Info {
            server_id: self.server_id.clone(),
            server_name: self.server_name.clone(),
            version: identity::NATS_VERSION.to_owned(),
            go: identity::IMPLEMENTATION.to_owned(),
            headers: !config.no_header_support,
            max_payload: config.max_payload as i64,
            ..Info::default()
        }
    }

    /// The start of what a client is told; the rest is its own.
    pub(crate) fn client_info(&self) -> Info {
        let (config, learnt) = (self.config(), self.client_reached_at.read().clone());
        let advertised = config.client_advertise.as_ref().or(learnt.as_ref());
        let tls = config.tls.as_ref().map(|tls| tls.settings());
        Info {
            proto: CLIENT_PROTOCOL,
            host: advertised.map_or(&config.host, |advertised| &advertised.host).clone(),
            port: advertised.and_then(|advertised| advertised.port).unwrap_or(self.client_port),
            auth_required: self.guard.requires_authorization(),
            tls_required: tls.is_some() && !config.allow_non_tls,
            tls_available: tls.is_some() && config.allow_non_tls,
            tls_verify: tls.is_some_and(TlsSettings::verifies),
            api_lvl: JETSTREAM_API_LEVEL,
            ..self.base_info()
        }
    }
}

/// Lets accounts take from others what they import, now that all are there.
fn set_imports(accounts: &Accounts, configured: &[AccountConfig]) {
    let by_name: BTreeMap<&str, &AccountConfig> =
        configured.iter().map(|account| (account.name.as_str(), account)).collect();
    let find = |name: &str| accounts.find(name.as_bytes()).expect("an account of a valid configuration");
    for importer in configured.iter().filter(|account| !account.imports.is_empty()) {
        let mut imports = Imports::default();
        for import in &importer.imports {
            let exporter = by_name[import.account.as_str()];
            let export = exporter.export_for(&importer.name, import).expect("a valid configuration");
            imports.add(find(&exporter.name).id(), import, export);
        }
        find(&importer.name).set_imports(imports);
    }
}

/// The level of the JetStream API that a server says it has, whether or not it has JetStream.
const JETSTREAM_API_LEVEL: i32 = 5;

/// The client protocol level of INFO: asynchronous INFO is sent.
const CLIENT_PROTOCOL: i32 = 1;
