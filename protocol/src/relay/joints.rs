//! Pairs of members that know nothing of circuits, and have no route to each other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::rank;
use crate::config::Relay;
use crate::time::Instant;

/// Which pairs are to be joined by this node, by what their members answered when they were asked for their routes.
#[derive(Debug)]
pub(crate) struct Joints {
    own_id: String,
    pairs: BTreeMap<Pair, Lacking>,
    /// Pairs that are joined, of which some connections ended alone.
    broken: BTreeMap<Pair, Tries>,
}

/// Two members, in the order of their ids.
pub(crate) type Pair = [String; 2];

/// A pair of which one has said that it lacks the other.
#[derive(Debug)]
struct Lacking {
    /// When each of the two said so last, if it did.
    said_at: [Option<Instant>; 2],
    /// When one of them was asked last to say it again.
    asked_at: Option<Instant>,
    tries: Tries,
}

/// When it is tried next, and how often it was.
#[derive(Debug)]
struct Tries {
    due: Instant,
    count: u32,
}

impl Joints {
    pub(crate) fn new(own_id: String) -> Self {
        Self { own_id, pairs: BTreeMap::new(), broken: BTreeMap::new() }
    }

    /// Hears which of the `others`, all of which this node has routes to as well as to the teller, that has a route to. There may be
    /// more nodes like this one that could join them: each waits for those that come before it, by a hash.
    pub(crate) fn handle_answer<'a>(
        &mut self,
        now: Instant,
        teller: &str,
        others: impl Iterator<Item = (&'a str, bool)>,
        relays: &[&str],
        relay: &Relay,
    ) {
        for (other, has) in others {
            let pair = pair([teller, other]).map(str::to_owned);
            if has {
                self.pairs.remove(&pair);
                continue;
            }
            if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&pair) {
                continue;
            }
            let ends = [pair[0].as_str(), pair[1].as_str()];
            let own = rank(&self.own_id, ends);
            let before = relays.iter().filter(|other| rank(other, ends) < own).count().min(MOST_BEFORE);
            let due = now + relay.after + TURN * before as u32;
            let number = usize::from(pair[1] == teller);
            let new = || Lacking { said_at: [None; 2], asked_at: None, tries: Tries { due, count: 0 } };
            self.pairs.entry(pair).or_insert_with(new).said_at[number] = Some(now);
        }
    }

    /// Forgets a member that is gone.
    pub(crate) fn forget(&mut self, member: &str) {
        let is_without = |pair: &Pair| pair.iter().all(|id| id != member);
        self.pairs.retain(|pair, _| is_without(pair));
        self.broken.retain(|pair, _| is_without(pair));
    }

    /// A member that is to be asked out of turn whether it still lacks another, before the two are joined.
    pub(crate) fn take_doubted(&mut self, now: Instant) -> Option<String> {
        let is_free = |it: &Lacking| it.asked_at.is_none_or(|at| now.since(at) >= ANSWERS_WITHIN);
        let mut due = self.pairs.iter_mut().filter(|(_, it)| it.tries.due <= now && is_free(it));
        due.find_map(|(pair, lacking)| {
            let number = lacking.said_at.iter().position(|at| at.is_none_or(|at| at < lacking.tries.due))?;
            lacking.asked_at = Some(now);
            Some(pair[number].clone())
        })
    }

    /// The pairs that are to be joined now: both have said, since it was time to, that they lack each other. To be called about once a
    /// second.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Pair> {
        self.pairs.retain(|_, it| it.said_at.iter().flatten().any(|at| now.since(*at) < BELIEVED_FOR));
        let mut due = Vec::new();
        for (pair, lacking) in &mut self.pairs {
            let is_sure = |at: &Option<Instant>| at.is_some_and(|at| at >= lacking.tries.due);
            if lacking.tries.due <= now && lacking.said_at.iter().all(is_sure) {
                lacking.tries.fail(now);
                lacking.asked_at = None;
                due.push(pair.clone());
            }
        }
        due
    }

    /// Whether a pair that is joined, and lacks some connections, is to get them now.
    pub(crate) fn is_to_be_repaired(&mut self, now: Instant, pair: &Pair) -> bool {
        let first = || Tries { due: now + FIRST_PAUSE, count: 0 };
        let tries = self.broken.entry(pair.clone()).or_insert_with(first);
        let is_due = tries.due <= now;
        if is_due {
            tries.fail(now);
        }
        is_due
    }

    /// These pairs are joined, by some of their connections at least: what is known of others that were is forgotten.
    pub(crate) fn handle_joined(&mut self, is_joined: impl Fn(&Pair) -> bool) {
        self.broken.retain(|pair, _| is_joined(pair));
    }
}

impl Tries {
    fn fail(&mut self, now: Instant) {
        self.due = now + FIRST_PAUSE.saturating_mul(1 << self.count.min(5)).min(LONGEST_PAUSE);
        self.count += 1;
    }
}

/// Two members, whoever of them was asked.
pub(super) fn pair(mut members: [&str; 2]) -> [&str; 2] {
    members.sort_unstable();
    members
}

/// So many pairs are kept in mind.
pub(super) const MAX_PAIRS: usize = 1024;

/// So long each node that could join a pair waits for the one before it, of which so many count.
const TURN: Duration = Duration::from_secs(30);
const MOST_BEFORE: usize = 4;

/// So long an answer is waited for, until the member is asked again.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What was said is forgotten after so long.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// The first and the longest pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
