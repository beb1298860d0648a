//! What a driver does with its connection, whatever the runtime: every step from a socket to its machine and back.
//!
//! # Writing a runtime
//!
//! A runtime adds sockets, timers, threads or tasks, and locks. It decides nothing; what is to be decided is decided in
//! the functions here and in [`delivery`](crate::delivery), and a runtime calls them in this order.
//!
//! **To begin with** it listens, so that [`ACCEPT_BACKLOG`] connections may wait, and accepts where no work of the node
//! holds it up; [`AcceptFaults`] says what to do when that fails. It makes a [`Node`], and a place where all links are
//! found: [`delivery::Table`](crate::delivery::Table) for threads. A link of its own holds a socket and, behind a lock, a
//! [`Backlog`](crate::delivery::Backlog); it implements [`Link`]. Each thread that drives connections has a [`Staging`] of
//! its own. What it listens on is said in the log by [`log_client_port`] and its like.
//!
//! **For each socket**, accepted or dialled, one driver:
//!
//! 1. calls [`open`], makes a link with [`Connection::write_policy`] and puts it into the table, before anything is
//!    flushed: the greeting is staged. Then it calls [`handle`] with [`Event::Nothing`], which sends it.
//! 2. waits until the first of these happens, and calls [`handle`] with it:
//!    - something was read: [`Event::of_read`]; the socket is not read while [`Connection::wants_input`] says no;
//!    - what [`Connection::poll_effect`] asked for is done, where nobody else waits for that: by an [`Authenticator`] of the
//!      program around it, or by a thread of the [`PasswordChecks`]: [`Event::Answer`];
//!    - [`Connection::wants_turn`] says so: [`Event::Turn`], after others had theirs;
//!    - [`Connection::poll_timeout`] is due: [`Event::Nothing`];
//!    - the link has a [close request](crate::delivery::Backlog::close_request): [`Event::CloseRequest`];
//!    - the socket takes more again after it was blocked: no call, but
//!      [`Backlog::write`](crate::delivery::Backlog::write);
//!    - the link's [deadline](crate::delivery::Backlog::poll_deadline) is due: no call, but
//!      [`Backlog::handle_deadline`](crate::delivery::Backlog::handle_deadline), which may leave a close request.
//!
//!    After each call of [`handle`] a transform may have something to say of its own: the driver of a backlog that is coded
//!    encodes once more, or lets the thread that does ([`Backlog::let_encode`](crate::delivery::Backlog::let_encode)). What is
//!    left then [waits for the peer](crate::outbox::Outbound::waits_for_peer), and is not tried again before something was read.
//!
//!    Once the backlog [is coded](crate::delivery::Backlog::is_coded), nobody but this driver writes. Others only wake it,
//!    once per batch; it takes what waits into its [`Outbound`](crate::outbox::Outbound) by
//!    [`Backlog::hand_over`](crate::delivery::Backlog::hand_over), encodes and writes without any lock by
//!    [`write_encoded`](crate::delivery::write_encoded), and hands over again to tell what was written.
//! 3. leaves the socket unread, if [`handle`] returned a [`Stall`], until those that it names have caught up or the time is
//!    over. It goes on to write its own backlog meanwhile, and to heed close requests.
//! 4. goes back to 2, until [`Connection::poll_close`] is not `None`.
//! 5. calls [`end`], and [`Backlog::end`](crate::delivery::Backlog::end) with what that returned. Where
//!    [`Backlog::begin_finish`](crate::delivery::Backlog::begin_finish) says so, it lets the transforms say that nothing
//!    follows ([`Outbound::finish`](crate::outbox::Outbound::finish)). It writes what waits until
//!    [`Backlog::is_over`](crate::delivery::Backlog::is_over), calling
//!    [`Backlog::handle_deadline`](crate::delivery::Backlog::handle_deadline) when it is due, takes the link out of the
//!    table, and closes the socket; in two steps if [`Backlog::linger_until`](crate::delivery::Backlog::linger_until) says so.
//!    What [`end`] left to be removed goes on in slices, by [`remove`].
//!
//! A thread that serves many connections writes on by [`Staging::write_more`], as long as [`Staging::wants_write`], and lets
//! everybody have their turn in between. Whoever [left writes](Staging::left_writes) goes on when the thread is no longer
//! [behind](Staging::is_behind). After each of these calls [`Node::take_attention`] tells whether to wake the task that comes next.
//!
//! **One more task** looks after the mesh and has the node's [`Services`]: when [`poll_timeout`] is due or somebody woke it, it calls
//! [`handle_timeout`] and carries out what [`Node::poll_dial`] asks for. A dial that led to a socket is answered by
//! [`open`], any other by [`Node::handle_dial_failed`].
//!
//! **To shut down** it closes its ports and ends that task, and calls [`Node::handle_shutdown`], after which no connection
//! wants input. When no driver handles anything any more that it read before, every publisher that was answered has its
//! messages in the backlogs of those it concerns; no link may be ended earlier. Then it asks every link to close for
//! [`CloseReason::ServerShutdown`], and waits for the drivers to end.
//!
//! # Faults
//!
//! | what happens | why the connection ends | what waits for it |
//! |---|---|---|
//! | the peer closes its side | [`ClientClosed`](CloseReason::ClientClosed) | is written: what was asked before is answered |
//! | reading fails | [`ReadError`](CloseReason::ReadError) | is dropped |
//! | writing fails | [`WriteError`](CloseReason::WriteError) | is dropped |
//! | it takes too little in time, or too much waits for it | `SlowConsumer…` | is dropped |
//! | the machine or the driver panics | [`InternalError`](CloseReason::InternalError) | is written |
//! | the thread of the driver does not go on | [`InternalError`](CloseReason::InternalError) | is written, as much as the socket takes at once |
//! | the machine, another connection or the runtime ends it | what they say | is written if [`CloseReason::flushes`] |
//!
//! # A runtime in small
//!
//! One thread, and sockets that are memory: what a peer reads is appended to a string.
//!
//! ```
//! use std::io::IoSlice;
//! use std::sync::{Arc, Mutex};
//!
//! use onehop::config::Config;
//! use onehop::delivery::{Backlog, KEPT_BUFFERS, Link, Staging, Table};
//! use onehop::driver::{self, Event, SocketKind};
//! use onehop::hub::Entry;
//! use onehop::outbox::{Outbox, Pressure, WritePolicy};
//! use onehop::{CloseReason, ConnectionId, Instant, Listening, Node};
//!
//! struct Socket {
//!     entry: Arc<Entry>,
//!     backlog: Mutex<Backlog>,
//!     read_by_peer: Mutex<Vec<u8>>,
//! }
//!
//! impl Link for &Socket {
//!     fn entry(&self) -> &Entry {
//!         &self.entry
//!     }
//!
//!     fn pressure(&self) -> Pressure {
//!         self.backlog.lock().unwrap().pressure()
//!     }
//!
//!     fn set_policy(&mut self, policy: WritePolicy) {
//!         self.backlog.lock().unwrap().set_policy(policy);
//!     }
//!
//!     fn push(&mut self, staged: &mut Outbox) -> Pressure {
//!         self.backlog.lock().unwrap().push(staged)
//!     }
//!
//!     fn bequeath(&mut self, staged: &mut Outbox, heir: ConnectionId) {
//!         self.backlog.lock().unwrap().bequeath(staged, heir);
//!     }
//!
//!     fn heir(&self) -> Option<ConnectionId> {
//!         self.backlog.lock().unwrap().heir()
//!     }
//!
//!     fn flush(&mut self, now: Instant, staged: &mut Outbox, close: Option<CloseReason>) -> Pressure {
//!         let mut backlog = self.backlog.lock().unwrap();
//!         backlog.push(staged);
//!         backlog.write(now, |slices| Ok(take(&mut self.read_by_peer.lock().unwrap(), slices)));
//!         backlog.release_into(staged);
//!         close.into_iter().for_each(|reason| backlog.request_close(reason));
//!         backlog.pressure()
//!     }
//! }
//!
//! /// The "system call": it takes all that it is given.
//! fn take(read_by_peer: &mut Vec<u8>, slices: &[IoSlice<'_>]) -> usize {
//!     slices.iter().map(|slice| { read_by_peer.extend_from_slice(slice); slice.len() }).sum()
//! }
//!
//! let now = Instant::ZERO;
//! let config = Config::default();
//! let table = Arc::new(Table::<Socket>::default());
//! let mut staging = Staging::new(table.clone(), config.max_pending, KEPT_BUFFERS);
//! let node = Node::new(config, &Listening { client_port: 4222, ..Listening::default() }, now);
//!
//! // A client connects (1), asks for something (2) and goes (5).
//! let mut client = driver::open(&node, now, "127.0.0.1:40000".parse()?, SocketKind::Client, &mut staging);
//! let socket = Arc::new(Socket {
//!     entry: client.entry().clone(),
//!     backlog: Mutex::new(Backlog::new(client.write_policy())),
//!     read_by_peer: Mutex::default(),
//! });
//! table.insert(socket.clone());
//! let events = [Event::Nothing, Event::Input(b"PING\r\n"), Event::of_read(Ok(0), &[])];
//! for event in events {
//!     assert_eq!(client.poll_close(), None);
//!     driver::handle(&node, &mut client, now, event, &mut staging);
//! }
//! assert_eq!(client.poll_close(), Some(CloseReason::ClientClosed));
//! let id = client.id();
//! let (reason, left) = driver::end(&node, client, now, &mut staging);
//! assert!(left.is_none());
//! socket.backlog.lock().unwrap().end(now, reason);
//! assert!(socket.backlog.lock().unwrap().is_over());
//! table.remove(id);
//! assert!(socket.read_by_peer.lock().unwrap().ends_with(b"\r\nPONG\r\n"));
//! # Ok::<_, std::net::AddrParseError>(())
//! ```

