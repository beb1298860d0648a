//! From the first byte of a route to its registration (wire.md 2.2 to 2.4, 2.9, 3.5, 3.6, 4.3, 4.4).

use super::*;
use crate::accounts::GLOBAL_ACCOUNT;
use crate::gossip::Arrival;
use crate::routes::Solicited;
use crate::wire::Connect;
use crate::wire::encode::PING;

/// A route that is refused: what the peer is told, if anything, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: Option<String>,
    pub(crate) reason: CloseReason,
}

/// A route that is part of the cluster from now on.
#[derive(Debug)]
pub(crate) struct Registered {
    /// The peer's id and name.
    pub(crate) peer: String,
    pub(crate) peer_name: String,
    pub(crate) seat: Seat,
    /// What is to be sent before anything else: this node's INFO if it waited for the peer's, and a PING if another
    /// slot of the pool is to be dialed once it is answered.
    pub(crate) lines: Vec<u8>,
    /// Whether a PING is among them.
    pub(crate) pings: bool,
    /// Whether the peer understands headers.
    pub(crate) headers: bool,
    /// Whether the peer's `LS-` carry an origin.
    pub(crate) leaf_unsub_origin: bool,
}

impl Refusal {
    fn silent(reason: CloseReason) -> Self {
        Self { error: None, reason }
    }

    fn told(reason: CloseReason, error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), reason }
    }
}

impl Cluster {
    /// Notes a route that was accepted and returns the INFO that greets it.
    pub(crate) fn handle_accepted(&mut self, connection: ConnectionId, remote: SocketAddr) -> Vec<u8> {
        self.links.insert(connection, Link::new(remote, None, None));
        self.info_now().to_line()
    }

    /// Notes a connection that a dial made and returns what to say first on it: CONNECT, and INFO where
    /// it need not wait for the peer's.
    pub(crate) fn handle_dialed(
        &mut self,
        id: DialId,
        connection: ConnectionId,
        remote: SocketAddr,
    ) -> Vec<u8> {
        let origin = self.dials.get_mut(id).map(|dial| {
            dial.state = DialState::Shaking(connection);
            Origin {
                url: dial.url.clone(),
                explicit: dial.explicit,
                account: dial.account.clone(),
                gossip_mode: dial.gossip_mode,
            }
        });
        let mut lines = self.connect(origin.as_ref()).to_line();
        if let Some(origin) = &origin
            && !self.info_waits(origin)
        {
            lines.extend(self.info_to_dialed(origin, None).to_line());
        }
        self.links.insert(connection, Link::new(remote, Some(id), origin));
        lines
    }

    /// Judges the CONNECT of a route that was accepted.
    pub(crate) fn handle_connect(&mut self, connect: &Connect) -> Result<(), Refusal> {
        if !self.is_authorized(connect) {
            return Err(Refusal::told(CloseReason::AuthenticationFailure, "Authorization Violation"));
        }
        if !connect.lang.is_empty() {
            return Err(Refusal::told(CloseReason::IncorrectPort, "attempted to connect to route port"));
        }
        if !connect.gateway.is_empty() {
            let error =
                format!("Rejecting connection from gateway \"{}\" on the Route port", connect.gateway);
            return Err(Refusal::told(CloseReason::WrongGateway, error));
        }
        let theirs = &connect.cluster;
        if theirs == RESERVED_CLUSTER_NAME {
            let error = format!("Rejecting connection, cluster name \"{theirs}\" is reserved");
            return Err(Refusal::told(CloseReason::ClusterNameConflict, error));
        }
        if self.agrees_on_name(theirs, connect.cluster_dynamic, &connect.name) {
            return Ok(());
        }
        let error = format!(
            "Rejecting connection, cluster name \"{theirs}\" does not match \"{}\"",
            self.cluster_name
        );
        Err(Refusal::told(CloseReason::ClusterNameConflict, error))
    }

