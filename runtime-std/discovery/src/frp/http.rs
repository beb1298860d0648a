//! One page of one web server, by HTTP/1.1 and within limits.
//!
//! No client crate, which would be out of proportion for one request to one page: `ureq` (3.5) brings four crates that nothing else
//! here needs, `minreq` (2.14) starts a thread for each request and adds up unchecked what the other end says of lengths; heads and
//! sizes of chunks are read by `httparse`, which is there anyway.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use httparse::{Status, parse_chunk_size};
use onehop::config::HostPort;

use super::Limits;

/// What a web server answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks for a page, in the name of whom these credentials (of basic authentication) are.
pub(super) fn get(
    server: &HostPort,
    path: &str,
    credentials: Option<&str>,
    limits: Limits,
) -> io::Result<Answer> {
    let deadline = Deadline(Instant::now() + limits.timeout);
    let mut stream = connect(server, &deadline)?;
    let authorization = credentials.map(|it| format!("Authorization: Basic {it}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\n{authorization}Accept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.set_write_timeout(Some(deadline.remaining()?))?;
    stream.write_all(request.as_bytes())?;
    let mut heard = Vec::new();
    loop {
        let is_end = read_more(&mut stream, &deadline, &mut heard)?;
        if heard.len() > limits.bytes {
            return Err(io::Error::other("the answer is too long"));
        }
        if let Some(answer) = parse(&heard, is_end).map_err(io::Error::other)? {
            return Ok(answer);
        }
    }
}

/// To the first of its addresses where somebody is.
fn connect(server: &HostPort, deadline: &Deadline) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the name has no address"));
    let port = server.port.unwrap_or_default();
    for address in (server.host.as_str(), port).to_socket_addrs()?.take(MAX_ADDRESSES) {
        outcome = TcpStream::connect_timeout(&address, deadline.remaining()?);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Returns whether that was the end.
fn read_more(stream: &mut TcpStream, deadline: &Deadline, heard: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(deadline.remaining()?))?;
        match stream.read(&mut buffer) {
            Ok(read) => {
                heard.extend_from_slice(&buffer[..read]);
                return Ok(read == 0);
            }
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            // The systems differ in what they call it.
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(fault) => return Err(fault),
        }
    }
}

/// When everything must be over.
struct Deadline(Instant);

impl Deadline {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.0.saturating_duration_since(Instant::now());
        if remaining.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

/// The answer, if all of it is there; `is_end` says that nothing more comes.
pub(super) fn parse(heard: &[u8], is_end: bool) -> Result<Option<Answer>, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(heard).map_err(|_| NO_HTTP)? {
        Status::Complete(start) => start,
        Status::Partial if is_end => return Err(if heard.is_empty() { NOTHING } else { CUT }),
        Status::Partial => return Ok(None),
    };
    let status = response.code.ok_or(NO_HTTP)?;
    let header = |name: &str| {
        let value = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?.value;
        Some(value.trim_ascii())
    };
    let rest = &heard[start..];
    let body = if header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")) {
        unchunked(rest)?
    } else if let Some(length) = header("Content-Length") {
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
        rest.get(..length.ok_or(NO_HTTP)?).map(<[u8]>::to_vec)
    } else {
        is_end.then(|| rest.to_vec())
    };
    match body {
        Some(body) => Ok(Some(Answer { status, body })),
        None if is_end => Err(CUT),
        None => Ok(None),
    }
}

/// What stands in the chunks, if the last of them is there.
fn unchunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Status::Complete((start, size)) = parse_chunk_size(rest).map_err(|_| NO_HTTP)? else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).map_err(|_| NO_HTTP)?;
        let after = start.checked_add(size).and_then(|end| end.checked_add(CRLF.len())).ok_or(NO_HTTP)?;
        let Some(chunk) = rest.get(start..after) else { return Ok(None) };
        let chunk = chunk.strip_suffix(CRLF).ok_or(NO_HTTP)?;
        body.extend_from_slice(chunk);
        rest = &rest[after..];
    }
}

const CRLF: &[u8] = b"\r\n";

const NO_HTTP: &str = "the answer is no HTTP";
const NOTHING: &str = "no answer";
const CUT: &str = "the answer ends too early";

/// An answer of Go's web server has half a dozen.
const MAX_HEADERS: usize = 64;

/// So many addresses of its name are tried.
const MAX_ADDRESSES: usize = 8;
