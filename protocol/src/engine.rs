//! A whole node as one value: what tests, fuzzers, simulators and single-threaded embedders drive.

mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::accounts::AccountError;
use crate::close::CloseReason;
use crate::cluster::{DialError, DialRequest};
use crate::config::{Config, ConfigRefused, Source};
use crate::connection::{Connection, Effect, EffectAnswer, Ticket, TimeoutReason};
use crate::delivery::{Backlog, KEPT_BUFFERS, Links, Staging};
use crate::discovery::{Found, ReachedAt};
use crate::driver::{self, Event, SocketKind};
use crate::id::{AccountId, ConnectionId};
use crate::node::{Listening, Node};
use crate::outbox::Outbound;
use crate::routes::DialId;
use crate::services::Services;
use crate::time::Instant;

use slots::{Slot, Slots};

/// A [`Node`] with all its [`Connection`]s and the bytes that wait for each of them.
///
/// It does all that follows from a call within that call, however long it takes; who must not wait drives each
/// [`Connection`] in its turns ([`driver`]).
///
/// It decides nothing: it is the wiring that a runtime does with sockets and locks, done with plain maps. Give it what
/// happens through the `handle_*` calls, and after each of them ask the `poll_*` calls what is to be done:
///
/// - for each connection in [`Engine::pending`], write what [`Engine::poll_transmit`] shows and tell
///   [`Engine::advance`] how much of it went out;
/// - close the sockets that [`Engine::poll_closed`] names;
/// - dial what [`Engine::poll_dial`] asks for;
/// - call [`Engine::handle_timeout`] and [`Engine::poll_dial`] at the time of [`Engine::poll_timeout`].
///
/// The same inputs with the same [`Config::seed`] give the same outputs, byte for byte.
#[derive(Debug)]
pub struct Engine {
    node: Arc<Node>,
    services: Services,
    connections: BTreeMap<ConnectionId, Connection>,
    /// When each connection wants to be called, kept up to date after each of its calls.
    timers: BTreeSet<(Instant, ConnectionId)>,
    staging: Staging<Slots>,
    /// Connections that ended, while their last bytes are written.
    closing: BTreeMap<ConnectionId, Closing>,
    /// What [`Engine::poll_dial`] asked for and was not answered yet.
    dialing: BTreeSet<DialId>,
    /// Connections that may have an effect to ask for.
    asking: BTreeSet<ConnectionId>,
    #[cfg(feature = "sim")]
    keeps_legible: bool,
}

/// A call that makes no sense. It never happens because of what a peer sent, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiMisuse {
    /// There is no such connection, or [`Engine::poll_closed`] or [`Engine::handle_closed`] ended it already.
    UnknownConnection(ConnectionId),
    /// There is no such dial, or it was answered already.
    UnknownDial(DialId),
    /// There is no such account, or not any more.
    UnknownAccount(AccountId),
    /// More bytes are said to be written than waited.
    AdvancedTooFar {
        /// How many bytes waited.
        pending_bytes: usize,
    },
    /// The node is in no cluster and so has no routes.
    NoCluster,
}

/// What [`Engine::poll_timeout`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineTimeout {
    /// [`Engine::poll_dial`] will have something to dial, or the mesh is to be looked after.
    Cluster,
    /// A connection waits for this.
    Connection(ConnectionId, TimeoutReason),
    /// A peer must have taken what waits for it.
    WriteDeadline(ConnectionId),
}

impl Engine {
    /// A node that does what `config` says and listens where `listening` says.
    pub fn new(config: Config, listening: &Listening, now: Instant) -> Self {
        let mut staging = Staging::new(Slots::default(), config.max_pending, KEPT_BUFFERS);
        let node = Node::new(config, listening, now);
        Self {
            services: Services::new(&node, &mut staging),
            node,
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            staging,
            closing: BTreeMap::new(),
            dialing: BTreeSet::new(),
            asking: BTreeSet::new(),
            #[cfg(feature = "sim")]
            keeps_legible: false,
        }
    }

    /// The node, for what can be asked of it.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Takes in a client that connected from `remote`.
    pub fn handle_accept_client(&mut self, now: Instant, remote: SocketAddr) -> ConnectionId {
        self.open(now, remote, SocketKind::Client)
    }

