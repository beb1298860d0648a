//! What this node wants to be connected to, and why: what is configured, missing, lost, heard of, or guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use log::{debug, info};

use super::cause::{Cause, DialCounts};
use super::cold::{ColdPeer, ColdPeers};
use super::dial::{Class, Dial, DialError, DialId, DialRequest, HEARSAY_ATTEMPTS, Purpose, Target};
use super::dial_index::Place;
use super::dials::{Dials, Failure};
use super::doubts::Doubts;
use super::guesses::Guesses;
use super::moves::Moves;
use super::pace::jitter;
use super::peer::{PeerRoutes, Solicited};
use super::plan::{Own, Plan};
use super::seat::Seat;
use super::turn::dials_first;
use super::verdict::{Hearsay, Kinds, Led};
use crate::config::{ClusterConfig, RouteUrl};
use crate::quote::brief;
use crate::time::Instant;
use crate::wire::GossipMode;
use crate::wire::system::Neighbour;

/// Turns reasons to be connected into dials.
#[derive(Debug)]
pub(super) struct Wishes {
    config: Arc<ClusterConfig>,
    own_id: String,
    /// The port that this node listens on for peers.
    own_port: u16,
    /// How often a failed attempt is reported as an error: of first connections, and of lost ones.
    error_reports: (u32, u32),
    /// What it calls the system account, if it has it.
    system_account: Option<Arc<str>>,
    pub(super) plan: Plan,
    pub(super) moves: Moves,
    pub(super) dials: Dials,
    pub(super) guesses: Guesses,
    pub(super) doubts: Doubts,
    pub(super) cold: ColdPeers,
    /// What came of the dials of servers that sources told of.
    led: Vec<(DialId, Led)>,
    /// Addresses that turned out to be this node's own.
    pub(super) own_addresses: Vec<SocketAddr>,
    rng: Rng,
}

impl Wishes {
    /// Wants the configured servers from now on.
    pub(super) fn new(config: Arc<ClusterConfig>, own: Own, rng: Rng, now: Instant) -> Self {
        let plan = Plan::new(&config, own.system_account.as_deref());
        let mut wishes = Self {
            config: config.clone(),
            own_id: own.id,
            own_port: own.port,
            error_reports: own.error_reports,
            system_account: own.system_account,
            plan,
            moves: Moves::default(),
            dials: Dials::default(),
            guesses: Guesses::default(),
            doubts: Doubts::default(),
            cold: ColdPeers::default(),
            led: Vec::new(),
            own_addresses: Vec::new(),
            rng,
        };
        config.routes.iter().for_each(|url| wishes.want_configured(now, url));
        wishes
    }

    /// Hears of another configuration: of its servers, those that are new are wanted, and those that are gone no more. Nor are
    /// connections for accounts that are pinned no more; those for accounts that are new are wanted by
    /// [`Wishes::want_account`].
    pub(super) fn handle_config(&mut self, now: Instant, config: Arc<ClusterConfig>) {
        let old = std::mem::replace(&mut self.config, config.clone());
        self.plan = Plan::new(&config, self.system_account.as_deref());
        self.drop_void_dials();
        self.dials.drop_configured(|url| !config.routes.contains(url));
        self.cold.forget(|url| old.routes.contains(url) && !config.routes.contains(url));
        for url in config.routes.iter().filter(|url| !old.routes.contains(url)) {
            self.want_configured(now, url);
        }
    }

    fn want_configured(&mut self, now: Instant, url: &RouteUrl) {
        for account in self.plan.kinds() {
            self.want_configured_for(now, url, account);
        }
    }

    fn want_configured_for(&mut self, now: Instant, url: &RouteUrl, account: Option<String>) {
        let mut dial = Dial::new(Cause::Configured, url.clone(), account, now);
        dial.purpose.explicit = true;
        self.dials.add(dial);
    }

