//! All open connections of a node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

#[cfg(feature = "websocket")]
use super::Flag;
use super::{Entry, Kind};
use crate::hash::KeyedState;
use crate::id::ConnectionId;
use crate::lock::{Place, ReadGuard, RwLock, WriteGuard};
use crate::time::Instant;

/// All open connections, by their id.
#[derive(Debug)]
pub struct Directory {
    slots: RwLock<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Those that are found by the id of another, too: by that, until both are gone.
    heirs: BTreeMap<ConnectionId, Heir>,
    clients: usize,
    routes: usize,
    upgrading: usize,
}

/// A connection that is found by the id of another, too.
#[derive(Debug)]
struct Heir {
    id: ConnectionId,
    is_open: bool,
    /// The other still is, though nobody finds it.
    former_is_open: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Arc<Entry>>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { slots: RwLock::new(Place::Directory, Slots::default()) }
    }
}

impl Directory {
    /// The connection with this id, if it is still open.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Entry>> {
        self.read().get(id).cloned()
    }

    /// How many connections of a kind are open.
    pub fn count(&self, kind: Kind) -> usize {
        let slots = self.read();
        match kind {
            Kind::Client => slots.clients,
            Kind::Route => slots.routes,
            Kind::Upgrading => slots.upgrading,
        }
    }

    /// All connections of a kind, in the order of their start.
    pub fn list(&self, kind: Kind) -> Vec<Arc<Entry>> {
        let slots = self.read();
        let entries = slots.own_entries(0..slots.slots.len());
        let mut entries: Vec<_> = entries.filter(|entry| entry.kind() == kind).cloned().collect();
        drop(slots);
        entries.sort_unstable_by_key(|entry| entry.cid());
        entries
    }

    /// Those of a kind among the next [`SLICE`] places from `from` on, and where to go on. Who goes through all of them so,
    /// from zero on, holds the directory for a moment at a time, and meets each that stays open once.
    pub(crate) fn slice(&self, kind: Kind, from: usize) -> (Vec<Arc<Entry>>, Option<usize>) {
        let slots = self.read();
        let end = slots.slots.len().min(from.saturating_add(SLICE));
        let entries = slots.own_entries(from.min(end)..end).filter(|entry| entry.kind() == kind);
        (entries.cloned().collect(), (end < slots.slots.len()).then_some(end))
    }

    pub(crate) fn insert(
        &self,
        cid: u64,
        kind: Kind,
        remote: SocketAddr,
        start: Instant,
        hasher: KeyedState,
    ) -> Arc<Entry> {
        let mut slots = self.write();
        let index = slots.free.pop().unwrap_or(slots.slots.len() as u32);
        if index as usize == slots.slots.len() {
            slots.slots.push(Slot::default());
        }
        *slots.counter(kind) += 1;
        let slot = &mut slots.slots[index as usize];
        let id = ConnectionId::new(index, slot.generation);
        let entry = Arc::new(Entry::new(id, cid, kind, remote, start, hasher));
        slot.entry = Some(entry.clone());
        entry
    }

    /// Notes that who asked for a WebSocket has it, and is a client from now on.
    #[cfg(feature = "websocket")]
    pub(crate) fn handle_upgraded(&self, entry: &Entry) {
        let mut slots = self.write();
        *slots.counter(Kind::Upgrading) -= 1;
        *slots.counter(Kind::Client) += 1;
        entry.set(Flag::WebSocket, true);
    }

    /// Lets a connection be found by the id of another, too, which goes no more by that: what the other brought is its own
    /// from now on. False if one of the two is gone.
    pub(super) fn bequeath(&self, from: ConnectionId, heir: &Arc<Entry>) -> bool {
        let mut slots = self.write();
        let is_there = |id: ConnectionId| slots.get(id).is_some_and(|it| it.id() == id);
        let are_there = from != heir.id() && is_there(from) && is_there(heir.id());
        if are_there && let Some(slot) = slots.slot(from) {
            slot.entry = Some(heir.clone());
            *slots.counter(heir.kind()) -= 1;
            let heir = Heir { id: heir.id(), is_open: true, former_is_open: true };
            slots.heirs.insert(from, heir);
        }
        are_there
    }

    /// Where what is for a connection goes now ([`Entry::link`]).
    pub(crate) fn link_of(&self, id: ConnectionId) -> ConnectionId {
        self.read().get(id).map_or(id, |entry| entry.link())
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut slots = self.write();
        if let Some(heir) = slots.heirs.get_mut(&id) {
            heir.former_is_open = false;
            return slots.release(id);
        }
        let Some(entry) = slots.get(id).filter(|entry| entry.id() == id).cloned() else {
            return;
        };
        *slots.counter(entry.kind()) -= 1;
        slots.vacate(id);
        let former = slots.heirs.iter_mut().find(|(_, heir)| heir.id == id);
        if let Some(former) = former.map(|(former, heir)| {
            heir.is_open = false;
            *former
        }) {
            slots.slot(former).into_iter().for_each(|slot| slot.entry = None);
            slots.release(former);
        }
    }

    /// Looks up many with one lock.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&dyn Fn(ConnectionId) -> Option<Arc<Entry>>) -> R) -> R {
        let slots = self.read();
        f(&|id| slots.get(id).cloned())
    }

    fn read(&self) -> ReadGuard<'_, Slots> {
        self.slots.read()
    }

    fn write(&self) -> WriteGuard<'_, Slots> {
        self.slots.write()
    }
}

