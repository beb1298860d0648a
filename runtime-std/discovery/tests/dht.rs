//! Members that know nothing but a secret, and a DHT on this machine.
#![cfg(feature = "dht")]

mod common;

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Notes, address, own, settings, start, wait_until};
use futures_lite::future::block_on;
use mainline::async_dht::AsyncDht;
use mainline::{MutableItem, SigningKey, Testnet};
use onehop::config::{Dht, Discovery, SharedSecret, Source};
use onehop::discovery::Reach;
use onehop::discovery::record::{self, Announced, DayKeys};
use onehop_discovery::Sources;

/// The nodes of a DHT. Each test has its own: they keep in mind who asked them, as if he were a node that could be asked.
fn nodes() -> Testnet {
    Testnet::builder(8).build().unwrap()
}

/// Asks nobody but those.
fn dht(nodes: &Testnet, secret: u8) -> Discovery {
    let bootstrap = nodes.bootstrap.iter().map(|node| address(node)).collect();
    let secret = Some(self::secret(secret));
    Discovery { dht: Some(Dht { bootstrap, local_addresses: true }), secret, ..settings() }
}

fn secret(first: u8) -> SharedSecret {
    std::array::from_fn(|at| first ^ at as u8).into()
}

fn join(nodes: &Testnet, secret: u8, id: &str) -> (Sources, Notes) {
    start(&dht(nodes, secret), &own(id, "C"))
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

/// Lets newcomers come until one is told of all of these; returns how long it took that one.
fn newcomer_finds(nodes: &Testnet, secret: u8, expected: &[(&str, &str)]) -> Duration {
    let expected: Vec<_> = expected.iter().map(|(id, at)| ((*id).to_owned(), (*at).to_owned())).collect();
    for _ in 0..10 {
        let began = Instant::now();
        let (_newcomer, notes) = join(nodes, secret, "NEW");
        while began.elapsed() < Duration::from_secs(5) {
            if told(&notes) == expected {
                return began.elapsed();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    panic!("nobody is told of {expected:?}");
}

#[test]
fn who_knows_the_secret_is_told_of_all_who_can_be_reached_and_who_does_not_of_nobody() {
    let nodes = nodes();
    let (a, told_a) = join(&nodes, 1, "NA");
    a.tell(reach(&[("NA", "127.0.0.1:1"), ("NB", "127.0.0.1:2")]));
    let took = newcomer_finds(&nodes, 1, &[("NA", "127.0.0.1:1"), ("NB", "127.0.0.1:2")]);
    println!("found within {took:?}");
    let (_stranger, told_stranger) = join(&nodes, 2, "NS");
    let (_b, told_b) = join(&nodes, 1, "NB");
    wait_until("B is told", || told(&told_b) == [("NA".to_owned(), "127.0.0.1:1".to_owned())]);
    assert_eq!([told_a.count(), told_stranger.count()], [0, 0]);
}

/// Writes into the DHT as any holder of a key can.
struct Writer {
    node: AsyncDht,
    keys: DayKeys,
}

impl Writer {
    fn new(nodes: &Testnet, secret: u8) -> Self {
        let mut builder = mainline::Dht::builder();
        builder.bootstrap(&nodes.bootstrap).port(0).bind_address(Ipv4Addr::LOCALHOST);
        let keys = DayKeys::new(&self::secret(secret), record::day_of(now_secs()));
        Self { node: builder.build().unwrap().as_async(), keys }
    }

    fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(self.keys.signing_seed())
    }

    /// The value of a slot that tells of this server.
    fn server(&self, slot: u8, id: &str, at: &str, seen_secs: u64) -> Vec<u8> {
        let addresses = vec![address(at)];
        let server = Announced { server_id: id.to_owned(), addresses, seen_secs };
        self.keys.seal(slot, [slot; record::NONCE_BYTES], &[server])
    }

    /// Puts values and their `seq` into slots, side by side.
    fn put(&self, values: &[(u8, Vec<u8>, i64)]) {
        thread::scope(|scope| {
            for (slot, value, seq) in values {
                let salt = record::salt(*slot);
                let item = MutableItem::new(self.signing_key(), value, *seq, Some(salt.as_bytes()));
                scope.spawn(|| block_on(self.node.put_mutable(item, None)).unwrap());
            }
        });
    }

    fn get(&self) -> Vec<MutableItem> {
        let key = self.signing_key().verifying_key().to_bytes();
        let newest = |slot| {
            let salt = record::salt(slot);
            block_on(self.node.get_mutable_most_recent(&key, Some(salt.as_bytes())))
        };
        thread::scope(|scope| {
            let reads: Vec<_> = (0..record::SLOTS).map(|slot| scope.spawn(move || newest(slot))).collect();
            reads.into_iter().filter_map(|read| read.join().unwrap()).collect()
        })
    }
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn what_is_damaged_old_or_of_another_slot_is_not_told_and_hides_nobody() {
    let nodes = nodes();
    let liar = Writer::new(&nodes, 3);
    let now = now_secs();
    let values = [
        vec![7; record::VALUE_BYTES],
        b"short".to_vec(),
        liar.server(2, "OLD", "127.0.0.1:1", now - 2 * 3600 - 60),
        liar.server(3, "FUTURE", "127.0.0.1:2", now + 1200),
        liar.server(5, "ELSEWHERE", "127.0.0.1:3", now),
        liar.server(5, "NB", "127.0.0.1:4", now),
    ];
    let values = (0..).zip(values).map(|(slot, value)| (slot, value, now as i64));
    liar.put(&values.collect::<Vec<_>>());
    Writer::new(&nodes, 7).put(&[(6, liar.server(6, "STRANGER", "127.0.0.1:5", now), now as i64)]);
    let (_a, told_a) = join(&nodes, 3, "NA");
    wait_until("who is there is found", || told(&told_a) == [("NB".to_owned(), "127.0.0.1:4".to_owned())]);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(told(&told_a).len(), 1);
}

#[test]
fn what_others_wrote_stays_until_it_is_old_and_the_newer_value_wins_whatever_its_clock() {
    let nodes = nodes();
    let other = Writer::new(&nodes, 4);
    let (now, ahead) = (now_secs(), now_secs() as i64 + 1000);
    let values = (0..record::SLOTS).map(|slot| (slot, other.server(slot, "NX", "127.0.0.1:9", now), ahead));
    other.put(&values.collect::<Vec<_>>());
    let (a, _) = join(&nodes, 4, "NA");
    a.tell(reach(&[("NA", "127.0.0.1:1")]));
    let written = || {
        let items = other.get().into_iter().filter(|item| item.seq() != ahead);
        items.collect::<Vec<_>>()
    };
    wait_until("it has written", || !written().is_empty());
    let [item] = &written()[..] else { panic!("it is the only one it knows, and writes one slot") };
    assert_eq!(item.seq(), ahead + 1);
    let slot = item.salt().unwrap().last().unwrap() - b'0';
    let servers = other.keys.open(slot, item.value(), now_secs()).unwrap();
    let ids: Vec<_> = servers.iter().map(|server| server.server_id.as_str()).collect();
    assert_eq!(ids, ["NA", "NX"]);
}

#[test]
fn addresses_of_local_networks_are_not_told_to_the_world() {
    let nodes = nodes();
    let mut settings = dht(&nodes, 5);
    settings.dht.as_mut().unwrap().local_addresses = false;
    let (a, _) = start(&settings, &own("NA", "C"));
    a.tell(reach(&[("NA", "8.8.8.8:1"), ("NB", "10.0.0.1:2"), ("NC", "[fd00::1]:2"), ("ND", "d.local:2")]));
    newcomer_finds(&nodes, 5, &[("NA", "8.8.8.8:1")]);
}

#[test]
fn nodes_that_do_not_answer_are_no_reason_to_ask_others() {
    let nodes = nodes();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut settings = dht(&nodes, 6);
    settings.dht.as_mut().unwrap().bootstrap = vec![address(&nobody.local_addr().unwrap().to_string())];
    let (sources, told) = start(&settings, &own("NA", "C"));
    nobody.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let (_, from) = nobody.recv_from(&mut [0; 2000]).unwrap();
    assert!(from.ip().is_loopback(), "it can send to nobody beyond this machine: {from}");
    drop(sources);
    assert_eq!(told.count(), 0);
}
