//! Questions of a client of the system account, which hears the answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::answer::MAX_OWN_ANSWER_BYTES;
use super::*;
use crate::close::CloseReason;
use crate::config::{AccountConfig, Authorization, ClusterConfig, Config, User};
use crate::connection::Connection;
use crate::hub::Kind;
use crate::node::Listening;
use crate::outbox::Delivery;
use crate::transport::Encoder;
use crate::wire::system::MAX_QUESTION_BYTES;

/// A node, a client of its system account that listens to `in.>`, and a route.
struct World {
    services: Services,
    client: Connection,
    route: Connection,
    now: Instant,
    ear: Ear,
}

/// Hears what is said in messages.
struct Ear {
    messages: Vec<String>,
    pressure: Pressure,
}

impl Sink for Ear {
    fn deliver(&mut self, _: ConnectionId, delivery: &Delivery<'_>) {
        let body = delivery.body.bytes().trim_ascii_end();
        self.messages.push(String::from_utf8(body.to_vec()).expect("UTF-8"));
    }

    fn staged_for(&self) -> usize {
        0
    }

    fn send(&mut self, _: ConnectionId, _: &[u8]) {}
    fn announce(&mut self, _: ConnectionId, _: &[u8]) {}
    fn switch(&mut self, _: ConnectionId, _: Encoder) {}
    fn bequeath(&mut self, _: ConnectionId, _: ConnectionId, _: &[u8]) {}

    fn pressure(&mut self, _: ConnectionId) -> Pressure {
        self.pressure
    }

    fn close(&mut self, _: ConnectionId, _: CloseReason) {}
}

impl World {
    fn new() -> Self {
        let cluster = ClusterConfig { name: Some("c".to_owned()), ..ClusterConfig::default() };
        let config = Config {
            server_name: Some("A".to_owned()),
            host: "127.0.0.1".to_owned(),
            cluster: Some(cluster),
            ..Config::default()
        };
        let now = Instant::ZERO;
        let node = Node::new(config, &Listening::default(), now);
        node.offer_reload();
        let mut ear = Ear { messages: Vec::new(), pressure: Pressure::Low };
        let services = Services::new(&node, &mut ear);
        let (account, remote) =
            (node.hub().system_account().expect("it has one").id(), ([127, 0, 0, 1], 1).into());
        let mut client = Connection::accept_client_in(&node, account, now, remote, &mut ear);
        client.handle_input(now, b"CONNECT {\"verbose\":false}\r\nSUB in.> 1\r\n", &mut ear);
        let mut route = Connection::accept_route(&node, now, remote, &mut ear);
        let info = r#"{"server_id":"NB","server_name":"B","cluster":"c"}"#;
        route.handle_input(now, format!("CONNECT {info}\r\nINFO {info}\r\n").as_bytes(), &mut ear);
        Self { services, client, route, now, ear }
    }

    /// The route brings interest in so many subjects, each about so long.
    fn want(&mut self, subjects: usize, bytes: usize) {
        for number in 0..subjects {
            let line = format!("RS+ $G {number}.{}\r\n", "x".repeat(bytes));
            self.route.handle_input(self.now, line.as_bytes(), &mut self.ear);
        }
    }

    fn put(&mut self, question: &str) {
        let subject = system::QUESTION_TO_ALL;
        let line = format!("PUB {subject} in.1 {}\r\n{question}\r\n", question.len());
        self.client.handle_input(self.now, line.as_bytes(), &mut self.ear);
    }

    /// Somebody else asks, for the same reader.
    fn put_from(&mut self, asker: u32, question: &str) {
        let hub = self.services.node.hub();
        let (id, subject) = (hub.next_subscription(), system::QUESTION_TO_ALL.as_bytes());
        let to = Subscription::new(id, ConnectionId::SERVICES, Source::Service, subject, b"", ROUTES);
        hub.mailbox().put(&Arc::new(to), ConnectionId::new(asker, 0), Some(b"in.1"), question.as_bytes());
    }

    /// Lets the services do all that can be done, and returns what was said and how often they had to be called.
    fn work(&mut self) -> (Vec<String>, usize) {
        for calls in 1.. {
            self.services.handle_requests(self.now, &mut self.ear);
            match self.services.resume_at {
                Some(at) => self.now = at,
                None => return (std::mem::take(&mut self.ear.messages), calls),
            }
        }
        unreachable!("it ends before the numbers do")
    }