mod accept;
mod authenticator;
mod longest_turn;
mod password_checks;
mod ready;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use log::error;

use crate::close::CloseReason;
use crate::config::Source;
use crate::connection::{Connection, EffectAnswer, Removal, Ticket};
use crate::delivery::{Link, Links, Staging};
use crate::discovery::ReachedAt;
use crate::id::{AccountId, ConnectionId};
use crate::node::Node;
use crate::outbox::Pressure;
use crate::routes::DialId;
use crate::services::Services;
use crate::time::Instant;

pub use accept::{ACCEPT_BACKLOG, AcceptFaults};
pub use authenticator::{Authenticator, NobodyJudges, check_authenticator};
pub use longest_turn::LongestTurn;
pub use password_checks::{MAX_WAITING_CHECKS, PasswordChecks};
pub use ready::{log_client_port, log_monitoring_port, log_route_port, log_websocket_port};

/// How a socket came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// A client connected.
    Client,
    /// A client connected, and whoever accepted it chose its account.
    ClientIn(AccountId),
    /// A client connected to the port for WebSockets.
    #[cfg(feature = "websocket")]
    WebSocket,
    /// A server connected to the route port.
    Route,
    /// A dial succeeded.
    Dialed(DialId),
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// This was read.
    Input(&'a [u8]),
    /// There is nothing more to read.
    EndOfInput,
    /// The socket failed while it was read.
    ReadFailed,
    /// This came of an effect that the connection asked for.
    Answer(Ticket, &'a EffectAnswer),
    /// Somebody wants the connection ended.
    CloseRequest(CloseReason),
    /// It is its turn again: [`Connection::wants_turn`] said that there is more to do.
    Turn,
    /// Time passed, or a read found nothing.
    Nothing,
}

/// A producer is to be slowed (wire.md 1.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Those that are too slow.
    pub slow: Vec<ConnectionId>,
    /// How long to leave the socket unread at the most.
    pub longest: Duration,
}

