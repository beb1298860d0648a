//! Sees to it that a worker that does not go on is not waited for in silence.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use log::error;
use onehop::Instant;

use crate::load::Load;

/// A thread that looks at all workers now and then, until this is dropped. It is not waited for: a worker that does not go on may
/// hold what the thread needs to end that worker's connections.
#[derive(Debug)]
pub(crate) struct Watch {
    _open: Sender<()>,
}

impl Watch {
    /// Looks every `pause`, and calls `abandon` with the number of each worker that was in the same turn at
    /// [`LOOKS`] of them.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(crate) fn start(
        loads: Vec<Arc<Load>>,
        pause: Duration,
        abandon: impl Fn(usize) + Send + 'static,
    ) -> io::Result<Self> {
        let (open, closed) = mpsc::channel();
        let thread = thread::Builder::new().name("watch".to_owned());
        thread.spawn(move || watch(&loads, pause, &closed, abandon))?;
        Ok(Self { _open: open })
    }
}

fn watch(loads: &[Arc<Load>], pause: Duration, closed: &Receiver<()>, abandon: impl Fn(usize)) {
    let mut sights: Vec<_> = loads.iter().map(|_| Sight::default()).collect();
    // Nothing is ever sent.
    while closed.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        for (number, (load, sight)) in loads.iter().zip(&mut sights).enumerate() {
            let is_stuck = sight.look(load.turn());
            if is_stuck && !load.is_stuck() {
                load.set_stuck(true);
                abandon(number);
            } else if !is_stuck && load.is_stuck() {
                error!("worker {number} goes on");
                load.set_stuck(false);
            }
        }
    }
}

/// What was seen of a worker.
#[derive(Debug, Default)]
struct Sight {
    turn: Option<Instant>,
    /// How often in a row.
    looks: u32,
}

impl Sight {
    /// Looks at its turn; whether that does not end. Looks are counted and no time, of which any may pass for a process that is
    /// stopped or a machine that sleeps.
    fn look(&mut self, turn: Option<Instant>) -> bool {
        self.looks = if turn.is_some() && turn == self.turn { (self.looks + 1).min(LOOKS) } else { 1 };
        self.turn = turn;
        self.looks == LOOKS
    }
}

/// How often a worker is seen in the same turn before it is given up.
const LOOKS: u32 = 3;

/// How long from one look to the next. No turn is to take more than some milliseconds.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_turn_that_is_seen_at_three_looks_does_not_end() {
        let turn = |nanos| Some(Instant::from_nanos(nanos));
        let mut sight = Sight::default();
        let mut look = |turns: &[_]| turns.iter().map(|turn| sight.look(*turn)).collect::<Vec<_>>();
        assert_eq!(look(&[turn(1), turn(1), turn(2), turn(2), None]), [false; 5]);
        assert_eq!(look(&[None; 9]), [false; 9]);
        assert_eq!(look(&[turn(3), turn(3), turn(3), turn(3), turn(4)]), [false, false, true, true, false]);
    }
}
