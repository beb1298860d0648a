//! Monitoring over HTTP: a thread that accepts, and one for each connection.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use log::{debug, error};
use onehop::driver::AcceptFaults;
use onehop::monitor::http::{MAX_CONNECTIONS, MAX_RENDERINGS, Responder, Seat, Seats, Step};
use onehop::monitor::{Monitor, Process, Serving};
use onehop::{ConnectionId, Instant};

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
        let mut faults = AcceptFaults::default();
        while !shared.is_shutting_down() {
            shared.monitoring.wait_for_room();
            match listener.accept() {
                Ok(_) if shared.is_shutting_down() => {}
                Ok((stream, remote)) => {
                    faults.handle_accepted();
                    start_conversation(scope, &monitor, stream, remote);
                }
                Err(fault) => thread::sleep(faults.handle_fault(&shared.node, shared.now(), &fault)),
            }
        }
    });
}

/// Starts a thread for a connection. If there are too many, the longest idle one ends.
fn start_conversation<'scope>(
    scope: &'scope Scope<'scope, '_>,
    monitor: &'scope Monitor<System<'scope>>,
    stream: TcpStream,
    remote: SocketAddr,
) {
    let shared = monitor.process().0;
    let conversation = shared.monitoring.take(shared.now(), stream);
    if shared.is_shutting_down() {
        shut(&conversation.stream);
    }
    let name = format!("onehop-monitor-{remote}");
    let spawned = thread::Builder::new().name(name).spawn_scoped(scope, move || {
        match catch_unwind(AssertUnwindSafe(|| converse(&conversation, remote, monitor))) {
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
fn converse(
    conversation: &Conversation<'_>,
    remote: SocketAddr,
    monitor: &Monitor<System<'_>>,
) -> io::Result<()> {
    let shared = monitor.process().0;
    let mut stream = &*conversation.stream;
    let mut responder = Responder::new(shared.now());
    let mut buffer = [0; READ_BYTES];
    loop {
        let step = next_step(&mut responder, monitor);
        let done = match step {
            Step::Read(room) => {
                stream.set_read_timeout(patience(&responder, shared.now()))?;
                in_time(stream.read(&mut buffer[..room.min(READ_BYTES)]))?
            }
            Step::Write => {
                stream.set_write_timeout(patience(&responder, shared.now()))?;
                in_time(stream.write(responder.output()))?
            }
            Step::Render => {
                let Some(_turn) = conversation.wait_for_turn() else { return Ok(()) };
                render(&mut responder, monitor);
                continue;
            }
            Step::Finish => {
                stream.shutdown(Shutdown::Write)?;
                continue;
            }
            Step::Close => return Ok(()),
        };
        let now = shared.now();
        let Some(bytes) = done else {
            debug!("{remote} - monitoring: timed out ({:?})", responder.poll_timeout());
            responder.handle_timeout(now);
            continue;
        };
        conversation.handle_activity(now);
        match (step, bytes) {
            (Step::Write, _) => responder.handle_written(now, bytes),
            (_, 0) => responder.handle_end(),
            (_, _) => responder.handle_input(now, &buffer[..bytes]),
        }
    }
}

fn next_step(responder: &mut Responder, monitor: &Monitor<System<'_>>) -> Step {
    let now = monitor.process().0.now();
    responder.poll_step(now, monitor.unix_nanos(), |target| monitor.open(now, target))
}

/// Renders until there is something to write.
fn render(responder: &mut Responder, monitor: &Monitor<System<'_>>) {
    while next_step(responder, monitor) == Step::Render {
        let now = monitor.process().0.now();
        responder.render(now, monitor.unix_nanos(), |page| monitor.render(page));
    }
}

/// How long a socket may take.
fn patience(responder: &Responder, now: Instant) -> Option<Duration> {
    let (deadline, _) = responder.poll_timeout()?;
    // Zero would be no timeout at all.
    Some(deadline.since(now).max(SHORTEST_TIMEOUT))
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

    /// Each connection has a thread of its own: the longest of them all.
    fn longest_turns(&self) -> Vec<Duration> {
        vec![self.0.longest_turn.get()]
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The connections of monitoring, and what they share.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    state: Mutex<State>,
    /// A thread has ended.
    left: Condvar,
    /// It may be another's turn to render.
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    seats: Seats<Arc<TcpStream>>,
    /// Those of connections that have lost their seat end soon.
    threads: usize,
    /// How many of them render.
    renderings: usize,
}

/// One of the connections, until it is dropped.
struct Conversation<'a> {
    all: &'a Conversations,
    seat: Seat,
    stream: Arc<TcpStream>,
}

/// That a connection renders, until this is dropped.
struct Turn<'a>(&'a Conversations);

impl Conversations {
    /// Ends all connections.
    pub(crate) fn shut_all(&self) {
        self.state().seats.leave_all().for_each(|stream| shut(&stream));
        self.turn.notify_all();
    }

    /// Waits until there may be another connection.
    fn wait_for_room(&self) {
        // One more than there are seats: for it another gives way.
        let is_full = |state: &mut State| state.threads > MAX_CONNECTIONS;
        drop(self.left.wait_while(self.state(), is_full));
    }

    fn take(&self, now: Instant, stream: TcpStream) -> Conversation<'_> {
        let stream = Arc::new(stream);
        let mut state = self.state();
        state.threads += 1;
        let (seat, idle) = state.seats.take(now, |_| stream.clone());
        drop(state);
        if let Some(idle) = idle {
            shut(&idle);
            self.turn.notify_all();
        }
        Conversation { all: self, seat, stream }
    }

    /// No thread panics while it holds the lock, but if one did, the others go on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversation<'_> {
    fn handle_activity(&self, now: Instant) {
        self.all.state().seats.handle_activity(now, self.seat);
    }

    /// Waits until few enough others render; none if this connection has lost its seat meanwhile.
    fn wait_for_turn(&self) -> Option<Turn<'_>> {
        let must_wait = |state: &mut State| state.renderings >= MAX_RENDERINGS && state.seats.has(self.seat);
        let all = self.all;
        let state = all.turn.wait_while(all.state(), must_wait);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if !state.seats.has(self.seat) {
            return None;
        }
        state.renderings += 1;
        Some(Turn(all))
    }
}

impl Drop for Conversation<'_> {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.seats.leave(self.seat);
        state.threads -= 1;
        self.all.left.notify_one();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().renderings -= 1;
        self.0.turn.notify_one();
    }
}

