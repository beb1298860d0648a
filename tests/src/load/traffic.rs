//! Publishers and subscribers as fast as the server lets them.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::connection::Connection;
use super::dialect::Dialect;
use super::flow::{Delivery, Flow, Until};
use super::inbox::{Expectation, Inbox};
use super::node::{Binary, Node};
use super::process::CpuTime;
use super::reading::{Faults, Metric, Reading};
use super::tap::Tap;
use super::tenants::{Role, Tenants};
use super::tunnel::{Tunnels, Way};

/// How long a new cluster is left alone after the first message got through: the other connections of its pool come up.
const SETTLE: Duration = Duration::from_millis(300);

/// What is published before the measurement starts, so that buffers, caches and threads are there.
const WARM_UP: Duration = Duration::from_millis(200);

/// What a publisher whose messages are compressed sends before it repeats itself: farther back no server looks.
const UNREPEATED_BYTES: usize = 4 << 20;

/// How the subscribers of a flow subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// To the one subject, each for itself.
    Plain,
    /// To the one subject, as members of one queue group.
    Queue,
    /// To many subjects by a wildcard.
    Wildcard,
    /// To many subjects, one subscription each.
    Each,
}

/// What stands between the clients and the servers, and between these.
#[derive(Clone, Copy)]
struct Between<'a> {
    tap: Option<&'a Tap>,
    tunnels: Option<&'a Tunnels>,
}

/// The shape of a load of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Publishers, each with a subject and subscribers of its own.
    pub flows: usize,
    /// Subscribers of each publisher.
    pub subscribers: usize,
    /// Subjects that each publisher goes through in turn.
    pub subjects: usize,
    /// How they subscribe.
    pub interest: Interest,
    /// Whether publishers and subscribers are on two servers with a route between.
    pub routed: bool,
    /// Whether that route is compressed (`s2_fast`).
    pub compressed: bool,
    /// How clients come.
    pub way: Way,
    /// Who they are.
    pub tenants: Tenants,
}

impl Traffic {
    /// One publisher and one subscriber on one server.
    pub const fn one_to_one(payload_bytes: usize) -> Self {
        Self {
            payload_bytes,
            flows: 1,
            subscribers: 1,
            subjects: 1,
            interest: Interest::Plain,
            routed: false,
            compressed: false,
            way: Way::Plain,
            tenants: Tenants::None,
        }
    }

    /// Whether a server of this dialect can be put under the load.
    ///
    /// All can copy to subscribers of one subject; the relay copies to everybody, whatever the subject.
    pub fn suits(&self, dialect: Dialect) -> bool {
        let plain = self.interest == Interest::Plain
            && !self.routed
            && self.way == Way::Plain
            && self.tenants == Tenants::None;
        match dialect {
            Dialect::Nats => true,
            Dialect::Resp | Dialect::Mqtt => plain,
            Dialect::Copied => plain && self.flows == 1,
        }
    }

    /// Runs the load once on new servers.
    pub fn run(&self, binary: &Binary, until: Until) -> io::Result<Reading> {
        let tunnels = Tunnels::by(self.way)?;
        let configuration = tunnels.as_ref().map(Tunnels::configuration).or(self.tenants.configuration());
        let nodes: Vec<Node> = match configuration {
            None if self.compressed => Node::compressed_pair(binary)?.into(),
            None if self.routed => Node::pair(binary)?.into(),
            None => vec![Node::alone(binary)?],
            Some(configuration) => vec![Node::configured(binary, &configuration)?],
        };
        self.run_on(binary.dialect, &nodes, Between { tap: None, tunnels: tunnels.as_ref() }, until)
    }

    /// Runs the load once on new servers with a tap between them.
    pub fn count_route_bytes(&self, binary: &Binary, until: Until) -> io::Result<Reading> {
        let (nodes, tap) = Node::tapped_pair(binary, if self.compressed { "s2_fast" } else { "off" })?;
        self.run_on(binary.dialect, &nodes, Between { tap: Some(&tap), tunnels: None }, until)
    }

    fn run_on(
        &self,
        dialect: Dialect,
        nodes: &[Node],
        between: Between<'_>,
        until: Until,
    ) -> io::Result<Reading> {
        let Between { tap, tunnels } = between;
        let mut flows: Vec<Flow> =
            (0..self.flows).map(|flow| self.open(dialect, nodes, tunnels, flow)).collect::<Result<_, _>>()?;
        if self.routed {
            thread::sleep(SETTLE);
        }
        run_all(&mut flows, warm_up(until))?;
        let pids: Vec<u32> = nodes.iter().map(Node::pid).collect();
        let reading = measure(&mut flows, &pids, tap, until);
        // Clients go before their servers do, or each would be cut off.
        drop(flows);
        reading
    }

    /// Opens the flow number `number`: subscribers at the last server, the publisher at the first.
    fn open(
        &self,
        dialect: Dialect,
        nodes: &[Node],
        tunnels: Option<&Tunnels>,
        number: usize,
    ) -> io::Result<Flow> {
        let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else {
            return Err(io::Error::other("there is no server"));
        };
        let connect = |node: &Node, role| {
            let greeting = self.tenants.greeting(dialect, role);
            let address = tunnels.map_or(Ok(node.address()), |tunnels| tunnels.open(node.address()))?;
            Connection::open_with(dialect, address, &greeting)
        };
        let open_inbox = |_| Inbox::open(connect(last, Role::Subscriber)?, self.expectation(dialect, number));
        let inboxes = (0..self.subscribers).map(open_inbox).collect::<Result<Vec<_>, _>>()?;
        let delivery =
            if self.interest == Interest::Queue { Delivery::OneMember } else { Delivery::Everyone };
        let batches = Batch::cycle(dialect, &self.published(number), self.payload_bytes);
        let publisher = connect(first, Role::Publisher)?;
        Flow::open(dialect, publisher, batches, self.payload_bytes, inboxes, delivery)
    }

