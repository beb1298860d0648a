//! The bytes that wait for one socket.
//!
//! A delivery is copied once, into the tail of the outbox of its target; a body of [`SHARE_AT_BYTES`] or more
//! is reference-counted instead, so that a wide fan-out of large messages costs one copy. The same type serves
//! as the staging area of a batch and as the queue of a connection: [`Outbox::absorb`] moves one behind the
//! other, which for the usual case (the queue is empty) swaps two buffers.
//!
//! What waits is always plain. Where a mark stands in it ([`Outbox::switch`]), it is encoded from there on, by the
//! connection's driver alone: nobody else writes from an outbox that [is encoded](Outbox::is_coded).

mod chunks;
mod message;
mod outbound;
mod policy;

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::time::Instant;
use crate::transport::Encoder;

pub use chunks::{Chunks, WRITE_AT_ONCE_BYTES};
pub use message::{Body, Delivery, SHARE_AT_BYTES};
pub use outbound::Outbound;
pub use policy::{Overdue, Pressure, SLOW_AT_BYTES, WritePolicy};

/// Bytes waiting for one socket, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: Chunks,
    /// With what was taken out and is not known to be written.
    pending_bytes: usize,
    /// Total of plain bytes ever written.
    written_bytes: u64,
    batch: Option<Batch>,
    messages: u64,
    message_bytes: u64,
    control: Control,
    /// Plain connections have none.
    coding: Option<Box<Coding>>,
}

