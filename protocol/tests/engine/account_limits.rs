//! How many clients an account may have in a cluster, and what servers tell each other of that (wire.md 10.2).

use std::time::Duration;

use onehop::CloseReason;
use onehop::config::{AccountConfig, AccountLimits, Authorization, Config, User};

use crate::scene::{Peer, SECOND, Scene};

/// So many clients may be in the account A.
const MOST: usize = 3;

fn configure(config: &mut Config) {
    let limits = AccountLimits { max_connections: Some(MOST), ..AccountLimits::default() };
    let accounts = [AccountConfig { limits, ..AccountConfig::new("A") }, AccountConfig::new("SYS")];
    let user = |(name, account)| User::with_password(name, "p").in_account(account);
    config.accounts = accounts.into();
    config.system_account = Some("SYS".to_owned());
    config.authorization = Authorization::Users([("a", "A"), ("s", "SYS")].map(user).into());
}

/// Nodes that know each other.
fn cluster(names: &[&str]) -> Scene {
    let mut scene = Scene::new();
    for name in names {
        let routes: &[&str] = if *name == names[0] { &[] } else { &names[..1] };
        scene.start(name, routes, configure);
    }
    scene.run_for(2 * SECOND);
    scene
}

fn client(scene: &mut Scene, node: &str, user: &str) -> Peer {
    let client = scene.client(node);
    let connect = format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n");
    scene.send(client, connect.as_bytes());
    scene.take(client);
    client
}

/// Somebody in the system account who hears how many clients accounts have.
fn listener(scene: &mut Scene, node: &str) -> Peer {
    let listener = client(scene, node, "s");
    scene.send(listener, b"SUB $SYS.SERVER.ACCOUNT.*.CONNS 1\r\nSUB $SYS.ACCOUNT.*.SERVER.CONNS 2\r\n");
    listener
}

/// What it heard of one account: by which subject, of which server, how many.
fn heard(scene: &mut Scene, listener: Peer, account: &str) -> Vec<(char, String, u64)> {
    let all = scene.take(listener);
    let mut heard = Vec::new();
    let mut lines = all.lines();
    while let Some(line) = lines.next() {
        let Some(sid) = line.strip_prefix("MSG ").and_then(|rest| rest.split(' ').nth(1)) else { continue };
        let body: serde_json::Value = serde_json::from_str(lines.next().expect("a body")).expect("JSON");
        assert_eq!(body["type"], "io.nats.server.advisory.v1.account_connections");
        assert_eq!((&body["acc"], &body["conns"]), (&body["name"], &body["total_conns"]));
        if body["acc"] == account {
            let server = body["server"]["name"].as_str().expect("a name").to_owned();
            heard.push((
                sid.chars().next().expect("a sid"),
                server,
                body["conns"].as_u64().expect("a number"),
            ));
        }
    }
    heard
}

fn both(server: &str, clients: u64) -> [(char, String, u64); 2] {
    ['1', '2'].map(|sid| (sid, server.to_owned(), clients))
}

fn is_in(scene: &Scene, client: Peer) -> bool {
    match scene.closed(client) {
        None => true,
        Some(reason) => {
            assert_eq!(reason, CloseReason::MaximumAccountConnectionsExceeded);
            false
        }
    }
}

#[test]
fn servers_hear_how_many_clients_an_account_has_when_that_changes_and_now_and_then() {
    let mut scene = cluster(&["A", "B"]);
    let listeners = ["A", "B"].map(|node| listener(&mut scene, node));
    scene.run_for(SECOND);
    let heard_by_both = |scene: &mut Scene| {
        let [near, far] = listeners.map(|listener| heard(scene, listener, "A"));
        assert_eq!(near, far);
        near
    };
    assert_eq!(heard_by_both(&mut scene), []);
    let first = client(&mut scene, "A", "a");
    scene.run_for(SECOND);
    assert_eq!(heard_by_both(&mut scene), both("A", 1));
    // What changes at once is told together.
    let others = [(); 2].map(|()| client(&mut scene, "A", "a"));
    scene.run_for(SECOND);
    assert_eq!(heard_by_both(&mut scene).last(), Some(&('2', "A".to_owned(), 3)));
    scene.run_for(30 * SECOND);
    assert_eq!(heard_by_both(&mut scene), both("A", 3));
    [first, others[0], others[1]].into_iter().for_each(|client| scene.disconnect(client));
    scene.run_for(SECOND);
    assert_eq!(heard_by_both(&mut scene).last(), Some(&('2', "A".to_owned(), 0)));
    scene.run_for(60 * SECOND);
    assert_eq!(heard_by_both(&mut scene), [], "nothing is said of none");
}

