//! Messages that are requests to services of other accounts, and the answers that come back (wire.md 1.12).
//!
//! A request is delivered in the account of the exporter as if it had been published there, with a reply subject of that account;
//! what is published to that goes to the reply subject of the requester, in the account of the importer. Each of the two is a
//! message of its own, so that all that holds for messages holds for them: routes, queue groups, further imports.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::request_info::Asker;
use super::targets::{Across, Course, Lookup, Request, Targets};
use super::trace::DISABLED;
use super::{Courier, LongDelivery, Sender, from_client};
use crate::accounts::{Account, Awaited, ServiceImport};
use crate::hub::{Entry, Hub};
use crate::interest::{Matches, Stamp};
use crate::mapping::Choice;
use crate::sink::Sink;
use crate::wire::Message;
use crate::wire::header::{self, REQUEST_INFO, TRACE_DESTINATION};

/// Looks for the services that a message is a request for.
pub(super) struct Finding<'a> {
    matches: &'a mut Matches,
    hub: &'a Hub,
    publisher: &'a Entry,
    /// How the indexes of the exporters were before they were asked.
    stamps: &'a mut Vec<(Arc<Account>, Stamp)>,
    /// How many more may be found.
    left: usize,
}

impl<'a> Finding<'a> {
    pub(super) fn new(
        matches: &'a mut Matches,
        hub: &'a Hub,
        publisher: &'a Entry,
        stamps: &'a mut Vec<(Arc<Account>, Stamp)>,
    ) -> Self {
        Self { matches, hub, publisher, stamps, left: MAX_REQUESTS }
    }

    /// Lets those have a message, too, whom it is a request for in other accounts; `depth` is how many accounts led here.
    pub(super) fn add_requests(&mut self, targets: &mut Targets, lookup: &Lookup<'_>, depth: usize) {
        // Those behind the last that it goes to are found, so that it is noticed there that it goes no further.
        let Some(imports) = lookup.account.imports().filter(|_| depth <= MAX_DEPTH) else { return };
        let (mut requests, mut is_cut) = (Vec::new(), false);
        for (import, subject) in imports.services_of(lookup.subject) {
            if self.left == 0 {
                is_cut = true;
                break;
            }
            self.left -= 1;
            requests.extend(self.request(lookup.account, import, subject.into(), depth));
        }
        targets.add_requests(requests, is_cut);
    }

    fn request(
        &mut self,
        importer: &Arc<Account>,
        import: &Arc<ServiceImport>,
        subject: Box<[u8]>,
        depth: usize,
    ) -> Option<Request> {
        let exporter = self.hub.accounts().get(import.exporter)?;
        let (subject, course) = match exporter.mappings().find(&subject) {
            None => self.settle(&exporter, subject, depth),
            Some(Choice::Fixed(mapped)) => self.settle(&exporter, mapped, depth),
            Some(drawn) => (subject, Course::Drawn(drawn)),
        };
        Some(Request { import: import.clone(), importer: importer.clone(), exporter, subject, course })
    }

    fn settle(&mut self, exporter: &Arc<Account>, subject: Box<[u8]>, depth: usize) -> (Box<[u8]>, Course) {
        let targets = self.targets(exporter, &subject, depth + 1);
        (subject, Course::Settled(targets))
    }

    /// Who gets a request on this subject of its exporter.
    fn targets(&mut self, exporter: &Arc<Account>, subject: &[u8], depth: usize) -> Targets {
        let lookup = Lookup { account: exporter, subject, is_passed_on: true };
        self.stamps.push((exporter.clone(), exporter.index().stamp(subject)));
        let directory = self.hub.directory();
        let mut targets = Targets::collect(self.matches, directory, Some(self.publisher), &lookup);
        self.add_requests(&mut targets, &lookup, depth);
        targets
    }
}

/// Lets other accounts have what is a request to them, or an answer. False if nobody there takes it.
#[inline(never)]
pub(super) fn deliver<S: Sink>(courier: &mut Courier<'_, S>, across: &Across, message: &Message<'_>) -> bool {
    let Across { requests, answerer, is_cut, .. } = across;
    if courier.depth == MAX_DEPTH {
        courier.hit_limit("MAX_DEPTH");
        return false;
    }
    if *is_cut {
        courier.hit_limit("MAX_REQUESTS");
    }
    let mut is_taken = answerer.is_some();
    for request in requests {
        is_taken |= ask(courier, request, message);
    }
    if let Some(account) = answerer {
        answer(courier, account, message);
    }
    // Who waits for answers takes what comes there, whether or not this one is waited for.
    is_taken
}

