//! The limits of a node's appetite: what waits, what is dialed, what is kept, and for how long.

use std::time::Duration;

use super::World;
use crate::cluster::{Kept, MAX_OWN_ADDRESSES};
use crate::connection::HANDSHAKE_TIMEOUT;
use crate::id::ConnectionId;
use crate::routes::{MAX_DIALS, MAX_HEARSAY, RETRY_PAUSE};
use crate::sim::ids::{ClientId, NodeId};
use crate::sim::net::End;
use crate::sim::node::SimNode;
use crate::sim::rule::{Rule, Violation};
use crate::time::Instant;
use crate::wire::system::MAX_PORTS;

/// Something that must not be so any more at a certain time.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Watch {
    /// A connection between nodes that is not registered.
    Handshake(NodeId, u32, ConnectionId),
    /// What a node wrote waits, and nothing of it is read, since then.
    Blocked(NodeId, End, Instant),
    /// A server that is gone is still known to a node.
    Forgotten(String, NodeId),
}

impl World {
    /// Looks at what must be over by now.
    pub(in crate::sim) fn check_watches(&mut self) {
        while self.watches.next_at().is_some_and(|at| at < self.now) {
            if let Some((_, watch)) = self.watches.pop() {
                self.check_watch(watch);
            }
        }
    }

