//! Publishing and subscribing at one node (wire.md 1.1 to 1.6).

use onehop::Instant;
use onehop::hub::Kind;

use crate::scene::{SECOND, Scene};
use crate::script::{play, play_alone};

#[test]
fn a_client_without_connect_gets_ok_for_everything_and_pedantic_checks() {
    play_alone(
        r"
        a> SUB foo 1
        a< +OK
        a> PUB foo 5\r\nhello
        a< +OK
        a< MSG foo 1 5
        a< hello
        a> PUB foo.* 1\r\nx
        a< -ERR 'Invalid Publish Subject'
        a< +OK
        a> UNSUB 1
        a< +OK
        a> PING
        a< PONG
        ",
    );
}

#[test]
fn connect_decides_about_ok_and_pedantic_checks() {
    play_alone(
        r#"
        a> CONNECT {}
        a< +OK
        b> CONNECT {"verbose":false,"pedantic":false}
        b> SUB foo.* 1
        b> PUB foo.* 1\r\nx
        b< MSG foo.* 1 1
        b< x
        b> CONNECT {"verbose":true,"pedantic":false}
        b< +OK
        b> PUB foo 0\r\n
        b< +OK
        "#,
    );
}

#[test]
fn a_wildcard_that_is_published_is_an_ordinary_token() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"pedantic":false}
        a> SUB foo.bar 1
        a> SUB foo.* 2
        a> SUB foo.> 3
        a> SUB > 4
        a> PUB foo.* 1\r\nx
        a< MSG foo.* 2 1
        a< x
        a< MSG foo.* 3 1
        a< x
        a< MSG foo.* 4 1
        a< x
        a> PUB foo..bar 1\r\nx
        "#,
    );
}

#[test]
fn a_client_hears_itself_unless_it_declines() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"echo":false}
        a> SUB foo 1
        b> CONNECT {"verbose":false}
        b> SUB foo 7
        a> PUB foo 1\r\nx
        b< MSG foo 7 1
        b< x
        b> PUB foo 1\r\ny
        a< MSG foo 1 1
        a< y
        b< MSG foo 7 1
        b< y
        "#,
    );
}

#[test]
fn a_reply_subject_travels_with_the_message() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo _INBOX.1 2\r\nhi
        a< MSG foo 1 _INBOX.1 2
        a< hi
        "#,
    );
}

#[test]
fn unsub_with_a_maximum_counts_from_the_subscriptions_creation() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1\r\n1
        a< MSG foo 1 1
        a< 1
        a> UNSUB 1 2
        a> PUB foo 1\r\n2
        a< MSG foo 1 1
        a< 2
        a> PUB foo 1\r\n3
        a> SUB foo 1
        a> PUB foo 1\r\n4
        a< MSG foo 1 1
        a< 4
        -- Reached already, and so removed at once.
        a> UNSUB 1 1
        a> PUB foo 1\r\n5
        "#,
    );
}

#[test]
fn a_maximum_of_zero_or_nonsense_removes_at_once() {
    for max in ["0", "-3", "x"] {
        let script = r#"
            a> CONNECT {"verbose":false}
            a> SUB foo 1
            a> UNSUB 1 MAX
            a> PUB foo 1\r\n1
        "#;
        play_alone(&script.replace("MAX", max));
    }
}

#[test]
fn a_subscription_keeps_its_name_and_an_unknown_name_is_ignored() {
    play_alone(
        r"
        a> SUB foo 1
        a< +OK
        a> SUB bar 1
        a< +OK
        a> PUB bar 1\r\nx
        a< +OK
        a> PUB foo 1\r\nx
        a< +OK
        a< MSG foo 1 1
        a< x
        a> UNSUB 9
        a< +OK
        ",
    );
}

#[test]
fn a_second_connect_drops_all_subscriptions() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1\r\n1
        a< MSG foo 1 1
        a< 1
        a> CONNECT {"verbose":false}
        a> PUB foo 1\r\n2
        a> SUB foo 1
        a> PUB foo 1\r\n3
        a< MSG foo 1 1
        a< 3
        "#,
    );
}

