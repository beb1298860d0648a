//! The HTTP of the reference server's monitoring: however requests are split, they get the same answers, each whole.

use onehop::monitor::Response;
use onehop_smol::monitor::http::{Step, handle};

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

/// A request that is not whole by then is refused.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Every piece more has the whole request read again.
const MAX_PIECES: usize = 64;
const MAX_BYTE_BY_BYTE: usize = 512;

const DATE: &str = "Sun, 22 Nov 2026 13:28:43 GMT";

/// The answers to what comes in pieces, and whether the server ended it.
fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut unread, mut answers) = (Vec::new(), Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            match handle(&unread, DATE, echo) {
                Step::More => {
                    assert!(unread.len() < MAX_HEAD_BYTES, "no request is as long as this");
                    break;
                }
                Step::Answered { consumed, answer, keep_alive } => {
                    assert_answer(&unread[..consumed], &answer, keep_alive);
                    answers.push(answer);
                    if !keep_alive {
                        return (answers, true);
                    }
                    assert_clear(&unread[..consumed]);
                    unread.drain(..consumed);
                }
            }
        }
    }
    (answers, false)
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
fn echo(target: &str) -> Response {
    assert!(target.starts_with('/'), "{target} is no path");
    let status = if target.len().is_multiple_of(2) { 200 } else { 404 };
    Response { status, content_type: "application/json", body: target.to_owned() }
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
    let is_head = request.trim_ascii_start().starts_with(b"HEAD ");
    assert_eq!(body_bytes, if is_head { 0 } else { length }, "after {head}");
}
