use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Instant;

use onehop::discovery::{DamagedFile, Found};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Listener;

const ROUTE_PORT: u16 = 6222;
const CLIENT_PORT: u16 = 4222;

/// Others may use the machine, too.
const PATIENCE: Duration = Duration::from_secs(60);

fn fast() -> Limits {
    Limits { quick: Duration::from_millis(10), ..Limits::default() }
}

/// A web server that answers as the client of FRP does, with what it is given, until it is dropped.
struct Client {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Vec<u8>>,
    requests: Mutex<Vec<String>>,
    has_ended: Mutex<bool>,
}

impl Client {
    fn new(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer.into()),
            requests: Mutex::default(),
            has_ended: Mutex::default(),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if *serving.has_ended.lock().unwrap() {
                    return;
                }
                // Who asks may be gone.
                let _ = serving.serve(stream.unwrap());
            }
        });
        Self { port, shared }
    }

    fn set(&self, answer: impl Into<Vec<u8>>) {
        *self.shared.answer.lock().unwrap() = answer.into();
    }

    fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    fn settings(&self) -> Settings {
        let address = HostPort { host: "127.0.0.1".to_owned(), port: Some(self.port) };
        Settings { address, interval: Some(Duration::from_millis(10)), ..Settings::default() }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        self.requests.lock().unwrap().push(String::from_utf8(request).unwrap());
        let answer = self.answer.lock().unwrap().clone();
        stream.write_all(&answer)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        *self.shared.has_ended.lock().unwrap() = true;
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// An answer as Go's web server writes it.
fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn ok(body: &Value) -> String {
    http("200 OK", &body.to_string())
}

/// A tunnel as FRP 0.70 shows it.
fn tunnel(name: &str, local_port: u16, status: &str, remote: &str) -> Value {
    json!({
        "name": name, "type": "tcp", "status": status, "err": "", "local_addr": format!("127.0.0.1:{local_port}"),
        "plugin": "", "remote_addr": remote
    })
}

fn running(remote: &str) -> Value {
    json!({ "tcp": [tunnel("routes", ROUTE_PORT, "running", remote)] })
}

fn watch(settings: Settings, limits: Limits) -> Watch {
    Watch {
        interval: settings.interval.unwrap_or(PATIENCE),
        settings,
        limits,
        ports: [ROUTE_PORT, CLIENT_PORT],
        route: Held::default(),
        client: Held::default(),
        quick_looks: 0,
    }
}

/// What one look at this answer finds.
fn look_at(answer: impl Into<Vec<u8>>) -> ReachedAt {
    let client = Client::new(answer);
    watch(client.settings(), fast()).look()
}

fn shown(address: &Option<HostPort>) -> Option<String> {
    address.as_ref().map(HostPort::to_string)
}

fn quote(text: &str) -> String {
    watch(Settings::default(), fast()).quote(text)
}

/// By which address others reach the route port, by these tunnels of TCP.
fn route(tunnels: &[Value]) -> Result<String, String> {
    let body = json!({ "tcp": tunnels }).to_string();
    let tunnels = status::read(body.as_bytes()).unwrap();
    status::leading_to(&tunnels, ROUTE_PORT, None, &quote).map(|address| address.to_string())
}

#[test]
fn a_running_tunnel_to_a_port_says_where_that_is_reached() {
    let tunnels = json!({ "tcp": [
        tunnel("clients", CLIENT_PORT, "running", "frp.example:4001"),
        tunnel("other", 80, "running", "frp.example:80"),
        tunnel("routes", ROUTE_PORT, "running", "frp.example:6001"),
    ] });
    let found = look_at(ok(&tunnels));
    assert_eq!(shown(&found.route).as_deref(), Some("frp.example:6001"));
    assert_eq!(shown(&found.client).as_deref(), Some("frp.example:4001"));
    assert_eq!(found.failure, None);
    let mut stored = running("frp.example:6001");
    stored["tcp"][0]["source"] = "store".into();
    stored["tcp"][0]["local_addr"] = "[::1]:6222".into();
    assert_eq!(look_at(ok(&stored)).failure, None, "as it is with a store of tunnels, and by IPv6");
    assert_eq!(
        look_at(ok(&running("frp.example:6001"))).client,
        None,
        "not everybody wants clients by a tunnel"
    );
}

#[test]
fn it_is_asked_for_one_page_in_the_name_of_whoever_is_configured() {
    let client = Client::new(ok(&running("frp.example:6001")));
    let named = Settings { user: "admin".into(), password: "s3cret:x".into(), ..client.settings() };
    watch(named, fast()).look();
    watch(client.settings(), fast()).look();
    let requests = client.requests();
    let host = format!("Host: 127.0.0.1:{}\r\n", client.port);
    for request in &requests {
        assert!(request.starts_with("GET /api/status HTTP/1.1\r\n") && request.contains(&host), "{request}");
    }
    assert!(requests[0].contains("\r\nAuthorization: Basic YWRtaW46czNjcmV0Ong=\r\n"), "{}", requests[0]);
    assert!(!requests[1].contains("Authorization"), "{}", requests[1]);
}

#[test]
fn a_tunnel_in_any_other_state_leads_nowhere_and_its_error_is_told() {
    for state in ["new", "wait start", "start error", "check failed", "closed", ""] {
        // Without a port where it never was running.
        for remote in ["frp.example:6001", "frp.example"] {
            let failed = route(&[tunnel("r", ROUTE_PORT, state, remote)]).unwrap_err();
            assert_eq!(failed, format!("the tunnel \"r\" to port 6222 is not running: {state:?}"));
        }
    }
    let mut refused = tunnel("r", ROUTE_PORT, "start error", "");
    refused["err"] = "port already used\nline".into();
    let failed = route(&[refused]).unwrap_err();
    assert_eq!(
        failed,
        "the tunnel \"r\" to port 6222 is not running: \"start error\": \"port already used\\nline\""
    );
}

#[test]
fn only_a_tunnel_of_tcp_to_the_very_port_leads_to_it() {
    let none = "no tcp tunnel leads to port 6222";
    let mut by_plugin = tunnel("p", ROUTE_PORT, "running", "frp.example:1");
    by_plugin["plugin"] = "socks5".into();
    let mut nowhere = tunnel("n", ROUTE_PORT, "running", "frp.example:1");
    for (address, is_there) in [
        ("", false),
        ("6222", false),
        ("a:b", false),
        ("a:62220", false),
        ("a:62221", false),
        ("a:6222", true),
    ] {
        nowhere["local_addr"] = address.into();
        assert_eq!(route(&[nowhere.clone()]).is_ok(), is_there, "{address}");
    }
    assert_eq!(route(&[by_plugin, tunnel("o", 6223, "running", "frp.example:1")]).unwrap_err(), none);
    assert_eq!(route(&[]).unwrap_err(), none);
    let to_route = |kind: &str| json!({ kind: [tunnel("x", ROUTE_PORT, "running", "frp.example:1")] });
    for kind in ["udp", "http", "https", "stcp", "xtcp", "sudp", "tcpmux"] {
        assert_eq!(look_at(ok(&to_route(kind))).failure.as_deref(), Some(none), "{kind}");
    }
    for body in ["{}", r#"{"tcp":null}"#, r#"{"tcp":[]}"#] {
        assert_eq!(look_at(http("200 OK", body)).failure.as_deref(), Some(none), "{body}");
    }
}

#[test]
fn addresses_of_all_forms_are_read_and_those_where_nobody_is_are_not_told() {
    let at = |remote: &str| route(&[tunnel("r", ROUTE_PORT, "running", remote)]);
    for (remote, expected) in [
        ("203.0.113.7:6000", "203.0.113.7:6000"),
        ("Frp.Example:6000", "frp.example:6000"),
        ("2001:db8::7:6000", "[2001:db8::7]:6000"),
        ("[2001:db8::7]:6000", "[2001:db8::7]:6000"),
        ("::1:6000", "[::1]:6000"),
        ("127.0.0.1:1", "127.0.0.1:1"),
    ] {
        assert_eq!(at(remote).as_deref(), Ok(expected), "{remote}");
    }
    let nobody = |remote: &str| {
        format!(
            "the tunnel \"r\" to port 6222 begins at {remote:?}, where nobody can be reached: the FRP client needs a \
             serverAddr that others can connect to"
        )
    };
    for remote in [
        "0.0.0.0:6000",
        ":::6000",
        "[::]:6000",
        "224.0.0.1:6000",
        ":6000",
        "6000",
        "frp.example",
        "frp.example:0",
        "frp.example:65536",
        "frp.example:-1",
        "a b:6000",
        "a\r\nb:6000",
        "fe80::1%eth0:6000",
        "2001:db8:6000",
    ] {
        assert_eq!(at(remote), Err(nobody(remote)));
    }
    assert_eq!(at(""), Err("the tunnel \"r\" to port 6222 is running and has no address".to_owned()));
}

#[test]
fn of_several_tunnels_the_known_one_stays_and_else_those_to_this_host_come_first_by_name() {
    let mut elsewhere = tunnel("a", ROUTE_PORT, "running", "frp.example:1");
    elsewhere["local_addr"] = "192.168.0.9:6222".into();
    let second = tunnel("c", ROUTE_PORT, "running", "frp.example:3");
    let first = tunnel("b", ROUTE_PORT, "running", "frp.example:2");
    let down = tunnel("aa", ROUTE_PORT, "start error", "");
    let all = [elsewhere.clone(), second, down.clone(), first];
    assert_eq!(route(&all).as_deref(), Ok("frp.example:2"));
    assert_eq!(route(&[down, elsewhere]).as_deref(), Ok("frp.example:1"), "rather than none");
    let tunnels = status::read(json!({ "tcp": all }).to_string().as_bytes()).unwrap();
    for (known, expected) in [(3, 3), (1, 1), (9, 2)] {
        let at = |port| HostPort { host: "frp.example".to_owned(), port: Some(port) };
        assert_eq!(status::leading_to(&tunnels, ROUTE_PORT, Some(&at(known)), &quote), Ok(at(expected)));
    }
}

#[test]
fn whatever_else_is_answered_is_a_failure_that_is_told() {
    let client = Client::new("");
    let cannot = |why: &str| Some(format!("cannot ask 127.0.0.1:{}: {why}", client.port));
    let other_kind = "the answer is JSON of another kind than FRP's";
    let no_http = "the answer is no HTTP";
    let cut = "the answer ends too early";
    for (answer, why) in [
        (http("401 Unauthorized", "Unauthorized\n"), "it wants another user or password (401)"),
        (http("404 Not Found", "404 page not found\n"), "it has no such page (404), so it is none of FRP"),
        (http("302 Found", ""), "it answers 302"),
        (http("500 Internal Server Error", ""), "it answers 500"),
        (http("200 OK", ""), "the answer is no JSON"),
        (http("200 OK", "<html>"), "the answer is no JSON"),
        (http("200 OK", "{\"tcp\":["), "the answer is no JSON"),
        (http("200 OK", "[]"), other_kind),
        (http("200 OK", "7"), other_kind),
        (http("200 OK", "{\"tcp\":{}}"), other_kind),
        (http("200 OK", "{\"tcp\":[{\"name\":7}]}"), other_kind),
        (String::new(), "no answer"),
        ("HTTP/1.1 200 OK\r\n".to_owned(), cut),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}".to_owned(), cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n".to_owned(), cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n".to_owned(), no_http),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(), no_http),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(), no_http),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(), no_http),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), no_http),
    ] {
        client.set(answer.clone());
        let found = watch(client.settings(), fast()).look();
        assert_eq!(found, ReachedAt { failure: cannot(why), ..ReachedAt::default() }, "{answer}");
    }
    let nobody = Settings { address: "127.0.0.1:1".parse().unwrap(), ..Settings::default() };
    let failure = watch(nobody, fast()).look().failure.unwrap();
    assert!(failure.starts_with("cannot ask 127.0.0.1:1: "), "{failure}");
}

