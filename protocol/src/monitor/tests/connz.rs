//! `/connz`: which connections are shown, in which order, and what remains of those that ended.

use super::*;
use crate::config::{AccountConfig, Authorization, Mapping, User};

#[test]
fn connections_are_sorted_as_nats_server_sorts_them() {
    let mut world = World::new(Config::default());
    let lines = [
        "SUB a 1\r\nPUB zz 10\r\n0123456789\r\n",
        "SUB b 1\r\nSUB b 2\r\nSUB b 3\r\nPUB zz 1\r\n1\r\nPUB zz 1\r\n1\r\n",
        "SUB c 1\r\nSUB c 2\r\nPUB zz 2\r\n11\r\nPUB zz 2\r\n11\r\nPUB zz 2\r\n11\r\n",
    ];
    for (second, lines) in [1, 2, 3].into_iter().zip(lines) {
        world.now = at(second);
        world.client(lines);
    }
    world.now = at(10);
    world.open[0].handle_input(world.now, b"UNSUB 99\r\n", &mut ());
    for (place, rtt) in [20, 5, 10].into_iter().enumerate() {
        world.open[place].entry().set_rtt(Duration::from_millis(rtt));
    }
    let expected = [
        ("cid", [1, 2, 3]),
        ("start", [1, 2, 3]),
        ("subs", [2, 3, 1]),
        ("pending", [3, 2, 1]),
        ("msgs_from", [3, 2, 1]),
        ("bytes_from", [1, 3, 2]),
        ("msgs_to", [1, 2, 3]),
        ("bytes_to", [1, 2, 3]),
        ("last", [1, 3, 2]),
        ("idle", [2, 3, 1]),
        ("uptime", [3, 2, 1]),
        ("rtt", [1, 3, 2]),
    ];
    for (sort, cids) in expected {
        assert_eq!(world.cids(&format!("sort={sort}")), cids, "{sort}");
    }
    for (second, place, reason) in [
        (11, 1, CloseReason::StaleConnection),
        (12, 1, CloseReason::ClientClosed),
        (13, 0, CloseReason::ReadError),
    ] {
        world.now = at(second);
        world.close(place, reason);
    }
    assert_eq!(world.cids("state=closed"), [1, 2, 3]);
    assert_eq!(world.cids("state=closed&sort=stop"), [1, 3, 2]);
    assert_eq!(world.cids("state=closed&sort=reason"), [3, 1, 2]);
    assert_eq!(world.cids("state=closed&sort=uptime"), [2, 3, 1]);
}

#[test]
fn a_closed_connection_keeps_what_it_was_at_its_end() {
    let mut world = World::in_cluster();
    world.client(&format!("{CONNECT}\r\nSUB foo 1\r\nSUB bar 2\r\n"));
    world.now = at(7);
    world.close(0, CloseReason::StaleConnection);
    world.now = at(100);
    let closed = &world.json("/connz?state=closed&subs=1&auth=1")["connections"][0];
    assert_eq!(
        (&closed["stop"], &closed["reason"]),
        (&"2023-11-14T22:13:27Z".into(), &"Stale Connection".into())
    );
    assert_eq!((&closed["uptime"], &closed["idle"]), (&"7s".into(), &"7s".into()));
    assert_eq!(closed["subscriptions"], 2);
    assert_eq!(closed["subscriptions_list"], serde_json::json!(["foo", "bar"]));
    assert_eq!(closed["authorized_user"], "u");
    assert_eq!(closed["pending_bytes"], 0);
    assert_eq!(world.json("/connz")["total"], 0);
}

