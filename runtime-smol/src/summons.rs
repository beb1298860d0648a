//! What others leave for the driver of a socket to do, and how it is woken for that.
//!
//! Any worker pushes into the backlog of a socket and writes what it took out of it, for which it holds no lock; only the
//! driver can wait until the socket takes more, encode, and end the connection. Nothing of that may be missed, whatever happens
//! at once, so three rules hold:
//!
//! - who finds that somebody writes leaves what he pushed in the backlog; who wrote looks there again before he goes;
//! - who leaves something puts it into the backlog, sets its flag, and wakes the driver, in this order; the driver leaves its
//!   waker before it looks at the flags;
//! - the driver takes a flag down before it takes what stands behind it.
//!
//! All orders of a few steps are tried out in the test, with the flags and wakers of a model checker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;

/// The flags and the waker of one driver.
#[derive(Debug, Default)]
pub(crate) struct Summons<F = AtomicBool, W = AtomicWaker> {
    /// The socket did not take everything: the driver must wait until it is writable.
    blocked: F,
    /// Something waits for the driver to write it, or to encode and write it, which nobody else does.
    left: F,
    /// The backlog has a close request.
    to_close: F,
    driver: W,
}

/// What a driver is summoned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Summon {
    /// To ask the backlog why the connection is to end.
    Close,
    /// To write, or encode and write, what waits.
    Write,
}

/// A flag that threads share.
pub(crate) trait Flag {
    /// Sets it or takes it down, after all that was done before.
    fn set(&self, on: bool);
    /// Whether it is set.
    fn is_set(&self) -> bool;
}

/// The waker of a task that threads share.
pub(crate) trait Wake {
    /// Leaves the waker to be woken.
    fn register(&self, waker: &Waker);
    /// Wakes the task that left its waker.
    fn wake(&self);
}

impl<F: Flag, W: Wake> Summons<F, W> {
    /// A batch was pushed to the backlog, whose lock is held. Whether to write what waits at once; if nobody else can or may,
    /// it is left to the driver.
    pub(crate) fn may_write(&self, is_coded: bool) -> bool {
        if is_coded {
            self.handle_left();
        }
        !is_coded && !self.blocked.is_set()
    }

    /// Something waits that the driver is to write, or to encode and write.
    pub(crate) fn handle_left(&self) {
        self.left.set(true);
        self.driver.wake();
    }

    /// The driver is about to write what waits, or to take it out of the backlog to encode and write it. It holds the lock of
    /// the backlog, or takes it after this.
    pub(crate) fn begin_write(&self) {
        self.left.set(false);
        self.blocked.set(false);
    }

    /// The socket took not all of a write.
    pub(crate) fn handle_blocked(&self) {
        self.blocked.set(true);
        self.driver.wake();
    }

    /// The backlog, whose lock is held, has a close request.
    pub(crate) fn handle_close_request(&self) {
        if !self.to_close.is_set() {
            self.to_close.set(true);
            self.driver.wake();
        }
    }

    /// Lets the driver, which calls this, encode once more although nobody pushed.
    pub(crate) fn let_encode(&self) {
        self.left.set(true);
    }

    /// What the driver has to do now. `poll_writable` says whether a socket that took not all takes more.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        poll_writable: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<Summon> {
        self.driver.register(cx.waker());
        if self.to_close.is_set() {
            return Poll::Ready(Summon::Close);
        }
        if self.blocked.is_set() {
            return poll_writable(cx).map(|()| Summon::Write);
        }
        if self.left.is_set() { Poll::Ready(Summon::Write) } else { Poll::Pending }
    }

    /// Whether something is left to the driver to write, for which it need not wait.
    pub(crate) fn is_left(&self) -> bool {
        self.left.is_set()
    }

    /// Whether the driver must wait until the socket is writable.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.is_set()
    }
}

impl Flag for AtomicBool {
    fn set(&self, on: bool) {
        self.store(on, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.load(Ordering::Acquire)
    }
}

impl Wake for AtomicWaker {
    fn register(&self, waker: &Waker) {
        self.register(waker);
    }

