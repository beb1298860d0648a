use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::config::Source;
use crate::time::Instant;

const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);

fn found(host: &str) -> Found {
    Found { address: HostPort { host: host.to_owned(), port: None }, server_id: None }
}

fn named(host: &str, server_id: &str) -> Found {
    Found { server_id: Some(server_id.to_owned()), ..found(host) }
}

fn stranger(_: &str) -> Told {
    Told::Stranger(Duration::ZERO)
}

fn candidates() -> Candidates {
    Candidates::new(Rng::with_seed(1))
}

fn false_ones(count: usize) -> Vec<Found> {
    (0..count).map(|number| found(&format!("false{number}"))).collect()
}

/// Lets time pass in the steps that are asked for, and answers each attempt with what `trial` says after a second. Returns when
/// each began.
fn run(
    candidates: &mut Candidates,
    from: Instant,
    until: Instant,
    trial: impl Fn(&Address) -> Trial,
) -> Vec<(Instant, String)> {
    let (mut now, mut begun, mut ends) = (from, Vec::new(), BTreeMap::<(Instant, Address), ()>::new());
    loop {
        while let Some(((_, address), ())) = ends.first_key_value().filter(|((at, _), ())| *at <= now) {
            let address = address.clone();
            ends.pop_first();
            candidates.handle_trial(now, &address, trial(&address));
        }
        while let Some(address) = candidates.poll(now) {
            begun.push((now, address.host_port().host));
            ends.insert((now + SECOND, address), ());
        }
        let next_end = ends.first_key_value().map(|((at, _), ())| *at);
        let due = candidates.poll_timeout();
        assert!(due.is_none_or(|at| at > now), "nothing is left that is due");
        match due.into_iter().chain(next_end).min().filter(|at| *at <= until) {
            Some(at) => now = at,
            None => break,
        }
    }
    // Who is at it when the time is over comes to an end, too.
    ends.into_keys().for_each(|(_, address)| candidates.handle_trial(until, &address, trial(&address)));
    begun
}

#[test]
fn many_false_words_of_one_keep_nobody_from_the_few_of_another() {
    for tellers in [1, 1_000] {
        let mut candidates = candidates();
        for teller in 0..tellers {
            let told = false_ones(100_000 / tellers);
            candidates.handle_found(START, Source::Mdns, &teller.to_string(), &told, stranger);
        }
        let kept = MAX_CANDIDATES_PER_TELLER * tellers.min(MAX_TELLERS);
        assert_eq!(candidates.counts(Source::Mdns).left_out, (100_000 - kept) as u64);
        candidates.handle_found(START, Source::Dns, "", &[found("good")], stranger);
        let begun = run(&mut candidates, START, START + 2 * SECOND, |_| Trial::Failed);
        let at = begun.iter().find(|(_, host)| host == "good").expect("it is tried").0;
        assert!(at.since(START) < SECOND, "{begun:?}");
    }
}

#[test]
fn what_is_told_again_and_again_takes_no_more_room() {
    let mut candidates = candidates();
    for round in 0..100 {
        candidates.handle_found(START + SECOND * round, Source::Command, "", &false_ones(200), stranger);
    }
    assert_eq!(candidates.shown(Source::Command).count(), MAX_CANDIDATES_PER_TELLER);
    assert_eq!(candidates.shown(Source::Dns).count(), 0);
}

