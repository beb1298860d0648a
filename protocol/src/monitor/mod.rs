//! Monitoring: what nats-server shows over HTTP, under its field names (wire.md 8).
//!
//! This room reads what the [`Node`] with its hub and its cluster knows, and changes nothing but the hub's count of
//! requests. It does no IO and has no clock. A page is made by [`respond`] from the node and the [`Facts`] that only a
//! runtime can know; a [`Monitor`] gathers these from what the runtime tells of its [`Process`], and renders what may be
//! long piece by piece. With the feature `monitor-http`, a `http::Responder` is the server's side of a connection: bytes
//! in, bytes out. Who calls it: a runtime, for operators; and the services, which answer other servers with the same pages.
//!
//! Inside, top down:
//! - `http`: requests and answers as bytes, and who may have a connection.
//! - `process`: the [`Monitor`] of a running server.
//! - here: which page is asked for. `varz`, `healthz`, `accountz`, `accstatz`, `discoveryz`: pages that are made at once; `absent`: those of
//!   what is not here; `sharing`: what accounts have of each other.
//! - `rendering`: pages that are made piece by piece: `connz`, `routez`, `subsz`. `walk`: how they go through many
//!   subscriptions; `subscriptions`: how these are listed; `budget`: what all of them may hold.
//! - `query`, `format`, `printer`: options in, JSON out.

mod absent;
mod accountz;
mod accstatz;
mod budget;
mod connz;
mod discoveryz;
mod format;
mod healthz;
#[cfg(feature = "monitor-http")]
pub mod http;
mod printer;
mod process;
mod query;
mod rendering;
mod routez;
mod sharing;
mod subscriptions;
mod subsz;
#[cfg(test)]
mod tests;
mod varz;
mod walk;

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::id::ConnectionId;
use crate::identity;
use crate::node::Node;
use crate::time::Instant;

pub(crate) use accstatz::{Gathered, Gathering, Statistics};
pub use budget::{Budget, MAX_WAITING_BYTES};
pub use process::{Monitor, Process, Serving};
pub(crate) use query::Listing;
use query::{BadQuery, Query};
pub use rendering::{PIECE_BYTES, Progress, Rendering};
use routez::RoutezPage;

/// What monitoring shows and only a runtime knows.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The moment of the request.
    pub now: Instant,
    /// When the server started.
    pub start: Instant,
    /// The wall clock at [`Instant::ZERO`], in nanoseconds since 1970 (UTC). As long as it stays the same, so does every
    /// time that is shown of the past.
    pub unix_nanos_at_zero: u64,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// How busy the process is, in percent of one core.
    pub cpu_percent: f64,
    /// How many cores there are.
    pub cores: usize,
    /// How many of them the server uses.
    pub workers: usize,
    /// The address that monitoring is served on.
    pub http_host: &'a str,
    /// The port that monitoring is served on.
    pub http_port: u16,
    /// What the configuration file is recognised by, `sha256:…`; empty without a file.
    pub config_digest: &'a str,
    /// How many bytes wait to be written to a connection.
    pub pending_bytes: &'a dyn Fn(ConnectionId) -> u64,
    /// How long each thread was kept by one turn at the most.
    pub longest_turns: &'a [Duration],
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The content, which a HEAD request is not sent.
    pub body: String,
}

/// What a request leads to.
#[derive(Debug)]
pub enum Reply {
    /// An answer that is there.
    Whole(Response),
    /// A page that is still to be rendered, piece by piece: JSON with the status 200.
    InPieces(Box<Rendering>),
}

/// What a request finds at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Index,
    Accountz,
    Accstatz,
    Connz,
    DebugVars,
    Discoveryz,
    Gatewayz,
    Healthz,
    Ipqueuesz,
    Jsz,
    Leafz,
    Raftz,
    Routez,
    Stacksz,
    Subsz,
    Varz,
}

/// Answers a GET (or HEAD) of `target`: a path with an optional query, as it stands in the request line. A page that may be
/// long is made at once too.
pub fn respond(node: &Node, facts: &Facts<'_>, target: &str) -> Response {
    match open(node, facts, target, &Budget::default()) {
        Reply::Whole(response) => response,
        Reply::InPieces(rendering) => rendering.into_response(node, facts.pending_bytes),
    }
}

/// Begins to say in the system account which routes there are. From `max_bytes` on nothing more is listed, and no interest
/// without `has_lists`; where that leaves something out the answer says so.
pub(crate) fn routez(facts: &Facts<'_>, listing: Listing, max_bytes: usize, has_lists: bool) -> Rendering {
    Rendering::compact(Box::new(RoutezPage::limited(listing, max_bytes, has_lists)), facts)
}

/// Begins to answer.
fn open(node: &Node, facts: &Facts<'_>, target: &str, budget: &Budget) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(path) = query::unescape_path(path) else {
        return Reply::Whole(Response::bad_request("400 Bad Request"));
    };
    let base = base_of(&node.hub().config().http_base_path);
    let Some(page) = Page::behind(&base, &path) else {
        return Reply::Whole(Response::text(404, "404 page not found\n"));
    };
    node.hub().totals().requests.count(page.path());
    answer(node, facts, page, &Query::parse(query), budget)
        .unwrap_or_else(|BadQuery(why)| Reply::Whole(Response::bad_request(why)))
}

