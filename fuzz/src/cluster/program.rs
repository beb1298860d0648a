//! The program and what must hold while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use onehop::Instant;

use super::lies::lie;
use super::net::Net;
use super::node::{Delivery, Node, Start};
use crate::subject::matches;
use crate::{Choices, logging};

/// A program: the number of nodes, their pools and whom they dial, then what happens. In the end all that was broken is
/// whole again.
pub fn run(data: &[u8]) {
    logging::enable();
    let mut choices = Choices::new(data);
    let mut trial = Trial::new(&mut choices);
    for _ in 0..MAX_STEPS {
        if choices.is_empty() || trial.net.is_bouncing {
            break;
        }
        trial.step(&mut choices);
        trial.assert_safe();
    }
    trial.converge();
}

const MAX_STEPS: usize = 400;

/// No peer can make a node keep more connections to it, whatever it says: the largest pool, and an account's own.
const MAX_CLAIMED_ROUTES: usize = 256 + 1;

pub(super) struct Trial {
    pub(super) net: Net,
    pool_sizes: Vec<Option<NonZeroU16>>,
    /// The cluster's name is configured.
    pub(super) is_named: bool,
    pub(super) worst: Fault,
    /// Somebody told a node that it is what it dialed. It will not dial that address again.
    pub(super) is_told_of_itself: bool,
    /// By number, from 1 on.
    messages: BTreeMap<u32, Message>,
    /// Members that left a group since nothing was on its way.
    left: Vec<&'static str>,
    /// Node, subscription and message that were delivered.
    received: BTreeSet<(usize, usize, u32)>,
    /// Groups and messages that a member got.
    taken: BTreeSet<(&'static str, u32)>,
    /// Nodes, from and to, and messages that were written from one to the other.
    pub(super) crossed: BTreeSet<(usize, usize, u32)>,
}

/// A message that a client published.
pub(super) struct Message {
    pub(super) node: usize,
    pub(super) subject: &'static str,
    /// A member left a group, maybe while the message was on its way to it. Then its node hands the message on, maybe to
    /// where it was published, where plain subscriptions get it again: as in nats-server (wire.md 7.5).
    may_return: bool,
}

/// What has been done to the nodes, from harmless to harmful.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    None,
    /// Dials failed, or connections broke.
    Loss,
    /// Somebody wrote what no server would.
    Lies,
}

