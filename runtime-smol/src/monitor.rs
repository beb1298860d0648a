//! Monitoring: sockets around [`onehop::monitor`], which says what the pages show and how they are served.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_io::{Async, Timer};
use log::{debug, error};
use onehop::driver::AcceptFaults;
use onehop::monitor::http::{MAX_RENDERINGS, Responder, Seat, Seats, Step};
use onehop::monitor::{Monitor, Process, Serving};
use onehop::{ConnectionId, Instant, Node};
use smol::channel::{self, Sender};
use smol::future::{FutureExt, yield_now};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;
use smol::{LocalExecutor, Task};

use crate::clock;

/// What monitoring is about.
pub struct Subject {
    /// The node.
    pub node: Arc<Node>,
    /// The clock that the node is driven by, which began with the server.
    pub clock: Box<dyn Fn() -> Instant + Send + Sync>,
    /// How many bytes wait to be written to a connection.
    pub pending_bytes: Box<dyn Fn(ConnectionId) -> u64 + Send + Sync>,
    /// How long each thread was kept by one turn at the most.
    pub longest_turns: Box<dyn Fn() -> Vec<Duration> + Send + Sync>,
    /// How many threads the server uses.
    pub workers: usize,
    /// The host to listen on, as it was configured.
    pub http_host: String,
    /// What the configuration file is recognised by; empty without one.
    pub config_digest: String,
}

/// A thread that serves monitoring until this is dropped.
///
/// It is none of those that move messages: however long it takes to make a page, they do not wait for it.
#[derive(Debug)]
pub struct Monitoring {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Monitoring {
    /// Serves monitoring on a listening socket.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn start(listener: Async<TcpListener>, subject: Subject) -> io::Result<Self> {
        let (stop, stopped) = channel::bounded(1);
        let thread = thread::Builder::new().name("monitor".to_owned());
        let thread = thread.spawn(move || {
            let site = Rc::new(Site::new(&listener, subject));
            let executor = Rc::new(LocalExecutor::new());
            async_io::block_on(executor.run(async {
                // As one task among others it has its turn as often as they have.
                let accepting = executor.spawn(accept_all(executor.clone(), listener, site));
                let _ = stopped.recv().await;
                accepting.cancel().await;
            }));
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.stop.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread of monitoring panicked");
        }
    }
}

async fn accept_all(executor: Rc<LocalExecutor<'static>>, listener: Async<TcpListener>, site: Rc<Site>) {
    let mut faults = AcceptFaults::default();
    loop {
        match listener.accept().await {
            Ok((socket, remote)) => {
                faults.handle_accepted();
                take_in(&executor, &site, socket, remote);
            }
            Err(fault) => {
                Timer::after(faults.handle_fault(&site.node, site.now(), &fault)).await;
            }
        }
    }
}

/// Begins a conversation. If there are too many, the longest idle one ends.
fn take_in(executor: &LocalExecutor<'static>, site: &Rc<Site>, socket: Async<TcpStream>, remote: SocketAddr) {
    let begin = |seat| {
        let site = site.clone();
        executor.spawn(async move {
            if let Err(fault) = converse(socket, remote, seat, &site).await {
                debug!("{remote} - monitoring: {fault}");
            }
            let own = site.seats.borrow_mut().leave(seat);
            own.into_iter().for_each(Task::detach);
        })
    };
    let (_, idle) = site.seats.borrow_mut().take(site.now(), begin);
    if idle.is_some() {
        debug!("{remote} - monitoring: the longest idle connection gives way");
    }
}

/// What all connections share.
struct Site {
    node: Arc<Node>,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    monitor: Monitor<System>,
    /// The conversations, which end when they are dropped.
    seats: RefCell<Seats<Task<()>>>,
    renderings: Semaphore,
}

impl Site {
    fn new(listener: &Async<TcpListener>, subject: Subject) -> Self {
        let Subject { node, clock, pending_bytes, longest_turns, workers, http_host, config_digest } =
            subject;
        let http_port = listener.get_ref().local_addr().map_or(0, |address| address.port());
        let serving = Serving { workers, http_host, http_port, config_digest };
        let monitor = Monitor::new(node.clone(), serving, System { pending_bytes, longest_turns });
        Self { node, clock, monitor, seats: RefCell::default(), renderings: Semaphore::new(MAX_RENDERINGS) }
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    /// What is to be done next on a connection.
    fn step(&self, responder: &mut Responder) -> Step {
        let now = self.now();
        responder.poll_step(now, self.monitor.unix_nanos(), |target| self.monitor.open(now, target))
    }

    /// Renders until there is something to write. Other connections have their turn meanwhile.
    async fn render(&self, responder: &mut Responder) {
        let _turn = self.renderings.acquire().await;
        while self.step(responder) == Step::Render {
            responder.render(self.now(), self.monitor.unix_nanos(), |page| self.monitor.render(page));
            yield_now().await;
        }
    }
}

/// This process, as Linux describes it.
struct System {
    pending_bytes: Box<dyn Fn(ConnectionId) -> u64 + Send + Sync>,
    longest_turns: Box<dyn Fn() -> Vec<Duration> + Send + Sync>,
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
        thread::available_parallelism().map_or(1, usize::from)
    }

