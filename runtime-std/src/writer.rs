//! The writing thread of a connection.

use std::io::{ErrorKind, IoSlice, Write};

use onehop::CloseReason;
use onehop::outbox::{Outbox, Overdue};

use crate::peer::Peer;
use crate::shared::Shared;
use crate::timer::SocketTimer;

/// Writes what waits for the peer until nothing more will.
pub(crate) fn run(shared: &Shared, peer: &Peer) {
    let mut writing = Outbox::new();
    let mut timer = SocketTimer::default();
    while peer.refill(&mut writing) {
        if let Err(reason) = write_once(shared, peer, &mut writing, &mut timer) {
            peer.abort(reason);
            return;
        }
    }
}

/// Writes as much as the socket takes at once, waiting for it until the write deadline at most.
fn write_once(
    shared: &Shared,
    peer: &Peer,
    writing: &mut Outbox,
    timer: &mut SocketTimer,
) -> Result<(), CloseReason> {
    let now = shared.now();
    // The write may block from its start.
    writing.handle_blocked(now, &peer.policy);
    let remaining = writing.poll_deadline().map_or(peer.policy.deadline, |deadline| deadline.since(now));
    if let Some(timeout) = timer.next(remaining) {
        peer.stream.set_write_timeout(Some(timeout)).map_err(|_| CloseReason::WriteError)?;
    }
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let filled = writing.slices(&mut slices);
    match (&peer.stream).write_vectored(&slices[..filled]) {
        Ok(0) => return Err(CloseReason::WriteError),
        Ok(written) => writing.advance(written),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            timer.handle_elapsed();
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => return Err(CloseReason::WriteError),
    }
    match writing.handle_deadline(shared.now(), &peer.policy) {
        Overdue::No => Ok(()),
        Overdue::Close => Err(CloseReason::SlowConsumerWriteDeadline),
    }
}

const MAX_SLICES: usize = 64;
