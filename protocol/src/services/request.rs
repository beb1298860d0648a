//! A question as it was read: what is asked, by whom, and where the answer goes.

use std::fmt;

use crate::hub::{Directory, Letter};
use crate::id::ConnectionId;
use crate::monitor::Listing;
use crate::wire::system::{MAX_QUESTION_BYTES, Question};

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) asker: Asker,
    pub(super) reply: Box<[u8]>,
    /// How much of it is kept.
    pub(super) bytes: usize,
    /// What is asked; or why it cannot be read.
    pub(super) question: Result<Question, String>,
}

/// Who asks, or for whom: a client of this node, or another server with all its connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    Connection(ConnectionId),
    Server(String),
}

impl Request {
    /// The request that a message is; none if nobody waits for an answer.
    pub(super) fn read(letter: Letter, directory: &Directory) -> Option<Self> {
        let question = if letter.payload.len() > MAX_QUESTION_BYTES {
            Err(format!("more than {MAX_QUESTION_BYTES} bytes"))
        } else {
            Question::from_payload(&letter.payload).map_err(|fault| fault.to_string())
        };
        let (asker, reply) = (Asker::new(letter.from, directory), letter.reply?);
        let bytes = reply.len() + letter.payload.len().min(MAX_QUESTION_BYTES);
        Some(Self { asker, reply, bytes, question })
    }

    /// How the interest of routes is asked for.
    pub(super) fn listing(&self) -> Listing {
        match &self.question {
            Ok(question) if question.subscriptions_detail => Listing::Detail,
            Ok(question) if question.subscriptions => Listing::Subjects,
            _ => Listing::None,
        }
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(_) => f.write_str("a client"),
            Self::Server(id) => f.write_str(id),
        }
    }
}

impl Asker {
    fn new(from: ConnectionId, directory: &Directory) -> Self {
        let about = directory.get(from).map(|entry| entry.about());
        let server = about.map(|about| about.remote_id).filter(|id| !id.is_empty());
        server.map_or(Self::Connection(from), Self::Server)
    }
}
