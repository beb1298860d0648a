//! Connections of circuits: those whose bytes pass through this node, and those that become a route to another server than the
//! one that they are with (wire.md 14.7).

use std::time::Duration;

use log::Level;

use super::route::Route;
use super::{Connection, Interruption, Shared, Side};
use crate::close::CloseReason;
use crate::cluster::{Beginning, CircuitDialed, CircuitStep, Manner};
use crate::id::ConnectionId;
use crate::outbox::{Pressure, WritePolicy};
use crate::relay::{PATIENCE, Passing};
use crate::routes::DialId;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::Inbound;
use crate::wire::ProtocolError;
use crate::wire::encode::OK;

/// A connection of a circuit that passes through this node, which is no route of it.
#[derive(Debug)]
pub(super) struct Passage {
    /// Where its bytes go, once the other connection is there.
    to: Option<ConnectionId>,
    /// Too much waits there, or nothing is there yet to take what is said here: nothing is read until then at least.
    blocked_until: Option<Instant>,
    /// When something was read last.
    heard_at: Instant,
}

impl Passage {
    fn new(now: Instant, passing: &Passing, manner: Manner) -> Self {
        let to = if let Passing::With { other, .. } = passing { Some(*other) } else { None };
        // Who knows of circuits says nothing before that is there.
        let is_early = manner != Manner::Aware && to.is_none();
        let blocked_until = is_early.then(|| now + LOOK_AGAIN);
        Self { to, blocked_until, heard_at: now }
    }

    /// Whether nobody is there yet to take what is said here, though it may be said.
    pub(super) fn is_early(&self) -> bool {
        self.to.is_none() && self.blocked_until.is_some()
    }

    /// Whether it is to be read from.
    pub(super) fn wants_input(&self) -> bool {
        self.blocked_until.is_none()
    }

    /// When [`Connection::handle_passage_timeout`] is to be called.
    pub(super) fn until(&self) -> Instant {
        self.blocked_until.unwrap_or(self.heard_at + MAX_IDLE)
    }

    /// What waits to be written to it is never too much, since the other connection is not read from then.
    pub(super) fn write_policy(route: WritePolicy) -> WritePolicy {
        WritePolicy {
            max_pending_bytes: usize::MAX,
            slow_at_bytes: CIRCUIT_BYTES,
            max_control_bytes: None,
            ..route
        }
    }
}

impl Connection {
    /// Takes in a connection that was dialed for a circuit.
    pub(super) fn begin_circuit<S: Sink>(&mut self, now: Instant, dial: DialId, sink: &mut S) {
        let id = self.shared.entry.id();
        let mut context = self.shared.context(now, sink);
        context.log(Level::Debug, "Connection of a circuit created");
        let node = context.shared.node.clone();
        let dialed =
            node.with_cluster(now, context.sink, |cluster, _| cluster.handle_circuit_dialed(dial, id));
        match dialed.flatten() {
            Some(CircuitDialed::Says(lines)) => {
                context.send(&lines);
                self.await_circuit(now);
            }
            Some(CircuitDialed::IsReady) => {
                self.await_circuit(now);
                let step = self.find_step();
                step.into_iter().for_each(|step| self.step(now, step, sink));
            }
            Some(CircuitDialed::IsGreeted) => self.await_greeting(now, sink),
            None => context.close(CloseReason::RouteRemoved),
        }
    }