    /// Judges the first INFO on a route, and makes the route part of the cluster.
    pub(crate) fn handle_first_info(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        mut info: Info,
    ) -> Result<Registered, Refusal> {
        self.next_dial = None;
        let Some(link) = self.links.get(&connection) else {
            return Err(Refusal::silent(CloseReason::RouteRemoved));
        };
        let (origin, remote, dial) = (link.origin.clone(), link.remote, link.dial);
        if info.server_id == self.server_id {
            self.note_self(dial, remote);
            return Err(Refusal::silent(CloseReason::DuplicateRoute));
        }
        if !info.cluster.is_empty()
            && !self.agrees_on_name(&info.cluster, info.cluster_dynamic, &info.server_id)
        {
            error!(
                "Rejecting connection, cluster name \"{}\" does not match \"{}\"",
                info.cluster, self.cluster_name
            );
            return Err(Refusal::silent(CloseReason::ClusterNameConflict));
        }
        if origin.is_none() && info.server_name == self.server_name {
            error!("Remote server has a duplicate name: \"{}\"", info.server_name);
            return Err(Refusal::silent(CloseReason::DuplicateServerName));
        }
        if self.config.compression == Compression::Accept
            && !COMPRESSION_MODES.contains(&info.compression.as_str())
        {
            let error = format!("unsupported route compression mode \"{}\"", info.compression);
            return Err(Refusal::told(CloseReason::ProtocolViolation, error));
        }
        if info.ip.is_empty() {
            info.ip = route_url_text(&remote.ip().to_string(), info.port);
        }
        let seat = self.find_seat(origin.as_ref(), &info).inspect_err(|_| {
            // Another attempt would end the same way.
            if info.route_pool_size == 0
                && let Some(dial) = dial
            {
                self.dials.remove(dial);
            }
        })?;
        self.take_seat(now, connection, origin.as_ref(), &info, &seat)?;
        Ok(self.register(now, connection, origin, info, seat))
    }

    /// The CONNECT that introduces this node on a route that it dialed.
    fn connect(&self, origin: Option<&Origin>) -> Connect {
        let own = self.config.authorization.as_ref();
        let from_url =
            origin.and_then(|origin| origin.url.user.as_ref().map(|user| (user, &origin.url.password)));
        let explicit = origin.is_some_and(|origin| origin.explicit);
        let (user, pass) = match (from_url, own) {
            (Some((user, password)), _) => {
                let password = password.as_ref().map_or("", |password| password.expose());
                (user.clone(), password.to_owned())
            }
            // A server that was only heard of is presented this node's own credentials.
            (None, Some(own)) if !explicit => (own.user.clone(), own.password.expose().to_owned()),
            _ => (String::new(), String::new()),
        };
        Connect {
            echo: true,
            verbose: false,
            pedantic: false,
            user,
            pass,
            headers: self.own_info.headers,
            name: self.server_id.clone(),
            cluster: self.cluster_name.clone(),
            cluster_dynamic: self.dynamic,
            lnoc: true,
            ln: true,
            ..Connect::default()
        }
    }

    fn is_authorized(&self, connect: &Connect) -> bool {
        self.config.authorization.as_ref().is_none_or(|own| {
            let password = own.password.matches(connect.pass.as_bytes());
            own.user == connect.user && password
        })
    }

    /// Own INFO as of now.
    pub(super) fn info_now(&self) -> Info {
        Info { cluster: self.cluster_name.clone(), cluster_dynamic: self.dynamic, ..self.own_info.clone() }
    }

    /// Whether the dialer's INFO waits for the acceptor's: it does if it has a slot of the pool to name
    /// (wire.md 2.3; compression, the other reason, is not there yet).
    fn info_waits(&self, origin: &Origin) -> bool {
        self.pool_size() > 0 && origin.account.is_none()
    }

    fn info_to_dialed(&self, origin: &Origin, slot: Option<usize>) -> Info {
        Info {
            route_account: origin.account.clone().unwrap_or_default(),
            route_pool_idx: slot.unwrap_or(0) as i32,
            gossip_mode: origin.gossip_mode.to_wire(),
            ..self.info_now()
        }
    }

