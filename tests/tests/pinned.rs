//! Clusters of onehop and Go servers in which an account gets connections of its own while all run, and loses them again: each
//! member reads its file once more, one after the other (wire.md 4.5, 9.4).

use std::time::{Duration, Instant};

use onehop_tests::mesh::cluster_block;
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::{count, user};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Members that know each other, each of which dialed those before it, and a client of the account at each.
struct Cluster {
    servers: Vec<Server>,
    ports: Vec<u16>,
    clients: Vec<RawConn>,
    /// How many messages were published, which are numbered.
    published: usize,
}

impl Cluster {
    /// None if one of them cannot be had here, which was said.
    fn start(kinds: &[Kind]) -> Option<Self> {
        let ports: Vec<u16> = kinds.iter().map(|_| reserve_port()).collect();
        let mut servers = Vec::new();
        for (place, kind) in kinds.iter().enumerate() {
            servers.push(Server::start(*kind, Options::configured(&config(&ports, place, "")))?);
        }
        let clients = servers.iter().map(client).collect();
        let mut cluster = Self { servers, ports, clients, published: 0 };
        cluster.wait_until_whole("at first");
        Some(cluster)
    }

    /// Lets a member read that these accounts are pinned.
    fn reload(&mut self, place: usize, pinned: &str) {
        let server = &mut self.servers[place];
        server.rewrite_config(&config(&self.ports, place, pinned));
        server.reload().expect("a good file");
    }

    /// Lets each client publish once to all. How often each got each of these messages, once nothing more comes.
    fn publish(&mut self) -> Vec<usize> {
        let mut texts = Vec::new();
        for client in &mut self.clients {
            self.published += 1;
            let text = format!("m{}", self.published);
            client.send(format!("PUB all {0}\r\n{text}\r\nPUB queue {0}\r\n{text}\r\n", text.len()));
            texts.push(text);
        }
        for client in &mut self.clients {
            client.ping();
        }
        for client in &mut self.clients {
            client.read_until_quiet(Duration::from_millis(50));
        }
        let clients = self.clients.iter();
        let to_all = clients.flat_map(|client| texts.iter().map(|text| count(client, "all", text)));
        let taken = |text: &String| self.clients.iter().map(|client| count(client, "queue", text)).sum();
        to_all.chain(texts.iter().map(taken)).collect()
    }

    /// Until each message is delivered, to each who is to get it, and stays so. None comes twice, ever. That it holds once is not
    /// enough: the first messages after a reload may be there before the other member hears that the account moves.
    fn wait_until_whole(&mut self, what: &str) {
        let start = Instant::now();
        let mut rounds_whole = 0;
        while rounds_whole < 6 {
            let times = self.publish();
            assert!(times.iter().all(|times| *times <= 1), "{}: {what}: {times:?}", self.describe());
            assert!(start.elapsed() < TIMEOUT, "{}: {what}: {times:?}", self.describe());
            rounds_whole = if times.contains(&0) { 0 } else { rounds_whole + 1 };
        }
    }

    /// How many connections of its own the account has at each member.
    fn connections(&self) -> Vec<usize> {
        let of = |server: &Server| {
            let page = server.page("/routez");
            let routes = page["routes"].as_array().cloned().unwrap_or_default();
            routes.iter().filter(|route| route["account"] == "A").count()
        };
        self.servers.iter().map(of).collect()
    }

    fn describe(&self) -> String {
        let kinds: Vec<_> = self.servers.iter().map(|server| server.kind().to_string()).collect();
        format!("{}, {:?} connections", kinds.join(", "), self.connections())
    }
}

fn config(ports: &[u16], place: usize, pinned: &str) -> String {
    let cluster = cluster_block(ports[place], &ports[..place], &format!("accounts: [ {pinned} ]"));
    format!("server_name: S{place}\naccounts {{ A {{ users: [{{user: a, password: p}}] }} }}\n{cluster}")
}

fn client(server: &Server) -> RawConn {
    user(server, "a", "p", "SUB all 1\r\nSUB queue q 2\r\n")
}

/// The account moves to connections of its own, member by member in this order, and back in the other.
fn move_there_and_back(kinds: &[Kind], order: impl DoubleEndedIterator<Item = usize> + Clone) {
    let Some(mut cluster) = Cluster::start(kinds) else { return };
    let others = kinds.len() - 1;
    for place in order.clone() {
        cluster.reload(place, "A");
        cluster.publish();
    }
    cluster.wait_until_whole("with connections of its own");
    assert_eq!(cluster.connections(), vec![others; kinds.len()], "{}", cluster.describe());
    for place in order.rev() {
        cluster.reload(place, "");
        cluster.publish();
    }
    cluster.wait_until_whole("without");
    assert_eq!(cluster.connections(), vec![0; kinds.len()], "{}", cluster.describe());
}

#[test]
fn an_account_moves_in_a_cluster_with_the_newest_server_whoever_is_told_first() {
    for kinds in [[Kind::Onehop, Kind::REFERENCE], [Kind::REFERENCE, Kind::Onehop]] {
        move_there_and_back(&kinds, 0..2);
        move_there_and_back(&kinds, (0..2).rev());
    }
}

#[test]
fn an_account_moves_in_a_cluster_of_old_and_new_servers_from_the_first_to_the_last() {
    let old = Kind::Real(Version::V2_10_26);
    move_there_and_back(&[Kind::REFERENCE, Kind::Onehop, old, Kind::Onehop], 0..4);
}

#[test]
fn an_account_moves_in_a_cluster_of_old_and_new_servers_from_the_last_to_the_first() {
    let old = Kind::Real(Version::V2_10_26);
    move_there_and_back(&[Kind::Onehop, old, Kind::Onehop, Kind::REFERENCE], (0..4).rev());
}

/// What nats-servers would lose as long as only one of them was told.
#[test]
fn nothing_is_lost_for_long_where_one_member_alone_is_told_and_then_thinks_better_of_it() {
    for told in [0, 1] {
        let Some(mut cluster) = Cluster::start(&[Kind::Onehop, Kind::Onehop]) else { return };
        cluster.reload(told, "A");
        cluster.wait_until_whole("told");
        cluster.reload(told, "");
        cluster.wait_until_whole("told otherwise");
    }
    let Some(mut cluster) = Cluster::start(&[Kind::Onehop, Kind::REFERENCE]) else { return };
    cluster.reload(0, "A");
    cluster.wait_until_whole("a nats-server has not dialed it and was not told");
}

#[test]
fn an_account_cannot_be_pinned_where_there_are_no_pools() {
    for kind in [Kind::Onehop, Kind::REFERENCE] {
        let ports = [reserve_port()];
        let unpooled = |pinned| config(&ports, 0, pinned).replace("name: C", "name: C, pool_size: -1");
        let Some(mut server) = Server::start(kind, Options::configured(&unpooled(""))) else { return };
        server.rewrite_config(&unpooled("A"));
        let said = server.reload().expect_err("a file that makes no sense");
        let why = "pool_size cannot be negative if pinned accounts are specified";
        assert!(said.contains(why), "{kind}: {said}");
    }
}
