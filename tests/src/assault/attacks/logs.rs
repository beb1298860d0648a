//! How much a client can make a server write down.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Cost, Watch, clients_of};
use crate::load::connection::Connection;
use crate::raw::RawConn;
use crate::server::Options;

/// How long faults are repeated.
const FLOOD: Duration = Duration::from_secs(4);

/// How long a server has to write down what it was told.
const SETTLE: Duration = Duration::from_millis(500);

/// One client repeats a subscription to what is no subject, and reads what is answered.
pub fn bad_subjects(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let watch = Watch::begin(&server)?;
    let client = Connection::open(clients_of(&server))?;
    let mut answers = client.handle()?;
    let discarding = thread::spawn(move || io::copy(&mut answers, &mut io::sink()));
    let mut client = client;
    let (started, time) = (Instant::now(), arena.time(FLOOD));
    let batch = "SUB a..b 1\r\n".repeat(1_000);
    let mut count = 0;
    while started.elapsed() < time && client.send(batch.as_bytes()).is_ok() {
        count += 1_000;
    }
    Connection::close(&client.into_stream());
    let _ = discarding.join();
    thread::sleep(SETTLE);
    watch.end(vec![Figure::effort("faults", count)])
}

/// Clients that come with a wrong password, one after the other.
pub fn wrong_passwords(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::configured("authorization { user: me, password: other }\n"))?;
    let cost = Cost::begin(&server)?;
    let count = arena.part(5_000);
    for _ in 0..count {
        let mut client = RawConn::connect(server.ports().client);
        client.send("CONNECT {\"verbose\":false,\"user\":\"me\",\"pass\":\"wrong\"}\r\nPING\r\n");
        client.read_until_closed(Duration::from_secs(3));
    }
    cost.end(vec![Figure::effort("clients", count)])
}

/// One client repeats what is no operation, on connections that are closed for it.
pub fn unknown_operations(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let cost = Cost::begin(&server)?;
    let count = arena.part(5_000);
    let line = format!("{}\r\n", "\u{1}NONSENSE".repeat(400));
    for _ in 0..count {
        let mut client = RawConn::connect(server.ports().client);
        client.send(&line);
        client.read_until_closed(Duration::from_secs(3));
    }
    cost.end(vec![Figure::effort("clients", count)])
}
