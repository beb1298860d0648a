//! What those who run the nodes change while they run. Plain data.

use super::ids::NodeId;

/// Something that is changed while nodes run. A node that is down has changed when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// On all nodes connections that begin from now on go on in frames with this key, or stay plain (design.md 3). Those that
    /// are there stay as they are; one that is just beginning may fail, since its ends began to differ.
    Transport(Option<u64>),
    /// A node gets one of [`ACCOUNTS`], unless it has it.
    AddAccount(NodeId, usize),
    /// A node gives up one of [`ACCOUNTS`], if it has it, and closes its clients.
    RemoveAccount(NodeId, usize),
}

impl Change {
    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::AddAccount(node, _) | Self::RemoveAccount(node, _) => Some(*node),
            Self::Transport(_) => None,
        }
    }
}

/// The accounts beside the global one that nodes may have. Of a pool of three they take different connections.
pub const ACCOUNTS: [&str; 3] = ["B", "CC", "D"];
