//! What a server says to a client, and how that of NATS is split into items, in place and without allocating (wire.md 1).

/// One thing that a server said to a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// `MSG`: `head` is everything between `MSG ` and the size, its last blank included (`subject sid [reply] `); in other
    /// dialects the subject.
    Message {
        /// Subject, subscription and reply, each followed by one blank; or the subject alone.
        head: &'a [u8],
        /// The payload, without the line end that follows it.
        payload: &'a [u8],
    },
    /// `HMSG`; no load publishes headers, so this is a server's notice such as 503.
    Notice(&'a [u8]),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO`, `+OK` and the like: nothing to do.
    Idle,
    /// `-ERR`, with the text after it, or another refusal.
    Refused(&'a [u8]),
}

/// The server sent something that is not its protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The first item of `bytes` and how many bytes it takes; `None` when it is not all there yet.
pub fn scan(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Malformed> {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let after = end + 1;
    if let Some(arguments) = line.strip_prefix(b"MSG ") {
        let (head, size) = split_size(arguments)?;
        let found = payload(bytes, after, size)?;
        return Ok(found.map(|(payload, used)| (Item::Message { head, payload }, used)));
    }
    if let Some(arguments) = line.strip_prefix(b"HMSG ") {
        let (_, size) = split_size(arguments)?;
        let found = payload(bytes, after, size)?;
        return Ok(found.map(|(payload, used)| (Item::Notice(payload), used)));
    }
    let item = match line {
        b"PING" => Item::Ping,
        b"PONG" => Item::Pong,
        b"+OK" => Item::Idle,
        _ if line.starts_with(b"INFO ") => Item::Idle,
        _ => Item::Refused(line.strip_prefix(b"-ERR ").ok_or(Malformed)?),
    };
    Ok(Some((item, after)))
}

/// Splits `subject sid [reply] size` before the size, which is the last argument.
fn split_size(arguments: &[u8]) -> Result<(&[u8], usize), Malformed> {
    let blank = arguments.iter().rposition(|&byte| byte == b' ').ok_or(Malformed)?;
    let (head, digits) = arguments.split_at(blank + 1);
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok((head, digits.iter().fold(0, |size, digit| size * 10 + usize::from(digit - b'0'))))
}

/// The `size` bytes at `start`, and where the item ends behind their CR LF.
fn payload(bytes: &[u8], start: usize, size: usize) -> Result<Option<(&[u8], usize)>, Malformed> {
    let end = start + size;
    match bytes.get(end..end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((&bytes[start..end], end + 2))),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_into_head_and_payload() {
        let bytes = b"MSG bench.0 1 5\r\nhel\nl\r\nPING\r\n";
        let (item, used) = scan(bytes).unwrap().unwrap();
        assert_eq!(item, Item::Message { head: b"bench.0 1 ", payload: b"hel\nl" });
        assert_eq!(scan(&bytes[used..]), Ok(Some((Item::Ping, 6))));
    }

    #[test]
    fn an_item_cut_at_any_byte_is_incomplete() {
        for whole in
            [b"MSG a 1 _INBOX.x 3\r\nabc\r\n".as_slice(), b"PONG\r\n", b"-ERR 'Slow'\r\n", b"INFO {}\r\n"]
        {
            for cut in 0..whole.len() {
                assert_eq!(scan(&whole[..cut]), Ok(None), "cut at {cut}");
            }
            assert_eq!(scan(whole).unwrap().unwrap().1, whole.len());
        }
    }

    #[test]
    fn a_notice_with_headers_is_told_from_a_message() {
        let bytes = b"HMSG _INBOX.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
        assert_eq!(scan(bytes), Ok(Some((Item::Notice(b"NATS/1.0 503\r\n\r\n"), bytes.len()))));
    }

    #[test]
    fn an_error_carries_its_text() {
        assert_eq!(scan(b"-ERR 'Slow Consumer'\r\n"), Ok(Some((Item::Refused(b"'Slow Consumer'"), 22))));
    }

    #[test]
    fn what_is_not_the_protocol_is_malformed() {
        for bytes in
            [b"MSG a 1 x\r\n\r\n".as_slice(), b"MSG a 1 1\r\nabc\r\n", b"MSG \r\n", b"HELLO\r\n", b"PING\n"]
        {
            assert_eq!(scan(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }
}
