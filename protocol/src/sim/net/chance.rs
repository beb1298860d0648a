//! What is left to chance, decided from outside: by a seed, by the bytes of a fuzzer, or not at all.

use std::time::Duration;

use fastrand::Rng;

use super::config::NetworkConfig;

/// Decides what is left to chance.
pub trait Chance {
    /// A number below `end`, which is at least 1.
    fn below(&mut self, end: u64) -> u64;

    /// Whether something happens that happens to so many of a million.
    fn happens(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }
}

/// The first of all possibilities, always: what happens to any of a million happens, and nothing takes longer than it must.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChance;

impl Chance for NoChance {
    fn below(&mut self, _end: u64) -> u64 {
        0
    }
}

impl Chance for Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.u64(..end)
    }

    fn happens(&mut self, per_million: u32) -> bool {
        self.u32(..1_000_000) < per_million
    }
}

/// How a network behaves, and who decides what that does not say.
#[derive(Debug)]
pub(super) struct Odds<C> {
    pub(super) config: NetworkConfig,
    pub(super) chance: C,
}

impl<C: Chance> Odds<C> {
    /// How long the next segment travels between hosts.
    pub(super) fn delay(&mut self) -> Duration {
        let jitter = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.config.latency + Duration::from_nanos(self.chance.below(jitter.saturating_add(1)))
    }

    /// Whether something happens that happens to so many of a million. What never happens asks nobody.
    pub(super) fn happens(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.chance.happens(per_million)
    }

    /// A number below a small one that is not zero.
    pub(super) fn index(&mut self, end: usize) -> usize {
        // It is less than `end`.
        self.chance.below(end as u64) as usize
    }
}
