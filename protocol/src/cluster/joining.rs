//! Two servers that know nothing of circuits, nats-servers for instance, are joined (wire.md 14.7): this node dials both, and says
//! to each, as its first words, what the other says of itself. From then on their bytes pass as those of any circuit.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bytes::Bytes;
use log::{debug, warn};

use super::Cluster;
use super::relaying::{CIRCUITS, Relaying, carrier_of_words};
use crate::relay::Role;
use crate::routes::Seat;
use crate::time::Instant;
use crate::wire::system::Neighbour;
use crate::wire::{Connect, GossipMode, Info};

impl Cluster {
    /// Hears which routes a member has that was asked, and knows nothing of circuits.
    pub(super) fn note_neighbours(&mut self, now: Instant, teller: &str, neighbours: &[Neighbour]) {
        let has = |id: &str| neighbours.iter().any(|server| server.id == id);
        // An answer that does not name this node is none, or was cut short.
        if !self.config.relays() || !has(self.own_id()) || !self.is_asked(teller) {
            return;
        }
        let others: Vec<_> = self.routes.peers().filter(|id| *id != teller && self.is_asked(id)).collect();
        let others: Vec<_> = others.into_iter().map(|id| (id.to_owned(), has(id))).collect();
        let is_aware = |id: &&str| carrier_of_words(&self.routes, &self.gossip, id).is_some();
        let relays: Vec<_> = self.routes.peers().filter(is_aware).map(str::to_owned).collect();
        let relays: Vec<&str> = relays.iter().map(String::as_str).collect();
        let others = others.iter().map(|(id, has)| (id.as_str(), *has));
        self.relaying.joints.handle_answer(now, teller, others, &relays, &self.config.relay);
    }

    /// Joins the pairs that are to be joined now, and repairs those of which some connections ended.
    pub(super) fn follow_joints(&mut self, now: Instant) {
        let Relaying { joints, middle, .. } = &mut self.relaying;
        let joined = middle.joined();
        joints.handle_joined(|pair| joined.contains(pair));
        let due = joints.take_due(now);
        for [one, other] in due.iter().filter(|pair| !joined.contains(*pair)) {
            self.join_pair(now, [one, other]);
        }
        for pair in &joined {
            let members = pair.each_ref().map(String::as_str);
            let is_whole = self.missing_seats(members).is_none_or(|missing| missing.is_empty());
            if !is_whole && self.relaying.joints.is_to_be_repaired(now, pair) {
                self.join_pair(now, members);
            }
        }
        if let Some(doubted) = self.relaying.joints.take_doubted(now) {
            self.gossip.ask_again(now, &doubted);
        }
    }

    /// The connections of two members that this node does not join, of all that they would have; none if it cannot join them.
    fn missing_seats(&self, pair: [&str; 2]) -> Option<Vec<Seat>> {
        let [one, other] = [self.info_to_repeat(pair[0])?, self.info_to_repeat(pair[1])?];
        let present = self.relaying.middle.seats_of(pair);
        Some(self.seats_between([one, other]).into_iter().filter(|seat| !present.contains(seat)).collect())
    }

    /// What a member says of itself, if that can be said in its name: all of it is known, and it stays.
    fn info_to_repeat(&self, member: &str) -> Option<&Info> {
        self.gossip.info_of(member).filter(|info| info.port > 0 && !self.gossip.is_leaving(member))
    }

    /// Lets what is missing of the connections of two members begin.
    fn join_pair(&mut self, now: Instant, pair: [&str; 2]) {
        let Some(missing) = self.missing_seats(pair) else { return };
        let infos = pair.map(|id| self.info_to_repeat(id).cloned());
        let addresses = pair.map(|id| self.plain_address(id));
        let ([Some(one), Some(other)], [Some(to_one), Some(to_other)]) = (infos, addresses) else { return };
        let needed = self.seats_between([&one, &other]).len();
        for seat in &missing {
            let lines = [(&other, &one), (&one, &other)].map(|(of, to)| self.lines_of(of, to, seat));
            let [to_first, to_second] = lines.map(Role::Addressed);
            let parties = [(pair[0], to_first), (pair[1], to_second)];
            match self.relaying.middle.open_at(now, parties, seat, needed, &self.config.relay) {
                Ok([first, second]) => {
                    debug!("{} and {} are joined ({seat:?})", pair[0], pair[1]);
                    self.relaying.want_dial(now, first, to_one);
                    self.relaying.want_dial(now, second, to_other);
                }
                Err(refused) => return warn!("{} and {} are not joined: {refused}", pair[0], pair[1]),
            }
        }
    }

    /// The connections that two members are to have.
    fn seats_between(&self, [one, other]: [&Info; 2]) -> Vec<Seat> {
        if one.route_pool_size <= 0 || other.route_pool_size <= 0 {
            return vec![Seat::Sole];
        }
        let slots = self.routes.connections_in_pool([one.route_pool_size, other.route_pool_size]);
        let [of_one, of_other] =
            [one, other].map(|info| self.routes.dedicated_accounts(&info.server_id).collect::<BTreeSet<_>>());
        let accounts = of_one.intersection(&of_other).map(|account| Seat::Dedicated((*account).to_owned()));
        (0..slots).map(Seat::Slot).chain(accounts).collect()
    }

    /// What is said to one member as if by another that had dialed it.
    fn lines_of(&self, of: &Info, to: &Info, seat: &Seat) -> Bytes {
        let connect = Connect {
            name: of.server_id.clone(),
            headers: of.headers,
            lnoc: of.lnoc,
            ln: of.ln,
            ..self.handshake.connect(None)
        };
        let pools = *seat != Seat::Sole;
        let compression = if of.compression.is_empty() { "" } else { "off" };
        let info = Info {
            cluster: self.name().to_owned(),
            nonce: String::new(),
            // Others hear of it by whoever has routes to them.
            gossip_mode: GossipMode::Disabled.to_wire(),
            compression: compression.to_owned(),
            route_pool_size: if pools { of.route_pool_size.max(to.route_pool_size) } else { 0 },
            route_pool_idx: if let Seat::Slot(slot) = seat { *slot as i32 } else { 0 },
            route_account: seat.account().unwrap_or_default().to_owned(),
            onehop_digest: String::new(),
            onehop_peers: Vec::new(),
            ..of.clone()
        };
        [connect.to_line(), info.to_line()].concat().into()
    }

    /// Where a member is dialed that knows nothing of circuits: where this node has dialed it, or else at the host that it comes
    /// from, at the port that it says; nowhere else, however it says so. None if it does know, or there is no direct route to it.
    pub(super) fn plain_address(&self, server: &str) -> Option<SocketAddr> {
        let carrier = self.routes.direct_carrier(server)?;
        self.gossip.info_of(server).filter(|info| info.onehop < CIRCUITS)?;
        let (remote, purpose) = self.routes.connection(carrier)?;
        let port = if purpose.is_some() { remote.port() } else { self.routes.says_url(server)?.port };
        Some(SocketAddr::new(remote.ip(), port))
    }

    /// Whether it is a server that is asked which routes it has.
    fn is_asked(&self, server: &str) -> bool {
        let is_direct = self.routes.direct_carrier(server).is_some();
        is_direct && self.gossip.info_of(server).is_some_and(|it| it.onehop == 0)
    }
}
