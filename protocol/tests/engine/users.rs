//! Users: who a client is, and what it may do (wire.md 1.12).

use std::sync::Arc;

use log::Level;
use onehop::config::{
    Authorization, Config, Permissions, ResponsePermission, Rules, Secret, SubjectRule, User,
};
use onehop::connection::{Effect, EffectAnswer};
use onehop::{CloseReason, Engine, Instant, Listening};

use crate::logs::Lines;
use crate::scene::{SECOND, Scene};
use crate::script::play;

/// Of `foobar`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu9log0hrAUiurK9/TETFbcPOPd.iIULC";

fn only(allow: &[&str]) -> Rules {
    Rules { allow: Some(allow.iter().copied().map(SubjectRule::new).collect()), deny: Vec::new() }
}

fn all_but(deny: &[&str]) -> Rules {
    Rules { allow: None, deny: deny.iter().copied().map(SubjectRule::new).collect() }
}

fn restricted(name: &str, permissions: Permissions) -> User {
    User { permissions: Some(Arc::new(permissions)), ..User::with_password(name, "p") }
}

/// Joe may do little, sue may answer whoever asks her, and free may do everything.
fn users() -> Vec<User> {
    let responses = ResponsePermission { max: Some(2), expires: Some(SECOND) };
    vec![
        User::with_password("free", "p"),
        restricted(
            "joe",
            Permissions { publish: only(&["in.*"]), subscribe: all_but(&["out.secret"]), responses: None },
        ),
        restricted(
            "sue",
            Permissions { publish: only(&[]), subscribe: only(&["ask"]), responses: Some(responses) },
        ),
    ]
}

fn scene() -> Scene {
    Scene::alone(|config: &mut Config| config.authorization = Authorization::Users(users()))
}

#[test]
fn a_user_publishes_and_subscribes_where_it_may_and_hears_where_it_may_not() {
    play(
        &mut scene(),
        r#"
        joe> CONNECT {"verbose":false,"user":"joe","pass":"p"}
        joe> PUB in.a 0\r\n
        joe> PUB out.a 0\r\n
        joe< -ERR 'Permissions Violation for Publish to "out.a"'
        joe> SUB out.secret 1
        joe< -ERR 'Permissions Violation for Subscription to "out.secret"'
        joe> SUB out.secret q 1
        joe< -ERR 'Permissions Violation for Subscription to "out.secret" using queue "q"'
        joe> PING
        joe< PONG
        "#,
    );
}

#[test]
fn what_is_denied_is_left_out_of_wildcards_and_of_groups() {
    play(
        &mut scene(),
        r#"
        joe> CONNECT {"verbose":false,"user":"joe","pass":"p"}
        joe> SUB out.* 1
        joe> SUB out.> q 2
        free> CONNECT {"verbose":false,"user":"free","pass":"p"}
        free> PUB out.secret 0\r\n
        free> PUB out.a 0\r\n
        joe< MSG out.a 1 0
        joe<
        joe< MSG out.a 2 0
        joe<
        free> SUB out.secret q 1
        free> PUB out.secret 0\r\n
        free< MSG out.secret 1 0
        free<
        "#,
    );
}

/// Two servers with such members only would hand it to each other for ever.
#[test]
fn what_no_member_of_a_group_may_have_is_handed_on_to_no_other_server() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| config.authorization = Authorization::Users(users()));
    let peer = scene.raw_peer("A", "P", "");
    let joe = scene.client("A");
    scene.send(joe, b"CONNECT {\"verbose\":false,\"user\":\"joe\",\"pass\":\"p\"}\r\nSUB out.* q 1\r\n");
    scene.send(peer, b"RS+ $G out.> q 1\r\n");
    scene.take(peer);
    scene.send(peer, b"RMSG $G out.secret | q 0\r\n\r\nRMSG $G out.a | q 0\r\n\r\nPING\r\n");
    assert_eq!(scene.take(peer), "PONG\r\n");
    assert!(scene.take(joe).ends_with("MSG out.a 1 0\r\n\r\n"));
    scene.send(joe, b"UNSUB 1\r\n");
    scene.take(peer);
    scene.send(peer, b"RMSG $G out.secret | q 0\r\n\r\nPING\r\n");
    assert_eq!(scene.take(peer), "RMSG $G out.secret | q 0\r\n\r\nPONG\r\n", "nobody is there any more");
}

#[test]
fn answers_are_allowed_so_often_and_so_long() {
    play(
        &mut scene(),
        r#"
        sue> CONNECT {"verbose":false,"user":"sue","pass":"p"}
        sue> SUB ask 1
        free> CONNECT {"verbose":false,"user":"free","pass":"p"}
        free> PUB ask box.1 0\r\n
        sue< MSG ask 1 box.1 0
        sue<
        sue> PUB box.1 0\r\n
        sue> PUB box.1 0\r\n
        sue> PUB box.1 0\r\n
        sue< -ERR 'Permissions Violation for Publish to "box.1"'
        free> PUB ask box.2 0\r\n
        sue< MSG ask 1 box.2 0
        sue<
        + 1s
        sue> PUB box.2 0\r\n
        sue< -ERR 'Permissions Violation for Publish to "box.2"'
        "#,
    );
}

