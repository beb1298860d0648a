use std::collections::BTreeSet;
use std::time::Duration;

use super::ends::{LONGEST_PAUSE, MAX_ATTEMPTS, MAX_COMING, MAX_COMING_OF_ONE, MAX_SERVERS};
use super::joints::MAX_PAIRS;
use super::middle::MAX_UNFINISHED;
use super::*;
use crate::config::{Relay, RelayMode};
use crate::id::ConnectionId;
use crate::identity::{self, Stream};
use crate::routes::{Seat, dials_first};
use crate::time::Instant;

const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);

fn settings() -> Relay {
    Relay { mode: RelayMode::On, after: 5 * SECOND, max_circuits: 3, max_circuits_per_pair: 2 }
}

fn connection(number: u32) -> ConnectionId {
    ConnectionId::new(number, 0)
}

fn with(number: u32) -> Passing {
    Passing::With {
        other: connection(number),
        said: [b"+OK\r\n".as_slice().into(), b"+OK\r\n".as_slice().into()],
    }
}

fn middle() -> Middle {
    Middle::new(identity::stream(1, Stream::Circuits))
}

fn open(middle: &mut Middle, now: Instant, ends: [&str; 2]) -> Result<[String; 2], Refused> {
    middle.open(now, ends.map(|end| (end, Role::Aware)), 1, &settings())
}

/// A name for which `own` is the one of two that goes first, or not.
fn other(own: &str, goes_first: bool) -> String {
    (0..)
        .map(|n| format!("S{n}"))
        .find(|name| dials_first(own, name) == goes_first)
        .expect("one of all numbers")
}

/// A node A, and a server that these told it of, where it is A that goes first.
fn lacking(tellers: &[&str]) -> (Ends, String) {
    let (mut ends, server) = (Ends::new("A".to_owned()), other("A", true));
    tellers.iter().for_each(|teller| ends.handle_heard(START, teller, &server, true, &settings()));
    (ends, server)
}

fn wants(ends: &mut Ends, now: Instant, lack: Lack) -> Vec<String> {
    wants_of(ends, now, lack, |_| true)
}

/// Who is asked.
fn wants_of(ends: &mut Ends, now: Instant, lack: Lack, relays: impl Fn(&str) -> bool) -> Vec<String> {
    let wants = ends.handle_timeout(now, &settings(), |_| lack, relays);
    wants.into_iter().map(|want| want.relay).collect()
}

fn circuit(relay: &str, server: &str, begins: bool) -> Circuit {
    let url = "nats://10.0.0.1:6222".parse().expect("a URL");
    Circuit { relay: relay.to_owned(), server: server.to_owned(), url, begins }
}

#[test]
fn bytes_pass_once_both_ends_are_there_and_ready() {
    let mut middle = middle();
    let [one, other] = open(&mut middle, START, ["A", "B"]).expect("a circuit");
    assert_ne!(one, other);
    assert!(middle.handle_token(connection(1), &one));
    assert_eq!(middle.handle_ready(connection(1)), Some(Passing::Alone));
    assert!(middle.handle_token(connection(2), &other));
    // Whoever made the connection is not ready before it hears so.
    assert_eq!(middle.handle_ready(connection(1)), Some(Passing::Alone));
    assert_eq!(middle.handle_ready(connection(2)), Some(with(1)));
    assert_eq!(middle.handle_ready(connection(1)), Some(with(2)));
    assert_eq!(middle.next_at(), None, "it stands");
    assert_eq!(middle.handle_closed(connection(1)), Some(connection(2)));
    assert_eq!((middle.handle_closed(connection(2)), middle.len()), (None, 0));
}

#[test]
fn a_token_counts_once_and_only_for_so_long() {
    let mut middle = middle();
    let [one, other] = open(&mut middle, START, ["A", "B"]).expect("a circuit");
    assert!(middle.handle_token(connection(1), &one));
    assert!(!middle.handle_token(connection(2), &one));
    assert!(!middle.handle_token(connection(2), ""));
    assert_eq!(middle.handle_ready(connection(2)), None, "it is no part of a circuit");
    assert_eq!(middle.handle_timeout(START + (PATIENCE - SECOND)), []);
    assert_eq!(middle.next_at(), Some(START + PATIENCE));
    assert_eq!(middle.handle_timeout(START + PATIENCE), [connection(1)]);
    assert!(!middle.handle_token(connection(2), &other));
    assert_eq!(middle.len(), 0);
}

