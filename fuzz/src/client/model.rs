//! What clients may expect: a server made of plain lists, which is told the same.
//!
//! It reads with the parser of the core, which has a target of its own; all that follows from what was read it works out
//! by itself (wire.md 1).

use std::collections::{BTreeMap, VecDeque};

use onehop::ConnectionId;
use onehop::accounts::Accounts;
use onehop::config::{
    Authorization, Config, Identity, Permissions, Rules, SYSTEM_ACCOUNT, SubjectRule, User,
};
use onehop::wire::subject::{is_valid_filter, is_valid_publish, tokens};
use onehop::wire::{self, Connect, Dialect, Info, Op, Parsed, Parser, Role};

use super::tenants::{EXPORTER, IMPORTER, Tenants, account_of};
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

struct Session {
    dialect: Dialect,
    parser: Parser,
    unread: Vec<u8>,
    /// What holds for the client: from its last CONNECT, or what holds without one.
    connect: Connect,
    is_connected: bool,
    /// It went without a CONNECT, as the user for that.
    is_anonymous: bool,
    /// The account of its user.
    account: String,
    /// What its user may do; none is everything.
    permissions: Option<Permissions>,
    /// What it was asked to answer to and may not publish to otherwise, and how often it did or was asked again.
    replies: Vec<(Vec<u8>, u32)>,
    subs: Vec<Sub>,
}

#[derive(Clone, PartialEq)]
struct Sub {
    /// Grows from one to the next, whoever subscribes.
    number: u64,
    sid: Vec<u8>,
    subject: Vec<u8>,
    /// Empty unless it is a member of a group.
    queue: Vec<u8>,
    max: Option<u64>,
    delivered: u64,
}

/// A subscription that gets a message, by an import or not, under this name.
#[derive(Clone)]
struct Target {
    to: ConnectionId,
    sub: Sub,
    by: usize,
    known_as: Vec<u8>,
}

/// The client did what ends its connection.
#[derive(Debug)]
pub(super) struct Fatal;

impl Model {
    pub(super) fn new(config: Config, tenants: Tenants) -> Self {
        Self { config, tenants, sessions: BTreeMap::new(), next_sub: 0 }
    }

