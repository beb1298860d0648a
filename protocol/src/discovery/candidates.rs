//! Whom of those that sources told of to dial, and when.
//!
//! Sources take turns, and within each those that it has it from: its tellers. Each has a quota of its own, so that nobody's many
//! words delay another's few. Half of the attempts are kept for servers that were members before. Who could not be reached waits
//! longer and longer, gives way to others of the same teller, and is forgotten once nobody tells of it any more.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use fastrand::Rng;
use log::warn;

use super::Found;
use super::address::Address;
use super::teller::{Counts, Teller};
use crate::config::Source;
use crate::meter::Meter;
use crate::time::Instant;

/// All servers that sources told of. No call takes longer than in proportion to how many there may be.
#[derive(Debug)]
pub struct Candidates {
    candidates: BTreeMap<Address, Candidate>,
    tellers: BTreeMap<TellerId, Teller>,
    counts: BTreeMap<Source, Counts>,
    pace: Meter,
    /// Whose turn was the last, of those who tell of others than members, and of these.
    turns: [Turns; 2],
    /// Whether it is the turn of servers that were members before.
    is_turn_of_proven: bool,
    rng: Rng,
}

/// A source, and whom it has it from, if it says so.
type TellerId = (Source, String);

/// Who was served last.
#[derive(Debug, Default)]
struct Turns {
    source: Option<Source>,
    tellers: BTreeMap<Source, String>,
}

#[derive(Debug)]
struct Candidate {
    /// Who is there, by the word of a source or, better, by its own.
    server: Option<String>,
    state: State,
    failures: u32,
    /// A member was there once.
    is_proven: bool,
    /// Who is there is known by its own word.
    is_met: bool,
    /// Some tell of it without a word of who is there, so that another's word of that does not do.
    is_nameless: bool,
    told_at: Instant,
    /// On whose word it is being tried.
    on_word_of: Option<TellerId>,
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to be tried at this time.
    Waits(Instant),
    /// It is being tried.
    UnderWay,
    /// A member is there.
    Member,
    /// This node itself is there.
    Itself,
}

/// What the cluster knows of a server that a source tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is this node.
    Itself,
    /// There is a route to it.
    Member,
    /// There is none, and so long others may dial first.
    Stranger(Duration),
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// This server is there, and is a member.
    Joined(String),
    /// This node itself is there.
    Itself,
    /// Nobody is there who is a member.
    Failed,
    /// Somebody else is at it already.
    Busy,
}

/// A candidate as monitoring shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Where it is.
    pub address: &'a Address,
    /// Who is there, if that is known.
    pub server_id: Option<&'a str>,
    /// How far it is.
    pub state: State,
    /// How often it was tried in vain since it was a member.
    pub failures: u32,
}

