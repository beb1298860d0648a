//! A direct connection that takes the place of a circuit (wire.md 14.7): what it says is heard once the last line of the circuit
//! is, so that nothing is heard out of order, or twice, or not at all.

use std::time::Duration;

use super::chore::{Chore, Removal};
use super::{Connection, Interruption, Shared};
use crate::close::CloseReason;
use crate::cluster::Succession;
use crate::relay::PATIENCE;
use crate::routes::Inheritance;
use crate::sink::Sink;
use crate::time::Instant;

/// That a connection is not to be heard before a circuit has said all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// When it is looked again whether it has.
    look_at: Instant,
    /// The circuit is given up then, unless it says more.
    until: Instant,
    /// When it had said something last when that was settled.
    heard_at: Option<Instant>,
}

impl Hold {
    fn new(now: Instant) -> Self {
        Self { look_at: now, until: now + PATIENCE, heard_at: None }
    }

    /// Whether it is waited for long enough, now that it is known when the circuit said something last.
    fn is_in_vain(&mut self, now: Instant, heard_at: Option<Instant>) -> bool {
        if std::mem::replace(&mut self.heard_at, heard_at) != heard_at {
            self.until = now + PATIENCE;
        }
        self.until <= now
    }
}

impl Connection {
    /// When [`Connection::handle_hold`] is to be called.
    pub(super) fn hold_due(&self) -> Option<Instant> {
        match &self.shared.interruption {
            Some(Interruption::Hold(hold)) => Some(hold.look_at),
            _ => None,
        }
    }

    /// Goes on once the circuit has said its last line, or is gone.
    pub(super) fn handle_hold<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Shared { node, entry, interruption: Some(Interruption::Hold(hold)), .. } = &mut self.shared
        else {
            return;
        };
        if hold.look_at > now {
            return;
        }
        hold.look_at = now + LOOK_AGAIN;
        match node.inheritance(entry.id()) {
            Inheritance::Awaits(circuit) => {
                let heard_at = node.hub().directory().get(circuit).map(|it| it.last_activity());
                if hold.is_in_vain(now, heard_at) {
                    sink.close(circuit, CloseReason::StaleConnection);
                }
            }
            Inheritance::Due(circuit) => {
                let mut early = node.clone().inherit(now, circuit, &entry.clone(), sink);
                let removal = Removal::of_interest(node, &mut early);
                if !removal.is_over() {
                    self.shared.context(now, sink).begin_chore(Chore::Remove(removal));
                }
                self.go_on(now, sink);
            }
            Inheritance::Nothing => self.go_on(now, sink),
        }
    }

    fn go_on<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        self.shared.interruption = None;
        if self.inbound.is_some() && self.shared.close.is_none() {
            self.handle_rest(now, &[], sink);
        }
        self.shared.record_received(now);
    }
}

impl Shared {
    /// Goes on for a circuit: the last line is said there, and what follows is said here. What the peer says here waits for its
    /// own last line there.
    pub(super) fn succeed<S: Sink>(&mut self, now: Instant, succession: &Succession, sink: &mut S) {
        self.node.bequeath(succession.circuit, self.entry.id(), &succession.last_line, sink);
        self.interruption = Some(Interruption::Hold(Hold::new(now)));
    }
}

/// After so long it is looked again whether a circuit has said all.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