#[test]
fn an_account_has_so_many_clients_in_the_whole_cluster() {
    let mut scene = cluster(&["A", "B"]);
    let [first, second, third] = ["A", "A", "B"].map(|node| client(&mut scene, node, "a"));
    scene.run_for(SECOND);
    for node in ["A", "B"] {
        let late = scene.client(node);
        scene.send(late, b"CONNECT {\"user\":\"a\",\"pass\":\"p\"}\r\n");
        assert!(scene.take(late).ends_with("-ERR 'maximum account active connections exceeded'\r\n"));
        assert!(!is_in(&scene, late));
    }
    scene.disconnect(first);
    scene.run_for(SECOND);
    let fourth = client(&mut scene, "B", "a");
    assert!([second, third, fourth].iter().all(|client| is_in(&scene, *client)));
    scene.run_for(SECOND);
    let refused = client(&mut scene, "B", "a");
    assert!(!is_in(&scene, refused));
    // Whoever leaves the cluster takes its clients along.
    scene.kill("A");
    scene.run_for(5 * SECOND);
    let fifth = client(&mut scene, "B", "a");
    assert!(is_in(&scene, fifth));
}

#[test]
fn parts_of_a_cluster_that_come_together_close_the_newest_clients_that_are_too_many() {
    let mut scene = Scene::new();
    scene.start("A", &[], configure);
    scene.start("B", &[], configure);
    let clients = ["A", "B"].map(|node| [(); MOST].map(|()| client(&mut scene, node, "a")));
    scene.run_for(SECOND);
    assert!(clients.iter().flatten().all(|client| is_in(&scene, *client)));
    scene.start("C", &["A", "B"], configure);
    scene.run_for(5 * SECOND);
    let left = clients.map(|of_one| of_one.map(|client| is_in(&scene, client)));
    let said = clients.as_flattened().iter().map(|client| scene.take(*client));
    let complaints =
        said.filter(|said| said.ends_with("-ERR 'maximum account active connections exceeded'\r\n"));
    assert_eq!(complaints.count(), MOST);
    assert_eq!(left.iter().flatten().filter(|is_in| **is_in).count(), MOST, "{left:?}");
    for of_one in left {
        assert!(of_one.is_sorted_by(|older, newer| older >= newer), "{left:?}");
    }
}

#[test]
fn a_server_speaks_for_its_own_clients_alone_and_for_as_long_as_it_is_there() {
    let mut scene = cluster(&["A"]);
    let peer = scene.raw_peer("A", "P", "");
    let tell = |scene: &mut Scene, server: &str, clients: &str| {
        let body = format!("{{\"server\":{{\"id\":\"{server}\"}},\"acc\":\"A\",\"conns\":{clients}}}");
        let line = format!("RMSG SYS $SYS.SERVER.ACCOUNT.A.CONNS {}\r\n{body}\r\n", body.len());
        scene.send(peer, line.as_bytes());
        scene.run_for(SECOND);
    };
    for (server, clients) in [("NPEER-Q", "3"), ("NPEER-P", "-3"), ("NPEER-P", "\"3\""), ("NPEER-P", "1e99")]
    {
        tell(&mut scene, server, clients);
        let client = client(&mut scene, "A", "a");
        assert!(is_in(&scene, client), "{server} {clients}");
        scene.disconnect(client);
    }
    tell(&mut scene, "NPEER-P", "2");
    let [first, second] = [(); 2].map(|()| client(&mut scene, "A", "a"));
    assert_eq!([first, second].map(|client| is_in(&scene, client)), [true, false]);
    tell(&mut scene, "NPEER-P", &usize::MAX.to_string());
    let refused = client(&mut scene, "A", "a");
    assert!(!is_in(&scene, refused));
    scene.disconnect(peer);
    scene.run_for(Duration::from_millis(10));
    let third = client(&mut scene, "A", "a");
    assert!(is_in(&scene, third));
}

#[test]
fn a_newcomer_is_asked_how_many_clients_it_has() {
    let mut scene = cluster(&["A"]);
    let peer = scene.raw_peer("A", "P", "");
    scene.send(peer, b"RS+ SYS $SYS.REQ.ACCOUNT.*.CONNS\r\n");
    scene.take(peer);
    scene.run_for(SECOND);
    let id = scene.node("A").node().hub().server_id().to_owned();
    let inbox = format!("$SYS._INBOX.{id}.CONNS");
    // Of the account that may have any number of clients nothing is asked.
    assert_eq!(scene.take(peer), format!("RMSG SYS $SYS.REQ.ACCOUNT.A.CONNS {inbox} 0\r\n\r\n"));
    let body = "{\"server\":{\"id\":\"NPEER-P\"},\"acc\":\"A\",\"conns\":3}";
    scene.send(peer, format!("RMSG SYS {inbox} {}\r\n{body}\r\n", body.len()).as_bytes());
    scene.run_for(SECOND);
    let late = client(&mut scene, "A", "a");
    assert!(!is_in(&scene, late));
}
