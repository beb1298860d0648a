//! The monitoring pages of a server, fetched with the smallest possible HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The JSON page at `path` of the server on this monitoring port.
///
/// # Errors
///
/// What went wrong, in words: no connection, a status other than 200, or no JSON.
pub fn get(port: u16, path: &str) -> Result<Value, String> {
    let (status, body) = get_text(port, path)?;
    if status != 200 {
        return Err(format!("{path}: status {status}: {body}"));
    }
    serde_json::from_str(&body).map_err(|error| format!("{path}: {error}: {body}"))
}

/// The status and the body of the page at `path`.
///
/// # Errors
///
/// What went wrong, in words, where no complete answer came.
pub fn get_text(port: u16, path: &str) -> Result<(u16, String), String> {
    exchange(port, path).map_err(|error| format!("{path}: {error}")).and_then(|answer| {
        let (head, body) =
            answer.split_once("\r\n\r\n").ok_or_else(|| format!("{path}: no HTTP: {answer}"))?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok((status.ok_or_else(|| format!("{path}: no status: {head}"))?, body.to_owned()))
    })
}

/// HTTP/1.0, so that the answer is neither chunked nor kept alive: it ends where the connection does.
fn exchange(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
