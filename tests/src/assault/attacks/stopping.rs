//! A server that is told to stop while it owes somebody something.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::assault::figure::{Figure, Harm};
use crate::assault::victim::{Arena, clients_of};
use crate::load::connection::Connection;
use crate::load::scan::{Item, scan};
use crate::mesh::{self, Topology, try_until, wait_for_mesh};
use crate::raw::RawConn;
use crate::server::Options;
use crate::traffic::{client, known_counts};

/// Bytes of each message.
const PAYLOAD: usize = 1_024;

/// What the slow subscriber reads in a second.
const BYTES_PER_SECOND: usize = 5_000_000;

/// Publishers at the member that stops; one digit tells them apart.
const PUBLISHERS: usize = 4;

/// Messages that a publisher sends before it waits for the PONG.
const BATCH: usize = 100;

/// How long they publish before their server is told to stop.
const UNDER_LOAD: Duration = Duration::from_secs(2);

/// How long a message may still be under way when its server is gone.
const STRAGGLERS: Duration = Duration::from_secs(5);

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

/// One of three members is told to stop while clients of it publish to clients of the others: what each publisher had
/// acknowledged has to arrive there.
pub fn in_a_mesh(arena: &Arena) -> io::Result<Vec<Figure>> {
    let mut servers = mesh::start("C", Topology::Seed, &[arena.kind; 3])
        .ok_or_else(|| io::Error::other("the program is not here"))?;
    wait_for_mesh(&servers.iter().collect::<Vec<_>>(), PATIENCE);
    let subscribers = [0, 2].map(|place| Subscriber::open(clients_of(&servers[place])));
    let subscribers = subscribers.into_iter().collect::<io::Result<Vec<_>>>()?;
    let mut onlooker = client(&servers[1]);
    wait_until_heard(clients_of(&servers[1]), &subscribers)?;
    let publishers: Vec<_> = (0..PUBLISHERS).map(|number| publish(clients_of(&servers[1]), number)).collect();
    thread::sleep(arena.time(UNDER_LOAD));
    servers[1].signal("TERM");
    let acknowledged: Vec<u64> = publishers
        .into_iter()
        .map(|publisher| publisher.join().unwrap_or(Ok(0)))
        .collect::<Result<_, _>>()?;
    let exited = servers[1].wait_exit(PATIENCE).is_some();
    let lost: u64 = subscribers.into_iter().map(|subscriber| subscriber.lost_of(&acknowledged)).sum();
    Ok(vec![
        Figure::effort("acknowledged messages", acknowledged.iter().sum::<u64>() as usize),
        Figure::broken("lost at two subscribers", lost as usize),
        Figure::broken("clients told to forget the others", usize::from(is_told_to_forget(&mut onlooker))),
        Figure::done("exited", usize::from(exited)),
    ])
}

/// Publishes until each subscriber has got something, so that nothing is lost because nobody was known to want it.
fn wait_until_heard(address: SocketAddr, subscribers: &[Subscriber]) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    let deadline = Instant::now() + PATIENCE;
    while subscribers.iter().any(|subscriber| subscriber.count_of(PUBLISHERS) == 0) {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        connection.send(format!("PUB load.{PUBLISHERS} 0\r\n\r\n").as_bytes())?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Publishes batches, each with a PING at its end, until the server is gone; how many messages had their PONG.
fn publish(address: SocketAddr, number: usize) -> JoinHandle<io::Result<u64>> {
    thread::spawn(move || {
        let mut connection = Connection::open(address)?;
        let batch = format!("PUB load.{number} 16\r\n0123456789abcdef\r\n").repeat(BATCH);
        let mut acknowledged = 0;
        while connection.send(batch.as_bytes()).and_then(|()| connection.fence()).is_ok() {
            acknowledged += BATCH as u64;
        }
        Ok(acknowledged)
    })
}

/// A client that counts what each publisher sends it, in a thread of its own, and at last what came before all of them.
struct Subscriber {
    counts: Arc<[AtomicU64; PUBLISHERS + 1]>,
}

impl Subscriber {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.send(b"SUB load.* 1\r\n")?;
        connection.fence()?;
        connection.wait_for_ever()?;
        let counts: Arc<[AtomicU64; PUBLISHERS + 1]> = Arc::default();
        let counting = Arc::clone(&counts);
        // Ends when its server does.
        thread::spawn(move || {
            let count = |item: Item<'_>| {
                if let Item::Message { head, .. } = item {
                    let number = head.get("load.".len()).map_or(0, |digit| usize::from(digit - b'0'));
                    counting[number].fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            while connection.receive(count).is_ok() {}
        });
        Ok(Self { counts })
    }

    fn count_of(&self, number: usize) -> u64 {
        self.counts[number].load(Ordering::Relaxed)
    }

    /// How many of the acknowledged messages do not come.
    fn lost_of(&self, acknowledged: &[u64]) -> u64 {
        let lost = || -> u64 {
            acknowledged
                .iter()
                .enumerate()
                .map(|(number, wanted)| wanted.saturating_sub(self.count_of(number)))
                .sum()
        };
        try_until(STRAGGLERS, || lost() == 0);
        lost()
    }
}

/// Whether the server, before it closed the connection, told of fewer servers than before: its client then does not know where
/// to go.
fn is_told_to_forget(onlooker: &mut RawConn) -> bool {
    onlooker.read_until_closed(PATIENCE);
    !known_counts(onlooker).is_sorted()
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
