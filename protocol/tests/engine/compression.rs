//! Routes that are compressed (wire.md 5).

use onehop::config::{ClusterConfig, Compression, RttThresholds};
use onehop::transport::{Decoder, Encoder, Inbound, S2Level, S2Limit};

use crate::scene::{SECOND, Scene};

fn modes() -> [(&'static str, Compression); 6] {
    [
        ("not supported", Compression::NotSupported),
        ("off", Compression::Off),
        ("accept", Compression::Accept),
        ("s2_fast", Compression::S2(S2Level::Fast)),
        ("s2_best", Compression::S2(S2Level::Best)),
        ("s2_auto", Compression::Auto(RttThresholds::default())),
    ]
}

fn start(scene: &mut Scene, name: &str, routes: &[&str], change: impl FnOnce(&mut ClusterConfig)) {
    scene.start(name, routes, |config| change(config.cluster.as_mut().expect("a cluster")));
}

/// How the routes of a node are compressed, by what it writes.
fn written(scene: &Scene, node: &str) -> Vec<&'static str> {
    let directory = scene.node(node).node().hub().directory();
    let routes = directory.list(onehop::hub::Kind::Route);
    routes.iter().map(|route| route.about().compression.unwrap_or("-")).collect()
}

#[test]
fn servers_of_any_modes_become_a_mesh_and_compress_where_both_want_it() {
    for ((one, own), (other, theirs)) in
        modes().iter().flat_map(|own| modes().map(|other| (own.clone(), other)))
    {
        for pool_size in [None, std::num::NonZeroU16::new(3)] {
            let mut scene = Scene::new();
            let with = |compression: &Compression| {
                let compression = compression.clone();
                move |config: &mut ClusterConfig| {
                    config.compression = compression;
                    config.pool_size = pool_size;
                }
            };
            start(&mut scene, "A", &[], with(&own));
            start(&mut scene, "B", &["A"], with(&theirs));
            let context = format!("{one} and {other}");
            let connections = if pool_size.is_none() { 1 } else { 4 };
            assert!(scene.drive_until(5 * SECOND, |scene| scene.is_mesh(connections)), "{context}");
            let (listener, publisher) = (scene.client("A"), scene.client("B"));
            scene.send(listener, b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
            scene.take(listener);
            let body = "{\"ok\":true}".repeat(100);
            scene.send(
                publisher,
                format!("CONNECT {{\"verbose\":false}}\r\nPUB a {}\r\n{body}\r\n", body.len()).as_bytes(),
            );
            assert!(
                scene.take(listener).ends_with(&format!("MSG a 1 {}\r\n{body}\r\n", body.len())),
                "{context}"
            );
            let is_s2 = |mode: &str| mode.starts_with("s2");
            let speaks = |mode: &str| is_s2(mode) || mode == "accept";
            let compresses = speaks(one) && speaks(other) && (is_s2(one) || is_s2(other));
            let expected = |own: &'static str, theirs: &'static str| match (own, theirs) {
                _ if !compresses => "-",
                // The nodes are next to each other.
                ("s2_auto", _) => "s2_uncompressed",
                ("accept", "s2_auto") => "s2_fast",
                ("accept", theirs) => theirs,
                (own, _) => own,
            };
            let [at_a, at_b] = ["A", "B"].map(|node| written(&scene, node));
            assert_eq!(at_a, vec![expected(one, other); connections], "{context}");
            assert_eq!(at_b, vec![expected(other, one); connections], "{context}");
        }
    }
}

/// What a dialer says before the route is compressed.
fn opening(mode: &str) -> Vec<u8> {
    format!(
        "CONNECT {{\"echo\":true,\"verbose\":false,\"headers\":true,\"name\":\"NP\",\"cluster\":\"C\"}}\r\n{}",
        info(mode)
    )
    .into_bytes()
}

fn info(mode: &str) -> String {
    format!(
        "INFO {{\"server_id\":\"NP\",\"server_name\":\"P\",\"proto\":1,\"host\":\"0.0.0.0\",\"port\":6222,\
         \"headers\":true,\"cluster\":\"C\",\"compression\":\"{mode}\",\"route_pool_size\":1}}\r\n"
    )
}

#[test]
fn a_dialer_is_read_from_the_byte_behind_its_info_on_and_is_answered_compressed() {
    let plain = [info("s2_better").as_bytes(), b"RS+ $G a\r\nRMSG $G b 2\r\nhi\r\nPING\r\n"].concat();
    let mut compressed = Vec::new();
    Encoder::s2(S2Level::Better.into()).encode(&plain, &mut compressed);
    let all = [opening("s2_better"), compressed].concat();
    let mut scene = Scene::new();
    for at_once in [1, 7, 100, all.len()] {
        let node = format!("N{at_once}");
        start(&mut scene, &node, &[], |config| config.pool_size = std::num::NonZeroU16::new(1));
        let client = scene.client(&node);
        scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB b 1\r\n");
        scene.take(client);
        let peer = scene.raw_route(&node);
        let greeting = scene.take_bytes(peer);
        assert!(String::from_utf8_lossy(&greeting).contains(r#""compression":"accept""#));
        all.chunks(at_once).for_each(|piece| scene.send(peer, piece));
        assert_eq!(scene.closed(peer), None);
        let (mut inbound, mut said) = (Inbound::default(), Vec::new());
        inbound.switch(Decoder::s2(S2Limit::default()));
        inbound.decode_into(&scene.take_bytes(peer), &mut said).expect("S2");
        let said = String::from_utf8(said).expect("text");
        assert!(
            said.starts_with("INFO {") && said.contains("RS+ $G b\r\n") && said.ends_with("PONG\r\n"),
            "{said}"
        );
        assert_eq!(scene.take(client), "MSG b 1 2\r\nhi\r\n");
    }
}

#[test]
fn what_is_no_s2_ends_the_route_and_so_does_a_mode_that_nobody_knows() {
    let mut scene = Scene::new();
    start(&mut scene, "A", &[], |_| {});
    for (behind, is_closed) in
        [(&b"PING\r\n"[..], true), (b"\xff\x06\x00\x00S2sTwO", false), (b"\x00", false)]
    {
        let peer = scene.raw_route("A");
        scene.send(peer, &[&opening("s2_fast"), behind].concat());
        assert_eq!(scene.closed(peer).is_some(), is_closed, "{}", behind.escape_ascii());
    }
    let peer = scene.raw_route("A");
    scene.take(peer);
    scene.send(peer, &opening("zstd"));
    assert!(scene.take(peer).contains("unsupported route compression mode \"zstd\""));
}

#[test]
fn a_dialer_says_nothing_between_its_info_and_the_compressed_one_of_the_peer() {
    let mut scene = Scene::new();
    start(&mut scene, "A", &[], |config| {
        config.routes = vec!["nats://10.0.0.99:6222".parse().expect("a URL")]
    });
    let [dialed, _system] = scene.dialed_by_hand("A");
    assert!(scene.take(dialed).starts_with("CONNECT {"));
    scene.send(dialed, info("s2_fast").as_bytes());
    let plain = scene.take(dialed);
    assert!(plain.starts_with("INFO {") && plain.contains(r#""compression":"s2_fast""#), "{plain}");
    assert_eq!(plain.matches("\r\n").count(), 1, "{plain}");
    // The first PING is due after a second.
    scene.run_for(5 * SECOND);
    assert_eq!(scene.take_bytes(dialed), b"");
    let mut compressed = Vec::new();
    Encoder::s2(S2Level::Fast.into()).encode(info("s2_fast").as_bytes(), &mut compressed);
    scene.send(dialed, &compressed);
    let (mut inbound, mut said) = (Inbound::default(), Vec::new());
    inbound.switch(Decoder::s2(S2Limit::default()));
    inbound.decode_into(&scene.take_bytes(dialed), &mut said).expect("S2");
    let said = String::from_utf8(said).expect("text");
    assert!(said.starts_with("INFO {") && said.ends_with("PING\r\n"), "{said}");
    assert_eq!(scene.closed(dialed), None);
}

/// One chunk of S2, however long, as nats-server makes one of all that it has to say.
fn chunk(plain: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c(plain).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let [low, middle, high, _] = u32::try_from(sum.len() + plain.len()).expect("a chunk").to_le_bytes();
    [b"\xff\x06\x00\x00S2sTwO\x01", &[low, middle, high][..], &sum, plain].concat()
}

#[test]
fn a_server_that_says_what_it_is_and_all_that_it_wants_in_one_chunk_becomes_a_member() {
    let mut scene = Scene::new();
    start(&mut scene, "A", &[], |config| config.pool_size = std::num::NonZeroU16::new(1));
    let wanted: String = (0..20_000).map(|number| format!("RS+ $G wanted.{number}\r\n")).collect();
    let peer = scene.raw_route("A");
    let all = chunk(format!("{}{wanted}PING\r\n", info("s2_fast")).as_bytes());
    scene.send(peer, &[opening("s2_fast"), all].concat());
    scene.run_for(SECOND);
    assert_eq!(scene.closed(peer), None);
    assert_eq!(scene.node("A").node().hub().global_account().index().len(), 20_000);
}

/// A mesh of two whose routes are compressed as these want it.
fn pair(modes: [Compression; 2]) -> Scene {
    let mut scene = Scene::new();
    for (name, mode) in ["A", "B"].into_iter().zip(modes) {
        start(&mut scene, name, if name == "A" { &[] } else { &["A"] }, |config| config.compression = mode);
    }
    assert!(scene.drive_until(5 * SECOND, |scene| scene.is_mesh(4)));
    scene
}

fn recompress(scene: &mut Scene, node: &str, mode: Compression) {
    scene.reconfigure(node, |config| config.cluster.as_mut().expect("a cluster").compression = mode);
}

fn routes(scene: &Scene, node: &str) -> Vec<onehop::ConnectionId> {
    let directory = scene.node(node).node().hub().directory();
    directory.list(onehop::hub::Kind::Route).iter().map(|route| route.id()).collect()
}

#[test]
fn another_level_is_written_at_once_on_the_routes_that_there_are() {
    let level = |level| Compression::S2(level);
    let auto = Compression::Auto(RttThresholds(vec![std::time::Duration::from_secs(1)]));
    for (old, new, expected) in [
        (level(S2Level::Fast), level(S2Level::Best), "s2_best"),
        (Compression::Accept, level(S2Level::Best), "s2_best"),
        (level(S2Level::Fast), auto.clone(), "s2_uncompressed"),
        (auto, level(S2Level::Fast), "s2_fast"),
    ] {
        let mut scene = pair([old, level(S2Level::Better)]);
        let before = routes(&scene, "A");
        recompress(&mut scene, "A", new);
        scene.run_for(SECOND);
        assert_eq!(written(&scene, "A"), [expected; 4]);
        assert_eq!(written(&scene, "B"), ["s2_better"; 4]);
        assert_eq!(routes(&scene, "A"), before, "all are there");
    }
}

#[test]
fn what_both_must_agree_on_is_agreed_on_anew() {
    let fast = || Compression::S2(S2Level::Fast);
    for (old, new, expected) in [
        (fast(), Compression::Off, ["-", "-"]),
        (fast(), Compression::NotSupported, ["-", "-"]),
        (fast(), Compression::Accept, ["s2_better", "s2_better"]),
        (Compression::Off, fast(), ["s2_fast", "s2_better"]),
        (Compression::NotSupported, fast(), ["s2_fast", "s2_better"]),
    ] {
        for node in ["A", "B"] {
            let better = Compression::S2(S2Level::Better);
            let modes = if node == "A" { [old.clone(), better] } else { [better, old.clone()] };
            let mut scene = pair(modes);
            let before = routes(&scene, node);
            recompress(&mut scene, node, new.clone());
            assert!(scene.drive_until(5 * SECOND, |scene| {
                scene.is_mesh(4) && routes(scene, node).iter().all(|route| !before.contains(route))
            }));
            let other = if node == "A" { "B" } else { "A" };
            assert_eq!([node, other].map(|node| written(&scene, node)), expected.map(|mode| vec![mode; 4]));
        }
    }
}
