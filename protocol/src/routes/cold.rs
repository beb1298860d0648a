//! Servers that there was a route to once, and that have been out of reach for longer than others are remembered.
//!
//! When a whole cluster is apart for long, somebody has to know where the others were: where all forget each other, nobody
//! ever finds back. So of these the last few are never forgotten. All are tried together, so that an idle node wakes up once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::dial_index::Place;
use crate::config::RouteUrl;
use crate::time::Instant;

/// By the places where they were: who comes back is another server, at the same place.
#[derive(Debug, Default)]
pub(super) struct ColdPeers {
    peers: BTreeMap<Place, ColdPeer>,
    /// When they are tried next; none while there are none.
    next_at: Option<Instant>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColdPeer {
    /// Its id, when it was there last.
    pub(super) server: String,
    pub(super) url: RouteUrl,
    /// How long there was a route to it, the last time: who was there for longest is most likely to come back.
    pub(super) known_for: Duration,
}

impl ColdPeers {
    /// Keeps one in mind. If these are more than `most`, the one that was known for the shortest time is forgotten.
    pub(super) fn keep(&mut self, now: Instant, peer: ColdPeer, most: usize) {
        let place = Place::new(&peer.url);
        let before = self.peers.get(&place).map_or(Duration::ZERO, |known| known.known_for);
        let known_for = peer.known_for.max(before);
        self.peers.insert(place, ColdPeer { known_for, ..peer });
        if self.peers.len() > most {
            let least = self.peers.iter().min_by_key(|(_, peer)| peer.known_for);
            let least = least.map(|(place, _)| place.clone());
            least.map(|place| self.peers.remove(&place));
        }
        self.next_at.get_or_insert(now + COLD_PAUSE);
    }

    /// Forgets those at such places.
    pub(super) fn forget(&mut self, is_meant: impl Fn(&RouteUrl) -> bool) {
        self.peers.retain(|_, peer| !is_meant(&peer.url));
    }

    /// When [`ColdPeers::take_due`] has something.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Those that are to be tried now, if it is time. Who is back, or whose place another has taken, is cold no more. `jitter`
    /// is a random moment, so that two do not dial each other at the same time for ever.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        jitter: Duration,
        is_back: impl Fn(&str) -> bool,
        taken: &BTreeSet<Place>,
    ) -> Vec<ColdPeer> {
        if self.next_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.peers.retain(|place, peer| !is_back(&peer.server) && !taken.contains(place));
        self.next_at = (!self.peers.is_empty()).then(|| now + COLD_PAUSE + jitter);
        self.peers.values().cloned().collect()
    }

    /// Where they are.
    #[cfg(feature = "sim")]
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.peers.keys()
    }

    /// How many there are.
    #[cfg(any(feature = "sim", test))]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

/// How long after one attempt to reach them the next is made.
pub(crate) const COLD_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    fn peer(number: u64, known_for: u64) -> ColdPeer {
        let url: RouteUrl = format!("nats-route://h{number}:6222").parse().expect("an address");
        ColdPeer { server: number.to_string(), url, known_for: Duration::from_secs(known_for) }
    }

    fn due(cold: &mut ColdPeers, now: Instant) -> Vec<String> {
        let due = cold.take_due(now, Duration::ZERO, |_| false, &BTreeSet::new());
        due.into_iter().map(|peer| peer.server).collect()
    }

    #[test]
    fn cold_peers_are_tried_together_once_in_ten_minutes_for_ever() {
        let mut cold = ColdPeers::default();
        assert_eq!(cold.next_at(), None);
        cold.keep(START, peer(1, 1), 8);
        cold.keep(START + COLD_PAUSE / 2, peer(2, 1), 8);
        for round in 1..1000 {
            let at = cold.next_at().expect("they are tried again");
            assert_eq!(at, START + COLD_PAUSE * round);
            let just_before = START + (COLD_PAUSE * round - Duration::from_micros(1));
            assert_eq!(due(&mut cold, just_before), [""; 0]);
            assert_eq!(due(&mut cold, at), ["1", "2"]);
        }
    }

    #[test]
    fn of_too_many_cold_peers_those_are_kept_that_were_known_for_longest() {
        let mut cold = ColdPeers::default();
        let known_for = [50, 10, 40, 30, 20];
        for (number, known_for) in known_for.into_iter().enumerate() {
            cold.keep(START, peer(number as u64, known_for), 3);
        }
        assert_eq!(due(&mut cold, START + COLD_PAUSE), ["0", "2", "3"]);
        cold.keep(START, peer(9, 35), 3);
        cold.keep(START, peer(2, 1), 3);
        assert_eq!(due(&mut cold, START + COLD_PAUSE * 2), ["0", "2", "9"], "what was known stays known");
    }

    #[test]
    fn a_cold_peer_that_is_back_or_whose_place_is_taken_or_that_is_configured_no_more_is_cold_no_longer() {
        let mut cold = ColdPeers::default();
        (0..5).for_each(|number| cold.keep(START, peer(number, 1), 8));
        cold.forget(|url| url.host == "h4");
        let taken = BTreeSet::from([Place::new(&peer(1, 0).url)]);
        let due = cold.take_due(START + COLD_PAUSE, Duration::ZERO, |server| server == "0", &taken);
        assert_eq!(due.iter().map(|peer| &*peer.server).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(cold.len(), 2);
        let all =
            |cold: &mut ColdPeers| cold.take_due(START + COLD_PAUSE * 2, Duration::ZERO, |_| true, &taken);
        assert_eq!((all(&mut cold), cold.next_at()), (Vec::new(), None));
    }
}
