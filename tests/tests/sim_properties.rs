//! Properties of simulated clusters over random topologies and operations, shrunk to the smallest that breaks one.

use std::time::Duration;

use onehop::sim::{ClientId, FILTERS, Fault, Member, NodeId, Operation, SUBJECTS, Scenario, Topology};
use proptest::prelude::*;

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
    HalfOpen(u8, u8),
    Stop(u8, u16),
    Crash(u8, u16),
    SlowClient(u8, u16),
}

impl SmallFault {
    fn fault(self, nodes: usize) -> Option<Fault> {
        let node = |index: u8| NodeId(usize::from(index) % nodes);
        let time = |millis: u16| Duration::from_millis(millis.into());
        let fault = match self {
            Self::Reset(a, b) => Fault::Reset(node(a), node(b)),
            Self::Cut(a, b, millis) => Fault::Cut(node(a), node(b), time(millis)),
            Self::CutOneWay(a, b, millis) => Fault::CutOneWay(node(a), node(b), time(millis)),
            Self::HalfOpen(a, b) => Fault::HalfOpen(node(a), node(b)),
            Self::Stop(a, millis) => Fault::Stop(node(a), time(millis)),
            Self::Crash(a, millis) => Fault::Crash(node(a), time(millis)),
            Self::SlowClient(client, millis) => Fault::SlowClient(ClientId(client.into()), time(millis)),
        };
        let is_between = !matches!(fault.nodes().as_slice(), [a, b] if a == b);
        is_between.then_some(fault)
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
    prop_oneof![
        (node(), node()).prop_map(|(a, b)| SmallFault::Reset(a, b)),
        (node(), node(), 1..8_000u16).prop_map(|(a, b, millis)| SmallFault::Cut(a, b, millis)),
        (node(), node(), 1..8_000u16).prop_map(|(a, b, millis)| SmallFault::CutOneWay(a, b, millis)),
        (node(), node()).prop_map(|(a, b)| SmallFault::HalfOpen(a, b)),
        (node(), 1..2_000u16).prop_map(|(a, millis)| SmallFault::Stop(a, millis)),
        (node(), 1..2_000u16).prop_map(|(a, millis)| SmallFault::Crash(a, millis)),
        (node(), 1..8_000u16).prop_map(|(client, millis)| SmallFault::SlowClient(client, millis)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => operation().prop_map(Step::Operation),
        1 => fault().prop_map(Step::Fault),
        2 => (0..1_500u16).prop_map(Step::Pause),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let pool = prop_oneof![Just(Some(1)), Just(None), Just(Some(3))];
    // From simple to odd, so that shrinking goes that way.
    let topology = (0..Topology::ALL.len()).prop_map(|index| Topology::ALL[index]);
    let steps = prop::collection::vec(step(), 0..40);
    (0..100u64, 1..5usize, topology, pool, any::<bool>(), steps).prop_map(
        |(seed, nodes, topology, pool_size, together, steps)| {
            let member = Member { pool_size, ..Member::GO_LIKE };
            let mut scenario = Scenario::new(seed, nodes, topology, member);
            scenario.start_gap = Duration::from_millis(if together { 0 } else { 100 });
            let mut at = Duration::from_millis(500);
            for step in steps {
                match step {
                    Step::Pause(millis) => at += Duration::from_millis(millis.into()),
                    Step::Operation(operation) => scenario.operations.push((at, operation)),
                    Step::Fault(fault) => scenario.faults.extend(fault.fault(nodes).map(|fault| (at, fault))),
                }
            }
            scenario.faulty_for = at + Duration::from_millis(100);
            scenario
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_is_ever_broken(scenario in scenario()) {
        let outcome = scenario.run(false);
        prop_assert!(outcome.violation.is_none(), "{}", outcome.violation.map(|it| it.to_string()).unwrap_or_default());
    }

    #[test]
    fn the_same_scenario_runs_the_same_way_again(scenario in scenario()) {
        prop_assert_eq!(scenario.run(false).trace_hash, scenario.run(true).trace_hash);
    }
}
