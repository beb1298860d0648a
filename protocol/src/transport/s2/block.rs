//! Reads blocks: literal bytes, and copies of what came before.
//!
//! Most of both are short, so that what counts is to move sixteen bytes at once, whether or not so many are wanted: what is moved
//! too many is overwritten by what follows.

/// How many bytes more than a block means there have to be where it is decoded.
pub(super) const ROOM_BYTES: usize = 16;

/// Decodes the block, whose length stands before it no more, to the start of `plain`. It has to mean as many bytes as there are,
/// but for [`ROOM_BYTES`] at the end, where anything may be left. None if it does not.
pub(super) fn decode(block: &[u8], plain: &mut [u8]) -> Option<()> {
    let end = plain.len().checked_sub(ROOM_BYTES)?;
    let (mut read, mut written, mut distance) = (0, 0, 0);
    while let Some(&tag) = block.get(read) {
        let high = usize::from(tag >> 2);
        read += 1;
        let bytes = match tag & 0b11 {
            tag::LITERAL => {
                let bytes = literal_bytes(high, block, &mut read)?;
                if bytes > end - written {
                    return None;
                }
                put(block.get(read..)?, bytes, &mut plain[written..])?;
                read += bytes;
                written += bytes;
                continue;
            }
            tag::NEAR => near(high, block, &mut read, &mut distance)?,
            tag::FAR => {
                distance = number(block, &mut read, 2)?;
                high + 1
            }
            _ => {
                distance = number(block, &mut read, 4)?;
                high + 1
            }
        };
        if distance == 0 || distance > written || bytes > end - written {
            return None;
        }
        repeat(plain, written, distance, bytes);
        written += bytes;
    }
    (written == end).then_some(())
}

/// The kinds of elements, in the lowest two bits of the first byte.
mod tag {
    pub(super) const LITERAL: u8 = 0;
    /// A copy from less than 2 KiB before, or from as far as the last one.
    pub(super) const NEAR: u8 = 1;
    /// One from less than 64 KiB before. The last kind is one from anywhere.
    pub(super) const FAR: u8 = 2;
}

/// How long a literal is.
#[inline(always)]
fn literal_bytes(high: usize, block: &[u8], read: &mut usize) -> Option<usize> {
    let less_one = if high < 60 { high } else { number(block, read, high - 59)? };
    less_one.checked_add(1)
}

/// How long a near copy is. It says from how far, or else that it is the same as before, which it may say more of.
#[inline(always)]
fn near(high: usize, block: &[u8], read: &mut usize, distance: &mut usize) -> Option<usize> {
    let low = number(block, read, 1)?;
    let (far, length) = ((high & !0b111) << 5 | low, high & 0b111);
    if far != 0 {
        *distance = far;
        return Some(length + 4);
    }
    Some(match length {
        5 => 8 + number(block, read, 1)?,
        6 => 4 + (1 << 8) + number(block, read, 2)?,
        7 => 4 + (1 << 16) + number(block, read, 3)?,
        _ => length + 4,
    })
}

/// The next so many bytes as a number, the lowest first.
#[inline(always)]
fn number(block: &[u8], read: &mut usize, bytes: usize) -> Option<usize> {
    let digits = block.get(*read..*read + bytes)?;
    *read += bytes;
    Some(digits.iter().rev().fold(0, |number, digit| number << 8 | usize::from(*digit)))
}

/// Puts the first bytes of `from` to the start of `to`; none if there are not so many.
#[inline(always)]
fn put(from: &[u8], bytes: usize, to: &mut [u8]) -> Option<()> {
    match (from.first_chunk::<ROOM_BYTES>(), to.first_chunk_mut()) {
        (Some(from), Some(to)) if bytes <= ROOM_BYTES => *to = *from,
        _ => to.get_mut(..bytes)?.copy_from_slice(from.get(..bytes)?),
    }
    Some(())
}

/// Copies so many bytes from `distance` before `at` to there, where what is copied may be part of what is copied from.
#[inline(always)]
fn repeat(plain: &mut [u8], at: usize, distance: usize, bytes: usize) {
    if distance < ROOM_BYTES || bytes > FEW_BYTES {
        return repeat_much(plain, at, distance, bytes);
    }
    let mut done = 0;
    while done < bytes {
        let from = at - distance + done;
        plain.copy_within(from..from + ROOM_BYTES, at + done);
        done += ROOM_BYTES;
    }
}

/// The same for what is long or repeats itself: each step doubles what there is to copy from.
#[inline(never)]
fn repeat_much(plain: &mut [u8], at: usize, distance: usize, bytes: usize) {
    let from = at - distance;
    let mut done = 0;
    while done < bytes {
        let step = (distance + done).min(bytes - done);
        plain.copy_within(from..from + step, at + done);
        done += step;
    }
}

/// Up to this length moving a few bytes several times is faster than asking for all at once.
const FEW_BYTES: usize = 64;
