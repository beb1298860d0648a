//! Each rule, broken on purpose: one that cannot fail checks nothing.

use std::num::NonZeroU16;
use std::time::Duration;

mod tenants;

use super::change::FIXED;
use super::net::{End, Segment, StreamId};
use super::node::Socket;
use super::rule::{Rule, Violation};
use super::run::check_dials;
use super::trace::Lines;
use super::world::{Watch, World};
use super::{
    ACCOUNTS, Change, ClientId, Fault, Member, NetworkConfig, NodeId, NodeSpec, Scenario, Seed, Setting,
    Topology,
};
use crate::config::ClusterConfig;

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
const SECOND: Duration = Duration::from_secs(1);
/// Until a client's bytes are at its node, and what follows from them is on its way.
const MOMENT: Duration = Duration::from_micros(60);

/// So many nodes with one connection per pair, that neither splits nor merges what is written.
fn mesh(nodes: usize) -> World {
    let network = NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
    let mut world = World::new(7, network, Lines::Dropped);
    for node in 0..nodes {
        world.add_node(NodeSpec::new(Some(1)).joining((node > 0).then_some(Seed::Node(A))));
    }
    (0..nodes).for_each(|node| world.start(NodeId(node)));
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    world
}

/// Two nodes, a client that publishes at the first and one that listens at the second, to `a` as a member of this group.
fn speaker_and_listener(queue: Option<&str>) -> (World, ClientId, ClientId) {
    let mut world = mesh(2);
    let (speaker, listener) = (world.connect(A, true).unwrap(), world.connect(B, true).unwrap());
    world.subscribe(listener, "a", queue, false);
    world.run_for(SECOND).expect("no rule is broken");
    (world, speaker, listener)
}

/// The pipe that messages take from one node to another.
fn pipe(world: &World, from: NodeId, to: NodeId) -> End {
    let node = &world.nodes[from.0];
    let route = node.routes[&world.nodes[to.0].server_id].pooled[0];
    node.socket(route).expect("it is open").end
}

/// Writes as if one node had written it to the other.
fn forge(world: &mut World, from: NodeId, to: NodeId, lines: &str) {
    let end = pipe(world, from, to);
    world.write(end, lines.as_bytes().to_vec(), None);
}

/// Writes as if a client's node had written it to the client.
fn tell(world: &mut World, client: ClientId, lines: &str) {
    let end = world.clients[client.0].end.other();
    world.write(end, lines.as_bytes().to_vec(), None);
}

/// Takes away what is on its way.
fn intercept(world: &mut World, from: NodeId, to: NodeId) {
    let end = pipe(world, from, to);
    let segments = world.network.in_flight(end);
    assert!(!segments.is_empty(), "there must be something to take away");
    segments.clear();
}

fn cluster_of(world: &mut World, node: NodeId) -> &mut ClusterConfig {
    world.nodes[node.0].spec.config.cluster.as_mut().expect("it is in a cluster")
}

fn violation_within(world: &mut World, time: Duration) -> Violation {
    world.run_for(time).expect_err("a rule is broken")
}

#[track_caller]
fn assert_broken(world: &mut World, rule: Rule, what: &str) {
    let violation = violation_within(world, 3 * SECOND);
    assert!(violation.rule == rule && violation.text.contains(what), "{violation}");
}

#[test]
fn a_message_that_is_forwarded_breaks_one_hop() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    world.publish(speaker, "a", 0);
    world.run_for(SECOND).expect("no rule is broken");
    forge(&mut world, B, A, "RMSG $G a 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::OneHop, "n1 forwards m0");
}

#[test]
fn a_message_that_comes_twice_is_a_duplicate() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    world.publish(speaker, "a", 0);
    world.run_for(SECOND).expect("no rule is broken");
    forge(&mut world, A, B, "RMSG $G a 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::NoDuplicate, "twice");
}

