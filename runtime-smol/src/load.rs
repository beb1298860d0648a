//! How much a worker has to do, as others see it: those who give it connections, and those who watch that it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use onehop::Instant;
use onehop::driver::LongestTurn;

/// What one worker tells of itself. It alone writes the times, so nothing here waits for anything.
#[derive(Debug)]
pub(crate) struct Load {
    connections: AtomicUsize,
    /// When the turn began that it is in; [`WAITS`] between turns that it waits for.
    turn_began: AtomicU64,
    /// Since when `busy` is counted.
    window_began: AtomicU64,
    /// How long turns took since then.
    busy: AtomicU64,
    /// And in a window before that.
    busy_before: AtomicU64,
    longest_turn: LongestTurn,
    /// Somebody who watches says so.
    is_stuck: AtomicBool,
}

/// The place of one connection on a worker.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Load>);

impl Load {
    /// That of a worker which begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            turn_began: AtomicU64::new(WAITS),
            window_began: AtomicU64::new(now.as_nanos()),
            busy: AtomicU64::new(0),
            busy_before: AtomicU64::new(0),
            longest_turn: LongestTurn::default(),
            is_stuck: AtomicBool::new(false),
        }
    }

    /// A turn begins.
    pub(crate) fn handle_begun(&self, now: Instant) {
        self.turn_began.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// A turn is over, and the next begins.
    pub(crate) fn handle_turn(&self, began: Instant, now: Instant) {
        let turn = now.since(began);
        self.longest_turn.record(turn);
        let busy = self.busy.load(Ordering::Relaxed) + nanos(turn);
        let window = now.since(Instant::from_nanos(self.window_began.load(Ordering::Relaxed)));
        if window < WINDOW {
            self.busy.store(busy, Ordering::Relaxed);
        } else {
            // What was in a window of any length, as if it had been in one of the usual length.
            let share = busy as f64 / nanos(window) as f64;
            self.busy_before.store((share * nanos(WINDOW) as f64) as u64, Ordering::Relaxed);
            self.busy.store(0, Ordering::Relaxed);
            self.window_began.store(now.as_nanos(), Ordering::Relaxed);
        }
        self.handle_begun(now);
    }

    /// There is nothing to do until something happens.
    pub(crate) fn handle_idle(&self) {
        self.turn_began.store(WAITS, Ordering::Relaxed);
    }

    /// When the turn began that it is in, if it is in one.
    pub(crate) fn turn(&self) -> Option<Instant> {
        Some(self.turn_began.load(Ordering::Relaxed)).filter(|began| *began != WAITS).map(Instant::from_nanos)
    }

    /// How long one turn took at the most.
    pub(crate) fn longest_turn(&self) -> Duration {
        self.longest_turn.get()
    }

    /// Notes whether it goes on.
    pub(crate) fn set_stuck(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
    }

    /// Whether it does not go on.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// Takes a place for one more connection.
    pub(crate) fn take_seat(self: &Arc<Self>) -> Seat {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    /// How many tenths of the last window it was in a turn, the present one included.
    fn busy_tenths(&self, now: Instant) -> u64 {
        let window = now.since(Instant::from_nanos(self.window_began.load(Ordering::Relaxed)));
        let turn = self.turn().map_or(Duration::ZERO, |began| now.since(began));
        let before = self.busy_before.load(Ordering::Relaxed);
        let busy = self.busy.load(Ordering::Relaxed) + nanos(turn) + before;
        (10 * busy / nanos(WINDOW + window)).min(10)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The worker that a newcomer goes to: the one with the fewest connections, each of which counts for more where there is little
/// time left, up to [`BUSY_WEIGHT`] times. What connects now may be busy later, so that is no reason to give one worker all.
///
/// Among equals it goes to and fro from the first to the last: where clients come in pairs, of which always the same one is
/// busy, every second worker would have all of these otherwise.
pub(crate) fn lightest<'a>(loads: impl ExactSizeIterator<Item = &'a Load>, now: Instant) -> usize {
    let last = loads.len() - 1;
    let rank = |(number, load): (usize, &Load)| {
        let connections = load.connections.load(Ordering::Relaxed);
        let weight = 10 + (BUSY_WEIGHT - 1) * load.busy_tenths(now);
        let place = if connections.is_multiple_of(2) { number } else { last - number };
        (load.is_stuck(), (connections as u64 + 1) * weight, place, number)
    };
    loads.enumerate().map(rank).min().map_or(0, |(.., number)| number)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// No turn begins at this time.
const WAITS: u64 = u64::MAX;

/// How long what a worker did counts as what it does lately: so long in full, and half as much for as long again.
const WINDOW: Duration = Duration::from_millis(250);

/// So many connections of an idle worker weigh as much as one of a worker that never waits.
const BUSY_WEIGHT: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    /// Workers of which some never wait, and when they were looked at.
    fn workers(busy: &[bool]) -> (Vec<Arc<Load>>, Instant) {
        let loads: Vec<_> = busy.iter().map(|_| Arc::new(Load::new(START))).collect();
        let now = START + Duration::from_secs(3);
        for (load, _) in loads.iter().zip(busy).filter(|(_, busy)| **busy) {
            for second in 0..3 {
                load.handle_turn(
                    START + Duration::from_secs(second),
                    START + Duration::from_secs(second + 1),
                );
            }
        }
        (loads, now)
    }

    /// Which workers so many newcomers go to, one after another.
    fn assign(loads: &[Arc<Load>], now: Instant, newcomers: usize) -> (Vec<usize>, Vec<Seat>) {
        let mut seats = Vec::new();
        let next = |_| {
            let number = lightest(loads.iter().map(|load| &**load), now);
            seats.push(loads[number].take_seat());
            number
        };
        let numbers = (0..newcomers).map(next).collect();
        (numbers, seats)
    }

    #[test]
    fn newcomers_go_to_idle_workers_to_and_fro_so_that_of_pairs_not_all_of_one_side_meet() {
        let (loads, now) = workers(&[false; 3]);
        assert_eq!(assign(&loads, now, 9).0, [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn who_goes_makes_room_for_who_comes() {
        let (loads, now) = workers(&[false; 2]);
        let (_, mut seats) = assign(&loads, now, 8);
        seats.retain(|seat| !Arc::ptr_eq(&seat.0, &loads[1]));
        assert_eq!(assign(&loads, now, 5).0, [1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_busy_worker_gets_one_connection_for_each_eight_of_an_idle_one() {
        let (loads, now) = workers(&[true, false]);
        let (numbers, _) = assign(&loads, now, 900);
        assert_eq!(numbers.iter().filter(|number| **number == 0).count(), 100);
    }

    #[test]
    fn where_all_are_busy_all_get_the_same() {
        let (loads, now) = workers(&[true, true]);
        let (numbers, _) = assign(&loads, now, 10);
        assert_eq!(numbers.iter().filter(|number| **number == 0).count(), 5);
    }

    #[test]
    fn what_a_worker_did_is_forgotten_when_it_waits_and_what_it_does_counts_before_it_is_done() {
        let (loads, now) = workers(&[true]);
        assert_eq!(loads[0].busy_tenths(now), 10);
        loads[0].handle_idle();
        assert_eq!(loads[0].busy_tenths(now + WINDOW), 5);
        assert_eq!(loads[0].busy_tenths(now + 10 * WINDOW), 0);
        loads[0].handle_begun(now + 10 * WINDOW);
        assert_eq!(loads[0].busy_tenths(now + 100 * WINDOW), 9);
    }

    #[test]
    fn a_worker_that_does_not_go_on_gets_nobody_as_long_as_there_are_others() {
        let (loads, now) = workers(&[false, true]);
        loads[0].set_stuck(true);
        assert_eq!(assign(&loads, now, 3).0, [1, 1, 1]);
        loads[1].set_stuck(true);
        assert_eq!(assign(&loads, now, 1).0, [0]);
        loads.iter().for_each(|load| load.set_stuck(false));
        assert_eq!(assign(&loads, now, 1).0, [0]);
    }
}