#[test]
fn a_client_that_is_turned_away_is_remembered_with_the_user_that_it_claimed_to_be() {
    let mut world = World::in_cluster();
    for connect in [r#"{"user":"w","name":"n"}"#, r#"{"auth_token":"secret"}"#, "{}"] {
        world.client(&format!("CONNECT {connect}\r\n"));
        world.close(0, CloseReason::ClientClosed);
    }
    let page = world.get("/connz?state=closed&auth=1");
    assert!(!page.body.contains("secret"), "{}", page.body);
    let page: Value = serde_json::from_str(&page.body).expect("JSON");
    let connections = page["connections"].as_array().expect("a list");
    let users: Vec<_> = connections.iter().map(|each| each["authorized_user"].as_str()).collect();
    assert_eq!(users, [Some("w"), Some("[REDACTED]"), None]);
    assert_eq!(connections[0]["name"], "n");
    assert!(connections.iter().all(|each| each["reason"] == "Authentication Failure"));
    assert_eq!(world.cids("state=closed&user=w"), [1]);
}

#[test]
fn connections_that_end_by_a_fault_show_the_reasons_of_nats_server() {
    let mut world = World::new(Config::default());
    let cases = [
        ("BOGUS\r\n", "Protocol Violation"),
        ("PUB foo\r\n", "Protocol Violation"),
        ("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n", "Protocol Violation"),
        ("CONNECT {\"x\r\n", "Protocol Violation"),
        ("-ERR 'x'\r\n", "Parse Error"),
        ("PUB foo 9999999\r\n", "Maximum Message Payload Exceeded"),
        ("CONNECT {\"protocol\":7}\r\n", "Bad Client Protocol Version"),
        ("CONNECT {\"no_responders\":true}\r\n", "No Responders Requires Headers"),
    ];
    for (lines, reason) in cases {
        world.client(lines);
        world.close(0, CloseReason::ClientClosed);
        let page = world.json("/connz?state=closed&sort=stop");
        let connections = page["connections"].as_array().expect("a list");
        assert_eq!(connections.last().expect("the last one")["reason"], reason, "{lines}");
    }
}

#[test]
fn the_round_trip_is_known_from_connect_on() {
    let mut world = World::new(Config::default());
    world.client("");
    world.now = at(0) + Duration::from_micros(1_234);
    world.open[0].handle_input(world.now, b"CONNECT {}\r\n", &mut ());
    world.now = at(9);
    world.open[0].handle_input(world.now, b"CONNECT {}\r\n", &mut ());
    assert_eq!(world.json("/connz")["connections"][0]["rtt"], "1.234ms");
}

#[test]
fn only_the_last_closed_connections_are_remembered_and_only_their_first_subscriptions() {
    let mut world = World::new(Config { max_closed_clients: 2, ..Config::default() });
    let many: String = (0..100).map(|sid| format!("SUB s.{sid} {sid}\r\n")).collect();
    for _ in 0..4 {
        world.client(&many);
        world.close(0, CloseReason::ClientClosed);
    }
    assert_eq!(world.cids("state=closed"), [3, 4]);
    let page = world.json("/connz?state=closed&subs=1");
    assert_eq!(
        (page["total"].as_u64(), page["connections"][0]["subscriptions"].as_u64()),
        (Some(2), Some(100))
    );
    let listed = page["connections"][0]["subscriptions_list"].as_array().expect("a list");
    assert_eq!(listed.len(), crate::hub::MAX_KEPT_SUBSCRIPTIONS);
    let mut forgetful = World::new(Config { max_closed_clients: 0, ..Config::default() });
    forgetful.client("");
    forgetful.close(0, CloseReason::ClientClosed);
    assert_eq!(forgetful.json("/connz?state=closed")["total"], 0);
}

