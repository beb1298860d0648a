//! Monitoring that is asked for more than it should be.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::interest::subscribed_client;
use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Cost, Watch};
use crate::monitor;
use crate::server::{Options, Server};

/// How long pages lie unread.
const UNREAD: Duration = Duration::from_secs(8);

/// How long anybody waits for `/healthz`.
const HEALTH_PATIENCE: Duration = Duration::from_secs(40);

/// Pages with every subscription of a server that has many, asked for at once and not read.
pub fn subsz_unread(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let count = arena.part(500_000);
    let client = subscribed_client(&server, count)?;
    let watch = Watch::begin(&server)?;
    let request = format!("GET /subsz?subs=1&limit={count} HTTP/1.1\r\nHost: x\r\n\r\n");
    let pages = hold(&server, 12, &request)?;
    thread::sleep(arena.time(UNREAD));
    let figures =
        watch.end(vec![Figure::effort("subscriptions", count), Figure::effort("pages", pages.len())]);
    drop(client);
    figures
}

/// Many requests that begin and do not end; then one asks whether the server is well.
pub fn half_requests(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let cost = Cost::begin(&server)?;
    let halves = hold(&server, arena.part(300), "GET /healthz HTTP/1.1\r\nHost:")?;
    let started = Instant::now();
    let mut answered = None;
    while answered.is_none() && started.elapsed() < HEALTH_PATIENCE {
        answered = monitor::get(server.ports().monitor, "/healthz").ok().map(|_| started.elapsed());
    }
    cost.end(vec![
        Figure::effort("half requests", halves.len()),
        Figure::done("/healthz answered", usize::from(answered.is_some())),
        Figure::wait("/healthz", answered),
    ])
}

/// Opens `count` connections, sends `request` on each, and reads nothing.
fn hold(server: &Server, count: usize, request: &str) -> io::Result<Vec<TcpStream>> {
    let open = |_| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.ports().monitor))?;
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}
