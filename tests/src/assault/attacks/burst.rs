//! Little that comes in and much that goes out.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch, clients_of};
use crate::load::connection::Connection;
use crate::server::Options;

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
    let arrived = count_messages(reader.into_stream(), expected)?;
    let all = (arrived == expected).then(|| started.elapsed());
    let mut figures = vec![
        Figure::effort("deliveries due", expected),
        Figure::done("delivered", arrived),
        Figure::wait("until all are delivered", all),
    ];
    figures.extend(watch.end()?);
    Ok(figures)
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
