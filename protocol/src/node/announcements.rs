//! Which routes hear of the local interest in which accounts (wire.md 4.2, 4.5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::accounts::{Account, pool_slot};
use crate::config::{self, ClusterConfig, Config, RoutePermissions, Rules};
use crate::hub::Entry;
use crate::id::ConnectionId;
use crate::interest::{Change, Walk};
use crate::lock::{Mutex, MutexGuard, Place};
use crate::permissions::Permissions;
use crate::routes::Seat;
use crate::sink::Sink;
use crate::time::Instant;

/// The routes that hear of local interest.
///
/// The lock is taken when a route or an account comes or goes, or another connection is to carry an account, never for a
/// subscription: it puts these in order, so that no pair of them is missed.
#[derive(Debug)]
pub(super) struct Announcements {
    listeners: Mutex<Listeners>,
    /// What routes hear of: what may be "published" to them.
    imports: Permissions,
    /// What may be wanted over routes; none if all may.
    exports: Option<Arc<Permissions>>,
}

/// The registered routes, and which of them carries what. An account's index names those that carry it.
#[derive(Debug)]
pub(super) struct Listeners {
    routes: BTreeMap<ConnectionId, Listener>,
    spread: Spread,
    /// What some of them are still to be told of accounts that they carry anew.
    late: VecDeque<Late>,
    /// When the next slice of that is due.
    late_at: Option<Instant>,
}

/// A registered route.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) entry: Arc<Entry>,
    /// The peer's id.
    peer: String,
    seat: Seat,
}

/// What a route is still to be told.
#[derive(Debug)]
struct Late {
    route: Arc<Entry>,
    untold: Untold,
}

/// What a route has not been told yet of the local interest that there was when it came.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(super) accounts: VecDeque<Arc<Account>>,
    /// How far, in the first of them.
    pub(super) walk: Walk,
}

/// Which connection to a peer is told of the interest of which account: a pinned account has a connection of its own to peers
/// that pool, and the others are spread over the pool, whose size is this node's own (wire.md 4.2).
#[derive(Debug, Default)]
struct Spread {
    /// How many connections this node's pools have; zero without pools.
    pool_size: usize,
    pinned: Vec<String>,
    /// Accounts that have a connection of their own to some peers alone, by the peer: these say so (wire.md 4.5).
    apart: BTreeMap<String, BTreeSet<String>>,
}

impl Announcements {
    pub(super) fn new(config: &Config) -> Self {
        let cluster = config.cluster.as_ref();
        let RoutePermissions { import, export } =
            cluster.map(|cluster| cluster.permissions.clone()).unwrap_or_default();
        let restricts_export = export != Rules::default();
        let imports = config::Permissions { publish: import, ..config::Permissions::default() };
        let exports = config::Permissions { subscribe: export, ..config::Permissions::default() };
        let listeners = Listeners {
            routes: BTreeMap::new(),
            spread: Spread::of_node(config),
            late: VecDeque::new(),
            late_at: None,
        };
        Self {
            listeners: Mutex::new(Place::Announcements, listeners),
            imports: Permissions::new(&imports),
            exports: restricts_export.then(|| Arc::new(Permissions::new(&exports))),
        }
    }

    /// Whether peers hear of a change.
    pub(super) fn tell_of(&self, change: Change<'_>) -> bool {
        let (Change::Added { subject, .. } | Change::Removed { subject, .. }) = change;
        !self.imports.restricts_publish() || self.imports.may_publish(subject)
    }

    /// What peers may want of this node; none if that is everything.
    pub(super) fn exports(&self) -> Option<Arc<Permissions>> {
        self.exports.clone()
    }

    pub(super) fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock()
    }

    /// When [`Node::tell_late`] is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.listeners().late_at
    }
}

impl Listeners {
    /// A route is there, which listens to what it carries from now on. Returns these of all accounts.
    pub(super) fn begin(
        &mut self,
        entry: &Arc<Entry>,
        seat: Seat,
        accounts: Vec<Arc<Account>>,
    ) -> Vec<Arc<Account>> {
        let listener = Listener { entry: entry.clone(), peer: entry.about().remote_id, seat };
        let carried = |account: &Arc<Account>| self.spread.carries(&listener, account.name());
        let accounts: Vec<_> = accounts.into_iter().filter(carried).collect();
        accounts.iter().for_each(|account| account.index().listen(entry.id()));
        self.routes.insert(entry.id(), listener);
        accounts
    }

