//! Messages that are traced: whoever publishes one is told where it went, and may want it to go nowhere else (wire.md 7.10).

use std::sync::Arc;

use super::targets::{ClientTarget, RouteTarget, Targets, View};
use crate::accounts::Account;
use crate::hub::{Entry, Kind, Reached, Traced};
use crate::time::Instant;
use crate::wire::Message;
use crate::wire::header::{self, TRACE_DESTINATION, TRACE_HOP, TRACE_ONLY};
use crate::wire::subject::is_valid_publish;

/// A message that is traced while it is delivered.
#[derive(Debug)]
pub(crate) struct Trace {
    traced: Box<Traced>,
    /// It is delivered to nobody, but goes to other servers, who heed that as well.
    is_only: bool,
    /// Its destination is none, so that nothing is told.
    is_untold: bool,
    /// What the number at the next server begins with.
    hop_prefix: String,
    /// How much was copied of the message for other servers.
    copied_bytes: usize,
}

impl Trace {
    /// The trace that a message asks for, if it does.
    #[inline]
    pub(crate) fn of(
        message: &Message<'_>,
        account: &Arc<Account>,
        publisher: &Arc<Entry>,
        now: Instant,
    ) -> Option<Box<Self>> {
        // Most have no headers, and of those most that have some none that begins so.
        if message.header_len == 0 || !header::may_be_traced(headers(message)) {
            return None;
        }
        Self::begin(message, account, publisher, now)
    }

    #[cold]
    fn begin(
        message: &Message<'_>,
        account: &Arc<Account>,
        publisher: &Arc<Entry>,
        now: Instant,
    ) -> Option<Box<Self>> {
        let header = headers(message);
        let destination = header::value(header, TRACE_DESTINATION)?;
        if destination.is_empty() || destination == DISABLED {
            return None;
        }
        let is_untold = !is_valid_publish(destination) || is_reserved(destination);
        let only = header::value(header, TRACE_ONLY).unwrap_or_default().to_ascii_lowercase();
        let came_as = header::value(header, TRACE_HOP).filter(|_| publisher.kind() == Kind::Route);
        let hop_prefix = came_as.map_or_else(String::new, |hop| format!("{}.", String::from_utf8_lossy(hop)));
        let traced = Box::new(Traced {
            account: account.clone(),
            publisher: publisher.clone(),
            at: now,
            subject: message.subject.into(),
            mapped: None,
            header: header.into(),
            bytes: message.body.len() - 2,
            destination: destination.into(),
            hops: 0,
            reached: Vec::new(),
            left_out: 0,
        });
        let is_only = matches!(&*only, b"1" | b"true" | b"on");
        Some(Box::new(Self { traced, is_only, is_untold, hop_prefix, copied_bytes: 0 }))
    }

    /// Notes that the message goes to another subject than it was sent to.
    pub(crate) fn note_mapped(&mut self, destination: &[u8]) {
        self.traced.mapped = Some(destination.into());
    }

    /// Whether nobody gets the message.
    pub(crate) fn is_only(&self) -> bool {
        self.is_only
    }

    /// Where it cannot be told, if that is what was asked for.
    pub(crate) fn invalid_destination(&self) -> Option<&[u8]> {
        self.is_untold.then_some(&*self.traced.destination)
    }

    /// What there is to be told.
    #[expect(clippy::boxed_local, reason = "it is kept out of the way of the messages that are not traced")]
    pub(crate) fn into_traced(self: Box<Self>) -> Option<Box<Traced>> {
        (!self.is_untold).then_some(self.traced)
    }

    /// Notes a client. What is imported is told of no further.
    pub(super) fn reach_client(&mut self, targets: &Targets, target: &ClientTarget) {
        self.reach(match targets.view(target) {
            None => Reached::Client(target.original().clone()),
            Some(View { account, subject }) => Reached::Importer { account: *account, to: subject.clone() },
        });
    }

    /// Notes that another account has it, as a request or as an answer. It is told of no further.
    pub(super) fn reach_service(&mut self, account: &Account, from: &[u8], to: &[u8]) {
        self.reach(Reached::Service { account: account.id(), from: from.into(), to: to.into() });
    }

    /// Notes those that are too many to be listed: how many, or one where they are still looked for.
    pub(super) fn reach_crowd(&mut self, count: usize) {
        self.traced.left_out += count;
    }

    /// Notes a server. The message as it is to be sent there, which has another number at each; none if it is to be sent as it is.
    pub(super) fn reach_server(&mut self, target: &RouteTarget, message: &Message<'_>) -> Onward {
        let route = target.link();
        if !target.traces || !target.headers {
            let is_left_out = self.is_only;
            self.reach(Reached::Server { route, hop: None, is_left_out });
            return if is_left_out { Onward::Nothing } else { Onward::AsItIs };
        }
        let hop = format!("{}{}", self.hop_prefix, self.traced.hops + 1);
        let Some((body, header_len)) = self.numbered(message, &hop) else {
            self.reach(Reached::Server { route, hop: None, is_left_out: false });
            return Onward::AsItIs;
        };
        self.traced.hops += 1;
        self.reach(Reached::Server { route, hop: Some(hop), is_left_out: false });
        Onward::Numbered(body, header_len)
    }

    /// The message with a number in its headers; none if too much was copied already.
    fn numbered(&mut self, message: &Message<'_>, hop: &str) -> Option<(Vec<u8>, usize)> {
        self.copied_bytes += message.body.len();
        if self.copied_bytes > MAX_COPIED_BYTES {
            return None;
        }
        let (header, rest) = message.body.split_at(message.header_len);
        let mut body = header::with_value(header, TRACE_HOP, hop.as_bytes());
        let header_len = body.len();
        body.extend_from_slice(rest);
        Some((body, header_len))
    }

    fn reach(&mut self, reached: Reached) {
        if self.traced.reached.len() < MAX_REACHED {
            self.traced.reached.push(reached);
        } else {
            self.traced.left_out += 1;
        }
    }
}

/// What a server is sent of a traced message.
pub(super) enum Onward {
    Nothing,
    AsItIs,
    /// This body, whose headers are so long.
    Numbered(Vec<u8>, usize),
}

/// The headers of a message, as far as they are looked at.
fn headers<'a>(message: &Message<'a>) -> &'a [u8] {
    &message.body[..message.header_len.min(MAX_TRACED_HEADER_BYTES)]
}

/// Subjects on which clients may say nothing (wire.md 1.5).
fn is_reserved(subject: &[u8]) -> bool {
    ["_GR_.", "$GR.", "$NRG."].iter().any(|start| subject.starts_with(start.as_bytes()))
}

/// What says that a message is not traced any further.
pub(super) const DISABLED: &[u8] = b"trace disabled";

/// Headers are read and told so far.
pub(crate) const MAX_TRACED_HEADER_BYTES: usize = 16 * 1024;

/// So many subscriptions and servers are named that a traced message went to; more are counted.
pub(crate) const MAX_REACHED: usize = 1024;

/// A message is copied for each server, since it has another number there, up to so many bytes in all.
const MAX_COPIED_BYTES: usize = 4 * 1024 * 1024;
