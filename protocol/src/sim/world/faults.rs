//! What goes wrong.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Event, World};
use crate::sim::ids::{ClientId, NodeId};
use crate::sim::net::{Ending, StreamId};
use crate::sim::node::ROUTE_PORT;

/// Something that goes wrong, once or for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing gets from one node to the other; it is sent again and arrives when the cut has healed.
    CutOneWay(NodeId, NodeId, Duration),
    /// Nothing gets through between two nodes.
    Cut(NodeId, NodeId, Duration),
    /// Nothing gets through between these nodes and all others.
    Partition(Vec<NodeId>, Duration),
    /// All connections between two nodes are dead from now on, and neither is told.
    HalfOpen(NodeId, NodeId),
    /// All connections between two nodes are reset.
    Reset(NodeId, NodeId),
    /// A node closes its connections in order and is started again, as another server, after a while.
    Stop(NodeId, Duration),
    /// A node's process dies; its connections are reset.
    Crash(NodeId, Duration),
    /// A node vanishes without a word.
    PowerLoss(NodeId, Duration),
    /// A node shuts down with a last word to its peers, and never comes back.
    Leave(NodeId),
    /// A node vanishes without a word, and never comes back.
    Die(NodeId),
    /// A node gets another address; its connections are dead and neither side is told.
    Move(NodeId),
    /// A node takes no new connections.
    Refuse(NodeId, Duration),
    /// A client does not read.
    SlowClient(ClientId, Duration),
}

impl World {
    /// Lets something go wrong now.
    pub fn fault(&mut self, fault: Fault) {
        self.begin_fault(fault);
    }

    /// Ends all cuts, starts all nodes that are down but for those that never come back, lets everybody read.
    pub fn end_faults(&mut self) {
        self.trace.note(self.now, [9 << 32, 0, 0], || "all faults end".to_owned());
        self.network.heal_all();
        self.resume();
        for id in (0..self.nodes.len()).map(NodeId) {
            self.nodes[id.0].refuses = false;
            self.start(id);
        }
    }

    /// Shuts a node down for good: it says goodbye to its peers, then closes its connections.
    pub fn leave(&mut self, id: NodeId) {
        self.trace.note(self.now, [12 << 32 | id.0 as u64, 0, 0], || format!("{id} leaves"));
        if let Some(engine) = &mut self.nodes[id.0].engine {
            engine.handle_shutdown(self.now);
        }
        self.pump(id);
        self.end_node(id, Some(Ending::Fin));
    }

    /// From now on and for good no dial of a node comes through to another, though it may accept that one's.
    pub fn forbid(&mut self, dialer: NodeId, dialed: NodeId) {
        self.network.wall(dialer.host(), dialed.host());
    }

    /// Lets a node tell another of so many servers that there are not, each somewhere else, if there is a route, which is
    /// plain. Nothing else may be on its way.
    pub fn lie(&mut self, by: NodeId, to: NodeId, servers: usize) {
        self.trace.note(self.now, [13 << 32 | by.0 as u64, to.0 as u64, servers as u64], || {
            format!("{by} tells {to} of {servers} servers that there are not")
        });
        let told = self.nodes[to.0].server_id.clone();
        let node = &mut self.nodes[by.0];
        let route = node.routes.get(&told).and_then(|routes| routes.pooled.first());
        let Some(end) = route.and_then(|route| Some(node.socket(*route)?.end)) else { return };
        node.pace.lies += servers as u64;
        self.servers += servers;
        let lie = |n: usize| {
            let ip = Ipv4Addr::from_bits(Ipv4Addr::new(192, 168, 0, 0).to_bits() + n as u32);
            format!(
                "INFO {{\"server_id\":\"NLIE{n}\",\"ip\":\"nats-route://{ip}:{ROUTE_PORT}/\",\"port\":{ROUTE_PORT}}}\r\n"
            )
        };
        self.write(end, (0..servers).map(lie).collect::<String>().into_bytes(), None);
    }

    pub(in crate::sim) fn begin_fault(&mut self, fault: Fault) {
        self.trace.note(self.now, [10 << 32, 0, 0], || format!("fault: {fault:?}"));
        match &fault {
            Fault::CutOneWay(..) | Fault::Cut(..) | Fault::Partition(..) => {
                for (from, to) in self.cut_by(&fault) {
                    self.network.cut(from.host(), to.host());
                }
            }
            Fault::HalfOpen(a, b) => self.between(*a, *b).into_iter().for_each(|id| self.lose(id)),
            Fault::Reset(a, b) => self.between(*a, *b).into_iter().for_each(|id| self.reset(id)),
            Fault::Stop(node, _) => self.end_node(*node, Some(Ending::Fin)),
            Fault::Crash(node, _) => self.end_node(*node, Some(Ending::Reset)),
            Fault::PowerLoss(node, _) => self.end_node(*node, None),
            Fault::Leave(node) => {
                self.leave(*node);
                self.nodes[node.0].is_gone_for_good = true;
            }
            Fault::Die(node) => {
                self.end_node(*node, None);
                self.nodes[node.0].is_gone_for_good = true;
            }
            Fault::Move(node) => self.move_node(*node),
            Fault::Refuse(node, _) => self.nodes[node.0].refuses = true,
            Fault::SlowClient(client, _) => self.set_reading(*client, false),
        }
        if let Some(duration) = fault.duration() {
            self.agenda.push(self.now + duration, Event::Heal(Box::new(fault)));
        }
    }

