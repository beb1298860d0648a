//! A transform that has what makes the real ones hard, and nothing else: its borders are not those of operations, its
//! length differs from that of the plain bytes, each byte depends on its place, and it notices what it did not make.
//!
//! A frame is its length in one byte, so many bytes, and one that sums them up. A length of zero says that nothing follows.

use fastrand::Rng;

use super::DecodeError;

/// Makes frames.
#[derive(Debug)]
pub(super) struct FrameWriter {
    lengths: Rng,
    stream: Rng,
}

/// Reads frames, and needs to keep nothing of one that is not whole.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: Rng,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Length,
    Body { missing: u8, sum: u8 },
    Sum(u8),
}

impl FrameWriter {
    pub(super) fn new(key: u64) -> Self {
        Self { lengths: Rng::with_seed(!key), stream: Rng::with_seed(key) }
    }

    pub(super) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let mut rest = plain;
        while !rest.is_empty() {
            let length = rest.len().min(self.lengths.usize(1..=MAX_FRAME_BYTES));
            let (body, after) = rest.split_at(length);
            encoded.push(length as u8);
            encoded.extend(body.iter().map(|byte| byte ^ self.stream.u8(..)));
            encoded.push(sum(0, body));
            rest = after;
        }
        plain.len()
    }

    pub(super) fn finish(&mut self, encoded: &mut Vec<u8>) {
        encoded.push(0);
    }
}

impl FrameReader {
    pub(super) fn new(key: u64) -> Self {
        Self { stream: Rng::with_seed(key), state: State::Length }
    }

    pub(super) fn step(&mut self, rest: &mut &[u8], plain: &mut Vec<u8>) -> Result<bool, DecodeError> {
        let Some(byte) = rest.first() else { return Ok(false) };
        let mut taken = 1;
        self.state = match self.state {
            State::Length => match *byte {
                0 => return Err(DecodeError::Ended),
                length if usize::from(length) > MAX_FRAME_BYTES => return Err(DecodeError::Corrupt),
                missing => State::Body { missing, sum: 0 },
            },
            State::Body { missing, sum: sum_before } => {
                taken = rest.len().min(usize::from(missing));
                let start = plain.len();
                plain.extend(rest[..taken].iter().map(|byte| byte ^ self.stream.u8(..)));
                let sum = sum(sum_before, &plain[start..]);
                match missing - taken as u8 {
                    0 => State::Sum(sum),
                    missing => State::Body { missing, sum },
                }
            }
            State::Sum(sum) if sum == *byte => State::Length,
            State::Sum(_) => return Err(DecodeError::Corrupt),
        };
        *rest = &rest[taken..];
        Ok(true)
    }
}

fn sum(start: u8, bytes: &[u8]) -> u8 {
    bytes.iter().fold(start, |sum, byte| sum.wrapping_mul(3).wrapping_add(*byte))
}

/// Longer frames are not made, and not believed.
const MAX_FRAME_BYTES: usize = 61;
