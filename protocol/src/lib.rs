//! A NATS server whose protocol brain does no IO.
#![forbid(unsafe_code)]

pub mod account;
mod close;
mod cluster;
pub mod config;
pub mod connection;
mod forwarding;
pub mod gossip;
mod hash;
pub mod hub;
mod id;
mod identity;
pub mod interest;
pub mod monitor;
mod node;
pub mod outbox;
mod routes;
mod sink;
mod time;
pub mod wire;

pub use close::CloseReason;
pub use cluster::{DialError, DialRequest};
pub use connection::Connection;
pub use id::ConnectionId;
pub use identity::{IMPLEMENTATION, NATS_VERSION};
pub use node::{Listening, Node};
pub use routes::DialId;
pub use sink::Sink;
pub use time::Instant;