impl Candidates {
    /// None are known. Moments are drawn from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self {
            candidates: BTreeMap::new(),
            tellers: BTreeMap::new(),
            counts: BTreeMap::new(),
            pace: Meter::default(),
            turns: Default::default(),
            is_turn_of_proven: true,
            rng,
        }
    }

    /// Hears of servers from a source, which has it from `teller`: empty, if there is only one. `judge` says what is known of a
    /// server by its id.
    pub fn handle_found(
        &mut self,
        now: Instant,
        source: Source,
        teller: &str,
        found: &[Found],
        judge: impl Fn(&str) -> Told,
    ) {
        let id = (source, teller.to_owned());
        if !self.admit(now, &id) {
            return self.leave_out(source, found.len());
        }
        let (found, too_many) = found.split_at(found.len().min(MAX_FOUND_AT_ONCE));
        self.leave_out(source, too_many.len());
        for Found { address, server_id } in found {
            let told = server_id.as_deref().map_or(Told::Stranger(Duration::ZERO), &judge);
            match Address::new(address) {
                None => self.leave_out(source, 1),
                Some(address) => self.note(now, &id, address, server_id.as_deref(), told),
            }
        }
    }

    /// The next candidate to be dialed, which counts as being tried until [`Candidates::handle_trial`]. Poll until `None` after
    /// every other call and when [`Candidates::poll_timeout`] is due.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Option<Address> {
        if self.pace.allows_at(PAUSE, TRIALS_PER_SECOND) > now {
            return None;
        }
        let lanes = [self.is_turn_of_proven, !self.is_turn_of_proven];
        let (is_proven, teller, address) =
            lanes.into_iter().find_map(|is_proven| self.next_due(now, is_proven))?;
        self.is_turn_of_proven = !is_proven;
        self.turns[usize::from(is_proven)].note(&teller);
        self.pace.take(now, PAUSE);
        self.counts.entry(teller.0).or_default().tried += 1;
        self.tellers.get_mut(&teller)?.under_way += 1;
        let candidate = self.candidates.get_mut(&address)?;
        (candidate.state, candidate.on_word_of) = (State::UnderWay, Some(teller));
        Some(address)
    }

    /// When [`Candidates::poll`] may have something, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let may_begin = self.tellers.values().filter(|teller| teller.under_way < MAX_UNDER_WAY_PER_TELLER);
        let waiting =
            may_begin.flat_map(|teller| &teller.addresses).filter_map(|address| self.due_at(address));
        waiting.min().map(|at| at.max(self.pace.allows_at(PAUSE, TRIALS_PER_SECOND)))
    }

    /// Hears what came of an attempt.
    pub fn handle_trial(&mut self, now: Instant, address: &Address, trial: Trial) {
        let pause = jitter(&mut self.rng);
        let Some(candidate) = self.candidates.get_mut(address) else { return };
        let Some(teller) = candidate.on_word_of.take() else { return };
        let counts = self.counts.entry(teller.0).or_default();
        match trial {
            Trial::Joined(server) => {
                counts.joined += 1;
                (candidate.state, candidate.failures, candidate.is_proven) = (State::Member, 0, true);
                (candidate.server, candidate.is_met) = (Some(server), true);
            }
            Trial::Itself => (candidate.state, candidate.is_met) = (State::Itself, true),
            Trial::Busy => candidate.state = State::Waits(now + FIRST_PAUSE + pause),
            Trial::Failed => {
                counts.failed += 1;
                candidate.failures = candidate.failures.saturating_add(1);
                candidate.state = State::Waits(now + candidate.pause() + pause);
            }
        }
        if let Some(teller) = self.tellers.get_mut(&teller) {
            teller.under_way -= 1;
        }
        self.forget_untold(now, address);
    }

    /// Hears that there is a route to a server: nobody of its name is to be dialed.
    pub fn handle_member(&mut self, server: &str) {
        let is_meant = |it: &&mut Candidate| matches!(it.state, State::Waits(_)) && it.is_believed();
        for candidate in self.of_server(server).filter(is_meant) {
            candidate.state = State::Member;
        }
    }

    /// Hears that there are no routes to a server any more. Others try to reach it first.
    pub fn handle_lost(&mut self, now: Instant, server: &str) {
        let at = now + LOST_PAUSE + jitter(&mut self.rng);
        for candidate in self.of_server(server).filter(|it| it.state == State::Member) {
            candidate.state = State::Waits(at);
        }
    }

    /// What came of what a source told.
    pub fn counts(&self, source: Source) -> Counts {
        self.counts.get(&source).copied().unwrap_or_default()
    }

    /// All candidates of a source, in the order of their addresses.
    pub fn shown(&self, source: Source) -> impl Iterator<Item = Shown<'_>> {
        let is_told = move |address: &Address| {
            let of_source = self.tellers.iter().filter(move |((it, _), _)| *it == source);
            of_source.into_iter().any(|(_, teller)| teller.addresses.contains(address))
        };
        let told = self.candidates.iter().filter(move |(address, _)| is_told(address));
        told.map(|(address, it)| Shown {
            address,
            server_id: it.server.as_deref(),
            state: it.state,
            failures: it.failures,
        })
    }

    /// Whether a teller is heard: a source may have too many of them, of whom then the one gives way who told nothing good for longest.
    fn admit(&mut self, now: Instant, id: &TellerId) -> bool {
        if let Some(teller) = self.tellers.get_mut(id) {
            teller.told_at = now;
            return true;
        }
        let of_source = || self.tellers.iter().filter(|((source, _), _)| *source == id.0);
        if of_source().count() >= MAX_TELLERS {
            let useless = of_source().filter(|(_, teller)| self.is_useless(now, teller));
            let Some((useless, _)) = useless.min_by_key(|(_, teller)| teller.told_at) else { return false };
            self.drop_teller(&useless.clone());
        }
        self.tellers.insert(id.clone(), Teller::new(now));
        true
    }

    /// Whether all that somebody told was tried in vain, or is old: who comes back may tell of himself by another name.
    fn is_useless(&self, now: Instant, teller: &Teller) -> bool {
        let is_good = |address: &Address| {
            self.candidates.get(address).is_some_and(|it| it.is_proven || it.failures == 0)
        };
        let is_silent = now.since(teller.told_at) >= FORGET_AFTER;
        teller.under_way == 0 && (is_silent || !teller.addresses.iter().any(is_good))
    }

    fn drop_teller(&mut self, id: &TellerId) {
        let told = self.tellers.remove(id).map(|teller| teller.addresses).unwrap_or_default();
        told.iter().for_each(|address| self.drop_unless_told(address));
    }

    fn drop_unless_told(&mut self, address: &Address) {
        if !self.tellers.values().any(|teller| teller.addresses.contains(address)) {
            self.candidates.remove(address);
        }
    }

    fn leave_out(&mut self, source: Source, count: usize) {
        let counts = self.counts.entry(source).or_default();
        if counts.left_out == 0 && count > 0 {
            warn!(
                "Discovery: {source} tells of more servers than are kept, or of impossible ones, which are left out"
            );
        }
        counts.left_out = counts.left_out.saturating_add(count as u64);
    }

    fn note(&mut self, now: Instant, id: &TellerId, address: Address, server: Option<&str>, told: Told) {
        let Some(teller) = self.tellers.get(id) else { return };
        if !teller.addresses.contains(&address) {
            if teller.addresses.len() >= MAX_CANDIDATES_PER_TELLER && !self.make_room(now, id) {
                return self.leave_out(id.0, 1);
            }
            self.counts.entry(id.0).or_default().told += 1;
            if let Some(teller) = self.tellers.get_mut(id) {
                teller.addresses.insert(address.clone());
            }
        }
        let (is_proven, pause) = (id.0 == Source::PeersFile, jitter(&mut self.rng));
        match self.candidates.entry(address) {
            Entry::Vacant(place) => {
                let state = match told {
                    Told::Itself => State::Itself,
                    Told::Member => State::Member,
                    Told::Stranger(wait) => State::Waits(now + wait + pause),
                };
                place.insert(Candidate {
                    server: server.map(str::to_owned),
                    is_met: false,
                    is_nameless: server.is_none(),
                    state,
                    failures: 0,
                    is_proven,
                    told_at: now,
                    on_word_of: None,
                });
            }
            Entry::Occupied(mut known) => known.get_mut().renew(now, server, told, is_proven),
        }
    }

    /// Lets the one of a teller's addresses that was tried in vain most often give way; false if none was. Where a member was
    /// before gives way only if nobody has told of it for long.
    fn make_room(&mut self, now: Instant, id: &TellerId) -> bool {
        let worth = |address: &Address| {
            let failed = self.candidates.get(address).filter(|it| it.failures > 0);
            let gives_way = |it: &&Candidate| !it.is_proven || now.since(it.told_at) >= FORGET_AFTER;
            let waits = failed.filter(|it| matches!(it.state, State::Waits(_))).filter(gives_way)?;
            Some((waits.is_proven, Reverse(waits.failures)))
        };
        let told = self.tellers.get(id).into_iter().flat_map(|teller| &teller.addresses);
        let worst = told.filter_map(|address| Some((worth(address)?, address))).min();
        let Some(worst) = worst.map(|(_, address)| address.clone()) else {
            return false;
        };
        if let Some(teller) = self.tellers.get_mut(id) {
            teller.addresses.remove(&worst);
        }
        self.drop_unless_told(&worst);
        true
    }

    /// Of those that were members before, or of the others, the next that is due: of the teller whose turn it is.
    fn next_due(&self, now: Instant, is_proven: bool) -> Option<(bool, TellerId, Address)> {
        let may_begin = self.tellers.iter().filter(|(_, it)| it.under_way < MAX_UNDER_WAY_PER_TELLER);
        let due = may_begin.filter_map(|(id, teller)| {
            let of_lane = teller.addresses.iter().filter(|address| self.is_proven(address) == is_proven);
            let due = of_lane.filter_map(|address| Some((self.due_at(address)?, address)));
            due.filter(|(at, _)| *at <= now).min().map(|(_, address)| (id, address))
        });
        let turns = &self.turns[usize::from(is_proven)];
        let (id, address) = due.min_by_key(|(id, _)| turns.place_of(id))?;
        Some((is_proven, id.clone(), address.clone()))
    }

    fn is_proven(&self, address: &Address) -> bool {
        self.candidates.get(address).is_some_and(|candidate| candidate.is_proven)
    }

    fn due_at(&self, address: &Address) -> Option<Instant> {
        match self.candidates.get(address)?.state {
            State::Waits(at) => Some(at),
            State::UnderWay | State::Member | State::Itself => None,
        }
    }

    fn of_server(&mut self, server: &str) -> impl Iterator<Item = &mut Candidate> {
        self.candidates.values_mut().filter(move |it| it.server.as_deref() == Some(server))
    }

    /// Forgets a candidate that nobody reaches and of which nobody has told for long.
    fn forget_untold(&mut self, now: Instant, address: &Address) {
        let is_old =
            |it: &Candidate| it.failures > 0 && !it.is_proven && now.since(it.told_at) >= FORGET_AFTER;
        if self.candidates.get(address).is_some_and(is_old) {
            self.candidates.remove(address);
            for teller in self.tellers.values_mut() {
                teller.addresses.remove(address);
            }
            self.tellers.retain(|_, teller| !teller.addresses.is_empty() || teller.under_way > 0);
        }
    }
}

