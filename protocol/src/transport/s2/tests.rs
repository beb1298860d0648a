//! Chunks as wire.md 5.4 has them, good and bad, wherever they are divided.

use proptest::prelude::*;

use super::*;
use crate::transport::{CODED_BYTES, DecodeError, Decoder, Encoder, S2Level, S2Limit};

const LEVELS: [S2Level; 4] = [S2Level::Uncompressed, S2Level::Fast, S2Level::Better, S2Level::Best];

/// What a stream begins with.
const BEGIN: &[u8] = b"\xff\x06\x00\x00S2sTwO";

/// `PING`, as a real server sent it.
const PING: &[u8] = b"\x01\x0a\x00\x00\xab\x90\xcc\x24PING\r\n";

fn chunk(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let [low, middle, high, _] = (body.len() as u32).to_le_bytes();
    [&[kind, low, middle, high], &body[..]].concat()
}

fn compressed(block: &[u8]) -> Vec<u8> {
    chunk(kind::COMPRESSED, &[&sum(block), &minlz::s2::encode_best(block)])
}

/// What bytes mean that come in pieces of this size, as far as they are good, and whether they end in a fault.
fn decode(encoded: &[u8], piece: usize) -> (Vec<u8>, Option<DecodeError>) {
    let (mut decoder, mut all) = (Decoder::s2(S2Limit::default()), Vec::new());
    for mut piece in encoded.chunks(piece) {
        loop {
            let mut plain = Vec::new();
            match decoder.decode(piece, &mut plain) {
                Err(fault) => return (all, Some(fault)),
                Ok(0) if plain.is_empty() => break,
                Ok(taken) => piece = &piece[taken..],
            }
            assert!(plain.len() <= CODED_BYTES + piece.len(), "{}", plain.len());
            all.append(&mut plain);
        }
        assert!(piece.is_empty());
    }
    (all, None)
}

fn encode(level: S2Level, plain: &[u8]) -> Vec<u8> {
    let (mut encoder, mut encoded, mut rest) = (Encoder::s2(level.into()), Vec::new(), plain);
    while !rest.is_empty() {
        rest = &rest[encoder.encode(rest, &mut encoded)..];
    }
    encoded
}

#[test]
fn a_line_is_written_and_read_as_real_servers_do_it() {
    for level in LEVELS {
        assert_eq!(encode(level, b"PING\r\n"), [BEGIN, PING].concat());
    }
    for piece in 1..30 {
        assert_eq!(decode(&[BEGIN, PING].concat(), piece), (b"PING\r\n".to_vec(), None));
    }
}

/// What a nats-server 2.15.1 wrote on a route at each level behind its plain INFO: another INFO, its interest, and messages.
const RECORDED: [&[u8]; 4] = [
    include_bytes!("recorded/uncompressed.bin"),
    include_bytes!("recorded/fast.bin"),
    include_bytes!("recorded/better.bin"),
    include_bytes!("recorded/best.bin"),
];

