//! One client or one route, from its first byte to its last.
//!
//! A [`Connection`] belongs to exactly one driver. The driver hands in what it read and when, and everything that
//! follows (answers, deliveries to others, announcements) goes into the [`Sink`] that it passes along. After
//! each `handle_*` call it polls [`Connection::poll_close`], [`Connection::poll_timeout`], [`Connection::wants_turn`],
//! [`Connection::wants_input`] and [`Connection::poll_write_policy`], and where it takes long to find out who a client is, or is
//! somebody else's business, [`Connection::poll_effect`].

mod carried;
mod chore;
mod circuit;
mod client;
mod compressed;
mod context;
mod effect;
mod handover;
mod input;
mod keepalive;
mod logging;
mod opening;
mod proxied;
mod route;
mod turn;
#[cfg(feature = "websocket")]
mod upgrade;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use log::debug;

use crate::accounts::Seat;
use crate::close::CloseReason;
use crate::cluster::{CircuitStep, is_for_circuit};
use crate::config::Config;
use crate::forwarding::Scratch;
use crate::hub::{Allowance, Entry, Kind, Lane};
use crate::id::{AccountId, ConnectionId};
use crate::identity::{self, Stream};
use crate::node::Node;
use crate::outbox::{Pressure, SLOW_AT_BYTES, WritePolicy};
use crate::routes::DialId;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{Decoder, Inbound, TlsSession, WebSocket};
use crate::wire::{self, Dialect, Parser, ProtocolError, Role};

pub use crate::auth::PasswordCheck;
use chore::Chore;
pub use chore::Removal;
use circuit::Passage;
use client::Client;
use context::Context;
use effect::Question;
pub use effect::{Credentials, Effect, EffectAnswer, Ticket, Verdict};
use handover::Hold;
pub use input::MAX_HELD_BYTES;
use keepalive::{KeepAlive, Tick};
use opening::Opening;
use proxied::Header;
#[cfg(feature = "sim")]
pub(crate) use route::HANDSHAKE_TIMEOUT;
use route::Route;

/// One client or one route.
#[derive(Debug)]
pub struct Connection {
    shared: Shared,
    side: Side,
    /// What comes before the protocol begins; none once it has.
    opening: Option<Box<Opening>>,
    /// Its TLS, if it speaks that.
    tls: Option<TlsSession>,
    parser: Parser,
    /// An operation whose end has not been read yet.
    unfinished: Vec<u8>,
    /// What came of the header of a proxy, while it may come.
    header: Option<Box<Header>>,
    /// What decodes before the parser, and what is kept until the connection goes on; a plain one has nothing of it.
    inbound: Option<Box<Inbound>>,
    /// How long the unfinished operation will be, if that is known.
    wanted_bytes: Option<usize>,
    /// Not all that was read has been handled.
    has_more_input: bool,
    /// By which a client comes that asks for it, which it has to before anything else.
    websocket: Option<WebSocket>,
}

/// What both kinds of connections have, apart from the parser.
#[derive(Debug)]
struct Shared {
    node: Arc<Node>,
    entry: Arc<Entry>,
    dialect: Dialect,
    keepalive: KeepAlive,
    /// Since when its protocol is spoken: a handshake of TLS comes before that.
    began: Instant,
    /// Until then a valid CONNECT must have come, or on a route whatever its handshake waits for.
    auth_deadline: Option<Instant>,
    close: Option<CloseReason>,
    /// Handled a slice at a time; one that input waits for, of which there is only one, comes first.
    chores: VecDeque<Chore>,
    /// What the turn has cost so far, in units of [`turn`].
    work: u32,
    /// Why the operation that was handled last is the last one of what was read, for now.
    interruption: Option<Interruption>,
    /// How many questions were asked.
    questions: u32,
    /// The driver has not heard yet that the outbox is to be handled in another way.
    has_new_policy: bool,
    /// The configuration that is followed, so that nothing is locked to look at it, and which it is.
    config: Arc<Config>,
    config_version: u64,
    rng: fastrand::Rng,
    scratch: Scratch,
    /// The place of a client in an account that it presented itself for.
    seat: Option<Seat>,
    /// The account and the user of a client that said who it is, for logs.
    label: Option<Box<str>>,
    /// Which lines are logged because of the peer.
    lines: Allowance,
    /// With which counters they are counted.
    lane: Lane,
    /// Messages and payload bytes of the batch that is being handled.
    received: (u64, u64),
    /// Whether something else was read that shows that somebody works with it (wire.md 8.3).
    is_active: bool,
}

