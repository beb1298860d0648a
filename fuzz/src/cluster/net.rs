//! The nodes on a network that does nothing by itself: an input decides what comes next, and how much of it.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use onehop::sim::net::{Due, End, Ending, Event, HostId, Network, NetworkConfig, NoChance, StreamId};
use onehop::{CloseReason, ConnectionId, DialError, DialRequest, Instant};

use super::node::{Node, ROUTE_PORT, host};
use crate::stream::RouteStream;

/// Everything, with one clock.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    /// What nodes wanted to dial, and that was not answered yet.
    pub(super) dials: Vec<(usize, DialRequest)>,
    pub(super) pipes: Vec<Pipe>,
    /// A message for a group goes to and fro between nodes that were told of members that do not exist, until these
    /// are taken back: as in nats-server (wire.md 7.5).
    pub(super) is_bouncing: bool,
    /// The messages that nodes wrote to each other, until somebody looks.
    pub(super) crossings: Vec<Crossing>,
    network: Network<NoChance>,
}

/// A message that one node wrote to another.
pub(super) struct Crossing {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) body: Vec<u8>,
}

/// A connection: who is at its ends, and what they wrote.
pub(super) struct Pipe {
    stream: StreamId,
    /// Dialer and acceptor, while they are nodes that have not closed it.
    ends: [Option<Socket>; 2],
    written: [RouteStream; 2],
}

/// A connection as a node knows it.
#[derive(Clone, Copy)]
pub(super) struct Socket {
    pub(super) node: usize,
    pub(super) id: ConnectionId,
}

impl Pipe {
    fn new(stream: StreamId, ends: [Option<Socket>; 2]) -> Self {
        Self { stream, ends, written: Default::default() }
    }

    /// Both ends, if both are nodes and neither is closed.
    pub(super) fn ends(&self) -> Option<(Socket, Socket)> {
        self.ends[0].zip(self.ends[1])
    }
}

/// More rounds of talk without time passing than any honest cluster of this size needs.
const MAX_ROUNDS: usize = 1000;

/// What is due within this time is driven as if it were due at its end.
const MOMENT: Duration = Duration::from_millis(200);

/// What is on its way arrives together, if the input lets it.
const NETWORK: NetworkConfig = NetworkConfig { merges_per_million: 1_000_000, ..NetworkConfig::instant() };

impl Net {
    pub(super) fn new(nodes: Vec<Node>, now: Instant) -> Self {
        let mut network = Network::new(NETWORK, NoChance);
        for number in 0..nodes.len() {
            network.settle_at(HostId(number), host(number).parse().expect("an address"));
        }
        Self {
            now,
            network,
            nodes,
            dials: Vec::new(),
            pipes: Vec::new(),
            is_bouncing: false,
            crossings: Vec::new(),
        }
    }

    /// Begins what a node wants to dial.
    pub(super) fn begin_dials(&mut self, node: usize) -> bool {
        let before = self.dials.len();
        while let Some(request) = self.nodes[node].engine.poll_dial(self.now) {
            self.dials.push((node, request));
        }
        self.dials.len() > before
    }

    /// Ends a dial as the addresses have it, or in a failure.
    pub(super) fn answer_dial(&mut self, at: usize, fails: bool) {
        let (node, request) = self.dials.remove(at);
        let target: Option<SocketAddr> = format!("{}:{}", request.host, request.port).parse().ok();
        let failure = match target {
            _ if fails => DialError::Failed("timed out".to_owned()),
            Some(target) if request.own_addresses.contains(&target) => DialError::OnlySelf,
            Some(target) => return self.dial(node, &request, target),
            None => DialError::Failed("no such host".to_owned()),
        };
        self.fail_dial(node, &request, &failure);
    }

