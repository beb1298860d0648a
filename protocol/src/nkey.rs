//! Nkeys: Ed25519 keys as text, with what they are for and a check sum.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

/// What a key is for, as the byte that its text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// `N…`
    Server = 13 << 3,
    /// `A…`
    Account = 0,
    /// `U…`
    User = 20 << 3,
}

/// The text of a public key: base 32 of what it is for, the key, and a CRC-16.
pub(crate) fn encode(purpose: Purpose, key: &[u8; KEY_BYTES]) -> String {
    let mut raw = vec![purpose as u8];
    raw.extend(key);
    raw.extend(crc16(&raw).to_le_bytes());
    BASE32_NOPAD.encode(&raw)
}

/// The key in a text that [`encode`] gave.
fn decode(purpose: Purpose, text: &str) -> Option<[u8; KEY_BYTES]> {
    let raw = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let (rest, sum) = raw.split_last_chunk()?;
    let (first, key) = rest.split_first()?;
    let is_whole = *first == purpose as u8 && u16::from_le_bytes(*sum) == crc16(rest);
    if is_whole { key.try_into().ok() } else { None }
}

/// Whether this is a public key of an account, `A…` as text.
pub(crate) fn is_account_key(text: &str) -> bool {
    decode(Purpose::Account, text).is_some()
}

/// Who a user is that proves it by a signature: the public half of an Ed25519 key, `U…` as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey([u8; KEY_BYTES]);

impl UserKey {
    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is no public key of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoUserKey;

impl FromStr for UserKey {
    type Err = NoUserKey;

    fn from_str(text: &str) -> Result<Self, NoUserKey> {
        decode(Purpose::User, text).map(Self).ok_or(NoUserKey)
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(Purpose::User, &self.0))
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NoUserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Not a valid public nkey for a user")
    }
}

impl std::error::Error for NoUserKey {}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the key pair whose seed is 32 bytes of 1.
    const KEY: &str = "UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L";

    #[test]
    fn the_check_sum_gives_its_published_test_vector() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn a_users_key_is_read_and_written_as_it_is_elsewhere() {
        let key: UserKey = KEY.parse().expect("a key");
        assert_eq!(key.to_string(), KEY);
        assert_eq!(key.as_bytes()[..4], [0x8a, 0x88, 0xe3, 0xdd]);
    }

    #[test]
    fn what_is_damaged_or_for_another_purpose_is_no_users_key() {
        let account = encode(Purpose::Account, &[7; 32]);
        assert!(account.starts_with('A') && is_account_key(&account) && !is_account_key(KEY));
        let other = encode(Purpose::Server, &[7; 32]);
        assert!(other.starts_with('N'));
        let [damaged, short, lower] = [KEY.replace('5', "6"), KEY[..54].to_owned(), KEY.to_lowercase()];
        for text in [&other, &damaged, &short, &lower, "", "U", "junk!"] {
            assert_eq!(text.parse::<UserKey>(), Err(NoUserKey), "{text}");
        }
    }
}
