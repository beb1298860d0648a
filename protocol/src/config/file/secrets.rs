//! What must be known to come in, as a file says it.

use super::fields::{Fault, Field};
use crate::config::Secret;

/// A password or a token, in plain text or as a bcrypt hash.
pub(super) fn secret(field: &Field<'_>) -> Result<Secret, Fault> {
    let secret = Secret::from(credential(field)?);
    if secret.is_damaged_bcrypt() {
        return Err(format!(
            "{} begins like a bcrypt hash and is none, so nothing would match it",
            field.key
        )
        .into());
    }
    Ok(secret)
}

/// A user, a password or a token. That it is empty is never meant: it comes from a variable that nobody set, and would leave the
/// server open, as it leaves nats-server.
pub(super) fn credential(field: &Field<'_>) -> Result<String, Fault> {
    let value = field.optional_string()?;
    let value = value.ok_or_else(|| format!("{} is empty, which protects nothing", field.key))?;
    // What a file or the environment holds that is no UTF-8 comes as this: no client can present it.
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("{} is not UTF-8", field.key).into());
    }
    Ok(value)
}
