//! What handling one operation needs, in one parameter.

use std::fmt;

use log::{Level, debug, info, log_enabled, trace};

use super::chore::Chore;
use super::effect::Question;
use super::{Interruption, Shared};
use crate::close::CloseReason;
use crate::config::{Config, RouteLimits};
use crate::hub::{Entry, Hub, Kind};
use crate::node::Node;
use crate::outbox::WritePolicy;
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::{Decoder, Encoder};
use crate::wire::{self, Connect, Op, ProtocolError};

/// A connection that is being driven: its state, the time, and where output goes.
pub(super) struct Context<'a, S> {
    pub(super) shared: &'a mut Shared,
    pub(super) now: Instant,
    pub(super) sink: &'a mut S,
}

impl<S: Sink> Context<'_, S> {
    pub(super) fn node(&self) -> &Node {
        &self.shared.node
    }

    pub(super) fn hub(&self) -> &Hub {
        self.shared.node.hub()
    }

    /// The configuration that the connection follows.
    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// What a server may make this node hold.
    pub(super) fn route_limits(&self) -> RouteLimits {
        self.config().cluster.as_ref().map(|cluster| cluster.limits.clone()).unwrap_or_default()
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.shared.entry
    }

    /// Sends protocol lines to the peer.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if log_enabled!(Level::Trace) {
            trace!("{self} - ->> [{}]", bytes.trim_ascii_end().escape_ascii());
        }
        self.sink.send(self.shared.entry.id(), bytes);
    }

    /// Ends the connection.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.shared.close.get_or_insert(reason);
    }

    /// Tells the peer what it did wrong, if it is told that, and ends the connection, if that is the end of it.
    pub(super) fn handle_error(&mut self, error: &ProtocolError) {
        if let Some(text) = error.text() {
            self.send(&wire::encode::err_line(&text));
        }
        if let Some(reason) = error.close_reason() {
            self.close(reason);
        }
    }

    /// Begins what takes more than one turn: a slice is done at once.
    pub(super) fn begin_chore(&mut self, mut chore: Chore) {
        let Shared { node, entry, chores, .. } = &mut *self.shared;
        if !chore.handle_slice(node, entry, self.sink) {
            chores.push_back(chore);
        }
    }

    /// Notes that the peer hit a limit, under the name by which that can be set.
    pub(super) fn hit_limit(&self, limit: &'static str) {
        self.hub().limit_log().hit(self.now, limit, self);
    }

    /// Lets what the peer sends behind the operation that is being handled be decoded first.
    pub(super) fn switch_input(&mut self, decoder: Decoder) {
        self.shared.interruption = Some(Interruption::Switch(decoder));
    }

    /// Lets what is sent to the peer from now on be encoded, whoever sends it.
    pub(super) fn switch_output(&mut self, encoder: Encoder) {
        self.sink.switch(self.shared.entry.id(), encoder);
    }

    /// Lets somebody else judge what a client presented in its CONNECT. What the client sends behind it waits for that, for
    /// as long as a client may take to authenticate.
    pub(super) fn ask_who_it_is(&mut self, connect: Connect) {
        let shared = &mut *self.shared;
        shared.questions += 1;
        let question = Question::authenticate(shared.questions, connect);
        shared.interruption = Some(Interruption::Wait(Box::new(question)));
        let auth_timeout = shared.config.auth_timeout;
        shared.auth_deadline.get_or_insert(self.now + auth_timeout);
    }

    /// What follows the operation that is being handled comes in frames, in tests.
    pub(super) fn rehearse_input(&mut self) {
        if let Some(key) = self.config().rehearsed_transport {
            self.switch_input(Decoder::framed(key));
        }
    }

    /// What is sent from now on goes in frames, in tests.
    pub(super) fn rehearse_output(&mut self) {
        if let Some(key) = self.config().rehearsed_transport {
            self.switch_output(Encoder::framed(key));
        }
    }

    /// Answers a PING, and notes the activity.
    pub(super) fn handle_ping(&mut self) {
        self.shared.keepalive.handle_activity(self.now);
        self.send(wire::encode::PONG);
    }

    /// Learns the round-trip time from a PONG.
    pub(super) fn handle_pong(&mut self) {
        if let Some(rtt) = self.shared.keepalive.handle_pong(self.now) {
            self.shared.entry.set_rtt(rtt);
        }
    }

    /// Operators look for these lines (wire.md 1.10).
    pub(super) fn log_slowness(&self, reason: CloseReason, policy: &WritePolicy) {
        if reason == CloseReason::SlowConsumerPendingBytes && self.entry().kind() == Kind::Route {
            self.hit_limit("limits.max_pending or limits.max_pending_control");
        }
        match reason {
            CloseReason::SlowConsumerPendingBytes => {
                let max = policy.max_pending_bytes;
                info!("{self} - Slow Consumer Detected: MaxPending of {max} Exceeded");
            }
            CloseReason::SlowConsumerWriteDeadline => {
                info!("{self} - Slow Consumer Detected: WriteDeadline of {:?} exceeded", policy.deadline);
            }
            _ => {}
        }
    }

    pub(super) fn log_closed(&self, reason: CloseReason) {
        match self.entry().kind() {
            Kind::Client => debug!("{self} - Client connection closed: {reason}"),
            Kind::Route => info!("{self} - Router connection closed: {reason}"),
        }
    }

    pub(super) fn trace_in(&self, op: &Op<'_>) {
        if log_enabled!(Level::Trace) {
            trace!("{self} - <<- [{}]", Traced(op));
        }
    }
}

