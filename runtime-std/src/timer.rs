//! Timeouts of blocking sockets.

use std::io;
use std::time::Duration;

/// Keeps a socket's timeout near a deadline that moves, with few system calls.
#[derive(Debug, Default)]
pub(crate) struct SocketTimer {
    set_to: Option<Duration>,
}

impl SocketTimer {
    /// The timeout to give to the socket so that its next call returns in time, or `None` if it has a good one: too
    /// early does no harm, and [`SLACK`] too late is early enough.
    pub(crate) fn next(&mut self, remaining: Duration) -> Option<Duration> {
        let wanted = remaining.clamp(SHORTEST, LONGEST);
        if self.set_to.is_some_and(|set_to| set_to <= wanted + SLACK) {
            return None;
        }
        self.set_to = Some(wanted);
        self.set_to
    }

    /// The socket's timeout passed: if that was too early, the next is to be longer.
    pub(crate) fn handle_elapsed(&mut self) {
        self.set_to = None;
    }
}

/// Some systems tell of a timeout that passed by another name.
pub(crate) fn elapsed_as_would_block(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => io::ErrorKind::WouldBlock.into(),
        _ => error,
    }
}

const SLACK: Duration = Duration::from_millis(50);
/// Zero would be no timeout at all.
const SHORTEST: Duration = Duration::from_millis(1);
/// Some systems refuse very long ones.
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_timeout_is_shortened_only_when_it_would_be_late() {
        let mut timer = SocketTimer::default();
        assert_eq!(timer.next(millis(1000)), Some(millis(1000)));
        assert_eq!(timer.next(millis(960)), None);
        assert_eq!(timer.next(millis(940)), Some(millis(940)));
        assert_eq!(timer.next(millis(2000)), None, "waking early does no harm");
    }

    #[test]
    fn a_timeout_that_passed_is_set_anew() {
        let mut timer = SocketTimer::default();
        assert_eq!(timer.next(millis(10)), Some(millis(10)));
        timer.handle_elapsed();
        assert_eq!(timer.next(millis(2000)), Some(millis(2000)));
    }

    #[test]
    fn no_timeout_is_zero_or_beyond_what_systems_take() {
        let mut timer = SocketTimer::default();
        assert_eq!(timer.next(Duration::MAX), Some(LONGEST));
        assert_eq!(timer.next(Duration::ZERO), Some(SHORTEST));
    }
}
