//! Clusters of onehop and Go servers with two tenants: each has an account, of which one imports a stream and a service of the
//! other, and one has connections of its own between servers. All talk in all directions, also after each member was started
//! again (wire.md 1.12, 4.4).

use std::time::{Duration, Instant};

use onehop_tests::mesh::cluster_block;
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::{count, user};

const TIMEOUT: Duration = Duration::from_secs(20);

/// `B` hears what `A` publishes, and asks it.
const ACCOUNTS: &str = "accounts {\n\
    A { users: [{user: a, password: p}], exports: [{stream: \"s.>\"}, {service: \"q.*\"}] }\n\
    B { users: [{user: b, password: p}], imports: [{stream: {account: A, subject: \"s.>\"}, prefix: in},\n\
        {service: {account: A, subject: \"q.*\"}, to: \"ask.*\"}] }\n}\n";

/// Three members, and a client of each tenant at each of them.
struct Cluster {
    servers: Vec<Server>,
    a: Vec<RawConn>,
    b: Vec<RawConn>,
    /// How many messages were published, which are numbered.
    published: usize,
}

impl Cluster {
    /// Each member with its settings of the cluster. None if one cannot be had here, which was said.
    fn start(members: [(Kind, &str); 3]) -> Option<Self> {
        let ports = [(); 3].map(|()| reserve_port());
        let mut servers = Vec::new();
        for ((number, (kind, settings)), port) in members.into_iter().enumerate().zip(ports) {
            let cluster = cluster_block(port, &ports, settings);
            let options = Options::configured(&format!("{ACCOUNTS}{cluster}"));
            servers.push(Server::start(kind, options.named(format!("S{number}")))?);
        }
        let a = servers.iter().map(|server| tenant(server, "a")).collect();
        let b = servers.iter().map(|server| tenant(server, "b")).collect();
        Some(Self { servers, a, b, published: 0 })
    }

    fn restart(&mut self, place: usize) {
        self.servers[place].restart();
        self.a[place] = tenant(&self.servers[place], "a");
        self.b[place] = tenant(&self.servers[place], "b");
    }

    fn describe(&self) -> String {
        let kinds: Vec<_> = self.servers.iter().map(|server| server.kind().to_string()).collect();
        kinds.join(", ")
    }

