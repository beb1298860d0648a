//! The route table without gossip, without a cluster, without a byte of the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::turn::dials_first;
use super::{
    Cause, DialError, DialRequest, Hearsay, Kinds, Led, Newcomer, NoSeat, NotSeated, Notice, Own,
    Reconfigured, Routes, Seat, Seated,
};
use crate::accounts::SYSTEM_ACCOUNT;
use crate::close::CloseReason;
use crate::config::{ClusterConfig, Healing, RouteUrl};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::GossipMode;
use crate::wire::system::Neighbour;

const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn routes(configured: &[&str]) -> Routes {
    routes_with(configured, Healing::default())
}

pub(super) fn routes_with(configured: &[&str], healing: Healing) -> Routes {
    routes_of(configured, ClusterConfig { healing, ..ClusterConfig::default() })
}

/// Those of a node with the account `A` pinned.
fn routes_with_pinned(configured: &[&str]) -> Routes {
    routes_of(configured, ClusterConfig { accounts: vec!["A".to_owned()], ..ClusterConfig::default() })
}

fn routes_of(configured: &[&str], config: ClusterConfig) -> Routes {
    let routes = configured.iter().map(|url| url.parse().expect("an address")).collect();
    let config = Arc::new(ClusterConfig { routes, ..config });
    let own = Own {
        id: OWN_ID.to_owned(),
        port: 6222,
        error_reports: (1, 1),
        system_account: Some(SYSTEM_ACCOUNT.into()),
    };
    Routes::new(config, own, Rng::with_seed(1), START)
}

pub(super) const OWN_ID: &str = "own";
const DIALS: bool = true;

pub(super) fn connection(number: u32) -> ConnectionId {
    ConnectionId::new(number, 0)
}

pub(super) fn remote() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 9], 40000))
}

pub(super) fn newcomer(id: &str, pool_index: i32) -> Newcomer<'_> {
    let url = "nats://10.0.0.9:6222".parse().ok();
    Newcomer { id, url, pool_size: 3, pool_index, has_account: true, ..Newcomer::default() }
}

pub(super) fn accept(
    routes: &mut Routes,
    now: Instant,
    number: u32,
    it: &Newcomer<'_>,
) -> Result<Seated, NotSeated> {
    assert_eq!(routes.handle_accepted(connection(number), remote(), 10), None);
    routes.handle_presented(now, connection(number), it)
}

/// A dial that came through, and the peer said who it is.
pub(super) fn complete(
    routes: &mut Routes,
    now: Instant,
    number: u32,
    dial: &DialRequest,
    id: &str,
) -> Seated {
    routes.handle_dialed(dial.id, connection(number), remote());
    routes.handle_presented(now, connection(number), &newcomer(id, 0)).expect("there is a seat")
}

/// The id of a peer that dials this node where either may, or of one that waits for this node's dial.
pub(super) fn peer_that(dials: bool) -> String {
    let mut peers = (0..).map(|number| format!("peer {number}"));
    peers.find(|peer| dials_first(peer, OWN_ID) == dials).expect("each dials half of the others")
}

pub(super) fn dials(routes: &mut Routes, now: Instant) -> Vec<DialRequest> {
    std::iter::from_fn(|| routes.poll_dial(now)).collect()
}

/// Another configuration, with numbers for requests.
fn configure(routes: &mut Routes, now: Instant, config: ClusterConfig) -> Reconfigured {
    let mut requests = 0;
    routes.handle_config(now, Arc::new(config), || {
        requests += 1;
        requests.to_string()
    })
}

fn hearsay(server: &str) -> Hearsay {
    Hearsay {
        cause: Cause::Gossip,
        teller: "teller".to_owned(),
        server: server.to_owned(),
        url: "nats://10.0.0.9:6222".parse().expect("an address"),
        kinds: Kinds::All,
        gossip_mode: GossipMode::Default,
        either_may: false,
    }
}

#[test]
fn a_configured_server_is_dialed_for_its_pool_slot_by_slot_and_for_the_system_account() {
    let mut routes = routes(&["nats://10.0.0.9:6222"]);
    let first = dials(&mut routes, START);
    assert_eq!(first.len(), 2, "one of the pool, and the dedicated one");
    let seated = complete(&mut routes, START, 1, &first[0], "peer");
    assert_eq!((seated.seat, seated.continues), (Seat::Slot(0), true));
    assert_eq!(
        complete(&mut routes, START, 2, &first[1], "peer").seat,
        Seat::Dedicated(SYSTEM_ACCOUNT.into())
    );
    assert_eq!(dials(&mut routes, START), [], "the peer has not answered yet");

    routes.handle_pong(START, connection(1));
    let second = dials(&mut routes, START);
    let seated = complete(&mut routes, START, 3, &second[0], "peer");
    assert_eq!((second.len(), seated.seat, seated.continues), (1, Seat::Slot(1), true));
    routes.handle_pong(START, connection(3));
    routes.handle_pong(START, connection(3));
    let third = dials(&mut routes, START);
    let seated = complete(&mut routes, START, 4, &third[0], "peer");
    assert_eq!((third.len(), seated.seat, seated.continues), (1, Seat::Slot(2), false));
    routes.handle_pong(START, connection(4));
    assert_eq!(dials(&mut routes, START), [], "the pool is full");
    assert_eq!(routes.poll_timeout(), None);
    assert_eq!(routes.solicitation("peer"), (true, true));
}

