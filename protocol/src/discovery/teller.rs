//! What one source, or one of those whom it asks, told.

use std::collections::BTreeSet;

use super::address::Address;
use crate::time::Instant;

/// The addresses that stand by somebody's word.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) addresses: BTreeSet<Address>,
    /// How many of them are being tried on this word.
    pub(super) under_way: usize,
    pub(super) told_at: Instant,
}

/// What came of what a source told, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Addresses that were told for the first time, or again after they had been forgotten.
    pub told: u64,
    /// Addresses for which there was no room, or that could not be dialed by anybody.
    pub left_out: u64,
    /// Attempts to reach one.
    pub tried: u64,
    /// Those of them that led to a member.
    pub joined: u64,
    /// Those that led to nobody, or to somebody who is no member.
    pub failed: u64,
}

impl Teller {
    pub(super) fn new(now: Instant) -> Self {
        Self { addresses: BTreeSet::new(), under_way: 0, told_at: now }
    }
}
