//! What goes wrong because somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;
use super::pipe::{Ending, Segment};
use super::stream::State;
use super::{Due, End, HostId, Network, StreamId};
use crate::time::Instant;

/// How many cuts lie on the way from one host to another.
#[derive(Debug, Default)]
pub(super) struct Cuts(BTreeMap<(HostId, HostId), u32>);

impl Cuts {
    pub(super) fn has(&self, from: HostId, to: HostId) -> bool {
        self.0.contains_key(&(from, to))
    }
}

/// Who can dial whom: all, apart from these. What they have connections for goes through nevertheless.
#[derive(Debug, Default)]
pub(super) struct Walls(BTreeSet<(HostId, HostId)>);

impl Walls {
    pub(super) fn stand_between(&self, dialer: HostId, dialed: HostId) -> bool {
        self.0.contains(&(dialer, dialed))
    }
}

impl<C: Chance> Network<C> {
    /// Nobody answers when one host dials another, from now on and for good: one of them is behind a router that lets nothing in,
    /// or a firewall is between them.
    pub fn wall(&mut self, dialer: HostId, dialed: HostId) {
        self.walls.0.insert((dialer, dialed));
    }

    /// Lets nothing through from one host to another until [`heal`](Self::heal) was called as often. It is not lost but
    /// waits.
    pub fn cut(&mut self, from: HostId, to: HostId) {
        *self.cuts.0.entry((from, to)).or_default() += 1;
    }

    /// Ends one cut. What waited arrives once it [is let](Self::resume).
    pub fn heal(&mut self, from: HostId, to: HostId) {
        if let Some(cuts) = self.cuts.0.get_mut(&(from, to)) {
            *cuts -= 1;
            if *cuts == 0 {
                self.cuts.0.remove(&(from, to));
            }
        }
    }

    /// Ends all cuts, lets everybody read, and lets nothing go wrong by itself any more. What waited arrives once it
    /// [is let](Self::resume).
    pub fn heal_all(&mut self) {
        self.cuts.0.clear();
        self.odds.config = self.odds.config.clone().without_losses();
        for id in self.all() {
            id.ends().into_iter().for_each(|end| self.set_reading(end, true));
        }
    }

    /// Lets an open end read or not. What waited arrives once it [is let](Self::resume).
    pub fn set_reading(&mut self, end: End, reads: bool) {
        let Some(stream) = self.streams.get_mut(end.stream) else {
            return;
        };
        let state = &mut stream.states[end.side];
        match (*state, reads) {
            (State::Open, false) => *state = State::Paused,
            (State::Paused, true) => *state = State::Open,
            _ => {}
        }
    }

    /// Lets arrive what was held up and is no more. Returns the ends that waited for room and may have some now.
    #[must_use]
    pub fn resume(&mut self, now: Instant) -> Vec<End> {
        let ends: Vec<End> = self.all().into_iter().flat_map(StreamId::ends).collect();
        ends.into_iter().filter(|end| self.resume_from(*end, now)).collect()
    }

    /// What is on its way in a stream is lost, and both ends find it reset a moment later.
    pub fn reset(&mut self, id: StreamId, now: Instant) {
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        stream.is_broken = true;
        stream.pipes.0.iter_mut().for_each(|pipe| pipe.clear());
        id.ends().into_iter().for_each(|end| self.send(end, Segment::End(Ending::Reset), now));
    }

    /// Makes a stream half open: nothing that is or will be on its way arrives, not even its end, and nobody is told.
    pub fn lose(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.lose();
        }
    }

    /// The streams between two hosts, oldest first.
    pub fn between(&self, a: HostId, b: HostId) -> Vec<StreamId> {
        self.far(|hosts| hosts == [a, b] || hosts == [b, a])
    }

    /// The streams between a host and any, oldest first.
    pub fn reaching(&self, host: HostId) -> Vec<StreamId> {
        self.far(|hosts| hosts.contains(&host))
    }

    fn resume_from(&mut self, end: End, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(end.stream) else {
            return false;
        };
        let (writer, reader) = (stream.hosts[end.side], stream.hosts[end.side.other()]);
        let is_acknowledged = stream.is_local() || !self.cuts.has(reader, writer);
        let pipe = &mut stream.pipes[end.side];
        pipe.acknowledge(0, is_acknowledged);
        let at = now + self.odds.delay();
        for _ in 0..std::mem::take(&mut pipe.parked) {
            self.due.push(at, Due::Arrive(end));
        }
        pipe.writer_waits
    }

    fn all(&self) -> Vec<StreamId> {
        self.streams.iter().map(|(id, _)| id).collect()
    }

    fn far(&self, is_meant: impl Fn([HostId; 2]) -> bool) -> Vec<StreamId> {
        let far = self.streams.iter().filter(|(_, stream)| !stream.is_local() && is_meant(stream.hosts.0));
        far.map(|(id, _)| id).collect()
    }
}
