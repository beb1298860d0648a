//! Pages against a node with clients and a peer, and against what nats-server shows.

mod connz;
mod discoveryz;
mod pieces;
mod sharing;
#[cfg(feature = "websocket")]
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::close::CloseReason;
use crate::config::{Authorization, ClusterConfig, Config};
use crate::connection::Connection;
use crate::node::Listening;

/// A node whose clients and peers write what a test wants, and whose answers nobody reads.
pub(super) struct World {
    node: Arc<Node>,
    pub(super) now: Instant,
    open: Vec<Connection>,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let listening =
            Listening { client_port: 4222, websocket_port: 8080, route_port: 6222, ..Listening::default() };
        let now = at(0);
        Self { node: Node::new(config, &listening, now), now, open: Vec::new() }
    }

    /// A member of the cluster `C`, where a user is needed.
    fn in_cluster() -> Self {
        let cluster = ClusterConfig {
            name: Some("C".to_owned()),
            routes: vec!["nats://u:secret@192.0.2.7:6222".parse().expect("a URL")],
            ..ClusterConfig::default()
        };
        let authorization = Authorization::User { user: "u".to_owned(), password: String::from("p").into() };
        Self::new(Config { cluster: Some(cluster), authorization, ..Config::default() })
    }

    pub(super) fn client(&mut self, lines: &str) -> &mut Connection {
        let client = Connection::accept_client(&self.node, self.now, address(), &mut ());
        self.add(client, lines)
    }

    /// One that comes by WebSocket.
    #[cfg(feature = "websocket")]
    fn web_client(&mut self) -> &mut Connection {
        let client = Connection::accept_websocket(&self.node, self.now, address(), &mut ());
        let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        self.add(client, &format!("{request}{key}\r\n"))
    }

    /// A peer that fills one seat, with one member of a queue group behind it.
    fn peer(&mut self, seat: &str, interest: &str) {
        let route = Connection::accept_route(&self.node, self.now, address(), &mut ());
        let info = r#""server_id":"NB","server_name":"B","version":"2.15.1","proto":2,"host":"127.0.0.1","port":6223,
            "headers":true,"max_payload":1048576,"cluster":"C","connect_urls":["192.0.2.7:4222"],"compression":"off",
            "route_pool_size":3"#;
        let info = info.replace('\n', "");
        let connect = r#"CONNECT {"verbose":false,"pedantic":false,"name":"NB","cluster":"C"}"#;
        let route = self.add(route, &format!("{connect}\r\nINFO {{{info}{seat}}}\r\n{interest}\r\n"));
        assert_eq!(route.poll_close(), None);
    }

    fn add(&mut self, connection: Connection, lines: &str) -> &mut Connection {
        self.open.push(connection);
        let place = self.open.len() - 1;
        self.hear(place, lines);
        &mut self.open[place]
    }

    /// A connection hears lines, as much at once as a socket is read.
    fn hear(&mut self, place: usize, lines: &str) {
        let connection = &mut self.open[place];
        for lines in lines.as_bytes().chunks(64 * 1024) {
            connection.handle_input(self.now, lines, &mut ());
            while connection.wants_turn() {
                connection.handle_turn(self.now, &mut ());
            }
        }
    }

    fn close(&mut self, place: usize, reason: CloseReason) {
        let mut connection = self.open.remove(place);
        connection.handle_close_request(reason);
        assert!(connection.handle_closed(self.now, &mut ()).is_over());
    }

    pub(super) fn get(&self, target: &str) -> Response {
        respond(&self.node, &self.facts(), target)
    }

    /// Begins to answer, to render on with [`render`](Self::render).
    pub(super) fn open(&self, target: &str, budget: &Budget) -> Reply {
        open(&self.node, &self.facts(), target, budget)
    }

    pub(super) fn render(&self, rendering: &mut Rendering) -> Progress {
        rendering.render(&self.node, self.facts().pending_bytes)
    }

    fn facts(&self) -> Facts<'static> {
        Facts {
            now: self.now,
            start: at(0),
            unix_nanos_at_zero: 1_700_000_000_000_000_000,
            memory_bytes: 5_000_000,
            cpu_percent: 12.5,
            cores: 4,
            workers: 2,
            http_host: "127.0.0.1",
            http_port: 8222,
            config_digest: "",
            pending_bytes: &|id| 100 + id.index() as u64,
            longest_turns: &[],
        }
    }

    fn json(&self, target: &str) -> Value {
        let response = self.get(target);
        assert_eq!((response.status, response.content_type), (200, "application/json"), "{}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }

    /// The numbers of the connections that `/connz` lists.
    fn cids(&self, options: &str) -> Vec<u64> {
        let page = self.json(&format!("/connz?{options}"));
        page["connections"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|each| each["cid"].as_u64())
            .collect()
    }

    fn refusal(&self, target: &str) -> String {
        let response = self.get(target);
        assert_eq!((response.status, response.content_type), (400, "text/plain; charset=utf-8"));
        response.body
    }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 9], 40_000))
}

