//! What a drawn world has besides nodes, faults and clients: connections that go on in frames, and accounts that come and go.

use std::time::Duration;

use fastrand::Rng;

use super::change::{ACCOUNTS, Change};
use super::ids::NodeId;
use super::scenario::{Operation, Scenario, draw_operation, draw_time};

/// How much a world has that most worlds do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variety {
    /// Nothing: all connections stay plain, and all clients are in the global account.
    None,
    /// Each kind in some worlds, and most have none.
    Some,
    /// Each kind in each world.
    All,
}

impl Variety {
    /// Whether a world has one kind.
    fn has(self, rng: &mut Rng) -> bool {
        // Asked in any case, so that what follows is the same.
        let is_drawn = rng.u8(..6) == 0;
        match self {
            Self::None => false,
            Self::Some => is_drawn,
            Self::All => true,
        }
    }
}

/// Adds to what was drawn, from a random stream of its own: without it the world is the same as if there were no such things.
pub(super) fn vary(scenario: &mut Scenario, variety: Variety) {
    let rng = &mut Rng::with_seed(scenario.seed ^ 0x0076_6172_6965_7479);
    if variety.has(&mut rng.fork()) {
        draw_transport(&mut rng.fork(), scenario);
    }
    if variety.has(&mut rng.fork()) {
        draw_accounts(&mut rng.fork(), scenario);
    }
    scenario.changes.sort_by_key(|(at, _)| *at);
    scenario.operations.sort_by_key(|(at, _)| *at);
}

/// Frames from the start or from some moment on; perhaps not for ever, or with another key in the end.
fn draw_transport(rng: &mut Rng, scenario: &mut Scenario) {
    let from = if rng.bool() { Duration::ZERO } else { draw_time(rng, scenario.faulty_for) };
    let changes = &mut scenario.changes;
    changes.push((from, Change::Transport(Some(rng.u64(..)))));
    if rng.u8(..3) == 0 {
        let until = draw_time(rng, scenario.faulty_for).max(from);
        changes.push((until, Change::Transport(rng.bool().then(|| rng.u64(..)))));
    }
}

/// Accounts that most nodes have from the start, and that come and go here and there; and what clients do in them.
fn draw_accounts(rng: &mut Rng, scenario: &mut Scenario) {
    let nodes = scenario.nodes.len();
    let within = scenario.faulty_for;
    for account in 0..rng.usize(1..=ACCOUNTS.len()) {
        let first: Vec<_> = (0..nodes).map(NodeId).filter(|_| rng.u8(..4) > 0).collect();
        for node in first {
            let at = if rng.bool() { Duration::ZERO } else { draw_time(rng, within) };
            scenario.changes.push((at, Change::AddAccount(node, account)));
        }
        for _ in 0..rng.usize(..8) {
            let (node, at) = (NodeId(rng.usize(..nodes)), draw_time(rng, within));
            let comes = rng.bool();
            let change = if comes { Change::AddAccount } else { Change::RemoveAccount };
            scenario.changes.push((at, change(node, account)));
        }
        if rng.u8(..4) == 0 {
            // It is given up, at all nodes within a moment.
            let at = draw_time(rng, within);
            let gone = (0..nodes)
                .map(|node| (at + draw_time(rng, MOMENT), Change::RemoveAccount(NodeId(node), account)));
            scenario.changes.extend(gone);
        }
    }
    for _ in 0..rng.usize(10..60) {
        let operation = match draw_operation(rng) {
            Operation::Connect { node, echo } => {
                Operation::ConnectIn { node, account: rng.usize(..ACCOUNTS.len()), echo }
            }
            other => other,
        };
        scenario.operations.push((draw_time(rng, within), operation));
    }
}

/// So long a change takes to be made at all nodes.
const MOMENT: Duration = Duration::from_millis(50);