#[test]
fn a_pinned_account_is_dialed_for_and_has_its_own_seat() {
    let mut routes = routes_with_pinned(&["nats://10.0.0.9:6222"]);
    let first = dials(&mut routes, START);
    let seats: Vec<_> = (1..)
        .zip(&first)
        .map(|(number, dial)| complete(&mut routes, START, number, dial, "peer").seat)
        .collect();
    let dedicated = |account: &str| Seat::Dedicated(account.to_owned());
    assert_eq!(seats, [Seat::Slot(0), dedicated("A"), dedicated(SYSTEM_ACCOUNT)]);

    let mut routes = routes_with_pinned(&[]);
    let of = |account| Newcomer { account, ..newcomer("peer", 0) };
    assert_eq!(accept(&mut routes, START, 1, &of("A")).map(|it| it.seat), Ok(dedicated("A")));
    let again = accept(&mut routes, START, 2, &of("A")).map(|it| it.seat);
    assert!(matches!(again, Err(NotSeated::Duplicate { .. })), "{again:?}");
    let other = accept(&mut routes, START, 3, &of("B")).map(|it| it.seat);
    assert_eq!(other, Err(NotSeated::NoSeat(NoSeat::NotPinned("B".to_owned()))));
}

/// A node with all connections to a peer: the slots of the pool, and those of `A` and of the system account.
fn complete_pair(dials_it: bool) -> Routes {
    let mut routes = routes_with_pinned(if dials_it { &["nats://10.0.0.9:6222"] } else { &[] });
    if !dials_it {
        for (number, (slot, account)) in (1..).zip([(0, ""), (0, "A"), (0, SYSTEM_ACCOUNT), (1, ""), (2, "")])
        {
            let seated = accept(&mut routes, START, number, &Newcomer { account, ..newcomer("peer", slot) });
            assert!(seated.is_ok());
        }
        return routes;
    }
    let mut number = 0;
    loop {
        let next = dials(&mut routes, START);
        if next.is_empty() {
            return routes;
        }
        for dial in next {
            number += 1;
            complete(&mut routes, START, number, &dial, "peer");
            routes.handle_pong(START, connection(number));
        }
    }
}

/// nats-server's issues 7971 and 8454.
#[test]
fn a_pinned_connection_or_a_slot_that_is_lost_alone_is_dialed_again_by_whichever_side() {
    for dials_it in [false, true] {
        for number in 1..=5 {
            let mut routes = complete_pair(dials_it);
            let later = START + HOUR;
            let lost = routes.handle_closed(later, connection(number), CloseReason::ReadError);
            let seat = lost.expect("it had a seat").seat;
            let at = routes.poll_timeout().expect("it is wanted back");
            assert!(at.since(later) < 2 * SECOND, "{seat:?}");
            let again = dials(&mut routes, at);
            assert_eq!(again.len(), 1, "{seat:?}");
            assert_eq!(complete(&mut routes, at, 9, &again[0], "peer").seat, seat);
            let missing = routes.peers["peer"].missing(routes.wishes.plan.accounts());
            assert_eq!((missing, dials(&mut routes, at + HOUR)), (vec![], vec![]));
        }
    }
}

#[test]
fn a_connection_is_presented_once_and_known_until_it_ends() {
    let mut routes = routes(&[]);
    let stranger = routes.handle_presented(START, connection(1), &newcomer("peer", 0));
    assert_eq!(stranger.map(|seated| seated.seat), Err(NotSeated::Unexpected));
    assert_eq!(routes.handle_accepted(connection(1), remote(), 1), None);
    assert_eq!(routes.peer_of(connection(1)), None, "its handshake is under way");
    assert!(routes.handle_presented(START, connection(1), &newcomer("peer", 0)).is_ok());
    assert_eq!(routes.peer_of(connection(1)), Some("peer"));
    let again = routes.handle_presented(START, connection(1), &newcomer("peer", 1));
    assert_eq!(again.map(|seated| seated.seat), Err(NotSeated::Unexpected));

    let lost = routes.handle_closed(START, connection(1), CloseReason::ClientClosed).expect("it had a seat");
    assert_eq!((lost.peer.as_str(), lost.seat), ("peer", Seat::Slot(0)));
    assert_eq!((routes.peer_of(connection(1)), routes.peer_count()), (None, 0));
    assert_eq!(routes.handle_closed(START, connection(1), CloseReason::ClientClosed), None);
}

