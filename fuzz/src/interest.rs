//! The interest index agrees with a list of subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use onehop::ConnectionId;
use onehop::interest::{Change, Index, Matches, Source, Stamp, Subscription, SubscriptionId, Walk};
use onehop::wire::subject::filter_matches;

use crate::Choices;
use crate::subject::matches;

/// A program of changes of the index, and of subjects to look up.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(u64::from(choices.byte()));
    while !choices.is_empty() {
        world.step(&mut choices);
        world.assert_nothing_old_is_current();
    }
    world.assert_announced();
    world.assert_collects_all();
    let live = std::mem::take(&mut world.live);
    let Model { index, announced, .. } = &mut world.model;
    index.remove_all(live.into_iter().map(|live| live.sub).collect(), &mut |_, change| {
        hear(announced, change);
    });
    assert!(index.is_empty() && announced.is_empty(), "something stays behind");
}

/// A subscription and its weight as it was last set.
struct Live {
    sub: Arc<Subscription>,
    weight: u32,
}

/// A subject and a queue group (empty for plain interest), with the number of local members.
type Announced = BTreeMap<(Vec<u8>, Vec<u8>), u32>;

struct Model {
    index: Index,
    /// What somebody believes who heard every announcement.
    announced: Announced,
    /// What the one listener believes, while there is one.
    heard: Option<Announced>,
}

struct World {
    model: Model,
    live: Vec<Live>,
    gone: Vec<Arc<Subscription>>,
    next_id: u64,
    /// What was last found for each subject that was asked for.
    remembered: BTreeMap<Vec<u8>, (Stamp, Found)>,
}

/// Who gets a subject: queue group (none for plain subscriptions), id and weight, in the order of the result.
type Found = Vec<(Option<Vec<u8>>, SubscriptionId, u32)>;

/// The one who listens.
const LISTENER: ConnectionId = ConnectionId::new(9, 9);

impl World {
    fn new(seed: u64) -> Self {
        let model = Model { index: Index::new(seed), announced: Announced::new(), heard: None };
        World { model, live: Vec::new(), gone: Vec::new(), next_id: 1, remembered: BTreeMap::new() }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let at = |choices: &mut Choices<'_>, len: usize| (len > 0).then(|| choices.byte() as usize % len);
        match choices.below(9) {
            0..=2 => self.insert(choices),
            3 => {
                if let Some(at) = at(choices, self.live.len()) {
                    let sub = self.live.swap_remove(at).sub;
                    assert!(self.model.change(|index, hear| index.remove(&sub, hear)), "it was there");
                    self.gone.push(sub);
                }
            }
            4 => {
                if let Some(at) = at(choices, self.gone.len()) {
                    let sub = &self.gone[at];
                    assert!(!self.model.change(|index, hear| index.remove(sub, hear)), "it was gone");
                }
            }
            5 => {
                if let Some(at) = at(choices, self.live.len()) {
                    self.set_weight(at, u32::from(choices.byte()));
                }
            }
            6 => self.remove_some(choices),
            7 => self.listen(choices.flag()),
            _ => self.assert_collects(&subject(choices)),
        }
        assert_eq!(self.model.index.len(), self.live.len());
    }

    fn insert(&mut self, choices: &mut Choices<'_>) {
        let filter = filter(choices);
        let queue = choices.pick(&[&b""[..], b"", b"q", b"r"]);
        let source = choices.pick(&[Source::Client, Source::Client, Source::Route, Source::RouteLeaf]);
        let connection = ConnectionId::new(u32::from(choices.byte() & 3), 0);
        let id = SubscriptionId(self.next_id);
        self.next_id += 1;
        let sub = Arc::new(Subscription::new(id, connection, source, &filter, queue, b"1"));
        self.live.push(Live { sub: sub.clone(), weight: 1 });
        self.model.change(|index, hear| index.insert(sub, hear));
    }

    /// Only that of other servers' queue members is ever set.
    fn set_weight(&mut self, at: usize, weight: u32) {
        let Live { sub, weight: known } = &mut self.live[at];
        if sub.source() == Source::Client || sub.queue().is_none() {
            return;
        }
        let subject = sub.subject().to_vec();
        let stamp = self.model.index.stamp(&subject);
        self.model.index.set_weight(sub, weight);
        let changed = std::mem::replace(known, weight) != weight;
        assert!(!changed || !self.model.index.is_current(stamp), "an old weight would be used on");
    }

