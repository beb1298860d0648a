//! What the network does to whom: delays, cuts, names and addresses. Plain data; the world asks it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fastrand::Rng;

use super::node::NodeId;
use crate::time::Instant;

/// How the network behaves towards everybody, all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// How long a segment travels at least.
    pub latency: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// What a socket buffers: so many bytes can be written that the other side has not read.
    pub buffer_bytes: usize,
    /// Of a million writes, how many are cut at a random place.
    pub splits_per_million: u32,
    /// Of a million writes, how many arrive together with what was written before.
    pub merges_per_million: u32,
    /// Of a million segments between nodes, how many are the last of their connection: it is reset.
    pub resets_per_million: u32,
    /// Of a million dials, how many are refused.
    pub refusals_per_million: u32,
    /// Of a million dials, how many time out.
    pub timeouts_per_million: u32,
    /// How long one address may take to answer a dial.
    pub dial_timeout: Duration,
}

impl Default for NetworkConfig {
    /// A network of a millisecond that loses nothing, but cuts and merges writes.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::from_millis(1),
            buffer_bytes: 64 * 1024,
            splits_per_million: 50_000,
            merges_per_million: 250_000,
            resets_per_million: 0,
            refusals_per_million: 0,
            timeouts_per_million: 0,
            dial_timeout: Duration::from_secs(1),
        }
    }
}

/// The network as it is now.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) config: NetworkConfig,
    pub(super) rng: Rng,
    /// How many cuts lie on the way from one node to another.
    cuts: BTreeMap<(NodeId, NodeId), u32>,
    hosts: BTreeMap<IpAddr, NodeId>,
    addresses: BTreeMap<NodeId, IpAddr>,
    names: BTreeMap<String, Vec<NodeId>>,
    /// Addresses that nobody has any more, since when.
    vacated: BTreeMap<IpAddr, Instant>,
}

impl Network {
    pub(super) fn new(config: NetworkConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            cuts: BTreeMap::new(),
            hosts: BTreeMap::new(),
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            vacated: BTreeMap::new(),
        }
    }

    /// How long the next segment travels.
    pub(super) fn delay(&mut self) -> Duration {
        let jitter = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.config.latency + Duration::from_nanos(self.rng.u64(..=jitter))
    }

    /// Whether something happens that happens to so many of a million.
    pub(super) fn happens(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.rng.u32(..1_000_000) < per_million
    }

    /// How many of `bytes` are sent at once.
    pub(super) fn segment(&mut self, bytes: usize) -> usize {
        if bytes > 1 && self.happens(self.config.splits_per_million) {
            self.rng.usize(1..bytes)
        } else {
            bytes
        }
    }

    /// Lets nothing through from one node to another until [`Network::heal`] was called as often.
    pub(super) fn cut(&mut self, from: NodeId, to: NodeId) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    pub(super) fn heal(&mut self, from: NodeId, to: NodeId) {
        if let Some(cuts) = self.cuts.get_mut(&(from, to)) {
            *cuts -= 1;
            if *cuts == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.is_empty() && self.cuts.contains_key(&(from, to))
    }

    /// Everything gets through again.
    pub(super) fn heal_all(&mut self) {
        self.cuts.clear();
    }

    /// A node has this address now; whoever had it before has none.
    pub(super) fn assign(&mut self, ip: IpAddr, node: NodeId) {
        self.hosts.retain(|_, owner| *owner != node);
        self.hosts.insert(ip, node);
        self.addresses.insert(node, ip);
    }

    /// From now on nobody can be found at an address.
    pub(super) fn vacate(&mut self, ip: IpAddr, now: Instant) {
        self.vacated.insert(ip, now);
    }

    /// Somebody can be found there.
    pub(super) fn occupy(&mut self, ip: IpAddr) {
        self.vacated.remove(&ip);
    }

    /// Since when nobody can be found at an address where somebody was.
    pub(super) fn vacated_at(&self, ip: IpAddr) -> Option<Instant> {
        self.vacated.get(&ip).copied()
    }

    pub(super) fn host(&self, ip: IpAddr) -> Option<NodeId> {
        self.hosts.get(&ip).copied()
    }

    /// From now on a name has the addresses of these nodes.
    pub(super) fn name(&mut self, name: &str, nodes: Vec<NodeId>) {
        self.names.insert(name.to_ascii_lowercase(), nodes);
    }

    /// How many servers may be found at a host.
    pub(super) fn servers_at(&self, host: &str) -> usize {
        self.names.get(&host.to_ascii_lowercase()).map_or(1, Vec::len)
    }

    /// The addresses of a host, from a random one on, as a dialer tries them.
    pub(super) fn resolve(&mut self, host: &str) -> Vec<IpAddr> {
        if let Ok(ip) = host.parse() {
            return vec![ip];
        }
        let nodes = self.names.get(&host.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default();
        let mut addresses: Vec<_> =
            nodes.iter().filter_map(|node| self.addresses.get(node)).copied().collect();
        if !addresses.is_empty() {
            let first = self.rng.usize(..addresses.len());
            addresses.rotate_left(first);
        }
        addresses
    }
}

/// The address of a node after it moved so many times.
pub(super) fn address(node: NodeId, moves: u8) -> IpAddr {
    let [_, _, high, low] = (node.0 as u32 + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, moves, high, low))
}
