//! A hash table that grows and shrinks a shard at a time.
//!
//! An ordinary table moves all that it holds when it grows: with 500,000 entries everybody waits for a tenth of a second.
//! This one is a row of small tables, and divides or joins one of them when its time has come (linear hashing). Shard `i`
//! of `n` has the entries whose hash ends with the bits of `i`, as many as it takes to tell `n` shards apart.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash};

use super::KeyedState;

/// A map with keys of bytes. It holds no memory while it is empty.
#[derive(Debug)]
pub(crate) struct Shards<K, V = ()> {
    shards: Vec<HashMap<K, V, KeyedState>>,
    len: usize,
    hasher: KeyedState,
}

/// How far a walk through a table has come: [`Shards::shard_at`].
///
/// A shard is all hashes that end with the same bits. Read from their last bit to their first, these are numbers without a
/// gap, so a walk in the order of such numbers stays right when shards are divided or joined under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(u32);

impl Position {
    pub(crate) const START: Self = Self(0);
}

impl<K: Borrow<[u8]> + Hash + Eq, V> Shards<K, V> {
    pub(crate) fn new(hasher: KeyedState) -> Self {
        Self { shards: Vec::new(), len: 0, hasher }
    }

    /// An empty one with the same key.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.hasher.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<(&K, &V)> {
        self.shards.get(self.shard_of(key))?.get_key_value(key)
    }

    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let shard = self.shard_of(key);
        self.shards.get_mut(shard)?.get_mut(key)
    }

    /// Adds an entry; false if its key is taken, and then nothing changes.
    pub(crate) fn insert(&mut self, key: K, value: V) -> bool {
        let (Entry::Vacant(place), len) = self.entry(key) else {
            return false;
        };
        place.insert(value);
        *len += 1;
        true
    }

    /// The value of a key, which is added with a value of no content if it is missing.
    pub(crate) fn get_or_insert_default(&mut self, key: &[u8]) -> &mut V
    where
        K: for<'a> From<&'a [u8]>,
        V: Default,
    {
        match self.entry(key.into()) {
            (Entry::Occupied(place), _) => place.into_mut(),
            (Entry::Vacant(place), len) => {
                *len += 1;
                place.insert(V::default())
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<(K, V)> {
        let shard = self.shard_of(key);
        let shard = self.shards.get_mut(shard)?;
        let removed = shard.remove_entry(key)?;
        if shard.capacity() >= SHRINK_FROM && shard.len() < shard.capacity() / 8 {
            shard.shrink_to(shard.len() * 2);
        }
        self.len -= 1;
        if self.len < (self.shards.len() - 1) * SHARD_LEN / 2 || self.len == 0 {
            self.join();
        }
        Some(removed)
    }

    /// All entries, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flatten()
    }

    /// The entries of one shard, in no particular order, and where the next one begins; `None` after the last.
    ///
    /// Whatever changes between two calls: an entry that was there from the first call to the last is shown at least once.
    pub(crate) fn shard_at(&self, position: Position) -> (impl Iterator<Item = (&K, &V)>, Option<Position>) {
        let shard = self.shard_of_bits(reversed(position.0));
        let width = self.width_of(shard);
        let next = reversed(shard as u32) + (1 << (BITS - width));
        (self.shards.get(shard).into_iter().flatten(), (next < 1 << BITS).then_some(Position(next)))
    }

    /// Takes out some entries, a shard at the most, in no particular order; none if there are none. Nothing is to be looked
    /// up afterwards.
    pub(crate) fn take_shard(&mut self) -> impl Iterator<Item = (K, V)> {
        let shard = std::iter::from_fn(|| self.shards.pop()).find(|shard| !shard.is_empty());
        self.len -= shard.as_ref().map_or(0, HashMap::len);
        shard.into_iter().flatten()
    }

    /// The place of a key, for which there is room, and the number of entries, to be counted up by who fills it.
    fn entry(&mut self, key: K) -> (Entry<'_, K, V>, &mut usize) {
        if self.len >= self.shards.len() * SHARD_LEN {
            self.divide();
        }
        let shard = self.shard_of(key.borrow());
        (self.shards[shard].entry(key), &mut self.len)
    }

    /// Makes room for another shard, with half of the entries of the one whose turn it is.
    fn divide(&mut self) {
        let new = self.shards.len();
        if new >= 1 << BITS {
            return;
        }
        self.shards.push(HashMap::with_hasher(self.hasher.clone()));
        if new == 0 {
            return;
        }
        let source = buddy_of(new);
        let mut shard =
            std::mem::replace(&mut self.shards[source], HashMap::with_hasher(self.hasher.clone()));
        let moved: Vec<_> = shard.extract_if(|key, _| self.shard_of(key.borrow()) == new).collect();
        shard.shrink_to_fit();
        self.shards[source] = shard;
        self.shards[new].extend(moved);
    }

    /// Gives the entries of the last shard back to the one that it came from.
    fn join(&mut self) {
        let Some(last) = self.shards.pop() else { return };
        if self.shards.is_empty() {
            self.shards = Vec::new();
            return;
        }
        let into = buddy_of(self.shards.len());
        self.shards[into].extend(last);
    }

    /// Where the entry with this key is, if it is there.
    fn shard_of(&self, key: &[u8]) -> usize {
        if self.shards.len() < 2 {
            return 0;
        }
        // A table within uses the lowest and the highest bits of the same hash, and a part of an index has keys that agree
        // in some of the others.
        self.shard_of_bits((self.hasher.hash_one(key) >> 38) as u32 & ((1 << BITS) - 1))
    }

    fn shard_of_bits(&self, bits: u32) -> usize {
        let mask = self.shards.len().max(1).next_power_of_two() - 1;
        let shard = bits as usize & mask;
        if shard < self.shards.len().max(1) { shard } else { shard & (mask >> 1) }
    }

    /// How many bits the hashes of a shard agree in.
    fn width_of(&self, shard: usize) -> u32 {
        let shards = self.shards.len().max(1);
        let level = shards.ilog2();
        let is_divided = shard >= 1 << level || shard < shards - (1 << level);
        if is_divided && !shards.is_power_of_two() { level + 1 } else { level }
    }
}

/// The shard that a shard was divided from.
fn buddy_of(shard: usize) -> usize {
    shard - (1 << shard.ilog2())
}

fn reversed(bits: u32) -> u32 {
    bits.reverse_bits() >> (u32::BITS - BITS)
}

/// How many entries a shard has on average, when another is added: while their turn comes nearer, shards grow to twice as
/// many. Far more would mean long pauses, since shards of one size are full at one time: the fewer entries each has, the more
/// they differ. Far fewer cost more memory.
const SHARD_LEN: usize = 100;

/// Tables with fewer places than this are not worth shrinking.
const SHRINK_FROM: usize = 64;

/// So many bits of a hash tell shards apart.
const BITS: u32 = 19;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Table = Shards<Box<[u8]>, usize>;

    fn key(number: usize) -> Box<[u8]> {
        number.to_string().as_bytes().into()
    }

    fn table(entries: usize) -> Table {
        let mut table = Table::new(KeyedState::new(1));
        for number in 0..entries {
            assert!(table.insert(key(number), number));
        }
        table
    }

    #[test]
    fn no_shard_is_much_larger_than_the_others_and_one_is_added_at_a_time() {
        let mut table = table(0);
        for number in 0..40_000 {
            let before = table.shards.len();
            table.insert(key(number), number);
            assert!(table.shards.len() <= before + 1);
            assert_eq!(table.shards.len(), (number / SHARD_LEN) + 1);
        }
        let largest = table.shards.iter().map(HashMap::len).max();
        assert!(largest.is_some_and(|largest| largest < 3 * SHARD_LEN), "{largest:?}");
        let capacity: usize = table.shards.iter().map(HashMap::capacity).sum();
        assert!(capacity < 80_000, "{capacity}");
        for number in 0..40_000 {
            let before = table.shards.len();
            assert_eq!(table.remove(&key(number)), Some((key(number), number)));
            assert!(table.shards.len() + 1 >= before);
        }
        assert_eq!(table.shards.capacity(), 0);
    }

    #[test]
    fn what_is_taken_apart_comes_out_once() {
        let mut table = table(10_000);
        let mut taken = Vec::new();
        while !table.is_empty() {
            let before = taken.len();
            taken.extend(table.take_shard().map(|(_, number)| number));
            assert!(taken.len() - before < 3 * SHARD_LEN);
        }
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..10_000));
        assert_eq!(table.take_shard().count(), 0);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0..3_000_usize, 0..3_u8), 1..5_000)) {
            let mut table = table(0);
            let mut model = BTreeMap::new();
            for (number, action) in steps {
                match action {
                    0 => prop_assert_eq!(table.remove(&key(number)).map(|(_, n)| n), model.remove(&number)),
                    _ => prop_assert_eq!(table.insert(key(number), number), model.insert(number, number).is_none()),
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.get(&key(number)).map(|(_, n)| *n), model.get(&number).copied());
            }
            let mut all: Vec<_> = table.iter().map(|(_, number)| *number).collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(model.into_keys()));
        }

        #[test]
        fn a_walk_shows_all_that_stays_whatever_comes_and_goes_meanwhile(
            stays in 0..3_000_usize,
            changes in prop::collection::vec((0..20_000_usize, 0..1_000_usize), 1..30),
        ) {
            let mut table = table(stays);
            let mut seen = vec![false; stays];
            let mut changes = changes.into_iter().cycle();
            let mut position = Some(Position::START);
            let mut steps = 0;
            while let Some(at) = position {
                let (shard, next) = table.shard_at(at);
                shard.filter(|(_, number)| **number < stays).for_each(|(_, number)| seen[*number] = true);
                prop_assert!(next.is_none_or(|next| next.0 > at.0));
                position = next;
                // Some others come or go, which divides and joins shards.
                let (first, count) = changes.next().unwrap_or_default();
                for number in first..first + count {
                    let number = stays + number;
                    if steps % 2 == 0 { table.insert(key(number), number); } else { table.remove(&key(number)); }
                }
                steps += 1;
            }
            prop_assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
