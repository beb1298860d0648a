//! One node of a world, driven alone: what it hears from the network goes in, what it does to the network comes out.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use crate::close::CloseReason;
use crate::engine::Engine;
use crate::hub::Kind;
use crate::id::ConnectionId;
use crate::routes::DialId;
use crate::sim::ids::NodeId;
use crate::sim::label::{Label, Labels};
use crate::sim::net::Side;
use crate::sim::node::{NodeSpec, ROUTE_PORT, SimNode, wanted_routes};
use crate::sim::rule::{Rule, Violation};
use crate::sim::world::is_dedicated;
use crate::time::Instant;

/// One end of a connection. A node that dials itself has both.
pub(super) type Plug = (Label, Side);

/// What a node hears from the network.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard<'a> {
    /// Somebody connected, from this address.
    Accepted(SocketAddr),
    /// A dial came through.
    Connected,
    Bytes(&'a [u8]),
    /// The other end was closed.
    End,
}

/// What a node does to the network.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Dial(Label),
    Write(Plug, Vec<u8>),
    Close(Plug),
}

/// A node without a world.
#[derive(Debug)]
pub(super) struct Replica {
    id: NodeId,
    engine: Engine,
    now: Instant,
    labels: Labels,
    /// Dials that were not answered yet.
    dials: BTreeMap<Label, DialId>,
    /// Open connections, each with a digest of all that was read from it.
    open: BTreeMap<Plug, (ConnectionId, u128)>,
    names: BTreeMap<ConnectionId, Plug>,
}

impl Replica {
    /// A node that was just started, with what it dialed until now.
    pub(super) fn new(node: SimNode, engine: Engine, now: Instant, dials: BTreeMap<Label, DialId>) -> Self {
        let SimNode { id, labels, .. } = node;
        Self { id, engine, now, labels, dials, open: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Lets it hear something and carries out what it wants, as [`World`](super::World) does.
    pub(super) fn handle(&mut self, plug: Plug, heard: Heard<'_>) -> Vec<Done> {
        match heard {
            Heard::Accepted(remote) => {
                if let Ok(connection) = self.engine.handle_accept_route(self.now, remote) {
                    self.open(plug, connection);
                }
            }
            Heard::Connected => {
                let remote = SocketAddr::new(plug.0.to, ROUTE_PORT);
                if let Some(dial) = self.dials.remove(&plug.0)
                    && let Ok(connection) = self.engine.handle_dialed(self.now, dial, remote)
                {
                    self.open(plug, connection);
                }
            }
            Heard::Bytes(bytes) => {
                if let Some((connection, history)) = self.open.get_mut(&plug) {
                    *history = digest(&(*history, bytes));
                    // It is open, since what is closed is forgotten.
                    let _ = self.engine.handle_input(self.now, *connection, bytes);
                }
            }
            Heard::End => {
                if let Some(connection) = self.close(plug) {
                    let _ = self.engine.handle_closed(self.now, connection, CloseReason::ClientClosed);
                }
            }
        }
        self.pump()
    }

    /// The same for two states of this node only if it will do the same in both, whatever it hears, apart from when it does
    /// it.
    ///
    /// What a connection will do follows from what was read from it and what the cluster decided about it, and so does what
    /// clients will be told. Nothing waits to be written, since it is taken at once; and as long as there are no
    /// clients there is no interest.
    pub(super) fn describe(&self) -> String {
        let text = self.describe_cluster();
        let cluster = self.engine.node().cluster();
        let place = |dial| cluster.as_ref().and_then(|cluster| cluster.place_of(dial));
        let dials: Vec<_> = self.dials.iter().map(|(label, dial)| (label, place(*dial))).collect();
        let read: Vec<_> = self.open.iter().map(|(plug, (_, history))| (plug, history)).collect();
        format!("{text}\n{dials:?} {read:?} {:?}", self.labels)
    }

    /// The part of this that is the cluster machine's.
    pub(super) fn describe_cluster(&self) -> String {
        describe_cluster(&self.engine, self.now, |id| self.names.get(&id).copied())
    }

    /// The rule about its routes that it breaks, if any; `peers` are all nodes and how they are configured, by server id.
    pub(super) fn broken_rule(&self, peers: &BTreeMap<String, (NodeId, NodeSpec)>) -> Option<Violation> {
        let hub = self.engine.node().hub();
        let mut routes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for entry in hub.directory().list(Kind::Route) {
            let about = entry.about();
            if !about.remote_id.is_empty() && entry.link() == entry.id() {
                let (pooled, dedicated) = routes.entry(about.remote_id).or_default();
                *(if about.account.is_some() { dedicated } else { pooled }) += 1;
            }
        }
        let (_, own) = peers.get(hub.server_id())?;
        routes.into_iter().find_map(|(peer, (pooled, dedicated))| {
            let (other, theirs) = peers.get(&peer)?;
            let wanted = wanted_routes(own, theirs);
            let (rule, what) = if *other == self.id {
                (Rule::NoRouteToSelf, "itself".to_owned())
            } else if pooled > wanted.0 || dedicated > wanted.1 {
                (Rule::PoolSize, other.to_string())
            } else {
                return None;
            };
            let text = format!("{} has {pooled} + {dedicated} routes to {what}", self.id);
            Some(Violation { at: self.now, ..Violation::new(rule, text) })
        })
    }

    fn pump(&mut self) -> Vec<Done> {
        let mut done = Vec::new();
        let pending: Vec<_> = self.engine.pending().collect();
        for connection in pending {
            if let (Some(plug), Ok(bytes)) = (self.names.get(&connection), self.engine.transmit(connection)) {
                done.push(Done::Write(*plug, bytes));
            }
        }
        while let Some((connection, _)) = self.engine.poll_closed() {
            if let Some(plug) = self.names.get(&connection).copied() {
                self.close(plug);
                done.push(Done::Close(plug));
            }
        }
        while let Some(request) = self.engine.poll_dial(self.now) {
            // Names are resolved by the world alone; a dial of one is not answered here.
            let Ok(to) = request.host.parse() else {
                continue;
            };
            if request.own_addresses.contains(&SocketAddr::new(to, request.port)) {
                let _ = self.engine.handle_dial_failed(self.now, request.id, &crate::DialError::OnlySelf);
                continue;
            }
            let label = self.labels.next(self.id, to, is_dedicated(&self.engine, request.id));
            self.dials.insert(label, request.id);
            done.push(Done::Dial(label));
        }
        done
    }

    fn open(&mut self, plug: Plug, connection: ConnectionId) {
        self.open.insert(plug, (connection, 0));
        self.names.insert(connection, plug);
    }

    fn close(&mut self, plug: Plug) -> Option<ConnectionId> {
        let (connection, _) = self.open.remove(&plug)?;
        self.names.remove(&connection);
        Some(connection)
    }
}

/// What the cluster machine of a node is, with names for its connections that are the same in every order.
pub(super) fn describe_cluster(
    engine: &Engine,
    now: Instant,
    plug: impl Fn(ConnectionId) -> Option<Plug>,
) -> String {
    let name = |id| plug(id).map_or_else(String::new, |(label, side)| format!("{label} {side:?}"));
    engine.node().cluster().map(|cluster| cluster.describe(now, name)).unwrap_or_default()
}

/// 128 bits of a hash that is the same in every run: so many that no two of a few billion values share them by chance.
pub(super) fn digest(value: &impl Hash) -> u128 {
    let [high, low] = [1_u8, 2].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, value).hash(&mut hasher);
        u128::from(hasher.finish())
    });
    high << 64 | low
}