    /// A route is no more.
    pub(super) fn end(&mut self, route: ConnectionId, accounts: &[Arc<Account>]) {
        let Some(listener) = self.routes.remove(&route) else {
            return;
        };
        let carried = accounts.iter().filter(|account| self.spread.carries(&listener, account.name()));
        carried.for_each(|account| account.index().unlisten(route));
        self.late.retain(|late| late.route.id() != route);
    }

    /// Those of the accounts that a route carries.
    pub(super) fn carried_by(
        &self,
        route: ConnectionId,
        accounts: Vec<Arc<Account>>,
    ) -> impl Iterator<Item = Arc<Account>> {
        let listener = self.routes.get(&route);
        let carries = move |account: &str| listener.is_some_and(|it| self.spread.carries(it, account));
        accounts.into_iter().filter(move |account| carries(account.name()))
    }

    /// The routes that carry an account.
    pub(super) fn carriers_of(&self, account: &str) -> impl Iterator<Item = &Listener> {
        self.routes.values().filter(move |listener| self.spread.carries(listener, account))
    }

    /// Changes which routes carry what. Of these accounts, no other, each route carries another from now on, or none: those
    /// that carry one no more say nothing of it any longer, and the others are to be told all of it.
    fn change(&mut self, now: Instant, accounts: &[Arc<Account>], change: impl FnOnce(&mut Spread)) {
        let carry = |it: &Self| -> Vec<BTreeSet<ConnectionId>> {
            let of = |account: &Arc<Account>| {
                it.carriers_of(account.name()).map(|route| route.entry.id()).collect()
            };
            accounts.iter().map(of).collect()
        };
        let before = carry(self);
        change(&mut self.spread);
        for ((account, before), after) in accounts.iter().zip(before).zip(carry(self)) {
            before.difference(&after).for_each(|route| account.index().unlisten(*route));
            for route in after.difference(&before) {
                account.index().listen(*route);
                self.late.extend(self.routes.get(route).map(|listener| Late {
                    route: listener.entry.clone(),
                    untold: Untold::of([account.clone()]),
                }));
            }
        }
        if !self.late.is_empty() {
            self.late_at.get_or_insert(now);
        }
    }
}

impl Untold {
    pub(super) fn of(accounts: impl IntoIterator<Item = Arc<Account>>) -> Self {
        Self { accounts: accounts.into_iter().collect(), walk: Walk::default() }
    }
}

impl Spread {
    fn of_node(config: &Config) -> Self {
        let cluster = config.cluster.as_ref();
        cluster.map_or_else(Self::default, |cluster| Self::of(cluster, config.system_account_name()))
    }

    fn of(config: &ClusterConfig, system_account: Option<&str>) -> Self {
        let pool_size = config.pool_size.map_or(0, |size| usize::from(size.get()));
        let pinned = config.pinned(system_account).map(str::to_owned).collect();
        Self { pool_size, pinned, apart: BTreeMap::new() }
    }

    fn carries(&self, listener: &Listener, account: &str) -> bool {
        self.carries_named(&listener.peer, &listener.seat, account)
    }

    fn carries_named(&self, peer: &str, seat: &Seat, account: &str) -> bool {
        match seat {
            Seat::Sole => true,
            Seat::Dedicated(own) => own == account,
            Seat::Slot(slot) => {
                let is_pinned = self.pinned.iter().any(|pinned| pinned == account);
                let is_apart = || self.apart.get(peer).is_some_and(|apart| apart.contains(account));
                pool_slot(account, self.pool_size) == *slot && !is_pinned && !is_apart()
            }
        }
    }

    /// Pins what another one does, and nothing else.
    fn pin(&mut self, pinned: Vec<String>) {
        self.apart.values_mut().for_each(|apart| apart.retain(|account| !pinned.contains(account)));
        self.apart.retain(|_, apart| !apart.is_empty());
        self.pinned = pinned;
    }

    fn set_apart(&mut self, peer: &str, account: &str, is_apart: bool) {
        if is_apart {
            self.apart.entry(peer.to_owned()).or_default().insert(account.to_owned());
        } else if let Some(apart) = self.apart.get_mut(peer) {
            apart.remove(account);
            if apart.is_empty() {
                self.apart.remove(peer);
            }
        }
    }
}

