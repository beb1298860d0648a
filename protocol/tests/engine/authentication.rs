//! What a client must present (wire.md 1.3, 1.12).

use onehop::CloseReason;
use onehop::config::{Authorization, Config};

use crate::scene::{SECOND, Scene};
use crate::script::play;

fn guarded(authorization: Authorization) -> Scene {
    Scene::alone(|config: &mut Config| config.authorization = authorization)
}

fn with_user() -> Scene {
    guarded(Authorization::User { user: "joe".to_owned(), password: "secret".into() })
}

#[test]
fn the_right_user_and_password_open_a_session() {
    play(
        &mut with_user(),
        r#"
        a> CONNECT {"verbose":false,"user":"joe","pass":"secret"}
        a> SUB foo 1
        a> PUB foo 0\r\n
        a< MSG foo 1 0
        a<
        "#,
    );
}

#[test]
fn wrong_credentials_end_the_connection() {
    for connect in [
        r#"{"user":"joe","pass":"Secret"}"#,
        r#"{"user":"jim","pass":"secret"}"#,
        "{}",
        r#"{"auth_token":"secret"}"#,
    ] {
        let script = format!(
            "a> CONNECT {connect}
             a< -ERR 'Authorization Violation'
             a! Authentication Failure"
        );
        play(&mut with_user(), &script);
    }
}

#[test]
fn nothing_is_done_before_connect_where_one_is_needed() {
    for line in ["PING", "SUB foo 1", r"PUB foo 0\r\n"] {
        let script = format!(
            "a> {line}
             a< -ERR 'Authorization Violation'
             a! Authentication Failure"
        );
        play(&mut with_user(), &script);
    }
}

#[test]
fn a_token_is_enough_where_one_is_asked_for() {
    let scene = || guarded(Authorization::Token("t0ken".into()));
    play(
        &mut scene(),
        r#"
        a> CONNECT {"verbose":true,"auth_token":"t0ken"}
        a< +OK
        b> CONNECT {"auth_token":"token"}
        b< -ERR 'Authorization Violation'
        b! Authentication Failure
        "#,
    );
}

#[test]
fn a_client_that_never_presents_itself_is_sent_away() {
    let mut scene = with_user();
    let client = scene.client("A");
    scene.take(client);
    scene.send(client, b"CONNE");
    scene.run_for(SECOND);
    assert_eq!(scene.take(client), "");
    scene.run_for(SECOND);
    assert_eq!(scene.take(client), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(scene.closed(client), Some(CloseReason::AuthenticationTimeout));
}

#[test]
fn whoever_presented_itself_in_time_stays() {
    play(
        &mut with_user(),
        r#"
        a> CONNECT {"verbose":false,"user":"joe","pass":"secret"}
        + 1s
        + 1s
        a> PING
        a< PONG
        "#,
    );
}

#[test]
fn a_second_connect_with_wrong_credentials_ends_the_session() {
    play(
        &mut with_user(),
        r#"
        a> CONNECT {"verbose":false,"user":"joe","pass":"secret"}
        a> SUB foo 1
        a> CONNECT {"verbose":false,"user":"joe","pass":"guess"}
        a< -ERR 'Authorization Violation'
        a! Authentication Failure
        "#,
    );
}

#[test]
fn accounts_cannot_be_chosen() {
    for connect in [r#"{"account":"X"}"#, r#"{"new_account":true}"#] {
        let script = format!(
            "a> CONNECT {connect}
             a< -ERR 'Authorization Violation'
             a! Authentication Failure"
        );
        play(&mut Scene::alone(|_| {}), &script);
    }
}

#[test]
fn info_says_whether_credentials_are_needed() {
    for (mut scene, needed) in [(with_user(), true), (Scene::alone(|_| {}), false)] {
        let client = scene.client("A");
        assert_eq!(scene.take(client).contains(r#""auth_required":true"#), needed);
    }
}
