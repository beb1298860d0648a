//! The world: virtual time, nodes, clients and the network between them.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

use super::client::{ClientId, Heard, Received, Sid, SimClient};
use super::dial::Attempt;
use super::faults::Fault;
use super::invariants::Violation;
use super::ledger::{Ledger, MessageId};
use super::network::{Network, NetworkConfig};
use super::node::{NodeId, NodeSpec, Seed, SimNode, Socket};
use super::queue::Queue;
use super::stream::{ACCEPTOR, DIALER, End, Ending, Segment, Side, Stream, StreamId, Streams};
use super::trace::Trace;
use crate::close::CloseReason;
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::time::Instant;

/// Servers, clients and a network in one value, driven by virtual time.
///
/// The same seed and the same calls give the same world, byte for byte. Every method that lets time pass ends early with the
/// [`Violation`] if a rule that holds at every step is broken.
#[derive(Debug)]
pub struct World {
    pub(super) now: Instant,
    pub(super) seed: u64,
    pub(super) queue: Queue<Event>,
    pub(super) network: Network,
    pub(super) streams: Streams,
    pub(super) nodes: Vec<SimNode>,
    pub(super) clients: Vec<SimClient>,
    /// The nodes that run, by their server id.
    pub(super) ids: BTreeMap<String, NodeId>,
    pub(super) ledger: Ledger,
    pub(super) mesh: Mesh,
    pub(super) trace: Trace,
    pub(super) statistics: Statistics,
    pub(super) violation: Option<Violation>,
    /// What each node heard, for [`super::explore`].
    pub(super) histories: Option<Vec<u64>>,
}

/// How whole the mesh is.
#[derive(Debug, Default)]
pub(super) struct Mesh {
    /// Ordered pairs of running nodes of which the first has exactly the routes to the second that it should.
    pub(super) exact: usize,
    /// Peers that nodes have routes to, summed over all nodes.
    pub(super) peers: usize,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Events that were handled.
    pub events: u64,
    /// Dials that nodes asked for.
    pub dials: u64,
    /// Routes that were closed because there was one already.
    pub duplicates: u64,
    /// Bytes of INFO lines about other servers, over all routes.
    pub gossip_bytes: u64,
    /// Lines of INFO about other servers, over all routes.
    pub gossip_lines: u64,
    /// Bytes that nodes wrote to each other.
    pub route_bytes: u64,
}

/// What happens at some time.
#[derive(Debug)]
pub(super) enum Event {
    /// The next segment comes out of the pipe that this side writes into.
    Arrive(StreamId, Side),
    /// A node wanted to be woken.
    Wake(NodeId),
    Start(NodeId),
    /// It reaches the host.
    Reach(Box<Attempt>),
    /// The dialer hears that it is connected.
    Establish(Box<Attempt>, StreamId),
    FailDial(Box<Attempt>, String),
    Fault(Box<Fault>),
    /// The end of a fault that lasts.
    Heal(Box<Fault>),
}

impl World {
    /// An empty world. `seed` decides everything that is left to chance. With `keeps_trace` its
    /// [`trace`](Self::trace) can be read.
    pub fn new(seed: u64, network: NetworkConfig, keeps_trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let network_rng = rng.fork();
        Self {
            now: Instant::ZERO,
            seed: rng.u64(..),
            queue: Queue::new(),
            network: Network::new(network, network_rng),
            streams: Streams::default(),
            nodes: Vec::new(),
            clients: Vec::new(),
            ids: BTreeMap::new(),
            ledger: Ledger::default(),
            mesh: Mesh::default(),
            trace: Trace::new(keeps_trace),
            statistics: Statistics::default(),
            violation: None,
            histories: None,
        }
    }

    /// Adds a node, which is not running yet.
    pub fn add_node(&mut self, spec: NodeSpec) -> NodeId {
        let id = NodeId(self.nodes.len());
        let node = SimNode::new(id, spec);
        self.network.assign(node.ip(), id);
        self.nodes.push(node);
        id
    }

