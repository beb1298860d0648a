//! What clients and peers read: well-formed operations of a server, and the messages among them.

/// The reading end of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientStream {
    unread: Vec<u8>,
    info: Vec<u8>,
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
            if let Some(json) = self.unread[at..at + len].strip_prefix(b"INFO ") {
                self.info = json.to_vec();
            }
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

    /// The JSON of the last INFO.
    pub(crate) fn info(&self) -> &[u8] {
        &self.info
    }
}

/// One direction of a route.
#[derive(Debug, Default)]
pub(crate) struct RouteStream {
    unread: Vec<u8>,
}

impl RouteStream {
    /// Takes in bytes and returns the bodies of the messages that are whole now.
    ///
    /// # Panics
    ///
    /// If the bytes are nothing that a server says to another.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.unread.extend_from_slice(bytes);
        let mut bodies = Vec::new();
        let mut at = 0;
        while let Some((body, len)) = read_routed(&self.unread[at..]) {
            bodies.extend(body);
            at += len;
        }
        self.unread.drain(..at);
        bodies
    }
}

/// One operation, which is a message if it has a body, and its length; none if it is not whole.
fn read_routed(input: &[u8]) -> Option<(Option<Vec<u8>>, usize)> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, line_len) = (&input[..end], end + 2);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    match words[..] {
        [b"RMSG" | b"HMSG", .., size] => {
            let body = input.get(line_len..line_len + number(size) + 2)?;
            let body = body.strip_suffix(b"\r\n").expect("CR LF after a body");
            Some((Some(body.to_vec()), line_len + body.len() + 2))
        }
        [b"INFO" | b"CONNECT" | b"RS+" | b"RS-" | b"-ERR", _, ..] | [b"PING" | b"PONG"] => {
            Some((None, line_len))
        }
        _ => panic!("no server says {}", line.escape_ascii()),
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
    let [headers, size] = sizes.map(number);
    assert!(headers <= size, "{}", line.escape_ascii());
    let body = input.get(line_len..line_len + size + 2)?;
    let (body, end) = body.split_at(size);
    assert_eq!(end, b"\r\n", "after the body of {}", line.escape_ascii());
    Some((Some(Message { sid: sid.to_vec(), body: body.to_vec() }), line_len + size + 2))
}

fn number(digits: &[u8]) -> usize {
    std::str::from_utf8(digits).expect("digits").parse().expect("a size")
}
