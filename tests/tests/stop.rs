//! A member that is told to stop: every message that a publisher had its PONG for arrives, here and at other members, and
//! clients keep knowing where to go.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use onehop_tests::frame::Frame;
use onehop_tests::mesh::{Topology, start, wait_for_mesh, wait_until};
use onehop_tests::raw::{RawConn, count_pongs, read_up_to};
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::traffic::{client, infos, known_counts, wait_for_interest};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_subscriber_that_reads_slowly_gets_all_that_was_acknowledged_before_the_stop() {
    const MESSAGES: usize = 20_000;
    // So that a machine that is slower than the subscriber does not make it one that is too slow.
    let patient = Options::configured("write_deadline: \"60s\"");
    for kind in Kind::RUNTIMES {
        let Some(mut server) = Server::start(kind, patient.clone()) else { return };
        let (subscriber, _publisher) = flooded(&server, MESSAGES);
        server.signal("TERM");
        // As with nats-server, whoever is impatient changes nothing.
        server.signal("INT");
        // A PING or two may be among it.
        let messages = read_slowly(subscriber) / ("MSG a 1 1024\r\n".len() + 1026);
        assert_eq!(messages, MESSAGES, "from {kind}");
        expect_exit(&mut server);
    }
}

#[test]
fn a_client_that_reads_nothing_is_not_waited_for_beyond_the_write_deadline() {
    for kind in Kind::RUNTIMES {
        let Some(mut server) = Server::start(kind, Options::default()) else { return };
        let _both = flooded(&server, 20_000);
        let stopped = Instant::now();
        server.signal("TERM");
        expect_exit(&mut server);
        assert!(stopped.elapsed() < WRITE_DEADLINE + SLACK, "{kind} took {:?}", stopped.elapsed());
    }
}

