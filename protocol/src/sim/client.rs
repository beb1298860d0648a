//! A simulated client: it subscribes, publishes numbered messages, asks and answers, and remembers all it hears.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::framing::Deframer;
use super::ids::{ClientId, MessageId, NodeId, Sid};
use super::net::End;
use super::passage::{Misheard, Passage, Way};
use super::tenants::{Login, Rights};
use super::websocket::ClientSocket;
use crate::time::Instant;
use crate::transport::{DecodeError, Encoder};
use crate::wire::Info;

/// A client's subscription.
#[derive(Clone, Debug)]
pub struct SimSubscription {
    /// What it listens to.
    pub subject: String,
    /// The group that it is a member of.
    pub queue: Option<String>,
    /// Answers what comes with a reply subject.
    pub responds: bool,
    /// The client's user may not have it, so that it never is there. It is ended, too.
    pub is_denied: bool,
    /// The client has asked to end it, or is gone.
    pub is_ended: bool,
    /// The node has heard of it.
    pub(super) is_heard: bool,
}

/// A message as a client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// For which subscription.
    pub sid: Sid,
    /// On which subject.
    pub subject: String,
    /// Which message of the world it was; none for what the server itself said, such as "no responders".
    pub message: Option<MessageId>,
}

/// A client of a world. It is attached to its node by a fast and reliable network.
#[derive(Debug)]
pub struct SimClient {
    pub(super) id: ClientId,
    pub(super) node: NodeId,
    pub(super) account: Arc<str>,
    /// As whom it comes in, if it says so.
    login: Option<Login>,
    /// What it may do; none is everything.
    pub(super) rights: Option<&'static Rights>,
    pub(super) end: End,
    pub(super) echo: bool,
    pub(super) is_open: bool,
    /// The node ended it for what it asked, and does nothing more of that.
    pub(super) is_refused: bool,
    pub(super) subscriptions: BTreeMap<Sid, SimSubscription>,
    /// What it asked for, and where in the stream of its bytes that ends.
    asked: VecDeque<(u64, Asked)>,
    written_bytes: u64,
    /// It has said its CONNECT.
    pub(super) is_presented: bool,
    /// How many operations it will have had an answer to by then: it is told of each, as who says no CONNECT is.
    answers: usize,
    /// Where its proxy says that it comes from, if it has one.
    pub(super) origin: Option<SocketAddr>,
    /// What is around all else that it writes, if anything is.
    passage: Option<Passage>,
    /// By which it comes, if it does.
    websocket: Option<ClientSocket>,
    /// What it writes behind its CONNECT goes through this, if anything.
    encoder: Option<Encoder>,
    deframer: Deframer,
    unfinished: Vec<u8>,
    pub(super) received: Vec<Received>,
    connect_urls: Vec<String>,
    pub(super) connected_at: Instant,
    /// How many INFO lines it got.
    pub(super) infos: u64,
    errors: Vec<String>,
}

/// What a client asks of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Publish(MessageId),
    Subscribe(Sid),
}

/// What stands in what a client read, and what it writes because of that.
#[derive(Debug)]
pub(super) struct Unwrapped<'a> {
    pub(super) plain: Cow<'a, [u8]>,
    pub(super) answer: Vec<u8>,
}

/// What a client has to do because of what it read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Message { sid: Sid, subject: String, reply: Option<String>, message: Option<MessageId> },
    Info { bytes: usize },
    Ping,
}

impl SimClient {
    pub(super) fn new(id: ClientId, node: NodeId, account: &str, end: End, echo: bool, now: Instant) -> Self {
        Self {
            id,
            node,
            account: account.into(),
            login: None,
            rights: None,
            end,
            echo,
            is_open: true,
            is_refused: false,
            subscriptions: BTreeMap::new(),
            asked: VecDeque::new(),
            written_bytes: 0,
            is_presented: false,
            answers: 0,
            origin: None,
            passage: None,
            websocket: None,
            encoder: None,
            deframer: Deframer::counting(ANSWER),
            unfinished: Vec::new(),
            received: Vec::new(),
            connect_urls: Vec::new(),
            connected_at: now,
            infos: 0,
            errors: Vec::new(),
        }
    }

    /// It does not speak before it was greeted.
    pub(super) fn await_greeting(&mut self) {
        self.passage = Some(Passage::new(None, true));
    }

    /// It comes by a way of its own. Returns what it says before anything else.
    pub(super) fn come_by(&mut self, way: Way) -> Vec<u8> {
        let passage = self.passage.insert(Passage::new(way.tls, way.websocket.is_none()));
        let proxy = way.proxy.map(|version| (version, version.origin_of(self.id)));
        self.origin = proxy.map(|(_, origin)| origin);
        let mut bytes = passage.begin(proxy);
        if let Some(compresses) = way.websocket {
            let request = self.websocket.insert(ClientSocket::new(compresses)).request();
            self.written_bytes += request.len() as u64;
            bytes.extend(passage.pass(&request));
        }
        bytes
    }

    /// Whether it came by WebSocket.
    pub fn is_by_websocket(&self) -> bool {
        self.websocket.is_some()
    }

