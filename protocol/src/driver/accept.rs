//! What every listening port goes by.

use std::io;
use std::time::Duration;

use log::error;

use crate::node::Node;
use crate::time::Instant;

/// How one listening port goes on when it cannot accept a connection.
///
/// A connection that was given up while it waited concerns nobody. Everything else, a lack of descriptors above all, passes,
/// and the port must stay served: whoever accepts pauses and tries again, for good.
#[derive(Debug, Default)]
pub struct AcceptFaults {
    in_a_row: u32,
}

impl AcceptFaults {
    /// A connection was accepted.
    pub fn handle_accepted(&mut self) {
        self.in_a_row = 0;
    }

    /// None could be, which is said in the log: once per second for all ports of the node. Returns how long to wait before the
    /// next attempt.
    ///
    /// The pauses double. When descriptors are free again, those come in first who waited, as many as there are descriptors,
    /// and most of them are gone at once: who is behind them is not to wait for a long pause again.
    #[must_use]
    pub fn handle_fault(&mut self, node: &Node, now: Instant, fault: &io::Error) -> Duration {
        if matches!(
            fault.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return Duration::ZERO;
        }
        match node.hub().limit_log().take_accept_fault(now) {
            Some(0) => error!("Accept error: {fault}"),
            Some(unsaid) => error!("Accept error, {unsaid} more before: {fault}"),
            None => {}
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(16)).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        pause
    }
}

/// How many connections the system may hold for a listening port until they are accepted. Those beyond are left to try
/// again, after a second and more. Where the system's own maximum is lower, that counts.
pub const ACCEPT_BACKLOG: i32 = 4096;

/// So long nothing is accepted after a fault that is likely to come again at once.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// And after many in a row.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::node::Listening;

    #[test]
    fn a_port_that_lacks_descriptors_pauses_and_says_so_once_per_second() {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        // "Too many open files" has no kind of its own.
        let fault = io::Error::from_raw_os_error(24);
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut faults = AcceptFaults::default();
        let mut pauses = |count| -> Vec<_> {
            (0..count).map(|_| faults.handle_fault(&node, at(0), &fault).as_millis()).collect()
        };
        assert_eq!(pauses(6), [10, 20, 40, 80, 100, 100]);
        faults.handle_accepted();
        assert_eq!(faults.handle_fault(&node, at(0), &fault), FIRST_PAUSE);
        let log = node.hub().limit_log();
        let said: Vec<_> = (0..30).map(|pause| log.take_accept_fault(at(100 * pause))).collect();
        let spoken = |second: usize| said[10 * second];
        assert_eq!([spoken(0), spoken(1), spoken(2)], [None, Some(16), Some(9)]);
        assert_eq!(said.iter().flatten().count(), 2);
    }

    #[test]
    fn who_gave_up_while_it_waited_keeps_nobody_waiting() {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        let fault = io::ErrorKind::ConnectionAborted.into();
        let pause = AcceptFaults::default().handle_fault(&node, Instant::ZERO, &fault);
        assert_eq!(pause, Duration::ZERO);
        assert_eq!(node.hub().limit_log().take_accept_fault(Instant::ZERO), Some(0));
    }
}
