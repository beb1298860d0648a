//! Hashes of passwords.

/// Whether this is the password of a bcrypt hash. As everywhere, 72 bytes of it count.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    bcrypt::verify(password, hash).unwrap_or(false)
}
