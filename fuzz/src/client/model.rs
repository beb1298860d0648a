//! What clients may expect: a server made of plain lists, which is told the same.
//!
//! It reads with the parser of the core, which has a target of its own; all that follows from what was read it works out
//! by itself (wire.md 1).

use std::collections::{BTreeMap, VecDeque};

use onehop::ConnectionId;
use onehop::accounts::Accounts;
use onehop::config::{Config, SYSTEM_ACCOUNT};
use onehop::wire::subject::is_valid_publish;
use onehop::wire::{self, Info, Op, Parsed};

use super::session::{Fatal, Session, Sub};
use super::tenants::{EXPORTER, IMPORTER, Tenants};
use crate::stream::{Message, Said};
use crate::subject::matches;

/// What each client was sent in one step.
pub(super) type Heard = BTreeMap<ConnectionId, VecDeque<Said>>;

/// The clients that are connected.
pub(super) struct Model {
    config: Config,
    tenants: Tenants,
    sessions: BTreeMap<ConnectionId, Session>,
    next_sub: u64,
}

/// A subscription that gets a message, by an import or not, under this name.
#[derive(Clone)]
struct Target {
    to: ConnectionId,
    sub: Sub,
    by: usize,
    known_as: Vec<u8>,
}

impl Model {
    pub(super) fn new(config: Config, tenants: Tenants) -> Self {
        Self { config, tenants, sessions: BTreeMap::new(), next_sub: 0 }
    }

    pub(super) fn accept(&mut self, id: ConnectionId) {
        self.sessions.insert(id, Session::new(&self.config));
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.sessions.keys().copied()
    }

    pub(super) fn retain(&mut self, is_open: impl Fn(ConnectionId) -> bool) {
        self.sessions.retain(|id, _| is_open(*id));
    }

