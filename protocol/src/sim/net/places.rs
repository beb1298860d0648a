//! Who can be found where: hosts, their addresses, and names.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Network;
use super::chance::Chance;

/// A host, by the number that its owner gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// All hosts that have an address, and all names.
#[derive(Debug, Default)]
pub(super) struct Places {
    hosts: BTreeMap<HostId, Host>,
    owners: BTreeMap<IpAddr, HostId>,
    names: BTreeMap<String, Vec<HostId>>,
}

#[derive(Debug)]
struct Host {
    ip: IpAddr,
    /// Where its dials seem to come from.
    seen_ip: IpAddr,
    /// Where the last of them came from.
    last_port: u16,
}

impl Places {
    pub(super) fn owner(&self, ip: IpAddr) -> Option<HostId> {
        self.owners.get(&ip).copied()
    }

    /// Where the next connection that a host dials comes from.
    pub(super) fn next_remote(&mut self, id: HostId) -> SocketAddr {
        match self.hosts.get_mut(&id) {
            Some(host) => {
                host.last_port = host.last_port.checked_add(1).unwrap_or(FIRST_PORT);
                SocketAddr::new(host.seen_ip, host.last_port)
            }
            None => SocketAddr::new([0, 0, 0, 0].into(), FIRST_PORT),
        }
    }
}

impl<C: Chance> Network<C> {
    /// A host has this address now, instead of the one that it had before, and everybody sees it there.
    pub fn settle_at(&mut self, host: HostId, ip: IpAddr) {
        self.settle_behind(host, ip, ip);
    }

    /// A host can be reached at one address now, and its dials seem to come from another.
    pub fn settle_behind(&mut self, id: HostId, ip: IpAddr, seen_ip: IpAddr) {
        let last_port = match self.places.hosts.get(&id) {
            Some(before) => before.last_port,
            None => FIRST_PORT,
        };
        self.places.owners.retain(|_, owner| *owner != id);
        self.places.owners.insert(ip, id);
        self.places.hosts.insert(id, Host { ip, seen_ip, last_port });
    }

    /// From now on a name has the addresses that these hosts have when it is resolved.
    pub fn name(&mut self, name: &str, hosts: Vec<HostId>) {
        self.places.names.insert(name.to_ascii_lowercase(), hosts);
    }

    /// How many hosts may be found by a name; an address has one.
    pub fn hosts_named(&self, name: &str) -> usize {
        self.places.names.get(&name.to_ascii_lowercase()).map_or(1, Vec::len)
    }

    /// The addresses of a name, from any one on, as a dialer tries them. An address is its own name.
    pub fn resolve(&mut self, name: &str) -> Vec<IpAddr> {
        if let Ok(ip) = name.parse() {
            return vec![ip];
        }
        let Places { hosts, names, .. } = &self.places;
        let named = names.get(&name.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default();
        let mut addresses: Vec<_> =
            named.iter().filter_map(|host| hosts.get(host)).map(|host| host.ip).collect();
        if !addresses.is_empty() {
            let first = self.odds.index(addresses.len());
            addresses.rotate_left(first);
        }
        addresses
    }
}

const FIRST_PORT: u16 = 30_000;
