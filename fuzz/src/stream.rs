//! What clients and peers read: well-formed operations of a server, and the messages among them.

/// The reading end of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientStream {
    unread: Vec<u8>,
    info: Vec<u8>,
}

/// What a server says to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Info,
    Ok,
    Err,
    Ping,
    Pong,
    Message(Message),
}

/// A message that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) sid: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) reply: Option<Vec<u8>>,
    /// Zero without headers.
    pub(crate) header_len: usize,
    /// Headers and payload.
    pub(crate) body: Vec<u8>,
}

impl ClientStream {
    /// Takes in bytes and returns what is whole now.
    ///
    /// # Panics
    ///
    /// If the bytes are nothing that a server says.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.unread.extend_from_slice(bytes);
        let mut all = Vec::new();
        let mut at = 0;
        while let Some((said, len)) = read_one(&self.unread[at..]) {
            if said == Said::Info {
                self.info = self.unread[at + b"INFO ".len()..at + len].to_vec();
            }
            all.push(said);
            at += len;
        }
        self.unread.drain(..at);
        all
    }

    /// Takes in bytes and returns the messages that are whole now.
    ///
    /// # Panics
    ///
    /// As [`ClientStream::read`].
    pub(crate) fn messages(&mut self, bytes: &[u8]) -> Vec<Message> {
        let message = |said| if let Said::Message(message) = said { Some(message) } else { None };
        self.read(bytes).into_iter().filter_map(message).collect()
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
    /// Its writer said `+OK`, as is only said of circuits (wire.md 14.7).
    is_circuit: bool,
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
            self.is_circuit |= self.unread[at..].starts_with(b"+OK\r\n");
            bodies.extend(body);
            at += len;
        }
        self.unread.drain(..at);
        bodies
    }

    /// Whether what is written passes through a node, or is about to.
    pub(crate) fn is_circuit(&self) -> bool {
        self.is_circuit
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
        [b"INFO" | b"CONNECT" | b"RS+" | b"RS-" | b"-ERR", _, ..] | [b"PING" | b"PONG" | b"+OK"] => {
            Some((None, line_len))
        }
        _ => panic!("no server says {}", line.escape_ascii()),
    }
}

/// One operation and its length; none if it is not whole.
fn read_one(input: &[u8]) -> Option<(Said, usize)> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, line_len) = (&input[..end], end + 2);
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let (subject, sid, reply, sizes) = match words[..] {
        [b"MSG", subject, sid, size] => (subject, sid, None, [&b"0"[..], size]),
        [b"MSG", subject, sid, reply, size] => (subject, sid, Some(reply), [&b"0"[..], size]),
        [b"HMSG", subject, sid, headers, size] => (subject, sid, None, [headers, size]),
        [b"HMSG", subject, sid, reply, headers, size] => (subject, sid, Some(reply), [headers, size]),
        _ => return Some((read_line(line), line_len)),
    };
    let [header_len, size] = sizes.map(number);
    assert!(header_len <= size, "{}", line.escape_ascii());
    let body = input.get(line_len..line_len + size + 2)?;
    let (body, end) = body.split_at(size);
    assert_eq!(end, b"\r\n", "after the body of {}", line.escape_ascii());
    let [subject, sid, body] = [subject, sid, body].map(<[u8]>::to_vec);
    let message = Message { sid, subject, reply: reply.map(<[u8]>::to_vec), header_len, body };
    Some((Said::Message(message), line_len + size + 2))
}

/// What is no message.
fn read_line(line: &[u8]) -> Said {
    match line {
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Ok,
        _ if line.starts_with(b"INFO {") && line.ends_with(b"} ") => Said::Info,
        _ if line.starts_with(b"-ERR '") && line.ends_with(b"'") => Said::Err,
        _ => panic!("no server says {}", line.escape_ascii()),
    }
}

fn number(digits: &[u8]) -> usize {
    std::str::from_utf8(digits).expect("digits").parse().expect("a size")
}
