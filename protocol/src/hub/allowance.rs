//! So much in a stretch of time, and a count of what was beyond it.

use std::time::Duration;

use crate::time::Instant;

/// What was taken in the current stretch, and how often in vain since something was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    ends_at: Instant,
    taken: u32,
    refused: u32,
}

impl Allowance {
    /// Takes one of `most` in a stretch, which begins with the first of them. Returns how many were refused since the last
    /// that was not, or `None` if this one is.
    pub(crate) fn take(&mut self, now: Instant, most: u32, stretch: Duration) -> Option<u32> {
        if now >= self.ends_at {
            (self.ends_at, self.taken) = (now + stretch, 0);
        }
        if self.taken >= most {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        self.taken += 1;
        Some(self.take_refused())
    }

    /// How many were refused since the last that was not, and nobody was told of.
    pub(crate) fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_allowance_is_counted_until_the_next_stretch() {
        let mut allowance = Allowance::default();
        let mut take = |millis| {
            allowance.take(Instant::ZERO + Duration::from_millis(millis), 2, Duration::from_millis(100))
        };
        assert_eq!([0, 99, 99, 99].map(&mut take), [Some(0), Some(0), None, None]);
        assert_eq!([100, 150, 199].map(&mut take), [Some(2), Some(0), None]);
        assert_eq!([5000, 5099, 5100].map(&mut take), [Some(1), Some(0), Some(0)]);
        assert_eq!(allowance.take_refused(), 0);
    }
}
