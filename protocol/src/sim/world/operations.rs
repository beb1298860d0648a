//! What clients do, and what is noted about it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use super::World;
use crate::accounts::GLOBAL_ACCOUNT;
use crate::id::ConnectionId;
use crate::sim::client::{ANSWER, Heard, SimClient, Unwrapped};
use crate::sim::framing::Deframer;
use crate::sim::ids::{ClientId, MessageId, NodeId, Sid};
use crate::sim::ledger::{Publication, Refused};
use crate::sim::net::{End, Ending};
use crate::sim::node::{SimNode, Socket};
use crate::sim::passage::{Misheard, Way};
use crate::sim::rule::{Rule, Violation};
use crate::sim::stream::{Holder, Joint, Purpose, Said};
use crate::sim::tenants::{Login, Place, Verdict, is_for_answer};
use crate::sim::websocket::FrameReader;
use crate::transport::HandshakeFirst;

impl World {
    /// Connects a client to a node; none if the node is down. With `echo` it gets its own messages too.
    pub fn connect(&mut self, node: NodeId, echo: bool) -> Option<ClientId> {
        self.connect_in(node, GLOBAL_ACCOUNT, echo)
    }

    /// The same for a client in an account; none if the node has no such account.
    pub fn connect_in(&mut self, node: NodeId, account: &str, echo: bool) -> Option<ClientId> {
        let id = self.attach(node, account, echo)?;
        self.say_connect(id);
        self.pump(node);
        Some(id)
    }

    /// The same for a client that comes in as a user of a tenant; none if there is no such tenant.
    pub fn connect_as(&mut self, node: NodeId, login: Login, echo: bool) -> Option<ClientId> {
        let rights = self.tenants.have(login.account()).then(|| self.tenants.rights_of(login))?;
        let id = self.attach(node, GLOBAL_ACCOUNT, echo)?;
        self.clients[id.0].come_in_as(login, rights);
        self.say_connect(id);
        self.pump(node);
        Some(id)
    }

    /// Connects a client by a way of its own, as a user of a tenant or not; none if the node is down or nobody can come so, or there is
    /// no such tenant.
    pub fn connect_by(
        &mut self,
        node: NodeId,
        login: Option<Login>,
        echo: bool,
        way: Way,
    ) -> Option<ClientId> {
        if !way.is_open(&self.nodes[node.0].spec.config)
            || login.is_some_and(|login| !self.tenants.have(login.account()))
        {
            return None;
        }
        let remote = self.next_remote();
        let engine = self.nodes[node.0].engine.as_mut()?;
        let connection = match way.websocket {
            Some(_) => engine.handle_accept_websocket(self.now, remote),
            None => engine.handle_accept_client(self.now, remote),
        };
        let id = self.seat(node, connection, GLOBAL_ACCOUNT, echo);
        let client = &mut self.clients[id.0];
        if let Some(login) = login {
            client.come_in_as(login, self.tenants.rights_of(login));
        }
        let first = client.come_by(way);
        if let Some(joint) = self.joints.get_mut(client.end.stream).filter(|_| way.websocket.is_some()) {
            joint.said.0.iter_mut().for_each(|said| said.websocket = Some(FrameReader::default()));
        }
        self.write_as_client(id, first);
        self.say_connect(id);
        self.pump(node);
        Some(id)
    }

    /// Connects a client that says no CONNECT for now, and may do all else; none if the node is down.
    pub fn arrive(&mut self, node: NodeId) -> Option<ClientId> {
        let id = self.attach(node, GLOBAL_ACCOUNT, true)?;
        self.pump(node);
        Some(id)
    }

    /// Lets a client say its CONNECT, if it has not.
    pub fn present(&mut self, id: ClientId) {
        if self.clients.get(id.0).is_some_and(|client| client.is_open && !client.is_presented) {
            if !self.tenants.is_empty() {
                // It was somebody before, if it did anything (wire.md 1.12).
                self.clients[id.0].begin_anew();
            }
            self.say_connect(id);
        }
    }

    /// With frames behind it, if the node is configured so (design.md 3).
    fn say_connect(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        let (end, answers) = (client.end, client.answers_with_connect());
        let key = self.nodes[client.node.0].spec.config.rehearsed_transport;
        if let Some(joint) = self.joints.get_mut(end.stream) {
            match key {
                Some(key) => {
                    joint.said[end.side].deframer = Deframer::after_line("CONNECT", key);
                    joint.said[end.other().side].deframer.switch_after(answers, key);
                }
                None => joint.said[end.other().side].deframer = Deframer::default(),
            }
        }
        let greeting = client.greeting(key);
        self.write_as_client(id, greeting);
    }

