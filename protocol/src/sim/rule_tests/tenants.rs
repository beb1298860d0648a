//! The rules about tenants, broken on purpose.

use super::*;
use crate::sim::{Login, Share, TENANTS, Tenants};

/// The stream `a.>`, and the service that one asks by `c` and the other hears as `b.a`.
const STREAM: usize = 0;
const SERVICE: usize = 3;

/// What the second tenant takes of the first.
fn shared(shapes: &[usize]) -> Tenants {
    let share = |shape: &usize| Share { importer: 1, exporter: 0, shape: *shape };
    Tenants { count: 2, shares: shapes.iter().map(share).collect(), rights: [1; 3], ..Tenants::default() }
}

/// Two nodes with these tenants and one connection in their pool.
fn settled(tenants: Tenants) -> World {
    let network = NetworkConfig { splits_per_million: 0, merges_per_million: 0, ..NetworkConfig::default() };
    let mut world = World::new(7, network, Lines::Dropped).with_tenants(tenants);
    for node in 0..2 {
        world.add_node(NodeSpec::new(Some(1)).joining((node > 0).then_some(Seed::Node(A))));
    }
    [A, B].into_iter().for_each(|node| world.start(node));
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole());
    world
}

fn enter(world: &mut World, node: NodeId, tenant: usize) -> ClientId {
    world.connect_as(node, Login { tenant, is_limited: false }, true).expect("it is one of the tenants")
}

/// Such a world, with a client of the first tenant at the first node, and one of the second at the second, which listens to
/// `filter`.
fn exporter_and_importer(shapes: &[usize], filter: &str) -> (World, ClientId, ClientId) {
    let mut world = settled(shared(shapes));
    let (exporter, importer) = (enter(&mut world, A, 0), enter(&mut world, B, 1));
    world.subscribe(importer, filter, None, false);
    world.run_for(SECOND).expect("no rule is broken");
    (world, exporter, importer)
}

fn calm(world: &mut World) {
    world.run_for(SECOND).expect("no rule is broken");
}

