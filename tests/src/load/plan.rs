//! The loads, by name.

use std::io;
use std::time::Duration;

use super::dialect::Dialect;
use super::flow::Until;
use super::memory;
use super::node::Binary;
use super::reading::Reading;
use super::requests;
use super::tenants::Tenants;
use super::traffic::{Interest, Traffic};
use super::tunnel::Way;

/// The loads whose ratio `--check` looks at.
pub const CHECKED: [&str; 5] = ["one-to-one-16", "one-to-one-128", "fan-out-10", "route-16", "route-128"];

/// Connections of the load `memory-connection`.
const IDLE_CONNECTIONS: usize = 2000;

/// Connections of the load `memory-tls`, if so many files may be open.
const IDLE_TLS_CONNECTIONS: usize = 10_000;

/// A load with its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// What `--loads` calls it.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
}

/// What a load does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages as fast as possible.
    Traffic(Traffic),
    /// The same across a route, whose bytes are counted.
    RouteBytes(Traffic),
    /// Requests one at a time.
    Requests,
    /// Memory of a server that nobody uses.
    MemoryAtStart,
    /// Memory per idle connection.
    MemoryPerConnection(usize),
    /// The same, where it speaks TLS.
    MemoryPerTlsConnection(usize),
    /// Memory per subscription.
    MemoryPerSubscription(usize),
    /// How soon a server with so many accounts serves, and memory per subscription in them.
    Accounts(usize),
}

impl Load {
    /// Whether a server of this dialect can be put under the load.
    pub fn suits(&self, dialect: Dialect) -> bool {
        match self.kind {
            Kind::Traffic(traffic) | Kind::RouteBytes(traffic) => traffic.suits(dialect),
            Kind::MemoryAtStart | Kind::MemoryPerConnection(_) => dialect != Dialect::Copied,
            Kind::Requests
            | Kind::MemoryPerTlsConnection(_)
            | Kind::MemoryPerSubscription(_)
            | Kind::Accounts(_) => dialect == Dialect::Nats,
        }
    }

    /// About how long one run takes; `None` where that is for the server to say.
    pub fn expected(&self, until: Until) -> Option<Duration> {
        // Starting and joining servers, warming them up, and waiting for memory to settle: measured, not derived.
        let seconds = match (self.kind, until) {
            (Kind::MemoryAtStart, _) => 1.1,
            (Kind::MemoryPerConnection(_) | Kind::MemoryPerSubscription(_), _) => 2.5,
            (Kind::MemoryPerTlsConnection(_), _) => 20.0,
            (Kind::Accounts(_), _) => 8.0,
            (_, Until::Messages(_)) => return None,
            (Kind::Requests, Until::Elapsed(time)) => 0.2 + time.as_secs_f64(),
            (Kind::Traffic(traffic) | Kind::RouteBytes(traffic), Until::Elapsed(time)) => {
                let joining = if traffic.routed { 1.0 } else { 0.0 };
                0.5 + joining + time.as_secs_f64()
            }
        };
        Some(Duration::from_secs_f64(seconds))
    }

    /// Runs the load once on new servers.
    pub fn run(&self, binary: &Binary, until: Until) -> io::Result<Reading> {
        match self.kind {
            Kind::Traffic(traffic) => traffic.run(binary, until),
            Kind::RouteBytes(traffic) => traffic.count_route_bytes(binary, until),
            Kind::Requests => requests::run(binary, until),
            Kind::MemoryAtStart => memory::at_start(binary),
            Kind::MemoryPerConnection(count) => memory::per_connection(binary, count),
            Kind::MemoryPerTlsConnection(count) => memory::per_tls_connection(binary, count),
            Kind::MemoryPerSubscription(count) => memory::per_subscription(binary, count),
            Kind::Accounts(count) => memory::of_accounts(binary, count),
        }
    }
}

