//! What is said and judged before a route is registered (wire.md 2.2 to 2.4, 2.9, 3.5 to 3.7).

use std::sync::Arc;

use fastrand::Rng;

use super::compression::{Decision, decide, mode};
use super::name::ClusterName;
use super::relaying::CIRCUITS;
use crate::config::{ClusterConfig, Compression, HostPort, Rules, SubjectRule};
use crate::identity;
use crate::routes::{NoSeat, Purpose, Seat};
use crate::transport::{PeerCertificate, Tls};
use crate::wire::{CircuitWord, ClientUrls, Connect, Info, Permissions, ProtocolError};

/// How this node presents itself on routes, and whom it lets in.
#[derive(Debug)]
pub(super) struct Handshake {
    config: Arc<ClusterConfig>,
    /// What INFO says on every route; the rest is the connection's.
    own_info: Info,
    pub(super) name: ClusterName,
    /// Nothing is signed on routes, so that one for all connections will do: which of them comes first changes nothing.
    nonce: String,
}

/// Why a route is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The peer does not fit, or there is such a route already.
    Fault(ProtocolError),
    /// The cluster has given the connection up.
    Gone,
}

impl From<ProtocolError> for Refusal {
    fn from(error: ProtocolError) -> Self {
        Self::Fault(error)
    }
}

impl From<NoSeat> for ProtocolError {
    fn from(why: NoSeat) -> Self {
        match why {
            NoSeat::NotInPool { index, size } => Self::PoolIndex { index, size },
            NoSeat::SlotIsForDialer(index) => Self::UnexpectedPoolIndex { index },
            NoSeat::NotPooling(account) => Self::DedicatedWithoutPool { account },
            NoSeat::NotPinned(account) => Self::NotPinned { account },
            NoSeat::NoAccount(account) => Self::UnknownAccount { account },
        }
    }
}

impl Handshake {
    /// `own_info` is what INFO says on every route, and `nonces` where its nonce comes from.
    pub(super) fn new(
        config: Arc<ClusterConfig>,
        own_info: Info,
        name: ClusterName,
        nonces: &mut Rng,
    ) -> Self {
        Self { config, own_info, name, nonce: identity::nonce(nonces) }
    }

    /// Hears of another configuration.
    pub(super) fn handle_config(&mut self, config: Arc<ClusterConfig>, max_payload: i64) {
        self.own_info.tls_required = config.tls.is_some();
        self.own_info.tls_verify = config.tls.is_some();
        self.own_info.compression = mode(&config.compression).to_owned();
        self.own_info.max_payload = max_payload;
        self.config = config;
    }

    /// Hears where the node is reached as far as its configuration does not say so, which listens at `route_port`. Returns whether
    /// INFO says something else from now on.
    pub(super) fn handle_reached_at(
        &mut self,
        told: Option<&HostPort>,
        route_port: u16,
        client_urls: &ClientUrls,
    ) -> bool {
        let Self { config, own_info, .. } = self;
        let mut info = Info { ip: String::new(), ..own_info.clone() };
        if !config.no_advertise {
            info.connect_urls.clone_from(&client_urls.plain);
            info.ws_connect_urls.clone_from(&client_urls.websocket);
        }
        let known = config.advertise.as_ref().or(told);
        (info.host, info.port) = (config.host.clone(), route_port);
        set_address(&mut info, known.map(|known| (known, known.port.unwrap_or(route_port))));
        let is_new = info != *own_info;
        *own_info = info;
        is_new
    }

    /// What INFO says on every route, apart from the cluster's name.
    pub(super) fn own_info(&self) -> &Info {
        &self.own_info
    }

    /// Own INFO as of now.
    pub(super) fn info_now(&self) -> Info {
        let ClusterName { text, dynamic, .. } = &self.name;
        Info { cluster: text.clone(), cluster_dynamic: *dynamic, ..self.own_info.clone() }
    }

    /// Own INFO for a new connection.
    pub(super) fn initial_info(&self) -> Info {
        Info { nonce: self.nonce.clone(), ..self.info_now() }
    }

    /// What is said first on a connection that was dialed: CONNECT, and INFO where it need not wait for the peer's.
    pub(super) fn opening(&self, purpose: Option<&Purpose>) -> Vec<u8> {
        let mut lines = self.connect(purpose).to_line();
        if let Some(purpose) = purpose
            && !self.info_waits()
        {
            lines.extend(self.info_to_dialed(purpose, 0, mode(&self.config.compression)).to_line());
        }
        lines
    }

