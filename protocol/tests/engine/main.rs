//! What a node does, seen from outside: engines in virtual time, driven through the crate's public API.
//!
//! [`scene`] is the harness, nodes on the simulated network, which does everything at once; [`script`] reads the
//! transcripts that most tests are.

mod account_limits;
mod accounts;
mod authentication;
mod circuits;
mod clients;
mod close;
mod compression;
mod determinism;
mod effects;
mod gossip;
mod handover;
mod handshake;
mod imports;
mod imports_model;
mod interest;
mod keepalive;
mod lame_duck;
mod limits;
mod logs;
mod mesh;
mod messages;
mod misuse;
mod pinned;
mod proxied;
mod queues;
mod reached;
mod reconfigure;
mod route_limits;
mod scene;
mod script;
mod services;
mod shutdown;
mod slow_consumers;
mod tls;
mod tracing;
mod transport;
mod users;
mod websocket;
