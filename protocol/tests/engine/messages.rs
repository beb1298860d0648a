//! Messages between servers, and the one hop (wire.md 2.8, 7).

use onehop::CloseReason;

use crate::scene::{Peer, SECOND, Scene};
use crate::script::play;

/// Plays a transcript at a node A with a registered raw peer `#r` that has no pool.
fn play_with_peer(text: &str) {
    play_with_peer_of(true, text);
}

fn play_with_peer_of(headers: bool, text: &str) {
    let handshake = format!(
        r#"
        #r> CONNECT {{"echo":true,"verbose":false,"headers":{headers},"name":"NR","cluster":"C"}}
        #r> INFO {{"server_id":"NR","server_name":"R","proto":2,"host":"h","port":6222,"headers":{headers},"cluster":"C"}}
        a> CONNECT {{"verbose":false,"pedantic":false,"headers":true}}
        b> CONNECT {{"verbose":false}}
        "#
    );
    play(&mut Scene::cluster(&[("A", &[])]), &format!("{handshake}\n{text}"));
}

#[test]
fn a_message_names_the_queue_groups_that_the_peer_is_to_serve() {
    play_with_peer(
        r"
        #r> RS+ $G foo
        a> PUB foo 1\r\n1
        #r< RMSG $G foo 1
        #r< 1
        a> PUB foo rep 2\r\nhi
        #r< RMSG $G foo rep 2
        #r< hi
        #r> RS+ $G foo q1 1
        #r> RS+ $G foo q2 1
        a> PUB foo 1\r\n3
        #r< RMSG $G foo | q1 q2 1
        #r< 3
        a> PUB foo rep 1\r\n4
        #r< RMSG $G foo + rep q1 q2 1
        #r< 4
        a> HPUB foo rep 12 14\r\nNATS/1.0\r\n\r\nhi
        #r< HMSG $G foo + rep q1 q2 12 14
        #r< NATS/1.0
        #r<
        #r< hi
        ",
    );
}

#[test]
fn a_peer_without_headers_gets_the_payload_alone() {
    play_with_peer_of(
        false,
        r"
        #r> RS+ $G foo
        a> HPUB foo rep 12 14\r\nNATS/1.0\r\n\r\nhi
        #r< RMSG $G foo rep 2
        #r< hi
        #r> RS+ $G foo q 1
        a> HPUB foo rep 12 14\r\nNATS/1.0\r\n\r\nhi
        #r< RMSG $G foo + rep q 2
        #r< hi
        ",
    );
}

#[test]
fn messages_of_servers_reach_clients_in_the_form_that_they_understand() {
    play_with_peer(
        r"
        a> SUB foo 1
        #r< RS+ $G foo
        b> SUB foo 2
        #r> RMSG $G foo 2\r\nhi
        a< MSG foo 1 2
        a< hi
        b< MSG foo 2 2
        b< hi
        #r> HMSG $G foo rep 12 14\r\nNATS/1.0\r\n\r\nhi
        a< HMSG foo 1 rep 12 14
        a< NATS/1.0
        a<
        a< hi
        b< MSG foo 2 rep 2
        b< hi
        #r> LMSG L $G foo 0 2\r\nhi
        a< MSG foo 1 2
        a< hi
        b< MSG foo 2 2
        b< hi
        ",
    );
}

#[test]
fn only_the_queue_groups_that_the_sender_named_are_served() {
    play_with_peer(
        r"
        a> SUB foo q 1
        #r< RS+ $G foo q 1
        b> SUB foo p 2
        #r< RS+ $G foo p 1
        #r> RMSG $G foo 1\r\n1
        #r> RMSG $G foo | p 1\r\n2
        b< MSG foo 2 1
        b< 2
        #r> RMSG $G foo + rep q p x 1\r\n3
        a< MSG foo 1 rep 1
        a< 3
        b< MSG foo 2 rep 1
        b< 3
        ",
    );
}

