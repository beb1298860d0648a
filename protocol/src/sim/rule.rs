//! What must hold, and what is said of it when it does not.

use std::fmt;

use crate::time::Instant;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A message crosses at most one route.
    OneHop,
    /// A message of one account is never seen in another, but by an import.
    Isolation,
    /// Nobody publishes or hears what its user may not.
    Permissions,
    /// A subscription gets a message once.
    NoDuplicate,
    /// A client that does not want its own messages does not get them.
    NoEcho,
    /// A message is not lost on connections that stay up.
    NoLoss,
    /// Messages of one publisher arrive in their order.
    Order,
    /// One member of a queue group gets a message, cluster-wide.
    OneMember,
    /// Nobody gets what was never published.
    UnknownMessage,
    /// A node has no route to itself.
    NoRouteToSelf,
    /// There are never more routes to a peer than its pool and its dedicated accounts have.
    PoolSize,
    /// What is waiting, kept, said or being dialed stays within bounds, and nothing waits for ever.
    Limit,
    /// Servers that are gone are forgotten on time.
    Forgotten,
    /// A node does what its last configuration says, and a change that it refuses changes nothing.
    Configuration,
    /// What is encoded can be decoded by whoever has the key.
    Transport,
    /// Nothing panics.
    NoPanic,
    /// The mesh becomes whole again within the bound.
    Convergence,
    /// What is known of the others' interest is what their clients subscribed to.
    Interest,
    /// Of an account that a node does not have, nobody knows that anything is wanted there.
    AccountGone,
    /// Clients are told of all nodes.
    ConnectUrls,
    /// In a whole mesh everybody who wants a message gets it, and nobody else.
    Delivery,
    /// A request gets its answer.
    Reply,
    /// The number of dials grows with the number of pairs.
    Dials,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// By what.
    pub text: String,
    /// When.
    pub at: Instant,
}

impl Violation {
    pub(super) fn new(rule: Rule, text: String) -> Self {
        Self { rule, text, at: Instant::ZERO }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}: {}", self.rule, self.at, self.text)
    }
}

impl std::error::Error for Violation {}
