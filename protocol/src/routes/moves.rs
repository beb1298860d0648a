//! Accounts that come to have connections of their own while nodes run, or have them no more (wire.md 4.5).
//!
//! Two peers hear of it one after the other. Who pins an account says so on the pool and waits for an answer; the other lets it
//! have such a connection from then on, though it does not pin the account itself. It does so for that peer alone, and only while
//! there is a connection or one may still come: the peer may have changed its mind, which it does not say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace::RETRY_PAUSE;
use crate::id::ConnectionId;
use crate::time::Instant;

/// What is known of accounts on their way between the pool and connections of their own.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// Accounts that this node pins from now on, until its peers have heard of it.
    said: BTreeMap<String, Said>,
    /// What peers have moved, and this node does not pin, by peer and account.
    moved: BTreeMap<Moved, Wait>,
    /// When it is over that a connection is waited for.
    ends: BTreeSet<(Instant, Moved)>,
}

/// Until when a connection is waited for that a peer has moved an account to; or was, if it is there.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Instant,
    is_over: bool,
}

/// A peer and an account.
type Moved = (String, String);

/// That peers were told of an account.
#[derive(Debug)]
struct Said {
    /// What stands in the answers, too.
    request: String,
    /// Where none has come yet.
    awaited: BTreeSet<ConnectionId>,
    until: Instant,
}

/// A peer moves too many accounts ([`MAX_MOVED_ACCOUNTS`]).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyMoved;

impl Moves {
    /// Peers are told over these connections that an account is pinned.
    pub(super) fn say(
        &mut self,
        now: Instant,
        account: &str,
        request: &str,
        over: impl IntoIterator<Item = ConnectionId>,
    ) {
        let (request, awaited) = (request.to_owned(), over.into_iter().collect());
        self.said.insert(account.to_owned(), Said { request, awaited, until: now + ANSWER_TIMEOUT });
    }

    /// Nothing is to follow from what was said of an account: it is pinned no more.
    pub(super) fn unsay(&mut self, account: &str) {
        self.said.remove(account);
    }

    /// Hears an answer, and returns the account that it is about; none if nobody waits for it.
    pub(super) fn handle_answer(&mut self, connection: ConnectionId, request: &str) -> Option<String> {
        let is_meant = |said: &Said| said.request == request;
        let (account, said) = self.said.iter_mut().find(|(_, said)| is_meant(said))?;
        said.awaited.remove(&connection).then(|| account.clone())
    }

    /// What is to be answered over one connection is answered over another.
    pub(super) fn handle_succeeded(&mut self, circuit: ConnectionId, heir: ConnectionId) {
        for said in self.said.values_mut() {
            if said.awaited.remove(&circuit) {
                said.awaited.insert(heir);
            }
        }
    }

    /// No answer comes over this connection any more.
    pub(super) fn handle_closed(&mut self, connection: ConnectionId) {
        for said in self.said.values_mut() {
            said.awaited.remove(&connection);
        }
    }

    /// The accounts that all peers have heard of, as far as they answer in time; each once.
    pub(super) fn take_heard(&mut self, now: Instant) -> Vec<String> {
        let is_over = |said: &Said| said.awaited.is_empty() || said.until <= now;
        let heard = self.said.iter().filter(|(_, said)| is_over(said));
        let heard: Vec<_> = heard.map(|(account, _)| account.clone()).collect();
        heard.iter().for_each(|account| self.unsay(account));
        heard
    }

    /// Notes that a peer has moved an account. Whether that is new.
    ///
    /// # Errors
    /// It has moved too many already.
    pub(super) fn note(&mut self, now: Instant, peer: &str, account: &str) -> Result<bool, TooManyMoved> {
        if self.is_moved(peer, account) {
            return Ok(false);
        }
        if self.of(peer).count() >= MAX_MOVED_ACCOUNTS {
            return Err(TooManyMoved);
        }
        self.set(&key(peer, account), Wait { until: now + CONNECTION_TIMEOUT, is_over: false });
        Ok(true)
    }

    /// Whether a peer has moved an account that this node does not pin.
    pub(super) fn is_moved(&self, peer: &str, account: &str) -> bool {
        self.moved.contains_key(&key(peer, account))
    }

    /// The accounts that a peer has moved.
    pub(super) fn of(&self, peer: &str) -> impl Iterator<Item = &str> {
        let from_first = self.moved.range(key(peer, "")..);
        from_first.take_while(move |((of, _), _)| of == peer).map(|((_, account), _)| account.as_str())
    }

    /// The connection is there that a peer has moved an account to, if it has.
    pub(super) fn handle_seated(&mut self, peer: &str, account: &str) {
        let moved = key(peer, account);
        if let Some(wait) = self.moved.get(&moved).copied() {
            self.set(&moved, Wait { is_over: true, ..wait });
        }
    }

    /// That connection was lost: another is waited for, a while; or only as long as before, if the peer refused it as soon as it
    /// stood.
    pub(super) fn handle_lost(&mut self, now: Instant, peer: &str, account: &str, lived: Duration) {
        let moved = key(peer, account);
        if let Some(Wait { until, .. }) = self.moved.get(&moved).copied() {
            let until = if lived < RETRY_PAUSE { until } else { now + CONNECTION_TIMEOUT };
            self.set(&moved, Wait { until, is_over: false });
        }
    }

    /// A peer is gone. Returns what it had moved.
    pub(super) fn forget_peer(&mut self, peer: &str) -> Vec<String> {
        let accounts: Vec<_> = self.of(peer).map(str::to_owned).collect();
        accounts.iter().for_each(|account| self.forget(&key(peer, account)));
        accounts
    }

