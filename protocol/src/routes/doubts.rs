//! Places where somebody said that a server is, and nobody was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::dial_index::Place;
use super::pace::doubled;
use crate::time::Instant;

/// Who tells of such a place again is not believed for a while, and for longer after each further attempt in vain: to
/// repeat a lie costs nothing, and must not make this node dial without end.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    places: BTreeMap<Place, Doubt>,
    /// The same, by how long nobody is believed.
    by_end: BTreeSet<(Instant, Place)>,
}

#[derive(Clone, Debug)]
struct Doubt {
    /// Who was said to be there last.
    server: String,
    /// How often it was dialed in vain.
    failures: u32,
    until: Instant,
}

impl Doubts {
    /// How often a place was dialed in vain; none while nobody is believed who tells of it.
    pub(super) fn failures(&self, now: Instant, place: &Place) -> Option<u32> {
        let doubt = self.places.get(place);
        doubt.map_or(Some(0), |doubt| (doubt.until <= now).then_some(doubt.failures))
    }

    /// The last place where a server is said to be and was dialed in vain: it may be there after all, if it is known to be
    /// somewhere.
    pub(super) fn place_of(&self, server: &str) -> Option<&Place> {
        let said = self.places.iter().filter(|(_, doubt)| doubt.server == server);
        said.max_by_key(|(_, doubt)| doubt.until).map(|(place, _)| place)
    }

    /// Notes that a place where a server is said to be was dialed in vain so often, and is not to be dialed any more.
    pub(super) fn note(&mut self, now: Instant, place: Place, server: String, failures: u32) {
        // Each kind of connection was tried on its own.
        let failures = self.places.get(&place).map_or(failures, |known| known.failures.max(failures));
        let until = now + doubled(failures, LONGEST_DOUBT);
        self.forget(&place);
        if self.places.len() >= MAX_DOUBTS
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.places.remove(&first);
        }
        self.by_end.insert((until, place.clone()));
        self.places.insert(place, Doubt { server, failures, until });
    }

    /// Forgets a place, since there is somebody.
    pub(super) fn forget(&mut self, place: &Place) {
        if let Some(Doubt { until, .. }) = self.places.remove(place) {
            self.by_end.remove(&(until, place.clone()));
        }
    }
}

/// So many places are kept in mind. More than are dialed in vain in ten minutes would take a member that lies without end;
/// then those are forgotten first that would be believed first.
const MAX_DOUBTS: usize = 1024;

/// Nobody is doubted for longer.
const LONGEST_DOUBT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    fn place(number: usize) -> Place {
        Place::new(&format!("nats-route://h{number}:6222").parse().expect("an address"))
    }

    fn server(number: usize) -> String {
        number.to_string()
    }

    #[test]
    fn where_a_server_is_said_to_be_is_known_until_another_is_found_there() {
        let mut doubts = Doubts::default();
        doubts.note(START, place(1), server(1), 5);
        doubts.note(START, place(3), server(3), 5);
        doubts.note(START + Duration::from_secs(1), place(2), server(1), 5);
        assert_eq!(doubts.place_of(&server(1)), Some(&place(2)), "the last counts");
        doubts.forget(&place(2));
        assert_eq!(doubts.place_of(&server(1)), Some(&place(1)));
        assert_eq!(doubts.place_of(&server(2)), None);
    }

    #[test]
    fn a_place_that_was_dialed_in_vain_is_doubted_for_longer_and_longer_until_somebody_is_there() {
        let mut doubts = Doubts::default();
        assert_eq!(doubts.failures(START, &place(1)), Some(0));
        let mut now = START;
        for (failures, seconds) in [(5, 16), (6, 32), (7, 64), (20, 600), (u32::MAX, 600)] {
            doubts.note(now, place(1), server(1), failures);
            let end = now + Duration::from_secs(seconds);
            assert_eq!(doubts.failures(now, &place(1)), None);
            assert_eq!(doubts.failures(end, &place(1)), Some(failures), "{seconds}");
            now = end;
        }
        doubts.note(now, place(1), server(1), 7);
        doubts.forget(&place(1));
        assert_eq!(doubts.failures(now, &place(1)), Some(0));
    }

    #[test]
    fn no_more_places_are_kept_in_mind_than_the_limit_allows() {
        let mut doubts = Doubts::default();
        for number in 0..=MAX_DOUBTS {
            doubts.note(START + Duration::from_millis(number as u64), place(number), server(number), 5);
        }
        assert_eq!((doubts.places.len(), doubts.by_end.len()), (MAX_DOUBTS, MAX_DOUBTS));
        assert_eq!(doubts.failures(START, &place(0)), Some(0), "it was the first to be believed again");
        assert_eq!(doubts.failures(START, &place(MAX_DOUBTS)), None);
    }
}
