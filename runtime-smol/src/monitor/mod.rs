//! Monitoring over HTTP: sockets and figures around [`onehop::monitor`], which says what the pages show.

pub mod http;
mod process;

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_io::{Async, Timer};
use log::{debug, error};
use onehop::monitor::{Facts, Response, respond};
use onehop::{ConnectionId, Instant, Node};
use smol::Executor;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;

use crate::clock;
use http::Step;
use process::Process;

/// What monitoring is about.
pub struct Subject {
    /// The node.
    pub node: Arc<Node>,
    /// The clock that the node is driven by, which began with the server.
    pub clock: Box<dyn Fn() -> Instant + Send + Sync>,
    /// How many bytes wait to be written to a connection.
    pub pending_bytes: Box<dyn Fn(ConnectionId) -> u64 + Send + Sync>,
    /// How many threads the server uses.
    pub workers: usize,
    /// The host to listen on, as it was configured.
    pub http_host: String,
    /// What the configuration file is recognised by; empty without one.
    pub config_digest: String,
}

/// Serves monitoring on a listening socket, for good.
pub async fn serve(listener: Async<TcpListener>, subject: Subject) {
    let http_port = listener.get_ref().local_addr().map_or(0, |address| address.port());
    let monitor = Monitor { subject, http_port, process: Process::default(), wall: Wall::default() };
    let seats = Semaphore::new(MAX_CONNECTIONS);
    let executor = Executor::new();
    let accept = async {
        loop {
            let seat = seats.acquire().await;
            match listener.accept().await {
                Ok((socket, remote)) => {
                    let monitor = &monitor;
                    let conversation = async move {
                        if let Err(fault) = converse(socket, monitor).await {
                            debug!("{remote} - monitoring: {fault}");
                        }
                        drop(seat);
                    };
                    executor.spawn(conversation).detach();
                }
                Err(fault) => {
                    // A lack of descriptors passes, and the port must stay served.
                    error!("Accept error: {fault}");
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    executor.run(accept).await
}

/// Everything that an answer is made from.
struct Monitor {
    subject: Subject,
    http_port: u16,
    process: Process,
    wall: Wall,
}

impl Monitor {
    fn respond(&self, target: &str) -> Response {
        let subject = &self.subject;
        let now = (subject.clock)();
        let facts = Facts {
            now,
            start: Instant::ZERO,
            unix_nanos_at_zero: self.wall.unix_nanos_at_zero(now),
            memory_bytes: process::resident_bytes(),
            cpu_percent: self.process.cpu_percent(now),
            cores: process::cores(),
            workers: subject.workers,
            http_host: &subject.http_host,
            http_port: self.http_port,
            config_digest: &subject.config_digest,
            pending_bytes: &*subject.pending_bytes,
        };
        respond(&subject.node, &facts, target)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("http_host", &self.http_host).finish_non_exhaustive()
    }
}

/// How the machines' clock relates to the calendar.
#[derive(Debug, Default)]
struct Wall {
    unix_nanos_at_zero: AtomicU64,
}

impl Wall {
    /// The wall clock at the start of the machines' clock. It stays the same, so that times that were shown once stay the
    /// same, until the wall clock was set or the system slept.
    fn unix_nanos_at_zero(&self, now: Instant) -> u64 {
        self.anchor(clock::unix_nanos_at_zero(now))
    }

    fn anchor(&self, measured: u64) -> u64 {
        let known = self.unix_nanos_at_zero.load(Ordering::Relaxed);
        if known.abs_diff(measured) <= MAX_DRIFT_NANOS {
            return known;
        }
        self.unix_nanos_at_zero.store(measured, Ordering::Relaxed);
        measured
    }
}

/// Answers request after request.
async fn converse(mut socket: Async<TcpStream>, monitor: &Monitor) -> io::Result<()> {
    let mut input = Vec::new();
    while let Some((answer, keep_alive)) =
        in_time(REQUEST_TIMEOUT, next_answer(&mut socket, &mut input, monitor)).await?
    {
        in_time(WRITE_TIMEOUT, socket.write_all(&answer)).await?;
        if !keep_alive {
            return linger(socket).await;
        }
    }
    Ok(())
}

/// Reads a whole request and takes it out of `input`. Returns the answer and whether another request may follow; none if
/// the client ended before.
async fn next_answer(
    socket: &mut Async<TcpStream>,
    input: &mut Vec<u8>,
    monitor: &Monitor,
) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut buffer = [0; 1024];
    loop {
        match http::handle(input, &http_date(), |target| monitor.respond(target)) {
            Step::Answered { consumed, answer, keep_alive } => {
                input.drain(..consumed);
                return Ok(Some((answer, keep_alive)));
            }
            Step::More => match socket.read(&mut buffer).await? {
                0 => return Ok(None),
                read => input.extend_from_slice(&buffer[..read]),
            },
        }
    }
}

/// Closes so that the last answer arrives: a socket that is closed with unread input would take it back.
async fn linger(mut socket: Async<TcpStream>) -> io::Result<()> {
    socket.get_ref().shutdown(Shutdown::Write)?;
    let drain = async {
        let mut buffer = [0; 4096];
        while socket.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    in_time(LINGER, drain).await
}

/// Gives up when it takes too long.
async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let overdue = async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    work.or(overdue).await
}

/// The time as HTTP writes it.
fn http_date() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// More connections than this wait until another ends.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take for a request, and be idle before the next.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take to read the answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the end of a connection waits for the client to close it too.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Differences between the clocks up to this are left alone.
const MAX_DRIFT_NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use onehop::Listening;
    use onehop::config::Config;

    use super::*;

    /// Serves a node on a thread of its own, until the process ends.
    fn start() -> SocketAddr {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a port");
        let address = listener.get_ref().local_addr().expect("an address");
        let began = std::time::Instant::now();
        let clock = move || Instant::from_nanos(began.elapsed().as_nanos() as u64);
        let subject = Subject {
            node: Node::new(Config::default(), &Listening::default(), clock()),
            clock: Box::new(clock),
            pending_bytes: Box::new(|_| 0),
            workers: 3,
            http_host: "127.0.0.1".to_owned(),
            config_digest: String::new(),
        };
        std::thread::spawn(|| {
            let executor = Executor::new();
            let serving = executor.spawn(serve(listener, subject));
            async_io::block_on(executor.run(serving))
        });
        address
    }

    fn exchange(address: SocketAddr, request: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        socket.write_all(request).expect("written");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the answer and then the end");
        answer
    }

    #[test]
    fn pages_are_served_over_one_connection() {
        let address = start();
        let request = b"GET /varz HTTP/1.1\r\nHost: a\r\n\r\nGET /nope HTTP/1.1\r\nHost: a\r\n\r\n\
                        GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = exchange(address, request);
        let statuses: Vec<_> =
            answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "404", "200"], "{answer}");
        assert!(answer.contains(&format!("\"http_port\": {},", address.port())), "{answer}");
        assert!(answer.contains("\"gomaxprocs\": 3,"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{answer}");
    }

    #[test]
    fn an_answer_does_not_wait_for_the_end_of_the_next_request() {
        let mut socket = TcpStream::connect(start()).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /hea").expect("written");
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[test]
    fn a_request_that_is_too_long_gets_its_answer_before_the_end() {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(200_000));
        assert!(exchange(start(), request.as_bytes()).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn times_that_were_shown_stay_until_the_clock_was_set() {
        let wall = Wall::default();
        let second = 1_000_000_000;
        assert_eq!(wall.anchor(100 * second), 100 * second);
        assert_eq!(wall.anchor(100 * second + 7), 100 * second);
        assert_eq!(wall.anchor(100 * second - 7), 100 * second);
        assert_eq!(wall.anchor(102 * second), 102 * second);
    }

    #[test]
    fn dates_are_those_of_http() {
        let date = http_date();
        assert_eq!((date.len(), &date[3..5], &date[25..]), (29, ", ", " GMT"), "{date}");
    }
}
