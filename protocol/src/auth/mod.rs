//! Who a client is: what it presents beside what the operator chose (wire.md 1.12).
//!
//! [`Guard`] is made once of a configuration. It says at once who may come in, or what has to be found out first: by the
//! program around the node, or by a computation that takes too long to be done between messages.
//!
//! What it may touch: configuration, CONNECT, permissions, what stands in a client's certificate. It knows no connection. Who calls it: client connections, with
//! each CONNECT, and whoever carries out what they ask for ([`PasswordCheck::run`]).

#[cfg(feature = "auth")]
mod bcrypt;
mod certificate;
#[cfg(feature = "auth")]
mod nkey;
#[cfg(feature = "auth")]
mod nonce;
mod password;
#[cfg(test)]
mod tests;
mod users;

use crate::config::{Authorization, Config, Secret, SecretSeed, User};
use crate::wire::Connect;

pub(crate) use certificate::{Arrival, Certificate};
pub use password::PasswordCheck;
pub(crate) use users::Known;
use users::Users;

/// Says who may come in.
#[derive(Debug)]
pub(crate) struct Guard {
    rule: Rule,
    /// INFO says that nothing is asked for where there is a user for those who present nothing.
    is_quiet: bool,
    #[cfg_attr(not(feature = "auth"), expect(dead_code, reason = "there are no nkeys"))]
    nonces: SecretSeed,
}

#[derive(Debug)]
enum Rule {
    /// Everybody.
    None,
    /// Who knows this.
    User {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// One of these.
    Users(Box<Users>),
    /// Whom the program around the node accepts.
    External,
}

impl Rule {
    fn users(users: &[User], config: &Config) -> Self {
        let users = Users::new(users, config.no_auth_user.as_deref());
        Self::Users(Box::new(if config.is_global_account_open { users.with_open_account() } else { users }))
    }
}

/// What is to be done with a client that presented something.
#[derive(Debug)]
pub(crate) enum Finding {
    /// It may come in.
    Accepted(Option<Known>),
    Refused,
    /// The program around the node is to be asked.
    AskProgram,
    /// It may come in as this one if its password is right, which takes long to find out.
    CheckPassword(PasswordCheck, Option<Known>),
}

impl Finding {
    /// Lets in the user that a client is, if it is one.
    fn of(user: Option<Known>) -> Self {
        user.map_or(Self::Refused, |user| Self::Accepted(Some(user)))
    }
}

impl Guard {
    pub(crate) fn new(config: &Config) -> Self {
        let rule = match &config.authorization {
            Authorization::None if config.is_global_account_open => Rule::users(&[], config),
            Authorization::None => Rule::None,
            Authorization::User { user, password } => {
                Rule::User { user: user.clone(), password: password.clone() }
            }
            Authorization::Token(token) => Rule::Token(token.clone()),
            Authorization::Users(users) => Rule::users(users, config),
            Authorization::External => Rule::External,
        };
        Self { rule, nonces: config.secret_seed, is_quiet: !config.is_global_account_open }
    }

    /// Whether it matters what clients present.
    pub(crate) fn requires_authorization(&self) -> bool {
        !matches!(self.rule, Rule::None)
    }

    /// Whether clients need not present anything.
    pub(crate) fn is_open(&self) -> bool {
        !self.requires_authorization() || self.anonymous().is_some()
    }

    /// Whether a client is told, as it is greeted, that it must present something.
    pub(crate) fn asks_for_credentials(&self) -> bool {
        self.requires_authorization() && !(self.is_open() && self.is_quiet)
    }

    /// Who a client is that presents nothing, not even a CONNECT.
    pub(crate) fn anonymous(&self) -> Option<Known> {
        match &self.rule {
            Rule::Users(users) => users.anonymous(),
            _ => None,
        }
    }

    /// What the client with this number is given to sign; empty if there is nobody who could.
    #[cfg_attr(not(feature = "auth"), expect(unused_variables, reason = "there are no nkeys"))]
    pub(crate) fn nonce(&self, cid: u64) -> String {
        match &self.rule {
            #[cfg(feature = "auth")]
            Rule::Users(users) if users.sign() => nonce::of(self.nonces, cid),
            _ => String::new(),
        }
    }

    /// Who presents this, as the client with this number, which came in this way.
    pub(crate) fn judge(&self, connect: &Connect, cid: u64, arrival: Arrival<'_>) -> Finding {
        match &self.rule {
            Rule::None => Finding::Accepted(None),
            Rule::External => Finding::AskProgram,
            Rule::Token(token) => password::judge(token, &connect.auth_token, true, None),
            Rule::User { user, password } => {
                password::judge(password, &connect.pass, *user == connect.user, None)
            }
            Rule::Users(users) => users.judge(connect, &self.nonce(cid), arrival),
        }
    }
}
