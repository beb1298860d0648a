//! The life of one connection on its worker: wait, read, hand to the machine, flush; until it ends.

use std::future::poll_fn;
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use log::error;
use onehop::connection::{EffectAnswer, Ticket};
use onehop::driver::{self, Event, Stall};
use onehop::outbox::Outbound;
use onehop::{Connection, Instant};
use smol::future::FutureExt;

use crate::reactor::Source;
use crate::sockets::{Discarded, Socket};
use crate::summons::Summon;
use crate::worker::{Asked, Worker, abandon};

/// Drives a connection from its first byte to its last.
pub(crate) async fn drive(worker: Rc<Worker>, socket: Arc<Socket>, source: Source) {
    let mut driver = Driver { worker, socket, source, outbound: None, asked: None, timer_at: None };
    driver.handle(Event::Nothing).await;
    while driver.is_open() {
        match poll_fn(|cx| driver.poll_wake_up(cx)).await {
            WakeUp::Readable => driver.read().await,
            WakeUp::Summoned(Summon::Write) => {
                write(&driver.worker, &driver.socket, &mut driver.outbound);
                if driver.socket.is_left() {
                    // Others push as fast as it writes.
                    driver.worker.reactor.next_round().await;
                }
            }
            WakeUp::Summoned(Summon::Close) => {
                let reason = driver.socket.close_request();
                driver.handle(reason.map_or(Event::Nothing, Event::CloseRequest)).await;
            }
            WakeUp::Answered(ticket, answer) => driver.handle(Event::Answer(ticket, &answer)).await,
            WakeUp::Turn => driver.handle(Event::Turn).await,
            WakeUp::Timeout => driver.handle(Event::Nothing).await,
        }
    }
    driver.end().await;
}

struct Driver {
    worker: Rc<Worker>,
    /// Has the connection, too, which ends even if this driver does not come to that.
    socket: Arc<Socket>,
    source: Source,
    /// Encodes what is written, once the connection is switched to that.
    outbound: Option<Box<Outbound>>,
    /// What the connection waits for.
    asked: Option<Asked>,
    timer_at: Option<Instant>,
}

/// What a driver waits for.
enum WakeUp {
    Readable,
    Summoned(Summon),
    Answered(Ticket, EffectAnswer),
    Turn,
    Timeout,
}

impl Driver {
    /// Whether the connection is there and does not want to be ended.
    fn is_open(&self) -> bool {
        self.socket.connection().as_ref().is_some_and(|connection| connection.poll_close().is_none())
    }

    fn wants_turn(&self) -> bool {
        self.socket.connection().as_ref().is_some_and(|connection| connection.wants_turn())
    }

    fn poll_wake_up(&mut self, cx: &mut Context<'_>) -> Poll<WakeUp> {
        if let Poll::Ready(summon) = self.socket.poll_summons(cx, &self.source) {
            return Poll::Ready(WakeUp::Summoned(summon));
        }
        let held = self.socket.connection();
        let Some(connection) = &*held else {
            return Poll::Ready(WakeUp::Timeout);
        };
        // Each time, since the socket may have been blocked, and so got a write deadline, by another connection's driver.
        let timeout = poll_timeout(connection, &self.socket);
        self.timer_at = Some(timeout);
        let timeout = self.source.poll_timer(cx, timeout);
        if connection.wants_input() && self.source.poll_readable(cx).is_ready() {
            return Poll::Ready(WakeUp::Readable);
        }
        if let Some(asked) = &mut self.asked
            && let Poll::Ready((ticket, answer)) = asked.as_mut().poll(cx)
        {
            self.asked = None;
            return Poll::Ready(WakeUp::Answered(ticket, answer));
        }
        if connection.wants_turn() {
            return Poll::Ready(WakeUp::Turn);
        }
        timeout.map(|()| WakeUp::Timeout)
    }

    /// Reads once, into the worker's buffer, and handles it.
    async fn read(&mut self) {
        let mut buffer = self.worker.take_buffer();
        let result = (&self.socket.stream).read(&mut buffer);
        let now = self.worker.clock.now();
        if !matches!(&result, Ok(read) if *read == buffer.len()) {
            self.source.handle_emptied();
        }
        #[cfg(test)]
        tests::misbehave(&buffer[..*result.as_ref().unwrap_or(&0)]);
        let stall = self.hear(now, Event::of_read(result, &buffer));
        self.worker.give_buffer_back(buffer);
        self.let_others_go_on(stall).await;
    }

