//! The `relay` field of the `cluster` block, which is not one of nats-server's: how this node takes part in circuits.

use std::time::Duration;

use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::value::Value;
use crate::config::{Relay, RelayMode};

/// A block of settings, which switches it on unless it says otherwise, a boolean, or "auto".
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Relay, Fault> {
    match field.value {
        Value::Bool(is_on) => Ok(Relay { mode: mode(*is_on), ..Relay::default() }),
        Value::String(word) if word.eq_ignore_ascii_case("auto") => Ok(Relay::default()),
        Value::Map(map) => {
            let mut relay = Relay { mode: RelayMode::On, ..Relay::default() };
            read_fields(map, report, |field, report| read_field(field, &mut relay, report));
            Ok(relay)
        }
        other => {
            let got = type_name(other);
            Err(format!("field \"relay\" should be a boolean, \"auto\" or a structure, got {got}").into())
        }
    }
}

fn mode(is_on: bool) -> RelayMode {
    if is_on { RelayMode::On } else { RelayMode::Off }
}

fn read_field(field: &Field<'_>, relay: &mut Relay, report: &mut Report<'_>) -> Result<(), Fault> {
    let defaults = Relay::default();
    match field.key.as_str() {
        "enabled" => relay.mode = mode(field.bool()?),
        "after" => {
            relay.after = field.duration_or(defaults.after, report)?;
            if !(SOONEST..=LATEST).contains(&relay.after) {
                return Err(format!("after must be from {SOONEST:?} to {LATEST:?}").into());
            }
        }
        "max_circuits" => relay.max_circuits = field.at_most_or(MOST_CIRCUITS, defaults.max_circuits)?,
        "max_circuits_per_pair" => {
            relay.max_circuits_per_pair = field.at_most_or(MOST_CIRCUITS, defaults.max_circuits_per_pair)?;
        }
        _ => return Err(Fault::UnknownField),
    }
    Ok(())
}

/// Who is there in a moment need not be reached through another.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(3600);

/// Each takes two connections and up to half a megabyte.
const MOST_CIRCUITS: i64 = 10_000;
