//! Who gets what across accounts, beside a model that goes by what an operator reads: a stream is heard under its name here, and a
//! request comes to its service under its name there.

use std::collections::BTreeMap;

use onehop::config::{AccountConfig, Authorization, Config, Export, Import, Response, User};
use onehop::wire::subject::filter_matches;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::scene::{Peer, Scene};

const ACCOUNTS: [&str; 3] = ["A", "B", "C"];

/// An import that is drawn: who takes it, from whom, what, as what.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    importer: usize,
    exporter: usize,
    subject: &'static str,
    to: &'static str,
    is_stream: bool,
    /// From what is published, to what comes out of it.
    goes: fn(&str) -> Option<String>,
}

/// What follows a beginning and is not empty.
fn behind(subject: &str, start: &str, renamed: &str) -> Option<String> {
    let rest = subject.strip_prefix(start)?;
    (!rest.is_empty()).then(|| format!("{renamed}{rest}"))
}

/// One token behind a beginning.
fn token(subject: &str, start: &str, renamed: &str) -> Option<String> {
    behind(subject, start, renamed).filter(|_| !subject[start.len()..].contains('.'))
}

const IMPORTS: [Drawn; 8] = [
    stream(1, 0, "s.>", "x.>", |subject| behind(subject, "s.", "x.")),
    stream(1, 0, "s.*", "y.$1", |subject| token(subject, "s.", "y.")),
    stream(2, 0, "s.1", "x.1", |subject| (subject == "s.1").then(|| "x.1".to_owned())),
    stream(2, 1, "x.*", "x.$1", |subject| token(subject, "x.", "x.")),
    service(1, 0, "q.*", "x.$1", |subject| token(subject, "x.", "q.")),
    service(1, 0, "s.1", "y.*", |subject| token(subject, "y.", "").map(|_| "s.1".to_owned())),
    service(2, 1, "x.>", "s.>", |subject| behind(subject, "s.", "x.")),
    service(0, 2, "q.>", "y.>", |subject| behind(subject, "y.", "q.")),
];

const fn stream(
    importer: usize,
    exporter: usize,
    subject: &'static str,
    to: &'static str,
    goes: fn(&str) -> Option<String>,
) -> Drawn {
    Drawn { importer, exporter, subject, to, is_stream: true, goes }
}

const fn service(
    importer: usize,
    exporter: usize,
    subject: &'static str,
    to: &'static str,
    goes: fn(&str) -> Option<String>,
) -> Drawn {
    Drawn { is_stream: false, ..stream(importer, exporter, subject, to, goes) }
}

#[derive(Clone, Debug)]
struct Subscribed {
    node: usize,
    account: usize,
    filter: &'static str,
    queue: &'static str,
}

#[derive(Clone, Debug)]
struct Published {
    node: usize,
    account: usize,
    subject: &'static str,
}

fn subscribed() -> impl Strategy<Value = Subscribed> {
    let filters =
        vec!["s.>", "s.*", "s.1", "x.>", "x.*", "x.1", "y.1", "y.*", "q.1", "q.*", "*.1", ">", "*.1.2"];
    (0..2usize, 0..3usize, select(filters), select(vec!["", "", "", "g", "h"]))
        .prop_map(|(node, account, filter, queue)| Subscribed { node, account, filter, queue })
}

fn published() -> impl Strategy<Value = Published> {
    let subjects = vec!["s.1", "s.2", "s.1.2", "x.1", "x.1.2", "y.1", "q.1", "q.2", "s"];
    (0..2usize, 0..3usize, select(subjects)).prop_map(|(node, account, subject)| Published {
        node,
        account,
        subject,
    })
}

/// What is to be delivered of a message: by subscription the subjects that it gets, and by group of how many accounts it gets one.
#[derive(Debug, Default)]
struct Expected {
    plain: BTreeMap<usize, Vec<String>>,
    groups: BTreeMap<&'static str, usize>,
}

struct Model<'a> {
    imports: &'a [Drawn],
    subscribed: &'a [Subscribed],
}

