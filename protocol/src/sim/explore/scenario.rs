//! Every order of a scenario: its nodes start at once, and must be able to work in the end.

use std::time::Duration;

use super::*;
use crate::sim::net::NetworkConfig;
use crate::sim::node::Seed;
use crate::sim::rule::Rule;
use crate::sim::scenario::Scenario;
use crate::sim::trace::Lines;

impl Scenario {
    /// Follows every order in which things can arrive while its nodes connect, up to so many states ([`explore`]).
    ///
    /// All nodes start at once, on a network that neither splits, merges nor loses; nothing but seed, nodes and topology of
    /// the scenario counts, and no node dials itself. After each end the mesh has to become whole soon, and then to deliver
    /// messages. If it does not become whole, that breaks a rule if it must ([`Scenario::must_converge`]), and is counted as
    /// wanting otherwise.
    ///
    /// ```
    /// use onehop::sim::{Member, Scenario, Topology};
    ///
    /// let scenario = Scenario::new(1, 2, Topology::Chain, Member::HEALING);
    /// let explored = scenario.explore(1_000_000, |_| {}).expect("no order breaks a rule");
    /// assert!(explored.is_complete && explored.orders > Some(1));
    /// ```
    pub fn explore(&self, limit: usize, progress: impl FnMut(&Explored)) -> Result<Explored, BadOrder> {
        explore(|| self.start_at_once(Lines::Dropped), limit, |world| self.judge(world), progress)
    }

    /// What happened in an order that [`Scenario::explore`] found, line by line.
    pub fn trace_order(&self, order: &[Arrival]) -> Vec<String> {
        let mut world = self.start_at_once(Lines::Kept);
        // That it breaks a rule is known, and stands in the trace.
        let _ = world.follow(order).and_then(|()| self.judge(&mut world));
        world.trace().lines().to_vec()
    }

    pub(super) fn start_at_once(&self, lines: Lines) -> World {
        let network =
            NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
        let quiet = Self { network, start_gap: Duration::ZERO, faults: Vec::new(), ..self.clone() };
        let mut world = quiet.build(lines);
        for node in &mut world.nodes {
            // That a node dials itself too multiplies the orders and concerns nobody else.
            node.spec.routes.retain(|seed| *seed != Seed::Node(node.id));
        }
        (0..self.nodes.len()).for_each(|node| world.start(NodeId(node)));
        world
    }

    fn judge(&self, world: &mut World) -> Result<Verdict, Violation> {
        let end = world.now() + WHOLE_WITHIN;
        while world.run_until_whole(end.since(world.now()))?.is_some() {
            // Two that dialed each other may each have kept another connection, which do not last.
            world.run_for(SETTLING)?;
            if world.is_mesh_whole() {
                return works(world).map(|()| Verdict::Good);
            }
        }
        if !self.must_converge {
            return Ok(Verdict::Wanting);
        }
        let text = format!("{:?} are not connected", world.missing_pairs());
        Err(Violation { at: world.now(), ..Violation::new(Rule::Convergence, text) })
    }
}

/// Everybody hears what everybody says.
fn works(world: &mut World) -> Result<(), Violation> {
    let nodes = (0..world.node_count()).map(NodeId);
    let clients: Vec<_> = nodes.filter_map(|node| world.connect(node, true)).collect();
    for client in &clients {
        world.subscribe(*client, "a", None, false);
    }
    world.run_for(SETTLING)?;
    let messages: Vec<_> = clients.iter().filter_map(|client| world.publish(*client, "a", 0)).collect();
    world.run_for(SETTLING)?;
    messages.into_iter().try_for_each(|message| world.check_delivery(message))?;
    world.check_settled()
}

/// Timers come after all arrivals. So long after these the healing rules have found whatever is missing, and those who do
/// without them have repeated every dial that they repeat.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);
/// By then all that is on its way has arrived.
const SETTLING: Duration = Duration::from_millis(300);
