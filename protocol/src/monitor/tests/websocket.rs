//! What pages show of clients by WebSocket, and of their port.

use super::*;
use crate::config::{HostPort, WebSocketConfig};

fn config(change: impl FnOnce(&mut WebSocketConfig)) -> Config {
    let mut websocket =
        WebSocketConfig { host: "127.0.0.1".into(), no_tls: true, ..WebSocketConfig::default() };
    change(&mut websocket);
    Config { websocket: Some(websocket), ..Config::default() }
}

#[test]
fn clients_by_websocket_are_told_from_others() {
    let mut world = World::new(config(|_| {}));
    world.web_client();
    world.client("");
    let types = |world: &World, state: &str| {
        let page = world.json(&format!("/connz?state={state}"));
        let connections = page["connections"].as_array().expect("a list").clone();
        connections.iter().map(|each| each["type"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types(&world, "open"), ["websocket", "nats"]);
    world.close(0, CloseReason::InvalidFrames);
    assert_eq!(types(&world, "closed"), ["websocket"]);
    assert_eq!(world.json("/connz?state=closed")["connections"][0]["reason"], "Read Error");
}

#[test]
fn the_port_for_websockets_is_shown_as_it_was_chosen() {
    let shown = |config| World::new(config).json("/varz")["websocket"].clone();
    assert_eq!(shown(Config::default()), serde_json::json!({}));
    let port = serde_json::json!({"host": "127.0.0.1", "port": 8080, "no_tls": true});
    assert_eq!(shown(config(|_| {})), port);
    let all = serde_json::json!({
        "host": "127.0.0.1", "port": 8080, "advertise": "a:1", "handshake_timeout": 3_000_000_000_u64, "no_tls": true,
        "same_origin": true, "allowed_origins": ["http://a"], "compression": true
    });
    let choose_all = |own: &mut WebSocketConfig| {
        own.advertise = Some(HostPort { host: "a".into(), port: Some(1) });
        own.handshake_timeout = Duration::from_secs(3);
        (own.same_origin, own.compression) = (true, true);
        own.allowed_origins = vec!["http://a".parse().expect("an origin")];
    };
    assert_eq!(shown(config(choose_all)), all);
}
