//! The circuits that this node is an end of, and those that it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::PATIENCE;
use super::choice::rank;
use crate::config::{Relay, RouteUrl};
use crate::id::ConnectionId;
use crate::routes::dials_first;
use crate::time::Instant;

/// The servers that this node heard of, and the circuits on their way.
#[derive(Debug)]
pub(crate) struct Ends {
    own_id: String,
    servers: BTreeMap<String, Server>,
    /// Circuits that were agreed on, by the tokens of the connections that are still to be made.
    tokens: BTreeMap<String, Coming>,
    /// Circuits whose connection is there, until they are routes.
    connections: BTreeMap<ConnectionId, Circuit>,
}

/// A circuit that this node has a connection of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circuit {
    /// The server in the middle.
    pub(crate) relay: String,
    /// The server at the other end.
    pub(crate) server: String,
    /// Where that is reached by those who can reach it.
    pub(crate) url: RouteUrl,
    /// This node has the part of the one who dials.
    pub(crate) begins: bool,
}

#[derive(Debug)]
struct Coming {
    circuit: Circuit,
    until: Instant,
}

/// A server that members told of while there was no route to it.
#[derive(Debug)]
struct Server {
    /// Which members told of it, and when last: they may have routes to it.
    tellers: BTreeMap<String, Instant>,
    /// What there is of the routes to it, as far as was looked last.
    lack: Lack,
    /// Not before is a circuit to it wanted.
    due: Instant,
    /// How often all in question were asked in vain.
    rounds: u32,
    /// Who was asked in this round.
    asked: BTreeSet<String>,
    /// Who is asked now.
    attempt: Option<Attempt>,
    /// Of the two this node is the one that goes first.
    goes_first: bool,
}

/// A circuit that a member was asked for.
#[derive(Debug)]
struct Attempt {
    relay: String,
    until: Instant,
    /// The member has let it begin.
    is_joined: bool,
}

/// What there is of the routes to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Some lead there directly.
    Nothing,
    /// All that this node wants are there, through a third.
    Covered,
    /// Some that pass through a third, and not all.
    Rest,
    /// None.
    Everything,
}

/// Who is to be asked for a circuit to a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) relay: String,
    pub(crate) server: String,
}

impl Ends {
    pub(crate) fn new(own_id: String) -> Self {
        Self { own_id, servers: BTreeMap::new(), tokens: BTreeMap::new(), connections: BTreeMap::new() }
    }

    /// Hears from a member of a server that this node has no route to. If `either_may`, that may want circuits with this node as well.
    pub(crate) fn handle_heard(
        &mut self,
        now: Instant,
        teller: &str,
        server: &str,
        either_may: bool,
        relay: &Relay,
    ) {
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(server) {
            return;
        }
        let goes_first = !either_may || dials_first(&self.own_id, server);
        let due = now + patience(goes_first, relay);
        let known = self.servers.entry(server.to_owned()).or_insert_with(|| Server::new(due, goes_first));
        known.goes_first = goes_first;
        if !known.is_lacking() {
            known.lack = Lack::Everything;
            known.begin(due);
        }
        if known.tellers.len() < MAX_TELLERS || known.tellers.contains_key(teller) {
            known.tellers.insert(teller.to_owned(), now);
        }
    }

    /// The servers that there is no route to, although members told of them.
    pub(crate) fn unreached(&self) -> impl Iterator<Item = &str> {
        let lacking = self.servers.iter().filter(|(_, server)| server.lack == Lack::Everything);
        lacking.map(|(id, _)| id.as_str())
    }