    fn ask(&mut self, question: &str) -> Option<Value> {
        self.put(question);
        let answer = self.work().0.pop()?;
        Some(serde_json::from_str(&answer).expect("an answer is JSON"))
    }

    fn dropped(&self) -> u64 {
        self.services.node.hub().mailbox().dropped()
    }
}

const DETAIL: &str = r#"{"subscriptions_detail":true}"#;
const SUBJECTS: &str = r#"{"subscriptions":true}"#;

#[test]
fn a_question_is_answered_with_who_answers_and_its_routes() {
    let mut world = World::new();
    let answer = world.ask("").expect("it is for everybody");
    let id = world.services.node.hub().server_id();
    assert_eq!(answer["server"]["name"], "A");
    assert_eq!(answer["server"]["cluster"], "c");
    assert_eq!(answer["server"]["id"], id);
    assert_eq!(answer["server"]["seq"], 1);
    assert_eq!(answer["data"]["num_routes"], 1);
    assert_eq!(answer["data"]["server_id"], id);
    assert_eq!(answer.get("error"), None);
}

#[test]
fn a_question_that_is_for_others_is_not_answered() {
    let mut world = World::new();
    for own in [
        r#"{"server_name":"A"}"#,
        r#"{"host":"0.0"}"#,
        r#"{"cluster":"c","exact_match":true}"#,
        r#"{"name":"B"}"#,
        "null",
        " {} ",
    ] {
        assert!(world.ask(own).is_some(), "{own}");
    }
    for other in [
        r#"{"server_name":"a"}"#,
        r#"{"Server_Name":"B"}"#,
        r#"{"host":"0.0","exact_match":true}"#,
        r#"{"cluster":"d"}"#,
        r#"{"tags":["x"]}"#,
        r#"{"domain":"x"}"#,
    ] {
        assert_eq!(world.ask(other), None, "{other}");
    }
}

