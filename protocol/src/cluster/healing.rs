//! What keeps the mesh whole beyond nats-server's rules (design.md 5): servers are remembered, gaps are filled,
//! onehop nodes compare whom they know, and nats-server peers are told of each other again.
//!
//! All of it happens from time to time in [`Cluster::handle_timeout`], a bounded amount each time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::gossip;
use crate::wire::KnownServer;
use crate::wire::encode::PING;
use crate::wire::system::{self, Neighbour};

/// What the rules keep in mind.
#[derive(Debug)]
pub(super) struct HealingState {
    /// When to look after the mesh again.
    at: Instant,
    /// The next pair of nats-server peers to be told of each other.
    next_pair: usize,
    /// Of each pair the second is told in this round, and the first in the next.
    tells_second: bool,
    /// When the present round of all pairs began.
    round_began: Instant,
    /// The nats-server peer that was asked last for its routes, and when.
    asked: Option<(String, Instant)>,
    /// Its answer has not come yet.
    awaits_answer: bool,
    /// Servers that were dialed because a peer has a route to them, and are not connected so far.
    lacked: BTreeMap<String, Lacked>,
}

/// How a server was tried that a peer has a route to.
#[derive(Debug)]
struct Lacked {
    attempts: u32,
    not_before: Instant,
}

impl HealingState {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            next_pair: 0,
            tells_second: true,
            round_began: now,
            asked: None,
            awaits_answer: false,
            lacked: BTreeMap::new(),
        }
    }

    /// What there is to it apart from times ([`Cluster::describe`]).
    #[cfg(feature = "sim")]
    pub(super) fn describe(&self) -> String {
        let Self { at: _, next_pair, tells_second, round_began: _, asked, awaits_answer, lacked } = self;
        let asked = asked.as_ref().map(|(peer, _)| peer);
        let lacked: Vec<_> = lacked.iter().map(|(id, lacked)| (id, lacked.attempts)).collect();
        format!("{next_pair} {tells_second} {asked:?} {awaits_answer} {lacked:?}")
    }
}

impl Cluster {
    /// When to look after the mesh again.
    pub(super) fn healing_timeout(&self) -> Option<Instant> {
        (self.config.healing.is_active() && !self.peers.is_empty()).then_some(self.healing.at)
    }

