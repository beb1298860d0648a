//! What those who run the nodes change while they run. Plain data.

use std::num::NonZeroU16;
use std::time::Duration;

use super::ids::NodeId;
use super::node::Seed;
use crate::config::{
    Authorization, ClusterConfig, Compression, Config, Listen, Port, RouteLimits, UserPassword,
};

/// Something that is changed while nodes run. A node that is down has changed when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// On all nodes connections that begin from now on go on in frames with this key, or stay plain (design.md 3). Those that
    /// are there stay as they are; one that is just beginning may fail, since its ends began to differ.
    Transport(Option<u64>),
    /// A node gets one of [`ACCOUNTS`], unless it has it.
    AddAccount(NodeId, usize),
    /// A node gives up one of [`ACCOUNTS`], if it has it, and closes its clients.
    RemoveAccount(NodeId, usize),
    /// A node gets another configuration, in which all of this differs; one that runs refuses it if any of this cannot change.
    Configure(NodeId, Vec<Setting>),
}

impl Change {
    /// The same with other names for the servers of its routes.
    pub(super) fn naming(&self, named: impl Fn(Seed) -> Seed) -> Self {
        let mut change = self.clone();
        if let Self::Configure(_, settings) = &mut change {
            for setting in settings {
                if let Setting::Routes(routes) = setting {
                    *routes = routes.drain(..).map(&named).collect();
                }
            }
        }
        change
    }

    /// The routes that a node is configured with from then on, if it takes them over.
    pub(super) fn routes(&self) -> Option<(NodeId, &[Seed])> {
        let Self::Configure(node, settings) = self else {
            return None;
        };
        let is_refused = settings.iter().any(|setting| setting.refused_key().is_some());
        settings.iter().filter(|_| !is_refused).rev().find_map(|setting| match setting {
            Setting::Routes(routes) => Some((*node, routes.as_slice())),
            _ => None,
        })
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::AddAccount(node, _) | Self::RemoveAccount(node, _) | Self::Configure(node, _) => {
                Some(*node)
            }
            Self::Transport(_) => None,
        }
    }
}

/// A value in a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// [`Config::max_payload`].
    MaxPayload(usize),
    /// [`Config::max_pending`].
    MaxPending(usize),
    /// [`Config::max_connections`].
    MaxConnections(usize),
    /// [`Config::ping_interval`].
    PingInterval(Duration),
    /// [`ClusterConfig::ping_interval`]. Where it is longer than that of
    /// [`NodeSpec::new`](super::NodeSpec::new), dead connections are found later than runs wait for that.
    RoutePingInterval(Duration),
    /// [`Config::write_deadline`].
    WriteDeadline(Duration),
    /// [`ClusterConfig::write_deadline`].
    RouteWriteDeadline(Duration),
    /// [`ClusterConfig::routes`].
    Routes(Vec<Seed>),
    /// [`ClusterConfig::connect_retries`] and [`ClusterConfig::connect_backoff`].
    Retries(u32, bool),
    /// [`ClusterConfig::limits`].
    Limits(RouteLimits),
    /// [`ClusterConfig::compression`]. Not beside [`Change::Transport`], which would replace the same transform.
    Compression(Compression),
    /// [`Config::max_subscriptions`], [`Config::max_subject_tokens`] and [`Config::max_control_line`]. What clients of a world
    /// do keeps within all that are drawn.
    ClientLimits(usize, u8, usize),
    /// [`Config::ping_max`], for clients.
    PingMax(u32),
    /// Another value of what cannot change, by a number.
    Fixed(usize),
}

type Alter = fn(&mut Config);

