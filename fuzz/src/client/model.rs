//! What clients may expect: a server made of plain lists, which is told the same.
//!
//! It reads with the parser of the core, which has a target of its own; all that follows from what was read it works out
//! by itself (wire.md 1).

use std::collections::{BTreeMap, VecDeque};

use onehop::ConnectionId;
use onehop::config::{Authorization, Config};
use onehop::interest::Index;
use onehop::wire::subject::{is_valid_filter, is_valid_publish, tokens};
use onehop::wire::{self, Connect, Dialect, Info, Op, Parsed, Parser, Role};

use crate::stream::{Message, Said};
use crate::subject::matches;

/// What each client was sent in one step.
pub(super) type Heard = BTreeMap<ConnectionId, VecDeque<Said>>;

/// The clients that are connected.
pub(super) struct Model {
    config: Config,
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

/// The client did what ends its connection.
#[derive(Debug)]
pub(super) struct Fatal;

impl Model {
    pub(super) fn new(config: Config) -> Self {
        Self { config, sessions: BTreeMap::new(), next_sub: 0 }
    }

    pub(super) fn accept(&mut self, id: ConnectionId) {
        let dialect = Dialect {
            role: Role::Client,
            max_control_line: self.config.max_control_line,
            max_payload: Some(self.config.max_payload),
            connect_only: self.config.authorization != Authorization::None,
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
    pub(super) fn resync(&mut self, index: &Index) {
        let mut counts = BTreeMap::new();
        index.for_each(&mut |sub| {
            counts.insert((sub.connection(), sub.sid().to_vec()), sub.delivered());
        });
        for (id, session) in &mut self.sessions {
            session.subs.retain_mut(|sub| match counts.get(&(*id, sub.sid.clone())) {
                Some(delivered) => {
                    sub.delivered = *delivered;
                    true
                }
                None => false,
            });
        }
    }

    /// The index has the same subscriptions.
    pub(super) fn assert_agrees(&self, index: &Index) {
        let mut held = Vec::new();
        index.for_each(&mut |sub| {
            let queue = sub.queue().unwrap_or_default().to_vec();
            held.push((sub.connection(), sub.sid().to_vec(), sub.subject().to_vec(), queue));
        });
        held.sort_unstable();
        let mut expected: Vec<_> = self
            .all_subs()
            .map(|(id, sub)| (id, sub.sid.clone(), sub.subject.clone(), sub.queue.clone()))
            .collect();
        expected.sort_unstable();
        assert_eq!(held, expected, "the subscriptions of all");
    }

    fn all_subs(&self) -> impl Iterator<Item = (ConnectionId, &Sub)> {
        self.sessions.iter().flat_map(|(id, session)| session.subs.iter().map(|sub| (*id, sub)))
    }

    fn handle(&mut self, id: ConnectionId, op: &Op<'_>, heard: &mut Option<&mut Heard>) -> Result<(), Fatal> {
        let session = self.sessions.get_mut(&id).ok_or(Fatal)?;
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
                session.subscribe(self.next_sub, subject, queue.unwrap_or_default(), sid, &self.config)
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
        let wire::Message { subject, reply, .. } = message;
        let connect = &self.sessions[&id].connect;
        assert!(message.body.len() - 2 <= self.config.max_payload, "a message that is too large");
        if is_reserved(subject, *reply) {
            return expect(heard, id, &Said::Err);
        }
        if connect.pedantic && !is_valid_publish(subject) {
            expect(heard, id, &Said::Err);
        }
        if connect.verbose {
            expect(heard, id, &Said::Ok);
        }
        let is_noticed = connect.no_responders;
        let wants_no_echo = !connect.echo;
        let mut targets: Vec<_> = self
            .all_subs()
            .filter(|(to, sub)| matches(&sub.subject, subject) && !(wants_no_echo && *to == id))
            .map(|(to, sub)| (to, sub.clone()))
            .collect();
        targets.sort_by_key(|(_, sub)| (sub.queue.clone(), sub.number));
        let is_taken = !targets.is_empty();
        for group in targets.chunk_by(|a, b| a.1.queue == b.1.queue) {
            let expected =
                |(to, sub): &(ConnectionId, Sub)| Said::Message(self.as_sent(*to, &sub.sid, message));
            if group[0].1.queue.is_empty() {
                for target in group {
                    expect(heard, target.0, &expected(target));
                }
                group.iter().for_each(|(to, sub)| self.count(*to, &sub.sid));
            } else if let Some(heard) = heard {
                // Whoever it was, it was one.
                let is_next = |target: &&(ConnectionId, Sub)| {
                    heard.get(&target.0).and_then(VecDeque::front) == Some(&expected(target))
                };
                let chosen = group.iter().find(is_next).expect("a member gets the message");
                heard.entry(chosen.0).or_default().pop_front();
                self.count(chosen.0, &chosen.1.sid);
            }
        }
        if let Some(reply) = reply.filter(|_| is_noticed && !is_taken) {
            self.expect_notice(id, subject, reply, heard);
        }
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

    /// Counts a delivery, which may have been the last.
    fn count(&mut self, to: ConnectionId, sid: &[u8]) {
        let Some(session) = self.sessions.get_mut(&to) else { return };
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
        let is_authorized = match &config.authorization {
            Authorization::None => true,
            _ if self.is_connected && names_none => true,
            Authorization::Token(token) => token.expose() == connect.auth_token,
            // Nobody is there who would accept anybody.
            Authorization::External => false,
            Authorization::User { user, password } => {
                *user == connect.user && password.expose() == connect.pass
            }
        };
        let headers = connect.headers && !config.no_header_support;
        let is_refused = !connect.account.is_empty()
            || connect.new_account
            || !matches!(connect.protocol, 0 | 1)
            || connect.no_responders && !headers;
        if !is_authorized || is_refused {
            return Err(Fatal);
        }
        if self.is_connected {
            // Since 2.14 a second CONNECT drops what was subscribed to.
            self.subs.clear();
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
    ) -> Option<Said> {
        let max_tokens = usize::from(config.max_subject_tokens);
        let is_beyond_limits = max_tokens > 0 && tokens(subject).count() > max_tokens
            || config.max_subscriptions > 0 && self.subs.len() >= config.max_subscriptions;
        if is_beyond_limits {
            return Some(Said::Err);
        }
        // A name that is taken keeps its subscription (wire.md 1.4).
        if self.subs.iter().all(|sub| sub.sid != sid) {
            if !is_valid_filter(subject) || queue == b"_sys_" {
                return Some(Said::Err);
            }
            let [subject, queue, sid] = [subject, queue, sid].map(<[u8]>::to_vec);
            self.subs.push(Sub { number, sid, subject, queue, max: None, delivered: 0 });
        }
        self.ok()
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

/// Whether a client may not publish so (wire.md 1.5).
fn is_reserved(subject: &[u8], reply: Option<&[u8]>) -> bool {
    let begins = |text: &[u8], start: &[u8]| text.len() > start.len() && text.starts_with(start);
    let reply = reply.unwrap_or_default();
    [&b"_GR_."[..], b"$GR.", b"$NRG."].iter().any(|start| begins(subject, start))
        || reply.starts_with(b"_R_.")
        || [&b"_GR_."[..], b"$JS.ACK."].iter().any(|start| begins(reply, start))
}
