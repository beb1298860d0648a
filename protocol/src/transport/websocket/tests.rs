use std::sync::Arc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::frame::{COMPRESSED, FINAL, opcode};
use super::*;
use crate::close::CloseReason;
use crate::sim::websocket::push_frame;
use crate::transport::{CODED_BYTES, DecodeError, Decoder, Encoder};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn request(further: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: here:80\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\n{KEY}{further}\r\n"
    )
}

fn terms() -> WebSocketTerms {
    WebSocketTerms { compression: true, max_message_bytes: 1_000_000, ..WebSocketTerms::default() }
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

    /// One whose client asked for it, and was answered.
    fn open(further: &str) -> Self {
        let mut server = Self::new(terms());
        assert_eq!(server.read(request(further).as_bytes()), Ok(Vec::new()));
        assert!(server.write(b"").starts_with(ACCEPTED.as_bytes()));
        server
    }

    /// What comes of bytes, and of what was held back of them.
    fn read(&mut self, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let (mut rest, mut all) = (bytes, Vec::new());
        loop {
            let mut plain = Vec::new();
            let taken = self.decoder.decode(rest, &mut plain)?;
            assert!(plain.len() <= CODED_BYTES, "{}", plain.len());
            rest = &rest[taken..];
            if taken == 0 && plain.is_empty() {
                assert!(rest.is_empty());
                return Ok(all);
            }
            all.append(&mut plain);
        }
    }

    /// What the peer gets when this is to be sent.
    fn write(&mut self, plain: &[u8]) -> Vec<u8> {
        let (mut rest, mut encoded) = (plain, Vec::new());
        loop {
            let taken = self.encoder.encode(rest, &mut encoded);
            rest = &rest[taken..];
            if taken == 0 || rest.is_empty() {
                assert!(rest.is_empty(), "it takes nothing");
                return encoded;
            }
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        let mut encoded = Vec::new();
        self.encoder.finish(&mut encoded);
        encoded
    }
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, first, [1, 2, 3, 250], payload);
    frame
}

fn message(payload: &[u8]) -> Vec<u8> {
    frame(FINAL | opcode::BINARY, payload)
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::with_capacity(payload.len() * 2 + 64);
    let mut stream = Compress::new(Compression::best(), false);
    stream.compress_vec(payload, &mut compressed, FlushCompress::Sync).expect("compressed");
    compressed.truncate(compressed.len() - 4);
    compressed
}

fn inflated(compressed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(1_000_000);
    let input = [compressed, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&input, &mut plain, FlushDecompress::Sync).expect("good");
    plain
}

#[test]
fn what_is_to_be_said_waits_until_a_request_is_answered_wherever_that_is_divided() {
    let request = request("");
    for place in 0..request.len() {
        let mut server = Server::new(terms());
        let (start, end) = request.split_at(place);
        assert_eq!(server.read(start.as_bytes()), Ok(Vec::new()));
        assert_eq!(server.encoder.encode(b"INFO", &mut Vec::new()), 0);
        assert!(!server.websocket.is_open());
        assert_eq!(server.read(end.as_bytes()), Ok(Vec::new()));
        assert!(server.websocket.is_open());
        assert_eq!(server.write(b"INFO"), [ACCEPTED.as_bytes(), b"\r\n\x82\x04INFO"].concat());
    }
}

