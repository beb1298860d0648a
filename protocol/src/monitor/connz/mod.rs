//! `/connz`: clients, connected and gone.
//!
//! - here: the options, and what the list is sorted by.
//! - `page`: the list, rendered piece by piece.
//! - `conn`: a connection on it.

mod conn;
mod page;

use super::Facts;
use super::format::nanos;
use super::query::{BadQuery, Listing, Query};
use super::subsz::read_page;
use conn::Candidate;

pub(super) use page::Connz;

/// What is to be shown.
#[derive(Debug, Default)]
pub(super) struct Options {
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

/// What grows along the list.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Number(u64),
    Text(&'static str),
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

    /// Whether it is one of those that are counted. What is closed is not in the global account.
    fn is_about(&self, candidate: &Candidate) -> bool {
        let is_found = candidate.closed.is_none() || candidate.named_account().is_some();
        self.account.is_empty() || (is_found && self.account == *candidate.account)
    }

    /// Whether it is one of those that are shown.
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

    /// Most orders have the largest first.
    fn order(self, facts: &Facts<'_>, candidate: &Candidate) -> Order {
        let Candidate { entry, closed, .. } = candidate;
        let (ascending, descending) = (Order::Number, |value| Order::Number(u64::MAX - value));
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
            Self::Reason => Order::Text(closed.as_ref().map_or("", |closed| closed.reason.as_str())),
            Self::RoundTrip => descending(nanos(entry.rtt())),
        }
    }
}