    pub(super) fn accept(&mut self, id: ConnectionId) {
        let dialect = Dialect {
            role: Role::Client,
            max_control_line: self.config.max_control_line,
            max_payload: Some(self.config.max_payload),
            connect_only: self.config.authorization != Authorization::None
                && self.config.no_auth_user.is_none(),
            headers: false,
            dedicated: false,
            leaf_unsub_origin: false,
        };
        let session = Session {
            dialect,
            parser: Parser::new(),
            unread: Vec::new(),
            connect: Connect { verbose: true, pedantic: true, echo: true, ..Connect::default() },
            is_connected: false,
            is_anonymous: false,
            account: account_of(None).to_owned(),
            permissions: None,
            replies: Vec::new(),
            subs: Vec::new(),
        };
        self.sessions.insert(id, session);
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

impl Session {
    fn ok(&self) -> Option<Said> {
        self.connect.verbose.then_some(Said::Ok)
    }

    fn handle_connect(&mut self, json: &[u8], config: &Config) -> Result<(), Fatal> {
        let connect =
            if self.is_connected { self.connect.updated_by(json) } else { Connect::from_json(json) };
        let connect = connect.map_err(|_| Fatal)?;
        let credentials = [&connect.user, &connect.pass, &connect.auth_token];
        let names_none = credentials.iter().all(|credential| credential.is_empty());
        let user = user_of(config, &connect);
        let is_authorized = match &config.authorization {
            Authorization::None => true,
            _ if self.is_connected && names_none => true,
            Authorization::Token(token) => token.expose() == connect.auth_token,
            // Nobody is there who would accept anybody.
            Authorization::External => false,
            Authorization::User { user, password } => {
                *user == connect.user && password.expose() == connect.pass
            }
            Authorization::Users(_) => user.is_some(),
        };
        let headers = connect.headers && !config.no_header_support;
        let is_refused = !connect.account.is_empty()
            || connect.new_account
            || !matches!(connect.protocol, 0 | 1)
            || connect.no_responders && !headers;
        if !is_authorized || is_refused {
            return Err(Fatal);
        }
        if self.is_connected || self.is_anonymous {
            // Since 2.14 a second CONNECT drops what was subscribed to.
            self.subs.clear();
        }
        if !(self.is_connected && names_none) {
            self.become_user(user);
        }
        self.is_connected = true;
        self.dialect.connect_only = false;
        self.dialect.headers = headers;
        let Connect { verbose, pedantic, echo, no_responders, protocol, .. } = connect;
        self.connect =
            Connect { verbose, pedantic, echo, headers, no_responders, protocol, ..Connect::default() };
        Ok(())
    }

    fn subscribe(
        &mut self,
        number: u64,
        subject: &[u8],
        queue: &[u8],
        sid: &[u8],
        config: &Config,
        most_in_account: Option<usize>,
    ) -> Option<Said> {
        if queue == b"_sys_" || !self.may_subscribe(subject) {
            return Some(Said::Err);
        }
        let max_tokens = usize::from(config.max_subject_tokens);
        let is_beyond_limits = max_tokens > 0 && tokens(subject).count() > max_tokens
            || config.max_subscriptions > 0 && self.subs.len() >= config.max_subscriptions
            || most_in_account.is_some_and(|most| self.subs.len() >= most);
        if is_beyond_limits {
            return Some(Said::Err);
        }
        // A name that is taken keeps its subscription (wire.md 1.4).
        if self.subs.iter().all(|sub| sub.sid != sid) {
            if !is_valid_filter(subject) {
                return Some(Said::Err);
            }
            let [subject, queue, sid] = [subject, queue, sid].map(<[u8]>::to_vec);
            self.subs.push(Sub { number, sid, subject, queue, max: None, delivered: 0 });
        }
        self.ok()
    }

    /// It does without a CONNECT where there is a user for that.
    fn begin_anonymous(&mut self, config: &Config) {
        if config.no_auth_user.is_some() {
            self.is_anonymous = true;
            self.become_user(user_of(config, &Connect::default()));
        }
    }

    fn become_user(&mut self, user: Option<&User>) {
        account_of(user).clone_into(&mut self.account);
        self.permissions = user.and_then(|user| user.permissions.as_deref().cloned());
        self.replies.clear();
    }

    fn may_publish(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_none_or(|own| is_allowed(&own.publish, subject))
    }

    fn may_subscribe(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_none_or(|own| is_allowed(&own.subscribe, subject))
    }

    fn is_hidden(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_some_and(|own| is_denied(&own.subscribe, subject))
    }

    /// It is sent a request.
    fn is_asked(&mut self, reply: &[u8]) {
        let responds = self.permissions.as_ref().is_some_and(|own| own.responses.is_some());
        if responds && !self.may_publish(reply) && !self.uses_reply(reply) {
            self.replies.push((reply.to_vec(), 0));
        }
    }

    /// Uses a reply that it was asked to answer to; one that is used up is forgotten.
    fn uses_reply(&mut self, reply: &[u8]) -> bool {
        let Some(own) = &self.permissions else { return false };
        let max = own.responses.and_then(|rule| rule.max);
        let Some(at) = self.replies.iter().position(|(known, _)| known == reply) else { return false };
        self.replies[at].1 += 1;
        let is_left = max.is_none_or(|max| self.replies[at].1 <= max);
        if !is_left {
            self.replies.remove(at);
        }
        is_left
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        self.subs.retain_mut(|sub| {
            if sub.sid != sid {
                return true;
            }
            sub.max = max;
            max.is_some_and(|max| sub.delivered < max)
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

/// The user that presents this, or nothing where there is one for that.
fn user_of<'a>(config: &'a Config, connect: &Connect) -> Option<&'a User> {
    let Authorization::Users(users) = &config.authorization else { return None };
    let is_called = |user: &&User, called: &str| user.identity.to_string() == called;
    let presented = [&connect.user, &connect.pass, &connect.auth_token];
    if presented.iter().all(|credential| credential.is_empty()) {
        let name = config.no_auth_user.as_ref()?;
        return users.iter().find(|user| is_called(user, name));
    }
    users.iter().find(|user| {
        let Identity::Password { password, .. } = &user.identity else { return false };
        is_called(user, &connect.user) && password.expose() == connect.pass
    })
}

fn is_allowed(rules: &Rules, subject: &[u8]) -> bool {
    let is_listed = |list: &[_]| list.iter().any(|rule| is_about(rule, subject));
    rules.allow.as_deref().is_none_or(is_listed) && !is_denied(rules, subject)
}

fn is_denied(rules: &Rules, subject: &[u8]) -> bool {
    rules.deny.iter().any(|rule| is_about(rule, subject))
}

fn is_about(rule: &SubjectRule, subject: &[u8]) -> bool {
    matches(rule.subject.as_bytes(), subject)
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