#[test]
fn who_was_accepted_first_and_is_silent_gives_way_and_is_known_no_more() {
    let mut routes = routes(&[]);
    let accept = |routes: &mut Routes, number| routes.handle_accepted(connection(number), remote(), 2);
    // Their order is not that of their ids, which are used again.
    for number in [9, 3, 6] {
        assert_eq!(accept(&mut routes, number), (number == 6).then_some(connection(9)));
    }
    let late = routes.handle_presented(START, connection(9), &newcomer("late", 0));
    assert_eq!(late.map(|seated| seated.seat), Err(NotSeated::Unexpected));
    assert_eq!(routes.handle_closed(START, connection(9), CloseReason::MaximumConnectionsExceeded), None);

    assert!(routes.handle_presented(START, connection(3), &newcomer("peer", 0)).is_ok());
    assert_eq!(accept(&mut routes, 1), None, "a peer is no stranger any more");
    routes.handle_closed(START, connection(1), CloseReason::ClientClosed);
    assert_eq!(accept(&mut routes, 2), None, "nor who is gone");
    assert_eq!(accept(&mut routes, 1), Some(connection(6)));
    assert_eq!(routes.peer_of(connection(3)), Some("peer"));
}

#[test]
fn a_seat_that_there_is_not_is_refused_with_the_reason() {
    let mut routes = routes(&[]);
    let mut refused = |it: Newcomer<'_>| match accept(&mut routes, START, 1, &it) {
        Err(NotSeated::NoSeat(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(newcomer("peer", 3)), NoSeat::NotInPool { index: 3, size: 3 });
    assert_eq!(refused(newcomer("peer", -1)), NoSeat::NotInPool { index: -1, size: 3 });
    let for_account = |account, pool_size| Newcomer { account, pool_size, ..newcomer("peer", 0) };
    assert_eq!(refused(for_account(SYSTEM_ACCOUNT, 0)), NoSeat::NotPooling(SYSTEM_ACCOUNT.to_owned()));
    assert_eq!(refused(for_account("$G", 3)), NoSeat::NotPinned("$G".to_owned()));
    for pool_size in [0, 3] {
        let unknown = Newcomer { has_account: false, ..for_account("A", pool_size) };
        assert_eq!(refused(unknown), NoSeat::NoAccount("A".to_owned()));
    }
    assert_eq!(routes.peer_count(), 0);
}

#[test]
fn who_sits_stays_and_is_closed_only_if_it_gives_no_sign_of_life() {
    let duplicate = |probed| Err(NotSeated::Duplicate { probed });
    for answers in [false, true] {
        let mut routes = routes(&[]);
        assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok());
        let second = accept(&mut routes, START, 2, &newcomer("peer", 0)).map(|seated| seated.seat);
        assert_eq!(second, duplicate(Some(connection(1))));
        let third = accept(&mut routes, START, 3, &newcomer("peer", 0)).map(|seated| seated.seat);
        assert_eq!(third, duplicate(None), "it was asked already");
        if answers {
            routes.handle_pong(START + SECOND, connection(1));
        }
        assert_eq!(routes.handle_round(START + 2 * SECOND), []);
        let lifeless = routes.handle_round(START + 3 * SECOND);
        assert_eq!(lifeless, if answers { vec![] } else { vec![connection(1)] });
        assert_eq!(routes.handle_round(START + 4 * SECOND), [], "once is enough");
    }
}

#[test]
fn a_wish_ends_when_the_server_connects_by_itself() {
    let mut routes = routes(&[]);
    let peer = peer_that(DIALS);
    routes.handle_hearsay(START, Hearsay { either_may: true, ..hearsay(&peer) });
    assert_eq!(dials(&mut routes, START), [], "the other dials first");
    assert!(accept(&mut routes, START, 1, &newcomer(&peer, 0)).is_ok());
    let later = START + 2 * SECOND;
    assert_eq!(dials(&mut routes, later).len(), 1, "the dedicated one is lacking still");
    assert_eq!(dials(&mut routes, later + Duration::from_secs(100)), []);
}

#[test]
fn an_account_without_a_connection_of_its_own_is_not_dialed_for() {
    let mut routes = routes(&[]);
    routes.handle_hearsay(START, Hearsay { kinds: Kinds::Dedicated("A".to_owned()), ..hearsay("peer") });
    assert_eq!(dials(&mut routes, START), []);
    routes.handle_hearsay(START, Hearsay { kinds: Kinds::OfPool, ..hearsay("peer") });
    assert_eq!(dials(&mut routes, START).len(), 1);
}

/// Lets all dials fail for so long, and says when there was none any more.
fn fail_for(routes: &mut Routes, now: Instant, longest: Duration) -> Duration {
    fail_all(routes, now, longest).1
}

