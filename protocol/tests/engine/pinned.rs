//! Accounts that get connections of their own while nodes run, or lose them (wire.md 4.5).

use std::time::Duration;

use onehop::config::{AccountConfig, Config};
use onehop::wire::Info;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::scene::{Peer, SECOND, Scene};

/// Nodes of which each dials the first, with the account P.
fn mesh(names: &[&str]) -> Scene {
    mesh_with(names, |_| {})
}

fn mesh_with(names: &[&str], tweak: impl Fn(&mut Config)) -> Scene {
    let mut scene = Scene::new();
    for name in names {
        let routes = if *name == names[0] { &[][..] } else { &names[..1] };
        scene.start(name, routes, |config| {
            config.accounts = ["P", "Q"].map(AccountConfig::new).to_vec();
            tweak(config);
        });
    }
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene
}

fn pin(scene: &mut Scene, node: &str, accounts: &[&str]) {
    scene.reconfigure(node, |config| {
        let cluster = config.cluster.as_mut().expect("a clustered node");
        cluster.accounts = accounts.iter().map(|account| (*account).to_owned()).collect();
    });
}

/// A client in P at each node, which wants what is published to its node's name, and what is published to `all`; and which
/// takes turns at `queue`.
struct Clients(Vec<(String, Peer)>);

impl Clients {
    fn of(scene: &mut Scene) -> Self {
        Self::of_account(scene, "P")
    }

    fn of_account(scene: &mut Scene, account: &str) -> Self {
        let names = scene.names();
        let connect = |name: String| {
            let client = scene.client_in(&name, account);
            let wants = format!("SUB {name} 1\r\nSUB all 2\r\nSUB queue q 3\r\n");
            scene.send(client, format!("CONNECT {{\"verbose\":false}}\r\n{wants}").as_bytes());
            (name, client)
        };
        Self(names.into_iter().map(connect).collect())
    }

    /// Lets each publish to each other by name, to all, and to the queue: whether everybody gets what he is to get, once.
    fn reach_each_other(&self, scene: &mut Scene) -> bool {
        self.0.iter().for_each(|(_, client)| drop(scene.take(*client)));
        for (from, publisher) in &self.0 {
            let to_one = |(to, _): &(String, Peer)| format!("PUB {to} 1\r\n{from}\r\n");
            let lines: String = self.0.iter().map(to_one).collect();
            let lines = format!("{lines}PUB all 1\r\n{from}\r\nPUB queue 1\r\n{from}\r\n");
            scene.send(*publisher, lines.as_bytes());
        }
        let got: Vec<_> = self.0.iter().map(|(_, client)| scene.take(*client)).collect();
        let count = |what: &str| got.iter().map(|text| text.matches(what).count()).sum::<usize>();
        let nodes = self.0.len();
        let expected = [("MSG all ", nodes * nodes), ("MSG queue ", nodes)];
        let by_name = self.0.iter().map(|(name, _)| (format!("MSG {name} "), nodes));
        expected
            .map(|(what, times)| (what.to_owned(), times))
            .into_iter()
            .chain(by_name)
            .all(|(what, times)| count(&what) == times)
    }
}

#[test]
fn an_account_that_is_pinned_moves_to_a_connection_of_its_own_whoever_hears_of_it_first() {
    for order in [["A", "B"], ["B", "A"]] {
        let mut scene = mesh(&["A", "B"]);
        let clients = Clients::of(&mut scene);
        assert!(clients.reach_each_other(&mut scene));
        for node in order {
            pin(&mut scene, node, &["P"]);
            assert!(clients.reach_each_other(&mut scene), "{order:?}: {node} is told");
            assert_eq!(scene.route_count("A", "B"), 5, "{order:?}");
        }
        let dials = scene.dials();
        scene.run_for(SECOND * 30);
        assert!(clients.reach_each_other(&mut scene));
        assert_eq!((scene.dials(), scene.route_count("A", "B")), (dials, 5), "{order:?}: nothing is lacking");
        scene.routed.clear();
        assert!(clients.reach_each_other(&mut scene));
        let routed = String::from_utf8_lossy(&scene.routed).into_owned();
        assert!(routed.contains("RMSG all ") && !routed.contains("RMSG P "), "{routed}");
    }
}

