//! The nodes and what is between them: dials under way, and pipes.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use onehop::{CloseReason, ConnectionId, DialError, DialRequest, Instant};

use super::node::{Node, ROUTE_PORT, host};
use crate::stream::RouteStream;

/// Everything, with one clock.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) dials: Vec<(usize, DialRequest)>,
    pub(super) pipes: Vec<Pipe>,
    /// A message for a group goes to and fro between nodes that were told of members that do not exist, until these
    /// are taken back: as in nats-server (wire.md 7.5).
    pub(super) is_bouncing: bool,
    /// The messages that nodes wrote to each other, until somebody looks.
    pub(super) crossings: Vec<Crossing>,
    next_port: u16,
}

/// A message that one node wrote to another.
pub(super) struct Crossing {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) body: Vec<u8>,
}

/// A connection: two ends, and for each the bytes that it wrote and the other did not read yet.
pub(super) struct Pipe {
    ends: [Option<End>; 2],
    wires: [VecDeque<u8>; 2],
    written: [RouteStream; 2],
    /// The second end is nobody: what is written to it vanishes, and it is not closed by itself.
    is_raw: bool,
}

#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) id: ConnectionId,
}

impl Pipe {
    fn new(ends: [Option<End>; 2], is_raw: bool) -> Self {
        Self { ends, wires: Default::default(), written: Default::default(), is_raw }
    }

    /// Both ends, if both are nodes and neither is closed.
    pub(super) fn ends(&self) -> Option<(End, End)> {
        self.ends[0].zip(self.ends[1])
    }

    fn carries_message_for_group(&self) -> bool {
        let is_for_group = |bytes: &[u8]| bytes.windows(3).any(|three| matches!(three, b" | " | b" + "));
        self.wires.iter().any(|wire| is_for_group(&wire.iter().copied().collect::<Vec<_>>()))
    }
}

/// More rounds of talk without time passing than any honest cluster of this size needs.
const MAX_ROUNDS: usize = 1000;

/// What is due within this time is driven as if it were due at its end.
const MOMENT: Duration = Duration::from_millis(200);

