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
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const NOW: u64 = 20_000 * DAY_SECS + 12 * 3600;

    fn secret(byte: u8) -> SharedSecret {
        std::array::from_fn(|at| byte ^ at as u8).into()
    }

    fn keys() -> DayKeys {
        DayKeys::new(&secret(1), day_of(NOW))
    }

    fn server(id: &str, addresses: &[&str], seen_secs: u64) -> Announced {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Announced { server_id: id.to_owned(), addresses, seen_secs }
    }

    fn ids(servers: &[Announced]) -> Vec<&str> {
        servers.iter().map(|server| &*server.server_id).collect()
    }

    /// Seals a text that no member writes.
    fn seal_text(keys: &DayKeys, text: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: text, aad: &keys.bound_to(0) };
        let sealed = keys.cipher.encrypt(&XNonce::from([7; NONCE_BYTES]), payload).unwrap();
        [&[7; NONCE_BYTES][..], &sealed].concat()
    }

    fn any_address() -> impl Strategy<Value = HostPort> {
        let host = prop_oneof![
            any::<Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<Ipv6Addr>().prop_map(|ip| ip.to_string()),
            "[a-z]([a-z0-9-]{0,20}\\.){0,3}[a-z]{1,5}",
        ];
        (host, 1..=u16::MAX).prop_map(|(host, port)| HostPort { host, port: Some(port) })
    }

    fn any_server() -> impl Strategy<Value = Announced> {
        let seen_secs = NOW - MAX_AGE.as_secs()..=NOW + MAX_AHEAD.as_secs();
        ("[!-~]{1,128}", vec(any_address(), 1..=MAX_ADDRESSES), seen_secs)
            .prop_map(|(server_id, addresses, seen_secs)| Announced { server_id, addresses, seen_secs })
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_read_by_who_knows_the_secret_and_its_length_tells_nothing(
            servers in vec(any_server(), 0..20), slot in 0..SLOTS, nonce: [u8; NONCE_BYTES],
        ) {
            let value = keys().seal(slot, nonce, &servers);
            prop_assert_eq!(value.len(), VALUE_BYTES);
            let read = keys().open(slot, &value, NOW).unwrap();
            prop_assert_eq!(&servers[..read.len()], &read[..]);
            let has_room = read.iter().filter_map(encode_server).map(|entry| entry.len()).sum::<usize>() + 2;
            let next = servers.get(read.len()).and_then(encode_server);
            prop_assert!(next.is_none_or(|next| has_room + next.len() > TEXT_BYTES), "another would have fitted");
        }

        #[test]
        fn a_value_that_was_changed_anywhere_is_none(at: Index, difference in 1..=u8::MAX) {
            let mut value = keys().seal(3, [9; NONCE_BYTES], &[server("NA", &["a:1"], NOW)]);
            *at.get_mut(&mut value) ^= difference;
            prop_assert_eq!(keys().open(3, &value, NOW), Err(Unreadable));
        }

        #[test]
        fn no_text_that_a_holder_of_the_secret_seals_is_read_as_more_than_a_member_writes(
            text in vec(any::<u8>(), TEXT_BYTES), count in 0..4_u8, len in 0..8_usize,
        ) {
            let mut text = text;
            text[..2].copy_from_slice(&[VERSION, count]);
            text[2 + len * 8..].fill(0);
            if let Ok(servers) = keys().open(0, &seal_text(&keys(), &text), NOW) {
                for Announced { server_id, addresses, .. } in &servers {
                    prop_assert!(is_id(server_id) && (1..=MAX_ADDRESSES).contains(&addresses.len()));
                    prop_assert!(addresses.iter().all(|address| Address::new(address).is_some()));
                }
            }
        }

        #[test]
        fn each_slot_has_one_writer_whoever_they_are(ids in btree_set(0..1000_u16, 0..10)) {
            let ids: Vec<_> = ids.iter().map(|id| format!("N{id}")).collect();
            let all = || ids.iter().map(String::as_str);
            let written: Vec<_> = all().flat_map(|own| slots_of(own, all(), 0)).collect();
            let distinct: BTreeSet<_> = written.iter().collect();
            prop_assert_eq!(distinct.len(), written.len());
            prop_assert!(ids.len() < 2 || written.len() == usize::from(SLOTS));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let value = keys().seal(0, [9; NONCE_BYTES], &[server("NA", &["a:1"], NOW)]);
        for at in 0..VALUE_BYTES {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert_eq!(keys().open(0, &changed, NOW), Err(Unreadable), "{at}");
        }
        for len in [0, NONCE_BYTES, VALUE_BYTES - 1] {
            assert_eq!(keys().open(0, &value[..len], NOW), Err(Unreadable));
        }
        assert_eq!(keys().open(0, &[&value[..], &[0]].concat(), NOW), Err(Unreadable));
    }

    #[test]
    fn another_secret_day_or_slot_opens_nothing() {
        let value = keys().seal(0, [9; NONCE_BYTES], &[server("NA", &["a:1"], NOW)]);
        assert!(keys().open(0, &value, NOW).is_ok());
        assert_eq!(keys().open(1, &value, NOW), Err(Unreadable));
        for other in [DayKeys::new(&secret(2), day_of(NOW)), DayKeys::new(&secret(1), day_of(NOW) + 1)] {
            assert_eq!(other.open(0, &value, NOW), Err(Unreadable));
            assert_ne!(other.signing_seed(), keys().signing_seed());
        }
    }

    #[test]
    fn who_was_there_too_long_ago_or_will_be_is_left_out() {
        let (age, ahead) = (MAX_AGE.as_secs(), MAX_AHEAD.as_secs());
        let at = |id, seen_secs| server(id, &["a:1"], seen_secs);
        let servers = [
            at("old", NOW - age - 1),
            at("oldest", NOW - age),
            at("now", NOW),
            at("latest", NOW + ahead),
            at("late", NOW + ahead + 1),
            at("never", u64::MAX),
            at("0", 0),
        ];
        let value = keys().seal(0, [9; NONCE_BYTES], &servers);
        assert_eq!(ids(&keys().open(0, &value, NOW).unwrap()), ["oldest", "now", "latest"]);
        assert!(keys().open(0, &value, 0).is_ok() && keys().open(0, &value, u64::MAX).is_ok());
    }

    #[test]
    fn the_first_servers_that_fit_are_told_of_and_what_nobody_could_read_is_left_out() {
        let id = "N".repeat(56);
        let servers: Vec<_> =
            (0..300).map(|last| server(&format!("{id}{last:03}"), &["10.0.0.1:6222"], NOW)).collect();
        let read = keys().open(0, &keys().seal(0, [9; NONCE_BYTES], &servers), NOW).unwrap();
        assert_eq!(read, servers[..11]);
        let many = vec!["a:1"; MAX_ADDRESSES + 1];
        let blank = HostPort { host: "a b".to_owned(), port: Some(1) };
        let odd = [
            server("", &["a:1"], NOW),
            server("N A", &["a:1"], NOW),
            server(&"N".repeat(MAX_ID_BYTES + 1), &["a:1"], NOW),
            server("none", &[], NOW),
            server("portless", &["a"], NOW),
            Announced { addresses: vec![blank, "b:1".parse().unwrap()], ..server("blank", &[], NOW) },
            server("many", &many, NOW),
        ];
        let read = keys().open(0, &keys().seal(0, [9; NONCE_BYTES], &odd), NOW).unwrap();
        assert_eq!(ids(&read), ["blank", "many"]);
        assert_eq!([read[0].addresses.len(), read[1].addresses.len()], [1, MAX_ADDRESSES]);
    }

    #[test]
    fn a_text_that_members_do_not_write_is_none() {
        let entry = encode_server(&server("NA", &["a:1"], NOW)).unwrap();
        let padded = |text: &[u8]| {
            let mut text = text.to_vec();
            text.resize(TEXT_BYTES, 0);
            keys().open(0, &seal_text(&keys(), &text), NOW).map(|servers| servers.len())
        };
        let with_head = |head: [u8; 2], rest: &[u8]| padded(&[&head, rest].concat());
        assert_eq!(with_head([VERSION, 1], &entry), Ok(1));
        assert_eq!(with_head([VERSION + 1, 1], &entry), Err(Unreadable), "another format");
        assert_eq!(with_head([VERSION, 0], &entry), Err(Unreadable), "something behind the last server");
        assert_eq!(with_head([VERSION, 2], &entry), Err(Unreadable), "a server without an id");
        assert_eq!(with_head([VERSION, u8::MAX], &entry.repeat(50)), Err(Unreadable), "more than there is");
    }

    #[test]
    fn yesterday_is_of_interest_while_somebody_of_yesterday_may_be_there() {
        let of = |now_secs| days_of_interest(now_secs).collect::<Vec<_>>();
        let midnight = 20_000 * DAY_SECS;
        let patience = (MAX_AGE + MAX_AHEAD).as_secs();
        assert_eq!(of(midnight), [20_000, 19_999]);
        assert_eq!(of(midnight + patience - 1), [20_000, 19_999]);
        assert_eq!(of(midnight + patience), [20_000]);
        assert_eq!(of(midnight - 1), [19_999]);
        assert_eq!(of(0), [0]);
    }

    #[test]
    fn who_is_alone_writes_one_slot_and_whom_nobody_reaches_none() {
        assert_eq!(slots_of("NA", ["NA"], 11), [3]);
        assert_eq!(slots_of("NA", ["NB", "NC"], 11), [0; 0]);
        assert_eq!(slots_of("NA", [], 11), [0; 0]);
        let both = [slots_of("NA", ["NA", "NB"], 11), slots_of("NB", ["NB", "NA"], 11)];
        assert_eq!(both.concat().len(), usize::from(SLOTS));
    }

    #[test]
    fn the_keys_of_a_secret_are_the_same_everywhere() {
        let hex = data_encoding::HEXLOWER.encode(keys().signing_seed());
        assert_eq!(hex, "3d7f6396c623fc29550344b20b39d2132a988f6c876ca6cf1549b87293874e87");
        let value = keys().seal(0, [0; NONCE_BYTES], &[server("NA", &["192.0.2.1:6222"], NOW)]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&value[NONCE_BYTES..][..16]),
            "3fca03f91d797fc46031ff67f117f5ba"
        );
        assert!(!format!("{:?}", keys()).contains("seed"));
    }
}
