//! Answers as bytes.

use super::super::Response;
use super::super::format::civil_date;
use super::request::{Head, Refusal};

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    written_bytes: usize,
    keep_alive: bool,
}

impl Answer {
    pub(super) fn new(response: &Response, head: &Head<'_>, unix_nanos: u64) -> Self {
        let bytes = render(response, head, &date(unix_nanos));
        Self { bytes, written_bytes: 0, keep_alive: head.keep_alive }
    }

    /// Ends the conversation: what follows a request that was not understood cannot be told from it.
    pub(super) fn refusing(refusal: Refusal, unix_nanos: u64) -> Self {
        let head = Head { target: "", is_head: false, keep_alive: false };
        Self::new(&refusal.response(), &head, unix_nanos)
    }

    /// Whether another request may follow.
    pub(super) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// What is not written yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written_bytes..]
    }

    /// Notes that more was written; true if that was all.
    pub(super) fn advance(&mut self, bytes: usize) -> bool {
        self.written_bytes = self.bytes.len().min(self.written_bytes + bytes);
        self.rest().is_empty()
    }
}

impl Refusal {
    fn response(self) -> Response {
        let status = match self {
            Self::BadRequest | Self::MissingHost => 400,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 431,
            Self::Version => 505,
        };
        let detail = if self == Self::MissingHost { ": missing required Host header" } else { "" };
        Response::text(status, format!("{status} {}{detail}", reason(status)))
    }
}

fn render(response: &Response, head: &Head<'_>, date: &str) -> Vec<u8> {
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

/// A moment as HTTP writes it.
fn date(unix_nanos: u64) -> String {
    let seconds = unix_nanos / 1_000_000_000;
    let (days, of_day) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let (year, month, day) = civil_date(days);
    let (weekday, month) = (WEEKDAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

const DAY_SECONDS: u64 = 24 * 3600;

/// Beginning with the day of 1970-01-01.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let at = |seconds: u64| date(seconds * 1_000_000_000 + 999_999_999);
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(at(1_795_354_123), "Sun, 22 Nov 2026 13:28:43 GMT");
        // As far as the clock goes.
        assert_eq!(at(18_446_744_072), "Sun, 21 Jul 2554 23:34:32 GMT");
    }
}
