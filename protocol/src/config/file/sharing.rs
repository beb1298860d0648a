//! The `exports` and `imports` of an account (wire.md 1.12).

use std::time::Duration;

use super::absent::{EXPORT, IMPORT, Keys, asks_for_nothing};
use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::scalar::parse_duration;
use super::value::{Item, Map, Value, in_order};
use crate::config::{
    DEFAULT_RESPONSE_THRESHOLD, Export, ExportKind, Import, ImportError, ImportKind, Response, Sharing,
};
use crate::wire::subject::has_wildcard;

/// What stands in a list of imports.
#[derive(Default)]
pub(super) struct Imports {
    pub(super) imports: Vec<Import>,
    /// Subjects of streams whose `prefix` has a wildcard, which are not among the imports: it is told with the faults that show
    /// once all accounts are read.
    pub(super) with_wild_prefix: Vec<String>,
}

/// What stands in lists of exports, each subject once.
#[derive(Default)]
pub(super) struct Exports {
    entries: Vec<ExportEntry>,
}

impl Exports {
    /// Adds those of a list. Those with a mistake are reported and left out.
    pub(super) fn read(&mut self, field: &Field<'_>, report: &mut Report<'_>) -> Result<(), Fault> {
        for item in list(field, "Exports")? {
            let Some(map) = map_of(item, "Export", report) else { continue };
            let entry = ExportEntry::read(map, report);
            match self.entries.iter_mut().find(|other| other.is_twin_of(&entry)) {
                Some(twin) => twin.merge(entry),
                None => self.entries.push(entry),
            }
        }
        Ok(())
    }

    pub(super) fn into_list(self) -> Vec<Export> {
        self.entries.into_iter().filter_map(ExportEntry::into_export).collect()
    }
}

impl Imports {
    /// Adds those of a list. Those with a mistake are reported and left out.
    pub(super) fn read(&mut self, field: &Field<'_>, report: &mut Report<'_>) -> Result<(), Fault> {
        for item in list(field, "Imports")? {
            let Some(map) = map_of(item, "Import", report) else { continue };
            let Some(import) = ImportEntry::read(map, report).into_import(self) else { continue };
            match self.imports.iter().find(|other| are_twins(other, &import)) {
                Some(twin) => report.error(item.position, capitalized(&duplicate(twin).to_string())),
                None => self.imports.push(import),
            }
        }
        Ok(())
    }
}

fn list<'a>(field: &Field<'a>, what: &str) -> Result<&'a [Item], Fault> {
    match field.value {
        Value::Array(items) => Ok(items),
        Value::Map(_) => Err(format!("{what} should be an array, got map[string]interface {{}}").into()),
        other => Err(format!("{what} should be an array, got {}", type_name(other)).into()),
    }
}

fn map_of<'a>(item: &'a Item, what: &str, report: &mut Report<'_>) -> Option<&'a Map> {
    let Value::Map(map) = &item.value else {
        let got = type_name(&item.value);
        report.error(item.position, format!("{what} Items should be a map with type entry, got {got}"));
        return None;
    };
    Some(map)
}

/// What an entry is of: what it names first.
fn sharing(map: &Map) -> Option<Sharing> {
    in_order(map).into_iter().find_map(|(key, _)| match key.to_lowercase().as_str() {
        "stream" => Some(Sharing::Stream),
        "service" => Some(Sharing::Service),
        _ => None,
    })
}

/// Two services of one exporter that are called the same, word by word.
fn are_twins(one: &Import, other: &Import) -> bool {
    let is_service = |import: &Import| import.kind.sharing() == Sharing::Service;
    is_service(one) && is_service(other) && (&one.account, &one.to) == (&other.account, &other.to)
}

fn duplicate(import: &Import) -> ImportError {
    let Import { account, subject, to, .. } = import.clone();
    ImportError::DuplicateService { to, account, subject }
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(text.len().min(1));
    first.to_uppercase() + rest
}

/// What a value is not, in the words of Go.
fn not_a(value: &Value, wanted: &str) -> String {
    format!("interface conversion: interface {{}} is {}, not {wanted}", type_name(value))
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(not_a(other, "string")),
    }
}

fn switch(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(not_a(other, "bool")),
    }
}

/// Takes a key of nats-server that asks for nothing.
fn accept(keys: Keys, field: &Field<'_>) -> Result<(), Fault> {
    field.accept_if(asks_for_nothing(keys, &field.key, field.value))
}

/// What stands in an entry of `exports`.
#[derive(Default)]
struct ExportEntry {
    sharing: Option<Sharing>,
    subject: Option<String>,
    response: Response,
    threshold: Option<Duration>,
    accounts: Vec<String>,
    account_token: Option<usize>,
}

