//! The loop-prevention rules: given a message and where it came from, who gets it.
//!
//! The one hop: what a client publishes goes to this node's clients and to the servers that asked for it; what
//! a server sends goes to this node's clients only. The single exception is a queue message whose chosen
//! members are all gone: it is handed on to another server that has the group (wire.md 7.5). Members that
//! are there and may not have it are not gone.
//!
//! What it may touch: the hub, for interest, for what a target can take, and for the mailbox of the services; and a
//! [`Sink`], which it writes to. It knows nothing of parsing or sockets. Who calls it: connections, once per message, and
//! services when they answer.
//!
//! Inside, top down:
//! - here: who gets it, of those that may.
//! - `cache`: what one connection remembers of where its subjects go.
//! - `mapped`: what one connection remembers of what becomes of its subjects.
//! - `targets`: those that may get a subject, each with the start of its line.
//! - `long_delivery`: a message for so many that they get it in slices.
//! - `parcel`: a message in its two forms, with and without headers.
//! - `requests`: messages that go to services of other accounts, and the answers.
//! - `request_info`: what such a service is told of who asks.
//! - `trace`: what is noted of a message whose publisher wants to hear where it went.

mod cache;
mod long_delivery;
mod mapped;
mod parcel;
mod request_info;
#[cfg(test)]
mod request_tests;
mod requests;
mod targets;
mod trace;

use std::sync::Arc;

use fastrand::Rng;

use crate::accounts::Account;
use crate::hub::{Entry, Hub};
use crate::id::{AccountId, ConnectionId};
use crate::interest::{Admission, Extent, Matches, Subscription};
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::{self, Message};

pub(crate) use cache::Cache;
pub(crate) use long_delivery::{LongDelivery, Sender};
pub(crate) use mapped::Mapped;
use parcel::Parcel;
pub(crate) use parcel::{Scratch, Work};
pub(crate) use request_info::Asker;
pub(crate) use targets::Targets;
use targets::{ClientTarget, CrowdTarget, Lookup, Member, QueueTargets, RouteTarget};
use trace::Onward;
pub(crate) use trace::Trace;

/// What delivering needs besides the message: where to put it, chance, and who hears what it changes.
pub(crate) struct Courier<'a, S> {
    pub(crate) hub: &'a Hub,
    pub(crate) now: Instant,
    /// The connection that the message came from; none if a service publishes it.
    pub(crate) publisher: Option<&'a Arc<Entry>>,
    /// Who asked at first, if the message is a request that went through other accounts.
    pub(crate) asker: Option<&'a Asker<'a>>,
    /// How many accounts it went through, as a request or an answer.
    pub(crate) depth: usize,
    pub(crate) sink: &'a mut S,
    pub(crate) rng: &'a mut Rng,
    pub(crate) scratch: &'a mut Scratch,
    /// What is noted of the message, if it is traced.
    pub(crate) trace: Option<&'a mut Trace>,
    pub(crate) keeper: &'a dyn Keeper<S>,
}

/// Who keeps the interest of a node, and hears what delivering changes of it.
pub(crate) trait Keeper<S> {
    /// Ends a subscription that got its last message.
    fn expire(&self, account: AccountId, subscription: &Subscription, sink: &mut S) -> Extent;

    /// The time on the wall clock, in UTC.
    fn time(&self, at: Instant) -> String;

    /// The name of the cluster that the node is in.
    fn cluster_name(&self) -> Option<String>;

    /// Lets an account hear the answers to requests of others from now on.
    fn await_answers(&self, account: &Account, rng: &mut Rng, sink: &mut S);
}

/// Delivers what a service of this node publishes, as if a client had. Returns what is left of that.
pub(crate) fn from_service<S: Sink>(
    courier: &mut Courier<'_, S>,
    account: &Arc<Account>,
    message: &Message<'_>,
) -> Option<Box<LongDelivery>> {
    let lookup = Lookup::published(account, message.subject);
    let directory = courier.hub.directory();
    let targets = Targets::collect(&mut Matches::default(), directory, None, &lookup);
    from_client(courier, &targets, message);
    LongDelivery::of(&targets, courier.scratch, courier.rng, None, Sender::Service, message, None)
}