/// Lets all dials fail for so long, and says how many there were, and when there was none any more.
fn fail_all(routes: &mut Routes, now: Instant, longest: Duration) -> (usize, Duration) {
    let (hosts, lasted) = fail_all_to(routes, now, longest);
    (hosts.len(), lasted)
}

/// The same, with the host of each.
fn fail_all_to(routes: &mut Routes, mut now: Instant, longest: Duration) -> (Vec<String>, Duration) {
    let (begun, mut hosts) = (now, Vec::new());
    while let Some(at) = routes.poll_timeout().filter(|at| at.since(begun) < longest) {
        now = at.max(now);
        for dial in dials(routes, now) {
            routes.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
            hosts.push(dial.host);
        }
    }
    (hosts, now.since(begun))
}

/// A node that was connected to a peer for a moment, and dials of which fail in each hour of a day.
fn dials_in_each_hour(healing: Healing) -> Vec<usize> {
    let mut routes = routes_with(&[], healing);
    assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok());
    routes.handle_closed(START, connection(1), CloseReason::ClientClosed);
    (0..24).map(|hour| fail_all(&mut routes, START + hour * HOUR, HOUR).0).collect()
}

#[test]
fn who_was_connected_is_tried_often_for_an_hour_and_then_six_times_in_each_for_ever_and_who_was_heard_of_is_given_up()
 {
    let mut routes = routes(&[]);
    routes.handle_hearsay(START, hearsay("heard"));
    let tried_for = fail_for(&mut routes, START, 24 * HOUR);
    assert!((10..30).contains(&tried_for.as_secs()), "{tried_for:?}");

    let [first, _, later @ ..] = &*dials_in_each_hour(Healing::default()) else { panic!("there are hours") };
    assert!(*first > 100, "{first}");
    // By its pool and for the system account.
    assert!(later.iter().all(|dials| (10..=12).contains(dials)), "{later:?}");
}

#[test]
fn nobody_is_remembered_where_servers_are_to_be_forgotten_at_once() {
    let healing = Healing { forget_after: Duration::ZERO, ..Healing::default() };
    let [first, later @ ..] = &*dials_in_each_hour(healing) else { panic!("there are hours") };
    assert_eq!(*first, 1, "it is dialed once when it is lost");
    assert!(later.iter().all(|dials| *dials == 0), "{later:?}");
}

#[test]
fn who_is_back_elsewhere_or_whose_place_is_taken_is_not_dialed_where_he_was_long_ago() {
    for (id, url) in [("peer", "nats://10.0.0.8:6222"), ("other", "nats://10.0.0.9:6222")] {
        let mut routes = routes(&[]);
        assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok());
        routes.handle_closed(START, connection(1), CloseReason::ClientClosed);
        fail_all(&mut routes, START, 2 * HOUR);
        let back = Newcomer { url: url.parse().ok(), pool_size: 0, ..newcomer(id, 0) };
        assert!(accept(&mut routes, START + 2 * HOUR, 2, &back).is_ok());
        assert_eq!(fail_all(&mut routes, START + 2 * HOUR, 2 * HOUR).0, 0, "{id}");
        routes.handle_closed(START + 4 * HOUR, connection(2), CloseReason::ClientClosed);
        assert!(fail_all(&mut routes, START + 4 * HOUR, HOUR).0 > 100, "{id}");
    }
}

#[test]
fn who_moved_is_dialed_where_it_is_now_even_if_a_connection_from_before_was_still_there() {
    let mut routes = routes(&[]);
    routes.handle_hearsay(START, Hearsay { kinds: Kinds::OfPool, ..hearsay("peer") });
    let dial = dials(&mut routes, START).remove(0);
    complete(&mut routes, START, 1, &dial, "peer");
    let moved = Newcomer { url: "nats://10.0.0.8:6222".parse().ok(), ..newcomer("peer", 1) };
    assert!(accept(&mut routes, START, 2, &moved).is_ok());
    for number in [1, 2] {
        routes.handle_closed(START, connection(number), CloseReason::ClientClosed);
    }
    let (dialed, _) = fail_all_to(&mut routes, START, HOUR);
    assert!(!dialed.is_empty());
    assert!(dialed.iter().all(|host| host == "10.0.0.8"), "{dialed:?}");
}

#[test]
fn a_dial_that_is_under_way_to_who_is_configured_no_more_is_the_last() {
    let mut routes = routes(&["nats://10.0.0.9:6222"]);
    let first = dials(&mut routes, START).remove(0);
    complete(&mut routes, START, 1, &first, "peer");
    routes.handle_closed(START + HOUR, connection(1), CloseReason::ClientClosed);
    let now = START + HOUR + 5 * SECOND;
    let under_way = dials(&mut routes, now);
    assert!(!under_way.is_empty());
    assert_eq!(configure(&mut routes, now, ClusterConfig::default()), Reconfigured::default());
    for dial in under_way {
        routes.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
    }
    assert_eq!(fail_all(&mut routes, now, 24 * HOUR).0, 0);
}

