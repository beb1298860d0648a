//! What a client reads: well-formed operations of a server, and the messages among them.

/// The reading end of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientStream {
    unread: Vec<u8>,
}

/// A message that was delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) sid: Vec<u8>,
    /// Headers and payload.
    pub(crate) body: Vec<u8>,
}

impl ClientStream {
    /// Takes in bytes and returns the messages that are whole now.
    ///
    /// # Panics
    ///
    /// If the bytes are nothing that a server says.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.unread.extend_from_slice(bytes);
        let mut messages = Vec::new();
        let mut at = 0;
        while let Some((message, len)) = read_one(&self.unread[at..]) {
            messages.extend(message);
            at += len;
        }
        self.unread.drain(..at);
        messages
    }

    /// Whether all that was read is whole.
    pub(crate) fn is_between_lines(&self) -> bool {
        self.unread.is_empty()
    }
}

/// One operation and its length; none if it is not whole.
fn read_one(input: &[u8]) -> Option<(Option<Message>, usize)> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, line_len) = (&input[..end], end + 2);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let (sid, sizes) = match words[..] {
        [b"MSG", _, sid, size] | [b"MSG", _, sid, _, size] => (sid, [&b"0"[..], size]),
        [b"HMSG", _, sid, headers, size] | [b"HMSG", _, sid, _, headers, size] => (sid, [headers, size]),
        _ => {
            let is_plain = matches!(line, b"PING" | b"PONG" | b"+OK")
                || line.starts_with(b"INFO {") && line.ends_with(b"} ")
                || line.starts_with(b"-ERR '") && line.ends_with(b"'");
            assert!(is_plain, "no server says {}", line.escape_ascii());
            return Some((None, line_len));
        }
    };
    let [headers, size] = sizes.map(|digits| {
        let digits = std::str::from_utf8(digits).expect("digits");
        digits.parse::<usize>().expect("a size")
    });
    assert!(headers <= size, "{}", line.escape_ascii());
    let body = input.get(line_len..line_len + size + 2)?;
    let (body, end) = body.split_at(size);
    assert_eq!(end, b"\r\n", "after the body of {}", line.escape_ascii());
    Some((Some(Message { sid: sid.to_vec(), body: body.to_vec() }), line_len + size + 2))
}