#[test]
fn an_account_that_is_pinned_no_more_moves_back_whoever_hears_of_it_first() {
    for order in [["A", "B"], ["B", "A"]] {
        let mut scene = mesh_with(&["A", "B"], |_| {});
        let clients = Clients::of(&mut scene);
        ["A", "B"].iter().for_each(|node| pin(&mut scene, node, &["P"]));
        assert!(clients.reach_each_other(&mut scene));
        pin(&mut scene, order[0], &[]);
        let dials = scene.dials();
        scene.run_for(SECOND * 10);
        // The other has it pinned, and dials for it in vain; about once a second if it is configured to dial at all.
        assert!(scene.dials() <= dials + 15, "{} dials", scene.dials() - dials);
        pin(&mut scene, order[1], &[]);
        assert!(clients.reach_each_other(&mut scene), "{order:?}");
        let dials = scene.dials();
        scene.run_for(SECOND * 30);
        assert!(clients.reach_each_other(&mut scene), "{order:?}");
        assert_eq!((scene.dials(), scene.route_count("A", "B")), (dials, 4), "{order:?}");
    }
}

#[test]
fn three_nodes_move_an_account_there_and_back_and_two_of_them_are_never_apart() {
    let mut scene = mesh(&["A", "B", "C"]);
    let clients = Clients::of(&mut scene);
    for node in ["B", "A", "C"] {
        pin(&mut scene, node, &["P"]);
        scene.run_for(SECOND * 3);
        assert!(clients.reach_each_other(&mut scene), "{node} is told");
    }
    assert!(scene.is_mesh(5), "{}", scene.describe());
    for node in ["C", "B", "A"] {
        pin(&mut scene, node, &[]);
        scene.run_for(SECOND);
    }
    assert!(clients.reach_each_other(&mut scene) && scene.is_mesh(4), "{}", scene.describe());
}

#[test]
fn who_pins_an_account_and_thinks_better_of_it_leaves_nothing_behind() {
    for (node, other) in [("A", "B"), ("B", "A")] {
        let mut scene = mesh(&["A", "B"]);
        let clients = Clients::of(&mut scene);
        pin(&mut scene, node, &["P"]);
        assert!(clients.reach_each_other(&mut scene));
        pin(&mut scene, node, &[]);
        scene.run_for(SECOND * 30);
        assert!(clients.reach_each_other(&mut scene), "{other} was never told");
        let dials = scene.dials();
        scene.run_for(SECOND * 60);
        assert_eq!((scene.dials(), scene.route_count("A", "B")), (dials, 4), "{node}");
    }
}

#[test]
fn a_connection_of_its_own_that_is_lost_comes_back_though_one_side_does_not_pin_the_account() {
    let mut scene = mesh(&["A", "B"]);
    let clients = Clients::of(&mut scene);
    pin(&mut scene, "A", &["P"]);
    scene.lose_route(4);
    scene.run_for(SECOND * 5);
    assert!(clients.reach_each_other(&mut scene) && scene.route_count("A", "B") == 5, "{}", scene.describe());
    pin(&mut scene, "B", &["P"]);
    scene.run_for(SECOND);
    assert!(clients.reach_each_other(&mut scene));
}

#[test]
fn nothing_moves_where_there_are_no_pools() {
    let mut scene = Scene::new();
    for (name, routes) in [("A", &[][..]), ("B", &["A"])] {
        scene.start(name, routes, |config| {
            config.accounts = vec![AccountConfig::new("P")];
            config.cluster.as_mut().expect("a clustered node").pool_size =
                if name == "A" { None } else { Default::default() };
        });
    }
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(1)), "{}", scene.describe());
    let clients = Clients::of(&mut scene);
    pin(&mut scene, "B", &["P"]);
    scene.run_for(SECOND * 5);
    assert!(clients.reach_each_other(&mut scene) && scene.is_mesh(1), "{}", scene.describe());
}

