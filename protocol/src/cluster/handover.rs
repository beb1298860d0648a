//! How a direct connection takes the place of a circuit (wire.md 14.7): who agrees to it, and when the circuit is closed.

use super::relaying::CIRCUITS;
use super::{Cluster, Output};
use crate::close::CloseReason;
use crate::id::ConnectionId;
use crate::routes::Inheritance;
use crate::time::Instant;
use crate::wire::{CircuitWord, Info};

/// A connection that was dialed and told what it is, and gets the seat of a circuit if the peer agrees.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// What is said now.
    pub(crate) lines: Vec<u8>,
    /// What the peer said, to be handed in again once it agrees.
    pub(crate) info: Box<Info>,
}

/// What a connection goes on for.
#[derive(Debug)]
pub(crate) struct Succession {
    /// What has its seat no more.
    pub(crate) circuit: ConnectionId,
    /// What is to be said on that, and nothing afterwards.
    pub(crate) last_line: Vec<u8>,
}

/// What a peer shows to take the place of a circuit; empty if nothing.
pub(super) fn shown_token(info: &Info) -> &str {
    match &info.onehop_circuit {
        Some(CircuitWord::Replace { token } | CircuitWord::Replaced { token }) => token,
        _ => "",
    }
}

impl Cluster {
    /// What is said first about circuits on a connection that is registered now: on a circuit what takes its place, and in the
    /// place of one that it does.
    pub(super) fn said_of_circuit(
        &self,
        connection: ConnectionId,
        info: &mut Info,
        inherits: Option<ConnectionId>,
    ) -> Vec<u8> {
        let (knows, word) = (info.onehop >= CIRCUITS, info.onehop_circuit.take());
        let answer = || inherits.and_then(|circuit| self.routes.token_for(circuit));
        let said = match (self.routes.detour(connection), word) {
            (Some(detour), _) if knows => Some(CircuitWord::Heir { token: detour.own_token.clone() }),
            (Some(_), _) => None,
            (None, Some(CircuitWord::Replace { .. })) => {
                Some(CircuitWord::Replaced { token: answer().unwrap_or_default() })
            }
            (None, _) => None,
        };
        said.map_or_else(Vec::new, |word| self.word_line(word))
    }

    pub(super) fn succession(&self, circuit: ConnectionId) -> Succession {
        Succession { circuit, last_line: self.word_line(CircuitWord::Last) }
    }

    /// What is to be done where a connection goes on for a circuit.
    pub(crate) fn inheritance(&self, heir: ConnectionId) -> Inheritance {
        self.routes.inheritance(heir)
    }

    /// Hears that all that a peer said on a circuit has reached those it is for.
    pub(crate) fn handle_last_line(&mut self, circuit: ConnectionId) {
        self.routes.handle_last_line(circuit);
    }

    /// The connection that goes on for a circuit that is about to end, if that has said all.
    pub(crate) fn heir_of(&self, circuit: ConnectionId, has_said_all: bool) -> Option<ConnectionId> {
        self.routes.heir_of(circuit, has_said_all)
    }

    /// Notes that a connection has all that the circuit left that it goes on for, and tells the peer so.
    pub(crate) fn handle_inherited(&mut self, now: Instant, heir: ConnectionId) {
        self.routes.handle_inherited(now, heir);
        self.outputs.push_back(Output::Send(heir, self.word_line(CircuitWord::Heard).into()));
    }

    /// Closes the circuits that others went on for.
    pub(super) fn end_circuits(&mut self, now: Instant) {
        let retired = self.routes.take_retired(now).into_iter();
        self.outputs.extend(retired.map(|id| Output::Close(id, CloseReason::RouteRemoved)));
    }
}
