//! A run as plain data: who is there, what goes wrong, what clients do. Drawn from one seed (`drawing`), or written by hand.

use std::time::Duration;

use fastrand::Rng;

use super::change::Change;
use super::ids::NodeId;
use super::net::NetworkConfig;
use super::node::{NodeSpec, Seed};
use super::passage::Way;
use super::tenants::Tenants;
use super::topology::Topology;
use super::world::Fault;
use crate::config::Compression;
use crate::transport::HandshakeFirst;

/// Everything that a run consists of. The same scenario gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Decides what is left to chance within the run.
    pub seed: u64,
    /// The nodes.
    pub nodes: Vec<Member>,
    /// How they are configured to find each other.
    pub topology: Topology,
    /// Whether nodes are configured by names, which follow them to other addresses, or by addresses.
    pub uses_names: bool,
    /// How long after the one before it each node starts; zero starts all at once.
    pub start_gap: Duration,
    /// They start in the order of their numbers, or the last first: then some dial others that are not there yet.
    pub starts_backwards: bool,
    /// How long nodes that heal remember servers that are gone; then the run takes long enough to see that they forget.
    /// None is the default of [`Healing::forget_after`](crate::config::Healing::forget_after), and is not waited for.
    pub forget_after: Option<Duration>,
    /// How many servers that are not configured a node may dial per second; none is the default of
    /// [`Healing::dials_per_second`](crate::config::Healing::dials_per_second).
    pub dials_per_second: Option<u32>,
    /// The accounts that all nodes are configured with.
    pub tenants: Tenants,
    /// What each node wants of compression; those behind the last leave it to the others.
    pub compression: Vec<Compression>,
    /// Whether nodes are told by sources where they would otherwise be configured to find each other, in the middle of lies.
    pub finds: bool,
    /// Who can never dial whom; those who still lack each other are to be joined by circuits. None lets everybody
    /// dial everybody.
    pub walls: Option<Vec<(NodeId, NodeId)>>,
    /// Whether nodes that heal let circuits pass, and ask for them.
    pub relays: bool,
    /// Whether nodes take clients by WebSocket, too.
    pub takes_websockets: bool,
    /// Whether clients may come by way of a proxy that says so.
    pub takes_proxies: bool,
    /// Whether servers speak TLS with each other, and clients that want it with them; and then who of the two begins.
    pub tls: Option<HandshakeFirst>,
    /// How many bytes may wait for a client; none is the default of
    /// [`Config::max_pending`](crate::config::Config::max_pending).
    pub max_pending_bytes: Option<usize>,
    /// The network while faults are on; without its losses afterwards.
    pub network: NetworkConfig,
    /// What goes wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// What clients do, and when; in the order of time.
    pub operations: Vec<(Duration, Operation)>,
    /// What is changed while nodes run, and when.
    pub changes: Vec<(Duration, Change)>,
    /// When the faults end.
    pub faulty_for: Duration,
    /// Whether the mesh must become whole. Without the healing rules it need not.
    pub must_converge: bool,
}

/// What kind of node one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Connections per peer; `None` does not pool.
    pub pool_size: Option<u16>,
    /// Whether it follows the healing rules (design.md 5), or behaves like the Go server.
    pub heals: bool,
    /// Whether others see another address than the one that it advertises.
    pub is_behind_nat: bool,
}

