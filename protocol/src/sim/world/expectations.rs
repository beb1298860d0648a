//! Who must get a message, worked out from what clients asked for and which bytes arrived. No engine is asked, so that
//! one that forgets a subscription cannot excuse itself.

use std::collections::BTreeMap;

use super::World;
use crate::id::ConnectionId;
use crate::sim::client::{Asked, SimClient, SimSubscription};
use crate::sim::ids::{ClientId, MessageId, NodeId, Sid};
use crate::sim::ledger::{Expected, ExpectedGroup, Group, Message, Refused};
use crate::sim::net::{End, StreamId};
use crate::sim::stream::Holder;
use crate::sim::subject::matches;
use crate::sim::tenants::{By, Place};

impl World {
    /// Before a node handles what came out of a client's pipe: notes what the client asked for with it, and who must get
    /// what it published. Returns the subscriptions that the node hears of.
    pub(in crate::sim) fn note_asked(&mut self, from: End) -> Vec<(ClientId, Sid)> {
        let (Some(Holder::Client(client)), Some(Holder::Node(node, _))) =
            (self.joints.holder(from), self.joints.holder(from.other()))
        else {
            return Vec::new();
        };
        if self.clients[client.0].is_refused {
            return Vec::new();
        }
        let delivered = self.network.delivered_bytes(from);
        let mut heard = Vec::new();
        for asked in self.clients[client.0].asked_within(delivered) {
            match asked {
                Asked::Subscribe(sid) => {
                    if let Some(subscription) = self.clients[client.0].subscriptions.get_mut(&sid) {
                        subscription.is_heard = true;
                        heard.push((client, sid));
                    }
                }
                Asked::Publish(message) if self.is_too_large(message, node) => {
                    self.ledger.refuse(message, Refused::TooLarge);
                    self.clients[client.0].is_refused = true;
                    break;
                }
                Asked::Publish(message) => {
                    self.note_asked_across(message, node);
                    self.expect(message, node);
                }
            }
        }
        heard
    }

    /// After a node wrote what it has to say of new subscriptions: notes what a peer must have read to know of them. Before
    /// the node does anything else it has told all peers (design.md 3, rule 8).
    pub(in crate::sim) fn note_told(&mut self, id: NodeId, heard: &[(ClientId, Sid)]) {
        if heard.is_empty() {
            return;
        }
        let routes = self.nodes[id.0].routes.values().flat_map(|routes| routes.carrying(None));
        let routes: Vec<ConnectionId> = routes.collect();
        routes.into_iter().for_each(|route| self.note_told_over(id, route, heard));
    }

    /// The same for all subscriptions at a node and a route that was just registered there.
    pub(in crate::sim) fn note_all_told(&mut self, id: NodeId, route: ConnectionId) {
        let clients = self.clients.iter().filter(|client| client.node == id && client.is_open);
        let known = clients.flat_map(|client| {
            let heard = client.subscriptions.iter().filter(|(_, it)| it.is_heard && !it.is_ended);
            heard.map(|(sid, _)| (client.id, *sid))
        });
        let known: Vec<_> = known.collect();
        self.note_told_over(id, route, &known);
    }

    fn note_told_over(&mut self, id: NodeId, route: ConnectionId, told: &[(ClientId, Sid)]) {
        let node = &self.nodes[id.0];
        let (Some(socket), Some(engine)) = (node.socket(route), &node.engine) else {
            return;
        };
        let is_encrypted = engine.node().hub().config().tls.is_some();
        let each = match engine.is_encoded(route) {
            true if is_encrypted => MOST_ENCRYPTED_BYTES,
            true => MOST_FRAMED_BYTES,
            false => 1,
        };
        let waiting = engine.pending_bytes(route) as u64 * each;
        if let Some(joint) = self.joints.get_mut(socket.end.stream) {
            let end = self.network.written_bytes(socket.end) + waiting;
            let said = &mut joint.said[socket.end.side];
            said.told.extend(told.iter().map(|subscription| (*subscription, end)));
        }
    }

    /// Notes whom a request goes to that a node takes now, if anybody is there.
    fn note_asked_across(&mut self, message: MessageId, at: NodeId) {
        let message = self.ledger.get(message).filter(|it| it.reply.is_some() && it.is_owed());
        for place in message.into_iter().flat_map(|message| &message.places) {
            if place.by == By::Service {
                self.nodes[at.0].asked.entry(place.account.clone()).or_default();
            }
        }
    }

    /// Notes that somebody hears a request from another account, of which the node that passed it on has to hear the answer.
    pub(in crate::sim) fn note_heard_across(&mut self, message: MessageId, account: &str) {
        let Some(message) = self.ledger.get(message) else { return };
        let place = message.places.iter().find(|place| place.by == By::Service && *place.account == *account);
        let asked = place.map(|place| &mut self.nodes[place.at.0]);
        // One that was restarted meanwhile asked nobody.
        let asked = asked.filter(|node| node.pace.started_at <= message.published_at);
        if let Some(is_heard) = asked.and_then(|node| node.asked.get_mut(account)) {
            *is_heard = true;
        }
    }

