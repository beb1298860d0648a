//! How much the answers that wait for their readers may take in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of all pages that are rendered piece by piece, [`MAX_WAITING_BYTES`] at most.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    taken_bytes: Arc<AtomicUsize>,
}

/// What one page takes of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

/// There is not so much left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    /// How much is taken.
    pub fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Makes it a share of so much, or leaves it as it is.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let (before, taken) = (self.bytes, &self.budget.taken_bytes);
        let fits = |taken: usize| {
            Some(taken - before + bytes).filter(|sum| *sum <= MAX_WAITING_BYTES || bytes <= before)
        };
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Exhausted)?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// So much may wait, whole answers of a few kilobytes apart. A page that needs more is refused.
pub const MAX_WAITING_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_until_nothing_is_left_and_give_back_what_they_took() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.share(), budget.share());
        assert_eq!(one.set(MAX_WAITING_BYTES - 10), Ok(()));
        assert_eq!(other.set(11), Err(Exhausted));
        assert_eq!(other.set(10), Ok(()));
        assert_eq!(one.set(MAX_WAITING_BYTES - 9), Err(Exhausted));
        assert_eq!(one.set(5), Ok(()));
        assert_eq!((one.set(6), budget.taken_bytes()), (Ok(()), 16));
        drop(one);
        assert_eq!(budget.taken_bytes(), 10);
        drop(other);
        assert_eq!(budget.taken_bytes(), 0);
    }
}