#[test]
fn a_message_that_comes_back_to_who_does_not_want_it_is_an_echo() {
    let mut world = mesh(1);
    let client = world.connect(A, false).unwrap();
    world.subscribe(client, "a", None, false);
    world.publish(client, "a", 0);
    world.run_for(SECOND).expect("no rule is broken");
    tell(&mut world, client, "MSG a 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::NoEcho, "its own m0");
}

#[test]
fn a_message_that_vanishes_on_a_connection_that_stays_up_is_lost() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    world.publish(speaker, "a", 0);
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::NoLoss));
}

#[test]
fn a_message_that_no_member_of_a_group_gets_is_lost() {
    let (mut world, speaker, _) = speaker_and_listener(Some("q"));
    world.publish(speaker, "a", 0);
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::NoLoss));
}

#[test]
fn interest_that_never_arrives_excuses_no_loss() {
    let mut world = mesh(2);
    let (speaker, listener) = (world.connect(A, true).unwrap(), world.connect(B, true).unwrap());
    world.subscribe(listener, "a", None, false);
    world.run_for(MOMENT).expect("no rule is broken");
    // The line is replaced by one that says nothing, so that as many bytes arrive.
    let end = pipe(&world, B, A);
    let segments = world.network.in_flight(end);
    let Segment::Bytes(bytes) = segments.back_mut().expect("RS+ is on its way") else {
        panic!("the connection ends");
    };
    assert_eq!(bytes.as_slice(), b"RS+ $G a\r\n");
    bytes.copy_from_slice(b"RS- $G z\r\n");
    world.run_for(SECOND).expect("no rule is broken");
    world.publish(speaker, "a", 0);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::NoLoss));
}

#[test]
fn a_loss_on_a_connection_that_ended_is_none() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    world.publish(speaker, "a", 0);
    world.run_for(MOMENT).expect("no rule is broken");
    world.fault(Fault::Reset(A, B));
    world.run_for(10 * SECOND).expect("no rule is broken");
    assert!(world.received(ClientId(1)).is_empty());
    assert_eq!(world.check_settled(), Ok(()));
}

#[test]
fn an_earlier_message_after_a_later_one_breaks_the_order() {
    let (mut world, speaker, listener) = speaker_and_listener(None);
    world.publish(speaker, "b", 0);
    world.publish(speaker, "b", 0);
    world.run_for(SECOND).expect("no rule is broken");
    tell(&mut world, listener, "MSG a 1 3\r\nm1;\r\nMSG a 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Order, "m0 of c0 after m1");
}

#[test]
fn two_members_of_a_group_that_get_a_message_are_too_many() {
    let (mut world, speaker, _) = speaker_and_listener(Some("q"));
    let other = world.connect(A, true).unwrap();
    world.subscribe(other, "x", Some("q"), false);
    world.publish(speaker, "a", 0);
    world.run_for(SECOND).expect("no rule is broken");
    tell(&mut world, other, "MSG a 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::OneMember, "group q");
}

#[test]
fn what_was_never_published_is_unknown() {
    let (mut world, _, listener) = speaker_and_listener(None);
    tell(&mut world, listener, "MSG a 1 4\r\nm99;\r\n");
    assert_broken(&mut world, Rule::UnknownMessage, "m99");
    let (mut world, ..) = speaker_and_listener(None);
    forge(&mut world, A, B, "RMSG $G a 4\r\nm99;\r\n");
    assert_broken(&mut world, Rule::UnknownMessage, "m99");
}

#[test]
fn a_route_to_oneself_is_found() {
    let mut world = World::new(7, NetworkConfig::default(), Lines::Dropped);
    for node in 0..2 {
        world.add_node(NodeSpec::new(Some(1)).joining((node > 0).then_some(Seed::Node(A))));
    }
    [A, B].into_iter().for_each(|node| world.start(node));
    world.nodes[A.0].server_id = world.nodes[B.0].server_id.clone();
    assert_broken(&mut world, Rule::NoRouteToSelf, "n0");
}

#[test]
fn more_routes_than_the_pool_are_found() {
    let mut world = World::new(7, NetworkConfig::default(), Lines::Dropped);
    for node in 0..2 {
        world.add_node(NodeSpec::new(Some(3)).joining((node > 0).then_some(Seed::Node(A))));
    }
    [A, B].into_iter().for_each(|node| world.start(node));
    for node in [A, B] {
        cluster_of(&mut world, node).pool_size = NonZeroU16::new(2);
    }
    assert_broken(&mut world, Rule::PoolSize, "3 + ");
}

#[test]
fn more_bytes_for_a_client_than_may_wait_break_a_limit() {
    let (mut world, speaker, listener) = speaker_and_listener(None);
    world.nodes[B.0].spec.config.max_pending = 10_000;
    world.fault(Fault::SlowClient(listener, 100 * SECOND));
    for _ in 0..100 {
        world.publish(speaker, "a", 1000);
    }
    assert_broken(&mut world, Rule::Limit, "bytes wait for a client");
}

#[test]
fn more_remembered_clients_than_configured_break_a_limit() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    world.nodes[A.0].spec.config.max_closed_clients = 0;
    world.disconnect(speaker);
    assert_broken(&mut world, Rule::Limit, "clients that are gone");
}

#[test]
fn a_connection_without_room_for_longer_than_the_write_deadline_breaks_a_limit() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    cluster_of(&mut world, A).write_deadline = Some(Duration::from_millis(1));
    world.fault(Fault::CutOneWay(A, B, 100 * SECOND));
    for _ in 0..200 {
        world.publish(speaker, "a", 1000);
    }
    assert_broken(&mut world, Rule::Limit, "in vain");
}

