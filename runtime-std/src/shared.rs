//! What all threads of a server share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time;

use onehop::config::Config;
use onehop::delivery::Staging;
use onehop::driver::{Authenticator, LongestTurn, PasswordChecks};
use onehop::{Instant, Listening, Node};

use crate::alarm::Alarm;
use crate::monitor::Conversations;
use crate::password_checks;
use crate::socket::Sockets;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) sockets: Arc<Sockets>,
    /// Wakes the control thread.
    pub(crate) attention: Alarm,
    pub(crate) monitoring: Conversations,
    accepted: AtomicUsize,
    pub(crate) longest_turn: LongestTurn,
    /// Asked for what the program around the server decides.
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) password_checks: Arc<PasswordChecks>,
    shutting_down: AtomicBool,
    started: time::Instant,
}

impl Shared {
    pub(crate) fn new(config: Config, listening: &Listening, authenticator: Option<Authenticator>) -> Self {
        Self {
            node: Node::new(config, listening, Instant::ZERO),
            sockets: Arc::new(Sockets::default()),
            attention: Alarm::default(),
            monitoring: Conversations::default(),
            accepted: AtomicUsize::new(0),
            longest_turn: LongestTurn::default(),
            authenticator,
            password_checks: Arc::new(PasswordChecks::new(password_checks::threads_at_once())),
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
        let hub = self.node.hub();
        Staging::new(self.sockets.clone(), hub.config().max_pending, 0).count_with(hub.totals().take_lane())
    }

    /// Wakes the control thread if the node wants to dial or to be asked at another time. After each call of a
    /// connection, and after a failed dial.
    pub(crate) fn pass_on_attention(&self) {
        if self.node.take_attention() {
            self.attention.ring();
        }
    }

    /// Counts a connection that was accepted.
    ///
    /// # Errors
    ///
    /// There are as many as there may be threads for.
    pub(crate) fn count_accepted(&self) -> io::Result<Accepted<'_>> {
        let before = self.accepted.fetch_add(1, Ordering::Relaxed);
        let counted = Accepted(&self.accepted);
        if before < MAX_ACCEPTED {
            Ok(counted)
        } else {
            Err(io::Error::other("too many connections for threads"))
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

/// A connection that was accepted, while it has threads.
#[derive(Debug)]
pub(crate) struct Accepted<'a>(&'a AtomicUsize);

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So many accepted connections have threads at the same time. A thread costs four of the 65,530 mappings that Linux lets a
/// process have, a connection has two threads, and the standard library ends the process if there is no mapping left.
const MAX_ACCEPTED: usize = 6000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_are_accepted_than_there_may_be_threads_for() {
        let shared = Shared::new(Config::default(), &Listening::default(), None);
        let mut open: Vec<_> = (0..MAX_ACCEPTED).map(|_| shared.count_accepted().expect("a place")).collect();
        assert!(shared.count_accepted().is_err());
        open.pop();
        assert!(shared.count_accepted().is_ok());
    }
}
