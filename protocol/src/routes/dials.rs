//! All wishes to be connected: what is to be dialed, when, and what is being dialed now.
//!
//! What is heard of is limited, since it costs the teller nothing ([`Tellers`](super::tellers::Tellers)): in number, for each
//! teller and in all, and in pace. It has a budget of its own, so that it takes nothing from servers that there was a route
//! to once or that are configured; it is dialed after those, and dropped after a few failures.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use log::debug;

use super::cause::{Cause, DialCounts};
use super::dial::{Attempt, Class, Dial, DialId, Target};
use super::dial_index::DialIndex;
use super::pace::{Pace, RETRY_PAUSE, doubled, first_pause, jitter};
use crate::config::{ClusterConfig, RouteUrl};
use crate::quote::brief;
use crate::time::Instant;

/// All dials of a node. No call takes longer in proportion to how many there are.
#[derive(Debug, Default)]
pub(super) struct Dials {
    pub(super) dials: BTreeMap<DialId, Dial>,
    index: DialIndex,
    pub(super) pace: Pace,
    last: u64,
    counts: DialCounts,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection.
    Unreachable,
    /// There was one, and it ended before it was registered: both may have dialed at once, and would again.
    Dropped,
    /// It led to this node itself, by a name that may lead elsewhere too.
    LedToSelf,
}

impl Dials {
    /// Adds a dial unless there is one already that would make the same connection.
    pub(super) fn add(&mut self, dial: Dial) {
        if let Some(same) = self.find_same(&dial) {
            return self.change(same, |known| known.renew(dial));
        }
        if !self.has_room_for(&dial) {
            return debug!("Too many servers to dial, leaving out {}", brief(&dial.purpose.url));
        }
        self.last += 1;
        let id = DialId(self.last);
        self.index.add(id, &dial);
        self.dials.insert(id, dial);
    }

    /// The oldest dial that would end in the same connection.
    fn find_same(&self, dial: &Dial) -> Option<DialId> {
        let stands_for = |id: &DialId| {
            // What is under way to where a server is only said to be does not stand for its configured place.
            let stands_for =
                |known: &Dial| known.purpose.explicit || !dial.purpose.explicit || !known.is_under_way();
            self.dials.get(id).is_some_and(stands_for)
        };
        let of_place = self.index.at_place_of(dial).find(stands_for);
        let Target::Server(server) = &dial.target else {
            return of_place;
        };
        // A guess stands for the place alone. And the word of one changes nothing of where this node knows better, or goes
        // by another's word.
        let is_sure = |id: &DialId| {
            let is_same = |known: &Dial| known.target == dial.target && known.teller == dial.teller;
            self.dials.get(id).is_some_and(is_same)
        };
        let of_server = self.index.to_server(server, &dial.purpose.account);
        of_place.into_iter().chain(of_server.filter(is_sure).find(stands_for)).min()
    }

    /// Whether there is room for a new dial, if need be in the place of one on the word of who told most.
    fn has_room_for(&mut self, dial: &Dial) -> bool {
        match (dial.class(), &dial.teller) {
            (Class::Hearsay, Some(teller)) => {
                let room = self.index.room_for(teller);
                room.is_ok_and(|gives_way| gives_way.is_none_or(|last| self.remove(last).is_some()))
            }
            (Class::Configured, _) => true,
            _ => self.index.remembered_count() < MAX_DIALS,
        }
    }

    /// Drops dials that wait for what is there already.
    pub(super) fn drop_satisfied(&mut self, is_satisfied: impl Fn(&Dial) -> bool) {
        for server in self.index.take_unchecked() {
            self.drop_idle(&server, &is_satisfied);
        }
    }

    /// Drops the dials to a server that leaves, unless it is configured. Those that are under way go on.
    pub(super) fn drop_unconfigured(&mut self, server: &str) {
        self.drop_idle(server, |dial| !dial.purpose.explicit);
    }

