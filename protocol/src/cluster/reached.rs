//! Where this node is reached, as sources learn it while it runs, and where its peers are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use log::debug;

use super::handshake::route_url_text;
use super::{Cluster, Output};
use crate::config::{HostPort, Source};
use crate::discovery::{Address, MAX_FAILURE_BYTES, ReachedAt};
use crate::id::ConnectionId;
use crate::quote::AtMost;
use crate::time::Instant;
use crate::wire::{ClientUrls, Info};

/// What sources said of where this node is reached.
#[derive(Debug)]
pub(super) struct Reached {
    told: BTreeMap<Source, ReachedAt>,
    /// Clients may be told of another address than that of the port: the configuration names none.
    may_tell_clients: bool,
    /// Where they connect to if nobody knows another.
    listening_urls: ClientUrls,
    /// When peers were told last.
    changed_at: Option<Instant>,
}

impl Reached {
    pub(super) fn new(may_tell_clients: bool, listening_urls: ClientUrls) -> Self {
        Self { told: BTreeMap::new(), may_tell_clients, listening_urls, changed_at: None }
    }

    /// Where other servers reach this node, by the first source that knows.
    fn route(&self) -> Option<&HostPort> {
        self.told.values().find_map(|told| told.route.as_ref())
    }

    /// Where clients do.
    fn client(&self) -> Option<&HostPort> {
        self.told.values().find_map(|told| told.client.as_ref()).filter(|_| self.may_tell_clients)
    }

    fn client_urls(&self) -> ClientUrls {
        let listening = self.listening_urls.clone();
        match self.client() {
            Some(client) => ClientUrls { plain: vec![client.to_string()], ..listening },
            None => listening,
        }
    }
}

impl Cluster {
    /// Hears from a source where this node is reached, and tells the peers if that changes anything. Returns where clients reach it
    /// from now on, if that is another place than it is configured to name.
    pub(crate) fn handle_reached_at(
        &mut self,
        now: Instant,
        source: Source,
        reached: ReachedAt,
    ) -> Option<HostPort> {
        let port = self.port;
        let at = |told: Option<HostPort>, port: Option<u16>| {
            let told = told.map(|told| HostPort { port: told.port.or(port), ..told });
            told.and_then(|told| Address::new(&told)).map(|address| address.host_port())
        };
        let failure = reached.failure.map(|text| AtMost(MAX_FAILURE_BYTES, text).to_string());
        let client = reached.client.filter(|client| client.port.is_some());
        let told = ReachedAt { route: at(reached.route, Some(port)), client: at(client, None), failure };
        self.reached.told.insert(source, told);
        let urls = self.reached.client_urls();
        let is_new = self.handshake.handle_reached_at(self.reached.route(), self.port, &urls);
        if self.own_urls != urls {
            self.own_urls = urls;
            self.outputs.push_back(Output::ConnectUrlsChanged);
        }
        if is_new {
            debug!("Telling peers where this node is now: \"{}\"", self.handshake.own_info().ip);
            self.reached.changed_at = Some(now);
            self.tell_address();
        }
        self.reached.client().cloned()
    }

    /// What a source said of where this node is reached.
    pub(crate) fn told_by(&self, source: Source) -> Option<&ReachedAt> {
        self.reached.told.get(&source)
    }

    /// Where others reach this node, as far as that is known: where the configuration says so, or a source, or at the one address
    /// that it listens on.
    pub(super) fn reached_at(&self) -> Option<HostPort> {
        let told = self.reached.route().filter(|_| self.config.advertise.is_none());
        told.cloned().or_else(|| self.config.reached_at())
    }

    /// Tells those peers who take it up: nats-server takes no heed of it (wire.md 2.10).
    fn tell_address(&mut self) {
        let line = Bytes::from(self.handshake.info_now().to_line());
        let gossip = &self.gossip;
        let is_onehop = |peer: &str| gossip.info_of(peer).is_some_and(|info| info.onehop > 0);
        let carriers = self.routes.carriers().filter(|(peer, _)| is_onehop(peer));
        self.outputs.extend(carriers.map(|(_, over)| Output::Send(over, line.clone())));
    }

    /// What is said once more on a route that is registered now: its peer may have been greeted before the address changed.
    pub(super) fn said_meanwhile(&self, now: Instant, peer: &Info) -> Vec<u8> {
        let is_recent = self.reached.changed_at.is_some_and(|at| now.since(at) < LONGEST_HANDSHAKE);
        if is_recent && peer.onehop > 0 { self.handshake.info_now().to_line() } else { Vec::new() }
    }

    /// Hears that a peer is elsewhere, or its clients' port is.
    pub(super) fn handle_address(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        peer: &str,
        mut info: Info,
    ) {
        let Some((remote, _)) = self.routes.connection(connection) else { return };
        self.fill_address(connection, remote, &mut info);
        let url = info.ip.trim_end_matches('/').parse().ok();
        self.gossip.handle_address(now, peer, info);
        self.routes.handle_address(peer, url);
        self.finding.note(peer, self.routes.url_of(peer));
    }

    /// Where a peer is that does not say it: at the host that it connected from, or where its circuit leads to.
    pub(super) fn fill_address(&self, connection: ConnectionId, remote: SocketAddr, info: &mut Info) {
        if let Some(detour) = self.routes.detour(connection) {
            info.ip = route_url_text(&detour.url.host, detour.url.port);
        } else if info.ip.is_empty() {
            info.ip = route_url_text(&remote.ip().to_string(), info.port);
        }
    }
}

/// Whether an INFO that a peer says of itself later on is about where it is: it says all that the first did.
pub(super) fn tells_address(info: &Info) -> bool {
    info.onehop > 0 && info.port > 0 && !info.ldm
}

/// Whoever was greeted before is a peer by then, or nobody waits for him any more: CONNECT and INFO may take ten seconds each.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(30);
