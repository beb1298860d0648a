//! Monitoring over HTTP/1.1, as much of it as that needs: every method is GET, but HEAD, and no body is read.
//!
//! A [`Responder`] is the server's side of one connection. It does no IO: a runtime asks it what to do next, does that on
//! the socket, and tells it how it went. One answer is made at a time, when the one before is written, and of a long one
//! one piece at a time, so that whoever asks for much and reads nothing makes us hold a piece. Of these at most
//! [`MAX_RENDERINGS`] are made at the same time, whatever the number of connections; that, and the number itself, are the
//! runtime's to see to, the latter with [`Seats`].

mod answer;
mod request;
mod seats;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Progress, Rendering, Reply, Response};
use crate::time::Instant;
use answer::Answer;
use request::{Parsed, SERVER_ITSELF};

pub use seats::{MAX_CONNECTIONS, Seat, Seats};

/// One connection of monitoring.
///
/// The driver's loop: [`Responder::poll_step`], do what it says until [`Responder::poll_timeout`] at the latest, and
/// report it with the `handle_*` call that the [`Step`] names, or with [`Responder::handle_timeout`].
#[derive(Debug)]
pub struct Responder {
    phase: Phase,
    /// When the phase is over at the latest.
    deadline: Instant,
    /// What was read and not answered yet, [`MAX_HEAD_BYTES`] at most.
    input: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    Reading,
    Answering(Answer),
    /// The last answer is written, but the driver was not told yet to say so.
    Finishing,
    /// Waits for the client to close too: a socket that is closed with unread input would take the last answer back.
    Draining,
    Closed,
}

/// What the driver of a [`Responder`] is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read this many bytes at most, then call [`Responder::handle_input`], or [`Responder::handle_end`] at the end.
    Read(usize),
    /// Write some of [`Responder::output`], then call [`Responder::handle_written`].
    Write,
    /// Call [`Responder::render`], when no more than [`MAX_RENDERINGS`] connections do so, from the first time that this is
    /// said until another step is.
    Render,
    /// Shut the socket down for writing, then ask again. This is said once.
    Finish,
    /// Close the socket.
    Close,
}

/// What a [`Responder`] does not wait for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// The first or another request, of which nothing came yet.
    Idle,
    /// The rest of a request.
    Request,
    /// That the client reads an answer, or a piece of it.
    Answer,
    /// That the client closes after the last answer.
    Linger,
}

impl Responder {
    /// A connection that was just accepted.
    pub fn new(now: Instant) -> Self {
        Self { phase: Phase::Reading, deadline: now + HEAD_TIMEOUT, input: Vec::new() }
    }

    /// What to do next. Ask again after every other call.
    ///
    /// A request that is there as a whole is answered with what `open` says to its target, a path with an optional query.
    /// The wall clock, in nanoseconds since 1970 (UTC), gives the answer its date.
    #[must_use]
    pub fn poll_step(&mut self, now: Instant, unix_nanos: u64, open: impl FnOnce(&str) -> Reply) -> Step {
        match self.phase {
            Phase::Reading => self.answer(now, unix_nanos, open),
            Phase::Finishing => {
                self.phase = Phase::Draining;
                return Step::Finish;
            }
            _ => {}
        }
        match &self.phase {
            Phase::Reading => Step::Read(MAX_HEAD_BYTES - self.input.len()),
            Phase::Answering(answer) if answer.rest().is_empty() => Step::Render,
            Phase::Answering(_) => Step::Write,
            Phase::Finishing | Phase::Draining => Step::Read(MAX_HEAD_BYTES),
            Phase::Closed => Step::Close,
        }
    }

    /// Lets `render` go on with the page, for [`Step::Render`].
    pub fn render(&mut self, now: Instant, unix_nanos: u64, render: impl FnOnce(&mut Rendering) -> Progress) {
        if let Phase::Answering(answer) = &mut self.phase
            && answer.rest().is_empty()
        {
            answer.render(unix_nanos, render);
            self.deadline = now + WRITE_TIMEOUT;
            self.end_answer(now);
        }
    }

