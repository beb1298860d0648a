//! The client protocol (wire.md 1).

use std::sync::Arc;
use std::time::Duration;

use log::Level;

use super::chore::{Chore, Removal};
use super::context::Context;
use super::effect::{Question, Verdict};
use super::turn;
use crate::accounts::{Account, Seat};
use crate::auth::{Arrival, Finding, Known};
use crate::close::CloseReason;
use crate::forwarding::{self, Cache, Courier, LongDelivery, Mapped, Sender, Trace};
use crate::hub::{About, Entry, Flag, Hub, Kind};
use crate::interest::{Source, Subscription};
use crate::nkey::UserKey;
use crate::permissions::Permissions;
use crate::quote::{QuotedInLog, REDACTED};
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::{self, Connect, Info, Message, Op, ProtocolError};

/// A client.
#[derive(Debug)]
pub(super) enum Client {
    /// It was told nothing yet.
    Arrived,
    /// It must present itself before anything else.
    Greeted,
    /// It may publish and subscribe.
    Session(Box<Session>),
}

/// A client that may publish and subscribe. Made by a valid CONNECT, or at once where none is needed.
#[derive(Debug)]
pub(super) struct Session {
    account: Arc<Account>,
    /// What it may do; none is everything.
    permissions: Option<Arc<Permissions>>,
    cache: Cache,
    /// Where what it publishes goes instead; none if its account maps nothing.
    mapped: Option<Box<Mapped>>,
    verbose: bool,
    pedantic: bool,
    no_responders: bool,
    /// It declared protocol 1: it takes INFO at any time.
    async_info: bool,
    connected: bool,
    first_ping_answered: bool,
    /// It began without a CONNECT as the user who presents nothing, as if it had sent one.
    is_anonymous: bool,
    /// Some of what it subscribed to reached other accounts.
    reaches_others: bool,
}

impl Client {
    /// One that just connected.
    pub(super) fn new(hub: &Hub) -> Self {
        hub.totals().connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self::Arrived
    }

    /// Tells a client where it is, or turns it away if there are too many. Where one is that may come by way of a proxy is not
    /// known yet.
    pub(super) fn greet<S: Sink>(&mut self, context: &mut Context<'_, S>, may_come_by_proxy: bool) {
        *self = Self::Greeted;
        let mut info = context.node().greeting(context.entry());
        if may_come_by_proxy {
            info.client_ip.clear();
        }
        context.send(&info.to_line());
        if context.hub().directory().count(Kind::Client) > context.config().max_connections {
            context.report(&ProtocolError::MaximumConnections);
        }
    }

    /// What it says from now on are operations: greets it, if nobody did, and lets it in, if it need not present itself.
    pub(super) fn handle_open<S: Sink>(&mut self, context: &mut Context<'_, S>, may_come_by_proxy: bool) {
        if matches!(self, Self::Arrived) {
            self.greet(context, may_come_by_proxy);
        }
        if context.shared.close.is_some() {
            return;
        }
        if context.hub().guard().requires_authorization() {
            context.shared.auth_deadline = Some(context.now + context.config().auth_timeout);
        } else {
            *self = Self::begin(context);
        }
    }