    /// Until the interest of all is known to all.
    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            let [streams, own] = [self.publish("a", "s.ready"), self.publish("b", "own.ready")];
            self.settle();
            let hears = |client: &RawConn, subject: &str, all: &[String]| {
                all.iter().all(|text| count(client, subject, text) == 1)
            };
            let is_ready = self.a.iter().all(|client| hears(client, "s.ready", &streams))
                && self.b.iter().all(|client| hears(client, "in.s.ready", &streams))
                && self.b.iter().all(|client| hears(client, "own.ready", &own))
                && self.are_requests_answered();
            if is_ready {
                return;
            }
            assert!(start.elapsed() < TIMEOUT, "{}: {}", self.describe(), self.servers[0].log());
        }
    }

    /// Lets a tenant publish once at each member. Returns the payloads.
    fn publish(&mut self, tenant: &str, subject: &str) -> Vec<String> {
        let clients = if tenant == "a" { &mut self.a } else { &mut self.b };
        let publish = |client: &mut RawConn| {
            self.published += 1;
            let text = format!("m{}", self.published);
            client.send(format!("PUB {subject} {}\r\n{text}\r\n", text.len()));
            text
        };
        clients.iter_mut().map(publish).collect()
    }

    /// Until nothing more comes.
    fn settle(&mut self) {
        self.a.iter_mut().chain(&mut self.b).for_each(RawConn::ping);
        for client in self.a.iter_mut().chain(&mut self.b) {
            client.read_until_quiet(Duration::from_millis(30));
        }
    }

    /// Asks from each member each responder, one of which is at each member. Whether all answers come, each once.
    fn are_requests_answered(&mut self) -> bool {
        let pairs: Vec<_> = (0..9).map(|pair| (pair / 3, pair % 3)).collect();
        let mut asked = Vec::new();
        for &(requester, responder) in &pairs {
            self.published += 1;
            let text = format!("m{}", self.published);
            let line = format!("PUB ask.{responder} box.{requester} {}\r\n{text}\r\n", text.len());
            self.b[requester].send(line);
            asked.push((requester, responder, text));
        }
        self.settle();
        for (_, responder, text) in &asked {
            let request = self.a[*responder].frames().iter().find(|frame| {
                frame.payload.as_ref().is_some_and(|payload| payload.ends_with(text.as_bytes()))
            });
            let Some(reply) = request.and_then(|frame| frame.reply()) else { return false };
            // The second one is one too many.
            self.a[*responder]
                .send(format!("PUB {reply} {0}\r\n{text}\r\nPUB {reply} {0}\r\n{text}\r\n", text.len()));
        }
        self.settle();
        asked
            .iter()
            .all(|(requester, _, text)| count(&self.b[*requester], &format!("box.{requester}"), text) == 1)
    }

    /// All hear what they are to hear, and nothing else.
    fn check(&mut self, context: &str) {
        let context = format!("{}, {context}", self.describe());
        let [streams, own] = [self.publish("a", "s.x"), self.publish("b", "own.x")];
        let private = self.publish("a", "own.x");
        self.settle();
        for (place, (a, b)) in self.a.iter().zip(&self.b).enumerate() {
            for text in &streams {
                assert_eq!(count(a, "s.x", text), 1, "{context}: {text} in A at {place}");
                assert_eq!(count(b, "in.s.x", text), 1, "{context}: {text} in B at {place}");
                assert_eq!(count(b, "s.x", text), 0, "{context}: {text} in B at {place}");
            }
            for text in &own {
                assert_eq!(count(b, "own.x", text), 1, "{context}: {text} in B at {place}");
                assert_eq!(count(a, "own.x", text), 0, "{context}: {text} in A at {place}");
            }
            for text in &private {
                assert_eq!(count(b, "own.x", text), 0, "{context}: {text} of A in B at {place}");
                assert_eq!(count(a, "own.x", text), 1, "{context}: {text} in A at {place}");
            }
        }
        assert!(self.are_requests_answered(), "{context}: requests");
    }
}

fn tenant(server: &Server, name: &str) -> RawConn {
    let place = server.name().trim_start_matches('S');
    let lines = match name {
        "a" => format!("SUB s.> 1\r\nSUB own.> 2\r\nSUB q.{place} 3\r\n"),
        _ => format!("SUB in.> 1\r\nSUB own.> 2\r\nSUB box.{place} 3\r\n"),
    };
    user(server, name, "p", &lines)
}

fn talk_through_restarts(members: [(Kind, &str); 3]) {
    let Some(mut cluster) = Cluster::start(members) else { return };
    cluster.wait_until_ready();
    cluster.check("at first");
    for place in 0..3 {
        cluster.restart(place);
        cluster.wait_until_ready();
        cluster.check(&format!("after {place} was started again"));
    }
}

#[test]
fn two_tenants_talk_in_all_directions_through_restarts_among_the_newest() {
    let pinned = "accounts: [ A ]";
    talk_through_restarts([(Kind::Onehop, pinned), (Kind::REFERENCE, pinned), (Kind::OnehopStd, pinned)]);
}

#[test]
fn two_tenants_talk_in_all_directions_through_restarts_where_pools_differ() {
    talk_through_restarts([
        (Kind::REFERENCE, "pool_size: 5, accounts: [ B ]"),
        (Kind::Onehop, "pool_size: 1, accounts: [ B ]"),
        (Kind::Real(Version::V2_12_8), "pool_size: 3, accounts: [ B ]"),
    ]);
}

/// 2.10.26 refuses pools of another size.
#[test]
fn two_tenants_talk_in_all_directions_through_restarts_among_older_ones() {
    let pinned = "pool_size: 5, accounts: [ B ]";
    talk_through_restarts([
        (Kind::Real(Version::V2_12_8), pinned),
        (Kind::Onehop, pinned),
        (Kind::Real(Version::V2_10_26), pinned),
    ]);
}

#[test]
fn two_tenants_talk_in_all_directions_through_restarts_with_one_who_knows_no_pools() {
    talk_through_restarts([
        (Kind::Real(Version::V2_9_10), ""),
        (Kind::Onehop, "pool_size: 3, accounts: [ A ]"),
        (Kind::OnehopStd, "pool_size: -1"),
    ]);
}
