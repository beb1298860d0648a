//! What servers ask each other in the system account: which routes another has (ROUTE-PROTOCOL 10.3).
//!
//! Every node answers; operators' tools ask the same. A node that heals asks nats-server peers, since they tell
//! a newcomer to the members and never the members to a newcomer: whom they could not dial does not know of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::account::SYSTEM_ACCOUNT;
use crate::identity;
use crate::monitor::{Facts, Listing, Routez, routez};
use crate::node::Node;
use crate::time::Instant;
use crate::wire::encode::{push_decimal, routed_sub};

/// The subjects that a node listens to in the system account, and what its answers need to know.
#[derive(Debug)]
pub(crate) struct System {
    /// Asks this server alone.
    own: String,
    /// Where answers to this server come.
    inbox: String,
    unix_nanos_at_zero: u64,
    start: Instant,
    /// Answers that were given, which are numbered.
    answers: AtomicU64,
}

/// What a message in the system account means to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Which routes does this server have?
    Question,
    /// The routes of a server that was asked.
    Answer,
}

/// A server that another has routes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) id: String,
    pub(crate) ip: IpAddr,
    /// Ports that it may have been dialed at. nats-server calls a connection that it accepted a dialed one as well, once a
    /// duplicate of it was dialed (ROUTE-PROTOCOL 3.5), so that some are those of outgoing connections.
    pub(crate) ports: Vec<u16>,
}

impl System {
    pub(crate) fn new(server_id: &str, unix_nanos_at_zero: u64, start: Instant) -> Self {
        Self {
            own: question_to(server_id),
            inbox: inbox_of(server_id),
            unix_nanos_at_zero,
            start,
            answers: AtomicU64::new(0),
        }
    }

    /// The lines by which a peer learns of these subjects; `account` as it stands on them.
    pub(crate) fn announcement(&self, account: Option<&[u8]>) -> Vec<u8> {
        let mut lines = Vec::new();
        for subject in [QUESTION_TO_ALL, &self.own, &self.inbox] {
            routed_sub(&mut lines, account, subject.as_bytes(), None);
        }
        lines
    }

    /// What a message is to this node, if anything.
    pub(crate) fn meaning(&self, subject: &[u8]) -> Option<Meaning> {
        if subject == self.inbox.as_bytes() {
            Some(Meaning::Answer)
        } else if subject == QUESTION_TO_ALL.as_bytes() || subject == self.own.as_bytes() {
            Some(Meaning::Question)
        } else {
            None
        }
    }

    /// The answer to a question; none if it is meant for others.
    pub(crate) fn answer(&self, node: &Node, now: Instant, question: &[u8]) -> Option<Vec<u8>> {
        let facts = Facts::of_core(now, self.start, self.unix_nanos_at_zero);
        let server = Server {
            name: node.hub().server_name(),
            host: &node.hub().config().host,
            id: node.hub().server_id(),
            cluster: node.cluster_name().unwrap_or_default(),
            ver: identity::NATS_VERSION,
            jetstream: false,
            flags: 0,
            seq: self.answers.fetch_add(1, Ordering::Relaxed) + 1,
            time: facts.time_now(),
        };
        let question = match question {
            b"" => Ok(Question::default()),
            json => serde_json::from_slice::<Question>(json),
        };
        let (data, error) = match question {
            Ok(question) if !question.is_for(&server) => return None,
            Ok(question) => (Some(routez(node, &facts, question.listing())), None),
            Err(fault) => (None, Some(Fault { code: 400, description: fault.to_string() })),
        };
        // Every value is text, a number or a list of these: it can be written.
        serde_json::to_vec(&Answer { server, data, error }).ok()
    }
}

/// The message that asks one server which routes it has; `account` as it stands on the line.
pub(crate) fn question(asker: &str, asked: &str, account: Option<&str>) -> Vec<u8> {
    message(account.map(str::as_bytes), question_to(asked).as_bytes(), Some(&inbox_of(asker)), b"")
}

