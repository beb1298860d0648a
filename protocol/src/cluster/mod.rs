//! Gossip, routes and discovery put together: what a route or a source brings is judged, given to one and another, and what they
//! want becomes what is to be done to connections.
//!
//! A [`Cluster`] decides itself only who is let in ([`handshake`], [`name`]). Which connections there are and what is dialed
//! is the route table's ([`Routes`]), whom to tell of whom is [`Gossip`]'s, whom of those that sources tell of to try is that of the
//! [`Candidates`]; none knows another, and this is the one place where what one says reaches another. The wiring in [`crate::node`] guards it with one lock, so that a
//! decision and its consequences (a seat taken, gossip queued) are one step. It is never on the path of a message.

#[cfg(feature = "sim")]
mod audit;
mod compression;
mod finding;
mod handover;
mod handshake;
mod joining;
mod moves;
mod name;
mod reached;
mod relaying;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use crate::close::CloseReason;
use crate::config::{ClusterConfig, Compression, Config, HostPort, SYSTEM_ACCOUNT, Source};
use crate::discovery::{Candidates, DamagedFile, Found, Reach, Told};
use crate::gossip::{Arrival, Gossip, Heard, Joined, Output as Said};
use crate::hash::KeyedState;
use crate::id::ConnectionId;
use crate::identity::{self, Stream};
use crate::routes::{
    Cause, DialCounts, Hearsay, Kinds, Newcomer, NotSeated, Own, Purpose, Reconfigured, Routes, Seat, Seated,
    dials_first,
};
use crate::time::Instant;
use crate::transport::PeerCertificate;
use crate::wire::encode::{PING, err_line};
use crate::wire::system::Neighbour;
use crate::wire::{CircuitWord, ClientUrls, Connect, Info, ProtocolError};
use compression::{Decision, Followed};
use finding::Finding;
use handshake::{Handshake, TRACING_PROTOCOL, route_info};
use name::{Agreement, ClusterName};

use crate::routes::DialId;
pub use crate::routes::{DialError, DialRequest};
#[cfg(feature = "sim")]
pub(crate) use crate::routes::{Kept, MAX_OWN_ADDRESSES};
pub(crate) use compression::{Writing, wanted};
pub(crate) use handover::{Claimed, Succession};
pub(crate) use handshake::{Refusal, shown};
pub(crate) use moves::{InfoHeard, Void};
use reached::Reached;
#[cfg(feature = "sim")]
pub(crate) use relaying::MAX_CIRCUIT_DIALS;
use relaying::Relaying;
pub(crate) use relaying::{
    Beginning, CircuitDialed, CircuitStep, Circuits, Manner, WrongServer, is_for_circuit,
};

/// Everything that a node knows and wants of its cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    config: Arc<ClusterConfig>,
    port: u16,
    own_urls: ClientUrls,
    reached: Reached,
    handshake: Handshake,
    routes: Routes,
    gossip: Gossip,
    finding: Finding,
    relaying: Relaying,
    /// Where requests to move accounts get their names.
    requests: Rng,
    /// When both look after the mesh again. At the same time, so that an idle node wakes up once.
    round_at: Instant,
    outputs: VecDeque<Output>,
}

/// What the cluster wants done to connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send these protocol lines over a registered route.
    Send(ConnectionId, Bytes),
    /// Send this message over a registered route, if the peer wants what is on its subject.
    Publish { over: ConnectionId, subject: String, line: Vec<u8> },
    /// End a route.
    Close(ConnectionId, CloseReason),
    /// An account has a connection of its own to a peer from now on, or has none any more: over the pool nothing is said of it
    /// to the peer, or all of it once more (wire.md 4.5).
    Apart { peer: String, account: String, is_apart: bool },
    /// Clients are to be told of another set of servers.
    ConnectUrlsChanged,
}

/// What the other end of a new route is told first.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// Its bytes.
    pub(crate) lines: Vec<u8>,
    /// Another connection had to give way for this one.
    pub(crate) displaces: bool,
}

/// What follows from the first INFO on a route.
#[derive(Debug)]
pub(crate) enum FirstInfo {
    Registered(Registered),
    /// The route is to be compressed; behind that comes another INFO, which is then the first.
    Compress(Compressing),
    /// It is to have the seat of a circuit, if the peer agrees.
    Claimed(Claimed),
}

