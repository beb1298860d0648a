//! The text of what servers ask each other in the system account: which routes another has (wire.md 10.3). Pure: who asks
//! and who answers is decided elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::encode::push_decimal;
use super::json::{self, InvalidJson};

/// Asks every server of the cluster for its routes.
pub const QUESTION_TO_ALL: &str = "$SYS.REQ.SERVER.PING.ROUTEZ";

/// The subject on which one server alone is asked for its routes.
pub fn question_to(server_id: &str) -> String {
    format!("$SYS.REQ.SERVER.{server_id}.ROUTEZ")
}

/// The subject on which one server alone is asked to read its configuration again.
pub(crate) fn reload_of(server_id: &str) -> String {
    format!("$SYS.REQ.SERVER.{server_id}.RELOAD")
}

/// Where answers to a server's own questions come.
pub fn inbox_of(server_id: &str) -> String {
    format!("$SYS._INBOX.{server_id}")
}

/// The message that asks, on this subject, which routes a server has; `account` as it stands on the line.
pub fn question(subject: &str, asker: &str, account: Option<&str>) -> Vec<u8> {
    message(account.map(str::as_bytes), subject.as_bytes(), Some(&inbox_of(asker)), b"")
}

/// A message in the system account, as a route carries it.
pub fn message(account: Option<&[u8]>, subject: &[u8], reply: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut line = b"RMSG ".to_vec();
    for word in account.into_iter().chain([subject]).chain(reply.map(str::as_bytes)) {
        line.extend_from_slice(word);
        line.push(b' ');
    }
    push_decimal(&mut line, body.len() as u64);
    [&line, b"\r\n".as_slice(), body, b"\r\n"].concat()
}

/// Whom a question is for, and what it wants to know.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    /// The subjects of each route's interest.
    pub subscriptions: bool,
    /// All that is known of each route's interest.
    pub subscriptions_detail: bool,
    server_name: String,
    cluster: String,
    host: String,
    exact_match: bool,
    tags: Vec<String>,
    domain: String,
}

impl Question {
    /// The question that a message carries; an empty one asks everybody.
    ///
    /// # Errors
    ///
    /// It is no question.
    pub fn from_payload(payload: &[u8]) -> Result<Self, InvalidJson> {
        match payload.trim_ascii() {
            b"" => Ok(Self::default()),
            text => json::read(text),
        }
    }

    /// Whether it is for this server, if that has no domain. Tags stand in lower case; all that are asked for must be there.
    pub fn is_for(&self, server_name: &str, cluster: &str, host: &str, tags: &[String]) -> bool {
        let asks_for = |filter: &str, of: &str| {
            filter.is_empty() || if self.exact_match { filter == of } else { of.contains(filter) }
        };
        asks_for(&self.server_name, server_name)
            && asks_for(&self.cluster, cluster)
            && asks_for(&self.host, host)
            && self.tags.iter().all(|tag| tags.contains(&tag.to_lowercase()))
            && self.domain.is_empty()
    }
}

/// An answer: who gives it, and what was asked for or why not.
#[derive(Debug, Serialize)]
pub struct Answer<'a, T> {
    /// Who answers.
    pub server: Server<'a>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Fault>,
}

/// What every server says of itself in such messages (wire.md 10.2).
#[derive(Debug, Serialize)]
pub struct Server<'a> {
    /// Its name.
    pub name: &'a str,
    /// The address that its clients connect to.
    pub host: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Its cluster.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster: &'a str,
    /// The version of nats-server that it is like.
    pub ver: &'a str,
    /// What it may be chosen by.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub tags: &'a [String],
    /// What its operator says of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: &'a BTreeMap<String, String>,
    /// Whether it keeps streams.
    pub jetstream: bool,
    /// What else it can do; zero is nothing.
    pub flags: u32,
    /// The number of this message among all that it sends of this kind.
    pub seq: u64,
    /// Now, as RFC 3339.
    pub time: String,
}

/// Why a question has no answer.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// As an HTTP status.
    pub code: u32,
    /// In words.
    pub description: String,
}

impl<T: Serialize> Answer<'_, T> {
    /// Its text.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// The text of anything that servers say of themselves.
pub(crate) fn to_json(what: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    json::write(&mut text, what);
    text
}

/// The subjects on which a server says how many clients it has in an account, the older first.
pub(crate) fn subjects_of_clients(account: &str) -> [String; 2] {
    [format!("$SYS.SERVER.ACCOUNT.{account}.CONNS"), format!("$SYS.ACCOUNT.{account}.SERVER.CONNS")]
}

/// Where all servers say that.
pub(crate) const CLIENTS_OF_ALL: &str = "$SYS.SERVER.ACCOUNT.*.CONNS";

/// Asks all servers that.
pub(crate) fn question_for_clients(account: &str) -> String {
    format!("$SYS.REQ.ACCOUNT.{account}.CONNS")
}

/// Where a server hears the answers.
pub(crate) fn inbox_for_clients(server_id: &str) -> String {
    format!("$SYS._INBOX.{server_id}.CONNS")
}

/// How many clients a server says that it has in an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientsTold {
    /// Its id.
    pub(crate) server: String,
    /// The name of the account.
    pub(crate) account: String,
    pub(crate) clients: usize,
}

