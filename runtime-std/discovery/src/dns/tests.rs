//! A name server of ours, on this machine, which answers as it is told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use onehop::discovery::DamagedFile;
use simple_dns::rdata::{A, AAAA, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

use super::*;
use crate::Listener;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Udp,
    Tcp,
}

/// What was asked, in order.
type Asked = Arc<Mutex<Vec<Via>>>;

/// Answers each question with these packets, for as long as the test runs.
fn name_server(
    answer: impl Fn(Via, usize, &Packet<'_>) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, Asked) {
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Another may have that port of UDP.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let asked = Asked::default();
    let answer = Arc::new({
        let asked = asked.clone();
        move |via, question: &[u8]| {
            let number = {
                let mut asked = asked.lock().unwrap();
                asked.push(via);
                asked.len()
            };
            answer(via, number, &Packet::parse(question).unwrap())
        }
    });
    thread::spawn({
        let answer = answer.clone();
        move || serve_udp(&udp, |question| answer(Via::Udp, question))
    });
    thread::spawn(move || serve_tcp(&tcp, |question| answer(Via::Tcp, question)));
    (address, asked)
}

fn serve_udp(socket: &UdpSocket, answer: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let mut question = [0; 512];
    loop {
        // That nobody waited for the last answer is told here.
        let Ok((length, client)) = socket.recv_from(&mut question) else {
            continue;
        };
        for packet in answer(&question[..length]) {
            let _ = socket.send_to(&packet, client);
        }
    }
}

fn serve_tcp(listener: &TcpListener, answer: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    for client in listener.incoming() {
        let mut client = client.unwrap();
        let mut length = [0; 2];
        client.read_exact(&mut length).unwrap();
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        client.read_exact(&mut question).unwrap();
        for packet in answer(&question) {
            client.write_all(&u16::try_from(packet.len()).unwrap().to_be_bytes()).unwrap();
            client.write_all(&packet).unwrap();
        }
    }
}

fn reply<'a>(question: &Packet<'a>) -> Packet<'a> {
    question.clone().into_reply()
}

/// That the service is at these hosts.
fn with_targets<'a>(mut packet: Packet<'a>, targets: &'a [(u16, &str, u16)]) -> Packet<'a> {
    for (priority, target, port) in targets {
        let target = Name::new_unchecked(target);
        let service = SRV { priority: *priority, weight: 0, port: *port, target };
        let name = packet.questions[0].qname.clone();
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, 0, RData::SRV(service)));
    }
    packet
}

fn with_addresses<'a>(mut packet: Packet<'a>, host: &'a str) -> Packet<'a> {
    let a = RData::A(A { address: Ipv4Addr::new(10, 0, 0, 1).into() });
    let aaaa = RData::AAAA(AAAA { address: 1 });
    for rdata in [a, aaaa] {
        packet.additional_records.push(ResourceRecord::new(Name::new_unchecked(host), CLASS::IN, 9, rdata));
    }
    packet
}

fn bytes(packet: Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec_compressed().unwrap()
}

/// The service is at 127.0.0.1, and the system knows that without asking anybody.
fn good(question: &Packet<'_>) -> Vec<u8> {
    bytes(with_targets(reply(question), &[(1, "127.0.0.1", 7)]))
}

fn code(question: &Packet<'_>, code: RCODE) -> Vec<u8> {
    let mut packet = reply(question);
    *packet.rcode_mut() = code;
    bytes(packet)
}

fn patient(addresses: &[SocketAddr]) -> NameServers {
    NameServers { addresses: addresses.to_vec(), timeout: PATIENCE, attempts: 1 }
}

fn hasty(addresses: &[SocketAddr], attempts: u32) -> NameServers {
    NameServers { addresses: addresses.to_vec(), timeout: Duration::from_millis(300), attempts }
}

