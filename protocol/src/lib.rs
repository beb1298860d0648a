//! A NATS server whose protocol brain does no IO.
//!
//! onehop speaks the NATS client protocol and the NATS Routes protocol, so that a node of it joins a cluster of
//! `nats-server` as a full peer. This crate is all of that as plain state machines: no sockets, no clock, no threads, and no
//! randomness but that of one seed. A runtime adds those and makes no decision; a test, a simulator or a
//! single-threaded program drives an [`Engine`].
//!
//! # The map
//!
//! | room | what it holds |
//! |---|---|
//! | [`wire`] | the parser: operations in and out, INFO and CONNECT, subjects |
//! | [`gossip`] | whom to tell of whom |
//! | `routes` | the route table: peers, pools of connections, duplicates, when to dial |
//! | [`interest`] | who wants which subject, here and at other servers |
//! | `forwarding` | who gets a message, given where it came from: the one hop |
//!
//! Around them: a [`Connection`] is one client or one route, owned by one driver. The [`Node`] is what all of them share:
//! its [`hub`] with accounts and counters, and the cluster (gossip and routes, wired) behind a lock. Output leaves
//! through a [`Sink`], usually into an [`outbox`] per connection. An [`Engine`] is a node with all its connections in one
//! value. [`config`] is what an operator chooses.
//!
//! # The life of a message
//!
//! 1. A driver reads bytes and hands them to [`Connection::handle_input`].
//! 2. The [`Parser`](wire::Parser) borrows from them, allocating nothing, an [`Op::Publish`](wire::Op::Publish) from a client or an
//!    [`Op::RoutedMessage`](wire::Op::RoutedMessage) from another server.
//! 3. The connection looks up in its own cache who gets the subject. If the
//!    [`Index::is_current`](interest::Index::is_current) says that interest has changed, it asks the index again.
//! 4. `forwarding` walks these targets: clients of this node always, other servers only if a client of this node published
//!    it; of each queue group one member in the whole cluster.
//! 5. For each of them [`Sink::deliver`] takes a [`Delivery`](outbox::Delivery): a line whose start was prepared with the
//!    target, the rest of the line as it was read, and the body.
//! 6. The sink copies it into the target's [`Outbox`](outbox::Outbox), which tells by its
//!    [`Pressure`](outbox::Pressure) when the target is too slow.
//! 7. At the end of the batch the driver writes the outbox with few large vectored writes.
//!
//! # Two nodes
//!
//! A dials B, in memory; a client of B publishes and a client of A receives.
//!
//! ```
//! use onehop::config::{ClusterConfig, Config};
//! use onehop::{Engine, Instant, Listening};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::ZERO;
//! let somewhere = "127.0.0.1:40000".parse()?;
//! let node = |seed, routes| {
//!     let cluster = ClusterConfig { name: Some("C".into()), routes, ..ClusterConfig::default() };
//!     let config = Config { seed, cluster: Some(cluster), ..Config::default() };
//!     let listening = Listening { client_port: 4222, route_port: 6222, ..Listening::default() };
//!     Engine::new(config, &listening, now)
//! };
//! let mut a = node(1, vec!["nats://b.example:6222".parse()?]);
//! let mut b = node(2, vec![]);
//! let (listener, speaker) = (a.handle_accept_client(now, somewhere), b.handle_accept_client(now, somewhere));
//! a.handle_input(now, listener, b"SUB greet.* 1\r\n")?;
//!
//! // A dials; then what the one writes the other reads, until both have nothing more to say.
//! let mut routes = Vec::new();
//! loop {
//!     while let Some(dial) = a.poll_dial(now) {
//!         routes.push((a.handle_dialed(now, dial.id, somewhere)?, b.handle_accept_route(now, somewhere)?));
//!     }
//!     let mut bytes = 0;
//!     for (at_a, at_b) in &routes {
//!         let (to_a, to_b) = (b.transmit(*at_b)?, a.transmit(*at_a)?);
//!         a.handle_input(now, *at_a, &to_a)?;
//!         b.handle_input(now, *at_b, &to_b)?;
//!         bytes += to_a.len() + to_b.len();
//!     }
//!     if bytes == 0 {
//!         break;
//!     }
//! }
//! assert_eq!(routes.len(), 4, "a pool of three and one for the system account");
//!
//! b.handle_input(now, speaker, b"PUB greet.joe 5\r\nhello\r\n")?;
//! for (at_a, at_b) in &routes {
//!     a.handle_input(now, *at_a, &b.transmit(*at_b)?)?;
//! }
//! assert!(a.transmit(listener)?.ends_with(b"MSG greet.joe 1 5\r\nhello\r\n"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod account;
mod close;
mod cluster;
pub mod config;
pub mod connection;
pub mod docs;
mod engine;
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
#[cfg(feature = "sim")]
pub mod sim;
mod sink;
mod system;
mod time;
pub mod wire;

pub use close::CloseReason;
pub use cluster::{DialError, DialRequest};
pub use connection::Connection;
pub use engine::{ApiMisuse, Engine, EngineTimeout};
pub use id::ConnectionId;
pub use identity::{IMPLEMENTATION, NATS_VERSION};
pub use node::{Listening, Node};
pub use routes::DialId;
pub use sink::Sink;
pub use time::Instant;
