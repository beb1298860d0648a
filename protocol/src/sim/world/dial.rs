//! How a node's wish to connect becomes a connection, or a failure.

use std::net::{IpAddr, SocketAddr};

use super::World;
use crate::cluster::{DialError, DialRequest, MAX_CIRCUIT_DIALS, is_for_circuit};
use crate::engine::Engine;
use crate::routes::DialId;
use crate::sim::ids::NodeId;
use crate::sim::label::Label;
use crate::sim::net::{AttemptId, DialFault, End, Ending, HostId};
use crate::sim::node::{ROUTE_PORT, Socket};
use crate::sim::rule::{Rule, Violation};
use crate::sim::stream::{Holder, Joint};

/// One dial on its way through the addresses of its host.
#[derive(Debug)]
pub(in crate::sim) struct Dial {
    node: NodeId,
    /// The same whatever else happens in which order.
    pub(in crate::sim) label: Label,
    /// A node that was restarted meanwhile knows nothing of it.
    incarnation: u32,
    pub(in crate::sim) id: DialId,
    port: u16,
    /// The address that is tried now, and those to be tried then.
    address: IpAddr,
    rest: Vec<IpAddr>,
}

impl World {
    /// Does what a runtime does with a dial: it resolves the name, leaves out the node's own addresses and tries the rest one
    /// after the other.
    pub(in crate::sim) fn begin_dial(&mut self, id: NodeId, request: DialRequest) {
        self.statistics.dials += 1;
        let mut addresses = self.network.resolve(&request.host);
        let found = addresses.len();
        addresses.retain(|ip| !request.own_addresses.contains(&SocketAddr::new(*ip, request.port)));
        let words = [6 << 32 | id.0 as u64, request.id.0, 0];
        self.trace.note(self.now, words, || format!("{id} dials {}:{}", request.host, request.port));
        self.note_dial(id, &request);
        if addresses.is_empty() {
            self.nodes[id.0].end_dial(request.id);
            let nowhere = DialError::Failed(format!("lookup {}: no address", request.host));
            let why = if found > 0 { DialError::OnlySelf } else { nowhere };
            if let Some(engine) = &mut self.nodes[id.0].engine {
                // It asked for the dial a moment ago.
                let _ = engine.handle_dial_failed(self.now, request.id, &why);
            }
            return;
        }
        let address = addresses.remove(0);
        let node = &mut self.nodes[id.0];
        let is_dedicated = node.engine.as_ref().is_some_and(|engine| is_dedicated(engine, request.id));
        let label = node.labels.next(id, address, is_dedicated);
        let dial = Dial {
            node: id,
            label,
            incarnation: node.incarnation,
            id: request.id,
            port: request.port,
            address,
            rest: addresses,
        };
        self.attempt(dial);
    }

    /// Checks whether the node may dial this now.
    fn note_dial(&mut self, id: NodeId, request: &DialRequest) {
        let place = (request.host.clone(), request.port);
        let config = self.nodes[id.0].engine.as_ref().map(|it| it.node().hub().config());
        let cluster = config.as_ref().and_then(|config| config.cluster.as_ref());
        let is_configured =
            cluster.is_some_and(|it| it.routes.iter().any(|url| url.host == place.0 && url.port == place.1));
        if is_for_circuit(request.id) {
            return self.note_circuit_dial(id, request.id);
        }
        self.nodes[id.0].dialing.insert(request.id, place.clone());
        self.check_dial(id, &place, is_configured);
        if !is_configured {
            self.check_dialed_address(id, &place.0);
        }
    }

    /// Checks whether the node may make another connection of a circuit now.
    fn note_circuit_dial(&mut self, id: NodeId, dial: DialId) {
        let node = &mut self.nodes[id.0];
        node.dialing_circuits.insert(dial);
        let at_once = node.dialing_circuits.len();
        if at_once > MAX_CIRCUIT_DIALS {
            let text = format!("{id} dials for {at_once} circuits at once");
            self.fail(Violation::new(Rule::Limit, text));
        }
    }