    fn attach(&mut self, node: NodeId, account: &str, echo: bool) -> Option<ClientId> {
        let remote = self.next_remote();
        let engine = self.nodes[node.0].engine.as_mut()?;
        let account_id = engine.node().hub().accounts().find(account.as_bytes())?.id();
        let connection = engine.handle_accept_client_in(self.now, account_id, remote).ok()?;
        Some(self.seat(node, connection, account, echo))
    }

    /// Where the next client connects from.
    fn next_remote(&self) -> SocketAddr {
        let number = self.clients.len();
        ([10, 255, (number >> 8) as u8, number as u8], 40_000).into()
    }

    /// Joins a client with the connection that its node made for it.
    fn seat(&mut self, node: NodeId, connection: ConnectionId, account: &str, echo: bool) -> ClientId {
        let id = ClientId(self.clients.len());
        let stream = self.network.attach(node.host(), CLIENT_LATENCY, self.now);
        let holders = [Holder::Client(id), Holder::Node(node, connection)].map(Some);
        self.joints.insert(stream, Joint::new(holders, [node, node], None));
        let end = stream.acceptor();
        self.nodes[node.0].open(Socket { connection, end, peer: None, is_client: true });
        let mut client = SimClient::new(id, node, account, stream.dialer(), echo, self.now);
        let tls = self.nodes[node.0].spec.config.tls.as_ref();
        if tls.is_some_and(|tls| tls.settings().handshake_first != HandshakeFirst::Never) {
            // Whoever speaks at once is expected to speak TLS.
            client.await_greeting();
        }
        self.clients.push(client);
        if let Some(joint) = self.joints.get_mut(stream) {
            joint.said[end.side].deframer = Deframer::counting(ANSWER);
        }
        id
    }

    /// Closes a client's connection.
    pub fn disconnect(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        if client.is_open {
            client.close();
            let end = client.end;
            self.close_end(end, Ending::Fin);
        }
    }

    /// Subscribes; none if the client is not connected any more. With `responds` whatever asks for a reply gets one.
    pub fn subscribe(
        &mut self,
        id: ClientId,
        subject: &str,
        queue: Option<&str>,
        responds: bool,
    ) -> Option<Sid> {
        let client = self.clients.get_mut(id.0).filter(|client| client.is_open)?;
        let (sid, bytes) = client.subscribe(subject, queue, responds);
        self.write_as_client(id, bytes);
        Some(sid)
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, id: ClientId, sid: Sid) {
        let client = self.clients.get_mut(id.0).filter(|client| client.is_open);
        if let Some(bytes) = client.and_then(|client| client.unsubscribe(sid)) {
            self.write_as_client(id, bytes);
        }
    }

    /// Publishes the next message, with so many bytes beside its number; none if the client is not connected any more.
    pub fn publish(&mut self, id: ClientId, subject: &str, padding_bytes: usize) -> Option<MessageId> {
        self.publish_with_reply(id, subject, None, padding_bytes)
    }

    /// Asks a question. The answer comes to the subscription that is returned beside it, of which the client has one for
    /// all its questions.
    pub fn request(&mut self, id: ClientId, subject: &str) -> Option<(MessageId, Sid)> {
        let client = self.clients.get(id.0).filter(|client| client.is_open)?;
        let inbox = format!("_INBOX.{id}.*");
        let known = client.subscriptions.iter().find(|(_, it)| it.subject == inbox && !it.is_ended);
        let sid = match known.map(|(sid, _)| *sid) {
            Some(sid) => sid,
            None => self.subscribe(id, &inbox, None, false)?,
        };
        let reply = format!("_INBOX.{id}.{}", self.ledger.len());
        Some((self.publish_with_reply(id, subject, Some(&reply), 0)?, sid))
    }

    fn publish_with_reply(
        &mut self,
        id: ClientId,
        subject: &str,
        reply: Option<&str>,
        padding_bytes: usize,
    ) -> Option<MessageId> {
        let client = self.clients.get(id.0).filter(|client| client.is_open)?;
        let places = self.tenants.places(&client.account, subject, client.node);
        let said = Statement { subject, reply, padding_bytes };
        let verdict = self.verdict_on(id, &places[0].subject);
        let message = self.say(id, &said, places);
        if verdict != Verdict::May {
            self.ledger.refuse(message, Refused::Forbidden);
        }
        Some(message)
    }

