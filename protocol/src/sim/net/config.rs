//! How a network behaves. Plain data.

use std::time::Duration;

/// How the network behaves towards everybody, all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// How long a segment travels at least.
    pub latency: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// What a socket buffers: so many bytes can be written that the other side has not read.
    pub buffer_bytes: usize,
    /// Of a million writes, how many are cut at a random place.
    pub splits_per_million: u32,
    /// Of a million writes, how many arrive together with what was written before.
    pub merges_per_million: u32,
    /// Of a million segments between hosts, how many are the last of their connection: it is reset.
    pub resets_per_million: u32,
    /// Of a million dials, how many are refused.
    pub refusals_per_million: u32,
    /// Of a million dials, how many time out.
    pub timeouts_per_million: u32,
    /// How long one address may take to answer a dial.
    pub dial_timeout: Duration,
}

impl NetworkConfig {
    /// A network that does at once, whole and in order what it is asked for, and leaves nothing to chance.
    pub const fn instant() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            buffer_bytes: usize::MAX,
            splits_per_million: 0,
            merges_per_million: 0,
            resets_per_million: 0,
            refusals_per_million: 0,
            timeouts_per_million: 0,
            dial_timeout: Duration::ZERO,
        }
    }

    /// The same without anything that goes wrong by itself.
    #[must_use]
    pub fn without_losses(self) -> Self {
        Self { resets_per_million: 0, refusals_per_million: 0, timeouts_per_million: 0, ..self }
    }
}

impl Default for NetworkConfig {
    /// A network of a millisecond that loses nothing, but cuts and merges writes.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::from_millis(1),
            buffer_bytes: 64 * 1024,
            splits_per_million: 50_000,
            merges_per_million: 250_000,
            dial_timeout: Duration::from_secs(1),
            ..Self::instant()
        }
    }
}