    async fn handle(&mut self, event: Event<'_>) {
        let stall = self.hear(self.worker.clock.now(), event);
        self.let_others_go_on(stall).await;
    }

    async fn let_others_go_on(&mut self, stall: Option<Stall>) {
        self.worker.catch_up().await;
        if let Some(stall) = stall {
            self.wait_for_relief(stall).await;
        }
        if self.source.is_readable() || self.wants_turn() {
            // Others on this worker come first before more of a busy connection.
            self.worker.reactor.next_round().await;
        }
    }

    /// Leaves the socket unread until slow targets have caught up, but not for long.
    async fn wait_for_relief(&mut self, stall: Stall) {
        let Self { worker, socket: own_socket, source, outbound, .. } = self;
        let relief = async {
            for socket in stall.slow.into_iter().filter_map(|id| worker.sockets.get(id)) {
                let listener = socket.relief.listen();
                if socket.is_slow() {
                    listener.await;
                }
            }
        };
        let until = worker.clock.now() + stall.longest;
        let timeout = poll_fn(|cx| source.poll_timer(cx, until));
        // The own socket may be among the slow ones, and nobody else empties its backlog.
        let own = poll_fn(|cx| {
            loop {
                match ready!(own_socket.poll_summons(cx, source)) {
                    Summon::Write => write(worker, own_socket, outbound),
                    Summon::Close => return Poll::Ready(()),
                }
            }
        });
        relief.or(timeout).or(own).await;
    }

    fn hear(&mut self, now: Instant, event: Event<'_>) -> Option<Stall> {
        let Self { worker, socket, timer_at, asked, .. } = self;
        let mut held = socket.connection();
        let connection = held.as_mut()?;
        // After a read too: nobody looks at the timer while there is more to read.
        if timer_at.take_if(|at| *at <= now).is_some() {
            socket.handle_deadline(now);
        }
        let stall = driver::handle(&worker.node, connection, now, event, &mut worker.staging.borrow_mut());
        worker.pass_on_attention();
        if let Some((ticket, effect)) = connection.poll_effect() {
            *asked = worker.ask(socket.entry.remote().ip(), ticket, effect);
        }
        drop(held);
        if self.outbound.is_some() {
            self.socket.let_encode();
        }
        stall
    }

    async fn end(&mut self) {
        let Self { worker, socket, source, outbound, .. } = self;
        let Some(connection) = socket.connection().take() else {
            return;
        };
        let (id, now) = (connection.id(), worker.clock.now());
        let (reason, mut left) =
            driver::end(&worker.node, *connection, now, &mut worker.staging.borrow_mut());
        worker.pass_on_attention();
        worker.catch_up().await;
        socket.end(now, reason);
        if socket.begin_finish() {
            outbound.get_or_insert_default().finish();
            write(worker, socket, outbound);
        }
        write_last_words(worker, socket, source, outbound).await;
        let linger_until = socket.linger_until(worker.clock.now());
        worker.sockets.remove(id);
        let discarded = socket.shutdown();
        while let Some(removal) = left {
            worker.reactor.next_round().await;
            let now = worker.clock.now();
            left = driver::remove(&worker.node, removal, now, &mut worker.staging.borrow_mut());
            worker.catch_up().await;
        }
        if discarded != Discarded::All
            && let Some(until) = linger_until
        {
            wait_for_peer(worker, socket, source, until).await;
        }
    }
}

/// A driver that panicked, or that is dropped with its worker, has not come to the end.
impl Drop for Driver {
    fn drop(&mut self) {
        let Self { worker, socket, .. } = self;
        let connection = socket.connection().take();
        if let Some(connection) = connection {
            error!("internal error of the driver of connection {}, which is closed", socket.entry.cid());
            abandon(&worker.node, socket, connection, worker.clock.now(), &mut worker.staging.borrow_mut());
            worker.pass_on_attention();
        }
        worker.sockets.remove(socket.entry.id());
    }
}