#[test]
fn a_handshake_without_an_end_breaks_a_limit() {
    let mut world = mesh(1);
    let (connection, end) = (crate::id::ConnectionId::new(99, 0), StreamId::default().acceptor());
    world.nodes[A.0].open(Socket { connection, end, peer: None, is_client: false });
    world.watch_handshake(A, connection);
    world.start_after(A, 100 * SECOND);
    let violation = violation_within(&mut world, 100 * SECOND);
    assert!(violation.rule == Rule::Limit && violation.text.contains("neither registered"), "{violation}");
}

#[test]
fn connections_without_number_break_a_limit() {
    let mut world = mesh(1);
    for index in 0..100 {
        let (connection, end) = (crate::id::ConnectionId::new(index, 0), StreamId::default().acceptor());
        world.nodes[A.0].open(Socket { connection, end, peer: None, is_client: false });
    }
    world.check_connections(A);
    assert_eq!(world.verdict().map_err(|violation| violation.rule), Err(Rule::Limit));
}

#[test]
fn dials_without_a_pace_break_a_limit() {
    let mut world = World::new(7, NetworkConfig::default(), Lines::Dropped);
    for node in 0..6 {
        world.add_node(NodeSpec::new(Some(3)).joining((node > 0).then_some(Seed::Node(A))));
    }
    for node in (0..6).map(NodeId) {
        world.start(node);
        cluster_of(&mut world, node).healing.dials_per_second = 8;
    }
    assert_broken(&mut world, Rule::Limit, "more than 8 servers per second");
}

#[test]
fn dialing_one_place_many_times_at_once_breaks_a_limit() {
    let mut world = mesh(2);
    let place = ("10.0.0.1".to_owned(), 6222);
    for dial in 0..3 {
        world.nodes[B.0].dialing.insert(crate::routes::DialId(1000 + dial), place.clone());
    }
    world.check_dial(B, &place, true);
    assert_eq!(world.verdict().map_err(|violation| violation.rule), Err(Rule::Limit));
}

#[test]
fn attempts_without_a_pause_break_a_limit() {
    let mut world = mesh(2);
    (0..100).for_each(|_| world.check_failed_dial(B, "10.0.0.1".to_owned()));
    let violation = world.verdict().expect_err("five seconds have passed");
    assert!(violation.rule == Rule::Limit && violation.text.contains("could not connect"), "{violation}");
}

