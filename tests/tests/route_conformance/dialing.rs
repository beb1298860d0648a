//! Dialing: what a server says to a member that it was told to connect to (wire.md 2.3, 3.1, 4.3).

use std::time::Duration;

use onehop_tests::mesh::try_until;
use onehop_tests::peer::{Acceptor, Conversation, Identity};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server};

/// Long enough for every step of the handshakes, and short enough to end before the keep-alive begins after a second.
const QUIET: Duration = Duration::from_millis(400);

/// Starts every kind of server, each with a made-up member to dial, and compares all conversations.
fn compare_dialers(configure: impl Fn(u16) -> Options, acceptor: impl Fn() -> Acceptor) {
    compare_as(configure, acceptor, show);
}

/// The same, of what `show` makes of the conversations.
fn compare_as(
    configure: impl Fn(u16) -> Options,
    acceptor: impl Fn() -> Acceptor,
    show: impl Fn(&[Conversation]) -> Vec<String>,
) {
    let listen = |kind| {
        let acceptor = acceptor();
        let server = Server::start(kind, configure(acceptor.port()))?;
        let said = acceptor.converse(QUIET);
        drop(server);
        Some(said)
    };
    let Some(expected) = listen(Kind::REFERENCE) else { return };
    assert!(expected.iter().any(|talk| talk.label != "?"), "the reference never joined: {expected:#?}");
    for kind in Kind::RUNTIMES {
        let Some(found) = listen(kind) else { return };
        assert_eq!(show(&found), show(&expected), "left: {kind}, right: the Go server");
    }
}

fn show(conversations: &[Conversation]) -> Vec<String> {
    conversations
        .iter()
        .flat_map(|talk| talk.lines.iter().map(move |line| format!("#{} {line}", talk.label)))
        .collect()
}

/// Those that led to nothing once, however often the server tried again within the time.
fn show_failed_once(conversations: &[Conversation]) -> Vec<String> {
    let mut shown: Vec<Vec<String>> = Vec::new();
    for talk in conversations {
        let lines = show(std::slice::from_ref(talk));
        if talk.label != "?" || !shown.contains(&lines) {
            shown.push(lines);
        }
    }
    shown.concat()
}

fn member(port: u16) -> Options {
    Options::member("C", "alpha", &[port])
}

#[test]
fn the_whole_pool_and_the_dedicated_connection_are_dialed() {
    compare_dialers(member, || Acceptor::bind(Identity::new("P").info("route_pool_size", 3)));
}

#[test]
fn a_pinned_account_is_dialed_for_unless_it_is_not_there() {
    for accounts in ["\"$G\"", "\"$SYS\", \"$G\"", "ZZ"] {
        let options = |port| {
            Options::configured(&format!(
                "server_name: alpha\ncluster {{ name: C, listen: \"127.0.0.1:-1\", accounts: [ {accounts} ], \
                 routes: [ \"nats://127.0.0.1:{port}\" ] }}\n"
            ))
        };
        let acceptor = || Acceptor::bind(Identity::new("P").info("route_pool_size", 3));
        // nats-server tries again after a second, and onehop sooner at first.
        compare_as(options, acceptor, show_failed_once);
    }
}

#[test]
fn a_larger_pool_of_the_acceptor_is_filled() {
    compare_dialers(member, || Acceptor::bind(Identity::new("P").info("route_pool_size", 5)));
}

#[test]
fn a_smaller_pool_of_the_acceptor_does_not_count() {
    compare_dialers(member, || Acceptor::bind(Identity::new("P").info("route_pool_size", 2)));
}

#[test]
fn without_a_pong_the_chain_stops_at_the_first_slot() {
    let acceptor = || Acceptor::bind(Identity::new("P").info("route_pool_size", 3)).without_pongs();
    compare_dialers(member, acceptor);
}

#[test]
fn a_server_without_pooling_dials_once_and_says_both_lines_at_once() {
    let options = |port| {
        Options::configured(&format!(
            "server_name: alpha\ncluster {{ name: C, listen: \"127.0.0.1:-1\", pool_size: -1, compression: off, \
             routes: [ \"nats://127.0.0.1:{port}\" ] }}\n"
        ))
    };
    compare_dialers(options, || Acceptor::bind(Identity::without_pool("P")));
}

#[test]
fn credentials_of_the_route_are_sent() {
    let options = |port: u16| {
        Options::member("C", "alpha", &[])
            .with(&["--routes", &format!("nats://someone:secret@127.0.0.1:{port}")])
    };
    compare_dialers(options, || Acceptor::bind(Identity::new("P").info("route_pool_size", 3)));
}

