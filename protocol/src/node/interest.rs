//! What this node's own clients and services want, and how its routes hear of it (wire.md 2.7, 4.2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use log::debug;

use super::Node;
use crate::accounts::{self, Account, AccountError, Imports, pool_slot};
use crate::calendar;
use crate::close::CloseReason;
use crate::config::{self, ClusterConfig, RoutePermissions, Rules};
use crate::forwarding::Keeper;
use crate::hub::{Entry, Hub, Kind};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Change, Extent, Source, Subscription, Walk};
use crate::lock::{Mutex, MutexGuard, Place};
use crate::permissions::Permissions;
use crate::routes::Seat;
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::encode::{routed_sub, routed_unsub};

/// The routes that hear of local interest.
///
/// The lock is taken when a route or an account comes or goes, never for a subscription: it puts the two in order, so that
/// no pair of them is missed.
#[derive(Debug)]
pub(super) struct Announcements {
    routes: Mutex<BTreeMap<ConnectionId, Listener>>,
    /// What routes hear of: what may be "published" to them.
    imports: Permissions,
    /// What may be wanted over routes; none if all may.
    exports: Option<Arc<Permissions>>,
}

/// A registered route.
#[derive(Debug)]
struct Listener {
    entry: Arc<Entry>,
    seat: Seat,
}

/// What a route has not been told yet of the local interest that there was when it came.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    accounts: VecDeque<Arc<Account>>,
    /// How far, in the first of them.
    walk: Walk,
}

impl Node {
    /// Adds an account: clients may be put into it, routes carry it from now on, and what peers said that they want in it
    /// before holds.
    ///
    /// # Errors
    ///
    /// The name is taken or no word.
    pub fn add_account<S: Sink>(&self, name: &str, sink: &mut S) -> Result<AccountId, AccountError> {
        let routes = self.announcements.routes();
        let account = self.hub.add_account(name)?;
        let spread = Spread::new(&self.hub);
        for route in routes.values().filter(|route| spread.carries(&route.seat, &account)) {
            account.index().listen(route.entry.id());
            let mut untold = Untold::of([account.clone()]);
            while !self.tell_interest(&route.entry, &mut untold, sink) {}
        }
        Ok(account.id())
    }

    /// Removes an account: its interest is withdrawn from the routes and its clients are closed, without a word to them, as
    /// nats-server does (wire.md 8.3).
    ///
    /// # Errors
    ///
    /// There is no such account, or it is the global or the system account.
    pub fn remove_account<S: Sink>(&self, id: AccountId, sink: &mut S) -> Result<(), AccountError> {
        let _routes = self.announcements.routes();
        let account = self.hub.remove_account(id)?;
        account.index().withdraw(&mut |listeners, change| announce(self, &account, listeners, change, sink));
        // Nor do others find it who import its services.
        account.index().outdate_all();
        for client in self.hub.directory().list(Kind::Client) {
            if client.account() == Some(id) {
                sink.close(client.id(), CloseReason::ClientClosed);
            }
        }
        Ok(())
    }

    /// Takes a subscription into an account, and what it reaches of others into theirs, and tells the routes that carry these.
    pub(crate) fn subscribe<S: Sink>(
        &self,
        account: &Account,
        subscription: Arc<Subscription>,
        sink: &mut S,
    ) -> Extent {
        let Some(imports) = account.imports() else { return self.insert(account, subscription, sink) };
        let (compared, reached) = imports.reached_by(&subscription);
        let mut extent = Extent { compared, ..Extent::default() };
        for reached in reached {
            if let Some(exporter) = self.hub.accounts().get(reached.exporter) {
                let shadow = reached.shadow_of(&subscription, account.id());
                extent += self.insert(&exporter, Arc::new(shadow), sink);
            }
        }
        // Nobody ends it meanwhile: only its own connection does, or sets after how many messages others do.
        extent += self.insert(account, subscription, sink);
        extent
    }

    fn insert<S: Sink>(&self, account: &Account, subscription: Arc<Subscription>, sink: &mut S) -> Extent {
        let mut extent = Extent::ONE;
        account.index().insert(subscription, &mut |listeners, change| {
            announce(self, account, listeners, change, sink);
            extent.told = listeners.len();
        });
        extent
    }

