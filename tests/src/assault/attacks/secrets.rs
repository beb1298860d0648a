//! Secrets that a server is told, and whether its log shows them.

use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::assault::figure::Figure;
use crate::assault::victim::Arena;
use crate::mesh::wait_for_mesh;
use crate::peer::Identity;
use crate::raw::RawConn;
use crate::server::{Options, Server, reserve_port};

/// How long a server has to write down what it was told.
const SETTLE: Duration = Duration::from_millis(500);

/// Begins every secret. All are numbers, so that they can stand where a number is not expected.
const MARK: &str = "87654321";

/// What clients say instead of their handshake, with `@` where the secret stands.
const TOLD_BY_CLIENTS: &[(&str, &str)] = &[
    ("a password", r#"CONNECT {"user":"me","pass":"@"}"#),
    ("a number as password", r#"CONNECT {"user":"me","pass":@}"#),
    ("a password in a list", r#"CONNECT {"user":"me","pass":["@"]}"#),
    ("a password in an object", r#"CONNECT {"user":"me","pass":{"is":"@"}}"#),
    ("`password`", r#"CONNECT {"password":"@"}"#),
    ("`auth_token`", r#"CONNECT {"auth_token":"@"}"#),
    ("a number as `auth_token`", r#"CONNECT {"auth_token":@}"#),
    ("`token`", r#"CONNECT {"token":"@"}"#),
    ("`jwt`", r#"CONNECT {"jwt":"@"}"#),
    ("`nkey`", r#"CONNECT {"nkey":"@"}"#),
    ("`sig`", r#"CONNECT {"sig":"@"}"#),
    ("a number as `sig`", r#"CONNECT {"sig":@}"#),
    ("a nested password", r#"CONNECT {"options":{"pass":"@"}}"#),
    ("a password in a nested list", r#"CONNECT {"options":[{"auth_token":"@"}]}"#),
    ("`PASS`", r#"CONNECT {"PASS":"@"}"#),
    ("a key with an escape", r#"CONNECT {"p\u0061ss":"@"}"#),
    ("blanks around the colon", r#"CONNECT { "pass" : "@" }"#),
    ("the second of two passwords", r#"CONNECT {"pass":"x","pass":"@"}"#),
    ("a password after an escaped quote", r#"CONNECT {"name":"\"","pass":"@"}"#),
    ("a password with an escaped quote", r#"CONNECT {"pass":"\"@"}"#),
    ("JSON without an end", r#"CONNECT {"user":"me","pass":"@"#),
    ("no JSON", "CONNECT pass=@"),
    ("a small `connect`", r#"connect {"pass":"@"}"#),
    ("a tab after CONNECT", "CONNECT\t{\"pass\":\"@\"}"),
    ("a misspelt CONNECT", r#"CONECT {"pass":"@"}"#),
    ("a URL", r#"CONNECT {"url":"nats://me:@@127.0.0.1"}"#),
];

/// What routes say of themselves.
const TOLD_BY_ROUTES: &[(&str, &str)] = &[
    ("a password of a route", r#"CONNECT {"user":"me","pass":"@","name":"N","cluster":"C"}"#),
    ("a number as password of a route", r#"CONNECT {"user":"me","pass":@,"name":"N","cluster":"C"}"#),
];

/// A client whose password is a number, where a string is wanted.
pub fn number_as_password(arena: &Arena) -> io::Result<Vec<Figure>> {
    let server = arena.start(Options::configured("authorization { user: me, password: other }\n"))?;
    tell(server.ports().client, &format!("CONNECT {{\"user\":\"me\",\"pass\":{MARK}}}\r\n"));
    thread::sleep(SETTLE);
    Ok(vec![Figure::broken("lines with the secret", lines_with(MARK, &[&server]))])
}

/// Two servers that join with a password, both with `-V`.
pub fn traced_dial(arena: &Arena) -> io::Result<Vec<Figure>> {
    let port = reserve_port();
    let accepting = arena.start(guarded("accepts", &port.to_string(), "", &["-V"]))?;
    let routes = format!("routes: [\"nats://me:{MARK}@127.0.0.1:{port}\"]");
    let dialing = arena.start(guarded("dials", "-1", &routes, &["-V"]))?;
    wait_for_mesh(&[&accepting, &dialing], Duration::from_secs(10));
    thread::sleep(SETTLE);
    Ok(vec![Figure::broken("lines with the secret", lines_with(MARK, &[&accepting, &dialing]))])
}

/// Secrets in all places where there can be any, with `-DV`.
pub fn everywhere(arena: &Arena) -> io::Result<Vec<Figure>> {
    let leaks = leaks(arena)?;
    leaks.iter().for_each(|what| eprintln!("{} shows {what}", arena.kind));
    let planted = TOLD_BY_CLIENTS.len() + TOLD_BY_ROUTES.len() + 4;
    Ok(vec![Figure::effort("secrets planted", planted), Figure::broken("secrets shown", leaks.len())])
}

/// Which of the planted secrets are shown, in words.
pub fn leaks(arena: &Arena) -> io::Result<Vec<&'static str>> {
    let [own, dialed, gossiped, configured] = [900, 901, 902, 903].map(secret);
    let routes = format!("routes: [\"nats://me:{dialed}@127.0.0.1:9\"]");
    let options = guarded("guarded", "-1", &routes, &["-DV"]);
    let server =
        arena.start(Options { config: options.config.map(|text| text.replace(MARK, &own)), ..options })?;
    for (number, (_, line)) in told().enumerate() {
        let is_route = number >= TOLD_BY_CLIENTS.len();
        let port = if is_route { server.ports().route } else { server.ports().client };
        tell(port, &format!("{}\r\n", line.replacen('@', &secret(number), 1)));
    }
    let liar = Identity::new("liar").connect("user", "me").connect("pass", own.clone());
    let gossip = Identity::new("dead").info("ip", format!("nats-route://me:{gossiped}@127.0.0.1:9/"));
    tell(server.ports().route, &liar.join(&gossip.info_line()));
    thread::sleep(SETTLE);
    let shown = server.log() + &complaint_about(arena, &configured)?;
    let rest = [
        (own, "the server's own password"),
        (dialed, "the password of a dial"),
        (gossiped, "a password in gossip"),
        (configured, "a password in a faulty configuration"),
    ];
    let told = told().enumerate().map(|(number, (what, _))| (secret(number), *what));
    Ok(told.chain(rest).filter(|(secret, _)| shown.contains(secret)).map(|(_, what)| what).collect())
}

fn told() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    TOLD_BY_CLIENTS.iter().chain(TOLD_BY_ROUTES)
}

fn secret(number: usize) -> String {
    format!("{MARK}{number:03}7")
}

/// Says something on a connection of its own, and waits until it is answered or closed.
fn tell(port: u16, what: &str) {
    let mut connection = RawConn::connect(port);
    connection.send(what);
    connection.send("PING\r\n");
    connection.read_until(Duration::from_millis(300), |frames| {
        frames.iter().any(|frame| matches!(frame.op(), "PONG" | "-ERR"))
    });
}

/// A member whose clients and routes need the secret.
fn guarded(name: &str, port: &str, routes: &str, args: &[&str]) -> Options {
    let config = format!(
        "authorization {{ user: me, password: \"{MARK}\" }}\n\
         cluster {{ name: C, host: 127.0.0.1, port: {port}, {routes}\n\
         authorization {{ user: me, password: \"{MARK}\" }} }}\n"
    );
    Options::configured(&config).named(name).with(args)
}

/// What the program says of a configuration with a password and a fault.
fn complaint_about(arena: &Arena, password: &str) -> io::Result<String> {
    let file = std::env::temp_dir().join(format!("assault-{}.conf", std::process::id()));
    let config = format!("authorization {{ user: me, password: \"{password}\", nonsense: 1 }}\n");
    std::fs::write(&file, config)?;
    let binary = arena.kind.binary().ok_or_else(|| io::Error::other("the program is not here"))?;
    let output = Command::new(binary).arg("-t").arg("-c").arg(&file).output();
    let _ = std::fs::remove_file(&file);
    let output = output?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// How many lines of the logs show `secret`.
fn lines_with(secret: &str, servers: &[&Server]) -> usize {
    let count = |server: &&Server| server.log().lines().filter(|line| line.contains(secret)).count();
    servers.iter().map(count).sum()
}
