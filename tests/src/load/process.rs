//! What `/proc` tells of a process: CPU time of all its threads, and resident memory; and the limits and times of this one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Length of a tick in `/proc/<pid>/stat`: Linux fixes `USER_HZ` at 100 on every common architecture.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of a process up to one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuTime {
    /// Nanoseconds on a CPU by thread id; exact, but a thread that ended takes its share with it.
    threads: BTreeMap<u32, u64>,
    /// User and system time of the whole process, ended threads included; coarse.
    ticks: u64,
}

impl CpuTime {
    /// Reads the CPU time of process `pid` so far.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let ticks =
            parse_stat_ticks(&stat).ok_or_else(|| io::Error::other("cannot read /proc/<pid>/stat"))?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            // A thread may end between the listing and the reading; a kernel may lack schedstat.
            let nanos =
                fs::read_to_string(path.join("schedstat")).ok().and_then(|text| parse_schedstat(&text));
            if let (Some(id), Some(nanos)) = (id, nanos) {
                threads.insert(id, nanos);
            }
        }
        Ok(Self { threads, ticks })
    }

    /// All of it since the process began, to ten milliseconds.
    pub fn total(&self) -> Duration {
        TICK.saturating_mul(u32::try_from(self.ticks).unwrap_or(u32::MAX))
    }

    /// The CPU time spent from `earlier` to this moment.
    pub fn since(&self, earlier: &Self) -> Duration {
        let complete =
            !self.threads.is_empty() && earlier.threads.keys().all(|id| self.threads.contains_key(id));
        if !complete {
            return TICK.saturating_mul(u32::try_from(self.ticks - earlier.ticks).unwrap_or(u32::MAX));
        }
        let spent = |(id, nanos): (&u32, &u64)| nanos - earlier.threads.get(id).unwrap_or(&0);
        Duration::from_nanos(self.threads.iter().map(spent).sum())
    }
}

/// The CPU time of the calling thread so far: what others do on the machine is not part of it.
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of process `pid`, in bytes.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    // The rollup counts pages; `status` lags behind by a batch of pages per thread, so it is only the fallback.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let found = rollup.ok().and_then(|text| parse_kib(&text, "Rss:"));
    let status =
        || fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|text| parse_kib(&text, "VmRSS:"));
    let kib =
        found.or_else(status).ok_or_else(|| io::Error::other("cannot read the memory of the process"))?;
    Ok(kib * 1024)
}

/// The most resident memory that process `pid` ever had, in bytes.
pub fn peak_resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = parse_kib(&status, "VmHWM:").ok_or_else(|| io::Error::other("the system keeps no peak"))?;
    Ok(kib * 1024)
}

/// How many files this process, and a server that it starts, may have open.
pub fn open_file_limit() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}

/// Lets this process, and the servers that it starts, have as many files open as the system allows.
pub fn raise_open_file_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// `utime + stime`, fields 14 and 15. The second field is the name in parentheses and may hold blanks and parentheses.
fn parse_stat_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The first field: nanoseconds on a CPU.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The value of a line such as `Rss:    1696 kB`.
fn parse_kib(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(threads: &[(u32, u64)], ticks: u64) -> CpuTime {
        CpuTime { threads: threads.iter().copied().collect(), ticks }
    }

    #[test]
    fn ticks_are_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 101 0 0 0 250 17 0 0 20 0 1 0 105164 3133440 358";
        assert_eq!(parse_stat_ticks(stat), Some(267));
    }

    #[test]
    fn memory_is_found_by_its_label() {
        let rollup = "55b4-7ffd ---p 00000000 00:00 0 [rollup]\nRss:                1696 kB\nPss:   377 kB\n";
        assert_eq!(parse_kib(rollup, "Rss:"), Some(1696));
        assert_eq!(parse_kib(rollup, "Swap:"), None);
    }

    #[test]
    fn threads_are_summed_and_a_new_one_counts_in_full() {
        let earlier = cpu(&[(1, 100), (2, 50)], 0);
        assert_eq!(cpu(&[(1, 130), (2, 50), (3, 7)], 1).since(&earlier), Duration::from_nanos(37));
    }

    #[test]
    fn a_thread_that_ended_makes_the_ticks_count() {
        let earlier = cpu(&[(1, 100), (2, 50)], 10);
        assert_eq!(cpu(&[(1, 130)], 13).since(&earlier), Duration::from_millis(30));
    }

    #[test]
    fn this_process_spends_time_and_has_memory() {
        let earlier = CpuTime::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        for number in 0..50_000_000_u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        assert!(CpuTime::of(std::process::id()).unwrap().since(&earlier) > Duration::ZERO);
        assert!(thread_cpu_time() > Duration::ZERO);
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(peak_resident_bytes(std::process::id()).unwrap() > 100_000);
    }
}
