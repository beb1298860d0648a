//! INFO gossip: one machine, `Gossip`, that hears INFO and says whom to tell what.
//!
//! A server that registers a newcomer tells its other peers, which then dial the newcomer (wire.md 3.3). Beyond that rule
//! this node tells nats-server peers of each other again, compares with other onehop nodes whom each knows, and asks
//! nats-server peers whom they know (design.md 5).
//!
//! It knows peers by what it is told: that a connection to one came or went, what its INFO said, and which connection
//! carries gossip to it. All that it wants comes from `Gossip::poll_output`, to be polled until it gives nothing after
//! every other call: lines for peers, and servers that it heard of, which somebody else dials. It knows no seats, dials or
//! addresses of connections, and nothing of `routes`. The cluster calls it, and nobody else.

mod comparison;
#[cfg(feature = "sim")]
mod describe;
mod machine;
mod member;
mod naming;
mod pairs;
mod questions;
mod rule;
mod said;
#[cfg(test)]
mod tests;

pub use crate::wire::GossipMode;
pub(crate) use machine::Gossip;
pub(crate) use rule::Arrival;
pub(crate) use said::{Heard, Joined, Output};