#[test]
fn a_connection_that_cannot_be_made_ends_its_circuit() {
    let mut middle = middle();
    let [one, other] = open(&mut middle, START, ["A", "B"]).expect("a circuit");
    assert!(middle.handle_token(connection(1), &one));
    middle.handle_failed(START, &other);
    assert_eq!(middle.next_at(), Some(START));
    assert_eq!(middle.handle_timeout(START), [connection(1)]);
    assert_eq!((middle.next_at(), middle.len()), (None, 0));
}

#[test]
fn only_so_many_circuits_pass_of_a_pair_and_of_all() {
    let mut middle = middle();
    open(&mut middle, START, ["A", "B"]).expect("a circuit");
    let [token, _] = open(&mut middle, START, ["B", "A"]).expect("a circuit");
    assert_eq!(open(&mut middle, START, ["A", "B"]), Err(Refused::PairFull));
    open(&mut middle, START, ["A", "C"]).expect("another pair");
    assert_eq!(open(&mut middle, START, ["B", "C"]), Err(Refused::Full));
    middle.handle_failed(START, &token);
    assert_eq!(middle.handle_timeout(START), []);
    open(&mut middle, START, ["A", "B"]).expect("there is room again");
}

#[test]
fn a_pair_has_room_for_all_of_its_connections_or_for_none() {
    let mut middle = middle();
    let most = Relay { max_circuits: 9, max_circuits_per_pair: 4, ..settings() };
    let mut open =
        |ends: [&str; 2], needed| middle.open(START, ends.map(|end| (end, Role::Aware)), needed, &most);
    assert_eq!(open(["A", "B"], 5), Err(Refused::PairFull));
    open(["A", "B"], 4).expect("room for four");
    let [last, _] = open(["A", "C"], 4).expect("room for eight");
    assert_eq!(open(["B", "C"], 2), Err(Refused::Full), "though there are two circuits only");
    (0..3).for_each(|_| drop(open(["B", "A"], 4).expect("what was kept for them")));
    assert_eq!(open(["A", "B"], 4), Err(Refused::PairFull));
    open(["B", "C"], 1).expect("the ninth");
    assert_eq!(open(["C", "D"], 1), Err(Refused::Full));
    middle.handle_failed(START, &last);
    assert_eq!(middle.handle_timeout(START), []);
    middle
        .open(START, ["C", "D"].map(|end| (end, Role::Aware)), 4, &most)
        .expect("A and C need none any more");
}

#[test]
fn one_member_begins_only_so_many_circuits_at_once() {
    let mut middle = middle();
    let most = Relay { max_circuits: 1000, ..settings() };
    let mut open = |from: &str, number| {
        let to = format!("S{number}");
        middle.open(START, [(from, Role::Aware), (&to, Role::Aware)], 1, &most).map(drop)
    };
    (0..MAX_UNFINISHED).for_each(|number| open("A", number).expect("a circuit"));
    assert_eq!(open("A", 100), Err(Refused::TooMany));
    open("B", 0).expect("another asks");
}

#[test]
fn the_one_of_two_that_goes_first_asks_after_a_while_and_the_other_later() {
    for (goes_first, after) in [(true, 5 * SECOND), (false, 10 * SECOND)] {
        let mut ends = Ends::new("A".to_owned());
        ends.handle_heard(START, "R", &other("A", goes_first), true, &settings());
        assert_eq!(wants(&mut ends, START + (after - SECOND), Lack::Everything), [""; 0]);
        assert_eq!(ends.next_at(), Some(START + after));
        assert_eq!(wants(&mut ends, START + after, Lack::Everything), ["R"]);
        assert_eq!(wants(&mut ends, START + after, Lack::Everything), [""; 0], "it is asked");
    }
}

#[test]
fn nobody_is_asked_for_a_server_that_is_there() {
    let (mut ends, server) = lacking(&["R"]);
    for lack in [Lack::Nothing, Lack::Covered] {
        assert_eq!(wants(&mut ends, START + 60 * SECOND, lack), [""; 0]);
        assert_eq!((ends.unreached().count(), ends.next_at()), (0, None));
    }
    // It is lost: that counts from now on.
    assert_eq!(wants(&mut ends, START + 61 * SECOND, Lack::Everything), [""; 0]);
    assert_eq!(ends.unreached().collect::<Vec<_>>(), [&server]);
    assert_eq!(wants(&mut ends, START + 66 * SECOND, Lack::Everything), ["R"]);
}

