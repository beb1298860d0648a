//! What every listening port goes by.

use std::io;
use std::time::Duration;

use log::error;

use crate::hub::Allowance;
use crate::time::Instant;

/// What a listening port does about connections that it cannot accept.
///
/// One that was given up while it waited concerns nobody. Everything else, a lack of descriptors above all, passes, and
/// the port must stay served: whoever accepts pauses and tries again, for good.
#[derive(Debug, Default)]
pub struct AcceptFaults {
    lines: Allowance,
}

impl AcceptFaults {
    /// Hears of one and says so in the log, once per second at most. Returns how long to wait before the next attempt.
    #[must_use]
    pub fn handle(&mut self, now: Instant, fault: &io::Error) -> Duration {
        if matches!(
            fault.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return Duration::ZERO;
        }
        match self.take_unsaid(now) {
            Some(0) => error!("Accept error: {fault}"),
            Some(unsaid) => error!("Accept error, {unsaid} more before: {fault}"),
            None => {}
        }
        ACCEPT_PAUSE
    }

    /// How many came without a word, if it is time for one.
    fn take_unsaid(&mut self, now: Instant) -> Option<u32> {
        self.lines.take(now, 1, SAY_EVERY)
    }
}

/// How many connections the system may hold for a listening port until they are accepted. Those beyond are left to try
/// again, after a second and more. Where the system's own maximum is lower, that counts.
pub const ACCEPT_BACKLOG: i32 = 4096;

/// So long nothing is accepted after a fault that is likely to come again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const SAY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_lacks_descriptors_pauses_and_says_so_once_per_second() {
        let mut faults = AcceptFaults::default();
        // "Too many open files" has no kind of its own.
        let fault = io::Error::from_raw_os_error(24);
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        assert_eq!(faults.handle(at(0), &fault), ACCEPT_PAUSE);
        let said: Vec<_> = (0..30).map(|pause| faults.take_unsaid(at(100 * pause))).collect();
        let spoken = |second: usize| said[10 * second];
        assert_eq!([spoken(0), spoken(1), spoken(2)], [None, Some(10), Some(9)]);
        assert_eq!(said.iter().flatten().count(), 2);
    }

    #[test]
    fn who_gave_up_while_it_waited_keeps_nobody_waiting() {
        let mut faults = AcceptFaults::default();
        assert_eq!(faults.handle(Instant::ZERO, &io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
        assert_eq!(faults.take_unsaid(Instant::ZERO), Some(0));
    }
}
