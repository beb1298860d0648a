//! What is too much, and what is too slow.

use std::time::Duration;

/// How full an outbox is, and so what its producers should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Go on.
    Low,
    /// Producers should read less until it drains.
    High,
    /// `max_pending` is exceeded: the connection is to be closed as a slow consumer.
    Overflow,
}

/// What to do about a peer that does not read (wire.md 1.10).
#[derive(Clone, Copy, Debug)]
pub struct WritePolicy {
    /// More pending bytes than this end the connection.
    pub max_pending_bytes: usize,
    /// Producers are slowed from so many pending bytes on, if that is less than three quarters of those that end the connection.
    pub slow_at_bytes: usize,
    /// More bytes of answers and gossip than this end the connection, counted while what waited before them is written;
    /// `None` for clients, which cause all that they are sent.
    pub max_control_bytes: Option<usize>,
    /// How long a batch may take to be written.
    pub deadline: Duration,
    /// Whether any progress within the deadline is enough (routes), or the whole batch must be out (clients).
    pub retry: bool,
}

/// The verdict when a write deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It did not pass, or there is progress and that is enough.
    No,
    /// The peer took too little: close as a slow consumer.
    Close,
}

impl WritePolicy {
    /// How full an outbox is in which so much waits.
    pub(super) fn pressure(&self, pending_bytes: usize) -> Pressure {
        let max = self.max_pending_bytes;
        if pending_bytes > max {
            Pressure::Overflow
        } else if pending_bytes > self.slow_at_bytes.min(max / 4 * 3) {
            Pressure::High
        } else {
            Pressure::Low
        }
    }
}

/// Producers of most connections are slowed from so many pending bytes on, long before `max_pending` would end the connection.
pub const SLOW_AT_BYTES: usize = 1024 * 1024;
