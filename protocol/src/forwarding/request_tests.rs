//! What requests and answers may cost, and what becomes of them when an account goes.

use std::time::Duration;

use fastrand::Rng;

use super::requests::{MAX_DEPTH, MAX_REQUESTS};
use super::{Courier, Keeper, Scratch, from_service};
use crate::accounts::{Awaited, ServiceTerms};
use crate::config::{AccountConfig, Authorization, Config, Export, Import, Response, User};
use crate::connection::Connection;
use crate::delivery::tests::World;
use crate::driver::{self, Event};
use crate::time::Instant;
use crate::wire::Message;

const NOW: Instant = Instant::ZERO;

/// A, and B that imports of it what it exports.
fn world() -> World {
    let exports = vec![Export::stream("s.>"), Export::service("q.*", Response::Stream)];
    let imports = vec![Import::stream("A", "s.>", "in.s.>"), Import::service("A", "q.*", "ask.$1")];
    world_of(vec![
        AccountConfig { exports, ..AccountConfig::new("A") },
        AccountConfig { imports, ..AccountConfig::new("B") },
    ])
}

/// A world of these accounts, where the user a is in A and b in B.
fn world_of(accounts: Vec<AccountConfig>) -> World {
    let users =
        [("a", "A"), ("b", "B")].map(|(name, account)| User::with_password(name, "p").in_account(account));
    let authorization = Authorization::Users(users.into());
    World::of(Config { accounts, authorization, max_pending: 100_000_000, ..Config::default() })
}

fn client(world: &mut World, user: &str) -> Connection {
    let mut client = world.client(true);
    let connect =
        format!("CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n");
    handle(world, &mut client, connect.as_bytes());
    client
}

/// Hands in what was read and goes on to the end; how many turns that took.
fn handle(world: &mut World, connection: &mut Connection, bytes: &[u8]) -> usize {
    let World { node, staging } = world;
    driver::handle(node, connection, NOW, Event::Input(bytes), staging);
    let mut turns = 1;
    while connection.wants_turn() {
        driver::handle(node, connection, NOW, Event::Turn, staging);
        turns += 1;
    }
    turns
}

fn read_by(world: &mut World, client: &Connection) -> String {
    let read = std::mem::take(&mut world.link(client.id()).read);
    String::from_utf8(read).expect("text")
}

fn leave(world: &mut World, mut client: Connection) {
    let World { node, staging } = world;
    driver::handle(node, &mut client, NOW, Event::EndOfInput, staging);
    let (_, mut left) = driver::end(node, client, NOW, staging);
    while let Some(removal) = left {
        left = driver::remove(node, removal, NOW, staging);
    }
}

/// An answer that answers a request on which the other account waits for an answer in its turn, and so on, as a peer could make
/// it: how often the message went on when it came to its end.
fn passed_on_through(length: usize) -> usize {
    let mut world = world();
    let accounts =
        ["A", "B"].map(|name| world.node.hub().accounts().find(name.as_bytes()).expect("an account"));
    let World { node, staging } = &mut world;
    let (mut rng, mut scratch) = (Rng::with_seed(1), Scratch::default());
    accounts.iter().for_each(|account| node.await_answers(account, &mut rng, staging));
    let terms = ServiceTerms { response: Response::Stream, threshold: Duration::from_secs(1) };
    let mut subject = b"end".to_vec();
    for number in (0..length).rev() {
        let (own, other) = (&accounts[number % 2], &accounts[(number + 1) % 2]);
        let awaited = Awaited { asker: other.id(), reply: subject.into(), terms, share: false };
        subject = own.answers().wait_for(awaited, NOW, &mut rng).0;
    }
    let mut courier = Courier {
        hub: node.hub(),
        now: NOW,
        publisher: None,
        asker: None,
        depth: 0,
        sink: staging,
        rng: &mut rng,
        scratch: &mut scratch,
        trace: None,
        keeper: &**node,
    };
    let message = Message { subject: &subject, reply: None, header_len: 0, line_tail: None, body: b"x\r\n" };
    from_service(&mut courier, &accounts[0], &message);
    scratch.take_work().passed_on
}

#[test]
fn answers_that_answer_each_other_go_through_so_many_accounts_and_no_further() {
    let passed_on = [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10_000].map(passed_on_through);
    assert_eq!(passed_on, [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH, MAX_DEPTH]);
}

#[test]
fn a_message_asks_so_many_services_and_no_more() {
    let exports = vec![Export::service("q.>", Response::Single)];
    let import = |number| Import::service("A", &format!("q.{number}.*"), "ask.$1");
    let imports = (0..MAX_REQUESTS + 10).map(import).collect();
    let accounts = vec![
        AccountConfig { exports, ..AccountConfig::new("A") },
        AccountConfig { imports, ..AccountConfig::new("B") },
    ];
    let mut world = world_of(accounts);
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    handle(&mut world, &mut a, b"SUB q.> 1\r\n");
    handle(&mut world, &mut b, b"PUB ask.x 0\r\n\r\n");
    assert_eq!(read_by(&mut world, &a).matches("HMSG q.").count(), MAX_REQUESTS);
}

