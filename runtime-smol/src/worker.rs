//! What the connections of one thread share.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use event_listener::Event;
use log::debug;
use mio::net::TcpStream as Stream;
use onehop::connection::{Effect, EffectAnswer, Ticket};
use onehop::delivery::{KEPT_BUFFERS, Staging, WRITES_AT_ONCE};
use onehop::driver::{self, Authenticator, PasswordChecks, SocketKind};
use onehop::{CloseReason, Connection, DialError, Instant, Node};

use crate::clock::Clock;
use crate::password_checks;
use crate::reactor::{Reactor, Source};
use crate::sockets::{LocalSockets, Socket, Sockets};

/// What all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) clock: Clock,
    /// Notified when the cluster may want something of the control task.
    pub(crate) attention: Arc<Event>,
    /// Asked for what the program around the server decides.
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) password_checks: Arc<PasswordChecks>,
}

/// A socket for a worker to take over.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) kind: SocketKind,
}

/// The state that the connections of one thread share.
pub(crate) struct Worker {
    number: usize,
    pub(crate) node: Arc<Node>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) clock: Clock,
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) attention: Arc<Event>,
    /// What every connection reads into; empty while one does.
    buffer: Cell<Vec<u8>>,
    pub(crate) staging: RefCell<Staging<LocalSockets>>,
    authenticator: Option<Authenticator>,
    password_checks: Arc<PasswordChecks>,
    /// Notified when a batch left something to be written.
    unwritten: Event,
}

/// A question that a connection waits for; dropped with it.
pub(crate) type Asked = Pin<Box<dyn Future<Output = (Ticket, EffectAnswer)>>>;

/// A sink for one thread.
pub(crate) fn staging(node: &Node, sockets: &Arc<Sockets>) -> Staging<LocalSockets> {
    let (max_pending, lane) = (node.hub().config().max_pending, node.hub().totals().take_lane());
    Staging::new(LocalSockets::new(sockets.clone()), max_pending, KEPT_BUFFERS)
        .limit_writes(WRITES_AT_ONCE)
        .count_with(lane)
}

impl Worker {
    /// One with no connections, for the thread that it is made on.
    pub(crate) fn new(number: usize, shared: Shared, reactor: Reactor) -> Self {
        let Shared { node, sockets, clock, attention, authenticator, password_checks } = shared;
        Self {
            number,
            staging: RefCell::new(staging(&node, &sockets)),
            node,
            sockets,
            clock,
            reactor: Rc::new(reactor),
            attention,
            buffer: Cell::default(),
            authenticator,
            password_checks,
            unwritten: Event::new(),
        }
    }

    /// Makes a connection of a socket.
    pub(crate) fn take_over(&self, job: Job) -> Option<(Arc<Socket>, Source)> {
        let now = self.clock.now();
        let Job { stream, remote, kind } = job;
        let (stream, source) = match self.prepare(stream) {
            Ok(prepared) => prepared,
            Err(fault) => {
                debug!("cannot use a socket: {fault}");
                if let SocketKind::Dialed(id) = kind {
                    self.node.handle_dial_failed(now, id, &DialError::Failed(fault.to_string()));
                    self.pass_on_attention();
                }
                return None;
            }
        };
        let connection = driver::open(&self.node, now, remote, kind, &mut self.staging.borrow_mut());
        let socket = Arc::new(Socket::new(Box::new(connection), stream, self.number));
        self.sockets.insert(socket.clone());
        Some((socket, source))
    }

    fn prepare(&self, stream: TcpStream) -> std::io::Result<(Stream, Source)> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = Stream::from_std(stream);
        let source = self.reactor.register(&mut stream)?;
        Ok((stream, source))
    }

    /// What every connection reads into, to be given back.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        let buffer = self.buffer.take();
        // A driver that panicked did not give it back.
        if buffer.is_empty() { vec![0; READ_BYTES] } else { buffer }
    }

    pub(crate) fn give_buffer_back(&self, buffer: Vec<u8>) {
        self.buffer.replace(buffer);
    }

    /// Called after each batch: lets what it left to be written for very many be written, and waits if that is too much.
    pub(crate) async fn catch_up(&self) {
        if !self.staging.borrow().left_writes() {
            return;
        }
        self.unwritten.notify(1);
        while self.staging.borrow().is_behind() {
            self.reactor.next_round().await;
        }
    }

    /// Writes what batches left, some in each round.
    pub(crate) async fn write_all(self: Rc<Self>) {
        loop {
            while self.staging.borrow().wants_write() {
                self.reactor.next_round().await;
                self.staging.borrow_mut().write_more(self.clock.now());
            }
            self.unwritten.listen().await;
        }
    }

    /// Lets the program around the server answer, or somebody who has time to compute it, on a thread that nobody needs.
    pub(crate) fn ask(&self, from: IpAddr, ticket: Ticket, effect: Effect) -> Option<Asked> {
        match effect {
            Effect::Authenticate(credentials) => {
                let authenticator = self.authenticator.clone()?;
                Some(Box::pin(smol::unblock(move || (ticket, authenticator.answer(&credentials)))))
            }
            Effect::CheckPassword(check) => {
                let is_right = password_checks::ask(&self.password_checks, from, check);
                Some(Box::pin(async move { (ticket, EffectAnswer::Password(is_right.await)) }))
            }
        }
    }

    /// Lets the control task know if the cluster wants something.
    pub(crate) fn pass_on_attention(&self) {
        if self.node.take_attention() {
            self.attention.notify(1);
        }
    }
}

/// Ends a connection whose driver is gone or does not go on.
pub(crate) fn abandon(
    node: &Node,
    socket: &Socket,
    mut connection: Box<Connection>,
    now: Instant,
    staging: &mut Staging<LocalSockets>,
) {
    connection.handle_close_request(CloseReason::InternalError);
    let id = connection.id();
    let (reason, mut left) = driver::end(node, *connection, now, staging);
    while let Some(removal) = left {
        left = driver::remove(node, removal, now, staging);
    }
    while staging.wants_write() {
        staging.write_more(now);
    }
    socket.end(now, reason);
    if !socket.is_coded() {
        socket.write_pending(now);
    }
    staging.links().table().remove(id);
    socket.shutdown();
}

/// How much one read takes. More was no better, and worse for larger messages.
const READ_BYTES: usize = 64 * 1024;
