//! Requests of other accounts that an account is to answer (wire.md 1.12).
//!
//! A request to an imported service comes to the exporter's account with a reply subject of that account, `_R_.<6>.<6>`. Whatever
//! is published there goes to the reply subject that the requester gave, in the requester's account.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::OnceLock;

use fastrand::Rng;

use super::ServiceTerms;
use crate::config::Response;
use crate::hash::{KeyedState, Shards};
use crate::id::AccountId;
use crate::lock::{Mutex, Place};
use crate::time::Instant;

/// So many requests of one account may wait for answers of another; those with the least time left are given up for one more.
pub(crate) const MAX_AWAITED: usize = 16 * 1024;

/// Nor may the reply subjects of more than one of them take more bytes together.
pub(crate) const MAX_AWAITED_BYTES: usize = 1024 * 1024;

/// What others asked an account, and where the answers go.
#[derive(Debug)]
pub(crate) struct Answers {
    /// What the subjects of all answers begin with: `_R_.<6>.`. Empty before the first request.
    prefix: OnceLock<Box<[u8]>>,
    awaited: Mutex<Table>,
}

/// A request that waits for an answer, or for more of it.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    /// The account that asks.
    pub(crate) asker: AccountId,
    /// Where the answer goes there.
    pub(crate) reply: Box<[u8]>,
    pub(crate) terms: ServiceTerms,
    /// Whether the import of the service lets its exporter know who asks.
    pub(crate) share: bool,
}

/// Requests that wait for an answer, each with the subject that it comes to.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) requests: Vec<(Vec<u8>, Awaited)>,
    /// There are others.
    pub(crate) is_cut: bool,
}

#[derive(Debug)]
struct Table {
    by_token: Shards<Token, Waiting>,
    /// Those of each account that asks. None is empty.
    by_asker: BTreeMap<AccountId, OfOne>,
    /// Whose were looked at last for what is to be given up.
    last_tidied: Option<AccountId>,
}

/// The requests of one account that wait.
#[derive(Debug, Default)]
struct OfOne {
    /// What is given up when.
    deadlines: BTreeSet<(Instant, Token)>,
    /// How long their reply subjects are.
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    awaited: Awaited,
    deadline: Instant,
}

/// The last token of the subject of an answer.
type Token = [u8; TOKEN_BYTES];

const TOKEN_BYTES: usize = 6;

impl Answers {
    pub(super) fn new(hasher: KeyedState) -> Self {
        let by_token = Shards::new(hasher);
        let table = Table { by_token, by_asker: BTreeMap::new(), last_tidied: None };
        Self { prefix: OnceLock::new(), awaited: Mutex::new(Place::Facts, table) }
    }

    /// Whether there was a request before: the account listens for answers.
    pub(crate) fn has_begun(&self) -> bool {
        self.prefix.get().is_some()
    }

    /// Lets subjects of answers begin so. False if they begin otherwise already.
    pub(crate) fn begin(&self, prefix: &[u8]) -> bool {
        self.prefix.set(prefix.into()).is_ok()
    }

    /// Waits for the answer to a request. Returns the subject that it comes to, and whether others of the same account had to
    /// be given up for it.
    pub(crate) fn wait_for(&self, awaited: Awaited, now: Instant, rng: &mut Rng) -> (Vec<u8>, bool) {
        let mut table = self.awaited.lock();
        table.give_up(awaited.asker, now);
        table.give_up_of_next(now);
        let token = table.free_token(rng);
        let is_any_given_up = table.insert(token, awaited, now);
        (self.subject(token), is_any_given_up)
    }

    /// Waits no more for what would come to this subject.
    pub(crate) fn forget(&self, subject: &[u8]) {
        if let Some(token) = self.token_of(subject) {
            self.awaited.lock().remove(token);
        }
    }

    /// Waits no more for what an account asked.
    pub(crate) fn forget_all_of(&self, asker: AccountId) {
        let mut table = self.awaited.lock();
        while let Some(token) = table.first_of(asker) {
            table.remove(token);
        }
    }

