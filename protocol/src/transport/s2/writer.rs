//! Makes chunks.

use std::fmt;

use minlz::s2::Encoder;

use super::{S2, kind, sum};
use crate::transport::{CODED_BYTES, S2Level, S2Setting};

/// Makes a chunk of what it is given each time, so that all of it can be read.
pub(in crate::transport) struct S2Writer {
    setting: S2Setting,
    has_begun: bool,
    /// With the tables that it needs for a block, to be used again.
    encoder: Encoder,
}

impl S2Writer {
    pub(in crate::transport) fn new(setting: S2Setting) -> Self {
        Self { setting, has_begun: false, encoder: Encoder::new() }
    }

    pub(in crate::transport) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let block = &plain[..plain.len().min(CODED_BYTES)];
        if block.is_empty() {
            return 0;
        }
        if !self.has_begun {
            self.has_begun = true;
            push_head(encoded, kind::IDENTIFIER, S2.len());
            encoded.extend_from_slice(S2);
        }
        match self.compressed(block) {
            Some(shorter) => push_chunk(encoded, kind::COMPRESSED, block, &shorter),
            None => push_chunk(encoded, kind::UNCOMPRESSED, block, block),
        }
        block.len()
    }

    /// A block, if it becomes shorter.
    fn compressed(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        if block.len() < MIN_COMPRESSED_BYTES {
            return None;
        }
        let compressed = match self.setting.get() {
            S2Level::Uncompressed => return None,
            S2Level::Fast => self.encoder.encode(block),
            S2Level::Better => self.encoder.encode_better(block),
            S2Level::Best => self.encoder.encode_best(block),
        };
        (compressed.len() < block.len()).then_some(compressed)
    }
}

impl fmt::Debug for S2Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S2Writer").field("setting", &self.setting).finish_non_exhaustive()
    }
}

fn push_chunk(encoded: &mut Vec<u8>, kind: u8, block: &[u8], body: &[u8]) {
    let sum = sum(block);
    push_head(encoded, kind, sum.len() + body.len());
    encoded.extend_from_slice(&sum);
    encoded.extend_from_slice(body);
}

fn push_head(encoded: &mut Vec<u8>, kind: u8, body_bytes: usize) {
    // A body is far shorter than three bytes can say.
    let [low, middle, high, _] = (body_bytes as u32).to_le_bytes();
    encoded.extend_from_slice(&[kind, low, middle, high]);
}

/// Less is not worth the try.
const MIN_COMPRESSED_BYTES: usize = 32;
