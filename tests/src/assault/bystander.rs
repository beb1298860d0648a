//! Clients that have nothing to do with an attack, and how long they wait while it goes on.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figure::Figure;
use crate::load::connection::Connection;
use crate::load::scan::Item;
use crate::monitor;

/// So many clients talk at once, so that each of a server's threads has some of them.
const PAIRS: usize = 4;

/// How long nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two rounds of one bystander, so that they are no load.
const PAUSE: Duration = Duration::from_millis(5);

/// The pause between two new clients, and between two looks at `/healthz`.
const NEWCOMER_PAUSE: Duration = Duration::from_millis(50);

/// Bystanders at work; each in a thread of its own.
pub struct Bystanders {
    is_over: Arc<AtomicBool>,
    talkers: Vec<JoinHandle<io::Result<Waits>>>,
    newcomer: JoinHandle<io::Result<Waits>>,
    prober: JoinHandle<io::Result<Waits>>,
}

/// How long one of them waited: the longest for an answer, and for each message.
#[derive(Debug, Default)]
struct Waits {
    answer: Duration,
    messages: Vec<Duration>,
}

impl Bystanders {
    /// Lets them begin; each has been served once before this returns.
    pub fn begin(clients: SocketAddr, monitor_port: u16) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut talkers = Vec::new();
        for number in 0..PAIRS {
            let mut pair = Pair::open(clients, number)?;
            talkers.push(repeat(&is_over, PAUSE, move |waits| pair.talk(waits)));
        }
        let newcomer = repeat(&is_over, NEWCOMER_PAUSE, move |waits| arrive(clients, waits));
        let prober = repeat(&is_over, NEWCOMER_PAUSE, move |waits| probe(monitor_port, waits));
        Ok(Self { is_over, talkers, newcomer, prober })
    }

    /// Lets each of them end its last round, and tells how long they waited and how many were closed or given up.
    pub fn end(self) -> Vec<Figure> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut lost = 0;
        let mut all = Waits::default();
        for talker in self.talkers {
            match talker.join() {
                Ok(Ok(waits)) => {
                    all.answer = all.answer.max(waits.answer);
                    all.messages.extend(waits.messages);
                }
                _ => lost += 1,
            }
        }
        let longest =
            |thread: JoinHandle<io::Result<Waits>>| thread.join().ok()?.ok().map(|waits| waits.answer);
        vec![
            Figure::broken("bystanders lost", lost),
            Figure::wait("bystander: PING", Some(all.answer)),
            Figure::wait("bystander: message", all.messages.iter().max().copied()),
            Figure::wait("bystander: message, p99", p99(all.messages)),
            Figure::wait("new client: INFO", longest(self.newcomer)),
            Figure::wait("/healthz", longest(self.prober)),
        ]
    }
}

/// Does `round` until all is over; a thread whose round fails ends with why.
fn repeat(
    is_over: &Arc<AtomicBool>,
    pause: Duration,
    mut round: impl FnMut(&mut Waits) -> io::Result<()> + Send + 'static,
) -> JoinHandle<io::Result<Waits>> {
    let is_over = Arc::clone(is_over);
    thread::spawn(move || {
        let mut waits = Waits::default();
        while !is_over.load(Ordering::Relaxed) {
            round(&mut waits)?;
            thread::sleep(pause);
        }
        Ok(waits)
    })
}

/// What 99 of 100 are at most; none of none.
fn p99(mut waits: Vec<Duration>) -> Option<Duration> {
    waits.sort_unstable();
    waits.get(waits.len() * 99 / 100).copied()
}

/// A client that speaks and one that listens to it.
struct Pair {
    speaker: Connection,
    listener: Connection,
    publish: Vec<u8>,
}

impl Pair {
    fn open(address: SocketAddr, number: usize) -> io::Result<Self> {
        let mut listener = Connection::open(address)?;
        listener.send(format!("SUB bystander.{number} 1\r\n").as_bytes())?;
        listener.fence()?;
        let speaker = Connection::open(address)?;
        speaker.set_patience(PATIENCE)?;
        listener.set_patience(PATIENCE)?;
        let publish = format!("PUB bystander.{number} 2\r\nhi\r\n").into_bytes();
        Ok(Self { speaker, listener, publish })
    }

    fn talk(&mut self, waits: &mut Waits) -> io::Result<()> {
        let answer = time(|| {
            self.speaker.send(b"PING\r\n")?;
            wait_for(&mut self.speaker, |item| *item == Item::Pong)
        })?;
        let message = time(|| {
            self.speaker.send(&self.publish)?;
            wait_for(&mut self.listener, |item| matches!(item, Item::Message { .. }))
        })?;
        waits.answer = waits.answer.max(answer);
        waits.messages.push(message);
        Ok(())
    }
}

fn wait_for(connection: &mut Connection, wanted: impl Fn(&Item<'_>) -> bool) -> io::Result<()> {
    let mut came = false;
    while !came {
        connection.receive(|item| {
            came |= wanted(&item);
            Ok(())
        })?;
    }
    Ok(())
}

fn arrive(address: SocketAddr, waits: &mut Waits) -> io::Result<()> {
    let wait = time(|| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut [0; 4])
    })?;
    waits.answer = waits.answer.max(wait);
    Ok(())
}

/// Asks until there is an answer: a page that is refused is a wait as well.
fn probe(port: u16, waits: &mut Waits) -> io::Result<()> {
    let started = Instant::now();
    while monitor::get(port, "/healthz").is_err() {
        if started.elapsed() > PATIENCE {
            return Err(ErrorKind::TimedOut.into());
        }
        thread::sleep(PAUSE);
    }
    waits.answer = waits.answer.max(started.elapsed());
    Ok(())
}

fn time(action: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let started = Instant::now();
    action()?;
    Ok(started.elapsed())
}
