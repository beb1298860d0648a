//! What waits for one connection.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::close::CloseReason;
use crate::id::ConnectionId;
use crate::outbox::{Chunks, Outbound, Outbox, Overdue, Pressure, WritePolicy};
use crate::time::Instant;

/// The bytes that wait for one peer, whether more may come, and how long that may last.
///
/// It begins open. Once its driver told [`Backlog::end`], it takes nothing more, and is over when all is written, or when
/// the peer is given up: at the write deadline, or as soon as it takes nothing for [`LAST_WORDS`]. A peer that reads too
/// slowly and a socket that failed end it at once.
#[derive(Debug)]
pub struct Backlog {
    outbox: Outbox,
    policy: WritePolicy,
    phase: Phase,
    /// Why the driver is asked to end the connection.
    close_request: Option<CloseReason>,
    /// Taken out to be written elsewhere, and not written yet.
    in_flight_bytes: usize,
    /// A mark was taken out with it.
    in_flight_is_coded: bool,
    /// Somebody writes what he took out.
    is_out: bool,
    /// A transform may have something to say of its own.
    is_to_encode: bool,
    /// What is for this connection goes to that one.
    heir: Option<ConnectionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Last words are written; nothing more is taken.
    Ending(LastWords),
    /// Nothing more is written.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastWords {
    give_up_at: Instant,
    /// By then less is to wait than this.
    look_at: Instant,
    waiting_bytes: usize,
    /// The transforms have still to say that nothing follows.
    is_to_finish: bool,
    began: Instant,
}

/// How far a write got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Everything that was offered is out.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The socket failed.
    Failed,
}

impl Backlog {
    /// The empty backlog of a connection that was just made; it holds no memory.
    pub fn new(policy: WritePolicy) -> Self {
        Self {
            outbox: Outbox::new(),
            policy,
            phase: Phase::Open,
            close_request: None,
            in_flight_bytes: 0,
            in_flight_is_coded: false,
            is_out: false,
            is_to_encode: false,
            heir: None,
        }
    }

    /// Moves what is staged behind what waits, unless the connection ends: then it is dropped. What is for its heir is left
    /// where it is.
    ///
    /// [`Pressure::Overflow`] is returned once, by the push that made too much of it; the driver is then to be woken for
    /// the close request that is noted.
    pub fn push(&mut self, staged: &mut Outbox) -> Pressure {
        if self.heir.is_some() {
            return Pressure::Low;
        }
        if self.phase != Phase::Open {
            staged.clear();
            return Pressure::Low;
        }
        let policy = self.policy_of_the_rest();
        if self.outbox.pending_bytes() + staged.pending_bytes() > policy.max_pending_bytes {
            staged.clear();
            self.request_close(CloseReason::SlowConsumerPendingBytes);
            return Pressure::Overflow;
        }
        let pressure = self.outbox.absorb(staged, &policy);
        if pressure == Pressure::Overflow {
            self.request_close(CloseReason::SlowConsumerPendingBytes);
        }
        pressure
    }