impl Outbox {
    /// An empty outbox, which holds no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pending_bytes == 0
    }

    /// How many bytes wait.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Appends a message.
    pub fn push(&mut self, delivery: &Delivery<'_>) {
        self.messages += 1;
        self.message_bytes += delivery.payload_bytes() as u64;
        let body = delivery.body.bytes();
        let line_bytes = delivery.prefix.len() + delivery.line.len();
        self.pending_bytes += line_bytes + body.len();
        let share = body.len() >= SHARE_AT_BYTES;
        self.chunks.make_room(if share { line_bytes } else { line_bytes + body.len() });
        self.chunks.extend(delivery.prefix);
        self.chunks.extend(delivery.line);
        if share {
            self.chunks.share(delivery.body.shared());
        } else {
            self.chunks.extend(body);
        }
    }

    /// Appends protocol bytes that are no message.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.pending_bytes += bytes.len();
        self.chunks.make_room(bytes.len());
        self.chunks.extend(bytes);
    }

    /// Appends an answer to the peer, or gossip: what no client of this node caused.
    pub fn push_control(&mut self, bytes: &[u8]) {
        self.note_control(bytes.len());
        self.push_bytes(bytes);
    }

    /// Sets a mark: all that is appended from now on is encoded by `encoder`, and then by those of earlier marks.
    pub fn switch(&mut self, encoder: Encoder) {
        let before = self.queued_bytes();
        self.coding.get_or_insert_default().marks.push_back((before, encoder));
    }

    /// Whether a mark was ever set. Then nobody but the driver writes, by way of [`Outbox::hand_over`], and whoever
    /// appends wakes it at the end of his batch.
    pub fn is_coded(&self) -> bool {
        self.coding.is_some()
    }

    /// For the driver of an encoded connection: gives it all that waits, and learns what it wrote since the last call.
    /// What it holds still counts as waiting here. Does nothing if no mark was ever set.
    pub fn hand_over(&mut self, to: &mut Outbound) {
        let Some(mut coding) = self.coding.take() else {
            return;
        };
        let done = to.take_done();
        self.written_bytes += done.plain_bytes as u64;
        if let Some(batch) = &mut self.batch {
            batch.has_progress |= done.has_progress;
        }
        // It was plain until now, and the socket may have taken a part.
        self.chunks.begin_anew();
        self.pending_bytes -= coding.taken_bytes;
        to.plain_mut().append_marks(&mut coding);
        to.plain_mut().append(self);
        coding.taken_bytes = to.pending_bytes();
        coding.taken_plain_bytes = to.plain_bytes();
        self.pending_bytes = coding.taken_bytes;
        self.coding = Some(coding);
        if self.pending_bytes == 0 {
            self.batch = None;
        }
    }

    /// Moves all that `staged` holds behind what waits here, and says how full this is now. The traffic that was pushed
    /// to `staged` stays to be taken from there ([`Outbox::take_traffic`]).
    pub fn absorb(&mut self, staged: &mut Outbox, policy: &WritePolicy) -> Pressure {
        if let Some(mut coding) = staged.coding.take() {
            self.append_marks(&mut coding);
        }
        let control_bytes = std::mem::take(&mut staged.control).bytes;
        if control_bytes > 0 {
            self.note_control(control_bytes);
        }
        self.append(staged);
        self.pressure(policy)
    }

    /// How full this is.
    pub fn pressure(&self, policy: &WritePolicy) -> Pressure {
        if policy.max_control_bytes.is_some_and(|max| self.control.bytes > max) {
            return Pressure::Overflow;
        }
        policy.pressure(self.pending_bytes)
    }

    /// Fills `slices` with what to write next, up to [`WRITE_AT_ONCE_BYTES`], and returns how many are filled.
    /// Not for an outbox that is encoded.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        debug_assert!(!self.is_coded(), "its driver encodes what waits");
        self.chunks.slices(slices)
    }

    /// Drops the first `written` bytes, which the socket took.
    pub fn advance(&mut self, written: usize) {
        debug_assert!(!self.is_coded(), "its driver tells Outbox::hand_over what it wrote");
        self.drop_first(written);
    }

    /// Takes out all that waits, to be written without the lock that this stands behind. It still counts as waiting, until
    /// [`Outbox::put_back`] is called; nothing else is taken out meanwhile. Not for an outbox that is encoded.
    pub fn take_out(&mut self) -> Chunks {
        debug_assert!(!self.is_coded(), "its driver encodes what waits");
        std::mem::take(&mut self.chunks)
    }

    /// Takes back what the socket did not take of what was taken out, in front of what came meanwhile.
    pub fn put_back(&mut self, mut chunks: Chunks, written: usize) {
        self.note_written(written);
        chunks.append(&mut self.chunks);
        self.chunks = chunks;
    }

    /// Drops the first bytes that wait.
    pub(crate) fn drop_first(&mut self, count: usize) {
        let count = count.min(self.pending_bytes);
        self.chunks.drop_first(count);
        self.note_written(count);
    }

    fn note_written(&mut self, bytes: usize) {
        if let Some(coding) = &mut self.coding {
            coding.marks.iter_mut().for_each(|(before, _)| *before -= bytes);
        }
        self.pending_bytes -= bytes;
        self.written_bytes += bytes as u64;
        if let Some(batch) = &mut self.batch {
            batch.has_progress |= bytes > 0;
        }
        if self.pending_bytes == 0 {
            self.batch = None;
        }
    }

    /// Once all is written: hands the buffer's memory to `staged`, so that an idle connection holds none and
    /// the next batch need not allocate.
    pub fn release_into(&mut self, staged: &mut Outbox) {
        if !self.is_empty() {
            return;
        }
        self.chunks.release_into(&mut staged.chunks);
    }

    /// Notes that the socket takes no more for now: a write deadline begins to run, unless one runs already.
    pub fn handle_blocked(&mut self, now: Instant, policy: &WritePolicy) {
        let finished = self.batch.is_some_and(|batch| self.written_bytes >= batch.ends_at_byte);
        if !self.is_empty() && (self.batch.is_none() || finished) {
            self.begin_batch(now, policy);
        }
    }

    /// When [`Outbox::handle_deadline`] is to be called. Poll again after each write.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.batch.map(|batch| batch.deadline)
    }

    /// Judges a peer whose write deadline may have passed.
    pub fn handle_deadline(&mut self, now: Instant, policy: &WritePolicy) -> Overdue {
        let Some(batch) = self.batch.filter(|batch| now >= batch.deadline) else {
            return Overdue::No;
        };
        let finished = self.written_bytes >= batch.ends_at_byte;
        if finished || (policy.retry && batch.has_progress) {
            self.begin_batch(now, policy);
            return Overdue::No;
        }
        Overdue::Close
    }

    /// Messages and payload bytes pushed since the last call.
    pub fn take_traffic(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.messages), std::mem::take(&mut self.message_bytes))
    }

    /// Drops everything. What the driver of an encoded connection took out is its own to drop.
    pub fn clear(&mut self) {
        let coding = self.is_coded().then(Box::default);
        *self = Self { written_bytes: self.written_bytes, coding, ..Self::default() };
    }

    /// The first bytes that wait and that no mark divides.
    pub(crate) fn next_chunk(&self) -> &[u8] {
        let chunk = self.chunks.first();
        let first_mark = self.coding.as_ref().and_then(|coding| coding.marks.front());
        first_mark.map_or(chunk, |(before, _)| &chunk[..chunk.len().min(*before)])
    }

    /// The mark that stands before all that waits.
    pub(crate) fn take_mark(&mut self) -> Option<Encoder> {
        let marks = &mut self.coding.as_mut()?.marks;
        let is_first = marks.front().is_some_and(|(before, _)| *before == 0);
        if is_first { marks.pop_front().map(|(_, encoder)| encoder) } else { None }
    }

    /// Counts control bytes that are about to be appended.
    fn note_control(&mut self, bytes: usize) {
        if self.written_bytes >= self.control.until_byte {
            let until_byte = self.written_bytes + (self.plain_bytes() + bytes) as u64;
            self.control = Control { bytes: 0, until_byte };
        }
        self.control.bytes += bytes;
    }

    fn append(&mut self, staged: &mut Outbox) {
        self.pending_bytes += std::mem::take(&mut staged.pending_bytes);
        self.chunks.append(&mut staged.chunks);
    }

    /// Takes over marks of bytes that are about to be appended.
    fn append_marks(&mut self, staged: &mut Coding) {
        let before = self.queued_bytes();
        for (bytes, encoder) in staged.marks.drain(..) {
            self.coding.get_or_insert_default().marks.push_back((before + bytes, encoder));
        }
    }

    fn begin_batch(&mut self, now: Instant, policy: &WritePolicy) {
        self.batch = Some(Batch {
            deadline: now + policy.deadline,
            ends_at_byte: self.written_bytes + self.plain_bytes() as u64,
            has_progress: false,
        });
    }

    /// How many plain bytes are not written in full, wherever they are.
    fn plain_bytes(&self) -> usize {
        self.queued_bytes() + self.coding.as_ref().map_or(0, |coding| coding.taken_plain_bytes)
    }

    /// How many bytes wait in this outbox itself.
    fn queued_bytes(&self) -> usize {
        self.pending_bytes - self.coding.as_ref().map_or(0, |coding| coding.taken_bytes)
    }
}

/// A batch of bytes that must be written in time.
#[derive(Clone, Copy, Debug)]
struct Batch {
    deadline: Instant,
    ends_at_byte: u64,
    /// Whether anything was written since the deadline began to run.
    has_progress: bool,
}

/// The control bytes that were appended while what waited before the first of them was written: no more than that can
/// wait, twice at the most, and a peer that reads is never held to it.
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    bytes: usize,
    /// Once so much is written, the count begins anew.
    until_byte: u64,
}

/// What an outbox has from the first mark on.
#[derive(Debug, Default)]
struct Coding {
    /// In their order: how many of the bytes that wait stand before a mark, and what encodes those behind it.
    marks: VecDeque<(usize, Encoder)>,
    /// What the driver took out and has not written, as it is or encoded.
    taken_bytes: usize,
    /// The same as plain bytes.
    taken_plain_bytes: usize,
}

#[cfg(test)]
impl Outbox {
    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.memory_bytes()
    }
}

#[cfg(test)]
mod tests;
