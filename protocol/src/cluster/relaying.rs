//! Circuits, gossip and routes put together: who is asked for a circuit, who is told of one, and what comes of its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use log::debug;

use super::{Cluster, InfoHeard, Output};
use crate::close::CloseReason;
use crate::config::RouteUrl;
use crate::gossip::Gossip;
use crate::id::ConnectionId;
use crate::identity;
use crate::quote::brief;
use crate::relay::{
    Circuit, Ends, Joints, Lack, MAX_TOKEN_BYTES, Middle, PATIENCE, Passing, Refused, Role, Want,
};
use crate::routes::{Detour, DialError, DialId, DialRequest, Purpose, Routes};
use crate::time::Instant;
use crate::wire::{CircuitWord, Connect, GossipMode, Info};

/// What a node has to do with circuits.
#[derive(Debug)]
pub(super) struct Relaying {
    pub(super) ends: Ends,
    pub(super) middle: Middle,
    pub(super) joints: Joints,
    /// Where what is shown to take the place of a circuit comes from.
    tokens: Rng,
    /// Connections of circuits that this node makes, in the order in which they were wanted.
    dials: BTreeMap<DialId, CircuitDial>,
    /// The next of these is not begun before.
    next_dial_at: Instant,
    last: u64,
}

#[derive(Debug)]
struct CircuitDial {
    token: String,
    /// Where the other is that it is with: not its name, which may lead to others.
    address: SocketAddr,
    /// Nobody waits for it any longer then.
    until: Instant,
    is_begun: bool,
}

/// What follows from what was heard on a connection of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CircuitStep {
    /// Nothing, until whoever is in the middle says so.
    Waits,
    /// Its bytes pass through this node.
    Passes(Passing, Manner),
    /// It is a route to another server from here on.
    Begins(Beginning),
}

/// How whoever is at an end of a circuit that passes is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It knows of circuits, and says nothing before it hears that its own stands.
    Aware,
    /// It does not, and says what it likes when it likes.
    Unaware,
}

/// Another server is there than the one that is meant.
#[derive(Debug)]
pub(crate) struct WrongServer;

/// What comes first on a connection that was made for a circuit.
#[derive(Debug)]
pub(crate) enum CircuitDialed {
    /// This is said.
    Says(Vec<u8>),
    /// Nothing: it is ready.
    IsReady,
    /// Nothing before it is known who is there.
    IsGreeted,
}

/// What there is of circuits.
#[derive(Debug, Default)]
pub(crate) struct Circuits {
    /// How many pass through this node.
    pub(crate) passing: usize,
    /// Members of members, by their ids, that there is no route to, not even through another.
    pub(crate) unreached: Vec<String>,
}

/// How a circuit becomes a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// This node has the part of the one who dials.
    pub(crate) dials: bool,
    /// The host of the server at the other end, whose name its certificate is to have.
    pub(crate) host: String,
    /// What is said first.
    pub(crate) lines: Vec<u8>,
}

impl Relaying {
    pub(super) fn new(own_id: String, mut rng: Rng) -> Self {
        Self {
            joints: Joints::new(own_id.clone()),
            ends: Ends::new(own_id),
            middle: Middle::new(rng.fork()),
            tokens: rng,
            dials: BTreeMap::new(),
            next_dial_at: Instant::ZERO,
            last: 0,
        }
    }

    /// When [`Cluster::follow_circuits`] is to be called next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.ends.next_at().into_iter().chain(self.middle.next_at()).min()
    }

    /// When a connection is to be dialed; none if there is none, or too many are being dialed.
    pub(super) fn next_dial_at(&self) -> Option<Instant> {
        self.next_due().map(|_| self.next_dial_at)
    }

    /// Which of those that are not begun is next: not one to where some are under way already.
    fn next_due(&self) -> Option<DialId> {
        let under_way = || self.dials.values().filter(|dial| dial.is_begun);
        if under_way().count() >= MAX_CIRCUIT_DIALS {
            return None;
        }
        let is_free = |dial: &CircuitDial| {
            under_way().filter(|other| other.address == dial.address).count() < MAX_DIALS_OF_ONE
        };
        self.dials.iter().find(|(_, dial)| !dial.is_begun && is_free(dial)).map(|(id, _)| *id)
    }

    pub(super) fn poll_dial(&mut self, now: Instant) -> Option<DialRequest> {
        // Whoever waited for the others has given up.
        self.dials.retain(|_, dial| dial.is_begun || dial.until > now);
        let id = self.next_due().filter(|_| self.next_dial_at <= now)?;
        self.next_dial_at = now + DIAL_PAUSE;
        let CircuitDial { address, is_begun, .. } = self.dials.get_mut(&id)?;
        *is_begun = true;
        debug!("Trying to connect to {address} for a circuit");
        let (host, port) = (address.ip().to_string(), address.port());
        Some(DialRequest { id, host, port, own_addresses: Vec::new() })
    }

    pub(super) fn want_dial(&mut self, now: Instant, token: String, address: SocketAddr) {
        self.last += 1;
        let id = DialId(FIRST_CIRCUIT_DIAL + self.last);
        self.dials.insert(id, CircuitDial { token, address, until: now + PATIENCE, is_begun: false });
    }

    /// A connection of a circuit shows its token, or was made for it.
    fn handle_token(&mut self, connection: ConnectionId, token: &str) -> bool {
        self.middle.handle_token(connection, token) || self.ends.handle_token(connection, token)
    }
}

