//! A network in virtual time: byte streams between hosts, and all that can become of them (design.md 7).
//!
//! A machine of its own, which knows neither what is written nor who is at the ends of its streams. Whoever drives it
//! dials, writes and closes, and hears what follows: in the order of time ([`Network::poll`], [`Network::next_at`]), or in
//! an order of its own choice ([`Network::due`], [`Network::take`]). What is left to chance is decided from outside
//! ([`Chance`]); what goes wrong on purpose is asked for: one-way cuts, streams that are reset, or lost without anybody
//! being told, readers that pause. The simulator, the transcripts of engines and the fuzz targets all drive it. It imports
//! nothing of them.
//!
//! ```
//! use onehop::Instant;
//! use onehop::sim::net::{Event, HostId, Network, NetworkConfig, NoChance};
//!
//! let (a, b, now) = (HostId(0), HostId(1), Instant::ZERO);
//! let mut network = Network::new(NetworkConfig::instant(), NoChance);
//! network.settle_at(a, [10, 0, 0, 1].into());
//! network.settle_at(b, [10, 0, 0, 2].into());
//! let attempt = network.dial(a, ([10, 0, 0, 2], 6222).into(), now);
//! assert!(matches!(network.poll(now), Some(Event::Called { host, .. }) if host == b));
//! let accepted = network.accept(attempt, now).expect("the call was not answered yet");
//! let Some(Event::Connected { dialed, .. }) = network.poll(now) else { panic!("{network:?}") };
//!
//! network.write(dialed, b"PING\r\n".to_vec(), now);
//! let Some(Event::Read { end, bytes, .. }) = network.poll(now) else { panic!("{network:?}") };
//! assert_eq!((end, bytes.as_slice()), (accepted, b"PING\r\n".as_slice()));
//! ```

mod chance;
mod config;
mod dialing;
mod faults;
mod pipe;
mod places;
mod stream;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::queue::Queue;
use crate::time::Instant;
pub use chance::{Chance, NoChance};
pub use config::NetworkConfig;
pub use dialing::{AttemptId, DialFault};
pub use pipe::Ending;
#[cfg(test)]
pub(super) use pipe::Segment;
pub use places::HostId;
pub(super) use stream::Both;
pub use stream::{End, Side, StreamId};

use chance::Odds;
use dialing::Attempt;
use faults::{Cuts, Walls};
use places::Places;
use stream::{State, Streams};

/// Hosts, the streams between them, and what is on its way.
#[derive(Debug)]
pub struct Network<C> {
    odds: Odds<C>,
    places: Places,
    cuts: Cuts,
    walls: Walls,
    /// Dials that were not answered yet.
    attempts: BTreeMap<AttemptId, Attempt>,
    attempts_made: u64,
    streams: Streams,
    due: Queue<Due>,
}

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A dial reaches the host.
    Call(AttemptId),
    /// The dialer hears that it is connected.
    Connect(AttemptId, StreamId),
    /// The dialer hears that it is not.
    Fail(AttemptId, DialFault),
    /// What this end wrote first arrives at the other.
    Arrive(End),
}

/// Something that happened, and that somebody has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody dials a port of a host, which must [`accept`](Network::accept) or [`refuse`](Network::refuse).
    Called {
        /// To answer with.
        attempt: AttemptId,
        /// Who is called.
        host: HostId,
        /// At which of its ports.
        port: u16,
        /// Where the call seems to come from.
        remote: SocketAddr,
    },
    /// A dial came through.
    Connected {
        /// The dial, which is over.
        attempt: AttemptId,
        /// The dialer's end of the new stream.
        dialed: End,
    },
    /// A dial did not.
    Failed {
        /// The dial, which is over.
        attempt: AttemptId,
        /// What became of it.
        fault: DialFault,
    },
    /// Bytes came out of a stream.
    Read {
        /// The end that reads them.
        end: End,
        /// Which.
        bytes: Vec<u8>,
        /// The other end [waited](Network::wait_for_room) and may have room now.
        writer_may_go_on: bool,
    },
    /// The other side ended the stream, and all that arrives of it has been read. This end must be
    /// [closed](Network::close) in turn.
    Ended {
        /// The end that hears of it.
        end: End,
        /// How.
        ending: Ending,
    },
}

impl<C: Chance> Network<C> {
    /// A network without hosts.
    pub fn new(config: NetworkConfig, chance: C) -> Self {
        Self {
            odds: Odds { config, chance },
            places: Places::default(),
            cuts: Cuts::default(),
            walls: Walls::default(),
            attempts: BTreeMap::new(),
            attempts_made: 0,
            streams: Streams::default(),
            due: Queue::new(),
        }
    }

    /// How it behaves.
    pub fn config(&self) -> &NetworkConfig {
        &self.odds.config
    }

    /// When to [`poll`](Self::poll) next; none if nothing is on its way. Changes with every other call.
    pub fn next_at(&self) -> Option<Instant> {
        self.due.next_at()
    }

    /// What happens next, if it happens by now. To be polled until there is nothing more, after each call that sends
    /// something and whenever [`next_at`](Self::next_at) comes.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Option<Event> {
        while self.next_at().is_some_and(|at| at <= now) {
            let (_, due) = self.due.pop()?;
            let event = self.happen(due, now);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// All that is on its way, the next first, for those who choose another order. Of what a stream carries only the first
    /// can [be taken](Self::take).
    pub fn due(&self) -> impl Iterator<Item = Due> {
        self.due.iter().map(|(_, due)| *due)
    }

    /// What happens next to a dial that is not over.
    pub fn due_of(&self, attempt: AttemptId) -> Option<Due> {
        self.due().find(|due| match due {
            Due::Call(id) | Due::Connect(id, _) | Due::Fail(id, _) => *id == attempt,
            Due::Arrive(_) => false,
        })
    }

    /// Lets something happen now, whenever it is due; of bytes no more than so many, at least one, so that the rest comes
    /// later. None if it is not on its way, cannot come before something else, or concerns nobody any more.
    pub fn take(&mut self, due: Due, max_bytes: usize, now: Instant) -> Option<Event> {
        let key = self.due.iter().find(|(_, other)| **other == due).map(|(key, _)| *key)?;
        let mut leaves_rest = false;
        if let Due::Arrive(from) = due {
            if self.streams.state(from.other()) == State::Pending {
                return None;
            }
            leaves_rest = self.streams.pipe_mut(from).is_some_and(|pipe| pipe.split_first(max_bytes));
        }
        if !leaves_rest {
            self.due.take(key);
        }
        self.happen(due, now)
    }

    fn happen(&mut self, due: Due, now: Instant) -> Option<Event> {
        match due {
            Due::Call(attempt) => self.call(attempt, now),
            Due::Connect(attempt, stream) => self.connect(attempt, stream, now),
            Due::Fail(attempt, fault) => {
                self.attempts.remove(&attempt).map(|_| Event::Failed { attempt, fault })
            }
            Due::Arrive(from) => self.arrive(from),
        }
    }
}