/// Delivers what a client of this node published, but to crowds, and to a group none of whose members was found at once: they
/// get it by a [`LongDelivery`], which is to be made then in any case. False if nobody took it.
pub(crate) fn from_client<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    message: &Message<'_>,
) -> bool {
    if targets.is_empty() {
        return false;
    }
    let mut line = std::mem::take(&mut courier.scratch.line);
    let parcel = Parcel::new(message, &mut line);
    let mut taken = false;
    for target in &targets.clients {
        taken |= to_client(courier, targets, target, &parcel);
    }
    // Of so many, one will; and who is looked for is asked later.
    taken |= !targets.crowds.is_empty() || !targets.cuts.is_empty();
    taken |= if courier.trace.is_some() && note_crowds(courier, targets) {
        !targets.services.is_empty()
    } else {
        to_services(courier, targets, message)
    };
    courier.scratch.chosen.clear();
    for (number, queue) in targets.queues.iter().enumerate() {
        match choose(courier, targets, queue, &parcel, Preference::Equal) {
            Choice::Delivered => taken = true,
            Choice::Route(route) => courier.scratch.chosen.push((route, number)),
            Choice::Undecided => {
                // Of so many, one will.
                taken = true;
                courier.scratch.undecided.push(number);
            }
            Choice::Nobody => {}
        }
    }
    for (number, route) in targets.routes.iter().enumerate() {
        taken |= match courier.trace {
            None => to_route(courier, targets, number, route, &parcel, route.plain),
            Some(_) => to_route_traced(courier, targets, number, message, route.plain),
        };
    }
    if let Some(across) = &targets.across {
        taken |= requests::deliver(courier, across, message);
    }
    courier.scratch.line = line;
    if !courier.scratch.ended.is_empty() {
        courier.expire_some();
    }
    taken
}

/// Delivers what another server sent: to plain subscriptions of this node's clients, and to one member of each
/// queue group that the sender named. Crowds get it by a [`LongDelivery`], as with [`from_client`].
pub(crate) fn from_route<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    message: &Message<'_>,
    named_queues: &[u8],
) {
    if targets.is_empty() {
        return;
    }
    let mut line = std::mem::take(&mut courier.scratch.line);
    let parcel = Parcel::new(message, &mut line);
    for target in &targets.clients {
        to_client(courier, targets, target, &parcel);
    }
    let _ =
        courier.trace.is_some() && note_crowds(courier, targets) || to_services(courier, targets, message);
    courier.scratch.chosen.clear();
    courier.scratch.served.clear();
    courier.scratch.served.resize(targets.queues.len(), false);
    for name in blank_separated(named_queues) {
        let Ok(number) = targets.queues.binary_search_by(|queue| (*queue.name).cmp(name)) else {
            continue;
        };
        if std::mem::replace(&mut courier.scratch.served[number], true) {
            continue;
        }
        match choose(courier, targets, &targets.queues[number], &parcel, Preference::Local) {
            // Its members have not left. Where all are such, servers would hand it to each other for ever.
            Choice::Route(_) if targets.queues[number].has_hidden => {}
            Choice::Route(_) if !targets.queues[number].crowds.is_empty() => {
                courier.scratch.undecided.push(number);
            }
            Choice::Route(route) => courier.scratch.chosen.push((route, number)),
            Choice::Undecided => courier.scratch.undecided.push(number),
            Choice::Delivered | Choice::Nobody => {}
        }
    }
    if !courier.scratch.chosen.is_empty() {
        for (number, route) in targets.routes.iter().enumerate() {
            match courier.trace {
                None => to_route(courier, targets, number, route, &parcel, false),
                Some(_) => to_route_traced(courier, targets, number, message, false),
            };
        }
    }
    if let Some(across) = &targets.across {
        requests::deliver(courier, across, message);
    }
    courier.scratch.line = line;
    if !courier.scratch.ended.is_empty() {
        courier.expire_some();
    }
}

/// Tells a requester, if its own subscription matches the reply subject, that nobody is there to respond (wire.md 1.6).
#[cold]
pub(crate) fn no_responders<S: Sink>(
    sink: &mut S,
    account: &Account,
    requester: ConnectionId,
    request: &Message<'_>,
) {
    let Some(reply) = request.reply else {
        return;
    };
    let mut body = Vec::new();
    wire::encode::no_responders(&mut body, request.subject);
    let header_len = body.len();
    body.extend_from_slice(b"\r\n");
    let notice = Message { subject: reply, reply: None, header_len, line_tail: None, body: &body };
    let mut matches = Matches::default();
    account.index().collect(reply, &mut matches);
    let is_own = |subscription: &&Arc<Subscription>| {
        subscription.connection() == requester && subscription.shadow().is_none()
    };
    let own = matches.plain.iter().find(is_own);
    own.into_iter().for_each(|own| notify(sink, own, &notice));
}