/// Makes a connection of a socket. Its link is to be found before anything is flushed. A peer that reached a socket of IPv6 by
/// its address of IPv4 is known by the latter.
pub fn open<L: Links>(
    node: &Arc<Node>,
    now: Instant,
    remote: SocketAddr,
    kind: SocketKind,
    staging: &mut Staging<L>,
) -> Connection {
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let mut connection = match kind {
        SocketKind::Client => Connection::accept_client(node, now, remote, staging),
        SocketKind::ClientIn(account) => Connection::accept_client_in(node, account, now, remote, staging),
        #[cfg(feature = "websocket")]
        SocketKind::WebSocket => Connection::accept_websocket(node, now, remote, staging),
        SocketKind::Route => Connection::accept_route(node, now, remote, staging),
        SocketKind::Dialed(id) => Connection::dialed(node, now, id, remote, staging),
    };
    connection.count_with(staging.lane());
    connection
}

/// Lets a connection hear what happened, does what is due, and sends what follows from both. A panic of the machine ends
/// this connection and no other.
pub fn handle<L: Links>(
    node: &Node,
    connection: &mut Connection,
    now: Instant,
    event: Event<'_>,
    staging: &mut Staging<L>,
) -> Option<Stall> {
    if let Err(fault) = contain(|| hear(connection, now, event, staging)) {
        error!("internal error on connection {}, which is closed: {fault}", connection.entry().cid());
        connection.handle_close_request(CloseReason::InternalError);
    }
    let slow = staging.flush(now, node.hub());
    let longest = if slow.is_empty() { None } else { connection.stall(Pressure::High) }?;
    node.hub().record_stall();
    Some(Stall { slow, longest })
}

