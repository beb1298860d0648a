//! Why a connection ended.

use std::fmt;

/// Why a connection ended, under the names that monitoring and logs show (wire.md 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// The peer closed its side, or is to connect once more.
    ClientClosed,
    /// No valid CONNECT in time, or from a server no INFO.
    AuthenticationTimeout,
    /// Wrong credentials, or an operation before CONNECT where one is needed.
    AuthenticationFailure,
    /// More bytes waited for it than `max_pending`.
    SlowConsumerPendingBytes,
    /// It took too little within the write deadline.
    SlowConsumerWriteDeadline,
    /// The socket failed while writing.
    WriteError,
    /// The socket failed while reading.
    ReadError,
    /// What was read is no request for a WebSocket, or no frames of one. Monitoring does not tell it from a socket that failed;
    /// but this one can still be written to.
    InvalidFrames,
    /// The peer sent an error. Bytes that are no operation are a [`ProtocolViolation`](Self::ProtocolViolation).
    ParseError,
    /// Too many PINGs were left unanswered.
    StaleConnection,
    /// The peer broke a rule of the protocol.
    ProtocolViolation,
    /// CONNECT asked for a client protocol that does not exist.
    BadClientProtocolVersion,
    /// A client came to the route port.
    IncorrectPort,
    /// A gateway came to the route port.
    WrongGateway,
    /// The node has as many clients as it may.
    MaximumConnectionsExceeded,
    /// The account of the client has as many as it may.
    MaximumAccountConnectionsExceeded,
    /// A payload beyond `max_payload`.
    MaximumPayloadExceeded,
    /// A protocol line beyond `max_control_line`.
    MaximumControlLineExceeded,
    /// A route announced more interest than it may.
    MaximumSubscriptionsExceeded,
    /// There is such a route already.
    DuplicateRoute,
    /// The route is no longer wanted.
    RouteRemoved,
    /// The node stops.
    ServerShutdown,
    /// A route asked for an account that is not here.
    MissingAccount,
    /// `no_responders` without `headers`.
    NoRespondersRequiresHeaders,
    /// TLS came to nothing: what the peer showed, or how it spoke, was not good, or it did not speak in time.
    TlsHandshakeFailure,
    /// The peer belongs to another cluster.
    ClusterNameConflict,
    /// The peer bears this node's name.
    DuplicateServerName,
    /// This node failed: its machine or its driver panicked, or the thread that drives it does not go on.
    InternalError,
}

impl CloseReason {
    /// Whether the peer read too slowly.
    pub(crate) fn is_slowness(self) -> bool {
        matches!(self, Self::SlowConsumerPendingBytes | Self::SlowConsumerWriteDeadline)
    }

    /// The name that monitoring shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError | Self::InvalidFrames => "Read Error",
            Self::ParseError => "Parse Error",
            Self::StaleConnection => "Stale Connection",
            Self::ProtocolViolation => "Protocol Violation",
            Self::BadClientProtocolVersion => "Bad Client Protocol Version",
            Self::IncorrectPort => "Incorrect Port",
            Self::WrongGateway => "Wrong Gateway",
            Self::MaximumConnectionsExceeded => "Maximum Connections Exceeded",
            Self::MaximumAccountConnectionsExceeded => "Maximum Account Connections Exceeded",
            Self::MaximumPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaximumControlLineExceeded => "Maximum Control Line Exceeded",
            Self::MaximumSubscriptionsExceeded => "Maximum Subscriptions Exceeded",
            Self::DuplicateRoute => "Duplicate Route",
            Self::RouteRemoved => "Route Removed",
            Self::ServerShutdown => "Server Shutdown",
            Self::MissingAccount => "Missing Account",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::TlsHandshakeFailure => "TLS Handshake Failure",
            Self::ClusterNameConflict => "Cluster Name Conflict",
            Self::DuplicateServerName => "Duplicate Server Name",
            Self::InternalError => "Internal Error",
        }
    }

    /// Whether what still waits for the peer should be written before the socket is closed. Not for a peer
    /// that does not read, nor on a socket that failed.
    pub const fn flushes(self) -> bool {
        !matches!(
            self,
            Self::SlowConsumerPendingBytes
                | Self::SlowConsumerWriteDeadline
                | Self::WriteError
                | Self::ReadError
        )
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
