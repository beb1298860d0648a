//! Prebuilt messages: a publisher only stamps sequence numbers and writes.

use std::ops::Range;

use super::dialect::Dialect;

/// Bytes of one batch, about: what a publisher gives to one `write`.
pub const BATCH_BYTES: usize = 64 * 1024;

/// The smallest payload that carries both stamps.
pub const MIN_PAYLOAD_BYTES: usize = 16;

/// Many messages in one buffer, with the places of their payloads.
pub struct Batch {
    dialect: Dialect,
    bytes: Vec<u8>,
    payloads: Vec<Range<usize>>,
}

impl Batch {
    /// Batches that together go through `subjects` in turn, each about [`BATCH_BYTES`] long.
    ///
    /// Few subjects give a single batch that repeats them. A batch has as many messages in every dialect.
    pub fn cycle(dialect: Dialect, subjects: &[String], payload_bytes: usize) -> Vec<Self> {
        assert!(payload_bytes >= MIN_PAYLOAD_BYTES, "a payload carries two stamps");
        let longest = subjects.iter().map(String::len).max().unwrap_or(0);
        let per_batch = BATCH_BYTES.div_ceil(longest + payload_bytes + "PUB  1024\r\n\r\n".len());
        let messages = subjects.len().max(per_batch);
        let order: Vec<&String> = subjects.iter().cycle().take(messages).collect();
        let starts = (0..).step_by(per_batch * payload_bytes);
        let parts = order.chunks(per_batch).zip(starts);
        parts.map(|(part, start)| Self::new(dialect, part, payload_bytes, start)).collect()
    }

    /// Stamps the first messages with consecutive sequence numbers from `first`; at most `limit` of them.
    ///
    /// Gives the bytes to write and the number of messages in them.
    pub fn stamp(&mut self, first: u64, limit: u64) -> (&[u8], u64) {
        let count = self.payloads.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        for (sequence, payload) in (first..).zip(&self.payloads[..count]) {
            stamp(&mut self.bytes[payload.clone()], sequence);
        }
        let end = self.payloads[..count]
            .last()
            .map_or(0, |payload| payload.end + self.dialect.after_payload().len());
        (&self.bytes[..end], count as u64)
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// One whose payloads are the text from `start` on.
    fn new(dialect: Dialect, subjects: &[&String], payload_bytes: usize, start: usize) -> Self {
        let mut batch = Self { dialect, bytes: Vec::new(), payloads: Vec::new() };
        for (subject, at) in subjects.iter().zip((start..).step_by(payload_bytes)) {
            batch.add(subject, at..at + payload_bytes);
        }
        batch
    }

    fn add(&mut self, subject: &str, payload: Range<usize>) {
        self.dialect.before_payload(subject, payload.len(), &mut self.bytes);
        let start = self.bytes.len();
        self.bytes.extend(payload.map(text));
        self.payloads.push(start..self.bytes.len());
        self.bytes.extend_from_slice(self.dialect.after_payload());
    }
}

/// What payloads are made of: readings of sensors as JSON, of which a sixth are digits that follow no rule, and nowhere the same.
fn text(at: usize) -> u8 {
    const READING: &[u8] = b"{\"sensor\":\"####\",\"value\":##.###,\"unit\":\"C\",\"ok\":true},";
    match READING[at % READING.len()] {
        b'#' => b'0' + (mix(at as u64) % 10) as u8,
        byte => byte,
    }
}

/// The numbers of a sequence that looks random (SplitMix64). A mere product would repeat itself over distances that compression finds.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Writes `sequence` at the start of a payload and its complement at the end.
pub fn stamp(payload: &mut [u8], sequence: u64) {
    let end = payload.len() - 8;
    payload[..8].copy_from_slice(&sequence.to_le_bytes());
    payload[end..].copy_from_slice(&(!sequence).to_le_bytes());
}

/// The sequence number of a payload; `None` if its two stamps do not belong together.
pub fn sequence_of(payload: &[u8]) -> Option<u64> {
    let sequence = u64::from_le_bytes(*payload.first_chunk()?);
    let complement = u64::from_le_bytes(*payload.last_chunk()?);
    (payload.len() >= MIN_PAYLOAD_BYTES && sequence == !complement).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scan::{Item, scan};

    /// Subject and sequence number of every message, as a subscriber would see them.
    fn read_back(mut published: &[u8]) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        while let Some(rest) = published.strip_prefix(b"PUB ") {
            let delivered = [b"MSG ", rest].concat();
            let Ok(Some((Item::Message { head, payload }, used))) = scan(&delivered) else {
                panic!("no message")
            };
            found.push((String::from_utf8_lossy(head).trim().to_owned(), sequence_of(payload).unwrap()));
            published = &published[used..];
        }
        assert!(published.is_empty());
        found
    }

    #[test]
    fn one_subject_fills_one_batch() {
        let batches = Batch::cycle(Dialect::Nats, &["bench.0".to_owned()], 128);
        assert_eq!(batches.len(), 1);
        assert!(batches[0].bytes.len().abs_diff(BATCH_BYTES) < 4096);
    }

    #[test]
    fn many_subjects_each_appear_once_per_cycle() {
        let subjects: Vec<_> = (0..1000).map(|number| format!("bench.0.{number}")).collect();
        let batches = Batch::cycle(Dialect::Nats, &subjects, 128);
        assert!(batches.len() > 1);
        assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), subjects.len());
    }

    #[test]
    fn stamping_some_messages_gives_whole_messages_in_sequence() {
        let subjects = ["a", "b", "c"].map(str::to_owned);
        let mut batch = Batch::new(Dialect::Nats, &subjects.each_ref(), 16, 0);
        let (bytes, count) = batch.stamp(7, 2);
        assert_eq!(count, 2);
        assert_eq!(read_back(bytes), [("a".to_owned(), 7), ("b".to_owned(), 8)]);
        assert_eq!(read_back(batch.stamp(9, 100).0).len(), 3);
    }

    #[test]
    fn a_batch_has_as_many_messages_in_every_dialect() {
        let count = |dialect| Batch::cycle(dialect, &["bench.0".to_owned()], 128)[0].len();
        for dialect in [Dialect::Resp, Dialect::Mqtt, Dialect::Copied] {
            assert_eq!(count(dialect), count(Dialect::Nats), "{dialect:?}");
        }
    }

    #[test]
    fn some_messages_of_a_batch_are_whole_messages_in_every_dialect() {
        for dialect in [Dialect::Nats, Dialect::Resp, Dialect::Mqtt, Dialect::Copied] {
            let mut batch = Batch::cycle(dialect, &["bench.0".to_owned()], 16).remove(0);
            let (two, _) = batch.stamp(0, 2);
            let end = [&(!1_u64).to_le_bytes(), dialect.after_payload()].concat();
            assert!(two.ends_with(&end), "{dialect:?}");
        }
    }

    #[test]
    fn a_payload_that_was_cut_or_shifted_has_no_sequence() {
        let mut payload = [b'x'; 32];
        stamp(&mut payload, 77);
        assert_eq!(sequence_of(&payload), Some(77));
        assert_eq!(sequence_of(&payload[1..]), None);
        assert_eq!(sequence_of(&payload[..31]), None);
        assert_eq!(sequence_of(&payload[..4]), None);
    }
}
