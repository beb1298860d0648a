//! Servers that say more than is true or more than anybody wants to know.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::interest::interested_member;
use crate::assault::figure::Figure;
use crate::assault::member::Member;
use crate::assault::victim::{Arena, Watch, clustered};
use crate::mesh::try_until;
use crate::peer::Identity;
use crate::server::{Options, Server};
use crate::traffic::client;

/// How long a member that restarts is out of reach.
const AWAY: Duration = Duration::from_secs(3);

/// How long it waits to be dialed.
const REDIAL_PATIENCE: Duration = Duration::from_secs(40);

/// How long answers may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// How long answers lie unread.
const UNREAD: Duration = Duration::from_secs(5);

/// How long gossip may go on after the last newcomer.
const AFTERMATH: Duration = Duration::from_secs(3);

/// A question for all routes with all their interest.
const QUESTION: &str = "{\"subscriptions\":true,\"subscriptions_detail\":true}";

/// One member names many servers that do not exist; then a real member, which joined before, restarts and waits to be dialed.
pub fn hearsay(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let mut real = arena.start(Options::member("C", "real", &[server.ports().route]))?;
    wait_for_routes(&real, Duration::from_secs(10));
    let watch = Watch::begin(&server)?;
    let count = arena.part(5_000);
    let mut liar = Member::join(server.ports().route, &Identity::new("liar"))?;
    for number in 0..count {
        liar.send(dead_server(number).info_line().as_bytes())?;
    }
    liar.fence()?;
    real.kill();
    thread::sleep(AWAY);
    real.forget_routes();
    real.restart();
    let redialed = wait_for_routes(&real, REDIAL_PATIENCE);
    watch.end(vec![
        Figure::effort("dead servers", count),
        Figure::done("redialed", usize::from(redialed.is_some())),
        Figure::wait("until redialed", redialed),
    ])
}

/// A member with much interest asks again and again for all that the server knows of its routes, and reads the answers.
pub fn routez(arena: &Arena) -> io::Result<Vec<Figure>> {
    ask_routez(arena, true)
}

/// The same by one that does not read.
pub fn routez_unread(arena: &Arena) -> io::Result<Vec<Figure>> {
    ask_routez(arena, false)
}

fn ask_routez(arena: &Arena, reads: bool) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let mut member = interested_member(&server, arena.part(50_000))?;
    member.send(b"RS+ $SYS in.1\r\n")?;
    member.fence()?;
    if !reads {
        member.stop_reading();
    }
    let watch = Watch::begin(&server)?;
    let questions = arena.part(60);
    let question = format!("RMSG $SYS $SYS.REQ.SERVER.PING.ROUTEZ in.1 {}\r\n{QUESTION}\r\n", QUESTION.len());
    member.send(question.repeat(questions).as_bytes())?;
    let patience = if reads { ANSWER_PATIENCE } else { arena.time(UNREAD) };
    let answers = member.wait_for_messages(questions as u64, patience);
    watch.end(vec![
        Figure::effort("questions", questions),
        Figure::effort("answers", answers as usize),
        Figure::effort("bytes of answers", member.received_bytes() as usize),
    ])
}

/// Many members whose INFO is as long as a line may be, each of which is to be told to all others.
pub fn long_info(arena: &Arena) -> io::Result<Vec<Figure>> {
    newcomers(arena, arena.part(300), |name| Identity::new(name).info("go", "x".repeat(60_000)))
}

/// Many members each of which has many addresses for clients.
pub fn many_urls(arena: &Arena) -> io::Result<Vec<Figure>> {
    newcomers(arena, arena.part(60), |name| {
        let urls: Vec<String> = (0..250).map(|number| format!("{name}-{number}.example:4222")).collect();
        Identity::new(name).info("connect_urls", urls)
    })
}

/// One member says again and again that its clients' addresses have changed; clients everywhere are to be told.
pub fn changing_urls(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let mut member = Member::join(server.ports().route, &Identity::new("fickle"))?;
    member.fence()?;
    let mut onlooker = client(&server);
    let watch = Watch::begin(&server)?;
    let changes = arena.part(5_000);
    for number in 0..changes {
        let urls: Vec<String> = (0..16).map(|host| format!("h{host}-{number}.example:4222")).collect();
        member.send(Identity::new("fickle").info("connect_urls", urls).info_line().as_bytes())?;
    }
    let _ = member.fence();
    onlooker.read_until_quiet(Duration::from_secs(1));
    let told = onlooker.frames().iter().filter(|frame| frame.op() == "INFO").count();
    watch.end(vec![Figure::effort("changes", changes), Figure::broken("told to each client", told - 1)])
}

/// Servers that connect to the route port and never present themselves.
pub fn silent_servers(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let watch = Watch::begin(&server)?;
    let count = arena.part(2_000);
    let address = (Ipv4Addr::LOCALHOST, server.ports().route);
    let silent = (0..count).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()?;
    let joined = Member::join(server.ports().route, &Identity::new("honest"))?.fence().is_ok();
    watch.end(vec![
        Figure::effort("silent servers", silent.len()),
        Figure::done("another joined", usize::from(joined)),
    ])
}

/// All of `count` members join as fast as they can, and read what they are told.
fn newcomers(arena: &Arena, count: usize, identity: impl Fn(&str) -> Identity) -> io::Result<Vec<Figure>> {
    let server = arena.start(clustered())?;
    let watch = Watch::begin(&server)?;
    let mut members = Vec::new();
    for number in 0..count {
        let name = format!("new{number}");
        members.push(Member::join(server.ports().route, &identity(&name))?);
    }
    let fenced = members.iter_mut().filter_map(|member| member.fence().ok()).count();
    thread::sleep(arena.time(AFTERMATH));
    let received: u64 = members.iter().map(Member::received_bytes).sum();
    watch.end(vec![
        Figure::effort("members", count),
        Figure::effort("joined", fenced),
        Figure::bytes("told to them", received),
    ])
}

/// A server that one may be told of and that refuses every dial.
fn dead_server(number: usize) -> Identity {
    let host = format!("127.1.{}.{}", number / 250, number % 250 + 1);
    let name = format!("dead{number}");
    Identity::new(&name).info("ip", format!("nats-route://{host}:9/")).info("host", host).info("port", 9)
}

/// Waits until the server has a route; how long that took.
fn wait_for_routes(server: &Server, patience: Duration) -> Option<Duration> {
    let started = Instant::now();
    let routes = || server.monitor("/routez").ok()?["num_routes"].as_u64();
    try_until(patience, || routes() > Some(0)).then(|| started.elapsed())
}
