//! What other servers want, as each route brought it (wire.md 2.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ByText, Entry, Held, Hub};
use crate::accounts::Account;
use crate::config::RouteLimits;
use crate::hash::KeyedState;
use crate::id::AccountId;
use crate::interest::{Source, Subscription};

/// The interest that came over one connection: none over a client's, which pays one pointer for it.
#[derive(Debug, Default)]
pub(crate) struct RemoteInterest(Option<Box<Brought>>);

/// The interest that a route brought.
#[derive(Debug, Default)]
struct Brought {
    /// What is in the index of an account.
    by_account: BTreeMap<AccountId, Held<ByText>>,
    /// How much that is in all.
    lines: usize,
    bytes: usize,
    /// What is not, for accounts that are not here.
    unclaimed: Unclaimed,
}

/// Interest in accounts that are unknown here. It is kept until they appear, since a peer does not say it again
/// (wire.md 12).
#[derive(Debug, Default)]
struct Unclaimed {
    by_name: BTreeMap<Box<[u8]>, Held<ByText>>,
    lines: usize,
    bytes: usize,
}

/// A route brought more interest than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooMuchInterest {
    /// More than [`max_interest` or `max_interest_bytes`](crate::config::RouteLimits) allow: it is to be closed.
    Claimed,
    /// More in accounts that are not here than is kept, which is lost.
    Unclaimed,
}

/// Interest as a line of a route tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) account: &'a [u8],
    pub(crate) source: Source,
    pub(crate) subject: &'a [u8],
    /// The group and its weight there.
    pub(crate) queue: Option<(&'a [u8], u32)>,
    /// The leaf's name, or what stands for it.
    pub(crate) leaf: &'a [u8],
    /// Subject, group and leaf as [`Subscription::text`] has them.
    pub(crate) key: &'a [u8],
}

impl RemoteInterest {
    /// What is in the index of an account.
    pub(crate) fn of(&self, account: AccountId) -> Option<&Held<ByText>> {
        self.0.as_ref()?.by_account.get(&account)
    }

    /// How much of it is in any index.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |brought| brought.lines)
    }

    /// Takes out what is in the index of each account, and forgets the rest.
    pub(crate) fn take(&mut self) -> BTreeMap<AccountId, Held<ByText>> {
        self.0.take().unwrap_or_default().by_account
    }

    /// Shows what is kept for accounts that are not here.
    #[cfg(feature = "sim")]
    pub(crate) fn for_each_unclaimed(&self, each: &mut dyn FnMut(&[u8], &Subscription)) {
        let unclaimed = self.0.iter().flat_map(|brought| &brought.unclaimed.by_name);
        for (account, held) in unclaimed {
            held.to_vec().iter().for_each(|subscription| each(account, subscription));
        }
    }

    fn brought(&mut self) -> &mut Brought {
        self.0.get_or_insert_default()
    }
}

impl Brought {
    /// Whether one more would be more than a route may bring.
    fn is_full_for(&self, told: &Told<'_>, limits: &RouteLimits) -> bool {
        self.lines >= limits.max_interest || self.bytes + told.key.len() > limits.max_interest_bytes
    }

    fn get(&self, account: AccountId, key: &[u8]) -> Option<&Arc<Subscription>> {
        self.by_account.get(&account)?.get(key)
    }

    fn insert(&mut self, account: AccountId, new: Arc<Subscription>, hasher: KeyedState) {
        self.lines += 1;
        self.bytes += new.text().len();
        self.by_account.entry(account).or_insert_with(|| Held::new(hasher)).insert(new);
    }

    fn remove(&mut self, account: AccountId, key: &[u8]) -> Option<Arc<Subscription>> {
        let removed = self.by_account.get_mut(&account)?.remove(key)?;
        self.lines -= 1;
        self.bytes -= removed.text().len();
        Some(removed)
    }

    fn remove_account(&mut self, account: AccountId) -> Vec<Arc<Subscription>> {
        let removed = self.by_account.remove(&account).map(|mut held| held.take_all()).unwrap_or_default();
        self.lines -= removed.len();
        self.bytes -= removed.iter().map(|each| each.text().len()).sum::<usize>();
        removed
    }
}

impl Unclaimed {
    fn get(&self, account: &[u8], key: &[u8]) -> Option<&Arc<Subscription>> {
        self.by_name.get(account)?.get(key)
    }

    /// Keeps a line if there is room for it.
    fn keep(&mut self, account: &[u8], subscription: Arc<Subscription>, hasher: KeyedState) -> bool {
        let bytes = cost_bytes(account, &subscription);
        if self.lines >= MAX_UNCLAIMED_LINES || self.bytes + bytes > MAX_UNCLAIMED_BYTES {
            return false;
        }
        self.lines += 1;
        self.bytes += bytes;
        self.by_name.entry(account.into()).or_insert_with(|| Held::new(hasher)).insert(subscription);
        true
    }

    fn forget(&mut self, account: &[u8], key: &[u8]) {
        let Some(held) = self.by_name.get_mut(account) else {
            return;
        };
        if let Some(gone) = held.remove(key) {
            self.lines -= 1;
            self.bytes -= cost_bytes(account, &gone);
        }
        if held.len() == 0 {
            self.by_name.remove(account);
        }
    }

    fn take(&mut self, account: &[u8]) -> Vec<Arc<Subscription>> {
        let taken = self.by_name.remove(account).map(|mut held| held.take_all()).unwrap_or_default();
        self.lines -= taken.len();
        self.bytes -= taken.iter().map(|each| cost_bytes(account, each)).sum::<usize>();
        taken
    }
}

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
            return self.learn_unclaimed(route, &mut brought.unclaimed, told);
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
        let new = self.subscription(route, told);
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
        let Some(brought) = &mut interest.0 else {
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
        let Some(brought) = &mut interest.0 else {
            return;
        };
        let subscriptions = brought.remove_account(account.id());
        account.index().remove_all(subscriptions.clone(), &mut |_, _| {});
        for subscription in subscriptions {
            brought.unclaimed.keep(account.name().as_bytes(), subscription, self.hasher());
        }
    }

    fn learn_unclaimed(
        &self,
        route: &Entry,
        unclaimed: &mut Unclaimed,
        told: &Told<'_>,
    ) -> Result<(), TooMuchInterest> {
        if let Some(known) = unclaimed.get(told.account, told.key) {
            if let Some((_, weight)) = told.queue {
                known.set_weight(weight);
            }
            return Ok(());
        }
        let kept = unclaimed.keep(told.account, self.subscription(route, told), self.hasher());
        if kept { Ok(()) } else { Err(TooMuchInterest::Unclaimed) }
    }

    fn subscription(&self, route: &Entry, told: &Told<'_>) -> Arc<Subscription> {
        let queue = told.queue.unwrap_or_default();
        let id = self.next_subscription();
        let new = Subscription::new(id, route.id(), told.source, told.subject, queue.0, told.leaf);
        if told.queue.is_some() {
            new.set_weight(queue.1);
        }
        Arc::new(new)
    }
}

fn cost_bytes(account: &[u8], subscription: &Subscription) -> usize {
    account.len() + subscription.text().len()
}

/// So much interest in accounts that are not here is kept for one route; what is beyond is lost, as all of it is in
/// nats-server.
pub(crate) const MAX_UNCLAIMED_LINES: usize = 4096;

/// Nor are more bytes of it kept, names and subjects together.
pub(crate) const MAX_UNCLAIMED_BYTES: usize = 256 * 1024;
