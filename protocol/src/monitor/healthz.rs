//! `/healthz`: whether the server is fit to serve.

use serde::Serialize;

use super::format::{compact_json, is_default};
use super::query::{BadQuery, Query};
use super::{JSON, Response};

/// What is to be checked. Only JetStream has more to check than that the server answers; of its options no more is
/// heeded than what nats-server without JetStream heeds.
#[derive(Debug, Default)]
pub(crate) struct Options {
    account: String,
    stream: String,
    consumer: String,
    details: bool,
}

/// The verdict.
#[derive(Debug, Serialize)]
pub(crate) struct Healthz {
    #[serde(skip)]
    status_code: u16,
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    error: String,
    #[serde(skip_serializing_if = "is_default")]
    errors: Vec<Fault>,
}

/// One of the reasons for a bad verdict.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: &'static str,
    error: String,
}

impl Options {
    pub(super) fn read(query: &Query) -> Result<Self, BadQuery> {
        for flag in ["js-enabled-only", "js-enabled", "js-server-only", "js-meta-only"] {
            query.flag(flag)?;
        }
        Ok(Self {
            account: query.text("account").to_owned(),
            stream: query.text("stream").to_owned(),
            consumer: query.text("consumer").to_owned(),
            details: query.flag("details")?,
        })
    }
}

/// Says whether the server is healthy: it is if it can answer and takes clients in.
pub(crate) fn healthz(options: &Options, is_lame_duck: bool) -> Healthz {
    let (status_code, kind, why) = if options.account.is_empty() && !options.stream.is_empty() {
        (400, "BAD_REQUEST", "\"account\" must not be empty when checking stream health")
    } else if options.stream.is_empty() && !options.consumer.is_empty() {
        (400, "BAD_REQUEST", "\"stream\" must not be empty when checking consumer health")
    } else if is_lame_duck {
        (500, "CONNECTION", "failed to be ready for connections after 1ms: server")
    } else {
        return Healthz { status_code: 200, status: "ok", error: String::new(), errors: Vec::new() };
    };
    let unwell = Healthz { status_code, status: "error", error: String::new(), errors: Vec::new() };
    if options.details {
        return Healthz { errors: vec![Fault { kind, error: why.to_owned() }], ..unwell };
    }
    Healthz { error: why.to_owned(), ..unwell }
}

impl Healthz {
    pub(super) fn into_response(self) -> Response {
        Response { status: self.status_code, content_type: JSON, body: compact_json(&self) }
    }
}
