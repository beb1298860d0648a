//! What a node logs because of its peers: not too much, and no secret.

use std::cell::RefCell;
use std::sync::Once;

use log::{Level, LevelFilter, Log, Metadata, Record};
use onehop::config::{Authorization, ClusterConfig, Config, RouteLimits, UserPassword};

use crate::scene::{Peer, SECOND, Scene};

#[test]
fn a_fault_that_is_repeated_for_seconds_is_logged_ten_times_in_each_and_the_rest_counted() {
    let mut scene = Scene::alone(|_| {});
    let client = scene.client("A");
    let log = Lines::of(Level::Debug);
    for _ in 0..400 {
        scene.send(client, &b"SUB a..b 1\r\n".repeat(1000));
        scene.run_for(SECOND / 100);
    }
    scene.disconnect(client);
    let lines = log.take();
    let said = lines.iter().filter(|line| line.ends_with("Invalid Subject")).count();
    assert!((40..=50).contains(&said), "{said}: {lines:#?}");
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < 8 * 1024, "{bytes} bytes of log");
    assert_eq!(said as u64 + left_out(&lines), 400_000);
    assert!(
        lines.last().is_some_and(|line| line.ends_with("Client connection closed: Client Closed")),
        "{lines:#?}"
    );
}

#[test]
fn what_nats_server_does_not_log_is_no_error_here() {
    let mut scene = Scene::alone(|_| {});
    let client = scene.client("A");
    let log = Lines::of(Level::Info);
    scene.send(client, b"SUB a..b 1\r\nPUB a..b 0\r\n\r\n");
    assert_eq!(log.take(), [""; 0]);
    scene.send(client, b"PUB $GR.x 0\r\n\r\nSUB a _sys_ 1\r\nNONSENSE\r\n");
    assert_eq!(log.take().len(), 3);
}

#[test]
fn all_connections_together_log_a_hundred_lines_a_second() {
    let mut scene = Scene::alone(|_| {});
    let log = Lines::of(Level::Info);
    for _ in 0..300 {
        let client = scene.client("A");
        scene.send(client, b"PUB $GR.x 0\r\n\r\n");
        scene.disconnect(client);
    }
    assert_eq!(log.take().len(), 100);
    scene.run_for(SECOND);
    let client = scene.client("A");
    scene.send(client, b"PUB $GR.x 0\r\n\r\n");
    let lines = log.take();
    assert_eq!((lines.len(), left_out(&lines)), (2, 200), "{lines:#?}");
}

#[test]
fn each_limit_of_other_servers_that_is_hit_is_said_by_its_name_once_in_ten_seconds() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| {
        let cluster = config.cluster.as_mut().expect("a clustered node");
        cluster.limits = RouteLimits {
            max_peers: 1,
            max_unregistered: 2,
            max_unregistered_in_bytes: 1000,
            max_unregistered_out_bytes: 60,
            max_payload: 100,
            max_interest: 2,
            ..RouteLimits::default()
        };
    });
    let peer = scene.raw_peer("A", "R", "");
    let log = Lines::of(Level::Warn);
    let hit_all = |scene: &mut Scene| {
        let connect = b"CONNECT {\"verbose\":false,\"name\":\"NX\",\"cluster\":\"C\"}\r\n".as_slice();
        let second = b"INFO {\"server_id\":\"NX\",\"server_name\":\"X\",\"cluster\":\"C\"}\r\n";
        for rest in [second.as_slice(), b"RMSG $G a 1001\r\n", &b"PING\r\n".repeat(11)] {
            let stranger = scene.raw_route("A");
            scene.send(stranger, &[connect, rest].concat());
        }
        let strangers = [(); 3].map(|()| scene.raw_route("A"));
        strangers.into_iter().for_each(|stranger| scene.disconnect(stranger));
    };
    hit_all(&mut scene);
    hit_all(&mut scene);
    scene.send(peer, b"RS+ $G a\r\nRS+ $G b\r\nRS+ $G c\r\n");
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, b"RMSG $G a 101\r\n");
    let named = |lines: Vec<String>| {
        let named = lines.iter().filter_map(|line| line.strip_prefix("Limit ")?.split_once(" is hit"));
        named.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let names = ["max_peers", "max_unregistered_in_bytes", "max_unregistered_out_bytes", "max_unregistered"];
    let expected = names.map(|name| format!("limits.{name}")).to_vec();
    assert_eq!(
        named(log.take()),
        [
            &expected[..],
            &["limits.max_interest or limits.max_interest_bytes".to_owned(), "limits.max_payload".to_owned()]
        ]
        .concat()
    );
    scene.run_for(10 * SECOND);
    scene.raw_peer("A", "R", "");
    hit_all(&mut scene);
    assert_eq!(named(log.take()), expected);
    hit_all(&mut scene);
    assert_eq!(named(log.take()), [""; 0]);
}

#[test]
fn what_a_peer_wrote_is_quoted_by_its_start() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let log = Lines::of(Level::Debug);
    let client = scene.client("A");
    let long = "x".repeat(3000);
    for line in [
        format!("PUB $GR.{long} 0\r\n\r\n"),
        format!("PUB a _R_.{long} 0\r\n\r\n"),
        format!("SUB {long} _sys_ 1\r\n"),
        format!("-ERR '{long}'\r\n"),
    ] {
        scene.send(client, line.as_bytes());
    }
    let user = scene.client("A");
    scene.send(
        user,
        format!("CONNECT {{\"user\":\"{long}\",\"pass\":\"x\",\"account\":\"x\"}}\r\n").as_bytes(),
    );
    let route = scene.raw_route("A");
    scene.send(route, format!("CONNECT {{\"gateway\":\"{long}\"}}\r\n").as_bytes());
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, format!("RS+ $G a..{long}\r\n").as_bytes());
    scene.send(peer, format!("INFO {{\"server_id\":\"N\",\"ip\":\"{long}\"}}\r\n").as_bytes());
    let lines = log.take();
    assert_eq!(lines.iter().filter(|line| line.contains("xxx")).count(), 8, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(&"x".repeat(129))), "{lines:#?}");
}

