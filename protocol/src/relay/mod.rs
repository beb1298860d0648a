//! Circuits: routes whose bytes pass through a third node, between two members that cannot reach each other (design.md 5,
//! wire.md 14.7).
//!
//! A circuit is made of two connections with the node in the middle. To the two ends it is one route, of which only they know that
//! it is no direct one. Two machines, of which a node has both:
//! - [`Ends`] wants circuits to the servers that this node lacks, and takes part in those that others want with it;
//! - [`Middle`] lets the circuits of others pass.
//!
//! And [`Joints`] knows which members lack each other that know nothing of circuits.
//!
//! Both hear what members say ([`CircuitWord`](crate::wire::CircuitWord)) and what becomes of connections, and answer at once; they send
//! nothing, dial nothing and know no route. The cluster calls them, and nobody else.

mod choice;
mod ends;
mod joints;
mod middle;
#[cfg(test)]
mod tests;

pub(crate) use ends::{Circuit, Ends, Lack, MAX_TOKEN_BYTES, Want};
pub(crate) use joints::{Joints, Pair};
pub(crate) use middle::{Middle, Passing, Refused, Role};

use std::time::Duration;

/// What was agreed on is to be done within so long: to answer, to make a connection, to let it be a route.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
