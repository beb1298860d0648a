//! Where a route connection is in its life.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::dial::{DialId, Purpose};
use super::seat::Seat;
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::time::Instant;

/// All route connections, accepted and dialed.
#[derive(Debug, Default)]
pub(super) struct RouteConnections {
    all: BTreeMap<ConnectionId, RouteConnection>,
    /// Those that were accepted and are not registered, in the order in which they came.
    strangers: VecDeque<ConnectionId>,
}

/// One route connection, from its first byte to its last.
#[derive(Debug)]
pub(super) struct RouteConnection {
    pub(super) remote: SocketAddr,
    /// What it was dialed for; none if it was accepted.
    pub(super) purpose: Option<Purpose>,
    /// By which way it comes, if not directly.
    pub(super) detour: Option<Detour>,
    /// Its peer has said the last line, and what came before that has reached all.
    pub(super) is_finished: bool,
    pub(super) life: Life,
}

/// The way of a connection that passes through another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detour {
    /// The id of that.
    pub(crate) relay: String,
    /// Where the peer is reached by those who can reach it.
    pub(crate) url: RouteUrl,
    /// Who shows this is the peer.
    pub(crate) own_token: String,
    /// What the peer wants to be shown; none if it did not say.
    pub(crate) peer_token: Option<String>,
}

/// How far a connection has come. Before it there is only a wish to be connected ([`Attempt`](super::dial::Attempt)), after it
/// nothing.
///
/// This is the one place that knows. What the connection itself keeps (`connection::route`) is which operation it understands
/// next, and, once it is registered, what only a registered peer has: its accounts and their caches. It is told of each
/// step as the answer to what it reported, so it never decides how far it is.
#[derive(Debug)]
pub(super) enum Life {
    /// The handshake is under way.
    Shaking {
        /// The wish that it may fulfil; none if it was accepted.
        dial: Option<DialId>,
        /// It may have the seat of a circuit, if the peer agrees.
        claim: Option<Claim>,
    },
    /// It sits on a seat.
    Registered {
        peer: String,
        seat: Seat,
        since: Instant,
        /// The next PONG lets the next slot of the pool be dialed.
        continues: bool,
        /// Until then it must give a sign of life.
        probed_until: Option<Instant>,
        /// What it goes on for.
        inherits: Option<Inherits>,
    },
    /// A circuit whose seat a direct connection has.
    Retired {
        peer: String,
        /// That connection.
        heir: ConnectionId,
        /// When it is closed; not before both sides have heard all that was said on it.
        ends_at: Option<Instant>,
    },
}

/// A circuit that another connection goes on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inherits {
    pub(super) circuit: ConnectionId,
    /// All that was said on it has been heard here: until then nothing of the heir is.
    pub(super) is_done: bool,
    /// And by the peer.
    pub(super) is_heard: bool,
}

/// A seat that a direct connection is to have in the place of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) peer: String,
    pub(super) seat: Seat,
}

impl RouteConnections {
    /// A connection that was made now: its handshake begins.
    pub(super) fn begin(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
        dial: Option<DialId>,
        purpose: Option<Purpose>,
    ) -> &RouteConnection {
        if dial.is_none() {
            self.strangers.push_back(id);
        }
        let life = Life::Shaking { dial, claim: None };
        self.put(id, RouteConnection { remote, purpose, detour: None, is_finished: false, life })
    }

    /// A circuit that stands now: the handshake between its ends begins.
    pub(super) fn begin_detour(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
        purpose: Option<Purpose>,
        detour: Detour,
    ) {
        self.remove(id);
        let life = Life::Shaking { dial: None, claim: None };
        self.put(id, RouteConnection { remote, purpose, detour: Some(detour), is_finished: false, life });
    }

