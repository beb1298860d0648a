//! What the route table keeps and will do, for those who check it ([`crate::sim`], [`crate::sim::explore`]).

use super::cause::Cause;
use super::dial::{Attempt, Dial, DialId, Purpose, Target};
use super::dials::Dials;
use super::life::{Life, RouteConnection};
use super::peer::PeerRoutes;
use super::table::Routes;
use crate::config::RouteUrl;
use crate::id::ConnectionId;
use crate::time::Instant;

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Servers that there is a connection to.
    pub(crate) peers: usize,
    /// Connections.
    pub(crate) links: usize,
    /// Wishes to be connected, apart from guesses.
    pub(crate) dials: usize,
    /// Wishes to be connected to where a server may be.
    pub(crate) guesses: usize,
    /// Configured routes, each of which may be wanted for ever.
    pub(crate) configured: usize,
    /// Servers that were lost long ago.
    pub(crate) cold: usize,
    /// So many of them may be kept.
    pub(crate) max_cold: usize,
    /// Addresses that turned out to be the node's own.
    pub(crate) own_addresses: usize,
    /// What is to be done to connections and was not polled yet.
    pub(crate) outputs: usize,
}

impl Routes {
    /// How much is kept now.
    pub(crate) fn kept(&self) -> Kept {
        let dials = &self.wishes.dials.dials;
        let guesses = dials.values().filter(|dial| matches!(dial.target, Target::Guess(_))).count();
        Kept {
            peers: self.peers.len(),
            links: self.connections.iter().len(),
            dials: dials.len() - guesses,
            guesses,
            cold: self.wishes.cold.len(),
            own_addresses: self.wishes.own_addresses.len(),
            ..Kept::default()
        }
    }

    /// What is still known of a server, in words; none if nothing is, apart from where it is configured to be, and from what
    /// is kept in mind of those that are cold.
    pub(crate) fn memory_of(&self, server_id: &str) -> Option<&'static str> {
        if self.peers.contains_key(server_id) {
            return Some("has it as a peer");
        }
        let is_forgotten =
            |dial: &Dial| dial.purpose.explicit || dial.cause == Cause::Cold && dial.until.is_none();
        let is_wanted = |dial: &Dial| !is_forgotten(dial) && dial.server() == Some(server_id);
        self.wishes.dials.dials.values().any(is_wanted).then_some("wants to dial it")
    }

    /// Where servers are that are wanted, or connected, because they are configured to be there.
    pub(crate) fn explicit_urls(&self) -> Vec<RouteUrl> {
        let solicited = self.peers.values().filter_map(|peer| peer.solicited.as_ref());
        let solicited = solicited.filter(|it| it.explicit).map(|it| &it.url);
        let purposes = self.wishes.dials.dials.values().map(|dial| &dial.purpose);
        let wanted = purposes.filter(|purpose| purpose.explicit).map(|purpose| &purpose.url);
        solicited.chain(wanted).cloned().collect()
    }

    /// All that there is to it, apart from times and what never changes.
    pub(crate) fn describe(&self, now: Instant, name: impl Fn(ConnectionId) -> String) -> String {
        let guesses: Vec<_> =
            self.wishes.guesses.tried.iter().map(|(id, tried)| (id, tried.attempts)).collect();
        let cold: Vec<_> = self.wishes.cold.places().collect();
        let mut text = format!("{:?} {guesses:?} {cold:?}\n", self.wishes.own_addresses);
        text.extend(self.peers.iter().map(|(id, peer)| format!("{id} {}\n", peer.describe(&name))));
        let connections = self.connections.iter();
        let connections = connections.map(|(id, it)| format!("{} {}\n", name(*id), it.describe(self)));
        let mut connections: Vec<_> = connections.collect();
        connections.sort_unstable();
        text.extend(connections);
        text.extend([self.wishes.moves.describe(&name), "\n".to_owned()]);
        text + &self.wishes.dials.describe(now)
    }

    /// Which of the dials this is, in their order; none if it is over.
    pub(crate) fn place_of(&self, id: DialId) -> Option<usize> {
        self.wishes.dials.dials.keys().position(|known| *known == id)
    }

    /// Whether a dial is for a connection that is dedicated to an account.
    pub(crate) fn is_dedicated(&self, id: DialId) -> bool {
        self.wishes.dials.get(id).is_some_and(|dial| dial.purpose.account.is_some())
    }
}

impl PeerRoutes {
    fn describe(&self, name: impl Fn(ConnectionId) -> String) -> String {
        let Self {
            says_url,
            arbitrates,
            pooled,
            dedicated,
            sole,
            solicited,
            retry,
            leaves,
            gap_since,
            relayed,
            direct,
        } = self;
        let pooled: Vec<_> = pooled.iter().map(|place| place.map(&name)).collect();
        let dedicated: Vec<_> = dedicated.iter().map(|(account, id)| (account, name(*id))).collect();
        let seats = (pooled, dedicated, sole.map(&name), relayed);
        let wants = (solicited, retry, leaves, gap_since.is_some(), direct.is_some());
        format!("{says_url:?} {arbitrates} {seats:?} {wants:?}")
    }
}

impl RouteConnection {
    fn describe(&self, routes: &Routes) -> String {
        // Who is at the other end is part of its name.
        let Self { remote: _, purpose, detour, is_finished, life } = self;
        let life = match life {
            Life::Shaking { dial, claim } => {
                format!("{:?} {claim:?}", dial.and_then(|dial| routes.place_of(dial)))
            }
            Life::Registered { peer, seat, since: _, continues, probed_until, inherits } => {
                let probed = probed_until.is_some();
                let inherits = inherits.map(|it| (it.is_done, it.is_heard));
                format!("{peer} {seat:?} {continues} {probed} {inherits:?}")
            }
            Life::Retired { peer, heir: _, ends_at } => format!("{peer} {}", ends_at.is_some()),
        };
        format!("{purpose:?} {detour:?} {is_finished} {life}")
    }
}

impl Dials {
    /// All dials in their order, apart from times: whether one is due is all that is said.
    fn describe(&self, now: Instant) -> String {
        let dials = self.dials.values().map(|dial| dial.describe(now));
        dials.collect::<String>() + &format!("{:?}", self.pace)
    }
}

impl Dial {
    fn describe(&self, now: Instant) -> String {
        let Self {
            purpose,
            target,
            cause: _,
            teller,
            reconnect,
            until,
            known_for: _,
            fills,
            failures,
            attempt,
        } = self;
        let Purpose { .. } = purpose;
        let attempt = match attempt {
            Attempt::Waiting(at) if *at > now => "waits",
            Attempt::Waiting(_) => "is due",
            Attempt::UnderWay => "is under way",
        };
        let what = (purpose, target, teller, reconnect, fills, failures, until.is_some());
        format!("{what:?} {attempt}\n")
    }
}