    /// It says with its CONNECT who it is, and may do so much from then on.
    pub(super) fn come_in_as(&mut self, login: Login, rights: Option<&'static Rights>) {
        self.account = login.account().into();
        (self.login, self.rights) = (Some(login), rights);
    }

    /// The node that it is connected to, while it is.
    pub fn node(&self) -> Option<NodeId> {
        self.is_open.then_some(self.node)
    }

    /// The account that it is in.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// All that it got.
    pub fn received(&self) -> &[Received] {
        &self.received
    }

    /// Its subscriptions, ended ones included.
    pub fn subscriptions(&self) -> &BTreeMap<Sid, SimSubscription> {
        &self.subscriptions
    }

    /// What the server last told it to connect to.
    pub fn connect_urls(&self) -> &[String] {
        &self.connect_urls
    }

    /// The texts of all `-ERR` that it got.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Its CONNECT. With a key what comes after that goes in frames, and so does what comes after the answer to it.
    pub(super) fn greeting(&mut self, key: Option<u64>) -> Vec<u8> {
        self.is_presented = true;
        let (echo, verbose) = (self.echo, key.is_some());
        let mut connect = format!(
            "CONNECT {{\"verbose\":{verbose},\"pedantic\":false,\"echo\":{echo},\"protocol\":1,\"headers\":true,\
             \"no_responders\":true,\"name\":\"{}\"",
            self.id
        );
        if let Some(user) = self.login.map(Login::user) {
            // Writing into a string cannot fail.
            let _ = write!(connect, ",\"user\":\"{user}\",\"pass\":\"{user}\"");
        }
        connect.push_str("}\r\n");
        let mut bytes = self.write(connect.into_bytes());
        match key {
            Some(key) => {
                self.encoder = Some(Encoder::framed(key));
                self.deframer.switch_after(self.answers_with_connect(), key);
            }
            None => self.deframer = Deframer::default(),
        }
        bytes.extend(self.write(b"PING\r\n".to_vec()));
        bytes
    }

    pub(super) fn subscribe(&mut self, subject: &str, queue: Option<&str>, responds: bool) -> (Sid, Vec<u8>) {
        let sid = self.subscriptions.len() as u64 + 1;
        let line = format!(
            "SUB {subject} {}{}{sid}\r\n",
            queue.unwrap_or(""),
            if queue.is_some() { " " } else { "" }
        );
        let (subject, queue) = (subject.to_owned(), queue.map(str::to_owned));
        let is_denied = self.rights.is_some_and(|rights| !rights.subscribe.allow(&subject));
        let subscription =
            SimSubscription { subject, queue, responds, is_denied, is_ended: is_denied, is_heard: false };
        self.subscriptions.insert(sid, subscription);
        let bytes = self.ask(line.into_bytes());
        self.asked.push_back((self.written_bytes, Asked::Subscribe(sid)));
        (sid, bytes)
    }

    /// Ends a subscription; none if there is none.
    pub(super) fn unsubscribe(&mut self, sid: Sid) -> Option<Vec<u8>> {
        let subscription = self.subscriptions.get_mut(&sid).filter(|subscription| !subscription.is_ended)?;
        subscription.is_ended = true;
        Some(self.ask(format!("UNSUB {sid}\r\n").into_bytes()))
    }

    pub(super) fn publish(
        &mut self,
        message: MessageId,
        subject: &str,
        reply: Option<&str>,
        padding_bytes: usize,
    ) -> Vec<u8> {
        let payload_bytes = message.payload_bytes(padding_bytes);
        let mut bytes = Vec::with_capacity(payload_bytes + 64);
        let (reply, space) = (reply.unwrap_or(""), if reply.is_some() { " " } else { "" });
        // Writing into a vector cannot fail.
        let _ = write!(bytes, "PUB {subject} {reply}{space}{payload_bytes}\r\n{message};");
        bytes.resize(bytes.len() + padding_bytes, b'.');
        bytes.extend_from_slice(b"\r\n");
        let bytes = self.ask(bytes);
        self.asked.push_back((self.written_bytes, Asked::Publish(message)));
        bytes
    }

    pub(super) fn pong(&mut self) -> Vec<u8> {
        self.write(b"PONG\r\n".to_vec())
    }

    /// What it asked for, and was not named yet, whose last byte is among the first `bytes` of what it wrote.
    pub(super) fn asked_within(&mut self, bytes: u64) -> Vec<Asked> {
        let bytes = self.passage.as_mut().map_or(bytes, |passage| passage.said_within(bytes));
        let count = self.asked.iter().take_while(|(end, _)| *end <= bytes).count();
        self.asked.drain(..count).map(|(_, asked)| asked).collect()
    }

    pub(super) fn close(&mut self) {
        self.is_open = false;
        self.begin_anew();
    }

    /// What it subscribed to is over.
    pub(super) fn begin_anew(&mut self) {
        self.subscriptions.values_mut().for_each(|subscription| subscription.is_ended = true);
    }

    /// The group that a subscription is a member of.
    pub(super) fn queue_of(&self, sid: Sid) -> Option<&str> {
        self.subscriptions.get(&sid)?.queue.as_deref()
    }

