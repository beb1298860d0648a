//! A message being delivered: its two forms, with and without headers.

use std::cell::OnceCell;
use std::ops::AddAssign;
use std::sync::Arc;

use super::LongDelivery;
use crate::id::AccountId;
use crate::interest::{Extent, Subscription};
use crate::outbox::{Body, Delivery};
use crate::wire::Message;
use crate::wire::encode::push_message_tail;

/// Memory that is reused from message to message, so that delivering allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) line: Vec<u8>,
    pub(super) queue_line: Vec<u8>,
    /// Which route was chosen for which queue group.
    pub(super) chosen: Vec<(usize, usize)>,
    /// Which queue groups a member is still to be looked for in.
    pub(super) undecided: Vec<usize>,
    /// Subscriptions that got their last message, each with its account, and are still to be ended.
    pub(super) ended: Vec<(AccountId, Arc<Subscription>)>,
    /// What was done beside since somebody took this.
    pub(super) work: Work,
    /// Which queue groups a server's message was delivered to already.
    pub(super) served: Vec<bool>,
    /// That of a request to another account.
    pub(super) body: Vec<u8>,
    /// That of messages that come of this one in other accounts.
    pub(super) inner: Option<Box<Scratch>>,
    /// What is left of their deliveries.
    pub(super) rests: Vec<LongDelivery>,
    prefix: Vec<u8>,
}

impl Scratch {
    /// Keeps the memory of a body for the next, unless it is much.
    pub(super) fn keep_body(&mut self, body: Vec<u8>) {
        self.body = if body.capacity() <= MAX_KEPT_BODY_BYTES { body } else { Vec::new() };
    }

    /// Whether anything was done beside since that was asked.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.work.ended.indexes + self.work.passed_on > 0
    }

    /// What was done beside since this was asked last.
    pub(crate) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    /// `MSG <subject> <sid> ` or `HMSG …` for a subject that is not the one of the targets.
    pub(super) fn renamed_prefix(&mut self, with_headers: bool, subject: &[u8], sid: &[u8]) -> &[u8] {
        self.prefix.clear();
        let verb: &[u8] = if with_headers { b"HMSG " } else { b"MSG " };
        for part in [verb, subject, b" ", sid, b" "] {
            self.prefix.extend_from_slice(part);
        }
        &self.prefix
    }
}

/// What delivering messages took beside what their targets say.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Of subscriptions that ended, since they got their last message.
    pub(crate) ended: Extent,
    /// How many requests and answers were made, for other accounts.
    pub(crate) passed_on: usize,
    /// How much was copied for these.
    pub(crate) copied_bytes: usize,
    /// How much was looked at in the indexes for those whose targets were not at hand.
    pub(crate) looked_at: usize,
    /// How many got these at once.
    pub(crate) listed: usize,
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.ended += other.ended;
        self.passed_on += other.passed_on;
        self.copied_bytes += other.copied_bytes;
        self.looked_at += other.looked_at;
        self.listed += other.listed;
    }
}

/// One message, ready to be put behind any prefix.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    /// As clients see it.
    reply: Option<&'a [u8]>,
    /// As servers see it.
    routed_reply: Option<&'a [u8]>,
    header_len: usize,
    line: &'a [u8],
    body: Body<'a>,
    /// For those who do not understand headers; made when the first of them appears.
    stripped: OnceCell<(Vec<u8>, Body<'a>)>,
    renamed: Option<&'a [u8]>,
}

impl<'a> Parcel<'a> {
    /// Prepares a message; `line` is memory for the rest of its line where it cannot be reused.
    pub(crate) fn new(message: &Message<'a>, line: &'a mut Vec<u8>) -> Self {
        let acked = message.reply.and_then(split_ack_reply);
        let (reply, renamed) = match acked {
            Some((reply, subject)) => (Some(reply), Some(subject)),
            None => (message.reply, None),
        };
        let line = match message.line_tail {
            Some(tail) if renamed.is_none() => tail,
            _ => {
                line.clear();
                push_message_tail(line, reply, message.header_len, message.body.len() - 2);
                line
            }
        };
        let header_len = message.header_len;
        Self {
            reply,
            routed_reply: message.reply,
            header_len,
            line,
            body: Body::new(message.body),
            stripped: OnceCell::new(),
            renamed,
        }
    }

