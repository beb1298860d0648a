//! The client's end of a WebSocket (RFC 6455, wire.md 6.5), and a reader of what either end writes. Both share nothing with the
//! transform of servers, so that what is wrong there is found here.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use memchr::memmem;

use crate::transport::DecodeError;

/// What a client by WebSocket says around what it says, and hears around what it hears.
#[derive(Debug)]
pub(super) struct ClientSocket {
    /// Some messages are compressed.
    compresses: bool,
    /// What it may not say before the server has answered.
    waiting: Vec<u8>,
    /// How many times it said something.
    sayings: u32,
    heard: FrameReader,
}

impl ClientSocket {
    pub(super) fn new(compresses: bool) -> Self {
        Self { compresses, waiting: Vec::new(), sayings: 0, heard: FrameReader::default() }
    }

    /// What it begins with.
    pub(super) fn request(&self) -> Vec<u8> {
        let extension = if self.compresses { EXTENSION } else { "" };
        format!(
            "GET / HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extension}\r\n"
        )
        .into_bytes()
    }

    /// The frames of an operation, each time in another of the ways that there are: one message of one frame, or of several with
    /// something between them, or compressed. The last byte of the operation is always the last one that is written.
    pub(super) fn wrap(&mut self, operation: &[u8]) -> Vec<u8> {
        self.sayings += 1;
        let (mask, mut frames) = (self.sayings.wrapping_mul(0x9E37_79B9).to_be_bytes(), Vec::new());
        let mut push = |first, payload: &[u8]| push_frame(&mut frames, first, mask, payload);
        let (half, last) = (operation.len() / 2, operation.len().saturating_sub(1));
        match self.sayings % 4 {
            0 => push(FINAL | BINARY, operation),
            1 => {
                push(TEXT, b"");
                push(CONTINUATION, &operation[..half]);
                push(FINAL | PING, b"between");
                push(FINAL | CONTINUATION, &operation[half..]);
            }
            2 if self.compresses => {
                // What was said may be known before the last byte of what is compressed is there.
                let (start, end) = operation.split_at(last);
                let compressed = deflate(start);
                let (first, second) = compressed.split_at(compressed.len() / 2);
                push(COMPRESSED | BINARY, first);
                push(FINAL | CONTINUATION, second);
                push(FINAL | BINARY, end);
            }
            _ => {
                push(FINAL | PONG, b"");
                push(BINARY, &operation[..half]);
                push(FINAL | CONTINUATION, &operation[half..]);
            }
        }
        frames
    }

    /// What of that may be written now.
    pub(super) fn pass(&mut self, frames: Vec<u8>) -> Vec<u8> {
        if self.heard.is_open() {
            return frames;
        }
        self.waiting.extend(frames);
        Vec::new()
    }

    /// What these bytes from the server mean, which come next.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let plain = self.heard.read(bytes)?;
        if self.heard.is_open() && self.heard.compresses != self.compresses {
            return Err(DecodeError::Corrupt);
        }
        Ok(plain)
    }

    /// What had to wait and may be written now, once.
    pub(super) fn take_waiting(&mut self) -> Option<Vec<u8>> {
        let may_be_written = self.heard.is_open() && !self.waiting.is_empty();
        may_be_written.then(|| std::mem::take(&mut self.waiting))
    }
}

/// Appends a frame of a client, with its mask. `first` is its first byte, which says what it is.
pub fn push_frame(frames: &mut Vec<u8>, first: u8, mask: [u8; 4], payload: &[u8]) {
    frames.push(first);
    match payload.len() {
        length @ ..126 => frames.push(MASKED | length as u8),
        length @ ..65_536 => {
            frames.push(MASKED | TWO_BYTES);
            frames.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frames.push(MASKED | EIGHT_BYTES);
            frames.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(&mask);
    let start = frames.len();
    frames.extend_from_slice(payload);
    let words = frames[start..].chunks_mut(mask.len());
    words.flat_map(|word| word.iter_mut().zip(mask)).for_each(|(byte, mask)| *byte ^= mask);
}

/// Reads what one end writes: what asks for a WebSocket or grants it, and then frames.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    phase: Phase,
    /// Messages may be compressed.
    compresses: bool,
    /// What is not whole.
    unread: Vec<u8>,
    /// What came of a compressed message.
    compressed: Option<Vec<u8>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The request, or the answer to it.
    #[default]
    Opening,
    /// Frames.
    Open,
    /// The writer said that nothing follows.
    Closed,
}

impl FrameReader {
    fn is_open(&self) -> bool {
        self.phase != Phase::Opening
    }

    /// What these bytes mean, which come next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        self.unread.extend_from_slice(bytes);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_slice();
        let mut plain = Vec::new();
        if self.phase == Phase::Opening
            && let Some(end) = memmem::find(rest, HEAD_END)
        {
            let (head, frames) = rest.split_at(end + HEAD_END.len());
            self.open(head)?;
            rest = frames;
        }
        while self.phase == Phase::Open
            && let Some(frame) = Frame::read(rest)
        {
            rest = &rest[frame.bytes..];
            self.take_in(frame, &mut plain)?;
        }
        if self.phase == Phase::Closed && !rest.is_empty() {
            return Err(DecodeError::Corrupt);
        }
        self.unread = rest.to_vec();
        Ok(plain)
    }

    fn open(&mut self, head: &[u8]) -> Result<(), DecodeError> {
        if !head.starts_with(b"GET ") && !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(DecodeError::Corrupt);
        }
        self.phase = Phase::Open;
        self.compresses = memmem::find(head, b"permessage-deflate").is_some();
        Ok(())
    }

    fn take_in(&mut self, frame: Frame, plain: &mut Vec<u8>) -> Result<(), DecodeError> {
        match frame.first & OPCODE {
            CLOSE => self.phase = Phase::Closed,
            PING | PONG => {}
            CONTINUATION | TEXT | BINARY => {
                if frame.first & COMPRESSED != 0 && self.compresses {
                    self.compressed = Some(Vec::new());
                }
                match &mut self.compressed {
                    Some(compressed) => compressed.extend(frame.payload),
                    None => plain.extend(frame.payload),
                }
                if frame.first & FINAL != 0
                    && let Some(compressed) = self.compressed.take()
                {
                    inflate(compressed, plain)?;
                }
            }
            _ => return Err(DecodeError::Corrupt),
        }
        Ok(())
    }
}

