//! What the log says of the ports on which a server listens, under the names of nats-server (wire.md 9.7).

use std::fmt::Display;

use log::{info, warn};

use crate::config::{ClusterConfig, Config, WebSocketConfig};
use crate::transport::HandshakeFirst;

/// Clients are listened for.
pub fn log_client_port(config: &Config, address: impl Display) {
    info!("Listening for client connections on {address}");
    if let Some(tls) = &config.tls {
        let what = if config.allow_non_tls { "available" } else { "required" };
        info!("TLS {what} for client connections");
        if tls.settings().handshake_first == HandshakeFirst::Always {
            warn!("Clients that are not using \"TLS Handshake First\" option will fail to connect");
        }
    }
    if config.proxy_protocol {
        info!("PROXY protocol enabled for client connections");
    }
}

/// Clients by WebSocket are listened for.
pub fn log_websocket_port(config: &WebSocketConfig, address: impl Display) {
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    info!("Listening for websocket clients on {scheme}://{address}");
    if config.tls.is_none() {
        warn!("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
    }
}

/// Other servers are listened for.
pub fn log_route_port(config: &ClusterConfig, address: impl Display) {
    info!("Listening for route connections on {address}");
    if config.tls.as_ref().is_some_and(|tls| tls.settings().insecure) {
        warn!(
            "TLS certificate chain and hostname of solicited routes will not be verified. DO NOT USE IN PRODUCTION!"
        );
    }
}

/// Monitoring is served.
pub fn log_monitoring_port(address: impl Display) {
    info!("Starting http monitor on {address}");
}
