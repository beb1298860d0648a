//! `/connz`: clients, connected and gone.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Facts;
use super::format::{age, is_default, nanos, round_trip};
use super::query::{BadQuery, Listing, Query};
use super::subscriptions::{Detail, Listed};
use super::subsz::read_page;
use crate::hub::{Closed, Entry, Kind};
use crate::interest::Subscription;
use crate::node::Node;

/// What is to be shown.
#[derive(Debug, Default)]
pub(crate) struct Options {
    sort: Sort,
    auth: bool,
    listing: Listing,
    offset: usize,
    limit: usize,
    /// Only this connection, unless it is zero.
    cid: u64,
    state: State,
    user: String,
    account: String,
    mqtt_client: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Closed,
    Any,
}

/// What decides the order; the number of the connection decides between equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Cid,
    Start,
    Subscriptions,
    Pending,
    MessagesTo,
    MessagesFrom,
    BytesTo,
    BytesFrom,
    Last,
    Idle,
    Uptime,
    Stop,
    Reason,
    RoundTrip,
}

/// What `/connz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
pub(crate) struct Connz {
    server_id: String,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Option<Vec<Conn>>,
}

#[derive(Debug, Serialize)]
struct Conn {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    protocol: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "is_default")]
    stop: String,
    #[serde(skip_serializing_if = "is_default")]
    reason: &'static str,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "is_default")]
    name: String,
    #[serde(skip_serializing_if = "is_default")]
    lang: String,
    #[serde(skip_serializing_if = "is_default")]
    version: String,
    #[serde(skip_serializing_if = "is_default")]
    authorized_user: String,
    #[serde(flatten)]
    listed: Listed,
    #[serde(skip_serializing_if = "is_default")]
    name_tag: String,
}

impl Options {
    pub(super) fn read(query: &Query) -> Result<Self, BadQuery> {
        let auth = query.flag("auth")?;
        let listing = query.listing("subs")?;
        let (offset, limit) = read_page(query)?;
        let cid = query.uint("cid")?;
        let state = State::read(query.text("state"))?;
        Ok(Self {
            sort: Sort::read(query.text("sort"), state)?,
            auth,
            listing,
            offset: if cid > 0 { 0 } else { offset },
            limit: if cid > 0 { 1 } else { limit },
            cid,
            state,
            user: query.text("user").to_owned(),
            account: query.text("acc").to_owned(),
            mqtt_client: query.text("mqtt_client").to_owned(),
        })
    }

    fn wants(&self, candidate: &Candidate) -> bool {
        (self.cid == 0 || self.cid == candidate.entry.cid())
            && (self.user.is_empty() || candidate.entry.about().user.as_ref() == Some(&self.user))
            // Nobody here speaks MQTT.
            && self.mqtt_client.is_empty()
    }
}

impl State {
    fn read(text: &str) -> Result<Self, BadQuery> {
        match text.to_ascii_lowercase().as_str() {
            "" | "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            "any" | "all" => Ok(Self::Any),
            _ => Err(BadQuery(format!("Error decoding state for {text}"))),
        }
    }
}

impl Sort {
    fn read(text: &str, state: State) -> Result<Self, BadQuery> {
        let sort = match text {
            "" | "cid" => Self::Cid,
            "start" => Self::Start,
            "subs" => Self::Subscriptions,
            "pending" => Self::Pending,
            "msgs_to" => Self::MessagesTo,
            "msgs_from" => Self::MessagesFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::RoundTrip,
            _ => return Err(BadQuery(format!("invalid sorting option: {text}"))),
        };
        if matches!(sort, Self::Stop | Self::Reason) && state != State::Closed {
            return Err(BadQuery(format!("sort by {text} only valid on closed connections")));
        }
        Ok(sort)
    }

    /// A number that grows along the list, and a text for reasons. Most orders have the largest first.
    fn key(self, facts: &Facts<'_>, candidate: &Candidate) -> (Reverse<u64>, u64, &'static str) {
        let Candidate { entry, closed, .. } = candidate;
        let (ascending, descending) = (|value| (Reverse(0), value, ""), |value| (Reverse(value), 0, ""));
        match self {
            Self::Cid => ascending(entry.cid()),
            Self::Start => ascending(entry.start().as_nanos()),
            Self::Subscriptions => descending(candidate.subscription_count() as u64),
            Self::Pending => descending(candidate.pending_bytes(facts)),
            Self::MessagesTo => descending(entry.traffic().out_messages()),
            Self::MessagesFrom => descending(entry.traffic().in_messages()),
            Self::BytesTo => descending(entry.traffic().out_bytes()),
            Self::BytesFrom => descending(entry.traffic().in_bytes()),
            Self::Last => descending(entry.last_activity().as_nanos()),
            // Who is silent for longest comes first, closed or not.
            Self::Idle => ascending(entry.last_activity().as_nanos()),
            Self::Uptime => ascending(nanos(candidate.uptime(facts))),
            Self::Stop => descending(closed.as_ref().map_or(0, |closed| closed.stop.as_nanos())),
            Self::Reason => (Reverse(0), 0, closed.as_ref().map_or("", |closed| closed.reason.as_str())),
            Self::RoundTrip => descending(nanos(entry.rtt())),
        }
    }
}

