//! Ordered byte streams between nodes, and between clients and nodes.
//!
//! A stream is two pipes. What is written into a pipe arrives in order, later, and cut elsewhere than it was written; or
//! not at all, with or without anybody being told.

use std::collections::{BTreeMap, VecDeque};

use super::label::Label;
use super::node::NodeId;
use super::tap::Tap;
use super::{ClientId, MAX_SEGMENTS_IN_FLIGHT, Sid};
use crate::id::ConnectionId;
use crate::time::Instant;

/// A stream. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId(usize);

/// The number of a stream's end: the dialer's or the acceptor's.
pub(super) type Side = usize;
pub(super) const DIALER: Side = 0;
pub(super) const ACCEPTOR: Side = 1;

/// Who holds one end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The dialer does not know yet that it is connected.
    Pending,
    Node(NodeId, ConnectionId),
    Client(ClientId),
    Closed,
}

/// What travels through a pipe.
#[derive(Debug)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    End(Ending),
}

/// How a socket was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// In order: the peer reads all that was written before.
    Fin,
    /// Abruptly: what is on its way may be lost.
    Reset,
}

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) segments: VecDeque<Segment>,
    /// Bytes that were written and not acknowledged; never more than the socket buffer holds.
    pub(super) held_bytes: usize,
    /// Those of them that were read, but the acknowledgement cannot get through.
    pub(super) read_bytes: usize,
    /// No segment arrives before the one in front of it.
    pub(super) last_arrival: Instant,
    /// Arrivals that were due while nothing got through, and that are made up for.
    pub(super) parked: usize,
    /// Nothing that is written here ever arrives, and nobody is told.
    pub(super) is_lost: bool,
    /// The writer found the buffer full.
    pub(super) writer_waits: bool,
    /// Since when it has found no room at all.
    pub(super) blocked_since: Option<Instant>,
    pub(super) written_bytes: u64,
    pub(super) delivered_bytes: u64,
    /// The subscriptions of the writer's clients that the reader knows of once it has read so many bytes.
    pub(super) told: BTreeMap<(ClientId, Sid), u64>,
    pub(super) tap: Tap,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ends: [End; 2],
    pub(super) pipes: [Pipe; 2],
    /// The nodes that the ends are or were at; both the same for a client's stream.
    pub(super) nodes: [NodeId; 2],
    /// Whether it joins two servers.
    pub(super) is_route: bool,
    /// Which dial made it; none for a client's stream.
    pub(super) label: Option<Label>,
    /// Set when either end is closed or loses bytes: who expects delivery over it expects no more.
    pub(super) is_broken: bool,
}

impl Stream {
    pub(super) fn new(ends: [End; 2], nodes: [NodeId; 2], is_route: bool, now: Instant) -> Self {
        Self { ends, pipes: [Pipe::new(now), Pipe::new(now)], nodes, is_route, label: None, is_broken: false }
    }

    /// Lets everything vanish that is or will be on its way, in both directions.
    pub(super) fn lose(&mut self) {
        self.is_broken = true;
        self.pipes.iter_mut().for_each(Pipe::lose);
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends == [End::Closed, End::Closed]
    }
}

impl Pipe {
    fn new(now: Instant) -> Self {
        Self {
            segments: VecDeque::new(),
            held_bytes: 0,
            read_bytes: 0,
            last_arrival: now,
            parked: 0,
            is_lost: false,
            writer_waits: false,
            blocked_since: None,
            written_bytes: 0,
            delivered_bytes: 0,
            told: BTreeMap::new(),
            tap: Tap::default(),
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.segments.clear();
        self.parked = 0;
    }

    /// How many more bytes can be written.
    pub(super) fn room(&self, buffer_bytes: usize) -> usize {
        if self.segments.len() >= MAX_SEGMENTS_IN_FLIGHT {
            return 0;
        }
        buffer_bytes.saturating_sub(self.held_bytes)
    }

    /// Frees the buffer of what the reader took, if the acknowledgement gets through.
    pub(super) fn acknowledge(&mut self, bytes: usize, gets_through: bool) {
        self.read_bytes += bytes;
        if gets_through {
            self.blocked_since = None;
            self.held_bytes -= std::mem::take(&mut self.read_bytes);
        }
    }
}

/// All streams that are not over.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Option<Box<Stream>>>,
}

impl Streams {
    pub(super) fn insert(&mut self, stream: Stream) -> StreamId {
        self.streams.push(Some(Box::new(stream)));
        StreamId(self.streams.len() - 1)
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams[id.0].as_deref()
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams[id.0].as_deref_mut()
    }

    pub(super) fn remove(&mut self, id: StreamId) {
        self.streams[id.0] = None;
    }

    /// All that are not over, in the order of their beginning.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams.iter().enumerate().filter_map(|(at, stream)| Some((StreamId(at), stream.as_deref()?)))
    }

    /// Whether everything that was written into it before now arrived or will.
    pub(super) fn is_whole(&self, id: StreamId) -> bool {
        self.get(id).is_some_and(|stream| !stream.is_broken)
    }
}

impl StreamId {
    pub(super) fn number(self) -> usize {
        self.0
    }
}
