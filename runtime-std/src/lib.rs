//! The onehop server on blocking threads of the standard library, to be embedded in any program.
//!
//! All that NATS is about happens in [`onehop`], and so is decided what a driver does ([`onehop::driver`]); here are
//! sockets, threads and timers:
//!
//! - one thread per listening port, which accepts;
//! - if the configuration says where monitoring is served, one thread that accepts its connections, and one for each of
//!   these, of which there are at most [`MAX_CONNECTIONS`](onehop::monitor::http::MAX_CONNECTIONS);
//! - one control thread, which starts a thread for each dial that the node asks for;
//! - if the configuration says where other servers may be looked for, those of [`onehop_discovery`], of which each source is a
//!   feature of this package, too;
//! - two threads per connection: one reads, drives the connection and writes into the outboxes of those it concerns;
//!   the other writes what waits in the connection's own outbox. So there are 6,000 accepted connections at the most;
//!   more are closed at once.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::net::TcpStream;
//!
//! use onehop::config::{Config, Port};
//! use onehop_std::Server;
//!
//! # fn main() -> std::io::Result<()> {
//! let config = Config { host: "127.0.0.1".to_owned(), port: Port::Any, ..Config::default() };
//! let server = Server::start(config)?;
//!
//! let client = TcpStream::connect(server.client_addr())?;
//! (&client).write_all(b"PING\r\n")?;
//! let mut lines = BufReader::new(&client).lines();
//! assert!(lines.next().unwrap()?.starts_with("INFO {"));
//! assert_eq!(lines.next().unwrap()?, "PONG");
//!
//! server.shutdown();
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod alarm;
mod connection;
mod dial;
mod discovery;
mod listen;
mod monitor;
mod password_checks;
mod shared;
mod socket;
mod timer;
mod writer;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle, Scope};

use onehop::config::{Config, SecretSeed};
use onehop::driver::{self, Authenticator, SocketKind};
use onehop::{Node, Services};
use onehop_discovery::Sources;

use crate::listen::Listeners;
use crate::shared::Shared;

