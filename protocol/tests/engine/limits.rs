//! Limits of a client and what follows when they are exceeded (wire.md 1.7, 1.8).

use onehop::CloseReason;

use crate::scene::Scene;
use crate::script::{play, play_alone};

#[test]
fn a_payload_beyond_the_limit_ends_the_connection_before_it_is_read() {
    let mut scene = Scene::alone(|config| config.max_payload = 100);
    play(
        &mut scene,
        r"
        a> PUB foo 101
        a< -ERR 'Maximum Payload Violation'
        a! Maximum Message Payload Exceeded
        ",
    );
}

#[test]
fn a_payload_at_the_limit_passes() {
    let payload = "x".repeat(100);
    let script = format!(
        "a> PUB foo 100\\r\\n{payload}
         a< +OK"
    );
    play(&mut Scene::alone(|config| config.max_payload = 100), &script);
}

#[test]
fn a_control_line_beyond_the_limit_ends_the_connection_even_before_its_end_is_read() {
    let mut scene = Scene::alone(|config| config.max_control_line = 64);
    let client = scene.client("A");
    scene.take(client);
    scene.send(client, format!("SUB {}", "x".repeat(65)).as_bytes());
    assert_eq!(scene.take(client), "-ERR 'maximum control line exceeded'\r\n");
    assert_eq!(scene.closed(client), Some(CloseReason::MaximumControlLineExceeded));
}

#[test]
fn subscriptions_beyond_the_limit_are_refused_and_the_connection_is_kept() {
    let mut scene = Scene::alone(|config| config.max_subscriptions = 2);
    play(
        &mut scene,
        r"
        a> SUB foo 1
        a< +OK
        a> SUB foo 2
        a< +OK
        a> SUB foo 3
        a< -ERR 'maximum subscriptions exceeded'
        a> UNSUB 1
        a< +OK
        a> SUB foo 3
        a< +OK
        ",
    );
}

#[test]
fn a_subject_of_too_many_tokens_is_refused_and_the_connection_is_kept() {
    let mut scene = Scene::alone(|config| config.max_subject_tokens = 4);
    play(
        &mut scene,
        r#"
        a> SUB a.b.c.d.e 1
        a< -ERR 'Permissions Violation for Subscription to "a.b.c.d.e", too many tokens'
        a> SUB a.b.c.d 1
        a< +OK
        "#,
    );
}

#[test]
fn clients_beyond_the_limit_are_told_so_and_leave_room_for_others_when_they_go() {
    let mut scene = Scene::alone(|config| config.max_connections = 1);
    let first = scene.client("A");
    let second = scene.client("A");
    assert!(scene.take(second).ends_with("} \r\n-ERR 'maximum connections exceeded'\r\n"));
    assert_eq!(scene.closed(second), Some(CloseReason::MaximumConnectionsExceeded));
    assert_eq!(scene.closed(first), None);
    scene.disconnect(first);
    let third = scene.client("A");
    assert_eq!(scene.closed(third), None);
}

#[test]
fn what_is_no_operation_ends_the_connection() {
    for line in ["FOO bar", " PING", "RS+ $G foo", "RMSG $G foo 0", "MSG foo 1 0", "A+ x"] {
        let script = format!(
            "a> {line}
             a< -ERR 'Unknown Protocol Operation'
             a! Protocol Violation"
        );
        play_alone(&script);
    }
}

#[test]
fn malformed_arguments_end_the_connection_without_a_word() {
    for line in ["PUB foo abc", "PUB foo", "SUB foo", "SUB a b c d", "UNSUB a b c", "PUB foo 1234567890"] {
        play_alone(&format!("a> {line}\na! Protocol Violation"));
    }
}

#[test]
fn a_payload_without_its_end_of_line_is_no_operation() {
    play_alone(
        r"
        a> PUB foo 2\r\nabcd
        a< -ERR 'Unknown Protocol Operation'
        a! Protocol Violation
        ",
    );
}

#[test]
fn a_protocol_that_does_not_exist_is_refused() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"protocol":2}
        a< -ERR 'invalid client protocol'
        a! Bad Client Protocol Version
        "#,
    );
}

#[test]
fn no_responders_needs_headers() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"no_responders":true}
        a< -ERR 'no responders requires headers support'
        a! No Responders Requires Headers
        "#,
    );
}

#[test]
fn headers_that_were_not_negotiated_end_the_connection_without_a_word() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi
        a! Protocol Violation
        "#,
    );
}

#[test]
fn a_connect_that_is_no_json_ends_the_connection_without_a_word() {
    play_alone("a> CONNECT {\"verbose\":\na! Protocol Violation");
}

#[test]
fn an_error_from_a_client_ends_its_connection_and_ok_and_info_are_ignored() {
    play_alone(
        r"
        a> +OK
        a> INFO {}
        a> -ERR 'I am confused'
        a! Parse Error
        ",
    );
}

#[test]
fn without_header_support_nobody_negotiates_headers() {
    let mut scene = Scene::alone(|config| config.no_header_support = true);
    play(
        &mut scene,
        r#"
        a> CONNECT {"verbose":false,"headers":true}
        a> HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi
        a! Protocol Violation
        "#,
    );
}
