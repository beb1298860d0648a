//! The route table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use log::{debug, info};

use super::dial::{Dial, DialError, DialId, DialRequest, Purpose, Target};
use super::dial_index::Place;
use super::dials::Dials;
use super::guesses::Guesses;
use super::life::{Life, RouteConnection, RouteConnections};
use super::pace::jitter;
use super::peer::{PeerRoutes, Solicited};
use super::plan::{Newcomer, Plan, Seat};
use super::verdict::{Hearsay, Kinds, Lost, NotSeated, Seated};
use crate::close::CloseReason;
use crate::config::{ClusterConfig, RouteUrl};
use crate::id::ConnectionId;
use crate::system::Neighbour;
use crate::time::Instant;
use crate::wire::GossipMode;

/// Which servers this node has connections to, and which it wants.
#[derive(Debug)]
pub(crate) struct Routes {
    config: Arc<ClusterConfig>,
    own_id: String,
    /// The port that this node listens on for peers.
    own_port: u16,
    /// How often a failed attempt is reported as an error: of first connections, and of lost ones.
    error_reports: (u32, u32),
    plan: Plan,
    pub(super) peers: BTreeMap<String, PeerRoutes>,
    pub(super) connections: RouteConnections,
    pub(super) dials: Dials,
    pub(super) guesses: Guesses,
    /// Addresses that turned out to be this node's own.
    pub(super) own_addresses: Vec<SocketAddr>,
    rng: Rng,
}

impl Routes {
    /// The table of a node with this id and route port, which wants the configured servers from now on.
    pub(crate) fn new(
        config: Arc<ClusterConfig>,
        own_id: String,
        own_port: u16,
        error_reports: (u32, u32),
        rng: Rng,
        now: Instant,
    ) -> Self {
        let plan = Plan::new(&config);
        let mut dials = Dials::default();
        for url in &config.routes {
            for account in plan.kinds() {
                let mut dial = Dial::new(url.clone(), account, now);
                dial.purpose.explicit = true;
                dials.add(dial);
            }
        }
        Self {
            config,
            own_id,
            own_port,
            error_reports,
            plan,
            peers: BTreeMap::new(),
            connections: RouteConnections::default(),
            dials,
            guesses: Guesses::default(),
            own_addresses: Vec::new(),
            rng,
        }
    }

