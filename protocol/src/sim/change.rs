//! What those who run the nodes change while they run. Plain data.

use std::time::Duration;

use super::ids::NodeId;
use super::node::Seed;
use crate::config::Config;

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
    /// [`ClusterConfig::ping_interval`](crate::config::ClusterConfig::ping_interval). Where it is longer than that of
    /// [`NodeSpec::new`](super::NodeSpec::new), dead connections are found later than runs wait for that.
    RoutePingInterval(Duration),
    /// [`Config::write_deadline`].
    WriteDeadline(Duration),
    /// [`ClusterConfig::routes`](crate::config::ClusterConfig::routes).
    Routes(Vec<Seed>),
    /// Another [`Config::host`], which cannot change.
    Host,
    /// Another [`ClusterConfig::name`](crate::config::ClusterConfig::name), which cannot change.
    ClusterName,
    /// No [`Config::cluster`], which cannot change.
    NoCluster,
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
            Self::Host => "::1".clone_into(&mut config.host),
            Self::NoCluster => config.cluster = None,
            Self::RoutePingInterval(interval) => {
                config.cluster.iter_mut().for_each(|cluster| cluster.ping_interval = Some(*interval));
            }
            Self::ClusterName => {
                config.cluster.iter_mut().for_each(|cluster| cluster.name = Some("other".to_owned()));
            }
            Self::Routes(_) => {}
        }
    }

    /// The key by which a running node refuses it.
    pub(super) fn refused_key(&self) -> Option<&'static str> {
        match self {
            Self::Host => Some("host"),
            Self::ClusterName => Some("cluster.name"),
            Self::NoCluster => Some("cluster"),
            _ => None,
        }
    }
}

/// The accounts beside the global one that nodes may have. Of a pool of three they take different connections.
pub const ACCOUNTS: [&str; 3] = ["B", "CC", "D"];
