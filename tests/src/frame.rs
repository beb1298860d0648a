//! What a server sends, cut into protocol lines with their payloads, and shown without what differs from run to run.

use std::fmt;

use serde_json::{Map, Value};

use crate::mask;

/// One protocol line, with the payload that follows it if it is a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The line without its line end.
    pub line: Vec<u8>,
    /// The payload without its line end, for `MSG`, `HMSG`, `RMSG` and `LMSG`.
    pub payload: Option<Vec<u8>>,
}

impl Frame {
    /// Cuts the first complete frame off `buffer`.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let end = buffer.iter().position(|&byte| byte == b'\n')?;
        let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]).to_vec();
        let frame = Self { line, payload: None };
        let Some(size) = frame.payload_len() else {
            buffer.drain(..=end);
            return Some(frame);
        };
        let start = end + 1;
        let mut payload = buffer.get(start..start + size + 2)?.to_vec();
        match payload.ends_with(b"\r\n") {
            true => payload.truncate(size),
            false => payload.extend_from_slice(b"[no line end]"),
        }
        buffer.drain(..start + size + 2);
        Some(Self { payload: Some(payload), ..frame })
    }

    /// The first word of the line.
    pub fn op(&self) -> &str {
        let word = self.line.split(|&byte| byte == b' ').next().unwrap_or_default();
        std::str::from_utf8(word).unwrap_or("")
    }

    /// The words of the line after the operation.
    pub fn args(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.line).split_whitespace().skip(1).map(str::to_owned).collect()
    }

    /// The JSON argument of `INFO` and `CONNECT`.
    pub fn json(&self) -> Option<Value> {
        let start = self.line.iter().position(|&byte| byte == b'{')?;
        serde_json::from_slice(&self.line[start..]).ok()
    }

    /// Whether a client gets a message on this subject by it.
    pub fn is_on(&self, subject: &str) -> bool {
        let mut words = self.line.split(|&byte| byte == b' ');
        matches!(words.next(), Some(b"MSG" | b"HMSG")) && words.next() == Some(subject.as_bytes())
    }

    /// The reply of a message that has one, to a client as well as on a route.
    pub fn reply(&self) -> Option<String> {
        let sizes = match self.op() {
            "MSG" | "RMSG" => 1,
            "HMSG" => 2,
            _ => return None,
        };
        let args = self.args();
        match args.get(2)?.as_str() {
            "|" => None,
            "+" => args.get(3).cloned(),
            word => (args.len() > 2 + sizes).then(|| word.to_owned()),
        }
    }

    /// The line with its list of queues sorted: a server may name them in any order.
    fn with_sorted_queues(&self) -> Vec<u8> {
        let sizes = match self.op() {
            "RMSG" => 1,
            "HMSG" | "LMSG" => 2,
            _ => return self.line.clone(),
        };
        let mut words: Vec<&[u8]> = self.line.split(|&byte| byte == b' ').collect();
        let first = match words.iter().position(|word| matches!(*word, b"|" | b"+")) {
            Some(at) if words[at] == b"|" => at + 1,
            Some(at) => at + 2,
            None => return self.line.clone(),
        };
        let last = words.len().saturating_sub(sizes).max(first);
        if let Some(queues) = words.get_mut(first..last) {
            queues.sort();
        }
        words.join(&b' ')
    }

    fn payload_len(&self) -> Option<usize> {
        if !matches!(self.op(), "MSG" | "HMSG" | "RMSG" | "LMSG") {
            return None;
        }
        self.args().last()?.parse().ok()
    }
}

