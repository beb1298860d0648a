//! What messages cost a server in system calls, counted by `strace`. What is not there cannot be counted twice, so these
//! figures hold on every machine and under every load.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use onehop_tests::frame::Frame;
use onehop_tests::raw::RawConn;
use onehop_tests::real_server::not_run;
use onehop_tests::server::{Kind, Options, Server};
use onehop_tests::traffic::client;

const PATIENCE: Duration = Duration::from_secs(30);

/// How often each thing is done while somebody counts.
const ROUNDS: usize = 200;

/// So many calls may belong to no message: timers, and those that were interrupted when the counting began and ended.
const OTHERS: usize = 20;

#[test]
fn a_request_and_its_reply_take_at_most_eight_system_calls() {
    let costs = Cost::of_each_pair(|requester, responder| {
        pass(requester, "PUB service inbox 1\r\nx\r\n", responder, 1);
        pass(responder, "PUB inbox 1\r\ny\r\n", requester, 1);
    });
    expect("a request and its reply", &costs, 8);
}

#[test]
fn a_batch_from_one_client_to_another_takes_at_most_three_system_calls() {
    const MESSAGES: usize = 64;
    let batch = "PUB service 16\r\n0123456789abcdef\r\n".repeat(MESSAGES);
    let costs = Cost::of_each_pair(|publisher, subscriber| pass(publisher, &batch, subscriber, MESSAGES));
    expect("a batch", &costs, 3);
}

/// How many system calls of each kind a server took for all rounds.
#[derive(Debug)]
struct Cost {
    kind: Kind,
    calls: BTreeMap<String, usize>,
}

impl Cost {
    /// Lets clients of both servers do something again and again. Of three clients of onehop two share a worker, if there are two
    /// workers, and two do not.
    fn of_each_pair(round: impl Fn(&mut RawConn, &mut RawConn)) -> Vec<Self> {
        let mut costs = Vec::new();
        for (kind, pairs) in
            [(Kind::Onehop, [(0, 1), (1, 2), (0, 2)].as_slice()), (Kind::REFERENCE, &[(0, 1)])]
        {
            let Some(server) = Server::start(kind, Options::default()) else { continue };
            let mut clients = [(); 3].map(|()| client(&server));
            for &(one, other) in pairs {
                let Ok([one, other]) = clients.get_disjoint_mut([one, other]) else { unreachable!() };
                one.send("SUB inbox 1\r\n");
                other.send("SUB service 2\r\n");
                [&mut *one, &mut *other].into_iter().for_each(RawConn::ping);
                round(one, other);
                let counting = match Counting::begin(&server) {
                    Ok(counting) => counting,
                    Err(why) => {
                        not_run(&format!("system calls are not counted: {why}"));
                        return Vec::new();
                    }
                };
                (0..ROUNDS).for_each(|_| round(one, other));
                costs.push(Self { kind, calls: counting.end() });
                one.send("UNSUB 1\r\n");
                other.send("UNSUB 2\r\n");
                [one, other].into_iter().for_each(RawConn::ping);
            }
        }
        costs
    }

    fn total(&self) -> usize {
        self.calls.values().sum()
    }
}

/// Says what it costs each server, and expects of onehop no more than that.
fn expect(what: &str, costs: &[Cost], most: usize) {
    for cost in costs {
        let each = cost.total() as f64 / ROUNDS as f64;
        println!("{what} takes {} {each:.1} system calls: {:?} in {ROUNDS}", cost.kind, cost.calls);
    }
    for cost in costs.iter().filter(|cost| cost.kind == Kind::Onehop) {
        assert!(cost.total() >= 2 * ROUNDS, "not all was counted: {cost:?}");
        assert!(cost.total() <= most * ROUNDS + OTHERS, "{what}: {cost:?}");
    }
}

/// Lets one client send something, and waits until the other got so many messages.
fn pass(from: &mut RawConn, sent: &str, to: &mut RawConn, messages: usize) {
    let before = to.frames().len();
    from.send(sent);
    let is_message = |frame: &&Frame| frame.op() == "MSG";
    let all_came =
        to.read_until(PATIENCE, |frames| frames[before..].iter().filter(is_message).count() >= messages);
    assert!(all_came, "not all messages came");
}

/// A `strace` that looks at a server.
struct Counting {
    strace: Child,
    /// Kept open as long as it may say something.
    _said: BufReader<ChildStderr>,
    table: PathBuf,
}

impl Counting {
    fn begin(server: &Server) -> Result<Self, String> {
        let table = std::env::temp_dir().join(format!("onehop-strace-{}", server.pid()));
        let pid = server.pid().to_string();
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-p", &pid, "-o"])
            .arg(&table)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|fault| format!("strace cannot be started: {fault}"))?;
        let mut said = BufReader::new(strace.stderr.take().expect("it was piped"));
        let mut line = String::new();
        // It says so when it has all threads.
        if !matches!(said.read_line(&mut line), Ok(1..)) || !line.contains("attached") {
            let _ = strace.kill();
            let _ = strace.wait();
            return Err(line.trim().to_owned());
        }
        Ok(Self { strace, _said: said, table })
    }

    fn end(mut self) -> BTreeMap<String, usize> {
        let pid = self.strace.id().to_string();
        let told = Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status();
        assert!(told.is_ok_and(|status| status.success()), "strace cannot be told to end");
        self.strace.wait().expect("it ends");
        let table = fs::read_to_string(&self.table).expect("it wrote a table");
        let _ = fs::remove_file(&self.table);
        table.lines().filter_map(row).collect()
    }
}

/// A call and how often it was made, of a line like `  0.00    0.000000           0       500           recvfrom`.
fn row(line: &str) -> Option<(String, usize)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (name, calls) = (*fields.last()?, fields.get(3)?.parse().ok()?);
    (name != "total").then(|| (name.to_owned(), calls))
}
