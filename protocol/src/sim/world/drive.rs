//! Drives a node's engine as a runtime would: timers, what it wants written, closed and dialed.

use std::io::IoSlice;
use std::time::Duration;

use super::{Event, World};
use crate::close::CloseReason;
use crate::id::ConnectionId;
use crate::sim::ids::NodeId;
use crate::sim::node::Socket;
use crate::sim::rule::{Rule, Violation};

impl World {
    pub(in crate::sim) fn wake(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.timer != Some(self.now) {
            return;
        }
        node.timer = None;
        if let Some(engine) = node.engine.as_mut().filter(|_| node.timer_is_due) {
            engine.handle_timeout(self.now);
            node.served_at = Some(self.now);
        }
        self.pump(id);
        // What comes at the same moment may make something due.
        self.nodes[id.0].served_at = None;
    }

    /// Carries out everything that an engine wants.
    pub(in crate::sim) fn pump(&mut self, id: NodeId) {
        let Some(engine) = &self.nodes[id.0].engine else {
            return;
        };
        let pending: Vec<ConnectionId> = engine.pending().collect();
        pending.into_iter().for_each(|connection| self.transmit(id, connection));
        while let Some((connection, reason)) = self.poll_closed(id) {
            self.statistics.duplicates += u64::from(reason == CloseReason::DuplicateRoute);
            self.close_socket(id, connection, reason);
        }
        while let Some(request) = self.poll_dial(id) {
            self.begin_dial(id, request);
        }
        self.check_kept(id);
        self.set_timer(id);
    }

    fn poll_closed(&mut self, id: NodeId) -> Option<(ConnectionId, CloseReason)> {
        self.nodes[id.0].engine.as_mut()?.poll_closed()
    }

    fn poll_dial(&mut self, id: NodeId) -> Option<crate::DialRequest> {
        self.nodes[id.0].engine.as_mut()?.poll_dial(self.now)
    }

    pub(in crate::sim) fn set_timer(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        let Some(engine) = &node.engine else {
            return;
        };
        let is_asked_often =
            node.sockets.len() > MANY_CONNECTIONS && self.now < node.timer_asked_at + COARSE_GRAIN;
        let at = if is_asked_often {
            // To ask takes as long as there are connections.
            node.timer_asked_at + COARSE_GRAIN
        } else {
            node.timer_asked_at = self.now;
            let Some((at, why)) = engine.poll_timeout() else {
                return;
            };
            if at <= self.now && node.served_at == Some(self.now) {
                let text = format!("{id} is due for {why:?} again and again");
                return self.fail(Violation::new(Rule::Limit, text));
            }
            at
        };
        // What was due and is not done by now is tried again a moment later, never at the same moment for ever.
        let at = if at > self.now { at } else { self.now + TIMER_GRAIN };
        if node.timer.is_none_or(|timer| at < timer || timer < self.now) {
            node.timer = Some(at);
            node.timer_is_due = !is_asked_often;
            self.agenda.push(at, Event::Wake(id));
        }
    }

    /// Writes what waits for a connection into its pipe, as far as there is room.
    fn transmit(&mut self, id: NodeId, connection: ConnectionId) {
        let Some(&Socket { end, .. }) = self.nodes[id.0].socket(connection) else {
            return;
        };
        loop {
            let room = self.network.room(end);
            let Some(engine) = &mut self.nodes[id.0].engine else {
                return;
            };
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = engine.poll_transmit(connection, &mut slices).unwrap_or(0);
            if filled == 0 {
                return;
            }
            if room == 0 {
                // It is known, since bytes wait for it.
                let _ = engine.handle_blocked(self.now, connection);
                self.network.wait_for_room(end, self.now);
                self.watch_blocked(id, end);
                self.check_pending(id, connection);
                return;
            }
            let waiting = slices[..filled].iter().map(|slice| slice.len()).sum::<usize>();
            let size = self.network.portion(waiting.min(room));
            let mut bytes = Vec::with_capacity(size);
            for slice in &slices[..filled] {
                bytes.extend_from_slice(&slice[..slice.len().min(size - bytes.len())]);
            }
            let _ = engine.advance(connection, size);
            let legible = engine.take_legible(connection);
            self.write(end, bytes, legible.as_deref());
        }
    }
}

/// A node with more connections than this has less exact timers.
const MANY_CONNECTIONS: usize = 64;
/// How exact these are.
const COARSE_GRAIN: Duration = Duration::from_millis(5);

/// Timers are not more exact than this.
const TIMER_GRAIN: Duration = Duration::from_micros(100);
