//! The writing thread of a connection.

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc::Receiver;

use onehop::CloseReason;
use onehop::delivery::{LAST_WORDS, Written, write_encoded, write_once};
use onehop::outbox::{Outbound, Outbox, Overdue, WritePolicy};

use crate::shared::Shared;
use crate::socket::Socket;
use crate::timer::{SocketTimer, elapsed_as_would_block};

/// What the writing thread took out of the backlog and has not written.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pub(crate) outbox: Outbox,
    /// Encodes it, once the connection is switched to that.
    outbound: Outbound,
}

/// Writes what waits for the peer until nothing more will. `all_read` ends when there is nothing more to read either.
pub(crate) fn run(shared: &Shared, socket: &Socket, all_read: &Receiver<()>) {
    let mut in_flight = InFlight::default();
    let mut timer = SocketTimer::default();
    while let Some(policy) = socket.refill(shared.now(), &mut in_flight) {
        if let Err(reason) = write(shared, socket, &policy, &mut in_flight, &mut timer) {
            socket.request_close(reason);
        }
    }
    let now = shared.now();
    if let Some(until) = socket.linger_until(now) {
        socket.shut(Shutdown::Write);
        // Nothing is ever sent.
        let _ = all_read.recv_timeout(until.since(now));
    }
    socket.cut();
}

impl InFlight {
    /// Lets the transforms say that nothing follows.
    pub(crate) fn finish(&mut self) {
        self.outbound.finish();
        self.outbound.encode_from(&mut self.outbox);
    }

    /// Whether what there is can be encoded only once the peer said something.
    pub(crate) fn waits_for_peer(&self) -> bool {
        self.outbound.waits_for_peer()
    }

    /// Whether there is something, and it does not wait for the peer to be encoded.
    pub(crate) fn is_to_be_written(&self) -> bool {
        !self.outbox.is_empty() && !self.outbound.waits_for_peer()
    }

    /// Frees the memory of a connection that has nothing to write.
    pub(crate) fn release(&mut self) {
        self.outbox.release_into(&mut Outbox::new());
        self.outbound.release();
    }

    /// Writes as much as the socket takes at once.
    fn write(&mut self, socket: &Socket) -> Written {
        let mut stream = &socket.stream;
        if !self.outbox.is_coded() {
            return write_once(&mut self.outbox, &mut |slices| {
                stream.write_vectored(slices).map_err(elapsed_as_would_block)
            });
        }
        self.outbound.encode_from(&mut self.outbox);
        let written = write_encoded(&mut self.outbound, &mut |bytes| {
            stream.write(bytes).map_err(elapsed_as_would_block)
        });
        // So that the outbox hears what was written.
        self.outbound.encode_from(&mut self.outbox);
        written
    }
}

/// Writes as much as the socket takes at once, waiting for it until the write deadline at most.
fn write(
    shared: &Shared,
    socket: &Socket,
    policy: &WritePolicy,
    in_flight: &mut InFlight,
    timer: &mut SocketTimer,
) -> Result<(), CloseReason> {
    let now = shared.now();
    // The write may block from its start.
    in_flight.outbox.handle_blocked(now, policy);
    let deadline = in_flight.outbox.poll_deadline();
    let remaining = deadline.map_or(policy.deadline, |deadline| deadline.since(now));
    // Last words are looked after more often.
    if let Some(timeout) = timer.next(remaining.min(LAST_WORDS / 2)) {
        socket.stream.set_write_timeout(Some(timeout)).map_err(|_| CloseReason::WriteError)?;
    }
    match in_flight.write(socket) {
        Written::All => {}
        Written::Blocked => timer.handle_elapsed(),
        Written::Failed => return Err(CloseReason::WriteError),
    }
    match in_flight.outbox.handle_deadline(shared.now(), policy) {
        Overdue::No => Ok(()),
        Overdue::Close => Err(CloseReason::SlowConsumerWriteDeadline),
    }
}
