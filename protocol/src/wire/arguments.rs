//! What stands after the verb: one reader for each operation with arguments.
//!
//! Arguments are separated by blanks, tabs and stray CRs or LFs, and are eaten from both ends of the line: what has a fixed
//! place at the front, then the sizes at the back; what is left in the middle is the optional part.

use super::grammar::{Dialect, ParseError, Parsed, Role};
use super::op::{LeafOrigin, Message, Op, RoutedMessage, RoutedSub, RoutedUnsub};

/// Most digits of a size on a line; a longer number is malformed (wire.md 1.1). It bounds a body to under 1 GB
/// where [`Dialect::max_payload`] does not.
pub const MAX_SIZE_DIGITS: usize = 9;

/// The arguments of one operation, from the first byte that is no blank through the LF.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// How many bytes of the input stand before it.
    at: usize,
    raw: &'a [u8],
}

impl<'a> Line<'a> {
    #[inline]
    pub(super) fn new(at: usize, raw: &'a [u8]) -> Self {
        debug_assert!(raw.ends_with(b"\n"));
        Line { at, raw }
    }

    /// Without the LF and a CR before it.
    #[inline]
    pub(super) fn arguments(self) -> &'a [u8] {
        without_cr(&self.raw[..self.raw.len() - 1])
    }

    /// An operation that ends with its line.
    #[inline]
    pub(super) fn parsed(self, op: Op<'a>) -> Parsed<'a> {
        Parsed::Op { op, consumed: self.at + self.raw.len() }
    }

    /// The operation that `make` builds of the body, once body and CR LF are there.
    #[inline(always)]
    fn with_body(
        self,
        size: usize,
        after: &'a [u8],
        make: impl FnOnce(&'a [u8]) -> Op<'a>,
    ) -> Result<Parsed<'a>, ParseError> {
        let body_len = size + 2;
        match after.get(size..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {
                Ok(Parsed::Op { op: make(&after[..body_len]), consumed: self.at + self.raw.len() + body_len })
            }
            [] | [b'\r'] => {
                Ok(Parsed::Incomplete { consumed: self.at, wanted: Some(self.raw.len() + body_len) })
            }
            _ => Err(ParseError::UnknownOperation),
        }
    }
}

/// `PUB <subject> [reply] <size>`
#[inline]
pub(super) fn publish<'a>(
    dialect: &Dialect,
    line: Line<'a>,
    after: &'a [u8],
) -> Result<Parsed<'a>, ParseError> {
    read_publish(dialect, line, after, "PUB", false)
}

/// `HPUB <subject> [reply] <header length> <total size>`
pub(super) fn publish_with_headers<'a>(
    dialect: &Dialect,
    line: Line<'a>,
    after: &'a [u8],
) -> Result<Parsed<'a>, ParseError> {
    if dialect.role == Role::Client && !dialect.headers {
        return Err(ParseError::HeadersNotNegotiated);
    }
    read_publish(dialect, line, after, "HPUB", true)
}

#[inline(always)]
fn read_publish<'a>(
    dialect: &Dialect,
    line: Line<'a>,
    after: &'a [u8],
    name: &'static str,
    has_header_len: bool,
) -> Result<Parsed<'a>, ParseError> {
    let bad = ParseError::BadArguments(name);
    let mut words = Words::new(line);
    let subject = words.take_first().ok_or(bad)?;
    let tail_start = words.start;
    let sizes = Sizes::take(&mut words, has_header_len).ok_or(bad)?;
    let reply = words.take_first();
    if !words.is_empty() {
        return Err(bad);
    }
    if dialect.max_payload.is_some_and(|max| sizes.total > max) {
        return Err(ParseError::MaxPayload);
    }
    let line_tail = sizes.line_tail(line, tail_start, reply);
    line.with_body(sizes.total, after, |body| match dialect.role {
        Role::Client => {
            Op::Publish(Message { subject, reply, header_len: sizes.header_len, line_tail, body })
        }
        // On a route it parses and does nothing (wire.md 2.6).
        Role::Route => Op::Ignored,
    })
}