/// What operators do, and what the network does meanwhile.
#[derive(Clone, Debug)]
enum Step {
    /// A node pins P, Q, both or neither.
    Pin(usize, [bool; 2]),
    LoseRoute(Index),
    /// The client in P at a node wants what it does not, and the other way round.
    Subscribe(usize),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, any::<[bool; 2]>()).prop_map(|(node, pinned)| Step::Pin(node, pinned)),
        1 => any::<Index>().prop_map(Step::LoseRoute),
        2 => (0..3_usize).prop_map(Step::Subscribe),
        2 => (0..4_000_u64).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
    ]
}

fn names_of(pinned: [bool; 2]) -> Vec<&'static str> {
    ["P", "Q"].into_iter().zip(pinned).filter(|(_, is_pinned)| *is_pinned).map(|(name, _)| name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nodes_that_pin_the_same_in_the_end_are_whole_whatever_they_pinned_before(
        steps in vec(step(), 1..20),
        last in any::<[bool; 2]>(),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        const NAMES: [&str; 3] = ["A", "B", "C"];
        let mut scene = mesh(&NAMES);
        let clients = ["P", "Q", "$G"].map(|account| Clients::of_account(&mut scene, account));
        let mut wants = [false; 3];
        for step in steps {
            match step {
                Step::Pin(node, pinned) => pin(&mut scene, NAMES[node], &names_of(pinned)),
                Step::LoseRoute(which) => scene.lose_any_route(which),
                Step::Subscribe(node) => {
                    wants[node] = !wants[node];
                    let line = if wants[node] { format!("SUB extra.{node} 9\r\n") } else { "UNSUB 9\r\n".to_owned() };
                    scene.send(clients[0].0[node].1, line.as_bytes());
                }
                Step::Wait(duration) => scene.run_for(duration),
            }
        }
        for node in order {
            pin(&mut scene, NAMES[node], &names_of(last));
        }
        scene.run_for(SECOND * 30);
        for clients in &clients {
            prop_assert!(clients.reach_each_other(&mut scene), "{}", scene.describe());
        }
        // Nobody is sent what nobody wants there any more.
        scene.routed.clear();
        for (_, publisher) in &clients[0].0 {
            scene.send(*publisher, b"PUB extra.0 0\r\n\r\nPUB extra.1 0\r\n\r\nPUB extra.2 0\r\n\r\n");
        }
        let routed = String::from_utf8_lossy(&scene.routed).matches("extra.").count();
        prop_assert_eq!(routed, 2 * wants.iter().filter(|wants| **wants).count());
        let dials = scene.dials();
        scene.run_for(SECOND * 30);
        prop_assert!(scene.is_mesh(4 + names_of(last).len()), "{}", scene.describe());
        prop_assert_eq!(scene.dials(), dials);
    }
}

/// Interest that is more than a slice, and what changes while it is told.
#[test]
fn much_interest_is_told_once_more_in_slices_and_is_whole() {
    let mut scene = mesh(&["A", "B"]);
    ["A", "B"].iter().for_each(|node| pin(&mut scene, node, &["P"]));
    let (subscriber, publisher) = (scene.client_in("A", "P"), scene.client_in("B", "P"));
    let lines: String = (0..5_000).map(|number| format!("SUB s.{number} {number}\r\n")).collect();
    scene.send(subscriber, format!("CONNECT {{\"verbose\":false}}\r\n{lines}").as_bytes());
    scene.send(publisher, b"CONNECT {\"verbose\":false}\r\n");
    ["B", "A"].iter().for_each(|node| pin(&mut scene, node, &[]));
    scene.send(subscriber, b"UNSUB 4999\r\nSUB t 5000\r\n");
    scene.run_for(SECOND);
    scene.take(subscriber);
    let lines: String = (0..5_000).map(|number| format!("PUB s.{number} 0\r\n\r\n")).collect();
    scene.routed.clear();
    scene.send(publisher, format!("{lines}PUB t 0\r\n\r\n").as_bytes());
    assert_eq!(scene.take(subscriber).matches("MSG ").count(), 5_000);
    assert_eq!(String::from_utf8_lossy(&scene.routed).matches("RMSG P ").count(), 5_000);
}