    fn drop_idle(&mut self, server: &str, is_needless: impl Fn(&Dial) -> bool) {
        let is_meant = |dial: &Dial| !dial.is_under_way() && is_needless(dial);
        let ids = self.index.all_to_server(server);
        let meant: Vec<_> = ids.filter(|id| self.dials.get(id).is_some_and(is_meant)).collect();
        meant.into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// Drops the dials of servers that are configured no more. One that is under way is the last of its kind.
    pub(super) fn drop_configured(&mut self, is_gone: impl Fn(&RouteUrl) -> bool) {
        let is_meant = |dial: &Dial| dial.purpose.explicit && is_gone(&dial.purpose.url);
        let meant = self.dials.iter().filter(|(_, dial)| is_meant(dial));
        // Whoever wants one tried of which a source told hears what came of that.
        let goes_on = |dial: &Dial| dial.is_under_way() || dial.cause == Cause::Discovered;
        let meant: Vec<_> = meant.map(|(id, dial)| (*id, goes_on(dial))).collect();
        for (id, goes_on) in meant {
            if goes_on {
                self.change(id, |dial| {
                    dial.purpose.explicit = false;
                    dial.until = None;
                });
            } else {
                self.remove(id);
            }
        }
    }

    /// Drops the dials that nobody wants any more, whatever becomes of them. Those that are under way go on.
    pub(super) fn drop_void(&mut self, is_void: impl Fn(&Dial) -> bool) {
        let is_meant = |dial: &Dial| !dial.is_under_way() && is_void(dial);
        let meant = self.dials.iter().filter(|(_, dial)| is_meant(dial));
        let meant: Vec<_> = meant.map(|(id, _)| *id).collect();
        meant.into_iter().for_each(|id| drop(self.remove(id)));
    }

    /// The connections to a server changed: [`Dials::drop_satisfied`] has to look at its dials again.
    pub(super) fn uncheck(&mut self, server: &str) {
        self.index.uncheck(server);
    }

    /// How many attempts were begun since the start, by their causes.
    pub(super) fn counts(&self) -> DialCounts {
        self.counts
    }

    /// Whether a server is being dialed, or is going to be.
    pub(super) fn is_for(&self, server: &str) -> bool {
        self.index.is_for(server)
    }

    /// The dial of a pool at a place, the oldest if there are several.
    pub(super) fn at(&self, url: &RouteUrl) -> Option<DialId> {
        self.index.at_place(url, None).next()
    }

    /// Whether a dial, by a name or not, may lead to a connection of this kind to a server.
    pub(super) fn may_lead_to(&self, server: &str, name: &RouteUrl, account: &Option<String>) -> bool {
        let by_name = self.index.at_place(name, account.clone());
        by_name.chain(self.index.to_server(server, account)).next().is_some()
    }

    pub(super) fn get(&self, id: DialId) -> Option<&Dial> {
        self.dials.get(&id)
    }

    pub(super) fn remove(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.dials.remove(&id)?;
        self.index.remove(id, &dial);
        Some(dial)
    }

    /// The next dial that is due; it counts as begun. Configured ones come whenever they want, others at an allowed pace.
    pub(super) fn begin_next(&mut self, now: Instant, config: &ClusterConfig) -> Option<(DialId, &Dial)> {
        while let Some(id) = self.index.next_due(now, |class| self.pace.allows_at(class, config) <= now) {
            let dial = self.dials.get(&id)?;
            // They were for different places at first, or for servers of different names.
            if self.index.is_under_way_at(dial) {
                self.change(id, |dial| dial.attempt = Attempt::Waiting(now + RETRY_PAUSE));
                continue;
            }
            self.pace.pay(dial.class(), now, config);
            self.counts.note(dial.cause());
            self.change(id, |dial| dial.attempt = Attempt::UnderWay);
            return self.dials.get(&id).map(|dial| (id, dial));
        }
        None
    }

    /// When the next dial is due.
    pub(super) fn poll_timeout(&self, config: &ClusterConfig) -> Option<Instant> {
        self.index.next_at(|class| self.pace.allows_at(class, config))
    }

    /// Notes that an attempt failed: tries again later, or gives up and returns the last of it.
    pub(super) fn fail(
        &mut self,
        id: DialId,
        failure: Failure,
        now: Instant,
        config: &ClusterConfig,
        rng: &mut Rng,
    ) -> Option<Dial> {
        if failure == Failure::LedToSelf {
            // That address is left out from now on, so another attempt is another one.
            self.change(id, |dial| dial.attempt = Attempt::Waiting(now));
            return None;
        }
        let dial = self.dials.get(&id)?;
        let failures = dial.failures.saturating_add(1);
        let (explicit, is_remembered) = (dial.purpose.explicit, dial.is_remembered(now, failures));
        // Whoever wants such a server tried wants it again later.
        let is_tried_once = matches!(dial.cause, Cause::Discovered | Cause::Direct);
        if !explicit && !is_remembered && (failures > config.connect_retries || is_tried_once) {
            return self.remove(id).map(|dial| Dial { failures, ..dial });
        }
        // By its pool it is found out whether a server is there.
        let is_scout = explicit && !dial.reconnect && dial.purpose.account.is_none();
        let may_be_starting = is_scout && failure == Failure::Unreachable;
        let is_eager = may_be_starting && config.healing.remember && !config.connect_backoff;
        let pause = is_eager.then(|| first_pause(failures, rng)).flatten().unwrap_or_else(|| {
            let pause = match (explicit, is_remembered) {
                (false, true) => doubled(failures, config.healing.max_retry_pause),
                _ if config.connect_backoff => doubled(failures, MAX_RETRY_PAUSE),
                _ => RETRY_PAUSE,
            };
            pause + jitter(rng)
        });
        let at = now + pause;
        self.change(id, |dial| {
            dial.failures = failures;
            dial.attempt = Attempt::Waiting(at);
        });
        None
    }

    /// Whether a server that a source told of, and that is being tried, is configured meanwhile, or was a peer that is wanted back;
    /// from now on it is nothing else.
    pub(super) fn is_adopted(&mut self, id: DialId) -> bool {
        let Some(dial) = self.dials.get_mut(&id).filter(|dial| dial.cause == Cause::Discovered) else {
            return false;
        };
        dial.cause = match (dial.purpose.explicit, dial.until) {
            (true, _) => Cause::Configured,
            (false, Some(_)) => Cause::Lost,
            (false, None) => return false,
        };
        true
    }

    /// A configured server is there now, so that what waits for another attempt to reach it by the same address is due.
    pub(super) fn hasten(&mut self, now: Instant, url: &RouteUrl, accounts: Vec<Option<String>>) {
        let is_meant = |dial: &Dial| dial.purpose.explicit && !dial.reconnect && !dial.is_under_way();
        for account in accounts {
            let ids = self.index.at_place(url, account);
            let meant: Vec<_> = ids.filter(|id| self.dials.get(id).is_some_and(is_meant)).collect();
            meant.into_iter().for_each(|id| self.change(id, |dial| dial.attempt = Attempt::Waiting(now)));
        }
    }

    /// Lets dials of a server for an account wait no longer than until then, whatever became of them before.
    pub(super) fn bring_forward(&mut self, server: &str, account: &str, to: Instant) {
        let is_later = |dial: &Dial| matches!(dial.attempt, Attempt::Waiting(at) if at > to);
        let ids = self.index.to_server(server, &Some(account.to_owned()));
        let meant: Vec<_> = ids.filter(|id| self.dials.get(id).is_some_and(is_later)).collect();
        meant.into_iter().for_each(|id| self.change(id, |dial| dial.attempt = Attempt::Waiting(to)));
    }

    fn change(&mut self, id: DialId, change: impl FnOnce(&mut Dial)) {
        if let Some(dial) = self.dials.get_mut(&id) {
            self.index.remove(id, dial);
            change(dial);
            self.index.add(id, dial);
        }
    }
}

/// The longest pause of `connect_backoff`.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(30);

/// No more dials than this are wanted to where there was a route once: a thousand servers, by their pools and for the system
/// account, each at the place where it was and at the one where it says it is.
pub(crate) const MAX_DIALS: usize = 4096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::dial::{HEARSAY_ATTEMPTS, Purpose};
    use super::super::tellers::{MAX_HEARSAY, MAX_HEARSAY_PER_TELLER};
    use super::*;
    use crate::config::Healing;