/// Lets those have a message whom it is a request for. False if nobody takes it.
fn ask<S: Sink>(courier: &mut Courier<'_, S>, request: &Request, message: &Message<'_>) -> bool {
    let Request { import, importer, exporter, subject, .. } = request;
    if courier.note(exporter, message.subject, subject).is_break() || request.is_for_nobody() {
        // Of what is only traced nobody is there to take it.
        return false;
    }
    let reply = message.reply.map(|reply| {
        let (terms, share) = (import.terms, import.share);
        let awaited = Awaited { asker: importer.id(), reply: reply.into(), terms, share };
        wait_for_answer(courier, exporter, awaited)
    });
    let first = Asker::new(importer, import.share);
    let asker = courier.asker.map_or(first, |asker| asker.behind(import.share));
    let info = asker.info(courier, importer);
    let mut body = std::mem::take(&mut courier.scratch.body);
    body.clear();
    let header_len = push_with_headers(&mut body, message, Some(&info), courier.trace.is_some());
    courier.scratch.work.copied_bytes += body.len();
    let passed = Message { reply: reply.as_deref(), header_len, line_tail: None, body: &body, ..*message };
    let taken = deliver_request(courier, request, &asker, &passed);
    courier.scratch.keep_body(body);
    if let Some(reply) = reply.filter(|_| !taken) {
        exporter.answers().forget(&reply);
    }
    taken
}

/// Delivers a request in the account of the exporter, where that maps its subject to.
fn deliver_request<S: Sink>(
    courier: &mut Courier<'_, S>,
    request: &Request,
    asker: &Asker<'_>,
    message: &Message<'_>,
) -> bool {
    let Request { exporter, subject, course, .. } = request;
    match course {
        Course::Settled(targets) => pass_on(courier, targets, Some(asker), &Message { subject, ..*message }),
        Course::Drawn(choice) => {
            let mut drawn = Vec::new();
            choice.apply(subject, courier.rng, &mut drawn);
            let Some(targets) = targets_of_drawn(courier, exporter, &drawn) else { return false };
            pass_on(courier, &targets, Some(asker), &Message { subject: &drawn, ..*message })
        }
    }
}

/// Who gets a request on a subject that was drawn for it; none if no client sent it, which does not come about.
fn targets_of_drawn<S>(
    courier: &mut Courier<'_, S>,
    exporter: &Arc<Account>,
    subject: &[u8],
) -> Option<Targets> {
    let publisher = courier.publisher?;
    let (mut matches, mut stamps) = (Matches::default(), Vec::new());
    let mut finding = Finding::new(&mut matches, courier.hub, publisher, &mut stamps);
    let targets = finding.targets(exporter, subject, courier.depth + 1);
    courier.count(&targets, &matches);
    Some(targets)
}

/// Delivers what is published to the subject of an answer to whoever waits for it, if somebody does.
fn answer<S: Sink>(courier: &mut Courier<'_, S>, account: &Account, message: &Message<'_>) {
    // Two bytes end the line.
    let is_empty = message.body.len() == 2;
    let is_only_traced = courier.trace.as_ref().is_some_and(|trace| trace.is_only());
    let (answers, subject) = (account.answers(), message.subject);
    let awaited = if is_only_traced {
        answers.look_up(subject, courier.now)
    } else {
        answers.take(subject, is_empty, courier.now)
    };
    let Some(awaited) = awaited else { return };
    let Some(asker) = courier.hub.accounts().get(awaited.asker) else { return };
    if courier.note(&asker, subject, &awaited.reply).is_break() {
        return;
    }
    // Who asked may be asked back.
    let reply = message.reply.map(|reply| {
        let (terms, share) = (awaited.terms, awaited.share);
        let awaited = Awaited { asker: account.id(), reply: reply.into(), terms, share };
        wait_for_answer(courier, &asker, awaited)
    });
    let subject = mapped(courier, &asker, awaited.reply);
    let targets = collect(courier, &asker, &subject);
    let mut passed = Message { subject: &subject, reply: reply.as_deref(), line_tail: None, ..*message };
    let mut untraced = Vec::new();
    if courier.trace.is_some() {
        passed.header_len = push_with_headers(&mut untraced, message, None, true);
        passed.body = &untraced;
    }
    if !pass_on(courier, &targets, None, &passed) {
        // Nobody wants more of it.
        account.answers().forget(message.subject);
        reply.iter().for_each(|reply| asker.answers().forget(reply));
    }
}

