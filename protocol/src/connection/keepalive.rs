//! PING, PONG and what follows when the PONG does not come (wire.md 1.9, 2.11).

use std::time::Duration;

use fastrand::Rng;

use crate::time::Instant;

/// The keep-alive of one connection.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    interval: Duration,
    max_outstanding: u32,
    /// A client that was active needs no PING; a route is always asked, since its round-trip time matters.
    skips_active: bool,
    next: Instant,
    outstanding: u32,
    last_ping: Option<Instant>,
    rtt_known_at: Option<Instant>,
    active_at: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing, for now or because the peer was active.
    Nothing,
    /// A PING is to be sent.
    Ping,
    /// Too many are unanswered: the connection is stale.
    Stale,
}

impl KeepAlive {
    pub(crate) fn new(now: Instant, interval: Duration, max_outstanding: u32, skips_active: bool) -> Self {
        Self {
            interval,
            max_outstanding,
            skips_active,
            next: now + interval,
            outstanding: 0,
            last_ping: None,
            rtt_known_at: None,
            active_at: None,
        }
    }

    /// Brings the first PING forward, to learn the round-trip time early: after `soon` and up to a fifth more.
    pub(crate) fn begin(&mut self, now: Instant, soon: Duration, rng: &mut Rng) {
        let first = self.interval.min(soon);
        let more = u64::try_from(first.as_nanos() / 5).unwrap_or(0);
        self.next = now + first + Duration::from_nanos(rng.u64(..=more));
    }

    /// Goes by another interval and another count, from the next tick on.
    pub(crate) fn adapt(&mut self, interval: Duration, max_outstanding: u32) {
        self.interval = interval;
        self.max_outstanding = max_outstanding;
    }

    /// When [`KeepAlive::tick`] is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Notes that the peer sent a PING, a message or a subscription.
    pub(crate) fn handle_activity(&mut self, now: Instant) {
        self.active_at = Some(now);
    }

    /// Notes a PONG; returns the round-trip time if a PING was waiting for it. Nobody may be fooled by one that was
    /// never asked for.
    pub(crate) fn handle_pong(&mut self, now: Instant) -> Option<Duration> {
        self.outstanding = 0;
        let rtt = now.since(self.last_ping.take()?);
        self.rtt_known_at = Some(now);
        Some(rtt)
    }

    /// Notes a PING that was sent for another reason.
    pub(crate) fn handle_ping_sent(&mut self, now: Instant) {
        self.last_ping = Some(now);
        self.outstanding += 1;
    }

    /// Says what is due now.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        if now < self.next {
            return Tick::Nothing;
        }
        self.next = now + self.interval;
        let recently = |at: Option<Instant>, within: Duration| at.is_some_and(|at| now.since(at) < within);
        if self.skips_active
            && recently(self.active_at, self.interval)
            && recently(self.rtt_known_at, RTT_STAYS_GOOD)
        {
            return Tick::Nothing;
        }
        if self.outstanding + 1 > self.max_outstanding {
            return Tick::Stale;
        }
        self.handle_ping_sent(now);
        Tick::Ping
    }
}

/// A round-trip time older than this is measured again even on a busy connection.
const RTT_STAYS_GOOD: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + SECOND * seconds as u32
    }

    #[test]
    fn a_silent_peer_is_asked_twice_and_then_stale() {
        let mut keepalive = KeepAlive::new(at(0), SECOND, 2, true);
        let ticks = [1, 2, 3].map(|seconds| keepalive.tick(at(seconds)));
        assert_eq!(ticks, [Tick::Ping, Tick::Ping, Tick::Stale]);
    }

    #[test]
    fn a_pong_resets_the_count_and_gives_the_round_trip_time_once() {
        let mut keepalive = KeepAlive::new(at(0), SECOND * 10, 1, true);
        assert_eq!(keepalive.handle_pong(at(5)), None, "nobody asked");
        assert_eq!(keepalive.tick(at(10)), Tick::Ping);
        assert_eq!(keepalive.handle_pong(at(11)), Some(SECOND));
        assert_eq!(keepalive.handle_pong(at(12)), None);
        assert_eq!(keepalive.tick(at(20)), Tick::Ping);
    }

    #[test]
    fn an_active_client_is_not_asked_and_an_active_route_is() {
        for (skips, expected) in [(true, Tick::Nothing), (false, Tick::Ping)] {
            let mut keepalive = KeepAlive::new(at(0), SECOND * 10, 2, skips);
            keepalive.handle_ping_sent(at(1));
            keepalive.handle_pong(at(1));
            keepalive.handle_activity(at(5));
            assert_eq!(keepalive.tick(at(10)), expected);
        }
    }

    #[test]
    fn the_first_ping_comes_soon_with_some_jitter() {
        let mut keepalive = KeepAlive::new(at(0), SECOND * 120, 2, true);
        keepalive.begin(at(0), SECOND * 2, &mut Rng::with_seed(1));
        let first = keepalive.poll_timeout().since(at(0));
        assert!(first >= SECOND * 2 && first <= Duration::from_millis(2400), "{first:?}");
    }
}
