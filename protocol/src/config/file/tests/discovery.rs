//! The `discovery` block.

use super::*;
use crate::config::{Dht, Frp};

fn discovery(text: &str) -> Discovery {
    config(&format!("discovery {{ {text} }}")).discovery
}

fn name(host: &str, port: Option<u16>) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

/// A list of so many words, each of which is another.
fn list(len: usize) -> String {
    let words: Vec<_> = (0..len).map(|number| format!("'w{number}'")).collect();
    format!("[{}]", words.join(", "))
}

#[test]
fn every_field_of_the_discovery_block_is_read() {
    let read = discovery(
        "peers_file: '/var/lib/onehop/peers', dns: ['seeds.example:6333', a, '[::1]:5'], mdns: true\n\
         command: [/usr/local/bin/find-peers, '--all'], interval: '90s'",
    );
    let expected = Discovery {
        peers_file: Some("/var/lib/onehop/peers".to_owned()),
        dns: vec![name("seeds.example", Some(6333)), name("a", None), name("::1", Some(5))],
        mdns: true,
        dht: None,
        secret: None,
        command: vec!["/usr/local/bin/find-peers".to_owned(), "--all".to_owned()],
        frp: None,
        interval: Duration::from_secs(90),
    };
    assert_eq!(read, expected);
    assert_eq!(discovery("Mdns: on"), Discovery { mdns: true, ..Discovery::default() });
    assert_eq!(discovery("mdns: false, dns: [], command: [], interval: 0s"), Discovery::default());
    for (text, interval) in [("1s", 1), ("1h", 3600)] {
        assert_eq!(discovery(&format!("interval: {text}")).interval, Duration::from_secs(interval));
    }
}

/// 32 bytes, each of which is its place.
pub(super) const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn the_dht_is_used_with_a_secret_from_the_file_or_one_of_its_own() {
    let expected = Discovery {
        dht: Some(Dht::default()),
        secret: Some(std::array::from_fn(|at| at as u8).into()),
        ..Discovery::default()
    };
    assert_eq!(discovery(&format!("dht: true, secret: '{SECRET}'")), expected);
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert_eq!(discovery(&format!("dht: on, secret: '{base64}'")), expected);
    assert_eq!(discovery("dht: {}, secret_file: secret.key"), expected);
    assert_eq!(discovery("dht: false"), Discovery::default());
    let dht = "dht { bootstrap: ['a.example:5', 10.0.0.1], local_addresses: true }";
    let bootstrap = vec![name("a.example", Some(5)), name("10.0.0.1", None)];
    assert_eq!(discovery(dht).dht, Some(Dht { bootstrap, local_addresses: true }));
    assert!(!format!("{:?}", discovery(&format!("secret: '{SECRET}'"))).contains("0102"));
}

#[test]
fn a_client_of_frp_is_asked_where_it_says_and_in_whose_name() {
    let local = |port| name("127.0.0.1", Some(port));
    assert_eq!(discovery("frp: true").frp, Some(Frp { address: local(7400), ..Frp::default() }));
    assert_eq!(discovery("frp {}").frp, Some(Frp::default()));
    assert_eq!(discovery("frp: false"), Discovery::default());
    let read =
        discovery("frp { url: 'http://127.0.0.1:7500/', user: u, password: 's3cret', interval: '5s' }");
    let interval = Some(Duration::from_secs(5));
    let expected = Frp { address: local(7500), user: "u".into(), password: "s3cret".into(), interval };
    assert_eq!(read.frp, Some(expected));
    assert!(read.is_on() && !format!("{read:?}").contains("s3cret"));
    for (url, host, port) in [("http://[::1]", "::1", 7400), ("http://router.lan:80", "router.lan", 80)] {
        assert_eq!(
            discovery(&format!("frp {{ url: '{url}', interval: 0s }}")).frp,
            Some(Frp { address: name(host, Some(port)), ..Frp::default() })
        );
    }
}

#[test]
fn a_client_of_frp_is_asked_in_a_name_that_is_not_too_long() {
    for field in ["user", "password"] {
        let frp = |bytes| format!("discovery {{\nfrp: {{ {field}: '{}' }} }}", "s".repeat(bytes));
        assert!(config(&frp(256)).discovery.frp.is_some());
        let told = "x.conf:2:1: discovery frp cannot have a user or password of more than 256 bytes";
        assert_eq!(error(&frp(257)), told);
    }
}

#[test]
fn what_is_wrong_with_a_client_of_frp_is_told_without_its_password() {
    let url = "discovery frp requires a url such as http://127.0.0.1:7400";
    let user = "discovery frp cannot have a user with a colon, nor control characters in user or password";
    let interval = "discovery interval must be from 1s to 3600s";
    for (text, message) in [
        ("url: 'https://u:s3cret@a'", url),
        ("url: 'http://u:s3cret@a'", url),
        ("url: 'http://a/x'", url),
        ("url: 'http://a b'", url),
        ("url: '127.0.0.1:7400'", url),
        ("url: ''", url),
        ("url: 'http://'", url),
        ("user: 'a:b', password: s3cret", user),
        ("password: \"s3cret\\n\"", user),
        ("interval: 999ms", interval),
        ("password: 5", "expected a string for \"password\", got int64"),
    ] {
        let told = error(&format!("discovery {{ frp {{ {text} }} }}"));
        assert_eq!(told.split_once(": ").map(|(_, told)| told), Some(message), "{text}");
    }
}

