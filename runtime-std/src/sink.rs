//! Where a thread's output is staged until the end of its batch.

use std::collections::HashMap;

use onehop::outbox::{Delivery, Outbox, Pressure};
use onehop::{CloseReason, ConnectionId, Sink};

use crate::peer::PeersRead;
use crate::shared::Shared;

/// Stages what one batch of input leads to, so that each target is locked and woken once.
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    /// Whose input this is about.
    source: Option<ConnectionId>,
    stages: Vec<Stage>,
    positions: HashMap<ConnectionId, usize>,
    pressure: Pressure,
}

/// What is staged for one target.
struct Stage {
    target: ConnectionId,
    outbox: Outbox,
    close: Option<CloseReason>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, source: None, stages: Vec::new(), positions: HashMap::new(), pressure: Pressure::Low }
    }

    /// From now on, what this connection is sent comes last: its `PONG` says that all others have what it sent them.
    pub(crate) fn set_source(&mut self, source: ConnectionId) {
        self.source = Some(source);
    }

    /// Hands everything over, and says how full the fullest target is.
    pub(crate) fn flush(&mut self) -> Pressure {
        if !self.stages.is_empty() {
            let peers = self.shared.peers.read();
            let source = self.source;
            self.stages.sort_by_key(|stage| Some(stage.target) == source);
            for mut stage in self.stages.drain(..) {
                let pressure = stage.hand_over(self.shared, &peers);
                self.pressure = self.pressure.max(pressure);
                stage.conclude(&peers);
            }
            self.positions.clear();
        }
        std::mem::replace(&mut self.pressure, Pressure::Low)
    }

    fn stage(&mut self, target: ConnectionId) -> &mut Stage {
        let position = *self.positions.entry(target).or_insert_with(|| {
            self.stages.push(Stage { target, outbox: Outbox::new(), close: None });
            self.stages.len() - 1
        });
        &mut self.stages[position]
    }

    /// Hands over what is staged for one target; the target is woken at the end of the batch.
    fn hand_over(&mut self, target: ConnectionId) {
        let shared = self.shared;
        let pressure = self.stage(target).hand_over(shared, &shared.peers.read());
        self.pressure = self.pressure.max(pressure);
    }
}

impl Sink for Batch<'_> {
    fn deliver(&mut self, to: ConnectionId, delivery: &Delivery<'_>) {
        let stage = self.stage(to);
        stage.outbox.push(delivery);
        if stage.outbox.pending_bytes() > MAX_STAGED_BYTES {
            self.hand_over(to);
        }
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.stage(to).outbox.push_bytes(bytes);
    }

    fn announce(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.send(to, bytes);
        self.hand_over(to);
    }

    /// At the end of the batch, behind what is sent to it before.
    fn close(&mut self, to: ConnectionId, reason: CloseReason) {
        self.stage(to).close.get_or_insert(reason);
    }
}

impl Stage {
    fn hand_over(&mut self, shared: &Shared, peers: &PeersRead<'_>) -> Pressure {
        let Some(peer) = peers.get(self.target) else {
            self.outbox.clear();
            return Pressure::Low;
        };
        let (messages, bytes) = self.outbox.take_traffic();
        shared.node.hub().record_delivered(&peer.entry, messages, bytes);
        peer.push(&mut self.outbox)
    }

    fn conclude(self, peers: &PeersRead<'_>) {
        let Some(peer) = peers.get(self.target) else {
            return;
        };
        peer.wake();
        if let Some(reason) = self.close {
            peer.request_close(reason);
        }
    }
}

/// A batch may be multiplied by the subscriptions that it matches: from this size on it is handed over early, so that the
/// limits of the target hold.
const MAX_STAGED_BYTES: usize = 256 * 1024;