    /// Which seat the peer's INFO (and this node's dial) ask for.
    fn find_seat(&self, origin: Option<&Origin>, info: &Info) -> Result<Seat, Refusal> {
        let pools = self.pool_size() > 0 && info.route_pool_size > 0;
        let account = match origin {
            Some(origin) => origin.account.as_deref(),
            None => Some(info.route_account.as_str()).filter(|account| !account.is_empty()),
        };
        if let Some(account) = account {
            return self.find_dedicated(account, pools);
        }
        if !pools {
            return Ok(Seat::Sole);
        }
        let size = self.effective_pool_size(info);
        if origin.is_none() {
            return match usize::try_from(info.route_pool_idx) {
                Ok(slot) if slot < size => Ok(Seat::Slot(slot)),
                _ => {
                    let error =
                        format!("Invalid route pool index: {} - pool size is {size}", info.route_pool_idx);
                    Err(Refusal::told(CloseReason::ProtocolViolation, error))
                }
            };
        }
        if info.route_pool_idx != 0 {
            let error = format!("Route pool index should not be set but is set to {}", info.route_pool_idx);
            return Err(Refusal::told(CloseReason::ProtocolViolation, error));
        }
        let slot = self.peers.get(&info.server_id).map_or(Some(0), Peer::empty_slot);
        // A full pool is reported as its first slot being taken.
        Ok(Seat::Slot(slot.unwrap_or(0)))
    }

    fn find_dedicated(&self, account: &str, pools: bool) -> Result<Seat, Refusal> {
        if !pools {
            let error = format!(
                "Not possible to have a dedicated route for account \"{account}\" between those servers"
            );
            return Err(Refusal::told(CloseReason::ProtocolViolation, error));
        }
        if self.pinned_accounts().contains(&account) {
            return Ok(Seat::Dedicated(account.to_owned()));
        }
        if account == GLOBAL_ACCOUNT {
            let error = format!("No route for account \"{account}\"");
            return Err(Refusal::told(CloseReason::ProtocolViolation, error));
        }
        let error = format!("Unable to lookup account \"{account}\": account missing");
        Err(Refusal::told(CloseReason::MissingAccount, error))
    }

    /// Takes the seat, or resolves the duplicate: what is there stays, and inherits what the newcomer stood for.
    fn take_seat(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        origin: Option<&Origin>,
        info: &Info,
        seat: &Seat,
    ) -> Result<(), Refusal> {
        let pool_size = if *seat == Seat::Sole { 0 } else { self.effective_pool_size(info) };
        let peer = self
            .peers
            .entry(info.server_id.clone())
            .or_insert_with(|| Peer::new(info.clone(), pool_size, now));
        if peer.is_gone() || peer.first().is_none() && !matches!(seat, Seat::Dedicated(_)) {
            peer.begin(info.clone(), pool_size, now);
        }
        // A peer that changed between pooling and not is another server to us: until its old connections are gone,
        // there is no seat for the new.
        let fits = peer.is_pooled() == (*seat != Seat::Sole);
        if fits {
            peer.grow_pool(pool_size);
        }
        if fits && peer.seat(seat, connection) {
            // It may have moved while connections from its former address are not known to be dead yet.
            peer.info.ip.clone_from(&info.ip);
            if let Some(origin) = origin {
                peer.solicit(Solicited { url: origin.url.clone(), explicit: origin.explicit });
            }
            return Ok(());
        }
        peer.retry = true;
        // Where the seat is of another kind than all that are taken, any connection tells whether the peer still has them.
        let holder = peer.holder(seat).or_else(|| peer.first());
        if let Some(origin) = origin {
            peer.solicit(Solicited { url: origin.url.clone(), explicit: origin.explicit });
            // The wish is fulfilled by the connection that is there.
            if let Some(dial) = self.links.get(&connection).and_then(|link| link.dial) {
                self.dials.remove(dial);
            }
        }
        if let Some(holder) = holder {
            self.probe(now, holder);
        }
        Err(Refusal::silent(CloseReason::DuplicateRoute))
    }

