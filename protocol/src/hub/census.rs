//! In which accounts clients came or went, for the services that tell other servers (wire.md 10.2).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::id::AccountId;
use crate::lock::{Mutex, Place};

/// What there is to be told. Each account is in it once, however many came and went.
#[derive(Debug)]
pub(crate) struct Census {
    accounts: Mutex<BTreeSet<AccountId>>,
    /// Another server came, which was told nothing yet, or went, whose clients are gone with it.
    servers: AtomicBool,
}

impl Census {
    pub(super) fn new() -> Self {
        Self { accounts: Mutex::new(Place::Facts, BTreeSet::new()), servers: AtomicBool::new(false) }
    }

    /// Notes that an account has other clients than before.
    pub(super) fn note(&self, account: AccountId) {
        self.accounts.lock().insert(account);
    }

    /// Notes that there are other servers than before.
    pub(super) fn note_servers(&self) {
        self.servers.store(true, Ordering::Release);
    }

    /// The accounts that changed since this was asked last.
    pub(crate) fn take(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut *self.accounts.lock())
    }

    /// Whether any changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.accounts.lock().is_empty()
    }

    /// Whether servers came or went since this was asked last.
    pub(crate) fn take_servers(&self) -> bool {
        self.servers.load(Ordering::Relaxed) && self.servers.swap(false, Ordering::Acquire)
    }
}
