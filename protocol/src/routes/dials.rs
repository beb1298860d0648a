//! What is to be dialed, when, and what is being dialed now.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::config::{ClusterConfig, RouteUrl};
use crate::gossip::GossipMode;
use crate::id::ConnectionId;
use crate::time::Instant;

/// One wish to be connected, from its first attempt to its last. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub(crate) u64);

/// A wish to be connected to one server, by pool or for one account.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) url: RouteUrl,
    /// The URL is configured: tried for ever.
    pub(crate) explicit: bool,
    /// For a connection dedicated to this account.
    pub(crate) account: Option<String>,
    /// The mode of the gossip that told of the server.
    pub(crate) gossip_mode: GossipMode,
    /// Which server is expected there, if known.
    pub(crate) peer: Option<String>,
    /// Whether there was a connection before, for the choice of what to log.
    pub(crate) reconnect: bool,
    /// Attempts that failed.
    pub(crate) failures: u32,
    pub(crate) state: DialState,
}

/// How far a dial has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialState {
    /// To be started at this time.
    Waiting(Instant),
    /// The runtime is at it.
    Dialing,
    /// Connected; the handshake is under way.
    Shaking(ConnectionId),
}

impl Dial {
    /// Whether the other wish would end in the same connection.
    fn is_same(&self, other: &Dial) -> bool {
        let same_place =
            self.url.host.eq_ignore_ascii_case(&other.url.host) && self.url.port == other.url.port;
        let same_peer = self.peer.is_some() && self.peer == other.peer;
        self.account == other.account && (same_place || same_peer)
    }
}

/// All dials of a node.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    dials: BTreeMap<DialId, Dial>,
    last: u64,
}

impl Dials {
    /// Adds a dial unless there is one already that would make the same connection.
    pub(crate) fn add(&mut self, dial: Dial) {
        if let Some(same) = self.dials.values_mut().find(|known| known.is_same(&dial)) {
            // What is configured is never given up, even if it was heard of first.
            same.explicit |= dial.explicit;
            return;
        }
        self.last += 1;
        self.dials.insert(DialId(self.last), dial);
    }

    pub(crate) fn get(&self, id: DialId) -> Option<&Dial> {
        self.dials.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: DialId) -> Option<&mut Dial> {
        self.dials.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: DialId) -> Option<Dial> {
        self.dials.remove(&id)
    }

    /// The next dial that is due; it counts as begun.
    pub(crate) fn begin_next(&mut self, now: Instant) -> Option<(DialId, &Dial)> {
        let due = |dial: &Dial| matches!(dial.state, DialState::Waiting(at) if at <= now);
        let (id, dial) = self.dials.iter_mut().find(|(_, dial)| due(dial))?;
        dial.state = DialState::Dialing;
        Some((*id, dial))
    }

    /// When the next dial is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.dials.values().filter_map(|dial| match dial.state {
            DialState::Waiting(at) => Some(at),
            _ => None,
        });
        waiting.min()
    }

    /// Notes that an attempt failed: tries again later, or gives up and returns false.
    pub(crate) fn fail(&mut self, id: DialId, now: Instant, config: &ClusterConfig, rng: &mut Rng) -> bool {
        let Some(dial) = self.dials.get_mut(&id) else {
            return false;
        };
        dial.failures = dial.failures.saturating_add(1);
        if !dial.explicit && dial.failures > config.connect_retries {
            self.dials.remove(&id);
            return false;
        }
        dial.state = DialState::Waiting(now + retry_pause(config, dial.failures) + jitter(rng));
        true
    }
}

/// The pause before attempt `failures` + 1.
fn retry_pause(config: &ClusterConfig, failures: u32) -> Duration {
    if config.connect_backoff {
        RETRY_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(5)).min(MAX_RETRY_PAUSE)
    } else {
        RETRY_PAUSE
    }
}

/// A random moment, so that two servers that dial each other do not collide for ever.
pub(crate) fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(MAX_JITTER.as_micros()).unwrap_or(u64::MAX)))
}

/// Between two attempts to reach a server, and before a configured route that was lost is dialed again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);
const MAX_JITTER: Duration = Duration::from_millis(100);
