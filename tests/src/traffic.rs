//! Messages between clients of different members: what must hold in every mesh.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::frame::Frame;
use crate::raw::RawConn;
use crate::server::Server;

const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n";

/// How many messages show the order between a publisher and a subscriber.
const BURST: usize = 20;

/// Of bodies, from none to many blocks of a compressed stream.
const SIZES: [usize; 10] = [0, 1, 31, 32, 100, 5_000, 64 * 1024, 300_000, 900_000, 3];

/// A client of this server that understands headers and hears of missing responders, after its first `PONG`.
pub fn client(server: &Server) -> RawConn {
    let mut conn = RawConn::connect(server.ports().client);
    conn.send(CONNECT);
    conn.ping();
    conn
}

/// The client of a user, after it has said these lines.
pub fn user(server: &Server, name: &str, password: &str, lines: &str) -> RawConn {
    let mut conn = RawConn::connect(server.ports().client);
    let credentials = format!("\"user\":\"{name}\",\"pass\":\"{password}\",\"verbose\"");
    conn.send(CONNECT.replace("\"verbose\"", &credentials) + lines);
    conn.ping();
    conn
}

/// How often a client got a message on this subject that ends so, whatever headers it has.
pub fn count(client: &RawConn, subject: &str, text: &str) -> usize {
    payloads(client, subject).filter(|payload| payload.ends_with(text.as_bytes())).count()
}

/// From each of two servers to the other: bodies of many sizes, as they were and in their order.
///
/// # Panics
///
/// If one is lost, changed or out of order.
pub fn check_sizes(servers: &[Server; 2]) {
    for [from, to] in [[0, 1], [1, 0]].map(|pair| pair.map(|place: usize| &servers[place])) {
        let (mut publisher, mut listener) = (client(from), client(to));
        listener.send("SUB body.* 1\r\n");
        listener.ping();
        wait_for_interest(&mut publisher, &mut listener, "body.ready");
        let bodies = SIZES.map(body);
        for body in &bodies {
            publisher.send([format!("PUB body.x {}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat());
        }
        publisher.ping();
        let is_body = |frame: &&Frame| frame.is_on("body.x");
        listener.read_until(TIMEOUT, |frames| frames.iter().filter(is_body).count() >= bodies.len());
        assert!(
            payloads(&listener, "body.x").eq(&bodies),
            "what came from {} to {} differs",
            from.name(),
            to.name()
        );
    }
}

/// From every server to every server, itself included: messages in order, headers, a reply and a payload of `large` bytes.
///
/// # Panics
///
/// If anything is lost, changed, doubled or out of order.
pub fn check_every_pair(servers: &[Server], large: usize) {
    let mut subscribers: Vec<RawConn> =
        servers.iter().enumerate().map(|(to, server)| listen(server, to)).collect();
    for (from, server) in servers.iter().enumerate() {
        let mut publisher = client(server);
        publisher.send(format!("SUB inbox.{from}.* 9\r\n"));
        publisher.ping();
        for (to, subscriber) in subscribers.iter_mut().enumerate() {
            let pair = format!("from {} to {}", server.name(), servers[to].name());
            wait_for_interest(&mut publisher, subscriber, &format!("probe.{from}.{to}"));
            let before = subscriber.frames().len();
            publisher.send(messages(from, to, large));
            check_received(subscriber, before, from, to, large, &pair);
            check_answer(&mut publisher, subscriber, &format!("inbox.{from}.{to}"), &pair);
        }
    }
    // Whatever comes twice comes late: nothing more may arrive.
    for (to, subscriber) in subscribers.iter_mut().enumerate() {
        subscriber.ping();
        let wanted = servers.len() * (BURST + 3);
        let is_of_pair = |frame: &&Frame| frame.payload.is_some() && frame.args()[0].starts_with("pair.");
        let count = subscriber.frames().iter().filter(is_of_pair).count();
        assert_eq!(count, wanted, "messages at {}", servers[to].name());
    }
}

/// A queue group with one member at each server, and one more at the last: each of `count` messages is delivered once in the
/// whole cluster, and every member gets about the same number.
///
/// # Panics
///
/// If a message is lost or doubled, or a member gets less than half or more than twice its share.
pub fn check_queue_group(servers: &[Server], count: usize) {
    let last = servers.last().expect("a cluster has members");
    let mut members: Vec<RawConn> = servers.iter().chain([last]).map(client).collect();
    for member in &mut members {
        member.send("SUB work crew 1\r\nSUB ready 2\r\n");
        member.ping();
    }
    let mut publisher = client(&servers[0]);
    for member in &mut members {
        wait_for_interest(&mut publisher, member, "ready");
    }
    for number in 0..count {
        publisher.send(format!("PUB work 6\r\n{number:06}\r\n"));
    }
    publisher.ping();
    let got = collect(&mut members, count);
    let mut all: Vec<&Vec<u8>> = got.iter().flatten().collect();
    all.sort();
    let wanted: Vec<Vec<u8>> = (0..count).map(|number| format!("{number:06}").into_bytes()).collect();
    assert!(all.iter().copied().eq(&wanted), "{} of {count} messages, lost or doubled", all.len());
    let share = count / members.len();
    for payloads in &got {
        let counts: Vec<usize> = got.iter().map(Vec::len).collect();
        assert!(payloads.len() > share / 2 && payloads.len() < share * 2, "unevenly shared: {counts:?}");
        assert!(payloads.is_sorted(), "a member got messages of one publisher out of order");
    }
}

/// A request is answered with the notice that nobody responds until somebody does, at any member, and again afterwards.
///
/// # Panics
///
/// If a notice or an answer does not come within ten seconds.
pub fn check_no_responders(servers: &[Server]) {
    for (at, server) in servers.iter().enumerate() {
        let mut requester = client(&servers[0]);
        requester.send("SUB box 1\r\n");
        let service = format!("service.{at}");
        request_until(&mut requester, &service, "no notice without a responder", is_notice);
        let mut responder = client(server);
        responder.send(format!("SUB {service} 1\r\n"));
        responder.ping();
        let answered = |frame: &Frame| !is_notice(frame);
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| {
                let request = responder.expect(1, "MSG");
                responder.send(format!("PUB {} 6\r\nanswer\r\n", request.args()[2]));
                responder.ping();
            });
            request_until(&mut requester, &service, "no answer", answered);
            answering.join().expect("the responder has answered");
        });
        drop(responder);
        request_until(&mut requester, &service, "no notice after the responder left", is_notice);
    }
}

