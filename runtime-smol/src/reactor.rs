//! What a worker waits in: a poller of its own, in which each socket stands once, and timers without descriptors.
//!
//! Tasks run in rounds. In each one the worker runs whatever can go on, looks once at all sockets and timers, and wakes the
//! tasks that wait for them. A task that has more to do than is fair [waits for the next round](Reactor::next_round), so that
//! everybody else goes on first.
//!
//! Sockets are watched for edges: once one was seen, a socket counts as readable, or writable, until its driver found that it
//! is not. So no wait costs more than one system call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{mem, pin};

use log::error;
use mio::net::TcpStream;
use mio::{Events, Interest, Token};
use onehop::Instant;
use slab::Slab;
use smol::{LocalExecutor, Task};

use crate::clock::Clock;
use crate::load::Load;

/// The poller of one worker, and who waits for what. It never leaves the worker's thread.
pub(crate) struct Reactor {
    poll: RefCell<mio::Poll>,
    events: RefCell<Events>,
    /// Rung by other threads that wake a task of this one while it waits.
    bell: Waker,
    clock: Clock,
    /// When the sockets were last looked at.
    looked_at: Cell<Instant>,
    sources: RefCell<Slab<State>>,
    /// Which source is to be woken when.
    timers: RefCell<BTreeSet<(Instant, usize)>>,
    /// Who waits for the next round.
    deferred: RefCell<Vec<Waker>>,
}

/// A socket, as its driver waits for it; with a timer.
pub(crate) struct Source {
    reactor: Rc<Reactor>,
    key: usize,
}

#[derive(Debug, Default)]
struct State {
    readable: bool,
    /// What is left to be read is the end.
    is_read_closed: bool,
    writable: bool,
    timer: Option<Instant>,
    driver: Option<Waker>,
}

struct Bell(mio::Waker);

