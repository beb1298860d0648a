//! Links that threads share.

use std::sync::Arc;

use super::link::{Link, Links};
use crate::id::ConnectionId;
use crate::lock::{Place, RwLock};

/// The links of all open connections, by the index of their id.
///
/// No lock of it is held while a link is in hand.
#[derive(Debug)]
pub struct Table<L> {
    places: RwLock<Vec<Option<Arc<L>>>>,
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
        places[index] = Some(link);
    }

    /// Removes a link, unless its place has another already.
    pub fn remove(&self, id: ConnectionId) {
        if let Some(place) = self.places.write().get_mut(id.index()) {
            place.take_if(|link| id_of(link) == id);
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
        Self { places: RwLock::new(Place::Links, Vec::new()) }
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
}

fn id_of<L>(link: &L) -> ConnectionId
where
    for<'a> &'a L: Link,
{
    link.entry().id()
}