#[test]
fn an_answer_comes_in_chunks_or_ends_with_the_connection_as_well() {
    let body = running("frp.example:6001").to_string();
    let (start, rest) = body.split_at(10);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{:x}\r\n{start}\r\n{:X};x=y\r\n{rest}\r\n0\r\n\r\n",
        start.len(),
        rest.len()
    );
    for answer in [chunked, format!("HTTP/1.0 200 OK\r\n\r\n{body}")] {
        assert_eq!(shown(&look_at(answer).route).as_deref(), Some("frp.example:6001"));
    }
}

#[test]
fn an_answer_is_read_as_far_as_the_limit_and_no_further() {
    let mut body = running("frp.example:6001");
    body["http"] = "x".repeat(MAX_FRP_ANSWER_BYTES - 1024).into();
    assert_eq!(look_at(ok(&body)).failure, None);
    body["http"] = "x".repeat(MAX_FRP_ANSWER_BYTES).into();
    for answer in [ok(&body), format!("HTTP/1.0 200 OK\r\n\r\n{body}"), "x".repeat(2 * MAX_FRP_ANSWER_BYTES)]
    {
        let failure = look_at(answer).failure.unwrap();
        assert!(failure.ends_with("the answer is too long") || failure.ends_with("no HTTP"), "{failure}");
    }
}