    fn pending_bytes(&self, id: ConnectionId) -> u64 {
        (self.pending_bytes)(id)
    }

    fn longest_turns(&self) -> Vec<Duration> {
        (self.longest_turns)()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("http_host", &self.http_host).finish_non_exhaustive()
    }
}

/// Does on a socket what a responder says, until it is to be closed.
async fn converse(
    mut socket: Async<TcpStream>,
    remote: SocketAddr,
    seat: Seat,
    site: &Site,
) -> io::Result<()> {
    let mut responder = Responder::new(site.now());
    let mut buffer = [0; READ_BYTES];
    loop {
        let done = match site.step(&mut responder) {
            Step::Read(room) => {
                let read = socket.read(&mut buffer[..room.min(READ_BYTES)]);
                let read = in_time(&responder, site, read).await?;
                match read {
                    Some(0) => responder.handle_end(),
                    Some(bytes) => responder.handle_input(site.now(), &buffer[..bytes]),
                    None => {}
                }
                read
            }
            Step::Write => {
                let written = in_time(&responder, site, socket.write(responder.output())).await?;
                if let Some(bytes) = written {
                    responder.handle_written(site.now(), bytes);
                }
                written
            }
            Step::Render => {
                site.render(&mut responder).await;
                continue;
            }
            Step::Finish => {
                socket.get_ref().shutdown(Shutdown::Write)?;
                continue;
            }
            Step::Close => return Ok(()),
        };
        match done {
            Some(_) => site.seats.borrow_mut().handle_activity(site.now(), seat),
            None => give_up(&mut responder, remote, site),
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

    use onehop::Listening;
    use onehop::config::Config;
    use onehop::monitor::http::MAX_CONNECTIONS;

    use super::*;

    struct Served {
        address: SocketAddr,
        monitoring: Monitoring,
    }

    fn start() -> Served {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a port");
        let address = listener.get_ref().local_addr().expect("an address");
        let began = std::time::Instant::now();
        let clock = move || Instant::from_nanos(began.elapsed().as_nanos() as u64);
        let subject = Subject {
            node: Node::new(Config::default(), &Listening::default(), clock()),
            clock: Box::new(clock),
            pending_bytes: Box::new(|_| 0),
            longest_turns: Box::new(Vec::new),
            workers: 3,
            http_host: "127.0.0.1".to_owned(),
            config_digest: String::new(),
        };
        Served { address, monitoring: Monitoring::start(listener, subject).expect("a thread") }
    }

    fn connect(served: &Served) -> TcpStream {
        let socket = TcpStream::connect(served.address).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        socket
    }

    fn exchange(served: &Served, request: &[u8]) -> String {
        let mut socket = connect(served);
        socket.write_all(request).expect("written");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the answer and then the end");
        answer
    }

    #[test]
    fn pages_are_served_over_one_connection() {
        let served = start();
        let request = b"GET /varz HTTP/1.1\r\nHost: a\r\n\r\nGET /nope HTTP/1.1\r\nHost: a\r\n\r\n\
                        GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = exchange(&served, request);
        let statuses: Vec<_> =
            answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "404", "200"], "{answer}");
        assert!(answer.contains(&format!("\"http_port\": {},", served.address.port())), "{answer}");
        assert!(answer.contains("\"gomaxprocs\": 3,"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{\"status\":\"ok\"}"), "{answer}");
    }

    #[test]
    fn an_answer_does_not_wait_for_the_end_of_the_next_request() {
        let served = start();
        let mut socket = connect(&served);
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /hea").expect("written");
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[test]
    fn a_request_that_is_too_long_gets_its_answer_before_the_end() {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(200_000));
        assert!(exchange(&start(), request.as_bytes()).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn with_more_connections_than_the_limit_the_longest_idle_ends() {
        let served = start();
        let seated: Vec<_> = (0..MAX_CONNECTIONS).map(|_| connect(&served)).collect();
        // The last of them is served, so all are.
        assert!(is_answered(seated.last().expect("a connection")) && is_answered(&seated[0]));
        assert!(is_answered(&connect(&served)), "there is a seat for the next too");
        assert_eq!((&seated[1]).read(&mut [0]).unwrap_or(0), 0, "which this one has lost");
        assert!(is_answered(&seated[2]));
    }

    #[test]
    fn it_ends_at_once_with_the_connections_that_it_has() {
        let served = start();
        let mut idle = connect(&served);
        assert!(is_answered(&idle));
        let began = std::time::Instant::now();
        drop(served.monitoring);
        assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
        assert!(TcpStream::connect(served.address).is_err(), "the port still takes connections");
    }

    fn is_answered(mut socket: &TcpStream) -> bool {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        let mut answer = [0; 1024];
        let bytes = socket.read(&mut answer).expect("an answer");
        answer[..bytes].starts_with(b"HTTP/1.1 200 OK")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        let answer = exchange(&start(), b"GET /varz HTTP/1.0\r\n\r\n");
        let (_, mem) = answer.split_once("\"mem\": ").expect("a figure");
        assert!(mem.split(',').next().expect("a number").len() >= 6, "100,000 bytes at least: {answer}");
    }
}
