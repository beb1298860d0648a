//! The route table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::cause::DialCounts;
use super::dial::{DialError, DialId, DialRequest, Purpose};
use super::dials::Failure;
use super::life::{Detour, Inherits, Life, RouteConnection, RouteConnections};
use super::moves::TooManyMoved;
use super::pace::RETRY_PAUSE;
use super::peer::{PeerRoutes, Solicited};
use super::plan::{Own, Plan};
use super::seat::{Newcomer, Seat};
use super::verdict::{Hearsay, Led, Lost, NotSeated, Notice, Reconfigured, Seated};
use super::wishes::Wishes;
use crate::close::CloseReason;
use crate::config::{ClusterConfig, RouteUrl};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::GossipMode;
use crate::wire::system::Neighbour;

/// Which servers this node has connections to, and which it wants.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Servers are remembered, connections that may be dead are probed, and gaps are filled.
    remembers: bool,
    pub(super) peers: BTreeMap<String, PeerRoutes>,
    pub(super) connections: RouteConnections,
    pub(super) wishes: Wishes,
    /// Circuits that others go on for, and when they are to be closed.
    pub(super) retired: BTreeSet<(Instant, ConnectionId)>,
}

impl Routes {
    /// The table of a node with this id and route port, which wants the configured servers from now on.
    pub(crate) fn new(config: Arc<ClusterConfig>, own: Own, rng: Rng, now: Instant) -> Self {
        let remembers = config.healing.remember;
        let wishes = Wishes::new(config, own, rng, now);
        Self {
            remembers,
            peers: BTreeMap::new(),
            connections: RouteConnections::default(),
            wishes,
            retired: BTreeSet::new(),
        }
    }

    /// Hears of another configuration: wants the servers that are new in it, and gives up those that are in it no more; accounts
    /// come to have connections of their own, or have them no more (wire.md 4.5). `request` makes what stands in the answers
    /// of peers that are told of one.
    #[must_use]
    pub(crate) fn handle_config(
        &mut self,
        now: Instant,
        config: Arc<ClusterConfig>,
        request: impl FnMut() -> String,
    ) -> Reconfigured {
        let mut removed = BTreeSet::new();
        for (id, peer) in &mut self.peers {
            if peer.solicited.take_if(|it| it.explicit && !config.routes.contains(&it.url)).is_some() {
                // Nobody waits for it any more.
                peer.leaves = true;
                removed.extend(self.connections.of(id));
            }
        }
        removed.extend(self.connections.drop_configured(|url| !config.routes.contains(url)));
        let old = self.wishes.plan.pinned.clone();
        self.wishes.handle_config(now, config);
        let new = self.wishes.plan.pinned.clone();
        for account in old.iter().filter(|account| !new.contains(account)) {
            self.wishes.moves.unsay(account);
            removed.extend(self.connections.dedicated_to(account));
        }
        let added: Vec<_> = new.iter().filter(|account| !old.contains(account)).collect();
        let unmoved = added.iter().flat_map(|account| self.wishes.moves.forget_account(account)).collect();
        let notices = self.pin(now, added.into_iter(), request);
        self.want_heard(now);
        Reconfigured { removed, notices, unmoved }
    }