    /// Lets in a client that does without a CONNECT, if there is a user for that.
    #[cold]
    fn begin_anonymous<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        let Some(user) = context.hub().guard().anonymous() else {
            return authorization_violation(context);
        };
        if let Err(error) = admit(context, &user) {
            return context.report(&error);
        }
        context.shared.auth_deadline = None;
        context.shared.limit_payload();
        *self = Self::begin(context);
        if let Self::Session(session) = self {
            session.is_anonymous = true;
        }
    }

    /// Lets a client into its account. If that was removed meanwhile, the client goes as those go that were in it.
    fn begin<S: Sink>(context: &mut Context<'_, S>) -> Self {
        match context.hub().account_of(context.entry()) {
            Some(account) => {
                let permissions = context.entry().permissions();
                Self::Session(Box::new(Session::new(context.hub(), account, permissions)))
            }
            None => {
                context.close(CloseReason::ClientClosed);
                Self::Greeted
            }
        }
    }

    pub(super) fn handle<S: Sink>(&mut self, context: &mut Context<'_, S>, op: &Op<'_>) {
        if matches!(self, Self::Greeted) && !matches!(op, Op::Connect(_)) {
            // Where a CONNECT is needed the parser lets nothing else through before.
            self.begin_anonymous(context);
        }
        match (&mut *self, op) {
            (_, Op::Connect(json)) => self.handle_connect(context, json),
            (Self::Session(session), _) => session.handle(context, op),
            // It was refused, or has said nothing that would be an operation.
            (Self::Arrived | Self::Greeted, _) => {}
        }
    }

    /// Frees what only an active publisher needs.
    pub(super) fn handle_idle(&mut self) {
        if let Self::Session(session) = self {
            session.cache.clear();
            if let Some(mapped) = &mut session.mapped {
                mapped.clear();
            }
        }
    }

    /// Returns what is to be removed.
    pub(super) fn handle_closed<S: Sink>(&mut self, context: &mut Context<'_, S>) -> Removal {
        if let Some(reason) = context.shared.close {
            context.log_closed(reason);
        }
        match self {
            Self::Session(session) => session.removal(context),
            Self::Arrived | Self::Greeted => Removal::nothing(&context.shared.node),
        }
    }

    fn handle_connect<S: Sink>(&mut self, context: &mut Context<'_, S>, json: &[u8]) {
        context.shared.is_active = true;
        let earlier = match self {
            Self::Session(session) if session.connected => Some(session.as_connect(context)),
            _ => None,
        };
        let connect = match &earlier {
            Some(earlier) => earlier.updated_by(json),
            None => Connect::from_json(json),
        };
        let connect = match connect {
            Ok(connect) => connect,
            Err(fault) => {
                context.log(Level::Error, format_args!("invalid CONNECT: {fault}"));
                return context.handle_error(&ProtocolError::InvalidJson);
            }
        };
        introduce(context, &connect);
        if let Self::Session(session) = &mut *self
            && (session.connected || session.is_anonymous)
        {
            // Since 2.14 a second CONNECT drops what was subscribed to.
            let removal = session.removal(context);
            context.begin_chore(Chore::Remove(removal));
        }
        if !connect.account.is_empty() || connect.new_account {
            return refuse(context, &connect);
        }
        // Credentials that a further CONNECT does not name are those that were good before.
        let stays_authorized = earlier.is_some() && !names_credentials(&connect);
        if stays_authorized {
            return self.accept(context, &connect);
        }
        let finding = {
            let entry = context.entry();
            let by_websocket = entry.has(Flag::WebSocket);
            let arrival = Arrival { by_websocket, certificate: context.certificate() };
            context.hub().guard().judge(&connect, entry.cid(), arrival)
        };
        match finding {
            Finding::Accepted(user) => self.accept_as(context, &connect, user),
            Finding::Refused => refuse(context, &connect),
            Finding::AskProgram => context.ask_who_it_is(connect),
            Finding::CheckPassword(check, user) => context.check_password(connect, check, user),
        }
    }

    /// Hears whether the password of a client is right.
    pub(super) fn handle_password<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        question: Question,
        is_right: bool,
    ) {
        let Question { connect, user, .. } = question;
        if is_right { self.accept_as(context, &connect, user) } else { refuse(context, &connect) }
    }

    /// Hears whether a client may come in that somebody else was asked about.
    pub(super) fn handle_verdict<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        connect: &Connect,
        verdict: &Verdict,
    ) {
        let account = match verdict {
            Verdict::Accepted { account } => context.hub().accounts().find(account.as_bytes()),
            Verdict::Refused => None,
        };
        match account.map(|account| enter(context, &account)) {
            Some(Ok(())) => {
                context.name_client_as_it_does(connect);
                self.accept(context, connect);
            }
            Some(Err(error)) => context.report(&error),
            None => refuse(context, connect),
        }
    }

    /// Lets in a client that is this user, or that there are no users to be one of.
    fn accept_as<S: Sink>(&mut self, context: &mut Context<'_, S>, connect: &Connect, user: Option<Known>) {
        match user.as_ref().map_or(Ok(()), |user| admit(context, user)) {
            Ok(()) => {
                match user.and_then(|user| user.label) {
                    Some(label) => context.name_client(&label),
                    None => context.name_client_as_it_does(connect),
                }
                self.accept(context, connect);
            }
            Err(ProtocolError::Authorization) => refuse(context, connect),
            Err(error) => context.report(&error),
        }
    }

    /// Opens the session of a client whose credentials are good, or changes it.
    fn accept<S: Sink>(&mut self, context: &mut Context<'_, S>, connect: &Connect) {
        if !matches!(connect.protocol, 0 | 1) {
            return context.handle_error(&ProtocolError::ClientProtocol);
        }
        let headers = connect.headers && !context.config().no_header_support;
        if connect.no_responders && !headers {
            return context.handle_error(&ProtocolError::NoRespondersWithoutHeaders);
        }
        if matches!(self, Self::Greeted) {
            *self = Self::begin(context);
        }
        if let Self::Session(session) = self {
            session.begin(context, connect, headers);
        }
    }
}