    /// Whether its user may have a message on this subject by a subscription.
    pub(super) fn may_hear(&self, sid: Sid, subject: &str) -> bool {
        let is_denied = self.subscriptions.get(&sid).is_some_and(|subscription| subscription.is_denied);
        !is_denied && !self.hides(subject)
    }

    /// Whether a subject is kept from it though its wildcards match.
    pub(super) fn hides(&self, subject: &str) -> bool {
        self.rights.is_some_and(|rights| rights.subscribe.deny(subject))
    }

    /// The bytes that go to the server for an operation that is answered until there is a CONNECT.
    fn ask(&mut self, plain: Vec<u8>) -> Vec<u8> {
        self.answers += usize::from(!self.is_presented);
        self.write(plain)
    }

    /// The answers that it waits for before it may go on in frames, the one to its CONNECT included.
    pub(super) fn answers_with_connect(&self) -> usize {
        self.answers + 1
    }

    /// The bytes that go to the server for these; none for now if it may not say anything yet.
    fn write(&mut self, plain: Vec<u8>) -> Vec<u8> {
        let bytes = match &mut self.encoder {
            Some(encoder) => {
                let mut bytes = Vec::with_capacity(plain.len());
                encoder.encode(&plain, &mut bytes);
                bytes
            }
            None => plain,
        };
        let bytes = match &mut self.websocket {
            Some(websocket) => {
                let frames = websocket.wrap(&bytes);
                self.written_bytes += frames.len() as u64;
                websocket.pass(frames)
            }
            None => {
                self.written_bytes += bytes.len() as u64;
                bytes
            }
        };
        self.pass(bytes)
    }

    /// What is written for these bytes; none for now if it was not let in.
    fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match &mut self.passage {
            Some(passage) => passage.pass(&bytes),
            None => bytes,
        }
    }

    /// What it wrote lately, as who reads along could if there were no TLS; none if that is what is written.
    pub(super) fn take_legible(&mut self) -> Option<Vec<u8>> {
        self.passage.as_mut().map(Passage::take_legible)
    }

    /// What the server says by these bytes, which come next, and what the client writes because they came.
    pub(super) fn unwrap<'a>(&mut self, bytes: &'a [u8]) -> Result<Unwrapped<'a>, Misheard> {
        let (mut plain, mut answer) = (Cow::Borrowed(bytes), Vec::new());
        if let Some(passage) = &mut self.passage {
            let (heard, then) = passage.hear(bytes)?;
            (plain, answer) = (heard.into(), then);
        }
        if let Some(websocket) = &mut self.websocket {
            plain = websocket.hear(&plain).map_err(|_| Misheard::Forbidden)?.into();
            if let Some(waiting) = websocket.take_waiting() {
                answer.extend(self.pass(waiting));
            }
        }
        Ok(Unwrapped { plain, answer })
    }

    /// Takes in what the server says.
    pub(super) fn hear(&mut self, at: Instant, bytes: &[u8]) -> Result<Vec<Heard>, DecodeError> {
        let mut all = std::mem::take(&mut self.unfinished);
        all.extend_from_slice(&self.deframer.read(bytes)?);
        let mut heard = Vec::new();
        let mut rest = all.as_slice();
        while let Some(lf) = memchr::memchr(b'\n', rest) {
            let line = rest[..lf].trim_ascii_end();
            let Some(taken) = self.hear_line(at, line, &rest[lf + 1..], &mut heard) else {
                break;
            };
            rest = &rest[lf + 1 + taken..];
        }
        self.unfinished = rest.to_vec();
        Ok(heard)
    }

    /// Handles a line and returns how many bytes of its body it took; none if they have not all come.
    fn hear_line(&mut self, at: Instant, line: &[u8], after: &[u8], heard: &mut Vec<Heard>) -> Option<usize> {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ');
        match words.next().unwrap_or_default() {
            verb @ ("MSG" | "HMSG") => {
                let words: Vec<&str> = words.collect();
                let sizes = if verb == "HMSG" { 2 } else { 1 };
                let size: usize = words.last()?.parse().ok()?;
                let body = after.get(..size + 2)?;
                let subject = words.first()?.to_string();
                let sid = words.get(1)?.parse().ok()?;
                let reply = words.get(2).filter(|_| words.len() > 2 + sizes).map(|reply| (*reply).to_owned());
                let message = MessageId::find(body);
                self.received.push(Received { at, sid, subject: subject.clone(), message });
                heard.push(Heard::Message { sid, subject, reply, message });
                return Some(size + 2);
            }
            "INFO" => {
                self.infos += 1;
                heard.push(Heard::Info { bytes: line.len() + "\r\n".len() });
                if let Ok(info) = Info::from_json(line["INFO ".len()..].as_bytes()) {
                    self.connect_urls = info.connect_urls;
                }
            }
            "PING" => heard.push(Heard::Ping),
            "-ERR" => self.errors.push(line["-ERR".len()..].trim().to_owned()),
            _ => {}
        }
        Some(0)
    }
}

/// How a server answers what it understood.
pub(super) const ANSWER: &str = "+OK";