    /// Dials an address, and lets the network answer at once.
    fn dial(&mut self, node: usize, request: &DialRequest, target: SocketAddr) {
        let now = self.now;
        let attempt = self.network.dial(HostId(node), target, now);
        let mut accepted = None;
        while let Some(due) = self.network.due_of(attempt) {
            match self.network.take(due, usize::MAX, now) {
                Some(Event::Called { host, port: ROUTE_PORT, remote, .. }) => {
                    let engine = &mut self.nodes[host.0].engine;
                    let id = engine.handle_accept_route(now, remote).expect("a cluster");
                    accepted = Some(Socket { node: host.0, id });
                    self.network.accept(attempt, now);
                }
                Some(Event::Called { .. }) => self.network.refuse(attempt, now),
                Some(Event::Connected { dialed, .. }) => {
                    let engine = &mut self.nodes[node].engine;
                    let id = engine.handle_dialed(now, request.id, target).expect("it was asked for");
                    self.pipes.push(Pipe::new(dialed.stream, [Some(Socket { node, id }), accepted]));
                }
                Some(Event::Failed { fault, .. }) => {
                    self.fail_dial(node, request, &DialError::Failed(fault.to_string()));
                }
                _ => {}
            }
        }
    }

    fn fail_dial(&mut self, node: usize, request: &DialRequest, why: &DialError) {
        let answered = self.nodes[node].engine.handle_dial_failed(self.now, request.id, why);
        answered.expect("a dial that was asked for");
    }

    /// Somebody who is no node connects to the route port of one, which is the first end of the pipe.
    pub(super) fn connect_raw(&mut self, node: usize) -> usize {
        let stream = self.network.attach(HostId(node), Duration::ZERO, self.now);
        let remote = SocketAddr::new(host(node).parse().expect("an address"), 40_000);
        let id = self.nodes[node].engine.handle_accept_route(self.now, remote).expect("a cluster");
        self.pipes.push(Pipe::new(stream, [Some(Socket { node, id }), None]));
        self.pipes.len() - 1
    }

    /// One end of a pipe, if it is a node that has not closed it.
    pub(super) fn end(&self, pipe: usize, which: usize) -> Option<Socket> {
        self.pipes[pipe].ends[which]
    }

    /// Breaks all connections at both ends, with whoever is no node.
    pub(super) fn break_all(&mut self) {
        for pipe in 0..self.pipes.len() {
            [0, 1].into_iter().for_each(|end| self.break_pipe(pipe, end, true));
        }
    }

    /// Writes bytes as if the end `from` had, unless it is closed.
    pub(super) fn inject(&mut self, pipe: usize, from: usize, bytes: &[u8]) {
        self.network.write(self.place(pipe, from), bytes.to_vec(), self.now);
    }

    /// Writes up to so many of the bytes that wait at an end.
    pub(super) fn write(&mut self, pipe: usize, from: usize, max_bytes: usize) -> bool {
        let place = self.place(pipe, from);
        let Pipe { ends, written, .. } = &mut self.pipes[pipe];
        let Some(end) = ends[from] else { return false };
        let engine = &mut self.nodes[end.node].engine;
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = engine.poll_transmit(end.id, &mut slices).expect("an open socket");
        let mut bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        bytes.truncate(max_bytes);
        engine.advance(end.id, bytes.len()).expect("no more than waits");
        let bodies = written[from].read(&bytes);
        // What passes through a node comes from elsewhere, and goes elsewhere.
        let is_circuit = written.iter().any(RouteStream::is_circuit);
        if let Some(other) = ends[1 - from].filter(|_| !is_circuit) {
            let crossing = |body| Crossing { from: end.node, to: other.node, body };
            self.crossings.extend(bodies.into_iter().map(crossing));
        }
        let is_any = !bytes.is_empty();
        if is_any {
            self.network.write(place, bytes, self.now);
        }
        self.collect_closed(end.node);
        is_any
    }

    /// Lets up to so many bytes that `from` wrote arrive at the other end, or the news that it closed.
    pub(super) fn read(&mut self, pipe: usize, from: usize, max_bytes: usize) -> bool {
        let due = Due::Arrive(self.place(pipe, from));
        let Some(event) = self.network.take(due, max_bytes, self.now) else { return false };
        match event {
            Event::Read { bytes, .. } => {
                if let Some(Socket { node, id }) = self.pipes[pipe].ends[1 - from] {
                    let engine = &mut self.nodes[node].engine;
                    engine.handle_input(self.now, id, &bytes).expect("an open socket");
                    self.collect_closed(node);
                }
            }
            _ => self.close(pipe, 1 - from, CloseReason::ClientClosed),
        }
        true
    }