#[test]
fn secrets_stay_secret_in_whichever_shape_a_peer_presents_them() {
    let mut scene = guarded();
    let log = Lines::of(Level::Trace);
    for fields in [
        r#""user":"joe","pass":"SECRET""#,
        r#""user":"joe","pass":"SECRET-wrong""#,
        r#""user":"joe","PASS":"SECRET""#,
        r#""user":"joe","\u0070ass":"SECRET""#,
        r#""user":"joe","pass":5317"#,
        r#""user":"joe","pass":["SECRET"]"#,
        r#""user":"joe","pass":{"name":"SECRET"}"#,
        r#""user":"joe","pass":true,"password":"SECRET""#,
        r#""pass":"SECRET","pass":"SECRET""#,
        r#""auth_token":"SECRET","token":"SECRET""#,
        r#""auth_token":5317"#,
        r#""jwt":"SECRET","nkey":"SECRET","sig":"SECRET""#,
        r#""name":{"pass":"SECRET"}"#,
        r#""lang":["SECRET"],"version":[{"x":"SECRET"}]"#,
        r#""user":"SECRET""#,
        r#""pass":"SECRET"#,
        r#""pass":"SECRET\Q""#,
    ] {
        for route in [false, true] {
            let peer = if route { scene.raw_route("A") } else { scene.client("A") };
            scene.send(peer, format!("CONNECT {{{fields}}}\r\n").as_bytes());
            scene.send(peer, format!("INFO {{{fields}}}\r\n").as_bytes());
            scene.disconnect(peer);
        }
    }
    let lines = log.take();
    assert!(lines.iter().filter(|line| line.contains("[REDACTED]")).count() > 20, "{lines:#?}");
    assert_secret(&lines);
}

#[test]
fn what_a_node_presents_to_others_stays_secret_even_if_they_say_it() {
    let mut scene = guarded();
    let log = Lines::of(Level::Trace);
    let peers: [Peer; 4] = scene.dialed_by_hand("A");
    for (index, peer) in peers.into_iter().enumerate() {
        assert!(scene.take(peer).contains("SECRET"), "it is presented");
        let errors = ["no SECRET here", "nor at nats://joe:SECRE@h", "Authorization Violation"];
        scene.send(peer, format!("-ERR '{}'\r\n", errors[index % 3]).as_bytes());
    }
    let lines = log.take();
    let has = |text: &str| assert!(lines.iter().any(|line| line.contains(text)), "{text}: {lines:#?}");
    has(r#""pass":"[REDACTED]""#);
    has("Route Error (16 bytes)");
    has("Route Error 'nor at nats://[REDACTED]@h'");
    has("Route Error 'Authorization Violation'");
    assert_secret(&lines);
    assert!(lines.iter().all(|line| !line.contains("SECRE")), "{lines:#?}");
}

/// A node that wants a password of clients and servers, and has one and a token for others.
fn guarded() -> Scene {
    let mut scene = Scene::new();
    scene.start("A", &[], |config: &mut Config| {
        let (user, password) = ("joe".to_owned(), "SECRET".into());
        config.authorization = Authorization::User { user: user.clone(), password };
        let routes = ["nats://joe:SECRET@10.0.0.8:6222", "nats://SECRET-token@10.0.0.9:6222"];
        config.cluster = Some(ClusterConfig {
            name: Some("C".to_owned()),
            authorization: Some(UserPassword { user, password: "SECRET".into() }),
            routes: routes.map(|url| url.parse().expect("a URL")).to_vec(),
            ..ClusterConfig::default()
        });
    });
    scene
}

fn assert_secret(lines: &[String]) {
    let leak = lines.iter().find(|line| line.contains("SECRET") || line.contains("5317"));
    assert_eq!(leak, None);
}

/// How many lines the log says that it lacks.
fn left_out(lines: &[String]) -> u64 {
    let numbers = lines.iter().filter_map(|line| {
        let (before, _) = line.split_once(" more lines ")?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    numbers.sum()
}

/// What is logged on this thread from its making on.
pub(crate) struct Lines;

impl Lines {
    pub(crate) fn of(level: Level) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            log::set_logger(&PerThread).expect("the only logger");
            log::set_max_level(LevelFilter::Trace);
        });
        WRITTEN.set(Some((level, Vec::new())));
        Self
    }

    pub(crate) fn take(&self) -> Vec<String> {
        WRITTEN.with_borrow_mut(|written| {
            written.as_mut().map(|(_, lines)| std::mem::take(lines)).unwrap_or_default()
        })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

/// Gives each test, which runs on a thread of its own, its own log.
struct PerThread;

impl Log for PerThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        WRITTEN.with_borrow(|written| written.as_ref().is_some_and(|(most, _)| metadata.level() <= *most))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = record.args().to_string();
            WRITTEN.with_borrow_mut(|written| {
                written.iter_mut().for_each(|(_, lines)| lines.push(line.clone()))
            });
        }
    }

    fn flush(&self) {}
}

thread_local! {
    static WRITTEN: RefCell<Option<(Level, Vec<String>)>> = const { RefCell::new(None) };
}
