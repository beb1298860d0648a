//! Locks that know their place, so that the order in which they may be taken stands in one list and is checked.
//!
//! A thread that holds a lock takes only those further down in [`Place`]. Builds with debug assertions panic where it
//! does not, so that every test looks for deadlocks; others cost what the locks of the standard library cost.
//!
//! A lock whose former holder panicked is used on: what is behind these locks is whole between any two statements, and
//! one connection must not take the others down.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};

/// The locks of a node, in the order in which one thread may take them (design.md 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Gossip and routes, never on the path of a message.
    Cluster,
    /// What clients are told of the cluster.
    Shown,
    /// Which routes hear of local interest.
    Announcements,
    /// What a route announced interest in.
    RouteInterest,
    /// The table of accounts.
    Accounts,
    /// A part of an account's interest.
    Interest,
    /// The list of open connections.
    Directory,
    /// A client's subscriptions.
    Subscriptions,
    /// What else is known of a connection, of those that ended, and of the configuration.
    Facts,
    /// What waits for the node's own services.
    Services,
    /// A runtime's table of sockets.
    Links,
    /// What waits for one socket.
    Outbox,
    /// What the two halves of a transform share.
    Transport,
}

/// A [`std::sync::Mutex`] with a place.
pub struct Mutex<T> {
    place: Place,
    inner: sync::Mutex<T>,
}

/// A [`std::sync::RwLock`] with a place.
pub struct RwLock<T> {
    place: Place,
    inner: sync::RwLock<T>,
}

/// What is behind a lock, while it is held.
pub struct Guard<G> {
    // In this order: the lock is free before its place is.
    inner: G,
    _held: Held,
}

/// Holds a [`Mutex`].
pub type MutexGuard<'a, T> = Guard<sync::MutexGuard<'a, T>>;
/// Holds a [`RwLock`] together with other readers.
pub type ReadGuard<'a, T> = Guard<sync::RwLockReadGuard<'a, T>>;
/// Holds a [`RwLock`] alone.
pub type WriteGuard<'a, T> = Guard<sync::RwLockWriteGuard<'a, T>>;

impl<T> Mutex<T> {
    /// A free lock at this place.
    pub const fn new(place: Place, value: T) -> Self {
        Self { place, inner: sync::Mutex::new(value) }
    }

    /// Waits until nobody else holds it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Before the wait, which may have no end.
        let held = Held::take(self.place);
        Guard { inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner), _held: held }
    }
}

impl<T> RwLock<T> {
    /// A free lock at this place.
    pub const fn new(place: Place, value: T) -> Self {
        Self { place, inner: sync::RwLock::new(value) }
    }

    /// Waits until nobody holds it alone.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, T> {
        let held = Held::take(self.place);
        Guard { inner: self.inner.read().unwrap_or_else(PoisonError::into_inner), _held: held }
    }

    /// Waits until nobody else holds it.
    #[inline]
    pub fn write(&self) -> WriteGuard<'_, T> {
        let held = Held::take(self.place);
        Guard { inner: self.inner.write().unwrap_or_else(PoisonError::into_inner), _held: held }
    }
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    #[inline]
    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

impl<G: Deref<Target: fmt::Debug>> fmt::Debug for Guard<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// That this thread holds a lock at a place.
#[cfg(debug_assertions)]
struct Held(Place);

#[cfg(not(debug_assertions))]
struct Held;

#[cfg(debug_assertions)]
impl Held {
    fn take(place: Place) -> Self {
        HELD.with_borrow_mut(|held| {
            if let Some(last) = held.iter().max()
                && *last >= place
                && !std::thread::panicking()
            {
                panic!("{place:?} is locked by a thread that holds {last:?}");
            }
            held.push(place);
        });
        Self(place)
    }
}

#[cfg(not(debug_assertions))]
impl Held {
    #[inline]
    fn take(_place: Place) -> Self {
        Self
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        // A guard may outlive one that was taken later.
        HELD.with_borrow_mut(|held| {
            held.iter().rposition(|place| *place == self.0).map(|at| held.swap_remove(at))
        });
    }
}

#[cfg(debug_assertions)]
thread_local! {
    /// The places of the locks that this thread holds.
    static HELD: std::cell::RefCell<Vec<Place>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn locks_are_taken_downwards() {
        let (upper, lower) = (Mutex::new(Place::Cluster, 1), RwLock::new(Place::Directory, 2));
        let first = upper.lock();
        let second = lower.write();
        // In any order.
        drop(first);
        drop(second);
        assert_eq!(*upper.lock() + *lower.read(), 3);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_lock_that_is_taken_upwards_or_twice_is_found() {
        let (upper, lower) = (Mutex::new(Place::Cluster, ()), RwLock::new(Place::Directory, ()));
        let held = lower.read();
        let broken = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).is_err();
        assert!(broken(&|| drop(upper.lock())));
        assert!(broken(&|| drop(lower.read())), "a writer that waits in between would never come");
        drop(held);
        assert!(!broken(&|| drop(upper.lock())), "nothing is held any more");
    }

    #[test]
    fn a_lock_is_used_on_after_a_panic() {
        let lock = Mutex::new(Place::Facts, 1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("while it is held");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 1);
    }
}
