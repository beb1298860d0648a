//! The HTTP of monitoring: however requests are split, they get the same answers, each whole.

use onehop::Instant;
use onehop::monitor::http::{MAX_HEAD_BYTES, Responder, Step};
use onehop::monitor::{Reply, Response};

use crate::Choices;

/// The first byte says how many bytes a NUL stands for, in units of 80, so that long requests have short inputs; the
/// second where to split; the rest is what a client writes.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let filler = vec![b'a'; 80 * usize::from(choices.byte())];
    let stride = choices.byte();
    let mut input = Vec::new();
    for (at, piece) in choices.rest().split(|byte| *byte == 0).enumerate() {
        // One is enough to be too long.
        let between: &[u8] = if at == 1 { &filler } else { b"" };
        input.extend([between, piece].concat());
    }

    let whole = converse([&input[..]]);
    let bytes = 1 + usize::from(stride) + input.len() / MAX_PIECES;
    assert_eq!(converse(input.chunks(bytes)), whole, "in pieces of {bytes} bytes");
    if input.len() <= MAX_BYTE_BY_BYTE {
        assert_eq!(converse(input.chunks(1)), whole, "byte by byte");
    }
}

/// Every piece more has the whole request read again.
const MAX_PIECES: usize = 64;
const MAX_BYTE_BY_BYTE: usize = 512;

const UNIX_NANOS: u64 = 1_795_354_123_000_000_000;
const DATE: &str = "Sun, 22 Nov 2026 13:28:43 GMT";

/// The answers to what comes in pieces, and whether the server ended it.
fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let mut client = Client::new();
    for piece in pieces {
        client.send(piece);
    }
    (client.answers, client.is_ended)
}

/// A client, and the server's side of its connection.
struct Client {
    responder: Responder,
    /// What was sent and not answered yet.
    unanswered: Vec<u8>,
    answers: Vec<Vec<u8>>,
    is_ended: bool,
}

impl Client {
    fn new() -> Self {
        Self {
            responder: Responder::new(Instant::ZERO),
            unanswered: Vec::new(),
            answers: Vec::new(),
            is_ended: false,
        }
    }

    /// Sends bytes, as many at once as the server reads, and reads all answers.
    fn send(&mut self, mut bytes: &[u8]) {
        loop {
            match self.responder.poll_step(Instant::ZERO, UNIX_NANOS, echo) {
                Step::Read(room) => {
                    assert!(room > 0 && self.responder.output().is_empty());
                    assert!(self.is_ended || self.unanswered.len() + room == MAX_HEAD_BYTES);
                    if bytes.is_empty() {
                        return;
                    }
                    let (now, later) = bytes.split_at(room.min(bytes.len()));
                    self.responder.handle_input(Instant::ZERO, now);
                    self.unanswered.extend_from_slice(now);
                    bytes = later;
                }
                Step::Write => self.read_answer(),
                Step::Render => panic!("all is there"),
                Step::Finish => {
                    assert!(!self.is_ended, "the end is said once");
                    self.is_ended = true;
                }
                Step::Close => panic!("nothing ended it"),
            }
        }
    }

    /// In two writes. How much of the input was answered shows in how much the server reads next.
    fn read_answer(&mut self) {
        assert!(!self.is_ended, "an answer after the end");
        let answer = self.responder.output().to_vec();
        let half = answer.len() / 2;
        self.responder.handle_written(Instant::ZERO, half);
        assert_eq!(self.responder.output(), &answer[half..]);
        self.responder.handle_written(Instant::ZERO, answer.len() - half);
        let keep_alive = is_kept_alive(&answer);
        let request = self.take_request();
        assert_answer(&request, &answer, keep_alive);
        if keep_alive {
            assert_clear(&request);
        }
        self.answers.push(answer);
    }

    /// The first request of what was sent, which ends with an empty line, or all of it if it has no such end.
    fn take_request(&mut self) -> Vec<u8> {
        let end = end_of_request(&self.unanswered).unwrap_or(self.unanswered.len());
        self.unanswered.drain(..end).collect()
    }
}

fn is_kept_alive(answer: &[u8]) -> bool {
    let head = answer.split(|byte| *byte == b'\n').take_while(|line| *line != b"\r");
    head.into_iter().any(|line| line == b"Connection: keep-alive\r")
}

/// Where the empty line behind the first line that is not empty ends.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut has_begun) = (0, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let is_empty = matches!(line, b"\n" | b"\r\n");
        if is_empty && has_begun {
            return Some(at);
        }
        has_begun |= !is_empty;
    }
    None
}

/// Where a request ends that is answered and may be followed by another, there is no doubt: it has no body, and says whom
/// it is for.
fn assert_clear(request: &[u8]) {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let mut lines = text.lines().skip_while(|line| line.is_empty());
    let is_http_1_1 = lines.next().expect("a request of no bytes").trim_end().ends_with("http/1.1");
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let count = |name: &str| fields.iter().filter(|field| field.0 == name).count();
    assert_eq!(count("transfer-encoding"), 0, "{text}");
    assert!(fields.iter().all(|(name, value)| *name != "content-length" || value.trim() == "0"), "{text}");
    assert!(!is_http_1_1 || count("host") == 1, "{text}");
}

/// What is asked for is the answer.
fn echo(target: &str) -> Reply {
    assert!(target.starts_with('/'), "{target} is no path");
    let status = if target.len().is_multiple_of(2) { 200 } else { 404 };
    Reply::Whole(Response { status, content_type: "application/json", body: target.to_owned() })
}

/// The answer is whole and nothing more. Of a request that was refused nothing is known.
fn assert_answer(request: &[u8], answer: &[u8], keep_alive: bool) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the head");
    let head = std::str::from_utf8(&answer[..end]).expect("a head in ASCII");
    let body_bytes = answer.len() - end - 4;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
    assert!(["200", "400", "404", "405", "431", "505"].iter().any(|known| status.starts_with(known)));
    let is_refusal = !status.starts_with("200") && !status.starts_with("404");
    assert!(!is_refusal || !keep_alive, "after {status} nothing can be understood");

    let fields: Vec<_> = lines.map(|line| line.split_once(": ").expect("a field")).collect();
    let values = |name: &str| {
        let of_name = fields.iter().filter(move |field| field.0 == name).map(|field| field.1);
        of_name.collect::<Vec<_>>()
    };
    assert!(head.chars().all(|c| c == '\r' || c == '\n' || !c.is_control()), "{head:?}");
    assert_eq!(values("Connection"), [if keep_alive { "keep-alive" } else { "close" }]);
    assert_eq!(values("Date"), [DATE]);
    let [length] = values("Content-Length")[..] else { panic!("one length: {head}") };
    let length: usize = length.parse().expect("a length");
    let is_head = !is_refusal && request.trim_ascii_start().starts_with(b"HEAD ");
    assert_eq!(body_bytes, if is_head { 0 } else { length }, "after {head}");
}