impl Cluster {
    /// Notes a connection that was made for a circuit, and returns what comes next; none if that is over.
    pub(crate) fn handle_circuit_dialed(
        &mut self,
        id: DialId,
        connection: ConnectionId,
    ) -> Option<CircuitDialed> {
        let CircuitDial { token, .. } = self.relaying.dials.remove(&id)?;
        if !self.relaying.handle_token(connection, &token) {
            return None;
        }
        match self.relaying.middle.role(connection) {
            Some(Role::Unaware) => return Some(CircuitDialed::IsReady),
            Some(Role::Addressed(_)) => return Some(CircuitDialed::IsGreeted),
            Some(Role::Aware) | None => {}
        }
        let connect =
            Connect { verbose: false, pedantic: false, onehop_circuit: token, ..Connect::default() };
        Some(CircuitDialed::Says(connect.to_line()))
    }

    /// Notes that such a connection could not be made.
    pub(super) fn handle_circuit_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        let Some(CircuitDial { token, address, .. }) = self.relaying.dials.remove(&id) else { return };
        debug!("Error trying to connect to {address} for a circuit: {why:?}");
        self.relaying.middle.handle_failed(now, &token);
        self.relaying.ends.handle_failed(now, &token);
    }

    /// An accepted connection shows a token. None if there is no such circuit.
    pub(crate) fn handle_circuit_token(
        &mut self,
        connection: ConnectionId,
        token: &str,
    ) -> Option<CircuitStep> {
        if !self.relaying.handle_token(connection, token) {
            return None;
        }
        self.handle_circuit_passing(connection).or(Some(CircuitStep::Waits))
    }

    /// The other connection of a circuit that stands.
    pub(crate) fn handle_circuit_passing(&mut self, connection: ConnectionId) -> Option<CircuitStep> {
        let passing = self.relaying.middle.handle_ready(connection)?;
        self.routes.release(connection);
        let manner = match self.relaying.middle.role(connection)? {
            Role::Aware => Manner::Aware,
            Role::Unaware | Role::Addressed(_) => Manner::Unaware,
        };
        Some(CircuitStep::Passes(passing, manner))
    }

    /// Who was dialed for a circuit says which server it is. None if nothing follows from that yet.
    ///
    /// # Errors
    /// This node was to speak to another one.
    pub(crate) fn handle_circuit_greeting(
        &mut self,
        connection: ConnectionId,
        server: &str,
    ) -> Result<Option<CircuitStep>, WrongServer> {
        match self.relaying.middle.addressed(connection) {
            None => Ok(None),
            Some(meant) if meant == server => Ok(self.handle_circuit_passing(connection)),
            Some(_) => Err(WrongServer),
        }
    }

    /// Whoever is at the other end of a connection of a circuit is ready for it, or says that it stands. None if there is no such circuit.
    pub(crate) fn handle_circuit_ready(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
    ) -> Option<CircuitStep> {
        self.handle_circuit_passing(connection)
            .or_else(|| self.handle_circuit_stands(connection, remote).map(CircuitStep::Begins))
    }

    /// A circuit stands, by the word of the server in the middle: it becomes a route.
    fn handle_circuit_stands(&mut self, connection: ConnectionId, remote: SocketAddr) -> Option<Beginning> {
        let Circuit { relay, url, server, begins } = self.relaying.ends.circuit(connection)?.clone();
        let purpose = if begins {
            let account = self.routes.missing(&server).into_iter().next()?;
            Some(Purpose { url: url.clone(), explicit: false, account, gossip_mode: GossipMode::Default })
        } else {
            None
        };
        let lines = match &purpose {
            Some(_) => self.handshake.opening(purpose.as_ref()),
            None => self.greeting(),
        };
        let host = url.host.clone();
        let own_token = identity::circuit_token(&mut self.relaying.tokens);
        let detour = Detour { relay, url, own_token, peer_token: None };
        self.routes.handle_circuit(connection, remote, purpose, detour);
        Some(Beginning { dials: begins, host, lines })
    }

    /// A connection ended, which may have been part of a circuit.
    pub(super) fn handle_circuit_closed(&mut self, now: Instant, connection: ConnectionId) {
        let other = self.relaying.middle.handle_closed(connection);
        self.outputs.extend(other.map(|other| Output::Close(other, CloseReason::ClientClosed)));
        self.relaying.ends.handle_over(now, connection, None);
    }

    /// Wants circuits to the servers that are lacking, and gives up what takes too long.
    pub(super) fn follow_circuits(&mut self, now: Instant) {
        let Self { relaying, routes, gossip, config, .. } = self;
        let late = relaying.middle.handle_timeout(now).into_iter();
        self.outputs.extend(late.map(|id| Output::Close(id, CloseReason::ClientClosed)));
        let lack = |server: &str| match routes.is_direct(server) {
            None => Lack::Everything,
            Some(true) => Lack::Nothing,
            Some(false) if routes.missing(server).is_empty() => Lack::Covered,
            Some(false) => Lack::Rest,
        };
        let relays = |peer: &str| carrier_of_words(routes, gossip, peer).is_some();
        if !config.relays() {
            return;
        }
        for Want { relay, server } in relaying.ends.handle_timeout(now, &config.relay, lack, relays) {
            debug!("Asking {relay} for a circuit to {}", brief(&server));
            self.say(&relay, CircuitWord::Open { server });
        }
    }

    /// Hears what a member says of circuits.
    pub(super) fn handle_circuit_word(
        &mut self,
        now: Instant,
        over: ConnectionId,
        peer: &str,
        word: CircuitWord,
    ) -> InfoHeard {
        if self.routes.detour(over).is_some() {
            // At most one server is between two, so it is about this one.
            match word {
                CircuitWord::Heir { token } if token.len() <= MAX_TOKEN_BYTES => {
                    self.routes.handle_heir(over, token);
                }
                CircuitWord::Last => return InfoHeard::LastLine,
                _ => {}
            }
            return InfoHeard::Nothing;
        }
        match word {
            CircuitWord::Open { server } => {
                if let Err(refused) = self.open_circuit(now, peer, &server) {
                    let why = refused.to_string();
                    self.say(peer, CircuitWord::Refuse { server, why });
                    return refused.limit().map_or(InfoHeard::Nothing, InfoHeard::Excess);
                }
            }
            CircuitWord::Join { server, url, token, begins, dials } if self.config.relays() => {
                let Ok(url) = url.trim_end_matches('/').parse::<RouteUrl>() else {
                    return InfoHeard::Nothing;
                };
                let circuit = Circuit { relay: peer.to_owned(), server, url, begins };
                let dialed = self.dialed_address(over);
                let is_possible = !dials || dialed.is_some();
                if is_possible
                    && self.relaying.ends.handle_join(now, &token, circuit)
                    && let Some(address) = dialed.filter(|_| dials)
                {
                    self.relaying.want_dial(now, token, address);
                }
            }
            CircuitWord::Refuse { server, why } => {
                debug!("{peer} lets no circuit pass to {}: {}", brief(&server), brief(&why));
                self.relaying.ends.handle_refused(now, peer, &server);
                self.follow_circuits(now);
            }
            CircuitWord::Join { .. }
            | CircuitWord::Heir { .. }
            | CircuitWord::Replace { .. }
            | CircuitWord::Replaced { .. }
            | CircuitWord::Last
            | CircuitWord::Unknown => {}
            CircuitWord::Heard => self.routes.handle_all_heard(now, over),
        }
        InfoHeard::Nothing
    }

    /// What a server that the bytes of a connection pass through is called.
    pub(super) fn relay_name(&self, connection: ConnectionId) -> Option<String> {
        let relay = &self.routes.detour(connection)?.relay;
        let name = self.gossip.info_of(relay).map(|info| info.server_name.clone());
        Some(name.unwrap_or_else(|| relay.clone()))
    }

    /// What there is of circuits, for pages.
    pub(crate) fn circuits(&self) -> Circuits {
        let passing = self.relaying.middle.len();
        let unreached = self.relaying.ends.unreached().take(SHOWN_SERVERS).map(str::to_owned).collect();
        Circuits { passing, unreached }
    }

    /// A member wants a circuit to another.
    fn open_circuit(&mut self, now: Instant, from: &str, to: &str) -> Result<(), Refused> {
        if !self.config.relays() {
            return Err(Refused::Off);
        }
        let [from_leg, to_leg] = [from, to].map(|server| self.leg_to(server).filter(|_| from != to));
        let (Some(Leg::Asked(from_leg)), Some(to_leg)) = (from_leg, to_leg) else {
            return Err(Refused::NoMember);
        };
        let needed = self.connections_between([from, to]);
        let role = if let Leg::Plain(_) = to_leg { Role::Unaware } else { Role::Aware };
        let parties = [(from, Role::Aware), (to, role)];
        let [from_token, to_token] = self.relaying.middle.open(now, parties, needed, &self.config.relay)?;
        debug!("A circuit from {from} to {to} begins");
        self.invite(now, [from, to], from_leg, from_token, true);
        match to_leg {
            Leg::Asked(leg) => self.invite(now, [to, from], leg, to_token, false),
            Leg::Plain(address) => self.relaying.want_dial(now, to_token, address),
        }
        Ok(())
    }

    /// How many connections two members have, as far as this node knows: it takes it that they pin what it pins itself.
    fn connections_between(&self, members: [&str; 2]) -> usize {
        let pools = members.map(|id| self.gossip.info_of(id).map_or(0, |info| info.route_pool_size));
        self.routes.connections_with(pools)
    }

    /// How a connection of a circuit with a member is made; none if that has no direct route.
    fn leg_to(&self, server: &str) -> Option<Leg> {
        match carrier_of_words(&self.routes, &self.gossip, server) {
            Some(carrier) => Some(Leg::Asked(self.dialed_address(carrier))),
            None => self.plain_address(server).map(Leg::Plain),
        }
    }

    /// Where a connection leads to that this node has dialed.
    pub(super) fn dialed_address(&self, connection: ConnectionId) -> Option<SocketAddr> {
        let (remote, purpose) = self.routes.connection(connection)?;
        purpose.map(|_| remote)
    }

    /// Tells one end of a circuit to join it.
    fn invite(
        &mut self,
        now: Instant,
        [whom, server]: [&str; 2],
        leg: Option<SocketAddr>,
        token: String,
        begins: bool,
    ) {
        let url = self.gossip.info_of(server).map(|info| info.ip.clone()).unwrap_or_default();
        let (server, dials) = (server.to_owned(), leg.is_none());
        self.say(whom, CircuitWord::Join { server, url, token: token.clone(), begins, dials });
        if let Some(address) = leg {
            self.relaying.want_dial(now, token, address);
        }
    }

    fn say(&mut self, peer: &str, word: CircuitWord) {
        let Some(carrier) = self.routes.carrier(peer, None) else { return };
        self.outputs.push_back(Output::Send(carrier, self.word_line(word).into()));
    }

    pub(super) fn word_line(&self, word: CircuitWord) -> Vec<u8> {
        let Info { server_id, server_name, onehop, .. } = self.handshake.own_info().clone();
        let line = Info { server_id, server_name, onehop, onehop_circuit: Some(word), ..Info::default() };
        line.to_gossip_line()
    }
}