    /// The next dial that is due, which counts as begun, after those were dropped that `peers` made needless.
    pub(super) fn begin_next(
        &mut self,
        now: Instant,
        peers: &BTreeMap<String, PeerRoutes>,
    ) -> Option<DialRequest> {
        self.want_cold(now, peers);
        self.dials.drop_satisfied(|dial| {
            let peer = dial.server().and_then(|server| peers.get(server));
            peer.is_some_and(|peer| peer.satisfies(dial))
        });
        let (id, dial) = self.dials.begin_next(now, &self.config)?;
        let url = &dial.purpose.url;
        debug!("Trying to connect to route on {}", brief(url.authority()));
        Some(DialRequest {
            id,
            host: url.host.clone(),
            port: url.port,
            own_addresses: self.own_addresses.clone(),
        })
    }

    /// When the next dial is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.dials.poll_timeout(&self.config).into_iter().chain(self.cold.next_at()).min()
    }

    /// What a dial is for, as long as it is wanted.
    pub(super) fn purpose_of(&self, id: DialId) -> Option<&Purpose> {
        self.dials.get(id).map(|dial| &dial.purpose)
    }

    /// Wants a server of which a source told tried once; none if somebody is at it.
    pub(super) fn want_found(&mut self, now: Instant, url: RouteUrl) -> Option<DialId> {
        if self.dials.at(&url).is_some() {
            return None;
        }
        let mut dial = Dial::new(Cause::Discovered, url.clone(), None, now);
        // It may join two groups that know nothing of each other: both must hear of it (wire.md 3.3).
        dial.purpose.gossip_mode = GossipMode::Override;
        self.dials.add(dial);
        self.dials.at(&url)
    }

    /// What came of such attempts since this was last asked.
    pub(super) fn take_led(&mut self) -> Vec<(DialId, Led)> {
        std::mem::take(&mut self.led)
    }

    /// Ends a wish, which led nowhere or is fulfilled otherwise.
    pub(super) fn end(&mut self, dial: Option<DialId>) {
        dial.into_iter().for_each(|dial| self.end_as(dial, Led::Nowhere));
    }

    /// Ends a wish that led to a server. Where only its pool was dialed, since it was found, its accounts are wanted, too.
    pub(super) fn end_at(&mut self, now: Instant, dial: DialId, server: &str) {
        if let Some(found) = self.dials.get(dial).filter(|dial| dial.cause == Cause::Discovered) {
            let url = found.purpose.url.clone();
            let accounts: Vec<_> = self.plan.accounts().map(str::to_owned).collect();
            let until = self.remembered_until(now);
            for account in accounts {
                let dial = Dial::new(Cause::Account, url.clone(), Some(account), now);
                self.dials.add(Dial { target: Target::Server(server.to_owned()), until, ..dial });
            }
        }
        self.end_as(dial, Led::To(server.to_owned()));
    }

    fn end_as(&mut self, id: DialId, led: Led) {
        if self.dials.remove(id).is_some_and(|dial| dial.cause == Cause::Discovered) {
            self.led.push((id, led));
        }
    }

    /// Notes that a dial came to nothing.
    pub(super) fn handle_failed(&mut self, now: Instant, id: DialId, why: &DialError) {
        let Some(dial) = self.dials.get(id) else {
            return;
        };
        match why {
            DialError::OnlySelf => {
                info!("Detected route to self, ignoring \"{}\"", brief(&dial.purpose.url));
                let given_up = Dial { failures: HEARSAY_ATTEMPTS, ..dial.clone() };
                self.end_as(id, Led::ToItself);
                self.doubt(now, &given_up);
            }
            DialError::Failed(why) => {
                dial.report_failure(why, self.error_reports);
                self.fail(now, id, Failure::Unreachable);
            }
        }
    }

    /// Notes that a dial, or the handshake after it, failed.
    pub(super) fn fail(&mut self, now: Instant, id: DialId, failure: Failure) {
        if self.dials.get(id).is_some_and(|dial| is_void(dial, &self.plan, &self.moves)) {
            return self.end(Some(id));
        }
        if let Some(given_up) = self.dials.fail(id, failure, now, &self.config, &mut self.rng) {
            if given_up.cause == Cause::Discovered {
                self.led.push((id, Led::Nowhere));
            }
            self.doubt(now, &given_up);
            self.keep_cold(now, given_up);
        } else if self.dials.is_adopted(id) {
            self.led.push((id, Led::Nowhere));
        }
    }

    pub(super) fn own_id(&self) -> &str {
        &self.own_id
    }

    /// Whether an account has a connection of its own to a peer.
    pub(super) fn is_apart(&self, peer: &str, account: &str) -> bool {
        self.plan.pins(account) || self.moves.is_moved(peer, account)
    }

    pub(super) fn is_system_account(&self, account: &str) -> bool {
        self.system_account.as_deref() == Some(account)
    }

    /// Gives up to dial for kinds of connections that there are no more.
    pub(super) fn drop_void_dials(&mut self) {
        let Self { plan, moves, dials, .. } = self;
        dials.drop_void(|dial| is_void(dial, plan, moves));
    }

    /// A dial was given up: keeps in mind that what somebody said is not true, if that was its reason.
    fn doubt(&mut self, now: Instant, given_up: &Dial) {
        if let (Class::Hearsay, Target::Server(server)) = (given_up.class(), &given_up.target) {
            let place = Place::new(&given_up.purpose.url);
            self.doubts.note(now, place, server.clone(), given_up.failures);
        }
    }

    /// A dial was given up: keeps in mind where the server was, if it was remembered until now. That it was dialed by its pool
    /// says enough.
    fn keep_cold(&mut self, now: Instant, given_up: Dial) {
        let healing = &self.config.healing;
        let is_kept = given_up.class() == Class::Remembered && given_up.until.is_some();
        if !is_kept || healing.forget_after.is_zero() || given_up.purpose.account.is_some() {
            return;
        }
        if let Dial { purpose, target: Target::Server(server), known_for, .. } = given_up {
            self.cold.keep(now, ColdPeer { server, url: purpose.url, known_for }, healing.max_cold_peers);
        }
    }

    /// Wants the servers that were lost long ago, if it is time to try them once more.
    fn want_cold(&mut self, now: Instant, peers: &BTreeMap<String, PeerRoutes>) {
        if self.cold.next_at().is_none_or(|at| now < at) {
            return;
        }
        let jitter = self.jitter();
        for ColdPeer { server, url, known_for } in
            self.cold.take_due(now, jitter, |id| is_connected(peers, id), &taken_places(peers))
        {
            for account in self.plan.kinds() {
                let dial = Dial::new(Cause::Cold, url.clone(), account, now);
                let target = Target::Server(server.clone());
                self.dials.add(Dial { target, known_for, reconnect: true, ..dial });
            }
        }
    }

    /// Notes that somebody is where this node dialed.
    pub(super) fn handle_found(&mut self, url: &RouteUrl) {
        self.doubts.forget(&Place::new(url));
    }

    /// Notes that a configured server is there that was not before, so that what waits for it need not wait any longer.
    pub(super) fn handle_appeared(&mut self, now: Instant, url: &RouteUrl) {
        self.dials.hasten(now, url, self.plan.kinds());
    }

    /// Notes that a dial led to this node itself: it is pointless, unless its name may lead elsewhere too.
    pub(super) fn handle_self(&mut self, id: DialId, remote: SocketAddr) {
        let Some(dial) = self.dials.get(id) else {
            return;
        };
        info!("Detected route to self, ignoring \"{}\"", brief(&dial.purpose.url));
        let is_full = self.own_addresses.len() >= MAX_OWN_ADDRESSES;
        if dial.purpose.url.host.parse::<IpAddr>().is_ok() || is_full {
            self.end_as(id, Led::ToItself);
        }
        if !self.own_addresses.contains(&remote) && !is_full {
            self.own_addresses.push(remote);
        }
    }

    /// The connections to a server changed, so that dials of it may be needless.
    pub(super) fn uncheck(&mut self, server: &str) {
        self.dials.uncheck(server);
    }

    /// Wants the next slot of a peer's pool, if one is empty.
    pub(super) fn want_next_slot(
        &mut self,
        now: Instant,
        id: &str,
        peer: &PeerRoutes,
        gossip_mode: GossipMode,
    ) {
        let cause = match (peer.empty_slot(), peer.relayed_slot()) {
            (Some(_), _) => Cause::Pool,
            (None, Some(_)) => Cause::Direct,
            (None, None) => return,
        };
        if let Some(Solicited { url, explicit }) = peer.solicited.clone() {
            let purpose = Purpose { url, explicit, account: None, gossip_mode };
            let (target, until) = (Target::Server(id.to_owned()), self.remembered_until(now));
            self.dials.add(Dial { target, until, fills: true, ..Dial::of(cause, purpose, now) });
        }
    }

    /// Wants a lost connection back.
    pub(super) fn want_back(
        &mut self,
        now: Instant,
        id: &str,
        peer: &PeerRoutes,
        seat: &Seat,
        lived: Duration,
    ) {
        let Some(url) = peer.url() else {
            return;
        };
        let goes_first = dials_first(&self.own_id, id);
        let at = now + peer.redial_pause(lived, goes_first, &self.config.healing, &mut self.rng);
        let until = self.remembered_until(now).filter(|_| !peer.leaves);
        let fills = peer.gossip_carrier().is_some();
        let accounts = match seat {
            Seat::Dedicated(account) if !self.is_apart(id, account) => Vec::new(),
            Seat::Dedicated(account) => vec![Some(account.clone())],
            Seat::Slot(_) => vec![None],
            // It may come back as a server that pools, to which the accounts have connections of their own.
            Seat::Sole => self.plan.kinds(),
        };
        for account in accounts {
            let mut dial = Dial::new(Cause::Lost, url.clone(), account, at);
            dial.purpose.explicit = peer.is_explicit();
            let target = Target::Server(id.to_owned());
            self.dials.add(Dial { target, reconnect: true, fills, until, known_for: lived, ..dial });
        }
    }

    /// Wants what is missing of the connections to a peer. Usually one side does so at once when a connection is lost;
    /// this is for when that failed, so it waits a while, on one side longer than on the other.
    pub(super) fn want_missing(&mut self, now: Instant, id: &str, peer: &mut PeerRoutes) {
        let missing = peer.missing(self.plan.accounts().chain(self.moves.of(id)));
        if missing.is_empty() || peer.leaves {
            peer.gap_since = None;
            return;
        }
        let patience = if dials_first(&self.own_id, id) { GAP_PATIENCE } else { GAP_PATIENCE * 2 };
        if now.since(*peer.gap_since.get_or_insert(now)) < patience {
            return;
        }
        peer.gap_since = Some(now);
        let Some(url) = peer.url() else {
            return;
        };
        debug!("Connections to {id} are missing, dialing it again");
        let until = self.remembered_until(now);
        for account in missing {
            let dial = Dial::new(Cause::Gap, url.clone(), account, now);
            let target = Target::Server(id.to_owned());
            self.dials.add(Dial { target, reconnect: true, fills: true, until, ..dial });
        }
    }

    /// Tries once in a while to reach directly a peer that some connections lead to through a third.
    pub(super) fn want_direct(&mut self, now: Instant, id: &str, peer: &mut PeerRoutes) {
        let kinds = peer.relayed_kinds();
        if kinds.is_empty() || peer.leaves {
            peer.direct = None;
            return;
        }
        let (at, pause) = *peer.direct.get_or_insert((now + FIRST_DIRECT_PAUSE, FIRST_DIRECT_PAUSE));
        if now < at {
            return;
        }
        let pause = (pause * 2).min(LONGEST_DIRECT_PAUSE);
        peer.direct = Some((now + pause, pause));
        let Some(url) = peer.url() else {
            return;
        };
        for account in kinds {
            let dial = Dial::new(Cause::Direct, url.clone(), account, now);
            let target = Target::Server(id.to_owned());
            self.dials.add(Dial { target, reconnect: true, fills: true, ..dial });
        }
    }

    /// Wants at once what is missing of the connections to a peer that was dialed by a name, if no dial may still lead there: such
    /// a name may lead to another server each time. So it is dialed where it says it is, once; if that is in vain, it is
    /// wanted after a while as what else is missing.
    pub(super) fn want_strayed(
        &mut self,
        now: Instant,
        id: &str,
        peer: &PeerRoutes,
        name: &RouteUrl,
        fills: bool,
    ) {
        let Some(url) = peer.says_url.as_ref().filter(|_| !peer.leaves) else {
            return;
        };
        for account in peer.missing(self.plan.accounts()) {
            let comes_yet = fills && account.is_none() || self.dials.may_lead_to(id, name, &account);
            if !comes_yet {
                debug!("A connection to {id} is missing, dialing it where it says it is");
                let dial = Dial::new(Cause::Gap, url.clone(), account, now);
                let target = Target::Server(id.to_owned());
                self.dials.add(Dial { target, reconnect: true, fills: true, ..dial });
            }
        }
    }

    /// Wants connections for an account that is pinned from now on: where servers are configured to be, and to peers.
    pub(super) fn want_account(&mut self, now: Instant, account: &str, peers: &BTreeMap<String, PeerRoutes>) {
        let (have, lack): (Vec<_>, Vec<_>) =
            peers.iter().partition(|(_, peer)| peer.dedicated(account).is_some());
        let has = |url: &RouteUrl| {
            let is_there = |peer: &PeerRoutes| peer.solicited.as_ref().is_some_and(|it| it.url == *url);
            have.iter().any(|(_, peer)| is_there(peer))
        };
        let config = self.config.clone();
        for url in config.routes.iter().filter(|url| !has(url)) {
            self.want_configured_for(now, url, Some(account.to_owned()));
        }
        for (id, peer) in lack.into_iter().filter(|(_, peer)| peer.is_pooled() && !peer.is_explicit()) {
            self.want_apart(now, id, peer, account);
        }
    }

    /// Wants the connection to a peer for an account that comes to have its own: at once where this node has dialed the peer,
    /// and else after a while, unless the peer dials meanwhile.
    pub(super) fn want_apart(&mut self, now: Instant, id: &str, peer: &PeerRoutes, account: &str) {
        let (Some(url), until) = (peer.url(), self.remembered_until(now)) else {
            return;
        };
        let at = match (&peer.solicited, until) {
            _ if peer.leaves => return,
            (Some(_), _) => now,
            (None, Some(_)) => now + APART_PATIENCE,
            (None, None) => return,
        };
        let dial = Dial::new(Cause::Gap, url.clone(), Some(account.to_owned()), at);
        let target = Target::Server(id.to_owned());
        self.dials.add(Dial { target, reconnect: true, fills: true, until, ..dial });
    }

    /// Wants a server that somebody told of ([`Routes::handle_hearsay`](super::Routes::handle_hearsay)).
    pub(super) fn handle_hearsay(&mut self, now: Instant, heard: Hearsay) {
        let Hearsay { cause, teller, server, url, kinds, gossip_mode, either_may } = heard;
        if server.len() + url.host.len() > MAX_HEARSAY_BYTES {
            return debug!("Too long a name to dial a server by");
        }
        if self.is_own(&url) {
            return debug!("{url} is this node itself");
        }
        let Some(failures) = self.doubts.failures(now, &Place::new(&url)) else {
            return debug!("{url} was dialed in vain, leaving it out for a while");
        };
        let accounts = match kinds {
            Kinds::All => self.plan.kinds(),
            Kinds::OfPool => vec![None],
            Kinds::Dedicated(account) if self.plan.pinned.contains(&account) => {
                vec![Some(account)]
            }
            Kinds::Dedicated(_) => return,
        };
        let healing = &self.config.healing;
        let waits = either_may && healing.arbitrate && healing.compare && !dials_first(&self.own_id, &server);
        let (delay, until) = (healing.arbitration_delay, self.remembered_until(now));
        for account in accounts {
            let at = if waits { now + delay + jitter(&mut self.rng) } else { now };
            let cause = if waits { Cause::Arbitrate } else { cause };
            let mut dial = Dial::new(cause, url.clone(), account, at);
            dial.purpose.gossip_mode = gossip_mode;
            let (target, teller) = (Target::Server(server.clone()), Some(teller.clone()));
            self.dials.add(Dial { target, teller, until, failures, ..dial });
        }
    }

    /// Tries servers that a peer has routes to: where they were said to be, if they were dialed there in vain, since that may
    /// have been true and the way cut; and where the peer sees them, at the ports that it may have dialed them at and at this
    /// node's own, since the members of a cluster are often configured alike.
    pub(super) fn handle_neighbours(
        &mut self,
        now: Instant,
        teller: &str,
        neighbours: &[Neighbour],
        peers: &BTreeMap<String, PeerRoutes>,
    ) {
        self.guesses.forget(|id| is_connected(peers, id));
        let taken = taken_places(peers);
        let mut tried = 0;
        for server in neighbours {
            if tried < TRIED_AT_ONCE
                && !self.dials.is_for(&server.id)
                && self.guesses.may_try(now, &server.id, &self.config)
            {
                tried += 1;
                self.guess(now, teller, server, &taken);
            }
        }
    }

    /// Dials a server once wherever it may be, apart from where others are.
    fn guess(&mut self, now: Instant, teller: &str, server: &Neighbour, taken: &BTreeSet<Place>) {
        let own_port = self.own_port;
        let ports = server.ports.iter().copied().filter(|port| *port != own_port).chain([own_port]);
        let seen =
            ports.map(|port| RouteUrl { user: None, password: None, host: server.ip.to_string(), port });
        let said = self.doubts.place_of(&server.id).map(Place::url);
        let others: Vec<_> = said.into_iter().chain(seen).filter(|url| !self.is_own(url)).collect();
        for url in others.into_iter().filter(|url| !taken.contains(&Place::new(url))) {
            debug!("A peer has a route to {}, dialing {url}", brief(server.id.escape_debug()));
            for account in self.plan.kinds() {
                let mut dial = Dial::new(Cause::Ask, url.clone(), account, now);
                dial.purpose.gossip_mode = GossipMode::Disabled;
                let (target, teller) = (Target::Guess(server.id.clone()), Some(teller.to_owned()));
                self.dials.add(Dial { target, teller, ..dial });
            }
        }
    }

    /// Whether this is known to lead to this node itself.
    fn is_own(&self, url: &RouteUrl) -> bool {
        let ip = url.host.parse::<IpAddr>();
        ip.is_ok_and(|ip| self.own_addresses.contains(&SocketAddr::new(ip, url.port)))
    }

    /// A random moment, for what is done from time to time.
    pub(super) fn jitter(&mut self) -> Duration {
        jitter(&mut self.rng)
    }

    /// How many attempts to reach servers were begun.
    pub(super) fn counts(&self) -> DialCounts {
        self.dials.counts()
    }

    /// Until when a server that is wanted now is tried.
    fn remembered_until(&self, now: Instant) -> Option<Instant> {
        let healing = &self.config.healing;
        healing.remember.then(|| now + healing.forget_after)
    }
}

