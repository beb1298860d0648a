//! Finding servers that nobody configured (design.md 6).
//!
//! Sources tell of servers: a file, names, the local network, the DHT, a program. What they tell is not believed. [`Candidates`] says whom
//! of them to dial, a few at a time, so that neither many nor false words keep a node from those that are there; who is dialed is a
//! member only once the ordinary handshake of a route says so. [`KnownServers`] is what a node keeps of its members for the
//! next start.
//!
//! Of where this node itself is reached a source may know, too ([`ReachedAt`]); what follows from that is the cluster's.
//!
//! Both are values without IO and know nothing of connections. The cluster calls them, and nobody else; runtimes bring what
//! sources say to [`Node::handle_found`](crate::Node::handle_found).

mod address;
mod candidates;
mod known;
#[cfg(feature = "dht")]
pub mod record;
mod teller;
#[cfg(test)]
mod tests;

pub use address::{Address, DEFAULT_ROUTE_PORT, MAX_HOST_BYTES};
pub use candidates::{
    Candidates, MAX_CANDIDATES_PER_TELLER, MAX_FOUND_AT_ONCE, MAX_TELLERS, MAX_UNDER_WAY_PER_TELLER, Shown,
    State, TRIALS_PER_SECOND, Told, Trial,
};
pub use known::{DamagedFile, KnownServers, MAX_FILE_BYTES, MAX_KNOWN_SERVERS};
pub use teller::Counts;

use crate::config::HostPort;

/// A server of which a source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it listens for other servers. Without a port that is [`DEFAULT_ROUTE_PORT`].
    pub address: HostPort,
    /// Its id, if the source knows that: who is a member already is not dialed, and of two that find each other one waits.
    pub server_id: Option<String>,
}

/// Where others reach a node by a way of which its configuration does not know, such as a tunnel, as far as a source knows
/// ([`Node::handle_reached_at`](crate::Node::handle_reached_at)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachedAt {
    /// Where other servers do. Without a port, at the one that the node listens on.
    pub route: Option<HostPort>,
    /// Where clients do.
    pub client: Option<HostPort>,
    /// Why other servers do not, for `/discoveryz`, which shows [so much](MAX_FAILURE_BYTES) of it.
    pub failure: Option<String>,
}

/// So much of a [`ReachedAt::failure`] is kept.
pub const MAX_FAILURE_BYTES: usize = 512;

/// What a node knows of its cluster that those may be told who look for it ([`Node::reach`](crate::Node::reach)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The ids of members that can be reached, this node itself among them, and where.
    pub members: Vec<(String, HostPort)>,
    /// There is no route to anybody.
    pub is_alone: bool,
}
