//! A NATS server whose protocol brain does no IO.
//!
//! onehop speaks the NATS client protocol and the NATS Routes protocol, so that a node of it joins a cluster of
//! `nats-server` as a full peer. This crate is all of that as plain state machines: no sockets, no clock, no threads, and no
//! randomness but that of one seed. A runtime adds those and makes no decision; a test, a simulator or a
//! single-threaded program drives an [`Engine`].
//!
//! # The map
//!
//! A room imports from those below it in this table, never from those above. The five in bold are what a NATS server is
//! about; each of them is usable and testable without the others.
//!
//! | room | what it holds |
//! |---|---|
//! | `engine` | an [`Engine`]: a node with all its connections in one value |
//! | `sim` | behind a feature: whole clusters in virtual time |
//! | `driver` | each step of a connection's driver from a socket to its machine and back, whatever the runtime |
//! | `services` | [`Services`]: what the node itself answers in the system account, as subscribers that are not sockets |
//! | [`monitor`] | what `nats-server` shows over HTTP |
//! | [`connection`] | a [`Connection`]: one client or one route, owned by one driver |
//! | `node` | the [`Node`], which all connections share: the hub, the cluster behind its lock, what passes between them |
//! | `cluster` | gossip and routes wired into one machine |
//! | **[`gossip`]** | whom to tell of whom |
//! | [`discovery`] | servers that sources tell of: whom of them to dial, and when |
//! | `relay` | circuits, which lead through a third node where two cannot reach each other |
//! | **`routes`** | the route table: peers, pools of connections, duplicates, when to dial |
//! | **`forwarding`** | who gets a message, given where it came from: the one hop; what a connection remembers of that |
//! | `delivery` | what a batch leads to, staged until its end |
//! | [`hub`] | what a publish must look up: accounts, open connections, counters |
//! | `auth` | who a client is: users, passwords, keys |
//! | [`accounts`] | separate worlds of subjects, by id and by name |
//! | `sink`, [`outbox`], [`transport`] | where output goes ([`Sink`]), what waits for one socket, and what the bytes become on their way |
//! | **[`interest`]** | who wants which subject, here and at other servers |
//! | [`permissions`] | what a client may publish and subscribe to |
//! | [`config`] | what an operator chooses |
//! | [`mapping`] | subjects that become other subjects: an account's mappings, and the transforms of imports |
//! | **[`wire`]** | the parser: operations in and out, INFO and CONNECT, subjects |
//! | `meter` | what is kept to a pace |
//! | `calendar`, `time`, `id`, `hash`, `identity`, `close`, `lock`, `quote` | dates, [`Instant`], [`ConnectionId`], keyed hashing, random streams, [`CloseReason`], locks that know their place, what logs may quote |
//! | `nkey` | Ed25519 keys as text |
//!
//! [`docs::design`] says why it is built so, what its limits are, and in which order locks are taken; [`docs::wire`] what
//! the bytes mean.
//!
//! # The contract
//!
//! Inputs are `handle_*` calls, which take the time. They return at once, and nothing happens between them: what follows
//! waits to be polled. So after each call, and before the next, drain an engine in this order:
//!
//! 1. write what [`Engine::poll_transmit`] shows for each connection in [`Engine::pending`], and tell
//!    [`Engine::advance`], until nothing is pending or the socket takes no more ([`Engine::handle_blocked`]);
//! 2. close the sockets that [`Engine::poll_closed`] names, until `None`;
//! 3. dial what [`Engine::poll_dial`] asks for, until `None`;
//! 4. wait for the next input, until [`Engine::poll_timeout`] at the latest; when that is due, call
//!    [`Engine::handle_timeout`] and drain again.
//!
//! Who drives connections on several threads does the same with a shared [`Node`] and a [`Connection`] per socket: after
//! each of its `handle_*` calls a connection is asked for [`Connection::poll_close`], [`Connection::poll_timeout`] and
//! [`Connection::wants_turn`], and the node for [`Node::take_attention`], which tells whether [`Node::poll_dial`],
//! [`Node::poll_timeout`] and [`Services::poll_timeout`] are to be polled again and [`Services::handle_requests`] be called.
//! Bytes leave through the [`Sink`] that each call is given. [`driver`] says it step by step.
//!
//! What a peer sends never makes a call fail or panic; it ends that peer's connection at most. What the caller does wrong
//! is an [`ApiMisuse`] and changes nothing.
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
//! 6. The sink, [`Staging`](delivery::Staging), copies it into an [`Outbox`](outbox::Outbox) that it has for the target.
//! 7. At the end of the batch each target's [`Link`](delivery::Link) takes that over, writes it with few large vectored
//!    writes, and tells by its [`Pressure`](outbox::Pressure) when the target is too slow.
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

pub mod accounts;
mod auth;
mod calendar;
mod close;
mod cluster;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod discovery;
pub mod docs;
pub mod driver;
mod engine;
mod forwarding;
pub mod gossip;
mod hash;
pub mod hub;
mod id;
mod identity;
pub mod interest;
pub mod lock;
pub mod mapping;
mod meter;
pub mod monitor;
mod nkey;
mod node;
pub mod outbox;
pub mod permissions;
mod quote;
mod relay;
mod routes;
mod services;
#[cfg(feature = "sim")]
pub mod sim;
mod sink;
mod time;
pub mod transport;
pub mod wire;

pub use close::CloseReason;
pub use cluster::{DialError, DialRequest};
pub use connection::Connection;
pub use engine::{ApiMisuse, Engine, EngineTimeout};
pub use id::{AccountId, ConnectionId};
pub use identity::{IMPLEMENTATION, NATS_VERSION};
pub use node::{Listening, Node};
pub use routes::{DialCounts, DialId};
pub use services::Services;
pub use sink::Sink;
pub use time::Instant;
