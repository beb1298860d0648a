//! The `limits` block of the `cluster` block, which is not one of nats-server's: what other servers may make a node hold.

use super::fields::{Fault, Field, Report, read_fields};
use crate::config::RouteLimits;

/// A block of numbers, of which 0 asks for the default.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<RouteLimits, Fault> {
    let mut limits = RouteLimits::default();
    read_fields(field.map()?, report, |field, _| {
        let limit = limit_of(&mut limits, &field.key).ok_or(Fault::UnknownField)?;
        *limit = field.at_most_or(i64::MAX, *limit)?;
        Ok(())
    });
    Ok(limits)
}

fn limit_of<'a>(limits: &'a mut RouteLimits, key: &str) -> Option<&'a mut usize> {
    Some(match key {
        "max_peers" => &mut limits.max_peers,
        "max_unregistered" => &mut limits.max_unregistered,
        "max_unregistered_in_bytes" => &mut limits.max_unregistered_in_bytes,
        "max_unregistered_out_bytes" => &mut limits.max_unregistered_out_bytes,
        "max_payload" => &mut limits.max_payload,
        "max_pending" => &mut limits.max_pending,
        "max_pending_control" => &mut limits.max_pending_control,
        "max_interest" => &mut limits.max_interest,
        "max_interest_bytes" => &mut limits.max_interest_bytes,
        _ => return None,
    })
}
