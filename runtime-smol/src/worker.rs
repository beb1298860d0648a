//! A thread that owns connections.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use async_io::Async;
use event_listener::Event;
use log::warn;
use onehop::{Connection, ConnectionId, DialError, DialId, Node};
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, unbounded};

use crate::clock::Clock;
use crate::driver;
use crate::links::{Link, Links};
use crate::post::Post;

/// What all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) links: Arc<Links>,
    pub(crate) clock: Clock,
    /// Notified when the cluster may want something of the control task.
    pub(crate) attention: Arc<Event>,
}

/// A socket for a worker to take over.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) socket: TcpStream,
    pub(crate) remote: SocketAddr,
    pub(crate) origin: Origin,
}

/// Where a socket comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A client connected.
    Client,
    /// A server connected.
    Route,
    /// A dial succeeded.
    Dialed(DialId),
}

/// The state that the connections of one thread share.
pub(crate) struct Worker {
    pub(crate) node: Arc<Node>,
    pub(crate) links: Arc<Links>,
    pub(crate) clock: Clock,
    pub(crate) attention: Arc<Event>,
    /// What every connection reads into.
    pub(crate) buffer: Cell<Vec<u8>>,
    pub(crate) post: RefCell<Post>,
}

/// Starts a worker thread; it ends when the sender is dropped and its connections are closed.
///
/// # Errors
///
/// The system has no thread left.
pub(crate) fn start(shared: Shared, number: usize) -> std::io::Result<Sender<Job>> {
    let (sender, jobs) = unbounded();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(move || run(shared, &jobs))?;
    Ok(sender)
}

fn run(shared: Shared, jobs: &Receiver<Job>) {
    let Shared { node, links, clock, attention } = shared;
    let worker = Rc::new(Worker {
        post: RefCell::new(Post::new(links.clone())),
        node,
        links,
        clock,
        attention,
        buffer: Cell::new(vec![0; READ_BYTES]),
    });
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        while let Ok(job) = jobs.recv().await {
            if let Some((connection, link)) = worker.take_over(job) {
                executor.spawn(driver::drive(worker.clone(), connection, link)).detach();
            }
        }
        // What is still open is closed by its driver.
        while worker.links.count() > 0 {
            async_io::Timer::after(DRAIN_PAUSE).await;
        }
    }));
}

impl Worker {
    /// Makes a connection of a socket.
    fn take_over(&self, job: Job) -> Option<(Connection, Arc<Link>)> {
        let now = self.clock.now();
        let post = &mut *self.post.borrow_mut();
        let Job { socket, remote, origin } = job;
        let socket = match prepare(socket) {
            Ok(socket) => socket,
            Err(fault) => {
                warn!("cannot use a socket: {fault}");
                if let Origin::Dialed(id) = origin {
                    self.node.handle_dial_failed(now, id, &DialError::Failed(fault.to_string()));
                    self.attention.notify(1);
                }
                return None;
            }
        };
        let connection = match origin {
            Origin::Client => self.node.accept_client(now, remote, post),
            Origin::Route => self.node.accept_route(now, remote, post),
            Origin::Dialed(id) => self.node.handle_dialed(now, id, remote, post),
        };
        let link = Arc::new(Link::new(connection.entry().clone(), socket, connection.write_policy()));
        self.links.insert(link.clone());
        Some((connection, link))
    }

    /// Sends what is staged, for one connection last. Returns the targets that are too slow.
    pub(crate) fn flush(&self, last: ConnectionId) -> Vec<Arc<Link>> {
        self.post.borrow_mut().flush(self.clock.now(), self.node.hub(), Some(last))
    }
}

fn prepare(socket: TcpStream) -> std::io::Result<Async<TcpStream>> {
    socket.set_nodelay(true)?;
    Async::new(socket)
}

/// How much one read takes. More was no better, and worse for larger messages.
const READ_BYTES: usize = 64 * 1024;

/// How often a worker that is to end looks whether all connections are closed.
const DRAIN_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