    /// Moves what is staged behind what waits, for the last time: what comes from now on is for another connection, which
    /// goes on where this one ends. Whoever pushes finds out, and pushes it there.
    pub fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId) {
        self.push(staged);
        self.heir = Some(heir);
    }

    /// The connection that goes on where this one ended, if one does.
    pub fn heir(&self) -> Option<ConnectionId> {
        self.heir
    }

    /// How full it is.
    pub fn pressure(&self) -> Pressure {
        self.outbox.pressure(&self.policy_of_the_rest())
    }

    /// How many bytes wait, those in flight included.
    pub fn pending_bytes(&self) -> usize {
        self.outbox.pending_bytes() + self.in_flight_bytes
    }

    /// Writes what waits with `write`, a vectored write that does not wait for the peer, until nothing waits or the socket
    /// takes no more; from then on the write deadline runs. A failure is noted as a close request.
    pub fn write(
        &mut self,
        now: Instant,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Written {
        let Some(mut chunks) = self.take_out() else {
            return Written::All;
        };
        let written = write_chunks(&mut chunks, &mut write);
        self.put_back(now, chunks, written);
        written.1
    }

    /// For links whose lock is not held while the socket is written to, so that whoever pushes meanwhile need not wait: takes
    /// out what waits. It counts as waiting until [`Backlog::put_back`], which must follow. `None` if nothing waits, if it is
    /// encoded, or if somebody writes already: he asks again when he is done.
    pub fn take_out(&mut self) -> Option<Chunks> {
        if self.is_out || self.outbox.is_empty() || self.is_coded() {
            return None;
        }
        self.is_out = true;
        Some(self.outbox.take_out())
    }

    /// Takes back what [`write_chunks`] left, and notes what that came to: a failure as a close request; when the socket takes
    /// no more, the write deadline runs.
    pub fn put_back(&mut self, now: Instant, chunks: Chunks, (bytes, verdict): (usize, Written)) {
        self.is_out = false;
        if self.phase == Phase::Over {
            return;
        }
        self.outbox.put_back(chunks, bytes);
        match verdict {
            Written::All => {}
            Written::Blocked => self.handle_blocked(now),
            Written::Failed => self.request_close(CloseReason::WriteError),
        }
    }

    /// Whether somebody writes what he took out.
    pub fn is_out(&self) -> bool {
        self.is_out
    }

    /// Once all is written: hands the buffer's memory to `staged`, so that an idle connection holds none and the next
    /// batch need not allocate.
    pub fn release_into(&mut self, staged: &mut Outbox) {
        self.outbox.release_into(staged);
    }

    /// For a writer that holds no lock while it writes: moves what waits into `writing`, as soon as that is empty. What is
    /// in `writing` counts as waiting until the next call.
    pub fn refill(&mut self, writing: &mut Outbox) {
        if writing.is_empty() {
            writing.absorb(&mut self.outbox, &self.policy);
        }
        self.in_flight_bytes = writing.pending_bytes();
        self.in_flight_is_coded = writing.is_coded();
    }

    /// Whether what waits is encoded, so that its driver alone writes it, by way of [`Backlog::hand_over`].
    pub fn is_coded(&self) -> bool {
        self.outbox.is_coded() || self.in_flight_is_coded
    }

    /// For the driver of an encoded connection, which holds no lock while it encodes and writes: gives its half all that
    /// waits, and learns what that wrote ([`Outbox::hand_over`]). What it holds counts as waiting.
    pub fn hand_over(&mut self, to: &mut Outbound) {
        self.outbox.hand_over(to);
    }

    /// The same, and encodes at once. For whoever owns both.
    pub fn encode(&mut self, outbound: &mut Outbound) {
        outbound.encode_from(&mut self.outbox);
    }

    /// For a link whose encoding is another thread's work than its reading: notes that something was read, to which a transform
    /// may have an answer of its own. False if nothing is encoded.
    pub fn let_encode(&mut self) -> bool {
        self.is_to_encode = self.is_coded();
        self.is_to_encode
    }

    /// Whether to encode although nobody pushed: once after each [`Backlog::let_encode`].
    pub fn begin_encode(&mut self) -> bool {
        std::mem::take(&mut self.is_to_encode)
    }

    /// What waits, to be looked at, without what is in flight.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Drops the first `written` bytes, which the peer took.
    pub fn advance(&mut self, written: usize) {
        self.outbox.advance(written);
    }

    /// Notes that the socket takes no more for now, from which on the write deadline runs.
    pub fn handle_blocked(&mut self, now: Instant) {
        self.outbox.handle_blocked(now, &self.policy);
    }

    /// Goes by another policy from now on.
    pub fn set_policy(&mut self, policy: WritePolicy) {
        self.policy = policy;
    }

    /// How it is written: of what waits for a connection that has ended, any progress is enough.
    pub fn policy(&self) -> WritePolicy {
        WritePolicy { retry: self.policy.retry || self.phase != Phase::Open, ..self.policy }
    }

    /// Asks the driver to end the connection, and stops at once if nothing is to be written any more. The first reason
    /// stands.
    pub fn request_close(&mut self, reason: CloseReason) {
        self.close_request.get_or_insert(reason);
        if !reason.flushes() {
            self.stop();
        }
    }

    /// Why somebody wants the connection ended, to be told to its machine.
    pub fn close_request(&self) -> Option<CloseReason> {
        self.close_request
    }

    /// The connection has ended, and said its last words if any: nothing more is taken, and what waits is written in time
    /// or never.
    pub fn end(&mut self, now: Instant, reason: CloseReason) {
        if !reason.flushes() {
            self.stop();
        }
        if self.phase == Phase::Open {
            let (waiting_bytes, is_to_finish) = (self.pending_bytes(), self.is_coded());
            let give_up_at = now + self.policy.deadline;
            let look_at = give_up_at.min(now + LAST_WORDS);
            self.phase =
                Phase::Ending(LastWords { give_up_at, look_at, waiting_bytes, is_to_finish, began: now });
        }
    }

    /// Whether [`Backlog::end`] was called, or nothing is written any more: no driver needs to hear of a close request.
    pub fn has_ended(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether whoever encodes is now to let the transforms say that nothing follows ([`Outbound::finish`]): once, after
    /// [`Backlog::end`]. Until that is asked, an encoded connection is not over.
    pub fn begin_finish(&mut self) -> bool {
        match &mut self.phase {
            Phase::Ending(last) => std::mem::take(&mut last.is_to_finish),
            Phase::Open | Phase::Over => false,
        }
    }

    /// Writes nothing more, and drops what waits.
    pub fn stop(&mut self) {
        self.phase = Phase::Over;
        self.outbox.clear();
    }

    /// Whether the socket is to be closed: the connection has ended and no last words wait any more, or nothing more can
    /// be written.
    pub fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Ending(last) => !last.is_to_finish && self.pending_bytes() == 0,
            Phase::Over => true,
        }
    }

    /// Until when a socket is to be kept whose last words are written: the driver closes its sending half, and reads without
    /// looking until the peer has closed its own. A system drops what it has not sent yet when a socket is closed that has
    /// something to read; and a peer whose connection ends for another's sake, or because the node stops, goes on sending.
    ///
    /// To be asked as soon as the last words are written. If a peer took long for them, the system still holds some.
    pub fn linger_until(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Ending(_) if self.close_request.is_none() => None,
            Phase::Ending(last) if now.since(last.began) > PROMPT => Some(last.give_up_at),
            Phase::Ending(last) => Some((now + FAREWELL).min(last.give_up_at)),
            Phase::Open | Phase::Over => None,
        }
    }

    /// When [`Backlog::handle_deadline`] is to be called. Poll again after every other call.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => self.outbox.poll_deadline(),
            Phase::Ending(last) if !self.is_over() => Some(last.look_at),
            Phase::Ending(_) | Phase::Over => None,
        }
    }

    /// Judges a peer that took too little in time: asks for its end, or gives up what it was still to be told. Harmless if
    /// nothing is due. Write once more before, after [`Backlog::end`]: a system may say that a socket is writable long after
    /// the peer began to read.
    pub fn handle_deadline(&mut self, now: Instant) {
        let pending_bytes = self.pending_bytes();
        match &mut self.phase {
            Phase::Open => {
                // What somebody writes right now may be progress.
                if !self.is_out && self.outbox.handle_deadline(now, &self.policy) == Overdue::Close {
                    self.request_close(CloseReason::SlowConsumerWriteDeadline);
                }
            }
            Phase::Ending(last) if now >= last.look_at => {
                if now >= last.give_up_at || pending_bytes >= last.waiting_bytes {
                    return self.stop();
                }
                last.look_at = (now + LAST_WORDS).min(last.give_up_at);
                last.waiting_bytes = pending_bytes;
            }
            Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// What is in flight still waits for the peer, so that the rest may be that much less.
    fn policy_of_the_rest(&self) -> WritePolicy {
        let max_pending_bytes = self.policy.max_pending_bytes.saturating_sub(self.in_flight_bytes);
        WritePolicy { max_pending_bytes, ..self.policy }
    }
}

/// One vectored write of what waits in an outbox. A part of it means that the socket is full.
pub fn write_once(
    outbox: &mut Outbox,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
) -> Written {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let filled = outbox.slices(&mut slices);
    let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
    let (written, verdict) = judge(offered, || write(&slices[..filled]));
    outbox.advance(written);
    verdict
}

/// Writes what was [taken out](Backlog::take_out), until it is all written or the socket takes no more. No lock needs to be
/// held. Returns how much was written, and what that means.
pub fn write_chunks(
    chunks: &mut Chunks,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
) -> (usize, Written) {
    let mut total = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let filled = chunks.slices(&mut slices);
        if filled == 0 {
            return (total, Written::All);
        }
        let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        let (written, verdict) = judge(offered, || write(&slices[..filled]));
        chunks.drop_first(written);
        total += written;
        if verdict != Written::All {
            return (total, verdict);
        }
    }
}