const CONNECT: &str =
    r#"CONNECT {"verbose":false,"user":"u","pass":"p","name":"n","lang":"l","version":"v"}"#;

/// The keys of indented JSON in their order, each once, with the keys above them; `[]` stands after that of a list of
/// objects.
fn keys(json: &str) -> Vec<String> {
    let (mut keys, mut above) = (Vec::new(), Vec::new());
    let mut lines = json.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with(['}', ']']) {
            above.pop();
        } else if line == "{" {
            above.push(String::new());
        } else if let Some((key, value)) = line.trim_start_matches('"').split_once("\": ") {
            let suffix = if value == "[" && lines.peek() == Some(&"{") { "[]" } else { "" };
            let path = format!("{}{key}{suffix}", above.concat());
            if !keys.contains(&path) {
                keys.push(path);
            }
            if matches!(value, "{" | "[") {
                above.push(format!("{key}{suffix}."));
            }
        }
    }
    keys
}

/// The keys that nats-server showed, by page.
fn recorded(page: &str) -> Vec<String> {
    let (_, section) =
        include_str!("recorded_keys.txt").split_once(&format!("\n[{page}]\n")).expect("a recorded page");
    section.lines().take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn pages_have_the_keys_of_nats_server_in_its_order() {
    let mut pooled = World::in_cluster();
    pooled.peer("", "RS+ $G zed q 1");
    pooled.client(&format!("{CONNECT}\r\nSUB foo q 1\r\nUNSUB 1 5\r\n"));
    pooled.client(&format!("{CONNECT}\r\nSUB foo q 1\r\n"));
    pooled.close(2, CloseReason::ClientClosed);
    let mut dedicated = World::in_cluster();
    dedicated.peer(r#","route_account":"$SYS""#, "RS+ $SYS.SERVER.*.SHUTDOWN");
    let alone = World::new(Config::default());
    let same = |world: &World, target: &str, page: &str| {
        let body = world.get(target).body;
        let keys: Vec<_> =
            keys(&body).into_iter().filter(|key| !key.starts_with("http_req_stats.")).collect();
        assert_eq!(keys, recorded(page), "{body}");
    };
    same(&pooled, "/varz", "varz");
    same(&alone, "/varz", "varz without a cluster");
    same(&pooled, "/routez?subs=1", "routez?subs=1 pooled");
    same(&pooled, "/routez?subs=detail", "routez?subs=detail pooled");
    same(&dedicated, "/routez?subs=detail", "routez?subs=detail dedicated");
    same(&pooled, "/subsz?subs=1&test=foo", "subsz?subs=1&test=foo");
    for page in [
        "connz?auth=1&subs=1",
        "connz?subs=detail",
        "connz?state=closed&auth=1&subs=1",
        "connz?state=closed&subs=detail",
        "accountz",
        "accountz?acc=$G",
        "accstatz",
        "gatewayz",
        "jsz",
        "leafz",
    ] {
        same(&pooled, &format!("/{page}"), page);
    }
    assert_eq!(alone.get("/healthz").body, r#"{"status":"ok"}"#);
}

#[test]
fn routez_counts_dials_by_their_causes_once_there_are_any() {
    let world = World::in_cluster();
    assert_eq!(world.json("/routez")["onehop_dials"], serde_json::Value::Null);
    while world.node.poll_dial(at(0)).is_some() {}
    let dials = &world.json("/routez")["onehop_dials"];
    assert_eq!((&dials["configured"], &dials["account"], &dials["retry"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(dials.as_object().expect("an object").len(), 13);
}

#[test]
fn varz_counts_both_kinds_of_connections() {
    let mut world = World::in_cluster();
    world.now = at(93_784);
    world.peer("", "RS+ $G zed");
    world.client(&format!("{CONNECT}\r\nSUB foo 1\r\nPUB zed 5\r\nhello\r\n"));
    world.get("/connz");
    let varz = world.json("/varz");
    assert_eq!(varz["uptime"], "1d2h3m4s");
    assert_eq!(varz["start"], "2023-11-14T22:13:20Z");
    assert_eq!(
        (varz["connections"].as_u64(), varz["routes"].as_u64(), varz["remotes"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    assert_eq!((varz["in_msgs"].as_u64(), varz["in_client_bytes"].as_u64()), (Some(1), Some(5)));
    assert_eq!((varz["subscriptions"].as_u64(), varz["cpu"].as_f64()), (Some(2), Some(12.5)));
    assert_eq!(varz["http_req_stats"], serde_json::json!({ "/connz": 1, "/varz": 1 }));
    assert_eq!(varz["cluster"]["urls"], serde_json::json!(["192.0.2.7:6222"]), "without the password");
    assert_eq!(varz["auth_timeout"].to_string(), "2");
    assert_eq!(varz["connect_urls"], serde_json::json!(["0.0.0.0:4222", "192.0.2.7:4222"]));
}

#[test]
fn an_account_counts_what_its_connections_did_also_those_that_are_gone() {
    let mut world = World::in_cluster();
    let statistics = |world: &World, options: &str| {
        let page = world.json(&format!("/accstatz?{options}"));
        let accounts = page["account_statz"].as_array().expect("a list").iter();
        accounts
            .map(|each| (each["acc"].as_str().expect("a name").to_owned(), each.clone()))
            .collect::<Vec<_>>()
    };
    assert!(statistics(&world, "").is_empty(), "nobody is connected");
    let names: Vec<_> = statistics(&world, "unused=1").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["$G", "$SYS"]);
    world.peer("", "RS+ $G zed");
    world.client(&format!("{CONNECT}\r\nSUB foo 1\r\nSUB foo 2\r\n"));
    world.client(&format!("{CONNECT}\r\nPUB foo 5\r\nhello\r\n"));
    world.hear(0, "RMSG $G foo 2\r\nhi\r\n");
    let numbers = |world: &World| {
        let (_, global) = statistics(world, "").pop().expect("it has clients");
        let number = |path: &str| global.pointer(path).and_then(Value::as_u64).expect("a number");
        ["/conns", "/received/msgs", "/received/bytes", "/received/routes/msgs", "/received/routes/bytes"]
            .map(number)
    };
    assert_eq!(numbers(&world), [2, 2, 7, 1, 2]);
    world.close(2, CloseReason::SlowConsumerPendingBytes);
    world.close(0, CloseReason::ClientClosed);
    assert_eq!(numbers(&world), [1, 2, 7, 1, 2], "what is gone still counts");
    assert_eq!(statistics(&world, "")[0].1["slow_consumers"], 1);
    assert_eq!(world.json("/accountz?acc=$G")["account_detail"]["client_connections"], 1);
    assert_eq!(world.json("/accountz?acc=$G")["account_detail"]["subscriptions"], 2);
}

#[test]
fn what_is_not_here_is_shown_as_empty() {
    let world = World::new(Config::default());
    assert_eq!(world.json("/gatewayz?accs=1")["outbound_gateways"], serde_json::json!({}));
    assert_eq!(world.json("/leafz?subs=1")["leafs"], serde_json::json!([]));
    assert_eq!(world.json("/jsz?accounts=1&limit=5")["disabled"], true);
    assert_eq!(world.json("/ipqueuesz?all=1"), serde_json::json!({}));
    assert_eq!(world.json("/debug/vars")["memstats"]["Sys"], 5_000_000);
    assert_eq!(world.json("/accountz")["accounts"], serde_json::json!(["$G", "$SYS"]));
    assert_eq!(world.get("/raftz"), Response::text(404, "No Raft nodes registered"));
    let facts = Facts { longest_turns: &[Duration::from_millis(3)], ..world.facts() };
    assert_eq!(respond(&world.node, &facts, "/stacksz"), Response::text(200, "thread 0: longest turn 3ms\n"));
}

#[test]
fn a_route_that_has_not_finished_its_handshake_is_not_shown() {
    let mut world = World::in_cluster();
    let route = Connection::accept_route(&world.node, world.now, address(), &mut ());
    world.open.push(route);
    assert_eq!(world.json("/routez")["num_routes"], 0);
    assert_eq!(world.json("/varz")["routes"], 0);
}

#[test]
fn interest_of_a_route_is_named_after_its_account_unless_the_route_is() {
    let sid = |world: &World| {
        world.json("/routez?subs=detail")["routes"][0]["subscriptions_list_detail"][0]["sid"].clone()
    };
    let mut pooled = World::in_cluster();
    pooled.peer("", "RS+ $G zed q 1");
    assert_eq!(sid(&pooled), "R $G zed q");
    let mut dedicated = World::in_cluster();
    dedicated.peer(r#","route_account":"$SYS""#, "RS+ a.>");
    assert_eq!(sid(&dedicated), "R a.>");
}

#[test]
fn bad_options_are_refused_in_the_words_of_nats_server() {
    let world = World::new(Config::default());
    let cases = [
        ("/connz?sort=bogus", "invalid sorting option: bogus"),
        ("/connz?sort=stop", "sort by stop only valid on closed connections"),
        ("/connz?sort=reason&state=all", "sort by reason only valid on closed connections"),
        ("/connz?state=foo", "Error decoding state for foo"),
        (
            "/connz?auth=xx&sort=bogus",
            r#"Error decoding boolean for 'auth': strconv.ParseBool: parsing "xx": invalid syntax"#,
        ),
        ("/connz?limit=x", r#"Error decoding int for 'limit': strconv.Atoi: parsing "x": invalid syntax"#),
        (
            "/connz?cid=x",
            r#"Error decoding uint64 for 'cid': strconv.ParseUint: parsing "x": invalid syntax"#,
        ),
        (
            "/routez?subs=xx",
            r#"Error decoding boolean for 'subs': strconv.ParseBool: parsing "xx": invalid syntax"#,
        ),
        ("/subsz?test=foo.*", "invalid test subject, must be valid publish subject: foo.*"),
        (
            "/subsz?subs=detail",
            r#"Error decoding boolean for 'subs': strconv.ParseBool: parsing "detail": invalid syntax"#,
        ),
        ("/accountz?acc=NOPE", "Account NOPE does not exist"),
        (
            "/leafz?subs=x",
            r#"Error decoding boolean for 'subs': strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
        ("/jsz?offset=x", r#"Error decoding int for 'offset': strconv.Atoi: parsing "x": invalid syntax"#),
        (
            "/healthz?js-enabled-only=x",
            r#"Error decoding boolean for 'js-enabled-only': strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
    ];
    for (target, expected) in cases {
        assert_eq!(world.refusal(target), expected, "{target}");
    }
}

#[test]
fn subsz_lists_local_subscriptions_that_match() {
    let mut world = World::in_cluster();
    world.peer("", "RS+ $G a.>");
    world.client(&format!("{CONNECT}\r\nSUB a.* 1\r\nSUB a.> q 2\r\nSUB b 3\r\nSUB b 4\r\nUNSUB 4\r\n"));
    let page = |options: &str| {
        let page = world.json(&format!("/subsz?{options}"));
        let list = page["subscriptions_list"].as_array().cloned().unwrap_or_default();
        let sids =
            list.iter().map(|each| each["sid"].as_str().expect("a text").to_owned()).collect::<Vec<_>>();
        (sids.concat(), page["total"].as_u64().expect("a number"))
    };
    assert_eq!(page("subs=1"), ("123".to_owned(), 3));
    assert_eq!(page("subs=1&test=a.b"), ("12".to_owned(), 2));
    assert_eq!(page("subs=1&offset=1&limit=1"), ("2".to_owned(), 3));
    assert_eq!(page("subs=1&offset=9"), (String::new(), 3));
    assert_eq!(page("subs=1&acc=$SYS"), (String::new(), 0));
    assert_eq!(page("test=a.b"), (String::new(), 0));
    let counts = world.json("/subscriptionsz");
    assert_eq!(
        [&counts["num_subscriptions"], &counts["num_inserts"], &counts["num_removes"]].map(Value::as_u64),
        [4, 5, 1].map(Some)
    );
    assert_eq!(world.json("/subsz?acc=NOPE")["num_subscriptions"], 0);
}

#[test]
fn health_is_refused_where_the_question_is_incomplete() {
    let world = World::new(Config::default());
    for (target, status, body) in [
        (
            "/healthz?details=1&js-enabled-only=1&js-server-only=true&js-meta-only=1",
            200,
            r#"{"status":"ok"}"#,
        ),
        ("/healthz?account=x&stream=y&consumer=z", 200, r#"{"status":"ok"}"#),
        (
            "/healthz?stream=x",
            400,
            r#"{"status":"error","error":"\"account\" must not be empty when checking stream health"}"#,
        ),
        (
            "/healthz?consumer=x",
            400,
            r#"{"status":"error","error":"\"stream\" must not be empty when checking consumer health"}"#,
        ),
        (
            "/healthz?stream=x&details=1",
            400,
            r#"{"status":"error","errors":[{"type":"BAD_REQUEST","error":"\"account\" must not be empty when checking stream health"}]}"#,
        ),
    ] {
        let expected = Response { status, content_type: "application/json", body: body.to_owned() };
        assert_eq!(world.get(target), expected, "{target}");
    }
}

#[test]
fn an_unknown_path_is_not_found_and_not_counted() {
    let world = World::new(Config::default());
    for path in ["/nope", "/varz/", "/Varz", "", "//varz", "/varz/x"] {
        let expected = Response::text(404, "404 page not found\n");
        assert_eq!(world.get(path), expected, "{path}");
    }
    assert_eq!(world.get("/varz%zz").status, 400);
    let index = world.get("/");
    assert_eq!((index.status, index.content_type), (200, "text/html; charset=utf-8"));
    assert!(index.body.contains("href=\"./varz\""));
    world.get("/he%61lthz?x");
    let requests = world.json("/varz")["http_req_stats"].clone();
    assert_eq!(requests, serde_json::json!({ "/": 1, "/healthz": 1, "/varz": 1 }));
}

#[test]
fn a_lame_duck_is_not_well() {
    let world = World::new(Config::default());
    world.node.handle_lame_duck(at(0), &mut ());
    let error = "failed to be ready for connections after 1ms: server";
    for (target, status, body) in [
        ("/healthz", 500, format!(r#"{{"status":"error","error":"{error}"}}"#)),
        (
            "/healthz?details=1",
            500,
            format!(r#"{{"status":"error","errors":[{{"type":"CONNECTION","error":"{error}"}}]}}"#),
        ),
    ] {
        let expected = Response { status, content_type: "application/json", body };
        assert_eq!(world.get(target), expected, "{target}");
    }
    assert_eq!(world.get("/healthz?stream=x").status, 400);
}

#[test]
fn every_page_stands_behind_the_base_path() {
    for base in ["x", "/x", "/x/", "//x/.", "y/../x"] {
        let world = World::new(Config { http_base_path: base.to_owned(), ..Config::default() });
        let status = |path: &str| world.get(path).status;
        assert_eq!(["/x", "/x/varz", "/x/connz?x"].map(status), [200; 3], "{base}");
        assert_eq!(["/", "/varz", "/x/", "/xvarz", "/X/varz", "/x/x/varz"].map(status), [404; 6], "{base}");
        assert!(world.get("/x").body.contains("href=\"./x/varz\""), "{base}");
        let varz = world.json("/x/varz");
        assert_eq!(varz["http_base_path"], base);
        assert_eq!(varz["http_req_stats"], serde_json::json!({ "/": 2, "/connz": 1, "/varz": 2 }), "{base}");
    }
    let world = World::new(Config { http_base_path: "/".to_owned(), ..Config::default() });
    assert_eq!(["/", "/varz"].map(|path| world.get(path).status), [200; 2]);
}

#[test]
fn tags_and_metadata_are_shown_where_there_are_some() {
    let metadata = [("k".to_owned(), "v".to_owned())].into();
    let config =
        Config { server_tags: vec!["b".into(), "a".into()], server_metadata: metadata, ..Config::default() };
    let varz = World::new(config).json("/varz");
    assert_eq!(
        (&varz["tags"], &varz["metadata"]),
        (&serde_json::json!(["b", "a"]), &serde_json::json!({ "k": "v" }))
    );
    let varz = World::new(Config::default()).json("/varz");
    assert_eq!((varz.get("tags"), varz.get("metadata")), (None, None));
}

#[test]
fn text_that_is_not_utf8_is_shown_with_replacements() {
    let mut world = World::new(Config::default());
    let client = world.client("");
    client.handle_input(at(0), b"SUB a\xff<b 1\r\n", &mut ());
    let body = world.get("/connz?subs=1").body;
    assert!(body.contains("\"a\u{fffd}\\u003cb\""), "{body}");
}

proptest::proptest! {
    #[test]
    fn every_target_is_answered(
        page in "/?(connz|subsz|routez|healthz|varz|[a-z]{0,3})?",
        options in proptest::collection::vec(
            "(sort|auth|subs|offset|limit|cid|state|user|acc|test|stream)?=(-?[0-9]{1,20}|[a-z%$.*>+;]{0,8}|\\PC{0,4})",
            0..4,
        ),
    ) {
        let mut world = World::new(Config::default());
        world.client("SUB a.* 1\r\n");
        let response = world.get(&format!("{page}?{}", options.join("&")));
        proptest::prop_assert!([200, 400, 404].contains(&response.status));
        proptest::prop_assert!(!response.body.is_empty());
    }
}
