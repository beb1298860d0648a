//! The cluster as a whole.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Cluster, DialError, InfoHeard, Output};
use crate::accounts::SYSTEM_ACCOUNT;
use crate::close::CloseReason;
use crate::config::{ClusterConfig, Config, Source};
use crate::discovery::{Found, Reach, ReachedAt};
use crate::hash::KeyedState;
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::wire::system::neighbours;
use crate::wire::{ClientUrls, Info};

const NOW: Instant = Instant::ZERO;

fn cluster() -> Cluster {
    configured(ClusterConfig::default())
}

fn configured(config: ClusterConfig) -> Cluster {
    let config = ClusterConfig { name: Some("c".to_owned()), ..config };
    let own = Info { server_id: "own".to_owned(), server_name: "own".to_owned(), ..Info::default() };
    let node = Config { seed: 1, connect_error_reports: 1, ..Config::default() };
    Cluster::new(config, &node, own, 1, ClientUrls::default(), NOW)
}

fn info(id: &str) -> Info {
    Info {
        server_id: id.to_owned(),
        server_name: id.to_owned(),
        cluster: "c".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 7,
        route_pool_size: 3,
        ..Info::default()
    }
}

fn accept(cluster: &mut Cluster, index: u32, info: Info) -> ConnectionId {
    let connection = ConnectionId::new(index, 0);
    cluster.handle_accepted(connection, SocketAddr::from(([127, 0, 0, 1], 7)));
    cluster.handle_first_info(NOW, connection, info, false, |_| true).expect("it is registered");
    connection
}

/// What a connection does with an answer.
fn answer_to(cluster: &mut Cluster, now: Instant, connection: ConnectionId, answer: &[u8]) {
    if cluster.awaits_answer(connection) {
        cluster.handle_neighbours(now, connection, neighbours(answer));
    }
}

#[test]
fn an_answer_is_heard_once_and_only_from_whom_it_was_asked() {
    let mut cluster = cluster();
    let asked = accept(&mut cluster, 1, Info { route_pool_size: 0, ..info("asked") });
    let other = accept(&mut cluster, 2, Info { route_pool_size: 0, ..info("other") });
    let answer =
        br#"{"data":{"routes":[{"remote_id":"new","did_solicit":true,"ip":"10.0.0.9","port":6222}]}}"#;
    let later = NOW + Duration::from_secs(3);
    answer_to(&mut cluster, later, asked, answer);
    assert_eq!(cluster.poll_dial(later), None, "nobody was asked yet");
    cluster.handle_timeout(later);
    answer_to(&mut cluster, later, other, answer);
    assert_eq!(cluster.poll_dial(later), None, "another was asked");
    answer_to(&mut cluster, later, asked, answer);
    let dialed = cluster.poll_dial(later).map(|dial| (dial.host, dial.port));
    assert_eq!(dialed, Some(("10.0.0.9".to_owned(), 6222)));
    while cluster.poll_dial(later).is_some() {}
    answer_to(&mut cluster, later, asked, answer);
    assert_eq!(cluster.poll_dial(later), None, "it was answered already");
}

