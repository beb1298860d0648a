//! One wish to be connected to a server, and how far it has come.

use std::net::SocketAddr;
use std::time::Duration;

use log::{debug, error};

use super::cause::Cause;
use crate::config::RouteUrl;
use crate::time::Instant;
use crate::wire::GossipMode;

/// One wish to be connected, from its first attempt to its last. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub(crate) u64);

/// A server to be dialed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRequest {
    /// What the answer refers to.
    pub id: DialId,
    /// A name or address. A name is to be resolved anew for each attempt.
    pub host: String,
    /// The route port.
    pub port: u16,
    /// Addresses that are this node's own and not worth an attempt.
    pub own_addresses: Vec<SocketAddr>,
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// No address took the connection; the text says why, for the log.
    Failed(String),
    /// Every address of the name is this node's own.
    OnlySelf,
}

/// A wish to be connected to one server, by pool or for one account.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) purpose: Purpose,
    pub(super) target: Target,
    /// Why it is dialed for the first time.
    pub(super) cause: Cause,
    /// Who told of the server, which this node never had a route to: see [`super::dials`] for what that limits.
    pub(super) teller: Option<String>,
    /// Whether there was a connection before, for the choice of what to log.
    pub(super) reconnect: bool,
    /// Until then it is tried again, though it is not configured.
    pub(super) until: Option<Instant>,
    /// How long there was a connection that was lost.
    pub(super) known_for: Duration,
    /// For another connection to a server that there is a route to already.
    pub(super) fills: bool,
    /// Attempts that failed.
    pub(super) failures: u32,
    pub(super) attempt: Attempt,
}

/// What a connection is dialed for. It outlives the dial, as long as the connection lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    pub(crate) url: RouteUrl,
    /// The URL is configured: tried for ever.
    pub(crate) explicit: bool,
    /// For a connection dedicated to this account.
    pub(crate) account: Option<String>,
    /// The mode of the gossip that told of the server.
    pub(crate) gossip_mode: GossipMode,
}

/// Which server is expected where a dial goes, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever is there.
    Anyone,
    /// This one.
    Server(String),
    /// Maybe this one, which may be in other places as well: each is tried once, and none once it is connected.
    Guess(String),
}

/// Whether somebody is at it. Once there is a connection, how far that has come is its [`Life`](super::life::Life)'s to say:
/// from here it is under way until it is registered, which ends the wish, or lost, which makes it wait again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// To be started at this time.
    Waiting(Instant),
    /// The runtime dials, or the handshake goes on.
    UnderWay,
}

/// How strong a wish is. The stronger of two for the same connection counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The operator wants it: without pace, for ever.
    Configured,
    /// There was a route to the server, and it is remembered; or one is there that lacks a connection.
    Remembered,
    /// Somebody told of it.
    Hearsay,
}

impl Dial {
    /// A dial of a server that nobody configured, to be tried once.
    pub(super) fn new(cause: Cause, url: RouteUrl, account: Option<String>, at: Instant) -> Self {
        let purpose = Purpose { url, explicit: false, account, gossip_mode: GossipMode::Default };
        Self::of(cause, purpose, at)
    }

    /// A dial for this purpose of whoever is there.
    pub(super) fn of(cause: Cause, purpose: Purpose, at: Instant) -> Self {
        Self {
            purpose,
            cause,
            target: Target::Anyone,
            teller: None,
            reconnect: false,
            until: None,
            known_for: Duration::ZERO,
            fills: false,
            failures: 0,
            attempt: Attempt::Waiting(at),
        }
    }

    /// Takes over what a newer wish for the same connection knows better.
    pub(super) fn renew(&mut self, newer: Dial) {
        if self.class() == Class::Hearsay && newer.class() < Class::Hearsay {
            return self.replace_hearsay(newer);
        }
        let Purpose { url, explicit, .. } = newer.purpose;
        let moved = !self.purpose.explicit && !self.purpose.url.leads_to(&url.host, url.port);
        if moved && matches!(self.attempt, Attempt::Waiting(_)) {
            // It is elsewhere now, so earlier failures mean nothing; unless somebody only says so, again and again.
            let is_said = self.class() == Class::Hearsay;
            self.purpose.url = url;
            self.failures = if is_said { self.failures.max(newer.failures) } else { 0 };
            self.attempt = newer.attempt;
        }
        self.known_for = self.known_for.max(newer.known_for);
        // What is configured is never given up, even if there was a route to it before.
        self.purpose.explicit |= explicit;
        if newer.teller == self.teller {
            self.until = self.until.max(newer.until);
        }
    }

    /// Counts as what this node knows from now on, and does not wait any longer for having been heard of first.
    fn replace_hearsay(&mut self, known: Dial) {
        let attempt = match (self.attempt, known.attempt) {
            (Attempt::Waiting(earlier), Attempt::Waiting(at)) => Attempt::Waiting(at.min(earlier)),
            (under_way, _) => under_way,
        };
        *self = Dial { attempt, ..known };
    }

    /// What the next attempt counts as.
    pub(super) fn cause(&self) -> Cause {
        let is_first_contact = matches!(self.cause, Cause::Configured | Cause::Gossip | Cause::Compare);
        match &self.purpose.account {
            _ if self.failures > 0 => Cause::Retry,
            Some(_) if is_first_contact => Cause::Account,
            _ => self.cause,
        }
    }

    pub(super) fn class(&self) -> Class {
        match (self.purpose.explicit, &self.teller) {
            (true, _) => Class::Configured,
            (false, None) => Class::Remembered,
            (false, Some(_)) => Class::Hearsay,
        }
    }

    /// Which server it may lead to, if that is known.
    pub(super) fn server(&self) -> Option<&str> {
        self.target.server()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.attempt == Attempt::UnderWay
    }

    /// Logs that an attempt failed: as an error once, and then every so many times, for first and for lost connections.
    pub(super) fn report_failure(&self, why: &str, error_reports: (u32, u32)) {
        let (connects, reconnects) = error_reports;
        let every = if self.reconnect { reconnects } else { connects };
        let attempt = self.failures.saturating_add(1);
        let is_guess = matches!(self.target, Target::Guess(_));
        // That a server which somebody told of is not there is no error: `/discoveryz` shows it.
        let is_hearsay = self.cause == Cause::Discovered && !self.purpose.explicit;
        // Nor that it cannot be reached directly, as was known.
        let is_expected = is_hearsay || self.cause == Cause::Direct;
        if !is_expected && (!is_guess && attempt == 1 || every > 0 && attempt.is_multiple_of(every)) {
            error!("Error trying to connect to route (attempt {attempt}): {why}");
        } else {
            debug!("Error trying to connect to route (attempt {attempt}): {why}");
        }
    }

    /// Whether it is tried once more after so many failures, though nobody configured it.
    pub(super) fn is_remembered(&self, now: Instant, failures: u32) -> bool {
        let is_believed = self.teller.is_none() || failures < HEARSAY_ATTEMPTS;
        is_believed && self.until.is_some_and(|until| now < until)
    }
}

impl Target {
    pub(super) fn server(&self) -> Option<&str> {
        match self {
            Self::Anyone => None,
            Self::Server(id) | Self::Guess(id) => Some(id),
        }
    }
}

/// A server that was only heard of is tried so often, which takes about a quarter of a minute. Who has a route to it tells
/// of it again ([`Doubts`](super::doubts::Doubts)).
pub(super) const HEARSAY_ATTEMPTS: u32 = 5;
