//! The sockets of all connections, where every worker finds those that it writes to.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{self, Arc, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use event_listener::Event;
use mio::net::TcpStream;
use onehop::delivery::{Backlog, Link, LocalLinks, Table, Written, write_chunks, write_encoded};
use onehop::hub::Entry;
use onehop::lock::{Mutex, MutexGuard, Place};
use onehop::outbox::{Outbound, Outbox, Pressure, WritePolicy};
use onehop::{CloseReason, Connection, ConnectionId, Instant};

use crate::reactor::Source;
use crate::summons::{Summon, Summons};

/// All sockets, by connection.
pub type Sockets = Table<Socket>;

/// Those that one thread writes to.
pub type LocalSockets = LocalLinks<Socket>;

/// How much of what a peer sent was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// All that it will ever send.
    All,
    /// What has come by now.
    UntilNow,
    /// More is there.
    Part,
}

/// The socket of one connection and what waits for it: a [`Link`].
///
/// Any worker may push and write; the driver alone waits until the socket takes more.
#[derive(Debug)]
pub struct Socket {
    /// The connection's public half.
    pub entry: Arc<Entry>,
    /// The socket itself, in non-blocking mode.
    pub stream: TcpStream,
    /// The worker whose driver it has.
    worker: usize,
    /// Until it has ended. Its driver alone uses it, in its turns; who gives up a worker that does not go on ends the others.
    connection: sync::Mutex<Option<Box<Connection>>>,
    backlog: Mutex<Backlog>,
    /// What the driver is to do.
    summons: Summons,
    /// Producers that wait until less is pending.
    pub relief: Event,
}

impl Socket {
    /// The socket of a connection that was just made, to be driven by a worker.
    pub fn new(connection: Box<Connection>, stream: TcpStream, worker: usize) -> Self {
        Self {
            entry: connection.entry().clone(),
            stream,
            worker,
            backlog: Mutex::new(Place::Outbox, Backlog::new(connection.write_policy())),
            connection: sync::Mutex::new(Some(connection)),
            summons: Summons::default(),
            relief: Event::new(),
        }
    }

    /// The worker whose driver it has.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// The connection, for a turn of its driver. It is gone when it has ended.
    pub(crate) fn connection(&self) -> sync::MutexGuard<'_, Option<Box<Connection>>> {
        // A driver that panics in its turn ends the connection in whatever state that is.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, to be ended, unless its driver is in a turn of it just now.
    pub(crate) fn take_idle_connection(&self) -> Option<Box<Connection>> {
        self.connection.try_lock().ok()?.take()
    }

    /// Writes what the socket takes now. For the driver, when it is summoned to do so.
    pub fn write_pending(&self, now: Instant) {
        let backlog = self.undisturbed_backlog();
        self.summons.begin_write();
        let mut backlog = self.write_out(now, backlog);
        backlog.release_into(&mut Outbox::new());
        self.conclude(backlog);
    }

    /// Encodes and writes what the socket takes now, without the lock of the backlog. For the driver, whose half this is.
    pub fn write_encoded(&self, now: Instant, outbound: &mut Outbound) {
        self.summons.begin_write();
        let written = loop {
            self.undisturbed_backlog().hand_over(outbound);
            // Even if nothing waits: a transform may have something to say of its own.
            let is_last = outbound.is_empty();
            let written = write_encoded(outbound, &mut |bytes| (&self.stream).write(bytes));
            if is_last || outbound.waits_for_peer() || written != Written::All {
                break written;
            }
        };
        let mut backlog = self.backlog();
        backlog.hand_over(outbound);
        match written {
            Written::All => outbound.release(),
            Written::Blocked => {
                backlog.handle_blocked(now);
                self.summons.handle_blocked();
            }
            Written::Failed => backlog.request_close(CloseReason::WriteError),
        }
        self.conclude(backlog);
    }

    /// Whether what waits is encoded: then the driver alone writes, by [`Socket::write_encoded`].
    pub fn is_coded(&self) -> bool {
        self.backlog().is_coded()
    }

    /// Lets the driver look whether a transform has something to say, after each input.
    pub fn let_encode(&self) {
        self.summons.let_encode();
    }

    /// Whether the driver must wait until the socket is writable.
    pub fn is_blocked(&self) -> bool {
        self.summons.is_blocked()
    }

    /// Whether there is more to write already.
    pub fn is_left(&self) -> bool {
        self.summons.is_left()
    }

    /// What the driver has to do now apart from reading.
    pub(crate) fn poll_summons(&self, cx: &mut Context<'_>, source: &Source) -> Poll<Summon> {
        // If it fails, the write does too.
        self.summons.poll(cx, |cx| source.poll_writable(cx))
    }

    /// How many bytes wait.
    pub fn pending_bytes(&self) -> usize {
        self.backlog().pending_bytes()
    }

    /// Whether producers should wait.
    pub fn is_slow(&self) -> bool {
        self.backlog().pressure() == Pressure::High
    }