impl Model<'_> {
    fn publish(&self, message: &Published) -> Expected {
        let mut expected = Expected::default();
        self.deliver(message.node, message.account, message.subject, false, &mut expected);
        expected
    }

    /// A message from a client of this node in an account, which may be a request. Where it is known to be one, importers of streams
    /// hear nothing of it; other servers do not know.
    fn deliver(&self, node: usize, account: usize, subject: &str, is_request: bool, expected: &mut Expected) {
        let mut groups = BTreeMap::new();
        self.hear(account, subject, None, &mut groups, expected);
        for import in self.imports.iter().filter(|import| import.is_stream && import.exporter == account) {
            if let Some(known_as) = (import.goes)(subject) {
                let except_at = is_request.then_some(node);
                self.hear(import.importer, &known_as, except_at, &mut groups, expected);
            }
        }
        for group in groups.into_keys() {
            *expected.groups.entry(group).or_default() += 1;
        }
        for import in self.imports.iter().filter(|import| !import.is_stream && import.importer == account) {
            if let Some(asked) = (import.goes)(subject) {
                self.deliver(node, import.exporter, &asked, true, expected);
            }
        }
    }

    /// All subscriptions of an account, but those at one node.
    fn hear(
        &self,
        account: usize,
        subject: &str,
        except_at: Option<usize>,
        groups: &mut BTreeMap<&'static str, ()>,
        expected: &mut Expected,
    ) {
        for (number, own) in self.subscribed.iter().enumerate() {
            if Some(own.node) == except_at
                || own.account != account
                || !filter_matches(own.filter.as_bytes(), subject.as_bytes())
            {
                continue;
            }
            match own.queue {
                "" => expected.plain.entry(number).or_default().push(subject.to_owned()),
                group => drop(groups.insert(group, ())),
            }
        }
    }
}

fn configure(config: &mut Config, imports: &[Drawn]) {
    let account = |(number, name): (usize, &&str)| {
        let export = |drawn: &Drawn| match drawn.is_stream {
            true => Export::stream(drawn.subject),
            false => Export::service(drawn.subject, Response::Single),
        };
        let import = |drawn: &Drawn| {
            let new = if drawn.is_stream { Import::stream } else { Import::service };
            new(ACCOUNTS[drawn.exporter], drawn.subject, drawn.to)
        };
        AccountConfig {
            exports: imports.iter().filter(|drawn| drawn.exporter == number).map(export).collect(),
            imports: imports.iter().filter(|drawn| drawn.importer == number).map(import).collect(),
            ..AccountConfig::new(*name)
        }
    };
    config.accounts = ACCOUNTS.iter().enumerate().map(account).collect();
    let user = |name: &&str| User::with_password(name, "p").in_account(name);
    config.authorization = Authorization::Users(ACCOUNTS.iter().map(user).collect());
}

/// Two nodes, with a client for each subscription, and publishers.
struct World {
    scene: Scene,
    subscribers: Vec<Peer>,
}

const NODES: [&str; 2] = ["A", "B"];

impl World {
    fn new(imports: &[Drawn], subscribed: &[Subscribed]) -> Self {
        let mut scene = Scene::new();
        scene.start("A", &[], |config| configure(config, imports));
        scene.start("B", &["A"], |config| configure(config, imports));
        scene.settle();
        let subscribers = subscribed.iter().map(|own| {
            let client = connect(&mut scene, own.node, own.account);
            scene.send(client, format!("SUB {} {} 1\r\n", own.filter, own.queue).as_bytes());
            client
        });
        let subscribers = subscribers.collect();
        Self { scene, subscribers }
    }

    /// Publishes, and returns the subjects by which each subscription got it.
    fn publish(&mut self, message: &Published) -> Vec<Vec<String>> {
        let publisher = connect(&mut self.scene, message.node, message.account);
        self.scene.send(publisher, format!("PUB {} 0\r\n\r\n", message.subject).as_bytes());
        assert_eq!(self.scene.take(publisher), "");
        self.scene.disconnect(publisher);
        self.subscribers.iter().map(|client| subjects(&self.scene.take(*client))).collect()
    }
}

fn connect(scene: &mut Scene, node: usize, account: usize) -> Peer {
    let client = scene.client(NODES[node]);
    let user = ACCOUNTS[account];
    let connect = format!(r#"CONNECT {{"verbose":false,"headers":true,"user":"{user}","pass":"p"}}"#);
    scene.send(client, format!("{connect}\r\n").as_bytes());
    scene.take(client);
    client
}

fn subjects(read: &str) -> Vec<String> {
    let lines = read.lines().filter(|line| line.starts_with("MSG ") || line.starts_with("HMSG "));
    lines.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_message_comes_to_whom_the_imports_say_and_by_the_names_that_they_say(
        imports in subsequence(IMPORTS.to_vec(), 0..=IMPORTS.len()),
        subscribed in prop::collection::vec(subscribed(), 1..10),
        published in prop::collection::vec(published(), 1..12),
    ) {
        let mut world = World::new(&imports, &subscribed);
        let model = Model { imports: &imports, subscribed: &subscribed };
        for message in &published {
            let expected = model.publish(message);
            let got = world.publish(message);
            let mut by_group: BTreeMap<&str, usize> = BTreeMap::new();
            for (number, (own, mut got)) in subscribed.iter().zip(got).enumerate() {
                if own.queue.is_empty() {
                    let mut expected = expected.plain.get(&number).cloned().unwrap_or_default();
                    expected.sort();
                    got.sort();
                    prop_assert_eq!(got, expected, "{:?} of {:?}", own, message);
                } else if !got.is_empty() {
                    *by_group.entry(own.queue).or_default() += got.len();
                }
            }
            prop_assert_eq!(by_group, expected.groups, "{:?}", message);
        }
    }
}
