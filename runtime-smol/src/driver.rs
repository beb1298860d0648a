//! The life of one connection on its worker: wait, read, hand to the machine, flush; until it ends.

use std::future::poll_fn;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use log::error;
use onehop::outbox::{Overdue, Pressure};
use onehop::{CloseReason, Connection, Instant};
use smol::future::{FutureExt, yield_now};

use crate::links::Link;
use crate::worker::Worker;

/// Drives a connection from its first byte to its last.
pub(crate) async fn drive(worker: Rc<Worker>, connection: Connection, link: Arc<Link>) {
    let mut driver =
        Driver { worker, connection, link, timer: Timer::never(), timer_at: None, readable: true };
    driver.after_batch();
    let reason = loop {
        if let Some(reason) = driver.connection.poll_close() {
            break reason;
        }
        match poll_fn(|cx| driver.poll_event(cx)).await {
            Event::Readable => driver.read().await,
            Event::Writable => driver.link.write_pending(driver.worker.clock.now()),
            Event::Timeout => driver.handle_timeout(),
            Event::CloseRequest(reason) => driver.connection.handle_close_request(reason),
        }
    };
    driver.end(reason).await;
}

struct Driver {
    worker: Rc<Worker>,
    connection: Connection,
    link: Arc<Link>,
    timer: Timer,
    timer_at: Option<Instant>,
    /// There may be more to read without waiting.
    readable: bool,
}

enum Event {
    Readable,
    Writable,
    Timeout,
    CloseRequest(CloseReason),
}

impl Driver {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.link.waker.register(cx.waker());
        if let Some(reason) = self.link.close_request() {
            return Poll::Ready(Event::CloseRequest(reason));
        }
        if self.link.is_blocked() && self.link.socket.poll_writable(cx).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        // Each time, since the socket may have been blocked, and so got a write deadline, by another connection's driver.
        self.set_timer();
        if self.readable || self.link.socket.poll_readable(cx).is_ready() {
            return Poll::Ready(Event::Readable);
        }
        Pin::new(&mut self.timer).poll(cx).map(|_| Event::Timeout)
    }

    /// Reads once, into the worker's buffer, and handles it.
    async fn read(&mut self) {
        let mut buffer = self.worker.buffer.take();
        let result = self.link.socket.get_ref().read(&mut buffer);
        let now = self.worker.clock.now();
        // A buffer that was not filled has emptied the socket.
        self.readable = matches!(&result, Ok(read) if *read == buffer.len());
        match result {
            Ok(0) => self.connection.handle_close_request(CloseReason::ClientClosed),
            Ok(read) => self.guarded(|driver| {
                let mut post = driver.worker.post.borrow_mut();
                driver.connection.handle_input(now, &buffer[..read], &mut *post);
            }),
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.connection.handle_close_request(CloseReason::ReadError),
        }
        self.worker.buffer.replace(buffer);
        let slow = self.after_batch();
        if !slow.is_empty()
            && let Some(longest) = self.connection.stall(Pressure::High)
        {
            self.stall(slow, longest).await;
        }
        if self.readable {
            if self.timer_at.is_some_and(|at| at <= now) {
                // Nobody looks at the timer while there is more to read.
                self.handle_timeout();
            }
            // Others on this worker come first before more of a busy connection.
            yield_now().await;
        }
    }

    /// Leaves the socket unread until slow targets have caught up, but not for long.
    async fn stall(&self, slow: Vec<Arc<Link>>, longest: Duration) {
        self.worker.node.hub().record_stall();
        let relief = async {
            for link in slow {
                let listener = link.relief.listen();
                if link.is_slow() {
                    listener.await;
                }
            }
        };
        let timeout = async {
            Timer::after(longest).await;
        };
        // The own socket may be among the slow ones, and nobody else empties its outbox.
        let own = poll_fn(|cx| {
            self.link.waker.register(cx.waker());
            if self.link.close_request().is_some() {
                return Poll::Ready(());
            }
            while self.link.is_blocked() && self.link.socket.poll_writable(cx).is_ready() {
                self.link.write_pending(self.worker.clock.now());
            }
            Poll::Pending
        });
        relief.or(timeout).or(own).await;
    }

    fn handle_timeout(&mut self) {
        let now = self.worker.clock.now();
        self.timer_at = None;
        let overdue = self.link.outbox().handle_deadline(now, self.link.policy());
        if overdue == Overdue::Close {
            self.connection.handle_close_request(CloseReason::SlowConsumerWriteDeadline);
        }
        self.guarded(|driver| {
            let mut post = driver.worker.post.borrow_mut();
            driver.connection.handle_timeout(now, &mut *post);
        });
        self.after_batch();
    }

    /// Sends what the machine had to say, and lets the control task know if the cluster wants something. Returns the
    /// targets that are too slow.
    fn after_batch(&mut self) -> Vec<Arc<Link>> {
        let slow = self.worker.flush(self.link.entry.id());
        if self.worker.node.take_attention() {
            self.worker.attention.notify(1);
        }
        slow
    }

    fn set_timer(&mut self) {
        let (mut at, _) = self.connection.poll_timeout();
        if self.link.is_blocked()
            && let Some(deadline) = self.link.outbox().poll_deadline()
        {
            at = at.min(deadline);
        }
        if self.timer_at != Some(at) {
            self.timer_at = Some(at);
            self.timer.set_at(self.worker.clock.to_system(at));
        }
    }

    /// A fault of the machine ends this connection and no other.
    fn guarded(&mut self, f: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| f(self))).is_err() {
            error!("internal error on connection {}, which is closed", self.link.entry.cid());
            self.connection.handle_close_request(CloseReason::ProtocolViolation);
        }
    }

    async fn end(self, reason: CloseReason) {
        let Self { worker, connection, link, .. } = self;
        let id = connection.id();
        let now = worker.clock.now();
        let ended =
            catch_unwind(AssertUnwindSafe(|| connection.handle_closed(now, &mut *worker.post.borrow_mut())));
        if ended.is_err() {
            error!("internal error while connection {} was closed", link.entry.cid());
        }
        worker.flush(id);
        if worker.node.take_attention() {
            worker.attention.notify(1);
        }
        if reason.flushes() {
            write_rest(&worker, &link).await;
        }
        worker.links.remove(id);
        link.shutdown();
        // Nobody waits for a connection that is gone.
        link.relief.notify(usize::MAX);
    }
}

