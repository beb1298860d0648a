//! What a cluster keeps, for those who check that it is neither too much nor too old ([`crate::sim`]).

use super::{Cluster, Dial};

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Servers that there is a connection to.
    pub(crate) peers: usize,
    /// Connections.
    pub(crate) links: usize,
    /// Wishes to be connected.
    pub(crate) dials: usize,
    /// Configured routes, each of which may be wanted for ever.
    pub(crate) configured: usize,
    /// Addresses that turned out to be the node's own.
    pub(crate) own_addresses: usize,
    /// What is to be done to connections and was not polled yet.
    pub(crate) outputs: usize,
}

impl Cluster {
    /// How much is kept now.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            peers: self.peers.len(),
            links: self.links.len(),
            dials: self.dials.len(),
            configured: self.config.routes.len(),
            own_addresses: self.own_addresses.len(),
            outputs: self.outputs.len(),
        }
    }

    /// What is still known of a server, in words; none if nothing is, apart from where it is configured to be.
    pub(crate) fn memory_of(&self, server_id: &str) -> Option<&'static str> {
        if self.peers.contains_key(server_id) {
            return Some("has it as a peer");
        }
        let is_wanted = |dial: &Dial| !dial.explicit && dial.peer.as_deref() == Some(server_id);
        self.dials.iter().any(is_wanted).then_some("wants to dial it")
    }
}
