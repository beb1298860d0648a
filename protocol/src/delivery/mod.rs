//! The one staging sink, and what every link does with what it is given.
//!
//! The machines say what is to be sent to whom; between them and the sockets stand, for every runtime and for the engine
//! alike:
//!
//! - [`Staging`], the [`Sink`](crate::Sink) of one driver or one thread of drivers: it collects what a batch of input leads
//!   to, and hands it over once the whole batch was handled;
//! - [`Backlog`], what waits for one connection, and whether more may come: full, slow, ending, over;
//! - [`Link`], a backlog behind the lock, the socket and the wake-ups of a runtime, and [`Links`], where they are found;
//!   [`Table`] is such a place for threads, and [`LocalLinks`] what one thread remembers of it.
//!
//! The rules (design.md 3, rules 6 to 8), which are kept here and nowhere else:
//!
//! - **Order.** Each link gets what is staged for it in the order in which it was staged, whatever of it is a message, a
//!   line or an announcement.
//! - **Once.** Each link is flushed, that is locked and written to or woken, once per batch.
//! - **The fence.** The link of the connection that was read from is given its part last, so that its PONG tells that
//!   everything before its PING is in the links of those it concerns.
//! - **Announcements** stand in the link when the call returns, behind what was staged for it before.
//! - **A batch that multiplies** is handed over in parts of [`MAX_STAGED_BYTES`], or of `max_pending` if that is less: so
//!   a link never holds more than `max_pending`, nor a driver more than one such part for it.
//! - **A batch for very many**, for more than [`WRITES_AT_ONCE`], only gives the links their part if the thread has others to
//!   serve. So many are then written in each of the next turns, each with all that it was given by then.
//! - **Slow consumers.** A link that would hold more than `max_pending` drops all, takes nothing more, and asks its driver
//!   once to end it. One that is half-way there is named to the producer, who reads less.
//! - **Counting.** Messages are counted once per batch and target, before they can be seen on the wire.
//! - **Who is not there.** Output for a connection that is being made is kept for it until the end of its first batch.
//!   Output for one that is gone is dropped.
//! - **Last words.** What waits for a connection that ends is still written if [`CloseReason::flushes`](crate::CloseReason),
//!   up to the write deadline, and only while the peer takes something every [`LAST_WORDS`].
//!
//! It knows the directory's entries and the counters of the [`hub`](crate::hub), and no connection. What a runtime does
//! with it is written in [`driver`](crate::driver).

mod backlog;
mod link;
mod staging;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod unwritten;

pub use backlog::{Backlog, LAST_WORDS, Written, write_chunks, write_encoded, write_once};
pub use link::{Link, Links};
pub use staging::{KEPT_BUFFERS, MAX_STAGED_BYTES, Staging, WRITES_AT_ONCE};
pub use table::{LocalLinks, Table};
pub use unwritten::MAX_UNWRITTEN_BYTES;
