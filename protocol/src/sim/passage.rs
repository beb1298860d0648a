//! What a client does before it may speak, and what goes around all that it says: the header of a proxy, and TLS. And clients that
//! wait to be greeted, as clients of nats-server do.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use memchr::memchr;

use super::encryption;
use super::ids::ClientId;
use crate::config::Config;
use crate::transport::{DecodeError, Decoder, Encoder, HandshakeFirst};

/// How a client comes, other than by a plain connection of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Through a proxy, which says so first.
    pub proxy: Option<ProxyVersion>,
    /// With TLS.
    pub tls: Option<TlsStart>,
    /// By WebSocket; and then whether it reads and writes compressed messages.
    pub websocket: Option<Compresses>,
}

/// In which form a proxy says whom it speaks for (wire.md 1.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// As text.
    V1,
    /// Binary.
    V2,
}

/// When a client begins with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// Once it was greeted.
    AfterInfo,
    /// Before anything else.
    AtOnce,
}

/// Whether messages of a WebSocket may be compressed.
pub type Compresses = bool;

impl Way {
    /// Whether a node that is configured so lets anybody come by it.
    pub(super) fn is_open(self, config: &Config) -> bool {
        if self.websocket.is_some() {
            let tls = config.websocket.as_ref().map(|own| own.tls.as_ref().map(|_| TlsStart::AtOnce));
            return self.proxy.is_none() && tls == Some(self.tls);
        }
        let first = config.tls.as_ref().map(|tls| tls.settings().handshake_first);
        let is_understood = match self.tls {
            None => first.is_none() || config.allow_non_tls,
            Some(TlsStart::AfterInfo) => first.is_some_and(|first| first != HandshakeFirst::Always),
            Some(TlsStart::AtOnce) => first.is_some_and(|first| first != HandshakeFirst::Never),
        };
        is_understood && (self.proxy.is_none() || config.proxy_protocol)
    }
}

/// One client's passage.
#[derive(Debug)]
pub(super) struct Passage {
    /// Waits to be greeted, and goes on with TLS then or not.
    awaits_info: bool,
    wants_tls: bool,
    tls: Option<Halves>,
    /// What it may not say yet.
    waiting: Vec<u8>,
    /// How much it said so far, and how many bytes that took.
    said_bytes: u64,
    written_bytes: u64,
    /// Where in what is written something that it said ends, the first that is not known to have arrived first.
    marks: VecDeque<Mark>,
    /// So much of what it said has arrived.
    arrived_bytes: u64,
    /// What it said since somebody last read along.
    legible: Vec<u8>,
}

#[derive(Debug)]
struct Halves {
    encoder: Encoder,
    decoder: Decoder,
    /// The server began with TLS, too.
    is_answered: bool,
}

/// Why it cannot be told what stands in what a client read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misheard {
    /// The server says something in plain words instead of TLS: it takes no more clients, or did not wait for this one to begin.
    Refused,
    /// Nobody may say such a thing.
    Forbidden,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    said_bytes: u64,
    written_bytes: u64,
}

impl Passage {
    /// With TLS or without; whoever has none may wait to be greeted all the same.
    pub(super) fn new(tls: Option<TlsStart>, awaits_info: bool) -> Self {
        Self {
            awaits_info: if let Some(start) = tls { start == TlsStart::AfterInfo } else { awaits_info },
            wants_tls: tls.is_some(),
            tls: (tls == Some(TlsStart::AtOnce)).then(Halves::new),
            waiting: Vec::new(),
            said_bytes: 0,
            written_bytes: 0,
            marks: VecDeque::new(),
            arrived_bytes: 0,
            legible: Vec::new(),
        }
    }

    /// What it begins with, where `proxy` says of whom it comes.
    pub(super) fn begin(&mut self, proxy: Option<(ProxyVersion, SocketAddr)>) -> Vec<u8> {
        let mut bytes = proxy.map(|(version, origin)| header(version, origin)).unwrap_or_default();
        self.written_bytes += bytes.len() as u64;
        bytes.extend(self.go_on());
        bytes
    }

    /// What may be written now once it wants to say this.
    pub(super) fn pass(&mut self, said: &[u8]) -> Vec<u8> {
        self.said_bytes += said.len() as u64;
        self.waiting.extend_from_slice(said);
        self.go_on()
    }