/// What a running node cannot change: its key, and how it becomes another.
pub(super) const FIXED: [(&str, Alter); 22] = [
    ("server_name", |config| config.server_name = Some("other".to_owned())),
    ("host", |config| "::1".clone_into(&mut config.host)),
    ("port", |config| config.port = Port::Fixed(1)),
    ("client_advertise", |config| config.client_advertise = "other".parse().ok()),
    ("authorization", |config| config.authorization = Authorization::Token("other".into())),
    ("proxy_protocol", |config| config.proxy_protocol = !config.proxy_protocol),
    ("no_header_support", |config| config.no_header_support = true),
    ("max_closed_clients", |config| config.max_closed_clients += 1),
    ("connect_error_reports", |config| config.connect_error_reports += 1),
    ("reconnect_error_reports", |config| config.reconnect_error_reports += 1),
    ("monitoring", |config| config.monitoring = Some(Listen { host: String::new(), port: Port::Any })),
    ("discovery", |config| config.discovery.mdns = !config.discovery.mdns),
    ("seed", |config| config.seed ^= 1),
    ("cluster", |config| config.cluster = None),
    ("cluster.name", |config| with_cluster(config, |it| it.name = Some("other".to_owned()))),
    ("cluster.host", |config| with_cluster(config, |it| "::1".clone_into(&mut it.host))),
    ("cluster.port", |config| with_cluster(config, |it| it.port = Port::Fixed(1))),
    ("cluster.advertise", |config| with_cluster(config, |it| it.advertise = "other".parse().ok())),
    ("cluster.no_advertise", |config| with_cluster(config, |it| it.no_advertise = true)),
    ("cluster.authorization", |config| {
        let other = UserPassword { user: "other".to_owned(), password: "other".into() };
        with_cluster(config, |it| it.authorization = Some(other.clone()));
    }),
    ("cluster.pool_size", |config| with_cluster(config, |it| it.pool_size = NonZeroU16::new(9))),
    ("cluster.healing", |config| with_cluster(config, |it| it.healing.interval *= 2)),
];

fn with_cluster(config: &mut Config, change: impl FnMut(&mut ClusterConfig)) {
    config.cluster.iter_mut().for_each(change);
}

impl Setting {
    /// Writes it into a configuration, but for [`Routes`](Self::Routes), of which the world knows where they lead.
    pub(super) fn apply(&self, config: &mut Config) {
        match self {
            Self::MaxPayload(bytes) => config.max_payload = *bytes,
            Self::MaxPending(bytes) => config.max_pending = *bytes,
            Self::MaxConnections(count) => config.max_connections = *count,
            Self::PingInterval(interval) => config.ping_interval = *interval,
            Self::WriteDeadline(deadline) => config.write_deadline = *deadline,
            Self::RoutePingInterval(interval) => {
                with_cluster(config, |cluster| cluster.ping_interval = Some(*interval));
            }
            Self::RouteWriteDeadline(deadline) => {
                with_cluster(config, |cluster| cluster.write_deadline = Some(*deadline));
            }
            Self::Retries(retries, backs_off) => with_cluster(config, |cluster| {
                (cluster.connect_retries, cluster.connect_backoff) = (*retries, *backs_off);
            }),
            Self::Limits(limits) => with_cluster(config, |cluster| cluster.limits = limits.clone()),
            Self::Compression(mode) => with_cluster(config, |cluster| cluster.compression = mode.clone()),
            Self::ClientLimits(subscriptions, tokens, line_bytes) => {
                config.max_subscriptions = *subscriptions;
                config.max_subject_tokens = *tokens;
                config.max_control_line = *line_bytes;
            }
            Self::PingMax(max) => config.ping_max = *max,
            Self::Fixed(at) => FIXED[at % FIXED.len()].1(config),
            Self::Routes(_) => {}
        }
    }

    /// The key by which a running node refuses it.
    pub(super) fn refused_key(&self) -> Option<&'static str> {
        match self {
            Self::Fixed(at) => Some(FIXED[at % FIXED.len()].0),
            _ => None,
        }
    }
}

/// The accounts beside the global one that nodes may have. Of a pool of three they take different connections.
pub const ACCOUNTS: [&str; 3] = ["B", "CC", "D"];