    /// From now on a host name resolves to the addresses that these nodes have when it is asked for.
    pub fn add_name(&mut self, name: &str, nodes: &[NodeId]) {
        self.network.name(name, nodes.to_vec());
    }

    /// Starts a node now, as a new server, unless it runs.
    pub fn start(&mut self, id: NodeId) {
        if self.nodes[id.0].engine.is_some() {
            return;
        }
        let routes = self.nodes[id.0].spec.routes.iter().map(|seed| self.url(seed)).collect();
        let node = &mut self.nodes[id.0];
        // Each start is another server.
        let number = u64::from(node.incarnation) << 32 | id.0 as u64;
        let seed = Rng::with_seed(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..);
        node.start(seed, routes, self.now);
        self.ids.insert(node.server_id.clone(), id);
        self.trace.note(self.now, [1 << 32 | id.0 as u64, 0, 0], || format!("{id} starts"));
        self.pump(id);
    }

    /// Starts a node after a while.
    pub fn start_after(&mut self, id: NodeId, delay: Duration) {
        self.queue.push(self.now + delay, Event::Start(id));
    }

    /// Lets a fault happen after a while.
    pub fn fault_after(&mut self, delay: Duration, fault: Fault) {
        self.queue.push(self.now + delay, Event::Fault(Box::new(fault)));
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many nodes there are, running or not.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a node runs.
    pub fn is_running(&self, id: NodeId) -> bool {
        self.nodes[id.0].engine.is_some()
    }

    /// A node's engine, for what can be asked of it; none while it is down.
    pub fn engine(&self, id: NodeId) -> Option<&crate::Engine> {
        self.nodes[id.0].engine.as_ref()
    }

    /// What it cost so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How many messages were published, each with the next [`MessageId`].
    pub fn message_count(&self) -> usize {
        self.ledger.len()
    }

    /// Handles the next event; false if there will never be another.
    pub fn step(&mut self) -> Result<bool, Violation> {
        match self.queue.pop() {
            Some((at, event)) => {
                self.now = at;
                self.handle(event);
                self.verdict().map(|()| true)
            }
            None => Ok(false),
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.now + duration;
        while self.queue.next_at().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = end;
        Ok(())
    }

    /// Lets time pass until the mesh is whole, and returns how long it took; none if it was not within `limit`.
    pub fn run_until_whole(&mut self, limit: Duration) -> Result<Option<Duration>, Violation> {
        let (start, end) = (self.now, self.now + limit);
        // Who is to start now does.
        self.run_for(Duration::ZERO)?;
        while !self.is_mesh_whole() {
            if self.queue.next_at().is_none_or(|at| at > end) {
                self.now = end;
                return Ok(None);
            }
            self.step()?;
        }
        Ok(Some(self.now.since(start)))
    }

    pub(super) fn verdict(&mut self) -> Result<(), Violation> {
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        let violation = Violation { at: self.now, ..violation };
        self.trace.note(self.now, [u64::MAX; 3], || format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.statistics.events += 1;
        match event {
            Event::Arrive(stream, side) => self.arrive(stream, side),
            Event::Wake(id) => self.wake(id),
            Event::Start(id) => self.start(id),
            Event::Reach(attempt) => self.reach(attempt),
            Event::Establish(attempt, stream) => self.establish(*attempt, stream),
            Event::FailDial(attempt, why) => self.fail_dial(*attempt, &why),
            Event::Fault(fault) => self.begin_fault(*fault),
            Event::Heal(fault) => self.end_fault(&fault),
        }
    }

    fn wake(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if node.timer != Some(self.now) {
            return;
        }
        node.timer = None;
        if let Some(engine) = node.engine.as_mut().filter(|_| node.timer_is_due) {
            engine.handle_timeout(self.now);
        }
        self.pump(id);
    }

    /// Carries out everything that an engine wants.
    pub(super) fn pump(&mut self, id: NodeId) {
        let Some(engine) = &self.nodes[id.0].engine else {
            return;
        };
        let pending: Vec<ConnectionId> = engine.pending().collect();
        pending.into_iter().for_each(|connection| self.transmit(id, connection));
        while let Some((connection, reason)) = self.poll_closed(id) {
            self.statistics.duplicates += u64::from(reason == CloseReason::DuplicateRoute);
            self.close_socket(id, connection, reason);
        }
        while let Some(request) = self.poll_dial(id) {
            self.begin_dial(id, request);
        }
        self.set_timer(id);
    }

    fn poll_closed(&mut self, id: NodeId) -> Option<(ConnectionId, CloseReason)> {
        self.nodes[id.0].engine.as_mut()?.poll_closed()
    }

    fn poll_dial(&mut self, id: NodeId) -> Option<crate::DialRequest> {
        self.nodes[id.0].engine.as_mut()?.poll_dial(self.now)
    }

    fn set_timer(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        let Some(engine) = &node.engine else {
            return;
        };
        let is_asked_often =
            node.sockets.len() > MANY_CONNECTIONS && self.now < node.timer_asked_at + COARSE_GRAIN;
        let at = if is_asked_often {
            // To ask takes as long as there are connections.
            node.timer_asked_at + COARSE_GRAIN
        } else {
            node.timer_asked_at = self.now;
            let Some((at, _)) = engine.poll_timeout() else {
                return;
            };
            at
        };
        // What was due and is not done by now is tried again a moment later, never at the same moment for ever.
        let at = if at > self.now { at } else { self.now + TIMER_GRAIN };
        if node.timer.is_none_or(|timer| at < timer || timer < self.now) {
            node.timer = Some(at);
            node.timer_is_due = !is_asked_often;
            self.queue.push(at, Event::Wake(id));
        }
    }

    /// Writes what waits for a connection into its pipe, as far as there is room.
    fn transmit(&mut self, id: NodeId, connection: ConnectionId) {
        let Some(&Socket { stream, side, .. }) = self.nodes[id.0].socket(connection) else {
            return;
        };
        loop {
            let Some(room) = self.room(stream, side) else {
                return;
            };
            let Some(engine) = &mut self.nodes[id.0].engine else {
                return;
            };
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = engine.poll_transmit(connection, &mut slices).unwrap_or(0);
            if filled == 0 {
                return;
            }
            if room == 0 {
                // It is known, since bytes wait for it.
                let _ = engine.handle_blocked(self.now, connection);
                return;
            }
            let waiting = slices[..filled].iter().map(|slice| slice.len()).sum::<usize>();
            let size = self.network.segment(waiting.min(room));
            let mut bytes = Vec::with_capacity(size);
            for slice in &slices[..filled] {
                bytes.extend_from_slice(&slice[..slice.len().min(size - bytes.len())]);
            }
            let _ = engine.advance(connection, size);
            self.write(stream, side, bytes);
        }
    }

    fn room(&mut self, stream: StreamId, side: Side) -> Option<usize> {
        let pipe = &mut self.streams.get_mut(stream)?.pipes[side];
        let room = pipe.room(self.network.config.buffer_bytes);
        pipe.writer_waits = room == 0;
        Some(room)
    }

    /// Sends a segment through a pipe.
    pub(super) fn write(&mut self, id: StreamId, side: Side, bytes: Vec<u8>) {
        self.tap(id, side, &bytes);
        let is_reset = self.network.config.resets_per_million > 0
            && self.streams.get(id).is_some_and(|stream| stream.is_route)
            && self.network.happens(self.network.config.resets_per_million);
        if is_reset {
            return self.reset(id);
        }
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let pipe = &mut stream.pipes[side];
        pipe.held_bytes += bytes.len();
        if pipe.is_lost {
            return;
        }
        if let Some(Segment::Bytes(last)) = pipe.segments.back_mut()
            && self.network.happens(self.network.config.merges_per_million)
        {
            last.extend_from_slice(&bytes);
            return;
        }
        self.send(id, side, Segment::Bytes(bytes));
    }

    fn send(&mut self, id: StreamId, side: Side, segment: Segment) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let delay = if stream.is_route { self.network.delay() } else { CLIENT_LATENCY };
        let pipe = &mut stream.pipes[side];
        if pipe.is_lost {
            return;
        }
        pipe.last_arrival = pipe.last_arrival.max(self.now + delay);
        pipe.segments.push_back(segment);
        self.queue.push(pipe.last_arrival, Event::Arrive(id, side));
    }

    fn arrive(&mut self, id: StreamId, side: Side) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        let (to, from) = (stream.nodes[1 - side], stream.nodes[side]);
        let is_paused =
            matches!(stream.ends[1 - side], End::Client(client) if self.clients[client.0].is_paused);
        let is_cut = stream.is_route && self.network.is_cut(from, to);
        let acknowledges = !stream.is_route || !self.network.is_cut(to, from);
        let pipe = &mut stream.pipes[side];
        if is_cut || is_paused {
            pipe.parked += usize::from(!pipe.is_lost);
            return;
        }
        let Some(segment) = pipe.segments.pop_front() else {
            return;
        };
        let writer = stream.ends[side];
        let reader = stream.ends[1 - side];
        let writer_waits = match &segment {
            Segment::Bytes(bytes) => {
                pipe.delivered_bytes += bytes.len() as u64;
                pipe.acknowledge(bytes.len(), acknowledges);
                std::mem::take(&mut pipe.writer_waits)
            }
            Segment::End(_) => false,
        };
        match segment {
            Segment::Bytes(bytes) => self.deliver(id, side, reader, &bytes),
            Segment::End(ending) => self.deliver_end(id, side, reader, ending),
        }
        if writer_waits && let End::Node(node, _) = writer {
            self.pump(node);
        }
    }

    fn deliver(&mut self, id: StreamId, side: Side, reader: End, bytes: &[u8]) {
        match reader {
            End::Node(node, connection) => {
                self.note_stream_input(node, id, bytes);
                self.note_published(id, side);
                if let Some(engine) = &mut self.nodes[node.0].engine {
                    // A connection that the engine closed a moment ago reads no more.
                    let _ = engine.handle_input(self.now, connection, bytes);
                }
                self.note_registration(node, connection);
                self.pump(node);
            }
            End::Client(client) => self.hear(client, bytes),
            End::Pending | End::Closed => {}
        }
    }

    fn note_stream_input(&mut self, node: NodeId, id: StreamId, bytes: &[u8]) {
        if let Some(label) = self.streams.get(id).map(|stream| stream.label) {
            self.note_input(node, label, bytes);
        }
    }

    fn deliver_end(&mut self, id: StreamId, side: Side, reader: End, ending: Ending) {
        match reader {
            End::Node(node, connection) => {
                self.note_stream_input(node, id, b"");
                let reason = match ending {
                    Ending::Fin => CloseReason::ClientClosed,
                    Ending::Reset => CloseReason::ReadError,
                };
                if let Some(engine) = &mut self.nodes[node.0].engine {
                    let _ = engine.handle_closed(self.now, connection, reason);
                }
                self.close_socket(node, connection, reason);
                self.pump(node);
            }
            End::Client(client) => self.clients[client.0].close(),
            End::Pending | End::Closed => {}
        }
        if let Some(stream) = self.streams.get_mut(id) {
            stream.is_broken = true;
            // Whoever it was, it is gone; the other side, if it is still there, hears of it too.
            stream.ends[1 - side] = End::Closed;
            if stream.is_over() {
                self.streams.remove(id);
            }
        }
    }

    /// A node's socket is closed: the other side will hear of it.
    fn close_socket(&mut self, id: NodeId, connection: ConnectionId, reason: CloseReason) {
        let Some(socket) = self.nodes[id.0].close(connection) else {
            return;
        };
        self.trace.note(self.now, [2 << 32 | id.0 as u64, connection.index() as u64, reason as u64], || {
            format!("{id} closes {connection:?} s{}: {reason}", socket.stream.number())
        });
        if let Some(peer) = &socket.peer {
            self.note_route_closed(id, connection, peer);
        }
        self.close_end(socket.stream, socket.side, Ending::Fin);
    }

    /// Closes one end of a stream.
    pub(super) fn close_end(&mut self, id: StreamId, side: Side, ending: Ending) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.is_broken = true;
        stream.ends[side] = End::Closed;
        if stream.is_over() {
            self.streams.remove(id);
        } else {
            self.send(id, side, Segment::End(ending));
        }
    }

