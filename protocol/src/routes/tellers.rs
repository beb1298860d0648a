//! Dials of servers that were only heard of, by who told of them.
//!
//! Each teller has a queue of its own and they take turns, so that nobody's many words delay another's few.

use std::collections::{BTreeMap, BTreeSet};

use super::dial::{Attempt, DialId};
use crate::time::Instant;

/// What there is to be dialed on the word of each teller.
#[derive(Debug, Default)]
pub(super) struct Tellers {
    told: BTreeMap<String, Told>,
    /// When the first dial of each teller is due that has one that waits.
    by_first: BTreeSet<(Instant, String)>,
    by_count: BTreeSet<(usize, String)>,
    count: usize,
    under_way: usize,
    /// Whose turn was the last.
    served: String,
}

/// Dials on one teller's word.
#[derive(Debug, Default)]
struct Told {
    waiting: BTreeSet<(Instant, DialId)>,
    /// How many there are, with those that are under way.
    count: usize,
}

impl Tellers {
    pub(super) fn add(&mut self, teller: &str, id: DialId, attempt: Attempt) {
        self.count += 1;
        self.under_way += usize::from(attempt == Attempt::UnderWay);
        self.change(teller, |told| {
            told.count += 1;
            if let Attempt::Waiting(at) = attempt {
                told.waiting.insert((at, id));
            }
        });
    }

    pub(super) fn remove(&mut self, teller: &str, id: DialId, attempt: Attempt) {
        self.count -= 1;
        self.under_way -= usize::from(attempt == Attempt::UnderWay);
        self.change(teller, |told| {
            told.count -= 1;
            if let Attempt::Waiting(at) = attempt {
                told.waiting.remove(&(at, id));
            }
        });
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The dial that is next, of the teller whose turn it is.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<DialId> {
        let due = || self.by_first.iter().take_while(|(at, _)| *at <= now).map(|(_, teller)| teller);
        let next = due().filter(|teller| **teller > self.served).min().or_else(|| due().min())?.clone();
        let (_, id) = *self.told.get(&next)?.waiting.first()?;
        self.served = next;
        Some(id)
    }

    /// When the next dial is due; none while so many are under way that none may begin.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.by_first.first().filter(|_| self.may_begin()).map(|(at, _)| *at)
    }

    /// Whether one more may be under way.
    pub(super) fn may_begin(&self) -> bool {
        self.under_way < MAX_HEARSAY_UNDER_WAY
    }

    /// Whether there is room for one more on this teller's word; and which one gives way to it if it is to: the last of the
    /// teller that has most.
    pub(super) fn room_for(&self, teller: &str) -> Result<Option<DialId>, NoRoom> {
        let count = self.told.get(teller).map_or(0, |told| told.count);
        if count >= MAX_HEARSAY_PER_TELLER {
            return Err(NoRoom);
        }
        if self.count < MAX_HEARSAY {
            return Ok(None);
        }
        let (most, fullest) = self.by_count.last().ok_or(NoRoom)?;
        let last = self.told.get(fullest).and_then(|told| told.waiting.last());
        last.filter(|_| *most > count + 1).map(|(_, id)| Some(*id)).ok_or(NoRoom)
    }

    /// Changes what there is on one teller's word, and everything that follows from it.
    fn change(&mut self, teller: &str, change: impl FnOnce(&mut Told)) {
        let (name, mut told) =
            self.told.remove_entry(teller).unwrap_or_else(|| (teller.to_owned(), Told::default()));
        if let Some((at, _)) = told.waiting.first() {
            self.by_first.remove(&(*at, name.clone()));
        }
        self.by_count.remove(&(told.count, name.clone()));
        change(&mut told);
        if let Some((at, _)) = told.waiting.first() {
            self.by_first.insert((*at, name.clone()));
        }
        if told.count > 0 {
            self.by_count.insert((told.count, name.clone()));
            self.told.insert(name, told);
        }
    }
}

/// There are too many dials on the word of somebody, or of all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// So many dials at most are on the word of one teller: a thousand servers, each by its pool and for the system account.
pub(super) const MAX_HEARSAY_PER_TELLER: usize = 2048;

/// So many dials at most are on anybody's word. Who tells of few has room among them: who tells of most makes it.
pub(crate) const MAX_HEARSAY: usize = 4096;

/// So many of them are under way at once, each for ten seconds where somebody takes the connection and stays silent.
const MAX_HEARSAY_UNDER_WAY: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    fn told(tellers: &mut Tellers, teller: &str, ids: std::ops::Range<u64>) {
        ids.for_each(|id| tellers.add(teller, DialId(id), Attempt::Waiting(START)));
    }

    fn begin_next(tellers: &mut Tellers, teller_of: impl Fn(u64) -> &'static str) -> u64 {
        let id = tellers.next_due(START).expect("one is due");
        tellers.remove(teller_of(id.0), id, Attempt::Waiting(START));
        tellers.add(teller_of(id.0), id, Attempt::UnderWay);
        id.0
    }

    #[test]
    fn tellers_take_turns_however_much_they_tell() {
        let mut tellers = Tellers::default();
        told(&mut tellers, "liar", 0..1000);
        told(&mut tellers, "b", 2000..2002);
        told(&mut tellers, "c", 3000..3002);
        let teller_of = |id| ["liar", "liar", "b", "c"][id as usize / 1000];
        let order: Vec<_> = (0..8).map(|_| begin_next(&mut tellers, teller_of)).collect();
        assert_eq!(order, [2000, 3000, 0, 2001, 3001, 1, 2, 3]);
    }

    #[test]
    fn only_so_many_are_under_way_on_anybodys_word() {
        let mut tellers = Tellers::default();
        told(&mut tellers, "liar", 0..1000);
        let begun = (0..).take_while(|_| tellers.may_begin() && begin_next(&mut tellers, |_| "liar") < 1000);
        assert_eq!(begun.count(), MAX_HEARSAY_UNDER_WAY);
        assert_eq!(tellers.next_at(), None);
        tellers.remove("liar", DialId(0), Attempt::UnderWay);
        assert_eq!(tellers.next_at(), Some(START));
    }

    #[test]
    fn who_told_most_makes_room_for_who_told_less() {
        let mut tellers = Tellers::default();
        told(&mut tellers, "a", 0..2048);
        assert_eq!(tellers.room_for("a"), Err(NoRoom), "one teller has its limit");
        assert_eq!(tellers.room_for("b"), Ok(None));
        told(&mut tellers, "b", 3000..3000 + 2047);
        told(&mut tellers, "c", 6000..6001);
        assert_eq!(tellers.room_for("c"), Ok(Some(DialId(2047))), "the last of the teller that told most");
        tellers.remove("a", DialId(2047), Attempt::Waiting(START));
        told(&mut tellers, "c", 6001..6002);
        assert_eq!((tellers.count(), tellers.room_for("b")), (MAX_HEARSAY, Err(NoRoom)));
    }
}