#[test]
fn a_second_connect_that_turns_echo_off_is_obeyed_at_once() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        a> PUB foo 1\r\n1
        a< MSG foo 1 1
        a< 1
        a> CONNECT {"verbose":false,"echo":false}
        a> SUB foo 1
        a> PUB foo 1\r\n2
        "#,
    );
}

#[test]
fn nobody_there_to_respond_is_told_to_a_requester_that_wants_to_know() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"headers":true,"no_responders":true}
        a> SUB _INBOX.* 1
        a> PUB svc _INBOX.1 2\r\nhi
        a< HMSG _INBOX.1 1 35 35
        a< NATS/1.0 503
        a< Nats-Subject: svc
        a<
        a<
        -- Without a reply there is nobody to tell.
        a> PUB svc 2\r\nhi
        b> CONNECT {"verbose":false,"headers":true}
        b> SUB _INBOX.> 1
        b> PUB svc _INBOX.2 2\r\nhi
        a> PUB svc _INBOX.3 2\r\nhi
        a< HMSG _INBOX.3 1 35 35
        a< NATS/1.0 503
        a< Nats-Subject: svc
        a<
        a<
        b> SUB svc q 2
        a> PUB svc _INBOX.4 2\r\nhi
        b< MSG svc 2 _INBOX.4 2
        b< hi
        "#,
    );
}

#[test]
fn headers_reach_those_who_negotiated_them_and_are_cut_off_for_others() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"headers":true}
        a> SUB foo 1
        b> CONNECT {"verbose":false}
        b> SUB foo 2
        a> HPUB foo r 12 14\r\nNATS/1.0\r\n\r\nhi
        a< HMSG foo 1 r 12 14
        a< NATS/1.0
        a<
        a< hi
        b< MSG foo 2 r 2
        b< hi
        -- A header of no bytes is none.
        a> HPUB foo 0 2\r\nhi
        a< MSG foo 1 2
        a< hi
        b< MSG foo 2 2
        b< hi
        "#,
    );
}

#[test]
fn who_subscribed_before_it_negotiated_headers_gets_them_from_then_on() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false,"headers":true}
        b> SUB foo 1
        b< +OK
        a> HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi
        b< MSG foo 1 2
        b< hi
        b> CONNECT {"verbose":false,"headers":true}
        a> HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi
        b< HMSG foo 1 12 14
        b< NATS/1.0
        b<
        b< hi
        "#,
    );
}

#[test]
fn bad_subjects_are_refused_and_the_connection_is_kept() {
    for subject in ["foo..bar", "foo.", ".foo", "foo.>.x", ">.a"] {
        play_alone(&format!(
            "a> SUB {subject} 1
             a< -ERR 'Invalid Subject'
             a> SUB foo*bar.x> 2
             a< +OK
             a> PUB foo*bar.x> 1\\r\\nx
             a< +OK
             a< MSG foo*bar.x> 2 1
             a< x"
        ));
    }
}

#[test]
fn subjects_of_servers_are_not_for_clients() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB > 1
        a> PUB $NRG.x 1\r\nx
        a< -ERR 'Permissions Violation for Publish to "$NRG.x"'
        a> PUB _GR_.x 1\r\nx
        a< -ERR 'Permissions Violation for Publish to "_GR_.x"'
        a> PUB foo _R_.x 1\r\nx
        a< -ERR 'Permissions Violation for Publish with Reply of "_R_.x"'
        a> PUB foo _GR_.x 1\r\nx
        a< -ERR 'Permissions Violation for Publish with Reply of "_GR_.x"'
        a> PUB foo $JS.ACK.x 1\r\nx
        a< -ERR 'Permissions Violation for Publish with Reply of "$JS.ACK.x"'
        a> SUB foo _sys_ 2
        a< -ERR 'Permissions Violation for Subscription to "foo" using queue "_sys_"'
        a> PUB $SYS.x 1\r\nx
        a< MSG $SYS.x 1 1
        a< x
        "#,
    );
}

