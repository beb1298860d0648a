//! Members that know nothing but a secret, and a DHT on this machine.
#![cfg(feature = "dht")]

mod common;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Notes, address, own, settings, start, wait_until};
use mainline::Testnet;
use onehop::config::{Dht, Discovery, SharedSecret, Source};
use onehop::discovery::Reach;
use onehop_discovery::Sources;

/// The nodes of a DHT, which all tests share.
fn nodes() -> &'static Testnet {
    static NODES: OnceLock<Testnet> = OnceLock::new();
    NODES.get_or_init(|| Testnet::builder(10).build().unwrap())
}

/// Asks nobody but those.
fn dht(secret: u8) -> Discovery {
    let bootstrap = nodes().bootstrap.iter().map(|node| address(node)).collect();
    let secret = SharedSecret::from(std::array::from_fn(|at| secret ^ at as u8));
    Discovery { dht: Some(Dht { bootstrap, local_addresses: true }), secret: Some(secret), ..settings() }
}

fn join(secret: u8, id: &str) -> (Sources, Notes) {
    start(&dht(secret), &own(id, "C"))
}

fn reach(members: &[(&str, &str)]) -> Reach {
    let members = members.iter().map(|(id, at)| ((*id).to_owned(), address(at))).collect();
    Reach { members, is_alone: false }
}

/// Whom they were told of, each once.
fn told(notes: &Notes) -> Vec<(String, String)> {
    let found = notes.all().into_iter().flat_map(|note| {
        assert!(note.source == Source::Dht && note.teller.starts_with("slot "), "{note:?}");
        note.found
    });
    let mut told: Vec<_> = found.map(|found| (found.server_id.unwrap(), found.address.to_string())).collect();
    told.sort();
    told.dedup();
    told
}

/// Others come again and again until one is told of somebody.
fn newcomer_finds(secret: u8, expected: &[(&str, &str)]) -> Duration {
    let expected: Vec<_> = expected.iter().map(|(id, at)| ((*id).to_owned(), (*at).to_owned())).collect();
    loop {
        let began = Instant::now();
        let (_newcomer, notes) = join(secret, "NEW");
        let is_told = || told(&notes) == expected;
        while began.elapsed() < Duration::from_secs(5) {
            if is_told() {
                return began.elapsed();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn who_knows_the_secret_is_told_of_all_who_can_be_reached_and_who_does_not_of_nobody() {
    let (a, told_a) = join(1, "NA");
    a.tell(reach(&[("NA", "127.0.0.1:1"), ("NB", "127.0.0.1:2")]));
    let took = newcomer_finds(1, &[("NA", "127.0.0.1:1"), ("NB", "127.0.0.1:2")]);
    println!("found within {took:?}");
    let (_stranger, told_stranger) = join(2, "NS");
    let (_b, told_b) = join(1, "NB");
    wait_until("B is told", || told(&told_b) == [("NA".to_owned(), "127.0.0.1:1".to_owned())]);
    assert_eq!([told_a.count(), told_stranger.count()], [0, 0]);
}
