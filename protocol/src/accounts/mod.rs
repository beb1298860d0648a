//! Accounts: separate worlds of subjects on one node, each with an id and an interest index of its own.
//!
//! [`Accounts`] is the table of them, which grows and shrinks while the node runs. It is read when a client or a line of
//! a route names an account; whoever carries messages of one keeps its [`Account`], and asks only
//! [`Accounts::version`] whether that still holds.
//!
//! What it may touch: the index, ids, hashes, and the transforms of imports. It closes nobody and announces nothing: what follows from an account
//! that comes or goes is done by the node. Who calls it: the hub, which owns the table, and through it connections,
//! forwarding and monitoring.

mod answers;
mod imports;
#[cfg(test)]
mod model_tests;
mod seat;
mod table;
mod traffic;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::config::AccountLimits;
use crate::hash::KeyedState;
use crate::id::AccountId;
use crate::interest::Index;
use crate::mapping::Mappings;

pub use crate::config::{GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
pub(crate) use answers::{Answers, Awaited, random_prefix};
pub(crate) use imports::{Imports, ServiceImport, ServiceTerms};
pub(crate) use seat::Seat;
pub use table::{AccountError, Accounts};
pub(crate) use traffic::Departed;
pub use traffic::Traffic;

/// One world of subjects: they cross accounts only where one exports and another imports them.
pub struct Account {
    id: AccountId,
    name: Arc<str>,
    index: Index,
    departed: Departed,
    terms: Terms,
    /// What it takes from others; empty if that is nothing.
    imports: OnceLock<Imports>,
    /// What others asked it.
    answers: Answers,
    /// How many clients are in it, each with a seat.
    seats: AtomicUsize,
    /// How many are in it at other servers, as these say.
    elsewhere: AtomicUsize,
}

/// What the operator chose for an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) limits: AccountLimits,
    pub(crate) mappings: Mappings,
}

impl Account {
    fn new(id: AccountId, name: &str, terms: Terms, hasher: &KeyedState) -> Self {
        Self {
            id,
            name: name.into(),
            index: Index::with_hasher(hasher.clone()),
            departed: Departed::default(),
            terms,
            imports: OnceLock::new(),
            answers: Answers::new(hasher.clone()),
            seats: AtomicUsize::new(0),
            elsewhere: AtomicUsize::new(0),
        }
    }

    /// Which account this is.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, for those who show it longer than it is there.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// What its connections did that are gone.
    pub(crate) fn departed(&self) -> &Departed {
        &self.departed
    }

    /// What its clients may have.
    pub(crate) fn limits(&self) -> &AccountLimits {
        &self.terms.limits
    }

    /// Where what its clients publish goes.
    pub(crate) fn mappings(&self) -> &Mappings {
        &self.terms.mappings
    }

    /// What it takes from others, if anything.
    pub(crate) fn imports(&self) -> Option<&Imports> {
        self.imports.get()
    }

    /// Lets it take this from others, once all accounts are there.
    pub(crate) fn set_imports(&self, imports: Imports) {
        let is_first = self.imports.set(imports).is_ok();
        debug_assert!(is_first, "they are set once");
    }

    /// What others asked it.
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The largest payload that its clients may publish where those of the node may publish `most`.
    pub(crate) fn max_payload(&self, most: usize) -> usize {
        self.limits().max_payload.map_or(most, |own| own.min(most))
    }

    /// How many clients have a seat in it.
    pub(crate) fn taken_seats(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    /// Sets how many clients other servers have in it.
    pub(crate) fn set_elsewhere(&self, clients: usize) {
        self.elsewhere.store(clients, Ordering::Relaxed);
    }

    /// Its interest, local and remote.
    pub fn index(&self) -> &Index {
        &self.index
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which connection of a pool carries an account: FNV-1a of its name, modulo the pool (wire.md 4.2).
pub(crate) fn pool_slot(account: &str, pool_size: usize) -> usize {
    if pool_size <= 1 {
        return 0;
    }
    let hash = account
        .bytes()
        .fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    hash as usize % pool_size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_take_the_slots_that_nats_server_gives_them() {
        // wire.md appendix A.
        let vectors = [("$G", 2, 0), ("$SYS", 0, 0), ("CC", 2, 3), ("D", 0, 3), ("ACC", 1, 2), ("B", 0, 1)];
        for (name, of_three, of_four) in vectors {
            assert_eq!(pool_slot(name, 3), of_three, "{name} of 3");
            assert_eq!(pool_slot(name, 4), of_four, "{name} of 4");
        }
        assert_eq!(pool_slot("CC", 1), 0);
        assert_eq!(pool_slot("CC", 0), 0);
    }
}