#[test]
fn all_who_told_of_a_server_are_asked_one_after_the_other_then_again_after_a_pause_that_doubles() {
    let mut ends = Ends::new("A".to_owned());
    let server = other("A", true);
    let tellers = ["R", "S", "T"];
    tellers.iter().for_each(|teller| ends.handle_heard(START, teller, &server, true, &settings()));
    let mut now = START + 5 * SECOND;
    let mut pauses = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for _ in 0..9 {
        let mut asked = Vec::new();
        for number in tellers {
            let relay = wants(&mut ends, now, Lack::Everything).pop().expect("somebody to ask");
            assert!(ends.handle_join(now, number, circuit(&relay, &server, true)));
            ends.handle_failed(now, number);
            asked.push(relay);
        }
        assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 3);
        assert!(order.is_empty() || order == asked, "always in the same order");
        order = asked;
        assert_eq!(wants(&mut ends, now, Lack::Everything), [""; 0]);
        let next = ends.next_at().expect("another round");
        pauses.push(next.since(now));
        now = next;
        // They tell of it again and again.
        tellers.iter().for_each(|teller| ends.handle_heard(now, teller, &server, true, &settings()));
    }
    assert_eq!(pauses[..3], [SECOND, 2 * SECOND, 4 * SECOND]);
    assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
}

#[test]
fn who_refuses_is_not_asked_again_before_it_tells_of_the_server_once_more() {
    let (mut ends, server) = lacking(&["R", "S"]);
    let now = START + 5 * SECOND;
    let first = wants(&mut ends, now, Lack::Everything).pop().expect("somebody to ask");
    ends.handle_refused(now, &first, &server);
    let second = wants(&mut ends, now, Lack::Everything).pop().expect("another to ask");
    ends.handle_refused(now, &first, &server);
    assert_eq!(wants(&mut ends, now, Lack::Everything), [""; 0], "it is another that is asked now");
    ends.handle_refused(now, &second, &server);
    assert_eq!(wants(&mut ends, now + 60 * SECOND, Lack::Everything), [""; 0]);
    assert_eq!(ends.next_at(), None, "nobody is left who may have a route to it");
    ends.handle_heard(now, &first, &server, true, &settings());
    assert_eq!(wants(&mut ends, now + 5 * SECOND, Lack::Everything), [first]);
}

#[test]
fn who_has_some_circuits_asks_for_the_rest_again_and_again_however_often_that_is_refused() {
    let (mut ends, server) = lacking(&["R"]);
    let mut now = START + 5 * SECOND;
    assert_eq!(wants(&mut ends, now, Lack::Everything), ["R"]);
    assert!(ends.handle_join(now, "t", circuit("R", &server, true)) && ends.handle_token(connection(1), "t"));
    ends.handle_over(now, connection(1), Some(&server));
    for _ in 0..100 {
        assert_eq!(wants(&mut ends, now, Lack::Rest), ["R"]);
        ends.handle_refused(now, "R", &server);
        assert_eq!(wants(&mut ends, now, Lack::Rest), [""; 0]);
        now = ends.next_at().expect("another time");
    }
    assert!(
        now > START + Duration::from_secs(3600),
        "with longer and longer pauses, and whatever was said long ago"
    );
}

#[test]
fn only_so_many_are_asked_for_at_once_and_fewer_of_one() {
    let mut ends = Ends::new("A".to_owned());
    for number in 0..100 {
        for relay in 0..if number < 50 { 1 } else { 4 } {
            ends.handle_heard(START, &format!("R{relay}"), &format!("S{number}"), true, &settings());
        }
    }
    let now = START + 10 * SECOND;
    let asked = wants(&mut ends, now, Lack::Everything);
    let of_one = |relay: &str| asked.iter().filter(|asked| *asked == relay).count();
    assert_eq!((asked.len(), of_one("R0")), (MAX_ATTEMPTS, 8));
    assert_eq!(wants(&mut ends, now, Lack::Everything), [""; 0]);
    assert_eq!(ends.next_at(), Some(now + PATIENCE), "the others wait");
    // Those who never answer hold nobody up for ever.
    assert_eq!(wants(&mut ends, now + PATIENCE, Lack::Everything).len(), MAX_ATTEMPTS);
}