#[test]
fn a_question_that_cannot_be_read_is_answered_with_an_error() {
    let endless = format!(r#"{{"tags":["{}"]}}"#, "x".repeat(MAX_QUESTION_BYTES));
    for faulty in ["nonsense", "[]", "5", r#"{"subscriptions":5}"#, &endless] {
        let answer = World::new().ask(faulty).expect("nobody else is meant");
        assert_eq!(answer["error"]["code"], 400, "{faulty}");
        assert_eq!(answer.get("data"), None, "{faulty}");
    }
}

#[test]
fn the_answer_of_one_node_can_be_heard_by_another() {
    let mut world = World::new();
    world.put("");
    let heard = system::neighbours(world.work().0[0].as_bytes());
    assert_eq!(heard.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["NB"]);
}

#[test]
fn a_question_that_nobody_waits_for_an_answer_to_is_not_answered() {
    let mut world = World::new();
    world.client.handle_input(world.now, b"UNSUB 1\r\n", &mut world.ear);
    assert_eq!(world.ask(""), None);
    assert_eq!((world.services.answers, world.services.deferred.len()), (0, 0));
}

#[test]
fn very_many_who_wait_for_an_answer_get_it_in_slices() {
    let mut world = World::new();
    let subscriptions: String = (0..5000).map(|sid| format!("SUB in.1 more{sid}\r\n")).collect();
    world.client.handle_input(world.now, subscriptions.as_bytes(), &mut world.ear);
    while world.client.wants_turn() {
        world.client.handle_turn(world.now, &mut world.ear);
    }
    world.put("");
    world.put("");
    let (answers, calls) = world.work();
    assert_eq!(answers.len(), 2 * 5001);
    assert!(answers[..5001].iter().all(|answer| *answer == answers[0]), "one answer after the other");
    assert!(calls > 5, "{calls}");
}

#[test]
fn who_has_enough_to_read_is_answered_when_that_is_read() {
    let mut world = World::new();
    world.ear.pressure = Pressure::High;
    assert_eq!(world.ask(""), None);
    let look_at = world.services.poll_timeout().expect("it is not forgotten");
    world.now = look_at;
    assert_eq!(world.work().0.len(), 0);
    world.ear.pressure = Pressure::Low;
    assert_eq!(world.work().0.len(), 0, "it is not looked all the time");
    world.now = world.services.poll_timeout().expect("it is still not forgotten");
    assert_eq!((world.now.since(look_at), world.work().0.len()), (DEFER_PAUSE, 1));
    assert_eq!(world.services.poll_timeout(), None);
}

#[test]
fn only_so_many_questions_wait_for_their_readers_of_one_asker_and_in_all() {
    for (askers, each, bytes, deferred) in [
        (1, MAX_DEFERRED_OF_ONE, 0, MAX_DEFERRED_OF_ONE),
        (1, MAX_DEFERRED_OF_ONE + 10, 0, MAX_DEFERRED_OF_ONE),
        (MAX_DEFERRED + 10, 1, 0, MAX_DEFERRED),
        (500, 1, MAX_QUESTION_BYTES, MAX_DEFERRED_BYTES / (MAX_QUESTION_BYTES + "in.1".len())),
    ] {
        let mut world = World::new();
        world.ear.pressure = Pressure::High;
        for asker in (0..askers).flat_map(|asker| vec![asker; each]) {
            world.put_from(100 + asker as u32, &" ".repeat(bytes));
            world.work();
        }
        assert_eq!(world.services.deferred.len(), deferred);
        world.ear.pressure = Pressure::Low;
        assert!(world.ask("").is_some(), "who asks now need not wait for them");
        world.now += DEFER_PAUSE;
        assert_eq!((world.work().0.len(), world.services.deferred.len()), (deferred, 0));
    }
}

#[test]
fn the_interest_of_routes_is_told_once_a_second_to_each_who_asks() {
    let mut world = World::new();
    world.want(2, 1);
    let route = |answer: &Value| answer["data"]["routes"][0].clone();
    let first = world.ask(DETAIL).expect("an answer");
    assert_eq!(route(&first)["subscriptions_list_detail"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["data"].get("onehop_truncated"), None);
    for question in [DETAIL, SUBJECTS].repeat(30) {
        let again = world.ask(question).expect("an answer");
        assert_eq!(again["data"]["onehop_truncated"], true);
        let route = route(&again);
        assert_eq!(route["subscriptions"], 2, "the numbers are right");
        assert_eq!((route.get("subscriptions_list"), route.get("subscriptions_list_detail")), (None, None));
    }
    let without = world.ask("").expect("an answer");
    assert_eq!(without["data"].get("onehop_truncated"), None, "nothing is left out that was asked for");

    // Asked for a client behind it, over a route.
    let line = format!("RMSG $SYS {} in.1 {}\r\n{DETAIL}\r\n", system::QUESTION_TO_ALL, DETAIL.len());
    world.route.handle_input(world.now, line.as_bytes(), &mut world.ear);
    assert!(!world.work().0[0].contains("onehop_truncated"), "another asks");
    world.now += INTEREST_INTERVAL;
    let later = world.ask(SUBJECTS).expect("an answer");
    assert_eq!(route(&later)["subscriptions_list"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.services.told_interest.len(), 1, "who asked long ago is forgotten");
}

#[test]
fn a_long_answer_is_written_in_parts_and_lists_everything() {
    let mut world = World::new();
    world.want(5000, 100);
    world.put(DETAIL);
    let (answers, calls) = world.work();
    let answer: Value = serde_json::from_str(&answers[0]).expect("JSON");
    let route = &answer["data"]["routes"][0];
    assert_eq!(route["subscriptions_list_detail"].as_array().map(Vec::len), Some(5000));
    assert!(answers[0].len() > 1_000_000 && calls > 5, "{calls} calls for {} bytes", answers[0].len());
}

#[test]
fn an_answer_lists_no_interest_beyond_the_limit_but_all_routes() {
    let mut world = World::new();
    world.want(5000, 1000);
    let info = r#"{"server_id":"NC","server_name":"C","cluster":"c"}"#;
    let remote = ([127, 0, 0, 1], 2).into();
    let mut other = Connection::accept_route(&world.services.node, world.now, remote, &mut world.ear);
    let lines = format!("CONNECT {info}\r\nINFO {info}\r\nRS+ $G foo\r\n");
    other.handle_input(world.now, lines.as_bytes(), &mut world.ear);
    world.put(DETAIL);
    let (answers, _) = world.work();
    let bytes = answers[0].len();
    assert!((MAX_OWN_ANSWER_BYTES - 10_000..MAX_OWN_ANSWER_BYTES).contains(&bytes), "{bytes}");
    let answer: Value = serde_json::from_str(&answers[0]).expect("JSON");
    let data = &answer["data"];
    assert_eq!((&data["num_routes"], &data["onehop_truncated"]), (&2.into(), &true.into()));
    let [first, second] = [0, 1].map(|number| data["routes"][number].clone());
    let listed = first["subscriptions_list_detail"].as_array().map_or(0, Vec::len);
    assert!(first["subscriptions"] == 5000 && (1..5000).contains(&listed), "{listed}");
    assert_eq!((&second["remote_id"], &second["subscriptions"]), (&"NC".into(), &1.into()));
    assert_eq!(second.get("subscriptions_list_detail"), None);
}

#[test]
fn questions_beyond_the_limit_are_dropped_and_the_rest_answered_in_parts() {
    let mut world = World::new();
    (0..5000).for_each(|number| world.put_from(number / 10, ""));
    let (answers, calls) = world.work();
    assert_eq!((answers.len(), world.dropped()), (1024, 5000 - 1024));
    assert_eq!(world.services.reported_drops, world.dropped());
    assert!(calls > 10, "{calls}");
}

#[test]
fn who_looks_which_servers_are_there_does_so_once_more_when_a_route_is_gone() {
    let mut world = World::new();
    world.work();
    let (node, id) = (world.services.node.clone(), world.route.id());
    // The node's driver may have its turn at any time while the route ends, and finds it until it is gone.
    node.end_interest(id);
    world.work();
    assert!(node.hub().directory().get(id).is_some());
    let _ = world.route.handle_closed(world.now, &mut world.ear);
    assert!(node.hub().directory().get(id).is_none() && node.hub().census().take_servers());
}

/// The node's driver may have its turn at any moment while a client ends.
#[test]
fn whoever_counts_the_clients_of_an_account_while_one_ends_is_told_to_count_again() {
    let user = User { account: Some("A".to_owned()), ..User::with_password("a", "p") };
    let (accounts, authorization) = (vec![AccountConfig::new("A")], Authorization::Users(vec![user]));
    let config = Config { accounts, authorization, ..Config::default() };
    let node = Node::new(config, &Listening::default(), Instant::ZERO);
    let (counts, is_over, counted) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                counts.store(true, Ordering::SeqCst);
                if !node.hub().census().take().is_empty() {
                    counted.store(node.hub().directory().count(Kind::Client), Ordering::SeqCst);
                }
                counts.store(false, Ordering::SeqCst);
            }
        });
        let mut wrong = 0;
        for _ in 0..1_000 {
            let remote = ([127, 0, 0, 1], 1).into();
            let mut client = Connection::accept_client(&node, Instant::ZERO, remote, &mut ());
            client.handle_input(Instant::ZERO, b"CONNECT {\"user\":\"a\",\"pass\":\"p\"}\r\n", &mut ());
            let _ = client.handle_closed(Instant::ZERO, &mut ());
            while !node.hub().census().is_empty() || counts.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            wrong += usize::from(counted.load(Ordering::SeqCst) > 0);
        }
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(wrong, 0, "so many times a client that is gone was counted last");
    });
}

