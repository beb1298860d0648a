//! What gossip is told and what it answers.

use bytes::Bytes;

use super::rule::Arrival;
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::wire::system::Neighbour;
use crate::wire::{GossipMode, Info};

/// What gossip leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send these lines over a connection.
    Tell(ConnectionId, Bytes),
    /// Send this message over a connection, if the peer listens to its subject.
    Ask { over: ConnectionId, subject: String, line: Vec<u8> },
    /// A server was heard of that this node lacks.
    Heard(Heard),
    /// A peer has routes to these servers, which this node lacks; nobody said where they listen.
    HeardNeighbours { teller: String, neighbours: Vec<Neighbour> },
    /// A peer is about to leave.
    Leaves(String),
    /// Clients may connect to other servers than before.
    ConnectUrlsChanged,
}

/// A server that a peer told of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It was named by a onehop node that compared, not told of as nats-server does it.
    pub(crate) is_named: bool,
    /// The id of the peer.
    pub(crate) teller: String,
    /// The id of the server.
    pub(crate) server: String,
    pub(crate) url: RouteUrl,
    /// Only the connection that is dedicated to this account is lacking, or none that is.
    pub(crate) account: Option<String>,
    /// Whatever other kinds of connections there are is to be dialed along, since the teller cannot tell of them.
    pub(crate) all_kinds: bool,
    pub(crate) gossip_mode: GossipMode,
    /// The server may as well hear of this node.
    pub(crate) either_may: bool,
}

/// A connection that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined<'a> {
    /// What the peer says of itself, with `ip` filled.
    pub(crate) info: &'a Info,
    pub(crate) arrival: Arrival,
    /// The account that it is dedicated to, if to one.
    pub(crate) account: Option<&'a str>,
    /// The connection that now carries what is about this account, or about no single one.
    pub(crate) carrier: Option<ConnectionId>,
    pub(crate) is_pooled: bool,
    /// This node is configured to have a route to the peer.
    pub(crate) is_explicit: bool,
}