/// Gathers what `/connz` shows.
pub(crate) fn connz(node: &Node, facts: &Facts<'_>, options: &Options) -> Connz {
    let is_known =
        options.account.is_empty() || node.hub().accounts().find(options.account.as_bytes()).is_some();
    if !is_known {
        // nats-server answers so, without its id and with null for a list.
        return Connz::new("", facts, options, 0, None);
    }
    let mut candidates = candidates(node, options);
    let total = candidates.len();
    candidates.retain(|candidate| options.wants(candidate));
    candidates.sort_by_cached_key(|candidate| (options.sort.key(facts, candidate), candidate.entry.cid()));
    let page = candidates.iter().skip(options.offset).take(options.limit);
    let page = page.map(|candidate| Conn::new(facts, options, candidate)).collect();
    Connz::new(node.hub().server_id(), facts, options, total, Some(page))
}

/// All connections of the wanted state and account. Those that are closed count as in no account.
fn candidates(node: &Node, options: &Options) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    if options.state != State::Closed {
        let open = node.hub().directory().list(Kind::Client).into_iter();
        let open = open.map(|entry| Candidate { account: account_name(node, &entry), entry, closed: None });
        candidates.extend(open.filter(|open| options.account.is_empty() || options.account == *open.account));
    }
    if options.state != State::Open && options.account.is_empty() {
        let closed = node.hub().closed().to_vec().into_iter();
        candidates.extend(closed.map(|closed| Candidate {
            entry: closed.entry.clone(),
            account: closed.account.clone(),
            closed: Some(closed),
        }));
    }
    candidates
}

fn account_name(node: &Node, entry: &Entry) -> Arc<str> {
    node.hub().account_of(entry).map_or_else(|| "".into(), |account| account.shared_name())
}

/// A connection that may be shown.
struct Candidate {
    entry: Arc<Entry>,
    /// The name of its account.
    account: Arc<str>,
    closed: Option<Arc<Closed>>,
}

impl Candidate {
    /// Until when its times are counted.
    fn end(&self, facts: &Facts<'_>) -> crate::time::Instant {
        self.closed.as_ref().map_or(facts.now, |closed| closed.stop)
    }

    fn uptime(&self, facts: &Facts<'_>) -> Duration {
        self.end(facts).since(self.entry.start())
    }

    fn pending_bytes(&self, facts: &Facts<'_>) -> u64 {
        if self.closed.is_some() { 0 } else { (facts.pending_bytes)(self.entry.id()) }
    }

    fn subscription_count(&self) -> usize {
        self.closed
            .as_ref()
            .map_or_else(|| self.entry.subscriptions().len(), |closed| closed.subscription_count)
    }

    fn listed(&self, listing: Listing) -> Listed {
        // As in nats-server, only those of closed connections are shown with their account.
        let account = self.closed.as_ref().map(|_| &*self.account);
        let detail = |subscription: &Subscription| Detail::of_client(account, self.entry.cid(), subscription);
        match &self.closed {
            Some(closed) => Listed::new(listing, closed.subscriptions.iter(), detail),
            None if listing == Listing::None => Listed::default(),
            None => Listed::new(listing, self.entry.subscriptions().to_vec().iter(), detail),
        }
    }
}

impl Connz {
    fn new(
        server_id: &str,
        facts: &Facts<'_>,
        options: &Options,
        total: usize,
        connections: Option<Vec<Conn>>,
    ) -> Self {
        Self {
            server_id: server_id.to_owned(),
            now: facts.time_now(),
            num_connections: connections.as_ref().map_or(0, Vec::len),
            total,
            offset: options.offset,
            limit: options.limit,
            connections,
        }
    }
}

impl Conn {
    fn new(facts: &Facts<'_>, options: &Options, candidate: &Candidate) -> Self {
        let Candidate { entry, account, closed } = candidate;
        let (about, traffic) = (entry.about(), entry.traffic());
        Self {
            cid: entry.cid(),
            kind: "Client",
            protocol: "nats",
            ip: entry.remote().ip().to_string(),
            port: entry.remote().port(),
            start: facts.time(entry.start()),
            last_activity: facts.time(entry.last_activity()),
            stop: closed.as_ref().map(|closed| facts.time(closed.stop)).unwrap_or_default(),
            reason: closed.as_ref().map_or("", |closed| closed.reason.as_str()),
            rtt: round_trip(entry.rtt()),
            uptime: age(candidate.uptime(facts)),
            idle: age(candidate.end(facts).since(entry.last_activity())),
            pending_bytes: candidate.pending_bytes(facts),
            in_msgs: traffic.in_messages(),
            out_msgs: traffic.out_messages(),
            in_bytes: traffic.in_bytes(),
            out_bytes: traffic.out_bytes(),
            subscriptions: candidate.subscription_count(),
            name: about.name,
            lang: about.lang,
            version: about.version,
            authorized_user: about.user.filter(|_| options.auth).unwrap_or_default(),
            listed: candidate.listed(options.listing),
            name_tag: if options.auth && closed.is_none() { account.to_string() } else { String::new() },
        }
    }
}