    /// When [`Ends::handle_timeout`] is to be called next, whatever else happens.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let may_ask = self.attempts() < MAX_ATTEMPTS;
        let of_servers = self.servers.values().filter_map(|server| match &server.attempt {
            Some(attempt) => Some(attempt.until),
            None => (may_ask && server.is_lacking()).then_some(server.due),
        });
        of_servers.chain(self.tokens.values().map(|coming| coming.until)).min()
    }

    /// Says who is to be asked for circuits now. `lack` tells what there is of the routes to a server, `relays` whether a member may be
    /// asked: it has a direct route and knows of circuits.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        relay: &Relay,
        lack: impl Fn(&str) -> Lack,
        relays: impl Fn(&str) -> bool,
    ) -> Vec<Want> {
        self.tokens.retain(|_, coming| coming.until > now);
        let mut wants = Vec::new();
        let Self { servers, own_id, .. } = self;
        for (id, server) in &mut *servers {
            server.attempt.take_if(|attempt| attempt.until <= now);
            let lack = lack(id);
            server.tellers.retain(|_, heard_at| match lack {
                // Nobody tells of it as long as it is a member.
                Lack::Covered | Lack::Rest => {
                    *heard_at = now;
                    true
                }
                Lack::Nothing | Lack::Everything => now.since(*heard_at) < BELIEVED_FOR,
            });
            server.follow(now, lack, relay);
        }
        let mut asked = BTreeMap::<String, usize>::new();
        for attempt in servers.values().filter_map(|server| server.attempt.as_ref()) {
            *asked.entry(attempt.relay.clone()).or_default() += 1;
        }
        let mut attempts = asked.values().sum::<usize>();
        // Those first that lack some, since the accounts that these carry pass no messages, and a relay may let pass only so many; then
        // those that have waited for longest.
        let mut due: Vec<_> = servers.iter_mut().filter(|(_, server)| server.is_due(now)).collect();
        due.sort_by_key(|(_, server)| (server.lack == Lack::Everything, server.due));
        for (id, server) in due {
            if attempts >= MAX_ATTEMPTS {
                break;
            }
            let is_busy =
                |relay: &str| asked.get(relay).is_some_and(|count| *count >= MAX_ATTEMPTS_PER_RELAY);
            let candidates = server.tellers.keys().filter(|teller| relays(teller));
            let untried = candidates.filter(|teller| !server.asked.contains(*teller));
            match untried.min_by_key(|teller| rank(teller, [own_id, id])).cloned() {
                Some(relay) if is_busy(&relay) => server.due = now + BUSY_PAUSE,
                Some(relay) => {
                    attempts += 1;
                    *asked.entry(relay.clone()).or_default() += 1;
                    server.asked.insert(relay.clone());
                    let until = now + PATIENCE;
                    server.attempt = Some(Attempt { relay: relay.clone(), until, is_joined: false });
                    wants.push(Want { relay, server: id.clone() });
                }
                None => server.pause(now),
            }
        }
        servers.retain(|_, server| server.is_of_use());
        wants
    }

    /// How many circuits this node is about to get.
    fn attempts(&self) -> usize {
        self.servers.values().filter(|server| server.attempt.is_some()).count()
    }

    /// Hears that a circuit is to be joined, by a connection that has this token. False if this node wants none.
    pub(crate) fn handle_join(&mut self, now: Instant, token: &str, circuit: Circuit) -> bool {
        let is_of = |known: &Circuit| known.relay == circuit.relay;
        let coming = || self.tokens.values().map(|coming| &coming.circuit).chain(self.connections.values());
        let is_full =
            coming().count() >= MAX_COMING || coming().filter(|it| is_of(it)).count() >= MAX_COMING_OF_ONE;
        if is_full || token.len() > MAX_TOKEN_BYTES || self.tokens.contains_key(token) {
            return false;
        }
        if circuit.begins {
            let attempt = self.servers.get_mut(&circuit.server).and_then(|server| server.attempt.as_mut());
            let asked = attempt.filter(|it| it.relay == circuit.relay && !it.is_joined);
            let Some(attempt) = asked else { return false };
            (attempt.until, attempt.is_joined) = (now + PATIENCE, true);
        }
        self.tokens.insert(token.to_owned(), Coming { circuit, until: now + PATIENCE });
        true
    }

    /// Hears that there is no circuit to a server through a member, which is not asked again unless it tells of the server once more:
    /// that may be gone. Where there are some circuits already it is asked again after a while: nobody tells of a member.
    pub(crate) fn handle_refused(&mut self, now: Instant, relay: &str, server: &str) {
        if let Some(server) = self.servers.get_mut(server).filter(|server| server.lack == Lack::Everything) {
            server.tellers.remove(relay);
        }
        self.fail(now, server, relay);
    }

    /// A connection shows a token, or was made for it. False if there is none such.
    pub(crate) fn handle_token(&mut self, connection: ConnectionId, token: &str) -> bool {
        let coming = self.tokens.remove(token);
        coming.map(|coming| self.connections.insert(connection, coming.circuit)).is_some()
    }

    /// The connection of a token could not be made.
    pub(crate) fn handle_failed(&mut self, now: Instant, token: &str) {
        if let Some(Coming { circuit, .. }) = self.tokens.remove(token) {
            self.fail_circuit(now, &circuit);
        }
    }

    /// The circuit whose connection this is, before it is a route.
    pub(crate) fn circuit(&self, connection: ConnectionId) -> Option<&Circuit> {
        self.connections.get(&connection)
    }

    /// A connection has become a route to this server, or ended.
    pub(crate) fn handle_over(&mut self, now: Instant, connection: ConnectionId, route_to: Option<&str>) {
        let Some(circuit) = self.connections.remove(&connection) else { return };
        if route_to.is_none_or(|server| server != circuit.server) {
            return self.fail_circuit(now, &circuit);
        }
        if let Some(server) = self.servers.get_mut(&circuit.server) {
            let pause = pause(server.goes_first);
            server.attempt = None;
            server.rounds = 0;
            server.asked.clear();
            server.due = now + pause;
        }
    }

    fn fail_circuit(&mut self, now: Instant, circuit: &Circuit) {
        if circuit.begins {
            self.fail(now, &circuit.server, &circuit.relay);
        }
    }

    fn fail(&mut self, now: Instant, server: &str, relay: &str) {
        if let Some(server) = self.servers.get_mut(server)
            && server.attempt.take_if(|attempt| attempt.relay == relay).is_some()
        {
            server.due = now + pause(server.goes_first);
        }
    }
}

