//! Bytes in the order in which they are to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Closed chunks, and a tail that grows.
#[derive(Debug, Default)]
pub struct Chunks {
    sealed: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of the tail is already written; only if nothing is sealed before it.
    tail_written: usize,
}

impl Chunks {
    /// Fills `slices` with what to write next, up to [`WRITE_AT_ONCE_BYTES`], and returns how many are filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunks = self.sealed.iter().map(|chunk| &chunk[..]);
        let chunks = chunks.chain(std::iter::once(&self.tail[self.tail_written..]));
        let mut bytes = 0;
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks.filter(|chunk| !chunk.is_empty())) {
            if bytes >= WRITE_AT_ONCE_BYTES {
                break;
            }
            *slice = IoSlice::new(chunk);
            bytes += chunk.len();
            filled += 1;
        }
        filled
    }

    /// The first bytes, as far as they stand together.
    pub(super) fn first(&self) -> &[u8] {
        self.sealed.front().map_or(&self.tail[self.tail_written..], |chunk| &chunk[..])
    }

    /// Appends bytes, for which there is [room](Chunks::make_room).
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a chunk that others may have too.
    pub(super) fn share(&mut self, chunk: Bytes) {
        self.seal();
        self.sealed.push_back(chunk);
    }

    /// Makes sure that the tail takes `bytes` more without growing far beyond [`TAIL_BYTES`].
    #[inline]
    pub(super) fn make_room(&mut self, bytes: usize) {
        let wanted = self.tail.len() + bytes;
        if wanted > TAIL_BYTES && !self.tail.is_empty() {
            self.seal();
            self.tail.reserve(bytes.max(TAIL_BYTES));
        }
    }

    /// Moves all that others hold, and nobody wrote from, behind what is here.
    pub(super) fn append(&mut self, others: &mut Self) {
        debug_assert_eq!(others.tail_written, 0, "what is written from stands in front");
        if self.sealed.is_empty() && self.tail.is_empty() {
            std::mem::swap(&mut self.sealed, &mut others.sealed);
            std::mem::swap(&mut self.tail, &mut others.tail);
        } else if others.sealed.is_empty() && self.tail.len() + others.tail.len() <= TAIL_BYTES {
            self.tail.extend_from_slice(&others.tail);
            others.tail.clear();
        } else {
            self.seal();
            self.sealed.append(&mut others.sealed);
            std::mem::swap(&mut self.tail, &mut others.tail);
        }
    }

    /// Drops the first bytes.
    pub fn drop_first(&mut self, count: usize) {
        let mut rest = count;
        while rest > 0 {
            let Some(front) = self.sealed.front_mut() else {
                self.tail_written += rest;
                break;
            };
            let step = rest.min(front.len());
            front.advance(step);
            rest -= step;
            if front.is_empty() {
                self.sealed.pop_front();
            }
        }
        if self.sealed.is_empty() && self.tail_written == self.tail.len() {
            self.tail.clear();
            self.tail_written = 0;
        }
    }

    /// Gives the tail's memory to others who have less, if nothing waits on either side, and frees the rest.
    pub(super) fn release_into(&mut self, others: &mut Self) {
        if others.tail.capacity() < self.tail.capacity() && others.tail.is_empty() {
            std::mem::swap(&mut others.tail, &mut self.tail);
        }
        *self = Self::default();
    }

    /// Lets no part of the tail be written already, so that all of it can stand behind something else.
    pub(super) fn begin_anew(&mut self) {
        if self.tail_written > 0 {
            self.seal();
        }
    }

    /// Closes the tail, so that something else can stand behind it.
    fn seal(&mut self) {
        if self.tail.len() > self.tail_written {
            let mut chunk = Bytes::from(std::mem::take(&mut self.tail));
            chunk.advance(self.tail_written);
            self.sealed.push_back(chunk);
        }
        self.tail.clear();
        self.tail_written = 0;
    }
}

/// How much a single vectored write is given.
pub const WRITE_AT_ONCE_BYTES: usize = 256 * 1024;

/// The tail is closed and a new one begun at this size, so that growing it never copies much.
const TAIL_BYTES: usize = 64 * 1024;

#[cfg(test)]
impl Chunks {
    pub(super) fn memory_bytes(&self) -> usize {
        self.tail.capacity() + self.sealed.capacity() + self.sealed.iter().map(Bytes::len).sum::<usize>()
    }
}