#[test]
fn what_goes_to_other_accounts_takes_its_part_of_a_turn() {
    let mut world = world();
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    handle(&mut world, &mut b, (0..500).map(|sid| format!("SUB r {sid}\r\n")).collect::<String>().as_bytes());
    handle(&mut world, &mut a, b"SUB q.* 1\r\n");
    let requests = handle(&mut world, &mut b, &b"PUB ask.1 r 0\r\n\r\n".repeat(4_000));
    assert!((3..=6).contains(&requests), "{requests}");
    let asked = read_by(&mut world, &a);
    let reply = asked.split(' ').nth(3).expect("a reply subject");
    let answers = handle(&mut world, &mut a, format!("PUB {reply} 1\r\nx\r\n").repeat(400).as_bytes());
    assert_eq!(read_by(&mut world, &b).matches("MSG r ").count(), 200_000);
    assert!(answers >= 6, "each answer goes to 500: {answers}");
}

#[test]
fn who_subscribes_where_many_streams_are_compared_takes_its_part_of_a_turn_though_it_reaches_none() {
    let exports = vec![Export::stream(">")];
    let imports =
        (0..1_000).map(|number| Import::stream("A", &format!("s.{number}"), &format!("in.{number}")));
    let accounts = vec![
        AccountConfig { exports, ..AccountConfig::new("A") },
        AccountConfig { imports: imports.collect(), ..AccountConfig::new("B") },
    ];
    let mut world = world_of(accounts);
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    let lines: String = (0..200).map(|sid| format!("SUB in.x.{sid} {sid}\r\n")).collect();
    let turns = [&mut a, &mut b].map(|client| handle(&mut world, client, lines.as_bytes()));
    assert_eq!(turns[0], 1);
    assert!(turns[1] > 10, "{turns:?}");
}

#[test]
fn subscriptions_that_reach_many_streams_are_ended_a_few_at_once() {
    let exports = vec![Export::stream(">")];
    let imports = (0..100).map(|number| Import::stream("A", &format!("s.{number}.*"), "in.*"));
    let accounts = vec![
        AccountConfig { exports, ..AccountConfig::new("A") },
        AccountConfig { imports: imports.collect(), ..AccountConfig::new("B") },
    ];
    let mut world = world_of(accounts);
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    let once = |sid| format!("SUB in.* {sid}\r\nUNSUB {sid} 1\r\n");
    handle(&mut world, &mut b, (0..100).map(once).collect::<String>().as_bytes());
    let World { node, staging } = &mut world;
    let exporter = node.hub().accounts().find(b"A").expect("an account");
    assert_eq!(exporter.index().len(), 10_000);
    driver::handle(node, &mut a, NOW, Event::Input(b"PUB s.7.x 1\r\nx\r\n"), staging);
    let ended = 10_000 - exporter.index().len();
    assert!(ended < 1_000, "{ended}");
    handle(&mut world, &mut a, b"");
    assert_eq!((exporter.index().len(), read_by(&mut world, &b).matches("MSG in.x ").count()), (0, 100));
}

#[test]
fn nothing_stands_for_a_subscription_any_more_whose_account_went_before_its_last_message_came() {
    let mut world = world();
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    handle(&mut world, &mut b, b"SUB in.s.> 1\r\nUNSUB 1 1\r\n");
    let World { node, staging } = &mut world;
    let [exporter, importer] = [b"A", b"B"].map(|name| node.hub().accounts().find(name).expect("an account"));
    assert_eq!(exporter.index().len(), 1);
    node.remove_account(importer.id(), staging).expect("an account");
    handle(&mut world, &mut a, b"PUB s.x 1\r\nx\r\n");
    leave(&mut world, b);
    assert_eq!((exporter.index().len(), importer.index().len()), (0, 0));
}

#[test]
fn who_connects_anew_when_its_account_is_gone_does_not_stay_in_it() {
    let mut world = world();
    let mut b = client(&mut world, "b");
    let importer = world.node.hub().accounts().find(b"B").expect("an account");
    let World { node, staging } = &mut world;
    node.remove_account(importer.id(), staging).expect("an account");
    handle(&mut world, &mut b, b"CONNECT {\"verbose\":false}\r\nSUB x 1\r\n");
    assert_eq!((b.wants_input(), importer.index().len()), (false, 0));
}

#[test]
fn nobody_asks_an_account_that_is_gone() {
    let mut world = world();
    let (mut a, mut b) = (client(&mut world, "a"), client(&mut world, "b"));
    handle(&mut world, &mut a, b"SUB q.* 1\r\n");
    handle(&mut world, &mut b, b"PUB ask.1 0\r\n\r\n");
    let exporter = world.node.hub().accounts().find(b"A").expect("an account");
    let World { node, staging } = &mut world;
    node.remove_account(exporter.id(), staging).expect("an account");
    handle(&mut world, &mut b, b"PUB ask.1 0\r\n\r\n");
    assert_eq!(read_by(&mut world, &a).matches("HMSG q.1 ").count(), 1);
}

#[test]
fn who_goes_and_heard_nothing_of_another_account_costs_those_nothing_who_publish_there() {
    let mut world = world();
    let exporter = world.node.hub().accounts().find(b"A").expect("an account");
    // More than are removed in one slice: that their client is gone is to be known before.
    let mut is_outdated_by_who_wants = |subject: &str| {
        let mut b = client(&mut world, "b");
        let lines: String = (0..2_000).map(|sid| format!("SUB {subject} {sid}\r\n")).collect();
        handle(&mut world, &mut b, lines.as_bytes());
        let stamp = exporter.index().stamp(b"s.x");
        leave(&mut world, b);
        !exporter.index().is_current(stamp)
    };
    assert_eq!(["other", "in.s.y"].map(&mut is_outdated_by_who_wants), [false, true]);
}
