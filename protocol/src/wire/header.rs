//! The headers of a message: `NATS/1.0`, lines of `Key: value`, an empty line (wire.md 1.4). Keys are told apart by case.

use memchr::memchr_iter;

/// Where whoever publishes a message wants to hear where it went.
pub(crate) const TRACE_DESTINATION: &[u8] = b"Nats-Trace-Dest";

/// Whether it is to go nowhere else.
pub(crate) const TRACE_ONLY: &[u8] = b"Nats-Trace-Only";

/// The number that it has at a server.
pub(crate) const TRACE_HOP: &[u8] = b"Nats-Trace-Hop";

/// Who sent a request to a service of another account.
pub(crate) const REQUEST_INFO: &[u8] = b"Nats-Request-Info";

/// Whether some line begins as one does that asks for a trace. It is asked of each message with headers.
#[inline]
pub(crate) fn may_be_traced(block: &[u8]) -> bool {
    memchr_iter(b'\n', block).any(|end| block[end + 1..].starts_with(TRACE_DESTINATION))
}

/// The value of the first header with this key.
pub(crate) fn value<'a>(block: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    pairs(block).find(|(known, _)| *known == key).map(|(_, value)| value)
}

/// All headers, without the blanks around their values.
pub(crate) fn pairs(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// The headers with one of this key and value: [`push_with_values`].
pub(crate) fn with_value(block: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(block.len() + key.len() + value.len() + 4);
    push_with_values(&mut written, block, &[(key, value)]);
    written
}

/// Writes the headers with these keys and values, each of which is the only one, as the last before their end. However they end
/// their lines and themselves, they do so as they should afterwards: no reader finds another one, and none stops at an empty line
/// before it.
pub(crate) fn push_with_values(into: &mut Vec<u8>, block: &[u8], added: &[(&[u8], &[u8])]) {
    // Some readers end a line at each of the two.
    let mut lines = block.split(|byte| matches!(byte, b'\r' | b'\n'));
    into.extend_from_slice(lines.next().filter(|first| !first.is_empty()).unwrap_or(VERSION));
    let is_replaced = |line: &[u8]| {
        added.iter().any(|(key, _)| line.strip_prefix(*key).is_some_and(|rest| rest.starts_with(b":")))
    };
    for line in lines.filter(|line| !line.is_empty() && !is_replaced(line)) {
        into.extend_from_slice(b"\r\n");
        into.extend_from_slice(line);
    }
    for (key, value) in added {
        for part in [b"\r\n", *key, b": ", *value] {
            into.extend_from_slice(part);
        }
    }
    into.extend_from_slice(b"\r\n\r\n");
}

/// What headers begin with.
const VERSION: &[u8] = b"NATS/1.0";

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] =
        b"NATS/1.0\r\nNats-Trace-Dest:  a.b \r\nx: y\r\nNats-Trace-Dest: c\r\nnats-trace-only: 1\r\n\r\n";

    #[test]
    fn the_first_value_counts_and_keys_have_a_case() {
        assert_eq!(value(BLOCK, TRACE_DESTINATION), Some(&b"a.b"[..]));
        assert_eq!(value(BLOCK, TRACE_ONLY), None);
        assert_eq!(value(b"NATS/1.0\r\nx:\r\n\r\n", b"x"), Some(&b""[..]));
        assert_eq!(value(b"Nats-Trace-Dest: first line\r\n\r\n", TRACE_DESTINATION), None);
    }

    #[test]
    fn what_may_be_traced_is_told_by_the_start_of_a_line() {
        assert!(may_be_traced(BLOCK));
        for not in [
            &b"NATS/1.0\r\nnats-trace-dest: a\r\n\r\n"[..],
            b"NATS/1.0\r\nx: Nats-Trace-Dest\r\n\r\n",
            b"NATS/1.0\r\n\r\n",
            b"",
        ] {
            assert!(!may_be_traced(not), "{}", not.escape_ascii());
        }
    }

    #[test]
    fn a_header_is_written_once_at_the_end() {
        let first = with_value(b"NATS/1.0\r\na: b\r\n\r\n", TRACE_HOP, b"1");
        assert_eq!(first, b"NATS/1.0\r\na: b\r\nNats-Trace-Hop: 1\r\n\r\n");
        let second = with_value(&first, TRACE_HOP, b"1.2");
        assert_eq!(second, b"NATS/1.0\r\na: b\r\nNats-Trace-Hop: 1.2\r\n\r\n");
    }

    #[test]
    fn headers_that_end_otherwise_keep_none_that_is_replaced_and_hide_none() {
        let forged = "Nats-Trace-Hop: 7";
        let endings = ["", "\r", "\n", "\r\n", "\n\n", "\r\n\n", "\n\r\n", "\r\n\r\n\r\n"];
        let breaks = ["\n", "\r", "\r\n", "\r\n\r\n", "\n\n", "\n\r\r\n"];
        for (line_break, end) in breaks.iter().flat_map(|it| endings.map(|end| (it, end))) {
            let block = ["NATS/1.0", "a: b", forged, "c: d"].join(line_break) + end;
            let written = with_value(block.as_bytes(), TRACE_HOP, b"1");
            let expected = b"NATS/1.0\r\na: b\r\nc: d\r\nNats-Trace-Hop: 1\r\n\r\n";
            assert_eq!(written, expected, "{block:?}: {}", written.escape_ascii());
        }
        for empty in ["", "\r\n", "\n", "NATS/1.0", "NATS/1.0\r\n"] {
            let written = with_value(empty.as_bytes(), TRACE_HOP, b"1");
            assert_eq!(written, b"NATS/1.0\r\nNats-Trace-Hop: 1\r\n\r\n", "{empty:?}");
        }
    }
}
