//! The links of an engine: plain memory, of which its user writes what waits.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::close::CloseReason;
use crate::delivery::{Backlog, Link, Links};
use crate::hub::Entry;
use crate::id::ConnectionId;
use crate::outbox::{Outbound, Outbox, Pressure, WritePolicy};
use crate::time::Instant;

/// The engine's links, and what is to be done about them when the machines are not being called.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// By the index of the connection.
    slots: Vec<Option<Slot>>,
    /// Those for whom something is to be written.
    pub(super) waiting: BTreeSet<ConnectionId>,
    /// Those that were asked to end.
    pub(super) to_end: VecDeque<ConnectionId>,
}

/// The link of one connection.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) entry: Arc<Entry>,
    pub(super) backlog: Backlog,
    /// What of it is encoded, if anything is.
    pub(super) outbound: Outbound,
}

/// A slot in hand.
#[derive(Debug)]
pub(super) struct SlotMut<'a> {
    slot: &'a mut Slot,
    waiting: &'a mut BTreeSet<ConnectionId>,
    to_end: &'a mut VecDeque<ConnectionId>,
}

impl Slots {
    pub(super) fn insert(&mut self, id: ConnectionId, slot: Slot) {
        if self.slots.len() <= id.index() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        self.slots[id.index()] = Some(slot);
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Slot> {
        self.slots.get(id.index())?.as_ref().filter(|slot| slot.entry.id() == id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index())?.as_mut().filter(|slot| slot.entry.id() == id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Slot> {
        self.waiting.remove(&id);
        self.slots.get_mut(id.index())?.take_if(|slot| slot.entry.id() == id)
    }

    pub(super) fn handle_deadlines(&mut self, now: Instant) {
        for id in &self.waiting {
            if let Some(Some(slot)) = self.slots.get_mut(id.index()) {
                slot.backlog.handle_deadline(now);
                self.to_end.extend(slot.backlog.close_request().map(|_| *id));
            }
        }
    }
}

impl Links for Slots {
    type Link<'a> = SlotMut<'a>;

    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(SlotMut<'_>) -> R) -> Option<R> {
        let slot = self.slots.get_mut(id.index())?.as_mut().filter(|slot| slot.entry.id() == id)?;
        Some(f(SlotMut { slot, waiting: &mut self.waiting, to_end: &mut self.to_end }))
    }
}

impl Slot {
    /// Whether there is something for the socket: what is still to be encoded may wait for the peer.
    fn wants_write(&self) -> bool {
        if self.backlog.is_coded() {
            !self.outbound.encoded().is_empty()
        } else {
            self.backlog.pending_bytes() > 0
        }
    }
}

impl SlotMut<'_> {
    fn id(&self) -> ConnectionId {
        self.slot.entry.id()
    }

    /// Encodes what can be, once something was pushed or read, and notes whether there is something to write.
    pub(super) fn encode(&mut self) {
        let Slot { backlog, outbound, .. } = &mut *self.slot;
        if backlog.is_coded() {
            backlog.encode(outbound);
        }
        self.note_written();
    }

    /// Encodes what transforms have to say of what was read. A plain connection has none.
    pub(super) fn encode_answers(&mut self) {
        if self.slot.backlog.is_coded() {
            self.encode();
        }
    }

    /// Notes whether there is still something to write.
    pub(super) fn note_written(&mut self) {
        if self.slot.wants_write() {
            self.waiting.insert(self.id());
        } else {
            self.waiting.remove(&self.id());
        }
    }
}

impl Link for SlotMut<'_> {
    fn entry(&self) -> &Entry {
        &self.slot.entry
    }

    fn pressure(&self) -> Pressure {
        self.slot.backlog.pressure()
    }

    fn set_policy(&mut self, policy: WritePolicy) {
        self.slot.backlog.set_policy(policy);
    }

    fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId) {
        self.slot.backlog.bequeath(staged, heir);
    }

    fn heir(&self) -> Option<ConnectionId> {
        self.slot.backlog.heir()
    }

    fn push(&mut self, staged: &mut Outbox) -> Pressure {
        let pressure = self.slot.backlog.push(staged);
        if pressure == Pressure::Overflow {
            self.to_end.push_back(self.id());
        }
        pressure
    }

    fn flush(&mut self, _: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
        self.push(staged);
        if let Some(reason) = close {
            self.slot.backlog.request_close(reason);
            self.to_end.push_back(self.id());
        }
        self.encode();
        self.slot.backlog.pressure()
    }
}
