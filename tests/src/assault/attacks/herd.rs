//! More clients than are expected, all at once.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use smol::future::FutureExt;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Timer};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Cost, Watch, clients_of};
use crate::load::connection::Connection;
use crate::load::process::open_file_limit;
use crate::server::Options;

/// How long a server is held while a herd connects.
const HELD: Duration = Duration::from_millis(100);

/// How long a client of the herd waits for its INFO.
const HERD_PATIENCE: Duration = Duration::from_secs(12);

/// How long those that nobody waited for may take from the last connect on.
const ROW_PATIENCE: Duration = Duration::from_secs(30);

/// How many connections are opened and closed.
const CLOSED: usize = 30_000;

/// How long there are no files to open.
const EXHAUSTED: Duration = Duration::from_secs(5);

/// Open files of a process that are not connections of an attack.
const OTHER_FILES: usize = 150;

/// All connect in the same moment, and each waits for its INFO. The server is held for that moment, as a busy machine would:
/// else a herd is only as large as what its own machine sends before the server has accepted the first.
pub fn at_once(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let cost = Cost::begin(&server)?;
    let (count, effort) = within_file_limit(arena.part(2_000));
    server.signal("STOP");
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(HELD);
            server.signal("CONT");
        });
        connect_all(clients_of(&server), count)
    });
    let within = |limit: Duration| times.iter().flatten().filter(|time| **time <= limit).count();
    let last = times.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    cost.end(vec![
        effort,
        Figure::done("INFO within 1 s", within(Duration::from_secs(1))),
        Figure::done("INFO within 12 s", within(HERD_PATIENCE)),
        Figure::wait("until all have INFO", last),
    ])
}

/// One thread connects again and again and waits for no INFO; then all are looked at.
pub fn in_a_row(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let cost = Cost::begin(&server)?;
    let (count, effort) = within_file_limit(arena.part(20_000));
    let started = Instant::now();
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(clients_of(&server))?);
    }
    let connected = started.elapsed();
    let greeted = wait_for_info(&streams)?;
    let all = (greeted == count).then(|| started.elapsed());
    cost.end(vec![
        effort,
        Figure::wait("until all are connected", Some(connected)),
        Figure::done("INFO", greeted),
        Figure::wait("until all have INFO", all),
    ])
}

/// One thread connects and closes, as fast as it can.
pub fn connect_and_close(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let watch = Watch::begin(&server)?;
    let (started, count) = (Instant::now(), arena.part(CLOSED));
    for _ in 0..count {
        drop(TcpStream::connect(clients_of(&server))?);
    }
    watch.end(vec![Figure::rate("connects", count, started.elapsed())])
}

/// More clients than the server may have files open; then they go, and another one comes.
pub fn descriptors(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options { open_files: Some(64), ..Options::default() })?;
    let cost = Cost::begin(&server)?;
    let mut inside = Connection::open(clients_of(&server))?;
    let connect = |_| TcpStream::connect_timeout(&clients_of(&server), Duration::from_millis(100)).ok();
    let herd: Vec<_> = (0..200).filter_map(connect).collect();
    thread::sleep(arena.time(EXHAUSTED));
    let cost = cost.end(Vec::new())?;
    let served = usize::from(inside.fence().is_ok());
    let freed = Instant::now();
    drop(herd);
    let newcomer = Connection::open(clients_of(&server)).ok().map(|_| freed.elapsed());
    let mut figures = vec![
        Figure::done("served meanwhile", served),
        Figure::done("served afterwards", usize::from(newcomer.is_some())),
        Figure::wait("until a new client is served", newcomer),
    ];
    figures.extend(cost);
    Ok(figures)
}

/// `wanted`, or what the limit on open files leaves of it, since a client here and its server need one each; and how to show it.
fn within_file_limit(wanted: usize) -> (usize, Figure) {
    let allowed = open_file_limit().map_or(wanted, |limit| limit.saturating_sub(OTHER_FILES));
    if wanted > allowed {
        return (allowed, Figure::effort("clients, as many as the limit on files allows", allowed));
    }
    (wanted, Figure::effort("clients", wanted))
}

/// Connects `count` clients in the same moment; when each had its INFO, if it had.
fn connect_all(address: SocketAddr, count: usize) -> Vec<Option<Duration>> {
    let started = Instant::now();
    let executor = LocalExecutor::new();
    let client = || async move {
        let mut stream = Async::<TcpStream>::connect(address).await?;
        stream.read_exact(&mut [0; 4]).await?;
        // Kept, so that all are there at the same time.
        Ok::<_, io::Error>((started.elapsed(), stream))
    };
    let patience = || async {
        Timer::after(HERD_PATIENCE).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let clients: Vec<_> = (0..count).map(|_| executor.spawn(client().or(patience()))).collect();
    let mut greeted = Vec::new();
    smol::block_on(executor.run(async {
        for client in clients {
            greeted.push(client.await.ok());
        }
    }));
    greeted.into_iter().map(|client| Some(client?.0)).collect()
}

/// Looks at all of `streams` until each has its INFO, or for [`ROW_PATIENCE`]; how many have it.
fn wait_for_info(streams: &[TcpStream]) -> io::Result<usize> {
    streams.iter().try_for_each(|stream| stream.set_nonblocking(true))?;
    let deadline = Instant::now() + ROW_PATIENCE;
    let mut waiting: Vec<&TcpStream> = streams.iter().collect();
    loop {
        waiting.retain_mut(|stream| !matches!(stream.read(&mut [0; 4]), Ok(4)));
        if waiting.is_empty() || Instant::now() > deadline {
            return Ok(streams.len() - waiting.len());
        }
        thread::sleep(Duration::from_millis(10));
    }
}
