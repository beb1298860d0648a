//! A few at once, and then one after the other.

use std::time::Duration;

use crate::time::Instant;

/// Keeps something to a pace, and allows so many at once where there were none for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// When those that were taken are paid for.
    paid_until: Instant,
}

impl Meter {
    /// When the next may be taken, if each is paid for in `pause` and `burst` need not be paid for yet.
    pub(crate) fn allows_at(&self, pause: Duration, burst: u32) -> Instant {
        let unpaid = pause.saturating_mul(burst.saturating_sub(1));
        Instant::ZERO + self.paid_until.since(Instant::ZERO).saturating_sub(unpaid)
    }

    /// Notes that one is taken.
    pub(crate) fn take(&mut self, now: Instant, pause: Duration) {
        self.paid_until = self.paid_until.max(now) + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_at_once_and_then_one_after_each_pause() {
        let (pause, burst) = (Duration::from_millis(250), 3);
        let mut meter = Meter::default();
        let mut taken = Vec::new();
        for millis in (1000..3000).chain(10_000..11_000) {
            let now = Instant::ZERO + Duration::from_millis(millis);
            if meter.allows_at(pause, burst) <= now {
                meter.take(now, pause);
                taken.push(millis);
            }
        }
        let at_first = [1000, 1001, 1002, 1250, 1500, 1750, 2000, 2250, 2500, 2750];
        let after_a_rest = [10_000, 10_001, 10_002, 10_250, 10_500, 10_750];
        assert_eq!(taken, [&at_first[..], &after_a_rest].concat());
    }
}
