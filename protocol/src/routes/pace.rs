//! How fast this node dials, and how long it waits before it tries again.

use std::time::Duration;

use fastrand::Rng;

use crate::config::ClusterConfig;
use crate::time::Instant;

/// Keeps dials of servers that are not configured to the allowed number per second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the dials that were begun would be paid for.
    pub(super) paid_until: Instant,
}

impl Pace {
    /// When the next dial may begin. A burst of a quarter of a second's worth is fine; then one after the other.
    pub(super) fn allows_at(&self, config: &ClusterConfig) -> Instant {
        let burst = dial_cost(config).saturating_mul(config.healing.dials_per_second / 4);
        Instant::ZERO + self.paid_until.since(Instant::ZERO).saturating_sub(burst)
    }

    pub(super) fn pay(&mut self, now: Instant, config: &ClusterConfig) {
        self.paid_until = self.paid_until.max(now) + dial_cost(config);
    }
}

/// The share of a second that one dial takes at the allowed pace.
fn dial_cost(config: &ClusterConfig) -> Duration {
    Duration::from_secs(1) / config.healing.dials_per_second.max(1)
}

/// The pause before attempt `failures` + 1, which doubles from one second on.
pub(super) fn doubled(failures: u32, longest: Duration) -> Duration {
    RETRY_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// A random moment, so that two servers that dial each other do not collide for ever.
pub(super) fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(MAX_JITTER.as_micros()).unwrap_or(u64::MAX)))
}

/// Between two attempts to reach a server, and before a configured route that was lost is dialed again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);

const MAX_JITTER: Duration = Duration::from_millis(100);
