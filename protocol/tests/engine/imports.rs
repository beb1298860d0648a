//! Streams and services that accounts take from each other (wire.md 1.12).

use onehop::config::{
    AccountConfig, Authorization, Config, Export, Import, Mapping, MappingDestination, Response, User,
};

use crate::scene::Scene;
use crate::script::play;

/// A exports to B, and B to C.
fn accounts() -> Vec<AccountConfig> {
    let a = AccountConfig {
        exports: vec![
            Export::stream("s.>"),
            Export::stream("st.*"),
            Export::service("q.*", Response::Single),
            Export::service("many.*", Response::Stream),
        ],
        mappings: vec![Mapping::simple("q.map", "q.mapped")],
        ..AccountConfig::new("A")
    };
    let b = AccountConfig {
        exports: vec![Export::service("ask.*", Response::Single)],
        mappings: vec![Mapping {
            source: "ask.draw".into(),
            destinations: ["ask.1", "ask.2"].map(half).into(),
        }],
        imports: vec![
            Import::stream("A", "s.>", "in.s.>"),
            Import::stream("A", "st.*", "got.$1.here"),
            Import::service("A", "q.*", "ask.$1"),
            Import::service("A", "many.*", "asks.$1"),
        ],
        ..AccountConfig::new("B")
    };
    let c =
        AccountConfig { imports: vec![Import::service("B", "ask.*", "top.$1")], ..AccountConfig::new("C") };
    vec![a, b, c]
}

fn half(subject: &str) -> MappingDestination {
    MappingDestination { subject: subject.into(), weight: 50, cluster: None }
}

fn configure(config: &mut Config) {
    config.accounts = accounts();
    let user = |(name, account)| User::with_password(name, "p").in_account(account);
    let users = [("a", "A"), ("a2", "A"), ("b", "B"), ("b2", "B"), ("c", "C")].map(user);
    config.authorization = Authorization::Users(users.into());
}

fn alone() -> Scene {
    Scene::alone(configure)
}

const CONNECTED: &str = r#"
    a> CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"a","pass":"p"}
    b> CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"b","pass":"p"}
    "#;

fn play_connected(scene: &mut Scene, text: &str) {
    play(scene, &format!("{CONNECTED}{text}"));
}

#[test]
fn an_importer_hears_a_stream_by_its_own_subject_for_as_long_as_it_listens() {
    play_connected(
        &mut alone(),
        r"
        b> SUB in.s.* 1
        b> SUB got.5.* 2
        a> PUB s.x 1\r\nx
        b< MSG in.s.x 1 1
        b< x
        a> PUB st.5 1\r\nx
        b< MSG got.5.here 2 1
        b< x
        a> PUB st.6 1\r\nx
        b> PUB in.s.own 1\r\nx
        b< MSG in.s.own 1 1
        b< x
        b> UNSUB 1
        a> PUB s.x 1\r\nx
        b> SUB in.s.* 1
        b/
        a> PUB s.x r 1\r\nx
        ",
    );
}

