//! A thread that owns connections.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use event_listener::Event;
use log::debug;
use mio::net::TcpStream as Stream;
use onehop::connection::{Effect, EffectAnswer, Ticket};
use onehop::delivery::{KEPT_BUFFERS, Staging, WRITES_AT_ONCE};
use onehop::driver::{self, Authenticator, LongestTurn, SocketKind};
use onehop::{Connection, DialError, Node};
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::{LocalExecutor, Task};

use crate::clock::Clock;
use crate::driver::drive;
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
}

/// A socket for a worker to take over.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) kind: SocketKind,
}

/// A worker, as others see it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) jobs: Sender<Job>,
    longest_turn: Arc<LongestTurn>,
    /// Closed once the worker takes no more jobs.
    idle: Receiver<()>,
    /// Closed once the worker has no connection any more.
    closed: Receiver<()>,
}

/// The other end of a [`Handle`].
struct Inbox {
    jobs: Receiver<Job>,
    /// Held as long as there are jobs.
    busy: Sender<()>,
    /// Held by each driver, too: `all_closed` ends with the last of them.
    open: Sender<()>,
    all_closed: Receiver<()>,
}

/// The state that the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) node: Arc<Node>,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) clock: Clock,
    pub(crate) reactor: Rc<Reactor>,
    pub(crate) attention: Arc<Event>,
    /// What every connection reads into.
    pub(crate) buffer: Cell<Vec<u8>>,
    pub(crate) staging: RefCell<Staging<LocalSockets>>,
    authenticator: Option<Authenticator>,
    /// Notified when a batch left something to be written.
    unwritten: Event,
}

/// A question that a connection waits for; dropped with it.
pub(crate) type Asked = Task<(Ticket, EffectAnswer)>;

/// Starts a worker thread; it ends when it is given no more jobs and its connections are closed.
///
/// # Errors
///
/// The system has no thread or poller left.
pub(crate) fn start(shared: Shared, number: usize) -> std::io::Result<Handle> {
    let (jobs, taken) = unbounded();
    let ((busy, idle), (open, closed)) = (bounded(1), bounded(1));
    let inbox = Inbox { jobs: taken, busy, open, all_closed: closed.clone() };
    let reactor = Reactor::new(shared.clock)?;
    let longest_turn = Arc::new(LongestTurn::default());
    let told = longest_turn.clone();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(move || run(shared, reactor, inbox, &told))?;
    Ok(Handle { jobs, longest_turn, idle, closed })
}

impl Handle {
    /// How long one turn kept it at the most.
    pub(crate) fn longest_turn(&self) -> Arc<LongestTurn> {
        self.longest_turn.clone()
    }

    /// Gives the worker no more jobs.
    pub(crate) fn close(&self) {
        self.jobs.close();
    }

    /// Waits until the worker has taken over what it was given before [`Handle::close`]. Input that it handles from then on
    /// was read later.
    pub(crate) fn wait_until_idle(&self) {
        // Nothing is ever sent.
        let _ = self.idle.recv_blocking();
    }

    /// Waits until all its connections are closed.
    pub(crate) fn wait_until_closed(&self) {
        let _ = self.closed.recv_blocking();
    }
}

fn run(shared: Shared, reactor: Reactor, inbox: Inbox, longest_turn: &LongestTurn) {
    let Shared { node, sockets, clock, attention, authenticator } = shared;
    let worker = Rc::new(Worker {
        staging: RefCell::new(staging(&node, &sockets)),
        node,
        sockets,
        clock,
        reactor: Rc::new(reactor),
        attention,
        buffer: Cell::new(vec![0; READ_BYTES]),
        authenticator,
        unwritten: Event::new(),
    });
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(worker.clone().write_all()).detach();
    let main = executor.spawn(take_over_all(worker.clone(), executor.clone(), inbox));
    worker.reactor.run(&executor, &main, |turn| longest_turn.record(turn));
}

async fn take_over_all(worker: Rc<Worker>, executor: Rc<LocalExecutor<'static>>, inbox: Inbox) {
    let Inbox { jobs, busy, open, all_closed } = inbox;
    let mut taken = 0;
    while let Ok(job) = jobs.recv().await {
        if let Some((connection, socket, source)) = worker.take_over(job) {
            let (worker, open) = (worker.clone(), open.clone());
            let driver = async move {
                drive(worker, Box::new(connection), socket, source).await;
                drop(open);
            };
            executor.spawn(driver).detach();
        }
        taken += 1;
        if taken % TAKEN_AT_ONCE == 0 {
            worker.reactor.next_round().await;
        }
    }
    drop((busy, open));
    let _ = all_closed.recv().await;
}

/// A sink for one thread.
pub(crate) fn staging(node: &Node, sockets: &Arc<Sockets>) -> Staging<LocalSockets> {
    let (max_pending, lane) = (node.hub().config().max_pending, node.hub().totals().take_lane());
    Staging::new(LocalSockets::new(sockets.clone()), max_pending, KEPT_BUFFERS)
        .limit_writes(WRITES_AT_ONCE)
        .count_with(lane)
}

impl Worker {
    /// Makes a connection of a socket.
    fn take_over(&self, job: Job) -> Option<(Connection, Arc<Socket>, Source)> {
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
        let socket = Arc::new(Socket::new(&connection, stream));
        self.sockets.insert(socket.clone());
        Some((connection, socket, source))
    }

    fn prepare(&self, stream: TcpStream) -> std::io::Result<(Stream, Source)> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = Stream::from_std(stream);
        let source = self.reactor.register(&mut stream)?;
        Ok((stream, source))
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
    async fn write_all(self: Rc<Self>) {
        loop {
            while self.staging.borrow().wants_write() {
                self.reactor.next_round().await;
                self.staging.borrow_mut().write_more(self.clock.now());
            }
            self.unwritten.listen().await;
        }
    }

    /// Lets the program around the server answer, on a thread that nobody needs.
    pub(crate) fn ask(&self, ticket: Ticket, effect: Effect) -> Option<Asked> {
        let authenticator = self.authenticator.clone()?;
        Some(smol::unblock(move || (ticket, authenticator.answer(&effect))))
    }

    /// Lets the control task know if the cluster wants something.
    pub(crate) fn pass_on_attention(&self) {
        if self.node.take_attention() {
            self.attention.notify(1);
        }
    }
}

/// How much one read takes. More was no better, and worse for larger messages.
const READ_BYTES: usize = 64 * 1024;

/// So many newcomers are greeted before those that are here have their turn: a herd keeps nobody waiting.
const TAKEN_AT_ONCE: usize = 32;
