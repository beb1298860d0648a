//! Counters of messages, and what is kept of the connections of an account that are gone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Messages and payload bytes in both directions.
#[derive(Debug, Default)]
pub struct Traffic {
    in_messages: AtomicU64,
    in_bytes: AtomicU64,
    out_messages: AtomicU64,
    out_bytes: AtomicU64,
}

/// What was counted of connections that have ended.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    /// Messages and bytes of clients.
    pub(crate) clients: Traffic,
    /// Messages and bytes of routes.
    pub(crate) routes: Traffic,
    /// Clients that read too slowly.
    pub(crate) slow_clients: AtomicU64,
}

impl Traffic {
    /// Messages read.
    pub fn in_messages(&self) -> u64 {
        self.in_messages.load(Ordering::Relaxed)
    }

    /// Payload bytes read.
    pub fn in_bytes(&self) -> u64 {
        self.in_bytes.load(Ordering::Relaxed)
    }

    /// Messages queued.
    pub fn out_messages(&self) -> u64 {
        self.out_messages.load(Ordering::Relaxed)
    }

    /// Payload bytes queued.
    pub fn out_bytes(&self) -> u64 {
        self.out_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn record_in(&self, messages: u64, bytes: u64) {
        self.in_messages.fetch_add(messages, Ordering::Relaxed);
        self.in_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn record_out(&self, messages: u64, bytes: u64) {
        self.out_messages.fetch_add(messages, Ordering::Relaxed);
        self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds what another counted.
    pub(crate) fn absorb(&self, other: &Self) {
        self.record_in(other.in_messages(), other.in_bytes());
        self.record_out(other.out_messages(), other.out_bytes());
    }
}