impl ExportEntry {
    fn read(map: &Map, report: &mut Report<'_>) -> Self {
        let mut entry = Self { sharing: sharing(map), ..Self::default() };
        read_fields(map, report, |field, report| entry.take(field, report));
        entry
    }

    fn take(&mut self, field: &Field<'_>, report: &mut Report<'_>) -> Result<(), Fault> {
        match field.key.as_str() {
            "stream" => self.subject = Some(self.subject_of(field, Sharing::Stream)?),
            "service" => self.subject = Some(self.subject_of(field, Sharing::Service)?),
            "response" | "response_type" => {
                self.response = response(field)?;
                self.check_service("response")?;
            }
            "threshold" | "response_threshold" | "response_time" | "response_max_time" => {
                self.threshold = threshold(field, report)?;
                self.check_service("response")?;
            }
            "accounts" => self.accounts = accounts(field, report)?,
            "account_token_position" => self.account_token = token_position(field)?,
            key @ ("latency" | "allow_trace") => {
                self.check_service(key)?;
                if key == "allow_trace" {
                    switch(field.value)?;
                }
                accept(EXPORT, field)?;
            }
            _ => accept(EXPORT, field)?,
        }
        Ok(())
    }

    fn subject_of(&self, field: &Field<'_>, sharing: Sharing) -> Result<String, Fault> {
        let Value::String(subject) = field.value else {
            let got = type_name(field.value);
            return Err(format!("Expected {sharing} name to be string, got {got}").into());
        };
        match self.sharing.filter(|seen| *seen != sharing) {
            Some(seen) => Err(format!("Detected {sharing} {subject:?} but already saw a {seen}").into()),
            None => Ok(subject.clone()),
        }
    }

    fn check_service(&self, directive: &str) -> Result<(), Fault> {
        if self.sharing == Some(Sharing::Stream) {
            return Err(format!("Detected {directive} directive on non-service").into());
        }
        Ok(())
    }

    fn is_twin_of(&self, other: &Self) -> bool {
        self.subject.is_some() && (self.sharing, &self.subject) == (other.sharing, &other.subject)
    }

    /// Takes what a later entry for the same says: more accounts, and else what it says of its own.
    fn merge(&mut self, later: Self) {
        self.accounts.extend(later.accounts);
        self.account_token = later.account_token.or(self.account_token);
        self.threshold = later.threshold.or(self.threshold);
        if later.response != Response::Single {
            self.response = later.response;
        }
    }

    fn into_export(self) -> Option<Export> {
        let kind = match self.sharing? {
            Sharing::Stream => ExportKind::Stream,
            Sharing::Service => ExportKind::Service {
                response: self.response,
                threshold: self.threshold.unwrap_or(DEFAULT_RESPONSE_THRESHOLD),
            },
        };
        let accounts = Some(self.accounts).filter(|accounts| !accounts.is_empty());
        Some(Export { subject: self.subject?, kind, accounts, account_token: self.account_token })
    }
}

fn response(field: &Field<'_>) -> Result<Response, Fault> {
    let Value::String(name) = field.value else {
        let got = type_name(field.value);
        return Err(format!("Expected response type to be string, got {got}").into());
    };
    match name.to_lowercase().as_str() {
        "single" | "singleton" => Ok(Response::Single),
        "stream" => Ok(Response::Stream),
        "chunk" | "chunked" => Ok(Response::Chunked),
        _ => Err(format!("Unknown response type: {name:?}").into()),
    }
}

/// A duration; `None` asks for the default. nats-server takes one below zero as it is, and then no answer comes through.
fn threshold(field: &Field<'_>, report: &mut Report<'_>) -> Result<Option<Duration>, Fault> {
    let expected = "Expected response threshold to be a parseable time duration, got";
    if field.is_below_zero() && matches!(field.value, Value::String(_)) {
        let advice = "below zero no answer would come through, so the default holds";
        report.warning(field.position, format!("invalid use of field {:?}: {advice}", field.key));
        return Ok(None);
    }
    match field.value {
        Value::String(text) => match parse_duration(text) {
            Ok(duration) => Ok(Some(duration).filter(|duration| !duration.is_zero())),
            Err(_) => Err(format!("{expected} {text:?}").into()),
        },
        other => Err(format!("{expected} {}", type_name(other)).into()),
    }
}

