//! Clusters of several members, of onehop alone and with a Go server of every pinned version in every place.
//!
//! The mesh is the work of the library, so that the runtime of blocking threads is here only beside and among the others. That
//! a member leaves in order when it gets a signal is tested of the command `onehop` alone.

use std::time::Duration;

use onehop_tests::mesh::{
    POOLED_CONNECTIONS, Topology, cluster_block, start, start_at_once, wait_for_connections, wait_for_mesh,
    wait_until,
};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::{
    check_every_pair, check_no_responders, check_queue_group, client, count, known_urls, wait_for_interest,
};

/// How long a mesh may take to form or to heal.
const MESH_TIMEOUT: Duration = Duration::from_secs(15);

const MIB: usize = 1024 * 1024;

fn form(cluster: &str, topology: Topology, kinds: &[Kind]) -> Option<Vec<Server>> {
    let servers = start(cluster, topology, kinds)?;
    let took = wait_for_mesh(&servers.iter().collect::<Vec<_>>(), MESH_TIMEOUT);
    println!("{cluster}: {} members in {took:?}", servers.len());
    Some(servers)
}

#[test]
fn a_chain_of_three_is_a_full_mesh() {
    let Some(servers) = form("chain3", Topology::Chain, &[Kind::Onehop; 3]) else { return };
    check_every_pair(&servers, MIB);
    check_queue_group(&servers, 4000);
    check_no_responders(&servers);
}

/// A chain of members with these settings of theirs and of their clusters, which become so many connections of each pair.
fn form_with(members: [(Kind, &str, &str); 3], connections: usize) -> Option<Vec<Server>> {
    let mut servers = Vec::<Server>::new();
    for (number, (kind, own, settings)) in (1..).zip(members) {
        let known: Vec<_> = servers.last().map(|server| server.ports().route).into_iter().collect();
        let config = format!("{own}\n{}", cluster_block(reserve_port(), &known, settings));
        servers.push(Server::start(kind, Options::configured(&config).named(format!("S{number}")))?);
    }
    wait_for_connections(&servers.iter().collect::<Vec<_>>(), connections, MESH_TIMEOUT);
    Some(servers)
}

#[test]
fn a_pinned_account_has_a_connection_between_each_pair_in_a_mesh_with_a_go_server_in_every_place() {
    for place in 0..3 {
        let mut settings = [(Kind::Onehop, "", "accounts: [ \"$G\" ]"); 3];
        settings[place].0 = Kind::REFERENCE;
        let Some(servers) = form_with(settings, 5) else { return };
        check_every_pair(&servers, MIB);
        check_queue_group(&servers, 1200);
        check_no_responders(&servers);
    }
}

#[test]
fn members_whose_pools_differ_are_a_full_mesh() {
    // The larger of two pools counts, and the system account's.
    for kinds in
        [[Kind::Onehop, Kind::REFERENCE, Kind::Onehop], [Kind::REFERENCE, Kind::Onehop, Kind::Onehop]]
    {
        let [a, b, c] = kinds;
        let settings = [(a, "", "pool_size: 5"), (b, "", "pool_size: 1"), (c, "", "pool_size: 5")];
        let Some(servers) = form_with(settings, 6) else { return };
        check_every_pair(&servers, 1000);
    }
}

#[test]
fn a_member_that_does_not_pool_has_one_connection_with_others_whatever_they_pin() {
    for kinds in [[Kind::REFERENCE, Kind::Onehop], [Kind::Onehop, Kind::REFERENCE]] {
        let pinned = "pool_size: 1, accounts: [ \"$G\" ]";
        let unpooled = (kinds[0], "", "pool_size: -1");
        let settings = [unpooled, (kinds[1], "", pinned), unpooled];
        let Some(servers) = form_with(settings, 1) else { return };
        check_every_pair(&servers, 1000);
        check_no_responders(&servers);
    }
}

#[test]
fn both_runtimes_and_a_go_server_are_a_full_mesh() {
    for kinds in [[Kind::OnehopStd; 3], [Kind::Onehop, Kind::OnehopStd, Kind::REFERENCE]] {
        let Some(servers) = form("threads", Topology::Chain, &kinds) else { return };
        check_every_pair(&servers, MIB);
        check_queue_group(&servers, 1200);
        check_no_responders(&servers);
    }
}

#[test]
fn a_chain_of_ten_is_a_full_mesh() {
    let Some(servers) = form("chain10", Topology::Chain, &[Kind::Onehop; 10]) else { return };
    check_every_pair(&servers, 32 * 1024);
    check_queue_group(&servers, 5500);
}

