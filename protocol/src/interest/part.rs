//! One part of an index: a lock, a generation, and the listeners.
//!
//! # Why a cached result is never wrong for long
//!
//! A writer changes the state and then advances the generation, both under the write lock. A reader reads
//! the generation first (its stamp), and collects under the read lock later.
//!
//! - If the stamp contains the advance of a change, the reader's critical section cannot precede the
//!   writer's, or the reader would have read a number from its own future. So the result contains the change.
//! - If the result does not contain a change, the stamp does not contain its advance either. So the stamp is
//!   stale as soon as the advance is visible, at the latest when the call that made the change has returned
//!   and that fact has reached the reader.
//!
//! A stamp may be older than its result. Then a result that is up to date is collected again once, no more.
//!
//! A panic of a callback cannot leave the state half-changed, since callbacks run after the change; so a
//! poisoned lock is used on.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Subscription;
use super::change::Change;
use super::crowd::Crowd;
use super::search::{Finding, Path};
use super::subscribers::Subscribers;
use super::trie::{Trie, has_wildcard};
use super::walk::{MAX_PASSED, Place as Shown, SLICE};
use crate::hash::{KeyedState, Shards};
use crate::id::ConnectionId;
use crate::lock::{Place, ReadGuard, RwLock, WriteGuard};

/// Called with the listeners and the change of local interest that they must hear of.
pub(super) type Announce<'a> = &'a mut dyn FnMut(&[ConnectionId], Change<'_>);

pub(super) struct Part {
    generation: Generation,
    /// How many collections of matches began here.
    lookups: AtomicU64,
    state: RwLock<State>,
}

/// How often a part has changed. Every publisher reads it for every message, so it has a cache line of its own,
/// away from the lock.
#[derive(Default)]
#[repr(align(64))]
struct Generation(AtomicU64);

/// Counts for monitoring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Subscriptions that are in the index now, local and remote.
    pub subscriptions: u64,
    /// Subscriptions that were ever added.
    pub inserts: u64,
    /// Subscriptions that were ever removed.
    pub removes: u64,
    /// How often matches were collected.
    pub lookups: u64,
}

struct State {
    /// The subscribers of filters without wildcards.
    exact: Shards<BySubject>,
    /// Those of all other filters.
    patterns: Trie,
    listeners: Vec<ConnectionId>,
    /// The end of all local interest was announced, and nothing is any more.
    is_withdrawn: bool,
    inserts: u64,
    removes: u64,
}

/// The subscribers of a filter, found by the subject that they know themselves: the table stores no keys.
struct BySubject(Subscribers);

/// How many subscriptions a change added and removed; one that replaces another counts as both.
struct Edit {
    inserted: u64,
    removed: u64,
}

impl Part {
    pub(super) fn new(hasher: &KeyedState) -> Self {
        let state = State {
            exact: Shards::new(hasher.clone()),
            patterns: Trie::new(hasher.clone()),
            listeners: Vec::new(),
            is_withdrawn: false,
            inserts: 0,
            removes: 0,
        };
        Self {
            generation: Generation::default(),
            lookups: AtomicU64::new(0),
            state: RwLock::new(Place::Interest, state),
        }
    }

    /// How often this part has changed.
    pub(super) fn generation(&self) -> u64 {
        self.generation.0.load(Ordering::Acquire)
    }

    pub(super) fn insert(&self, sub: Arc<Subscription>, announce: Announce<'_>) {
        let mut state = self.write();
        let added = Arc::clone(&sub);
        self.change(&mut state, &added, announce, |slot| {
            let is_new = Subscribers::insert(slot, sub);
            Edit { inserted: 1, removed: u64::from(!is_new) }
        });
    }

    pub(super) fn remove(&self, sub: &Subscription, announce: Announce<'_>) -> bool {
        self.remove_from_group(&mut self.write(), &[sub], announce)
    }

    /// Removes many, sorted by subject and queue, with one announcement for each pair of these.
    pub(super) fn remove_sorted(&self, subs: &[Arc<Subscription>], announce: Announce<'_>) {
        let mut state = self.write();
        for group in subs.chunk_by(|a, b| a.subject() == b.subject() && a.queue() == b.queue()) {
            self.remove_from_group(&mut state, group, announce);
        }
    }

