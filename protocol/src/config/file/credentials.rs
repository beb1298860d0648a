//! What clients and peers must present.

use std::sync::Arc;
use std::time::Duration;

use super::absent::{AUTHORIZATION, asks_for_nothing};
use super::fields::{Fault, Field, Report, read_fields};
use super::secrets::{credential, secret};
use super::users::{Known, Place, with_default};
use super::{permissions, users};
use crate::config::{Authorization, DEFAULT_AUTH_TIMEOUT, Permissions, Secret, User};

/// What an `authorization` block says.
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) timeout: Option<Duration>,
    pub(super) users: Option<Vec<User>>,
    /// What users may do of whom nothing else is said.
    default_permissions: Option<Arc<Permissions>>,
}

impl Credentials {
    pub(super) fn read(field: &Field<'_>, known: &mut Known, report: &mut Report<'_>) -> Result<Self, Fault> {
        let mut credentials = Self {
            user: None,
            password: None,
            token: None,
            timeout: None,
            users: None,
            default_permissions: None,
        };
        read_fields(field.map()?, report, |field, report| {
            if field.is_left_out(report) {
                return Ok(());
            }
            match field.key.as_str() {
                "user" | "username" => credentials.user = Some(credential(field)?),
                "password" | "pass" => credentials.password = Some(secret(field)?),
                "token" => credentials.token = Some(secret(field)?),
                "timeout" => {
                    credentials.timeout = Some(field.timeout_or("authorization", DEFAULT_AUTH_TIMEOUT)?)
                }
                "users" => credentials.users = Some(users::read(field, Place::Authorization, known, report)?),
                "default_permissions" | "default_permission" | "permissions" => {
                    credentials.default_permissions = Some(Arc::new(permissions::read(field, report)?));
                }
                key => field.accept_if(asks_for_nothing(AUTHORIZATION, key, field.value))?,
            }
            Ok(())
        });
        Ok(credentials)
    }

    /// What a client must present.
    pub(super) fn into_authorization(self) -> Result<Authorization, Fault> {
        let default = self.default_permissions;
        match (self.user, self.password, self.token, self.users) {
            (Some(_), _, Some(_), _) | (_, Some(_), Some(_), _) => {
                Err("Cannot have a user/pass and token".into())
            }
            (Some(_), _, _, Some(_)) => Err("Can not have a single user/pass and a users array".into()),
            (_, _, Some(_), Some(_)) => Err("Can not have a token and a users array".into()),
            (None, Some(_), _, _) => Err("Cannot have a password without a user".into()),
            (None, None, Some(token), None) => Ok(Authorization::Token(token)),
            (Some(user), password, None, None) => {
                Ok(Authorization::User { user, password: password.unwrap_or_default() })
            }
            (None, None, None, Some(users)) if !users.is_empty() => {
                Ok(Authorization::Users(users.into_iter().map(|user| with_default(user, &default)).collect()))
            }
            (None, None, None, _) => Ok(Authorization::None),
        }
    }
}
