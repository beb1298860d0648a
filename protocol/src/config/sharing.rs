//! What accounts offer to each other, and take from each other (wire.md 1.12).

use std::fmt;
use std::time::Duration;

use super::AccountConfig;
use crate::mapping::{ImportTransform, TransformError};
use crate::wire::subject::{filter_covers, has_wildcard, is_valid_filter, tokens};

/// What accounts share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Messages.
    Stream,
    /// Answers to requests.
    Service,
}

/// What an account offers to others: the messages to a filter (a stream), or answers to requests (a service).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The filter, as the account itself knows it. No two exports of an account have the same, if they are of one kind.
    pub subject: String,
    /// Stream or service.
    pub kind: ExportKind,
    /// Who may import it; `None` if everybody may. The account itself may only if it is named, too.
    pub accounts: Option<Vec<String>>,
    /// Which token of the subject, counted from 1, is `*` here and the name of the account where that imports it. Where there
    /// is one, `accounts` do not count.
    pub account_token: Option<usize>,
}

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// Importers hear what is published to the filter.
    Stream,
    /// Importers may ask, and hear the answers.
    Service {
        /// How many answers there are to a request.
        response: Response,
        /// How long an answer may take, from the request or the answer before it on. What comes later goes nowhere.
        threshold: Duration,
    },
}

/// How many answers there are to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    /// One.
    #[default]
    Single,
    /// Any number, up to an empty one, or one that nobody takes.
    Stream,
    /// One in pieces: the same, on the wire.
    Chunked,
}

/// What an account takes from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Who exports it.
    pub account: String,
    /// The filter, as the exporter knows it: what is exported or a part of that.
    pub subject: String,
    /// The filter, as the importer knows it, with `$1`, `$2` and so on for the wildcards of `subject`, or `*` for the next of
    /// them: what [`ImportTransform::new`] makes of both goes from the exporter's subjects to the importer's, and with
    /// [`reverse`](ImportTransform::reverse) the other way, which is that of requests.
    ///
    /// Of a service whose `subject` has no wildcards it is a filter as others are: each request that it matches goes to `subject`.
    /// A `$1` is a word then, in both.
    pub to: String,
    /// Stream or service.
    pub kind: ImportKind,
}

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// What the exporter publishes.
    Stream,
    /// Whom to ask.
    Service {
        /// Whether the exporter is told who asks, beside the account.
        share: bool,
    },
}

/// How long an answer to a request may take unless the export says otherwise, as in nats-server.
pub const DEFAULT_RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);

impl ExportKind {
    /// Stream or service.
    pub fn sharing(&self) -> Sharing {
        match self {
            Self::Stream => Sharing::Stream,
            Self::Service { .. } => Sharing::Service,
        }
    }
}

impl ImportKind {
    /// Stream or service.
    pub fn sharing(&self) -> Sharing {
        match self {
            Self::Stream => Sharing::Stream,
            Self::Service { .. } => Sharing::Service,
        }
    }
}

impl Import {
    /// A stream of `account`, as `to`.
    pub fn stream(account: &str, subject: &str, to: &str) -> Self {
        Self::new(account, subject, to, ImportKind::Stream)
    }

    /// A service of `account`, as `to`; that is told no more than the account that asks.
    pub fn service(account: &str, subject: &str, to: &str) -> Self {
        Self::new(account, subject, to, ImportKind::Service { share: false })
    }

    fn new(account: &str, subject: &str, to: &str, kind: ImportKind) -> Self {
        Self { account: account.to_owned(), subject: subject.to_owned(), to: to.to_owned(), kind }
    }

    /// What the importer's clients hear, or may ask: all of it matches this filter.
    ///
    /// # Errors
    /// See [`TransformError`].
    pub fn filter(&self) -> Result<String, TransformError> {
        if self.is_to_one_subject() {
            return Ok(self.to.clone());
        }
        let transform = ImportTransform::new(&self.subject, &self.to)?;
        Ok(String::from_utf8_lossy(&transform.destination_filter()).into_owned())
    }

    /// Whether it is of a service where all requests go to the same subject: then there is nothing to transform.
    pub fn is_to_one_subject(&self) -> bool {
        self.kind.sharing() == Sharing::Service && !has_wildcard(self.subject.as_bytes())
    }
}

impl Export {
    /// A stream, for everybody.
    pub fn stream(subject: &str) -> Self {
        Self::new(subject, ExportKind::Stream)
    }

    /// A service, for everybody, which may take [`DEFAULT_RESPONSE_THRESHOLD`] for an answer.
    pub fn service(subject: &str, response: Response) -> Self {
        Self::new(subject, ExportKind::Service { response, threshold: DEFAULT_RESPONSE_THRESHOLD })
    }

    fn new(subject: &str, kind: ExportKind) -> Self {
        Self { subject: subject.to_owned(), kind, accounts: None, account_token: None }
    }

    /// Whether `importer` may import `subject`, which is what is exported or a part of that.
    fn admits(&self, importer: &str, subject: &str) -> bool {
        match (self.account_token, &self.accounts) {
            (Some(at), _) => {
                let token = at.checked_sub(1).and_then(|at| tokens(subject.as_bytes()).nth(at));
                token == Some(importer.as_bytes())
            }
            (None, Some(accounts)) => accounts.iter().any(|account| account == importer),
            (None, None) => true,
        }
    }

    /// Whether the token that names an account is there, and is a wildcard.
    pub(super) fn has_its_token(&self) -> bool {
        let token = |at: usize| at.checked_sub(1).and_then(|at| tokens(self.subject.as_bytes()).nth(at));
        self.account_token.is_none_or(|at| token(at) == Some(b"*"))
    }
}

impl AccountConfig {
    /// The export that lets `importer` have this import, which is one from here: that of the very subject, if there is one, and
    /// otherwise the first that covers it and admits the importer. `None` if it may not.
    pub fn export_for(&self, importer: &str, import: &Import) -> Option<&Export> {
        let subject = import.subject.as_str();
        let kind = import.kind.sharing();
        if !is_valid_filter(subject.as_bytes()) {
            return None;
        }
        let exports = || self.exports.iter().filter(|export| export.kind.sharing() == kind);
        let admits = |export: &&Export| export.admits(importer, subject);
        match exports().find(|export| export.subject == subject) {
            Some(exact) => Some(exact).filter(admits),
            None => exports()
                .filter(|export| is_valid_filter(export.subject.as_bytes()))
                .filter(|export| filter_covers(export.subject.as_bytes(), subject.as_bytes()))
                .find(admits),
        }
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Service => "service",
        })
    }
}
