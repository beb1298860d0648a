//! How bytes become lines: letters' case, blanks, line ends and what is no operation at all (wire.md 1.1).

use onehop_tests::script::{Case, To, case, compare};
use onehop_tests::server::Options;

use super::terse;

#[test]
fn verbs_and_blanks_are_read_as_the_go_server_reads_them() {
    compare(&Options::default(), &accepted());
}

#[test]
fn what_is_no_operation_closes_the_connection() {
    let mut cases: Vec<Case> =
        REFUSED.iter().map(|line| case(refused(line)).client(0, terse(line))).collect();
    cases.extend(REFUSED_BYTES.iter().map(|bytes| {
        let shown = bytes.escape_ascii().to_string();
        case(format!("bytes {shown}")).client(0, bytes)
    }));
    compare(&Options::default(), &cases);
}

#[test]
fn a_payload_ends_with_exactly_one_line_end() {
    let bodies = [
        ("two bytes for two", "2\r\nab\r\n"),
        ("nothing for nothing", "0\r\n\r\n"),
        ("line ends inside", "6\r\n\r\nPI\r\n\r\n"),
        ("one byte too many", "2\r\nabc\r\n"),
        ("a line feed alone", "2\r\nab\n"),
        ("two carriage returns", "2\r\nab\r\r\n"),
        ("a payload of verbs", "16\r\nSUB x 1\r\nPING\r\n\r\n\r\n"),
        ("bytes of no text", "4\r\n\0\x01\x7f\x00\r\n"),
        ("size with leading zeros", "0002\r\nab\r\n"),
        ("size with trailing blanks", "2  \r\nab\r\n"),
        ("line feed after the size", "2\nab\r\n"),
    ];
    let cases = bodies.map(|(name, body)| case(name).client(0, terse(&format!("SUB a 1\r\nPUB a {body}"))));
    compare(&Options::default(), &cases);
}

#[test]
fn an_unfinished_line_or_payload_is_waited_for() {
    let halves = [
        "PI",
        "PUB",
        "PUB a",
        "PUB a 5",
        "PUB a 5\r",
        "PUB a 5\r\nab",
        "PUB a 2\r\nab\r",
        "SUB a 1\r",
        "CONN",
    ];
    let cases = halves.map(|half| case(format!("half of a line: {half:?}")).raw(To::Client(0), half));
    compare(&Options::default(), &cases);
}

fn refused(line: &str) -> String {
    format!("no operation: {}", line.escape_default())
}

fn accepted() -> Vec<Case> {
    let lines = [
        ("verbs in lower case", "sub a 1\r\npub a 2\r\nhi\r\nunsub 1\r\nping\r\npong\r\n"),
        ("verbs in mixed case", "Sub a 1\r\npUb a 2\r\nhi\r\nunSUB 1\r\npInG\r\nPonG\r\n"),
        ("tabs between arguments", "SUB\ta\t1\r\nPUB\ta\t2\r\nhi\r\nUNSUB\t1\r\n"),
        ("runs of blanks and tabs", "SUB  \t a \t 1\r\npub \t a   r\t 1\r\nx\r\n"),
        ("blanks before the line end", "SUB a 1  \r\nPUB a 2 \t \r\nhi\r\nUNSUB 1 \r\n"),
        ("blanks and a tab after PING", "PING \t\r\n"),
        ("a queue group between tabs", "SUB a\tq\t1\r\nPUB a 1\r\nx\r\n"),
        ("line feeds alone", "SUB a 1\nPUB a 2\nhi\r\nPING\n"),
        ("bytes after PING", "PINGxyz\r\n"),
        ("arguments after PONG", "PONG whatever 1 2\r\n"),
        ("an OK from the client", "+OK\r\n"),
        ("an OK with more", "+OK thank you\r\n"),
        ("an INFO from the client", "INFO {}\r\n"),
        ("an INFO that is no JSON", "INFO nonsense\r\n"),
        ("several pings in one write", "PING\r\nPING\r\nPING\r\n"),
        ("a reply without subscription", "SUB a 1\r\nPUB a r.e.p 2\r\nhi\r\n"),
        ("many operations in one write", MANY),
        ("bytes beyond ASCII in a subject", "SUB grüße.* 1\r\nPUB grüße.ß 1\r\nx\r\n"),
        ("no blank between the verb and a tab", "SUB\t\ta\t1\r\n"),
    ];
    let mut cases: Vec<Case> =
        lines.iter().map(|(name, lines)| case(*name).client(0, terse(lines))).collect();
    cases.push(case("no CONNECT at all").client(0, "SUB a 1\r\nPUB a 2\r\nhi\r\n"));
    cases.push(case("CONNECT without a blank").client(0, "CONNECT{\"verbose\":true}\r\nSUB a 1\r\n"));
    cases.push(
        case("CONNECT in lower case, after a tab").client(0, "connect\t{\"verbose\":true}\r\nSUB a 1\r\n"),
    );
    cases.push(
        case("CONNECT with blanks at the end").client(0, "CONNECT {\"verbose\":false}  \r\nSUB a 1\r\n"),
    );
    cases.push(case("CONNECT ended by a line feed").client(0, "CONNECT {\"verbose\":true}\nSUB a 1\n"));
    cases
}

const MANY: &str =
    "SUB a 1\r\nSUB a.b 2\r\nPUB a 1\r\nx\r\nPUB a.b 1\r\ny\r\nUNSUB 1\r\nPUB a 1\r\nz\r\nPUB a.b 0\r\n\r\n";

/// Lines after a complete `CONNECT`, so that `+OK` does not hide anything.
const REFUSED: &[&str] = &[
    " PING\r\n",
    "\tPING\r\n",
    "\r\n",
    "\n",
    "\r",
    "FOO bar\r\n",
    "P\r\n",
    "PI NG\r\n",
    "PUBX a 1\r\nx\r\n",
    "PUBa 1\r\nx\r\n",
    "SUBS a 1\r\n",
    "UNSUBS 1\r\n",
    "PONX\r\n",
    "+O\r\n",
    "+KO\r\n",
    "-OK\r\n",
    "-ERR\r\n",
    "-ERR 'I give up'\r\n",
    "-err 'x'\r\n",
    "INF\r\n",
    "INFO{}\r\n",
    "CONNECTED {}\r\n",
    "CONN {}\r\n",
    "RS+ $G a\r\n",
    "RS- $G a\r\n",
    "LS+ o $G a\r\n",
    "A+ x\r\n",
    "A- x\r\n",
    "RMSG $G a 1\r\nx\r\n",
    "LMSG o $G a 0 1\r\nx\r\n",
    "HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "MSG a 1 1\r\nx\r\n",
    "0\r\n",
    "{}\r\n",
    "'\r\n",
];

/// What strangers send to an open port.
const REFUSED_BYTES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00",
    b"\xff\xfe\xfd",
    b"\xe2\x82\xac\r\n",
    b"*1\r\n$4\r\nPING\r\n",
];
