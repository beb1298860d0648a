//! Pages that are rendered piece by piece.

use std::ops::Range;

use proptest::prelude::*;

use super::*;

/// Pages as they were when each was made at once, with the targets that they were asked for.
const RECORDED: &str = include_str!("../recorded_pages.txt");

/// A node with something of each kind to list.
fn eventful() -> World {
    let mut world = World::in_cluster();
    world.peer("", "RS+ $G zed q 1\r\nRS+ $G a.>\r\nRS+ $SYS b<c\r\nLS+ leaf $G d");
    world.peer(r#","route_account":"$SYS""#, "RS+ $SYS.SERVER.*.SHUTDOWN");
    world.now = at(1);
    world.client(&format!(
        "{CONNECT}\r\nSUB b 1\r\nSUB a.* 2\r\nSUB a.b q 3\r\nSUB a.b<&> 4\r\nUNSUB 4 5\r\n"
    ));
    world.client("");
    world.now = at(2);
    world.client(&format!("{CONNECT}\r\nSUB a.b 7\r\nSUB a.* 8\r\nPUB a.b 5\r\nhello\r\n"));
    world.client(&format!("{CONNECT}\r\nSUB c 1\r\n"));
    world.now = at(3);
    world.close(3, CloseReason::ClientClosed);
    let last = world.open.len() - 1;
    world.close(last, CloseReason::StaleConnection);
    world.now = at(90);
    world
}

#[test]
fn pages_are_the_same_as_when_each_was_made_at_once() {
    let world = eventful();
    let mut compared = 0;
    for recorded in RECORDED.split("\n\n[") {
        let (target, page) = recorded.trim_start_matches('[').split_once("]\n").expect("a target");
        assert_eq!(world.get(target).body, page.trim_end(), "{target}");
        compared += 1;
    }
    assert_eq!(compared, 14);
}

/// All of a page that is rendered piece by piece, while `meanwhile` happens after each call.
fn rendered(world: &mut World, target: &str, mut meanwhile: impl FnMut(&mut World)) -> Value {
    let Reply::InPieces(mut rendering) = world.open(target, &Budget::default()) else {
        panic!("a whole answer")
    };
    let mut page = String::new();
    loop {
        let progress = world.render(&mut rendering);
        meanwhile(world);
        match progress {
            Progress::Working => {}
            Progress::Piece(piece) => {
                assert!(piece.len() < PIECE_BYTES + 1024, "a piece is written before there is more");
                page.push_str(&piece);
            }
            Progress::Last(piece) => return serde_json::from_str(&(page + &piece)).expect("JSON"),
            Progress::Refused => panic!("there is memory for it"),
        }
    }
}

fn subscribe(subjects: Range<usize>) -> String {
    subjects.map(|number| format!("SUB s.{number} {number}\r\n")).collect()
}

fn sids(list: &Value) -> Vec<usize> {
    let sid = |each: &Value| each["sid"].as_str().and_then(|sid| sid.parse().ok()).expect("a number");
    list.as_array().expect("a list").iter().map(sid).collect()
}

#[test]
fn a_client_with_many_subscriptions_is_listed_with_all_in_their_order() {
    const MANY: usize = 9_999;
    let mut world = World::new(Config::default());
    world.client("SUB a 0\r\n");
    // Of five digits each, so that their order by subject is that by number.
    world.client(&subscribe(10_000..10_000 + MANY));
    world.client("SUB t 0\r\n");
    let page = rendered(&mut world, "/connz?subs=detail", |_| {});
    let listed = sids(&page["connections"][1]["subscriptions_list_detail"]);
    assert!(listed.into_iter().eq(10_000..10_000 + MANY));
    assert_eq!(page["connections"][2]["subscriptions_list_detail"][0]["subject"], "t");

    let page = rendered(&mut world, "/subsz?subs=1&limit=100000", |_| {});
    assert!(
        sids(&page["subscriptions_list"])
            .into_iter()
            .eq([0].into_iter().chain(10_000..10_000 + MANY).chain([0]))
    );
    assert_eq!(page["total"], MANY + 2);
    let page = rendered(&mut world, "/subsz?subs=1&offset=3001&limit=1000", |_| {});
    assert!(sids(&page["subscriptions_list"]).into_iter().eq(13_000..14_000));
    let page = rendered(&mut world, "/subsz?subs=1&offset=10000", |_| {});
    assert_eq!((sids(&page["subscriptions_list"]), page["total"].as_u64()), (vec![0], Some(10_001)));
    let page = rendered(&mut world, "/subsz?subs=1&test=s.19000", |_| {});
    assert_eq!((sids(&page["subscriptions_list"]), page["total"].as_u64()), (vec![19_000], Some(1)));
}

#[test]
fn a_route_with_much_interest_is_listed_with_all_of_it() {
    const MANY: usize = 10_000;
    let mut world = World::in_cluster();
    let interest: String = (0..MANY).map(|number| format!("\r\nRS+ $G s.{number}")).collect();
    world.peer("", interest.trim_start());
    let page = rendered(&mut world, "/routez?subs=1", |_| {});
    let route = &page["routes"][0];
    let listed = route["subscriptions_list"].as_array().expect("a list");
    let subjects = (0..MANY).map(|number| Value::from(format!("s.{number}")));
    assert!(listed.iter().cloned().eq(subjects));
    assert_eq!(
        (route["subscriptions"].as_u64(), route["compression"].as_str()),
        (Some(MANY as u64), Some("off"))
    );
}

#[test]
fn connections_that_end_or_begin_while_a_page_is_rendered_are_not_on_it() {
    const MANY: usize = 400;
    let mut world = World::new(Config::default());
    for _ in 0..MANY {
        world.client("SUB a 1\r\n");
    }
    let mut calls = 0;
    let page = rendered(&mut world, "/connz?subs=detail&state=any", |world| {
        calls += 1;
        if calls == 1 {
            // By now it is known who is listed: these are gone before they are reached, and that one comes too late.
            (0..3).for_each(|_| world.close(300, CloseReason::ClientClosed));
            world.client("");
        }
    });
    assert!(calls > 2, "it took {calls} calls");
    let connections = page["connections"].as_array().expect("a list");
    let cids: Vec<_> = connections.iter().filter_map(|each| each["cid"].as_u64()).collect();
    assert_eq!(cids, (1..=300).chain(304..=MANY as u64).collect::<Vec<_>>());
    assert_eq!(page["total"], MANY);
}

#[test]
fn a_client_that_subscribes_without_end_does_not_make_a_page_without_end() {
    let mut world = World::new(Config::default());
    world.client(&subscribe(0..3_000));
    let mut next = 3_000;
    let page = rendered(&mut world, "/subsz?subs=1&limit=1000000", |world| {
        let lines = subscribe(next..next + 100);
        next += 100;
        world.hear(0, &lines);
    });
    assert!(sids(&page["subscriptions_list"]).len() < 4_000);
}

#[test]
fn pages_that_need_more_memory_than_there_is_for_all_are_refused_until_others_are_done() {
    let mut world = World::new(Config::default());
    world.client(&subscribe(0..3_000));
    let budget = Budget::default();
    let open = |target| match world.open(target, &budget) {
        Reply::InPieces(rendering) => rendering,
        Reply::Whole(response) => panic!("{response:?}"),
    };
    let begun = |rendering: &mut Rendering| loop {
        match world.render(rendering) {
            Progress::Working => {}
            progress => break matches!(progress, Progress::Piece(_)),
        }
    };
    let mut waiting = Vec::new();
    let mut refused = loop {
        let mut rendering = open("/subsz?subs=1&limit=3000");
        if !begun(&mut rendering) {
            break rendering;
        }
        waiting.push(rendering);
    };
    assert!(waiting.len() > 30, "{}", waiting.len());
    assert!(budget.taken_bytes() <= MAX_WAITING_BYTES && budget.taken_bytes() > MAX_WAITING_BYTES / 10 * 9);
    let small = |target| matches!(world.open(target, &budget), Reply::Whole(Response { status: 200, .. }));
    assert!(small("/healthz") && small("/varz"), "what is small is served all the same");
    waiting.pop();
    assert!(begun(&mut refused));
    drop((waiting, refused));
    assert_eq!(budget.taken_bytes(), 0);
}

#[test]
fn a_page_that_turns_out_to_need_too_much_is_refused_before_anything_of_it_is_written() {
    let mut world = World::new(Config::default());
    for _ in 0..3000 {
        world.client("");
    }
    let budget = Budget::default();
    let Reply::InPieces(mut rendering) = world.open("/connz", &budget) else { panic!("a whole answer") };
    assert!(matches!(world.render(&mut rendering), Progress::Working));
    let mut rest = budget.share();
    rest.set(MAX_WAITING_BYTES - budget.taken_bytes() - 1000).expect("it is left");
    assert!(matches!(world.render(&mut rendering), Progress::Refused));
}

/// What happens while a page is rendered.
#[derive(Clone, Debug)]
enum Event {
    /// Of the route and of a client that stay.
    Subscribe(Range<usize>),
    Unsubscribe(Range<usize>),
    /// A client.
    Come,
    Go,
}

fn event() -> impl Strategy<Value = Event> {
    let some = || (0..2_000_usize, 1..400_usize).prop_map(|(first, count)| first..first + count);
    prop_oneof![
        some().prop_map(Event::Subscribe),
        some().prop_map(Event::Unsubscribe),
        Just(Event::Come),
        Just(Event::Go),
    ]
}

fn happen(world: &mut World, event: &Event) {
    let mut hear = |place: usize, lines: String| world.hear(place, &lines);
    match event {
        Event::Subscribe(some) => {
            hear(0, some.clone().map(|n| format!("RS+ $G p.{n}\r\n")).collect());
            hear(2, some.clone().map(|n| format!("SUB p.{n} p{n}\r\n")).collect());
        }
        Event::Unsubscribe(some) => {
            hear(0, some.clone().map(|n| format!("RS- $G p.{n}\r\n")).collect());
            hear(2, some.clone().map(|n| format!("UNSUB p{n}\r\n")).collect());
        }
        Event::Come => {
            world.client(&format!("{CONNECT}\r\nSUB p 1\r\n"));
        }
        Event::Go if world.open.len() > 4 => world.close(4, CloseReason::ClientClosed),
        Event::Go => {}
    }
}

/// What a page lists of that which stays, in its order: who it belongs to, and the subject.
fn staying(page: &Value) -> Vec<String> {
    let (mut listed, mut values) = (Vec::new(), vec![page]);
    while let Some(value) = values.pop() {
        match value {
            Value::Object(fields) => values.extend(fields.values().rev()),
            Value::Array(elements) => values.extend(elements.iter().rev()),
            _ => {}
        }
        let subject = value["subject"].as_str().filter(|subject| subject.starts_with("s."));
        listed.extend(subject.map(|subject| format!("{} {subject}", value["cid"])));
    }
    listed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_stays_is_on_a_page_once_and_in_order_whatever_comes_and_goes_meanwhile(
        counts in prop::array::uniform4(0..1_000_usize),
        events in prop::collection::vec(event(), 1..60),
        page in 0..3_usize,
    ) {
        let mut world = World::in_cluster();
        let interest: String = (0..counts[0]).map(|n| format!("\r\nRS+ $G s.{n}")).collect();
        world.peer("", &format!("RS+ $G first{interest}"));
        for count in &counts[1..] {
            world.client(&format!("{CONNECT}\r\n{}", subscribe(0..*count)));
        }
        let target = ["/connz?subs=detail", "/routez?subs=detail", "/subsz?subs=1&limit=1000000"][page];
        let expected = staying(&world.json(target));
        let count = if page == 1 { counts[0] } else { counts[1..].iter().sum() };
        prop_assert_eq!(expected.len(), count);
        let mut events = events.iter().cycle();
        let page = rendered(&mut world, target, |world| {
            happen(world, events.next().expect("they go round"));
        });
        prop_assert!(staying(&page) == expected);
    }
}
