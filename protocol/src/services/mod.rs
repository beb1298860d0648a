//! What a node answers itself: subscribers that are not sockets.
//!
//! [`Services`] stand in the index of the system account like a client, so that clients of that account and other servers
//! reach them alike, and what they answer goes the way of a client's message. Whoever reads a question only puts it into
//! the hub's mailbox; it is answered by the driver of the node, a part at a time.
//!
//! What it may touch: the node, monitoring, whose pages it sends, and forwarding, which delivers them. Who calls it: the
//! driver that also dials for the node, once for each node.
//!
//! Today it answers which routes this server has, and hears what other servers answer to that (wire.md 10.3): a
//! nats-server tells a newcomer to the members and never the members to a newcomer, so a node that heals asks. It takes
//! requests to read the configuration again, and tells other servers how many clients an account has here.
//!
//! Inside, top down:
//! - here: which questions are answered, when, and how much of that is done at once.
//! - `request`: a question, as it was read.
//! - `answer`: what is said, piece by piece.
//! - `trace`: what a publisher is told of a message that was traced.
//! - `clients`: how many clients accounts have, here and elsewhere.
//! - `reload`: who asked for the configuration to be read again.

mod answer;
mod clients;
mod own;
mod reload;
mod request;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::accounts::Account;
use crate::config::Config;
use crate::forwarding::{self, Courier, LongDelivery, Scratch};
use crate::hub::Letter;
use crate::id::ConnectionId;
use crate::identity::{self, Stream};
use crate::interest::{Matches, Source, Subscription};
use crate::monitor::Listing;
use crate::node::{Node, turn_away};
use crate::outbox::Pressure;
use crate::quote::brief;
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::system::{self, Question};
use crate::wire::{Message, ProtocolError};

use answer::Answer;
use clients::{Clients, Notice, Step};
use reload::Reloads;
use request::{Asker, Request};
use trace::Telling;

/// The services of one node.
#[derive(Debug)]
pub struct Services {
    node: Arc<Node>,
    /// What is being answered. The next question waits until that is done.
    answering: Option<Answer>,
    /// What a publisher is being told of a traced message. What waits behind it waits until that is done.
    telling: Option<Telling>,
    /// An answer that very many are still to get. What is said next waits until that is done.
    delivering: Option<Box<LongDelivery>>,
    /// What is asked by those who have enough to read, and when to look again whether they have.
    deferred: VecDeque<(Instant, Request)>,
    /// What is told of the clients in accounts, and what others told.
    clients: Clients,
    /// Who waits for the configuration to be read again.
    reloads: Reloads,
    /// Who was told the interest of routes in the last second, and when.
    told_interest: BTreeMap<Asker, Instant>,
    /// More waits, and is not to be done before.
    resume_at: Option<Instant>,
    /// How many answers were begun, which are numbered.
    answers: u64,
    /// How many messages were dropped when that was last reported.
    reported_drops: u64,
    rng: Rng,
    scratch: Scratch,
}

impl Services {
    /// The services of a node, which begins to listen for them. To be made before the first connection.
    pub fn new<S: Sink>(node: &Arc<Node>, sink: &mut S) -> Self {
        let id = node.hub().server_id();
        let (own, inbox) = (system::question_to(id), system::inbox_of(id));
        let to_reload = system::reload_of(id);
        let clients_inbox = system::inbox_for_clients(id);
        let clients = [(system::CLIENTS_OF_ALL, CLIENTS), (&clients_inbox, CLIENTS)];
        let clients = clients.into_iter().filter(|_| limits_clients(&node.hub().config()));
        let reload = node.hub().reload().is_offered().then_some((&*to_reload, RELOADS));
        let all = [(system::QUESTION_TO_ALL, ROUTES), (&own, ROUTES), (&inbox, ANSWERS)];
        for (subject, service) in all.into_iter().chain(clients).chain(reload) {
            let id = node.hub().next_subscription();
            let (connection, subject) = (ConnectionId::SERVICES, subject.as_bytes());
            let new = Subscription::new(id, connection, Source::Service, subject, b"", service);
            if let Some(account) = node.hub().system_account() {
                node.subscribe(account, Arc::new(new), sink);
            }
        }
        Self {
            node: node.clone(),
            answering: None,
            telling: None,
            delivering: None,
            deferred: VecDeque::new(),
            clients: Clients::default(),
            reloads: Reloads::default(),
            told_interest: BTreeMap::new(),
            resume_at: None,
            answers: 0,
            reported_drops: 0,
            rng: identity::stream(node.hub().config().seed, Stream::Services),
            scratch: Scratch::default(),
        }
    }

