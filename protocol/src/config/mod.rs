//! What an operator can choose: plain data with nats-server's defaults, its rules, and its file format.
//!
//! Nothing here does IO. A runtime builds a [`Config`] in code or from a text, checks it once with
//! [`Config::validate`], and gives it to the machines.

mod account;
mod address;
mod change;
mod cluster;
mod discovery;
mod file;
mod healing;
mod imports;
mod limits;
mod permissions;
mod relay;
mod secret;
mod seed;
mod shared_secret;
mod sharing;
mod user;
mod validate;
mod websocket;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use account::is_account_name;
pub use account::{AccountConfig, AccountLimits, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
pub use address::{AddressError, HostPort, Listen, ListenUrl, Port, RouteUrl};
pub use change::ConfigRefused;
pub use cluster::{
    ClusterConfig, Compression, DEFAULT_POOL_SIZE, MAX_CLUSTER_PING_INTERVAL, RoutePermissions, RttThresholds,
};
pub use discovery::{DEFAULT_DISCOVERY_INTERVAL, DEFAULT_FRP_PORT, Dht, Discovery, Frp, Source};
pub use file::{FileError, FileSettings, Included, NoSources, ProcessSettings, Sources, parse_file};
pub use healing::Healing;
pub use imports::{ExportError, ImportError};
pub use limits::RouteLimits;
pub use permissions::{Permissions, ResponsePermission, Rules, SubjectRule};
pub use relay::{Relay, RelayMode};
pub use secret::Secret;
pub use seed::SecretSeed;
pub use shared_secret::{NoSharedSecret, SHARED_SECRET_BYTES, SharedSecret};
pub use sharing::{DEFAULT_RESPONSE_THRESHOLD, Export, ExportKind, Import, ImportKind, Response, Sharing};
pub use user::{ConnectionType, Identity, NoConnectionType, User};
pub use validate::{ConfigError, MAX_PAYLOAD};
pub use websocket::{INFLATED_BESIDE_BYTES, WebSocketConfig};

pub use crate::mapping::{Mapping, MappingDestination};
pub use crate::nkey::{NoUserKey, UserKey};
pub use crate::quote::without_user_info;
use crate::transport::Tls;
pub use crate::transport::{NoOrigin, Origin};

/// Everything that one node needs to know about its place and its limits (wire.md 1.7, 9.2).
///
/// The defaults are those of nats-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name shown to clients, peers and monitoring; `None` means the node's own id. No spaces.
    pub server_name: Option<String>,
    /// The address that clients connect to. `0.0.0.0` listens on every interface.
    pub host: String,
    /// The port that clients connect to.
    pub port: Port,
    /// What clients and peers are told to reach this node's client port by, where it differs from `host` and
    /// `port`. A missing port means `port`.
    pub client_advertise: Option<HostPort>,
    /// How many clients may be connected at once; 0 refuses every client.
    pub max_connections: usize,
    /// How many subscriptions one client may hold; 0 is no limit.
    pub max_subscriptions: usize,
    /// How many tokens a subscription's subject may have (`max_sub_tokens`); 0 is no limit.
    pub max_subject_tokens: u8,
    /// The largest payload that a client may publish, headers included, in bytes.
    pub max_payload: usize,
    /// The longest protocol line without its payload, in bytes.
    pub max_control_line: usize,
    /// How many bytes may wait for one client before it is closed as a slow consumer.
    pub max_pending: usize,
    /// How long after one PING the next is sent.
    pub ping_interval: Duration,
    /// How many PINGs may be unanswered before a connection is stale.
    pub ping_max: u32,
    /// How long one write to a socket may take.
    pub write_deadline: Duration,
    /// What a client must present.
    pub authorization: Authorization,
    /// The user, or its nkey, that a client is that presents nothing; `None` refuses it.
    pub no_auth_user: Option<String>,
    /// Lets a client that presents nothing into the global account, although there are users, and says in INFO all the same that
    /// credentials are required. nats-server does so where a file names the system account, and neither another one nor anything
    /// of authorization, so that users of that account alone can be added to an open server.
    pub is_global_account_open: bool,
    /// Where what clients of the global account publish goes instead (wire.md 1.13).
    pub mappings: Vec<Mapping>,
    /// The accounts beside the global one and that of the system, which need not be named.
    pub accounts: Vec<AccountConfig>,
    /// TLS for clients; `None` speaks none.
    pub tls: Option<Tls>,
    /// Lets clients do without TLS although it is spoken: they are told that it is available.
    pub allow_non_tls: bool,
    /// How long a client may take to present it.
    pub auth_timeout: Duration,
    /// Clients may come by way of a proxy, which says first whom it speaks for (wire.md 1.14).
    pub proxy_protocol: bool,
    /// Behaves like a server from before message headers existed.
    pub no_header_support: bool,
    /// How many closed connections monitoring remembers.
    pub max_closed_clients: usize,
    /// The first failed attempt to reach a route is reported as an error, and then every one after this many.
    pub connect_error_reports: u32,
    /// The same for a route that was lost after it had been connected.
    pub reconnect_error_reports: u32,
    /// Makes this node a member of a cluster; `None` stands alone.
    pub cluster: Option<ClusterConfig>,
    /// Where the first address of the cluster may come from, beside [`ClusterConfig::routes`].
    pub discovery: Discovery,
    /// Of a node that stands alone: the name of a cluster that clients and monitoring are told. No spaces, and not `_`.
    pub lone_cluster_name: Option<String>,
    /// In how long clients are sent away one after another before a stop (lame duck mode), the grace period included.
    pub lame_duck_duration: Duration,
    /// How long the node waits until it sends the first away, so that those who heard of it can go by themselves.
    pub lame_duck_grace_period: Duration,
    /// The account that servers talk to each other in: one of `accounts`. `None` is `$SYS`.
    pub system_account: Option<String>,
    /// Has no system account, unless it is named by `system_account`, or is one of `accounts`: its services listen for nothing,
    /// and no interest of others in it is kept.
    pub no_system_account: bool,
    /// What others may choose this node by in the system account, in lower case; monitoring shows it.
    pub server_tags: Vec<String>,
    /// The key of the tag by which this node takes members of queue groups from near at hand; `None` takes each as soon as any
    /// other, as nats-server does. Not empty, and no blanks.
    ///
    /// What this node's clients and services publish goes, of each queue group, to a member at this node or at a peer that says
    /// the same tag of itself: with `az`, and `az:eu1` among `server_tags`, at a peer that has `az` and `az:eu1`, too. Only if
    /// none of them takes it, the others are asked: members at other peers, at those that have not set it, and at nats-servers.
    /// What a peer sends is not concerned: the peer has chosen. Without a tag of this key nothing is preferred
    /// ([`Config::affinity_tag`]).
    pub queue_affinity: Option<String>,
    /// What an operator says of this node; monitoring shows it.
    pub server_metadata: BTreeMap<String, String>,
    /// The path that all paths of monitoring stand behind; empty for none.
    pub http_base_path: String,
    /// Where monitoring is served over HTTP; `None` serves none. An empty host is the host of clients: read it
    /// with [`Config::monitoring_address`].
    pub monitoring: Option<Listen>,
    /// Where clients by WebSocket connect; `None` takes none.
    pub websocket: Option<WebSocketConfig>,
    /// Lets every connection go on in the frames of a stand-in for the transports to come, with this key: a client from its
    /// first CONNECT and the answer to that on, a route from its first line on in each direction. Where it changes while the node
    /// runs, it holds for what begins then. For tests.
    #[doc(hidden)]
    pub rehearsed_transport: Option<u64>,
    /// Where every random choice of the machines comes from, the public server id included. A runtime sets it from the
    /// system's randomness; a test fixes it.
    pub seed: u64,
    /// Where what must be unguessable comes from. All zeros are guessable, and good enough for tests only.
    pub secret_seed: SecretSeed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: None,
            host: DEFAULT_HOST.to_owned(),
            port: Port::Fixed(DEFAULT_CLIENT_PORT),
            client_advertise: None,
            max_connections: 65_536,
            max_subscriptions: 0,
            max_subject_tokens: 0,
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_pending: 64 * 1024 * 1024,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            authorization: Authorization::None,
            no_auth_user: None,
            is_global_account_open: false,
            mappings: Vec::new(),
            accounts: Vec::new(),
            tls: None,
            allow_non_tls: false,
            auth_timeout: DEFAULT_AUTH_TIMEOUT,
            proxy_protocol: false,
            no_header_support: false,
            max_closed_clients: 10_000,
            connect_error_reports: 3600,
            reconnect_error_reports: 1,
            cluster: None,
            discovery: Discovery::default(),
            lone_cluster_name: None,
            lame_duck_duration: Duration::from_secs(120),
            lame_duck_grace_period: Duration::from_secs(10),
            system_account: None,
            no_system_account: false,
            server_tags: Vec::new(),
            queue_affinity: None,
            server_metadata: BTreeMap::new(),
            http_base_path: String::new(),
            monitoring: None,
            websocket: None,
            rehearsed_transport: None,
            seed: 0,
            secret_seed: SecretSeed::default(),
        }
    }
}

