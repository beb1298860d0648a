//! Whole clusters in one thread and in virtual time, for property tests of your own topology (design.md 7).
//!
//! A [`World`] holds nodes (each an [`Engine`](crate::Engine)), clients, and a network of ordered byte streams that
//! delays, cuts, merges, resets, and loses without telling. Everything that is left to chance follows from one `u64`
//! seed. Rules that hold always are checked at every step ([`Rule`]). Where a world is small enough, [`explore`] and
//! [`Scenario::explore`] follow every order in which things can arrive in it, instead of one.
//!
//! ```
//! use std::time::Duration;
//! use onehop::sim::{Fault, NetworkConfig, NodeSpec, Seed, World};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut world = World::new(42, NetworkConfig::default(), false);
//! let a = world.add_node(NodeSpec::new(Some(3)));
//! let b = world.add_node(NodeSpec::new(Some(3)).joining([Seed::Node(a)]));
//! let c = world.add_node(NodeSpec::new(Some(3)).joining([Seed::Node(a)]));
//! for node in [a, b, c] {
//!     world.start(node);
//! }
//! world.run_for(Duration::from_secs(5))?;
//! assert!(world.is_mesh_whole());
//!
//! let (listener, speaker) = (world.connect(b, true).unwrap(), world.connect(c, true).unwrap());
//! world.subscribe(listener, "greet.*", None, false);
//! world.run_for(Duration::from_millis(100))?;
//! world.publish(speaker, "greet.joe", 0);
//! world.fault(Fault::Reset(a, b));
//! world.run_for(Duration::from_secs(5))?;
//! assert_eq!(world.received(listener).len(), 1);
//! world.check_settled()?;
//! # Ok(())
//! # }
//! ```

mod client;
mod dial;
mod drive;
mod expectations;
mod explore;
mod faults;
mod forgetting;
mod invariants;
mod label;
mod ledger;
mod limits;
pub mod net;
mod node;
mod operations;
mod queue;
#[cfg(test)]
mod rule_tests;
mod run;
mod scenario;
mod shrink;
mod stream;
mod tap;
mod topology;
mod trace;
mod transport;
mod world;

pub use client::{ClientId, Received, Sid, SimClient, SimSubscription};
pub use explore::{Arrival, BadOrder, Explored, Verdict, explore};
pub use faults::Fault;
pub use forgetting::FORGETTING_SLACK;
pub use invariants::{Rule, Violation};
pub use ledger::MessageId;
pub use net::NetworkConfig;
pub use node::{NodeId, NodeSpec, Seed};
pub use run::{CONVERGENCE_BOUND, DEATH_IS_NOTICED, DIALS_PER_ROUTE, Outcome, SETTLING};
pub use scenario::{Drawing, FILTERS, FaultLevel, Healing, Member, Operation, QUEUES, SUBJECTS, Scenario};
pub use topology::{CLUSTER_NAME, Topology};
pub use trace::{MAX_TRACE_LINES, Trace};
pub use world::{Statistics, World};
