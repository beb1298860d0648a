//! The whole server: listeners, workers, the control task.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use event_listener::Event;
use log::{error, info, warn};
use onehop::config::{Config, ConfigRefused, SecretSeed};
use onehop::delivery::Staging;
use onehop::driver::{self, Authenticator, LongestTurn, PasswordChecks, SocketKind};
use onehop::{
    CloseReason, DialError, DialId, DialRequest, IMPLEMENTATION, Instant, Listening, NATS_VERSION, Node,
    Services,
};
use onehop_discovery::Sources;
use smol::Executor;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{FutureExt, yield_now};

use crate::clock::{self, Clock};
use crate::dial::dial;
use crate::discovery;
use crate::listen::{Ports, interfaces, listen, listen_error, port, shown};
use crate::load::lightest;
use crate::logger::FATAL;
use crate::monitor::{self, Monitoring};
use crate::password_checks;
use crate::ports_file::PortsFile;
use crate::sockets::{LocalSockets, Sockets};
use crate::watch::{self, Watch};
use crate::worker::{self, Job, Shared};
use crate::worker_thread;

/// A server whose sockets are bound.
#[derive(Debug)]
pub struct Server {
    core: Core,
    clients: Async<TcpListener>,
    websockets: Option<Async<TcpListener>>,
    routes: Option<Async<TcpListener>>,
    monitoring: Option<Async<TcpListener>>,
    /// Closed when clients are accepted no more.
    clients_closed: Receiver<()>,
    /// How often is looked whether all workers go on.
    watch_pause: Duration,
}

/// What is behind the listeners.
#[derive(Debug)]
pub(crate) struct Core {
    shared: Shared,
    workers: Vec<worker_thread::Handle>,
    /// Open as long as the port for clients is.
    clients_open: Sender<()>,
    /// Notified when a lame duck has no clients any more.
    sent_away: Event,
    /// Notified when somebody asks for the configuration to be read again.
    reload_asked: Event,
    /// Of what belongs to no connection.
    longest_turn: Arc<LongestTurn>,
}

impl Server {
    /// Lets members of the system account ask for the configuration to be read again: [`Core::wait_for_reload`].
    pub(crate) fn offer_reload(&self) {
        self.core.shared.node.offer_reload();
    }

    /// Binds all sockets and starts the workers.
    ///
    /// # Errors
    ///
    /// An address is in use or does not exist, or the system has no thread left. The text is ready to be shown.
    pub fn bind(config: Config, workers: usize) -> Result<Self, String> {
        Self::prepare(config, workers, None)
    }

    /// The same, where [`Authorization::External`](onehop::config::Authorization::External) leaves it to the program who may
    /// come in. The authenticator is called on threads where it may block.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`].
    pub fn bind_with(config: Config, workers: usize, authenticator: Authenticator) -> Result<Self, String> {
        Self::prepare(config, workers, Some(authenticator))
    }

