//! A bell that one thread sleeps by.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Wakes the one thread that waits for it. Rung while nobody waits, it ends the next wait at once.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits for the bell, for `timeout` at most if there is one.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = |rung: &mut bool| !*rung;
        let mut rung = match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(rung, timeout, is_silent);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait_while(rung, is_silent).unwrap_or_else(PoisonError::into_inner),
        };
        *rung = false;
    }
}
