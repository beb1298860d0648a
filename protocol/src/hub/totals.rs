//! Counters of the whole node.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Kind;
use super::requests::Requests;
use crate::accounts::Traffic;

/// Counters of the whole node since its start.
#[derive(Debug)]
pub struct Totals {
    /// Clients accepted.
    pub connections: AtomicU64,
    /// Clients closed because they read too slowly.
    pub slow_clients: AtomicU64,
    /// Routes closed because they read too slowly.
    pub slow_routes: AtomicU64,
    /// Clients closed because they did not answer.
    pub stale_clients: AtomicU64,
    /// Routes closed because they did not answer.
    pub stale_routes: AtomicU64,
    /// How often a producer was made to wait for a slow consumer.
    pub stalls: AtomicU64,
    /// How often each page of monitoring was asked for.
    pub(crate) requests: Requests,
    lanes: Box<[Counters]>,
    next_lane: AtomicUsize,
}

/// Which counters a thread counts with. Each has its own, as long as there are no more than [`LANES`]: a counter that all
/// publishers write would go from core to core with each of their batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane(usize);

/// What one thread counts, where no other thread's counters are near: processors fetch cache lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    clients: Traffic,
    routes: Traffic,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            slow_clients: AtomicU64::new(0),
            slow_routes: AtomicU64::new(0),
            stale_clients: AtomicU64::new(0),
            stale_routes: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            requests: Requests::default(),
            lanes: (0..LANES).map(|_| Counters::default()).collect(),
            next_lane: AtomicUsize::new(0),
        }
    }
}

impl Totals {
    /// Messages and payload bytes of all connections of a kind, open or not, as they are counted at this moment.
    pub fn traffic(&self, kind: Kind) -> Traffic {
        let sum = Traffic::default();
        self.lanes.iter().for_each(|counters| sum.absorb(counters.of(kind)));
        sum
    }

    /// Counters for one more thread.
    pub fn take_lane(&self) -> Lane {
        Lane(self.next_lane.fetch_add(1, Ordering::Relaxed) % LANES)
    }

    /// What a thread counts of connections of a kind.
    pub(super) fn on(&self, lane: Lane, kind: Kind) -> &Traffic {
        self.lanes[lane.0].of(kind)
    }

    /// What a counter says now.
    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl Counters {
    fn of(&self, kind: Kind) -> &Traffic {
        match kind {
            Kind::Client | Kind::Upgrading => &self.clients,
            Kind::Route => &self.routes,
        }
    }
}

/// So many threads count apart from each other, in 8 KiB.
pub const LANES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_apart_and_are_read_together() {
        let totals = Totals::default();
        let lanes = [totals.take_lane(), totals.take_lane()];
        assert_ne!(lanes[0], lanes[1]);
        let places = lanes.map(|lane| std::ptr::from_ref(totals.on(lane, Kind::Client)) as usize);
        assert!(places[0].abs_diff(places[1]) >= 128);
        totals.on(lanes[0], Kind::Client).record_in(1, 10);
        totals.on(lanes[1], Kind::Client).record_in(2, 20);
        totals.on(lanes[1], Kind::Route).record_out(4, 40);
        let (clients, routes) = (totals.traffic(Kind::Client), totals.traffic(Kind::Route));
        assert_eq!((clients.in_messages(), clients.in_bytes(), clients.out_messages()), (3, 30, 0));
        assert_eq!((routes.in_messages(), routes.out_messages(), routes.out_bytes()), (0, 4, 40));
    }

    #[test]
    fn more_threads_than_there_are_counters_for_share_some() {
        let totals = Totals::default();
        let first = totals.take_lane();
        let later: Vec<_> = (0..LANES).map(|_| totals.take_lane()).collect();
        assert_eq!(later.iter().position(|lane| *lane == first), Some(LANES - 1));
    }
}