/// Publishes to `subject` again and again until the subscriber, which listens there, gets one.
///
/// # Panics
///
/// If none arrives within ten seconds.
pub fn wait_for_interest(publisher: &mut RawConn, subscriber: &mut RawConn, subject: &str) {
    let before = subscriber.frames().len();
    let deadline = Instant::now() + TIMEOUT;
    let arrived = |frames: &[Frame]| frames.iter().skip(before).any(|frame| frame.is_on(subject));
    while !subscriber.read_until(Duration::from_millis(20), arrived) {
        assert!(Instant::now() < deadline, "interest in {subject} never arrived");
        publisher.send(format!("PUB {subject} 0\r\n\r\n"));
    }
    publisher.ping();
}

/// What the server told this client of itself, each time.
pub fn infos(conn: &RawConn) -> impl DoubleEndedIterator<Item = Value> {
    conn.frames().iter().filter(|frame| frame.op() == "INFO").filter_map(Frame::json)
}

/// Of how many addresses the server told this client, each time.
pub fn known_counts(conn: &RawConn) -> Vec<usize> {
    infos(conn).map(|info| info["connect_urls"].as_array().map_or(0, Vec::len)).collect()
}

/// The addresses that the server last told this client of.
pub fn known_urls(conn: &RawConn) -> Vec<String> {
    let last = infos(conn).next_back().unwrap_or_default();
    let mut urls: Vec<String> = last["connect_urls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|url| url.as_str().map(str::to_owned))
        .collect();
    urls.sort();
    urls
}

fn listen(server: &Server, to: usize) -> RawConn {
    let mut conn = client(server);
    // The probe's interest travels behind the other's, so that one that arrives proves both.
    conn.send(format!("SUB pair.*.{to} 1\r\nSUB probe.*.{to} 2\r\n"));
    conn.ping();
    conn
}

fn messages(from: usize, to: usize, large: usize) -> Vec<u8> {
    let subject = format!("pair.{from}.{to}");
    let mut bytes = Vec::new();
    for number in 0..BURST {
        bytes.extend(format!("PUB {subject} 4\r\n{number:04}\r\n").bytes());
    }
    bytes.extend(format!("HPUB {subject} 24 28\r\nNATS/1.0\r\nFrom: {from:02} x\r\n\r\nhead\r\n").bytes());
    bytes.extend(format!("PUB {subject} inbox.{from}.{to} 5\r\nreply\r\n").bytes());
    bytes.extend(format!("PUB {subject} {large}\r\n").bytes());
    bytes.extend(large_payload(large));
    bytes.extend(b"\r\n");
    bytes
}

/// What can be compressed somewhat.
fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| b"{\"value\":0123456789}"[at * at % 20]).collect()
}

