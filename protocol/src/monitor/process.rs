//! The pages of a running process: what its node knows, with the figures that only the process can tell.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Budget, Facts, Progress, Rendering, Reply, open};
use crate::id::ConnectionId;
use crate::node::Node;
use crate::time::Instant;

/// What a runtime looks up about its own process, whenever a page shows it.
pub trait Process {
    /// The wall clock, in nanoseconds since 1970 (UTC).
    fn unix_nanos(&self) -> u64;

    /// What the system writes into `/proc/self/stat`. Where there is none, the figures that it holds are shown as zero.
    fn stat(&self) -> Option<String>;

    /// What the system writes into `/proc/self/status`, likewise.
    fn status(&self) -> Option<String>;

    /// How many cores the process may use.
    fn cores(&self) -> usize;

    /// How many bytes wait to be written to a connection.
    fn pending_bytes(&self, id: ConnectionId) -> u64;

    /// How long each thread that drives connections, and at last what drives the cluster, was kept by one turn at the most,
    /// since the start (design.md 3, rule 11).
    fn longest_turns(&self) -> Vec<Duration>;
}

/// What stays the same as long as a server serves monitoring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// How many threads the server uses.
    pub workers: usize,
    /// The host that monitoring is served on, as it was configured.
    pub http_host: String,
    /// The port that it is served on.
    pub http_port: u16,
    /// What the configuration file is recognised by; empty without one.
    pub config_digest: String,
}

/// Answers requests for the pages of a node whose clock began with its process.
///
/// A server has one, since some figures are about the time since the last request, and all that wait for their pages
/// share one [`Budget`].
pub struct Monitor<P> {
    node: Arc<Node>,
    process: P,
    serving: Serving,
    wall: Wall,
    load: Load,
    budget: Budget,
}

impl<P: Process> Monitor<P> {
    /// Monitoring of a node.
    pub fn new(node: Arc<Node>, serving: Serving, process: P) -> Self {
        let (wall, load, budget) = (Wall::default(), Load::default(), Budget::default());
        Self { node, process, serving, wall, load, budget }
    }

    /// The process that the node runs in.
    pub fn process(&self) -> &P {
        &self.process
    }

    /// The wall clock, in nanoseconds since 1970 (UTC).
    pub fn unix_nanos(&self) -> u64 {
        self.process.unix_nanos()
    }

    /// Begins to answer a GET (or HEAD) of `target`: a path with an optional query, as it stands in the request line.
    pub fn open(&self, now: Instant, target: &str) -> Reply {
        let Self { process, serving, .. } = self;
        let facts = Facts {
            memory_bytes: process.status().as_deref().and_then(resident_bytes).unwrap_or(0),
            cpu_percent: self.load.cpu_percent(now, || process.stat().as_deref().and_then(cpu_time)),
            cores: process.cores(),
            workers: serving.workers,
            http_host: &serving.http_host,
            http_port: serving.http_port,
            config_digest: &serving.config_digest,
            pending_bytes: &|id| process.pending_bytes(id),
            longest_turns: &process.longest_turns(),
            ..Facts::of_core(now, Instant::ZERO, self.wall.unix_nanos_at_zero(now, process.unix_nanos()))
        };
        open(&self.node, &facts, target, &self.budget)
    }

    /// Renders a page on that was begun, for about a millisecond.
    pub fn render(&self, rendering: &mut Rendering) -> Progress {
        rendering.render(&self.node, &|id| self.process.pending_bytes(id))
    }
}

impl<P> fmt::Debug for Monitor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("serving", &self.serving).finish_non_exhaustive()
    }
}

/// How the node's clock relates to the calendar.
#[derive(Debug, Default)]
struct Wall {
    unix_nanos_at_zero: AtomicU64,
}

impl Wall {
    /// The wall clock at the start of the node's clock. It stays the same, so that times that were shown once stay the
    /// same, until the wall clock was set or the system slept.
    fn unix_nanos_at_zero(&self, now: Instant, unix_nanos: u64) -> u64 {
        let measured = unix_nanos.saturating_sub(now.as_nanos());
        let known = self.unix_nanos_at_zero.load(Ordering::Relaxed);
        if known.abs_diff(measured) <= MAX_DRIFT_NANOS {
            return known;
        }
        self.unix_nanos_at_zero.store(measured, Ordering::Relaxed);
        measured
    }
}

