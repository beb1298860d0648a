//! Servers of which not all can reach each other, but all can reach one, on both runtimes: what two of them say to each other
//! passes through the third (design.md 5, wire.md 14.7).

use std::time::Duration;

use onehop_tests::mesh::{wait_for_mesh, wait_until};
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::check_sizes;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A member of the cluster `C` that lets circuits pass. Nobody can dial it where it says that it is, unless it `is_reached`.
fn member(kind: Kind, name: &str, routes: &[u16], is_reached: bool, settings: &str) -> Server {
    let port = reserve_port();
    // Where nobody listens.
    let advertise = if is_reached { String::new() } else { "advertise: \"127.0.0.1:1\",".to_owned() };
    let routes: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let config = format!(
        "cluster {{ name: C, listen: \"127.0.0.1:{port}\", {advertise} routes: [ {} ]\n\
         relay {{ after: 500ms }}\n{settings} }}\n",
        routes.join(", ")
    );
    Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
}

/// Both ends dial a third, and cannot dial each other.
fn star(kinds: [Kind; 3], settings: &str) -> [Server; 3] {
    let [middle, one, other] = kinds;
    let middle = member(middle, "M", &[], true, settings);
    let port = [middle.ports().route];
    let ends = [(one, "A"), (other, "B")].map(|(kind, name)| member(kind, name, &port, false, settings));
    let [one, other] = ends;
    [middle, one, other]
}

/// By which server each route of a server passes.
fn relays(server: &Server) -> Vec<String> {
    let page = server.page("/routez");
    let routes = page["routes"].as_array().expect("a list").iter();
    let mut relays: Vec<_> =
        routes.filter_map(|route| Some(route["onehop_relay"].as_str()?.to_owned())).collect();
    relays.sort();
    relays
}

fn circuits(server: &Server) -> u64 {
    server.page("/routez")["onehop_circuits"].as_u64().expect("a number")
}

/// The ends are joined, and bytes of all sizes pass.
fn must_be_joined(servers: [Server; 3]) {
    wait_for_mesh(&servers.iter().collect::<Vec<_>>(), TIMEOUT);
    let [middle, one, other] = servers;
    assert_eq!((relays(&one), relays(&other)), (vec!["M".to_owned(); 4], vec!["M".to_owned(); 4]));
    // One more may have been begun from the other side.
    wait_until("one circuit stands for each connection", TIMEOUT, || circuits(&middle) == 4);
    assert_eq!(relays(&middle), [""; 0]);
    check_sizes(&[one, other]);
    // Who is joined by them is gone now.
    wait_until("the circuits end with their ends", TIMEOUT, || circuits(&middle) == 0);
}

#[test]
fn two_that_cannot_dial_each_other_are_joined_by_a_third_that_both_can_dial() {
    for kind in Kind::RUNTIMES {
        must_be_joined(star([kind; 3], ""));
    }
    let [smol, std] = Kind::RUNTIMES;
    must_be_joined(star([smol, std, smol], ""));
}