/// How log lines name a connection: `<ip>:<port> - cid:<n>`.
impl<S> fmt::Display for Context<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.shared.entry;
        let prefix = match entry.kind() {
            Kind::Client => "cid",
            Kind::Route => "rid",
        };
        write!(f, "{} - {prefix}:{}", entry.remote(), entry.cid())
    }
}

/// The JSON of a CONNECT without what must not stand in a log.
fn redacted(json: &[u8]) -> String {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_slice(json) else {
        return "(invalid)".to_owned();
    };
    for (key, value) in &mut fields {
        if SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret)) {
            *value = "[REDACTED]".into();
        }
    }
    serde_json::Value::Object(fields).to_string()
}

/// Fields of CONNECT that traces do not show.
const SECRETS: [&str; 5] = ["pass", "auth_token", "jwt", "sig", "proxy_sig"];

/// An operation as traces show it: without payload, without secrets.
struct Traced<'a>(&'a Op<'a>);

impl fmt::Display for Traced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let optional =
            |bytes: Option<&[u8]>| bytes.map(|bytes| format!(" {}", text(bytes))).unwrap_or_default();
        match self.0 {
            Op::Connect(json) => write!(f, "CONNECT {}", redacted(json)),
            Op::Info(json) => write!(f, "INFO {}", text(json)),
            Op::Ping => f.write_str("PING"),
            Op::Pong => f.write_str("PONG"),
            Op::Ok => f.write_str("OK"),
            Op::Err(error) => write!(f, "-ERR {}", text(error)),
            Op::Publish(message) => {
                let verb = if message.header_len > 0 { "HPUB" } else { "PUB" };
                let bytes = message.body.len() - 2;
                write!(f, "{verb} {}{} {bytes}", text(message.subject), optional(message.reply))
            }
            Op::Sub { subject, queue, sid } => {
                write!(f, "SUB {}{} {}", text(subject), optional(*queue), text(sid))
            }
            Op::Unsub { sid, max: None } => write!(f, "UNSUB {}", text(sid)),
            Op::Unsub { sid, max: Some(max) } => write!(f, "UNSUB {} {max}", text(sid)),
            Op::RoutedSub(sub) => {
                let queue = sub.queue.map(|(name, weight)| format!(" {} {weight}", text(name)));
                write!(f, "RS+{} {}{}", optional(sub.account), text(sub.subject), queue.unwrap_or_default())
            }
            Op::RoutedUnsub(unsub) => {
                write!(f, "RS-{} {}{}", optional(unsub.account), text(unsub.subject), optional(unsub.queue))
            }
            Op::RoutedMessage(routed) => {
                let verb = if routed.message.header_len > 0 { "HMSG" } else { "RMSG" };
                let (subject, reply) = (text(routed.message.subject), optional(routed.message.reply));
                let bytes = routed.message.body.len() - 2;
                write!(
                    f,
                    "{verb}{} {subject}{reply} {} {bytes}",
                    optional(routed.account),
                    text(routed.queues)
                )
            }
            Op::Ignored => f.write_str("(ignored)"),
        }
    }
}