/// How busy the process is.
#[derive(Debug, Default)]
struct Load {
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

impl Load {
    /// How busy the process was, in percent of one core, between the last two times that this was asked, but not over
    /// less than [`MIN_SPAN`].
    fn cpu_percent(&self, now: Instant, used: impl FnOnce() -> Option<Duration>) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(last.at) >= MIN_SPAN {
            *last = last.next(now, used().unwrap_or_default());
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

/// The resident memory in `/proc/<pid>/status`, which unlike that in `statm` does not count in pages of unknown size.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
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

/// Differences between the clocks up to this are left alone.
const MAX_DRIFT_NANOS: u64 = 1_000_000_000;

/// Asking more often than this gives the same answer: the share of a shorter time says little.
const MIN_SPAN: Duration = Duration::from_secs(1);

/// The unit of times in `/proc`, the same on all systems that Rust supports.
const TICK_MILLIS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::node::Listening;

    /// A process whose system says what a test wants.
    struct Told {
        unix_nanos: u64,
        stat: Option<&'static str>,
        status: Option<&'static str>,
    }

    impl Process for Told {
        fn unix_nanos(&self) -> u64 {
            self.unix_nanos
        }

        fn stat(&self) -> Option<String> {
            self.stat.map(str::to_owned)
        }

        fn status(&self) -> Option<String> {
            self.status.map(str::to_owned)
        }

        fn cores(&self) -> usize {
            4
        }

        fn pending_bytes(&self, _: ConnectionId) -> u64 {
            7
        }

        fn longest_turns(&self) -> Vec<Duration> {
            [3, 1].map(Duration::from_millis).into()
        }
    }

    fn monitor(process: Told) -> Monitor<Told> {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        let serving = Serving { workers: 3, http_port: 8222, ..Serving::default() };
        Monitor::new(node, serving, process)
    }

    fn varz(monitor: &Monitor<Told>, now: Instant) -> serde_json::Value {
        let Reply::Whole(response) = monitor.open(now, "/varz") else { panic!("a small page") };
        serde_json::from_str(&response.body).expect("JSON")
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_page_shows_what_the_process_tells() {
        let told = Told { unix_nanos: 104_000_000_000, stat: Some(STAT), status: Some(STATUS) };
        let page = varz(&monitor(told), at(4_000));
        assert_eq!(
            (&page["start"], &page["now"]),
            (&"1970-01-01T00:01:40Z".into(), &"1970-01-01T00:01:44Z".into())
        );
        assert_eq!((page["mem"].as_u64(), page["cpu"].as_f64()), (Some(5_242_880), Some(50.0)));
        assert_eq!((page["cores"].as_u64(), page["gomaxprocs"].as_u64()), (Some(4), Some(3)));
        assert_eq!(page["http_port"], 8222);
        assert_eq!(page["onehop_longest_turns"], serde_json::json!([3_000_000, 1_000_000]));
    }

    #[test]
    fn figures_that_a_system_does_not_tell_are_zero() {
        let page = varz(&monitor(Told { unix_nanos: 0, stat: None, status: None }), at(4_000));
        assert_eq!((page["mem"].as_u64(), page["cpu"].as_f64()), (Some(0), Some(0.0)));
    }

    #[test]
    fn times_that_were_shown_stay_until_the_clock_was_set() {
        let wall = Wall::default();
        let second = 1_000_000_000;
        assert_eq!(wall.unix_nanos_at_zero(at(3_000), 103 * second), 100 * second);
        assert_eq!(wall.unix_nanos_at_zero(at(4_000), 104 * second + 7), 100 * second);
        assert_eq!(wall.unix_nanos_at_zero(at(5_000), 105 * second - 7), 100 * second);
        assert_eq!(wall.unix_nanos_at_zero(at(6_000), 108 * second), 102 * second);
    }

    #[test]
    fn the_share_of_a_core_is_counted_since_the_last_sample() {
        let load = Load::default();
        let percent = |at, used| load.cpu_percent(at, || Some(Duration::from_millis(used)));
        assert_eq!(percent(at(2_000), 500), 25.0);
        assert_eq!(percent(at(2_999), 9_999), 25.0, "too soon");
        assert_eq!(percent(at(3_000), 2_500), 200.0);
        assert_eq!(percent(at(4_000), 0), 0.0);
    }

    #[test]
    fn figures_are_found_in_what_linux_writes() {
        assert_eq!(cpu_time(STAT), Some(Duration::from_secs(2)));
        assert_eq!(resident_bytes(STATUS), Some(5_242_880));
        for broken in ["", "17 (a", "17 (a) R 1", "17 (a) R 1 17 17 0 -1 4194304 100 0 0 0 x 50"] {
            assert_eq!(cpu_time(broken), None, "{broken}");
            assert_eq!(resident_bytes(broken), None, "{broken}");
        }
    }

    const STAT: &str = "17 (a) b (c) R 1 17 17 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 12345 1000 200";

    const STATUS: &str = "Name:\tx\nVmRSS:\t    5120 kB\nVmData:\t1 kB\n";
}