/// Where an account maps the subject of an answer to.
fn mapped<S>(courier: &mut Courier<'_, S>, account: &Account, subject: Box<[u8]>) -> Box<[u8]> {
    let Some(choice) = account.mappings().find(&subject) else { return subject };
    let mut mapped = Vec::new();
    choice.apply(&subject, courier.rng, &mut mapped);
    mapped.into()
}

impl<S> Courier<'_, S> {
    /// Notes of a traced message that another account has it. It ends here if it is only traced.
    fn note(&mut self, account: &Account, from: &[u8], to: &[u8]) -> ControlFlow<()> {
        match &mut self.trace {
            None => ControlFlow::Continue(()),
            Some(trace) => {
                trace.reach_service(account, from, to);
                if trace.is_only() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        }
    }

    /// Counts what it took to find targets for this message alone, and that they get it.
    fn count(&mut self, targets: &Targets, matches: &Matches) {
        let work = &mut self.scratch.work;
        work.looked_at += matches.looked_at;
        work.listed += targets.listed();
    }

    fn hit_limit(&self, limit: &'static str) {
        let by = "a message goes no further through imports of services";
        self.hub.limit_log().hit(self.now, limit, by);
    }
}

/// Who gets a subject in another account, which is asked for once.
fn collect<S>(courier: &mut Courier<'_, S>, account: &Arc<Account>, subject: &[u8]) -> Targets {
    let publisher = courier.publisher.map(|publisher| &**publisher);
    let lookup = Lookup { account, subject, is_passed_on: true };
    let mut matches = Matches::default();
    let targets = Targets::collect(&mut matches, courier.hub.directory(), publisher, &lookup);
    courier.count(&targets, &matches);
    targets
}

/// Lets an account wait for what `exporter` answers. Returns the subject for that.
fn wait_for_answer<S: Sink>(courier: &mut Courier<'_, S>, exporter: &Account, awaited: Awaited) -> Vec<u8> {
    courier.keeper.await_answers(exporter, courier.rng, courier.sink);
    let (subject, is_any_given_up) = exporter.answers().wait_for(awaited, courier.now, courier.rng);
    if is_any_given_up {
        let by = format_args!("requests of one account for answers of {} are given up", exporter.name());
        courier.hub.limit_log().hit(courier.now, "MAX_AWAITED or MAX_AWAITED_BYTES", by);
    }
    subject
}

/// Delivers a message that comes of another, in another account.
fn pass_on<S: Sink>(
    courier: &mut Courier<'_, S>,
    targets: &Targets,
    asker: Option<&Asker<'_>>,
    message: &Message<'_>,
) -> bool {
    let mut scratch = courier.scratch.inner.take().unwrap_or_default();
    let mut inner = Courier {
        hub: courier.hub,
        now: courier.now,
        publisher: courier.publisher,
        asker,
        depth: courier.depth + 1,
        sink: courier.sink,
        rng: courier.rng,
        scratch: &mut scratch,
        trace: None,
        keeper: courier.keeper,
    };
    let taken = from_client(&mut inner, targets, message);
    let sender = Sender::Client { wants_to_know: None };
    let rest = LongDelivery::of(targets, &mut scratch, courier.rng, courier.publisher, sender, message, None);
    courier.scratch.rests.extend(rest.map(|rest| rest.behind(courier.depth + 1)));
    courier.scratch.work.passed_on += 1;
    courier.scratch.work += scratch.take_work();
    courier.scratch.inner = Some(scratch);
    taken
}

/// Writes the body with a header that says who asks, if it is a request, and one that lets nobody trace it on, if it is traced.
/// Returns how long the headers are.
fn push_with_headers(
    into: &mut Vec<u8>,
    message: &Message<'_>,
    info: Option<&[u8]>,
    is_traced: bool,
) -> usize {
    let (headers, payload) = message.body.split_at(message.header_len);
    let untraced = (TRACE_DESTINATION, DISABLED);
    match (info, is_traced) {
        (Some(info), false) => header::push_with_values(into, headers, &[(REQUEST_INFO, info)]),
        (Some(info), true) => header::push_with_values(into, headers, &[(REQUEST_INFO, info), untraced]),
        (None, _) => header::push_with_values(into, headers, &[untraced]),
    }
    let header_len = into.len();
    into.extend_from_slice(payload);
    header_len
}

/// A message goes through so many accounts, one behind the other, and no further. A valid configuration has no circles; but subjects
/// that wildcards stand for may go round, and answers may be answered.
pub(crate) const MAX_DEPTH: usize = 16;

/// A message is a request for so many services, those included that lie behind others.
pub(crate) const MAX_REQUESTS: usize = 1024;
