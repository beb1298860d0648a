//! Questions to read the configuration again, which only the program around the node can do (wire.md 9.4, 10.3).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::lock::{Mutex, Place};

/// What the services and the program around the node leave for each other.
#[derive(Debug)]
pub(crate) struct Reload {
    /// The program said that it can.
    is_offered: AtomicBool,
    /// Somebody asked since it last began.
    is_asked: AtomicBool,
    /// How often it began.
    begun: AtomicU64,
    /// What came of the last time, and which that was.
    outcome: Mutex<Option<(u64, Result<(), String>)>>,
}

impl Reload {
    pub(super) fn new() -> Self {
        Self {
            is_offered: AtomicBool::new(false),
            is_asked: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            outcome: Mutex::new(Place::Facts, None),
        }
    }

    pub(crate) fn offer(&self) {
        self.is_offered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_offered(&self) -> bool {
        self.is_offered.load(Ordering::Relaxed)
    }

    /// Asks for it. Returns which time will be the one: what is read by an earlier one may have been read before.
    pub(crate) fn ask(&self) -> u64 {
        self.is_asked.store(true, Ordering::Release);
        self.begun.load(Ordering::Acquire) + 1
    }

    /// Whether it is asked for and did not begin since.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Acquire)
    }

    /// Whether it was asked for since this was asked last; if so, it begins.
    pub(crate) fn begin(&self) -> bool {
        let is_asked = self.is_asked.swap(false, Ordering::AcqRel);
        if is_asked {
            self.begun.fetch_add(1, Ordering::AcqRel);
        }
        is_asked
    }

    /// Hears what came of the time that began last.
    pub(crate) fn end(&self, outcome: Result<(), String>) {
        *self.outcome.lock() = Some((self.begun.load(Ordering::Acquire), outcome));
    }

    /// What came of it, once.
    pub(crate) fn take_outcome(&self) -> Option<(u64, Result<(), String>)> {
        self.outcome.lock().take()
    }
}
