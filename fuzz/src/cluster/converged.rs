//! What must hold once nothing is broken any more: the mesh, the interest, and who gets what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::node::{Wants, host};
use super::program::{Fault, QUEUES, SUBJECTS, Trial};

/// Where nothing failed, retries after both sides dialed at once take a second or two, and each PING fills another slot.
const LONG_ENOUGH: Duration = Duration::from_secs(6);

/// Nodes that must first agree on a name close the routes that they have for it, and dial them again.
const LONG_ENOUGH_TO_AGREE: Duration = Duration::from_secs(12);

/// After failures the pause before the next attempt grows to half a minute, and gaps are filled one by one.
const LONG_ENOUGH_AFTER_FAILURES: Duration = Duration::from_secs(80);

/// After so long it is looked whether that was enough.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who lives happily ever after does so for this long.
const EVER_AFTER: Duration = Duration::from_secs(8);

impl Trial {
    /// Lets pass what time it takes, and asserts that everything is as it should be.
    pub(super) fn converge(&mut self) {
        if !self.net.is_bouncing {
            self.pass(if self.is_named { LONG_ENOUGH } else { LONG_ENOUGH_TO_AGREE });
        }
        assert!(!self.net.is_bouncing || self.worst == Fault::Lies, "nobody lied about members");
        if self.worst == Fault::Lies {
            return self.recover();
        }
        if self.worst == Fault::Loss {
            self.pass_until_whole();
        }
        self.assert_mesh();
        self.assert_interest();
        self.assert_clients_are_told();
        self.assert_stays();
        self.assert_delivers();
        self.assert_leaves_nothing();
    }

    /// Nobody lies any more and all connections end. What was believed goes with them, unless it is a name for the
    /// cluster, or that an address is one's own.
    fn recover(&mut self) {
        if !self.is_named || self.is_told_of_itself {
            return;
        }
        self.net.break_all();
        // What went to and fro went over them.
        self.net.is_bouncing = false;
        self.pass_until_whole();
        self.worst = Fault::Loss;
        self.assert_mesh();
        self.assert_interest();
        self.assert_clients_are_told();
        self.assert_delivers();
        self.assert_leaves_nothing();
    }

    fn pass(&mut self, duration: Duration) {
        self.net.drive(duration);
        if !self.net.is_bouncing {
            self.settle();
        }
        self.assert_safe();
        self.receive();
    }

    fn pass_until_whole(&mut self) {
        let until = self.net.now + LONG_ENOUGH_AFTER_FAILURES;
        while !self.is_whole() && self.net.now < until {
            self.pass(PATIENCE);
        }
    }

    /// Whether all have all the routes to all others.
    fn is_whole(&self) -> bool {
        let ids = self.ids();
        self.net.nodes.iter().enumerate().all(|(a, node)| {
            let routes = node.routes();
            let count = |b: usize| routes.get(&ids[b]).map_or(0, Vec::len);
            (0..ids.len()).all(|b| b == a || count(b) == self.pair_routes(a, b))
        })
    }

    /// Every node has exactly the routes to every other that it should, nothing else, and both ends agree.
    fn assert_mesh(&self) {
        let ids = self.ids();
        for (a, node) in self.net.nodes.iter().enumerate() {
            let mut expected = BTreeMap::new();
            for b in (0..ids.len()).filter(|b| *b != a) {
                let count = self.pair_routes(a, b);
                let mut accounts = vec![None; count];
                if count > 1 {
                    accounts[count - 1] = Some("$SYS".to_owned());
                }
                expected.insert(ids[b].clone(), accounts);
            }
            let mut routes = node.routes();
            routes.values_mut().for_each(|accounts| accounts.sort_unstable());
            assert_eq!(routes, expected, "the routes of node {a}");
            let count = expected.values().map(Vec::len).sum::<usize>();
            assert_eq!(node.route_ids().len(), count, "node {a} has others that are not registered");
            assert_eq!(node.engine.node().cluster_name(), self.net.nodes[0].engine.node().cluster_name());
        }
        for pipe in &self.net.pipes {
            let (dialer, listener) = pipe.ends().expect("nothing is half open");
            let [dialed, accepted] = [dialer, listener].map(|end| self.net.nodes[end.node].route(end.id));
            assert_eq!(dialed, (ids[listener.node].clone(), accepted.1), "the ends of a route disagree");
            assert_eq!(accepted.0, ids[dialer.node]);
        }
    }

    /// Every node knows exactly what every client wants.
    fn assert_interest(&self) {
        let nodes = self.net.nodes.iter();
        let wants: BTreeMap<String, Wants> =
            nodes.map(|node| (node.id(), node.wants())).filter(|(_, wants)| !wants.is_empty()).collect();
        for (number, node) in self.net.nodes.iter().enumerate() {
            assert_eq!(node.believes(), wants, "what node {number} believes of all");
        }
    }