#[test]
fn one_member_makes_a_node_wait_for_only_so_many_circuits_each_of_which_counts_once() {
    let mut ends = Ends::new("A".to_owned());
    assert!(ends.handle_join(START, "t", circuit("R", "S", false)));
    assert!(!ends.handle_join(START, "t", circuit("R", "S", false)), "it is waited for");
    assert!(!ends.handle_join(START, &"t".repeat(65), circuit("R", "S", false)), "no token is so long");
    for number in 1..100 {
        let token = format!("t{number}");
        let is_joined = ends.handle_join(START, &token, circuit("R", "S", false));
        assert_eq!(is_joined, number < MAX_COMING_OF_ONE as u32);
        // What has a connection counts until it is a route.
        ends.handle_token(connection(number), &token);
    }
    assert!(ends.handle_join(START, "another", circuit("Q", "S", false)));
    ends.handle_over(START, connection(1), Some("S"));
    assert!(ends.handle_join(START, "one more", circuit("R", "S", false)));
}

#[test]
fn who_was_asked_gets_no_more_time_by_saying_yes_again() {
    let (mut ends, server) = lacking(&["R", "S"]);
    let mut now = START + 5 * SECOND;
    let first = wants(&mut ends, now, Lack::Everything).pop().expect("somebody to ask");
    now += 9 * SECOND;
    assert!(ends.handle_join(now, "t", circuit(&first, &server, true)));
    now += 9 * SECOND;
    assert!(!ends.handle_join(now, "u", circuit(&first, &server, true)));
    assert_ne!(wants(&mut ends, now + SECOND, Lack::Everything), [first]);
}

#[test]
fn a_circuit_that_leads_to_another_server_is_a_failure() {
    let (mut ends, server) = lacking(&["R"]);
    let now = START + 5 * SECOND;
    assert_eq!(wants(&mut ends, now, Lack::Everything), ["R"]);
    assert!(ends.handle_join(now, "t", circuit("R", &server, true)) && ends.handle_token(connection(1), "t"));
    ends.handle_over(now, connection(1), Some("somebody else"));
    assert_eq!(wants(&mut ends, now, Lack::Everything), [""; 0], "it was asked in this round");
}

#[test]
fn both_ends_would_ask_the_same_server_and_pairs_spread_over_all() {
    let relays: Vec<_> = (0..4).map(|n| format!("R{n}")).collect();
    let mut chosen = BTreeSet::new();
    for pair in 0..50 {
        let ends = [format!("A{pair}"), format!("B{pair}")];
        let first = |own: usize| {
            let mut machine = Ends::new(ends[own].clone());
            relays
                .iter()
                .for_each(|relay| machine.handle_heard(START, relay, &ends[1 - own], true, &settings()));
            wants(&mut machine, START + 10 * SECOND, Lack::Everything).pop().expect("somebody to ask")
        };
        assert_eq!(first(0), first(1));
        chosen.insert(first(0));
    }
    assert_eq!(chosen.len(), relays.len());
}

#[test]
fn who_has_no_direct_route_is_not_asked() {
    let (mut ends, _) = lacking(&["R", "S"]);
    let now = START + 5 * SECOND;
    assert_eq!(wants_of(&mut ends, now, Lack::Everything, |relay| relay == "S"), ["S"]);
}

#[test]
fn what_is_asked_for_is_joined_and_what_others_want_but_nothing_that_nobody_asked_for() {
    let (mut ends, server) = lacking(&["R"]);
    assert!(!ends.handle_join(START, "t", circuit("R", &server, true)), "not asked yet");
    let now = START + 5 * SECOND;
    assert_eq!(wants(&mut ends, now, Lack::Everything), ["R"]);
    assert!(!ends.handle_join(now, "t", circuit("S", &server, true)), "another was asked");
    assert!(ends.handle_join(now, "t", circuit("R", &server, true)));
    assert!(ends.handle_join(now, "u", circuit("R", "somebody", false)));
    assert!(ends.handle_token(connection(1), "t") && ends.handle_token(connection(2), "u"));
    assert!(!ends.handle_token(connection(3), "t"), "once");
    assert_eq!(ends.circuit(connection(1)), Some(&circuit("R", &server, true)));
    ends.handle_over(now, connection(1), Some(&server));
    assert_eq!(ends.circuit(connection(1)), None);
    // What else is lacking is wanted at once.
    assert_eq!(wants(&mut ends, now, Lack::Rest), ["R"]);
}