/// Writes what still waits for a peer whose connection ends, for a short while.
async fn write_rest(worker: &Worker, link: &Link) {
    let rest = poll_fn(|cx| {
        while link.is_blocked() {
            if link.socket.poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
            link.write_pending(worker.clock.now());
        }
        Poll::Ready(())
    });
    let timeout = async {
        Timer::after(LAST_WORDS).await;
    };
    rest.or(timeout).await;
}

/// How long a connection that ends may take to hear why.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use event_listener::Event;
    use onehop::config::Config;
    use onehop::{Listening, Node};

    use super::*;
    use crate::clock::Clock;
    use crate::links::Links;
    use crate::worker::{self, Job, Origin, Shared};

    fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (far, remote) = listener.accept().expect("a connection");
        (near, far, remote)
    }

    #[test]
    fn who_reads_nothing_of_what_others_send_is_closed_at_the_write_deadline() {
        let clock = Clock::start();
        let config = Config { write_deadline: Duration::from_millis(200), ..Config::default() };
        let shared = Shared {
            node: Node::new(config, &Listening::default(), clock.now()),
            links: Arc::new(Links::default()),
            clock,
            attention: Arc::new(Event::new()),
        };
        let (links, node) = (shared.links.clone(), shared.node.clone());
        let jobs = worker::start(shared, 0).expect("a thread");
        let connect = || {
            let (near, far, remote) = pair();
            jobs.try_send(Job { socket: far, remote, origin: Origin::Client }).expect("a worker");
            near
        };
        // Without a CONNECT no PING comes for two minutes: nothing but the deadline can wake the driver.
        let mut subscriber = connect();
        subscriber.write_all(b"SUB a 1\r\n").expect("written");
        while node.hub().global_account().index().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut publisher = connect();
        // More than the buffers of the two sockets take.
        let message = [b"PUB a 500000\r\n".as_slice(), &[b'x'; 500_000], b"\r\n"].concat();
        for _ in 0..60 {
            publisher.write_all(&message).expect("written");
        }
        let limit = std::time::Instant::now() + Duration::from_secs(20);
        while links.count() > 1 && std::time::Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        let slow_clients = node.hub().totals().slow_clients.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((slow_clients, links.count()), (1, 1));
    }
}
