//! Digests that onehop nodes tell each other of the servers that they know.

use std::time::Duration;

use crate::hash::fnv1a;
use crate::time::Instant;

/// How far a peer and this node have compared.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// The digest of this node's servers that the peer was last told, and when.
    pub(super) told_digest: Option<(String, Instant)>,
    /// The digest of its own servers that it last told; empty if none.
    pub(super) heard_digest: String,
    /// When it was last told the servers by name, and the digest of these.
    pub(super) told_servers: Option<(String, Instant)>,
}

impl Compared {
    /// What was told over a connection that is replaced may not have arrived.
    pub(super) fn doubt(&mut self) {
        self.told_digest = None;
    }

    /// Hears what a peer says is the digest of its servers.
    pub(super) fn handle_digest(&mut self, digest: String) {
        if digest.len() == DIGEST_BYTES {
            self.heard_digest = digest;
        }
    }

    /// Whether the peer is to be told this node's digest.
    pub(super) fn lacks_digest(&self, digest: &str, now: Instant) -> bool {
        !was_told(self.told_digest.as_ref(), digest, now, TELL_DIGEST_AGAIN)
    }

    /// Whether the peer is to be told this node's servers by name, since it knows others.
    pub(super) fn lacks_servers(&self, digest: &str, now: Instant) -> bool {
        self.heard_digest != digest && !was_told(self.told_servers.as_ref(), digest, now, TELL_SERVERS_AGAIN)
    }
}

/// When this node compares next: soon after something changed, but not before the lines of the last time are paid for, so
/// that what changes often is told to many at once.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    next: Option<Instant>,
    not_before: Instant,
}

impl Rhythm {
    /// Notes that there is something to compare.
    pub(super) fn want(&mut self, now: Instant) {
        self.next.get_or_insert((now + GATHERING).max(self.not_before));
    }

    /// When it is time, if there is something.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Notes that this node compares now, on so many lines. `interval` is the longest pause.
    pub(super) fn handle_compared(&mut self, now: Instant, lines: usize, interval: Duration) {
        let pause = LINE_COST.saturating_mul(u32::try_from(lines).unwrap_or(u32::MAX));
        *self = Self { next: None, not_before: now + pause.min(interval) };
    }
}

fn was_told(told: Option<&(String, Instant)>, digest: &str, now: Instant, again_after: Duration) -> bool {
    told.is_some_and(|(of, at)| of == digest && now.since(*at) < again_after)
}

/// A digest of some servers, which does not depend on their order: equal on all members of a full mesh.
pub(super) fn digest<'a>(servers: impl Iterator<Item = &'a str>) -> String {
    let sum = servers.fold(0, |sum: u64, id| sum.wrapping_add(fnv1a([id])));
    format!("{sum:0DIGEST_BYTES$x}")
}

/// A digest has exactly so many hexadecimal digits; what is longer or shorter is none.
const DIGEST_BYTES: usize = 16;

/// What changes so soon after something else is told with it.
const GATHERING: Duration = Duration::from_millis(10);

/// The pause that a line costs: five hundred are sent in a second.
const LINE_COST: Duration = Duration::from_millis(2);

/// The same digest is told to the same peer again after so long, should it not have arrived.
const TELL_DIGEST_AGAIN: Duration = Duration::from_secs(30);

/// The same servers are named to the same peer again after so long.
const TELL_SERVERS_AGAIN: Duration = Duration::from_secs(10);