    fn check_watch(&mut self, watch: Watch) {
        let text = match &watch {
            Watch::Handshake(id, incarnation, connection) => {
                let node = &self.nodes[id.0];
                let waits =
                    |it: &crate::sim::node::Socket| it.peer.is_none() && node.incarnation == *incarnation;
                let is_there = node.engine.is_some() && node.socket(*connection).is_some_and(waits);
                let is_there = is_there && !node.passes(*connection);
                is_there.then(|| format!("{connection:?} of {id} is neither registered nor closed"))
            }
            Watch::Blocked(id, end, since) => {
                let is_blocked = self.network.blocked_since(*end) == Some(*since);
                is_blocked.then(|| format!("{id} writes to s{} in vain", end.stream.number()))
            }
            Watch::Forgotten(server_id, by) => return self.check_forgotten(server_id.clone(), *by),
        };
        if let Some(text) = text {
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// A connection between nodes was opened: its handshake must end.
    pub(in crate::sim) fn watch_handshake(&mut self, id: NodeId, connection: ConnectionId) {
        let node = &self.nodes[id.0];
        let at = self.now + HANDSHAKE_TIMEOUT * 2 + node.write_deadline(false) + SLACK;
        self.watches.push(at, Watch::Handshake(id, node.incarnation, connection));
    }

    /// A node found no room for what it has to write: somebody must read, or the connection must end. Until it is known that
    /// nothing was read a whole deadline may have to pass after the last that was; and then there is a last word.
    pub(in crate::sim) fn watch_blocked(&mut self, id: NodeId, end: End) {
        let is_client = self.joints.get(end.stream).is_some_and(|joint| !joint.is_route());
        if self.network.blocked_since(end) == Some(self.now) {
            let at = self.now + self.nodes[id.0].write_deadline(is_client) * 3 + SLACK;
            self.watches.push(at, Watch::Blocked(id, end, self.now));
        }
    }

    /// What waits for a client is bounded; a route's may grow until its deadline.
    pub(in crate::sim) fn check_pending(&mut self, id: NodeId, connection: ConnectionId) {
        let node = &self.nodes[id.0];
        let (Some(engine), Some(socket)) = (&node.engine, node.socket(connection)) else {
            return;
        };
        let most = node.spec.config.max_pending.max(node.former.max_pending);
        let pending = engine.pending_bytes(connection);
        if socket.is_client && pending > most {
            let text = format!("{pending} bytes wait for a client at {id}, more than {most}");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// What a node keeps is bounded by what it is connected to, and by the servers there ever were.
    pub(in crate::sim) fn check_kept(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        let Some(engine) = &node.engine else {
            return;
        };
        let Some(kept) = engine.node().cluster().map(|cluster| cluster.kept()) else {
            return;
        };
        if let Some(text) = excess(&kept, node.sockets.len(), self.servers, node.spec.kinds()) {
            self.fail(Violation::new(Rule::Limit, format!("{id} keeps {text}")));
        }
    }

    /// Monitoring remembers so many clients that are gone, and no more.
    pub(in crate::sim) fn check_closed_ring(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        let Some(engine) = &node.engine else {
            return;
        };
        let (closed, most) = (engine.node().hub().closed().len(), node.spec.config.max_closed_clients);
        if closed > most {
            let text = format!("{id} remembers {closed} clients that are gone, more than {most}");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// However many others there are, a node does not keep opening connections without end.
    pub(in crate::sim) fn check_connections(&mut self, id: NodeId) {
        let open = self.nodes[id.0].sockets.len();
        let of_nodes = self.nodes.len() * MAX_CONNECTIONS_PER_NODE;
        let limit = of_nodes + self.clients.len() + 2 * self.nodes[id.0].circuits();
        if open > limit {
            let text = format!("{id} has {open} connections open, more than {limit}");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// Each server is dialed for each kind of connection once at a time, and one that is not configured at a bounded pace.
    pub(in crate::sim) fn check_dial(&mut self, id: NodeId, place: &(String, u16), is_configured: bool) {
        // A name stands for several.
        let servers = self.network.hosts_named(&place.0);
        let node = &mut self.nodes[id.0];
        let at_once = node.dialing.values().filter(|dialed| *dialed == place).count();
        if at_once > node.spec.kinds() * servers {
            let text = format!("{id} dials {}:{} {at_once} times at once", place.0, place.1);
            return self.fail(Violation::new(Rule::Limit, text));
        }
        if is_configured {
            return;
        }
        let per_second = node.healing().map_or(1, |healing| healing.dials_per_second.max(1));
        let cost = Duration::from_secs(1) / per_second;
        node.pace.dials_until = node.pace.dials_until.max(self.now) + cost;
        if node.pace.dials_until > self.now + cost + Duration::from_secs(1) {
            let text = format!("{id} dials more than {per_second} servers per second");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// Between two attempts to connect to the same server there is a pause.
    pub(in crate::sim) fn check_failed_dial(&mut self, id: NodeId, host: String) {
        let servers = self.network.hosts_named(&host);
        let node = &mut self.nodes[id.0];
        let wishes = node.spec.kinds() * WISHES_PER_SERVER * servers;
        let pauses = self.now.since(node.pace.started_at).as_secs() / RETRY_PAUSE.as_secs();
        let most = wishes as u64 * (pauses + 2 + FIRST_RETRIES);
        let failed = node.failed_dials.entry(host.clone()).or_default();
        *failed += 1;
        if *failed > most {
            let text = format!("{id} could not connect to {host} {failed} times within {pauses} s");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// Each line keeps within what its reader takes. Lines about others are bounded by what was registered, and by the pace
    /// of repeated gossip; those about the node itself by its connections and its comparisons.
    pub(in crate::sim) fn check_info_line(&mut self, id: NodeId, bytes: usize, is_own: bool) {
        let servers = self.servers as u64;
        let node = &mut self.nodes[id.0];
        let pace = &mut node.pace;
        *(if is_own { &mut pace.own_lines } else { &mut pace.gossip_lines }) += 1;
        let pace = *pace;
        let elapsed = self.now.since(pace.started_at).as_secs_f64();
        let (interval, per_second) = node
            .healing()
            .map_or((1.0, 0), |it| (it.interval.as_secs_f64(), u64::from(it.regossip_lines_per_second)));
        let ticks = (elapsed / interval.max(0.001)) as u64 + 2;
        let most_gossip =
            pace.lies + pace.registrations * servers + (per_second as f64 * interval).ceil() as u64 * ticks;
        // A newcomer is named those who hear of it; and changes are told at a pace.
        let compared = (2 * servers + COMPARED_AT_ONCE) * ticks + (elapsed * COMPARED_PER_SECOND) as u64;
        let most_own = u64::from(node.opened) * 3 + pace.registrations * servers + compared;
        let text = if bytes > MAX_LINE_BYTES {
            format!("{id} writes a line of {bytes} bytes")
        } else if pace.gossip_lines > most_gossip {
            format!("{id} gossips {} lines, more than {most_gossip}", pace.gossip_lines)
        } else if pace.own_lines > most_own {
            format!("{id} tells of itself {} times, more than {most_own}", pace.own_lines)
        } else {
            return;
        };
        self.fail(Violation::new(Rule::Limit, text));
    }

    /// What a client is told of the cluster is bounded, by length and by number.
    pub(in crate::sim) fn check_client_info(&mut self, id: ClientId, bytes: usize) {
        let client = &self.clients[id.0];
        let elapsed = self.now.since(client.connected_at).as_secs_f64();
        let most = INFOS_AT_ONCE + (elapsed * INFOS_PER_SECOND) as u64;
        let text = if bytes > MAX_CLIENT_INFO_BYTES {
            format!("{id} is told {bytes} bytes of INFO at once")
        } else if client.infos > most {
            format!("{id} is told of the cluster {} times, more than {most}", client.infos)
        } else {
            return;
        };
        self.fail(Violation::new(Rule::Limit, text));
    }
}

impl SimNode {
    fn write_deadline(&self, is_client: bool) -> Duration {
        let config = &self.spec.config;
        let of_routes = config.cluster.as_ref().and_then(|cluster| cluster.write_deadline);
        let of_all = config.write_deadline.max(self.former.write_deadline);
        let of_routes = of_routes.map(|deadline| deadline.max(self.former.route_write_deadline));
        of_routes.filter(|_| !is_client).unwrap_or(of_all)
    }

    pub(in crate::sim) fn healing(&self) -> Option<&crate::config::Healing> {
        self.spec.config.cluster.as_ref().map(|cluster| &cluster.healing)
    }
}

/// What a node keeps too much of, if anything; it wants so many kinds of connection to each server.
fn excess(kept: &Kept, sockets: usize, servers: usize, kinds: usize) -> Option<String> {
    let wishes = (MAX_DIALS + MAX_HEARSAY).min(kinds * servers * WISHES_PER_SERVER) + kinds * kept.configured;
    let guesses = kinds * servers * PLACES_PER_GUESS;
    let bounds = [
        ("connections of the cluster", kept.links, sockets),
        ("peers", kept.peers, kept.links),
        ("servers to dial", kept.dials, wishes),
        ("guesses where servers are", kept.guesses, guesses),
        ("servers that were lost long ago", kept.cold, kept.max_cold),
        ("addresses of its own", kept.own_addresses, MAX_OWN_ADDRESSES),
        ("outputs that nobody polled", kept.outputs, 0),
    ];
    let broken = bounds.into_iter().find(|(_, number, most)| number > most);
    broken.map(|(what, number, most)| format!("{number} {what}, more than {most}"))
}

/// A server may be wanted by the address that it had and by the one that it has.
const WISHES_PER_SERVER: usize = 2;
/// A server that an answer names is looked for at so many ports, and where it was said to be last.
const PLACES_PER_GUESS: usize = MAX_PORTS + 2;
/// Beside the digests for all, servers are named to so many peers each time (design.md 5).
const COMPARED_AT_ONCE: u64 = 8;
/// So many lines are paid for in a second (design.md 10).
const COMPARED_PER_SECOND: f64 = 500.0;
/// A configured server that was not there yet is dialed so often before the pause is a second (design.md 5).
const FIRST_RETRIES: u64 = 5;
/// What a line about servers may have (design.md 10).
const MAX_LINE_BYTES: usize = 4 * 1024;
/// What a client is told may have: addresses of 32 KiB (design.md 10), and what stands around and beside them.
const MAX_CLIENT_INFO_BYTES: usize = 40 * 1024;
/// How often it is told: two greetings, and what clients hear of at once.
const INFOS_AT_ONCE: u64 = 2 + 32 + 1;
/// And what they hear together.
const INFOS_PER_SECOND: f64 = 4.0;
/// For each node of the world a node may have so many connections open, duplicates included.
const MAX_CONNECTIONS_PER_NODE: usize = 32;
/// Timers of nodes with many connections are less exact, and what a timer leads to takes a moment.
const SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_excess_is_named() {
        let fine = Kept {
            peers: 2,
            links: 8,
            dials: 14,
            guesses: 36,
            configured: 1,
            cold: 9,
            max_cold: 9,
            own_addresses: 64,
            outputs: 0,
        };
        assert_eq!(excess(&fine, 8, 3, 2), None);
        let named = |kept: Kept| excess(&kept, 8, 3, 2).expect("it is too much");
        assert!(named(Kept { links: 9, ..fine }).contains("connections of the cluster"));
        assert!(named(Kept { peers: 9, ..fine }).contains("peers"));
        assert!(named(Kept { dials: 15, ..fine }).contains("servers to dial"));
        assert!(named(Kept { cold: 10, ..fine }).contains("lost long ago"));
        assert!(named(Kept { guesses: 37, ..fine }).contains("guesses"));
        assert!(named(Kept { own_addresses: 65, ..fine }).contains("addresses of its own"));
        assert!(named(Kept { outputs: 1, ..fine }).contains("outputs"));
        let pinned = Kept { dials: 21, guesses: 54, ..fine };
        assert_eq!(excess(&pinned, 8, 3, 3), None, "an account of its own is a kind of its own");
        let many = Kept { dials: MAX_DIALS + MAX_HEARSAY + 3, ..fine };
        assert!(
            excess(&many, 8, 100_000, 2).is_some(),
            "the named limit holds however many servers there were"
        );
    }
}
