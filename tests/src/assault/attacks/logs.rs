//! What a client or a peer can make a server write down.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch, clients_of};
use crate::load::connection::Connection;
use crate::mesh::wait_for_mesh;
use crate::raw::RawConn;
use crate::server::{Options, Server, reserve_port};

/// How long faults are repeated.
const FLOOD: Duration = Duration::from_secs(4);

/// How long a server has to write down what it was told.
const SETTLE: Duration = Duration::from_millis(500);

/// What no log may show; a number, since some servers quote what is not the string that they want.
const SECRET: &str = "87654321001234";

/// One client repeats a subscription to what is no subject.
pub fn bad_subjects(arena: &Arena) -> io::Result<Vec<Figure>> {
    flood(arena, "SUB a..b 1\r\n")
}

/// Sends `line` again and again, and reads what is answered.
fn flood(arena: &Arena, line: &str) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let watch = Watch::begin(&server)?;
    let client = Connection::open(clients_of(&server))?;
    let mut answers = client.handle()?;
    let discarding = thread::spawn(move || io::copy(&mut answers, &mut io::sink()));
    let mut client = client;
    let (started, time) = (Instant::now(), FLOOD.mul_f64(arena.scale.min(1.0)));
    let batch = line.repeat(1_000);
    let mut count = 0;
    while started.elapsed() < time && client.send(batch.as_bytes()).is_ok() {
        count += 1_000;
    }
    Connection::close(&client.into_stream());
    let _ = discarding.join();
    thread::sleep(SETTLE);
    let mut figures = vec![Figure::effort("faults", count)];
    figures.extend(watch.end()?);
    Ok(figures)
}

/// A client whose password is a number, where a string is wanted.
pub fn number_as_password(arena: &Arena) -> io::Result<Vec<Figure>> {
    let options = Options::configured("authorization { user: me, password: other }\n");
    let server = arena.start(options)?;
    let mut client = RawConn::connect(server.ports().client);
    client.send(format!("CONNECT {{\"verbose\":false,\"user\":\"me\",\"pass\":{SECRET}}}\r\nPING\r\n"));
    client.read_until_closed(Duration::from_secs(3));
    thread::sleep(SETTLE);
    Ok(vec![Figure::broken("secrets in the log", secrets_in(&[&server]))])
}

/// Two servers that join with a password, both with `-V`.
pub fn traced_dial(arena: &Arena) -> io::Result<Vec<Figure>> {
    let port = reserve_port();
    let accepting = arena.start(guarded("accepts", &port.to_string(), ""))?;
    let routes = format!("routes: [\"nats://me:{SECRET}@127.0.0.1:{port}\"]");
    let dialing = arena.start(guarded("dials", "-1", &routes))?;
    wait_for_mesh(&[&accepting, &dialing], Duration::from_secs(10));
    thread::sleep(SETTLE);
    Ok(vec![Figure::broken("secrets in the logs", secrets_in(&[&accepting, &dialing]))])
}

/// A member with `-V` whose routes need the secret.
fn guarded(name: &str, port: &str, routes: &str) -> Options {
    let config = format!(
        "cluster {{ name: C, host: 127.0.0.1, port: {port}, {routes}\n\
         authorization {{ user: me, password: \"{SECRET}\" }} }}\n"
    );
    Options { name: name.to_owned(), ..Options::configured(&config).with(&["-V"]) }
}

/// How many lines of the logs show the secret.
fn secrets_in(servers: &[&Server]) -> usize {
    let shows = |server: &&Server| server.log().lines().filter(|line| line.contains(SECRET)).count();
    servers.iter().map(shows).sum()
}
