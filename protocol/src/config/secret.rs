//! Passwords and tokens, kept out of logs.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::quote::REDACTED;

/// A password or token. Printing it never shows it; [`Secret::expose`] does. Its memory is wiped when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the secret. How long this takes tells the candidate's length and nothing of the
    /// secret's content.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let is_as_long = Choice::from(u8::from(secret.len() == candidate.len()));
        let same = candidate.iter().enumerate().fold(is_as_long, |same, (index, byte)| {
            same & byte.ct_eq(&secret.get(index).copied().unwrap_or_default())
        });
        same.into()
    }

    /// Whether it is a bcrypt hash of what is to be presented: it begins with version and cost. What has less of one is a plain
    /// secret (wire.md 1.12).
    pub fn is_bcrypt(&self) -> bool {
        self.bcrypt_digest().is_some()
    }

    /// Whether it is a bcrypt hash that nothing can match, since it lacks characters or has strange ones.
    pub(crate) fn is_damaged_bcrypt(&self) -> bool {
        let is_of_hash = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
        self.bcrypt_digest().is_some_and(|digest| digest.len() != 53 || !digest.bytes().all(is_of_hash))
    }

    /// What stands behind version and cost: 22 characters of salt and 31 of the hash.
    fn bcrypt_digest(&self) -> Option<&str> {
        let rest =
            ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|version| self.0.strip_prefix(version))?;
        let (cost, digest) = rest.split_once('$')?;
        (cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit())).then_some(digest)
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret.into())
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret::from("s3cret")), "[REDACTED]");
    }

    #[test]
    fn only_the_same_bytes_match() {
        let secret = Secret::from("s3cret");
        assert!(secret.matches(b"s3cret"));
        for wrong in ["", "s3cre", "s3crets", "S3cret", "s3cret\0"] {
            assert!(!secret.matches(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(Secret::default().matches(b""));
        assert!(!Secret::default().matches(b"\0"));
    }

    #[test]
    fn a_bcrypt_hash_is_told_from_a_secret_that_begins_like_one() {
        let hash = "$2b$04$abcdefghijklmnopqrstuu9log0hrAUiurK9/TETFbcPOPd.iIULC";
        for version in ["$2a$", "$2b$", "$2x$", "$2y$"] {
            let secret = Secret::from(hash.replace("$2b$", version));
            assert!(secret.is_bcrypt() && !secret.is_damaged_bcrypt(), "{version}");
        }
        for damaged in ["$2b$10$abc", &hash[..59], &hash.replace('/', "!")] {
            let secret = Secret::from(damaged);
            assert!(secret.is_bcrypt() && secret.is_damaged_bcrypt(), "{damaged}");
        }
        for plain in ["", "$2a$zz", "$2a$1$x", &hash[1..], &hash.replace("$2b$", "$2c$")] {
            assert!(!Secret::from(plain).is_bcrypt(), "{plain}");
        }
    }
}
