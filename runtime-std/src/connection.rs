//! The life of one connection, on its reading thread.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, Scope};
use std::time::Duration;

use log::error;
use onehop::connection::{Effect, EffectAnswer};
use onehop::delivery::Staging;
use onehop::driver::{self, Event, SocketKind, contain};
use onehop::{CloseReason, Connection};

use crate::password_checks;
use crate::shared::Shared;
use crate::socket::{Socket, Sockets};
use crate::timer::{SocketTimer, elapsed_as_would_block};
use crate::writer;

/// Starts the threads of a connection.
///
/// # Errors
///
/// There is no thread left; the socket is closed then.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    stream: TcpStream,
    remote: SocketAddr,
    kind: SocketKind,
) -> io::Result<()> {
    let counted = shared.count_accepted()?;
    let thread = thread::Builder::new().name(format!("onehop-read-{remote}"));
    thread.spawn_scoped(scope, move || {
        run(shared, stream, remote, kind);
        drop(counted);
    })?;
    Ok(())
}

/// Serves a connection from its first byte to its last, on this thread and another that writes.
///
/// A panic on one of them ends this connection and no other.
pub(crate) fn run(shared: &Shared, stream: TcpStream, remote: SocketAddr, kind: SocketKind) {
    if let Err(fault) = contain(|| serve(shared, stream, remote, kind)) {
        error!("{remote} - the connection could not be cleared away: {fault}");
    }
}

fn serve(shared: &Shared, stream: TcpStream, remote: SocketAddr, kind: SocketKind) {
    if let Err(error) = stream.set_nodelay(true) {
        // Such a socket is gone already, which reading from it will tell.
        log::debug!("{remote} - cannot set TCP_NODELAY: {error}");
    }
    let mut staging = shared.staging();
    let connection = driver::open(&shared.node, shared.now(), remote, kind, &mut staging);
    let id = connection.id();
    let socket = Arc::new(Socket::new(stream, &connection));
    shared.sockets.insert(socket.clone());
    if shared.is_shutting_down() {
        socket.end_with_server(shared.now());
    }
    let (reading, all_read) = mpsc::channel();
    thread::scope(|scope| {
        let name = format!("onehop-write-{remote}");
        let write = || write(shared, &socket, all_read);
        let writer = thread::Builder::new().name(name).spawn_scoped(scope, write);
        if let Err(error) = writer {
            error!("{remote} - cannot start a thread: {error}");
            socket.request_close(CloseReason::WriteError);
        }
        drive_to_end(shared, connection, &socket, &mut staging);
        drop(reading);
    });
    // Where the node gave the connection's place to another meanwhile, that one stays.
    shared.sockets.remove(id);
}

fn write(shared: &Shared, socket: &Socket, all_read: Receiver<()>) {
    if let Err(fault) = contain(|| writer::run(shared, socket, &all_read)) {
        error!("{} - the writing thread panicked: {fault}", socket.entry.remote());
        socket.request_close(CloseReason::InternalError);
        // Nobody would write what waits.
        socket.cut();
    }
}

/// Drives a connection until it is to be closed, and ends it, also if this thread panics meanwhile.
fn drive_to_end(
    shared: &Shared,
    mut connection: Connection,
    socket: &Socket,
    staging: &mut Staging<Arc<Sockets>>,
) {
    let mut buffer = vec![0; READ_BYTES];
    if let Err(fault) = contain(|| drive(shared, &mut connection, socket, staging, &mut buffer)) {
        error!("internal error of the driver of connection {}, which is closed: {fault}", socket.entry.cid());
        connection.handle_close_request(CloseReason::InternalError);
    }
    if let Err(fault) = contain(|| end(shared, connection, socket, staging, &mut buffer)) {
        error!("internal error while connection {} was closed: {fault}", socket.entry.cid());
        // Else the writing thread would wait for more.
        socket.cut();
    }
}

/// Reads until the connection is to be closed, however that comes.
fn drive(
    shared: &Shared,
    connection: &mut Connection,
    socket: &Socket,
    staging: &mut Staging<Arc<Sockets>>,
    buffer: &mut [u8],
) {
    let mut timer = SocketTimer::default();
    let mut event = Event::Nothing;
    let mut answer;
    loop {
        let turn = socket.turn();
        let began = shared.now();
        #[cfg(test)]
        tests::misbehave(&event);
        let stall = driver::handle(&shared.node, connection, began, event, staging);
        drop(turn);
        shared.longest_turn.record(shared.now().since(began));
        shared.pass_on_attention();
        socket.let_encode();
        if let Some(reason) = socket.close_request() {
            connection.handle_close_request(reason);
        }
        if connection.poll_close().is_some() {
            break;
        }
        if let Some(stall) = stall {
            thread::sleep(stall.longest);
        }
        if connection.wants_turn() {
            event = Event::Turn;
            continue;
        }
        if let Some((ticket, effect)) = connection.poll_effect()
            && let Some(found) = carry_out(shared, connection, effect)
        {
            answer = found;
            event = Event::Answer(ticket, &answer);
            continue;
        }
        let remaining = connection.poll_timeout().0.since(shared.now());
        if !connection.wants_input() {
            // For a few milliseconds, since who is at the other end of a circuit reads too slowly.
            thread::sleep(remaining.min(LONGEST_PAUSE));
            event = Event::Nothing;
            continue;
        }
        event = receive(socket, buffer, timer.next(remaining));
        if event == Event::Nothing {
            timer.handle_elapsed();
        }
    }
}

