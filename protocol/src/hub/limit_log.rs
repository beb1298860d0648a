//! Which limits are hit, for the operator to read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use log::warn;

use crate::lock::{Mutex, Place};
use crate::time::Instant;

/// Says in the log which limits are hit, each at most once in [`INTERVAL`]: whoever reaches a limit on purpose must not
/// fill the log with it.
#[derive(Debug)]
pub(crate) struct LimitLog {
    /// By the name of the limit, which the table of design.md 10 explains.
    said: Mutex<BTreeMap<&'static str, Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    /// How often the limit was hit since without a word.
    unsaid: u64,
}

impl LimitLog {
    pub(super) fn new() -> Self {
        Self { said: Mutex::new(Place::Facts, BTreeMap::new()) }
    }

    /// Notes that a limit was hit, and by whom or what.
    pub(crate) fn hit(&self, now: Instant, limit: &'static str, by: impl fmt::Display) {
        match self.to_say(now, limit) {
            Some(0) => warn!("Limit {limit} is hit: {by}"),
            Some(unsaid) => warn!("Limit {limit} is hit, {unsaid} more times before: {by}"),
            None => {}
        }
    }

    /// How often the limit was hit without a word, if it is time for one.
    fn to_say(&self, now: Instant, limit: &'static str) -> Option<u64> {
        let mut said = self.said.lock();
        match said.get_mut(limit) {
            Some(said) if now.since(said.at) < INTERVAL => {
                said.unsaid += 1;
                None
            }
            known => {
                let unsaid = known.map_or(0, |said| said.unsaid);
                said.insert(limit, Said { at: now, unsaid: 0 });
                Some(unsaid)
            }
        }
    }
}

/// How long a limit is not named again.
const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_once_and_then_with_how_often_it_was_hit() {
        let log = LimitLog::new();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert_eq!(log.to_say(at(1), "a"), Some(0));
        assert_eq!(log.to_say(at(1), "b"), Some(0), "another limit");
        assert_eq!(log.to_say(at(2), "a"), None);
        assert_eq!(log.to_say(at(10), "a"), None);
        assert_eq!(log.to_say(at(11), "a"), Some(2));
        assert_eq!(log.to_say(at(12), "a"), None);
    }
}