impl Net {
    pub(super) fn new(nodes: Vec<Node>, now: Instant) -> Self {
        Self {
            now,
            nodes,
            dials: Vec::new(),
            pipes: Vec::new(),
            is_bouncing: false,
            crossings: Vec::new(),
            next_port: 0,
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

    /// Ends a dial as the addresses have it, or in a failure. Whether it had to fail.
    pub(super) fn answer_dial(&mut self, at: usize, fails: bool) {
        let (node, request) = self.dials.remove(at);
        let listener = (0..self.nodes.len()).find(|number| request.host == host(*number));
        let target: Option<SocketAddr> = format!("{}:{}", request.host, request.port).parse().ok();
        let failure = match (listener, target) {
            _ if fails => Some(DialError::Failed("timed out".to_owned())),
            (_, Some(target)) if request.own_addresses.contains(&target) => Some(DialError::OnlySelf),
            (Some(_), Some(target)) if target.port() == ROUTE_PORT => None,
            _ => Some(DialError::Failed("connection refused".to_owned())),
        };
        if let Some(failure) = failure {
            let answered = self.nodes[node].engine.handle_dial_failed(self.now, request.id, &failure);
            return answered.expect("a dial that was asked for");
        }
        let (listener, target) = listener.zip(target).expect("somebody listens there");
        let remote = self.remote(node);
        let now = self.now;
        let dialed =
            self.nodes[node].engine.handle_dialed(now, request.id, target).expect("it was asked for");
        let accepted = self.nodes[listener].engine.handle_accept_route(now, remote).expect("a cluster");
        let ends = [(node, dialed), (listener, accepted)].map(|(node, id)| Some(End { node, id }));
        self.pipes.push(Pipe::new(ends, false));
    }

    /// Somebody who is no node connects to the route port of one.
    pub(super) fn connect_raw(&mut self, node: usize) -> usize {
        let remote = self.remote(node);
        let id = self.nodes[node].engine.handle_accept_route(self.now, remote).expect("a cluster");
        let ends = [Some(End { node, id }), None];
        self.pipes.push(Pipe::new(ends, true));
        self.pipes.len() - 1
    }

    /// One end of a pipe, if it is a node that has not closed it.
    pub(super) fn end(&self, pipe: usize, which: usize) -> Option<End> {
        self.pipes[pipe].ends[which]
    }

    /// Breaks all connections at both ends, with whoever is no node.
    pub(super) fn break_all(&mut self) {
        for pipe in 0..self.pipes.len() {
            [0, 1].into_iter().for_each(|end| self.break_pipe(pipe, end, true));
        }
    }

    /// Puts bytes on the wire as if the end `from` had written them.
    pub(super) fn inject(&mut self, pipe: usize, from: usize, bytes: &[u8]) {
        self.pipes[pipe].wires[from].extend(bytes);
    }

    /// Moves up to so many bytes from an end onto its wire.
    pub(super) fn write(&mut self, pipe: usize, from: usize, max_bytes: usize) -> bool {
        let Pipe { ends, wires, written, .. } = &mut self.pipes[pipe];
        let Some(end) = ends[from] else { return false };
        let engine = &mut self.nodes[end.node].engine;
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = engine.poll_transmit(end.id, &mut slices).expect("an open socket");
        let mut bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        bytes.truncate(max_bytes);
        engine.advance(end.id, bytes.len()).expect("no more than waits");
        let bodies = written[from].read(&bytes);
        if let Some(other) = ends[1 - from] {
            wires[from].extend(&bytes);
            let crossing = |body| Crossing { from: end.node, to: other.node, body };
            self.crossings.extend(bodies.into_iter().map(crossing));
        }
        self.collect_closed(end.node);
        !bytes.is_empty()
    }

    /// Hands up to so many bytes that `from` wrote to the other end.
    pub(super) fn read(&mut self, pipe: usize, from: usize, max_bytes: usize) -> bool {
        let Pipe { ends, wires, is_raw, .. } = &mut self.pipes[pipe];
        let len = wires[from].len().min(max_bytes);
        let bytes: Vec<u8> = wires[from].drain(..len).collect();
        let Some(end) = ends[1 - from] else { return len > 0 };
        let engine = &mut self.nodes[end.node].engine;
        if len > 0 {
            engine.handle_input(self.now, end.id, &bytes).expect("an open socket");
        } else if ends[from].is_none() && !*is_raw && wires[from].is_empty() {
            // The other side closed, and all that it wrote has been read.
            engine.handle_closed(self.now, end.id, CloseReason::ClientClosed).expect("an open socket");
            ends[1 - from] = None;
            return true;
        }
        self.collect_closed(end.node);
        len > 0
    }

    /// Breaks a connection: one end hears of it now, the other once it has read what was on the way, if that is not
    /// lost as well.
    pub(super) fn break_pipe(&mut self, pipe: usize, first: usize, loses_bytes: bool) {
        let Pipe { ends, wires, .. } = &mut self.pipes[pipe];
        if loses_bytes {
            wires.iter_mut().for_each(VecDeque::clear);
        }
        if let Some(end) = ends[first].take() {
            let engine = &mut self.nodes[end.node].engine;
            engine.handle_closed(self.now, end.id, CloseReason::ReadError).expect("an open socket");
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
        self.is_bouncing = self.pipes.iter().any(Pipe::carries_message_for_group);
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

    /// Closes the sockets that a node is done with.
    fn collect_closed(&mut self, node: usize) {
        while let Some((closed, _)) = self.nodes[node].engine.poll_closed() {
            let ends = self.pipes.iter_mut().flat_map(|pipe| &mut pipe.ends);
            let end =
                ends.into_iter().find(|end| end.is_some_and(|end| end.node == node && end.id == closed));
            *end.expect("a socket of this node, and only once") = None;
        }
    }

    fn remote(&mut self, node: usize) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::new(host(node).parse().expect("an address"), 40_000 + self.next_port)
    }
}