/// The messages in them.
fn recorded_messages() -> Vec<(String, String)> {
    let reading = |number: u32| {
        let value = 20.0 + f64::from(number) * 0.37;
        format!(r#"{{"sensor":{number},"value":{value:.3},"unit":"C","ok":true,"tags":["a","b"]}}"#)
    };
    let level = |number: u32| format!(r#"{{"at":{number},"level":{}}}"#, number * number % 97);
    let small = (0..40).map(|number| (format!("data.s{}", number % 4), reading(number)));
    let big = (0..3000).map(level).collect::<Vec<_>>().join(",");
    small.chain([("data.big".to_owned(), big)]).collect()
}

#[test]
fn what_a_real_server_wrote_at_each_level_is_read() {
    for (level, recorded) in LEVELS.iter().zip(RECORDED) {
        for piece in [1, 1000, 100_000] {
            let (plain, fault) = decode(recorded, piece);
            assert_eq!(fault, None, "{level:?}");
            assert!(plain.starts_with(b"INFO {\"server_id\":\"N"), "{level:?}");
            let mut rest = &plain[..];
            for (subject, body) in recorded_messages() {
                let message = format!("RMSG $G {subject} {}\r\n{body}\r\n", body.len());
                let at = memchr::memmem::find(rest, message.as_bytes());
                rest = &rest[at.unwrap_or_else(|| panic!("{level:?}: {subject}")) + message.len()..];
            }
        }
    }
}

#[test]
fn what_can_be_shorter_becomes_so_and_the_harder_it_is_tried_the_shorter() {
    let text: Vec<u8> =
        (0..3000).flat_map(|number| format!("{{\"sensor\":{number},\"ok\":true}}").into_bytes()).collect();
    let lengths = LEVELS.map(|level| encode(level, &text).len());
    assert!(lengths[0] > text.len() && lengths.is_sorted_by(|easier, harder| easier > harder), "{lengths:?}");
    assert!(lengths[1] * 3 < text.len(), "{lengths:?} of {}", text.len());
}

#[test]
fn what_streams_may_have_beside_blocks_is_skipped() {
    let snappy = chunk(kind::IDENTIFIER, &[SNAPPY]);
    let padding = chunk(0xfe, &[&[0; 300]]);
    let [unknown, empty] = [chunk(0x99, &[b"index"]), chunk(0x80, &[])];
    for begin in [BEGIN, &snappy] {
        let all = [begin, PING, &padding, &unknown, PING, &empty, BEGIN, PING].concat();
        for piece in [1, 2, 3, 5, 7, 11, 100, 1000] {
            assert_eq!(decode(&all, piece), (b"PING\r\n".repeat(3), None), "{piece}");
        }
    }
}

#[test]
fn what_no_writer_makes_is_a_fault_and_what_was_good_before_it_is_read() {
    let block = b"a block ".repeat(8);
    let good = compressed(&block);
    let mut wrong_sum = good.clone();
    wrong_sum[5] ^= 1;
    let mut wrong_block = good.clone();
    *wrong_block.last_mut().expect("a byte") ^= 0x40;
    let too_long = |bytes: u32| {
        let varint = [
            bytes as u8 | 0x80,
            (bytes >> 7) as u8 | 0x80,
            (bytes >> 14) as u8 | 0x80,
            (bytes >> 21) as u8 | 0x80,
            (bytes >> 28) as u8,
        ];
        chunk(kind::COMPRESSED, &[&[0; 4], &varint, b"\x00x"])
    };
    for (what, bad) in [
        ("a wrong sum", wrong_sum),
        ("a wrong block", wrong_block),
        ("a wrong sum of bytes as they are", chunk(kind::UNCOMPRESSED, &[b"sum?", b"PING\r\n"])),
        ("no sum", chunk(kind::UNCOMPRESSED, &[b"sum"])),
        ("a block without a length", chunk(kind::COMPRESSED, &[b"sum?"])),
        ("a block that means too much", too_long(MAX_BLOCK_BYTES as u32 + 1)),
        ("a block that means four gigabytes", too_long(u32::MAX)),
        ("the head of a chunk of 16 MiB", b"\x00\xff\xff\xff".to_vec()),
        ("the same as it is", b"\x01\xff\xff\xff".to_vec()),
        ("a kind that nobody knows", chunk(0x02, &[b""])),
        ("the last kind of those", chunk(0x7f, &[b"x"])),
        ("another beginning", chunk(kind::IDENTIFIER, &[b"S2sTwX"])),
        ("a longer beginning", chunk(kind::IDENTIFIER, &[b"S2sTwO!"])),
    ] {
        let all = [BEGIN, PING, &good, &bad, PING].concat();
        let expected = [&b"PING\r\n"[..], &block].concat();
        for piece in [1, 2, 9, 1000] {
            assert_eq!(decode(&all, piece), (expected.clone(), Some(DecodeError::Corrupt)), "{what}");
        }
    }
    assert_eq!(decode(PING, 100).1, Some(DecodeError::Corrupt), "a stream says first what it is");
}

#[test]
fn a_long_block_is_handed_on_bit_by_bit_and_its_memory_is_given_back() {
    let block: Vec<u8> = (0..MAX_BLOCK_BYTES).map(|at| (at / 1000) as u8).collect();
    let encoded = [BEGIN, &compressed(&block), PING].concat();
    assert!(encoded.len() < MAX_BLOCK_BYTES / 20, "it is a bomb");
    let (mut reader, mut plain) = (S2Reader::new(S2Limit::default()), Vec::new());
    let mut taken = reader.decode(&encoded, &mut plain).expect("good bytes");
    let mut all = Vec::new();
    while !plain.is_empty() {
        assert!(plain.len() <= CODED_BYTES);
        all.append(&mut plain);
        taken += reader.decode(&encoded[taken..], &mut plain).expect("good bytes");
    }
    assert_eq!((all.len(), taken), (MAX_BLOCK_BYTES + 6, encoded.len()));
    assert!(all.starts_with(&block) && all.ends_with(b"PING\r\n"));
    assert_eq!(reader.memory_bytes(), 0);
}

#[test]
fn a_peer_that_is_no_member_yet_may_make_us_hold_only_so_much() {
    let limit = S2Limit::new(1000);
    let decode = |block: &[u8]| {
        let (mut reader, mut plain) = (S2Reader::new(limit.clone()), Vec::new());
        [compressed(block), chunk(kind::UNCOMPRESSED, &[&sum(block), block])].map(|chunk| {
            let whole = [BEGIN, &chunk].concat();
            reader = S2Reader::new(limit.clone());
            plain.clear();
            let taken = reader.decode(&whole, &mut plain);
            taken.is_ok() && plain == block
        })
    };
    assert_eq!((decode(&[b'x'; 1000]), decode(&[b'x'; 1001])), ([true; 2], [false; 2]));
    let mut reader = S2Reader::new(limit.clone());
    let head = [BEGIN, b"\x01\xed\x03\x00"].concat();
    assert!(reader.decode(&head, &mut Vec::new()).is_err(), "a chunk of 1005 bytes is none");
    limit.raise();
    assert_eq!(decode(&[b'x'; 50_000]), [true; 2]);
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again_wherever_it_is_divided(
        words in prop::collection::vec("PING|RMSG [$]G a[.]b[.]c 5|hello|[a-z0-9]{0,90}", 0..400),
        level in 0usize..4,
        piece in 1usize..5000,
    ) {
        let plain = words.join("\r\n").into_bytes();
        prop_assert_eq!(decode(&encode(LEVELS[level], &plain), piece), (plain, None));
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_hold_more_than_came(
        chunks in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..8),
        piece in 1usize..40,
    ) {
        let chunks = chunks.iter().map(|(kind, body)| chunk(kind % 3, &[body])).collect::<Vec<_>>().concat();
        let encoded = [BEGIN, &chunks].concat();
        decode(&encoded, piece);
    }
}
