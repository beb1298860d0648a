//! What servers ask each other in the system account: which routes another has (wire.md 10.3).
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
use crate::wire::json;

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
    /// duplicate of it was dialed (wire.md 3.5), so that some are those of outgoing connections.
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
        let question = match question.trim_ascii() {
            b"" => Ok(Question::default()),
            text => json::read::<Question>(text),
        };
        if question.as_ref().is_ok_and(|question| !question.is_for(node)) {
            return None;
        }
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
        let (data, error) = match question {
            Ok(question) => (Some(routez(node, &facts, question.listing())), None),
            Err(fault) => (None, Some(Fault { code: 400, description: fault.to_string() })),
        };
        let mut answer = Vec::new();
        json::write(&mut answer, &Answer { server, data, error });
        Some(answer)
    }
}

/// The message that asks, on this subject, which routes a server has; `account` as it stands on the line.
pub(crate) fn question(subject: &str, asker: &str, account: Option<&str>) -> Vec<u8> {
    message(account.map(str::as_bytes), subject.as_bytes(), Some(&inbox_of(asker)), b"")
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
        let Some(ip) = ip.parse::<IpAddr>().ok().filter(|_| id.len() <= MAX_ID_BYTES) else {
            continue;
        };
        let known = neighbours.entry(id.clone()).or_insert(Neighbour { id, ip, ports: Vec::new() });
        if did_solicit && !known.ports.contains(&port) && known.ports.len() < MAX_PORTS {
            known.ports.push(port);
        }
    }
    neighbours.into_values().collect()
}

/// The subject on which one server alone is asked.
pub(crate) fn question_to(server_id: &str) -> String {
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

    /// Whether it is for this server, which has no tags and no domain.
    fn is_for(&self, node: &Node) -> bool {
        let hub = node.hub();
        let asks_for = |filter: &str, of: &str| {
            filter.is_empty() || if self.exact_match { filter == of } else { of.contains(filter) }
        };
        asks_for(&self.server_name, hub.server_name())
            && asks_for(&self.cluster, &node.cluster_name().unwrap_or_default())
            && asks_for(&self.host, &hub.config().host)
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

/// What every server says of itself in such messages (wire.md 10.2).
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

/// A server id is 56 bytes; longer names than this are none.
const MAX_ID_BYTES: usize = 256;

/// Not more ports of one server are tried: as many as two servers usually have connections.
const MAX_PORTS: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::config::{ClusterConfig, Config};
    use crate::node::Listening;

    fn node() -> Arc<Node> {
        let cluster = ClusterConfig { name: Some("c".to_owned()), ..ClusterConfig::default() };
        let config = Config {
            server_name: Some("A".to_owned()),
            host: "127.0.0.1".to_owned(),
            cluster: Some(cluster),
            ..Config::default()
        };
        Node::new(config, &Listening::default(), Instant::ZERO)
    }

    fn ask(node: &Node, question: &str) -> Option<Value> {
        let answer = node.system().answer(node, Instant::ZERO, question.as_bytes())?;
        Some(serde_json::from_slice(&answer).expect("an answer is JSON"))
    }

    #[test]
    fn a_question_is_answered_with_who_answers_and_its_routes() {
        let node = node();
        let answer = ask(&node, "").expect("it is for everybody");
        assert_eq!(answer["server"]["name"], "A");
        assert_eq!(answer["server"]["cluster"], "c");
        assert_eq!(answer["server"]["id"], node.hub().server_id());
        assert_eq!(answer["server"]["seq"], 1);
        assert_eq!(answer["data"]["num_routes"], 0);
        assert_eq!(answer["data"]["server_id"], node.hub().server_id());
        assert_eq!(answer.get("error"), None);
    }

    #[test]
    fn a_question_that_is_for_others_is_not_answered() {
        let node = node();
        for own in [
            r#"{"server_name":"A"}"#,
            r#"{"host":"0.0"}"#,
            r#"{"cluster":"c","exact_match":true}"#,
            r#"{"name":"B"}"#,
            "null",
            " {} ",
        ] {
            assert!(ask(&node, own).is_some(), "{own}");
        }
        for other in [
            r#"{"server_name":"a"}"#,
            r#"{"Server_Name":"B"}"#,
            r#"{"host":"0.0","exact_match":true}"#,
            r#"{"cluster":"d"}"#,
            r#"{"tags":["x"]}"#,
            r#"{"domain":"x"}"#,
        ] {
            assert_eq!(ask(&node, other), None, "{other}");
        }
    }

    #[test]
    fn a_question_that_cannot_be_read_is_answered_with_an_error() {
        for faulty in ["nonsense", "[]", "5", r#"{"subscriptions":5}"#] {
            let answer = ask(&node(), faulty).expect("nobody else is meant");
            assert_eq!(answer["error"]["code"], 400, "{faulty}");
            assert_eq!(answer.get("data"), None, "{faulty}");
        }
    }

    #[test]
    fn the_servers_of_an_answer_are_heard_with_the_ports_that_were_dialed() {
        let answer = br#"{"server":{},"data":{"routes":[
            {"remote_id":"B","did_solicit":true,"ip":"10.0.0.2","port":6222},
            {"remote_id":"B","did_solicit":false,"ip":"10.0.0.2","port":50001},
            {"remote_id":"B","did_solicit":true,"ip":"10.0.0.2","port":6222},
            {"remote_id":"C","did_solicit":false,"ip":"::1","port":50002},
            {"remote_id":"D","did_solicit":true,"ip":"example.org","port":1}]}}"#;
        let neighbour = |id: &str, ip: &str, ports: &[u16]| Neighbour {
            id: id.to_owned(),
            ip: ip.parse().unwrap(),
            ports: ports.to_vec(),
        };
        assert_eq!(neighbours(answer), [neighbour("B", "10.0.0.2", &[6222]), neighbour("C", "::1", &[])]);
        for faulty in [&b""[..], b"{}", br#"{"data":{"routes":5}}"#, b"[]"] {
            assert_eq!(neighbours(faulty), []);
        }
        assert_eq!(neighbours(br#"{"data":{}}"#), []);
    }

    #[test]
    fn the_answer_of_one_node_can_be_heard_by_another() {
        let node = node();
        let answer = node.system().answer(&node, Instant::ZERO, b"").expect("it is for everybody");
        assert_eq!(neighbours(&answer), []);
        assert!(serde_json::from_slice::<Heard>(&answer).is_ok());
    }

    #[test]
    fn subjects_mean_what_they_say() {
        let system = System::new("NA", 0, Instant::ZERO);
        let meaning = |subject: &str| system.meaning(subject.as_bytes());
        assert_eq!(meaning("$SYS.REQ.SERVER.PING.ROUTEZ"), Some(Meaning::Question));
        assert_eq!(meaning("$SYS.REQ.SERVER.NA.ROUTEZ"), Some(Meaning::Question));
        assert_eq!(meaning("$SYS._INBOX.NA"), Some(Meaning::Answer));
        assert_eq!(meaning("$SYS.REQ.SERVER.NB.ROUTEZ"), None);
        let asked = question(&question_to("NB"), "NA", Some("$SYS"));
        assert_eq!(asked, b"RMSG $SYS $SYS.REQ.SERVER.NB.ROUTEZ $SYS._INBOX.NA 0\r\n\r\n");
        assert_eq!(message(None, b"a", None, b"xy"), b"RMSG a 2\r\nxy\r\n");
    }
}
