//! One direction of a stream: what was written and did not arrive yet.

use std::collections::VecDeque;

use crate::time::Instant;

/// What travels through a pipe.
#[derive(Debug)]
pub(in crate::sim) enum Segment {
    Bytes(Vec<u8>),
    End(Ending),
}

/// How an end of a stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: the peer reads all that was written before.
    Fin,
    /// Abruptly: what was on its way may be lost.
    Reset,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) segments: VecDeque<Segment>,
    /// Bytes that were written and not acknowledged; never more than the socket buffer holds.
    held_bytes: usize,
    /// Those of them that were read, but the acknowledgement cannot get through.
    read_bytes: usize,
    /// No segment arrives before the one in front of it.
    pub(super) last_arrival: Instant,
    /// Arrivals that were due while nothing got through, and that are made up for.
    pub(super) parked: usize,
    /// Nothing that is written here ever arrives, and nobody is told.
    pub(super) is_lost: bool,
    /// The writer has more to write than there is room for.
    pub(super) writer_waits: bool,
    /// Since when it waits without anything being acknowledged.
    pub(super) blocked_since: Option<Instant>,
    pub(super) written_bytes: u64,
    pub(super) delivered_bytes: u64,
}

impl Pipe {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            segments: VecDeque::new(),
            held_bytes: 0,
            read_bytes: 0,
            last_arrival: now,
            parked: 0,
            is_lost: false,
            writer_waits: false,
            blocked_since: None,
            written_bytes: 0,
            delivered_bytes: 0,
        }
    }

    /// How many more bytes can be written.
    pub(super) fn room(&self, buffer_bytes: usize) -> usize {
        if self.segments.len() >= MAX_SEGMENTS_IN_FLIGHT {
            return 0;
        }
        buffer_bytes.saturating_sub(self.held_bytes)
    }

    /// So many bytes take up room from now on.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.held_bytes += bytes;
        self.written_bytes += bytes as u64;
    }

    /// Frees the room of what the reader took, if the acknowledgement gets through.
    pub(super) fn acknowledge(&mut self, bytes: usize, gets_through: bool) {
        self.read_bytes += bytes;
        if gets_through {
            self.blocked_since = None;
            self.held_bytes -= std::mem::take(&mut self.read_bytes);
        }
    }

    /// What is on its way is lost.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.parked = 0;
    }

    /// Makes two segments of the first if it has more than so many bytes.
    pub(super) fn split_first(&mut self, max_bytes: usize) -> bool {
        let Some(Segment::Bytes(first)) = self.segments.front_mut() else {
            return false;
        };
        if first.len() <= max_bytes {
            return false;
        }
        let rest = first.split_off(max_bytes);
        self.segments.insert(1, Segment::Bytes(rest));
        true
    }
}

/// No pipe holds more segments than this, however small they are.
const MAX_SEGMENTS_IN_FLIGHT: usize = 4096;
