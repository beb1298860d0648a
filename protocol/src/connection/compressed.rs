//! How what is written on a route is compressed (wire.md 5.5).

use std::time::Duration;

use crate::cluster::Writing;
use crate::transport::{S2Limit, S2Setting, WRITTEN_BLOCK_BYTES};

/// The level at which a route is written, which may change with the round-trip time.
#[derive(Debug)]
pub(super) struct Compressed {
    writing: Writing,
    /// As far as it is known.
    rtt: Duration,
    setting: S2Setting,
    limit: S2Limit,
}

impl Compressed {
    /// What is known of the round-trip time by then is how long the handshake took so far. Until the peer is registered it may let
    /// nobody hold blocks of more than `most` bytes, or than servers write if that is more: nats-server puts what it wants into
    /// one block with the INFO by which it is registered (wire.md 5.3).
    pub(super) fn new(writing: Writing, rtt: Duration, most: usize) -> Self {
        let setting = S2Setting::new(writing.level(rtt));
        Self { writing, rtt, setting, limit: S2Limit::new(most.max(WRITTEN_BLOCK_BYTES)) }
    }

    /// For the reader.
    pub(super) fn limit(&self) -> S2Limit {
        self.limit.clone()
    }

    /// Hears that the peer is a member: it may write blocks as long as any.
    pub(super) fn handle_registered(&self) {
        self.limit.raise();
    }

    /// For the writer.
    pub(super) fn setting(&self) -> S2Setting {
        self.setting.clone()
    }

    /// What the level is called now.
    pub(super) fn mode(&self) -> &'static str {
        self.setting.get().mode()
    }

    /// Writes otherwise from now on; whether that changes the level.
    pub(super) fn follow(&mut self, writing: Writing) -> bool {
        self.writing = writing;
        self.handle_rtt(self.rtt)
    }

    /// Hears of another round-trip time; whether that changes the level.
    pub(super) fn handle_rtt(&mut self, rtt: Duration) -> bool {
        self.rtt = rtt;
        let (level, before) = (self.writing.level(rtt), self.setting.get());
        self.setting.set(level);
        level != before
    }
}