    /// Waits for what whoever was dialed says of itself. This node speaks to it for another, and so encrypts with it if need be.
    fn await_greeting<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        self.await_circuit(now);
        if let Some(tls) = self.shared.config.cluster.as_ref().and_then(|cluster| cluster.tls.clone()) {
            let host = self.shared.entry.remote().ip().to_string();
            drop(self.connect_tls(now, &tls, &host, sink));
        }
    }

    /// What becomes of a connection that is ready for its circuit; none if there is none any more.
    fn find_step(&self) -> Option<CircuitStep> {
        let id = self.shared.entry.id();
        self.shared.node.cluster().and_then(|mut it| it.handle_circuit_passing(id))
    }

    fn await_circuit(&mut self, now: Instant) {
        self.side = Side::Route(Box::new(Route::AwaitsCircuit));
        self.shared.dialect.connect_only = false;
        self.shared.auth_deadline = Some(now + PATIENCE);
    }

    /// Goes on with a circuit.
    pub(super) fn step<S: Sink>(&mut self, now: Instant, step: CircuitStep, sink: &mut S) {
        match step {
            CircuitStep::Waits => {
                self.shared.context(now, sink).send(OK);
                self.await_circuit(now);
            }
            CircuitStep::Passes(passing, manner) => self.pass(now, &passing, manner, sink),
            CircuitStep::Begins(beginning) => self.begin_route(now, beginning, sink),
        }
    }

    /// Its bytes pass through this node from here on.
    fn pass<S: Sink>(&mut self, now: Instant, passing: &Passing, manner: Manner, sink: &mut S) {
        self.side = Side::Circuit(Box::new(Passage::new(now, passing, manner)));
        self.shared.has_new_policy = true;
        self.shared.auth_deadline = None;
        self.tell_passing(passing, sink);
    }

    /// Tells the ends that a circuit stands, if they know what that is.
    fn tell_passing<S: Sink>(&self, passing: &Passing, sink: &mut S) {
        let Passing::With { other, said: [own, others] } = passing else { return };
        // At once: as soon as the other end is told, its bytes may come, and must stand behind this.
        sink.announce(self.shared.entry.id(), own);
        sink.send(*other, others);
    }

    /// Where the bytes of this connection go, if that is known by now.
    fn find_other(&self) -> Option<ConnectionId> {
        match self.find_step() {
            Some(CircuitStep::Passes(Passing::With { other, .. }, _)) => Some(other),
            _ => None,
        }
    }

    /// It is a route to the server at the other end from here on.
    fn begin_route<S: Sink>(&mut self, now: Instant, beginning: Beginning, sink: &mut S) {
        let Beginning { dials, host, lines } = beginning;
        self.shared.began = now;
        self.shared.dialect.connect_only = !dials;
        let tls = self.shared.config.cluster.as_ref().and_then(|cluster| cluster.tls.clone());
        match tls {
            Some(tls) if dials => drop(self.connect_tls(now, &tls, &host, sink)),
            Some(tls) => self.shake_hands_as_server(now, &tls, sink),
            None => {}
        }
        if self.shared.close.is_none() {
            let route = Route::of_circuit(&mut self.shared.context(now, sink), dials, &lines);
            self.side = Side::Route(Box::new(route));
        }
    }

    /// Lets bytes pass to the other connection of the circuit.
    pub(super) fn pass_on<S: Sink>(&mut self, now: Instant, bytes: &[u8], sink: &mut S) {
        let Side::Circuit(passage) = &mut self.side else { return };
        passage.heard_at = now;
        let Some(to) = passage.to.or_else(|| self.find_other()) else {
            // Whoever is not told yet that the circuit stands has nothing to say.
            return self.shared.context(now, sink).report(&ProtocolError::UnknownCircuit);
        };
        let Side::Circuit(passage) = &mut self.side else { return };
        passage.to = Some(to);
        sink.send(to, bytes);
        if sink.pressure(to) != Pressure::Low {
            passage.blocked_until = Some(now + LOOK_AGAIN);
        }
    }

    /// Lets what was read pass, decoded if it is encrypted as far as this node.
    pub(super) fn pass_rest<S: Sink>(
        &mut self,
        now: Instant,
        inbound: &mut Inbound,
        mut rest: &[u8],
        sink: &mut S,
    ) {
        if inbound.is_plain() {
            if !rest.is_empty() {
                self.pass_on(now, rest, sink);
            }
            return;
        }
        while self.shared.close.is_none() {
            match inbound.decode(&mut rest) {
                Ok([]) => break,
                Ok(plain) => {
                    let passed = plain.len();
                    self.pass_on(now, plain, sink);
                    inbound.take(passed);
                }
                Err(error) => self.handle_decode_error(now, error, sink),
            }
        }
    }

    /// Looks whether it may be read from again, or was silent for too long.
    pub(super) fn handle_passage_timeout<S: Sink>(&mut self, now: Instant, sink: &mut S) {
        let Side::Circuit(passage) = &mut self.side else { return };
        if passage.until() > now {
            return;
        }
        if passage.blocked_until.is_none() {
            return self.handle_close_request(CloseReason::StaleConnection);
        }
        // If it never is, the circuit is given up.
        let to = passage.to.or_else(|| self.find_other());
        let is_free = to.is_some_and(|to| sink.pressure(to) == Pressure::Low);
        let Side::Circuit(passage) = &mut self.side else { return };
        let was_early = std::mem::replace(&mut passage.to, to).is_none();
        passage.heard_at = now;
        passage.blocked_until = (!is_free).then(|| now + LOOK_AGAIN);
        if was_early && to.is_some() && self.inbound.is_some() {
            self.handle_rest(now, &[], sink);
        }
    }
}

impl Shared {
    /// Notes that the operation which is being handled made the connection part of a circuit. What follows it is of another kind.
    pub(super) fn join_circuit(&mut self, step: CircuitStep) {
        self.interruption = Some(Interruption::Circuit(Box::new(step)));
    }

    /// What became of a circuit by the operation that was handled last.
    pub(super) fn take_step(&mut self) -> Option<CircuitStep> {
        let is_step = |interruption: &mut _| matches!(interruption, Interruption::Circuit(_));
        match self.interruption.take_if(is_step)? {
            Interruption::Circuit(step) => Some(*step),
            Interruption::Switch(_) | Interruption::Wait(_) | Interruption::Hold(_) => None,
        }
    }

    /// Whether there is one.
    pub(super) fn has_step(&self) -> bool {
        matches!(self.interruption, Some(Interruption::Circuit(_)))
    }
}

/// So much waits for each end of a circuit at the most, and what is read at once.
pub(crate) const CIRCUIT_BYTES: usize = 256 * 1024;

/// After so long it is looked again whether the other end has read something.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Both ends of a route send PINGs every half minute at least: who is silent for so long is gone.
pub(crate) const MAX_IDLE: Duration = Duration::from_secs(120);