#[test]
fn one_name_and_a_program_without_arguments_need_no_list() {
    assert_eq!(discovery("dns: ' seeds.example '").dns, [name("seeds.example", None)]);
    assert_eq!(discovery("command: 'find peers'").command, ["find peers"], "blanks divide nothing");
    assert_eq!(discovery("dns: [a, 'a:5', a]").dns, [name("a", None), name("a", Some(5))], "each once");
    assert_eq!(discovery("command: [a, a]").command, ["a", "a"]);
}

#[test]
fn only_so_many_names_and_words_are_taken() {
    assert_eq!(discovery(&format!("dns: {}", list(16))).dns.len(), 16);
    assert_eq!(discovery(&format!("command: {}", list(64))).command.len(), 64);
    let nodes = discovery(&format!("dht: {{ bootstrap: {} }}", list(64))).dht.unwrap().bootstrap;
    assert_eq!(nodes.len(), 64);
    for (key, most) in [("dns", 16), ("command", 64)] {
        let told = error(&format!("discovery {{\n{key}: {} }}", list(most + 1)));
        assert_eq!(told, format!("x.conf:2:1: discovery {key} cannot have more than {most} entries"));
    }
}

#[test]
fn a_faulty_field_of_the_discovery_block_is_told() {
    for (text, message) in [
        ("peers_file: 5", "expected a string for \"peers_file\", got int64"),
        ("peers_file: ''", "discovery peers_file cannot have an empty text"),
        ("peers_file: $EMPTY", "discovery peers_file cannot have an empty text"),
        ("dns: true", "expected an array for \"dns\", got bool"),
        ("dns: [a, 5]", "error parsing dns: unsupported type int64"),
        ("dns: ''", "dns \"\": missing host in address"),
        ("dns: [a, ' ']", "dns \" \": missing host in address"),
        ("dns: ':6222'", "dns \":6222\": missing host in address"),
        ("dns: 'a:b'", "dns \"a:b\": the port must be a number from 1 to 65535"),
        ("dns: '::1'", "dns \"::1\": not a host, an IPv4 address or an IPv6 address in brackets"),
        (
            "dns: 'nats://a:5'",
            "dns \"nats://a:5\": not a host, an IPv4 address or an IPv6 address in brackets",
        ),
        ("dns: 'u:s3cret@a'", "dns \"[REDACTED]@a\": the port must be a number from 1 to 65535"),
        ("mdns: 5", "expected a boolean for \"mdns\", got int64"),
        ("command: {}", "expected an array for \"command\", got map"),
        ("command: [a, 5]", "error parsing command: unsupported type int64"),
        ("command: ''", "discovery command cannot have an empty text"),
        ("command: [a, '']", "discovery command cannot have an empty text"),
        ("interval: abc", "error parsing interval: time: invalid duration \"abc\""),
        ("interval: 999ms", "discovery interval must be from 1s to 3600s"),
        ("interval: 61m", "discovery interval must be from 1s to 3600s"),
        ("frp: 5", "Expected map to define frp, got int64"),
        ("dht: 5", "Expected map to define dht, got int64"),
        ("secret: 's3cret'", "invalid secret: it must be 32 random bytes in base64 or hexadecimal digits"),
        ("secret: $EMPTY", "invalid secret: it must be 32 random bytes in base64 or hexadecimal digits"),
        (
            "secret_file: bad.key",
            "invalid secret_file: it must be 32 random bytes in base64 or hexadecimal digits",
        ),
        ("secret_file: none", "open none: no files here"),
        ("seeds: [a]", "unknown field \"seeds\""),
    ] {
        assert_eq!(error(&format!("discovery {{\n{text} }}")), format!("x.conf:2:1: {message}"), "{text:?}");
    }
    for (text, message) in [
        ("bootstrap: 'a:b'", "bootstrap \"a:b\": the port must be a number from 1 to 65535"),
        ("seeds: a", "unknown field \"seeds\""),
    ] {
        assert_eq!(error(&format!("discovery {{ dht {{\n{text} }} }}")), format!("x.conf:2:1: {message}"));
    }
    let both = "x.conf:1:12: expected a boolean for \"mdns\", got int64\nx.conf:1:21: unknown field \"a\"";
    assert_eq!(error("discovery { mdns: 5, a: 5 }"), both);
    assert_eq!(error("discovery: true"), "x.conf:1:0: Expected map to define discovery, got bool");
    assert_eq!(error("cluster {\ndiscovery {} }"), "x.conf:2:1: unknown field \"discovery\"");
    let warnings = read("discovery { interval: 5 }").unwrap().warnings;
    let advice = "interval should be converted to a duration";
    assert_eq!(warnings, [format!("x.conf:1:12: invalid use of field \"interval\": {advice}")]);
}
