//! Passwords and tokens, kept out of logs.

use std::fmt;

use crate::quote::REDACTED;

/// A password or token. Printing it never shows it; [`Secret::expose`] does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the secret. How long this takes tells the candidate's length and nothing of the
    /// secret's content.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let mut difference = secret.len() ^ candidate.len();
        for (index, byte) in candidate.iter().enumerate() {
            let expected = secret.get(index).copied().unwrap_or_default();
            difference |= usize::from(byte ^ expected);
        }
        std::hint::black_box(difference) == 0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
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
}