    /// What is said on a connection that was dialed once the peer's INFO gave it a seat: the INFO that waited for it.
    pub(super) fn reply(
        &self,
        purpose: Option<&Purpose>,
        seat: &Seat,
        decision: &Decision,
        word: Option<CircuitWord>,
    ) -> Vec<u8> {
        let Some(purpose) = purpose.filter(|_| self.info_waits()) else {
            return Vec::new();
        };
        let slot = if let Seat::Slot(slot) = seat { *slot } else { 0 };
        let info = self.info_to_dialed(purpose, slot, decision.says);
        Info { onehop_circuit: word, ..info }.to_line()
    }

    /// What is said on a connection before it is compressed, and what behind that: where this node dialed, the INFO that waited for
    /// that of the peer, and else another one of its own (wire.md 5.3).
    pub(super) fn around_switch(&self, purpose: Option<&Purpose>, decision: &Decision) -> [Vec<u8>; 2] {
        match purpose {
            Some(purpose) => [self.info_to_dialed(purpose, 0, decision.says).to_line(), Vec::new()],
            None => {
                let info = Info { compression: decision.says.to_owned(), ..self.initial_info() };
                [Vec::new(), info.to_line()]
            }
        }
    }

    /// Judges the CONNECT of a route that was accepted, apart from the cluster's name.
    pub(super) fn judge_connect(
        &self,
        connect: &Connect,
        shown: Option<&PeerCertificate>,
    ) -> Result<(), ProtocolError> {
        if !self.is_authorized(connect, shown) {
            return Err(ProtocolError::Authorization);
        }
        if !connect.lang.is_empty() {
            return Err(ProtocolError::ClientOnRoutePort);
        }
        if !connect.gateway.is_empty() {
            return Err(ProtocolError::GatewayOnRoutePort { gateway: connect.gateway.clone() });
        }
        if connect.cluster.len() > MAX_NAME_BYTES || connect.name.len() > MAX_NAME_BYTES {
            return Err(ProtocolError::NameTooLong);
        }
        if connect.cluster == RESERVED_CLUSTER_NAME {
            return Err(ProtocolError::ReservedClusterName { theirs: connect.cluster.clone() });
        }
        Ok(())
    }

    /// That a CONNECT names another cluster.
    pub(super) fn other_cluster(&self, connect: &Connect) -> ProtocolError {
        ProtocolError::ClusterName { theirs: connect.cluster.clone(), ours: self.name.text.clone() }
    }

    /// Judges the names in an INFO, before anything else is made of them.
    pub(super) fn judge_names(&self, info: &Info) -> Result<(), ProtocolError> {
        let names = [&info.server_id, &info.server_name, &info.cluster];
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(ProtocolError::NameTooLong);
        }
        Ok(())
    }

    /// Judges the first INFO on a route, apart from the cluster's name and the seat.
    pub(super) fn judge_info(&self, info: &Info, was_accepted: bool) -> Result<Decision, ProtocolError> {
        if was_accepted && info.server_name == self.own_info.server_name {
            return Err(ProtocolError::DuplicateServerName { name: info.server_name.clone() });
        }
        decide(&self.config.compression, &info.compression)
            .ok_or_else(|| ProtocolError::CompressionMode { mode: info.compression.clone() })
    }

    /// Whether a peer that says this tag of itself, or none, is farther away than others may be: never, if this node has none.
    pub(super) fn is_far(&self, affinity: &str) -> bool {
        let own = &self.own_info.onehop_affinity;
        !own.is_empty() && own != affinity
    }

    /// The CONNECT that introduces this node on a route that it dialed.
    pub(super) fn connect(&self, purpose: Option<&Purpose>) -> Connect {
        let own = self.config.authorization.as_ref();
        let from_url =
            purpose.and_then(|purpose| purpose.url.user.as_ref().map(|user| (user, &purpose.url.password)));
        let explicit = purpose.is_some_and(|purpose| purpose.explicit);
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
            name: self.own_info.server_id.clone(),
            cluster: self.name.text.clone(),
            cluster_dynamic: self.name.dynamic,
            tls_required: self.config.tls.is_some(),
            lnoc: true,
            ln: true,
            ..Connect::default()
        }
    }

    fn is_authorized(&self, connect: &Connect, shown: Option<&PeerCertificate>) -> bool {
        let ClusterConfig { tls, routes, authorization, .. } = &*self.config;
        let tls = tls.as_ref().map(Tls::settings);
        if let Some(tls) = tls.filter(|tls| tls.verify_and_map || tls.verify_known_urls) {
            let knows = |shown: &PeerCertificate| {
                let is_known =
                    tls.verify_known_urls && routes.iter().any(|route| shown.names_host(&route.host));
                let user = authorization.as_ref().filter(|_| tls.verify_and_map).map(|own| &own.user);
                is_known || user.is_some_and(|user| shown.names().any(|name| name == user))
            };
            return shown.is_some_and(knows);
        }
        self.config.authorization.as_ref().is_none_or(|own| {
            let password = own.password.matches(connect.pass.as_bytes());
            own.user == connect.user && password
        })
    }

    /// Whether the dialer's INFO waits for the acceptor's: it does if it has a slot of the pool to name, or an account that may
    /// have no seat here, or speaks of compression, which is for both to agree on (wire.md 2.3, 4.4, 5.2); or where it may be to take the
    /// place of a circuit (wire.md 14.7).
    fn info_waits(&self) -> bool {
        let never_compresses =
            matches!(self.config.compression, Compression::NotSupported | Compression::Off);
        self.config.pool_size.is_some() || !never_compresses || self.config.relays()
    }

    fn info_to_dialed(&self, purpose: &Purpose, slot: usize, compression: &str) -> Info {
        Info {
            route_account: purpose.account.clone().unwrap_or_default(),
            route_pool_idx: slot as i32,
            gossip_mode: purpose.gossip_mode.to_wire(),
            compression: compression.to_owned(),
            ..self.initial_info()
        }
    }
}

