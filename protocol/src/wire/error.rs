//! What a peer can do wrong (wire.md 1.8, 2.9).

use std::borrow::Cow;
use std::{error, fmt};

use super::grammar::ParseError;
use crate::close::CloseReason;
use crate::quote::InQuotes;

/// What a peer did wrong: what it is told of that, word by word as nats-server says it, and whether and under which name the
/// connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// Bytes that are no operation, or one that is not allowed.
    Parse(ParseError),
    /// A CONNECT or an INFO whose JSON means nothing.
    InvalidJson,
    /// One connection too many.
    MaximumConnections,
    /// More handshakes than `connection_rate_limit` in a second.
    ConnectionThrottled,
    /// One connection too many in an account.
    MaximumAccountConnections,
    /// Wrong credentials, or none where some are needed.
    Authorization,
    /// The credentials did not come in time.
    AuthenticationTimeout,
    /// Too many PINGs were left unanswered.
    StaleConnection,
    /// A CONNECT with a `protocol` that does not exist.
    ClientProtocol,
    /// A CONNECT with `no_responders` and without `headers`.
    NoRespondersWithoutHeaders,
    /// A SUB of what is no filter.
    InvalidSubject,
    /// A server's interest in what is no filter.
    InvalidSubscription,
    /// A pedantic client's PUB to what is no subject.
    InvalidPublishSubject,
    /// A PUB to where the client may not publish.
    PublishPermission {
        /// The subject.
        subject: String,
    },
    /// A PUB with a reply that clients may not use.
    ReplyPermission {
        /// The reply.
        reply: String,
    },
    /// A SUB of what the client may not subscribe to.
    SubscribePermission {
        /// The filter.
        subject: String,
    },
    /// A SUB in a queue group that the client may not be in.
    QueuePermission {
        /// The filter.
        subject: String,
        /// The queue group.
        queue: String,
    },
    /// A SUB with more tokens than `max_sub_tokens`.
    TooManyTokens {
        /// The filter.
        subject: String,
    },
    /// One subscription more than `max_subscriptions`.
    MaximumSubscriptions,
    /// A client came to the route port.
    ClientOnRoutePort,
    /// A gateway came to the route port.
    GatewayOnRoutePort {
        /// Its name.
        gateway: String,
    },
    /// The CONNECT of a server of another cluster.
    ClusterName {
        /// The name of its cluster.
        theirs: String,
        /// The name of this node's.
        ours: String,
    },
    /// The CONNECT of a server of a cluster that may not be called so.
    ReservedClusterName {
        /// The name.
        theirs: String,
    },
    /// The INFO of a server of another cluster.
    ClusterNameInInfo {
        /// The name of its cluster.
        theirs: String,
        /// The name of this node's.
        ours: String,
    },
    /// A server with this node's name.
    DuplicateServerName {
        /// The name.
        name: String,
    },
    /// This node itself, or a server that there is such a route with already.
    DuplicateRoute,
    /// A server that dialed for a slot that the pool does not have.
    PoolIndex {
        /// The slot.
        index: i32,
        /// The size of the pool.
        size: usize,
    },
    /// A server that was dialed and says for which slot.
    UnexpectedPoolIndex {
        /// The slot.
        index: i32,
    },
    /// A route for one account, where one of the two servers has no pools.
    DedicatedWithoutPool {
        /// The account.
        account: String,
    },
    /// A route for an account that has none of its own here.
    NotPinned {
        /// The account.
        account: String,
    },
    /// A route for an account that is not here.
    UnknownAccount {
        /// The account.
        account: String,
    },
    /// A connection of a circuit that there is not (wire.md 14.7).
    UnknownCircuit,
    /// A server with a name, an id or a cluster that no server has.
    NameTooLong,
    /// A server that was answered too much before its handshake was over.
    EndlessHandshake,
    /// A server that announced more interest than a route may.
    MaximumInterest,
    /// A server that compresses in a way that does not exist.
    CompressionMode {
        /// The way.
        mode: String,
    },
    /// The peer sent an error itself.
    Told,
}

