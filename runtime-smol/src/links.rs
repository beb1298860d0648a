//! The sockets of all connections, where every worker finds those that it writes to.

use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_io::Async;
use atomic_waker::AtomicWaker;
use event_listener::Event;
use onehop::hub::Entry;
use onehop::outbox::{Outbox, Pressure, WritePolicy};
use onehop::{CloseReason, ConnectionId, Instant};

/// The socket of one connection and what waits for it.
///
/// Any worker may push and write; the driver alone waits until the socket takes more.
#[derive(Debug)]
pub struct Link {
    /// The connection's public half.
    pub entry: Arc<Entry>,
    /// The socket, in non-blocking mode.
    pub socket: Async<TcpStream>,
    policy: WritePolicy,
    outbox: Mutex<Outbox>,
    /// The socket did not take everything: the driver must wait until it is writable.
    blocked: AtomicBool,
    pending_bytes: AtomicUsize,
    close_request: Mutex<Option<CloseReason>>,
    has_close_request: AtomicBool,
    /// The driver.
    pub waker: AtomicWaker,
    /// Producers that wait until less is pending.
    pub relief: Event,
}

impl Link {
    /// The link of a connection that was just made.
    pub fn new(entry: Arc<Entry>, socket: Async<TcpStream>, policy: WritePolicy) -> Self {
        Self {
            entry,
            socket,
            policy,
            outbox: Mutex::default(),
            blocked: AtomicBool::new(false),
            pending_bytes: AtomicUsize::new(0),
            close_request: Mutex::default(),
            has_close_request: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            relief: Event::new(),
        }
    }

    /// Moves what is staged into the outbox and writes as much as the socket takes.
    pub fn write_staged(&self, now: Instant, staged: &mut Outbox) -> Pressure {
        let mut outbox = self.outbox();
        if self.absorb(&mut outbox, staged) != Pressure::Overflow && !self.is_blocked() {
            self.write(now, &mut outbox);
            outbox.release_into(staged);
        }
        self.note_pending(&outbox);
        outbox.pressure(&self.policy)
    }

    /// Appends to the outbox without writing.
    pub fn append(&self, staged: &mut Outbox, bytes: &[u8]) {
        let mut outbox = self.outbox();
        if self.absorb(&mut outbox, staged) != Pressure::Overflow {
            outbox.push_bytes(bytes);
        }
        self.note_pending(&outbox);
    }

    /// Writes what the socket takes now. For the driver, once the socket is writable.
    pub fn write_pending(&self, now: Instant) {
        let mut outbox = self.outbox();
        self.blocked.store(false, Ordering::Release);
        self.write(now, &mut outbox);
        outbox.release_into(&mut Outbox::new());
        self.note_pending(&outbox);
        let relieved = outbox.pressure(&self.policy) == Pressure::Low;
        drop(outbox);
        if relieved {
            self.relief.notify(usize::MAX);
        }
    }

    /// Whether the driver must wait until the socket is writable.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    /// How many bytes wait.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Whether producers should wait.
    pub fn is_slow(&self) -> bool {
        self.outbox().pressure(&self.policy) != Pressure::Low
    }

    /// The outbox, for its deadlines.
    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the outbox is handled.
    pub fn policy(&self) -> &WritePolicy {
        &self.policy
    }

    /// Asks the driver to end the connection.
    pub fn request_close(&self, reason: CloseReason) {
        self.close_request.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.has_close_request.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether somebody asked the driver to end the connection, and why.
    pub fn close_request(&self) -> Option<CloseReason> {
        if !self.has_close_request.load(Ordering::Acquire) {
            return None;
        }
        *self.close_request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the sending half, so that what was written still arrives, and drops what the peer sent meanwhile: unread
    /// bytes would turn the end of the connection into a reset.
    pub fn shutdown(&self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Write);
        let mut waste = [0; 16 * 1024];
        for _ in 0..64 {
            match io::Read::read(&mut self.socket.get_ref(), &mut waste) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Moves what is staged into the outbox. A slow consumer that is to be closed takes nothing more.
    fn absorb(&self, outbox: &mut Outbox, staged: &mut Outbox) -> Pressure {
        if outbox.pressure(&self.policy) == Pressure::Overflow {
            staged.clear();
            return Pressure::Overflow;
        }
        let pressure = outbox.absorb(staged, &self.policy);
        if pressure == Pressure::Overflow {
            self.request_close(CloseReason::SlowConsumerPendingBytes);
        }
        pressure
    }

    fn write(&self, now: Instant, outbox: &mut Outbox) {
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = outbox.slices(&mut slices);
            let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match self.socket.get_ref().write_vectored(&slices[..filled]) {
                Ok(written) if written < offered => {
                    outbox.advance(written);
                    return self.block(now, outbox);
                }
                Ok(written) => outbox.advance(written),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return self.block(now, outbox),
                Err(_) => {
                    outbox.clear();
                    return self.request_close(CloseReason::WriteError);
                }
            }
        }
    }

    fn block(&self, now: Instant, outbox: &mut Outbox) {
        outbox.handle_blocked(now, &self.policy);
        self.blocked.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn note_pending(&self, outbox: &Outbox) {
        self.pending_bytes.store(outbox.pending_bytes(), Ordering::Relaxed);
    }
}

/// All links, by connection.
#[derive(Debug, Default)]
pub struct Links {
    table: RwLock<Vec<Option<Arc<Link>>>>,
}

impl Links {
    /// The link of a connection, while it is open.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Link>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(id.index())?.as_ref().filter(|link| link.entry.id() == id).cloned()
    }

    /// Adds a link.
    pub fn insert(&self, link: Arc<Link>) {
        let index = link.entry.id().index();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() <= index {
            table.resize(index + 1, None);
        }
        table[index] = Some(link);
    }

    /// Removes a link, unless its place has another already.
    pub fn remove(&self, id: ConnectionId) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = table.get_mut(id.index())
            && place.as_ref().is_some_and(|link| link.entry.id() == id)
        {
            *place = None;
        }
    }

    /// Asks all drivers to end their connections; returns how many there are.
    pub fn close_all(&self, reason: CloseReason) -> usize {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let open = table.iter().flatten();
        open.inspect(|link| link.request_close(reason)).count()
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).iter().flatten().count()
    }
}

/// How many slices one vectored write is given at the most.
const MAX_SLICES: usize = 64;
