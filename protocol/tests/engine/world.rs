//! A network of nodes in virtual time: bytes arrive at once and in order, and nothing happens but what a test or a
//! timer causes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use onehop::config::{ClusterConfig, Config};
use onehop::{CloseReason, ConnectionId, DialError, Engine, Instant, Listening};

pub(crate) const CLIENT_PORT: u16 = 4222;
pub(crate) const ROUTE_PORT: u16 = 6222;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Nodes, the routes between them, and clients and raw peers that tests play.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) now: Instant,
    nodes: BTreeMap<String, Engine>,
    numbers: BTreeMap<String, u8>,
    routes: Vec<[End; 2]>,
    sockets: Vec<Socket>,
    /// Pairs of nodes that cannot connect.
    cut: Vec<[String; 2]>,
    dials: usize,
    next_port: u16,
    starts: u64,
    /// All that any node wrote, for comparing runs.
    pub(crate) trace: Vec<u8>,
    /// All that was written on routes.
    pub(crate) routed: Vec<u8>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    node: String,
    id: ConnectionId,
}

/// A connection whose other end is a test.
struct Socket {
    end: End,
    received: Vec<u8>,
    closed: Option<CloseReason>,
}

/// A connection that a test plays the other end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(usize);

impl World {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A world of one node outside of any cluster, called A.
    pub(crate) fn alone(tweak: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::new();
        world.start("A", &[], |config| {
            config.cluster = None;
            tweak(config);
        });
        world
    }

    /// A world of these nodes, started at once, each with the routes to others that it is configured with.
    pub(crate) fn cluster(members: &[(&str, &[&str])]) -> Self {
        let mut world = Self::new();
        for (name, routes) in members {
            world.start(name, routes, |_| {});
        }
        world
    }

    /// Starts a node, in the cluster C unless `tweak` says otherwise. Each start has a seed of its own.
    pub(crate) fn start(&mut self, name: &str, routes: &[&str], tweak: impl FnOnce(&mut Config)) {
        self.starts += 1;
        let host = self.ip(name).to_string();
        let routes = routes.iter().map(|peer| self.route_url(peer).parse().expect("a URL")).collect();
        let cluster =
            ClusterConfig { name: Some("C".to_owned()), host: host.clone(), routes, ..Default::default() };
        let mut config = Config {
            server_name: Some(name.to_owned()),
            host,
            seed: self.starts,
            cluster: Some(cluster),
            ..Config::default()
        };
        tweak(&mut config);
        let listening = Listening {
            client_port: CLIENT_PORT,
            route_port: ROUTE_PORT,
            interfaces: Vec::new(),
            unix_nanos_at_zero: 0,
        };
        self.nodes.insert(name.to_owned(), Engine::new(config, &listening, self.now));
    }

    /// Takes a node away without a word, as when its process is killed.
    pub(crate) fn kill(&mut self, name: &str) {
        self.nodes.remove(name);
        let (gone, left): (Vec<_>, Vec<_>) =
            self.routes.drain(..).partition(|ends| ends.iter().any(|end| end.node == name));
        self.routes = left;
        for end in gone.iter().flatten().filter(|end| end.node != name) {
            self.hang_up(end);
        }
        self.settle();
    }