fn answer(
    node: &Node,
    facts: &Facts<'_>,
    page: Page,
    query: &Query,
    budget: &Budget,
) -> Result<Reply, BadQuery> {
    let in_pieces = |page| Reply::InPieces(Box::new(Rendering::new(page, facts, budget)));
    Ok(match page {
        Page::Index => Reply::Whole(Response::html(index(&base_of(&node.hub().config().http_base_path)))),
        Page::Varz => Reply::Whole(Response::pretty(&varz::varz(node, facts))),
        Page::Healthz => {
            let options = healthz::Options::read(query)?;
            Reply::Whole(healthz::healthz(&options, node.is_lame_duck()).into_response())
        }
        Page::Accountz => Reply::Whole(accountz::accountz(node, facts, query)?),
        Page::Accstatz => Reply::Whole(accstatz::accstatz(node, facts, query)?),
        Page::DebugVars => Reply::Whole(absent::vars(facts)),
        Page::Discoveryz => Reply::Whole(discoveryz::discoveryz(node, facts)),
        Page::Gatewayz => Reply::Whole(absent::gatewayz(node, facts, query)?),
        Page::Ipqueuesz => Reply::Whole(absent::ipqueuesz(query)?),
        Page::Jsz => Reply::Whole(absent::jsz(node, facts, query)?),
        Page::Leafz => Reply::Whole(absent::leafz(node, facts, query)?),
        Page::Raftz => Reply::Whole(absent::raftz()),
        Page::Stacksz => Reply::Whole(absent::stacksz(facts)),
        Page::Connz => in_pieces(Box::new(connz::Connz::new(connz::Options::read(query)?))),
        Page::Routez => in_pieces(Box::new(RoutezPage::new(query.listing("subs")?))),
        Page::Subsz => in_pieces(Box::new(subsz::Subsz::new(subsz::Options::read(query)?))),
    })
}

impl Page {
    /// In the order of their paths.
    const ALL: [Self; 16] = [
        Self::Index,
        Self::Accountz,
        Self::Accstatz,
        Self::Connz,
        Self::DebugVars,
        Self::Discoveryz,
        Self::Gatewayz,
        Self::Healthz,
        Self::Ipqueuesz,
        Self::Jsz,
        Self::Leafz,
        Self::Raftz,
        Self::Routez,
        Self::Stacksz,
        Self::Subsz,
        Self::Varz,
    ];

    /// The page at a path. Behind a base the index is at the base itself, without a slash at the end.
    fn behind(base: &str, path: &str) -> Option<Self> {
        match path.strip_prefix(base)? {
            "" if !base.is_empty() => Some(Self::Index),
            "/" if !base.is_empty() => None,
            path => Self::at(path),
        }
    }

    fn at(path: &str) -> Option<Self> {
        let path = if path == "/subscriptionsz" { "/subsz" } else { path };
        Self::ALL.into_iter().find(|page| page.path() == path)
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Varz => "/varz",
            Self::Connz => "/connz",
            Self::Routez => "/routez",
            Self::Subsz => "/subsz",
            Self::Healthz => "/healthz",
            Self::Accountz => "/accountz",
            Self::Accstatz => "/accstatz",
            Self::DebugVars => "/debug/vars",
            Self::Discoveryz => "/discoveryz",
            Self::Gatewayz => "/gatewayz",
            Self::Ipqueuesz => "/ipqueuesz",
            Self::Jsz => "/jsz",
            Self::Leafz => "/leafz",
            Self::Raftz => "/raftz",
            Self::Stacksz => "/stacksz",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Index => "Index",
            Self::Varz => "General",
            Self::Connz => "Connections",
            Self::Routez => "Routes",
            Self::Subsz => "Subscriptions",
            Self::Healthz => "Health",
            Self::Accountz => "Accounts",
            Self::Accstatz => "Account statistics",
            Self::DebugVars => "Process",
            Self::Discoveryz => "Discovery",
            Self::Gatewayz => "Gateways",
            Self::Ipqueuesz => "Queues",
            Self::Jsz => "JetStream",
            Self::Leafz => "Leaf nodes",
            Self::Raftz => "Raft groups",
            Self::Stacksz => "Threads",
        }
    }
}

impl Response {
    fn pretty(page: &impl Serialize) -> Self {
        Self { status: 200, content_type: JSON, body: format::pretty_json(page) }
    }

    fn html(body: String) -> Self {
        Self { status: 200, content_type: "text/html; charset=utf-8", body }
    }

    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// More wait for their pages than there is memory for.
    fn unavailable() -> Self {
        Self::text(503, "503 Service Unavailable")
    }

    fn bad_request(why: impl Into<String>) -> Self {
        Self::text(400, why)
    }
}

/// A configured base path as it stands before every path: with a slash in front and none behind. As a path of files is, it is
/// made as short as it can be.
fn base_of(configured: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in configured.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}

/// What `/` shows: where the rest is.
fn index(base: &str) -> String {
    let mut links = String::new();
    for page in Page::ALL.into_iter().filter(|page| *page != Page::Index) {
        let (path, title) = (page.path(), page.title());
        // Writing to a string cannot fail.
        let _ = writeln!(links, "<li><a href=\".{base}{path}\">{title}</a> <code>{path}</code></li>");
    }
    let (server, protocol) = (identity::IMPLEMENTATION, identity::NATS_VERSION);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{server}</title></head>\n\
         <body>\n<h1>{server}</h1>\n<p>Speaks the protocols of nats-server {protocol}.</p>\n\
         <ul>\n{links}</ul>\n</body>\n</html>\n"
    )
}

/// The content type of every page but the index.
const JSON: &str = "application/json";