/// Ends a connection whose [`Connection::poll_close`] says so: its last message reaches all, what it brought is removed, and
/// everybody it concerns hears of it. Returns why it ended, and what is left to be done by [`remove`], if that is more than a
/// few milliseconds' work.
pub fn end<L: Links>(
    node: &Node,
    connection: Connection,
    now: Instant,
    staging: &mut Staging<L>,
) -> (CloseReason, Option<Removal>) {
    let (cid, id) = (connection.entry().cid(), connection.id());
    let reason = connection.poll_close().unwrap_or(CloseReason::ClientClosed);
    staging.begin(id);
    let removal = contain(|| connection.handle_closed(now, staging));
    if let Err(fault) = &removal {
        error!("internal error while connection {cid} was closed: {fault}");
    }
    staging.flush(now, node.hub());
    (reason, removal.ok().filter(|removal| !removal.is_over()))
}

/// Does some of what a connection that ended left to be done. Returns what is left of that, to go on with after others had
/// their turn.
pub fn remove<L: Links>(
    node: &Node,
    mut removal: Removal,
    now: Instant,
    staging: &mut Staging<L>,
) -> Option<Removal> {
    let is_over = contain(|| removal.handle_slice(now, staging));
    if let Err(fault) = &is_over {
        error!("internal error while what a connection had brought was removed: {fault}");
    }
    staging.flush(now, node.hub());
    (is_over == Ok(false)).then_some(removal)
}

/// Looks after the mesh, if it is time, lets the node's services answer, and sends what follows from both.
pub fn handle_timeout<L: Links>(
    node: &Node,
    services: &mut Services,
    now: Instant,
    staging: &mut Staging<L>,
) {
    node.handle_timeout(now, staging);
    services.handle_requests(now, staging);
    staging.flush(now, node.hub());
}

/// Hears where others reach the node ([`Node::handle_reached_at`]), and sends what follows from that.
pub fn handle_reached_at<L: Links>(
    node: &Node,
    now: Instant,
    source: Source,
    reached: ReachedAt,
    staging: &mut Staging<L>,
) {
    node.handle_reached_at(now, source, reached, staging);
    staging.flush(now, node.hub());
    while staging.wants_write() {
        staging.write_more(now);
    }
}

/// When [`handle_timeout`] is to be called, and [`Node::poll_dial`] to be polled, whatever else happens. Poll after each call
/// of either.
#[must_use]
pub fn poll_timeout(node: &Node, services: &Services) -> Option<Instant> {
    node.poll_timeout().into_iter().chain(services.poll_timeout()).min()
}

/// As [`handle`], without sending anything and without holding back a panic, which is to fail a test.
pub(crate) fn hear<L: Links>(
    connection: &mut Connection,
    now: Instant,
    event: Event<'_>,
    staging: &mut Staging<L>,
) {
    staging.begin(connection.id());
    match event {
        Event::Input(bytes) => connection.handle_input(now, bytes, staging),
        Event::EndOfInput => connection.handle_close_request(CloseReason::ClientClosed),
        Event::ReadFailed => connection.handle_close_request(CloseReason::ReadError),
        Event::CloseRequest(reason) => connection.handle_close_request(reason),
        Event::Answer(ticket, answer) => connection.handle_effect(now, ticket, answer, staging),
        Event::Turn => connection.handle_turn(now, staging),
        Event::Nothing => {}
    }
    if let Some(policy) = connection.poll_write_policy() {
        staging.links_mut().with(connection.id(), |mut link| link.set_policy(policy));
    }
    // After input too: nobody looks at the timer of a connection that always has more to say.
    if connection.poll_close().is_none() && connection.poll_timeout().0 <= now {
        connection.handle_timeout(now, staging);
    }
}

impl<'a> Event<'a> {
    /// What reading into `buffer` led to.
    pub fn of_read(result: io::Result<usize>, buffer: &'a [u8]) -> Self {
        match result {
            Ok(0) => Self::EndOfInput,
            Ok(read) => Self::Input(&buffer[..read]),
            Err(fault) => match fault.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Self::Nothing,
                _ => Self::ReadFailed,
            },
        }
    }
}

