//! Routes between servers of both kinds that are compressed, or not, as both of them want it (wire.md 5).

use std::time::Duration;

use onehop_tests::mesh::{cluster_block, compressions, wait_for_connections, wait_until};
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::check_sizes;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A server and its settings of the cluster.
type Member = (Kind, &'static str);

fn pair(members: [Member; 2]) -> Option<[Server; 2]> {
    let ports = [(); 2].map(|()| reserve_port());
    let start = |number: usize| {
        let (kind, settings) = members[number];
        let config = cluster_block(ports[number], &ports[..1], settings);
        Server::start(kind, Options::configured(&config).named(format!("S{number}")))
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

fn compress(members: [Member; 2], expected: [&str; 2]) {
    let context = format!("{members:?}");
    println!("{context}");
    let Some(servers) = pair(members) else { return };
    check_sizes(&servers);
    let shown = servers.each_ref().map(compressions);
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
        [0, 1].iter().all(|at| compressions(&servers[*at]) == [modes[*at]] && rids(&servers[*at]).len() == 4)
    });
    before == rids(&servers[0])
}

#[test]
fn what_is_wanted_of_compression_may_change_while_servers_run() {
    let ports = [(); 2].map(|()| reserve_port());
    let config = |server: usize, mode: &str| {
        let cluster = cluster_block(ports[server], &ports[..1], &format!("compression: {mode}"));
        format!("server_name: S{server}\n{cluster}")
    };
    for kinds in [[Kind::Onehop, Kind::REFERENCE], [Kind::REFERENCE, Kind::Onehop]] {
        let start = |server: usize, mode| {
            let options = Options::configured(&config(server, mode));
            Server::start(kinds[server], options.named(format!("S{server}")))
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
            println!("{kinds:?}: {mode}");
            let stays = recompress(&mut servers, &config(0, mode), modes);
            assert_eq!(stays, is_in_place, "{kinds:?}: {mode}");
            check_sizes(&servers);
        }
    }
}
