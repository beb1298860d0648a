//! Servers that say what no node would say.

use std::time::Duration;

use super::World;
use crate::sim::ids::NodeId;
use crate::sim::net::{End, Ending};
use crate::sim::node::Socket;
use crate::sim::stream::{Holder, Joint};

/// The connection of a server that is no node of the world to one that is.
#[derive(Clone, Copy, Debug)]
pub struct Impostor(End);

impl World {
    /// Lets a server that is no node join one by a single connection, with this INFO (a JSON object); none if the node is down.
    /// It reads all that it is told and says nothing more. While it is there the mesh does not count as whole.
    pub fn pretend(&mut self, to: NodeId, info: &str) -> Option<Impostor> {
        let remote = ([10, 254, 0, 1], 40_000).into();
        let connection = self.nodes[to.0].engine.as_mut()?.handle_accept_route(self.now, remote).ok()?;
        let stream = self.network.attach(to.host(), LATENCY, self.now);
        let holders = [None, Some(Holder::Node(to, connection))];
        self.joints.insert(stream, Joint::new(holders, [to, to], None));
        let socket = Socket { connection, end: stream.acceptor(), peer: None, is_client: false };
        self.nodes[to.0].open(socket);
        self.servers += 1;
        let connect = r#"{"verbose":false,"pedantic":false,"headers":true,"cluster":"sim"}"#;
        self.write(stream.dialer(), format!("CONNECT {connect}\r\nINFO {info}\r\n").into_bytes(), None);
        self.pump(to);
        Some(Impostor(stream.dialer()))
    }

    /// Lets it go.
    pub fn hang_up(&mut self, impostor: Impostor) {
        self.close_end(impostor.0, Ending::Fin);
    }
}

/// How long bytes travel between it and the node.
const LATENCY: Duration = Duration::from_micros(50);
