//! What clients are told of the cluster: where else they may connect to (wire.md 1.11).
//!
//! The first changes are told at once, by whoever caused them. Peers may come and go at any pace; of what changes more often
//! than a few times a second clients hear together. Where there are many clients they are told in parts, and the driver of
//! the node goes on with the rest.

use std::time::Duration;

use super::Node;
use super::lame_duck::Leaving;
use crate::accounts::Account;
use crate::hub::{Entry, Flag, Kind};
use crate::lock::{Place, RwLock};
use crate::meter::Meter;
use crate::sink::Sink;
use crate::time::Instant;
use crate::wire::{ClientUrls, Info};

/// What clients are told, and how far they have been.
#[derive(Debug)]
pub(super) struct News {
    /// Held while clients are told, so that no older list follows a newer.
    shown: RwLock<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    cluster: String,
    /// Addresses of this node's and its peers' client ports; empty until a first peer was known.
    connect_urls: ClientUrls,
    /// The cluster has changed since this list was made.
    is_outdated: bool,
    /// The list has changed since clients were begun to be told of one.
    is_untold: bool,
    /// Clients are being told: where the next of them is found ([`ConnectionId::index`]), and when it is told.
    ///
    /// [`ConnectionId::index`]: crate::ConnectionId::index
    telling: Option<(usize, Instant)>,
    pace: Meter,
    /// The node is a lame duck.
    leaving: Option<Leaving>,
}

impl News {
    pub(super) fn new(cluster: String) -> Self {
        Self { shown: RwLock::new(Place::Shown, Shown { cluster, ..Shown::default() }) }
    }

    /// Notes that clients may have to be told of a change.
    pub(super) fn handle_changed(&self) {
        self.shown.write().is_outdated = true;
    }

    /// When [`Node::tell_clients`] or [`Node::send_away`] is to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let shown = self.shown.read();
        shown.poll_timeout().into_iter().chain(shown.leaving.as_ref().map(Leaving::next_at)).min()
    }

    /// Begins to leave; false if the node does so already.
    pub(super) fn begin_leaving(&self, leaving: impl FnOnce() -> Leaving) -> bool {
        let mut shown = self.shown.write();
        if shown.leaving.is_some() {
            return false;
        }
        shown.leaving = Some(leaving());
        (shown.is_outdated, shown.is_untold) = (true, true);
        true
    }

    /// Calls this if the node leaves.
    pub(super) fn with_leaving<R>(&self, f: impl FnOnce(&mut Leaving) -> R) -> Option<R> {
        self.shown.read().leaving.as_ref()?;
        self.shown.write().leaving.as_mut().map(f)
    }
}

impl Shown {
    fn poll_timeout(&self) -> Option<Instant> {
        let next_at = || self.pace.allows_at(TELL_INTERVAL, TELLINGS_AT_ONCE);
        match self.telling {
            Some((_, at)) => Some(at),
            None => (self.is_outdated || self.is_untold).then(next_at),
        }
    }

    /// Where the clients that are to be told now begin: where it stopped, or from the first of `clients` on, if there is
    /// something new.
    fn begin(&mut self, now: Instant, clients: usize) -> Option<usize> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return None;
        }
        if let Some((next, _)) = self.telling {
            return Some(next);
        }
        if !std::mem::take(&mut self.is_untold) || clients == 0 {
            return None;
        }
        self.pace.take(now, TELL_INTERVAL);
        Some(0)
    }
}

impl Node {
    /// Tells clients of the cluster, or some of them, if it is time.
    pub(super) fn tell_clients<S: Sink>(&self, now: Instant, sink: &mut S) {
        if self.is_stopping() || self.news.shown.read().poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        self.renew_shown();
        let mut shown = self.news.shown.write();
        if let Some(first) = shown.begin(now, self.hub.directory().count(Kind::Client)) {
            shown.telling = self.tell_from(first, &shown, sink).map(|next| (next, now + TELL_PAUSE));
        }
    }

