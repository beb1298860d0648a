//! What clients are given to sign.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use crate::config::SecretSeed;

/// That of the client with this number: 11 bytes in base 64. Nobody can tell it who does not know the secret, not even from
/// those of others.
pub(super) fn of(secret: SecretSeed, cid: u64) -> String {
    let digest = Sha256::new().chain_update(b"nonce").chain_update(secret.0).chain_update(cid.to_le_bytes());
    BASE64URL_NOPAD.encode(&digest.finalize()[..11])
}
