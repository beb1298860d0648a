//! Operations as traces show them (wire.md 9.7): without payloads, without secrets, and not without end.
//!
//! Of a CONNECT or INFO only what is known to be no secret is shown, so that a secret stays one under whichever name, in
//! whichever shape it comes.

use std::fmt;

use serde_json::Value;

use super::json::{self, Fields};
use super::op::Op;
use crate::quote::{AtMost, Bytes, REDACTED, without_user_info};

/// An operation that was read.
pub(crate) fn received<'a>(op: &'a Op<'a>) -> impl fmt::Display + 'a {
    AtMost(MAX_TRACED_BYTES, Received(op))
}

/// The lines that are sent, one by one.
pub(crate) fn sent(lines: &[u8]) -> impl Iterator<Item = impl fmt::Display> {
    let lines = lines.trim_ascii_end().split(|byte| *byte == b'\n');
    lines.map(|line| AtMost(MAX_TRACED_BYTES, Sent(line.trim_ascii_end())))
}

struct Received<'a>(&'a Op<'a>);

struct Sent<'a>(&'a [u8]);

/// The JSON of a CONNECT or INFO without what may be secret. Of what is no JSON object only the length is shown.
struct Redacted<'a>(&'a [u8]);

impl fmt::Display for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional =
            |bytes: Option<&[u8]>| bytes.map(|bytes| format!(" {}", Bytes(bytes))).unwrap_or_default();
        match self.0 {
            Op::Connect(json) => write!(f, "CONNECT {}", Redacted(json)),
            Op::Info(json) => write!(f, "INFO {}", Redacted(json)),
            Op::Ping => f.write_str("PING"),
            Op::Pong => f.write_str("PONG"),
            Op::Ok => f.write_str("OK"),
            // In the peer's own words, which are judged before they are shown elsewhere.
            Op::Err(error) => write!(f, "-ERR ({} bytes)", error.len()),
            Op::Publish(message) => {
                let verb = if message.header_len > 0 { "HPUB" } else { "PUB" };
                let bytes = message.body.len() - 2;
                write!(f, "{verb} {}{} {bytes}", Bytes(message.subject), optional(message.reply))
            }
            Op::Sub { subject, queue, sid } => {
                write!(f, "SUB {}{} {}", Bytes(subject), optional(*queue), Bytes(sid))
            }
            Op::Unsub { sid, max: None } => write!(f, "UNSUB {}", Bytes(sid)),
            Op::Unsub { sid, max: Some(max) } => write!(f, "UNSUB {} {max}", Bytes(sid)),
            Op::RoutedSub(sub) => {
                let queue = sub.queue.map(|(name, weight)| format!(" {} {weight}", Bytes(name)));
                write!(f, "RS+{} {}{}", optional(sub.account), Bytes(sub.subject), queue.unwrap_or_default())
            }
            Op::RoutedUnsub(unsub) => {
                write!(f, "RS-{} {}{}", optional(unsub.account), Bytes(unsub.subject), optional(unsub.queue))
            }
            Op::RoutedMessage(routed) => {
                let verb = if routed.message.header_len > 0 { "HMSG" } else { "RMSG" };
                let (subject, reply) = (Bytes(routed.message.subject), optional(routed.message.reply));
                let bytes = routed.message.body.len() - 2;
                write!(
                    f,
                    "{verb}{} {subject}{reply} {} {bytes}",
                    optional(routed.account),
                    Bytes(routed.queues)
                )
            }
            Op::Ignored => f.write_str("(ignored)"),
        }
    }
}

impl fmt::Display for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verb in ["CONNECT ", "INFO "] {
            if let Some(json) = self.0.strip_prefix(verb.as_bytes()) {
                return write!(f, "{verb}{}", Redacted(json));
            }
        }
        write!(f, "{}", Bytes(self.0))
    }
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Fields(fields)) = json::fields(self.0) else {
            return write!(f, "({} bytes)", self.0.len());
        };
        // Alone, as in `nats://token@host`, a user is a token.
        let has_password = fields.iter().any(|(key, value)| is(key, &["pass"]) && *value != "");
        f.write_str("{")?;
        for (index, (key, value)) in fields.iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            write!(f, "{separator}{}:{}", Value::from(&**key), shown(key, value, has_password))?;
        }
        f.write_str("}")
    }
}

/// The value of a field, if the field is known to hold no secret, and those of its fields likewise.
fn shown(key: &str, value: &Value, has_password: bool) -> Value {
    let is_address = is(key, ADDRESSES);
    let is_shown = is_address || is(key, SHOWN) || has_password && is(key, &["user"]);
    match value {
        _ if !is_shown => REDACTED.into(),
        Value::Object(fields) if is(key, NESTED) => {
            fields.iter().map(|(key, value)| (key.clone(), shown(key, value, has_password))).collect()
        }
        Value::Array(items) if is_address || is(key, NESTED) => {
            items.iter().map(|item| shown(key, item, has_password)).collect()
        }
        Value::Object(_) | Value::Array(_) => REDACTED.into(),
        Value::String(address) if is_address => without_user_info(address).into(),
        _ => value.clone(),
    }
}

