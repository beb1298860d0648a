//! How fast this node dials, and how long it waits before it tries again.

use std::time::Duration;

use fastrand::Rng;

use super::dial::Class;
use crate::config::ClusterConfig;
use crate::meter::Meter;
use crate::time::Instant;

/// Keeps dials of servers that are not configured to the allowed number per second, and those that were only heard of to a
/// part of it: the rest is for servers that there was a route to.
#[derive(Debug, Default)]
pub(super) struct Pace {
    all: Meter,
    hearsay: Meter,
}

impl Pace {
    /// When the next dial of a class may begin.
    pub(super) fn allows_at(&self, class: Class, config: &ClusterConfig) -> Instant {
        let of_all = allows_at(&self.all, config.healing.dials_per_second);
        match class {
            Class::Configured => Instant::ZERO,
            Class::Remembered => of_all,
            Class::Hearsay => of_all.max(allows_at(&self.hearsay, hearsay_per_second(config))),
        }
    }

    /// Notes that one of a class begins.
    pub(super) fn pay(&mut self, class: Class, now: Instant, config: &ClusterConfig) {
        if class >= Class::Remembered {
            self.all.take(now, dial_cost(config.healing.dials_per_second));
        }
        if class == Class::Hearsay {
            self.hearsay.take(now, dial_cost(hearsay_per_second(config)));
        }
    }
}

/// When the next may begin, at so many per second: a burst of a second's worth is fine.
fn allows_at(meter: &Meter, per_second: u32) -> Instant {
    meter.allows_at(dial_cost(per_second), per_second.max(1))
}

/// How many servers that were only heard of are dialed per second.
fn hearsay_per_second(config: &ClusterConfig) -> u32 {
    let all = config.healing.dials_per_second;
    all - all / KEPT_FROM_HEARSAY
}

/// The share of a second that one dial takes at the allowed pace.
fn dial_cost(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

/// The pause before attempt `failures` + 1, which doubles from one second on.
pub(super) fn doubled(failures: u32, longest: Duration) -> Duration {
    RETRY_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// The pause after so many attempts in vain to reach a configured server that was never there: it may be starting. It doubles
/// from 50 ms, less up to a half of it so that those that started together part; none once it would be a second, which is
/// when nats-server dials again.
pub(super) fn first_pause(failures: u32, rng: &mut Rng) -> Option<Duration> {
    let pause = FIRST_RETRY_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    (pause < RETRY_PAUSE).then(|| pause.mul_f64(1.0 - rng.f64() / 2.0))
}

/// A random moment, so that two servers that dial each other do not collide for ever.
pub(super) fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(MAX_JITTER.as_micros()).unwrap_or(u64::MAX)))
}

/// Between two attempts to reach a server, and before a configured route that was lost is dialed again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Between the first two attempts to reach a configured server.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// One in so many dials is never of a server that was only heard of.
const KEPT_FROM_HEARSAY: u32 = 4;

const MAX_JITTER: Duration = Duration::from_millis(100);
