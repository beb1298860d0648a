//! Servers of which not all can reach each other, but all can reach one, on both runtimes: what two of them say to each other
//! passes through the third (design.md 5, wire.md 14.7).

use std::io::{Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use onehop_tests::certificates::Authority;
use onehop_tests::frame::Frame;
use onehop_tests::mesh::{compressions, wait_for_mesh, wait_until};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::{check_sizes, client, wait_for_interest};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A port at which nobody listens.
const NOWHERE: u16 = 1;

/// A member of the cluster `C` that lets circuits pass, and says that it is reached at another port.
fn member(kind: Kind, name: &str, routes: &[u16], reached_at: Option<u16>, settings: &str) -> Server {
    let port = reserve_port();
    let advertise = reached_at.map_or_else(String::new, |port| format!("advertise: \"localhost:{port}\","));
    let routes: Vec<_> = routes.iter().map(|port| format!("\"nats://localhost:{port}\"")).collect();
    let config = format!(
        "cluster {{ name: C, listen: \"127.0.0.1:{port}\", {advertise} routes: [ {} ]\n\
         relay {{ after: 500ms }}\n{settings} }}\n",
        routes.join(", ")
    );
    Server::start(kind, Options::configured(&config).named(name)).expect("onehop is here")
}

/// A server of the cluster that knows nothing of circuits, and that nobody can dial where it says that it is.
fn unaware(version: Version, name: &str, settings: &str) -> Option<Server> {
    let port = reserve_port();
    let config = format!(
        "cluster {{ name: C, listen: \"127.0.0.1:{port}\", cluster_advertise: \"127.0.0.1:{NOWHERE}\"\n{settings} }}\n"
    );
    Server::start(Kind::Real(version), Options::configured(&config).named(name))
}

/// Both ends dial a third, and cannot dial each other.
fn star(kinds: [Kind; 3], settings: &str) -> [Server; 3] {
    star_at(kinds, [NOWHERE; 2], settings)
}

/// The same where the ends say that they are reached at these ports.
fn star_at(kinds: [Kind; 3], ports: [u16; 2], settings: &str) -> [Server; 3] {
    let [middle, one, other] = kinds;
    let middle = member(middle, "M", &[], None, settings);
    let port = [middle.ports().route];
    let end = |kind, name, at| member(kind, name, &port, Some(at), settings);
    let ends = [end(one, "A", ports[0]), end(other, "B", ports[1])];
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
    server.page("/routez")["onehop_circuits"].as_u64().unwrap_or_default()
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

/// Each by its own certificate, though another is between them.
#[test]
fn the_ends_speak_tls_and_compress_through_a_third_that_reads_nothing_of_it() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    let settings = format!("compression: s2_fast\n{}", authority.block(&own, ""));
    for kind in Kind::RUNTIMES {
        let servers = star([kind; 3], &settings);
        wait_for_mesh(&servers.iter().collect::<Vec<_>>(), TIMEOUT);
        assert_eq!(compressions(&servers[1]), ["s2_fast"]);
        must_be_joined(servers);
    }
}

/// What is not TLS and no circuit is not let in, where routes are encrypted.
#[test]
fn who_speaks_no_tls_where_that_is_asked_for_gets_no_further_though_circuits_begin_without() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    for kind in Kind::RUNTIMES {
        let server = member(kind, "M", &[], None, &authority.block(&own, ""));
        for text in [
            "CONNECT {\"verbose\":false,\"name\":\"NX\",\"cluster\":\"C\"}\r\nPING\r\n",
            "CONNECT {\"verbose\":false,\"onehop_circuit\":\"stolen\"}\r\nPING\r\n",
            "PING\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            let stream = TcpStream::connect(("127.0.0.1", server.ports().route)).expect("a connection");
            let mut stranger = RawConn::new(stream);
            stranger.send(text);
            assert!(stranger.read_until_closed(TIMEOUT), "{kind}: {text}");
            let frames: Vec<_> = stranger.frames().iter().map(|frame| frame.op().to_owned()).collect();
            let is_circuit = text.contains("onehop_circuit");
            assert_eq!(frames.is_empty(), !is_circuit, "{kind}: {text}: {frames:?}");
        }
        assert_eq!(server.page("/routez")["num_routes"], 0);
    }
}

