//! Gossip without a route table.

use std::sync::Arc;
use std::time::Duration;

use super::{Arrival, Gossip, Joined, Output};
use crate::accounts::SYSTEM_ACCOUNT;
use crate::config::ClusterConfig;
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::system::Neighbour;
use crate::wire::{Info, KnownServer, Permissions};

const START: Instant = Instant::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const OTHER_DIGEST: &str = "0123456789abcdef";

fn gossip() -> Gossip {
    let routes = vec!["nats://configured.example:6222".parse().expect("an address")];
    let config = Arc::new(ClusterConfig { routes, ..ClusterConfig::default() });
    Gossip::new(config, &Info { onehop: 1, ..info("own") }, SYSTEM_ACCOUNT, START)
}

fn info(id: &str) -> Info {
    Info {
        server_id: id.to_owned(),
        server_name: id.to_owned(),
        host: format!("{id}.example"),
        port: 6222,
        ip: format!("nats-route://{id}.example:6222/"),
        route_pool_size: 3,
        ..Info::default()
    }
}

fn onehop(id: &str) -> Info {
    Info { onehop: 1, ..info(id) }
}

fn connection(number: u32) -> ConnectionId {
    ConnectionId::new(number, 0)
}

fn join(gossip: &mut Gossip, number: u32, info: &Info, account: Option<&str>) {
    let carrier = Some(connection(number));
    let (arrival, is_pooled, is_explicit) = (Arrival::Accepted, info.route_pool_size > 0, false);
    gossip.handle_joined(START, Joined { info, arrival, account, carrier, is_pooled, is_explicit });
}

fn outputs(gossip: &mut Gossip) -> Vec<Output> {
    std::iter::from_fn(|| gossip.poll_output()).collect()
}

/// What was told over which connection.
fn told(gossip: &mut Gossip) -> Vec<(ConnectionId, Info)> {
    let tell = |output| match output {
        Output::Tell(over, line) => {
            let line = line.strip_prefix(b"INFO ").expect("an INFO").to_vec();
            Some((over, Info::from_json(&line).expect("an INFO")))
        }
        _ => None,
    };
    outputs(gossip).into_iter().filter_map(tell).collect()
}

/// The servers that were heard of.
fn heard(gossip: &mut Gossip) -> Vec<String> {
    let hear = |output| match output {
        Output::Heard(heard) => Some(heard.server),
        _ => None,
    };
    outputs(gossip).into_iter().filter_map(hear).collect()
}

#[test]
fn a_newcomer_is_told_of_once_to_those_that_are_there() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &info("a"), None);
    assert_eq!(told(&mut gossip), [], "nobody is there");
    join(&mut gossip, 2, &info("b"), None);
    let lines = told(&mut gossip);
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].0, lines[0].1.server_id.as_str()), (connection(1), "b"));
    join(&mut gossip, 3, &info("b"), None);
    assert_eq!(told(&mut gossip), [], "it is the second of its pool");
}

#[test]
fn an_account_is_told_of_to_those_that_have_a_connection_for_it_or_a_pool() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &info("a"), None);
    join(&mut gossip, 2, &Info { route_pool_size: 0, ..info("single") }, None);
    join(&mut gossip, 3, &info("b"), Some(SYSTEM_ACCOUNT));
    assert!(told(&mut gossip).iter().all(|(_, info)| info.route_account.is_empty()), "nobody has one");
    join(&mut gossip, 4, &info("c"), Some(SYSTEM_ACCOUNT));
    let lines = told(&mut gossip);
    assert!(lines.iter().all(|(_, info)| info.server_id == "c" && info.route_account == SYSTEM_ACCOUNT));
    let over: Vec<_> = lines.into_iter().map(|(over, _)| over).collect();
    assert_eq!(over, [connection(1), connection(3)], "over a pool, and over the dedicated one");
}

