//! What this node's own clients and services want, and how its routes hear of it (wire.md 2.7, 4.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;
use log::debug;

use super::Node;
use super::announcements::Untold;
use crate::accounts::{self, Account, AccountError, Imports};
use crate::calendar;
use crate::close::CloseReason;
use crate::forwarding::Keeper;
use crate::hub::{Entry, Kind, RemoteInterest};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Change, Extent, Source, Subscription, Walk};
use crate::permissions::Permissions;
use crate::routes::{Inheritance, Seat};
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::encode::{routed_sub, routed_unsub};

impl Node {
    /// Adds an account: clients may be put into it, routes carry it from now on, and what peers said that they want in it
    /// before holds.
    ///
    /// # Errors
    ///
    /// The name is taken or no word.
    pub fn add_account<S: Sink>(&self, name: &str, sink: &mut S) -> Result<AccountId, AccountError> {
        let listeners = self.announcements.listeners();
        let account = self.hub.add_account(name)?;
        for route in listeners.carriers_of(account.name()) {
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
        let _listeners = self.announcements.listeners();
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
        let mut listeners = self.announcements.listeners();
        let carried = listeners.begin(entry, seat, self.hub.accounts().list());
        let system_account = self.hub.system_account().map(|account| account.id());
        if carried.iter().any(|account| Some(account.id()) == system_account) {
            self.hub.note_servers();
        }
        Untold::of(carried)
    }

    /// What peers may want of this node; none if that is everything.
    pub(crate) fn exports(&self) -> Option<Arc<Permissions>> {
        self.announcements.exports()
    }

    /// What a route is to be told once more of the local interest: its peer did not take all of it before.
    pub(crate) fn repeat_interest(&self, route: ConnectionId) -> Untold {
        let listeners = self.announcements.listeners();
        Untold::of(listeners.carried_by(route, self.hub.accounts().list()))
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

    /// Tells a route what comes next of the interest in an account; true once that is all, or once it does not carry the
    /// account any more.
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
        account.index().show_to(route.id(), walk, seen, &mut |change| {
            if !self.announcements.tell_of(change) {
                return;
            }
            push_change(&mut lines, name, change);
            // Inside the critical section: nothing about the same key may come before it.
            sink.announce(route.id(), &lines);
            lines.clear();
        })
    }

    /// Lets a connection go on for a circuit: all that is for its peer goes there, behind the last line of the circuit.
    pub(crate) fn bequeath<S: Sink>(
        &self,
        circuit: ConnectionId,
        heir: ConnectionId,
        last: &[u8],
        sink: &mut S,
    ) {
        sink.bequeath(circuit, heir, last);
        if let Some(entry) = self.hub.directory().get(circuit) {
            entry.set_heir(heir);
        }
        self.end_interest(circuit);
    }

    /// What is to be done where a connection goes on for a circuit.
    pub(crate) fn inheritance(&self, heir: ConnectionId) -> Inheritance {
        self.cluster().map_or(Inheritance::Nothing, |cluster| cluster.inheritance(heir))
    }

    /// Lets what a circuit brought be what the connection brought that goes on for it. Returns what that had brought itself, before
    /// anybody knew what it is: it is to be removed.
    pub(crate) fn inherit<S: Sink>(
        &self,
        now: Instant,
        circuit: ConnectionId,
        heir: &Arc<Entry>,
        sink: &mut S,
    ) -> RemoteInterest {
        // It may be about to end, and do the same.
        let circuit = self.hub.directory().get(circuit).filter(|entry| entry.id() == circuit);
        let early = circuit.map(|circuit| self.pass_interest(&circuit, heir));
        self.with_cluster(now, sink, |cluster, _| cluster.handle_inherited(now, heir.id()));
        early.unwrap_or_default()
    }

    /// The same where the circuit is about to end, if it has said all.
    pub(crate) fn bequeath_at_end(&self, circuit: &Entry, has_said_all: bool) -> RemoteInterest {
        let heir = self.cluster().and_then(|cluster| cluster.heir_of(circuit.id(), has_said_all));
        let heir = heir.and_then(|heir| self.hub.directory().get(heir));
        heir.map(|heir| self.pass_interest(circuit, &heir)).unwrap_or_default()
    }

    fn pass_interest(&self, circuit: &Entry, heir: &Arc<Entry>) -> RemoteInterest {
        // Accounts that come or go find it in one of the two.
        let _listeners = self.announcements.listeners();
        self.hub.bequeath(circuit, heir)
    }

    /// Announces nothing more to a route.
    pub(crate) fn end_interest(&self, route: ConnectionId) {
        self.announcements.listeners().end(route, &self.hub.accounts().list());
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
