//! The `healing` field of the `cluster` block, which is not one of nats-server's: how this node keeps the mesh whole.

use std::time::Duration;

use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::value::Value;
use crate::config::Healing;

/// A block of settings, or a boolean: `true` for the defaults, `false` for no rule but those of nats-server.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Healing, Fault> {
    match field.value {
        Value::Bool(true) => Ok(Healing::default()),
        Value::Bool(false) => Ok(Healing::none()),
        Value::Map(map) => {
            let mut healing = Healing::default();
            read_fields(map, report, |field, report| read_field(field, &mut healing, report));
            Ok(healing)
        }
        other => {
            let got = type_name(other);
            Err(format!("field \"healing\" should be a boolean or a structure, got {got}").into())
        }
    }
}

fn read_field(field: &Field<'_>, healing: &mut Healing, report: &mut Report<'_>) -> Result<(), Fault> {
    let defaults = Healing::default();
    match field.key.as_str() {
        "remember" => healing.remember = field.bool()?,
        // Of all durations here this is the one that may be none: then nobody is remembered.
        "forget_after" if field.duration_or(Duration::ZERO, report)?.is_zero() => {
            healing.forget_after = Duration::ZERO;
        }
        "forget_after" => healing.forget_after = duration(field, defaults.forget_after, LONGEST, report)?,
        "max_cold_peers" => {
            healing.max_cold_peers = field.at_most_or(MOST_COLD_PEERS, defaults.max_cold_peers)?;
        }
        "max_retry_pause" => {
            healing.max_retry_pause = duration(field, defaults.max_retry_pause, LONGEST, report)?;
        }
        "regossip" => healing.regossip = field.bool()?,
        "regossip_interval" => {
            healing.regossip_interval = duration(field, defaults.regossip_interval, LONGEST, report)?;
        }
        "regossip_lines_per_second" => {
            healing.regossip_lines_per_second =
                field.at_most_or(MAX_PER_SECOND, defaults.regossip_lines_per_second)?;
        }
        "compare" => healing.compare = field.bool()?,
        "ask" => healing.ask = field.bool()?,
        "ask_interval" => {
            healing.ask_interval = duration(field, defaults.ask_interval, LONGEST, report)?;
        }
        "arbitrate" => healing.arbitrate = field.bool()?,
        "arbitration_delay" => {
            healing.arbitration_delay =
                duration(field, defaults.arbitration_delay, LONGEST_ARBITRATION_DELAY, report)?;
        }
        "dials_per_second" => {
            healing.dials_per_second = field.at_most_or(MAX_PER_SECOND, defaults.dials_per_second)?;
        }
        "interval" => healing.interval = duration(field, defaults.interval, LONGEST_INTERVAL, report)?,
        _ => return Err(Fault::UnknownField),
    }
    Ok(())
}

/// A duration that is not so short that the node is busy with nothing else, and not above `longest`. 0 asks for the
/// default.
fn duration(
    field: &Field<'_>,
    default: Duration,
    longest: Duration,
    report: &mut Report<'_>,
) -> Result<Duration, Fault> {
    let duration = field.duration_or(default, report)?;
    if (SHORTEST..=longest).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{} must be from {SHORTEST:?} to {longest:?}", field.key).into())
    }
}

/// No timer of healing is shorter.
const SHORTEST: Duration = Duration::from_millis(10);

/// A year: whoever waits longer waits for ever.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Both nodes of a pair may wait so long to be connected.
const LONGEST_ARBITRATION_DELAY: Duration = Duration::from_secs(60);

/// With more between two looks, a lost connection would stay unnoticed longer than without healing.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// More servers that are out of reach are not tried again and again.
const MOST_COLD_PEERS: i64 = 1000;

/// Neither dials nor lines of gossip may come faster.
const MAX_PER_SECOND: i64 = 10_000;
