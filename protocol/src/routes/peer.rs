//! A server of the cluster and the connections to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use super::cause::Cause;
use super::dial::Dial;
use super::pace::{RETRY_PAUSE, jitter};
use super::seat::{Newcomer, Seat};
use crate::config::{Healing, RouteUrl};
use crate::id::ConnectionId;
use crate::time::Instant;

/// That this node wants the route to a peer, and where it dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Solicited {
    pub(super) url: RouteUrl,
    /// The URL is a configured one.
    pub(super) explicit: bool,
}

/// The connections to a server that there is at least one registered connection to.
#[derive(Debug, Default)]
pub(super) struct PeerRoutes {
    /// Where it says it is.
    pub(super) says_url: Option<RouteUrl>,
    /// It lets one of the two dial first where either could.
    pub(super) arbitrates: bool,
    pub(super) pooled: Vec<Option<ConnectionId>>,
    pub(super) dedicated: BTreeMap<String, ConnectionId>,
    pub(super) sole: Option<ConnectionId>,
    /// Set once this node dialed it.
    pub(super) solicited: Option<Solicited>,
    /// It tried to make a connection that was refused as a duplicate, so it counts on the one that stayed: this node
    /// redials when that is lost, even if it only accepted it (wire.md 3.5).
    pub(super) retry: bool,
    /// It said that it leaves.
    pub(super) leaves: bool,
    /// Since when connections to it are missing.
    pub(super) gap_since: Option<Instant>,
    /// The seats of circuits.
    pub(super) relayed: BTreeSet<Seat>,
    /// When it is tried to reach it directly next, and the pause before; none without a circuit.
    pub(super) direct: Option<(Instant, Duration)>,
}

impl PeerRoutes {
    /// Starts afresh with what a first connection says; those that are dedicated to an account may be there already.
    pub(super) fn begin(&mut self, newcomer: &Newcomer<'_>, pool_size: usize) {
        self.leaves = false;
        // It may be elsewhere now than where this node once dialed it.
        self.solicited.take_if(|it| !it.explicit);
        self.says_url.clone_from(&newcomer.url);
        self.arbitrates = newcomer.arbitrates;
        self.pooled = vec![None; pool_size];
    }

    /// Gives a connection its seat, if that is free and of a kind that the peer has now. `pool_size` is zero without a pool.
    pub(super) fn take_seat(
        &mut self,
        seat: &Seat,
        (connection, is_direct): (ConnectionId, bool),
        newcomer: &Newcomer<'_>,
        pool_size: usize,
    ) -> bool {
        if self.is_gone() || self.gossip_carrier().is_none() && seat.account().is_none() {
            self.begin(newcomer, pool_size);
        }
        // A peer that changed between pooling and not is another server to us: until its old connections are gone,
        // there is no seat for the new.
        if self.is_pooled() == (*seat == Seat::Sole) {
            return false;
        }
        if self.pooled.len() < pool_size {
            self.pooled.resize(pool_size, None);
        }
        if self.holder(seat).is_some() {
            return false;
        }
        if !self.put(seat, connection) {
            return false;
        }
        if !is_direct {
            self.relayed.insert(seat.clone());
        }
        // It may have moved while connections from its former address are not known to be dead yet.
        self.handle_address(newcomer.url.as_ref());
        true
    }

    /// Hears where it says it is.
    pub(super) fn handle_address(&mut self, url: Option<&RouteUrl>) {
        if self.says_url.as_ref() != url {
            self.solicited.take_if(|it| !it.explicit);
        }
        self.says_url = url.cloned();
    }

    /// Gives a seat that is taken to another connection, which goes on for the one that has it.
    pub(super) fn pass_seat(
        &mut self,
        seat: &Seat,
        connection: ConnectionId,
        newcomer: &Newcomer<'_>,
    ) -> bool {
        self.relayed.remove(seat);
        self.says_url.clone_from(&newcomer.url);
        self.put(seat, connection)
    }

    /// Notes who sits on a seat from now on; false if there is no such slot.
    fn put(&mut self, seat: &Seat, connection: ConnectionId) -> bool {
        match seat {
            Seat::Slot(slot) => match self.pooled.get_mut(*slot) {
                Some(place) => *place = Some(connection),
                None => return false,
            },
            Seat::Sole => self.sole = Some(connection),
            Seat::Dedicated(account) => drop(self.dedicated.insert(account.clone(), connection)),
        }
        true
    }

    /// Frees the seat of a connection that ended.
    pub(super) fn unseat(&mut self, seat: &Seat) {
        self.relayed.remove(seat);
        match seat {
            Seat::Slot(slot) => {
                if let Some(place) = self.pooled.get_mut(*slot) {
                    *place = None;
                }
            }
            Seat::Sole => self.sole = None,
            Seat::Dedicated(account) => {
                self.dedicated.remove(account);
            }
        }
    }