#[test]
fn a_server_that_is_wanted_too_often_breaks_a_limit() {
    let mut world = mesh(3);
    // As if there had been none, so that whatever is wanted is too much.
    world.servers = 0;
    world.fault(Fault::Die(B));
    world.fault(Fault::Die(C));
    let violation = violation_within(&mut world, 30 * SECOND);
    assert!(violation.rule == Rule::Limit && violation.text.contains("servers to dial"), "{violation}");
}

#[test]
fn too_long_and_too_many_words_to_a_client_break_a_limit() {
    let (mut world, _, client) = speaker_and_listener(None);
    let url = format!("\"{}\"", "x".repeat(200));
    let info = |urls: usize| format!("INFO {{\"connect_urls\":[{}]}}\r\n", vec![&url[..]; urls].join(","));
    tell(&mut world, client, &info(150));
    world.run_for(SECOND).expect("so much may be told");
    tell(&mut world, client, &info(210));
    assert_broken(&mut world, Rule::Limit, "bytes of INFO at once");

    let (mut world, _, client) = speaker_and_listener(None);
    for _ in 0..30 {
        tell(&mut world, client, &info(1));
    }
    world.run_for(SECOND).expect("so much may be told");
    for _ in 0..20 {
        tell(&mut world, client, &info(1));
    }
    assert_broken(&mut world, Rule::Limit, "is told of the cluster");
}

#[test]
fn too_long_and_too_many_lines_of_gossip_break_a_limit() {
    let info = |name: &str| format!("INFO {{\"server_id\":\"X\",\"server_name\":\"{name}\"}}\r\n");
    let mut world = mesh(2);
    forge(&mut world, A, B, &info(&"x".repeat(4_100)));
    assert_broken(&mut world, Rule::Limit, "a line of 41");
    let mut world = mesh(2);
    (0..300).for_each(|_| forge(&mut world, A, B, &info("x")));
    assert_broken(&mut world, Rule::Limit, "gossips");
    let mut world = mesh(2);
    let own = info("x").replace("\"X\"", &format!("\"{}\"", world.nodes[A.0].server_id));
    (0..20_000).for_each(|_| forge(&mut world, A, B, &own));
    assert_broken(&mut world, Rule::Limit, "tells of itself");
}

#[test]
fn a_timer_that_is_due_again_and_again_breaks_a_limit() {
    let mut world = mesh(2);
    let (at, _) = world.engine(A).unwrap().poll_timeout().expect("something is to be done");
    world.now = at;
    world.nodes[A.0].served_at = Some(at);
    world.set_timer(A);
    assert_eq!(world.verdict().map_err(|violation| violation.rule), Err(Rule::Limit));
}

/// Two nodes with an account, of which two clients listen at the second: one in it, one in the global account.
fn two_accounts() -> (World, [ClientId; 2]) {
    let mut world = mesh(2);
    [A, B].into_iter().for_each(|node| world.change(Change::AddAccount(node, 0)));
    let clients = [ACCOUNTS[0], "$G"].map(|account| world.connect_in(B, account, true).unwrap());
    let _ = clients.map(|client| world.subscribe(client, "a", None, false));
    world.run_for(SECOND).expect("no rule is broken");
    (world, clients)
}

