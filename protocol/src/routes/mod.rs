//! The route table: peers and the connections to them, pool slots and dedicated accounts, duplicates, and what is
//! to be dialed when.
//!
//! Plain bookkeeping without output: the cluster machine asks, decides with what it hears, and speaks.

#[cfg(feature = "sim")]
mod describe;
mod dials;
mod peers;

pub use dials::DialId;
#[cfg(feature = "sim")]
pub(crate) use dials::MAX_DIALS;
pub(crate) use dials::{Dial, DialState, Dials, RETRY_PAUSE, jitter};
pub(crate) use peers::{Peer, Seat, Solicited};