    fn remove<S: Sink>(&self, account: &Account, subscription: &Subscription, sink: &mut S) -> Extent {
        let mut extent = Extent::ONE;
        account.index().remove(subscription, &mut |listeners, change| {
            announce(self, account, listeners, change, sink);
            extent.told = listeners.len();
        });
        extent
    }

    /// Takes a subscription out again, as [`Node::subscribe`] took it in.
    pub(crate) fn unsubscribe<S: Sink>(
        &self,
        account: &Account,
        subscription: &Subscription,
        sink: &mut S,
    ) -> Extent {
        if !subscription.close() {
            return Extent::default();
        }
        let mut extent = Extent::default();
        if let Some(imports) = account.imports() {
            let (compared, reached) = imports.reached_by(subscription);
            extent.compared = compared;
            for reached in reached {
                if let Some(exporter) = self.hub.accounts().get(reached.exporter) {
                    extent += self.remove(&exporter, &reached.key_of(subscription), sink);
                }
            }
        }
        extent += self.remove(account, subscription, sink);
        extent
    }

    /// Takes out all subscriptions of a client, of which some may reach other accounts.
    pub(crate) fn unsubscribe_all<S: Sink>(
        &self,
        account: &Account,
        mut subscriptions: Vec<Arc<Subscription>>,
        may_reach_others: bool,
        sink: &mut S,
    ) {
        subscriptions.retain(|subscription| subscription.close());
        let shadows = if may_reach_others { self.shadows_of(account, &subscriptions) } else { Vec::new() };
        for (exporter, shadows) in shadows {
            exporter.index().remove_all(shadows, &mut |listeners, change| {
                announce(self, &exporter, listeners, change, sink);
            });
        }
        account.index().remove_all(subscriptions, &mut |listeners, change| {
            announce(self, account, listeners, change, sink);
        });
    }

    /// What these subscriptions of an account reach in others.
    fn shadows_of(
        &self,
        account: &Account,
        subscriptions: &[Arc<Subscription>],
    ) -> Vec<(Arc<Account>, Vec<Arc<Subscription>>)> {
        let mut shadows: BTreeMap<AccountId, Vec<_>> = BTreeMap::new();
        let Some(imports) = account.imports() else { return Vec::new() };
        for subscription in subscriptions {
            for reached in imports.reached_by(subscription).1 {
                let all = shadows.entry(reached.exporter).or_default();
                all.push(Arc::new(reached.key_of(subscription)));
            }
        }
        let with_account = |(id, shadows)| Some((self.hub.accounts().get(id)?, shadows));
        shadows.into_iter().filter_map(with_account).collect()
    }

    /// Makes the results of look-ups stale that name subscriptions of a client of this account, of which some may reach other
    /// accounts. Where none does, what others publish there is nothing to it.
    pub(crate) fn outdate(&self, account: &Account, may_reach_others: bool) {
        account.index().outdate_all();
        if !may_reach_others {
            return;
        }
        let exporters = account.imports().into_iter().flat_map(Imports::exporters_of_streams);
        let exporters: BTreeSet<_> = exporters.collect();
        let exporters = exporters.into_iter().filter_map(|id| self.hub.accounts().get(id));
        exporters.for_each(|exporter| exporter.index().outdate_all());
    }

    /// Lets an account hear the answers to requests of others, if it does not yet.
    fn begin_answers<S: Sink>(&self, account: &Account, rng: &mut Rng, sink: &mut S) {
        let prefix = accounts::random_prefix(rng);
        let filter = [&prefix[..], b">"].concat();
        let id = self.hub.next_subscription();
        let new = Subscription::new(id, ConnectionId::SERVICES, Source::Answers, &filter, b"", b"");
        let new = Arc::new(new);
        self.insert(account, new.clone(), sink);
        // First there is interest, and then the subjects are used.
        if !account.answers().begin(&prefix) {
            self.remove(account, &new, sink);
        }
    }

    /// Ends a subscription of a client of this account that got its last message.
    pub(crate) fn expire<S: Sink>(
        &self,
        account: &Account,
        subscription: &Subscription,
        sink: &mut S,
    ) -> Extent {
        if let Some(entry) = self.hub.directory().get(subscription.connection()) {
            // The client may have ended it meanwhile, and given its name to another.
            entry.subscriptions().remove_same(subscription);
        }
        self.unsubscribe(account, subscription, sink)
    }