impl Turns {
    /// How soon it is somebody's turn: first that of the sources behind the last one, and of each of them its tellers likewise.
    fn place_of<'a>(&self, (source, teller): &'a TellerId) -> impl Ord + use<'a> {
        let is_behind = self.source.is_none_or(|last| *source > last);
        let is_teller_behind = self.tellers.get(source).is_none_or(|last| teller > last);
        (!is_behind, *source, !is_teller_behind, teller.as_str())
    }

    fn note(&mut self, (source, teller): &TellerId) {
        self.source = Some(*source);
        self.tellers.insert(*source, teller.clone());
    }
}

impl Candidate {
    /// A source tells of it once more.
    fn renew(&mut self, now: Instant, server: Option<&str>, told: Told, is_proven: bool) {
        self.told_at = now;
        self.is_proven |= is_proven;
        self.is_nameless |= server.is_none();
        if self.state == State::UnderWay {
            return;
        }
        // Who was there is there no more, or nobody knew who it is.
        let is_news = |server: &&str| self.server.as_deref() != Some(*server);
        let told = server.filter(is_news).map(|server| {
            (self.server, self.is_met) = (Some(server.to_owned()), false);
            told
        });
        let is_settled = matches!(self.state, State::Member | State::Itself);
        match told {
            Some(Told::Itself) if self.is_believed() => self.state = State::Itself,
            Some(Told::Member) if self.is_believed() => self.state = State::Member,
            Some(Told::Stranger(wait)) if is_settled => self.state = State::Waits(now + wait),
            _ if is_settled && !self.is_believed() => self.state = State::Waits(now),
            _ => {}
        }
    }

