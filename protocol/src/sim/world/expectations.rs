//! Who must get a message, worked out from what clients asked for and which bytes arrived. No engine is asked, so that
//! one that forgets a subscription cannot excuse itself.

use std::collections::BTreeMap;

use super::World;
use super::invariants::matches;
use crate::id::ConnectionId;
use crate::sim::client::Asked;
use crate::sim::ids::{ClientId, MessageId, NodeId, Sid};
use crate::sim::ledger::{Expected, ExpectedGroup};
use crate::sim::net::{End, StreamId};
use crate::sim::stream::Holder;

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
                    self.ledger.refuse(message);
                    self.clients[client.0].is_refused = true;
                    break;
                }
                Asked::Publish(message) => self.expect(message, client, node),
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
        let routes = self.nodes[id.0].routes.values().flat_map(|routes| &routes.pooled);
        let routes: Vec<ConnectionId> = routes.copied().collect();
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
        let each = if engine.is_encoded(route) { MOST_FRAMED_BYTES } else { 1 };
        let waiting = engine.pending_bytes(route) as u64 * each;
        if let Some(joint) = self.joints.get_mut(socket.end.stream) {
            let end = self.network.written_bytes(socket.end) + waiting;
            let said = &mut joint.said[socket.end.side];
            said.told.extend(told.iter().map(|subscription| (*subscription, end)));
        }
    }

    /// Notes who must get a message that a node takes from its publisher now.
    fn expect(&mut self, message: MessageId, publisher: ClientId, at: NodeId) {
        let Some(subject) = self.ledger.get(message).map(|message| message.subject.clone()) else {
            return;
        };
        let account = &self.clients[publisher.0].account;
        let mut plain = Vec::new();
        let mut groups: BTreeMap<&str, ExpectedGroup> = BTreeMap::new();
        let mut routes: BTreeMap<NodeId, Routes> = BTreeMap::new();
        for client in self.clients.iter().filter(|client| client.account == *account) {
            for (sid, subscription) in &client.subscriptions {
                let is_own = client.id == publisher && !client.echo;
                if is_own || !matches(&subscription.subject, &subject) {
                    continue;
                }
                let (client_id, sid) = (client.id, *sid);
                let via = routes.entry(client.node).or_insert_with(|| self.routes_between(at, client.node));
                let is_known = subscription.is_heard
                    && !subscription.is_ended
                    && (client.node == at || self.has_heard(via, client_id, sid));
                match &subscription.queue {
                    None if is_known => {
                        plain.push(Expected { client: client_id, sid, via: via.streams.clone() });
                    }
                    None => {}
                    Some(queue) => {
                        let group = groups.entry(queue).or_default();
                        group.members.push((client_id, sid));
                        group.via.extend(&via.streams);
                        group.is_known |= is_known;
                    }
                }
            }
        }
        let groups = groups.into_iter().map(|(queue, group)| (queue.to_owned(), group)).collect();
        self.ledger.expect(message, plain, groups);
    }

    /// Whether a node refuses a message, and ends the connection that it came on.
    fn is_too_large(&self, message: MessageId, at: NodeId) -> bool {
        let payload_bytes = self.ledger.get(message).map_or(0, |message| message.payload_bytes);
        payload_bytes > self.nodes[at.0].spec.config.max_payload
    }

    /// The connections that carry messages from one node to another, and whether each end has all of them.
    fn routes_between(&self, from: NodeId, to: NodeId) -> Routes {
        let (sender, receiver) = (&self.nodes[from.0], &self.nodes[to.0]);
        let known = sender.routes.get(&receiver.server_id);
        let sockets = known.into_iter().flat_map(|routes| &routes.pooled).filter_map(|it| sender.socket(*it));
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

/// The pooled connections from one node to another.
struct Routes {
    are_complete: bool,
    streams: Vec<StreamId>,
    /// The ends of these at the other node, which tells what it wants.
    back: Vec<End>,
}

/// What one byte takes in frames at the most: where it has one to itself.
const MOST_FRAMED_BYTES: u64 = 3;
