//! A server of the cluster and the connections to it.

use std::collections::BTreeMap;

use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::wire::Info;

/// What a connection is to the pair of servers that it joins (ROUTE-PROTOCOL 2.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// A slot of the pool.
    Slot(usize),
    /// Dedicated to an account.
    Dedicated(String),
    /// The only one, to a peer that does not pool (or from a node that does not).
    Sole,
}

/// That this node wants the route to a peer, and where it dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Solicited {
    pub(crate) url: RouteUrl,
    /// The URL is a configured one.
    pub(crate) explicit: bool,
}

/// The seat is occupied by this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken(pub(crate) ConnectionId);

/// A server that this node has at least one registered connection with.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The INFO of its first connection, with `ip` filled.
    pub(crate) info: Info,
    pooled: Vec<Option<ConnectionId>>,
    dedicated: BTreeMap<String, ConnectionId>,
    sole: Option<ConnectionId>,
    /// Set once this node dialed it.
    pub(crate) solicited: Option<Solicited>,
    /// It tried to make a connection that was refused as a duplicate, so it counts on the one that stayed: this node
    /// redials when that is lost, even if it only accepted it (ROUTE-PROTOCOL 3.5).
    pub(crate) retry: bool,
    /// What its clients may connect to, from its INFO; emptied when it goes into lame duck mode.
    pub(crate) connect_urls: Vec<String>,
}

impl Peer {
    pub(crate) fn new(info: Info, pool_size: usize) -> Self {
        Self {
            connect_urls: info.connect_urls.clone(),
            info,
            pooled: vec![None; pool_size],
            dedicated: BTreeMap::new(),
            sole: None,
            solicited: None,
            retry: false,
        }
    }

    /// How many pooled connections there should be; zero without a pool.
    pub(crate) fn pool_size(&self) -> usize {
        self.pooled.len()
    }

    /// The lowest slot without a connection.
    pub(crate) fn empty_slot(&self) -> Option<usize> {
        self.pooled.iter().position(Option::is_none)
    }

    /// Gives a connection its seat.
    pub(crate) fn seat(&mut self, seat: &Seat, connection: ConnectionId) -> Result<(), Taken> {
        let place = match seat {
            Seat::Slot(slot) => &mut self.pooled[*slot],
            Seat::Sole => &mut self.sole,
            Seat::Dedicated(account) => {
                return match self.dedicated.get(account) {
                    Some(taken) => Err(Taken(*taken)),
                    None => {
                        self.dedicated.insert(account.clone(), connection);
                        Ok(())
                    }
                };
            }
        };
        match place {
            Some(taken) => Err(Taken(*taken)),
            None => {
                *place = Some(connection);
                Ok(())
            }
        }
    }

    /// Frees the seat of a connection that ended.
    pub(crate) fn unseat(&mut self, seat: &Seat) {
        match seat {
            Seat::Slot(slot) => self.pooled[*slot] = None,
            Seat::Sole => self.sole = None,
            Seat::Dedicated(account) => {
                self.dedicated.remove(account);
            }
        }
    }

    /// The connection that gossip about servers goes over: the first that carries no single account.
    pub(crate) fn first(&self) -> Option<ConnectionId> {
        self.sole.or_else(|| self.pooled.iter().flatten().next().copied())
    }

    /// The connection that is dedicated to an account.
    pub(crate) fn dedicated(&self, account: &str) -> Option<ConnectionId> {
        self.dedicated.get(account).copied()
    }

    /// Whether it has a pool of connections.
    pub(crate) fn is_pooled(&self) -> bool {
        !self.pooled.is_empty()
    }

    /// Whether no connection is left at all.
    pub(crate) fn is_gone(&self) -> bool {
        self.first().is_none() && self.dedicated.is_empty()
    }

    /// Notes that this node dialed the peer. A configured URL replaces one that was only heard of, never the
    /// other way round: a redial of a URL that is not configured would be abandoned (ROUTE-PROTOCOL 12).
    pub(crate) fn solicit(&mut self, solicited: Solicited) {
        if solicited.explicit || self.solicited.is_none() {
            self.solicited = Some(solicited);
        }
    }

    /// Whether the route to it is configured here.
    pub(crate) fn is_explicit(&self) -> bool {
        self.solicited.as_ref().is_some_and(|solicited| solicited.explicit)
    }
}