    pub(in crate::sim) fn end_fault(&mut self, fault: &Fault) {
        self.trace.note(self.now, [11 << 32, 0, 0], || format!("ends: {fault:?}"));
        match fault {
            Fault::CutOneWay(..) | Fault::Cut(..) | Fault::Partition(..) => {
                for (from, to) in self.cut_by(fault) {
                    self.network.heal(from.host(), to.host());
                }
                self.resume();
            }
            Fault::Stop(node, _) | Fault::Crash(node, _) | Fault::PowerLoss(node, _) => self.start(*node),
            Fault::Refuse(node, _) => self.nodes[node.0].refuses = false,
            Fault::SlowClient(client, _) => {
                self.set_reading(*client, true);
                self.resume();
            }
            Fault::HalfOpen(..) | Fault::Reset(..) | Fault::Leave(_) | Fault::Die(_) | Fault::Move(_) => {}
        }
    }

    fn set_reading(&mut self, client: ClientId, reads: bool) {
        if let Some(client) = self.clients.get(client.0) {
            self.network.set_reading(client.end, reads);
        }
    }

    fn cut_by(&self, fault: &Fault) -> Vec<(NodeId, NodeId)> {
        match fault {
            Fault::CutOneWay(from, to, _) => vec![(*from, *to)],
            Fault::Cut(a, b, _) => vec![(*a, *b), (*b, *a)],
            Fault::Partition(side, _) => {
                let others = || (0..self.nodes.len()).map(NodeId).filter(|node| !side.contains(node));
                side.iter().flat_map(|a| others().flat_map(move |b| [(*a, b), (b, *a)])).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Lets arrive what was held up and is no more.
    fn resume(&mut self) {
        let waiting = self.network.resume(self.now);
        waiting.into_iter().for_each(|end| self.go_on(end));
    }

    fn between(&self, a: NodeId, b: NodeId) -> Vec<StreamId> {
        self.network.between(a.host(), b.host())
    }

    fn lose(&mut self, id: StreamId) {
        self.network.lose(id);
        if let Some(joint) = self.joints.get(id) {
            let [a, b] = joint.nodes.0;
            self.ledger.handle_route_lost(a, b, self.now);
        }
    }

    /// A node is no more; its peers are told so, or not.
    fn end_node(&mut self, id: NodeId, told: Option<Ending>) {
        if self.nodes[id.0].engine.is_none() {
            return;
        }
        let peers: Vec<String> = self.nodes[id.0].routes.keys().cloned().collect();
        for peer in &peers {
            self.mesh.exact -= usize::from(self.is_exact(id, peer));
            if let Some(other) = self.ids.get(peer) {
                self.ledger.handle_route_lost(id, *other, self.now);
            }
        }
        self.mesh.peers -= peers.len();
        let server_id = self.nodes[id.0].server_id.clone();
        let known_by =
            (0..self.nodes.len()).filter(|at| *at != id.0 && self.is_exact(NodeId(*at), &server_id));
        self.mesh.exact -= known_by.count();
        self.ids.remove(&server_id);
        self.note_gone(id);
        let node = &mut self.nodes[id.0];
        node.routes.clear();
        node.engine = None;
        node.timer = None;
        let sockets: Vec<_> = node.sockets().cloned().collect();
        for socket in sockets {
            if told.is_none() || socket.is_client {
                self.lose(socket.end.stream);
            }
            self.close_end(socket.end, told.unwrap_or(Ending::Reset));
        }
        self.clients.iter_mut().filter(|client| client.node == id).for_each(|client| client.close());
    }

    fn move_node(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.engine.is_some() {
            self.vacated.insert(node.ip(), self.now);
        }
        node.moves += 1;
        self.servers += 1;
        self.network.settle_behind(id.host(), node.ip(), node.seen_ip());
        self.network.reaching(id.host()).into_iter().for_each(|stream| self.lose(stream));
    }
}

impl Fault {
    /// The nodes that it is about.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::CutOneWay(a, b, _) | Self::Cut(a, b, _) | Self::HalfOpen(a, b) | Self::Reset(a, b) => {
                vec![*a, *b]
            }
            Self::Partition(side, _) => side.clone(),
            Self::Stop(node, _)
            | Self::Crash(node, _)
            | Self::PowerLoss(node, _)
            | Self::Refuse(node, _)
            | Self::Leave(node)
            | Self::Die(node)
            | Self::Move(node) => vec![*node],
            Self::SlowClient(..) => Vec::new(),
        }
    }

    /// How long it lasts; none if it happens once.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            Self::CutOneWay(_, _, duration)
            | Self::Cut(_, _, duration)
            | Self::Partition(_, duration)
            | Self::Stop(_, duration)
            | Self::Crash(_, duration)
            | Self::PowerLoss(_, duration)
            | Self::Refuse(_, duration)
            | Self::SlowClient(_, duration) => Some(*duration),
            Self::HalfOpen(..) | Self::Reset(..) | Self::Leave(_) | Self::Die(_) | Self::Move(_) => None,
        }
    }
}