/// A subscriber that has read none of so many messages, and their publisher, which had its PONG behind them.
fn flooded(server: &Server, messages: usize) -> (TcpStream, RawConn) {
    let mut subscriber = TcpStream::connect(("127.0.0.1", server.ports().client)).expect("a connection");
    subscriber.write_all(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n").expect("written");
    read_up_to(&mut subscriber, b"PONG\r\n").expect("an answer");
    let mut publisher = client(server);
    let batch = format!("PUB a 1024\r\n{}\r\n", "x".repeat(1024)).repeat(100);
    (0..messages / 100).for_each(|_| publisher.send(&batch));
    publisher.ping();
    (subscriber, publisher)
}

/// Reads about 5 MB a second until the end, sends something now and then as clients do, and closes; how many bytes came.
fn read_slowly(mut stream: TcpStream) -> usize {
    let (mut chunk, mut bytes) = (vec![0; 50_000], 0);
    loop {
        // A connection that is reset ends as one that is closed.
        match stream.read(&mut chunk).unwrap_or(0) {
            0 => return bytes,
            read => bytes += read,
        }
        let _ = stream.write_all(b"PUB b 0\r\n\r\n");
        thread::sleep(Duration::from_millis(10));
    }
}

fn expect_exit(server: &mut Server) {
    let exit = server.wait_exit(PATIENCE);
    assert!(exit.is_some_and(|status| status.success()), "the exit of {} was {exit:?}", server.kind());
}

#[test]
fn what_is_acknowledged_in_a_mesh_under_load_arrives_though_a_member_stops() {
    let among_others = Kind::RUNTIMES.map(|kind| [Kind::REFERENCE, kind, Kind::REFERENCE]);
    for kinds in Kind::RUNTIMES.map(|kind| [kind; MEMBERS]).into_iter().chain(among_others) {
        let Some(mut servers) = start("stopping", Topology::Seed, &kinds) else { return };
        wait_for_mesh(&servers.iter().collect::<Vec<_>>(), PATIENCE);
        let mut subscribers = subscribe(&servers);
        let mut onlooker = client(&servers[STOPPED]);
        let publishers: Vec<_> = servers.iter().map(client).collect();
        let is_over = AtomicBool::new(false);
        let acknowledged = [const { AtomicUsize::new(0) }; MEMBERS];
        let wanted = OnceLock::new();
        thread::scope(|scope| {
            // What its own subscriber is sent makes the routes of the member that stops busy in both directions.
            for (member, subscriber) in subscribers.iter_mut().enumerate() {
                let wanted = if member == STOPPED { None } else { Some(&wanted) };
                scope.spawn(move || read(subscriber, wanted));
            }
            let counts = publishers.into_iter().zip(&acknowledged).enumerate();
            let publishing: Vec<_> = counts
                .map(|(number, (publisher, count))| {
                    let is_over = &is_over;
                    scope.spawn(move || publish(publisher, number, count, is_over))
                })
                .collect();
            let count_of = |number: usize| acknowledged[number].load(Ordering::Relaxed);
            wait_until("all publish", PATIENCE, || (0..MEMBERS).all(|number| count_of(number) > 5_000));
            servers[STOPPED].signal("TERM");
            wait_until("the member's publisher is sent away", PATIENCE, || publishing[STOPPED].is_finished());
            is_over.store(true, Ordering::Relaxed);
            publishing.into_iter().for_each(|publisher| publisher.join().expect("no panic"));
            wanted.set([0, 1, 2].map(count_of)).expect("set once");
        });
        expect_exit(&mut servers[STOPPED]);
        expect_no_forgetting(&mut onlooker);
    }
}

/// A subscriber at each member, of which all others know.
fn subscribe(servers: &[Server]) -> Vec<RawConn> {
    let mut subscribers: Vec<_> = servers.iter().map(client).collect();
    for subscriber in &mut subscribers {
        subscriber.send("SUB load.* 1\r\nSUB ready 2\r\n");
        subscriber.ping();
    }
    for server in servers {
        let mut publisher = client(server);
        for subscriber in &mut subscribers {
            wait_for_interest(&mut publisher, subscriber, "ready");
        }
    }
    subscribers
}

/// Publishes numbers in batches with a PING at the end of each, until it is over or the server closes; counts the
/// messages that had their PONG.
fn publish(mut publisher: RawConn, number: usize, acknowledged: &AtomicUsize, is_over: &AtomicBool) {
    for batch in 0.. {
        let messages =
            (100 * batch..100 * (batch + 1)).map(|count| format!("PUB load.{number} 8\r\n{count:08}\r\n"));
        let pongs = count_pongs(publisher.frames());
        publisher.send(messages.collect::<String>() + "PING\r\n");
        if is_over.load(Ordering::Relaxed)
            || !publisher.read_until(PATIENCE, |frames| count_pongs(frames) > pongs)
        {
            return;
        }
        acknowledged.fetch_add(100, Ordering::Relaxed);
    }
}

/// Reads all that is published, until as much of each publisher has come as is wanted, once that is known.
///
/// # Panics
///
/// If something is missing then, or before.
fn read(subscriber: &mut RawConn, wanted: Option<&OnceLock<[usize; MEMBERS]>>) {
    let (mut seen, mut counts) = (0, [0; MEMBERS]);
    let has_all = |counts: &[usize; MEMBERS]| {
        wanted
            .and_then(OnceLock::get)
            .is_some_and(|wanted| counts.iter().zip(wanted).all(|(has, wants)| has >= wants))
    };
    let mut deadline = None;
    while !has_all(&counts) && !subscriber.is_closed() {
        subscriber.read_until(Duration::from_millis(50), |frames| {
            for message in frames[seen..].iter().filter_map(Load::of) {
                assert_eq!(message.number, counts[message.publisher], "of publisher {}", message.publisher);
                counts[message.publisher] += 1;
            }
            seen = frames.len();
            has_all(&counts)
        });
        if let Some(wanted) = wanted.and_then(OnceLock::get) {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            assert!(Instant::now() < deadline, "{counts:?} came, and {wanted:?} were acknowledged");
        }
    }
    assert!(wanted.is_none() || has_all(&counts), "the connection ended after {counts:?}");
}

/// One of the messages that are counted.
struct Load {
    publisher: usize,
    number: usize,
}

impl Load {
    fn of(frame: &Frame) -> Option<Self> {
        let publisher = frame.args().first()?.strip_prefix("load.")?.parse().ok()?;
        let number = String::from_utf8_lossy(frame.payload.as_ref()?).parse().ok()?;
        Some(Self { publisher, number })
    }
}

/// What a member that leaves makes its neighbours tell their clients, whatever it and they advertise.
#[test]
fn clients_of_a_nats_server_hear_the_same_whoever_leaves() {
    for (advertised, of_leaver, of_neighbour) in ADVERTISED {
        for ending in ["TERM", "KILL", "USR2"] {
            let told = Kind::COMPARED[..2]
                .iter()
                .map(|leaver| told_at_end(*leaver, of_leaver, of_neighbour, ending));
            let Some(told) = told.collect::<Option<Vec<_>>>() else { return };
            assert!(!told[0].is_empty(), "{advertised}, {ending}");
            assert_eq!(told[0], told[1], "{advertised}, {ending} (nats-server left, onehop right)");
        }
    }
}

/// Of what a client is told by a nats-server while another member ends: whether it is a lame duck, and where else to go.
fn told_at_end(
    leaver: Kind,
    of_leaver: &[&str],
    of_neighbour: &[&str],
    ending: &str,
) -> Option<Vec<(bool, Vec<String>)>> {
    let neighbour = Server::start(Kind::REFERENCE, Options::member("C", "stays", &[]).with(of_neighbour))?;
    let options = Options::member("C", "leaves", &[neighbour.ports().route]).with(of_leaver);
    let mut leaver = Server::start(leaver, options)?;
    wait_for_mesh(&[&neighbour, &leaver], PATIENCE);
    let mut client = RawConn::connect(neighbour.ports().client);
    client.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\n");
    client.ping();
    leaver.signal(ending);
    leaver.wait_exit(PATIENCE).expect("it ends");
    wait_until("the neighbour to be alone", PATIENCE, || {
        neighbour.monitor("/routez").is_ok_and(|page| page["num_routes"] == 0)
    });
    client.ping();
    client.read_until_quiet(Duration::from_millis(200));
    let name = |url: &str| {
        let url = url.replace(&format!(":{}", neighbour.ports().client), ":STAYS");
        url.replace(&format!(":{}", leaver.ports().client), ":LEAVES")
    };
    let mut told: Vec<_> = infos(&client)
        .map(|info| {
            let urls = info["connect_urls"].as_array().into_iter().flatten();
            (info["ldm"] == true, urls.filter_map(|url| url.as_str().map(name)).collect())
        })
        .collect();
    // How often it is said depends on which of the connections ends first.
    told.dedup();
    Some(told)
}

/// What is advertised, and the arguments for that of who leaves and of who stays.
const ADVERTISED: [(&str, &[&str], &[&str]); 4] = [
    ("all", &[], &[]),
    ("nothing by who leaves", &["--no_advertise"], &[]),
    ("nothing by who stays", &[], &["--no_advertise"]),
    ("another address by who leaves", &["--client_advertise", "leaves.example:1"], &[]),
];

/// A client that is told of fewer servers than before does not know where to go when its own ends.
fn expect_no_forgetting(client: &mut RawConn) {
    assert!(client.read_until_closed(PATIENCE));
    let known = known_counts(client);
    assert!(known.is_sorted(), "told of {known:?} servers");
}

/// Unless it is configured otherwise.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(5);

const MEMBERS: usize = 3;

/// The member that is told to stop.
const STOPPED: usize = 1;
