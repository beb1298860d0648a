//! What stands between the bytes of the protocol and the bytes of the socket (design.md 3).
//!
//! A connection begins plain: the parser works on the read buffer in place, and whoever pushed to the
//! [`Outbox`](crate::outbox::Outbox) writes it. (That of a client by [`WebSocket`] is switched before its first byte.) In each
//! direction it may then be switched, up to [`MAX_LAYERS`] times, at one
//! exact byte: what comes after goes through one transform more. The newest is the innermost, next to the protocol; the
//! oldest is next to the socket, so that S2 lies within WebSocket and that within TLS.
//!
//! - Read: an [`Inbound`] belongs to the [`Connection`](crate::Connection), which decodes before it parses. The operation that
//!   switches is the last one of the old decoder; what follows it in the same buffer goes to the new one.
//! - Written: everybody pushes plain bytes; a mark in the outbox ([`Outbox::switch`](crate::outbox::Outbox::switch)) says
//!   from where on they are encoded. From the first mark on the connection's driver alone writes, woken once per batch. It
//!   owns an [`Outbound`](crate::outbox::Outbound), which takes what waits under the outbox's lock
//!   ([`Outbox::hand_over`](crate::outbox::Outbox::hand_over)) and encodes without it.
//!
//! This room knows bytes and nothing of what they mean, and touches no other but for the reasons of a close. Connections call
//! the one half; the outbox drives the other.
//!
//! # What a transform must be like
//!
//! The two halves of one transform are values of their own, since two threads may drive them; if they share a state, as
//! those of TLS do, the lock around it is theirs, and no other is held while they work. A [`Decoder`] takes what it is given
//! and keeps what is not whole. An [`Encoder`] holds back nothing of what it took: a peer can decode all of it. It may take
//! less than it is given, while it waits for bytes of the peer, and it may have bytes to send that no plain byte caused:
//! the driver of a connection that [is encoded](crate::outbox::Outbox::is_coded) calls [`Outbound::encode`](crate::outbox::Outbound::encode) after each
//! input, too. At the end of a connection that says its last words, [`Outbound::finish`](crate::outbox::Outbound::finish) has each transform say that nothing
//! follows.

mod buffer;
mod framed;
mod inbound;
mod level;
mod proxied;
mod s2;
mod tls;
mod websocket;

use std::{error, fmt};

use crate::close::CloseReason;

pub(crate) use buffer::Buffer;
pub use inbound::Inbound;

pub use level::{S2Level, S2Limit, S2Setting};
pub use proxied::{MAX_TEXT_BYTES, ProxyFault, ProxyRead, ProxyReader};
pub use s2::{MAX_BLOCK_BYTES, WRITTEN_BLOCK_BYTES};
pub use tls::{
    CertificateFiles, DEFAULT_HANDSHAKE_FIRST_WAIT, DEFAULT_TLS_TIMEOUT, HandshakeFirst, KeyHash,
    PeerCertificate, Pem, Tls, TlsError, TlsFacts, TlsProgress, TlsSession, TlsSettings, TlsVersion,
    is_spoken_group, is_spoken_suite,
};
pub use websocket::{
    MAX_REQUEST_BYTES, MAX_REQUEST_HEADERS, NoOrigin, Origin, WebSocket, WebSocketFault, WebSocketRefusal,
    WebSocketTerms,
};

use framed::{FrameReader, FrameWriter};
use s2::{S2Reader, S2Writer};
use tls::{TlsReader, TlsWriter};

/// Makes plain bytes of what the peer's [`Encoder`] made.
#[derive(Debug)]
pub struct Decoder {
    decoding: Decoding,
    /// What follows is wrong, and every further call says so.
    fault: Option<DecodeError>,
}

#[derive(Debug)]
enum Decoding {
    Framed(FrameReader),
    S2(S2Reader),
    Tls(TlsReader),
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "there are no WebSockets"))]
    WebSocket(Box<websocket::Reader>),
}

/// Makes of plain bytes what the peer's [`Decoder`] reads.
#[derive(Debug)]
pub struct Encoder(Encoding);

#[derive(Debug)]
enum Encoding {
    Framed(FrameWriter),
    S2(S2Writer),
    Tls(TlsWriter),
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "there are no WebSockets"))]
    WebSocket(Box<websocket::Writer>),
}

/// Why bytes could not be decoded. The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They are not what the transform makes.
    Corrupt,
    /// They ask for no WebSocket that is to be had.
    NoWebSocket(WebSocketRefusal),
    /// They are no frames of a WebSocket.
    Frames(WebSocketFault),
    /// The peer said that nothing follows.
    Ended,
}

impl Decoder {
    /// The stand-in for the transforms to come: frames that are encrypted so simply that nobody may rely on it.
    #[doc(hidden)]
    pub fn framed(key: u64) -> Self {
        Self::new(Decoding::Framed(FrameReader::new(key)))
    }

