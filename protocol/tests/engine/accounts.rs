//! Accounts that come and go, alone and in a cluster (wire.md 2.7, 4.2; design.md 4).

use std::collections::{BTreeMap, BTreeSet};

use onehop::accounts::AccountError;
use onehop::{ApiMisuse, CloseReason, Engine, Instant, Listening};
use proptest::prelude::*;
use proptest::sample::select;

use crate::scene::{Peer, SECOND, Scene};

const QUIET: &[u8] = b"CONNECT {\"verbose\":false}\r\n";

fn names() -> Vec<String> {
    (0..100).map(|number| format!("ACC{number}")).collect()
}

fn mesh(names: &[&str]) -> Scene {
    let members: Vec<_> =
        names.iter().map(|name| (*name, if *name == "A" { &[][..] } else { &["A"] })).collect();
    let mut scene = Scene::cluster(&members);
    assert!(scene.drive_until(SECOND * 5, |scene| scene.is_mesh(4)), "{}", scene.describe());
    scene
}

/// A quiet client in an account, with what greeted it taken.
fn client(scene: &mut Scene, node: &str, account: &str, more: &str) -> Peer {
    let client = scene.client_in(node, account);
    scene.send(client, QUIET);
    scene.send(client, more.as_bytes());
    scene.take(client);
    client
}

fn publish(scene: &mut Scene, node: &str, account: &str, body: &str) {
    let publisher = client(scene, node, account, "");
    scene.send(publisher, format!("PUB foo {}\r\n{body}\r\n", body.len()).as_bytes());
    scene.disconnect(publisher);
}

/// The bodies of what a client got, in their order.
fn bodies(scene: &mut Scene, client: Peer) -> Vec<String> {
    let all = scene.take(client);
    // Time passes in some tests.
    let lines: Vec<_> = all.lines().filter(|line| *line != "PING").collect();
    lines.chunks(2).map(|message| message[1].to_owned()).collect()
}

/// FNV-1a, as wire.md 4.2 has it.
fn slot(account: &str) -> usize {
    let hash = account
        .bytes()
        .fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    hash as usize % 3
}

#[test]
fn a_hundred_accounts_share_a_mesh_and_the_traffic_of_each_stays_in_it() {
    let mut scene = mesh(&["A", "B", "C"]);
    for node in ["A", "B", "C"] {
        names().iter().for_each(|name| scene.add_account(node, name));
    }
    let subscribers: Vec<_> = names()
        .iter()
        .flat_map(|name| ["A", "B", "C"].map(|node| (name.clone(), node)))
        .map(|(name, node)| (client(&mut scene, node, &name, "SUB foo 1\r\n"), name))
        .collect();
    let stranger = client(&mut scene, "B", "$G", "SUB > 1\r\n");
    for name in names() {
        publish(&mut scene, "A", &name, &name);
    }
    for (subscriber, name) in subscribers {
        assert_eq!(bodies(&mut scene, subscriber), [name]);
    }
    assert_eq!(scene.take(stranger), "");
}

#[test]
fn each_account_takes_its_slot_of_the_pool_and_its_lines_name_it() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    names()[..50].iter().for_each(|name| scene.add_account("A", name));
    let pool: Vec<_> = (0..3)
        .map(|slot| scene.raw_peer("A", "R", &format!(r#","route_pool_size":3,"route_pool_idx":{slot}"#)))
        .collect();
    // Half of them come when the routes are there already.
    names()[50..].iter().for_each(|name| scene.add_account("A", name));
    pool.iter().for_each(|route| drop(scene.take(*route)));
    let clients: Vec<_> = names().iter().map(|name| client(&mut scene, "A", name, "SUB foo 1\r\n")).collect();
    let expect = |verb: &str, of: usize| -> Vec<String> {
        let names = names().into_iter().filter(|name| slot(name) == of);
        names.map(|name| format!("{verb} {name} foo")).collect()
    };
    for (of, route) in pool.iter().enumerate() {
        assert_eq!(scene.take(*route).lines().collect::<Vec<_>>(), expect("RS+", of));
    }
    // A message goes back over whichever connection its interest came.
    scene.send(
        pool[1],
        names().iter().map(|name| format!("RS+ {name} bar\r\n")).collect::<String>().as_bytes(),
    );
    for (client, name) in clients.iter().zip(names()) {
        scene.send(*client, b"PUB bar 2\r\nhi\r\n");
        assert_eq!(scene.take(pool[1]), format!("RMSG {name} bar 2\r\nhi\r\n"));
    }
    // And what comes for an account is found by its name, on any connection.
    for (client, name) in clients.iter().zip(names()) {
        scene.send(pool[2], format!("RMSG {name} foo {}\r\n{name}\r\n", name.len()).as_bytes());
        assert_eq!(bodies(&mut scene, *client), [name]);
    }
    clients.iter().for_each(|client| scene.disconnect(*client));
    for (of, route) in pool.iter().enumerate() {
        assert_eq!(scene.take(*route).lines().collect::<Vec<_>>(), expect("RS-", of));
    }
}

#[test]
fn interest_in_an_account_that_is_not_here_yet_holds_when_it_comes() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, b"RS+ X foo\r\nRS+ X foo\r\nRS+ X gone\r\nRS- X gone\r\nRS+ X foo q 1\r\nRS+ X foo q 7\r\nRS+ Y foo\r\n");
    scene.take(peer);
    scene.add_account("A", "X");
    let found = scene.node("A").node().hub().accounts().find(b"X").expect("it was added");
    let mut weights = Vec::new();
    found.index().for_each(&mut |each| weights.push((each.subject().to_vec(), each.weight())));
    assert_eq!(weights, [(b"foo".to_vec(), 1), (b"foo".to_vec(), 7)]);
    publish(&mut scene, "A", "X", "hi");
    assert_eq!(scene.take(peer), "RMSG X foo | q 2\r\nhi\r\n");
    // From now on it is interest like any other.
    scene.send(peer, b"RS- X foo q\r\nRS- X foo\r\n");
    publish(&mut scene, "A", "X", "hi");
    assert_eq!(scene.take(peer), "");
}

