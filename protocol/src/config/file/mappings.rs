//! The `mappings` of an account: which subjects become which others (wire.md 1.13).

use super::fields::{Fault, Field, Report, type_name};
use super::value::{Entry, Position, Value, in_order};
use crate::config::{Mapping, MappingDestination};
use crate::wire::subject::is_valid_filter;

/// A block of filters, each with a destination or with several and their weights. Those that are faulty are reported and left
/// out.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Vec<Mapping>, Fault> {
    let entries = in_order(field.map()?);
    let mut mappings = Vec::with_capacity(entries.len());
    for (source, entry) in entries {
        if !is_valid_filter(source.as_bytes()) {
            report.error(field.position, format!("Subject {source:?} is not a valid subject"));
            continue;
        }
        mappings.extend(mapping(source, entry, report));
    }
    Ok(mappings)
}

fn mapping(source: &str, entry: &Entry, report: &mut Report<'_>) -> Option<Mapping> {
    let (mapping, shown) = match &entry.value {
        Value::String(subject) => (Mapping::simple(source, subject), format!("{source:?} to {subject:?}")),
        weighted => {
            let destinations = destinations(weighted, entry.position, report)?;
            (Mapping { source: source.to_owned(), destinations }, format!("{source:?}"))
        }
    };
    match mapping.validate() {
        Ok(()) => Some(mapping),
        Err(error) => {
            report.error(entry.position, format!("Error adding mapping for {shown} : {error}"));
            None
        }
    }
}

/// One destination, or an array of them; `None` if one is faulty.
fn destinations(
    value: &Value,
    position: Position,
    report: &mut Report<'_>,
) -> Option<Vec<MappingDestination>> {
    let each: Vec<_> = match value {
        Value::Array(items) => items.iter().map(|item| (&item.value, item.position)).collect(),
        other => vec![(other, position)],
    };
    let read = each.into_iter().map(|(value, position)| {
        let destination = destination(value, position);
        destination.map_err(|(position, message)| report.error(position, message)).ok()
    });
    // All are read, so that each fault is reported.
    read.collect::<Vec<_>>().into_iter().collect()
}

/// What is wrong with a destination, and where.
type Misplaced = (Position, String);

fn destination(value: &Value, position: Position) -> Result<MappingDestination, Misplaced> {
    let Value::Map(map) = value else {
        return Err((position, "Expected an entry for the mapping destination".to_owned()));
    };
    let mut subject = String::new();
    let mut weight = None;
    let mut cluster = None;
    for (key, entry) in in_order(map) {
        let value = &entry.value;
        let misplaced = |message| (entry.position, message);
        match key.to_lowercase().as_str() {
            "dest" | "destination" => subject = text(key, value).map_err(misplaced)?,
            "weight" => weight = Some(percent(value).map_err(misplaced)?),
            "cluster" => cluster = Some(text(key, value).map_err(misplaced)?).filter(|name| !name.is_empty()),
            _ => return Err(misplaced(format!("Unknown field {key:?} for mapping destination"))),
        }
    }
    let missing = || (position, format!("Missing weight for mapping destination {subject:?}"));
    let weight = weight.ok_or_else(missing)?;
    Ok(MappingDestination { subject, weight, cluster })
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("expected a string for {key:?}, got {}", type_name(other))),
    }
}

/// From 0 to 100, with a percent sign or without.
fn percent(value: &Value) -> Result<u8, String> {
    let weight = match value {
        Value::Integer(weight) => *weight,
        Value::String(text) => {
            let number = text.strip_suffix('%').unwrap_or(text);
            number.parse().map_err(|_| format!("Invalid weight {number:?} for mapping destination"))?
        }
        Value::Float(weight) => return Err(format!("Unknown entry type for weight of {weight}")),
        Value::Bool(weight) => return Err(format!("Unknown entry type for weight of {weight}")),
        other => return Err(format!("Unknown entry type for weight of {}", type_name(other))),
    };
    let is_percent = |weight: &u8| *weight <= 100;
    let weight_in_range = u8::try_from(weight).ok().filter(is_percent);
    weight_in_range.ok_or_else(|| format!("Invalid weight {weight} for mapping destination"))
}