#[derive(Debug)]
enum Side {
    Client(Client),
    Route(Box<Route>),
    Circuit(Box<Passage>),
}

/// What ends a stretch of input.
#[derive(Debug)]
enum Interruption {
    /// What follows is decoded by this first.
    Switch(Decoder),
    /// What follows waits until this is answered.
    Wait(Box<Question>),
    /// What follows comes, or goes, through another server.
    Circuit(Box<CircuitStep>),
    /// What follows waits until all is heard that comes before it over another connection.
    Hold(Hold),
}

/// What [`Connection::poll_timeout`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReason {
    /// Of TLS, a client or a server that has not done its part, or has not said whether it wants any; or a client that has not asked
    /// for its WebSocket in time.
    Opening,
    /// A client that has not authenticated, or a proxy that has not said whom it speaks for, in time, or a server that has not finished its handshake.
    Authentication,
    /// The next PING, or the verdict that the peer is gone.
    KeepAlive,
}

impl Connection {
    /// Takes in a client that connected from `remote`, or whose proxy did ([`Config::proxy_protocol`]), into the global account.
    pub fn accept_client<S: Sink>(node: &Arc<Node>, now: Instant, remote: SocketAddr, sink: &mut S) -> Self {
        let mut connection = Self::client(node, node.hub().global_account().id(), now, remote);
        connection.header = connection.shared.config.proxy_protocol.then(|| Box::new(Header::new(now)));
        connection.open_client(now, sink);
        connection
    }

    /// Takes in a client that came without a proxy into an account that the driver chose. If that is gone, so is the client at once.
    pub fn accept_client_in<S: Sink>(
        node: &Arc<Node>,
        account: AccountId,
        now: Instant,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Self {
        let mut connection = Self::client(node, account, now, remote);
        connection.open_client(now, sink);
        connection
    }

    fn client(node: &Arc<Node>, account: AccountId, now: Instant, remote: SocketAddr) -> Self {
        let shared = Self::shared_of_client(node, Kind::Client, account, now, remote);
        Self::new(shared, Side::Client(Client::new(node.hub())))
    }

    fn shared_of_client(
        node: &Arc<Node>,
        kind: Kind,
        account: AccountId,
        now: Instant,
        remote: SocketAddr,
    ) -> Shared {
        let config = node.hub().config();
        let keepalive = KeepAlive::new(now, config.ping_interval, config.ping_max, true);
        let dialect = Dialect {
            role: Role::Client,
            max_control_line: config.max_control_line,
            max_payload: Some(config.max_payload),
            connect_only: !node.hub().guard().is_open(),
            headers: false,
            dedicated: false,
            leaf_unsub_origin: false,
        };
        let shared = Shared::new(node, kind, now, remote, keepalive, dialect);
        shared.entry.set_account(account);
        shared
    }

    /// Takes in a server that connected from `remote` to the route port.
    pub fn accept_route<S: Sink>(node: &Arc<Node>, now: Instant, remote: SocketAddr, sink: &mut S) -> Self {
        Self::route(node, now, remote, None, sink)
    }

    /// Takes in the connection that a dial made, which answers [`Node::poll_dial`].
    pub fn dialed<S: Sink>(
        node: &Arc<Node>,
        now: Instant,
        id: DialId,
        remote: SocketAddr,
        sink: &mut S,
    ) -> Self {
        Self::route(node, now, remote, Some(id), sink)
    }

    fn route<S: Sink>(
        node: &Arc<Node>,
        now: Instant,
        remote: SocketAddr,
        dial: Option<DialId>,
        sink: &mut S,
    ) -> Self {
        let config = node.hub().config();
        let cluster = config.cluster.clone().unwrap_or_default();
        let interval = cluster.effective_ping_interval(config.ping_interval);
        let keepalive = KeepAlive::new(now, interval, cluster.ping_max.unwrap_or(config.ping_max), false);
        let dialect = Dialect {
            role: Role::Route,
            max_control_line: route_control_line(&config),
            // Until it is registered.
            max_payload: Some(cluster.limits.max_unregistered_in_bytes),
            connect_only: dial.is_none(),
            headers: true,
            dedicated: false,
            leaf_unsub_origin: false,
        };
        let shared = Shared::new(node, Kind::Route, now, remote, keepalive, dialect);
        let mut connection = Self::new(shared, Side::Route(Box::new(Route::AwaitsConnect)));
        if let Some(dial) = dial.filter(|dial| is_for_circuit(*dial)) {
            connection.begin_circuit(now, dial, sink);
            return connection;
        }
        connection.open_route(now, dial, sink);
        if connection.shared.close.is_some() {
            // Nothing is to be said where nobody can be sure who hears it.
            return connection;
        }
        let greets = !connection.may_want_circuit();
        let route = Route::new(&mut connection.shared.context(now, sink), dial, greets);
        connection.side = Side::Route(Box::new(route));
        connection
    }

    fn new(shared: Shared, side: Side) -> Self {
        Self {
            shared,
            side,
            opening: None,
            tls: None,
            parser: Parser::new(),
            unfinished: Vec::new(),
            header: None,
            inbound: None,
            wanted_bytes: None,
            has_more_input: false,
            websocket: None,
        }
    }

    /// Counts what is read with these counters, those of the thread that drives it.
    pub(crate) fn count_with(&mut self, lane: Lane) {
        self.shared.lane = lane;
    }

    /// Which connection this is.
    pub fn id(&self) -> ConnectionId {
        self.shared.entry.id()
    }

    /// What others may know of it.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.shared.entry
    }

