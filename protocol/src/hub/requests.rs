//! How often the pages of monitoring were asked for.

use std::collections::BTreeMap;

use crate::lock::{Mutex, Place};

/// Requests by the path of their page.
#[derive(Debug)]
pub(crate) struct Requests(Mutex<BTreeMap<&'static str, u64>>);

impl Default for Requests {
    fn default() -> Self {
        Self(Mutex::new(Place::Facts, BTreeMap::new()))
    }
}

impl Requests {
    pub(crate) fn count(&self, path: &'static str) {
        *self.0.lock().entry(path).or_default() += 1;
    }

    /// The pages that were asked for.
    pub(crate) fn to_map(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().clone()
    }
}
