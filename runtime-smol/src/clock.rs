//! The machines' clock: the system's monotonic one, counted from the start of the process.

use std::time::SystemTime;

use onehop::Instant;

/// A clock. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// A moment of this clock as the system's timers want it.
    pub fn to_system(&self, instant: Instant) -> std::time::Instant {
        self.start + instant.since(Instant::ZERO)
    }
}

/// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970 (UTC), measured at `now`.
pub(crate) fn unix_nanos_at_zero(now: Instant) -> u64 {
    unix_nanos().saturating_sub(now.as_nanos())
}

/// The wall clock, in nanoseconds since 1970 (UTC).
pub(crate) fn unix_nanos() -> u64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)
}
