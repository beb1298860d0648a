//! What a configuration must obey as a whole.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{
    AccountConfig, Authorization, ClusterConfig, Compression, Config, ExportError, GLOBAL_ACCOUNT, Identity,
    ImportError, Mapping, RelayMode, RouteUrl, RttThresholds, Secret, Sharing, Source, User, WebSocketConfig,
    imports, is_account_name,
};
use crate::mapping::MappingError;

/// The largest payload that can be configured, in bytes: what the size on the wire can say.
pub const MAX_PAYLOAD: usize = i32::MAX as usize;

impl Config {
    /// Checks what no single field can tell.
    ///
    /// # Errors
    /// The first rule that is broken, in nats-server's words where it has any.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_server_name(self.server_name.as_deref())?;
        check_queue_affinity(self.queue_affinity.as_deref())?;
        if self.max_payload > MAX_PAYLOAD {
            return Err(ConfigError::PayloadTooBig);
        }
        if self.max_payload > self.max_pending {
            let (max_payload, max_pending) = (self.max_payload, self.max_pending);
            return Err(ConfigError::PayloadAbovePending { max_payload, max_pending });
        }
        self.check_above_zero()?;
        if self.lame_duck_grace_period >= self.lame_duck_duration {
            return Err(ConfigError::LameDuckGracePeriod);
        }
        self.check_accounts()?;
        self.check_authorization()?;
        self.websocket.as_ref().map_or(Ok(()), WebSocketConfig::validate)?;
        check_cluster_name(self.lone_cluster_name.as_deref())?;
        self.discovery.validate()?;
        if self.discovery.is_on() && self.cluster.is_none() {
            return Err(ConfigError::DiscoveryWithoutCluster);
        }
        if self.discovery.mdns && self.configured_cluster_name().is_none() {
            return Err(ConfigError::DiscoveryWithoutName);
        }
        // Whoever is dialed need not know the password, and anybody in the network, or who knows the secret, can announce himself
        // (design.md 6).
        let is_closed =
            |cluster: &ClusterConfig| cluster.authorization.is_some() && !cluster.proves_the_dialed();
        let tells_of_others = self.discovery.mdns || self.discovery.dht.is_some();
        if tells_of_others && self.cluster.as_ref().is_some_and(is_closed) {
            return Err(ConfigError::DiscoveryWithoutTls);
        }
        self.cluster.as_ref().map_or(Ok(()), |cluster| cluster.validate(self.system_account_name()))
    }

    fn check_accounts(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        check_mappings(&self.mappings)?;
        for AccountConfig { name, mappings, .. } in &self.accounts {
            check_account_name(name)?;
            check_mappings(mappings)?;
            if !names.insert(&**name) {
                return Err(ConfigError::DuplicateAccount(name.clone()));
            }
        }
        if let Some(fault) = imports::faults(&self.accounts).into_iter().next() {
            return Err(fault);
        }
        match self.system_account.as_deref() {
            Some(GLOBAL_ACCOUNT) => return Err(ConfigError::GlobalSystemAccount),
            Some(name) if !names.contains(name) => return Err(ConfigError::SystemAccountMissing),
            _ => {}
        }
        names.extend([GLOBAL_ACCOUNT].into_iter().chain(self.system_account_name()));
        let Authorization::Users(users) = &self.authorization else { return Ok(()) };
        let mut of_users = users.iter().filter_map(|user| user.account.as_ref());
        of_users
            .find(|account| !names.contains(account.as_str()))
            .map_or(Ok(()), |account| Err(ConfigError::UnknownAccount(account.clone())))
    }

    fn check_authorization(&self) -> Result<(), ConfigError> {
        let users = match &self.authorization {
            Authorization::None | Authorization::External => [].as_slice(),
            Authorization::User { password: secret, .. } | Authorization::Token(secret) => {
                check_secret(secret)?;
                &[]
            }
            Authorization::Users(users) => users,
        };
        let mut names = BTreeSet::new();
        for User { identity, .. } in users {
            match identity {
                Identity::Password { password, .. } => check_secret(password)?,
                Identity::Nkey(_) if !cfg!(feature = "auth") => return Err(ConfigError::NotBuilt("nkeys")),
                Identity::Nkey(_) => {}
            }
            if !names.insert(identity.to_string()) {
                return Err(ConfigError::DuplicateUser(identity.to_string()));
            }
        }
        match &self.no_auth_user {
            Some(name) if users.is_empty() => Err(ConfigError::NoAuthUserWithoutUsers(name.clone())),
            Some(name) if !names.contains(name) => Err(ConfigError::UnknownNoAuthUser(name.clone())),
            _ => Ok(()),
        }
    }

    fn check_above_zero(&self) -> Result<(), ConfigError> {
        check_durations(&[
            ("ping_interval", Some(self.ping_interval)),
            ("write_deadline", Some(self.write_deadline)),
            ("authorization timeout", Some(self.auth_timeout)),
        ])?;
        if self.max_control_line == 0 { Err(ConfigError::Zero("max_control_line")) } else { Ok(()) }
    }
}