#[test]
fn a_chain_of_ten_started_at_once_is_a_full_mesh() {
    let Some(servers) = start_at_once("atonce10", Topology::Chain, &[Kind::Onehop; 10]) else { return };
    wait_for_mesh(&servers.iter().collect::<Vec<_>>(), 2 * MESH_TIMEOUT);
    check_every_pair(&servers, 1000);
}

#[test]
fn five_that_know_one_seed_are_a_full_mesh() {
    let Some(servers) = form("seed5", Topology::Seed, &[Kind::Onehop; 5]) else { return };
    check_every_pair(&servers, MIB);
}

#[test]
fn a_chain_of_five_is_a_full_mesh() {
    let Some(servers) = form("chain5", Topology::Chain, &[Kind::Onehop; 5]) else { return };
    check_every_pair(&servers, 1000);
}

#[test]
fn a_ring_of_five_is_a_full_mesh() {
    let Some(servers) = form("ring5", Topology::Ring, &[Kind::Onehop; 5]) else { return };
    check_every_pair(&servers, 1000);
}

#[test]
fn a_2_15_server_is_a_full_member_in_every_place_of_a_chain() {
    mix_with(Version::V2_15_1);
}

#[test]
fn a_2_12_server_is_a_full_member_in_every_place_of_a_chain() {
    mix_with(Version::V2_12_8);
}

#[test]
fn a_2_10_server_is_a_full_member_in_every_place_of_a_chain() {
    mix_with(Version::V2_10_26);
}

#[test]
fn a_2_9_server_is_a_full_member_in_every_place_of_a_chain() {
    mix_with(Version::V2_9_10);
}

fn mix_with(version: Version) {
    for place in 0..3 {
        let mut kinds = [Kind::Onehop; 3];
        kinds[place] = Kind::Real(version);
        let Some(servers) = form(&format!("mix{place}"), Topology::Chain, &kinds) else { return };
        check_every_pair(&servers, MIB);
        check_queue_group(&servers, 1200);
        check_no_responders(&servers);
    }
}

/// nats-server tells the members of a newcomer and never the newcomer of the members: behind an address that nobody can
/// dial it would be a member of one server only.
#[test]
fn a_member_that_nobody_can_dial_asks_go_servers_for_the_others_and_dials_them() {
    for version in [Version::V2_15_1, Version::V2_12_8, Version::V2_10_26, Version::V2_9_10] {
        let start = |kind, name: &str, routes: &[u16], args: &[&str]| {
            Server::start(kind, Options::member("undialable", name, routes).with(args))
        };
        let kind = Kind::Real(version);
        let Some(known_by_one) = start(kind, "S1", &[], &[]) else { return };
        let Some(seed) = start(kind, "S2", &[known_by_one.ports().route], &[]) else { return };
        wait_for_mesh(&[&known_by_one, &seed], MESH_TIMEOUT);
        let nowhere = ["--cluster_advertise", "127.0.0.1:1"];
        let Some(newcomer) = start(Kind::Onehop, "S3", &[seed.ports().route], &nowhere) else { return };
        let servers = [known_by_one, seed, newcomer];
        wait_for_mesh(&servers.iter().collect::<Vec<_>>(), MESH_TIMEOUT);
        check_every_pair(&servers, 1000);
    }
}

#[test]
fn a_member_that_was_killed_comes_back_into_the_mesh() {
    for place in 0..3 {
        kill_and_restart(place, Kind::Onehop);
    }
    kill_and_restart(1, Kind::OnehopStd);
}

#[test]
fn a_go_server_that_was_killed_comes_back_into_the_mesh() {
    kill_and_restart(1, Kind::REFERENCE);
}

fn kill_and_restart(place: usize, kind: Kind) {
    let mut kinds = [Kind::Onehop; 3];
    kinds[place] = kind;
    let Some(mut servers) = form(&format!("restart{place}"), Topology::Chain, &kinds) else { return };
    let survivors: Vec<usize> = (0..3).filter(|&index| index != place).collect();
    let mut subscribers: Vec<_> = survivors.iter().map(|&index| client(&servers[index])).collect();
    for subscriber in &mut subscribers {
        subscriber.send("SUB still.here 1\r\n");
        subscriber.ping();
    }
    servers[place].kill();
    let left: Vec<&Server> = survivors.iter().map(|&index| &servers[index]).collect();
    wait_for_mesh(&left, MESH_TIMEOUT);
    servers[place].restart();
    wait_for_mesh(&servers.iter().collect::<Vec<_>>(), MESH_TIMEOUT);
    let mut publisher = client(&servers[place]);
    for subscriber in &mut subscribers {
        wait_for_interest(&mut publisher, subscriber, "still.here");
    }
    check_every_pair(&servers, 1000);
}

