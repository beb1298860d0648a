//! What the grammar of operations depends on, and what parsing leads to.

use std::{error, fmt};

use super::op::Op;

/// Which side of the server a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An application.
    Client,
    /// Another server of the cluster.
    Route,
}

/// What the grammar depends on. It may change between operations, never within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Which verbs there are.
    pub role: Role,
    /// Most bytes of arguments on a line, from the first that is no blank up to the CR LF. The verb does not count.
    pub max_control_line: usize,
    /// Most bytes of a published message, headers included. `None` on routes, which have no limit (wire.md 2.8).
    pub max_payload: Option<usize>,
    /// Nothing but `CONNECT` is acceptable yet.
    pub connect_only: bool,
    /// The client declared header support in its `CONNECT`; without it, `HPUB` is an error. No meaning on routes.
    pub headers: bool,
    /// The route is dedicated to one account, so that its lines name none (wire.md 2.7).
    pub dedicated: bool,
    /// `LS-` lines name the origin: the peer knows that this server understands it (`lnocu`).
    pub leaf_unsub_origin: bool,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// One whole operation.
    Op {
        /// The operation.
        op: Op<'a>,
        /// How many bytes of the input it took.
        consumed: usize,
    },
    /// The operation is not whole yet.
    Incomplete {
        /// How many bytes of the input are done with. What follows them must be presented again, followed by more.
        consumed: usize,
        /// How many bytes, counted from the first that is not done with, the operation needs in total; `None` if
        /// that is not known before the next LF. Calling again earlier is correct: it finds a wrong byte or an
        /// over-long line as early as the Go server does.
        wanted: Option<usize>,
    },
}

/// What a peer did wrong. Every one of these ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// An operation before `CONNECT` where only that is allowed.
    NotConnect,
    /// No verb of this role begins like that, or a payload does not end in CR LF.
    UnknownOperation,
    /// The arguments are longer than [`Dialect::max_control_line`].
    MaxControlLine,
    /// A message is larger than [`Dialect::max_payload`].
    MaxPayload,
    /// `HPUB` from a client that did not negotiate headers.
    HeadersNotNegotiated,
    /// The wrong number of arguments, or a malformed size, of the named operation.
    BadArguments(&'static str),
}

impl ParseError {
    /// The text of the `-ERR` that the peer is told before the connection is closed; `None` if it is closed without
    /// one (wire.md 1.8).
    pub fn wire_text(self) -> Option<&'static str> {
        match self {
            ParseError::NotConnect => Some("Authorization Violation"),
            ParseError::UnknownOperation => Some("Unknown Protocol Operation"),
            ParseError::MaxControlLine => Some("maximum control line exceeded"),
            ParseError::MaxPayload => Some("Maximum Payload Violation"),
            ParseError::HeadersNotNegotiated | ParseError::BadArguments(_) => None,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::NotConnect => f.write_str("operation before CONNECT"),
            ParseError::UnknownOperation => f.write_str("unknown protocol operation"),
            ParseError::MaxControlLine => f.write_str("maximum control line exceeded"),
            ParseError::MaxPayload => f.write_str("maximum payload exceeded"),
            ParseError::HeadersNotNegotiated => f.write_str("message headers were not negotiated"),
            ParseError::BadArguments(operation) => write!(f, "malformed arguments of {operation}"),
        }
    }
}

impl error::Error for ParseError {}
