//! HTTP/1.1, as much as monitoring needs of it: GET and HEAD, without bodies. Pure: bytes in, bytes out.

use httparse::{EMPTY_HEADER, Error, Request, Status};
use onehop::monitor::Response;

/// What follows from the bytes that were read so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The request goes on.
    More,
    /// It was answered.
    Answered {
        /// How many of the bytes were the request's.
        consumed: usize,
        /// What is to be written.
        answer: Vec<u8>,
        /// Whether another request may follow.
        keep_alive: bool,
    },
}

/// What is heeded of a request.
#[derive(Debug)]
struct Head<'a> {
    target: &'a str,
    is_head: bool,
    keep_alive: bool,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BadRequest,
    MissingHost,
    MethodNotAllowed,
    TooLarge,
    Version,
}

/// Answers the first request in `input` with what `respond` says to its target. `date` is the value of `Date`.
pub fn handle(input: &[u8], date: &str, respond: impl FnOnce(&str) -> Response) -> Step {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    // What is beyond the limit is not looked at, so that the answer is the same whether or not it is there yet.
    let input = &input[..input.len().min(MAX_HEAD_BYTES)];
    let consumed = match request.parse(input) {
        Ok(Status::Complete(consumed)) => consumed,
        Ok(Status::Partial) if input.len() < MAX_HEAD_BYTES => return Step::More,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => return refuse(Refusal::TooLarge, date),
        Err(Error::Version) => return refuse(Refusal::Version, date),
        Err(_) => return refuse(Refusal::BadRequest, date),
    };
    match Head::read(&request) {
        Ok(head) => {
            let answer = render(&respond(head.target), date, &head);
            Step::Answered { consumed, answer, keep_alive: head.keep_alive }
        }
        Err(refusal) => refuse(refusal, date),
    }
}

impl<'a> Head<'a> {
    fn read(request: &Request<'_, 'a>) -> Result<Self, Refusal> {
        let has_token = |name: &str, token: &str| {
            values(request, name)
                .flat_map(|value| value.split(','))
                .any(|each| each.trim().eq_ignore_ascii_case(token))
        };
        let is_http_1_0 = request.version == Some(0);
        if !is_http_1_0 && values(request, "host").count() != 1 {
            return Err(Refusal::MissingHost);
        }
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Refusal::MethodNotAllowed),
        };
        let wants_more = if is_http_1_0 {
            has_token("connection", "keep-alive")
        } else {
            !has_token("connection", "close")
        };
        Ok(Self {
            target: origin_form(request.path.unwrap_or_default()).ok_or(Refusal::BadRequest)?,
            is_head,
            // A body means nothing here. It is not read, so nothing that follows it can be.
            keep_alive: wants_more && !has_body(request),
        })
    }
}

impl Refusal {
    fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::MissingHost => 400,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 431,
            Self::Version => 505,
        }
    }

    fn body(self) -> String {
        let status = self.status();
        let detail = if self == Self::MissingHost { ": missing required Host header" } else { "" };
        format!("{status} {}{detail}", reason(status))
    }
}

/// Ends the conversation: what follows a request that was not understood cannot be told from it.
fn refuse(refusal: Refusal, date: &str) -> Step {
    let body = refusal.body();
    let response = Response { status: refusal.status(), content_type: "text/plain; charset=utf-8", body };
    let head = Head { target: "", is_head: false, keep_alive: false };
    Step::Answered { consumed: 0, answer: render(&response, date, &head), keep_alive: false }
}

fn values<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let headers = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    headers.map(|header| std::str::from_utf8(header.value).unwrap_or_default())
}

fn has_body(request: &Request<'_, '_>) -> bool {
    values(request, "transfer-encoding").next().is_some()
        || values(request, "content-length").any(|length| length.trim() != "0")
}

/// The path and query of a target, which proxies may send with scheme and host.
fn origin_form(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (_, rest) = target.split_once("://")?;
    Some(rest.find('/').map_or("/", |slash| &rest[slash..]))
}