    /// Breaks a connection: one end hears of it now, the other once it has read what was on the way, if that is not
    /// lost as well.
    pub(super) fn break_pipe(&mut self, pipe: usize, first: usize, loses_bytes: bool) {
        if loses_bytes {
            self.network.reset(self.pipes[pipe].stream, self.now);
        }
        self.close(pipe, first, CloseReason::ReadError);
    }

    /// Closes an end, and tells its node why, if it is one.
    fn close(&mut self, pipe: usize, which: usize, reason: CloseReason) {
        self.network.close(self.place(pipe, which), Ending::Fin, self.now);
        if let Some(end) = self.pipes[pipe].ends[which].take() {
            let engine = &mut self.nodes[end.node].engine;
            engine.handle_closed(self.now, end.id, reason).expect("an open socket");
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, duration: Duration) {
        self.now += duration;
        for node in 0..self.nodes.len() {
            let engine = &mut self.nodes[node].engine;
            engine.handle_timeout(self.now);
            self.begin_dials(node);
            let next = self.nodes[node].engine.poll_timeout();
            assert!(next.is_none_or(|(at, _)| at > self.now), "{next:?} is still due at {:?}", self.now);
            self.collect_closed(node);
        }
    }

    /// Lets everything happen that needs no time to pass.
    pub(super) fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            let mut moved = false;
            for node in 0..self.nodes.len() {
                moved |= self.begin_dials(node);
            }
            while !self.dials.is_empty() {
                self.answer_dial(0, false);
                moved = true;
            }
            for pipe in 0..self.pipes.len() {
                for from in [0, 1] {
                    moved |= self.read(pipe, from, usize::MAX);
                    moved |= self.write(pipe, from, usize::MAX);
                }
            }
            if !moved {
                self.pipes.retain(|pipe| pipe.ends.iter().any(Option::is_some));
                return;
            }
        }
        self.is_bouncing = self.carries_message_for_group();
        assert!(self.is_bouncing, "the nodes never stop talking");
    }

    /// Lets time pass and everything happen that is due meanwhile.
    pub(super) fn drive(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            if self.is_bouncing {
                return;
            }
            let due = self.nodes.iter().filter_map(|node| node.engine.poll_timeout()).map(|(at, _)| at);
            let next = due.min().unwrap_or(end).min(end);
            if self.now >= end {
                return;
            }
            // Several moments in one, since there are many.
            self.pass(next.since(self.now).max(MOMENT));
        }
    }

    fn carries_message_for_group(&self) -> bool {
        let is_for_group = |bytes: &[u8]| bytes.windows(3).any(|three| matches!(three, b" | " | b" + "));
        let mut ends = self.pipes.iter().flat_map(|pipe| pipe.stream.ends());
        ends.any(|end| self.network.on_its_way(end).any(is_for_group))
    }

    /// Closes the sockets that a node is done with.
    fn collect_closed(&mut self, node: usize) {
        while let Some((closed, _)) = self.nodes[node].engine.poll_closed() {
            let is_it = |end: &Option<Socket>| end.is_some_and(|end| end.node == node && end.id == closed);
            let pipes = self.pipes.iter().enumerate();
            let mut found = pipes.filter_map(|(at, pipe)| Some((at, pipe.ends.iter().position(is_it)?)));
            let (pipe, which) = found.next().expect("a socket of this node, and only once");
            self.pipes[pipe].ends[which] = None;
            self.network.close(self.place(pipe, which), Ending::Fin, self.now);
        }
    }

    /// What the network calls an end of a pipe.
    fn place(&self, pipe: usize, which: usize) -> End {
        self.pipes[pipe].stream.ends()[which]
    }
}
