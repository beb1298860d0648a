//! The subscriptions that one connection holds.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::hash::{KeyedState, Position, Shards};
use crate::interest::Subscription;

/// A set of subscriptions, found by a part of their own text, so that an entry costs one pointer.
#[derive(Debug)]
pub(crate) struct Held<K> {
    set: Shards<Keyed<K>>,
}

/// What subscriptions are told apart by.
pub(crate) trait Key {
    fn key(subscription: &Subscription) -> &[u8];
}

/// A client's subscriptions: by the client's name for them.
#[derive(Debug)]
pub(crate) enum BySid {}

/// A route's interest: by subject, queue group and leaf origin.
#[derive(Debug)]
pub(crate) enum ByText {}

impl Key for BySid {
    fn key(subscription: &Subscription) -> &[u8] {
        subscription.sid()
    }
}

impl Key for ByText {
    fn key(subscription: &Subscription) -> &[u8] {
        subscription.text()
    }
}

impl<K: Key> Held<K> {
    pub(crate) fn new(hasher: KeyedState) -> Self {
        Self { set: Shards::new(hasher) }
    }

    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Arc<Subscription>> {
        self.set.get(key).map(|(keyed, ())| &keyed.subscription)
    }

    /// Adds it unless its key is taken.
    pub(crate) fn insert(&mut self, subscription: Arc<Subscription>) -> bool {
        self.set.insert(Keyed { subscription, by: PhantomData }, ())
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Arc<Subscription>> {
        self.set.remove(key).map(|(keyed, ())| keyed.subscription)
    }

    /// Takes out this very subscription. Another that got its key meanwhile stays.
    pub(crate) fn remove_same(&mut self, subscription: &Subscription) {
        let key = K::key(subscription);
        if self.get(key).is_some_and(|known| known.id() == subscription.id()) {
            self.remove(key);
        }
    }

    /// Takes everything out at once, unsorted, to be taken apart.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self { set: self.set.emptied() })
    }

    /// Takes some out, in the order of their creation; none if there are none. Nothing is to be looked up in it afterwards.
    pub(crate) fn take_some(&mut self) -> Vec<Arc<Subscription>> {
        sorted(self.set.take_shard().map(|(keyed, ())| keyed.subscription).collect())
    }

    /// Takes all out, in the order of their creation.
    pub(crate) fn take_all(&mut self) -> Vec<Arc<Subscription>> {
        let mut all = Vec::with_capacity(self.len());
        while !self.set.is_empty() {
            all.extend(self.take_some());
        }
        sorted(all)
    }

    /// The first `most` of them, in the order of their creation. The others are only looked at; of more than
    /// [`MAX_LOOKED_AT`], only so many are, so these are not the oldest of all then.
    pub(crate) fn oldest(&self, most: usize) -> Vec<Arc<Subscription>> {
        let mut some: Vec<_> = self.iter().take(MAX_LOOKED_AT).collect();
        if some.len() > most {
            some.select_nth_unstable_by_key(most, |subscription| subscription.id());
            some.truncate(most);
        }
        sorted(some.into_iter().cloned().collect())
    }

    /// All of them, in the order of their creation.
    #[cfg(feature = "sim")]
    pub(crate) fn to_vec(&self) -> Vec<Arc<Subscription>> {
        sorted(self.iter().cloned().collect())
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.set.iter().map(|(keyed, ())| &keyed.subscription)
    }

    /// Calls `each` with the subscriptions of the shards that come next, until these are enough for once, and returns where
    /// the rest begins ([`Shards::shard_at`]).
    pub(crate) fn visit(&self, at: Position, each: &mut dyn FnMut(&Arc<Subscription>)) -> Option<Position> {
        let (mut next, mut visited) = (Some(at), 0);
        while let Some(at) = next
            && visited < VISITED
        {
            let shard;
            (shard, next) = self.set.shard_at(at);
            visited += shard.map(|(keyed, ())| each(&keyed.subscription)).count();
        }
        next
    }
}

fn sorted(mut subscriptions: Vec<Arc<Subscription>>) -> Vec<Arc<Subscription>> {
    subscriptions.sort_unstable_by_key(|subscription| subscription.id());
    subscriptions
}

#[derive(Debug)]
struct Keyed<K> {
    subscription: Arc<Subscription>,
    by: PhantomData<K>,
}

impl<K: Key> Borrow<[u8]> for Keyed<K> {
    fn borrow(&self) -> &[u8] {
        K::key(&self.subscription)
    }
}

impl<K: Key> Hash for Keyed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a slice hashes, which `Borrow` promises.
        K::key(&self.subscription).hash(state);
    }
}

impl<K: Key> PartialEq for Keyed<K> {
    fn eq(&self, other: &Self) -> bool {
        K::key(&self.subscription) == K::key(&other.subscription)
    }
}

impl<K: Key> Eq for Keyed<K> {}

/// A visit ends with the shard in which it comes to so many: about half of a millisecond. Who subscribes without end adds fewer
/// meanwhile.
const VISITED: usize = 500;

/// Among how many the oldest are looked for: each is read from memory that nobody has looked at for long, which takes a tenth
/// of a microsecond.
const MAX_LOOKED_AT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConnectionId;
    use crate::interest::{Source, SubscriptionId};

    fn subscription(id: u64, subject: &[u8], sid: &[u8]) -> Arc<Subscription> {
        let connection = ConnectionId::new(0, 0);
        Arc::new(Subscription::new(SubscriptionId(id), connection, Source::Client, subject, b"", sid))
    }

    #[test]
    fn a_subscription_that_ended_does_not_take_the_next_of_its_name_along() {
        let mut held = Held::<BySid>::new(KeyedState::new(1));
        let (ended, next) = (subscription(1, b"foo", b"1"), subscription(2, b"bar", b"1"));
        held.insert(next.clone());
        held.remove_same(&ended);
        assert_eq!(held.get(b"1").map(|known| known.id()), Some(next.id()));
        held.remove_same(&next);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn the_oldest_are_looked_for_among_all_only_while_these_are_not_very_many() {
        let mut held = Held::<BySid>::new(KeyedState::new(1));
        let mut oldest_of = |count: usize| {
            for id in (held.len()..count).rev() {
                held.insert(subscription(id as u64, b"foo", id.to_string().as_bytes()));
            }
            held.oldest(3).iter().map(|subscription| subscription.id().0).collect::<Vec<_>>()
        };
        assert_eq!(oldest_of(2), [0, 1]);
        assert_eq!(oldest_of(MAX_LOOKED_AT), [0, 1, 2]);
        let some = oldest_of(20 * MAX_LOOKED_AT);
        assert!(some.len() == 3 && some.is_sorted() && some != [0, 1, 2], "{some:?}");
    }
}
