//! What happens to bytes between the moment they are written and the moment they are read.

use super::chance::Chance;
use super::pipe::{Ending, Segment};
use super::stream::State;
use super::{Due, End, Event, HostId, Network, StreamId};
use crate::time::Instant;

impl<C: Chance> Network<C> {
    /// How many bytes an end may write now.
    pub fn room(&self, end: End) -> usize {
        self.streams.pipe(end).map_or(0, |pipe| pipe.room(self.odds.config.buffer_bytes))
    }

    /// An end has bytes to write and no room: it is told when something was read. Whether nothing was acknowledged since it
    /// began to wait is what [`blocked_since`](Self::blocked_since) says.
    pub fn wait_for_room(&mut self, end: End, now: Instant) {
        if let Some(pipe) = self.streams.pipe_mut(end) {
            pipe.writer_waits = true;
            pipe.blocked_since.get_or_insert(now);
        }
    }

    /// Since when an open end waits in vain for room.
    pub fn blocked_since(&self, end: End) -> Option<Instant> {
        self.streams.pipe(end).filter(|_| self.is_open(end))?.blocked_since
    }

    /// How many of so many bytes that wait to be written are written at once.
    pub fn portion(&mut self, bytes: usize) -> usize {
        if bytes > 1 && self.odds.happens(self.odds.config.splits_per_million) {
            1 + self.odds.index(bytes - 1)
        } else {
            bytes
        }
    }

    /// Writes bytes, whether or not there is [`room`](Self::room) for them. True if it is by these that the stream
    /// [is reset](Self::reset) ([`NetworkConfig::resets_per_million`](super::NetworkConfig::resets_per_million)).
    pub fn write(&mut self, end: End, bytes: Vec<u8>, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(end.stream) else {
            return false;
        };
        if !stream.is_local() && self.odds.happens(self.odds.config.resets_per_million) {
            self.reset(end.stream, now);
            return true;
        }
        let pipe = &mut stream.pipes[end.side];
        pipe.hold(bytes.len());
        if pipe.is_lost || stream.states[end.side] == State::Closed {
            return false;
        }
        if let Some(Segment::Bytes(last)) = pipe.segments.back_mut()
            && self.odds.happens(self.odds.config.merges_per_million)
        {
            last.extend_from_slice(&bytes);
        } else {
            self.send(end, Segment::Bytes(bytes), now);
        }
        false
    }

    /// Closes one end: it hears nothing more, and the other hears of it. True if the stream is over by that.
    pub fn close(&mut self, end: End, ending: Ending, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(end.stream) else {
            return false;
        };
        let state = &mut stream.states[end.side];
        if *state == State::Closed {
            return false;
        }
        *state = State::Closed;
        stream.is_broken = true;
        if stream.is_over() {
            self.streams.remove(end.stream);
            return true;
        }
        self.send(end, Segment::End(ending), now);
        false
    }

    /// Whether an end can read: the dialer's does once it [is connected](Event::Connected).
    pub fn is_open(&self, end: End) -> bool {
        matches!(self.streams.state(end), State::Open | State::Paused)
    }

    /// Whether everything that was written into a stream before now arrived or will.
    pub fn is_whole(&self, id: StreamId) -> bool {
        self.streams.get(id).is_some_and(|stream| !stream.is_broken)
    }

    /// The hosts of a stream that is not over, the dialer's first.
    pub fn hosts(&self, id: StreamId) -> Option<[HostId; 2]> {
        self.streams.get(id).map(|stream| stream.hosts.0)
    }

    /// How many bytes an end wrote.
    pub fn written_bytes(&self, end: End) -> u64 {
        self.streams.pipe(end).map_or(0, |pipe| pipe.written_bytes)
    }

    /// How many of the bytes that an end wrote came out at the other.
    pub fn delivered_bytes(&self, end: End) -> u64 {
        self.streams.pipe(end).map_or(0, |pipe| pipe.delivered_bytes)
    }

    /// What is on its way from an end, in the pieces that it would arrive in.
    pub fn on_its_way(&self, end: End) -> impl Iterator<Item = &[u8]> {
        let segments = self.streams.pipe(end).into_iter().flat_map(|pipe| &pipe.segments);
        segments.filter_map(|segment| match segment {
            Segment::Bytes(bytes) => Some(bytes.as_slice()),
            Segment::End(_) => None,
        })
    }

    /// What is on its way from an end, for tests that change it.
    #[cfg(test)]
    pub(in crate::sim) fn in_flight(&mut self, end: End) -> &mut std::collections::VecDeque<Segment> {
        &mut self.streams.pipe_mut(end).expect("a stream that is not over").segments
    }

    pub(super) fn send(&mut self, end: End, segment: Segment, now: Instant) {
        let Some(stream) = self.streams.get_mut(end.stream) else {
            return;
        };
        let delay = stream.local_latency.unwrap_or_else(|| self.odds.delay());
        let pipe = &mut stream.pipes[end.side];
        if pipe.is_lost {
            return;
        }
        pipe.last_arrival = pipe.last_arrival.max(now + delay);
        pipe.segments.push_back(segment);
        self.due.push(pipe.last_arrival, Due::Arrive(end));
    }

    /// The next segment comes out of the pipe that an end writes into.
    pub(super) fn arrive(&mut self, from: End) -> Option<Event> {
        let end = from.other();
        let stream = self.streams.get_mut(from.stream)?;
        let reader = stream.states[end.side];
        let (here, there) = (stream.hosts[from.side], stream.hosts[end.side]);
        let is_cut = !stream.is_local() && self.cuts.has(here, there);
        let is_acknowledged = stream.is_local() || !self.cuts.has(there, here);
        let pipe = &mut stream.pipes[from.side];
        if is_cut || matches!(reader, State::Paused | State::Pending) {
            pipe.parked += usize::from(!pipe.is_lost);
            return None;
        }
        match pipe.segments.pop_front()? {
            Segment::Bytes(bytes) => {
                pipe.delivered_bytes += bytes.len() as u64;
                pipe.acknowledge(bytes.len(), is_acknowledged);
                let writer_may_go_on = std::mem::take(&mut pipe.writer_waits);
                (reader == State::Open).then_some(Event::Read { end, bytes, writer_may_go_on })
            }
            Segment::End(ending) => {
                stream.is_broken = true;
                (reader == State::Open).then_some(Event::Ended { end, ending })
            }
        }
    }
}
