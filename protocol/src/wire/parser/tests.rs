use proptest::prelude::*;

use super::*;
use crate::wire::{LeafOrigin, Message, RoutedMessage, RoutedSub, RoutedUnsub};

const CLIENT: Dialect = Dialect {
    role: Role::Client,
    max_control_line: 64,
    max_payload: Some(1000),
    connect_only: false,
    headers: true,
    dedicated: false,
    leaf_unsub_origin: false,
};

const ROUTE: Dialect = Dialect { role: Role::Route, max_payload: None, leaf_unsub_origin: true, ..CLIENT };

const DEDICATED: Dialect = Dialect { dedicated: true, ..ROUTE };

/// A connection's end: it keeps what the parser did not consume, and notes what comes out, rendered.
#[derive(Default)]
struct Driver {
    parser: Parser,
    rest: Vec<u8>,
    ops: Vec<String>,
    error: Option<ParseError>,
}

impl Driver {
    fn feed(&mut self, dialect: &Dialect, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while self.error.is_none() {
            let consumed = match self.parser.parse(dialect, &self.rest) {
                Ok(Parsed::Op { op, consumed }) => {
                    assert!(consumed > 0);
                    self.ops.push(format!("{op:?}"));
                    consumed
                }
                Ok(Parsed::Incomplete { consumed, wanted }) => {
                    self.rest.drain(..consumed);
                    assert!(wanted.is_none_or(|wanted| wanted > self.rest.len()));
                    return;
                }
                Err(error) => return self.error = Some(error),
            };
            self.rest.drain(..consumed);
        }
    }
}

fn outcome(dialect: &Dialect, pieces: &[&[u8]]) -> (Vec<String>, Option<ParseError>) {
    let mut driver = Driver::default();
    for piece in pieces {
        driver.feed(dialect, piece);
    }
    (driver.ops, driver.error)
}

/// The operation that all of `input` is, however it is split.
fn parse<'a>(dialect: &Dialect, input: &'a [u8]) -> Op<'a> {
    for at in 0..input.len() {
        let (ops, error) = outcome(dialect, &[&input[..at], &input[at..]]);
        assert_eq!((ops.len(), error), (1, None), "split at {at}");
    }
    match Parser::new().parse(dialect, input) {
        Ok(Parsed::Op { op, consumed }) if consumed == input.len() => op,
        other => panic!("{other:?}"),
    }
}

/// The error at the last byte of `input`, not earlier.
fn error(dialect: &Dialect, input: &[u8]) -> ParseError {
    let (last, before) = input.split_last().expect("some input");
    assert_eq!(outcome(dialect, &[before]).1, None, "too early");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    let error = outcome(dialect, &[before, &[*last]]).1;
    assert_eq!(error, outcome(dialect, &[input]).1);
    assert_eq!(error, outcome(dialect, &bytes).1);
    error.expect("an error")
}

fn is_incomplete(dialect: &Dialect, input: &[u8]) -> bool {
    outcome(dialect, &[input]) == (Vec::new(), None)
}

fn bad(operation: &'static str) -> ParseError {
    ParseError::BadArguments(operation)
}

