//! Looks for messages and announcements that get lost, or late, while a route with very much interest ends; `--help` tells
//! how.

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use onehop_tests::command_line;
use onehop_tests::mesh::wait_for_mesh;
use onehop_tests::peer::Identity;
use onehop_tests::raw::RawConn;
use onehop_tests::say;
use onehop_tests::server::{Kind, Options as ServerOptions, Server};

const USAGE: &str = "\
Two servers A and B in a mesh, and bystanders: each publishes on one server what the other subscribed to on the other. Round
after round a made-up server joins A, announces much interest, and hangs up. Counted is what of the bystanders' messages is
missing 7 s later, and what never comes; and whether what was subscribed to meanwhile is known to the other server at last.

Usage: stress [OPTIONS]

  --rounds N      how often (default 100)
  --interests N   announced by the route that ends (default 200000)
  --messages N    of each bystander (default 430)
  --wait S        how long the last message is waited for (default 60)
  --std           the runtime of blocking threads
  --help          print this

Exit status: 0; 1 if something never came; 2 if the arguments are wrong.
";

fn main() -> ExitCode {
    command_line::run(USAGE, Options::parse(env::args().skip(1)), |options| {
        if run(options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

struct Options {
    rounds: usize,
    interests: usize,
    messages: usize,
    wait: Duration,
    kind: Kind,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let wait = Duration::from_secs(60);
        let mut options = Self { rounds: 100, interests: 200_000, messages: 430, wait, kind: Kind::Onehop };
        while let Some(name) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
                command_line::number::<usize>(&value)
            };
            match &*name {
                "--rounds" => options.rounds = number()?,
                "--interests" => options.interests = number()?,
                "--messages" => options.messages = number()?,
                "--wait" => options.wait = Duration::from_secs(number()? as u64),
                "--std" => options.kind = Kind::OnehopStd,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Some(options))
    }
}

/// Plays all rounds; false if something never came.
fn run(options: &Options) -> bool {
    let Some(a) = Server::start(options.kind, ServerOptions::member("C", "A", &[])) else { return false };
    let joining = ServerOptions::member("C", "B", &[a.ports().route]);
    let Some(b) = Server::start(options.kind, joining) else { return false };
    wait_for_mesh(&[&a, &b], Duration::from_secs(10));
    let mut lost = 0;
    for number in 1..=options.rounds {
        let round = Round { number, options, a: &a, b: &b };
        let outcome = round.play();
        lost += outcome.never + outcome.unknown;
        say!("round {number}: {outcome}");
    }
    say!("{lost} never came in {} rounds", options.rounds);
    lost == 0
}

struct Round<'a> {
    number: usize,
    options: &'a Options,
    a: &'a Server,
    b: &'a Server,
}

struct Outcome {
    /// How long the interest took to be taken in.
    fed: Duration,
    /// Missing after [`LATE`], and at the end.
    late: usize,
    never: usize,
    /// When the last message came after the route was hung up.
    last: Duration,
    /// Subscriptions made meanwhile that the other server never heard of.
    unknown: usize,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fed, late, never, last, unknown } = self;
        write!(
            f,
            "fed in {fed:.1?}, {late} missing after {LATE:?}, {never} for ever, the last came after {last:.1?}, \
             {unknown} of {NEW} new subscriptions unknown"
        )
    }
}

