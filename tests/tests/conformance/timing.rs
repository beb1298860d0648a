//! What happens when a client says nothing: timers, with short settings (wire.md 1.9); and how soon a connection ends for
//! what its client said.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use onehop_tests::raw::read_up_to;
use onehop_tests::script::{To, case, compare};
use onehop_tests::server::{Kind, Options, Server};

use super::terse;

const LONG: Duration = Duration::from_secs(8);

#[test]
fn a_client_that_never_answers_pings_is_stale() {
    let options = Options::configured("ping_interval: \"1s\"\nping_max: 2\n");
    let cases = [case("silence after CONNECT")
        .client(0, terse(""))
        .await_close(To::Client(0), LONG)
        .with_keep_alive()
        .whole_only()];
    compare(&options, &cases);
}

#[test]
fn a_client_that_never_connects_is_stale_too() {
    let options = Options::configured("ping_interval: \"1s\"\nping_max: 1\n");
    let cases = [case("silence from the start")
        .raw(To::Client(0), "")
        .await_close(To::Client(0), LONG)
        .with_keep_alive()
        .whole_only()];
    compare(&options, &cases);
}

#[test]
fn credentials_must_come_in_time() {
    let options = Options::configured("authorization { user: u, password: p, timeout: 1 }\n");
    let cases = [
        case("silence").raw(To::Client(0), "").await_close(To::Client(0), LONG).whole_only(),
        case("half a CONNECT")
            .raw(To::Client(0), "CONNECT {\"us")
            .await_close(To::Client(0), LONG)
            .whole_only(),
    ];
    compare(&options, &cases);
}

/// Clients' tests publish without looking at limits until that fails. Whether the connection ends with a reset differs
/// (wire.md 13).
#[test]
fn writes_after_a_fault_fail_as_soon_as_with_nats_server_and_the_client_still_reads_why() {
    let oversized = format!("PUB a 1001\r\n{}\r\n", "x".repeat(1001));
    let faults = [
        (oversized.as_str(), "-ERR 'Maximum Payload Violation'\r\n"),
        ("NONSENSE\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
    ];
    for kind in Kind::COMPARED {
        let Some(server) = Server::start(kind, Options::configured("max_payload: 1000\n")) else { return };
        for (fault, why) in faults {
            let tries = [(); 5].map(|()| write_until_that_fails(&server, fault));
            assert!(tries.iter().all(|(_, heard)| heard == why), "{kind} said {tries:?}");
            // A machine that is busy makes each of them late, but hardly all.
            let soonest = tries.iter().map(|(took, _)| *took).min();
            assert!(soonest < Some(Duration::from_millis(100)), "{kind} took {tries:?}");
        }
    }
}

/// Sends `fault` and goes on publishing without reading: how long that succeeds, and what is there to be read then.
fn write_until_that_fails(server: &Server, fault: &str) -> (Duration, String) {
    let mut client = TcpStream::connect(("127.0.0.1", server.ports().client)).expect("a connection");
    client.set_read_timeout(Some(LONG)).expect("a timeout");
    client.write_all(terse("PING\r\n").as_bytes()).expect("written");
    read_up_to(&mut client, b"PONG\r\n").expect("an answer");
    client.write_all(fault.as_bytes()).expect("written");
    let began = Instant::now();
    while client.write_all(b"PUB a 0\r\n\r\n").is_ok() && began.elapsed() < LONG {
        thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed();
    let mut heard = Vec::new();
    // A connection that is reset ends as one that is closed.
    let _ = client.read_to_end(&mut heard);
    (took, String::from_utf8_lossy(&heard).into_owned())
}
