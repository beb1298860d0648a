//! What a runtime adds to a backlog.

use crate::close::CloseReason;
use crate::hub::Entry;
use crate::id::ConnectionId;
use crate::outbox::{Outbox, Pressure, WritePolicy};
use crate::time::Instant;

/// The way to one peer: a [`Backlog`](super::Backlog) with whatever locks it, writes it and wakes its driver.
///
/// A link that threads share implements this for a reference to itself, as `&TcpStream` implements `Write`. No call may
/// wait for the peer.
pub trait Link {
    /// The connection's public half.
    fn entry(&self) -> &Entry;

    /// How full the backlog is ([`Backlog::pressure`](super::Backlog::pressure)).
    fn pressure(&self) -> Pressure;

    /// Handles the backlog in another way from now on ([`Backlog::set_policy`](super::Backlog::set_policy)).
    fn set_policy(&mut self, policy: WritePolicy);

    /// Moves what is staged into the backlog ([`Backlog::push`](super::Backlog::push)) and says how full that is. Nothing is
    /// written yet and nobody woken, except the driver of a link that overflows.
    fn push(&mut self, staged: &mut Outbox) -> Pressure;

    /// The same for the last time: what is pushed from now on is left where it is staged, and is for the heir
    /// ([`Backlog::bequeath`](super::Backlog::bequeath)).
    fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId);

    /// The connection that what is left is for ([`Backlog::heir`](super::Backlog::heir)).
    fn heir(&self) -> Option<ConnectionId>;

    /// [`Link::push`] at the end of a batch; then what waits is written as far as the socket takes it at once, or whoever
    /// writes it is woken. At last the driver is told if the connection is to be closed
    /// ([`Backlog::request_close`](super::Backlog::request_close)), so that what came before it is in the backlog.
    ///
    /// Bytes that are written as they are may be written by whoever calls. If they are to be encoded first, their driver
    /// alone does that, and is woken here.
    fn flush(&mut self, now: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure;
}

/// Where the links of all connections are found.
pub trait Links {
    /// A link while it is in hand.
    type Link<'a>: Link;

    /// Calls `f` with the link of a connection. `None` if it is not there yet or not any more.
    fn with<R>(&mut self, id: ConnectionId, f: impl FnOnce(Self::Link<'_>) -> R) -> Option<R>;

    /// Hears that a link has an heir from now on.
    fn note_heir(&mut self) {}

    /// Whether some link may have an heir, so that it is worth looking. Where one thread does everything none has while another's
    /// batch goes on.
    fn have_heirs(&self) -> bool {
        false
    }
}
