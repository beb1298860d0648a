//! Monitoring: what nats-server shows over HTTP, under its field names (wire.md 8).
//!
//! This room reads what the [`Node`] with its hub and its cluster knows, and changes nothing but the hub's count of
//! requests. It does no IO and has no clock. A page is made by [`respond`] from the node and the [`Facts`] that only a
//! runtime can know; a [`Monitor`] gathers these from what the runtime tells of its [`Process`]. With the feature
//! `monitor-http`, a `http::Responder` is the server's side of a connection: bytes in, bytes out. Who calls it: a runtime,
//! for operators; and the services, which answer other servers with the same pages.

mod connz;
mod format;
mod healthz;
#[cfg(feature = "monitor-http")]
pub mod http;
mod process;
mod query;
mod routez;
mod subscriptions;
mod subsz;
#[cfg(test)]
mod tests;
mod varz;

use std::fmt::Write;

use serde::Serialize;

use crate::id::ConnectionId;
use crate::identity;
use crate::node::Node;
use crate::time::Instant;

pub use process::{Monitor, Process, Serving};
pub(crate) use query::Listing;
use query::{BadQuery, Query};
pub(crate) use routez::{Routez, routez};

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

/// What a request finds at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Index,
    Connz,
    Healthz,
    Routez,
    Subsz,
    Varz,
}

/// Answers a GET (or HEAD) of `target`: a path with an optional query, as it stands in the request line.
pub fn respond(node: &Node, facts: &Facts<'_>, target: &str) -> Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(path) = query::unescape_path(path) else {
        return Response::bad_request("400 Bad Request");
    };
    let Some(page) = Page::at(&path) else {
        return Response::text(404, "404 page not found\n");
    };
    node.hub().totals().requests.count(page.path());
    answer(node, facts, page, &Query::parse(query)).unwrap_or_else(|BadQuery(why)| Response::bad_request(why))
}

fn answer(node: &Node, facts: &Facts<'_>, page: Page, query: &Query) -> Result<Response, BadQuery> {
    Ok(match page {
        Page::Index => Response::html(index()),
        Page::Varz => Response::pretty(&varz::varz(node, facts)),
        Page::Connz => Response::pretty(&connz::connz(node, facts, &connz::Options::read(query)?)),
        Page::Routez => Response::pretty(&routez(node, facts, query.listing("subs")?)),
        Page::Subsz => Response::pretty(&subsz::subsz(node, facts, &subsz::Options::read(query)?)),
        Page::Healthz => healthz::healthz(&healthz::Options::read(query)?).into_response(),
    })
}

impl Page {
    /// In the order of their paths.
    const ALL: [Self; 6] = [Self::Index, Self::Connz, Self::Healthz, Self::Routez, Self::Subsz, Self::Varz];

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

    fn bad_request(why: impl Into<String>) -> Self {
        Self::text(400, why)
    }
}

/// What `/` shows: where the rest is.
fn index() -> String {
    let mut links = String::new();
    for page in Page::ALL.into_iter().filter(|page| *page != Page::Index) {
        let (path, title) = (page.path(), page.title());
        // Writing to a string cannot fail.
        let _ = writeln!(links, "<li><a href=\".{path}\">{title}</a> <code>{path}</code></li>");
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
