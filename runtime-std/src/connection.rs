//! The life of one connection, on its reading thread.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, Scope};
use std::time::Duration;

use log::error;
use onehop::delivery::Staging;
use onehop::driver::{self, Event, SocketKind};
use onehop::{CloseReason, Connection};

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
    if catch_unwind(AssertUnwindSafe(|| serve(shared, stream, remote, kind))).is_err() {
        error!("{remote} - the connection could not be cleared away");
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
        drive(shared, connection, &socket, &mut staging);
        drop(reading);
    });
    // Where the node gave the connection's place to another meanwhile, that one stays.
    shared.sockets.remove(id);
}

fn write(shared: &Shared, socket: &Socket, all_read: Receiver<()>) {
    if catch_unwind(AssertUnwindSafe(|| writer::run(shared, socket, &all_read))).is_err() {
        error!("{} - the writing thread panicked", socket.entry.remote());
        socket.request_close(CloseReason::WriteError);
    }
}

/// Reads until the connection is to be closed, however that comes, and ends it.
fn drive(shared: &Shared, mut connection: Connection, socket: &Socket, staging: &mut Staging<Arc<Sockets>>) {
    let mut buffer = vec![0; READ_BYTES];
    let mut timer = SocketTimer::default();
    let mut event = Event::Nothing;
    let mut answer;
    loop {
        let turn = socket.turn();
        let began = shared.now();
        let stall = driver::handle(&shared.node, &mut connection, began, event, staging);
        drop(turn);
        shared.longest_turn.record(shared.now().since(began));
        shared.pass_on_attention();
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
            && let Some(authenticator) = &shared.authenticator
        {
            answer = authenticator.answer(&effect);
            event = Event::Answer(ticket, &answer);
            continue;
        }
        let remaining = connection.poll_timeout().0.since(shared.now());
        event = receive(socket, &mut buffer, timer.next(remaining));
        if event == Event::Nothing {
            timer.handle_elapsed();
        }
    }
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
        && matches!(receive(socket, &mut buffer, None), Event::Input(_) | Event::Nothing)
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