/// Names of accounts. One that is no text is reported where it stands.
fn accounts(field: &Field<'_>, report: &mut Report<'_>) -> Result<Vec<String>, Fault> {
    let Value::Array(items) = field.value else {
        return Err(not_a(field.value, "[]interface {}").into());
    };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match text(&item.value) {
            Ok(name) => names.push(name.to_owned()),
            Err(fault) => report.error(item.position, fault),
        }
    }
    Ok(names)
}

/// Which token names the importer. One below zero is none that a subject has.
fn token_position(field: &Field<'_>) -> Result<Option<usize>, Fault> {
    match field.value {
        Value::Integer(0) => Ok(None),
        Value::Integer(at) => Ok(Some(usize::try_from(*at).unwrap_or(usize::MAX))),
        other => Err(not_a(other, "int64").into()),
    }
}

/// What stands in an entry of `imports`.
#[derive(Default)]
struct ImportEntry {
    sharing: Option<Sharing>,
    /// The exporter, and the subject there.
    source: Option<(String, String)>,
    to: String,
    prefix: String,
    share: bool,
}

impl ImportEntry {
    fn read(map: &Map, report: &mut Report<'_>) -> Self {
        let mut entry = Self { sharing: sharing(map), ..Self::default() };
        read_fields(map, report, |field, report| entry.take(field, report));
        entry
    }

    fn take(&mut self, field: &Field<'_>, report: &mut Report<'_>) -> Result<(), Fault> {
        match field.key.as_str() {
            "stream" => self.source = Some(self.source_of(field, Sharing::Stream, report)?),
            "service" => self.source = Some(self.source_of(field, Sharing::Service, report)?),
            "to" => {
                text(field.value)?.clone_into(&mut self.to);
                self.check_one_place()?;
            }
            "prefix" => {
                text(field.value)?.clone_into(&mut self.prefix);
                self.check_one_place()?;
            }
            "share" => self.share = switch(field.value)?,
            "allow_trace" => {
                if self.sharing == Some(Sharing::Service) {
                    return Err("Detected allow_trace directive on a non-stream".into());
                }
                switch(field.value)?;
                accept(IMPORT, field)?;
            }
            _ => accept(IMPORT, field)?,
        }
        Ok(())
    }

    /// A block with the names of an account and a subject.
    fn source_of(
        &self,
        field: &Field<'_>,
        sharing: Sharing,
        report: &mut Report<'_>,
    ) -> Result<(String, String), Fault> {
        if let Some(seen) = self.sharing.filter(|seen| *seen != sharing) {
            return Err(format!("Detected {sharing} but already saw a {seen}").into());
        }
        let Value::Map(map) = field.value else {
            let what = capitalized(&sharing.to_string());
            let got = type_name(field.value);
            return Err(format!("{what} entry should be an account map, got {got}").into());
        };
        let (mut account, mut subject) = (String::new(), String::new());
        read_fields(map, report, |field, _| {
            match field.key.as_str() {
                "account" => text(field.value)?.clone_into(&mut account),
                "subject" => text(field.value)?.clone_into(&mut subject),
                _ => return Err(Fault::UnknownField),
            }
            Ok(())
        });
        if account.is_empty() || subject.is_empty() {
            return Err("Expect an account name and a subject".into());
        }
        Ok((account, subject))
    }

    /// An empty text is none. Of a service a prefix means nothing.
    fn check_one_place(&self) -> Result<(), Fault> {
        if self.sharing == Some(Sharing::Stream) && !self.to.is_empty() && !self.prefix.is_empty() {
            return Err("Stream import can not have a 'prefix' and a 'to' property".into());
        }
        Ok(())
    }

    fn into_import(self, imports: &mut Imports) -> Option<Import> {
        let Self { sharing, source, to, prefix, share } = self;
        let (account, subject) = source?;
        let kind = match sharing? {
            Sharing::Stream => ImportKind::Stream,
            Sharing::Service => ImportKind::Service { share },
        };
        if kind == ImportKind::Stream && has_wildcard(prefix.as_bytes()) {
            imports.with_wild_prefix.push(subject);
            return None;
        }
        let to = match (kind, to.is_empty()) {
            (_, false) => to,
            (ImportKind::Stream, true) => with_prefix(&prefix, &subject),
            (ImportKind::Service { .. }, true) => subject.clone(),
        };
        Some(Import { account, subject, to, kind })
    }
}

/// The subject behind the prefix, with one dot between them even if the prefix ends with one.
fn with_prefix(prefix: &str, subject: &str) -> String {
    match prefix {
        "" => subject.to_owned(),
        prefix if prefix.ends_with('.') => format!("{prefix}{subject}"),
        prefix => format!("{prefix}.{subject}"),
    }
}