    /// Reads what servers compress on routes (wire.md 5.4).
    pub fn s2(limit: S2Limit) -> Self {
        Self::new(Decoding::S2(S2Reader::new(limit)))
    }

    fn tls(reader: TlsReader) -> Self {
        Self::new(Decoding::Tls(reader))
    }

    fn new(decoding: Decoding) -> Self {
        Self { decoding, fault: None }
    }

    /// Takes bytes from the start of `encoded` and appends what they mean to `plain`; returns how many it took: all,
    /// unless `plain` holds [`CODED_BYTES`] before. Given nothing, it goes on with what it took earlier. A fault is found
    /// only by a call that appends nothing, so that what was good before it is handled first.
    pub fn decode(&mut self, encoded: &[u8], plain: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let (mut rest, found_before) = (encoded, plain.len());
        while self.fault.is_none() && plain.len() < CODED_BYTES {
            match self.step(&mut rest, plain) {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => self.fault = Some(fault),
            }
        }
        match self.fault {
            Some(fault) if plain.len() == found_before => Err(fault),
            _ => Ok(encoded.len() - rest.len()),
        }
    }

    /// Goes on with the next bytes; false if that takes more of them. After a fault it is not asked again.
    fn step(&mut self, rest: &mut &[u8], plain: &mut Vec<u8>) -> Result<bool, DecodeError> {
        match &mut self.decoding {
            Decoding::Framed(reader) => reader.step(rest, plain),
            Decoding::S2(reader) => reader.step(rest, plain),
            Decoding::Tls(reader) => reader.step(rest, plain),
            Decoding::WebSocket(reader) => reader.step(rest, plain),
        }
    }
}

impl Encoder {
    /// The other half of [`Decoder::framed`].
    #[doc(hidden)]
    pub fn framed(key: u64) -> Self {
        Self(Encoding::Framed(FrameWriter::new(key)))
    }

    /// Compresses as servers do on routes, as hard as is set.
    pub fn s2(setting: S2Setting) -> Self {
        Self(Encoding::S2(S2Writer::new(setting)))
    }

    fn tls(writer: TlsWriter) -> Self {
        Self(Encoding::Tls(writer))
    }

    /// Takes bytes from the start of `plain` and appends to `encoded` what stands for them; returns how many it took. Given
    /// nothing, it appends what it has to send for other reasons.
    pub fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> usize {
        match &mut self.0 {
            Encoding::Framed(writer) => writer.encode(plain, encoded),
            Encoding::S2(writer) => writer.encode(plain, encoded),
            Encoding::Tls(writer) => writer.encode(plain, encoded),
            Encoding::WebSocket(writer) => writer.encode(plain, encoded),
        }
    }

    /// Whether it can encode nothing more, so that all that it is given is lost: the connection is to end.
    pub fn has_failed(&self) -> bool {
        match &self.0 {
            Encoding::Framed(_) | Encoding::S2(_) | Encoding::WebSocket(_) => false,
            Encoding::Tls(writer) => writer.has_failed(),
        }
    }

    /// Whether nobody but the peer can read what it makes.
    #[cfg(feature = "sim")]
    pub(crate) fn encrypts(&self) -> bool {
        matches!(self.0, Encoding::Tls(_))
    }

    /// Frees what it can make anew. For a connection that has nothing more to write for now.
    pub fn release(&mut self) {
        match &mut self.0 {
            Encoding::Framed(_) | Encoding::Tls(_) => {}
            Encoding::S2(writer) => writer.release(),
            Encoding::WebSocket(writer) => writer.release(),
        }
    }

    /// Says that nothing follows.
    pub fn finish(&mut self, encoded: &mut Vec<u8>) {
        match &mut self.0 {
            Encoding::Framed(writer) => writer.finish(encoded),
            // A stream has no end but that of its connection.
            Encoding::S2(_) => {}
            Encoding::Tls(writer) => writer.finish(encoded),
            Encoding::WebSocket(writer) => writer.finish(encoded),
        }
    }
}

impl DecodeError {
    /// Under which name the connection ends.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::Corrupt => CloseReason::ReadError,
            Self::NoWebSocket(_) | Self::Frames(_) => CloseReason::InvalidFrames,
            Self::Ended => CloseReason::ClientClosed,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt => f.write_str("bytes that cannot be decoded"),
            Self::NoWebSocket(refusal) => write!(f, "websocket handshake error: {refusal}"),
            Self::Frames(fault) => write!(f, "read error: {fault}"),
            Self::Ended => f.write_str("nothing follows"),
        }
    }
}

impl error::Error for DecodeError {}

/// How many transforms one direction of a connection may have on top of each other: S2 within WebSocket within TLS.
pub const MAX_LAYERS: usize = 3;

/// No transform is asked for more while this many bytes that it made wait. What one call makes of what it is given, at most
/// as much again, may come on top.
pub const CODED_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
