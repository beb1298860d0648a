//! The request for a WebSocket, and what is answered to it.

use data_encoding::BASE64;
use httparse::{EMPTY_HEADER, Error, Request, Status};
use sha1::{Digest, Sha1};

use super::{MAX_REQUEST_BYTES, MAX_REQUEST_HEADERS, Origin, WebSocketRefusal, WebSocketTerms};

/// What the bytes that were read so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The beginning of a request.
    Unfinished,
    /// A request that is granted.
    Granted { answer: Vec<u8>, compresses: bool },
}

/// Judges what was read of a request.
pub(super) fn judge(input: &[u8], terms: &WebSocketTerms) -> Result<Asked, WebSocketRefusal> {
    let mut headers = [EMPTY_HEADER; MAX_REQUEST_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(input) {
        Ok(Status::Complete(bytes)) if bytes > MAX_REQUEST_BYTES => Err(WebSocketRefusal::TooLarge),
        Ok(Status::Complete(bytes)) => {
            let granted = grant(&request, terms)?;
            if bytes < input.len() { Err(WebSocketRefusal::EarlyData) } else { Ok(granted) }
        }
        Ok(Status::Partial) if input.len() < MAX_REQUEST_BYTES => Ok(Asked::Unfinished),
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => Err(WebSocketRefusal::TooLarge),
        Err(_) => Err(WebSocketRefusal::NoRequest),
    }
}

/// What is said to those who are turned away. Nothing to whom does not wait for an answer.
pub(super) fn refusal(refusal: WebSocketRefusal) -> Vec<u8> {
    if refusal == WebSocketRefusal::EarlyData {
        return Vec::new();
    }
    let (status, reason) = status(refusal);
    let length = reason.len() + 1;
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{reason}\n"
    )
    .into_bytes()
}

fn status(refusal: WebSocketRefusal) -> (u16, &'static str) {
    match refusal {
        WebSocketRefusal::TooLarge => (431, "Request Header Fields Too Large"),
        WebSocketRefusal::Method => (405, "Method Not Allowed"),
        WebSocketRefusal::LeafNode | WebSocketRefusal::Mqtt => (404, "Not Found"),
        WebSocketRefusal::NoOrigin | WebSocketRefusal::OtherOrigin | WebSocketRefusal::UnlistedOrigin => {
            (403, "Forbidden")
        }
        _ => (400, "Bad Request"),
    }
}

/// In nats-server's order, which shows where several things are wrong.
fn grant(request: &Request<'_, '_>, terms: &WebSocketTerms) -> Result<Asked, WebSocketRefusal> {
    if request.version == Some(1) && values(request, "host").count() != 1 {
        return Err(WebSocketRefusal::NoHost);
    }
    match request.path.map(|path| path.split('?').next().unwrap_or(path)) {
        Some("/leafnode") => return Err(WebSocketRefusal::LeafNode),
        Some("/mqtt") => return Err(WebSocketRefusal::Mqtt),
        _ => {}
    }
    let has_token =
        |name, token| tokens(request, name).any(|found| found.eq_ignore_ascii_case(token)).then_some(());
    (request.method == Some("GET")).then_some(()).ok_or(WebSocketRefusal::Method)?;
    has_token("upgrade", "websocket").ok_or(WebSocketRefusal::Upgrade)?;
    has_token("connection", "upgrade").ok_or(WebSocketRefusal::Connection)?;
    has_token("sec-websocket-version", VERSION).ok_or(WebSocketRefusal::Version)?;
    let key = values(request, "sec-websocket-key")
        .next()
        .filter(|key| !key.is_empty())
        .ok_or(WebSocketRefusal::NoKey)?;
    if !BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == KEY_BYTES) {
        return Err(WebSocketRefusal::Key);
    }
    check_origin(request, terms)?;
    let compresses = terms.compression && offers_compression(request);
    Ok(Asked::Granted { answer: answer(key, compresses, &terms.headers), compresses })
}

fn answer(key: &str, compresses: bool, headers: &[(String, String)]) -> Vec<u8> {
    let proof = BASE64.encode(&Sha1::new().chain_update(key).chain_update(PROOF).finalize());
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n"
    );
    if compresses {
        answer += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    }
    headers.iter().for_each(|(name, value)| answer += &format!("{name}: {value}\r\n"));
    answer += "\r\n";
    answer.into_bytes()
}

/// Who is no page does not say where it is from, and may come in.
fn check_origin(request: &Request<'_, '_>, terms: &WebSocketTerms) -> Result<(), WebSocketRefusal> {
    let Some(origin) = values(request, "origin").next() else { return Ok(()) };
    if !terms.same_origin && terms.allowed_origins.is_empty() {
        return Ok(());
    }
    let origin: Origin = origin.parse().map_err(|_| WebSocketRefusal::NoOrigin)?;
    let host = values(request, "host").next().unwrap_or_default();
    if terms.same_origin && !origin.leads_to(host, terms.is_tls) {
        return Err(WebSocketRefusal::OtherOrigin);
    }
    if !terms.allowed_origins.is_empty() && !terms.allowed_origins.contains(&origin) {
        return Err(WebSocketRefusal::UnlistedOrigin);
    }
    Ok(())
}

/// Whether the peer can do what this node does: each message is compressed for itself, with the longest window. There may be
/// several offers.
fn offers_compression(request: &Request<'_, '_>) -> bool {
    tokens(request, "sec-websocket-extensions").any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate"))
            && parts.all(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "server_no_context_takeover" | "client_no_context_takeover" => value.is_empty(),
                    "client_max_window_bits" => true,
                    "server_max_window_bits" => value.trim().trim_matches('"') == "15",
                    _ => false,
                }
            })
    })
}

fn values<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let headers = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    headers.map(|header| std::str::from_utf8(header.value).unwrap_or_default().trim())
}

/// The parts of a header that is a list.
fn tokens<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    values(request, name).flat_map(|value| value.split(',')).map(str::trim)
}

/// The version of WebSocket.
const VERSION: &str = "13";

/// How much randomness a key has.
const KEY_BYTES: usize = 16;

/// Whoever knows this understood the request (RFC 6455 1.3).
const PROOF: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
