//! Streams and services that accounts take from each other (wire.md 1.12).

use onehop::config::{AccountConfig, Authorization, Config, Export, Import, Mapping, Response, User};

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