#[test]
fn no_more_are_tried_than_the_pace_and_each_teller_allow() {
    let mut candidates = candidates();
    for teller in ["a", "b", "c"] {
        let told: Vec<_> = (0..50).map(|number| found(&format!("{teller}{number}"))).collect();
        candidates.handle_found(START, Source::Dns, teller, &told, stranger);
    }
    let begun = run(&mut candidates, START, START + 10 * SECOND, |_| Trial::Failed);
    let most = (TRIALS_PER_SECOND * 11) as usize;
    assert!(
        (most - 1..=most).contains(&begun.len()),
        "a burst of a second's worth comes first, and then one after the other"
    );
    let of = |teller: &str| begun.iter().filter(|(_, host)| host.starts_with(teller)).count();
    assert!(["a", "b", "c"].iter().all(|teller| (17..=20).contains(&of(teller))), "{begun:?}");
    let mut silent = super::Candidates::new(Rng::with_seed(1));
    silent.handle_found(START, Source::Dns, "", &false_ones(50), stranger);
    let later = START + 60 * SECOND;
    let tried = std::iter::from_fn(|| silent.poll(later)).count();
    assert_eq!(tried, MAX_UNDER_WAY_PER_TELLER);
    assert_eq!(silent.poll_timeout(), None, "somebody has to be done first");
}

#[test]
fn half_of_the_attempts_are_kept_for_those_that_were_members_before() {
    let mut candidates = candidates();
    let known: Vec<_> = (0..30).map(|number| found(&format!("known{number}"))).collect();
    candidates.handle_found(START, Source::PeersFile, "", &known, stranger);
    for teller in 0..10 {
        let told: Vec<_> = (0..60).map(|number| found(&format!("new{teller}-{number}"))).collect();
        candidates.handle_found(START, Source::Mdns, &teller.to_string(), &told, stranger);
    }
    let begun = run(&mut candidates, START, START + 5 * SECOND, |_| Trial::Failed);
    let known = begun.iter().filter(|(_, host)| host.starts_with("known")).count();
    assert!((known * 2).abs_diff(begun.len()) <= 4, "{known} of {}", begun.len());
}

#[test]
fn who_cannot_be_reached_is_tried_after_longer_and_longer_pauses() {
    let mut candidates = candidates();
    candidates.handle_found(START, Source::PeersFile, "", &[found("a")], stranger);
    let begun = run(&mut candidates, START, START + 2 * 3600 * SECOND, |_| Trial::Failed);
    let pauses: Vec<_> = begun.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_secs() - 1).collect();
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(begun.len() > 110, "who was a member once is tried for ever");
}

#[test]
fn who_was_reached_once_is_tried_for_ever_and_soon_and_who_is_told_of_is_not_forgotten() {
    let hour = 3600 * SECOND;
    let mut candidates = candidates();
    candidates.handle_found(START, Source::Dns, "", &[found("a"), found("b"), found("c")], stranger);
    run(&mut candidates, START, START + 60 * SECOND, |_| Trial::Failed);
    let joins = |address: &Address| match &*address.host_port().host {
        "a" => Trial::Joined("A".to_owned()),
        _ => Trial::Failed,
    };
    run(&mut candidates, START + 60 * SECOND, START + 180 * SECOND, joins);
    let now = START + 180 * SECOND;
    candidates.handle_lost(now, "A");
    let begun = run(&mut candidates, now, now + 9 * SECOND, |_| Trial::Failed);
    let of_a = begun.iter().filter(|(_, host)| host == "a").count();
    assert_eq!(of_a, 2, "after five seconds, and one more: what failed before it was there does not count");
    let half = now + hour / 2;
    run(&mut candidates, now + 9 * SECOND, half, |_| Trial::Failed);
    candidates.handle_found(half, Source::Dns, "", &[found("b")], stranger);
    run(&mut candidates, half, half + hour * 5 / 6, |_| Trial::Failed);
    let shown: Vec<_> = candidates.shown(Source::Dns).map(|it| it.address.to_string()).collect();
    assert_eq!(shown, ["a:6222", "b:6222"]);
}

#[test]
fn who_is_dialed_by_somebody_else_is_tried_a_second_later() {
    let mut candidates = candidates();
    candidates.handle_found(START, Source::Dns, "", &[found("a")], stranger);
    let address = candidates.poll(START + SECOND).expect("it is due");
    candidates.handle_trial(START + SECOND, &address, Trial::Busy);
    assert!(candidates.poll_timeout().is_some_and(|at| at >= START + 2 * SECOND));
}

