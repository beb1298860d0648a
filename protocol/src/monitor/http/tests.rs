//! Conversations over one connection of monitoring.

mod pieces;

use std::cell::Cell;

use super::*;
use crate::monitor::Response;

/// Sun, 22 Nov 2026 13:28:43 GMT.
const UNIX_NANOS: u64 = 1_795_354_123_000_000_000;

const GET: &[u8] = b"GET /varz HTTP/1.1\r\nHost: a\r\n\r\n";

/// A responder whose pages are the targets that were asked for, and a clock.
struct Conversation {
    responder: Responder,
    now: Instant,
    /// How many pages were made.
    pages: Cell<usize>,
}

impl Conversation {
    fn new() -> Self {
        Self { responder: Responder::new(Instant::ZERO), now: Instant::ZERO, pages: Cell::new(0) }
    }

    fn step(&mut self) -> Step {
        let respond = |target: &str| {
            self.pages.set(self.pages.get() + 1);
            let status = if target == "/nope" { 404 } else { 200 };
            Reply::Whole(Response { status, content_type: "application/json", body: target.to_owned() })
        };
        self.responder.poll_step(self.now, UNIX_NANOS, respond)
    }

    /// The client sends as much as it may, and the server does what is to be done until it reads again, or closes.
    fn send(&mut self, bytes: &[u8]) -> String {
        let mut heard = Vec::new();
        let mut rest = bytes;
        loop {
            match self.step() {
                Step::Read(_) if rest.is_empty() => break,
                Step::Read(room) => {
                    let (now, later) = rest.split_at(room.min(rest.len()));
                    self.responder.handle_input(self.now, now);
                    rest = later;
                }
                Step::Write => {
                    heard.extend_from_slice(self.responder.output());
                    self.write(usize::MAX);
                }
                Step::Render => panic!("all is there"),
                Step::Finish => heard.extend_from_slice(b"<end>"),
                Step::Close => break,
            }
        }
        String::from_utf8(heard).expect("UTF-8")
    }

    fn write(&mut self, bytes: usize) {
        self.responder.handle_written(self.now, bytes);
    }

    fn reason(&self) -> Option<(Duration, TimeoutReason)> {
        self.responder.poll_timeout().map(|(at, reason)| (at.since(self.now), reason))
    }
}

fn heard(bytes: &str) -> String {
    Conversation::new().send(bytes.as_bytes())
}

#[test]
fn a_page_is_served_to_any_origin_and_the_connection_stays_open() {
    let expected = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\
                    Date: Sun, 22 Nov 2026 13:28:43 GMT\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n\
                    /varz?a=b";
    assert_eq!(heard("GET /varz?a=b HTTP/1.1\r\nHost: a\r\n\r\nGET"), expected);
}

#[test]
fn a_head_request_gets_the_head_of_the_page() {
    let text = heard("HEAD /varz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn an_unfinished_request_is_waited_for_at_every_byte() {
    let mut client = Conversation::new();
    let (last, rest) = GET.split_last().expect("a request");
    for byte in rest {
        assert_eq!(client.send(&[*byte]), "");
    }
    assert!(client.send(&[*last]).ends_with("/varz"));
}

#[test]
fn who_asks_for_an_end_gets_one() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false),
    ];
    for (request, keep_alive) in cases {
        let text = heard(request);
        assert_eq!(text.contains("Connection: close"), !keep_alive, "{request}");
        assert_eq!(text.ends_with("<end>"), !keep_alive, "{request}");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[test]
fn a_target_may_name_its_host() {
    for (target, path) in [("http://a:1/varz?x=/", "/varz?x=/"), ("http://a", "/")] {
        let text = heard(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(text.ends_with(&format!("\r\n\r\n{path}")), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_refused_and_ends_the_connection() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES));
    let unfinished = &long[..MAX_HEAD_BYTES];
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS));
    let cases = [
        ("FOO\r\n\r\n", "400 Bad Request"),
        ("GET varz HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", "400 Bad Request"),
        ("POST * HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
        (&long, "431 Request Header Fields Too Large"),
        (unfinished, "431 Request Header Fields Too Large"),
        (&many, "431 Request Header Fields Too Large"),
    ];
    for (request, status) in cases {
        let text = heard(request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {text}");
        assert!(text.contains(&format!("\r\n\r\n{status}")), "{text}");
        assert!(text.contains("Connection: close\r\n") && text.ends_with("<end>"), "{text}");
    }
}

#[test]
fn a_page_is_given_whatever_the_method_so_that_a_browser_that_asks_first_may_go_on() {
    for method in ["OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO"] {
        let preflight = "Origin: http://page.test\r\nAccess-Control-Request-Method: GET\r\n";
        let text = heard(&format!("{method} /varz HTTP/1.1\r\nHost: a\r\n{preflight}\r\n"));
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"),
            "{method}: {text}"
        );
        assert!(text.ends_with("\r\n\r\n/varz"), "{method}: {text}");
    }
    let text = heard("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Content-Length: 0\r\n"), "{text}");
}

