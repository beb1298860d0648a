//! The `limits` field of the `cluster` block.

use super::*;

#[test]
fn every_limit_on_what_servers_may_make_a_node_hold_is_read() {
    let read = cluster(
        "limits { max_peers: 1, max_unregistered: 2, max_unregistered_in_bytes: 3k, max_unregistered_out_bytes: 4\n\
         max_payload: 5, max_pending: 6mb, max_pending_control: 7, max_interest: 8, max_interest_bytes: 9 }",
    );
    let expected = RouteLimits {
        max_peers: 1,
        max_unregistered: 2,
        max_unregistered_in_bytes: 3000,
        max_unregistered_out_bytes: 4,
        max_payload: 5,
        max_pending: 6 * 1024 * 1024,
        max_pending_control: 7,
        max_interest: 8,
        max_interest_bytes: 9,
    };
    assert_eq!(read.limits, expected);
    assert_eq!(cluster("limits { max_peers: 0 }"), cluster(""));
}

#[test]
fn a_faulty_limit_is_told() {
    for (text, message) in [
        ("max_peers: yes", "expected an integer for \"max_peers\", got bool"),
        ("max_peers: -1", "max_peers value can not be negative"),
        ("max_routes: 5", "unknown field \"max_routes\""),
    ] {
        let faulty = format!("cluster {{ limits {{\n{text} }} }}");
        assert_eq!(error(&faulty), format!("x.conf:2:1: {message}"), "{text:?}");
    }
    assert_eq!(error("cluster {\nlimits: 5 }"), "x.conf:2:1: Expected map to define limits, got int64");
}
