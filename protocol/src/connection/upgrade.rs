//! Clients that come by WebSocket (wire.md 6.5). The transform does the work; here it is begun, and its client greeted.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use log::debug;

use super::client::Client;
use super::keepalive::KeepAlive;
use super::opening::Stage;
use super::{Connection, Side};
use crate::config::WebSocketConfig;
use crate::hub::Kind;
use crate::node::Node;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::WebSocket;

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
        match connection.shared.config.client_tls(true).cloned() {
            Some(tls) => connection.shake_hands_as_server(now, &tls, sink),
            None => connection.await_upgrade(now, sink),
        }
        connection
    }

    /// Lets what comes be frames of a WebSocket, once that was asked for.
    pub(super) fn await_upgrade<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let config = self.shared.config.clone();
        let own: Cow<'_, WebSocketConfig> = config.websocket.as_ref().map(Cow::Borrowed).unwrap_or_default();
        let websocket = WebSocket::new(Arc::new(own.terms(config.max_payload)));
        let mut context = self.shared.context(now, sink);
        context.switch_output(websocket.encoder());
        context.switch_input(websocket.decoder());
        self.wait_at(Stage::Upgrade(websocket.clone()), now, own.handshake_timeout);
        self.websocket = Some(websocket);
    }

    /// Greets a client that has its WebSocket now.
    pub(super) fn handle_upgraded<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let shared = &mut self.shared;
        shared.node.hub().directory().handle_upgraded(&shared.entry);
        shared.keepalive =
            KeepAlive::new(now, shared.config.client_ping_interval(true), shared.config.ping_max, true);
        self.side = Side::Client(Client::new(shared.node.hub()));
        debug!("{} - Client connection created", shared.context(now, sink));
        self.begin(now, sink);
    }
}
