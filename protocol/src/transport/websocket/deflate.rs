//! Compressed messages (RFC 7692), each for itself: what one of them meant is not needed for the next.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::WebSocketFault;
use crate::transport::CODED_BYTES;

/// What each compressed message ends with, and is left out.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Decompresses one message.
pub(super) struct Inflater {
    stream: Decompress,
    /// So much more it may mean.
    left_bytes: usize,
    /// The last call made all that there was room for, and there may be more of what it was given.
    is_held_up: bool,
}

impl Inflater {
    /// For a message that means at most so many bytes.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { stream: Decompress::new(false), left_bytes: most_bytes, is_held_up: false }
    }

    /// Whether there may be more of what it was given.
    pub(super) fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    /// Takes bytes from the start of `input` and appends what they mean, as far as `plain` has room before [`CODED_BYTES`];
    /// returns how many it took.
    pub(super) fn inflate(&mut self, input: &[u8], plain: &mut Vec<u8>) -> Result<usize, WebSocketFault> {
        let start = plain.len();
        let room = CODED_BYTES.saturating_sub(start).min(STEP_BYTES);
        plain.resize(start + room, 0);
        let (taken_before, made_before) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, &mut plain[start..], FlushDecompress::None);
        let taken = (self.stream.total_in() - taken_before) as usize;
        let made = (self.stream.total_out() - made_before) as usize;
        plain.truncate(start + made);
        self.is_held_up = made == room;
        if status.map_err(|_| WebSocketFault::Compression)? == Status::StreamEnd {
            // A writer may end its stream, and go on with another one.
            self.stream.reset(false);
            self.is_held_up = false;
        }
        self.left_bytes = self.left_bytes.checked_sub(made).ok_or(WebSocketFault::TooLong)?;
        Ok(taken)
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("left_bytes", &self.left_bytes).finish_non_exhaustive()
    }
}

/// Compresses messages. It takes some 300 KiB, so that who has nothing to say should not keep one.
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::fast(), false))
    }

    /// A message, if it becomes shorter.
    pub(super) fn deflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.reset();
        let mut compressed = Vec::with_capacity(message.len());
        self.0.compress_vec(message, &mut compressed, FlushCompress::Sync).ok()?;
        let is_whole = self.0.total_in() == message.len() as u64 && compressed.ends_with(&TAIL);
        compressed.truncate(compressed.len().saturating_sub(TAIL.len()));
        is_whole.then_some(compressed)
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

/// So much is decompressed before it is looked whether that is enough.
const STEP_BYTES: usize = 16 * 1024;
