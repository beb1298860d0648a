//! Little that comes in and much that goes out.

use std::io;
use std::time::{Duration, Instant};

use crate::assault::figure::Figure;
use crate::assault::victim::{Arena, Watch, clients_of};
use crate::load::connection::Connection;
use crate::load::scan::Item;
use crate::server::Options;

/// How long all messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let (mut arrived, mut survived) = (0, true);
    while arrived < expected && started.elapsed() < PATIENCE && survived {
        survived = reader
            .receive(|item| {
                arrived += usize::from(matches!(item, Item::Message { .. }));
                Ok(())
            })
            .is_ok();
    }
    let all = (arrived == expected).then(|| started.elapsed());
    let mut figures = vec![
        Figure::effort("deliveries due", expected),
        Figure::done("delivered", arrived),
        Figure::broken("reader dropped", usize::from(!survived)),
        Figure::wait("until all are delivered", all),
    ];
    figures.extend(watch.end()?);
    Ok(figures)
}
