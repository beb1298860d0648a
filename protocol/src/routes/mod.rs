//! The route table: one machine, [`Routes`], that keeps which servers there are connections to, gives each new connection its
//! seat, and says what is to be dialed and when.
//!
//! It hears of servers (to be dialed) and of connections (dialed, presented, lost) and decides: pool slots and dedicated
//! accounts, duplicates, the pace and the pauses of dials, who is remembered and until when, which connections may be dead.
//! What a call decides about a connection is what it returns; what is to be dialed comes from [`Routes::poll_dial`], to be
//! polled until it gives nothing after every other call and when [`Routes::poll_timeout`] is due.
//!
//! It knows nothing of gossip, and of the bytes on a route no more than the kinds of connections that there are. The cluster
//! calls it, and nobody else.

mod cause;
mod cold;
#[cfg(feature = "sim")]
mod describe;
mod dial;
mod dial_index;
mod dials;
mod doubts;
mod guesses;
mod handover;
#[cfg(test)]
mod handover_tests;
mod life;
mod moves;
mod pace;
mod peer;
mod plan;
mod seat;
mod table;
mod tellers;
#[cfg(test)]
mod tests;
mod turn;
mod verdict;
mod wishes;

pub(crate) use cause::Cause;
pub use cause::DialCounts;
#[cfg(feature = "sim")]
pub(crate) use cold::COLD_PAUSE;
#[cfg(feature = "sim")]
pub(crate) use describe::Kept;
pub(crate) use dial::Purpose;
pub use dial::{DialError, DialId, DialRequest};
#[cfg(feature = "sim")]
pub(crate) use dials::MAX_DIALS;
pub(crate) use life::Detour;
pub(crate) use moves::TooManyMoved;
#[cfg(feature = "sim")]
pub(crate) use pace::RETRY_PAUSE;
pub(crate) use plan::Own;
pub(crate) use seat::{Newcomer, NoSeat, Seat};
pub(crate) use table::Routes;
#[cfg(feature = "sim")]
pub(crate) use tellers::MAX_HEARSAY;
pub(crate) use turn::dials_first;
pub(crate) use verdict::{Hearsay, Inheritance, Kinds, Led, NotSeated, Notice, Reconfigured, Seated};
#[cfg(feature = "sim")]
pub(crate) use wishes::MAX_OWN_ADDRESSES;