#[test]
fn a_message_that_is_seen_in_another_account_is_found() {
    let (mut world, [_, stranger]) = two_accounts();
    let speaker = world.connect_in(A, ACCOUNTS[0], true).unwrap();
    world.publish(speaker, "b", 0);
    world.run_for(SECOND).expect("no rule is broken");
    tell(&mut world, stranger, "MSG a 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Isolation, "c1 in $G got m0 on a");
    let (mut world, _) = two_accounts();
    let speaker = world.connect_in(A, ACCOUNTS[0], true).unwrap();
    world.publish(speaker, "b", 0);
    world.run_for(SECOND).expect("no rule is broken");
    forge(&mut world, A, B, "RMSG $G a 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Isolation, "n0 sends m0 in $G");
}

#[test]
fn interest_in_an_account_that_is_gone_is_found() {
    // Whether who knows of it has the account or not.
    for is_known in [true, false] {
        let (mut world, _) = two_accounts();
        world.change(Change::RemoveAccount(B, 0));
        if !is_known {
            world.change(Change::RemoveAccount(A, 0));
        }
        world.run_for(SECOND).expect("no rule is broken");
        assert_eq!(world.check_settled(), Ok(()));
        forge(&mut world, B, A, "RS+ B a\r\n");
        world.run_for(SECOND).expect("no rule is broken");
        assert_eq!(world.check_settled().map_err(|it| it.rule), Err(Rule::AccountGone), "{is_known}");
    }
}

#[test]
fn interest_that_waits_for_an_account_and_is_missing_is_found() {
    let (mut world, _) = two_accounts();
    world.change(Change::RemoveAccount(A, 0));
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled(), Ok(()));
    forge(&mut world, B, A, "RS- B a\r\n");
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled().map_err(|it| it.rule), Err(Rule::Interest));
}

#[test]
fn bytes_between_servers_that_nobody_can_decode_are_found() {
    let network = NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
    let mut world = World::new(7, network, Lines::Dropped);
    for node in 0..2 {
        let mut spec = NodeSpec::new(Some(1)).joining((node > 0).then_some(Seed::Node(A)));
        spec.config.rehearsed_transport = Some(7);
        world.add_node(spec);
    }
    [A, B].into_iter().for_each(|node| world.start(node));
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    forge(&mut world, A, B, "PING\r\n");
    assert_broken(&mut world, Rule::Transport, "nobody can decode");
}

#[test]
fn a_configuration_that_does_not_hold_is_found() {
    // A limit on clients that came too low for those that are there, and a route that was taken out behind the node's back.
    let (mut world, ..) = speaker_and_listener(None);
    world.change(Change::Configure(A, vec![Setting::MaxConnections(1)]));
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_settled(), Ok(()));
    let too_many = world.connect(A, true).unwrap();
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.client(too_many).node(), None);
    let configured =
        |world: &World, node: NodeId| (*world.engine(node).unwrap().node().hub().config()).clone();
    let other = crate::config::Config { max_connections: 0, ..configured(&world, A) };
    world.engine(A).unwrap().node().hub().swap_config(std::sync::Arc::new(other));
    assert_eq!(world.check_settled().map_err(|it| it.rule), Err(Rule::Configuration));

    let world = mesh(2);
    let mut other = configured(&world, B);
    other.cluster.as_mut().expect("it is in a cluster").routes.clear();
    world.engine(B).unwrap().node().hub().swap_config(std::sync::Arc::new(other));
    assert_eq!(world.check_settled().map_err(|it| it.rule), Err(Rule::Configuration));
}

#[test]
fn a_message_that_is_too_large_and_delivered_is_found() {
    let (mut world, speaker, listener) = speaker_and_listener(None);
    world.change(Change::Configure(A, vec![Setting::MaxPayload(100)]));
    world.publish(speaker, "a", 1000);
    world.run_for(SECOND).expect("no rule is broken");
    assert!(world.client(speaker).errors()[0].contains("Maximum Payload Violation"));
    tell(&mut world, listener, "MSG a 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Configuration, "which is too large");
}

#[test]
fn what_cannot_change_is_refused_and_what_can_is_not() {
    let mut world = mesh(2);
    for fixed in 0..FIXED.len() {
        let (routes, fixed) = (Setting::Routes(Vec::new()), Setting::Fixed(fixed));
        world.change(Change::Configure(B, vec![Setting::MaxPayload(100), routes, fixed]));
    }
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.engine(B).unwrap().node().hub().config().max_payload, 1024 * 1024);
    world.change(Change::Configure(B, vec![Setting::MaxPayload(100)]));
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.engine(B).unwrap().node().hub().config().max_payload, 100);
}

