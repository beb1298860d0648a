//! A server that is told to stop while it owes somebody something.

use std::io::{self, Read};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::assault::figure::{Figure, Harm};
use crate::assault::victim::{Arena, clients_of};
use crate::load::connection::Connection;
use crate::load::scan::{Item, scan};
use crate::server::Options;

/// Bytes of each message.
const PAYLOAD: usize = 1_024;

/// What the slow subscriber reads in a second.
const BYTES_PER_SECOND: usize = 5_000_000;

/// How long the acknowledgement, and then the end of the server, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// SIGTERM while a subscriber has not read yet what its publisher has had acknowledged.
pub fn slow_reader(arena: &Arena) -> io::Result<Vec<Figure>> {
    let mut server = arena.start(Options::default())?;
    let mut subscriber = Connection::open(clients_of(&server))?;
    subscriber.send(b"SUB owed 1\r\n")?;
    subscriber.fence()?;
    let reading = read_slowly(subscriber.into_stream());
    let mut publisher = Connection::open(clients_of(&server))?;
    publisher.set_patience(PATIENCE)?;
    let count = arena.part(20_000);
    let message = format!("PUB owed {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD));
    for _ in 0..count {
        publisher.send(message.as_bytes())?;
    }
    publisher.fence()?;
    let stopped = Instant::now();
    server.signal("TERM");
    let exit = server.wait_exit(PATIENCE).map(|_| stopped.elapsed());
    let arrived = reading.join().map_err(|_| io::Error::other("the reader panicked"))??;
    Ok(vec![
        Figure::effort("acknowledged messages", count),
        Figure::done("arrived", arrived),
        Figure { harm: Harm::Neither, ..Figure::wait("until the exit", exit) },
    ])
}

/// Reads at [`BYTES_PER_SECOND`] until the end; how many messages came.
fn read_slowly(mut stream: TcpStream) -> JoinHandle<io::Result<usize>> {
    thread::spawn(move || {
        let mut chunk = vec![0; BYTES_PER_SECOND / 100];
        let (mut bytes, mut messages) = (Vec::new(), 0);
        loop {
            // A connection that is reset ends as one that is closed.
            let read = stream.read(&mut chunk).unwrap_or(0);
            if read == 0 {
                return Ok(messages);
            }
            bytes.extend_from_slice(&chunk[..read]);
            let mut used = 0;
            while let Ok(Some((item, length))) = scan(&bytes[used..]) {
                messages += usize::from(matches!(item, Item::Message { .. }));
                used += length;
            }
            bytes.drain(..used);
            thread::sleep(Duration::from_secs_f64(read as f64 / BYTES_PER_SECOND as f64));
        }
    })
}