impl ClusterConfig {
    fn validate(&self, system_account: Option<&str>) -> Result<(), ConfigError> {
        check_cluster_name(self.name.as_deref())?;
        check_durations(&[
            ("cluster authorization timeout", Some(self.auth_timeout)),
            ("cluster ping_interval", self.ping_interval),
            ("cluster write_deadline", self.write_deadline),
        ])?;
        if self.authorization.as_ref().is_some_and(|own| own.password.is_bcrypt()) {
            return Err(ConfigError::BcryptClusterPassword);
        }
        if self.pool_size.is_none() && !self.accounts.is_empty() {
            return Err(ConfigError::PinnedWithoutPool);
        }
        if self.relay.mode == RelayMode::On && !self.healing.compare {
            return Err(ConfigError::RelayWithoutCompare);
        }
        for (index, account) in self.accounts.iter().enumerate() {
            if self.accounts[..index].contains(account) {
                let listed = self.pinned(system_account).map(str::to_owned);
                let (account, accounts) = (account.clone(), listed.collect());
                return Err(ConfigError::DuplicatePinnedAccount { account, accounts });
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            if self.routes[..index].contains(route) {
                return Err(ConfigError::DuplicateRoute(route.clone()));
            }
        }
        self.compression.validate()
    }
}

impl WebSocketConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if !cfg!(feature = "websocket") {
            return Err(ConfigError::NotBuilt("clients by websocket"));
        }
        if self.tls.is_none() && !self.no_tls {
            return Err(ConfigError::WebSocketWithoutTls);
        }
        check_durations(&[
            ("websocket handshake_timeout", Some(self.handshake_timeout)),
            ("websocket ping_interval", self.ping_interval),
        ])?;
        // They are written as they are into the answer.
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let is_value = |value: &str| !value.contains(char::is_control);
        let wrong = self.headers.iter().find(|(name, value)| !is_name(name) || !is_value(value));
        wrong.map_or(Ok(()), |(name, _)| Err(ConfigError::WebSocketHeader(name.clone())))
    }
}

