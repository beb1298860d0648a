//! The operations of both protocols, borrowed from the buffer that they were read into.

/// One complete operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `CONNECT {json}`: the JSON text.
    Connect(&'a [u8]),
    /// `INFO {json}`: the JSON text.
    Info(&'a [u8]),
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `+OK`
    Ok,
    /// `-ERR 'text'`: what follows the verb, quotes included.
    Err(&'a [u8]),
    /// `PUB` and `HPUB` (clients only).
    Publish(Message<'a>),
    /// `SUB <subject> [queue] <sid>` (clients only).
    Sub {
        /// The subject, possibly with wildcards; not validated yet.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB <sid> [max]` (clients only).
    Unsub {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// Total deliveries after which it ends; `None` ends it now. Zero, negative and non-numeric mean now.
        max: Option<u64>,
    },
    /// `RS+`, `LS+` (routes only).
    RoutedSub(RoutedSub<'a>),
    /// `RS-`, `LS-` (routes only).
    RoutedUnsub(RoutedUnsub<'a>),
    /// `RMSG`, `HMSG`, `LMSG` (routes only).
    RoutedMessage(RoutedMessage<'a>),
    /// An operation that is understood and has no effect here: `A+`/`A-` and client verbs on a route.
    Ignored,
}

/// A message, published by a client or sent by another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The subject; never validated by the parser.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// Length of the header block at the start of the body; zero if there is none (a header length of zero on the
    /// line means the same).
    pub header_len: usize,
    /// The end of the line as a delivery of this message repeats it, `[<reply> ]<size>` or
    /// `[<reply> ]<hdrlen> <total>` and CR LF, if it stood exactly so on the line; otherwise `None`. It saves formatting:
    /// a delivery is its own prefix, these bytes, and the body.
    pub line_tail: Option<&'a [u8]>,
    /// Headers and payload and the CR LF after them.
    pub body: &'a [u8],
}

/// Whether interest is a server's own or that of a leaf node behind it, with the leaf's cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafOrigin<'a> {
    /// `RS+`/`RS-`
    None,
    /// `LS+`/`LS-` without an origin on the line (peers without `lnocu`).
    Unnamed,
    /// `LS+ <origin>`/`LS- <origin>`
    Named(&'a [u8]),
}

/// Interest of another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutedSub<'a> {
    /// On whose behalf.
    pub leaf: LeafOrigin<'a>,
    /// The account; `None` on a connection dedicated to one.
    pub account: Option<&'a [u8]>,
    /// The subject, possibly with wildcards; not validated yet.
    pub subject: &'a [u8],
    /// The queue group and how many members it has there. A weight that is no number is 0.
    pub queue: Option<(&'a [u8], u32)>,
}

/// The end of another server's interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutedUnsub<'a> {
    /// On whose behalf.
    pub leaf: LeafOrigin<'a>,
    /// The account; `None` on a connection dedicated to one.
    pub account: Option<&'a [u8]>,
    /// The subject.
    pub subject: &'a [u8],
    /// The queue group.
    pub queue: Option<&'a [u8]>,
}

/// A message from another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutedMessage<'a> {
    /// The leaf cluster in which it was published (`LMSG`).
    pub leaf: Option<&'a [u8]>,
    /// The account; `None` on a connection dedicated to one.
    pub account: Option<&'a [u8]>,
    /// Subject, reply, sizes and body. `line_tail` is `None` where queue groups stand on the line.
    pub message: Message<'a>,
    /// The queue groups that the sender chose this server for, as they stood on the line, separated by blanks.
    /// Empty if none.
    pub queues: &'a [u8],
}
