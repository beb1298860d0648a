//! A WebSocket that anybody may have asked for, and frames that anybody may have made: what is good before a fault is read as it
//! was, nothing is read behind it, and what is answered is frames, too.

use std::sync::Arc;

use onehop::CloseReason;
use onehop::sim::websocket::{deflate, push_frame};
use onehop::transport::{DecodeError, Decoder, Encoder, WebSocket, WebSocketTerms};

use crate::Choices;

/// The input chooses the terms, a request, good or not, and then messages: compressed or not, in frames with pings between them,
/// some of them damaged, and any bytes under any head; and how all that is divided on its way.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let terms = WebSocketTerms {
        compression: choices.flag(),
        same_origin: choices.flag(),
        max_message_bytes: MAX_MESSAGE_BYTES,
        ..WebSocketTerms::default()
    };
    let mut server = Server::new(terms);
    let Some(compresses) = server.grant(&request(&mut choices)) else { return };
    let pieces: Vec<usize> = (0..choices.below(5)).map(|_| 1 + choices.below(256)).collect();
    let mut sent = Sent::default();
    for _ in 0..MAX_MESSAGES {
        if choices.is_empty() {
            break;
        }
        sent.add(&mut choices, compresses);
    }
    server.read(&pieces, &sent);
    server.write(&sent);
}

/// Mostly a good one.
fn request(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut request = REQUEST.to_vec();
    match choices.below(8) {
        0 => {
            let place = choices.below(256) % request.len();
            request[place] ^= choices.byte();
        }
        1 => request = [choices.bytes(), b"\r\n\r\n"].concat(),
        2 => request.extend_from_slice(choices.bytes()),
        _ => {}
    }
    request
}

/// This end of a connection.
struct Server {
    websocket: WebSocket,
    decoder: Decoder,
    encoder: Encoder,
}

impl Server {
    fn new(terms: WebSocketTerms) -> Self {
        let websocket = WebSocket::new(Arc::new(terms));
        let (decoder, encoder) = (websocket.decoder(), websocket.encoder());
        Self { websocket, decoder, encoder }
    }

    /// Lets somebody in who asks so, and tells whether messages may be compressed. Who does not come in hears a status and nothing
    /// else.
    fn grant(&mut self, request: &[u8]) -> Option<bool> {
        let mut plain = Vec::new();
        let read = self.decoder.decode(request, &mut plain);
        assert_eq!(plain, b"", "a request means nothing");
        let mut answer = Vec::new();
        let taken = self.encoder.encode(b"INFO", &mut answer);
        let said = String::from_utf8_lossy(&answer);
        match read {
            Ok(all) => {
                assert_eq!(all, request.len());
                assert_eq!(
                    (self.websocket.is_open(), taken),
                    (taken > 0, 4 * usize::from(self.websocket.is_open()))
                );
                assert_eq!(said.starts_with("HTTP/1.1 101 "), taken > 0);
            }
            Err(fault) => {
                assert!(matches!(fault, DecodeError::NoWebSocket(_)) && !self.websocket.is_open());
                assert!(
                    taken == 4
                        && !said.contains("INFO")
                        && (said.is_empty() || said.starts_with("HTTP/1.1 4"))
                );
            }
        }
        self.websocket.is_open().then(|| said.contains("permessage-deflate"))
    }

    /// In pieces of these lengths, one after the other and again, or at once.
    fn read(&mut self, pieces: &[usize], sent: &Sent) {
        let (mut all, mut rest) = (Vec::new(), &sent.stream[..]);
        let good = &sent.plain[..sent.good_bytes.unwrap_or(sent.plain.len())];
        let mut lengths = pieces.iter().cycle();
        while !rest.is_empty() {
            let at_once = lengths.next().map_or(rest.len(), |length| *length);
            let mut piece = &rest[..rest.len().min(at_once)];
            rest = &rest[piece.len()..];
            loop {
                let mut plain = Vec::new();
                match self.decoder.decode(piece, &mut plain) {
                    Err(_) => {
                        assert!(sent.good_bytes.is_some() && all.starts_with(good), "a fault where none is");
                        assert!(self.decoder.decode(b"more", &mut plain).is_err() && plain.is_empty());
                        return;
                    }
                    Ok(0) if plain.is_empty() => break,
                    Ok(taken) => piece = &piece[taken..],
                }
                assert!(plain.len() <= MOST_AT_ONCE, "{}", plain.len());
                all.append(&mut plain);
            }
        }
        assert!(!sent.must_fail, "a fault is not found");
        assert!(sent.good_bytes.is_some() || all == good, "the bytes that were sent");
    }

