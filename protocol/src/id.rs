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
    /// Stands for the node's own services, which are no connection and get nothing through a sink.
    pub const SERVICES: Self = Self::new(u32::MAX, u32::MAX);

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

    /// The same as one number.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self::new(bits as u32, (bits >> 32) as u32)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// One account of this node.
///
/// The index is small and dense; it is reused after the account was removed, with another generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    index: u32,
    generation: u32,
}

impl AccountId {
    /// The account at `index`, as its `generation`-th user.
    pub const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// A small dense number, unique among the accounts that there are now.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Both numbers in one, for an atomic.
    pub(crate) const fn to_bits(self) -> u64 {
        ((self.index as u64) << 32) | self.generation as u64
    }

    /// The account of [`to_bits`](Self::to_bits).
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { index: (bits >> 32) as u32, generation: bits as u32 }
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}.{}", self.index, self.generation)
    }
}
