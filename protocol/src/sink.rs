//! Where the machines' output goes.

use crate::close::CloseReason;
use crate::id::ConnectionId;
use crate::outbox::{Delivery, Pressure};
use crate::transport::Encoder;

/// Takes what is to be written to connections, this node's own clients and routes alike.
///
/// It is a parameter of the hot calls, statically dispatched, so that every lock, queue and wake-up is the
/// runtime's choice. None of its calls may block or call back into the machines. Output for a connection that
/// is gone is dropped. [`Staging`](crate::delivery::Staging) is the one that every runtime uses; what these calls promise,
/// it keeps.
pub trait Sink {
    /// For how many connections something is staged, which is what the end of the batch will cost.
    fn staged_for(&self) -> usize;

    /// Queues a message. May be staged until the end of the batch, behind what this sink staged before for the same
    /// connection.
    fn deliver(&mut self, to: ConnectionId, delivery: &Delivery<'_>);

    /// Queues protocol lines, in order with [`Sink::deliver`].
    fn send(&mut self, to: ConnectionId, bytes: &[u8]);

    /// Queues protocol lines so that they stand, when the call returns, behind all that any caller announced to the
    /// connection before, and behind what this sink staged for it. Callers hold the lock that orders what is
    /// announced, which staging until later would defeat.
    fn announce(&mut self, to: ConnectionId, bytes: &[u8]);

    /// Lets all that is queued for the connection from now on be encoded, too: marks the place behind what this sink queued
    /// before, as [`Sink::send`] would put a line there ([`Outbox::switch`](crate::outbox::Outbox::switch)).
    fn switch(&mut self, to: ConnectionId, encoder: Encoder);

    /// Queues the last lines of a connection. All that anybody queues for it after this call is queued for its heir, which goes on
    /// where it ends, and stands there behind what this caller queues for the heir before.
    fn bequeath(&mut self, from: ConnectionId, heir: ConnectionId, last: &[u8]);

    /// How much waits for a connection already, beside what this sink has staged for it; [`Pressure::Low`] if it is gone. For
    /// those who may as well say nothing for now.
    fn pressure(&mut self, of: ConnectionId) -> Pressure;

    /// Asks the driver of a connection to end it, by
    /// [`Connection::handle_close_request`](crate::connection::Connection::handle_close_request).
    fn close(&mut self, to: ConnectionId, reason: CloseReason);
}

/// Drops what it is given, for calls that nobody is to hear of.
impl Sink for () {
    fn staged_for(&self) -> usize {
        0
    }
    fn deliver(&mut self, _: ConnectionId, _: &Delivery<'_>) {}
    fn send(&mut self, _: ConnectionId, _: &[u8]) {}
    fn announce(&mut self, _: ConnectionId, _: &[u8]) {}
    fn switch(&mut self, _: ConnectionId, _: Encoder) {}
    fn bequeath(&mut self, _: ConnectionId, _: ConnectionId, _: &[u8]) {}
    fn pressure(&mut self, _: ConnectionId) -> Pressure {
        Pressure::Low
    }
    fn close(&mut self, _: ConnectionId, _: CloseReason) {}
}
