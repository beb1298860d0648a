//! All wishes to be connected: what is to be dialed, when, and what is being dialed now.
//!
//! What is heard of is limited, since it costs the teller nothing: so many wishes on the word of one teller
//! ([`MAX_HEARSAY_PER_TELLER`]) and of all ([`MAX_HEARSAY`]). Hearsay gives way to servers that there was a route to once, and
//! to configured ones, and is dropped after a few failures.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use log::debug;

use super::dial::{Attempt, Class, Dial, DialId, Target};
use super::dial_index::DialIndex;
use super::pace::{Pace, RETRY_PAUSE, doubled, jitter};
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
    started: u64,
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
        // A guess stands for the place alone.
        let is_sure = |id: &DialId| self.dials.get(id).is_some_and(|known| known.target == dial.target);
        let of_server = self.index.to_server(server, &dial.purpose.account);
        of_place.into_iter().chain(of_server.filter(is_sure).find(stands_for)).min()
    }

    /// Whether there is room for a new dial, if need be in the place of one that was only heard of.
    fn has_room_for(&mut self, dial: &Dial) -> bool {
        let is_full = self.dials.len() >= MAX_DIALS;
        match (dial.class(), &dial.teller) {
            (Class::Configured, _) => true,
            (Class::Hearsay, Some(teller)) => {
                let (of_teller, of_all) = self.index.hearsay(teller);
                !is_full && of_teller < MAX_HEARSAY_PER_TELLER && of_all < MAX_HEARSAY
            }
            _ if is_full => self.index.last_hearsay().and_then(|last| self.remove(last)).is_some(),
            _ => true,
        }
    }

    /// Drops dials that wait for what is there already.
    pub(super) fn drop_satisfied(&mut self, is_satisfied: impl Fn(&Dial) -> bool) {
        for server in self.index.take_unchecked() {
            let is_idle = |dial: &Dial| !dial.is_under_way() && is_satisfied(dial);
            let ids = self.index.all_to_server(&server);
            let idle: Vec<_> = ids.filter(|id| self.dials.get(id).is_some_and(is_idle)).collect();
            idle.into_iter().for_each(|id| drop(self.remove(id)));
        }
    }

    /// Drops the dials of servers that are configured no more. One that is under way is the last of its kind.
    pub(super) fn drop_configured(&mut self, is_gone: impl Fn(&RouteUrl) -> bool) {
        let is_meant = |dial: &Dial| dial.purpose.explicit && is_gone(&dial.purpose.url);
        let meant = self.dials.iter().filter(|(_, dial)| is_meant(dial));
        let meant: Vec<_> = meant.map(|(id, dial)| (*id, dial.is_under_way())).collect();
        for (id, is_under_way) in meant {
            if is_under_way {
                self.change(id, |dial| dial.purpose.explicit = false);
            } else {
                self.remove(id);
            }
        }
    }

    /// The connections to a server changed: [`Dials::drop_satisfied`] has to look at its dials again.
    pub(super) fn uncheck(&mut self, server: &str) {
        self.index.uncheck(server);
    }

    /// How many attempts were begun since the start.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Whether a server is being dialed, or is going to be.
    pub(super) fn is_for(&self, server: &str) -> bool {
        self.index.is_for(server)
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
        let pace_allows = self.pace.allows_at(config) <= now;
        while let Some(id) = self.index.next_due(now, pace_allows) {
            let dial = self.dials.get(&id)?;
            // They were for different places at first, or for servers of different names.
            if self.index.is_under_way_at(dial) {
                self.change(id, |dial| dial.attempt = Attempt::Waiting(now + RETRY_PAUSE));
                continue;
            }
            if !dial.purpose.explicit {
                self.pace.pay(now, config);
            }
            self.started += 1;
            self.change(id, |dial| dial.attempt = Attempt::UnderWay);
            return self.dials.get(&id).map(|dial| (id, dial));
        }
        None
    }

    /// When the next dial is due.
    pub(super) fn poll_timeout(&self, config: &ClusterConfig) -> Option<Instant> {
        self.index.next_at(self.pace.allows_at(config))
    }

    /// Notes that an attempt failed: tries again later, or gives up.
    pub(super) fn fail(&mut self, id: DialId, now: Instant, config: &ClusterConfig, rng: &mut Rng) {
        let Some(dial) = self.dials.get(&id) else {
            return;
        };
        let failures = dial.failures.saturating_add(1);
        let (explicit, is_remembered) = (dial.purpose.explicit, dial.is_remembered(now, failures));
        if !explicit && !is_remembered && failures > config.connect_retries {
            self.remove(id);
            return;
        }
        let pause = match (explicit, is_remembered) {
            (false, true) => doubled(failures, config.healing.max_retry_pause),
            _ if config.connect_backoff => doubled(failures, MAX_RETRY_PAUSE),
            _ => RETRY_PAUSE,
        };
        let at = now + pause + jitter(rng);
        self.change(id, |dial| {
            dial.failures = failures;
            dial.attempt = Attempt::Waiting(at);
        });
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

/// No more servers than this are wanted at once, apart from configured ones, whatever is heard of.
pub(crate) const MAX_DIALS: usize = 4096;

/// So many dials at most are on the word of one teller: a thousand servers, each by its pool and for the system account.
const MAX_HEARSAY_PER_TELLER: usize = 2048;

/// So many dials at most are on anybody's word.
const MAX_HEARSAY: usize = 3072;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::dial::{HEARSAY_ATTEMPTS, Purpose};
    use super::*;

    const START: Instant = Instant::ZERO;

    fn dial(url: &str, server: &str, at: Instant) -> Dial {
        let dial = Dial::new(url.parse().expect("an address"), None, at);
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
        dials.fail(id, START, &config, &mut rng);
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
        dials.fail(under_way, START, &config, &mut rng);
        assert!(dials.begin_next(later, &config).is_some());
        assert!(dials.begin_next(later, &config).is_none(), "still one at a time");
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
    fn all_tellers_together_leave_room_for_what_was_connected_once() {
        let mut dials = Dials::default();
        for number in 0..MAX_DIALS {
            dials.add(heard_from(
                &format!("teller {}", number % 8),
                dial(&host(number), &number.to_string(), START),
            ));
        }
        assert_eq!(dials.dials.len(), MAX_HEARSAY);
    }

    #[test]
    fn hearsay_gives_way_to_what_was_connected_once() {
        let mut dials = Dials::default();
        for number in 0..MAX_HEARSAY {
            let at = START + Duration::from_millis(number as u64);
            let teller = format!("teller {}", number % 8);
            dials.add(heard_from(&teller, dial(&host(number), &number.to_string(), at)));
        }
        for number in MAX_HEARSAY..=MAX_DIALS {
            dials.add(dial(&host(number), &number.to_string(), START));
        }
        assert_eq!(dials.dials.len(), MAX_DIALS);
        assert!(dials.is_for(&MAX_DIALS.to_string()), "the last that came");
        assert!(!dials.is_for(&(MAX_HEARSAY - 1).to_string()), "the one that would have been tried last");
        assert!(dials.is_for(&(MAX_HEARSAY - 2).to_string()));
        dials.add(heard_from("teller 0", dial(&host(9999), "9999", START)));
        assert!(!dials.is_for("9999"), "it is full, and hearsay takes no room");
        dials.add(configured(dial(&host(9998), "9998", START)));
        assert!(dials.is_for("9998"), "what is configured always has room");
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
                dials.fail(id, now, &config, &mut rng);
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
        let tellers: BTreeSet<_> = dials.dials.values().filter_map(|dial| dial.teller.clone()).collect();
        for teller in tellers {
            let is_hearsay = |dial: &&Dial| dial.class() == Class::Hearsay;
            let all = dials.dials.values().filter(is_hearsay).count();
            let of_teller = dials.dials.values().filter(is_hearsay);
            let of_teller = of_teller.filter(|dial| dial.teller.as_ref() == Some(&teller)).count();
            assert_eq!(dials.index.hearsay(&teller), (of_teller, all));
        }
        let waiting = dials.dials.values().filter_map(|dial| match dial.attempt {
            Attempt::Waiting(at) => Some(at.max(now)),
            Attempt::UnderWay => None,
        });
        assert_eq!(dials.index.next_at(START).map(|at| at.max(now)), waiting.min());
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
                        dials.fail(id, now, &config, &mut rng);
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