/// Whether a key is one of these, in any case, as it is read.
fn is(key: &str, names: &[&str]) -> bool {
    names.iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// Fields of CONNECT and INFO that are shown, as long as they are neither objects nor arrays.
const SHOWN: &[&str] = &[
    // Of both.
    "cluster",
    "cluster_dynamic",
    "gateway",
    "headers",
    "ln",
    "lnoc",
    "tls_required",
    "version",
    // Of CONNECT.
    "account",
    "echo",
    "lang",
    "name",
    "new_account",
    "no_responders",
    "pedantic",
    "protocol",
    "verbose",
    // Of INFO.
    "acc_is_sys",
    "api_lvl",
    "auth_required",
    "client_id",
    "compression",
    "connect_info",
    "domain",
    "export",
    "git_commit",
    "go",
    "gossip_mode",
    "import",
    "jetstream",
    "ldm",
    "lnocu",
    "max_payload",
    "onehop",
    "onehop_digest",
    "onehop_peers",
    "port",
    "proto",
    "remote_account",
    "route_acc_add_reqid",
    "route_account",
    "route_pool_idx",
    "route_pool_size",
    "server_id",
    "server_name",
    "tls_available",
    "tls_verify",
    // Of what stands in these.
    "allow",
    "deny",
    "id",
];

/// Of these, those that may be objects or arrays.
const NESTED: &[&str] = &["allow", "deny", "export", "import", "onehop_peers"];

/// Fields that hold addresses, which are shown without what stands before an `@`.
const ADDRESSES: &[&str] =
    &["client_ip", "connect_urls", "host", "ip", "leafnode_urls", "url", "ws_connect_urls"];

/// No more of one operation is shown. That is any line of a client, unless its limit is raised.
pub(crate) const MAX_TRACED_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Connect, Info, KnownServer, Permissions};

    fn redacted(json: &str) -> String {
        received(&Op::Connect(json.as_bytes())).to_string()
    }

    #[test]
    fn what_is_secret_is_hidden_under_whichever_name_and_in_whichever_shape_it_comes() {
        for secret in [
            r#""pass":"SECRET""#,
            r#""PASS":"SECRET""#,
            r#""\u0070ass":"SECRET""#,
            r#""pass" :  "SEC\"RET""#,
            r#""pass":"SECRET","pass":"SECRET""#,
            r#""pass":5317,"password":-5.317,"token":[5317],"sig":{"name":"SECRET"}"#,
            r#""auth_token":"SECRET","token":"SECRET","jwt":"SECRET","nkey":"SECRET","sig":"SECRET""#,
            r#""proxy_sig":"SECRET","nonce":"SECRET","xkey":"SECRET","unheard_of":"SECRET""#,
            r#""paſſ":"SECRET","pass ":"SECRET","":"SECRET""#,
            r#""name":{"pass":"SECRET"},"cluster":[{"pass":"SECRET"}],"headers":[{"x":[["SECRET"]]}]"#,
            r#""user":"SECRET""#,
            r#""user":"SECRET","pass":"""#,
            r#""host":"u:SECRET@h","connect_urls":["SECRET@h:4",{"url":"nats://u:SECRET@h"}]"#,
        ] {
            let shown = redacted(&format!(r#"{{"lang":"rust",{secret}}}"#));
            assert!(shown.starts_with(r#"CONNECT {"lang":"rust","#), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
            for secret in ["SEC", "RET", "5317", "5.317"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn of_what_is_no_object_only_the_length_is_shown() {
        for json in
            [r#"{"pass":"SECRET""#, r#"{"pass":"SECRET"} x"#, r#"["SECRET"]"#, r#""SECRET""#, "SECRET"]
        {
            assert_eq!(redacted(json), format!("CONNECT ({} bytes)", json.len()));
        }
        assert_eq!(received(&Op::Info(b"SECRET")).to_string(), "INFO (6 bytes)");
        assert_eq!(received(&Op::Err(b"'SECRET'")).to_string(), "-ERR (8 bytes)");
    }

    #[test]
    fn what_a_connection_says_of_itself_is_shown_as_it_was_written() {
        let json =
            r#"{"verbose":false,"user":"u","Pass":"[REDACTED]","name":"a\tb","lang":"go","protocol":1}"#;
        assert_eq!(redacted(json), format!("CONNECT {json}"));
        let own = Connect { user: "u".into(), pass: "SECRET".into(), name: "N".into(), ..Connect::default() };
        let line = String::from_utf8(own.to_line()).unwrap();
        let shown: Vec<_> = sent(line.as_bytes()).map(|line| line.to_string()).collect();
        assert_eq!(shown, [line.trim_end().replace("SECRET", REDACTED)]);
    }

    #[test]
    fn what_servers_tell_each_other_is_shown() {
        let peer = KnownServer { id: "P".into(), url: "nats-route://i:5/".into(), onehop: true };
        let info = Info {
            server_id: "N".into(),
            go: "rust".into(),
            ip: "nats-route://h:4/".into(),
            connect_urls: vec!["h:4".into(), "[::1]:4".into()],
            export: Some(Permissions { allow: vec!["a".into()], deny: vec!["b".into()] }),
            onehop_peers: vec![peer.clone()],
            ..Info::default()
        };
        let shown: String = sent(&info.to_line()).map(|line| line.to_string()).collect();
        assert!(!shown.contains(REDACTED), "{shown}");
        assert_eq!(Info::from_json(&shown.as_bytes()["INFO ".len()..]).unwrap(), info);
    }

    #[test]
    fn each_line_is_shown_for_itself_and_not_without_end() {
        let lines = [b"+OK\r\nRS+ $G ".as_slice(), &[b's'; 5000], b"\r\nPING\r\n"].concat();
        let shown: Vec<_> = sent(&lines).map(|line| line.to_string()).collect();
        assert_eq!((shown.len(), &*shown[0], &*shown[2]), (3, "+OK", "PING"));
        assert_eq!(shown[1].len(), MAX_TRACED_BYTES + "…".len());
        let sub = Op::Sub { subject: &[b's'; 5000], queue: None, sid: b"1" };
        assert_eq!(received(&sub).to_string().len(), MAX_TRACED_BYTES + "…".len());
    }
}