    fn subjects(&self, flow: usize) -> Vec<String> {
        if self.subjects == 1 {
            return vec![format!("bench.{flow}")];
        }
        (0..self.subjects).map(|number| format!("bench.{flow}.{number}")).collect()
    }

    /// Where one message after the other goes before all of that is repeated. What is to be compressed must not repeat itself
    /// where a server would find that.
    fn published(&self, flow: usize) -> Vec<String> {
        let subjects = self.subjects(flow);
        let messages = if self.compressed { UNREPEATED_BYTES / self.payload_bytes } else { subjects.len() };
        subjects.iter().cycle().take(messages.max(subjects.len())).cloned().collect()
    }

    fn expectation(&self, dialect: Dialect, flow: usize) -> Expectation {
        let alone = |filter| vec![(filter, None)];
        let (subscriptions, head) = match self.interest {
            Interest::Plain => (alone(format!("bench.{flow}")), dialect.head(&format!("bench.{flow}"), 1)),
            Interest::Queue => (
                vec![(format!("bench.{flow}"), Some("workers".to_owned()))],
                dialect.head(&format!("bench.{flow}"), 1),
            ),
            Interest::Wildcard => (alone(format!("bench.{flow}.*")), format!("bench.{flow}.")),
            Interest::Each => {
                let filters = self.subjects(flow).into_iter().map(|subject| (subject, None));
                (filters.collect(), format!("bench.{flow}."))
            }
        };
        Expectation { dialect, subscriptions, head, payload_bytes: self.payload_bytes }
    }
}

/// A tenth of the messages, or [`WARM_UP`].
fn warm_up(until: Until) -> Until {
    match until {
        Until::Messages(count) => Until::Messages(count / 10),
        Until::Elapsed(time) => Until::Elapsed(WARM_UP.min(time)),
    }
}

/// Runs the warm flows and reads the servers' CPU time, and what passed the tap, directly before and after.
fn measure(flows: &mut [Flow], pids: &[u32], tap: Option<&Tap>, until: Until) -> io::Result<Reading> {
    let due_before: u64 = flows.iter().map(Flow::due).sum();
    let passed_before = tap.map_or(0, Tap::passed_bytes);
    let cpu_before = cpu_times(pids)?;
    let generator_before = CpuTime::of(std::process::id())?;
    let start = Instant::now();
    run_all(flows, until)?;
    let elapsed = start.elapsed();
    let cpu_after = cpu_times(pids)?;
    let generator = CpuTime::of(std::process::id())?.since(&generator_before);

    let faults = flows
        .iter()
        .map(Flow::faults)
        .try_fold(Faults::default(), |sum, faults| faults.map(|it| sum.plus(it)))?;
    let due = flows.iter().map(Flow::due).sum::<u64>() - due_before;
    let delivered = due.saturating_sub(faults.lost).max(1) as f64;
    let cpu: Duration = cpu_after.iter().zip(&cpu_before).map(|(after, before)| after.since(before)).sum();
    let mut values = vec![
        (Metric::CpuPerMessage, cpu.as_secs_f64() * 1e6 / delivered),
        (Metric::MessagesPerSecond, delivered / elapsed.as_secs_f64()),
    ];
    if let Some(tap) = tap {
        values.push((Metric::RouteBytes, (tap.passed_bytes() - passed_before) as f64 / delivered));
    }
    Ok(Reading {
        values: values.into_iter().collect(),
        faults,
        generator_micros: generator.as_secs_f64() * 1e6 / delivered,
    })
}

fn cpu_times(pids: &[u32]) -> io::Result<Vec<CpuTime>> {
    pids.iter().map(|&pid| CpuTime::of(pid)).collect()
}

/// Runs all flows at once, each publisher on a thread, until the last message of each has come.
fn run_all(flows: &mut [Flow], until: Until) -> io::Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = flows.iter_mut().map(|flow| scope.spawn(move || flow.run(until))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("a publisher's thread panicked")),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_that_is_published_is_expected() {
        let many = Traffic { subjects: 1000, interest: Interest::Each, ..Traffic::one_to_one(128) };
        let filters = many.expectation(Dialect::Nats, 2).subscriptions.into_iter().map(|(filter, _)| filter);
        assert_eq!(filters.collect::<Vec<_>>(), many.subjects(2));
        assert!(
            many.subjects(2)
                .iter()
                .all(|subject| subject.starts_with(&many.expectation(Dialect::Nats, 2).head))
        );
    }

    #[test]
    fn a_flow_does_not_expect_the_subjects_of_another() {
        let pairs = Traffic { flows: 4, ..Traffic::one_to_one(128) };
        assert_eq!(pairs.expectation(Dialect::Nats, 3).head, "bench.3 1 ");
        assert_ne!(pairs.subjects(1), pairs.subjects(2));
    }

    #[test]
    fn a_warm_up_is_shorter_than_the_load() {
        assert_eq!(warm_up(Until::Messages(1000)), Until::Messages(100));
        assert_eq!(
            warm_up(Until::Elapsed(Duration::from_millis(50))),
            Until::Elapsed(Duration::from_millis(50))
        );
    }
}