#[test]
fn a_client_is_told_which_members_there_are() {
    for other in [Kind::Onehop, Kind::OnehopStd, Kind::REFERENCE] {
        let Some(mut servers) = form("urls", Topology::Chain, &[Kind::Onehop, Kind::Onehop, other]) else {
            return;
        };
        let mut watcher = client(&servers[0]);
        let urls = |servers: &[Server]| {
            let mut urls: Vec<_> =
                servers.iter().map(|server| format!("127.0.0.1:{}", server.ports().client)).collect();
            urls.sort();
            urls
        };
        let mut follows = |what: &str, wanted: Vec<String>| {
            wait_until(what, MESH_TIMEOUT, || {
                watcher.read_until_quiet(Duration::from_millis(20));
                known_urls(&watcher) == wanted
            });
        };
        follows("all three are known", urls(&servers));
        servers[2].kill();
        follows("the killed member is forgotten", urls(&servers[..2]));
        servers[2].restart();
        follows("the member is known again", urls(&servers));
    }
}

#[test]
fn a_terminated_member_leaves_in_order() {
    let Some(mut servers) = form("leaving", Topology::Seed, &[Kind::Onehop; 3]) else { return };
    servers[2].signal("TERM");
    let status = servers[2].wait_exit(Duration::from_secs(5));
    assert!(status.is_some_and(|status| status.success()), "the exit was {status:?}");
    wait_for_mesh(&[&servers[0], &servers[1]], MESH_TIMEOUT);
    check_every_pair(&servers[..2], 1000);
}

/// How many of these messages to a queue group each member gets of what is published here.
fn shares(publisher: &mut RawConn, members: &mut [RawConn], messages: usize) -> Vec<usize> {
    let got = |member: &RawConn| count(member, "work", "x");
    let before: Vec<_> = members.iter().map(got).collect();
    publisher.send("PUB work 1\r\nx\r\n".repeat(messages));
    publisher.ping();
    let mut shares = Vec::new();
    wait_until("each message is there", MESH_TIMEOUT, || {
        members.iter_mut().for_each(|member| member.read_until_quiet(Duration::from_millis(10)));
        shares = members.iter().zip(&before).map(|(member, before)| got(member) - before).collect();
        shares.iter().sum::<usize>() >= messages
    });
    assert_eq!(shares.iter().sum::<usize>(), messages, "{shares:?}");
    shares
}

/// nats-server issue 8072.
#[test]
fn near_members_of_a_queue_group_are_preferred_beside_a_go_server_that_knows_nothing_of_it() {
    let (here, go) = ("server_tags: [\"az:1\"], queue_affinity: az", "server_tags: [\"az:1\"]");
    let members = [(Kind::Onehop, here, ""), (Kind::Onehop, here, ""), (Kind::REFERENCE, go, "")];
    let Some(servers) = form_with(members, POOLED_CONNECTIONS) else { return };
    let mut publishers: Vec<_> = servers.iter().map(client).collect();
    let mut members: Vec<_> = servers[1..].iter().map(client).collect();
    for member in &mut members {
        member.send("SUB work crew 1\r\nSUB ready 2\r\n");
        member.ping();
        publishers.iter_mut().for_each(|publisher| wait_for_interest(publisher, member, "ready"));
    }
    assert_eq!(shares(&mut publishers[0], &mut members, 500), [500, 0], "the near one gets all");
    let of_go = shares(&mut publishers[2], &mut members, 500);
    assert!(of_go.iter().all(|count| *count > 100), "Go prefers nobody: {of_go:?}");
    members[0].send("UNSUB 1\r\n");
    members[0].ping();
    let is_gone = || shares(&mut publishers[0], &mut members, 20) == [0, 20];
    wait_until("the far one gets all", MESH_TIMEOUT, is_gone);
    members[0].send("SUB work crew 1\r\n");
    members[0].ping();
    let is_back = || shares(&mut publishers[0], &mut members, 20) == [20, 0];
    wait_until("the near one gets all again", MESH_TIMEOUT, is_back);
}
