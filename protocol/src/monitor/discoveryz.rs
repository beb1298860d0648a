//! `/discoveryz`, which nats-server has not: where servers were looked for, and what came of that (wire.md 14.5).

use serde::Serialize;

use super::format::is_default;
use super::{Facts, Response};
use crate::cluster::Cluster;
use crate::config::{HostPort, Source};
use crate::discovery::{Counts, ReachedAt, Shown, State};
use crate::node::Node;

#[derive(Debug, Serialize)]
struct Discoveryz {
    server_id: String,
    now: String,
    sources: Vec<OfSource>,
}

/// What one source told.
#[derive(Debug, Serialize)]
struct OfSource {
    name: String,
    told: u64,
    left_out: u64,
    tried: u64,
    joined: u64,
    failed: u64,
    candidates: Vec<OfCandidate>,
    /// What it knows of where this node is reached.
    #[serde(skip_serializing_if = "is_default")]
    reached_at: String,
    #[serde(skip_serializing_if = "is_default")]
    client_reached_at: String,
    #[serde(skip_serializing_if = "is_default")]
    failure: String,
}

#[derive(Debug, Serialize)]
struct OfCandidate {
    address: String,
    #[serde(skip_serializing_if = "is_default")]
    server_id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    failures: u32,
    /// When it is tried, if it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try: Option<String>,
}

pub(super) fn discoveryz(node: &Node, facts: &Facts<'_>) -> Response {
    let sources = node.cluster().map_or_else(Vec::new, |cluster| {
        Source::ALL.into_iter().map(|source| OfSource::new(source, &cluster, facts)).collect()
    });
    let server_id = node.hub().server_id().to_owned();
    Response::pretty(&Discoveryz { server_id, now: facts.time_now(), sources })
}

impl OfSource {
    fn new(source: Source, cluster: &Cluster, facts: &Facts<'_>) -> Self {
        let candidates = cluster.candidates();
        let ReachedAt { route, client, failure } = cluster.told_by(source).cloned().unwrap_or_default();
        let shown_address = |address: Option<HostPort>| address.as_ref().map(HostPort::to_string);
        let Counts { told, left_out, tried, joined, failed } = candidates.counts(source);
        let shown = candidates.shown(source).map(|shown| OfCandidate::new(&shown, facts)).collect();
        Self {
            name: source.to_string(),
            told,
            left_out,
            tried,
            joined,
            failed,
            candidates: shown,
            reached_at: shown_address(route).unwrap_or_default(),
            client_reached_at: shown_address(client).unwrap_or_default(),
            failure: failure.unwrap_or_default(),
        }
    }
}

impl OfCandidate {
    fn new(shown: &Shown<'_>, facts: &Facts<'_>) -> Self {
        let (state, next_try) = match shown.state {
            State::Waits(at) => ("waiting", Some(facts.time(at))),
            State::UnderWay => ("trying", None),
            State::Member => ("member", None),
            State::Itself => ("self", None),
        };
        Self {
            address: shown.address.to_string(),
            server_id: shown.server_id.unwrap_or_default().to_owned(),
            state,
            failures: shown.failures,
            next_try,
        }
    }
}
