//! Messages that are traced (wire.md 7.10). What nats-server says of them is compared in `tests/tests/tracing.rs`.

use crate::scene::{Peer, SECOND, Scene};

const CONNECT: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// A client that has sent this.
fn client(scene: &mut Scene, node: &str, lines: &str) -> Peer {
    let client = scene.client(node);
    scene.send(client, format!("{CONNECT}{lines}PING\r\n").as_bytes());
    assert!(scene.take(client).ends_with("PONG\r\n"));
    client
}

/// A message to `subject` with these headers and the payload `x`.
fn message(subject: &str, headers: &str) -> Vec<u8> {
    let block = format!("NATS/1.0\r\n{headers}\r\n");
    format!("HPUB {subject} {} {}\r\n{block}x\r\n", block.len(), block.len() + 1).into_bytes()
}

fn publish(scene: &mut Scene, publisher: Peer, headers: &str) -> String {
    scene.send(publisher, &message("work", headers));
    // A long account is written in slices.
    scene.run_for(SECOND / 100);
    scene.take(publisher)
}

fn pair() -> Scene {
    let mut scene = Scene::cluster(&[("A", &[]), ("B", &["A"])]);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene
}

/// The events that are told, each without its time, by the server that tells them.
fn events(told: &str) -> Vec<(String, Vec<String>)> {
    let texts = told.lines().filter(|line| line.starts_with('{'));
    let parse = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let list = value["events"].as_array().expect("a list").iter().map(|event| {
            let mut event = event.clone();
            let fields = event.as_object_mut().expect("an object");
            assert!(fields.remove("ts").is_some() && fields.remove("cid").is_some(), "{text}");
            event.to_string()
        });
        (value["server"]["name"].as_str().expect("a name").to_owned(), list.collect())
    };
    texts.map(parse).collect()
}

const TRACED: &str = "Nats-Trace-Dest: events\r\n";
const ONLY: &str = "Nats-Trace-Dest: events\r\nNats-Trace-Only: true\r\n";

const WAY_IN: &str = r#"{"acc":"$G","kind":0,"subj":"work","type":"in"}"#;
const WORKER: &str = r#"{"kind":0,"sub":"work","type":"eg"}"#;

