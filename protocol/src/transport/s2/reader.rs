//! Reads chunks.

use minlz::s2::decode_len;

use super::block::{self, ROOM_BYTES};
use super::{HEAD_BYTES, S2, SNAPPY, SUM_BYTES, kind, sum};
use crate::transport::buffer::Buffer;
use crate::transport::{CODED_BYTES, DecodeError, S2Limit};

/// Reads chunks, wherever they are divided.
#[derive(Debug)]
pub(in crate::transport) struct S2Reader {
    state: State,
    /// The stream said what it is.
    has_begun: bool,
    limit: S2Limit,
    /// What came of a head or of a body that is not whole.
    part: Vec<u8>,
    /// What a long block meant, and is not handed on yet.
    block: Buffer,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Body {
        kind: u8,
        bytes: usize,
    },
    /// So much of a chunk that says nothing is still to come.
    Skipped(usize),
}

impl S2Reader {
    pub(in crate::transport) fn new(limit: S2Limit) -> Self {
        Self { state: State::Head, has_begun: false, limit, part: Vec::new(), block: Buffer::default() }
    }

    /// Hands on what there is room for of a long block.
    fn hand_on(&mut self, plain: &mut Vec<u8>) {
        let count = CODED_BYTES.saturating_sub(plain.len()).min(self.block.len());
        plain.extend_from_slice(&self.block.bytes()[..count]);
        self.block.take(count);
        // It may have been long, and the next one need not be.
        if self.block.is_empty() {
            self.block = Buffer::default();
        }
    }

    /// Goes on with what a long block meant, or else with the next bytes; false if there are too few.
    pub(in crate::transport) fn step(
        &mut self,
        rest: &mut &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        match self.state {
            _ if !self.block.is_empty() => self.hand_on(plain),
            State::Head => {
                let Some(head) = whole(&mut self.part, HEAD_BYTES, rest) else { return Ok(false) };
                self.state = state_behind(&head, self.limit.bytes()).ok_or(DecodeError::Corrupt)?;
            }
            State::Body { kind, bytes } => {
                let Some(body) = whole(&mut self.part, bytes, rest) else { return Ok(false) };
                self.read(kind, &body, plain).ok_or(DecodeError::Corrupt)?;
                self.state = State::Head;
            }
            State::Skipped(0) => self.state = State::Head,
            State::Skipped(bytes) => {
                let skipped = rest.len().min(bytes);
                *rest = &rest[skipped..];
                self.state = State::Skipped(bytes - skipped);
                return Ok(skipped > 0);
            }
        }
        Ok(true)
    }

    /// Reads the body of a chunk; none if it is wrong.
    fn read(&mut self, kind: u8, body: &[u8], plain: &mut Vec<u8>) -> Option<()> {
        if kind == kind::IDENTIFIER {
            self.has_begun = true;
            return (body == S2 || body == SNAPPY).then_some(());
        }
        let (expected, body) = body.split_at_checked(SUM_BYTES).filter(|_| self.has_begun)?;
        let (bytes, block) = match kind {
            kind::UNCOMPRESSED => (body.len(), body),
            _ => decode_len(body).map(|(bytes, head_bytes)| (bytes, &body[head_bytes..])).ok()?,
        };
        if bytes > self.limit.bytes() {
            return None;
        }
        let into = if bytes <= CODED_BYTES { plain } else { self.block.end() };
        let start = into.len();
        let mut is_good = true;
        if kind == kind::UNCOMPRESSED {
            into.extend_from_slice(block);
        } else {
            into.resize(start + bytes + ROOM_BYTES, 0);
            is_good = block::decode(block, &mut into[start..]).is_some();
            into.truncate(start + bytes);
        }
        is_good = is_good && sum(&into[start..]) == expected;
        if !is_good {
            into.truncate(start);
        }
        is_good.then_some(())
    }
}

/// What follows a head, if that is good.
fn state_behind(head: &[u8], most: usize) -> Option<State> {
    let [kind, low, middle, high] = [head[0], head[1], head[2], head[3]];
    let bytes = u32::from_le_bytes([low, middle, high, 0]) as usize;
    match kind {
        kind::IDENTIFIER if bytes == S2.len() => Some(State::Body { kind, bytes }),
        kind::UNCOMPRESSED if bytes <= SUM_BYTES + most => Some(State::Body { kind, bytes }),
        // One that cannot be compressed becomes somewhat longer.
        kind::COMPRESSED if bytes <= SUM_BYTES + most + most / 4 => Some(State::Body { kind, bytes }),
        kind::IDENTIFIER => None,
        kind if kind >= kind::FIRST_SKIPPABLE => Some(State::Skipped(bytes)),
        _ => None,
    }
}

/// So many bytes, if they are there: what came of them before, which is in `part`, and the next ones. What there is of them is kept
/// in `part` otherwise.
fn whole<'a>(part: &mut Vec<u8>, bytes: usize, rest: &mut &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
    let missing = bytes - part.len();
    let (found, after) = rest.split_at(rest.len().min(missing));
    *rest = after;
    if found.len() < missing {
        part.extend_from_slice(found);
        return None;
    }
    if part.is_empty() {
        return Some(found.into());
    }
    let mut whole = std::mem::take(part);
    whole.extend_from_slice(found);
    Some(whole.into())
}

#[cfg(test)]
impl S2Reader {
    pub(super) fn memory_bytes(&self) -> usize {
        self.part.capacity() + self.block.memory_bytes()
    }
}