#[test]
fn a_request_that_is_too_long_is_refused_for_that_whatever_follows() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(MAX_HEAD_BYTES));
    for rest in ["", "\r\n\r\n", "\0\r\n\r\n", "\r\n nonsense"] {
        let text = heard(&format!("{long}{rest}"));
        assert!(text.starts_with("HTTP/1.1 431 "), "{rest:?}: {text}");
    }
}

#[test]
fn a_request_may_have_as_many_bytes_and_header_lines_as_the_limits_say() {
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
    let padded = |bytes: usize| frame.replace("X: ", &format!("X: {}", "a".repeat(bytes - frame.len())));
    assert!(heard(&padded(MAX_HEAD_BYTES)).starts_with("HTTP/1.1 200 "));
    assert!(heard(&padded(MAX_HEAD_BYTES + 1)).starts_with("HTTP/1.1 431 "));
    let lines = "X: y\r\n".repeat(MAX_HEADERS - 1);
    assert!(heard(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn an_unknown_page_does_not_end_the_connection() {
    let text = heard("GET /nope HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.contains("nosniff"), "{text}");
    assert!(text.ends_with("/nope"), "{text}");
}

#[test]
fn requests_are_answered_one_by_one_each_when_the_answer_before_is_written() {
    let mut client = Conversation::new();
    let _ = client.step();
    client.responder.handle_input(client.now, &GET.repeat(3));
    for answered in 1..=3 {
        let length = {
            assert_eq!(client.step(), Step::Write);
            client.responder.output().len()
        };
        client.write(length - 1);
        assert_eq!((client.step(), client.responder.output()), (Step::Write, &b"z"[..]));
        assert_eq!(client.pages.get(), answered);
        client.write(1);
    }
    assert_eq!(client.step(), Step::Read(MAX_HEAD_BYTES));
    assert_eq!(client.responder.input.capacity(), 0, "an idle connection holds no buffer");
}

#[test]
fn the_input_is_never_longer_than_a_request_may_be() {
    let mut client = Conversation::new();
    client.responder.handle_input(client.now, &[b'a'; 100]);
    assert_eq!(client.step(), Step::Read(MAX_HEAD_BYTES - 100));
    client.responder.handle_input(client.now, &[b'a'; MAX_HEAD_BYTES - 99]);
    assert_eq!((client.step(), client.reason()), (Step::Close, None), "the driver read too much");

    let mut client = Conversation::new();
    client.responder.handle_input(client.now, GET);
    assert_eq!(client.step(), Step::Write);
    client.responder.handle_input(client.now, b"G");
    assert_eq!(client.step(), Step::Close, "the driver read while it was to write");
}

#[test]
fn a_request_is_waited_for_only_so_long_however_slowly_it_comes() {
    let mut client = Conversation::new();
    assert_eq!(client.reason(), Some((HEAD_TIMEOUT, TimeoutReason::Idle)));
    client.now += HEAD_TIMEOUT - Duration::from_secs(1);
    assert_eq!(client.send(&GET[..5]), "");
    assert_eq!(client.reason(), Some((Duration::from_secs(1), TimeoutReason::Request)));
    client.responder.handle_timeout(client.now);
    assert_eq!(client.step(), Step::Read(MAX_HEAD_BYTES - 5), "it is not time yet");
    client.now += Duration::from_secs(1);
    client.responder.handle_timeout(client.now);
    assert_eq!((client.step(), client.reason()), (Step::Close, None));
}

#[test]
fn the_next_request_may_be_waited_for_longer_but_not_the_rest_of_it() {
    let mut client = Conversation::new();
    client.now += HEAD_TIMEOUT / 2;
    let _ = client.send(GET);
    assert_eq!(client.reason(), Some((IDLE_TIMEOUT, TimeoutReason::Idle)));
    client.now += IDLE_TIMEOUT / 2;
    for byte in &GET[..3] {
        let _ = client.send(&[*byte]);
    }
    assert_eq!(client.reason(), Some((HEAD_TIMEOUT, TimeoutReason::Request)));
    let _ = client.send(&GET[3..]);
    client.now += IDLE_TIMEOUT - Duration::from_secs(1);
    let _ = client.send(&GET[..3]);
    assert_eq!(client.reason(), Some((Duration::from_secs(1), TimeoutReason::Request)), "it was idle before");
}

#[test]
fn of_a_request_that_came_with_the_one_before_the_rest_is_waited_for_as_long() {
    let mut client = Conversation::new();
    client.now += HEAD_TIMEOUT / 2;
    let _ = client.send(&[GET, &GET[..3]].concat());
    assert_eq!(client.reason(), Some((HEAD_TIMEOUT, TimeoutReason::Request)));
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_however_slowly_it_is_taken() {
    let mut client = Conversation::new();
    client.responder.handle_input(client.now, GET);
    let _ = client.step();
    assert_eq!(client.reason(), Some((WRITE_TIMEOUT, TimeoutReason::Answer)));
    client.now += WRITE_TIMEOUT;
    client.write(1);
    assert_eq!(client.reason(), Some((Duration::ZERO, TimeoutReason::Answer)));
    client.responder.handle_timeout(client.now);
    assert_eq!((client.step(), client.responder.output()), (Step::Close, &b""[..]));
}

#[test]
fn after_the_last_answer_the_client_is_given_time_to_close() {
    let mut client = Conversation::new();
    assert!(client.send(b"GET / HTTP/1.0\r\n\r\n").ends_with("/<end>"));
    assert_eq!(client.reason(), Some((LINGER_TIMEOUT, TimeoutReason::Linger)));
    assert_eq!(client.send(&GET.repeat(1000)), "", "nothing is answered any more");
    assert_eq!(client.responder.input.capacity(), 0, "and nothing kept");
    client.now += LINGER_TIMEOUT;
    client.responder.handle_timeout(client.now);
    assert_eq!(client.step(), Step::Close);
}

#[test]
fn a_client_that_leaves_ends_the_connection() {
    for sent in ["", "GET /va", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = Conversation::new();
        let _ = client.send(sent.as_bytes());
        client.responder.handle_end();
        assert_eq!(client.step(), Step::Close, "{sent}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_upset_it_and_any_splitting_of_them_gets_the_same_answers(
        start in "(GET|HEAD|X)?[ /]{0,2}[a-z?=%]{0,5} ?(HTTP/1.[01])?(\r\n)?(Host: a\r\n\r\n)?",
        rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        ends in proptest::collection::vec(0_usize..128, 0..8),
    ) {
        let input = [GET, start.as_bytes(), &rest].concat();
        let mut split = Conversation::new();
        let mut heard = String::new();
        let mut ends: Vec<_> = ends.into_iter().map(|end| end.min(input.len())).collect();
        ends.extend([0, input.len()]);
        ends.sort_unstable();
        for pair in ends.windows(2) {
            heard.push_str(&split.send(&input[pair[0]..pair[1]]));
        }
        proptest::prop_assert!(heard.starts_with("HTTP/1.1 200 "));
        proptest::prop_assert_eq!(heard, Conversation::new().send(&input));
    }
}