/// The servers that are dialed after an answer which names a hundred, heard at this time.
fn dialed_after_answer(cluster: &mut Cluster, asked: ConnectionId, at: Instant) -> BTreeSet<String> {
    let routes = (0..100).map(|n| format!(r#"{{"remote_id":"N{n}","ip":"10.0.0.{n}","port":6222}}"#));
    let answer = format!(r#"{{"data":{{"routes":[{}]}}}}"#, routes.collect::<Vec<_>>().join(","));
    cluster.handle_timeout(at);
    answer_to(cluster, at, asked, answer.as_bytes());
    let mut dialed = BTreeSet::new();
    for tenth in 0..30 {
        let now = at + Duration::from_millis(100) * tenth;
        while let Some(dial) = cluster.poll_dial(now) {
            cluster.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
            dialed.insert(dial.host);
        }
    }
    dialed
}

#[test]
fn servers_that_an_answer_names_are_tried_few_at_a_time_and_after_longer_and_longer_pauses() {
    let mut cluster = cluster();
    let asked = accept(&mut cluster, 1, Info { route_pool_size: 0, ..info("asked") });
    let mut tried: Vec<BTreeSet<String>> = Vec::new();
    for round in 1..=8 {
        let at = NOW + Duration::from_secs(11) * round;
        tried.push(dialed_after_answer(&mut cluster, asked, at));
    }
    assert!(tried.iter().all(|dialed| dialed.len() <= 16), "{tried:?}");
    let all: BTreeSet<&String> = tried.iter().flatten().collect();
    let times = |host: &String| tried.iter().filter(|dialed| dialed.contains(host)).count();
    assert!(all.len() > 40, "others have their turn: {}", all.len());
    assert!(all.iter().all(|host| times(host) <= 4), "{tried:?}");
}

#[test]
fn what_another_host_calls_itself_is_not_dialed() {
    let dialed = |asked_at: [u8; 4], ip: &str| {
        let mut cluster = cluster();
        let connection = ConnectionId::new(1, 0);
        cluster.handle_accepted(connection, SocketAddr::from((asked_at, 7)));
        let asked = Info { route_pool_size: 0, ..info("asked") };
        cluster.handle_first_info(NOW, connection, asked, false, |_| true).expect("it is registered");
        let later = NOW + Duration::from_secs(3);
        cluster.handle_timeout(later);
        let answer = format!(r#"{{"data":{{"routes":[{{"remote_id":"new","ip":"{ip}","port":6222}}]}}}}"#);
        answer_to(&mut cluster, later, connection, answer.as_bytes());
        cluster.poll_dial(later).is_some()
    };
    assert!(dialed([127, 0, 0, 1], "127.0.0.1"), "both are on this host");
    assert!(!dialed([10, 0, 0, 1], "127.0.0.1"));
    assert!(dialed([10, 0, 0, 1], "10.0.0.2"));
    assert!(!dialed([10, 0, 0, 1], "0.0.0.0") && !dialed([10, 0, 0, 1], "224.0.0.1"));
}

#[test]
fn clients_are_told_each_address_once_and_not_endlessly_many_of_one_peer() {
    let mut cluster = cluster();
    let urls = |names: std::ops::Range<u32>| names.map(|name| format!("h{name}:4222")).collect();
    let ws_connect_urls = vec!["w:80".to_owned(), "w:80".to_owned(), "u@w:80".to_owned()];
    accept(&mut cluster, 0, Info { connect_urls: urls(0..2), ws_connect_urls, ..info("a") });
    accept(&mut cluster, 1, Info { connect_urls: urls(1..9999), ..info("b") });
    accept(&mut cluster, 2, Info { connect_urls: vec!["x".repeat(300), "c:4222".to_owned()], ..info("c") });
    let ClientUrls { plain: told, websocket } = cluster.connect_urls(true, &KeyedState::new(1));
    assert_eq!(websocket, ["w:80"]);
    assert_eq!(told[..3], ["h0:4222", "h1:4222", "h2:4222"]);
    assert_eq!(told.len(), 2 + 16 - 1 + 1);
    assert_eq!(told.last().map(String::as_str), Some("c:4222"), "what is too long is no address");
}

#[test]
fn the_addresses_of_many_peers_leave_room_for_the_first_of_each() {
    let mut cluster = cluster();
    let url = |peer: u32, number: usize| format!("h{peer}.{number}.{}:4222", "x".repeat(230));
    for peer in 0..100 {
        let connect_urls = (0..16).map(|number| url(peer, number)).collect();
        accept(&mut cluster, peer, Info { connect_urls, ..info(&format!("{peer:03}")) });
    }
    let told = cluster.connect_urls(true, &KeyedState::new(1)).plain;
    assert_eq!(told, (0..100).map(|peer| url(peer, 0)).collect::<Vec<_>>());
    for peer in 100..200 {
        accept(&mut cluster, peer, Info { connect_urls: vec![url(peer, 0)], ..info(&format!("{peer:03}")) });
    }
    let told = cluster.connect_urls(true, &KeyedState::new(1)).plain;
    let bytes: usize = told.iter().map(|url| url.len()).sum();
    assert!((30_000..32 * 1024).contains(&bytes), "{bytes}");
}

#[test]
fn a_newcomer_that_says_too_much_of_itself_is_not_passed_on() {
    for (host_bytes, lines) in [(3_500, 1), (4_100, 0)] {
        let mut cluster = cluster();
        accept(&mut cluster, 0, info("told"));
        while cluster.poll_output().is_some() {}
        accept(&mut cluster, 1, Info { host: "h".repeat(host_bytes), ..info("newcomer") });
        assert_eq!(std::iter::from_fn(|| cluster.poll_output()).count(), lines, "{host_bytes}");
    }
}

#[test]
fn of_a_peer_that_says_much_only_what_is_needed_is_kept() {
    let mut cluster = cluster();
    accept(&mut cluster, 0, Info { domain: "d".repeat(60_000), compression: "off".to_owned(), ..info("a") });
    let urls = (0..1000).map(|n| format!("h{n}:4222")).collect();
    let (connect_urls, ws_connect_urls): (Vec<_>, Vec<_>) = (urls, vec!["h:80".to_owned(); 20]);
    accept(&mut cluster, 1, Info { connect_urls, ws_connect_urls, domain: "d".to_owned(), ..info("b") });
    let kept = |peer: &str| cluster.peer_info(peer).expect("it is a peer");
    assert_eq!((kept("a").domain.as_str(), kept("a").compression.as_str()), ("", "off"));
    let urls = [kept("b").connect_urls.len(), kept("b").ws_connect_urls.len()];
    assert_eq!((kept("b").domain.as_str(), urls), ("d", [16, 16]));
}

#[test]
fn a_server_with_an_endless_name_is_not_dialed() {
    let mut cluster = cluster();
    let teller = accept(&mut cluster, 0, info("teller"));
    for (host_bytes, is_dialed) in [(2000, false), (200, true)] {
        let ip = format!("nats-route://{}:9/", "h".repeat(host_bytes));
        let _ = cluster.handle_info(NOW, teller, Info { ip, ..info("newcomer") }, |_| true);
        assert_eq!(cluster.poll_dial(NOW).is_some(), is_dialed, "{host_bytes}");
    }
}

#[test]
fn gossip_of_a_pool_is_news_though_a_connection_for_one_account_came_first() {
    let mut cluster = cluster();
    let teller = accept(&mut cluster, 0, info("teller"));
    accept(&mut cluster, 1, Info { route_account: SYSTEM_ACCOUNT.to_owned(), ..info("newcomer") });
    let gossip = Info { ip: "nats-route://127.0.0.1:9/".to_owned(), ..info("newcomer") };
    let _ = cluster.handle_info(NOW, teller, gossip.clone(), |_| true);
    assert_eq!(cluster.poll_dial(NOW).map(|dial| dial.port), Some(9));

    accept(&mut cluster, 2, info("newcomer"));
    let again = Info { ip: "nats-route://127.0.0.1:10/".to_owned(), ..gossip };
    let _ = cluster.handle_info(NOW, teller, again, |_| true);
    assert_eq!(cluster.poll_dial(NOW), None, "now it is known");
}

#[test]
fn what_a_peer_has_moved_is_apart_for_that_no_more_once_this_node_pins_it() {
    let mut cluster = cluster();
    let pooled = accept(&mut cluster, 0, info("peer"));
    let moves = Info { route_account: "P".to_owned(), route_acc_add_reqid: "r".to_owned(), ..info("peer") };
    let mut apart = |act: &mut dyn FnMut(&mut Cluster)| {
        act(&mut cluster);
        let outputs = std::iter::from_fn(|| cluster.poll_output());
        let apart = outputs.filter_map(|output| match output {
            Output::Apart { peer, account, is_apart } => Some((peer, account, is_apart)),
            _ => None,
        });
        apart.collect::<Vec<_>>()
    };
    let of_p = |is_apart| vec![("peer".to_owned(), "P".to_owned(), is_apart)];
    let heard = apart(&mut |cluster| drop(cluster.handle_info(NOW, pooled, moves.clone(), |_| true)));
    assert_eq!(heard, of_p(true));
    // Another thread may have heard it from the peer just after the node let its pools carry what the configuration says.
    let accounts = vec!["P".to_owned()];
    let config = ClusterConfig { name: Some("c".to_owned()), accounts, ..ClusterConfig::default() };
    let pinned = apart(&mut |cluster| cluster.handle_config(NOW, config.clone(), 1));
    assert_eq!(pinned, of_p(false));
}

#[test]
fn whom_this_node_dialed_can_be_reached_and_itself_where_its_configuration_says_so() {
    let member = |id: &str, address: &str| (id.to_owned(), address.parse().expect("an address"));
    let mut cluster = cluster();
    assert_eq!(cluster.reach(), Reach { members: Vec::new(), is_alone: true });
    accept(&mut cluster, 0, info("accepted"));
    assert_eq!(cluster.reach(), Reach { members: Vec::new(), is_alone: false });

    let found = Found { address: "peer.example:7".parse().expect("an address"), server_id: None };
    cluster.handle_found(NOW, Source::Command, "", &[found]);
    let dial = cluster.poll_dial(NOW + Duration::from_secs(1)).expect("it is to be dialed");
    assert_eq!(cluster.reach().members, [], "it is not there yet");
    let connection = ConnectionId::new(1, 0);
    cluster.handle_dialed(dial.id, connection, SocketAddr::from(([127, 0, 0, 1], 7)));
    cluster.handle_first_info(NOW, connection, info("dialed"), false, |_| true).expect("it is registered");
    assert_eq!(cluster.reach().members, [member("dialed", "peer.example:7")]);

    let advertise =
        |text: &str| configured(ClusterConfig { advertise: text.parse().ok(), ..ClusterConfig::default() });
    let alone = Reach { members: vec![member("own", "own.example:1")], is_alone: true };
    assert_eq!(advertise("own.example").reach(), alone, "at its port");
    assert_eq!(advertise("own.example:9").reach().members, [member("own", "own.example:9")]);
}

/// Where a peer is dialed once its route is lost, which said this of itself after it was registered.
fn dialed_after_loss(later: Info) -> Option<String> {
    let mut cluster = cluster();
    let connection = accept(&mut cluster, 0, Info { onehop: later.onehop, ..info("a") });
    let heard = cluster.handle_info(NOW, connection, later, |_| true).expect("the route stays");
    assert!(matches!(heard, InfoHeard::Nothing));
    cluster.handle_closed(NOW, connection, CloseReason::ClientClosed);
    let dial = cluster.poll_dial(NOW + Duration::from_secs(5))?;
    Some(format!("{}:{}", dial.host, dial.port))
}

#[test]
fn a_onehop_peer_is_dialed_where_it_last_said_it_is_and_a_nats_server_where_it_first_did() {
    let moved = |onehop| Info { onehop, ip: "nats-route://tunnel.example:9/".to_owned(), ..info("a") };
    let dialed = |info| dialed_after_loss(info);
    assert_eq!(dialed(moved(1)).as_deref(), Some("tunnel.example:9"));
    assert_eq!(dialed(moved(0)).as_deref(), Some("127.0.0.1:7"));
    assert_eq!(dialed(Info { ip: String::new(), port: 8, ..moved(1) }).as_deref(), Some("127.0.0.1:8"));
    let compared = Info { server_id: "a".to_owned(), onehop: 1, ..Info::default() };
    assert_eq!(dialed(compared).as_deref(), Some("127.0.0.1:7"), "it says nothing of where it is");
    assert_eq!(dialed(Info { ip: "nonsense".to_owned(), ..moved(1) }), None, "nobody knows");
}

#[test]
fn a_configured_peer_is_dialed_as_it_is_configured_wherever_it_says_it_is() {
    let routes = vec!["nats://a.example:6222".parse().expect("a URL")];
    let mut cluster = configured(ClusterConfig { routes, ..ClusterConfig::default() });
    let dial = cluster.poll_dial(NOW).expect("it is configured");
    let connection = ConnectionId::new(1, 0);
    cluster.handle_dialed(dial.id, connection, SocketAddr::from(([127, 0, 0, 1], 7)));
    let first = Info { onehop: 1, ..info("a") };
    cluster.handle_first_info(NOW, connection, first.clone(), false, |_| true).expect("it is registered");
    let moved = Info { ip: "nats-route://tunnel.example:9/".to_owned(), ..first };
    cluster.handle_info(NOW, connection, moved, |_| true).expect("the route stays");
    cluster.handle_closed(NOW, connection, CloseReason::ClientClosed);
    let dialed = std::iter::from_fn(|| cluster.poll_dial(NOW + Duration::from_secs(5)));
    assert!(dialed.map(|dial| dial.host).all(|host| host == "a.example"));
}

#[test]
fn where_a_peer_moved_to_is_kept_for_the_next_start() {
    let mut cluster = cluster();
    let connection = accept(&mut cluster, 0, Info { onehop: 1, ..info("a") });
    let text = |cluster: &mut Cluster| cluster.take_known_servers().expect("a change");
    assert_eq!(text(&mut cluster), "onehop peers 1\n127.0.0.1:7 a\n");
    let moved = Info { onehop: 1, ip: "nats-route://tunnel.example:9/".to_owned(), ..info("a") };
    cluster.handle_info(NOW, connection, moved, |_| true).expect("the route stays");
    assert_eq!(text(&mut cluster), "onehop peers 1\ntunnel.example:9 a\n");
}

#[test]
fn a_node_that_a_source_knows_to_be_reached_somewhere_names_itself() {
    let mut cluster = cluster();
    let told = |route: &str| ReachedAt { route: route.parse().ok(), ..ReachedAt::default() };
    cluster.handle_reached_at(NOW, Source::Frp, told("tunnel.example"));
    let reached = |cluster: &Cluster| cluster.reach().members.pop().map(|(id, at)| format!("{id} {at}"));
    assert_eq!(reached(&cluster).as_deref(), Some("own tunnel.example:1"), "at its port");
    cluster.handle_reached_at(NOW, Source::Frp, told("tunnel.example:9"));
    assert_eq!(reached(&cluster).as_deref(), Some("own tunnel.example:9"));
    cluster.handle_reached_at(NOW, Source::Frp, ReachedAt::default());
    assert_eq!(reached(&cluster), None);
}

/// What was tried, joined and failed on the word of a program.
fn counts(cluster: &Cluster) -> [u64; 3] {
    let counts = cluster.candidates().counts(Source::Command);
    [counts.tried, counts.joined, counts.failed]
}

fn tell(cluster: &mut Cluster, now: Instant, address: &str) {
    let found = Found { address: address.parse().expect("an address"), server_id: None };
    cluster.handle_found(now, Source::Command, "", &[found]);
}

#[test]
fn a_candidate_is_tried_once_at_a_time_whatever_is_said_of_other_servers() {
    let mut cluster = configured(ClusterConfig { connect_retries: 5, ..ClusterConfig::default() });
    tell(&mut cluster, NOW, "a.example");
    let mut now = NOW + Duration::from_secs(1);
    for failures in 1..4 {
        let dial = cluster.poll_dial(now).expect("it is to be dialed");
        assert_eq!(cluster.poll_dial(now), None);
        cluster.handle_dial_failed(now, dial.id, &DialError::Failed("refused".to_owned()));
        assert_eq!(cluster.poll_dial(now), None, "its next attempt is another one");
        assert_eq!(counts(&cluster), [failures, 0, failures]);
        now += Duration::from_secs(10);
    }
}

#[test]
fn a_candidate_at_which_somebody_is_already_has_not_failed() {
    let routes = vec!["nats://a.example:6222".parse().expect("a URL")];
    let mut cluster = configured(ClusterConfig { routes, ..ClusterConfig::default() });
    tell(&mut cluster, NOW, "a.example:6222");
    let later = NOW + Duration::from_secs(1);
    let dials: Vec<_> = std::iter::from_fn(|| cluster.poll_dial(later)).collect();
    assert_eq!(dials.len(), 2, "as it is configured: its pool, and for the system account");
    assert_eq!(counts(&cluster), [1, 0, 0]);
}

#[test]
fn a_candidate_that_is_configured_meanwhile_is_tried_on_and_its_first_attempt_told() {
    let mut cluster = cluster();
    tell(&mut cluster, NOW, "a.example:6222");
    let later = NOW + Duration::from_secs(1);
    let dial = cluster.poll_dial(later).expect("it is to be dialed");
    let routes = vec!["nats://a.example:6222".parse().expect("a URL")];
    let name = Some("c".to_owned());
    cluster.handle_config(later, ClusterConfig { name, routes, ..ClusterConfig::default() }, 1);
    while cluster.poll_dial(later).is_some() {}
    cluster.handle_dial_failed(later, dial.id, &DialError::Failed("refused".to_owned()));
    while cluster.poll_dial(later).is_some() {}
    assert_eq!(counts(&cluster), [1, 0, 1], "who told of it is blocked no longer");
    let again = later + Duration::from_secs(2);
    assert!(std::iter::from_fn(|| cluster.poll_dial(again)).any(|dial| dial.host == "a.example"));
}

#[test]
fn what_a_candidate_led_to_counts_as_joined_only_while_that_is_a_peer() {
    for stays in [true, false] {
        let mut cluster = cluster();
        tell(&mut cluster, NOW, "a.example");
        let later = NOW + Duration::from_secs(1);
        let dial = cluster.poll_dial(later).expect("it is to be dialed");
        let connection = ConnectionId::new(1, 0);
        cluster.handle_dialed(dial.id, connection, SocketAddr::from(([127, 0, 0, 1], 7)));
        cluster.handle_first_info(later, connection, info("a"), false, |_| true).expect("it is registered");
        if !stays {
            cluster.handle_closed(later, connection, CloseReason::ClientClosed);
        }
        while cluster.poll_dial(later).is_some() {}
        assert_eq!(counts(&cluster), [1, u64::from(stays), u64::from(!stays)]);
    }
}

#[test]
fn a_candidate_that_leads_to_this_node_is_neither_joined_nor_failed() {
    let mut cluster = cluster();
    tell(&mut cluster, NOW, "own.example");
    let later = NOW + Duration::from_secs(1);
    let dial = cluster.poll_dial(later).expect("it is to be dialed");
    cluster.handle_dial_failed(later, dial.id, &DialError::OnlySelf);
    assert_eq!(cluster.poll_dial(later + Duration::from_secs(600)), None);
    assert_eq!(counts(&cluster), [1, 0, 0]);
}
