//! The program and what must hold while and after it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use onehop::Instant;

use super::net::Net;
use super::node::{Node, Start, host};
use crate::{Choices, logging};

/// A program: the number of nodes, their pools and whom they dial, then what happens.
pub fn run(data: &[u8]) {
    logging::enable();
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    for _ in 0..MAX_STEPS {
        if choices.is_empty() || world.net.is_bouncing {
            break;
        }
        world.step(&mut choices);
        world.assert_safe();
    }
    world.net.drive(LONG_ENOUGH);
    world.assert_safe();
    if world.net.is_bouncing {
        assert!(world.worst == Fault::Lies, "nobody lied about members");
    } else {
        world.assert_converged();
    }
}

const MAX_STEPS: usize = 400;

/// Retries and first PINGs come within a second or so; keep-alive notices the dead only much later.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

/// No peer can make a node keep more connections to it, whatever it says: the largest pool, and an account's own.
const MAX_CLAIMED_ROUTES: usize = 256 + 1;

struct World {
    net: Net,
    pool_sizes: Vec<Option<NonZeroU16>>,
    are_named: bool,
    worst: Fault,
    /// A member left a group, maybe while a message was on its way to it. Then its node hands the message on, maybe to
    /// where it was published, where plain subscriptions get it again: as in nats-server (ROUTE-PROTOCOL 7.5).
    a_member_left: bool,
    messages: u32,
    /// Groups and bodies that a member got.
    taken: BTreeSet<(&'static str, Vec<u8>)>,
}

/// What has been done to the nodes, from harmless to harmful.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    None,
    /// Dials failed, or connections broke.
    Loss,
    /// Somebody wrote what no server would.
    Lies,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let count = 2 + choices.below(4);
        let bits = choices.byte();
        let are_named = bits & 1 == 0;
        let mut pool_sizes = Vec::new();
        let mut nodes = Vec::new();
        for number in 0..count {
            let size = if bits & 2 == 0 { 3 } else { choices.pick(&[3, 1, 0, 4]) };
            let start = Start { number, pool_size: NonZeroU16::new(size), is_named: are_named };
            pool_sizes.push(start.pool_size);
            let mut routes = BTreeSet::new();
            if number > 0 {
                routes.insert(choices.below(number));
            }
            if bits & 4 != 0 {
                // Any other, or itself.
                routes.insert(choices.below(count));
            }
            nodes.push(Node::new(start, &routes, Instant::ZERO));
        }
        let net = Net::new(nodes, Instant::ZERO);
        Self {
            net,
            pool_sizes,
            are_named,
            worst: Fault::None,
            a_member_left: false,
            messages: 0,
            taken: BTreeSet::new(),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let now = self.net.now;
        let node = choices.below(self.net.nodes.len());
        match choices.below(16) {
            0 => {
                self.net.begin_dials(node);
            }
            1 | 2 if !self.net.dials.is_empty() => {
                let (at, fails) = (choices.below(self.net.dials.len()), choices.below(8) == 7);
                self.net.answer_dial(at, fails);
                self.note(if fails { Fault::Loss } else { Fault::None });
            }
            3..=6 => self.carry(choices),
            7 => {
                if let Some((pipe, first)) = self.any_pipe(choices) {
                    self.net.break_pipe(pipe, first, choices.flag());
                    self.note(Fault::Loss);
                }
            }
            8 => self.net.pass(Duration::from_millis(20 * u64::from(choices.byte()))),
            9 => self.net.settle(),
            10 => self.net.nodes[node].subscribe(now, choices.pick(SUBJECTS), choices.pick(QUEUES)),
            11 => self.a_member_left |= self.net.nodes[node].unsubscribe(now, choices.byte()),
            12 => self.publish(node, choices.pick(SUBJECTS)),
            13 => {
                if let Some((pipe, from)) = self.any_pipe(choices) {
                    let bytes = self.lie(choices);
                    self.net.inject(pipe, from, &bytes);
                    self.note(Fault::Lies);
                }
            }
            14 => {
                let pipe = self.net.connect_raw(node);
                let bytes = self.lie(choices);
                self.net.inject(pipe, 1, &bytes);
                self.note(Fault::Lies);
            }
            _ => self.receive(),
        }
    }

