//! Operations out: fixed lines, and pieces of lines appended to a buffer.

/// `PING`
pub const PING: &[u8] = b"PING\r\n";
/// `PONG`
pub const PONG: &[u8] = b"PONG\r\n";
/// `+OK`
pub const OK: &[u8] = b"+OK\r\n";

/// `-ERR '<text>'`
pub fn err_line(text: &str) -> Vec<u8> {
    [b"-ERR '", text.as_bytes(), b"'\r\n"].concat()
}

/// `RS+ [account] <subject> [<queue> <weight>]`; no account on a connection dedicated to it.
pub fn routed_sub(out: &mut Vec<u8>, account: Option<&[u8]>, subject: &[u8], queue: Option<(&[u8], u32)>) {
    out.extend_from_slice(b"RS+ ");
    push_account_and_subject(out, account, subject);
    if let Some((queue, weight)) = queue {
        out.push(b' ');
        out.extend_from_slice(queue);
        out.push(b' ');
        push_decimal(out, u64::from(weight));
    }
    out.extend_from_slice(b"\r\n");
}

/// `RS- [account] <subject> [queue]`; no account on a connection dedicated to it.
pub fn routed_unsub(out: &mut Vec<u8>, account: Option<&[u8]>, subject: &[u8], queue: Option<&[u8]>) {
    out.extend_from_slice(b"RS- ");
    push_account_and_subject(out, account, subject);
    if let Some(queue) = queue {
        out.push(b' ');
        out.extend_from_slice(queue);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_account_and_subject(out: &mut Vec<u8>, account: Option<&[u8]>, subject: &[u8]) {
    if let Some(account) = account {
        out.extend_from_slice(account);
        out.push(b' ');
    }
    out.extend_from_slice(subject);
}

/// The end of a message's line, `[<reply> ]<size>` or, with headers, `[<reply> ]<header length> <size>`, and CR LF: what
/// [`Message::line_tail`](super::Message::line_tail) is where it is known. `len` is that of headers and payload together,
/// without the CR LF after them.
pub fn push_message_tail(out: &mut Vec<u8>, reply: Option<&[u8]>, header_len: usize, len: usize) {
    if let Some(reply) = reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if header_len > 0 {
        push_decimal(out, header_len as u64);
        out.push(b' ');
    }
    push_decimal(out, len as u64);
    out.extend_from_slice(b"\r\n");
}

/// Appends the digits of `number`.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    /// Of the largest number.
    const MAX_DIGITS: usize = 20;
    let mut digits = [0; MAX_DIGITS];
    let mut start = MAX_DIGITS;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends the header block that tells a requester that nobody listens to `subject` (wire.md 1.6). It is the whole
/// message: header length and size are [`no_responders_len`], and the CR LF that ends a body is not part of it.
pub fn no_responders(out: &mut Vec<u8>, subject: &[u8]) {
    out.extend_from_slice(NO_RESPONDERS);
    out.extend_from_slice(subject);
    out.extend_from_slice(b"\r\n\r\n");
}

/// How many bytes [`no_responders`] appends.
pub fn no_responders_len(subject: &[u8]) -> usize {
    NO_RESPONDERS.len() + subject.len() + "\r\n\r\n".len()
}

const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\nNats-Subject: ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Dialect, LeafOrigin, Message, Op, Parsed, Parser, Role, RoutedSub, RoutedUnsub};

    fn dialect(role: Role, dedicated: bool) -> Dialect {
        Dialect {
            role,
            max_control_line: 4096,
            max_payload: None,
            connect_only: false,
            headers: true,
            dedicated,
            leaf_unsub_origin: true,
        }
    }

    #[track_caller]
    fn assert_parses_to(dialect: &Dialect, line: &[u8], op: Op<'_>) {
        let parsed = Parser::new().parse(dialect, line);
        assert_eq!(parsed, Ok(Parsed::Op { op, consumed: line.len() }));
    }

    #[test]
    fn fixed_lines_parse_to_what_they_are() {
        let client = dialect(Role::Client, false);
        assert_parses_to(&client, PING, Op::Ping);
        assert_parses_to(&client, PONG, Op::Pong);
        assert_parses_to(&client, OK, Op::Ok);
        assert_parses_to(&client, &err_line("Stale Connection"), Op::Err(b"'Stale Connection'"));
    }

    #[test]
    fn the_no_responders_notice_is_that_of_the_go_server() {
        let mut out = Vec::new();
        no_responders(&mut out, b"svc");
        assert_eq!(out, b"NATS/1.0 503\r\nNats-Subject: svc\r\n\r\n");
        assert_eq!((out.len(), no_responders_len(b"svc")), (35, 35));
    }

    #[test]
    fn every_number_has_its_digits() {
        for number in [0, 1, 9, 10, 99, 100, 1_048_576, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    proptest! {
        #[test]
        fn interest_survives_the_wire(
            account in proptest::option::of("[A-Z$]{1,8}"),
            subject in "[a-z.*>]{1,30}",
            queue in proptest::option::of(("[a-z]{1,8}", 0..1_000_000_000u32)),
        ) {
            let route = dialect(Role::Route, account.is_none());
            let account = account.as_deref().map(str::as_bytes);
            let queue = queue.as_ref().map(|(queue, weight)| (queue.as_bytes(), *weight));
            let (leaf, subject) = (LeafOrigin::None, subject.as_bytes());
            let mut line = Vec::new();
            routed_sub(&mut line, account, subject, queue);
            assert_parses_to(&route, &line, Op::RoutedSub(RoutedSub { leaf, account, subject, queue }));
            let queue = queue.map(|(queue, _)| queue);
            line.clear();
            routed_unsub(&mut line, account, subject, queue);
            assert_parses_to(&route, &line, Op::RoutedUnsub(RoutedUnsub { leaf, account, subject, queue }));
        }

        #[test]
        fn a_message_survives_the_wire_and_its_tail_is_what_would_be_rendered(
            subject in "[a-z.]{1,30}",
            reply in proptest::option::of("[a-z.]{1,30}"),
            headers in prop::collection::vec(any::<u8>(), 0..30),
            payload in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let header_len = headers.len();
            let body = [&headers[..], &payload, b"\r\n"].concat();
            let mut tail = Vec::new();
            push_message_tail(&mut tail, reply.as_deref().map(str::as_bytes), header_len, body.len() - 2);
            let verb = if header_len > 0 { "HPUB" } else { "PUB" };
            let line = [verb.as_bytes(), b" ", subject.as_bytes(), b" ", &tail, &body].concat();
            let expected = Message {
                subject: subject.as_bytes(),
                reply: reply.as_deref().map(str::as_bytes),
                header_len,
                line_tail: Some(&tail),
                body: &body,
            };
            assert_parses_to(&dialect(Role::Client, false), &line, Op::Publish(expected));
        }
    }
}