    /// Answers what waits, or a part of it. To be called when [`Node::take_attention`] says so, and when
    /// [`Services::poll_timeout`] is due; harmless otherwise.
    pub fn handle_requests<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        if self.resume_at.is_some_and(|at| now < at) {
            return;
        }
        let mut work = 0;
        while work < WORK_AT_ONCE_BYTES {
            match self.step(now, sink) {
                Some(done) => work += done,
                None => break,
            }
        }
        self.resume_at = (work >= WORK_AT_ONCE_BYTES).then_some(now + PAUSE);
        self.report_drops(now);
    }

    /// When [`Services::handle_requests`] is to be called, whatever else happens. Poll after each call of it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deferred = self.deferred.front().map(|(at, _)| *at);
        let clients = self.clients.poll_timeout(self.node.hub());
        self.resume_at.or_else(|| deferred.into_iter().chain(clients).min())
    }

    /// Does a part of what waits. Returns how much that was, as bytes that are written; none if nothing waits.
    fn step<S: Sink>(&mut self, now: Instant, sink: &mut S) -> Option<usize> {
        if self.delivering.is_some() {
            return Some(self.deliver_on(now, sink));
        }
        if self.answering.is_some() {
            return Some(self.answer_on(now, sink));
        }
        if self.telling.is_some() {
            return Some(self.tell_on(now, sink));
        }
        if self.deferred.front().is_some_and(|(at, _)| *at <= now) {
            let (_, request) = self.deferred.pop_front()?;
            self.answer_or_defer(now, request, sink);
            return Some(LETTER_BYTES);
        }
        let Some(letter) = self.node.hub().mailbox().take_first() else {
            let done = self.begin_telling().or_else(|| self.answer_reload(now, sink));
            return done.or_else(|| self.tell_clients(now, sink));
        };
        match letter.to.sid() {
            ROUTES => self.hear_question(now, letter, sink),
            CLIENTS => return Some(self.hear_clients(&letter, sink)),
            RELOADS => self.hear_reload(now, letter),
            _ => self.hear_answer(now, &letter, sink),
        }
        Some(LETTER_BYTES)
    }

    /// Goes on with the answer that is being given, and gives it if it is whole. Returns how much was done.
    fn answer_on<S: Sink>(&mut self, now: Instant, sink: &mut S) -> usize {
        if let Some(work) = self.answering.as_mut().and_then(|answer| answer.write(&self.node)) {
            return work;
        }
        let Some(answer) = self.answering.take() else { return 0 };
        let (reply, body) = answer.into_message();
        if let Some(account) = self.node.hub().system_account().cloned() {
            self.publish(now, &account, &reply, None, &body, sink);
        }
        body.len()
    }

    /// Begins to tell a publisher where a traced message went. Returns how much was done; none if there is no such message.
    fn begin_telling(&mut self) -> Option<usize> {
        let traced = self.node.hub().traces().take_first()?;
        self.answers += 1;
        self.telling = Some(Telling::new(&self.node, traced, self.answers));
        Some(LETTER_BYTES)
    }

    /// Goes on with what a publisher is told, and tells it if it is whole. Returns how much was done.
    fn tell_on<S: Sink>(&mut self, now: Instant, sink: &mut S) -> usize {
        let Some(telling) = &mut self.telling else { return 0 };
        if let Some(work) = telling.write(self.node.hub()) {
            return work;
        }
        let Some((traced, body)) = self.telling.take().map(Telling::into_message) else { return 0 };
        self.publish(now, &traced.account, &traced.destination, None, &body, sink);
        body.len()
    }

    /// Tells how many clients an account has, or looks for it. Returns how much was done; none if there is nothing to do.
    fn tell_clients<S: Sink>(&mut self, now: Instant, sink: &mut S) -> Option<usize> {
        match self.clients.step(self.node.hub(), now)? {
            Step::Looked => Some(LETTER_BYTES),
            Step::Tell(notice) => Some(self.tell_notice(now, &notice, sink)),
            Step::Ask(account) => {
                self.ask_for_clients(now, &account, sink);
                Some(LETTER_BYTES)
            }
        }
    }

    /// Asks other servers how many clients they have in an account.
    fn ask_for_clients<S: Sink>(&mut self, now: Instant, account: &Account, sink: &mut S) {
        let Some(system) = self.node.hub().system_account().cloned() else { return };
        let subject = system::question_for_clients(account.name());
        let reply = system::inbox_for_clients(self.node.hub().server_id());
        self.publish(now, &system, subject.as_bytes(), Some(reply.as_bytes()), b"\r\n", sink);
    }

    /// Says how many clients an account has, if anybody wants to hear it.
    fn tell_notice<S: Sink>(&mut self, now: Instant, notice: &Notice, sink: &mut S) -> usize {
        let account = self.node.hub().system_account().cloned();
        let is_heard = self.is_read(notice.subject.as_bytes(), sink).is_some();
        let Some(account) = account.filter(|_| is_heard) else { return LETTER_BYTES };
        self.answers += 1;
        let body = notice.body(&self.node, now, self.answers, &mut self.rng);
        self.publish(now, &account, notice.subject.as_bytes(), None, &body, sink);
        body.len()
    }

    /// Hears how many clients another server has in an account, and closes those of this one that are too many. Returns how much
    /// was done.
    fn hear_clients<S: Sink>(&mut self, letter: &Letter, sink: &mut S) -> usize {
        let hub = self.node.hub();
        let Some(teller) = hub.directory().get(letter.from) else { return LETTER_BYTES };
        let excess = self.clients.hear(hub, &teller.about().remote_id, &letter.payload);
        turn_away(&excess, &ProtocolError::MaximumAccountConnections, sink);
        // They were looked for among all clients.
        if excess.is_empty() { LETTER_BYTES } else { WORK_AT_ONCE_BYTES }
    }

    /// Hears that the configuration is to be read again, if it is for this server to do that.
    fn hear_reload(&mut self, now: Instant, letter: Letter) {
        let request = Request::read(letter, self.node.hub().directory());
        let Some(request) = request.filter(|request| self.is_asked(&request.question)) else { return };
        let hub = self.node.hub();
        if !self.reloads.ask(hub, request) {
            hub.limit_log().hit(now, "MAX_RELOADS", "a question to reload the configuration is not answered");
        }
    }

    /// Says what came of reading the configuration again. Returns how much was done; none if nobody is to be answered.
    fn answer_reload<S: Sink>(&mut self, now: Instant, sink: &mut S) -> Option<usize> {
        if self.reloads.is_empty() {
            return None;
        }
        let account = self.node.hub().system_account().cloned()?;
        let (reply, body) = self.reloads.next(&self.node, now, self.answers + 1)?;
        self.answers += 1;
        self.publish(now, &account, &reply, None, &body, sink);
        Some(body.len())
    }

    /// Goes on with what very many are to get. Returns how much was done.
    fn deliver_on<S: Sink>(&mut self, now: Instant, sink: &mut S) -> usize {
        let node = &self.node;
        let delivery = self.delivering.as_mut();
        if delivery.is_none_or(|delivery| delivery.handle_slice(node.hub(), now, sink, &**node)) {
            self.delivering = None;
        }
        WORK_AT_ONCE_BYTES
    }

    /// Hears a question, and says which routes there are if it is for this server.
    fn hear_question<S: Sink>(&mut self, now: Instant, letter: Letter, sink: &mut S) {
        let request = Request::read(letter, self.node.hub().directory());
        if let Some(request) = request.filter(|request| self.is_asked(&request.question)) {
            self.answer_or_defer(now, request, sink);
        }
    }

    /// Hears which routes another server has. Its text is read before the cluster is held, and only if it was asked for.
    fn hear_answer<S: Sink>(&mut self, now: Instant, letter: &Letter, sink: &mut S) {
        let is_awaited = self.node.cluster().is_some_and(|cluster| cluster.awaits_answer(letter.from));
        if is_awaited {
            let neighbours = system::neighbours(&letter.payload);
            self.node.with_cluster(now, sink, |cluster, _| {
                cluster.handle_neighbours(now, letter.from, neighbours)
            });
        }
    }

    /// Whether a question is for this server; one that cannot be read is for everybody.
    fn is_asked(&self, question: &Result<Question, String>) -> bool {
        let hub = self.node.hub();
        let cluster = self.node.cluster_name().unwrap_or_default();
        let config = hub.config();
        let is_for = |question: &Question| {
            question.is_for(hub.server_name(), &cluster, &config.host, &config.server_tags)
        };
        question.as_ref().map_or(true, is_for)
    }

    /// Begins to answer, if one of those who are to get the answer has read what it was sent before. Where there is nobody to
    /// get it, none is given.
    fn answer_or_defer<S: Sink>(&mut self, now: Instant, request: Request, sink: &mut S) {
        match self.is_read(&request.reply, sink) {
            Some(true) => self.begin_answer(now, request),
            Some(false) => self.defer(now, request),
            None => {}
        }
    }

    fn begin_answer(&mut self, now: Instant, request: Request) {
        self.answers += 1;
        let has_interest = request.listing() != Listing::None && self.may_tell_interest(now, &request.asker);
        self.answering = Some(Answer::new(&self.node, now, self.answers, request, has_interest));
    }

    /// Keeps a question for later, if there is room.
    fn defer(&mut self, now: Instant, request: Request) {
        let all = || self.deferred.iter().map(|(_, other)| other);
        let of_one = all().filter(|other| other.asker == request.asker).count();
        let bytes = all().map(|other| other.bytes).sum::<usize>() + request.bytes;
        if all().count() >= MAX_DEFERRED || of_one >= MAX_DEFERRED_OF_ONE || bytes > MAX_DEFERRED_BYTES {
            let by = format_args!("a question of {} for the routes is not answered", brief(&request.asker));
            return self.node.hub().limit_log().hit(now, DEFERRAL_LIMITS, by);
        }
        self.deferred.push_back((now + DEFER_PAUSE, request));
    }

    /// Whether it is time for whoever asks to be told the interest of routes again, of which there may be much.
    fn may_tell_interest(&mut self, now: Instant, asker: &Asker) -> bool {
        self.told_interest.retain(|_, told_at| now.since(*told_at) < INTEREST_INTERVAL);
        let may_tell = !self.told_interest.contains_key(asker);
        if may_tell {
            self.told_interest.insert(asker.clone(), now);
        }
        may_tell
    }

    /// Whether one of those who get what is said on a subject of the system account has read what it was sent before; none if
    /// nobody gets it. Who asked in another account, and hears by an import, is taken for one that has.
    fn is_read<S: Sink>(&self, subject: &[u8], sink: &mut S) -> Option<bool> {
        let mut matches = Matches::default();
        self.node.hub().system_account()?.index().collect(subject, &mut matches);
        let is_passed_on = matches.plain.iter().any(|subscription| subscription.source() == Source::Answers);
        if !matches.crowds.is_empty() || matches.is_cut || is_passed_on {
            // Of so many, one has.
            return Some(true);
        }
        let members = matches.queues.iter().flat_map(|(_, members)| members);
        let directory = self.node.hub().directory();
        let readers = matches
            .plain
            .iter()
            .chain(members)
            .map(|subscription| directory.link_of(subscription.connection()));
        let mut readers = readers.filter(|reader| *reader != ConnectionId::SERVICES).peekable();
        readers.peek()?;
        Some(readers.any(|reader| sink.pressure(reader) == Pressure::Low))
    }

    /// Says something; its body with the end of a line.
    fn publish<S: Sink>(
        &mut self,
        now: Instant,
        account: &Arc<Account>,
        subject: &[u8],
        reply: Option<&[u8]>,
        body: &[u8],
        sink: &mut S,
    ) {
        let message = Message { subject, reply, header_len: 0, line_tail: None, body };
        let node = &self.node;
        let mut courier = Courier {
            hub: node.hub(),
            now,
            publisher: None,
            asker: None,
            depth: 0,
            sink,
            rng: &mut self.rng,
            scratch: &mut self.scratch,
            trace: None,
            keeper: &**node,
        };
        self.delivering = forwarding::from_service(&mut courier, account, &message);
    }

    /// Says that messages were dropped.
    fn report_drops(&mut self, now: Instant) {
        let dropped = self.node.hub().mailbox().dropped();
        if dropped > self.reported_drops {
            self.reported_drops = dropped;
            let by = format_args!("{dropped} requests for this server's own services are dropped so far");
            self.node.hub().limit_log().hit(now, MAILBOX_LIMITS, by);
        }
    }
}

