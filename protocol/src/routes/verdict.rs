//! What the route table is told and what it answers.

use std::collections::BTreeSet;

use super::cause::Cause;
use super::seat::{NoSeat, Seat};
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::wire::GossipMode;

/// A connection that got its seat.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) seat: Seat,
    /// Another slot of the pool is to be dialed, as soon as the peer answers a PING on this connection.
    pub(crate) continues: bool,
    /// Where it is dedicated to an account that may have been in the pool, the connections of that: what the peer wanted of the
    /// account over these holds no more.
    pub(crate) pooled: Vec<ConnectionId>,
    /// The circuit that it goes on for.
    pub(crate) inherits: Option<ConnectionId>,
}

/// A connection that got none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotSeated {
    /// It is not known, or has a seat already.
    Unexpected,
    /// There is no such seat.
    NoSeat(NoSeat),
    /// A circuit has this seat, which the connection is to have once the peer agrees, by this token: then it is to be presented
    /// again.
    NotYet { seat: Seat, token: String },
    /// Another connection is there, and inherits what this one stood for. The peer must think that it is gone: if a
    /// connection is named, it is to be sent a PING, and is closed if it stays silent ([`Routes::handle_round`]).
    Duplicate { probed: Option<ConnectionId> },
}

/// What is to be done where a connection goes on for a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// What is said on the new one waits for what is said on this circuit.
    Awaits(ConnectionId),
    /// This circuit has said its last line.
    Due(ConnectionId),
    /// Nothing any more.
    Nothing,
}

/// A registered connection that ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) peer: String,
    pub(crate) seat: Seat,
    /// The accounts that the peer had moved to connections of their own, if it is gone.
    pub(crate) moved: Vec<String>,
}

/// What follows from another configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconfigured {
    /// The connections that are to be closed.
    pub(crate) removed: BTreeSet<ConnectionId>,
    /// What peers are to be told.
    pub(crate) notices: Vec<Notice>,
    /// Peers and accounts that these had moved, and this node pins itself now.
    pub(crate) unmoved: Vec<(String, String)>,
}

/// What a peer is to be told of an account that has a connection of its own from now on (wire.md 4.5).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// A connection of the pool.
    pub(crate) over: ConnectionId,
    pub(crate) account: String,
    /// What is to stand in the answer.
    pub(crate) request: String,
}

/// What came of a dial that [`Routes::try_found`](super::Routes::try_found) wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Led {
    /// There is a route to this server.
    To(String),
    /// It led to this node.
    ToItself,
    /// To nobody who is a member.
    Nowhere,
}

/// A server that somebody told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hearsay {
    pub(crate) cause: Cause,
    /// The id of the server that told.
    pub(crate) teller: String,
    /// The id of the server that it told of.
    pub(crate) server: String,
    pub(crate) url: RouteUrl,
    pub(crate) kinds: Kinds,
    pub(crate) gossip_mode: GossipMode,
    /// The other may as well hear of this node.
    pub(crate) either_may: bool,
}

/// Which connections to a server are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Of each kind one to begin with.
    All,
    /// One of the pool.
    OfPool,
    /// The one that is dedicated to this account.
    Dedicated(String),
}