impl Session {
    fn new(hub: &Hub, account: Arc<Account>, permissions: Option<Arc<Permissions>>) -> Self {
        Self {
            mapped: Mapped::new(&account, hub.hasher()),
            account,
            permissions,
            cache: Cache::new(hub.hasher()),
            // What holds for a client that sends no CONNECT.
            verbose: true,
            pedantic: true,
            no_responders: false,
            async_info: false,
            connected: false,
            first_ping_answered: false,
            is_anonymous: false,
            reaches_others: false,
        }
    }

    /// What the last CONNECT said, apart from credentials.
    fn as_connect<S: Sink>(&self, context: &Context<'_, S>) -> Connect {
        let entry = context.entry();
        let About { name, lang, version, .. } = entry.about();
        Connect {
            verbose: self.verbose,
            pedantic: self.pedantic,
            echo: !entry.has(Flag::NoEcho),
            headers: entry.has(Flag::Headers),
            no_responders: self.no_responders,
            protocol: i64::from(self.async_info),
            name,
            lang,
            version,
            ..Connect::default()
        }
    }

    /// Applies a valid CONNECT.
    fn begin<S: Sink>(&mut self, context: &mut Context<'_, S>, connect: &Connect, headers: bool) {
        match context.hub().account_of(context.entry()) {
            Some(account) => self.account = account,
            // It was removed meanwhile.
            None => return context.close(CloseReason::ClientClosed),
        }
        self.permissions = context.entry().permissions();
        let shared = &mut *context.shared;
        shared.auth_deadline = None;
        shared.dialect.connect_only = false;
        shared.dialect.headers = headers;
        shared.limit_payload();
        if shared.entry.has(Flag::Headers) != headers {
            shared.entry.set(Flag::Headers, headers);
            // It may have subscribed before its CONNECT, and others remember it as it was then.
            if shared.entry.subscriptions().len() > 0 {
                shared.node.outdate(&self.account, self.reaches_others);
            }
        }
        shared.entry.set(Flag::NoEcho, !connect.echo);
        shared.keepalive.begin(context.now, FIRST_PING_AFTER, &mut shared.rng);
        self.verbose = connect.verbose;
        self.pedantic = connect.pedantic;
        self.no_responders = connect.no_responders;
        self.async_info = connect.protocol >= 1;
        let is_first = !std::mem::replace(&mut self.connected, true);
        // What is remembered was made for other settings of echo.
        self.cache.clear();
        self.mapped = Mapped::new(&self.account, context.hub().hasher());
        self.ok(context);
        if is_first {
            context.rehearse_input();
            context.rehearse_output();
        }
    }

    #[inline]
    fn handle<S: Sink>(&mut self, context: &mut Context<'_, S>, op: &Op<'_>) {
        match op {
            Op::Publish(message) => self.publish(context, message),
            Op::Sub { subject, queue, sid } => {
                self.subscribe(context, subject, queue.unwrap_or_default(), sid)
            }
            Op::Unsub { sid, max } => self.unsubscribe(context, sid, *max),
            Op::Ping => self.handle_ping(context),
            Op::Pong => context.handle_pong(),
            // Of no interest, but it must be one.
            Op::Info(json) if Info::from_json(json).is_err() => context.close(CloseReason::ParseError),
            Op::Err(text) => {
                context.log_told("Client Error", text);
                context.handle_error(&ProtocolError::Told);
            }
            // The rest does not come from clients, or is of no interest when it does.
            _ => {}
        }
    }

    fn ok<S: Sink>(&self, context: &mut Context<'_, S>) {
        if self.verbose {
            context.send(wire::encode::OK);
        }
    }

    fn handle_ping<S: Sink>(&mut self, context: &mut Context<'_, S>) {
        context.handle_ping();
        if self.connected && !self.first_ping_answered {
            self.first_ping_answered = true;
            if self.async_info {
                context.shared.node.begin_async_info(&context.shared.entry, &self.account, context.sink);
            }
        }
    }

