//! A message for so many that they get it, or that one of them is found, in slices, so that nobody waits longer for it than for
//! anything else that is read.

use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;

use super::parcel::{Parcel, Scratch};
use super::targets::{CrowdTarget, Lookup, Targets};
use super::{Courier, to_client};
use crate::hub::{Entry, Hub};
use crate::id::AccountId;
use crate::interest::Subscription;
use crate::sink::Sink;
use crate::wire::Message;

/// A message, and which crowds are still to get it: each of a plain one, or one of those of a queue group.
#[derive(Debug)]
pub(crate) struct LongDelivery {
    /// The first one is gone through.
    crowds: VecDeque<CrowdTarget>,
    /// None if a service publishes it.
    publisher: Option<Arc<Entry>>,
    message: OwnMessage,
    rng: Rng,
    scratch: Scratch,
}

/// A message that outlives the read that it came with, apart from its subject.
#[derive(Debug)]
struct OwnMessage {
    reply: Option<Box<[u8]>>,
    header_len: usize,
    body: Box<[u8]>,
}

impl LongDelivery {
    /// What is left of a delivery by [`from_client`](super::from_client) or [`from_route`](super::from_route), if anything is.
    #[inline]
    pub(crate) fn of(
        targets: &Targets,
        scratch: &mut Scratch,
        rng: &mut Rng,
        publisher: Option<&Arc<Entry>>,
        message: &Message<'_>,
    ) -> Option<Box<Self>> {
        if targets.crowds.is_empty() && scratch.undecided.is_empty() {
            return None;
        }
        Some(Self::begin(targets, scratch, rng, publisher, message))
    }

    #[cold]
    fn begin(
        targets: &Targets,
        scratch: &mut Scratch,
        rng: &mut Rng,
        publisher: Option<&Arc<Entry>>,
        message: &Message<'_>,
    ) -> Box<Self> {
        let undecided = scratch.undecided.drain(..).flat_map(|number| &targets.queues[number].crowds);
        Box::new(Self {
            crowds: targets.crowds.iter().chain(undecided).cloned().collect(),
            publisher: publisher.cloned(),
            message: OwnMessage::new(message),
            rng: rng.fork(),
            scratch: Scratch::default(),
        })
    }

    /// Delivers to some; true once all have it.
    pub(crate) fn handle_slice<S: Sink>(
        &mut self,
        hub: &Hub,
        sink: &mut S,
        expire: &mut dyn FnMut(AccountId, &Subscription, &mut S),
    ) -> bool {
        let Some(CrowdTarget { account, subject, crowd }) = self.crowds.front_mut() else {
            return true;
        };
        let mut subscriptions = Vec::new();
        account.index().next_of(crowd, &mut subscriptions);
        let (lookup, publisher) = (Lookup { account, subject }, self.publisher.as_deref());
        let targets = Targets::of_some(&subscriptions, hub.directory(), publisher, &lookup);
        let mut line = Vec::new();
        let parcel = Parcel::new(&self.message.published_to(subject), &mut line);
        let start = self.rng.usize(..targets.clients.len().max(1));
        let (rng, scratch) = (&mut self.rng, &mut self.scratch);
        let mut courier = Courier { hub, publisher, sink, rng, scratch, expire };
        let mut give = |target| to_client(&mut courier, &targets, target, &parcel);
        let is_decided = if crowd.queue().is_some() {
            let (before, from) = targets.clients.split_at(start);
            from.iter().chain(before).any(give)
        } else {
            targets.clients.iter().for_each(|target| _ = give(target));
            false
        };
        if is_decided {
            self.pop_group();
        } else if crowd.is_over() {
            self.crowds.pop_front();
        }
        self.crowds.is_empty()
    }

    /// One of the group has it, whose crowds come first.
    fn pop_group(&mut self) {
        let Some(first) = self.crowds.pop_front() else { return };
        self.crowds.retain(|other| {
            other.account.id() != first.account.id() || other.crowd.queue() != first.crowd.queue()
        });
    }
}

impl OwnMessage {
    fn new(message: &Message<'_>) -> Self {
        Self {
            reply: message.reply.map(Into::into),
            header_len: message.header_len,
            body: message.body.into(),
        }
    }

    fn published_to<'a>(&'a self, subject: &'a [u8]) -> Message<'a> {
        Message {
            subject,
            reply: self.reply.as_deref(),
            header_len: self.header_len,
            line_tail: None,
            body: &self.body,
        }
    }
}
