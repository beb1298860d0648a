//! Lists of users (wire.md 1.12).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::absent::{USER, asks_for_nothing};
use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::permissions;
use super::secrets::{credential, secret};
use super::value::{Item, Map, Value};
use crate::config::{ConnectionType, Identity, Permissions, Secret, User};
use crate::nkey::{NoUserKey, UserKey};

/// All users of a file: no two may present themselves in the same way, in whichever block they stand.
#[derive(Default)]
pub(super) struct Known {
    identities: BTreeSet<String>,
}

/// Where a list of users stands. Of one that was there before nats-server names the place of himself in `authorization`, and
/// that of the list in an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Authorization,
    Account,
}

/// The users of one block. Those with a mistake are reported and left out.
pub(super) fn read(
    field: &Field<'_>,
    place: Place,
    known: &mut Known,
    report: &mut Report<'_>,
) -> Result<Vec<User>, Fault> {
    let Value::Array(items) = field.value else {
        return Err(format!("Expected users field to be an array, got {}", type_name(field.value)).into());
    };
    let mut users = Vec::with_capacity(items.len());
    for item in items {
        let Some(user) = entry(item, report) else { continue };
        let at = if place == Place::Account { field.position } else { item.position };
        users.extend(known.admit(user).map_err(|fault| report.error(at, fault)));
    }
    Ok(users)
}

fn entry(item: &Item, report: &mut Report<'_>) -> Option<User> {
    let user = match &item.value {
        Value::Map(map) => Entry::read(map, report)?.into_user(),
        other => Err(format!("Expected user entry to be a map/struct, got {}", type_name(other))),
    };
    user.map_err(|fault| report.error(item.position, fault)).ok()
}

impl Known {
    fn admit(&mut self, user: User) -> Result<User, String> {
        let (what, text) = (user.identity.kind(), user.identity.to_string());
        if self.identities.insert(format!("{what} {text}")) {
            Ok(user)
        } else {
            Err(format!("Duplicate {what} {text:?} detected"))
        }
    }
}

/// A user who may do what is said of those of whom nothing else is.
pub(super) fn with_default(user: User, default: &Option<Arc<Permissions>>) -> User {
    User { permissions: user.permissions.or_else(|| default.clone()), ..user }
}

/// What stands in the block of a user.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    password: Option<Secret>,
    key: Option<UserKey>,
    permissions: Option<Arc<Permissions>>,
    connection_types: Option<Vec<ConnectionType>>,
}

impl Entry {
    /// None if there is a mistake in one of the fields, which is reported.
    fn read(map: &Map, report: &mut Report<'_>) -> Option<Self> {
        let mut entry = Self::default();
        let mut is_whole = true;
        read_fields(map, report, |field, report| {
            let taken = entry.take(field, report);
            is_whole &= taken.is_ok();
            taken
        });
        is_whole.then_some(entry)
    }

    fn take(&mut self, field: &Field<'_>, report: &mut Report<'_>) -> Result<(), Fault> {
        match field.key.as_str() {
            "user" | "username" => {
                self.name = field.optional_string()?.map(|_| credential(field)).transpose()?
            }
            "pass" | "password" => self.password = Some(secret(field)?),
            "nkey" => {
                self.key =
                    field.optional_string()?.map(|text| text.parse()).transpose().map_err(invalid_key)?
            }
            "permissions" | "permission" | "authorization" => {
                self.permissions = Some(Arc::new(permissions::read(field, report)?));
            }
            "allowed_connection_types" | "connection_types" | "clients" => {
                self.connection_types = Some(connection_types(field)?);
            }
            key => field.accept_if(asks_for_nothing(USER, key, field.value))?,
        }
        Ok(())
    }

    fn into_user(self) -> Result<User, String> {
        let Self { name, password, key, permissions, connection_types } = self;
        let identity = match (name, password, key) {
            (None, None, Some(key)) => Identity::Nkey(key),
            (_, _, Some(_)) => return Err("Nkey users do not take usernames or passwords".to_owned()),
            (Some(name), password, None) => {
                Identity::Password { name, password: password.unwrap_or_default() }
            }
            (None, _, None) => return Err("User entry requires a user".to_owned()),
        };
        Ok(User { identity, account: None, permissions, connection_types })
    }
}

fn invalid_key(error: NoUserKey) -> Fault {
    error.to_string().into()
}

/// One or several names of types; all types if there is none.
fn connection_types(field: &Field<'_>) -> Result<Vec<ConnectionType>, Fault> {
    let names: Vec<&str> = match field.value {
        Value::String(name) => vec![name],
        _ => field.array()?.iter().map(|item| field.text_of(&item.value)).collect::<Result<_, _>>()?,
    };
    let unknown: Vec<_> = names.iter().filter(|name| name.parse::<ConnectionType>().is_err()).collect();
    if !unknown.is_empty() {
        let unknown: Vec<_> = unknown.iter().map(|name| name.to_uppercase()).collect();
        return Err(format!("invalid connection types {unknown:?}").into());
    }
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}
