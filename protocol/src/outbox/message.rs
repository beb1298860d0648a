//! A message on its way into an outbox.

use std::cell::OnceCell;

use bytes::Bytes;

/// Headers and payload of a message, ending with CR LF, on its way to several targets.
#[derive(Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
    shared: OnceCell<Bytes>,
}

impl<'a> Body<'a> {
    /// A body that stands in a read buffer.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: OnceCell::new() }
    }

    /// The body's bytes, CR LF included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The same, to be kept.
    pub(super) fn shared(&self) -> Bytes {
        self.shared.get_or_init(|| Bytes::copy_from_slice(self.bytes)).clone()
    }
}

/// One message for one target, as it goes on the wire: prefix, rest of the line, body.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The start of the line, constant for a target: `MSG <subject> <sid> `.
    pub prefix: &'a [u8],
    /// The rest of the line: `[<reply> ]<size>` and CR LF.
    pub line: &'a [u8],
    /// Headers, payload, CR LF.
    pub body: &'a Body<'a>,
}

impl Delivery<'_> {
    /// Bytes of the body without its CR LF: what traffic counters count.
    pub fn payload_bytes(&self) -> usize {
        self.body.bytes.len().saturating_sub(2)
    }
}

/// From this size on a message body is shared between its targets instead of copied to each.
pub const SHARE_AT_BYTES: usize = 8 * 1024;
