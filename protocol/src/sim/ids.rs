//! What nodes, clients, their subscriptions and messages are called.

use std::fmt;

use super::net::HostId;

/// A node of a world, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A client of a world, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub usize);

/// A subscription of one client, counted from one.
pub type Sid = u64;

/// A message of a world, counted from zero. It stands in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub usize);

impl NodeId {
    /// What the network calls it.
    pub(super) fn host(self) -> HostId {
        HostId(self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl MessageId {
    /// How large the payload is that begins with its name and has so many bytes more.
    pub(super) fn payload_bytes(self, padding_bytes: usize) -> usize {
        self.to_string().len() + 1 + padding_bytes
    }

    /// Finds the message's name at the end of headers, or at the start of a payload.
    pub(super) fn find(body: &[u8]) -> Option<Self> {
        let payload = match memchr::memmem::find(body, b"\r\n\r\n") {
            Some(end) if body.starts_with(b"NATS/1.0") => &body[end + 4..],
            _ => body,
        };
        let digits = payload.strip_prefix(b"m")?.split(|byte| *byte == b';').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}
