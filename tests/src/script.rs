//! Scripts of raw bytes, run against the reference server and against both runtimes, whose answers must be the same.
//!
//! A script names its connections by small numbers and opens each when it is first used. Answers are kept per connection,
//! in order, and compared byte for byte, except for the values in `INFO` that [`Frame`]'s display leaves out. The `INFO`
//! that greets each connection is compared only where a script asks for it: one wrong field in it would fail them all.
//!
//! With `ONEHOP_SHOW_TRANSCRIPTS` set, what the reference answers is printed, which is the quickest way to look it up.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::frame::Frame;
use crate::raw::{Cut, RawConn, count_pongs};
use crate::server::{Kind, Options, Server};

/// How long an answer that the script waits for may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long silence lasts before it counts as the end of an answer that no `PONG` marks.
const QUIET: Duration = Duration::from_millis(120);

/// Stands for the id of the server that a script talks to.
pub const SERVER_ID: &str = "@SERVER_ID@";

/// Stands for the reply of the `nth` message with a reply that a connection has got, counted from 1; the script waits for it.
pub fn reply_of(to: To, nth: usize) -> String {
    match to {
        To::Client(number) => format!("{REPLY}C:{number}:{nth}@"),
        To::Route(number) => format!("{REPLY}R:{number}:{nth}@"),
    }
}

/// How [`reply_of`] begins.
const REPLY: &str = "@REPLY:";

/// Which of a server's ports a connection goes to. The number tells connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// The client port.
    Client(u8),
    /// The route port.
    Route(u8),
}

#[derive(Clone, Debug)]
enum Step {
    /// Sends the bytes and a `PING` in one write, then reads up to its `PONG` or the end of the connection.
    Say(To, Vec<u8>),
    /// Sends the bytes alone, then reads until the server is quiet.
    Raw(To, Vec<u8>),
    /// Reads until the server closes, for at most this long.
    AwaitClose(To, Duration),
    /// Closes this side for writing, and waits for the server to close.
    Leave(To),
}

/// One script with its name, which says what it shows.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    steps: Vec<Step>,
    any_order: bool,
    greeted: bool,
    taken_as: Option<(&'static str, &'static str)>,
    ignored: Vec<&'static str>,
    cuts: Vec<Cut>,
}

/// A script called `name`, without steps.
pub fn case(name: impl Into<String>) -> Case {
    // Keep-alive comes when it comes: a script that looks at it says so.
    let ignored = vec!["PING"];
    Case {
        name: name.into(),
        steps: Vec::new(),
        any_order: false,
        greeted: false,
        taken_as: None,
        ignored,
        cuts: vec![Cut::Whole, Cut::ByteByByte],
    }
}

impl Case {
    /// Client `number` sends bytes that leave its parser at the start of a line; the answers are awaited.
    pub fn client(self, number: u8, bytes: impl AsRef<[u8]>) -> Self {
        self.say(To::Client(number), bytes)
    }

    /// The same on the route port.
    pub fn route(self, number: u8, bytes: impl AsRef<[u8]>) -> Self {
        self.say(To::Route(number), bytes)
    }

    /// Sends bytes that leave the parser in the middle of something.
    pub fn raw(mut self, to: To, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Raw(to, bytes.as_ref().to_vec()));
        self
    }

    /// Waits for the server to close.
    pub fn await_close(mut self, to: To, at_most: Duration) -> Self {
        self.steps.push(Step::AwaitClose(to, at_most));
        self
    }

    /// Closes a connection in an orderly way.
    pub fn leave(mut self, to: To) -> Self {
        self.steps.push(Step::Leave(to));
        self
    }

    /// The order of what a connection receives is left to the server.
    pub fn in_any_order(mut self) -> Self {
        self.any_order = true;
        self
    }

    /// The `INFO` that greets each connection is part of what is compared.
    pub fn with_greeting(mut self) -> Self {
        self.greeted = true;
        self
    }

    /// `PING` from the server is part of what is compared.
    pub fn with_keep_alive(mut self) -> Self {
        self.ignored.clear();
        self
    }

    /// Lines that begin with `one` count as if they began with `other`: the choice is left to the server.
    pub fn taking(mut self, one: &'static str, other: &'static str) -> Self {
        self.taken_as = Some((one, other));
        self
    }

    /// Lines that begin with `prefix` are not compared.
    pub fn ignoring(mut self, prefix: &'static str) -> Self {
        self.ignored.push(prefix);
        self
    }

    /// Runs only with whole writes: byte by byte it would take too long, or mean something else.
    pub fn whole_only(mut self) -> Self {
        self.cuts = vec![Cut::Whole];
        self
    }

    fn say(mut self, to: To, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Say(to, bytes.as_ref().to_vec()));
        self
    }
}

