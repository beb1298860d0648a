//! Loads that compare two NATS servers side by side, and others with them: what the program `versus` is made of.
//!
//! Called by `src/bin/versus.rs` only. It starts server processes, talks to them over raw sockets and reads `/proc`; it
//! shares no code with the servers that it measures, so that a mistake of theirs cannot hide in the measurement.
//!
//! From the outside in:
//! 1. [`options`]: the command line.
//! 2. [`plan`]: the list of loads, by name.
//! 3. [`run`]: one load, one server, one round, one [`reading::Reading`].
//! 4. [`traffic`], [`requests`], [`memory`]: the three kinds of load; [`flow`] is one publisher and its subscribers.
//! 5. [`batch`], [`inbox`], [`connection`], [`dialect`], [`scan`]: bytes out, bytes in.
//! 6. [`tenants`]: who may do what there; [`tunnel`]: TLS or frames of a WebSocket on the way.
//! 7. [`node`], [`process`]: the server under test, its CPU time and its memory; [`relay`] is the one that only copies,
//!    [`tap`] counts what passes between two.
//! 8. [`statistics`], [`report`], [`chart`]: medians, tables, the verdict and the drawing.
//!
//! [`stop`] ends all of it early, with what was measured until then.

pub mod batch;
pub mod chart;
pub mod connection;
pub mod dialect;
pub mod flow;
mod frames;
pub mod inbox;
pub mod memory;
pub mod node;
pub mod options;
pub mod plan;
pub mod process;
pub mod reading;
pub mod relay;
pub mod report;
pub mod requests;
pub mod run;
pub mod scan;
pub mod statistics;
pub mod stop;
pub mod tap;
pub mod tenants;
pub mod traffic;
pub mod tunnel;
