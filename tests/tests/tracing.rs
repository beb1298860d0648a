//! Messages that are traced (wire.md 7.10): nats-server and onehop deliver them alike and say the same of them, each alone and
//! together in a cluster.

use std::time::Duration;

use onehop_tests::frame::Frame;
use onehop_tests::mask;
use onehop_tests::raw::RawConn;
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::traffic::wait_for_interest;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What was said of a message, by the server that said it, and how many copies each client got.
type Outcome = (Vec<(String, Vec<String>)>, [usize; 2]);

#[test]
fn traced_messages_go_where_those_of_nats_server_go_and_the_same_is_said_of_them() {
    let real = Kind::REFERENCE;
    let Some(expected) = outcomes(real, real) else { return };
    for (here, there) in
        [(Kind::Onehop, Kind::Onehop), (real, Kind::Onehop), (Kind::Onehop, real), (Kind::OnehopStd, real)]
    {
        let Some(found) = outcomes(here, there) else { return };
        for ((headers, expected), (_, found)) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{here} and {there} (left): {headers}");
        }
    }
}

/// `A` lets the service `open.*` be traced, `B` what it imports as `seen.>`.
const IMPORTS: &str = "server_name: alpha\naccounts {\n\
    A { users: [{user: a, password: p}]\n exports: [{service: \"q.*\"}, {service: \"open.*\"}, {stream: \"s.>\"}, {stream: \"seen.>\"}] }\n\
    B { users: [{user: b, password: p}]\n exports: [{service: \"mid.*\"}]\n\
    imports: [{service: {account: A, subject: \"q.*\"}, to: \"ask.*\"}, {service: {account: A, subject: \"open.*\"}},\n\
    {service: {account: A, subject: \"open.*\"}, to: \"mid.*\"}, {stream: {account: A, subject: \"s.>\"}, prefix: in},\n\
    {stream: {account: A, subject: \"seen.>\"}, prefix: in}] }\n\
    C { users: [{user: c, password: p}]\n imports: [{service: {account: B, subject: \"mid.*\"}, to: \"top.*\"}] }\n}\n";

#[test]
fn traces_of_what_other_accounts_import_end_where_these_do_not_allow_them() {
    let told = Kind::COMPARED.map(traces_of_imports);
    let [Some(expected), found @ ..] = told else { return };
    for (kind, found) in Kind::RUNTIMES.into_iter().zip(found) {
        let Some(found) = found else { continue };
        for ((what, expected), (_, found)) in expected.iter().zip(&found) {
            assert_eq!(found, expected, "{kind} (left): {what}");
        }
    }
}

/// What each traced message became: for its publisher, and in the accounts `A` and `B`.
fn traces_of_imports(kind: Kind) -> Option<Vec<(String, Vec<String>)>> {
    let server = Server::start(kind, Options::configured(IMPORTS))?;
    let user = |name: &str, lines: &str| {
        let mut client = RawConn::connect(server.ports().client);
        client.send(format!(
            "CONNECT {{\"user\":\"{name}\",\"pass\":\"p\",\"verbose\":false,\"headers\":true,\"no_responders\":true,\"name\":\"c\"}}\r\n{lines}"
        ));
        client.ping();
        client
    };
    let mut all = [
        user("a", "SUB events 9\r\nSUB q.* 1\r\nSUB open.* 2\r\n"),
        user("b", "SUB events 9\r\nSUB box 1\r\nSUB in.> 2\r\n"),
        user("c", "SUB events 9\r\nSUB box 1\r\n"),
    ];
    let mut outcomes = Vec::new();
    let published = [
        (1, "ask.1 box"),
        (1, "open.1 box"),
        (1, "none.1 box"),
        (0, "s.1"),
        (0, "seen.1"),
        (2, "top.1 box"),
        (0, "answer"),
    ];
    for (publisher, subject) in published {
        for only in ["", "Nats-Trace-Only: true\r\n"] {
            let block = format!("NATS/1.0\r\nNats-Trace-Dest: events\r\n{only}\r\n");
            let subject = match subject {
                "answer" => {
                    all[1].send("PUB open.1 box 1\r\n?\r\n");
                    all[1].ping();
                    all[0].ping();
                    all[0].frames().iter().filter_map(Frame::reply).next_back().expect("a request came")
                }
                _ => subject.to_owned(),
            };
            let seen = all.each_ref().map(|client| client.frames().len());
            all[publisher].send(format!(
                "HPUB {subject} {} {}\r\n{block}x\r\n",
                block.len(),
                block.len() + 1
            ));
            let is_told = |frames: &[Frame]| count(&frames[seen[publisher]..], "events") > 0;
            assert!(all[publisher].read_until(TIMEOUT, is_told), "{kind}: {subject} {only}");
            all.iter_mut().for_each(RawConn::ping);
            all[publisher].read_until_quiet(Duration::from_millis(50));
            let shown = all.iter().zip(seen).flat_map(|(client, seen)| &client.frames()[seen..]);
            let shown = shown.filter(|frame| frame.payload.is_some()).map(show);
            outcomes.push((format!("{subject} {only}"), shown.collect()));
        }
    }
    Some(outcomes)
}