/// Runs every script against the reference and both runtimes, started with the same options, and reports all differences at
/// once.
///
/// # Panics
///
/// If an answer differs, or the reference itself leaves a script unanswered (then the script is wrong).
pub fn compare(options: &Options, cases: &[Case]) {
    let Some(reference) = Server::start(Kind::REFERENCE, options.clone()) else { return };
    let expected: Vec<Transcript> = runs(cases).map(|(case, cut)| answers(case, cut, &reference)).collect();
    drop(reference);
    let started = Kind::RUNTIMES.map(|kind| Server::start(kind, options.clone()));
    let servers: Vec<Server> = started.into_iter().flatten().collect();
    let differences: String = std::thread::scope(|scope| {
        let expected = &expected[..];
        let compare = |tested| scope.spawn(move || differences(tested, cases, expected));
        let compared: Vec<_> = servers.iter().map(compare).collect();
        compared.into_iter().map(|differences| differences.join().expect("the comparison ends")).collect()
    });
    println!("{} runs of {} scripts compared", expected.len(), cases.len());
    assert!(differences.is_empty(), "(- expected, + found)\n{differences}");
}

/// Every script with every cutting that it is sent in.
fn runs(cases: &[Case]) -> impl Iterator<Item = (&Case, Cut)> {
    cases.iter().flat_map(|case| case.cuts.iter().map(move |&cut| (case, cut)))
}

/// What the reference answers.
fn answers(case: &Case, cut: Cut, reference: &Server) -> Transcript {
    let expected = run(case, cut, reference, None);
    assert!(!expected.unanswered, "script {:?} gets no answer: {:#?}", case.name, expected.heard);
    show(case, &expected);
    expected
}

/// Where a server answers otherwise than expected; empty if nowhere.
fn differences(tested: &Server, cases: &[Case], expected: &[Transcript]) -> String {
    let (mut differences, mut failed) = (String::new(), 0);
    let mut last = ("", String::new());
    for ((case, cut), expected) in runs(cases).zip(expected) {
        let found = run(case, cut, tested, Some(expected));
        if found.heard == expected.heard {
            continue;
        }
        failed += 1;
        let described = (case.name.as_str(), describe(case, expected, &found));
        match described == last {
            true => differences.push_str("  (the same byte by byte)\n"),
            false => drop(write!(differences, "\n=== {} ({cut:?})\n{}", case.name, described.1)),
        }
        last = described;
    }
    if failed > 0 {
        differences
            .insert_str(0, &format!("{}: {failed} of {} runs differ\n", tested.kind(), expected.len()));
    }
    differences
}

/// What each connection heard, and whether it was closed.
struct Transcript {
    heard: BTreeMap<To, Vec<String>>,
    unanswered: bool,
}

struct Run<'a> {
    case: &'a Case,
    cut: Cut,
    server: &'a Server,
    conns: BTreeMap<To, RawConn>,
    unanswered: bool,
    server_id: String,
}

fn run(case: &Case, cut: Cut, server: &Server, expected: Option<&Transcript>) -> Transcript {
    let mut run =
        Run { case, cut, server, conns: BTreeMap::new(), unanswered: false, server_id: String::new() };
    if case.steps.iter().any(|step| matches!(step, Step::Say(_, bytes) if find(bytes, SERVER_ID).is_some())) {
        let page = server.page("/varz");
        run.server_id = page["server_id"].as_str().unwrap_or_default().to_owned();
    }
    for step in &case.steps {
        run.step(step);
    }
    run.finish(expected)
}