    fn prepare(
        mut config: Config,
        workers: usize,
        authenticator: Option<Authenticator>,
    ) -> Result<Self, String> {
        driver::check_authenticator(&config, authenticator.as_ref()).map_err(|fault| fault.to_string())?;
        if config.seed == 0 {
            config.seed = fastrand::u64(1..);
        }
        if config.secret_seed == SecretSeed::default() {
            getrandom::fill(&mut config.secret_seed.0).map_err(|fault| format!("no randomness: {fault}"))?;
        }
        let clients = listen(&config.host, config.port).map_err(|fault| listen_error("port", &fault))?;
        let websockets = config.websocket.as_ref().map(|own| listen(&own.host, own.port)).transpose();
        let websockets = websockets.map_err(|fault| listen_error("websocket port", &fault))?;
        let cluster = config.cluster.as_ref().map(|cluster| listen(&cluster.host, cluster.port)).transpose();
        let routes = cluster.map_err(|fault| listen_error("router port", &fault))?;
        let address = config.monitoring_address();
        let monitoring = address.as_ref().map(|address| listen(&address.host, address.port)).transpose();
        let monitoring = monitoring.map_err(|fault| listen_error("http port", &fault))?;
        let clock = Clock::start();
        let listening = Listening {
            client_port: port(&clients),
            websocket_port: websockets.as_ref().map_or(0, port),
            route_port: routes.as_ref().map_or(0, port),
            interfaces: interfaces(),
            unix_nanos_at_zero: clock::unix_nanos_at_zero(clock.now()),
        };
        let shared = Shared {
            node: Node::new(config, &listening, clock.now()),
            sockets: Arc::new(Sockets::default()),
            clock,
            attention: Arc::new(Event::new()),
            authenticator,
            password_checks: Arc::new(PasswordChecks::new(password_checks::threads_at_once())),
        };
        let workers = (0..workers.max(1)).map(|number| worker_thread::start(shared.clone(), number));
        let workers =
            workers.collect::<io::Result<_>>().map_err(|fault| format!("cannot start a thread: {fault}"))?;
        let (clients_open, clients_closed) = bounded(1);
        let core = Core {
            shared,
            workers,
            clients_open,
            sent_away: Event::new(),
            reload_asked: Event::new(),
            longest_turn: Arc::default(),
        };
        Ok(Self { core, clients, websockets, routes, monitoring, clients_closed, watch_pause: watch::PAUSE })
    }

    /// The node that is served.
    pub fn node(&self) -> &Arc<Node> {
        &self.core.shared.node
    }

    /// Writes where the server listens into a directory.
    pub(crate) fn write_ports_file(&self, directory: &str) -> Option<PortsFile> {
        let config = self.node().hub().config();
        let scheme = |is_encrypted, encrypted, plain| if is_encrypted { encrypted } else { plain };
        let of_clients = scheme(config.tls.is_some() && !config.allow_non_tls, "tls", "nats");
        let of_routes = scheme(config.cluster.as_ref().is_some_and(|own| own.tls.is_some()), "tls", "nats");
        let of_websockets =
            scheme(config.websocket.as_ref().is_some_and(|own| own.tls.is_some()), "wss", "ws");
        let clients = Some(("nats", of_clients, &self.clients));
        let monitoring = self.monitoring.as_ref().map(|listener| ("monitoring", "http", listener));
        let routes = self.routes.as_ref().map(|listener| ("cluster", of_routes, listener));
        let websockets = self.websockets.as_ref().map(|listener| ("websocket", of_websockets, listener));
        let listeners: Vec<_> = [clients, monitoring, routes, websockets].into_iter().flatten().collect();
        PortsFile::write(directory, &listeners)
    }

    /// Serves until `end` is over.
    ///
    /// # Errors
    ///
    /// The system has no thread left. The text is ready to be shown.
    pub fn serve_until(self, end: impl Future<Output = ()>) -> Result<(), String> {
        self.serve(|_| end)
    }

