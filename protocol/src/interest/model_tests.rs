//! Random changes of the index, compared with a list of subscriptions after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::{Change, Index, Matches, Search, Source, Stamp, Subscription, SubscriptionId};
use crate::id::ConnectionId;

/// Subject and queue, with an empty queue for plain interest.
type Key = (Vec<u8>, Vec<u8>);
/// What a listener believes: the number of members, 1 for plain interest.
type View = BTreeMap<Key, u32>;
/// Ids and weights of what matched: plain, and by queue name.
type Found = (Vec<(u64, u32)>, Vec<(Vec<u8>, Vec<(u64, u32)>)>);

#[derive(Clone, Debug)]
enum Action {
    Insert { filter: String, queue: &'static str, source: Source },
    InsertAgain(Pick),
    Remove(Pick),
    RemoveGone(Pick),
    RemoveAll(Vec<Pick>),
    SetWeight(Pick, u32),
    Listen(u32),
    Unlisten(u32),
}

fn filter() -> impl Strategy<Value = String> {
    let token = select(vec!["a", "a", "b", "b", "*", "a*"]);
    let tokens = prop::collection::vec(token, 1..5);
    (tokens, select(vec!["", "", ".>", ">"])).prop_map(|(tokens, end)| match end {
        ">" => ">".to_owned(),
        end => tokens.join(".") + end,
    })
}

fn subject() -> impl Strategy<Value = String> {
    let token = select(vec!["a", "a", "a", "b", "b", "b", "c", "*", ">", "a*", ""]);
    prop::collection::vec(token, 1..6).prop_map(|tokens| tokens.join("."))
}

fn action() -> impl Strategy<Value = Action> {
    let source = select(vec![Source::Client, Source::Client, Source::Route, Source::RouteLeaf]);
    let queue = select(vec!["", "", "q", "r"]);
    prop_oneof![
        8 => (filter(), queue, source).prop_map(|(filter, queue, source)| Action::Insert { filter, queue, source }),
        1 => any::<Pick>().prop_map(Action::InsertAgain),
        4 => any::<Pick>().prop_map(Action::Remove),
        1 => any::<Pick>().prop_map(Action::RemoveGone),
        1 => prop::collection::vec(any::<Pick>(), 0..12).prop_map(Action::RemoveAll),
        1 => (any::<Pick>(), 0..5_u32).prop_map(|(pick, weight)| Action::SetWeight(pick, weight)),
        1 => (0..3_u32).prop_map(Action::Listen),
        1 => (0..3_u32).prop_map(Action::Unlisten),
    ]
}

/// The index, the list that it must agree with, and what listeners have been told.
struct World {
    index: Index,
    live: Vec<Arc<Subscription>>,
    gone: Vec<Arc<Subscription>>,
    next_id: u64,
    views: BTreeMap<ConnectionId, View>,
    /// What somebody would know who heard every announcement from the start.
    announced: View,
}

impl World {
    fn new(seed: u64) -> Self {
        let index = Index::new(seed);
        Self { index, live: vec![], gone: vec![], next_id: 0, views: BTreeMap::new(), announced: View::new() }
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Insert { filter, queue, source } => {
                self.next_id += 1;
                let id = SubscriptionId(self.next_id);
                let connection = ConnectionId::new(0, 0);
                let sub =
                    Subscription::new(id, connection, source, filter.as_bytes(), queue.as_bytes(), b"1");
                let sub = Arc::new(sub);
                self.live.push(Arc::clone(&sub));
                self.change(|index, announce| index.insert(sub, announce));
            }
            Action::InsertAgain(pick) if !self.live.is_empty() => {
                let sub = Arc::clone(pick.get(&self.live));
                self.change(|index, announce| index.insert(sub, announce));
            }
            Action::Remove(pick) if !self.live.is_empty() => {
                let sub = self.live.remove(pick.index(self.live.len()));
                assert!(self.change(|index, announce| index.remove(&sub, announce)));
                self.gone.push(sub);
            }
            Action::RemoveGone(pick) if !self.gone.is_empty() => {
                let sub = Arc::clone(pick.get(&self.gone));
                assert!(!self.change(|index, announce| index.remove(&sub, announce)));
            }
            Action::RemoveAll(picks) => self.remove_all(picks),
            Action::SetWeight(pick, weight) if !self.live.is_empty() => {
                self.index.set_weight(pick.get::<Arc<_>>(&self.live), weight);
            }
            Action::Listen(number) => self.listen(ConnectionId::new(number, 1)),
            Action::Unlisten(number) => {
                self.index.unlisten(ConnectionId::new(number, 1));
                self.views.remove(&ConnectionId::new(number, 1));
            }
            _ => {}
        }
    }