    fn wake(&self) {
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use loom::future::{AtomicWaker as ModelWaker, block_on};
    use loom::model::Builder;
    use loom::sync::atomic::AtomicBool as ModelBool;
    use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    use loom::thread;
    use onehop::delivery::Written;

    use super::*;

    impl Flag for ModelBool {
        fn set(&self, on: bool) {
            self.store(on, Ordering::Release);
        }

        fn is_set(&self) -> bool {
            self.load(Ordering::Acquire)
        }
    }

    impl Wake for ModelWaker {
        fn register(&self, waker: &Waker) {
            self.register_by_ref(waker);
        }

        fn wake(&self) {
            self.wake();
        }
    }

    /// A socket that holds one piece until its peer reads that, and its backlog, counted in pieces.
    struct Model {
        summons: Summons<ModelBool, ModelWaker>,
        is_coded: bool,
        backlog: Mutex<Pieces>,
        in_socket: Mutex<usize>,
        readable: Condvar,
        /// Who waits until the socket takes more.
        writable: ModelWaker,
    }

    #[derive(Default)]
    struct Pieces {
        waiting: usize,
        /// Somebody writes what he took out.
        is_out: bool,
    }

    impl Model {
        fn new(is_coded: bool) -> Arc<Self> {
            let flag = || ModelBool::new(false);
            let summons =
                Summons { blocked: flag(), left: flag(), to_close: flag(), driver: ModelWaker::new() };
            Arc::new(Self {
                summons,
                is_coded,
                backlog: Mutex::default(),
                in_socket: Mutex::new(0),
                readable: Condvar::new(),
                writable: ModelWaker::new(),
            })
        }

        /// What any worker does at the end of a batch.
        fn flush(&self) {
            let mut backlog = self.backlog();
            backlog.waiting += 1;
            if self.summons.may_write(self.is_coded) {
                self.write_out(backlog);
            }
        }

        /// What the driver does, until it is asked to end.
        async fn drive(&self) {
            // Taken out of the backlog to be encoded.
            let mut taken = 0;
            while poll_fn(|cx| self.summons.poll(cx, |cx| self.poll_writable(cx))).await == Summon::Write {
                if self.is_coded { self.write_encoded(&mut taken) } else { self.write_pending() }
            }
        }

        fn write_pending(&self) {
            let backlog = self.undisturbed_backlog();
            self.summons.begin_write();
            self.write_out(backlog);
        }

        /// Once, where a socket does so a few times.
        fn write_out(&self, mut backlog: MutexGuard<'_, Pieces>) {
            if backlog.is_out || backlog.waiting == 0 {
                return;
            }
            let mut taken = std::mem::take(&mut backlog.waiting);
            backlog.is_out = true;
            drop(backlog);
            let written = self.write(&mut taken);
            let mut backlog = self.backlog();
            backlog.is_out = false;
            backlog.waiting += taken;
            if written == Written::Blocked {
                self.summons.handle_blocked();
            } else if backlog.waiting > 0 {
                self.summons.handle_left();
            }
        }

        fn undisturbed_backlog(&self) -> MutexGuard<'_, Pieces> {
            loop {
                let backlog = self.backlog();
                if !backlog.is_out {
                    return backlog;
                }
                drop(backlog);
                thread::yield_now();
            }
        }

        fn write_encoded(&self, taken: &mut usize) {
            self.summons.begin_write();
            loop {
                *taken += std::mem::take(&mut self.undisturbed_backlog().waiting);
                let is_last = *taken == 0;
                if self.write(taken) == Written::Blocked {
                    return self.summons.handle_blocked();
                }
                if is_last {
                    return;
                }
            }
        }

        fn write(&self, pieces: &mut usize) -> Written {
            let mut in_socket = self.in_socket.lock().unwrap();
            while *pieces > 0 {
                if *in_socket > 0 {
                    return Written::Blocked;
                }
                (*pieces, *in_socket) = (*pieces - 1, 1);
                self.readable.notify_one();
            }
            Written::All
        }

        fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
            self.writable.register_by_ref(cx.waker());
            if *self.in_socket.lock().unwrap() > 0 { Poll::Pending } else { Poll::Ready(()) }
        }

        /// What the peer does: it reads so many pieces.
        fn read(&self, pieces: usize) {
            for _ in 0..pieces {
                let mut in_socket = self.in_socket.lock().unwrap();
                while *in_socket == 0 {
                    in_socket = self.readable.wait(in_socket).unwrap();
                }
                *in_socket = 0;
                drop(in_socket);
                self.writable.wake();
            }
        }

        fn request_close(&self) {
            let _backlog = self.backlog();
            self.summons.handle_close_request();
        }

        fn backlog(&self) -> MutexGuard<'_, Pieces> {
            self.backlog.lock().unwrap()
        }
    }

    /// Tries out the orders in which workers flush, the driver writes and the peer reads, and fails where one of them waits for
    /// ever.
    fn explore(is_coded: bool, workers: &'static [fn(&Model)], pieces: usize) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.check(move || {
            let model = Model::new(is_coded);
            let spawn = |act: fn(&Model)| {
                let model = model.clone();
                thread::spawn(move || act(&model))
            };
            let driver = spawn(|model| block_on(model.drive()));
            let workers: Vec<_> = workers.iter().map(|act| spawn(*act)).collect();
            model.read(pieces);
            model.request_close();
            workers.into_iter().chain([driver]).for_each(|thread| thread.join().unwrap());
        });
    }

    fn flush_twice(model: &Model) {
        model.flush();
        model.flush();
    }

    #[test]
    fn whatever_happens_at_once_everything_that_was_flushed_is_written() {
        explore(false, &[flush_twice], 2);
        explore(false, &[Model::flush, Model::flush], 2);
    }

    #[test]
    fn whatever_happens_at_once_everything_that_was_flushed_is_encoded_and_written() {
        explore(true, &[flush_twice], 2);
    }

    #[test]
    fn a_driver_that_two_others_ask_to_end_ends() {
        loom::model(|| {
            let model = Model::new(false);
            let closers = [(); 2].map(|()| {
                let model = model.clone();
                thread::spawn(move || model.request_close())
            });
            block_on(model.drive());
            closers.into_iter().for_each(|closer| closer.join().unwrap());
        });
    }

    /// How often a thread may be interrupted in the midst of what it does, in one run: more find no more, and take long.
    const PREEMPTIONS: usize = 2;
}
