//! Who is told, until the end.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use onehop::config::Source;
use onehop::discovery::Found;
#[cfg(feature = "frp")]
use onehop::discovery::ReachedAt;

use crate::Listener;

/// What all sources share: the listener, and whether it still wants to hear.
pub(crate) struct Audience {
    listener: Arc<dyn Listener>,
    has_left: Mutex<bool>,
    left: Condvar,
}

impl Audience {
    pub(crate) fn new(listener: Arc<dyn Listener>) -> Self {
        Self { listener, has_left: Mutex::default(), left: Condvar::new() }
    }

    /// Tells of servers, if there are any and somebody still hears.
    pub(crate) fn tell(&self, source: Source, teller: &str, found: Vec<Found>) {
        // Held meanwhile, so that nothing is told once `leave` has returned.
        let has_left = self.has_left.lock().unwrap_or_else(PoisonError::into_inner);
        if !*has_left && !found.is_empty() {
            log::debug!("{source}{}{teller} tells of {} addresses", separator(teller), found.len());
            self.listener.found(source, teller, found);
        }
    }

    /// Tells of where others reach this server, if somebody still hears.
    #[cfg(feature = "frp")]
    pub(crate) fn tell_reached_at(&self, source: Source, reached: ReachedAt) {
        let has_left = self.has_left.lock().unwrap_or_else(PoisonError::into_inner);
        if !*has_left {
            self.listener.reached_at(source, reached);
        }
    }

    /// Whether somebody still hears.
    #[cfg(any(feature = "dht", feature = "dns", feature = "mdns"))]
    pub(crate) fn is_there(&self) -> bool {
        !*self.has_left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long; returns whether somebody still hears then.
    #[cfg_attr(
        not(any(feature = "command", feature = "dns", feature = "frp", feature = "mdns")),
        allow(dead_code)
    )]
    pub(crate) fn wait(&self, pause: Duration) -> bool {
        let has_left = self.has_left.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.left.wait_timeout_while(has_left, pause, |has_left| !*has_left);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing is told from now on.
    pub(crate) fn leave(&self) {
        *self.has_left.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.left.notify_all();
    }
}

/// A pause of about `interval`: up to a tenth shorter, so that servers that started together do not ask together.
pub(crate) fn pause(interval: Duration) -> Duration {
    const STEPS: u32 = 256;
    let interval = interval.max(SHORTEST_INTERVAL);
    let steps = RandomState::new().hash_one(0) % u64::from(STEPS);
    interval - interval / 10 / STEPS * steps as u32
}

fn separator(teller: &str) -> &'static str {
    if teller.is_empty() { "" } else { " " }
}

/// Nobody is asked without a pause.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_the_interval_or_a_little_less() {
        for interval in [Duration::from_millis(10), Duration::from_secs(30), Duration::MAX] {
            for _ in 0..1000 {
                assert!((interval - interval / 10..=interval).contains(&pause(interval)));
            }
        }
        assert!(pause(Duration::ZERO) > Duration::ZERO);
    }
}