    /// What is written are frames of bytes, between them at most the answer to a ping, and at the end why.
    fn write(&mut self, sent: &Sent) {
        let said = &sent.plain[..sent.plain.len().min(MAX_SAID_BYTES)];
        let mut encoded = Vec::new();
        let taken = self.encoder.encode(said, &mut encoded);
        assert_eq!(taken, said.len());
        self.websocket.handle_end(CloseReason::ServerShutdown);
        self.encoder.finish(&mut encoded);
        let mut kinds = Vec::new();
        let mut rest = &encoded[..];
        while let [first, length, after @ ..] = rest {
            let (length, after) = match length {
                126 => (usize::from(after[0]) << 8 | usize::from(after[1]), &after[2..]),
                length => (usize::from(*length), after),
            };
            assert!(first & 0x8f == *first & !0x40 && length <= after.len(), "{encoded:?}");
            kinds.push(first & 0x0f);
            rest = &after[length..];
        }
        let pongs = usize::from(kinds.first() == Some(&PONG));
        assert!(pongs == 0 || sent.has_pings || sent.good_bytes.is_some(), "an answer to nothing");
        let messages = usize::from(!said.is_empty());
        assert_eq!(kinds[pongs..], [&vec![BINARY; messages][..], &[CLOSE]].concat());
    }
}

/// What a client sends.
#[derive(Default)]
struct Sent {
    stream: Vec<u8>,
    /// What it means, as far as it is good.
    plain: Vec<u8>,
    /// Behind a fault nothing is said of what is read.
    good_bytes: Option<usize>,
    /// There is a fault that nobody can miss.
    must_fail: bool,
    has_pings: bool,
}

impl Sent {
    fn add(&mut self, choices: &mut Choices<'_>, may_compress: bool) {
        let start = self.stream.len();
        match choices.below(8) {
            0 => {
                self.note_fault(false);
                let head = [choices.byte(), 0x80 | choices.byte()];
                self.stream.extend_from_slice(&head);
                self.stream.extend_from_slice(choices.bytes());
            }
            1 => {
                self.note_fault(false);
                self.add_message(choices, may_compress);
                let place = start + choices.below(256) % (self.stream.len() - start);
                self.stream[place] ^= choices.byte();
            }
            2 => {
                self.note_fault(true);
                self.add_fault(choices);
            }
            _ => self.add_message(choices, may_compress),
        }
    }

    fn note_fault(&mut self, cannot_be_missed: bool) {
        // What follows something that may be a fault may be a part of it.
        self.must_fail |= cannot_be_missed && self.good_bytes.is_none();
        self.good_bytes.get_or_insert(self.plain.len());
    }

    /// What ends a connection wherever it comes between messages.
    fn add_fault(&mut self, choices: &mut Choices<'_>) {
        match choices.below(7) {
            0 => self.add_frame(choices, 0x80 | CLOSE, &[3, 232]),
            1 => self.add_frame(choices, 0x80, b"goes on with nothing"),
            2 => {
                self.add_frame(choices, BINARY, b"");
                self.add_frame(choices, 0x80 | BINARY, b"within another");
            }
            3 => self.add_frame(choices, 0xa0 | BINARY, b"reserved"),
            4 => self.add_frame(choices, PING, b"in parts"),
            5 => self.add_frame(choices, 0x83, b"unknown"),
            _ => self.stream.extend_from_slice(&[0x82, 1, b'x']),
        }
    }

    /// One in several frames, with pings between them.
    fn add_message(&mut self, choices: &mut Choices<'_>, may_compress: bool) {
        let body = choices.bytes().repeat(choices.pick(&[1, 1, 3, 100, 1000]));
        let is_compressed = choices.flag();
        if is_compressed && (!may_compress || body.len() > MAX_MESSAGE_BYTES) {
            self.note_fault(true);
        }
        let payload = if is_compressed { deflate(&body) } else { body.clone() };
        let frames = 1 + choices.below(4);
        let bytes = payload.len().div_ceil(frames).max(1);
        let mut parts: Vec<&[u8]> = payload.chunks(bytes).collect();
        parts.resize(frames.max(parts.len()), &[]);
        for (place, part) in parts.iter().enumerate() {
            if choices.flag() {
                self.has_pings = true;
                self.add_frame(choices, 0x80 | PING, b"between");
            }
            let kind = if place == 0 { BINARY | (u8::from(is_compressed) * 0x40) } else { 0 };
            let last = if place + 1 == parts.len() { 0x80 } else { 0 };
            self.add_frame(choices, kind | last, part);
        }
        self.plain.extend(body);
    }

    fn add_frame(&mut self, choices: &mut Choices<'_>, first: u8, payload: &[u8]) {
        push_frame(&mut self.stream, first, [choices.byte(), 1, 2, 3], payload);
    }
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Some of the messages mean more.
const MAX_MESSAGE_BYTES: usize = 100_000;

/// So much is written in one frame with a short length.
const MAX_SAID_BYTES: usize = 60_000;

/// More of them tell nothing new.
const MAX_MESSAGES: usize = 20;

/// A call hands on so much, and what it found in that before.
const MOST_AT_ONCE: usize = 2 * 64 * 1024;
