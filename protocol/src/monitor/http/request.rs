//! The head of a request: what of it is heeded, and why it may be refused.

use httparse::{EMPTY_HEADER, Error, Request, Status};

use super::{MAX_HEAD_BYTES, MAX_HEADERS};

/// What the bytes that were read so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// The beginning of a request, which goes on.
    Unfinished,
    /// A request and how many bytes it takes.
    Request(Head<'a>, usize),
    /// What follows cannot be told from it.
    Refused(Refusal),
}

/// What is heeded of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// A path with an optional query, or [`SERVER_ITSELF`].
    pub(super) target: &'a str,
    /// The answer is to have no body.
    pub(super) is_head: bool,
    /// The client does not know how an answer is chunked.
    pub(super) is_http_1_0: bool,
    /// Another request may follow.
    pub(super) keep_alive: bool,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    MissingHost,
    TooLarge,
    Version,
}

/// Reads the first request in `input`.
pub(super) fn parse(input: &[u8]) -> Parsed<'_> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let refusal = match request.parse(input) {
        Ok(Status::Complete(bytes)) => match Head::read(&request) {
            Ok(head) => return Parsed::Request(head, bytes),
            Err(refusal) => refusal,
        },
        Ok(Status::Partial) if input.len() < MAX_HEAD_BYTES => return Parsed::Unfinished,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => Refusal::TooLarge,
        Err(Error::Version) => Refusal::Version,
        Err(_) => Refusal::BadRequest,
    };
    Parsed::Refused(refusal)
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
        let wants_more = if is_http_1_0 {
            has_token("connection", "keep-alive")
        } else {
            !has_token("connection", "close")
        };
        Ok(Self {
            target: target(request).ok_or(Refusal::BadRequest)?,
            is_head: request.method == Some("HEAD"),
            is_http_1_0,
            // A body means nothing here. It is not read, so nothing that follows it can be.
            keep_alive: wants_more && !has_body(request),
        })
    }
}

fn values<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let headers = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    headers.map(|header| std::str::from_utf8(header.value).unwrap_or_default())
}

fn has_body(request: &Request<'_, '_>) -> bool {
    values(request, "transfer-encoding").next().is_some()
        || values(request, "content-length").any(|length| length.trim() != "0")
}

/// Whatever the method is, the page at the path is meant: what asks before a browser asks (`OPTIONS`), and checks of load
/// balancers, get it as from nats-server. Proxies may send the path with scheme and host.
fn target<'a>(request: &Request<'_, 'a>) -> Option<&'a str> {
    let target = request.path?;
    if target == SERVER_ITSELF {
        return (request.method == Some("OPTIONS")).then_some(target);
    }
    if target.starts_with('/') {
        return Some(target);
    }
    let (_, rest) = target.split_once("://")?;
    Some(rest.find('/').map_or("/", |slash| &rest[slash..]))
}

/// The target of a request that only asks whether somebody is there.
pub(super) const SERVER_ITSELF: &str = "*";