    fn remove_some(&mut self, choices: &mut Choices<'_>) {
        let connection = ConnectionId::new(u32::from(choices.byte() & 3), 0);
        let (gone, live) = self.live.drain(..).partition(|live| live.sub.connection() == connection);
        self.live = live;
        let gone: Vec<_> = Vec::into_iter(gone).map(|live: Live| live.sub).collect();
        self.gone.extend(gone.iter().cloned());
        let mut told = Vec::new();
        self.model.change(|index, hear| {
            index.remove_all(gone, &mut |listeners, change| {
                told.push(key(change).0);
                hear(listeners, change);
            });
        });
        let count = told.len();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), count, "one announcement for each subject and group");
    }

    fn listen(&mut self, on: bool) {
        let Model { index, heard, announced } = &mut self.model;
        if !on {
            index.unlisten(LISTENER);
            *heard = None;
        } else if heard.is_none() {
            let mut all = Announced::new();
            index.listen(LISTENER);
            let mut walk = Walk::default();
            while !index.show(&mut walk, &mut |change| hear(&mut all, change)) {}
            assert_eq!(all, *announced);
            *heard = Some(all);
        }
    }

    /// Asks for a subject, and remembers the answer as a publisher does.
    fn assert_collects(&mut self, subject: &[u8]) {
        let index = &self.model.index;
        let stamp = index.stamp(subject);
        let found = self.collect(subject);
        assert!(self.model.index.is_current(stamp), "asking changes nothing");
        assert_eq!(found, self.expected(subject), "who gets {}", subject.escape_ascii());
        self.remembered.insert(subject.to_vec(), (stamp, found));
    }

    /// What the index finds.
    fn collect(&self, subject: &[u8]) -> Found {
        let mut matches = Matches::default();
        self.model.index.collect(subject, &mut matches);
        let names: Vec<_> = matches.queues.iter().map(|(name, _)| name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "a group comes twice, or in another order");
        let plain = matches.plain.iter().map(|sub| (None, sub));
        let queues = matches.queues.iter();
        let members = queues.flat_map(|(name, members)| members.iter().map(|sub| (Some(name.to_vec()), sub)));
        plain.chain(members).map(|(queue, sub)| (queue, sub.id(), sub.weight())).collect()
    }

    /// What the list says.
    fn expected(&self, subject: &[u8]) -> Found {
        let mut expected = Found::new();
        for Live { sub, weight } in &self.live {
            let is_for = matches(sub.subject(), subject);
            assert_eq!(filter_matches(sub.subject(), subject), is_for, "{}", subject.escape_ascii());
            if is_for {
                expected.push((sub.queue().map(<[u8]>::to_vec), sub.id(), *weight));
            }
        }
        expected.sort_unstable();
        expected
    }

    /// What is remembered and passes for current is what would be found now.
    fn assert_nothing_old_is_current(&mut self) {
        let mut remembered = std::mem::take(&mut self.remembered);
        remembered.retain(|_, (stamp, _)| self.model.index.is_current(*stamp));
        for (subject, (_, found)) in &remembered {
            assert_eq!(*found, self.expected(subject), "{} is outdated", subject.escape_ascii());
        }
        self.remembered = remembered;
    }

    /// Asks for every short subject, and for one that each filter matches.
    fn assert_collects_all(&mut self) {
        let tokens = [&b"a"[..], b"b", b"c"];
        let mut subjects: Vec<Vec<u8>> = tokens.iter().map(|token| token.to_vec()).collect();
        for short in 0..3 + 9 {
            subjects.extend(tokens.map(|token| [&subjects[short][..], b".", token].concat()));
        }
        for live in &self.live {
            let tokens = live.sub.subject().split(|byte| *byte == b'.');
            let replaced: Vec<_> = tokens.map(|token| if token == b"*" { b"b" } else { token }).collect();
            subjects.push(replaced.join(&b'.'));
        }
        subjects.iter().for_each(|subject| self.assert_collects(subject));
    }

    fn assert_announced(&self) {
        let mut expected = Announced::new();
        for live in self.live.iter().filter(|live| live.sub.source() == Source::Client) {
            let queue = live.sub.queue().unwrap_or_default();
            let members = expected.entry((live.sub.subject().to_vec(), queue.to_vec())).or_default();
            *members = if queue.is_empty() { 1 } else { *members + 1 };
        }
        assert_eq!(self.model.announced, expected);
        assert!(self.model.heard.as_ref().is_none_or(|heard| *heard == expected));
        let mut all = Vec::new();
        self.model.index.for_each(&mut |sub| all.push(sub.id()));
        all.sort_unstable();
        let mut live: Vec<_> = self.live.iter().map(|live| live.sub.id()).collect();
        live.sort_unstable();
        assert_eq!(all, live);
    }
}

impl Model {
    /// Changes the index and lets all hear of it.
    fn change<R>(
        &mut self,
        change: impl FnOnce(&Index, &mut dyn FnMut(&[ConnectionId], Change<'_>)) -> R,
    ) -> R {
        let Model { index, announced, heard } = self;
        change(index, &mut |listeners, change| {
            assert_eq!(listeners.contains(&LISTENER), heard.is_some());
            hear(announced, change);
            if let Some(heard) = heard {
                hear(heard, change);
            }
        })
    }
}

fn hear(announced: &mut Announced, change: Change<'_>) {
    match key(change) {
        (key, Some(members)) => {
            let known = announced.insert(key, members);
            assert_ne!(known, Some(members), "said twice");
        }
        (key, None) => assert!(announced.remove(&key).is_some(), "was never said"),
    }
}

/// What a change is about, and how many members there are now; none if it is removed.
fn key(change: Change<'_>) -> ((Vec<u8>, Vec<u8>), Option<u32>) {
    match change {
        Change::Added { subject, queue: None } => ((subject.to_vec(), Vec::new()), Some(1)),
        Change::Added { subject, queue: Some((name, members)) } => {
            ((subject.to_vec(), name.to_vec()), Some(members))
        }
        Change::Removed { subject, queue } => ((subject.to_vec(), queue.unwrap_or_default().to_vec()), None),
    }
}

fn tokens(choices: &mut Choices<'_>, tokens: &[&'static [u8]]) -> Vec<u8> {
    let count = 1 + choices.below(5);
    let tokens: Vec<_> = (0..count).map(|_| choices.pick(tokens)).collect();
    tokens.join(&b'.')
}

/// A valid filter.
fn filter(choices: &mut Choices<'_>) -> Vec<u8> {
    let end = choices.below(4);
    let filter = tokens(choices, &[b"a", b"b", b"*", b"c", b"a*", b"\xff", b">a", b"**"]);
    match end {
        0 => b">".to_vec(),
        1 => [&filter[..], b".>"].concat(),
        _ => filter,
    }
}

/// Any subject, also such as nobody can subscribe to.
fn subject(choices: &mut Choices<'_>) -> Vec<u8> {
    tokens(choices, &[b"a", b"b", b"*", b"c", b"a*", b"\xff", b">a", b"**", b"", b">"])
}