    /// Whom a message to `subject` answers, if somebody waits for that. After the last answer nobody does; an answer that
    /// `is_empty` is the last one.
    pub(crate) fn take(&self, subject: &[u8], is_empty: bool, now: Instant) -> Option<Awaited> {
        let token = self.token_of(subject)?;
        let mut table = self.awaited.lock();
        let waiting = table.remove(token)?;
        if waiting.deadline <= now {
            return None;
        }
        if waiting.awaited.terms.response != Response::Single && !is_empty {
            table.insert(token, waiting.awaited.clone(), now);
        }
        Some(waiting.awaited)
    }

    /// Whom a message to `subject` would answer.
    pub(crate) fn look_up(&self, subject: &[u8], now: Instant) -> Option<Awaited> {
        let token = self.token_of(subject)?;
        let table = self.awaited.lock();
        let (_, waiting) = table.by_token.get(&token).filter(|(_, waiting)| waiting.deadline > now)?;
        Some(waiting.awaited.clone())
    }

    /// How many requests wait for answers, those included that are to be given up.
    pub(crate) fn len(&self) -> usize {
        self.awaited.lock().by_token.len()
    }

    /// The requests that wait, `most` of them and `most_bytes` of their replies at the most: of each account that asks those first
    /// that have the least time left.
    pub(crate) fn pending(&self, now: Instant, most: usize, most_bytes: usize) -> Pending {
        let (mut pending, mut bytes) = (Pending::default(), 0);
        let table = self.awaited.lock();
        for (token, awaited) in table.waiting(now) {
            bytes += awaited.reply.len();
            if pending.requests.len() == most || bytes > most_bytes {
                pending.is_cut = true;
                break;
            }
            pending.requests.push((self.subject(token), awaited.clone()));
        }
        pending
    }

    fn subject(&self, token: Token) -> Vec<u8> {
        let prefix = self.prefix.get().map_or(&b""[..], |prefix| prefix);
        [prefix, &token].concat()
    }

    fn token_of(&self, subject: &[u8]) -> Option<Token> {
        subject.strip_prefix(&**self.prefix.get()?)?.try_into().ok()
    }
}

impl Table {
    /// Puts a request in. Whether others of the same account had to be given up for it.
    fn insert(&mut self, token: Token, awaited: Awaited, now: Instant) -> bool {
        let (asker, bytes) = (awaited.asker, awaited.reply.len());
        let mut is_any_given_up = false;
        while let Some(first) = self.first_if_full(asker, bytes) {
            self.remove(first);
            is_any_given_up = true;
        }
        let deadline = now + awaited.terms.threshold;
        let own = self.by_asker.entry(asker).or_default();
        own.deadlines.insert((deadline, token));
        own.bytes += bytes;
        self.by_token.insert(token, Waiting { awaited, deadline });
        is_any_given_up
    }

    /// The first to be given up where an account has no room for one more with a reply subject of so many bytes.
    fn first_if_full(&self, asker: AccountId, bytes: usize) -> Option<Token> {
        let own = self.by_asker.get(&asker)?;
        let is_full = own.deadlines.len() >= MAX_AWAITED || own.bytes + bytes > MAX_AWAITED_BYTES;
        self.first_of(asker).filter(|_| is_full)
    }

    /// That with the least time left of those that an account asked.
    fn first_of(&self, asker: AccountId) -> Option<Token> {
        self.by_asker.get(&asker)?.deadlines.first().map(|(_, token)| *token)
    }

    fn remove(&mut self, token: Token) -> Option<Waiting> {
        let (_, waiting) = self.by_token.remove(&token)?;
        let Awaited { asker, reply, .. } = &waiting.awaited;
        if let Entry::Occupied(mut own) = self.by_asker.entry(*asker) {
            own.get_mut().deadlines.remove(&(waiting.deadline, token));
            own.get_mut().bytes -= reply.len();
            if own.get().deadlines.is_empty() {
                own.remove();
            }
        }
        Some(waiting)
    }

    /// Gives up some of what an account has waited for too long: more than comes in.
    fn give_up(&mut self, asker: AccountId, now: Instant) {
        for _ in 0..2 {
            let first = self.by_asker.get(&asker).and_then(|own| own.deadlines.first());
            match first {
                Some((deadline, token)) if *deadline <= now => drop(self.remove(*token)),
                _ => return,
            }
        }
    }

