//! How a client talks to the server under load, in as many words as the loads need.
//!
//! The loads are the same whatever the server speaks: the same payloads, so many in one write, the same credit between
//! publisher and subscribers. Only what stands around the payloads differs, and that is here.

mod mqtt;
mod resp;

use super::scan::{Item, Malformed, scan};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The client protocol of NATS.
    Nats,
    /// RESP2, which Redis speaks: SUBSCRIBE and PUBLISH.
    Resp,
    /// MQTT 3.1.1 at QoS 0.
    Mqtt,
    /// What this program's own relay copies unread: the publisher writes what subscribers of NATS would get.
    Copied,
}

impl Dialect {
    /// What a client says before its first ping.
    pub fn greeting(self) -> &'static [u8] {
        match self {
            Self::Nats => {
                b"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"headers\":true,\
                \"no_responders\":true,\"lang\":\"rust\",\"version\":\"0.1.0\",\"name\":\"versus\"}\r\n"
            }
            Self::Mqtt => mqtt::CONNECT,
            Self::Resp | Self::Copied => b"",
        }
    }

    /// What is answered by [`Item::Pong`].
    pub fn ping(self) -> &'static [u8] {
        match self {
            Self::Nats | Self::Copied => b"PING\r\n",
            Self::Resp => resp::PING,
            Self::Mqtt => mqtt::PING,
        }
    }

    /// What a publisher says before its messages, so that nothing comes back that it would have to read.
    ///
    /// Servers of NATS and MQTT say nothing to a publisher at QoS 0; Redis answers each message unless told not to.
    pub fn before_messages(self) -> &'static [u8] {
        match self {
            Self::Nats | Self::Mqtt => b"",
            Self::Resp => resp::NO_REPLIES,
            Self::Copied => super::relay::COPY,
        }
    }

    /// Whether a publisher's ping is answered after [`Self::before_messages`].
    pub fn answers_publishers(self) -> bool {
        matches!(self, Self::Nats | Self::Mqtt)
    }

    /// Appends a subscription.
    ///
    /// # Panics
    ///
    /// If there is a queue group and the dialect knows none.
    pub fn subscribe(self, filter: &str, queue: Option<&str>, sid: u32, lines: &mut Vec<u8>) {
        match (self, queue) {
            (Self::Nats, Some(queue)) => {
                lines.extend_from_slice(format!("SUB {filter} {queue} {sid}\r\n").as_bytes());
            }
            (Self::Nats | Self::Copied, None) => {
                lines.extend_from_slice(format!("SUB {filter} {sid}\r\n").as_bytes());
            }
            (Self::Resp, None) => resp::subscribe(filter, lines),
            (Self::Mqtt, None) => mqtt::subscribe(filter, sid, lines),
            (_, Some(queue)) => panic!("{self:?} has no queue groups, so none is called {queue}"),
        }
    }

    /// Appends what stands before the payload of a message; [`Self::after_payload`] follows it.
    pub fn before_payload(self, subject: &str, payload_bytes: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Nats => bytes.extend_from_slice(format!("PUB {subject} {payload_bytes}\r\n").as_bytes()),
            Self::Resp => resp::before_payload(subject, payload_bytes, bytes),
            Self::Mqtt => mqtt::before_payload(subject, payload_bytes, bytes),
            Self::Copied => {
                bytes.extend_from_slice(format!("MSG {subject} 1 {payload_bytes}\r\n").as_bytes())
            }
        }
    }

    /// What stands after the payload of a message.
    pub fn after_payload(self) -> &'static [u8] {
        match self {
            Self::Nats | Self::Resp | Self::Copied => b"\r\n",
            Self::Mqtt => b"",
        }
    }

    /// What [`Item::Message`] has as the head of a message to `subject` for the subscription `sid`.
    pub fn head(self, subject: &str, sid: u32) -> String {
        match self {
            Self::Nats | Self::Copied => format!("{subject} {sid} "),
            Self::Resp | Self::Mqtt => subject.to_owned(),
        }
    }

    /// The first item of `bytes` and how many bytes it takes; `None` when it is not all there yet.
    pub fn scan(self, bytes: &[u8]) -> Result<Option<(Item<'_>, usize)>, Malformed> {
        match self {
            Self::Nats | Self::Copied => scan(bytes),
            Self::Resp => resp::scan(bytes),
            Self::Mqtt => mqtt::scan(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_head_its_payload_and_what_follows_it() {
        for (dialect, whole) in [
            (Dialect::Nats, b"PUB a.b 3\r\nxyz\r\n".as_slice()),
            (Dialect::Copied, b"MSG a.b 1 3\r\nxyz\r\n"),
            (Dialect::Resp, b"*3\r\n$7\r\nPUBLISH\r\n$3\r\na.b\r\n$3\r\nxyz\r\n"),
            (Dialect::Mqtt, b"\x30\x08\x00\x03a.bxyz"),
        ] {
            let mut bytes = Vec::new();
            dialect.before_payload("a.b", 3, &mut bytes);
            bytes.extend_from_slice(b"xyz");
            bytes.extend_from_slice(dialect.after_payload());
            assert_eq!(bytes.escape_ascii().to_string(), whole.escape_ascii().to_string());
        }
    }

    #[test]
    fn an_item_cut_at_any_byte_is_incomplete_in_every_dialect() {
        for (dialect, whole) in [
            (Dialect::Resp, b"*3\r\n$7\r\nmessage\r\n$3\r\na.b\r\n$3\r\nxyz\r\n".as_slice()),
            (Dialect::Resp, b"*3\r\n$9\r\nsubscribe\r\n$3\r\na.b\r\n:1\r\n"),
            (Dialect::Resp, b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"),
            (Dialect::Resp, b"-ERR unknown\r\n"),
            (Dialect::Mqtt, b"\x30\x08\x00\x03a.bxyz"),
            (Dialect::Mqtt, b"\x20\x02\x00\x00"),
            (Dialect::Mqtt, b"\x90\x03\x00\x01\x00"),
            (Dialect::Copied, b"MSG a.b 1 3\r\nxyz\r\n"),
        ] {
            for cut in 0..whole.len() {
                assert_eq!(dialect.scan(&whole[..cut]), Ok(None), "{dialect:?}, cut at {cut}");
            }
            assert_eq!(dialect.scan(whole).unwrap().unwrap().1, whole.len());
        }
    }
}
