//! How a node takes part in circuits (design.md 5).

use std::time::Duration;

/// Whether members that cannot reach each other are joined by a circuit through a third, for which all three must want that. It needs
/// [`Healing::compare`](super::Healing::compare), by which nodes hear what others have routes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// This node lets circuits pass, and takes part in them.
    pub is_on: bool,
    /// A member that there is no route to for so long is reached through another.
    pub after: Duration,
    /// So many circuits pass through this node. A pair of members takes one for each connection that they have.
    pub max_circuits: usize,
    /// So many of one pair.
    pub max_circuits_per_pair: usize,
}

impl Default for Relay {
    fn default() -> Self {
        Self { is_on: false, after: Duration::from_secs(5), max_circuits: 256, max_circuits_per_pair: 16 }
    }
}