#[test]
fn a_client_that_left_gets_nothing_and_disturbs_nobody() {
    play_alone(
        r#"
        a> CONNECT {"verbose":false}
        a> SUB foo 1
        b> SUB foo 1
        b< +OK
        a> PUB foo 1\r\n1
        a< MSG foo 1 1
        a< 1
        b< MSG foo 1 1
        b< 1
        b/
        a> PUB foo 1\r\n2
        a< MSG foo 1 1
        a< 2
        c> SUB bar 1
        c< +OK
        a> PUB foo 1\r\n3
        a< MSG foo 1 1
        a< 3
        "#,
    );
}

#[test]
fn info_after_the_first_pong_is_for_clients_of_protocol_1_and_comes_once() {
    play_alone(
        r#"
        a> PING
        a< PONG
        a> CONNECT {"verbose":false,"protocol":1}
        a> PING
        a< PONG
        a< INFO
        a> PING
        a< PONG
        b> CONNECT {"verbose":false,"protocol":0}
        b> PING
        b< PONG
        "#,
    );
}

#[test]
fn operation_names_ignore_case_and_separators_may_repeat() {
    play(
        &mut Scene::alone(|_| {}),
        "a> connect{\"verbose\":false}
         a> sUb \t z  1
         a> pub \t z   r\t 1\\r\\nx
         a< MSG z 1 r 1
         a< x
         a> pingxyz
         a< PONG",
    );
}

/// Since when each connection of a node is idle, the client or route of this number.
fn last_activity(scene: &Scene, kind: Kind, cid: u64) -> Instant {
    let entries = scene.node("A").node().hub().directory().list(kind);
    entries.iter().find(|entry| entry.cid() == cid).expect("it is connected").last_activity()
}

#[test]
fn a_client_is_idle_until_it_works_with_messages_or_interest_whatever_keeps_it_alive() {
    let mut scene = Scene::alone(|_| {});
    let (client, other) = (scene.client("A"), scene.client("A"));
    scene.send(client, b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nSUB d 1\r\n");
    scene.send(other, b"CONNECT {\"verbose\":false}\r\n");
    for (lines, by, is_activity) in [
        ("PING\r\n", client, false),
        ("PONG\r\n", client, false),
        ("INFO {}\r\n", client, false),
        ("+OK\r\n", client, false),
        ("PUB x", client, false),
        (" 0\r\n\r\n", client, true),
        ("PUB x 2\r\nh", client, false),
        ("i\r\n", client, true),
        ("HPUB x 12 12\r\nNATS/1.0\r\n\r\n\r\n", client, true),
        ("PUB $GR.x 0\r\n\r\n", client, true),
        ("SUB a 2\r\n", client, true),
        ("SUB a 2\r\n", client, true),
        ("SUB a..b 3\r\n", client, true),
        ("UNSUB 2 5\r\n", client, true),
        ("UNSUB 99\r\n", client, true),
        ("CONNECT {\"verbose\":false}\r\nSUB d 1\r\n", client, true),
        ("PUB d 2\r\nhi\r\n", other, true),
        ("PUB nobody 2\r\nhi\r\n", other, false),
    ] {
        let before = last_activity(&scene, Kind::Client, 1);
        scene.run_for(SECOND / 10);
        scene.send(by, lines.as_bytes());
        assert_eq!(last_activity(&scene, Kind::Client, 1) > before, is_activity, "{lines:?}");
    }
}

#[test]
fn a_route_is_idle_until_interest_comes_or_a_message_either_way() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "P", "");
    let client = scene.client("A");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\n");
    let cid = scene.node("A").node().hub().directory().list(Kind::Route)[0].cid();
    for (lines, by, is_activity) in [
        ("PING\r\n", peer, false),
        ("PONG\r\n", peer, false),
        ("RS+", peer, false),
        (" $G out\r\n", peer, true),
        ("RS+ $G out\r\n", peer, true),
        ("RS- $G other\r\n", peer, true),
        ("RMSG $G foo 2\r\nhi\r\n", peer, true),
        ("SUB local 1\r\n", client, false),
        ("PUB out 2\r\nhi\r\n", client, true),
    ] {
        let before = last_activity(&scene, Kind::Route, cid);
        scene.run_for(SECOND / 10);
        scene.send(by, lines.as_bytes());
        assert_eq!(last_activity(&scene, Kind::Route, cid) > before, is_activity, "{lines:?}");
    }
}