/// Wakes the thread that is blocked on the socket. A client that was faster has closed it already.
fn shut(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// How much of a request is read at once.
const READ_BYTES: usize = 1024;

const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation<'a>(all: &'a Conversations, listener: &TcpListener) -> Conversation<'a> {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        all.take(Instant::ZERO, stream)
    }

    #[test]
    fn two_render_at_a_time_and_who_has_lost_its_seat_waits_no_longer() {
        let (all, listener) = (Conversations::default(), TcpListener::bind("127.0.0.1:0").unwrap());
        let conversations: Vec<_> = (0..MAX_RENDERINGS + 1).map(|_| conversation(&all, &listener)).collect();
        let (last, first) = conversations.split_last().unwrap();
        let render =
            || first.iter().map(|conversation| conversation.wait_for_turn().unwrap()).collect::<Vec<_>>();
        thread::scope(|scope| {
            let wait = || {
                let waiting = scope.spawn(|| last.wait_for_turn().is_some());
                thread::sleep(Duration::from_millis(50));
                assert!(!waiting.is_finished(), "it is not its turn");
                waiting
            };
            let turns = render();
            let waiting = wait();
            drop(turns);
            assert!(waiting.join().unwrap());

            let _turns = render();
            let waiting = wait();
            all.shut_all();
            assert!(!waiting.join().unwrap());
        });
    }
}