    /// Gives accounts connections of their own, once the peers have heard of it.
    fn pin<'a>(
        &mut self,
        now: Instant,
        accounts: impl Iterator<Item = &'a String>,
        mut request: impl FnMut() -> String,
    ) -> Vec<Notice> {
        let Wishes { plan, moves, .. } = &mut self.wishes;
        let mut notices = Vec::new();
        for account in accounts {
            let slot = Seat::Slot(plan.own_slot_of(account));
            let pooled = self.peers.values().filter(|peer| peer.is_pooled());
            let over = pooled.filter_map(|peer| peer.holder(&slot).or_else(|| peer.gossip_carrier()));
            let (over, request): (Vec<_>, _) = (over.collect(), request());
            moves.say(now, account, &request, over.iter().copied());
            let told = |over| Notice { over, account: account.clone(), request: request.clone() };
            notices.extend(over.into_iter().map(told));
        }
        notices
    }

    /// Wants connections for the accounts that peers have heard of.
    fn want_heard(&mut self, now: Instant) {
        for account in self.wishes.moves.take_heard(now) {
            self.wishes.want_account(now, &account, &self.peers);
        }
    }

    /// Hears the answer to a [`Notice`]. Returns the account, and the peer's pooled connections, over which it says nothing of
    /// that any more; none if nobody waits for such an answer.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        request: &str,
    ) -> Option<(String, Vec<ConnectionId>)> {
        let account = self.wishes.moves.handle_answer(self.seated(connection), request)?;
        self.want_heard(now);
        let peer = self.peers.get(self.peer_of(connection)?)?;
        Some((account, self.with_circuits(peer.pool())))
    }

    /// Hears from a peer, over a pooled connection, that an account has a connection of its own from now on. Returns those
    /// that carried it by the peer's hash, and whether that is news to this node.
    ///
    /// # Errors
    /// The peer says so of too many.
    pub(crate) fn handle_moved(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        account: &str,
        pool_size: i32,
    ) -> Result<(Vec<ConnectionId>, bool), TooManyMoved> {
        let Some(Life::Registered { peer: id, seat: Seat::Slot(_), .. }) =
            self.connections.get(self.seated(connection)).map(|connection| &connection.life)
        else {
            return Ok((Vec::new(), false));
        };
        let Some(peer) = self.peers.get(id) else { return Ok((Vec::new(), false)) };
        let is_news = !self.wishes.is_apart(id, account);
        if is_news {
            self.wishes.moves.note(now, id, account)?;
            self.wishes.want_apart(now, id, peer, account);
        } else if peer.dedicated(account).is_none() {
            // It may have refused such a connection until now, for long.
            self.wishes.dials.bring_forward(id, account, now + RETRY_PAUSE);
        }
        let carrier = peer.holder(&Seat::Slot(Plan::slot_of(account, pool_size)));
        Ok((self.with_circuits(carrier.into_iter()), is_news))
    }

    /// When [`Routes::handle_timeout`] is to be called next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let of_retired = self.retired.first().map(|(at, _)| *at);
        self.wishes.moves.next_at().into_iter().chain(of_retired).min()
    }

    /// Goes on with accounts that come to have connections of their own. Returns peers and accounts that have none, since such
    /// a connection did not come.
    #[must_use]
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<(String, String)> {
        self.want_heard(now);
        let ended = self.wishes.moves.take_ended(now);
        if !ended.is_empty() {
            self.wishes.drop_void_dials();
        }
        ended
    }

    /// Wants a server of which a source told tried once, as the dial that is returned; none if somebody is at it already.
    pub(crate) fn try_found(&mut self, now: Instant, url: RouteUrl) -> Option<DialId> {
        self.wishes.want_found(now, url)
    }

    /// What came of such dials since this was last asked. To be asked after every other call.
    #[must_use]
    pub(crate) fn take_led(&mut self) -> Vec<(DialId, Led)> {
        self.wishes.take_led()
    }

    /// Where a server can be dialed that there is a connection to, if that is known.
    pub(crate) fn url_of(&self, server: &str) -> Option<&RouteUrl> {
        self.peers.get(server)?.url()
    }

    /// Where a server says that it can be dialed that there is a connection to, if it does.
    pub(crate) fn says_url(&self, server: &str) -> Option<&RouteUrl> {
        self.peers.get(server)?.says_url.as_ref()
    }

    /// What is to be dialed now. Poll until `None` after every other call and when [`Routes::poll_timeout`] is due.
    #[must_use]
    pub(crate) fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        self.wishes.begin_next(now, &self.peers)
    }

    /// When [`Routes::poll_dial`] is to be called next. Changes with every other call.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wishes.next_at()
    }

    /// Notes that a dial failed.
    pub(crate) fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        self.wishes.handle_failed(now, id, why);
    }

    /// Whether there is a connection to a server.
    pub(crate) fn is_peer(&self, server: &str) -> bool {
        self.peers.contains_key(server)
    }

    /// Notes a connection that was accepted. If more than `max_unregistered` were whose peers have not presented themselves,
    /// the first of these is forgotten and returned, which is to be closed.
    #[must_use]
    pub(crate) fn handle_accepted(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        max_unregistered: usize,
    ) -> Option<ConnectionId> {
        self.connections.begin(connection, remote, None, None);
        self.connections.remove_excess(max_unregistered)
    }

    /// Notes a connection that a dial made, and returns what it was for.
    pub(crate) fn handle_dialed(
        &mut self,
        id: DialId,
        connection: ConnectionId,
        remote: SocketAddr,
    ) -> Option<&Purpose> {
        let purpose = self.wishes.purpose_of(id).cloned();
        self.connections.begin(connection, remote, Some(id), purpose).purpose.as_ref()
    }

    /// Notes that a connection has become a circuit, which makes it one to another server than the one that it is with; `purpose` is
    /// what it is for if this node has the part of the one who dials.
    pub(crate) fn handle_circuit(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        purpose: Option<Purpose>,
        detour: Detour,
    ) {
        self.connections.begin_detour(connection, remote, purpose, detour);
    }

    /// Forgets a connection that will never be a route of this node.
    pub(crate) fn release(&mut self, connection: ConnectionId) {
        self.connections.remove(connection);
    }

    /// The way of a connection that passes through another server.
    pub(crate) fn detour(&self, connection: ConnectionId) -> Option<&Detour> {
        self.connections.get(connection)?.detour.as_ref()
    }

    /// Whether some connection to a peer passes through no other server; none if it is no peer.
    pub(crate) fn is_direct(&self, peer: &str) -> Option<bool> {
        let peer = self.peers.get(peer)?;
        Some(peer.all().any(|connection| self.detour(connection).is_none()))
    }

    /// The kinds of connections to a server that are missing: of the pool (none), and dedicated to an account.
    pub(crate) fn missing(&self, server: &str) -> Vec<Option<String>> {
        let Wishes { plan, moves, .. } = &self.wishes;
        match self.peers.get(server) {
            Some(peer) => peer.missing(plan.accounts().chain(moves.of(server))),
            None => plan.kinds(),
        }
    }

    /// The servers that there are connections to, by their ids.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &str> {
        self.peers.keys().map(String::as_str)
    }

    /// The accounts that have connections of their own to a peer.
    pub(crate) fn dedicated_accounts(&self, peer: &str) -> impl Iterator<Item = &str> {
        self.peers.get(peer).into_iter().flat_map(|peer| peer.dedicated.keys().map(String::as_str))
    }

    /// How many connections the pool of two servers has that say so of theirs.
    pub(crate) fn connections_in_pool(&self, pool_sizes: [i32; 2]) -> usize {
        Plan::pool_of(pool_sizes)
    }

    /// How many connections two servers have that say so of their pools.
    pub(crate) fn connections_with(&self, pool_sizes: [i32; 2]) -> usize {
        self.wishes.plan.connections_with(pool_sizes)
    }

    /// The host that a dial goes to.
    pub(crate) fn dialed_host(&self, id: DialId) -> Option<&str> {
        self.wishes.purpose_of(id).map(|purpose| purpose.url.host.as_str())
    }

    /// Hears what the peer says of itself on a connection, and gives that a seat; or resolves the duplicate: what is there
    /// stays, and inherits what the newcomer stood for (wire.md 3.5).
    pub(crate) fn handle_presented(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        newcomer: &Newcomer<'_>,
    ) -> Result<Seated, NotSeated> {
        let by_name = self.dialed_by_name(connection).filter(|_| self.remembers);
        let verdict = self.find_place(now, connection, newcomer);
        if let Some((name, meant)) = by_name {
            self.want_strayed(now, &name, meant.as_deref());
        }
        verdict
    }

    /// The name that a connection was dialed by, and the server that this was for, if that was known; none if it was dialed by
    /// an address.
    fn dialed_by_name(&self, connection: ConnectionId) -> Option<(RouteUrl, Option<String>)> {
        let RouteConnection {
            purpose: Some(Purpose { url, .. }),
            life: Life::Shaking { dial: Some(dial), .. },
            ..
        } = self.connections.get(connection)?
        else {
            return None;
        };
        let meant = self.wishes.dials.get(*dial).and_then(|dial| dial.server().map(str::to_owned));
        url.host.parse::<IpAddr>().is_err().then(|| (url.clone(), meant))
    }

    fn find_place(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        newcomer: &Newcomer<'_>,
    ) -> Result<Seated, NotSeated> {
        let Some(RouteConnection { purpose, detour, life: Life::Shaking { dial, claim }, .. }) =
            self.connections.get(connection)
        else {
            return Err(NotSeated::Unexpected);
        };
        let (purpose, dial, claim, is_direct) = (purpose.clone(), *dial, claim.clone(), detour.is_none());
        let seat = match &claim {
            Some(claim) => claim.seat.clone(),
            None => self.find_seat(purpose.as_ref(), dial, newcomer, is_direct)?,
        };
        let circuit = self.circuit_at(newcomer.id, &seat).filter(|_| is_direct);
        if purpose.is_some()
            && claim.is_none()
            && let Some(token) = circuit.and_then(|circuit| self.token_for(circuit))
        {
            self.claim(connection, newcomer.id, &seat);
            return Err(NotSeated::NotYet { seat, token });
        }
        let inherits = circuit.filter(|it| self.may_inherit(*it, claim.as_ref(), newcomer, &seat));
        if let Some(circuit) = inherits {
            self.connections.retire(circuit, connection);
            self.wishes.moves.handle_succeeded(circuit, connection);
        }
        let pool_size = self.wishes.plan.pool_size_with(newcomer).filter(|_| seat != Seat::Sole).unwrap_or(0);
        let peer = self.peers.entry(newcomer.id.to_owned()).or_default();
        let is_first = peer.gossip_carrier().is_none();
        let is_seated = match inherits {
            Some(_) => peer.pass_seat(&seat, connection, newcomer),
            None => peer.take_seat(&seat, (connection, is_direct), newcomer, pool_size),
        };
        if let Some(Purpose { url, explicit, .. }) = purpose.as_ref().filter(|_| is_direct) {
            self.wishes.handle_found(url);
            peer.solicit(Solicited { url: url.clone(), explicit: *explicit });
        }
        if !is_seated {
            peer.retry = true;
            // Where the seat is of another kind than all that are taken, any connection tells whether the peer still has them.
            let holder = peer.holder(&seat).or_else(|| peer.gossip_carrier());
            let probed = holder.filter(|holder| self.remembers && self.connections.probe(*holder, now));
            dial.into_iter().for_each(|dial| self.wishes.end_at(now, dial, newcomer.id));
            return Err(NotSeated::Duplicate { probed });
        }
        // Another circuit is for others to want.
        let has_more = peer.empty_slot().or_else(|| peer.relayed_slot()).is_some();
        let continues = purpose.is_some() && is_direct && matches!(seat, Seat::Slot(_)) && has_more;
        if is_direct {
            peer.direct = None;
        }
        dial.into_iter().for_each(|dial| self.wishes.end_at(now, dial, newcomer.id));
        if let Some(Purpose { url, explicit: true, account: None, .. }) =
            purpose.as_ref().filter(|_| is_first)
        {
            self.wishes.handle_appeared(now, url);
        }
        self.wishes.uncheck(newcomer.id);
        let (peer, taken) = (newcomer.id.to_owned(), seat.clone());
        let goes_on_for = |circuit| Inherits { circuit, is_done: false, is_heard: false };
        let goes_on = inherits.map(goes_on_for);
        let life = Life::Registered {
            peer,
            seat: taken,
            since: now,
            continues,
            probed_until: None,
            inherits: goes_on,
        };
        self.connections.register(connection, life);
        let pooled = seat.account().map_or_else(Vec::new, |account| {
            self.wishes.moves.handle_seated(newcomer.id, account);
            // That of the system never moves.
            let peer = self.peers.get(newcomer.id).filter(|_| !self.wishes.is_system_account(account));
            self.with_circuits(peer.into_iter().flat_map(PeerRoutes::pool))
        });
        Ok(Seated { seat, continues, pooled, inherits })
    }

    fn find_seat(
        &mut self,
        purpose: Option<&Purpose>,
        dial: Option<DialId>,
        newcomer: &Newcomer<'_>,
        is_direct: bool,
    ) -> Result<Seat, NotSeated> {
        let peer = self.peers.get(newcomer.id);
        let Wishes { plan, moves, .. } = &self.wishes;
        let has_moved = |account: &str| moves.is_moved(newcomer.id, account);
        plan.find_seat(purpose, newcomer, peer, is_direct, has_moved).map_err(|why| {
            // Another attempt would end the same way.
            if newcomer.pool_size == 0 {
                self.wishes.end(dial);
            }
            NotSeated::NoSeat(why)
        })
    }

    /// A dial by a name led to one of several servers, perhaps not to the one that it was for.
    fn want_strayed(&mut self, now: Instant, name: &RouteUrl, meant: Option<&str>) {
        for (id, peer) in &self.peers {
            let is_there = peer.solicited.as_ref().is_some_and(|it| it.url.leads_to(&name.host, name.port));
            if is_there || meant == Some(id) {
                let fills = self.connections.fills_pool_of(id);
                self.wishes.want_strayed(now, id, peer, name, fills);
            }
        }
    }

    /// Hears that a connection leads to this node itself: its dial is pointless, unless its name may lead elsewhere too.
    pub(crate) fn handle_self(&mut self, connection: ConnectionId) {
        let Some(RouteConnection { remote, life: Life::Shaking { dial: Some(id), .. }, .. }) =
            self.connections.get(connection)
        else {
            return;
        };
        self.wishes.handle_self(*id, *remote);
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
        if let Some(known) = self.peers.get(peer) {
            self.wishes.want_next_slot(now, peer, known, gossip_mode);
        }
    }

    /// Hears where a peer is from now on, as far as it says so.
    pub(crate) fn handle_address(&mut self, peer: &str, url: Option<RouteUrl>) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.handle_address(url.as_ref());
        }
    }

    /// Hears that a peer leaves: it is not waited for, unless it is configured.
    pub(crate) fn handle_leaving(&mut self, peer: &str) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.leaves = true;
            self.wishes.dials.drop_unconfigured(peer);
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
        let RouteConnection { remote, life, .. } = self.connections.remove(connection)?;
        self.wishes.moves.handle_closed(connection);
        self.want_heard(now);
        match life {
            Life::Shaking { dial, .. } => {
                let led_to_self = self.wishes.own_addresses.contains(&remote);
                let failure = if led_to_self { Failure::LedToSelf } else { Failure::Dropped };
                match dial {
                    Some(dial) if is_wanted => self.wishes.fail(now, dial, failure),
                    dial => self.wishes.end(dial),
                }
                None
            }
            Life::Registered { peer, seat, since, inherits, .. } => {
                inherits.into_iter().for_each(|it| self.end_circuit(it.circuit, now));
                let moved = self.lose(now, &peer, &seat, is_wanted, now.since(since));
                Some(Lost { peer, seat, moved })
            }
            Life::Retired { ends_at, .. } => {
                if let Some(at) = ends_at {
                    self.retired.remove(&(at, connection));
                }
                None
            }
        }
    }

    /// Hears of a server, and wants it. If the other may as well hear of this node, only one of the two dials at once; the
    /// other waits, and does not if a connection came meanwhile.
    pub(crate) fn handle_hearsay(&mut self, now: Instant, heard: Hearsay) {
        self.wishes.handle_hearsay(now, heard);
    }

    /// Hears which servers a peer has routes to, without a word where they listen, and tries some of them.
    pub(crate) fn handle_neighbours(&mut self, now: Instant, teller: &str, neighbours: &[Neighbour]) {
        self.wishes.handle_neighbours(now, teller, neighbours, &self.peers);
    }

    /// Looks after the mesh: dials what is missing, and returns the connections that gave no sign of life when asked. To be
    /// called once in [`interval`](crate::config::Healing::interval).
    #[must_use]
    pub(crate) fn handle_round(&mut self, now: Instant) -> Vec<ConnectionId> {
        if !self.remembers {
            return Vec::new();
        }
        for (id, peer) in &mut self.peers {
            self.wishes.want_missing(now, id, peer);
            self.wishes.want_direct(now, id, peer);
        }
        self.connections.take_lifeless(now)
    }

    /// A random moment, for what the caller does from time to time.
    pub(crate) fn jitter(&mut self) -> Duration {
        self.wishes.jitter()
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

    /// All connections in the order of their ids, each with the peer that it is registered for.
    pub(crate) fn connections_and_peers(&self) -> impl Iterator<Item = (ConnectionId, Option<&str>)> {
        self.connections.with_peers()
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

    /// The connection that gossip about servers goes over with a peer, if that passes through no third.
    pub(crate) fn direct_carrier(&self, peer: &str) -> Option<ConnectionId> {
        self.carrier(peer, None).filter(|carrier| self.detour(*carrier).is_none())
    }

    /// Those of all peers that gossip about servers goes over.
    pub(crate) fn carriers(&self) -> impl Iterator<Item = (&str, ConnectionId)> {
        self.peers.iter().filter_map(|(id, peer)| Some((id.as_str(), peer.gossip_carrier()?)))
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

    /// The peers that this node dialed, and where.
    pub(crate) fn dialed(&self) -> impl Iterator<Item = (&str, &RouteUrl)> {
        self.peers.iter().filter_map(|(id, peer)| Some((id.as_str(), &peer.solicited.as_ref()?.url)))
    }

    /// How many attempts to reach servers were begun.
    pub(crate) fn dial_counts(&self) -> DialCounts {
        self.wishes.counts()
    }

    fn lose(&mut self, now: Instant, id: &str, seat: &Seat, is_wanted: bool, lived: Duration) -> Vec<String> {
        let Some(peer) = self.peers.get_mut(id) else {
            return Vec::new();
        };
        peer.unseat(seat);
        if let Seat::Dedicated(account) = seat {
            self.wishes.moves.handle_lost(now, id, account, lived);
        }
        let was_dialed = peer.solicited.is_some() || peer.retry;
        // Who said that it leaves is not waited for, unless it is configured: then it may be back under the same address.
        let is_waited_for = if peer.leaves { peer.is_explicit() } else { was_dialed || self.remembers };
        if is_wanted && is_waited_for {
            self.wishes.want_back(now, id, peer, seat, lived);
        }
        if !peer.is_gone() {
            return Vec::new();
        }
        self.peers.remove(id);
        let moved = self.wishes.moves.forget_peer(id);
        if !moved.is_empty() {
            self.wishes.drop_void_dials();
        }
        moved
    }
}