/// A node with the pool of a peer, whose connections have these numbers; and that of the system account.
fn pooled_pair(configured: &[&str]) -> Routes {
    let mut routes = routes(configured);
    for number in 0..3 {
        let dial = dials(&mut routes, START).into_iter().find(|dial| !is_dedicated(&routes, dial));
        match dial {
            Some(dial) => drop(complete(&mut routes, START, number, &dial, "peer")),
            None => drop(accept(&mut routes, START, number, &newcomer("peer", number as i32))),
        }
        routes.handle_pong(START, connection(number));
    }
    let of_system = Newcomer { account: SYSTEM_ACCOUNT, ..newcomer("peer", 0) };
    drop(accept(&mut routes, START, 3, &of_system));
    routes
}

fn pinning(account: &str, configured: &[&str]) -> ClusterConfig {
    let routes = configured.iter().map(|url| url.parse().expect("an address")).collect();
    ClusterConfig { accounts: vec![account.to_owned()], routes, ..ClusterConfig::default() }
}

fn is_dedicated(routes: &Routes, dial: &DialRequest) -> bool {
    routes.wishes.dials.get(dial.id).is_some_and(|dial| dial.purpose.account.is_some())
}

/// How many connections for accounts are dialed now.
fn accounts_of(routes: &mut Routes, now: Instant) -> usize {
    dials(routes, now).into_iter().filter(|dial| is_dedicated(routes, dial)).count()
}

#[test]
fn an_account_that_is_pinned_is_dialed_for_once_the_peer_has_answered_or_after_two_seconds() {
    let url = ["nats://10.0.0.9:6222"];
    for answers in [true, false] {
        let mut routes = pooled_pair(&url);
        let Reconfigured { removed, notices, .. } = configure(&mut routes, START, pinning("P", &url));
        assert!(removed.is_empty());
        // Where the account was, by this node's hash.
        let [Notice { over, account, request }] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!((*over, account.as_str()), (connection(1), "P"));
        assert_eq!(accounts_of(&mut routes, START), 0);
        let now = if answers {
            assert_eq!(routes.handle_answer(START, connection(0), request), None, "it was not asked");
            let pool = (0..3).map(connection).collect();
            let heard = routes.handle_answer(START, connection(1), request);
            assert_eq!(heard, Some(("P".to_owned(), pool)));
            START
        } else {
            let now = routes.next_timeout().expect("an answer is waited for");
            assert_eq!(now, START + 2 * SECOND);
            assert_eq!(routes.handle_timeout(now), []);
            now
        };
        assert_eq!(accounts_of(&mut routes, now), 1);
        assert_eq!(routes.next_timeout(), None);
    }
}

#[test]
fn an_account_that_is_pinned_no_more_has_its_connections_closed_and_is_not_dialed_for() {
    let url = ["nats://10.0.0.9:6222"];
    let mut routes = pooled_pair(&url);
    let of = |account| Newcomer { account, ..newcomer("peer", 0) };
    let notices = configure(&mut routes, START, pinning("P", &url)).notices;
    accept(&mut routes, START, 4, &of("P")).expect("it is pinned");
    routes.handle_answer(START, connection(1), &notices[0].request);
    let removed = configure(&mut routes, START, ClusterConfig { accounts: vec![], ..pinning("", &url) });
    assert_eq!(removed, Reconfigured { removed: [connection(4)].into(), ..Reconfigured::default() });
    routes.handle_closed(START, connection(4), CloseReason::RouteRemoved);
    assert_eq!(fail_all(&mut routes, START, HOUR).0, 0);
    let refused = accept(&mut routes, START, 5, &of("P")).map(|it| it.seat);
    assert_eq!(refused, Err(NotSeated::NoSeat(NoSeat::NotPinned("P".to_owned()))));
}

#[test]
fn what_a_peer_moves_has_a_connection_of_its_own_to_that_peer_as_long_as_there_is_one() {
    let of = |id, account| Newcomer { account, ..newcomer(id, 0) };
    let not_pinned = || Err(NotSeated::NoSeat(NoSeat::NotPinned("P".to_owned())));
    let mut routes = pooled_pair(&[]);
    accept(&mut routes, START, 10, &newcomer("other", 0)).expect("a seat");
    // Of four connections it would be the last that carries it.
    assert_eq!(routes.handle_moved(START, connection(0), "P", 4), Ok((vec![], true)));
    assert_eq!(routes.handle_moved(START, connection(0), "P", 3), Ok((vec![connection(1)], false)));
    assert_eq!(routes.handle_moved(START, connection(3), "P", 3), Ok((vec![], false)), "not over the pool");
    assert_eq!(accept(&mut routes, START, 11, &of("other", "P")).map(|it| it.seat), not_pinned());
    let seated = accept(&mut routes, START, 4, &of("peer", "P")).expect("it moved it");
    assert_eq!(seated.pooled, [0, 1, 2].map(connection), "what it wanted there, it says again");
    assert_eq!(routes.handle_timeout(START + HOUR), []);
    let lost = routes.handle_closed(START + HOUR, connection(4), CloseReason::ClientClosed);
    assert_eq!(lost.map(|it| it.moved), Some(vec![]));
    let end = routes.next_timeout().expect("it may come back");
    assert_eq!(routes.handle_timeout(end), [("peer".to_owned(), "P".to_owned())]);
    assert_eq!(accept(&mut routes, end, 5, &of("peer", "P")).map(|it| it.seat), not_pinned());
    assert_eq!(accounts_of(&mut routes, end + HOUR), 0);
}