/// Where there is a duration, there is more than none.
fn check_durations(durations: &[(&'static str, Option<Duration>)]) -> Result<(), ConfigError> {
    let zero = durations.iter().find(|(_, duration)| duration.is_some_and(|duration| duration.is_zero()));
    zero.map_or(Ok(()), |(name, _)| Err(ConfigError::Zero(name)))
}

impl Compression {
    fn validate(&self) -> Result<(), ConfigError> {
        let Self::Auto(RttThresholds(thresholds)) = self else { return Ok(()) };
        let used: Vec<_> = thresholds.iter().filter(|threshold| !threshold.is_zero()).collect();
        if used.is_empty() {
            return Err(ConfigError::NoRttThreshold);
        }
        if thresholds.len() > MAX_RTT_THRESHOLDS {
            return Err(ConfigError::TooManyRttThresholds(thresholds.clone()));
        }
        if !used.is_sorted() {
            return Err(ConfigError::UnsortedRttThresholds(thresholds.clone()));
        }
        Ok(())
    }
}

fn listed(thresholds: &[Duration]) -> String {
    thresholds.iter().map(|threshold| format!("{threshold:?}")).collect::<Vec<_>>().join(" ")
}

/// One for each level.
const MAX_RTT_THRESHOLDS: usize = 4;

/// What separates words of a line of the protocol. Other blanks, such as a no-break space, are letters there.
const SEPARATORS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn check_server_name(name: Option<&str>) -> Result<(), ConfigError> {
    if name.is_some_and(|name| name.contains(SEPARATORS)) {
        return Err(ConfigError::ServerNameWithSpaces);
    }
    Ok(())
}

pub(super) fn check_queue_affinity(key: Option<&str>) -> Result<(), ConfigError> {
    if key.is_some_and(|key| key.is_empty() || key.contains(char::is_whitespace)) {
        return Err(ConfigError::QueueAffinityNoWord);
    }
    Ok(())
}

fn check_mappings(mappings: &[Mapping]) -> Result<(), ConfigError> {
    let fault = |mapping: &Mapping| {
        let fault = |error| ConfigError::Mapping { source: mapping.source.clone(), error };
        mapping.validate().map_err(fault)
    };
    mappings.iter().try_for_each(fault)
}

pub(super) fn check_account_name(name: &str) -> Result<(), ConfigError> {
    match name {
        GLOBAL_ACCOUNT => Err(ConfigError::ReservedAccount(name.to_owned())),
        name if !is_account_name(name) => Err(ConfigError::InvalidAccountName(name.to_owned())),
        _ => Ok(()),
    }
}

pub(super) fn check_cluster_name(name: Option<&str>) -> Result<(), ConfigError> {
    match name {
        Some("_") => Err(ConfigError::ClusterNameReserved),
        Some(name) if name.contains(SEPARATORS) => Err(ConfigError::ClusterNameWithSpaces),
        _ => Ok(()),
    }
}

fn check_secret(secret: &Secret) -> Result<(), ConfigError> {
    if secret.is_damaged_bcrypt() {
        return Err(ConfigError::DamagedBcrypt);
    }
    if secret.is_bcrypt() && !cfg!(feature = "auth") {
        return Err(ConfigError::NotBuilt("bcrypt passwords and tokens"));
    }
    Ok(())
}

/// Why a [`Config`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The server's name must be one word: it stands in protocol lines.
    ServerNameWithSpaces,
    /// `queue_affinity` must be one word: it is the key of a tag.
    QueueAffinityNoWord,
    /// The cluster's name must be one word.
    ClusterNameWithSpaces,
    /// The cluster's name is one that the protocol uses itself.
    ClusterNameReserved,
    /// Routes to connect to, but no cluster to be in.
    RoutesWithoutCluster,
    /// A cluster's servers are to be found, but there is no cluster to be in.
    DiscoveryWithoutCluster,
    /// The local network is to be searched for a cluster whose name nobody can know.
    DiscoveryWithoutName,
    /// Whoever announces himself in the local network would be a member of a cluster that asks for a password.
    DiscoveryWithoutTls,
    /// Members are to find each other in the DHT, but share no secret.
    DhtWithoutSecret,
    /// A source is to be asked with nothing.
    EmptyInDiscovery(Source),
    /// A source is to be asked with more than it may be.
    TooManyInDiscovery {
        /// This one.
        source: Source,
        /// So many names or words are the most.
        most: usize,
    },
    /// An FRP client is to be asked at what is no address of its web server.
    FrpUrl,
    /// It is to be asked in the name of somebody whom basic authentication cannot name.
    FrpUser,
    /// It is to be asked with a user or a password that is too long.
    FrpTextTooLong {
        /// So many bytes are the most.
        most: usize,
    },
    /// Sources are to be asked too often or too rarely.
    DiscoveryInterval {
        /// They may be asked so often.
        shortest: Duration,
        /// And so rarely.
        longest: Duration,
    },
    /// The same route twice.
    DuplicateRoute(RouteUrl),
    /// Accounts with connections of their own, where connections are not pooled.
    PinnedWithoutPool,
    /// Circuits are for nodes that compare which servers they know.
    RelayWithoutCompare,
    /// The same account twice among those with connections of their own.
    DuplicatePinnedAccount {
        /// The account.
        account: String,
        /// All that are named.
        accounts: Vec<String>,
    },
    /// No level of compression is to be used, whatever the round-trip time.
    NoRttThreshold,
    /// More round-trip times than levels.
    TooManyRttThresholds(Vec<Duration>),
    /// A level is to be used from a shorter round-trip time on than one that is less hard.
    UnsortedRttThresholds(Vec<Duration>),
    /// `max_payload` exceeds [`MAX_PAYLOAD`].
    PayloadTooBig,
    /// A message of the largest size could never be delivered.
    PayloadAbovePending {
        /// The configured `max_payload` in bytes.
        max_payload: usize,
        /// The configured `max_pending` in bytes.
        max_pending: usize,
    },
    /// This one must be more than nothing.
    Zero(&'static str),
    /// A port for WebSockets where it is not said that they are not encrypted, as they cannot be.
    WebSocketWithoutTls,
    /// What is no header, and is to stand in the answer to who asks for a WebSocket.
    WebSocketHeader(String),
    /// A `lame_duck_grace_period` that leaves nothing of the `lame_duck_duration`.
    LameDuckGracePeriod,
    /// It needs a feature of this crate that it was built without.
    NotBuilt(&'static str),
    /// A password or token that begins like a bcrypt hash and is none.
    DamagedBcrypt,
    /// A password of servers that is a bcrypt hash: they present the same.
    BcryptClusterPassword,
    /// Two accounts of the same name.
    DuplicateAccount(String),
    /// An account with a name that servers have for themselves.
    ReservedAccount(String),
    /// An account whose name is not one word.
    InvalidAccountName(String),
    /// A `system_account` that is none of the accounts.
    SystemAccountMissing,
    /// `$G` as the `system_account`, which nats-server takes: its clients would see what servers tell each other.
    GlobalSystemAccount,
    /// What is to become of subjects cannot be.
    Mapping {
        /// Of these subjects.
        source: String,
        /// Why.
        error: MappingError,
    },
    /// An export to an account that there is not.
    ExportToUnknownAccount {
        /// The account.
        account: String,
        /// What is exported.
        kind: Sharing,
    },
    /// What an account offers cannot be.
    Export {
        /// This.
        subject: String,
        /// Stream or service.
        kind: Sharing,
        /// Why.
        error: ExportError,
    },
    /// An import from an account that there is not.
    UnknownExporter {
        /// The account.
        account: String,
        /// What is imported.
        kind: Sharing,
    },
    /// What an account takes from another cannot be.
    Import {
        /// This, as the exporter knows it.
        subject: String,
        /// Stream or service.
        kind: Sharing,
        /// Why.
        error: ImportError,
    },
    /// A user of an account that there is not.
    UnknownAccount(String),
    /// Two users of the same name, or of the same key.
    DuplicateUser(String),
    /// A `no_auth_user` without any user.
    NoAuthUserWithoutUsers(String),
    /// A `no_auth_user` who is none of the users.
    UnknownNoAuthUser(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerNameWithSpaces => f.write_str("server name cannot contain spaces"),
            Self::QueueAffinityNoWord => f.write_str("queue_affinity must be one word, the key of a tag"),
            Self::ClusterNameWithSpaces => f.write_str("cluster name cannot contain spaces"),
            Self::ClusterNameReserved => f.write_str("cluster name is reserved"),
            Self::RoutesWithoutCluster => {
                f.write_str("solicited routes require cluster capabilities, e.g. --cluster")
            }
            Self::DiscoveryWithoutCluster => {
                f.write_str("discovery requires cluster capabilities, e.g. --cluster")
            }
            Self::DiscoveryWithoutName => f.write_str("discovery mdns requires a name for the cluster"),
            Self::DiscoveryWithoutTls => f.write_str(
                "discovery mdns and dht require tls that verifies, where the cluster has authorization",
            ),
            Self::DhtWithoutSecret => {
                f.write_str("discovery dht requires a secret that the members share: secret or secret_file")
            }
            Self::EmptyInDiscovery(source) => write!(f, "discovery {source} cannot have an empty text"),
            Self::TooManyInDiscovery { source, most } => {
                write!(f, "discovery {source} cannot have more than {most} entries")
            }
            Self::FrpUrl => f.write_str("discovery frp requires a url such as http://127.0.0.1:7400"),
            Self::FrpUser => f.write_str(
                "discovery frp cannot have a user with a colon, nor control characters in user or password",
            ),
            Self::FrpTextTooLong { most } => {
                write!(f, "discovery frp cannot have a user or password of more than {most} bytes")
            }
            Self::DiscoveryInterval { shortest, longest } => {
                write!(f, "discovery interval must be from {shortest:?} to {longest:?}")
            }
            Self::DuplicateRoute(route) => write!(f, "duplicate route entry: {route}"),
            Self::RelayWithoutCompare => f.write_str("relay needs healing with compare"),
            Self::PinnedWithoutPool => {
                f.write_str("pool_size cannot be negative if pinned accounts are specified")
            }
            Self::DuplicatePinnedAccount { account, accounts } => {
                let listed: Vec<_> = accounts.iter().map(|account| format!("{account:?}")).collect();
                let listed = listed.join(" ");
                write!(f, "found duplicate account name {account:?} in pinned accounts list [{listed}]")
            }
            Self::NoRttThreshold => {
                f.write_str("compression mode \"s2_auto\" requires at least one RTT threshold")
            }
            Self::TooManyRttThresholds(thresholds) => {
                let listed = listed(thresholds);
                write!(
                    f,
                    "compression mode \"s2_auto\" should have no more than 4 RTT thresholds: [{listed}]"
                )
            }
            Self::UnsortedRttThresholds(thresholds) => {
                write!(f, "RTT threshold values [{}] should be in ascending order", listed(thresholds))
            }
            Self::PayloadTooBig => f.write_str("max_payload value is too big"),
            Self::PayloadAbovePending { max_payload, max_pending } => {
                write!(f, "max_payload ({max_payload}) cannot be higher than max_pending ({max_pending})")
            }
            Self::LameDuckGracePeriod => {
                f.write_str("lame duck grace period should be strictly lower than lame duck duration")
            }
            Self::WebSocketWithoutTls => f.write_str("websocket requires TLS configuration"),
            Self::WebSocketHeader(name) => write!(f, "websocket header {name:?} is none"),
            Self::Zero(name) => write!(f, "{name} must be more than zero"),
            Self::NotBuilt(what) => write!(f, "{what} are not supported by this build"),
            Self::DamagedBcrypt => f.write_str(
                "a password or token begins like a bcrypt hash and is none, so nothing would match it",
            ),
            Self::BcryptClusterPassword => f.write_str("cluster password cannot be a bcrypt hash"),
            Self::DuplicateAccount(name) => write!(f, "Duplicate Account Entry: {name}"),
            Self::ReservedAccount(name) => write!(f, "{name:?} is a Reserved Account"),
            Self::InvalidAccountName(name) => write!(f, "account name {name:?} is not one word"),
            Self::SystemAccountMissing => f.write_str("error resolving system account: account missing"),
            Self::GlobalSystemAccount => f.write_str("the system account cannot be \"$G\""),
            Self::Mapping { source, error } => write!(f, "Error adding mapping for {source:?} : {error}"),
            Self::ExportToUnknownAccount { account, kind } => {
                write!(f, "{account:?} account not defined for {kind} export")
            }
            Self::Export { subject, kind, error } => {
                write!(f, "Error adding {kind} export {subject:?}: {error}")
            }
            Self::UnknownExporter { account, kind } => {
                write!(f, "{account:?} account not defined for {kind} import")
            }
            Self::Import { subject, kind, error } => {
                write!(f, "Error adding {kind} import {subject:?}: {error}")
            }
            Self::UnknownAccount(name) => write!(f, "{name:?} account not defined for its users"),
            Self::DuplicateUser(user) => write!(f, "Duplicate user {user:?} detected"),
            Self::NoAuthUserWithoutUsers(user) => {
                write!(f, "no_auth_user: {user:?} present, but users/nkeys are not defined")
            }
            Self::UnknownNoAuthUser(user) => {
                let text = "not present as user or nkey in authorization block or account configuration";
                write!(f, "no_auth_user: {user:?} {text}")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Dht, Discovery, Frp, HostPort, SharedSecret, UserPassword};

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
        let clustered = Config { cluster: Some(ClusterConfig::default()), ..Config::default() };
        assert_eq!(clustered.validate(), Ok(()));
    }

    #[test]
    fn a_broken_rule_of_the_node_is_named() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().map_err(|error| error.to_string()).unwrap_err()
        };
        assert_eq!(refused(|c| c.server_name = Some("a b".into())), "server name cannot contain spaces");
        for key in ["", "a b", "\t"] {
            let config = Config { queue_affinity: Some(key.to_owned()), ..Config::default() };
            assert_eq!(config.validate(), Err(ConfigError::QueueAffinityNoWord), "{key:?}");
        }
        assert_eq!(refused(|c| c.max_payload = 1 << 31), "max_payload value is too big");
        assert_eq!(
            refused(|c| (c.max_payload, c.max_pending) = (2097152, 1048576)),
            "max_payload (2097152) cannot be higher than max_pending (1048576)"
        );
        assert_eq!(refused(|c| c.ping_interval = Duration::ZERO), "ping_interval must be more than zero");
        assert_eq!(refused(|c| c.max_control_line = 0), "max_control_line must be more than zero");
        let grace = "lame duck grace period should be strictly lower than lame duck duration";
        assert_eq!(refused(|c| c.lame_duck_grace_period = c.lame_duck_duration), grace);
        assert_eq!(refused(|c| c.lone_cluster_name = Some("_".into())), "cluster name is reserved");
    }

    #[test]
    fn a_broken_rule_of_discovery_is_named() {
        let judged = |cluster: Option<ClusterConfig>, discovery: Discovery| {
            let config = Config { cluster, discovery, ..Config::default() };
            config.validate().map_err(|error| error.to_string())
        };
        let named = || ClusterConfig { name: Some("C".to_owned()), ..ClusterConfig::default() };
        let texts = |len| vec!["a".to_owned(); len];
        let names = |len| vec![HostPort { host: "a".to_owned(), port: None }; len];
        let no_name = HostPort { host: String::new(), port: Some(5) };
        let by_file = |path: &str| Discovery { peers_file: Some(path.to_owned()), ..Discovery::default() };
        let by_name = |dns| Discovery { dns, ..Discovery::default() };
        let by_command = |command| Discovery { command, ..Discovery::default() };
        let by_mdns = |secs| Discovery { mdns: true, interval: Duration::from_secs(secs), ..by_name(vec![]) };
        let by_frp = |user: &str, secs: Option<u64>| {
            let frp = Frp { user: user.into(), interval: secs.map(Duration::from_secs), ..Frp::default() };
            Discovery { frp: Some(frp), ..Discovery::default() }
        };
        let all = [by_file("a"), by_name(names(16)), by_command(texts(64)), by_mdns(1), by_mdns(3600)];
        for on in all.into_iter().chain([by_frp("a", Some(1)), by_frp("", None)]) {
            assert_eq!(judged(Some(named()), on.clone()), Ok(()));
            let alone = "discovery requires cluster capabilities, e.g. --cluster";
            assert_eq!(judged(None, on), Err(alone.to_owned()));
        }
        for (discovery, text) in [
            (by_file(""), "discovery peers_file cannot have an empty text"),
            (by_name(vec![no_name]), "discovery dns cannot have an empty text"),
            (by_name(names(17)), "discovery dns cannot have more than 16 entries"),
            (by_command(vec![String::new()]), "discovery command cannot have an empty text"),
            (by_command(texts(65)), "discovery command cannot have more than 64 entries"),
            (
                by_frp("a:b", None),
                "discovery frp cannot have a user with a colon, nor control characters in user or password",
            ),
            (by_frp("a", Some(0)), "discovery interval must be from 1s to 3600s"),
            (by_mdns(0), "discovery interval must be from 1s to 3600s"),
            (by_mdns(3601), "discovery interval must be from 1s to 3600s"),
        ] {
            assert_eq!(judged(Some(named()), discovery), Err(text.to_owned()));
        }
        let nameless = "discovery mdns requires a name for the cluster";
        assert_eq!(judged(Some(ClusterConfig::default()), by_mdns(1)), Err(nameless.to_owned()));
    }

    #[test]
    fn a_cluster_with_a_password_finds_nobody_who_cannot_show_who_he_is() {
        let judged = |has_password: bool, mdns: bool, dht: bool| {
            let user = UserPassword { user: "a".to_owned(), password: "b".into() };
            let authorization = has_password.then_some(user);
            let name = Some("C".to_owned());
            let cluster = Some(ClusterConfig { name, authorization, ..ClusterConfig::default() });
            let peers_file = Some("peers".to_owned());
            let (dht, secret) = (dht.then(Dht::default), dht.then(|| SharedSecret::from([1; 32])));
            let discovery = Discovery { mdns, dht, secret, peers_file, ..Discovery::default() };
            Config { cluster, discovery, ..Config::default() }.validate()
        };
        for (mdns, dht) in [(true, false), (false, true)] {
            assert_eq!(judged(true, mdns, dht), Err(ConfigError::DiscoveryWithoutTls));
        }
        assert_eq!([judged(false, true, true), judged(true, false, false)], [Ok(()), Ok(())]);
    }

    #[test]
    fn the_dht_needs_a_secret() {
        let judged = |secret: Option<[u8; 32]>| {
            let cluster = Some(ClusterConfig::default());
            let (dht, secret) = (Some(Dht::default()), secret.map(SharedSecret::from));
            let discovery = Discovery { dht, secret, ..Discovery::default() };
            Config { cluster, discovery, ..Config::default() }.validate().map_err(|error| error.to_string())
        };
        assert_eq!(judged(Some([1; 32])), Ok(()));
        let alone = "discovery dht requires a secret that the members share: secret or secret_file";
        assert_eq!(judged(None), Err(alone.to_owned()));
    }

    #[test]
    fn users_differ_and_who_needs_no_credentials_is_one_of_them() {
        let refused = |names: &[&str], anonymous: &str| {
            let users = names.iter().map(|name| User::with_password(name, "x")).collect();
            let config = Config {
                authorization: Authorization::Users(users),
                no_auth_user: Some(anonymous.to_owned()).filter(|name| !name.is_empty()),
                ..Config::default()
            };
            config.validate().map_err(|error| error.to_string())
        };
        assert_eq!(refused(&["a", "b"], ""), Ok(()));
        assert_eq!(refused(&["a", "b"], "b"), Ok(()));
        assert_eq!(refused(&["a", "a"], ""), Err("Duplicate user \"a\" detected".to_owned()));
        let unknown = "not present as user or nkey in authorization block or account configuration";
        assert_eq!(refused(&["a"], "c"), Err(format!("no_auth_user: \"c\" {unknown}")));
        let alone = "no_auth_user: \"c\" present, but users/nkeys are not defined";
        assert_eq!(refused(&[], "c"), Err(alone.to_owned()));
    }

    #[test]
    fn a_broken_rule_of_the_cluster_is_named() {
        let refused = |change: fn(&mut ClusterConfig)| {
            let mut cluster = ClusterConfig::default();
            change(&mut cluster);
            let config = Config { cluster: Some(cluster), ..Config::default() };
            config.validate().map_err(|error| error.to_string()).unwrap_err()
        };
        assert_eq!(refused(|c| c.name = Some("a b".into())), "cluster name cannot contain spaces");
        assert_eq!(refused(|c| c.name = Some("_".into())), "cluster name is reserved");
        let zero = "cluster ping_interval must be more than zero";
        assert_eq!(refused(|c| c.ping_interval = Some(Duration::ZERO)), zero);
        let twice = |c: &mut ClusterConfig| {
            let route: RouteUrl = "nats://u:s3cret@a:5".parse().unwrap();
            c.routes = vec![route.clone(), route];
        };
        let without_pool =
            |c: &mut ClusterConfig| (c.pool_size, c.accounts) = (None, vec!["A".to_owned(); 2]);
        let text = "pool_size cannot be negative if pinned accounts are specified";
        assert_eq!(refused(without_pool), text);
        let by_rtt = |millis: &[u64]| {
            let thresholds = millis.iter().copied().map(Duration::from_millis).collect();
            let compression = Compression::Auto(RttThresholds(thresholds));
            compression.validate().expect_err("a fault").to_string()
        };
        let text = "RTT threshold values [10ms 5ms] should be in ascending order";
        assert_eq!(by_rtt(&[10, 5]), text);
        let text =
            "compression mode \"s2_auto\" should have no more than 4 RTT thresholds: [1ms 2ms 3ms 4ms 5ms]";
        assert_eq!(by_rtt(&[1, 2, 3, 4, 5]), text);
        assert_eq!(by_rtt(&[0, 0]), "compression mode \"s2_auto\" requires at least one RTT threshold");
        let pinned_twice = |c: &mut ClusterConfig| c.accounts = ["A", "B", "A"].map(str::to_owned).to_vec();
        let text = r#"found duplicate account name "A" in pinned accounts list ["A" "B" "A" "$SYS"]"#;
        assert_eq!(refused(pinned_twice), text);
        assert_eq!(refused(twice), "duplicate route entry: nats://u:[REDACTED]@a:5");
    }
}
