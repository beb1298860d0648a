//! A server of the cluster and the connections to it.

use std::collections::BTreeMap;

use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::Info;

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

/// That this node wants the route to a peer, and where it dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Solicited {
    pub(crate) url: RouteUrl,
    /// The URL is a configured one.
    pub(crate) explicit: bool,
}

/// A server that this node has at least one registered connection with.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The INFO of its first connection, with `ip` filled.
    pub(crate) info: Info,
    pub(super) pooled: Vec<Option<ConnectionId>>,
    pub(super) dedicated: BTreeMap<String, ConnectionId>,
    pub(super) sole: Option<ConnectionId>,
    /// Set once this node dialed it.
    pub(crate) solicited: Option<Solicited>,
    /// It tried to make a connection that was refused as a duplicate, so it counts on the one that stayed: this node
    /// redials when that is lost, even if it only accepted it (wire.md 3.5).
    pub(crate) retry: bool,
    /// What its clients may connect to, from its INFO; emptied when it goes into lame duck mode.
    pub(crate) connect_urls: Vec<String>,
    /// When its first connection was registered.
    pub(crate) since: Instant,
    /// It said that it leaves.
    pub(crate) leaves: bool,
    /// Since when connections to it are missing.
    pub(crate) gap_since: Option<Instant>,
    /// The digest of this node's servers that it was last told, and when.
    pub(crate) told_digest: Option<(String, Instant)>,
    /// The digest of its own servers that it last told; empty if none.
    pub(crate) heard_digest: String,
    /// When it was last told the servers by name, and the digest of these.
    pub(crate) told_servers: Option<(String, Instant)>,
}

impl Peer {
    pub(crate) fn new(info: Info, pool_size: usize, now: Instant) -> Self {
        let mut peer = Self {
            info: Info::default(),
            pooled: Vec::new(),
            dedicated: BTreeMap::new(),
            sole: None,
            solicited: None,
            retry: false,
            connect_urls: Vec::new(),
            since: now,
            leaves: false,
            gap_since: None,
            told_digest: None,
            heard_digest: String::new(),
            told_servers: None,
        };
        peer.begin(info, pool_size, now);
        peer
    }

    /// Starts afresh with what a first connection says; those that are dedicated to an account may be there already.
    pub(crate) fn begin(&mut self, info: Info, pool_size: usize, now: Instant) {
        self.since = now;
        self.leaves = false;
        if !self.is_explicit() {
            // It may be elsewhere now than where this node once dialed it.
            self.solicited = None;
        }
        self.connect_urls.clone_from(&info.connect_urls);
        self.connect_urls.truncate(MAX_CONNECT_URLS);
        self.info = info;
        self.pooled = vec![None; pool_size];
        // What was said over connections that are gone may not have arrived.
        self.told_digest = None;
        self.heard_digest.clear();
        self.told_servers = None;
    }

    /// Makes room for a pool of this size.
    pub(crate) fn grow_pool(&mut self, pool_size: usize) {
        if self.pooled.len() < pool_size {
            self.pooled.resize(pool_size, None);
        }
    }

    /// Whether this is the only connection that carries more than one account.
    pub(crate) fn is_only_carrier(&self, connection: ConnectionId) -> bool {
        let mut carriers = self.sole.iter().chain(self.pooled.iter().flatten());
        carriers.next() == Some(&connection) && carriers.next().is_none()
    }

    /// The lowest slot without a connection.
    pub(crate) fn empty_slot(&self) -> Option<usize> {
        self.pooled.iter().position(Option::is_none)
    }

    /// Gives a connection its seat; false if there is another on it.
    pub(crate) fn seat(&mut self, seat: &Seat, connection: ConnectionId) -> bool {
        let place = match seat {
            Seat::Slot(slot) => self.pooled.get_mut(*slot),
            Seat::Sole => Some(&mut self.sole),
            Seat::Dedicated(account) => {
                let is_free = !self.dedicated.contains_key(account);
                if is_free {
                    self.dedicated.insert(account.clone(), connection);
                }
                return is_free;
            }
        };
        match place {
            Some(place @ None) => {
                *place = Some(connection);
                // What it was told over a connection that is being replaced may not have arrived.
                self.told_digest = None;
                true
            }
            _ => false,
        }
    }

    /// The connection on a seat.
    pub(crate) fn holder(&self, seat: &Seat) -> Option<ConnectionId> {
        match seat {
            Seat::Slot(slot) => *self.pooled.get(*slot)?,
            Seat::Sole => self.sole,
            Seat::Dedicated(account) => self.dedicated(account),
        }
    }

    /// The kinds of connections that are missing: of the pool (none), and dedicated to an account.
    pub(crate) fn missing(&self, pinned: &[&str]) -> Vec<Option<String>> {
        let of_pool = self.first().is_none() || self.empty_slot().is_some();
        let pools = self.first().is_none() || self.is_pooled();
        let accounts = pinned.iter().filter(|account| pools && self.dedicated(account).is_none());
        let accounts = accounts.map(|account| Some((*account).to_owned()));
        of_pool.then_some(None).into_iter().chain(accounts).collect()
    }

    /// Where to dial it: where this node did before, else where it says it is.
    pub(crate) fn url(&self) -> Option<RouteUrl> {
        match &self.solicited {
            Some(solicited) => Some(solicited.url.clone()),
            None => self.info.ip.trim_end_matches('/').parse().ok(),
        }
    }

    /// Frees the seat of a connection that ended.
    pub(crate) fn unseat(&mut self, seat: &Seat) {
        match seat {
            Seat::Slot(slot) => {
                if let Some(place) = self.pooled.get_mut(*slot) {
                    *place = None;
                }
            }
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

    /// The connection that carries an account that has one of its own where both pool, and the account as it stands on its
    /// lines.
    pub(crate) fn carrier<'a>(&self, account: &'a str) -> Option<(ConnectionId, Option<&'a str>)> {
        let sole = || Some((self.sole?, Some(account)));
        self.dedicated(account).map(|over| (over, None)).or_else(sole)
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
    /// other way round: a redial of a URL that is not configured would be abandoned (wire.md 12).
    pub(crate) fn solicit(&mut self, solicited: Solicited) {
        if solicited.explicit || !self.is_explicit() {
            self.solicited = Some(solicited);
        }
    }

    /// Whether the route to it is configured here.
    pub(crate) fn is_explicit(&self) -> bool {
        self.solicited.as_ref().is_some_and(|solicited| solicited.explicit)
    }
}

/// Clients are told no more addresses of one peer than this.
const MAX_CONNECT_URLS: usize = 256;