    /// Looks after the mesh, if it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.healing_timeout().is_none_or(|at| now < at) {
            return;
        }
        self.next_dial = None;
        self.healing.at = now + self.config.healing.interval + jitter(&mut self.rng);
        if self.config.healing.remember {
            self.close_lifeless(now);
            self.fill_gaps(now);
        }
        if self.config.healing.compare {
            self.compare(now);
        }
        if self.config.healing.regossip {
            self.regossip(now);
        }
        if self.config.healing.ask {
            self.ask(now);
        }
    }

    /// Until when a server that is wanted now is tried.
    pub(super) fn remembered_until(&self, now: Instant) -> Option<Instant> {
        self.config.healing.remember.then(|| now + self.config.healing.forget_after)
    }

    /// Whether what a dial is for is there already.
    pub(super) fn is_satisfied(&self, dial: &Dial) -> bool {
        if dial.explicit {
            return false;
        }
        let Some(peer) = dial.peer.as_ref().or(dial.guess_of.as_ref()).and_then(|id| self.peers.get(id))
        else {
            return false;
        };
        match &dial.account {
            Some(account) => peer.dedicated(account).is_some(),
            None if dial.fills => peer.empty_slot().is_none(),
            None => peer.first().is_some(),
        }
    }

    /// Asks a connection for a sign of life, since the peer tries to make another in its place: it may be one that is
    /// open on this side only, and would be so until keep-alive notices.
    pub(super) fn probe(&mut self, now: Instant, connection: ConnectionId) {
        if !self.config.healing.remember {
            return;
        }
        if let Some(link) = self.links.get_mut(&connection)
            && link.probed_until.is_none()
        {
            link.probed_until = Some(now + PROBE_TIMEOUT);
            self.outputs.push_back(Output::Send(connection, PING.to_vec()));
        }
    }

    /// Closes connections that gave no sign of life when asked.
    fn close_lifeless(&mut self, now: Instant) {
        for (id, link) in &mut self.links {
            if link.probed_until.is_some_and(|until| until <= now) {
                link.probed_until = None;
                self.outputs.push_back(Output::Close(*id, CloseReason::StaleConnection));
            }
        }
    }

    /// Dials what is missing of the connections to a peer. Usually one side does so at once when a connection is lost;
    /// this is for when that failed, so it waits a while, on one side longer than on the other.
    fn fill_gaps(&mut self, now: Instant) {
        let (pinned, until) = (self.pinned_accounts(), self.remembered_until(now));
        let mut wanted = Vec::new();
        for (id, peer) in &mut self.peers {
            let missing = peer.missing(pinned);
            if missing.is_empty() || peer.leaves {
                peer.gap_since = None;
                continue;
            }
            let patience = if self.server_id < *id { GAP_PATIENCE } else { GAP_PATIENCE * 2 };
            if now.since(*peer.gap_since.get_or_insert(now)) < patience {
                continue;
            }
            peer.gap_since = Some(now);
            if let Some(url) = peer.url() {
                debug!("Connections to {id} are missing, dialing it again");
                let dials = missing.into_iter().map(|account| Dial::new(url.clone(), account, now));
                wanted.extend(dials.map(|dial| Dial {
                    peer: Some(id.clone()),
                    reconnect: true,
                    fills: true,
                    until,
                    ..dial
                }));
            }
        }
        wanted.into_iter().for_each(|dial| self.dials.add(dial));
    }

    /// Tells other onehop nodes a digest of the servers that this node has routes to, when it changed; and names the
    /// servers to those whose digest differs. Whoever lacks one of them dials it.
    fn compare(&mut self, now: Instant) {
        let digest = self.digest();
        let (mut digest_to, mut servers_to) = (Vec::new(), Vec::new());
        for (id, peer) in &mut self.peers {
            let Some(over) = peer.first().filter(|_| peer.info.onehop > 0) else {
                continue;
            };
            let told = peer.told_digest.as_ref();
            if !told.is_some_and(|(of, at)| *of == digest && now.since(*at) < TELL_DIGEST_AGAIN) {
                peer.told_digest = Some((digest.clone(), now));
                digest_to.push(over);
            }
            let differs = !peer.heard_digest.is_empty() && peer.heard_digest != digest;
            let told = peer.told_servers.as_ref();
            let is_told = told.is_some_and(|(of, at)| *of == digest && now.since(*at) < TELL_SERVERS_AGAIN);
            if differs && !is_told && servers_to.len() < SERVERS_TO_AT_ONCE {
                peer.told_servers = Some((digest.clone(), now));
                servers_to.push((id.clone(), over));
            }
        }
        if !digest_to.is_empty() {
            let line = Info { onehop_digest: digest, ..self.own_id() }.to_gossip_line();
            self.outputs.extend(digest_to.into_iter().map(|over| Output::Send(over, line.clone())));
        }
        for (id, over) in servers_to {
            for servers in self.servers_beside(&id).chunks(SERVERS_PER_LINE) {
                let info = Info { onehop_peers: servers.to_vec(), ..self.own_id() };
                self.outputs.push_back(Output::Send(over, info.to_gossip_line()));
            }
        }
    }

    /// Hears what another onehop node knows.
    pub(super) fn handle_comparison(&mut self, now: Instant, peer: &str, info: Info) {
        if !self.config.healing.compare {
            return;
        }
        if !info.onehop_digest.is_empty()
            && let Some(peer) = self.peers.get_mut(peer)
        {
            peer.heard_digest = info.onehop_digest;
        }
        for server in info.onehop_peers {
            if server.id == self.server_id || self.knows(&server.id, None) {
                continue;
            }
            if let Some(url) = self.dialable(&server.url) {
                for account in self.kinds_of_connection() {
                    self.want(now, &server.id, &url, account, GossipMode::Disabled, server.onehop);
                }
            }
        }
    }

    /// Tells nats-server peers of each other, some pairs each time. Those that have a route ignore it, and the others
    /// dial (checked with 2.15.1 and 2.10.26).
    fn regossip(&mut self, now: Instant) {
        let healing = &self.config.healing;
        // A pair that is new has been told of each other just now.
        let is_due = |peer: &&Peer| {
            peer.info.onehop == 0
                && peer.first().is_some()
                && now.since(peer.since) >= healing.regossip_interval
        };
        let peers: Vec<_> = self.peers.values().filter(is_due).collect();
        let pairs = peers.len() * peers.len().saturating_sub(1) / 2;
        if self.healing.next_pair >= pairs {
            if now.since(self.healing.round_began) < healing.regossip_interval {
                return;
            }
            self.healing.round_began = now;
            self.healing.next_pair = 0;
            self.healing.tells_second = !self.healing.tells_second;
        }
        let seconds = healing.interval.as_secs_f64();
        let lines = (f64::from(healing.regossip_lines_per_second) * seconds).ceil() as usize;
        let at_once = (lines / LINES_PER_PAIR).max(1);
        let all = peers
            .iter()
            .enumerate()
            .flat_map(|(at, first)| peers[at + 1..].iter().map(move |it| (first, it)));
        for (first, second) in all.skip(self.healing.next_pair).take(at_once) {
            // Only one of the two, and the other in the next round: both would dial at once, and drop each other's connection.
            let (told, newcomer) = if self.healing.tells_second { (second, first) } else { (first, second) };
            self.outputs.extend(tell_again(told, newcomer));
        }
        self.healing.next_pair = pairs.min(self.healing.next_pair + at_once);
    }

    /// Asks the next nats-server peer for its routes, if it is time.
    fn ask(&mut self, now: Instant) {
        let asked = self.healing.asked.as_ref();
        if asked.is_some_and(|(_, at)| now.since(*at) < self.config.healing.ask_interval) {
            return;
        }
        let carriers = || {
            let peers = self.peers.iter().filter(|(_, peer)| peer.info.onehop == 0 && !peer.leaves);
            // It says what it listens to once it is registered.
            let peers = peers.filter(|(_, peer)| now.since(peer.since) >= ASK_AFTER);
            peers.filter_map(|(id, peer)| Some((id, peer.carrier(SYSTEM_ACCOUNT)?)))
        };
        let after_last = carriers().find(|(id, _)| asked.is_some_and(|(last, _)| *id > last));
        let Some((id, (over, account))) = after_last.or_else(|| carriers().next()) else {
            return;
        };
        let subject = system::question_to(id);
        let line = system::question(&subject, &self.server_id, account);
        self.outputs.push_back(Output::Publish { over, subject, line });
        self.healing.asked = Some((id.clone(), now));
        self.healing.awaits_answer = true;
    }

    /// Whether an answer is expected from the peer at a connection, which is worth reading then.
    pub(crate) fn awaits_answer(&self, connection: ConnectionId) -> bool {
        let link = self.links.get(&connection);
        let Some(Link { progress: Progress::Registered { peer, .. }, .. }) = link else {
            return false;
        };
        self.healing.awaits_answer && self.healing.asked.as_ref().is_some_and(|(id, _)| id == peer)
    }

    /// Hears which routes a peer has that was asked, and dials the servers that this node lacks.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        neighbours: Vec<Neighbour>,
    ) {
        if !self.awaits_answer(connection) {
            return;
        }
        self.healing.awaits_answer = false;
        let is_local = self.links.get(&connection).is_some_and(|link| link.remote.ip().is_loopback());
        let mut lacked = std::mem::take(&mut self.healing.lacked);
        lacked.retain(|id, _| !self.knows(id, None));
        let mut dialed = 0;
        for server in neighbours {
            let is_wanted = server.id != self.server_id
                && is_sensible(&server, is_local)
                && !self.knows(&server.id, None)
                && !self.dials.is_for(&server.id);
            if is_wanted && dialed < DIALED_PER_ANSWER && self.may_try(now, &mut lacked, &server.id) {
                dialed += 1;
                self.dial_neighbour(now, &server);
            }
        }
        self.healing.lacked = lacked;
    }

    /// Whether it is time to try a server that a peer has a route to, after longer and longer pauses; notes that it is tried.
    fn may_try(&self, now: Instant, lacked: &mut BTreeMap<String, Lacked>, id: &str) -> bool {
        if !lacked.contains_key(id) && lacked.len() >= MAX_LACKED {
            return false;
        }
        let tried = lacked.entry(id.to_owned()).or_insert(Lacked { attempts: 0, not_before: now });
        if now < tried.not_before {
            return false;
        }
        let pause = self.config.healing.ask_interval.saturating_mul(1 << tried.attempts.min(16));
        tried.attempts = tried.attempts.saturating_add(1);
        tried.not_before = now + pause.min(LONGEST_TRY_PAUSE);
        true
    }

    /// Dials a server that a peer has routes to, once, wherever it may be: at the ports that the peer may have dialed it
    /// at, and at this node's own, since the members of a cluster are often configured alike.
    fn dial_neighbour(&mut self, now: Instant, server: &Neighbour) {
        let host = server.ip.to_string();
        let taken: Vec<_> = self.peers.values().filter_map(Peer::url).collect();
        for port in server.ports.iter().copied().filter(|port| *port != self.port).chain([self.port]) {
            if self.own_addresses.contains(&SocketAddr::new(server.ip, port))
                || taken.iter().any(|url| url.leads_to(&host, port))
            {
                continue;
            }
            let url = RouteUrl { user: None, password: None, host: host.clone(), port };
            debug!("A peer has a route to {}, dialing {url}", server.id.escape_debug());
            for account in self.kinds_of_connection() {
                let dial = Dial::new(url.clone(), account, now);
                let guess_of = Some(server.id.clone());
                self.dials.add(Dial { gossip_mode: GossipMode::Disabled, guess_of, ..dial });
            }
        }
        self.next_dial = None;
    }

    /// A digest of the servers that this node has routes to and itself: equal on all members of a full mesh.
    fn digest(&self) -> String {
        let present = self.peers.iter().filter(|(_, peer)| peer.first().is_some()).map(|(id, _)| id);
        // A sum does not depend on the order.
        let sum = present.chain([&self.server_id]).fold(0, |sum: u64, id| sum.wrapping_add(fnv1a(id)));
        format!("{sum:016x}")
    }

    /// The servers that this node has routes to, apart from one.
    fn servers_beside(&self, peer: &str) -> Vec<KnownServer> {
        let others =
            self.peers.iter().filter(|(id, other)| *id != peer && other.first().is_some() && !other.leaves);
        others
            .filter(|(id, other)| id.len() + other.info.ip.len() <= MAX_SERVER_BYTES)
            .map(|(id, other)| KnownServer {
                id: id.clone(),
                url: other.info.ip.clone(),
                onehop: other.info.onehop > 0,
            })
            .collect()
    }

    /// An INFO that says nothing but from whom it is.
    fn own_id(&self) -> Info {
        let Info { server_id, server_name, onehop, .. } = &self.own_info;
        Info {
            server_id: server_id.clone(),
            server_name: server_name.clone(),
            onehop: *onehop,
            ..Info::default()
        }
    }
}

