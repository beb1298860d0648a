//! The `relay` field.

use super::*;
use crate::config::RelayMode;

#[test]
fn relay_is_switched_by_a_boolean_or_a_block() {
    let relay = |text: &str| cluster(text).relay;
    assert_eq!(relay(""), Relay::default());
    assert_eq!((relay("relay: auto"), Relay::default().mode), (Relay::default(), RelayMode::Auto));
    assert_eq!(relay("relay: true"), Relay { mode: RelayMode::On, ..Relay::default() });
    assert_eq!(relay("relay: off"), Relay { mode: RelayMode::Off, ..Relay::default() });
    assert_eq!(relay("relay {}"), relay("relay: true"));
    let read = relay("relay { enabled: false, after: 2s, max_circuits: 7, max_circuits_per_pair: 5 }");
    let after = Duration::from_secs(2);
    assert_eq!(read, Relay { mode: RelayMode::Off, after, max_circuits: 7, max_circuits_per_pair: 5 });
    let zero = "relay { after: '0s', max_circuits: 0, max_circuits_per_pair: 0 }";
    assert_eq!(relay(zero), relay("relay: true"), "zero asks for the default");
}

#[test]
fn a_faulty_field_of_relay_is_told() {
    for (text, message) in [
        ("enabled: 5", "expected a boolean for \"enabled\", got int64"),
        ("via: M", "unknown field \"via\""),
        ("after: 99ms", "after must be from 100ms to 3600s"),
        ("max_circuits: 10001", "max_circuits value is too big"),
        ("max_circuits_per_pair: -1", "max_circuits_per_pair value can not be negative"),
    ] {
        let faulty = format!("cluster {{ relay {{\n{text} }} }}");
        assert_eq!(error(&faulty), format!("x.conf:2:1: {message}"), "{text:?}");
    }
    assert_eq!(error("cluster {\nrelay: maybe }").split(", ").last(), Some("got string"));
    let no_block = "field \"relay\" should be a boolean, \"auto\" or a structure, got int64";
    assert_eq!(error("cluster {\nrelay: 5 }"), format!("x.conf:2:1: {no_block}"));
}
