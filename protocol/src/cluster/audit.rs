//! What a cluster keeps and will do, for those who check that it is neither too much nor too old ([`crate::sim`]), and who
//! explore all orders of events ([`crate::sim::explore`]).

use super::Cluster;
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::routes::{DialId, Kept};
use crate::time::Instant;

impl Cluster {
    /// How much is kept now.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            outputs: self.outputs.len(),
            configured: self.config.routes.len(),
            max_cold: self.config.healing.max_cold_peers,
            ..self.routes.kept()
        }
    }

    /// What is still known of a server, in words; none if nothing is, apart from where it is configured to be, and from what
    /// is kept in mind of those that are cold.
    pub(crate) fn memory_of(&self, server_id: &str) -> Option<&'static str> {
        let is_member = self.gossip.info_of(server_id).is_some();
        self.routes.memory_of(server_id).or(is_member.then_some("tells of it"))
    }

    /// Where this node counts servers as configured.
    pub(crate) fn explicit_urls(&self) -> Vec<RouteUrl> {
        self.routes.explicit_urls()
    }

    /// Whether a connection is part of a circuit that passes through this node: what is written to it is another's word.
    pub(crate) fn passes(&self, connection: ConnectionId) -> bool {
        self.relaying.middle.has(connection)
    }

    /// A text that is the same for two clusters of one node only if both will do the same, though not at the same time, on
    /// whatever they hear from now on. `name` gives connections names that do not depend on the order in which they came.
    ///
    /// It leaves out what never changes, what is counted for readers only, and all times: of these it says only whether they
    /// are set, and of a dial whether it is due `now`. The random stream decides nothing but times. Nor does it tell in which
    /// order connections came, which matters only where several are closed at once, for another name of the cluster: what
    /// follows is the same but for its order.
    pub(crate) fn describe(&self, now: Instant, name: impl Fn(ConnectionId) -> String) -> String {
        // Whoever adds a field has to decide here.
        let Self {
            config: _,
            port: _,
            own_urls: _,
            reached: _,
            handshake,
            routes,
            gossip,
            // Nobody explores what sources tell, and circuits.
            finding: _,
            relaying: _,
            requests: _,
            round_at: _,
            outputs,
        } = self;
        let (routes, gossip) = (routes.describe(now, &name), gossip.describe(&name));
        format!("{:?} {outputs:?}\n{gossip}{routes}", handshake.name)
    }

    /// Which of the dials this is, in their order; none if it is over.
    pub(crate) fn place_of(&self, dial: DialId) -> Option<usize> {
        self.routes.place_of(dial)
    }

    /// Whether a dial is for a connection that is dedicated to an account.
    pub(crate) fn is_dedicated(&self, dial: DialId) -> bool {
        self.routes.is_dedicated(dial)
    }
}