/// Something that a client does. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A client connects to a node.
    Connect {
        /// Which node.
        node: usize,
        /// Whether it wants its own messages too.
        echo: bool,
    },
    /// A client connects to a node, into an account, if the node has that.
    ConnectIn {
        /// Which node.
        node: usize,
        /// Which of [`ACCOUNTS`](super::ACCOUNTS).
        account: usize,
        /// Whether it wants its own messages too.
        echo: bool,
    },
    /// A client connects to a node as a user, if there are tenants.
    ConnectAs {
        /// Which node.
        node: usize,
        /// Which of the users of all tenants.
        login: usize,
        /// Whether it wants its own messages too.
        echo: bool,
    },
    /// A client connects to a node by a way of its own, if the node lets anybody come so.
    ConnectBy {
        /// Which node.
        node: usize,
        /// As which of the users of all tenants, if it names one.
        login: Option<usize>,
        /// Whether it wants its own messages too.
        echo: bool,
        /// How it comes.
        way: Way,
    },
    /// A client connects to a node and does not present itself for now.
    Arrive {
        /// Which node.
        node: usize,
    },
    /// A client that has not presented itself does so.
    Present {
        /// Which of those that have not.
        client: usize,
    },
    /// A client leaves.
    Disconnect {
        /// Which client.
        client: usize,
    },
    /// A client subscribes.
    Subscribe {
        /// Which client.
        client: usize,
        /// Which of [`FILTERS`].
        filter: usize,
        /// Which queue group, if any.
        queue: Option<usize>,
    },
    /// A client subscribes as a member of [`RESPONDERS`] and answers what asks for it.
    Serve {
        /// Which client.
        client: usize,
        /// Which of [`FILTERS`].
        filter: usize,
    },
    /// A client ends a subscription.
    Unsubscribe {
        /// Which client.
        client: usize,
        /// Which of its subscriptions.
        subscription: usize,
    },
    /// A client publishes.
    Publish {
        /// Which client.
        client: usize,
        /// Which of [`SUBJECTS`].
        subject: usize,
        /// How large.
        padding_bytes: usize,
    },
    /// A client asks a question.
    Request {
        /// Which client.
        client: usize,
        /// Which of [`SUBJECTS`].
        subject: usize,
    },
}

/// What clients publish on.
pub const SUBJECTS: [&str; 4] = ["a", "a.b", "b.a", "c"];
/// What clients subscribe to.
pub const FILTERS: [&str; 7] = ["a", "a.b", "a.*", "a.>", "*.a", ">", "c"];
/// The groups that clients are members of.
pub const QUEUES: [&str; 2] = ["q", "r"];
/// The group of those who answer.
pub const RESPONDERS: &str = "responders";

impl Scenario {
    /// A quiet scenario: nodes of one kind that all start at once, no clients, no faults.
    pub fn new(seed: u64, nodes: usize, topology: Topology, member: Member) -> Self {
        Self {
            seed,
            nodes: vec![member; nodes],
            topology,
            uses_names: false,
            start_gap: Duration::ZERO,
            starts_backwards: false,
            forget_after: None,
            dials_per_second: None,
            tenants: Tenants::default(),
            compression: Vec::new(),
            finds: false,
            walls: None,
            relays: true,
            takes_websockets: false,
            takes_proxies: false,
            tls: None,
            max_pending_bytes: None,
            network: NetworkConfig::default(),
            faults: Vec::new(),
            operations: Vec::new(),
            changes: Vec::new(),
            faulty_for: Duration::from_secs(2),
            must_converge: member.heals,
        }
    }

    /// Whether the healing rules promise that the mesh becomes whole (design.md 5): what [`Scenario::draw`] takes for
    /// [`Scenario::must_converge`].
    pub fn is_promised_whole(&self) -> bool {
        let Self { nodes, topology, faults, .. } = self;
        let is_found = self.is_configured_whole() && self.is_each_found() && self.has_relay();
        is_promised_whole(nodes, *topology, faults) && is_found
    }

    /// Whether those that cannot dial each other have somebody who lets circuits pass between them: the one that all can dial stays.
    fn has_relay(&self) -> bool {
        self.walls.is_none() || stays(&self.faults, 0)
    }

    /// Whether each node behind NAT that does not heal is configured to have a route to one that heals. Otherwise it may be
    /// that nobody who heals hears where it can be dialed, and then it has to dial, which it does once: nats-server tells a
    /// newcomer to its members when it comes, never a member to a newcomer, and shows of its routes only where they come from.
    fn is_each_found(&self) -> bool {
        let routes = self.last_routes();
        let stays = |node: &usize| stays(&self.faults, *node);
        let healers: Vec<_> = (0..self.nodes.len()).filter(|it| self.nodes[*it].heals && stays(it)).collect();
        let is_hidden =
            |node: &usize| !self.nodes[*node].heals && self.nodes[*node].is_behind_nat && stays(node);
        let is_found = |node: usize| healers.iter().any(|healer| are_joined(&routes, node, *healer));
        (0..self.nodes.len()).filter(is_hidden).all(is_found)
    }