impl Server {
    fn new(due: Instant, goes_first: bool) -> Self {
        Self {
            goes_first,
            tellers: BTreeMap::new(),
            lack: Lack::Everything,
            due,
            rounds: 0,
            asked: BTreeSet::new(),
            attempt: None,
        }
    }

    /// Whether circuits to it are wanted.
    fn is_lacking(&self) -> bool {
        matches!(self.lack, Lack::Rest | Lack::Everything)
    }

    fn begin(&mut self, due: Instant) {
        (self.due, self.rounds) = (due, 0);
        self.asked.clear();
    }

    /// Follows what there is of the routes to it.
    fn follow(&mut self, now: Instant, lack: Lack, relay: &Relay) {
        let goes_first = self.goes_first;
        let was_lacking = self.is_lacking();
        self.lack = lack;
        match lack {
            Lack::Nothing | Lack::Covered => self.attempt = None,
            Lack::Rest if !was_lacking => self.begin(now + pause(goes_first)),
            Lack::Everything if !was_lacking => self.begin(now + patience(goes_first, relay)),
            Lack::Rest | Lack::Everything => {}
        }
    }

    /// Nobody is left to be asked: begins anew after a while, which doubles.
    fn pause(&mut self, now: Instant) {
        self.asked.clear();
        self.due = now + FIRST_PAUSE.saturating_mul(1 << self.rounds.min(6)).min(LONGEST_PAUSE);
        self.rounds += 1;
    }

    /// Whether somebody is to be asked for a circuit to it now.
    fn is_due(&self, now: Instant) -> bool {
        self.is_lacking() && self.attempt.is_none() && self.due <= now
    }

    /// Whether somebody told of it lately, or it is being reached.
    fn is_of_use(&self) -> bool {
        !self.tellers.is_empty() || self.attempt.is_some()
    }
}

/// How long a node waits before it wants a circuit: one of the two ends waits longer, so that they do not both begin.
fn patience(goes_first: bool, relay: &Relay) -> Duration {
    if goes_first { relay.after } else { relay.after * 2 }
}

/// How long it waits before it wants another circuit with a server. Of two ends that begin at once each keeps its own and loses it to
/// the other's word: so one goes on at once, and the other later, else they would do so again and again.
fn pause(goes_first: bool) -> Duration {
    if goes_first { Duration::ZERO } else { REST_AFTER }
}

/// So many servers are kept in mind that there is no route to, or only one through a third.
pub(super) const MAX_SERVERS: usize = 1024;

/// So many members that told of one.
const MAX_TELLERS: usize = 16;

/// So many are asked for at once; the others wait.
pub(super) const MAX_ATTEMPTS: usize = 16;

/// So many of one member; what is due beyond that waits for so long.
const MAX_ATTEMPTS_PER_RELAY: usize = 8;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// So many circuits may be on their way that were agreed on, until they are routes; so many by the word of one member.
pub(super) const MAX_COMING: usize = 64;
pub(super) const MAX_COMING_OF_ONE: usize = 32;

/// No token is longer.
pub(crate) const MAX_TOKEN_BYTES: usize = 64;

/// A member has what it told of for so long, as far as this node knows. Members say again what others lack every ten seconds.
const BELIEVED_FOR: Duration = Duration::from_secs(600);

/// So long the end that goes first may take for the circuits that are still missing, before the other wants them.
const REST_AFTER: Duration = Duration::from_secs(2);

/// The first and the longest pause between two rounds of asking.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
