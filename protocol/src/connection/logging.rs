//! What a connection says in the log. Its peer can cause most of that, and is not to fill the log with it.

use std::fmt;
use std::time::Duration;

use log::{Level, debug, log_enabled, trace};

use super::context::Context;
use crate::close::CloseReason;
use crate::hub::{Flag, Kind};
use crate::nkey::UserKey;
use crate::outbox::WritePolicy;
use crate::quote::{QuotedInLog, REDACTED, brief, quoted, without_user_info};
use crate::sink::Sink;
use crate::wire::{Connect, Op, ProtocolError, trace};

impl<S: Sink> Context<'_, S> {
    /// Says what the peer caused, unless it caused more than [`MAX_LINES_PER_SECOND`]. Costs nothing at a level that is not
    /// logged.
    pub(super) fn log(&mut self, level: Level, text: impl fmt::Display) {
        if !log_enabled!(level) {
            return;
        }
        let taken = self.shared.lines.take(self.now, MAX_LINES_PER_SECOND, Duration::from_secs(1));
        if let Some(left_out) = taken {
            self.log_left_out(left_out);
            self.say(level, format_args!("{self} - {text}"));
        }
    }

    /// Says what the peer did wrong, at nats-server's level.
    pub(super) fn log_fault(&mut self, error: &ProtocolError) {
        let level = match error {
            ProtocolError::InvalidSubject
            | ProtocolError::InvalidPublishSubject
            | ProtocolError::DuplicateRoute => Level::Debug,
            _ => Level::Error,
        };
        match error {
            ProtocolError::PublishPermission { subject } => {
                self.log(
                    level,
                    format_args!("Publish Violation - Subject {}", QuotedInLog(subject.as_bytes())),
                );
            }
            ProtocolError::ReplyPermission { reply } => {
                self.log(level, format_args!("Publish Violation - Reply {}", QuotedInLog(reply.as_bytes())));
            }
            _ => self.log(level, brief(error)),
        }
    }

    /// Logs what a client may not subscribe to, and tells it.
    pub(super) fn refuse_subscription(&mut self, error: &ProtocolError, sid: &[u8]) {
        let sid = brief(String::from_utf8_lossy(sid));
        match error {
            ProtocolError::SubscribePermission { subject } => {
                let subject = QuotedInLog(subject.as_bytes());
                self.log(Level::Error, format_args!("Subscription Violation - Subject {subject}, SID {sid}"));
            }
            ProtocolError::QueuePermission { subject, queue } => {
                let [subject, queue] = [subject, queue].map(|text| QuotedInLog(text.as_bytes()));
                let text =
                    format_args!("Subscription Violation - Subject {subject}, Queue: {queue}, SID {sid}");
                self.log(Level::Error, text);
            }
            other => self.log_fault(other),
        }
        self.handle_error(error);
    }

    /// Says what the peer says that this side did wrong: in its own words, unless a secret of this node stands in them.
    pub(super) fn log_told(&mut self, what: &str, text: &[u8]) {
        let lossy = String::from_utf8_lossy(text);
        if self.config().secrets().any(|secret| lossy.contains(secret)) {
            return self.log(Level::Error, format_args!("{what} ({} bytes)", text.len()));
        }
        let shown = if lossy.contains("://") { without_user_info(&lossy) } else { lossy };
        self.log(Level::Error, format_args!("{what} {}", quoted(shown.as_bytes())));
    }

    /// Lets the lines that follow name a client by its account and by who it is.
    pub(super) fn name_client(&mut self, who: &str) {
        let account = self.hub().account_of(self.entry());
        let account = account.as_ref().map_or("", |account| account.name());
        let label = QuotedInLog(format!("{account}/{who}").as_bytes()).to_string();
        self.shared.label = Some(label.into_boxed_str());
    }

    /// The same where nobody needs to be known: by what the client says of itself, if it does.
    pub(super) fn name_client_as_it_does(&mut self, connect: &Connect) {
        let Connect { user, pass, auth_token, .. } = connect;
        match (user.as_str(), auth_token.as_str()) {
            ("", "") => self.shared.label = None,
            ("", _) => self.name_client("token"),
            // Alone, as in `nats://token@host`, a user may be a token.
            (_, "") if pass.is_empty() => self.name_client(&format!("user:{REDACTED}")),
            (user, _) => self.name_client(&format!("user:{user}")),
        }
    }

    /// Says that somebody may not come in.
    pub(super) fn log_refused(&mut self, connect: &Connect) {
        // What is none may be the secret half of one.
        if let Ok(key) = connect.nkey.parse::<UserKey>() {
            return self.log(Level::Error, format_args!("authentication error - Nkey \"{key}\""));
        }
        match (&*connect.user, &*connect.pass, &*connect.auth_token) {
            ("", _, "") => self.log(Level::Error, "authentication error"),
            ("", _, _) => self.log(Level::Error, format_args!("authentication error - Token \"{REDACTED}\"")),
            // Alone, as in `nats://token@host`, a user is a token.
            (_, "", _) => self.log(Level::Error, format_args!("authentication error - User \"{REDACTED}\"")),
            (user, _, _) => {
                let user = QuotedInLog(user.as_bytes());
                self.log(Level::Error, format_args!("authentication error - User {user}"));
            }
        }
    }

    /// Operators look for these lines (wire.md 1.10).
    pub(super) fn log_slowness(&mut self, reason: CloseReason, policy: &WritePolicy) {
        match reason {
            CloseReason::SlowConsumerPendingBytes => {
                let max = policy.max_pending_bytes;
                self.log(Level::Info, format_args!("Slow Consumer Detected: MaxPending of {max} Exceeded"));
            }
            CloseReason::SlowConsumerWriteDeadline => {
                let deadline = policy.deadline;
                let text = format_args!("Slow Consumer Detected: WriteDeadline of {deadline:?} exceeded");
                self.log(Level::Info, text);
            }
            _ => {}
        }
    }

    /// Says why TLS came to nothing.
    pub(super) fn log_failed_handshake(&mut self, level: Level, why: &str) {
        let what = match self.entry().kind() {
            Kind::Client | Kind::Upgrading => "TLS handshake error",
            Kind::Route => "TLS route handshake error",
        };
        self.log(level, format_args!("{what}: {}", brief(why)));
    }

    /// Says why the connection ended, and what it has not said.
    pub(super) fn log_closed(&mut self, reason: CloseReason) {
        let left_out = self.shared.lines.take_refused();
        self.log_left_out(left_out);
        match self.entry().kind() {
            Kind::Client => debug!("{self} - Client connection closed: {reason}"),
            Kind::Upgrading => {}
            Kind::Route => {
                let name = self.entry().name();
                let remote = if name.is_empty() { "" } else { " - Remote: " };
                let text = format_args!("{self} - Router connection closed: {reason}{remote}{}", brief(name));
                self.say(Level::Info, text);
            }
        }
    }

    pub(super) fn trace_in(&self, op: &Op<'_>) {
        if log_enabled!(Level::Trace) {
            trace!("{self} - <<- [{}]", trace::received(op));
        }
    }

    pub(super) fn trace_mapped(&self, subject: &[u8], destination: &[u8]) {
        if log_enabled!(Level::Trace) {
            let [subject, destination] = [subject, destination].map(String::from_utf8_lossy);
            trace!("{self} - <<- [MAPPING {} -> {}]", brief(subject), brief(destination));
        }
    }

    pub(super) fn trace_out(&self, lines: &[u8]) {
        if log_enabled!(Level::Trace) {
            trace::sent(lines).for_each(|line| trace!("{self} - ->> [{line}]"));
        }
    }

    fn log_left_out(&self, left_out: u32) {
        if left_out > 0 {
            self.say(Level::Warn, format_args!("{self} - {left_out} more lines were left out"));
        }
    }

    fn say(&self, level: Level, line: fmt::Arguments<'_>) {
        self.hub().limit_log().say(self.now, level, line);
    }
}

/// How log lines name a connection: `<ip>:<port> - cid:<n>` (`wid` by WebSocket, `rid` a route), and who a client is, once that is known.
impl<S> fmt::Display for Context<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.shared.entry;
        let prefix = match entry.kind() {
            Kind::Client if entry.has(Flag::WebSocket) => "wid",
            Kind::Client => "cid",
            Kind::Route => "rid",
            // It has no number yet.
            Kind::Upgrading => return write!(f, "{}", entry.remote()),
        };
        write!(f, "{} - {prefix}:{}", entry.remote(), entry.cid())?;
        self.shared.label.as_ref().map_or(Ok(()), |label| write!(f, " - {label}"))
    }
}

/// How many lines a connection logs in a second because of its peer.
pub(crate) const MAX_LINES_PER_SECOND: u32 = 10;
