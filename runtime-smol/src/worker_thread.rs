//! A thread that owns connections, from its first to its last.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use log::error;
use onehop::driver::contain;
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::future::FutureExt;

use crate::driver::drive;
use crate::load::{Load, Seat};
use crate::reactor::Reactor;
use crate::worker::{Job, Shared, Worker};

/// A worker, as others see it.
#[derive(Debug)]
pub(crate) struct Handle {
    jobs: Sender<(Job, Seat)>,
    /// The other end, for the case that the worker does not take them over.
    untaken: Receiver<(Job, Seat)>,
    load: Arc<Load>,
    /// Closed once the worker takes no more jobs.
    idle: Receiver<()>,
    /// Closed once the worker has no connection any more.
    closed: Receiver<()>,
}

/// The other end of a [`Handle`].
struct Inbox {
    jobs: Receiver<(Job, Seat)>,
    /// Held as long as there are jobs.
    busy: Sender<()>,
    /// Held by each driver, too: `all_closed` ends with the last of them.
    open: Sender<()>,
    all_closed: Receiver<()>,
}

/// Starts a worker thread; it ends when it is given no more jobs and its connections are closed.
///
/// # Errors
///
/// The system has no thread or poller left.
pub(crate) fn start(shared: Shared, number: usize) -> std::io::Result<Handle> {
    let (jobs, taken) = unbounded();
    let ((busy, idle), (open, closed)) = (bounded(1), bounded(1));
    let inbox = Inbox { jobs: taken.clone(), busy, open, all_closed: closed.clone() };
    let reactor = Reactor::new(shared.clock)?;
    let load = Arc::new(Load::new(shared.clock.now()));
    let told = load.clone();
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(move || run(number, shared, reactor, inbox, &told))?;
    Ok(Handle { jobs, untaken: taken, load, idle, closed })
}

impl Handle {
    /// What it tells of itself.
    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Gives the worker a socket; returns it if it takes no more.
    ///
    /// # Errors
    ///
    /// It was closed.
    pub(crate) fn give(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send((job, self.load.take_seat())).map_err(|refused| refused.into_inner().0)
    }

    /// What it was given and has not taken over.
    pub(crate) fn take_back(&self) -> Vec<Job> {
        std::iter::from_fn(|| self.untaken.try_recv().ok()).map(|(job, _)| job).collect()
    }

    /// Gives the worker no more jobs.
    pub(crate) fn close(&self) {
        self.jobs.close();
    }

    /// Waits until the worker has taken over what it was given before [`Handle::close`]. Input that it handles from then on
    /// was read later.
    pub(crate) fn wait_until_idle(&self) {
        self.wait_for_end_of(&self.idle);
    }

    /// Waits until all its connections are closed.
    pub(crate) fn wait_until_closed(&self) {
        self.wait_for_end_of(&self.closed);
    }

    /// A worker that does not go on is not waited for.
    fn wait_for_end_of(&self, channel: &Receiver<()>) {
        let is_given_up = async {
            while !self.load.is_stuck() {
                Timer::after(LOOK_PAUSE).await;
            }
        };
        let is_over = async {
            // Nothing is ever sent.
            let _ = channel.recv().await;
        };
        async_io::block_on(is_over.or(is_given_up));
    }
}

fn run(number: usize, shared: Shared, reactor: Reactor, inbox: Inbox, load: &Load) {
    let worker = Rc::new(Worker::new(number, shared, reactor));
    let executor = Rc::new(LocalExecutor::new());
    executor.spawn(worker.clone().write_all()).detach();
    let main = executor.spawn(take_over_all(worker.clone(), executor.clone(), inbox));
    // A task that panics ends, and what it leaves is cleared away; the others go on.
    while let Err(fault) = contain(|| worker.reactor.run(&executor, &main, load)) {
        error!("internal error on worker {number}, which goes on: {fault}");
    }
}

async fn take_over_all(worker: Rc<Worker>, executor: Rc<LocalExecutor<'static>>, inbox: Inbox) {
    let Inbox { jobs, busy, open, all_closed } = inbox;
    let mut taken = 0;
    while let Ok((job, seat)) = jobs.recv().await {
        match contain(|| worker.take_over(job)) {
            Ok(Some((socket, source))) => {
                let (worker, open) = (worker.clone(), open.clone());
                let driver = async move {
                    drive(worker, socket, source).await;
                    drop((open, seat));
                };
                executor.spawn(driver).detach();
            }
            Ok(None) => {}
            Err(fault) => error!("internal error while a socket was taken over, which is closed: {fault}"),
        }
        taken += 1;
        if taken % TAKEN_AT_ONCE == 0 {
            worker.reactor.next_round().await;
        }
    }
    drop((busy, open));
    let _ = all_closed.recv().await;
}

/// How often is looked whether a worker goes on that is waited for.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// So many newcomers are greeted before those that are here have their turn: a herd keeps nobody waiting.
const TAKEN_AT_ONCE: usize = 32;
