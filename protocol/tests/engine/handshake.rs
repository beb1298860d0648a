//! The first words on a route, and who is sent away (wire.md 2.2, 2.3, 2.9, 3.6).

use onehop::CloseReason;
use onehop::config::{ClusterConfig, Config, UserPassword};
use onehop::wire::Info;

use crate::scene::{SECOND, Scene};
use crate::script::play;

fn cluster(config: &mut Config) -> &mut ClusterConfig {
    config.cluster.as_mut().expect("a clustered node")
}

fn node() -> Scene {
    Scene::cluster(&[("A", &[])])
}

/// Plays a transcript in which `$CONNECT` and `$INFO` stand for the usual ones of a pooling server R, with more fields
/// where a `+` and the fields follow.
fn play_route(scene: &mut Scene, text: &str) {
    let mut expanded = String::new();
    for line in text.lines() {
        let (start, more) = line.split_once(" + ").unwrap_or((line, ""));
        let more = if more.is_empty() { String::new() } else { format!(",{more}") };
        let line = start
            .replace("$CONNECT", &format!(r#"CONNECT {{"echo":true,"verbose":false,"headers":true,"name":"NR"{more}}}"#))
            .replace(
                "$INFO",
                &format!(
                    r#"INFO {{"server_id":"NR","server_name":"R","proto":2,"host":"h","port":6222,"headers":true,"cluster":"C"{more}}}"#
                ),
            );
        expanded.push_str(&line);
        expanded.push('\n');
    }
    play(scene, &expanded);
}

#[test]
fn an_acceptor_greets_with_what_it_is() {
    let mut scene = node();
    let route = scene.raw_route("A");
    let greeting = scene.take(route);
    let json = greeting.strip_prefix("INFO ").and_then(|info| info.strip_suffix(" \r\n")).expect("one INFO");
    let info = Info::from_json(json.as_bytes()).expect("an INFO");
    assert_eq!(info.server_id, scene.node("A").node().hub().server_id());
    assert_eq!(
        (info.server_name.as_str(), info.cluster.as_str(), info.host.as_str()),
        ("A", "C", "10.0.0.1")
    );
    assert_eq!((info.port, info.proto, info.route_pool_size, info.route_pool_idx), (6222, 3, 3, 0));
    assert!(info.headers && info.lnoc && info.lnocu && info.ln && !info.auth_required);
    assert_eq!(info.connect_urls, ["10.0.0.1:4222"]);
}

#[test]
fn each_new_route_is_given_a_nonce() {
    let mut scene = node();
    let nonces = [(); 2].map(|()| {
        let route = scene.raw_route("A");
        let greeting = scene.take(route);
        Info::from_json(greeting["INFO ".len()..].trim().as_bytes()).expect("an INFO").nonce
    });
    let is_base64 = |nonce: &String| {
        nonce.len() == 15 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    assert!(nonces.iter().all(is_base64), "{nonces:?}");
}

#[test]
fn interest_and_messages_count_before_a_peer_has_presented_itself_and_after() {
    for order in
        [["RS+ $G bar\r\nRMSG $G foo 2\r\nhi\r\n", INFO], [INFO, "RS+ $G bar\r\nRMSG $G foo 2\r\nhi\r\n"]]
    {
        let mut scene = node();
        let client = scene.client("A");
        scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB foo 1\r\n");
        scene.take(client);
        let route = scene.raw_route("A");
        scene.take(route);
        scene.send(route, CONNECT.as_bytes());
        for lines in order {
            scene.send(route, lines.as_bytes());
        }
        assert_eq!(scene.take(client), "MSG foo 1 2\r\nhi\r\n");
        scene.take(route);
        scene.send(client, b"PUB bar 1\r\nx\r\n");
        assert_eq!(scene.take(route), "RMSG $G bar 1\r\nx\r\n");
        scene.send(route, b"RS- $G bar\r\n");
        scene.send(client, b"PUB bar 1\r\nx\r\n");
        assert_eq!(scene.take(route), "");
    }
}

#[test]
fn interest_of_a_peer_that_never_presents_itself_is_gone_with_it() {
    let mut scene = node();
    let route = scene.raw_route("A");
    scene.send(route, CONNECT.as_bytes());
    scene.send(route, b"RS+ $G bar\r\n");
    let wanted = |scene: &Scene| scene.node("A").node().hub().global_account().index().stats().subscriptions;
    assert_eq!(wanted(&scene), 1);
    scene.run_for(SECOND * 11);
    assert!(scene.closed(route).is_some());
    assert_eq!(wanted(&scene), 0);
}

/// A peer without a pool.
const CONNECT: &str =
    "CONNECT {\"echo\":true,\"verbose\":false,\"headers\":true,\"name\":\"NR\",\"cluster\":\"C\"}\r\n";

const INFO: &str = "INFO {\"server_id\":\"NR\",\"server_name\":\"R\",\"proto\":2,\"host\":\"h\",\"port\":6222,\
                    \"headers\":true,\"cluster\":\"C\"}\r\n";

#[test]
fn a_peer_that_presents_itself_hears_of_the_interest_there_is() {
    play_route(
        &mut node(),
        r#"
        a> SUB foo 1
        a< +OK
        a> SUB foo q 2
        a< +OK
        #r> $CONNECT + "cluster":"C"
        #r> PING
        #r< PONG
        #r> $INFO
        #r< RS+ $G foo
        #r< RS+ $G foo q 1
        #r> PING
        #r< PONG
        "#,
    );
}

#[test]
fn interest_goes_over_the_connection_that_carries_the_account() {
    play_route(
        &mut node(),
        r#"
        a> SUB foo 1
        a< +OK
        -- $G has slot 2 of 3.
        #s0> $CONNECT + "cluster":"C"
        #s0> $INFO + "route_pool_size":3
        #s1> $CONNECT + "cluster":"C"
        #s1> $INFO + "route_pool_size":3,"route_pool_idx":1
        #s2> $CONNECT + "cluster":"C"
        #s2> $INFO + "route_pool_size":3,"route_pool_idx":2
        #s2< RS+ $G foo
        #sys> $CONNECT + "cluster":"C"
        #sys> $INFO + "route_pool_size":3,"route_account":"$SYS"
        a> SUB bar 2
        a< +OK
        #s2< RS+ $G bar
        "#,
    );
}

#[test]
fn whatever_comes_before_connect_ends_the_route() {
    for line in ["PING", "$INFO", "RS+ $G foo"] {
        let script = format!(
            "#r> {line}
             #r< -ERR 'Authorization Violation'
             #r! Authentication Failure"
        );
        play_route(&mut node(), &script);
    }
}

#[test]
fn a_connect_that_does_not_fit_ends_the_route_with_the_reason() {
    let cases = [
        (r#""cluster":"C","lang":"go""#, "attempted to connect to route port", CloseReason::IncorrectPort),
        (
            r#""cluster":"C","gateway":"GW""#,
            r#"Rejecting connection from gateway "GW" on the Route port"#,
            CloseReason::WrongGateway,
        ),
        (
            r#""cluster":"X""#,
            r#"Rejecting connection, cluster name "X" does not match "C""#,
            CloseReason::ClusterNameConflict,
        ),
        (
            r#""cluster":"_""#,
            r#"Rejecting connection, cluster name "_" is reserved"#,
            CloseReason::ClusterNameConflict,
        ),
    ];
    for (fields, error, reason) in cases {
        let script = format!(
            "#r> $CONNECT + {fields}
             #r< -ERR '{error}'
             #r! {reason}"
        );
        play_route(&mut node(), &script);
    }
}

#[test]
fn an_info_that_does_not_fit_ends_the_route() {
    let own_id = node().node("A").node().hub().server_id().to_owned();
    let silent = [
        (r#""cluster":"X""#.to_owned(), CloseReason::ClusterNameConflict),
        (r#""server_name":"A""#.to_owned(), CloseReason::DuplicateServerName),
        (format!(r#""server_id":"{own_id}""#), CloseReason::DuplicateRoute),
    ];
    for (fields, reason) in silent {
        let script = format!(
            "#r> $CONNECT + \"cluster\":\"C\"\n#r> INFO {{\"server_id\":\"NR\",\"cluster\":\"C\",{fields}}}\n#r! {reason}"
        );
        play_route(&mut node(), &script);
    }
    let told = [
        (
            r#""route_pool_size":3,"route_pool_idx":3"#,
            "Invalid route pool index: 3 - pool size is 3",
            CloseReason::ProtocolViolation,
        ),
        (
            r#""route_pool_size":3,"route_pool_idx":-1"#,
            "Invalid route pool index: -1 - pool size is 3",
            CloseReason::ProtocolViolation,
        ),
        (
            r#""route_account":"$SYS""#,
            r#"Not possible to have a dedicated route for account "$SYS" between those servers"#,
            CloseReason::ProtocolViolation,
        ),
        (
            r#""route_pool_size":3,"route_account":"ZZZ""#,
            r#"Unable to lookup account "ZZZ": account missing"#,
            CloseReason::MissingAccount,
        ),
        (
            r#""route_pool_size":3,"route_account":"$G""#,
            r#"No route for account "$G""#,
            CloseReason::ProtocolViolation,
        ),
    ];
    for (fields, error, reason) in told {
        let script = format!(
            "#r> $CONNECT + \"cluster\":\"C\"
             #r> $INFO + {fields}
             #r< -ERR '{error}'
             #r! {reason}"
        );
        play_route(&mut node(), &script);
    }
}

#[test]
fn the_second_connection_for_a_seat_is_closed_and_the_first_stays() {
    for fields in [
        r#""x":0"#,
        r#""route_pool_size":3,"route_pool_idx":1"#,
        r#""route_pool_size":3,"route_account":"$SYS""#,
    ] {
        let script = format!(
            "#r> $CONNECT + \"cluster\":\"C\"
             #r> $INFO + {fields}
             #s> $CONNECT + \"cluster\":\"C\"
             #s> $INFO + {fields}
             #r< PING
             #s! Duplicate Route
             #r> PING
             #r< PONG"
        );
        // The first is asked whether it is still alive.
        play_route(&mut node(), &script);
    }
}

#[test]
fn a_peer_that_changes_between_pooling_and_not_has_its_old_connection_probed() {
    let (sole, pooled) = (r#""x":0"#, r#""route_pool_size":3,"route_pool_idx":0"#);
    for (old, new) in [(sole, pooled), (pooled, sole)] {
        let script = format!(
            "#r> $CONNECT + \"cluster\":\"C\"
             #r> $INFO + {old}
             #s> $CONNECT + \"cluster\":\"C\"
             #s> $INFO + {new}
             #r< PING
             #s! Duplicate Route
             -- It is asked once. Until it is found dead there is no seat for the others.
             #t> $CONNECT + \"cluster\":\"C\"
             #t> $INFO + {new}
             #t! Duplicate Route
             +5s
             #r< PING
             #r! Stale Connection
             #u> $CONNECT + \"cluster\":\"C\"
             #u> $INFO + {new}
             #u> PING
             #u< PONG"
        );
        play_route(&mut node(), &script);
    }
}

#[test]
fn a_peer_with_a_larger_pool_gets_as_many_slots() {
    play_route(
        &mut node(),
        r#"
        #r> $CONNECT + "cluster":"C"
        #r> $INFO + "route_pool_size":5,"route_pool_idx":4
        #r> PING
        #r< PONG
        "#,
    );
}

#[test]
fn a_route_must_present_the_clusters_user_and_password_in_time() {
    let scene = || {
        let mut scene = Scene::new();
        scene.start("A", &[], |config| {
            cluster(config).authorization =
                Some(UserPassword { user: "route".to_owned(), password: "secret".into() });
        });
        scene
    };
    play_route(
        &mut scene(),
        r#"
        #r> $CONNECT + "cluster":"C","user":"route","pass":"secret"
        #r> PING
        #r< PONG
        #s> $CONNECT + "cluster":"C","user":"route","pass":"guess"
        #s< -ERR 'Authorization Violation'
        #s! Authentication Failure
        "#,
    );
    let mut scene = scene();
    let silent = scene.raw_route("A");
    assert!(scene.take(silent).contains(r#""auth_required":true"#));
    scene.run_for(SECOND * 2);
    assert!(scene.take(silent).ends_with("-ERR 'Authentication Timeout'\r\n"));
    assert_eq!(scene.closed(silent), Some(CloseReason::AuthenticationTimeout));
}

#[test]
fn a_server_that_was_dialed_and_never_says_who_it_is_is_dialed_anew() {
    let mut scene = Scene::new();
    let url = "nats://10.0.0.99:6222";
    scene.start("A", &[], |config| cluster(config).routes = vec![url.parse().expect("a URL")]);
    let [pooled, system] = scene.dialed_by_hand("A");
    scene.run_for(SECOND * 5);
    // Signs of life are not enough.
    scene.send(pooled, b"PONG\r\n");
    assert_eq!((scene.closed(pooled), scene.dials()), (None, 0));
    scene.run_for(SECOND * 6);
    for dialed in [pooled, system] {
        assert_eq!(scene.closed(dialed), Some(CloseReason::AuthenticationTimeout));
    }
    scene.run_for(SECOND * 2);
    assert!(scene.dials() >= 2, "{} dials", scene.dials());
}

#[test]
fn a_server_that_dials_must_finish_its_handshake_in_time() {
    let mut scene = node();
    let [silent, halfway] = [(); 2].map(|()| scene.raw_route("A"));
    scene.run_for(SECOND * 9);
    scene.send(halfway, b"CONNECT {\"name\":\"NR\",\"cluster\":\"C\"}\r\n");
    let whole = scene.raw_peer("A", "R", "");
    scene.run_for(SECOND * 2);
    assert_eq!(scene.closed(silent), Some(CloseReason::AuthenticationTimeout));
    assert_eq!(scene.closed(halfway), None, "it has as long again for its INFO");
    scene.run_for(SECOND * 10);
    assert_eq!(scene.closed(halfway), Some(CloseReason::AuthenticationTimeout));
    assert_eq!(scene.closed(whole), None);
}

#[test]
fn members_with_the_clusters_credentials_in_the_url_become_a_mesh_by_gossip_too() {
    let mut scene = Scene::new();
    let guard = |config: &mut Config| {
        let own = cluster(config);
        own.authorization = Some(UserPassword { user: "route".to_owned(), password: "secret".into() });
        for url in &mut own.routes {
            (url.user, url.password) = (Some("route".to_owned()), Some("secret".into()));
        }
    };
    scene.start("A", &[], guard);
    scene.start("B", &["A"], guard);
    scene.start("C", &["A"], guard);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
}

#[test]
fn a_member_with_the_wrong_password_tries_slowly_and_never_joins() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| {
        cluster(config).authorization =
            Some(UserPassword { user: "route".to_owned(), password: "secret".into() });
    });
    scene.start("B", &["A"], |_| {});
    scene.run_for(SECOND * 10);
    assert!(scene.dials() <= 24, "{} dials in ten seconds", scene.dials());
    assert_eq!(scene.node("A").node().peer_count() + scene.node("B").node().peer_count(), 0);
}

#[test]
fn a_generated_cluster_name_gives_way_to_a_given_one() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| cluster(config).name = None);
    scene.start("B", &["A"], |_| {});
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    assert_eq!(scene.node("A").node().cluster_name().as_deref(), Some("C"));
}

#[test]
fn of_generated_cluster_names_all_members_agree_on_one() {
    let mut scene = Scene::new();
    for (name, routes) in [("A", &[] as &[&str]), ("B", &["A"]), ("C", &["B"]), ("D", &["C"])] {
        scene.start(name, routes, |config| cluster(config).name = None);
    }
    assert!(scene.drive_until(SECOND * 10, |scene| scene.is_mesh(4)), "{}", scene.describe());
    let mut names: Vec<_> = scene.names().iter().map(|name| scene.node(name).node().cluster_name()).collect();
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn clusters_of_different_given_names_stay_apart() {
    let mut scene = Scene::new();
    scene.start("A", &[], |_| {});
    scene.start("B", &["A"], |config| cluster(config).name = Some("D".to_owned()));
    scene.run_for(SECOND * 10);
    assert_eq!(scene.route_count("A", "B"), 0);
    assert!((8..=24).contains(&scene.dials()), "about one a second of each kind: {}", scene.dials());
}

#[test]
fn a_node_of_a_name_that_is_taken_does_not_join() {
    let mut scene = Scene::new();
    scene.start("A", &[], |_| {});
    scene.start("B", &["A"], |config| config.server_name = Some("A".to_owned()));
    scene.run_for(SECOND * 5);
    assert_eq!(scene.route_count("A", "B"), 0);
    assert_eq!(scene.node("A").node().peer_count(), 0);
}

#[test]
fn an_acceptor_must_not_name_a_slot() {
    let mut scene = Scene::new();
    let url = "nats://10.0.0.99:6222";
    scene.start("A", &[], |config| cluster(config).routes = vec![url.parse().expect("a URL")]);
    let [dialed, _system] = scene.dialed_by_hand("A");
    scene.take(dialed);
    scene.send(
        dialed,
        br#"INFO {"server_id":"NR","server_name":"R","cluster":"C","route_pool_size":3,"route_pool_idx":1}"#,
    );
    scene.send(dialed, b"\r\n");
    assert_eq!(scene.take(dialed), "-ERR 'Route pool index should not be set but is set to 1'\r\n");
    assert_eq!(scene.closed(dialed), Some(CloseReason::ProtocolViolation));
}

#[test]
fn a_dialer_says_connect_first_and_its_info_when_it_knows_its_slot() {
    let mut scene = Scene::new();
    let url = "nats://u:p@10.0.0.99:6222";
    scene.start("A", &[], |config| cluster(config).routes = vec![url.parse().expect("a URL")]);
    let [pooled, system] = scene.dialed_by_hand("A");
    let connect = scene.take(pooled);
    assert!(connect.starts_with("CONNECT {") && connect.matches("\r\n").count() == 1, "{connect}");
    assert!(connect.contains(r#""user":"u","pass":"p""#) && !connect.contains("lang"), "{connect}");
    let connect = scene.take(system);
    assert!(connect.starts_with("CONNECT {") && connect.matches("\r\n").count() == 1, "{connect}");
    for dialed in [pooled, system] {
        scene.send(
            dialed,
            b"INFO {\"server_id\":\"NR\",\"server_name\":\"R\",\"cluster\":\"C\",\"route_pool_size\":3}\r\n",
        );
    }
    let rest = scene.take(system);
    assert!(rest.starts_with("INFO {") && rest.contains(r#""route_account":"$SYS""#), "{rest}");
    let rest = scene.take(pooled);
    assert!(rest.starts_with("INFO {") && rest.ends_with("} \r\nPING\r\n"), "{rest}");
    assert!(!rest.contains("route_pool_idx"), "slot 0 is not named: {rest}");
    let dials = scene.dials();
    scene.run_for(SECOND / 2);
    assert_eq!(scene.dials(), dials, "no further slot before the PONG");
    scene.send(pooled, b"PONG\r\n");
    assert_eq!(scene.dials(), dials + 1);
}