    /// Every client was told of all nodes.
    fn assert_clients_are_told(&self) {
        let expected: BTreeSet<_> = (0..self.net.nodes.len()).map(|n| format!("{}:4222", host(n))).collect();
        for (number, node) in self.net.nodes.iter().enumerate() {
            assert_eq!(node.connect_urls(), expected, "what the client of node {number} was told");
        }
    }

    /// In a whole mesh nothing is dialed and nothing closed.
    fn assert_stays(&mut self) {
        let state = |trial: &Self| {
            let nodes = trial.net.nodes.iter();
            nodes.map(|node| (node.route_ids(), node.engine.node().dial_counts())).collect::<Vec<_>>()
        };
        let before = state(self);
        self.pass(EVER_AFTER);
        assert_eq!(state(self), before, "a whole mesh does not rest");
    }

    /// A message gets to every plain subscription and to one member of each group, wherever they are, in order, and over
    /// no route that it does not need.
    fn assert_delivers(&mut self) {
        self.receive();
        let mut published = Vec::new();
        for subject in SUBJECTS {
            for publisher in 0..self.net.nodes.len() {
                published.push((publisher, *subject, self.publish(publisher, subject)));
            }
        }
        self.settle();
        self.assert_one_hop();
        let got = self.receive_in_order(&published);
        for (publisher, subject, number) in published {
            let sids = got.get(&number).cloned().unwrap_or_default();
            let at = |of: usize| sids.iter().filter(move |(node, _)| *node == of).map(|(_, sid)| *sid);
            let mut members = BTreeMap::<&str, usize>::new();
            for (number_of_node, node) in self.net.nodes.iter().enumerate() {
                let wanting = node.live().filter(|(_, sub)| sub.wants(subject));
                let plain: BTreeSet<_> =
                    wanting.filter(|(_, sub)| sub.queue.is_empty()).map(|(sid, _)| sid).collect();
                let got: BTreeSet<_> =
                    at(number_of_node).filter(|sid| node.sub(*sid).queue.is_empty()).collect();
                assert_eq!(got, plain, "who gets {subject} on node {number_of_node}");
                for sid in at(number_of_node) {
                    *members.entry(node.sub(sid).queue).or_default() += 1;
                }
                let crossed = self.crossed.contains(&(publisher, number_of_node, number));
                let needed = number_of_node != publisher && at(number_of_node).next().is_some();
                assert_eq!(crossed, needed, "{subject} from {publisher} to {number_of_node}");
            }
            for queue in &QUEUES[1..] {
                let mut subs = self.net.nodes.iter().flat_map(|node| node.live());
                let has_members = subs.any(|(_, sub)| sub.queue == *queue && sub.wants(subject));
                let got = members.get(queue).copied().unwrap_or(0);
                assert_eq!(got, usize::from(has_members), "{queue} of {subject}");
            }
        }
    }

    /// Takes what clients got of these messages: by message, node and subscription, none twice.
    fn receive_in_order(
        &mut self,
        published: &[(usize, &'static str, u32)],
    ) -> BTreeMap<u32, BTreeSet<(usize, usize)>> {
        let publisher =
            |number: u32| published.iter().find(|message| message.2 == number).map(|message| message.0);
        let mut got = BTreeMap::<_, BTreeSet<_>>::new();
        for node in 0..self.net.nodes.len() {
            let mut last = BTreeMap::new();
            for delivery in self.net.nodes[node].receive() {
                let number = self.note_delivery(node, &delivery);
                let from = publisher(number).expect("one of these");
                let earlier = last.insert((delivery.sid, from), number).unwrap_or(0);
                assert!(earlier < number, "{number} comes after {earlier}");
                got.entry(number).or_default().insert((node, delivery.sid));
            }
        }
        got
    }

    /// When all clients end all subscriptions, nothing is left and nothing is sent any more.
    fn assert_leaves_nothing(&mut self) {
        for node in 0..self.net.nodes.len() {
            let sids: Vec<_> = self.net.nodes[node].live().map(|(sid, _)| sid).collect();
            sids.into_iter().for_each(|sid| self.unsubscribe(node, sid));
        }
        self.settle();
        for node in &self.net.nodes {
            assert!(node.engine.node().hub().global_account().index().is_empty(), "interest of nobody");
        }
        self.publish(0, SUBJECTS[0]);
        self.settle();
        assert!(self.net.crossings.is_empty(), "a message goes to a server that does not want it");
        self.assert_one_hop();
        self.receive();
    }
}
