//! The `accounts` of a node, and their users (wire.md 1.12).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::absent::{ACCOUNT, asks_for_nothing};
use super::fields::{Fault, Field, Report, read_fields, type_name};
use super::sharing::{Exports, Imports};
use super::users::{self, Known, Place, with_default};
use super::value::{Entry, Item, Value, in_order};
use super::{mappings, permissions};
use crate::config::validate::check_account_name;
use crate::config::{AccountConfig, AccountLimits, Mapping, User, imports};
use crate::nkey::is_account_key;

/// What the field `accounts` says.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) accounts: Vec<AccountConfig>,
    /// Those of all of them.
    pub(super) users: Vec<User>,
    names: BTreeSet<String>,
    /// Subjects of imports whose `prefix` has a wildcard.
    with_wild_prefix: Vec<String>,
}

/// How clients present themselves that are none of several users: no account has users beside that.
#[derive(Clone, Copy)]
pub(super) enum Single {
    User,
    Token,
}

impl Accounts {
    /// Names, or a block for each account. Those with a mistake are reported and left out.
    pub(super) fn read(
        field: &Field<'_>,
        single: Option<Single>,
        known: &mut Known,
        report: &mut Report<'_>,
    ) -> Result<Self, Fault> {
        let mut all = Self::default();
        let errors_before = report.error_count();
        match field.value {
            Value::Array(items) => items.iter().for_each(|item| all.add_name(item, report)),
            _ => {
                for (name, entry) in in_order(field.map()?) {
                    if let Err(fault) = all.add_block(name, entry, single, known, report) {
                        report.error(entry.position, fault);
                    }
                }
            }
        }
        if report.error_count() == errors_before {
            all.check_sharing(field, report);
        }
        Ok(all)
    }

    /// Reports what is wrong with exports and imports, which is not looked for where there are other mistakes. Accounts may be
    /// named before they are there.
    fn check_sharing(&self, field: &Field<'_>, report: &mut Report<'_>) {
        for subject in &self.with_wild_prefix {
            let fault = "stream import prefix can not contain wildcard tokens";
            report.error(field.position, format!("Error adding stream import {subject:?}: {fault}"));
        }
        for fault in imports::faults(&self.accounts) {
            report.error(field.position, fault.to_string());
        }
    }

    fn add_name(&mut self, item: &Item, report: &mut Report<'_>) {
        let added = match &item.value {
            Value::String(name) => self.add(AccountConfig::new(name)),
            other => Err(format!("interface conversion: interface {{}} is {}, not string", type_name(other))),
        };
        added.unwrap_or_else(|fault| report.error(item.position, fault));
    }

    fn add_block(
        &mut self,
        name: &str,
        entry: &Entry,
        single: Option<Single>,
        known: &mut Known,
        report: &mut Report<'_>,
    ) -> Result<(), String> {
        let Value::Map(map) = &entry.value else {
            return Err("Expected map entries for accounts".to_owned());
        };
        let mut block = Block::default();
        let at = self.accounts.len();
        self.add(AccountConfig::new(name))?;
        read_fields(map, report, |field, report| block.take(field, single, known, report));
        let Block { users, default_permissions, limits, mappings, exports, imports } = block;
        let Imports { imports, with_wild_prefix } = imports;
        self.with_wild_prefix.extend(with_wild_prefix);
        self.accounts[at] =
            AccountConfig { name: name.to_owned(), limits, mappings, exports: exports.into_list(), imports };
        let of_account =
            |user| User { account: Some(name.to_owned()), ..with_default(user, &default_permissions) };
        self.users.extend(users.into_iter().map(of_account));
        Ok(())
    }

    fn add(&mut self, account: AccountConfig) -> Result<(), String> {
        check_account_name(&account.name).map_err(|error| error.to_string())?;
        if !self.names.insert(account.name.clone()) {
            return Err(format!("Duplicate Account Entry: {}", account.name));
        }
        self.accounts.push(account);
        Ok(())
    }
}

/// What stands in the block of an account.
#[derive(Default)]
struct Block {
    users: Vec<User>,
    /// What those of them may do of whom nothing else is said.
    default_permissions: Option<Arc<crate::config::Permissions>>,
    limits: AccountLimits,
    mappings: Vec<Mapping>,
    exports: Exports,
    imports: Imports,
}

impl Block {
    fn take(
        &mut self,
        field: &Field<'_>,
        single: Option<Single>,
        known: &mut Known,
        report: &mut Report<'_>,
    ) -> Result<(), Fault> {
        match field.key.as_str() {
            "users" => {
                self.users = users::read(field, Place::Account, known, report)?;
                match single.filter(|_| !self.users.is_empty()) {
                    Some(Single::User) => return Err("Can not have a single user/pass and accounts".into()),
                    Some(Single::Token) => return Err("Can not have a token and accounts".into()),
                    None => {}
                }
            }
            "default_permissions" => {
                self.default_permissions = Some(Arc::new(permissions::read(field, report)?));
            }
            // It says who the account is where servers know it by its key. Here they know it by its name.
            "nkey" => match field.value {
                Value::String(key) if is_account_key(key) => {}
                Value::String(other) => {
                    return Err(format!("Not a valid public nkey for an account: {other:?}").into());
                }
                _ => return field.string().map(|_| ()),
            },
            "mappings" | "maps" => self.mappings.extend(mappings::read(field, report)?),
            "limits" => self.limits = limits(field, report)?,
            "exports" => self.exports.read(field, report)?,
            "imports" => self.imports.read(field, report)?,
            key => field.accept_if(asks_for_nothing(ACCOUNT, key, field.value))?,
        }
        Ok(())
    }
}

/// A block of numbers, of which -1 is no limit and what is below lets nothing through.
fn limits(field: &Field<'_>, report: &mut Report<'_>) -> Result<AccountLimits, Fault> {
    let Value::Map(map) = field.value else {
        let got = type_name(field.value);
        return Err(format!("Expected account limits to be a map/struct, got {got}").into());
    };
    let mut limits = AccountLimits::default();
    read_fields(map, report, |field, _| {
        let most = || match field.value {
            Value::Integer(-1) => Ok(None),
            Value::Integer(_) => field.count(0).map(Some),
            other => Err(Fault::from(format!(
                "interface conversion: interface {{}} is {}, not int64",
                type_name(other)
            ))),
        };
        match field.key.as_str() {
            "max_connections" | "max_conn" => limits.max_connections = most()?,
            "max_subscriptions" | "max_subs" => limits.max_subscriptions = most()?,
            "max_payload" | "max_pay" => limits.max_payload = most()?,
            // There are no leaf nodes.
            "max_leafnodes" | "max_leafs" => drop(most()?),
            _ => return Err(Fault::UnknownFieldIn(unknown_limit)),
        }
        Ok(())
    });
    Ok(limits)
}

fn unknown_limit(key: &str) -> String {
    format!("Unknown field {key:?} parsing account limits")
}
