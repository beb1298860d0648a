//! The interest index agrees with a list of subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use onehop::ConnectionId;
use onehop::interest::{Change, Index, Matches, Origin, Subscription, SubscriptionId};
use onehop::wire::subject::filter_matches;

use crate::Choices;

/// A program of changes of the index, and of subjects to look up.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(u64::from(choices.byte()));
    while !choices.is_empty() {
        world.step(&mut choices);
    }
    world.assert_announced();
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
}

/// The one who listens.
const LISTENER: ConnectionId = ConnectionId::new(9, 9);

impl World {
    fn new(seed: u64) -> Self {
        let model = Model { index: Index::new(seed), announced: Announced::new(), heard: None };
        World { model, live: Vec::new(), gone: Vec::new(), next_id: 1 }
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
        let origin = choices.pick(&[Origin::Client, Origin::Client, Origin::Route, Origin::RouteLeaf]);
        let connection = ConnectionId::new(u32::from(choices.byte() & 3), 0);
        let id = SubscriptionId(self.next_id);
        self.next_id += 1;
        let sub = Arc::new(Subscription::new(id, connection, origin, &filter, queue, b"1"));
        self.live.push(Live { sub: sub.clone(), weight: 1 });
        self.model.change(|index, hear| index.insert(sub, hear));
    }

    /// Only that of other servers' queue members is ever set.
    fn set_weight(&mut self, at: usize, weight: u32) {
        let Live { sub, weight: known } = &mut self.live[at];
        if sub.origin() == Origin::Client || sub.queue().is_none() {
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
        self.model.change(|index, hear| index.remove_all(gone, hear));
    }

    fn listen(&mut self, on: bool) {
        let Model { index, heard, announced } = &mut self.model;
        if !on {
            index.unlisten(LISTENER);
            *heard = None;
        } else if heard.is_none() {
            let mut all = Announced::new();
            index.listen(LISTENER, &mut |change| hear(&mut all, change));
            assert_eq!(all, *announced);
            *heard = Some(all);
        }
    }

    fn assert_collects(&self, subject: &[u8]) {
        let index = &self.model.index;
        let stamp = index.stamp(subject);
        let mut matches = Matches::default();
        index.collect(subject, &mut matches);
        assert!(index.is_current(stamp), "asking changes nothing");

        let mut expected: Vec<_> =
            self.live.iter().filter(|live| filter_matches(live.sub.subject(), subject)).collect();
        expected.sort_by_key(|live| (live.sub.queue(), live.sub.id()));
        let expected = expected.iter().map(|live| (live.sub.queue(), live.sub.id(), live.weight));
        let plain = matches.plain.iter().map(|sub| (None, sub));
        let queues = matches.queues.iter();
        let members = queues.flat_map(|(name, members)| members.iter().map(|sub| (Some(&**name), sub)));
        let found = plain.chain(members).map(|(queue, sub)| (queue, sub.id(), sub.weight()));
        assert!(expected.eq(found), "{} gets other subscriptions", subject.escape_ascii());
    }

    fn assert_announced(&self) {
        let mut expected = Announced::new();
        for live in self.live.iter().filter(|live| live.sub.origin() == Origin::Client) {
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
    let key = |subject: &[u8], queue: Option<&[u8]>| (subject.to_vec(), queue.unwrap_or_default().to_vec());
    match change {
        Change::Added { subject, queue } => {
            let members = queue.map_or(1, |(_, members)| members);
            let known = announced.insert(key(subject, queue.map(|(name, _)| name)), members);
            assert_ne!(known, Some(members), "said twice");
        }
        Change::Removed { subject, queue } => {
            assert!(announced.remove(&key(subject, queue)).is_some(), "was never said");
        }
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