/// `SUB <subject> [queue] <sid>`
pub(super) fn sub(line: Line<'_>) -> Result<Op<'_>, ParseError> {
    let mut words = Words::new(line);
    let (subject, sid) = (words.take_first(), words.take_last());
    let queue = words.take_first();
    match (subject, sid) {
        (Some(subject), Some(sid)) if words.is_empty() => Ok(Op::Sub { subject, queue, sid }),
        _ => Err(ParseError::BadArguments("SUB")),
    }
}

/// `UNSUB <sid> [max]`
pub(super) fn unsub(line: Line<'_>) -> Result<Op<'_>, ParseError> {
    let mut words = Words::new(line);
    let (sid, max) = (words.take_first(), words.take_first());
    match sid {
        Some(sid) if words.is_empty() => {
            let max = max.and_then(parse_size).filter(|&max| max > 0).map(|max| max as u64);
            Ok(Op::Unsub { sid, max })
        }
        _ => Err(ParseError::BadArguments("UNSUB")),
    }
}

/// `RS+ [account] <subject> [<queue> <weight>]`
pub(super) fn routed_sub<'a>(dialect: &Dialect, line: Line<'a>) -> Result<Op<'a>, ParseError> {
    read_routed_sub(dialect, Words::new(line), LeafOrigin::None).ok_or(ParseError::BadArguments("RS+"))
}

/// `LS+ <origin> [account] <subject> [<queue> <weight>]`
pub(super) fn leaf_sub<'a>(dialect: &Dialect, line: Line<'a>) -> Result<Op<'a>, ParseError> {
    let mut words = Words::new(line);
    let origin = words.take_first().map(LeafOrigin::Named);
    origin.and_then(|origin| read_routed_sub(dialect, words, origin)).ok_or(ParseError::BadArguments("LS+"))
}

fn read_routed_sub<'a>(dialect: &Dialect, mut words: Words<'a>, leaf: LeafOrigin<'a>) -> Option<Op<'a>> {
    let account = take_account(dialect, &mut words)?;
    let subject = words.take_first()?;
    let queue = match words.take_first() {
        Some(queue) => Some((queue, parse_weight(words.take_first()?))),
        None => None,
    };
    words.is_empty().then_some(Op::RoutedSub(RoutedSub { leaf, account, subject, queue }))
}

/// A weight that is no number counts as zero, which is never selected (wire.md 2.7, 13).
fn parse_weight(digits: &[u8]) -> u32 {
    parse_size(digits).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0)
}

/// `RS- [account] <subject> [queue]`
pub(super) fn routed_unsub<'a>(dialect: &Dialect, line: Line<'a>) -> Result<Op<'a>, ParseError> {
    read_routed_unsub(dialect, Words::new(line), LeafOrigin::None).ok_or(ParseError::BadArguments("RS-"))
}

/// `LS- [origin] [account] <subject> [queue]`
pub(super) fn leaf_unsub<'a>(dialect: &Dialect, line: Line<'a>) -> Result<Op<'a>, ParseError> {
    let mut words = Words::new(line);
    let origin = match dialect.leaf_unsub_origin {
        true => words.take_first().map(LeafOrigin::Named),
        false => Some(LeafOrigin::Unnamed),
    };
    origin.and_then(|origin| read_routed_unsub(dialect, words, origin)).ok_or(ParseError::BadArguments("LS-"))
}

fn read_routed_unsub<'a>(dialect: &Dialect, mut words: Words<'a>, leaf: LeafOrigin<'a>) -> Option<Op<'a>> {
    let account = take_account(dialect, &mut words)?;
    let subject = words.take_first()?;
    let queue = words.take_first();
    words.is_empty().then_some(Op::RoutedUnsub(RoutedUnsub { leaf, account, subject, queue }))
}

/// `RMSG [account] <subject> … <size>`
#[inline]
pub(super) fn rmsg<'a>(dialect: &Dialect, line: Line<'a>, after: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
    read_routed_message(dialect, line, after, Verb { name: "RMSG", has_origin: false, has_header_len: false })
}

/// `HMSG [account] <subject> … <header length> <total size>`
pub(super) fn hmsg<'a>(dialect: &Dialect, line: Line<'a>, after: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
    read_routed_message(dialect, line, after, Verb { name: "HMSG", has_origin: false, has_header_len: true })
}

/// `LMSG <origin> [account] <subject> … <header length> <total size>`
pub(super) fn lmsg<'a>(dialect: &Dialect, line: Line<'a>, after: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
    read_routed_message(dialect, line, after, Verb { name: "LMSG", has_origin: true, has_header_len: true })
}

/// How the verbs of routed messages differ.
struct Verb {
    name: &'static str,
    has_origin: bool,
    has_header_len: bool,
}

