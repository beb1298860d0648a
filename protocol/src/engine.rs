//! A whole node as one value: what tests, fuzzers, simulators and single-threaded embedders drive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::close::CloseReason;
use crate::cluster::{DialError, DialRequest};
use crate::config::Config;
use crate::connection::{Connection, TimeoutReason};
use crate::id::ConnectionId;
use crate::node::{Listening, Node};
use crate::outbox::{Delivery, Outbox, Overdue, Pressure, WritePolicy};
use crate::routes::DialId;
use crate::sink::Sink;
use crate::time::Instant;

/// A [`Node`] with all its [`Connection`]s and the bytes that wait for each of them.
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
    connections: BTreeMap<ConnectionId, Connection>,
    /// When each connection wants to be called, kept up to date after each of its calls.
    timers: BTreeSet<(Instant, ConnectionId)>,
    outboxes: Outboxes,
    /// Connections that ended, while their last bytes are written.
    closing: BTreeMap<ConnectionId, Closing>,
    /// What [`Engine::poll_dial`] asked for and was not answered yet.
    dialing: BTreeSet<DialId>,
}

/// A call that makes no sense. It never happens because of what a peer sent, and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiMisuse {
    /// There is no such connection, or [`Engine::poll_closed`] or [`Engine::handle_closed`] ended it already.
    UnknownConnection(ConnectionId),
    /// There is no such dial, or it was answered already.
    UnknownDial(DialId),
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
        Self {
            node: Node::new(config, listening, now),
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            outboxes: Outboxes::default(),
            closing: BTreeMap::new(),
            dialing: BTreeSet::new(),
        }
    }

    /// The node, for what can be asked of it.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Takes in a client that connected from `remote`.
    pub fn handle_accept_client(&mut self, now: Instant, remote: SocketAddr) -> ConnectionId {
        self.open(now, |node, sink| node.accept_client(now, remote, sink))
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
        Ok(self.open(now, |node, sink| node.accept_route(now, remote, sink)))
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
        Ok(self.open(now, |node, sink| node.handle_dialed(now, id, remote, sink)))
    }

    /// Hears that a dial failed.
    pub fn handle_dial_failed(&mut self, now: Instant, id: DialId, why: &DialError) -> Result<(), ApiMisuse> {
        self.answer(id)?;
        self.node.handle_dial_failed(now, id, why);
        Ok(())
    }

    /// Takes in bytes that were read. Those of a connection that is ending are dropped.
    pub fn handle_input(&mut self, now: Instant, id: ConnectionId, bytes: &[u8]) -> Result<(), ApiMisuse> {
        if self.closing.contains_key(&id) {
            return Ok(());
        }
        self.drive(now, id, |connection, sink| connection.handle_input(now, bytes, sink))
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
        self.drive(now, id, |connection, _| connection.handle_close_request(reason))?;
        self.closing.remove(&id);
        Ok(())
    }

    /// Ends a connection from this side, for instance because the node shuts down. What waits for it, a last word
    /// included, is still to be written; then [`Engine::poll_closed`] names it.
    pub fn handle_close_request(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason: CloseReason,
    ) -> Result<(), ApiMisuse> {
        if self.closing.contains_key(&id) {
            return Ok(());
        }
        self.drive(now, id, |connection, _| connection.handle_close_request(reason))
    }

    /// The connections that bytes wait for. Ask after every `handle_*` call.
    pub fn pending(&self) -> impl Iterator<Item = ConnectionId> {
        let closing = self.closing.iter().filter(|(_, closing)| !closing.outbox.is_empty());
        self.outboxes.pending().chain(closing.map(|(id, _)| *id))
    }

    /// How many bytes wait for a connection; zero if there is no such connection.
    pub fn pending_bytes(&self, id: ConnectionId) -> usize {
        let open = self.outboxes.get(id).map(|slot| &slot.outbox);
        let outbox = open.or_else(|| self.closing.get(&id).map(|closing| &closing.outbox));
        outbox.map_or(0, Outbox::pending_bytes)
    }

    /// Fills `slices` with what is to be written next and returns how many it filled; none if nothing waits. Poll after
    /// every `handle_*` call and after [`Engine::advance`].
    pub fn poll_transmit<'a>(
        &'a self,
        id: ConnectionId,
        slices: &mut [IoSlice<'a>],
    ) -> Result<usize, ApiMisuse> {
        let open = self.outboxes.get(id).map(|slot| &slot.outbox);
        let outbox = open.or_else(|| self.closing.get(&id).map(|closing| &closing.outbox));
        Ok(outbox.ok_or(ApiMisuse::UnknownConnection(id))?.slices(slices))
    }

    /// Drops the first `written` bytes that wait, since the socket took them.
    pub fn advance(&mut self, id: ConnectionId, written: usize) -> Result<(), ApiMisuse> {
        let outbox = self.outbox_mut(id)?;
        let pending_bytes = outbox.pending_bytes();
        if written > pending_bytes {
            return Err(ApiMisuse::AdvancedTooFar { pending_bytes });
        }
        outbox.advance(written);
        let (messages, bytes) = outbox.take_traffic();
        if outbox.is_empty() {
            self.outboxes.waiting.remove(&id);
        }
        if let Some(connection) = self.connections.get(&id) {
            self.node.hub().record_delivered(connection.entry(), messages, bytes);
        }
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
        match self.outboxes.get_mut(id) {
            Some(slot) => slot.outbox.handle_blocked(now, &slot.policy),
            // One that ends has a deadline from the beginning.
            None if self.closing.contains_key(&id) => {}
            None => return Err(ApiMisuse::UnknownConnection(id)),
        }
        Ok(())
    }

    /// A connection that ended and for which nothing waits any more: its socket is to be closed, and its id means
    /// nothing from now on. Poll until `None` after every `handle_*` call and after [`Engine::advance`].
    #[must_use]
    pub fn poll_closed(&mut self) -> Option<(ConnectionId, CloseReason)> {
        let (id, reason) = self
            .closing
            .iter()
            .find(|(_, closing)| closing.outbox.is_empty())
            .map(|(id, closing)| (*id, closing.reason))?;
        self.closing.remove(&id);
        Some((id, reason))
    }

    /// When [`Engine::handle_timeout`] and [`Engine::poll_dial`] are to be called next, and why. Poll after every other
    /// call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, EngineTimeout)> {
        let dial = self.node.poll_timeout().map(|at| (at, EngineTimeout::Cluster));
        let connection = self.timers.first().and_then(|(at, id)| {
            let (_, why) = self.connections.get(id)?.poll_timeout();
            Some((*at, EngineTimeout::Connection(*id, why)))
        });
        let writes = self
            .outboxes
            .waiting()
            .filter_map(|slot| Some((slot.outbox.poll_deadline()?, EngineTimeout::WriteDeadline(slot.id))));
        let closing = self.closing.iter().filter(|(_, closing)| !closing.outbox.is_empty());
        let closing = closing.map(|(id, closing)| (closing.give_up_at, EngineTimeout::WriteDeadline(*id)));
        dial.into_iter().chain(connection).chain(writes).chain(closing).min_by_key(|(at, _)| *at)
    }

    /// Does what is due by now. Harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut due: Vec<_> =
            self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        due.sort_unstable();
        for id in due {
            // One that an earlier one closed is not there any more, and then nothing is due.
            let _ = self.drive(now, id, |connection, sink| connection.handle_timeout(now, sink));
        }
        self.node.handle_timeout(now, &mut self.outboxes);
        self.outboxes.handle_deadlines(now);
        self.carry_out_closes(now);
        for closing in self.closing.values_mut().filter(|closing| closing.give_up_at <= now) {
            closing.outbox.clear();
        }
    }

    fn answer(&mut self, id: DialId) -> Result<(), ApiMisuse> {
        if self.dialing.remove(&id) { Ok(()) } else { Err(ApiMisuse::UnknownDial(id)) }
    }

    fn outbox_mut(&mut self, id: ConnectionId) -> Result<&mut Outbox, ApiMisuse> {
        let open = self.outboxes.get_mut(id).map(|slot| &mut slot.outbox);
        open.or_else(|| self.closing.get_mut(&id).map(|closing| &mut closing.outbox))
            .ok_or(ApiMisuse::UnknownConnection(id))
    }

    fn open(
        &mut self,
        now: Instant,
        make: impl FnOnce(&Arc<Node>, &mut Outboxes) -> Connection,
    ) -> ConnectionId {
        // What a connection says first, it says before anybody knows its id.
        self.outboxes.newcomer = Some(Outbox::new());
        let connection = make(&self.node, &mut self.outboxes);
        let id = connection.id();
        let outbox = self.outboxes.newcomer.take().unwrap_or_default();
        self.outboxes.insert(Slot { id, outbox, policy: connection.write_policy(), overflowed: false });
        let reason = connection.poll_close();
        self.timers.insert((connection.poll_timeout().0, id));
        self.connections.insert(id, connection);
        self.outboxes.closes.extend(reason.map(|reason| (id, reason)));
        self.carry_out_closes(now);
        id
    }

    /// Lets a connection hear something and carries out what follows from it for all of them.
    fn drive(
        &mut self,
        now: Instant,
        id: ConnectionId,
        f: impl FnOnce(&mut Connection, &mut Outboxes),
    ) -> Result<(), ApiMisuse> {
        let connection = self.connections.get_mut(&id).ok_or(ApiMisuse::UnknownConnection(id))?;
        let (before, _) = connection.poll_timeout();
        f(connection, &mut self.outboxes);
        let (after, _) = connection.poll_timeout();
        if before != after {
            self.timers.remove(&(before, id));
            self.timers.insert((after, id));
        }
        if let Some(reason) = connection.poll_close() {
            self.outboxes.closes.push_back((id, reason));
        }
        self.carry_out_closes(now);
        Ok(())
    }

    /// Ends the connections that are to end, and those that are to end because of it.
    fn carry_out_closes(&mut self, now: Instant) {
        while let Some((id, reason)) = self.outboxes.closes.pop_front() {
            let Some(mut connection) = self.connections.remove(&id) else {
                continue;
            };
            self.timers.remove(&(connection.poll_timeout().0, id));
            connection.handle_close_request(reason);
            let reason = connection.poll_close().unwrap_or(reason);
            let entry = connection.entry().clone();
            let give_up_at = now + connection.write_policy().deadline;
            connection.handle_closed(now, &mut self.outboxes);
            let mut outbox = self.outboxes.remove(id).unwrap_or_default();
            let (messages, bytes) = outbox.take_traffic();
            self.node.hub().record_delivered(&entry, messages, bytes);
            if !reason.flushes() {
                outbox.clear();
            }
            self.closing.insert(id, Closing { reason, outbox, give_up_at });
        }
    }
}