impl ProtocolError {
    /// The text of the `-ERR` that the peer is told; `None` if it is told nothing.
    pub fn text(&self) -> Option<Cow<'static, str>> {
        let text = match self {
            Self::Parse(error) => return error.wire_text().map(Cow::Borrowed),
            Self::InvalidJson
            | Self::ClusterNameInInfo { .. }
            | Self::DuplicateServerName { .. }
            | Self::DuplicateRoute
            | Self::NameTooLong
            | Self::EndlessHandshake
            | Self::MaximumInterest
            | Self::Told => return None,
            Self::MaximumConnections => "maximum connections exceeded",
            Self::ConnectionThrottled => "Connection throttling is active. Please try again later.",
            Self::MaximumAccountConnections => "maximum account active connections exceeded",
            Self::Authorization => "Authorization Violation",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::StaleConnection => "Stale Connection",
            Self::ClientProtocol => "invalid client protocol",
            Self::NoRespondersWithoutHeaders => "no responders requires headers support",
            Self::InvalidSubject => "Invalid Subject",
            Self::InvalidSubscription => "Invalid Subscription",
            Self::InvalidPublishSubject => "Invalid Publish Subject",
            Self::MaximumSubscriptions => "maximum subscriptions exceeded",
            Self::ClientOnRoutePort => "attempted to connect to route port",
            Self::UnknownCircuit => "Unknown Circuit",
            _ => return Some(Cow::Owned(self.detailed_text())),
        };
        Some(Cow::Borrowed(text))
    }

    /// Under which name the connection ends; `None` if it goes on.
    pub fn close_reason(&self) -> Option<CloseReason> {
        Some(match self {
            Self::InvalidSubject
            | Self::InvalidSubscription
            | Self::InvalidPublishSubject
            | Self::PublishPermission { .. }
            | Self::ReplyPermission { .. }
            | Self::SubscribePermission { .. }
            | Self::QueuePermission { .. }
            | Self::TooManyTokens { .. }
            | Self::MaximumSubscriptions => return None,
            Self::Parse(ParseError::NotConnect) | Self::Authorization => CloseReason::AuthenticationFailure,
            Self::Parse(ParseError::MaxControlLine) => CloseReason::MaximumControlLineExceeded,
            Self::Parse(ParseError::MaxPayload) => CloseReason::MaximumPayloadExceeded,
            // Under this name in nats-server, whatever it was.
            Self::Parse(_) | Self::InvalidJson => CloseReason::ProtocolViolation,
            Self::MaximumConnections | Self::ConnectionThrottled => CloseReason::MaximumConnectionsExceeded,
            Self::MaximumAccountConnections => CloseReason::MaximumAccountConnectionsExceeded,
            Self::AuthenticationTimeout => CloseReason::AuthenticationTimeout,
            Self::StaleConnection => CloseReason::StaleConnection,
            Self::ClientProtocol => CloseReason::BadClientProtocolVersion,
            Self::NoRespondersWithoutHeaders => CloseReason::NoRespondersRequiresHeaders,
            Self::ClientOnRoutePort => CloseReason::IncorrectPort,
            Self::GatewayOnRoutePort { .. } => CloseReason::WrongGateway,
            Self::ClusterName { .. } | Self::ReservedClusterName { .. } | Self::ClusterNameInInfo { .. } => {
                CloseReason::ClusterNameConflict
            }
            Self::DuplicateServerName { .. } => CloseReason::DuplicateServerName,
            Self::DuplicateRoute => CloseReason::DuplicateRoute,
            Self::PoolIndex { .. }
            | Self::UnexpectedPoolIndex { .. }
            | Self::DedicatedWithoutPool { .. }
            | Self::NotPinned { .. }
            | Self::NameTooLong
            | Self::UnknownCircuit
            | Self::CompressionMode { .. } => CloseReason::ProtocolViolation,
            Self::EndlessHandshake => CloseReason::SlowConsumerPendingBytes,
            Self::MaximumInterest => CloseReason::MaximumSubscriptionsExceeded,
            Self::UnknownAccount { .. } => CloseReason::MissingAccount,
            Self::Told => CloseReason::ParseError,
        })
    }

    /// The texts that quote the peer.
    fn detailed_text(&self) -> String {
        match self {
            Self::PublishPermission { subject } => {
                format!("Permissions Violation for Publish to {}", InQuotes(subject))
            }
            Self::ReplyPermission { reply } => {
                format!("Permissions Violation for Publish with Reply of {}", InQuotes(reply))
            }
            Self::SubscribePermission { subject } => {
                format!("Permissions Violation for Subscription to {}", InQuotes(subject))
            }
            Self::QueuePermission { subject, queue } => {
                format!(
                    "Permissions Violation for Subscription to {} using queue {}",
                    InQuotes(subject),
                    InQuotes(queue)
                )
            }
            Self::TooManyTokens { subject } => {
                format!("Permissions Violation for Subscription to {}, too many tokens", InQuotes(subject))
            }
            Self::GatewayOnRoutePort { gateway } => {
                format!("Rejecting connection from gateway {} on the Route port", InQuotes(gateway))
            }
            Self::ClusterName { theirs, ours } | Self::ClusterNameInInfo { theirs, ours } => {
                format!(
                    "Rejecting connection, cluster name {} does not match {}",
                    InQuotes(theirs),
                    InQuotes(ours)
                )
            }
            Self::ReservedClusterName { theirs } => {
                format!("Rejecting connection, cluster name {} is reserved", InQuotes(theirs))
            }
            Self::PoolIndex { index, size } => {
                format!("Invalid route pool index: {index} - pool size is {size}")
            }
            Self::UnexpectedPoolIndex { index } => {
                format!("Route pool index should not be set but is set to {index}")
            }
            Self::DedicatedWithoutPool { account } => {
                format!(
                    "Not possible to have a dedicated route for account {} between those servers",
                    InQuotes(account)
                )
            }
            Self::NotPinned { account } => format!("No route for account {}", InQuotes(account)),
            Self::UnknownAccount { account } => {
                format!("Unable to lookup account {}: account missing", InQuotes(account))
            }
            Self::DuplicateServerName { name } => {
                format!("Remote server has a duplicate name: {}", InQuotes(name))
            }
            Self::CompressionMode { mode } => {
                format!("unsupported route compression mode {}", InQuotes(mode))
            }
            _ => String::new(),
        }
    }
}

