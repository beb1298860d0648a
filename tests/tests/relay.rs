//! Servers of which not all can reach each other, but all can reach one, on both runtimes: what two of them say to each other
//! passes through the third (design.md 5, wire.md 14.7).

use std::net::TcpStream;
use std::time::Duration;

use onehop_tests::certificates::Authority;
use onehop_tests::mesh::{compressions, wait_for_mesh, wait_until};
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Options, Server, reserve_port};
use onehop_tests::traffic::check_sizes;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A member of the cluster `C` that lets circuits pass. Nobody can dial it where it says that it is, unless it `is_reached`.
fn member(kind: Kind, name: &str, routes: &[u16], is_reached: bool, settings: &str) -> Server {
    let port = reserve_port();
    // Where nobody listens.
    let advertise = if is_reached { String::new() } else { "advertise: \"localhost:1\",".to_owned() };
    let routes: Vec<_> = routes.iter().map(|port| format!("\"nats://localhost:{port}\"")).collect();
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
        let server = member(kind, "M", &[], true, &authority.block(&own, ""));
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
