//! What members leave for each other in the mainline DHT (wire.md 14.6): their addresses, sealed.
//!
//! There are [`SLOTS`] places in which a cluster can leave word, so that members need not agree on who writes; each has a value of one
//! length, whatever it tells. All keys come from the secret that the members share, and are others each day. Nothing here knows
//! the time or asks for randomness: both are handed in.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Address, Found};
use crate::config::{HostPort, SharedSecret};

/// A server, as a value tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its id: up to [`MAX_ID_BYTES`], visible ASCII.
    pub server_id: String,
    /// Where it listens for other servers, each with a port: one at least, [`MAX_ADDRESSES`] at the most.
    pub addresses: Vec<HostPort>,
    /// When it was there, in seconds since 1970.
    pub seen_secs: u64,
}

/// What seals, opens and signs the values of one day.
pub struct DayKeys {
    day: u64,
    signing_seed: Zeroizing<[u8; KEY_BYTES]>,
    cipher: XChaCha20Poly1305,
}

/// A value is none of this secret, day and slot, or not as members write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// The day, in UTC, since 1970.
pub fn day_of(now_secs: u64) -> u64 {
    now_secs / DAY_SECS
}

/// The days whose values may tell of a server that counts as there, the newest first: today, and in its first hours yesterday.
pub fn days_of_interest(now_secs: u64) -> impl Iterator<Item = u64> {
    let oldest = now_secs.saturating_sub((MAX_AGE + MAX_AHEAD).as_secs());
    (day_of(oldest)..=day_of(now_secs)).rev()
}

/// The salt of a slot, with which the DHT keeps it apart from the others.
pub fn salt(slot: u8) -> String {
    format!("onehop/1/{slot}")
}

/// The slots that this server writes, so that each has one writer: of the members that others can reach, the first by a hash
/// of slot and id. Who is the only one writes the slot that `random` says, and who is none of them writes none.
pub fn slots_of<'a>(own: &str, reachable: impl IntoIterator<Item = &'a str>, random: u64) -> Vec<u8> {
    let reachable: BTreeSet<&str> = reachable.into_iter().collect();
    if !reachable.contains(own) {
        return Vec::new();
    }
    if reachable.len() == 1 {
        return vec![(random % u64::from(SLOTS)) as u8];
    }
    let first = |slot: u8| reachable.iter().max_by_key(|id| (rank(slot, id), **id));
    (0..SLOTS).filter(|slot| first(*slot) == Some(&own)).collect()
}

/// Puts those first that come first in a slot, which are others in each: where one cannot tell of all, together they tell of more.
pub fn sort_for(slot: u8, servers: &mut [Announced]) {
    servers.sort_by_cached_key(|server| Reverse(rank(slot, &server.server_id)));
}

fn rank(slot: u8, server_id: &str) -> [u8; 32] {
    Sha256::new().chain_update([slot]).chain_update(server_id).finalize().into()
}

impl DayKeys {
    /// Those of a day ([`day_of`]).
    pub fn new(secret: &SharedSecret, day: u64) -> Self {
        let keys = Hkdf::<Sha256>::new(Some(PURPOSE), secret.expose());
        let derive = |what: &[u8]| {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            let info = [what, &day.to_be_bytes()].concat();
            keys.expand(&info, &mut *key).expect("less than 255 hashes");
            key
        };
        let cipher = XChaCha20Poly1305::new((&*derive(b"seal")).into());
        Self { day, signing_seed: derive(b"sign"), cipher }
    }

    /// The seed of the Ed25519 key by which the DHT knows that values are of the same cluster and day.
    pub fn signing_seed(&self) -> &[u8; KEY_BYTES] {
        &self.signing_seed
    }

    /// The value of a slot, which is [`VALUE_BYTES`] long: of these servers as many as fit, the first ones. Those that could not be
    /// read again are left out. `nonce` must be random.
    pub fn seal(&self, slot: u8, nonce: [u8; NONCE_BYTES], servers: &[Announced]) -> Vec<u8> {
        let text = encode(servers);
        let payload = Payload { msg: &text, aad: &self.bound_to(slot) };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a text of no great length");
        [&nonce[..], &sealed].concat()
    }

    /// What a value tells of servers that count as there now.
    ///
    /// # Errors
    /// It is not of this secret, day and slot, or not as members write it.
    pub fn open(&self, slot: u8, value: &[u8], now_secs: u64) -> Result<Vec<Announced>, Unreadable> {
        if value.len() != VALUE_BYTES {
            return Err(Unreadable);
        }
        let (nonce, sealed) = value.split_first_chunk::<NONCE_BYTES>().ok_or(Unreadable)?;
        let payload = Payload { msg: sealed, aad: &self.bound_to(slot) };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unreadable)?;
        let mut servers = decode(&text).ok_or(Unreadable)?;
        servers.retain(|server| server.is_current(now_secs));
        Ok(servers)
    }

    /// A value counts nowhere but in the slot, and on the day, that it was written for.
    fn bound_to(&self, slot: u8) -> Vec<u8> {
        [salt(slot).as_bytes(), &self.day.to_be_bytes()].concat()
    }
}

impl Announced {
    /// Its addresses, as a source tells them.
    pub fn found(&self) -> impl Iterator<Item = Found> {
        let found =
            |address: &HostPort| Found { address: address.clone(), server_id: Some(self.server_id.clone()) };
        self.addresses.iter().map(found)
    }

