//! Messages that are requests to services of other accounts, and the answers that come back (wire.md 1.12).
//!
//! A request is delivered in the account of the exporter as if it had been published there, with a reply subject of that account;
//! what is published to that goes to the reply subject of the requester, in the account of the importer. Each of the two is a
//! message of its own, so that all that holds for messages holds for them: routes, queue groups, further imports.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::request_info::Asker;
use super::targets::{Across, Lookup, Request, Targets};
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
    pub(super) matches: &'a mut Matches,
    pub(super) hub: &'a Hub,
    pub(super) publisher: &'a Entry,
    /// How the indexes of the exporters were before they were asked.
    pub(super) stamps: &'a mut Vec<(Arc<Account>, Stamp)>,
}

impl Finding<'_> {
    /// The services of other accounts that a message is a request for; `depth` is how many imports led here.
    pub(super) fn requests(&mut self, lookup: &Lookup<'_>, depth: usize) -> Vec<Request> {
        let Some(imports) = lookup.account.imports().filter(|_| depth < MAX_DEPTH) else {
            return Vec::new();
        };
        let services = imports.services_of(lookup.subject).into_iter();
        services
            .filter_map(|(import, subject)| self.request(lookup.account, import, subject.into(), depth))
            .collect()
    }

    fn request(
        &mut self,
        importer: &Arc<Account>,
        import: &Arc<ServiceImport>,
        subject: Box<[u8]>,
        depth: usize,
    ) -> Option<Request> {
        let exporter = self.hub.accounts().get(import.exporter)?;
        let (subject, mapped) = match exporter.mappings().find(&subject) {
            None => (subject, None),
            Some(Choice::Fixed(mapped)) => (mapped, None),
            drawn => (subject, drawn),
        };
        let lookup = Lookup { account: &exporter, subject: &subject, is_passed_on: true };
        self.stamps.push((exporter.clone(), exporter.index().stamp(&subject)));
        let directory = self.hub.directory();
        let mut targets = Targets::collect(self.matches, directory, Some(self.publisher), &lookup);
        targets.add_requests(self.requests(&lookup, depth + 1));
        let (import, importer) = (import.clone(), importer.clone());
        Some(Request { import, importer, exporter, subject, mapped, targets })
    }
}

/// Lets other accounts have what is a request to them, or an answer. False if nobody there takes it.
#[inline(never)]
pub(super) fn deliver<S: Sink>(courier: &mut Courier<'_, S>, across: &Across, message: &Message<'_>) -> bool {
    let Across { requests, answerer, .. } = across;
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
    if courier.note(exporter, message.subject, subject).is_break() {
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
    let (body, header_len) = with_headers(message, Some(&info), courier.trace.is_some());
    let passed = Message { reply: reply.as_deref(), header_len, line_tail: None, body: &body, ..*message };
    let taken = deliver_request(courier, request, &asker, &passed);
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
    let Request { exporter, subject, mapped, targets, .. } = request;
    let Some(mapped) = mapped else {
        return pass_on(courier, targets, Some(asker), &Message { subject, ..*message });
    };
    let mut drawn = Vec::new();
    mapped.apply(subject, courier.rng, &mut drawn);
    let targets = collect(courier, exporter, &drawn);
    pass_on(courier, &targets, Some(asker), &Message { subject: &drawn, ..*message })
}

/// Delivers what is published to the subject of an answer to whoever waits for it, if somebody does.
fn answer<S: Sink>(courier: &mut Courier<'_, S>, account: &Account, message: &Message<'_>) {
    // Two bytes end the line.
    let is_empty = message.body.len() == 2;
    let Some(awaited) = account.answers().take(message.subject, is_empty, courier.now) else { return };
    let Some(asker) = courier.hub.accounts().get(awaited.asker) else { return };
    if courier.note(&asker, message.subject, &awaited.reply).is_break() {
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
    let untraced = courier.trace.is_some().then(|| with_headers(message, None, true));
    let (body, header_len) =
        untraced.as_ref().map_or((message.body, message.header_len), |(body, len)| (&**body, *len));
    let passed = Message { subject: &subject, reply: reply.as_deref(), header_len, line_tail: None, body };
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
}

/// Who gets a subject in another account, which is asked for once.
fn collect<S>(courier: &Courier<'_, S>, account: &Arc<Account>, subject: &[u8]) -> Targets {
    let publisher = courier.publisher.map(|publisher| &**publisher);
    let lookup = Lookup { account, subject, is_passed_on: true };
    Targets::collect(&mut Matches::default(), courier.hub.directory(), publisher, &lookup)
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
        sink: courier.sink,
        rng: courier.rng,
        scratch: &mut scratch,
        trace: None,
        keeper: courier.keeper,
    };
    let taken = from_client(&mut inner, targets, message);
    let sender = Sender::Client { wants_to_know: None };
    let rest = LongDelivery::of(targets, &mut scratch, courier.rng, courier.publisher, sender, message, None);
    courier.scratch.rests.extend(rest.map(|rest| *rest));
    courier.scratch.expired += scratch.take_expired();
    courier.scratch.inner = Some(scratch);
    taken
}

/// The body with a header that says who asks, if it is a request, and one that lets nobody trace it on, if it is traced; and how
/// long the headers are.
fn with_headers(message: &Message<'_>, info: Option<&[u8]>, is_traced: bool) -> (Vec<u8>, usize) {
    let (headers, payload) = message.body.split_at(message.header_len);
    let headers = if headers.is_empty() { NO_HEADERS } else { headers };
    let added = info.map(|info| (REQUEST_INFO, info)).into_iter();
    let added = added.chain(is_traced.then_some((TRACE_DESTINATION, DISABLED)));
    let with_all = added.into_iter().try_fold(Cow::Borrowed(headers), |headers, (key, value)| {
        // Headers without an end are none that one could be added to.
        header::with_value(&headers, key, value).map(Cow::Owned)
    });
    let headers = with_all.unwrap_or(Cow::Borrowed(&message.body[..message.header_len]));
    let mut body = Vec::with_capacity(headers.len() + payload.len());
    body.extend_from_slice(&headers);
    let header_len = body.len();
    body.extend_from_slice(payload);
    (body, header_len)
}

/// Headers of which there are none.
const NO_HEADERS: &[u8] = b"NATS/1.0\r\n\r\n";

/// A message goes through so many imports, one behind the other, and no further. A valid configuration has no circles; but subjects
/// that wildcards stand for may go round.
const MAX_DEPTH: usize = 16;
