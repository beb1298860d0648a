//! How a dial of one address becomes a stream, or nothing.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::chance::Chance;
use super::stream::{State, Stream};
use super::{Due, End, Event, HostId, Network, Side, StreamId};
use crate::time::Instant;

/// A dial of one address. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

/// Why a dial did not come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialFault {
    /// Nobody listens there.
    Refused,
    /// No answer came.
    TimedOut,
}

#[derive(Debug)]
pub(super) struct Attempt {
    from: HostId,
    to: SocketAddr,
    begun: Instant,
}

impl<C: Chance> Network<C> {
    /// Dials an address. What became of it is told once, as [`Event::Connected`] or [`Event::Failed`].
    pub fn dial(&mut self, from: HostId, to: SocketAddr, now: Instant) -> AttemptId {
        let id = AttemptId(self.attempts_made);
        self.attempts_made += 1;
        self.attempts.insert(id, Attempt { from, to, begun: now });
        let delay = self.odds.delay();
        let target = self.places.owner(to.ip());
        let is_cut = target.is_none_or(|target| {
            let is_cut = self.cuts.has(from, target) || self.cuts.has(target, from);
            is_cut || self.walls.stand_between(from, target)
        });
        if is_cut || self.odds.happens(self.odds.config.timeouts_per_million) {
            self.time_out(id, now);
        } else if self.odds.happens(self.odds.config.refusals_per_million) {
            self.due.push(now + delay, Due::Fail(id, DialFault::Refused));
        } else {
            self.due.push(now + delay, Due::Call(id));
        }
        id
    }

    /// The host takes a call: its end of the new stream, which it may write to at once. None if the call is over.
    pub fn accept(&mut self, id: AttemptId, now: Instant) -> Option<End> {
        let attempt = self.attempts.get(&id)?;
        let hosts = [attempt.from, self.places.owner(attempt.to.ip())?];
        let mut stream = Stream::new([State::Pending, State::Open], hosts, None, now);
        let established = now + self.odds.delay();
        stream.pipes[Side::Acceptor].last_arrival = established;
        let stream = self.streams.insert(stream);
        self.due.push(established, Due::Connect(id, stream));
        Some(stream.acceptor())
    }

    /// The host does not take a call.
    pub fn refuse(&mut self, id: AttemptId, now: Instant) {
        let delay = self.odds.delay();
        self.due.push(now + delay, Due::Fail(id, DialFault::Refused));
    }

    /// A stream that is open at once and that only [`close`](Self::close) and [`lose`](Self::lose) concern: between a host
    /// and something that is attached to it, by which everything takes so long.
    pub fn attach(&mut self, host: HostId, latency: Duration, now: Instant) -> StreamId {
        self.streams.insert(Stream::new([State::Open; 2], [host; 2], Some(latency), now))
    }

    pub(super) fn call(&mut self, attempt: AttemptId, now: Instant) -> Option<Event> {
        let Attempt { from, to, .. } = *self.attempts.get(&attempt)?;
        let Some(host) = self.places.owner(to.ip()) else {
            // It moved away meanwhile.
            self.refuse(attempt, now);
            return None;
        };
        let remote = self.places.next_remote(from);
        Some(Event::Called { attempt, host, port: to.port(), remote })
    }

    pub(super) fn connect(&mut self, attempt: AttemptId, id: StreamId, now: Instant) -> Option<Event> {
        let stream = self.streams.get_mut(id)?;
        let [dialer, acceptor] = stream.hosts.0;
        if self.cuts.has(acceptor, dialer) {
            // The acceptor has a connection that nobody else knows of.
            stream.lose();
            stream.states[Side::Dialer] = State::Closed;
            self.time_out(attempt, now);
            return None;
        }
        stream.states[Side::Dialer] = State::Open;
        self.attempts.remove(&attempt)?;
        Some(Event::Connected { attempt, dialed: id.dialer() })
    }

    fn time_out(&mut self, id: AttemptId, now: Instant) {
        if let Some(attempt) = self.attempts.get(&id) {
            let at = (attempt.begun + self.odds.config.dial_timeout).max(now);
            self.due.push(at, Due::Fail(id, DialFault::TimedOut));
        }
    }
}

impl fmt::Display for DialFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::TimedOut => "i/o timeout",
        })
    }
}
