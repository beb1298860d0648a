//! Who may have a connection of monitoring.

use std::collections::BTreeMap;

use crate::time::Instant;

/// The open connections, [`MAX_CONNECTIONS`] at most, each with what a runtime ends it by.
///
/// When all seats are taken, the longest idle connection gives way to the next: half requests and answers that nobody
/// reads keep nobody from asking whether the server is well.
#[derive(Debug)]
pub struct Seats<T> {
    taken: BTreeMap<Seat, Taken<T>>,
    next: u64,
}

/// One of the seats; none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(u64);

#[derive(Debug)]
struct Taken<T> {
    occupant: T,
    /// When the client last sent something or took something.
    last_activity: Instant,
}

impl<T> Default for Seats<T> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), next: 0 }
    }
}

impl<T> Seats<T> {
    /// Takes a seat. If there was none, the returned connection has lost its own, and is to be closed.
    pub fn take(&mut self, now: Instant, occupant: impl FnOnce(Seat) -> T) -> (Seat, Option<T>) {
        let idlest = (self.taken.len() >= MAX_CONNECTIONS).then(|| self.longest_idle()).flatten();
        let loser = idlest.and_then(|idlest| self.leave(idlest));
        let seat = Seat(self.next);
        self.next += 1;
        self.taken.insert(seat, Taken { occupant: occupant(seat), last_activity: now });
        (seat, loser)
    }

    /// The client has sent something, or taken something.
    pub fn handle_activity(&mut self, now: Instant, seat: Seat) {
        if let Some(taken) = self.taken.get_mut(&seat) {
            taken.last_activity = now;
        }
    }

    /// Gives a seat back, if it was not lost before.
    pub fn leave(&mut self, seat: Seat) -> Option<T> {
        self.taken.remove(&seat).map(|taken| taken.occupant)
    }

    /// Whether a connection still has its seat.
    pub fn has(&self, seat: Seat) -> bool {
        self.taken.contains_key(&seat)
    }

    /// Takes all seats back.
    pub fn leave_all(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.taken).into_values().map(|taken| taken.occupant)
    }

    fn longest_idle(&self) -> Option<Seat> {
        let idlest = self.taken.iter().min_by_key(|(seat, taken)| (taken.last_activity, **seat));
        idlest.map(|(seat, _)| *seat)
    }
}

/// With more connections than this, the longest idle one is closed.
pub const MAX_CONNECTIONS: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_idle_connection_gives_way_when_all_seats_are_taken() {
        let mut seats = Seats::default();
        let taken: Vec<_> = (0..MAX_CONNECTIONS as u64)
            .map(|second| {
                let (seat, loser) = seats.take(at(second), |_| second);
                assert_eq!(loser, None);
                seat
            })
            .collect();
        seats.handle_activity(at(300), taken[0]);
        assert_eq!(seats.take(at(301), |_| 1000).1, Some(1));
        assert!(seats.has(taken[0]) && !seats.has(taken[1]));
        assert_eq!((seats.leave(taken[1]), seats.leave(taken[2])), (None, Some(2)), "one seat is free again");
        assert_eq!(seats.take(at(302), |_| 1001).1, None);
        assert_eq!(seats.take(at(302), |_| 1002).1, Some(3));
        assert_eq!((seats.leave_all().count(), seats.leave_all().count()), (MAX_CONNECTIONS, 0));
        assert!(!seats.has(taken[0]));
    }

    #[test]
    fn of_those_that_are_idle_since_the_same_moment_the_first_gives_way() {
        let mut seats = Seats::default();
        let losers: Vec<_> =
            (0..MAX_CONNECTIONS + 3).filter_map(|number| seats.take(at(0), |_| number).1).collect();
        assert_eq!(losers, [0, 1, 2]);
    }
}