    /// Notes who must get a message that a node takes from its publisher now.
    fn expect(&mut self, id: MessageId, at: NodeId) {
        let Some(message) = self.ledger.get(id).filter(|message| message.is_owed()) else {
            return;
        };
        let mut plain = Vec::new();
        let mut groups = BTreeMap::new();
        // An answer that goes on is one if it is the first: whether it is depends on others.
        let known = message.places.iter().enumerate().filter(|(_, place)| place.by != By::Answer);
        known.for_each(|place| self.expect_in(place, message, at, &mut plain, &mut groups));
        self.ledger.expect(id, plain, groups.into_iter().collect());
    }

    /// The same for one of the places where it is published.
    fn expect_in(
        &self,
        (number, place): (usize, &Place),
        message: &Message,
        at: NodeId,
        plain: &mut Vec<Expected>,
        groups: &mut BTreeMap<Group, ExpectedGroup>,
    ) {
        let mut routes: BTreeMap<NodeId, Routes> = BTreeMap::new();
        for (client, sid, subscription, is_hidden) in self.listeners(place, message) {
            let via = routes
                .entry(client.node)
                .or_insert_with(|| self.routes_between(at, client.node, &place.account));
            let is_known = subscription.is_heard
                && !subscription.is_ended
                && (client.node == at || self.has_heard(via, client.id, sid));
            match &subscription.queue {
                None if is_known && !is_hidden => {
                    plain.push(Expected { hearing: (client.id, sid, number), via: via.streams.clone() });
                }
                None => {}
                Some(queue) => {
                    let group = groups.entry((number, queue.clone())).or_default();
                    group.members.push((client.id, sid));
                    group.via.extend(&via.streams);
                    group.is_known |= is_known;
                    group.may_refuse |= is_hidden;
                }
            }
        }
    }

    /// All subscriptions, ended ones included, that match what is published in a place; and of each whether the subject is kept from
    /// its user.
    pub(in crate::sim) fn listeners<'a>(
        &'a self,
        place: &'a Place,
        message: &'a Message,
    ) -> impl Iterator<Item = (&'a SimClient, Sid, &'a SimSubscription, bool)> {
        let clients = self.clients.iter().filter(|client| client.echo || client.id != message.publisher);
        clients.flat_map(move |client| {
            let known_as = self.tenants.known_as(place, &client.account, Some(client.node));
            let subscriptions = known_as.map(|subject| {
                let is_hidden = client.hides(&subject);
                let all = client.subscriptions.iter().filter(|(_, it)| !it.is_denied);
                all.filter(move |(_, it)| matches(&it.subject, &subject))
                    .map(move |(sid, it)| (client, *sid, it, is_hidden))
            });
            subscriptions.into_iter().flatten()
        })
    }

    /// Whether a node refuses a message, and ends the connection that it came on.
    fn is_too_large(&self, message: MessageId, at: NodeId) -> bool {
        let payload_bytes = self.ledger.get(message).map_or(0, |message| message.payload_bytes);
        payload_bytes > self.nodes[at.0].spec.config.max_payload
    }

    /// The connections that may carry messages of an account from one node to another, and whether each end has all of them.
    fn routes_between(&self, from: NodeId, to: NodeId, account: &str) -> Routes {
        let (sender, receiver) = (&self.nodes[from.0], &self.nodes[to.0]);
        let known = sender.routes.get(&receiver.server_id);
        let routes = known.into_iter().flat_map(|routes| routes.carrying(Some(account)));
        let sockets = routes.filter_map(|route| sender.socket(route));
        let back: Vec<_> = sockets.map(|socket| socket.end.other()).collect();
        Routes {
            are_complete: self.is_exact(from, &receiver.server_id) && self.is_exact(to, &sender.server_id),
            streams: back.iter().map(|end| end.stream).collect(),
            back,
        }
    }

    /// Whether the sender has read that there is such a subscription. Which of the connections says so is the engines'
    /// choice, so that all must have come so far.
    fn has_heard(&self, routes: &Routes, client: ClientId, sid: Sid) -> bool {
        routes.are_complete
            && routes.back.iter().all(|from| {
                let joint = self.joints.get(from.stream).filter(|_| self.network.is_whole(from.stream));
                let told = joint.and_then(|joint| joint.said[from.side].told.get(&(client, sid)));
                told.is_some_and(|end| self.network.delivered_bytes(*from) >= *end)
            })
    }
}

/// The connections from one node to another.
struct Routes {
    are_complete: bool,
    streams: Vec<StreamId>,
    /// The ends of these at the other node, which tells what it wants.
    back: Vec<End>,
}

/// What one byte takes in frames at the most: where it has one to itself.
const MOST_FRAMED_BYTES: u64 = 3;
/// The same in records of TLS, where it has a frame to itself, too.
const MOST_ENCRYPTED_BYTES: u64 = MOST_FRAMED_BYTES + 22;