fn find(name_servers: &NameServers) -> Answer {
    find_service(NAME, name_servers, &Audience::new(Arc::new(Notes(mpsc::channel().0.into()))))
}

fn addresses(answer: &Answer) -> Vec<String> {
    answer.found.iter().map(|found| found.address.to_string()).collect()
}

/// Tells the test what it is told.
struct Notes(Mutex<Sender<Vec<Found>>>);

impl Listener for Notes {
    fn found(&self, source: Source, teller: &str, found: Vec<Found>) {
        assert_eq!((source, teller), (Source::Dns, "_nats-route._tcp.example:5"));
        let _ = self.0.lock().unwrap().send(found);
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        panic!("{text} is loaded")
    }
}

fn start_for_test(name_servers: NameServers) -> (Arc<Audience>, Receiver<Vec<Found>>) {
    let (sender, receiver) = mpsc::channel();
    let audience = Arc::new(Audience::new(Arc::new(Notes(sender.into()))));
    let name = format!("{NAME}:5").parse().unwrap();
    start_with(name, LONG, audience.clone(), move || name_servers.clone()).unwrap();
    (audience, receiver)
}

const NAME: &str = "_nats-route._tcp.example";

/// Others may use the machine, too.
const PATIENCE: Duration = Duration::from_secs(60);

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn all_hosts_of_a_service_are_told_with_their_ports_the_lowest_priority_first() {
    let (server, asked) = name_server(|_, _, question| {
        let targets = [(2, "127.0.0.2", 8), (1, "a.example", 7), (3, "b.example", 0), (1, "", 9)];
        vec![bytes(with_addresses(with_targets(reply(question), &targets), "a.example"))]
    });
    let answer = find(&patient(&[server]));
    assert_eq!(addresses(&answer), ["10.0.0.1:7", "[::1]:7", "127.0.0.2:8"]);
    assert_eq!((answer.failure, answer.ttl), (None, Some(Duration::ZERO)));
    assert_eq!(*asked.lock().unwrap(), [Via::Udp]);
}

#[test]
fn hosts_that_the_system_does_not_know_are_named_and_keep_nobody_from_the_others() {
    let (server, _) = name_server(|_, _, question| {
        vec![bytes(with_targets(reply(question), &[(1, "nobody.invalid", 7), (2, "localhost", 7)]))]
    });
    let answer = find(&patient(&[server]));
    assert!(!answer.found.is_empty());
    assert!(answer.failure.unwrap().starts_with("nobody.invalid: "));
}

#[test]
fn each_address_of_a_service_is_told_once_and_only_so_many() {
    let found = |count: usize| {
        let (server, _) = name_server(move |_, _, question| {
            let targets =
                [(1, "a.example", 7), (2, "a.example.", 7), (3, "b.example", 7), (4, "b.example", 8)];
            let mut packet = with_targets(reply(question), &targets);
            for number in 0..count {
                let a = RData::A(A { address: number as u32 / 2 });
                let host = Name::new_unchecked(["a.example", "b.example"][number / 2 % 2]);
                packet.additional_records.push(ResourceRecord::new(host, CLASS::IN, 9, a));
            }
            vec![bytes(packet)]
        });
        addresses(&find(&patient(&[server])))
    };
    assert_eq!(found(4), ["0.0.0.0:7", "0.0.0.1:7", "0.0.0.1:8"]);
    assert_eq!(found(2 * MAX_ADDRESSES).len(), MAX_ADDRESSES);
}

#[test]
fn a_service_that_is_expressly_nowhere_is_no_failure() {
    let (server, _) = name_server(|_, _, question| vec![bytes(with_targets(reply(question), &[(0, "", 7)]))]);
    assert_eq!(find(&patient(&[server])), Answer { ttl: Some(Duration::ZERO), ..Answer::default() });
}