#[test]
fn a_message_crosses_accounts_only_by_an_import_and_under_the_name_that_it_has_there() {
    let (mut world, exporter, importer) = exporter_and_importer(&[], ">");
    world.publish(exporter, "a.b", 0);
    calm(&mut world);
    assert!(world.received(importer).is_empty());
    tell(&mut world, importer, "MSG a.b 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Isolation, "c1 in T1 got m0 on a.b, which was published in T0");

    let (mut world, exporter, importer) = exporter_and_importer(&[STREAM], ">");
    world.publish(exporter, "a.b", 0);
    calm(&mut world);
    assert_eq!(world.received(importer).len(), 1);
    assert_eq!(world.check_delivery(crate::sim::MessageId(0)), Ok(()));
    tell(&mut world, importer, "MSG from.a.b 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Isolation, "c1 in T1 got m0 on from.a.b");
}

#[test]
fn a_message_on_a_route_is_in_an_account_that_it_was_published_in() {
    let (mut world, exporter, _) = exporter_and_importer(&[STREAM], "a.b");
    world.publish(exporter, "a.b", 0);
    calm(&mut world);
    forge(&mut world, A, B, "RMSG T1 a.b 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Isolation, "n0 sends m0 in T1, not in T0");
}

#[test]
fn a_line_of_a_dedicated_connection_is_in_its_account() {
    let mut world = settled(Tenants { pinned: vec![1], ..shared(&[]) });
    let speaker = enter(&mut world, A, 0);
    world.publish(speaker, "x", 0);
    calm(&mut world);
    let node = &world.nodes[A.0];
    let dedicated = &node.routes[&world.nodes[B.0].server_id].dedicated;
    let (_, route) = dedicated.iter().find(|(account, _)| account == TENANTS[1]).expect("it is pinned");
    let end = node.socket(*route).expect("it is open").end;
    world.write(end, b"RMSG x 3\r\nm0;\r\n".to_vec(), None);
    assert_broken(&mut world, Rule::Isolation, "n0 sends m0 in T1, not in T0");
}

#[test]
fn what_an_importer_misses_is_lost() {
    let (mut world, exporter, importer) = exporter_and_importer(&[STREAM], "a.b");
    let message = world.publish(exporter, "a.b", 0).unwrap();
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    calm(&mut world);
    assert!(world.received(importer).is_empty());
    assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::NoLoss));
    assert_eq!(world.check_delivery(message).map_err(|violation| violation.rule), Err(Rule::Delivery));
}

#[test]
fn a_request_that_a_service_misses_is_lost() {
    let mut world = settled(shared(&[SERVICE]));
    let (asker, responder) = (enter(&mut world, A, 1), enter(&mut world, B, 0));
    world.subscribe(responder, "b.*", Some("q"), false);
    calm(&mut world);
    world.request(asker, "c");
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    calm(&mut world);
    let violation = world.check_settled().expect_err("it was intercepted");
    assert!(violation.rule == Rule::NoLoss && violation.text.contains("group q"), "{violation}");
}

#[test]
fn members_of_one_group_in_two_accounts_that_both_get_a_message_are_too_many() {
    let (mut world, exporter, _) = exporter_and_importer(&[STREAM], "x");
    let members = [enter(&mut world, B, 0), enter(&mut world, B, 1)];
    let _ = members.map(|member| world.subscribe(member, "a.b", Some("q"), false));
    calm(&mut world);
    world.publish(exporter, "a.b", 0);
    calm(&mut world);
    let other = members.into_iter().find(|member| world.received(*member).is_empty()).expect("one gets it");
    tell(&mut world, other, "MSG a.b 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::OneMember, "group q");
}

#[test]
fn what_a_user_may_not_have_is_found_if_it_gets_it() {
    // It may not publish `c`, and hears nothing of `a.b`.
    let limited =
        |world: &mut World| world.connect_as(B, Login { tenant: 0, is_limited: true }, true).unwrap();
    for filter in ["a.b", "a.*"] {
        let (mut world, exporter, _) = exporter_and_importer(&[], "x");
        let limited = limited(&mut world);
        world.subscribe(limited, filter, None, false);
        calm(&mut world);
        world.publish(exporter, "a.b", 0);
        calm(&mut world);
        assert_eq!(world.check_delivery(crate::sim::MessageId(0)), Ok(()));
        assert_eq!(world.check_settled(), Ok(()));
        tell(&mut world, limited, "MSG a.b 1 3\r\nm0;\r\n");
        assert_broken(&mut world, Rule::Permissions, "c2 got m0 and may not hear a.b");
    }
    let (mut world, exporter, _) = exporter_and_importer(&[], "x");
    let limited = limited(&mut world);
    world.subscribe(exporter, "c", None, false);
    calm(&mut world);
    world.publish(limited, "c", 0);
    calm(&mut world);
    tell(&mut world, exporter, "MSG c 1 3\r\nm0;\r\n");
    assert_broken(&mut world, Rule::Permissions, "c0 got m0 which c2 may not publish");
}

#[test]
fn a_service_answers_once_and_not_never() {
    let mut world = settled(shared(&[SERVICE]));
    let (asker, responder) = (enter(&mut world, A, 1), enter(&mut world, B, 0));
    world.subscribe(responder, "b.*", Some("q"), true);
    calm(&mut world);
    let (request, sid) = world.request(asker, "c").unwrap();
    calm(&mut world);
    assert_eq!(world.check_reply(asker, (request, sid)), Ok(()));
    assert_eq!(world.check_settled(), Ok(()));
    // As if the server had not known that one is enough.
    let answer = world.received(asker)[0].clone();
    world.clients[asker.0].received.push(answer);
    let violation = world.check_reply(asker, (request, sid)).expect_err("two are too many");
    assert!(violation.rule == Rule::Reply && violation.text.contains("2 replies"), "{violation}");
    let request = world.request(asker, "c").unwrap();
    world.run_for(MOMENT).expect("no rule is broken");
    intercept(&mut world, A, B);
    calm(&mut world);
    assert_eq!(world.check_reply(asker, request).map_err(|it| it.rule), Err(Rule::Reply));
}

#[test]
fn interest_across_accounts_that_nobody_has_or_that_is_missing_is_found() {
    for line in ["RS+ T0 b.a\r\n", "RS- T0 a.b\r\n", "RS+ T0 _R_.abcdef.>\r\n"] {
        let (mut world, ..) = exporter_and_importer(&[STREAM], "a.b");
        assert_eq!(world.check_settled(), Ok(()));
        forge(&mut world, B, A, line);
        calm(&mut world);
        assert_eq!(world.check_settled().map_err(|violation| violation.rule), Err(Rule::Interest), "{line}");
    }
}

#[test]
fn more_routes_than_accounts_have_of_their_own_are_found() {
    let tenants = Tenants { pinned: vec![0, 1], ..shared(&[]) };
    let mut world = World::new(7, NetworkConfig::default(), Lines::Dropped).with_tenants(tenants);
    for node in 0..2 {
        world.add_node(NodeSpec::new(Some(3)).joining((node > 0).then_some(Seed::Node(A))));
    }
    [A, B].into_iter().for_each(|node| world.start(node));
    cluster_of(&mut world, A).accounts.pop();
    assert_broken(&mut world, Rule::PoolSize, "+ 3 routes");
}

#[test]
fn a_mesh_without_the_connection_of_an_account_is_not_whole() {
    let mut world = settled(Tenants { pinned: vec![0], ..shared(&[]) });
    let routes = &world.nodes[A.0].routes[&world.nodes[B.0].server_id];
    assert_eq!((routes.pooled.len(), routes.dedicated.len()), (1, 2));
    let (_, route) =
        routes.dedicated.iter().find(|(account, _)| account == TENANTS[0]).expect("it is pinned");
    let stream = world.nodes[A.0].socket(*route).expect("it is open").end.stream;
    world.reset(stream);
    let is_missed = (0..100).any(|_| {
        world.run_for(MOMENT).expect("no rule is broken");
        !world.is_mesh_whole()
    });
    assert!(is_missed);
    world.run_for(5 * SECOND).expect("no rule is broken");
    assert!(world.is_mesh_whole(), "it is dialed again");
}
