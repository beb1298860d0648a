//! The places of clients in an account that may have only so many.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Account;
use crate::id::AccountId;

/// A client's place in its account, which another may have once this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    account: Arc<Account>,
}

impl Seat {
    /// A place in an account; none if all are taken, here and at other servers.
    pub(crate) fn take(account: &Arc<Account>) -> Option<Self> {
        let most = account.limits().max_connections.unwrap_or(usize::MAX);
        let most = most.saturating_sub(account.elsewhere.load(Ordering::Relaxed));
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        account.seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self { account: account.clone() })
    }

    /// Where it is.
    pub(crate) fn account(&self) -> AccountId {
        self.account.id()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.account.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Accounts, Terms};
    use crate::config::AccountLimits;
    use crate::hash::KeyedState;

    #[test]
    fn there_are_so_many_seats_and_those_that_are_left_are_free_again() {
        let accounts = Accounts::new(KeyedState::keyed([1, 2]));
        let limits = AccountLimits { max_connections: Some(2), ..AccountLimits::default() };
        let account = accounts.add("A", Terms { limits, ..Terms::default() }).expect("a free name");
        let [first, _second] = [(); 2].map(|()| Seat::take(&account).expect("a free seat"));
        assert!(Seat::take(&account).is_none());
        drop(first);
        assert!(Seat::take(&account).is_some_and(|seat| seat.account() == account.id()));
        account.set_elsewhere(1);
        assert!(Seat::take(&account).is_none(), "the other one is taken at another server");
        account.set_elsewhere(usize::MAX);
        assert!(Seat::take(&account).is_none());
        account.set_elsewhere(0);
        assert!(Seat::take(&account).is_some());
    }
}