#[test]
fn who_has_dialed_a_peer_dials_it_for_what_it_moves_at_once_and_else_when_it_does_not() {
    let dialed = |url: &[&str]| {
        let mut routes = pooled_pair(url);
        routes.handle_moved(START, connection(0), "P", 3).expect("room");
        [START, START + 2 * SECOND].map(|now| accounts_of(&mut routes, now))
    };
    assert_eq!(dialed(&["nats://10.0.0.9:6222"]), [1, 0]);
    assert_eq!(dialed(&[]), [0, 1]);
}

#[test]
fn who_refused_a_connection_for_an_account_is_dialed_within_a_second_of_saying_that_it_moves() {
    let mut routes = pooled_pair(&[]);
    let request = configure(&mut routes, START, pinning("P", &[])).notices.remove(0).request;
    routes.handle_answer(START, connection(1), &request);
    let mut now = START;
    // It refuses, again and again, and is dialed less and less.
    for number in 10..16 {
        now = routes.poll_timeout().expect("it is wanted");
        let dial = dials(&mut routes, now).remove(0);
        routes.handle_dialed(dial.id, connection(number), remote());
        routes.handle_closed(now, connection(number), CloseReason::ParseError);
    }
    assert!(routes.poll_timeout() > Some(now + 5 * SECOND));
    for _ in 0..2 {
        routes.handle_moved(now, connection(0), "P", 3).expect("it is pinned");
        assert_eq!(routes.poll_timeout(), Some(now + SECOND), "and no sooner");
    }
}

#[test]
fn what_a_peer_moved_goes_with_its_last_connection() {
    let mut routes = pooled_pair(&[]);
    routes.handle_moved(START, connection(0), "P", 3).expect("room");
    let moved =
        (0..4).map(|number| routes.handle_closed(START, connection(number), CloseReason::ClientClosed));
    let moved: Vec<_> = moved.map(|lost| lost.expect("it was registered").moved.len()).collect();
    assert_eq!((moved, routes.next_timeout()), (vec![0, 0, 0, 1], None));
}

#[test]
fn who_is_configured_no_more_is_not_dialed_as_one_that_was_lost_long_ago() {
    let mut routes = routes(&[]);
    assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok());
    routes.handle_closed(START, connection(1), CloseReason::ClientClosed);
    fail_all(&mut routes, START, 2 * HOUR);
    for configured in [vec!["nats://10.0.0.9:6222".parse().expect("an address")], Vec::new()] {
        let config = ClusterConfig { routes: configured, ..ClusterConfig::default() };
        assert_eq!(configure(&mut routes, START + 2 * HOUR, config), Reconfigured::default());
    }
    assert_eq!(fail_all(&mut routes, START + 2 * HOUR, HOUR).0, 0);
}

/// The dials of an hour in which somebody tells of something each second. They fail, and are counted.
fn told_each_second(routes: &mut Routes, what: impl Fn(u32) -> Hearsay) -> usize {
    let mut count = 0;
    for second in 0..3600 {
        let now = START + second * SECOND;
        routes.handle_hearsay(now, what(second));
        for dial in dials(routes, now) {
            routes.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
            count += 1;
        }
    }
    count
}

#[test]
fn who_repeats_what_is_not_true_is_believed_less_and_less() {
    let of_one = |_| hearsay("nobody");
    let of_many = |second: u32| hearsay(&format!("nobody {second}"));
    for what in [&of_one as &dyn Fn(u32) -> Hearsay, &of_many] {
        let dialed = told_each_second(&mut routes(&[]), what);
        // Five times each for the pool and for the system account, and then after pauses that double up to ten minutes.
        assert!((20..=36).contains(&dialed), "{dialed}");
    }
}

#[test]
fn a_server_that_is_there_after_all_is_dialed_when_it_is_told_of_again() {
    let mut routes = routes(&[]);
    routes.handle_hearsay(START, hearsay("late"));
    fail_for(&mut routes, START, 60 * SECOND);
    let now = START + 40 * SECOND;
    routes.handle_hearsay(now, hearsay("late"));
    let dial = dials(&mut routes, now).remove(0);
    complete(&mut routes, now, 1, &dial, "late");
    routes.handle_closed(now + SECOND, connection(1), CloseReason::ClientClosed);
    routes.handle_hearsay(now + SECOND, hearsay("other at its place"));
    assert!(
        !dials(&mut routes, now + 3 * SECOND).is_empty(),
        "nobody is doubted any more who tells of the place"
    );
}