#[test]
fn interest_in_accounts_that_never_come_is_kept_within_limits() {
    let lines = |count: usize, bytes: usize| -> String {
        (0..count).map(|number| format!("RS+ X {number:0bytes$}\r\n")).collect()
    };
    // By lines, and by bytes.
    for (sent, kept) in [(lines(6000, 5), 4096), (lines(100, 10_000), 26)] {
        let mut scene = Scene::cluster(&[("A", &[])]);
        let peer = scene.raw_peer("A", "R", "");
        scene.send(peer, sent.as_bytes());
        assert_eq!(scene.closed(peer), None);
        scene.add_account("A", "X");
        let found = scene.node("A").node().hub().accounts().find(b"X").expect("it was added");
        assert_eq!(found.index().len(), kept);
    }
}

#[test]
fn a_route_that_announces_more_than_it_may_is_closed_and_what_it_brought_is_gone() {
    for bytes in [false, true] {
        let mut scene = Scene::new();
        scene.start("A", &[], |config| {
            let limits = &mut config.cluster.as_mut().expect("a clustered node").limits;
            let (lines, names) = if bytes { (1000, 30) } else { (3, 1000) };
            (limits.max_interest, limits.max_interest_bytes) = (lines, names);
        });
        let peer = scene.raw_peer("A", "R", "");
        // Ten bytes each, with the blanks that stand for no group and no leaf.
        scene.send(peer, b"RS+ $G aaaaaaaa\r\nRS+ $G bbbbbbbb\r\nRS+ $G cccccccc\r\nRS+ $G cccccccc\r\n");
        scene.send(peer, b"RS- $G bbbbbbbb\r\nRS+ $G dddddddd\r\n");
        assert_eq!(scene.closed(peer), None);
        scene.send(peer, b"RS+ $G eeeeeeee\r\n");
        assert_eq!(scene.closed(peer), Some(CloseReason::MaximumSubscriptionsExceeded), "{bytes}");
        assert!(scene.node("A").node().hub().global_account().index().is_empty());
    }
}

#[test]
fn what_a_lost_route_said_of_an_account_that_comes_later_does_not_hold() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    scene.send(peer, b"RS+ X foo\r\n");
    scene.disconnect(peer);
    scene.add_account("A", "X");
    let found = scene.node("A").node().hub().accounts().find(b"X").expect("it was added");
    assert!(found.index().is_empty());
}

#[test]
fn an_account_that_is_removed_takes_its_clients_and_its_interest_along() {
    let mut scene = Scene::cluster(&[("A", &[])]);
    let peer = scene.raw_peer("A", "R", "");
    scene.add_account("A", "X");
    scene.send(peer, b"RS+ X bar\r\n");
    let [one, two] = [(); 2].map(|()| client(&mut scene, "A", "X", "SUB foo 1\r\nSUB foo q 2\r\n"));
    let other = client(&mut scene, "A", "$G", "SUB foo 1\r\n");
    scene.take(peer);
    scene.remove_account("A", "X");
    // As nats-server names it, without a word to them (wire.md 8.3).
    assert_eq!(
        [one, two, other].map(|client| scene.closed(client)),
        [Some(CloseReason::ClientClosed), Some(CloseReason::ClientClosed), None]
    );
    assert_eq!([one, two].map(|client| scene.take(client)), ["", ""]);
    assert_eq!(scene.take(peer), "RS- X foo\r\nRS- X foo q\r\n", "once, though two go");
    // A late message finds nobody, and an account of the same name is another.
    scene.send(peer, b"RMSG X foo 2\r\nhi\r\n");
    scene.add_account("A", "X");
    let again = client(&mut scene, "A", "X", "SUB foo 1\r\n");
    assert_eq!(scene.take(peer), "RS+ X foo\r\n");
    scene.send(peer, b"RMSG X foo 2\r\nhi\r\n");
    assert_eq!(scene.take(again), "MSG foo 1 2\r\nhi\r\n");
    // What the peer wanted it still wants, and does not say again.
    scene.send(again, b"PUB bar 2\r\nhi\r\n");
    assert_eq!(scene.take(peer), "RMSG X bar 2\r\nhi\r\n");
}