impl Config {
    /// The account that servers talk to each other in; `None` if there is none.
    pub fn system_account_name(&self) -> Option<&str> {
        let is_named = || self.accounts.iter().any(|account| account.name == SYSTEM_ACCOUNT);
        let default = || (!self.no_system_account || is_named()).then_some(SYSTEM_ACCOUNT);
        self.system_account.as_deref().or_else(default)
    }

    /// TLS for clients that come by WebSocket, or for the others.
    pub(crate) fn client_tls(&self, by_websocket: bool) -> Option<&Tls> {
        if by_websocket { self.websocket.as_ref()?.tls.as_ref() } else { self.tls.as_ref() }
    }

    /// How long after one PING the next is sent to clients that come by WebSocket, or to the others.
    pub(crate) fn client_ping_interval(&self, by_websocket: bool) -> Duration {
        let own = self.websocket.as_ref().filter(|_| by_websocket).and_then(|own| own.ping_interval);
        own.unwrap_or(self.ping_interval)
    }

    /// The tag by which peers know whether this node is near them: the first of the `server_tags` that is
    /// `<queue_affinity>:<value>`, where the value is not empty.
    pub fn affinity_tag(&self) -> Option<&str> {
        let key = self.queue_affinity.as_deref()?;
        let value_of = |tag: &str| tag.strip_prefix(key)?.strip_prefix(':').map(str::is_empty);
        self.server_tags.iter().map(String::as_str).find(|tag| value_of(tag) == Some(false))
    }

