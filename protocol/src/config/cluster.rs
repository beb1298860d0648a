//! What a member of a cluster can choose.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use super::{
    DEFAULT_AUTH_TIMEOUT, DEFAULT_HOST, Healing, HostPort, Port, Relay, RelayMode, RouteLimits, RouteUrl,
    Rules, UserPassword,
};
use crate::transport::{S2Level, Tls, TlsSettings};

/// How this node takes part in a cluster (wire.md 3, 4.1, 9.3).
///
/// The defaults are those of nats-server, which gives the route port no default: `port` starts as
/// [`Port::Any`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The cluster's name; `None` generates one and takes over a peer's. No spaces, and not `_`.
    pub name: Option<String>,
    /// The address that peers connect to.
    pub host: String,
    /// The port that peers connect to.
    pub port: Port,
    /// What peers are told to reach this node's route port by. A missing port means `port`.
    pub advertise: Option<HostPort>,
    /// Keeps the client addresses of this node out of what other nodes tell their clients.
    pub no_advertise: bool,
    /// The peers to connect to at start and again whenever they are lost.
    pub routes: Vec<RouteUrl>,
    /// What a peer must present in its CONNECT.
    pub authorization: Option<UserPassword>,
    /// TLS on routes, to and from all peers; `None` speaks none.
    pub tls: Option<Tls>,
    /// How long a peer may take to present it.
    pub auth_timeout: Duration,
    /// How often a peer that was only heard of is tried again.
    pub connect_retries: u32,
    /// Doubles the pause between attempts, up to 30 s, instead of 1 s each.
    pub connect_backoff: bool,
    /// How many connections share the traffic with one peer; `None` does not pool, like servers before 2.10
    /// (`pool_size: -1`).
    pub pool_size: Option<NonZeroU16>,
    /// The accounts that have a connection of their own to each peer, which must say the same of them. That of the system has
    /// one anyway ([`ClusterConfig::pinned`]). They can change while the node runs
    /// ([`Node::handle_config`](crate::Node::handle_config)).
    pub accounts: Vec<String>,
    /// Which interest passes between this node and its peers.
    pub permissions: RoutePermissions,
    /// How long after one PING to a peer the next is sent; `None` is the node's `ping_interval`. Read it with
    /// [`ClusterConfig::effective_ping_interval`].
    pub ping_interval: Option<Duration>,
    /// How many PINGs to a peer may be unanswered; `None` is the node's `ping_max`.
    pub ping_max: Option<u32>,
    /// How long one write to a peer may take; `None` is the node's `write_deadline`.
    pub write_deadline: Option<Duration>,
    /// What this node says about compression of its routes. It can change while the node runs.
    pub compression: Compression,
    /// How this node keeps the mesh whole.
    pub healing: Healing,
    /// How members that cannot reach each other are joined nevertheless.
    pub relay: Relay,
    /// What other servers may make this node hold.
    pub limits: RouteLimits,
}

impl ClusterConfig {
    /// Where others reach this node, as far as the configuration tells: where it says so, or the one address that it listens on.
    pub fn reached_at(&self) -> Option<HostPort> {
        let is_one = self.host.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
        let own_address = || HostPort { host: self.host.clone(), port: None };
        self.advertise.clone().or_else(|| is_one.then(own_address))
    }

    /// Whether this node lets circuits pass, and takes part in them.
    pub fn relays(&self) -> bool {
        self.relay.mode != RelayMode::Off && self.healing.compare
    }

    /// Whether a server that is dialed has to show who it is, to be one of those that the operator's authorities know: for a name
    /// that is anybody's, anybody gets a certificate of an authority that all systems trust.
    pub(super) fn proves_the_dialed(&self) -> bool {
        let is_proof = |settings: &TlsSettings| !settings.insecure && settings.authorities.is_some();
        self.tls.as_ref().is_some_and(|tls| is_proof(tls.settings()))
    }

    /// The accounts that have a connection of their own to each peer that pools: none if this node does not, else those that
    /// are chosen and that of the system, if there is one (wire.md 4.1).
    pub fn pinned<'a>(&'a self, system_account: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let is_named = |name: &&str| self.accounts.iter().any(|account| account == name);
        let system = system_account.filter(|name| !is_named(name));
        let all = self.accounts.iter().map(String::as_str).chain(system);
        all.filter(|_| self.pool_size.is_some())
    }

    /// The interval between PINGs to a peer, which never exceeds [`MAX_CLUSTER_PING_INTERVAL`].
    pub fn effective_ping_interval(&self, node_ping_interval: Duration) -> Duration {
        self.ping_interval.unwrap_or(node_ping_interval).min(MAX_CLUSTER_PING_INTERVAL)
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: None,
            host: DEFAULT_HOST.to_owned(),
            port: Port::Any,
            advertise: None,
            no_advertise: false,
            routes: Vec::new(),
            authorization: None,
            tls: None,
            auth_timeout: DEFAULT_AUTH_TIMEOUT,
            connect_retries: 0,
            connect_backoff: false,
            pool_size: Some(DEFAULT_POOL_SIZE),
            accounts: Vec::new(),
            permissions: RoutePermissions::default(),
            ping_interval: None,
            ping_max: None,
            write_deadline: None,
            compression: Compression::default(),
            healing: Healing::default(),
            relay: Relay::default(),
            limits: RouteLimits::default(),
        }
    }
}