    /// Takes in a client that connected from `remote`, into an account that the caller chose.
    pub fn handle_accept_client_in(
        &mut self,
        now: Instant,
        account: AccountId,
        remote: SocketAddr,
    ) -> Result<ConnectionId, ApiMisuse> {
        if self.node.hub().accounts().get(account).is_none() {
            return Err(ApiMisuse::UnknownAccount(account));
        }
        Ok(self.open(now, remote, SocketKind::ClientIn(account)))
    }

    /// Takes in whoever connected from `remote` to the port for WebSockets, and is a client once it has asked for one.
    #[cfg(feature = "websocket")]
    pub fn handle_accept_websocket(&mut self, now: Instant, remote: SocketAddr) -> ConnectionId {
        self.open(now, remote, SocketKind::WebSocket)
    }

    /// Hears of servers from a source, as [`Node::handle_found`].
    pub fn handle_found(&mut self, now: Instant, source: Source, teller: &str, found: &[Found]) {
        self.node.handle_found(now, source, teller, found);
    }

    /// Hears where others reach the node, as [`Node::handle_reached_at`].
    pub fn handle_reached_at(&mut self, now: Instant, source: Source, reached: ReachedAt) {
        self.node.handle_reached_at(now, source, reached, &mut self.staging);
        self.flush(now);
        self.end_connections(now);
    }

    /// Adds an account, as [`Node::add_account`].
    pub fn add_account(&mut self, now: Instant, name: &str) -> Result<AccountId, AccountError> {
        let added = self.node.add_account(name, &mut self.staging);
        self.flush(now);
        added
    }

    /// Removes an account, as [`Node::remove_account`].
    pub fn remove_account(&mut self, now: Instant, id: AccountId) -> Result<(), AccountError> {
        let removed = self.node.remove_account(id, &mut self.staging);
        self.flush(now);
        self.end_connections(now);
        removed
    }

    /// Takes in a server that connected from `remote` to the route port.
    pub fn handle_accept_route(
        &mut self,
        now: Instant,
        remote: SocketAddr,
    ) -> Result<ConnectionId, ApiMisuse> {
        if self.node.hub().config().cluster.is_none() {
            return Err(ApiMisuse::NoCluster);
        }
        Ok(self.open(now, remote, SocketKind::Route))
    }