#[test]
fn a_page_of_connections_is_cut_from_all_that_are_wanted() {
    let mut world = World::in_cluster();
    world.client(&format!("{CONNECT}\r\n"));
    world.client("");
    world.client(&format!("{CONNECT}\r\n"));
    world.close(2, CloseReason::ClientClosed);
    let cases: [(&str, &[u64], u64, u64, u64); 14] = [
        ("", &[1, 2], 2, 0, 1024),
        ("state=all", &[1, 2, 3], 3, 0, 1024),
        ("state=ANY", &[1, 2, 3], 3, 0, 1024),
        ("offset=1", &[2], 2, 1, 1024),
        ("offset=5", &[], 2, 5, 1024),
        ("offset=-5&limit=-1", &[1, 2], 2, 0, 1024),
        ("limit=1", &[1], 2, 0, 1),
        ("cid=2&offset=1", &[2], 2, 0, 1),
        ("cid=3", &[], 2, 0, 1),
        ("cid=3&state=closed", &[3], 1, 0, 1),
        ("user=u&state=all", &[1, 3], 3, 0, 1024),
        ("acc=$G&state=all", &[1, 2], 2, 0, 1024),
        ("acc=$SYS", &[], 0, 0, 1024),
        ("mqtt_client=x", &[], 2, 0, 1024),
    ];
    for (options, cids, total, offset, limit) in cases {
        assert_eq!(world.cids(options), cids, "{options}");
        let page = world.json(&format!("/connz?{options}"));
        assert_eq!(page["num_connections"], cids.len(), "{options}");
        let shown = [&page["total"], &page["offset"], &page["limit"]].map(Value::as_u64);
        assert_eq!(shown, [total, offset, limit].map(Some), "{options}");
    }
    let unknown = world.json("/connz?acc=NOPE");
    assert_eq!((&unknown["server_id"], &unknown["connections"]), (&"".into(), &Value::Null));
}

#[test]
fn connections_are_shown_with_their_accounts_and_users() {
    let user = |name: &str, account: Option<&str>| User {
        account: account.map(str::to_owned),
        ..User::with_password(name, "p")
    };
    let users = vec![user("a", Some("A")), user("g", None), user("anon", Some("B"))];
    let mut world = World::new(Config {
        accounts: ["A", "B"].map(AccountConfig::new).into(),
        authorization: Authorization::Users(users),
        no_auth_user: Some("anon".to_owned()),
        ..Config::default()
    });
    for user in ["a", "g"] {
        world.client(&format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"p\",\"verbose\":false}}\r\n"));
    }
    world.client("PING\r\n");
    let shown = |world: &World, query: &str| -> Vec<String> {
        let page = world.json(&format!("/connz?{query}"));
        let list = page["connections"].as_array().cloned().unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        let line = |one: &serde_json::Value| {
            ["authorized_user", "account", "name_tag"].map(|key| text(&one[key])).join(" ")
        };
        list.iter().map(line).collect()
    };
    assert_eq!(shown(&world, "auth=1"), ["a A A", "g - $G", "anon B B"]);
    assert_eq!(shown(&world, ""), ["- - -"; 3]);
    assert_eq!(shown(&world, "auth=1&acc=A"), ["a A A"]);
    assert_eq!(shown(&world, "auth=1&acc=$G"), ["g - $G"]);
    assert_eq!(shown(&world, "auth=1&user=anon"), ["anon B B"]);
    world.close(0, CloseReason::ClientClosed);
    world.close(0, CloseReason::ClientClosed);
    assert_eq!(shown(&world, "auth=1&state=closed"), ["a A A", "g - -"]);
    assert_eq!(shown(&world, "auth=1&state=closed&acc=A"), ["a A A"]);
    assert_eq!(shown(&world, "auth=1&state=closed&acc=$G"), [""; 0]);
}

#[test]
fn an_account_is_shown_with_its_mappings() {
    let mappings =
        vec![Mapping::simple("a.*", "b.$1"), Mapping { source: "s".to_owned(), destinations: Vec::new() }];
    let account = AccountConfig { mappings, ..AccountConfig::new("S") };
    let system_account = Some("S".to_owned());
    let world = World::new(Config { accounts: vec![account], system_account, ..Config::default() });
    let detail = &world.json("/accountz?acc=S")["account_detail"];
    let expected = serde_json::json!({
        "a.*": [{"subject": "b.$1", "weight": 100}],
        "s": [{"subject": "s", "weight": 100}],
    });
    assert_eq!((&detail["mappings"], &detail["is_system"]), (&expected, &true.into()));
    assert_eq!(world.json("/accountz?acc=$G")["account_detail"].get("mappings"), None);
}
