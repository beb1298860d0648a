//! What every listening port goes by.

use std::io;
use std::time::Duration;

use log::error;

use crate::node::Node;
use crate::time::Instant;

/// Hears that a port, any of the node's, could not accept a connection, and says so in the log: once per second for all of
/// them. Returns how long to wait before the next attempt.
///
/// A connection that was given up while it waited concerns nobody. Everything else, a lack of descriptors above all, passes,
/// and the port must stay served: whoever accepts pauses and tries again, for good.
#[must_use]
pub fn handle_accept_fault(node: &Node, now: Instant, fault: &io::Error) -> Duration {
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
    ACCEPT_PAUSE
}

/// How many connections the system may hold for a listening port until they are accepted. Those beyond are left to try
/// again, after a second and more. Where the system's own maximum is lower, that counts.
pub const ACCEPT_BACKLOG: i32 = 4096;

/// So long nothing is accepted after a fault that is likely to come again at once. When descriptors are free again, those come
/// in first who waited, as many as there are descriptors, and whoever is behind them waits for several pauses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

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
        assert_eq!(handle_accept_fault(&node, at(0), &fault), ACCEPT_PAUSE);
        let log = node.hub().limit_log();
        let said: Vec<_> = (0..300).map(|pause| log.take_accept_fault(at(10 * pause))).collect();
        let spoken = |second: usize| said[100 * second];
        assert_eq!([spoken(0), spoken(1), spoken(2)], [None, Some(100), Some(99)]);
        assert_eq!(said.iter().flatten().count(), 2);
    }

    #[test]
    fn who_gave_up_while_it_waited_keeps_nobody_waiting() {
        let node = Node::new(Config::default(), &Listening::default(), Instant::ZERO);
        let fault = io::ErrorKind::ConnectionAborted.into();
        assert_eq!(handle_accept_fault(&node, Instant::ZERO, &fault), Duration::ZERO);
        assert_eq!(node.hub().limit_log().take_accept_fault(Instant::ZERO), Some(0));
    }
}
