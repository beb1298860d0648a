//! `/routez`: the connections to other servers.
//!
//! - here: what is shown of a route.
//! - `page`: the list of them, rendered piece by piece.

mod page;

use std::sync::Arc;

use serde::Serialize;

use super::Facts;
use super::format::{age, is_default, round_trip};
use crate::accounts::Account;
use crate::cluster::shown;
use crate::hash::Position;
use crate::hub::{About, Entry, Kind};
use crate::interest::Subscription;
use crate::node::Node;
use crate::wire::Permissions;

pub(super) use page::RoutezPage;

/// What stands before the list.
#[derive(Debug, Serialize)]
struct Head {
    server_id: String,
    server_name: String,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<Permissions>,
    num_routes: usize,
}

/// What is shown of a route before the list of its interest.
#[derive(Debug, Serialize)]
struct RouteStart {
    rid: u64,
    remote_id: String,
    remote_name: String,
    did_solicit: bool,
    is_configured: bool,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    rtt: String,
    uptime: String,
    idle: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<Permissions>,
    pending_size: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
}

/// What is shown of it after that.
#[derive(Debug, Serialize)]
struct RouteRest {
    #[serde(skip_serializing_if = "is_default")]
    account: String,
    compression: &'static str,
    /// The server that it passes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    onehop_relay: Option<String>,
}

/// The routes whose handshake is over: pools first, by peer, then those that are dedicated to an account.
pub(super) fn registered(node: &Node) -> Vec<(Arc<Entry>, About)> {
    let mut routes = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let (entries, after) = node.hub().directory().slice(Kind::Route, from);
        let entries = entries.into_iter().map(|entry| (entry.about(), entry));
        let entries = entries.filter(|(about, _)| !about.remote_id.is_empty());
        routes.extend(entries.map(|(about, entry)| (entry, about)));
        next = after;
    }
    routes.sort_by_cached_key(|(entry, about)| (about.account.clone(), about.remote_id.clone(), entry.cid()));
    routes
}

impl Head {
    fn new(node: &Node, facts: &Facts<'_>, num_routes: usize) -> Self {
        let config = node.hub().config();
        let permissions = config.cluster.as_ref().map(|cluster| &cluster.permissions);
        Self {
            server_id: node.hub().server_id().to_owned(),
            server_name: node.hub().server_name().to_owned(),
            now: facts.time_now(),
            import: permissions.and_then(|own| shown(&own.import)),
            export: permissions.and_then(|own| shown(&own.export)),
            num_routes,
        }
    }
}

/// What is shown of a route, but for the list.
fn route(node: &Node, facts: &Facts<'_>, entry: &Entry, about: &About) -> (RouteStart, RouteRest) {
    let peer = PeerFacts::new(node, &about.remote_id);
    let rest = RouteRest {
        account: about.account.clone().unwrap_or_default(),
        compression: about.compression.unwrap_or(peer.uncompressed),
        onehop_relay: about.relay.clone(),
    };
    (RouteStart::new(facts, entry, about, peer), rest)
}

impl RouteStart {
    fn new(facts: &Facts<'_>, entry: &Entry, about: &About, peer: PeerFacts) -> Self {
        let traffic = entry.traffic();
        Self {
            rid: entry.cid(),
            remote_id: about.remote_id.clone(),
            remote_name: about.name.clone(),
            did_solicit: peer.did_solicit,
            is_configured: peer.is_configured,
            ip: entry.remote().ip().to_string(),
            port: entry.remote().port(),
            start: facts.time(entry.start()),
            last_activity: facts.time(entry.last_activity()),
            rtt: round_trip(entry.rtt()),
            uptime: age(facts.now.since(entry.start())),
            idle: age(facts.now.since(entry.last_activity())),
            import: peer.import,
            export: peer.export,
            pending_size: (facts.pending_bytes)(entry.id()),
            in_msgs: traffic.in_messages(),
            out_msgs: traffic.out_messages(),
            in_bytes: traffic.in_bytes(),
            out_bytes: traffic.out_bytes(),
            subscriptions: entry.interest().len(),
        }
    }
}

/// What the cluster knows of the peer behind a route.
struct PeerFacts {
    did_solicit: bool,
    is_configured: bool,
    import: Option<Permissions>,
    export: Option<Permissions>,
    /// What is said of compression where there is none.
    uncompressed: &'static str,
}

impl PeerFacts {
    fn new(node: &Node, peer: &str) -> Self {
        let cluster = node.cluster();
        let info = cluster.as_ref().and_then(|cluster| cluster.peer_info(peer));
        let (did_solicit, is_configured) =
            cluster.as_ref().map(|cluster| cluster.solicitation(peer)).unwrap_or_default();
        let speaks_of_compression = info.is_some_and(|info| !info.compression.is_empty());
        Self {
            did_solicit,
            is_configured,
            import: info.and_then(|info| info.import.clone()),
            export: info.and_then(|info| info.export.clone()),
            // A server from before 2.10 cannot.
            uncompressed: if speaks_of_compression { "off" } else { "not supported" },
        }
    }
}

/// Shows a shard of what a route brought in one account, and returns where the next one begins.
fn look(
    entry: &Entry,
    account: &Account,
    at: Position,
    each: &mut dyn FnMut(&Arc<Subscription>),
) -> Option<Position> {
    entry.interest().of(account.id())?.visit(at, each)
}

/// Subscriptions are named after their account where the route carries several.
fn sid_account<'a>(about: &About, account: &'a str) -> Option<&'a str> {
    about.account.is_none().then_some(account)
}
