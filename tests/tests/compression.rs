//! Routes between servers of both kinds that are compressed, or not, as both of them want it (wire.md 5).

use std::time::Duration;

use onehop_tests::mesh::{wait_for_connections, wait_until};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A server and its settings of the cluster.
type Member = (Kind, &'static str);

fn pair(members: [Member; 2]) -> Option<[Server; 2]> {
    let ports = [(); 2].map(|()| reserve_port());
    let start = |number: usize| {
        let (kind, settings) = members[number];
        let cluster = format!(
            "cluster {{ name: C, listen: \"127.0.0.1:{}\", routes: [ \"nats://127.0.0.1:{}\" ], {settings} }}\n",
            ports[number], ports[0]
        );
        let mut options = Options::configured(&cluster);
        options.name = format!("S{number}");
        Server::start(kind, options)
    };
    let servers = [start(0)?, start(1)?];
    // The default pool has three, and the system account has one.
    let connections = match members[0].1 {
        settings if settings.contains("pool_size: -1") => 1,
        settings if settings.contains("pool_size: 1") => 2,
        settings if settings.contains("accounts") => 5,
        _ if members.iter().any(|(kind, _)| *kind == Kind::Real(Version::V2_9_10)) => 1,
        _ => 4,
    };
    wait_for_connections(&[&servers[0], &servers[1]], connections, TIMEOUT);
    Some(servers)
}

fn client(server: &Server) -> RawConn {
    let mut client = RawConn::connect(server.ports().client);
    client.send("CONNECT {\"verbose\":false}\r\nSUB in.> 1\r\n");
    client.ping();
    client
}

/// How the routes of a server are compressed, as it says: each kind once.
fn shown(server: &Server) -> Vec<String> {
    let page = server.page("/routez");
    let routes = page["routes"].as_array().cloned().unwrap_or_default();
    let mut shown: Vec<_> =
        routes.iter().map(|route| route["compression"].as_str().unwrap_or("-").to_owned()).collect();
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// Sends bodies of many sizes both ways, and checks that each comes as it was and in its order.
fn talk(servers: &[Server; 2], context: &str) {
    let mut clients = [client(&servers[0]), client(&servers[1])];
    for (from, to) in [(0, 1), (1, 0)] {
        wait_until("interest is known", TIMEOUT, || {
            clients[from].send("PUB in.ready 0\r\n\r\n");
            clients[from].ping();
            clients[to].read_until_quiet(Duration::from_millis(20));
            clients[to].frames().iter().any(|frame| frame.args().first().is_some_and(|arg| arg == "in.ready"))
        });
        clients[to].read_until_quiet(Duration::from_millis(50));
        let before = clients[to].frames().len();
        let text =
            |size: usize| (0..size).map(|at| b"{\"value\":0123456789}"[(at * at) % 20]).collect::<Vec<u8>>();
        let bodies: Vec<_> = [0, 1, 31, 32, 100, 5_000, 64 * 1024, 300_000, 900_000, 3].map(text).into();
        for body in &bodies {
            clients[from].send([format!("PUB in.x {}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat());
        }
        clients[from].ping();
        let got = |frames: &[onehop_tests::frame::Frame]| frames[before..].len() >= bodies.len();
        assert!(clients[to].read_until(TIMEOUT, got), "{context}: {from} to {to}");
        let payloads: Vec<_> =
            clients[to].frames()[before..].iter().map(|frame| frame.payload.clone()).collect();
        let expected: Vec<_> = bodies.into_iter().map(Some).collect();
        assert!(payloads == expected, "{context}: what came from {from} to {to} differs");
    }
}

fn compress(members: [Member; 2], expected: [&str; 2]) {
    let context = format!("{members:?}");
    println!("{context}");
    let Some(servers) = pair(members) else { return };
    talk(&servers, &context);
    let shown = [shown(&servers[0]), shown(&servers[1])];
    assert_eq!(shown, expected.map(|mode| vec![mode.to_owned()]), "{context}");
}

#[test]
fn a_route_to_the_newest_server_is_compressed_as_both_want_it() {
    let go = Kind::REFERENCE;
    compress([(go, "compression: s2_fast"), (Kind::Onehop, "")], ["s2_fast", "s2_fast"]);
    compress([(Kind::Onehop, ""), (go, "compression: s2_better")], ["s2_better", "s2_better"]);
    compress([(go, "compression: accept"), (Kind::OnehopStd, "compression: best")], ["s2_best", "s2_best"]);
    compress([(Kind::Onehop, "compression: on, pool_size: 1"), (go, "pool_size: 1")], ["s2_fast", "s2_fast"]);
    compress(
        [(Kind::OnehopStd, "compression: auto, pool_size: -1"), (go, "compression: auto, pool_size: -1")],
        ["s2_uncompressed", "s2_uncompressed"],
    );
    compress([(Kind::Onehop, "compression: s2_best"), (go, "compression: s2_fast")], ["s2_best", "s2_fast"]);
}

#[test]
fn a_route_is_not_compressed_where_one_does_not_want_it_or_cannot() {
    let go = Kind::REFERENCE;
    compress([(go, "compression: off"), (Kind::Onehop, "compression: on")], ["off", "off"]);
    compress([(Kind::Onehop, "compression: off"), (go, "compression: on")], ["off", "off"]);
    compress([(Kind::Onehop, ""), (go, "")], ["off", "off"]);
    compress([(Kind::Onehop, "compression: on"), (Kind::Real(Version::V2_9_10), "")], ["not supported", "-"]);
}

#[test]
fn older_servers_and_nodes_of_our_own_compress_too() {
    compress(
        [(Kind::Real(Version::V2_10_26), "compression: on"), (Kind::Onehop, "compression: better")],
        ["s2_fast", "s2_better"],
    );
    compress(
        [(Kind::Onehop, "compression: fast"), (Kind::Real(Version::V2_12_8), "")],
        ["s2_fast", "s2_fast"],
    );
    compress([(Kind::Onehop, "compression: better"), (Kind::OnehopStd, "")], ["s2_better", "s2_better"]);
    compress(
        [(Kind::Onehop, "compression: on, accounts: [ \"$G\" ]"), (Kind::REFERENCE, "accounts: [ \"$G\" ]")],
        ["s2_fast", "s2_fast"],
    );
}

/// Lets the first server read a file with another `compression`, and says whether its routes are still the same connections.
fn recompress(servers: &mut [Server; 2], config: &str, modes: [&str; 2]) -> bool {
    let rids = |server: &Server| {
        let page = server.page("/routez");
        page["routes"].as_array().into_iter().flatten().map(|route| route["rid"].clone()).collect::<Vec<_>>()
    };
    let before = rids(&servers[0]);
    servers[0].rewrite_config(config);
    servers[0].reload().expect("a good file");
    wait_until("routes are as both want them", TIMEOUT, || {
        [0, 1].iter().all(|at| shown(&servers[*at]) == [modes[*at]] && rids(&servers[*at]).len() == 4)
    });
    before == rids(&servers[0])
}

#[test]
fn what_is_wanted_of_compression_may_change_while_servers_run() {
    let ports = [(); 2].map(|()| reserve_port());
    let config = |server: usize, mode: &str| {
        format!(
            "server_name: S{server}\ncluster {{ name: C, listen: \"127.0.0.1:{}\", compression: {mode}, \
             routes: [ \"nats://127.0.0.1:{}\" ] }}\n",
            ports[server], ports[0]
        )
    };
    for kinds in [[Kind::Onehop, Kind::REFERENCE], [Kind::REFERENCE, Kind::Onehop]] {
        let start = |server: usize, mode| {
            let options = Options::configured(&config(server, mode));
            Server::start(kinds[server], Options { name: format!("S{server}"), ..options })
        };
        let (Some(first), Some(second)) = (start(0, "s2_fast"), start(1, "s2_better")) else { return };
        let mut servers = [first, second];
        wait_for_connections(&[&servers[0], &servers[1]], 4, TIMEOUT);
        for (mode, modes, is_in_place) in [
            ("s2_best", ["s2_best", "s2_better"], true),
            ("s2_auto", ["s2_uncompressed", "s2_better"], true),
            ("off", ["off", "off"], false),
            ("accept", ["s2_better", "s2_better"], false),
            ("s2_fast", ["s2_fast", "s2_better"], true),
        ] {
            let stays = recompress(&mut servers, &config(0, mode), modes);
            assert_eq!(stays, is_in_place, "{kinds:?}: {mode}");
            talk(&servers, mode);
        }
    }
}