fn publish<'a>(dialect: &Dialect, input: &'a [u8]) -> Message<'a> {
    match parse(dialect, input) {
        Op::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

fn routed<'a>(dialect: &Dialect, input: &'a [u8]) -> RoutedMessage<'a> {
    match parse(dialect, input) {
        Op::RoutedMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_publish_is_borrowed_from_the_input() {
    let expected = Message {
        subject: b"foo",
        reply: None,
        header_len: 0,
        line_tail: Some(b"5\r\n"),
        body: b"hello\r\n",
    };
    assert_eq!(publish(&CLIENT, b"PUB foo 5\r\nhello\r\n"), expected);
    let expected = Message { reply: Some(b"bar"), line_tail: Some(b"bar 5\r\n"), ..expected };
    assert_eq!(publish(&CLIENT, b"PUB foo bar 5\r\nhello\r\n"), expected);
    let with_headers = Message { header_len: 2, line_tail: Some(b"bar 2 5\r\n"), ..expected };
    assert_eq!(publish(&CLIENT, b"HPUB foo bar 2 5\r\nhello\r\n"), with_headers);
}

#[test]
fn a_line_tail_is_given_only_where_it_can_be_repeated() {
    let tail = |input| publish(&CLIENT, input).line_tail;
    assert_eq!(tail(b"PUB  a\t 0\r\n\r\n"), Some(&b"0\r\n"[..]));
    assert_eq!(tail(b"PUB a b  0\r\n\r\n"), None);
    assert_eq!(tail(b"PUB a b\t0\r\n\r\n"), None);
    assert_eq!(tail(b"PUB a b 0 \r\n\r\n"), None);
    assert_eq!(tail(b"PUB a b 0\n\r\n"), None);
    assert_eq!(tail(b"PUB a 007\r\nseven..\r\n"), Some(&b"007\r\n"[..]), "the digits stay as they were");
    assert_eq!(tail(b"HPUB a 0 1\r\nx\r\n"), None, "it is delivered without a header length");
    assert_eq!(tail(b"HPUB a 1  1\r\nx\r\n"), None);
}

#[test]
fn a_header_length_of_zero_means_no_headers() {
    let message = publish(&CLIENT, b"HPUB a 0 1\r\nx\r\n");
    assert_eq!((message.header_len, message.body), (0, &b"x\r\n"[..]));
}

#[test]
fn arguments_are_separated_by_runs_of_blanks_and_tabs() {
    let message = publish(&CLIENT, b"pub \t z   r\t 1 \t\r\nx\r\n");
    assert_eq!((message.subject, message.reply, message.body), (&b"z"[..], Some(&b"r"[..]), &b"x\r\n"[..]));
    assert_eq!(publish(&CLIENT, b"PUB\ta\t0\r\n\r\n").subject, b"a");
}

#[test]
fn no_cr_or_lf_gets_into_a_subject() {
    assert_eq!(publish(&CLIENT, b"PUB \nfoo 0\r\n\r\n").subject, b"foo");
    assert_eq!(publish(&CLIENT, b"PUB a\rb 0\r\n\r\n").reply, Some(&b"b"[..]));
}

#[test]
fn the_first_byte_after_the_blanks_never_ends_the_line() {
    assert_eq!(parse(&CLIENT, b"CONNECT\n{}\r\n"), Op::Connect(b"\n{}"));
    assert_eq!(parse(&CLIENT, b"CONNECT \r\n"), Op::Connect(b""));
    assert_eq!(parse(&ROUTE, b"A+ \n\n"), Op::Ignored);
}

#[test]
fn verbs_may_be_in_any_case() {
    assert_eq!(parse(&CLIENT, b"pInG\r\n"), Op::Ping);
    assert_eq!(parse(&CLIENT, b"Sub a 1\r\n"), Op::Sub { subject: b"a", queue: None, sid: b"1" });
    assert!(matches!(parse(&ROUTE, b"rmsg $G a 0\r\n\r\n"), Op::RoutedMessage(_)));
    assert_eq!(parse(&CLIENT, b"+ok\r\n"), Op::Ok);
}

#[test]
fn a_line_may_end_in_a_bare_lf() {
    assert_eq!(parse(&CLIENT, b"PING\n"), Op::Ping);
    assert_eq!(publish(&CLIENT, b"PUB a 1\nx\r\n").body, b"x\r\n");
}

#[test]
fn ping_pong_and_ok_swallow_a_line_of_any_length_without_keeping_it() {
    for (verb, op) in [("PING", Op::Ping), ("PONG", Op::Pong), ("+OK", Op::Ok)] {
        let mut parser = Parser::new();
        let piece = [b'\0'; 1000];
        let incomplete = |consumed| Ok(Parsed::Incomplete { consumed, wanted: None });
        assert_eq!(parser.parse(&CLIENT, verb.as_bytes()), incomplete(verb.len()));
        for _ in 0..100 {
            assert_eq!(parser.parse(&CLIENT, &piece), incomplete(1000));
        }
        assert_eq!(parser.parse(&CLIENT, b"x\r\nPI"), Ok(Parsed::Op { op, consumed: 3 }));
    }
}

#[test]
fn json_and_error_texts_are_handed_on_as_they_are() {
    assert_eq!(parse(&CLIENT, b"CONNECT{ }\r\n"), Op::Connect(b"{ }"));
    assert_eq!(parse(&CLIENT, b"INFO {} \r\n"), Op::Info(b"{} "));
    assert_eq!(parse(&CLIENT, b"INFOx\r\n"), Op::Info(b"x"));
    assert_eq!(parse(&ROUTE, b"-ERR 'Stale Connection'\r\n"), Op::Err(b"'Stale Connection'"));
}

#[test]
fn the_first_byte_that_no_verb_has_is_an_error() {
    let inputs: [&[u8]; 24] = [
        b"G", b" ", b"\r", b"\n", b"X", b"PINX", b"PI\r", b"PUBx", b"PUB\r", b"pub\n", b"SUBf", b"SUB\r",
        b"UNSUBx", b"UNSUB\r", b"HPUBx", b"HX", b"+X", b"+OX", b"-X", b"-ERX", b"-ERR\r", b"-ERRx", b"INX",
        b"\0",
    ];
    for input in inputs {
        assert_eq!(error(&CLIENT, input), ParseError::UnknownOperation, "{input:?}");
        assert_eq!(error(&ROUTE, input), ParseError::UnknownOperation, "{input:?}");
    }
}

#[test]
fn a_client_has_no_verbs_of_routes() {
    for input in [b"R", b"L", b"A", b"M"] {
        assert_eq!(error(&CLIENT, input), ParseError::UnknownOperation);
    }
    assert_eq!(error(&CLIENT, b"HMSG $G a 0 0\r\n"), ParseError::UnknownOperation);
    for input in [&b"M"[..], b"RX", b"LX", b"A*", b"A+x", b"A+\r", b"RS+\r", b"RS+x", b"RMSGx"] {
        assert_eq!(error(&ROUTE, input), ParseError::UnknownOperation);
    }
}

#[test]
fn a_beginning_of_a_verb_waits_for_more() {
    for input in [&b""[..], b"P", b"pU", b"PUB", b"H", b"HM", b"+O", b"-ERR", b"CONNEC", b"UNSUB", b"I"] {
        assert!(is_incomplete(&CLIENT, input), "{input:?}");
    }
    for input in [&b"R"[..], b"RM", b"RS", b"RS+", b"L", b"A", b"A-"] {
        assert!(is_incomplete(&ROUTE, input), "{input:?}");
    }
}

#[test]
fn only_connect_passes_where_only_connect_may() {
    let dialect = Dialect { connect_only: true, ..CLIENT };
    assert_eq!(parse(&dialect, b"connect {}\r\n"), Op::Connect(b"{}"));
    for input in [b"P", b"G", b"\n"] {
        assert_eq!(error(&dialect, input), ParseError::NotConnect);
    }
    assert_eq!(error(&dialect, b"CX"), ParseError::UnknownOperation);
}

#[test]
fn a_line_of_exactly_the_limit_passes_and_one_more_byte_is_an_error() {
    for verb in ["PUB ", "HPUB ", "SUB ", "UNSUB ", "CONNECT ", "INFO ", "-ERR ", "HMSG ", "SUB \t    "] {
        let partial = |len| [verb.as_bytes(), &vec![b'a'; len][..]].concat();
        assert!(is_incomplete(&CLIENT, &partial(64)), "{verb}");
        assert!(is_incomplete(&CLIENT, &[&partial(64)[..], b"\r"].concat()), "{verb}");
        assert_eq!(error(&CLIENT, &partial(65)), ParseError::MaxControlLine, "{verb}");
    }
    let line = |len: usize, end: &str| format!("SUB {} 1{end}", "a".repeat(len - 2));
    for end in ["\n", "\r\n"] {
        assert!(matches!(parse(&CLIENT, line(64, end).as_bytes()), Op::Sub { .. }));
        assert_eq!(outcome(&CLIENT, &[line(65, end).as_bytes()]).1, Some(ParseError::MaxControlLine));
    }
    for verb in ["RS+ ", "RS- ", "LS+ ", "LS- ", "RMSG ", "HMSG ", "LMSG ", "A+ ", "PUB ", "UNSUB "] {
        let partial = [verb.as_bytes(), &[b'a'; 65]].concat();
        assert_eq!(error(&ROUTE, &partial), ParseError::MaxControlLine, "{verb}");
    }
}

#[test]
fn blanks_after_the_verb_do_not_count_and_are_not_kept() {
    let mut parser = Parser::new();
    let piece = [b' '; 1000];
    assert_eq!(parser.parse(&CLIENT, b"SUB "), Ok(Parsed::Incomplete { consumed: 4, wanted: None }));
    assert_eq!(parser.parse(&CLIENT, &piece), Ok(Parsed::Incomplete { consumed: 1000, wanted: None }));
    let op = Op::Sub { subject: b"a", queue: None, sid: b"1" };
    assert_eq!(parser.parse(&CLIENT, b"  a 1\r\n"), Ok(Parsed::Op { op, consumed: 7 }));
}

#[test]
fn an_unfinished_message_says_how_many_bytes_it_needs() {
    let mut parser = Parser::new();
    let wanted = |wanted| Ok(Parsed::Incomplete { consumed: 4, wanted });
    assert_eq!(parser.parse(&CLIENT, b"PUB a 100\r"), wanted(None));
    assert_eq!(Parser::new().parse(&CLIENT, b"PUB a 100\r\nx"), wanted(Some(7 + 102)));
}

#[test]
fn a_payload_not_followed_by_cr_lf_is_an_error_at_its_first_wrong_byte() {
    for input in [&b"PUB a 1\r\nxX"[..], b"PUB a 1\r\nx\n", b"PUB a 1\r\nx\rX", b"PUB a 0\r\nx"] {
        assert_eq!(error(&CLIENT, input), ParseError::UnknownOperation);
    }
    for input in [&b"rmsg $G a 1\r\nxX"[..], b"LMSG o $G a 0 0\r\nX", b"PUB a 1\r\nxx"] {
        assert_eq!(error(&ROUTE, input), ParseError::UnknownOperation);
    }
}

#[test]
fn a_message_over_the_limit_is_an_error_before_its_body() {
    assert!(is_incomplete(&CLIENT, b"PUB a 1000\r\n"));
    for input in [&b"PUB a 1001\r\n"[..], b"PUB a 999999999\r\n", b"HPUB a 2 1001\r\n"] {
        assert_eq!(error(&CLIENT, input), ParseError::MaxPayload);
    }
    assert!(is_incomplete(&ROUTE, b"RMSG $G a 999999999\r\n"));
}

#[test]
fn headers_must_be_negotiated() {
    let dialect = Dialect { headers: false, ..CLIENT };
    assert_eq!(error(&dialect, b"HPUB a 0 2000\r\n"), ParseError::HeadersNotNegotiated);
    assert_eq!(publish(&dialect, b"PUB a 0\r\n\r\n").header_len, 0);
}

#[test]
fn malformed_publishes_are_errors() {
    for arguments in
        ["", " ", "a", "a b c 1", "a b c d e 1", "a x", "a -1", "a +1", "a 1000000000", "a 0000000001"]
    {
        assert_eq!(error(&CLIENT, format!("PUB {arguments}\r\n").as_bytes()), bad("PUB"), "{arguments}");
    }
    for arguments in ["", "a", "a 1", "a 2 1", "a x 1", "a b -1 1", "a b c 1 1", "a 1002 1001"] {
        assert_eq!(error(&CLIENT, format!("HPUB {arguments}\r\n").as_bytes()), bad("HPUB"), "{arguments}");
    }
    assert_eq!(publish(&CLIENT, b"PUB a 000000001\r\nx\r\n").body, b"x\r\n");
}

#[test]
fn subscriptions_have_two_or_three_arguments() {
    let op = Op::Sub { subject: b"a..b", queue: Some(b"q"), sid: b"x1" };
    assert_eq!(parse(&CLIENT, b"SUB a..b q x1\r\n"), op);
    for line in [&b"SUB \r\n"[..], b"SUB a\r\n", b"SUB a b c d\r\n", b"SUB x \n1\r\n"] {
        let error = outcome(&CLIENT, &[line]).1;
        assert_eq!(error, Some(bad("SUB")), "{line:?}");
    }
}

#[test]
fn an_unsub_without_a_positive_limit_means_now() {
    let max = |line| match parse(&CLIENT, line) {
        Op::Unsub { sid: b"1", max } => max,
        other => panic!("{other:?}"),
    };
    assert_eq!(max(b"UNSUB 1 5\r\n"), Some(5));
    assert_eq!(max(b"UNSUB 1 999999999\r\n"), Some(999_999_999));
    for line in [
        &b"UNSUB 1\r\n"[..],
        b"UNSUB 1 0\r\n",
        b"UNSUB 1 -5\r\n",
        b"UNSUB 1 x\r\n",
        b"UNSUB 1 1000000000\r\n",
    ] {
        assert_eq!(max(line), None, "{line:?}");
    }
    assert_eq!(error(&CLIENT, b"UNSUB \r\n"), bad("UNSUB"));
    assert_eq!(error(&CLIENT, b"UNSUB 1 2 3\r\n"), bad("UNSUB"));
}

#[test]
fn client_verbs_on_a_route_do_nothing_except_unsub() {
    assert_eq!(parse(&ROUTE, b"PUB a 3\r\nabc\r\n"), Op::Ignored);
    assert_eq!(parse(&ROUTE, b"HPUB a 0 3\r\nabc\r\n"), Op::Ignored);
    for line in
        [&b"SUB a 1\r\n"[..], b"SUB \r\n", b"SUB a b c d\r\n", b"A+ x\r\n", b"A- x y z\r\n", b"A+ \r\n"]
    {
        assert_eq!(parse(&ROUTE, line), Op::Ignored);
    }
    assert_eq!(error(&ROUTE, b"UNSUB 1\r\n"), bad("UNSUB on a route"));
    assert_eq!(error(&ROUTE, b"PUB a b c 1\r\n"), bad("PUB"));
}

#[test]
fn routed_interest_names_account_subject_and_weighted_queue() {
    let plain = RoutedSub { leaf: LeafOrigin::None, account: Some(b"$G"), subject: b"a.*", queue: None };
    let queue = |weight| Op::RoutedSub(RoutedSub { queue: Some((b"q", weight)), ..plain });
    assert_eq!(parse(&ROUTE, b"RS+ $G a.*\r\n"), Op::RoutedSub(plain));
    assert_eq!(parse(&ROUTE, b"RS+ $G a.* q 3\r\n"), queue(3));
    assert_eq!(parse(&ROUTE, b"RS+ $G a.* q x\r\n"), queue(0));
    assert_eq!(parse(&ROUTE, b"RS+ $G a.* q -1\r\n"), queue(0));
    assert_eq!(parse(&DEDICATED, b"RS+ a.*\r\n"), Op::RoutedSub(RoutedSub { account: None, ..plain }));
    let leaf = RoutedSub { leaf: LeafOrigin::Named(b"o"), ..plain };
    assert_eq!(parse(&ROUTE, b"LS+ o $G a.*\r\n"), Op::RoutedSub(leaf));
    for arguments in ["", "$G", "$G a q", "$G a q 1 1"] {
        assert_eq!(error(&ROUTE, format!("RS+ {arguments}\r\n").as_bytes()), bad("RS+"));
        assert_eq!(error(&ROUTE, format!("LS+ o {arguments}\r\n").as_bytes()), bad("LS+"));
    }
}

#[test]
fn the_end_of_routed_interest_names_no_weight() {
    let unsub =
        RoutedUnsub { leaf: LeafOrigin::None, account: Some(b"$G"), subject: b"a", queue: Some(b"q") };
    assert_eq!(parse(&ROUTE, b"RS- $G a q\r\n"), Op::RoutedUnsub(unsub));
    assert_eq!(parse(&DEDICATED, b"RS- a q\r\n"), Op::RoutedUnsub(RoutedUnsub { account: None, ..unsub }));
    let named = RoutedUnsub { leaf: LeafOrigin::Named(b"o"), ..unsub };
    assert_eq!(parse(&ROUTE, b"LS- o $G a q\r\n"), Op::RoutedUnsub(named));
    for arguments in ["", "$G", "$G a q 1"] {
        assert_eq!(error(&ROUTE, format!("RS- {arguments}\r\n").as_bytes()), bad("RS-"));
        assert_eq!(error(&ROUTE, format!("LS- o {arguments}\r\n").as_bytes()), bad("LS-"));
    }
}

#[test]
fn the_end_of_leaf_interest_names_its_origin_only_if_that_was_agreed() {
    let dialect = Dialect { leaf_unsub_origin: false, ..ROUTE };
    let unsub = RoutedUnsub { leaf: LeafOrigin::Unnamed, account: Some(b"$G"), subject: b"lf", queue: None };
    assert_eq!(parse(&dialect, b"LS-  $G lf\r\n"), Op::RoutedUnsub(unsub), "two blanks, as 2.9 sends it");
}

#[test]
fn an_end_of_leaf_interest_without_arguments_is_an_error() {
    // It makes a Go server 2.15.1 that agreed on origins panic.
    assert_eq!(error(&ROUTE, b"LS- \r\n"), bad("LS-"));
}

#[test]
fn a_routed_message_has_a_reply_or_an_indicator_and_queues() {
    let form = |line: &'static [u8]| {
        let routed = routed(&ROUTE, line);
        assert_eq!(
            (routed.account, routed.message.subject, routed.message.body),
            (Some(&b"$G"[..]), &b"foo"[..], &b"hi\r\n"[..])
        );
        let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).expect("ASCII");
        (routed.message.reply.map(text), text(routed.queues), routed.message.line_tail.map(text))
    };
    assert_eq!(form(b"RMSG $G foo 2\r\nhi\r\n"), (None, "", Some("2\r\n")));
    assert_eq!(form(b"RMSG $G foo rep 2\r\nhi\r\n"), (Some("rep"), "", Some("rep 2\r\n")));
    assert_eq!(form(b"RMSG $G foo | q1 q2 2\r\nhi\r\n"), (None, "q1 q2", None));
    assert_eq!(form(b"RMSG $G foo + rep q1 q2 2\r\nhi\r\n"), (Some("rep"), "q1 q2", None));
    assert_eq!(form(b"RMSG $G foo + rep 2\r\nhi\r\n"), (Some("rep"), "", None));
    assert_eq!(form(b"RMSG $G foo | 2\r\nhi\r\n"), (Some("|"), "", Some("| 2\r\n")));
    assert_eq!(form(b"HMSG $G foo + rep q 1 2\r\nhi\r\n"), (Some("rep"), "q", None));
    assert_eq!(form(b"HMSG $G foo rep 1 2\r\nhi\r\n"), (Some("rep"), "", Some("rep 1 2\r\n")));
    assert_eq!(form(b"LMSG o $G foo | q 0 2\r\nhi\r\n"), (None, "q", None));
    assert_eq!(form(b"LMSG o $G foo 0 2\r\nhi\r\n"), (None, "", None));
}