/// How a connection of a circuit is made.
enum Leg {
    /// With a member that knows of circuits: this node dials it there, or is dialed.
    Asked(Option<SocketAddr>),
    /// With one that does not: this node dials its route port.
    Plain(SocketAddr),
}

/// Whether a dial is for a circuit.
pub(crate) fn is_for_circuit(dial: DialId) -> bool {
    dial.0 > FIRST_CIRCUIT_DIAL
}

/// The connection over which a peer may be asked for a circuit, or told of one: if it knows of such, and is reached directly.
pub(super) fn carrier_of_words(routes: &Routes, gossip: &Gossip, peer: &str) -> Option<ConnectionId> {
    let knows = gossip.info_of(peer).is_some_and(|info| info.onehop >= CIRCUITS);
    routes.direct_carrier(peer).filter(|_| knows)
}

/// So many connections of circuits are dialed at once, and one after so long: whoever lets many pass is not to be stormed.
pub(crate) const MAX_CIRCUIT_DIALS: usize = 16;
const DIAL_PAUSE: Duration = Duration::from_millis(10);

/// So many of them to one place at once.
const MAX_DIALS_OF_ONE: usize = 4;

/// So many servers are named at the most.
const SHOWN_SERVERS: usize = 256;

/// From this level on a onehop node knows of circuits (wire.md 14.7).
pub(super) const CIRCUITS: i32 = 2;

/// Dials of circuits are numbered from here: no node makes so many others.
const FIRST_CIRCUIT_DIAL: u64 = 1 << 63;
