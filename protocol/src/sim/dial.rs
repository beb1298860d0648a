//! How a node's wish to connect becomes a connection, or a failure.

use std::net::{IpAddr, SocketAddr};

use super::explore::is_dedicated;
use super::label::Label;
use super::node::{NodeId, ROUTE_PORT, Socket};
use super::stream::{ACCEPTOR, DIALER, End, Ending, Stream, StreamId};
use super::world::{Event, World};
use crate::cluster::{DialError, DialRequest};
use crate::routes::DialId;
use crate::time::Instant;

/// One dial on its way through the addresses of its host.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) node: NodeId,
    /// The same whatever else happens in which order.
    pub(super) label: Label,
    /// A node that was restarted meanwhile knows nothing of it.
    incarnation: u32,
    pub(super) dial: DialId,
    port: u16,
    /// The address that is tried now, and those to be tried then.
    address: IpAddr,
    rest: Vec<IpAddr>,
    begun: Instant,
}

impl World {
    /// Does what a runtime does with a dial: it resolves the name, leaves out the node's own addresses and tries the rest one
    /// after the other.
    pub(super) fn begin_dial(&mut self, id: NodeId, request: DialRequest) {
        self.statistics.dials += 1;
        let mut addresses = self.network.resolve(&request.host);
        let found = addresses.len();
        addresses.retain(|ip| !request.own_addresses.contains(&SocketAddr::new(*ip, request.port)));
        let words = [6 << 32 | id.0 as u64, request.id.0, 0];
        self.trace.note(self.now, words, || format!("{id} dials {}:{}", request.host, request.port));
        self.note_dial(id, &request);
        if addresses.is_empty() {
            self.nodes[id.0].dialing.remove(&request.id);
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
        let attempt = Attempt {
            node: id,
            label: node.labels.next(id, address, is_dedicated),
            incarnation: node.incarnation,
            dial: request.id,
            port: request.port,
            address,
            rest: addresses,
            begun: self.now,
        };
        self.attempt(Box::new(attempt));
    }

    /// Checks whether the node may dial this now.
    fn note_dial(&mut self, id: NodeId, request: &DialRequest) {
        let place = (request.host.clone(), request.port);
        let cluster =
            self.nodes[id.0].engine.as_ref().and_then(|it| it.node().hub().config().cluster.as_ref());
        let is_configured =
            cluster.is_some_and(|it| it.routes.iter().any(|url| url.host == place.0 && url.port == place.1));
        self.nodes[id.0].dialing.insert(request.id, place.clone());
        self.check_dial(id, &place, is_configured);
        if !is_configured {
            self.check_dialed_address(id, &place.0);
        }
    }

    /// Tries one address.
    pub(super) fn attempt(&mut self, attempt: Box<Attempt>) {
        let delay = self.network.delay();
        let (refused, timed_out) =
            (self.network.config.refusals_per_million, self.network.config.timeouts_per_million);
        let target = self.network.host(attempt.address).filter(|_| attempt.port == ROUTE_PORT);
        let is_cut = target.is_none_or(|target| {
            self.network.is_cut(attempt.node, target) || self.network.is_cut(target, attempt.node)
        });
        if is_cut || self.network.happens(timed_out) {
            self.time_out(attempt);
        } else if self.network.happens(refused) {
            self.refuse(attempt, delay);
        } else {
            self.queue.push(self.now + delay, Event::Reach(attempt));
        }
    }

    /// The host takes the connection, if it is there by now.
    pub(super) fn reach(&mut self, attempt: Box<Attempt>) {
        let delay = self.network.delay();
        let Some(target) = self.listener(attempt.address) else {
            return self.refuse(attempt, delay);
        };
        let dialer = &mut self.nodes[attempt.node.0];
        let remote = SocketAddr::new(dialer.seen_ip(), dialer.dialer_port());
        let Some(Ok(connection)) =
            self.nodes[target.0].engine.as_mut().map(|engine| engine.handle_accept_route(self.now, remote))
        else {
            return self.refuse(attempt, delay);
        };
        let ends = [End::Pending, End::Node(target, connection)];
        let mut stream = Stream::new(ends, [attempt.node, target], true, self.now);
        let established = self.now + delay;
        stream.pipes[ACCEPTOR].last_arrival = established;
        stream.label = Some(attempt.label);
        let stream = self.streams.insert(stream);
        self.nodes[target.0].open(Socket {
            connection,
            stream,
            side: ACCEPTOR,
            peer: None,
            is_client: false,
        });
        self.queue.push(established, Event::Establish(attempt, stream));
        self.watch_handshake(target, connection);
        self.check_connections(target);
        self.pump(target);
    }

    /// The dialer hears that it is connected, if that gets through.
    pub(super) fn establish(&mut self, attempt: Attempt, id: StreamId) {
        let Attempt { node, incarnation, dial, address, port, .. } = attempt;
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        if self.nodes[node.0].incarnation != incarnation || self.nodes[node.0].engine.is_none() {
            return self.close_end(id, DIALER, Ending::Reset);
        }
        if self.network.is_cut(stream.nodes[ACCEPTOR], node) {
            // The acceptor has a connection that nobody else knows of.
            stream.lose();
            stream.ends[DIALER] = End::Closed;
            return self.time_out(Box::new(attempt));
        }
        let remote = SocketAddr::new(address, port);
        self.nodes[node.0].dialing.remove(&dial);
        let Some(Ok(connection)) =
            self.nodes[node.0].engine.as_mut().map(|engine| engine.handle_dialed(self.now, dial, remote))
        else {
            return self.close_end(id, DIALER, Ending::Reset);
        };
        stream.ends[DIALER] = End::Node(node, connection);
        self.nodes[node.0].open(Socket {
            connection,
            stream: id,
            side: DIALER,
            peer: None,
            is_client: false,
        });
        self.trace.note(
            self.now,
            [7 << 32 | node.0 as u64, connection.index() as u64, id.number() as u64],
            || format!("{node} is connected to {address} by s{} as {connection:?}", id.number()),
        );
        self.watch_handshake(node, connection);
        self.check_connections(node);
        self.pump(node);
    }

    /// The dial failed at this address; there may be others.
    pub(super) fn fail_dial(&mut self, mut attempt: Attempt, why: &str) {
        let node = &mut self.nodes[attempt.node.0];
        let Some(engine) = node.engine.as_mut().filter(|_| node.incarnation == attempt.incarnation) else {
            return;
        };
        if !attempt.rest.is_empty() {
            attempt.address = attempt.rest.remove(0);
            attempt.begun = self.now;
            return self.attempt(Box::new(attempt));
        }
        let words = [8 << 32 | attempt.node.0 as u64, attempt.dial.0, 0];
        self.trace.note(self.now, words, || format!("{} cannot connect: {why}", attempt.node));
        let place = node.dialing.remove(&attempt.dial);
        // Every dial is answered once.
        let _ = engine.handle_dial_failed(self.now, attempt.dial, &DialError::Failed(why.to_owned()));
        if let Some((host, _)) = place {
            self.check_failed_dial(attempt.node, host);
        }
        self.pump(attempt.node);
    }

    fn refuse(&mut self, attempt: Box<Attempt>, delay: std::time::Duration) {
        let why = format!("dial tcp {}: connection refused", attempt.address);
        self.queue.push(self.now + delay, Event::FailDial(attempt, why));
    }

    fn time_out(&mut self, attempt: Box<Attempt>) {
        let why = format!("dial tcp {}: i/o timeout", attempt.address);
        let at = attempt.begun + self.network.config.dial_timeout;
        self.queue.push(at.max(self.now), Event::FailDial(attempt, why));
    }
}
