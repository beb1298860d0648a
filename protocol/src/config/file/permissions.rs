//! The `permissions` of a user and the `default_permissions` of those who have none (wire.md 1.12).

use std::time::Duration;

use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::scalar::parse_duration;
use super::value::{Item, Value};
use crate::config::{Permissions, ResponsePermission, Rules, SubjectRule};
use crate::wire::subject::is_valid_filter;

/// A block of what may be published, subscribed to and answered.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Permissions, Fault> {
    let Value::Map(map) = field.value else {
        let got = type_name(field.value);
        return Err(format!("Expected permissions to be a map/struct, got {got}").into());
    };
    let mut permissions = Permissions::default();
    read_fields(map, report, |field, report| {
        match field.key.as_str() {
            "publish" | "pub" | "import" => permissions.publish = rules(field, publish_rule, report)?,
            "subscribe" | "sub" | "export" => permissions.subscribe = rules(field, subscribe_rule, report)?,
            "allow_responses" | "publish_allow_responses" => {
                permissions.responses = responses(field, report)?;
            }
            _ => return Err(Fault::UnknownFieldIn(unknown_permission)),
        }
        Ok(())
    });
    // Answers would need no permission if all could be published.
    if permissions.responses.is_some() {
        permissions.publish.allow.get_or_insert_default();
    }
    Ok(permissions)
}

/// What is allowed, or a block of that and what is denied.
fn rules(field: &Field<'_>, rule: ReadRule, report: &mut Report<'_>) -> Result<Rules, Fault> {
    let mut rules = Rules::default();
    let Value::Map(map) = field.value else {
        rules.allow = not_empty(list(field, rule, report)?);
        return Ok(rules);
    };
    read_fields(map, report, |field, report| {
        match field.key.as_str() {
            "allow" => rules.allow = not_empty(list(field, rule, report)?),
            "deny" => rules.deny = list(field, rule, report)?,
            _ => return Err(Fault::UnknownFieldIn(unknown_rule)),
        }
        Ok(())
    });
    Ok(rules)
}

/// A list that allows nothing is no list to nats-server, and allows everything.
fn not_empty(list: Vec<SubjectRule>) -> Option<Vec<SubjectRule>> {
    Some(list).filter(|list| !list.is_empty())
}

/// One entry, or a list of them.
fn list(field: &Field<'_>, rule: ReadRule, report: &mut Report<'_>) -> Result<Vec<SubjectRule>, Fault> {
    match field.value {
        Value::String(text) => Ok(vec![rule(text)?]),
        Value::Array(items) => {
            let texts = items.iter().filter_map(|item| text_of(item, report));
            texts.map(rule).collect()
        }
        other => {
            let got = type_name(other);
            Err(format!("Expected subject permissions to be a subject, or array of subjects, got {got}")
                .into())
        }
    }
}

/// An entry of a list, which is reported where it stands if it is none.
fn text_of<'a>(item: &'a Item, report: &mut Report<'_>) -> Option<&'a str> {
    let Value::String(text) = &item.value else {
        report.error(item.position, "Subject in permissions array cannot be cast to string");
        return None;
    };
    Some(text)
}

/// How the text of an entry is read.
type ReadRule = fn(&str) -> Result<SubjectRule, Fault>;

/// A subject.
fn publish_rule(text: &str) -> Result<SubjectRule, Fault> {
    check_subject(text)?;
    Ok(SubjectRule::new(text))
}

/// A subject, or a subject and the queue groups that the entry is about.
fn subscribe_rule(text: &str) -> Result<SubjectRule, Fault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [subject, queue] = words[..] else {
        return publish_rule(text);
    };
    check_subject(subject)?;
    if !is_valid_filter(queue.as_bytes()) {
        return Err(format!("queue {queue:?} is not a valid queue").into());
    }
    Ok(SubjectRule::with_queue(subject, queue))
}

fn check_subject(subject: &str) -> Result<(), Fault> {
    let is_valid = is_valid_filter(subject.as_bytes());
    if is_valid { Ok(()) } else { Err(format!("subject {subject:?} is not a valid subject").into()) }
}

/// A boolean, or a block with how often and how long.
fn responses(field: &Field<'_>, report: &mut Report<'_>) -> Result<Option<ResponsePermission>, Fault> {
    let mut responses = ResponsePermission::default();
    match field.value {
        Value::Bool(false) => return Ok(None),
        Value::Bool(true) => {}
        Value::Map(map) => read_fields(map, report, |field, _| read_response(field, &mut responses)),
        _ => return Err("error parsing response permissions, expected a boolean or a map".into()),
    }
    Ok(Some(responses))
}

/// In both 0 asks for the default, and what is below it for no limit.
fn read_response(field: &Field<'_>, responses: &mut ResponsePermission) -> Result<(), Fault> {
    let defaults = ResponsePermission::default();
    match field.key.as_str() {
        "max" | "max_msgs" | "max_messages" | "max_responses" => {
            responses.max = match field.integer()? {
                0 => defaults.max,
                max if max < 0 => None,
                max => Some(u32::try_from(max).unwrap_or(u32::MAX)),
            };
        }
        "expires" | "expiration" | "ttl" => {
            responses.expires = match signed_duration(field)? {
                (_, Duration::ZERO) => defaults.expires,
                (Sign::Minus, _) => None,
                (Sign::Plus, expires) => Some(expires),
            };
        }
        _ => return Err(Fault::UnknownFieldIn(unknown_permission)),
    }
    Ok(())
}

enum Sign {
    Plus,
    Minus,
}

/// How long a response may take, whatever the key calls it.
fn signed_duration(field: &Field<'_>) -> Result<(Sign, Duration), Fault> {
    let Value::String(text) = field.value else {
        return Err("error parsing expires, not a duration string".into());
    };
    if let Some(Ok(duration)) = text.strip_prefix('-').map(parse_duration) {
        return Ok((Sign::Minus, duration));
    }
    let duration = parse_duration(text).map_err(|error| format!("error parsing expires: {error}"))?;
    Ok((Sign::Plus, duration))
}

fn unknown_permission(key: &str) -> String {
    format!("Unknown field {key:?} parsing permissions")
}

fn unknown_rule(key: &str) -> String {
    format!("Unknown field name {key:?} parsing subject permissions, only 'allow' or 'deny' are permitted")
}
