//! What the members of a cluster know and nobody else, kept out of logs.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::quote::REDACTED;

/// Random bytes that the members of a cluster share, by which they find each other in the DHT (wire.md 14.6). Printing it never
/// shows it. Its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSecret(Zeroizing<[u8; SHARED_SECRET_BYTES]>);

/// A text is no [`SharedSecret`]. What it says is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSharedSecret;

impl SharedSecret {
    /// The bytes themselves, from which keys are made.
    pub fn expose(&self) -> &[u8; SHARED_SECRET_BYTES] {
        &self.0
    }
}

impl From<[u8; SHARED_SECRET_BYTES]> for SharedSecret {
    fn from(bytes: [u8; SHARED_SECRET_BYTES]) -> Self {
        Self(bytes.into())
    }
}

/// In hexadecimal digits or base64, with white space around it as a file may have.
impl FromStr for SharedSecret {
    type Err = NoSharedSecret;

    fn from_str(text: &str) -> Result<Self, NoSharedSecret> {
        let text = text.trim().as_bytes();
        // Each has a length of its own, but for the alphabets of base64.
        let encodings = [HEXLOWER_PERMISSIVE, BASE64, BASE64URL, BASE64_NOPAD, BASE64URL_NOPAD];
        let decoded = encodings.iter().find_map(|encoding| {
            let bytes = Zeroizing::new(encoding.decode(text).ok()?);
            let mut secret = Zeroizing::new([0; SHARED_SECRET_BYTES]);
            (bytes.len() == secret.len()).then(|| secret.copy_from_slice(&bytes))?;
            Some(Self(secret))
        });
        // That is what a template or a forgotten variable leaves.
        decoded.filter(|secret| secret.0.iter().any(|byte| *byte != secret.0[0])).ok_or(NoSharedSecret)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for NoSharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it must be {SHARED_SECRET_BYTES} random bytes in base64 or hexadecimal digits")
    }
}

impl std::error::Error for NoSharedSecret {}

/// So long it is.
pub const SHARED_SECRET_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> [u8; SHARED_SECRET_BYTES] {
        std::array::from_fn(|at| 0xf0 ^ at as u8)
    }

    #[test]
    fn a_shared_secret_is_read_however_its_bytes_are_written() {
        let hex = HEXLOWER_PERMISSIVE.encode(&some());
        for text in [
            hex.to_uppercase(),
            format!(" {hex}\r\n"),
            BASE64.encode(&some()),
            BASE64URL.encode(&some()),
            BASE64_NOPAD.encode(&some()),
            BASE64URL_NOPAD.encode(&some()),
        ] {
            assert_eq!(text.parse(), Ok(SharedSecret::from(some())), "{text}");
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_says_one_byte_again_and_again_is_none() {
        let hex = HEXLOWER_PERMISSIVE.encode(&some());
        for text in
            ["", "secret", &hex[2..], &format!("{hex}00"), &"0".repeat(64), &"A".repeat(43), &"g".repeat(64)]
        {
            assert_eq!(text.parse::<SharedSecret>(), Err(NoSharedSecret), "{text}");
        }
    }

    #[test]
    fn printing_a_shared_secret_does_not_show_it() {
        assert_eq!(format!("{:?}", SharedSecret::from(some())), "[REDACTED]");
    }
}
