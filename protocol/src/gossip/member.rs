//! What is known of a peer.

use std::collections::BTreeMap;

use super::comparison::Compared;
use super::questions::ASK_AFTER;
use super::rule::{MAX_LINE_BYTES, line};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::{GossipMode, Info, KnownServer};

/// A server that there are connections to.
#[derive(Debug)]
pub(super) struct Member {
    /// What is kept of the INFO of its first connection, with the `ip` of the last.
    pub(super) info: Info,
    /// When its first connection came.
    pub(super) since: Instant,
    /// It said that it leaves.
    pub(super) leaves: bool,
    /// It has a pool of connections with this node.
    pub(super) is_pooled: bool,
    /// This node is configured to have a route to it.
    pub(super) is_explicit: bool,
    /// The connection that gossip about servers goes over. Without it the peer is only half there: what it says of itself for
    /// one account makes no member of it yet.
    pub(super) carrier: Option<ConnectionId>,
    /// The connections that carry one account each.
    pub(super) dedicated: BTreeMap<String, ConnectionId>,
    pub(super) compared: Compared,
}

impl Member {
    pub(super) fn new(info: Info, is_pooled: bool, is_explicit: bool, now: Instant) -> Self {
        Self {
            info,
            since: now,
            leaves: false,
            is_pooled,
            is_explicit,
            carrier: None,
            dedicated: BTreeMap::new(),
            compared: Compared::default(),
        }
    }

    pub(super) fn dedicated(&self, account: &str) -> Option<ConnectionId> {
        self.dedicated.get(account).copied()
    }

    /// Which connection carries gossip about connections of this kind: dedicated to an account, or to none. Over a pool it
    /// may be about the system account alone: who hears of another that it does not have dials without a pause and without
    /// end (wire.md 13).
    pub(super) fn carrier_about(&self, account: Option<&str>, system_account: &str) -> Option<ConnectionId> {
        match account {
            None => self.carrier,
            Some(_) if !self.is_pooled => None,
            Some(account) => {
                let over_pool = self.carrier.filter(|_| account == system_account);
                self.dedicated(account).or(over_pool)
            }
        }
    }

    /// The connection that carries messages of an account that has one of its own where both pool, and the account as it
    /// stands on its lines.
    pub(super) fn carrier_of<'a>(&self, account: &'a str) -> Option<(ConnectionId, Option<&'a str>)> {
        let sole = || self.carrier.filter(|_| !self.is_pooled).map(|over| (over, Some(account)));
        self.dedicated(account).map(|over| (over, None)).or_else(sole)
    }

    /// Whether it may be asked which routes it has. It says what it listens to once it is registered.
    pub(super) fn is_ready_to_be_asked(&self, now: Instant, system_account: &str) -> bool {
        let is_settled = now.since(self.since) >= ASK_AFTER;
        !self.is_onehop() && !self.leaves && is_settled && self.carrier_of(system_account).is_some()
    }

    pub(super) fn is_onehop(&self) -> bool {
        self.info.onehop > 0
    }

    pub(super) fn is_gone(&self) -> bool {
        self.carrier.is_none() && self.dedicated.is_empty()
    }

    /// It as others hear of it who may dial it; none if nobody should or could.
    pub(super) fn named(&self) -> Option<KnownServer> {
        let is_there = self.carrier.is_some() && !self.leaves;
        (is_there && !self.info.ip.is_empty()).then(|| KnownServer {
            id: self.info.server_id.clone(),
            url: self.info.ip.clone(),
            onehop: self.is_onehop(),
        })
    }

    /// What this node's clients may connect to instead, while the peer is there to stay.
    pub(super) fn connect_urls(&self, by_websocket: bool) -> &[String] {
        if self.is_open() { self.info.urls_of(by_websocket) } else { &[] }
    }

    /// Whether they may connect to it.
    pub(super) fn is_open(&self) -> bool {
        self.carrier.is_some() && !self.leaves
    }
}

/// What is kept of what a peer says of itself, which is what others are told of it. Of one that says too much for a line
/// only what this node needs: without an address, so that nobody is told of it.
pub(super) fn kept(info: &Info) -> Info {
    // An address has no user: a password in one would be shown to clients and on pages.
    let is_address = |url: &&String| url.len() <= MAX_CONNECT_URL_BYTES && !url.contains('@');
    let addresses =
        |urls: &[String]| urls.iter().filter(is_address).take(MAX_CONNECT_URLS).cloned().collect();
    let [connect_urls, ws_connect_urls] =
        [&info.connect_urls, &info.ws_connect_urls].map(|urls| addresses(urls));
    let kept = Info { connect_urls, ws_connect_urls, ..info.clone() };
    if line(&kept, &kept.ip, GossipMode::Disabled).is_some() {
        return kept;
    }
    let Info { server_id, server_name, connect_urls, ws_connect_urls, .. } = kept;
    let compression = Some(kept.compression).filter(|mode| mode.len() <= MAX_LINE_BYTES).unwrap_or_default();
    let Info { route_pool_size, onehop, .. } = *info;
    Info {
        server_id,
        server_name,
        connect_urls,
        ws_connect_urls,
        route_pool_size,
        onehop,
        compression,
        ..Info::default()
    }
}

/// Clients are told no more addresses of one peer than this.
pub(super) const MAX_CONNECT_URLS: usize = 16;

/// A host name has up to 253 bytes; with a port it is no longer than this.
const MAX_CONNECT_URL_BYTES: usize = 260;