    /// Sets the weight of a remote subscription, which targets that were made from a result may contain.
    pub(super) fn set_weight(&self, sub: &Subscription, weight: u32) {
        let _state = self.write();
        if sub.weight() != weight {
            sub.set_weight(weight);
            self.advance();
        }
    }

    /// Makes all results stale.
    pub(super) fn outdate(&self) {
        let _state = self.write();
        self.advance();
    }

    /// Begins to announce to `listener`, unless nothing is announced any more.
    pub(super) fn listen(&self, listener: ConnectionId) {
        let mut state = self.write();
        if !state.is_withdrawn && !state.listeners.contains(&listener) {
            state.listeners.push(listener);
        }
    }

    /// Emits the local interest that comes next, and returns how many filters were looked at for that. Changes are announced
    /// under the same lock, so of each key the last that is heard is true. Who is not announced to any more, if anybody is
    /// named, is shown nothing.
    pub(super) fn show(
        &self,
        to: Option<ConnectionId>,
        place: &mut Shown,
        emit: &mut dyn FnMut(Change<'_>),
    ) -> usize {
        let state = self.read();
        if state.is_withdrawn || to.is_some_and(|listener| !state.listeners.contains(&listener)) {
            (place.exact, place.nodes) = (None, Vec::new());
            return 0;
        }
        let mut filters = Vec::new();
        if let Some(position) = place.exact {
            let (shard, next) = state.exact.shard_at(position);
            filters.extend(shard.map(|(BySubject(subscribers), ())| subscribers));
            place.exact = next;
        } else {
            let mut passed = 0;
            while filters.len() < SLICE && passed < MAX_PASSED {
                let Some(next) = place.nodes.pop() else { break };
                passed += state.patterns.show(&next, &mut filters, &mut place.nodes);
            }
        }
        let seen = filters.len();
        let added = |subject, queue, local| Change::between(subject, queue, 0, local);
        changes(filters.into_iter(), added).for_each(emit);
        seen
    }

    pub(super) fn unlisten(&self, listener: ConnectionId) {
        self.write().listeners.retain(|&other| other != listener);
    }

    /// Announces the end of all local interest, and nothing more from then on.
    pub(super) fn withdraw(&self, announce: Announce<'_>) {
        let mut state = self.write();
        state.is_withdrawn = true;
        let listeners = std::mem::take(&mut state.listeners);
        let mut filters = Vec::new();
        state.for_each_filter(&mut |subscribers| filters.push(subscribers));
        let removed = |subject, queue, local| Change::between(subject, queue, local, 0);
        changes(filters.into_iter(), removed).for_each(|change| announce(&listeners, change));
    }

    /// Counts a collection that begins here, of what may be several parts.
    pub(super) fn count_lookup(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    /// Finds every subscription that matches `subject`, in no particular order, from `path` on and until it is enough. True
    /// at the end.
    pub(super) fn find(&self, subject: &[u8], path: &mut Path, finding: &mut Finding<'_>) -> bool {
        let state = self.read();
        if path.0.is_empty()
            && let Some((BySubject(subscribers), ())) = state.exact.get(subject)
        {
            subscribers.find(finding);
        }
        state.patterns.is_empty() || state.patterns.find(subject, path, finding)
    }

    /// Adds those of a crowd that come next, as far as a slice goes.
    pub(super) fn next_of(&self, crowd: &mut Crowd, into: &mut Vec<Arc<Subscription>>) {
        let before = into.len();
        if let Some(subscribers) = self.read().get(crowd.filter()) {
            subscribers.next_of(crowd, into);
        }
        crowd.pass(&into[before..]);
    }

    /// One of a crowd, as it is now.
    pub(super) fn one_of(&self, crowd: &Crowd, place: usize) -> Option<Arc<Subscription>> {
        self.read().get(crowd.filter())?.one_of(crowd, place).cloned()
    }

    /// The subscription with the id, the filter and the queue of this one.
    pub(super) fn get(&self, like: &Subscription) -> Option<Arc<Subscription>> {
        self.read().get(like.subject())?.get(like.queue(), like.id()).cloned()
    }

    /// Calls `each` with every subscription, in no particular order.
    pub(super) fn for_each(&self, each: &mut impl FnMut(&Arc<Subscription>)) {
        self.read().for_each_filter(&mut |subscribers| subscribers.for_each(each));
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.read();
        Stats {
            subscriptions: state.inserts - state.removes,
            inserts: state.inserts,
            removes: state.removes,
            lookups: self.lookups.load(Ordering::Relaxed),
        }
    }

    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.read().patterns.node_count()
    }

    /// Removes subscriptions with the same subject and queue; true if there was any to remove.
    fn remove_from_group<S: Borrow<Subscription>>(
        &self,
        state: &mut State,
        group: &[S],
        announce: Announce<'_>,
    ) -> bool {
        let Some(first) = group.first() else { return false };
        self.change(state, first.borrow(), announce, |slot| {
            let ids = group.iter().map(|sub| sub.borrow().id());
            let removed = ids.filter(|&id| Subscribers::remove(slot, first.borrow().queue(), id)).count();
            Edit { inserted: 0, removed: removed as u64 }
        })
    }

    /// Lets `edit` change the subscribers that `sub` is one of. If it did, the generation advances, and a change of
    /// the number of local subscriptions is announced.
    fn change(
        &self,
        state: &mut State,
        sub: &Subscription,
        announce: Announce<'_>,
        edit: impl FnOnce(&mut Option<Subscribers>) -> Edit,
    ) -> bool {
        let (subject, queue) = (sub.subject(), sub.queue());
        let local =
            |slot: &Option<Subscribers>| slot.as_ref().map_or(0, |subscribers| subscribers.local(queue));
        let (edit, before, after) = state.edit(subject, |slot| {
            let before = local(slot);
            (edit(slot), before, local(slot))
        });
        state.inserts += edit.inserted;
        state.removes += edit.removed;
        let changed = edit.inserted + edit.removed > 0;
        if changed {
            self.advance();
        }
        if let Some(change) = Change::between(subject, queue, before, after) {
            announce(&state.listeners, change);
        }
        changed
    }

    fn advance(&self) {
        self.generation.0.fetch_add(1, Ordering::Release);
    }

    fn read(&self) -> ReadGuard<'_, State> {
        self.state.read()
    }

