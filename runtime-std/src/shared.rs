//! What all threads of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time;

use onehop::config::Config;
use onehop::delivery::Staging;
use onehop::{Instant, Listening, Node};

use crate::alarm::Alarm;
use crate::monitor::Seats;
use crate::socket::Sockets;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) sockets: Arc<Sockets>,
    /// Wakes the control thread.
    pub(crate) attention: Alarm,
    pub(crate) monitoring: Seats,
    shutting_down: AtomicBool,
    started: time::Instant,
}

impl Shared {
    pub(crate) fn new(config: Config, listening: &Listening) -> Self {
        Self {
            node: Node::new(config, listening, Instant::ZERO),
            sockets: Arc::new(Sockets::default()),
            attention: Alarm::default(),
            monitoring: Seats::default(),
            shutting_down: AtomicBool::new(false),
            started: time::Instant::now(),
        }
    }

    /// The time on the node's clock.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// A sink for one thread. It keeps no buffer from batch to batch, since the thread has one connection.
    pub(crate) fn staging(&self) -> Staging<Arc<Sockets>> {
        Staging::new(self.sockets.clone(), self.node.hub().config().max_pending, 0)
    }

    /// Wakes the control thread if the node wants to dial or to be asked at another time. After each call of a
    /// connection, and after a failed dial.
    pub(crate) fn pass_on_attention(&self) {
        if self.node.take_attention() {
            self.attention.ring();
        }
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutting_down.store(true, Ordering::SeqCst);
        self.attention.ring();
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::SeqCst)
    }
}