    #[inline]
    fn publish<S: Sink>(&mut self, context: &mut Context<'_, S>, message: &Message<'_>) {
        let shared = &mut *context.shared;
        shared.received.0 += 1;
        shared.received.1 += message.body.len() as u64 - 2;
        shared.keepalive.handle_activity(context.now);
        if self.pedantic && !wire::subject::is_valid_publish(message.subject) {
            context.handle_error(&ProtocolError::InvalidPublishSubject);
        }
        if self.mapped.is_none() {
            self.publish_to(context, message, None)
        } else {
            self.publish_mapped(context, message)
        }
    }

    /// Publishes a message where the account maps its subject to.
    #[inline(never)]
    fn publish_mapped<S: Sink>(&mut self, context: &mut Context<'_, S>, message: &Message<'_>) {
        let Some(mut mapped) = self.mapped.take() else { return };
        match mapped.destination(message.subject, &mut context.shared.rng) {
            None => self.publish_to(context, message, None),
            Some(subject) => {
                context.trace_mapped(message.subject, subject);
                self.publish_to(context, &Message { subject, ..*message }, Some(message));
            }
        }
        self.mapped = Some(mapped);
    }

    /// Publishes a message, which was `sent` so if it was mapped.
    #[inline(always)]
    fn publish_to<S: Sink>(
        &mut self,
        context: &mut Context<'_, S>,
        message: &Message<'_>,
        sent: Option<&Message<'_>>,
    ) {
        let shared = &mut *context.shared;
        let (targets, is_allowed) =
            self.cache.targets(shared.node.hub(), &self.account, &shared.entry, message.subject);
        // Nearly every message is told apart by its first bytes.
        let is_suspicious = is_suspicious(message.subject) || message.reply.is_some_and(is_suspicious);
        if (is_suspicious || !is_allowed)
            && let Err(error) = may_publish(&shared.entry, context.now, message, is_allowed)
        {
            return context.report(&error);
        }
        if self.verbose {
            // Before the message itself, should the client hear it back.
            context.send(wire::encode::OK);
        }
        let traced = sent.unwrap_or(message);
        let mut trace = Trace::of(traced, &self.account, &context.shared.entry, context.now);
        if let Some(trace) = &mut trace {
            sent.into_iter().for_each(|_| trace.note_mapped(message.subject));
            check_destination(context, trace);
        }
        let shared = &mut *context.shared;
        let node = &shared.node;
        let mut courier = Courier {
            hub: node.hub(),
            now: context.now,
            publisher: Some(&shared.entry),
            asker: None,
            depth: 0,
            sink: context.sink,
            rng: &mut shared.rng,
            scratch: &mut shared.scratch,
            trace: trace.as_deref_mut(),
            keeper: &**node,
        };
        let taken = forwarding::from_client(&mut courier, targets, message);
        shared.spend(turn::deliveries(targets.listed(), message.body.len(), context.sink.staged_for()));
        if shared.scratch.has_work() {
            shared.spend_beside(context.sink.staged_for());
        }
        let (scratch, rng) = (&mut shared.scratch, &mut shared.rng);
        let sender = Sender::Client { wants_to_know: self.no_responders.then_some(&self.account) };
        let rest =
            LongDelivery::of(targets, scratch, rng, Some(&shared.entry), sender, message, trace.as_deref());
        if let Some(rest) = rest {
            context.begin_chore(Chore::Deliver(rest));
        }
        context.shared.spend(turn::look_up(self.cache.take_looked_at()));
        if let Some(trace) = trace {
            context.tell_trace(trace);
        }
        if !taken && self.no_responders {
            forwarding::no_responders(context.sink, &self.account, context.shared.entry.id(), message);
        }
    }