/// A running server. Dropping it shuts it down.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    client_addr: SocketAddr,
    websocket_addr: Option<SocketAddr>,
    route_addr: Option<SocketAddr>,
    monitor_addr: Option<SocketAddr>,
    control: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the ports that `config` names and starts to serve them.
    ///
    /// A `seed` of zero is replaced by a random one. A node that listens on every interface tells clients of other nodes the
    /// one address that its host sends from, since the standard library cannot list the others; `client_advertise` names a
    /// better one.
    ///
    /// # Errors
    /// The configuration breaks a rule ([`io::ErrorKind::InvalidInput`]), a port cannot be bound, or no thread can be
    /// started.
    pub fn start(config: Config) -> io::Result<Self> {
        Self::launch(config, None)
    }

    /// The same, where [`Authorization::External`](onehop::config::Authorization::External) leaves it to the program who may
    /// come in. The authenticator is called on the thread of the client that it judges, so it may block; a shutdown waits
    /// for it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(config: Config, authenticator: Authenticator) -> io::Result<Self> {
        Self::launch(config, Some(authenticator))
    }

    fn launch(mut config: Config, authenticator: Option<Authenticator>) -> io::Result<Self> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        config.validate().map_err(|error| invalid(error.to_string()))?;
        driver::check_authenticator(&config, authenticator.as_ref())
            .map_err(|error| invalid(error.to_string()))?;
        if config.seed == 0 {
            config.seed = RandomState::new().hash_one(0);
        }
        if config.secret_seed == SecretSeed::default() {
            getrandom::fill(&mut config.secret_seed.0)
                .map_err(|fault| io::Error::other(fault.to_string()))?;
        }
        let listeners = Listeners::bind(&config)?;
        let client_addr = listeners.clients.local_addr()?;
        let websocket_addr = listeners.websockets.as_ref().map(TcpListener::local_addr).transpose()?;
        let route_addr = listeners.routes.as_ref().map(TcpListener::local_addr).transpose()?;
        let monitor_addr = listeners.monitoring.as_ref().map(TcpListener::local_addr).transpose()?;
        let shared = Arc::new(Shared::new(config, &listeners.listening()?, authenticator));
        let sources = discovery::start(&shared, route_addr.map_or(0, |address| address.port()))?;
        let (report, started) = mpsc::channel();
        let control = thread::Builder::new().name("onehop-control".to_owned()).spawn({
            let shared = shared.clone();
            move || run(&shared, listeners, sources.as_ref(), &report)
        })?;
        let control = Some(control);
        let server = Self { shared, client_addr, websocket_addr, route_addr, monitor_addr, control };
        started.recv().unwrap_or_else(|_| Err(io::Error::other("the control thread panicked")))?;
        Ok(server)
    }

    /// Where clients connect to.
    pub fn client_addr(&self) -> SocketAddr {
        self.client_addr
    }

    /// Where clients connect to by WebSocket; `None` if they do not.
    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.websocket_addr
    }

    /// Where other servers connect to; `None` if the node is in no cluster.
    pub fn route_addr(&self) -> Option<SocketAddr> {
        self.route_addr
    }

    /// Where monitoring is served over HTTP; `None` if it is not.
    pub fn monitor_addr(&self) -> Option<SocketAddr> {
        self.monitor_addr
    }

    /// The node that is being run: its name, its peers, its counters.
    pub fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    /// Closes all connections and waits until every thread has ended.
    ///
    /// What waits for clients and peers is still written, for as long as their write deadline at most, and not to those who
    /// take nothing for [two seconds](onehop::delivery::LAST_WORDS). A dial under way is waited for: a second at most, but for
    /// as long as the system takes if it is resolving a name.
    pub fn shutdown(self) {
        drop(self);
    }

    fn stop(&mut self) {
        let Some(control) = self.control.take() else {
            return;
        };
        self.shared.begin_shutdown();
        let others = [self.websocket_addr, self.route_addr, self.monitor_addr];
        for address in std::iter::once(self.client_addr).chain(others.into_iter().flatten()) {
            listen::wake(address);
        }
        self.shared.monitoring.shut_all();
        self.end_connections();
        if control.join().is_err() {
            log::error!("The control thread panicked");
        }
    }

    fn end_connections(&self) {
        let Shared { node, sockets, .. } = &*self.shared;
        let mut staging = self.shared.staging();
        node.handle_shutdown(self.shared.now(), &mut staging);
        staging.flush(self.shared.now(), node.hub());
        let sockets = sockets.all();
        // What was read before is handled to its end, so that nobody is answered whose messages find a link ended.
        sockets.iter().for_each(|socket| drop(socket.turn()));
        sockets.iter().for_each(|socket| socket.end_with_server(self.shared.now()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the server on this thread, which becomes the control thread, until it is shut down and all others have ended.
fn run(
    shared: &Shared,
    listeners: Listeners,
    sources: Option<&Sources>,
    report: &mpsc::Sender<io::Result<()>>,
) {
    let Listeners { clients, websockets, routes, monitoring } = listeners;
    thread::scope(|scope| {
        let ports = [
            (Some(clients), SocketKind::Client),
            (websockets, SocketKind::WebSocket),
            (routes, SocketKind::Route),
        ];
        let mut ports = ports.into_iter().filter_map(|(listener, kind)| Some((listener?, kind)));
        let started = ports.try_for_each(|(listener, kind)| listen::start(scope, shared, listener, kind));
        let started = started.and_then(|()| {
            let monitoring = monitoring.as_ref();
            monitoring.map_or(Ok(()), |monitoring| monitor::start(scope, shared, monitoring))
        });
        // If it cannot be told, nobody is left to be told.
        let _ = report.send(started);
        dial_until_shutdown(scope, shared, sources);
    });
    if let Some(sources) = sources {
        sources.keep_known_servers_of(&shared.node);
    }
}

/// Drives what belongs to no connection until the end: the cluster, its dials, and the node's services.
fn dial_until_shutdown<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    sources: Option<&Sources>,
) {
    let mut services = Services::new(&shared.node, &mut shared.staging());
    while !shared.is_shutting_down() {
        let now = shared.now();
        // What is wanted from here on is seen below, or comes with a new wake-up.
        let _ = shared.node.take_attention();
        driver::handle_timeout(&shared.node, &mut services, now, &mut shared.staging());
        while let Some(request) = shared.node.poll_dial(now) {
            dial::start(scope, shared, request);
        }
        if let Some(sources) = sources {
            sources.keep_known_servers_of(&shared.node);
            sources.tell_reach_of(&shared.node);
        }
        let next = driver::poll_timeout(&shared.node, &services);
        let pause = next.map(|at| at.since(shared.now()));
        shared.attention.wait(pause);
    }
}

/// Its example is compiled and run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
