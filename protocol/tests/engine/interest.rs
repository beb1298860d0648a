//! What a node tells its peers of its clients' interest, and what it does with theirs (wire.md 2.7).

use crate::scene::{SECOND, Scene};
use crate::script::play;

/// Plays a transcript at a node A with a registered raw peer `#r` that has no pool.
fn play_with_peer(text: &str) {
    let handshake = r#"
        #r> CONNECT {"echo":true,"verbose":false,"headers":true,"name":"NR","cluster":"C"}
        #r> INFO {"server_id":"NR","server_name":"R","proto":2,"host":"h","port":6222,"headers":true,"cluster":"C"}
        a> CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}
        b> CONNECT {"verbose":false}
    "#;
    play(&mut Scene::cluster(&[("A", &[])]), &format!("{handshake}\n{text}"));
}

#[test]
fn plain_interest_is_announced_when_it_begins_and_when_it_ends() {
    play_with_peer(
        "a> SUB foo 1
         #r< RS+ $G foo
         a> SUB foo 2
         b> SUB foo 1
         a> UNSUB 1
         b> UNSUB 1
         a> UNSUB 2
         #r< RS- $G foo",
    );
}

#[test]
fn queue_interest_is_announced_with_every_change_of_its_weight() {
    play_with_peer(
        "a> SUB foo q 1
         #r< RS+ $G foo q 1
         a> SUB foo q 2
         #r< RS+ $G foo q 2
         b> SUB foo p 1
         #r< RS+ $G foo p 1
         a> UNSUB 1
         #r< RS+ $G foo q 1
         a> UNSUB 2
         #r< RS- $G foo q
         b> UNSUB 1
         #r< RS- $G foo p",
    );
}

#[test]
fn members_that_leave_together_are_announced_in_one_line() {
    play_with_peer(
        "c> SUB x q 1
         c< +OK
         #r< RS+ $G x q 1
         c> SUB x q 2
         c< +OK
         #r< RS+ $G x q 2
         c> SUB x q 3
         c< +OK
         #r< RS+ $G x q 3
         c/
         #r< RS- $G x q",
    );
}

#[test]
fn a_limit_of_deliveries_is_announced_only_by_its_end() {
    play_with_peer(
        r"
        a> SUB au 5
        #r< RS+ $G au
        a> UNSUB 5 2
        a> PUB au 1\r\n1
        a< MSG au 5 1
        a< 1
        a> PUB au 1\r\n2
        a< MSG au 5 1
        a< 2
        #r< RS- $G au
        ",
    );
}

#[test]
fn a_second_connect_withdraws_the_interest_of_the_first() {
    play_with_peer(
        r#"
        a> SUB foo 1
        #r< RS+ $G foo
        a> CONNECT {"verbose":false}
        #r< RS- $G foo
        "#,
    );
}

#[test]
fn interest_is_in_force_before_the_pong_that_follows_it() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    scene.run_for(SECOND);
    let (a, b) = (scene.client("A"), scene.client("B"));
    scene.take(b);
    scene.send(a, b"SUB foo 1\r\nPING\r\n");
    scene.send(b, b"PUB foo 0\r\n\r\n");
    assert!(scene.take(a).ends_with("+OK\r\nPONG\r\nMSG foo 1 0\r\n\r\n"));
}

#[test]
fn a_weight_replaces_the_one_before_it() {
    play_with_peer(
        r"
        #r> RS+ $G foo q 5
        #r> RS+ $G foo q 0
        -- A weight of zero is never selected.
        a> PUB foo 1\r\n1
        #r> RS+ $G foo q 2
        a> PUB foo 1\r\n2
        #r< RMSG $G foo | q 1
        #r< 2
        #r> RS- $G foo q
        a> PUB foo 1\r\n3
        ",
    );
}

#[test]
fn repeated_interest_counts_once() {
    play_with_peer(
        r"
        #r> RS+ $G foo
        #r> RS+ $G foo
        a> PUB foo 1\r\n1
        #r< RMSG $G foo 1
        #r< 1
        #r> RS- $G foo
        a> PUB foo 1\r\n2
        #r> RS- $G foo
        ",
    );
}

