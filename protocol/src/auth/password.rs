//! Passwords and tokens, in plain text or as bcrypt hashes.

use std::fmt;

use super::{Finding, Known};
use crate::config::Secret;

/// Whether what a client presents has a bcrypt hash: some ten milliseconds' work and more, by the cost that stands in the
/// hash. Printing it shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordCheck {
    candidate: Secret,
    hash: Secret,
    /// There is no such user: the result is no, and takes as long as for one that there is.
    is_for_nothing: bool,
}

/// Compares what a client presents with what it should.
pub(super) fn judge(expected: &Secret, presented: &str, is_known: bool, user: Option<Known>) -> Finding {
    if expected.is_bcrypt() {
        let check = PasswordCheck::new(expected, presented, !is_known);
        return Finding::CheckPassword(check, user);
    }
    let matches = expected.matches(presented.as_bytes());
    if matches & is_known { Finding::Accepted(user) } else { Finding::Refused }
}

impl PasswordCheck {
    pub(crate) fn new(hash: &Secret, candidate: &str, is_for_nothing: bool) -> Self {
        Self { candidate: candidate.into(), hash: hash.clone(), is_for_nothing }
    }

    /// Finds out. False where this crate was built without the feature `auth`.
    #[must_use]
    pub fn run(&self) -> bool {
        #[cfg(feature = "auth")]
        let matches = super::bcrypt::matches(self.candidate.expose(), self.hash.expose());
        #[cfg(not(feature = "auth"))]
        let matches = false;
        matches & !self.is_for_nothing
    }
}

impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordCheck")
    }
}