#[test]
fn a_circuit_that_fails_is_wanted_by_another_way() {
    let (mut ends, server) = lacking(&["R", "S"]);
    let now = START + 5 * SECOND;
    let first = wants(&mut ends, now, Lack::Everything).pop().expect("somebody to ask");
    assert!(ends.handle_join(now, "t", circuit(&first, &server, true)));
    ends.handle_failed(now, "t");
    let second = wants(&mut ends, now, Lack::Everything).pop().expect("another to ask");
    assert_ne!(first, second);
    assert!(
        ends.handle_join(now, "u", circuit(&second, &server, true)) && ends.handle_token(connection(1), "u")
    );
    ends.handle_over(now, connection(1), None);
    assert_eq!(ends.next_at(), Some(now));
    assert_eq!(wants(&mut ends, now, Lack::Everything), [""; 0], "both were asked");
    assert_eq!(ends.next_at(), Some(now + SECOND));
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let (mut ends, _) = lacking(&["R", "S"]);
    let now = START + 5 * SECOND;
    let first = wants(&mut ends, now, Lack::Everything);
    assert_eq!(ends.next_at(), Some(now + PATIENCE));
    let second = wants(&mut ends, now + PATIENCE, Lack::Everything);
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first, second);
}

#[test]
fn what_members_say_makes_a_node_keep_only_so_much() {
    let mut ends = Ends::new("A".to_owned());
    for number in 0..2 * MAX_SERVERS {
        for teller in 0..20 {
            ends.handle_heard(START, &format!("R{teller}"), &format!("S{number}"), true, &settings());
        }
    }
    assert_eq!(ends.unreached().count(), MAX_SERVERS);
    let mut joins = |number: &usize| {
        let circuit = circuit(&format!("R{}", number % 3), "S", false);
        ends.handle_join(START, &number.to_string(), circuit)
    };
    let joined = (0..2 * MAX_COMING).filter(&mut joins);
    assert_eq!(joined.count(), MAX_COMING);
    assert_eq!(wants(&mut ends, START + PATIENCE, Lack::Nothing), [""; 0]);
    assert!(!ends.handle_token(connection(1), "0"), "it took too long");
    let much_later = START + Duration::from_secs(3600);
    assert_eq!(wants(&mut ends, much_later, Lack::Everything), [""; 0]);
    assert_eq!(ends.unreached().count(), 0, "nobody tells of them any more");
}

fn joints() -> Joints {
    Joints::new("R".to_owned())
}

fn answer(joints: &mut Joints, now: Instant, teller: &str, others: &[(&str, bool)], relays: &[&str]) {
    joints.handle_answer(now, teller, others.iter().copied(), relays, &settings());
}

fn due(joints: &mut Joints, now: Instant) -> Vec<String> {
    joints.take_due(now).into_iter().map(|pair| pair.concat()).collect()
}

/// Two members say that they lack each other.
fn lack_each_other(joints: &mut Joints, now: Instant, relays: &[&str]) {
    answer(joints, now, "A", &[("B", false)], relays);
    answer(joints, now, "B", &[("A", false)], relays);
}

#[test]
fn a_pair_is_joined_once_both_have_said_since_it_was_time_to_that_they_lack_each_other() {
    let mut joints = joints();
    answer(&mut joints, START, "B", &[("A", false), ("C", true), ("D", false)], &[]);
    answer(&mut joints, START + SECOND, "A", &[("B", false)], &[]);
    assert_eq!(joints.take_doubted(START + 4 * SECOND), None, "not before it is time to");
    answer(&mut joints, START + 4 * SECOND, "D", &[("A", true), ("B", true)], &[]);
    assert_eq!(due(&mut joints, START + 5 * SECOND), [""; 0], "what they said is old");
    assert_eq!(joints.take_doubted(START + 5 * SECOND).as_deref(), Some("A"));
    assert_eq!(joints.take_doubted(START + 6 * SECOND), None, "its answer is waited for");
    answer(&mut joints, START + 6 * SECOND, "A", &[("B", false)], &[]);
    assert_eq!(due(&mut joints, START + 6 * SECOND), [""; 0], "the word of one");
    assert_eq!(joints.take_doubted(START + 10 * SECOND).as_deref(), Some("B"));
    answer(&mut joints, START + 11 * SECOND, "B", &[("A", false)], &[]);
    assert_eq!(due(&mut joints, START + 11 * SECOND), ["AB"]);
    assert_eq!(due(&mut joints, START + 12 * SECOND), [""; 0], "it was tried just now");
    lack_each_other(&mut joints, START + 21 * SECOND, &[]);
    joints.forget("A");
    assert_eq!(due(&mut joints, START + 21 * SECOND), [""; 0]);
}

#[test]
fn nobody_is_joined_by_the_word_of_one() {
    let mut joints = joints();
    for second in 0..1000 {
        let now = START + second * SECOND;
        answer(&mut joints, now, "A", &[("B", false)], &[]);
        assert_eq!(due(&mut joints, now), [""; 0]);
    }
    assert_eq!(joints.take_doubted(START + 1000 * SECOND).as_deref(), Some("B"));
}

