//! Answers as bytes.

use super::super::{JSON, Progress, Rendering, Reply, Response};
use super::request::{Head, Refusal};
use crate::calendar::civil_date;

/// An answer that is being written.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    written_bytes: usize,
    keep_alive: bool,
    /// Where the bytes come from, if not all were there from the start.
    source: Option<Source>,
}

/// A page that is rendered while it is written.
#[derive(Debug)]
struct Source {
    rendering: Box<Rendering>,
    is_head: bool,
    is_http_1_0: bool,
    /// The head of the answer was made.
    is_begun: bool,
    is_finished: bool,
}

impl Answer {
    pub(super) fn new(reply: Reply, head: &Head<'_>, unix_nanos: u64) -> Self {
        let Head { is_head, is_http_1_0, keep_alive, .. } = *head;
        match reply {
            Reply::Whole(response) => Self::whole(&response, is_head, keep_alive, unix_nanos),
            Reply::InPieces(rendering) => {
                let source = Source { rendering, is_head, is_http_1_0, is_begun: false, is_finished: false };
                Self { bytes: Vec::new(), written_bytes: 0, keep_alive, source: Some(source) }
            }
        }
    }

    /// Ends the conversation: what follows a request that was not understood cannot be told from it.
    pub(super) fn refusing(refusal: Refusal, unix_nanos: u64) -> Self {
        Self::whole(&refusal.response(), false, false, unix_nanos)
    }

    fn whole(response: &Response, is_head: bool, keep_alive: bool, unix_nanos: u64) -> Self {
        let length = Length::Known(response.body.len());
        let mut bytes = head(response.status, response.content_type, length, keep_alive, unix_nanos);
        if !is_head {
            bytes.extend_from_slice(response.body.as_bytes());
        }
        Self { bytes, written_bytes: 0, keep_alive, source: None }
    }

    /// Whether another request may follow.
    pub(super) fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// What is not written yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written_bytes..]
    }

    /// Notes that more was written.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.written_bytes = self.bytes.len().min(self.written_bytes + bytes);
    }

    /// Whether there is nothing more to write, nor to render.
    pub(super) fn is_complete(&self) -> bool {
        self.rest().is_empty() && self.source.as_ref().is_none_or(|source| source.is_finished)
    }

    /// Renders on, when all that was rendered is written.
    pub(super) fn render(&mut self, unix_nanos: u64, render: impl FnOnce(&mut Rendering) -> Progress) {
        let Some(source) = self.source.as_mut().filter(|source| !source.is_finished) else { return };
        match render(&mut source.rendering) {
            Progress::Working => {}
            Progress::Piece(piece) => self.take_piece(&piece, false, unix_nanos),
            Progress::Last(piece) => self.take_piece(&piece, true, unix_nanos),
            Progress::Refused => {
                let response = Response::unavailable();
                *self = Self::whole(&response, source.is_head, self.keep_alive, unix_nanos);
            }
        }
    }

    /// Takes over what was rendered, with what belongs before and after it.
    fn take_piece(&mut self, piece: &str, is_last: bool, unix_nanos: u64) {
        let Some(source) = &mut self.source else { return };
        let is_chunked = !source.is_http_1_0 && (source.is_begun || !is_last);
        self.written_bytes = 0;
        self.bytes.clear();
        if !source.is_begun {
            let length = match is_last {
                true => Length::Known(piece.len()),
                false if is_chunked => Length::Chunked,
                false => Length::UntilTheEnd,
            };
            self.keep_alive &= length != Length::UntilTheEnd;
            self.bytes = head(200, JSON, length, self.keep_alive, unix_nanos);
        }
        if !source.is_head {
            push_piece(&mut self.bytes, piece, is_chunked, is_last);
        }
        source.is_begun = true;
        // Of a page that only its head was asked for no more is rendered than that takes.
        source.is_finished = is_last || source.is_head;
    }
}

/// What the head of an answer says of how long the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    /// Each piece says how long it is.
    Chunked,
    /// As long as the connection lives.
    UntilTheEnd,
}

fn push_piece(bytes: &mut Vec<u8>, piece: &str, is_chunked: bool, is_last: bool) {
    if !is_chunked {
        bytes.extend_from_slice(piece.as_bytes());
        return;
    }
    // A chunk of no bytes is the end.
    if !piece.is_empty() {
        bytes.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
    }
    if is_last {
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
}

impl Refusal {
    fn response(self) -> Response {
        let status = match self {
            Self::BadRequest | Self::MissingHost => 400,
            Self::TooLarge => 431,
            Self::Version => 505,
        };
        let detail = if self == Self::MissingHost { ": missing required Host header" } else { "" };
        Response::text(status, format!("{status} {}{detail}", reason(status)))
    }
}

/// The lines before the body.
fn head(status: u16, content_type: &str, length: Length, keep_alive: bool, unix_nanos: u64) -> Vec<u8> {
    let mut lines = vec![format!("HTTP/1.1 {status} {}", reason(status))];
    if content_type == JSON {
        lines.push("Access-Control-Allow-Origin: *".to_owned());
    }
    lines.push(format!("Content-Type: {content_type}"));
    if status == 404 {
        lines.push("X-Content-Type-Options: nosniff".to_owned());
    }
    lines.push(format!("Date: {}", date(unix_nanos)));
    match length {
        Length::Known(bytes) => lines.push(format!("Content-Length: {bytes}")),
        Length::Chunked => lines.push("Transfer-Encoding: chunked".to_owned()),
        Length::UntilTheEnd => {}
    }
    lines.push(format!("Connection: {}", if keep_alive { "keep-alive" } else { "close" }));
    let mut head = lines.join("\r\n").into_bytes();
    head.extend_from_slice(b"\r\n\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
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
