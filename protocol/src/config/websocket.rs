//! The port for clients by WebSocket.

use std::time::Duration;

use super::{DEFAULT_HOST, HostPort, Port};
#[cfg(feature = "websocket")]
use crate::transport::WebSocketTerms;
use crate::transport::{Origin, Tls};

/// Where browsers, and whoever else comes by WebSocket, connect, and on which terms (wire.md 6.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// The address that they connect to.
    pub host: String,
    /// The port that they connect to.
    pub port: Port,
    /// What they and peers are told to reach this port by, where it differs from `host` and `port`. A missing port means `port`.
    pub advertise: Option<HostPort>,
    /// TLS for them; without it `no_tls` must be set.
    pub tls: Option<Tls>,
    /// What they send may be read by whoever it passes.
    pub no_tls: bool,
    /// A page must be from where it connects to.
    pub same_origin: bool,
    /// A page must be from one of these places; from anywhere if there are none.
    pub allowed_origins: Vec<Origin>,
    /// Messages are compressed for those who can read them so.
    pub compression: bool,
    /// How long a client may take to ask for a WebSocket.
    pub handshake_timeout: Duration,
    /// What stands besides in the answer to that, by name and value.
    pub headers: Vec<(String, String)>,
    /// How long after one PING the next is sent, where it differs from that of other clients.
    pub ping_interval: Option<Duration>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            host: DEFAULT_HOST.to_owned(),
            port: Port::Fixed(DEFAULT_WEBSOCKET_PORT),
            advertise: None,
            tls: None,
            no_tls: false,
            same_origin: false,
            allowed_origins: Vec::new(),
            compression: false,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            headers: Vec::new(),
            ping_interval: None,
        }
    }
}

impl WebSocketConfig {
    /// What the transport needs to know of it, where a message may have so many bytes.
    #[cfg(feature = "websocket")]
    pub(crate) fn terms(&self, max_payload: usize) -> WebSocketTerms {
        WebSocketTerms {
            compression: self.compression,
            same_origin: self.same_origin,
            allowed_origins: self.allowed_origins.clone(),
            headers: self.headers.clone(),
            is_tls: self.tls.is_some(),
            max_message_bytes: max_payload.saturating_add(INFLATED_BESIDE_BYTES),
        }
    }
}

/// The port of WebSockets where none is chosen.
const DEFAULT_WEBSOCKET_PORT: u16 = 8080;

/// nats-server waits for ever.
const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A compressed message of a WebSocket may mean as much as the largest payload, and this for what stands before it: it is handled
/// as it is decompressed, so that more would cost no memory, but work without end. nats-server allows nothing beside.
pub const INFLATED_BESIDE_BYTES: usize = 64 * 1024;