    fn note(&mut self, fault: Fault) {
        self.worst = self.worst.max(fault);
    }

    fn any_pipe(&self, choices: &mut Choices<'_>) -> Option<(usize, usize)> {
        let len = self.net.pipes.len();
        (len > 0).then(|| (choices.byte() as usize % len, choices.below(2)))
    }

    fn carry(&mut self, choices: &mut Choices<'_>) {
        let Some((pipe, from)) = self.any_pipe(choices) else { return };
        let bytes = choices.pick(&[usize::MAX, 1, 5, 100, 400, usize::MAX]);
        self.net.write(pipe, from, bytes);
        self.net.read(pipe, from, if choices.flag() { bytes } else { bytes / 2 + 1 });
    }

    fn publish(&mut self, node: usize, subject: &str) {
        self.messages += 1;
        self.net.nodes[node].publish(self.net.now, subject, self.messages);
    }

    /// Takes what clients got: each subscription a message once, each group once in the whole cluster.
    fn receive(&mut self) {
        let honest = self.worst < Fault::Lies;
        for node in &mut self.net.nodes {
            for (queue, body) in node.receive(!honest || self.a_member_left) {
                if !queue.is_empty() && honest {
                    assert!(self.taken.insert((queue, body)), "two members of a group got a message");
                }
            }
        }
    }

    /// What no server would write, or not at this moment.
    fn lie(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..1 + choices.below(4) {
            let id = match choices.below(4) {
                0 => "NPEER".to_owned(),
                1 => "NOTHER".to_owned(),
                _ => self.net.nodes[choices.below(self.net.nodes.len())].id(),
            };
            match choices.below(8) {
                0 => lines.extend_from_slice(choices.bytes()),
                1 | 2 => lines.extend(hello(&id, choices)),
                3 | 4 => lines.extend(info(&id, choices)),
                _ => lines.extend_from_slice(choices.pick(LIES)),
            }
        }
        lines
    }

    fn assert_safe(&self) {
        for (number, node) in self.net.nodes.iter().enumerate() {
            let own_id = node.id();
            for (peer, count) in node.route_counts() {
                assert_ne!(peer, own_id, "a route to itself");
                let other = self.net.nodes.iter().position(|other| other.id() == peer);
                let max = match other {
                    Some(other) if self.worst < Fault::Lies => self.pair_routes(number, other),
                    _ => MAX_CLAIMED_ROUTES,
                };
                assert!(count <= max, "node {number} has {count} routes to {peer}");
            }
        }
    }

    /// How many connections two nodes have: the larger of their pools and one for the system account, or one if either
    /// does not pool (ROUTE-PROTOCOL 4.3).
    fn pair_routes(&self, a: usize, b: usize) -> usize {
        match (self.pool_sizes[a], self.pool_sizes[b]) {
            (Some(a), Some(b)) => usize::from(a.max(b).get()) + 1,
            _ => 1,
        }
    }

    fn assert_converged(&mut self) {
        self.receive();
        if self.worst == Fault::Lies {
            return;
        }
        let ids: Vec<_> = self.net.nodes.iter().map(Node::id).collect();
        let counts: Vec<_> = self.net.nodes.iter().map(Node::route_counts).collect();
        let mut are_whole = true;
        for a in 0..ids.len() {
            for b in (0..ids.len()).filter(|b| *b != a) {
                let count = counts[a].get(&ids[b]).copied().unwrap_or(0);
                let back = counts[b].get(&ids[a]).copied().unwrap_or(0);
                assert_eq!(count, back, "nodes {a} and {b} disagree on their routes");
                let is_whole = count == self.pair_routes(a, b);
                are_whole &= is_whole;
                if self.worst == Fault::None && self.are_named {
                    assert!(is_whole, "nodes {a} and {b} have {count} routes");
                }
                if is_whole {
                    let (wants, believed) = (self.net.nodes[a].wants(), self.net.nodes[b].believes(&ids[a]));
                    assert_eq!(believed, wants, "what node {b} believes that node {a} wants");
                }
            }
        }
        if are_whole {
            self.assert_delivers();
        }
    }