/// When a connection or its socket wants to be handled although nothing happened.
fn poll_timeout(connection: &Connection, socket: &Socket) -> Instant {
    let (at, _) = connection.poll_timeout();
    let deadline = socket.is_blocked().then(|| socket.poll_deadline()).flatten();
    deadline.map_or(at, |deadline| at.min(deadline))
}

/// Writes what the socket takes now, encoded if the connection was switched to that.
fn write(worker: &Worker, socket: &Socket, outbound: &mut Option<Box<Outbound>>) {
    let now = worker.clock.now();
    if socket.is_coded() {
        socket.write_encoded(now, outbound.get_or_insert_default());
    } else {
        socket.write_pending(now);
    }
}

/// Writes what still waits for a peer whose connection has ended, until it is to be given up.
async fn write_last_words(
    worker: &Worker,
    socket: &Socket,
    source: &Source,
    outbound: &mut Option<Box<Outbound>>,
) {
    while socket.poll_deadline().is_some() {
        write(worker, socket, outbound);
        socket.handle_deadline(worker.clock.now());
        if let Some(look_at) = socket.poll_deadline() {
            source.writable(look_at).await;
        }
    }
}

/// Waits until the peer of a socket whose sending half is closed has closed its own, but no longer than `until`. What it
/// sends meanwhile is dropped.
async fn wait_for_peer(worker: &Worker, socket: &Socket, source: &Source, until: Instant) {
    while worker.clock.now() < until {
        match socket.discard() {
            Discarded::All => return,
            Discarded::UntilNow => {
                source.handle_emptied();
                source.readable(until).await;
            }
            Discarded::Part => worker.reactor.next_round().await,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use onehop::config::{Authorization, Config};
    use onehop::connection::Verdict;
    use onehop::driver::{Authenticator, PasswordChecks, SocketKind};
    use onehop::hub::Kind;
    use onehop::{CloseReason, Listening, Node};
    use smol::channel;

    use super::*;
    use crate::clock::Clock;
    use crate::sockets::Sockets;
    use crate::worker::{Job, Shared};
    use crate::worker_thread;

    /// A fault of this runtime's own, as a test wants it of the connection that sends this.
    pub(super) fn misbehave(read: &[u8]) {
        assert!(!read.starts_with(b"PANIC"), "as the test wants it");
        for (number, lets_go) in LETS_GO.iter().enumerate() {
            while read == format!("STICK {number}").as_bytes() && !lets_go.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Whether a worker goes on that was told to stick, by the number of the test.
    pub(crate) static LETS_GO: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

    fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (far, remote) = listener.accept().expect("a connection");
        (near, far, remote)
    }

    /// One worker and its node.
    struct Scene {
        node: Arc<Node>,
        sockets: Arc<Sockets>,
        worker: worker_thread::Handle,
    }

    impl Scene {
        fn start(config: Config) -> Self {
            Self::start_with(config, None)
        }

        fn start_with(config: Config, authenticator: Option<Authenticator>) -> Self {
            let clock = Clock::start();
            let shared = Shared {
                node: Node::new(config, &Listening::default(), clock.now()),
                sockets: Arc::new(Sockets::default()),
                clock,
                attention: Arc::new(event_listener::Event::new()),
                authenticator,
                password_checks: Arc::new(PasswordChecks::new(1)),
            };
            let (node, sockets) = (shared.node.clone(), shared.sockets.clone());
            Self { node, sockets, worker: worker_thread::start(shared, 0).expect("a thread") }
        }

        fn connect(&self) -> TcpStream {
            let (near, far, remote) = pair();
            let job = Job { stream: far, remote, kind: SocketKind::Client };
            self.worker.give(job).expect("a worker");
            near
        }

        /// Without a CONNECT no PING comes for two minutes: the driver wakes up for nothing else.
        fn subscribe(&self) -> TcpStream {
            let mut subscriber = self.connect();
            subscriber.write_all(b"SUB a 1\r\n").expect("written");
            while self.node.hub().global_account().index().is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            subscriber
        }

        fn publish(&self, messages: usize) -> TcpStream {
            let mut publisher = self.connect();
            let message = [b"PUB a 500000\r\n".as_slice(), &[b'x'; PAYLOAD_BYTES], b"\r\n"].concat();
            (0..messages).for_each(|_| publisher.write_all(&message).expect("written"));
            publisher
        }
    }

    #[test]
    fn a_driver_that_panics_ends_its_connection_and_takes_no_neighbour_with_it() {
        let scene = Scene::start(Config::default());
        let mut neighbour = scene.subscribe();
        let mut victim = scene.connect();
        victim.write_all(b"SUB b 1\r\n").expect("written");
        let index = || scene.node.hub().global_account().index().len();
        while index() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        victim.write_all(b"PANIC").expect("written");
        victim.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        victim.read_to_end(&mut Vec::new()).expect("an end");
        let closed = scene.node.hub().closed().to_vec();
        let reasons: Vec<_> = closed.iter().map(|closed| closed.reason).collect();
        assert_eq!((reasons, index()), (vec![CloseReason::InternalError], 1));
        neighbour.write_all(b"PUB a 1\r\nx\r\n").expect("written");
        neighbour.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        let mut lines = BufReader::new(neighbour).lines().map(|line| line.expect("a line"));
        assert!(lines.any(|line| line == "MSG a 1 1"));
        while scene.sockets.count() > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_reads_nothing_of_what_others_send_is_closed_at_the_write_deadline() {
        let config = Config { write_deadline: Duration::from_millis(200), ..Config::default() };
        let scene = Scene::start(config);
        let _subscriber = scene.subscribe();
        // More than the buffers of the two sockets take.
        let _publisher = scene.publish(60);
        let limit = std::time::Instant::now() + Duration::from_secs(20);
        while scene.sockets.count() > 1 && std::time::Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        let slow_clients = scene.node.hub().totals().slow_clients.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((slow_clients, scene.sockets.count()), (1, 1));
    }

    #[test]
    fn who_is_closed_for_anothers_sake_gets_what_waited_for_it_though_it_goes_on_sending() {
        const MESSAGES: usize = 60;
        let scene = Scene::start(Config::default());
        let mut subscriber = scene.subscribe();
        let _publisher = scene.publish(MESSAGES);
        while scene.node.hub().totals().traffic(Kind::Client).in_messages() < MESSAGES as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        for socket in scene.sockets.all().iter().filter(|socket| socket.pending_bytes() > 0) {
            socket.request_close(CloseReason::MaximumConnectionsExceeded);
        }
        let (mut chunk, mut bytes) = (vec![0; 100_000], 0);
        while let Ok(read @ 1..) = subscriber.read(&mut chunk) {
            bytes += read;
            let _ = subscriber.write_all(b"PUB b 0\r\n\r\n");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(bytes / PAYLOAD_BYTES, MESSAGES);
        assert_eq!(scene.sockets.count(), 1);
    }

    #[test]
    fn the_program_is_asked_who_may_come_in_and_nobody_waits_for_its_answer_but_whom_it_is_about() {
        let config = Config { authorization: Authorization::External, ..Config::default() };
        let (ask, asked) = channel::bounded(1);
        let (answer, answered) = channel::bounded(1);
        let authenticator = Authenticator::new(move |credentials| {
            if credentials.user == "slow" {
                ask.send_blocking(()).expect("somebody to ask");
                answered.recv_blocking().expect("an answer");
            }
            match credentials.password.expose() {
                "good" => Verdict::Accepted { account: "$G".to_owned() },
                _ => Verdict::Refused,
            }
        });
        let scene = Scene::start_with(config, Some(authenticator));
        let client = |user, password| {
            let mut client = scene.connect();
            client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
            let connect = format!(
                "CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\nPING\r\n"
            );
            client.write_all(connect.as_bytes()).expect("written");
            let mut lines = BufReader::new(client).lines().map(|line| line.expect("a line"));
            assert!(lines.next().expect("a greeting").starts_with("INFO {"));
            lines
        };
        let mut slow = client("slow", "good");
        asked.recv_blocking().expect("a question");
        assert_eq!(client("joe", "bad").collect::<Vec<_>>(), ["-ERR 'Authorization Violation'"]);
        assert_eq!(client("joe", "good").next().as_deref(), Some("PONG"));
        answer.send_blocking(()).expect("somebody to answer");
        assert_eq!(slow.next().as_deref(), Some("PONG"));
    }

    const PAYLOAD_BYTES: usize = 500_000;
}
