//! A message for so many that they get it, or that one of them is found, in slices, so that nobody waits longer for it than for
//! anything else that is read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;

use super::parcel::{Parcel, Scratch};
use super::targets::{CrowdTarget, Cut, Lookup, Targets};
use super::{
    Courier, Keeper, Trace, blank_separated, expire_some, from_client, from_route, no_responders, to_client,
};
use crate::accounts::Account;
use crate::hub::{Entry, Hub};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Crowd, Matches, Search, Source, Subscription};
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::Message;

/// A message, and who is still to get it.
#[derive(Debug)]
pub(crate) struct LongDelivery {
    /// First, those subscriptions are ended that got it as their last message.
    ended: Vec<(AccountId, Arc<Subscription>)>,
    /// Then, where those are still looked for who get it: too many filters match.
    searches: VecDeque<Searching>,
    /// Then, which crowds are still to get it, one after the other: each of a plain one, or one of those of a queue group.
    crowds: VecDeque<CrowdTarget>,
    /// At last, what comes of the message in other accounts.
    rests: VecDeque<LongDelivery>,
    /// None if a service publishes it.
    publisher: Option<Arc<Entry>>,
    /// The queue groups that another server named; none if it is published here.
    named_queues: Option<Box<[u8]>>,
    /// Where its publisher is told if nobody takes it.
    untaken: Option<Arc<Account>>,
    message: OwnMessage,
    rng: Rng,
    scratch: Scratch,
    /// How many accounts the message went through.
    depth: usize,
}