#[test]
fn who_cannot_be_reached_makes_room_for_others_and_is_forgotten_when_nobody_tells_of_it_any_more() {
    let mut candidates = candidates();
    candidates.handle_found(START, Source::Dns, "", &false_ones(MAX_CANDIDATES_PER_TELLER), stranger);
    candidates.handle_found(START, Source::Dns, "", &[found("good")], stranger);
    assert!(
        candidates.shown(Source::Dns).all(|it| it.address.to_string() != "good:6222"),
        "nobody has failed"
    );
    let minute = START + 60 * SECOND;
    run(&mut candidates, START, minute, |_| Trial::Failed);
    candidates.handle_found(minute, Source::Dns, "", &[found("good")], stranger);
    assert!(candidates.shown(Source::Dns).any(|it| it.address.to_string() == "good:6222"));
    assert_eq!(candidates.shown(Source::Dns).count(), MAX_CANDIDATES_PER_TELLER);
    run(&mut candidates, minute, START + 2 * 3600 * SECOND, |_| Trial::Failed);
    assert_eq!((candidates.shown(Source::Dns).count(), candidates.poll_timeout()), (0, None));
}

#[test]
fn a_member_is_not_dialed_as_long_as_it_is_one() {
    let mut candidates = candidates();
    let judge = |id: &str| match id {
        "own" => Told::Itself,
        "member" => Told::Member,
        _ => Told::Stranger(SECOND),
    };
    let told =
        [named("a", "own"), named("b", "member"), named("c", "other"), found("d"), named("e", "joins")];
    candidates.handle_found(START, Source::Mdns, "", &told, judge);
    candidates.handle_member("joins");
    let trial = |address: &Address| match &*address.host_port().host {
        "c" => Trial::Joined("other".to_owned()),
        "d" => Trial::Itself,
        host => panic!("{host} is dialed"),
    };
    let begun = run(&mut candidates, START, START + 60 * SECOND, trial);
    assert_eq!(
        begun.iter().map(|(_, host)| &**host).collect::<Vec<_>>(),
        ["d", "c"],
        "others may dial first"
    );
    assert_eq!(candidates.poll_timeout(), None);
    let minute = START + 60 * SECOND;
    for server in ["member", "other"] {
        candidates.handle_lost(minute, server);
    }
    let begun = run(&mut candidates, minute, minute + 7 * SECOND, |_| Trial::Failed);
    assert!(begun.iter().all(|(at, _)| at.since(minute) >= 5 * SECOND), "routes are dialed again anyway");
    assert_eq!(begun.len(), 2);
    let counts = candidates.counts(Source::Mdns);
    assert_eq!((counts.told, counts.tried, counts.joined, counts.failed), (5, 4, 1, 2));
}

#[test]
fn where_a_member_was_another_may_be_now() {
    let mut candidates = candidates();
    candidates.handle_found(START, Source::Mdns, "", &[named("a", "A")], |_| Told::Member);
    assert_eq!(candidates.poll_timeout(), None);
    candidates.handle_found(START, Source::Mdns, "", &[named("a", "B")], stranger);
    assert_eq!(run(&mut candidates, START, START + SECOND, |_| Trial::Joined("B".to_owned())).len(), 1);
    assert_eq!(candidates.shown(Source::Mdns).next().and_then(|it| it.server_id), Some("B"));
}