#[test]
fn another_account_is_told_of_only_to_those_that_have_a_connection_for_it() {
    let mut gossip = gossip();
    (1..).zip(["a", "b", "c"]).for_each(|(number, id)| join(&mut gossip, number, &info(id), None));
    join(&mut gossip, 4, &info("b"), Some("A"));
    told(&mut gossip);
    join(&mut gossip, 5, &info("c"), Some("A"));
    let lines = told(&mut gossip);
    assert_eq!(lines.iter().map(|(over, _)| *over).collect::<Vec<_>>(), [connection(4)]);
    assert_eq!((lines[0].1.server_id.as_str(), lines[0].1.route_account.as_str()), ("c", "A"));

    let mut again: Vec<_> = Vec::new();
    for round in 0..100 {
        gossip.handle_round(START + round * 60 * SECOND);
        again.extend(told(&mut gossip).into_iter().filter(|(_, info)| info.route_account == "A"));
    }
    let between: std::collections::BTreeSet<_> =
        again.iter().map(|(over, info)| (*over, info.server_id.as_str())).collect();
    assert_eq!(Vec::from_iter(between), [(connection(4), "c"), (connection(5), "b")]);
}

#[test]
fn what_a_peer_imports_and_exports_is_known_as_it_said_last() {
    let mut gossip = gossip();
    let exports = |subject: &str| {
        let export = Permissions { allow: vec![subject.to_owned()], deny: vec![] };
        Info { export: Some(export), ..info("a") }
    };
    join(&mut gossip, 1, &exports("first"), None);
    gossip.handle_info(START, "a", Info { ip: String::new(), ..exports("second") });
    assert_eq!(gossip.info_of("a").and_then(|info| info.export.clone()), exports("second").export);
    gossip.handle_info(START, "a", exports(&"long".repeat(2_000)));
    assert_eq!(gossip.info_of("a").and_then(|info| info.export.clone()), None, "too long to be kept");
}

#[test]
fn a_server_that_is_heard_of_is_wanted_unless_it_is_known_or_configured() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &info("teller"), None);
    outputs(&mut gossip);
    let mut hear = |info: Info| {
        gossip.handle_info(START, "teller", info);
        heard(&mut gossip)
    };
    assert_eq!(hear(info("new")), ["new"]);
    assert_eq!(hear(info("own")), [""; 0]);
    assert_eq!(hear(info("configured")), [""; 0]);
    assert_eq!(hear(Info { ip: "nonsense:".to_owned(), ..info("new") }), [""; 0]);
    join(&mut gossip, 2, &info("new"), Some(SYSTEM_ACCOUNT));
    outputs(&mut gossip);
    gossip.handle_info(START, "teller", info("new"));
    assert_eq!(heard(&mut gossip), ["new"], "its connection for one account stands for no pool");
    join(&mut gossip, 3, &info("new"), None);
    outputs(&mut gossip);
    gossip.handle_info(START, "teller", info("new"));
    assert_eq!(heard(&mut gossip), [""; 0]);
    gossip.handle_left(START, "new", None, None);
    gossip.handle_info(START, "teller", info("new"));
    assert_eq!(heard(&mut gossip), ["new"], "it is gone");
}

#[test]
fn what_a_teller_without_pools_cannot_tell_of_is_dialed_along() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &Info { route_pool_size: 0, ..info("single") }, None);
    join(&mut gossip, 2, &onehop("pooled"), None);
    outputs(&mut gossip);
    let mut hear = |teller, new: Info| {
        gossip.handle_info(START, teller, new);
        let heard = outputs(&mut gossip).into_iter().find_map(|output| match output {
            Output::Heard(heard) => Some((heard.all_kinds, heard.either_may)),
            _ => None,
        });
        heard.expect("it is news")
    };
    assert_eq!(hear("single", onehop("new")), (true, false));
    assert_eq!(hear("pooled", info("go")), (false, false));
    assert_eq!(hear("pooled", onehop("new")), (true, true), "it does not tell of them");
}

