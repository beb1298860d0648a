//! What crosses crates: load generators and comparisons with real servers.

pub mod load;