/// Calls a machine, or what drives one; a panic becomes an error with its text. The machine is not called again but to be
/// removed, and what it shares with others is whole between any two statements.
///
/// # Errors
/// It panicked.
pub fn contain<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panic_text(&*panic).to_owned())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::World;
    use crate::hub::Kind;

    const NOW: Instant = Instant::ZERO;
    const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"protocol\":1}\r\n";

    fn input(world: &mut World, connection: &mut Connection, bytes: &[u8]) -> Option<Stall> {
        let World { node, staging } = world;
        handle(node, connection, NOW, Event::Input(bytes), staging)
    }

    #[test]
    fn a_panic_of_the_machine_ends_its_connection_and_no_other() {
        let mut world = World::new(1_000_000);
        let (mut victim, mut bystander) = (world.client(true), world.client(true));
        input(&mut world, &mut bystander, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
        world.link(victim.id()).faulty = true;
        // Its first PONG is followed by an announcement.
        let operations = [CONNECT, b"SUB b 1\r\nPUB a 1\r\nx\r\nPING\r\nPUB a 1\r\ny\r\n"].concat();
        input(&mut world, &mut victim, &operations);
        assert_eq!(victim.poll_close(), Some(CloseReason::InternalError));
        assert_eq!(end(&world.node, victim, NOW, &mut world.staging).0, CloseReason::InternalError);
        let hub = world.node.hub();
        assert_eq!((hub.directory().count(Kind::Client), hub.global_account().index().len()), (1, 1));
        assert_eq!(world.link(bystander.id()).read, b"MSG a 1 1\r\nx\r\n");
        input(&mut world, &mut bystander, b"PUB a 1\r\nz\r\n");
        assert_eq!(world.link(bystander.id()).read, b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\nz\r\n");
    }

    #[test]
    fn what_was_asked_before_the_end_of_input_is_still_answered() {
        let mut world = World::new(1_000_000);
        let mut client = world.client(false);
        let id = client.id();
        input(&mut world, &mut client, b"PING\r\n");
        let World { node, staging } = &mut world;
        handle(node, &mut client, NOW, Event::of_read(Ok(0), &[]), staging);
        let (reason, _) = end(node, client, NOW, staging);
        let backlog = &mut world.link(id).backlog;
        backlog.end(NOW, reason);
        assert_eq!((reason, backlog.pending_bytes()), (CloseReason::ClientClosed, 6));
    }

    #[test]
    fn a_producer_is_slowed_for_a_slow_target_and_counted() {
        let mut world = World::new(1_000_000);
        let (mut subscriber, mut publisher) = (world.client(false), world.client(true));
        input(&mut world, &mut subscriber, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
        input(&mut world, &mut publisher, b"CONNECT {\"verbose\":false}\r\n");
        let message = [b"PUB a 100000\r\n".as_slice(), &[b'x'; 100_000], b"\r\n"].concat();
        let stalls: Vec<_> = (0..9).map(|_| input(&mut world, &mut publisher, &message)).collect();
        assert_eq!(stalls[0], None);
        assert_eq!(stalls[8].as_ref().map(|stall| &stall.slow[..]), Some([subscriber.id()].as_slice()));
        let counted = world.node.hub().totals().stalls.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(counted, stalls.iter().flatten().count() as u64);
    }

    #[test]
    fn a_busy_connection_keeps_its_times() {
        let mut world = World::new(1_000_000);
        let mut client = world.client(true);
        let (due, _) = client.poll_timeout();
        let World { node, staging } = &mut world;
        handle(node, &mut client, due, Event::Input(b"PUB a 0\r\n\r\n"), staging);
        assert!(client.poll_timeout().0 > due);
    }

    #[test]
    fn a_read_is_bytes_an_end_a_fault_or_nothing() {
        let fault = |kind: io::ErrorKind| Event::of_read(Err(kind.into()), b"abc");
        assert_eq!(Event::of_read(Ok(2), b"abc"), Event::Input(b"ab"));
        assert_eq!(Event::of_read(Ok(0), b"abc"), Event::EndOfInput);
        assert_eq!(fault(io::ErrorKind::WouldBlock), Event::Nothing);
        assert_eq!(fault(io::ErrorKind::Interrupted), Event::Nothing);
        assert_eq!(fault(io::ErrorKind::ConnectionReset), Event::ReadFailed);
    }
}
