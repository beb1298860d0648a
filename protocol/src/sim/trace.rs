//! What happened, as a hash that two runs can be compared by and, if wanted, as lines to read.

use std::fmt::Write as _;

use crate::time::Instant;

/// Whether lines to read are kept of what happens in a world: that takes time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// They are, up to [`MAX_TRACE_LINES`].
    Kept,
    /// They are not.
    Dropped,
}

/// The record of a run.
///
/// The hash takes in every byte that was written and every event, whether or not lines are kept.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(lines: Lines) -> Self {
        let lines = if lines == Lines::Kept { Some(Vec::new()) } else { None };
        Self { hash: 0x9E37_79B9_7F4A_7C15, lines }
    }

    /// The same for two runs in which the same happened at the same time.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// One line per event: time, who, what. Empty unless the world was told to keep them; the first
    /// [`MAX_TRACE_LINES`] at most.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    pub(super) fn keeps_lines(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.len() < MAX_TRACE_LINES)
    }

    /// Notes an event: `words` tell it apart from all others, `text` is for readers.
    pub(super) fn note(&mut self, at: Instant, words: [u64; 3], text: impl FnOnce() -> String) {
        self.mix(at.as_nanos());
        words.into_iter().for_each(|word| self.mix(word));
        if self.keeps_lines() {
            self.push(at, &text());
        }
    }

    /// Takes bytes into the hash.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.mix(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let rest =
            chunks.remainder().iter().fold(bytes.len() as u64, |sum, byte| (sum << 8) | u64::from(*byte));
        self.mix(rest);
    }

    /// Adds a protocol line, abbreviated.
    pub(super) fn protocol(&mut self, at: Instant, who: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let shown = match text.split_once(' ') {
            Some((verb @ ("INFO" | "CONNECT"), json)) => format!("{verb} {}", abbreviated(json)),
            _ => text.chars().take(MAX_LINE_CHARS).collect(),
        };
        self.push(at, &format!("{who} {shown}"));
    }

    fn push(&mut self, at: Instant, text: &str) {
        if let Some(lines) = &mut self.lines {
            let micros = at.as_nanos() / 1000;
            lines.push(format!("{:>6}.{:06} {text}", micros / 1_000_000, micros % 1_000_000));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
}

/// What matters of an INFO or a CONNECT to those who follow a handshake.
fn abbreviated(json: &str) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(json) else {
        return json.chars().take(MAX_LINE_CHARS).collect();
    };
    let mut shown = String::new();
    for name in SHOWN_FIELDS {
        if let Some(value) = fields.get(name) {
            let _ = write!(shown, "{name}={value} ");
        }
    }
    shown.trim_end().to_owned()
}

const SHOWN_FIELDS: [&str; 10] = [
    "server_name",
    "name",
    "ip",
    "cluster",
    "connect_urls",
    "ldm",
    "route_pool_size",
    "route_pool_idx",
    "route_account",
    "gossip_mode",
];

/// No more lines than these are kept.
pub const MAX_TRACE_LINES: usize = 200_000;
const MAX_LINE_CHARS: usize = 120;
