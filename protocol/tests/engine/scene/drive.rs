//! Does for each node what a runtime does: carries out what it wants, and tells it what happened on the network.

use std::net::SocketAddr;

use onehop::sim::net::{AttemptId, DialFault, End, Ending, Event, HostId, StreamId};
use onehop::{CloseReason, ConnectionId, DialError, DialId};

use super::{Dial, Holder, ROUTE_PORT, Scene};

impl Scene {
    /// Tells whom it concerns what happened on the network.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Called { attempt, host, port, remote } => self.answer(attempt, host, port, remote),
            Event::Connected { attempt, dialed } => self.connected(attempt, dialed),
            Event::Failed { attempt, fault } => self.not_connected(attempt, fault),
            Event::Read { end, bytes, .. } => self.read(end, &bytes),
            Event::Ended { end, .. } => self.ended(end),
        }
    }

    /// Carries out everything that a node wants.
    pub(super) fn pump(&mut self, name: &str) {
        let now = self.now;
        let pending: Vec<_> = self.engine(name).pending().collect();
        pending.into_iter().for_each(|id| self.transmit(name, id));
        while let Some((id, reason)) = self.engine(name).poll_closed() {
            let end = self.nodes[name].sockets.get(&id).copied();
            // One that its peer ended is closed already.
            let Some(end) = end else { continue };
            if let Some(Holder::Peer(peer)) = self.holders.get(&end.other()) {
                self.peers[peer.0].closed = Some(reason);
            }
            self.close(end);
        }
        while let Some(request) = self.engine(name).poll_dial(now) {
            let target = SocketAddr::new(request.host.parse().expect("an address"), request.port);
            if request.own_addresses.contains(&target) {
                self.answer_dial(name, request.id, &DialError::OnlySelf);
                continue;
            }
            let host = self.host(name);
            let attempt = self.network.dial(host, target, now);
            self.dialing.insert(attempt, Dial { node: name.to_owned(), id: request.id, target });
        }
    }

    fn transmit(&mut self, name: &str, id: ConnectionId) {
        let bytes = self.engine(name).transmit(id).expect("a connection that bytes wait for");
        self.trace.extend_from_slice(format!("{name} {id:?} {:?}\n", self.now).as_bytes());
        self.trace.extend_from_slice(&bytes);
        let end = self.nodes[name].sockets[&id];
        if !matches!(self.holders.get(&end.other()), Some(Holder::Peer(_))) {
            self.routed.extend_from_slice(&bytes);
        }
        self.network.write(end, bytes, self.now);
    }

    fn answer(&mut self, attempt: AttemptId, host: HostId, port: u16, remote: SocketAddr) {
        let now = self.now;
        let called = self.hosts.iter().find(|(_, other)| **other == host);
        let called = called.map(|(name, _)| name.clone()).filter(|name| self.nodes.contains_key(name));
        let Some(name) = called.filter(|_| port == ROUTE_PORT) else {
            return self.network.refuse(attempt, now);
        };
        let id = self.engine(&name).handle_accept_route(now, remote).expect("a clustered node");
        let end = self.network.accept(attempt, now).expect("a call");
        self.open(end, &name, id);
        self.pump(&name);
    }

    fn connected(&mut self, attempt: AttemptId, end: End) {
        let Dial { node, id, target } = self.dialing.remove(&attempt).expect("a dial");
        self.dials += 1;
        let now = self.now;
        let id = self.engine(&node).handle_dialed(now, id, target).expect("a dial asked for");
        self.open(end, &node, id);
        self.pump(&node);
    }

    fn not_connected(&mut self, attempt: AttemptId, fault: DialFault) {
        let Dial { node, id, .. } = self.dialing.remove(&attempt).expect("a dial");
        self.answer_dial(&node, id, &DialError::Failed(fault.to_string()));
        self.pump(&node);
    }

    fn answer_dial(&mut self, name: &str, id: DialId, why: &DialError) {
        self.dials += 1;
        let now = self.now;
        self.engine(name).handle_dial_failed(now, id, why).expect("a dial asked for");
    }

    fn read(&mut self, end: End, bytes: &[u8]) {
        match self.holders.get(&end).cloned() {
            Some(Holder::Node(name, id)) => {
                let now = self.now;
                self.engine(&name).handle_input(now, id, bytes).expect("an open connection");
                self.pump(&name);
            }
            Some(Holder::Peer(peer)) => self.peers[peer.0].received.extend_from_slice(bytes),
            None => panic!("nobody is at {end:?}"),
        }
    }

    fn ended(&mut self, end: End) {
        let holder = self.close(end);
        if let Some(Holder::Node(name, id)) = holder {
            let now = self.now;
            self.engine(&name).handle_closed(now, id, CloseReason::ClientClosed).expect("an open connection");
            self.pump(&name);
        }
    }

    /// Ends a connection and tells both ends at once.
    pub(super) fn hang_up(&mut self, stream: StreamId) {
        stream.ends().into_iter().for_each(|end| self.ended(end));
    }

    /// Closes an end and returns who held it.
    pub(super) fn close(&mut self, end: End) -> Option<Holder> {
        self.network.close(end, Ending::Fin, self.now);
        let holder = self.holders.remove(&end);
        if let Some(Holder::Node(name, id)) = &holder
            && let Some(node) = self.nodes.get_mut(name)
        {
            node.sockets.remove(id);
        }
        holder
    }

    pub(super) fn open(&mut self, end: End, name: &str, id: ConnectionId) {
        self.holders.insert(end, Holder::Node(name.to_owned(), id));
        self.nodes.get_mut(name).expect("a node that was started").sockets.insert(id, end);
    }
}