#[test]
fn interest_of_a_leaf_is_kept_apart_by_its_origin() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", ",\"lnoc\":true,\"lnocu\":true");
    let index_len = |scene: &Scene| scene.node("A").node().hub().global_account().index().len();
    scene.send(peer, b"RS+ $G foo\r\nLS+ L $G foo\r\nLS+ M $G foo\r\nLS+ L $G foo\r\n");
    assert_eq!(index_len(&scene), 3);
    scene.send(peer, b"RS- $G foo\r\nLS- L $G foo\r\n");
    assert_eq!(index_len(&scene), 1);
    scene.send(peer, b"LS- M $G foo\r\n");
    assert_eq!(index_len(&scene), 0);
}

#[test]
fn interest_of_a_leaf_ends_without_its_origin_for_a_peer_that_cannot_name_it_then() {
    play_with_peer(
        r"
        #r> RS+ $G foo
        #r> LS+ L $G foo
        #r> RS- $G foo
        a> PUB foo 1\r\n1
        #r< RMSG $G foo 1
        #r< 1
        #r> LS-  $G foo
        a> PUB foo 1\r\n2
        #r> LS+ L $G foo q 2
        a> PUB foo 1\r\n3
        #r< RMSG $G foo | q 1
        #r< 3
        #r> LS- $G foo q
        a> PUB foo 1\r\n4
        ",
    );
}

#[test]
fn interest_of_an_unknown_account_is_ignored() {
    play_with_peer(
        r"
        #r> RS+ ZZ foo
        #r> RS- ZZ foo
        a> PUB foo 1\r\n1
        #r> PING
        #r< PONG
        ",
    );
}

#[test]
fn what_is_heard_from_one_server_is_not_told_to_another() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let teller = scene.raw_peer("A", "T", "");
    let other = scene.raw_peer("A", "O", ",\"gossip_mode\":1");
    scene.take(other);
    scene.send(teller, b"RS+ $G foo\r\nRS+ $G foo q 1\r\nLS+ L $G foo\r\n");
    assert_eq!(scene.take(other), "");
}

#[test]
fn an_invalid_subject_is_answered_with_an_error_that_does_not_end_the_route() {
    play_with_peer(
        "#r> RS+ $G a..b
         #r< -ERR 'Invalid Subscription'
         #r> PING
         #r< PONG",
    );
}

#[test]
fn a_malformed_line_ends_the_route_without_a_word() {
    for line in ["RS+ $G foo q 1 2", "RS+", "RS- a b c d"] {
        let mut scene = Scene::cluster(&[("A", &[])]);
        let peer = scene.raw_peer("A", "R", "");
        scene.take(peer);
        scene.send(peer, format!("{line} \r\n").as_bytes());
        assert_eq!(scene.take(peer), "", "{line}");
        assert!(scene.closed(peer).is_some(), "{line}");
    }
}

#[test]
fn remote_interest_counts_as_a_responder() {
    play_with_peer(
        r"
        a> SUB _INBOX.1 1
        #r< RS+ $G _INBOX.1
        #r> RS+ $G svc
        a> PUB svc _INBOX.1 0\r\n
        #r< RMSG $G svc _INBOX.1 0
        #r<
        #r> RS- $G svc
        a> PUB svc _INBOX.1 0\r\n
        a< HMSG _INBOX.1 1 35 35
        a< NATS/1.0 503
        a< Nats-Subject: svc
        a<
        a<
        ",
    );
}

#[test]
fn a_restarted_member_hears_all_interest_again() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    scene.run_for(SECOND);
    let subscriber = scene.client("A");
    scene.send(subscriber, b"SUB foo 1\r\n");
    scene.kill("B");
    scene.start("B", &[], |_| {});
    scene.run_for(SECOND * 3);
    let publisher = scene.client("B");
    scene.take(subscriber);
    scene.send(publisher, b"PUB foo 2\r\nhi\r\n");
    assert_eq!(scene.take(subscriber), "MSG foo 1 2\r\nhi\r\n");
}

#[test]
fn interest_moves_with_a_pooled_connection_that_is_lost_and_comes_back() {
    for place in 0..4 {
        let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
        scene.run_for(SECOND);
        let (subscriber, publisher) = (scene.client("A"), scene.client("B"));
        scene.send(subscriber, b"SUB foo 1\r\n");
        scene.lose_route(place);
        assert!(scene.drive_until(SECOND * 3, |scene| scene.is_mesh(4)));
        scene.take(subscriber);
        scene.send(publisher, b"PUB foo 2\r\nhi\r\n");
        assert_eq!(scene.take(subscriber), "MSG foo 1 2\r\nhi\r\n", "after route {place} was lost");
    }
}