#[test]
fn of_too_many_tellers_those_are_heard_that_tell_anything_good() {
    let mut candidates = candidates();
    for teller in 0..MAX_TELLERS {
        candidates.handle_found(
            START,
            Source::Mdns,
            &teller.to_string(),
            &[found(&format!("t{teller}"))],
            stranger,
        );
    }
    candidates.handle_found(START, Source::Mdns, "late", &[found("late")], stranger);
    assert_eq!(candidates.counts(Source::Mdns).left_out, 1, "each of the others may be right");
    let reached = |address: &Address| match &*address.host_port().host {
        "t3" => Trial::Joined("3".to_owned()),
        _ => Trial::Failed,
    };
    let later = START + 20 * SECOND;
    run(&mut candidates, START, later, reached);
    candidates.handle_found(later, Source::Mdns, "late", &[found("late")], stranger);
    assert!(candidates.shown(Source::Mdns).any(|it| it.address.to_string() == "late:6222"));
    assert!(candidates.shown(Source::Mdns).any(|it| it.state == State::Member));
    assert_eq!(candidates.shown(Source::Mdns).count(), MAX_TELLERS);
    candidates.handle_found(later, Source::Dns, "", &[found("other")], stranger);
    assert_eq!(candidates.shown(Source::Dns).count(), 1, "another source has tellers of its own");
}

#[test]
fn who_comes_back_by_another_name_again_and_again_keeps_nobody_from_being_heard() {
    let (mut candidates, mut now) = (candidates(), START);
    for round in 0..MAX_TELLERS {
        let id = round.to_string();
        candidates.handle_found(now, Source::Mdns, &id, &[named("a", &id)], stranger);
        run(&mut candidates, now, now + 60 * SECOND, |_| Trial::Joined(id.clone()));
        now += 60 * SECOND;
        candidates.handle_lost(now, &id);
    }
    candidates.handle_found(now, Source::Mdns, "new", &[named("b", "new")], stranger);
    assert_eq!(candidates.counts(Source::Mdns).left_out, 1, "each of the others may be there still");
    now += 3600 * SECOND;
    let last = (MAX_TELLERS - 1).to_string();
    candidates.handle_found(now, Source::Mdns, &last, &[found("c")], stranger);
    candidates.handle_found(now, Source::Mdns, "new", &[named("b", "new")], stranger);
    let shown: Vec<_> = candidates.shown(Source::Mdns).map(|it| it.address.to_string()).collect();
    assert_eq!(shown, ["a:6222", "b:6222", "c:6222"]);
}

#[test]
fn where_members_were_long_ago_there_is_room_for_others() {
    let (mut candidates, mut now) = (candidates(), START);
    for round in 0..MAX_CANDIDATES_PER_TELLER {
        let host = format!("h{round}");
        candidates.handle_found(now, Source::Dns, "", &[found(&host)], stranger);
        let trial = |address: &Address| match address.host_port().host == host {
            true => Trial::Joined(host.clone()),
            false => Trial::Failed,
        };
        run(&mut candidates, now, now + 10 * SECOND, trial);
        now += 10 * SECOND;
        candidates.handle_lost(now, &host);
    }
    run(&mut candidates, now, now + 60 * SECOND, |_| Trial::Failed);
    let fresh = |candidates: &Candidates| {
        candidates.shown(Source::Dns).any(|it| it.address.to_string() == "new:6222")
    };
    candidates.handle_found(now + 60 * SECOND, Source::Dns, "", &[found("new")], stranger);
    assert!(!fresh(&candidates), "they may come back");
    candidates.handle_found(now + 3600 * SECOND, Source::Dns, "", &[found("new")], stranger);
    assert!(fresh(&candidates));
}

#[test]
fn the_word_of_one_that_a_member_is_there_does_not_keep_what_others_tell_of_from_being_tried() {
    let judge = |id: &str| if id == "M" { Told::Member } else { Told::Stranger(Duration::ZERO) };
    let (lie, minute) = ([named("a", "M")], START + 60 * SECOND);
    let tries = |mut candidates: Candidates| {
        candidates.handle_member("M");
        run(&mut candidates, minute, minute + 60 * SECOND, |_| Trial::Joined("A".to_owned())).len()
    };
    let mut lied_first = candidates();
    lied_first.handle_found(START, Source::Mdns, "M", &lie, judge);
    assert_eq!(lied_first.poll_timeout(), None);
    lied_first.handle_found(START, Source::Dns, "", &[found("a")], judge);
    assert_eq!(tries(lied_first), 1);
    let mut lied_later = candidates();
    lied_later.handle_found(START, Source::PeersFile, "", &[found("a")], judge);
    lied_later.handle_found(START, Source::Mdns, "M", &lie, judge);
    assert_eq!(tries(lied_later), 1);
    let mut met = candidates();
    met.handle_found(START, Source::Dns, "", &[found("a")], judge);
    run(&mut met, START, START + SECOND, |_| Trial::Joined("A".to_owned()));
    met.handle_found(START + SECOND, Source::Mdns, "M", &lie, judge);
    assert_eq!(tries(met), 1, "another may be there now");
}

