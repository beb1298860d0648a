//! Makes a failing scenario small.

use std::time::Duration;

use super::net::NetworkConfig;
use super::rule::Rule;
use super::scenario::Scenario;
use super::tenants::Tenants;
use super::topology::Topology;
use super::trace::Lines;
use super::world::Fault;

impl Scenario {
    /// The smallest scenario found that breaks the same rule, with at most `runs` tries: fewer nodes, fewer faults, fewer
    /// operations, a simpler topology, a quieter network.
    #[must_use]
    pub fn shrunk(&self, rule: Rule, runs: usize) -> Scenario {
        let mut best = self.clone();
        let mut left = runs;
        loop {
            let Some(smaller) = smaller(&best).find(|candidate| {
                left = left.saturating_sub(1);
                left > 0
                    && candidate.run(Lines::Dropped).violation.is_some_and(|violation| violation.rule == rule)
            }) else {
                return best;
            };
            best = smaller;
        }
    }
}

/// Simpler variants, the most promising first.
fn smaller(scenario: &Scenario) -> impl Iterator<Item = Scenario> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Scenario)| {
        let mut changed = scenario.clone();
        change(&mut changed);
        let changed = changed.fitted();
        // Where it was the only one that heals, its absence would be another reason to fail.
        let still_promised = changed.is_promised_whole() || !scenario.is_promised_whole();
        if changed != *scenario && still_promised {
            all.push(changed);
        }
    };
    add(&|it| it.operations.clear());
    add(&|it| it.faults.clear());
    add(&|it| it.changes.clear());
    if scenario.nodes.len() > 2 {
        add(&|it| it.nodes.truncate((it.nodes.len() / 2).max(2)));
        add(&|it| it.nodes.truncate(it.nodes.len() - 1));
    }
    for (start, end) in chunks(scenario.faults.len()) {
        add(&|it| drop(it.faults.drain(start..end)));
    }
    for (start, end) in chunks(scenario.operations.len()) {
        add(&|it| drop(it.operations.drain(start..end)));
    }
    for (start, end) in chunks(scenario.changes.len()) {
        add(&|it| drop(it.changes.drain(start..end)));
    }
    let last_fault = scenario.faults.last().map_or(Duration::ZERO, |(at, _)| *at);
    let last_operation = scenario.operations.last().map_or(Duration::ZERO, |(at, _)| *at);
    let last_change = scenario.changes.last().map_or(Duration::ZERO, |(at, _)| *at);
    let needed = last_fault.max(last_operation).max(last_change) + Duration::from_millis(1);
    add(&|it| it.faulty_for = it.faulty_for.min(needed));
    add(&|it| {
        it.network =
            NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
    });
    add(&|it| it.network.resets_per_million = 0);
    add(&|it| (it.network.refusals_per_million, it.network.timeouts_per_million) = (0, 0));
    add(&|it| it.network.jitter = Duration::ZERO);
    if scenario.faults.iter().all(|(_, fault)| !matches!(fault, Fault::Move(_))) {
        add(&|it| it.uses_names = false);
    }
    add(&|it| it.start_gap = Duration::ZERO);
    add(&|it| it.starts_backwards = false);
    add(&|it| it.forget_after = None);
    add(&|it| it.dials_per_second = None);
    add(&|it| it.max_pending_bytes = None);
    add(&|it| it.compression.clear());
    add(&|it| it.takes_websockets = false);
    add(&|it| it.takes_proxies = false);
    add(&|it| it.finds = false);
    add(&|it| it.walls = None);
    add(&|it| it.tls = None);
    add(&|it| it.tenants = Tenants::default());
    add(&|it| it.tenants.pinned.clear());
    add(&|it| it.tenants.mapped.clear());
    for at in 0..scenario.tenants.shares.len() {
        add(&|it| _ = it.tenants.shares.remove(at));
    }
    for topology in Topology::ALL.into_iter().filter(|topology| *topology < scenario.topology) {
        add(&|it| it.topology = topology);
    }
    add(&|it| it.nodes.iter_mut().for_each(|node| node.is_behind_nat = false));
    add(&|it| it.nodes.iter_mut().for_each(|node| node.pool_size = Some(1)));
    add(&|it| it.seed = 0);
    all.into_iter()
}

/// The halves of a list, then its quarters, down to single elements.
fn chunks(len: usize) -> Vec<(usize, usize)> {
    let mut chunks = Vec::new();
    let mut size = len / 2;
    while size > 0 {
        chunks.extend((0..len).step_by(size).map(|start| (start, (start + size).min(len))));
        size /= 2;
    }
    chunks
}
