//! Traced messages: what publishers are to be told of where their messages went (wire.md 7.10).

use std::collections::VecDeque;
use std::sync::Arc;

use super::entry::Entry;
use crate::accounts::Account;
use crate::id::{AccountId, ConnectionId};
use crate::interest::Subscription;
use crate::lock::{Mutex, Place};
use crate::time::Instant;

/// What became of a message that was to be traced, from whoever delivered it to the services, who say so. It costs the
/// deliverer little, and nobody's path waits for its text. What does not fit is dropped.
#[derive(Debug)]
pub(crate) struct Traces(Mutex<VecDeque<Box<Traced>>>);

/// A message, and where it went.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The account that it was published in.
    pub(crate) account: Arc<Account>,
    /// Where it came from.
    pub(crate) publisher: Arc<Entry>,
    /// When.
    pub(crate) at: Instant,
    pub(crate) subject: Box<[u8]>,
    /// Where it went instead.
    pub(crate) mapped: Option<Box<[u8]>>,
    /// Its headers, as they came.
    pub(crate) header: Box<[u8]>,
    /// How long it was, headers included.
    pub(crate) bytes: usize,
    /// The subject on which the publisher wants to hear of it.
    pub(crate) destination: Box<[u8]>,
    /// How many servers it was sent on to with a number of its own.
    pub(crate) hops: u32,
    /// Where it went, or would have gone.
    pub(crate) reached: Vec<Reached>,
    /// How many more there are than are listed.
    pub(crate) left_out: usize,
}

/// One place that a traced message went to.
#[derive(Debug)]
pub(crate) enum Reached {
    /// A subscription of a client of this node.
    Client(Arc<Subscription>),
    /// Another server, and the number that the message has there; none if that knows nothing of tracing.
    Server { route: ConnectionId, hop: Option<String>, is_left_out: bool },
    /// A subscription of a client in another account, which imports the stream as this subject.
    Importer { account: AccountId, to: Box<[u8]> },
    /// A service of another account, or one that asked there, which has the message from one subject to another.
    Service { account: AccountId, from: Box<[u8]>, to: Box<[u8]> },
}

impl Default for Traces {
    fn default() -> Self {
        Self(Mutex::new(Place::Services, VecDeque::new()))
    }
}

impl Traces {
    /// Puts one in; false if it was dropped.
    pub(crate) fn put(&self, traced: Box<Traced>) -> bool {
        let mut waiting = self.0.lock();
        let of_one = waiting.iter().filter(|other| Arc::ptr_eq(&other.publisher, &traced.publisher)).count();
        let has_room = waiting.len() < MAX_TRACES && of_one < MAX_TRACES_OF_ONE;
        if has_room {
            waiting.push_back(traced);
        }
        has_room
    }

    /// Takes out what has waited longest.
    pub(crate) fn take_first(&self) -> Option<Box<Traced>> {
        self.0.lock().pop_front()
    }
}

/// So many wait to be told at most.
pub(crate) const MAX_TRACES: usize = 128;

/// And so many of one publisher.
pub(crate) const MAX_TRACES_OF_ONE: usize = MAX_TRACES / 4;
