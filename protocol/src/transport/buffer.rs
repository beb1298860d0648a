//! Bytes on their way from one transform to the next.

/// A queue of bytes that is filled at its end and taken from its start.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    taken: usize,
    /// So much was in it since [`Buffer::release`] that as much is likely to come soon.
    is_busy: bool,
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `count` bytes.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        debug_assert!(self.taken <= self.bytes.len());
        if self.is_empty() {
            self.is_busy |= self.bytes.len() >= BUSY_BYTES;
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// The bytes, to append to.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        &mut self.bytes
    }

    /// Holds no memory from now on if it holds no bytes, and held few since the last call: to give back and get again what a busy
    /// connection needs for each batch costs more than to fill it. One that becomes idle hears of that with its next PING.
    /// Returns whether it holds none.
    pub(crate) fn release(&mut self) -> bool {
        let is_idle = self.is_empty() && !std::mem::take(&mut self.is_busy);
        if is_idle {
            *self = Self::default();
        }
        is_idle
    }
}

/// With less than this in a batch a connection is idle.
const BUSY_BYTES: usize = 4 * 1024;

#[cfg(test)]
impl Buffer {
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