    /// Announces every change of the local interest that a newly registered route is to carry from now on. What there is
    /// already it is to be told by [`Node::tell_interest`].
    pub(crate) fn begin_interest(&self, entry: &Arc<Entry>, seat: Seat) -> Untold {
        let mut routes = self.announcements.routes();
        let route = Listener { entry: entry.clone(), seat };
        let spread = Spread::new(&self.hub);
        let carried = |account: &Arc<Account>| spread.carries(&route.seat, account);
        let accounts: Vec<_> = self.hub.accounts().list().into_iter().filter(carried).collect();
        accounts.iter().for_each(|account| account.index().listen(entry.id()));
        routes.insert(entry.id(), route);
        Untold::of(accounts)
    }

    /// What peers may want of this node; none if that is everything.
    pub(crate) fn exports(&self) -> Option<Arc<Permissions>> {
        self.announcements.exports.clone()
    }

    /// What a route is to be told once more of the local interest: its peer did not take all of it before.
    pub(crate) fn repeat_interest(&self, route: ConnectionId) -> Untold {
        let routes = self.announcements.routes();
        let spread = Spread::new(&self.hub);
        let route = routes.get(&route);
        let carried =
            |account: &Arc<Account>| route.is_some_and(|route| spread.carries(&route.seat, account));
        Untold::of(self.hub.accounts().list().into_iter().filter(carried))
    }

    /// Tells a route some of what it has not been told yet; true once that is all.
    pub(crate) fn tell_interest<S: Sink>(&self, route: &Entry, untold: &mut Untold, sink: &mut S) -> bool {
        let mut seen = 0;
        for _ in 0..ACCOUNTS_AT_ONCE {
            let Some(account) = untold.accounts.front() else { break };
            if !self.tell_of_account(route, account, &mut untold.walk, &mut seen, sink) {
                break;
            }
            untold.accounts.pop_front();
            untold.walk = Walk::default();
        }
        untold.accounts.is_empty()
    }

    /// Tells a route what comes next of the interest in an account; true once that is all.
    fn tell_of_account<S: Sink>(
        &self,
        route: &Entry,
        account: &Account,
        walk: &mut Walk,
        seen: &mut usize,
        sink: &mut S,
    ) -> bool {
        let name = route.line_account(account);
        let mut lines = Vec::new();
        account.index().show_within(walk, seen, &mut |change| {
            if !self.announcements.tell_of(change) {
                return;
            }
            push_change(&mut lines, name, change);
            // Inside the critical section: nothing about the same key may come before it.
            sink.announce(route.id(), &lines);
            lines.clear();
        })
    }

    /// Announces nothing more to a route.
    pub(crate) fn end_interest(&self, route: ConnectionId) {
        if let Some(route) = self.announcements.routes().remove(&route) {
            let accounts = self.hub.accounts().list();
            let spread = Spread::new(&self.hub);
            let carried = accounts.iter().filter(|account| spread.carries(&route.seat, account));
            carried.for_each(|account| account.index().unlisten(route.entry.id()));
        }
    }
}

impl<S: Sink> Keeper<S> for Node {
    fn expire(&self, account: AccountId, subscription: &Subscription, sink: &mut S) -> Extent {
        // Of an account that was removed the clients end, and all that they have with them.
        let account = self.hub.accounts().get(account);
        account.map_or_else(Extent::default, |account| self.expire(&account, subscription, sink))
    }

    fn time(&self, at: Instant) -> String {
        calendar::rfc3339(self.unix_nanos_at_zero.saturating_add(at.as_nanos()))
    }

    fn cluster_name(&self) -> Option<String> {
        self.cluster_name()
    }

    fn await_answers(&self, account: &Account, rng: &mut Rng, sink: &mut S) {
        if !account.answers().has_begun() {
            self.begin_answers(account, rng, sink);
        }
    }
}

impl Untold {
    fn of(accounts: impl IntoIterator<Item = Arc<Account>>) -> Self {
        Self { accounts: accounts.into_iter().collect(), walk: Walk::default() }
    }
}

impl Announcements {
    pub(super) fn new(config: Option<&ClusterConfig>) -> Self {
        let RoutePermissions { import, export } = config.map(|it| it.permissions.clone()).unwrap_or_default();
        let restricts_export = export != Rules::default();
        let imports = config::Permissions { publish: import, ..config::Permissions::default() };
        let exports = config::Permissions { subscribe: export, ..config::Permissions::default() };
        Self {
            routes: Mutex::new(Place::Announcements, BTreeMap::new()),
            imports: Permissions::new(&imports),
            exports: restricts_export.then(|| Arc::new(Permissions::new(&exports))),
        }
    }

