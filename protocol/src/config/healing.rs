//! How a node keeps the mesh whole, beyond what nats-server does (design.md 5).

use std::time::Duration;

/// The rules by which a node makes the mesh form and heal. On the wire all of it is NATS Routes as nats-server
/// understands it; what passes between two onehop nodes only is marked as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healing {
    /// Dials servers that were lost again and again, until they are forgotten, and those that were only heard of a few times;
    /// fills gaps in their pools; and asks a connection for a sign of life when another wants its seat. Without it a server
    /// that was only heard of is tried as nats-server does it, once.
    pub remember: bool,
    /// A remembered server that could not be reached for so long is cold: it is tried about once in ten minutes. Zero remembers
    /// none.
    pub forget_after: Duration,
    /// So many cold servers are kept in mind, those that there was a route to for longest. The others are forgotten.
    pub max_cold_peers: usize,
    /// The longest pause between two attempts to reach a remembered server. Pauses begin at one second and double.
    pub max_retry_pause: Duration,
    /// Tells nats-server peers of each other again and again, so that pairs that miss each other connect.
    pub regossip: bool,
    /// Each pair is told again after so long at the earliest, one of the two at a time.
    pub regossip_interval: Duration,
    /// Not more lines of repeated gossip are sent per second.
    pub regossip_lines_per_second: u32,
    /// Compares with other onehop nodes which servers each has routes to, and names those that one of them lacks.
    pub compare: bool,
    /// Asks nats-server peers, one at a time, which servers they have routes to, and dials those that it lacks: nats-server
    /// tells a newcomer to the members, but never the members to a newcomer, which those that cannot dial it would
    /// otherwise not know of.
    pub ask: bool,
    /// How long after the one before it the next is asked.
    pub ask_interval: Duration,
    /// Of two onehop nodes that hear of each other, one waits for the other to dial: which, a hash of both ids says.
    pub arbitrate: bool,
    /// How long it waits.
    pub arbitration_delay: Duration,
    /// Not more servers are dialed per second, apart from configured ones.
    pub dials_per_second: u32,
    /// How often the node looks after all this.
    pub interval: Duration,
}

impl Healing {
    /// No rule but those of nats-server: for comparisons, and for tests that show what a rule is good for.
    pub fn none() -> Self {
        Self {
            remember: false,
            regossip: false,
            compare: false,
            ask: false,
            arbitrate: false,
            ..Self::default()
        }
    }

    /// Whether there is anything to look after from time to time.
    pub(crate) fn is_active(&self) -> bool {
        self.remember || self.regossip || self.compare || self.ask
    }
}

impl Default for Healing {
    fn default() -> Self {
        Self {
            remember: true,
            forget_after: Duration::from_secs(3600),
            max_cold_peers: 64,
            max_retry_pause: Duration::from_secs(30),
            regossip: true,
            regossip_interval: Duration::from_secs(5),
            regossip_lines_per_second: 20,
            compare: true,
            ask: true,
            ask_interval: Duration::from_secs(10),
            arbitrate: true,
            arbitration_delay: Duration::from_secs(1),
            dials_per_second: 100,
            interval: Duration::from_secs(1),
        }
    }
}
