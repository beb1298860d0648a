//! Hashing with a key that nobody outside the node knows, and tables that grow without a pause.

mod fnv;
mod shards;

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

pub(crate) use fnv::{fnv1a, fnv1a_32};
pub(crate) use shards::{Position, Shards};

/// Builds the hashers of one index or cache: equal for equal seeds, and safe against chosen subjects.
///
/// foldhash's own `FixedState` varies one word and multiplies with public constants; whoever sends tokens
/// that cancel such a constant makes all of them collide. So the constants come from the seed too.
#[derive(Clone)]
pub(crate) struct KeyedState(Arc<Key>);

struct Key {
    start: u64,
    shared: SharedSeed,
}

impl KeyedState {
    /// For what stands alone, such as an index outside of a node.
    pub(crate) fn new(seed: u64) -> Self {
        Self::keyed([seed, seed])
    }

    /// With a key of full length, such as a node's secret.
    pub(crate) fn keyed([start, constants]: [u64; 2]) -> Self {
        Self(Arc::new(Key { start, shared: SharedSeed::from_u64(constants) }))
    }
}

impl fmt::Debug for KeyedState {
    /// The key is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedState(..)")
    }
}

impl BuildHasher for KeyedState {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.0.start, shared: self.0.shared.clone() }
    }
}

/// The hasher of a [`KeyedState`]. It owns its constants, because a standard hasher cannot borrow from its
/// builder.
pub(crate) struct KeyedHasher {
    state: u64,
    shared: SharedSeed,
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = FoldHasher::with_seed(self.state, &self.shared);
        hasher.write(bytes);
        self.state = hasher.finish();
    }

    /// The length that precedes a slice; `write` mixes the length in already.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_hashes_and_other_seeds_other_ones() {
        let hash = |seed| KeyedState::new(seed).hash_one(b"a.b.c".as_slice());
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn tokens_made_against_the_public_constants_do_not_collide() {
        // The last eight bytes cancel the constant that `FixedState` multiplies short inputs with.
        let constant = 0x3f84_d5b5_b547_0917_u64.to_ne_bytes();
        let state = KeyedState::new(7);
        let mut hashes: Vec<u64> =
            (0..100_u64).map(|i| state.hash_one([i.to_ne_bytes(), constant].concat().as_slice())).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 100);
    }
}
