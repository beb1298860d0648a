//! Clients that come by WebSocket (wire.md 6.5). The transform does the work; here it is begun, and its client greeted.

use std::time::Duration;

use crate::config::Config;

#[cfg(feature = "websocket")]
use {
    super::client::Client,
    super::keepalive::KeepAlive,
    super::opening::Stage,
    super::{Connection, Side},
    crate::hub::Kind,
    crate::node::Node,
    crate::sink::Sink,
    crate::time::Instant,
    crate::transport::WebSocket,
    log::debug,
    std::net::SocketAddr,
    std::sync::Arc,
};

#[cfg(feature = "websocket")]
impl Connection {
    /// Takes in whoever connected from `remote` to the port for WebSockets. It is a client once it has asked for one.
    pub fn accept_websocket<S: Sink>(
        node: &Arc<Node>,
        now: Instant,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Self {
        let account = node.hub().global_account().id();
        let shared = Self::shared_of_client(node, Kind::Upgrading, account, now, remote);
        let mut connection = Self::new(shared, Side::Client(Client::Arrived));
        let tls = connection.shared.config.websocket.as_ref().and_then(|own| own.tls.clone());
        match tls {
            Some(tls) => connection.shake_hands_as_server(now, &tls, sink),
            None => connection.await_upgrade(now, sink),
        }
        connection
    }

    /// Lets what comes be frames of a WebSocket, once that was asked for.
    pub(super) fn await_upgrade<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let config = self.shared.config.websocket.clone().unwrap_or_default();
        let websocket = WebSocket::new(Arc::new(config.terms(self.shared.config.max_payload)));
        let mut context = self.shared.context(now, sink);
        context.switch_output(websocket.encoder());
        context.switch_input(websocket.decoder());
        self.wait_at(Stage::Upgrade(websocket.clone()), now, config.handshake_timeout);
        self.websocket = Some(websocket);
    }

    /// Greets a client that has its WebSocket now.
    pub(super) fn handle_upgraded<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let shared = &mut self.shared;
        shared.node.hub().directory().handle_upgraded(&shared.entry);
        shared.keepalive = KeepAlive::new(now, ping_interval(&shared.config), shared.config.ping_max, true);
        self.side = Side::Client(Client::new(shared.node.hub()));
        debug!("{} - Client connection created", shared.context(now, sink));
        self.begin(now, sink);
    }
}

/// How long after one PING the next is sent to clients by WebSocket.
pub(super) fn ping_interval(config: &Config) -> Duration {
    let own = config.websocket.as_ref().and_then(|own| own.ping_interval);
    own.unwrap_or(config.ping_interval)
}