    /// What is to be dialed now. Poll until `None` after every other call and when [`Routes::poll_timeout`] is due.
    #[must_use]
    pub(crate) fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        let Self { peers, dials, .. } = self;
        dials.drop_satisfied(|dial| {
            let peer = dial.server().and_then(|server| peers.get(server));
            peer.is_some_and(|peer| peer.satisfies(dial))
        });
        let (id, dial) = dials.begin_next(now, &self.config)?;
        let url = &dial.purpose.url;
        debug!("Trying to connect to route on {}:{}", url.host, url.port);
        Some(DialRequest {
            id,
            host: url.host.clone(),
            port: url.port,
            own_addresses: self.own_addresses.clone(),
        })
    }

    /// When [`Routes::poll_dial`] is to be called next. Changes with every other call.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.dials.poll_timeout(&self.config)
    }

    /// Notes that a dial failed.
    pub(crate) fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        let Some(dial) = self.dials.get(id) else {
            return;
        };
        match why {
            DialError::OnlySelf => {
                info!("Detected route to self, ignoring \"{}\"", dial.purpose.url);
                self.dials.remove(id);
            }
            DialError::Failed(why) => {
                dial.report_failure(why, self.error_reports);
                self.dials.fail(id, now, &self.config, &mut self.rng);
            }
        }
    }

    /// Notes a connection that was accepted.
    pub(crate) fn handle_accepted(&mut self, connection: ConnectionId, remote: SocketAddr) {
        self.connections.begin(connection, remote, None, None);
    }

    /// Notes a connection that a dial made, and returns what it was for.
    pub(crate) fn handle_dialed(
        &mut self,
        id: DialId,
        connection: ConnectionId,
        remote: SocketAddr,
    ) -> Option<&Purpose> {
        let purpose = self.dials.get(id).map(|dial| dial.purpose.clone());
        self.connections.begin(connection, remote, Some(id), purpose).purpose.as_ref()
    }

    /// Hears what the peer says of itself on a connection, and gives that a seat; or resolves the duplicate: what is there
    /// stays, and inherits what the newcomer stood for (wire.md 3.5).
    pub(crate) fn handle_presented(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        newcomer: &Newcomer<'_>,
    ) -> Result<Seated, NotSeated> {
        let Some(RouteConnection { purpose, life: Life::Shaking { dial }, .. }) =
            self.connections.get(connection)
        else {
            return Err(NotSeated::Unexpected);
        };
        let (purpose, dial) = (purpose.clone(), *dial);
        let peer = self.peers.get(newcomer.id);
        let seat = self.plan.find_seat(purpose.as_ref(), newcomer, peer).map_err(|why| {
            // Another attempt would end the same way.
            if newcomer.pool_size == 0 {
                self.fulfil(dial);
            }
            NotSeated::NoSeat(why)
        })?;
        let pool_size = self.plan.pool_size_with(newcomer).filter(|_| seat != Seat::Sole).unwrap_or(0);
        let heals = self.config.healing.remember;
        let peer = self.peers.entry(newcomer.id.to_owned()).or_default();
        let is_seated = peer.take_seat(&seat, connection, newcomer, pool_size);
        if let Some(Purpose { url, explicit, .. }) = &purpose {
            peer.solicit(Solicited { url: url.clone(), explicit: *explicit });
        }
        if !is_seated {
            peer.retry = true;
            // Where the seat is of another kind than all that are taken, any connection tells whether the peer still has them.
            let holder = peer.holder(&seat).or_else(|| peer.gossip_carrier());
            let probed = holder.filter(|holder| heals && self.connections.probe(*holder, now));
            self.fulfil(dial);
            return Err(NotSeated::Duplicate { probed });
        }
        let continues = purpose.is_some() && matches!(seat, Seat::Slot(_)) && peer.empty_slot().is_some();
        self.fulfil(dial);
        self.dials.uncheck(newcomer.id);
        if let Some(connection) = self.connections.get_mut(connection) {
            let (peer, seat) = (newcomer.id.to_owned(), seat.clone());
            connection.life = Life::Registered { peer, seat, since: now, continues, probed_until: None };
        }
        Ok(Seated { seat, continues })
    }

    /// Hears that a connection leads to this node itself: its dial is pointless, unless its name may lead elsewhere too.
    pub(crate) fn handle_self(&mut self, connection: ConnectionId) {
        let Some(RouteConnection { remote, life: Life::Shaking { dial: Some(id) }, .. }) =
            self.connections.get(connection)
        else {
            return;
        };
        let (remote, id) = (*remote, *id);
        let Some(dial) = self.dials.get(id) else {
            return;
        };
        info!("Detected route to self, ignoring \"{}\"", dial.purpose.url);
        let is_full = self.own_addresses.len() >= MAX_OWN_ADDRESSES;
        if dial.purpose.url.host.parse::<IpAddr>().is_ok() || is_full {
            self.dials.remove(id);
        }
        if !self.own_addresses.contains(&remote) && !is_full {
            self.own_addresses.push(remote);
        }
    }

    /// Hears a PONG: if the connection waited for one, the next slot of its pool is dialed. One by one, so that a
    /// peer that refuses the first is not flooded (wire.md 2.3, 12).
    pub(crate) fn handle_pong(&mut self, now: Instant, connection: ConnectionId) {
        let Some(RouteConnection {
            purpose,
            life: Life::Registered { peer, continues, probed_until, .. },
            ..
        }) = self.connections.get_mut(connection)
        else {
            return;
        };
        *probed_until = None;
        if !std::mem::take(continues) {
            return;
        }
        let gossip_mode = purpose.as_ref().map_or(GossipMode::Default, |purpose| purpose.gossip_mode);
        let id = peer.clone();
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.empty_slot().is_some()) else {
            return;
        };
        if let Some(Solicited { url, explicit }) = peer.solicited.clone() {
            let mut dial = Dial::new(url, None, now);
            dial.purpose.explicit = explicit;
            dial.purpose.gossip_mode = gossip_mode;
            let until = self.remembered_until(now);
            self.dials.add(Dial { target: Target::Server(id), until, fills: true, ..dial });
        }
    }

    /// Hears that a peer leaves: it is not waited for, unless it is configured.
    pub(crate) fn handle_leaving(&mut self, peer: &str) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.leaves = true;
        }
    }

    /// Forgets a connection that ended, and wants it back if this node made it. Returns the seat that is free now.
    pub(crate) fn handle_closed(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        reason: CloseReason,
    ) -> Option<Lost> {
        let is_wanted = reason != CloseReason::ServerShutdown;
        match self.connections.remove(connection)?.life {
            Life::Shaking { dial } => {
                match dial {
                    Some(dial) if is_wanted => self.dials.fail(dial, now, &self.config, &mut self.rng),
                    dial => self.fulfil(dial),
                }
                None
            }
            Life::Registered { peer, seat, since, .. } => {
                self.lose(now, &peer, &seat, is_wanted, now.since(since));
                Some(Lost { peer, seat })
            }
        }
    }

    /// Hears of a server, and wants it. If the other may as well hear of this node, only one of the two dials at once; the
    /// other waits, and does not if a connection came meanwhile.
    pub(crate) fn handle_hearsay(&mut self, now: Instant, heard: Hearsay) {
        let Hearsay { teller, server, url, kinds, gossip_mode, either_may } = heard;
        if server.len() + url.host.len() > MAX_HEARSAY_BYTES {
            return debug!("Too long a name to dial a server by");
        }
        let accounts = match kinds {
            Kinds::All => self.plan.kinds(),
            Kinds::OfPool => vec![None],
            Kinds::Dedicated(account) if self.plan.pinned_accounts().contains(&account.as_str()) => {
                vec![Some(account)]
            }
            Kinds::Dedicated(_) => return,
        };
        let healing = &self.config.healing;
        let waits = either_may && healing.arbitrate && healing.compare && self.own_id > server;
        let (delay, until) = (healing.arbitration_delay, self.remembered_until(now));
        for account in accounts {
            let at = if waits { now + delay + jitter(&mut self.rng) } else { now };
            let mut dial = Dial::new(url.clone(), account, at);
            dial.purpose.gossip_mode = gossip_mode;
            let (target, teller) = (Target::Server(server.clone()), Some(teller.clone()));
            self.dials.add(Dial { target, teller, until, ..dial });
        }
    }

    /// Hears which servers a peer has routes to, without a word where they listen, and tries some of them: at the ports
    /// that the peer may have dialed them at, and at this node's own, since the members of a cluster are often
    /// configured alike.
    pub(crate) fn handle_neighbours(&mut self, now: Instant, teller: &str, neighbours: &[Neighbour]) {
        let is_connected = |id: &str| self.peers.get(id).is_some_and(|peer| peer.gossip_carrier().is_some());
        self.guesses.forget(is_connected);
        let taken: BTreeSet<_> = self.peers.values().filter_map(PeerRoutes::url).map(Place::new).collect();
        let mut tried = 0;
        for server in neighbours {
            if tried < TRIED_AT_ONCE
                && !self.dials.is_for(&server.id)
                && self.guesses.may_try(now, &server.id, &self.config)
            {
                tried += 1;
                self.guess(now, teller, server, &taken);
            }
        }
    }

    /// Looks after the mesh: dials what is missing, and returns the connections that gave no sign of life when asked. To be
    /// called once in [`interval`](crate::config::Healing::interval).
    #[must_use]
    pub(crate) fn handle_round(&mut self, now: Instant) -> Vec<ConnectionId> {
        if !self.config.healing.remember {
            return Vec::new();
        }
        self.fill_gaps(now);
        self.connections.take_lifeless(now)
    }

    /// A random moment, for what the caller does from time to time.
    pub(crate) fn jitter(&mut self) -> Duration {
        jitter(&mut self.rng)
    }

    /// Where a connection comes from or leads to, and what it was dialed for, if it was dialed.
    pub(crate) fn connection(&self, connection: ConnectionId) -> Option<(SocketAddr, Option<&Purpose>)> {
        let connection = self.connections.get(connection)?;
        Some((connection.remote, connection.purpose.as_ref()))
    }

    /// The peer that a connection is registered for.
    pub(crate) fn peer_of(&self, connection: ConnectionId) -> Option<&str> {
        self.connections.get(connection)?.peer()
    }

    /// All registered connections to other servers than this, in the order of their ids.
    pub(crate) fn connections_beside(&self, peer: &str) -> impl Iterator<Item = ConnectionId> {
        self.connections.beside(peer)
    }

    /// The connection of a peer that carries an account that has its own; without an account, the one that gossip about
    /// servers goes over.
    pub(crate) fn carrier(&self, peer: &str, account: Option<&str>) -> Option<ConnectionId> {
        let peer = self.peers.get(peer)?;
        account.map_or_else(|| peer.gossip_carrier(), |account| peer.dedicated(account))
    }

    /// Whether this node and a peer have a pool of connections.
    pub(crate) fn is_pooled(&self, peer: &str) -> bool {
        self.peers.get(peer).is_some_and(PeerRoutes::is_pooled)
    }

    /// Whether the route to a peer was dialed from here, and whether the URL is configured.
    pub(crate) fn solicitation(&self, peer: &str) -> (bool, bool) {
        let solicited = self.peers.get(peer).and_then(|peer| peer.solicited.as_ref());
        solicited.map_or((false, false), |solicited| (true, solicited.explicit))
    }

    /// How many servers there are connections to.
    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// How many attempts to reach servers were begun.
    pub(crate) fn dials_started(&self) -> u64 {
        self.dials.started()
    }

    /// Ends the wish that a connection was dialed for.
    fn fulfil(&mut self, dial: Option<DialId>) {
        if let Some(dial) = dial {
            self.dials.remove(dial);
        }
    }

    /// Dials what is missing of the connections to a peer. Usually one side does so at once when a connection is lost;
    /// this is for when that failed, so it waits a while, on one side longer than on the other.
    fn fill_gaps(&mut self, now: Instant) {
        let (pinned, until) = (self.plan.pinned_accounts(), self.remembered_until(now));
        for (id, peer) in &mut self.peers {
            let missing = peer.missing(pinned);
            if missing.is_empty() || peer.leaves {
                peer.gap_since = None;
                continue;
            }
            let patience = if self.own_id < *id { GAP_PATIENCE } else { GAP_PATIENCE * 2 };
            if now.since(*peer.gap_since.get_or_insert(now)) < patience {
                continue;
            }
            peer.gap_since = Some(now);
            let Some(url) = peer.url() else {
                continue;
            };
            debug!("Connections to {id} are missing, dialing it again");
            for account in missing {
                let dial = Dial::new(url.clone(), account, now);
                let target = Target::Server(id.clone());
                self.dials.add(Dial { target, reconnect: true, fills: true, until, ..dial });
            }
        }
    }

    fn lose(&mut self, now: Instant, id: &str, seat: &Seat, is_wanted: bool, lived: Duration) {
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        peer.unseat(seat);
        let was_dialed = peer.solicited.is_some() || peer.retry;
        // Who said that it leaves is not waited for, unless it is configured: then it may be back under the same address.
        let is_waited_for =
            if peer.leaves { peer.is_explicit() } else { was_dialed || self.config.healing.remember };
        if is_wanted && is_waited_for {
            self.redial(now, id, seat, lived);
        }
        if self.peers.get(id).is_some_and(PeerRoutes::is_gone) {
            self.peers.remove(id);
        }
    }

    /// Wants a lost connection back.
    fn redial(&mut self, now: Instant, id: &str, seat: &Seat, lived: Duration) {
        let Some((peer, url)) = self.peers.get(id).and_then(|peer| Some((peer, peer.url()?))) else {
            return;
        };
        let is_greater = self.own_id.as_str() > id;
        let at = now + peer.redial_pause(lived, is_greater, &self.config.healing, &mut self.rng);
        let until = self.remembered_until(now).filter(|_| !peer.leaves);
        let fills = peer.gossip_carrier().is_some();
        let accounts = match seat {
            Seat::Dedicated(account) => vec![Some(account.clone())],
            Seat::Slot(_) => vec![None],
            // It may come back as a server that pools, to which the accounts have connections of their own.
            Seat::Sole => self.plan.kinds(),
        };
        for account in accounts {
            let mut dial = Dial::new(url.clone(), account, at);
            dial.purpose.explicit = peer.is_explicit();
            let target = Target::Server(id.to_owned());
            self.dials.add(Dial { target, reconnect: true, fills, until, ..dial });
        }
    }

    /// Dials a server once wherever it may be, apart from where others are.
    fn guess(&mut self, now: Instant, teller: &str, server: &Neighbour, taken: &BTreeSet<Place>) {
        let own_port = self.own_port;
        for port in server.ports.iter().copied().filter(|port| *port != own_port).chain([own_port]) {
            let url = RouteUrl { user: None, password: None, host: server.ip.to_string(), port };
            if self.own_addresses.contains(&SocketAddr::new(server.ip, port))
                || taken.contains(&Place::new(&url))
            {
                continue;
            }
            debug!("A peer has a route to {}, dialing {url}", server.id.escape_debug());
            for account in self.plan.kinds() {
                let mut dial = Dial::new(url.clone(), account, now);
                dial.purpose.gossip_mode = GossipMode::Disabled;
                let (target, teller) = (Target::Guess(server.id.clone()), Some(teller.to_owned()));
                self.dials.add(Dial { target, teller, ..dial });
            }
        }
    }

    /// Until when a server that is wanted now is tried.
    fn remembered_until(&self, now: Instant) -> Option<Instant> {
        let healing = &self.config.healing;
        healing.remember.then(|| now + healing.forget_after)
    }
}

/// Id and host of a server that was heard of; both together take about 300 bytes at most where they are true.
const MAX_HEARSAY_BYTES: usize = 1024;

/// So many servers are tried because of one answer; the others wait for the next.
const TRIED_AT_ONCE: usize = 16;

/// No more of this node's own addresses than this are remembered.
pub(crate) const MAX_OWN_ADDRESSES: usize = 64;

/// How long connections to a peer may be missing before they are dialed again.
const GAP_PATIENCE: Duration = Duration::from_secs(4);
