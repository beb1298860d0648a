//! What an account gives to others, takes from them and is to answer, as `/accountz` shows it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::format::{is_default, text};
use crate::accounts::{Account, Awaited};
use crate::config::{AccountConfig, Export, ExportKind, Import, ImportKind, Response, Sharing};
use crate::hub::Hub;
use crate::time::Instant;

/// What others may take, in nats-server's order.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Exported {
    subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    response_type: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    approved_accounts: BTreeSet<String>,
}

/// What is taken of others, in nats-server's order.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Imported {
    subject: String,
    account: String,
    #[serde(skip_serializing_if = "is_default")]
    to: String,
    local_subject: String,
    #[serde(rename = "type")]
    kind: &'static str,
    invalid: bool,
    share: bool,
    tracking: bool,
}

/// The requests of others that wait for an answer, by the subject that it comes to.
#[derive(Debug, Serialize)]
pub(super) struct Responses {
    #[serde(skip_serializing_if = "is_default")]
    responses: BTreeMap<String, Waiting>,
    /// How many there are, where these are not all; those included that are about to be given up.
    #[serde(rename = "onehop_responses", skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// One of them: for nats-server it is an import of the one who answers.
#[derive(Debug, PartialEq, Serialize)]
struct Waiting {
    subject: String,
    account: String,
    to: String,
    local_subject: String,
    #[serde(rename = "type")]
    kind: u8,
    invalid: bool,
    share: bool,
    tracking: bool,
}

impl Exported {
    /// Services, and then streams.
    pub(super) fn all_of(account: &AccountConfig) -> Vec<Self> {
        let mut exports: Vec<_> = account.exports.iter().collect();
        exports.sort_by_key(|export| Reverse(export.kind.sharing()));
        exports.into_iter().map(Self::new).collect()
    }

    fn new(export: &Export) -> Self {
        Self {
            subject: export.subject.clone(),
            kind: name(export.kind.sharing()),
            response_type: match export.kind {
                ExportKind::Stream => "",
                ExportKind::Service { response, .. } => response_type(response),
            },
            approved_accounts: export.accounts.iter().flatten().cloned().collect(),
        }
    }
}

impl Imported {
    /// Streams, and then services.
    pub(super) fn all_of(account: &AccountConfig) -> Vec<Self> {
        let mut imports: Vec<_> = account.imports.iter().collect();
        imports.sort_by_key(|import| import.kind.sharing());
        imports.into_iter().map(Self::new).collect()
    }

    fn new(import: &Import) -> Self {
        let local_subject = import.filter().unwrap_or_default();
        let (to, share) = match import.kind {
            ImportKind::Stream => (String::new(), false),
            ImportKind::Service { share } => (local_subject.clone(), share),
        };
        Self {
            subject: import.subject.clone(),
            account: import.account.clone(),
            to,
            local_subject,
            kind: name(import.kind.sharing()),
            invalid: false,
            share,
            tracking: false,
        }
    }
}

impl Responses {
    /// Those that `account` is to answer, [`MAX_RESPONSES`] at the most.
    pub(super) fn of(hub: &Hub, account: &Account, now: Instant) -> Self {
        let pending = account.answers().pending(now, MAX_RESPONSES, MAX_RESPONSES_BYTES);
        let responses = pending.requests.iter().filter_map(|(subject, awaited)| {
            let subject = text(subject);
            Some((subject.clone(), Waiting::new(hub, subject, awaited)?))
        });
        Self { responses: responses.collect(), count: pending.is_cut.then(|| account.answers().len()) }
    }
}

impl Waiting {
    /// None if the account is gone that asks.
    fn new(hub: &Hub, answered_at: String, awaited: &Awaited) -> Option<Self> {
        Some(Self {
            subject: text(&awaited.reply),
            account: hub.accounts().get(awaited.asker)?.name().to_owned(),
            to: answered_at.clone(),
            local_subject: answered_at,
            kind: SERVICE,
            invalid: false,
            share: awaited.share,
            tracking: false,
        })
    }
}

fn name(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Stream => "stream",
        Sharing::Service => "service",
    }
}

fn response_type(response: Response) -> &'static str {
    match response {
        Response::Single => "Singleton",
        Response::Stream => "Streamed",
        Response::Chunked => "Chunked",
    }
}

/// So many requests are shown that wait for answers, and no more once their replies have so many bytes.
pub(super) const MAX_RESPONSES: usize = 256;
pub(super) const MAX_RESPONSES_BYTES: usize = 16 * 1024;

/// How nats-server writes in this place that something is a service.
const SERVICE: u8 = 2;
