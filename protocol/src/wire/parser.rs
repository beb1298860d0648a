//! Bytes into operations, in place (wire.md 1.1, 1.4, 2.6, 2.8).
//!
//! The parser looks at the caller's buffer and borrows every operation from it. What it remembers between calls is which
//! verb has been read, so that a caller never has to keep a verb, blanks or ignored bytes: only arguments and bodies.
//!
//! It fails where the Go server fails: at the first byte that no verb can have, at the first byte of a line over the
//! limit, at the line of a message that is too large, and at the first wrong byte after a payload.

use memchr::memchr;

use super::arguments::{self, Line, without_cr};
use super::grammar::{Dialect, ParseError, Parsed, Role};
use super::op::Op;

/// The parser of one connection's input.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    state: State,
}

impl Parser {
    /// A parser at the start of an operation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses one operation at the start of `input`, which begins where the last call's `consumed` ended.
    ///
    /// How the same bytes are divided over calls makes no difference to the operations and the error that come out.
    /// After an error the connection is to be closed; a further call would start a new operation.
    #[inline]
    pub fn parse<'a>(&mut self, dialect: &Dialect, input: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
        let result = match std::mem::take(&mut self.state) {
            State::Start => self.start(dialect, input),
            State::Arguments(verb) => self.arguments(dialect, verb, input, 0),
            State::Tail(op) => Ok(self.tail(op, input, 0)),
        };
        debug_assert!(!matches!(result, Ok(Parsed::Op { .. }) | Err(_)) || self.state == State::Start);
        result
    }

    #[inline]
    fn start<'a>(&mut self, dialect: &Dialect, input: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
        let Some(first) = input.first() else { return Ok(Parsed::Incomplete { consumed: 0, wanted: None }) };
        if dialect.connect_only && !first.eq_ignore_ascii_case(&b'C') {
            return Err(ParseError::NotConnect);
        }
        match recognise(dialect.role, input)? {
            Some((Verb::Swallowing(op), len)) => Ok(self.tail(op, input, len)),
            Some((verb, len)) => self.arguments(dialect, verb, input, len),
            None => Ok(Parsed::Incomplete { consumed: 0, wanted: None }),
        }
    }

    /// Ignores everything up to the LF, however long it is.
    fn tail<'a>(&mut self, op: Bare, input: &'a [u8], at: usize) -> Parsed<'a> {
        match memchr(b'\n', &input[at..]) {
            Some(len) => Parsed::Op { op: op.into(), consumed: at + len + 1 },
            None => {
                self.state = State::Tail(op);
                Parsed::Incomplete { consumed: input.len(), wanted: None }
            }
        }
    }

    fn arguments<'a>(
        &mut self,
        dialect: &Dialect,
        verb: Verb,
        input: &'a [u8],
        mut at: usize,
    ) -> Result<Parsed<'a>, ParseError> {
        while matches!(input.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let rest = &input[at..];
        // The first byte after the blanks never ends the line, not even if it is LF.
        let Some(line_len) = rest.get(1..).and_then(|rest| memchr(b'\n', rest)).map(|len| len + 2) else {
            if without_cr(rest).len() > dialect.max_control_line {
                return Err(ParseError::MaxControlLine);
            }
            self.state = State::Arguments(verb);
            return Ok(Parsed::Incomplete { consumed: at, wanted: None });
        };
        let line = Line::new(at, &rest[..line_len]);
        if line.arguments().len() > dialect.max_control_line {
            return Err(ParseError::MaxControlLine);
        }
        let parsed = verb.read(dialect, line, &rest[line_len..]);
        if let Ok(Parsed::Incomplete { .. }) = parsed {
            self.state = State::Arguments(verb);
        }
        parsed
    }
}

/// What has been consumed of the current operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing.
    #[default]
    Start,
    /// The verb and blanks after it.
    Arguments(Verb),
    /// The verb and some of what is ignored up to the LF.
    Tail(Bare),
}

/// Operations without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bare {
    Ping,
    Pong,
    Ok,
}

