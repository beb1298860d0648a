//! Which connections two servers have with each other, and which of them a new one is (wire.md 4.3, 4.4).

use std::sync::Arc;

use super::dial::Purpose;
use super::peer::PeerRoutes;
use super::seat::{Newcomer, NoSeat, Seat};
use crate::accounts::pool_slot;
use crate::config::ClusterConfig;

/// What the route table knows of its own node.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) id: String,
    /// Where it listens for peers.
    pub(crate) port: u16,
    /// `connect_error_reports` and `reconnect_error_reports`.
    pub(crate) error_reports: (u32, u32),
    /// What it calls the system account, if it has it.
    pub(crate) system_account: Option<Arc<str>>,
}

/// The connections that this node has with each peer, as configured.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Zero for no pool.
    pool_size: usize,
    /// Accounts with connections of their own.
    pub(super) pinned: Vec<String>,
}

impl Plan {
    pub(super) fn new(config: &ClusterConfig, system_account: Option<&str>) -> Self {
        let pool_size = config.pool_size.map_or(0, |size| usize::from(size.get()));
        Self { pool_size, pinned: config.pinned(system_account).map(str::to_owned).collect() }
    }

    /// The kinds of connections that a peer may have: of the pool (none), and dedicated to an account.
    pub(super) fn kinds(&self) -> Vec<Option<String>> {
        std::iter::once(None).chain(self.pinned.iter().cloned().map(Some)).collect()
    }

    /// The accounts with connections of their own.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.pinned.iter().map(String::as_str)
    }

    pub(super) fn pins(&self, account: &str) -> bool {
        self.accounts().any(|pinned| pinned == account)
    }

    /// How many connections two servers have that have such pools, and pin what this node does.
    pub(super) fn connections_with(&self, pool_sizes: [i32; 2]) -> usize {
        if pool_sizes.iter().any(|size| *size <= 0) {
            1
        } else {
            Self::pool_of(pool_sizes) + self.pinned.len()
        }
    }

    /// How many connections the pool of two servers has.
    pub(super) fn pool_of(pool_sizes: [i32; 2]) -> usize {
        let sizes = pool_sizes.map(|size| usize::try_from(size).unwrap_or(0).min(MAX_POOL_SIZE));
        sizes.into_iter().max().unwrap_or(0)
    }

    /// How many connections a pool with this peer has, if both pool (wire.md 4.3).
    pub(super) fn pool_size_with(&self, newcomer: &Newcomer<'_>) -> Option<usize> {
        let theirs = usize::try_from(newcomer.pool_size).unwrap_or(0).min(MAX_POOL_SIZE);
        (self.pool_size > 0 && theirs > 0).then(|| self.pool_size.max(theirs))
    }

    /// Which seat the peer's words (and this node's dial) ask for, whoever may sit there. `has_moved` says whether the peer has
    /// moved an account to a connection of its own that this node does not pin.
    pub(super) fn find_seat(
        &self,
        purpose: Option<&Purpose>,
        newcomer: &Newcomer<'_>,
        peer: Option<&PeerRoutes>,
        is_direct: bool,
        has_moved: impl Fn(&str) -> bool,
    ) -> Result<Seat, NoSeat> {
        let size = self.pool_size_with(newcomer);
        let account = match purpose {
            Some(purpose) => purpose.account.as_deref(),
            None => Some(newcomer.account).filter(|account| !account.is_empty()),
        };
        if let Some(account) = account {
            return self.find_dedicated(account, size.is_some(), newcomer.has_account, has_moved);
        }
        let Some(size) = size else {
            return Ok(Seat::Sole);
        };
        let index = newcomer.pool_index;
        if purpose.is_none() {
            let slot = usize::try_from(index).ok().filter(|slot| *slot < size);
            return slot.map(Seat::Slot).ok_or(NoSeat::NotInPool { index, size });
        }
        if index != 0 {
            return Err(NoSeat::SlotIsForDialer(index));
        }
        let relayed = || peer.and_then(PeerRoutes::relayed_slot).filter(|_| is_direct);
        // A full pool is reported as its first slot being taken.
        Ok(Seat::Slot(peer.and_then(PeerRoutes::empty_slot).or_else(relayed).unwrap_or(0)))
    }

    /// The connection of a pool that carries an account, by the hash of a node whose pools have so many.
    pub(super) fn slot_of(account: &str, pool_size: i32) -> usize {
        pool_slot(account, usize::try_from(pool_size).unwrap_or(0).min(MAX_POOL_SIZE))
    }

    /// The same by this node's own.
    pub(super) fn own_slot_of(&self, account: &str) -> usize {
        pool_slot(account, self.pool_size)
    }

    fn find_dedicated(
        &self,
        account: &str,
        pools: bool,
        is_known: bool,
        has_moved: impl Fn(&str) -> bool,
    ) -> Result<Seat, NoSeat> {
        let name = account.to_owned();
        if !is_known {
            return Err(NoSeat::NoAccount(name));
        }
        if !pools {
            return Err(NoSeat::NotPooling(name));
        }
        if self.pins(account) || has_moved(account) {
            Ok(Seat::Dedicated(name))
        } else {
            Err(NoSeat::NotPinned(name))
        }
    }
}

/// No peer makes this node keep more slots than this.
const MAX_POOL_SIZE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_has_more_slots_than_the_limit_however_many_it_claims() {
        let plan = Plan::new(&ClusterConfig::default(), Some("$SYS"));
        let claims = |pool_size| plan.pool_size_with(&Newcomer { pool_size, ..Newcomer::default() });
        assert_eq!([1, 5, i32::MAX, 0, -1].map(claims), [Some(3), Some(5), Some(MAX_POOL_SIZE), None, None]);
        let beyond =
            Newcomer { pool_size: i32::MAX, pool_index: MAX_POOL_SIZE as i32, ..Newcomer::default() };
        let (index, size) = (beyond.pool_index, MAX_POOL_SIZE);
        assert_eq!(
            plan.find_seat(None, &beyond, None, true, |_| false),
            Err(NoSeat::NotInPool { index, size })
        );
    }
}