    /// A message gets to every plain subscription and to one member of each group, wherever they are.
    fn assert_delivers(&mut self) {
        for publisher in 0..self.net.nodes.len() {
            let subject = SUBJECTS[publisher % SUBJECTS.len()];
            self.publish(publisher, subject);
            self.net.settle();
            let mut got = BTreeMap::<&str, usize>::new();
            for node in &mut self.net.nodes {
                node.receive(false).into_iter().for_each(|(queue, _)| *got.entry(queue).or_default() += 1);
            }
            let plain = self.net.nodes.iter().map(|node| node.matching(subject, "")).sum::<usize>();
            assert_eq!(got.get("").copied().unwrap_or(0), plain, "plain subscriptions to {subject}");
            for queue in &QUEUES[1..] {
                let members = self.net.nodes.iter().map(|node| node.matching(subject, queue)).sum::<usize>();
                assert_eq!(got.get(queue).copied().unwrap_or(0), members.min(1), "{queue} of {subject}");
            }
        }
    }
}

/// CONNECT and INFO of a dialing server.
fn hello(id: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let cluster = choices.pick(&["C", "C", "D", "_", ""]);
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"name\":\"{id}\",\"cluster\":\"{cluster}\",\"cluster_dynamic\":{}}}\r\n",
        choices.flag()
    );
    [connect.into_bytes(), info(id, choices)].concat()
}

fn info(id: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let line = format!(
        "INFO {{\"server_id\":\"{id}\",\"server_name\":\"{}\",\"cluster\":\"{}\",\"port\":{},\"ip\":\"{}\",\
         \"headers\":true,\"lnocu\":{},\"route_pool_size\":{},\"route_pool_idx\":{},\"gossip_mode\":{}{}}}\r\n",
        choices.pick(&["x", "n0", id]),
        choices.pick(&["C", "C", "", "D"]),
        choices.pick(&[6222, 0, 65535]),
        match choices.below(4) {
            0 => String::new(),
            1 => "nats-route://[::1/".to_owned(),
            _ => format!("nats-route://{}:6222/", host(choices.below(6))),
        },
        choices.flag(),
        choices.pick(&[3, 0, -1, 300, i32::MAX]),
        choices.pick(&[0, 0, 1, 2, -1, 299]),
        choices.pick(&[0, 1, 2, 9]),
        choices.pick(&[
            "",
            "",
            ",\"route_account\":\"$SYS\"",
            ",\"route_account\":\"$G\"",
            ",\"ldm\":true",
            ",\"route_acc_add_reqid\":\"x\"",
            ",\"gateway\":\"g\"",
            ",\"connect_urls\":[\"a:1\"]",
            ",\"cluster_dynamic\":true",
        ]),
    );
    line.into_bytes()
}

const SUBJECTS: &[&str] = &["a", "a.b", "b", "*", "a.*", ">"];

const QUEUES: &[&str] = &["", "q", "r"];

const LIES: &[&[u8]] = &[
    b"PING\r\n",
    b"PONG\r\n",
    b"RS+ $G a\r\n",
    b"RS+ $G a q 5\r\n",
    b"RS+ $G a q 0\r\n",
    b"RS+ a q 5\r\n",
    b"RS- $G a\r\n",
    b"RS- $G a q\r\n",
    b"LS+ leaf $G a q 1\r\n",
    b"LS- leaf $G a q\r\n",
    b"LS+ leaf $G a\r\n",
    b"RMSG $G a 1\r\nx\r\n",
    b"RMSG $G a | q r 1\r\nx\r\n",
    b"RMSG $G a + b q 1\r\nx\r\n",
    b"HMSG $G a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
    b"LMSG leaf $G a 0 1\r\nx\r\n",
    b"RMSG $SYS a 1\r\nx\r\n",
    b"RMSG a 1\r\nx\r\n",
    b"-ERR 'no'\r\n",
    b"A+ $G\r\n",
    b"PUB a 1\r\nx\r\n",
    b"INFO {}\r\n",
    b"INFO [\r\n",
    b"RS+ $G a..b\r\n",
    b"RMSG $G a 999999999\r\n",
];