#[test]
fn accounts_that_cannot_be_added_or_removed_are_refused() {
    let (now, remote) = (Instant::ZERO, "127.0.0.1:1".parse().expect("an address"));
    let mut engine = Engine::new(onehop::config::Config::default(), &Listening::default(), now);
    assert_eq!(engine.add_account(now, "$G"), Err(AccountError::NameTaken));
    assert_eq!(engine.add_account(now, "two words"), Err(AccountError::InvalidName));
    let built_in = ["$G", "$SYS"]
        .map(|name| engine.node().hub().accounts().find(name.as_bytes()).expect("built in").id());
    assert_eq!(built_in.map(|id| engine.remove_account(now, id)), [Err(AccountError::BuiltIn); 2]);
    let id = engine.add_account(now, "X").expect("a free name");
    assert_eq!(engine.remove_account(now, id), Ok(()));
    assert_eq!(engine.remove_account(now, id), Err(AccountError::Unknown));
    assert_eq!(engine.handle_accept_client_in(now, id, remote), Err(ApiMisuse::UnknownAccount(id)));
}

#[derive(Clone, Debug)]
enum Action {
    /// Adds an account at a node, or removes it if it is there.
    Toggle(&'static str, &'static str),
    Subscribe(&'static str, &'static str),
    Publish(&'static str, &'static str),
    LoseRoutes,
}

fn action() -> impl Strategy<Value = Action> {
    let place = || (select(vec!["A", "B"]), select(vec!["X", "Y"]));
    prop_oneof![
        3 => place().prop_map(|(node, account)| Action::Toggle(node, account)),
        4 => place().prop_map(|(node, account)| Action::Subscribe(node, account)),
        4 => place().prop_map(|(node, account)| Action::Publish(node, account)),
        1 => Just(Action::LoseRoutes),
    ]
}

/// Which nodes have which accounts, and who listens there.
struct Model {
    scene: Scene,
    present: BTreeSet<(&'static str, &'static str)>,
    subscribers: BTreeMap<(&'static str, &'static str), Vec<Peer>>,
    published: usize,
}

impl Model {
    fn apply(&mut self, action: Action) {
        match action {
            Action::Toggle(node, account) if self.present.remove(&(node, account)) => {
                self.scene.remove_account(node, account);
                for gone in self.subscribers.remove(&(node, account)).unwrap_or_default() {
                    assert_eq!(self.scene.closed(gone), Some(CloseReason::ClientClosed));
                }
            }
            Action::Toggle(node, account) => {
                self.scene.add_account(node, account);
                self.present.insert((node, account));
            }
            Action::Subscribe(node, account) if self.present.contains(&(node, account)) => {
                let new = client(&mut self.scene, node, account, "SUB foo 1\r\n");
                self.subscribers.entry((node, account)).or_default().push(new);
            }
            Action::Publish(node, account) if self.present.contains(&(node, account)) => {
                self.published += 1;
                let body = self.published.to_string();
                publish(&mut self.scene, node, account, &body);
                for (place, subscribers) in &self.subscribers {
                    let expected: &[String] =
                        if place.1 == account { std::slice::from_ref(&body) } else { &[] };
                    for subscriber in subscribers {
                        assert_eq!(bodies(&mut self.scene, *subscriber), expected, "{place:?}");
                    }
                }
            }
            Action::LoseRoutes => {
                while self.scene.route_count("A", "B") > 0 {
                    self.scene.lose_route(0);
                }
                assert!(self.scene.drive_until(SECOND * 20, |scene| scene.is_mesh(4)));
            }
            Action::Subscribe(..) | Action::Publish(..) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whoever_listens_in_an_account_hears_what_is_said_in_it_however_accounts_come_and_go(
        actions in prop::collection::vec(action(), 1..40)
    ) {
        let (present, subscribers) = (BTreeSet::new(), BTreeMap::new());
        let mut model = Model { scene: mesh(&["A", "B"]), present, subscribers, published: 0 };
        actions.into_iter().for_each(|action| model.apply(action));
    }
}