/// The last of a connection.
#[derive(Debug)]
struct Closing {
    reason: CloseReason,
    outbox: Outbox,
    /// A peer that reads nothing keeps its socket no longer than this.
    give_up_at: Instant,
}

/// The engine's sink: an outbox per connection, and the wishes to end connections, which wait until the machines are
/// not being called.
#[derive(Debug, Default)]
struct Outboxes {
    /// By the index of the connection.
    slots: Vec<Option<Slot>>,
    /// Those whose outbox is not empty.
    waiting: BTreeSet<ConnectionId>,
    /// Takes what is sent to a connection that is being made.
    newcomer: Option<Outbox>,
    closes: VecDeque<(ConnectionId, CloseReason)>,
}

#[derive(Debug)]
struct Slot {
    id: ConnectionId,
    outbox: Outbox,
    policy: WritePolicy,
    /// It is to be closed as a slow consumer and takes nothing more.
    overflowed: bool,
}

impl Outboxes {
    fn insert(&mut self, slot: Slot) {
        let index = slot.id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        if !slot.outbox.is_empty() {
            self.waiting.insert(slot.id);
        }
        self.slots[index] = Some(slot);
    }

    fn get(&self, id: ConnectionId) -> Option<&Slot> {
        self.slots.get(id.index())?.as_ref().filter(|slot| slot.id == id)
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index())?.as_mut().filter(|slot| slot.id == id)
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Outbox> {
        self.get(id)?;
        self.waiting.remove(&id);
        self.slots[id.index()].take().map(|slot| slot.outbox)
    }