/// How a route goes over to compressed bytes, in both directions.
#[derive(Debug)]
pub(crate) struct Compressing {
    pub(crate) writing: Writing,
    /// What is said before, as it is.
    pub(crate) plain: Vec<u8>,
    /// What is said first behind it.
    pub(crate) compressed: Vec<u8>,
}

/// Whether a connection has a seat.
enum Place {
    Seated(Seated),
    /// It is to have this one, once the peer agrees, by this token.
    NotYet(Seat, String),
}

/// A route that is part of the cluster from now on.
#[derive(Debug)]
pub(crate) struct Registered {
    /// The peer's id and name.
    pub(crate) peer: String,
    pub(crate) peer_name: String,
    /// The server that its bytes pass through, by its name.
    pub(crate) relay: Option<String>,
    pub(crate) seat: Seat,
    /// What is to be sent before anything else: this node's INFO if it waited for the peer's, and a PING if another
    /// slot of the pool is to be dialed once it is answered.
    pub(crate) lines: Vec<u8>,
    /// Where the connection is dedicated to an account that may have been in the pool, the connections of that: what the peer
    /// wanted of the account over these holds no more.
    pub(crate) pooled: Vec<ConnectionId>,
    /// What it goes on for.
    pub(crate) succession: Option<Succession>,
    /// Whether a PING is among them.
    pub(crate) pings: bool,
    /// Whether the peer understands headers.
    pub(crate) headers: bool,
    /// Whether the peer understands message tracing.
    pub(crate) traces: bool,
    /// Whether others are nearer than the peer, by the affinity of this node.
    pub(crate) is_far: bool,
    /// Whether the peer's `LS-` carry an origin.
    pub(crate) leaf_unsub_origin: bool,
}

impl Cluster {
    /// The cluster's half of a node whose INFO on routes is `own_info`, apart from what concerns the cluster.
    pub(crate) fn new(
        config: ClusterConfig,
        node: &Config,
        own_info: Info,
        route_port: u16,
        client_urls: ClientUrls,
        now: Instant,
    ) -> Self {
        let config = Arc::new(config);
        let generate = || identity::cluster_name(&mut identity::stream(node.seed, Stream::ClusterName));
        let name = ClusterName::new(config.name.clone(), generate);
        let onehop_affinity = node.affinity_tag().unwrap_or_default().to_owned();
        let own_info = Info { onehop_affinity, ..own_info };
        let own_info = route_info(&config, own_info, route_port, client_urls.clone());
        // Whoever has none may still tell others of it.
        let system_account = node.system_account_name().unwrap_or(SYSTEM_ACCOUNT);
        let own = Own {
            id: own_info.server_id.clone(),
            port: route_port,
            error_reports: (node.connect_error_reports, node.reconnect_error_reports),
            system_account: node.system_account_name().map(Arc::from),
        };
        let rng = identity::stream(node.seed, Stream::Dials);
        let finding = Finding::new(identity::stream(node.seed, Stream::Discovery));
        let circuits = identity::stream(node.seed, Stream::Circuits);
        Self {
            relaying: Relaying::new(own_info.server_id.clone(), circuits),
            finding,
            port: route_port,
            reached: Reached::new(node.client_advertise.is_none(), client_urls.clone()),
            own_urls: client_urls,
            routes: Routes::new(config.clone(), own, rng, now),
            gossip: Gossip::new(config.clone(), &own_info, system_account, now),
            handshake: Handshake::new(
                config.clone(),
                own_info,
                name,
                &mut identity::stream(node.seed, Stream::Nonces),
            ),
            requests: identity::stream(node.seed, Stream::Requests),
            round_at: now,
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Hears of another configuration, in which only differs what may while a node runs.
    pub(crate) fn handle_config(&mut self, now: Instant, config: ClusterConfig, max_payload: i64) {
        let config = Arc::new(config);
        let old = std::mem::replace(&mut self.config, config.clone());
        self.handshake.handle_config(config.clone(), max_payload);
        self.gossip.handle_config(config.clone());
        let request = || identity::move_request(&mut self.requests);
        let Reconfigured { removed, notices, unmoved } = self.routes.handle_config(now, config, request);
        self.outputs.extend(removed.into_iter().map(|id| Output::Close(id, CloseReason::RouteRemoved)));
        self.outputs.extend(notices.into_iter().map(|notice| moves::notice(&self.config, notice)));
        // The node heard of the configuration before, and perhaps in between that a peer has moved one of these.
        let pinned = |(peer, account)| Output::Apart { peer, account, is_apart: false };
        self.outputs.extend(unmoved.into_iter().map(pinned));
        self.follow_compression(&old.compression);
    }

    /// Lets routes follow what is wanted of compression now (wire.md 5.6). One that does so in place is pinged: it does when it
    /// is read from.
    fn follow_compression(&mut self, old: &Compression) {
        for (id, peer) in self.routes.connections_and_peers() {
            let info = peer.and_then(|peer| self.gossip.info_of(peer));
            let theirs = info.map(|info| info.compression.as_str());
            self.outputs.extend(match compression::follow(old, &self.config.compression, theirs) {
                Followed::Anew => Some(Output::Close(id, CloseReason::ClientClosed)),
                Followed::InPlace if peer.is_some() => Some(Output::Send(id, PING.into())),
                Followed::InPlace | Followed::AsItIs => None,
            });
        }
    }

    /// What is to be done to connections next. Poll until `None` after every other call.
    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What is to be dialed now. Poll until `None` after every other call and when [`Cluster::poll_timeout`] is due.
    #[must_use]
    pub(crate) fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        self.finding.follow(now, &mut self.routes);
        self.relaying.poll_dial(now).or_else(|| self.routes.poll_dial(now))
    }

    /// When [`Cluster::poll_dial`] and [`Cluster::handle_timeout`] are to be called next. Changes with every other call.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let of_gossip = self.gossip.poll_timeout();
        let of_routes = self.routes.poll_timeout().into_iter().chain(self.routes.next_timeout());
        let of_circuits = self.relaying.next_dial_at().into_iter().chain(self.relaying.next_at());
        let of_rest = self.finding.poll_timeout().into_iter().chain(self.next_round());
        of_routes.chain(of_gossip).chain(of_circuits).chain(of_rest).min()
    }

