//! The circuits that pass through this node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use fastrand::Rng;

use super::joints::pair;
use super::{PATIENCE, Pair};
use crate::config::Relay;
use crate::id::ConnectionId;
use crate::identity;
use crate::routes::Seat;
use crate::time::Instant;
use crate::wire::encode::OK;

/// All of them, from the question for one to its end.
#[derive(Debug)]
pub(crate) struct Middle {
    rng: Rng,
    circuits: BTreeMap<CircuitId, Passage>,
    /// Those of their connections that are not there yet.
    tokens: BTreeMap<String, Place>,
    connections: BTreeMap<ConnectionId, Place>,
    last: CircuitId,
}

type CircuitId = u64;

/// One of the two connections of a circuit.
type Place = (CircuitId, usize);

#[derive(Debug)]
struct Passage {
    ends: [End; 2],
    /// How many circuits the pair needs.
    needed: usize,
    /// Which of its connections it is, if the two know nothing of circuits.
    seat: Option<Seat>,
    /// Until then both connections are to be there; none once they are.
    until: Option<Instant>,
}

#[derive(Debug)]
struct End {
    server: String,
    token: String,
    connection: Option<ConnectionId>,
    is_ready: bool,
    role: Role,
}

/// What an end of a circuit is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It knows of circuits, and hears when its own stands.
    Aware,
    /// It does not: a connection is made as any to its route port, and whoever is at the other end speaks first.
    Unaware,
    /// Nor does it, nor does the other: this is said as if by the other.
    Addressed(Bytes),
}

/// An end of a circuit that is to begin.
pub(crate) type Party<'a> = (&'a str, Role);

/// How far a connection of a circuit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// The other is not there yet.
    Alone,
    /// Bytes pass between it and this other. Each is told something first, the one and the other.
    With { other: ConnectionId, said: [Bytes; 2] },
}

/// Why no circuit is let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By a node that is not there for that.
    Off,
    /// To a server that is no member with a direct route, or does not know of circuits.
    NoMember,
    /// There would be more than `max_circuits` with all that the pair needs.
    Full,
    /// The pair needs more than `max_circuits_per_pair`, or has them already.
    PairFull,
    /// Whoever asks has begun [`MAX_UNFINISHED`] that do not stand yet.
    TooMany,
}

