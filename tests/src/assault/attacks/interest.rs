//! Half a million subscriptions that come or go at once, here or at another server.

use std::fmt::Write as _;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::member::Member;
use crate::assault::victim::{Arena, Cost, Watch, clients_of, clustered};
use crate::load::connection::Connection;
use crate::load::process::resident_bytes;
use crate::mesh::try_until;
use crate::peer::Identity;
use crate::server::{Options, Server};

/// How long the server is watched after the blow.
const AFTERMATH: Duration = Duration::from_secs(5);

/// How long a client changes its mind.
const CHURN: Duration = Duration::from_secs(4);

/// How long all interest may take to be told or forgotten.
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
    aftermath(arena, &server, count, watch)
}

/// A client with many subscriptions goes away without a word.
pub fn client_ends(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let count = arena.part(500_000);
    let client = subscribed_client(&server, count)?;
    let watch = Watch::begin(&server)?;
    drop(client);
    aftermath(arena, &server, count, watch)
}

/// A client that subscribed to one subject again and again goes away without a word.
pub fn same_subject_ends(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let count = arena.part(100_000);
    let mut client = Connection::open(clients_of(&server))?;
    in_lines(count, |lines, id| write!(lines, "SUB same {id}\r\n"), |bytes| client.send(bytes))?;
    client.fence()?;
    let watch = Watch::begin(&server)?;
    drop(client);
    aftermath(arena, &server, count, watch)
}

/// A client that is all members of a large queue group goes away without a word; each of them is news for a route.
pub fn queue_group_ends(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let member = Member::join(server.ports().route, &Identity::without_pool("member"))?;
    let count = arena.part(100_000);
    let mut client = Connection::open(clients_of(&server))?;
    in_lines(count, |lines, id| write!(lines, "SUB work crew {id}\r\n"), |bytes| client.send(bytes))?;
    client.fence()?;
    let watch = Watch::begin(&server)?;
    drop(client);
    let figures = aftermath(arena, &server, count, watch);
    drop(member);
    figures
}

/// A member comes and goes where there are many subscriptions, all of which it is told each time.
pub fn route_flaps(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let client = subscribed_client(&server, arena.part(50_000))?;
    let watch = Watch::begin(&server)?;
    let times = arena.part(200);
    for number in 0..times {
        // A name of its own, since the server may not have noticed yet that the one before is gone.
        let identity = Identity::without_pool(&format!("flaps{number}"));
        Member::join(server.ports().route, &identity)?.fence()?;
    }
    let figures = watch.end(vec![Figure::effort("comings and goings", times)]);
    drop(client);
    figures
}

/// A client subscribes and unsubscribes as fast as it can, and each time a route is told.
pub fn churn(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let member = Member::join(server.ports().route, &Identity::without_pool("member"))?;
    let mut client = Connection::open(clients_of(&server))?;
    let watch = Watch::begin(&server)?;
    let (started, mut changes) = (Instant::now(), 0);
    let batch = "SUB churn.here 7\r\nUNSUB 7\r\n".repeat(500);
    while started.elapsed() < arena.time(CHURN) {
        client.send(batch.as_bytes())?;
        changes += 1_000;
    }
    client.set_patience(PATIENCE)?;
    client.fence()?;
    let figures = watch.end(vec![Figure::rate("changes", changes, started.elapsed())]);
    drop(member);
    figures
}

/// Clients with long subscriptions come and go; what is remembered of them is there to be shown.
pub fn leftovers(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let cost = Cost::begin(&server)?;
    let clients = arena.part(2_000);
    let long = "x".repeat(3_900);
    let lines: String = (0..64).map(|id| format!("SUB {long}.{id} {id}\r\n")).collect();
    for _ in 0..clients {
        let mut client = Connection::open(clients_of(&server))?;
        client.send(lines.as_bytes())?;
        client.fence()?;
    }
    thread::sleep(Duration::from_secs(1));
    cost.end(vec![
        Figure::effort("clients gone", clients),
        Figure::bytes("memory afterwards", resident_bytes(server.pid())?),
    ])
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
    let figures = watch.end(vec![
        Figure::effort("subscriptions", count),
        Figure::done("interest told", told as usize),
        Figure::wait("until all is told", (told >= count as u64).then(|| started.elapsed())),
    ]);
    drop(client);
    figures
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
fn aftermath(arena: &Arena, server: &Server, count: usize, watch: Watch<'_>) -> io::Result<Vec<Figure>> {
    thread::sleep(arena.time(AFTERMATH));
    let mut figures = watch.end(vec![Figure::effort("subscriptions", count)])?;
    let left = || server.monitor("/subsz").ok()?["num_subscriptions"].as_u64();
    let is_forgotten = try_until(PATIENCE, || left().is_some_and(|left| left < count as u64));
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