    /// What is to be dialed now. Poll until `None` after [`Engine::new`], after every `handle_*` call, and when
    /// [`Engine::poll_timeout`] is due. Answer each with [`Engine::handle_dialed`] or [`Engine::handle_dial_failed`].
    #[must_use]
    pub fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        let request = self.node.poll_dial(now)?;
        self.dialing.insert(request.id);
        Some(request)
    }

    /// Takes in the connection that a dial made.
    pub fn handle_dialed(
        &mut self,
        now: Instant,
        id: DialId,
        remote: SocketAddr,
    ) -> Result<ConnectionId, ApiMisuse> {
        self.answer(id)?;
        Ok(self.open(now, remote, SocketKind::Dialed(id)))
    }

    /// Hears that a dial failed.
    pub fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) -> Result<(), ApiMisuse> {
        self.answer(id)?;
        self.node.handle_dial_failed(now, id, why);
        Ok(())
    }

    /// Swaps the configuration; see [`Node::handle_config`].
    ///
    /// # Errors
    /// Something differs that cannot change while a node runs; then nothing changes.
    pub fn handle_config(&mut self, now: Instant, new: Config) -> Result<Vec<&'static str>, ConfigRefused> {
        let changes = self.node.handle_config(now, new, &mut self.staging)?;
        self.flush(now);
        self.end_connections(now);
        Ok(changes)
    }

    /// Becomes a lame duck; see [`Node::handle_lame_duck`].
    pub fn handle_lame_duck(&mut self, now: Instant) {
        self.node.handle_lame_duck(now, &mut self.staging);
        self.flush(now);
        self.end_connections(now);
    }

    /// Stops the node: peers are told that it leaves, and all connections are ended. What waits for them is still to be
    /// written, until [`Engine::poll_closed`] has named each. Nothing is to be accepted any more.
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.node.handle_shutdown(now, &mut self.staging);
        self.flush(now);
        let connections: Vec<_> = self.connections.keys().copied().collect();
        for id in connections {
            // One that ended because of another is closing already.
            let _ = self.handle_close_request(now, id, CloseReason::ServerShutdown);
        }
    }

    /// Takes in bytes that were read. Those of a connection that is ending are dropped.
    pub fn handle_input(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) -> Result<(), ApiMisuse> {
        if self.closing.contains_key(&id) {
            return Ok(());
        }
        self.drive(now, id, Event::Input(bytes))
    }

    /// What a connection wants done, to be answered with [`Engine::handle_effect`]. Poll until `None` after every `handle_*`
    /// call, where [`Config::authorization`] is somebody else's business.
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<(ConnectionId, Ticket, Effect)> {
        while let Some(id) = self.asking.pop_first() {
            if let Some((ticket, effect)) = self.connections.get_mut(&id).and_then(Connection::poll_effect) {
                return Some((id, ticket, effect));
            }
        }
        None
    }

    /// Hears what came of an effect. An answer that nobody waits for, since the connection has ended meanwhile, for instance,
    /// is ignored.
    pub fn handle_effect(&mut self, now: Instant, id: ConnectionId, ticket: Ticket, answer: &EffectAnswer) {
        let _ = self.drive(now, id, Event::Answer(ticket, answer));
    }

    /// Whether a connection is to be read from ([`Connection::wants_input`]).
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(Connection::wants_input)
    }

    /// Hears that a socket is gone: the peer closed it, or it failed. What waited for it is dropped, and
    /// [`Engine::poll_closed`] will not name it.
    pub fn handle_closed(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason: CloseReason,
    ) -> Result<(), ApiMisuse> {
        if self.closing.remove(&id).is_some() {
            return Ok(());
        }
        self.drive(now, id, Event::CloseRequest(reason))?;
        self.closing.remove(&id);
        Ok(())
    }

    /// Ends a connection from this side. What waits for it is still to be written; then [`Engine::poll_closed`] names it.
    pub fn handle_close_request(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason: CloseReason,
    ) -> Result<(), ApiMisuse> {
        if self.closing.contains_key(&id) {
            return Ok(());
        }
        self.drive(now, id, Event::CloseRequest(reason))
    }

    /// The connections that bytes wait for. Ask after every `handle_*` call.
    pub fn pending(&self) -> impl Iterator<Item = ConnectionId> {
        let closing = self.closing.iter().filter(|(_, closing)| !closing.backlog.is_over());
        self.slots().waiting.iter().chain(closing.map(|(id, _)| id)).copied()
    }

    /// How many bytes wait for a connection; zero if there is no such connection.
    pub fn pending_bytes(&self, id: ConnectionId) -> usize {
        self.backlog(id).map_or(0, Backlog::pending_bytes)
    }

    /// Whether what waits for a connection is written in another form, which takes another number of bytes (design.md 3).
    pub fn is_encoded(&self, id: ConnectionId) -> bool {
        self.backlog(id).is_some_and(Backlog::is_coded)
    }

    /// Fills `slices` with what is to be written next and returns how many it filled; none if nothing waits. Poll after
    /// every `handle_*` call and after [`Engine::advance`].
    pub fn poll_transmit<'a>(
        &'a self,
        id: ConnectionId,
        slices: &mut [IoSlice<'a>],
    ) -> Result<usize, ApiMisuse> {
        let open = self.slots().get(id).map(|slot| (&slot.backlog, &slot.outbound));
        let closing = || self.closing.get(&id).map(|closing| (&closing.backlog, &closing.outbound));
        let (backlog, outbound) = open.or_else(closing).ok_or(ApiMisuse::UnknownConnection(id))?;
        if !backlog.is_coded() {
            return Ok(backlog.outbox().slices(slices));
        }
        match slices.first_mut().filter(|_| !outbound.encoded().is_empty()) {
            Some(slice) => *slice = IoSlice::new(outbound.encoded()),
            None => return Ok(0),
        }
        Ok(1)
    }

    /// Drops the first `written` bytes that wait, since the socket took them.
    pub fn advance(&mut self, id: ConnectionId, written: usize) -> Result<(), ApiMisuse> {
        let (backlog, outbound) = self.outgoing(id)?;
        let is_coded = backlog.is_coded();
        let pending_bytes = if is_coded { outbound.encoded().len() } else { backlog.pending_bytes() };
        if written > pending_bytes {
            return Err(ApiMisuse::AdvancedTooFar { pending_bytes });
        }
        if is_coded {
            outbound.advance(written);
            backlog.encode(outbound);
        } else {
            backlog.advance(written);
        }
        self.staging.links_mut().with(id, |mut slot| slot.note_written());
        Ok(())
    }

    /// Takes all that waits for a connection at once: [`Engine::poll_transmit`] and [`Engine::advance`] for those who
    /// have no socket to fill.
    pub fn transmit(&mut self, id: ConnectionId) -> Result<Vec<u8>, ApiMisuse> {
        let mut bytes = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.poll_transmit(id, &mut slices)?;
            if filled == 0 {
                return Ok(bytes);
            }
            let before = bytes.len();
            slices[..filled].iter().for_each(|slice| bytes.extend_from_slice(slice));
            self.advance(id, bytes.len() - before)?;
        }
    }

    /// Notes that a socket takes no more for now, from which on its write deadline runs.
    pub fn handle_blocked(&mut self, now: Instant, id: ConnectionId) -> Result<(), ApiMisuse> {
        self.outgoing(id)?.0.handle_blocked(now);
        Ok(())
    }

    /// A connection that ended and for which nothing waits any more: its socket is to be closed, and its id means
    /// nothing from now on. Poll until `None` after every `handle_*` call and after [`Engine::advance`].
    #[must_use]
    pub fn poll_closed(&mut self) -> Option<(ConnectionId, CloseReason)> {
        let (id, reason) = self
            .closing
            .iter()
            .find(|(_, closing)| closing.backlog.is_over())
            .map(|(id, closing)| (*id, closing.reason))?;
        self.closing.remove(&id);
        Some((id, reason))
    }

    /// When [`Engine::handle_timeout`] and [`Engine::poll_dial`] are to be called next, and why. Poll after every other
    /// call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, EngineTimeout)> {
        let dial = driver::poll_timeout(&self.node, &self.services).map(|at| (at, EngineTimeout::Cluster));
        let connection = self.timers.first().and_then(|(at, id)| {
            let (_, why) = self.connections.get(id)?.poll_timeout();
            Some((*at, EngineTimeout::Connection(*id, why)))
        });
        let slots = self.slots();
        let open = slots.waiting.iter().filter_map(|id| Some((*id, &slots.get(*id)?.backlog)));
        let closing = self.closing.iter().map(|(id, closing)| (*id, &closing.backlog));
        let writes = open
            .chain(closing)
            .filter_map(|(id, backlog)| Some((backlog.poll_deadline()?, EngineTimeout::WriteDeadline(id))));
        dial.into_iter().chain(connection).chain(writes).min_by_key(|(at, _)| *at)
    }

    /// Does what is due by now. Harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due: Vec<_> =
            self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        due.sort_unstable();
        for id in due {
            // One that an earlier one closed is not there any more, and then nothing is due.
            let _ = self.drive(now, id, Event::Nothing);
        }
        driver::handle_timeout(&self.node, &mut self.services, now, &mut self.staging);
        self.staging.links_mut().handle_deadlines(now);
        self.end_connections(now);
        self.closing.values_mut().for_each(|closing| closing.backlog.handle_deadline(now));
    }

    fn answer(&mut self, id: DialId) -> Result<(), ApiMisuse> {
        if self.dialing.remove(&id) { Ok(()) } else { Err(ApiMisuse::UnknownDial(id)) }
    }

    fn slots(&self) -> &Slots {
        self.staging.links()
    }

    fn backlog(&self, id: ConnectionId) -> Option<&Backlog> {
        let open = self.slots().get(id).map(|slot| &slot.backlog);
        open.or_else(|| self.closing.get(&id).map(|closing| &closing.backlog))
    }

    /// What waits for a connection, and what of it is encoded.
    fn outgoing(&mut self, id: ConnectionId) -> Result<(&mut Backlog, &mut Outbound), ApiMisuse> {
        let open = self.staging.links_mut().get_mut(id).map(|slot| (&mut slot.backlog, &mut slot.outbound));
        open.or_else(|| {
            self.closing.get_mut(&id).map(|closing| (&mut closing.backlog, &mut closing.outbound))
        })
        .ok_or(ApiMisuse::UnknownConnection(id))
    }

    fn open(&mut self, now: Instant, remote: SocketAddr, kind: SocketKind) -> ConnectionId {
        let connection = driver::open(&self.node, now, remote, kind, &mut self.staging);
        let id = connection.id();
        let backlog = Backlog::new(connection.write_policy());
        let slot = Slot { entry: connection.entry().clone(), backlog, outbound: self.new_outbound() };
        self.staging.links_mut().insert(id, slot);
        self.timers.insert((connection.poll_timeout().0, id));
        self.connections.insert(id, connection);
        self.conclude(now, id);
        id
    }

    #[cfg(not(feature = "sim"))]
    fn new_outbound(&self) -> Outbound {
        Outbound::new()
    }

    /// Lets a connection hear something and carries out what follows from it for all of them.
    fn drive(&mut self, now: Instant, id: ConnectionId, event: Event<'_>) -> Result<(), ApiMisuse> {
        let connection = self.connections.get_mut(&id).ok_or(ApiMisuse::UnknownConnection(id))?;
        let (before, _) = connection.poll_timeout();
        driver::hear(connection, now, event, &mut self.staging);
        while connection.wants_turn() {
            self.staging.flush(now, self.node.hub());
            driver::hear(connection, now, Event::Turn, &mut self.staging);
        }
        if !connection.wants_input() {
            self.asking.insert(id);
        }
        let (after, _) = connection.poll_timeout();
        if before != after {
            self.timers.remove(&(before, id));
            self.timers.insert((after, id));
        }
        self.conclude(now, id);
        Ok(())
    }

    /// Sends what a connection led to, and ends those that are to end.
    fn conclude(&mut self, now: Instant, id: ConnectionId) {
        self.flush(now);
        self.staging.links_mut().with(id, |mut slot| slot.encode_answers());
        if self.connections[&id].poll_close().is_some() {
            self.staging.links_mut().to_end.push_back(id);
        }
        self.end_connections(now);
    }

    /// Lets the services answer, and sends what is staged.
    fn flush(&mut self, now: Instant) {
        self.services.handle_requests(now, &mut self.staging);
        self.staging.flush(now, self.node.hub());
    }

    /// Ends the connections that are to end, and those that are to end because of it.
    fn end_connections(&mut self, now: Instant) {
        while let Some(id) = self.staging.links_mut().to_end.pop_front() {
            let Some(mut connection) = self.connections.remove(&id) else {
                continue;
            };
            self.timers.remove(&(connection.poll_timeout().0, id));
            let request = self.slots().get(id).and_then(|slot| slot.backlog.close_request());
            request.into_iter().for_each(|reason| connection.handle_close_request(reason));
            let (reason, mut left) = driver::end(&self.node, connection, now, &mut self.staging);
            while let Some(removal) = left {
                left = driver::remove(&self.node, removal, now, &mut self.staging);
            }
            if let Some(Slot { mut backlog, mut outbound, .. }) = self.staging.links_mut().remove(id) {
                backlog.end(now, reason);
                if backlog.begin_finish() {
                    outbound.finish();
                    backlog.encode(&mut outbound);
                } else if backlog.is_over() {
                    outbound = Outbound::new();
                }
                self.closing.insert(id, Closing { reason, backlog, outbound });
            }
        }
    }
}

