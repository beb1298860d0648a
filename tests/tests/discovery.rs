//! Servers that nobody configured to find each other (design.md 6, wire.md 14.5), on both runtimes, beside real ones.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mainline::Testnet;
use onehop_tests::mesh::{Topology, cluster_block, start, wait_for_mesh, wait_until};
use onehop_tests::namespace::is_own_network;
use onehop_tests::real_server::target_dir;
use onehop_tests::server::{Kind, Options, Server, reserve_port};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A member of the cluster `C` that is configured with no routes, but with this block.
fn member(kind: Kind, name: &str, discovery: &str) -> Server {
    let config = format!("{}discovery {{ {discovery} }}\n", cluster_block(reserve_port(), &[], ""));
    Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
}

fn counts(server: &Server, source: &str) -> [u64; 3] {
    let page = server.page("/discoveryz");
    let sources = page["sources"].as_array().expect("sources");
    let of_source = sources.iter().find(|it| it["name"] == source).expect("each source is shown");
    ["tried", "joined", "failed"].map(|name| of_source[name].as_u64().expect("a count"))
}

/// A new place for a file.
fn place(name: &str) -> PathBuf {
    let directory = target_dir().join("tmp").join(format!("discovery-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn a_name_leads_to_a_member_and_that_to_all() {
    for kind in Kind::RUNTIMES {
        let kinds = [Kind::REFERENCE, Kind::Onehop, Kind::REFERENCE];
        let Some(members) = start("C", Topology::Chain, &kinds) else { return };
        let port = members[0].ports().route;
        let newcomer = member(kind, "N", &format!("dns: \"localhost:{port}\""));
        let all: Vec<_> = members.iter().chain([&newcomer]).collect();
        wait_for_mesh(&all, TIMEOUT);
        let [_, joined, _] = counts(&newcomer, "dns");
        assert_eq!(joined, 1, "of its addresses one led to a member, which is there by the others, too");
        assert!(newcomer.page("/routez")["onehop_dials"]["discovered"].as_u64() > Some(0));
    }
}

#[test]
fn what_a_program_prints_leads_to_a_member_whatever_else_it_prints() {
    for kind in Kind::RUNTIMES {
        let seed = member(kind, "S", "");
        let port = seed.ports().route;
        let script = format!("echo '# members'; echo nonsense here; echo 127.0.0.1:1; echo 127.0.0.1:{port}");
        let newcomer = member(kind, "N", &format!("command: [\"sh\", \"-c\", \"{script}\"], interval: 1s"));
        wait_for_mesh(&[&seed, &newcomer], TIMEOUT);
        wait_until("the false address is tried, too", TIMEOUT, || counts(&newcomer, "command")[2] > 0);
        assert_eq!(counts(&newcomer, "command")[1], 1);
    }
}

#[test]
fn whoever_was_a_member_comes_back_by_others_though_its_seed_is_gone() {
    for kind in Kind::RUNTIMES {
        let path = place(&format!("{kind}.peers"));
        let named = |name: &str, routes: &[u16], discovery: &str| {
            let config = format!("{}{discovery}", cluster_block(reserve_port(), routes, ""));
            Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
        };
        let mut seed = named("S", &[], "");
        let routes = [seed.ports().route];
        let mut other = named("O", &routes, "");
        let mut back = named("B", &routes, &format!("discovery {{ peers_file: \"{}\" }}\n", path.display()));
        wait_for_mesh(&[&seed, &other, &back], TIMEOUT);
        let is_written = || fs::read_to_string(&path).is_ok_and(|text| text.lines().count() == 3);
        wait_until("both others are in the file", TIMEOUT, is_written);
        seed.kill();
        back.kill();
        // It knows of nobody but the seed.
        other.restart();
        back.restart();
        wait_for_mesh(&[&other, &back], TIMEOUT);
        assert_eq!(counts(&back, "peers_file")[1], 1);
        let known = fs::read_to_string(&path).expect("the file");
        assert_eq!(known.lines().count(), 3, "who was not there is kept in mind: {known}");
    }
}

#[test]
fn a_damaged_peers_file_is_ignored_and_replaced() {
    for kind in Kind::RUNTIMES {
        let path = place(&format!("{kind}.damaged"));
        fs::write(&path, b"onehop peers 1\n\xff\xfe 1\n").expect("a file");
        let seed = member(kind, "S", "");
        let port = seed.ports().route;
        let block = format!("peers_file: \"{}\", dns: \"localhost:{port}\"", path.display());
        let server = member(kind, "N", &block);
        server.wait_for_log("Ignoring the peers file", TIMEOUT);
        wait_for_mesh(&[&seed, &server], TIMEOUT);
        let is_written = || fs::read_to_string(&path).is_ok_and(|text| text.contains(&port.to_string()));
        wait_until("it is written anew", TIMEOUT, is_written);
    }
}

#[test]
fn members_that_know_one_secret_find_each_other_by_the_dht() {
    let dht = Testnet::builder(8).build().expect("a DHT on this machine");
    let nodes: Vec<_> = dht.bootstrap.iter().map(|node| format!("\"{node}\"")).collect();
    let server = |kind, name: &str, secret: &str| {
        let config = format!(
            "cluster {{ name: C, listen: \"127.0.0.1:{}\" }}\n\
             discovery {{ dht: {{ bootstrap: [{}], local_addresses: true }}, secret: \"{secret}{}\" }}\n",
            reserve_port(),
            nodes.join(", "),
            "00".repeat(31),
        );
        Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
    };
    let stranger = server(Kind::Onehop, "O", "02");
    let members: Vec<_> = Kind::RUNTIMES.map(|kind| server(kind, "M", "01")).into_iter().collect();
    wait_for_mesh(&members.iter().collect::<Vec<_>>(), Duration::from_secs(120));
    assert_eq!(counts(&stranger, "dht"), [0; 3], "who does not know the secret is told of nobody");
}

#[test]
fn two_in_one_network_find_each_other_by_the_name_of_their_cluster() {
    if !is_own_network("two_in_one_network_find_each_other_by_the_name_of_their_cluster") {
        return;
    }
    for kind in Kind::RUNTIMES {
        let server = |kind, name: &str, cluster: &str| {
            let config = format!(
                "cluster {{ name: {cluster}, listen: \"127.0.0.1:{}\" }}\ndiscovery {{ mdns: true }}\n",
                reserve_port()
            );
            Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
        };
        let members = [server(Kind::Onehop, "A", "ours"), server(kind, "B", "ours")];
        let other = server(kind, "O", "theirs");
        wait_for_mesh(&[&members[0], &members[1]], TIMEOUT);
        assert_eq!(counts(&other, "mdns"), [0; 3], "another cluster is not dialed");
    }
}
