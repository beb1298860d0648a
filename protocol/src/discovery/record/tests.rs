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
