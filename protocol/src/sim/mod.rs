//! Whole clusters in one thread and in virtual time, for property tests of your own topology (design.md 7).
//!
//! A [`World`] holds nodes (each an [`Engine`](crate::Engine)), clients, and a network of ordered byte streams that
//! delays, cuts, merges, resets, and loses without telling. Everything that is left to chance follows from one `u64`
//! seed. Rules that hold always are checked at every step ([`Rule`]). Where a world is small enough, [`explore`] and
//! [`Scenario::explore`] follow every order in which things can arrive in it, instead of one.
//!
//! From the bottom up, so that none imports what comes after it: the network ([`net`], and `queue`); what all are called
//! (`ids`, `label`, `subject`); what is said on streams (`framing`, `websocket`, `encryption`, `passage`, `tap`, `trace`, `stream`); rules, nodes, accounts
//! that share and users who may not do everything, clients, and the ledger of messages (`rule`, `node`, `tenants`, `client`, `ledger`); the `world`
//! that joins them; scenarios, how they are drawn, and their runs (`topology`,
//! `scenario`, `variety`, `drawing`, `run`, `shrink`); and `explore`.
//!
//! ```
//! use std::time::Duration;
//! use onehop::sim::{Fault, Lines, NetworkConfig, NodeSpec, Seed, World};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut world = World::new(42, NetworkConfig::default(), Lines::Dropped);
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

mod change;
mod client;
mod drawing;
mod encryption;
mod explore;
mod framing;
mod ids;
mod label;
mod ledger;
pub mod net;
mod node;
mod passage;
mod queue;
mod rule;
#[cfg(test)]
mod rule_tests;
mod run;
mod scenario;
mod shrink;
mod stream;
mod subject;
mod tap;
mod tenants;
mod topology;
mod trace;
mod variety;
pub mod websocket;
mod world;

pub use change::{ACCOUNTS, Change, Setting};
pub use client::{Received, SimClient, SimSubscription};
pub use drawing::{Drawing, FaultLevel, Healing};
pub use explore::{Arrival, BadOrder, Explored, Verdict, explore};
pub use ids::{ClientId, MessageId, NodeId, Sid};
pub use net::NetworkConfig;
pub use node::{DEATH_IS_NOTICED, NodeSpec, Seed};
pub use passage::{Compresses, ProxyVersion, TlsStart, Way};
pub use rule::{Rule, Violation};
pub use run::{CONVERGENCE_BOUND, DIALS_PER_ROUTE, Outcome, SETTLING};
pub use scenario::{FILTERS, Member, Operation, QUEUES, RESPONDERS, SUBJECTS, Scenario};
pub use tenants::{Login, MAPPED, RIGHTS, Rights, SHAPES, Shape, Share, SubjectLists, TENANTS, Tenants};
pub use topology::{CLUSTER_NAME, Topology};
pub use trace::{Lines, MAX_TRACE_LINES, Trace};
pub use variety::Variety;
pub use world::{FORGETTING_SLACK, Fault, Impostor, Statistics, World};

/// Whether it is the first of two nodes with these ids that dials the other where either may and both heal (design.md 5).
pub fn dials_first(own: &str, other: &str) -> bool {
    crate::routes::dials_first(own, other)
}
