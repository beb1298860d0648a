//! From what was read to operations: through the transforms of the transport, past the parser, one after the other, until
//! one of them says that what follows is to be read in another way, or later.

use log::Level;

use super::chore::Chore;
use super::turn::{self, MAX_STAGED_LINKS, OPERATION, TURN};
use super::{Connection, Interruption, Shared, Side};
use crate::close::CloseReason;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{DecodeError, Decoder, TlsSession};
use crate::wire::{Op, ParseError, Parsed};

impl Connection {
    /// Takes in what was read. All of it is handled, unless the connection is to be closed before its end, waits for an
    /// answer, or has had its turn: then the rest is kept, and handled as soon as it may go on.
    pub fn handle_input<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) {
        if self.shared.node.is_stopping() {
            return;
        }
        if self.header.is_some() {
            return self.handle_header(now, input, sink);
        }
        self.heed_config();
        if let (Side::Circuit(passage), None) = (&self.side, self.shared.close) {
            return match (passage.is_early(), &self.inbound) {
                (true, _) => self.hold(now, input, sink),
                (false, None) => self.pass_on(now, input, sink),
                (false, Some(_)) => self.handle_rest(now, input, sink),
            };
        }
        if !self.wants_input() && self.shared.close.is_none() {
            return self.hold(now, input, sink);
        }
        if self.shared.entry.has_heir() {
            // That waits as long as something comes here.
            self.shared.entry.touch(now);
        }
        self.begin_turn();
        let rest = if self.inbound.is_none() { self.handle_plain(now, input, sink) } else { input };
        if (!rest.is_empty() || self.shared.has_step()) && self.shared.close.is_none() {
            self.handle_rest(now, rest, sink);
        }
        self.handle_chores(now, sink);
        self.shared.record_received(now);
    }

    /// Goes on with what took more than one turn.
    pub fn handle_turn<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        if self.shared.node.is_stopping() {
            return;
        }
        self.begin_turn();
        self.handle_chores(now, sink);
        if self.shared.goes_on() && self.has_more_input {
            self.handle_rest(now, &[], sink);
        }
        self.shared.record_received(now);
    }

    /// Whether [`Connection::handle_turn`] is to be called, soon, but after others had their turn: what the connection was
    /// given to do takes more than a few milliseconds (design.md 3). Poll after every call.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        let may_go_on = self.has_more_input && self.shared.interruption.is_none();
        let goes_on = self.shared.close.is_none() && !self.shared.node.is_stopping();
        goes_on && (!self.shared.chores.is_empty() || may_go_on)
    }

    /// Whether the connection is to be read from. Not while it waits for the answer to an [`Effect`](super::Effect), or has not handled what
    /// was read before: it then keeps what is handed in nevertheless, but ends when that comes to more than
    /// [`MAX_HELD_BYTES`]. And not once the node [stops](crate::Node::handle_shutdown): what is handed in then is dropped. Poll
    /// before each read.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let waits = match &self.side {
            Side::Circuit(passage) => !passage.wants_input(),
            _ => matches!(self.shared.interruption, Some(Interruption::Wait(_) | Interruption::Hold(_))),
        };
        !waits && !self.shared.is_occupied() && !self.has_more_input && !self.shared.node.is_stopping()
    }

    /// A slice of a chore takes about half of a turn.
    fn begin_turn(&mut self) {
        self.shared.work = if self.shared.chores.is_empty() { 0 } else { TURN / 2 };
    }

    /// Does a slice of the chore that input waits for, and of the one that goes on beside it: else that would never be done
    /// where all that is read begins another of the first kind.
    fn handle_chores<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Shared { node, entry, chores, close: None, .. } = &mut self.shared else {
            return;
        };
        chores.retain_mut(|chore| !chore.handle_slice(node, entry, now, sink));
    }

    /// Handles plain bytes, and returns what stands behind the operation that interrupted that, if one did.
    fn handle_plain<'a, S: Sink>(&mut self, now: Instant, input: &'a [u8], sink: &mut S) -> &'a [u8] {
        let mut rest = input;
        while !rest.is_empty() && self.shared.goes_on() {
            if self.unfinished.is_empty() {
                let consumed = self.handle_operations(now, rest, sink);
                rest = &rest[consumed..];
                if self.shared.goes_on() {
                    self.unfinished.extend_from_slice(rest);
                    return &[];
                }
                break;
            }
            let (missing, after) = rest.split_at(self.missing_bytes(rest));
            let mut operation = std::mem::take(&mut self.unfinished);
            operation.extend_from_slice(missing);
            let consumed = self.handle_operations(now, &operation, sink);
            operation.drain(..consumed);
            if !operation.is_empty() {
                self.unfinished = operation;
            }
            rest = after;
        }
        rest
    }

    /// Handles what is not, or not only, plain bytes to be handled at once.
    #[cold]
    pub(super) fn handle_rest<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) {
        let mut inbound = self.inbound.take().unwrap_or_default();
        let resumed = inbound.resume(input);
        let mut rest = resumed.as_deref().unwrap_or(input);
        loop {
            if let Some(step) = self.shared.take_step() {
                self.step(now, step, sink);
            }
            if let Some(decoder) = self.shared.take_switch() {
                inbound.switch(decoder);
            }
            if let Side::Circuit(passage) = &self.side {
                if !passage.is_early() {
                    self.pass_rest(now, &mut inbound, std::mem::take(&mut rest), sink);
                }
                break;
            }
            self.has_more_input = !self.shared.goes_on();
            if self.has_more_input {
                break;
            }
            if self.opening.is_some() {
                if self.open(now, &mut inbound, &mut rest, sink) { continue } else { break }
            }
            if inbound.is_plain() {
                rest = self.handle_plain(now, rest, sink);
                if rest.is_empty() && !self.shared.has_step() { break } else { continue }
            }
            match inbound.decode(&mut rest) {
                Ok([]) => break,
                Ok(plain) => {
                    let handled = plain.len() - self.handle_plain(now, plain, sink).len();
                    inbound.take(handled);
                    self.shared.spend(turn::decoding(handled));
                }
                Err(error) => self.handle_decode_error(now, error, sink),
            }
        }
        inbound.hold(rest);
        inbound.release();
        let is_of_use = !inbound.is_idle() || self.opening.is_some();
        self.inbound = (is_of_use && self.shared.close.is_none()).then_some(inbound);
    }

    /// Keeps what was read although the connection waits.
    fn hold<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) {
        let inbound = self.inbound.get_or_insert_default();
        inbound.hold(input);
        if inbound.held_bytes() > MAX_HELD_BYTES {
            let mut context = self.shared.context(now, sink);
            let text = format_args!("more than {MAX_HELD_BYTES} bytes behind an operation that waits");
            context.log(Level::Error, text);
            context.close(CloseReason::ProtocolViolation);
        }
    }

    pub(super) fn handle_decode_error<S: Sink>(&mut self, now: Instant, error: DecodeError, sink: &mut S) {
        if let Some(fault) = self.tls.as_ref().and_then(TlsSession::fault) {
            return self.handle_tls_fault(now, &fault, sink);
        }
        let mut context = self.shared.context(now, sink);
        let level = match error {
            DecodeError::NoWebSocket(_) | DecodeError::Frames(_) => Level::Error,
            DecodeError::Corrupt | DecodeError::Ended => Level::Debug,
        };
        context.log(level, error);
        context.close(error.close_reason());
    }

    /// Handles all whole operations at the start of `input` and returns how many bytes they took.
    fn handle_operations<S: Sink>(&mut self, now: Instant, input: &[u8], sink: &mut S) -> usize {
        let mut consumed = 0;
        while consumed < input.len() && self.shared.goes_on() {
            match self.parser.parse(&self.shared.dialect, &input[consumed..]) {
                Ok(Parsed::Op { ref op, consumed: bytes }) => {
                    consumed += bytes;
                    self.shared.spend(OPERATION);
                    self.handle_operation(now, op, sink);
                    if sink.staged_for() > MAX_STAGED_LINKS {
                        self.shared.spend(TURN);
                    }
                }
                Ok(Parsed::Incomplete { consumed: bytes, wanted }) => {
                    self.wanted_bytes = wanted;
                    return consumed + bytes;
                }
                Err(fault) => self.handle_fault(now, fault, sink),
            }
        }
        consumed
    }

    // Else a call and its frame for each operation.
    #[inline(always)]
    fn handle_operation<S: Sink>(&mut self, now: Instant, op: &Op<'_>, sink: &mut S) {
        let mut context = self.shared.context(now, sink);
        context.trace_in(op);
        match &mut self.side {
            Side::Client(client) => client.handle(&mut context, op),
            Side::Route(route) => route.handle(&mut context, op),
            // None of its bytes are taken for operations.
            Side::Circuit(_) => {}
        }
    }

    fn handle_fault<S: Sink>(&mut self, now: Instant, fault: ParseError, sink: &mut S) {
        let mut context = self.shared.context(now, sink);
        if let (ParseError::MaxPayload, Side::Route(route)) = (fault, &self.side) {
            context.hit_limit(route.payload_limit(&context.route_limits()).0);
        }
        context.report(&fault.into());
    }

    /// How many of the bytes that came next belong to the unfinished operation.
    fn missing_bytes(&self, rest: &[u8]) -> usize {
        let missing = match self.wanted_bytes {
            Some(wanted) => wanted.saturating_sub(self.unfinished.len()).max(1),
            None => memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1),
        };
        missing.min(rest.len())
    }
}

