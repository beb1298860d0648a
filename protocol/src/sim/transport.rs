//! What happens to bytes between the moment they are written and the moment they are read.

use std::time::Duration;

use super::node::NodeId;
use super::stream::{ACCEPTOR, DIALER, End, Ending, Segment, Side, StreamId};
use super::world::{Event, World};
use crate::close::CloseReason;
use crate::id::ConnectionId;

impl World {
    pub(super) fn room(&mut self, stream: StreamId, side: Side) -> Option<usize> {
        let pipe = &mut self.streams.get_mut(stream)?.pipes[side];
        let room = pipe.room(self.network.config.buffer_bytes);
        pipe.writer_waits = room == 0;
        Some(room)
    }

    /// Sends a segment through a pipe.
    pub(super) fn write(&mut self, id: StreamId, side: Side, bytes: Vec<u8>) {
        self.tap(id, side, &bytes);
        let is_reset = self.network.config.resets_per_million > 0
            && self.streams.get(id).is_some_and(|stream| stream.is_route)
            && self.network.happens(self.network.config.resets_per_million);
        if is_reset {
            return self.reset(id);
        }
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let pipe = &mut stream.pipes[side];
        pipe.held_bytes += bytes.len();
        pipe.written_bytes += bytes.len() as u64;
        if pipe.is_lost {
            return;
        }
        if let Some(Segment::Bytes(last)) = pipe.segments.back_mut()
            && self.network.happens(self.network.config.merges_per_million)
        {
            last.extend_from_slice(&bytes);
            return;
        }
        self.send(id, side, Segment::Bytes(bytes));
    }

    fn send(&mut self, id: StreamId, side: Side, segment: Segment) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let delay = if stream.is_route { self.network.delay() } else { CLIENT_LATENCY };
        let pipe = &mut stream.pipes[side];
        if pipe.is_lost {
            return;
        }
        pipe.last_arrival = pipe.last_arrival.max(self.now + delay);
        pipe.segments.push_back(segment);
        self.queue.push(pipe.last_arrival, Event::Arrive(id, side));
    }

    pub(super) fn arrive(&mut self, id: StreamId, side: Side) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let (to, from) = (stream.nodes[1 - side], stream.nodes[side]);
        let is_paused =
            matches!(stream.ends[1 - side], End::Client(client) if self.clients[client.0].is_paused);
        let is_cut = stream.is_route && self.network.is_cut(from, to);
        let acknowledges = !stream.is_route || !self.network.is_cut(to, from);
        let pipe = &mut stream.pipes[side];
        if is_cut || is_paused {
            pipe.parked += usize::from(!pipe.is_lost);
            return;
        }
        let Some(segment) = pipe.segments.pop_front() else {
            return;
        };
        let writer = stream.ends[side];
        let reader = stream.ends[1 - side];
        let writer_waits = match &segment {
            Segment::Bytes(bytes) => {
                pipe.delivered_bytes += bytes.len() as u64;
                pipe.acknowledge(bytes.len(), acknowledges);
                std::mem::take(&mut pipe.writer_waits)
            }
            Segment::End(_) => false,
        };
        match segment {
            Segment::Bytes(bytes) => self.deliver(id, side, reader, &bytes),
            Segment::End(ending) => self.deliver_end(id, side, reader, ending),
        }
        if writer_waits && let End::Node(node, _) = writer {
            self.pump(node);
        }
    }

    fn deliver(&mut self, id: StreamId, side: Side, reader: End, bytes: &[u8]) {
        match reader {
            End::Node(node, connection) => {
                let heard = self.note_asked(id, side);
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
            End::Client(client) => self.hear(client, bytes),
            End::Pending | End::Closed => {}
        }
    }

    fn deliver_end(&mut self, id: StreamId, side: Side, reader: End, ending: Ending) {
        match reader {
            End::Node(node, connection) => {
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
            End::Client(client) => self.clients[client.0].close(),
            End::Pending | End::Closed => {}
        }
        if let Some(stream) = self.streams.get_mut(id) {
            stream.is_broken = true;
            // Whoever it was, it is gone; the other side, if it is still there, hears of it too.
            stream.ends[1 - side] = End::Closed;
            if stream.is_over() {
                self.streams.remove(id);
            }
        }
    }

    /// A node's socket is closed: the other side will hear of it.
    pub(super) fn close_socket(&mut self, id: NodeId, connection: ConnectionId, reason: CloseReason) {
        let Some(socket) = self.nodes[id.0].close(connection) else {
            return;
        };
        self.trace.note(self.now, [2 << 32 | id.0 as u64, connection.index() as u64, reason as u64], || {
            format!("{id} closes {connection:?} s{}: {reason}", socket.stream.number())
        });
        if socket.is_client {
            self.check_closed_ring(id);
        }
        if let Some(peer) = &socket.peer {
            self.note_route_closed(id, connection, peer);
        }
        self.close_end(socket.stream, socket.side, Ending::Fin);
    }

    /// Closes one end of a stream.
    pub(super) fn close_end(&mut self, id: StreamId, side: Side, ending: Ending) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.is_broken = true;
        stream.ends[side] = End::Closed;
        if stream.is_over() {
            self.streams.remove(id);
        } else {
            self.send(id, side, Segment::End(ending));
        }
    }

    /// Both ends of a stream find it reset, a moment later; what is on its way is lost.
    pub(super) fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.is_broken = true;
        stream.pipes.iter_mut().for_each(|pipe| {
            pipe.segments.clear();
            pipe.parked = 0;
        });
        self.trace.note(self.now, [4 << 32, id.number() as u64, 0], || format!("s{} is reset", id.number()));
        self.send(id, DIALER, Segment::End(Ending::Reset));
        self.send(id, ACCEPTOR, Segment::End(Ending::Reset));
    }
}

/// How long bytes travel between a client and its node.
pub(super) const CLIENT_LATENCY: Duration = Duration::from_micros(50);