#[test]
fn the_node_itself_is_not_dialed_again_and_again_because_somebody_tells_of_it() {
    let mut routes = routes(&[]);
    let mut dialed = 0;
    for second in 0..100 {
        let now = START + second * SECOND;
        routes.handle_hearsay(now, hearsay(&format!("{second}")));
        for dial in dials(&mut routes, now) {
            dialed += 1;
            routes.handle_dialed(dial.id, connection(dialed), SocketAddr::from(([10, 0, 0, 9], dial.port)));
            routes.handle_self(connection(dialed));
            routes.handle_closed(now, connection(dialed), CloseReason::DuplicateRoute);
        }
        let at = RouteUrl { host: "localhost".to_owned(), ..hearsay("x").url };
        routes.handle_hearsay(now, Hearsay { url: at, ..hearsay(&format!("{second}")) });
        for dial in dials(&mut routes, now) {
            dialed += 1;
            routes.handle_dial_failed(now, dial.id, &DialError::OnlySelf);
        }
    }
    assert!(dialed < 20, "{dialed}");
}

#[test]
fn who_leaves_is_not_waited_for_unless_it_is_configured() {
    for (configured, is_dialed) in [(&[] as &[&str], false), (&["nats://10.0.0.9:6222"], true)] {
        let mut routes = routes(configured);
        match dials(&mut routes, START).first() {
            Some(dial) => drop(complete(&mut routes, START, 1, dial, "peer")),
            None => assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok()),
        }
        routes.handle_leaving("peer");
        routes.handle_closed(START, connection(1), CloseReason::ClientClosed);
        assert_eq!(!dials(&mut routes, START + 5 * SECOND).is_empty(), is_dialed);
    }
}

#[test]
fn a_connection_that_was_lost_before_its_peer_said_that_it_leaves_is_not_waited_for_either() {
    let mut routes = routes(&[]);
    for slot in 0..3 {
        assert!(accept(&mut routes, START, 1 + slot as u32, &newcomer("peer", slot)).is_ok());
    }
    routes.handle_closed(START, connection(1), CloseReason::WriteError);
    routes.handle_leaving("peer");
    for number in 2..=3 {
        routes.handle_closed(START, connection(number), CloseReason::ClientClosed);
    }
    assert_eq!(dials(&mut routes, START + 5 * SECOND), []);
}

#[test]
fn what_is_missing_of_a_pool_is_dialed_after_a_while_and_later_by_one_side_than_by_the_other() {
    let dialed_at = |peer: &str| {
        let mut routes = routes(&[]);
        assert!(accept(&mut routes, START, 1, &newcomer(peer, 0)).is_ok());
        let mut dialed_at = Vec::new();
        for second in 0..12 {
            let now = START + second * SECOND;
            assert_eq!(routes.handle_round(now), []);
            dialed_at.extend(dials(&mut routes, now).iter().map(|_| second));
        }
        dialed_at
    };
    assert_eq!(dialed_at(&peer_that(!DIALS))[..2], [4, 4], "a slot and the dedicated one");
    assert_eq!(dialed_at(&peer_that(DIALS)), [8, 8]);
}

#[test]
fn what_a_name_that_leads_elsewhere_did_not_lead_to_is_dialed_at_once_where_that_is() {
    let mut routes = routes(&["nats://members.example:6222"]);
    let first = dials(&mut routes, START);
    assert!(complete(&mut routes, START, 1, &first[0], "one").continues);
    assert_eq!(dials(&mut routes, START), [], "the dial for the account may lead there yet");
    routes.handle_dialed(first[1].id, connection(2), remote());
    let other = Newcomer { url: "nats://10.0.0.8:6222".parse().ok(), ..newcomer("other", 0) };
    assert!(routes.handle_presented(START, connection(2), &other).is_ok());
    let hosts = |dials: Vec<DialRequest>| dials.into_iter().map(|dial| dial.host).collect::<Vec<_>>();
    assert_eq!(hosts(dials(&mut routes, START)), ["10.0.0.9", "10.0.0.8"], "the account's, and of a pool");
    // The next slot is dialed by the name, which leads to the other, too.
    routes.handle_pong(START, connection(1));
    let second = dials(&mut routes, START);
    assert_eq!(second[0].host, "members.example");
    routes.handle_dialed(second[0].id, connection(3), remote());
    assert!(routes.handle_presented(START, connection(3), &other).is_ok());
    assert_eq!(hosts(dials(&mut routes, START)), ["10.0.0.9"]);
}

