//! WebSocket (RFC 6455, wire.md 6.5): a client asks by HTTP for bytes to go in frames from then on.
//!
//! The request is read and answered by the transform itself: until it is answered nothing that is to be sent is taken, and what
//! is decoded of a request is nothing. A connection asks [`WebSocket::is_open`] after each input, and greets its client then.
//!
//! The two halves share a state: what the reader wants said comes out of the writer, between two frames of its own. At most the
//! answer to the last ping waits there, as RFC 6455 5.5.3 allows, so that who pings without reading makes nothing grow.
//!
//! Each stretch of bytes is a message of one frame. Messages are bytes, and where they are divided means nothing.

#[cfg(not(feature = "websocket"))]
mod absent;
#[cfg(feature = "websocket")]
mod deflate;
mod fault;
#[cfg(feature = "websocket")]
mod frame;
#[cfg(feature = "websocket")]
mod handshake;
mod origin;
#[cfg(feature = "websocket")]
mod reader;
#[cfg(feature = "websocket")]
mod shared;
mod terms;
#[cfg(all(test, feature = "websocket"))]
mod tests;
#[cfg(feature = "websocket")]
mod writer;

#[cfg(not(feature = "websocket"))]
pub use absent::WebSocket;
#[cfg(not(feature = "websocket"))]
pub(super) use absent::{Reader, Writer};
pub use fault::{WebSocketFault, WebSocketRefusal};
pub use origin::{NoOrigin, Origin};
#[cfg(feature = "websocket")]
pub(super) use reader::Reader;
#[cfg(feature = "websocket")]
pub use shared::WebSocket;
pub use terms::WebSocketTerms;
#[cfg(feature = "websocket")]
pub(super) use writer::Writer;

/// The request, with all that a browser adds to it.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Its headers.
pub const MAX_REQUEST_HEADERS: usize = 100;