#[test]
fn headers_of_the_operator_stand_in_the_answer() {
    let headers =
        [("X-A", "1"), ("X-B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut server = Server::new(WebSocketTerms { headers, ..terms() });
    assert_eq!(server.read(request("").as_bytes()), Ok(Vec::new()));
    assert_eq!(server.write(b""), [ACCEPTED, "X-A: 1\r\nX-B: 2\r\n\r\n"].concat().as_bytes());
}

/// Asks as `change` makes of a good request. Nothing of what waits may come out.
fn refused(terms: WebSocketTerms, request: &str) -> (WebSocketRefusal, String) {
    let mut server = Server::new(terms);
    let Err(DecodeError::NoWebSocket(refusal)) = server.read(request.as_bytes()) else {
        panic!("granted: {request}");
    };
    assert!(!server.websocket.is_open());
    let answer = String::from_utf8(server.write(b"INFO {}\r\n")).expect("text");
    server.websocket.handle_end(CloseReason::InvalidFrames);
    assert_eq!(server.finish(), b"");
    (refusal, answer)
}

#[test]
fn who_asks_for_something_else_is_told_so_and_hears_nothing_else() {
    let good = request("");
    for (from, to, refusal, status) in [
        ("GET / HTTP/1.1", "POST / HTTP/1.1", WebSocketRefusal::Method, "405 Method Not Allowed"),
        ("GET /", "GET /mqtt", WebSocketRefusal::Mqtt, "404 Not Found"),
        ("GET /", "GET /leafnode?x", WebSocketRefusal::LeafNode, "404 Not Found"),
        ("Host: here:80\r\n", "", WebSocketRefusal::NoHost, "400 Bad Request"),
        ("Upgrade: websocket\r\n", "", WebSocketRefusal::Upgrade, "400 Bad Request"),
        (
            "Connection: keep-alive, Upgrade",
            "Connection: close",
            WebSocketRefusal::Connection,
            "400 Bad Request",
        ),
        ("Version: 13", "Version: 8", WebSocketRefusal::Version, "400 Bad Request"),
        (KEY, "", WebSocketRefusal::NoKey, "400 Bad Request"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "YWJj", WebSocketRefusal::Key, "400 Bad Request"),
        ("GET / HTTP/1.1\r\n", "CONNECT {}\r\n", WebSocketRefusal::NoRequest, "400 Bad Request"),
        ("GET / HTTP/1.1\r\n", "\u{0}\u{1}\r\n", WebSocketRefusal::NoRequest, "400 Bad Request"),
    ] {
        assert!(good.contains(from));
        let (found, answer) = refused(terms(), &good.replacen(from, to, 1));
        assert_eq!(found, refusal);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(
            status.ends_with(body.trim_end())
                && answer.contains(&format!("Content-Length: {}\r\n", body.len()))
        );
    }
}

#[test]
fn a_request_may_take_only_so_much() {
    let long = request(&format!("X: {}\r\n", "x".repeat(MAX_REQUEST_BYTES)));
    let many: String = (0..MAX_REQUEST_HEADERS).map(|number| format!("X{number}: 1\r\n")).collect();
    for request in [long.clone(), request(&many), long[..MAX_REQUEST_BYTES].to_owned()] {
        let (found, answer) = refused(terms(), &request);
        assert_eq!(found, WebSocketRefusal::TooLarge);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    // As much as may be, and then it goes on.
    assert_eq!(Server::new(terms()).read(&long.as_bytes()[..MAX_REQUEST_BYTES - 1]), Ok(Vec::new()));
}

#[test]
fn who_does_not_wait_for_the_answer_gets_none() {
    for early in ["PING\r\n", "\u{2}\u{6}"] {
        assert_eq!(refused(terms(), &(request("") + early)), (WebSocketRefusal::EarlyData, String::new()));
    }
}

#[test]
fn a_page_comes_in_from_where_it_may_be_from_and_who_is_no_page_from_anywhere() {
    let origins =
        || vec!["http://here".parse().expect("an origin"), "https://there:8443".parse().expect("one")];
    let judged = |terms: WebSocketTerms, origin: &str| {
        let request = request(&format!("Origin: {origin}\r\n"));
        Server::new(terms).read(request.as_bytes()).map_err(|error| match error {
            DecodeError::NoWebSocket(refusal) => refusal,
            other => panic!("{other}"),
        })
    };
    let same = WebSocketTerms { same_origin: true, ..terms() };
    let listed = WebSocketTerms { allowed_origins: origins(), ..terms() };
    let both = WebSocketTerms { same_origin: true, ..listed.clone() };
    let tls = WebSocketTerms { is_tls: true, ..same.clone() };
    assert_eq!(judged(terms(), "null"), Ok(Vec::new()));
    for (terms, origin, refusal) in [
        (&same, "http://here", None),
        (&same, "HTTP://HERE:80", None),
        (&same, "https://here", Some(WebSocketRefusal::OtherOrigin)),
        (&same, "http://elsewhere", Some(WebSocketRefusal::OtherOrigin)),
        (&same, "null", Some(WebSocketRefusal::NoOrigin)),
        (&tls, "http://here", None),
        (&listed, "https://there:8443", None),
        (&listed, "https://there", Some(WebSocketRefusal::UnlistedOrigin)),
        (&listed, "http://there:8443", Some(WebSocketRefusal::UnlistedOrigin)),
        (&both, "http://here", None),
        (&both, "https://there:8443", Some(WebSocketRefusal::OtherOrigin)),
    ] {
        assert_eq!(judged(terms.clone(), origin).err(), refusal, "{origin}");
        assert_eq!(Server::new(terms.clone()).read(request("").as_bytes()), Ok(Vec::new()));
    }
}

#[test]
fn messages_are_compressed_for_those_who_can_read_them_so_and_only_if_that_is_wanted() {
    let compresses = |terms: WebSocketTerms, offer: &str| {
        let mut server = Server::new(terms);
        let request = request(&format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        server.read(request.as_bytes()).expect("granted");
        let bytes = server.write(&[b'x'; 100]);
        let is_compressed = bytes.windows(2).any(|start| start[0] == 0xc2 && start[1] < 100);
        let is_said = String::from_utf8_lossy(&bytes)
            .contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n");
        assert_eq!(is_compressed, is_said, "{offer}");
        is_compressed
    };
    for (offer, is_taken) in [
        ("permessage-deflate", true),
        ("permessage-deflate; client_max_window_bits", true),
        ("foo, Permessage-Deflate; server_no_context_takeover; client_no_context_takeover", true),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", true),
        ("permessage-deflate; server_max_window_bits=15", true),
        ("permessage-deflate; server_max_window_bits=10", false),
        ("permessage-deflate; unheard_of", false),
        ("x-webkit-deflate-frame", false),
        ("", false),
    ] {
        assert_eq!(compresses(terms(), offer), is_taken, "{offer}");
        assert!(!compresses(WebSocketTerms { compression: false, ..terms() }, offer));
    }
}

#[test]
fn what_is_written_is_compressed_if_that_makes_it_shorter() {
    let mut server = Server::open(DEFLATE);
    assert_eq!(server.write(&[b'x'; 63])[..2], [0x82, 63]);
    let mut rng = fastrand::Rng::with_seed(7);
    let random: Vec<u8> = (0..2000).map(|_| rng.u8(..)).collect();
    assert_eq!(server.write(&random)[..4], [0x82, 126, 7, 208]);
    for text in [vec![b'x'; 64], b"MSG a 1 5\r\nhello\r\n".repeat(1000)] {
        let encoded = server.write(&text);
        let head_bytes = if encoded[1] == 126 { 4 } else { 2 };
        assert_eq!(encoded[0], 0xc2);
        assert_eq!(inflated(&encoded[head_bytes..]), text);
        server.encoder.release();
    }
}

#[test]
fn long_stretches_are_messages_of_so_many_bytes() {
    let mut server = Server::open("");
    let encoded = server.write(&vec![b'x'; CODED_BYTES + 200]);
    assert_eq!(encoded[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(encoded[10 + CODED_BYTES..][..4], [0x82, 126, 0, 200]);
}

#[test]
fn what_no_client_makes_ends_a_websocket_and_what_was_good_before_it_is_read() {
    let long = vec![0; 126];
    for (bytes, fault, code) in [
        (vec![0x82, 0], WebSocketFault::NoMask, 1002),
        (frame(FINAL, b"x"), WebSocketFault::Continuation, 1002),
        (frame(FINAL | 0x20 | opcode::BINARY, b""), WebSocketFault::ReservedBits, 1002),
        (frame(FINAL | 3, b""), WebSocketFault::UnknownOpcode(3), 1002),
        (frame(FINAL | 11, b""), WebSocketFault::UnknownOpcode(11), 1002),
        (frame(opcode::PING, b""), WebSocketFault::FragmentedControlFrame, 1002),
        (frame(FINAL | opcode::PING, &long), WebSocketFault::LongControlFrame, 1002),
        (frame(FINAL | COMPRESSED | opcode::PING, b""), WebSocketFault::CompressedControlFrame, 1002),
        (frame(FINAL | opcode::CLOSE, b"x"), WebSocketFault::CloseLength, 1002),
        (frame(FINAL | opcode::CLOSE, &[3, 237]), WebSocketFault::CloseCode(1005), 1002),
        ([&[0x82, 0xff][..], &[0xff; 12]].concat(), WebSocketFault::Length, 1002),
        ([frame(opcode::BINARY, b""), message(b"")].concat(), WebSocketFault::UnfinishedMessage, 1002),
        (frame(FINAL | COMPRESSED | opcode::BINARY, &[0xff; 5]), WebSocketFault::Compression, 1007),
        (
            [frame(COMPRESSED | opcode::BINARY, b""), frame(FINAL | COMPRESSED, b"")].concat(),
            WebSocketFault::Continuation,
            1002,
        ),
    ] {
        let mut server = Server::open(DEFLATE);
        let mut plain = Vec::new();
        let input = [message(b"good"), bytes].concat();
        let taken = server.decoder.decode(&input, &mut plain).expect("what was good");
        assert_eq!(plain, b"good");
        for _ in 0..2 {
            assert_eq!(
                server.decoder.decode(&input[taken..], &mut Vec::new()),
                Err(DecodeError::Frames(fault))
            );
        }
        // It is said last, whatever the connection says it ends for.
        server.websocket.handle_end(CloseReason::InvalidFrames);
        assert_eq!(server.write(b"a"), [0x82, 1, b'a']);
        let last = server.finish();
        assert_eq!((last[0], u16::from_be_bytes([last[2], last[3]])), (0x88, code));
        assert_eq!(last[4..], *fault.to_string().as_bytes());
    }
    let mut server = Server::open("");
    let compressed = frame(FINAL | COMPRESSED | opcode::BINARY, b"");
    assert_eq!(server.read(&compressed), Err(DecodeError::Frames(WebSocketFault::UnexpectedCompression)));
}

#[test]
fn of_pings_that_wait_the_last_is_answered_and_pongs_are_taken() {
    let mut server = Server::open("");
    let input = [
        frame(FINAL | opcode::PING, b"one"),
        frame(FINAL | opcode::PONG, b"unasked"),
        frame(FINAL | opcode::PING, b"two"),
    ];
    assert_eq!(server.read(&input.concat()), Ok(Vec::new()));
    assert_eq!(server.write(b"a"), b"\x8a\x03two\x82\x01a");
    assert_eq!(server.write(b""), b"");
    for _ in 0..10_000 {
        server.read(&frame(FINAL | opcode::PING, &[b'p'; 125])).expect("a ping");
    }
    assert_eq!(server.write(b"").len(), 127);
}

#[test]
fn a_close_is_answered_behind_what_was_to_be_said() {
    for (payload, answer) in [
        (&b""[..], &b"\x88\x00"[..]),
        (b"\x03\xe8bye", b"\x88\x05\x03\xe8bye"),
        (b"\x03\xe8\xff", b"\x88\x22\x03\xefinvalid utf8 body in close frame"),
    ] {
        let mut server = Server::open("");
        assert_eq!(server.read(&frame(FINAL | opcode::CLOSE, payload)), Err(DecodeError::Ended));
        server.websocket.handle_end(CloseReason::ClientClosed);
        assert_eq!(server.write(b"last"), b"\x82\x04last");
        assert_eq!(server.finish(), answer);
    }
}

#[test]
fn a_client_is_told_why_its_connection_ends() {
    for (reason, code) in [
        (CloseReason::ClientClosed, 1000),
        (CloseReason::ServerShutdown, 1001),
        (CloseReason::StaleConnection, 1001),
        (CloseReason::ProtocolViolation, 1002),
        (CloseReason::AuthenticationFailure, 1008),
        (CloseReason::MaximumPayloadExceeded, 1009),
        (CloseReason::InternalError, 1011),
    ] {
        let mut server = Server::open("");
        server.websocket.handle_end(reason);
        let text = reason.as_str();
        let expected = [&[0x88, text.len() as u8 + 2][..], &u16::to_be_bytes(code), text.as_bytes()].concat();
        assert_eq!(server.finish(), expected);
    }
}

#[test]
fn who_is_left_without_a_reason_is_told_that_the_server_goes() {
    assert_eq!(Server::open("").finish(), b"\x88\x02\x03\xe9");
}

#[test]
fn who_never_asked_is_told_nothing() {
    let mut server = Server::new(terms());
    server.read(b"GET / HT").expect("the beginning of a request");
    server.websocket.handle_end(CloseReason::ClientClosed);
    assert_eq!(server.write(b"INFO {}\r\n"), b"");
    assert_eq!(server.finish(), b"");
}

#[test]
fn a_compressed_message_means_no_more_than_one_may_and_takes_no_more_memory_than_any() {
    let most = terms().max_message_bytes;
    for (bytes, is_good) in [(most, true), (most + 1, false), (100 * most, false)] {
        let mut server = Server::open(DEFLATE);
        let bomb = frame(FINAL | COMPRESSED | opcode::BINARY, &deflated(&vec![b'x'; bytes]));
        let read = server.read(&bomb);
        match is_good {
            true => assert_eq!(read.map(|plain| plain.len()), Ok(most)),
            false => assert_eq!(read, Err(DecodeError::Frames(WebSocketFault::TooLong))),
        }
    }
}

#[test]
fn a_writer_may_end_its_stream_within_a_message() {
    let mut ended = Vec::with_capacity(100);
    Compress::new(Compression::best(), false)
        .compress_vec(b"Hello", &mut ended, FlushCompress::Finish)
        .expect("good");
    let mut server = Server::open(DEFLATE);
    // As RFC 7692 7.2.3.4 has it.
    let payload = [&ended[..], &[0]].concat();
    assert_eq!(server.read(&frame(FINAL | COMPRESSED | opcode::BINARY, &payload)), Ok(b"Hello".to_vec()));
    assert_eq!(server.read(&message(b"on")), Ok(b"on".to_vec()));
}

/// What a client may send: a message in frames, or what may stand between them.
#[derive(Clone, Debug)]
struct Sent {
    payload: Vec<u8>,
    /// How often each byte is repeated.
    times: usize,
    is_compressed: bool,
    /// Where it is divided into frames.
    places: Vec<usize>,
    /// Whether there is a ping before each frame.
    pings: bool,
}

impl Sent {
    fn plain(&self) -> Vec<u8> {
        self.payload.repeat(self.times)
    }

    fn frames(&self) -> Vec<u8> {
        let payload = if self.is_compressed { deflated(&self.plain()) } else { self.plain() };
        let mut places: Vec<usize> = self.places.iter().map(|place| place % (payload.len() + 1)).collect();
        places.extend([0, payload.len()]);
        places.sort_unstable();
        let mut bytes = Vec::new();
        for (number, pair) in places.windows(2).enumerate() {
            if self.pings {
                bytes.extend(frame(FINAL | opcode::PING, b"between"));
            }
            let first =
                if number == 0 { opcode::BINARY | (u8::from(self.is_compressed) * COMPRESSED) } else { 0 };
            let last = if number + 2 == places.len() { FINAL } else { 0 };
            bytes.extend(frame(first | last, &payload[pair[0]..pair[1]]));
        }
        bytes
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let parts =
        (vec(any::<u8>(), 0..200), 0..2000usize, any::<bool>(), vec(any::<usize>(), 0..4), any::<bool>());
    parts.prop_map(|(payload, times, is_compressed, places, pings)| Sent {
        payload,
        times,
        is_compressed,
        places,
        pings,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn messages_are_read_however_they_and_their_frames_are_divided(
        sent in vec(sent(), 0..4),
        pieces in vec(1..5000usize, 1..20),
    ) {
        let plain: Vec<u8> = sent.iter().flat_map(Sent::plain).collect();
        let bytes: Vec<u8> = sent.iter().flat_map(Sent::frames).collect();
        let mut server = Server::open(DEFLATE);
        let (mut rest, mut read) = (&bytes[..], Vec::new());
        for piece in pieces.iter().cycle() {
            let (next, after) = rest.split_at(rest.len().min(*piece));
            read.extend(server.read(next).expect("good frames"));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(read == plain, "{} and {} bytes", read.len(), plain.len());
    }

    #[test]
    fn whatever_is_read_is_read_alike_byte_by_byte(bytes in vec(any::<u8>(), 0..300), starts in vec(any::<u8>(), 0..4)) {
        // Mostly good heads, so that it goes on behind them.
        let input: Vec<u8> = starts.iter().flat_map(|first| frame(*first, &bytes)).chain(bytes.clone()).collect();
        let (mut whole, mut single) = (Server::open(DEFLATE), Server::open(DEFLATE));
        let mut read = Vec::new();
        let outcome = input.iter().try_for_each(|byte| {
            read.extend(single.read(&[*byte])?);
            Ok(())
        });
        let mut plain = Vec::new();
        let mut rest = &input[..];
        let at_once = loop {
            match whole.decoder.decode(rest, &mut plain) {
                Err(error) => break Err(error),
                Ok(0) => break Ok(()),
                Ok(taken) => rest = &rest[taken..],
            }
            if plain.len() >= CODED_BYTES {
                break Ok(());
            }
        };
        prop_assert_eq!(at_once.or_else(|error| if plain.is_empty() { Err(error) } else { whole.decoder.decode(rest, &mut Vec::new()).map(drop) }), outcome);
        prop_assert_eq!(plain, read);
    }
}