fn render(response: &Response, date: &str, head: &Head<'_>) -> Vec<u8> {
    let Response { status, content_type, body } = response;
    let mut lines = vec![format!("HTTP/1.1 {status} {}", reason(*status))];
    if *content_type == "application/json" {
        lines.push("Access-Control-Allow-Origin: *".to_owned());
    }
    lines.push(format!("Content-Type: {content_type}"));
    if *status == 404 {
        lines.push("X-Content-Type-Options: nosniff".to_owned());
    }
    if *status == 405 {
        lines.push("Allow: GET, HEAD".to_owned());
    }
    lines.push(format!("Date: {date}"));
    lines.push(format!("Content-Length: {}", body.len()));
    lines.push(format!("Connection: {}", if head.keep_alive { "keep-alive" } else { "close" }));
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    if !head.is_head {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// The longest request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most header lines of a request.
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 22 Nov 2026 13:28:43 GMT";

    /// The answer in text, how much it took, and whether more may follow; each target is answered with itself.
    fn answer(input: &str) -> (String, usize, bool) {
        let respond = |target: &str| {
            let status = if target == "/nope" { 404 } else { 200 };
            Response { status, content_type: "application/json", body: target.to_owned() }
        };
        match handle(input.as_bytes(), DATE, respond) {
            Step::Answered { consumed, answer, keep_alive } => {
                (String::from_utf8(answer).expect("UTF-8"), consumed, keep_alive)
            }
            Step::More => panic!("not answered: {input}"),
        }
    }

    #[test]
    fn a_page_is_served_to_any_origin_and_the_connection_stays_open() {
        let request = "GET /varz?a=b HTTP/1.1\r\nHost: a\r\n\r\n";
        let (text, consumed, keep_alive) = answer(&format!("{request}GET"));
        let expected = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\
                        Date: Sun, 22 Nov 2026 13:28:43 GMT\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\n\
                        /varz?a=b";
        assert_eq!((text.as_str(), consumed, keep_alive), (expected, request.len(), true));
    }

    #[test]
    fn a_head_request_gets_the_head_of_the_page() {
        let (text, _, _) = answer("HEAD /varz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn an_unfinished_request_is_waited_for_at_every_byte() {
        let request = "GET /varz HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(handle(&request.as_bytes()[..end], DATE, |_| unreachable!()), Step::More, "{end}");
        }
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
        for (request, expected) in cases {
            let (text, _, keep_alive) = answer(request);
            assert_eq!(keep_alive, expected, "{request}");
            assert_eq!(text.contains("Connection: close"), !expected, "{request}");
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        }
    }

    #[test]
    fn a_target_may_name_its_host() {
        for (target, path) in [("http://a:1/varz?x=/", "/varz?x=/"), ("http://a", "/")] {
            let (text, _, _) = answer(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
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
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
            (&long, "431 Request Header Fields Too Large"),
            (unfinished, "431 Request Header Fields Too Large"),
            (&many, "431 Request Header Fields Too Large"),
        ];
        for (request, status) in cases {
            let (text, _, keep_alive) = answer(request);
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {text}");
            assert!(text.contains(&format!("\r\n\r\n{status}")), "{text}");
            assert!(!keep_alive && text.contains("Connection: close\r\n"), "{text}");
        }
        assert!(answer("PUT / HTTP/1.1\r\nHost: a\r\n\r\n").0.contains("Allow: GET, HEAD\r\n"));
    }

    #[test]
    fn a_request_that_is_too_long_is_refused_for_that_whatever_follows() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(MAX_HEAD_BYTES));
        for rest in ["", "\r\n\r\n", "\0\r\n\r\n", "\r\n nonsense"] {
            let (text, ..) = answer(&format!("{long}{rest}"));
            assert!(text.starts_with("HTTP/1.1 431 "), "{rest:?}: {text}");
        }
    }

    #[test]
    fn an_unknown_page_does_not_end_the_connection() {
        let (text, _, keep_alive) = answer("GET /nope HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(
            text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.contains("nosniff") && keep_alive,
            "{text}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_upset_it_and_nothing_is_taken_that_was_not_there(
            start in "(GET|HEAD|X)?[ /]{0,2}[a-z?=%]{0,5} ?(HTTP/1.[01])?(\r\n)?",
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
        ) {
            let input = [start.as_bytes(), &rest].concat();
            let respond = |_: &str| Response { status: 200, content_type: "text/plain", body: String::new() };
            match handle(&input, DATE, respond) {
                Step::More => {}
                Step::Answered { consumed, answer, .. } => {
                    proptest::prop_assert!(consumed <= input.len() && answer.starts_with(b"HTTP/1.1 "));
                }
            }
        }
    }
}
