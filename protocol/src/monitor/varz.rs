//! `/varz`: the server in general.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Facts;
use super::format::{Float, age, is_default, nanos};
use crate::calendar;
use crate::cluster::Cluster;
use crate::config::{HostPort, Origin, WebSocketConfig};
use crate::hub::{Kind, Totals};
use crate::identity;
use crate::node::Node;
use crate::transport::{DEFAULT_TLS_TIMEOUT, Tls};

/// What `/varz` shows, in nats-server's order.
#[derive(Debug, Serialize)]
pub(crate) struct Varz {
    server_id: String,
    server_name: String,
    version: &'static str,
    proto: i32,
    git_commit: &'static str,
    go: &'static str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_default")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    ws_connect_urls: Vec<String>,
    max_connections: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_subscriptions: i64,
    ping_interval: u64,
    ping_max: u32,
    http_host: String,
    http_port: u16,
    http_base_path: String,
    https_port: u16,
    auth_timeout: Float,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: ClusterVarz,
    gateway: Absent,
    leaf: Absent,
    mqtt: Absent,
    websocket: WebSocketVarz,
    jetstream: Absent,
    tls_timeout: Float,
    write_deadline: u64,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: Float,
    connections: usize,
    total_connections: u64,
    routes: usize,
    remotes: usize,
    leafnodes: usize,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: u64,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: String,
    config_digest: String,
    #[serde(skip_serializing_if = "is_default")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    metadata: BTreeMap<String, String>,
    feature_flags: Absent,
    #[serde(skip_serializing_if = "is_default")]
    system_account: String,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskWaits,
    #[serde(skip_serializing_if = "is_default")]
    tls_cert_not_after: String,
    /// Not a field of nats-server: in nanoseconds, for each thread.
    #[serde(skip_serializing_if = "is_default")]
    onehop_longest_turns: Vec<u64>,
}

/// The membership in a cluster; empty without one.
#[derive(Debug, Default, Serialize)]
struct ClusterVarz {
    #[serde(skip_serializing_if = "is_default")]
    name: String,
    #[serde(skip_serializing_if = "is_default")]
    addr: String,
    #[serde(skip_serializing_if = "is_default")]
    cluster_port: u16,
    #[serde(skip_serializing_if = "is_default")]
    auth_timeout: Float,
    #[serde(skip_serializing_if = "is_default")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    tls_timeout: Float,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_default")]
    pool_size: i32,
    #[serde(skip_serializing_if = "is_default")]
    write_deadline: u64,
    #[serde(skip_serializing_if = "is_default")]
    tls_cert_not_after: String,
}

/// The port for WebSockets; empty without one.
#[derive(Debug, Default, Serialize)]
struct WebSocketVarz {
    #[serde(skip_serializing_if = "is_default")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: u16,
    #[serde(skip_serializing_if = "is_default")]
    advertise: String,
    #[serde(skip_serializing_if = "is_default")]
    handshake_timeout: u64,
    #[serde(skip_serializing_if = "is_default")]
    no_tls: bool,
    #[serde(skip_serializing_if = "is_default")]
    same_origin: bool,
    #[serde(skip_serializing_if = "is_default")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    compression: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_cert_not_after: String,
}

/// A part of nats-server that this node has not.
#[derive(Debug, Serialize)]
struct Absent {}

#[derive(Debug, Serialize)]
struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

