//! What a peer may do wrong, in nats-server's words where it has any.

use std::fmt;

/// Why a request for a WebSocket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketRefusal {
    /// Bytes that are no request.
    NoRequest,
    /// It is longer than [`MAX_REQUEST_BYTES`](super::MAX_REQUEST_BYTES), or has too many headers.
    TooLarge,
    /// It does not say which host it is for.
    NoHost,
    /// It is no `GET`.
    Method,
    /// Leaf nodes have a path of their own, and there are none here.
    LeafNode,
    /// So has MQTT.
    Mqtt,
    /// It does not ask for a WebSocket.
    Upgrade,
    /// It does not say so to the next server on the way, either.
    Connection,
    /// There is one version.
    Version,
    /// There is nothing to show that it was understood by.
    NoKey,
    /// What there is does not have 16 bytes.
    Key,
    /// A page that does not say where it is from.
    NoOrigin,
    /// A page from elsewhere.
    OtherOrigin,
    /// A page from a place that is not among those that it may be from.
    UnlistedOrigin,
    /// The peer went on before it was answered.
    EarlyData,
}

/// What is wrong with frames. The connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketFault {
    /// Bits that mean nothing are set.
    ReservedBits,
    /// No frame is of this kind.
    UnknownOpcode(u8),
    /// A client masks what it sends.
    NoMask,
    /// A length beyond 63 bits.
    Length,
    /// A ping, pong or close that is longer than 125 bytes.
    LongControlFrame,
    /// One that is divided.
    FragmentedControlFrame,
    /// One that is compressed.
    CompressedControlFrame,
    /// Nobody agreed on compression.
    UnexpectedCompression,
    /// A frame that goes on with no message, or in another way.
    Continuation,
    /// A message began before the end of the last.
    UnfinishedMessage,
    /// A close with half a number.
    CloseLength,
    /// A close with a number that is not for the wire.
    CloseCode(u16),
    /// What cannot be decompressed.
    Compression,
    /// A compressed message that means more than one may.
    TooLong,
}

impl fmt::Display for WebSocketRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRequest => "bytes that are no request",
            Self::TooLarge => "request too large",
            Self::NoHost => "missing required Host header",
            Self::Method => "request method must be GET",
            Self::LeafNode => "leaf node websocket endpoint not enabled",
            Self::Mqtt => "mqtt websocket endpoint not enabled",
            Self::Upgrade => "invalid value for header 'Upgrade'",
            Self::Connection => "invalid value for header 'Connection'",
            Self::Version => "invalid version",
            Self::NoKey => "key missing",
            Self::Key => "invalid websocket key",
            Self::NoOrigin => "origin not allowed: it is none",
            Self::OtherOrigin => "origin not allowed: not same origin",
            Self::UnlistedOrigin => "origin not allowed: not in the allowed list",
            Self::EarlyData => "client sent data before handshake is complete",
        })
    }
}

impl fmt::Display for WebSocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "RSV2 and RSV3 must be clear",
            Self::UnknownOpcode(opcode) => return write!(f, "unknown opcode {opcode}"),
            Self::NoMask => "mask bit missing",
            Self::Length => "invalid 64-bit payload length",
            Self::LongControlFrame => "control frame length bigger than maximum allowed of 125 bytes",
            Self::FragmentedControlFrame => "control frame does not have final bit set",
            Self::CompressedControlFrame => "control frame must not be compressed",
            Self::UnexpectedCompression => "compressed frame received without negotiated permessage-deflate",
            Self::Continuation => "invalid continuation frame",
            Self::UnfinishedMessage => {
                "new message started before final frame for previous message was received"
            }
            Self::CloseLength => "close frame payload cannot be 1 byte",
            Self::CloseCode(code) => return write!(f, "invalid close status code {code}"),
            Self::Compression => "compressed data is corrupt",
            Self::TooLong => "maximum payload exceeded",
        })
    }
}