    const START: Instant = Instant::ZERO;

    fn dial(url: &str, server: &str, at: Instant) -> Dial {
        let dial = Dial::new(Cause::Gossip, url.parse().expect("an address"), None, at);
        Dial { target: Target::Server(server.to_owned()), ..dial }
    }

    fn configured(dial: Dial) -> Dial {
        let purpose = Purpose { explicit: true, ..dial.purpose };
        Dial { purpose, ..dial }
    }

    fn heard_from(teller: &str, dial: Dial) -> Dial {
        Dial { teller: Some(teller.to_owned()), until: Some(START + Duration::from_secs(3600)), ..dial }
    }

    fn host(number: usize) -> String {
        format!("nats-route://h{number}:6222")
    }

    #[test]
    fn a_configured_server_that_was_heard_of_elsewhere_is_tried_where_it_is_configured() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let mut dials = Dials::default();
        dials.add(dial("nats-route://10.0.0.1:6222", "peer", START));
        let (id, heard_of) = dials.begin_next(START, &config).expect("it is due");
        assert_eq!(heard_of.purpose.url.host, "10.0.0.1");
        dials.add(configured(dial("nats-route://configured:6222", "peer", START)));
        assert!(
            dials.get(id).is_some_and(|dial| !dial.purpose.explicit),
            "what is under way stays what it is"
        );
        dials.fail(id, Failure::Unreachable, START, &config, &mut rng);
        assert!(dials.get(id).is_none(), "it was only heard of");
        let later = START + Duration::from_secs(60);
        let (_, again) = dials.begin_next(later, &config).expect("it is due");
        assert_eq!(again.purpose.url.host, "configured");
    }

    #[test]
    fn a_place_is_dialed_by_one_at_a_time() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let later = START + Duration::from_secs(60);
        let until = Some(START + Duration::from_secs(3600));
        let mut dials = Dials::default();
        dials.add(Dial { until, ..dial("nats-route://10.0.0.2:6222", "b", later) });
        dials.add(Dial { until, ..dial("nats-route://10.0.0.1:6222", "a", START) });
        let (under_way, _) = dials.begin_next(START, &config).expect("it is due");
        dials.add(Dial { until, ..dial("nats-route://10.0.0.1:6222", "b", START) });
        assert!(dials.begin_next(START, &config).is_none(), "the server moved to where somebody is at it");
        assert!(dials.poll_timeout(&config).is_some_and(|at| at > START), "and is not due at once again");
        dials.fail(under_way, Failure::Unreachable, START, &config, &mut rng);
        assert!(dials.begin_next(later, &config).is_some());
        assert!(dials.begin_next(later, &config).is_none(), "still one at a time");
    }

    /// The pauses in milliseconds before each attempt to reach a configured server that fails so.
    fn pauses(config: &ClusterConfig, failure: Failure, change: impl Fn(&mut Dial)) -> Vec<u128> {
        let (mut dials, mut rng, mut now) = (Dials::default(), Rng::with_seed(1), START);
        let mut changed = configured(dial("nats-route://configured:6222", "peer", START));
        change(&mut changed);
        dials.add(changed);
        let mut pause = || {
            let (id, _) = dials.begin_next(now, config).expect("it is due");
            dials.fail(id, failure, now, config, &mut rng);
            let failed_at = std::mem::replace(&mut now, dials.poll_timeout(config).expect("it is wanted"));
            now.since(failed_at).as_millis()
        };
        (0..8).map(|_| pause()).collect()
    }

    #[test]
    fn a_configured_server_that_may_be_starting_is_tried_again_soon_and_after_a_second_in_the_end() {
        let config = ClusterConfig::default();
        let found = pauses(&config, Failure::Unreachable, |_| ());
        let most = [50, 100, 200, 400, 800, 1100, 1100, 1100];
        for (pause, most) in found.iter().zip(most) {
            assert!((most / 2..=most).contains(pause), "{found:?}");
        }
        let is_slow = |pauses: Vec<u128>| pauses.iter().all(|pause| *pause >= 1000);
        assert!(is_slow(pauses(&config, Failure::Dropped, |_| ())), "both may have dialed at once");
        assert!(is_slow(pauses(&config, Failure::Unreachable, |dial| dial.reconnect = true)), "it was there");
        let for_account = |dial: &mut Dial| dial.purpose.account = Some("$SYS".to_owned());
        assert!(is_slow(pauses(&config, Failure::Unreachable, for_account)), "its pool is there before it");
        let backoff = ClusterConfig { connect_backoff: true, ..config.clone() };
        assert!(is_slow(pauses(&backoff, Failure::Unreachable, |_| ())), "the operator wants it otherwise");
        let go_like = ClusterConfig { healing: Healing::none(), ..config };
        assert!(is_slow(pauses(&go_like, Failure::Unreachable, |_| ())));
    }

    #[test]
    fn host_names_have_no_case() {
        let mut dials = Dials::default();
        dials.add(dial("nats-route://Host.Example:6222", "a", START));
        dials.add(dial("nats-route://host.example:6222", "b", START));
        assert_eq!(dials.dials.len(), 1);
    }

    #[test]
    fn one_teller_can_make_a_node_want_so_many_servers_and_no_more() {
        let mut dials = Dials::default();
        for number in 0..=MAX_HEARSAY_PER_TELLER {
            dials.add(heard_from("teller", dial(&host(number), &number.to_string(), START)));
        }
        assert_eq!(dials.dials.len(), MAX_HEARSAY_PER_TELLER);
        dials.add(heard_from("other", dial(&host(9999), "9999", START)));
        assert!(dials.is_for("9999"), "others may tell of servers still");
    }

    #[test]
    fn all_tellers_together_can_make_a_node_want_so_many_servers_and_no_more() {
        let mut dials = Dials::default();
        for number in 0..MAX_HEARSAY + 100 {
            let teller = format!("teller {}", number % 8);
            dials.add(heard_from(&teller, dial(&host(number), &number.to_string(), START)));
        }
        assert_eq!(dials.dials.len(), MAX_HEARSAY);
        dials.add(heard_from("other", dial(&host(9999), "9999", START)));
        assert!(dials.is_for("9999"), "who told of nothing yet is heard");
        assert_eq!(dials.dials.len(), MAX_HEARSAY, "and another makes room");
    }

    #[test]
    fn hearsay_and_what_was_connected_once_take_no_room_from_each_other() {
        let mut dials = Dials::default();
        for number in 0..MAX_HEARSAY {
            let teller = format!("teller {}", number % 8);
            dials.add(heard_from(&teller, dial(&host(number), &number.to_string(), START)));
        }
        for number in 10_000..10_000 + MAX_DIALS + 1 {
            dials.add(dial(&host(number), &number.to_string(), START));
        }
        assert_eq!(dials.dials.len(), MAX_HEARSAY + MAX_DIALS);
        assert!(!dials.is_for(&(10_000 + MAX_DIALS).to_string()));
        dials.add(configured(dial(&host(99_999), "99999", START)));
        assert!(dials.is_for("99999"), "what is configured always has room");
    }

    #[test]
    fn what_was_connected_once_is_dialed_before_what_was_only_heard_of_and_at_a_pace_of_its_own() {
        let config = ClusterConfig::default();
        let mut dials = Dials::default();
        for number in 0..MAX_HEARSAY_PER_TELLER {
            dials.add(heard_from("liar", dial(&host(number), &number.to_string(), START)));
        }
        let begun = |dials: &mut Dials, now| {
            std::iter::from_fn(|| dials.begin_next(now, &config).map(|(_, dial)| dial.class()))
                .collect::<Vec<_>>()
        };
        begun(&mut dials, START);
        let at = |millis| START + Duration::from_millis(millis);
        let mut first = Vec::new();
        for number in 0..10 {
            dials.add(dial(&host(10_000 + number), "lost", at(100)));
        }
        for tick in 1..10 {
            first.extend(begun(&mut dials, at(100 * tick)));
        }
        dials.add(dial("nats-route://10.0.0.1:6222", "member", at(1000)));
        assert_eq!(first.first(), Some(&Class::Remembered));
        assert!(
            first.iter().filter(|class| **class == Class::Hearsay).count() < 80,
            "a part of the pace is kept"
        );
        let (_, next) = dials.begin_next(at(1000), &config).expect("the pace is not used up");
        assert_eq!(next.server(), Some("member"));
    }

    #[test]
    fn the_word_of_one_changes_nothing_of_what_is_known_or_heard_from_another() {
        let config = ClusterConfig::default();
        let mut dials = Dials::default();
        dials.add(dial("nats-route://known:6222", "a", START));
        dials.add(heard_from("honest", dial("nats-route://true:6222", "b", START)));
        for server in ["a", "b"] {
            dials.add(heard_from("liar", dial("nats-route://false:6222", server, START)));
        }
        let hosts: BTreeSet<_> = std::iter::from_fn(|| {
            dials.begin_next(START, &config).map(|(_, dial)| dial.purpose.url.host.clone())
        })
        .collect();
        assert_eq!(hosts, ["false", "known", "true"].map(str::to_owned).into());
    }

    #[test]
    fn a_server_that_is_lost_does_not_wait_for_what_was_said_of_its_place() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let mut dials = Dials::default();
        dials.add(heard_from("liar", dial("nats-route://10.0.0.1:6222", "nobody", START)));
        let mut now = START;
        for _ in 0..3 {
            now = dials.poll_timeout(&config).expect("it is tried again");
            let (id, _) = dials.begin_next(now, &config).expect("it is due");
            dials.fail(id, Failure::Unreachable, now, &config, &mut rng);
        }
        assert!(dials.poll_timeout(&config) > Some(now + Duration::from_secs(2)));
        dials.add(dial("nats-route://10.0.0.1:6222", "member", now));
        let (_, lost) = dials.begin_next(now, &config).expect("it is due at once");
        assert_eq!((lost.server(), lost.class(), lost.failures), (Some("member"), Class::Remembered, 0));
    }

    #[test]
    fn hearsay_is_dropped_after_a_few_failures_and_what_is_remembered_is_not() {
        let (config, mut rng) = (ClusterConfig::default(), Rng::with_seed(1));
        let mut dials = Dials::default();
        let heard = heard_from("teller", dial("nats-route://10.0.0.1:6222", "heard", START));
        let known =
            Dial { teller: None, ..heard_from("", dial("nats-route://10.0.0.2:6222", "known", START)) };
        dials.add(heard);
        dials.add(known);
        let mut now = START;
        for _ in 0..HEARSAY_ATTEMPTS {
            assert!(dials.is_for("heard"));
            now += config.healing.max_retry_pause * 2;
            while let Some((id, _)) = dials.begin_next(now, &config) {
                dials.fail(id, Failure::Unreachable, now, &config, &mut rng);
            }
        }
        assert!(!dials.is_for("heard"));
        assert!(dials.is_for("known"));
    }

    #[test]
    fn a_server_that_was_heard_of_counts_as_known_once_it_is_lost() {
        let mut dials = Dials::default();
        dials.add(heard_from("teller", dial(&host(1), "server", START)));
        dials.add(dial(&host(1), "server", START));
        assert_eq!(dials.dials.len(), 1);
        assert!(dials.dials.values().all(|dial| dial.class() == Class::Remembered));
        for number in 2..MAX_HEARSAY_PER_TELLER + 2 {
            dials.add(heard_from("teller", dial(&host(number), &number.to_string(), START)));
        }
        assert_eq!(dials.dials.len(), MAX_HEARSAY_PER_TELLER + 1, "nor does it count for the teller");
    }

    /// All that the index answers, asked of the dials themselves.
    fn check_index(dials: &Dials, now: Instant) {
        for (id, dial) in &dials.dials {
            let same = |other: &Dial| other.purpose.account == dial.purpose.account;
            let at_place = dials.dials.iter().filter(|(_, other)| {
                same(other) && other.purpose.url.leads_to(&dial.purpose.url.host, dial.purpose.url.port)
            });
            assert!(at_place.map(|(id, _)| *id).eq(dials.index.at_place_of(dial)));
            let server = dial.server().expect("each has one");
            let to_server =
                dials.dials.iter().filter(|(_, other)| same(other) && other.server() == Some(server));
            assert!(to_server.map(|(id, _)| *id).eq(dials.index.to_server(server, &dial.purpose.account)));
            assert!(dials.index.all_to_server(server).any(|known| known == *id));
        }
        let of_class = |class| dials.dials.values().filter(move |dial| dial.class() == class).count();
        assert_eq!(dials.index.remembered_count(), of_class(Class::Remembered));
        assert_eq!(dials.index.hearsay_count(), of_class(Class::Hearsay));
        let waiting = dials.dials.values().filter_map(|dial| match dial.attempt {
            Attempt::Waiting(at) => Some(at.max(now)),
            Attempt::UnderWay => None,
        });
        assert_eq!(dials.index.next_at(|_| START).map(|at| at.max(now)), waiting.min());
    }

    #[test]
    fn the_index_says_what_the_dials_say_whatever_happens() {
        let mut rng = Rng::with_seed(7);
        let mut config = ClusterConfig::default();
        config.healing.dials_per_second = 1_000_000;
        let (mut dials, mut now) = (Dials::default(), START);
        for _ in 0..3000 {
            now += Duration::from_millis(rng.u64(0..400));
            let mut new = dial(
                &host(rng.usize(0..6)),
                &rng.u8(0..6).to_string(),
                now + Duration::from_millis(rng.u64(0..2000)),
            );
            new.purpose.account = rng.bool().then(|| "A".to_owned());
            new = match rng.u8(0..4) {
                0 => configured(new),
                1 => Dial { target: Target::Guess("7".to_owned()), ..heard_from("t", new) },
                2 => heard_from(if rng.bool() { "t" } else { "u" }, new),
                _ => new,
            };
            match rng.u8(0..6) {
                0 | 1 => dials.add(new),
                2 | 3 => drop(dials.begin_next(now, &config).map(|(id, _)| id)),
                4 => {
                    let under_way = dials.dials.iter().find(|(_, dial)| dial.is_under_way());
                    if let Some(id) = under_way.map(|(id, _)| *id) {
                        dials.fail(id, Failure::Unreachable, now, &config, &mut rng);
                    }
                }
                _ => {
                    let gone = rng.u8(0..8).to_string();
                    dials.uncheck(&gone);
                    dials.drop_satisfied(|dial| dial.server() == Some(&gone));
                    assert!(
                        !dials
                            .dials
                            .values()
                            .any(|dial| !dial.is_under_way() && dial.server() == Some(&gone))
                    );
                }
            }
            check_index(&dials, now);
        }
    }
}
