//! What must hold: at every step, and once the network is whole again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::time::Duration;

use super::World;
use crate::accounts::{GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
use crate::engine::Engine;
use crate::hub::Kind;
use crate::id::ConnectionId;
use crate::interest::{Source, Subscription};
use crate::sim::client::SimSubscription;
use crate::sim::ids::{ClientId, MessageId, NodeId, Sid};
use crate::sim::ledger::{ExpectedGroup, Group};
use crate::sim::node::{SimNode, wanted_routes};
use crate::sim::rule::{Rule, Violation};
use crate::sim::stream::Holder;
use crate::sim::subject::matches;
use crate::sim::tenants::ALL_ANSWERS;
use crate::time::Instant;

impl World {
    /// Notes that a connection of a node became a registered route, if it did: then it says so.
    pub(in crate::sim) fn note_registration(&mut self, id: NodeId, connection: ConnectionId) -> bool {
        let node = &mut self.nodes[id.0];
        let known = node.socket(connection).is_none_or(|socket| socket.is_client || socket.peer.is_some());
        let Some(engine) = node.engine.as_ref().filter(|_| !known) else {
            return false;
        };
        let Some(entry) = engine.node().hub().directory().get(connection) else {
            return false;
        };
        let about = entry.about();
        if about.remote_id.is_empty() {
            return false;
        }
        let peer = about.remote_id;
        self.change_routes(id, &peer, |node, routes| {
            // A connection that ended may still have bytes to write, and a circuit that another took the place of bytes to read.
            let directory = node.hub().directory();
            let is_there = |route| directory.get(route).is_some_and(|entry| entry.link() == route);
            routes.pooled.retain(|route| is_there(*route));
            routes.dedicated.retain(|(_, route)| is_there(*route));
            match &about.account {
                Some(account) => routes.dedicated.push((account.clone(), connection)),
                None => routes.pooled.push(connection),
            }
        });
        if let Some(socket) = self.nodes[id.0].socket_mut(connection) {
            socket.peer = Some(peer.clone());
        }
        let words = [3 << 32 | id.0 as u64, connection.index() as u64, 0];
        self.trace.note(self.now, words, || format!("{id} registers {connection:?} {:?}", about.account));
        self.nodes[id.0].pace.registrations += 1;
        self.check_routes(id, &peer);
        true
    }

    /// Notes that a connection of a node is gone.
    pub(in crate::sim) fn note_route_closed(&mut self, id: NodeId, connection: ConnectionId, peer: &str) {
        let known = self.nodes[id.0].routes.get(peer);
        let is_lost = known.is_some_and(|routes| routes.carrying(None).any(|route| route == connection));
        self.change_routes(id, peer, |_, routes| routes.remove(connection));
        if let Some(other) = self.ids.get(peer).filter(|_| is_lost) {
            self.ledger.handle_route_lost(id, *other, self.now);
        }
    }

    fn change_routes(
        &mut self,
        id: NodeId,
        peer: &str,
        change: impl FnOnce(&crate::Node, &mut crate::sim::node::PeerRoutes),
    ) {
        let was_exact = self.is_exact(id, peer);
        let node = &mut self.nodes[id.0];
        let Some(engine) = &node.engine else {
            return;
        };
        let before = node.routes.len();
        let routes = node.routes.entry(peer.to_owned()).or_default();
        change(engine.node(), routes);
        routes.changed_at = self.now;
        if routes.is_empty() {
            node.routes.remove(peer);
        }
        self.mesh.peers = self.mesh.peers + node.routes.len() - before;
        self.mesh.exact += usize::from(self.is_exact(id, peer));
        self.mesh.exact -= usize::from(was_exact);
    }

    /// Whether a node has exactly the routes to a peer that it should.
    pub(in crate::sim) fn is_exact(&self, id: NodeId, peer: &str) -> bool {
        let Some(other) = self.ids.get(peer) else {
            return false;
        };
        let node = &self.nodes[id.0];
        let theirs = &self.nodes[other.0].spec;
        node.routes.get(peer).is_some_and(|routes| routes.is_exact(&node.spec, theirs))
    }

    fn check_routes(&mut self, id: NodeId, peer: &str) {
        let node = &self.nodes[id.0];
        if node.server_id == *peer {
            return self.fail(Violation::new(Rule::NoRouteToSelf, format!("{id} has a route to itself")));
        }
        let (Some(routes), Some(other)) = (node.routes.get(peer), self.ids.get(peer)) else {
            return;
        };
        let (pooled, dedicated) = wanted_routes(&node.spec, &self.nodes[other.0].spec);
        if routes.pooled.len() > pooled || routes.dedicated.len() > dedicated {
            let text =
                format!("{id} has {} + {} routes to {other}", routes.pooled.len(), routes.dedicated.len());
            self.fail(Violation::new(Rule::PoolSize, text));
        }
    }

    /// Whether every node that runs has exactly the routes to every other that it should, and no others.
    pub fn is_mesh_whole(&self) -> bool {
        let up = self.ids.len();
        let pairs = up * up.saturating_sub(1);
        self.mesh.exact == pairs && self.mesh.peers == pairs
    }

    /// Whether no route came or went after that time.
    pub(in crate::sim) fn is_unchanged_since(&self, at: Instant) -> bool {
        self.nodes.iter().flat_map(|node| node.routes.values()).all(|routes| routes.changed_at <= at)
    }

    /// The pairs of running nodes that have no complete set of routes, for those who ask why.
    pub fn missing_pairs(&self) -> Vec<(NodeId, NodeId)> {
        let up: Vec<_> = self.nodes.iter().filter(|node| node.engine.is_some()).collect();
        let pairs = up.iter().flat_map(|a| up.iter().map(move |b| (a, b))).filter(|(a, b)| a.id != b.id);
        pairs.filter(|(a, b)| !self.is_exact(a.id, &b.server_id)).map(|(a, b)| (a.id, b.id)).collect()
    }

    /// Nodes that have routes to servers which are not there any more, with how many such servers.
    pub fn stale_peers(&self) -> Vec<(NodeId, usize)> {
        let stale = |node: &crate::sim::node::SimNode| {
            node.routes.keys().filter(|id| !self.ids.contains_key(*id)).count()
        };
        self.nodes.iter().map(|node| (node.id, stale(node))).filter(|(_, count)| *count > 0).collect()
    }

    /// Whether two nodes are connected at all, as the first sees it.
    pub fn is_connected(&self, a: NodeId, b: NodeId) -> bool {
        self.nodes[a.0].routes.contains_key(&self.nodes[b.0].server_id)
    }

    /// Whether nothing that two nodes say to each other passes through a third, as the first sees it.
    pub fn is_direct(&self, a: NodeId, b: NodeId) -> bool {
        let node = &self.nodes[a.0];
        let Some(routes) = node.routes.get(&self.nodes[b.0].server_id) else { return false };
        let directory = node.engine.as_ref().map(|engine| engine.node().hub().directory());
        let is_direct =
            |route| directory.is_some_and(|it| it.get(route).is_some_and(|it| it.about().relay.is_none()));
        routes.carrying(None).all(is_direct)
    }

    /// Checks what holds once the mesh is whole and everything that was under way has arrived: nothing was lost, all
    /// know each other's interest, all clients know all nodes, and each is known by where it comes from.
    pub fn check_settled(&self) -> Result<(), Violation> {
        self.check_connected()?;
        self.check_origins()
            .and_then(|()| self.check_connect_urls())
            .map_err(|violation| Violation { at: self.now, ..violation })
    }

    /// Checks what holds even where pairs of nodes are not connected, once everything that was under way has arrived: nothing
    /// was lost on connections that stayed, and nodes that are connected know each other's interest.
    pub fn check_connected(&self) -> Result<(), Violation> {
        let losses = self
            .ledger
            .check_losses(|stream| self.network.is_whole(stream), |client, sid| self.is_live(client, sid));
        losses
            .and_then(|()| self.check_interest())
            .and_then(|()| self.nodes.iter().try_for_each(|node| self.is_as_configured(node.id)))
            .map_err(|violation| Violation { at: self.now, ..violation })
    }

    /// Checks that a message, published into a whole mesh, came to all who want it and to nobody else.
    pub fn check_delivery(&self, message: MessageId) -> Result<(), Violation> {
        let Some(published) = self.ledger.get(message) else {
            return Ok(());
        };
        let (mut plain, mut queues) = (BTreeSet::new(), BTreeMap::<Group, ExpectedGroup>::new());
        let places = published.places.iter().enumerate().filter(|_| published.is_owed());
        for (number, place) in places {
            let live = self.listeners(place, published).filter(|(_, _, it, _)| !it.is_ended);
            for (client, sid, subscription, is_hidden) in live {
                match &subscription.queue {
                    Some(queue) => {
                        queues.entry((number, queue.clone())).or_default().may_refuse |= is_hidden;
                    }
                    None if is_hidden => {}
                    None => drop(plain.insert((client.id, sid, number))),
                }
            }
        }
        let checked = self.ledger.check_exact(message, &plain, &queues);
        checked.map_err(|violation| Violation { at: self.now, ..violation })
    }

    pub(in crate::sim) fn is_live(&self, client: ClientId, sid: Sid) -> bool {
        let client = &self.clients[client.0];
        client.is_open && client.subscriptions.get(&sid).is_some_and(|subscription| !subscription.is_ended)
    }

    fn live_subscriptions(&self) -> impl Iterator<Item = (ClientId, Sid)> {
        self.clients.iter().filter(|client| client.is_open).flat_map(|client| {
            let live = client.subscriptions.iter().filter(|(_, subscription)| !subscription.is_ended);
            live.map(|(sid, _)| (client.id, *sid))
        })
    }

    /// Interest as all others should know it, by node: the number of subscriptions of each account, filter and group.
    fn wanted_interest(&self) -> BTreeMap<NodeId, Interest> {
        let mut wanted: BTreeMap<NodeId, Interest> = BTreeMap::new();
        for (client, sid) in self.live_subscriptions() {
            let client = &self.clients[client.0];
            let subscription = &client.subscriptions[&sid];
            let SimSubscription { subject, queue, .. } = subscription;
            let own = (client.account.to_string(), subject.clone());
            let reached = self.tenants.reached(&client.account, subject);
            let reached = reached.map(|(exporter, subject)| (exporter.to_owned(), subject));
            for (account, subject) in iter::once(own).chain(reached) {
                let key = (account, subject, queue.clone());
                let weight = wanted.entry(client.node).or_default().entry(key).or_default();
                *weight = if queue.is_some() { *weight + 1 } else { 1 };
            }
        }
        for node in &self.nodes {
            let heard = node.asked.iter().filter(|(_, is_heard)| **is_heard);
            wanted.entry(node.id).or_default().extend(heard.map(|(account, _)| (answers_of(account), 1)));
        }
        wanted
    }

    fn check_interest(&self) -> Result<(), Violation> {
        let wanted = self.wanted_interest();
        let nothing = Interest::new();
        for node in &self.nodes {
            let Some(engine) = &node.engine else {
                continue;
            };
            let known = self.known_interest(node.id, engine);
            for other in self.nodes.iter().filter(|other| self.must_know(node.id, other.id)) {
                let known = known.get(&other.id).unwrap_or(&nothing);
                let known = &*other.without_what_may_be(known);
                let wanted = wanted.get(&other.id).unwrap_or(&nothing);
                let is_there = |account: &str| {
                    account == GLOBAL_ACCOUNT
                        || other.accounts.contains(account)
                        || self.tenants.have(account)
                };
                if let Some((account, ..)) = known.keys().find(|(account, ..)| !is_there(account)) {
                    let text = format!("{} knows {known:?} of {}, where {account} is not", node.id, other.id);
                    return Err(Violation::new(Rule::AccountGone, text));
                }
                if known != wanted {
                    let text = format!("{} knows {known:?} of {}, not {wanted:?}", node.id, other.id);
                    return Err(Violation::new(Rule::Interest, text));
                }
            }
            if let Some(known) = known.get(&NOBODY) {
                let text = format!("{} knows {known:?} of nobody", node.id);
                return Err(Violation::new(Rule::Interest, text));
            }
        }
        Ok(())
    }

    /// What a node knows of whose interest, by node: in accounts that it has, and in those that it may get.
    fn known_interest(&self, id: NodeId, engine: &Engine) -> BTreeMap<NodeId, Interest> {
        let hub = engine.node().hub();
        let mut known: BTreeMap<NodeId, Interest> = BTreeMap::new();
        let mut note = |account: &str, subscription: &Subscription| {
            let is_own = matches!(subscription.source(), Source::Client | Source::Answers);
            let over = hub.directory().link_of(subscription.connection());
            let of = if is_own { Some(id) } else { self.peer_at(id, over) };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let subject = text(subscription.subject());
            // Each node has words of its own for what it listens to for answers.
            let subject = if matches(ALL_ANSWERS, &subject) { ALL_ANSWERS.to_owned() } else { subject };
            let key = (account.to_owned(), subject, subscription.queue().map(text));
            let weight = known.entry(of.unwrap_or(NOBODY)).or_default().entry(key).or_default();
            let more = if is_own { 1 } else { subscription.weight() };
            *weight = if subscription.queue().is_some() { *weight + more } else { 1 };
        };
        // What servers want of each other is none of the clients' business.
        for account in hub.accounts().list().iter().filter(|account| account.name() != SYSTEM_ACCOUNT) {
            account.index().for_each(&mut |subscription| note(account.name(), subscription));
        }
        for route in hub.directory().list(Kind::Route) {
            route.interest().for_each_unclaimed(&mut |account, subscription| {
                note(&String::from_utf8_lossy(account), subscription);
            });
        }
        known
    }

    /// Whether a node must know the interest of another by now; its own it knows always.
    fn must_know(&self, id: NodeId, other: NodeId) -> bool {
        let is_old = |a: NodeId, b: NodeId| {
            let routes = self.nodes[a.0].routes.get(&self.nodes[b.0].server_id);
            routes.is_some_and(|routes| routes.changed_at + INTEREST_ARRIVES <= self.now)
        };
        let is_connected =
            |a: NodeId, b: NodeId| self.is_exact(a, &self.nodes[b.0].server_id) && is_old(a, b);
        id == other || is_connected(id, other) && is_connected(other, id)
    }

    /// Whether nodes know where clients come from whose proxies say so.
    fn check_origins(&self) -> Result<(), Violation> {
        for client in self.clients.iter().filter(|client| client.is_open && client.is_presented) {
            let engine = self.nodes[client.node.0].engine.as_ref();
            let Some(Holder::Node(_, connection)) = self.joints.holder(client.end.other()) else { continue };
            let entry = engine.and_then(|engine| engine.node().hub().directory().get(connection));
            let known = entry.map(|entry| entry.origin());
            if client.origin.is_some() && known != client.origin {
                let text = format!(
                    "{} takes {} to come from {known:?}, not {:?}",
                    client.node, client.id, client.origin
                );
                return Err(Violation::new(Rule::Transport, text));
            }
        }
        Ok(())
    }

    fn check_connect_urls(&self) -> Result<(), Violation> {
        let up = || self.nodes.iter().filter(|node| node.engine.is_some());
        let plain: BTreeSet<&String> = up().flat_map(|node| &node.connect_urls).collect();
        let by_websocket: BTreeSet<&String> = up().flat_map(|node| &node.ws_connect_urls).collect();
        if self.ids.len() < 2 {
            return Ok(());
        }
        // Who has not said that it takes INFO at any time is told once.
        for client in self.clients.iter().filter(|client| client.is_open && client.is_presented) {
            let known: BTreeSet<&String> = client.connect_urls().iter().collect();
            let wanted = if client.is_by_websocket() { &by_websocket } else { &plain };
            if known != *wanted {
                let text = format!("{} at {} knows {known:?}, not {wanted:?}", client.id, client.node);
                return Err(Violation::new(Rule::ConnectUrls, text));
            }
        }
        Ok(())
    }

    /// Which node is at the other end of a registered route.
    pub(in crate::sim) fn peer_at(&self, id: NodeId, connection: ConnectionId) -> Option<NodeId> {
        let socket = self.nodes[id.0].socket(connection)?;
        self.ids.get(socket.peer.as_ref()?).copied()
    }
}

/// How many want what: in an account, by a filter, in a group.
type Interest = BTreeMap<(String, String, Option<String>), u32>;

/// What a node wants that waits for answers in an account.
fn answers_of(account: &str) -> (String, String, Option<String>) {
    (account.to_owned(), ALL_ANSWERS.to_owned(), None)
}

impl SimNode {
    /// What others know of its interest without what it may listen to or not: for answers where nobody heard a question.
    fn without_what_may_be<'a>(&self, known: &'a Interest) -> Cow<'a, Interest> {
        let mut known = Cow::Borrowed(known);
        for (account, _) in self.asked.iter().filter(|(_, is_heard)| !**is_heard) {
            known.to_mut().remove(&answers_of(account));
        }
        known
    }
}

/// So long after two nodes got all their connections they know each other's interest.
const INTEREST_ARRIVES: Duration = Duration::from_secs(2);

/// Stands for a peer that is not there.
const NOBODY: NodeId = NodeId(usize::MAX);