    fn put(&mut self, id: ConnectionId, begun: RouteConnection) -> &RouteConnection {
        match self.all.entry(id) {
            Entry::Vacant(place) => place.insert(begun),
            Entry::Occupied(place) => {
                let known = place.into_mut();
                *known = begun;
                known
            }
        }
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&RouteConnection> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut RouteConnection> {
        self.all.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<RouteConnection> {
        let removed = self.all.remove(&id)?;
        if removed.is_stranger() {
            self.strangers.retain(|stranger| *stranger != id);
        }
        Some(removed)
    }

    /// Removes the one that was accepted first of those that are not registered, if these are more than `most`.
    pub(super) fn remove_excess(&mut self, most: usize) -> Option<ConnectionId> {
        let oldest = *self.strangers.front().filter(|_| self.strangers.len() > most)?;
        self.remove(oldest).map(|_| oldest)
    }

    /// Lets a connection be that of a peer from now on.
    pub(super) fn register(&mut self, id: ConnectionId, life: Life) {
        if let Some(connection) = self.all.get_mut(&id) {
            if connection.is_stranger() {
                self.strangers.retain(|stranger| *stranger != id);
            }
            connection.life = life;
        }
    }

    /// In the order of their ids.
    #[cfg(feature = "sim")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&ConnectionId, &RouteConnection)> {
        self.all.iter()
    }

    /// All but those whose seats others have, in the order of their ids, each with the server that it is registered for.
    pub(super) fn with_peers(&self) -> impl Iterator<Item = (ConnectionId, Option<&str>)> {
        let stays = |(_, it): &(&ConnectionId, &RouteConnection)| !matches!(it.life, Life::Retired { .. });
        self.all.iter().filter(stays).map(|(id, it)| (*id, it.peer()))
    }

    /// Those that are registered for other servers than this, in the order of their ids.
    pub(super) fn beside(&self, peer: &str) -> impl Iterator<Item = ConnectionId> {
        let is_other = move |it: &RouteConnection| match &it.life {
            Life::Registered { peer: other, .. } => other != peer,
            Life::Shaking { .. } | Life::Retired { .. } => false,
        };
        self.all.iter().filter(move |(_, it)| is_other(it)).map(|(id, _)| *id)
    }

    /// Those that are registered for this server, in the order of their ids.
    pub(super) fn of(&self, peer: &str) -> impl Iterator<Item = ConnectionId> {
        self.all.iter().filter(move |(_, it)| it.peer() == Some(peer)).map(|(id, _)| *id)
    }

    /// Whether the next slot of a server's pool is dialed as soon as it answers.
    pub(super) fn fills_pool_of(&self, server: &str) -> bool {
        let continues = |it: &RouteConnection| match &it.life {
            Life::Registered { peer, continues, .. } => *continues && peer == server,
            Life::Shaking { .. } | Life::Retired { .. } => false,
        };
        self.all.values().any(continues)
    }

    /// Those that were dialed because they were configured, and are no more, count as such no longer. Returns those of them
    /// that are not registered yet, in the order of their ids.
    pub(super) fn drop_configured(&mut self, is_gone: impl Fn(&RouteUrl) -> bool) -> Vec<ConnectionId> {
        let mut begun = Vec::new();
        for (id, RouteConnection { purpose, life, .. }) in &mut self.all {
            if let Some(purpose) = purpose.as_mut().filter(|it| it.explicit && is_gone(&it.url)) {
                purpose.explicit = false;
                begun.extend(matches!(life, Life::Shaking { .. }).then_some(*id));
            }
        }
        begun
    }

    /// Those that are for an account alone, registered or not, in the order of their ids.
    pub(super) fn dedicated_to(&self, account: &str) -> impl Iterator<Item = ConnectionId> {
        let is_meant = |it: &RouteConnection| match &it.life {
            Life::Registered { seat, .. } => seat.account() == Some(account),
            Life::Shaking { .. } => {
                it.purpose.as_ref().is_some_and(|it| it.account.as_deref() == Some(account))
            }
            Life::Retired { .. } => false,
        };
        self.all.iter().filter(move |(_, it)| is_meant(it)).map(|(id, _)| *id)
    }

    /// Whether a connection that this node made may have this seat, if the peer agrees.
    pub(super) fn is_claimed(&self, peer: &str, seat: &Seat) -> bool {
        let claims = |it: &RouteConnection| match &it.life {
            Life::Shaking { claim, .. } => {
                claim.as_ref().is_some_and(|it| it.peer == peer && it.seat == *seat)
            }
            Life::Registered { .. } | Life::Retired { .. } => false,
        };
        self.all.values().any(claims)
    }

    /// Lets a circuit have no seat any more.
    pub(super) fn retire(&mut self, id: ConnectionId, heir: ConnectionId) {
        if let Some(connection) = self.all.get_mut(&id)
            && let Life::Registered { peer, .. } = &mut connection.life
        {
            connection.life = Life::Retired { peer: std::mem::take(peer), heir, ends_at: None };
        }
    }

    /// Waits for a sign of life of a connection, since the peer tries to make another in its place: it may be one that is
    /// open on this side only, and would be so until keep-alive notices. Whether it is to be asked for one.
    pub(super) fn probe(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(Life::Registered { probed_until: until @ None, .. }) =
            self.all.get_mut(&id).map(|connection| &mut connection.life)
        else {
            return false;
        };
        *until = Some(now + PROBE_TIMEOUT);
        true
    }

    /// The connections that gave no sign of life when asked, each once.
    pub(super) fn take_lifeless(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut lifeless = Vec::new();
        for (id, connection) in &mut self.all {
            if let Life::Registered { probed_until, .. } = &mut connection.life
                && probed_until.is_some_and(|until| until <= now)
            {
                *probed_until = None;
                lifeless.push(*id);
            }
        }
        lifeless
    }
}

impl RouteConnection {
    /// Whether it was accepted and is not registered.
    fn is_stranger(&self) -> bool {
        self.detour.is_none() && matches!(self.life, Life::Shaking { dial: None, .. })
    }

    /// The peer that it is registered for, or was until another had its seat.
    pub(super) fn peer(&self) -> Option<&str> {
        match &self.life {
            Life::Shaking { .. } => None,
            Life::Registered { peer, .. } | Life::Retired { peer, .. } => Some(peer),
        }
    }
}

/// How long a connection may take to give a sign of life when asked.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