/// Opens a way to a server that there was not before: whoever connects to this port is connected to that.
fn open_way(port: u16, to: u16) {
    let gate = TcpListener::bind(("127.0.0.1", port)).expect("it is reserved");
    thread::spawn(move || {
        while let Ok((near, _)) = gate.accept() {
            let far = TcpStream::connect(("127.0.0.1", to)).expect("a server");
            let ways = [(&near, &far), (&far, &near)];
            for (from, into) in ways.map(|(from, into)| (from.try_clone(), into.try_clone())) {
                let (mut from, mut into) = (from.expect("a handle"), into.expect("a handle"));
                thread::spawn(move || {
                    let _ = copy(&mut from, &mut into);
                    let _ = into.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

/// Publishes numbers to a subject until it is told to stop; how many that were.
fn count_up(server: &Server, subject: &'static str, stop: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let (port, stop) = (server.ports().client, stop.clone());
    thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
        stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n").expect("written");
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let one = |number: usize| format!("PUB {subject} 6\r\n{number:06}\r\n");
            let some: String = (count..count + 5).map(one).collect();
            stream.write_all(some.as_bytes()).expect("written");
            count += 5;
            thread::sleep(Duration::from_millis(1));
        }
        count
    })
}

/// Two talk without a pause while the first direct connection becomes possible, and all that is said is heard, once, and in order.
fn must_go_over_to_direct_connections(kinds: [Kind; 3], settings: &str) {
    let gate = reserve_port();
    let servers = star_at(kinds, [gate, NOWHERE], settings);
    wait_for_mesh(&servers.iter().collect::<Vec<_>>(), TIMEOUT);
    let [_middle, one, other] = &servers;
    wait_until("all is relayed", TIMEOUT, || [one, other].iter().all(|it| relays(it).len() == 4));
    let mut hearers = [(one, "to.one"), (other, "to.other")].map(|(server, subject)| {
        let mut hearer = client(server);
        hearer.send(format!("SUB {subject} 1\r\n"));
        (hearer, subject)
    });
    for (server, (hearer, subject)) in [other, one].into_iter().zip(&mut hearers) {
        wait_for_interest(&mut client(server), hearer, subject);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let speakers = [count_up(other, "to.one", &stop), count_up(one, "to.other", &stop)];
    open_way(gate, one.ports().route);
    wait_until("nothing is relayed", TIMEOUT, || [one, other].iter().all(|it| relays(it).is_empty()));
    wait_until("no circuit is left", TIMEOUT, || circuits(&servers[0]) == 0);
    thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let counts = speakers.map(|speaker| speaker.join().expect("it spoke"));
    for ((mut hearer, subject), count) in hearers.into_iter().zip(counts) {
        let numbers = |frames: &[Frame]| {
            let heard = frames.iter().filter(|frame| frame.op() == "MSG");
            let text = |frame: &Frame| {
                String::from_utf8_lossy(frame.payload.as_deref().unwrap_or_default()).into_owned()
            };
            let heard: Vec<usize> = heard.filter_map(|frame| text(frame).parse().ok()).collect();
            heard
        };
        hearer.read_until(TIMEOUT, |frames| frames.len() >= count && numbers(frames).len() >= count);
        hearer.read_until_quiet(Duration::from_millis(200));
        let heard = numbers(hearer.frames());
        let first_wrong = heard.iter().enumerate().find(|(place, number)| place != *number);
        assert_eq!((heard.len(), first_wrong), (count, None), "{kinds:?}: {subject}");
    }
    assert!(counts[0] > 1000, "{counts:?}");
}

#[test]
fn a_direct_connection_takes_the_place_of_a_circuit_while_messages_pass() {
    for kind in Kind::RUNTIMES {
        must_go_over_to_direct_connections([kind; 3], "");
    }
    let [smol, std] = Kind::RUNTIMES;
    must_go_over_to_direct_connections([std, smol, std], "");
}

#[test]
fn it_does_so_with_tls_and_compression() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    let settings = format!("compression: s2_fast\n{}", authority.block(&own, ""));
    for kind in Kind::RUNTIMES {
        must_go_over_to_direct_connections([kind; 3], &settings);
    }
}

/// The relay is configured with where the nats-server is. That says elsewhere that nobody reaches it, as if behind a router.
#[test]
fn a_onehop_node_and_a_nats_server_are_joined_by_a_third() {
    for version in [Version::V2_15_1, Version::V2_10_26, Version::V2_9_10] {
        for kind in Kind::RUNTIMES {
            let Some(go) = unaware(version, "B", "") else { return };
            let middle = member(kind, "M", &[go.ports().route], None, "");
            let one = member(kind, "A", &[middle.ports().route], Some(NOWHERE), "");
            let count = if version.pools_routes() { 4 } else { 1 };
            wait_until("they are joined", TIMEOUT, || relays(&one) == vec!["M"; count]);
            wait_until("no connection was left half made", TIMEOUT, || circuits(&middle) == count as u64);
            check_sizes(&[one, go]);
        }
    }
}

/// Two nats-servers that nobody can dial where they say that they are; only the one between knows better, which is configured with
/// both.
fn must_be_joined_by(kind: Kind, versions: [Version; 2], settings: &str) {
    let pair = [(versions[0], "A"), (versions[1], "B")];
    let [Some(one), Some(other)] = pair.map(|(version, name)| unaware(version, name, settings)) else {
        return;
    };
    let routes = [&one, &other].map(|go| go.ports().route);
    let middle = member(kind, "M", &routes, None, settings);
    let count = if versions.iter().all(|version| version.pools_routes()) { 4 } else { 1 };
    wait_until("they are joined", TIMEOUT, || circuits(&middle) == count);
    wait_for_mesh(&[&middle, &one, &other], TIMEOUT);
    check_sizes(&[one, other]);
}

#[test]
fn two_nats_servers_are_joined_by_a_onehop_node_between_them() {
    let [smol, std] = Kind::RUNTIMES;
    must_be_joined_by(smol, [Version::V2_15_1, Version::V2_15_1], "");
    must_be_joined_by(std, [Version::V2_15_1, Version::V2_10_26], "");
    must_be_joined_by(smol, [Version::V2_9_10, Version::V2_15_1], "");
}

/// Which encrypts with each of the two.
#[test]
fn two_nats_servers_that_speak_tls_are_joined_too() {
    let authority = Authority::new("A");
    let own = authority.sign("server");
    for kind in Kind::RUNTIMES {
        must_be_joined_by(kind, [Version::V2_15_1, Version::V2_15_1], &authority.block(&own, ""));
    }
}