/// A server with a pool of three, of which a test plays the connections; P is in the second.
fn raw_pool(scene: &mut Scene, node: &str) -> [Peer; 3] {
    [0, 1, 2].map(|slot| raw_peer(scene, node, &format!(",\"route_pool_idx\":{slot}")))
}

fn raw_peer(scene: &mut Scene, node: &str, more: &str) -> Peer {
    let peer = scene.raw_peer(node, "X", &format!(",\"route_pool_size\":3{more}"));
    scene.take(peer);
    peer
}

fn move_account(account: &str, request: &str) -> String {
    let info = Info {
        route_pool_size: 3,
        route_account: account.to_owned(),
        route_acc_add_reqid: request.to_owned(),
        ..Info::default()
    };
    String::from_utf8(info.to_gossip_line()).expect("text")
}

fn one_node() -> Scene {
    let mut scene = Scene::new();
    scene.start("A", &[], |config| config.accounts = vec![AccountConfig::new("P")]);
    scene
}

#[test]
fn a_peer_is_told_and_what_it_wanted_is_forgotten_once_it_has_answered() {
    let mut scene = one_node();
    let pool = raw_pool(&mut scene, "A");
    let client = scene.client_in("A", "P");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB mine 1\r\n");
    assert_eq!(scene.take(pool[1]), "RS+ P mine\r\n");
    scene.send(pool[1], b"RS+ P theirs\r\n");
    pin(&mut scene, "A", &["P"]);
    let told = scene.take(pool[1]);
    let info = told.strip_prefix("INFO ").expect("a request");
    let info = Info::from_json(info.trim_end().as_bytes()).expect("an INFO");
    assert_eq!((info.route_account.as_str(), info.route_pool_size), ("P", 3));
    assert!(info.server_id.is_empty() && info.route_acc_add_reqid.len() == 22, "{told}");
    scene.send(client, b"SUB later 2\r\nPUB theirs 0\r\n\r\n");
    assert_eq!(scene.take(pool[1]), "RMSG P theirs 0\r\n\r\n", "it has not heard of it yet");
    let answer = move_account("", &info.route_acc_add_reqid);
    scene.send(pool[1], answer.as_bytes());
    scene.send(client, b"PUB theirs 0\r\n\r\n");
    assert_eq!(scene.take(pool[1]), "");
    let own = raw_peer(&mut scene, "A", ",\"route_account\":\"P\"");
    scene.send(own, b"RS+ theirs\r\n");
    scene.send(client, b"PUB theirs 0\r\n\r\nSUB last 3\r\n");
    assert_eq!(scene.take(own), "RMSG theirs 0\r\n\r\nRS+ last\r\n");
    assert_eq!(pool.map(|peer| scene.take(peer)), ["", "", ""]);
}

#[test]
fn who_moves_an_account_hears_nothing_of_it_over_the_pool_and_is_forgotten_there() {
    let mut scene = one_node();
    let pool = raw_pool(&mut scene, "A");
    let client = scene.client_in("A", "P");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\nSUB mine 1\r\n");
    scene.send(pool[1], b"RS+ P theirs\r\n");
    scene.take(pool[1]);
    scene.send(pool[1], move_account("P", "request").as_bytes());
    assert_eq!(scene.take(pool[1]), move_account("", "request"));
    scene.send(client, b"PUB theirs 0\r\n\r\nSUB later 2\r\nUNSUB 1\r\n");
    assert_eq!(scene.take(pool[1]), "");
    // It comes a little later than it says so.
    scene.send(pool[1], b"RS+ P stray\r\n");
    scene.send(client, b"PUB stray 0\r\n\r\n");
    assert_eq!(scene.take(pool[1]), "RMSG P stray 0\r\n\r\n");
    let own = scene.raw_peer("A", "X", ",\"route_pool_size\":3,\"route_account\":\"P\"");
    assert!(scene.take(own).ends_with("RS+ later\r\n"), "what there is is told there");
    scene.send(own, b"RS+ stray\r\n");
    scene.send(client, b"PUB stray 0\r\n\r\n");
    assert_eq!((scene.take(own), scene.take(pool[1])), ("RMSG stray 0\r\n\r\n".to_owned(), String::new()));
    // It has thought better of it.
    scene.disconnect(own);
    scene.run_for(Duration::from_secs(20));
    let told = scene.take(pool[1]);
    assert!(told.contains("RS+ P later\r\n"), "{told}");
}

