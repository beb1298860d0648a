//! The index of one account.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::change::Change;
use super::crowd::Crowd;
use super::matches::Matches;
use super::part::{Part, Stats};
use super::search::{Finding, Limits, Path, Search, Stage};
use super::trie::{is_wildcard, split_token};
use super::walk::{Place, SLICE, Walk};
use super::{Subscription, SubscriptionId};
use crate::hash::KeyedState;
use crate::id::ConnectionId;

/// How many parts there are for filters that begin with a literal token.
const PARTS: usize = 64;

/// All interest of one account, local and remote, shared by all threads.
///
/// It is split by the first token, so that a change, say of an inbox, makes only those cached results stale
/// that begin alike. Filters that begin with a wildcard have a part of their own, which concerns everybody.
///
/// # Announcements
///
/// Local interest ([`Source::is_local`](super::Source::is_local)) is announced; that of other servers never is. `announce` and `emit` callbacks run inside the critical section of the part that
/// changed, so that the order of announcements is the order of changes. They must be short and must not call
/// the index. A key (a subject with its queue) lives in one part; there is no order between keys.
pub struct Index {
    parts: Box<[Part]>,
    wild: Part,
    hasher: KeyedState,
}

/// The state of the index for one subject, to tell whether a cached result is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    part: u8,
    /// The generations of the subject's part and of the wild part. They only grow, so their sum says whether
    /// any of them has changed.
    generations: u64,
}

impl Index {
    /// An empty index. `seed` keys its hashing, against subjects that are chosen to collide; nothing that can
    /// be observed depends on it but the order between slices of [`show`](Self::show) and between parts in
    /// [`remove_all`](Self::remove_all).
    pub fn new(seed: u64) -> Self {
        Self::with_hasher(KeyedState::new(seed))
    }

    /// The same with a hasher that others use too.
    pub(crate) fn with_hasher(hasher: KeyedState) -> Self {
        let parts = (0..PARTS).map(|_| Part::new(&hasher)).collect();
        Self { parts, wild: Part::new(&hasher), hasher }
    }

