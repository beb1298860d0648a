//! What this server says of itself in all that its services say.

use std::sync::Arc;

use crate::config::Config;
use crate::identity;
use crate::monitor::Facts;
use crate::node::Node;
use crate::time::Instant;
use crate::wire::system::Server;

/// This server as it is at a time.
pub(super) struct Own<'a> {
    node: &'a Node,
    config: Arc<Config>,
    cluster: String,
    /// Now, as RFC 3339.
    pub(super) time: String,
}

impl<'a> Own<'a> {
    pub(super) fn new(node: &'a Node, now: Instant) -> Self {
        let facts = Facts::of_core(now, node.start(), node.unix_nanos_at_zero());
        let (config, cluster) = (node.hub().config(), node.cluster_name().unwrap_or_default());
        Self { node, config, cluster, time: facts.time_now() }
    }

    /// What it says of itself in the `number`th message of its kind.
    pub(super) fn server(&self, number: u64) -> Server<'_> {
        Server {
            name: self.node.hub().server_name(),
            host: &self.config.host,
            id: self.node.hub().server_id(),
            cluster: &self.cluster,
            ver: identity::NATS_VERSION,
            tags: &self.config.server_tags,
            metadata: &self.config.server_metadata,
            jetstream: false,
            flags: 0,
            seq: number,
            time: self.time.clone(),
        }
    }
}
