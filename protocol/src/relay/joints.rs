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
    pairs: BTreeMap<Pair, State>,
}

/// Two members, in the order of their ids.
pub(crate) type Pair = [String; 2];

#[derive(Debug)]
struct State {
    /// When it was said last that one of the two lacks the other.
    said_at: Instant,
    /// Not before are they joined.
    due: Instant,
    /// How often that was tried.
    tries: u32,
}

impl Joints {
    pub(crate) fn new(own_id: String) -> Self {
        Self { own_id, pairs: BTreeMap::new() }
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
            let pair = pair([teller, other]);
            if has {
                self.pairs.remove(&pair);
                continue;
            }
            if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&pair) {
                continue;
            }
            let ends = [pair[0].as_str(), pair[1].as_str()];
            let own = rank(&self.own_id, ends);
            let before = relays.iter().filter(|other| rank(other, ends) < own).count();
            let due = now + relay.after + TURN.saturating_mul(u32::try_from(before).unwrap_or(u32::MAX));
            let state = self.pairs.entry(pair).or_insert(State { said_at: now, due, tries: 0 });
            state.said_at = now;
        }
    }

    /// Forgets a member that is gone.
    pub(crate) fn forget(&mut self, member: &str) {
        self.pairs.retain(|pair, _| pair.iter().all(|id| id != member));
    }

    /// The pairs that are to be joined now. To be called about once a second.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Pair> {
        self.pairs.retain(|_, state| now.since(state.said_at) < BELIEVED_FOR);
        let mut due = Vec::new();
        for (pair, state) in self.pairs.iter_mut().filter(|(_, state)| state.due <= now) {
            state.due = now + FIRST_PAUSE.saturating_mul(1 << state.tries.min(5)).min(LONGEST_PAUSE);
            state.tries += 1;
            due.push(pair.clone());
        }
        due
    }
}

/// Two members, whoever of them was asked.
pub(super) fn pair(mut members: [&str; 2]) -> Pair {
    members.sort_unstable();
    members.map(str::to_owned)
}

/// So many pairs are kept in mind.
pub(super) const MAX_PAIRS: usize = 1024;

/// So long each node that could join a pair waits for the one before it.
const TURN: Duration = Duration::from_secs(30);

/// What was said holds for so long. Members are asked again before that, one after the other.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// The first and the longest pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