impl Trial {
    fn new(choices: &mut Choices<'_>) -> Self {
        let count = 2 + choices.below(4);
        let bits = choices.byte();
        let is_named = bits & 1 == 0;
        let mut pool_sizes = Vec::new();
        let mut nodes = Vec::new();
        for number in 0..count {
            let size = if bits & 2 == 0 { 3 } else { choices.pick(&[3, 1, 0, 4]) };
            let start = Start { number, pool_size: NonZeroU16::new(size), is_named };
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
        Self {
            net: Net::new(nodes, Instant::ZERO),
            pool_sizes,
            is_named,
            worst: Fault::None,
            is_told_of_itself: false,
            messages: BTreeMap::new(),
            left: Vec::new(),
            received: BTreeSet::new(),
            taken: BTreeSet::new(),
            crossed: BTreeSet::new(),
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
            9 => self.settle(),
            10 => self.net.nodes[node].subscribe(now, choices.pick(SUBJECTS), choices.pick(QUEUES)),
            11 => {
                let count = self.net.nodes[node].sub_count();
                if let Some(sid) = usize::from(choices.byte()).checked_rem(count) {
                    self.unsubscribe(node, sid);
                }
            }
            12 => {
                self.publish(node, choices.pick(SUBJECTS));
            }
            13 => {
                if let Some((pipe, from)) = self.any_pipe(choices) {
                    self.lie(pipe, from, choices);
                }
            }
            14 => {
                let pipe = self.net.connect_raw(node);
                self.lie(pipe, 1, choices);
            }
            _ => self.receive(),
        }
    }

    /// Puts a lie on a wire.
    fn lie(&mut self, pipe: usize, from: usize, choices: &mut Choices<'_>) {
        let bytes = lie(&self.ids(), choices);
        let listener = self.net.end(pipe, 1 - from).map(|end| self.net.nodes[end.node].id());
        self.is_told_of_itself |=
            listener.is_some_and(|id| bytes.windows(id.len()).any(|window| window == id.as_bytes()));
        self.net.inject(pipe, from, &bytes);
        self.note(Fault::Lies);
    }

    fn note(&mut self, fault: Fault) {
        self.worst = self.worst.max(fault);
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.net.nodes.iter().map(Node::id).collect()
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

    /// Lets everything arrive. From then on all know who has left.
    pub(super) fn settle(&mut self) {
        self.net.settle();
        self.left.clear();
    }

    pub(super) fn unsubscribe(&mut self, node: usize, sid: usize) {
        let Some(sub) = self.net.nodes[node].unsubscribe(self.net.now, sid) else { return };
        if !sub.queue.is_empty() {
            self.left.push(sub.subject);
            let meant = self.messages.values_mut().filter(|message| sub.wants(message.subject));
            meant.for_each(|message| message.may_return = true);
        }
    }

    /// The client of a node publishes. Returns the message's number.
    pub(super) fn publish(&mut self, node: usize, subject: &'static str) -> u32 {
        let number = self.messages.len() as u32 + 1;
        let may_return = self.left.iter().any(|filter| matches(filter.as_bytes(), subject.as_bytes()));
        self.messages.insert(number, Message { node, subject, may_return });
        self.net.nodes[node].publish(self.net.now, subject, number);
        number
    }

    /// Takes what clients got: what they want, each subscription a message once, each group once in the whole cluster.
    pub(super) fn receive(&mut self) {
        for node in 0..self.net.nodes.len() {
            let deliveries = self.net.nodes[node].receive();
            if self.worst < Fault::Lies {
                deliveries.iter().for_each(|delivery| {
                    self.note_delivery(node, delivery);
                });
            }
        }
    }

    /// Notes what a client got, from a node that nobody lied to. Returns the message's number.
    pub(super) fn note_delivery(&mut self, node: usize, delivery: &Delivery) -> u32 {
        let (number, message) = self.message(&delivery.body);
        let (subject, may_return) = (message.subject, message.may_return);
        let sub = self.net.nodes[node].sub(delivery.sid);
        assert!(sub.wants(subject), "{subject} is not for {}", sub.subject);
        if !sub.queue.is_empty() {
            let is_first = self.taken.insert((sub.queue, number));
            assert!(is_first, "two members of a group got a message");
        }
        let is_first = self.received.insert((node, delivery.sid, number));
        assert!(is_first || may_return, "a subscription got a message twice");
        number
    }

    fn message(&self, body: &[u8]) -> (u32, &Message) {
        let number = std::str::from_utf8(body).ok().and_then(|digits| digits.parse().ok());
        let known = number.and_then(|number| Some((number, self.messages.get(&number)?)));
        known.expect("a message that was published")
    }

    /// What holds at any time, whatever happens.
    pub(super) fn assert_safe(&mut self) {
        self.assert_one_hop();
        for (number, node) in self.net.nodes.iter().enumerate() {
            let own_id = node.id();
            for (peer, routes) in node.routes() {
                assert_ne!(peer, own_id, "a route to itself");
                let other = self.net.nodes.iter().position(|other| other.id() == peer);
                let max = match other {
                    Some(other) if self.worst < Fault::Lies => self.pair_routes(number, other),
                    _ => MAX_CLAIMED_ROUTES,
                };
                assert!(routes.len() <= max, "node {number} has {} routes to {peer}", routes.len());
            }
        }
    }

    /// Only the node where a message was published writes it to others, once to each.
    pub(super) fn assert_one_hop(&mut self) {
        for crossing in std::mem::take(&mut self.net.crossings) {
            if self.worst == Fault::Lies {
                continue;
            }
            let (number, message) = self.message(&crossing.body);
            let (publisher, may_return) = (message.node, message.may_return);
            assert!(crossing.from == publisher || may_return, "a message crosses two routes");
            let is_first = self.crossed.insert((crossing.from, crossing.to, number));
            assert!(is_first || may_return, "a message is sent to a server twice");
        }
    }

    /// How many connections two nodes have: the larger of their pools and one for the system account, or one if either
    /// does not pool (wire.md 4.3).
    pub(super) fn pair_routes(&self, a: usize, b: usize) -> usize {
        match (self.pool_sizes[a], self.pool_sizes[b]) {
            (Some(a), Some(b)) => usize::from(a.max(b).get()) + 1,
            _ => 1,
        }
    }
}

pub(super) const SUBJECTS: &[&str] = &["a", "a.b", "b", "*", "a.*", ">"];

pub(super) const QUEUES: &[&str] = &["", "q", "r"];