/// Waits for what comes of an effect, as long as its connection does.
fn carry_out(shared: &Shared, connection: &Connection, effect: Effect) -> Option<EffectAnswer> {
    match effect {
        Effect::Authenticate(credentials) => Some(shared.authenticator.as_ref()?.answer(&credentials)),
        Effect::CheckPassword(check) => {
            let remaining = connection.poll_timeout().0.since(shared.now());
            let from = connection.entry().remote().ip();
            password_checks::wait(&shared.password_checks, from, check, remaining).map(EffectAnswer::Password)
        }
    }
}

fn end(
    shared: &Shared,
    connection: Connection,
    socket: &Socket,
    staging: &mut Staging<Arc<Sockets>>,
    buffer: &mut [u8],
) {
    let now = shared.now();
    let (reason, mut left) = driver::end(&shared.node, connection, now, staging);
    shared.pass_on_attention();
    socket.end(now, reason);
    while let Some(removal) = left {
        left = driver::remove(&shared.node, removal, shared.now(), staging);
    }
    socket.wait_until_over();
    // The writing thread sees to it that this ends. What is left unread then resets the connection, which tells a peer that
    // waits to send more.
    let _ = socket.stream.set_read_timeout(None);
    while socket.linger_until(now).is_some()
        && matches!(receive(socket, buffer, None), Event::Input(_) | Event::Nothing)
    {}
}

/// Waits for something to read, for `timeout` if it is to be another than before.
fn receive<'a>(socket: &Socket, buffer: &'a mut [u8], timeout: Option<Duration>) -> Event<'a> {
    let mut stream = &socket.stream;
    if timeout.is_some() && stream.set_read_timeout(timeout).is_err() {
        return Event::ReadFailed;
    }
    let result = stream.read(buffer).map_err(elapsed_as_would_block);
    match Event::of_read(result, buffer) {
        // Whoever wants the connection closed has shut the socket's reading half.
        end @ (Event::EndOfInput | Event::ReadFailed) => {
            socket.close_request().map_or(end, Event::CloseRequest)
        }
        event => event,
    }
}

const READ_BYTES: usize = 64 * 1024;

/// A connection that is not to be read from looks for what else happened after so long.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use onehop::config::{Config, Port};

    use super::*;
    use crate::Server;

    /// A fault of this runtime's own, as a test wants it of the connection that sends this.
    pub(super) fn misbehave(event: &Event<'_>) {
        assert!(!matches!(event, Event::Input(b"PANIC")), "as the test wants it");
    }

    #[test]
    fn a_driver_that_panics_ends_its_connection_and_no_other() {
        let config = Config { host: "127.0.0.1".to_owned(), port: Port::Any, ..Config::default() };
        let server = Server::start(config).expect("a server");
        let connect = |greeting: &[u8]| {
            let stream = TcpStream::connect(server.client_addr()).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
            (&stream).write_all(&[b"CONNECT {\"verbose\":false}\r\n", greeting].concat()).expect("written");
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            assert!(lines.any(|line| line.expect("a line") == "PONG"));
            (stream, lines)
        };
        let (neighbour, mut read) = connect(b"SUB a 1\r\nPING\r\n");
        let (mut victim, lines) = connect(b"SUB b 1\r\nPING\r\n");
        victim.write_all(b"PANIC").expect("written");
        assert!(lines.into_iter().all(|line| line.is_ok_and(|line| line == "PING")));
        let hub = server.node().hub();
        let reasons: Vec<_> = hub.closed().to_vec().iter().map(|closed| closed.reason).collect();
        assert_eq!((reasons, hub.global_account().index().len()), (vec![CloseReason::InternalError], 1));
        (&neighbour).write_all(b"PUB a 1\r\nx\r\n").expect("written");
        assert!(read.any(|line| line.expect("a line") == "MSG a 1 1"));
        // Which waits for all threads.
        server.shutdown();
    }
}
