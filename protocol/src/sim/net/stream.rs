//! Streams: two ends, and a pipe from each to the other.

use std::ops::{Index, IndexMut};
use std::time::Duration;

use super::HostId;
use super::pipe::Pipe;
use crate::time::Instant;

/// A stream. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(usize);

/// Which end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who dialed.
    Dialer,
    /// Who was dialed.
    Acceptor,
}

/// One end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End {
    /// Of which stream.
    pub stream: StreamId,
    /// Which end of it.
    pub side: Side,
}

/// Something of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sim) struct Both<T>(pub(in crate::sim) [T; 2]);

/// What an end of a stream is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The dialer does not know yet that it is connected.
    Pending,
    Open,
    /// Open, but nothing is read.
    Paused,
    Closed,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) states: Both<State>,
    pub(super) pipes: Both<Pipe>,
    pub(super) hosts: Both<HostId>,
    /// How long everything takes on a stream that does not leave its host, which nothing between hosts concerns.
    pub(super) local_latency: Option<Duration>,
    /// Set when either end is closed or loses bytes.
    pub(super) is_broken: bool,
}

/// All streams that are not over.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Option<Box<Stream>>>,
}

impl StreamId {
    /// Streams are counted from zero.
    pub fn number(self) -> usize {
        self.0
    }

    /// The dialer's end.
    pub fn dialer(self) -> End {
        End { stream: self, side: Side::Dialer }
    }

    /// The acceptor's end.
    pub fn acceptor(self) -> End {
        End { stream: self, side: Side::Acceptor }
    }

    /// Both ends, the dialer's first.
    pub fn ends(self) -> [End; 2] {
        [self.dialer(), self.acceptor()]
    }
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dialer, Self::Acceptor];

    /// The side that is not this one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

impl<T> Index<Side> for Both<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for Both<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

impl End {
    /// The end that is not this one.
    #[must_use]
    pub fn other(self) -> Self {
        Self { side: self.side.other(), ..self }
    }
}

impl Stream {
    pub(super) fn new(
        states: [State; 2],
        hosts: [HostId; 2],
        local_latency: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            states: Both(states),
            pipes: Both([Pipe::new(now), Pipe::new(now)]),
            hosts: Both(hosts),
            local_latency,
            is_broken: false,
        }
    }

    /// Lets everything vanish that is or will be on its way, in both directions.
    pub(super) fn lose(&mut self) {
        self.is_broken = true;
        for pipe in &mut self.pipes.0 {
            pipe.is_lost = true;
            pipe.clear();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.states.0 == [State::Closed; 2]
    }

    pub(super) fn is_local(&self) -> bool {
        self.local_latency.is_some()
    }
}

impl Streams {
    pub(super) fn insert(&mut self, stream: Stream) -> StreamId {
        self.streams.push(Some(Box::new(stream)));
        StreamId(self.streams.len() - 1)
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(id.0)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id.0)?.as_deref_mut()
    }

    /// What an end writes into.
    pub(super) fn pipe(&self, end: End) -> Option<&Pipe> {
        self.get(end.stream).map(|stream| &stream.pipes[end.side])
    }

    pub(super) fn pipe_mut(&mut self, end: End) -> Option<&mut Pipe> {
        self.get_mut(end.stream).map(|stream| &mut stream.pipes[end.side])
    }

    /// What an end is to its stream; one that is over is closed.
    pub(super) fn state(&self, end: End) -> State {
        self.get(end.stream).map_or(State::Closed, |stream| stream.states[end.side])
    }

    pub(super) fn remove(&mut self, id: StreamId) {
        self.streams[id.0] = None;
    }

    /// All that are not over, in the order of their beginning.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams.iter().enumerate().filter_map(|(at, stream)| Some((StreamId(at), stream.as_deref()?)))
    }
}
