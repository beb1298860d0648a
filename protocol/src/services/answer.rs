//! One answer, from its first byte to its last, written piece by piece.

use crate::monitor::{Facts, Progress, Rendering, routez};
use crate::node::Node;
use crate::time::Instant;
use crate::wire::system::{Answer as Envelope, Fault};

use super::own::Own;
use super::request::Request;

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Answer {
    reply: Box<[u8]>,
    /// Its text so far.
    text: Vec<u8>,
    /// What is still to be written.
    page: Option<Rendering>,
}

impl Answer {
    /// Begins to answer, as the `number`th time; without the interest of routes unless `has_interest`.
    pub(super) fn new(node: &Node, now: Instant, number: u64, request: Request, has_interest: bool) -> Self {
        let facts = Facts::of_core(now, node.start(), node.unix_nanos_at_zero());
        let own = Own::new(node, now);
        let listing = request.listing();
        let (error, page) = match request.question {
            Ok(_) => (None, Some(routez(&facts, listing, MAX_OWN_ANSWER_BYTES, has_interest))),
            Err(description) => (Some(Fault { code: 400, description }), None),
        };
        let mut text = Envelope::<()> { server: own.server(number), data: None, error }.to_json();
        if page.is_some() {
            // Before the bracket that closes it.
            text.truncate(text.len() - 1);
            text.extend_from_slice(br#","data":"#);
        }
        Self { reply: request.reply, text, page }
    }

    /// Writes on. Returns how much work that was, if there is more.
    pub(super) fn write(&mut self, node: &Node) -> Option<usize> {
        match self.page.as_mut()?.render(node, &|_| 0) {
            Progress::Working => return Some(LOOK_BYTES),
            Progress::Piece(piece) => {
                self.text.extend_from_slice(piece.as_bytes());
                return Some(piece.len());
            }
            Progress::Last(piece) => self.text.extend_from_slice(piece.as_bytes()),
            // It has a budget of its own, which is enough for more routes than there are sockets.
            Progress::Refused => self.text.extend_from_slice(b"null"),
        }
        self.text.push(b'}');
        None
    }

    /// Where it goes, and what it says, with the end of a line.
    pub(super) fn into_message(mut self) -> (Box<[u8]>, Vec<u8>) {
        self.text.extend_from_slice(b"\r\n");
        (self.reply, self.text)
    }
}

/// From so many bytes on an answer lists no more: who wants to know the interest of that many routes asks monitoring.
pub(super) const MAX_OWN_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// To look through a shard of what a route brought takes as long as to write so much.
const LOOK_BYTES: usize = 16 * 1024;