    /// Gives up some of what another account has waited for too long, each time the next one's: who asked once and asks no more
    /// holds nothing for ever.
    fn give_up_of_next(&mut self, now: Instant) {
        let after = self.last_tidied.map_or(Bound::Unbounded, Bound::Excluded);
        self.last_tidied = self.by_asker.range((after, Bound::Unbounded)).next().map(|(asker, _)| *asker);
        if let Some(asker) = self.last_tidied {
            self.give_up(asker, now);
        }
    }

    /// What is not to be given up at this time.
    fn waiting(&self, now: Instant) -> impl Iterator<Item = (Token, &Awaited)> {
        let later = (Bound::Excluded((now, [u8::MAX; TOKEN_BYTES])), Bound::Unbounded);
        let tokens = self.by_asker.values().flat_map(move |own| own.deadlines.range(later));
        tokens.filter_map(|(_, token)| Some((*token, &self.by_token.get(token)?.1.awaited)))
    }

    fn free_token(&self, rng: &mut Rng) -> Token {
        loop {
            let token = random_token(rng);
            if self.by_token.get(&token).is_none() {
                return token;
            }
        }
    }
}

/// What the subjects of an account's answers may begin with.
pub(crate) fn random_prefix(rng: &mut Rng) -> Vec<u8> {
    [b"_R_.", &random_token(rng)[..], b"."].concat()
}

