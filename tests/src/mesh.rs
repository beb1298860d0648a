//! Clusters of servers, and waiting for every pair of members to be connected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::{Kind, Options, Server, reserve_port};

/// How many connections a pair of pooling servers has: three slots and the dedicated one of the system account.
pub const POOLED_CONNECTIONS: usize = 4;

/// How a member finds the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Each names only the one before it.
    Chain,
    /// Each names the first.
    Seed,
    /// Each names the one before it, and the first names the last.
    Ring,
}

/// Starts one server of each kind, one after the other, named `S1`, `S2`, …; `None` if one cannot be had here.
pub fn start(cluster: &str, topology: Topology, kinds: &[Kind]) -> Option<Vec<Server>> {
    // Fetch first, so that nobody waits in a half-started cluster.
    if kinds.iter().any(|kind| kind.binary().is_none()) {
        return None;
    }
    let ports: Vec<u16> = kinds.iter().map(|_| reserve_port()).collect();
    let members = kinds.iter().enumerate();
    members.map(|(index, &kind)| Server::start(kind, options(cluster, topology, &ports, index))).collect()
}

/// The same with all servers started at once, so that most find nobody at first.
pub fn start_at_once(cluster: &str, topology: Topology, kinds: &[Kind]) -> Option<Vec<Server>> {
    start_at_once_with(cluster, topology, kinds, |options| options)
}

/// The same with options that `change` made of the usual ones.
pub fn start_at_once_with(
    cluster: &str,
    topology: Topology,
    kinds: &[Kind],
    change: impl Fn(Options) -> Options,
) -> Option<Vec<Server>> {
    if kinds.iter().any(|kind| kind.binary().is_none()) {
        return None;
    }
    let ports: Vec<u16> = kinds.iter().map(|_| reserve_port()).collect();
    std::thread::scope(|scope| {
        let starting: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(index, &kind)| {
                let options = change(options(cluster, topology, &ports, index));
                scope.spawn(move || Server::start(kind, options))
            })
            .collect();
        starting.into_iter().map(|server| server.join().expect("the server starts")).collect()
    })
}

fn options(cluster: &str, topology: Topology, ports: &[u16], index: usize) -> Options {
    let known = match (topology, index) {
        (Topology::Ring, 0) => vec![ports[ports.len() - 1]],
        (_, 0) => vec![],
        (Topology::Seed, _) => vec![ports[0]],
        (Topology::Chain | Topology::Ring, _) => vec![ports[index - 1]],
    };
    let mut options = Options::member(cluster, &format!("S{}", index + 1), &known);
    options.ports.route = ports[index];
    options
}

/// The block of a configuration file for a member of the cluster `C` that listens for routes on `port` and dials `routes`, with
/// what else is to stand there.
pub fn cluster_block(port: u16, routes: &[u16], settings: &str) -> String {
    let urls: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let urls = urls.join(", ");
    format!("cluster {{ name: C, listen: \"127.0.0.1:{port}\", routes: [ {urls} ]\n{settings} }}\n")
}

/// How the routes of a server are compressed, as it says: each kind once.
pub fn compressions(server: &Server) -> Vec<String> {
    let page = server.page("/routez");
    let routes = page["routes"].as_array().into_iter().flatten();
    let modes: BTreeSet<_> =
        routes.map(|route| route["compression"].as_str().unwrap_or("-").to_owned()).collect();
    modes.into_iter().collect()
}

/// Waits until every pair of the servers is connected by exactly as many connections as its two kinds have, and by
/// connections to nobody else; tells how long that took.
///
/// # Panics
///
/// If that is not so within `timeout`, with what is missing.
pub fn wait_for_mesh(servers: &[&Server], timeout: Duration) -> Duration {
    wait_for_mesh_or_fault(servers, timeout).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The same for a mesh that may not come.
///
/// # Errors
///
/// What is missing after `timeout`.
pub fn wait_for_mesh_or_fault(servers: &[&Server], timeout: Duration) -> Result<Duration, String> {
    wait_for_connections_or_fault(servers, expected_connections, timeout)
}

/// The same where every pair is to have so many connections.
///
/// # Panics
///
/// If that is not so within `timeout`, with what is missing.
pub fn wait_for_connections(servers: &[&Server], connections: usize, timeout: Duration) {
    let waited = wait_for_connections_or_fault(servers, |_, _| connections, timeout);
    waited.unwrap_or_else(|fault| panic!("{fault}"));
}

fn wait_for_connections_or_fault(
    servers: &[&Server],
    expected: impl Fn(Kind, Kind) -> usize,
    timeout: Duration,
) -> Result<Duration, String> {
    let started = Instant::now();
    loop {
        let faults = faults(servers, &expected);
        if faults.is_empty() {
            return Ok(started.elapsed());
        }
        if started.elapsed() >= timeout {
            return Err(format!("no full mesh after {timeout:?}:\n{}", faults.join("\n")));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Waits until `done`, asking every 10 ms.
///
/// # Panics
///
/// If it does not hold within `timeout`.
pub fn wait_until(what: &str, timeout: Duration, done: impl FnMut() -> bool) {
    assert!(try_until(timeout, done), "after {timeout:?}, still not: {what}");
}

/// Whether `done` holds within `timeout`, asked every 10 ms.
pub fn try_until(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn faults(servers: &[&Server], expected: impl Fn(Kind, Kind) -> usize) -> Vec<String> {
    let pages: Vec<_> = servers.iter().map(|server| server.monitor("/routez")).collect();
    let ids: Vec<String> = pages.iter().map(|page| page.as_ref().map_or(String::new(), own_id)).collect();
    let mut faults = Vec::new();
    for (server, page) in servers.iter().zip(&pages) {
        let Ok(page) = page else {
            faults.push(format!("{}: {page:?}", server.name()));
            continue;
        };
        let mut connections = connections_by_peer(page);
        for (peer, id) in servers.iter().zip(&ids).filter(|(peer, _)| peer.name() != server.name()) {
            let wanted = expected(server.kind(), peer.kind());
            let found = connections.remove(id).unwrap_or(0);
            if found != wanted {
                faults.push(format!(
                    "{} has {found} of {wanted} connections with {}",
                    server.name(),
                    peer.name()
                ));
            }
        }
        if !connections.is_empty() {
            faults.push(format!("{} has connections with strangers: {connections:?}", server.name()));
        }
    }
    faults
}

fn expected_connections(one: Kind, other: Kind) -> usize {
    if one.pools_routes() && other.pools_routes() { POOLED_CONNECTIONS } else { 1 }
}

fn own_id(page: &Value) -> String {
    page["server_id"].as_str().unwrap_or_default().to_owned()
}

fn connections_by_peer(page: &Value) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for route in page["routes"].as_array().into_iter().flatten() {
        *count.entry(route["remote_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    count
}