#[test]
fn an_address_that_two_tell_of_is_tried_once_and_stays_as_long_as_one_of_them_does() {
    let mut candidates = candidates();
    for source in [Source::Dns, Source::Command] {
        candidates.handle_found(START, source, "", &[found("A"), found("a")], stranger);
    }
    assert_eq!(run(&mut candidates, START, START + SECOND, |_| Trial::Itself).len(), 1);
    assert!([Source::Dns, Source::Command].iter().all(|source| candidates.shown(*source).count() == 1));
}

#[derive(Clone, Debug)]
enum Step {
    Found { source: usize, teller: u8, hosts: Vec<u8>, id: Option<u8> },
    Trial(u8),
    Member(u8),
    Lost(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (
            0..Source::ALL.len(),
            0..20_u8,
            prop::collection::vec(any::<u8>(), 0..80),
            prop::option::of(0..8_u8)
        )
            .prop_map(|(source, teller, hosts, id)| Step::Found { source, teller, hosts, id }),
        any::<u8>().prop_map(Step::Trial),
        (0..8_u8).prop_map(Step::Member),
        (0..8_u8).prop_map(Step::Lost),
        any::<u16>().prop_map(Step::Wait),
    ]
}

proptest! {
    /// Nothing grows without end, whoever is being tried is tried by nobody else, and what is due is polled.
    #[test]
    fn limits_hold_whatever_is_told_and_whatever_comes_of_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut candidates = candidates();
        let (mut now, mut under_way) = (START, Vec::<Address>::new());
        for step in steps {
            match step {
                Step::Found { source, teller, hosts, id } => {
                    let id = id.map(|id| id.to_string());
                    let told: Vec<_> = hosts
                        .iter()
                        .map(|host| Found { server_id: id.clone(), ..found(&format!("h{host}")) })
                        .collect();
                    candidates.handle_found(now, Source::ALL[source], &teller.to_string(), &told, stranger);
                }
                Step::Trial(which) if !under_way.is_empty() => {
                    let address = under_way.remove(usize::from(which) % under_way.len());
                    let trial = match which % 4 {
                        0 => Trial::Joined((which % 8).to_string()),
                        1 => Trial::Itself,
                        2 => Trial::Busy,
                        _ => Trial::Failed,
                    };
                    candidates.handle_trial(now, &address, trial);
                }
                Step::Trial(_) => {}
                Step::Member(id) => candidates.handle_member(&id.to_string()),
                Step::Lost(id) => candidates.handle_lost(now, &id.to_string()),
                Step::Wait(millis) => now += Duration::from_millis(millis.into()),
            }
            while let Some(address) = candidates.poll(now) {
                prop_assert!(!under_way.contains(&address));
                under_way.push(address);
            }
            prop_assert!(candidates.poll_timeout().is_none_or(|at| at > now));
            prop_assert!(under_way.len() <= Source::ALL.len() * MAX_TELLERS * MAX_UNDER_WAY_PER_TELLER);
            let shown: usize = Source::ALL.iter().map(|source| candidates.shown(*source).count()).sum();
            prop_assert!(shown <= Source::ALL.len() * MAX_TELLERS * MAX_CANDIDATES_PER_TELLER);
        }
    }
}