    /// Whether it was there not too long ago, and not in a future that no wrong clock explains.
    fn is_current(&self, now_secs: u64) -> bool {
        let oldest = now_secs.saturating_sub(MAX_AGE.as_secs());
        (oldest..=now_secs.saturating_add(MAX_AHEAD.as_secs())).contains(&self.seen_secs)
    }
}

impl fmt::Debug for DayKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayKeys").field("day", &self.day).finish_non_exhaustive()
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is of another secret, or damaged")
    }
}

impl std::error::Error for Unreadable {}

fn encode(servers: &[Announced]) -> Vec<u8> {
    let mut text = vec![VERSION, 0];
    for entry in servers.iter().filter_map(encode_server) {
        if text.len() + entry.len() > TEXT_BYTES || text[1] == u8::MAX {
            break;
        }
        text.extend(entry);
        text[1] += 1;
    }
    text.resize(TEXT_BYTES, 0);
    text
}

/// None if it could not be read again.
fn encode_server(server: &Announced) -> Option<Vec<u8>> {
    let Announced { server_id, addresses, seen_secs } = server;
    let addresses: Vec<_> = addresses.iter().filter_map(encode_address).take(MAX_ADDRESSES).collect();
    if !is_id(server_id) || addresses.is_empty() {
        return None;
    }
    let mut entry = vec![server_id.len() as u8];
    entry.extend(server_id.as_bytes());
    entry.extend(seen_secs.to_be_bytes());
    entry.push(addresses.len() as u8);
    entry.extend(addresses.concat());
    Some(entry)
}

fn encode_address(address: &HostPort) -> Option<Vec<u8>> {
    let port = address.port.filter(|port| *port > 0)?;
    Address::new(address)?;
    let mut bytes = Vec::new();
    if let Ok(ip) = address.host.parse::<Ipv4Addr>() {
        bytes.push(IPV4);
        bytes.extend(ip.octets());
    } else if let Ok(ip) = address.host.parse::<Ipv6Addr>() {
        bytes.push(IPV6);
        bytes.extend(ip.octets());
    } else {
        bytes.extend([NAME, address.host.len() as u8]);
        bytes.extend(address.host.bytes());
    }
    bytes.extend(port.to_be_bytes());
    Some(bytes)
}

fn decode(text: &[u8]) -> Option<Vec<Announced>> {
    let mut rest = Rest(text);
    if rest.byte()? != VERSION {
        return None;
    }
    let count = rest.byte()?;
    let servers = (0..count).map(|_| rest.server()).collect::<Option<Vec<_>>>()?;
    rest.0.iter().all(|byte| *byte == 0).then_some(servers)
}

/// What of a text is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A text behind its length.
    fn text(&mut self) -> Option<String> {
        let len = self.byte()?;
        std::str::from_utf8(self.take(len.into())?).ok().map(str::to_owned)
    }

    fn server(&mut self) -> Option<Announced> {
        let server_id = self.text().filter(|id| is_id(id))?;
        let seen_secs = u64::from_be_bytes(self.array()?);
        let count = usize::from(self.byte()?);
        if !(1..=MAX_ADDRESSES).contains(&count) {
            return None;
        }
        let addresses = (0..count).map(|_| self.address()).collect::<Option<Vec<_>>>()?;
        Some(Announced { server_id, addresses, seen_secs })
    }

    fn address(&mut self) -> Option<HostPort> {
        let host = match self.byte()? {
            IPV4 => Ipv4Addr::from(self.array::<4>()?).to_string(),
            IPV6 => Ipv6Addr::from(self.array::<16>()?).to_string(),
            NAME => self.text()?,
            _ => return None,
        };
        let port = Some(u16::from_be_bytes(self.array()?)).filter(|port| *port > 0);
        let address = HostPort { host, port };
        (port.is_some() && Address::new(&address).is_some()).then_some(address)
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// So many values a cluster has at a time.
pub const SLOTS: u8 = 8;

/// The length of each value. The DHT takes 1,000 bytes as it encodes them; and an answer with nodes and signature is still one packet of
/// an Ethernet.
pub const VALUE_BYTES: usize = 900;

/// What a value begins with.
pub const NONCE_BYTES: usize = 24;

/// An id that is longer is not told.
pub const MAX_ID_BYTES: usize = 128;

/// So many addresses of one server are told.
pub const MAX_ADDRESSES: usize = 8;

/// Who was not there for longer is not told of. Nodes of the DHT forget a value that is not written again in about the same time.
pub const MAX_AGE: Duration = Duration::from_secs(2 * 3600);

/// So far ahead the clock of another may be.
pub const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);

/// How long the text is that is sealed.
const TEXT_BYTES: usize = VALUE_BYTES - NONCE_BYTES - TAG_BYTES;

const TAG_BYTES: usize = 16;

const KEY_BYTES: usize = 32;

const DAY_SECS: u64 = 24 * 3600;

/// The salt of all keys: what else is made of the secret needs another.
const PURPOSE: &[u8] = b"onehop/1";

const VERSION: u8 = 1;

const NAME: u8 = 0;
const IPV4: u8 = 4;
const IPV6: u8 = 6;

#[cfg(test)]
mod tests;
