//! The accounts of a node by id and by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Account, Terms};
use crate::config::is_account_name;
use crate::hash::KeyedState;
use crate::id::AccountId;
use crate::lock::{Place, ReadGuard, RwLock, WriteGuard};

/// All accounts of a node.
#[derive(Debug)]
pub struct Accounts {
    table: RwLock<Table>,
    version: AtomicU64,
}

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_name: HashMap<Arc<[u8]>, AccountId, KeyedState>,
    /// That of each index too.
    hasher: KeyedState,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    account: Option<Arc<Account>>,
}

/// Why an account was not added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// There is an account of this name.
    NameTaken,
    /// A name is a word on the lines of routes: neither empty nor with blanks or control characters.
    InvalidName,
    /// There is no such account, or not any more.
    Unknown,
    /// The global and the system account stay for as long as the node runs.
    BuiltIn,
}

impl Accounts {
    /// An empty table.
    pub(crate) fn new(hasher: KeyedState) -> Self {
        let table = Table {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::with_hasher(hasher.clone()),
            hasher,
        };
        Self { table: RwLock::new(Place::Accounts, table), version: AtomicU64::new(0) }
    }

    /// The account with this id, if it is still there.
    pub fn get(&self, id: AccountId) -> Option<Arc<Account>> {
        self.read().get(id).cloned()
    }

    /// The account of this name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<Account>> {
        let table = self.read();
        let id = table.by_name.get(name)?;
        table.get(*id).cloned()
    }

    /// All accounts, sorted by name.
    pub fn list(&self) -> Vec<Arc<Account>> {
        let mut accounts: Vec<_> = self.read().slots.iter().filter_map(|slot| slot.account.clone()).collect();
        accounts.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        accounts
    }

    /// How often the table has changed. As long as it is the same, so is what was found before. One load.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Adds an account without any interest.
    ///
    /// # Errors
    ///
    /// The name is taken or invalid.
    pub(crate) fn add(&self, name: &str, terms: Terms) -> Result<Arc<Account>, AccountError> {
        if !is_account_name(name) {
            return Err(AccountError::InvalidName);
        }
        let mut table = self.write();
        if table.by_name.contains_key(name.as_bytes()) {
            return Err(AccountError::NameTaken);
        }
        let account = table.insert(name, terms);
        self.version.fetch_add(1, Ordering::Release);
        Ok(account)
    }

    /// Takes an account out; none if it is not there. Those who hold it may use it until they hear of it.
    pub(crate) fn remove(&self, id: AccountId) -> Option<Arc<Account>> {
        let mut table = self.write();
        let account = table.take(id)?;
        self.version.fetch_add(1, Ordering::Release);
        Some(account)
    }

    fn read(&self) -> ReadGuard<'_, Table> {
        self.table.read()
    }

    fn write(&self) -> WriteGuard<'_, Table> {
        self.table.write()
    }
}

impl Table {
    fn get(&self, id: AccountId) -> Option<&Arc<Account>> {
        let slot = self.slots.get(id.index())?;
        slot.account.as_ref().filter(|account| account.id() == id)
    }

    fn insert(&mut self, name: &str, terms: Terms) -> Arc<Account> {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        if index as usize == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let slot = &mut self.slots[index as usize];
        let account =
            Arc::new(Account::new(AccountId::new(index, slot.generation), name, terms, &self.hasher));
        slot.account = Some(account.clone());
        self.by_name.insert(name.as_bytes().into(), account.id());
        account
    }

    fn take(&mut self, id: AccountId) -> Option<Arc<Account>> {
        self.get(id)?;
        let slot = &mut self.slots[id.index()];
        let account = slot.account.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.by_name.remove(account.name().as_bytes());
        self.free.push(id.index() as u32);
        Some(account)
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameTaken => "there is an account of this name",
            Self::InvalidName => "an account's name is one word without control characters",
            Self::Unknown => "there is no such account",
            Self::BuiltIn => "the global and the system account cannot be removed",
        })
    }
}

impl std::error::Error for AccountError {}
