//! Nodes on a network that does everything at once: nothing happens but what a test or a timer causes.

mod drive;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use onehop::config::{ClusterConfig, Config, Source};
use onehop::discovery::ReachedAt;
use onehop::sim::net::{AttemptId, End, Ending, HostId, Network, NetworkConfig, NoChance, StreamId};
use onehop::{AccountId, CloseReason, ConnectionId, DialId, Engine, Instant, Listening};

pub(crate) const CLIENT_PORT: u16 = 4222;
pub(crate) const ROUTE_PORT: u16 = 6222;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Nodes, the network between them, and clients and raw peers that tests play.
pub(crate) struct Scene {
    pub(crate) now: Instant,
    nodes: BTreeMap<String, Node>,
    /// What the network calls everybody who was ever mentioned.
    hosts: BTreeMap<String, HostId>,
    network: Network<NoChance>,
    /// Who holds the ends of streams that are open.
    holders: BTreeMap<End, Holder>,
    dialing: BTreeMap<AttemptId, Dial>,
    dials: usize,
    peers: Vec<PlayedPeer>,
    starts: u64,
    /// All that any node wrote, for comparing runs.
    pub(crate) trace: Vec<u8>,
    /// All that was written on routes.
    pub(crate) routed: Vec<u8>,
}

struct Node {
    engine: Engine,
    sockets: BTreeMap<ConnectionId, End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Node(String, ConnectionId),
    Peer(Peer),
}

/// What a node is dialing.
struct Dial {
    node: String,
    id: DialId,
    target: SocketAddr,
}

/// A connection whose other end is a test.
struct PlayedPeer {
    end: End,
    received: Vec<u8>,
    closed: Option<CloseReason>,
}

