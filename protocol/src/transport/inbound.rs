//! The way of bytes from the socket to the parser.

use super::buffer::Buffer;
use super::{DecodeError, Decoder, MAX_LAYERS};

/// What a connection has between its socket and its parser once it is not plain any more, and what it keeps of its input
/// while it must not go on.
#[derive(Debug, Default)]
pub struct Inbound {
    /// Read, and not to be looked at yet.
    held: Vec<u8>,
    /// The first is next to the socket.
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    decoder: Decoder,
    /// Decoded, and not taken by the next layer or the parser yet.
    plain: Buffer,
}

impl Inbound {
    /// Whether bytes need no decoding.
    pub fn is_plain(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether this is of no use any more.
    pub fn is_idle(&self) -> bool {
        self.layers.is_empty() && self.held.is_empty()
    }

    /// From here on, what comes is decoded once more: first what is left of what the older layers decoded.
    pub fn switch(&mut self, decoder: Decoder) {
        debug_assert!(self.layers.len() < MAX_LAYERS, "more layers than there are transforms");
        self.layers.push(Layer { decoder, plain: Buffer::default() });
    }

    /// Decodes from the start of `input` until there is something to parse, and shows it. Nothing, if it takes more input.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<&[u8], DecodeError> {
        while self.layers.last().is_some_and(|layer| layer.plain.is_empty()) {
            if !self.step(input)? {
                break;
            }
        }
        Ok(self.layers.last().map_or(&[], |layer| layer.plain.bytes()))
    }

    /// Drops the first bytes of what [`Inbound::decode`] showed.
    pub fn take(&mut self, count: usize) {
        if let Some(layer) = self.layers.last_mut() {
            layer.plain.take(count);
        }
    }

    /// Decodes all of `input` behind `plain`. For who reads and does not parse.
    pub fn decode_into(&mut self, mut input: &[u8], plain: &mut Vec<u8>) -> Result<(), DecodeError> {
        loop {
            let decoded = self.decode(&mut input)?;
            if decoded.is_empty() {
                return Ok(());
            }
            plain.extend_from_slice(decoded);
            let taken = decoded.len();
            self.take(taken);
        }
    }

    /// What was held before, if anything, and `input` behind it.
    pub fn resume(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        if self.held.is_empty() {
            return None;
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        Some(held)
    }

    /// Keeps what was read until the connection goes on.
    pub fn hold(&mut self, input: &[u8]) {
        self.held.extend_from_slice(input);
    }

    /// How much is held.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Frees the buffers that hold nothing and are not needed all the time.
    pub fn release(&mut self) {
        for layer in &mut self.layers {
            layer.plain.release();
        }
    }

    /// Lets the innermost layer that can go on do so; false if none can.
    fn step(&mut self, input: &mut &[u8]) -> Result<bool, DecodeError> {
        for place in (0..self.layers.len()).rev() {
            let (outer, inner) = self.layers.split_at_mut(place);
            let Some(Layer { decoder, plain }) = inner.first_mut() else {
                break;
            };
            let before = plain.len();
            let taken = match outer.last_mut() {
                Some(source) => {
                    let taken = decoder.decode(source.plain.bytes(), plain.end())?;
                    source.plain.take(taken);
                    taken
                }
                None => {
                    let taken = decoder.decode(input, plain.end())?;
                    *input = &input[taken..];
                    taken
                }
            };
            if taken > 0 || plain.len() > before {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
impl Inbound {
    pub(super) fn memory_bytes(&self) -> usize {
        self.held.capacity() + self.layers.iter().map(|layer| layer.plain.memory_bytes()).sum::<usize>()
    }
}
