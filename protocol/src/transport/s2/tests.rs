//! Chunks as wire.md 5.4 has them, good and bad, wherever they are divided.

use proptest::prelude::*;

use super::*;
use crate::transport::{CODED_BYTES, DecodeError, Decoder, Decoding, Encoder, S2Level, S2Limit};

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
    let (mut decoder, mut plain) = (Decoder::s2(S2Limit::default()), Vec::new());
    let mut taken = decoder.decode(&encoded, &mut plain).expect("good bytes");
    let mut all = Vec::new();
    while !plain.is_empty() {
        assert!(plain.len() <= CODED_BYTES);
        all.append(&mut plain);
        taken += decoder.decode(&encoded[taken..], &mut plain).expect("good bytes");
    }
    assert_eq!((all.len(), taken), (MAX_BLOCK_BYTES + 6, encoded.len()));
    assert!(all.starts_with(&block) && all.ends_with(b"PING\r\n"));
    let Decoding::S2(reader) = decoder.decoding else { panic!("it reads S2") };
    assert_eq!(reader.memory_bytes(), 0);
}

#[test]
fn a_peer_that_is_no_member_yet_may_make_us_hold_only_so_much() {
    let limit = S2Limit::new(1000);
    let decode = |block: &[u8]| {
        [compressed(block), chunk(kind::UNCOMPRESSED, &[&sum(block), block])].map(|chunk| {
            let whole = [BEGIN, &chunk].concat();
            let (mut decoder, mut plain) = (Decoder::s2(limit.clone()), Vec::new());
            let taken = decoder.decode(&whole, &mut plain);
            taken.is_ok() && plain == block
        })
    };
    assert_eq!((decode(&[b'x'; 1000]), decode(&[b'x'; 1001])), ([true; 2], [false; 2]));
    let mut decoder = Decoder::s2(limit.clone());
    let head = [BEGIN, b"\x01\xed\x03\x00"].concat();
    assert!(decoder.decode(&head, &mut Vec::new()).is_err(), "a chunk of 1005 bytes is none");
    limit.raise();
    assert_eq!(decode(&[b'x'; 50_000]), [true; 2]);
}

/// What a block means to us, and to others.
fn decode_block(block: &[u8]) -> [Option<Vec<u8>>; 2] {
    let theirs = minlz::s2::decode(block).ok();
    let Ok((bytes, head_bytes)) = minlz::s2::decode_len(block) else { return [None, theirs] };
    let mut plain = vec![0; bytes + block::ROOM_BYTES];
    let is_good = block::decode(&block[head_bytes..], &mut plain).is_some();
    plain.truncate(bytes);
    [is_good.then_some(plain), theirs]
}

#[test]
fn a_block_may_repeat_from_near_and_far_and_as_far_as_before_in_each_of_their_forms() {
    let of = |bytes: usize, elements: &[&[u8]]| {
        let mut block =
            vec![bytes as u8 & 0x7f | 0x80, (bytes >> 7) as u8 & 0x7f | 0x80, (bytes >> 14) as u8];
        elements.iter().for_each(|element| block.extend_from_slice(element));
        block
    };
    let literal: &[u8] = b"\x1cabcdefgh";
    let near: &[u8] = b"\x11\x05";
    for (bytes, elements, ends) in [
        (8, &[literal][..], "cdefgh"),
        (16, &[literal, near], "hdefghdef"),
        (21, &[literal, near, b"\x05\x00"], "hdefghdefghdef"),
        (24, &[literal, near, b"\x15\x00\x00"], "hdefghdefghdefghd"),
        (16 + 0x1234 + 260, &[literal, near, b"\x19\x00\x34\x12"], "ghdef"),
        (16 + 0x10203 + 65540, &[literal, near, b"\x1d\x00\x03\x02\x01"], "ghdefg"),
        (12, &[literal, b"\x0e\x08\x00"], "habcd"),
        (40, &[literal, b"\x7f\x03\x00\x00\x00"], "fghfghfg"),
        (8, &[b"\xf0\x07", &literal[1..]], "gh"),
        (8, &[b"\xf4\x07\x00", &literal[1..]], "gh"),
        (8, &[b"\xf8\x07\x00\x00", &literal[1..]], "gh"),
        (8, &[b"\xfc\x07\x00\x00\x00", &literal[1..]], "gh"),
    ] {
        let [ours, theirs] = decode_block(&of(bytes, elements));
        assert!(ours == theirs, "{elements:?}");
        assert!(ours.is_some_and(|plain| plain.ends_with(ends.as_bytes())), "{elements:?}");
    }
    for (bytes, elements) in [
        (9, &[literal][..]),
        (7, &[literal]),
        (16, &[near, literal]),
        (12, &[literal, b"\x01\x00"]),
        (12, &[literal, b"\x0e\x09\x00"]),
        (12, &[literal, b"\x0e\x00\x00"]),
        (13, &[literal, b"\x12\x08\x00\x12"]),
        (8, &[&literal[..8]]),
        (8, &[b"\xfc\xff\xff\xff\xff", &literal[1..]]),
        (40, &[literal, b"\x7f\x03\x00\x00"]),
    ] {
        assert_eq!(decode_block(&of(bytes, elements)), [None, None], "{elements:?}");
    }
}

proptest! {
    #[test]
    fn a_block_means_the_same_to_us_and_to_others_whoever_damaged_it(
        words in prop::collection::vec("abcd|RMSG [$]G a[.]b|\\{\"x\":[0-9]{0,9}|x{0,90}|[a-z0-9]{0,70}", 0..300),
        writer in 0usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let plain = words.concat().into_bytes();
        let mut block = match writer {
            0 => minlz::s2::encode(&plain),
            1 => minlz::s2::encode_better(&plain),
            2 => minlz::s2::encode_best(&plain),
            _ => snap::raw::Encoder::new().compress_vec(&plain).expect("it is short"),
        };
        let [ours, theirs] = decode_block(&block);
        prop_assert!(ours.as_ref() == Some(&plain) && ours == theirs);
        // Not the length, which would take gigabytes.
        let start = minlz::s2::decode_len(&block).expect("a length").1;
        for (place, byte) in &damage {
            if block.len() > start {
                let at = start + place.index(block.len() - start);
                block[at] = *byte;
            }
        }
        let [ours, theirs] = decode_block(&block);
        prop_assert!(ours == theirs);
    }

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
