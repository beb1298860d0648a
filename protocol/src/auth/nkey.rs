//! Signatures.

use data_encoding::{BASE64, BASE64URL_NOPAD, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::nkey::UserKey;

/// Whether this is the signature of a nonce by a user, in base 64: as in URLs and without padding, or the ordinary one, as the
/// client for Python writes it (wire.md 1.3).
pub(super) fn is_signed(key: &UserKey, nonce: &str, signature: &str) -> bool {
    let verify = || {
        let decode = |encoding: Encoding| encoding.decode(signature.as_bytes()).ok();
        let raw = decode(BASE64URL_NOPAD).or_else(|| decode(BASE64))?;
        let signature = Signature::from_slice(&raw).ok()?;
        let key = VerifyingKey::from_bytes(key.as_bytes()).ok()?;
        key.verify_strict(nonce.as_bytes(), &signature).ok()
    };
    verify().is_some()
}
