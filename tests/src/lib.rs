//! End-to-end tests of the onehop servers beside real `nats-server` processes and real clients.
//!
//! The library is the harness; the tests are in `tests/*.rs`, one file a topic:
//!
//! * [`real_server`] gets the pinned Go servers that everything is compared with;
//! * [`server`] starts, watches, kills and restarts one server process of either kind;
//! * [`mesh`] starts clusters and waits until every pair of members is connected;
//! * [`raw`] is a TCP client that sends bytes and cuts what comes back into [`frame`]s;
//! * [`mask`] shows what differs from run to run in messages between accounts in one way;
//! * [`certificates`] makes those that servers and clients show, and [`tls`] is a client that speaks TLS;
//! * [`script`] runs one script of raw bytes against several servers and compares what they answered;
//! * [`matrix`] joins a server to real ones in every combination of what both may choose;
//! * [`assault`] attacks a server and looks at what that does to everybody else;
//! * [`formation`] looks how soon servers that start at once are a mesh;
//! * [`load`] puts servers under load and measures what it costs them;
//! * [`traffic`] sends messages through a mesh and checks what must hold in every one;
//! * [`peer`] plays the other side of a route, as the acceptor or as the dialer;
//! * [`simulation`] is what the tests of simulated clusters do alike;
//! * [`websocket`] is a client by WebSocket that does what a test wants;
//! * [`command_line`] is what the simulation's programs do alike with their arguments.
//!
//! Both runtimes are tested: the binary `onehop`, and `onehop-std` of this package, which is the other runtime behind the same
//! command line. What is about the command itself (signals, files, exit codes) is tested of `onehop` alone.
//!
//! The environment steers it: `ONEHOP_BIN` names another binary to test in place of `onehop`, `CI` turns what cannot be run into a failure,
//! `ONEHOP_SHOW_TRANSCRIPTS` prints what the Go server answers, and `ONEHOP_RECORD_TRANSCRIPTS` writes the recorded
//! handshakes anew.
//!
//! The harness does not use `onehop` as a library (`onehop-std` does, in a process of its own), so what its tests see is what a network sees. Simulations (`sim*.rs`, the
//! programs `sim` and `orders`) and `turns` do, and need no servers.

pub mod assault;
pub mod certificates;
pub mod command_line;
pub mod formation;
pub mod frame;
pub mod load;
pub mod mask;
pub mod matrix;
pub mod mesh;
pub mod monitor;
pub mod namespace;
pub mod peer;
pub mod raw;
pub mod real_server;
pub mod script;
pub mod server;
pub mod simulation;
pub mod tls;
pub mod traffic;
pub mod users;
pub mod websocket;
