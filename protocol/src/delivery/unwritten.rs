//! Which links were given something that nobody wrote yet.

use std::collections::VecDeque;

use crate::id::ConnectionId;

/// Links that wait to be written, each of them once, the first one longest.
///
/// A link that is given more while it waits stays where it is, so that all of it is written together.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    queue: VecDeque<ConnectionId>,
    /// By the index of a connection: which one of that index is in the queue, if any.
    queued: Vec<Option<ConnectionId>>,
    /// What all were given since there was none.
    bytes: usize,
}

impl Unwritten {
    /// Notes that a link was given so much.
    pub(super) fn add(&mut self, id: ConnectionId, bytes: usize) {
        self.bytes += bytes;
        if self.queued.len() <= id.index() {
            self.queued.resize(id.index() + 1, None);
        }
        if self.queued[id.index()].replace(id) != Some(id) {
            self.queue.push_back(id);
        }
    }

    /// Takes out the one that waits longest.
    pub(super) fn take(&mut self) -> Option<ConnectionId> {
        let id = self.queue.pop_front()?;
        self.queued[id.index()].take_if(|queued| *queued == id);
        if self.queue.is_empty() {
            // Very many are written to once in a while.
            *self = Self::default();
        }
        Some(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether whoever gave so much is to wait until there is none.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes > MAX_UNWRITTEN_BYTES
    }
}

/// So much is given to links that wait before their producers wait, too.
pub const MAX_UNWRITTEN_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_written_once_in_turn_and_so_is_who_has_its_place_since() {
        let mut unwritten = Unwritten::default();
        let [first, second, successor] = [(1, 1), (2, 1), (1, 2)].map(|(a, b)| ConnectionId::new(a, b));
        for id in [first, second, first, second, successor, successor] {
            unwritten.add(id, 1);
        }
        let taken: Vec<_> = std::iter::from_fn(|| unwritten.take()).collect();
        assert_eq!(taken, [first, second, successor]);
        unwritten.add(first, 1);
        assert_eq!((unwritten.take(), unwritten.take()), (Some(first), None));
    }

    #[test]
    fn it_is_too_much_until_all_is_written() {
        let mut unwritten = Unwritten::default();
        let [first, second] = [1, 2].map(|index| ConnectionId::new(index, 1));
        unwritten.add(first, MAX_UNWRITTEN_BYTES);
        assert!(!unwritten.is_too_much());
        unwritten.add(second, 1);
        unwritten.take();
        assert!(unwritten.is_too_much());
        unwritten.take();
        assert!(!unwritten.is_too_much() && unwritten.is_empty());
    }
}