    /// Removes live ones, some of them named twice, and some that are gone already.
    fn remove_all(&mut self, picks: Vec<Pick>) {
        let known: Vec<_> = self.live.iter().chain(&self.gone).cloned().collect();
        if known.is_empty() {
            return;
        }
        let subs: Vec<_> = picks.iter().map(|pick| Arc::clone(pick.get(&known))).collect();
        let ids: BTreeSet<_> = subs.iter().map(|sub| sub.id()).collect();
        let (gone, live) = self.live.drain(..).partition(|sub| ids.contains(&sub.id()));
        self.live = live;
        self.gone.extend::<Vec<_>>(gone);
        self.change(|index, announce| index.remove_all(subs, announce));
    }

    fn listen(&mut self, listener: ConnectionId) {
        let mut view = View::new();
        self.index.listen_and_show(listener, &mut |change| {
            assert!(matches!(change, Change::Added { .. }));
            replay(&mut view, change);
        });
        self.views.insert(listener, view);
    }

    /// Makes a change and tells the listeners, who must be named each time; no key is announced twice.
    fn change<R>(
        &mut self,
        change: impl FnOnce(&Index, &mut dyn FnMut(&[ConnectionId], Change<'_>)) -> R,
    ) -> R {
        let mut keys = BTreeSet::new();
        let Self { index, views, announced, .. } = self;
        change(index, &mut |listeners, change| {
            assert!(keys.insert(key_of(change)), "announced twice in one call: {change:?}");
            assert_eq!(listeners.iter().copied().collect::<BTreeSet<_>>(), views.keys().copied().collect());
            views.values_mut().chain([&mut *announced]).for_each(|view| replay(view, change));
        })
    }

    /// Local interest, counted anew.
    fn local_interest(&self) -> View {
        let mut view = View::new();
        for sub in self.live.iter().filter(|sub| sub.source() == Source::Client) {
            let queue = sub.queue().unwrap_or_default();
            let count = view.entry((sub.subject().to_vec(), queue.to_vec())).or_insert(0);
            *count = if queue.is_empty() { 1 } else { *count + 1 };
        }
        view
    }

    /// What matches, by looking at every subscription.
    fn expected(&self, subject: &str) -> Found {
        let mut plain = Vec::new();
        let mut queues = BTreeMap::<Vec<u8>, Vec<_>>::new();
        let mut live: Vec<_> = self.live.iter().filter(|sub| matches(sub.subject(), subject)).collect();
        live.sort_by_key(|sub| sub.id());
        for sub in live {
            match sub.queue() {
                None => plain.push((sub.id().0, sub.weight())),
                Some(queue) => queues.entry(queue.to_vec()).or_default().push((sub.id().0, sub.weight())),
            }
        }
        (plain, queues.into_iter().collect())
    }

    /// The ids of all that match.
    fn matching(&self, subject: &str) -> BTreeSet<SubscriptionId> {
        self.live.iter().filter(|sub| matches(sub.subject(), subject)).map(|sub| sub.id()).collect()
    }

    fn collected(&self, subject: &str) -> Found {
        let mut found = Matches::default();
        self.index.collect(subject.as_bytes(), &mut found);
        let ids = |subs: &[Arc<Subscription>]| subs.iter().map(|sub| (sub.id().0, sub.weight())).collect();
        let queues = found.queues.iter().map(|(name, members)| (name.to_vec(), ids(members)));
        (ids(&found.plain), queues.collect())
    }

    /// One node for each distinct beginning of a filter with wildcards, and not one more.
    fn expected_nodes(&self) -> usize {
        let mut prefixes = BTreeSet::new();
        for sub in &self.live {
            let tokens: Vec<_> = sub.subject().split(|&byte| byte == b'.').collect();
            if tokens.iter().any(|token| matches!(*token, b"*" | b">")) {
                let depth = tokens.iter().take_while(|token| **token != b">").count();
                prefixes.extend((1..=depth).map(|length| tokens[..length].join(&b'.')));
            }
        }
        prefixes.len()
    }

    fn check(&self, subjects: &[String], before: &[(Stamp, Found)]) {
        for (subject, (stamp, old)) in subjects.iter().zip(before) {
            let expected = self.expected(subject);
            assert_eq!(self.collected(subject), expected, "{subject:?}");
            if expected != *old {
                assert!(!self.index.is_current(*stamp), "{subject:?} changed, its stamp did not");
            }
        }
        let interest = self.local_interest();
        assert_eq!(self.announced, interest);
        self.views.values().for_each(|view| assert_eq!(*view, interest));
        assert_eq!(self.index.len(), self.live.len());
        assert_eq!(self.index.node_count(), self.expected_nodes());
        let mut listed = Vec::new();
        self.index.for_each(&mut |sub| listed.push(Arc::clone(sub)));
        assert_eq!(listed.len(), self.live.len());
        assert!(listed.is_sorted_by_key(|sub| (
            sub.subject().to_vec(),
            sub.queue().map(<[u8]>::to_vec),
            sub.id()
        )));
    }
}

/// Token by token; an empty token matches nothing.
fn matches(filter: &[u8], subject: &str) -> bool {
    let filter: Vec<&[u8]> = filter.split(|&byte| byte == b'.').collect();
    let subject: Vec<&[u8]> = subject.as_bytes().split(|&byte| byte == b'.').collect();
    if subject.iter().any(|token| token.is_empty()) {
        return false;
    }
    let one = |(filter, token): (&&[u8], &&[u8])| *filter == b"*" || filter == token;
    match filter.split_last() {
        Some((last, prefix)) if *last == b">" => {
            subject.len() > prefix.len() && prefix.iter().zip(&subject).all(one)
        }
        _ => subject.len() == filter.len() && filter.iter().zip(&subject).all(one),
    }
}

fn key_of(change: Change<'_>) -> Key {
    let (subject, queue) = match change {
        Change::Added { subject, queue } => (subject, queue.map(|(name, _)| name)),
        Change::Removed { subject, queue } => (subject, queue),
    };
    (subject.to_vec(), queue.unwrap_or_default().to_vec())
}

/// What a listener makes of a change, which must be news to it.
fn replay(view: &mut View, change: Change<'_>) {
    match change {
        Change::Added { queue, .. } => {
            let count = queue.map_or(1, |(_, count)| count);
            assert_ne!(view.insert(key_of(change), count), Some(count), "said twice: {change:?}");
        }
        Change::Removed { .. } => {
            assert!(view.remove(&key_of(change)).is_some(), "was not there: {change:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_agrees_with_a_list_of_subscriptions(
        seed in 0..4_u64,
        actions in prop::collection::vec(action(), 1..80),
        subjects in prop::collection::vec(subject(), 1..6),
    ) {
        let mut world = World::new(seed);
        for action in actions {
            let before: Vec<_> = subjects
                .iter()
                .map(|subject| (world.index.stamp(subject.as_bytes()), world.expected(subject)))
                .collect();
            world.apply(action);
            world.check(&subjects, &before);
        }
        let rest = std::mem::take(&mut world.live);
        world.change(|index, announce| index.remove_all(rest, announce));
        prop_assert!(world.index.is_empty());
        world.check(&subjects, &[]);
    }

    #[test]
    fn a_search_finds_once_what_is_there_from_its_first_slice_to_its_last(
        seed in 0..4_u64,
        before in prop::collection::vec(action(), 1..60),
        during in prop::collection::vec(action(), 0..20),
        subject in subject(),
        looked_at in 1..8_usize,
    ) {
        let mut world = World::new(seed);
        before.into_iter().for_each(|action| world.apply(action));
        let (mut always, mut ever) = (world.matching(&subject), world.matching(&subject));
        let (mut search, mut found) = (Search::new(subject.as_bytes()), Vec::new());
        let mut during = during.into_iter();
        while !search.is_over() {
            let mut some = Matches::default();
            world.index.search_little(&mut search, looked_at, &mut some);
            let members = some.queues.iter().flat_map(|(_, members)| members);
            found.extend(some.plain.iter().chain(members).map(|sub| sub.id()));
            during.next().into_iter().for_each(|action| world.apply(action));
            let now = world.matching(&subject);
            always.retain(|id| now.contains(id));
            ever.extend(now);
        }
        let once: BTreeSet<_> = found.iter().copied().collect();
        prop_assert_eq!(once.len(), found.len());
        prop_assert!(always.is_subset(&once) && once.is_subset(&ever));
    }
}