#[test]
fn onehop_nodes_compare_digests_and_name_servers_only_where_they_differ() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &onehop("a"), None);
    gossip.handle_round(START);
    let lines = told(&mut gossip);
    assert!(lines.iter().all(|(_, info)| info.onehop_peers.is_empty()), "there is nobody else: {lines:?}");

    join(&mut gossip, 2, &info("b"), None);
    outputs(&mut gossip);
    gossip.handle_round(START);
    let lines = told(&mut gossip);
    assert!(lines.iter().all(|(over, _)| *over == connection(1)), "the other would not understand it");
    let own = &lines[0].1.onehop_digest;
    assert!(!own.is_empty());
    assert_eq!((lines.len(), named(&lines[1].1)), (2, vec!["a", "b"]), "it did not say yet what it knows");
    gossip.handle_round(START + SECOND);
    assert_eq!(told(&mut gossip), [], "it was told");

    gossip.handle_info(START, "a", Info { onehop_digest: own.clone(), ..onehop("a") });
    gossip.handle_round(START + 20 * SECOND);
    assert_eq!(told(&mut gossip), [], "both know the same");
    let other = Info { onehop_digest: OTHER_DIGEST.to_owned(), ..onehop("a") };
    gossip.handle_info(START + 20 * SECOND, "a", other);
    gossip.handle_round(START + 21 * SECOND);
    let lines = told(&mut gossip);
    assert_eq!((lines.len(), named(&lines[0].1)), (1, vec!["a", "b"]), "it knows itself");
    gossip.handle_round(START + 22 * SECOND);
    assert_eq!(told(&mut gossip), [], "it was told a moment ago");
}

/// The servers that a line names.
fn named(info: &Info) -> Vec<&str> {
    info.onehop_peers.iter().map(|server| server.id.as_str()).collect()
}

/// The connections over which servers were named.
fn named_over(gossip: &mut Gossip) -> Vec<usize> {
    let lines = told(gossip);
    lines.iter().filter(|(_, info)| !info.onehop_peers.is_empty()).map(|(over, _)| over.index()).collect()
}

#[test]
fn a_change_is_told_soon_and_the_next_once_the_lines_are_paid_for() {
    let mut gossip = gossip();
    for number in 1..=20 {
        join(&mut gossip, number, &onehop(&number.to_string()), None);
    }
    outputs(&mut gossip);
    let soon = gossip.poll_timeout().expect("something changed");
    assert_eq!(soon.since(START), Duration::from_millis(10), "what comes meanwhile is told along");
    gossip.handle_timeout(soon);
    assert_eq!(told(&mut gossip).len(), 20 + 8, "the digest to all, the servers to some");
    assert_eq!(gossip.poll_timeout(), None, "nothing changed since");

    gossip.handle_left(soon, "20", None, None);
    let later = gossip.poll_timeout().expect("something changed");
    assert_eq!(later.since(soon), Duration::from_millis(28 * 2));
    gossip.handle_timeout(soon);
    assert_eq!(told(&mut gossip), [], "it is not time");
    gossip.handle_timeout(later);
    assert_eq!(told(&mut gossip).len(), 19 + 8);
}

#[test]
fn servers_are_named_to_those_first_that_were_not_named_any_for_longest() {
    let mut gossip = gossip();
    for number in 1..=20 {
        join(&mut gossip, number, &onehop(&number.to_string()), None);
    }
    outputs(&mut gossip);
    let mut over = Vec::new();
    for (second, leaves) in (1..).zip(["none", "20", "19", "18"]) {
        let now = START + second * SECOND;
        gossip.handle_left(now, leaves, None, None);
        gossip.handle_round(now);
        over.push(named_over(&mut gossip));
    }
    assert!(over.iter().all(|over| over.len() == 8), "{over:?}");
    let (first, second) = (&over[0], &over[1]);
    assert!(second.iter().all(|it| !first.contains(it)), "{over:?}");
    assert!(over[2].iter().all(|it| !second.contains(it)), "{over:?}");
}