    /// The mappings of an account.
    pub(crate) fn mappings_of(&self, account: &str) -> &[Mapping] {
        if account == GLOBAL_ACCOUNT {
            return &self.mappings;
        }
        self.account(account).map_or(&[], |named| &named.mappings)
    }

    /// What the operator says of an account that is not the global one.
    pub(crate) fn account(&self, name: &str) -> Option<&AccountConfig> {
        self.accounts.iter().find(|named| named.name == name)
    }

    /// The name of the cluster that the node is configured to be in, or to say that it is in.
    pub(crate) fn configured_cluster_name(&self) -> Option<&str> {
        let of_cluster = self.cluster.as_ref().map(|cluster| cluster.name.as_deref());
        of_cluster.unwrap_or(self.lone_cluster_name.as_deref())
    }

    /// Where monitoring is served, with its host filled in.
    pub fn monitoring_address(&self) -> Option<Listen> {
        let listen = self.monitoring.as_ref()?;
        let host = if listen.host.is_empty() { &self.host } else { &listen.host };
        Some(Listen { host: host.clone(), port: listen.port })
    }

    /// Whether a user's password stands here as it is, for everybody to read who may read the configuration.
    pub fn has_plaintext_passwords(&self) -> bool {
        match &self.authorization {
            Authorization::User { password, .. } => !password.is_bcrypt(),
            Authorization::Users(users) => {
                users.iter().filter_map(|user| user.identity.password()).any(|password| !password.is_bcrypt())
            }
            Authorization::None | Authorization::Token(_) | Authorization::External => false,
        }
    }

    /// What must stand in no log.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let own: Vec<_> = match &self.authorization {
            Authorization::User { password: secret, .. } | Authorization::Token(secret) => vec![secret],
            Authorization::Users(users) => users.iter().filter_map(|user| user.identity.password()).collect(),
            Authorization::None | Authorization::External => Vec::new(),
        };
        let of_cluster = self.cluster.iter().flat_map(|cluster| {
            let own = cluster.authorization.as_ref().map(|own| own.password.expose());
            own.into_iter().chain(cluster.routes.iter().filter_map(RouteUrl::secret))
        });
        own.into_iter().map(Secret::expose).chain(of_cluster).filter(|secret| !secret.is_empty())
    }
}

/// What a client must present in its CONNECT (wire.md 1.12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing.
    #[default]
    None,
    /// One user for everybody.
    User {
        /// The user's name.
        user: String,
        /// The password in plain text, or its bcrypt hash.
        password: Secret,
    },
    /// One token for everybody, in plain text or as a bcrypt hash.
    Token(Secret),
    /// One of several users.
    Users(Vec<User>),
    /// What the program that this node is a part of accepts: it is asked for each CONNECT, by an
    /// [`Effect`](crate::connection::Effect). There is no configuration file syntax for it.
    External,
}

/// A user's name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPassword {
    /// The user's name.
    pub user: String,
    /// The password in plain text.
    pub password: Secret,
}

/// Every interface of the host.
pub const DEFAULT_HOST: &str = "0.0.0.0";
/// The port that NATS clients try first.
pub const DEFAULT_CLIENT_PORT: u16 = 4222;
/// How long a connection may take to authenticate, unless it is configured.
pub const DEFAULT_AUTH_TIMEOUT: Duration = Duration::from_secs(2);