#[test]
fn a_further_connect_makes_another_user_with_other_permissions() {
    play(
        &mut scene(),
        r#"
        a> CONNECT {"verbose":false,"user":"free","pass":"p"}
        a> PUB out.a 0\r\n
        a> CONNECT {"verbose":false,"user":"joe","pass":"p"}
        a> PUB out.a 0\r\n
        a< -ERR 'Permissions Violation for Publish to "out.a"'
        a> CONNECT {"verbose":false}
        a> PUB out.a 0\r\n
        a< -ERR 'Permissions Violation for Publish to "out.a"'
        a> CONNECT {"user":"joe","pass":"q"}
        a< -ERR 'Authorization Violation'
        a! Authentication Failure
        "#,
    );
}

#[test]
fn who_needs_no_credentials_has_to_do_something_in_time() {
    let mut scene = Scene::alone(|config: &mut Config| {
        config.authorization = Authorization::Users(users());
        config.no_auth_user = Some("joe".to_owned());
    });
    let [idle, busy] = [scene.client("A"), scene.client("A")];
    for client in [idle, busy] {
        assert!(!scene.take(client).contains("auth_required"));
    }
    scene.send(busy, b"PUB out.a 0\r\n\r\n");
    assert_eq!(scene.take(busy), "-ERR 'Permissions Violation for Publish to \"out.a\"'\r\n");
    scene.run_for(3 * SECOND);
    assert_eq!(scene.closed(idle), Some(CloseReason::AuthenticationTimeout));
    assert_eq!(scene.closed(busy), None);
}

#[test]
fn lines_of_the_log_name_a_client_by_its_account_and_user() {
    let mut scene = scene();
    let log = Lines::of(Level::Info);
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"user\":\"joe\",\"pass\":\"p\"}\r\nPUB out.a _R_.x 0\r\n\r\n");
    scene.send(client, b"SUB out.secret 7\r\nSUB out.secret q 8\r\nPUB in.a _R_.x 0\r\n\r\n");
    scene.send(client, b"CONNECT {}\r\nPUB out.a 0\r\n\r\n");
    let lines = log.take();
    let said = lines.iter().map(|line| line.split_once(" - ").and_then(|(_, rest)| rest.split_once(" - ")));
    let said: Vec<_> = said.map(|parts| parts.expect("a client's line").1).collect();
    assert_eq!(
        said,
        [
            r#""$G/user:joe" - Publish Violation - Subject "out.a""#,
            r#""$G/user:joe" - Subscription Violation - Subject "out.secret", SID 7"#,
            r#""$G/user:joe" - Subscription Violation - Subject "out.secret", Queue: "q", SID 8"#,
            r#""$G/user:joe" - Publish Violation - Reply "_R_.x""#,
            r#""$G/user:joe" - Publish Violation - Subject "out.a""#,
        ]
    );
}

#[test]
fn a_hash_is_checked_by_somebody_else_while_what_stands_behind_connect_waits() {
    let users = vec![restricted("ann", Permissions { publish: only(&["in.*"]), ..Permissions::default() })];
    let users = users.into_iter().map(|user| User {
        identity: onehop::config::Identity::Password { name: "ann".to_owned(), password: Secret::from(HASH) },
        ..user
    });
    let config = Config { authorization: Authorization::Users(users.collect()), ..Config::default() };
    let now = Instant::ZERO;
    let mut engine = Engine::new(config, &Listening::default(), now);
    for (user, password, answer) in [
        ("ann", "foobar", "-ERR 'Permissions Violation for Publish to \"out.a\"'\r\nPONG\r\n"),
        ("ann", "foobaz", "-ERR 'Authorization Violation'\r\n"),
        ("eve", "foobar", "-ERR 'Authorization Violation'\r\n"),
    ] {
        let client = engine.handle_accept_client(now, "127.0.0.1:1".parse().expect("an address"));
        let _greeting = engine.transmit(client).expect("a greeting");
        let connect =
            format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n");
        engine.handle_input(now, client, connect.as_bytes()).expect("an open connection");
        engine.handle_input(now, client, b"PUB out.a 0\r\n\r\nPING\r\n").expect("an open connection");
        assert!(
            engine.transmit(client).expect("a connection").is_empty(),
            "nothing is said before it is known"
        );
        let (id, ticket, effect) = engine.poll_effect().expect("a check");
        let Effect::CheckPassword(check) = &effect else { panic!("another effect: {effect:?}") };
        assert!(id == client && !format!("{effect:?}").contains("foo"));
        engine.handle_effect(now, client, ticket, &EffectAnswer::Password(check.run()));
        assert_eq!(String::from_utf8_lossy(&engine.transmit(client).expect("a connection")), answer);
    }
}
