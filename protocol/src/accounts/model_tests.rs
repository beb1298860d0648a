//! The table beside a plain list of names.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{AccountError, Accounts, Terms};
use crate::hash::KeyedState;
use crate::id::AccountId;

#[derive(Clone, Debug)]
enum Action {
    Add(&'static str),
    /// Of those that there are or were.
    Remove(Index),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => select(vec!["A", "B", "C", "D", "$G", "", "two words"]).prop_map(Action::Add),
        2 => any::<Index>().prop_map(Action::Remove),
    ]
}

#[derive(Default)]
struct Model {
    present: BTreeMap<String, AccountId>,
    gone: Vec<AccountId>,
}

impl Model {
    fn apply(&mut self, accounts: &Accounts, action: Action) {
        let version = accounts.version();
        match action {
            Action::Add(name) => {
                let added = accounts.add(name, Terms::default()).map(|account| account.id());
                if name.is_empty() || name.contains(' ') {
                    assert_eq!(added, Err(AccountError::InvalidName));
                } else if self.present.contains_key(name) {
                    assert_eq!(added, Err(AccountError::NameTaken));
                } else {
                    let id = added.expect("the name is free");
                    assert!(!self.gone.contains(&id), "an id that was used before");
                    self.present.insert(name.to_owned(), id);
                    assert_ne!(accounts.version(), version);
                    return;
                }
            }
            Action::Remove(which) => {
                let known: Vec<_> = self.present.values().chain(&self.gone).copied().collect();
                let Some(id) = (!known.is_empty()).then(|| *which.get(&known)) else { return };
                let removed = accounts.remove(id);
                let was_present = self.present.values().any(|present| *present == id);
                assert_eq!(removed.map(|account| account.id()), was_present.then_some(id));
                if was_present {
                    self.present.retain(|_, present| *present != id);
                    self.gone.push(id);
                    assert_ne!(accounts.version(), version);
                    return;
                }
            }
        }
        assert_eq!(accounts.version(), version, "nothing has changed");
    }

    fn check(&self, accounts: &Accounts) {
        let listed: Vec<_> =
            accounts.list().iter().map(|account| (account.name().to_owned(), account.id())).collect();
        assert_eq!(listed, self.present.clone().into_iter().collect::<Vec<_>>());
        for (name, id) in &self.present {
            assert_eq!(accounts.find(name.as_bytes()).map(|account| account.id()), Some(*id));
            assert_eq!(accounts.get(*id).map(|account| account.name().to_owned()), Some(name.clone()));
        }
        assert!(self.gone.iter().all(|id| accounts.get(*id).is_none()), "a late user of an id is recognised");
        let indexes: BTreeSet<_> = self.present.values().map(|id| id.index()).collect();
        assert_eq!(indexes.len(), self.present.len(), "no two share an index");
        assert!(indexes.iter().all(|index| *index < 8), "indexes are reused");
    }
}

proptest! {
    #[test]
    fn the_table_finds_what_was_added_and_nothing_that_was_removed(
        actions in prop::collection::vec(action(), 0..60)
    ) {
        let accounts = Accounts::new(KeyedState::new(1));
        let mut model = Model::default();
        for action in actions {
            model.apply(&accounts, action);
            model.check(&accounts);
        }
    }
}