    /// The same; `end` may ask things of what is behind the listeners.
    pub(crate) fn serve<F: Future<Output = ()>>(
        self,
        end: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<(), String> {
        self.log_start();
        let subject = self.monitored();
        let route_port = self.routes.as_ref().map_or(0, port);
        let Self { core, clients, websockets, routes, monitoring, clients_closed, watch_pause } = self;
        let monitoring = monitoring.map(|listener| Monitoring::start(listener, subject)).transpose();
        let monitoring = monitoring.map_err(|fault| format!("cannot start a thread: {fault}"))?;
        let core = Arc::new(core);
        let loads = core.workers.iter().map(|worker| worker.load().clone()).collect();
        let watching = core.clone();
        let watch = Watch::start(loads, watch_pause, move |number| watching.abandon(number));
        let watch = watch.map_err(|fault| format!("cannot start a thread: {fault}"))?;
        let listeners = [(clients, SocketKind::Client)].into_iter();
        let listeners = listeners.chain(websockets.map(|websockets| (websockets, SocketKind::WebSocket)));
        let listeners = listeners.chain(routes.map(|routes| (routes, SocketKind::Route))).collect();
        let assigning = core.clone();
        let ports =
            Ports::open(listeners, clients_closed, core.shared.node.clone(), core.shared.clock, move |job| {
                assigning.assign(job)
            });
        let ports = ports.map_err(|fault| format!("cannot start a thread: {fault}"))?;
        let sources = discovery::start(&core.shared, route_port)?.map(Arc::new);
        let executor = Arc::new(Executor::new());
        async_io::block_on(executor.run(async {
            let control = executor.spawn(core.clone().control(executor.clone(), sources.clone()));
            end(core.clone()).await;
            info!("Initiating Shutdown...");
            control.cancel().await;
        }));
        if let Some(sources) = &sources {
            sources.keep_known_servers_of(&core.shared.node);
        }
        // Nobody is told of this server any more, and it looks for nobody.
        drop(sources);
        // Those who come back at once would keep the server from ever having none: the ports are closed first.
        ports.close();
        drop(monitoring);
        // With it end the dials, which might still lead to connections.
        drop(executor);
        core.shut_down();
        drop(watch);
        info!("Server Exiting..");
        Ok(())
    }

    fn log_start(&self) {
        let node = self.node();
        info!("Starting onehop");
        info!(
            "  Version:  {} ({IMPLEMENTATION}, protocol of nats-server {NATS_VERSION})",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(name) = node.cluster_name() {
            info!("  Cluster:  {name}");
        }
        info!("  Name:     {}", node.hub().server_name());
        info!("  ID:       {}", node.hub().server_id());
        let config = node.hub().config();
        if let (Some(address), Some(listener)) = (config.monitoring_address(), &self.monitoring) {
            driver::log_monitoring_port(shown(&address.host, listener));
        }
        if let (Some(own), Some(listener)) = (&config.websocket, &self.websockets) {
            driver::log_websocket_port(own, shown(&own.host, listener));
        }
        driver::log_client_port(&config, shown(&config.host, &self.clients));
        info!("Server is ready");
        if let (Some(name), Some(routes), Some(cluster)) =
            (node.cluster_name(), &self.routes, &config.cluster)
        {
            info!("Cluster name is {name}");
            if cluster.name.is_none() {
                warn!("Cluster name was dynamically generated, consider setting one");
            }
            driver::log_route_port(cluster, shown(&cluster.host, routes));
        }
    }

    /// What monitoring shows.
    fn monitored(&self) -> monitor::Subject {
        let Core { shared, workers, longest_turn, .. } = &self.core;
        let (clock, sockets, longest_turn) = (shared.clock, shared.sockets.clone(), longest_turn.clone());
        let loads: Vec<_> = workers.iter().map(|worker| worker.load().clone()).collect();
        let address = self.node().hub().config().monitoring_address();
        monitor::Subject {
            node: self.node().clone(),
            clock: Box::new(move || clock.now()),
            pending_bytes: Box::new(move |id| {
                sockets.get(id).map_or(0, |socket| socket.pending_bytes() as u64)
            }),
            longest_turns: Box::new(move || {
                loads.iter().map(|load| load.longest_turn()).chain([longest_turn.get()]).collect()
            }),
            workers: workers.len(),
            http_host: address.map_or_else(String::new, |address| address.host),
            config_digest: String::new(),
        }
    }
}

impl Core {
    /// Drives what belongs to no connection: the cluster, its dials, and the node's services.
    async fn control(self: Arc<Self>, executor: Arc<Executor<'static>>, sources: Option<Arc<Sources>>) {
        let mut staging = worker::staging(&self.shared.node, &self.shared.sockets);
        let mut services = Services::new(&self.shared.node, &mut staging);
        loop {
            let listener = self.shared.attention.listen();
            let now = self.shared.clock.now();
            // What is wanted from here on is seen below, or comes with a new notification.
            let _ = self.shared.node.take_attention();
            let node = &self.shared.node;
            driver::handle_timeout(node, &mut services, now, &mut staging);
            self.record_turn(now);
            self.write_rest(&mut staging).await;
            if self.shared.node.has_sent_all_away() {
                self.sent_away.notify(usize::MAX);
            }
            if self.shared.node.wants_reload() {
                self.reload_asked.notify(usize::MAX);
            }
            while let Some(request) = node.poll_dial(now) {
                executor.spawn(self.clone().carry_out(request)).detach();
            }
            if let Some(sources) = &sources {
                sources.keep_known_servers_of(node);
                sources.tell_reach_of(node);
            }
            let timeout = driver::poll_timeout(node, &services);
            let timer = timeout.map_or_else(Timer::never, |at| Timer::at(self.shared.clock.to_system(at)));
            let due = async {
                timer.await;
            };
            listener.or(due).await;
        }
    }

    /// Closes the port for clients, and sends the clients away one after another.
    pub(crate) async fn begin_lame_duck(&self) {
        info!("Entering lame duck mode, stop accepting new clients");
        self.clients_open.close();
        let Shared { node, sockets, clock, .. } = &self.shared;
        let now = clock.now();
        let mut staging = worker::staging(node, sockets);
        node.handle_lame_duck(now, &mut staging);
        staging.flush(now, node.hub());
        self.record_turn(now);
        self.write_rest(&mut staging).await;
        self.shared.attention.notify(1);
    }

    /// Whether [`Core::begin_lame_duck`] was called.
    pub(crate) fn is_lame_duck(&self) -> bool {
        self.shared.node.is_lame_duck()
    }

    /// Waits until a lame duck has no clients any more.
    pub(crate) async fn wait_until_sent_away(&self) {
        loop {
            let sent_away = self.sent_away.listen();
            if self.shared.node.has_sent_all_away() {
                return;
            }
            sent_away.await;
        }
    }

    /// Waits until somebody asks for the configuration to be read again.
    pub(crate) async fn wait_for_reload(&self) {
        loop {
            let asked = self.reload_asked.listen();
            if self.shared.node.take_reload() {
                return;
            }
            asked.await;
        }
    }

    /// Lets those who asked for that know what came of it.
    pub(crate) fn tell_reloaded(&self, outcome: Result<(), String>) {
        self.shared.node.handle_reloaded(outcome);
        self.shared.attention.notify(1);
    }

    /// Lets the node follow another configuration, and returns the keys that have another value. What it draws its random
    /// numbers from stays.
    pub(crate) async fn reconfigure(&self, config: Config) -> Result<Vec<&'static str>, ConfigRefused> {
        let Shared { node, sockets, clock, .. } = &self.shared;
        let now = clock.now();
        let Config { seed, secret_seed, .. } = Config::clone(&node.hub().config());
        let mut staging = worker::staging(node, sockets);
        let changes = node.handle_config(now, Config { seed, secret_seed, ..config }, &mut staging)?;
        staging.flush(now, node.hub());
        self.record_turn(now);
        self.write_rest(&mut staging).await;
        self.shared.attention.notify(1);
        Ok(changes)
    }

    /// Writes what a turn left, some in each of the next ones.
    async fn write_rest(&self, staging: &mut Staging<LocalSockets>) {
        while staging.wants_write() {
            yield_now().await;
            let now = self.shared.clock.now();
            staging.write_more(now);
            self.record_turn(now);
        }
    }

    fn record_turn(&self, begun: Instant) {
        self.longest_turn.record(self.shared.clock.now().since(begun));
    }

    async fn carry_out(self: Arc<Self>, request: DialRequest) {
        match dial(&request).await {
            Ok((stream, remote)) => self.assign(Job { stream, remote, kind: SocketKind::Dialed(request.id) }),
            Err(why) => self.note_failed_dial(request.id, &why),
        }
    }

    /// Gives a socket to the worker that has the least to do.
    fn assign(&self, job: Job) {
        let loads = self.workers.iter().map(|worker| &**worker.load());
        let number = lightest(loads, self.shared.clock.now());
        // A worker takes no more once the server ends; the socket is closed then.
        if let Err(Job { kind: SocketKind::Dialed(id), .. }) = self.workers[number].give(job) {
            self.note_failed_dial(id, &DialError::Failed(format!("worker {number} takes no more")));
        }
    }

    /// Ends the connections of a worker that does not go on, so that their peers look for another server or come back, and
    /// gives others what it has not taken over. Whatever keeps it may still end: then so does the connection that it was for.
    fn abandon(&self, number: usize) {
        let Shared { node, sockets, clock, .. } = &self.shared;
        let connections = sockets.all().into_iter().filter(|socket| socket.worker() == number);
        let connections: Vec<_> = connections.collect();
        error!("worker {number} does not go on: its {} connections are closed", connections.len());
        self.workers[number].take_back().into_iter().for_each(|job| self.assign(job));
        let mut staging = worker::staging(node, sockets);
        for socket in connections {
            match socket.take_idle_connection() {
                Some(connection) => worker::abandon(node, &socket, connection, clock.now(), &mut staging),
                None => {
                    socket.request_close(CloseReason::InternalError);
                    socket.shutdown();
                }
            }
        }
        self.shared.attention.notify(1);
    }

    fn note_failed_dial(&self, id: DialId, why: &DialError) {
        self.shared.node.handle_dial_failed(self.shared.clock.now(), id, why);
        self.shared.attention.notify(1);
    }

    /// Ends all connections, and waits until their last words are said.
    fn shut_down(&self) {
        let Shared { node, sockets, clock, .. } = &self.shared;
        let mut staging = worker::staging(node, sockets);
        node.handle_shutdown(clock.now(), &mut staging);
        staging.flush(clock.now(), node.hub());
        while staging.wants_write() {
            staging.write_more(clock.now());
        }
        self.workers.iter().for_each(worker_thread::Handle::close);
        // What was read before is handled to its end, so that nobody is answered whose messages find a link ended.
        self.workers.iter().for_each(worker_thread::Handle::wait_until_idle);
        sockets.all().iter().for_each(|socket| socket.request_close(CloseReason::ServerShutdown));
        self.workers.iter().for_each(worker_thread::Handle::wait_until_closed);
    }
}

/// Logs why the server cannot run.
pub fn log_fatal(why: &str) {
    error!(target: FATAL, "{why}");
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::iter;
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use onehop::config::{Authorization, ClusterConfig, Port};
    use onehop::connection::Verdict;
    use smol::channel;

    use super::*;
    use crate::driver::tests::LETS_GO;

    fn local() -> Config {
        Config { host: "127.0.0.1".into(), port: Port::Any, ..Config::default() }
    }

    #[test]
    fn clients_that_come_back_at_once_find_the_port_closed_and_do_not_hold_up_the_shutdown() {
        let server = Server::bind(local(), 1).unwrap();
        let address = server.clients.get_ref().local_addr().unwrap();
        let done = AtomicBool::new(false);
        let (end, ended) = channel::bounded::<()>(1);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if let Ok(mut socket) = TcpStream::connect(address) {
                            // Where nobody accepts any more, nothing ends the wait.
                            socket.set_read_timeout(Some(PATIENCE)).unwrap();
                            let _ = socket.read_to_end(&mut Vec::new());
                        }
                    }
                });
            }
            let sockets = server.core.shared.sockets.clone();
            let serving = scope.spawn(|| {
                server.serve_until(async move {
                    let _ = ended.recv().await;
                })
            });
            while sockets.count() < 16 {
                thread::sleep(Duration::from_millis(5));
            }
            let started = Instant::now();
            end.try_send(()).unwrap();
            serving.join().unwrap().unwrap();
            let took = started.elapsed();
            let is_open = TcpStream::connect(address).is_ok();
            done.store(true, Ordering::Relaxed);
            assert!(!is_open, "the port still takes connections");
            assert!(took < PATIENCE / 2, "it took {took:?}");
        });
    }

    #[test]
    fn a_lame_duck_closes_its_port_tells_its_clients_and_ends_when_they_are_gone() {
        let times = (Duration::from_millis(300), Duration::from_millis(900));
        let config = Config { lame_duck_grace_period: times.0, lame_duck_duration: times.1, ..local() };
        let server = Server::bind(config, 1).unwrap();
        let address = server.clients.get_ref().local_addr().unwrap();
        let (begin, begun) = channel::bounded::<()>(1);
        thread::scope(|scope| {
            let serving = scope.spawn(|| {
                server.serve(|core| async move {
                    let _ = begun.recv().await;
                    core.begin_lame_duck().await;
                    core.wait_until_sent_away().await;
                })
            });
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n").unwrap();
            assert!(read_pong(&mut client));
            let started = Instant::now();
            begin.try_send(()).unwrap();
            let mut read = String::new();
            client.read_to_string(&mut read).unwrap();
            assert!(read.contains("\"ldm\":true"), "{read}");
            assert!(started.elapsed() >= times.0, "it was closed after {:?}", started.elapsed());
            serving.join().unwrap().unwrap();
            assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
            assert!(TcpStream::connect(address).is_err(), "the port still takes connections");
        });
    }

    #[test]
    fn where_somebody_else_says_who_may_come_in_there_must_be_somebody() {
        let external = || Config { authorization: Authorization::External, ..local() };
        let refused = Server::bind(external(), 1).unwrap_err();
        assert_eq!(refused, "authorization is external, and there is no authenticator to be asked");
        assert!(Server::bind_with(external(), 1, Authenticator::new(|_| Verdict::Refused)).is_ok());
    }

    #[test]
    fn what_one_worker_handles_during_a_stop_still_reaches_the_clients_of_another() {
        const SUBSCRIPTIONS: usize = 20;
        let batch = [b"PUB a 1\r\nx\r\n".repeat(1_000).as_slice(), b"PING\r\n"].concat();
        let connect = |address, greeting: String| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .write_all(format!("CONNECT {{\"verbose\":false}}\r\n{greeting}PING\r\n").as_bytes())
                .unwrap();
            assert!(read_pong(&mut stream));
            stream
        };
        for round in 0..20 {
            let server = Server::bind(local(), 2).unwrap();
            let address = server.clients.get_ref().local_addr().unwrap();
            let (end, ended) = channel::bounded::<()>(1);
            thread::scope(|scope| {
                scope.spawn(|| server.serve_until(async move { ended.recv().await.unwrap_or_default() }));
                // A worker each.
                let subscriptions = (0..SUBSCRIPTIONS).map(|number| format!("SUB a {}\r\n", 10 + number));
                let mut subscriber = connect(address, subscriptions.collect());
                let mut publisher = connect(address, String::new());
                let batch = &batch;
                let publishing = scope.spawn(move || {
                    let mut acknowledged = 0;
                    while publisher.write_all(batch).is_ok() && read_pong(&mut publisher) {
                        acknowledged += 1_000;
                    }
                    acknowledged
                });
                thread::sleep(Duration::from_millis(20 + round));
                drop(end);
                let mut read = Vec::new();
                let _ = subscriber.read_to_end(&mut read);
                let arrived = read.len() / (SUBSCRIPTIONS * "MSG a 10 1\r\nx\r\n".len());
                let acknowledged = publishing.join().unwrap();
                assert!(arrived >= acknowledged, "{arrived} of {acknowledged}");
            });
        }
    }

    /// A client whose worker has taken it over.
    fn client(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(5 * PATIENCE)).unwrap();
        assert!(is_served(&mut stream));
        stream
    }

    fn is_served(client: &mut TcpStream) -> bool {
        client.write_all(b"PING\r\n").is_ok() && read_pong(client)
    }

    fn serve_meanwhile<R>(server: Server, act: impl FnOnce() -> R) -> R {
        let (end, ended) = channel::bounded::<()>(1);
        thread::scope(|scope| {
            let serving =
                scope.spawn(|| server.serve_until(async move { ended.recv().await.unwrap_or_default() }));
            let result = act();
            drop(end);
            serving.join().unwrap().unwrap();
            result
        })
    }

    #[test]
    fn who_connects_while_a_worker_is_busy_goes_to_the_other() {
        let server = Server::bind(local(), 2).unwrap();
        let address = server.clients.get_ref().local_addr().unwrap();
        let sockets = server.core.shared.sockets.clone();
        let workers = serve_meanwhile(server, || {
            let mut busy = client(address);
            busy.write_all(b"STICK 0").unwrap();
            thread::sleep(Duration::from_millis(700));
            let _others = [(); 4].map(|()| client(address));
            let workers = sockets.all().into_iter().map(|socket| socket.worker()).collect::<Vec<_>>();
            LETS_GO[0].store(true, Ordering::Relaxed);
            assert!(is_served(&mut client(address)));
            workers
        });
        assert_eq!(workers, [0, 1, 1, 1, 1]);
    }

    #[test]
    fn the_connections_of_a_worker_that_does_not_go_on_are_closed_and_the_others_are_served() {
        let mut server = Server::bind(local(), 2).unwrap();
        server.watch_pause = Duration::from_millis(200);
        let address = server.clients.get_ref().local_addr().unwrap();
        let (node, sockets) = (server.node().clone(), server.core.shared.sockets.clone());
        let loads: Vec<_> = server.core.workers.iter().map(|worker| worker.load().clone()).collect();
        let is_stuck = || loads.iter().any(|load| load.is_stuck());
        serve_meanwhile(server, || {
            // They go to and fro.
            let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| client(address));
            first.write_all(b"STICK 1").unwrap();
            for mut closed in [first, fourth.try_clone().unwrap()] {
                closed.read_to_end(&mut Vec::new()).unwrap();
            }
            assert!(!is_served(&mut fourth));
            let closed = node.hub().closed().to_vec();
            assert_eq!(
                closed.iter().map(|it| it.reason).collect::<Vec<_>>(),
                [CloseReason::InternalError; 2]
            );
            assert!(is_served(&mut second) && is_served(&mut third) && is_served(&mut client(address)));
            LETS_GO[1].store(true, Ordering::Relaxed);
            while is_stuck() {
                thread::sleep(Duration::from_millis(1));
            }
            LETS_GO[1].store(false, Ordering::Relaxed);
            let mut last = client(address);
            last.write_all(b"STICK 1").unwrap();
            last.read_to_end(&mut Vec::new()).unwrap();
            // A stop does not wait for it.
        });
        assert!(is_stuck());
        assert!(sockets.all().iter().all(|socket| socket.close_request().is_some()));
        LETS_GO[1].store(true, Ordering::Relaxed);
    }

    /// False if the stream ends before.
    fn read_pong(stream: &mut TcpStream) -> bool {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(b"PONG\r\n") {
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return false;
            }
            read.extend(byte);
        }
        true
    }

    #[test]
    fn a_dial_whose_worker_is_gone_has_failed_and_is_tried_again() {
        let peer = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = peer.local_addr().unwrap();
        let cluster = ClusterConfig {
            host: "127.0.0.1".into(),
            routes: vec![format!("nats://{remote}").parse().unwrap()],
            ..ClusterConfig::default()
        };
        let server = Server::bind(Config { cluster: Some(cluster), ..local() }, 1).unwrap();
        server.core.workers[0].close();
        let now = server.core.shared.clock.now();
        let due =
            |at| iter::from_fn(|| server.node().poll_dial(at)).map(|request| request.id).collect::<Vec<_>>();
        let begun = due(now);
        assert_eq!(due(now + RETRIED), []);
        let stream = TcpStream::connect(remote).unwrap();
        server.core.assign(Job { stream, remote, kind: SocketKind::Dialed(begun[0]) });
        assert_eq!(due(now + RETRIED), begun[..1]);
    }

    const PATIENCE: Duration = Duration::from_secs(2);

    /// By then a dial that failed at once is due again.
    const RETRIED: Duration = Duration::from_secs(10);
}
