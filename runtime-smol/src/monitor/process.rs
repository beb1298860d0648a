//! What the system says of this process. Where it does not say (no `/proc`), the figures are zero.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use onehop::Instant;

/// Watches this process.
#[derive(Debug, Default)]
pub(super) struct Process {
    last: Mutex<Sample>,
}

/// What the process had used at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at: Instant,
    used: Duration,
    /// How busy it was before that moment.
    percent: f64,
}

impl Process {
    /// How busy the process was, in percent of one core, between the last two times that this was asked, but not over
    /// less than [`MIN_SPAN`].
    pub(super) fn cpu_percent(&self, now: Instant) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(last.at) >= MIN_SPAN {
            let used = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_time(&stat));
            *last = last.next(now, used.unwrap_or_default());
        }
        last.percent
    }
}

impl Sample {
    fn next(self, now: Instant, used: Duration) -> Self {
        let span = now.since(self.at).as_secs_f64();
        let busy = used.saturating_sub(self.used).as_secs_f64();
        // To a tenth: the system counts in hundredths of a second.
        let percent = if span > 0.0 { (busy / span * 1000.0).round() / 10.0 } else { 0.0 };
        Self { at: now, used, percent }
    }
}

/// The memory of this process that is resident.
pub(super) fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status)).unwrap_or(0)
}

/// How many cores this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The resident memory in `/proc/<pid>/status`, which unlike that in `statm` does not count in pages of unknown size.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The time in user and kernel mode in `/proc/<pid>/stat`: its fields 14 and 15, counted behind the name of the command,
/// which may contain anything.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(user.saturating_add(system).saturating_mul(TICK_MILLIS)))
}

/// Asking more often than this gives the same answer: the share of a shorter time says little.
const MIN_SPAN: Duration = Duration::from_secs(1);

/// The unit of times in `/proc`, the same on all systems that Rust supports.
const TICK_MILLIS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn the_share_of_a_core_is_counted_since_the_last_sample() {
        let first = Sample::default().next(at(2_000), Duration::from_millis(500));
        assert_eq!(first.percent, 25.0);
        let second = first.next(at(3_000), Duration::from_millis(2_500));
        assert_eq!(second.percent, 200.0);
        assert_eq!(second.next(at(4_000), Duration::ZERO).percent, 0.0);
    }

    #[test]
    fn figures_are_found_in_what_linux_writes() {
        let stat = "17 (a) b (c) R 1 17 17 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 12345 1000 200";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5120 kB\nVmData:\t1 kB\n"), Some(5_242_880));
        for broken in ["", "17 (a", "17 (a) R 1", "17 (a) R 1 17 17 0 -1 4194304 100 0 0 0 x 50"] {
            assert_eq!(cpu_time(broken), None, "{broken}");
            assert_eq!(resident(broken), None, "{broken}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(resident_bytes() > 100_000);
        assert!(Process::default().cpu_percent(at(3_600_000)) >= 0.0);
    }
}
