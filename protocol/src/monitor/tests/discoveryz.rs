use super::*;
use crate::DialError;
use crate::config::{HostPort, Source};
use crate::discovery::{Found, MAX_FAILURE_BYTES, ReachedAt};

fn page(world: &World) -> Value {
    serde_json::from_str(&world.get("/discoveryz").body).expect("JSON")
}

#[test]
fn what_sources_told_and_what_came_of_it_is_shown() {
    let cluster = ClusterConfig { name: Some("C".to_owned()), ..ClusterConfig::default() };
    let world = World::new(Config { cluster: Some(cluster), ..Config::default() });
    let found = |host: &str, id: Option<&str>| Found {
        address: HostPort { host: host.to_owned(), port: None },
        server_id: id.map(str::to_owned),
    };
    let own_id = world.node.hub().server_id().to_owned();
    let told = [found("a.example", None), found("b.example", Some(&own_id)), found("no host", None)];
    world.node.handle_found(at(0), Source::Dns, "", &told);
    let begun = at(0) + std::time::Duration::from_millis(200);
    let dial = world.node.poll_dial(begun).expect("one is tried");
    let state = |now: Instant| {
        while world.node.poll_dial(now).is_some() {}
        page(&world)["sources"][1]["candidates"].clone()
    };
    assert_eq!(state(begun)[0]["state"], "trying");
    world.node.handle_dial_failed(begun, dial.id, &DialError::Failed("refused".to_owned()));
    let candidates = state(begun);
    assert_eq!(candidates[0]["address"], "a.example:6222");
    assert_eq!((&candidates[0]["state"], &candidates[0]["failures"]), (&"waiting".into(), &1.into()));
    assert!(candidates[0]["next_try"].as_str().is_some_and(|time| time.starts_with("2023-")), "{candidates}");
    assert_eq!((&candidates[1]["state"], &candidates[1]["server_id"]), (&"self".into(), &own_id.into()));
    let page = page(&world);
    let names: Vec<_> = page["sources"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["peers_file", "dns", "mdns", "dht", "command", "frp"]);
    let counted =
        ["told", "left_out", "tried", "joined", "failed"].map(|name| page["sources"][1][name].clone());
    assert_eq!(counted, [2, 1, 1, 0, 1]);
}

#[test]
fn what_a_source_knows_of_where_this_node_is_reached_is_shown_or_why_it_is_not() {
    let config = |client_advertise: Option<HostPort>| {
        let cluster = ClusterConfig { name: Some("C".to_owned()), ..ClusterConfig::default() };
        Config { cluster: Some(cluster), client_advertise, ..Config::default() }
    };
    let (client, route) = ("a.example:5".parse::<HostPort>().ok(), "[::1]:6".parse().ok());
    let world = World::new(config(None));
    let frp = || page(&world)["sources"][5].clone();
    assert!(frp().get("reached_at").is_none());
    let told = ReachedAt { route, client: client.clone(), failure: None };
    world.node.handle_reached_at(at(0), Source::Frp, told, &mut ());
    assert_eq!(
        [frp()["reached_at"].as_str(), frp()["client_reached_at"].as_str()],
        [Some("[::1]:6"), Some("a.example:5")]
    );
    let varz = |world: &World| {
        let varz = world.json("/varz");
        [&varz["host"], &varz["port"]].map(Value::to_string)
    };
    assert_eq!(varz(&world), varz(&World::new(config(client))), "as if it were configured");
    let failure = Some("x".repeat(2 * MAX_FAILURE_BYTES));
    world.node.handle_reached_at(at(0), Source::Frp, ReachedAt { failure, ..ReachedAt::default() }, &mut ());
    assert_eq!(frp()["failure"].as_str().map(str::len), Some(MAX_FAILURE_BYTES + "…".len()));
    assert!(frp().get("reached_at").is_none());
    assert_eq!(varz(&world), varz(&World::new(config(None))));
}

#[test]
fn a_node_without_a_cluster_looks_for_nobody() {
    let world = World::new(Config::default());
    assert_eq!(page(&world)["sources"], serde_json::json!([]));
}
