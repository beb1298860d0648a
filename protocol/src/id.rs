//! Identifiers. One that can be reused carries a generation, so that a late message for its former owner
//! is recognised and dropped.

use std::fmt;

/// One connection of this node, client or route.
///
/// The index is small and dense, made for direct indexing; it is reused after the connection ended, with
/// another generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// The connection at `index`, as its `generation`-th user.
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// A small dense number, unique among the connections that are open now.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Which use of the index this is.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}
