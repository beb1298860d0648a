//! Attacks on a server, side by side with another: what the program `assault` and the test of the same name are made of.
//!
//! Called by `src/bin/assault.rs` and `tests/assault.rs`. Like [`load`](crate::load), which it borrows connections and
//! `/proc` from, it starts server processes and talks to them over sockets; it shares no code with the servers.
//!
//! From the outside in:
//! 1. [`options`]: the command line.
//! 2. [`attacks`]: the list of attacks, by name; one file for each kind.
//! 3. [`run`]: attacks on servers, one at a time; [`report`] makes the table.
//! 4. [`victim`]: the server under attack and what it costs; [`bystander`]: those who have to wait.
//! 5. [`member`]: a made-up server that joins the cluster.
//! 6. [`figure`]: what was measured, and when it is worse than the same of another server.

pub mod attacks;
pub mod bystander;
pub mod figure;
pub mod member;
pub mod options;
pub mod report;
pub mod run;
pub mod victim;