impl Middle {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            rng,
            circuits: BTreeMap::new(),
            tokens: BTreeMap::new(),
            connections: BTreeMap::new(),
            last: 0,
        }
    }

    /// How many circuits there are, those included that do not stand yet.
    pub(crate) fn len(&self) -> usize {
        self.circuits.len()
    }

    /// Begins a circuit between two servers, of which the first asks for it: the tokens of their connections. A pair needs so
    /// many, one for each of its connections: there is room for all of them, or for none. Else some accounts would pass and others not.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        parties: [Party<'_>; 2],
        needed: usize,
        limits: &Relay,
    ) -> Result<[String; 2], Refused> {
        let ends = parties.each_ref().map(|(server, _)| *server);
        let mut kept = self.kept_by_pair();
        let [count, room] = kept.remove(&pair(ends)).unwrap_or_default();
        if (count + 1).max(needed) > limits.max_circuits_per_pair {
            return Err(Refused::PairFull);
        }
        let others: usize = kept.values().map(|[_, room]| room).sum();
        if others + (count + 1).max(needed).max(room) > limits.max_circuits {
            return Err(Refused::Full);
        }
        let is_asked_for = |it: &&Passage| it.until.is_some() && it.seat.is_none();
        let is_unfinished = |it: &&Passage| is_asked_for(it) && it.ends[0].server == ends[0];
        if self.circuits.values().filter(is_unfinished).count() >= MAX_UNFINISHED {
            return Err(Refused::TooMany);
        }
        self.last += 1;
        let ends = parties.map(|(server, role)| {
            let token = identity::circuit_token(&mut self.rng);
            End { server: server.to_owned(), token, connection: None, is_ready: false, role }
        });
        for (number, end) in ends.iter().enumerate() {
            self.tokens.insert(end.token.clone(), (self.last, number));
        }
        let tokens = ends.each_ref().map(|end| end.token.clone());
        self.circuits.insert(self.last, Passage { ends, needed, seat: None, until: Some(now + PATIENCE) });
        Ok(tokens)
    }

    /// The same for one of the connections of two that know nothing of circuits.
    pub(crate) fn open_at(
        &mut self,
        now: Instant,
        parties: [Party<'_>; 2],
        seat: &Seat,
        needed: usize,
        limits: &Relay,
    ) -> Result<[String; 2], Refused> {
        let tokens = self.open(now, parties, needed, limits)?;
        self.circuits.get_mut(&self.last).into_iter().for_each(|passage| passage.seat = Some(seat.clone()));
        Ok(tokens)
    }

    /// The pairs that are joined though they know nothing of circuits, by some of their connections at least.
    pub(crate) fn joined(&self) -> BTreeSet<Pair> {
        let joints = self.circuits.values().filter(|passage| passage.seat.is_some());
        joints.map(|passage| passage.pair().map(str::to_owned)).collect()
    }

    /// Which connections of such a pair pass, or are about to.
    pub(crate) fn seats_of(&self, members: [&str; 2]) -> BTreeSet<&Seat> {
        let is_of_pair = |it: &&Passage| it.pair() == pair(members);
        self.circuits.values().filter(is_of_pair).filter_map(|passage| passage.seat.as_ref()).collect()
    }

    /// How many circuits each pair has, and for how many there is to be room.
    fn kept_by_pair(&self) -> BTreeMap<[&str; 2], [usize; 2]> {
        let mut pairs = BTreeMap::<_, [usize; 2]>::new();
        for passage in self.circuits.values() {
            let [count, room] = pairs.entry(passage.pair()).or_default();
            *count += 1;
            *room = (*room).max(passage.needed).max(*count);
        }
        pairs
    }

    /// Whether a connection is part of a circuit.
    #[cfg(feature = "sim")]
    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// A connection shows a token, or was made for it. False if there is none such.
    pub(crate) fn handle_token(&mut self, connection: ConnectionId, token: &str) -> bool {
        let Some((circuit, number)) = self.tokens.remove(token) else { return false };
        let Some(passage) = self.circuits.get_mut(&circuit) else { return false };
        passage.ends[number].connection = Some(connection);
        self.connections.insert(connection, (circuit, number));
        true
    }

    /// The server at the other end of a connection is ready for its bytes to pass; none if it is no part of a circuit.
    pub(crate) fn handle_ready(&mut self, connection: ConnectionId) -> Option<Passing> {
        let (circuit, number) = *self.connections.get(&connection)?;
        let passage = self.circuits.get_mut(&circuit)?;
        passage.ends[number].is_ready = true;
        let [own, other] = [&passage.ends[number], &passage.ends[1 - number]];
        let said = [own, other].map(|end| end.role.said());
        let Some(other) = other.connection.filter(|_| other.is_ready) else { return Some(Passing::Alone) };
        passage.until = None;
        Some(Passing::With { other, said })
    }

    /// What whoever is at the other end of a connection is told.
    pub(crate) fn role(&self, connection: ConnectionId) -> Option<&Role> {
        self.end_of(connection).map(|end| &end.role)
    }

    /// The server that this node speaks to on a connection in another's name, if it does.
    pub(crate) fn addressed(&self, connection: ConnectionId) -> Option<&str> {
        let end = self.end_of(connection)?;
        matches!(end.role, Role::Addressed(_)).then_some(end.server.as_str())
    }

    fn end_of(&self, connection: ConnectionId) -> Option<&End> {
        let (circuit, number) = self.connections.get(&connection)?;
        Some(&self.circuits.get(circuit)?.ends[*number])
    }

    /// A connection ended. Returns the other of its circuit, which ends, too.
    pub(crate) fn handle_closed(&mut self, connection: ConnectionId) -> Option<ConnectionId> {
        let (circuit, number) = *self.connections.get(&connection)?;
        self.end(circuit)[1 - number]
    }

    /// The connection of a token could not be made: its circuit is to be [given up](Self::handle_timeout) now.
    pub(crate) fn handle_failed(&mut self, now: Instant, token: &str) {
        let Some((circuit, _)) = self.tokens.get(token) else { return };
        if let Some(passage) = self.circuits.get_mut(circuit) {
            passage.until = Some(now);
        }
    }

    /// When [`Middle::handle_timeout`] is to be called next.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.circuits.values().filter_map(|passage| passage.until).min()
    }

    /// Gives up circuits of which a connection did not come in time. Returns the connections that did.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<ConnectionId> {
        let is_late = |it: &Passage| it.until.is_some_and(|until| until <= now);
        let late: Vec<_> = self.circuits.iter().filter(|(_, it)| is_late(it)).map(|(id, _)| *id).collect();
        late.into_iter().flat_map(|circuit| self.end(circuit)).flatten().collect()
    }

    fn end(&mut self, circuit: CircuitId) -> [Option<ConnectionId>; 2] {
        let Some(Passage { ends, .. }) = self.circuits.remove(&circuit) else { return [None, None] };
        ends.map(|End { token, connection, .. }| {
            self.tokens.remove(&token);
            connection.inspect(|connection| {
                self.connections.remove(connection);
            })
        })
    }
}

impl Role {
    fn said(&self) -> Bytes {
        match self {
            Self::Aware => Bytes::from_static(OK),
            Self::Unaware => Bytes::new(),
            Self::Addressed(lines) => lines.clone(),
        }
    }
}

impl Refused {
    /// The setting that is the reason, if one is.
    pub(crate) fn limit(self) -> Option<&'static str> {
        match self {
            Self::Off | Self::NoMember => None,
            Self::Full => Some("relay.max_circuits"),
            Self::PairFull => Some("relay.max_circuits_per_pair"),
            Self::TooMany => Some("MAX_UNFINISHED"),
        }
    }
}

/// So many circuits of one member may be on their way.
pub(super) const MAX_UNFINISHED: usize = 16;

impl Passage {
    /// The servers at its ends, whoever of them asked.
    fn pair(&self) -> [&str; 2] {
        pair(self.ends.each_ref().map(|end| &*end.server))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "no circuits here",
            Self::NoMember => "no such member with a direct route",
            Self::Full => "maximum circuits exceeded",
            Self::PairFull => "maximum circuits of this pair exceeded",
            Self::TooMany => "too many circuits at once",
        })
    }
}