#[test]
fn a_message_on_a_dedicated_route_names_no_account() {
    let message = routed(&DEDICATED, b"RMSG foo + rep q 1\r\nx\r\n");
    assert_eq!((message.account, message.message.subject, message.queues), (None, &b"foo"[..], &b"q"[..]));
    let message = routed(&DEDICATED, b"LMSG o foo 0 1\r\nx\r\n");
    assert_eq!((message.leaf, message.account, message.message.header_len), (Some(&b"o"[..]), None, 0));
}

#[test]
fn malformed_routed_messages_are_errors() {
    for arguments in ["", "$G", "$G a", "$G a x", "$G a b c 0", "$G a +x q 0", "$G a || q 0"] {
        assert_eq!(error(&ROUTE, format!("RMSG {arguments}\r\n").as_bytes()), bad("RMSG"), "{arguments}");
    }
    for arguments in ["", "$G a 0", "$G a 2 1", "$G a r q 0 0", "$G a x 0"] {
        assert_eq!(error(&ROUTE, format!("HMSG {arguments}\r\n").as_bytes()), bad("HMSG"), "{arguments}");
        assert_eq!(error(&ROUTE, format!("LMSG o {arguments}\r\n").as_bytes()), bad("LMSG"), "{arguments}");
    }
}

#[test]
fn errors_have_the_texts_of_the_go_server_or_none() {
    assert_eq!(ParseError::NotConnect.wire_text(), Some("Authorization Violation"));
    assert_eq!(ParseError::UnknownOperation.wire_text(), Some("Unknown Protocol Operation"));
    assert_eq!(ParseError::MaxControlLine.wire_text(), Some("maximum control line exceeded"));
    assert_eq!(ParseError::MaxPayload.wire_text(), Some("Maximum Payload Violation"));
    assert_eq!(bad("PUB").wire_text(), None);
    assert_eq!(ParseError::HeadersNotNegotiated.wire_text(), None);
}

