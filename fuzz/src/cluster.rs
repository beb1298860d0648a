//! Two to five engines that form a cluster over pipes, which carry bytes in pieces and break, among peers who lie.

mod converged;
mod lies;
mod net;
mod node;
mod program;

pub use program::run;
