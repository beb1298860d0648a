//! What a node says in its log because of others: not more than an operator can read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use log::{Level, log, warn};

use super::Allowance;
use crate::lock::{Mutex, Place};
use crate::time::Instant;

/// The log of what others cause. Whoever wants to fill it gets so many lines; the rest is counted.
#[derive(Debug)]
pub(crate) struct LimitLog {
    /// By the name of the limit, which the table of design.md 10 explains.
    limits: Mutex<BTreeMap<&'static str, Allowance>>,
    lines: Mutex<Allowance>,
    accept_faults: Mutex<Allowance>,
}

impl LimitLog {
    pub(super) fn new() -> Self {
        let nothing = || Mutex::new(Place::Facts, Allowance::default());
        let limits = Mutex::new(Place::Facts, BTreeMap::new());
        Self { limits, lines: nothing(), accept_faults: nothing() }
    }

    /// Says that a limit was hit, and by whom or what: each limit once in [`INTERVAL`].
    pub(crate) fn hit(&self, now: Instant, limit: &'static str, by: impl fmt::Display) {
        let unsaid = self.limits.lock().entry(limit).or_default().take(now, 1, INTERVAL);
        match unsaid {
            Some(0) => warn!("Limit {limit} is hit: {by}"),
            Some(unsaid) => warn!("Limit {limit} is hit, {unsaid} more times before: {by}"),
            None => {}
        }
    }

    /// How many connections could not be accepted since that was said, if it is to be said now: once per second.
    pub(crate) fn take_accept_fault(&self, now: Instant) -> Option<u32> {
        self.accept_faults.lock().take(now, 1, Duration::from_secs(1))
    }

    /// Says what else a peer caused, if no more than [`MAX_LINES_PER_SECOND`] are said of all of them.
    pub(crate) fn say(&self, now: Instant, level: Level, line: fmt::Arguments<'_>) {
        let unsaid = self.lines.lock().take(now, MAX_LINES_PER_SECOND, Duration::from_secs(1));
        match unsaid {
            Some(0) => log!(level, "{line}"),
            Some(unsaid) => {
                warn!("{unsaid} more lines of all connections were left out");
                log!(level, "{line}");
            }
            None => {}
        }
    }
}

/// How long a limit is not named again.
const INTERVAL: Duration = Duration::from_secs(10);

/// How many lines a node logs in a second because of its peers.
pub(crate) const MAX_LINES_PER_SECOND: u32 = 100;