/// Who sends a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender<'a> {
    /// A client, which may want to be told in its account if nobody takes it.
    Client { wants_to_know: Option<&'a Arc<Account>> },
    /// A service of this node.
    Service,
    /// Another server, for these queue groups.
    Route { queues: &'a [u8] },
}

/// An account in which is looked for those who get it.
#[derive(Debug)]
struct Searching {
    account: Arc<Account>,
    is_passed_on: bool,
    search: Search,
    kept: Kept,
}

/// What was found and gets nothing before all is known: of a group one gets it, and a server gets it once.
#[derive(Debug, Default)]
struct Kept {
    /// One subscription of each route that wants it apart from groups.
    routes: BTreeMap<ConnectionId, Arc<Subscription>>,
    queues: BTreeMap<Box<[u8]>, Vec<Arc<Subscription>>>,
    crowds: Vec<Crowd>,
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
        sender: Sender<'_>,
        message: &Message<'_>,
        trace: Option<&Trace>,
    ) -> Option<Box<Self>> {
        let is_all = targets.crowds.is_empty() && targets.cuts.is_empty() && scratch.rests.is_empty();
        if is_all && scratch.undecided.is_empty() && scratch.ended.is_empty() {
            return None;
        }
        if trace.is_some_and(Trace::is_only) {
            scratch.undecided.clear();
            return None;
        }
        Some(Self::begin(targets, scratch, rng, publisher, sender, message))
    }

    #[cold]
    fn begin(
        targets: &Targets,
        scratch: &mut Scratch,
        rng: &mut Rng,
        publisher: Option<&Arc<Entry>>,
        sender: Sender<'_>,
        message: &Message<'_>,
    ) -> Box<Self> {
        let named_queues = if let Sender::Route { queues } = sender { Some(queues.into()) } else { None };
        // Of a crowd, one will take it.
        let untaken = match sender {
            Sender::Client { wants_to_know } if targets.listed() == 0 && targets.crowds.is_empty() => {
                wants_to_know.cloned()
            }
            _ => None,
        };
        Box::new(Self {
            ended: std::mem::take(&mut scratch.ended),
            searches: targets.cuts.iter().cloned().map(Searching::new).collect(),
            crowds: crowds_of(targets, scratch).collect(),
            rests: scratch.rests.drain(..).collect(),
            publisher: publisher.cloned(),
            named_queues,
            untaken,
            message: OwnMessage::new(message),
            rng: rng.fork(),
            scratch: Scratch::default(),
            depth: 0,
        })
    }

    /// The same of a message that went through so many accounts.
    pub(super) fn behind(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// Delivers to some; true once all have it.
    pub(crate) fn handle_slice<S: Sink>(
        &mut self,
        hub: &Hub,
        now: Instant,
        sink: &mut S,
        keeper: &dyn Keeper<S>,
    ) -> bool {
        if !self.ended.is_empty() {
            expire_some(&mut self.ended, keeper, sink);
        } else if !self.searches.is_empty() {
            self.search_on(hub, now, sink, keeper);
        } else if !self.crowds.is_empty() {
            self.go_through_crowd(hub, now, sink, keeper);
        } else if let Some(rest) = self.rests.front_mut()
            && rest.handle_slice(hub, now, sink, keeper)
        {
            self.rests.pop_front();
        }
        let is_given = self.ended.is_empty() && self.searches.is_empty() && self.crowds.is_empty();
        is_given && self.rests.is_empty()
    }

    /// Delivers to those clients that are found next, and when all is known to the rest.
    fn search_on<S: Sink>(&mut self, hub: &Hub, now: Instant, sink: &mut S, keeper: &dyn Keeper<S>) {
        let is_last = self.searches.len() == 1;
        let Some(searching) = self.searches.front_mut() else { return };
        let mut found = searching.find(self.named_queues.as_deref());
        let (account, subject) = (&searching.account, searching.search.subject());
        let lookup = Lookup { account, subject, is_passed_on: searching.is_passed_on };
        let publisher = self.publisher.as_ref();
        let entry = self.publisher.as_deref();
        let targets = Targets::of_found(&mut found, hub.directory(), entry, &lookup);
        let message = self.message.published_to(subject);
        let (rng, scratch, depth) = (&mut self.rng, &mut self.scratch, self.depth);
        let mut courier =
            Courier { hub, now, publisher, asker: None, depth, sink, rng, scratch, trace: None, keeper };
        let taken = match &self.named_queues {
            None => from_client(&mut courier, &targets, &message),
            Some(named) => {
                from_route(&mut courier, &targets, &message, named);
                true
            }
        };
        self.crowds.extend(crowds_of(&targets, &mut self.scratch));
        self.rests.extend(self.scratch.rests.drain(..));
        self.ended.append(&mut self.scratch.ended);
        if taken {
            self.untaken = None;
        }
        if !searching.search.is_over() {
            return;
        }
        if let (true, Some(account), Some(publisher)) = (is_last, &self.untaken, publisher) {
            no_responders(sink, account, publisher.id(), &message);
        }
        self.searches.pop_front();
    }

    /// Delivers to some of the first crowd.
    fn go_through_crowd<S: Sink>(&mut self, hub: &Hub, now: Instant, sink: &mut S, keeper: &dyn Keeper<S>) {
        let Some(CrowdTarget { account, subject, crowd, is_passed_on }) = self.crowds.front_mut() else {
            return;
        };
        let mut subscriptions = Vec::new();
        account.index().next_of(crowd, &mut subscriptions);
        let lookup = Lookup { account, subject, is_passed_on: *is_passed_on };
        let publisher = self.publisher.as_ref();
        let entry = self.publisher.as_deref();
        let targets = Targets::of_some(&subscriptions, hub.directory(), entry, &lookup);
        let mut line = Vec::new();
        let parcel = Parcel::new(&self.message.published_to(subject), &mut line);
        let start = self.rng.usize(..targets.clients.len().max(1));
        let (rng, scratch, depth) = (&mut self.rng, &mut self.scratch, self.depth);
        let mut courier =
            Courier { hub, now, publisher, asker: None, depth, sink, rng, scratch, trace: None, keeper };
        let mut give = |target| to_client(&mut courier, &targets, target, &parcel);
        let is_decided = if crowd.queue().is_some() {
            let (before, from) = targets.clients.split_at(start);
            from.iter().chain(before).any(give)
        } else {
            targets.clients.iter().for_each(|target| _ = give(target));
            false
        };
        courier.expire_some();
        self.ended.append(&mut self.scratch.ended);
        if is_decided {
            self.pop_group();
        } else if crowd.is_over() {
            self.crowds.pop_front();
        }
    }

    /// One of the group has it, whose crowds come first.
    fn pop_group(&mut self) {
        let Some(first) = self.crowds.pop_front() else { return };
        self.crowds.retain(|other| {
            other.account.id() != first.account.id() || other.crowd.queue() != first.crowd.queue()
        });
    }
}

/// The crowds that are to be gone through, once the others have it.
fn crowds_of<'a>(targets: &'a Targets, scratch: &'a mut Scratch) -> impl Iterator<Item = CrowdTarget> + 'a {
    let undecided = scratch.undecided.drain(..).flat_map(|number| &targets.queues[number].crowds);
    targets.crowds.iter().chain(undecided).cloned()
}

impl Searching {
    fn new(cut: Cut) -> Self {
        let Cut { account, subject, is_passed_on } = cut;
        Self { account, is_passed_on, search: Search::new(&subject), kept: Kept::default() }
    }

    /// Those that may get it now: the clients and services that are found next, and at the end all else. Of groups, those
    /// are meant that are named, if any must be.
    fn find(&mut self, named_queues: Option<&[u8]>) -> Matches {
        let mut found = Matches::default();
        self.account.index().search(&mut self.search, &mut found);
        let is_meant =
            |queue: &[u8]| named_queues.is_none_or(|named| blank_separated(named).any(|name| name == queue));
        self.kept.take_from(&mut found, is_meant);
        if self.search.is_over() {
            std::mem::take(&mut self.kept).add_to(&mut found);
        }
        found
    }
}

impl Kept {
    fn take_from(&mut self, found: &mut Matches, is_meant: impl Fn(&[u8]) -> bool) {
        found.plain.retain(|subscription| {
            let is_remote = matches!(subscription.source(), Source::Route | Source::RouteLeaf);
            if is_remote {
                self.routes.entry(subscription.connection()).or_insert_with(|| subscription.clone());
            }
            !is_remote
        });
        for (name, members) in found.queues.drain(..).filter(|(name, _)| is_meant(name)) {
            self.queues.entry(name).or_default().extend(members);
        }
        self.crowds.extend(found.crowds.extract_if(.., |crowd| crowd.queue().is_some_and(&is_meant)));
        found.crowds.retain(|crowd| crowd.queue().is_none());
    }

    fn add_to(self, found: &mut Matches) {
        found.plain.extend(self.routes.into_values());
        found.queues.extend(self.queues);
        found.crowds.extend(self.crowds);
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