/// Encodes what waits in an encoded connection's half and writes it, until nothing waits or the socket takes no more. No
/// lock needs to be held; the outbox hears of it by the next [`Backlog::hand_over`].
pub fn write_encoded(outbound: &mut Outbound, write: &mut impl FnMut(&[u8]) -> io::Result<usize>) -> Written {
    loop {
        outbound.encode();
        let encoded = outbound.encoded();
        if encoded.is_empty() {
            return if outbound.has_failed() { Written::Failed } else { Written::All };
        }
        let (written, verdict) = judge(encoded.len(), || write(encoded));
        outbound.advance(written);
        if verdict != Written::All {
            return verdict;
        }
    }
}

/// How much one write took, and what that means.
fn judge(offered: usize, mut write: impl FnMut() -> io::Result<usize>) -> (usize, Written) {
    loop {
        return match write() {
            Ok(0) => (0, Written::Failed),
            Ok(written) if written < offered => (written, Written::Blocked),
            Ok(written) => (written, Written::All),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => (0, Written::Blocked),
            Err(_) => (0, Written::Failed),
        };
    }
}

/// A peer whose connection has ended is given up once it takes nothing for so long of what it was still to be told, and at
/// the write deadline in any case. A packet that is lost three times is sent again within this; a shutdown that waits for
/// peers that read nothing ends within seconds.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// A socket takes last words within this unless its buffers were full: then it first waits until a third of them is empty
/// again, and what is left in them takes a peer that reads fast enough for this less than [`FAREWELL`].
const PROMPT: Duration = Duration::from_millis(50);

/// A peer that kept up until its connection ended hears of that at once, wherever it is, and closes its side; if it does
/// not, it is not waited for longer than this. How far one is that did not keep up, its system does not tell.
const FAREWELL: Duration = Duration::from_millis(250);

/// How many slices one vectored write is given at the most.
const MAX_SLICES: usize = 64;