/// Which interest passes between a node and its peers (wire.md 3.11). The default lets all of it pass. Entries have no queue
/// groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePermissions {
    /// What peers hear of that is wanted here.
    pub import: Rules,
    /// What peers may want of this node.
    pub export: Rules,
}

/// A node's stance on compressing its routes (wire.md 5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Says nothing of compression, like servers before 2.10.
    NotSupported,
    /// Never compresses.
    Off,
    /// Compresses if the peer asks for it.
    #[default]
    Accept,
    /// Compresses what it writes at this level, if the peer takes that.
    S2(S2Level),
    /// The same, and the harder the longer the way to the peer is.
    Auto(RttThresholds),
}

/// Up to which round-trip time it is compressed how hard (wire.md 5.5): not at all, fast, better, and best. A level whose time is zero
/// is left out. From four on the last is of no use: what takes longer than the third is compressed best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RttThresholds(pub Vec<Duration>);

impl RttThresholds {
    /// The level for a round-trip time.
    pub fn level(&self, rtt: Duration) -> S2Level {
        let longest = if self.0.len() < 3 { self.0.len().saturating_sub(1) } else { 3 };
        let place = self.0.iter().position(|threshold| rtt <= *threshold).unwrap_or(longest);
        S2Level::ALL[place.min(3)]
    }
}

impl Default for RttThresholds {
    fn default() -> Self {
        Self([10, 50, 100].map(Duration::from_millis).into())
    }
}

/// Connections per peer unless configured.
pub const DEFAULT_POOL_SIZE: NonZeroU16 = NonZeroU16::new(3).unwrap();
/// The longest interval between PINGs on a route.
pub const MAX_CLUSTER_PING_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_the_way_the_harder_it_is_compressed() {
        let levels = |thresholds: &[u64]| {
            let thresholds = thresholds.iter().copied().map(Duration::from_millis).collect();
            let thresholds = RttThresholds(thresholds);
            [0, 1, 10, 11, 60, 110, 999].map(|rtt| thresholds.level(Duration::from_millis(rtt)) as u8)
        };
        assert_eq!(levels(&[10, 50, 100]), [0, 0, 0, 1, 2, 3, 3]);
        assert_eq!(levels(&[10, 50, 100, 200]), [0, 0, 0, 1, 2, 3, 3]);
        assert_eq!(levels(&[10, 50]), [0, 0, 0, 1, 1, 1, 1], "the last that is listed is the most");
        assert_eq!(levels(&[0, 10]), [0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(levels(&[0, 0, 60, 100]), [0, 2, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn the_system_account_is_pinned_once_where_connections_are_pooled() {
        let pinned = |accounts: &[&str], pool_size, system_account| {
            let accounts = accounts.iter().map(|account| (*account).to_owned()).collect();
            let cluster = ClusterConfig { accounts, pool_size, ..ClusterConfig::default() };
            cluster.pinned(system_account).collect::<Vec<_>>().join(" ")
        };
        let pool = Some(DEFAULT_POOL_SIZE);
        assert_eq!(pinned(&[], pool, Some("S")), "S");
        assert_eq!(pinned(&["B", "A"], pool, Some("$SYS")), "B A $SYS");
        assert_eq!(pinned(&["S", "A"], pool, Some("S")), "S A");
        assert_eq!(pinned(&["A"], pool, None), "A");
        assert_eq!(pinned(&["A"], None, Some("$SYS")), "");
    }

    #[test]
    fn a_peer_is_pinged_at_least_every_thirty_seconds() {
        let mut cluster = ClusterConfig::default();
        let minutes = Duration::from_secs(120);
        assert_eq!(cluster.effective_ping_interval(minutes), Duration::from_secs(30));
        assert_eq!(cluster.effective_ping_interval(Duration::from_secs(5)), Duration::from_secs(5));
        cluster.ping_interval = Some(Duration::from_secs(1));
        assert_eq!(cluster.effective_ping_interval(minutes), Duration::from_secs(1));
        cluster.ping_interval = Some(Duration::from_secs(31));
        assert_eq!(cluster.effective_ping_interval(minutes), Duration::from_secs(30));
    }
}
