//! What routes bring is learned and forgotten (wire.md 2.7), in the index of its account or beside it.

use std::sync::Arc;

use super::remote::{Brought, RemoteInterest, Told, TooMuchInterest};
use super::{ByText, Entry, Held, Hub};
use crate::accounts::Account;
use crate::config::RouteLimits;
use crate::id::{AccountId, ConnectionId};
use crate::interest::Subscription;

// In all of these the account is looked up while the route's interest is held, and an account that comes or goes is in the
// table, or out of it, before any route's interest is gone through for it: so no line falls between the two.
impl Hub {
    /// Hears that a peer wants something. A weight replaces the one before it.
    ///
    /// # Errors
    ///
    /// The route brought as much as it may.
    pub(crate) fn learn(
        &self,
        route: &Entry,
        told: &Told<'_>,
        limits: Option<&RouteLimits>,
    ) -> Result<(), TooMuchInterest> {
        let mut interest = route.interest();
        let brought = interest.brought();
        let Some(account) = self.accounts().find(told.account) else {
            return self.learn_unclaimed(brought, brought.label(route.id()), told);
        };
        if let Some(known) = brought.get(account.id(), told.key) {
            if let Some((_, weight)) = told.queue {
                account.index().set_weight(known, weight);
            }
            return Ok(());
        }
        if limits.is_some_and(|limits| brought.is_full_for(told, limits)) {
            return Err(TooMuchInterest::Claimed);
        }
        let new = self.subscription(brought.label(route.id()), told);
        brought.insert(account.id(), new.clone(), self.hasher());
        // Heard from a server, so told to no other.
        account.index().insert(new, &mut |_, _| {});
        Ok(())
    }

    /// Hears that a peer wants something no more.
    pub(crate) fn unlearn(&self, route: &Entry, account: &[u8], key: &[u8]) {
        let mut interest = route.interest();
        match self.accounts().find(account) {
            Some(account) => {
                let known = interest.brought().remove(account.id(), key);
                if let Some(known) = known.filter(|known| known.close()) {
                    account.index().remove(&known, &mut |_, _| {});
                }
            }
            None => interest.brought().unclaimed.forget(account, key),
        }
    }

    /// Lets what a peer wants, by what a connection brought, be what its heir brought. To be called while no account comes or goes.
    /// Returns what the heir had brought itself, which is still in the indexes.
    pub(crate) fn bequeath(&self, from: &Entry, heir: &Arc<Entry>) -> RemoteInterest {
        // First, so that it is found at any time. A connection that is gone removes what it brought.
        if !self.directory().bequeath(from.id(), heir) {
            return RemoteInterest::default();
        }
        let left = from.interest().bequeath(from.id());
        std::mem::replace(&mut heir.interest(), left)
    }

    /// Takes out what a peer wanted of an account over a route, of which it holds no more. It is still in the account's index,
    /// to be forgotten by [`Hub::unlearn_all`].
    pub(crate) fn take_learned(&self, route: &Entry, account: AccountId) -> Option<Held<ByText>> {
        route.interest().brought_if_any()?.remove_account(account)
    }

    /// Forgets what a route brought that has ended.
    pub(crate) fn unlearn_all(&self, account: AccountId, mut subscriptions: Vec<Arc<Subscription>>) {
        subscriptions.retain(|subscription| subscription.close());
        if let Some(account) = self.accounts().get(account) {
            account.index().remove_all(subscriptions, &mut |_, _| {});
        }
    }

    /// Puts what a route brought for an account before the account was here into its index.
    pub(super) fn claim(&self, route: &Entry, account: &Account) {
        let mut interest = route.interest();
        let Some(brought) = interest.brought_if_any() else {
            return;
        };
        for subscription in brought.unclaimed.take(account.name().as_bytes()) {
            brought.insert(account.id(), subscription.clone(), self.hasher());
            account.index().insert(subscription, &mut |_, _| {});
        }
    }

    /// Takes what a route brought for an account that is no more out of its index, and keeps it should it come again.
    pub(super) fn disclaim(&self, route: &Entry, account: &Account) {
        let mut interest = route.interest();
        let Some(brought) = interest.brought_if_any() else {
            return;
        };
        let held = brought.remove_account(account.id());
        let subscriptions = held.map(|mut held| held.take_all()).unwrap_or_default();
        account.index().remove_all(subscriptions.clone(), &mut |_, _| {});
        for subscription in subscriptions {
            brought.unclaimed.keep(account.name().as_bytes(), subscription, self.hasher());
        }
    }

    fn learn_unclaimed(
        &self,
        brought: &mut Brought,
        label: ConnectionId,
        told: &Told<'_>,
    ) -> Result<(), TooMuchInterest> {
        let unclaimed = &mut brought.unclaimed;
        if let Some(known) = unclaimed.get(told.account, told.key) {
            if let Some((_, weight)) = told.queue {
                known.set_weight(weight);
            }
            return Ok(());
        }
        let kept = unclaimed.keep(told.account, self.subscription(label, told), self.hasher());
        if kept { Ok(()) } else { Err(TooMuchInterest::Unclaimed) }
    }

    fn subscription(&self, route: ConnectionId, told: &Told<'_>) -> Arc<Subscription> {
        let queue = told.queue.unwrap_or_default();
        let id = self.next_subscription();
        let new = Subscription::new(id, route, told.source, told.subject, queue.0, told.leaf);
        if told.queue.is_some() {
            new.set_weight(queue.1);
        }
        Arc::new(new)
    }
}
