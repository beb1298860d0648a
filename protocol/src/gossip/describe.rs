//! Gossip's part of what a cluster will do ([`crate::sim::explore`]).

use super::comparison::Compared;
use super::machine::Gossip;
use super::member::Member;
use crate::id::ConnectionId;

impl Gossip {
    /// All that there is to it, apart from times and what never changes. What is said is polled at once.
    pub(crate) fn describe(&self, name: impl Fn(ConnectionId) -> String) -> String {
        let members = self.members.iter().map(|(id, member)| format!("{id} {}\n", member.describe(&name)));
        let (pairs, questions) = (&self.pairs, &self.questions);
        let asks = (
            pairs.next,
            pairs.tells_second,
            questions.last(),
            questions.awaits_answer,
            self.rhythm.poll_timeout().is_some(),
        );
        format!("{asks:?}\n{}", members.collect::<String>())
    }
}

impl Member {
    fn describe(&self, name: impl Fn(ConnectionId) -> String) -> String {
        let Self {
            info,
            since: _,
            leaves,
            is_pooled,
            is_explicit,
            carrier,
            dedicated,
            compared: Compared { told_digest, heard_digest, told_servers },
        } = self;
        let dedicated: Vec<_> = dedicated.iter().map(|(account, id)| (account, name(*id))).collect();
        let carriers = (carrier.map(&name), dedicated);
        let is = (leaves, is_pooled, is_explicit);
        let told = (told_digest.as_ref().map(|told| &told.0), told_servers.as_ref().map(|told| &told.0));
        format!("{info:?} {carriers:?} {is:?} {told:?} {heard_digest}")
    }
}
