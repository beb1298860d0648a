//! Chunks of S2 that anybody may have made: what is good before a fault is read as it was, and nothing makes the reader hold more
//! than it may, or go on without end.

use onehop::transport::{Decoder, Encoder, S2Level, S2Limit};

use crate::Choices;

/// The input chooses chunks: good ones at each level, good ones that are damaged, and any bytes under any head; then how they are
/// divided on their way.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (mut stream, mut plain) = (Vec::new(), Vec::new());
    // Behind a fault nothing is said of what is read.
    let mut good_bytes = None;
    for _ in 0..MAX_CHUNKS {
        if choices.is_empty() {
            break;
        }
        let start = stream.len();
        let body = body(&mut choices);
        match choices.below(4) {
            0 | 1 => encode(&mut choices, &body, &mut stream),
            2 => {
                encode(&mut choices, &body, &mut stream);
                let place = start + choices.below(stream.len() - start);
                stream[place] ^= choices.byte();
                good_bytes.get_or_insert(plain.len());
            }
            _ => {
                stream.extend_from_slice(&[choices.byte(), body.len() as u8, (body.len() >> 8) as u8, 0]);
                stream.extend_from_slice(&body);
                good_bytes.get_or_insert(plain.len());
            }
        }
        plain.extend_from_slice(&body);
    }
    read(&mut choices, &stream, &plain[..good_bytes.unwrap_or(plain.len())], good_bytes.is_none());
}

/// Bytes that can be compressed, and some that cannot.
fn body(choices: &mut Choices<'_>) -> Vec<u8> {
    let word = choices.bytes().to_vec();
    let times = choices.pick(&[1, 1, 3, 100, 3000]);
    word.repeat(times)
}

fn encode(choices: &mut Choices<'_>, body: &[u8], stream: &mut Vec<u8>) {
    let mut encoder = Encoder::s2(choices.pick(&S2Level::ALL).into());
    let mut rest = body;
    while !rest.is_empty() {
        rest = &rest[encoder.encode(rest, stream)..];
    }
    if body.is_empty() {
        // Nothing is written of nothing; padding stands for it.
        stream.extend_from_slice(b"\xfe\0\0\0");
    }
}

fn read(choices: &mut Choices<'_>, stream: &[u8], good: &[u8], is_good: bool) {
    let mut decoder = Decoder::s2(S2Limit::default());
    let (mut all, mut rest) = (Vec::new(), stream);
    loop {
        let at_once = if choices.is_empty() { rest.len() } else { choices.below(300) };
        let mut piece = &rest[..rest.len().min(at_once)];
        rest = &rest[piece.len()..];
        loop {
            let mut plain = Vec::new();
            match decoder.decode(piece, &mut plain) {
                Err(_) => {
                    assert!(!is_good && all.starts_with(good), "a fault where none is");
                    assert!(decoder.decode(b"more", &mut plain).is_err() && plain.is_empty());
                    return;
                }
                Ok(0) if plain.is_empty() => break,
                Ok(taken) => piece = &piece[taken..],
            }
            assert!(plain.len() <= MOST_AT_ONCE, "{}", plain.len());
            all.append(&mut plain);
        }
        if rest.is_empty() && choices.is_empty() {
            break;
        }
    }
    if is_good {
        assert!(all == good, "the bytes that were written");
    }
}

/// A longer stream tells nothing new.
const MAX_CHUNKS: usize = 20;

/// A call hands on so much, and what it found in that before.
const MOST_AT_ONCE: usize = 2 * 64 * 1024;