/// Whether a dial is for a connection of a kind that there is not any more.
fn is_void(dial: &Dial, plan: &Plan, moves: &Moves) -> bool {
    let moves_it = |account: &str| dial.server().is_some_and(|server| moves.is_moved(server, account));
    dial.purpose.account.as_ref().is_some_and(|account| !plan.pins(account) && !moves_it(account))
}

/// Whether a server is a peer by more than what is dedicated to an account.
fn is_connected(peers: &BTreeMap<String, PeerRoutes>, id: &str) -> bool {
    peers.get(id).is_some_and(|peer| peer.gossip_carrier().is_some())
}

/// Where there are peers.
fn taken_places(peers: &BTreeMap<String, PeerRoutes>) -> BTreeSet<Place> {
    peers.values().filter_map(PeerRoutes::url).map(Place::new).collect()
}

/// Id and host of a server that was heard of; both together take about 300 bytes at most where they are true.
const MAX_HEARSAY_BYTES: usize = 512;

/// So many servers are tried because of one answer; the others wait for the next.
const TRIED_AT_ONCE: usize = 16;

/// No more of this node's own addresses than this are remembered.
pub(crate) const MAX_OWN_ADDRESSES: usize = 64;

/// How long a peer may take to dial for an account that comes to have its own connection, where it has dialed this node before.
const APART_PATIENCE: Duration = Duration::from_secs(2);

/// How long connections to a peer may be missing before they are dialed again.
const GAP_PATIENCE: Duration = Duration::from_secs(4);

/// How long after a circuit its peer is dialed directly for the first time, and the longest pause between two such dials; it
/// doubles.
const FIRST_DIRECT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_DIRECT_PAUSE: Duration = Duration::from_secs(60);