    /// Whether peers hear of a change.
    fn tell_of(&self, change: Change<'_>) -> bool {
        let (Change::Added { subject, .. } | Change::Removed { subject, .. }) = change;
        !self.imports.restricts_publish() || self.imports.may_publish(subject)
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Listener>> {
        self.routes.lock()
    }
}

/// Which connection to a peer is told of the interest of which account: a pinned account has a connection of its own to peers
/// that pool, and the others are spread over the pool, whose size is this node's own (wire.md 4.2).
#[derive(Debug, Default)]
struct Spread {
    /// How many connections this node's pools have; zero without pools.
    pool_size: usize,
    pinned: Vec<String>,
}

impl Spread {
    fn new(hub: &Hub) -> Self {
        let system_account = hub.system_account().map(|account| account.name());
        hub.config().cluster.as_ref().map_or_else(Self::default, |config| Self::of(config, system_account))
    }

    fn of(config: &ClusterConfig, system_account: Option<&str>) -> Self {
        let pool_size = config.pool_size.map_or(0, |size| usize::from(size.get()));
        Self { pool_size, pinned: config.pinned(system_account).map(str::to_owned).collect() }
    }

    fn carries(&self, seat: &Seat, account: &Account) -> bool {
        self.carries_named(seat, account.name())
    }

    fn carries_named(&self, seat: &Seat, account: &str) -> bool {
        match seat {
            Seat::Sole => true,
            Seat::Dedicated(own) => own == account,
            Seat::Slot(slot) => {
                let is_pinned = self.pinned.iter().any(|pinned| pinned == account);
                !is_pinned && pool_slot(account, self.pool_size) == *slot
            }
        }
    }
}

/// Tells those who listen of a change, if peers hear of such.
fn announce<S: Sink>(
    node: &Node,
    account: &Account,
    listeners: &[ConnectionId],
    change: Change<'_>,
    sink: &mut S,
) {
    if !node.announcements.tell_of(change) {
        return;
    }
    let mut lines = Vec::new();
    for listener in listeners {
        let Some(route) = node.hub.directory().get(*listener) else {
            debug!("no route {listener:?} to announce interest to");
            continue;
        };
        lines.clear();
        push_change(&mut lines, route.line_account(account), change);
        sink.announce(*listener, &lines);
    }
}

fn push_change(lines: &mut Vec<u8>, account: Option<&[u8]>, change: Change<'_>) {
    match change {
        Change::Added { subject, queue } => routed_sub(lines, account, subject, queue),
        Change::Removed { subject, queue } => routed_unsub(lines, account, subject, queue),
    }
}

/// So many accounts are gone through in one slice of what a route is told: most have little interest, and a look at one that has
/// none takes two microseconds.
const ACCOUNTS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn each_account_is_announced_on_one_connection_of_a_pool() {
        let seats = |pool_size: u16, account: &str, accounts: &[&str]| -> Vec<String> {
            let accounts = accounts.iter().map(|account| (*account).to_owned()).collect();
            let config =
                ClusterConfig { pool_size: NonZeroU16::new(pool_size), accounts, ..ClusterConfig::default() };
            let spread = Spread::of(&config, Some("$SYS"));
            let dedicated = spread.pinned.iter().cloned().map(Seat::Dedicated);
            let seats = (0..usize::from(pool_size)).map(Seat::Slot).chain(dedicated);
            seats.filter(|seat| spread.carries_named(seat, account)).map(|seat| format!("{seat:?}")).collect()
        };
        // wire.md appendix A.
        assert_eq!(seats(3, "$G", &[]), ["Slot(2)"]);
        assert_eq!(seats(4, "CC", &["P"]), ["Slot(3)"]);
        assert_eq!(seats(3, "$SYS", &[]), ["Dedicated(\"$SYS\")"]);
        assert_eq!(seats(3, "P", &["P"]), ["Dedicated(\"P\")"]);
        assert_eq!(seats(3, "$G", &["$G", "P"]), ["Dedicated(\"$G\")"]);
        let sole = Spread::default();
        assert!(sole.carries_named(&Seat::Sole, "$SYS"), "without a pool one connection carries all");
    }
}