#[test]
fn a_lost_explicit_route_is_dialed_again_and_takes_the_free_slot() {
    for kind in Kind::COMPARED {
        let acceptor = Acceptor::bind(Identity::new("P"));
        let options = Options::configured(&format!(
            "server_name: alpha\ncluster {{ name: C, listen: \"127.0.0.1:-1\", pool_size: 1, routes: [ \"nats://127.0.0.1:{}\" ] }}\n",
            acceptor.port()
        ));
        let Some(_server) = Server::start(kind, options) else { return };
        let first = acceptor.converse(QUIET);
        assert!(first.iter().any(|talk| talk.label == "0"), "{kind}: {first:#?}");
        // All connections ended with that conversation; both must come back within a few seconds.
        let again = acceptor.accept();
        drop(again);
        let second = acceptor.converse(Duration::from_millis(2500));
        assert!(second.iter().any(|talk| talk.label == "0"), "{kind} took no slot again: {second:#?}");
        assert!(
            second.iter().any(|talk| talk.label == "$SYS"),
            "{kind} lost the dedicated route: {second:#?}"
        );
    }
}

#[test]
fn an_unreachable_member_is_dialed_until_it_is_there() {
    for kind in Kind::COMPARED {
        let port = onehop_tests::server::reserve_port();
        let Some(server) = Server::start(kind, Options::member("C", "alpha", &[port])) else { return };
        std::thread::sleep(Duration::from_millis(300));
        let late = Server::start(Kind::REFERENCE, {
            let mut options = Options::member("C", "beta", &[]);
            options.ports.route = port;
            options
        });
        let Some(late) = late else { return };
        onehop_tests::mesh::wait_for_mesh(&[&server, &late], Duration::from_secs(10));
    }
}

/// Where a server dials a member back that it was dialed by, that said later on that it is elsewhere, and that it refused a second
/// connection since it counted on the first: at the place of the first INFO, or at that of the later one. Also which INFO a third heard
/// then.
fn dialed_back(kind: Kind, identity: &Identity) -> Option<(bool, usize)> {
    let server = Server::start(kind, Options::member("C", "alpha", &[]))?;
    let [first, second] = [(); 2].map(|()| Acceptor::bind(identity.clone()));
    let join = |at: &Acceptor| {
        let mut route = RawConn::connect(server.ports().route);
        route.send(identity.clone().info("port", at.port()).join(""));
        route
    };
    let mut third = RawConn::connect(server.ports().route);
    third.send(Identity::without_pool("T").join(""));
    third.ping();
    let mut route = join(&first);
    route.ping();
    third.ping();
    let infos = |third: &RawConn| third.frames().iter().filter(|frame| frame.op() == "INFO").count();
    let before = infos(&third);
    let url = format!("nats-route://127.0.0.1:{}/", second.port());
    route.send(identity.clone().info("port", second.port()).info("ip", url).info_line());
    route.ping();
    third.ping();
    let heard = infos(&third) - before;
    assert!(!route.is_closed(), "{kind}");
    assert!(join(&second).read_until_closed(Duration::from_secs(5)), "{kind}: its seat is taken");
    drop(route);
    let mut dialed = None;
    let is_dialed = || {
        dialed = [&first, &second].into_iter().position(|acceptor| acceptor.try_accept().is_some());
        dialed.is_some()
    };
    assert!(try_until(Duration::from_secs(10), is_dialed), "{kind}: it counted on the route");
    Some((dialed == Some(0), heard))
}

/// wire.md 2.10, 14.2: nats-server takes no heed of an address that changes while there is a route, and tells nobody.
#[test]
fn where_a_member_says_later_that_it_is_counts_for_onehop_alone() {
    let pooled = || Identity::new("P").info("route_pool_size", 3);
    for version in Version::ALL {
        let identity = if version.pools_routes() { pooled() } else { Identity::without_pool("P") };
        let Some(found) = dialed_back(Kind::Real(version), &identity) else { return };
        assert_eq!(found, (true, 0), "{version}");
    }
    for kind in Kind::RUNTIMES {
        assert_eq!(dialed_back(kind, &pooled()), Some((true, 0)), "{kind}, of a nats-server");
        assert_eq!(dialed_back(kind, &pooled().info("onehop", 1)), Some((false, 0)), "{kind}, of its like");
    }
}