#[test]
fn so_many_wait_for_the_configuration_to_be_read_again_and_each_hears_of_a_time_that_began_after_it_asked() {
    let mut world = World::new();
    let node = world.services.node.clone();
    let subject = system::reload_of(node.hub().server_id());
    let ask = |world: &mut World, times: usize| {
        let line = format!("PUB {subject} in.1 0\r\n\r\n").repeat(times);
        world.client.handle_input(world.now, line.as_bytes(), &mut world.ear);
        world.work().0.len()
    };
    assert!(!node.take_reload());
    assert_eq!(ask(&mut world, 2), 0);
    assert!(node.take_reload() && !node.take_reload());
    // What this one asks for may have been read before.
    assert_eq!(ask(&mut world, 1), 0);
    node.handle_reloaded(Err("no".to_owned()));
    let (answers, _) = world.work();
    assert_eq!(
        answers.iter().filter(|answer| answer.contains(r#""error":{"code":500,"description":"no"}"#)).count(),
        2
    );
    assert!(node.take_reload());
    node.handle_reloaded(Ok(()));
    let (answers, _) = world.work();
    assert!(answers.len() == 1 && !answers[0].contains("error"), "{answers:?}");
    assert_eq!(ask(&mut world, super::reload::MAX_RELOADS + 10), 0);
    assert!(node.take_reload());
    node.handle_reloaded(Ok(()));
    assert_eq!(world.work().0.len(), super::reload::MAX_RELOADS);
}