#[test]
fn an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp() {
    let (server, asked) = name_server(|via, _, question| {
        let mut truncated = reply(question);
        truncated.set_flags(PacketFlag::TRUNCATION);
        match via {
            Via::Udp => vec![bytes(truncated)],
            Via::Tcp => vec![other_id(question), bytes(with_many(reply(question)))],
        }
    });
    assert_eq!(addresses(&find(&patient(&[server]))), ["127.0.0.1:7"]);
    assert_eq!(*asked.lock().unwrap(), [Via::Udp, Via::Tcp]);
}

/// Nearly 64 KiB.
fn with_many(mut packet: Packet<'_>) -> Packet<'_> {
    let many = ResourceRecord::new(Name::new_unchecked("a"), CLASS::IN, 9, RData::A(A { address: 1 }));
    packet.name_servers = vec![many; 4000];
    with_targets(packet, &[(1, "127.0.0.1", 7)])
}

fn other_id(question: &Packet<'_>) -> Vec<u8> {
    let mut packet = with_targets(reply(question), &[(1, "127.0.0.9", 9)]);
    packet.set_id(packet.id().wrapping_add(1));
    bytes(packet)
}

fn other_question(question: &Packet<'_>) -> Vec<u8> {
    let mut packet = with_targets(reply(question), &[(1, "127.0.0.9", 9)]);
    packet.questions[0].qname = Name::new_unchecked("_other._tcp.example");
    bytes(packet)
}

#[test]
fn what_answers_another_question_is_not_believed_and_the_answer_waited_for() {
    let (server, asked) = name_server(|_, _, question| {
        vec![other_id(question), other_question(question), Vec::new(), vec![0; 5], good(question)]
    });
    assert_eq!(addresses(&find(&patient(&[server]))), ["127.0.0.1:7"]);
    assert_eq!(*asked.lock().unwrap(), [Via::Udp]);
}

#[test]
fn an_answer_that_is_late_is_asked_for_again() {
    let (server, asked) = name_server(|_, number, question| match number {
        1 => {
            thread::sleep(Duration::from_millis(400));
            vec![bytes(with_targets(reply(question), &[(1, "127.0.0.9", 9)]))]
        }
        _ => vec![good(question)],
    });
    assert_eq!(addresses(&find(&hasty(&[server], 100))), ["127.0.0.1:7"]);
    assert!(asked.lock().unwrap().len() >= 2);
}

#[test]
fn who_answers_with_anything_else_for_ever_is_waited_for_only_so_long() {
    let (server, asked) = name_server(|via, _, question| {
        let mut truncated = reply(question);
        truncated.set_flags(PacketFlag::TRUNCATION);
        match via {
            Via::Udp => vec![bytes(truncated)],
            Via::Tcp => {
                thread::sleep(Duration::from_millis(200));
                vec![other_id(question); 2]
            }
        }
    });
    let failure = find(&hasty(&[server], 1)).failure.unwrap();
    assert!(failure.contains(&server.to_string()), "{failure}");
    assert!(asked.lock().unwrap().len() <= 2);
    let (server, asked) = name_server(|_, _, question| vec![other_id(question); 100]);
    let failure = find(&hasty(&[server], 2)).failure.unwrap();
    assert_eq!(failure, format!("the name server {server}: no answer within 300ms"));
    assert!(asked.lock().unwrap().len() <= 2);
}

#[test]
fn that_there_is_no_such_name_is_believed_at_once() {
    let (first, asked) = name_server(|_, _, question| vec![code(question, RCODE::NameError)]);
    let (second, not_asked) = name_server(|_, _, question| vec![good(question)]);
    let answer = find(&patient(&[first, second]));
    assert_eq!(answer, Answer::failed("there is no such name"));
    assert_eq!((asked.lock().unwrap().len(), not_asked.lock().unwrap().len()), (1, 0));
}

#[test]
fn where_one_name_server_fails_the_next_is_asked() {
    let (refusing, _) = name_server(|_, _, question| vec![code(question, RCODE::ServerFailure)]);
    let (confused, _) = name_server(|_, _, question| {
        let mut packet = good(question);
        packet.truncate(packet.len() - 1);
        vec![packet]
    });
    let (knowing, _) = name_server(|_, _, question| vec![good(question)]);
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut servers = NameServers { attempts: 2, ..patient(&[nobody, confused, refusing, knowing]) };
    assert_eq!(addresses(&find(&servers)), ["127.0.0.1:7"]);
    servers.addresses.pop();
    let failure = find(&servers).failure.unwrap();
    assert_eq!(failure, format!("the name server {refusing}: it answers ServerFailure"));
}

#[test]
fn a_service_is_asked_for_again_when_its_ttl_is_over() {
    let (server, asked) = name_server(|_, _, question| vec![good(question)]);
    let began = Instant::now();
    let (audience, told) = start_for_test(patient(&[server]));
    for _ in 0..3 {
        let found = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(found[0].address.to_string(), "127.0.0.1:7", "the port of the record counts");
    }
    audience.leave();
    assert!(began.elapsed() >= 2 * SHORTEST_PAUSE);
    assert!(asked.lock().unwrap().len() >= 3);
}

#[test]
fn whoever_leaves_waits_for_no_name_server_and_the_thread_asks_no_other() {
    let (asked, was_asked) = mpsc::channel();
    let (server, all_asked) = name_server(move |_, _, _| {
        asked.send(()).unwrap();
        Vec::new()
    });
    let (audience, told) =
        start_for_test(NameServers { timeout: Duration::from_secs(2), ..patient(&[server; 3]) });
    was_asked.recv_timeout(PATIENCE).unwrap();
    audience.leave();
    drop(audience);
    assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    assert!(all_asked.lock().unwrap().len() < 3);
}

#[test]
fn the_next_answer_is_asked_for_when_the_ttl_or_the_interval_is_over() {
    let pause = |ttl: Option<u64>, interval| {
        let answer = Answer { ttl: ttl.map(Duration::from_secs), ..Answer::default() };
        answer.pause(Duration::from_secs(interval))
    };
    assert_eq!(pause(Some(20), 30), Duration::from_secs(20));
    assert_eq!(pause(Some(0), 30), Duration::from_secs(1));
    assert_eq!(pause(Some(20), 1), Duration::from_secs(1));
    let about_30_s = Duration::from_secs(27)..=Duration::from_secs(30);
    assert!(about_30_s.contains(&pause(Some(600), 30)));
    assert!(about_30_s.contains(&pause(None, 30)));
}

#[test]
fn names_that_begin_with_an_underscore_are_services() {
    assert!(is_service(&"_nats-route._tcp.example:7".parse().unwrap()));
    assert!(!is_service(&"nats._tcp.example".parse().unwrap()));
}

fn hosts(name: &str) -> Result<Vec<(String, Option<u16>)>, String> {
    let answer = find_host(&name.parse().unwrap());
    let hosts = answer.found.into_iter().map(|found| (found.address.host, found.address.port)).collect();
    answer.failure.map_or(Ok(hosts), Err)
}

#[test]
fn a_name_without_a_port_has_that_of_routes() {
    assert_eq!(hosts("127.0.0.1").unwrap(), [("127.0.0.1".to_owned(), Some(6222))]);
    assert_eq!(hosts("[::1]:7").unwrap(), [("::1".to_owned(), Some(7))]);
}

#[test]
fn each_address_is_told_once() {
    let hosts = hosts("localhost:7").unwrap();
    let distinct: BTreeSet<_> = hosts.iter().collect();
    assert_eq!(distinct.len(), hosts.len());
    assert!(hosts.iter().any(|(host, _)| host == "127.0.0.1" || host == "::1"), "{hosts:?}");
}

#[test]
fn a_name_that_does_not_exist_is_an_error() {
    assert!(hosts("nobody.invalid").is_err());
}