#[test]
fn a_panic_is_a_finding() {
    let mut scenario = Scenario::new(1, 2, Topology::Seed, Member::HEALING);
    scenario.faults = vec![(SECOND, Fault::Stop(NodeId(99), SECOND))];
    let violation = scenario.run(Lines::Dropped).violation.expect("there is no such node");
    assert_eq!(violation.rule, Rule::NoPanic);
}

#[test]
fn a_mesh_that_stays_partial_has_not_converged() {
    let mut scenario = Scenario::new(1, 3, Topology::Chain, Member::GO_LIKE);
    scenario.start_gap = SECOND;
    scenario.faults = vec![(4 * SECOND, Fault::Cut(A, C, 20 * SECOND))];
    scenario.faulty_for = 24 * SECOND;
    assert_eq!(scenario.run(Lines::Dropped).violation, None, "nobody promised anything");
    scenario.must_converge = true;
    assert_eq!(
        scenario.run(Lines::Dropped).violation.map(|violation| violation.rule),
        Some(Rule::Convergence)
    );
}

#[test]
fn interest_that_nobody_has_and_interest_that_is_missing_are_found() {
    for line in ["RS+ $G x.y\r\n", "RS- $G a\r\n", "RS+ $G a q 2\r\n"] {
        let (mut world, ..) = speaker_and_listener(None);
        assert_eq!(world.check_settled(), Ok(()));
        forge(&mut world, B, A, line);
        world.run_for(SECOND).expect("no rule is broken");
        assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::Interest), "{line}");
    }
}

#[test]
fn a_list_of_addresses_that_is_not_of_all_nodes_is_found() {
    for urls in ["", "\"10.0.0.1:4222\"", "\"10.0.0.1:4222\",\"10.0.0.2:4222\",\"10.0.0.3:4222\""] {
        let (mut world, _, listener) = speaker_and_listener(None);
        tell(&mut world, listener, &format!("INFO {{\"server_id\":\"X\",\"connect_urls\":[{urls}]}}\r\n"));
        world.run_for(SECOND).expect("no rule is broken");
        assert_eq!(world.check_settled().map_err(|it| it.rule), Err(Rule::ConnectUrls), "{urls}");
    }
}

#[test]
fn a_message_that_comes_to_too_few_or_too_many_is_not_delivered_right() {
    let (mut world, speaker, _) = speaker_and_listener(None);
    let message = world.publish(speaker, "a", 0).unwrap();
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_delivery(message).map_err(|violation| violation.rule), Err(Rule::Delivery));

    let (mut world, speaker, listener) = speaker_and_listener(None);
    let message = world.publish(speaker, "b", 0).unwrap();
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_delivery(message), Ok(()));
    tell(&mut world, listener, "MSG b 1 3\r\nm0;\r\n");
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_delivery(message).map_err(|violation| violation.rule), Err(Rule::Delivery));
}

#[test]
fn a_request_without_an_answer_is_found() {
    let (mut world, asker, responder) = speaker_and_listener(None);
    world.subscribe(responder, "ask", Some("q"), true);
    world.run_for(SECOND).expect("no rule is broken");
    let request = world.request(asker, "ask").unwrap();
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_reply(asker, request), Ok(()));
    let request = world.request(asker, "ask").unwrap();
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_reply(asker, request).map_err(|it| it.rule), Err(Rule::Reply));
    let request = world.request(asker, "nobody.listens").unwrap();
    world.run_for(SECOND).expect("no rule is broken");
    assert_eq!(world.check_reply(asker, request), Ok(()), "nobody is to answer");
}

#[test]
fn more_dials_than_the_mesh_is_worth_are_found() {
    let scenario = Scenario::new(1, 3, Topology::Full, Member::HEALING);
    let mut world = scenario.build(Lines::Dropped);
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert_eq!(check_dials(&world, &scenario), Ok(()));
    world.statistics.dials *= 20;
    assert_eq!(check_dials(&world, &scenario).map_err(|violation| violation.rule), Err(Rule::Dials));
}

