//! The other side of a route: a made-up server that says exactly what a test wants it to say.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::frame::Frame;
use crate::raw::RawConn;

/// What a made-up server says of itself in `CONNECT` and `INFO` (wire.md 2.4, 2.5).
#[derive(Clone, Debug)]
pub struct Identity {
    connect: Map<String, Value>,
    info: Map<String, Value>,
}

impl Identity {
    /// A server called `name` in the cluster `C`, with an id made of its name, that pools with one slot.
    ///
    /// Nobody listens at the address that it advertises.
    pub fn new(name: &str) -> Self {
        let id = server_id(name);
        let connect = json!({
            "echo": true, "verbose": false, "pedantic": false, "tls_required": false, "headers": true,
            "name": id, "cluster": "C", "lnoc": true, "ln": true
        });
        let info = json!({
            "server_id": id, "server_name": name, "version": "2.15.1", "proto": 2, "go": "go1.27.2",
            "host": "127.0.0.1", "port": 1, "headers": true, "max_payload": 1_048_576, "cluster": "C",
            "connect_urls": [format!("{}.example:4222", name.to_lowercase())], "compression": "off",
            "lnoc": true, "lnocu": true, "ln": true, "route_pool_size": 1
        });
        Self { connect: object(connect), info: object(info) }
    }

    /// The same without pooling and compression, as a 2.9 server speaks.
    pub fn without_pool(name: &str) -> Self {
        Self::new(name)
            .info("route_pool_size", Value::Null)
            .info("compression", Value::Null)
            .info("ln", Value::Null)
            .info("lnocu", Value::Null)
    }

    /// Sets a field of `CONNECT`; null removes it.
    pub fn connect(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.connect, key, value.into());
        self
    }

    /// Sets a field of `INFO`; null removes it.
    pub fn info(mut self, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.info, key, value.into());
        self
    }

    /// The slot and the size of the pool that this connection belongs to.
    pub fn slot(self, index: i64, size: i64) -> Self {
        self.info("route_pool_idx", index).info("route_pool_size", size)
    }

    /// The `CONNECT` line.
    pub fn connect_line(&self) -> String {
        format!("CONNECT {}\r\n", Value::Object(self.connect.clone()))
    }

    /// The `INFO` line.
    pub fn info_line(&self) -> String {
        format!("INFO {}\r\n", Value::Object(self.info.clone()))
    }

    /// What a dialer says to join, followed by `lines`.
    pub fn join(&self, lines: &str) -> String {
        format!("{}{}{lines}", self.connect_line(), self.info_line())
    }
}

/// A server id for a name: 56 characters, as real ones are.
pub fn server_id(name: &str) -> String {
    format!("{:A<56}", format!("N{}", name.to_uppercase()))
}

/// A made-up server that waits to be dialed.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    identity: Identity,
    answers_pings: bool,
}

/// What was said on one accepted connection, in the order in which it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// `$SYS` for the dedicated connection of that account, else the number of the slot, or `?` before it was named.
    pub label: String,
    /// `D>A` or `A>D`, and the line, normalised.
    pub lines: Vec<String>,
}

impl Acceptor {
    /// Listens on a random port of 127.0.0.1.
    pub fn bind(identity: Identity) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        Self { listener, identity: identity.info("port", port), answers_pings: true }
    }

    /// Never sends `PONG`, which stops a dialer's chain of pool connections (wire.md 2.3).
    pub fn without_pongs(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// The port to name in `--routes`.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("a listener has an address").port()
    }

    /// Accepts the next connection.
    ///
    /// # Panics
    ///
    /// If none comes within five seconds.
    pub fn accept(&self) -> RawConn {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(conn) = self.try_accept() {
                return conn;
            }
            assert!(Instant::now() < deadline, "nobody dialed port {}", self.port());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes part in every handshake that comes, until nothing new was said for `quiet`; conversations by label.
    pub fn converse(&self, quiet: Duration) -> Vec<Conversation> {
        let mut talks: Vec<Talk> = Vec::new();
        let mut last_news = Instant::now();
        while last_news.elapsed() < quiet {
            if let Some(conn) = self.try_accept() {
                talks.push(Talk::new(conn));
                last_news = Instant::now();
            }
            for talk in &mut talks {
                if talk.listen_and_answer(&self.identity, self.answers_pings) {
                    last_news = Instant::now();
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut heard: Vec<Conversation> = talks.into_iter().map(|talk| talk.said).collect();
        heard.sort_by(|one, other| one.label.cmp(&other.label));
        heard
    }

    /// Accepts the next connection, if there is one.
    pub fn try_accept(&self) -> Option<RawConn> {
        self.listener.set_nonblocking(true).ok()?;
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        Some(RawConn::new(stream))
    }
}

/// One conversation going on.
struct Talk {
    conn: RawConn,
    seen: usize,
    ended: bool,
    said: Conversation,
}

impl Talk {
    fn new(conn: RawConn) -> Self {
        Self { conn, seen: 0, ended: false, said: Conversation { label: "?".to_owned(), lines: Vec::new() } }
    }

    /// Reads what is there and answers it; whether anything was.
    fn listen_and_answer(&mut self, identity: &Identity, answers_pings: bool) -> bool {
        self.conn.read_until_quiet(Duration::from_millis(2));
        let news: Vec<Frame> = self.conn.frames()[self.seen..].to_vec();
        self.seen += news.len();
        for frame in &news {
            self.hear(frame, identity, answers_pings);
        }
        let just_ended = self.conn.is_closed() && !self.ended;
        if just_ended {
            self.ended = true;
            self.said.lines.push("D>A [closed]".to_owned());
        }
        !news.is_empty() || just_ended
    }

    fn hear(&mut self, frame: &Frame, identity: &Identity, answers_pings: bool) {
        if is_system_interest(frame) {
            return;
        }
        self.said.lines.push(format!("D>A {frame}"));
        match frame.op() {
            "CONNECT" => self.say(&identity.info_line()),
            "PING" if answers_pings => self.say("PONG\r\n"),
            "INFO" => self.said.label = label(frame),
            _ => {}
        }
    }

    fn say(&mut self, line: &str) {
        self.conn.send(line);
        let mut buffer = line.as_bytes().to_vec();
        let frame = Frame::take(&mut buffer).expect("a complete line is sent");
        self.said.lines.push(format!("A>D {frame}"));
    }
}

/// Whether the line is interest in the system account, of which a server may have more or less (wire.md 10.4).
pub fn is_system_interest(frame: &Frame) -> bool {
    frame.op() == "RS+" && frame.args().first().is_some_and(|word| word.starts_with("$SYS"))
}

fn label(info: &Frame) -> String {
    let info = info.json().unwrap_or_default();
    match info["route_account"].as_str() {
        Some(account) => account.to_owned(),
        None => info["route_pool_idx"].as_u64().unwrap_or(0).to_string(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn set(fields: &mut Map<String, Value>, key: &str, value: Value) {
    match value {
        Value::Null => drop(fields.remove(key)),
        value => drop(fields.insert(key.to_owned(), value)),
    }
}