/// What INFO says on every route of a node.
pub(super) fn route_info(
    config: &ClusterConfig,
    base: Info,
    route_port: u16,
    client_urls: ClientUrls,
) -> Info {
    let client_urls = if config.no_advertise { ClientUrls::default() } else { client_urls };
    let mut info = Info {
        proto: ROUTE_PROTOCOL,
        host: config.host.clone(),
        port: route_port,
        auth_required: config.authorization.is_some(),
        tls_required: config.tls.is_some(),
        tls_verify: config.tls.is_some(),
        connect_urls: client_urls.plain,
        ws_connect_urls: client_urls.websocket,
        compression: mode(&config.compression).to_owned(),
        lnoc: true,
        lnocu: true,
        ln: true,
        onehop: if config.relays() { CIRCUITS } else { i32::from(config.healing.compare) },
        import: shown(&config.permissions.import),
        export: shown(&config.permissions.export),
        route_pool_size: config.pool_size.map_or(0, |size| i32::from(size.get())),
        ..base
    };
    set_address(&mut info, config.advertise.as_ref().map(|it| (it, it.port.unwrap_or(route_port))));
    info
}

/// Says in an INFO where the node is reached, if that is known.
fn set_address(info: &mut Info, known: Option<(&HostPort, u16)>) {
    if let Some((HostPort { host, .. }, port)) = known {
        info.host.clone_from(host);
        info.port = port;
        info.ip = route_url_text(host, port);
    }
}

/// Rules as INFO and `/routez` show them; none where everything is allowed.
pub(crate) fn shown(rules: &Rules) -> Option<Permissions> {
    let subjects = |rules: &[SubjectRule]| rules.iter().map(|rule| rule.subject.clone()).collect();
    let Rules { allow, deny } = rules;
    let shown = Permissions { allow: subjects(allow.as_deref().unwrap_or_default()), deny: subjects(deny) };
    (*rules != Rules::default()).then_some(shown)
}

/// The form of an address that gossip carries: `nats-route://<host>:<port>/`.
pub(super) fn route_url_text(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("nats-route://[{host}]:{port}/")
    } else {
        format!("nats-route://{host}:{port}/")
    }
}

/// The protocol level of INFO on routes: accounts and message tracing are understood.
const ROUTE_PROTOCOL: i32 = TRACING_PROTOCOL;

/// From this level on a server understands message tracing.
pub(super) const TRACING_PROTOCOL: i32 = 3;

/// Since 2.15 no cluster may be called so.
const RESERVED_CLUSTER_NAME: &str = "_";

/// Ids, names of servers and names of clusters that are longer than this are none: a server id has 56 bytes.
pub(super) const MAX_NAME_BYTES: usize = 256;
