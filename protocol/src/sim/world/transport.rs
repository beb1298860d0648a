//! Between the network and who holds the ends of its streams.

use super::World;
use crate::close::CloseReason;
use crate::id::ConnectionId;
use crate::sim::ids::NodeId;
use crate::sim::net::{End, Ending, Event, StreamId};
use crate::sim::stream::Holder;

impl World {
    /// Tells whom it concerns what happened on the network.
    pub(in crate::sim) fn hear_network(&mut self, event: Event) {
        self.statistics.events += 1;
        match event {
            Event::Called { attempt, host, port, remote } => self.answer(attempt, host, port, remote),
            Event::Connected { attempt, dialed } => self.connected(attempt, dialed),
            Event::Failed { attempt, fault } => self.not_connected(attempt, fault),
            Event::Read { end, bytes, writer_may_go_on } => {
                self.read(end, &bytes);
                if writer_may_go_on {
                    self.go_on(end.other());
                }
            }
            Event::Ended { end, ending } => self.ended(end, ending),
        }
    }

    /// Writes bytes and notes what they say: what is `legible` instead of them, if they are encrypted. (Of what is encrypted only the
    /// length is the same in each run.)
    pub(in crate::sim) fn write(&mut self, end: End, bytes: Vec<u8>, legible: Option<&[u8]>) {
        if legible.is_some() {
            self.trace.take(&bytes.len().to_le_bytes());
        }
        self.tap(end, legible.unwrap_or(&bytes));
        if self.network.write(end, bytes, self.now) {
            self.note_reset(end.stream);
        }
    }

    /// An end that waited for room may write again.
    pub(in crate::sim) fn go_on(&mut self, end: End) {
        if let Some(Holder::Node(node, _)) = self.joints.holder(end) {
            self.pump(node);
        }
    }

    fn read(&mut self, end: End, bytes: &[u8]) {
        match self.joints.holder(end) {
            Some(Holder::Node(node, connection)) => {
                let heard = self.note_asked(end.other());
                if let Some(engine) = &mut self.nodes[node.0].engine {
                    // A connection that the engine closed a moment ago reads no more.
                    let _ = engine.handle_input(self.now, connection, bytes);
                }
                let is_new = self.note_registration(node, connection);
                self.pump(node);
                self.note_told(node, &heard);
                if is_new {
                    self.note_all_told(node, connection);
                }
            }
            Some(Holder::Client(client)) => self.hear(client, bytes),
            None => {}
        }
    }

    fn ended(&mut self, end: End, ending: Ending) {
        match self.joints.holder(end) {
            Some(Holder::Node(node, connection)) => {
                let reason = match ending {
                    Ending::Fin => CloseReason::ClientClosed,
                    Ending::Reset => CloseReason::ReadError,
                };
                if let Some(engine) = &mut self.nodes[node.0].engine {
                    let _ = engine.handle_closed(self.now, connection, reason);
                }
                self.close_socket(node, connection, reason);
                self.pump(node);
            }
            Some(Holder::Client(client)) => {
                self.clients[client.0].close();
                self.close_end(end, Ending::Fin);
            }
            None => {}
        }
    }

    /// A node's socket is closed: the other side will hear of it.
    pub(in crate::sim) fn close_socket(&mut self, id: NodeId, connection: ConnectionId, reason: CloseReason) {
        let Some(socket) = self.nodes[id.0].close(connection) else {
            return;
        };
        let stream = socket.end.stream;
        self.trace.note(self.now, [2 << 32 | id.0 as u64, connection.index() as u64, reason as u64], || {
            format!("{id} closes {connection:?} s{}: {reason}", stream.number())
        });
        if socket.is_client {
            self.check_closed_ring(id);
        }
        if let Some(peer) = &socket.peer {
            self.note_route_closed(id, connection, peer);
        }
        self.close_end(socket.end, Ending::Fin);
    }

    /// Closes one end of a stream.
    pub(in crate::sim) fn close_end(&mut self, end: End, ending: Ending) {
        if let Some(joint) = self.joints.get_mut(end.stream) {
            joint.holders[end.side] = None;
        }
        if self.network.close(end, ending, self.now) {
            self.joints.remove(end.stream);
        }
    }

    /// Both ends of a stream find it reset, a moment later; what is on its way is lost.
    pub(in crate::sim) fn reset(&mut self, id: StreamId) {
        self.network.reset(id, self.now);
        self.note_reset(id);
    }

    fn note_reset(&mut self, id: StreamId) {
        self.trace.note(self.now, [4 << 32, id.number() as u64, 0], || format!("s{} is reset", id.number()));
    }
}