#[test]
fn a_traced_message_is_delivered_and_its_publisher_told_where_it_went() {
    let mut scene = Scene::alone(|_| {});
    let worker = client(&mut scene, "A", "SUB work 1\r\nSUB work q 2\r\n");
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    let told = publish(&mut scene, publisher, TRACED);
    assert_eq!(scene.take(worker).matches("HMSG work").count(), 2);
    let member = r#"{"kind":0,"queue":"q","sub":"work","type":"eg"}"#;
    let [(_, events)] = &events(&told)[..] else { panic!("{told}") };
    assert_eq!(events, &[WAY_IN, WORKER, member]);
    assert!(told.contains(r#""request":{"header":{"Nats-Trace-Dest":["events"]},"msgsize":38}"#), "{told}");
}

#[test]
fn a_message_that_is_only_traced_reaches_no_client_here_nor_at_other_servers() {
    let mut scene = pair();
    let (here, there) = (
        client(&mut scene, "A", "SUB work 1\r\n"),
        client(&mut scene, "B", "SUB work q 2\r\nSUB work 3\r\n"),
    );
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    for only in ["true", "1", "On"] {
        let headers = ONLY.replace("true", only);
        let told = publish(&mut scene, publisher, &headers);
        assert_eq!((scene.take(here), scene.take(there)), (String::new(), String::new()), "{only}");
        let [(first, at_first), (second, at_second)] = &events(&told)[..] else { panic!("{told}") };
        assert_eq!((&**first, &**second), ("A", "B"));
        let onward = r#"{"hop":"1","kind":1,"name":"B","type":"eg"}"#;
        assert_eq!(at_first, &[WAY_IN, WORKER, onward]);
        let member = r#"{"kind":0,"queue":"q","sub":"work","type":"eg"}"#;
        assert_eq!(
            at_second,
            &[r#"{"acc":"$G","kind":1,"name":"A","subj":"work","type":"in"}"#, WORKER, member]
        );
        assert!(told.contains(r#""Nats-Trace-Hop":["1"]"#) && told.contains(r#""hops":1"#), "{told}");
    }
    let told = publish(&mut scene, publisher, &ONLY.replace("true", "no"));
    assert_eq!(events(&told).len(), 2);
    assert!(scene.take(here).contains("HMSG work 1") && scene.take(there).contains("HMSG work 3"));
}

#[test]
fn whoever_asks_for_no_trace_gets_none_and_the_message_is_delivered() {
    let mut scene = Scene::alone(|_| {});
    let worker = client(&mut scene, "A", "SUB work 1\r\n");
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    for headers in [
        "Nats-Trace-Only: true\r\n",
        "nats-trace-dest: events\r\nnats-trace-only: true\r\n",
        "Nats-Trace-Dest: trace disabled\r\nNats-Trace-Only: true\r\n",
        "Nats-Trace-Dest: \r\nNats-Trace-Only: true\r\n",
        "Nats-Trace-Dest: a b\r\n",
        "Nats-Trace-Dest: ev.*\r\n",
        "Nats-Trace-Dest: $GR.x\r\n",
        "Other: Nats-Trace-Dest: events\r\n",
    ] {
        assert_eq!(publish(&mut scene, publisher, headers), "", "{headers}");
        assert!(scene.take(worker).starts_with("HMSG work 1 "), "{headers}");
    }
    // Who wants it delivered to nobody is heeded, wherever it cannot be told.
    for headers in
        ["Nats-Trace-Dest: a b\r\nNats-Trace-Only: 1\r\n", "Nats-Trace-Dest: $GR.x\r\nNats-Trace-Only: 1\r\n"]
    {
        assert_eq!(
            (publish(&mut scene, publisher, headers), scene.take(worker)),
            Default::default(),
            "{headers}"
        );
    }
}

#[test]
fn nobody_is_told_to_respond_to_a_message_that_is_only_traced_as_to_any_other() {
    let mut scene = Scene::alone(|_| {});
    let publisher = client(&mut scene, "A", "SUB events 9\r\nSUB in 8\r\n");
    scene.send(publisher, &message("work in", ONLY));
    let told = scene.take(publisher);
    assert!(told.starts_with("HMSG in 8 36 36\r\nNATS/1.0 503\r\nNats-Subject: work\r\n"), "{told}");
    assert_eq!(events(&told)[0].1, [WAY_IN]);
}

#[test]
fn a_server_that_does_not_understand_tracing_gets_what_is_delivered_and_not_what_is_only_traced() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "P", "");
    scene.send(peer, b"RS+ $G work\r\n");
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    scene.take(peer);
    let told = publish(&mut scene, publisher, ONLY);
    assert_eq!(scene.take(peer), "");
    let error = r#"{"error":"Not delivered because remote does not support message tracing","kind":1,"name":"P","type":"eg"}"#;
    assert_eq!(events(&told)[0].1, [WAY_IN, error]);
    let told = publish(&mut scene, publisher, TRACED);
    assert!(
        scene
            .take(peer)
            .starts_with("HMSG $G work 37 38\r\nNATS/1.0\r\nNats-Trace-Dest: events\r\n\r\nx\r\n")
    );
    assert_eq!(events(&told)[0].1, [WAY_IN, r#"{"kind":1,"name":"P","type":"eg"}"#]);
}

#[test]
fn so_many_places_are_named_that_a_traced_message_went_to_and_the_others_counted() {
    let mut scene = Scene::alone(|_| {});
    let subscriptions: String = (0..1100).map(|sid| format!("SUB work {sid}\r\n")).collect();
    let worker = client(&mut scene, "A", &subscriptions);
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    let told = publish(&mut scene, publisher, TRACED);
    assert_eq!(scene.take(worker).matches("HMSG work").count(), 1100);
    assert_eq!(events(&told)[0].1.len(), 1 + 1024);
    assert!(told.contains(r#""onehop_left_out":76}"#), "{}", &told[told.len() - 200..]);
}

#[test]
fn what_too_many_share_is_counted_and_not_delivered_if_it_is_only_traced() {
    let mut scene = Scene::alone(|_| {});
    let subscriptions: String =
        (0..5000).map(|sid| format!("SUB work {sid}\r\nSUB work q q{sid}\r\n")).collect();
    let worker = client(&mut scene, "A", &subscriptions);
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    let told = publish(&mut scene, publisher, ONLY);
    assert_eq!(scene.take(worker), "");
    assert!(told.contains(r#""onehop_left_out":5000}"#), "{}", &told[told.len() - 200..]);
    publish(&mut scene, publisher, TRACED);
    assert_eq!(scene.take(worker).matches("HMSG work").count(), 5001);
}

#[test]
fn a_large_traced_message_is_numbered_for_some_servers_and_sent_to_all() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peers: Vec<_> = (0..6)
        .map(|number| {
            let name = format!("P{number}");
            let peer = scene.raw_route("A");
            let lines = format!(
                "CONNECT {{\"verbose\":false,\"headers\":true,\"name\":\"N{name}\",\"cluster\":\"C\"}}\r\n\
                 INFO {{\"server_id\":\"N{name}\",\"server_name\":\"{name}\",\"proto\":3,\"host\":\"h\",\"port\":{},\
                 \"headers\":true,\"cluster\":\"C\"}}\r\nRS+ $G work\r\n",
                7000 + number
            );
            scene.send(peer, lines.as_bytes());
            peer
        })
        .collect();
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    peers.iter().for_each(|peer| _ = scene.take(*peer));
    let block = "NATS/1.0\r\nNats-Trace-Dest: events\r\n\r\n";
    let payload = "x".repeat(1024 * 1024 - block.len());
    let line = format!("HPUB work {} {}\r\n{block}{payload}\r\n", block.len(), block.len() + payload.len());
    scene.send(publisher, line.as_bytes());
    let got: Vec<_> = peers.iter().map(|peer| scene.take(*peer)).collect();
    assert!(got.iter().all(|message| message.contains(&payload)), "each has it");
    assert_eq!(got.iter().filter(|message| message.contains("Nats-Trace-Hop: ")).count(), 3);
    assert_eq!(events(&scene.take(publisher))[0].1.len(), 7);
}

#[test]
fn only_so_many_traces_of_one_publisher_wait_to_be_told_and_all_messages_are_delivered() {
    let mut scene = Scene::alone(|_| {});
    let worker = client(&mut scene, "A", "SUB work 1\r\n");
    let publisher = client(&mut scene, "A", "SUB events 9\r\n");
    scene.send(publisher, &message("work", TRACED).repeat(100));
    assert_eq!(scene.take(worker).matches("HMSG work").count(), 100);
    // Others have their turns while they are told.
    scene.run_for(SECOND);
    assert_eq!(events(&scene.take(publisher)).len(), 32);
}
