//! The part of a connection that other threads reach: its socket, what waits to be written, and who wants it closed.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use onehop::delivery::{Backlog, Link, Table};
use onehop::hub::Entry;
use onehop::outbox::{Outbox, Pressure, WritePolicy};
use onehop::{CloseReason, Connection, ConnectionId, Instant};

use crate::writer::InFlight;

/// All sockets, by connection.
pub(crate) type Sockets = Table<Socket>;

/// One connection, as its own two threads and all others share it: a [`Link`].
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) entry: Arc<Entry>,
    /// Held while input is handled.
    turn: Mutex<()>,
    backlog: Mutex<Backlog>,
    /// There is something to write, or nothing ever will be.
    filled: Condvar,
    /// Nothing more will ever be written.
    over: Condvar,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, connection: &Connection) -> Self {
        Self {
            stream,
            entry: connection.entry().clone(),
            turn: Mutex::new(()),
            backlog: Mutex::new(Backlog::new(connection.write_policy())),
            filled: Condvar::new(),
            over: Condvar::new(),
        }
    }

    /// Asks the reading thread to end the connection.
    pub(crate) fn request_close(&self, reason: CloseReason) {
        let mut backlog = self.backlog();
        backlog.request_close(reason);
        self.wake(backlog);
    }

    /// Why another thread wants the connection ended.
    pub(crate) fn close_request(&self) -> Option<CloseReason> {
        self.backlog().close_request()
    }

    /// How many bytes wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.backlog().pending_bytes()
    }

    /// The reading thread's turn, as long as it handles something.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has ended: what waits is written in time or never. The reading thread is not woken: it finds an end when
    /// the peer closes the socket, or when the writing thread does. To shut the reading half now would let the system drop
    /// what it has not sent yet as soon as the peer sends anything.
    pub(crate) fn end_with_server(&self, now: Instant) {
        let mut backlog = self.backlog();
        backlog.request_close(CloseReason::ServerShutdown);
        backlog.end(now, CloseReason::ServerShutdown);
        self.filled.notify_one();
    }

    /// The connection has ended: what waits is written in time or never.
    pub(crate) fn end(&self, now: Instant, reason: CloseReason) {
        self.backlog().end(now, reason);
        self.filled.notify_one();
    }

    /// Waits until nothing more will be written.
    pub(crate) fn wait_until_over(&self) {
        drop(self.over.wait_while(self.backlog(), |backlog| !backlog.is_over()));
    }

    /// Writes nothing more, and lets the reading thread read nothing more.
    pub(crate) fn cut(&self) {
        let mut backlog = self.backlog();
        backlog.stop();
        self.wake(backlog);
    }

    /// Until when the socket is to be kept, unless its peer closes it before.
    pub(crate) fn linger_until(&self, now: Instant) -> Option<Instant> {
        self.backlog().linger_until(now)
    }

    /// For the writing thread: what to write next, behind what it has not written yet, and how. Waits until there is
    /// something; `None` once nothing more is to be written.
    pub(crate) fn refill(&self, now: Instant, in_flight: &mut InFlight) -> Option<WritePolicy> {
        let mut backlog = self.backlog();
        loop {
            backlog.refill(&mut in_flight.outbox);
            backlog.handle_deadline(now);
            if in_flight.outbox.is_empty() && backlog.begin_finish() {
                in_flight.finish();
                backlog.refill(&mut in_flight.outbox);
            }
            if backlog.has_ended() && in_flight.waits_for_peer() {
                // There is no way to say it any more.
                backlog.stop();
            }
            if backlog.is_over() {
                self.over.notify_all();
                return None;
            }
            if backlog.begin_encode() || in_flight.is_to_be_written() {
                return Some(backlog.policy());
            }
            if in_flight.outbox.is_empty() {
                // An idle connection holds no memory for writing.
                in_flight.release();
            }
            backlog = self.filled.wait(backlog).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the reading thread, after each input: lets the writing thread look whether a transform has something to say.
    pub(crate) fn let_encode(&self) {
        if self.backlog().let_encode() {
            self.filled.notify_one();
        }
    }

    /// Wakes the threads that something changed for.
    fn wake(&self, backlog: MutexGuard<'_, Backlog>) {
        let is_over = backlog.is_over();
        // Once it has ended, the reading half stays open for those who send on until they close theirs.
        let is_to_end = backlog.close_request().is_some() && !backlog.has_ended();
        drop(backlog);
        self.filled.notify_one();
        self.over.notify_all();
        // Threads that are blocked on the socket return from that.
        if is_over {
            self.shut(Shutdown::Both);
        } else if is_to_end {
            self.shut(Shutdown::Read);
        }
    }

    pub(crate) fn shut(&self, how: Shutdown) {
        match self.stream.shutdown(how) {
            Ok(()) => {}
            // The other end was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => log::debug!("{} - cannot shut the socket down: {error}", self.entry.remote()),
        }
    }

    /// No thread panics while it holds the lock, but if one did, the others go on.
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
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
        if pressure == Pressure::Overflow {
            self.wake(backlog);
        }
        pressure
    }

    /// The writing thread alone writes.
    fn flush(&mut self, _: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
        let mut backlog = self.backlog();
        backlog.push(staged);
        close.into_iter().for_each(|reason| backlog.request_close(reason));
        let pressure = backlog.pressure();
        self.wake(backlog);
        pressure
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    use onehop::config::Config;
    use onehop::delivery::{KEPT_BUFFERS, Staging};
    use onehop::driver::{self, SocketKind};
    use onehop::{Listening, Node};

    use super::*;
    use crate::timer::elapsed_as_would_block;

    #[test]
    fn what_comes_too_late_for_a_connection_that_ends_with_the_server_leaves_its_reading_half_open() {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        let mut staging = Staging::new(Arc::new(Sockets::default()), 1_000_000, KEPT_BUFFERS);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let _peer = TcpStream::connect(address).expect("a connection");
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
        let connection = driver::open(&node, Instant::ZERO, address, SocketKind::Client, &mut staging);
        let socket = Socket::new(stream, &connection);
        let mut lines = Outbox::new();
        lines.push_control(b"PING\r\n");
        (&socket).flush(Instant::ZERO, &mut lines, None);
        socket.end_with_server(Instant::ZERO);
        lines.push_control(b"PING\r\n");
        (&socket).flush(Instant::ZERO, &mut lines, None);
        let read = (&socket.stream).read(&mut [0]).map_err(elapsed_as_would_block);
        assert_eq!(read.expect_err("nothing came").kind(), io::ErrorKind::WouldBlock);
    }
}