    /// Looks at what the cluster is now, if it has changed.
    fn renew_shown(&self) {
        if !self.news.shown.read().is_outdated {
            return;
        }
        let Some(cluster) = self.cluster() else {
            self.news.shown.write().is_outdated = false;
            return;
        };
        let mut shown = self.news.shown.write();
        if !std::mem::take(&mut shown.is_outdated) || cluster.config().no_advertise {
            return;
        }
        // A server that leaves names only others.
        let urls = cluster.connect_urls(shown.leaving.is_none(), &self.hub.hasher());
        if shown.connect_urls != urls {
            cluster.name().clone_into(&mut shown.cluster);
            shown.connect_urls = urls;
            shown.is_untold = true;
        }
    }

    /// Tells as many clients as may be at once, from this index on. Returns that of the next.
    fn tell_from<S: Sink>(&self, first: usize, shown: &Shown, sink: &mut S) -> Option<usize> {
        let mut infos = [false, true].map(|by_websocket| self.info(shown, by_websocket));
        let most = TOLD_AT_ONCE_BYTES / infos.iter().map(|info| info.to_line().len()).max().unwrap_or(1) + 1;
        let (clients, after) = self.hub.directory().slice(Kind::Client, first);
        for client in clients.iter().take(most).filter(|client| client.has(Flag::AsyncInfo)) {
            let info = &mut infos[usize::from(client.has(Flag::WebSocket))];
            self.address(info, client);
            sink.announce(client.id(), &info.to_line());
        }
        clients.get(most).map(|next| next.id().index()).or(after)
    }

    /// The INFO that a client is greeted with: it alone says that nothing is asked for where there is a user for those who
    /// present nothing (wire.md 1.12).
    pub(crate) fn greeting(&self, entry: &Entry) -> Info {
        self.renew_shown();
        let guard = self.hub.guard();
        let (auth_required, nonce) = (guard.asks_for_credentials(), guard.nonce(entry.cid()));
        let info = self.info(&self.news.shown.read(), entry.has(Flag::WebSocket));
        let mut info = Info { auth_required, nonce, ..info };
        self.address(&mut info, entry);
        info
    }

    /// From now on a client is told when the cluster changes; and now it is told what its CONNECT led to.
    pub(crate) fn begin_async_info<S: Sink>(&self, entry: &Entry, account: &Account, sink: &mut S) {
        self.renew_shown();
        let shown = self.news.shown.read();
        entry.set(Flag::AsyncInfo, true);
        let mut info = Info {
            connect_info: true,
            remote_account: account.name().to_owned(),
            acc_is_sys: self.hub.system_account().is_some_and(|system| system.id() == account.id()),
            ..self.info(&shown, entry.has(Flag::WebSocket))
        };
        self.address(&mut info, entry);
        sink.announce(entry.id(), &info.to_line());
    }

    /// What one client alone is told.
    fn address(&self, info: &mut Info, client: &Entry) {
        info.client_id = client.cid();
        info.client_ip = client.origin().ip().to_string();
        info.max_payload = self.hub.max_payload_of(client, self.hub.config().max_payload) as i64;
    }

    /// Where clients are told that they may connect to.
    pub(crate) fn shown_urls(&self) -> ClientUrls {
        self.renew_shown();
        self.news.shown.read().connect_urls.clone()
    }

    /// What every client is told that came one way or the other. Where it came to is said as it was configured.
    fn info(&self, shown: &Shown, by_websocket: bool) -> Info {
        let mut info = Info {
            cluster: shown.cluster.clone(),
            connect_urls: shown.connect_urls.of(by_websocket).clone(),
            ldm: shown.leaving.is_some(),
            ..self.hub.client_info()
        };
        if by_websocket && let Some(websocket) = &self.hub.config().websocket {
            (info.host, info.port) = (websocket.host.clone(), self.websocket_port);
            let tls = websocket.tls.as_ref();
            (info.tls_required, info.tls_available) = (tls.is_some(), tls.is_some());
            info.tls_verify = tls.is_some_and(|tls| tls.settings().verifies());
        }
        info
    }
}

/// Clients hear of another list so often at once, where they heard of none for a while.
const TELLINGS_AT_ONCE: u32 = 32;

/// And then once in so long: what changes meanwhile they hear together.
const TELL_INTERVAL: Duration = Duration::from_millis(250);

/// So much is told at once: some hundreds of clients of a small cluster, in about a millisecond.
const TOLD_AT_ONCE_BYTES: usize = 256 * 1024;

/// After so long the next clients are told. Others have their turn meanwhile.
const TELL_PAUSE: Duration = Duration::from_millis(1);
