//! Signatures.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};

use crate::nkey::UserKey;

/// Whether this is the signature of a nonce by a user, in base 64 as in URLs and without padding.
pub(super) fn is_signed(key: &UserKey, nonce: &str, signature: &str) -> bool {
    let verify = || {
        let raw = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        let signature = Signature::from_slice(&raw).ok()?;
        let key = VerifyingKey::from_bytes(key.as_bytes()).ok()?;
        key.verify_strict(nonce.as_bytes(), &signature).ok()
    };
    verify().is_some()
}
