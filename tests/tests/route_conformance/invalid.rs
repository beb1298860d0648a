//! Lines that no member should send (wire.md 2.6, 2.7, 2.8).

use onehop_tests::script::{Case, To, case, compare};

use super::{client, comparable, one_slot, p};

#[test]
fn invalid_lines_of_a_member() {
    let cases = LINES.iter().map(|line| {
        let case = case(format!("line {}", line.escape_default()))
            .client(0, client("SUB foo 1\r\nSUB foo q 2\r\n"))
            .route(0, p(""))
            .route(0, line)
            .in_any_order();
        // What the Go server makes of a client's publish, or of a stray carriage return, depends on where its reads end.
        if line.contains("PUB foo") || line.contains("\rbar") { case.whole_only() } else { case }
    });
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn pings_are_answered_at_any_time() {
    let cases = [
        case("after joining").route(0, p("PING\r\nPING\r\n")),
        case("before INFO")
            .route(0, onehop_tests::peer::Identity::new("P").connect_line())
            .route(0, "PING\r\n"),
        case("with more on the line").route(0, p("PING x y\r\n")),
        case("an answer that nobody asked for").route(0, p("PONG\r\nPONG\r\n")),
    ];
    compare(&one_slot(), &comparable(cases));
}

#[test]
fn a_members_line_may_have_64_kibibytes() {
    let queues = |length: usize| {
        let line = format!("RMSG $G foo | {}", "q".repeat(length - 16));
        format!("{line} 1\r\nx\r\n")
    };
    let mut cases: Vec<Case> = (65_530..=65_539)
        .map(|length| {
            case(format!("a line of {length} bytes")).route(0, p("")).route(0, queues(length)).whole_only()
        })
        .collect();
    cases.push(
        case("a line without an end")
            .route(0, p(""))
            .raw(To::Route(0), format!("RS+ $G {}", "x".repeat(200_000)))
            .whole_only(),
    );
    compare(&one_slot(), &comparable(cases));
}

const LINES: &[&str] = &[
    "RS+\r\n",
    "RS+ \r\n",
    "RS+ $G\r\n",
    "RS+ $G foo q\r\n",
    "RS+ $G foo q x\r\n",
    "RS+ $G foo q -1\r\n",
    "RS+ $G foo q 1 2\r\n",
    "RS+ $G a..b\r\n",
    "RS+ $G foo.\r\n",
    "RS+ $G >.foo\r\n",
    "RS-\r\n",
    "RS- $G\r\n",
    "RS- $G foo q 1\r\n",
    "RS- $G foo q 1 2\r\n",
    "RS* $G foo\r\n",
    "LS+\r\n",
    "LS+ o\r\n",
    "LS+ o $G\r\n",
    "LS+ o $G foo q\r\n",
    "LS+ o $G foo q 1 2\r\n",
    "LS-  $G foo\r\n",
    "LS- o $G foo q 1\r\n",
    "RMSG\r\n",
    "RMSG $G\r\n",
    "RMSG $G foo\r\n",
    "RMSG $G foo x\r\n",
    "RMSG $G foo -1\r\n",
    "RMSG $G foo rep q 1\r\nx\r\n",
    "RMSG $G foo x rep q 1\r\nx\r\n",
    "RMSG $G foo | 1\r\nx\r\n",
    "RMSG $G foo + 1\r\nx\r\n",
    "RMSG $G foo + rep 1\r\nx\r\n",
    "RMSG $G foo 1\r\nxy\r\n",
    "RMSG $G foo.* 1\r\nx\r\n",
    "RMSG $G foo..x 1\r\nx\r\n",
    "HMSG\r\n",
    "HMSG $G foo 12\r\n",
    "HMSG $G foo 13 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HMSG $G foo x 12\r\nNATS/1.0\r\n\r\n\r\n",
    "HMSG $G foo 0 2\r\nhi\r\n",
    "HMSG $G foo x rep q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "LMSG\r\n",
    "LMSG o $G foo 2\r\nhi\r\n",
    "LMSG o $G foo 3 2\r\nhi\r\n",
    "LMSG o $G foo x rep q 0 2\r\nhi\r\n",
    "MSG foo 1 1\r\nx\r\n",
    "SUB foo 1\r\n",
    "SUB foo q 1\r\n",
    "SUB\r\n",
    "UNSUB 1\r\n",
    "UNSUB x\r\n",
    "PUB foo 1\r\nx\r\n",
    "HPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "A+ x\r\n",
    "A- x\r\n",
    "A+\r\n",
    "+OK\r\n",
    "-ERR 'Invalid Subject'\r\n",
    "-ERR\r\n",
    "INFO\r\n",
    "INFO {\r\n",
    "INFO []\r\n",
    "XX\r\n",
    "\r\n",
    " PING\r\n",
    "RS+ $G foo\rbar\r\n",
    "GET / HTTP/1.1\r\n\r\n",
];
