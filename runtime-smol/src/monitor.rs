//! Monitoring: sockets around [`onehop::monitor`], which says what the pages show and how they are served.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use async_io::{Async, Timer};
use log::debug;
use onehop::driver::handle_accept_fault;
use onehop::monitor::http::{MAX_CONNECTIONS, Responder, Step};
use onehop::monitor::{Monitor, Process, Serving};
use onehop::{ConnectionId, Instant, Node};
use smol::Executor;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;

use crate::clock;

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
    let node = subject.node.clone();
    let site = Site::new(&listener, subject);
    let seats = Semaphore::new(MAX_CONNECTIONS);
    let executor = Executor::new();
    let accept = async {
        loop {
            let seat = seats.acquire().await;
            match listener.accept().await {
                Ok((socket, remote)) => {
                    let site = &site;
                    let conversation = async move {
                        if let Err(fault) = converse(socket, remote, site).await {
                            debug!("{remote} - monitoring: {fault}");
                        }
                        drop(seat);
                    };
                    executor.spawn(conversation).detach();
                }
                Err(fault) => {
                    Timer::after(handle_accept_fault(&node, site.now(), &fault)).await;
                }
            }
        }
    };
    executor.run(accept).await
}

/// What all connections share.
struct Site {
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    monitor: Monitor<System>,
}

impl Site {
    fn new(listener: &Async<TcpListener>, subject: Subject) -> Self {
        let Subject { node, clock, pending_bytes, workers, http_host, config_digest } = subject;
        let http_port = listener.get_ref().local_addr().map_or(0, |address| address.port());
        let serving = Serving { workers, http_host, http_port, config_digest };
        Self { clock, monitor: Monitor::new(node, serving, System { pending_bytes }) }
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }
}

/// This process, as Linux describes it.
struct System {
    pending_bytes: Box<dyn Fn(ConnectionId) -> u64 + Send + Sync>,
}

impl Process for System {
    fn unix_nanos(&self) -> u64 {
        clock::unix_nanos()
    }

    fn stat(&self) -> Option<String> {
        fs::read_to_string("/proc/self/stat").ok()
    }

    fn status(&self) -> Option<String> {
        fs::read_to_string("/proc/self/status").ok()
    }

    fn cores(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn pending_bytes(&self, id: ConnectionId) -> u64 {
        (self.pending_bytes)(id)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("http_host", &self.http_host).finish_non_exhaustive()
    }
}

/// Does on a socket what a responder says, until it is to be closed.
async fn converse(mut socket: Async<TcpStream>, remote: SocketAddr, site: &Site) -> io::Result<()> {
    let mut responder = Responder::new(site.now());
    let mut buffer = [0; READ_BYTES];
    loop {
        let now = site.now();
        let respond = |target: &str| site.monitor.respond(now, target);
        match responder.poll_step(now, site.monitor.unix_nanos(), respond) {
            Step::Read(room) => {
                let read = socket.read(&mut buffer[..room.min(READ_BYTES)]);
                match in_time(&responder, site, read).await? {
                    Some(0) => responder.handle_end(),
                    Some(bytes) => responder.handle_input(&buffer[..bytes]),
                    None => give_up(&mut responder, remote, site),
                }
            }
            Step::Write => match in_time(&responder, site, socket.write(responder.output())).await? {
                Some(bytes) => responder.handle_written(site.now(), bytes),
                None => give_up(&mut responder, remote, site),
            },
            Step::Finish => socket.get_ref().shutdown(Shutdown::Write)?,
            Step::Close => return Ok(()),
        }
    }
}

/// What the work results in; none if the responder does not want to wait for it longer.
async fn in_time<T>(
    responder: &Responder,
    site: &Site,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<Option<T>> {
    let Some((deadline, _)) = responder.poll_timeout() else { return Ok(None) };
    let overdue = async {
        Timer::after(deadline.since(site.now())).await;
        Ok(None)
    };
    let done = async { work.await.map(Some) };
    done.or(overdue).await
}

fn give_up(responder: &mut Responder, remote: SocketAddr, site: &Site) {
    if let Some((_, reason)) = responder.poll_timeout() {
        debug!("{remote} - monitoring: timed out ({reason:?})");
    }
    responder.handle_timeout(site.now());
}

/// How much of a request is read at once.
const READ_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

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

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        let answer = exchange(start(), b"GET /varz HTTP/1.0\r\n\r\n");
        let (_, mem) = answer.split_once("\"mem\": ").expect("a figure");
        assert!(mem.split(',').next().expect("a number").len() >= 6, "100,000 bytes at least: {answer}");
    }
}
