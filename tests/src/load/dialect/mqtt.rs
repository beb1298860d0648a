//! MQTT 3.1.1 at QoS 0, as far as publishers and subscribers need it.

use super::{Item, Malformed};

/// A clean session without a name and without a keep-alive.
pub(super) const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";

/// PINGREQ.
pub(super) const PING: &[u8] = b"\xc0\x00";

/// Bytes of the longest length that can be written.
const MAX_LENGTH_BYTES: usize = 4;

pub(super) fn subscribe(topic: &str, sid: u32, lines: &mut Vec<u8>) {
    // Zero is no identifier of a packet.
    let identifier = (sid % u32::from(u16::MAX) + 1) as u16;
    begin(0x82, 2 + 2 + topic.len() + 1, lines);
    lines.extend_from_slice(&identifier.to_be_bytes());
    string(topic, lines);
    lines.push(0);
}

pub(super) fn before_payload(topic: &str, payload_bytes: usize, bytes: &mut Vec<u8>) {
    begin(0x30, 2 + topic.len() + payload_bytes, bytes);
    string(topic, bytes);
}

/// Appends a packet's kind and the length of what follows: seven bits a byte, the lowest first.
fn begin(kind: u8, mut length: usize, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    while length >= 128 {
        bytes.push(length as u8 | 128);
        length /= 128;
    }
    bytes.push(length as u8);
}

fn string(text: &str, bytes: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("topics are short");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The first item of `bytes` and how many bytes it takes; `None` when it is not all there yet.
pub(super) fn scan(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Malformed> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    let Some((length, length_bytes)) = length(rest)? else { return Ok(None) };
    let end = 1 + length_bytes + length;
    let Some(content) = bytes.get(1 + length_bytes..end) else { return Ok(None) };
    let item = match (kind, content) {
        (0x30, content) => message(content).ok_or(Malformed)?,
        (0x20, [_, 0]) | (0x90, [_, _, 0]) => Item::Idle,
        (0x20, [_, _]) => Item::Refused(b"CONNECT"),
        (0x90, [_, _, _]) => Item::Refused(b"SUBSCRIBE"),
        (0xd0, []) => Item::Pong,
        _ => return Err(Malformed),
    };
    Ok(Some((item, end)))
}

/// A length and the bytes that it takes.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (index, &byte) in bytes.iter().take(MAX_LENGTH_BYTES).enumerate() {
        length |= usize::from(byte & 127) << (7 * index);
        if byte < 128 {
            return Ok(Some((length, index + 1)));
        }
    }
    if bytes.len() < MAX_LENGTH_BYTES { Ok(None) } else { Err(Malformed) }
}

fn message(content: &[u8]) -> Option<Item<'_>> {
    let (topic_bytes, rest) = content.split_first_chunk()?;
    let (head, payload) = rest.split_at_checked(u16::from_be_bytes(*topic_bytes).into())?;
    Some(Item::Message { head, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_into_topic_and_payload() {
        let bytes = b"\x30\x0c\x00\x07bench.0abc\xd0\x00";
        let (item, used) = scan(bytes).unwrap().unwrap();
        assert_eq!(item, Item::Message { head: b"bench.0", payload: b"abc" });
        assert_eq!(scan(&bytes[used..]), Ok(Some((Item::Pong, 2))));
    }

    #[test]
    fn lengths_are_read_as_they_are_written() {
        for payload_bytes in [0, 118, 119, 120, 16_000, 16_500, 3_000_000] {
            let mut bytes = Vec::new();
            before_payload("bench.0", payload_bytes, &mut bytes);
            bytes.resize(bytes.len() + payload_bytes, b'x');
            let (item, used) = scan(&bytes).unwrap().unwrap();
            let Item::Message { head: b"bench.0", payload } = item else { panic!("{item:?}") };
            assert_eq!((payload.len(), used), (payload_bytes, bytes.len()));
        }
    }

    #[test]
    fn a_subscription_has_an_identifier_a_topic_and_a_quality_of_zero() {
        let mut lines = Vec::new();
        subscribe("a", 1, &mut lines);
        assert_eq!(lines, b"\x82\x06\x00\x02\x00\x01a\x00");
        lines.clear();
        subscribe("a", 65_535, &mut lines);
        assert_eq!(lines[2..4], [0, 1], "no packet has the identifier 0");
    }

    #[test]
    fn an_answer_that_refuses_is_told_from_one_that_does_not() {
        let item = |bytes| scan(bytes).unwrap().unwrap().0;
        assert_eq!(item(b"\x20\x02\x00\x00"), Item::Idle);
        assert_eq!(item(b"\x20\x02\x00\x05"), Item::Refused(b"CONNECT"));
        assert_eq!(item(b"\x90\x03\x00\x01\x00"), Item::Idle);
        assert_eq!(item(b"\x90\x03\x00\x01\x80"), Item::Refused(b"SUBSCRIBE"));
    }

    #[test]
    fn what_is_not_the_protocol_is_malformed() {
        for bytes in [
            b"\x00\x00".as_slice(),
            b"\x30\x01\x00",
            b"\x30\x03\x00\x07a",
            b"\xd0\x01\x00",
            b"\x30\xff\xff\xff\xff\x01",
        ] {
            assert!(matches!(scan(bytes), Err(Malformed)), "{}", bytes.escape_ascii());
        }
    }
}
