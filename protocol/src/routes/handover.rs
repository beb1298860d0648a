//! A direct connection that takes the seat of a circuit (wire.md 14.7).
//!
//! Who dialed claims the seat and waits until the peer agrees; who was dialed takes it at once. Then the circuit is retired: it has
//! no seat any more, and is closed a while after its peer said the last line on it.

use std::time::Duration;

use super::life::{Claim, Inherits, Life, RouteConnection};
use super::seat::{Newcomer, Seat};
use super::table::Routes;
use super::turn::dials_first;
use super::verdict::Inheritance;
use crate::id::ConnectionId;
use crate::time::Instant;

impl Routes {
    /// The circuit that sits on a seat, if one does.
    pub(super) fn circuit_at(&self, peer: &str, seat: &Seat) -> Option<ConnectionId> {
        let holder = self.peers.get(peer)?.holder(seat)?;
        self.detour(holder).map(|_| holder)
    }

    /// What is to be shown to the peer of a circuit by who takes its place.
    pub(crate) fn token_for(&self, circuit: ConnectionId) -> Option<String> {
        self.detour(circuit)?.peer_token.clone()
    }

    /// Whether a direct connection takes the seat of a circuit: if it leads to the same peer for sure. Where both have dialed at
    /// once, one of the two connections is refused, and at both ends the same.
    pub(super) fn may_inherit(
        &self,
        circuit: ConnectionId,
        claim: Option<&Claim>,
        newcomer: &Newcomer<'_>,
        seat: &Seat,
    ) -> bool {
        let is_shown = self.detour(circuit).is_some_and(|it| it.own_token == newcomer.token);
        let has_own = || {
            claim.is_none()
                && self.connections.is_claimed(newcomer.id, seat)
                && dials_first(self.wishes.own_id(), newcomer.id)
        };
        // Who said nothing on the circuit yet could not be sure of the answer.
        is_shown && self.token_for(circuit).is_some() && !has_own()
    }

    /// Hears what the peer of a circuit wants to be shown.
    pub(crate) fn handle_heir(&mut self, circuit: ConnectionId, token: String) {
        if let Some(detour) = self.connections.get_mut(circuit).and_then(|it| it.detour.as_mut()) {
            detour.peer_token.get_or_insert(token);
        }
    }

    pub(super) fn claim(&mut self, connection: ConnectionId, peer: &str, seat: &Seat) {
        if let Some(RouteConnection { life: Life::Shaking { claim, .. }, .. }) =
            self.connections.get_mut(connection)
        {
            *claim = Some(Claim { peer: peer.to_owned(), seat: seat.clone() });
        }
    }

    /// Whether a connection is to have the seat of a circuit as soon as the peer agrees.
    pub(crate) fn has_claim(&self, connection: ConnectionId) -> bool {
        let life = self.connections.get(connection).map(|it| &it.life);
        matches!(life, Some(Life::Shaking { claim: Some(_), .. }))
    }

    /// Hears that a peer says nothing more on a circuit, and all that it said there has reached those it is for.
    pub(crate) fn handle_last_line(&mut self, circuit: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(circuit).filter(|it| it.detour.is_some()) {
            connection.is_finished = true;
        }
    }

    /// The connection that goes on for a circuit, if that has said all: whether this is so where the circuit is about to end says
    /// whoever drives it.
    pub(crate) fn heir_of(&self, circuit: ConnectionId, has_said_all: bool) -> Option<ConnectionId> {
        let RouteConnection { is_finished, life: Life::Retired { heir, .. }, .. } =
            self.connections.get(circuit)?
        else {
            return None;
        };
        (*is_finished || has_said_all).then_some(*heir)
    }

    /// The connection that has the seat now which another had once, or has.
    pub(super) fn seated(&self, connection: ConnectionId) -> ConnectionId {
        match self.connections.get(connection).map(|it| &it.life) {
            Some(Life::Retired { heir, .. }) => *heir,
            _ => connection,
        }
    }

    /// These connections, and the circuits that some of them go on for, which still have what was brought.
    pub(super) fn with_circuits(&self, connections: impl Iterator<Item = ConnectionId>) -> Vec<ConnectionId> {
        let with_circuit = |id| [Some(id), self.inherits(id).map(|it| it.circuit)];
        connections.flat_map(with_circuit).flatten().collect()
    }

    fn inherits(&self, heir: ConnectionId) -> Option<Inherits> {
        match self.connections.get(heir)?.life {
            Life::Registered { inherits, .. } => inherits,
            Life::Shaking { .. } | Life::Retired { .. } => None,
        }
    }

    /// What is to be done where a connection goes on for a circuit.
    pub(crate) fn inheritance(&self, heir: ConnectionId) -> Inheritance {
        let Some(Inherits { circuit, is_done: false, .. }) = self.inherits(heir) else {
            return Inheritance::Nothing;
        };
        match self.connections.get(circuit) {
            Some(RouteConnection { is_finished: true, .. }) => Inheritance::Due(circuit),
            Some(_) => Inheritance::Awaits(circuit),
            None => Inheritance::Nothing,
        }
    }

    /// Notes that a connection has all that the circuit left that it goes on for.
    pub(crate) fn handle_inherited(&mut self, now: Instant, heir: ConnectionId) {
        self.note_inheritance(now, heir, |inherits| inherits.is_done = true);
    }

    /// Hears that the peer has heard all that was said on the circuit that a connection goes on for.
    pub(crate) fn handle_all_heard(&mut self, now: Instant, heir: ConnectionId) {
        self.note_inheritance(now, heir, |inherits| inherits.is_heard = true);
    }

    /// Once both sides have all of it, the circuit is closed, after a while: somebody may just be about to write to it.
    fn note_inheritance(&mut self, now: Instant, heir: ConnectionId, note: impl FnOnce(&mut Inherits)) {
        let Some(RouteConnection { life: Life::Registered { inherits: Some(inherits), .. }, .. }) =
            self.connections.get_mut(heir)
        else {
            return;
        };
        note(inherits);
        if let Inherits { circuit, is_done: true, is_heard: true } = *inherits {
            self.end_circuit(circuit, now + RETIRED_FOR);
        }
    }

    pub(super) fn end_circuit(&mut self, circuit: ConnectionId, at: Instant) {
        if let Some(RouteConnection { life: Life::Retired { ends_at, .. }, .. }) =
            self.connections.get_mut(circuit)
        {
            if let Some(before) = ends_at.replace(at) {
                self.retired.remove(&(before, circuit));
            }
            self.retired.insert((at, circuit));
        }
    }

    /// The circuits that are to be closed, since others go on for them.
    #[must_use]
    pub(crate) fn take_retired(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut due = Vec::new();
        while let Some((_, circuit)) = self.retired.first().copied().filter(|(at, _)| *at <= now) {
            self.retired.pop_first();
            due.push(circuit);
        }
        due
    }
}

/// A circuit is closed so long after everything was said on it: a batch that is for it may not be written yet.
const RETIRED_FOR: Duration = Duration::from_secs(1);