/// A message as it came, or what a trace says.
fn show(frame: &Frame) -> String {
    match (&frame.payload, count(std::slice::from_ref(frame), "events")) {
        (Some(payload), 1) => {
            let text = read(payload).1.join(" ");
            String::from_utf8_lossy(&mask::replies(text.as_bytes())).into_owned()
        }
        _ => frame.to_string(),
    }
}

/// What becomes of a message with each of [`HEADERS`].
fn outcomes(here: Kind, there: Kind) -> Option<Vec<(&'static str, Outcome)>> {
    let first = Server::start(here, Options::member("C", "A", &[]))?;
    let second = Server::start(there, Options::member("C", "B", &[first.ports().route]))?;
    let subscriptions = "SUB work 1\r\nSUB work q 2\r\nSUB mark 3\r\n";
    let mut workers = [
        client(&first, subscriptions),
        client(&second, "SUB work 1\r\nSUB other q 2\r\nSUB mark 3\r\nSUB ready 4\r\n"),
    ];
    let mut publisher = client(&first, "SUB events 9\r\nSUB in 8\r\n");
    // It is the last that the far one wants.
    wait_for_interest(&mut publisher, &mut workers[1], "ready");
    wait_for_all(&mut publisher, &mut workers);
    let outcomes = HEADERS.iter().map(|headers| {
        let before = workers.each_ref().map(|worker| messages(worker, "work"));
        let seen = publisher.frames().len();
        let block = format!("NATS/1.0\r\n{headers}\r\n");
        let (header_len, total) = (block.len(), block.len() + 1);
        publisher.send(format!("HPUB work {header_len} {total}\r\n{block}x\r\n"));
        let servers = if headers.starts_with("Nats-Trace-Dest: events") { 2 } else { 0 };
        let told = |frames: &[Frame]| {
            frames.iter().skip(seen).filter(|frame| frame.payload.is_some()).count() >= servers
        };
        assert!(
            publisher.read_until(TIMEOUT, told),
            "{here} and {there}: {headers}: {:?}",
            publisher.frames()
        );
        wait_for_all(&mut publisher, &mut workers);
        // Nothing else is told.
        publisher.read_until_quiet(Duration::from_millis(100));
        let after = workers.each_ref().map(|worker| messages(worker, "work"));
        let copies = [after[0] - before[0], after[1] - before[1]];
        let mut told: Vec<_> = publisher.frames()[seen..]
            .iter()
            .filter_map(|frame| frame.payload.as_deref())
            .map(read)
            .collect();
        told.sort();
        (*headers, (told, copies))
    });
    Some(outcomes.collect())
}

fn client(server: &Server, lines: &str) -> RawConn {
    let mut client = RawConn::connect(server.ports().client);
    client.send(format!("CONNECT {{\"verbose\":false,\"headers\":true,\"name\":\"c\"}}\r\n{lines}"));
    client.ping();
    client
}

/// Until the workers have all that was published before.
fn wait_for_all(publisher: &mut RawConn, workers: &mut [RawConn]) {
    let marks: Vec<_> = workers.iter().map(|worker| messages(worker, "mark")).collect();
    publisher.send("PUB mark 0\r\n\r\n");
    for (worker, before) in workers.iter_mut().zip(marks) {
        let is_marked = |frames: &[Frame]| count(frames, "mark") > before;
        assert!(worker.read_until(TIMEOUT, is_marked), "{:?}", worker.frames());
    }
}

fn messages(client: &RawConn, subject: &str) -> usize {
    count(client.frames(), subject)
}

fn count(frames: &[Frame], subject: &str) -> usize {
    frames.iter().filter(|frame| frame.is_on(subject)).count()
}

/// The server that says something, what it says of the message, and each event, without what differs from run to run.
fn read(text: &[u8]) -> (String, Vec<String>) {
    let value: Value = serde_json::from_slice(text).expect("JSON");
    let events = value["events"].as_array().expect("a list").iter().map(|event| {
        let mut event = event.clone();
        let fields = event.as_object_mut().expect("an object");
        let is_of_client = !matches!(fields["type"].as_str(), Some("si" | "se"));
        assert!(fields.remove("ts").is_some() && fields.remove("cid").is_some() == is_of_client, "{value}");
        event.to_string()
    });
    let said = [value["request"].to_string(), value["hops"].to_string()];
    (value["server"]["name"].as_str().expect("a name").to_owned(), said.into_iter().chain(events).collect())
}

const HEADERS: [&str; 10] = [
    "Nats-Trace-Dest: events\r\n",
    "Nats-Trace-Dest: events\r\nNats-Trace-Only: true\r\n",
    "Nats-Trace-Dest: events\r\nNats-Trace-Only: ON\r\nA: b\r\nA: c\r\n",
    "Nats-Trace-Dest: events\r\nNats-Trace-Only: no\r\nNats-Trace-Hop: 7\r\n",
    "Nats-Trace-Dest: events\r\nNats-Trace-Dest: other\r\nNats-Trace-Only: 1\r\n",
    "Nats-Trace-Only: true\r\n",
    "nats-trace-dest: events\r\nnats-trace-only: true\r\n",
    "Nats-Trace-Dest: e.*\r\nNats-Trace-Only: true\r\n",
    "Nats-Trace-Dest: a b\r\n",
    "Nats-Trace-Dest: trace disabled\r\nNats-Trace-Only: true\r\n",
];