#[test]
fn a_newcomer_is_named_the_onehop_nodes_that_hear_of_it() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &onehop("a"), None);
    join(&mut gossip, 2, &info("go"), None);
    join(&mut gossip, 3, &Info { ip: String::new(), ..onehop("nowhere") }, None);
    outputs(&mut gossip);
    join(&mut gossip, 4, &onehop("new"), None);
    let lines = told(&mut gossip);
    let of_newcomer = lines.iter().filter(|(_, info)| info.server_id == "new").map(|(over, _)| over.index());
    assert_eq!(of_newcomer.collect::<Vec<_>>(), [1, 2, 3]);
    let to_newcomer: Vec<_> = lines.iter().filter(|(over, _)| *over == connection(4)).collect();
    assert_eq!((to_newcomer.len(), named(&to_newcomer[0].1)), (1, vec!["a"]), "the other dials anyway");

    join(&mut gossip, 5, &Info { gossip_mode: 1, ..onehop("quiet") }, None);
    assert_eq!(told(&mut gossip), [], "nobody hears of it");
    join(&mut gossip, 6, &info("another"), None);
    assert!(told(&mut gossip).iter().all(|(over, _)| *over != connection(6)), "it would not understand it");
}

#[test]
fn onehop_nodes_are_not_told_of_each_others_connections_for_an_account() {
    let mut gossip = gossip();
    let all = [onehop("a"), info("go"), onehop("new")];
    (1..).zip(&all).for_each(|(number, info)| join(&mut gossip, number, info, None));
    (11..).zip(&all[..2]).for_each(|(number, info)| join(&mut gossip, number, info, Some(SYSTEM_ACCOUNT)));
    outputs(&mut gossip);
    join(&mut gossip, 13, &all[2], Some(SYSTEM_ACCOUNT));
    let over: Vec<_> = told(&mut gossip).into_iter().map(|(over, _)| over).collect();
    assert_eq!(over, [connection(12)], "who dials does so for all kinds");
}

#[test]
fn a_digest_that_is_none_is_not_heard() {
    for digest in ["", "0123", "0123456789abcdef0", &"0".repeat(60_000)] {
        let mut gossip = gossip();
        join(&mut gossip, 1, &onehop("a"), None);
        join(&mut gossip, 2, &info("b"), None);
        outputs(&mut gossip);
        gossip.handle_round(START);
        let own = told(&mut gossip)[0].1.onehop_digest.clone();
        let now = START + 20 * SECOND;
        let mut is_named_after = |digest: &str| {
            let info = Info { onehop_digest: digest.to_owned(), ..onehop("a") };
            gossip.handle_info(now, "a", info);
            gossip.handle_round(now);
            !named_over(&mut gossip).is_empty()
        };
        assert!(!is_named_after(&own), "it is the same");
        assert!(!is_named_after(digest), "{digest}");
        assert!(is_named_after(OTHER_DIGEST));
    }
}

#[test]
fn no_more_servers_are_heard_of_on_one_line_than_a_node_names() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &onehop("a"), None);
    outputs(&mut gossip);
    let server = |n| KnownServer { id: format!("{n}"), url: info("x").ip, onehop: true };
    let onehop_peers = (0..1000).map(server).collect();
    gossip.handle_info(START, "a", Info { onehop_peers, ..onehop("a") });
    assert_eq!(heard(&mut gossip).len(), 128);
}

#[test]
fn servers_that_another_names_are_wanted_of_all_kinds() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &onehop("a"), None);
    outputs(&mut gossip);
    let server = |id: &str| KnownServer { id: id.to_owned(), url: info(id).ip, onehop: true };
    let onehop_peers = ["a", "own", "new"].map(server).to_vec();
    gossip.handle_info(START, "a", Info { onehop_peers, ..onehop("a") });
    assert_eq!(heard(&mut gossip), ["new"]);
}

