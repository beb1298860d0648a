//! The parser: operations in and out, INFO and CONNECT, subjects and headers.
//!
//! This room knows what bytes mean and nothing else: no connection, no interest, no time. It touches only the buffers
//! that it is handed. [`Parser`] borrows operations from a connection's read buffer and allocates nothing; [`encode`]
//! appends to a connection's write buffer; [`Info`] and [`Connect`] are read and written a few times in a connection's
//! life. Connections call it, both clients' and routes'; interest and authorization ask it what subjects mean
//! ([`subject`]).
//!
//! Which operation is allowed when, and whether a subject is acceptable, is for the caller to say; the parser checks the
//! form of lines and the limits of [`Dialect`].

mod arguments;
mod connect;
pub mod encode;
mod error;
mod gossip_mode;
mod grammar;
pub(crate) mod header;
mod info;
pub(crate) mod json;
mod op;
mod parser;
pub mod subject;
pub mod system;
pub(crate) mod trace;

pub use arguments::MAX_SIZE_DIGITS;
pub use connect::Connect;
pub use error::ProtocolError;
pub use gossip_mode::GossipMode;
pub use grammar::{Dialect, ParseError, Parsed, Role};
pub use info::{CircuitWord, ClientUrls, Info, KnownServer, Permissions};
pub use json::InvalidJson;
pub use op::{LeafOrigin, Message, Op, RoutedMessage, RoutedSub, RoutedUnsub};
pub use parser::Parser;