    fn register(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        origin: Option<Origin>,
        info: Info,
        seat: Seat,
    ) -> Registered {
        let mut lines = Vec::new();
        let slot = if let Seat::Slot(slot) = seat { Some(slot) } else { None };
        if let Some(origin) = &origin
            && self.info_waits(origin)
        {
            lines.extend(self.info_to_dialed(origin, slot).to_line());
        }
        let more =
            slot.is_some() && self.peers.get(&info.server_id).is_some_and(|peer| peer.empty_slot().is_some());
        let pings = origin.is_some() && more;
        if pings {
            lines.extend_from_slice(PING);
        }
        if let Some(link) = self.links.get_mut(&connection) {
            if let Some(dial) = link.dial.take() {
                self.dials.remove(dial);
            }
            link.armed = pings;
            link.progress =
                Progress::Registered { peer: info.server_id.clone(), seat: seat.clone(), since: now };
        }
        let arrival = match &origin {
            None => Arrival::Accepted,
            Some(origin) if origin.explicit => Arrival::Explicit,
            Some(origin) => Arrival::Implicit(origin.gossip_mode),
        };
        self.introduce(connection, arrival, &info, &seat);
        Registered {
            peer: info.server_id,
            peer_name: info.server_name,
            seat,
            lines,
            pings,
            headers: info.headers && self.own_info.headers,
            leaf_unsub_origin: info.lnocu || info.ln,
        }
    }

    /// How many connections a pool between the two has (wire.md 4.3).
    fn effective_pool_size(&self, info: &Info) -> usize {
        let theirs = usize::try_from(info.route_pool_size).unwrap_or(0).min(MAX_POOL_SIZE);
        self.pool_size().max(theirs)
    }

    /// A dial that ended at this node itself is pointless, unless its name may lead elsewhere too.
    fn note_self(&mut self, dial: Option<DialId>, remote: SocketAddr) {
        let Some(dial) = dial.and_then(|id| self.dials.get_mut(id).map(|dial| (id, dial))) else {
            return;
        };
        let (id, dial) = dial;
        info!("Detected route to self, ignoring \"{}\"", dial.url);
        if dial.url.host.parse::<std::net::IpAddr>().is_ok() || self.own_addresses.len() >= MAX_OWN_ADDRESSES
        {
            self.dials.remove(id);
        }
        if !self.own_addresses.contains(&remote) && self.own_addresses.len() < MAX_OWN_ADDRESSES {
            self.own_addresses.push(remote);
        }
    }

    /// Whether both belong to one cluster, if need be by taking over the peer's name for it (wire.md 3.6).
    pub(super) fn agrees_on_name(&mut self, theirs: &str, theirs_is_dynamic: bool, peer: &str) -> bool {
        if theirs == self.cluster_name {
            return true;
        }
        if !self.yields_name || theirs_is_dynamic && theirs <= self.cluster_name.as_str() {
            return false;
        }
        self.cluster_name = theirs.to_owned();
        self.yields_name = theirs_is_dynamic;
        info!("Cluster name updated to {theirs}");
        let others = self.links.iter().filter(|(_, link)| {
            matches!(&link.progress, Progress::Registered { peer: registered, .. } if registered != peer)
        });
        self.outputs.extend(others.map(|(id, _)| Output::Close(*id, CloseReason::ClusterNameConflict)));
        true
    }
}

impl Link {
    fn new(remote: SocketAddr, dial: Option<DialId>, origin: Option<Origin>) -> Self {
        Self { remote, dial, origin, progress: Progress::Handshake, armed: false, probed_until: None }
    }
}

/// What a peer may say about compression (wire.md 5.1).
const COMPRESSION_MODES: [&str; 9] =
    ["", "not supported", "off", "accept", "s2_auto", "s2_uncompressed", "s2_fast", "s2_better", "s2_best"];

/// Since 2.15 no cluster may be called so.
const RESERVED_CLUSTER_NAME: &str = "_";

/// No peer makes this node keep more slots than this.
const MAX_POOL_SIZE: usize = 256;

/// No more of this node's own addresses than this are remembered.
pub(crate) const MAX_OWN_ADDRESSES: usize = 64;
