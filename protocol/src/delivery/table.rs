//! Links that threads share, and how each finds those that it writes to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::link::{Link, Links};
use crate::id::ConnectionId;
use crate::lock::{Place, RwLock};

/// The links of all open connections, by the index of their id.
///
/// No lock of it is held while a link is in hand.
#[derive(Debug)]
pub struct Table<L> {
    places: RwLock<Vec<Option<Arc<L>>>>,
    /// How many of them have heirs.
    heirs: AtomicUsize,
}

impl<L> Table<L>
where
    for<'a> &'a L: Link,
{
    /// The link of a connection, while it is open.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<L>> {
        self.places.read().get(id.index())?.as_ref().filter(|link| id_of(link) == id).cloned()
    }

    /// Adds the link of a connection that was just made. Its index may still have been that of one whose last words are
    /// being said, which then is found no more.
    pub fn insert(&self, link: Arc<L>) {
        let index = id_of(&link).index();
        let mut places = self.places.write();
        if places.len() <= index {
            places.resize(index + 1, None);
        }
        let former = places[index].replace(link);
        drop(places);
        self.note_gone(former);
    }

    /// Removes a link, unless its place has another already.
    pub fn remove(&self, id: ConnectionId) {
        let mut places = self.places.write();
        let gone = places.get_mut(id.index()).and_then(|place| place.take_if(|link| id_of(link) == id));
        drop(places);
        self.note_gone(gone);
    }

    fn note_gone(&self, link: Option<Arc<L>>) {
        if link.is_some_and(|link| (&*link).heir().is_some()) {
            self.heirs.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// All links, in the order of their index.
    pub fn all(&self) -> Vec<Arc<L>> {
        self.places.read().iter().flatten().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.read().iter().flatten().count()
    }
}

impl<L> Default for Table<L> {
    fn default() -> Self {
        Self { places: RwLock::new(Place::Links, Vec::new()), heirs: AtomicUsize::new(0) }
    }
}

impl<L: 'static> Links for Arc<Table<L>>
where
    for<'a> &'a L: Link,
{
    type Link<'a> = &'a L;

    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(&L) -> R) -> Option<R> {
        self.get(id).map(|link| f(&link))
    }

    fn note_heir(&mut self) {
        self.heirs.fetch_add(1, Ordering::Relaxed);
    }

    fn have_heirs(&self) -> bool {
        self.heirs.load(Ordering::Relaxed) > 0
    }
}

/// The links of a [`Table`] that one thread has written to, which it finds again without a look at what all threads share: to
/// lock the table would take its cache line from core to core with each batch.
///
/// It keeps none of them open.
#[derive(Debug)]
pub struct LocalLinks<L> {
    table: Arc<Table<L>>,
    /// By the index of a connection, as the table has them.
    known: Vec<Weak<L>>,
    /// How often the table was asked since those that are gone were forgotten.
    asked: usize,
}

impl<L> LocalLinks<L>
where
    for<'a> &'a L: Link,
{
    /// Knows none yet.
    pub fn new(table: Arc<Table<L>>) -> Self {
        Self { table, known: Vec::new(), asked: 0 }
    }

    /// Where it looks for those that it does not know.
    pub fn table(&self) -> &Table<L> {
        &self.table
    }

    #[inline]
    fn get(&mut self, id: ConnectionId) -> Option<Arc<L>> {
        let known = self.known.get(id.index()).and_then(Weak::upgrade);
        known.filter(|link| id_of(link) == id).or_else(|| self.ask(id))
    }

    #[cold]
    fn ask(&mut self, id: ConnectionId) -> Option<Arc<L>> {
        self.asked += 1;
        if self.asked > self.known.len() {
            self.forget_gone();
        }
        let link = self.table.get(id)?;
        if self.known.len() <= id.index() {
            self.known.resize(id.index() + 1, Weak::new());
        }
        self.known[id.index()] = Arc::downgrade(&link);
        Some(link)
    }

    /// Frees the memory of links that are closed. Called as seldom as it takes long.
    fn forget_gone(&mut self) {
        self.asked = 0;
        let gone = self.known.iter_mut().filter(|link| link.strong_count() == 0);
        gone.for_each(|link| *link = Weak::new());
        let is_there = |link: &Weak<L>| link.strong_count() > 0;
        self.known.truncate(self.known.iter().rposition(is_there).map_or(0, |last| last + 1));
    }
}