/// The lines that tell a peer of another once more. Whether these two pool is between them: this node may not.
fn tell_again(told: &Peer, newcomer: &Peer) -> Vec<Output> {
    let url = &newcomer.info.ip;
    let line = |info: &Info| gossip::line(info, url, GossipMode::Disabled);
    let of_pool = told.first().and_then(|over| Some(Output::Send(over, line(&newcomer.info)?)));
    let both_pool = told.info.route_pool_size > 0 && newcomer.info.route_pool_size > 0;
    let of_account = both_pool.then(|| {
        let over = told.dedicated(SYSTEM_ACCOUNT).or_else(|| told.first())?;
        let info = Info { route_account: SYSTEM_ACCOUNT.to_owned(), ..newcomer.info.clone() };
        Some(Output::Send(over, line(&info)?))
    });
    of_pool.into_iter().chain(of_account.flatten()).collect()
}

/// Whether a server may be where a peer has a route to it. What the peer calls its own host is another for this node, unless
/// both are on one host.
fn is_sensible(server: &Neighbour, peer_is_local: bool) -> bool {
    !server.ip.is_unspecified() && !server.ip.is_multicast() && (peer_is_local || !server.ip.is_loopback())
}

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// How long a connection may take to give a sign of life when asked.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long connections to a peer may be missing before they are dialed again.
const GAP_PATIENCE: Duration = Duration::from_secs(4);

/// The same digest is told to the same peer again after so long, should it not have arrived.
const TELL_DIGEST_AGAIN: Duration = Duration::from_secs(30);

/// The same servers are named to the same peer again after so long.
const TELL_SERVERS_AGAIN: Duration = Duration::from_secs(10);

/// To so many peers servers are named each time.
const SERVERS_TO_AT_ONCE: usize = 8;

/// A peer is not asked before it was connected for so long: it says first what it listens to, and those that it told of this
/// node dial.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// So many servers are dialed because of one answer; the others wait for the next.
const DIALED_PER_ANSWER: usize = 16;

/// So many servers are kept in mind that were tried in vain.
const MAX_LACKED: usize = 1024;

/// The pauses between tries of the same server double up to this.
const LONGEST_TRY_PAUSE: Duration = Duration::from_secs(600);

/// So many servers are named on one line, which a route limits to 64 KiB.
const SERVERS_PER_LINE: usize = 128;

/// A server whose id and address take more than this is left out, so that the line keeps within that limit.
const MAX_SERVER_BYTES: usize = 400;

/// A pair of peers takes so many lines: one for the pool and one for the system account.
const LINES_PER_PAIR: usize = 2;