/// All loads in the order of the report; `big` adds those that take gigabytes.
pub fn all(big: bool) -> Vec<Load> {
    let one = Traffic::one_to_one;
    let traffic = |name, traffic| Load { name, kind: Kind::Traffic(traffic) };
    let routed = |compressed, payload_bytes| Traffic { routed: true, compressed, ..one(payload_bytes) };
    let route_bytes = |name, compressed, payload_bytes| Load {
        name,
        kind: Kind::RouteBytes(routed(compressed, payload_bytes)),
    };
    let mut loads = vec![
        traffic("one-to-one-16", one(16)),
        traffic("one-to-one-128", one(128)),
        traffic("one-to-one-1024", one(1024)),
        traffic("fan-out-10", Traffic { subscribers: 10, ..one(128) }),
        traffic("fan-out-100", Traffic { subscribers: 100, ..one(128) }),
        traffic("subjects-wildcard", Traffic { subjects: 1000, interest: Interest::Wildcard, ..one(128) }),
        traffic("subjects-each", Traffic { subjects: 1000, interest: Interest::Each, ..one(128) }),
        traffic("route-16", routed(false, 16)),
        traffic("route-128", routed(false, 128)),
        traffic("route-1024", routed(false, 1024)),
        traffic("route-s2-128", routed(true, 128)),
        traffic("route-s2-1024", routed(true, 1024)),
        route_bytes("bytes-route-1024", false, 1024),
        route_bytes("bytes-route-s2-128", true, 128),
        route_bytes("bytes-route-s2-1024", true, 1024),
        traffic("tls-16", Traffic { way: Way::Tls, ..one(16) }),
        traffic("tls-128", Traffic { way: Way::Tls, ..one(128) }),
        traffic("tls-1024", Traffic { way: Way::Tls, ..one(1024) }),
        traffic("tls-16384", Traffic { way: Way::Tls, ..one(16 * 1024) }),
        traffic("tls-fan-out-10-128", Traffic { way: Way::Tls, subscribers: 10, ..one(128) }),
        traffic("tls-fan-out-10-1024", Traffic { way: Way::Tls, subscribers: 10, ..one(1024) }),
        traffic("one-to-one-16384", one(16 * 1024)),
        traffic("websocket-16", Traffic { way: Way::WebSocket, ..one(16) }),
        traffic("websocket-128", Traffic { way: Way::WebSocket, ..one(128) }),
        traffic("websocket-1024", Traffic { way: Way::WebSocket, ..one(1024) }),
        traffic("queue-3", Traffic { subscribers: 3, interest: Interest::Queue, ..one(128) }),
        traffic("pairs-4", Traffic { flows: 4, ..one(128) }),
        traffic("users-16", Traffic { tenants: Tenants::Users, ..one(16) }),
        traffic("denied-16", Traffic { tenants: Tenants::Denied, ..one(16) }),
        traffic("import-16", Traffic { tenants: Tenants::Import, ..one(16) }),
        Load { name: "request", kind: Kind::Requests },
        Load { name: "memory-start", kind: Kind::MemoryAtStart },
        Load { name: "memory-connection", kind: Kind::MemoryPerConnection(IDLE_CONNECTIONS) },
        Load { name: "memory-tls", kind: Kind::MemoryPerTlsConnection(IDLE_TLS_CONNECTIONS) },
        Load { name: "memory-subscription-100k", kind: Kind::MemoryPerSubscription(100_000) },
        Load { name: "accounts-10k", kind: Kind::Accounts(10_000) },
    ];
    if big {
        loads.push(Load { name: "memory-subscription-500k", kind: Kind::MemoryPerSubscription(500_000) });
    }
    loads
}

/// The loads called `names`, where a name also stands for all that begin with it; an unknown name is the error.
pub fn choose(loads: Vec<Load>, names: &[String]) -> Result<Vec<Load>, String> {
    let exact = |name: &str| loads.iter().any(|load| load.name == name);
    let meant = |name: &str, load: &Load| load.name == name || (!exact(name) && load.name.starts_with(name));
    if let Some(unknown) = names.iter().find(|name| !loads.iter().any(|load| meant(name, load))) {
        let known: Vec<_> = loads.iter().map(|load| load.name).collect();
        return Err(format!("there is no load {unknown:?}; there are: {}", known.join(", ")));
    }
    let chosen = loads.iter().filter(|load| names.is_empty() || names.iter().any(|name| meant(name, load)));
    Ok(chosen.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        choose(all(false), &names).unwrap().iter().map(|load| load.name).collect()
    }

    #[test]
    fn no_name_means_all_loads() {
        assert_eq!(chosen(&[]).len(), all(false).len());
        assert_eq!(all(true).len(), all(false).len() + 1);
    }

    #[test]
    fn a_whole_name_means_that_load_and_a_beginning_means_all_with_it() {
        assert_eq!(chosen(&["fan-out-10"]), ["fan-out-10"]);
        assert_eq!(chosen(&["fan-out", "queue"]), ["fan-out-10", "fan-out-100", "queue-3"]);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = choose(all(false), &["nothing".to_owned()]).unwrap_err();
        assert!(error.contains("\"nothing\"") && error.contains("memory-start"), "{error}");
    }

    #[test]
    fn other_servers_get_the_loads_that_they_can_do() {
        let suiting = |dialect| {
            let loads = all(false).into_iter().filter(|load| load.suits(dialect));
            loads.map(|load| load.name).collect::<Vec<_>>()
        };
        let fan = [
            "one-to-one-16",
            "one-to-one-128",
            "one-to-one-1024",
            "fan-out-10",
            "fan-out-100",
            "one-to-one-16384",
        ];
        let more = ["pairs-4", "memory-start", "memory-connection"];
        assert_eq!(suiting(Dialect::Resp), [fan.as_slice(), &more].concat());
        assert_eq!(suiting(Dialect::Mqtt), suiting(Dialect::Resp));
        assert_eq!(suiting(Dialect::Copied), fan);
        assert_eq!(suiting(Dialect::Nats).len(), all(false).len());
    }

    #[test]
    fn the_checked_loads_exist() {
        assert_eq!(chosen(&CHECKED), CHECKED);
    }
}
