//! Subscriptions in the order of their ids, so many as there may be.

use std::sync::Arc;

use super::{Subscription, SubscriptionId};

/// Subscriptions by id, in chunks: a subject may have 100,000 of them, each leaves on its own, and any may be asked for by its
/// place.
///
/// A change moves what stands behind it within one chunk. A new subscription has the largest id, so it nearly always goes to
/// the end.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// None of them is empty.
    chunks: Vec<Vec<Arc<Subscription>>>,
    len: usize,
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a subscription, and returns the one with the same id that it replaces.
    pub(super) fn insert(&mut self, sub: Arc<Subscription>) -> Option<Arc<Subscription>> {
        let Some(number) = self.chunk_of(sub.id()) else {
            self.chunks.push(vec![sub]);
            self.len = 1;
            return None;
        };
        let chunk = &mut self.chunks[number];
        match chunk.binary_search_by_key(&sub.id(), |other| other.id()) {
            Ok(place) => Some(std::mem::replace(&mut chunk[place], sub)),
            Err(place) => {
                chunk.insert(place, sub);
                self.len += 1;
                self.split(number);
                None
            }
        }
    }

    /// Removes the subscription with this id.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        let number = self.chunk_of(id)?;
        let chunk = &mut self.chunks[number];
        let place = chunk.binary_search_by_key(&id, |sub| sub.id()).ok()?;
        let removed = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(number);
        } else if chunk.len() < chunk.capacity() / 4 {
            chunk.shrink_to(chunk.capacity() / 2);
        }
        self.len -= 1;
        self.merge(number);
        self.merge(number.saturating_sub(1));
        Some(removed)
    }

    /// The one with this id.
    pub(super) fn get(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        let chunk = &self.chunks[self.chunk_of(id)?];
        chunk.binary_search_by_key(&id, |sub| sub.id()).ok().map(|place| &chunk[place])
    }

    /// The one that stands behind so many others.
    pub(super) fn nth(&self, mut place: usize) -> Option<&Arc<Subscription>> {
        for chunk in &self.chunks {
            match chunk.get(place) {
                Some(sub) => return Some(sub),
                None => place -= chunk.len(),
            }
        }
        None
    }

    pub(super) fn last(&self) -> Option<&Arc<Subscription>> {
        self.chunks.last()?.last()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.chunks.iter().flatten()
    }

    /// Those behind the one with this id, or all.
    pub(super) fn after(&self, id: Option<SubscriptionId>) -> impl Iterator<Item = &Arc<Subscription>> {
        let (number, place) = match id.and_then(|id| Some((id, self.chunk_of(id)?))) {
            None => (0, 0),
            Some((id, number)) => (number, self.chunks[number].partition_point(|sub| sub.id() <= id)),
        };
        let first = self.chunks.get(number).map(|chunk| &chunk[place..]);
        let rest = self.chunks.get(number + 1..).unwrap_or_default();
        first.into_iter().chain(rest.iter().map(Vec::as_slice)).flatten()
    }

    /// The chunk that has this id, if any has: the last one that begins at it or before, or else the first.
    fn chunk_of(&self, id: SubscriptionId) -> Option<usize> {
        let behind = self.chunks.partition_point(|chunk| chunk[0].id() <= id);
        (!self.chunks.is_empty()).then(|| behind.saturating_sub(1))
    }

    /// Makes two of a chunk that is too long: halves, or if it is the last one, a full one and the beginning of another.
    fn split(&mut self, number: usize) {
        let len = self.chunks[number].len();
        if len <= CHUNK_LEN {
            return;
        }
        let at = if number + 1 == self.chunks.len() { CHUNK_LEN } else { len / 2 };
        let rest = self.chunks[number].split_off(at);
        self.chunks.insert(number + 1, rest);
    }

    /// Makes one of a chunk and the next if they are short: else there were as many chunks as subscriptions where of each
    /// chunk all but one left.
    fn merge(&mut self, number: usize) {
        if let Some([chunk, next]) = self.chunks.get_mut(number..number + 2)
            && chunk.len() + next.len() <= MERGED_LEN
        {
            chunk.append(next);
            self.chunks.remove(number + 1);
        }
    }
}

/// Two chunks that have no more together are made one.
const MERGED_LEN: usize = CHUNK_LEN / 2;

/// How many subscriptions stand in one chunk at the most.
const CHUNK_LEN: usize = 512;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;
    use crate::id::ConnectionId;
    use crate::interest::Source;

    fn subscription(id: u64) -> Arc<Subscription> {
        let connection = ConnectionId::new(1, 1);
        Arc::new(Subscription::new(SubscriptionId(id), connection, Source::Client, b"a", b"", b"1"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Ids of subscriptions to add, in stretches that begin anywhere, and of those to remove.
        #[test]
        fn a_row_is_an_ordered_map_by_id(
            stretches in prop::collection::vec((0u64..3000, 1u64..1500, any::<bool>()), 1..12),
        ) {
            let (mut row, mut map) = (Row::default(), BTreeMap::new());
            for (from, len, is_added) in stretches {
                for id in from..from + len {
                    if is_added {
                        let sub = subscription(id);
                        let (replaced, expected) = (row.insert(sub.clone()), map.insert(id, sub));
                        prop_assert_eq!(replaced.is_some(), expected.is_some());
                    } else {
                        prop_assert_eq!(row.remove(SubscriptionId(id)).is_some(), map.remove(&id).is_some());
                    }
                }
                prop_assert!(row.iter().map(|sub| sub.id().0).eq(map.keys().copied()));
                prop_assert_eq!((row.len(), row.last().map(|sub| sub.id().0)), (map.len(), map.keys().last().copied()));
                for place in [0, 1, 511, 512, map.len() / 2, map.len()] {
                    let expected = map.keys().nth(place).copied();
                    prop_assert_eq!(row.nth(place).map(|sub| sub.id().0), expected);
                }
                for id in [0, from, from + len, 5000] {
                    let after = row.after(Some(SubscriptionId(id))).map(|sub| sub.id().0);
                    let expected = map.range((Bound::Excluded(id), Bound::Unbounded)).map(|(id, _)| *id);
                    prop_assert!(after.eq(expected));
                    let found = row.get(SubscriptionId(id)).map(|sub| sub.id().0);
                    prop_assert_eq!(found, map.get(&id).map(|_| id));
                }
                prop_assert!(row.after(None).count() == map.len());
                prop_assert!(row.chunks.iter().all(|chunk| (1..=CHUNK_LEN).contains(&chunk.len())));
                let short = |pair: &[Vec<_>]| pair[0].len() + pair[1].len() <= MERGED_LEN;
                prop_assert!(!row.chunks.windows(2).any(short));
            }
        }
    }

    #[test]
    fn few_that_stay_of_very_many_stand_in_few_chunks() {
        let mut row = Row::default();
        for id in 0..100 * CHUNK_LEN as u64 {
            row.insert(subscription(id));
        }
        (0..100 * CHUNK_LEN as u64).filter(|id| id % CHUNK_LEN as u64 != 0).for_each(|id| {
            row.remove(SubscriptionId(id));
        });
        assert_eq!((row.len(), row.chunks.len()), (100, 1));
    }
}
