//! Clients that come by WebSocket (wire.md 6.3). The transform does the work; here it is begun, and its client greeted.

use std::time::Duration;

use log::debug;

use super::client::Client;
use super::keepalive::KeepAlive;
use super::{Connection, Side};
use crate::config::Config;
use crate::sink::Sink;
use crate::time::Instant;

#[cfg(feature = "websocket")]
use {
    crate::hub::Kind,
    crate::node::Node,
    crate::transport::{Inbound, WebSocket},
    std::net::SocketAddr,
    std::sync::Arc,
};

impl Connection {
    /// Takes in whoever connected from `remote` to the port for WebSockets. It is a client once it has asked for one.
    #[cfg(feature = "websocket")]
    pub fn accept_websocket<S: Sink>(
        node: &Arc<Node>,
        now: Instant,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Self {
        let config = node.hub().config().websocket.clone().unwrap_or_default();
        let account = node.hub().global_account().id();
        let mut shared = Self::client(node, Kind::Upgrading, account, now, remote);
        shared.auth_deadline = Some(now + config.handshake_timeout);
        let websocket = WebSocket::new(Arc::new(config.terms(shared.config.max_payload)));
        shared.context(now, sink).switch_output(websocket.encoder());
        let mut inbound = Inbound::default();
        inbound.switch(websocket.decoder());
        let mut connection = Self::new(shared, Side::Client(Client::Upgrading));
        connection.inbound = Some(Box::new(inbound));
        connection.websocket = Some(websocket);
        connection
    }

    /// Until when a client must have asked for its WebSocket.
    pub(super) fn upgrade_deadline(&self) -> Option<Instant> {
        self.shared.auth_deadline.filter(|_| matches!(self.side, Side::Client(Client::Upgrading)))
    }

    /// Greets a client that has its WebSocket now.
    pub(super) fn handle_upgraded<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let is_upgrading = matches!(self.side, Side::Client(Client::Upgrading));
        if !is_upgrading || !self.websocket.as_ref().is_some_and(|websocket| websocket.is_open()) {
            return;
        }
        let shared = &mut self.shared;
        shared.node.hub().directory().handle_upgraded(&shared.entry);
        shared.auth_deadline = None;
        shared.keepalive = KeepAlive::new(now, ping_interval(&shared.config), shared.config.ping_max, true);
        let mut context = shared.context(now, sink);
        debug!("{context} - Client connection created");
        self.side = Side::Client(Client::new(&mut context));
    }
}

/// How long after one PING the next is sent to clients by WebSocket.
pub(super) fn ping_interval(config: &Config) -> Duration {
    let own = config.websocket.as_ref().and_then(|own| own.ping_interval);
    own.unwrap_or(config.ping_interval)
}
