//! The life of one connection, on its reading thread.

use std::any::Any;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope};
use std::time::Duration;

use log::error;
use onehop::outbox::Pressure;
use onehop::{CloseReason, Connection, DialId};

use crate::peer::Peer;
use crate::shared::Shared;
use crate::sink::Batch;
use crate::timer::SocketTimer;
use crate::writer;

/// How a socket came to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Accepted on the client port.
    Client,
    /// Accepted on the route port.
    Route,
    /// Dialed.
    Dialed(DialId),
}

/// Starts the threads of a connection.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    stream: TcpStream,
    remote: SocketAddr,
    origin: Origin,
) {
    let name = format!("onehop-read-{remote}");
    let spawned =
        thread::Builder::new().name(name).spawn_scoped(scope, move || run(shared, stream, remote, origin));
    if let Err(error) = spawned {
        error!("{remote} - cannot start a thread: {error}");
    }
}

/// Serves a connection from its first byte to its last, on this thread and another that writes.
///
/// A panic on one of them ends this connection and no other.
pub(crate) fn run(shared: &Shared, stream: TcpStream, remote: SocketAddr, origin: Origin) {
    let served = catch_unwind(AssertUnwindSafe(|| serve(shared, stream, remote, origin)));
    if let Err(panic) = served {
        error!("{remote} - the connection could not be cleared away: {}", panic_text(&*panic));
    }
}

fn serve(shared: &Shared, stream: TcpStream, remote: SocketAddr, origin: Origin) {
    if let Err(error) = stream.set_nodelay(true) {
        // Such a socket is gone already, which reading from it will tell.
        log::debug!("{remote} - cannot set TCP_NODELAY: {error}");
    }
    let mut batch = Batch::new(shared);
    let now = shared.now();
    let mut connection = match origin {
        Origin::Client => shared.node.accept_client(now, remote, &mut batch),
        Origin::Route => shared.node.accept_route(now, remote, &mut batch),
        Origin::Dialed(id) => shared.node.handle_dialed(now, id, remote, &mut batch),
    };
    batch.set_source(connection.entry().id());
    // Nobody has a reason to send it anything before its first input is handled, so it is not too late to be found.
    let peer = Arc::new(Peer::new(stream, &connection));
    shared.peers.insert(peer.clone());
    if shared.is_shutting_down() {
        peer.request_close(CloseReason::ServerShutdown);
    }
    thread::scope(|scope| {
        let name = format!("onehop-write-{remote}");
        let writer = thread::Builder::new().name(name).spawn_scoped(scope, || write(shared, &peer));
        if let Err(error) = writer {
            error!("{remote} - cannot start a thread: {error}");
            peer.abort(CloseReason::WriteError);
        }
        read(shared, &mut connection, &peer, &mut batch);
        clear_away(shared, connection, &peer, &mut batch);
    });
}

/// Ends a connection: its last words are said before its socket is shut, such as that this server stops for good.
fn clear_away(shared: &Shared, connection: Connection, peer: &Peer, batch: &mut Batch<'_>) {
    let flushes = connection.poll_close().is_some_and(CloseReason::flushes);
    let ended = catch_unwind(AssertUnwindSafe(|| connection.handle_closed(shared.now(), batch)));
    if let Err(panic) = ended {
        error!("{} - the connection could not be cleared away: {}", peer.entry.remote(), panic_text(&*panic));
    }
    batch.flush();
    shared.pass_on_attention();
    // The writing thread ends whatever happened above. Where the node gave the connection's place to another meanwhile,
    // that one stays.
    peer.finish(flushes.then_some(MAX_LINGER));
    shared.peers.remove(peer.entry.id());
}

/// Reads until the connection is to be closed, however that comes.
fn read(shared: &Shared, connection: &mut Connection, peer: &Peer, batch: &mut Batch<'_>) {
    let driven = catch_unwind(AssertUnwindSafe(|| drive(shared, connection, peer, batch)));
    if let Err(panic) = driven {
        error!("{} - panic: {}", peer.entry.remote(), panic_text(&*panic));
        connection.handle_close_request(CloseReason::ReadError);
    }
}

fn write(shared: &Shared, peer: &Peer) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| writer::run(shared, peer))) {
        error!("{} - panic: {}", peer.entry.remote(), panic_text(&*panic));
        peer.abort(CloseReason::WriteError);
    }
}

fn drive(shared: &Shared, connection: &mut Connection, peer: &Peer, batch: &mut Batch<'_>) {
    let mut buffer = vec![0; READ_BYTES];
    let mut timer = SocketTimer::default();
    loop {
        let pressure = batch.flush();
        shared.pass_on_attention();
        if let Some(reason) = peer.close_request() {
            connection.handle_close_request(reason);
        }
        if connection.poll_close().is_some() {
            return;
        }
        stall(shared, connection, pressure);
        let remaining = connection.poll_timeout().0.since(shared.now());
        match receive(peer, &mut buffer, timer.next(remaining)) {
            Received::Bytes(bytes) => connection.handle_input(shared.now(), bytes, batch),
            Received::Nothing => timer.handle_elapsed(),
            Received::End(reason) => {
                if peer.close_request().is_none() {
                    // What was asked before the end is still answered.
                    peer.wait_until_drained(MAX_LINGER);
                }
                connection.handle_close_request(peer.close_request().unwrap_or(reason));
            }
        }
        let now = shared.now();
        if connection.poll_close().is_none() && connection.poll_timeout().0 <= now {
            connection.handle_timeout(now, batch);
        }
    }
}

/// Leaves a producer unread for a while if a target of what it sent is too slow.
fn stall(shared: &Shared, connection: &Connection, pressure: Pressure) {
    if let Some(pause) = connection.stall(pressure) {
        shared.node.hub().totals().stalls.fetch_add(1, Ordering::Relaxed);
        thread::sleep(pause);
    }
}

/// What a read brought.
enum Received<'a> {
    Bytes(&'a [u8]),
    /// The timeout passed.
    Nothing,
    /// There is nothing more to read, because the peer is done or because another thread wants the connection closed.
    End(CloseReason),
}

fn receive<'a>(peer: &Peer, buffer: &'a mut [u8], timeout: Option<Duration>) -> Received<'a> {
    let mut stream = &peer.stream;
    if timeout.is_some() && stream.set_read_timeout(timeout).is_err() {
        return Received::End(CloseReason::ReadError);
    }
    match stream.read(buffer) {
        Ok(0) => Received::End(CloseReason::ClientClosed),
        Ok(bytes) => Received::Bytes(&buffer[..bytes]),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Received::Nothing,
            _ => Received::End(CloseReason::ReadError),
        },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

const READ_BYTES: usize = 64 * 1024;

/// How long a closing connection is given to take what still waits for it.
const MAX_LINGER: Duration = Duration::from_millis(250);