/// Three nodes of which the last is gone, and the first is expected to forget within a second and the slack.
fn bereaved() -> World {
    let mut world = mesh(3);
    cluster_of(&mut world, A).healing.forget_after = SECOND;
    cluster_of(&mut world, A).healing.max_retry_pause = SECOND;
    world.fault(Fault::Die(C));
    world
}

#[test]
fn a_node_that_goes_on_dialing_the_dead_remembers_too_long() {
    let mut world = bereaved();
    world.run_for(40 * SECOND).expect("it may still remember");
    let violation = violation_within(&mut world, 40 * SECOND);
    assert!(violation.rule == Rule::Forgotten && violation.text.starts_with("n0"), "{violation}");
}

#[test]
fn a_node_that_keeps_a_peer_or_its_clients_address_remembers_too_long() {
    let mut world = mesh(2);
    let server_id = world.nodes[B.0].server_id.clone();
    world.note_gone(B);
    world.check_forgotten(server_id, A);
    let violation = world.verdict().expect_err("it has a route to it");
    assert!(violation.rule == Rule::Forgotten && violation.text.contains("has it as a peer"), "{violation}");

    world.nodes[B.0].server_id = "another".to_owned();
    world.note_gone(B);
    world.nodes[B.0].connect_urls.clear();
    world.check_forgotten("another".to_owned(), A);
    let violation = world.verdict().expect_err("nobody else has this address");
    assert!(violation.rule == Rule::Forgotten && violation.text.contains("sends clients"), "{violation}");
}

#[test]
fn a_node_that_tells_of_the_dead_remembers_too_long() {
    let mut world = bereaved();
    let dead = world.nodes[C.0].server_id.clone();
    let line = format!("INFO {{\"server_id\":\"{dead}\"}}\r\n");
    forge(&mut world, B, A, &line);
    world.run_for(30 * SECOND).expect("it could not know");
    forge(&mut world, B, A, &line);
    assert_broken(&mut world, Rule::Forgotten, "n1 tells of");
}

#[test]
fn a_node_that_dials_where_nobody_is_any_more_remembers_too_long() {
    let mut world = mesh(2);
    let address = world.nodes[B.0].ip().to_string();
    world.fault(Fault::Move(B));
    world.check_dialed_address(A, &address);
    assert_eq!(world.verdict(), Ok(()));
    world.now += 2 * 3600 * SECOND;
    // In the hour that it is cold for: by its pool and for the system account, once in ten minutes.
    (0..12).for_each(|_| world.check_dialed_address(A, &address));
    assert_eq!(world.verdict(), Ok(()));
    world.check_dialed_address(A, &address);
    assert_eq!(world.verdict().map_err(|violation| violation.rule), Err(Rule::Forgotten));
}

#[test]
fn a_node_that_is_to_remember_nobody_dials_nobody_who_is_gone() {
    let mut world = mesh(2);
    let address = world.nodes[B.0].ip().to_string();
    cluster_of(&mut world, A).healing.forget_after = Duration::ZERO;
    world.fault(Fault::Move(B));
    world.now += 2 * 3600 * SECOND;
    world.check_dialed_address(A, &address);
    assert_eq!(world.verdict().map_err(|violation| violation.rule), Err(Rule::Forgotten));
}

#[test]
fn a_watch_on_what_ended_in_time_is_no_violation() {
    let mut world = mesh(2);
    let route = *world.nodes[A.0].routes.values().next().unwrap().pooled.first().unwrap();
    let incarnation = world.nodes[A.0].incarnation;
    let end = pipe(&world, A, B);
    world.watches.push(world.now, Watch::Handshake(A, incarnation, route));
    world.watches.push(world.now, Watch::Blocked(A, end, world.now));
    world.run_for(SECOND).expect("no rule is broken");
}
