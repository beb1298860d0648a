//! PING, PONG and peers that do not answer (wire.md 1.9, 2.11).

use crate::scene::{SECOND, Scene};
use crate::script::play;

fn scene() -> Scene {
    Scene::alone(|config| (config.ping_interval, config.ping_max) = (SECOND * 10, 2))
}

#[test]
fn a_client_is_asked_soon_after_connect_and_then_at_the_interval() {
    play(
        &mut scene(),
        r#"
        a> CONNECT {"verbose":false}
        + 1900ms
        + 600ms
        a< PING
        a> PONG
        + 9s
        + 1s
        a< PING
        "#,
    );
}

#[test]
fn a_client_without_connect_is_asked_at_the_interval() {
    play(
        &mut scene(),
        "a> PING
         a< PONG
         + 9s
         + 1s
         a< PING",
    );
}

#[test]
fn a_client_that_does_not_answer_is_stale_at_the_third_tick() {
    play(
        &mut scene(),
        "a> PING
         a< PONG
         + 10s
         a< PING
         + 10s
         a< PING
         + 9s
         + 1s
         a< -ERR 'Stale Connection'
         a! Stale Connection",
    );
}

#[test]
fn a_client_that_is_active_is_not_asked_once_its_round_trip_time_is_known() {
    play(
        &mut scene(),
        r#"
        a> CONNECT {"verbose":false}
        + 3s
        a< PING
        a> PONG
        + 4s
        a> PUB foo 0\r\n
        + 5s
        + 4s
        a> SUB foo 1
        + 7s
        + 10s
        a< PING
        "#,
    );
}

#[test]
fn both_ends_of_a_route_ask_each_other_whatever_else_they_say() {
    let mut scene = Scene::cluster(&[("A", &["B"]), ("B", &[])]);
    assert!(scene.drive_until(SECOND, |scene| scene.is_mesh(4)));
    scene.routed.clear();
    scene.run_for(SECOND * 31);
    let pings = String::from_utf8_lossy(&scene.routed).matches("PING\r\n").count();
    let pongs = String::from_utf8_lossy(&scene.routed).matches("PONG\r\n").count();
    assert!(pings >= 8 && pings == pongs, "{pings} pings, {pongs} pongs over four routes");
    assert!(scene.is_mesh(4));
}

#[test]
fn a_route_that_falls_silent_is_stale() {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| (config.ping_interval, config.ping_max) = (SECOND, 2));
    play(
        &mut scene,
        r#"
        #r> CONNECT {"echo":true,"verbose":false,"pedantic":false,"name":"NPEER","cluster":"C","headers":true}
        #r> INFO {"server_id":"NPEER","server_name":"R","version":"2.9.10","proto":2,"host":"10.0.0.9","port":6222,"headers":true,"cluster":"C"}
        + 2s
        #r< PING
        + 1s
        #r< PING
        + 1s
        #r< -ERR 'Stale Connection'
        #r! Stale Connection
        "#,
    );
}