    /// Adds a subscription with a valid filter. A second one with the same id and filter replaces the first.
    pub fn insert(&self, sub: Arc<Subscription>, announce: &mut dyn FnMut(&[ConnectionId], Change<'_>)) {
        self.part_of(sub.subject()).insert(sub, announce);
    }

    /// Removes a subscription; false if it is not there (any more).
    pub fn remove(&self, sub: &Subscription, announce: &mut dyn FnMut(&[ConnectionId], Change<'_>)) -> bool {
        self.part_of(sub.subject()).remove(sub, announce)
    }

    /// Removes many, as when a connection ended, with one announcement for each subject and queue
    /// (wire.md 2.7: three members leaving produce one line). Those that are not there are ignored.
    pub fn remove_all(
        &self,
        mut subs: Vec<Arc<Subscription>>,
        announce: &mut dyn FnMut(&[ConnectionId], Change<'_>),
    ) {
        subs.sort_by_cached_key(|sub| self.part_number(sub.subject()));
        for subs in subs.chunk_by_mut(|a, b| self.part_number(a.subject()) == self.part_number(b.subject())) {
            subs.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
            self.part_of(subs[0].subject()).remove_sorted(subs, announce);
        }
    }

    /// Replaces the weight of a remote queue subscription (wire.md 2.7: absolute, not additive), and
    /// makes results that contain it stale.
    pub fn set_weight(&self, sub: &Subscription, weight: u32) {
        self.part_of(sub.subject()).set_weight(sub, weight);
    }

    /// Makes all results stale: something has changed that concerns deliveries and is not in the index, such as whether a
    /// client takes headers.
    pub(crate) fn outdate_all(&self) {
        self.all_parts().for_each(Part::outdate);
    }

    /// Begins to announce to `listener`: names it with every change from now on. What there is already it is to be shown by
    /// [`show`](Self::show).
    pub fn listen(&self, listener: ConnectionId) {
        self.all_parts().for_each(|part| part.listen(listener));
    }

    /// Emits some of the local interest that there is, as one [`Change::Added`] for each subject and queue; true once all has
    /// been emitted. For a listener: within a slice they are sorted.
    ///
    /// What is there from the first slice to the last is emitted, and what changes meanwhile is announced. Either is in force
    /// as it comes: of each subject and queue the last that the listener hears is how it is. It may hear the same twice, and
    /// the end of what it had not heard of.
    pub fn show(&self, walk: &mut Walk, emit: &mut dyn FnMut(Change<'_>)) -> bool {
        self.show_slice(None, walk, &mut 0, emit)
    }

    /// The same within a slice of which so much is `seen` already, as of other indexes before; and as long as this listener is
    /// announced to: what it is not, it is not shown either.
    pub(crate) fn show_to(
        &self,
        listener: ConnectionId,
        walk: &mut Walk,
        seen: &mut usize,
        emit: &mut dyn FnMut(Change<'_>),
    ) -> bool {
        self.show_slice(Some(listener), walk, seen, emit)
    }

    fn show_slice(
        &self,
        listener: Option<ConnectionId>,
        walk: &mut Walk,
        seen: &mut usize,
        emit: &mut dyn FnMut(Change<'_>),
    ) -> bool {
        while let Some(part) = self.all_parts().nth(walk.part) {
            if *seen >= SLICE {
                return false;
            }
            *seen += part.show(listener, &mut walk.place, emit);
            if walk.place.is_over() {
                walk.part += 1;
                walk.place = Place::default();
            }
        }
        true
    }

    /// Ends what [`listen`](Self::listen) began.
    pub fn unlisten(&self, listener: ConnectionId) {
        self.all_parts().for_each(|part| part.unlisten(listener));
    }

    /// Announces the end of all local interest to everybody who listens, and nothing to anybody from then on: the
    /// account of this index is no more.
    pub fn withdraw(&self, announce: &mut dyn FnMut(&[ConnectionId], Change<'_>)) {
        self.all_parts().for_each(|part| part.withdraw(announce));
    }

    /// The state of the index for `subject`. To be taken *before* [`collect`](Self::collect): the result may
    /// be kept as long as [`is_current`](Self::is_current) says so, also if it is empty.
    pub fn stamp(&self, subject: &[u8]) -> Stamp {
        let part = self.part_number(subject).unwrap_or(0);
        Stamp { part, generations: self.generations(part) }
    }

    /// Whether nothing has changed since the stamp was taken that could concern its subject. Two loads.
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.generations(stamp.part) == stamp.generations
    }

    /// Adds everything that matches `subject` to `into`, which is empty before, unless that is too much
    /// ([`Matches::is_cut`]).
    ///
    /// The order depends on nothing but names and subscription ids. A subject with an empty token matches
    /// nothing; in a subject that was published, `*` and `>` are ordinary tokens (wire.md 1.5).
    pub fn collect(&self, subject: &[u8], into: &mut Matches) {
        let stage = self.find(subject, Stage::Home(Path::default()), into, Limits::OF_COLLECTION);
        into.is_cut = !matches!(stage, Stage::Over);
        into.plain.sort_by_key(|sub| sub.id());
        into.crowds.sort_by(|a, b| (a.queue(), a.filter()).cmp(&(b.queue(), b.filter())));
    }

    /// Adds some of what matches to `into`, which is empty before, until the search is over. A slice has some hundreds of
    /// subscriptions; a filter with more of them is among the crowds.
    pub fn search(&self, search: &mut Search, into: &mut Matches) {
        let stage = std::mem::replace(&mut search.stage, Stage::Over);
        search.stage = self.find(search.subject(), stage, into, Limits::OF_SLICE);
    }

    /// [`search`](Self::search) in slices of this length.
    #[cfg(test)]
    pub(super) fn search_little(&self, search: &mut Search, looked_at: usize, into: &mut Matches) {
        let stage = std::mem::replace(&mut search.stage, Stage::Over);
        search.stage = self.find(search.subject(), stage, into, Limits::of(looked_at));
    }

    /// Finds what comes next until it is enough, and says what is left.
    fn find(&self, subject: &[u8], mut stage: Stage, into: &mut Matches, limits: Limits) -> Stage {
        if has_empty_token(subject) {
            return Stage::Over;
        }
        let mut finding = Finding::new(into, limits);
        let home = self.part_of(subject);
        if let Stage::Home(mut path) = stage {
            if path.0.is_empty() {
                home.count_lookup();
            }
            let is_over = home.find(subject, &mut path, &mut finding);
            stage = match (is_over, std::ptr::eq(home, &self.wild)) {
                (false, _) => Stage::Home(path),
                (true, true) => Stage::Over,
                (true, false) => {
                    path.0.clear();
                    Stage::Wild(path)
                }
            };
        }
        if let Stage::Wild(mut path) = stage {
            let is_over = !finding.is_enough() && self.wild.find(subject, &mut path, &mut finding);
            stage = if is_over { Stage::Over } else { Stage::Wild(path) };
        }
        finding.finish();
        stage
    }

    /// One of a crowd, as it is now: the one that stands behind so many others, or, if they are fewer, one of these. None if
    /// there is none any more.
    pub fn one_of(&self, crowd: &Crowd, place: usize) -> Option<Arc<Subscription>> {
        self.part_of(crowd.filter()).one_of(crowd, place)
    }

    /// Adds those of a crowd that come next, which are some thousands at the most.
    pub fn next_of(&self, crowd: &mut Crowd, into: &mut Vec<Arc<Subscription>>) {
        self.part_of(crowd.filter()).next_of(crowd, into);
    }

    /// The subscription with the id, the filter and the queue of this one, if it is there.
    pub(crate) fn get(&self, like: &Subscription) -> Option<Arc<Subscription>> {
        self.part_of(like.subject()).get(like)
    }

    /// How many subscriptions there are, local and remote.
    pub fn len(&self) -> usize {
        usize::try_from(self.stats().subscriptions).unwrap_or(usize::MAX)
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts for monitoring. The parts are asked one after the other, so they may be of different moments.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for part in self.all_parts().map(Part::stats) {
            sum.subscriptions += part.subscriptions;
            sum.inserts += part.inserts;
            sum.removes += part.removes;
            sum.lookups += part.lookups;
        }
        sum
    }

    /// Calls `each` with every subscription, sorted by subject, queue and id. For monitoring: it copies the
    /// list first, so that `each` runs outside of all locks.
    pub fn for_each(&self, each: &mut dyn FnMut(&Arc<Subscription>)) {
        let mut all = Vec::new();
        self.all_parts().for_each(|part| part.for_each(&mut |sub| all.push(Arc::clone(sub))));
        all.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        all.iter().for_each(each);
    }

    /// [`listen`](Self::listen), and [`show`](Self::show) to the end.
    #[cfg(test)]
    pub(super) fn listen_and_show(&self, listener: ConnectionId, emit: &mut dyn FnMut(Change<'_>)) {
        self.listen(listener);
        let mut walk = Walk::default();
        while !self.show(&mut walk, emit) {}
    }

    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        self.all_parts().map(Part::node_count).sum()
    }

    fn all_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().chain([&self.wild])
    }

    fn part_of(&self, filter: &[u8]) -> &Part {
        self.part_number(filter).map_or(&self.wild, |number| &self.parts[usize::from(number)])
    }

    /// Which part has the filters with the first token of `subject`; `None` for the wild one, which is also
    /// the only one to have filters for a published subject that begins with a wildcard.
    fn part_number(&self, subject: &[u8]) -> Option<u8> {
        let (token, _) = split_token(subject);
        if is_wildcard(token) {
            return None;
        }
        // The tables within a part use the lowest and the highest bits of the same hash.
        Some((self.hasher.hash_one(token) >> 32) as u8 % PARTS as u8)
    }

    fn generations(&self, part: u8) -> u64 {
        self.parts[usize::from(part)].generation().wrapping_add(self.wild.generation())
    }
}

fn sort_key(sub: &Subscription) -> (&[u8], Option<&[u8]>, SubscriptionId) {
    (sub.subject(), sub.queue(), sub.id())
}

/// Whether there is nothing before the first dot, after the last one, or between two.
fn has_empty_token(subject: &[u8]) -> bool {
    let mut start = 0;
    for dot in memchr::memchr_iter(b'.', subject) {
        if dot == start {
            return true;
        }
        start = dot + 1;
    }
    start == subject.len()
}