    /// This node pins an account itself. Returns who had moved it.
    pub(super) fn forget_account(&mut self, account: &str) -> Vec<Moved> {
        let meant: Vec<_> = self.moved.keys().filter(|(_, moved)| moved == account).cloned().collect();
        meant.iter().for_each(|moved| self.forget(moved));
        meant
    }

    /// What was moved to connections that did not come; each once.
    pub(super) fn take_ended(&mut self, now: Instant) -> Vec<Moved> {
        let mut ended = Vec::new();
        while let Some((_, moved)) = self.ends.first().filter(|(at, _)| *at <= now).cloned() {
            self.forget(&moved);
            ended.push(moved);
        }
        ended
    }

    /// When [`Moves::take_heard`] or [`Moves::take_ended`] is to be called next.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let of_said = self.said.values().map(|said| said.until);
        of_said.chain(self.ends.first().map(|(at, _)| *at)).min()
    }

    fn set(&mut self, moved: &Moved, wait: Wait) {
        self.forget(moved);
        if !wait.is_over {
            self.ends.insert((wait.until, moved.clone()));
        }
        self.moved.insert(moved.clone(), wait);
    }

    fn forget(&mut self, moved: &Moved) {
        if let Some(Wait { until, .. }) = self.moved.remove(moved) {
            self.ends.remove(&(until, moved.clone()));
        }
    }

    /// All that there is to it, apart from times.
    #[cfg(feature = "sim")]
    pub(super) fn describe(&self, name: impl Fn(ConnectionId) -> String) -> String {
        let Self { said, moved, ends: _ } = self;
        let said = said.iter().map(|(account, Said { request: _, awaited, until: _ })| {
            let mut awaited: Vec<_> = awaited.iter().map(|id| name(*id)).collect();
            awaited.sort_unstable();
            (account, awaited)
        });
        let said: Vec<_> = said.collect();
        let moved: Vec<_> = moved.iter().map(|(moved, wait)| (moved, wait.is_over)).collect();
        format!("{said:?} {moved:?}")
    }
}

fn key(peer: &str, account: &str) -> Moved {
    (peer.to_owned(), account.to_owned())
}

/// How long peers may take to answer (wire.md 4.5).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may be missing that a peer has moved an account to, until this node takes it that the peer has moved
/// the account back: who dials it tries about once a second.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// So many accounts may one peer move that this node does not pin. Each costs both a connection.
const MAX_MOVED_ACCOUNTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn connection(number: u32) -> ConnectionId {
        ConnectionId::new(number, 0)
    }

    #[test]
    fn an_account_is_heard_of_once_all_have_answered_or_are_gone_or_after_two_seconds() {
        let mut moves = Moves::default();
        moves.say(NOW, "A", "a", [1, 2].map(connection));
        moves.say(NOW, "B", "b", [1, 2].map(connection));
        assert_eq!(moves.handle_answer(connection(3), "a"), None, "it was not asked");
        assert_eq!(moves.handle_answer(connection(1), "c"), None);
        assert_eq!(moves.handle_answer(connection(1), "a").as_deref(), Some("A"));
        assert_eq!(moves.handle_answer(connection(1), "a"), None, "it has answered");
        assert_eq!(moves.take_heard(NOW), [""; 0]);
        moves.handle_closed(connection(2));
        assert_eq!(moves.take_heard(NOW), ["A"]);
        let late = moves.next_at().expect("answers to B are missing");
        assert_eq!(late, NOW + Duration::from_secs(2));
        assert_eq!(moves.take_heard(late), ["B"]);
        assert_eq!((moves.take_heard(late), moves.next_at()), (Vec::new(), None));
    }

    #[test]
    fn what_a_peer_has_moved_is_forgotten_where_no_connection_comes() {
        let mut moves = Moves::default();
        for account in ["A", "B"] {
            assert_eq!(moves.note(NOW, "peer", account), Ok(true));
            assert_eq!(moves.note(NOW + CONNECTION_TIMEOUT, "peer", account), Ok(false), "no later for that");
        }
        moves.handle_seated("peer", "A");
        moves.handle_seated("peer", "C");
        let end = moves.next_at().expect("B is waited for");
        assert_eq!(moves.take_ended(end), [key("peer", "B")]);
        assert_eq!(moves.of("peer").collect::<Vec<_>>(), ["A"]);
        moves.handle_lost(end, "peer", "A", RETRY_PAUSE);
        moves.handle_seated("peer", "A");
        assert_eq!(moves.next_at(), None, "it is back in time");
        // The peer refuses it now, and that is no reason to wait for longer.
        moves.handle_lost(end + RETRY_PAUSE, "peer", "A", Duration::ZERO);
        assert_eq!(moves.take_ended(end + CONNECTION_TIMEOUT), [key("peer", "A")]);
        assert!(!moves.is_moved("peer", "A"));
    }

    #[test]
    fn no_peer_moves_more_accounts_than_the_limit() {
        let mut moves = Moves::default();
        for number in 0..MAX_MOVED_ACCOUNTS {
            assert_eq!(moves.note(NOW, "greedy", &number.to_string()), Ok(true));
        }
        assert_eq!(moves.note(NOW, "greedy", "more"), Err(TooManyMoved));
        assert_eq!(moves.note(NOW, "greedy", "0"), Ok(false));
        assert_eq!(moves.note(NOW, "other", "more"), Ok(true));
        assert_eq!(moves.forget_peer("greedy").len(), MAX_MOVED_ACCOUNTS);
        assert_eq!(moves.forget_account("more"), [key("other", "more")]);
        assert_eq!(moves.next_at(), None);
    }
}