impl Run<'_> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Say(to, bytes) => {
                self.say(*to, bytes);
            }
            Step::Raw(to, bytes) => {
                let cut = self.cut;
                let bytes = self.with_replies(bytes.clone());
                let conn = self.conn(*to);
                conn.send_cut(&bytes, cut);
                conn.read_until_quiet(QUIET);
            }
            Step::AwaitClose(to, at_most) => {
                let closed = self.conn(*to).read_until_closed(*at_most);
                self.unanswered |= !closed;
            }
            Step::Leave(to) => {
                let conn = self.conn(*to);
                conn.finish();
                let closed = conn.read_until_closed(ANSWER_TIMEOUT);
                self.unanswered |= !closed;
                self.settle(1);
            }
        }
    }

    fn say(&mut self, to: To, bytes: &[u8]) {
        let cut = self.cut;
        let bytes = self.with_replies(self.with_server_id(bytes));
        let conn = self.conn(to);
        let due = count_pongs(conn.frames()) + count_pings(&bytes) + 1;
        conn.send_cut(&[&bytes[..], b"PING\r\n"].concat(), cut);
        let answered = conn.read_until(ANSWER_TIMEOUT, |frames| count_pongs(frames) >= due);
        let closed = conn.is_closed();
        self.unanswered |= !answered && !closed;
    }

    fn with_server_id(&self, bytes: &[u8]) -> Vec<u8> {
        match find(bytes, SERVER_ID) {
            Some(at) => [&bytes[..at], self.server_id.as_bytes(), &bytes[at + SERVER_ID.len()..]].concat(),
            None => bytes.to_vec(),
        }
    }

    /// Puts in replies that have come for what stands for them, and waits where they have not.
    fn with_replies(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        while let Some(at) = find(&bytes, REPLY) {
            let name = at + REPLY.len();
            let end = name + find(&bytes[name..], "@").expect("what stands for a reply has an end");
            let reply = self.awaited_reply(&String::from_utf8_lossy(&bytes[name..end]));
            bytes.splice(at..=end, reply.into_bytes());
        }
        bytes
    }

    fn awaited_reply(&mut self, name: &str) -> String {
        let mut parts = name.split(':');
        let (port, number, nth) = (parts.next(), parts.next(), parts.next());
        let number = number.and_then(|number| number.parse().ok()).expect("connections have numbers");
        let nth: usize = nth.and_then(|nth| nth.parse().ok()).expect("replies are counted");
        let to = if port == Some("C") { To::Client(number) } else { To::Route(number) };
        let nth_reply = |frames: &[Frame]| frames.iter().filter_map(Frame::reply).nth(nth - 1);
        let conn = self.conn(to);
        conn.read_until(ANSWER_TIMEOUT, |frames| nth_reply(frames).is_some());
        let reply = nth_reply(conn.frames());
        self.unanswered |= reply.is_none();
        reply.unwrap_or_else(|| "no.reply.came".to_owned())
    }

    fn conn(&mut self, to: To) -> &mut RawConn {
        let ports = self.server.ports();
        self.conns.entry(to).or_insert_with(|| {
            let mut conn = RawConn::connect(match to {
                To::Client(_) => ports.client,
                To::Route(_) => ports.route,
            });
            conn.read_until(ANSWER_TIMEOUT, |frames| !frames.is_empty());
            conn
        })
    }

    /// Lets late answers arrive: what another connection caused may still be on its way.
    fn finish(mut self, expected: Option<&Transcript>) -> Transcript {
        let open: Vec<To> = self.conns.keys().copied().collect();
        for to in open {
            let ends_in_silence = self.case.steps.iter().rev().find_map(|step| match step {
                Step::Say(at, _) if *at == to => Some(false),
                Step::Raw(at, _) | Step::AwaitClose(at, _) | Step::Leave(at) if *at == to => Some(true),
                _ => None,
            });
            if !self.conns[&to].is_closed() && ends_in_silence == Some(false) {
                self.say(to, b"");
            }
            let deadline = Instant::now() + Duration::from_secs(2);
            while expected.is_some_and(|expected| self.lacks(to, expected)) && Instant::now() < deadline {
                self.conn(to).read_until_quiet(Duration::from_millis(20));
            }
        }
        let mut heard: BTreeMap<_, _> = self.conns.iter().map(|(&to, conn)| (to, self.shown(conn))).collect();
        if self.unanswered {
            heard
                .values_mut()
                .for_each(|lines| lines.push("[a PING or a close was not answered in time]".to_owned()));
        }
        for conn in self.conns.values_mut() {
            conn.finish();
            conn.read_until_closed(Duration::from_millis(500));
        }
        self.conns.clear();
        self.settle(0);
        Transcript { heard, unanswered: self.unanswered }
    }

    fn lacks(&self, to: To, expected: &Transcript) -> bool {
        let found = self.shown(&self.conns[&to]).len();
        !self.conns[&to].is_closed() && found < expected.heard.get(&to).map_or(0, Vec::len)
    }

    fn shown(&self, conn: &RawConn) -> Vec<String> {
        let mut lines: Vec<String> = conn.frames().iter().map(Frame::to_string).collect();
        if !self.case.greeted && lines.first().is_some_and(|line| line.starts_with("INFO")) {
            lines[0] = "INFO".to_owned();
        }
        lines.retain(|line| !self.case.ignored.iter().any(|prefix| line.starts_with(prefix)));
        if let Some((one, other)) = self.case.taken_as {
            for line in lines.iter_mut().filter(|line| line.starts_with(one)) {
                line.replace_range(..one.len(), other);
            }
        }
        sort_bulk_interest(&mut lines);
        if self.case.any_order {
            lines.sort();
        }
        if !conn.unparsed().is_empty() {
            lines.push(format!("[unfinished: {}]", conn.unparsed().escape_ascii()));
        }
        if conn.is_closed() {
            lines.push("[closed]".to_owned());
        }
        lines
    }

    /// Waits until the server has forgotten the connections that ended, so that they do not disturb what comes next.
    fn settle(&self, ended: usize) {
        let open = self.conns.values().filter(|conn| !conn.is_closed()).count();
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            let Ok(page) = self.server.monitor("/varz") else { return };
            let count = |key: &str| page[key].as_u64().unwrap_or(0) as usize;
            if count("connections") + count("routes") <= open {
                return;
            }
            std::thread::sleep(Duration::from_millis(if ended > 0 { 5 } else { 1 }));
        }
    }
}