    /// Answers what a client was asked, if it is connected: to a service by the way that the request came.
    fn respond(&mut self, id: ClientId, request: Option<MessageId>, reply: &str) {
        let Some(client) = self.clients.get(id.0).filter(|client| client.is_open) else { return };
        let mut places = self.tenants.places(&client.account, reply, client.node);
        let asked = request.and_then(|request| self.ledger.get(request)).filter(|_| is_for_answer(reply));
        if let Some(asked) = asked {
            // A stream's importers may have heard it, too. They answer in vain.
            let number = asked.places.iter().position(|place| place.account == client.account);
            let inbox = asked.reply.as_deref().unwrap_or_default();
            let back = number.map(|number| self.tenants.way_back(&asked.places[..=number], inbox));
            places.extend(back.unwrap_or_default());
        }
        let verdict = self.verdict_on(id, reply);
        let message = self.say(id, &Statement { subject: reply, reply: None, padding_bytes: 0 }, places);
        match verdict {
            Verdict::May => {}
            Verdict::MayAnswer => self.ledger.doubt(message),
            Verdict::MayNot => self.ledger.refuse(message, Refused::Forbidden),
        }
    }

    fn verdict_on(&self, id: ClientId, subject: &str) -> Verdict {
        self.clients[id.0].rights.map_or(Verdict::May, |rights| rights.verdict_on(subject))
    }

    fn say(&mut self, id: ClientId, said: &Statement<'_>, places: Vec<Place>) -> MessageId {
        let Statement { subject, reply, padding_bytes } = *said;
        let client = &mut self.clients[id.0];
        let publication = Publication { publisher: id, origin: client.node, places, reply, padding_bytes };
        let message = self.ledger.publish(publication, self.now);
        let bytes = client.publish(message, subject, reply, padding_bytes);
        self.write_as_client(id, bytes);
        message
    }

    pub(in crate::sim) fn write_as_client(&mut self, id: ClientId, bytes: Vec<u8>) {
        let client = &mut self.clients[id.0];
        let (end, legible) = (client.end, client.take_legible());
        let mut legible = legible.as_deref();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.network.portion(rest.len()));
            self.write(end, now.to_vec(), legible);
            // All of it was noted with the first part.
            legible = legible.map(|_| [].as_slice());
            rest = later;
        }
    }

    /// What a client does when it reads.
    pub(in crate::sim) fn hear(&mut self, id: ClientId, bytes: &[u8]) {
        let client = &mut self.clients[id.0];
        let Unwrapped { plain, answer } = match client.unwrap(bytes) {
            Ok(unwrapped) => unwrapped,
            Err(Misheard::Refused) => return self.disconnect(id),
            Err(Misheard::Forbidden) => {
                let text = format!("what {id} hears is nothing that TLS or its WebSocket may say");
                return self.fail(Violation::new(Rule::Transport, text));
            }
        };
        let heard = client.hear(self.now, &plain);
        self.write_as_client(id, answer);
        let Ok(heard) = heard else {
            // The node is of another opinion on frames, since it just changed that.
            return self.disconnect(id);
        };
        for heard in heard {
            match heard {
                Heard::Ping => {
                    let pong = self.clients[id.0].pong();
                    self.write_as_client(id, pong);
                }
                Heard::Info { bytes } => self.check_client_info(id, bytes),
                Heard::Message { sid, subject, reply, message } => {
                    self.note_received(id, sid, &subject, message);
                    if let Some(message) = message.filter(|_| reply.as_deref().is_some_and(is_for_answer)) {
                        let account = self.clients[id.0].account.clone();
                        self.note_heard_across(message, &account);
                    }
                    let responds = self.clients[id.0].subscriptions.get(&sid).is_some_and(|it| it.responds);
                    if let Some(reply) = reply.filter(|_| responds) {
                        self.respond(id, message, &reply);
                    }
                }
            }
        }
    }

    fn note_received(&mut self, id: ClientId, sid: Sid, subject: &str, message: Option<MessageId>) {
        let client = &self.clients[id.0];
        let Some(message) = message else {
            return;
        };
        self.trace.note(self.now, [5 << 32 | id.0 as u64, sid, message.0 as u64], || {
            format!("{id} gets {message} on {subject} for {sid}")
        });
        let verdict = self.ledger.receive(message, client, sid, subject, &self.tenants);
        if let Err(violation) = verdict {
            self.fail(violation);
        }
    }

    /// Reads along what is written.
    pub(in crate::sim) fn tap(&mut self, end: End, bytes: &[u8]) {
        let Some(joint) = self.joints.get_mut(end.stream) else {
            return;
        };
        self.trace.take(bytes);
        if passes_on(&self.nodes, joint, end) {
            // It was said, and checked, at the other end of the circuit.
            return;
        }
        if !joint.is_route() && !self.trace.keeps_lines() {
            return;
        }
        let (is_route, sender) = (joint.is_route(), joint.nodes[end.side]);
        let known = || joint.purpose.clone().or_else(|| purpose_of_route(&self.nodes, joint, end, false));
        let purpose = purpose_of_route(&self.nodes, joint, end, true).or_else(known);
        let (is_dialer, mut purpose) = (end == end.stream.dialer(), purpose);
        let who = if self.trace.keeps_lines() { describe(end, joint) } else { String::new() };
        let Said { websocket, deframer, tap, .. } = &mut joint.said[end.side];
        let bytes = match websocket {
            // Its client finds out what is wrong.
            Some(websocket) => Cow::Owned(websocket.read(bytes).unwrap_or_default()),
            None => Cow::Borrowed(bytes),
        };
        let Ok(bytes) = deframer.read(&bytes) else {
            return self.note_corrupt(end, is_route);
        };
        let mut tap = std::mem::take(tap);
        let mut violation = None;
        let mut infos = Vec::new();
        tap.feed(&bytes, &mut |tapped| {
            // Keep-alive says nothing to a reader.
            if self.trace.keeps_lines() && !matches!(tapped.line, b"PING" | b"PONG") {
                self.trace.protocol(self.now, &who, tapped.line);
            }
            if !is_route {
                return;
            }
            let begins = |verb: &[u8]| tapped.line.starts_with(verb);
            if begins(b"INFO ") {
                let is_own = is_about(tapped.line, &self.nodes[sender.0].server_id);
                if !is_own {
                    self.statistics.gossip_bytes += tapped.line.len() as u64 + 2;
                    self.statistics.gossip_lines += 1;
                }
                if is_own && is_dialer {
                    purpose.get_or_insert_with(|| Purpose::of(tapped.line));
                }
                infos.push((tapped.line.len() + 2, is_own));
                violation = violation.take().or(self.check_told(sender, tapped.line).err());
            } else if (begins(b"RMSG ") || begins(b"HMSG "))
                && let Some(message) = MessageId::find(tapped.body)
            {
                let line = String::from_utf8_lossy(tapped.line);
                let mut words = line.split(' ').skip(1);
                let account = match &purpose {
                    Some(Purpose::Dedicated(account)) => account,
                    _ => words.next().unwrap_or_default(),
                };
                let queues = words.any(|word| matches!(word, "|" | "+"));
                violation = violation.take().or(self.ledger.cross(message, sender, account, queues).err());
            }
        });
        infos.into_iter().for_each(|(bytes, is_own)| self.check_info_line(sender, bytes, is_own));
        self.statistics.route_bytes += if is_route { bytes.len() as u64 } else { 0 };
        if let Some(joint) = self.joints.get_mut(end.stream) {
            joint.said[end.side].tap = tap;
            joint.purpose = purpose;
        }
        if let Some(violation) = violation {
            self.fail(violation);
        }
    }

    /// Whoever knows the key can read what a server writes to another. (To a client it may write in another way than that one
    /// expects, if it began to do so just now.)
    fn note_corrupt(&mut self, end: End, is_route: bool) {
        if is_route {
            let text = format!("nobody can decode what is written to s{}", end.stream.number());
            self.fail(Violation::new(Rule::Transport, text));
        }
    }
}