fn random_token(rng: &mut Rng) -> Token {
    std::array::from_fn(|_| rng.alphanumeric() as u8)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answers() -> Answers {
        let answers = Answers::new(KeyedState::keyed([1, 2]));
        assert!(!answers.has_begun());
        assert!(answers.begin(b"_R_.prefix."));
        assert!(!answers.begin(b"_R_.others."), "it keeps the first");
        answers
    }

    fn awaited(asker: u32, response: Response) -> Awaited {
        let terms = ServiceTerms { response, threshold: SECOND };
        Awaited { asker: AccountId::new(asker, 0), reply: (*b"reply").into(), terms, share: false }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn one_answer_is_taken_and_of_a_stream_all_up_to_an_empty_one() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let takes = |subject: &[u8], is_empty| answers.take(subject, is_empty, at(0)).is_some();
        for response in [Response::Single, Response::Stream, Response::Chunked] {
            let (subject, _) = answers.wait_for(awaited(1, response), at(0), &mut rng);
            assert!(subject.starts_with(b"_R_.prefix.") && subject.len() == 17, "{subject:?}");
            let is_single = response == Response::Single;
            assert!(takes(&subject, false), "{response:?}");
            assert_eq!(takes(&subject, false), !is_single, "{response:?}");
            assert_eq!(takes(&subject, true), !is_single, "{response:?}");
            assert!(!takes(&subject, false), "{response:?}");
        }
        assert_eq!(answers.len(), 0);
        let (subject, _) = answers.wait_for(awaited(1, Response::Stream), at(0), &mut rng);
        answers.forget(&subject);
        assert!(!takes(&subject, false));
    }

    #[test]
    fn what_is_no_subject_of_an_answer_is_none() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let (subject, _) = answers.wait_for(awaited(1, Response::Single), at(0), &mut rng);
        let longer = [&subject[..], b".x"].concat();
        for other in [&b"_R_.prefix."[..], b"_R_.prefix.x", b"_R_.others.123456", b"", &longer] {
            assert!(answers.take(other, false, at(0)).is_none(), "{other:?}");
            answers.forget(other);
        }
        assert!(answers.take(&subject, false, at(0)).is_some());
    }

    #[test]
    fn an_answer_that_comes_too_late_goes_nowhere_and_each_one_of_a_stream_gives_more_time() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let mut wait = |response, now| answers.wait_for(awaited(1, response), now, &mut rng).0;
        let (single, stream) = (wait(Response::Single, at(0)), wait(Response::Stream, at(0)));
        assert!(answers.take(&single, false, at(1000)).is_none());
        for now in [900, 1800, 2700] {
            assert!(answers.take(&stream, false, at(now)).is_some(), "{now}");
        }
        assert!(answers.take(&stream, false, at(3700)).is_none());
        for now in 0..10 {
            wait(Response::Single, at(now * 2000));
        }
        assert!(answers.len() <= 2, "what is too old is given up: {}", answers.len());
    }

    #[test]
    fn what_an_account_waited_for_too_long_is_given_up_though_it_asks_no_more() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        for asker in 1..=3 {
            for _ in 0..10 {
                answers.wait_for(awaited(asker, Response::Single), at(0), &mut rng);
            }
        }
        assert_eq!(answers.len(), 30);
        for _ in 0..20 {
            let (subject, _) = answers.wait_for(awaited(4, Response::Single), at(2000), &mut rng);
            answers.forget(&subject);
        }
        assert_eq!(answers.len(), 0);
    }

    #[test]
    fn nobody_waits_for_what_an_account_asked_that_is_gone() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let [subject, other] =
            [1, 2].map(|asker| answers.wait_for(awaited(asker, Response::Stream), at(0), &mut rng).0);
        answers.forget_all_of(AccountId::new(1, 0));
        assert!(answers.look_up(&subject, at(1)).is_none());
        assert_eq!(answers.look_up(&other, at(1)).map(|awaited| awaited.asker), Some(AccountId::new(2, 0)));
        assert!(answers.look_up(&other, at(1000)).is_none(), "it came to its end");
        assert!(answers.take(&other, false, at(1)).is_some(), "who looks takes nothing");
    }

    #[test]
    fn one_account_may_wait_for_so_many_answers_and_takes_no_room_of_others() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let (other, _) = answers.wait_for(awaited(2, Response::Single), at(0), &mut rng);
        let mut subjects = Vec::new();
        for number in 0..MAX_AWAITED as u64 + 10 {
            let now = Instant::from_nanos(number);
            let (subject, is_any_given_up) = answers.wait_for(awaited(1, Response::Single), now, &mut rng);
            assert_eq!(is_any_given_up, number >= MAX_AWAITED as u64, "{number}");
            subjects.push(subject);
        }
        assert_eq!(answers.len(), MAX_AWAITED + 1);
        assert!(answers.take(&other, false, at(1)).is_some());
        let taken = subjects.iter().map(|subject| answers.take(subject, false, at(1)).is_some());
        assert!(taken.eq((0..MAX_AWAITED + 10).map(|number| number >= 10)), "the oldest are given up");
        assert_eq!(answers.len(), 0);
    }

    #[test]
    fn what_waits_is_told_by_who_asks_and_up_to_a_limit() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        let mut wait = |asker, now| answers.wait_for(awaited(asker, Response::Single), at(now), &mut rng).0;
        let subjects = [(2, 0), (1, 20), (1, 10), (2, 500)].map(|(asker, now)| wait(asker, now));
        let pending = |now, most, most_bytes| {
            let pending = answers.pending(at(now), most, most_bytes);
            let place =
                |(subject, _): &(Vec<u8>, Awaited)| subjects.iter().position(|other| other == subject);
            (pending.requests.iter().filter_map(place).collect::<Vec<_>>(), pending.is_cut)
        };
        assert_eq!(pending(0, 4, 20), (vec![2, 1, 0, 3], false));
        assert_eq!(pending(0, 3, 20), (vec![2, 1, 0], true));
        assert_eq!(pending(0, 4, 19), (vec![2, 1, 0], true), "each reply has five bytes");
        assert_eq!(pending(1010, 4, 20), (vec![1, 3], false), "the others came to their end");
        assert_eq!((pending(1500, 4, 20), answers.len()), ((vec![], false), 4));
    }

    #[test]
    fn long_reply_subjects_take_only_so_much_room() {
        let (answers, mut rng) = (answers(), Rng::with_seed(1));
        for number in 0..1000 {
            let reply = vec![b'x'; 4000].into_boxed_slice();
            let awaited = Awaited { reply, ..awaited(1, Response::Single) };
            let (_, is_any_given_up) = answers.wait_for(awaited, at(0), &mut rng);
            assert_eq!(is_any_given_up, number >= MAX_AWAITED_BYTES / 4000, "{number}");
        }
        assert_eq!(answers.len(), MAX_AWAITED_BYTES / 4000);
    }
}