struct Frame {
    /// Flags and what it is.
    first: u8,
    payload: Vec<u8>,
    /// How long it is, its head included.
    bytes: usize,
}

impl Frame {
    /// The first of these bytes, if they are all there. Only a client masks them.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (length, rest) = match second & !MASKED {
            TWO_BYTES => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            EIGHT_BYTES => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
            }
            length => (usize::from(length), rest),
        };
        let (mask, rest) = if second & MASKED == 0 { (&[0; 4], rest) } else { rest.split_first_chunk()? };
        let payload = rest.get(..length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        Some(Self { first, payload, bytes: bytes.len() - rest.len() + length })
    }
}

/// Compresses a message for itself, without what each would end with (RFC 7692 7.2.1).
pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    // Writing into a vector cannot fail.
    let _ = encoder.write_all(message).and_then(|()| encoder.flush());
    let compressed = encoder.get_ref();
    compressed[..compressed.len() - TAIL.len()].to_vec()
}

fn inflate(mut message: Vec<u8>, plain: &mut Vec<u8>) -> Result<(), DecodeError> {
    message.extend_from_slice(&TAIL);
    message.extend_from_slice(&LAST_BLOCK);
    DeflateDecoder::new(message.as_slice()).read_to_end(plain).map(drop).map_err(|_| DecodeError::Corrupt)
}

const EXTENSION: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n";

const HEAD_END: &[u8] = b"\r\n\r\n";

const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const MASKED: u8 = 0x80;
/// The length follows in two bytes, or in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// What a writer leaves out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// An empty block that is the last one.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_read_again_whichever_way_it_is_framed_and_cut() {
        for compresses in [false, true] {
            let mut client = ClientSocket::new(compresses);
            let mut written = client.request();
            let operations: Vec<Vec<u8>> = [0, 1, 2, 60, 125, 126, 700, 65_535, 65_536, 70_000]
                .into_iter()
                .flat_map(|length| [length; 4])
                .map(|length| (0..length).map(|byte| (byte % 251) as u8).collect())
                .collect();
            let frames: Vec<_> = operations.iter().flat_map(|operation| client.wrap(operation)).collect();
            assert!(client.pass(frames.clone()).is_empty() && client.take_waiting().is_none());
            written.extend(&frames);
            for step in [1, 2, 3, 1_000, written.len()] {
                let (mut reader, mut read) = (FrameReader::default(), Vec::new());
                written.chunks(step).for_each(|part| read.extend(reader.read(part).unwrap()));
                assert!(read == operations.concat(), "cut every {step} bytes, {compresses}");
            }
            let extension = if compresses { EXTENSION } else { "" };
            client.hear(format!("HTTP/1.1 101 Switching Protocols\r\n{extension}\r\n").as_bytes()).unwrap();
            assert_eq!(client.take_waiting(), Some(frames));
            assert_eq!(client.take_waiting(), None);
        }
    }

    #[test]
    fn what_is_no_websocket_is_told_apart() {
        let hear = |compresses, bytes: &[u8]| ClientSocket::new(compresses).hear(bytes).is_ok();
        assert!(hear(false, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x82\x02hi\x88\x00"));
        assert!(!hear(true, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "it was asked to compress");
        assert!(!hear(false, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        assert!(
            !hear(false, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x83\x02hi"),
            "there is no such frame"
        );
        assert!(
            !hear(false, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x88\x00\x82\x02hi"),
            "it said goodbye"
        );
    }
}
