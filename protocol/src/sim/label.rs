//! Names for dials and their connections that do not depend on the order in which things happen.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::ids::NodeId;

/// A dial, and the connection that it makes: who dials where for what, and how often it did so before.
///
/// A node numbers its connections and dials as they come, so that these numbers are others in another order of events. A
/// label is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Label {
    pub(super) from: NodeId,
    pub(super) to: IpAddr,
    /// Whether it is for an account that has a connection of its own.
    is_dedicated: bool,
    /// Counts the same from zero.
    nth: u32,
}

/// The labels that one node gave so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Labels(BTreeMap<(IpAddr, bool), u32>);

impl Labels {
    /// The label of the next dial from a node to an address.
    pub(super) fn next(&mut self, from: NodeId, to: IpAddr, is_dedicated: bool) -> Label {
        let given = self.0.entry((to, is_dedicated)).or_default();
        let nth = *given;
        *given += 1;
        Label { from, to, is_dedicated, nth }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_dedicated { " (dedicated)" } else { "" };
        write!(f, "{} to {}{kind} #{}", self.from, self.to, self.nth)
    }
}