/// Shows the frame on one line, with the values of `INFO` and `CONNECT` that differ between servers and runs replaced.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (op @ ("INFO" | "CONNECT"), Some(Value::Object(fields))) = (self.op(), self.json()) {
            return write!(f, "{op} {}", Value::Object(normalise(fields)));
        }
        let line = mask::replies(&self.with_sorted_queues());
        let Some(payload) = &self.payload else { return write!(f, "{}", line.escape_ascii()) };
        if self.op() == "HMSG" && mask::has_request_info(payload) {
            let shown = mask::replies(&mask::request_info(payload));
            let fewer = payload.len() as isize - shown.len() as isize;
            let line = mask::with_smaller_sizes(&line, fewer);
            return write!(f, "{} / {}", line.escape_ascii(), shown.escape_ascii());
        }
        write!(f, "{}", line.escape_ascii())?;
        match payload.len() {
            201.. => write!(f, " / {} bytes", payload.len()),
            _ => write!(f, " / {}", mask::replies(payload).escape_ascii()),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fields that a server may have or lack: build details, JetStream, and an encryption key that only `$SYS` tools use.
const OPTIONAL: [&str; 6] = ["git_commit", "xkey", "api_lvl", "jetstream", "domain", "nonce"];

/// How the names of fields begin that only onehop servers send each other.
const EXTENSION: &str = "onehop";

/// Fields whose presence matters and whose value does not.
const MASKED: [&str; 7] =
    ["server_id", "server_name", "version", "go", "port", "client_id", "route_acc_add_reqid"];

fn normalise(fields: Map<String, Value>) -> Map<String, Value> {
    let own_id = fields.get("server_id").cloned();
    let mut kept = Map::new();
    for (key, value) in fields {
        let shown = match key.as_str() {
            key if OPTIONAL.contains(&key) || key.starts_with(EXTENSION) => continue,
            // A server without a configured name is called by its id.
            "server_name" if value.as_str().is_some_and(|name| name.len() < 20) => value,
            "server_name" if Some(&value) == own_id.as_ref() => "ID".into(),
            // On routes the name in CONNECT is the dialer's id.
            "name" if value.as_str().is_some_and(|name| name.len() == 56) => "ID".into(),
            // A server without message tracing says 2 to routes (wire.md 2.4); clients get 1 from all.
            "proto" if value.as_u64() >= Some(2) => "2+".into(),
            // Both end without compression, which onehop does not have yet (wire.md 5.2).
            "compression" if matches!(value.as_str(), Some("accept" | "off")) => "none unless asked".into(),
            "connect_urls" => value.as_array().map_or(0, Vec::len).to_string().into(),
            key if MASKED.contains(&key) => "*".into(),
            _ => value,
        };
        kept.insert(key, shown);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
        let mut buffer = bytes.to_vec();
        let frames = std::iter::from_fn(|| Frame::take(&mut buffer)).map(|frame| frame.to_string()).collect();
        (frames, buffer)
    }

    #[test]
    fn a_payload_belongs_to_its_line_even_if_it_looks_like_another_one() {
        let (frames, rest) = take_all(b"MSG a 1 6\r\nPING\r\n\r\nPONG\r\nMSG b 1 3\r\nab");
        assert_eq!(frames, ["MSG a 1 6 / PING\\r\\n", "PONG"]);
        assert_eq!(rest, b"MSG b 1 3\r\nab");
    }

    #[test]
    fn the_queues_of_a_route_message_are_shown_in_order() {
        let (frames, _) =
            take_all(b"RMSG $G a + r q2 q1 1\r\nx\r\nHMSG $G a | z b 0 1\r\nx\r\nRMSG $G a | 1\r\nx\r\n");
        assert_eq!(frames, ["RMSG $G a + r q1 q2 1 / x", "HMSG $G a | b z 0 1 / x", "RMSG $G a | 1 / x"]);
    }

    #[test]
    fn the_reply_of_a_message_is_found_with_and_without_headers_and_queues() {
        let mut buffer =
            b"MSG a 1 1\r\nx\r\nMSG a 1 r 1\r\nx\r\nHMSG a 1 0 1\r\nx\r\nHMSG a 1 r 0 1\r\nx\r\n\
            RMSG A a | q 1\r\nx\r\nHMSG A a + r q 0 1\r\nx\r\nPING\r\n"
                .to_vec();
        let found: Vec<_> =
            std::iter::from_fn(|| Frame::take(&mut buffer)).map(|frame| frame.reply().is_some()).collect();
        assert_eq!(found, [false, true, false, true, false, true, false]);
    }

    #[test]
    fn who_asks_is_shown_without_what_changes_from_run_to_run() {
        let (frames, _) = take_all(
            b"HMSG q.1 1 _R_.KJ8m05.6bbYfA 55 57\r\nNATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\",\"rtt\":2371}\r\n\r\nhi\r\n",
        );
        let header = "NATS/1.0\\r\\nNats-Request-Info: {\\\"acc\\\":\\\"B\\\",\\\"rtt\\\":0}\\r\\n\\r\\nhi";
        assert_eq!(frames, [format!("HMSG q.1 1 _R_.??????.?????? 52 54 / {header}")]);
    }

    #[test]
    fn an_info_is_shown_without_what_changes_from_run_to_run() {
        let (frames, _) =
            take_all(b"INFO {\"server_id\":\"NA\",\"xkey\":\"X\",\"port\":7,\"headers\":true}\r\n");
        assert_eq!(frames, ["INFO {\"headers\":true,\"port\":\"*\",\"server_id\":\"*\"}"]);
    }
}
