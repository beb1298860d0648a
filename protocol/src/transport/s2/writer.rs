//! Makes chunks.

use std::fmt;

use super::{HEAD_BYTES, S2, SUM_BYTES, kind, sum};
use crate::transport::{CODED_BYTES, S2Level, S2Setting};

/// Makes a chunk of what it is given each time, so that all of it can be read.
pub(in crate::transport) struct S2Writer {
    setting: S2Setting,
    has_begun: bool,
    compressors: Option<Box<Compressors>>,
}

/// What makes blocks, with the tables that it needs for one, to be used again.
struct Compressors {
    fast: snap::raw::Encoder,
    short: minlz::s2::Encoder,
}

impl Default for Compressors {
    fn default() -> Self {
        Self { fast: snap::raw::Encoder::new(), short: minlz::s2::Encoder::new() }
    }
}

impl S2Writer {
    pub(in crate::transport) fn new(setting: S2Setting) -> Self {
        Self { setting, has_begun: false, compressors: None }
    }

    pub(in crate::transport) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let block = &plain[..plain.len().min(CODED_BYTES)];
        if block.is_empty() {
            return 0;
        }
        if !self.has_begun {
            self.has_begun = true;
            encoded.extend_from_slice(&head(kind::IDENTIFIER, S2.len()));
            encoded.extend_from_slice(S2);
        }
        self.encode_block(block, encoded);
        block.len()
    }

    /// Frees the tables, which take megabytes at the highest level. To make them anew takes no longer than to clear them, as each
    /// block does.
    pub(in crate::transport) fn release(&mut self) {
        self.compressors = None;
    }

    /// Appends a chunk: the block as it is, unless that becomes shorter.
    fn encode_block(&mut self, block: &[u8], encoded: &mut Vec<u8>) {
        let start = encoded.len();
        let body = start + HEAD_BYTES + SUM_BYTES;
        encoded.resize(body, 0);
        self.compress(block, encoded);
        let mut kind = kind::COMPRESSED;
        if encoded.len() == body || encoded.len() - body >= block.len() {
            kind = kind::UNCOMPRESSED;
            encoded.truncate(body);
            encoded.extend_from_slice(block);
        }
        let head = head(kind, encoded.len() - start - HEAD_BYTES);
        encoded[start..][..HEAD_BYTES].copy_from_slice(&head);
        encoded[start + HEAD_BYTES..body].copy_from_slice(&sum(block));
    }

    /// Appends what a block becomes, or nothing where nothing is tried.
    fn compress(&mut self, block: &[u8], encoded: &mut Vec<u8>) {
        if block.len() < MIN_COMPRESSED_BYTES {
            return;
        }
        let Compressors { fast, short } = &mut **self.compressors.get_or_insert_default();
        match self.setting.get() {
            S2Level::Uncompressed => {}
            S2Level::Fast => {
                let start = encoded.len();
                encoded.resize(start + snap::raw::max_compress_len(block.len()), 0);
                // There is room for it, so that this does not fail.
                let bytes = fast.compress(block, &mut encoded[start..]).unwrap_or(0);
                encoded.truncate(start + bytes);
            }
            S2Level::Better => encoded.extend_from_slice(&short.encode_better(block)),
            S2Level::Best => encoded.extend_from_slice(&short.encode_best(block)),
        }
    }
}

impl fmt::Debug for S2Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S2Writer").field("setting", &self.setting).finish_non_exhaustive()
    }
}

/// What stands before a body.
fn head(kind: u8, body_bytes: usize) -> [u8; HEAD_BYTES] {
    // A body is far shorter than three bytes can say.
    let [low, middle, high, _] = (body_bytes as u32).to_le_bytes();
    [kind, low, middle, high]
}

/// Less is not worth the try.
const MIN_COMPRESSED_BYTES: usize = 32;