/// Delivers a notice of the server itself to one subscription, which counts as no delivery.
fn notify<S: Sink>(sink: &mut S, to: &Subscription, message: &Message<'_>) {
    let mut line = Vec::new();
    let parcel = Parcel::new(message, &mut line);
    let mut scratch = Scratch::default();
    let prefix = scratch.renamed_prefix(parcel.has_headers(), message.subject, to.sid());
    sink.deliver(to.connection(), &parcel.delivery(prefix, parcel.has_headers()));
}

/// Whom to prefer among the members of a queue group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preference {
    /// Every member of the cluster is as good as any other, but where affinity prefers those that are near; members behind leaf
    /// nodes only if there is no other.
    Equal,
    /// The sender chose this server, so its clients come first.
    Local,
}

/// Who of a queue group gets the message.
enum Choice {
    /// A client of this node got it.
    Delivered,
    /// A member at this route is to get it.
    Route(usize),
    /// Whoever is left of its crowds: none of the members that were asked took it.
    Undecided,
    Nobody,
}

/// Gives the message to one member of a group, or says at which route one is to get it.
fn choose<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    queue: &QueueTargets,
    parcel: &Parcel<'_>,
    preference: Preference,
) -> Choice {
    match preference {
        Preference::Local => choose_of(courier, targets, queue, &queue.members, parcel, preference),
        Preference::Equal => match choose_of(courier, targets, queue, queue.near(), parcel, preference) {
            none @ (Choice::Nobody | Choice::Undecided) => {
                choose_farther(courier, targets, queue, parcel).unwrap_or(none)
            }
            choice => choice,
        },
    }
}

/// Gives the message to nobody near: says at which route that is far one is to get it, if there is any. Of crowds some were asked
/// by then, as always; the others are not looked for while there is somebody far.
fn choose_farther<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    queue: &QueueTargets,
    parcel: &Parcel<'_>,
) -> Option<Choice> {
    let equal = Preference::Equal;
    queue.farther().filter(|tier| !tier.is_empty()).find_map(|tier| {
        let choice = choose_listed(courier, targets, queue, tier, parcel, equal);
        (!matches!(choice, Choice::Nobody)).then_some(choice)
    })
}

/// Gives the message to one of these members or of the crowds, or says at which route one is to get it.
fn choose_of<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    queue: &QueueTargets,
    members: &[Member],
    parcel: &Parcel<'_>,
    preference: Preference,
) -> Choice {
    if queue.crowds.is_empty() {
        return choose_listed(courier, targets, queue, members, parcel, preference);
    }
    let crowded = queue.crowded() as u64;
    let listed = total_weight(queue, members, preference);
    let is_crowd_first = courier.rng.u64(..crowded + listed) < crowded;
    if is_crowd_first && to_crowd_member(courier, queue, parcel) {
        return Choice::Delivered;
    }
    match choose_listed(courier, targets, queue, members, parcel, preference) {
        Choice::Nobody if to_crowd_member(courier, queue, parcel) => Choice::Delivered,
        Choice::Nobody => Choice::Undecided,
        choice => choice,
    }
}

/// Walks these listed members of a group from a random one on until one can take the message.
fn choose_listed<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    queue: &QueueTargets,
    members: &[Member],
    parcel: &Parcel<'_>,
    preference: Preference,
) -> Choice {
    let start = random_member(courier.rng, queue, members, preference);
    let mut fallback = None;
    for member in members[start..].iter().chain(&members[..start]) {
        match member {
            Member::Client(target) => {
                if to_client(courier, targets, target, parcel) {
                    return Choice::Delivered;
                }
            }
            Member::Route { .. } if member.weight() == 0 => {}
            Member::Route { route, leaf: false, .. } if preference == Preference::Equal => {
                return Choice::Route(*route);
            }
            Member::Route { route, leaf, .. } => {
                // Other servers before leaf nodes of other servers, the first found of each.
                if fallback.is_none_or(|(_, of_leaf)| of_leaf && !leaf) {
                    fallback = Some((*route, *leaf));
                }
            }
        }
    }
    fallback.map_or(Choice::Nobody, |(route, _)| Choice::Route(route))
}