#[test]
fn members_of_importers_and_of_the_exporter_share_a_group() {
    let mut scene = alone();
    let mut counts = [0; 2];
    let publisher = scene.client("A");
    let connect = r#"CONNECT {"verbose":false,"user":"a2","pass":"p"}"#;
    scene.send(publisher, format!("{connect}\r\n").as_bytes());
    let [a, b] = [0, 1].map(|_| scene.client("A"));
    for (client, user, sub) in [(a, "a", "SUB s.y g 1"), (b, "b", "SUB in.s.y g 1")] {
        let connect = format!(r#"CONNECT {{"verbose":false,"user":"{user}","pass":"p"}}"#);
        scene.send(client, format!("{connect}\r\n{sub}\r\n").as_bytes());
        scene.take(client);
    }
    for _ in 0..100 {
        scene.send(publisher, b"PUB s.y 0\r\n\r\n");
    }
    for (count, client) in counts.iter_mut().zip([a, b]) {
        *count = scene.take(client).matches("MSG ").count();
    }
    assert_eq!(counts[0] + counts[1], 100);
    assert!(counts.iter().all(|count| (20..80).contains(count)), "{counts:?}");
}

#[test]
fn messages_of_other_accounts_count_as_those_that_a_subscription_may_get() {
    play_connected(
        &mut alone(),
        r"
        b> SUB in.s.* 1
        b> UNSUB 1 2
        a> PUB s.x 1\r\n1
        b< MSG in.s.x 1 1
        b< 1
        a> PUB s.x 1\r\n2
        b< MSG in.s.x 1 1
        b< 2
        a> PUB s.x 1\r\n3
        b> SUB in.s.* 1
        a> PUB s.x 1\r\n4
        b< MSG in.s.x 1 1
        b< 4
        ",
    );
}

#[test]
fn a_request_comes_to_the_exporter_and_one_answer_goes_back() {
    play_connected(
        &mut alone(),
        r#"
        a> SUB q.* 1
        b> SUB r 1
        b> PUB ask.7 r 2\r\nhi
        a< HMSG q.7 1 $r 44 46
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a< hi
        a> PUB $r 2\r\nok
        b< MSG r 1 2
        b< ok
        a> PUB $r 2\r\nok
        b> PUB ask.7 2\r\nhi
        a< HMSG q.7 1 44 46
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a< hi
        "#,
    );
}

#[test]
fn where_nobody_answers_the_requester_is_told_the_subject_that_it_knows() {
    play_connected(
        &mut alone(),
        r"
        b> SUB r 1
        b> PUB ask.7 r 2\r\nhi
        b< HMSG r 1 37 37
        b< NATS/1.0 503
        b< Nats-Subject: ask.7
        b<
        b<
        ",
    );
}

#[test]
fn a_stream_of_answers_ends_with_an_empty_one() {
    play_connected(
        &mut alone(),
        r#"
        a> SUB many.* 1
        b> SUB r 1
        b> PUB asks.7 r 0\r\n
        a< HMSG many.7 1 $r 44 44
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a<
        a> PUB $r 1\r\n1
        b< MSG r 1 1
        b< 1
        a> PUB $r 1\r\n2
        b< MSG r 1 1
        b< 2
        a> PUB $r 0\r\n
        b< MSG r 1 0
        b<
        a> PUB $r 1\r\n3
        "#,
    );
}

#[test]
fn who_answers_may_ask_back() {
    play_connected(
        &mut alone(),
        r#"
        a> SUB q.* 1
        a> SUB back 2
        b> SUB r 1
        b> PUB ask.7 r 0\r\n
        a< HMSG q.7 1 $r 44 44
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a<
        a> PUB $r back 2\r\nok
        b< MSG r 1 $back 2
        b< ok
        b> PUB $back 3\r\nyes
        a< MSG back 2 3
        a< yes
        b> PUB $back 3\r\nyes
        "#,
    );
}

#[test]
fn a_request_goes_through_several_accounts_and_its_answer_back() {
    play_connected(
        &mut alone(),
        r#"
        c> CONNECT {"verbose":false,"headers":true,"user":"c","pass":"p"}
        a> SUB q.* 1
        b> SUB ask.* 1
        c> SUB r 1
        c> HPUB top.7 r 18 20\r\nNATS/1.0\r\nX: y\r\n\r\nhi
        b< HMSG ask.7 1 $middle 50 52
        b< NATS/1.0
        b< X: y
        b< Nats-Request-Info: {"acc":"C"}
        b<
        b< hi
        a< HMSG q.7 1 $r 60 62
        a< NATS/1.0
        a< X: y
        a< Nats-Request-Info: {"acc":"C","svc":"B"}
        a<
        a< hi
        a> PUB $r 2\r\nok
        c< MSG r 1 2
        c< ok
        "#,
    );
}

#[test]
fn an_exporter_maps_what_others_ask() {
    play_connected(
        &mut alone(),
        r#"
        a> SUB q.* 1
        b> PUB ask.map 0\r\n
        a< HMSG q.mapped 1 44 44
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a<
        "#,
    );
}

#[test]
fn a_request_goes_on_where_its_exporter_draws_what_it_asks_itself() {
    let mut scene = alone();
    let [a, c] = [("A", "a"), ("C", "c")].map(|(account, user)| {
        let client = scene.client_in("A", account);
        scene.send(
            client,
            format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n").as_bytes(),
        );
        client
    });
    scene.send(a, b"SUB q.* 1\r\n");
    scene.send(c, &b"PUB top.draw 2\r\nhi\r\n".repeat(64));
    let asked = scene.take(a);
    let counts = ["MSG q.1 1 ", "MSG q.2 1 "].map(|line| asked.matches(line).count());
    assert!(counts.iter().all(|count| *count > 16) && counts.iter().sum::<usize>() == 64, "{counts:?}");
}

#[test]
fn whatever_headers_a_request_has_they_say_who_asks_and_nothing_else_of_it() {
    let ends = [r"\n\n", r"\n", r"", r"\r\n", r"\r\n\n", r"\r\n\r\n\r\n"];
    for (line_break, end) in [r"\n", r"\r\n", r"\r\n\r\n"].iter().flat_map(|it| ends.map(|end| (it, end))) {
        let forged = ["NATS/1.0", "X: y", r#"Nats-Request-Info: {"acc":"A"}"#].join(line_break) + end;
        let bytes = forged.replace(r"\r", "\r").replace(r"\n", "\n").len();
        let total = bytes + 2;
        let request = format!(
            r#"
            a> SUB q.* 1
            b> HPUB ask.7 {bytes} {total}\r\n{forged}hi
            a< HMSG q.7 1 50 52
            a< NATS/1.0
            a< X: y
            a< Nats-Request-Info: {{"acc":"B"}}
            a<
            a< hi
            "#
        );
        play_connected(&mut alone(), &request);
    }
}

#[test]
fn who_only_looks_where_an_answer_would_go_leaves_it_to_be_given() {
    play_connected(
        &mut alone(),
        r#"
        a> SUB q.* 1
        b> SUB r 1
        b> PUB ask.7 r 2\r\nhi
        a< HMSG q.7 1 $r 44 46
        a< NATS/1.0
        a< Nats-Request-Info: {"acc":"B"}
        a<
        a< hi
        a> HPUB $r 57 59\r\nNATS/1.0\r\nNats-Trace-Dest: events\r\nNats-Trace-Only: 1\r\n\r\nok
        a> PUB $r 2\r\nok
        b< MSG r 1 2
        b< ok
        "#,
    );
}

#[test]
fn of_what_nobody_answers_a_requester_is_told_on_its_own_subscription_and_on_none_to_an_import() {
    let mut scene = Scene::alone(|config| {
        let a = AccountConfig {
            exports: vec![Export::stream("r")],
            imports: vec![Import::stream("A", "r", "own.r")],
            ..AccountConfig::new("A")
        };
        config.accounts = vec![a];
        config.authorization = Authorization::Users(vec![User::with_password("a", "p").in_account("A")]);
    });
    play(
        &mut scene,
        r#"
        a> CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"a","pass":"p"}
        a> SUB own.r 1
        a> PUB nobody r 0\r\n
        a> SUB r 2
        a> PUB nobody r 0\r\n
        a< HMSG r 2 38 38
        a< NATS/1.0 503
        a< Nats-Subject: nobody
        a<
        a<
        "#,
    );
}

/// Each account imports what the next one exports.
fn chain(accounts: usize) -> Scene {
    Scene::alone(|config| {
        let account = |number: usize| AccountConfig {
            exports: vec![Export::service("s", Response::Single)],
            imports: (number + 1 < accounts)
                .then(|| Import::service(&format!("A{}", number + 1), "s", "s"))
                .into_iter()
                .collect(),
            ..AccountConfig::new(format!("A{number}"))
        };
        config.accounts = (0..accounts).map(account).collect();
        let user = |number| User::with_password(&format!("u{number}"), "p").in_account(&format!("A{number}"));
        config.authorization = Authorization::Users((0..accounts).map(user).collect());
    })
}

#[test]
fn a_request_goes_through_sixteen_accounts_and_no_further_and_so_does_its_answer() {
    let mut scene = chain(20);
    let join = |scene: &mut Scene, number: usize| {
        let client = scene.client_in("A", &format!("A{number}"));
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"user\":\"u{number}\",\"pass\":\"p\"}}\r\n"
        );
        scene.send(client, connect.as_bytes());
        client
    };
    let [first, last, beyond] = [0, 16, 17].map(|number| join(&mut scene, number));
    scene.take(first);
    scene.send(first, b"SUB r 1\r\n");
    scene.send(last, b"SUB s 1\r\n");
    scene.send(beyond, b"SUB s 1\r\n");
    for client in [last, beyond] {
        scene.take(client);
    }
    scene.send(first, b"PUB s r 0\r\n\r\n");
    let asked = scene.take(last);
    let reply = asked.split(' ').nth(3).unwrap_or_default().to_owned();
    assert!(asked.starts_with("HMSG s 1 _R_."), "{asked}");
    assert_eq!(scene.take(beyond), "");
    scene.send(last, format!("PUB {reply} 2\r\nok\r\n").as_bytes());
    assert_eq!(scene.take(first), "MSG r 1 2\r\nok\r\n");
}

#[test]
fn answers_find_their_way_across_routes() {
    let mut scene = Scene::new();
    scene.start("A", &[], configure);
    scene.start("B", &["A"], configure);
    scene.settle();
    play(
        &mut scene,
        r#"
        B.a> CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"a","pass":"p"}
        b> CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"b","pass":"p"}
        B.a> SUB q.* 1
        b> SUB r 1
        b> PUB ask.7 r 2\r\nhi
        B.a< HMSG q.7 1 $r 44 46
        B.a< NATS/1.0
        B.a< Nats-Request-Info: {"acc":"B"}
        B.a<
        B.a< hi
        B.a> PUB $r 2\r\nok
        b< MSG r 1 2
        b< ok
        B.b> CONNECT {"verbose":false,"user":"b2","pass":"p"}
        B.b> SUB in.s.> 1
        a> CONNECT {"verbose":false,"user":"a","pass":"p"}
        a> PUB s.x 1\r\nx
        B.b< MSG in.s.x 1 1
        B.b< x
        "#,
    );
}