impl From<Bare> for Op<'_> {
    fn from(bare: Bare) -> Self {
        match bare {
            Bare::Ping => Op::Ping,
            Bare::Pong => Op::Pong,
            Bare::Ok => Op::Ok,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Swallowing(Bare),
    Connect,
    Info,
    Err,
    Pub,
    Hpub,
    Sub,
    Unsub,
    RoutedSub,
    RoutedUnsub,
    LeafSub,
    LeafUnsub,
    Rmsg,
    Hmsg,
    Lmsg,
    Account,
}

/// The verbs of both roles, a blank at the end where one must follow (a tab does as well). `HMSG` is here because the Go
/// server reads the line of a client's before it finds that it knows no such operation.
const SHARED_VERBS: &[(&[u8], Verb)] = &[
    (b"PUB ", Verb::Pub),
    (b"HPUB ", Verb::Hpub),
    (b"SUB ", Verb::Sub),
    (b"UNSUB ", Verb::Unsub),
    (b"PING", Verb::Swallowing(Bare::Ping)),
    (b"PONG", Verb::Swallowing(Bare::Pong)),
    (b"CONNECT", Verb::Connect),
    (b"INFO", Verb::Info),
    (b"+OK", Verb::Swallowing(Bare::Ok)),
    (b"-ERR ", Verb::Err),
    (b"HMSG ", Verb::Hmsg),
];

const ROUTE_VERBS: &[(&[u8], Verb)] = &[
    (b"RMSG ", Verb::Rmsg),
    (b"RS+ ", Verb::RoutedSub),
    (b"RS- ", Verb::RoutedUnsub),
    (b"LMSG ", Verb::Lmsg),
    (b"LS+ ", Verb::LeafSub),
    (b"LS- ", Verb::LeafUnsub),
    (b"A+ ", Verb::Account),
    (b"A- ", Verb::Account),
];

/// The verb at the start of `input` and its length; `None` if more bytes are needed to tell.
///
/// The messages come first, since nothing else comes as often.
#[inline]
fn recognise(role: Role, input: &[u8]) -> Result<Option<(Verb, usize)>, ParseError> {
    match input {
        [b'P', b'U', b'B', b' ', ..] => Ok(Some((Verb::Pub, 4))),
        [b'H', b'P', b'U', b'B', b' ', ..] => Ok(Some((Verb::Hpub, 5))),
        [b'R', b'M', b'S', b'G', b' ', ..] if role == Role::Route => Ok(Some((Verb::Rmsg, 5))),
        [b'H', b'M', b'S', b'G', b' ', ..] => Ok(Some((Verb::Hmsg, 5))),
        _ => recognise_any(role, input),
    }
}

fn recognise_any(role: Role, input: &[u8]) -> Result<Option<(Verb, usize)>, ParseError> {
    let route_verbs = if role == Role::Route { ROUTE_VERBS } else { &[] };
    let mut is_prefix = false;
    for &(name, verb) in route_verbs.iter().chain(SHARED_VERBS) {
        let len = name.len().min(input.len());
        if name.iter().zip(&input[..len]).all(|(&expected, &byte)| spells(expected, byte)) {
            if len == name.len() {
                return Ok(Some((verb, len)));
            }
            is_prefix = true;
        }
    }
    if is_prefix { Ok(None) } else { Err(ParseError::UnknownOperation) }
}

fn spells(expected: u8, byte: u8) -> bool {
    byte.eq_ignore_ascii_case(&expected) || (expected == b' ' && byte == b'\t')
}

impl Verb {
    /// Reads the operation, given its line and what follows it.
    #[inline]
    fn read<'a>(self, dialect: &Dialect, line: Line<'a>, after: &'a [u8]) -> Result<Parsed<'a>, ParseError> {
        match (self, dialect.role) {
            (Verb::Pub, _) => arguments::publish(dialect, line, after),
            (Verb::Hpub, _) => arguments::publish_with_headers(dialect, line, after),
            (Verb::Rmsg, Role::Route) => arguments::rmsg(dialect, line, after),
            (Verb::Hmsg, Role::Route) => arguments::hmsg(dialect, line, after),
            (Verb::Lmsg, Role::Route) => arguments::lmsg(dialect, line, after),
            _ => self.read_line(dialect, line).map(|op| line.parsed(op)),
        }
    }

    fn read_line<'a>(self, dialect: &Dialect, line: Line<'a>) -> Result<Op<'a>, ParseError> {
        match (self, dialect.role) {
            (Verb::Swallowing(bare), _) => Ok(bare.into()),
            (Verb::Connect, _) => Ok(Op::Connect(line.arguments())),
            (Verb::Info, _) => Ok(Op::Info(line.arguments())),
            (Verb::Err, _) => Ok(Op::Err(line.arguments())),
            (Verb::Sub, Role::Client) => arguments::sub(line),
            (Verb::Unsub, Role::Client) => arguments::unsub(line),
            (Verb::Unsub, Role::Route) => Err(ParseError::BadArguments("UNSUB on a route")),
            (Verb::Sub | Verb::Account, _) => Ok(Op::Ignored),
            (Verb::RoutedSub, _) => arguments::routed_sub(dialect, line),
            (Verb::LeafSub, _) => arguments::leaf_sub(dialect, line),
            (Verb::RoutedUnsub, _) => arguments::routed_unsub(dialect, line),
            (Verb::LeafUnsub, _) => arguments::leaf_unsub(dialect, line),
            (Verb::Pub | Verb::Hpub | Verb::Rmsg | Verb::Hmsg | Verb::Lmsg, _) => {
                Err(ParseError::UnknownOperation)
            }
        }
    }
}

#[cfg(test)]
mod tests;