    /// Looks after the mesh, if it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.gossip.handle_timeout(now);
        for (peer, account) in self.routes.handle_timeout(now) {
            self.outputs.push_back(Output::Apart { peer, account, is_apart: false });
        }
        self.end_circuits(now);
        if self.next_round().is_some_and(|at| at <= now) {
            self.handle_round(now);
            self.follow_circuits(now);
            self.follow_joints(now);
        } else if self.relaying.next_at().is_some_and(|at| at <= now) {
            self.follow_circuits(now);
        }
        self.pass_on(now);
    }

    fn handle_round(&mut self, now: Instant) {
        self.round_at = now + self.config.healing.interval + self.routes.jitter();
        let lifeless = self.routes.handle_round(now).into_iter();
        self.outputs.extend(lifeless.map(|id| Output::Close(id, CloseReason::StaleConnection)));
        self.gossip.handle_round(now);
    }

    /// Hears that the node stops: its peers are told, so that they do not wait for it (wire.md 14.2).
    pub(crate) fn handle_shutdown(&mut self) {
        if self.config.healing.remember {
            self.handle_lame_duck();
        }
    }

    /// Hears that the node is about to stop: its peers are told, so that their clients do not go there (wire.md 3.10).
    pub(crate) fn handle_lame_duck(&mut self) {
        let line: Bytes = Info { ldm: true, ..self.handshake.info_now() }.to_line().into();
        let routes = self.routes.connections_beside(&self.handshake.own_info().server_id);
        self.outputs.extend(routes.map(|route| Output::Send(route, line.clone())));
    }

    /// Notes a route that was accepted and returns the INFO that greets it. If too many have not presented themselves yet, the
    /// one that has been silent for longest gives way.
    pub(crate) fn handle_accepted(&mut self, connection: ConnectionId, remote: SocketAddr) -> Greeting {
        let most = self.config.limits.max_unregistered;
        let displaced = self.routes.handle_accepted(connection, remote, most);
        if let Some(silent) = displaced {
            let line = err_line(&ProtocolError::MaximumConnections.text().unwrap_or_default());
            self.outputs.push_back(Output::Send(silent, line.into()));
            self.outputs.push_back(Output::Close(silent, CloseReason::MaximumConnectionsExceeded));
        }
        Greeting { lines: self.greeting(), displaces: displaced.is_some() }
    }

    /// What greets a peer that dialed this node.
    pub(crate) fn greeting(&self) -> Vec<u8> {
        self.handshake.initial_info().to_line()
    }

    /// Notes a connection that a dial made and returns what to say first on it.
    pub(crate) fn handle_dialed(
        &mut self,
        id: DialId,
        connection: ConnectionId,
        remote: SocketAddr,
    ) -> Greeting {
        let lines = self.handshake.opening(self.routes.handle_dialed(id, connection, remote));
        Greeting { lines, displaces: false }
    }

    /// The host that a dial goes to, by its name if it has one.
    pub(crate) fn dialed_host(&self, id: DialId) -> Option<String> {
        self.routes.dialed_host(id).map(str::to_owned)
    }

    /// Notes that a dial failed.
    pub(crate) fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        if is_for_circuit(id) {
            self.handle_circuit_failed(now, id, why);
        } else {
            self.routes.handle_dial_failed(now, id, why);
        }
    }

    /// Judges the CONNECT of a route that was accepted, whose peer showed this certificate.
    pub(crate) fn handle_connect(
        &mut self,
        connect: &Connect,
        shown: Option<&PeerCertificate>,
    ) -> Result<(), ProtocolError> {
        self.handshake.judge_connect(connect, shown)?;
        if self.agrees_on_name(&connect.cluster, connect.cluster_dynamic, &connect.name) {
            Ok(())
        } else {
            Err(self.handshake.other_cluster(connect))
        }
    }

    /// Judges the first INFO on a route, and makes the route part of the cluster, unless it is to be compressed and is not yet
    /// (`is_compressed`): then the peer sends another one. Or the peer is to agree first: then it is to be handed in again as it is
    /// returned. `is_account` says whether there is an account of this name.
    pub(crate) fn handle_first_info(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        mut info: Info,
        is_compressed: bool,
        is_account: impl Fn(&str) -> bool,
    ) -> Result<FirstInfo, Refusal> {
        let Some((remote, purpose)) = self.routes.connection(connection) else {
            return Err(Refusal::Gone);
        };
        let purpose = purpose.cloned();
        let decision = self.judge_first_info(connection, &info, purpose.is_none())?;
        if let Some(writing) = decision.writes.clone().filter(|_| !is_compressed) {
            let [plain, compressed] = self.handshake.around_switch(purpose.as_ref(), &decision);
            return Ok(FirstInfo::Compress(Compressing { writing, plain, compressed }));
        }
        self.fill_address(connection, remote, &mut info);
        let account = purpose.as_ref().map_or(Some(&info.route_account), |purpose| purpose.account.as_ref());
        let has_account = account.is_some_and(|account| is_account(account));
        let is_agreed = self.routes.has_claim(connection);
        let Seated { seat, continues, pooled, inherits } =
            match self.find_seat(now, connection, &info, has_account)? {
                Place::Seated(seated) => seated,
                Place::NotYet(seat, token) => {
                    let word = Some(CircuitWord::Replace { token });
                    let lines = self.handshake.reply(purpose.as_ref(), &seat, &decision, word);
                    return Ok(FirstInfo::Claimed(Claimed { lines, info: info.into() }));
                }
            };
        let is_far = self.handshake.is_far(&std::mem::take(&mut info.onehop_affinity));
        let mut lines = Vec::new();
        if !is_agreed {
            lines.extend(self.handshake.reply(purpose.as_ref(), &seat, &decision, None));
        }
        lines.extend(self.said_of_circuit(connection, &mut info, inherits));
        lines.extend(self.said_meanwhile(now, &info));
        if continues {
            lines.extend_from_slice(PING);
        }
        self.introduce(now, &info, purpose.as_ref(), &seat);
        self.relaying.ends.handle_over(now, connection, Some(&info.server_id));
        Ok(FirstInfo::Registered(Registered {
            relay: self.relay_name(connection),
            peer: info.server_id,
            peer_name: info.server_name,
            seat,
            lines,
            pooled,
            succession: inherits.map(|circuit| self.succession(circuit)),
            pings: continues,
            headers: info.headers && self.handshake.own_info().headers,
            traces: info.proto >= TRACING_PROTOCOL,
            is_far,
            leaf_unsub_origin: info.lnocu || info.ln,
        }))
    }

    /// Judges the first INFO on a route, but for the seat: what is decided about compression.
    fn judge_first_info(
        &mut self,
        connection: ConnectionId,
        info: &Info,
        was_accepted: bool,
    ) -> Result<Decision, Refusal> {
        self.handshake.judge_names(info)?;
        if info.server_id == self.own_id() {
            self.routes.handle_self(connection);
            return Err(ProtocolError::DuplicateRoute.into());
        }
        if !info.cluster.is_empty()
            && !self.agrees_on_name(&info.cluster, info.cluster_dynamic, &info.server_id)
        {
            let (theirs, ours) = (info.cluster.clone(), self.name().to_owned());
            return Err(ProtocolError::ClusterNameInInfo { theirs, ours }.into());
        }
        let decision = self.handshake.judge_info(info, was_accepted)?;
        if self.peer_count() >= self.config.limits.max_peers && !self.routes.is_peer(&info.server_id) {
            return Err(ProtocolError::MaximumConnections.into());
        }
        Ok(decision)
    }

    /// Hears an INFO on a registered route (wire.md 2.10, in its order). `is_account` says whether there is an account of this
    /// name.
    pub(crate) fn handle_info(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        info: Info,
        is_account: impl Fn(&str) -> bool,
    ) -> Result<InfoHeard, CloseReason> {
        let Some(peer) = self.routes.peer_of(connection).map(str::to_owned) else {
            return Ok(InfoHeard::Nothing);
        };
        if info.server_id == self.own_id() {
            return Err(CloseReason::DuplicateRoute);
        }
        if !info.cluster.is_empty() && !self.agrees_on_name(&info.cluster, info.cluster_dynamic, &peer) {
            return Err(CloseReason::ClusterNameConflict);
        }
        if !info.route_acc_add_reqid.is_empty() {
            return Ok(self.handle_move(now, connection, &peer, info, is_account));
        }
        if let Some(word) = info.onehop_circuit {
            return Ok(self.handle_circuit_word(now, connection, &peer, word));
        }
        if info.server_id == peer && reached::tells_address(&info) {
            self.handle_address(now, connection, &peer, info);
            self.pass_on(now);
            return Ok(InfoHeard::Nothing);
        }
        self.gossip.handle_info(now, &peer, info);
        self.pass_on(now);
        Ok(InfoHeard::Nothing)
    }

    /// Hears a PONG.
    pub(crate) fn handle_pong(&mut self, now: Instant, connection: ConnectionId) {
        self.routes.handle_pong(now, connection);
    }

    /// Whether the peer on this connection was asked which routes it has, so that its answer is worth reading with
    /// [`neighbours`](crate::wire::system::neighbours), before this machine is held again.
    pub(crate) fn awaits_answer(&self, connection: ConnectionId) -> bool {
        self.routes.peer_of(connection).is_some_and(|peer| self.gossip.awaits_answer(peer))
    }

    /// Hears which routes a peer has that was asked, and dials the servers that this node lacks.
    pub(crate) fn handle_neighbours(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        neighbours: Vec<Neighbour>,
    ) {
        let remote = self.routes.connection(connection).map(|(remote, _)| remote);
        let peer = self.routes.peer_of(connection).map(str::to_owned);
        if let (Some(remote), Some(peer)) = (remote, peer.as_deref()) {
            if self.gossip.awaits_answer(peer) {
                self.note_neighbours(now, peer, &neighbours);
            }
            self.gossip.handle_neighbours(peer, remote.ip().is_loopback(), neighbours);
            self.pass_on(now);
        }
    }

    /// Forgets a connection that ended, and wants it back if this node made it.
    pub(crate) fn handle_closed(&mut self, now: Instant, connection: ConnectionId, reason: CloseReason) {
        self.handle_circuit_closed(now, connection);
        if let Some(lost) = self.routes.handle_closed(now, connection, reason) {
            let apart = lost.moved.into_iter();
            let forgotten = |account| Output::Apart { peer: lost.peer.clone(), account, is_apart: false };
            self.outputs.extend(apart.map(forgotten));
            let account = lost.seat.account();
            if !self.routes.is_peer(&lost.peer) {
                self.relaying.joints.forget(&lost.peer);
                self.finding.handle_lost(now, &lost.peer);
            }
            self.gossip.handle_left(now, &lost.peer, account, self.routes.carrier(&lost.peer, account));
            self.pass_on(now);
        }
    }

    /// The cluster's name, given, generated or taken over.
    pub(crate) fn name(&self) -> &str {
        &self.handshake.name.text
    }

    /// What this node is configured to do.
    pub(crate) fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// How many servers there are routes to.
    pub(crate) fn peer_count(&self) -> usize {
        self.routes.peer_count()
    }

    /// The port that this node listens on for peers.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What a peer says of itself.
    pub(crate) fn peer_info(&self, peer: &str) -> Option<&Info> {
        self.gossip.info_of(peer)
    }

    /// Whether the route to a peer was dialed from here, and whether the URL is configured.
    pub(crate) fn solicitation(&self, peer: &str) -> (bool, bool) {
        self.routes.solicitation(peer)
    }

    /// What clients of this node may connect to, by the way that they came: its own addresses unless left out, whether or not the peers are told, and
    /// then those of the peers in the order of their ids. The hasher finds the duplicates.
    pub(crate) fn connect_urls(&self, with_own: bool, hasher: &KeyedState) -> ClientUrls {
        let [plain, websocket] =
            [false, true].map(|by_websocket| self.urls_of(by_websocket, with_own, hasher));
        ClientUrls { plain, websocket }
    }

    fn urls_of(&self, by_websocket: bool, with_own: bool, hasher: &KeyedState) -> Vec<String> {
        let own_urls = if with_own { &**self.own_urls.of(by_websocket) } else { &[] };
        let own_bytes: usize = own_urls.iter().map(|url| url.len()).sum();
        let of_peers =
            self.gossip.connect_urls(by_websocket, MAX_CONNECT_URLS_BYTES.saturating_sub(own_bytes));
        let mut seen = HashSet::with_hasher(hasher.clone());
        own_urls.iter().chain(of_peers).filter(|url| seen.insert(*url)).cloned().collect()
    }

    /// How many attempts to reach servers were begun.
    pub(crate) fn dial_counts(&self) -> DialCounts {
        self.routes.dial_counts()
    }

    /// Hears of servers from a source, which has it from `teller` ([`Node::handle_found`](crate::Node::handle_found)).
    pub(crate) fn handle_found(&mut self, now: Instant, source: Source, teller: &str, found: &[Found]) {
        let own_id = &self.handshake.own_info().server_id;
        let healing = &self.config.healing;
        let wait = if healing.arbitrate { healing.arbitration_delay } else { Duration::ZERO };
        self.finding.candidates.handle_found(now, source, teller, found, |server| match server {
            it if it == own_id => Told::Itself,
            it if self.routes.is_peer(it) => Told::Member,
            it if dials_first(own_id, it) => Told::Stranger(Duration::ZERO),
            _ => Told::Stranger(wait),
        });
    }

    /// Reads the text of a peers file, which then tells of servers like any other source.
    ///
    /// # Errors
    /// It is none; then nothing of it is known.
    pub(crate) fn load_known_servers(&mut self, now: Instant, text: &str) -> Result<(), DamagedFile> {
        let found = self.finding.known.load(text)?;
        self.handle_found(now, Source::PeersFile, "", &found);
        Ok(())
    }

    /// The text of the peers file, if members are elsewhere than when this was last asked.
    pub(crate) fn take_known_servers(&mut self) -> Option<String> {
        self.finding.known.take_text()
    }

    /// Who can be reached: peers that this node has dialed, and itself where its configuration or a source says so.
    pub(crate) fn reach(&self) -> Reach {
        let own = self.reached_at().map(|address| {
            let port = Some(address.port.unwrap_or(self.port));
            (self.own_id().to_owned(), HostPort { port, ..address })
        });
        let dialed = self
            .routes
            .dialed()
            .map(|(id, url)| (id.to_owned(), HostPort { host: url.host.clone(), port: Some(url.port) }));
        Reach { members: own.into_iter().chain(dialed).collect(), is_alone: self.peer_count() == 0 }
    }

    /// What came of what sources told.
    pub(crate) fn candidates(&self) -> &Candidates {
        &self.finding.candidates
    }

    fn own_id(&self) -> &str {
        &self.handshake.own_info().server_id
    }

    /// When to look after the mesh again.
    fn next_round(&self) -> Option<Instant> {
        (self.config.healing.is_active() && self.peer_count() > 0).then_some(self.round_at)
    }

    /// Whether both belong to one cluster. If this node takes over the peer's name for it, the others are of another.
    fn agrees_on_name(&mut self, theirs: &str, theirs_is_dynamic: bool, peer: &str) -> bool {
        let agreement = self.handshake.name.agree(theirs, theirs_is_dynamic);
        if agreement == Agreement::TakenOver {
            let others = self.routes.connections_beside(peer);
            self.outputs.extend(others.map(|id| Output::Close(id, CloseReason::ClusterNameConflict)));
        }
        agreement != Agreement::None
    }

    fn find_seat(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        info: &Info,
        has_account: bool,
    ) -> Result<Place, Refusal> {
        let newcomer = Newcomer {
            id: &info.server_id,
            url: info.ip.trim_end_matches('/').parse().ok(),
            pool_size: info.route_pool_size,
            pool_index: info.route_pool_idx,
            account: &info.route_account,
            has_account,
            arbitrates: info.onehop > 0,
            token: handover::shown_token(info),
        };
        match self.routes.handle_presented(now, connection, &newcomer) {
            Ok(seated) => Ok(Place::Seated(seated)),
            Err(NotSeated::NotYet { seat, token }) => Ok(Place::NotYet(seat, token)),
            Err(NotSeated::Unexpected) => Err(Refusal::Gone),
            Err(NotSeated::NoSeat(why)) => Err(Refusal::Fault(why.into())),
            Err(NotSeated::Duplicate { probed }) => {
                self.outputs.extend(probed.map(|id| Output::Send(id, Bytes::from_static(PING))));
                // What was dialed because it is configured makes the route that stays a configured one.
                if self.routes.solicitation(&info.server_id).1 {
                    self.gossip.handle_explicit(&info.server_id);
                }
                Err(ProtocolError::DuplicateRoute.into())
            }
        }
    }

    fn introduce(&mut self, now: Instant, info: &Info, purpose: Option<&Purpose>, seat: &Seat) {
        let arrival = match purpose {
            None => Arrival::Accepted,
            Some(purpose) if purpose.explicit => Arrival::Explicit,
            Some(purpose) => Arrival::Implicit(purpose.gossip_mode),
        };
        let (peer, account) = (info.server_id.as_str(), seat.account());
        let joined = Joined {
            info,
            arrival,
            account,
            carrier: self.routes.carrier(peer, account),
            is_pooled: self.routes.is_pooled(peer),
            is_explicit: self.routes.solicitation(peer).1,
        };
        self.gossip.handle_joined(now, joined);
        self.finding.handle_joined(peer, self.routes.url_of(peer));
        self.pass_on(now);
    }

    /// A member told of a server that this node lacks, and may be asked for a circuit to it.
    fn note_heard(&mut self, now: Instant, heard: &Heard) {
        let Heard { teller, server, either_may, .. } = heard;
        if self.config.relays() && server.len() <= handshake::MAX_NAME_BYTES {
            self.relaying.ends.handle_heard(now, teller, server, *either_may, &self.config.relay);
        }
    }

    /// Gives what gossip wants to whom it concerns: the connections, and the route table.
    fn pass_on(&mut self, now: Instant) {
        while let Some(said) = self.gossip.poll_output() {
            match said {
                Said::Tell(over, line) => self.outputs.push_back(Output::Send(over, line)),
                Said::Ask { over, subject, line } => {
                    self.outputs.push_back(Output::Publish { over, subject, line });
                }
                Said::Heard(heard) => {
                    self.note_heard(now, &heard);
                    self.routes.handle_hearsay(now, hearsay(heard));
                }
                Said::HeardNeighbours { teller, neighbours } => {
                    self.routes.handle_neighbours(now, &teller, &neighbours);
                }
                Said::Leaves(peer) => self.routes.handle_leaving(&peer),
                Said::ConnectUrlsChanged => self.outputs.push_back(Output::ConnectUrlsChanged),
            }
        }
    }
}

fn hearsay(heard: Heard) -> Hearsay {
    let Heard { is_named, teller, server, url, account, all_kinds, gossip_mode, either_may } = heard;
    let kinds = match account {
        Some(account) => Kinds::Dedicated(account),
        None if all_kinds => Kinds::All,
        None => Kinds::OfPool,
    };
    let cause = if is_named { Cause::Compare } else { Cause::Gossip };
    Hearsay { cause, teller, server, url, kinds, gossip_mode, either_may }
}

/// Clients are told no more of addresses than this, and fewer of each peer where they are too many.
const MAX_CONNECT_URLS_BYTES: usize = 32 * 1024;
