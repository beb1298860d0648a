//! The `healing` field.

use super::*;

#[test]
fn every_field_of_healing_is_read() {
    let read = cluster(
        "healing { remember: false, forget_after: 2h, max_cold_peers: 7, max_retry_pause: '1m', regossip: no, regossip_interval: 10s\n\
         regossip_lines_per_second: 1k, compare: off, ask: false, ask_interval: 3s, arbitrate: false, arbitration_delay: 10ms\n\
         dials_per_second: 7, interval: '500ms' }",
    );
    let expected = Healing {
        remember: false,
        forget_after: Duration::from_secs(7200),
        max_cold_peers: 7,
        max_retry_pause: Duration::from_secs(60),
        regossip: false,
        regossip_interval: Duration::from_secs(10),
        regossip_lines_per_second: 1000,
        compare: false,
        ask: false,
        ask_interval: Duration::from_secs(3),
        arbitrate: false,
        arbitration_delay: Duration::from_millis(10),
        dials_per_second: 7,
        interval: Duration::from_millis(500),
    };
    assert_eq!(read.healing, expected);
    assert_eq!(cluster("Healing { Compare: true }"), cluster(""));
    let zero = "healing { interval: '0s', dials_per_second: 0, max_cold_peers: 0 }";
    assert_eq!(cluster(zero), cluster(""));
    for zero in ["0", "'0s'"] {
        let healing = cluster(&format!("healing {{ forget_after: {zero} }}")).healing;
        assert_eq!(
            healing,
            Healing { forget_after: Duration::ZERO, ..Healing::default() },
            "nobody is remembered"
        );
    }
}

#[test]
fn healing_is_switched_as_a_whole_by_a_boolean() {
    assert_eq!(cluster("healing: false").healing, Healing::none());
    assert_eq!(cluster("healing: on").healing, Healing::default());
    assert_eq!(cluster("healing {}").healing, Healing::default());
}

#[test]
fn a_faulty_field_of_healing_is_told() {
    for (text, message) in [
        ("remember: 5", "expected a boolean for \"remember\", got int64"),
        ("max_dials: 5", "unknown field \"max_dials\""),
        ("forget_after: abc", "error parsing forget_after: time: invalid duration \"abc\""),
        ("forget_after: 9000h", "forget_after must be from 10ms to 31536000s"),
        ("max_cold_peers: 1001", "max_cold_peers value is too big"),
        ("max_retry_pause: 9ms", "max_retry_pause must be from 10ms to 31536000s"),
        ("regossip_interval: 1ns", "regossip_interval must be from 10ms to 31536000s"),
        ("regossip_lines_per_second: 10001", "regossip_lines_per_second value is too big"),
        ("arbitration_delay: 61s", "arbitration_delay must be from 10ms to 60s"),
        ("dials_per_second: -1", "dials_per_second value can not be negative"),
        ("interval: 9ms", "interval must be from 10ms to 60s"),
        ("interval: 2m", "interval must be from 10ms to 60s"),
    ] {
        let faulty = format!("cluster {{ healing {{\n{text} }} }}");
        assert_eq!(error(&faulty), format!("x.conf:2:1: {message}"), "{text:?}");
    }
    let no_block = "field \"healing\" should be a boolean or a structure, got int64";
    assert_eq!(error("cluster {\nhealing: 5 }"), format!("x.conf:2:1: {no_block}"));
    assert_eq!(error("healing {}"), "x.conf:1:0: unknown field \"healing\"");
}
