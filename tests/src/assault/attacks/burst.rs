//! Much that goes out, much that stays, and little that is read.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch, clients_of};
use crate::load::connection::Connection;
use crate::server::{Options, Server};

/// How long a flood lasts.
const TIDE: Duration = Duration::from_secs(5);

/// So many tokens of a subject may each be a letter or any, which makes 131,072 filters.
const FILTER_TOKENS: usize = 17;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// One reader has a subject many times, and many messages come at once: each of them multiplies.
pub fn multiplied(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let (subscriptions, messages) = (arena.part(20_000), arena.part(2_000));
    let mut reader = Connection::open(clients_of(&server))?;
    let lines: String = (0..subscriptions).map(|id| format!("SUB many {id}\r\n")).collect();
    reader.send(lines.as_bytes())?;
    reader.fence()?;
    let mut publisher = Connection::open(clients_of(&server))?;
    let watch = Watch::begin(&server)?;
    let started = Instant::now();
    publisher.send("PUB many 1\r\nx\r\n".repeat(messages).as_bytes())?;
    let expected = subscriptions * messages;
    watch_deliveries(watch, reader, expected, started)
}

/// Subscribers that never read, of a publisher that never stops: it is theirs to be slow, and nobody else's.
pub fn readers_asleep(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let asleep = (0..20).map(|_| asleep(&server, "SUB tide 1\r\n")).collect::<io::Result<Vec<_>>>()?;
    let mut publisher = Connection::open(clients_of(&server))?;
    publisher.set_patience(PATIENCE)?;
    let watch = Watch::begin(&server)?;
    let (started, mut published) = (Instant::now(), 0);
    let batch = format!("PUB tide 1024\r\n{}\r\n", "x".repeat(1_024)).repeat(64);
    while started.elapsed() < arena.time(TIDE) {
        publisher.send(batch.as_bytes())?;
        published += 64;
    }
    let figures = watch.end(vec![Figure::effort("messages", published)]);
    drop(asleep);
    figures
}

/// Clients that ask for answers that they do not read.
pub fn pongs_unread(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let watch = Watch::begin(&server)?;
    let asking = (0..8).map(|_| asleep(&server, "")).collect::<io::Result<Vec<_>>>()?;
    let (started, batch) = (Instant::now(), "PING\r\n".repeat(10_000));
    let time = arena.time(TIDE);
    let asked: usize = thread::scope(|scope| {
        let ask = |mut stream: &TcpStream| {
            let mut asked = 0;
            // A server may close, or take no more: both end it.
            while started.elapsed() < time && stream.write_all(batch.as_bytes()).is_ok() {
                asked += 10_000;
            }
            asked
        };
        let threads: Vec<_> = asking.iter().map(|stream| scope.spawn(move || ask(stream))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    watch.end(vec![Figure::effort("PINGs", asked)])
}

/// Clients that announce a large message each and stop one byte before its end.
pub fn unfinished_messages(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let watch = Watch::begin(&server)?;
    let message = format!("PUB x 1048576\r\n{}", "x".repeat(1_048_575));
    let count = arena.part(500);
    let clients = (0..count).map(|_| asleep(&server, &message)).collect::<io::Result<Vec<_>>>()?;
    thread::sleep(Duration::from_secs(1));
    watch.end(vec![Figure::effort("unfinished messages", clients.len())])
}

/// One reader has a hundred thousand different filters, all of which match each of the messages, whose subjects are all new.
pub fn many_filters(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let (filters, messages) = (arena.part(1 << FILTER_TOKENS), arena.part(40));
    let mut reader = Connection::open(clients_of(&server))?;
    for first in (0..filters).step_by(1_000) {
        let last = (first + 1_000).min(filters);
        let lines: String = (first..last).map(|id| format!("SUB {}* {id}\r\n", filter(id))).collect();
        reader.send(lines.as_bytes())?;
    }
    reader.fence()?;
    let mut publisher = Connection::open(clients_of(&server))?;
    let watch = Watch::begin(&server)?;
    let started = Instant::now();
    let subject = filter(0);
    let lines: String = (0..messages).map(|number| format!("PUB {subject}{number} 1\r\nx\r\n")).collect();
    publisher.send(lines.as_bytes())?;
    let expected = filters * messages;
    watch_deliveries(watch, reader, expected, started)
}

/// Waits for all that a reader is due of what was published since `started`.
fn watch_deliveries(
    watch: Watch<'_>,
    reader: Connection,
    expected: usize,
    started: Instant,
) -> io::Result<Vec<Figure>> {
    let arrived = count_messages(reader.into_stream(), expected)?;
    let all = (arrived == expected).then(|| started.elapsed());
    watch.end(vec![
        Figure::effort("deliveries due", expected),
        Figure::done("delivered", arrived),
        Figure::wait("until all are delivered", all),
    ])
}

/// The tokens of a filter but its last: each is a letter or any, as the bits of `id` say.
fn filter(id: usize) -> String {
    (0..FILTER_TOKENS).map(|bit| if id >> bit & 1 == 0 { "a." } else { "*." }).collect()
}

/// Every message has a subject of its own, which somebody wants.
pub fn new_subjects(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::default())?;
    let mut reader = Connection::open(clients_of(&server))?;
    reader.send(b"SUB fresh.> 1\r\n")?;
    reader.fence()?;
    let count = arena.part(2_000_000);
    let reading = reader.into_stream();
    let counting = thread::spawn(move || count_messages(reading, count));
    let mut publisher = Connection::open(clients_of(&server))?;
    let watch = Watch::begin(&server)?;
    for first in (0..count).step_by(1_000) {
        let last = (first + 1_000).min(count);
        let lines: String = (first..last).map(|number| format!("PUB fresh.{number} 1\r\nx\r\n")).collect();
        publisher.send(lines.as_bytes())?;
    }
    let arrived = counting.join().map_err(|_| io::Error::other("the reader panicked"))??;
    watch.end(vec![Figure::effort("subjects", count), Figure::done("arrived", arrived)])
}

/// A client that says `lines` after its handshake, and reads nothing any more.
fn asleep(server: &Server, lines: &str) -> io::Result<TcpStream> {
    let mut client = Connection::open(clients_of(server))?;
    client.send(lines.as_bytes())?;
    let stream = client.into_stream();
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// Reads until `expected` messages came, or the server ends the connection or falls silent; how many came.
fn count_messages(mut stream: TcpStream, expected: usize) -> io::Result<usize> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut chunk, mut arrived) = (vec![0; 1024 * 1024], 0);
    while arrived < expected {
        let read = stream.read(&mut chunk).unwrap_or(0);
        if read == 0 {
            break;
        }
        // Only the operation has this letter, and nothing faster tells a reader that is never slow how many there are.
        arrived += chunk[..read].iter().filter(|&&byte| byte == b'M').count();
    }
    Ok(arrived)
}
