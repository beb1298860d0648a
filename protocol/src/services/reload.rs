//! Who asked for the configuration to be read again, until that was done (wire.md 10.3).

use crate::hub::Hub;
use crate::node::Node;
use crate::time::Instant;
use crate::wire::system::{Answer as Envelope, Fault};

use super::own::Own;
use super::request::Request;

/// Questions that wait, and answers that are still to be given.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    /// Where each answer goes, and for which time it waits.
    waiting: Vec<(u64, Box<[u8]>)>,
    /// Where answers go, each with what is wrong, if anything is.
    due: Vec<(Box<[u8]>, Option<Fault>)>,
}

impl Reloads {
    /// Takes a question. False if there is no room for it.
    pub(super) fn ask(&mut self, hub: &Hub, request: Request) -> bool {
        if self.waiting.len() + self.due.len() >= MAX_RELOADS {
            return false;
        }
        match request.question {
            Ok(_) => {
                self.waiting.push((hub.reload().ask(), request.reply));
                hub.want_attention();
            }
            Err(description) => self.due.push((request.reply, Some(Fault { code: 400, description }))),
        }
        true
    }

    /// Whether nobody is to be answered, now or later.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.due.is_empty()
    }

    /// The next answer and where it goes, as the `number`th; none if there is none to be given now.
    pub(super) fn next(&mut self, node: &Node, now: Instant, number: u64) -> Option<(Box<[u8]>, Vec<u8>)> {
        if let Some((ended, outcome)) = node.hub().reload().take_outcome() {
            let answered = self.waiting.extract_if(.., |(time, _)| *time <= ended);
            let fault = || outcome.as_ref().err().map(|why| Fault { code: 500, description: why.clone() });
            self.due.extend(answered.map(|(_, reply)| (reply, fault())));
        }
        let (reply, error) = self.due.pop()?;
        let own = Own::new(node, now);
        let mut body = Envelope::<()> { server: own.server(number), data: None, error }.to_json();
        body.extend_from_slice(b"\r\n");
        Some((reply, body))
    }
}

/// So many questions wait, or for their turn to be answered.
pub(super) const MAX_RELOADS: usize = 64;