    /// When [`Socket::handle_deadline`] is to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.backlog().poll_deadline()
    }

    /// Judges a peer that may have taken too little in time.
    pub fn handle_deadline(&self, now: Instant) {
        let mut backlog = self.backlog();
        backlog.handle_deadline(now);
        self.heed(&backlog);
    }

    /// Asks the driver to end the connection.
    pub fn request_close(&self, reason: CloseReason) {
        let mut backlog = self.backlog();
        backlog.request_close(reason);
        self.heed(&backlog);
    }

    /// Whether somebody asked the driver to end the connection, and why.
    pub fn close_request(&self) -> Option<CloseReason> {
        self.backlog().close_request()
    }

    /// The connection has ended: what waits is written in time or never.
    pub fn end(&self, now: Instant, reason: CloseReason) {
        self.backlog().end(now, reason);
    }

    /// Whether the driver is now to let the transforms say that nothing follows.
    pub fn begin_finish(&self) -> bool {
        self.backlog().begin_finish()
    }

    /// Until when the socket is to be kept, unless its peer closes it before.
    pub fn linger_until(&self, now: Instant) -> Option<Instant> {
        self.backlog().linger_until(now)
    }

    /// Closes the sending half, so that what was written still arrives, and drops what the peer sent meanwhile: unread
    /// bytes would turn the end of the connection into a reset.
    pub fn shutdown(&self) -> Discarded {
        let _ = self.stream.shutdown(Shutdown::Write);
        // Nobody waits for a connection that is gone.
        self.relief.notify(usize::MAX);
        self.discard()
    }

    /// Drops what the peer sent, 1 MiB at most.
    pub fn discard(&self) -> Discarded {
        let mut waste = [0; 16 * 1024];
        for _ in 0..64 {
            match (&self.stream).read(&mut waste) {
                Ok(1..) => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Discarded::UntilNow,
                Ok(0) | Err(_) => return Discarded::All,
            }
        }
        Discarded::Part
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock()
    }

    /// The backlog while nobody writes what he took out of it: as it takes no more than a system call until then, which takes
    /// no time to speak of, the driver waits for that without a pause.
    fn undisturbed_backlog(&self) -> MutexGuard<'_, Backlog> {
        loop {
            let backlog = self.backlog();
            if !backlog.is_out() {
                return backlog;
            }
            drop(backlog);
            thread::yield_now();
        }
    }

    /// Writes what waits, unless somebody does already, and what others pushed meanwhile, for whom the backlog is free as long
    /// as the socket is written to. What is then left is the driver's to write.
    fn write_out<'a>(
        &'a self,
        now: Instant,
        mut backlog: MutexGuard<'a, Backlog>,
    ) -> MutexGuard<'a, Backlog> {
        for _ in 0..WRITES_AT_ONCE {
            let Some(mut chunks) = backlog.take_out() else {
                return backlog;
            };
            drop(backlog);
            let written = write_chunks(&mut chunks, &mut |slices| (&self.stream).write_vectored(slices));
            backlog = self.backlog();
            let was_high = backlog.pressure() == Pressure::High;
            backlog.put_back(now, chunks, written);
            if was_high && backlog.pressure() == Pressure::Low {
                self.relief.notify(usize::MAX);
            }
            match written.1 {
                Written::All => {}
                Written::Blocked => {
                    self.summons.handle_blocked();
                    return backlog;
                }
                Written::Failed => return backlog,
            }
        }
        if !backlog.outbox().is_empty() {
            self.summons.handle_left();
        }
        backlog
    }

    /// After the driver wrote: whoever waited for that goes on.
    fn conclude(&self, backlog: MutexGuard<'_, Backlog>) {
        self.heed(&backlog);
        let is_relieved = backlog.pressure() == Pressure::Low;
        drop(backlog);
        if is_relieved {
            self.relief.notify(usize::MAX);
        }
    }

    /// Wakes the driver if it was asked to end.
    fn heed(&self, backlog: &Backlog) {
        if backlog.close_request().is_some() {
            self.summons.handle_close_request();
        }
    }
}

impl Link for &Socket {
    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn pressure(&self) -> Pressure {
        self.backlog().pressure()
    }

    fn set_policy(&mut self, policy: WritePolicy) {
        self.backlog().set_policy(policy);
    }

    fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId) {
        self.backlog().bequeath(staged, heir);
    }

    fn heir(&self) -> Option<ConnectionId> {
        self.backlog().heir()
    }

    fn push(&mut self, staged: &mut Outbox) -> Pressure {
        let mut backlog = self.backlog();
        let pressure = backlog.push(staged);
        self.heed(&backlog);
        pressure
    }

    fn flush(&mut self, now: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
        let mut backlog = self.backlog();
        backlog.push(staged);
        if self.summons.may_write(backlog.is_coded()) {
            backlog = self.write_out(now, backlog);
            backlog.release_into(staged);
        }
        close.into_iter().for_each(|reason| backlog.request_close(reason));
        self.heed(&backlog);
        backlog.pressure()
    }
}

/// So often somebody goes on to write what others pushed while he wrote, before he leaves it to the driver.
const WRITES_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use onehop::config::Config;
    use onehop::delivery::MAX_STAGED_BYTES;
    use onehop::driver::{self, SocketKind};
    use onehop::outbox::{Body, Delivery};
    use onehop::{Listening, Node, Sink};

    use super::*;
    use crate::worker::staging;

    #[test]
    fn a_batch_that_multiplies_ends_its_target_before_it_takes_much_more_memory_than_is_allowed() {
        let max_pending = 2 * MAX_STAGED_BYTES;
        let config = Config { max_pending, ..Config::default() };
        let node = Node::new(config, &Listening::default(), Instant::ZERO);
        let sockets = Arc::new(Sockets::default());
        let mut staging = staging(&node, &sockets);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        let stream = TcpStream::from_std(stream);
        let connection = driver::open(&node, Instant::ZERO, address, SocketKind::Client, &mut staging);
        let id = connection.id();
        let socket = Arc::new(Socket::new(Box::new(connection), stream, 0));
        sockets.insert(socket.clone());
        let body = Body::new(&[b'x'; 1024]);
        for _ in 0..16 * MAX_STAGED_BYTES / 1024 {
            staging.deliver(id, &Delivery { prefix: b"MSG a 1 ", line: b"1022\r\n", body: &body });
            assert!(socket.pending_bytes() <= max_pending, "{}", socket.pending_bytes());
        }
        assert_eq!(socket.close_request(), Some(CloseReason::SlowConsumerPendingBytes));
    }
}