    /// How its outbox is to be handled.
    pub fn write_policy(&self) -> WritePolicy {
        let config = &self.shared.config;
        match self.side {
            Side::Client(_) => WritePolicy {
                max_pending_bytes: config.max_pending,
                slow_at_bytes: SLOW_AT_BYTES,
                max_control_bytes: None,
                deadline: config.write_deadline,
                retry: false,
            },
            Side::Route(_) => self.route_policy(),
            Side::Circuit(_) => Passage::write_policy(self.route_policy()),
        }
    }

    fn route_policy(&self) -> WritePolicy {
        let config = &self.shared.config;
        let cluster = config.cluster.clone().unwrap_or_default();
        WritePolicy {
            max_pending_bytes: cluster.limits.max_pending,
            slow_at_bytes: SLOW_AT_BYTES,
            max_control_bytes: Some(cluster.limits.max_pending_control),
            deadline: cluster.write_deadline.unwrap_or(config.write_deadline),
            retry: true,
        }
    }

    /// How its outbox is to be handled from now on, if the configuration changed that. Poll after every call.
    #[must_use]
    pub fn poll_write_policy(&mut self) -> Option<WritePolicy> {
        std::mem::take(&mut self.shared.has_new_policy).then(|| self.write_policy())
    }

    /// Follows the configuration, should it have been swapped.
    #[inline]
    fn heed_config(&mut self) {
        let version = self.shared.node.hub().config_version();
        if version != self.shared.config_version {
            self.follow_config(version);
        }
    }

    #[cold]
    fn follow_config(&mut self, version: u64) {
        let shared = &mut self.shared;
        let config = shared.node.hub().config();
        shared.config = config.clone();
        shared.config_version = version;
        shared.has_new_policy = true;
        match &mut self.side {
            Side::Client(_) => {
                shared.dialect.max_control_line = config.max_control_line;
                shared.limit_payload();
                let interval = config.client_ping_interval(self.websocket.is_some());
                shared.keepalive.adapt(interval, config.ping_max);
            }
            Side::Route(route) => {
                let cluster = config.cluster.clone().unwrap_or_default();
                let interval = cluster.effective_ping_interval(config.ping_interval);
                shared.dialect.max_control_line = route_control_line(&config);
                shared.dialect.max_payload = Some(route.payload_limit(&cluster.limits).1);
                shared.keepalive.adapt(interval, cluster.ping_max.unwrap_or(config.ping_max));
                route.follow_compression(&shared.entry, &cluster.compression);
            }
            Side::Circuit(_) => {}
        }
    }

