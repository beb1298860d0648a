//! What may be set of S2 while it is written and read: how hard it is tried to make what is written short, and how long a block may
//! be that is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use super::s2::MAX_BLOCK_BYTES;

/// How hard a writer of S2 tries to make what it writes short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S2Level {
    /// Not at all: the bytes go as they are, in chunks.
    Uncompressed,
    /// As fast as possible.
    Fast,
    /// About half as fast.
    Better,
    /// As short as possible, whatever it takes.
    Best,
}

impl S2Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Uncompressed, Self::Fast, Self::Better, Self::Best];

    /// What it is called on the wire (wire.md 5.1).
    pub const fn mode(self) -> &'static str {
        match self {
            Self::Uncompressed => "s2_uncompressed",
            Self::Fast => "s2_fast",
            Self::Better => "s2_better",
            Self::Best => "s2_best",
        }
    }
}

/// The level of one writer, which may be changed while it writes: what it writes next is of the new one, and the peer needs no
/// notice.
#[derive(Clone, Debug)]
pub struct S2Setting(Arc<AtomicU8>);

impl S2Setting {
    /// One that begins with this level.
    pub fn new(level: S2Level) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// Sets it.
    pub fn set(&self, level: S2Level) {
        self.0.store(level as u8, Ordering::Relaxed);
    }

    /// The level that is set.
    pub fn get(&self) -> S2Level {
        match self.0.load(Ordering::Relaxed) {
            0 => S2Level::Uncompressed,
            1 => S2Level::Fast,
            2 => S2Level::Better,
            _ => S2Level::Best,
        }
    }
}

/// The longest block that a reader takes, compressed or not, which may be raised while it reads: what a peer may make us hold of it.
#[derive(Clone, Debug)]
pub struct S2Limit(Arc<AtomicUsize>);

impl S2Limit {
    /// So many bytes, and no more than the format allows.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes.min(MAX_BLOCK_BYTES))))
    }

    /// Lets blocks be as long as the format allows.
    pub fn raise(&self) {
        self.0.store(MAX_BLOCK_BYTES, Ordering::Relaxed);
    }

    /// The limit as it is set.
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for S2Limit {
    /// As long as the format allows.
    fn default() -> Self {
        Self::new(MAX_BLOCK_BYTES)
    }
}

impl From<S2Level> for S2Setting {
    fn from(level: S2Level) -> Self {
        Self::new(level)
    }
}