#[test]
fn an_ack_reply_that_carries_a_subject_is_split_for_clients() {
    play_with_peer(
        r"
        a> SUB inbox.1 1
        #r< RS+ $G inbox.1
        #r> RMSG $G inbox.1 $JS.ACK.S.C.1.1.1.1.0@orig.subj 2\r\nhi
        a< MSG orig.subj 1 $JS.ACK.S.C.1.1.1.1.0 2
        a< hi
        #r> HMSG $G inbox.1 $JS.ACK.S.C.1.1.1.1.0@orig.subj 12 14\r\nNATS/1.0\r\n\r\nhi
        a< HMSG orig.subj 1 $JS.ACK.S.C.1.1.1.1.0 12 14
        a< NATS/1.0
        a<
        a< hi
        -- Too few dots before the sign, or nothing after it.
        #r> RMSG $G inbox.1 $JS.ACK.S.C.1@orig.subj 2\r\nhi
        a< MSG inbox.1 1 $JS.ACK.S.C.1@orig.subj 2
        a< hi
        #r> RMSG $G inbox.1 $JS.ACK.S.C.1.1.1.1.0@ 2\r\nhi
        a< MSG inbox.1 1 $JS.ACK.S.C.1.1.1.1.0@ 2
        a< hi
        ",
    );
}

#[test]
fn a_message_for_an_unknown_account_is_dropped() {
    play_with_peer(
        r"
        a> SUB foo 1
        #r< RS+ $G foo
        #r> RMSG ZZ foo 2\r\nhi
        #r> PING
        #r< PONG
        ",
    );
}

#[test]
fn a_dedicated_connection_names_no_account() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let inserts = |scene: &Scene| {
        scene.node("A").node().hub().system_account().expect("it has one").index().stats().inserts
    };
    let before = inserts(&scene);
    let system = scene.raw_peer("A", "R", r#","route_pool_size":3,"route_account":"$SYS""#);
    scene.send(system, b"RS+ foo\r\nRMSG foo 2\r\nhi\r\nRS- foo\r\n");
    assert_eq!(scene.closed(system), None);
    assert_eq!(inserts(&scene) - before, 1);
}

#[test]
fn a_wrong_indicator_ends_the_route() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, b"RMSG $G foo ? rep q 0\r\n\r\n");
    assert_eq!(scene.closed(peer), Some(CloseReason::ProtocolViolation));
}

/// Three nodes with a subscriber to `>` each and publishers.
struct Trio {
    scene: Scene,
    subscribers: [Peer; 3],
    publishers: [Peer; 3],
}

const NAMES: [&str; 3] = ["A", "B", "C"];

