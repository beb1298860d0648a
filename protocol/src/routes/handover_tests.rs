//! Direct connections that take the seats of circuits (wire.md 14.7).

use std::time::Duration;

use super::tests::{
    OWN_ID, accept, complete, connection, dials, newcomer, peer_that, remote, routes, routes_with,
};
use super::{Detour, DialRequest, Inheritance, Newcomer, NotSeated, Routes, Seat, Seated};
use crate::close::CloseReason;
use crate::config::Healing;
use crate::time::Instant;

const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const CIRCUIT: u32 = 1;

/// What is said on the circuit of this node, and of the peer.
const OWN: &str = "own token";
const PEERS: &str = "peer's token";

/// The first slot of a pool of three is that of a circuit with `peer`, which the peer began.
fn relayed(peer: &str) -> Routes {
    let mut routes = routes(&[]);
    relay(&mut routes, CIRCUIT, &newcomer(peer, 0));
    routes.handle_heir(connection(CIRCUIT), PEERS.to_owned());
    routes
}

fn relay(routes: &mut Routes, number: u32, it: &Newcomer<'_>) {
    let url = "nats://10.0.0.9:6222".parse().expect("an address");
    let detour = Detour { relay: "relay".to_owned(), url, own_token: OWN.to_owned(), peer_token: None };
    routes.handle_circuit(connection(number), remote(), None, detour);
    routes.handle_presented(START, connection(number), it).expect("a free seat");
}

fn shows<'a>(peer: &'a str, slot: i32, token: &'a str) -> Newcomer<'a> {
    Newcomer { token, ..newcomer(peer, slot) }
}

/// The dials of a node whose healing goes on until then.
fn dials_by(routes: &mut Routes, until: Instant) -> Vec<(Instant, DialRequest)> {
    let mut all = Vec::new();
    let mut now = START;
    while now <= until {
        let _ = routes.handle_round(now);
        all.extend(dials(routes, now).into_iter().map(|dial| (now, dial)));
        now += SECOND;
    }
    all
}

fn present(routes: &mut Routes, number: u32, it: &Newcomer<'_>) -> Result<Seated, NotSeated> {
    routes.handle_presented(START, connection(number), it)
}

/// A connection that this node dials directly.
fn dial(routes: &mut Routes, number: u32, it: &Newcomer<'_>) -> Result<Seated, NotSeated> {
    let url = "nats://10.0.0.9:6222".parse().expect("an address");
    let id = routes.try_found(START, url).expect("nobody is at it");
    assert_eq!(dials(routes, START).iter().map(|dial| dial.id).collect::<Vec<_>>(), [id]);
    routes.handle_dialed(id, connection(number), remote());
    present(routes, number, it)
}

