//! What must be unguessable.

use std::fmt;

/// Randomness from which a node makes its secrets: the keys of its hash tables. Printing it never shows it.
///
/// It is apart from [`Config::seed`](super::Config::seed), which the public server id is drawn from: whoever sees that id
/// must learn nothing about the secrets (design.md 2). A runtime takes it from the system's cryptographic source; a
/// simulator from the seed of its run.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SecretSeed(pub [u8; 16]);

impl SecretSeed {
    /// For simulators and tests, whose runs follow from one number.
    pub fn guessable(seed: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(bytes)
    }

    /// The two halves, as numbers.
    pub(crate) fn halves(self) -> [u64; 2] {
        let (first, second) = self.0.split_at(8);
        [first, second].map(|half| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Debug for SecretSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts_and_none_is_printed() {
        let mut all = vec![SecretSeed::default().halves()];
        for bit in 0..128 {
            let mut seed = SecretSeed::default();
            seed.0[bit / 8] ^= 1 << (bit % 8);
            all.push(seed.halves());
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 129);
        assert_eq!(format!("{:?}", SecretSeed([7; 16])), "[REDACTED]");
    }
}