/// The interest that a newcomer is told of right after INFO comes in any order (wire.md 2.7).
fn sort_bulk_interest(lines: &mut [String]) {
    let Some(info) = lines.iter().position(|line| line.starts_with("INFO")) else { return };
    let bulk = &mut lines[info + 1..];
    let end = bulk.iter().take_while(|line| line.starts_with("RS+")).count();
    bulk[..end].sort();
}

fn find(bytes: &[u8], wanted: &str) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes())
}

/// How many lines of a script are a `PING` of its own.
fn count_pings(bytes: &[u8]) -> usize {
    bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"PING"))
        .count()
}

/// Prints what the reference answers, for people who look it up.
fn show(case: &Case, expected: &Transcript) {
    if std::env::var_os("ONEHOP_SHOW_TRANSCRIPTS").is_none() {
        return;
    }
    println!("\n=== {}\n{}", case.name, script(case));
    for (to, lines) in &expected.heard {
        lines.iter().for_each(|line| println!("  {to:?} > {line}"));
    }
}

fn describe(case: &Case, expected: &Transcript, found: &Transcript) -> String {
    let mut text = script(case);
    for (to, wanted) in &expected.heard {
        let got = &found.heard[to];
        let mut unexpected: Vec<&String> = got.iter().collect();
        for line in wanted {
            match unexpected.iter().position(|other| *other == line) {
                Some(index) => drop(unexpected.remove(index)),
                None => drop(writeln!(text, "- {to:?} {line}")),
            }
        }
        for line in &unexpected {
            let _ = writeln!(text, "+ {to:?} {line}");
        }
        if unexpected.is_empty() && wanted.len() == got.len() {
            for (wanted, got) in wanted.iter().zip(got).filter(|(wanted, got)| wanted != got) {
                let _ = writeln!(text, "order: - {to:?} {wanted}\norder: + {to:?} {got}");
            }
        }
    }
    text
}

fn script(case: &Case) -> String {
    let mut text = String::new();
    for step in &case.steps {
        let _ = match step {
            Step::Say(to, bytes) | Step::Raw(to, bytes) => writeln!(text, "  {to:?} < {}", shorten(bytes)),
            Step::AwaitClose(to, _) => writeln!(text, "  {to:?} waits"),
            Step::Leave(to) => writeln!(text, "  {to:?} leaves"),
        };
    }
    text
}

/// Each line of what is sent, without the middle of long ones.
fn shorten(bytes: &[u8]) -> String {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let shown = line.escape_ascii().to_string();
        if shown.len() <= 160 { shown } else { format!("{}…{}", &shown[..100], &shown[shown.len() - 20..]) }
    });
    lines.take(40).collect()
}
