//! What is to be dialed, when, and what is being dialed now.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use log::debug;

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
    /// Which server may be there, among other places: each is tried once, and none once it is connected.
    pub(crate) guess_of: Option<String>,
    /// Whether there was a connection before, for the choice of what to log.
    pub(crate) reconnect: bool,
    /// Until then it is tried again, though it is not configured.
    pub(crate) until: Option<Instant>,
    /// For another connection to a server that there is a route to already.
    pub(crate) fills: bool,
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
    /// A dial of a server that was only heard of, to be tried once.
    pub(crate) fn new(url: RouteUrl, account: Option<String>, at: Instant) -> Self {
        Self {
            url,
            explicit: false,
            account,
            gossip_mode: GossipMode::Default,
            peer: None,
            guess_of: None,
            reconnect: false,
            until: None,
            fills: false,
            failures: 0,
            state: DialState::Waiting(at),
        }
    }

    /// Takes over what a newer wish for the same connection knows better.
    fn renew(&mut self, newer: Dial) {
        let moved = !self.explicit && (self.url.host != newer.url.host || self.url.port != newer.url.port);
        if moved && matches!(self.state, DialState::Waiting(_)) {
            // The server is said to be elsewhere now, so earlier failures mean nothing.
            self.url = newer.url;
            self.failures = 0;
            self.state = newer.state;
        }
        // What is configured is never given up, even if it was heard of first; nor is what was heard of again.
        self.explicit |= newer.explicit;
        self.until = self.until.max(newer.until);
    }

    /// Whether the other wish would end in the same connection.
    fn is_same(&self, other: &Dial) -> bool {
        let same_peer = self.peer.is_some() && self.peer == other.peer;
        self.account == other.account && (self.is_at(&other.url) || same_peer)
    }

    fn is_at(&self, url: &RouteUrl) -> bool {
        self.url.leads_to(&url.host, url.port)
    }

    fn is_under_way(&self) -> bool {
        !matches!(self.state, DialState::Waiting(_))
    }
}

/// All dials of a node.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    pub(super) dials: BTreeMap<DialId, Dial>,
    pub(super) last: u64,
    /// When the dials that were begun would be paid for at the allowed pace.
    pub(super) paid_until: Instant,
    pub(super) started: u64,
}

impl Dials {
    /// Adds a dial unless there is one already that would make the same connection.
    pub(crate) fn add(&mut self, dial: Dial) {
        // What is under way to where a server is only said to be does not stand for its configured place.
        let stands_for = |known: &Dial| known.explicit || !dial.explicit || !known.is_under_way();
        let same = self.dials.values_mut().find(|known| known.is_same(&dial) && stands_for(known));
        if let Some(same) = same {
            same.renew(dial);
            return;
        }
        if !dial.explicit && self.dials.len() >= MAX_DIALS {
            return debug!("Too many servers to dial, leaving out {}", dial.url);
        }
        self.last += 1;
        self.dials.insert(DialId(self.last), dial);
    }

    /// Drops dials that wait for what is there already.
    pub(crate) fn drop_satisfied(&mut self, is_satisfied: impl Fn(&Dial) -> bool) {
        self.dials.retain(|_, dial| !matches!(dial.state, DialState::Waiting(_)) || !is_satisfied(dial));
    }

    /// How many attempts were begun since the start.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Whether a server is being dialed, or is going to be.
    pub(crate) fn is_for(&self, server_id: &str) -> bool {
        let is_for = |id: &Option<String>| id.as_deref() == Some(server_id);
        self.dials.values().any(|dial| is_for(&dial.peer) || is_for(&dial.guess_of))
    }

    /// How many there are.
    #[cfg(feature = "sim")]
    pub(crate) fn len(&self) -> usize {
        self.dials.len()
    }

    /// All of them, in the order of their ids.
    #[cfg(feature = "sim")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Dial> {
        self.dials.values()
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

    /// The next dial that is due; it counts as begun. Configured ones come whenever they want, others at an allowed pace.
    pub(crate) fn begin_next(&mut self, now: Instant, config: &ClusterConfig) -> Option<(DialId, &Dial)> {
        let may_others = self.pace_allows_at(config) <= now;
        let is_due = |dial: &Dial| {
            matches!(dial.state, DialState::Waiting(at) if at <= now) && (dial.explicit || may_others)
        };
        while let Some(id) = self.dials.iter().find(|(_, dial)| is_due(dial)).map(|(id, _)| *id) {
            let is_tried_already = self.is_tried_already(id);
            let dial = self.dials.get_mut(&id)?;
            if is_tried_already {
                dial.state = DialState::Waiting(now + RETRY_PAUSE);
                continue;
            }
            dial.state = DialState::Dialing;
            self.started += 1;
            if !dial.explicit {
                self.paid_until = self.paid_until.max(now) + dial_cost(config);
            }
            return self.dials.get(&id).map(|dial| (id, dial));
        }
        None
    }