    /// When [`Connection::handle_timeout`] is to be called, and why. Poll again after every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> (Instant, TimeoutReason) {
        if let Some(header) = &self.header {
            let greeting = self.greeting_due().map(|at| (at, TimeoutReason::Opening));
            let end = (header.until(), TimeoutReason::Authentication);
            return greeting.filter(|(at, _)| *at < header.until()).unwrap_or(end);
        }
        if let Some(opening) = &self.opening {
            return (opening.until(), TimeoutReason::Opening);
        }
        if let Side::Circuit(passage) = &self.side {
            return (passage.until(), TimeoutReason::KeepAlive);
        }
        if let (Some(deadline), true) = (self.shared.auth_deadline, self.awaits_circuit()) {
            return (deadline, TimeoutReason::Authentication);
        }
        let keepalive = self.hold_due().unwrap_or_else(|| self.shared.keepalive.poll_timeout());
        let keepalive = (keepalive, TimeoutReason::KeepAlive);
        match self.shared.auth_deadline {
            Some(deadline) if deadline < keepalive.0 => (deadline, TimeoutReason::Authentication),
            _ => keepalive,
        }
    }

    /// Does what is due by now. Harmless if nothing is.
    pub fn handle_timeout<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        self.heed_config();
        if let Some(header) = &self.header {
            if header.until() <= now {
                self.refuse_header(now, "timeout", sink);
            } else if self.greeting_due().is_some_and(|at| at <= now) {
                self.handle_opening_timeout(now, sink);
            }
            return;
        }
        if let Some(opening) = &self.opening {
            if opening.until() <= now {
                self.handle_opening_timeout(now, sink);
            }
            return;
        }
        if matches!(self.side, Side::Circuit(_)) {
            return self.handle_passage_timeout(now, sink);
        }
        if self.hold_due().is_some() {
            self.handle_hold(now, sink);
            if self.hold_due().is_some() {
                // It is not heard, and so cannot answer either.
                return;
            }
        }
        let is_late = self.shared.auth_deadline.is_some_and(|deadline| now >= deadline);
        let mut context = self.shared.context(now, sink);
        if is_late {
            return context.handle_error(&ProtocolError::AuthenticationTimeout);
        }
        if self.awaits_circuit() {
            // What is said now may come out at the other end of the circuit.
            return;
        }
        let mut context = self.shared.context(now, sink);
        match context.shared.keepalive.tick(now) {
            Tick::Nothing => {}
            Tick::Ping => {
                if !matches!(&self.side, Side::Route(route) if route.is_going_over()) {
                    context.send(wire::encode::PING);
                }
                match &mut self.side {
                    Side::Client(client) => client.handle_idle(),
                    Side::Route(route) => route.handle_ping_due(context.entry()),
                    Side::Circuit(_) => {}
                }
            }
            Tick::Stale => context.handle_error(&ProtocolError::StaleConnection),
        }
    }

    /// Whether it is part of a circuit that does not stand yet.
    fn awaits_circuit(&self) -> bool {
        matches!(&self.side, Side::Route(route) if matches!(**route, Route::AwaitsCircuit))
    }

    /// Ends the connection for a reason that the driver found (the socket failed, the peer closed it) or that another
    /// connection asked for through [`Sink::close`].
    pub fn handle_close_request(&mut self, reason: CloseReason) {
        self.shared.close.get_or_insert(reason);
    }

    /// Why the connection is to end, once it is. The driver then writes what waits for the peer (if
    /// [`CloseReason::flushes`]), closes the socket and calls [`Connection::handle_closed`]. Poll after every call.
    #[must_use]
    pub fn poll_close(&self) -> Option<CloseReason> {
        self.shared.close
    }

    /// How long to leave the socket unread because a target of what was read is too slow (wire.md 1.10). Routes
    /// are never slowed: behind one are many publishers, and other subscribers.
    #[must_use]
    pub fn stall(&self, pressure: Pressure) -> Option<Duration> {
        (pressure == Pressure::High && matches!(self.side, Side::Client(_))).then_some(MAX_STALL)
    }

    /// Takes the connection out of the node, and begins to remove what it brought. The last call; what is left to be removed
    /// is returned.
    #[must_use]
    pub fn handle_closed<S: Sink>(mut self, now: Instant, sink: &mut S) -> Removal {
        self.shared.close.get_or_insert(CloseReason::ClientClosed);
        self.handle_closed_opening(now, sink);
        let reason = *self.shared.close.get_or_insert(CloseReason::ClientClosed);
        let hub = self.shared.node.hub();
        let account = hub.account_of(&self.shared.entry);
        if let Some(websocket) = &self.websocket {
            websocket.handle_end(reason);
        }
        hub.closed().note(&self.shared.entry, now, reason, account.as_deref());
        let policy = self.write_policy();
        let was_member = matches!(&self.side, Side::Route(route) if route.is_member());
        let mut context = self.shared.context(now, sink);
        context.log_slowness(reason, &policy);
        let mut removal = match &mut self.side {
            Side::Client(client) => client.handle_closed(&mut context),
            Side::Route(route) => route.handle_closed(&mut context, reason),
            Side::Circuit(_) => Route::AwaitsCircuit.handle_closed(&mut context, reason),
        };
        let Shared { node, entry, chores, seat, .. } = self.shared;
        for chore in chores {
            match chore {
                Chore::Remove(rest) => removal.absorb(rest),
                Chore::Deliver(delivery) => removal.deliver_first(delivery),
                Chore::Tell(_) | Chore::LastLine { .. } => {}
            }
        }
        node.hub().directory().remove(entry.id());
        // Not before: who looks then which servers are there, or counts clients, must not find this one.
        if was_member {
            node.hub().note_servers();
        }
        if let Some(account) = seat.as_ref().map(Seat::account) {
            drop(seat);
            node.hub().note_clients(account);
        }
        node.hub().record_closed(&entry, reason);
        if !removal.handle_slice(now, sink) {
            removal.outdate();
        }
        removal
    }
}