/// The service that says which routes this server has.
const ROUTES: &[u8] = b"routes";

/// The service that hears which routes others have.
const ANSWERS: &[u8] = b"answers";

/// The service that hears how many clients others have.
const CLIENTS: &[u8] = b"clients";

/// The service that lets the configuration be read again.
const RELOADS: &[u8] = b"reload";

/// Whether some account may have only so many clients.
fn limits_clients(config: &Config) -> bool {
    config.accounts.iter().any(|account| account.limits.max_connections.is_some())
}

/// What is dropped has hit one of these.
const MAILBOX_LIMITS: &str =
    "MAX_WAITING_MESSAGES, MAX_WAITING_BYTES, MAX_MESSAGES_OF_ONE or MAX_BYTES_OF_ONE";

/// Nobody is told the interest of routes more often. Who asks again before is answered without.
const INTEREST_INTERVAL: Duration = Duration::from_secs(1);

/// So many questions wait for their readers, as many as the mailbox holds.
const MAX_DEFERRED: usize = 1024;

/// And so many of one asker.
const MAX_DEFERRED_OF_ONE: usize = 256;

/// With so many bytes in all.
const MAX_DEFERRED_BYTES: usize = 1024 * 1024;

/// What is not kept for later has hit one of these.
const DEFERRAL_LIMITS: &str = "MAX_DEFERRED, MAX_DEFERRED_OF_ONE or MAX_DEFERRED_BYTES";

/// After so long it is looked again whether they have.
const DEFER_PAUSE: Duration = Duration::from_millis(100);

/// So much is done at once, in about a millisecond.
const WORK_AT_ONCE_BYTES: usize = 64 * 1024;

/// To hear a message takes as long as to write so much.
const LETTER_BYTES: usize = 2 * 1024;

/// After so long the next part is done. Others have their turn meanwhile.
const PAUSE: Duration = Duration::from_millis(1);
