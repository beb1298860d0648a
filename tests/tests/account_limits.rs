//! An account that may have three clients may have them in the whole cluster, whatever its members are (wire.md 10.2).

use std::thread;
use std::time::Duration;

use onehop_tests::mesh::{cluster_block, wait_for_mesh};
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::Version;
use onehop_tests::server::{Kind, Options, Server, reserve_port};

/// By then both know what happened.
const HEARSAY: Duration = Duration::from_millis(1500);

const TIMEOUT: Duration = Duration::from_secs(20);

const CONFIG: &str = "system_account: SYS\naccounts {\n\
    A { users: [{user: a, password: p}], limits: {max_connections: 3} }\n\
    SYS { users: [{user: s, password: p}] }\n}\n";

fn pair(kinds: [Kind; 2]) -> Option<[Server; 2]> {
    let ports = [(); 2].map(|()| reserve_port());
    let start = |number: usize| {
        let cluster = cluster_block(ports[number], &ports[..1], "");
        let options = Options::configured(&format!("{CONFIG}{cluster}"));
        Server::start(kinds[number], options.named(format!("S{number}")))
    };
    let servers = [start(0)?, start(1)?];
    wait_for_mesh(&[&servers[0], &servers[1]], TIMEOUT);
    Some(servers)
}

/// A client that came in, or what it was told instead.
fn client(server: &Server) -> Result<RawConn, String> {
    let mut client = RawConn::connect(server.ports().client);
    client.send("CONNECT {\"user\":\"a\",\"pass\":\"p\",\"verbose\":false}\r\nPING\r\n");
    client
        .read_until(TIMEOUT, |frames| frames.last().is_some_and(|last| matches!(last.op(), "PONG" | "-ERR")));
    let last = client.frames().last().map(|frame| (frame.op().to_owned(), format!("{frame:?}")));
    match last {
        Some((op, _)) if op == "PONG" => Ok(client),
        other => Err(other.map(|(_, text)| text).unwrap_or_default()),
    }
}

fn is_full(server: &Server) -> bool {
    match client(server) {
        Ok(_) => false,
        Err(told) => {
            assert!(told.contains("maximum account active connections exceeded"), "{told}");
            true
        }
    }
}

fn share_the_seats(kinds: [Kind; 2]) {
    println!("{kinds:?}");
    let Some(servers) = pair(kinds) else { return };
    // nats-server listens somewhat later than it is a member, and says nothing of those who came before.
    thread::sleep(HEARSAY);
    let come_in = |place: usize| client(&servers[place]).expect("there is room");
    let mut first: Vec<_> = [0, 0, 1].map(come_in).into();
    thread::sleep(HEARSAY);
    assert!(servers.iter().all(is_full));
    drop(first.remove(0));
    thread::sleep(HEARSAY);
    let mut late = Some(come_in(1));
    thread::sleep(HEARSAY);
    assert!(servers.iter().all(is_full));
    for client in first.iter_mut().chain(&mut late) {
        client.ping();
        assert!(!client.is_closed());
    }
}

#[test]
fn members_of_both_kinds_share_the_seats_of_an_account() {
    share_the_seats([Kind::REFERENCE, Kind::Onehop]);
    share_the_seats([Kind::OnehopStd, Kind::REFERENCE]);
}

#[test]
fn members_of_older_kinds_share_them_too() {
    share_the_seats([Kind::Onehop, Kind::Real(Version::V2_10_26)]);
    share_the_seats([Kind::Onehop, Kind::Real(Version::V2_9_10)]);
}