/// A connection that a test plays the other end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(usize);

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::ZERO,
            nodes: BTreeMap::new(),
            hosts: BTreeMap::new(),
            network: Network::new(NetworkConfig::instant(), NoChance),
            holders: BTreeMap::new(),
            dialing: BTreeMap::new(),
            dials: 0,
            peers: Vec::new(),
            starts: 0,
            trace: Vec::new(),
            routed: Vec::new(),
        }
    }

    /// A scene of one node outside of any cluster, called A.
    pub(crate) fn alone(tweak: impl FnOnce(&mut Config)) -> Self {
        let mut scene = Self::new();
        scene.start("A", &[], |config| {
            config.cluster = None;
            tweak(config);
        });
        scene
    }

    /// A scene of these nodes, started at once, each with the routes to others that it is configured with.
    pub(crate) fn cluster(members: &[(&str, &[&str])]) -> Self {
        let mut scene = Self::new();
        for (name, routes) in members {
            scene.start(name, routes, |_| {});
        }
        scene
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
        let listening =
            Listening { client_port: CLIENT_PORT, route_port: ROUTE_PORT, ..Listening::default() };
        let engine = Engine::new(config, &listening, self.now);
        self.nodes.insert(name.to_owned(), Node { engine, sockets: BTreeMap::new() });
    }

    /// Takes a node away, as when its process is killed: its peers find their connections ended.
    pub(crate) fn kill(&mut self, name: &str) {
        let node = self.nodes.remove(name).expect("a node that was started");
        for end in node.sockets.into_values() {
            self.holders.remove(&end);
            self.network.close(end, Ending::Fin, self.now);
        }
        self.settle();
    }

    /// Stops a node, as a signal does. It stays to be looked at, without a connection.
    pub(crate) fn shut_down(&mut self, name: &str) {
        let now = self.now;
        self.engine(name).handle_shutdown(now);
        self.pump(name);
        self.settle();
    }

    /// Stops a peer's node between its handling of what the peer sends and all that it would write.
    pub(crate) fn shut_down_after(&mut self, peer: Peer, bytes: &[u8]) {
        let other = self.peers[peer.0].end.other();
        let Some(Holder::Node(name, id)) = self.holders.get(&other).cloned() else {
            panic!("{peer:?} has no node");
        };
        let now = self.now;
        self.engine(&name).handle_input(now, id, bytes).expect("an open connection");
        self.shut_down(&name);
    }

    /// Ends all routes between two nodes and lets none be made until [`Scene::mend`].
    pub(crate) fn cut(&mut self, a: &str, b: &str) {
        let [a, b] = [a, b].map(|name| self.host(name));
        self.network.between(a, b).into_iter().for_each(|stream| self.hang_up(stream));
        self.network.cut(a, b);
        self.network.cut(b, a);
        self.settle();
    }

    /// Lets all nodes connect again. Nothing waited meanwhile, since they have no connections.
    pub(crate) fn mend(&mut self) {
        self.network.heal_all();
    }

    /// Ends one route connection at both ends.
    pub(crate) fn lose_route(&mut self, place: usize) {
        let stream = self.routes().nth(place).expect("a route").0;
        self.hang_up(stream);
        self.settle();
    }

    /// Ends one route connection, if there is any.
    pub(crate) fn lose_any_route(&mut self, which: proptest::sample::Index) {
        let count = self.routes().count();
        if count > 0 {
            self.lose_route(which.index(count));
        }
    }

    pub(crate) fn node(&self, name: &str) -> &Engine {
        &self.nodes[name].engine
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
        self.routes().filter(|(_, names)| *names == [a, b] || *names == [b, a]).count()
    }

    /// The connections that two nodes are at, oldest first, with the names of dialer and acceptor.
    fn routes(&self) -> impl Iterator<Item = (StreamId, [&str; 2])> {
        self.holders.iter().filter_map(|(end, dialer)| {
            let acceptor = self.holders.get(&end.stream.acceptor())?;
            match (dialer, acceptor) {
                (Holder::Node(dialer, _), Holder::Node(acceptor, _)) if *end == end.stream.dialer() => {
                    Some((end.stream, [dialer.as_str(), acceptor.as_str()]))
                }
                _ => None,
            }
        })
    }

    /// Whether every node knows all others and has `connections` connections with each.
    pub(crate) fn is_mesh(&self, connections: usize) -> bool {
        let names = self.names();
        let all_known = self.nodes.values().all(|node| node.engine.node().peer_count() == names.len() - 1);
        let pairs = names.iter().enumerate().flat_map(|(i, a)| names[..i].iter().map(move |b| (a, b)));
        let mut counts = pairs.map(|(a, b)| self.route_count(a, b));
        all_known && counts.all(|count| count == connections)
    }

    /// The connections of each pair, for the message of a failed test.
    pub(crate) fn describe(&self) -> String {
        let mut counts = BTreeMap::<[&str; 2], usize>::new();
        for (_, mut names) in self.routes() {
            names.sort_unstable();
            *counts.entry(names).or_default() += 1;
        }
        format!("{counts:?} at {:?}, {} dials", self.now, self.dials)
    }

    /// The address of a node; those who are mentioned first get the lowest.
    pub(crate) fn ip(&mut self, name: &str) -> IpAddr {
        let HostId(number) = self.host(name);
        ip_of(number)
    }

    fn host(&mut self, name: &str) -> HostId {
        let next = HostId(self.hosts.len() + 1);
        let host = *self.hosts.entry(name.to_owned()).or_insert(next);
        if host == next {
            self.network.settle_at(host, ip_of(host.0));
        }
        host
    }

    pub(crate) fn route_url(&mut self, name: &str) -> String {
        format!("nats://{}:{ROUTE_PORT}", self.ip(name))
    }

    /// Lets a node be a lame duck from now on.
    pub(crate) fn leave_as_lame_duck(&mut self, node: &str) {
        let now = self.now;
        self.engine(node).handle_lame_duck(now);
    }

    /// Gives a node another configuration.
    pub(crate) fn reconfigure(&mut self, node: &str, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.node(node).node().hub().config());
        change(&mut config);
        let now = self.now;
        self.engine(node).handle_config(now, config).expect("all of it can change");
        self.settle();
    }

    /// Tells a node where it is reached.
    pub(crate) fn hear_reached_at(&mut self, node: &str, reached: ReachedAt) {
        let now = self.now;
        self.engine(node).handle_reached_at(now, Source::Frp, reached);
        self.settle();
    }

    /// Connects a client to a node and takes the INFO that greets it.
    pub(crate) fn client(&mut self, node: &str) -> Peer {
        let (now, remote) = (self.now, self.remote());
        let id = self.engine(node).handle_accept_client(now, remote);
        self.accepted(node, id)
    }

    /// Connects to the port of a node for WebSockets.
    pub(crate) fn websocket(&mut self, node: &str) -> Peer {
        let (now, remote) = (self.now, self.remote());
        let id = self.engine(node).handle_accept_websocket(now, remote);
        self.accepted(node, id)
    }

    /// Connects a client to a node, into an account.
    pub(crate) fn client_in(&mut self, node: &str, account: &str) -> Peer {
        let (now, remote) = (self.now, self.remote());
        let account = self.account(node, account);
        let id = self.engine(node).handle_accept_client_in(now, account, remote).expect("an account");
        self.accepted(node, id)
    }

    pub(crate) fn add_account(&mut self, node: &str, name: &str) {
        let now = self.now;
        self.engine(node).add_account(now, name).expect("a free name");
        self.settle();
    }

    pub(crate) fn remove_account(&mut self, node: &str, name: &str) {
        let (now, account) = (self.now, self.account(node, name));
        self.engine(node).remove_account(now, account).expect("an account that can go");
        self.settle();
    }

    fn account(&self, node: &str, name: &str) -> AccountId {
        let found = self.node(node).node().hub().accounts().find(name.as_bytes());
        found.unwrap_or_else(|| panic!("{node} has no account {name}")).id()
    }

    /// Connects to the route port of a node.
    pub(crate) fn raw_route(&mut self, node: &str) -> Peer {
        let (now, remote) = (self.now, self.remote());
        let id = self.engine(node).handle_accept_route(now, remote).expect("a clustered node");
        self.accepted(node, id)
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
            let stream = self.attach(node);
            self.play(stream.acceptor(), stream.dialer(), node, id)
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
        let PlayedPeer { end, .. } = self.peers[peer.0];
        self.network.write(end, bytes.to_vec(), self.now);
    }

    /// What a peer was sent since the last call, without what every server listens to in the system account.
    pub(crate) fn take(&mut self, peer: Peer) -> String {
        let all = self.take_all(peer);
        all.split_inclusive("\r\n").filter(|line| !line.starts_with("RS+ $SYS")).collect()
    }

    /// What a peer was sent since the last call.
    pub(crate) fn take_all(&mut self, peer: Peer) -> String {
        String::from_utf8_lossy(&self.take_bytes(peer)).into_owned()
    }

    /// The same, byte by byte.
    pub(crate) fn take_bytes(&mut self, peer: Peer) -> Vec<u8> {
        std::mem::take(&mut self.peers[peer.0].received)
    }

    /// Why a node closed a connection, if it did.
    pub(crate) fn closed(&self, peer: Peer) -> Option<CloseReason> {
        self.peers[peer.0].closed
    }

    /// Closes a peer's end.
    pub(crate) fn disconnect(&mut self, peer: Peer) {
        let end = self.peers[peer.0].end;
        self.peers[peer.0].closed = Some(CloseReason::ClientClosed);
        self.close(end);
        self.settle();
    }

    /// Lets everything happen that needs no time to pass.
    pub(crate) fn settle(&mut self) {
        self.names().iter().for_each(|name| self.pump(name));
        for _ in 0..MAX_EVENTS {
            match self.network.poll(self.now) {
                Some(event) => self.hear(event),
                None => return,
            }
        }
        panic!("the nodes never stop talking");
    }

    /// Lets time pass, timer by timer, until a condition holds; false if it does not within `limit`.
    pub(crate) fn drive_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if condition(self) {
                return true;
            }
            let next =
                self.nodes.values().filter_map(|node| node.engine.poll_timeout()).map(|(at, _)| at).min();
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
        self.nodes.values_mut().for_each(|node| node.engine.handle_timeout(at));
        self.settle();
    }

    /// A connection that a node accepted from a test.
    fn accepted(&mut self, node: &str, id: ConnectionId) -> Peer {
        let stream = self.attach(node);
        let peer = self.play(stream.dialer(), stream.acceptor(), node, id);
        self.settle();
        peer
    }

    /// A test plays one end, a node has the other.
    fn play(&mut self, played: End, end: End, node: &str, id: ConnectionId) -> Peer {
        let peer = Peer(self.peers.len());
        self.peers.push(PlayedPeer { end: played, received: Vec::new(), closed: None });
        self.holders.insert(played, Holder::Peer(peer));
        self.open(end, node, id);
        peer
    }

    fn attach(&mut self, node: &str) -> StreamId {
        let host = self.host(node);
        self.network.attach(host, Duration::ZERO, self.now)
    }

    /// Where the next peer that a test plays comes from.
    fn remote(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_001 + self.peers.len() as u16)
    }

    fn engine(&mut self, name: &str) -> &mut Engine {
        &mut self.nodes.get_mut(name).expect("a node that was started").engine
    }
}

fn ip_of(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(number).expect("few nodes")))
}

/// Nothing that is said without time passing needs more.
const MAX_EVENTS: usize = 1_000_000;