/// Gives the message to a random member out of a crowd, or to another one if that takes no more. False if all that were asked
/// take no more.
#[cold]
fn to_crowd_member<S: Sink>(courier: &mut Courier<'_, S>, queue: &QueueTargets, parcel: &Parcel<'_>) -> bool {
    let crowded = queue.crowded();
    (0..MAX_ASKED).any(|_| {
        let mut place = courier.rng.usize(..crowded);
        let chosen = queue.crowds.iter().find(|CrowdTarget { crowd, .. }| {
            let is_here = place < crowd.count();
            place -= if is_here { 0 } else { crowd.count() };
            is_here
        });
        let Some(CrowdTarget { account, subject, crowd, is_passed_on }) = chosen else { return false };
        let Some(member) = account.index().one_of(crowd, place) else { return false };
        let lookup = Lookup { account, subject, is_passed_on: *is_passed_on };
        let directory = courier.hub.directory();
        let publisher = courier.publisher.map(|publisher| &**publisher);
        let targets = Targets::of_some(&[member], directory, publisher, &lookup);
        targets.clients.iter().any(|target| to_client(courier, &targets, target, parcel))
    })
}

/// A random member's place, where an entry that stands for several is as likely as all of them.
fn random_member(rng: &mut Rng, queue: &QueueTargets, members: &[Member], preference: Preference) -> usize {
    if members.len() <= 1 {
        return 0;
    }
    let total = total_weight(queue, members, preference);
    if total == 0 {
        return 0;
    }
    let mut rest = rng.u64(..total);
    for (place, weight) in weights(queue, members, preference).enumerate() {
        if rest < weight {
            return place;
        }
        rest -= weight;
    }
    0
}

/// How many members these listed ones stand for.
fn total_weight(queue: &QueueTargets, members: &[Member], preference: Preference) -> u64 {
    weights(queue, members, preference).sum()
}

/// How many members each listed one stands for. Clients alone count if they are preferred: who starts at a route and walks on
/// favours the client behind it.
fn weights(queue: &QueueTargets, members: &[Member], preference: Preference) -> impl Iterator<Item = u64> {
    let is_client = |member: &Member| matches!(member, Member::Client(_));
    let has_client = || !queue.crowds.is_empty() || members.iter().any(is_client);
    let clients_only = preference == Preference::Local && has_client();
    members.iter().map(move |member| if clients_only && !is_client(member) { 0 } else { member.weight() })
}

/// Delivers to one subscription of a client. False if it takes no more.
fn to_client<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    target: &ClientTarget,
    parcel: &Parcel<'_>,
) -> bool {
    if let Some(trace) = &mut courier.trace
        && trace.is_only()
    {
        trace.reach_client(targets, target);
        return true;
    }
    let admission = target.admit();
    if admission == Admission::Refused {
        return false;
    }
    if let Some(trace) = &mut courier.trace {
        trace.reach_client(targets, target);
    }
    if target.may_respond {
        note_request(courier, target, parcel);
    }
    let with_headers = parcel.has_headers() && target.headers;
    let prefix = match parcel.renamed().or_else(|| targets.unprepared_subject(target)) {
        None => targets.client_prefix(target, with_headers),
        Some(subject) => courier.scratch.renamed_prefix(with_headers, subject, target.sid()),
    };
    courier.sink.deliver(target.connection, &parcel.delivery(prefix, with_headers));
    if admission == Admission::Last {
        courier.scratch.ended.push((targets.account_of(target), target.original().clone()));
    }
    true
}

/// Lets a client that may answer requests answer this one, before it gets it.
#[cold]
fn note_request<S>(courier: &Courier<'_, S>, target: &ClientTarget, parcel: &Parcel<'_>) {
    let client = parcel.reply().zip(courier.hub.directory().get(target.connection));
    client.into_iter().for_each(|(reply, client)| client.note_request(reply, courier.now));
}