#[test]
fn an_answer_with_too_many_headers_is_none() {
    let answer = |headers: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", "a: b\r\n".repeat(headers));
    assert!(matches!(http::parse(answer(64).as_bytes(), true), Ok(Some(_))));
    assert_eq!(http::parse(answer(65).as_bytes(), true), Err("the answer is no HTTP"));
}

#[test]
fn who_says_nothing_or_too_little_is_waited_for_only_so_long() {
    let timeout = Duration::from_millis(200);
    let limits = Limits { timeout, ..fast() };
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let settings = |port| Settings {
        address: HostPort { host: "127.0.0.1".to_owned(), port: Some(port) },
        ..Settings::default()
    };
    let began = Instant::now();
    let port = silent.local_addr().unwrap().port();
    assert!(watch(settings(port), limits).look().failure.is_some());
    assert!(began.elapsed() >= timeout);
    // A byte now and then is no answer either.
    let drips = thread::spawn(move || {
        // The first is the one that was not answered.
        let mut streams: Vec<_> = silent.incoming().take(2).map(Result::unwrap).collect();
        while streams[1].write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let failure = watch(settings(port), limits).look().failure.unwrap();
    assert!(failure.contains("timed out") || failure.contains("no HTTP"), "{failure}");
    drips.join().unwrap();
}

#[test]
fn an_address_holds_until_it_was_lacking_twice_in_a_row() {
    let client = Client::new(ok(&running("frp.example:6001")));
    let mut watch = watch(client.settings(), fast());
    let mut look = |answer: String| {
        client.set(answer);
        let found = watch.look();
        (shown(&found.route), found.failure.is_some())
    };
    let at = |port: u16| Some(format!("frp.example:{port}"));
    assert_eq!(look(ok(&running("frp.example:6001"))), (at(6001), false));
    assert_eq!(look(ok(&running("frp.example:6002"))), (at(6002), false), "another one holds at once");
    assert_eq!(look(ok(&json!({}))), (at(6002), true));
    assert_eq!(look(ok(&running("frp.example:6002"))), (at(6002), false));
    assert_eq!(look(http("500 Oops", "")), (at(6002), true));
    assert_eq!(look(ok(&json!({}))), (None, true));
    assert_eq!(look(ok(&json!({}))), (None, true));
    assert_eq!(look(ok(&running("frp.example:6003"))), (at(6003), false));
}

#[test]
fn a_tunnel_that_is_not_up_is_looked_for_quickly_for_a_while() {
    let long = Duration::from_secs(1000);
    let settings = Settings { interval: Some(long), ..Settings::default() };
    let mut watch = watch(settings, Limits::default());
    let is_quick = |pause: Duration| pause <= Duration::from_secs(1);
    assert!(!is_quick(watch.pause(false)));
    for _ in 0..2 {
        let quick = (0..2 * MAX_QUICK_LOOKS).filter(|_| is_quick(watch.pause(true))).count();
        assert_eq!(quick, MAX_QUICK_LOOKS as usize);
        assert!(!is_quick(watch.pause(false)));
    }
    watch.interval = Duration::from_millis(10);
    assert!(watch.pause(true) <= Duration::from_millis(10), "no slower than otherwise");
}

#[test]
fn of_what_the_other_end_writes_the_start_is_shown_and_no_password() {
    let client = Client::new("");
    let settings = Settings { user: "admin".into(), password: "s3cret".into(), ..client.settings() };
    assert!(!format!("{settings:?}").contains("s3cret"));
    let mut watch = watch(settings, fast());
    let mut failure = |err: &str| {
        let mut refused = tunnel("routes", ROUTE_PORT, "start error", "");
        refused["err"] = err.into();
        client.set(ok(&json!({ "tcp": [refused] })));
        watch.look().failure.unwrap()
    };
    let begin = "the tunnel \"routes\" to port 6222 is not running: \"start error\": ";
    assert_eq!(failure("who is s3cret?"), format!("{begin}[REDACTED]"));
    assert_eq!(failure("Basic YWRtaW46czNjcmV0"), format!("{begin}[REDACTED]"));
    assert_eq!(failure(&"é".repeat(128)), format!("{begin}\"{}\"", "é".repeat(128)));
    assert_eq!(failure(&"é".repeat(129)), format!("{begin}\"{}\"…", "é".repeat(128)));
}

/// What is told of where this server is reached.
#[derive(Default)]
struct Notes(Mutex<Vec<ReachedAt>>);

impl Listener for Notes {
    fn found(&self, source: Source, _: &str, found: Vec<Found>) {
        panic!("{source} tells of {found:?}")
    }

    fn reached_at(&self, source: Source, reached: ReachedAt) {
        assert_eq!(source, Source::Frp);
        self.0.lock().unwrap().push(reached);
    }

    fn load(&self, text: &str) -> Result<(), DamagedFile> {
        panic!("{text} is loaded")
    }
}

#[test]
fn each_change_is_told_once_until_the_end() {
    let (notes, client) = (Arc::new(Notes::default()), Client::new(ok(&running("frp.example:6001"))));
    let audience = Arc::new(Audience::new(notes.clone()));
    let own = Own {
        server_id: "NA".to_owned(),
        cluster: "C".to_owned(),
        route_port: ROUTE_PORT,
        client_port: CLIENT_PORT,
        advertise: None,
    };
    start(&client.settings(), &Discovery::default(), &own, fast(), audience.clone()).unwrap();
    let wait_for = |what: &dyn Fn(&[ReachedAt]) -> bool| {
        let began = Instant::now();
        while !what(&notes.0.lock().unwrap()) {
            assert!(began.elapsed() < PATIENCE, "{:?}", notes.0.lock().unwrap());
            thread::sleep(Duration::from_millis(2));
        }
    };
    wait_for(&|told| told.len() == 1);
    let asked = client.requests().len();
    let again = || client.requests().len() > asked + 2;
    wait_for(&|_| again());
    client.set(ok(&running("frp.example:6002")));
    wait_for(&|told| told.len() == 2);
    client.set(ok(&json!({})));
    wait_for(&|told| told.last().is_some_and(|told| told.route.is_none()));
    audience.leave();
    client.set(ok(&running("frp.example:6003")));
    let told = notes.0.lock().unwrap().clone();
    let ports: Vec<_> = told.iter().map(|told| told.route.as_ref().and_then(|at| at.port)).collect();
    assert_eq!(ports, [Some(6001), Some(6002), Some(6002), None], "{told:?}");
    assert_eq!(told.iter().filter(|told| told.failure.is_none()).count(), 2);
}

proptest! {
    #[test]
    fn nothing_that_is_answered_panics(
        head in "(HTTP/1.1 200 OK\r\n((Content-Length: [0-9]{1,20}|Transfer-Encoding: chunked|x: y)\r\n)?\r\n)?",
        body in prop::collection::vec(any::<u8>(), 0..64),
        is_end: bool,
    ) {
        let _ = http::parse(&[head.as_bytes(), &body].concat(), is_end);
        let _ = status::read(&body);
    }

    #[test]
    fn no_tunnel_panics(local in "\\PC{0,12}", remote in "\\PC{0,8}(\\[?[0-9a-f:.]{0,9}\\]?)(:[0-9]{0,6})?", plugin in "s?") {
        let mut tunnel = tunnel("r", ROUTE_PORT, "running", &remote);
        tunnel["plugin"] = plugin.into();
        let _ = route(&[tunnel.clone()]);
        tunnel["local_addr"] = local.into();
        let _ = route(&[tunnel]);
    }
}
