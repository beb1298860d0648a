//! The writing thread of a connection.

use std::io::Write;

use onehop::CloseReason;
use onehop::delivery::{Written, write_once};
use onehop::outbox::{Outbox, Overdue, WritePolicy};

use crate::shared::Shared;
use crate::socket::Socket;
use crate::timer::{SocketTimer, elapsed_as_would_block};

/// Writes what waits for the peer until nothing more will.
pub(crate) fn run(shared: &Shared, socket: &Socket) {
    let mut writing = Outbox::new();
    let mut timer = SocketTimer::default();
    while let Some(policy) = socket.refill(&mut writing) {
        if let Err(reason) = write(shared, socket, &policy, &mut writing, &mut timer) {
            socket.request_close(reason);
        }
    }
}

/// Writes as much as the socket takes at once, waiting for it until the write deadline at most.
fn write(
    shared: &Shared,
    socket: &Socket,
    policy: &WritePolicy,
    writing: &mut Outbox,
    timer: &mut SocketTimer,
) -> Result<(), CloseReason> {
    let now = shared.now();
    // The write may block from its start.
    writing.handle_blocked(now, policy);
    let remaining = writing.poll_deadline().map_or(policy.deadline, |deadline| deadline.since(now));
    if let Some(timeout) = timer.next(remaining) {
        socket.stream.set_write_timeout(Some(timeout)).map_err(|_| CloseReason::WriteError)?;
    }
    match write_once(writing, &mut |slices| {
        (&socket.stream).write_vectored(slices).map_err(elapsed_as_would_block)
    }) {
        Written::All => {}
        Written::Blocked => timer.handle_elapsed(),
        Written::Failed => return Err(CloseReason::WriteError),
    }
    match writing.handle_deadline(shared.now(), policy) {
        Overdue::No => Ok(()),
        Overdue::Close => Err(CloseReason::SlowConsumerWriteDeadline),
    }
}
