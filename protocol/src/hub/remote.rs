//! What other servers want, as each route brought it (wire.md 2.7).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ByText, Held};
use crate::config::RouteLimits;
use crate::hash::KeyedState;
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Source, Subscription};

/// The interest that came over one connection: none over a client's, which pays one pointer for it.
#[derive(Debug, Default)]
pub(crate) struct RemoteInterest(Option<Box<Brought>>);

/// The interest that a route brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// The connection by whose id all of it goes, if not that which holds it: its heir.
    label: Option<ConnectionId>,
    /// What is in the index of an account.
    by_account: BTreeMap<AccountId, Claimed>,
    /// How much that is in all.
    lines: usize,
    bytes: usize,
    /// What is not, for accounts that are not here.
    pub(super) unclaimed: Unclaimed,
}

/// Interest in one account.
#[derive(Debug)]
struct Claimed {
    held: Held<ByText>,
    bytes: usize,
}

/// Interest in accounts that are unknown here. It is kept until they appear, since a peer does not say it again
/// (wire.md 12).
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
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
        self.0.as_ref()?.by_account.get(&account).map(|claimed| &claimed.held)
    }

    /// How much of it is in any index.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |brought| brought.lines)
    }

    /// Takes out what is in the index of each account, and forgets the rest.
    pub(crate) fn take(&mut self) -> BTreeMap<AccountId, Held<ByText>> {
        let by_account = self.0.take().unwrap_or_default().by_account;
        by_account.into_iter().map(|(account, claimed)| (account, claimed.held)).collect()
    }

    /// Shows what is kept for accounts that are not here.
    #[cfg(feature = "sim")]
    pub(crate) fn for_each_unclaimed(&self, each: &mut dyn FnMut(&[u8], &Subscription)) {
        let unclaimed = self.0.iter().flat_map(|brought| &brought.unclaimed.by_name);
        for (account, held) in unclaimed {
            held.to_vec().iter().for_each(|subscription| each(account, subscription));
        }
    }

    /// Takes out all that the connection of this id brought, for its heir.
    pub(super) fn bequeath(&mut self, id: ConnectionId) -> Self {
        let mut left = Self(self.0.take());
        if let Some(brought) = left.brought_if_any() {
            brought.label.get_or_insert(id);
        }
        left
    }

    /// What the route brought, if it brought anything.
    pub(super) fn brought_if_any(&mut self) -> Option<&mut Brought> {
        self.0.as_deref_mut()
    }

    /// What the route brought, or is about to.
    pub(super) fn brought(&mut self) -> &mut Brought {
        self.0.get_or_insert_default()
    }
}

impl Brought {
    /// The id by which what a connection brings goes.
    pub(super) fn label(&self, own: ConnectionId) -> ConnectionId {
        self.label.unwrap_or(own)
    }

    /// Whether one more would be more than a route may bring.
    pub(super) fn is_full_for(&self, told: &Told<'_>, limits: &RouteLimits) -> bool {
        self.lines >= limits.max_interest || self.bytes + told.key.len() > limits.max_interest_bytes
    }

    pub(super) fn get(&self, account: AccountId, key: &[u8]) -> Option<&Arc<Subscription>> {
        self.by_account.get(&account)?.held.get(key)
    }

    pub(super) fn insert(&mut self, account: AccountId, new: Arc<Subscription>, hasher: KeyedState) {
        let bytes = new.text().len();
        self.lines += 1;
        self.bytes += bytes;
        let claimed = || Claimed { held: Held::new(hasher), bytes: 0 };
        let claimed = self.by_account.entry(account).or_insert_with(claimed);
        claimed.bytes += bytes;
        claimed.held.insert(new);
    }

    pub(super) fn remove(&mut self, account: AccountId, key: &[u8]) -> Option<Arc<Subscription>> {
        let claimed = self.by_account.get_mut(&account)?;
        let removed = claimed.held.remove(key)?;
        let bytes = removed.text().len();
        claimed.bytes -= bytes;
        self.lines -= 1;
        self.bytes -= bytes;
        Some(removed)
    }

    /// Takes out all interest in an account, at once however much that is.
    pub(super) fn remove_account(&mut self, account: AccountId) -> Option<Held<ByText>> {
        let Claimed { held, bytes } = self.by_account.remove(&account)?;
        self.lines -= held.len();
        self.bytes -= bytes;
        Some(held)
    }
}

impl Unclaimed {
    pub(super) fn get(&self, account: &[u8], key: &[u8]) -> Option<&Arc<Subscription>> {
        self.by_name.get(account)?.get(key)
    }

    /// Keeps a line if there is room for it.
    pub(super) fn keep(
        &mut self,
        account: &[u8],
        subscription: Arc<Subscription>,
        hasher: KeyedState,
    ) -> bool {
        let bytes = cost_bytes(account, &subscription);
        if self.lines >= MAX_UNCLAIMED_LINES || self.bytes + bytes > MAX_UNCLAIMED_BYTES {
            return false;
        }
        self.lines += 1;
        self.bytes += bytes;
        self.by_name.entry(account.into()).or_insert_with(|| Held::new(hasher)).insert(subscription);
        true
    }

    pub(super) fn forget(&mut self, account: &[u8], key: &[u8]) {
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

    pub(super) fn take(&mut self, account: &[u8]) -> Vec<Arc<Subscription>> {
        let taken = self.by_name.remove(account).map(|mut held| held.take_all()).unwrap_or_default();
        self.lines -= taken.len();
        self.bytes -= taken.iter().map(|each| cost_bytes(account, each)).sum::<usize>();
        taken
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interest::SubscriptionId;

    #[test]
    fn what_is_taken_out_is_counted_no_more() {
        let mut brought = Brought::default();
        let accounts = [1, 2].map(AccountId::from_bits);
        for (number, subject) in ["a", "bb", "ccc"].iter().enumerate() {
            for account in accounts {
                let id = SubscriptionId(number as u64);
                let new = Subscription::new(
                    id,
                    ConnectionId::new(1, 0),
                    Source::Route,
                    subject.as_bytes(),
                    b"",
                    b"",
                );
                brought.insert(account, Arc::new(new), KeyedState::new(1));
            }
        }
        // With two blanks each.
        assert_eq!((brought.lines, brought.bytes), (6, 2 * (6 + 3 * 2)));
        assert!(
            brought.remove(accounts[0], b"bb  ").is_some() && brought.remove(accounts[0], b"x  ").is_none()
        );
        assert_eq!(brought.remove_account(accounts[0]).map(|held| held.len()), Some(2));
        assert!(brought.remove_account(accounts[0]).is_none());
        assert_eq!((brought.lines, brought.bytes), (3, 12));
    }
}