    fn subscribe<S: Sink>(&mut self, context: &mut Context<'_, S>, subject: &[u8], queue: &[u8], sid: &[u8]) {
        context.shared.keepalive.handle_activity(context.now);
        context.shared.is_active = true;
        if let Err(error) =
            self.may_subscribe(subject, queue).and_then(|()| self.may_hold_another(context, subject))
        {
            return context.refuse_subscription(&error, sid);
        }
        // A name that is taken keeps its old subscription, whatever the new one would be (wire.md 1.4).
        let known = context.entry().subscriptions().get(sid).cloned();
        match known {
            Some(known) if known.is_spent() => {
                let extent = context.shared.node.expire(&self.account, &known, context.sink);
                context.shared.spend(turn::change(extent));
            }
            Some(_) => return self.ok(context),
            None => {}
        }
        if !wire::subject::is_valid_filter(subject) {
            return context.report(&ProtocolError::InvalidSubject);
        }
        let shared = &*context.shared;
        let id = shared.node.hub().next_subscription_in(&self.account);
        let subscription =
            Arc::new(Subscription::new(id, shared.entry.id(), Source::Client, subject, queue, sid));
        shared.entry.subscriptions().insert(subscription.clone());
        let extent = shared.node.subscribe(&self.account, subscription, context.sink);
        self.reaches_others |= extent.indexes > 1;
        context.shared.spend(turn::change(extent));
        self.ok(context);
    }

    /// Whether the client may have this subscription at all. What is asked for need not be a subject to be forbidden.
    fn may_subscribe(&self, subject: &[u8], queue: &[u8]) -> Result<(), ProtocolError> {
        let queue = Some(queue).filter(|queue| !queue.is_empty());
        let is_allowed = self.permissions.as_ref().is_none_or(|own| own.may_subscribe(subject, queue));
        match queue {
            Some(queue) if !is_allowed || queue == RESERVED_QUEUE => {
                Err(ProtocolError::QueuePermission { subject: text(subject), queue: text(queue) })
            }
            None if !is_allowed => Err(ProtocolError::SubscribePermission { subject: text(subject) }),
            _ => Ok(()),
        }
    }

    /// Whether one more subscription keeps within the limits.
    fn may_hold_another<S: Sink>(
        &self,
        context: &Context<'_, S>,
        subject: &[u8],
    ) -> Result<(), ProtocolError> {
        let config = context.config();
        let of_node = Some(config.max_subscriptions).filter(|most| *most > 0);
        let most = of_node.into_iter().chain(self.account.limits().max_subscriptions).min();
        if config.max_subject_tokens > 0
            && wire::subject::tokens(subject).count() > usize::from(config.max_subject_tokens)
        {
            return Err(ProtocolError::TooManyTokens { subject: text(subject) });
        }
        if most.is_some_and(|most| context.entry().subscriptions().len() >= most) {
            return Err(ProtocolError::MaximumSubscriptions);
        }
        Ok(())
    }

    fn unsubscribe<S: Sink>(&mut self, context: &mut Context<'_, S>, sid: &[u8], max: Option<u64>) {
        context.shared.keepalive.handle_activity(context.now);
        context.shared.is_active = true;
        if let Some(ended) = self.end_subscription(context, sid, max) {
            let extent = context.shared.node.unsubscribe(&self.account, &ended, context.sink);
            context.shared.spend(turn::change(extent));
        }
        self.ok(context);
    }

    /// Takes a subscription that ends out of the client's, or sets when it will end.
    fn end_subscription<S: Sink>(
        &self,
        context: &Context<'_, S>,
        sid: &[u8],
        max: Option<u64>,
    ) -> Option<Arc<Subscription>> {
        let mut held = context.entry().subscriptions();
        let subscription = held.get(sid)?;
        let stays = max.is_some_and(|max| max > 0 && subscription.set_max(max));
        if stays { None } else { held.remove(sid) }
    }

    /// What it subscribed to, to be removed.
    fn removal<S: Sink>(&mut self, context: &Context<'_, S>) -> Removal {
        let reaches_others = std::mem::take(&mut self.reaches_others);
        Removal::of_client(&context.shared.node, &self.account, &context.shared.entry, reaches_others)
    }
}

/// Complains of a trace that cannot be told to whom it names.
#[cold]
fn check_destination<S: Sink>(context: &mut Context<'_, S>, trace: &Trace) {
    if let Some(destination) = trace.invalid_destination() {
        let shown = QuotedInLog(destination);
        let text = format_args!("Destination {shown} is not valid, won't be able to trace events");
        context.log(Level::Error, text);
    }
}

/// Notes what a client says of itself, for monitoring: also of one that is turned away for it.
fn introduce<S: Sink>(context: &Context<'_, S>, connect: &Connect) {
    let entry = context.entry();
    if entry.rtt().is_zero() {
        // What CONNECT took to come is the first that is known of the round trip.
        entry.set_rtt(context.now.since(entry.start()));
    }
    // Who names no credentials stays who it was.
    let user = if names_credentials(connect) { shown_user(connect) } else { entry.about().user };
    entry.set_about(About {
        name: connect.name.clone(),
        lang: connect.lang.clone(),
        version: connect.version.clone(),
        user,
        ..About::default()
    });
}