    fn waiting(&self) -> impl Iterator<Item = &Slot> {
        self.waiting.iter().filter_map(|id| self.get(*id))
    }

    fn pending(&self) -> impl Iterator<Item = ConnectionId> {
        self.waiting.iter().copied()
    }

    fn handle_deadlines(&mut self, now: Instant) {
        for id in &self.waiting {
            let Some(slot) = &mut self.slots[id.index()] else {
                continue;
            };
            if slot.outbox.handle_deadline(now, &slot.policy) == Overdue::Close {
                self.closes.push_back((slot.id, CloseReason::SlowConsumerWriteDeadline));
            }
        }
    }

    #[inline]
    fn push(&mut self, to: ConnectionId, push: impl FnOnce(&mut Outbox)) {
        match self.slots.get_mut(to.index()) {
            Some(Some(slot)) if slot.id == to => {
                if slot.overflowed {
                    return;
                }
                let was_empty = slot.outbox.is_empty();
                push(&mut slot.outbox);
                if was_empty && !slot.outbox.is_empty() {
                    self.waiting.insert(to);
                }
                if slot.outbox.pressure(&slot.policy) == Pressure::Overflow {
                    slot.overflowed = true;
                    self.closes.push_back((to, CloseReason::SlowConsumerPendingBytes));
                }
            }
            // Somebody else is there now.
            Some(Some(_)) => {}
            Some(None) | None => {
                if let Some(newcomer) = &mut self.newcomer {
                    push(newcomer);
                }
            }
        }
    }
}

impl Sink for Outboxes {
    fn deliver(&mut self, to: ConnectionId, delivery: &Delivery<'_>) {
        self.push(to, |outbox| outbox.push(delivery));
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.push(to, |outbox| outbox.push_bytes(bytes));
    }

    fn announce(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.send(to, bytes);
    }

    fn close(&mut self, to: ConnectionId, reason: CloseReason) {
        self.closes.push_back((to, reason));
    }
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownConnection(id) => write!(f, "there is no connection {id:?}"),
            Self::UnknownDial(id) => write!(f, "nobody waits for an answer to {id:?}"),
            Self::AdvancedTooFar { pending_bytes } => {
                write!(f, "only {pending_bytes} bytes waited to be written")
            }
            Self::NoCluster => f.write_str("the node is in no cluster"),
        }
    }
}

impl std::error::Error for ApiMisuse {}
