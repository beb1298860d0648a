//! Which nats-server peers are told of each other once more, and when.

use super::member::Member;
use super::rule::line;
use super::said::Output;
use crate::config::Healing;
use crate::time::Instant;
use crate::wire::{GossipMode, Info};

/// Goes through all pairs of nats-server peers, round after round.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The next pair of this round.
    pub(super) next: usize,
    /// Of each pair the second is told in this round, and the first in the next.
    pub(super) tells_second: bool,
    /// When this round began.
    round_began: Instant,
}

impl Pairs {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: 0, tells_second: true, round_began: now }
    }

    /// The pairs that are due, as who is told and of whom, where so many accounts are pinned beside that of the system.
    pub(super) fn take_due<'a>(
        &mut self,
        now: Instant,
        healing: &Healing,
        pinned: usize,
        members: impl Iterator<Item = &'a Member>,
    ) -> Vec<(&'a Member, &'a Member)> {
        // A pair that is new has been told of each other just now.
        let is_due = |member: &&Member| {
            !member.is_onehop()
                && member.carrier.is_some()
                && now.since(member.since) >= healing.regossip_interval
        };
        let members: Vec<_> = members.filter(is_due).collect();
        let pairs = members.len() * members.len().saturating_sub(1) / 2;
        if self.next >= pairs {
            if now.since(self.round_began) < healing.regossip_interval {
                return Vec::new();
            }
            *self = Self { next: 0, tells_second: !self.tells_second, round_began: now };
        }
        let at_once = pairs_at_once(healing, pinned);
        let all = members
            .iter()
            .enumerate()
            .flat_map(|(at, first)| members[at + 1..].iter().map(move |second| (*first, *second)));
        // Only one of the two, and the other in the next round: both would dial at once, and drop each other's connection.
        let told = |(first, second)| if self.tells_second { (second, first) } else { (first, second) };
        let due = all.skip(self.next).take(at_once).map(told).collect();
        self.next = pairs.min(self.next + at_once);
        due
    }
}

fn pairs_at_once(healing: &Healing, pinned: usize) -> usize {
    let lines = f64::from(healing.regossip_lines_per_second) * healing.interval.as_secs_f64();
    (lines.ceil() as usize / (LINES_PER_PAIR + pinned)).max(1)
}

/// The lines that tell a nats-server peer of another once more: those that have a route ignore it, and the others dial
/// (checked with 2.15.1 and 2.10.26). Whether these two pool is between them: this node may not.
pub(super) fn tell_again<'a>(
    told: &'a Member,
    newcomer: &'a Member,
    system_account: &'a str,
) -> impl Iterator<Item = Output> + 'a {
    let line_of = move |info: &Info| line(info, &newcomer.info.ip, GossipMode::Disabled);
    let of_pool = || Some(Output::Tell(told.carrier?, line_of(&newcomer.info)?));
    let both_pool = told.info.route_pool_size > 0 && newcomer.info.route_pool_size > 0;
    // Of an account that only this node is known to have nobody is told (wire.md 13).
    let both_have =
        move |account: &&String| newcomer.dedicated.contains_key(*account) && *account != system_account;
    let shared = told.dedicated.keys().filter(both_have).map(String::as_str);
    let of_account = move |account: &str| {
        let over = told.dedicated(account).or(told.carrier)?;
        let info = Info { route_account: account.to_owned(), ..newcomer.info.clone() };
        Some(Output::Tell(over, line_of(&info)?))
    };
    let accounts = both_pool.then(|| [system_account].into_iter().chain(shared));
    of_pool().into_iter().chain(accounts.into_iter().flatten().filter_map(of_account))
}

/// A pair of peers takes so many lines: one for the pool and one for the system account. For each other pinned account it
/// may be one more.
const LINES_PER_PAIR: usize = 2;