    /// A client wrote something. What everybody was sent for it is compared and taken out of `heard`, if that is given.
    pub(super) fn input(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        mut heard: Option<&mut Heard>,
    ) -> Result<(), Fatal> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        session.unread.extend_from_slice(bytes);
        loop {
            let session = self.sessions.get_mut(&id).ok_or(Fatal)?;
            let unread = std::mem::take(&mut session.unread);
            let parsed = session.parser.parse(&session.dialect, &unread).map_err(|_| Fatal)?;
            let consumed = match parsed {
                Parsed::Incomplete { consumed, .. } | Parsed::Op { consumed, .. } => consumed,
            };
            if let Parsed::Op { op, .. } = &parsed {
                self.handle(id, op, &mut heard)?;
            }
            self.sessions.get_mut(&id).ok_or(Fatal)?.unread = unread[consumed..].to_vec();
            if matches!(parsed, Parsed::Incomplete { .. }) {
                return Ok(());
            }
        }
    }

    /// Takes over what the index says of the subscriptions, after a step of which not everything was heard.
    pub(super) fn resync(&mut self, accounts: &Accounts) {
        let mut counts = BTreeMap::new();
        for account in accounts.list() {
            account.index().for_each(&mut |sub| {
                let key = (account.name().to_owned(), sub.connection(), sub.sid().to_vec());
                counts.insert(key, sub.delivered());
            });
        }
        for (id, session) in &mut self.sessions {
            let account = session.account.clone();
            session.subs.retain_mut(|sub| match counts.get(&(account.clone(), *id, sub.sid.clone())) {
                Some(delivered) => {
                    sub.delivered = *delivered;
                    true
                }
                None => false,
            });
        }
    }

    /// The indexes have the same subscriptions, and what these reach elsewhere.
    pub(super) fn assert_agrees(&self, accounts: &Accounts) {
        let mut held = Vec::new();
        for account in accounts.list().iter().filter(|account| account.name() != SYSTEM_ACCOUNT) {
            account.index().for_each(&mut |sub| {
                let (account, queue) = (account.name().to_owned(), sub.queue().unwrap_or_default().to_vec());
                held.push((account, sub.connection(), sub.sid().to_vec(), sub.subject().to_vec(), queue));
            });
        }
        held.sort_unstable();
        let mut expected = Vec::new();
        for (id, sub) in self.all_subs() {
            let account = &self.sessions[&id].account;
            let reached = self.tenants.reached(account, &sub.subject).into_iter();
            let all =
                reached.map(|subject| (EXPORTER, subject)).chain([(account.as_str(), sub.subject.clone())]);
            expected.extend(all.map(|(account, subject)| {
                (account.to_owned(), id, sub.sid.clone(), subject, sub.queue.clone())
            }));
        }
        expected.sort_unstable();
        assert_eq!(held, expected, "the subscriptions of all");
    }

    fn all_subs(&self) -> impl Iterator<Item = (ConnectionId, &Sub)> {
        self.sessions.iter().flat_map(|(id, session)| session.subs.iter().map(|sub| (*id, sub)))
    }

    fn handle(&mut self, id: ConnectionId, op: &Op<'_>, heard: &mut Option<&mut Heard>) -> Result<(), Fatal> {
        let session = self.sessions.get_mut(&id).ok_or(Fatal)?;
        if !matches!(op, Op::Connect(_)) && !session.is_connected && !session.is_anonymous {
            session.begin_anonymous(&self.config);
        }
        let answer = match op {
            Op::Connect(json) => {
                session.handle_connect(json, &self.config)?;
                session.ok()
            }
            Op::Ping => Some(Said::Pong),
            Op::Info(json) if Info::from_json(json).is_err() => return Err(Fatal),
            Op::Err(_) => return Err(Fatal),
            Op::Sub { subject, queue, sid } => {
                self.next_sub += 1;
                let most = if session.account == IMPORTER { self.tenants.max_subscriptions } else { None };
                session.subscribe(self.next_sub, subject, queue.unwrap_or_default(), sid, &self.config, most)
            }
            Op::Unsub { sid, max } => {
                session.unsubscribe(sid, *max);
                session.ok()
            }
            Op::Publish(message) => {
                self.publish(id, message, heard);
                None
            }
            _ => None,
        };
        if let Some(answer) = answer {
            expect(heard, id, &answer);
        }
        Ok(())
    }

    fn publish(&mut self, id: ConnectionId, message: &wire::Message<'_>, heard: &mut Option<&mut Heard>) {
        let connect = &self.sessions[&id].connect;
        if connect.pedantic && !is_valid_publish(message.subject) {
            expect(heard, id, &Said::Err);
        }
        let tenants = self.tenants.clone();
        let subject = tenants.mapped(&self.sessions[&id].account, message.subject);
        self.publish_to(id, &wire::Message { subject, ..*message }, heard);
    }

    /// Publishes a message where its account maps it to.
    fn publish_to(&mut self, id: ConnectionId, message: &wire::Message<'_>, heard: &mut Option<&mut Heard>) {
        let wire::Message { subject, reply, .. } = message;
        let connect = &self.sessions[&id].connect;
        assert!(message.body.len() - 2 <= self.config.max_payload, "a message that is too large");
        let (is_noticed, wants_no_echo, is_verbose) = (connect.no_responders, !connect.echo, connect.verbose);
        let session = self.sessions.get_mut(&id).expect("a publisher");
        let is_forbidden = is_reserved(subject)
            || !session.may_publish(subject) && !session.uses_reply(subject)
            || reply.is_some_and(is_reserved_reply);
        if is_forbidden {
            return expect(heard, id, &Said::Err);
        }
        if is_verbose {
            expect(heard, id, &Said::Ok);
        }
        let targets = self.targets(id, wants_no_echo, subject);
        let is_taken = !targets.is_empty();
        for group in targets.chunk_by(|a, b| a.sub.queue == b.sub.queue) {
            if group[0].sub.queue.is_empty() {
                for target in group.iter().cloned() {
                    // It may have got its last by another import.
                    if self.has(&target) {
                        expect(heard, target.to, &self.expected(&target, message));
                        self.count(target.to, &target.sub.sid, *reply);
                    }
                }
            } else if let Some(heard) = heard {
                // Whoever it was, it was one.
                let is_next = |target: &&Target| {
                    let next = heard.get(&target.to).and_then(VecDeque::front);
                    next == Some(&self.expected(target, message))
                };
                let chosen = group.iter().find(is_next).expect("a member gets the message").clone();
                heard.entry(chosen.to).or_default().pop_front();
                self.count(chosen.to, &chosen.sub.sid, *reply);
            }
        }
        if let Some(reply) = reply.filter(|_| is_noticed && !is_taken) {
            self.expect_notice(id, subject, reply, heard);
        }
    }

    /// Who gets a subject that a client publishes, group by group, in each those first who subscribed first.
    fn targets(&self, id: ConnectionId, wants_no_echo: bool, subject: &[u8]) -> Vec<Target> {
        let published_in = &self.sessions[&id].account;
        let mut targets = Vec::new();
        for (to, sub) in self.all_subs().filter(|(to, _)| !(wants_no_echo && *to == id)) {
            let account = &self.sessions[&to].account;
            let own = (account == published_in).then(|| (0, subject.to_vec()));
            let imported = self.tenants.heard_as(published_in, account, subject).into_iter();
            for (by, known_as) in own.into_iter().chain(imported.map(|(by, known_as)| (1 + by, known_as))) {
                if matches(&sub.subject, &known_as) && !self.sessions[&to].is_hidden(&known_as) {
                    targets.push(Target { to, sub: sub.clone(), by, known_as });
                }
            }
        }
        targets.sort_by_key(|target| (target.sub.queue.clone(), target.sub.number, target.by));
        targets
    }

    /// Whether a subscription is still there.
    fn has(&self, target: &Target) -> bool {
        let session = self.sessions.get(&target.to);
        session.is_some_and(|session| session.subs.iter().any(|sub| sub.number == target.sub.number))
    }

    fn expected(&self, target: &Target, message: &wire::Message<'_>) -> Said {
        let known = wire::Message { subject: &target.known_as, ..*message };
        Said::Message(self.as_sent(target.to, &target.sub.sid, &known))
    }

    /// A requester is told that nobody is there (wire.md 1.6), if it listens.
    fn expect_notice(&self, id: ConnectionId, subject: &[u8], reply: &[u8], heard: &mut Option<&mut Heard>) {
        let subs = self.sessions[&id].subs.iter();
        let own = subs.filter(|sub| sub.queue.is_empty() && matches(&sub.subject, reply));
        let Some(own) = own.min_by_key(|sub| sub.number) else { return };
        let body = [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat();
        let message = Message {
            sid: own.sid.clone(),
            subject: reply.to_vec(),
            reply: None,
            header_len: body.len(),
            body,
        };
        expect(heard, id, &Said::Message(message));
    }

    /// The message as this client is sent it: without headers if it does not know them.
    fn as_sent(&self, to: ConnectionId, sid: &[u8], message: &wire::Message<'_>) -> Message {
        let has_headers = self.sessions[&to].connect.headers;
        let from = if has_headers { 0 } else { message.header_len };
        Message {
            sid: sid.to_vec(),
            subject: message.subject.to_vec(),
            reply: message.reply.map(<[u8]>::to_vec),
            header_len: message.header_len - from,
            body: message.body[from..message.body.len() - 2].to_vec(),
        }
    }

    /// Counts a delivery, which may have been the last, and may be a request.
    fn count(&mut self, to: ConnectionId, sid: &[u8], reply: Option<&[u8]>) {
        let Some(session) = self.sessions.get_mut(&to) else { return };
        if let Some(reply) = reply {
            session.is_asked(reply);
        }
        session.subs.retain_mut(|sub| {
            sub.delivered += u64::from(sub.sid == sid);
            sub.max.is_none_or(|max| sub.delivered < max)
        });
    }
}

/// Asserts that this is the next that the client was sent.
#[track_caller]
fn expect(heard: &mut Option<&mut Heard>, to: ConnectionId, expected: &Said) {
    if let Some(heard) = heard {
        let said = heard.entry(to).or_default().pop_front();
        assert_eq!(said.as_ref(), Some(expected), "what {to:?} is sent");
    }
}

/// Whether clients may not publish to a subject (wire.md 1.5).
fn is_reserved(subject: &[u8]) -> bool {
    [&b"_GR_."[..], b"$GR.", b"$NRG."].iter().any(|start| begins(subject, start))
}

/// Whether clients may not be answered to a subject.
fn is_reserved_reply(reply: &[u8]) -> bool {
    reply.starts_with(b"_R_.") || [&b"_GR_."[..], b"$JS.ACK."].iter().any(|start| begins(reply, start))
}

fn begins(text: &[u8], start: &[u8]) -> bool {
    text.len() > start.len() && text.starts_with(start)
}