    /// Whether another dial is under way to the same place for the same kind of connection: they were for different places at
    /// first, or for servers of different names.
    fn is_tried_already(&self, id: DialId) -> bool {
        let Some(dial) = self.dials.get(&id) else {
            return false;
        };
        let mut others = self.dials.iter().filter(|(other, it)| **other != id && it.is_under_way());
        others.any(|(_, it)| it.account == dial.account && it.is_at(&dial.url))
    }

    /// When the next dial is due.
    pub(crate) fn poll_timeout(&self, config: &ClusterConfig) -> Option<Instant> {
        let pace = self.pace_allows_at(config);
        let waiting = self.dials.values().filter_map(|dial| match dial.state {
            DialState::Waiting(at) => Some(if dial.explicit { at } else { at.max(pace) }),
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
        let is_remembered = dial.until.is_some_and(|until| now < until);
        if !dial.explicit && !is_remembered && dial.failures > config.connect_retries {
            self.dials.remove(&id);
            return false;
        }
        let pause = match (dial.explicit, is_remembered) {
            (false, true) => doubled(dial.failures, config.healing.max_retry_pause),
            _ if config.connect_backoff => doubled(dial.failures, MAX_RETRY_PAUSE),
            _ => RETRY_PAUSE,
        };
        dial.state = DialState::Waiting(now + pause + jitter(rng));
        true
    }

    /// A burst of a quarter of a second's worth is fine; then one after the other.
    fn pace_allows_at(&self, config: &ClusterConfig) -> Instant {
        let burst = dial_cost(config).saturating_mul(config.healing.dials_per_second / 4);
        Instant::ZERO + self.paid_until.since(Instant::ZERO).saturating_sub(burst)
    }
}

/// The share of a second that one dial takes at the allowed pace.
fn dial_cost(config: &ClusterConfig) -> Duration {
    Duration::from_secs(1) / config.healing.dials_per_second.max(1)
}

/// The pause before attempt `failures` + 1, which doubles from one second on.
fn doubled(failures: u32, longest: Duration) -> Duration {
    RETRY_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// A random moment, so that two servers that dial each other do not collide for ever.
pub(crate) fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(MAX_JITTER.as_micros()).unwrap_or(u64::MAX)))
}

/// Between two attempts to reach a server, and before a configured route that was lost is dialed again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);
/// No more servers than this are wanted at once, apart from configured ones, whatever is heard of.
pub(crate) const MAX_DIALS: usize = 4096;
const MAX_JITTER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_server_that_was_heard_of_elsewhere_is_tried_where_it_is_configured() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let dial = |url: &str, explicit| {
            let dial = Dial::new(url.parse().expect("an address"), None, Instant::ZERO);
            Dial { explicit, peer: Some("peer".to_owned()), ..dial }
        };
        let mut dials = Dials::default();
        dials.add(dial("nats-route://10.0.0.1:6222", false));
        let (id, heard_of) = dials.begin_next(Instant::ZERO, &config).expect("it is due");
        assert_eq!(heard_of.url.host, "10.0.0.1");
        dials.add(dial("nats-route://configured:6222", true));
        assert_eq!(
            dials.get(id).map(|dial| dial.explicit),
            Some(false),
            "what is under way stays what it is"
        );
        assert!(!dials.fail(id, Instant::ZERO, &config, &mut rng), "it was only heard of");
        let later = Instant::ZERO + Duration::from_secs(60);
        let (_, again) = dials.begin_next(later, &config).expect("it is due");
        assert_eq!(again.url.host, "configured");
    }

    #[test]
    fn a_place_is_dialed_by_one_at_a_time() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let (start, later) = (Instant::ZERO, Instant::ZERO + Duration::from_secs(60));
        let dial = |url: &str, peer: &str, at| {
            let dial = Dial::new(url.parse().expect("an address"), None, at);
            Dial { peer: Some(peer.to_owned()), until: Some(start + Duration::from_secs(3600)), ..dial }
        };
        let mut dials = Dials::default();
        dials.add(dial("nats-route://10.0.0.2:6222", "b", later));
        dials.add(dial("nats-route://10.0.0.1:6222", "a", start));
        let (under_way, _) = dials.begin_next(start, &config).expect("it is due");
        dials.add(dial("nats-route://10.0.0.1:6222", "b", start));
        assert!(dials.begin_next(start, &config).is_none(), "the server moved to where somebody is at it");
        assert!(dials.poll_timeout(&config).is_some_and(|at| at > start), "and is not due at once again");
        dials.fail(under_way, start, &config, &mut rng);
        assert!(dials.begin_next(later, &config).is_some());
        assert!(dials.begin_next(later, &config).is_none(), "still one at a time");
    }
}