impl Round<'_> {
    fn play(&self) -> Outcome {
        let ends = [(self.a, self.b, "ab"), (self.b, self.a, "ba"), (self.a, self.a, "aa")];
        let bystanders = ends.map(|(from, to, name)| self.bystander(from, to, name));
        let began = Instant::now();
        let route = self.feed();
        let fed = began.elapsed();
        drop(route);
        let hung_up = Instant::now();
        let (arrivals, unknown) = thread::scope(|scope| {
            let watched = bystanders.map(|bystander| scope.spawn(|| bystander.watch(self.options)));
            let unknown = self.subscribe_meanwhile();
            let arrivals = watched.map(|each| each.join().expect("a bystander watches"));
            (arrivals.concat(), unknown)
        });
        let wanted = 3 * self.options.messages;
        let in_time = arrivals.iter().filter(|at| at.duration_since(hung_up) <= LATE).count();
        Outcome {
            fed,
            late: wanted - in_time,
            never: wanted - arrivals.len(),
            last: arrivals.iter().max().map_or(Duration::ZERO, |at| at.duration_since(hung_up)),
            unknown,
        }
    }

    /// A publisher at one server, and a subscriber at the other that the first has heard of.
    fn bystander(&self, from: &Server, to: &Server, name: &str) -> Bystander {
        let subject = format!("{name}.{}", self.number);
        let (mut publisher, mut subscriber) = (client(from), client(to));
        subscriber.send(format!("SUB {subject} 1\r\n"));
        subscriber.ping();
        assert!(
            reaches(&mut publisher, &mut subscriber, &subject, TIMEOUT),
            "{subject} is not known in time"
        );
        Bystander { publisher, subscriber, subject }
    }

    /// A route that brought all its interest.
    fn feed(&self) -> RawConn {
        let mut route = RawConn::connect(self.a.ports().route);
        route.send(Identity::without_pool(&format!("X{}", self.number)).join(""));
        let lines = |from: usize| {
            let to = self.options.interests.min(from + LINES_AT_ONCE);
            (from..to).map(|each| format!("RS+ $G x.{each}.{}\r\n", self.number)).collect::<String>()
        };
        (0..self.options.interests).step_by(LINES_AT_ONCE).for_each(|from| route.send(lines(from)));
        route.send("PING\r\n");
        let answered =
            |frames: &[onehop_tests::frame::Frame]| frames.iter().any(|frame| frame.line == b"PONG");
        assert!(route.read_until(TIMEOUT, answered), "the interest is not taken in: {}", self.a.log());
        route
    }

    /// Subscribes at B while the route at A ends; how many of these subscriptions A never hears of.
    fn subscribe_meanwhile(&self) -> usize {
        let (mut publisher, mut subscriber) = (client(self.a), client(self.b));
        let subjects: Vec<_> = (0..NEW).map(|each| format!("new.{}.{each}", self.number)).collect();
        for (sid, subject) in subjects.iter().enumerate() {
            subscriber.send(format!("SUB {subject} {sid}\r\n"));
            thread::sleep(PAUSE);
        }
        let wait = self.options.wait;
        let is_unknown = |subject: &&String| !reaches(&mut publisher, &mut subscriber, subject, wait);
        subjects.iter().filter(is_unknown).count()
    }
}

struct Bystander {
    publisher: RawConn,
    subscriber: RawConn,
    subject: String,
}

impl Bystander {
    /// Publishes, and returns when each message came.
    fn watch(mut self, options: &Options) -> Vec<Instant> {
        let (subject, messages) = (&self.subject, options.messages);
        let mut publisher = self.publisher;
        let mut arrivals = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..messages {
                    publisher.send(format!("PUB {subject} 6\r\nm{number:05}\r\n"));
                    thread::sleep(PAUSE / 10);
                }
                publisher
            });
            let deadline = Instant::now() + options.wait;
            let mut seen = self.subscriber.frames().len();
            while arrivals.len() < messages && Instant::now() < deadline && !self.subscriber.is_closed() {
                self.subscriber.read_until(Duration::from_millis(100), |frames| frames.len() > seen);
                let new = &self.subscriber.frames()[seen..];
                // What told that the subscription is known may come late.
                let new_messages = new
                    .iter()
                    .filter(|frame| frame.payload.as_ref().is_some_and(|payload| payload.starts_with(b"m")));
                let now = Instant::now();
                arrivals.extend(new_messages.map(|_| now));
                seen = self.subscriber.frames().len();
            }
        });
        arrivals
    }
}

/// Whether what is published arrives, tried again and again.
fn reaches(publisher: &mut RawConn, subscriber: &mut RawConn, subject: &str, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    let arrived = |frames: &[onehop_tests::frame::Frame]| frames.iter().any(|frame| frame.is_on(subject));
    while Instant::now() < deadline {
        publisher.send(format!("PUB {subject} 5\r\nprobe\r\n"));
        if subscriber.read_until(Duration::from_millis(20), arrived) {
            return true;
        }
    }
    false
}

fn client(server: &Server) -> RawConn {
    let mut client = RawConn::connect(server.ports().client);
    client.send("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
    client
}

/// A message that comes later than this after the route was hung up is late.
const LATE: Duration = Duration::from_secs(7);

/// For what comes before a round begins.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How many subscriptions are made while the route ends, and how long after one another.
const NEW: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

const LINES_AT_ONCE: usize = 10_000;