fn trio() -> Trio {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"]), ("C", &["B"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)));
    let subscribers = NAMES.map(|name| scene.client(name));
    let publishers = NAMES.map(|name| scene.client(name));
    for subscriber in subscribers {
        scene.send(subscriber, b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n");
        scene.take(subscriber);
    }
    for publisher in publishers {
        scene.send(publisher, b"CONNECT {\"verbose\":false}\r\n");
    }
    scene.routed.clear();
    Trio { scene, subscribers, publishers }
}

#[test]
fn a_message_crosses_one_route_and_reaches_every_subscriber_once() {
    let Trio { mut scene, subscribers, publishers } = trio();
    for (publisher, name) in publishers.into_iter().zip(NAMES) {
        let body = format!("from-{name}");
        scene.send(publisher, format!("PUB foo {}\r\n{body}\r\n", body.len()).as_bytes());
        for subscriber in subscribers {
            assert_eq!(scene.take(subscriber), format!("MSG foo 1 6\r\n{body}\r\n"));
        }
        let crossings = String::from_utf8_lossy(&scene.routed).matches(&body).count();
        assert_eq!(crossings, 2, "once to each other server");
    }
}

#[test]
fn a_message_that_nobody_elsewhere_wants_crosses_no_route() {
    let Trio { mut scene, subscribers, publishers } = trio();
    for subscriber in &subscribers[1..] {
        scene.disconnect(*subscriber);
    }
    scene.routed.clear();
    scene.send(publishers[0], b"PUB foo 4\r\nhere\r\n");
    assert_eq!(scene.take(subscribers[0]), "MSG foo 1 4\r\nhere\r\n");
    assert_eq!(scene.routed, b"");
}

#[test]
fn a_server_wants_a_message_once_however_many_of_its_clients_do() {
    let Trio { mut scene, publishers, .. } = trio();
    let more = [(); 5].map(|()| scene.client("B"));
    for client in more {
        scene.send(client, b"SUB foo 1\r\nSUB f* 2\r\nSUB * 3\r\nSUB foo q 4\r\nSUB * q 5\r\n");
        scene.take(client);
    }
    scene.routed.clear();
    scene.send(publishers[0], b"PUB foo 4\r\nonce\r\n");
    let routed = String::from_utf8_lossy(&scene.routed).into_owned();
    assert_eq!(routed.matches("once").count(), 2, "{routed}");
    let received: String = more.iter().map(|client| scene.take(*client)).collect();
    // Of five clients two plain matches each, and one member of the group.
    assert_eq!(received.matches("MSG foo ").count(), 11, "{received}");
}

#[test]
fn order_is_kept_from_one_publisher_to_one_subscriber_across_a_route() {
    let Trio { mut scene, subscribers, publishers } = trio();
    let batch: String = (0..500).map(|i| format!("PUB foo.{} 3\r\n{i:03}\r\n", i % 7)).collect();
    scene.send(publishers[0], batch.as_bytes());
    let expected: String = (0..500).map(|i| format!("MSG foo.{} 1 3\r\n{i:03}\r\n", i % 7)).collect();
    for subscriber in subscribers {
        assert_eq!(scene.take(subscriber), expected);
    }
}

#[test]
fn a_large_message_crosses_a_route_whole() {
    let Trio { mut scene, subscribers, publishers } = trio();
    let body = "0123456789".repeat(50_000);
    scene.send(publishers[0], format!("PUB foo {}\r\n{body}\r\n", body.len()).as_bytes());
    for subscriber in subscribers {
        assert!(scene.take(subscriber) == format!("MSG foo 1 {}\r\n{body}\r\n", body.len()));
    }
}

/// wire.md 10.3: every server answers which routes it has.
#[test]
fn a_peer_is_told_which_routes_there_are_when_it_asks() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    let greeting = scene.take_all(peer);
    let id = scene.node("A").node().hub().server_id().to_owned();
    // An answer goes where it is wanted, as every message does.
    scene.send(peer, b"RS+ $SYS an.inbox\r\n");
    for subject in ["PING", &*id] {
        let question = format!("$SYS.REQ.SERVER.{subject}.ROUTEZ");
        assert!(greeting.contains(&format!("RS+ $SYS {question}\r\n")), "{greeting}");
        scene.send(peer, format!("RMSG $SYS {question} an.inbox 0\r\n\r\n").as_bytes());
        let answer = scene.take(peer);
        assert!(answer.starts_with("RMSG $SYS an.inbox "), "{answer}");
        assert!(
            answer.contains(r#""num_routes":1,"#) && answer.contains(r#""remote_id":"NPEER-R""#),
            "{answer}"
        );
    }
    scene.send(peer, b"RMSG $SYS $SYS.REQ.SERVER.PING.ROUTEZ 0\r\n\r\n");
    scene.send(peer, b"RMSG $SYS $SYS.REQ.SERVER.NOBODY.ROUTEZ an.inbox 0\r\n\r\n");
    scene.send(peer, b"RMSG $G $SYS.REQ.SERVER.PING.ROUTEZ an.inbox 0\r\n\r\n");
    assert_eq!(scene.take(peer), "", "nowhere to answer to, another server, another account");
}

/// design.md 5: ask.
#[test]
fn a_peer_that_listens_for_it_is_asked_for_its_routes_from_time_to_time() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let (listens, does_not) = (scene.raw_peer("A", "L", ""), scene.raw_peer("A", "N", ""));
    scene.send(listens, b"RS+ $SYS $SYS.REQ.SERVER.*.ROUTEZ\r\n");
    scene.take(listens);
    scene.take(does_not);
    let mut asked = 0;
    for _ in 0..60 {
        scene.run_for(SECOND);
        asked += scene.take(listens).matches("RMSG $SYS $SYS.REQ.SERVER.NPEER-L.ROUTEZ $SYS._INBOX.").count();
        let silence = scene.take(does_not);
        assert!(!silence.contains("RMSG"), "{silence}");
    }
    assert!((2..=4).contains(&asked), "one of two peers every ten seconds, {asked}");
}

#[test]
fn a_long_subject_reaches_each_of_thousands_of_subscriptions_under_its_own_name() {
    let mut scene = Scene::alone(|_| {});
    let listener = scene.client("A");
    let subs: String = (0..2000).map(|sid| format!("SUB > {sid}\r\n")).collect();
    scene.send(listener, format!("CONNECT {{\"verbose\":false}}\r\n{subs}").as_bytes());
    let speaker = scene.client("A");
    scene.take(listener);
    let subject = "x".repeat(4000);
    scene.send(speaker, format!("PUB {subject} 2\r\nhi\r\n").as_bytes());
    let heard = scene.take(listener);
    let expected: String = (0..2000).map(|sid| format!("MSG {subject} {sid} 2\r\nhi\r\n")).collect();
    assert!(heard == expected);
}
