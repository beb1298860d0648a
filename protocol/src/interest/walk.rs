//! Showing a listener all local interest that there is, a slice at a time.

use crate::hash::Position;

/// How far a listener has been shown what there was when it began to listen ([`Index::show`](super::Index::show)).
#[derive(Debug, Default)]
pub struct Walk {
    /// The part of the index that comes next.
    pub(super) part: usize,
    pub(super) place: Place,
}

/// How far, within one part.
#[derive(Debug)]
pub(super) struct Place {
    /// The next of the filters without wildcards.
    pub(super) exact: Option<Position>,
    /// The nodes of the trie that come next, the last one first.
    pub(super) nodes: Vec<Below>,
}

/// A node of a trie, found by its path since it may be gone by then, and which of its children come next.
#[derive(Debug)]
pub(super) struct Below {
    /// The tokens that lead there; `None` for the root.
    pub(super) path: Option<Box<[u8]>>,
    pub(super) children: Position,
}

impl Default for Place {
    fn default() -> Self {
        Self { exact: Some(Position::START), nodes: vec![Below::new(None, Position::START)] }
    }
}

impl Place {
    pub(super) fn is_over(&self) -> bool {
        self.exact.is_none() && self.nodes.is_empty()
    }
}

impl Below {
    pub(super) fn new(path: Option<Vec<u8>>, children: Position) -> Self {
        Self { path: path.map(Into::into), children }
    }
}

/// About so many filters are looked at in one slice, a shard of a table more at the most: about a millisecond.
pub(super) const SLICE: usize = 500;

/// Nor are more nodes of a trie passed on the way to them.
pub(super) const MAX_PASSED: usize = 10_000;