    /// Ends all routes between two nodes and lets none be made until [`World::mend`].
    pub(crate) fn cut(&mut self, a: &str, b: &str) {
        self.cut.push([a.to_owned(), b.to_owned()]);
        let between = |ends: &[End; 2]| {
            let [one, other] = ends;
            one.node == a && other.node == b || one.node == b && other.node == a
        };
        let (gone, left): (Vec<_>, Vec<_>) = self.routes.drain(..).partition(between);
        self.routes = left;
        gone.iter().flatten().for_each(|end| self.hang_up(end));
        self.settle();
    }

    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }

    /// Ends one route connection at both ends.
    pub(crate) fn lose_route(&mut self, place: usize) {
        let ends = self.routes.remove(place);
        ends.iter().for_each(|end| self.hang_up(end));
        self.settle();
    }

    /// Ends one route connection, if there is any.
    pub(crate) fn lose_any_route(&mut self, which: proptest::sample::Index) {
        if !self.routes.is_empty() {
            self.lose_route(which.index(self.routes.len()));
        }
    }

    pub(crate) fn node(&self, name: &str) -> &Engine {
        &self.nodes[name]
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// How many dials have been answered, with success or not.
    pub(crate) fn dials(&self) -> usize {
        self.dials
    }

    /// How many connections there are between two nodes.
    pub(crate) fn route_count(&self, a: &str, b: &str) -> usize {
        let is_between = |ends: &&[End; 2]| {
            let names = [ends[0].node.as_str(), ends[1].node.as_str()];
            names == [a, b] || names == [b, a]
        };
        self.routes.iter().filter(is_between).count()
    }

    /// Whether every node knows all others and has `connections` connections with each.
    pub(crate) fn is_mesh(&self, connections: usize) -> bool {
        let names = self.names();
        let all_known = self.nodes.values().all(|engine| engine.node().peer_count() == names.len() - 1);
        let pairs = names.iter().enumerate().flat_map(|(i, a)| names[..i].iter().map(move |b| (a, b)));
        let mut counts = pairs.map(|(a, b)| self.route_count(a, b));
        all_known && counts.all(|count| count == connections)
    }

    /// The connections of each pair, for the message of a failed test.
    pub(crate) fn describe(&self) -> String {
        let mut counts = BTreeMap::<[&str; 2], usize>::new();
        for [a, b] in &self.routes {
            let mut names = [a.node.as_str(), b.node.as_str()];
            names.sort_unstable();
            *counts.entry(names).or_default() += 1;
        }
        format!("{counts:?} at {:?}, {} dials", self.now, self.dials)
    }

    pub(crate) fn ip(&mut self, name: &str) -> IpAddr {
        let next = self.numbers.len() as u8 + 1;
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    pub(crate) fn route_url(&mut self, name: &str) -> String {
        format!("nats://{}:{ROUTE_PORT}", self.ip(name))
    }

    /// Connects a client to a node and takes the INFO that greets it.
    pub(crate) fn client(&mut self, node: &str) -> Peer {
        let (now, remote) = (self.now, self.remote(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let id = self.engine(node).handle_accept_client(now, remote);
        self.socket(node, id)
    }

    /// Connects to the route port of a node.
    pub(crate) fn raw_route(&mut self, node: &str) -> Peer {
        let (now, remote) = (self.now, self.remote(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let id = self.engine(node).handle_accept_route(now, remote).expect("a clustered node");
        self.socket(node, id)
    }

    /// Connects to the route port of a node as the server `NPEER-<name>` without a pool, whose INFO says `more`.
    pub(crate) fn raw_peer(&mut self, node: &str, name: &str, more: &str) -> Peer {
        let peer = self.raw_route(node);
        self.take(peer);
        let id = format!("NPEER-{name}");
        let lines = format!(
            "CONNECT {{\"echo\":true,\"verbose\":false,\"pedantic\":false,\"headers\":true,\"name\":\"{id}\",\
             \"cluster\":\"C\",\"lnoc\":true}}\r\n\
             INFO {{\"server_id\":\"{id}\",\"server_name\":\"{name}\",\"version\":\"2.9.10\",\"proto\":2,\
             \"host\":\"0.0.0.0\",\"port\":{ROUTE_PORT},\"headers\":true,\"nonce\":\"x\",\"cluster\":\"C\"{more}}}\r\n"
        );
        self.send(peer, lines.as_bytes());
        assert_eq!(self.closed(peer), None, "the handshake of {name}");
        peer
    }

    /// Answers what a node dials first, by hand.
    pub(crate) fn dialed_by_hand<const N: usize>(&mut self, node: &str) -> [Peer; N] {
        let now = self.now;
        let peers = std::array::from_fn(|_| {
            let request = self.engine(node).poll_dial(now).expect("another dial");
            let target = SocketAddr::new(request.host.parse().expect("an address"), request.port);
            let id = self.engine(node).handle_dialed(now, request.id, target).expect("a dial asked for");
            self.sockets.push(Socket {
                end: End { node: node.to_owned(), id },
                received: Vec::new(),
                closed: None,
            });
            Peer(self.sockets.len() - 1)
        });
        self.settle();
        peers
    }

    /// Hands bytes to a node, as if a peer had written them, and lets all that follows at once happen.
    pub(crate) fn send(&mut self, peer: Peer, bytes: &[u8]) {
        self.send_unsettled(peer, bytes);
        self.settle();
    }

    /// The same, without what follows.
    pub(crate) fn send_unsettled(&mut self, peer: Peer, bytes: &[u8]) {
        let (now, end) = (self.now, self.sockets[peer.0].end.clone());
        if self.sockets[peer.0].closed.is_none() {
            self.engine(&end.node).handle_input(now, end.id, bytes).expect("an open connection");
        }
    }

    /// What a peer was sent since the last call, without what every server listens to in the system account.
    pub(crate) fn take(&mut self, peer: Peer) -> String {
        let all = self.take_all(peer);
        all.split_inclusive("\r\n").filter(|line| !line.starts_with("RS+ $SYS")).collect()
    }

    /// What a peer was sent since the last call.
    pub(crate) fn take_all(&mut self, peer: Peer) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.sockets[peer.0].received)).into_owned()
    }

    /// Why a node closed a connection, if it did.
    pub(crate) fn closed(&self, peer: Peer) -> Option<CloseReason> {
        self.sockets[peer.0].closed
    }

    /// Closes a peer's end.
    pub(crate) fn disconnect(&mut self, peer: Peer) {
        let end = self.sockets[peer.0].end.clone();
        self.hang_up(&end);
        self.sockets[peer.0].closed = Some(CloseReason::ClientClosed);
        self.settle();
    }

    /// Lets everything happen that needs no time to pass.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the nodes never stop talking");
    }

    /// Moves what is ready once, and says whether there was anything.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for name in self.names() {
            moved |= self.dial(&name);
        }
        for route in self.routes.clone() {
            moved |= self.carry(&route[0], &route[1]) | self.carry(&route[1], &route[0]);
        }
        for peer in 0..self.sockets.len() {
            moved |= self.receive(peer);
        }
        for name in self.names() {
            while let Some((id, reason)) = self.engine(&name).poll_closed() {
                self.handle_closed(&End { node: name.clone(), id }, reason);
                moved = true;
            }
        }
        moved
    }

    /// Lets time pass, timer by timer, until a condition holds; false if it does not within `limit`.
    pub(crate) fn drive_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if condition(self) {
                return true;
            }
            let next = self.nodes.values().filter_map(|engine| engine.poll_timeout()).map(|(at, _)| at).min();
            let next = next.unwrap_or(end).min(end).max(self.now);
            if next >= end {
                self.advance_to(end);
                return condition(self);
            }
            self.advance_to(next);
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        self.drive_until(duration, |_| false);
    }

    fn advance_to(&mut self, at: Instant) {
        self.now = at;
        self.nodes.values_mut().for_each(|engine| engine.handle_timeout(at));
        self.settle();
    }

    fn dial(&mut self, name: &str) -> bool {
        let now = self.now;
        let Some(request) = self.engine(name).poll_dial(now) else {
            return false;
        };
        self.dials += 1;
        let target = SocketAddr::new(request.host.parse().expect("an address"), request.port);
        if request.own_addresses.contains(&target) {
            let answer = self.engine(name).handle_dial_failed(now, request.id, &DialError::OnlySelf);
            answer.expect("a dial that was asked for");
            return true;
        }
        let listener = self.numbers.iter().find(|(_, number)| target.ip() == number_to_ip(**number));
        let listener = listener.map(|(listener, _)| listener.clone());
        let reachable = listener.filter(|listener| {
            let is_cut = |pair: &[String; 2]| pair.contains(listener) && pair.iter().any(|end| end == name);
            self.nodes.contains_key(listener)
                && (listener == name || !self.cut.iter().any(is_cut))
                && target.port() == ROUTE_PORT
        });
        let Some(listener) = reachable else {
            let refused = DialError::Failed("connection refused".to_owned());
            let answer = self.engine(name).handle_dial_failed(now, request.id, &refused);
            answer.expect("a dial that was asked for");
            return true;
        };
        let own_ip = self.ip(name);
        let remote = self.remote(own_ip);
        let dialed = self.engine(name).handle_dialed(now, request.id, target).expect("a dial asked for");
        let accepted = self.engine(&listener).handle_accept_route(now, remote).expect("a clustered node");
        let [dialed, accepted] =
            [(name, dialed), (&listener, accepted)].map(|(node, id)| End { node: node.to_owned(), id });
        self.routes.push([dialed, accepted]);
        true
    }

    fn carry(&mut self, from: &End, to: &End) -> bool {
        let bytes = self.transmit(from);
        if bytes.is_empty() {
            return false;
        }
        self.routed.extend_from_slice(&bytes);
        let now = self.now;
        // The other end may have ended the connection meanwhile; then nobody reads this.
        let _ = self.engine(&to.node).handle_input(now, to.id, &bytes);
        true
    }

    fn receive(&mut self, peer: usize) -> bool {
        let end = self.sockets[peer].end.clone();
        if self.sockets[peer].closed.is_some() {
            return false;
        }
        let bytes = self.transmit(&end);
        self.sockets[peer].received.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    fn transmit(&mut self, from: &End) -> Vec<u8> {
        let bytes = self.nodes.get_mut(&from.node).and_then(|engine| engine.transmit(from.id).ok());
        let bytes = bytes.unwrap_or_default();
        if !bytes.is_empty() {
            self.trace.extend_from_slice(format!("{} {:?} {:?}\n", from.node, from.id, self.now).as_bytes());
            self.trace.extend_from_slice(&bytes);
        }
        bytes
    }

    fn handle_closed(&mut self, end: &End, reason: CloseReason) {
        if let Some(place) = self.routes.iter().position(|ends| ends.contains(end)) {
            let ends = self.routes.remove(place);
            ends.iter().filter(|other| *other != end).for_each(|other| self.hang_up(other));
        }
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.end == *end) {
            socket.closed = Some(reason);
        }
    }

    /// Tells a node that the peer closed a connection, unless the node ended it already.
    fn hang_up(&mut self, end: &End) {
        let now = self.now;
        if let Some(engine) = self.nodes.get_mut(&end.node) {
            let _ = engine.handle_closed(now, end.id, CloseReason::ClientClosed);
        }
    }

    fn socket(&mut self, node: &str, id: ConnectionId) -> Peer {
        let end = End { node: node.to_owned(), id };
        self.sockets.push(Socket { end, received: Vec::new(), closed: None });
        self.settle();
        Peer(self.sockets.len() - 1)
    }

    fn remote(&mut self, ip: IpAddr) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::new(ip, 40_000 + self.next_port)
    }

    fn engine(&mut self, name: &str) -> &mut Engine {
        self.nodes.get_mut(name).expect("a node that was started")
    }
}

fn number_to_ip(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}