/// Which is more than a slice, and is forgotten before anything else is heard.
#[test]
fn much_that_a_peer_wanted_of_an_account_that_it_moves_is_forgotten_before_more_is_heard() {
    let mut scene = one_node();
    let pool = raw_pool(&mut scene, "A");
    let client = scene.client_in("A", "P");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\n");
    let lines: String =
        (0..5_000).map(|number| format!("RS+ P s.{number}\r\nRS+ $G s.{number}\r\n")).collect();
    scene.send(pool[1], lines.as_bytes());
    scene.send(pool[1], format!("{}RS+ P s.7\r\nPING\r\n", move_account("P", "x")).as_bytes());
    assert!(scene.take(pool[1]).ends_with("PONG\r\n"));
    let lines: String = (0..5_000).map(|number| format!("PUB s.{number} 0\r\n\r\n")).collect();
    scene.send(client, lines.as_bytes());
    assert_eq!(scene.take(pool[1]), "RMSG P s.7 0\r\n\r\n");
}

#[test]
fn nobody_moves_what_there_is_not_or_what_is_always_apart_or_without_a_pool() {
    let mut scene = one_node();
    let pool = raw_pool(&mut scene, "A");
    let client = scene.client_in("A", "P");
    scene.send(client, b"CONNECT {\"verbose\":false}\r\n");
    let single = scene.raw_peer("A", "Y", "");
    [single, pool[0]].iter().for_each(|peer| drop(scene.take(*peer)));
    scene.send(pool[1], b"RS+ P theirs\r\n");
    scene.send(single, b"RS+ P theirs\r\n");
    let answer = |scene: &mut Scene, peer: Peer, account: &str, request: &str| {
        scene.send(peer, move_account(account, request).as_bytes());
        scene.take(peer)
    };
    for number in 0..2_000 {
        assert_eq!(answer(&mut scene, pool[0], &format!("NONE{number}"), "x"), "");
    }
    assert_eq!(answer(&mut scene, pool[0], "P", &"x".repeat(257)), "");
    assert_eq!(answer(&mut scene, pool[0], &"P".repeat(257), "x"), "");
    assert_eq!(answer(&mut scene, pool[0], "", "x"), "", "nobody asked");
    assert_eq!(answer(&mut scene, pool[0], "$SYS", "x"), move_account("", "x"));
    assert_eq!(answer(&mut scene, single, "P", "x"), move_account("", "x"));
    scene.send(client, b"PUB theirs 0\r\n\r\nSUB mine 1\r\n");
    for peer in [pool[1], single] {
        assert_eq!(scene.take(peer), "RMSG P theirs 0\r\n\r\nRS+ P mine\r\n");
    }
    assert!(pool.iter().all(|peer| scene.closed(*peer).is_none()) && scene.closed(single).is_none());
}

#[test]
fn a_peer_moves_no_more_accounts_than_the_limit() {
    const MOST: usize = 256;
    let mut scene = Scene::new();
    let names: Vec<_> = (0..=MOST).map(|number| format!("A{number}")).collect();
    scene.start("A", &[], |config| {
        config.accounts = names.iter().map(AccountConfig::new).collect();
    });
    let pool = raw_pool(&mut scene, "A");
    for name in &names[..MOST] {
        scene.send(pool[0], move_account(name, "x").as_bytes());
        assert_eq!(scene.take(pool[0]), move_account("", "x"));
    }
    scene.send(pool[0], move_account(&names[MOST], "x").as_bytes());
    assert_eq!(scene.take(pool[0]), "");
    assert_eq!(scene.closed(pool[0]), None);
}
