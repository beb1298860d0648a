//! What others may know of a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{BySid, Held, RemoteInterest};
use crate::accounts::{Account, Traffic};
use crate::hash::KeyedState;
use crate::id::{AccountId, ConnectionId};
use crate::lock::{Mutex, MutexGuard, Place};
use crate::permissions::{Permissions, Replies};
use crate::time::Instant;
use crate::transport::{PeerCertificate, TlsFacts};

/// What is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A client.
    Client,
    /// A server of the cluster.
    Route,
    /// Somebody who has still to ask for a WebSocket, and is a client from then on. Nobody else hears of it.
    Upgrading,
}

/// A fact about a connection that others ask for often.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub enum Flag {
    /// Its end understands headers.
    Headers = 1,
    /// A client that is told of changes of the cluster: it declared protocol 1 and got its first PONG.
    AsyncInfo = 2,
    /// A route whose lines carry no account, since it is dedicated to one.
    Dedicated = 4,
    /// A client that does not want its own messages back.
    NoEcho = 8,
    /// A server that understands message tracing.
    Traces = 16,
    /// A client that may not publish everything.
    RestrictsPublish = 32,
    /// A client or a peer that gets not all of what it subscribed to.
    HidesSubjects = 64,
    /// A client that may answer whoever asks it.
    MayRespond = 128,
    /// A server from which members of queue groups are taken only if no nearer one takes a message.
    Far = 256,
    /// A client that asked for a WebSocket and has it.
    WebSocket = 512,
    /// A client that began with TLS and got INFO within it.
    TlsFirst = 1024,
}

/// The part of a connection that is not its driver's alone: for deliverers, for monitoring.
#[derive(Debug)]
pub struct Entry {
    id: ConnectionId,
    cid: u64,
    kind: Kind,
    remote: SocketAddr,
    /// Where a proxy said that the client is.
    origin: OnceLock<Box<SocketAddr>>,
    start: Instant,
    flags: AtomicU16,
    traffic: Traffic,
    last_activity: AtomicU64,
    rtt_nanos: AtomicU64,
    subscriptions: Mutex<Held<BySid>>,
    interest: Mutex<RemoteInterest>,
    /// [`NO_ACCOUNT`] for a route.
    account: AtomicU64,
    /// The connection over which its end is reached now: another once it has an heir.
    link: AtomicU64,
    about: Mutex<Option<Box<About>>>,
    /// What came of TLS, where it is spoken.
    tls: OnceLock<Box<TlsFacts>>,
    /// None for a client that may do everything, and for a peer that may want everything.
    rights: Mutex<Option<Box<Rights>>>,
}

/// What a client may do, or a peer may want.
#[derive(Debug)]
struct Rights {
    permissions: Arc<Permissions>,
    replies: Replies,
}

/// What a connection said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// A client's name; a peer's server name.
    pub name: String,
    /// A client's language.
    pub lang: String,
    /// A client's version.
    pub version: String,
    /// A peer's server id.
    pub remote_id: String,
    /// The account that a route is dedicated to.
    pub account: Option<String>,
    /// The user that a client authenticated as.
    pub user: Option<String>,
    /// How what is written on a route is compressed, by the name of the mode; none if it is not.
    pub compression: Option<&'static str>,
    /// The server that a route passes through, by its name; none if it leads to its peer directly.
    pub relay: Option<String>,
}

impl Entry {
    pub(super) fn new(
        id: ConnectionId,
        cid: u64,
        kind: Kind,
        remote: SocketAddr,
        start: Instant,
        hasher: KeyedState,
    ) -> Self {
        Self {
            id,
            cid,
            kind,
            remote,
            origin: OnceLock::new(),
            start,
            flags: AtomicU16::new(0),
            traffic: Traffic::default(),
            last_activity: AtomicU64::new(start.as_nanos()),
            rtt_nanos: AtomicU64::new(0),
            subscriptions: Mutex::new(Place::Subscriptions, Held::new(hasher)),
            interest: Mutex::new(Place::RouteInterest, RemoteInterest::default()),
            account: AtomicU64::new(NO_ACCOUNT),
            link: AtomicU64::new(id.to_bits()),
            about: Mutex::new(Place::Facts, None),
            tls: OnceLock::new(),
            rights: Mutex::new(Place::Facts, None),
        }
    }

    /// Which connection this is.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The connection over which what is at the other end is reached now: this one, until another goes on where it ends.
    #[inline]
    pub(crate) fn link(&self) -> ConnectionId {
        ConnectionId::from_bits(self.link.load(Ordering::Acquire))
    }

    /// Whether another connection goes on where this one ends.
    #[inline]
    pub(crate) fn has_heir(&self) -> bool {
        self.link() != self.id
    }

    /// Notes that another connection goes on where this one ends.
    pub(crate) fn set_heir(&self, heir: ConnectionId) {
        self.link.store(heir.to_bits(), Ordering::Release);
    }

    /// The number that clients, logs and monitoring know it by (`cid`, `rid`); never reused.
    pub fn cid(&self) -> u64 {
        self.cid
    }

    /// What is at the other end.
    pub fn kind(&self) -> Kind {
        match self.kind {
            Kind::Upgrading if self.has(Flag::WebSocket) => Kind::Client,
            kind => kind,
        }
    }