impl<S> Courier<'_, S> {
    /// Ends those that got their last message, but no more than are ended at once: a [`LongDelivery`] ends the others.
    #[cold]
    fn expire_some(&mut self) {
        let extent = expire_some(&mut self.scratch.ended, self.keeper, self.sink);
        self.scratch.work.ended += extent;
    }
}

/// Ends the last of these, until as many indexes are changed as are at once.
fn expire_some<S>(
    ended: &mut Vec<(AccountId, Arc<Subscription>)>,
    keeper: &dyn Keeper<S>,
    sink: &mut S,
) -> Extent {
    let mut extent = Extent::default();
    for _ in 0..EXPIRED_AT_ONCE {
        let Some((account, subscription)) = ended.pop() else { break };
        extent += keeper.expire(account, &subscription, sink);
        if extent.indexes >= EXPIRED_AT_ONCE {
            break;
        }
    }
    extent
}

/// Puts the message where the services that want it find it, and wakes who drives them. False if none took it.
#[inline]
fn to_services<S>(courier: &Courier<'_, S>, targets: &Targets, message: &Message<'_>) -> bool {
    let mut taken = false;
    for service in &targets.services {
        let Some(publisher) = courier.publisher else { continue };
        let payload = &message.body[message.header_len..message.body.len() - 2];
        // Counts what it was sent, dropped or not.
        let _ = service.admit();
        taken |= courier.hub.mailbox().put(service, publisher.id(), message.reply, payload);
    }
    if taken {
        courier.hub.want_attention();
    }
    taken
}

/// Notes those of a traced message that are too many to be named. True if nobody is to get it here.
#[cold]
fn note_crowds<S>(courier: &mut Courier<'_, S>, targets: &Targets) -> bool {
    let Some(trace) = &mut courier.trace else { return false };
    targets.crowds.iter().for_each(|target| trace.reach_crowd(target.crowd.count()));
    targets.cuts.iter().for_each(|_| trace.reach_crowd(1));
    trace.is_only()
}

/// Sends a traced message to one server, with the number that it has there. False if nothing of the server is interested.
#[cold]
fn to_route_traced<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    number: usize,
    message: &Message<'_>,
    plain: bool,
) -> bool {
    let route = &targets.routes[number];
    let is_wanted = plain || courier.scratch.chosen.iter().any(|(chosen, _)| *chosen == number);
    let Some(trace) = courier.trace.as_mut().filter(|_| is_wanted) else { return false };
    let mut line = Vec::new();
    match trace.reach_server(route, message) {
        Onward::Nothing => true,
        Onward::AsItIs => to_route(courier, targets, number, route, &Parcel::new(message, &mut line), plain),
        Onward::Numbered(body, header_len) => {
            let message = Message { header_len, line_tail: None, body: &body, ..*message };
            to_route(courier, targets, number, route, &Parcel::new(&message, &mut line), plain)
        }
    }
}

/// Sends to one server, once, whatever of it is interested. False if nothing of it is.
fn to_route<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    number: usize,
    route: &RouteTarget,
    parcel: &Parcel<'_>,
    plain: bool,
) -> bool {
    let scratch = &mut *courier.scratch;
    let with_headers = parcel.has_headers() && route.headers;
    let prefix = targets.route_prefix(route, with_headers);
    let has_queues = scratch.chosen.iter().any(|(chosen, _)| *chosen == number);
    if has_queues {
        let chosen = scratch.chosen.iter().filter(|(chosen, _)| *chosen == number);
        let names = chosen.map(|(_, queue)| &*targets.queues[*queue].name);
        parcel.queue_line(&mut scratch.queue_line, names, with_headers);
        courier
            .sink
            .deliver(route.link(), &parcel.delivery_with_line(prefix, &scratch.queue_line, with_headers));
    } else if plain {
        courier.sink.deliver(route.link(), &parcel.delivery(prefix, with_headers));
    }
    has_queues || plain
}

/// So many subscriptions are ended at once, in about a millisecond; fewer, where they reach streams of other accounts: one change
/// of an index counts like another.
const EXPIRED_AT_ONCE: usize = 384;

fn blank_separated(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|byte| matches!(byte, b' ' | b'\t')).filter(|name| !name.is_empty())
}

/// So many members out of a crowd are asked, each of which may just be about to get its last message, or be gone; or be the
/// publisher's own, who wants no echo. If none of them takes it, one that does is looked for in slices.
const MAX_ASKED: usize = 16;