    /// Whether what is known of who is there is enough not to dial it.
    fn is_believed(&self) -> bool {
        self.is_met || !self.is_nameless
    }

    /// How long it waits after it could not be reached.
    fn pause(&self) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
    }
}

/// A random moment, so that nodes that hear the same do not all dial the same at once.
fn jitter(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(..MAX_JITTER_MICROS))
}

/// So many candidates are tried per second, whoever told of them; as many at once after a while of none.
pub const TRIALS_PER_SECOND: u32 = 5;

/// So many addresses are looked at that are told at once.
pub const MAX_FOUND_AT_ONCE: usize = 1024;

/// So many addresses are kept on one teller's word.
pub const MAX_CANDIDATES_PER_TELLER: usize = 64;

/// So many of them are tried at once, each for seconds where somebody takes the connection and stays silent.
pub const MAX_UNDER_WAY_PER_TELLER: usize = 4;

/// So many tellers are heard of each source.
pub const MAX_TELLERS: usize = 16;

/// The share of a second that one attempt takes at the allowed pace.
const PAUSE: Duration = Duration::from_millis(1000 / TRIALS_PER_SECOND as u64);

/// Between the first two attempts to reach one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Before one is tried that was a member until now: routes that were lost are dialed again anyway.
const LOST_PAUSE: Duration = Duration::from_secs(5);

/// One that cannot be reached and of which nobody tells any more is forgotten then.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

const MAX_JITTER_MICROS: u64 = 100_000;
