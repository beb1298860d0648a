//! The route table's part of what a cluster will do ([`crate::sim::explore`]).

use super::*;
use crate::id::ConnectionId;
use crate::time::Instant;

impl Peer {
    /// All that there is to it, apart from times.
    pub(crate) fn describe(&self, name: impl Fn(ConnectionId) -> String) -> String {
        let Self {
            info,
            pooled,
            dedicated,
            sole,
            solicited,
            retry,
            connect_urls,
            since: _,
            leaves,
            gap_since,
            told_digest,
            heard_digest,
            told_servers,
        } = self;
        let pooled: Vec<_> = pooled.iter().map(|place| place.map(&name)).collect();
        let dedicated: Vec<_> = dedicated.iter().map(|(account, id)| (account, name(*id))).collect();
        let seats = (pooled, dedicated, sole.map(&name));
        let wants = (solicited, retry, leaves, gap_since.is_some());
        let told = (told_digest.as_ref().map(|told| &told.0), told_servers.as_ref().map(|told| &told.0));
        format!("{info:?} {connect_urls:?} {seats:?} {wants:?} {told:?} {heard_digest}")
    }
}

impl Dials {
    /// All dials in their order, apart from times: whether one is due is all that is said.
    pub(crate) fn describe(&self, now: Instant, name: impl Fn(ConnectionId) -> String) -> String {
        let Self { dials, last: _, paid_until, started: _ } = self;
        let dials = dials.values().map(|dial| dial.describe(now, &name));
        dials.collect::<String>() + &format!("{paid_until:?}")
    }

    /// Which dial this is, in their order; none if it is over.
    pub(crate) fn place(&self, id: DialId) -> Option<usize> {
        self.dials.keys().position(|known| *known == id)
    }
}

impl Dial {
    fn describe(&self, now: Instant, name: impl Fn(ConnectionId) -> String) -> String {
        let Self {
            url,
            explicit,
            account,
            gossip_mode,
            peer,
            guess_of,
            reconnect,
            until,
            fills,
            failures,
            state,
        } = self;
        let state = match state {
            DialState::Waiting(at) if *at > now => "waits".to_owned(),
            DialState::Waiting(_) => "is due".to_owned(),
            DialState::Dialing => "is dialed".to_owned(),
            DialState::Shaking(connection) => name(*connection),
        };
        let what = (
            url,
            explicit,
            account,
            gossip_mode,
            (peer, guess_of),
            reconnect,
            fills,
            failures,
            until.is_some(),
        );
        format!("{what:?} {state}\n")
    }
}
