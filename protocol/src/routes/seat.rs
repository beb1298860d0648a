//! What a connection is to two servers, and what one of them says that decides about it (wire.md 2.1).

use crate::config::RouteUrl;

/// What a connection is to the pair of servers that it joins (wire.md 2.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// A slot of the pool.
    Slot(usize),
    /// Dedicated to an account.
    Dedicated(String),
    /// The only one, to a peer that does not pool (or from a node that does not).
    Sole,
}

impl Seat {
    /// The account that the connection is dedicated to, if to one.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::Dedicated(account) => Some(account),
            Self::Slot(_) | Self::Sole => None,
        }
    }
}

/// What a server says of itself on a new connection, as far as it decides about the seat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newcomer<'a> {
    pub(crate) id: &'a str,
    /// Where it says it can be dialed.
    pub(crate) url: Option<RouteUrl>,
    /// How many connections its pools have; zero or less if it has no pools.
    pub(crate) pool_size: i32,
    /// The slot that it wants for this connection.
    pub(crate) pool_index: i32,
    /// The account that it dedicates this connection to; empty if to none.
    pub(crate) account: &'a str,
    /// There is an account here of the name that this connection is for.
    pub(crate) has_account: bool,
    /// It lets one of the two dial first where either could, as this node does.
    pub(crate) arbitrates: bool,
    /// What it shows to take the place of a circuit; empty if nothing.
    pub(crate) token: &'a str,
}

/// Why there is no seat for a connection, whoever is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// No such slot.
    NotInPool { index: i32, size: usize },
    /// Only the side that dials names a slot.
    SlotIsForDialer(i32),
    /// Connections for one account are for pairs that pool.
    NotPooling(String),
    /// This account has no connection of its own.
    NotPinned(String),
    /// There is no such account.
    NoAccount(String),
}
