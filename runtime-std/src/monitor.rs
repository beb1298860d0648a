//! Monitoring over HTTP: a thread that accepts, and one for each connection.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use log::{debug, error};
use onehop::ConnectionId;
use onehop::driver::handle_accept_fault;
use onehop::monitor::http::{MAX_CONNECTIONS, Responder, Step};
use onehop::monitor::{Monitor, Process, Serving};

use crate::listen::unix_nanos;
use crate::shared::Shared;

/// Starts the thread that serves monitoring until the server shuts down.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    listener: &'scope TcpListener,
) -> io::Result<()> {
    let name = "onehop-monitor".to_owned();
    thread::Builder::new().name(name).spawn_scoped(scope, move || serve(shared, listener))?;
    Ok(())
}

fn serve(shared: &Shared, listener: &TcpListener) {
    let address = shared.node.hub().config().monitoring_address();
    let serving = Serving {
        workers: cores(),
        http_host: address.map_or_else(String::new, |address| address.host),
        http_port: listener.local_addr().map_or(0, |address| address.port()),
        config_digest: String::new(),
    };
    let monitor = Monitor::new(shared.node.clone(), serving, System(shared));
    thread::scope(|scope| {
        while !shared.is_shutting_down() {
            shared.monitoring.wait_for_room();
            match listener.accept() {
                Ok(_) if shared.is_shutting_down() => {}
                Ok((stream, remote)) => start_conversation(scope, &monitor, stream, remote),
                Err(fault) => thread::sleep(handle_accept_fault(&shared.node, shared.now(), &fault)),
            }
        }
    });
}

fn start_conversation<'scope>(
    scope: &'scope Scope<'scope, '_>,
    monitor: &'scope Monitor<System<'scope>>,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let shared = monitor.process().0;
    let seat = shared.monitoring.take(stream);
    if shared.is_shutting_down() {
        seat.shut();
    }
    let name = format!("onehop-monitor-{remote}");
    let spawned = thread::Builder::new().name(name).spawn_scoped(scope, move || {
        match catch_unwind(AssertUnwindSafe(|| converse(&seat.stream, remote, monitor))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("{remote} - monitoring: {error}"),
            Err(_) => error!("{remote} - monitoring panicked"),
        }
    });
    if let Err(error) = spawned {
        error!("{remote} - cannot start a thread: {error}");
    }
}

/// Does on a socket what a responder says, until it is to be closed.
fn converse(mut stream: &TcpStream, remote: SocketAddr, monitor: &Monitor<System<'_>>) -> io::Result<()> {
    let shared = monitor.process().0;
    let mut responder = Responder::new(shared.now());
    let mut buffer = [0; READ_BYTES];
    loop {
        let now = shared.now();
        let step = responder.poll_step(now, monitor.unix_nanos(), |target| monitor.respond(now, target));
        let Some((deadline, reason)) = responder.poll_timeout() else { return Ok(()) };
        // Zero would be no timeout at all.
        let timeout = Some(deadline.since(now).max(SHORTEST_TIMEOUT));
        let done = match step {
            Step::Read(room) => {
                stream.set_read_timeout(timeout)?;
                in_time(stream.read(&mut buffer[..room.min(READ_BYTES)]))?
            }
            Step::Write => {
                stream.set_write_timeout(timeout)?;
                in_time(stream.write(responder.output()))?
            }
            Step::Finish => {
                stream.shutdown(Shutdown::Write)?;
                continue;
            }
            Step::Close => return Ok(()),
        };
        let now = shared.now();
        match (step, done) {
            (_, None) => {
                debug!("{remote} - monitoring: timed out ({reason:?})");
                responder.handle_timeout(now);
            }
            (Step::Write, Some(bytes)) => responder.handle_written(now, bytes),
            (_, Some(0)) => responder.handle_end(),
            (_, Some(bytes)) => responder.handle_input(&buffer[..bytes]),
        }
    }
}

/// What was read or written; none if the time was over before.
fn in_time(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}

/// This process, as Linux describes it.
struct System<'a>(&'a Shared);

impl Process for System<'_> {
    fn unix_nanos(&self) -> u64 {
        unix_nanos()
    }

    fn stat(&self) -> Option<String> {
        fs::read_to_string("/proc/self/stat").ok()
    }

    fn status(&self) -> Option<String> {
        fs::read_to_string("/proc/self/status").ok()
    }

    fn cores(&self) -> usize {
        cores()
    }

    fn pending_bytes(&self, id: ConnectionId) -> u64 {
        self.0.sockets.get(id).map_or(0, |socket| socket.pending_bytes() as u64)
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The open connections of monitoring, [`MAX_CONNECTIONS`] at most.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Mutex<Vec<Arc<TcpStream>>>,
    left: Condvar,
}

/// One of the connections, until it is dropped.
struct Seat<'a> {
    seats: &'a Seats,
    stream: Arc<TcpStream>,
}

impl Seats {
    /// Ends all connections.
    pub(crate) fn shut_all(&self) {
        self.taken().iter().for_each(|stream| shut(stream));
    }

    /// Waits until there may be another connection.
    fn wait_for_room(&self) {
        let is_full = |taken: &mut Vec<_>| taken.len() >= MAX_CONNECTIONS;
        drop(self.left.wait_while(self.taken(), is_full));
    }

    fn take(&self, stream: TcpStream) -> Seat<'_> {
        let stream = Arc::new(stream);
        self.taken().push(stream.clone());
        Seat { seats: self, stream }
    }

    /// No thread panics while it holds the lock, but if one did, the others go on.
    fn taken(&self) -> MutexGuard<'_, Vec<Arc<TcpStream>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    fn shut(&self) {
        shut(&self.stream);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.seats.taken().retain(|stream| !Arc::ptr_eq(stream, &self.stream));
        self.seats.left.notify_one();
    }
}

/// Wakes the thread that is blocked on the socket. A client that was faster has closed it already.
fn shut(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// How much of a request is read at once.
const READ_BYTES: usize = 1024;

const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