    /// Whether the last configurations lead from each node to each other; and then all must heal, so that they are dialed as
    /// long as it takes. Where routes stay as the topology has them they do.
    fn is_configured_whole(&self) -> bool {
        if self.changes.iter().all(|(_, change)| change.routes().is_none()) {
            return true;
        }
        let routes = self.last_routes();
        let mut apart: Vec<usize> = (0..routes.len()).filter(|node| stays(&self.faults, *node)).collect();
        let mut reached: Vec<usize> = apart.pop().into_iter().collect();
        while let Some(node) = reached.pop() {
            reached.extend(apart.extract_if(.., |other| are_joined(&routes, node, *other)));
        }
        apart.is_empty() && self.nodes.iter().all(|member| member.heals)
    }

    /// What each node is configured to dial in the end.
    fn last_routes(&self) -> Vec<Vec<Seed>> {
        let mut routes = self.topology.routes(self.nodes.len(), &mut Rng::with_seed(self.seed));
        for (node, last) in self.changes.iter().filter_map(|(_, change)| change.routes()) {
            routes[node.0] = last.to_vec();
        }
        routes
    }

    /// Without what is about nodes which are not there.
    #[must_use]
    pub fn fitted(mut self) -> Self {
        let count = self.nodes.len();
        self.faults.retain(|(_, fault)| fault.nodes().iter().all(|node| node.0 < count));
        self.changes.retain(|(_, change)| change.node().is_none_or(|node| node.0 < count));
        self
    }
}

impl Operation {
    /// Draws one, of which a third publish.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let client = rng.usize(..1 << 16);
        let subject = rng.usize(..SUBJECTS.len());
        match rng.u8(..20) {
            0..4 => Self::Connect { node: client, echo: rng.bool() },
            4 => Self::Disconnect { client },
            5..9 => Self::Subscribe {
                client,
                filter: rng.usize(..FILTERS.len()),
                queue: rng.bool().then(|| rng.usize(..QUEUES.len())),
            },
            9..11 => Self::Unsubscribe { client, subscription: rng.usize(..8) },
            11..18 => {
                let most = 1 << rng.u32(..14);
                Self::Publish { client, subject, padding_bytes: rng.usize(..most) }
            }
            _ => Self::Request { client, subject },
        }
    }
}

impl Member {
    /// A node that heals, with the usual pool.
    pub const HEALING: Self = Self { pool_size: Some(3), heals: true, is_behind_nat: false };
    /// A node that behaves like the Go server, with the usual pool.
    pub const GO_LIKE: Self = Self { pool_size: Some(3), heals: false, is_behind_nat: false };

    /// The node.
    pub fn spec(self) -> NodeSpec {
        let spec = NodeSpec::new(self.pool_size);
        NodeSpec { is_behind_nat: self.is_behind_nat, ..spec }.healing(self.heals)
    }
}

/// Where nodes that do not heal are among the others, these tell them of each other. That does not help where such a node
/// knows another already, though by an address that is not its own alone, or not any more.
fn is_promised_whole(nodes: &[Member], topology: Topology, faults: &[(Duration, Fault)]) -> bool {
    let stays = |node: usize| stays(faults, node);
    let all_heal = nodes.iter().all(|member| member.heals);
    let one_heals = nodes.iter().enumerate().any(|(at, member)| member.heals && stays(at));
    let moves = faults.iter().any(|(_, fault)| matches!(fault, Fault::Move(_)));
    all_heal || one_heals && topology != Topology::Name && !moves
}

/// Whether one of two nodes is configured to dial the other.
fn are_joined(routes: &[Vec<Seed>], a: usize, b: usize) -> bool {
    is_led_to(routes, a, b) || is_led_to(routes, b, a)
}

/// Whether a node is configured to dial another, or one that is joined with that.
fn is_led_to(routes: &[Vec<Seed>], from: usize, to: usize) -> bool {
    routes[from].iter().any(|seed| match seed {
        Seed::Node(other) => other.0 == to,
        // It leads to one of the first two, nobody knows which; from one of them to the other.
        Seed::Name(_) => to < 2 && (from < 2 || are_joined(routes, 0, 1)),
    })
}

/// Whether a node is there in the end.
fn stays(faults: &[(Duration, Fault)], node: usize) -> bool {
    let is_last = |fault: &Fault| matches!(fault, Fault::Leave(NodeId(gone)) | Fault::Die(NodeId(gone)) if *gone == node);
    !faults.iter().any(|(_, fault)| is_last(fault))
}

/// A moment before the end of a stretch of time.
pub(super) fn draw_time(rng: &mut Rng, within: Duration) -> Duration {
    Duration::from_micros(rng.u64(..u64::try_from(within.as_micros()).unwrap_or(u64::MAX)))
}