#[inline(always)]
fn read_routed_message<'a>(
    dialect: &Dialect,
    line: Line<'a>,
    after: &'a [u8],
    verb: Verb,
) -> Result<Parsed<'a>, ParseError> {
    let bad = ParseError::BadArguments(verb.name);
    let mut words = Words::new(line);
    let leaf = if verb.has_origin { Some(words.take_first().ok_or(bad)?) } else { None };
    let account = take_account(dialect, &mut words).ok_or(bad)?;
    let subject = words.take_first().ok_or(bad)?;
    let tail_start = words.start;
    let sizes = Sizes::take(&mut words, verb.has_header_len).ok_or(bad)?;
    let (reply, queues) = take_reply_and_queues(&mut words).ok_or(bad)?;
    if dialect.max_payload.is_some_and(|max| sizes.total > max) {
        return Err(ParseError::MaxPayload);
    }
    let line_tail = if queues.is_empty() { sizes.line_tail(line, tail_start, reply) } else { None };
    line.with_body(sizes.total, after, |body| {
        let message = Message { subject, reply, header_len: sizes.header_len, line_tail, body };
        Op::RoutedMessage(RoutedMessage { leaf, account, message, queues })
    })
}

/// `[reply]`, `| <queue>…` or `+ <reply> [queue]…`: a single word is a reply, even if it is `|` or `+`
/// (wire.md 2.8).
#[inline]
fn take_reply_and_queues<'a>(words: &mut Words<'a>) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let first = words.take_first();
    match first {
        _ if words.is_empty() => Some((first, b"")),
        Some(b"|") => Some((None, words.rest())),
        Some(b"+") => Some((words.take_first(), words.rest())),
        _ => None,
    }
}

/// `Some(None)` on a connection dedicated to an account.
#[inline]
fn take_account<'a>(dialect: &Dialect, words: &mut Words<'a>) -> Option<Option<&'a [u8]>> {
    if dialect.dedicated { Some(None) } else { words.take_first().map(Some) }
}

/// The numbers at the end of a message's line.
struct Sizes<'a> {
    header_len: usize,
    header_digits: Option<&'a [u8]>,
    total: usize,
    total_digits: &'a [u8],
}

impl<'a> Sizes<'a> {
    #[inline(always)]
    fn take(words: &mut Words<'a>, has_header_len: bool) -> Option<Self> {
        let total_digits = words.take_last()?;
        let total = parse_size(total_digits)?;
        let header_digits = if has_header_len { Some(words.take_last()?) } else { None };
        let header_len = header_digits.map_or(Some(0), parse_size)?;
        (header_len <= total).then_some(Sizes { header_len, header_digits, total, total_digits })
    }

    /// See [`Message::line_tail`]. A header length of zero is not repeated, so its line is of no use.
    #[inline(always)]
    fn line_tail(&self, line: Line<'a>, start: usize, reply: Option<&[u8]>) -> Option<&'a [u8]> {
        if self.header_len == 0 && self.header_digits.is_some() {
            return None;
        }
        let tail = &line.raw[start..];
        let mut at = 0;
        for word in [reply, self.header_digits].into_iter().flatten() {
            at += word.len();
            if tail[at] != b' ' {
                return None;
            }
            at += 1;
        }
        // Had two blanks stood anywhere, this would be too early on the line.
        (tail[at + self.total_digits.len()..] == *b"\r\n").then_some(tail)
    }
}

/// One to nine digits.
#[inline]
fn parse_size(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS {
        return None;
    }
    let mut size = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        size = size * 10 + usize::from(digit - b'0');
    }
    Some(size)
}

/// The words of a line, eaten from both ends. No separator stands at either end of what is left.
#[derive(Clone, Copy)]
struct Words<'a> {
    line: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Words<'a> {
    #[inline]
    fn new(line: Line<'a>) -> Self {
        let mut words = Words { line: line.raw, start: 0, end: line.raw.len() };
        words.trim_start();
        words.trim_end();
        words
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        &self.line[self.start.min(self.end)..self.end]
    }

    #[inline]
    fn take_first(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| is_separator(byte)).unwrap_or(rest.len());
        self.start += len;
        self.trim_start();
        (len > 0).then(|| &rest[..len])
    }

    #[inline]
    fn take_last(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        let at = rest.iter().rposition(|&byte| is_separator(byte)).map_or(0, |at| at + 1);
        self.end -= rest.len() - at;
        self.trim_end();
        (at < rest.len()).then(|| &rest[at..])
    }

    #[inline]
    fn trim_start(&mut self) {
        while self.start < self.end && is_separator(self.line[self.start]) {
            self.start += 1;
        }
    }

    #[inline]
    fn trim_end(&mut self) {
        while self.start < self.end && is_separator(self.line[self.end - 1]) {
            self.end -= 1;
        }
    }
}

/// CR and LF are here so that none can be smuggled into a subject, and out again in another client's line (wire.md 13).
#[inline]
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without one CR at the end.
#[inline]
pub(super) fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