impl Reactor {
    /// # Errors
    ///
    /// The system has no poller left.
    pub(crate) fn new(clock: Clock) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let bell = Arc::new(Bell(mio::Waker::new(poll.registry(), BELL)?));
        Ok(Self {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS_AT_ONCE)),
            bell: bell.into(),
            clock,
            looked_at: Cell::new(clock.now()),
            sources: RefCell::default(),
            timers: RefCell::default(),
            deferred: RefCell::default(),
        })
    }

    /// Runs the tasks of an executor until `main`, one of them, is over. Tells `load` of each turn, in which a task goes on
    /// without a pause. If a task panics, so does this; it may be called again then, and the others go on.
    pub(crate) fn run(&self, executor: &LocalExecutor<'_>, main: &Task<()>, load: &Load) {
        let mut cx = Context::from_waker(&self.bell);
        let mut begun = self.clock.now();
        load.handle_begun(begun);
        let turn_over = |begun: Instant| {
            let ended = self.clock.now();
            load.handle_turn(begun, ended);
            ended
        };
        loop {
            let mut turns = 0;
            while turns < TURNS_AT_ONCE && executor.try_tick() {
                begun = turn_over(begun);
                turns += 1;
            }
            if main.is_finished() {
                return load.handle_idle();
            }
            if turns == TURNS_AT_ONCE {
                // Other threads may wake tasks faster than they are done with.
                begun = self.look(Some(Duration::ZERO));
            } else {
                // As long as this exists, other threads ring the bell when they wake a task.
                let tick = pin::pin!(executor.tick());
                begun = match tick.poll(&mut cx) {
                    Poll::Pending => {
                        load.handle_idle();
                        self.look(self.longest_wait(begun))
                    }
                    // Another thread woke one just now.
                    Poll::Ready(()) => turn_over(begun),
                };
            }
            load.handle_begun(begun);
            self.wake_all();
        }
    }

    /// Watches a socket, for good, on behalf of one driver.
    ///
    /// # Errors
    ///
    /// The system can watch no more.
    pub(crate) fn register(self: &Rc<Self>, stream: &mut TcpStream) -> io::Result<Source> {
        let key = self.sources.borrow_mut().insert(State::default());
        let source = Source { reactor: self.clone(), key };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.borrow().registry().register(stream, Token(key), interest)?;
        Ok(source)
    }

    /// Lets everybody else who can do so go on first.
    pub(crate) async fn next_round(&self) {
        let mut is_deferred = false;
        poll_fn(|cx| {
            if mem::replace(&mut is_deferred, true) {
                return Poll::Ready(());
            }
            self.deferred.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How long nothing may be to be done but what a socket or the bell tells; none means for ever.
    fn longest_wait(&self, now: Instant) -> Option<Duration> {
        if !self.deferred.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        self.timers.borrow().first().map(|(at, _)| at.since(now))
    }

    /// Looks at all sockets; waits for one, or for the bell, no longer than that. Returns the time.
    fn look(&self, timeout: Option<Duration>) -> Instant {
        let polled = self.poll.borrow_mut().poll(&mut self.events.borrow_mut(), timeout);
        if let Err(fault) = polled
            && fault.kind() != io::ErrorKind::Interrupted
        {
            error!("cannot wait for sockets: {fault}");
        }
        let now = self.clock.now();
        self.looked_at.set(now);
        now
    }

    /// Wakes whoever waited for what was seen, then whoever let them go first.
    fn wake_all(&self) {
        let mut sources = self.sources.borrow_mut();
        for event in &*self.events.borrow() {
            // The bell has no state, nor has a socket whose driver is gone.
            if let Some(state) = sources.get_mut(event.token().0) {
                state.handle(event);
            }
        }
        self.events.borrow_mut().clear();
        let mut timers = self.timers.borrow_mut();
        while let Some(entry) = timers.first().copied().filter(|(at, _)| *at <= self.looked_at.get()) {
            timers.remove(&entry);
            sources[entry.1].timer = None;
            sources[entry.1].wake();
        }
        self.deferred.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

impl Source {
    /// Ready as long as there may be something to read.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, |state| state.readable)
    }

    /// Whether there may be something to read.
    pub(crate) fn is_readable(&self) -> bool {
        self.reactor.sources.borrow()[self.key].readable
    }

    /// All that was there has been read.
    pub(crate) fn handle_emptied(&self) {
        let state = &mut self.reactor.sources.borrow_mut()[self.key];
        state.readable = state.is_read_closed;
    }

    /// Ready once after each time that the socket, which had taken not all, takes more; at first too.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, |state| mem::take(&mut state.writable))
    }

    /// Ready from a moment on. A source has one timer, which is set anew by each call.
    pub(crate) fn poll_timer(&self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let looked_at = self.reactor.looked_at.get();
        self.poll(cx, |state| {
            if state.timer != Some(at) {
                let mut timers = self.reactor.timers.borrow_mut();
                state.timer.replace(at).map(|old| timers.remove(&(old, self.key)));
                timers.insert((at, self.key));
            }
            at <= looked_at
        })
    }

    /// Waits until a socket that had taken not all takes more, but no longer than `until`.
    pub(crate) async fn writable(&self, until: Instant) {
        self.wait(until, Self::poll_writable).await;
    }

    /// Waits until there may be something to read, but no longer than `until`.
    pub(crate) async fn readable(&self, until: Instant) {
        self.wait(until, Self::poll_readable).await;
    }

    async fn wait(&self, until: Instant, poll: impl Fn(&Self, &mut Context<'_>) -> Poll<()>) {
        poll_fn(|cx| {
            let ready = poll(self, cx);
            if ready.is_ready() { ready } else { self.poll_timer(cx, until) }
        })
        .await;
    }

    fn poll(&self, cx: &mut Context<'_>, is_ready: impl FnOnce(&mut State) -> bool) -> Poll<()> {
        let state = &mut self.reactor.sources.borrow_mut()[self.key];
        if is_ready(state) {
            return Poll::Ready(());
        }
        if !state.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let state = self.reactor.sources.borrow_mut().remove(self.key);
        state.timer.map(|at| self.reactor.timers.borrow_mut().remove(&(at, self.key)));
    }
}

impl State {
    fn handle(&mut self, event: &mio::event::Event) {
        // If the socket failed, so does what its driver does next.
        let failed = event.is_error();
        self.is_read_closed |= event.is_read_closed() || failed;
        self.readable |= event.is_readable() || self.is_read_closed;
        self.writable |= event.is_writable() || event.is_write_closed() || failed;
        self.wake();
    }

    fn wake(&mut self) {
        self.driver.take().into_iter().for_each(Waker::wake);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Err(fault) = self.0.wake() {
            error!("cannot wake a worker: {fault}");
        }
    }
}

/// No source has this key.
const BELL: Token = Token(usize::MAX);

/// The sockets are looked at after so many turns, even if more tasks can go on.
const TURNS_AT_ONCE: usize = 1024;

/// So many sockets are seen at a time; the others in the next round.
const EVENTS_AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use smol::future::yield_now;

    use super::*;

    #[test]
    fn who_is_woken_without_end_keeps_no_socket_unread() {
        let reactor = Rc::new(Reactor::new(Clock::start()).expect("a poller"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let mut near =
            std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a peer");
        let (far, _) = listener.accept().expect("a connection");
        far.set_nonblocking(true).expect("a socket");
        let mut far = TcpStream::from_std(far);
        let source = reactor.register(&mut far).expect("a place");
        near.write_all(b"x").expect("written");
        let turns = Rc::new(Cell::new(0));
        let executor = LocalExecutor::new();
        let busy = turns.clone();
        let busy = async move {
            while busy.get() < 10 * TURNS_AT_ONCE {
                busy.set(busy.get() + 1);
                yield_now().await;
            }
        };
        executor.spawn(busy).detach();
        let until = reactor.clock.now() + Duration::from_secs(10);
        let main = executor.spawn(async move { source.readable(until).await });
        reactor.run(&executor, &main, &Load::new(reactor.clock.now()));
        assert!(turns.get() <= 2 * TURNS_AT_ONCE, "{}", turns.get());
    }
}
