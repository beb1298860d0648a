//! What accounts offer to each other, and take from each other (wire.md 1.12).

use std::time::Duration;

use super::Config;
use crate::wire::subject::filter_matches;

/// What an account offers to others: the messages to a filter (a stream), or answers to requests (a service).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The filter, as the account itself knows it.
    pub subject: String,
    /// Stream or service.
    pub kind: ExportKind,
    /// Who may import it; `None` if everybody may.
    pub accounts: Option<Vec<String>>,
    /// Which token of the subject, counted from 1, is the name of the account that may import it, beside `accounts`.
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
        /// How long answers may take, where there is to be one; then they go nowhere.
        threshold: Duration,
    },
}

impl ExportKind {
    /// How many answers there are to a request, and how long they may take.
    pub(crate) fn terms(self) -> (Response, Duration) {
        match self {
            Self::Stream => (Response::Single, Duration::ZERO),
            Self::Service { response, threshold } => (response, threshold),
        }
    }

    fn is_stream(self) -> bool {
        self == Self::Stream
    }
}

/// How many answers there are to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    /// One.
    #[default]
    Single,
    /// Any number, for as long as the requester listens.
    Stream,
    /// One in pieces: the same, on the wire.
    Chunked,
}

/// What an account takes from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Who exports it.
    pub account: String,
    /// The filter, as the exporter knows it: what is exported or a part of that. Of a service whose [`to`](Self::to) has wildcards
    /// its wildcards may be `$1` and so on.
    pub subject: String,
    /// The filter, as the importer knows it.
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

impl Config {
    /// The export that an import is of.
    pub(crate) fn export_of(&self, import: &Import) -> Option<&Export> {
        let exporter = self.accounts.iter().find(|account| account.name == import.account)?;
        let is_stream = import.kind == ImportKind::Stream;
        let mut exports = exporter.exports.iter().filter(|export| export.kind.is_stream() == is_stream);
        exports.find(|export| filter_matches(export.subject.as_bytes(), import.subject.as_bytes()))
    }
}

/// How long the one answer to a request may take unless the export says otherwise, as in nats-server.
pub const DEFAULT_RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);
