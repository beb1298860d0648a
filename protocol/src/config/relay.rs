//! How a node takes part in circuits (design.md 5).

use std::time::Duration;

/// Whether this node lets circuits pass, and takes part in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayMode {
    /// Where it hears what others have routes to ([`Healing::compare`](super::Healing::compare)).
    #[default]
    Auto,
    /// It does, for which it must hear that.
    On,
    /// It does not.
    Off,
}

/// Whether members that cannot reach each other are joined by a circuit through a third, for which all three must want that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Whether this node lets circuits pass, and takes part in them.
    pub mode: RelayMode,
    /// A member that there is no route to for so long is reached through another.
    pub after: Duration,
    /// So many circuits pass through this node. A pair of members takes one for each connection that they have.
    pub max_circuits: usize,
    /// So many of one pair.
    pub max_circuits_per_pair: usize,
}

impl Default for Relay {
    fn default() -> Self {
        let mode = RelayMode::default();
        Self { mode, after: Duration::from_secs(5), max_circuits: 256, max_circuits_per_pair: 16 }
    }
}