#[test]
fn a_pair_that_cannot_be_joined_is_tried_less_and_less_often_as_long_as_both_say_that_they_lack_each_other() {
    let mut joints = joints();
    let mut tried = Vec::new();
    for second in 0..2000 {
        let now = START + second * SECOND;
        if second < 1200 {
            lack_each_other(&mut joints, now, &[]);
        }
        tried.extend(due(&mut joints, now).iter().map(|_| second));
    }
    assert_eq!(tried, [5, 15, 35, 75, 155, 315, 615, 915]);
}

#[test]
fn a_joined_pair_whose_connections_end_again_and_again_gets_them_less_and_less_often() {
    let (mut joints, pair) = (joints(), ["A", "B"].map(str::to_owned));
    let repaired = |joints: &mut Joints, seconds: std::ops::Range<u32>| -> Vec<u32> {
        seconds.filter(|second| joints.is_to_be_repaired(START + *second * SECOND, &pair)).collect()
    };
    assert_eq!(repaired(&mut joints, 0..1000), [10, 20, 40, 80, 160, 320, 620, 920]);
    joints.handle_joined(|it| *it == pair);
    assert_eq!(repaired(&mut joints, 1000..1300), [1220], "it is joined as it was");
    joints.handle_joined(|_| false);
    assert_eq!(repaired(&mut joints, 1300..1330), [1310, 1320], "it was not joined at all meanwhile");
}

#[test]
fn of_several_that_could_join_a_pair_one_does_and_the_next_if_that_is_in_vain() {
    let relays: Vec<String> = (0..7).map(|n| format!("R{n}")).collect();
    let mut begun: Vec<_> = relays
        .iter()
        .map(|own| {
            let mut joints = Joints::new(own.clone());
            let others: Vec<&str> = relays.iter().filter(|it| *it != own).map(String::as_str).collect();
            let is_due = |second: &u32| {
                lack_each_other(&mut joints, START + *second * SECOND, &others);
                !due(&mut joints, START + *second * SECOND).is_empty()
            };
            (0..300).find(is_due)
        })
        .collect();
    begun.sort_unstable();
    assert_eq!(begun, [5, 35, 65, 95, 125, 125, 125].map(Some));
}

#[test]
fn only_so_many_pairs_are_kept_in_mind() {
    let mut joints = joints();
    let names: Vec<String> = (0..2 * MAX_PAIRS).map(|n| format!("S{n}")).collect();
    let others: Vec<_> = names.iter().map(|name| (name.as_str(), false)).collect();
    for now in [START, START + 5 * SECOND] {
        answer(&mut joints, now, "A", &others, &[]);
        names.iter().for_each(|name| answer(&mut joints, now, name, &[("A", false)], &[]));
    }
    assert_eq!(due(&mut joints, START + 5 * SECOND).len(), MAX_PAIRS);
}

#[test]
fn what_is_said_for_another_is_said_to_both_and_which_connections_of_a_pair_pass_is_known() {
    let mut middle = middle();
    let most = Relay { max_circuits: 9, max_circuits_per_pair: 9, ..settings() };
    let [seat, other] = [0, 1].map(Seat::Slot);
    let parties = || ["B", "A"].map(|end| (end, Role::Addressed(format!("for {end}").into())));
    let [one, two] = middle.open_at(START, parties(), &seat, 2, &most).expect("a circuit");
    assert_eq!(middle.joined().into_iter().collect::<Vec<_>>(), [["A", "B"].map(str::to_owned)]);
    assert_eq!(middle.seats_of(["A", "B"]).into_iter().collect::<Vec<_>>(), [&seat]);
    assert!(middle.handle_token(connection(1), &one) && middle.handle_token(connection(2), &two));
    assert_eq!(middle.handle_ready(connection(1)), Some(Passing::Alone));
    let said = ["for A", "for B"].map(|text| text.as_bytes().into());
    assert_eq!(middle.handle_ready(connection(2)), Some(Passing::With { other: connection(1), said }));
    middle.open_at(START, parties(), &other, 2, &most).expect("another");
    assert_eq!(middle.handle_closed(connection(1)), Some(connection(2)));
    assert_eq!(middle.seats_of(["B", "A"]).into_iter().collect::<Vec<_>>(), [&other]);
    assert!(middle.seats_of(["A", "C"]).is_empty());
}
