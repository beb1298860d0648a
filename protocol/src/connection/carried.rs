//! The accounts that a route carries messages of.

use std::collections::HashMap;
use std::sync::Arc;

use crate::accounts::Account;
use crate::forwarding::Cache;
use crate::hash::KeyedState;
use crate::hub::Hub;

/// The accounts that messages of one route were for, each with where its subjects go.
///
/// There are no more of them than the node has accounts. What is known holds as long as the table of accounts is the one
/// that it came from.
#[derive(Debug)]
pub(super) struct Carried {
    places: HashMap<Box<[u8]>, usize, KeyedState>,
    accounts: Vec<CarriedAccount>,
    /// The account of the last message is usually that of the next.
    last: usize,
    version: u64,
}

/// An account as this route carries it.
#[derive(Debug)]
pub(super) struct CarriedAccount {
    pub(super) account: Arc<Account>,
    pub(super) cache: Cache,
}

impl Carried {
    pub(super) fn new(hasher: KeyedState) -> Self {
        Self { places: HashMap::with_hasher(hasher), accounts: Vec::new(), last: 0, version: 0 }
    }

    /// The account of this name; none if it is not known here.
    #[inline]
    pub(super) fn get(&mut self, hub: &Hub, name: &[u8]) -> Option<&mut CarriedAccount> {
        if self.version != hub.accounts().version() {
            self.renew(hub);
        }
        let last = self.accounts.get(self.last);
        if last.is_none_or(|last| last.account.name().as_bytes() != name) {
            self.last = self.place(hub, name)?;
        }
        self.accounts.get_mut(self.last)
    }

    /// Forgets everything and frees the memory, when nothing comes for now.
    pub(super) fn clear(&mut self) {
        *self = Self { version: self.version, ..Self::new(self.places.hasher().clone()) };
    }

    fn place(&mut self, hub: &Hub, name: &[u8]) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let account = hub.accounts().find(name)?;
        self.places.insert(name.into(), self.accounts.len());
        self.accounts.push(CarriedAccount { account, cache: Cache::new(hub.hasher()) });
        Some(self.accounts.len() - 1)
    }

    /// Forgets the accounts that are gone: another may have the name of one.
    #[cold]
    fn renew(&mut self, hub: &Hub) {
        // First, so that what changes meanwhile is seen the next time.
        self.version = hub.accounts().version();
        self.accounts.retain(|carried| hub.accounts().get(carried.account.id()).is_some());
        self.last = 0;
        let places = self.accounts.iter().enumerate();
        self.places = HashMap::with_hasher(self.places.hasher().clone());
        self.places.extend(places.map(|(place, carried)| (carried.account.name().as_bytes().into(), place)));
    }
}
