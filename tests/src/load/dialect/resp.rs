//! RESP2, as far as publishers and subscribers of Redis need it.

use super::{Item, Malformed};

pub(super) const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// From here on the server answers nothing, so that a publisher need not read an answer for each message.
pub(super) const NO_REPLIES: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";

pub(super) fn subscribe(channel: &str, lines: &mut Vec<u8>) {
    lines.extend_from_slice(
        format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{channel}\r\n", channel.len()).as_bytes(),
    );
}

pub(super) fn before_payload(channel: &str, payload_bytes: usize, bytes: &mut Vec<u8>) {
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${payload_bytes}\r\n", channel.len());
    bytes.extend_from_slice(head.as_bytes());
}

/// The first item of `bytes` and how many bytes it takes; `None` when it is not all there yet.
pub(super) fn scan(bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let item = match reader.line()? {
        None => None,
        Some(b"+PONG") => Some(Item::Pong),
        Some([b'+' | b':', ..]) => Some(Item::Idle),
        Some([b'-', text @ ..]) => Some(Item::Refused(text)),
        Some(b"*2") => match reader.strings()? {
            Some([b"pong", _]) => Some(Item::Pong),
            Some(_) => return Err(Malformed),
            None => None,
        },
        Some(b"*3") => match reader.strings()? {
            Some([b"message", head]) => reader.string()?.map(|payload| Item::Message { head, payload }),
            Some([b"subscribe", _]) => reader.line()?.map(|_| Item::Idle),
            Some(_) => return Err(Malformed),
            None => None,
        },
        Some(_) => return Err(Malformed),
    };
    Ok(item.map(|item| (item, reader.at)))
}

/// Goes through bytes of which the last may not have come yet.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next line without its end.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").map(Some).ok_or(Malformed)
    }

    /// The next string: its length in a line of its own, then its bytes and a line end.
    fn string(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let digits = line.strip_prefix(b"$").and_then(|digits| str::from_utf8(digits).ok());
        let length: usize = digits.and_then(|digits| digits.parse().ok()).ok_or(Malformed)?;
        let rest = &self.bytes[self.at..];
        match rest.get(length..length.saturating_add(2)) {
            None => Ok(None),
            Some(b"\r\n") => {
                self.at += length + 2;
                Ok(Some(&rest[..length]))
            }
            Some(_) => Err(Malformed),
        }
    }

    /// The next two strings.
    fn strings(&mut self) -> Result<Option<[&'a [u8]; 2]>, Malformed> {
        let Some(first) = self.string()? else { return Ok(None) };
        Ok(self.string()?.map(|second| [first, second]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_split_into_channel_and_payload() {
        let bytes = b"*3\r\n$7\r\nmessage\r\n$7\r\nbench.0\r\n$5\r\nhe\r\nl\r\n+PONG\r\n";
        let (item, used) = scan(bytes).unwrap().unwrap();
        assert_eq!(item, Item::Message { head: b"bench.0", payload: b"he\r\nl" });
        assert_eq!(scan(&bytes[used..]), Ok(Some((Item::Pong, 7))));
    }

    #[test]
    fn a_pong_looks_otherwise_to_a_subscriber() {
        assert_eq!(scan(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n").unwrap().unwrap().0, Item::Pong);
        assert_eq!(scan(b"+PONG\r\n").unwrap().unwrap().0, Item::Pong);
    }

    #[test]
    fn what_needs_no_answer_is_idle_and_an_error_carries_its_text() {
        let item = |bytes| scan(bytes).unwrap().unwrap().0;
        assert_eq!(item(b"*3\r\n$9\r\nsubscribe\r\n$3\r\na.b\r\n:1\r\n"), Item::Idle);
        assert_eq!(item(b"+OK\r\n"), Item::Idle);
        assert_eq!(item(b":0\r\n"), Item::Idle);
        assert_eq!(item(b"-ERR unknown\r\n"), Item::Refused(b"ERR unknown"));
    }

    #[test]
    fn what_is_not_the_protocol_is_malformed() {
        for bytes in [
            b"HELLO\r\n".as_slice(),
            b"*3\n",
            b"*9\r\n",
            b"*3\r\n$x\r\n",
            b"*3\r\n$-1\r\n",
            b"*3\r\n$7\r\nmessage\r\n$1\r\nabc\r\n",
            b"*3\r\n$3\r\nfoo\r\n$1\r\na\r\n",
        ] {
            assert!(matches!(scan(bytes), Err(Malformed)), "{}", bytes.escape_ascii());
        }
        // As long as that a string may be, so this one has only not come yet.
        assert_eq!(scan(b"*3\r\n$18446744073709551615\r\nx\r\n"), Ok(None));
    }
}