#[test]
fn who_shows_what_was_said_on_the_circuit_has_its_seat_and_the_circuit_is_closed_a_while_after_its_last_line()
{
    let mut routes = relayed("peer");
    let seated = accept(&mut routes, START, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    assert_eq!((seated.seat, seated.inherits), (Seat::Slot(0), Some(connection(CIRCUIT))));
    assert_eq!(routes.is_direct("peer"), Some(true));
    assert_eq!(routes.inheritance(connection(2)), Inheritance::Awaits(connection(CIRCUIT)));
    assert_eq!((routes.take_retired(START + 9 * SECOND), routes.next_timeout()), (Vec::new(), None));
    routes.handle_last_line(connection(CIRCUIT));
    assert_eq!(routes.inheritance(connection(2)), Inheritance::Due(connection(CIRCUIT)));
    routes.handle_inherited(START + 8 * SECOND, connection(2));
    assert_eq!(routes.inheritance(connection(2)), Inheritance::Nothing);
    assert_eq!(routes.next_timeout(), None, "the peer may still have to hear something");
    routes.handle_all_heard(START + 9 * SECOND, connection(2));
    assert_eq!(routes.take_retired(START + 9 * SECOND), []);
    assert_eq!(routes.next_timeout(), Some(START + 10 * SECOND));
    assert_eq!(routes.take_retired(START + 10 * SECOND), [connection(CIRCUIT)]);
    assert_eq!(
        routes.handle_closed(START + 10 * SECOND, connection(CIRCUIT), CloseReason::RouteRemoved),
        None
    );
    assert_eq!((routes.is_direct("peer"), routes.peer_count()), (Some(true), 1), "nothing was lost");
    assert_eq!(routes.missing("peer").len(), 2, "neither more nor less than was missing before");
}

#[test]
fn who_shows_something_else_or_nothing_has_no_seat_of_a_circuit() {
    for token in ["", PEERS, "guessed"] {
        let mut routes = relayed("peer");
        let verdict = accept(&mut routes, START, 2, &shows("peer", 0, token));
        assert!(matches!(verdict, Err(NotSeated::Duplicate { .. })), "{token}");
        assert_eq!(routes.is_direct("peer"), Some(false));
    }
    // Nor has a circuit that of another.
    let mut routes = relayed("peer");
    routes.handle_circuit(
        connection(2),
        remote(),
        None,
        Detour {
            relay: "other relay".to_owned(),
            url: "nats://10.0.0.9:6222".parse().expect("an address"),
            own_token: OWN.to_owned(),
            peer_token: None,
        },
    );
    let verdict = present(&mut routes, 2, &shows("peer", 0, OWN));
    assert!(matches!(verdict, Err(NotSeated::Duplicate { .. })));
}

#[test]
fn who_dials_shows_what_the_peer_said_and_has_the_seat_once_the_peer_shows_the_same() {
    let mut routes = relayed("peer");
    // The others are free.
    for slot in 1..3 {
        relay(&mut routes, 10 + slot, &newcomer("peer", slot as i32));
    }
    let token = PEERS.to_owned();
    assert_eq!(
        dial(&mut routes, 2, &newcomer("peer", 0)).expect_err("not yet"),
        NotSeated::NotYet { seat: Seat::Slot(0), token }
    );
    assert_eq!((routes.has_claim(connection(2)), routes.is_direct("peer")), (true, Some(false)));
    let seated = present(&mut routes, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    assert_eq!((seated.seat, seated.inherits), (Seat::Slot(0), Some(connection(CIRCUIT))));
    assert!(seated.continues, "the others are still those of circuits");
}

#[test]
fn who_dials_and_is_answered_by_somebody_else_leaves_the_circuit_its_seat() {
    let mut routes = relayed("peer");
    (1..3).for_each(|slot| relay(&mut routes, 10 + slot, &newcomer("peer", slot as i32)));
    assert!(dial(&mut routes, 2, &newcomer("peer", 0)).is_err());
    let verdict = present(&mut routes, 2, &shows("peer", 0, "guessed"));
    assert!(matches!(verdict, Err(NotSeated::Duplicate { .. })));
    assert_eq!(routes.is_direct("peer"), Some(false));
    // Nor is one claimed whose peer said nothing.
    let mut routes = self::routes(&[]);
    (0..3).for_each(|slot| relay(&mut routes, 10 + slot, &newcomer("peer", slot as i32)));
    assert!(matches!(dial(&mut routes, 2, &newcomer("peer", 0)), Err(NotSeated::Duplicate { .. })));
}

#[test]
fn of_two_that_dial_at_once_both_ends_keep_the_same() {
    for other_goes_first in [true, false] {
        let peer = peer_that(other_goes_first);
        let mut routes = relayed(&peer);
        (1..3).for_each(|slot| relay(&mut routes, 10 + slot, &newcomer(&peer, slot as i32)));
        assert!(matches!(dial(&mut routes, 2, &newcomer(&peer, 0)), Err(NotSeated::NotYet { .. })));
        let theirs = accept(&mut routes, START, 3, &shows(&peer, 0, OWN));
        assert_eq!(theirs.is_ok(), other_goes_first, "{peer} and {OWN_ID}");
        let own = present(&mut routes, 2, &shows(&peer, 0, OWN));
        assert_eq!(own.is_ok(), !other_goes_first);
    }
}

#[test]
fn a_circuit_that_ends_first_leaves_its_seat_to_whoever_claims_it() {
    let mut routes = relayed("peer");
    (1..3).for_each(|slot| relay(&mut routes, 10 + slot, &newcomer("peer", slot as i32)));
    assert!(matches!(dial(&mut routes, 2, &newcomer("peer", 0)), Err(NotSeated::NotYet { .. })));
    assert!(routes.handle_closed(START, connection(CIRCUIT), CloseReason::ClientClosed).is_some());
    let seated = present(&mut routes, 2, &shows("peer", 0, "")).expect("it is free");
    assert_eq!((seated.seat, seated.inherits), (Seat::Slot(0), None));
    assert_eq!(routes.inheritance(connection(2)), Inheritance::Nothing);
}

#[test]
fn when_one_of_the_two_ends_meanwhile_nothing_waits_for_it() {
    let mut routes = relayed("peer");
    accept(&mut routes, START, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    assert_eq!(routes.handle_closed(START, connection(CIRCUIT), CloseReason::ClientClosed), None);
    assert_eq!(routes.inheritance(connection(2)), Inheritance::Nothing);
    let mut routes = relayed("peer");
    accept(&mut routes, START, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    assert!(routes.handle_closed(START, connection(2), CloseReason::ClientClosed).is_some());
    assert_eq!(routes.take_retired(START), [connection(CIRCUIT)], "nobody speaks there any more");
}

#[test]
fn a_circuit_that_has_said_all_leaves_what_it_brought_to_its_heir_though_it_ends_itself() {
    let mut routes = relayed("peer");
    assert_eq!(routes.heir_of(connection(CIRCUIT), true), None);
    accept(&mut routes, START, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    assert_eq!(routes.heir_of(connection(CIRCUIT), false), None, "it may have more to say");
    assert_eq!(routes.heir_of(connection(CIRCUIT), true), Some(connection(2)));
    routes.handle_last_line(connection(CIRCUIT));
    assert_eq!(routes.heir_of(connection(CIRCUIT), false), Some(connection(2)));
}

#[test]
fn whoever_could_not_be_answered_does_not_take_the_place_of_a_circuit() {
    let mut routes = self::routes(&[]);
    relay(&mut routes, CIRCUIT, &newcomer("peer", 0));
    let verdict = accept(&mut routes, START, 2, &shows("peer", 0, OWN));
    assert!(matches!(verdict, Err(NotSeated::Duplicate { .. })), "the peer said nothing on the circuit yet");
}

#[test]
fn what_is_said_of_accounts_on_a_circuit_that_another_took_the_place_of_counts() {
    let mut routes = relayed("peer");
    accept(&mut routes, START, 2, &shows("peer", 0, OWN)).expect("it is the peer");
    let both = vec![connection(2), connection(CIRCUIT)];
    assert_eq!(routes.handle_moved(START, connection(CIRCUIT), "$G", 1), Ok((both, true)));
    routes.handle_last_line(connection(CIRCUIT));
    routes.handle_inherited(START, connection(2));
    assert_eq!(
        routes.handle_moved(START, connection(2), "$G", 1),
        Ok((vec![connection(2), connection(CIRCUIT)], false))
    );
}

#[test]
fn where_there_is_a_circuit_its_peer_is_dialed_directly_after_one_second_two_four_and_so_on() {
    let mut routes = relayed("peer");
    (1..3).for_each(|slot| relay(&mut routes, 10 + slot, &newcomer("peer", slot as i32)));
    relay(&mut routes, 20, &Newcomer { account: "$SYS", ..newcomer("peer", 0) });
    let mut begun = Vec::new();
    let mut now = START;
    while now <= START + 400 * SECOND {
        let _ = routes.handle_round(now);
        for dial in dials(&mut routes, now) {
            begun.push(now.since(START).as_secs());
            routes.handle_dial_failed(now, dial.id, &super::DialError::Failed("refused".to_owned()));
        }
        now += SECOND;
    }
    // For the pool and for the system account.
    let pairs: Vec<_> = begun.chunks(2).map(|pair| (pair[0], pair.len())).collect();
    let each = [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363];
    assert_eq!(pairs, each.map(|at| (at, 2)));
    assert_eq!(routes.dial_counts().iter().find(|(cause, _)| *cause == "direct"), Some(("direct", 22)));
}

#[test]
fn where_nothing_is_remembered_or_nothing_relayed_nobody_is_dialed_for_that() {
    let mut routes = routes_with(&[], Healing { remember: false, ..Healing::default() });
    relay(&mut routes, CIRCUIT, &newcomer("peer", 0));
    assert_eq!(dials_by(&mut routes, START + 60 * SECOND), []);
    let mut routes = self::routes(&["nats://10.0.0.9:6222"]);
    let first = dials(&mut routes, START);
    complete(&mut routes, START, 1, &first[0], "peer");
    let direct = |routes: &Routes| routes.dial_counts().iter().find(|(cause, _)| *cause == "direct");
    dials_by(&mut routes, START + 60 * SECOND);
    assert_eq!(direct(&routes), Some(("direct", 0)));
}