    /// When [`Responder::handle_timeout`] is to be called, and why; never once it is closed, nor for [`Step::Render`], when
    /// it is not the client that is waited for. Poll again after every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimeoutReason)> {
        let reason = match &self.phase {
            Phase::Reading if self.input.is_empty() => TimeoutReason::Idle,
            Phase::Reading => TimeoutReason::Request,
            Phase::Answering(answer) if answer.rest().is_empty() => return None,
            Phase::Answering(_) => TimeoutReason::Answer,
            Phase::Finishing | Phase::Draining => TimeoutReason::Linger,
            Phase::Closed => return None,
        };
        Some((self.deadline, reason))
    }

    /// What is to be written, for [`Step::Write`].
    #[must_use]
    pub fn output(&self) -> &[u8] {
        if let Phase::Answering(answer) = &self.phase { answer.rest() } else { &[] }
    }

    /// Takes bytes that the client sent, as many as [`Step::Read`] allows. More than that, or bytes that were not asked for,
    /// are a mistake of the driver that ends the connection.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        match self.phase {
            Phase::Reading if self.input.len() + bytes.len() <= MAX_HEAD_BYTES => {
                if self.input.is_empty() {
                    self.deadline = self.deadline.min(now + HEAD_TIMEOUT);
                }
                self.input.extend_from_slice(bytes);
            }
            Phase::Draining => {}
            _ => self.phase = Phase::Closed,
        }
    }

    /// The client sends nothing more, or the socket has failed.
    pub fn handle_end(&mut self) {
        self.phase = Phase::Closed;
    }

    /// The first bytes of the output are written.
    pub fn handle_written(&mut self, now: Instant, bytes: usize) {
        if let Phase::Answering(answer) = &mut self.phase {
            answer.advance(bytes);
            self.end_answer(now);
        }
    }

    /// The time of [`Responder::poll_timeout`] has come; before that, nothing happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadline {
            self.phase = Phase::Closed;
        }
    }

    /// Goes on behind an answer that is complete.
    fn end_answer(&mut self, now: Instant) {
        let Phase::Answering(answer) = &self.phase else { return };
        if !answer.is_complete() {
            return;
        }
        (self.phase, self.deadline) = if !answer.keeps_alive() {
            self.input = Vec::new();
            (Phase::Finishing, now + LINGER_TIMEOUT)
        } else if self.input.is_empty() {
            (Phase::Reading, now + IDLE_TIMEOUT)
        } else {
            (Phase::Reading, now + HEAD_TIMEOUT)
        };
    }

    /// Answers the first request of the input, if it is whole or hopeless.
    fn answer(&mut self, now: Instant, unix_nanos: u64, open: impl FnOnce(&str) -> Reply) {
        let (consumed_bytes, answer) = match request::parse(&self.input) {
            Parsed::Unfinished => return,
            Parsed::Request(head, bytes) => {
                let reply = match head.target {
                    SERVER_ITSELF => Reply::Whole(Response::text(200, "")),
                    target => open(target),
                };
                (bytes, Answer::new(reply, &head, unix_nanos))
            }
            Parsed::Refused(refusal) => (0, Answer::refusing(refusal, unix_nanos)),
        };
        self.input.drain(..consumed_bytes);
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = Vec::new();
        }
        self.phase = Phase::Answering(answer);
        self.deadline = now + WRITE_TIMEOUT;
    }
}

/// So many connections render a page at the same time.
pub const MAX_RENDERINGS: usize = 2;

/// The longest request, in bytes.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most header lines of a request.
pub const MAX_HEADERS: usize = 64;

/// How long a client may take for a request, from its first byte on, or from the start of the connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may be idle before the next.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to read an answer, or a piece of one.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the end of a connection waits for the client to close it too.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