    /// Tries one address.
    fn attempt(&mut self, dial: Dial) {
        let target = SocketAddr::new(dial.address, dial.port);
        let attempt = self.network.dial(dial.node.host(), target, self.now);
        self.dials.insert(attempt, dial);
    }

    /// Somebody dials a node, which takes the connection if it is there by now.
    pub(in crate::sim) fn answer(&mut self, attempt: AttemptId, host: HostId, port: u16, remote: SocketAddr) {
        let target = NodeId(host.0);
        let node = &mut self.nodes[target.0];
        let listens = !node.refuses && port == ROUTE_PORT;
        let engine = node.engine.as_mut().filter(|_| listens);
        let Some(Ok(connection)) = engine.map(|engine| engine.handle_accept_route(self.now, remote)) else {
            return self.network.refuse(attempt, self.now);
        };
        let (Some(end), Some(dial)) = (self.network.accept(attempt, self.now), self.dials.get(&attempt))
        else {
            return;
        };
        let holders = [None, Some(Holder::Node(target, connection))];
        self.joints.insert(end.stream, Joint::new(holders, [dial.node, target], Some(dial.label)));
        self.nodes[target.0].open(Socket { connection, end, peer: None, is_client: false });
        self.note_transport(target, connection, end);
        self.watch_handshake(target, connection);
        self.check_connections(target);
        self.pump(target);
    }

    /// The dialer hears that it is connected.
    pub(in crate::sim) fn connected(&mut self, attempt: AttemptId, end: End) {
        let Some(Dial { node, incarnation, id, address, port, .. }) = self.dials.remove(&attempt) else {
            return;
        };
        let is_same = self.nodes[node.0].incarnation == incarnation;
        let engine = self.nodes[node.0].engine.as_mut().filter(|_| is_same);
        let remote = SocketAddr::new(address, port);
        let Some(Ok(connection)) = engine.map(|engine| engine.handle_dialed(self.now, id, remote)) else {
            return self.close_end(end, Ending::Reset);
        };
        self.nodes[node.0].end_dial(id);
        if let Some(joint) = self.joints.get_mut(end.stream) {
            joint.holders[end.side] = Some(Holder::Node(node, connection));
        }
        self.nodes[node.0].open(Socket { connection, end, peer: None, is_client: false });
        let number = end.stream.number();
        let words = [7 << 32 | node.0 as u64, connection.index() as u64, number as u64];
        self.trace.note(self.now, words, || {
            format!("{node} is connected to {address} by s{number} as {connection:?}")
        });
        self.note_transport(node, connection, end);
        self.watch_handshake(node, connection);
        self.check_connections(node);
        self.pump(node);
    }

    /// The dial failed at this address; there may be others.
    pub(in crate::sim) fn not_connected(&mut self, attempt: AttemptId, fault: DialFault) {
        let Some(mut dial) = self.dials.remove(&attempt) else {
            return;
        };
        let node = &mut self.nodes[dial.node.0];
        let Some(engine) = node.engine.as_mut().filter(|_| node.incarnation == dial.incarnation) else {
            return;
        };
        if !dial.rest.is_empty() {
            dial.address = dial.rest.remove(0);
            return self.attempt(dial);
        }
        let why = format!("dial tcp {}: {fault}", dial.address);
        let words = [8 << 32 | dial.node.0 as u64, dial.id.0, 0];
        self.trace.note(self.now, words, || format!("{} cannot connect: {why}", dial.node));
        // Every dial is answered once.
        let _ = engine.handle_dial_failed(self.now, dial.id, &DialError::Failed(why));
        let place = node.end_dial(dial.id);
        if let Some((host, _)) = place {
            self.check_failed_dial(dial.node, host);
        }
        self.pump(dial.node);
    }
}

/// Whether a dial is for a connection that is dedicated to an account.
pub(in crate::sim) fn is_dedicated(engine: &Engine, dial: DialId) -> bool {
    engine.node().cluster().is_some_and(|cluster| cluster.is_dedicated(dial))
}
