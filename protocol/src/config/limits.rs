//! What other servers may make a node hold (design.md 10).

/// Limits on what comes from other servers and waits for them. nats-server has none of these.
///
/// Each is generous to a peer that means well: who reaches one is broken, hostile, or has more traffic than the node is
/// configured for. The route is closed then and, where the node wants it, dialed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// How many servers the node has routes to at once. Further ones are turned away.
    pub max_peers: usize,
    /// How many connections of servers that did not finish their handshake yet the node has at once. For another
    /// the first of them is closed.
    pub max_unregistered: usize,
    /// How many bytes of one operation a server may have sent before its handshake is over.
    pub max_unregistered_in_bytes: usize,
    /// How many bytes a server may be answered before its handshake is over.
    pub max_unregistered_out_bytes: usize,
    /// The largest message of another server, headers and payload, in bytes.
    pub max_payload: usize,
    /// How many bytes may wait for one route.
    pub max_pending: usize,
    /// How many bytes of answers and gossip, which no client of this node caused, may be added while what waited before
    /// them is written.
    pub max_pending_control: usize,
    /// How many subjects with their queue groups one route may announce interest in.
    pub max_interest: usize,
    /// How many bytes the names of these may have in all.
    pub max_interest_bytes: usize,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self {
            max_peers: 1024,
            max_unregistered: 1024,
            max_unregistered_in_bytes: 64 * 1024,
            max_unregistered_out_bytes: 1024 * 1024,
            max_payload: 64 * 1024 * 1024,
            max_pending: 1024 * 1024 * 1024,
            max_pending_control: 16 * 1024 * 1024,
            max_interest: 8 * 1024 * 1024,
            max_interest_bytes: 1024 * 1024 * 1024,
        }
    }
}