impl Node {
    /// Lets other connections carry what another configuration pins, or pins no more.
    pub(super) fn spread_anew<S: Sink>(&self, now: Instant, config: &Config, sink: &mut S) {
        let Spread { pinned, .. } = Spread::of_node(config);
        let mut listeners = self.announcements.listeners();
        let old: BTreeSet<_> = listeners.spread.pinned.iter().cloned().collect();
        let new: BTreeSet<_> = pinned.iter().cloned().collect();
        let accounts = old.symmetric_difference(&new);
        let accounts: Vec<_> =
            accounts.filter_map(|name| self.hub().accounts().find(name.as_bytes())).collect();
        listeners.change(now, &accounts, |spread| spread.pin(pinned));
        drop(listeners);
        self.tell_late(now, sink);
    }

    /// Lets the pool with a peer carry an account no more, or again.
    pub(super) fn set_apart<S: Sink>(
        &self,
        now: Instant,
        peer: &str,
        account: &str,
        is_apart: bool,
        sink: &mut S,
    ) {
        let known = self.hub().accounts().find(account.as_bytes());
        let mut listeners = self.announcements.listeners();
        listeners.change(now, known.as_slice(), |spread| spread.set_apart(peer, account, is_apart));
        drop(listeners);
        self.tell_late(now, sink);
    }

    /// Tells routes of accounts that they carry anew, if it is time: as much of it as a route that comes is told in one turn.
    pub(super) fn tell_late<S: Sink>(&self, now: Instant, sink: &mut S) {
        let mut listeners = self.announcements.listeners();
        if listeners.late_at.is_none_or(|at| now < at) {
            return;
        }
        // What waits behind it waits its turn; and so does what is left of it.
        let Some(mut late) = listeners.late.pop_front() else {
            return listeners.late_at = None;
        };
        if !self.tell_interest(&late.route, &mut late.untold, sink) {
            listeners.late.push_front(late);
        }
        listeners.late_at = (!listeners.late.is_empty()).then_some(now + LATE_PAUSE);
    }
}

/// So long others have their turn, between one slice of what a route is told late and the next.
const LATE_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn spread(pool_size: u16, accounts: &[&str]) -> Spread {
        let accounts = accounts.iter().map(|account| (*account).to_owned()).collect();
        let config =
            ClusterConfig { pool_size: NonZeroU16::new(pool_size), accounts, ..ClusterConfig::default() };
        Spread::of(&config, Some("$SYS"))
    }

    fn seats(spread: &Spread, peer: &str, account: &str) -> Vec<String> {
        let dedicated = spread.pinned.iter().cloned().map(Seat::Dedicated);
        let seats = (0..spread.pool_size).map(Seat::Slot).chain(dedicated);
        seats
            .filter(|seat| spread.carries_named(peer, seat, account))
            .map(|seat| format!("{seat:?}"))
            .collect()
    }

    #[test]
    fn each_account_is_announced_on_one_connection_of_a_pool() {
        let seats = |pool_size, account: &str, accounts: &[&str]| {
            seats(&spread(pool_size, accounts), "peer", account)
        };
        // wire.md appendix A.
        assert_eq!(seats(3, "$G", &[]), ["Slot(2)"]);
        assert_eq!(seats(4, "CC", &["P"]), ["Slot(3)"]);
        assert_eq!(seats(3, "$SYS", &[]), ["Dedicated(\"$SYS\")"]);
        assert_eq!(seats(3, "P", &["P"]), ["Dedicated(\"P\")"]);
        assert_eq!(seats(3, "$G", &["$G", "P"]), ["Dedicated(\"$G\")"]);
        let sole = Spread::default();
        assert!(sole.carries_named("peer", &Seat::Sole, "$SYS"), "without a pool one connection carries all");
    }

    #[test]
    fn an_account_that_one_peer_moves_stays_in_the_pools_with_others() {
        let mut spread = spread(3, &[]);
        spread.set_apart("mover", "$G", true);
        assert_eq!(seats(&spread, "mover", "$G"), [""; 0]);
        assert!(spread.carries_named("mover", &Seat::Dedicated("$G".to_owned()), "$G"));
        assert_eq!(seats(&spread, "other", "$G"), ["Slot(2)"]);
        spread.pin(vec!["$G".to_owned()]);
        spread.pin(Vec::new());
        assert_eq!(seats(&spread, "mover", "$G"), ["Slot(2)"], "what this node pinned, it moved itself");
        spread.set_apart("mover", "$G", true);
        spread.set_apart("mover", "$G", false);
        assert_eq!(seats(&spread, "mover", "$G"), ["Slot(2)"]);
        assert!(spread.apart.is_empty());
    }
}