#[test]
fn servers_without_an_address_are_tried_few_at_a_time_and_not_where_others_are() {
    let mut routes = routes(&[]);
    let url = "nats://10.0.0.1:6222".parse().ok();
    assert!(accept(&mut routes, START, 1, &Newcomer { url, ..newcomer("peer", 0) }).is_ok());
    let neighbour = |n: u8| Neighbour { id: format!("N{n}"), ip: [10, 0, 0, n].into(), ports: vec![7222] };
    let neighbours: Vec<_> = (1..=100).map(neighbour).collect();
    routes.handle_neighbours(START, "peer", &neighbours);
    let mut dialed = Vec::new();
    for tenth in 0..30 {
        dialed.extend(dials(&mut routes, START + SECOND / 10 * tenth));
    }
    let mut places: Vec<_> = dialed.iter().map(|dial| (dial.host.as_str(), dial.port)).collect();
    places.dedup();
    assert_eq!(places[..3], [("10.0.0.1", 7222), ("10.0.0.2", 7222), ("10.0.0.2", 6222)]);
    assert_eq!(dialed.len(), 2 * (2 * 16 - 1), "16 servers at two ports each, apart from where the peer is");
}

#[test]
fn a_server_that_an_answer_names_is_tried_again_where_it_was_said_to_be() {
    let mut routes = routes(&[]);
    assert!(accept(&mut routes, START, 1, &newcomer("peer", 0)).is_ok());
    let said = Hearsay { url: "nats://10.0.0.7:7222".parse().expect("an address"), ..hearsay("late") };
    routes.handle_hearsay(START, said);
    fail_for(&mut routes, START, 60 * SECOND);
    let neighbour = Neighbour { id: "late".to_owned(), ip: [10, 255, 0, 7].into(), ports: Vec::new() };
    let now = START + 60 * SECOND;
    routes.handle_neighbours(now, "peer", &[neighbour]);
    let mut places: Vec<_> = dials(&mut routes, now).into_iter().map(|dial| (dial.host, dial.port)).collect();
    places.dedup();
    assert_eq!(places, [("10.0.0.7".to_owned(), 7222), ("10.255.0.7".to_owned(), 6222)]);
}

#[test]
fn a_dial_that_ends_at_the_node_itself_is_given_up() {
    let mut routes = routes(&["nats://10.0.0.9:6222", "nats://name.example:6222"]);
    let first = dials(&mut routes, START);
    for (number, dial) in (1..).zip(&first) {
        routes.handle_dialed(dial.id, connection(number), remote());
        routes.handle_self(connection(number));
        routes.handle_closed(START, connection(number), CloseReason::DuplicateRoute);
    }
    let again = dials(&mut routes, START);
    assert!(again.iter().all(|dial| dial.host == "name.example"), "a name may lead elsewhere: {again:?}");
    assert!(again.iter().all(|dial| dial.own_addresses == [remote()]) && !again.is_empty());
}

fn fail_due(routes: &mut Routes, now: Instant) {
    for dial in dials(routes, now) {
        routes.handle_dial_failed(now, dial.id, &DialError::Failed("nobody".to_owned()));
    }
}

#[test]
fn what_comes_of_an_attempt_is_told_though_the_peer_that_is_there_was_lost_meanwhile() {
    let mut routes = routes(&[]);
    accept(&mut routes, START, 1, &newcomer("peer", 0)).expect("there is a seat");
    let url = "nats://10.0.0.9:6222".parse().expect("an address");
    let trial = routes.try_found(START, url).expect("nobody is at it");
    assert_eq!(dials(&mut routes, START).len(), 1);
    routes.handle_closed(START + SECOND, connection(1), CloseReason::ClientClosed);
    routes.handle_dial_failed(START + SECOND, trial, &DialError::Failed("nobody".to_owned()));
    assert_eq!(routes.take_led(), [(trial, Led::Nowhere)]);
    assert_eq!(dials(&mut routes, START + 10 * SECOND).len(), 1, "it is wanted back");
}

#[test]
fn what_comes_of_an_attempt_is_told_though_the_server_was_configured_for_a_moment() {
    let healing = Healing { dials_per_second: 1, ..Healing::default() };
    let mut routes = routes_with(&[], healing.clone());
    let urls: Vec<RouteUrl> = ["10.0.0.1", "10.0.0.9"]
        .map(|host| format!("nats://{host}:6222").parse().expect("an address"))
        .into();
    let trials: Vec<_> =
        urls.iter().map(|url| routes.try_found(START, url.clone()).expect("nobody is at it")).collect();
    fail_due(&mut routes, START);
    for configured in [&urls[1..], &[]] {
        let config = ClusterConfig {
            routes: configured.to_vec(),
            healing: healing.clone(),
            ..ClusterConfig::default()
        };
        configure(&mut routes, START, config);
    }
    fail_due(&mut routes, START + 2 * SECOND);
    assert_eq!(routes.take_led(), trials.iter().map(|trial| (*trial, Led::Nowhere)).collect::<Vec<_>>());
    assert_eq!(routes.poll_timeout(), None);
}