impl From<ParseError> for ProtocolError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

/// For logs.
impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::ClusterNameInInfo { .. } | Self::DuplicateServerName { .. } => {
                f.write_str(&self.detailed_text())
            }
            _ => match (self.text(), self.close_reason()) {
                (Some(text), _) => f.write_str(&text),
                (None, Some(reason)) => reason.fmt(f),
                (None, None) => Ok(()),
            },
        }
    }
}

impl error::Error for ProtocolError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a part of the reference.
    fn rows(from: &str, to: &str) -> Vec<&'static str> {
        let (_, after) = REFERENCE.split_once(from).expect("the part begins");
        let (part, _) = after.split_once(to).expect("the part ends");
        part.lines().filter(|line| line.starts_with('|')).collect()
    }

    fn has(rows: &[&str], error: &ProtocolError) -> bool {
        let text = error.text().expect("a fault that the peer is told");
        rows.iter().any(|row| row.contains(&format!("`{text}`")))
    }

    /// What stands for the quoted names in the reference.
    fn named(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn clients_are_told_what_the_catalogue_says_and_closed_where_it_says() {
        let closing = rows("### 1.8", "Non-closing:");
        for error in [
            ParseError::UnknownOperation.into(),
            ParseError::NotConnect.into(),
            ParseError::MaxControlLine.into(),
            ParseError::MaxPayload.into(),
            ProtocolError::MaximumConnections,
            ProtocolError::ConnectionThrottled,
            ProtocolError::MaximumAccountConnections,
            ProtocolError::Authorization,
            ProtocolError::AuthenticationTimeout,
            ProtocolError::StaleConnection,
            ProtocolError::ClientProtocol,
            ProtocolError::NoRespondersWithoutHeaders,
        ] {
            assert!(has(&closing, &error) && error.close_reason().is_some(), "{error:?}");
        }
        let going_on = rows("Non-closing:", "### 1.9");
        let subject = || named("<subj>");
        for error in [
            ProtocolError::InvalidSubject,
            ProtocolError::InvalidPublishSubject,
            ProtocolError::PublishPermission { subject: subject() },
            ProtocolError::ReplyPermission { reply: named("<reply>") },
            ProtocolError::SubscribePermission { subject: subject() },
            ProtocolError::QueuePermission { subject: subject(), queue: named("<q>") },
            ProtocolError::TooManyTokens { subject: subject() },
            ProtocolError::MaximumSubscriptions,
        ] {
            assert!(has(&going_on, &error) && error.close_reason().is_none(), "{error:?}");
        }
    }

    #[test]
    fn servers_are_told_what_the_catalogue_says_and_closed_under_its_names() {
        let rows = rows("### 2.9", "### 2.10");
        for error in [
            ParseError::NotConnect.into(),
            ParseError::UnknownOperation.into(),
            ProtocolError::Authorization,
            ProtocolError::AuthenticationTimeout,
            ProtocolError::StaleConnection,
            ProtocolError::ClientOnRoutePort,
            ProtocolError::GatewayOnRoutePort { gateway: named("GW") },
            ProtocolError::ClusterName { theirs: named("X"), ours: named("C") },
            ProtocolError::ReservedClusterName { theirs: named("_") },
            ProtocolError::PoolIndex { index: 3, size: 3 },
            ProtocolError::UnexpectedPoolIndex { index: 1 },
            ProtocolError::DedicatedWithoutPool { account: named("$SYS") },
            ProtocolError::UnknownAccount { account: named("ZZZ") },
            ProtocolError::NotPinned { account: named("A") },
            ProtocolError::CompressionMode { mode: named("zstd") },
        ] {
            let reason = error.close_reason().expect("every fault ends a route");
            let is_told_so = |row: &&str| has(&[row], &error) && row.contains(&format!("| yes | {reason} |"));
            assert!(rows.iter().any(is_told_so), "{error:?}");
        }
        for error in [
            ProtocolError::ClusterNameInInfo { theirs: named("X"), ours: named("C") },
            ProtocolError::DuplicateServerName { name: named("A") },
            ProtocolError::DuplicateRoute,
        ] {
            let reason = error.close_reason().expect("every fault ends a route");
            assert_eq!(error.text(), None);
            assert!(rows.iter().any(|row| row.contains(&format!("| none | yes | {reason} |"))), "{error:?}");
        }
    }

    #[test]
    fn nothing_is_told_where_nats_server_only_closes() {
        for error in [
            ParseError::HeadersNotNegotiated.into(),
            ParseError::BadArguments("PUB").into(),
            ProtocolError::InvalidJson,
        ] {
            assert_eq!((error.text(), error.close_reason()), (None, Some(CloseReason::ProtocolViolation)));
        }
    }

    const REFERENCE: &str = include_str!("../../docs/wire.md");
}