#[test]
fn nats_servers_are_told_of_each_other_again_one_of_two_in_each_round() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &info("a"), None);
    join(&mut gossip, 2, &info("b"), None);
    join(&mut gossip, 3, &onehop("c"), None);
    outputs(&mut gossip);
    let mut rounds = Vec::new();
    for second in 5..30 {
        gossip.handle_round(START + second * SECOND);
        let about_others = told(&mut gossip).into_iter().filter(|(_, info)| info.server_id != "own");
        let lines: Vec<_> = about_others.map(|(over, info)| (over, info.server_id)).collect();
        rounds.extend((!lines.is_empty()).then_some((second, lines)));
    }
    let of = |second, number, id: &str| (second, vec![(connection(number), id.to_owned()); 2]);
    let [first, second, third, ..] = &rounds[..] else { panic!("{rounds:?}") };
    assert_eq!([first, second, third], [&of(5, 2, "a"), &of(6, 1, "b"), &of(11, 2, "a")]);
}

/// Who is asked in a round.
fn asked(gossip: &mut Gossip, now: Instant) -> Option<String> {
    gossip.handle_round(now);
    outputs(gossip).into_iter().find_map(|output| match output {
        Output::Ask { subject, .. } => Some(subject),
        _ => None,
    })
}

#[test]
fn nats_servers_are_asked_in_turn_and_each_answer_is_heard_once() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &info("a"), Some(SYSTEM_ACCOUNT));
    join(&mut gossip, 2, &onehop("b"), Some(SYSTEM_ACCOUNT));
    join(&mut gossip, 3, &info("c"), Some(SYSTEM_ACCOUNT));
    assert_eq!(asked(&mut gossip, START + SECOND), None, "it says first what it listens to");
    let subject = |id: &str| Some(format!("$SYS.REQ.SERVER.{id}.ROUTEZ"));
    assert_eq!(asked(&mut gossip, START + 2 * SECOND), subject("a"));
    assert_eq!(asked(&mut gossip, START + 3 * SECOND), None, "one at a time");

    let neighbour = |id: &str| Neighbour { id: id.to_owned(), ip: [10, 0, 0, 9].into(), ports: vec![] };
    let answer = ["own", "new"].map(neighbour).to_vec();
    let hear = |gossip: &mut Gossip, peer: &str| {
        gossip.handle_neighbours(peer, false, answer.clone());
        outputs(gossip)
    };
    assert_eq!(hear(&mut gossip, "c"), [], "another was asked");
    let (teller, neighbours) = ("a".to_owned(), vec![neighbour("new")]);
    assert_eq!(hear(&mut gossip, "a"), [Output::HeardNeighbours { teller, neighbours }]);
    assert_eq!(hear(&mut gossip, "a"), [], "it has answered");
    assert_eq!(asked(&mut gossip, START + 12 * SECOND), subject("c"));
    assert_eq!(asked(&mut gossip, START + 22 * SECOND), subject("a"));
}

#[test]
fn who_leaves_is_not_told_of_any_more() {
    let mut gossip = gossip();
    join(&mut gossip, 1, &Info { ws_connect_urls: vec!["a:80".to_owned()], ..onehop("a") }, None);
    join(&mut gossip, 2, &onehop("b"), None);
    outputs(&mut gossip);
    assert_eq!([false, true].map(|by_websocket| gossip.connect_urls(by_websocket, 1000).count()), [0, 1]);
    gossip.handle_info(START, "a", Info { ldm: true, ..onehop("a") });
    assert_eq!(outputs(&mut gossip), [Output::Leaves("a".to_owned()), Output::ConnectUrlsChanged]);
    assert_eq!(gossip.connect_urls(true, 1000).count(), 0);
    gossip.handle_info(START, "b", Info { onehop_digest: OTHER_DIGEST.to_owned(), ..onehop("b") });
    gossip.handle_round(START);
    let lines = told(&mut gossip);
    let named: Vec<_> =
        lines.iter().flat_map(|(_, info)| &info.onehop_peers).map(|it| it.id.as_str()).collect();
    assert_eq!(named, ["b"]);
}