    /// What these bytes of the server mean, which come next, and what may be written now that they came.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Misheard> {
        let mut heard = Vec::new();
        if self.awaits_info {
            let end = memchr(b'\n', bytes).map(|at| at + 1);
            heard.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else { return Ok((heard, Vec::new())) };
            bytes = &bytes[end..];
            self.awaits_info = false;
            self.tls = self.wants_tls.then(Halves::new);
        }
        match &mut self.tls {
            Some(halves) => halves.hear(bytes, &mut heard)?,
            None => heard.extend_from_slice(bytes),
        }
        Ok((heard, self.go_on()))
    }

    /// How much of what it said the server has read, once it has read so many bytes.
    pub(super) fn said_within(&mut self, written_bytes: u64) -> u64 {
        while let Some(mark) = self.marks.front().filter(|mark| mark.written_bytes <= written_bytes) {
            self.arrived_bytes = mark.said_bytes;
            self.marks.pop_front();
        }
        self.arrived_bytes
    }

    /// What it wrote since the last call, as who reads along could if there were no TLS.
    pub(super) fn take_legible(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.legible)
    }

    fn go_on(&mut self) -> Vec<u8> {
        let mut written = Vec::new();
        let taken = match &mut self.tls {
            _ if self.awaits_info => 0,
            Some(halves) => halves.say(&self.waiting, &mut written),
            None => {
                written.extend_from_slice(&self.waiting);
                self.waiting.len()
            }
        };
        self.legible.extend(self.waiting.drain(..taken));
        self.written_bytes += written.len() as u64;
        if taken > 0 && self.waiting.is_empty() {
            self.marks.push_back(Mark { said_bytes: self.said_bytes, written_bytes: self.written_bytes });
        }
        written
    }
}

impl Halves {
    fn new() -> Self {
        let session = encryption::connect();
        Self { encoder: session.encoder(), decoder: session.decoder(), is_answered: false }
    }

    /// Encrypts as much as can be now, and returns how much that is.
    fn say(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        loop {
            match self.encoder.encode(&plain[taken..], encoded) {
                0 => return taken,
                more => taken += more,
            }
        }
    }

    fn hear(&mut self, mut encoded: &[u8], plain: &mut Vec<u8>) -> Result<(), Misheard> {
        if encoded.first().is_some_and(|first| !self.is_answered && first.is_ascii_graphic()) {
            return Err(Misheard::Refused);
        }
        self.is_answered |= !encoded.is_empty();
        loop {
            let mut part = Vec::new();
            match self.decoder.decode(encoded, &mut part) {
                Ok(taken) => encoded = &encoded[taken..],
                // The server said that nothing follows.
                Err(DecodeError::Ended) => return Ok(()),
                Err(_) => return Err(Misheard::Forbidden),
            }
            if part.is_empty() && encoded.is_empty() {
                return Ok(());
            }
            plain.append(&mut part);
        }
    }
}

impl ProxyVersion {
    /// Where a client comes from whose proxy speaks so: from anywhere, as long as it is always the same place.
    pub(super) fn origin_of(self, client: ClientId) -> SocketAddr {
        let (high, low) = ((client.0 >> 8) as u8, client.0 as u8);
        match self {
            Self::V1 => ([192, 0, high, low], 50_000).into(),
            Self::V2 => ([0x2001, 0xdb8, 0, 0, 0, 0, high.into(), low.into()], 50_001).into(),
        }
    }
}

/// What a proxy says of a client.
fn header(version: ProxyVersion, origin: SocketAddr) -> Vec<u8> {
    let (kind, address) = match origin.ip() {
        IpAddr::V4(ip) => ("TCP4", ip.octets().to_vec()),
        IpAddr::V6(ip) => ("TCP6", ip.octets().to_vec()),
    };
    if version == ProxyVersion::V1 {
        return format!("PROXY {kind} {0} {0} {1} 4222\r\n", origin.ip(), origin.port()).into_bytes();
    }
    let family = if origin.is_ipv4() { STREAM_V4 } else { STREAM_V6 };
    let length = 2 * address.len() + 4 + EXTRA.len();
    let ports = [origin.port().to_be_bytes(), 4222_u16.to_be_bytes()].concat();
    [SIGNATURE, &[VERSION_2_PROXY, family, 0, length as u8], &address, &address, &ports, EXTRA].concat()
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_PROXY: u8 = 0x21;
const STREAM_V4: u8 = 0x11;
const STREAM_V6: u8 = 0x21;
/// What proxies may add, of no interest to a server: a field of type 5.
const EXTRA: &[u8] = b"\x05\0\x03abc";