impl Shared {
    /// Lets a client publish messages as large as its node and its account allow.
    fn limit_payload(&mut self) {
        self.dialect.max_payload = Some(self.node.hub().max_payload_of(&self.entry, self.config.max_payload));
    }

    fn new(
        node: &Arc<Node>,
        kind: Kind,
        now: Instant,
        remote: SocketAddr,
        keepalive: KeepAlive,
        dialect: Dialect,
    ) -> Self {
        let hub = node.hub();
        // Its number first, so that one that is swapped meanwhile is followed soon.
        let config_version = hub.config_version();
        let config = hub.config();
        let cid = hub.next_cid();
        let entry = hub.directory().insert(cid, kind, remote, now, hub.hasher());
        if kind == Kind::Client {
            debug!("{remote} - cid:{cid} - Client connection created");
        }
        Self {
            node: node.clone(),
            entry,
            dialect,
            keepalive,
            began: now,
            auth_deadline: None,
            seat: None,
            label: None,
            close: None,
            interruption: None,
            chores: VecDeque::new(),
            work: 0,
            questions: 0,
            has_new_policy: false,
            rng: identity::stream(config.seed, Stream::Connection(cid)),
            config,
            config_version,
            scratch: Scratch::default(),
            lines: Allowance::default(),
            lane: Lane::default(),
            received: (0, 0),
            is_active: false,
        }
    }

    fn context<'a, S>(&'a mut self, now: Instant, sink: &'a mut S) -> Context<'a, S> {
        Context { shared: self, now, sink }
    }

    fn record_received(&mut self, now: Instant) {
        let (messages, bytes) = std::mem::take(&mut self.received);
        let is_active = std::mem::take(&mut self.is_active);
        self.node.hub().record_received(self.lane, &self.entry, now, is_active, messages, bytes);
    }
}

fn route_control_line(config: &Config) -> usize {
    config.max_control_line.saturating_mul(ROUTE_CONTROL_LINES)
}

/// A route's control line may be this many times longer than a client's, since it names queue groups
/// (wire.md 2.6).
const ROUTE_CONTROL_LINES: usize = 16;

/// The longest that a producer is left unread for the sake of a slow consumer, per batch.
const MAX_STALL: Duration = Duration::from_millis(10);
