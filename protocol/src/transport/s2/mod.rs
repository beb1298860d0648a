//! S2, as servers compress routes with it (wire.md 5.4): chunks, each of which is a block of bytes and the sum of it.
//!
//! The chunks are ours, since they have to be read a byte at a time and to be refused before memory is taken for them. So is what reads
//! blocks, which takes less than half the time of what there is. They are written by `snap` where that is to be fast, since each Snappy
//! block is one of S2, and by `minlz` where it is to be short.

mod block;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use reader::S2Reader;
pub(super) use writer::S2Writer;

/// The kinds of chunks that mean something. Those from [`FIRST_SKIPPABLE`] on are skipped, and others are faults.
mod kind {
    pub(super) const COMPRESSED: u8 = 0x00;
    pub(super) const UNCOMPRESSED: u8 = 0x01;
    pub(super) const IDENTIFIER: u8 = 0xff;
    pub(super) const FIRST_SKIPPABLE: u8 = 0x80;
}

/// What an S2 stream begins with, behind the head of its first chunk.
const S2: &[u8; 6] = b"S2sTwO";

/// What a Snappy stream begins with, which is one without what S2 has beyond.
const SNAPPY: &[u8; 6] = b"sNaPpY";

/// The kind of a chunk, and how long its body is.
const HEAD_BYTES: usize = 4;

/// The sum before a block.
const SUM_BYTES: usize = 4;

/// No block is longer, as the format has it: what a peer may make us hold of one, compressed and again decompressed.
pub const MAX_BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// Nor does any server write a longer one than this.
pub const WRITTEN_BLOCK_BYTES: usize = 1024 * 1024;

/// The sum of a block: CRC-32C, masked so that one of bytes that have a sum in them is as good as any.
fn sum(block: &[u8]) -> [u8; SUM_BYTES] {
    let sum = crc32c::crc32c(block).rotate_right(15).wrapping_add(0xa282_ead8);
    sum.to_le_bytes()
}
