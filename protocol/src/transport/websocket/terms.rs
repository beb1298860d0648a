//! On which terms a WebSocket is to be had.

use super::Origin;

/// What an operator wants of those who ask for a WebSocket, and lets them have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketTerms {
    /// Messages are compressed if the peer can do that, too.
    pub compression: bool,
    /// A page must be from where its request goes.
    pub same_origin: bool,
    /// A page must be from one of these places; from anywhere if there are none. Who says nothing of a page is none.
    pub allowed_origins: Vec<Origin>,
    /// What stands in the answer besides.
    pub headers: Vec<(String, String)>,
    /// The request comes by TLS.
    pub is_tls: bool,
    /// What one compressed message may mean, in bytes.
    pub max_message_bytes: usize,
}
