use std::sync::Mutex;

use mainline::Testnet;
use onehop::discovery::DamagedFile;

use super::*;
use crate::Listener;

/// What was told, in order.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Listener for Notes {
    fn found(&self, source: Source, _: &str, found: Vec<Found>) {
        assert_eq!(source, Source::Dht);
        self.0.lock().unwrap().extend(found.into_iter().map(|found| found.address.to_string()));
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        panic!("{text} is loaded")
    }
}

fn settings(bootstrap: &[String]) -> Settings {
    let bootstrap = bootstrap.iter().map(|node| node.parse().unwrap()).collect();
    Settings { bootstrap, local_addresses: true }
}

fn member(settings: Settings) -> Member {
    Member {
        settings,
        secret: [1; 32].into(),
        own_id: "NA".to_owned(),
        random: 0,
        audience: Arc::new(Audience::new(Arc::new(Notes::default()))),
        known_nodes: Vec::new(),
    }
}

fn reach(address: &str, is_alone: bool) -> Reach {
    Reach { members: vec![("NA".to_owned(), address.parse().unwrap())], is_alone }
}

/// A pace of which only what is tested is not too slow for a test.
fn slow() -> Pace {
    let long = Duration::from_secs(3600);
    let moment = Duration::from_millis(10);
    Pace { moment, between: long, alone: long, regular: long, again: moment }
}

fn start(id: &str, pace: Pace, nodes: &Testnet) -> (Dht, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let audience = Arc::new(Audience::new(notes.clone()));
    let server_id = id.to_owned();
    let own = Own { server_id, cluster: "C".to_owned(), route_port: 1, client_port: 4222, advertise: None };
    let dht = Dht::start(&settings(&nodes.bootstrap), &[1; 32].into(), &own, pace, audience);
    (dht.unwrap(), notes)
}

fn wait_for(notes: &Notes, address: &str) {
    let began = Instant::now();
    while !notes.0.lock().unwrap().iter().any(|told| told == address) {
        assert!(began.elapsed() < Duration::from_secs(60), "{address} is not told");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn where_nodes_are_configured_no_others_are_asked() {
    let configured = |bootstrap: &[&str]| {
        let bootstrap: Vec<_> = bootstrap.iter().map(|node| (*node).to_owned()).collect();
        member(settings(&bootstrap)).resolve().map(|nodes| nodes.iter().map(ToString::to_string).collect())
    };
    assert_eq!(
        configured(&["127.0.0.1", "127.0.0.2:7"]),
        Ok(vec!["127.0.0.1:6881".to_owned(), "127.0.0.2:7".to_owned()])
    );
    for none in ["nobody.invalid", "[::1]:1"] {
        let trouble = configured(&[none]).unwrap_err();
        assert!(trouble.starts_with("none of its nodes has an IPv4 address"), "{trouble}");
    }
    let many: Vec<_> = (1..100).map(|last| format!("127.0.0.{last}")).collect();
    assert_eq!(member(settings(&many)).resolve().unwrap().len(), MAX_FIRST_NODES);
}

#[test]
fn what_changes_is_told_soon_and_who_is_alone_looks_again_and_again() {
    let nodes = Testnet::builder(5).build().unwrap();
    let between = Duration::from_millis(500);
    let (a, _) = start("NA", Pace { between, ..slow() }, &nodes);
    let looking = Pace { alone: Duration::from_millis(300), ..slow() };
    let (_b, told_b) = start("NB", looking, &nodes);
    for address in ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"] {
        a.tell(reach(address, false));
        wait_for(&told_b, address);
    }
}

#[test]
fn a_round_is_due_after_a_change_but_not_too_often_and_sooner_for_who_is_alone() {
    let now = Instant::now();
    let secs = Duration::from_secs;
    let mut rounds = Rounds {
        member: member(settings(&[])),
        pace: Pace::default(),
        inbox: Arc::new(Inbox {
            state: Mutex::new(State { reach: reach("a:1", false), changed_at: now, has_ended: false }),
            changed: Condvar::new(),
        }),
        ended_at: now,
        pauses: [secs(3600), secs(300)],
        tries: 0,
        told: Vec::new(),
        told_at: None,
    };
    let state = |address, is_alone| State {
        reach: reach(address, is_alone),
        changed_at: now + secs(5),
        has_ended: false,
    };
    let due = |rounds: &Rounds, address, is_alone| rounds.due(&state(address, is_alone)) - now;
    assert_eq!(due(&rounds, "a:1", false), secs(6), "it was never told");
    rounds.told = state("a:1", false).reach.members;
    assert_eq!([due(&rounds, "a:1", false), due(&rounds, "a:1", true)], [secs(3600), secs(300)]);
    rounds.told_at = Some(now);
    assert_eq!(due(&rounds, "b:1", false), secs(60), "it has moved");
}