impl Slots {
    fn get(&self, id: ConnectionId) -> Option<&Arc<Entry>> {
        let slot = self.slots.get(id.index())?;
        slot.entry.as_ref().filter(|_| slot.generation == id.generation())
    }

    /// The connections among these places, each at its own.
    fn own_entries(&self, places: Range<usize>) -> impl Iterator<Item = &Arc<Entry>> {
        let entries = self.slots[places.clone()].iter().zip(places);
        let entries = entries.filter_map(|(slot, place)| Some((slot.entry.as_ref()?, place)));
        entries.filter(|(entry, place)| entry.id().index() == *place).map(|(entry, _)| entry)
    }

    fn slot(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())
    }

    /// Frees the place of a connection that has an heir, once both are gone.
    fn release(&mut self, former: ConnectionId) {
        if self.heirs.get(&former).is_some_and(|heir| !heir.is_open && !heir.former_is_open) {
            self.heirs.remove(&former);
            self.vacate(former);
        }
    }

    /// Frees a place for another connection.
    fn vacate(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slot(id) {
            slot.entry = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(id.index() as u32);
        }
    }

    fn counter(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Client => &mut self.clients,
            Kind::Route => &mut self.routes,
            Kind::Upgrading => &mut self.upgrading,
        }
    }
}

/// So many places are looked at while the directory is held.
const SLICE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::Hub;

    fn insert(hub: &Hub) -> Arc<Entry> {
        let remote = "127.0.0.1:1".parse().expect("an address");
        hub.directory().insert(hub.next_cid(), Kind::Route, remote, Instant::ZERO, hub.hasher())
    }

    #[test]
    fn an_heir_is_found_by_both_ids_and_counted_once_until_it_is_gone() {
        let hub = Hub::new(Config::default(), 4222);
        let directory = hub.directory();
        for former_goes_first in [true, false] {
            let [former, heir] = [(); 2].map(|()| insert(&hub));
            assert!(directory.bequeath(former.id(), &heir));
            for id in [former.id(), heir.id()] {
                assert_eq!(directory.get(id).map(|entry| entry.cid()), Some(heir.cid()));
            }
            assert_eq!((directory.count(Kind::Route), directory.list(Kind::Route).len()), (1, 1));
            assert_eq!(directory.slice(Kind::Route, 0).0.len(), 1);
            let order = if former_goes_first { [&former, &heir] } else { [&heir, &former] };
            directory.remove(order[0].id());
            if former_goes_first {
                assert_eq!(directory.get(former.id()).map(|entry| entry.cid()), Some(heir.cid()));
            }
            let newcomer = insert(&hub);
            assert_ne!(newcomer.id().index(), former.id().index(), "the other still has that place");
            directory.remove(newcomer.id());
            directory.remove(order[1].id());
            assert_eq!([former.id(), heir.id()].map(|id| directory.get(id).is_none()), [true; 2]);
            assert_eq!(directory.count(Kind::Route), 0);
        }
        let [one, other] = [(); 2].map(|()| insert(&hub));
        assert!(one.id().index() < 3 && other.id().index() < 3, "their places are free again");
        directory.remove(one.id());
        assert!(!directory.bequeath(one.id(), &other) && !directory.bequeath(other.id(), &one));
    }
}