    /// The connection on a seat.
    pub(super) fn holder(&self, seat: &Seat) -> Option<ConnectionId> {
        match seat {
            Seat::Slot(slot) => *self.pooled.get(*slot)?,
            Seat::Sole => self.sole,
            Seat::Dedicated(account) => self.dedicated(account),
        }
    }

    /// The connection that gossip about servers goes over: the first that carries no single account.
    pub(super) fn gossip_carrier(&self) -> Option<ConnectionId> {
        self.sole.or_else(|| self.pooled.iter().flatten().next().copied())
    }

    /// The connections of its pool.
    pub(super) fn pool(&self) -> impl Iterator<Item = ConnectionId> {
        self.pooled.iter().flatten().copied()
    }

    /// All of its connections.
    pub(super) fn all(&self) -> impl Iterator<Item = ConnectionId> {
        self.pool().chain(self.sole).chain(self.dedicated.values().copied())
    }

    /// The connection that is dedicated to an account.
    pub(super) fn dedicated(&self, account: &str) -> Option<ConnectionId> {
        self.dedicated.get(account).copied()
    }

    /// The lowest slot without a connection.
    pub(super) fn empty_slot(&self) -> Option<usize> {
        self.pooled.iter().position(Option::is_none)
    }

    /// The lowest slot that a circuit has.
    pub(super) fn relayed_slot(&self) -> Option<usize> {
        self.relayed.iter().find_map(|seat| if let Seat::Slot(slot) = seat { Some(*slot) } else { None })
    }

    /// The kinds of connections of which some pass through a third.
    pub(super) fn relayed_kinds(&self) -> BTreeSet<Option<String>> {
        self.relayed.iter().map(|seat| seat.account().map(str::to_owned)).collect()
    }

    /// The kinds of connections that are missing: of the pool (none), and dedicated to an account, of those that are `apart`.
    pub(super) fn missing<'a>(&self, apart: impl IntoIterator<Item = &'a str>) -> Vec<Option<String>> {
        let is_absent = self.gossip_carrier().is_none();
        let of_pool = is_absent || self.empty_slot().is_some();
        let pools = is_absent || self.is_pooled();
        let accounts = apart.into_iter().filter(|account| pools && self.dedicated(account).is_none());
        let accounts = accounts.map(|account| Some(account.to_owned()));
        of_pool.then_some(None).into_iter().chain(accounts).collect()
    }

    /// Whether what a dial of this peer is for is there already.
    pub(super) fn satisfies(&self, dial: &Dial) -> bool {
        match &dial.purpose.account {
            _ if dial.purpose.explicit => false,
            account if dial.cause == Cause::Direct => !self.relayed_kinds().contains(account),
            Some(account) => self.dedicated(account).is_some(),
            None if dial.fills => self.empty_slot().is_none(),
            None => self.gossip_carrier().is_some(),
        }
    }

    /// How long to wait before a connection is wanted back that lived so long. `goes_first` says that this node
    /// dials first where both arbitrate.
    pub(super) fn redial_pause(
        &self,
        lived: Duration,
        goes_first: bool,
        healing: &Healing,
        rng: &mut Rng,
    ) -> Duration {
        // A configured route pauses. So does one that was only accepted: the other side is likely to dial. And one that
        // was refused as soon as it stood, since at once it would be again.
        let pauses = self.is_explicit() || self.solicited.is_none() || lived < RETRY_PAUSE;
        let pause = jitter(rng) + if pauses { RETRY_PAUSE } else { Duration::ZERO };
        if lived >= RETRY_PAUSE || !healing.remember {
            return pause;
        }
        // Most likely both dialed at once and each kept its own. The usual jitter is less than a slow network's
        // round trip, so that they would collide again and again. Where both arbitrate, one goes first.
        pause
            + match self.arbitrates && healing.arbitrate {
                true if goes_first => Duration::ZERO,
                true => healing.arbitration_delay,
                false => RETRY_PAUSE.mul_f64(rng.f64()),
            }
    }

    /// Where to dial it: where this node did before, else where it says it is.
    pub(super) fn url(&self) -> Option<&RouteUrl> {
        self.solicited.as_ref().map(|solicited| &solicited.url).or(self.says_url.as_ref())
    }

    /// Whether it has a pool of connections.
    pub(super) fn is_pooled(&self) -> bool {
        !self.pooled.is_empty()
    }

    /// Whether no connection is left at all.
    pub(super) fn is_gone(&self) -> bool {
        self.gossip_carrier().is_none() && self.dedicated.is_empty()
    }

    /// Notes that this node dialed the peer. A configured URL replaces one that was only heard of, never the
    /// other way round: a redial of a URL that is not configured would be abandoned (wire.md 12).
    pub(super) fn solicit(&mut self, solicited: Solicited) {
        if solicited.explicit || !self.is_explicit() {
            self.solicited = Some(solicited);
        }
    }

    /// Whether the route to it is configured here.
    pub(super) fn is_explicit(&self) -> bool {
        self.solicited.as_ref().is_some_and(|solicited| solicited.explicit)
    }
}
