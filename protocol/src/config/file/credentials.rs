//! What clients and peers must present.

use std::time::Duration;

use super::absent::asks_for_nothing_in_authorization;
use super::fields::{Fault, Field, Report, read_fields};
use crate::config::{DEFAULT_AUTH_TIMEOUT, Secret};

/// What an `authorization` block says.
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) timeout: Duration,
}

impl Credentials {
    pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Result<Self, Fault> {
        let mut credentials = Self { user: None, password: None, token: None, timeout: DEFAULT_AUTH_TIMEOUT };
        read_fields(field.map()?, report, |field, report| {
            if field.is_left_out(report) {
                return Ok(());
            }
            match field.key.as_str() {
                "user" | "username" => credentials.user = Some(credential(field)?),
                "password" | "pass" => credentials.password = Some(credential(field)?.into()),
                "token" => credentials.token = Some(credential(field)?.into()),
                "timeout" => credentials.timeout = field.timeout_or(DEFAULT_AUTH_TIMEOUT)?,
                key => field.accept_if(asks_for_nothing_in_authorization(key, field.value))?,
            }
            Ok(())
        });
        Ok(credentials)
    }
}

/// A user, a password or a token. That it is empty is never meant: it comes from a variable that nobody set, and would leave the
/// server open, as it leaves nats-server.
fn credential(field: &Field<'_>) -> Result<String, Fault> {
    let value = field.optional_string()?;
    let value = value.ok_or_else(|| format!("{} is empty, which protects nothing", field.key))?;
    // What a file or the environment holds that is no UTF-8 comes as this: no client can present it.
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("{} is not UTF-8", field.key).into());
    }
    Ok(value)
}