impl Shared {
    /// Whether the next operation may be handled.
    #[inline]
    fn goes_on(&self) -> bool {
        self.close.is_none() && self.interruption.is_none() && self.work < TURN && !self.is_occupied()
    }

    /// Counts work of this turn.
    #[inline]
    pub(super) fn spend(&mut self, work: u32) {
        self.work = self.work.saturating_add(work);
    }

    /// Counts the work that delivering took beside the targets.
    #[cold]
    pub(super) fn spend_beside(&mut self, links: usize) {
        let work = self.scratch.take_work();
        self.spend(turn::beside(&work, links));
    }

    /// Whether input waits for what takes more than one turn.
    fn is_occupied(&self) -> bool {
        self.chores.front().is_some_and(Chore::holds_input)
    }

    /// The decoder of what follows the operation that was handled last.
    fn take_switch(&mut self) -> Option<Decoder> {
        let is_switch = |interruption: &mut _| matches!(interruption, Interruption::Switch(_));
        match self.interruption.take_if(is_switch)? {
            Interruption::Switch(decoder) => Some(decoder),
            Interruption::Wait(_) | Interruption::Circuit(_) | Interruption::Hold(_) => None,
        }
    }
}

/// So much is kept of what is read although the connection waits; what stands behind the question in the same read is kept
/// in any case.
pub const MAX_HELD_BYTES: usize = 64 * 1024;