/// What a client says when it publishes.
struct Statement<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    padding_bytes: usize,
}

/// Whether an INFO line is about this server.
fn is_about(info: &[u8], server_id: &str) -> bool {
    let rest = info.strip_prefix(b"INFO {\"server_id\":\"".as_slice());
    rest.is_some_and(|rest| rest.starts_with(server_id.as_bytes()))
}

/// What a route is for that this end knows of: of a circuit which of its two streams was dialed by whom says nothing of that, and
/// where neither end knows of circuits nobody says it in his own name.
fn purpose_of_route(nodes: &[SimNode], joint: &Joint, end: End, is_circuit: bool) -> Option<Purpose> {
    let Some(Holder::Node(node, connection)) = joint.holders[end.side].filter(|_| joint.is_route()) else {
        return None;
    };
    let engine = nodes[node.0].engine.as_ref()?;
    let about = engine.node().hub().directory().get(connection)?.about();
    let is_meant = if is_circuit { about.relay.is_some() } else { !about.remote_id.is_empty() };
    is_meant.then(|| about.account.map_or(Purpose::Pooled, |account| Purpose::Dedicated(account.into())))
}

/// Whether what a node writes to an end is another's word, which passes through it.
fn passes_on(nodes: &[SimNode], joint: &Joint, end: End) -> bool {
    let Some(Holder::Node(node, connection)) = joint.holders[end.side] else { return false };
    joint.is_route() && nodes[node.0].passes(connection)
}

fn describe(end: End, joint: &Joint) -> String {
    let name = |end: End| match joint.holders[end.side] {
        Some(Holder::Client(client)) => client.to_string(),
        _ => joint.nodes[end.side].to_string(),
    };
    format!("{}>{} s{}", name(end), name(end.other()), end.stream.number())
}

/// How long bytes travel between a client and its node.
const CLIENT_LATENCY: Duration = Duration::from_micros(50);