impl<L: 'static> Links for LocalLinks<L>
where
    for<'a> &'a L: Link,
{
    type Link<'a> = &'a L;

    #[inline]
    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(&L) -> R) -> Option<R> {
        self.get(id).map(|link| f(&link))
    }

    fn note_heir(&mut self) {
        self.table.heirs.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn have_heirs(&self) -> bool {
        self.table.heirs.load(Ordering::Relaxed) > 0
    }
}

fn id_of<L>(link: &L) -> ConnectionId
where
    for<'a> &'a L: Link,
{
    link.entry().id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseReason;
    use crate::config::Config;
    use crate::hub::{Entry, Hub, Kind};
    use crate::outbox::{Outbox, Pressure, WritePolicy};
    use crate::time::Instant;

    #[derive(Debug)]
    struct Named(Arc<Entry>);

    impl Link for &Named {
        fn entry(&self) -> &Entry {
            &self.0
        }

        fn pressure(&self) -> Pressure {
            Pressure::Low
        }

        fn set_policy(&mut self, _: WritePolicy) {}

        fn bequeath(&mut self, _: &mut Outbox, _: ConnectionId) {}

        fn heir(&self) -> Option<ConnectionId> {
            None
        }

        fn push(&mut self, _: &mut Outbox) -> Pressure {
            Pressure::Low
        }

        fn flush(&mut self, _: Instant, _: &mut Outbox, _: Option<CloseReason>) -> Pressure {
            Pressure::Low
        }
    }

    struct World {
        hub: Hub,
        table: Arc<Table<Named>>,
        local: LocalLinks<Named>,
    }

    impl World {
        fn new() -> Self {
            let (hub, table) = (Hub::new(Config::default(), 4222), Arc::new(Table::default()));
            Self { hub, local: LocalLinks::new(table.clone()), table }
        }

        fn open(&self) -> Arc<Named> {
            let (hub, remote) = (&self.hub, "127.0.0.1:1".parse().expect("an address"));
            let entry =
                hub.directory().insert(hub.next_cid(), Kind::Client, remote, Instant::ZERO, hub.hasher());
            let link = Arc::new(Named(entry));
            self.table.insert(link.clone());
            link
        }

        fn close(&self, link: Arc<Named>) -> ConnectionId {
            let id = link.0.id();
            self.hub.directory().remove(id);
            self.table.remove(id);
            id
        }

        fn finds(&mut self, id: ConnectionId) -> Option<u64> {
            self.local.with(id, |link| link.0.cid())
        }
    }

    #[test]
    fn a_link_is_found_while_it_is_open_and_never_for_another() {
        let mut world = World::new();
        let first = world.open();
        assert_eq!([(); 2].map(|()| world.finds(first.0.id())), [Some(1); 2]);
        let gone = world.close(first);
        assert_eq!(world.finds(gone), None);
        let second = world.open();
        assert_eq!(second.0.id().index(), gone.index());
        assert_eq!((world.finds(gone), world.finds(second.0.id())), (None, Some(2)));
    }

    #[test]
    fn a_thread_asks_the_table_once_for_each_link_and_keeps_none_open() {
        let mut world = World::new();
        let links: Vec<_> = (0..100).map(|_| world.open()).collect();
        for _ in 0..3 {
            links.iter().for_each(|link| assert_eq!(world.finds(link.0.id()), Some(link.0.cid())));
        }
        assert!(world.local.asked <= 100, "{}", world.local.asked);
        links.iter().for_each(|link| world.table.remove(link.0.id()));
        let weak = Arc::downgrade(&links[0]);
        drop(links);
        assert_eq!(weak.strong_count(), 0);
    }

    #[test]
    fn the_memory_of_links_that_are_closed_is_freed_sooner_or_later() {
        let mut world = World::new();
        let links: Vec<_> = (0..100).map(|_| world.open()).collect();
        links.iter().for_each(|link| assert!(world.finds(link.0.id()).is_some()));
        for link in links {
            world.close(link);
        }
        for _ in 0..101 {
            let link = world.open();
            world.finds(link.0.id());
            world.close(link);
        }
        let kept = world.local.known.iter().filter(|link| link.weak_count() > 0 || link.upgrade().is_some());
        assert!(world.local.known.len() <= 100 && kept.count() <= 1);
    }
}
