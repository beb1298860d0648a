//! Properties of simulated clusters over random topologies, members and operations, shrunk to the smallest that breaks one.

use std::time::Duration;

use onehop::sim::{
    ClientId, FILTERS, Fault, Healing, Lines, Member, NetworkConfig, NodeId, Operation, SUBJECTS, Scenario,
    Topology,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// What happens next, after a pause. Indices are small and taken modulo what there is, so that they stay meaningful
/// while nodes and clients are left out.
#[derive(Clone, Debug)]
enum Step {
    Operation(Operation),
    Fault(SmallFault),
    Pause(u16),
}

#[derive(Clone, Copy, Debug)]
enum SmallFault {
    Reset(u8, u8),
    Cut(u8, u8, u16),
    CutOneWay(u8, u8, u16),
    Partition(u8, u16),
    HalfOpen(u8, u8),
    Stop(u8, u16),
    Crash(u8, u16),
    PowerLoss(u8, u16),
    Refuse(u8, u16),
    Move(u8),
    LastLeaves,
    LastDies,
    SlowClient(u8, u16),
}

impl SmallFault {
    /// The fault; none if the world has no place for it.
    fn fault(self, world: &SmallWorld) -> Option<Fault> {
        let nodes = world.members.len();
        let node = |index: u8| NodeId(usize::from(index) % nodes);
        let time = |millis: u16| Duration::from_millis(millis.into());
        let fault = match self {
            Self::Reset(a, b) => Fault::Reset(node(a), node(b)),
            Self::Cut(a, b, millis) => Fault::Cut(node(a), node(b), time(millis)),
            Self::CutOneWay(a, b, millis) => Fault::CutOneWay(node(a), node(b), time(millis)),
            Self::Partition(side, millis) => {
                let side = (0..nodes).filter(|node| side >> node & 1 == 1).map(NodeId);
                Fault::Partition(side.collect(), time(millis))
            }
            Self::HalfOpen(a, b) => Fault::HalfOpen(node(a), node(b)),
            Self::Stop(a, millis) => Fault::Stop(node(a), time(millis)),
            Self::Crash(a, millis) => Fault::Crash(node(a), time(millis)),
            Self::PowerLoss(a, millis) => Fault::PowerLoss(node(a), time(millis)),
            Self::Refuse(a, millis) => Fault::Refuse(node(a), time(millis)),
            // Who moves is found again only by its name, and not while it advertises where it was.
            Self::Move(a) if world.uses_names && !world.members[node(a).0].is_behind_nat => {
                Fault::Move(node(a))
            }
            // Without the last the others still are configured to find each other.
            Self::LastLeaves if world.can_lose_last() => Fault::Leave(NodeId(nodes - 1)),
            Self::LastDies if world.can_lose_last() => Fault::Die(NodeId(nodes - 1)),
            Self::Move(_) | Self::LastLeaves | Self::LastDies => return None,
            Self::SlowClient(client, millis) => Fault::SlowClient(ClientId(client.into()), time(millis)),
        };
        let is_between = !matches!(fault.nodes().as_slice(), [a, b] if a == b);
        is_between.then_some(fault)
    }
}

/// A cluster before anything happens to it.
#[derive(Clone, Debug)]
struct SmallWorld {
    seed: u64,
    members: Vec<Member>,
    topology: Topology,
    uses_names: bool,
    starts_backwards: bool,
    start_gap_millis: u16,
    latency_millis: u16,
    forgets: bool,
    max_pending_bytes: Option<usize>,
}

impl SmallWorld {
    fn can_lose_last(&self) -> bool {
        self.members.len() > 2 || self.members.len() == 2 && self.topology != Topology::Name
    }

    fn scenario(&self, steps: Vec<Step>) -> Scenario {
        let first = self.members[0];
        let mut scenario = Scenario::new(self.seed, self.members.len(), self.topology, first);
        scenario.nodes.clone_from(&self.members);
        scenario.uses_names = self.uses_names;
        scenario.starts_backwards = self.starts_backwards;
        scenario.start_gap = Duration::from_millis(self.start_gap_millis.into());
        scenario.max_pending_bytes = self.max_pending_bytes;
        let latency = Duration::from_millis(self.latency_millis.into());
        scenario.network = NetworkConfig { latency, jitter: latency, ..NetworkConfig::default() };
        let mut at = Duration::from_millis(500);
        for step in steps {
            match step {
                Step::Pause(millis) => at += Duration::from_millis(millis.into()),
                Step::Operation(operation) => scenario.operations.push((at, operation)),
                Step::Fault(fault) => scenario.faults.extend(fault.fault(self).map(|fault| (at, fault))),
            }
        }
        scenario.faulty_for = at + Duration::from_millis(100);
        scenario.forget_after = self.forgets.then_some(scenario.faulty_for + Duration::from_secs(15));
        scenario.must_converge = scenario.is_promised_whole();
        scenario
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = || 0..6usize;
    prop_oneof![
        (0..4usize, any::<bool>()).prop_map(|(node, echo)| Operation::Connect { node, echo }),
        (client(), 0..FILTERS.len(), prop::option::of(0..2usize))
            .prop_map(|(client, filter, queue)| Operation::Subscribe { client, filter, queue }),
        (client(), 0..SUBJECTS.len(), 0..300usize).prop_map(|(client, subject, padding_bytes)| {
            Operation::Publish { client, subject, padding_bytes }
        }),
        (client(), 0..4usize)
            .prop_map(|(client, subscription)| Operation::Unsubscribe { client, subscription }),
        (client(), 0..SUBJECTS.len()).prop_map(|(client, subject)| Operation::Request { client, subject }),
        client().prop_map(|client| Operation::Disconnect { client }),
    ]
}

fn fault() -> impl Strategy<Value = SmallFault> {
    let node = || 0..4u8;
    let short = || 1..2_000u16;
    let long = || 1..8_000u16;
    prop_oneof![
        (node(), node()).prop_map(|(a, b)| SmallFault::Reset(a, b)),
        (node(), node(), long()).prop_map(|(a, b, millis)| SmallFault::Cut(a, b, millis)),
        (node(), node(), long()).prop_map(|(a, b, millis)| SmallFault::CutOneWay(a, b, millis)),
        (any::<u8>(), long()).prop_map(|(side, millis)| SmallFault::Partition(side, millis)),
        (node(), node()).prop_map(|(a, b)| SmallFault::HalfOpen(a, b)),
        (node(), short()).prop_map(|(a, millis)| SmallFault::Stop(a, millis)),
        (node(), short()).prop_map(|(a, millis)| SmallFault::Crash(a, millis)),
        (node(), short()).prop_map(|(a, millis)| SmallFault::PowerLoss(a, millis)),
        (node(), short()).prop_map(|(a, millis)| SmallFault::Refuse(a, millis)),
        node().prop_map(SmallFault::Move),
        Just(SmallFault::LastLeaves),
        Just(SmallFault::LastDies),
        (node(), long()).prop_map(|(client, millis)| SmallFault::SlowClient(client, millis)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => operation().prop_map(Step::Operation),
        1 => fault().prop_map(Step::Fault),
        2 => (0..1_500u16).prop_map(Step::Pause),
    ]
}

/// Members of one kind of pool, or of several.
fn members(healing: Healing) -> impl Strategy<Value = Vec<Member>> {
    let pool = || prop_oneof![Just(Some(1)), Just(None), Just(Some(3))];
    let member = (prop::option::weighted(0.2, pool()), any::<bool>(), prop::bool::weighted(0.2));
    (pool(), prop::collection::vec(member, 1..=4)).prop_map(move |(usual, members)| {
        let members = members.into_iter().enumerate().map(|(at, (pool_size, heals, is_behind_nat))| Member {
            pool_size: pool_size.unwrap_or(usual),
            heals: match healing {
                Healing::On => true,
                Healing::Off => false,
                Healing::Mixed => at == 0 || heals,
            },
            is_behind_nat,
        });
        let mut members: Vec<_> = members.collect();
        if healing == Healing::Mixed {
            // Nobody can make two that do not heal fill a gap in their pool.
            for member in members.iter_mut().filter(|member| !member.heals) {
                member.pool_size = member.pool_size.and(Some(1));
            }
        }
        members
    })
}

fn world(healing: Healing) -> impl Strategy<Value = SmallWorld> {
    // From simple to odd, so that shrinking goes that way.
    let topology = (0..Topology::ALL.len()).prop_map(|index| Topology::ALL[index]);
    let gap = prop_oneof![Just(0), Just(100), 0..3_000u16];
    let latency = prop_oneof![3 => Just(1), 1 => 0..150u16];
    let max_pending = prop::option::weighted(0.2, Just(2_000));
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    (0..100u64, members(healing), topology, flags, gap, latency, max_pending).prop_map(
        |(seed, members, topology, flags, start_gap_millis, latency_millis, max_pending_bytes)| {
            let (uses_names, starts_backwards, forgets) = flags;
            SmallWorld {
                seed,
                members,
                topology,
                uses_names,
                starts_backwards,
                start_gap_millis,
                latency_millis,
                forgets,
                max_pending_bytes,
            }
        },
    )
}

fn scenario(healing: Healing) -> impl Strategy<Value = Scenario> {
    let steps = prop::collection::vec(step(), 0..40);
    (world(healing), steps).prop_map(|(world, steps)| world.scenario(steps))
}

/// Fails with what happened last: of all scenarios that fail the smallest is shown that is found.
fn check(scenario: &Scenario) -> Result<(), TestCaseError> {
    let Some(violation) = scenario.run(Lines::Dropped).violation else {
        return Ok(());
    };
    let trace = scenario.run(Lines::Kept).trace;
    let last = trace[trace.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Err(TestCaseError::fail(format!("{violation}\n{last}\n{FASTER}")))
}

/// So much of the trace is shown.
const SHOWN_LINES: usize = 300;

const FASTER: &str =
    "`cargo test --release -p onehop-tests --test sim_properties` finds it again in a fraction of the time";

/// So many cases. What fails is kept beside the tests, to be checked in.
fn config(cases: u32) -> ProptestConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/sim_properties.txt");
    let failure_persistence = Some(Box::new(FileFailurePersistence::Direct(path)) as _);
    // The environment may ask for more.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, max_shrink_iters: 2_000, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn nodes_that_do_not_heal_keep_the_rules(scenario in scenario(Healing::Off)) {
        check(&scenario)?;
    }

    #[test]
    fn nodes_that_heal_keep_the_rules_and_become_a_mesh(scenario in scenario(Healing::On)) {
        prop_assert!(scenario.must_converge);
        check(&scenario)?;
    }

    #[test]
    fn mixed_nodes_keep_the_rules_and_become_a_mesh_where_that_is_promised(scenario in scenario(Healing::Mixed)) {
        check(&scenario)?;
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn the_same_scenario_runs_the_same_way_again(scenario in scenario(Healing::Mixed)) {
        prop_assert_eq!(scenario.run(Lines::Dropped).trace_hash, scenario.run(Lines::Kept).trace_hash);
    }
}
