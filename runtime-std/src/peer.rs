//! The part of a connection that other threads reach: its socket, what waits to be written, and who wants it closed.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use onehop::hub::Entry;
use onehop::outbox::{Outbox, Pressure, WritePolicy};
use onehop::{CloseReason, Connection, ConnectionId};

/// One connection, as its own two threads and all others share it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) entry: Arc<Entry>,
    pub(crate) policy: WritePolicy,
    state: Mutex<State>,
    /// There is something to write, or nothing ever will be.
    filled: Condvar,
    /// All is written, or nothing more ever will be.
    drained: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Outbox,
    /// Bytes that the writing thread took from the queue and has not written yet.
    in_flight_bytes: usize,
    phase: Phase,
    close_request: Option<CloseReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes what others send.
    Open,
    /// Writes what waits and takes nothing more.
    Draining,
    /// Writes nothing more.
    Closed,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, connection: &Connection) -> Self {
        let state =
            State { queue: Outbox::new(), in_flight_bytes: 0, phase: Phase::Open, close_request: None };
        Self {
            stream,
            entry: connection.entry().clone(),
            policy: connection.write_policy(),
            state: Mutex::new(state),
            filled: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    /// Moves what was staged behind what waits. The writing thread is to be woken afterwards, by [`Peer::wake`].
    pub(crate) fn push(&self, staged: &mut Outbox) -> Pressure {
        let mut state = self.state();
        if state.phase != Phase::Open {
            staged.clear();
            return Pressure::Low;
        }
        let policy = state.policy_of_queue(&self.policy);
        let pressure = state.queue.absorb(staged, &policy);
        if pressure == Pressure::Overflow {
            self.end(state, CloseReason::SlowConsumerPendingBytes);
        }
        pressure
    }

    /// How many bytes wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        let state = self.state();
        state.in_flight_bytes + state.queue.pending_bytes()
    }

    /// Lets the writing thread see what was pushed.
    pub(crate) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Asks the reading thread to end the connection.
    pub(crate) fn request_close(&self, reason: CloseReason) {
        self.state().close_request.get_or_insert(reason);
        self.shut(Shutdown::Read);
    }

    /// Why another thread wants the connection ended.
    pub(crate) fn close_request(&self) -> Option<CloseReason> {
        self.state().close_request
    }

    /// Asks the reading thread to end the connection, whose socket is of no more use.
    pub(crate) fn abort(&self, reason: CloseReason) {
        self.end(self.state(), reason);
    }

    /// Waits until all that was pushed is written, for `timeout` at most.
    pub(crate) fn wait_until_drained(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.phase != Phase::Closed && state.has_pending();
        drop(self.drained.wait_timeout_while(self.state(), timeout, is_busy));
    }

    /// Takes nothing more, writes what waits if it is to be `flushed` within a time, and lets the writing thread end.
    pub(crate) fn finish(&self, flushed: Option<Duration>) {
        if let Some(timeout) = flushed {
            let mut state = self.state();
            if state.phase == Phase::Open {
                state.phase = Phase::Draining;
            }
            drop(state);
            self.filled.notify_one();
            self.wait_until_drained(timeout);
        }
        self.abort(CloseReason::ClientClosed);
    }

    /// For the writing thread: what to write next, behind what it has not written yet. Waits until there is something;
    /// false once nothing more is to be written.
    pub(crate) fn refill(&self, writing: &mut Outbox) -> bool {
        let mut state = self.state();
        loop {
            if writing.is_empty() && !state.queue.is_empty() {
                writing.absorb(&mut state.queue, &self.policy);
            }
            state.in_flight_bytes = writing.pending_bytes();
            if state.phase == Phase::Closed {
                return false;
            }
            if !writing.is_empty() {
                return true;
            }
            self.drained.notify_all();
            if state.phase == Phase::Draining {
                return false;
            }
            // An idle connection holds no memory for writing.
            writing.release_into(&mut Outbox::new());
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, mut state: MutexGuard<'_, State>, reason: CloseReason) {
        state.close_request.get_or_insert(reason);
        state.phase = Phase::Closed;
        state.queue.clear();
        drop(state);
        self.shut(Shutdown::Both);
        self.filled.notify_one();
        self.drained.notify_all();
    }

    /// Wakes the threads that are blocked on the socket.
    fn shut(&self, how: Shutdown) {
        match self.stream.shutdown(how) {
            Ok(()) => {}
            // The other end was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => log::debug!("{} - cannot shut the socket down: {error}", self.entry.remote()),
        }
    }

    /// No thread panics while it holds the lock, but if one did, the others go on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_pending(&self) -> bool {
        self.in_flight_bytes > 0 || !self.queue.is_empty()
    }

    /// What is in flight still waits for the peer, so the queue may hold that much less.
    fn policy_of_queue(&self, policy: &WritePolicy) -> WritePolicy {
        let max_pending_bytes = policy.max_pending_bytes.map(|max| max.saturating_sub(self.in_flight_bytes));
        WritePolicy { max_pending_bytes, ..*policy }
    }
}

/// All open connections, by the index of their id.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    slots: RwLock<Vec<Option<Arc<Peer>>>>,
}

/// All open connections, for many look-ups with one lock.
#[derive(Debug)]
pub(crate) struct PeersRead<'a>(RwLockReadGuard<'a, Vec<Option<Arc<Peer>>>>);

impl Peers {
    pub(crate) fn read(&self) -> PeersRead<'_> {
        PeersRead(self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.read().0.iter().flatten().cloned().collect()
    }

    pub(crate) fn insert(&self, peer: Arc<Peer>) {
        let index = peer.entry.id().index();
        let mut slots = self.write();
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        slots[index] = Some(peer);
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        let mut slots = self.write();
        if let Some(slot) = slots.get_mut(id.index()) {
            slot.take_if(|peer| peer.entry.id() == id);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Option<Arc<Peer>>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeersRead<'_> {
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Peer> {
        self.0.get(id.index())?.as_deref().filter(|peer| peer.entry.id() == id)
    }
}