/// How the server waited for its disk, to which it writes nothing.
#[derive(Debug, Default, Serialize)]
struct DiskWaits {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

/// Gathers what `/varz` shows.
pub(crate) fn varz(node: &Node, facts: &Facts<'_>) -> Varz {
    let (hub, config, totals) = (node.hub(), node.hub().config(), node.hub().totals());
    let (info, urls) = (hub.client_info(), node.shown_urls());
    let slow = ByKind::new(Totals::get(&totals.slow_clients), Totals::get(&totals.slow_routes));
    let stale = ByKind::new(Totals::get(&totals.stale_clients), Totals::get(&totals.stale_routes));
    let (clients, routes) = (totals.traffic(Kind::Client), totals.traffic(Kind::Route));
    Varz {
        server_id: info.server_id,
        server_name: info.server_name,
        version: identity::NATS_VERSION,
        proto: info.proto,
        git_commit: "",
        go: identity::IMPLEMENTATION,
        host: info.host,
        port: info.port,
        auth_required: hub.guard().requires_authorization(),
        tls_required: info.tls_required,
        tls_verify: info.tls_verify,
        connect_urls: urls.plain,
        ws_connect_urls: urls.websocket,
        // As a limit 0 is nats-server's default; that nobody may come in is a number below.
        max_connections: if config.max_connections == 0 { -1 } else { count(config.max_connections) },
        max_subscriptions: count(config.max_subscriptions),
        ping_interval: nanos(config.ping_interval),
        ping_max: config.ping_max,
        http_host: facts.http_host.to_owned(),
        http_port: facts.http_port,
        http_base_path: config.http_base_path.clone(),
        https_port: 0,
        auth_timeout: config.auth_timeout.into(),
        max_control_line: config.max_control_line,
        max_payload: config.max_payload,
        max_pending: config.max_pending,
        cluster: cluster(node),
        gateway: Absent {},
        leaf: Absent {},
        mqtt: Absent {},
        websocket: config
            .websocket
            .as_ref()
            .map_or_else(WebSocketVarz::default, |own| WebSocketVarz::new(own, node)),
        jetstream: Absent {},
        tls_timeout: timeout(config.tls.as_ref()),
        write_deadline: nanos(config.write_deadline),
        start: facts.time(facts.start),
        now: facts.time_now(),
        uptime: age(facts.now.since(facts.start)),
        mem: facts.memory_bytes,
        cores: facts.cores,
        gomaxprocs: facts.workers,
        cpu: Float(facts.cpu_percent),
        connections: hub.directory().count(Kind::Client),
        total_connections: Totals::get(&totals.connections),
        routes: super::routez::registered(node).len(),
        remotes: node.peer_count(),
        leafnodes: 0,
        in_msgs: clients.in_messages() + routes.in_messages(),
        in_bytes: clients.in_bytes() + routes.in_bytes(),
        in_client_msgs: clients.in_messages(),
        in_client_bytes: clients.in_bytes(),
        out_msgs: clients.out_messages() + routes.out_messages(),
        out_bytes: clients.out_bytes() + routes.out_bytes(),
        out_client_msgs: clients.out_messages(),
        out_client_bytes: clients.out_bytes(),
        slow_consumers: slow.sum(),
        stale_connections: stale.sum(),
        stalled_clients: Totals::get(&totals.stalls),
        subscriptions: hub
            .accounts()
            .list()
            .iter()
            .map(|account| account.index().stats().subscriptions)
            .sum(),
        http_req_stats: totals.requests.to_map(),
        // There is no reload: what was loaded at the start is what holds.
        config_load_time: facts.time(facts.start),
        config_digest: facts.config_digest.to_owned(),
        tags: config.server_tags.clone(),
        metadata: config.server_metadata.clone(),
        feature_flags: Absent {},
        system_account: hub.system_account().map_or_else(String::new, |account| account.name().to_owned()),
        slow_consumer_stats: slow,
        stale_connection_stats: stale,
        disk_io_wait_stats: DiskWaits::default(),
        tls_cert_not_after: not_after(config.tls.as_ref()),
        onehop_longest_turns: facts.longest_turns.iter().copied().map(nanos).collect(),
    }
}

fn timeout(tls: Option<&Tls>) -> Float {
    tls.map_or(DEFAULT_TLS_TIMEOUT, |tls| tls.settings().timeout).into()
}

/// When this side's certificate ends to be valid; empty if there is none.
fn not_after(tls: Option<&Tls>) -> String {
    let seconds = tls.and_then(Tls::not_after);
    seconds.map_or_else(String::new, |seconds| calendar::rfc3339_of(seconds, 0))
}

/// A limit; -1 is none.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

fn cluster(node: &Node) -> ClusterVarz {
    match node.cluster() {
        Some(cluster) => ClusterVarz::new(&cluster),
        None => ClusterVarz { name: node.cluster_name().unwrap_or_default(), ..ClusterVarz::default() },
    }
}

impl ClusterVarz {
    fn new(cluster: &Cluster) -> Self {
        let config = cluster.config();
        Self {
            name: cluster.name().to_owned(),
            addr: config.host.clone(),
            cluster_port: cluster.port(),
            auth_timeout: config.auth_timeout.into(),
            urls: config.routes.iter().map(|url| url.authority()).collect(),
            tls_timeout: timeout(config.tls.as_ref()),
            tls_required: config.tls.is_some(),
            tls_verify: config.tls.is_some(),
            tls_cert_not_after: not_after(config.tls.as_ref()),
            pool_size: config.pool_size.map_or(-1, |size| i32::from(size.get())),
            write_deadline: config.write_deadline.map_or(0, nanos),
        }
    }
}

impl WebSocketVarz {
    fn new(config: &WebSocketConfig, node: &Node) -> Self {
        let is_default = config.handshake_timeout == WebSocketConfig::default().handshake_timeout;
        Self {
            host: config.host.clone(),
            port: node.websocket_port(),
            advertise: config.advertise.as_ref().map(HostPort::to_string).unwrap_or_default(),
            // nats-server shows none that was not chosen.
            handshake_timeout: if is_default { 0 } else { nanos(config.handshake_timeout) },
            no_tls: config.no_tls,
            same_origin: config.same_origin,
            allowed_origins: config.allowed_origins.iter().map(Origin::to_string).collect(),
            compression: config.compression,
            tls_cert_not_after: not_after(config.tls.as_ref()),
        }
    }
}

impl ByKind {
    fn new(clients: u64, routes: u64) -> Self {
        Self { clients, routes, gateways: 0, leafs: 0 }
    }

    fn sum(&self) -> u64 {
        self.clients + self.routes
    }
}