fn large_payload(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}

fn check_received(conn: &mut RawConn, before: usize, from: usize, to: usize, large: usize, pair: &str) {
    let subject = format!("pair.{from}.{to}");
    let mine = |frames: &[Frame]| -> Vec<Frame> {
        frames.iter().skip(before).filter(|frame| frame.is_on(&subject)).cloned().collect()
    };
    let complete = conn.read_until(TIMEOUT, |frames| mine(frames).len() >= BURST + 3);
    let got = mine(conn.frames());
    assert!(complete, "{pair}: only {got:?}");
    for (number, frame) in got[..BURST].iter().enumerate() {
        assert_eq!(frame.to_string(), format!("MSG {subject} 1 4 / {number:04}"), "{pair}");
    }
    let head = format!("HMSG {subject} 1 24 28 / NATS/1.0\\r\\nFrom: {from:02} x\\r\\n\\r\\nhead");
    assert_eq!(got[BURST].to_string(), head, "{pair}");
    assert_eq!(got[BURST + 1].to_string(), format!("MSG {subject} 1 inbox.{from}.{to} 5 / reply"), "{pair}");
    assert!(got[BURST + 2].payload == Some(large_payload(large)), "{pair}: the large payload changed");
}

fn check_answer(requester: &mut RawConn, responder: &mut RawConn, inbox: &str, pair: &str) {
    let before = requester.frames().len();
    // The request's server may not know of the inbox yet, as with any two clients that never met.
    let deadline = Instant::now() + TIMEOUT;
    let arrived = |frames: &[Frame]| frames.iter().skip(before).any(|frame| frame.is_on(inbox));
    while !requester.read_until(Duration::from_millis(50), arrived) {
        assert!(Instant::now() < deadline, "{pair}: no answer arrived at {inbox}");
        responder.send(format!("PUB {inbox} 2\r\nok\r\n"));
    }
}

fn is_notice(frame: &Frame) -> bool {
    frame.payload.as_ref().is_some_and(|payload| payload.starts_with(b"NATS/1.0 503"))
}

/// Sends requests until one gets the wanted outcome: interest needs a moment to cross the cluster.
fn request_until(conn: &mut RawConn, service: &str, failure: &str, wanted: impl Fn(&Frame) -> bool) {
    let before = conn.frames().len();
    let deadline = Instant::now() + TIMEOUT;
    let came = |frames: &[Frame]| frames.iter().skip(before).any(|frame| frame.is_on("box") && wanted(frame));
    while !conn.read_until(Duration::from_millis(50), came) {
        assert!(Instant::now() < deadline, "{failure} for {service}: {:?}", &conn.frames()[before..]);
        conn.send(format!("PUB {service} box 0\r\n\r\n"));
    }
}

/// Reads from all members until `count` messages to the queue have come, and a little longer for any that come twice.
fn collect(members: &mut [RawConn], count: usize) -> Vec<Vec<Vec<u8>>> {
    let deadline = Instant::now() + TIMEOUT;
    while members.iter().map(|member| payloads(member, "work").count()).sum::<usize>() < count
        && Instant::now() < deadline
    {
        members.iter_mut().for_each(|member| member.read_until_quiet(Duration::from_millis(10)));
    }
    members.iter_mut().for_each(RawConn::ping);
    members.iter().map(|member| payloads(member, "work").cloned().collect()).collect()
}

fn payloads<'a>(conn: &'a RawConn, subject: &str) -> impl Iterator<Item = &'a Vec<u8>> {
    conn.frames().iter().filter(move |frame| frame.is_on(subject)).filter_map(|frame| frame.payload.as_ref())
}