    /// How a client came, as pages and requests to other accounts name it.
    pub fn client_type(&self) -> &'static str {
        if self.has(Flag::WebSocket) { "websocket" } else { "nats" }
    }

    /// The address of the other end.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Where the other end is as far as is known: where a proxy said that it is, or else the other end of the connection.
    pub fn origin(&self) -> SocketAddr {
        self.origin.get().map_or(self.remote, |origin| **origin)
    }

    /// Hears where a proxy says that the client is.
    pub(crate) fn set_origin(&self, origin: SocketAddr) {
        self.origin.get_or_init(|| Box::new(origin));
    }

    /// When it began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Its messages and bytes.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// When it last sent or got a message, or changed its interest, or presented itself: PINGs, PONGs and INFO do not count.
    pub fn last_activity(&self) -> Instant {
        Instant::from_nanos(self.last_activity.load(Ordering::Relaxed))
    }

    /// How long the last PING took to be answered; zero if none was.
    pub fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt_nanos.load(Ordering::Relaxed))
    }

    /// About the memory that it takes, its subscriptions and interest apart.
    pub(super) fn bytes(&self) -> usize {
        let about = self.about.lock();
        size_of::<Self>() + about.as_ref().map_or(0, |about| size_of::<About>() + about.text_bytes())
    }

    /// What it said of itself.
    pub fn about(&self) -> About {
        self.about.lock().as_deref().cloned().unwrap_or_default()
    }

    /// What came of TLS, once that is spoken.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.get().map(|facts| &**facts)
    }

    /// The certificate that the peer showed, if any.
    pub(crate) fn shown_certificate(&self) -> Option<&PeerCertificate> {
        self.tls()?.peer.first()
    }

    /// Notes what came of TLS. Once.
    pub(crate) fn set_tls(&self, facts: TlsFacts) {
        let _ = self.tls.set(Box::new(facts));
    }

    /// What it calls itself; empty if it does not.
    pub(crate) fn name(&self) -> String {
        self.about.lock().as_ref().map_or_else(String::new, |about| about.name.clone())
    }

    /// Whether a fact holds.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::Relaxed) & flag as u16 != 0
    }

    /// A client's subscriptions.
    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, Held<BySid>> {
        self.subscriptions.lock()
    }

    /// The account that a client belongs to; none for a route, which carries several.
    pub fn account(&self) -> Option<AccountId> {
        let bits = self.account.load(Ordering::SeqCst);
        (bits != NO_ACCOUNT).then(|| AccountId::from_bits(bits))
    }

    /// A route's interest.
    pub(crate) fn interest(&self) -> MutexGuard<'_, RemoteInterest> {
        self.interest.lock()
    }

    /// An account as it stands on the lines of this route.
    pub(crate) fn line_account<'a>(&self, account: &'a Account) -> Option<&'a [u8]> {
        (!self.has(Flag::Dedicated)).then(|| account.name().as_bytes())
    }

    /// What a client may do, unless that is everything.
    pub(crate) fn permissions(&self) -> Option<Arc<Permissions>> {
        self.rights.lock().as_ref().map(|rights| rights.permissions.clone())
    }

    /// Lets a client do this, or a peer want it, and nothing else; `None` is everything. What it was asked before is forgotten.
    pub(crate) fn set_permissions(&self, permissions: Option<Arc<Permissions>>) {
        let is = |test: fn(&Permissions) -> bool| permissions.as_deref().is_some_and(test);
        self.set(Flag::RestrictsPublish, is(Permissions::restricts_publish));
        self.set(Flag::HidesSubjects, is(Permissions::can_hide));
        self.set(Flag::MayRespond, is(|permissions| permissions.responses().is_some()));
        let new = |permissions| Box::new(Rights { permissions, replies: Replies::default() });
        *self.rights.lock() = permissions.map(new);
    }

    /// Whether a client may publish to a subject, apart from answers.
    pub(crate) fn may_publish(&self, subject: &[u8]) -> bool {
        !self.has(Flag::RestrictsPublish) || self.permissions().is_none_or(|own| own.may_publish(subject))
    }

    /// Whether a client or a peer is not to get what is published to a subject, although it subscribed to it, in this queue
    /// group if any.
    pub(crate) fn is_hidden(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.has(Flag::HidesSubjects) && self.permissions().is_some_and(|own| own.hides(subject, queue))
    }

    /// Hears that a client is asked for an answer, which it may give then.
    pub(crate) fn note_request(&self, reply: &[u8], now: Instant) {
        if let Some(rights) = &mut *self.rights.lock()
            && let Some(rule) = rights.permissions.responses()
            && !rights.permissions.may_publish(reply)
        {
            rights.replies.track(reply, now, &rule);
        }
    }

    /// Whether a client answers with this somebody who asked it, as often and as soon as it may.
    pub(crate) fn takes_for_answer(&self, subject: &[u8], now: Instant) -> bool {
        if let Some(rights) = &mut *self.rights.lock()
            && let Some(rule) = rights.permissions.responses()
        {
            return rights.replies.take(subject, now, &rule);
        }
        false
    }

    pub(crate) fn set_account(&self, account: AccountId) {
        self.account.store(account.to_bits(), Ordering::SeqCst);
    }

    pub(crate) fn set(&self, flag: Flag, on: bool) {
        if on {
            self.flags.fetch_or(flag as u16, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!(flag as u16), Ordering::Relaxed);
        }
    }

    pub(crate) fn set_about(&self, about: About) {
        *self.about.lock() = Some(Box::new(about));
    }

    pub(crate) fn set_rtt(&self, rtt: Duration) {
        self.rtt_nanos.store(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn touch(&self, now: Instant) {
        self.last_activity.store(now.as_nanos(), Ordering::Relaxed);
    }
}

impl About {
    fn text_bytes(&self) -> usize {
        let Self { name, lang, version, remote_id, account, user, compression: _, relay } = self;
        let optional = [account, user, relay].into_iter().flatten();
        [name, lang, version, remote_id].into_iter().chain(optional).map(String::capacity).sum()
    }
}

/// No account has this id: there are far fewer.
const NO_ACCOUNT: u64 = u64::MAX;