    fn write(&self) -> WriteGuard<'_, State> {
        self.state.write()
    }
}

impl State {
    fn get(&self, filter: &[u8]) -> Option<&Subscribers> {
        if has_wildcard(filter) {
            return self.patterns.get(filter);
        }
        self.exact.get(filter).map(|(BySubject(subscribers), ())| subscribers)
    }

    fn edit<R>(&mut self, filter: &[u8], edit: impl FnOnce(&mut Option<Subscribers>) -> R) -> R {
        if has_wildcard(filter) {
            return self.patterns.edit(filter, edit);
        }
        let mut subscribers = self.exact.remove(filter).map(|(BySubject(subscribers), ())| subscribers);
        let result = edit(&mut subscribers);
        if let Some(subscribers) = subscribers {
            self.exact.insert(BySubject(subscribers), ());
        }
        result
    }

    fn for_each_filter<'a>(&'a self, each: &mut impl FnMut(&'a Subscribers)) {
        self.exact.iter().for_each(|(BySubject(subscribers), ())| each(subscribers));
        self.patterns.for_each(each);
    }
}

/// What `change` says of each filter and group with its number of local subscriptions, sorted.
fn changes<'a>(
    filters: impl Iterator<Item = &'a Subscribers>,
    change: impl Fn(&'a [u8], Option<&'a [u8]>, u32) -> Option<Change<'a>>,
) -> impl Iterator<Item = Change<'a>> {
    let mut changes = Vec::new();
    for subscribers in filters {
        subscribers
            .for_each_group(&mut |queue, local| changes.extend(change(subscribers.subject(), queue, local)));
    }
    changes.sort_unstable();
    changes.into_iter()
}

impl Borrow<[u8]> for BySubject {
    fn borrow(&self) -> &[u8] {
        self.0.subject()
    }
}

impl Hash for BySubject {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.subject().hash(hasher);
    }
}

impl PartialEq for BySubject {
    fn eq(&self, other: &Self) -> bool {
        self.0.subject() == other.0.subject()
    }
}

impl Eq for BySubject {}
