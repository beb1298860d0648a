//! `/routez`: the connections to other servers.

use std::sync::Arc;

use serde::Serialize;

use super::Facts;
use super::format::{age, is_default, round_trip};
use super::query::Listing;
use super::subscriptions::{Detail, Listed};
use crate::hub::{About, Entry, Kind};
use crate::node::Node;
use crate::wire::Permissions;

/// What `/routez` shows, in nats-server's order.
#[derive(Debug, Serialize)]
pub(crate) struct Routez {
    server_id: String,
    server_name: String,
    now: String,
    num_routes: usize,
    routes: Vec<Route>,
}

#[derive(Debug, Serialize)]
struct Route {
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
    #[serde(flatten)]
    listed: Listed,
    #[serde(skip_serializing_if = "is_default")]
    account: String,
    compression: &'static str,
}

/// Gathers what `/routez` shows.
pub(crate) fn routez(node: &Node, facts: &Facts<'_>, listing: Listing) -> Routez {
    let routes: Vec<_> = registered(node)
        .iter()
        .map(|(entry, about)| Route::new(node, facts, listing, entry, about))
        .collect();
    Routez {
        server_id: node.hub().server_id().to_owned(),
        server_name: node.hub().server_name().to_owned(),
        now: facts.time_now(),
        num_routes: routes.len(),
        routes,
    }
}

/// The routes whose handshake is over: pools first, by peer, then those that are dedicated to an account.
pub(super) fn registered(node: &Node) -> Vec<(Arc<Entry>, About)> {
    let entries = node.hub().directory().list(Kind::Route).into_iter();
    let mut routes: Vec<_> = entries
        .map(|entry| (entry.about(), entry))
        .filter(|(about, _)| !about.remote_id.is_empty())
        .map(|(about, entry)| (entry, about))
        .collect();
    routes.sort_by(|(a, a_about), (b, b_about)| {
        let place =
            |entry: &Entry, about: &About| (about.account.clone(), about.remote_id.clone(), entry.cid());
        place(a, a_about).cmp(&place(b, b_about))
    });
    routes
}

impl Route {
    fn new(node: &Node, facts: &Facts<'_>, listing: Listing, entry: &Entry, about: &About) -> Self {
        let peer = PeerFacts::new(node, &about.remote_id);
        let (subscriptions, listed) = interest(node, listing, entry, about);
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
            subscriptions,
            listed,
            account: about.account.clone().unwrap_or_default(),
            compression: peer.compression,
        }
    }
}

/// What the cluster knows of the peer behind a route.
struct PeerFacts {
    did_solicit: bool,
    is_configured: bool,
    import: Option<Permissions>,
    export: Option<Permissions>,
    compression: &'static str,
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
            // This node never compresses; a server from before 2.10 cannot.
            compression: if speaks_of_compression { "off" } else { "not supported" },
        }
    }
}

/// How much interest a route brought, and the list of it. Subscriptions are named after their account where the route
/// carries several.
fn interest(node: &Node, listing: Listing, entry: &Entry, about: &About) -> (usize, Listed) {
    let interest = entry.interest();
    let mut all = Listed::default();
    if listing != Listing::None {
        for account in node.hub().accounts().list() {
            let Some(held) = interest.of(account.id()) else { continue };
            let named = about.account.is_none().then(|| account.name());
            let subscriptions = held.to_vec();
            all.append(Listed::new(listing, subscriptions.iter(), |subscription| {
                Detail::of_route(named, entry.cid(), subscription)
            }));
        }
    }
    (interest.len(), all)
}