/// What a message says of the clients in an account; none if it says nothing of them or is longer than [`MAX_TOLD_BYTES`].
pub(crate) fn clients_told(text: &[u8]) -> Option<ClientsTold> {
    #[derive(Deserialize)]
    struct Heard {
        server: HeardServer,
        acc: String,
        conns: usize,
    }
    #[derive(Deserialize)]
    struct HeardServer {
        id: String,
    }
    let heard: Heard =
        Some(text).filter(|text| text.len() <= MAX_TOLD_BYTES).map(serde_json::from_slice)?.ok()?;
    Some(ClientsTold { server: heard.server.id, account: heard.acc, clients: heard.conns })
}

/// What other servers say of an account is read up to so many bytes.
pub(crate) const MAX_TOLD_BYTES: usize = 16 * 1024;

/// A server that another has routes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its id.
    pub id: String,
    /// Where the other has its routes to.
    pub ip: IpAddr,
    /// Ports that it may have been dialed at. nats-server calls a connection that it accepted a dialed one as well, once a
    /// duplicate of it was dialed (wire.md 3.5), so that some are those of outgoing connections.
    pub ports: Vec<u16>,
}

/// The servers that an answer names, each once; none if it is longer than [`MAX_ANSWER_BYTES`].
pub fn neighbours(answer: &[u8]) -> Vec<Neighbour> {
    if answer.len() > MAX_ANSWER_BYTES {
        return Vec::new();
    }
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

/// A longer answer is not read: about a thousand servers, and a few milliseconds.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A longer question is none: all that one may say takes a few hundred bytes.
pub const MAX_QUESTION_BYTES: usize = 4 * 1024;

/// No more routes of one server are heard of: a thousand peers, each with the usual pool of three and one for the system
/// account.
const MAX_ROUTES: usize = 4096;

/// A server id is 56 bytes; longer names than this are none.
const MAX_ID_BYTES: usize = 256;

/// Not more ports of one server are tried: as many as two servers usually have connections.
pub(crate) const MAX_PORTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_a_server_says_of_its_clients_is_read_up_to_a_limit() {
        let told = |padding: usize| {
            let padding = "x".repeat(padding);
            let text = format!(r#"{{"server":{{"id":"B"}},"acc":"A","conns":7,"padding":"{padding}"}}"#);
            clients_told(text.as_bytes())
        };
        let expected = ClientsTold { server: "B".to_owned(), account: "A".to_owned(), clients: 7 };
        assert_eq!(told(MAX_TOLD_BYTES / 2), Some(expected));
        assert_eq!(told(MAX_TOLD_BYTES), None);
        for faulty in
            [&b""[..], b"{}", br#"{"server":{"id":"B"},"acc":"A"}"#, br#"{"server":{},"acc":"A","conns":1}"#]
        {
            assert_eq!(clients_told(faulty), None);
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_read() {
        let answer = |padding: usize| {
            let route = r#"{"remote_id":"B","ip":"10.0.0.2","port":1}"#;
            format!(r#"{{"data":{{"routes":[{route}]}},"padding":"{}"}}"#, "x".repeat(padding)).into_bytes()
        };
        assert_eq!(neighbours(&answer(MAX_ANSWER_BYTES / 2)).len(), 1);
        assert_eq!(neighbours(&answer(MAX_ANSWER_BYTES)), []);
    }

    #[test]
    fn no_more_routes_of_one_answer_are_heard_than_a_large_cluster_has() {
        let route = |n: usize| format!(r#"{{"remote_id":"S{n}","ip":"10.0.0.2","port":1}}"#);
        let routes: Vec<_> = (0..MAX_ROUTES + 10).map(route).collect();
        let answer = format!(r#"{{"data":{{"routes":[{}]}}}}"#, routes.join(","));
        assert_eq!(neighbours(answer.as_bytes()).len(), MAX_ROUTES);
    }

    #[test]
    fn a_server_with_an_endless_name_is_left_out_of_an_answer_and_few_ports_of_one_are_heard() {
        let route = |id: &str, port: usize| {
            format!(r#"{{"remote_id":"{id}","did_solicit":true,"ip":"10.0.0.2","port":{port}}}"#)
        };
        let mut routes: Vec<_> = (1..=MAX_PORTS + 3).map(|port| route("B", port)).collect();
        routes.push(route(&"C".repeat(MAX_ID_BYTES), 1));
        routes.push(route(&"D".repeat(MAX_ID_BYTES + 1), 1));
        let answer = format!(r#"{{"data":{{"routes":[{}]}}}}"#, routes.join(","));
        let heard: Vec<_> =
            neighbours(answer.as_bytes()).iter().map(|it| (it.id.len(), it.ports.len())).collect();
        assert_eq!(heard, [(1, MAX_PORTS), (MAX_ID_BYTES, 1)]);
    }

    #[test]
    fn messages_are_written_as_routes_carry_them() {
        let asked = question(&question_to("NB"), "NA", Some("$SYS"));
        assert_eq!(asked, b"RMSG $SYS $SYS.REQ.SERVER.NB.ROUTEZ $SYS._INBOX.NA 0\r\n\r\n");
        assert_eq!(message(None, b"a", None, b"xy"), b"RMSG a 2\r\nxy\r\n");
    }
}
