//! The circuits that pass through this node.

use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;

use super::PATIENCE;
use crate::config::Relay;
use crate::id::ConnectionId;
use crate::identity;
use crate::time::Instant;

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
    /// Until then both connections are to be there; none once they are.
    until: Option<Instant>,
}

#[derive(Debug)]
struct End {
    server: String,
    token: String,
    connection: Option<ConnectionId>,
    is_ready: bool,
    /// It knows nothing of circuits: a connection is made as any to its route port, and nothing is said to it.
    is_plain: bool,
}

/// How far a connection of a circuit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// The other is not there yet.
    Alone,
    /// Bytes pass between it and this other. Those of the two are told that know of circuits.
    With { other: ConnectionId, tells: bool, tells_other: bool },
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
    /// The second of them `is_plain` if it knows nothing of circuits.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        ends: [&str; 2],
        is_plain: bool,
        needed: usize,
        limits: &Relay,
    ) -> Result<[String; 2], Refused> {
        let mut kept = self.kept_by_pair();
        let [count, room] = kept.remove(&pair(ends)).unwrap_or_default();
        if (count + 1).max(needed) > limits.max_circuits_per_pair {
            return Err(Refused::PairFull);
        }
        let others: usize = kept.values().map(|[_, room]| room).sum();
        if others + (count + 1).max(needed).max(room) > limits.max_circuits {
            return Err(Refused::Full);
        }
        let is_unfinished = |it: &&Passage| it.until.is_some() && it.ends[0].server == ends[0];
        if self.circuits.values().filter(is_unfinished).count() >= MAX_UNFINISHED {
            return Err(Refused::TooMany);
        }
        self.last += 1;
        let ends = [(ends[0], false), (ends[1], is_plain)].map(|(server, is_plain)| {
            let token = identity::circuit_token(&mut self.rng);
            End { server: server.to_owned(), token, connection: None, is_ready: false, is_plain }
        });
        for (number, end) in ends.iter().enumerate() {
            self.tokens.insert(end.token.clone(), (self.last, number));
        }
        let tokens = ends.each_ref().map(|end| end.token.clone());
        self.circuits.insert(self.last, Passage { ends, needed, until: Some(now + PATIENCE) });
        Ok(tokens)
    }

    /// How many circuits each pair has, and for how many there is to be room.
    fn kept_by_pair(&self) -> BTreeMap<[&str; 2], [usize; 2]> {
        let mut pairs = BTreeMap::<_, [usize; 2]>::new();
        for Passage { ends, needed, .. } in self.circuits.values() {
            let [count, room] = pairs.entry(pair(ends.each_ref().map(|end| &*end.server))).or_default();
            *count += 1;
            *room = (*room).max(*needed).max(*count);
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
        let (tells, tells_other) = (!own.is_plain, !other.is_plain);
        let Some(other) = other.connection.filter(|_| other.is_ready) else { return Some(Passing::Alone) };
        passage.until = None;
        Some(Passing::With { other, tells, tells_other })
    }

    /// Whether whoever is at the other end of a connection knows nothing of circuits.
    pub(crate) fn is_plain(&self, connection: ConnectionId) -> bool {
        let place = self.connections.get(&connection);
        let end = place.and_then(|(circuit, number)| Some(&self.circuits.get(circuit)?.ends[*number]));
        end.is_some_and(|end| end.is_plain)
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

/// Two servers, whoever of them asked.
fn pair(mut ends: [&str; 2]) -> [&str; 2] {
    ends.sort_unstable();
    ends
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
