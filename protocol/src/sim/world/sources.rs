//! Sources that tell nodes of servers (design.md 6): true ones, which know where nodes are now, and one that lies without end.

use std::net::IpAddr;
use std::time::Duration;

use super::{Event, World};
use crate::config::{HostPort, Source};
use crate::discovery::Found;
use crate::sim::ids::NodeId;
use crate::sim::node::{ROUTE_PORT, Seed};

impl World {
    /// A source tells a node of servers, if it runs.
    pub fn tell(&mut self, id: NodeId, source: Source, teller: &str, found: &[Found]) {
        self.trace.note(self.now, [15 << 32 | id.0 as u64, found.len() as u64, 0], || {
            format!("{source} {teller} tells {id} of {} servers", found.len())
        });
        // Each may be wanted, whether it is there or not.
        self.servers += found.len();
        if let Some(engine) = &mut self.nodes[id.0].engine {
            engine.handle_found(self.now, source, teller, found);
            self.pump(id);
        }
    }

    /// Where a node is now, as a source would tell it.
    pub fn address_of(&self, id: NodeId) -> Found {
        found_at(self.nodes[id.0].ip())
    }

    /// From its next start on a node has no configured routes: a source tells it where these servers are, as they move, and another
    /// one lies.
    pub(in crate::sim) fn tell_instead(&mut self, id: NodeId, seeds: Vec<Seed>) {
        self.sources.insert(id, seeds);
    }

    /// It is time for the sources of a node, which runs.
    pub(in crate::sim) fn tell_again(&mut self, id: NodeId, incarnation: u32) {
        let node = &self.nodes[id.0];
        if node.engine.is_none() || node.incarnation != incarnation {
            return;
        }
        let Some(seeds) = self.sources.get(&id).cloned() else { return };
        let false_ones: Vec<_> = (0..FALSE_ONES).map(|_| self.false_one()).collect();
        self.tell(id, Source::Mdns, "liar", &false_ones);
        let addresses = seeds.iter().flat_map(|seed| match seed {
            Seed::Node(node) => vec![self.nodes[node.0].ip()],
            Seed::Name(name) => self.network.resolve(name),
        });
        let found: Vec<_> = addresses.map(found_at).collect();
        self.tell(id, Source::Dns, "", &found);
        self.agenda.push(self.now + TELL_PAUSE, Event::Tell(id, incarnation));
    }

    /// A server that there is not, each time another.
    fn false_one(&mut self) -> Found {
        self.false_ones += 1;
        let ip = [192, 168, (self.false_ones >> 8) as u8, self.false_ones as u8];
        found_at(ip.into())
    }
}

fn found_at(ip: IpAddr) -> Found {
    Found { address: HostPort { host: ip.to_string(), port: Some(ROUTE_PORT) }, server_id: None }
}

/// How long after one answer the next comes.
const TELL_PAUSE: Duration = Duration::from_secs(3);
/// So many servers that there are not are told with each.
const FALSE_ONES: usize = 100;
