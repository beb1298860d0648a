//! Half a million subscriptions that come or go at once, here or at another server.

use std::fmt::Write as _;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::member::Member;
use crate::assault::victim::{Arena, Watch, clients_of, clustered};
use crate::load::connection::Connection;
use crate::peer::Identity;
use crate::server::{Options, Server};

/// How long the server is watched after the blow.
const AFTERMATH: Duration = Duration::from_secs(5);

/// How long all interest may take to be told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines sent per write.
const LINES_PER_WRITE: usize = 2_000;

/// A route that announced much goes away without a word.
pub fn route_ends(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let count = arena.part(500_000);
    let member = interested_member(&server, count)?;
    let watch = Watch::begin(&server)?;
    drop(member);
    aftermath(&server, count, watch)
}

/// A client with many subscriptions goes away without a word.
pub fn client_ends(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let count = arena.part(500_000);
    let client = subscribed_client(&server, count)?;
    let watch = Watch::begin(&server)?;
    drop(client);
    aftermath(&server, count, watch)
}

/// A server joins one whose clients have many subscriptions, and is told of all of them.
pub fn route_begins(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let count = arena.part(500_000);
    let client = subscribed_client(&server, count)?;
    let watch = Watch::begin(&server)?;
    let started = Instant::now();
    let member = Member::join(server.ports().route, &Identity::without_pool("newcomer"))?;
    let told = member.wait_for_interest(count as u64, PATIENCE);
    let mut figures = vec![
        Figure::effort("subscriptions", count),
        Figure::done("interest told", told as usize),
        Figure::wait("until all is told", (told >= count as u64).then(|| started.elapsed())),
    ];
    figures.extend(watch.end()?);
    drop(client);
    Ok(figures)
}

/// A client with `count` subscriptions, each to a subject of its own.
pub fn subscribed_client(server: &Server, count: usize) -> io::Result<Connection> {
    let mut client = Connection::open(clients_of(server))?;
    in_lines(
        count,
        |lines, number| write!(lines, "SUB assault.{number}.data {number}\r\n"),
        |bytes| client.send(bytes),
    )?;
    client.fence()?;
    Ok(client)
}

/// A member that announced interest in `count` subjects.
pub fn interested_member(server: &Server, count: usize) -> io::Result<Member> {
    let mut member = Member::join(server.ports().route, &Identity::without_pool("member"))?;
    in_lines(
        count,
        |lines, number| write!(lines, "RS+ $G assault.{number}.data\r\n"),
        |bytes| member.send(bytes),
    )?;
    member.fence()?;
    Ok(member)
}

/// Watches until the server should have recovered, and says whether it has forgotten the subscriptions.
fn aftermath(server: &Server, count: usize, watch: Watch<'_>) -> io::Result<Vec<Figure>> {
    thread::sleep(AFTERMATH);
    let mut figures = vec![Figure::effort("subscriptions", count)];
    figures.extend(watch.end()?);
    let left = server.monitor("/subsz").map_err(io::Error::other)?["num_subscriptions"].as_u64();
    let is_forgotten = left.is_some_and(|left| left < count as u64);
    figures.push(Figure::done("all are forgotten", usize::from(is_forgotten)));
    Ok(figures)
}

/// Writes a line for each number below `count`, many of them at once.
fn in_lines(
    count: usize,
    line: impl Fn(&mut String, usize) -> std::fmt::Result,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(LINES_PER_WRITE) {
        let mut lines = String::new();
        for &number in numbers {
            line(&mut lines, number).map_err(io::Error::other)?;
        }
        send(lines.as_bytes())?;
    }
    Ok(())
}