/// Who a client says that it is, without what is secret.
fn shown_user(connect: &Connect) -> Option<String> {
    // What is no key of a user may be the secret half of one.
    let key = connect.nkey.parse::<UserKey>().ok().map(|key| key.to_string());
    key.or_else(|| match (connect.user.as_str(), connect.auth_token.as_str()) {
        ("", "") => None,
        ("", _) => Some(REDACTED.to_owned()),
        (user, _) => Some(user.to_owned()),
    })
}

fn names_credentials(connect: &Connect) -> bool {
    let Connect { user, pass, auth_token, nkey, .. } = connect;
    [user, pass, auth_token, nkey].iter().any(|credential| !credential.is_empty())
}

/// Makes a client the user that it is, unless the user's account is gone or full.
fn admit<S: Sink>(context: &mut Context<'_, S>, user: &Known) -> Result<(), ProtocolError> {
    let account = context.hub().accounts().find(user.account.as_bytes());
    let account = account.ok_or(ProtocolError::Authorization)?;
    context.entry().set_permissions(user.permissions.clone());
    let about = context.entry().about();
    if about.user.is_none() {
        // It need not name itself.
        context.entry().set_about(About { user: user.name().map(str::to_owned), ..about });
    }
    enter(context, &account)
}

/// Gives a client a place in this account instead of the one that it has, unless that is full.
fn enter<S: Sink>(context: &mut Context<'_, S>, account: &Arc<Account>) -> Result<(), ProtocolError> {
    context.entry().set_account(account.id());
    if context.shared.seat.as_ref().is_none_or(|seat| seat.account() != account.id()) {
        sit(context, Seat::take(account));
    }
    let is_in = context.shared.seat.is_some();
    is_in.then_some(()).ok_or(ProtocolError::MaximumAccountConnections)
}

/// Gives a client this place instead of the one that it has.
fn sit<S: Sink>(context: &mut Context<'_, S>, seat: Option<Seat>) {
    let accounts = [context.shared.seat.as_ref(), seat.as_ref()].map(|seat| seat.map(Seat::account));
    context.shared.seat = seat;
    accounts.into_iter().flatten().for_each(|account| context.hub().note_clients(account));
}

/// Sends away a client that may not come in.
fn refuse<S: Sink>(context: &mut Context<'_, S>, connect: &Connect) {
    context.log_refused(connect);
    authorization_violation(context);
}

fn authorization_violation<S: Sink>(context: &mut Context<'_, S>) {
    context.handle_error(&ProtocolError::Authorization);
}

/// Whether a client may publish this: if its user may not, it may still be an answer. Some subjects and replies are for servers
/// only (wire.md 1.5).
#[inline(never)]
fn may_publish(
    client: &Entry,
    now: Instant,
    message: &Message<'_>,
    is_allowed: bool,
) -> Result<(), ProtocolError> {
    let Message { subject, reply, .. } = *message;
    let is_reserved = begins(subject, &["_GR_.", "$GR.", "$NRG."]);
    if is_reserved || !is_allowed && !client.takes_for_answer(subject, now) {
        return Err(ProtocolError::PublishPermission { subject: text(subject) });
    }
    let is_reserved = |reply: &&[u8]| reply.starts_with(b"_R_.") || begins(reply, &["_GR_.", "$JS.ACK."]);
    match reply.filter(is_reserved) {
        Some(reply) => Err(ProtocolError::ReplyPermission { reply: text(reply) }),
        None => Ok(()),
    }
}

/// Whether it may be one that is for servers only.
#[inline]
fn is_suspicious(subject: &[u8]) -> bool {
    matches!(subject.first(), Some(b'_' | b'$'))
}

/// A name as an error quotes it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether something follows one of these beginnings.
fn begins(subject: &[u8], with: &[&str]) -> bool {
    with.iter().any(|start| subject.len() > start.len() && subject.starts_with(start.as_bytes()))
}

/// The queue group that servers use among themselves.
const RESERVED_QUEUE: &[u8] = b"_sys_";

/// The first PING to a client comes so soon after CONNECT (wire.md 1.9).
const FIRST_PING_AFTER: Duration = Duration::from_secs(2);
