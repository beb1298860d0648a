//! How long others had to wait for one turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest turn of one thread, or of several, since the start: for [`Process::longest_turns`].
///
/// [`Process::longest_turns`]: crate::monitor::Process::longest_turns
#[derive(Debug, Default)]
pub struct LongestTurn {
    nanos: AtomicU64,
}

impl LongestTurn {
    /// Looks at a turn that is over.
    pub fn record(&self, turn: Duration) {
        let nanos = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
        // All look at it, and it seldom changes.
        if nanos > self.nanos.load(Ordering::Relaxed) {
            self.nanos.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// How long it was.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_all_turns_is_kept() {
        let longest = LongestTurn::default();
        [2, 3, 1].map(Duration::from_millis).into_iter().for_each(|turn| longest.record(turn));
        assert_eq!(longest.get(), Duration::from_millis(3));
    }
}