    pub(super) fn has_headers(&self) -> bool {
        self.header_len > 0
    }

    /// Where clients are asked to answer to.
    pub(super) fn reply(&self) -> Option<&'a [u8]> {
        self.reply
    }

    /// The subject that clients are shown, if it is not the one that the message was routed by.
    pub(super) fn renamed(&self) -> Option<&'a [u8]> {
        self.renamed
    }

    pub(super) fn delivery<'d>(&'d self, prefix: &'d [u8], with_headers: bool) -> Delivery<'d> {
        if with_headers == self.has_headers() {
            return Delivery { prefix, line: self.line, body: &self.body };
        }
        let (line, body) = self.stripped();
        Delivery { prefix, line, body }
    }

    /// The same with a line of its own, such as one that names queue groups.
    pub(super) fn delivery_with_line<'d>(
        &'d self,
        prefix: &'d [u8],
        line: &'d [u8],
        with_headers: bool,
    ) -> Delivery<'d> {
        Delivery { line, ..self.delivery(prefix, with_headers) }
    }

    /// `| <queue>… <size>` or `+ <reply> <queue>… <size>` (wire.md 2.8).
    pub(super) fn queue_line<'n>(
        &self,
        line: &mut Vec<u8>,
        queues: impl Iterator<Item = &'n [u8]>,
        with_headers: bool,
    ) {
        line.clear();
        match self.routed_reply {
            None => line.extend_from_slice(b"| "),
            Some(reply) => {
                line.extend_from_slice(b"+ ");
                line.extend_from_slice(reply);
                line.push(b' ');
            }
        }
        for queue in queues {
            line.extend_from_slice(queue);
            line.push(b' ');
        }
        let Delivery { line: own_line, .. } = self.delivery(b"", with_headers);
        let reply_bytes = self.reply.map_or(0, |reply| reply.len() + 1);
        line.extend_from_slice(&own_line[reply_bytes..]);
    }

    fn stripped(&self) -> &(Vec<u8>, Body<'a>) {
        self.stripped.get_or_init(|| {
            let body = &self.body.bytes()[self.header_len..];
            let mut line = Vec::new();
            push_message_tail(&mut line, self.reply, 0, body.len() - 2);
            (line, Body::new(body))
        })
    }
}

/// Splits a reply of the form `$JS.ACK.…@<subject>`: streams hosted by other members send their clients' messages
/// so (wire.md 2.8). The `@` must come after the eighth dot, and something must follow it.
fn split_ack_reply(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    if !reply.starts_with(b"$JS.ACK.") {
        return None;
    }
    let eighth = memchr::memchr_iter(b'.', reply).nth(7)?;
    let at = eighth + memchr::memchr(b'@', &reply[eighth..])?;
    let subject = &reply[at + 1..];
    (!subject.is_empty()).then_some((&reply[..at], subject))
}

/// More than this of a body is not kept for the next.
const MAX_KEPT_BODY_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_reply_is_split_at_the_first_at_sign_after_the_eighth_dot() {
        let split = split_ack_reply(b"$JS.ACK.S.C.1.1.1.1.0@orig.subj");
        assert_eq!(split, Some((b"$JS.ACK.S.C.1.1.1.1.0".as_slice(), b"orig.subj".as_slice())));
        let split = split_ack_reply(b"$JS.ACK.S@.C.1.1.1.1.0@a@b");
        assert_eq!(split, Some((b"$JS.ACK.S@.C.1.1.1.1.0".as_slice(), b"a@b".as_slice())));
        assert_eq!(split_ack_reply(b"$JS.ACK.S.C.1.1.1.1.0@"), None);
        assert_eq!(split_ack_reply(b"$JS.ACK.S.C.1@orig"), None);
        assert_eq!(split_ack_reply(b"_INBOX.1.2.3.4.5.6.7.8@orig"), None);
    }
}
