//! Finding servers that nobody configured (design.md 6): what sources tell of becomes dials, a few at a time.

use crate::config::HostPort;

/// A server of which a source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it listens for other servers. Without a port that is [`DEFAULT_ROUTE_PORT`].
    pub address: HostPort,
    /// Its id, if the source knows that: who is a member already is not dialed, and of two that find each other one waits.
    pub server_id: Option<String>,
}

/// Where servers listen for each other unless they are told otherwise.
pub const DEFAULT_ROUTE_PORT: u16 = 6222;