/// A message in the system account.
pub(crate) fn message(account: Option<&[u8]>, subject: &[u8], reply: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut line = b"RMSG ".to_vec();
    for word in account.into_iter().chain([subject]).chain(reply.map(str::as_bytes)) {
        line.extend_from_slice(word);
        line.push(b' ');
    }
    push_decimal(&mut line, body.len() as u64);
    [&line, b"\r\n".as_slice(), body, b"\r\n"].concat()
}

/// The servers that an answer names, each once.
pub(crate) fn neighbours(answer: &[u8]) -> Vec<Neighbour> {
    let Ok(answer) = serde_json::from_slice::<Heard>(answer) else {
        return Vec::new();
    };
    let mut neighbours: BTreeMap<String, Neighbour> = BTreeMap::new();
    for HeardRoute { remote_id: id, did_solicit, ip, port } in answer.data.routes.into_iter().take(MAX_ROUTES)
    {
        let Ok(ip) = ip.parse::<IpAddr>() else {
            continue;
        };
        let known = neighbours.entry(id.clone()).or_insert(Neighbour { id, ip, ports: Vec::new() });
        if did_solicit && !known.ports.contains(&port) && known.ports.len() < MAX_PORTS {
            known.ports.push(port);
        }
    }
    neighbours.into_values().collect()
}

fn question_to(server_id: &str) -> String {
    format!("{SYSTEM_ACCOUNT}.REQ.SERVER.{server_id}.ROUTEZ")
}

fn inbox_of(server_id: &str) -> String {
    format!("{SYSTEM_ACCOUNT}._INBOX.{server_id}")
}

/// Whom a question is for, and what it wants to know.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    subscriptions: bool,
    subscriptions_detail: bool,
    server_name: String,
    cluster: String,
    host: String,
    exact_match: bool,
    tags: Vec<String>,
    domain: String,
}

impl Question {
    fn listing(&self) -> Listing {
        match (self.subscriptions_detail, self.subscriptions) {
            (true, _) => Listing::Detail,
            (false, true) => Listing::Subjects,
            (false, false) => Listing::None,
        }
    }

    /// This server has no tags and no domain.
    fn is_for(&self, server: &Server<'_>) -> bool {
        let asks_for = |filter: &str, of: &str| {
            filter.is_empty() || if self.exact_match { filter == of } else { of.contains(filter) }
        };
        asks_for(&self.server_name, server.name)
            && asks_for(&self.cluster, &server.cluster)
            && asks_for(&self.host, server.host)
            && self.tags.is_empty()
            && self.domain.is_empty()
    }
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    server: Server<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Routez>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

/// What every server says of itself in such messages (ROUTE-PROTOCOL 10.2).
#[derive(Debug, Serialize)]
struct Server<'a> {
    name: &'a str,
    host: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    ver: &'static str,
    jetstream: bool,
    flags: u32,
    seq: u64,
    time: String,
}

#[derive(Debug, Serialize)]
struct Fault {
    code: u32,
    description: String,
}

/// What counts of an answer.
#[derive(Debug, Deserialize)]
struct Heard {
    data: HeardData,
}

#[derive(Debug, Deserialize)]
struct HeardData {
    #[serde(default)]
    routes: Vec<HeardRoute>,
}

#[derive(Debug, Deserialize)]
struct HeardRoute {
    remote_id: String,
    #[serde(default)]
    did_solicit: bool,
    ip: String,
    port: u16,
}

/// Asks every server of the cluster.
const QUESTION_TO_ALL: &str = "$SYS.REQ.SERVER.PING.ROUTEZ";

/// No more routes of one server are heard of: a thousand peers, each with the usual pool of three and one for the system
/// account.
const MAX_ROUTES: usize = 4096;

/// Not more ports of one server are tried: as many as two servers usually have connections.
const MAX_PORTS: usize = 4;
