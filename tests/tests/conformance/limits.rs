//! Limits, each met exactly and exceeded by one (wire.md 1.7).

use onehop_tests::script::{Case, To, case, compare};
use onehop_tests::server::Options;

use super::{modern, terse};

/// The default limit of a line, without its line end or with it: that is what these tests find out.
const LINE: usize = 4096;

#[test]
fn a_control_line_may_be_as_long_as_in_the_go_server() {
    let mut cases = Vec::new();
    for length in LINE - 6..=LINE + 3 {
        let sub = |tail: &str| format!("SUB {}{tail}", "s".repeat(length - 4 - tail.len()));
        cases.push(case(format!("a SUB of {length} bytes")).client(0, terse(&format!("{}\r\n", sub(" 1")))));
        cases.push(
            case(format!("a SUB of {length} bytes and LF")).client(0, terse(&format!("{}\n", sub(" 1")))),
        );
        let publish = format!("PUB {} 1\r\nx\r\n", "s".repeat(length - 6));
        cases.push(case(format!("a PUB of {length} bytes")).client(0, terse(&publish)));
        let json = format!("{{\"name\":\"{}\"}}", "n".repeat(length - 19));
        cases.push(case(format!("a CONNECT of {length} bytes")).client(0, format!("CONNECT {json}\r\n")));
        cases.push(
            case(format!("a PING of {length} bytes"))
                .client(0, format!("PING{}\r\n", "x".repeat(length - 4))),
        );
        cases.push(
            case(format!("an UNSUB of {length} bytes"))
                .client(0, format!("UNSUB {}\r\n", "u".repeat(length - 6))),
        );
    }
    compare(&Options::default(), &cases.into_iter().map(Case::whole_only).collect::<Vec<_>>());
}

#[test]
fn an_endless_control_line_is_cut_off() {
    let endless = |start: &str| format!("{start}{}", "x".repeat(3 * LINE));
    let cases: Vec<Case> =
        ["SUB ", "PUB ", "UNSUB ", "CONNECT ", "CONNECT {\"name\":\"", "INFO ", "HPUB ", "-ERR "]
            .iter()
            .map(|start| case(format!("{start} without an end")).raw(To::Client(0), endless(start)))
            .collect();
    compare(&Options::default(), &cases);
}

#[test]
fn the_configured_control_line_counts() {
    let options = Options::configured("max_control_line: 64\n");
    let cases: Vec<Case> = (58..=67)
        .map(|length| {
            case(format!("a SUB of {length} bytes"))
                .client(0, terse(&format!("SUB {} 1\r\n", "s".repeat(length - 6))))
        })
        .collect();
    compare(&options, &cases);
}

#[test]
fn a_payload_may_be_as_large_as_max_payload() {
    let options = Options::configured("max_payload: 100\n");
    let body = |size: usize| "x".repeat(size);
    let cases = [
        case("exactly the limit").client(0, terse(&format!("SUB a 1\r\nPUB a 100\r\n{}\r\n", body(100)))),
        case("one more, without its body").client(0, terse("SUB a 1\r\nPUB a 101\r\n")),
        case("one more, with its body")
            .client(0, terse(&format!("SUB a 1\r\nPUB a 101\r\n{}\r\n", body(101)))),
        case("much more").client(0, terse("PUB a 999999999\r\n")),
        case("headers count")
            .client(0, modern(&format!("SUB a 1\r\nHPUB a 12 100\r\nNATS/1.0\r\n\r\n{}\r\n", body(88)))),
        case("headers count, one more").client(0, modern("SUB a 1\r\nHPUB a 12 101\r\n")),
        case("after a message that fits").client(0, terse("SUB a 1\r\nPUB a 1\r\nx\r\nPUB a 101\r\n")),
        case("verbose").client(0, "CONNECT {\"verbose\":true}\r\nPUB a 101\r\n"),
    ];
    compare(&options, &cases);
}

#[test]
fn the_default_payload_limit_is_one_mebibyte() {
    let cases = [
        case("exactly")
            .client(0, terse(&format!("SUB a 1\r\nPUB a 1048576\r\n{}\r\n", "x".repeat(1 << 20))))
            .whole_only(),
        case("one more").client(0, terse("PUB a 1048577\r\n")),
    ];
    compare(&Options::default(), &cases);
}

#[test]
fn subscriptions_are_limited_in_number_and_in_tokens() {
    let options = Options::configured("max_subscriptions: 3\nmax_sub_tokens: 4\n");
    let cases = [
        case("one too many")
            .client(0, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\nPUB d 1\r\nx\r\nPUB c 1\r\ny\r\n")),
        case("room again after UNSUB")
            .client(0, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB d 4\r\nPUB d 0\r\n\r\n")),
        case("room again after the last delivery").client(
            0,
            terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1 1\r\nPUB a 0\r\n\r\nSUB d 4\r\nPUB d 0\r\n\r\n"),
        ),
        case("an id in use at the limit").client(0, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB c 3\r\n")),
        case("verbose, one too many").client(
            0,
            "CONNECT {\"verbose\":true}\r\nSUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\nUNSUB 4\r\n",
        ),
        case("as many tokens as allowed").client(0, terse("SUB a.b.c.d 1\r\nSUB a.*.c.> 2\r\n")),
        case("one token too many").client(0, terse("SUB a.b.c.d.e 1\r\nSUB *.*.*.*.> 2\r\nSUB ok 3\r\n")),
        case("one token too many in a queue").client(0, terse("SUB a.b.c.d.e q 1\r\n")),
        case("publishing is not limited in tokens")
            .client(0, terse("SUB a.> 1\r\nPUB a.b.c.d.e.f 1\r\nx\r\n")),
        case("limits belong to each connection")
            .client(0, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n"))
            .client(1, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")),
        case("an invalid subject at the limit")
            .client(0, terse("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB x..y 4\r\nSUB a.b.c.d.e 5\r\n")),
    ];
    compare(&options, &cases);
}

#[test]
fn connections_are_limited_in_number() {
    let options = Options::configured("max_connections: 2\n");
    let cases = [
        case("one too many")
            .client(0, terse(""))
            .client(1, terse(""))
            .client(2, terse("SUB a 1\r\n"))
            .client(0, ""),
        case("room again after one left")
            .client(0, terse(""))
            .client(1, terse(""))
            .leave(To::Client(1))
            .client(2, terse("SUB a 1\r\nPUB a 1\r\nx\r\n")),
    ];
    compare(&options, &cases.map(Case::whole_only));
}