#[cfg(feature = "sim")]
impl Engine {
    /// Keeps what is said on all connections that come from now on as it is without TLS ([`Engine::take_legible`]).
    pub(crate) fn keep_legible(&mut self) {
        self.keeps_legible = true;
    }

    /// What was made for a socket since the last call, as it is without TLS; none if nothing of the connection is encoded, or this is
    /// not kept. More may be in it than [`Engine::poll_transmit`] showed.
    pub(crate) fn take_legible(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        let (backlog, outbound) = self.outgoing(id).ok()?;
        if backlog.is_coded() { outbound.take_legible() } else { None }
    }

    fn new_outbound(&self) -> Outbound {
        let mut outbound = Outbound::new();
        if self.keeps_legible {
            outbound.keep_legible();
        }
        outbound
    }
}

/// The last of a connection.
#[derive(Debug)]
struct Closing {
    reason: CloseReason,
    backlog: Backlog,
    outbound: Outbound,
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownConnection(id) => write!(f, "there is no connection {id:?}"),
            Self::UnknownDial(id) => write!(f, "nobody waits for an answer to {id:?}"),
            Self::UnknownAccount(id) => write!(f, "there is no account {id:?}"),
            Self::AdvancedTooFar { pending_bytes } => {
                write!(f, "only {pending_bytes} bytes waited to be written")
            }
            Self::NoCluster => f.write_str("the node is in no cluster"),
        }
    }
}

impl std::error::Error for ApiMisuse {}
