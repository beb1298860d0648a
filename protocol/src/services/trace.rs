//! What a publisher is told of a traced message (wire.md 7.10).

use std::collections::BTreeMap;

use serde::Serialize;

use super::own::Own;
use crate::hub::{Entry, Hub, Kind, Reached, Traced};
use crate::id::AccountId;
use crate::interest::Subscription;
use crate::node::Node;
use crate::wire::header;
use crate::wire::system::{self, Server};

/// What is said of one message, while it is written.
#[derive(Debug)]
pub(super) struct Telling {
    traced: Box<Traced>,
    text: Vec<u8>,
    time: String,
    /// How many of the places that it went to are written.
    written: usize,
}

/// What stands before the events, in nats-server's order.
#[derive(Debug, Serialize)]
struct Head<'a> {
    server: Server<'a>,
    request: Request,
    #[serde(skip_serializing_if = "is_zero")]
    hops: u32,
}

/// The message as it came.
#[derive(Debug, Serialize)]
struct Request {
    header: BTreeMap<String, Vec<String>>,
    msgsize: usize,
}

/// The way in, or one of the ways out.
#[derive(Debug, Default, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    ts: &'a str,
    /// 0 is a client, 1 another server.
    kind: u8,
    cid: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subj: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    sub: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    queue: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hop: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'static str,
}

/// That the message was mapped.
#[derive(Debug, Serialize)]
struct MappedEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    ts: &'a str,
    to: String,
}

impl<'a> MappedEvent<'a> {
    fn new(ts: &'a str, destination: &[u8]) -> Self {
        Self { event_type: "sm", ts, to: text(destination) }
    }
}

/// That another account has it: as a stream that it imports, or as a service that it exports or asked.
#[derive(Debug, Serialize)]
struct AccountEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    ts: &'a str,
    acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
    to: String,
}

impl Telling {
    /// Begins to tell of a message, as the `number`th time.
    pub(super) fn new(node: &Node, traced: Box<Traced>, number: u64) -> Self {
        let own = Own::new(node, traced.at);
        let server = own.server(number);
        let mut text = system::to_json(&Head { server, request: Request::new(&traced), hops: traced.hops });
        // Before the bracket that closes it.
        text.truncate(text.len() - 1);
        text.extend_from_slice(br#","events":["#);
        text.extend_from_slice(&system::to_json(&Event::way_in(&traced, &own.time)));
        if let Some(destination) = &traced.mapped {
            text.push(b',');
            text.extend_from_slice(&system::to_json(&MappedEvent::new(&own.time, destination)));
        }
        Self { traced, text, time: own.time, written: 0 }
    }

    /// Writes on. Returns how much was written, if there is more.
    pub(super) fn write(&mut self, hub: &Hub) -> Option<usize> {
        let Self { traced, text, time, written } = self;
        let before = text.len();
        let slice = traced.reached.iter().skip(*written).take(SLICE);
        for event in slice.filter_map(|reached| way_out(hub, reached, time)) {
            text.push(b',');
            text.extend_from_slice(&event);
        }
        *written += SLICE;
        (*written < traced.reached.len()).then_some(text.len() - before)
    }

    /// Where it goes, and what it says, with the end of a line.
    pub(super) fn into_message(self) -> (Box<Traced>, Vec<u8>) {
        let Self { traced, mut text, .. } = self;
        text.push(b']');
        if traced.left_out > 0 {
            // Not a field of nats-server: of how many more nothing is said.
            text.extend_from_slice(format!(",\"onehop_left_out\":{}", traced.left_out).as_bytes());
        }
        text.extend_from_slice(b"}\r\n");
        (traced, text)
    }
}

impl Request {
    fn new(traced: &Traced) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in header::pairs(&traced.header) {
            headers.entry(text(key)).or_default().push(text(value));
        }
        Self { header: headers, msgsize: traced.bytes }
    }
}

impl<'a> Event<'a> {
    fn way_in(traced: &Traced, time: &'a str) -> Self {
        let (acc, subj) = (traced.account.name().to_owned(), text(&traced.subject));
        Self { acc, subj, ..Self::at("in", &traced.publisher, time) }
    }

    fn to_client(entry: &Entry, subscription: &Subscription, time: &'a str) -> Self {
        let queue = subscription.queue().map_or_else(String::new, text);
        Self { sub: text(subscription.subject()), queue, ..Self::at("eg", entry, time) }
    }

    fn to_server(entry: &Entry, hop: Option<&str>, is_left_out: bool, time: &'a str) -> Self {
        let error = if is_left_out { NO_SUPPORT } else { "" };
        Self { hop: hop.unwrap_or_default().to_owned(), error, ..Self::at("eg", entry, time) }
    }

    fn at(event_type: &'static str, entry: &Entry, time: &'a str) -> Self {
        let kind = u8::from(entry.kind() == Kind::Route);
        Self { event_type, ts: time, kind, cid: entry.cid(), name: entry.name(), ..Self::default() }
    }
}

/// A way out as JSON; none if the connection or the account is gone.
fn way_out(hub: &Hub, reached: &Reached, time: &str) -> Option<Vec<u8>> {
    let in_account = |event_type, account: AccountId, from: &[u8], to: &[u8]| {
        let acc = hub.accounts().get(account)?.name().to_owned();
        let event = AccountEvent { event_type, ts: time, acc, from: text(from), to: text(to) };
        Some(system::to_json(&event))
    };
    let entry = |connection| hub.directory().get(connection);
    match reached {
        Reached::Client(subscription) => {
            let entry = entry(subscription.connection())?;
            Some(system::to_json(&Event::to_client(&entry, subscription, time)))
        }
        Reached::Server { route, hop, is_left_out } => {
            let event = &Event::to_server(&*entry(*route)?, hop.as_deref(), *is_left_out, time);
            Some(system::to_json(event))
        }
        Reached::Importer { account, to } => in_account("se", *account, b"", to),
        Reached::Service { account, from, to } => in_account("si", *account, from, to),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a server was not sent a message that is only traced.
const NO_SUPPORT: &str = "Not delivered because remote does not support message tracing";

/// So many events are written at once.
const SLICE: usize = 128;
