//! What this server says of itself in all that its services say.

use crate::config::Config;
use crate::identity;
use crate::node::Node;
use crate::wire::system::Server;

/// This server, in the `number`th message of its kind.
pub(super) fn own_server<'a>(
    node: &'a Node,
    config: &'a Config,
    cluster: &'a str,
    number: u64,
    time: String,
) -> Server<'a> {
    Server {
        name: node.hub().server_name(),
        host: &config.host,
        id: node.hub().server_id(),
        cluster,
        ver: identity::NATS_VERSION,
        tags: &config.server_tags,
        metadata: &config.server_metadata,
        jetstream: false,
        flags: 0,
        seq: number,
        time,
    }
}
