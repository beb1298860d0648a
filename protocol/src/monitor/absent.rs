//! Pages of what this node has none of, as nats-server shows them where it has none either; and those of a Go process, as far
//! as they mean something here.

use serde::Serialize;
use serde_json::{Value, json};

use super::query::{BadQuery, Query};
use super::{Facts, Response};
use crate::identity;
use crate::node::Node;

/// A part of nats-server that is not here.
#[derive(Debug, Serialize)]
struct Empty {}

/// `/gatewayz`: gateways to other clusters.
pub(super) fn gatewayz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    #[derive(Debug, Serialize)]
    struct Gatewayz<'a> {
        server_id: &'a str,
        now: String,
        outbound_gateways: Empty,
        inbound_gateways: Empty,
    }
    query.flag("accs")?;
    let server_id = node.hub().server_id();
    let now = facts.time_now();
    let page = Gatewayz { server_id, now, outbound_gateways: Empty {}, inbound_gateways: Empty {} };
    Ok(Response::pretty(&page))
}

/// `/leafz`: leaf nodes.
pub(super) fn leafz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    #[derive(Debug, Serialize)]
    struct Leafz<'a> {
        server_id: &'a str,
        now: String,
        leafnodes: usize,
        leafs: [Empty; 0],
    }
    query.flag("subs")?;
    let page = Leafz { server_id: node.hub().server_id(), now: facts.time_now(), leafnodes: 0, leafs: [] };
    Ok(Response::pretty(&page))
}

/// `/jsz`: JetStream, which is disabled.
pub(super) fn jsz(node: &Node, facts: &Facts<'_>, query: &Query) -> Result<Response, BadQuery> {
    #[derive(Debug, Default, Serialize)]
    struct Jsz<'a> {
        memory: u64,
        storage: u64,
        reserved_memory: u64,
        reserved_storage: u64,
        accounts: u64,
        ha_assets: u64,
        api: Api,
        server_id: &'a str,
        now: String,
        disabled: bool,
        config: JetStreamConfig,
        streams: u64,
        consumers: u64,
        messages: u64,
        bytes: u64,
        total: u64,
    }
    #[derive(Debug, Default, Serialize)]
    struct Api {
        level: u64,
        total: u64,
        errors: u64,
    }
    #[derive(Debug, Default, Serialize)]
    struct JetStreamConfig {
        max_memory: u64,
        max_storage: u64,
    }
    for flag in ["accounts", "streams", "consumers", "config", "leader-only", "stream-leader-only", "raft"] {
        query.flag(flag)?;
    }
    for number in ["limit", "offset"] {
        query.int(number)?;
    }
    let (server_id, now) = (node.hub().server_id(), facts.time_now());
    Ok(Response::pretty(&Jsz { server_id, now, disabled: true, ..Jsz::default() }))
}

/// `/ipqueuesz`: queues within the server that something waits in.
pub(super) fn ipqueuesz(query: &Query) -> Result<Response, BadQuery> {
    query.flag("all")?;
    Ok(Response::pretty(&Empty {}))
}

/// `/raftz`: groups of servers that agree on something.
pub(super) fn raftz() -> Response {
    Response::text(404, "No Raft nodes registered")
}

/// `/stacksz`: what each thread does. There are no stacks to be shown, but how long it went on without a pause.
pub(super) fn stacksz(facts: &Facts<'_>) -> Response {
    let line = |(number, turn)| format!("thread {number}: longest turn {turn:?}\n");
    Response::text(200, facts.longest_turns.iter().enumerate().map(line).collect::<String>())
}

/// `/debug/vars`: figures of the process under their names in Go. The command line is not shown: it may hold a password.
pub(super) fn vars(facts: &Facts<'_>) -> Response {
    let page: Value = json!({
        "cmdline": [identity::IMPLEMENTATION],
        "memstats": { "Alloc": facts.memory_bytes, "Sys": facts.memory_bytes },
    });
    Response::pretty(&page)
}