    /// Both ends of a stream find it reset, a moment later; what is on its way is lost.
    pub(super) fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.is_broken = true;
        stream.pipes.iter_mut().for_each(|pipe| {
            pipe.segments.clear();
            pipe.parked = 0;
        });
        self.trace.note(self.now, [4 << 32, id.number() as u64, 0], || format!("s{} is reset", id.number()));
        self.send(id, DIALER, Segment::End(Ending::Reset));
        self.send(id, ACCEPTOR, Segment::End(Ending::Reset));
    }

    /// The URL that a node is configured with.
    fn url(&self, seed: &Seed) -> RouteUrl {
        let host = match seed {
            Seed::Node(node) => self.nodes[node.0].ip().to_string(),
            Seed::Name(name) => name.clone(),
        };
        RouteUrl { user: None, password: None, host, port: super::node::ROUTE_PORT }
    }

    /// Whether a node can be connected to at an address.
    pub(super) fn listener(&self, ip: IpAddr) -> Option<NodeId> {
        self.network.host(ip).filter(|node| {
            let node = &self.nodes[node.0];
            node.engine.is_some() && !node.refuses
        })
    }

    fn hear(&mut self, id: ClientId, bytes: &[u8]) {
        let heard = self.clients[id.0].hear(self.now, bytes);
        for heard in heard {
            match heard {
                Heard::Ping => {
                    let pong = self.clients[id.0].pong();
                    self.write_as_client(id, pong);
                }
                Heard::Message { sid, subject, reply, message } => {
                    self.note_received(id, sid, &subject, message);
                    let responds = self.clients[id.0].subscriptions.get(&sid).is_some_and(|it| it.responds);
                    if let Some(reply) = reply.filter(|_| responds) {
                        self.publish(id, &reply, 0);
                    }
                }
            }
        }
    }

    fn note_received(&mut self, id: ClientId, sid: Sid, subject: &str, message: Option<MessageId>) {
        let client = &self.clients[id.0];
        let Some(message) = message else {
            return;
        };
        self.trace.note(self.now, [5 << 32 | id.0 as u64, sid, message.0 as u64], || {
            format!("{id} gets {message} on {subject} for {sid}")
        });
        let queue = client.subscriptions.get(&sid).and_then(|subscription| subscription.queue.as_deref());
        let verdict = self.ledger.receive(message, (id, sid), client.node, queue, client.echo);
        if let Err(violation) = verdict {
            self.fail(violation);
        }
    }

    /// What a client got, in order.
    pub fn received(&self, id: ClientId) -> &[Received] {
        self.clients[id.0].received()
    }

    /// A client.
    pub fn client(&self, id: ClientId) -> &SimClient {
        &self.clients[id.0]
    }
}

/// How long bytes travel between a client and its node.
pub(super) const CLIENT_LATENCY: Duration = Duration::from_micros(50);

/// A node with more connections than this has less exact timers.
const MANY_CONNECTIONS: usize = 64;
/// How exact these are.
const COARSE_GRAIN: Duration = Duration::from_millis(5);

/// Timers are not more exact than this.
const TIMER_GRAIN: Duration = Duration::from_micros(100);

/// A stream between nodes that was just accepted.
pub(super) fn route_stream(node: NodeId, connection: ConnectionId, dialer: NodeId, now: Instant) -> Stream {
    Stream::new([End::Pending, End::Node(node, connection)], [dialer, node], true, now)
}