/// Operations that are right, nearly right, and noise.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let word = "[a-z$.*>|+ \t\r\n0-9-]{0,6}";
    let operation = prop_oneof![
        4 => prop::sample::select(vec![
            "PING\r\n", "PONG\n", "+OK junk\r\n", "CONNECT {}\r\n", "SUB a 1\r\n", "UNSUB 1 2\r\n", "PUB a b 3\r\nabc\r\n",
            "HPUB a 1 3\r\nabc\r\n", "RS+ $G a q 1\r\n", "RS- $G a\r\n", "LS- o $G a q\r\n", "RMSG $G a | q 3\r\nabc\r\n",
            "LMSG o $G a + r q 1 3\r\nabc\r\n", "A+ x\r\n", "INFO {}\r\n",
        ]).prop_map(|line| line.as_bytes().to_vec()),
        3 => (prop::sample::select(vec!["PUB", "hpub", "SUB", "UNSUB", "RMSG", "HMSG", "LMSG", "RS+", "LS-", "INFO"]),
              prop::collection::vec(word, 0..5))
            .prop_map(|(verb, words)| format!("{verb} {}\r\n", words.join(" ")).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ];
    prop::collection::vec(operation, 0..8).prop_map(|operations| operations.concat())
}

proptest! {
    #[test]
    fn any_splitting_gives_the_same_operations_and_the_same_error(
        input in conversation(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        dialect in prop::sample::select(vec![CLIENT, ROUTE, DEDICATED]),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        let whole = outcome(&dialect, &[&input]);
        prop_assert_eq!(&outcome(&dialect, &pieces), &whole);
        prop_assert_eq!(&outcome(&dialect, &bytes), &whole);
    }

    #[test]
    fn what_is_kept_of_a_line_is_bounded_by_its_limit(input in conversation()) {
        let mut driver = Driver::default();
        for byte in input {
            driver.feed(&CLIENT, &[byte]);
            let longest_line = CLIENT.max_control_line + "\r\n".len();
            let longest_body = CLIENT.max_payload.unwrap_or(0) + "\r\n".len();
            prop_assert!(driver.error.is_some() || driver.rest.len() <= longest_line + longest_body);
        }
    }
}
